//! The networks of a driver.
//!
//! Each network is an entry of the engine's registry; this is its view, and what networks share.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use ipnet::IpNet;
use oxivirt::{Activity, Autostart, Lifetime, NetworkRef, NetworkState};
use oxivirt_conf::network::Counters;
use oxivirt_conf::status::{NetworkStatus, Taint};
use uuid::Uuid;

use crate::network::Network;
use crate::plan::SavedRemoval;
use crate::plan::nftables::{self, Layer};
use crate::plan::port::{self, Ports};
use crate::plan::removal::RemovalError;

/// A network as it is at one moment.
#[derive(Debug, Clone)]
pub(crate) struct View {
    /// The definition in effect: of the running network, or of the next start.
    pub(crate) def: Network,
    /// While the network runs, the definition that takes effect when it stops.
    pub(crate) new_def: Option<Network>,
    /// What the status file says beyond the definition, if the network runs.
    pub(crate) running: Option<Running>,
    /// Its guests' interfaces.
    pub(crate) ports: Arc<Ports>,
    /// How long it is remembered.
    pub(crate) lifetime: Lifetime,
    /// Whether it starts with the host.
    pub(crate) autostart: Autostart,
}

/// State of a running network: everything its status file holds, but the definition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Running {
    /// The status, without the removal.
    pub(crate) status: Arc<NetworkStatus>,
    /// What removes its firewall rules; `None` if it has none or libvirt forgot them.
    pub(crate) removal: Option<SavedRemoval>,
}

impl Running {
    /// A status as it was loaded, and what of its removal cannot be read.
    #[must_use]
    pub(crate) fn loaded(mut status: NetworkStatus) -> (Self, Vec<RemovalError>) {
        let removal = status.removal.take().map(|removal| SavedRemoval::parse(&removal));
        let (removal, errors) = removal.unzip();
        (Self { status: Arc::new(status), removal }, errors.unwrap_or_default())
    }
}

impl View {
    /// A network that does not run.
    #[must_use]
    pub(crate) fn inactive(def: Network, lifetime: Lifetime) -> Self {
        let ports = Arc::default();
        Self { def, new_def: None, running: None, ports, lifetime, autostart: Autostart::Disabled }
    }

    /// Whether it runs.
    #[must_use]
    pub(crate) fn is_active(&self) -> bool {
        self.running.is_some()
    }

    /// Whether it has a stored definition.
    #[must_use]
    pub(crate) fn is_persistent(&self) -> bool {
        self.lifetime == Lifetime::Persistent
    }

    /// What lists filter by.
    #[must_use]
    pub(crate) fn state(&self) -> NetworkState {
        let activity = if self.is_active() { Activity::Active } else { Activity::Inactive };
        NetworkState { activity, lifetime: self.lifetime, autostart: self.autostart }
    }

    /// Name and UUID.
    #[must_use]
    pub(crate) fn reference(&self) -> NetworkRef {
        NetworkRef { name: self.def.name.clone(), uuid: self.def.uuid() }
    }

    /// The definition that persists.
    #[must_use]
    pub(crate) fn persistent_def(&self) -> &Network {
        self.new_def.as_ref().unwrap_or(&self.def)
    }

    /// The status of a running network, without the removal.
    ///
    /// What the ports need is counted, whatever a file said: nothing else knows it better.
    #[must_use]
    pub(crate) fn status(&self) -> NetworkStatus {
        let floors = port::floors(&self.ports);
        let def = self.def.def().clone();
        let base = match &self.running {
            Some(saved) => NetworkStatus { def, ..(*saved.status).clone() },
            None => NetworkStatus::new(def),
        };
        NetworkStatus {
            class_ids: port::class_ids(&floors),
            floor_sum: floors.values().map(|floor| floor.rate).fold(0, u64::saturating_add),
            ..base
        }
    }

    /// What removes the firewall rules of a running network, as it is saved.
    #[must_use]
    pub(crate) fn removal(&self) -> Option<&SavedRemoval> {
        self.running.as_ref()?.removal.as_ref()
    }

    /// The status document of a running network, with the removal.
    #[must_use]
    pub(crate) fn status_with_removal(&self) -> NetworkStatus {
        NetworkStatus { removal: self.removal().map(SavedRemoval::print), ..self.status() }
    }

    /// As it is, with another saved removal.
    #[must_use]
    pub(crate) fn with_removal(&self, removal: Option<SavedRemoval>) -> Self {
        let running = Some(Running { status: Arc::new(self.status()), removal });
        Self { running, ..self.clone() }
    }

    /// As it is, with the mark that a hook script ran.
    #[must_use]
    pub(crate) fn tainted(&self) -> Self {
        let mut status = self.status();
        status.taint.insert(Taint::HookScript);
        let removal = self.removal().cloned();
        Self { running: Some(Running { status: Arc::new(status), removal }), ..self.clone() }
    }

    /// Whether it has the mark that a hook script ran.
    #[must_use]
    pub(crate) fn is_tainted(&self) -> bool {
        self.running
            .as_ref()
            .is_some_and(|running| running.status.taint.contains(&Taint::HookScript))
    }

    /// How many ports there are.
    #[must_use]
    pub(crate) fn counters(&self) -> Counters {
        port::counters(&self.ports)
    }
}

