//! DHCPv6 messages as bytes (RFC 8415 §8, §9, §21).
//!
//! A [`View`] is checked as a whole when it is made: no option runs past the end. Options stay
//! bytes in their order, unknown ones too. [`Writer`] makes messages with nested options.

use std::net::Ipv6Addr;

/// Message types (RFC 8415 §7.3).
pub mod kind {
    /// Looks for servers.
    pub const SOLICIT: u8 = 1;
    /// Answers a SOLICIT.
    pub const ADVERTISE: u8 = 2;
    /// Asks a server for addresses.
    pub const REQUEST: u8 = 3;
    /// Asks whether addresses fit the link.
    pub const CONFIRM: u8 = 4;
    /// Extends leases with the server that gave them.
    pub const RENEW: u8 = 5;
    /// Extends leases with any server.
    pub const REBIND: u8 = 6;
    /// Answers all other messages.
    pub const REPLY: u8 = 7;
    /// Gives addresses back.
    pub const RELEASE: u8 = 8;
    /// Says that addresses are in use elsewhere.
    pub const DECLINE: u8 = 9;
    /// Asks for settings without address.
    pub const INFORMATION_REQUEST: u8 = 11;
    /// A message that a relay passes on.
    pub const RELAY_FORW: u8 = 12;
    /// An answer that a relay passes back.
    pub const RELAY_REPL: u8 = 13;
}

/// Option codes (RFC 8415 §21, RFC 3646, RFC 4704, RFC 6939).
pub mod option {
    /// DUID of the client.
    pub const CLIENT_ID: u16 = 1;
    /// DUID of the server.
    pub const SERVER_ID: u16 = 2;
    /// Identity association for addresses.
    pub const IA_NA: u16 = 3;
    /// Identity association for temporary addresses.
    pub const IA_TA: u16 = 4;
    /// An address.
    pub const IA_ADDR: u16 = 5;
    /// Options that the client asks for.
    pub const ORO: u16 = 6;
    /// Preference of the server.
    pub const PREFERENCE: u16 = 7;
    /// A relayed message.
    pub const RELAY_MSG: u16 = 9;
    /// Status.
    pub const STATUS: u16 = 13;
    /// Lease in two messages.
    pub const RAPID_COMMIT: u16 = 14;
    /// The relay's interface.
    pub const INTERFACE_ID: u16 = 18;
    /// Name servers.
    pub const DNS_SERVERS: u16 = 23;
    /// Identity association for prefixes.
    pub const IA_PD: u16 = 25;
    /// When to ask for settings again.
    pub const REFRESH_TIME: u16 = 32;
    /// Name of the client.
    pub const FQDN: u16 = 39;
    /// Link-layer address of the client, added by its relay.
    pub const CLIENT_LINK_LAYER: u16 = 79;
}

/// Status codes (RFC 8415 §21.13).
pub mod status {
    /// Success.
    pub const SUCCESS: u16 = 0;
    /// No address is left.
    pub const NO_ADDRS_AVAIL: u16 = 2;
    /// The server does not know the lease.
    pub const NO_BINDING: u16 = 3;
    /// The address does not fit the link.
    pub const NOT_ON_LINK: u16 = 4;
    /// The message must be sent to all servers.
    pub const USE_MULTICAST: u16 = 5;
    /// No prefix is left.
    pub const NO_PREFIX_AVAIL: u16 = 6;
}

/// Longest DUID (RFC 8415 §11.1), in bytes.
const MAX_DUID: usize = 130;

/// A packet is not a DHCPv6 message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("malformed DHCPv6 message")]
pub struct Malformed;

/// Options, in their order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Options<'a>(&'a [u8]);

/// A message of a client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct View<'a> {
    /// Its type, of [`kind`].
    pub kind: u8,
    /// Identifier that the answer repeats.
    pub transaction: [u8; 3],
    /// Its options.
    pub options: Options<'a>,
}

/// A message of a relay.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Relayed<'a> {
    /// How many relays it went through before.
    pub hops: u8,
    /// An address of the link that the client is on.
    pub link: Ipv6Addr,
    /// Who sent it to the relay.
    pub peer: Ipv6Addr,
    /// Its options.
    pub options: Options<'a>,
}

/// An identity association.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ia<'a> {
    /// Its option code.
    pub code: u16,
    /// Its number.
    pub iaid: u32,
    /// Its options.
    pub options: Options<'a>,
}

impl<'a> Options<'a> {
    /// Checks that options fill `bytes` exactly.
    ///
    /// # Errors
    /// [`Malformed`] if one runs past the end.
    pub fn new(bytes: &'a [u8]) -> Result<Self, Malformed> {
        let mut rest = bytes;
        while !rest.is_empty() {
            (_, _, rest) = split(rest).ok_or(Malformed)?;
        }
        Ok(Self(bytes))
    }

