//! The networks of a driver.
//!
//! Each network is an entry with a lock that an operation holds from its first to its last step, and a
//! view that readers copy without waiting for any operation.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock};

use ipnet::IpNet;
use oxivirt::{Activity, Autostart, Lifetime, NetworkRef, NetworkState};
use oxivirt_conf::network::NetworkDef;
use oxivirt_conf::status::NetworkStatus;
use uuid::Uuid;

use crate::plan::nftables::{self, Layer};

/// A network as it is at one moment.
#[derive(Debug, Clone)]
pub(crate) struct View {
    /// The definition in effect: of the running network, or of the next start.
    pub(crate) def: NetworkDef,
    /// While the network runs, the definition that takes effect when it stops.
    pub(crate) new_def: Option<NetworkDef>,
    /// What the status file says beyond the definition, if the network runs.
    pub(crate) running: Option<Running>,
    /// How long it is remembered.
    pub(crate) lifetime: Lifetime,
    /// Whether it starts with the host.
    pub(crate) autostart: Autostart,
}

/// State of a running network.
#[derive(Debug, Clone, Default)]
pub(crate) struct Running {
    /// Everything the status file holds, but the definition.
    pub(crate) status: Option<Box<NetworkStatus>>,
}

impl View {
    /// A network that does not run.
    #[must_use]
    pub(crate) fn inactive(def: NetworkDef, lifetime: Lifetime) -> Self {
        Self { def, new_def: None, running: None, lifetime, autostart: Autostart::Disabled }
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
        NetworkRef { name: self.def.name.clone(), uuid: self.def.uuid.unwrap_or_default() }
    }

    /// The definition that persists.
    #[must_use]
    pub(crate) fn persistent_def(&self) -> &NetworkDef {
        self.new_def.as_ref().unwrap_or(&self.def)
    }

    /// The status document of a running network.
    #[must_use]
    pub(crate) fn status(&self) -> NetworkStatus {
        let saved = self.running.as_ref().and_then(|running| running.status.as_deref());
        match saved {
            Some(saved) => NetworkStatus { def: self.def.clone(), ..saved.clone() },
            None => NetworkStatus::new(self.def.clone()),
        }
    }
}

/// A network and the lock of its operations.
#[derive(Debug)]
pub(crate) struct Entry {
    /// Held by the operation that changes the network.
    pub(crate) operation: tokio::sync::Mutex<()>,
    view: RwLock<Arc<View>>,
}

impl Entry {
    /// A network that nobody works on.
    #[must_use]
    pub(crate) fn new(view: View) -> Self {
        Self { operation: tokio::sync::Mutex::new(()), view: RwLock::new(Arc::new(view)) }
    }

    /// The network now.
    #[must_use]
    pub(crate) fn view(&self) -> Arc<View> {
        self.view.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Replaces what readers see.
    pub(crate) fn set(&self, view: View) {
        *self.view.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(view);
    }
}

/// All networks by UUID.
#[derive(Debug, Default)]
pub(crate) struct Networks {
    entries: RwLock<BTreeMap<Uuid, Arc<Entry>>>,
}

impl Networks {
    /// The network with this UUID.
    #[must_use]
    pub(crate) fn get(&self, uuid: Uuid) -> Option<Arc<Entry>> {
        self.entries.read().unwrap_or_else(PoisonError::into_inner).get(&uuid).cloned()
    }

    /// The network with this name.
    #[must_use]
    pub(crate) fn by_name(&self, name: &str) -> Option<Arc<Entry>> {
        self.all().into_iter().find(|entry| entry.view().def.name == name)
    }

    /// Whether the network that a definition is for is known.
    #[must_use]
    pub(crate) fn contains(&self, def: &NetworkDef) -> bool {
        self.get(def.uuid.unwrap_or_default()).is_some()
    }

    /// All networks, by UUID.
    #[must_use]
    pub(crate) fn all(&self) -> Vec<Arc<Entry>> {
        self.entries.read().unwrap_or_else(PoisonError::into_inner).values().cloned().collect()
    }

    /// Adds a network, in place of one with the same UUID.
    pub(crate) fn insert(&self, uuid: Uuid, view: View) -> Arc<Entry> {
        let entry = Arc::new(Entry::new(view));
        let mut entries = self.entries.write().unwrap_or_else(PoisonError::into_inner);
        entries.insert(uuid, Arc::clone(&entry));
        entry
    }

    /// Brings back an entry that was forgotten while somebody waited to work on it.
    pub(crate) fn keep(&self, uuid: Uuid, entry: &Arc<Entry>) {
        let mut entries = self.entries.write().unwrap_or_else(PoisonError::into_inner);
        entries.entry(uuid).or_insert_with(|| Arc::clone(entry));
    }

    /// Forgets a network.
    pub(crate) fn remove(&self, uuid: Uuid) {
        self.entries.write().unwrap_or_else(PoisonError::into_inner).remove(&uuid);
    }
}

/// Layers of translated subnets, by network.
///
/// A subnet that overlaps with another goes to a layer of its own; the choice holds from the moment
/// a start is planned until the network has stopped.
#[derive(Debug, Default)]
pub(crate) struct Layers {
    taken: BTreeMap<Uuid, Vec<(IpNet, Layer)>>,
}

impl Layers {
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

    /// Gives the layers of a network back.
    pub(crate) fn release(&mut self, uuid: Uuid) {
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
        let mut layers = Layers::default();
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
}
