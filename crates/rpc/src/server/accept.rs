//! Sockets by which clients come in.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, UnixListener};

use crate::identity::{Peer, Process};
use crate::server::client::Entrance;
use crate::server::connection::{self, End};
use crate::server::{Client, Server, Serves, Service};

/// How long no client is accepted after the process ran out of descriptors.
const EXHAUSTED: Duration = Duration::from_millis(500);

/// A listening socket.
#[derive(Debug)]
pub enum Socket {
    /// For local processes.
    Unix(UnixListener),
    /// For anybody who can reach it.
    Tcp(TcpListener),
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
                        self.start(stream, Peer::Tcp(address));
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
        self.start(stream, Peer::Unix(process));
    }

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