    /// All options: code and value.
    pub fn iter(self) -> impl Iterator<Item = (u16, &'a [u8])> {
        let mut rest = self.0;
        std::iter::from_fn(move || {
            let (code, value, behind) = split(rest)?;
            rest = behind;
            Some((code, value))
        })
    }

    /// The value of the first option of a code.
    #[must_use]
    pub fn get(self, wanted: u16) -> Option<&'a [u8]> {
        self.iter().find(|(code, _)| *code == wanted).map(|(_, value)| value)
    }

    /// The DUID of an option, unless it is empty or too long.
    #[must_use]
    pub fn duid(self, code: u16) -> Option<&'a [u8]> {
        self.get(code).filter(|duid| (3..=MAX_DUID).contains(&duid.len()))
    }

    /// The identity associations for addresses and prefixes; those that are cut are left out.
    pub fn ias(self) -> impl Iterator<Item = Ia<'a>> {
        self.iter().filter_map(|(code, value)| {
            let fixed = match code {
                option::IA_NA | option::IA_PD => 12,
                option::IA_TA => 4,
                _ => return None,
            };
            let iaid = u32::from_be_bytes(*value.first_chunk()?);
            let options = Options::new(value.get(fixed..)?).ok()?;
            Some(Ia { code, iaid, options })
        })
    }

    /// The addresses of an identity association.
    pub fn addresses(self) -> impl Iterator<Item = Ipv6Addr> {
        self.iter().filter(|(code, _)| *code == option::IA_ADDR).filter_map(|(_, value)| {
            value.get(..24)?;
            Some(Ipv6Addr::from(*value.first_chunk::<16>()?))
        })
    }

    /// The preferred and valid lifetimes that the client wishes for an address, in seconds; 0 for no wish.
    #[must_use]
    pub fn wishes(self, wanted: Ipv6Addr) -> (u32, u32) {
        let mut all = self.iter().filter(|(code, _)| *code == option::IA_ADDR);
        let found = all.find_map(|(_, value)| {
            let (address, times) = value.split_first_chunk::<16>()?;
            let (preferred, rest) = times.split_first_chunk()?;
            let valid = rest.first_chunk()?;
            let times = (u32::from_be_bytes(*preferred), u32::from_be_bytes(*valid));
            (Ipv6Addr::from(*address) == wanted).then_some(times)
        });
        found.unwrap_or_default()
    }

    /// Whether the client asks for an option; `None` if it sent no list.
    #[must_use]
    pub fn asks(self, code: u16) -> Option<bool> {
        let list = self.get(option::ORO)?;
        Some(list.chunks_exact(2).any(|pair| *pair == code.to_be_bytes()))
    }
}

fn split(bytes: &[u8]) -> Option<(u16, &[u8], &[u8])> {
    let [a, b, c, d, rest @ ..] = bytes else { return None };
    let length = usize::from(u16::from_be_bytes([*c, *d]));
    let (value, rest) = rest.split_at_checked(length)?;
    Some((u16::from_be_bytes([*a, *b]), value, rest))
}

impl<'a> View<'a> {
    /// Reads a message that is not of a relay.
    ///
    /// # Errors
    /// [`Malformed`] if it is cut.
    pub fn new(bytes: &'a [u8]) -> Result<Self, Malformed> {
        let [kind, a, b, c, options @ ..] = bytes else { return Err(Malformed) };
        Ok(Self { kind: *kind, transaction: [*a, *b, *c], options: Options::new(options)? })
    }
}

impl<'a> Relayed<'a> {
    /// Reads a message that a relay passes on; nothing if it is of another type or cut.
    #[must_use]
    pub fn new(bytes: &'a [u8]) -> Option<Self> {
        let [kind::RELAY_FORW, hops, rest @ ..] = bytes else { return None };
        let (link, rest) = rest.split_first_chunk::<16>()?;
        let (peer, rest) = rest.split_first_chunk::<16>()?;
        let (link, peer) = (Ipv6Addr::from(*link), Ipv6Addr::from(*peer));
        Some(Self { hops: *hops, link, peer, options: Options::new(rest).ok()? })
    }

    /// The answer that carries `message` back by the relay.
    #[must_use]
    pub fn reply(&self, message: &[u8]) -> Vec<u8> {
        let mut writer = Writer(vec![kind::RELAY_REPL, self.hops]);
        writer.put(&self.link.octets());
        writer.put(&self.peer.octets());
        if let Some(interface) = self.options.get(option::INTERFACE_ID) {
            writer.option(option::INTERFACE_ID, |value| value.put(interface));
        }
        writer.option(option::RELAY_MSG, |value| value.put(message));
        writer.0
    }
}

