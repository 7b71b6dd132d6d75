//! One client: who it is, what waits to be sent to it.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use tokio::sync::Notify;

use crate::identity::Peer;
use crate::limits::ConnectionLimits;
use crate::server::registry::Server;

/// How a client came in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Entrance {
    /// Whether it may only look.
    pub read_only: bool,
    /// Whether it need not say who it is.
    pub known: bool,
}

/// A connected client, as its connection, its service and the administrator see it.
#[derive(Debug)]
pub struct Client {
    /// Counts up over the life of a server, from 1.
    pub id: u64,
    /// When it came.
    pub since: SystemTime,
    /// Who it is.
    pub peer: Peer,
    /// Whether it came in by a socket that changes nothing.
    pub read_only: bool,
    /// What it may use.
    pub limits: ConnectionLimits,
    server: Arc<Server>,
    authenticated: AtomicBool,
    called: AtomicBool,
    keepalive: AtomicBool,
    outbox: Mutex<Outbox>,
    /// The connection looks at the outbox and at `closing` when told.
    pub(super) told: Notify,
}

#[derive(Debug, Default)]
struct Outbox {
    packets: VecDeque<Vec<u8>>,
    bytes: usize,
    closing: bool,
}

impl Client {
    pub(super) fn new(server: &Arc<Server>, id: u64, peer: Peer, entrance: Entrance) -> Self {
        Self {
            id,
            since: SystemTime::now(),
            peer,
            read_only: entrance.read_only,
            limits: server.connection_limits(),
            server: Arc::clone(server),
            authenticated: AtomicBool::new(entrance.known),
            called: AtomicBool::new(false),
            keepalive: AtomicBool::new(false),
            outbox: Mutex::default(),
            told: Notify::new(),
        }
    }

    /// The server it belongs to.
    #[must_use]
    pub fn server(&self) -> &Arc<Server> {
        &self.server
    }

    /// Whether it has said who it is, or need not.
    #[must_use]
    pub fn is_authenticated(&self) -> bool {
        self.authenticated.load(Ordering::Acquire)
    }

    /// It has said who it is.
    pub fn authenticate(&self) {
        if !self.authenticated.swap(true, Ordering::AcqRel) {
            self.server.authenticated();
        }
    }

    /// It understands signs of life: from now on it is asked for them.
    pub fn start_keepalive(&self) {
        self.keepalive.store(true, Ordering::Release);
        self.told.notify_one();
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

    /// Queues a packet that answers no call. A client that does not take its events is dropped rather than
    /// waited for or remembered without bound.
    pub fn send(&self, packet: Vec<u8>) {
        let mut outbox = self.outbox();
        if outbox.closing {
            return;
        }
        outbox.bytes += packet.len();
        outbox.packets.push_back(packet);
        if outbox.bytes > self.limits.events {
            tracing::warn!(client = self.id, "a client does not read its events, it is dropped");
            outbox.packets = VecDeque::new();
            outbox.closing = true;
        }
        drop(outbox);
        self.told.notify_one();
    }

    /// Ends its connection.
    pub fn close(&self) {
        self.outbox().closing = true;
        self.told.notify_one();
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
    }

    fn outbox(&self) -> MutexGuard<'_, Outbox> {
        self.outbox.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
