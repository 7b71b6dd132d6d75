//! Sockets by which clients come in.

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
use crate::server::client::Entrance;
use crate::server::connection::{self, End};
use crate::server::{Client, Server, Serves, Service};
use crate::tls::{self, Verify, WELCOME};

/// How long no client is accepted after the process ran out of descriptors.
const EXHAUSTED: Duration = Duration::from_millis(500);

/// How long a handshake may take.
const HANDSHAKE: Duration = Duration::from_secs(10);

/// A listening socket.
#[derive(Debug)]
pub enum Socket {
    /// For local processes.
    Unix(UnixListener),
    /// For anybody who can reach it.
    Tcp(TcpListener),
    /// For anybody whose certificate is in order.
    Tls(TcpListener, Arc<Encryption>),
}

/// How a socket encrypts, and whom it lets in. What is changed here holds for those who come next.
#[derive(Debug)]
pub struct Encryption {
    settings: Mutex<Settings>,
}

/// What is needed for a handshake.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Certificates.
    pub config: Arc<ServerConfig>,
    /// Whether clients need a certificate.
    pub verify: Verify,
    /// Subjects let in, as patterns; `None` for all.
    pub allowed: Option<Vec<String>>,
}

impl Encryption {
    /// Encryption with these settings.
    #[must_use]
    pub fn new(settings: Settings) -> Self {
        Self { settings: Mutex::new(settings) }
    }

    /// Other settings from now on.
    pub fn replace(&self, settings: Settings) {
        *self.settings.lock().unwrap_or_else(PoisonError::into_inner) = settings;
    }

    fn settings(&self) -> Settings {
        self.settings.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The handshake, and the byte that lets the client in.
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

/// Why a client with a certificate, or without, is not let in.
#[derive(Debug, thiserror::Error)]
enum Refusal {
    #[error("the handshake failed")]
    Handshake(#[source] io::Error),
    #[error("it has no certificate")]
    NoCertificate,
    #[error("'{0}' is not among those let in")]
    Subject(String),
}

/// Who must say who it is before anything else.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Anonymity {
    /// Nobody: whoever comes in by this socket is known well enough.
    Nobody,
    /// Everybody but root.
    AllButRoot,
    /// Everybody.
    All,
}

/// A socket and what is served on it.
pub struct Listener {
    /// The socket.
    pub socket: Socket,
    /// Whose clients they are.
    pub server: Arc<Server>,
    /// What is served.
    pub serves: Arc<dyn Serves>,
    /// Whether clients may only look.
    pub read_only: bool,
    /// Who counts as unknown at first.
    pub anonymity: Anonymity,
    /// Only processes of this user are let in.
    pub only_user: Option<u32>,
}

impl std::fmt::Debug for Listener {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Listener").field("socket", &self.socket).finish_non_exhaustive()
    }
}

impl Listener {
    /// Accepts clients until the returned future is dropped; clients that are there stay.
    ///
    /// At a limit nobody is accepted: those who come wait in the socket's backlog.
    pub async fn run(self) {
        loop {
            self.server.room().await;
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
                        self.shake_hands(stream, address, Arc::clone(encryption));
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
        tracing::warn!(%error, "cannot accept a client");
        // a client that left again is not worth waiting for
        if error.kind() != io::ErrorKind::ConnectionAborted {
            tokio::time::sleep(EXHAUSTED).await;
        }
    }

    fn unix(&self, stream: tokio::net::UnixStream) {
        let process = match Process::of_peer(&stream) {
            Ok(process) => process,
            Err(error) => {
                tracing::warn!(%error, "cannot tell who a client is, it is dropped");
                return;
            }
        };
        if self.only_user.is_some_and(|uid| uid != process.uid) {
            tracing::info!(uid = process.uid, "a client of another user is dropped");
            return;
        }
        self.entry().start(stream, Peer::Unix(process));
    }

    /// A task of its own: a client that dawdles keeps nobody waiting.
    fn shake_hands(&self, stream: TcpStream, address: SocketAddr, encryption: Arc<Encryption>) {
        let entry = self.entry();
        let arriving = self.server.arrive();
        drop(tokio::spawn(async move {
            match timeout(HANDSHAKE, encryption.admit(stream, address)).await {
                Ok(Ok((stream, peer))) => entry.start(stream, peer),
                Ok(Err(error)) => {
                    let cause = std::error::Error::source(&error).map(ToString::to_string);
                    tracing::info!(%address, %error, cause, "a client is not let in");
                }
                Err(_) => tracing::info!(%address, "a client does not shake hands, it is dropped"),
            }
            drop(arriving);
        }));
    }

    fn entry(&self) -> Entry {
        Entry {
            server: Arc::clone(&self.server),
            serves: Arc::clone(&self.serves),
            read_only: self.read_only,
            anonymity: self.anonymity,
        }
    }
}

/// What a client finds behind a socket.
struct Entry {
    server: Arc<Server>,
    serves: Arc<dyn Serves>,
    read_only: bool,
    anonymity: Anonymity,
}

impl Entry {
    fn start<S>(&self, stream: S, peer: Peer)
    where
        S: AsyncRead + AsyncWrite + Send + 'static,
    {
        let is_root = peer.process().is_some_and(|process| process.uid == 0);
        let is_known = match self.anonymity {
            Anonymity::Nobody => true,
            Anonymity::AllButRoot => is_root,
            Anonymity::All => false,
        };
        let entrance = Entrance { read_only: self.read_only, known: is_known };
        let client = self.server.add(peer, entrance);
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
        End::Peer | End::Closed => tracing::debug!(client, "a client has gone"),
        End::Silent => tracing::info!(client, "a client gave no sign of life, it is dropped"),
        End::Anonymous => tracing::info!(client, "a client did not say who it is, it is dropped"),
        End::Protocol(error) => tracing::info!(client, %error, "not our protocol, dropped"),
        End::Io(error) => tracing::debug!(client, %error, "a client has gone"),
    }
}

/// A client for as long as its connection lives, however that ends.
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
