//! The sockets and ports, and what is served behind each.

use std::sync::Arc;

use oxivirt_remote::admin::Administration;
use oxivirt_remote::serve::{Authentication, Daemon, Networks};
use oxivirt_rpc::server::accept::{Anonymity, Encryption};
use oxivirt_rpc::server::{Listener, Server, Socket};
use tokio::net::UnixListener;

use crate::activation::{self, Role};
use crate::config::Config;
use crate::control::Controls;
use crate::ports;
use crate::run::RunError;
use crate::sockets::{self, SocketFile};

/// The two servers of a daemon.
pub(crate) struct Servers {
    /// Networks.
    pub(crate) main: Arc<Server>,
    /// Administration.
    pub(crate) admin: Arc<Server>,
}

impl Servers {
    pub(crate) fn new(config: &Config) -> Self {
        let admin_limits = (config.admin_server, config.admin_connection);
        Self {
            main: Server::new("virtnetworkd", config.server, config.connection, config.workers),
            admin: Server::new("admin", admin_limits.0, admin_limits.1, config.admin_workers),
        }
    }
}

/// Open sockets that nobody is served on yet.
pub(crate) struct Doors {
    sockets: Vec<(Role, UnixListener)>,
    ports: Vec<Socket>,
    files: Vec<SocketFile>,
}

impl Doors {
    /// The sockets of the service manager if it opened any, else our own.
    ///
    /// # Errors
    /// [`RunError`]
    pub(crate) fn open(config: &Config) -> Result<Self, RunError> {
        let names = std::env::var_os("LISTEN_FDNAMES");
        let mut doors = Self { sockets: Vec::new(), ports: Vec::new(), files: Vec::new() };
        doors.sockets = activation::take(names.as_deref())?;
        if !doors.sockets.is_empty() {
            return Ok(doors);
        }
        let group = config.group.as_deref().map(sockets::group).transpose()?;
        for (role, name, mode) in [
            (Role::ReadWrite, "virtnetworkd-sock", config.read_write.mode),
            (Role::ReadOnly, "virtnetworkd-sock-ro", config.read_only.mode),
            (Role::Admin, "virtnetworkd-admin-sock", config.admin_mode),
        ] {
            let path = config.socket_dir.join(name);
            let (listener, file) = sockets::listen(&path, mode, group, config.backlog)?;
            doors.sockets.push((role, listener));
            doors.files.push(file);
        }
        Ok(doors)
    }

    /// Opens the ports too; how the encrypted one encrypts.
    ///
    /// # Errors
    /// [`RunError`]
    pub(crate) async fn open_ports(
        &mut self,
        config: &Config,
    ) -> Result<Option<Arc<Encryption>>, RunError> {
        let (opened, encryption) = ports::open(&config.ports, &config.tls).await?;
        self.ports = opened;
        Ok(encryption)
    }

    /// Puts the services behind the doors.
    pub(crate) fn listeners(
        self,
        config: &Config,
        servers: &Servers,
        daemon: &Arc<Daemon>,
        controls: &Arc<Controls>,
    ) -> (Vec<Listener>, Vec<SocketFile>) {
        let networks = |socket, authentication, read_only| Listener {
            socket,
            server: Arc::clone(&servers.main),
            serves: Arc::new(Networks { daemon: Arc::clone(daemon), authentication }),
            read_only,
            anonymity: match authentication {
                Authentication::None => Anonymity::Nobody,
                Authentication::Polkit => Anonymity::AllButRoot,
            },
            only_user: None,
        };
        let sockets = self.sockets.into_iter().map(|(role, listener)| {
            let socket = Socket::Unix(listener);
            match role {
                Role::ReadWrite => networks(socket, config.read_write.authentication, false),
                Role::ReadOnly => networks(socket, config.read_only.authentication, true),
                Role::Admin => Listener {
                    socket,
                    server: Arc::clone(&servers.admin),
                    serves: Arc::new(Administration { control: Arc::clone(controls) as _ }),
                    read_only: false,
                    anonymity: Anonymity::Nobody,
                    only_user: Some(nix::unistd::geteuid().as_raw()),
                },
            }
        });
        let ports = self.ports.into_iter();
        let ports = ports.map(|socket| networks(socket, Authentication::None, false));
        (sockets.chain(ports).collect(), self.files)
    }
}
