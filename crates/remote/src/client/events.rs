//! Delivery of a daemon's events to the callbacks of this process.
//!
//! Equal registrations share one registration at the daemon, as in libvirt's client.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use oxivirt::{
    CallbackId, LifecycleEvent, MetadataType, NetworkEvent, NetworkEventCallback, NetworkEventId,
};
use oxivirt_rpc::client::Arrived;
use oxivirt_rpc::xdr;
use uuid::Uuid;

use crate::protocol::{EVENT_LIFECYCLE, EVENT_METADATA_CHANGE, PROGRAM};
use crate::wire::{LifecycleMessage, MetadataMessage, text};

/// Most events that are kept while the answer to their registration is outstanding.
const EARLY_MAX: usize = 256;

/// What a registration is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Filter {
    pub(super) id: NetworkEventId,
    pub(super) network: Option<Uuid>,
}

#[derive(Default)]
struct Inner {
    next: i32,
    /// Whether the connection has ended; no callback is called afterwards.
    ended: bool,
    /// By the daemon's number.
    registrations: BTreeMap<i32, Registration>,
    /// Events of registrations whose answer is outstanding, by the daemon's number.
    early: Vec<(i32, NetworkEvent)>,
}

/// One callback, shared while it runs.
type Shared = Arc<dyn Fn(&NetworkEvent) + Send + Sync>;

struct Registration {
    filter: Filter,
    callbacks: BTreeMap<CallbackId, Shared>,
}

/// The registrations of one connection.
#[derive(Default)]
pub(super) struct Subscriptions {
    inner: Mutex<Inner>,
}

impl Subscriptions {
    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The daemon's number of an equal registration.
    pub(super) fn find(&self, filter: Filter) -> Option<i32> {
        let inner = self.inner();
        inner.registrations.iter().find(|(_, one)| one.filter == filter).map(|(number, _)| *number)
    }

    /// Adds a callback to the daemon's registration `number`.
    pub(super) fn add(
        &self,
        number: i32,
        filter: Filter,
        callback: NetworkEventCallback,
    ) -> CallbackId {
        let callback: Shared = Arc::from(callback);
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
        let Some((number, event)) = read(header.procedure, payload) else { return };
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

fn read(procedure: i32, payload: &[u8]) -> Option<(i32, NetworkEvent)> {
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
