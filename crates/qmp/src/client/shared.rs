//! What calls, the connection's task and the reader of events share.

use std::collections::{BTreeMap, VecDeque};
use std::os::fd::OwnedFd;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde_json::value::RawValue;
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore, oneshot, watch};

use super::call::Request;
use super::events::{Incoming, Queue};
use crate::encode;
use crate::error::{CloseReason, Failure, ProtocolError, QmpError};
use crate::event::Event;
use crate::limits::Limits;
use crate::message::{Reply, ReplyId};

/// What QEMU answered.
pub(super) type Answer = Result<Box<RawValue>, Failure>;

/// State of a connection. Locks are held for a few instructions and never while waiting.
#[derive(Debug)]
pub(super) struct Shared {
    limits: Limits,
    state: Mutex<State>,
    events: Mutex<Queue>,
    /// An event has come, or none will.
    event_arrived: Notify,
    /// The task has something to do: bytes to send or the connection to close.
    wake: Notify,
    places: Arc<Semaphore>,
    closed: watch::Sender<Option<CloseReason>>,
}

#[derive(Debug, Default)]
struct State {
    next_id: u64,
    outgoing: VecDeque<Outgoing>,
    unanswered: BTreeMap<u64, Unanswered>,
    /// The command whose descriptors QEMU has received and may not have taken.
    descriptors_of: Option<u64>,
    unresponsive: bool,
    finished: bool,
}

/// A command none of whose bytes has been sent.
#[derive(Debug)]
pub(super) struct Outgoing {
    id: u64,
    pub(super) bytes: Vec<u8>,
    pub(super) descriptors: Vec<OwnedFd>,
}

#[derive(Debug)]
struct Unanswered {
    answer: oneshot::Sender<Answer>,
    /// Held until QEMU has answered: an abandoned command still takes a place in QEMU.
    _place: OwnedSemaphorePermit,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // No code panics while it holds one; if it did, the data would still be whole.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Shared {
    pub(super) fn new(limits: Limits) -> Self {
        Self {
            limits,
            state: Mutex::default(),
            events: Mutex::default(),
            event_arrived: Notify::new(),
            wake: Notify::new(),
            places: Arc::new(Semaphore::new(limits.in_flight.min(Semaphore::MAX_PERMITS))),
            closed: watch::Sender::new(None),
        }
    }

    pub(super) const fn limits(&self) -> &Limits {
        &self.limits
    }

    /// A place for a command; `None` when the connection has ended.
    pub(super) async fn place(&self) -> Option<OwnedSemaphorePermit> {
        Arc::clone(&self.places).acquire_owned().await.ok()
    }

    /// Queues a command and returns its id; `None` when the connection has ended.
    pub(super) fn queue(
        &self,
        request: Request,
        answer: oneshot::Sender<Answer>,
        place: OwnedSemaphorePermit,
    ) -> Option<u64> {
        let mut state = lock(&self.state);
        if state.finished {
            return None;
        }
        state.next_id += 1;
        let id = state.next_id;
        let bytes = encode::line(&request.name, &request.arguments, Some(id), request.oob);
        state.outgoing.push_back(Outgoing { id, bytes, descriptors: request.descriptors });
        state.unanswered.insert(id, Unanswered { answer, _place: place });
        drop(state);
        self.wake.notify_one();
        Some(id)
    }

    /// The next command to send, after what is being sent already if `appended`.
    ///
    /// One with descriptors is not appended, because they travel with the first byte of a write, and it
    /// comes only when QEMU has taken those before: QEMU drops descriptors that it has not taken when
    /// further ones arrive.
    ///
    /// QEMU: chardev/char-socket.c, `tcp_chr_recv`
    pub(super) fn next_outgoing(&self, appended: bool) -> Option<Outgoing> {
        let mut state = lock(&self.state);
        let next = state.outgoing.front()?;
        if !next.descriptors.is_empty() {
            if appended || state.descriptors_of.is_some() {
                return None;
            }
            state.descriptors_of = Some(next.id);
        }
        state.outgoing.pop_front()
    }

