//! The sockets and ports of the daemon, and what is served on each.
//!
//! All of them listen before any driver opens: clients that connect meanwhile wait instead of being refused.

pub(crate) mod activation;
pub(crate) mod ports;
pub(crate) mod sockets;

use std::sync::Arc;

use oxivirt_remote::admin::Administration;
use oxivirt_remote::serve::{Authentication, Daemon, Networks};
use oxivirt_rpc::server::accept::{AuthPolicy, Encryption};
use oxivirt_rpc::server::{Listener, Server, Socket};
use tokio::net::UnixListener;

use crate::args::Listen;
use crate::config::Config;
use crate::control::Controls;
use crate::profile::{self, Profile, Role};
use activation::ActivationError;
use ports::PortError;
use sockets::{SocketError, SocketFile};

/// Why a socket or port cannot be opened.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub(crate) enum ListenError {
    /// A socket.
    #[error(transparent)]
    Socket(#[from] SocketError),
    /// A socket of the service manager.
    #[error(transparent)]
    Activation(#[from] ActivationError),
    /// A port.
    #[error(transparent)]
    Port(#[from] PortError),
}

/// The two servers of a daemon.
pub(crate) struct Servers {
    /// The drivers' calls.
    pub(crate) main: Arc<Server>,
    /// Administration.
    pub(crate) admin: Arc<Server>,
}

impl Servers {
    pub(crate) fn new(profile: &Profile, config: &Config) -> Self {
        let admin_limits = (config.admin_server, config.admin_connection);
        Self {
            main: Server::new(profile.name, config.server, config.connection, config.workers),
            admin: Server::new("admin", admin_limits.0, admin_limits.1, config.admin_workers),
        }
    }

    /// In the order of their names.
    pub(crate) fn all(&self) -> Vec<Arc<Server>> {
        vec![Arc::clone(&self.admin), Arc::clone(&self.main)]
    }
}

/// Open sockets and ports that nothing is served on yet.
pub(crate) struct Listeners {
    sockets: Vec<(Role, UnixListener)>,
    ports: Vec<Socket>,
    files: Vec<SocketFile>,
    /// How the port with TLS encrypts.
    pub(crate) encryption: Option<Arc<Encryption>>,
}

impl Listeners {
    /// Opens the ports, if they are asked for, and the sockets: those that the service manager passed, or
    /// the daemon's own and those of `siblings` if it passed none.
    ///
    /// # Errors
    /// [`ListenError`]
    pub(crate) async fn open(
        profile: &Profile,
        config: &Config,
        listen: Listen,
        siblings: &[&str],
    ) -> Result<Self, ListenError> {
        let (ports, encryption) = match listen {
            Listen::Sockets => (Vec::new(), None),
            Listen::Ports => ports::open(&config.ports, &config.tls).await?,
        };
        let names = std::env::var_os("LISTEN_FDNAMES");
        let mut sockets = activation::take(profile, names.as_deref())?;
        let mut files = Vec::new();
        if sockets.is_empty() {
            let group = config.group.as_deref().map(sockets::group).transpose()?;
            let own = Role::ALL.map(|role| (profile.name, role));
            let calls = [Role::ReadWrite, Role::ReadOnly];
            let theirs = siblings.iter().flat_map(|name| calls.map(|role| (*name, role)));
            let wanted: Vec<_> = own.into_iter().chain(theirs).collect();
            // all are looked at before the first is replaced
            let path = |name, role| config.socket_dir.join(profile::socket(name, role));
            for (name, role) in &wanted {
                sockets::refuse_served(&path(name, *role), name)?;
            }
            for (name, role) in wanted {
                let mode = match role {
                    Role::ReadWrite => config.read_write.mode,
                    Role::ReadOnly => config.read_only.mode,
                    Role::Admin => config.admin_mode,
                };
                let path = path(name, role);
                let (listener, file) = sockets::listen(&path, mode, group, config.backlog)?;
                sockets.push((role, listener));
                files.push(file);
            }
        }
        Ok(Self { sockets, ports, files, encryption })
    }

    /// Puts the services on the sockets and ports.
    pub(crate) fn serve(
        self,
        config: &Config,
        servers: &Servers,
        daemon: &Arc<Daemon>,
        controls: &Arc<Controls>,
    ) -> (Vec<Listener>, Vec<SocketFile>) {
        let calls = |socket, authentication, read_only| Listener {
            socket,
            server: Arc::clone(&servers.main),
            serves: Arc::new(Networks { daemon: Arc::clone(daemon), authentication }),
            read_only,
            auth_policy: match authentication {
                Authentication::None => AuthPolicy::None,
                Authentication::Polkit => AuthPolicy::AllButRoot,
            },
            only_user: None,
        };
        let sockets = self.sockets.into_iter().map(|(role, listener)| {
            let socket = Socket::Unix(listener);
            match role {
                Role::ReadWrite => calls(socket, config.read_write.authentication, false),
                Role::ReadOnly => calls(socket, config.read_only.authentication, true),
                Role::Admin => Listener {
                    socket,
                    server: Arc::clone(&servers.admin),
                    serves: Arc::new(Administration { control: Arc::clone(controls) as _ }),
                    read_only: false,
                    auth_policy: AuthPolicy::None,
                    only_user: Some(nix::unistd::geteuid().as_raw()),
                },
            }
        });
        let ports = self.ports.into_iter();
        let ports = ports.map(|socket| calls(socket, Authentication::None, false));
        (sockets.chain(ports).collect(), self.files)
    }
}
