//! Router solicitations and advertisements as bytes (RFC 4861 §4.1, §4.2, RFC 8106 §5.1).
//!
//! The kernel checks and fills the checksum of ICMPv6 sockets, so it is 0 here.

use std::net::Ipv6Addr;

/// ICMPv6 type of a router solicitation.
const SOLICITATION: u8 = 133;
/// ICMPv6 type of a router advertisement.
const ADVERTISEMENT: u8 = 134;
/// Hop limit of a packet that no router has forwarded.
const HOP_LIMIT: u8 = 255;
/// Lifetime without end, in seconds.
pub const INFINITE: u32 = u32::MAX;

const SOURCE_LINK_LAYER: u8 = 1;
const PREFIX: u8 = 3;
const MTU: u8 = 5;
const RDNSS: u8 = 25;

/// A router advertisement.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Advertisement {
    /// Clients get addresses (M) and other settings (O) by DHCPv6.
    pub is_managed: bool,
    /// How long the sender is a default router, in seconds; 0 if it is none.
    pub router_lifetime: u16,
    /// The prefixes of the link.
    pub prefixes: Vec<Prefix>,
    /// MTU of the link, in bytes.
    pub mtu: u32,
    /// Ethernet address of the sender.
    pub mac: [u8; 6],
    /// The name server.
    pub resolver: Option<Ipv6Addr>,
}

/// A prefix of a link.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Prefix {
    /// An address with the prefix; the other bits are not sent.
    pub address: Ipv6Addr,
    /// Length of the prefix, in bits.
    pub length: u8,
    /// Whether clients make their addresses with it (A).
    pub is_autonomous: bool,
    /// How long it is on the link, in seconds.
    pub valid: u32,
    /// How long addresses of it are used for new connections, in seconds.
    pub preferred: u32,
}

/// Whether the packet is a router solicitation that a router must take (RFC 4861 §6.1.1).
#[must_use]
pub fn is_solicitation(bytes: &[u8], source: Ipv6Addr, hop_limit: Option<u8>) -> bool {
    let ([SOLICITATION, 0, ..], Some(mut options)) = (bytes, bytes.get(8..)) else {
        return false;
    };
    if hop_limit != Some(HOP_LIMIT) {
        return false;
    }
    while let [kind, eighths, ..] = options {
        let Some(rest) = options.get(usize::from(*eighths) * 8..).filter(|_| *eighths > 0) else {
            return false;
        };
        if *kind == SOURCE_LINK_LAYER && source.is_unspecified() {
            return false;
        }
        options = rest;
    }
    options.is_empty()
}

impl Advertisement {
    /// The message. Current hop limit is 64; preference, reachable time and retransmission time
    /// are not said.
    #[must_use]
    pub fn bytes(&self) -> Vec<u8> {
        let flags = if self.is_managed { 0xc0 } else { 0 };
        let mut bytes = vec![ADVERTISEMENT, 0, 0, 0, 64, flags];
        bytes.extend(self.router_lifetime.to_be_bytes());
        bytes.extend([0; 8]);
        for prefix in &self.prefixes {
            let flags = if prefix.is_autonomous { 0xc0 } else { 0x80 };
            bytes.extend([PREFIX, 4, prefix.length, flags]);
            bytes.extend(prefix.valid.to_be_bytes());
            bytes.extend(prefix.preferred.to_be_bytes());
            bytes.extend([0; 4]);
            bytes.extend(prefix.network().octets());
        }
        bytes.extend([MTU, 1, 0, 0]);
        bytes.extend(self.mtu.to_be_bytes());
        bytes.extend([SOURCE_LINK_LAYER, 1]);
        bytes.extend(self.mac);
        if let Some(resolver) = self.resolver {
            bytes.extend([RDNSS, 3, 0, 0]);
            bytes.extend(INFINITE.to_be_bytes());
            bytes.extend(resolver.octets());
        }
        bytes
    }
}

impl Prefix {
    fn network(&self) -> Ipv6Addr {
        let host = 128_u32.saturating_sub(self.length.into());
        let mask = u128::MAX.checked_shl(host).unwrap_or(0);
        Ipv6Addr::from(u128::from(self.address) & mask)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn solicitations_are_checked() {
        let host: Ipv6Addr = "fe80::9".parse().unwrap();
        let (none, bare) = (Ipv6Addr::UNSPECIFIED, [133, 0, 0, 0, 0, 0, 0, 0]);
        let with = |option: &[u8]| [&bare, option].concat();
        let mac = [1, 1, 2, 0, 0, 0, 0, 9];
        for (bytes, source, hops, is_good) in [
            (with(&[]), host, Some(255), true),
            (with(&[]), none, Some(255), true),
            (with(&mac), host, Some(255), true),
            (with(&mac), none, Some(255), false),
            (with(&[]), host, Some(254), false),
            (with(&[]), host, None, false),
            (bare[..7].to_vec(), host, Some(255), false),
            (with(&[14, 0, 0, 0, 0, 0, 0, 0]), host, Some(255), false),
            (with(&[14, 2, 0, 0, 0, 0, 0, 0]), host, Some(255), false),
            (with(&[14]), host, Some(255), false),
            (vec![134, 0, 0, 0, 0, 0, 0, 0], host, Some(255), false),
            (vec![133, 1, 0, 0, 0, 0, 0, 0], host, Some(255), false),
        ] {
            assert_eq!(is_solicitation(&bytes, source, hops), is_good, "{bytes:?} {source}");
        }
    }

    proptest! {
        #[test]
        fn no_packet_panics(bytes in prop::collection::vec(any::<u8>(), 0..100)) {
            let shaped = [&[133, 0], &bytes[..]].concat();
            for (bytes, source) in
                [(&bytes, Ipv6Addr::UNSPECIFIED), (&shaped, Ipv6Addr::LOCALHOST)]
            {
                let is_good = is_solicitation(bytes, source, Some(255));
                prop_assert!(!is_good || bytes.len() % 8 == 0);
            }
        }
    }
}
