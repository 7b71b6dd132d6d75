//! Events by object family, and the registrations of a driver.
//!
//! Each family has its own event type and ids, as in libvirt; [`Event`] is their sum. A driver
//! keeps one [`Callbacks`] per family and calls [`Callbacks::emit`]; registrations are plain
//! functions, called on the thread that emits. No lock is held while functions run: they may
//! register and deregister.

use oxivirt_types::domain::{DomainEventId, DomainLifecycleEvent};
use oxivirt_types::storage::{StoragePoolEventId, StoragePoolLifecycle};

use crate::{
    DhcpLease, DomainRef, LifecycleEvent, MetadataType, NetworkEventId, NetworkRef, StoragePoolRef,
    UpdateSection,
};
use std::{
    collections::BTreeMap,
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};
use uuid::Uuid;

/// An event of any object family.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Event {
    /// Of a domain.
    Domain(DomainEvent),
    /// Of a network.
    Network(NetworkEvent),
    /// Of a storage pool.
    Storage(StorageEvent),
}

impl From<DomainEvent> for Event {
    fn from(event: DomainEvent) -> Self {
        Self::Domain(event)
    }
}

impl From<NetworkEvent> for Event {
    fn from(event: NetworkEvent) -> Self {
        Self::Network(event)
    }
}

impl From<StorageEvent> for Event {
    fn from(event: StorageEvent) -> Self {
        Self::Storage(event)
    }
}

/// The event type of one object family.
pub trait FamilyEvent {
    /// What distinguishes registrations of the family.
    type Id: Copy + PartialEq;

    /// The id of registrations that receive this event.
    fn id(&self) -> Self::Id;

    /// UUID of the object that the event is about.
    fn object(&self) -> Uuid;
}

/// An event of a domain.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum DomainEvent {
    /// It was defined, started, stopped and so on.
    Lifecycle {
        /// The domain.
        domain: DomainRef,
        /// What happened.
        event: DomainLifecycleEvent,
        /// Number of the detail, whose meaning depends on the event
        /// (`virDomainEventDefinedDetailType` and its like).
        detail: i32,
    },
    /// The guest was reset.
    Reboot {
        /// The domain.
        domain: DomainRef,
    },
    /// The guest changed its clock.
    RtcChange {
        /// The domain.
        domain: DomainRef,
        /// The guest's clock minus the host's, in seconds.
        offset: i64,
    },
    /// The watchdog fired.
    Watchdog {
        /// The domain.
        domain: DomainRef,
        /// Number of what was done (`virDomainEventWatchdogAction`).
        action: i32,
    },
    /// A disk failed.
    IoError {
        /// The domain.
        domain: DomainRef,
        /// Path of the image.
        path: String,
        /// Alias of the disk.
        alias: String,
        /// Number of what was done (`virDomainEventIOErrorAction`).
        action: i32,
    },
    /// A disk failed; follows [`DomainEvent::IoError`].
    IoErrorReason {
        /// The domain.
        domain: DomainRef,
        /// Path of the image.
        path: String,
        /// Alias of the disk.
        alias: String,
        /// Number of what was done (`virDomainEventIOErrorAction`).
        action: i32,
        /// Word for the reason, `enospc` for example; empty if it is not known.
        reason: String,
    },
    /// The balloon changed the guest's memory.
    BalloonChange {
        /// The domain.
        domain: DomainRef,
        /// The guest's memory in KiB.
        actual_kib: u64,
    },
    /// A device was added.
    DeviceAdded {
        /// The domain.
        domain: DomainRef,
        /// Alias of the device.
        alias: String,
    },
    /// A device was removed.
    DeviceRemoved {
        /// The domain.
        domain: DomainRef,
        /// Alias of the device.
        alias: String,
    },
    /// The tray of a drive moved.
    TrayChange {
        /// The domain.
        domain: DomainRef,
        /// Alias of the drive.
        alias: String,
        /// 0 for opened, 1 for closed (`virDomainEventTrayChangeReason`).
        reason: i32,
    },
    /// The guest agent connected or disconnected.
    AgentLifecycle {
        /// The domain.
        domain: DomainRef,
        /// 1 for connected, 2 for disconnected
        /// (`virConnectDomainEventAgentLifecycleState`).
        state: i32,
        /// Number of the reason (`virConnectDomainEventAgentLifecycleReason`).
        reason: i32,
    },
    /// Its title, description or custom metadata changed.
    MetadataChange {
        /// The domain.
        domain: DomainRef,
        /// What changed.
        kind: MetadataType,
        /// Namespace of the changed element.
        uri: Option<String>,
    },
}

