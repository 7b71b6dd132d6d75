//! One client: its identity, and the packets that wait to be sent to it.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use tokio::sync::{Notify, oneshot};

use crate::identity::Peer;
use crate::limits::ConnectionLimits;
use crate::server::registry::Server;

/// What the listening socket decides about a client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Admission {
    /// Whether calls that change something are refused.
    pub read_only: bool,
    /// Whether it counts as authenticated from the start.
    pub authenticated: bool,
}

/// A connected client, as its connection, its service and the administrator see it.
#[derive(Debug)]
pub struct Client {
    /// Counted over the life of a server, from 1.
    pub id: u64,
    /// When it connected.
    pub since: SystemTime,
    /// Its process or address.
    pub peer: Peer,
    /// Whether it connected to a read-only socket.
    pub read_only: bool,
    /// Its limits.
    pub limits: ConnectionLimits,
    server: Arc<Server>,
    authenticated: AtomicBool,
    called: AtomicBool,
    keepalive: AtomicBool,
    outbox: Mutex<Outbox>,
    /// Wakes the task of the connection after a change of the outbox or of `keepalive`.
    pub(super) wake: Notify,
}

#[derive(Debug, Default)]
struct Outbox {
    packets: VecDeque<Vec<u8>>,
    bytes: usize,
    closing: bool,
    /// Dropped when the queue is emptied.
    waiting: Vec<oneshot::Sender<()>>,
}

impl Client {
    pub(super) fn new(server: &Arc<Server>, id: u64, peer: Peer, admission: Admission) -> Self {
        Self {
            id,
            since: SystemTime::now(),
            peer,
            read_only: admission.read_only,
            limits: server.connection_limits(),
            server: Arc::clone(server),
            authenticated: AtomicBool::new(admission.authenticated),
            called: AtomicBool::new(false),
            keepalive: AtomicBool::new(false),
            outbox: Mutex::default(),
            wake: Notify::new(),
        }
    }

    /// The server it belongs to.
    #[must_use]
    pub fn server(&self) -> &Arc<Server> {
        &self.server
    }

    /// Whether it is authenticated.
    #[must_use]
    pub fn is_authenticated(&self) -> bool {
        self.authenticated.load(Ordering::Acquire)
    }

    /// Marks it as authenticated.
    pub fn authenticate(&self) {
        if !self.authenticated.swap(true, Ordering::AcqRel) {
            self.server.authenticated();
        }
    }

    /// Starts to send keepalive pings, after the client has shown that it supports them.
    pub fn start_keepalive(&self) {
        self.keepalive.store(true, Ordering::Release);
        self.wake.notify_one();
    }

    /// Whether a call of it has been received. libvirt establishes a client's identity with its first call.
    #[must_use]
    pub fn has_called(&self) -> bool {
        self.called.load(Ordering::Relaxed)
    }

    pub(super) fn received_call(&self) {
        self.called.store(true, Ordering::Relaxed);
    }

    pub(super) fn wants_keepalive(&self) -> bool {
        self.keepalive.load(Ordering::Acquire)
    }

    /// Queues an event. A client that does not read its events is disconnected once they exceed
    /// [`ConnectionLimits::events`].
    pub fn send(&self, packet: Vec<u8>) {
        let mut outbox = self.outbox();
        if outbox.closing {
            return;
        }
        outbox.bytes += packet.len();
        outbox.packets.push_back(packet);
        if outbox.bytes > self.limits.events {
            tracing::warn!(client = self.id, "disconnecting client: it does not read its events");
            outbox.packets = VecDeque::new();
            outbox.closing = true;
            outbox.waiting.clear();
        }
        drop(outbox);
        self.wake.notify_one();
    }

    /// Queues a packet of a stream and waits until the client has read so much that it is being written.
    /// Whether the client is still there. It does not count as an unread event, since its sender waits.
    pub async fn send_data(&self, packet: Vec<u8>) -> bool {
        let written = {
            let mut outbox = self.outbox();
            if outbox.closing {
                return false;
            }
            let (sender, receiver) = oneshot::channel();
            outbox.packets.push_back(packet);
            outbox.waiting.push(sender);
            receiver
        };
        self.wake.notify_one();
        // its sender is only ever dropped
        drop(written.await);
        !self.outbox().closing
    }

    /// Ends its connection.
    pub fn close(&self) {
        let mut outbox = self.outbox();
        outbox.closing = true;
        outbox.waiting.clear();
        drop(outbox);
        self.wake.notify_one();
    }

    /// Whether the connection is being closed.
    pub(super) fn is_closing(&self) -> bool {
        self.outbox().closing
    }

    /// Moves what is queued to `out`.
    pub(super) fn drain(&self, out: &mut Vec<u8>) {
        let mut outbox = self.outbox();
        for packet in outbox.packets.drain(..) {
            out.extend_from_slice(&packet);
        }
        outbox.bytes = 0;
        outbox.waiting.clear();
    }

    fn outbox(&self) -> MutexGuard<'_, Outbox> {
        self.outbox.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
