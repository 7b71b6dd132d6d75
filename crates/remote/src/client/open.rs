//! Finds the daemon that a URI means, and opens a connection to it.

use std::io;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::AtomicI32;

use async_trait::async_trait;
use oxivirt::{
    Access, Connection, DriverOpener, Error, ErrorCode, ErrorDomain, OpenOptions, Registry, Result,
    Uri,
};
use oxivirt_rpc::client::{self, Incoming, Outgoing};
use oxivirt_rpc::tls::{self, Files, TlsError, Verify, WELCOME};
use tokio::io::AsyncReadExt as _;
use tokio::net::TcpStream;
use tokio::sync::OnceCell;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::pki_types::ServerName;

use super::autostart;
use super::environment::Environment;
use super::events::{Subscriptions, read_domain_event, read_network_event, read_storage_event};
use super::streams::Streams;
use super::transport::Shared;
use super::unix::unix;
use super::{RemoteDriver, Secrecy};
use crate::protocol::Family;
use crate::protocol::connect::ConnectCallsClient;
use crate::protocol::domain::DomainCallsClient;
use crate::protocol::domain_agent::DomainAgentCallsClient;
use crate::protocol::domain_device::DomainDeviceCallsClient;
use crate::protocol::domain_stats::DomainStatsCallsClient;
use crate::protocol::domain_tuning::DomainTuningCallsClient;
use crate::protocol::extension::ExtensionCallsClient;
use crate::protocol::host::HostCallsClient;
use crate::protocol::network::NetworkCallsClient;
use crate::protocol::qemu::QemuCallsClient;
use crate::protocol::storage::StorageCallsClient;
use crate::uri::{self, Ssh, Transport};

/// Adds the driver of daemons to the drivers of a program.
pub fn register(registry: &mut Registry, environment: Environment) {
    registry.register(Opener { environment });
}

struct Opener {
    environment: Environment,
}

#[async_trait]
impl DriverOpener for Opener {
    fn name(&self) -> &str {
        "remote"
    }

    fn accepts(&self, uri: &Uri) -> bool {
        uri::is_remote(uri)
    }

    async fn open(&self, uri: &Uri, options: &OpenOptions) -> Result<Arc<dyn Connection>> {
        let target = uri::resolve(uri, options.access, &self.environment)?;
        let (parts, secrecy) = connect(&target.transport, &self.environment).await?;
        let mut driver = RemoteDriver::start(parts, secrecy, uri.as_str().to_owned());
        driver.deadline = options.deadline;
        driver.negotiate(&target.name, options.access).await
    }
}

pub(super) type Parts = (Outgoing, Incoming);

fn system(error: &io::Error, what: String) -> Error {
    Error::io(ErrorDomain::RPC, error, what)
}

async fn connect(transport: &Transport, around: &Environment) -> Result<(Parts, Secrecy)> {
    match transport {
        Transport::Unix { path, starts: true } => {
            let stream = autostart::connect(path, around).await?;
            Ok((client::start(stream), Secrecy::Local))
        }
        Transport::Unix { path, starts: false } => {
            let what = || format!("Failed to connect socket to '{}'", path.display());
            let stream = unix(path).await.map_err(|error| system(&error, what()))?;
            Ok((client::start(stream), Secrecy::Local))
        }
        Transport::Tcp { host, port } => {
            Ok((client::start(tcp(host, *port).await?), Secrecy::None))
        }
        Transport::Tls { host, port, unverified, pki } => {
            let verify = if *unverified { Verify::Nothing } else { Verify::Peer };
            let files = certificates(pki.as_deref(), around);
            let stream = encrypted(host, *port, &files, verify).await?;
            Ok((client::start(stream), Secrecy::Encrypted))
        }
        Transport::Ssh(call) => Ok((client::start(ssh(call)?), Secrecy::Encrypted)),
    }
}

async fn tcp(host: &str, port: u16) -> Result<TcpStream> {
    let what = || format!("unable to connect to server at '{host}:{port}'");
    let stream = TcpStream::connect((host, port)).await.map_err(|error| system(&error, what()))?;
    drop(stream.set_nodelay(true));
    Ok(stream)
}