impl DomainEvent {
    /// The domain it is about.
    #[must_use]
    pub fn domain(&self) -> &DomainRef {
        match self {
            Self::Lifecycle { domain, .. }
            | Self::Reboot { domain }
            | Self::RtcChange { domain, .. }
            | Self::Watchdog { domain, .. }
            | Self::IoError { domain, .. }
            | Self::IoErrorReason { domain, .. }
            | Self::BalloonChange { domain, .. }
            | Self::DeviceAdded { domain, .. }
            | Self::DeviceRemoved { domain, .. }
            | Self::TrayChange { domain, .. }
            | Self::AgentLifecycle { domain, .. }
            | Self::MetadataChange { domain, .. } => domain,
        }
    }
}

impl FamilyEvent for DomainEvent {
    type Id = DomainEventId;

    fn id(&self) -> DomainEventId {
        match self {
            Self::Lifecycle { .. } => DomainEventId::Lifecycle,
            Self::Reboot { .. } => DomainEventId::Reboot,
            Self::RtcChange { .. } => DomainEventId::RtcChange,
            Self::Watchdog { .. } => DomainEventId::Watchdog,
            Self::IoError { .. } => DomainEventId::IoError,
            Self::IoErrorReason { .. } => DomainEventId::IoErrorReason,
            Self::BalloonChange { .. } => DomainEventId::BalloonChange,
            Self::DeviceAdded { .. } => DomainEventId::DeviceAdded,
            Self::DeviceRemoved { .. } => DomainEventId::DeviceRemoved,
            Self::TrayChange { .. } => DomainEventId::TrayChange,
            Self::AgentLifecycle { .. } => DomainEventId::AgentLifecycle,
            Self::MetadataChange { .. } => DomainEventId::MetadataChange,
        }
    }

    fn object(&self) -> Uuid {
        self.domain().uuid
    }
}

/// An event of a network.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum NetworkEvent {
    /// It was defined, undefined, started or stopped.
    Lifecycle {
        /// The network.
        network: NetworkRef,
        /// The step.
        event: LifecycleEvent,
        /// Reserved; libvirt always sends 0.
        detail: i32,
    },
    /// Its title, description or custom metadata changed.
    MetadataChange {
        /// The network.
        network: NetworkRef,
        /// What changed.
        kind: MetadataType,
        /// Namespace of the changed element.
        uri: Option<String>,
    },
    /// A part of its definition changed. Not sent to libvirt's clients, which know no such event.
    Updated {
        /// The network.
        network: NetworkRef,
        /// The part.
        section: UpdateSection,
    },
    /// A part that was missing on the host was repaired, or the repair failed. Not sent to
    /// libvirt's clients.
    Healed {
        /// The network.
        network: NetworkRef,
        /// The steps that repaired it, in words.
        steps: Vec<String>,
    },
    /// A condition of the host limits a running network. Not sent to libvirt's clients.
    Warning {
        /// The network.
        network: NetworkRef,
        /// The condition, in words.
        text: String,
    },
    /// A guest got, renewed or released an address. Not sent to libvirt's clients.
    Lease {
        /// The network.
        network: NetworkRef,
        /// What happened.
        change: LeaseChange,
        /// The address and its client.
        lease: Box<DhcpLease>,
    },
}

/// What happened to a lease.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LeaseChange {
    /// It is new.
    Added,
    /// It was renewed, or its client's name changed.
    Updated,
    /// It was released or has expired.
    Removed,
}

