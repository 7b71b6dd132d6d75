//! Repairing what other programs take from running networks.
//!
//! The host reports changes that other programs made; the networks that a change may concern are
//! inspected again and repaired as at opening ([`super::repair`]). How fast, the engine decides
//! ([`oxivirt_engine::reconcile`]).

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Weak};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use futures::{StreamExt as _, stream};
use oxivirt::NetworkEvent;
use oxivirt_conf::Heal;
use oxivirt_engine::reconcile::{self, Pass, Reconciler, Timing};
use oxivirt_sys::chain;
use oxivirt_sys::file::{self, Durability};
use oxivirt_types::link_name::LinkName;
use serde::{Deserialize, Serialize};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender};
use tokio::time::Instant;
use uuid::Uuid;

use crate::apply::{Host, HostEvent};
use crate::components::bridge::BridgePort;
use crate::components::dhcp;
use crate::registry::Entry;
use crate::repair::{Candidate, Outcome};
use crate::shared::{Notification, PortsOfBridges, Shared};

/// Mode of the notes of repairs.
const HEAL_MODE: u32 = 0o600;
/// How long a bridge may take to vanish after its ports have left it.
const VANISH_TIMEOUT: Duration = Duration::from_secs(2);

/// What was repaired last, or could not be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct LastHeal {
    /// When, in seconds since 1970.
    pub(crate) time: u64,
    /// The steps, in words.
    pub(crate) steps: Vec<String>,
}

/// What has to be inspected.
#[derive(Debug, Default)]
pub(crate) struct DirtySet {
    /// The rules of all networks.
    rules: bool,
    /// Everything of all networks.
    all: bool,
    /// Networks on these bridges.
    bridges: BTreeSet<String>,
    /// Networks on these bridges, on which this is set now.
    changed: BTreeMap<String, u64>,
    /// These networks.
    networks: BTreeSet<Uuid>,
}

impl DirtySet {
    fn concerns(&self, entry: &Entry) -> bool {
        let view = entry.view();
        self.all
            || self.rules
            || self.networks.contains(&view.reference().uuid)
            || view.def.bridge().is_some_and(|name| {
                self.bridges.contains(name.as_str()) || self.changed.contains_key(name.as_str())
            })
    }
}

/// The loop's state.
struct Healer<H: Host> {
    shared: Weak<Shared<H>>,
    mode: Heal,
    exits: ExitWatches,
    /// What was set on links when they were inspected last.
    inspected: BTreeMap<String, u64>,
    /// What stays wrong is logged once.
    reported: BTreeSet<(Uuid, String)>,
    /// Links that are ports no more, and since when.
    detached: Vec<(Instant, LinkName)>,
}

/// Tasks that wait for the ends of dnsmasq processes, by network.
struct ExitWatches {
    tasks: BTreeMap<Uuid, (i32, tokio::task::AbortHandle)>,
    notifications: UnboundedSender<Notification>,
}

impl Drop for ExitWatches {
    fn drop(&mut self) {
        for (_, task) in self.tasks.values() {
            task.abort();
        }
    }
}

/// What wakes the loop.
enum Trigger {
    Host(HostEvent),
    Driver(Notification),
}

/// Watches a host until the driver is gone.
pub(crate) async fn run<H: Host>(
    shared: Weak<Shared<H>>,
    mode: Heal,
    mut notifications: UnboundedReceiver<Notification>,
) {
    let (mut events, exits) = {
        let Some(shared) = shared.upgrade() else { return };
        let notifications = shared.notifications.clone();
        let mut exits = ExitWatches { tasks: BTreeMap::new(), notifications };
        for entry in shared.networks.all().iter().filter(|entry| entry.view().is_active()) {
            shared.watch_exit(entry, &mut exits);
        }
        (shared.host.watch(shared.firewall.backend), exits)
    };
    let events = stream::poll_fn(move |context| events.poll_recv(context)).map(Trigger::Host);
    let notifications =
        stream::poll_fn(move |context| notifications.poll_recv(context)).map(Trigger::Driver);
    let (inspected, reported, detached) = (BTreeMap::new(), BTreeSet::new(), Vec::new());
    let healer = Healer { shared, mode, exits, inspected, reported, detached };
    reconcile::run(healer, stream::select(events, notifications), Timing::DEFAULT).await;
}

