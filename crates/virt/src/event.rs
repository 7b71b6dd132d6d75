//! Events and who wants to hear of them.
//!
//! A driver keeps one [`Callbacks`] and calls [`Callbacks::emit`]; registrations are plain
//! functions, called on the thread which emits, so whoever needs a queue or another thread puts
//! it into the function. No lock is held while functions run: they may register and deregister.

use crate::{DhcpLease, EventId, LifecycleEvent, MetadataType, NetworkRef, UpdateSection};
use std::{
    collections::BTreeMap,
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};
use uuid::Uuid;

/// Something happened to a network.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
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
    /// Something it had lost was repaired, or could not be. Not sent to libvirt's clients.
    Healed {
        /// The network.
        network: NetworkRef,
        /// The steps that repaired it, in words.
        steps: Vec<String>,
    },
    /// Something on its host keeps it from working as one would think, though it runs. Not sent to
    /// libvirt's clients.
    Warning {
        /// The network.
        network: NetworkRef,
        /// What, in words.
        text: String,
    },
    /// A guest got, kept or gave back an address. Not sent to libvirt's clients.
    Lease {
        /// The network.
        network: NetworkRef,
        /// What happened.
        change: LeaseChange,
        /// The address and who has it.
        lease: Box<DhcpLease>,
    },
}

/// What happened to a lease.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LeaseChange {
    /// It is new.
    Added,
    /// It was prolonged, or its holder's name changed.
    Updated,
    /// It was given back or has expired.
    Removed,
}

impl Event {
    /// A lifecycle event with the usual detail.
    #[must_use]
    pub fn lifecycle(network: NetworkRef, event: LifecycleEvent) -> Self {
        Self::Lifecycle { network, event, detail: 0 }
    }

    /// Which kind of registration hears of it.
    #[must_use]
    pub fn id(&self) -> EventId {
        match self {
            Self::Lifecycle { .. } => EventId::Lifecycle,
            Self::MetadataChange { .. } => EventId::MetadataChange,
            Self::Updated { .. } => EventId::Updated,
            Self::Healed { .. } => EventId::Healed,
            Self::Warning { .. } => EventId::Warning,
            Self::Lease { .. } => EventId::Lease,
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

/// Called once per event.
pub type EventCallback = Box<dyn Fn(&Event) + Send + Sync>;

/// Names one registration of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CallbackId(pub i32);

/// The registrations of one driver.
#[derive(Default)]
pub struct Callbacks {
    inner: Mutex<Inner>,
}

#[derive(Default)]
struct Inner {
    next: i32,
    /// Ordered by age: callbacks run in the order they were registered.
    entries: BTreeMap<CallbackId, Entry>,
}

#[derive(Clone)]
struct Entry {
    id: EventId,
    network: Option<Uuid>,
    callback: Arc<dyn Fn(&Event) + Send + Sync>,
}

impl Callbacks {
    /// No registration.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Remembers `callback` for events of kind `id`, of one network or of all.
    pub fn register(
        &self,
        network: Option<&NetworkRef>,
        id: EventId,
        callback: EventCallback,
    ) -> CallbackId {
        let mut inner = self.lock();
        let key = CallbackId(inner.next);
        inner.next = inner.next.wrapping_add(1);
        let network = network.map(|network| network.uuid);
        inner.entries.insert(key, Entry { id, network, callback: Arc::from(callback) });
        key
    }

    /// Forgets a registration; whether there was one. A call of it which runs at this moment on
    /// another thread is not waited for.
    pub fn deregister(&self, key: CallbackId) -> bool {
        self.lock().entries.remove(&key).is_some()
    }

    /// Calls everyone who wants `event`.
    pub fn emit(&self, event: &Event) {
        let wanting: Vec<Entry> = {
            let inner = self.lock();
            let wants = |entry: &&Entry| {
                entry.id == event.id()
                    && entry.network.is_none_or(|uuid| uuid == event.network().uuid)
            };
            inner.entries.values().filter(wants).cloned().collect()
        };
        for entry in wanting {
            (entry.callback)(event);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        // the map is never left half changed, so a panic elsewhere does not spoil it
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Callbacks {
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

    fn recorder(tag: &'static str, sender: &mpsc::Sender<String>) -> EventCallback {
        let sender = sender.clone();
        Box::new(move |event| {
            sender.send(format!("{tag} {}", event.network())).unwrap();
        })
    }

    #[test]
    fn events_reach_those_who_asked_for_them_in_order_of_registration() {
        let callbacks = Callbacks::new();
        let (sender, receiver) = mpsc::channel();
        let (a, b) = (network("a", 1), network("b", 2));
        let all = callbacks.register(None, EventId::Lifecycle, recorder("all", &sender));
        callbacks.register(Some(&a), EventId::Lifecycle, recorder("a", &sender));
        callbacks.register(None, EventId::MetadataChange, recorder("meta", &sender));

        callbacks.emit(&Event::lifecycle(a.clone(), LifecycleEvent::Started));
        callbacks.emit(&Event::lifecycle(b.clone(), LifecycleEvent::Started));
        assert!(callbacks.deregister(all));
        assert!(!callbacks.deregister(all));
        callbacks.emit(&Event::lifecycle(a, LifecycleEvent::Stopped));
        let kind = MetadataType::Title;
        callbacks.emit(&Event::MetadataChange { network: b, kind, uri: None });

        let heard: Vec<String> = receiver.try_iter().collect();
        assert_eq!(heard, ["all a", "a a", "all b", "a a", "meta b"]);
    }

    #[test]
    fn a_callback_may_deregister_itself() {
        let callbacks = Arc::new(Callbacks::new());
        let (sender, receiver) = mpsc::channel();
        let me = Arc::clone(&callbacks);
        let first = CallbackId(0);
        let once = Box::new(move |event: &Event| {
            assert!(me.deregister(first));
            sender.send(event.id()).unwrap();
        });
        assert_eq!(callbacks.register(None, EventId::Lifecycle, once), first);
        let event = Event::lifecycle(network("a", 1), LifecycleEvent::Defined);
        callbacks.emit(&event);
        callbacks.emit(&event);
        assert_eq!(receiver.try_iter().count(), 1);
    }
}