impl NetworkEvent {
    /// A lifecycle event with the usual detail.
    #[must_use]
    pub fn lifecycle(network: NetworkRef, event: LifecycleEvent) -> Self {
        Self::Lifecycle { network, event, detail: 0 }
    }

    /// The id of registrations that receive it.
    #[must_use]
    pub fn id(&self) -> NetworkEventId {
        match self {
            Self::Lifecycle { .. } => NetworkEventId::Lifecycle,
            Self::MetadataChange { .. } => NetworkEventId::MetadataChange,
            Self::Updated { .. } => NetworkEventId::Updated,
            Self::Healed { .. } => NetworkEventId::Healed,
            Self::Warning { .. } => NetworkEventId::Warning,
            Self::Lease { .. } => NetworkEventId::Lease,
        }
    }

    /// The network it is about.
    #[must_use]
    pub fn network(&self) -> &NetworkRef {
        match self {
            Self::Lifecycle { network, .. }
            | Self::MetadataChange { network, .. }
            | Self::Updated { network, .. }
            | Self::Healed { network, .. }
            | Self::Warning { network, .. }
            | Self::Lease { network, .. } => network,
        }
    }
}

impl FamilyEvent for NetworkEvent {
    type Id = NetworkEventId;

    fn id(&self) -> NetworkEventId {
        Self::id(self)
    }

    fn object(&self) -> Uuid {
        self.network().uuid
    }
}

/// An event of a storage pool.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum StorageEvent {
    /// It was defined, undefined, started, stopped, built or deleted.
    Lifecycle {
        /// The pool.
        pool: StoragePoolRef,
        /// The step.
        event: StoragePoolLifecycle,
        /// Reserved; libvirt always sends 0.
        detail: i32,
    },
    /// Its volumes were read again.
    Refresh {
        /// The pool.
        pool: StoragePoolRef,
    },
}

impl StorageEvent {
    /// A lifecycle event with the usual detail.
    #[must_use]
    pub fn lifecycle(pool: StoragePoolRef, event: StoragePoolLifecycle) -> Self {
        Self::Lifecycle { pool, event, detail: 0 }
    }

    /// The pool it is about.
    #[must_use]
    pub fn pool(&self) -> &StoragePoolRef {
        match self {
            Self::Lifecycle { pool, .. } | Self::Refresh { pool } => pool,
        }
    }
}

impl FamilyEvent for StorageEvent {
    type Id = StoragePoolEventId;

    fn id(&self) -> StoragePoolEventId {
        match self {
            Self::Lifecycle { .. } => StoragePoolEventId::Lifecycle,
            Self::Refresh { .. } => StoragePoolEventId::Refresh,
        }
    }

    fn object(&self) -> Uuid {
        self.pool().uuid
    }
}

/// Called once per event of a family.
pub type Callback<E> = Box<dyn Fn(&E) + Send + Sync>;

/// A [`Callback`] that may run while it is deregistered.
type Shared<E> = Arc<dyn Fn(&E) + Send + Sync>;

/// Called once per event of a domain.
pub type DomainEventCallback = Callback<DomainEvent>;

/// Called once per event of a network.
pub type NetworkEventCallback = Callback<NetworkEvent>;

/// Called once per event of a storage pool.
pub type StorageEventCallback = Callback<StorageEvent>;

/// Names one registration of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CallbackId(pub i32);

/// The registrations of one driver and family.
pub struct Callbacks<E: FamilyEvent> {
    inner: Mutex<Registrations<E>>,
}

struct Registrations<E: FamilyEvent> {
    next: i32,
    /// Ordered by age: callbacks run in the order they were registered.
    entries: BTreeMap<CallbackId, Registration<E>>,
}

struct Registration<E: FamilyEvent> {
    id: E::Id,
    object: Option<Uuid>,
    callback: Shared<E>,
}