impl<H: Host> Reconciler for Healer<H> {
    type Notification = Trigger;
    type Dirty = DirtySet;

    fn note(&mut self, trigger: Trigger, dirty: &mut DirtySet) {
        let Some(shared) = self.shared.upgrade() else { return };
        match trigger {
            Trigger::Host(event) => self.note_event(&shared, event, dirty),
            Trigger::Driver(Notification::DnsmasqEnded(uuid)) => {
                dirty.networks.insert(uuid);
            }
            Trigger::Driver(Notification::Started(uuid)) => {
                if let Some(entry) = shared.networks.get(uuid) {
                    shared.watch_exit(&entry, &mut self.exits);
                }
            }
        }
    }

    fn is_clean(&self, dirty: &DirtySet) -> bool {
        !dirty.rules
            && !dirty.all
            && dirty.bridges.is_empty()
            && dirty.changed.is_empty()
            && dirty.networks.is_empty()
    }

    async fn pass(&mut self, dirty: DirtySet) -> Option<Pass<DirtySet>> {
        let shared = self.shared.upgrade()?;
        let entries = shared.networks.all();
        let concerned = entries.iter().filter(|e| e.view().is_active() && dirty.concerns(e));
        let (mut locks, mut candidates) = (Vec::new(), Vec::new());
        let mut pass = Pass::<DirtySet>::default();
        for entry in concerned {
            match entry.try_lock() {
                // What was active may have been stopped meanwhile.
                Some(lock) if entry.view().is_active() => {
                    locks.push(lock);
                    candidates.push(Candidate { entry: Arc::clone(entry), was_interrupted: false });
                }
                Some(_) => {}
                None => drop(pass.retry.networks.insert(entry.view().reference().uuid)),
            }
        }
        self.inspected.extend(dirty.changed);
        let outcomes = match self.mode {
            Heal::Repair => shared.repair(&candidates).await,
            Heal::Observe => shared.observe_only(&candidates).await,
        };
        for (candidate, outcome) in candidates.iter().zip(outcomes) {
            if !matches!(outcome, Outcome::Whole) {
                pass.has_repaired = true;
                let view = candidate.entry.view();
                if let Some(bridge) = view.def.bridge() {
                    // Whatever comes next, it is looked at.
                    self.inspected.remove(bridge.as_str());
                }
            }
            shared.report(&candidate.entry, outcome, &mut self.reported);
        }
        for candidate in &candidates {
            shared.watch_exit(&candidate.entry, &mut self.exits);
        }
        Some(pass)
    }
}

impl<H: Host> Healer<H> {
    fn note_event(&mut self, shared: &Shared<H>, event: HostEvent, dirty: &mut DirtySet) {
        match event {
            HostEvent::Rules => dirty.rules = true,
            HostEvent::All => dirty.all = true,
            HostEvent::Network(uuid) => drop(dirty.networks.insert(uuid)),
            HostEvent::Addresses { link } => drop(dirty.bridges.insert(link)),
            HostEvent::Link { name, settings } => self.note_link(shared, name, settings, dirty),
            HostEvent::Port { bridge, port, settings } => {
                let mut ports = shared.bridge_ports();
                for (_, ports) in ports.iter_mut().filter(|(of, _)| **of != bridge) {
                    ports.remove(&port);
                }
                self.detached.retain(|(_, detached)| *detached != port);
                ports.entry(bridge).or_default().entry(port).or_default().update(settings);
            }
            HostEvent::NoPort { port } => {
                self.forget_detached(shared);
                self.detached.push((Instant::now(), port));
            }
            HostEvent::LinkGone { name } => {
                for ports in shared.bridge_ports().values_mut() {
                    ports.retain(|port, _| port.as_str() != name);
                }
                self.inspected.remove(&name);
                dirty.bridges.insert(name);
            }
        }
    }