/// A network with the lock of its operations.
pub(crate) type Entry = oxivirt_engine::Entry<View>;

/// All networks by UUID.
pub(crate) type Networks = oxivirt_engine::Registry<View>;

impl oxivirt_engine::registry::View for View {
    fn uuid(&self) -> Uuid {
        self.def.uuid()
    }

    fn name(&self) -> &str {
        &self.def.name
    }
}

/// What networks share and each has a part of, from the moment a start is planned until the network
/// has stopped.
///
/// A translated subnet that overlaps with another goes to a layer of its own. A dnsmasq that follows
/// the host's name servers by itself takes one of few inotify instances.
#[derive(Debug, Default)]
pub(crate) struct Reservations {
    taken: BTreeMap<Uuid, Vec<(IpNet, Layer)>>,
    watching: BTreeSet<Uuid>,
    fed: BTreeSet<Uuid>,
}

impl Reservations {
    /// Chooses how a dnsmasq learns of the host's name servers: by itself as long as all of them
    /// take no more than half of a user's inotify instances (`limit`), so that half are left for other
    /// programs; else from a file that the driver writes.
    pub(crate) fn reserve_watch(&mut self, uuid: Uuid, limit: usize) {
        self.fed.remove(&uuid);
        self.watching.remove(&uuid);
        let set = if self.watching.len() < limit / 2 { &mut self.watching } else { &mut self.fed };
        set.insert(uuid);
    }

    /// Notes how a dnsmasq that runs already was started.
    pub(crate) fn adopt_watch(&mut self, uuid: Uuid, is_fed: bool) {
        if is_fed {
            self.fed.insert(uuid)
        } else {
            self.watching.insert(uuid)
        };
    }

    /// Whether the driver writes the host's name servers for a network's dnsmasq.
    #[must_use]
    pub(crate) fn is_fed(&self, uuid: Uuid) -> bool {
        self.fed.contains(&uuid)
    }

    /// The networks for whose dnsmasq the driver writes the name servers.
    #[must_use]
    pub(crate) fn fed(&self) -> Vec<Uuid> {
        self.fed.iter().copied().collect()
    }

    /// Chooses layers for the subnets of a network; `None` if there are too many.
    pub(crate) fn reserve(&mut self, uuid: Uuid, subnets: &[IpNet]) -> Option<Vec<Layer>> {
        let mut own: Vec<(IpNet, Layer)> = Vec::new();
        for net in subnets {
            let others = self.taken.iter().filter(|(other, _)| **other != uuid);
            let used = others.flat_map(|(_, used)| used).chain(&own);
            let layer = nftables::choose_layer(net, used)?;
            own.push((*net, layer));
        }
        let layers = own.iter().map(|(_, layer)| *layer).collect();
        self.taken.insert(uuid, own);
        Some(layers)
    }

    /// Notes the layers of a network that runs already.
    pub(crate) fn adopt(&mut self, uuid: Uuid, used: Vec<(IpNet, Layer)>) {
        self.taken.insert(uuid, used);
    }

    /// The layers a network has, for subnets in the order of `subnets`; `None` if one has none.
    #[must_use]
    pub(crate) fn of(&self, uuid: Uuid, subnets: &[IpNet]) -> Option<Vec<Layer>> {
        let used = self.taken.get(&uuid)?;
        let layer =
            |net: &IpNet| used.iter().find(|(other, _)| other == net).map(|(_, layer)| *layer);
        subnets.iter().map(layer).collect()
    }

    /// Gives back all that a network has.
    pub(crate) fn release(&mut self, uuid: Uuid) {
        self.watching.remove(&uuid);
        self.fed.remove(&uuid);
        self.taken.remove(&uuid);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn net(text: &str) -> IpNet {
        text.parse().unwrap()
    }

    #[test]
    fn layers_are_kept_until_released() {
        let mut layers = Reservations::default();
        let (a, b) = (Uuid::from_u128(1), Uuid::from_u128(2));
        assert_eq!(layers.reserve(a, &[net("10.0.0.0/8"), net("fd00::/8")]), Some(vec![0, 0]));
        assert_eq!(layers.reserve(b, &[net("10.1.0.0/16")]), Some(vec![1]));
        // A second reservation replaces the first and does not collide with it.
        assert_eq!(layers.reserve(a, &[net("10.0.0.0/8")]), Some(vec![2]));
        layers.release(b);
        assert_eq!(layers.reserve(a, &[net("10.0.0.0/8")]), Some(vec![0]));
        assert_eq!(layers.of(a, &[net("10.0.0.0/8")]), Some(vec![0]));
        assert_eq!(layers.of(a, &[net("10.1.0.0/16")]), None);
    }

    #[test]
    fn half_of_the_watches_are_left_to_others() {
        let mut reserved = Reservations::default();
        let uuids = [1, 2, 3].map(Uuid::from_u128);
        for uuid in uuids {
            reserved.reserve_watch(uuid, 5);
        }
        assert_eq!(reserved.fed(), [uuids[2]]);
        reserved.release(uuids[0]);
        reserved.reserve_watch(uuids[2], 5);
        assert!(!reserved.is_fed(uuids[2]));
    }
}