impl<E: FamilyEvent> Registration<E> {
    fn receives(&self, event: &E) -> bool {
        self.id == event.id() && self.object.is_none_or(|uuid| uuid == event.object())
    }
}

impl<E: FamilyEvent> Default for Callbacks<E> {
    fn default() -> Self {
        Self { inner: Mutex::new(Registrations { next: 0, entries: BTreeMap::new() }) }
    }
}

impl<E: FamilyEvent> Callbacks<E> {
    /// No registration.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Registers `callback` for events with this id, of the object with this UUID or of all.
    pub fn register(&self, object: Option<Uuid>, id: E::Id, callback: Callback<E>) -> CallbackId {
        let mut inner = self.lock();
        let key = CallbackId(inner.next);
        inner.next = inner.next.wrapping_add(1);
        inner.entries.insert(key, Registration { id, object, callback: Arc::from(callback) });
        key
    }

    /// Removes a registration and returns whether it existed. A call of it that runs at this
    /// moment on another thread is not waited for.
    pub fn deregister(&self, key: CallbackId) -> bool {
        self.lock().entries.remove(&key).is_some()
    }

    /// Calls every registration that receives `event`.
    pub fn emit(&self, event: &E) {
        let receivers: Vec<Shared<E>> = {
            let inner = self.lock();
            let receivers = inner.entries.values().filter(|entry| entry.receives(event));
            receivers.map(|entry| Arc::clone(&entry.callback)).collect()
        };
        for callback in receivers {
            callback(event);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Registrations<E>> {
        // the map is never left half changed, so a panic elsewhere does not spoil it
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<E: FamilyEvent> fmt::Debug for Callbacks<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.lock().entries.keys()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc;

    fn network(name: &str, id: u128) -> NetworkRef {
        NetworkRef { name: name.to_owned(), uuid: Uuid::from_u128(id) }
    }

    fn recorder(tag: &'static str, sender: &mpsc::Sender<String>) -> NetworkEventCallback {
        let sender = sender.clone();
        Box::new(move |event| {
            sender.send(format!("{tag} {}", event.network())).unwrap();
        })
    }

    #[test]
    fn events_reach_registrations_in_order_of_registration() {
        let callbacks = Callbacks::new();
        let (sender, receiver) = mpsc::channel();
        let (a, b) = (network("a", 1), network("b", 2));
        let all = callbacks.register(None, NetworkEventId::Lifecycle, recorder("all", &sender));
        callbacks.register(Some(a.uuid), NetworkEventId::Lifecycle, recorder("a", &sender));
        callbacks.register(None, NetworkEventId::MetadataChange, recorder("meta", &sender));

        callbacks.emit(&NetworkEvent::lifecycle(a.clone(), LifecycleEvent::Started));
        callbacks.emit(&NetworkEvent::lifecycle(b.clone(), LifecycleEvent::Started));
        assert!(callbacks.deregister(all));
        assert!(!callbacks.deregister(all));
        callbacks.emit(&NetworkEvent::lifecycle(a, LifecycleEvent::Stopped));
        let kind = MetadataType::Title;
        callbacks.emit(&NetworkEvent::MetadataChange { network: b, kind, uri: None });

        let received: Vec<String> = receiver.try_iter().collect();
        assert_eq!(received, ["all a", "a a", "all b", "a a", "meta b"]);
    }

    #[test]
    fn a_callback_may_deregister_itself() {
        let callbacks = Arc::new(Callbacks::new());
        let (sender, receiver) = mpsc::channel();
        let me = Arc::clone(&callbacks);
        let first = CallbackId(0);
        let once = Box::new(move |event: &NetworkEvent| {
            assert!(me.deregister(first));
            sender.send(event.id()).unwrap();
        });
        assert_eq!(callbacks.register(None, NetworkEventId::Lifecycle, once), first);
        let event = NetworkEvent::lifecycle(network("a", 1), LifecycleEvent::Defined);
        callbacks.emit(&event);
        callbacks.emit(&event);
        assert_eq!(receiver.try_iter().count(), 1);
    }
}
