//! The server end: listening sockets, clients and their connections.
//!
//! A [`Server`] keeps the [`Client`]s of one set of procedures and their limits. Each connection is one task
//! ([`connection::serve`]) that passes packets to a [`Service`] and writes the answers.

pub mod accept;
pub mod client;
pub mod connection;
pub mod registry;

use std::pin::Pin;

pub use accept::{Listener, Socket};
pub use client::Client;
pub use registry::Server;

use crate::frame::{Header, Packet};

/// What happens to a connection after an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Then {
    /// It stays open.
    Continue,
    /// It is closed once the answer is written.
    Close,
}

/// An answer that is computed asynchronously.
pub type Answer = Pin<Box<dyn Future<Output = (Vec<u8>, Then)> + Send>>;

/// What a service does with a packet.
pub enum Step {
    /// The packet is processed; its answer, if it has one, was appended.
    Done(Then),
    /// The answer has to be computed. The future runs to its end even if the client disconnects.
    Answer(Answer),
    /// The packet is queued. It counts as a running call until the future completes, which the connection does
    /// not wait for when it ends.
    Wait(Pin<Box<dyn Future<Output = ()> + Send>>),
}

impl std::fmt::Debug for Step {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Done(then) => f.debug_tuple("Done").field(then).finish(),
            Self::Answer(_) => f.write_str("Answer"),
            Self::Wait(_) => f.write_str("Wait"),
        }
    }
}

/// Processes the packets of one connection.
pub trait Service: Send + Sync {
    /// Processes a packet of any program but keepalive. An immediate answer is appended to `out`.
    fn packet(&self, packet: Packet<'_>, out: &mut Vec<u8>) -> Step;

    /// The connection has ended.
    fn closed(&self);
}

/// Makes the service of a new connection.
pub trait Serves: Send + Sync {
    /// The service for `client`.
    fn connect(&self, client: &std::sync::Arc<Client>) -> Box<dyn Service>;
}

/// The number of file descriptors that a packet announces: the word before its arguments.
///
/// No service takes descriptors. The kernel closes them when the bytes that carry them are read
/// without ancillary data.
#[must_use]
pub(crate) fn announced_fds(header: &Header, payload: &[u8]) -> Option<u32> {
    use crate::frame::Kind;
    matches!(header.kind, Kind::CallWithFds | Kind::ReplyWithFds)
        .then(|| payload.first_chunk().map(|word| u32::from_be_bytes(*word)))
        .flatten()
}

#[cfg(test)]
mod tests;
