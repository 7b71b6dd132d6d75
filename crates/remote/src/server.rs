//! The serving side: calls from the wire to a driver.
//!
//! [`Daemon`] is what all connections share, [`session::Session`] the state of one, [`calls`] has a short method
//! per procedure, [`dispatch`] goes from a packet to one of them.

pub mod calls;
pub mod dispatch;
pub mod events;
mod guard;
pub mod session;

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use oxivirt::{Connection, Error};
use oxivirt_rpc::identity::Process;
use oxivirt_rpc::server::{Client, Serves, Service};

pub use session::{Identity, Session};

/// How clients of a socket say who they are.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Authentication {
    /// Whoever can reach the socket may use it.
    #[default]
    None,
    /// The system's policy decides about each process; root is let in.
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

/// Whether the policy may ask the user.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Interaction {
    /// An agent may ask for a password.
    Allowed,
    /// The answer is given without asking.
    Refused,
}

/// Decides what a process may do.
#[async_trait]
pub trait Authority: Send + Sync {
    /// Whether `subject` may do `action`, of which `details` say more.
    ///
    /// # Errors
    /// Number 45 if not, 94 if nobody could ask the user, others if the authority cannot be reached.
    async fn check(
        &self,
        subject: Process,
        action: &str,
        details: &[(&str, String)],
        interaction: Interaction,
    ) -> Result<(), Error>;
}

/// What all connections of a daemon share.
pub struct Daemon {
    /// Who does the work.
    pub driver: Arc<dyn Connection>,
    /// Path that clients name in the URI: `/system` or `/session`.
    pub path: &'static str,
    /// Who decides, where somebody has to.
    pub authority: Option<Arc<dyn Authority>>,
    /// Who decides about each call; everybody who got in may make all calls if there is nobody.
    pub access: Option<Arc<dyn Authority>>,
    /// Told of every call.
    pub observer: Option<Arc<dyn Observer>>,
}

/// Hears of calls.
pub trait Observer: Send + Sync {
    /// A call of the procedure `name` has taken `elapsed`, and whether it succeeded.
    fn called(&self, name: &'static str, elapsed: std::time::Duration, is_ok: bool);
}

impl fmt::Debug for Daemon {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Daemon").field("driver", &self.driver).finish_non_exhaustive()
    }
}

/// Serves the network procedures on a socket.
#[derive(Debug, Clone)]
pub struct Networks {
    /// What all connections share.
    pub daemon: Arc<Daemon>,
    /// How clients of this socket say who they are.
    pub authentication: Authentication,
}

impl Serves for Networks {
    fn connect(&self, client: &Arc<Client>) -> Box<dyn Service> {
        let session =
            Session::new(Arc::clone(&self.daemon), Arc::clone(client), self.authentication);
        Box::new(dispatch::Dispatcher::new(session))
    }
}
