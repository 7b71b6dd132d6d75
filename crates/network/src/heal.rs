//! Repairing what others take from running networks.
//!
//! The host tells of changes that others made; what a change may have touched is looked at again, a
//! moment later and all together, and repaired as at opening ([`super::repair`]). Nothing is believed of
//! a change but that it happened: what is wrong is seen by looking.
//!
//! A pass follows the last change, however many there were; passes keep a distance, so that neither an
//! attack nor another program that wants it otherwise makes the driver spin.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Weak};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use oxivirt::NetworkEvent;
use oxivirt_conf::Heal;
use oxivirt_sys::chain;
use oxivirt_sys::file::{self, Durability};
use oxivirt_types::link_name::LinkName;
use serde::{Deserialize, Serialize};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender};
use tokio::time::Instant;
use uuid::Uuid;

use crate::apply::{Hint, Host};
use crate::driver::Inner;
use crate::registry::Entry;
use crate::repair::{Outcome, Suspect};

/// How long changes are collected before they are looked into.
const COLLECT: Duration = Duration::from_millis(20);
/// The distance between passes.
const DISTANCE: Duration = Duration::from_millis(50);
/// Passes that had to repair, one soon after the other, after which the distance grows.
const PATIENCE: u32 = 20;
/// What counts as soon.
const SOON: Duration = Duration::from_secs(1);
/// The distance does not grow beyond this.
const LONGEST_DISTANCE: Duration = Duration::from_secs(2);

/// Mode of the notes of repairs.
const HEAL_MODE: u32 = 0o600;

/// What was repaired last, or could not be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LastHeal {
    /// When, in seconds since 1970.
    pub time: u64,
    /// The steps, in words.
    pub steps: Vec<String>,
}

/// What has to be looked into.
#[derive(Debug, Default)]
struct Suspicion {
    /// The rules of all networks.
    rules: bool,
    /// Everything of all networks.
    all: bool,
    /// Networks on these bridges.
    bridges: BTreeSet<String>,
    /// These networks.
    networks: BTreeSet<Uuid>,
    /// Links that are ports no more, and since when. Not a suspicion in itself.
    detached: Vec<(Instant, LinkName)>,
}

/// How long a bridge may take to vanish after its ports have left it.
const VANISHING: Duration = Duration::from_secs(2);

/// Forgets ports that somebody took from a bridge which is still there.
fn forget_detached<H: Host>(inner: &Inner<H>, suspicion: &mut Suspicion) {
    let (old, young): (Vec<_>, Vec<_>) =
        suspicion.detached.drain(..).partition(|(since, _)| since.elapsed() > VANISHING);
    suspicion.detached = young;
    let mut ports = inner.bridge_ports();
    for (bridge, ports) in ports.iter_mut() {
        if inner.host.has_link(bridge) {
            ports.retain(|port| old.iter().all(|(_, gone)| gone != port));
        }
    }
}

impl Suspicion {
    fn is_none(&self) -> bool {
        !self.rules && !self.all && self.bridges.is_empty() && self.networks.is_empty()
    }

    fn is_about(&self, entry: &Entry) -> bool {
        let view = entry.view();
        self.all
            || self.rules
            || self.networks.contains(&view.reference().uuid)
            || view.def.bridge.name.as_ref().is_some_and(|name| self.bridges.contains(name))
    }
}

/// What the driver itself has to say.
#[derive(Debug, Clone)]
pub(crate) enum Sign {
    /// A network runs.
    Runs(Uuid),
    /// Its dnsmasq has ended.
    Ended(Uuid),
}

impl Sign {
    fn take<H: Host>(self, inner: &Weak<Inner<H>>, armed: &mut Armed, suspicion: &mut Suspicion) {
        match self {
            Self::Ended(uuid) => drop(suspicion.networks.insert(uuid)),
            Self::Runs(uuid) => {
                if let Some(inner) = inner.upgrade()
                    && let Some(entry) = inner.networks.get(uuid)
                {
                    inner.arm(&entry, armed);
                }
            }
        }
    }
}

/// Which links were ports of which bridges, for a bridge that has to be made anew.
pub(crate) type PortsOfBridges = BTreeMap<String, BTreeSet<LinkName>>;

