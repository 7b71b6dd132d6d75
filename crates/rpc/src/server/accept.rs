//! Listening sockets and the admission of clients.

use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream, UnixListener};
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::server::TlsStream;

use crate::identity::{Peer, Process};
use crate::server::client::Admission;
use crate::server::connection::{self, End};
use crate::server::{Client, Server, Serves, Service};
use crate::tls::{self, Verify, WELCOME};

/// Pause after a failed accept, for instance for lack of file descriptors.
const EXHAUSTED: Duration = Duration::from_millis(500);

/// How long a handshake may take.
const HANDSHAKE: Duration = Duration::from_secs(10);

/// A listening socket.
#[derive(Debug)]
pub enum Socket {
    /// For local processes.
    Unix(UnixListener),
    /// For every host that can reach it, without encryption.
    Tcp(TcpListener),
    /// For clients with a valid certificate.
    Tls(TcpListener, Arc<Encryption>),
}

/// TLS settings of a socket. A change applies to connections accepted after it.
#[derive(Debug)]
pub struct Encryption {
    settings: Mutex<Settings>,
}

/// Settings of a handshake.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Certificates.
    pub config: Arc<ServerConfig>,
    /// Whether clients need a certificate.
    pub verify: Verify,
    /// Patterns of accepted subjects; `None` accepts all.
    pub allowed: Option<Vec<String>>,
}

impl Encryption {
    /// Encryption with these settings.
    #[must_use]
    pub fn new(settings: Settings) -> Self {
        Self { settings: Mutex::new(settings) }
    }

    /// Replaces the settings.
    pub fn replace(&self, settings: Settings) {
        *self.settings.lock().unwrap_or_else(PoisonError::into_inner) = settings;
    }

    fn settings(&self) -> Settings {
        self.settings.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Makes the handshake and sends the byte that admits the client.
    async fn admit(
        &self,
        stream: TcpStream,
        address: SocketAddr,
    ) -> Result<(TlsStream<TcpStream>, Peer), Refusal> {
        let Settings { config, verify, allowed } = self.settings();
        let mut stream =
            TlsAcceptor::from(config).accept(stream).await.map_err(Refusal::Handshake)?;
        let certificate = stream.get_ref().1.peer_certificates().and_then(<[_]>::first);
        let subject = match (verify, certificate) {
            (Verify::Nothing, _) => None,
            (Verify::Peer, None) => return Err(Refusal::NoCertificate),
            (Verify::Peer, Some(certificate)) => {
                let subject = tls::subject(certificate).ok_or(Refusal::NoCertificate)?;
                let is_allowed = allowed.as_ref().is_none_or(|patterns| {
                    patterns.iter().any(|pattern| tls::matches(pattern, &subject))
                });
                if !is_allowed {
                    return Err(Refusal::Subject(subject));
                }
                Some(subject)
            }
        };
        stream.write_all(&[WELCOME]).await.map_err(Refusal::Handshake)?;
        stream.flush().await.map_err(Refusal::Handshake)?;
        Ok((stream, Peer::Tls { address, subject }))
    }
}

/// Why a client is refused after its handshake.
#[derive(Debug, thiserror::Error)]
enum Refusal {
    #[error("the handshake failed")]
    Handshake(#[source] io::Error),
    #[error("the client has no certificate")]
    NoCertificate,
    #[error("subject '{0}' is not allowed")]
    Subject(String),
}

/// Which clients must authenticate before other calls.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AuthPolicy {
    /// None.
    None,
    /// All but processes of root.
    AllButRoot,
    /// All.
    All,
}

/// A listening socket and its service.
pub struct Listener {
    /// The socket.
    pub socket: Socket,
    /// The server that its clients belong to.
    pub server: Arc<Server>,
    /// Makes the service of each client.
    pub serves: Arc<dyn Serves>,
    /// Whether calls that change something are refused.
    pub read_only: bool,
    /// Which clients must authenticate.
    pub auth_policy: AuthPolicy,
    /// The only user whose processes are accepted; `None` accepts all users.
    pub only_user: Option<u32>,
}

impl std::fmt::Debug for Listener {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Listener").field("socket", &self.socket).finish_non_exhaustive()
    }
}

