//! Bringing a running network to another state: after an update, a new port, a loss.
//!
//! The new status is on disk before anything changes, with a removal that covers what is there and
//! what will be; so whoever finds the host after a crash knows what is wanted, and the difference to
//! what is there completes it. A refusal of the host takes everything back.

use oxivirt::Result;
use oxivirt_conf::network::NetworkDef;
use oxivirt_conf::status::{FirewallRemoval, NetworkStatus};
use oxivirt_util::chain;
use uuid::Uuid;

use crate::apply::{self, Host};
use crate::driver::Inner;
use crate::error;
use crate::journal::{self, Operation};
use crate::plan::provision::{self, Surroundings};
use crate::plan::{
    FactsQuery, Firewall, HostFacts, Provision, Rules, Undo, port, rules, start, stop,
};
use crate::registry::{Entry, View};
use crate::store;

impl<H: Host> Inner<H> {
    /// What a network wants on its host.
    pub(crate) fn provision(&self, view: &View, facts: &HostFacts) -> Result<Provision> {
        let def = &view.def;
        let uuid = def.uuid.unwrap_or_default();
        let subnets = start::translated(def);
        let (layers, upstream) = {
            let mut reserved = self.reserved();
            let layers = reserved.of(uuid, &subnets).or_else(|| reserved.reserve(uuid, &subnets));
            (layers.unwrap_or_default(), reserved.upstream(uuid))
        };
        let floors = port::floors(&view.ports);
        let around = Surroundings {
            layout: &self.layout,
            lease_helper: &self.lease_helper,
            dnsmasq: facts.dnsmasq.as_deref(),
            servers: upstream.then_some(facts.servers.as_str()),
            firewall: Firewall { backend: self.backend, has_checksum: facts.has_checksum },
            layers: &layers,
            floors: &floors,
        };
        provision::provision(def, &around).map_err(|error| error::plan(&error))
    }

    /// What a plan for a network that is there depends on.
    pub(crate) async fn facts(&self, def: &NetworkDef) -> Result<HostFacts> {
        let needs_dnsmasq = crate::plan::dnsmasq::is_needed(def);
        let backend = Some(self.backend);
        let query = FactsQuery { needs_dnsmasq, backend, ..FactsQuery::default() };
        self.host.facts(&query).await.map_err(|error| error::host(&error))
    }

    /// Brings a running network from one state to another; the caller holds its lock.
    ///
    /// # Errors
    /// The host's refusal; everything is as before then, as far as the host lets.
    pub(crate) async fn transition(&self, entry: &Entry, old: &View, new: View) -> Result<()> {
        let facts = self.facts(&new.def).await?;
        let (had, want) = (self.provision(old, &facts)?, self.provision(&new, &facts)?);
        let have = self.known(&had).await?;
        let saved = old.status().removal;
        let plan = provision::difference(
            &have,
            &want,
            &self.saved_rules(new.reference().uuid, saved.as_ref()),
        );
        let removal = want.rules.as_ref().map(Rules::removal);
        if plan.stages.is_empty() {
            return self.save(entry, &new, removal);
        }
        let untold = rules::untold(saved.as_ref(), removal.as_ref());
        self.write_journal(Operation::Update, &new.def, &untold)?;
        // An old removal of others stays the truth until the rules have changed.
        let both = rules::union(saved.as_ref(), removal.as_ref());
        let done = match self.save(entry, &new, both.clone()) {
            Ok(()) => apply::run(&self.host, &plan).await.map_err(|error| error::stopped(&error)),
            Err(error) => Err(error),
        };
        if let Err(error) = done {
            tracing::debug!(network = old.def.name, %error, "change failed, taking it back");
            let restored = View { running: new.with_removal(both).running, ..old.clone() };
            self.restore(entry, &restored, &had, saved).await;
            return Err(error);
        }
        if both != removal {
            self.save(entry, &new, removal)?;
        }
        self.remove_journal(new.reference().uuid);
        Ok(())
    }

    /// What a transition counts on: that everything is as the driver left it. Only whether dnsmasq
    /// lives is asked for: that is cheap, and it dies more easily than the rest.
    async fn known(&self, had: &Provision) -> Result<Provision> {
        let mut have = had.clone();
        if let Some(service) = &had.dnsmasq {
            let (conf_file, pid_file) = (&service.launch.conf_file, &service.pid_file);
            let runs = self.host.runs_dnsmasq(conf_file, pid_file).await;
            if !runs.map_err(|error| error::host(&error))? {
                have.dnsmasq = None;
            }
        }
        Ok(have)
    }

    /// Goes back to a state, from wherever a transition got stuck.
    async fn restore(
        &self,
        entry: &Entry,
        old: &View,
        want: &Provision,
        saved: Option<FirewallRemoval>,
    ) {
        let name = &old.def.name;
        let both = old.status().removal;
        let back = async {
            let have = self.host.observe(&[want]).await.map_err(|error| error::host(&error))?;
            let have = have.into_iter().next().unwrap_or_default();
            let plan = provision::difference(
                &have,
                want,
                &self.saved_rules(old.reference().uuid, both.as_ref()),
            );
            apply::run(&self.host, &plan).await.map_err(|error| error::stopped(&error))
        };
        if let Err(error) = back.await {
            tracing::error!(network = name, %error, "not all of a failed change taken back");
        }
        let removal = want.rules.as_ref().map(Rules::removal);
        match self.save(entry, old, removal.or(saved)) {
            Ok(()) => self.remove_journal(old.reference().uuid),
            Err(error) => tracing::error!(network = name, %error, "status not restored"),
        }
    }

    /// What removes the rules of a network, by its status file and the journal of an operation that
    /// has not ended.
    pub(crate) fn saved_rules(&self, uuid: Uuid, saved: Option<&FirewallRemoval>) -> Vec<Undo> {
        let mut steps: Vec<_> = saved.into_iter().flat_map(stop::rules).collect();
        match journal::read(&self.layout.journal_file(uuid)) {
            Ok(Some(entry)) if entry.operation == Operation::Update => {
                steps.extend(entry.undo.steps().cloned());
            }
            Ok(_) => {}
            Err(error) => tracing::warn!(error = chain::text(&error), "journal not read"),
        }
        steps
    }

    /// Writes the status of a running network and shows it to readers.
    pub(crate) fn save(
        &self,
        entry: &Entry,
        view: &View,
        removal: Option<FirewallRemoval>,
    ) -> Result<()> {
        let view = view.with_removal(removal);
        let status: NetworkStatus = view.status();
        store::write_status(&self.layout, &status, &view.counters())
            .map_err(|error| error::store(&error))?;
        entry.set(view);
        Ok(())
    }
}

/// Tells of a failure that has no caller.
pub(crate) fn told(network: &str, error: &(dyn std::error::Error + 'static), what: &str) {
    tracing::error!(network, error = chain::text(error), what);
}
