//! Serves a driver with one network on a UNIX socket and lists its networks as a client.
//!
//! `cargo run -p oxivirt-remote --example serve`; while a server like this runs, so does
//! `virsh -c 'network:///system?socket=PATH' net-list`.
#![expect(clippy::print_stdout, reason = "printing is what the example is for")]

use std::error::Error;
use std::sync::Arc;

use async_trait::async_trait;
use oxivirt::{Connect, Connection, ListFlags, NetworkDriver, NetworkRef, Registry, Result, Uuid};
use oxivirt_remote::client::{Environment, register};
use oxivirt_remote::serve::{Authentication, Daemon, Networks, Profile, Served};
use oxivirt_rpc::limits::{ConnectionLimits, ServerLimits, Workers};
use oxivirt_rpc::server::accept::AuthPolicy;
use oxivirt_rpc::server::{Listener, Server, Socket};
use tokio::net::UnixListener;

#[derive(Debug)]
struct OneNetwork;

#[async_trait]
impl Connection for OneNetwork {
    async fn uri(&self) -> Result<String> {
        Ok("network:///system".to_owned())
    }

    fn networks(&self) -> Option<&dyn NetworkDriver> {
        Some(self)
    }
}

#[async_trait]
impl NetworkDriver for OneNetwork {
    async fn list_all_networks(&self, _: ListFlags) -> Result<Vec<NetworkRef>> {
        Ok(vec![NetworkRef { name: "the only one".to_owned(), uuid: Uuid::from_u128(1) }])
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> std::result::Result<(), Box<dyn Error>> {
    let directory = tempfile::tempdir()?;
    let path = directory.path().join("socket");
    let daemon = Daemon {
        drivers: vec![Served { profile: Profile::NETWORK, driver: Arc::new(OneNetwork) }],
        path: "/system",
        authority: None,
        access: None,
        observer: None,
    };
    let (limits, connection) = (ServerLimits::default(), ConnectionLimits::default());
    let listener = Listener {
        socket: Socket::Unix(UnixListener::bind(&path)?),
        server: Server::new("example", limits, connection, Workers::default()),
        serves: Arc::new(Networks {
            daemon: Arc::new(daemon),
            authentication: Authentication::None,
        }),
        read_only: false,
        auth_policy: AuthPolicy::None,
        only_user: None,
    };
    drop(tokio::spawn(listener.run()));

    let mut registry = Registry::new();
    register(&mut registry, Environment::of_process());
    let uri = format!("network:///system?socket={}", path.display());
    let connect = Connect::builder(&registry).open(&uri).await?;
    for network in connect.list_all_networks(ListFlags::NONE).await? {
        println!("{} {}", network.name(), network.uuid());
    }
    Ok(())
}
