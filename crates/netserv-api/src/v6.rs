//! DHCPv6 and router advertisements of a network.

use std::net::Ipv6Addr;

use serde::{Deserialize, Serialize};

use crate::{LeaseTime, Mac, SpecError};

/// DHCPv6 of a network.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Dhcp6Spec {
    /// The host's global address of the subnet; the name server that clients get.
    pub address: Ipv6Addr,
    /// Length of the subnet's prefix, in bits.
    pub prefix: u8,
    /// Addresses for any client, in the order of the definition; none if only hosts are served.
    pub ranges: Vec<Range6>,
    /// Clients with an address or a name of their own, in the order of the definition.
    pub hosts: Vec<Host6>,
}

/// Consecutive addresses for any client, both ends included; they agree in all but the last 16 bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Range6 {
    /// The first address.
    pub start: Ipv6Addr,
    /// The last address, not below the first.
    pub end: Ipv6Addr,
    /// How long leases last; a day if absent.
    pub lease: Option<LeaseTime>,
}

/// A client that the definition names.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Host6 {
    /// Its DUID.
    pub duid: Option<Vec<u8>>,
    /// Its name; what it is recognised by if it has no DUID here.
    pub name: Option<String>,
    /// Its address.
    pub address: Option<Ipv6Addr>,
    /// How long its lease lasts; as its range, if absent.
    pub lease: Option<LeaseTime>,
}

/// Router advertisements of a network.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RaSpec {
    /// The prefixes that are announced: address of the host and length in bits, in the order of the definition.
    pub prefixes: Vec<(Ipv6Addr, u8)>,
    /// The shortest lease time of DHCPv6 ranges that name one, which caps the lifetimes of the prefixes.
    pub lease: Option<LeaseTime>,
    /// The bridge's link-local address, which is the name server that is announced; the one of its Ethernet
    /// address if absent.
    pub link_local: Option<Ipv6Addr>,
}

impl RaSpec {
    /// The bridge's link-local address (RFC 4291, appendix A, for the one of an Ethernet address).
    #[must_use]
    pub fn link_local(&self, mac: Mac) -> Ipv6Addr {
        let [a, b, c, d, e, f] = mac.map(u16::from);
        let made =
            Ipv6Addr::new(0xfe80, 0, 0, 0, (a ^ 2) << 8 | b, c << 8 | 0xff, 0xfe00 | d, e << 8 | f);
        self.link_local.unwrap_or(made)
    }
}

impl Range6 {
    /// How many addresses it has; 0 if its ends do not agree in all but the last 16 bits.
    #[must_use]
    pub fn len(&self) -> u32 {
        let (start, end) = (u128::from(self.start), u128::from(self.end));
        if start >> 16 != end >> 16 {
            return 0;
        }
        end.checked_sub(start).and_then(|last| u32::try_from(last).ok()).map_or(0, |last| last + 1)
    }

    /// Whether it has no address.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether `address` is one of its addresses.
    #[must_use]
    pub fn contains(&self, address: Ipv6Addr) -> bool {
        (self.start..=self.end).contains(&address)
    }
}

impl Dhcp6Spec {
    /// Whether `address` is in the subnet.
    #[must_use]
    pub fn is_on_link(&self, address: Ipv6Addr) -> bool {
        let mask =
            u128::MAX.checked_shl(128_u32.saturating_sub(u32::from(self.prefix))).unwrap_or(0);
        u128::from(address) & mask == u128::from(self.address) & mask
    }

    /// The sum of the sizes of all ranges: most leases that the network gives.
    #[must_use]
    pub fn pool_size(&self) -> u32 {
        self.ranges.iter().map(Range6::len).fold(0, u32::saturating_add)
    }

    /// Checks that ranges and hosts are in the subnet and can be indexed.
    ///
    /// # Errors
    /// The first field that cannot be served.
    pub fn check(&self) -> Result<(), SpecError> {
        let wrong = |reason: String| Err(SpecError::new("dhcp6", reason));
        if self.prefix > 128 {
            return wrong(format!("prefix {} is too long", self.prefix));
        }
        for range in &self.ranges {
            if range.is_empty() || !self.is_on_link(range.start) || !self.is_on_link(range.end) {
                return wrong(format!(
                    "range {}-{} is not inside of the subnet",
                    range.start, range.end
                ));
            }
        }
        for host in &self.hosts {
            if host.duid.is_none() && host.name.is_none() {
                return wrong("a host has neither identifier nor name".to_owned());
            }
            if let Some(address) = host.address.filter(|address| !self.is_on_link(*address)) {
                return wrong(format!("host {address} is outside of the subnet"));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_inside_and_bounded() {
        let check = |start: &str, end: &str| {
            let range =
                Range6 { start: start.parse().unwrap(), end: end.parse().unwrap(), lease: None };
            let address = "fd00::1".parse().unwrap();
            Dhcp6Spec { address, prefix: 64, ranges: vec![range], hosts: Vec::new() }
                .check()
                .is_ok()
        };
        assert!(check("fd00::", "fd00::ffff"));
        assert!(!check("fd00::ffff", "fd00::1:0"));
        assert!(!check("fd00::2", "fd00::1"));
        assert!(!check("fd01::1", "fd01::2"));
    }
}
