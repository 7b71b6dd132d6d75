//! DNS messages as bytes: the question of a client, answers written by hand, and the strict
//! walk of what an upstream server sent.
//!
//! Knows RFC 1035 and EDNS(0), but not which names exist and where a question goes. Names are
//! parsed with the `domain` crate, whose parser follows a compression pointer only backwards;
//! nothing here allocates but the buffer that the caller hands in. Start at [`Query::parse`],
//! [`Reply`] and [`Walk::of`].

mod name;
mod query;
mod reply;
mod walk;

pub use self::name::{Name, NameError, reverse_zone, wire_name};
pub use self::query::{Edns, Flaw, Query};
pub(crate) use self::reply::push_opt;
pub use self::reply::{Owner, Reply, Section, error_reply};
pub use self::walk::{Malformed, Walk};

/// Bytes of the fixed header (RFC 1035 §4.1.1).
pub const HEADER: usize = 12;

/// Largest answer over UDP, and what upstream servers are allowed to send, in bytes: fits the
/// smallest MTU of IPv6 with its headers (the value agreed at the DNS flag day of 2020).
pub const UDP_SIZE: u16 = 1232;

/// Largest answer over UDP to a client without EDNS, in bytes (RFC 1035 §4.2.1).
pub const PLAIN_UDP_SIZE: u16 = 512;

/// Bytes of an OPT record without options (RFC 6891 §6.1.2).
pub const OPT_LEN: usize = 11;

/// Record types and the values of the class and response fields that this server acts on
/// (IANA DNS parameters). All other values pass through as numbers.
pub mod num {
    /// Type A, an IPv4 address.
    pub const A: u16 = 1;
    /// Type NS, a name server.
    pub const NS: u16 = 2;
    /// Type CNAME, an alias.
    pub const CNAME: u16 = 5;
    /// Type SOA, the start of a zone.
    pub const SOA: u16 = 6;
    /// Type PTR, the name of an address.
    pub const PTR: u16 = 12;
    /// Type MX, a mail exchanger.
    pub const MX: u16 = 15;
    /// Type TXT.
    pub const TXT: u16 = 16;
    /// Type AAAA, an IPv6 address.
    pub const AAAA: u16 = 28;
    /// Type SRV (RFC 2782).
    pub const SRV: u16 = 33;
    /// Type DNAME (RFC 6672).
    pub const DNAME: u16 = 39;
    /// Pseudo type OPT (RFC 6891).
    pub const OPT: u16 = 41;
    /// First of the types that only questions have: IXFR.
    pub const IXFR: u16 = 251;
    /// Question type AXFR.
    pub const AXFR: u16 = 252;
    /// Question type ANY.
    pub const ANY: u16 = 255;

    /// Class IN.
    pub const IN: u16 = 1;

    /// No error.
    pub const NOERROR: u16 = 0;
    /// The question cannot be read.
    pub const FORMERR: u16 = 1;
    /// The server failed.
    pub const SERVFAIL: u16 = 2;
    /// The name does not exist.
    pub const NXDOMAIN: u16 = 3;
    /// The kind of query is not supported.
    pub const NOTIMP: u16 = 4;
    /// The server does not answer this by policy.
    pub const REFUSED: u16 = 5;
    /// The EDNS version is not supported (extended, RFC 6891 §6.1.3).
    pub const BADVERS: u16 = 16;
}

/// Bits of the third and fourth header byte (RFC 1035 §4.1.1, RFC 4035 §3).
pub mod flag {
    /// The message is a response.
    pub const QR: u16 = 0x8000;
    /// The answer is of an authority.
    pub const AA: u16 = 0x0400;
    /// The answer was cut.
    pub const TC: u16 = 0x0200;
    /// The client asks for recursion.
    pub const RD: u16 = 0x0100;
    /// The server recurses.
    pub const RA: u16 = 0x0080;
    /// The data are authenticated.
    pub const AD: u16 = 0x0020;
    /// The client checks signatures itself.
    pub const CD: u16 = 0x0010;
    /// The operation.
    pub const OPCODE: u16 = 0x7800;
    /// The response code.
    pub const RCODE: u16 = 0x000f;
}

/// The big-endian number at `at`, if the message reaches that far.
#[must_use]
pub fn u16_at(message: &[u8], at: usize) -> Option<u16> {
    let bytes = message.get(at..at.checked_add(2)?)?;
    Some(u16::from_be_bytes(bytes.try_into().ok()?))
}

/// Replaces the number at `at`; a message that does not reach that far stays as it is.
pub fn put_u16(message: &mut [u8], at: usize, value: u16) {
    if let Some(place) = message.get_mut(at..at.saturating_add(2)) {
        place.copy_from_slice(&value.to_be_bytes());
    }
}

#[cfg(test)]
mod tests;
