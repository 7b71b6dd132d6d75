//! DHCPv4 of a network.

use std::net::Ipv4Addr;

use serde::{Deserialize, Serialize};

use crate::{Mac, SpecError};

/// Most addresses of one range.
const MAX_RANGE: u32 = 65_536;

/// DHCPv4 of a network: one subnet, as libvirt allows ranges and hosts on one IPv4 address only.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Dhcp4Spec {
    /// The host's address: server, router and name server of the subnet.
    pub address: Ipv4Addr,
    /// Length of the subnet's prefix, in bits.
    pub prefix: u8,
    /// Addresses for any client, in the order of the definition; none if only hosts are served.
    pub ranges: Vec<Range4>,
    /// Clients with an address or a name of their own, in the order of the definition.
    pub hosts: Vec<Host4>,
    /// What boots over the network, `<bootp>`.
    pub boot: Option<Boot>,
}

/// Consecutive addresses for any client, both ends included.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Range4 {
    /// The first address.
    pub start: Ipv4Addr,
    /// The last address, not below the first.
    pub end: Ipv4Addr,
    /// How long leases last; [`LeaseTime::default`] if absent.
    pub lease: Option<LeaseTime>,
}

/// A client that the definition names.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Host4 {
    /// Its Ethernet address.
    pub mac: Option<Mac>,
    /// Its client identifier (option 61 with the type octet).
    pub client_id: Option<Vec<u8>>,
    /// Its name; what it is recognised by if neither of the others is given.
    pub name: Option<String>,
    /// Its address.
    pub address: Option<Ipv4Addr>,
    /// How long its lease lasts; as its range, if absent.
    pub lease: Option<LeaseTime>,
}

/// What boots over the network.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Boot {
    /// Name of the boot file, at most 127 bytes.
    pub file: String,
    /// Where it is; the server itself if absent.
    pub server: Option<Ipv4Addr>,
}

/// How long a lease lasts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum LeaseTime {
    /// This many seconds, at least [`LeaseTime::MIN`].
    Seconds(u32),
    /// For ever.
    Infinite,
}

impl LeaseTime {
    /// The shortest time that is given, in seconds: dnsmasq's minimum.
    pub const MIN: u32 = 120;

    /// Its seconds, unless it is infinite.
    #[must_use]
    pub const fn seconds(self) -> Option<u32> {
        match self {
            Self::Seconds(seconds) => Some(seconds),
            Self::Infinite => None,
        }
    }
}

impl Default for LeaseTime {
    /// An hour, dnsmasq's default.
    fn default() -> Self {
        Self::Seconds(3600)
    }
}

impl Range4 {
    /// How many addresses it has; 0 if its end is below its start.
    #[must_use]
    pub fn len(&self) -> u32 {
        u32::from(self.end)
            .checked_sub(u32::from(self.start))
            .map_or(0, |last| last.saturating_add(1))
    }

    /// Whether it has no address.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether `address` is one of its addresses.
    #[must_use]
    pub fn contains(&self, address: Ipv4Addr) -> bool {
        (self.start..=self.end).contains(&address)
    }
}

impl Dhcp4Spec {
    /// A subnet without ranges and hosts.
    #[must_use]
    pub const fn new(address: Ipv4Addr, prefix: u8) -> Self {
        Self { address, prefix, ranges: Vec::new(), hosts: Vec::new(), boot: None }
    }

    /// The subnet's mask.
    #[must_use]
    pub fn netmask(&self) -> Ipv4Addr {
        let bits = u32::MAX.checked_shl(32_u32.saturating_sub(u32::from(self.prefix))).unwrap_or(0);
        bits.into()
    }

    /// The subnet's broadcast address.
    #[must_use]
    pub fn broadcast(&self) -> Ipv4Addr {
        (u32::from(self.address) | !u32::from(self.netmask())).into()
    }

    /// Whether `address` is in the subnet.
    #[must_use]
    pub fn is_on_link(&self, address: Ipv4Addr) -> bool {
        let mask = u32::from(self.netmask());
        u32::from(address) & mask == u32::from(self.address) & mask
    }

    /// The sum of the sizes of all ranges: most leases that the network gives.
    #[must_use]
    pub fn pool_size(&self) -> u32 {
        self.ranges.iter().map(Range4::len).fold(0, u32::saturating_add)
    }

    /// Checks that ranges and hosts are in the subnet and can be indexed.
    ///
    /// # Errors
    /// The first field that cannot be served.
    pub fn check(&self) -> Result<(), SpecError> {
        let wrong = |reason: String| Err(SpecError::new("dhcp4", reason));
        if self.prefix > 32 {
            return wrong(format!("prefix {} is too long", self.prefix));
        }
        for range in &self.ranges {
            if range.is_empty() || range.len() > MAX_RANGE {
                return wrong(format!("range {}-{} has no allowed size", range.start, range.end));
            }
            if !self.is_on_link(range.start) || !self.is_on_link(range.end) {
                return wrong(format!(
                    "range {}-{} is outside of the subnet",
                    range.start, range.end
                ));
            }
        }
        for host in &self.hosts {
            if host.mac.is_none() && host.client_id.is_none() && host.name.is_none() {
                return wrong("a host has neither address, identifier nor name".to_owned());
            }
            if let Some(address) = host.address.filter(|address| !self.is_on_link(*address)) {
                return wrong(format!("host {address} is outside of the subnet"));
            }
        }
        match &self.boot {
            Some(boot) if boot.file.len() > 127 => {
                wrong("the boot file's name is too long".to_owned())
            }
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_and_masks() {
        let mut dhcp = Dhcp4Spec::new([192, 0, 2, 1].into(), 24);
        assert_eq!(dhcp.netmask(), Ipv4Addr::new(255, 255, 255, 0));
        assert_eq!(dhcp.broadcast(), Ipv4Addr::new(192, 0, 2, 255));
        dhcp.prefix = 0;
        assert_eq!(dhcp.netmask(), Ipv4Addr::UNSPECIFIED);
        dhcp.prefix = 32;
        assert_eq!(dhcp.netmask(), Ipv4Addr::BROADCAST);
    }

    #[test]
    fn ranges_are_inside_and_bounded() {
        let range = |start: [u8; 4], end: [u8; 4]| Range4 {
            start: start.into(),
            end: end.into(),
            lease: None,
        };
        let check = |prefix, range| {
            Dhcp4Spec { ranges: vec![range], ..Dhcp4Spec::new([10, 0, 0, 1].into(), prefix) }
                .check()
                .is_ok()
        };
        assert!(check(24, range([10, 0, 0, 2], [10, 0, 0, 254])));
        assert!(!check(24, range([10, 0, 0, 2], [10, 0, 1, 1])));
        assert!(!check(24, range([10, 0, 0, 9], [10, 0, 0, 8])));
        assert!(check(8, range([10, 0, 0, 0], [10, 0, 255, 255])));
        assert!(!check(8, range([10, 0, 0, 0], [10, 1, 0, 0])));
    }
}
