//! The clients of one server and their limits.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use tokio::sync::Notify;

use crate::identity::Peer;
use crate::limits::{ConnectionLimits, ServerLimits, Workers};
use crate::server::Client;
use crate::server::client::Admission;

/// The clients of one set of procedures.
pub struct Server {
    name: String,
    inner: Mutex<Inner>,
    /// Notified when a client leaves or authenticates, when a call ends, and when limits change.
    changed: Notify,
    running: AtomicUsize,
    /// Workers that libvirt would have started so far.
    pool_size: AtomicU32,
    /// Whether a connection polls for the next call instead of sleeping.
    spinning: AtomicBool,
}

#[derive(Debug)]
struct Inner {
    limits: ServerLimits,
    workers: Workers,
    connection_limits: ConnectionLimits,
    clients: BTreeMap<u64, Arc<Client>>,
    next: u64,
    /// Accepted connections that are not clients yet.
    arriving: usize,
    /// When the last client left.
    idle_since: Instant,
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Server").field("name", &self.name).finish_non_exhaustive()
    }
}

impl Server {
    /// A server without clients.
    #[must_use]
    pub fn new(
        name: &str,
        limits: ServerLimits,
        connection_limits: ConnectionLimits,
        workers: Workers,
    ) -> Arc<Self> {
        let inner = Inner {
            limits,
            workers,
            connection_limits,
            clients: BTreeMap::new(),
            next: 1,
            arriving: 0,
            idle_since: Instant::now(),
        };
        Arc::new(Self {
            name: name.to_owned(),
            inner: Mutex::new(inner),
            changed: Notify::new(),
            running: AtomicUsize::new(0),
            pool_size: AtomicU32::new(workers.min),
            spinning: AtomicBool::new(false),
        })
    }

    /// Its name in the administration interface.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Limits of the server.
    #[must_use]
    pub fn limits(&self) -> ServerLimits {
        self.inner().limits
    }

    /// Limits of new connections.
    #[must_use]
    pub fn connection_limits(&self) -> ConnectionLimits {
        self.inner().connection_limits
    }

    /// Changes the limits; existing clients stay connected.
    pub fn set_limits(&self, limits: ServerLimits) {
        self.inner().limits = limits;
        self.changed.notify_waiters();
    }

    /// The configured workers.
    #[must_use]
    pub fn workers(&self) -> Workers {
        self.inner().workers
    }

    /// Sets the workers; the pool grows to the new minimum or shrinks to the new maximum at once.
    pub fn set_workers(&self, workers: Workers) {
        let mut inner = self.inner();
        inner.workers = workers;
        let size = self.pool_size.load(Ordering::Relaxed).max(workers.min).min(workers.max);
        self.pool_size.store(size, Ordering::Relaxed);
    }

    /// The number of workers, and how many of them are free.
    ///
    /// Calls need no workers here; the numbers are those of libvirt's pool with the same calls, which
    /// starts a worker when a call finds none free and ends one only when the maximum is lowered.
    ///
    /// libvirt 11.3.0: src/util/virthreadpool.c
    #[must_use]
    pub fn pool(&self) -> (u32, u32) {
        let size = self.pool_size.load(Ordering::Relaxed);
        let running = u32::try_from(self.running()).unwrap_or(u32::MAX);
        (size, size.saturating_sub(running))
    }

    /// The clients, in the order in which they connected, without those whose connection is being closed.
    #[must_use]
    pub fn clients(&self) -> Vec<Arc<Client>> {
        self.inner().open().cloned().collect()
    }

    /// The client with this number, unless its connection is being closed.
    #[must_use]
    pub fn client(&self, id: u64) -> Option<Arc<Client>> {
        self.inner().clients.get(&id).filter(|client| !client.is_closing()).cloned()
    }

    /// The number of clients, and how many of them are not authenticated.
    #[must_use]
    pub fn counts(&self) -> (usize, usize) {
        let inner = self.inner();
        let anonymous = inner.open().filter(|client| !client.is_authenticated()).count();
        (inner.open().count(), anonymous)
    }

