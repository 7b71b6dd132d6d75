//! Reports of the running driver: the health of a network, and what an operation would do.
//!
//! Both use the driver's own state (layers, saved removals, known ports), so they describe the host
//! that the driver works on. Nothing on the host or on disk is changed.

use std::sync::Arc;

use oxivirt::report::{HealRecord, HealthPart, NetworkHealth, NetworkPlan, PartKind, PlanStep};
use oxivirt::{Error, PlanVerb, Result};
use oxivirt_conf::network::NetworkDef;
use oxivirt_conf::status::NetworkStatus;
use oxivirt_sys::file;

use crate::apply::Host;
use crate::components::dhcp::Server;
use crate::components::{self, NetworkState, zone};
use crate::error;
use crate::heal::LastHeal;
use crate::network::Network;
use crate::plan::error::PlanError;
use crate::plan::traffic;
use crate::plan::{HostFacts, start, stop};
use crate::preview::{self, PreviewStep};
use crate::registry::Running;
use crate::registry::{Entry, View};
use crate::shared::Shared;

/// Largest record of a repair that is read, in bytes.
const HEAL_RECORD_MAX: u64 = 1 << 20;

impl<H: Host> Shared<H> {
    /// Whether everything that a network needs is in place.
    ///
    /// # Errors
    /// The host cannot be examined.
    pub(crate) async fn health(&self, entry: &Entry) -> Result<NetworkHealth> {
        let view = entry.view();
        let reference = view.reference();
        let mut health = NetworkHealth {
            name: reference.name,
            uuid: reference.uuid,
            active: view.is_active(),
            ..NetworkHealth::default()
        };
        if !view.is_active() {
            return Ok(health);
        }
        let facts = self.facts_of_running(&view.def, true).await?;
        let mut want = self.desired(&view, &facts)?;
        if let Some(link) = want.link.as_mut().filter(|link| link.bridge.is_some()) {
            link.ports = self.known_ports(&link.name);
        }
        let have = components::observe(&*self.host, &[&want])
            .await
            .map_err(|error| error::host(&error))?;
        let have = have.into_iter().next().unwrap_or_default();
        let plan = components::diff(&have, &want, &[]);
        let missing: Vec<PreviewStep> = plan.steps().map(preview::step).collect();
        health.parts = parts(&want, &missing);
        health.parts.extend(want.dhcp.as_ref().map(|server| self.server_part(server)));
        health.foreign_drops = facts.drops.iter().map(ToString::to_string).collect();
        health.last_heal = self.last_heal(&view.def.name);
        Ok(health)
    }

    /// A server that runs with other arguments than the driver would give it is in place.
    fn server_part(&self, server: &Server) -> HealthPart {
        let missing = match server.is_running(&*self.host) {
            true => Vec::new(),
            false => vec![server.start().to_string()],
        };
        HealthPart { part: PartKind::Process, missing, nft: Vec::new() }
    }

    fn last_heal(&self, name: &str) -> Option<HealRecord> {
        let text = file::read(&self.layout.last_heal(name), HEAL_RECORD_MAX).ok()??;
        let LastHeal { time, steps } = serde_json::from_slice(&text).ok()?;
        Some(HealRecord { time, steps })
    }

    async fn facts_of_running(&self, def: &Network, with_drops: bool) -> Result<HostFacts> {
        let mut query = self.firewall.query_of_running([def]);
        query.filters.drops = with_drops;
        self.host.facts(&query).await.map_err(|error| error::host(&error))
    }