impl Listener {
    /// Accepts clients until the returned future is dropped; connected clients stay.
    ///
    /// While a limit is reached, new connections wait in the socket's backlog.
    pub async fn run(self) {
        loop {
            self.server.wait_capacity().await;
            let accepted = match &self.socket {
                Socket::Unix(listener) => match listener.accept().await {
                    Ok((stream, _)) => {
                        self.unix(stream);
                        Ok(())
                    }
                    Err(error) => Err(error),
                },
                Socket::Tcp(listener) => match listener.accept().await {
                    Ok((stream, address)) => {
                        // answers are written in one piece
                        drop(stream.set_nodelay(true));
                        self.entry().start(stream, Peer::Tcp(address));
                        Ok(())
                    }
                    Err(error) => Err(error),
                },
                Socket::Tls(listener, encryption) => match listener.accept().await {
                    Ok((stream, address)) => {
                        drop(stream.set_nodelay(true));
                        self.handshake(stream, address, Arc::clone(encryption));
                        Ok(())
                    }
                    Err(error) => Err(error),
                },
            };
            if let Err(error) = accepted {
                self.failed(&error).await;
            }
        }
    }

    async fn failed(&self, error: &io::Error) {
        tracing::warn!(%error, "accepting a connection failed");
        // this client disconnected; the next accept may succeed at once
        if error.kind() != io::ErrorKind::ConnectionAborted {
            tokio::time::sleep(EXHAUSTED).await;
        }
    }

    fn unix(&self, stream: tokio::net::UnixStream) {
        let process = match Process::of_peer(&stream) {
            Ok(process) => process,
            Err(error) => {
                tracing::warn!(%error, "disconnecting client: the kernel does not report its process");
                return;
            }
        };
        if self.only_user.is_some_and(|uid| uid != process.uid) {
            tracing::info!(
                uid = process.uid,
                "disconnecting client: this socket is for another user"
            );
            return;
        }
        self.entry().start(stream, Peer::Unix(process));
    }

    /// Makes the handshake in a task of its own, so that a slow client does not delay the next.
    fn handshake(&self, stream: TcpStream, address: SocketAddr, encryption: Arc<Encryption>) {
        let entry = self.entry();
        let arriving = self.server.arrive();
        drop(tokio::spawn(async move {
            match timeout(HANDSHAKE, encryption.admit(stream, address)).await {
                Ok(Ok((stream, peer))) => entry.start(stream, peer),
                Ok(Err(error)) => {
                    let cause = std::error::Error::source(&error).map(ToString::to_string);
                    tracing::info!(%address, %error, cause, "refusing client");
                }
                Err(_) => tracing::info!(%address, "disconnecting client: TLS handshake timed out"),
            }
            drop(arriving);
        }));
    }

    fn entry(&self) -> Entry {
        Entry {
            server: Arc::clone(&self.server),
            serves: Arc::clone(&self.serves),
            read_only: self.read_only,
            auth_policy: self.auth_policy,
        }
    }
}

/// What the task of a handshake needs of the listener.
struct Entry {
    server: Arc<Server>,
    serves: Arc<dyn Serves>,
    read_only: bool,
    auth_policy: AuthPolicy,
}

impl Entry {
    fn start<S>(&self, stream: S, peer: Peer)
    where
        S: AsyncRead + AsyncWrite + Send + 'static,
    {
        let is_root = peer.process().is_some_and(|process| process.uid == 0);
        let authenticated = match self.auth_policy {
            AuthPolicy::None => true,
            AuthPolicy::AllButRoot => is_root,
            AuthPolicy::All => false,
        };
        let admission = Admission { read_only: self.read_only, authenticated };
        let client = self.server.add(peer, admission);
        let service = self.serves.connect(&client);
        drop(tokio::spawn(async move {
            let present = Present { client, service };
            let end = connection::serve(stream, &present.client, &*present.service).await;
            log_end(present.client.id, &end);
        }));
    }
}

fn log_end(client: u64, end: &End) {
    match end {
        End::Peer | End::Closed => tracing::debug!(client, "client disconnected"),
        End::Silent => tracing::info!(client, "disconnecting client: no answer to keepalive pings"),
        End::Anonymous => tracing::info!(client, "disconnecting client: not authenticated in time"),
        End::Protocol(error) => {
            tracing::info!(client, %error, "disconnecting client: protocol violation");
        }
        End::Io(error) => tracing::debug!(client, %error, "client disconnected"),
    }
}

/// Removes the client when its connection ends, even by a panic.
struct Present {
    client: Arc<Client>,
    service: Box<dyn Service>,
}

impl Drop for Present {
    fn drop(&mut self) {
        self.service.closed();
        self.client.server().remove(self.client.id);
    }
}