/// Watches a host until the driver is gone.
pub(crate) async fn run<H: Host>(
    inner: Weak<Inner<H>>,
    mode: Heal,
    mut signs: UnboundedReceiver<Sign>,
) {
    let (mut hints, mut armed) = {
        let Some(inner) = inner.upgrade() else { return };
        let mut armed = Armed { tasks: BTreeMap::new(), signs: inner.signs.clone() };
        for entry in inner.networks.all().iter().filter(|entry| entry.view().is_active()) {
            inner.arm(entry, &mut armed);
        }
        (inner.host.watch(inner.firewall.backend), armed)
    };
    let mut pace = Pace::default();
    let mut told = BTreeSet::new();
    let mut suspicion = Suspicion::default();
    loop {
        if suspicion.is_none() {
            wait(&inner, &mut hints, &mut signs, &mut armed, &mut suspicion).await;
        }
        if suspicion.is_none() {
            continue;
        }
        tokio::time::sleep(COLLECT).await;
        while let Ok(hint) = hints.try_recv() {
            take(&inner, hint, &mut suspicion);
        }
        while let Ok(sign) = signs.try_recv() {
            sign.take(&inner, &mut armed, &mut suspicion);
        }
        if !suspicion.is_none() {
            let Some(inner) = inner.upgrade() else { return };
            let mut suspected = std::mem::take(&mut suspicion);
            suspicion.detached = std::mem::take(&mut suspected.detached);
            let pass = inner.pass(&suspected, mode, &mut armed, &mut told).await;
            suspicion.networks.extend(pass.busy);
            let distance = pace.after(pass.n_repaired > 0);
            drop(inner);
            tokio::time::sleep(distance).await;
        }
    }
}

/// Waits for the next sign that something may be wrong.
async fn wait<H: Host>(
    inner: &Weak<Inner<H>>,
    hints: &mut UnboundedReceiver<Hint>,
    signs: &mut UnboundedReceiver<Sign>,
    armed: &mut Armed,
    suspicion: &mut Suspicion,
) {
    tokio::select! {
        hint = hints.recv() => match hint {
            Some(hint) => take(inner, hint, suspicion),
            // Nothing will be heard of any more.
            None => std::future::pending().await,
        },
        sign = signs.recv() => match sign {
            Some(sign) => sign.take(inner, armed, suspicion),
            None => std::future::pending().await,
        },
    }
}

fn take<H: Host>(inner: &Weak<Inner<H>>, hint: Hint, suspicion: &mut Suspicion) {
    let Some(inner) = inner.upgrade() else { return };
    match hint {
        Hint::Rules => suspicion.rules = true,
        Hint::All => suspicion.all = true,
        Hint::Network(uuid) => drop(suspicion.networks.insert(uuid)),
        Hint::Link { name } => drop(suspicion.bridges.insert(name)),
        Hint::Port { bridge, port } => {
            let mut ports = inner.bridge_ports();
            for (_, ports) in ports.iter_mut().filter(|(of, _)| **of != bridge) {
                ports.remove(&port);
            }
            suspicion.detached.retain(|(_, detached)| *detached != port);
            ports.entry(bridge).or_default().insert(port);
        }
        Hint::NoPort { port } => {
            forget_detached(&inner, suspicion);
            suspicion.detached.push((Instant::now(), port));
        }
        Hint::LinkGone { name } => {
            let mut ports = inner.bridge_ports();
            ports.values_mut().for_each(|ports| {
                ports.retain(|port| port.as_str() != name);
            });
            drop(ports);
            suspicion.bridges.insert(name);
        }
    }
}

/// How fast passes follow each other.
#[derive(Debug, Default)]
struct Pace {
    /// Passes in a row that had to repair something.
    in_a_row: u32,
    last: Option<Instant>,
}

impl Pace {
    /// The distance to the next pass, after one that did or did not repair something.
    fn after(&mut self, has_repaired: bool) -> Duration {
        let now = Instant::now();
        let is_soon = self.last.is_some_and(|last| now.duration_since(last) < SOON);
        if has_repaired {
            self.in_a_row = if is_soon { self.in_a_row.saturating_add(1) } else { 1 };
            self.last = Some(now);
        }
        let beyond = if is_soon { self.in_a_row.saturating_sub(PATIENCE) } else { 0 };
        if has_repaired && beyond == 1 {
            tracing::warn!("networks are disturbed again and again, repairing more slowly");
        }
        (DISTANCE * 2_u32.saturating_pow(beyond.min(10))).min(LONGEST_DISTANCE)
    }
}

/// Tasks that wait for the ends of dnsmasq processes, by network.
struct Armed {
    tasks: BTreeMap<Uuid, (i32, tokio::task::AbortHandle)>,
    signs: UnboundedSender<Sign>,
}