    /// Since when there has been no client; `None` while there is one.
    #[must_use]
    pub fn idle_since(&self) -> Option<Instant> {
        let inner = self.inner();
        inner.clients.is_empty().then_some(inner.idle_since)
    }

    /// Number of running calls.
    #[must_use]
    pub fn running(&self) -> usize {
        self.running.load(Ordering::Relaxed)
    }

    /// Whether a connection may poll for its next call. One at a time: polling costs processor time and
    /// pays off only while nothing else runs.
    pub(super) fn start_spinning(&self) -> bool {
        !self.spinning.swap(true, Ordering::Relaxed)
    }

    pub(super) fn stop_spinning(&self) {
        self.spinning.store(false, Ordering::Relaxed);
    }

    pub(super) fn call_started(&self) {
        let running = self.running.fetch_add(1, Ordering::Relaxed) + 1;
        let running = u32::try_from(running).unwrap_or(u32::MAX);
        if running > self.pool_size.load(Ordering::Relaxed) {
            let inner = self.inner();
            self.pool_size.fetch_max(running.min(inner.workers.max), Ordering::Relaxed);
        }
    }

    pub(super) fn call_ended(&self) {
        self.running.fetch_sub(1, Ordering::Relaxed);
        self.changed.notify_waiters();
    }

    /// Waits until no call runs.
    pub async fn idle(&self) {
        loop {
            let changed = self.changed.notified();
            tokio::pin!(changed);
            changed.as_mut().enable();
            if self.running() == 0 {
                return;
            }
            changed.await;
        }
    }

    /// Waits until the limits allow another client.
    pub async fn wait_capacity(&self) {
        loop {
            let changed = self.changed.notified();
            tokio::pin!(changed);
            changed.as_mut().enable();
            if self.inner().has_capacity() {
                return;
            }
            changed.await;
        }
    }

    /// Counts an accepted connection against the limits until it becomes a client or ends.
    #[must_use]
    pub(super) fn arrive(self: &Arc<Self>) -> Arriving {
        self.inner().arriving += 1;
        Arriving(Arc::clone(self))
    }

    /// Adds a client; [`Server::remove`] removes it.
    pub fn add(self: &Arc<Self>, peer: Peer, admission: Admission) -> Arc<Client> {
        // `Client::new` reads the limits, so the lock must not be held
        let id = {
            let mut inner = self.inner();
            let id = inner.next;
            inner.next += 1;
            id
        };
        let client = Arc::new(Client::new(self, id, peer, admission));
        self.inner().clients.insert(id, Arc::clone(&client));
        client
    }

    /// Removes a client.
    pub fn remove(&self, id: u64) {
        let mut inner = self.inner();
        inner.clients.remove(&id);
        inner.idle_since = Instant::now();
        drop(inner);
        self.changed.notify_waiters();
    }

    pub(super) fn authenticated(&self) {
        self.changed.notify_waiters();
    }

    /// Closes all connections.
    pub fn close_all(&self) {
        for client in self.clients() {
            client.close();
        }
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    fn open(&self) -> impl Iterator<Item = &Arc<Client>> {
        self.clients.values().filter(|client| !client.is_closing())
    }

    fn anonymous(&self) -> usize {
        self.clients.values().filter(|client| !client.is_authenticated()).count()
    }

    fn has_capacity(&self) -> bool {
        let ServerLimits { clients, anonymous } = self.limits;
        self.clients.len() + self.arriving < clients
            && (anonymous == 0 || self.anonymous() + self.arriving < anonymous)
    }
}

/// See [`Server::arrive`].
pub(super) struct Arriving(Arc<Server>);

impl Drop for Arriving {
    fn drop(&mut self) {
        self.0.inner().arriving -= 1;
        self.0.changed.notify_waiters();
    }
}