/// Locations of certificates: the given directory, else the user's, else the system's.
fn certificates(pki: Option<&Path>, around: &Environment) -> Files {
    let in_dir = |dir: &Path| Files {
        ca: dir.join("cacert.pem"),
        crl: Some(dir.join("cacrl.pem")),
        own: pair(dir.join("clientcert.pem"), dir.join("clientkey.pem")),
    };
    if let Some(dir) = pki {
        return in_dir(dir);
    }
    let system = Files {
        ca: "/etc/pki/CA/cacert.pem".into(),
        crl: Some("/etc/pki/CA/cacrl.pem".into()),
        own: pair(
            "/etc/pki/libvirt/clientcert.pem".into(),
            "/etc/pki/libvirt/private/clientkey.pem".into(),
        ),
    };
    let home = around.path("HOME").filter(|_| !around.is_root);
    let Some(home) = home else { return system };
    let user = in_dir(&home.join(".pki/libvirt"));
    Files {
        ca: if user.ca.exists() { user.ca } else { system.ca },
        crl: user.crl.filter(|path| path.exists()).or(system.crl),
        own: user.own.or(system.own),
    }
}

/// Certificate and key, if both files exist.
fn pair(cert: PathBuf, key: PathBuf) -> Option<(PathBuf, PathBuf)> {
    (cert.exists() && key.exists()).then_some((cert, key))
}

/// A failure of TLS, with the message of the library or the check that found it.
fn tls_error(detail: impl Into<String>) -> Error {
    Error::plain(ErrorCode::GNUTLS_ERROR, ErrorDomain::RPC, detail)
}

async fn encrypted(
    host: &str,
    port: u16,
    files: &Files,
    verify: Verify,
) -> Result<tokio_rustls::client::TlsStream<TcpStream>> {
    let config = tls::client(files, verify).map_err(|error| match error {
        TlsError::Read { ref path, ref source } => {
            system(source, format!("Cannot read '{}'", path.display()))
        }
        other => {
            let cause = std::error::Error::source(&other).map(ToString::to_string);
            tls_error(format!("{other}: {}", cause.unwrap_or_default()))
        }
    })?;
    let name = ServerName::try_from(host.to_owned())
        .map_err(|_| tls_error(format!("'{host}' is no name that a certificate can have")))?;
    let stream = tcp(host, port).await?;
    let failed = |error: io::Error| tls_error(format!("TLS handshake failed {error}"));
    let mut stream = TlsConnector::from(config).connect(name, stream).await.map_err(failed)?;
    let unwelcome = |detail: String| {
        let detail = format!("Unable to read TLS confirmation: {detail}");
        Error::plain(ErrorCode::SYSTEM_ERROR, ErrorDomain::RPC, detail)
    };
    match stream.read_u8().await {
        Ok(WELCOME) => Ok(stream),
        Ok(_) => Err(unwelcome("the server refuses our certificate".to_owned())),
        Err(error) => Err(unwelcome(error.to_string())),
    }
}