    /// Hands a reply to the call that waits for it.
    pub(super) fn answer(&self, reply: Reply) -> Result<(), ProtocolError> {
        let id = match reply.id {
            ReplyId::Number(id) => id,
            ReplyId::Other(id) => return Err(ProtocolError::UnexpectedReply { id }),
            ReplyId::Absent => {
                let id = String::from("none");
                return Err(ProtocolError::UnexpectedReply { id });
            }
        };
        let mut state = lock(&self.state);
        // Ids grow: from the first that is still here on, nothing has been sent.
        let unsent = state.outgoing.front().is_some_and(|first| id >= first.id);
        let Some(unanswered) = (!unsent).then(|| state.unanswered.remove(&id)).flatten() else {
            let id = format!("{}{id}", encode::ID_PREFIX);
            return Err(ProtocolError::UnexpectedReply { id });
        };
        if state.descriptors_of == Some(id) {
            state.descriptors_of = None;
        }
        if std::mem::take(&mut state.unresponsive) {
            tracing::info!("monitor replies again");
        }
        drop(state);
        // A call that is gone has no use for it.
        drop(unanswered.answer.send(reply.result));
        Ok(())
    }

    /// The call with this id is gone.
    pub(super) fn abandon(&self, id: u64) {
        let mut state = lock(&self.state);
        if let Ok(place) = state.outgoing.binary_search_by_key(&id, |outgoing| outgoing.id) {
            // Dropped outside the lock: closing a descriptor may take a while.
            let withdrawn = (state.outgoing.remove(place), state.unanswered.remove(&id));
            drop(state);
            drop(withdrawn);
        }
    }

    /// The deadline of this call has passed.
    pub(super) fn deadline_passed(&self, id: u64) {
        let mut state = lock(&self.state);
        if state.unanswered.contains_key(&id) {
            state.unresponsive = true;
        }
    }

    pub(super) fn is_unresponsive(&self) -> bool {
        lock(&self.state).unresponsive
    }

    pub(super) fn push_event(&self, event: Event) {
        lock(&self.events).push(event, &self.limits);
        self.event_arrived.notify_one();
    }

    pub(super) async fn next_event(&self) -> Option<Incoming> {
        loop {
            let arrived = self.event_arrived.notified();
            // Read before the queue: events come before the end.
            let ended = self.close_reason().is_some();
            if let Some(incoming) = lock(&self.events).pop() {
                return Some(incoming);
            }
            if ended {
                return None;
            }
            arrived.await;
        }
    }

    /// Ends the connection for everybody. The first reason is kept.
    pub(super) fn finish(&self, reason: CloseReason) {
        let mut state = lock(&self.state);
        if std::mem::replace(&mut state.finished, true) {
            return;
        }
        let outgoing = std::mem::take(&mut state.outgoing);
        let unanswered = std::mem::take(&mut state.unanswered);
        tracing::debug!(%reason, unanswered = unanswered.len(), "monitor connection ended");
        self.closed.send_replace(Some(reason));
        drop(state);
        drop((outgoing, unanswered));
        self.places.close();
        self.wake.notify_one();
        self.event_arrived.notify_one();
    }

    pub(super) fn close_reason(&self) -> Option<CloseReason> {
        self.closed.borrow().clone()
    }

    pub(super) fn closed_error(&self) -> QmpError {
        QmpError::Closed(self.close_reason().unwrap_or(CloseReason::Local))
    }

    pub(super) async fn closed(&self) -> CloseReason {
        let mut closed = self.closed.subscribe();
        let reason = closed.wait_for(Option::is_some).await.ok().and_then(|reason| reason.clone());
        reason.unwrap_or(CloseReason::Local)
    }

    /// Waits until there may be something to send or the connection is to be closed.
    pub(super) async fn woken(&self) {
        self.wake.notified().await;
    }
}