impl Drop for Armed {
    fn drop(&mut self) {
        for (_, task) in self.tasks.values() {
            task.abort();
        }
    }
}

/// What a pass came to.
#[derive(Debug, Default)]
struct Pass {
    n_repaired: usize,
    /// Networks that somebody works on, to be looked at afterwards.
    busy: Vec<Uuid>,
}

impl<H: Host> Inner<H> {
    pub(crate) fn bridge_ports(&self) -> std::sync::MutexGuard<'_, PortsOfBridges> {
        self.ports_of_bridges.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    /// Looks at the networks that something may be wrong with.
    async fn pass(
        &self,
        suspicion: &Suspicion,
        mode: Heal,
        armed: &mut Armed,
        told: &mut BTreeSet<(Uuid, String)>,
    ) -> Pass {
        let mut pass = Pass::default();
        let entries = self.networks.all();
        let about = entries.iter().filter(|e| e.view().is_active() && suspicion.is_about(e));
        let (mut locks, mut suspects) = (Vec::new(), Vec::new());
        for entry in about {
            match entry.operation.try_lock() {
                // What was active may have been stopped meanwhile.
                Ok(lock) if entry.view().is_active() => {
                    locks.push(lock);
                    suspects.push(Suspect { entry: Arc::clone(entry), was_cut_off: false });
                }
                Ok(_) => {}
                Err(_) => pass.busy.push(entry.view().reference().uuid),
            }
        }
        let outcomes = match mode {
            Heal::Repair => self.repair(&suspects).await,
            Heal::Observe => self.observe_only(&suspects).await,
        };
        for (suspect, outcome) in suspects.iter().zip(outcomes) {
            pass.n_repaired += usize::from(!matches!(outcome, Outcome::Whole));
            self.tell(&suspect.entry, outcome, told);
        }
        for suspect in &suspects {
            self.arm(&suspect.entry, armed);
        }
        pass
    }

    /// Logs and emits what became of a network; what stays wrong is said once.
    fn tell(&self, entry: &Entry, outcome: Outcome, told: &mut BTreeSet<(Uuid, String)>) {
        let network = entry.view().reference();
        let steps = match outcome {
            Outcome::Whole => {
                told.retain(|(uuid, _)| *uuid != network.uuid);
                return;
            }
            Outcome::Repaired(steps) => {
                tracing::warn!(network = network.name, steps = steps.join(", "), "repaired");
                steps
            }
            Outcome::Observed(steps) => {
                let text = format!("not repaired, as configured: {}", steps.join(", "));
                if !told.insert((network.uuid, text.clone())) {
                    return;
                }
                tracing::warn!(network = network.name, text, "disturbed");
                vec![text]
            }
            Outcome::Failed(error) => {
                let text = format!("cannot be repaired: {error}");
                if !told.insert((network.uuid, text.clone())) {
                    return;
                }
                tracing::error!(network = network.name, %error, "cannot be repaired");
                vec![text]
            }
        };
        self.note_heal(&network.name, &steps);
        self.callbacks.emit(&NetworkEvent::Healed { network, steps });
    }

    /// Leaves a note for whoever asks how a network is.
    fn note_heal(&self, network: &str, steps: &[String]) {
        let time = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        let heal = LastHeal { time, steps: steps.to_vec() };
        let path = self.layout.last_heal(network);
        let content = serde_json::to_vec(&heal).unwrap_or_default();
        if let Err(error) = file::replace(&path, &content, HEAL_MODE, Durability::Regenerated) {
            tracing::warn!(network, error = chain::text(&error), "repair not noted");
        }
    }

    /// Waits for the end of a network's dnsmasq, unless that is done already.
    fn arm(&self, entry: &Entry, armed: &mut Armed) {
        let view = entry.view();
        let uuid = view.reference().uuid;
        if !crate::plan::dnsmasq::is_needed(&view.def) {
            return;
        }
        let conf_file = self.layout.dnsmasq_conf(&view.def.name);
        let pid_file = self.layout.dnsmasq_pid(&view.def.name);
        let Some((pid, end)) = self.host.dnsmasq_end(&conf_file, &pid_file) else { return };
        match armed.tasks.get(&uuid) {
            Some((known, task)) if *known == pid && !task.is_finished() => return,
            Some((_, task)) => task.abort(),
            None => {}
        }
        let signs = armed.signs.clone();
        let task = tokio::spawn(async move {
            end.await;
            drop(signs.send(Sign::Ended(uuid)));
        });
        armed.tasks.insert(uuid, (pid, task.abort_handle()));
    }
}
