//! Messages of the control socket, one per datagram.
//!
//! A message is a [`Header`] and a body. The driver sends [`Request`]s, the service answers each with a
//! [`Reply`] of the same number; an event has the number 0. Descriptors travel with the message that names
//! them, in the order that [`Request::Add`] documents.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::{HostNames, Mac, NetworkSpec, SpecError};

/// The version of the messages; another one means that the two programs are not of one build.
pub const VERSION: u16 = 1;

/// Longest message, in bytes.
pub const MAX: usize = 128 * 1024;

/// What precedes each message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Header {
    /// [`VERSION`].
    pub version: u16,
    /// The number that the driver gave its request; 0 for events.
    pub id: u32,
}

/// What the driver asks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Request {
    /// Who is there, and which networks are served. Its descriptors, if the service has none yet: a packet socket
    /// that receives nothing, and a netlink socket (`sockets::host`).
    Hello,
    /// Serve a network, or serve it as this from now on. Its descriptors are those of `sockets::roles`; a network
    /// that is served already keeps the ones it has if none come.
    Add(Box<NetworkSpec>),
    /// Serve a network no longer.
    Remove {
        /// Which.
        uuid: Uuid,
        /// Whether its journal is deleted.
        drop_state: bool,
    },
    /// The leases of a network.
    Leases {
        /// Which.
        uuid: Uuid,
        /// Only those of this client.
        mac: Option<Mac>,
        /// How many leases to skip; a reply has as many as fit.
        skip: u32,
    },
    /// Give an address free.
    Release {
        /// Of which network.
        uuid: Uuid,
        /// Which addresses.
        what: Released,
    },
    /// Answer when the lease file of the network is on disk.
    Flush {
        /// Which.
        uuid: Uuid,
    },
    /// End the service; its files are written when it has closed the connection.
    End,
    /// The host's name servers, in order, and the names of its own file.
    Host(Vec<IpAddr>, Vec<HostNames>),
}

/// Which leases are given free.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Released {
    /// That of an address.
    Address(IpAddr),
    /// All of a client.
    Mac(Mac),
}

/// What the service answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Reply {
    /// To [`Request::Hello`].
    Hello(Vec<Served>),
    /// The network is served.
    Ready {
        /// As of this generation.
        generation: u64,
    },
    /// The network cannot be served.
    Refused(SpecError),
    /// The network is not served any longer.
    Removed,
    /// No such network.
    Unknown,
    /// Leases, and how many follow those.
    Leases {
        /// As many as fit.
        leases: Vec<LeaseInfo>,
        /// How many more there are.
        left: u32,
    },
    /// So many leases were given free.
    Released(u32),
    /// Done.
    Done,
}

/// A network that is served.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Served {
    /// Which.
    pub uuid: Uuid,
    /// As of this generation.
    pub generation: u64,
    /// Whether its leases could not be written to disk lately.
    pub is_degraded: bool,
}

/// A lease.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LeaseInfo {
    /// The address.
    pub address: IpAddr,
    /// The client's Ethernet address, if known.
    pub mac: Option<Mac>,
    /// Its identifier: option 61 or DUID.
    pub client_id: Option<Vec<u8>>,
    /// Which of its interfaces, for DHCPv6.
    pub iaid: Option<u32>,
    /// Its name without domain.
    pub hostname: Option<String>,
    /// Whether the name resolves: that of a client which says that it is of another domain does not.
    pub resolves: bool,
    /// When it ends, in seconds of Unix time; never if absent.
    pub expiry: Option<u64>,
}

/// What the service reports.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Event {
    /// A lease was given.
    LeaseAdded(Uuid, LeaseInfo),
    /// A lease ended.
    LeaseReleased(Uuid, LeaseInfo, End),
    /// Another machine has an address of the pool.
    LeaseConflict(Uuid, IpAddr, Option<Mac>),
    /// Leases cannot be written, or can again.
    Degraded(Uuid, bool),
    /// No address is left; once a minute.
    PoolFull(Uuid),
}

/// Why a lease ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum End {
    /// The client gave it back.
    Client,
    /// The host asked for it.
    Host,
    /// Its time had come.
    Expiry,
}

/// Why a message cannot be read or written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum MessageError {
    /// It is of another build.
    #[error("message of version {0}")]
    Version(u16),
    /// It is not a message.
    #[error("malformed message")]
    Malformed(#[source] postcard::Error),
    /// It does not fit into a datagram.
    #[error("message of {0} bytes is too long")]
    TooLong(usize),
}

/// Encodes a body with its header.
///
/// # Errors
/// [`MessageError::TooLong`] if it does not fit into a datagram.
pub fn encode<T: Serialize>(id: u32, body: &T) -> Result<Vec<u8>, MessageError> {
    let bytes = postcard::to_allocvec(&(Header { version: VERSION, id }, body));
    let bytes = bytes.map_err(MessageError::Malformed)?;
    if bytes.len() > MAX { Err(MessageError::TooLong(bytes.len())) } else { Ok(bytes) }
}

/// Decodes a body and the number of its header.
///
/// # Errors
/// [`MessageError::Version`] and [`MessageError::Malformed`].
pub fn decode<'a, T: Deserialize<'a>>(bytes: &'a [u8]) -> Result<(u32, T), MessageError> {
    let (id, rest) = decode_header(bytes)?;
    let body = postcard::from_bytes(rest).map_err(MessageError::Malformed)?;
    Ok((id, body))
}

/// Decodes the header of a message: its number, and the bytes of its body.
///
/// # Errors
/// [`MessageError::Version`] and [`MessageError::Malformed`].
pub fn decode_header(bytes: &[u8]) -> Result<(u32, &[u8]), MessageError> {
    let (header, rest) =
        postcard::take_from_bytes::<Header>(bytes).map_err(MessageError::Malformed)?;
    if header.version != VERSION {
        return Err(MessageError::Version(header.version));
    }
    Ok((header.id, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_encoded_is_decoded() {
        let spec = NetworkSpec::new(Uuid::from_u128(7), "virbr0", 3, [2, 0, 0, 0, 0, 1]);
        let request = Request::Add(Box::new(spec));
        let bytes = encode(9, &request).unwrap();
        assert_eq!(decode::<Request>(&bytes).unwrap(), (9, request));
    }

    #[test]
    fn another_version_is_refused() {
        let mut bytes = encode(1, &Reply::Done).unwrap();
        bytes[0] ^= 2;
        assert!(matches!(decode::<Reply>(&bytes), Err(MessageError::Version(3))));
        assert!(matches!(decode::<Reply>(&bytes[..1]), Err(MessageError::Malformed(_))));
    }
}