/// A message or the value of an option under construction.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Writer(Vec<u8>);

impl Writer {
    /// Begins a message.
    #[must_use]
    pub fn new(kind: u8, transaction: [u8; 3]) -> Self {
        let [a, b, c] = transaction;
        Self(vec![kind, a, b, c])
    }

    /// Appends bytes.
    pub fn put(&mut self, bytes: &[u8]) {
        self.0.extend_from_slice(bytes);
    }

    /// Appends an option. One that is longer than 65,535 bytes is left out.
    pub fn option(&mut self, code: u16, value: impl FnOnce(&mut Self)) {
        let start = self.0.len();
        self.put(&code.to_be_bytes());
        self.put(&[0; 2]);
        value(self);
        let length = self.0.len().saturating_sub(start + 4);
        match (u16::try_from(length), self.0.get_mut(start + 2..start + 4)) {
            (Ok(length), Some(place)) => place.copy_from_slice(&length.to_be_bytes()),
            _ => self.0.truncate(start),
        }
    }

    /// Appends an address with its lifetimes in seconds.
    pub fn address(&mut self, address: Ipv6Addr, preferred: u32, valid: u32) {
        self.option(option::IA_ADDR, |value| {
            value.put(&address.octets());
            value.put(&preferred.to_be_bytes());
            value.put(&valid.to_be_bytes());
        });
    }

    /// Appends a status with its text.
    pub fn status(&mut self, code: u16, text: &str) {
        self.option(option::STATUS, |value| {
            value.put(&code.to_be_bytes());
            value.put(text.as_bytes());
        });
    }

    /// The message.
    #[must_use]
    pub fn finish(self) -> Vec<u8> {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn options_are_whole_or_nothing() {
        let bytes = [1, 2, 3, 4, 0, 1, 0, 3, 7, 8, 9, 0, 14, 0, 0];
        let view = View::new(&bytes).unwrap();
        assert_eq!((view.kind, view.transaction), (1, [2, 3, 4]));
        assert_eq!(view.options.get(option::CLIENT_ID), Some(&[7, 8, 9][..]));
        assert_eq!(view.options.get(option::RAPID_COMMIT), Some(&[][..]));
        for len in (0..bytes.len()).filter(|len| *len != 4 && *len != 11) {
            assert_eq!(View::new(&bytes[..len]), Err(Malformed), "{len}");
        }
    }

    #[test]
    fn what_is_written_is_read() {
        let address: Ipv6Addr = "fd00::7".parse().unwrap();
        let mut writer = Writer::new(kind::REPLY, [1, 2, 3]);
        writer.option(option::IA_NA, |ia| {
            ia.put(&[0, 0, 0, 9]);
            ia.put(&[0; 8]);
            ia.address(address, 1, 2);
            ia.status(status::SUCCESS, "fine");
        });
        writer.option(99, |value| value.put(&[0; 70_000]));
        let bytes = writer.finish();
        let view = View::new(&bytes).unwrap();
        let ia = view.options.ias().next().unwrap();
        assert_eq!((ia.code, ia.iaid), (option::IA_NA, 9));
        assert_eq!(ia.options.addresses().collect::<Vec<_>>(), [address]);
        assert_eq!(ia.options.get(option::STATUS), Some(&b"\0\0fine"[..]));
        assert_eq!(view.options.get(99), None);
    }

    #[test]
    fn a_relayed_message_goes_back_the_same_way() {
        let mut bytes = vec![kind::RELAY_FORW, 1];
        bytes.extend([1; 16]);
        bytes.extend([2; 16]);
        bytes.extend([0, 18, 0, 1, 5, 0, 9, 0, 2, 7, 8]);
        let relayed = Relayed::new(&bytes).unwrap();
        let mut expected = bytes.clone();
        expected[0] = kind::RELAY_REPL;
        assert_eq!(relayed.reply(&[7, 8]), expected);
        assert_eq!(Relayed::new(&bytes[..33]), None);
        assert_eq!(Relayed::new(&expected), None);
    }

    proptest! {
        #[test]
        fn no_packet_panics(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            if let Ok(view) = View::new(&bytes) {
                let n = view.options.ias().map(|ia| ia.options.addresses().count()).sum::<usize>();
                prop_assert!(n * 28 <= bytes.len());
            }
            if let Some(relayed) = Relayed::new(&bytes) {
                prop_assert!(relayed.reply(&bytes).len() > 34);
            }
        }
    }
}