/// Standard input and output of an ssh process, which ends when they are closed.
fn ssh(
    call: &Ssh,
) -> Result<tokio::io::Join<tokio::process::ChildStdout, tokio::process::ChildStdin>> {
    let what = || format!("Cannot run '{}'", call.command.display());
    // not by `oxivirt_sys::command`: ssh may ask for a password at the terminal, and ends with its streams
    #[expect(clippy::disallowed_methods, reason = "its streams are the connection")]
    let mut command = tokio::process::Command::new(&call.command);
    let mut child = command
        .args(&call.arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .map_err(|error| system(&error, what()))?;
    let (Some(stdin), Some(stdout)) = (child.stdin.take(), child.stdout.take()) else {
        return Err(system(&io::ErrorKind::BrokenPipe.into(), what()));
    };
    // waited for, so that no zombie remains
    drop(tokio::spawn(async move { child.wait().await }));
    Ok(tokio::io::join(stdout, stdin))
}

impl RemoteDriver {
    pub(super) fn start((outgoing, incoming): Parts, secrecy: Secrecy, uri: String) -> Self {
        let Incoming { replies, mut events, backlog } = incoming;
        let subscriptions = Arc::new(Subscriptions::new(read_network_event));
        let domain_subscriptions = Arc::new(Subscriptions::new(read_domain_event));
        let storage_subscriptions = Arc::new(Subscriptions::new(read_storage_event));
        let to = (
            Arc::clone(&subscriptions),
            Arc::clone(&domain_subscriptions),
            Arc::clone(&storage_subscriptions),
        );
        drop(tokio::spawn(async move {
            while let Some(event) = events.recv().await {
                to.0.arrived(&event);
                to.1.arrived(&event);
                to.2.arrived(&event);
            }
            to.0.end();
            to.1.end();
            to.2.end();
        }));
        let mut config = tarpc::client::Config::default();
        config.max_in_flight_requests = 100_000;
        let mut shared = Shared::new(outgoing.clone());
        let connect = shared.transport(Family::Connect);
        let host = shared.transport(Family::Host);
        let domain = shared.transport(Family::Domain);
        let domain_stats = shared.transport(Family::DomainStats);
        let domain_agent = shared.transport(Family::DomainAgent);
        let domain_tuning = shared.transport(Family::DomainTuning);
        let domain_device = shared.transport(Family::DomainDevice);
        let qemu = shared.transport(Family::Qemu);
        let network = shared.transport(Family::Network);
        let storage = shared.transport(Family::Storage);
        let extension = shared.transport(Family::Extension);
        let streams = Arc::new(Streams::new(outgoing.clone(), shared.serials(), backlog));
        drop(tokio::spawn(shared.route(replies, Arc::clone(&streams))));
        Self {
            connect: ConnectCallsClient::new(config.clone(), connect).spawn(),
            host: HostCallsClient::new(config.clone(), host).spawn(),
            domain: DomainCallsClient::new(config.clone(), domain).spawn(),
            domain_stats: DomainStatsCallsClient::new(config.clone(), domain_stats).spawn(),
            domain_agent: DomainAgentCallsClient::new(config.clone(), domain_agent).spawn(),
            domain_tuning: DomainTuningCallsClient::new(config.clone(), domain_tuning).spawn(),
            domain_device: DomainDeviceCallsClient::new(config.clone(), domain_device).spawn(),
            qemu: QemuCallsClient::new(config.clone(), qemu).spawn(),
            network: NetworkCallsClient::new(config.clone(), network).spawn(),
            storage: StorageCallsClient::new(config.clone(), storage).spawn(),
            extension: ExtensionCallsClient::new(config, extension).spawn(),
            extensions: OnceCell::new(),
            outgoing,
            subscriptions,
            domain_subscriptions,
            storage_subscriptions,
            streams,
            uri,
            secrecy,
            update_order: AtomicI32::new(-1),
            keepalive: false,
            deadline: None,
        }
    }

    /// Authenticates and opens the connection, in the order of libvirt's clients.
    async fn negotiate(mut self, name: &str, access: Access) -> Result<Arc<dyn Connection>> {
        const KEEPALIVE: i32 = 10;
        let ways = self.ask(self.connect.auth_list(self.context())).await?;
        self.authenticate(ways.0.first().copied()).await?;
        self.keepalive = self.has_feature(KEEPALIVE).await;
        let flags = u32::from(access == Access::ReadOnly);
        self.ask(self.connect.connect_open(self.context(), Some(name.into()), flags)).await?;
        if name.is_empty() {
            self.uri = self.ask(self.connect.connect_get_uri(self.context())).await?.to_text();
        }
        Ok(Arc::new(self))
    }

    async fn authenticate(&self, way: Option<i32>) -> Result<()> {
        match way {
            None | Some(0) => Ok(()),
            Some(2) => self.ask(self.connect.auth_polkit(self.context())).await.map(drop),
            Some(other) => Err(Error::new(
                ErrorCode::AUTH_FAILED,
                ErrorDomain::REMOTE,
                format!("unsupported authentication type {other}"),
            )),
        }
    }
}
