//! The serving side: calls from the wire to a driver.
//!
//! [`Daemon`] is what all connections share, [`session::Session`] the state of one. [`dispatch`] goes
//! from a packet to a call, `guard` asks the access policy, and a file per family has a short method
//! per procedure.
//!
//! A method calls the API ([`oxivirt::Connect`], [`oxivirt::Network`]) where that checks arguments or
//! access, and the driver itself where it does not: the same checks apply as to a local program.

mod absent;
mod connect;
pub mod dispatch;
mod domain;
mod domain_agent;
mod domain_stats;
mod domain_tuning;
mod events;
mod extension;
mod guard;
mod host;
mod network;
pub mod session;
mod storage;
mod streams;

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use oxivirt::{Connect, Connection, DomainDriver, HostDriver, NetworkDriver, Result};
use oxivirt_rpc::identity::Process;
use oxivirt_rpc::server::{Client, Serves, Service, Then};

pub use session::{Identity, Session};
use streams::Opened;

/// How clients of a socket authenticate.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Authentication {
    /// Not at all: every process that can open the socket may use it.
    #[default]
    None,
    /// polkit decides about each process; root is always accepted.
    Polkit,
}

impl Authentication {
    /// libvirt's number (`remote_auth_type`).
    #[must_use]
    pub const fn number(self) -> i32 {
        match self {
            Self::None => 0,
            Self::Polkit => 2,
        }
    }
}

/// Whether polkit may ask the user.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Interaction {
    /// An agent may ask for a password.
    Allowed,
    /// polkit answers without asking.
    Refused,
}

/// Decides what a process may do.
#[async_trait]
pub trait Authority: Send + Sync {
    /// Whether `subject` may do `action` to the object in `details`.
    ///
    /// # Errors
    /// [`ErrorCode::AUTH_FAILED`](oxivirt::ErrorCode::AUTH_FAILED) if not,
    /// [`ErrorCode::AUTH_UNAVAILABLE`](oxivirt::ErrorCode::AUTH_UNAVAILABLE) if no agent can ask the
    /// user, another error if the authority cannot be reached.
    async fn check(
        &self,
        subject: Process,
        action: &str,
        details: &[(&str, String)],
        interaction: Interaction,
    ) -> Result<()>;
}

/// What distinguishes the connections of one URI scheme from those of another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Profile {
    /// Scheme of its URIs.
    pub scheme: &'static str,
    /// Name of its first driver, as policies see it.
    pub driver: &'static str,
    /// Whether it is a hypervisor, whose connections have all families of objects.
    pub is_hypervisor: bool,
}

impl Profile {
    /// Networks alone, as virtnetworkd serves them.
    pub const NETWORK: Self = Self { scheme: "network", driver: "network", is_hypervisor: false };
    /// Storage pools alone, as virtstoraged serves them.
    pub const STORAGE: Self = Self { scheme: "storage", driver: "storage", is_hypervisor: false };
    /// QEMU's domains, and the other families beside them.
    pub const QEMU: Self = Self { scheme: "qemu", driver: "QEMU", is_hypervisor: true };
}

/// What answers the connections of one URI scheme.
#[derive(Debug, Clone)]
pub struct Served {
    /// Which connections.
    pub profile: Profile,
    /// Their driver.
    pub driver: Arc<dyn Connection>,
}

/// What all connections of a daemon share.
pub struct Daemon {
    /// The drivers behind the daemon, each for one URI scheme.
    pub drivers: Vec<Served>,
    /// Path that clients name in the URI: `/system` or `/session`.
    pub path: &'static str,
    /// Authenticates clients of sockets with [`Authentication::Polkit`].
    pub authority: Option<Arc<dyn Authority>>,
    /// Decides about each call; `None` allows all calls to every client.
    pub access: Option<Arc<dyn Authority>>,
    /// Observes every call.
    pub observer: Option<Arc<dyn Observer>>,
}

/// Observes calls.
pub trait Observer: Send + Sync {
    /// Records that a call of the procedure `name` took `elapsed` and whether it succeeded.
    fn called(&self, name: &'static str, elapsed: std::time::Duration, is_ok: bool);
}

impl fmt::Debug for Daemon {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Daemon").field("drivers", &self.drivers).finish_non_exhaustive()
    }
}

/// Serves libvirt's program and our own on a socket.
#[derive(Debug, Clone)]
pub struct Networks {
    /// What all connections share.
    pub daemon: Arc<Daemon>,
    /// How clients of this socket authenticate.
    pub authentication: Authentication,
}

impl Serves for Networks {
    fn connect(&self, client: &Arc<Client>) -> Box<dyn Service> {
        let session =
            Session::new(Arc::clone(&self.daemon), Arc::clone(client), self.authentication);
        Box::new(dispatch::Dispatcher::new(session))
    }
}

/// One call of one connection.
#[derive(Debug, Clone)]
struct Calls {
    session: Arc<Session>,
    /// The driver of the connection, if it is open.
    served: Option<Served>,
    closes: Arc<AtomicBool>,
    /// The stream that the call has opened.
    opened: Arc<Mutex<Option<Opened>>>,
}

impl Calls {
    fn new(session: Arc<Session>) -> Self {
        let served = session.served().ok();
        Self { session, served, closes: Arc::default(), opened: Arc::default() }
    }

    /// Whether the connection stays open after the call.
    fn then(&self) -> Then {
        if self.closes.load(Ordering::Relaxed) { Then::Close } else { Then::Continue }
    }

    /// Lets the call's packets be those of a stream, once it is answered.
    fn open_stream(&self, opened: Opened) {
        *self.opened.lock().unwrap_or_else(PoisonError::into_inner) = Some(opened);
    }

    fn take_stream(&self) -> Option<Opened> {
        self.opened.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// The API on the driver, with the access of the client.
    fn connect(&self) -> Result<Connect> {
        self.session.connect()
    }

    fn connection(&self) -> Result<&dyn Connection> {
        let served = self.served.as_ref();
        Ok(&*served.ok_or_else(|| session::not_open("connection not open"))?.driver)
    }

    /// Whether the connection is one to a hypervisor.
    fn has_domains(&self) -> bool {
        self.served.as_ref().is_some_and(|served| served.profile.is_hypervisor)
    }

    fn host(&self, api: &str) -> Result<&dyn HostDriver> {
        self.connection()?.host_driver(api)
    }

    fn domains(&self, api: &str) -> Result<&dyn DomainDriver> {
        self.connection()?.domain_driver(api)
    }

    fn networks(&self, api: &str) -> Result<&dyn NetworkDriver> {
        self.connection()?.network_driver(api)
    }
}
