//! Delivery of a daemon's events to the callbacks of this process.
//!
//! Equal registrations share one registration at the daemon, as in libvirt's client.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use oxivirt::{
    Callback, CallbackId, DomainEvent, FamilyEvent, LifecycleEvent, MetadataType, NetworkEvent,
    StorageEvent, StoragePoolLifecycle,
};
use oxivirt_rpc::client::Arrived;
use oxivirt_rpc::xdr;
use uuid::Uuid;

use crate::protocol::{
    EVENT_LIFECYCLE, EVENT_METADATA_CHANGE, EVENT_STORAGE_LIFECYCLE, EVENT_STORAGE_REFRESH, PROGRAM,
};
use crate::wire::{
    self, DomainEventNumber, LifecycleMessage, MetadataMessage, StorageLifecycleMessage,
    StorageRefreshMessage, text,
};

/// Most events that are kept while the answer to their registration is outstanding.
const EARLY_MAX: usize = 256;

/// What a registration is for: the kind of events and the object, or all of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Filter<Id> {
    pub(super) id: Id,
    pub(super) object: Option<Uuid>,
}

struct Inner<E: FamilyEvent> {
    next: i32,
    /// Whether the connection has ended; no callback is called afterwards.
    ended: bool,
    /// By the daemon's number.
    registrations: BTreeMap<i32, Registration<E>>,
    /// Events of registrations whose answer is outstanding, by the daemon's number.
    early: Vec<(i32, E)>,
}

/// One callback, shared while it runs.
type Shared<E> = Arc<dyn Fn(&E) + Send + Sync>;

struct Registration<E: FamilyEvent> {
    filter: Filter<E::Id>,
    callbacks: BTreeMap<CallbackId, Shared<E>>,
}

/// Reads a message: the daemon's number of its registration, and the event.
type Read<E> = fn(i32, &[u8]) -> Option<(i32, E)>;

/// The registrations of one connection for the events of one family.
pub(super) struct Subscriptions<E: FamilyEvent> {
    read: Read<E>,
    inner: Mutex<Inner<E>>,
}

impl<E: FamilyEvent> Subscriptions<E> {
    /// No registrations.
    pub(super) fn new(read: Read<E>) -> Self {
        let (registrations, early) = (BTreeMap::new(), Vec::new());
        Self { read, inner: Mutex::new(Inner { next: 0, ended: false, registrations, early }) }
    }

    fn inner(&self) -> MutexGuard<'_, Inner<E>> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The daemon's number of an equal registration.
    pub(super) fn find(&self, filter: Filter<E::Id>) -> Option<i32> {
        let inner = self.inner();
        inner
            .registrations
            .iter()
            .find(|(_, one)| one.filter.id == filter.id && one.filter.object == filter.object)
            .map(|(number, _)| *number)
    }

    /// Adds a callback to the daemon's registration `number`.
    pub(super) fn add(
        &self,
        number: i32,
        filter: Filter<E::Id>,
        callback: Callback<E>,
    ) -> CallbackId {
        let callback: Shared<E> = Arc::from(callback);
        let mut inner = self.inner();
        let id = CallbackId(inner.next);
        inner.next = inner.next.wrapping_add(1);
        if inner.ended {
            return id;
        }
        let registration = inner
            .registrations
            .entry(number)
            .or_insert_with(|| Registration { filter, callbacks: BTreeMap::new() });
        registration.callbacks.insert(id, Arc::clone(&callback));
        let early = inner.early.extract_if(.., |(of, _)| *of == number).collect::<Vec<_>>();
        drop(inner);
        for (_, event) in early {
            callback(&event);
        }
        id
    }

    /// Removes a callback: whether there was one, and the daemon's number if it was the last.
    pub(super) fn remove(&self, id: CallbackId) -> Option<Option<i32>> {
        let mut inner = self.inner();
        let (number, registration) = inner
            .registrations
            .iter_mut()
            .find(|(_, registration)| registration.callbacks.contains_key(&id))?;
        let number = *number;
        registration.callbacks.remove(&id);
        if !registration.callbacks.is_empty() {
            return Some(None);
        }
        inner.registrations.remove(&number);
        Some(Some(number))
    }

    /// Drops all callbacks, at the end of the connection.
    pub(super) fn end(&self) {
        let mut inner = self.inner();
        inner.ended = true;
        let all = std::mem::take(&mut inner.registrations);
        drop(inner);
        drop(all);
    }

    /// Hands an event on; what is no event of ours is dropped.
    pub(super) fn arrived(&self, (header, payload): &Arrived) {
        if header.program != PROGRAM {
            return;
        }
        let Some((number, event)) = (self.read)(header.procedure, payload) else { return };
        let callbacks: Vec<_> = {
            let mut inner = self.inner();
            match inner.registrations.get(&number) {
                Some(registration) => registration.callbacks.values().cloned().collect(),
                None if inner.early.len() < EARLY_MAX => {
                    inner.early.push((number, event));
                    return;
                }
                None => return,
            }
        };
        for callback in callbacks {
            callback(&event);
        }
    }
}

/// Reads a message about a domain. Registrations here are always numbered.
pub(super) fn read_domain_event(procedure: i32, payload: &[u8]) -> Option<(i32, DomainEvent)> {
    match wire::read_domain_event(procedure, payload)? {
        (DomainEventNumber::Callback(number), event) => Some((number, event)),
        (DomainEventNumber::Bare, _) => None,
    }
}

/// Reads a message about a storage pool.
pub(super) fn read_storage_event(procedure: i32, payload: &[u8]) -> Option<(i32, StorageEvent)> {
    match procedure {
        EVENT_STORAGE_LIFECYCLE => {
            let message: StorageLifecycleMessage = xdr::from_bytes(payload).ok()?;
            let pool = (&message.pool).into();
            let event = StoragePoolLifecycle::from_number(message.event);
            let event = StorageEvent::Lifecycle { pool, event, detail: message.detail };
            Some((message.callback_id, event))
        }
        EVENT_STORAGE_REFRESH => {
            let message: StorageRefreshMessage = xdr::from_bytes(payload).ok()?;
            Some((message.callback_id, StorageEvent::Refresh { pool: (&message.pool).into() }))
        }
        _ => None,
    }
}

/// Reads a message about a network.
pub(super) fn read_network_event(procedure: i32, payload: &[u8]) -> Option<(i32, NetworkEvent)> {
    match procedure {
        EVENT_LIFECYCLE => {
            let message: LifecycleMessage = xdr::from_bytes(payload).ok()?;
            let network = (&message.net).into();
            let event = LifecycleEvent::from_number(message.event);
            let event = NetworkEvent::Lifecycle { network, event, detail: message.detail };
            Some((message.callback_id, event))
        }
        EVENT_METADATA_CHANGE => {
            let message: MetadataMessage = xdr::from_bytes(payload).ok()?;
            let event = NetworkEvent::MetadataChange {
                network: (&message.net).into(),
                kind: MetadataType::from_number(message.kind),
                uri: text(message.nsuri.as_ref()),
            };
            Some((message.callback_id, event))
        }
        _ => None,
    }
}