    /// What an operation would do, for the network as it is or with another definition.
    ///
    /// # Errors
    /// The error with which the operation would be refused; number 8 for an unknown verb.
    pub(crate) async fn plan(
        &self,
        entry: &Entry,
        verb: PlanVerb,
        def: Option<NetworkDef>,
    ) -> Result<NetworkPlan> {
        let _operation = entry.lock().await;
        let view = entry.view();
        let network = view.def.name.clone();
        let def = match def {
            Some(mut other) => {
                // reservations of the plan are made and released under this UUID
                other.uuid = Some(view.def.uuid());
                other.mac = other.mac.or(view.def.mac);
                self.complete(other).await?
            }
            None => view.def.clone(),
        };
        let steps = match verb {
            PlanVerb::Start => self.plan_of_start(&view, &def).await?,
            PlanVerb::Destroy => self.plan_of_destroy(&view, &def).await?,
            PlanVerb::Unknown(number) => {
                return Err(Error::invalid_argument(format!("unknown operation {number}")));
            }
        };
        Ok(NetworkPlan { network, steps: steps.into_iter().map(PlanStep::from).collect() })
    }

    async fn plan_of_start(&self, view: &View, def: &Network) -> Result<Vec<PreviewStep>> {
        if view.is_active() {
            return Err(Error::operation_invalid("network is already active"));
        }
        let refused = |error: PlanError| error::plan(&error);
        let mut def = traffic::live(def);
        let query = self.firewall.query_of_start(&def).map_err(refused)?;
        let facts = self.host.facts(&query).await.map_err(|error| error::host(&error))?;
        start::check(&def, &facts).map_err(refused)?;
        start::check_firewall(&def, &query, &facts).map_err(refused)?;
        if def.forward.pf.is_some() && def.forward.devices.is_empty() {
            def = def.with(|def| def.forward.devices.clone_from(&facts.pool));
        }
        let uuid = def.uuid();
        let (running, _) = Running::loaded(NetworkStatus::new(def.def().clone()));
        let running = Some(running);
        let started = View { def, running, ports: Arc::default(), ..view.clone() };
        let want = self.desired(&started, &facts);
        // the layers were reserved for the plan only
        self.reserved().release(uuid);
        let plan = components::diff(&NetworkState::default(), &want?, &[]);
        Ok(plan.steps().map(preview::step).collect())
    }

    async fn plan_of_destroy(&self, view: &View, def: &Network) -> Result<Vec<PreviewStep>> {
        if !view.is_active() {
            let detail = format!("network '{}' is not active", view.def.name);
            return Err(Error::operation_invalid(detail));
        }
        let facts = self.facts_of_running(def, false).await?;
        let mut rules = self.saved_rules(def, view.removal());
        rules.extend(zone::undo(def, facts.firewalld.zones()));
        let keep = if view.is_persistent() { stop::Keep::Leases } else { stop::Keep::Nothing };
        let plan = stop::plan(def, rules, &self.layout, keep);
        Ok(plan.steps().map(preview::undo).collect())
    }
}

/// The parts that a network has, but for the DHCP server.
fn parts(want: &NetworkState, missing: &[PreviewStep]) -> Vec<HealthPart> {
    let link = want.link.as_ref();
    let wanted = [
        (PartKind::Link, link.is_some()),
        (PartKind::Address, link.is_some_and(|link| !link.addresses.is_empty())),
        (PartKind::Setting, link.is_some()),
        (PartKind::Rules, want.rules.is_some()),
        (PartKind::Zone, want.zone.is_some()),
        (PartKind::Route, !want.routing.routes.is_empty()),
        (PartKind::Queue, want.qos.is_some()),
    ];
    let mut parts = Vec::new();
    for (part, _) in wanted.into_iter().filter(|(_, is_wanted)| *is_wanted) {
        let of_part = missing.iter().filter(|step| step.kind == part.word());
        let nft = of_part.clone().filter_map(|step| step.nft.clone()).collect();
        let missing = of_part.map(|step| step.text.clone()).collect();
        parts.push(HealthPart { part, missing, nft });
    }
    parts
}

impl From<PreviewStep> for PlanStep {
    fn from(step: PreviewStep) -> Self {
        let PreviewStep { kind, text, lines, nft } = step;
        Self { kind: PartKind::from_word(kind), text, lines, nft }
    }
}