    /// A bridge has messages about its carrier whenever a guest comes or goes, and its spanning tree protocol is
    /// off for a moment then: that alone is no reason to look.
    fn note_link(&self, shared: &Shared<H>, name: String, settings: u64, dirty: &mut DirtySet) {
        if self.inspected.get(&name) == Some(&settings) {
            dirty.changed.remove(&name);
            return;
        }
        let is_bridge = |entry: &Arc<Entry>| {
            entry.view().def.bridge().is_some_and(|bridge| bridge.as_str() == name)
        };
        if shared.networks.all().iter().any(is_bridge) {
            dirty.changed.insert(name, settings);
        }
    }

    /// Forgets ports that another program took from a bridge which still exists.
    fn forget_detached(&mut self, shared: &Shared<H>) {
        let (old, young): (Vec<_>, Vec<_>) =
            self.detached.drain(..).partition(|(since, _)| since.elapsed() > VANISH_TIMEOUT);
        self.detached = young;
        let mut ports = shared.bridge_ports();
        for (bridge, ports) in ports.iter_mut() {
            if shared.host.has_link(bridge) {
                ports.retain(|port, _| old.iter().all(|(_, gone)| gone != port));
            }
        }
    }
}

impl<H: Host> Shared<H> {
    pub(crate) fn bridge_ports(&self) -> std::sync::MutexGuard<'_, PortsOfBridges> {
        self.ports_of_bridges.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    /// The ports that a bridge had when it was seen last.
    pub(crate) fn known_ports(&self, bridge: &LinkName) -> Vec<BridgePort> {
        let ports = self.bridge_ports();
        let known = ports.get(bridge.as_str()).into_iter().flatten();
        known
            .map(|(link, settings)| BridgePort { link: link.clone(), settings: settings.clone() })
            .collect()
    }

    /// Logs and emits the outcome for a network; what stays wrong is reported once.
    fn report(&self, entry: &Entry, outcome: Outcome, reported: &mut BTreeSet<(Uuid, String)>) {
        let network = entry.view().reference();
        let steps = match outcome {
            Outcome::Whole => {
                reported.retain(|(uuid, _)| *uuid != network.uuid);
                return;
            }
            Outcome::Repaired(steps) => {
                let text = steps.join(", ");
                tracing::warn!(network = network.name, steps = text, "repaired network");
                steps
            }
            Outcome::Observed(steps) => {
                let steps = steps.join(", ");
                let text = format!("not repaired, as configured: {steps}");
                if !reported.insert((network.uuid, text.clone())) {
                    return;
                }
                tracing::warn!(
                    network = network.name,
                    steps,
                    "not repairing network: heal is set to 'observe'"
                );
                vec![text]
            }
            Outcome::Failed(error) => {
                let text = format!("cannot be repaired: {error}");
                if !reported.insert((network.uuid, text.clone())) {
                    return;
                }
                tracing::error!(network = network.name, %error, "cannot repair network");
                vec![text]
            }
        };
        self.note_heal(&network.name, &steps);
        self.callbacks.emit(&NetworkEvent::Healed { network, steps });
    }

    /// Writes a note for reports about a network's health.
    fn note_heal(&self, network: &str, steps: &[String]) {
        let time = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        let heal = LastHeal { time, steps: steps.to_vec() };
        let path = self.layout.last_heal(network);
        let content = serde_json::to_vec(&heal).unwrap_or_default();
        if let Err(error) = file::replace(&path, &content, HEAL_MODE, Durability::Regenerated) {
            let error = chain::text(&error);
            tracing::warn!(
                network,
                error,
                "cannot write the note of a repair; health reports lack it"
            );
        }
    }

    /// Waits for the end of a network's dnsmasq, unless a task does already.
    fn watch_exit(&self, entry: &Entry, exits: &mut ExitWatches) {
        let view = entry.view();
        let uuid = view.reference().uuid;
        let end = dhcp::process_end(&*self.host, &view.def, &self.layout);
        let Some((pid, end)) = end else { return };
        match exits.tasks.get(&uuid) {
            Some((known, task)) if *known == pid && !task.is_finished() => return,
            Some((_, task)) => task.abort(),
            None => {}
        }
        let notifications = exits.notifications.clone();
        let task = tokio::spawn(async move {
            end.await;
            drop(notifications.send(Notification::DnsmasqEnded(uuid)));
        });
        exits.tasks.insert(uuid, (pid, task.abort_handle()));
    }
}
