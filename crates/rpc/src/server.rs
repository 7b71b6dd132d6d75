//! The serving end: clients, their connections, the sockets they come in by.
//!
//! A [`Server`] keeps the [`Client`]s of one set of procedures and their limits. Each connection is one task
//! ([`connection::serve`]) that hands packets to a [`Service`] and writes what comes back.

pub mod accept;
pub mod client;
pub mod connection;
pub mod registry;

use std::pin::Pin;

pub use accept::{Listener, Socket};
pub use client::Client;
pub use registry::Server;

use crate::frame::{Header, Packet};

/// What becomes of a connection after an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Then {
    /// It goes on.
    Continue,
    /// It is closed once the answer is written.
    Close,
}

/// An answer that takes its time.
pub type Answer = Pin<Box<dyn Future<Output = (Vec<u8>, Then)> + Send>>;

/// What a service does with a packet.
pub enum Step {
    /// It is dealt with; what there is to say was appended.
    Done(Then),
    /// The answer is computed. It runs to its end even if the client goes away.
    Answer(Answer),
}

impl std::fmt::Debug for Step {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Done(then) => f.debug_tuple("Done").field(then).finish(),
            Self::Answer(_) => f.write_str("Answer"),
        }
    }
}

/// What is served on one connection.
pub trait Service: Send + Sync {
    /// Takes a packet that is no sign of life. Answers that are known at once are appended to `out`.
    fn packet(&self, packet: Packet<'_>, out: &mut Vec<u8>) -> Step;

    /// The connection has ended.
    fn closed(&self);
}

/// Makes the service of a new connection.
pub trait Serves: Send + Sync {
    /// The service for `client`.
    fn connect(&self, client: &std::sync::Arc<Client>) -> Box<dyn Service>;
}

/// Calls of a packet with descriptors: the count word before its arguments.
///
/// Nobody served here takes descriptors; the kernel closes them when their carrier bytes are read
/// without asking for them.
#[must_use]
pub(crate) fn carried(header: &Header, payload: &[u8]) -> Option<u32> {
    use crate::frame::Kind;
    matches!(header.kind, Kind::CallWithFds | Kind::ReplyWithFds)
        .then(|| payload.first_chunk().map(|word| u32::from_be_bytes(*word)))
        .flatten()
}

#[cfg(test)]
mod tests;
