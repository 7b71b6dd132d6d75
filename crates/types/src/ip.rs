//! IP addresses as libvirt reads and prints them, with prefix and range arithmetic.
//!
//! Owns the numeric spellings that `getaddrinfo` takes (`10.1`, `0x0a000001`, `fe80::1%eth0`) and
//! the arithmetic on subnets that checks and planners share. Resolves no names and asks no
//! kernel: a zone is kept as it was written.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

pub use ipnet::{IpNet, Ipv4Net, Ipv6Net};

/// Longest interface name the kernel takes (`IFNAMSIZ` without the terminator).
const ZONE_MAX: usize = 15;

/// The most addresses one DHCP or NAT range may hold.
///
/// libvirt 11.3.0: `VIR_SOCKET_ADDR_RANGE_MAX`, src/util/virsocketaddr.h
const RANGE_MAX: u32 = 65536;

/// A numeric IP address, for IPv6 with an optional zone (`fe80::1%eth0`).
///
/// Printed in canonical form whatever the spelling read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Address {
    ip: IpAddr,
    zone: [u8; ZONE_MAX],
}

/// Why a text or a pair of addresses was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AddressError {
    /// Not a numeric address.
    #[error("Cannot parse socket address '{text}': Name or service not known")]
    Syntax {
        /// The rejected text.
        text: String,
    },
}

/// Address family of a document's element.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Family {
    /// IP version 4.
    Ipv4,
    /// IP version 6.
    Ipv6,
}

impl Family {
    /// Both families in the order in which everything lists them.
    pub const ALL: [Self; 2] = [Self::Ipv4, Self::Ipv6];

    /// The word documents use: `ipv4` or `ipv6`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ipv4 => "ipv4",
            Self::Ipv6 => "ipv6",
        }
    }

    /// The number of bits of an address.
    #[must_use]
    pub const fn max_prefix(self) -> u8 {
        match self {
            Self::Ipv4 => 32,
            Self::Ipv6 => 128,
        }
    }

    /// The family of `ip`.
    #[must_use]
    pub const fn of(ip: IpAddr) -> Self {
        match ip {
            IpAddr::V4(_) => Self::Ipv4,
            IpAddr::V6(_) => Self::Ipv6,
        }
    }

    /// The family of `net`.
    #[must_use]
    pub const fn of_net(net: &IpNet) -> Self {
        match net {
            IpNet::V4(_) => Self::Ipv4,
            IpNet::V6(_) => Self::Ipv6,
        }
    }
}

impl fmt::Display for Family {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Address {
    /// The address without its zone.
    #[must_use]
    pub const fn ip(&self) -> IpAddr {
        self.ip
    }

    /// The address family.
    #[must_use]
    pub const fn family(&self) -> Family {
        Family::of(self.ip)
    }

    /// The IPv4 address, if it is one.
    #[must_use]
    pub const fn ipv4(&self) -> Option<Ipv4Addr> {
        match self.ip {
            IpAddr::V4(ip) => Some(ip),
            IpAddr::V6(_) => None,
        }
    }

    /// The zone of an IPv6 address as written: an interface name or number.
    #[must_use]
    pub fn zone(&self) -> Option<&str> {
        let text = self.zone.split(|&byte| byte == 0).next().unwrap_or_default();
        std::str::from_utf8(text).ok().filter(|zone| !zone.is_empty())
    }
}

impl From<IpAddr> for Address {
    fn from(ip: IpAddr) -> Self {
        Self { ip, zone: [0; ZONE_MAX] }
    }
}

impl From<Ipv4Addr> for Address {
    fn from(ip: Ipv4Addr) -> Self {
        IpAddr::V4(ip).into()
    }
}

impl From<Ipv6Addr> for Address {
    fn from(ip: Ipv6Addr) -> Self {
        IpAddr::V6(ip).into()
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.zone() {
            Some(zone) => write!(f, "{}%{zone}", self.ip),
            None => write!(f, "{}", self.ip),
        }
    }
}

impl FromStr for Address {
    type Err = AddressError;

    /// Reads what numeric `getaddrinfo` takes: dotted quads, IPv4 of one to three parts, hexadecimal
    /// and octal parts, IPv6 with an optional zone; no blanks, no brackets.
    ///
    /// # Errors
    /// [`AddressError::Syntax`] for anything else.
    ///
    /// libvirt 11.3.0: `virSocketAddrParse`, src/util/virsocketaddr.c; inet_aton(3)
    fn from_str(text: &str) -> Result<Self, AddressError> {
        parse_address(text).ok_or_else(|| AddressError::Syntax { text: text.to_owned() })
    }
}

fn parse_address(text: &str) -> Option<Address> {
    if let Some(ip) = parse_ipv4(text) {
        return Some(ip.into());
    }
    let Some((ip, zone)) = text.split_once('%') else {
        return text.parse::<Ipv6Addr>().ok().map(Into::into);
    };
    let mut address = Address::from(ip.parse::<Ipv6Addr>().ok()?);
    if zone.is_empty() || zone.bytes().any(|byte| byte <= b' ' || byte == b'/') {
        return None;
    }
    address.zone.get_mut(..zone.len())?.copy_from_slice(zone.as_bytes());
    Some(address)
}

/// Reads an IPv4 address of one to four parts, each decimal, `0x` hexadecimal or `0` octal.
///
/// The last part fills all bytes the earlier ones leave: `10.1` is `10.0.0.1`.
///
/// inet_aton(3)
#[must_use]
pub fn parse_ipv4(text: &str) -> Option<Ipv4Addr> {
    let mut address: u32 = 0;
    let mut parts = text.split('.').peekable();
    let mut room = 4_u32;
    while let Some(part) = parts.next() {
        let value = parse_ipv4_part(part)?;
        let bytes = if parts.peek().is_none() { room } else { 1 };
        if u64::from(value) >= 1_u64 << (8 * bytes) || room == 0 {
            return None;
        }
        room -= bytes;
        address |= value << (8 * room);
    }
    Some(Ipv4Addr::from_bits(address))
}

fn parse_ipv4_part(part: &str) -> Option<u32> {
    let (digits, radix) = match part.strip_prefix("0x").or_else(|| part.strip_prefix("0X")) {
        Some(digits) => (digits, 16),
        None if part.len() > 1 && part.starts_with('0') => (part, 8),
        None => (part, 10),
    };
    if digits.starts_with('+') { None } else { u32::from_str_radix(digits, radix).ok() }
}

/// The prefix length of a netmask, or nothing if its bits are not contiguous.
///
/// libvirt 11.3.0: `virSocketAddrGetNumNetmaskBits`, src/util/virsocketaddr.c
#[must_use]
pub fn netmask_prefix(netmask: Ipv4Addr) -> Option<u8> {
    let bits = netmask.to_bits();
    let prefix = bits.leading_ones();
    (bits.count_ones() == prefix).then(|| u8::try_from(prefix).unwrap_or_default())
}

/// The prefix an address has when neither a prefix nor a netmask is given.
///
/// IPv4: by class (A 8, B 16, C 24, else none); IPv6: 64. The unspecified address has 0.
///
/// libvirt 11.3.0: `virSocketAddrGetIPPrefix`, src/util/virsocketaddr.c
#[must_use]
pub fn implied_prefix(ip: IpAddr) -> Option<u8> {
    match ip {
        _ if ip.is_unspecified() => Some(0),
        IpAddr::V6(_) => Some(64),
        IpAddr::V4(ip) => match ip.octets() {
            [0..=127, ..] => Some(8),
            [128..=191, ..] => Some(16),
            [192..=223, ..] => Some(24),
            _ => None,
        },
    }
}

/// The subnet that `ip` is in under `prefix`, host bits cleared; nothing if the prefix is too long.
#[must_use]
pub fn subnet(ip: IpAddr, prefix: u8) -> Option<IpNet> {
    IpNet::new(ip, prefix).ok().map(|net| net.trunc())
}

/// Why a range of addresses was refused, in the words scripts see.
///
/// libvirt 11.3.0: `virSocketAddrGetRange`, src/util/virsocketaddr.c
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RangeError {
    /// Start and end differ in family.
    #[error("mismatch of address family in range {start} - {end}")]
    Families {
        /// First address.
        start: Address,
        /// Last address.
        end: Address,
    },
    /// The range is not of the subnet's family.
    #[error("mismatch of address family in range {start} - {end} for network {network}")]
    NetworkFamily {
        /// First address.
        start: Address,
        /// Last address.
        end: Address,
        /// The address whose subnet should hold the range.
        network: Address,
    },
    /// The subnet has no usable prefix.
    #[error("bad prefix -1 for network {network} when checking range {start} - {end}")]
    Prefix {
        /// First address.
        start: Address,
        /// Last address.
        end: Address,
        /// The address whose subnet should hold the range.
        network: Address,
    },
    /// An end of the range lies outside the subnet.
    #[error("range {start} - {end} is not entirely within network {network}/{prefix}")]
    Outside {
        /// First address.
        start: Address,
        /// Last address.
        end: Address,
        /// The address whose subnet should hold the range.
        network: Address,
        /// Its prefix length.
        prefix: u8,
    },
    /// The range starts with the address of the subnet itself.
    #[error("start of range {start} - {end} in network {network}/{prefix} is the network address")]
    NetworkAddress {
        /// First address.
        start: Address,
        /// Last address.
        end: Address,
        /// The address whose subnet should hold the range.
        network: Address,
        /// Its prefix length.
        prefix: u8,
    },
    /// The range ends with the broadcast address.
    #[error("end of range {start} - {end} in network {network}/{prefix} is the broadcast address")]
    Broadcast {
        /// First address.
        start: Address,
        /// Last address.
        end: Address,
        /// The address whose subnet should hold the range.
        network: Address,
        /// Its prefix length.
        prefix: u8,
    },
    /// The end comes before the start.
    #[error(
        "range {start} - {end} {}",
        if matches!(start.ip, IpAddr::V4(_)) { "is reversed " } else { "start larger than end" }
    )]
    Reversed {
        /// First address.
        start: Address,
        /// Last address.
        end: Address,
    },
    /// More than 65536 addresses.
    #[error("range {start} - {end} is too large (> 65535)")]
    TooLarge {
        /// First address.
        start: Address,
        /// Last address.
        end: Address,
    },
}

/// The number of addresses from `start` to `end`, both included.
///
/// `network` is the address whose subnet must hold the range, with its prefix length (`None`: it
/// has no usable one); without it only order and size are checked.
///
/// # Errors
/// [`RangeError`]; at most 65536 addresses are allowed, and for IPv6 both ends must agree in all but
/// the last 16 bits.
///
/// libvirt 11.3.0: `virSocketAddrGetRange`, src/util/virsocketaddr.c
pub fn range_size(
    start: Address,
    end: Address,
    network: Option<(Address, Option<u8>)>,
) -> Result<u32, RangeError> {
    if start.family() != end.family() {
        return Err(RangeError::Families { start, end });
    }
    if let Some((network, prefix)) = network {
        check_within(start, end, network, prefix)?;
    }
    let distance = match (start.ip, end.ip) {
        (IpAddr::V4(first), IpAddr::V4(last)) => {
            (u128::from(first.to_bits()), u128::from(last.to_bits()))
        }
        (IpAddr::V6(first), IpAddr::V6(last)) => {
            if first.to_bits() >> 16 != last.to_bits() >> 16 {
                return Err(RangeError::TooLarge { start, end });
            }
            (first.to_bits(), last.to_bits())
        }
        _ => return Err(RangeError::Families { start, end }),
    };
    let (first, last) = distance;
    let size = last.checked_sub(first).ok_or(RangeError::Reversed { start, end })? + 1;
    u32::try_from(size)
        .ok()
        .filter(|&size| size <= RANGE_MAX)
        .ok_or(RangeError::TooLarge { start, end })
}

fn check_within(
    start: Address,
    end: Address,
    network: Address,
    prefix: Option<u8>,
) -> Result<(), RangeError> {
    if start.family() != network.family() {
        return Err(RangeError::NetworkFamily { start, end, network });
    }
    let Some((prefix, net)) = prefix.and_then(|prefix| Some((prefix, subnet(network.ip, prefix)?)))
    else {
        return Err(RangeError::Prefix { start, end, network });
    };
    if !net.contains(&start.ip) || !net.contains(&end.ip) {
        return Err(RangeError::Outside { start, end, network, prefix });
    }
    // Neither rule applies to IPv6, whose subnet address is an ordinary (anycast) one to dnsmasq.
    if start.family() == Family::Ipv4 {
        if start.ip == net.network() {
            return Err(RangeError::NetworkAddress { start, end, network, prefix });
        }
        if end.ip == net.broadcast() {
            return Err(RangeError::Broadcast { start, end, network, prefix });
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expect: Option<&str>) {
        let printed = text.parse::<Address>().ok().map(|address| address.to_string());
        assert_eq!(printed.as_deref(), expect, "{text:?}");
    }

    #[test]
    fn ipv4_spellings() {
        check("192.168.122.1", Some("192.168.122.1"));
        check("10.1", Some("10.0.0.1"));
        check("10.1.258", Some("10.1.1.2"));
        check("0x0a000001", Some("10.0.0.1"));
        check("010.0.0.1", Some("8.0.0.1"));
        check("4294967295", Some("255.255.255.255"));
        check("4294967296", None);
        check("1.2.3.256", None);
        check("256.1", None);
        check("1.2.3.4.5", None);
        check("1.2.3.", None);
        check("09.1.1.1", None);
        check("+1.2.3.4", None);
        check(" 1.2.3.4", None);
        check("1.2.3.4 ", None);
        check("0x.1.1.1", None);
        check("", None);
    }

    #[test]
    fn ipv6_spellings() {
        check("2001:DB8:0::1", Some("2001:db8::1"));
        check("::ffff:1.2.3.4", Some("::ffff:1.2.3.4"));
        check("fe80::1%eth0", Some("fe80::1%eth0"));
        check("fe80::1%", None);
        check("fe80::1%name-longer-than-15", None);
        check("[::1]", None);
        check("::1/64", None);
    }

    #[track_caller]
    fn check_range(start: &str, end: &str, network: Option<(&str, u8)>, expect: Result<u32, &str>) {
        let size = range_size(
            start.parse().unwrap(),
            end.parse().unwrap(),
            network.map(|(ip, prefix)| (ip.parse().unwrap(), Some(prefix))),
        );
        assert_eq!(size.map_err(|error| error.to_string()), expect.map_err(str::to_owned));
    }

    #[test]
    fn ranges() {
        check_range("10.0.0.2", "10.0.0.9", None, Ok(8));
        check_range("10.0.0.2", "10.0.0.9", Some(("10.0.0.1", 24)), Ok(8));
        check_range("10.0.0.0", "10.0.255.255", None, Ok(65536));
        check_range("::2", "::1:0", None, Err("range ::2 - ::1:0 is too large (> 65535)"));
        check_range("::2", "::ff", Some(("::1", 64)), Ok(254));
        check_range("10.0.0.9", "10.0.0.2", None, Err("range 10.0.0.9 - 10.0.0.2 is reversed "));
        check_range(
            "10.0.0.2",
            "10.0.0.255",
            Some(("10.0.0.1", 24)),
            Err(
                "end of range 10.0.0.2 - 10.0.0.255 in network 10.0.0.1/24 is the broadcast address",
            ),
        );
        check_range(
            "10.0.1.2",
            "10.0.1.3",
            Some(("10.0.0.1", 24)),
            Err("range 10.0.1.2 - 10.0.1.3 is not entirely within network 10.0.0.1/24"),
        );
    }

    #[test]
    fn prefixes() {
        assert_eq!(netmask_prefix(Ipv4Addr::new(255, 255, 255, 0)), Some(24));
        assert_eq!(netmask_prefix(Ipv4Addr::new(255, 0, 255, 0)), None);
        assert_eq!(implied_prefix(Ipv4Addr::new(224, 0, 0, 1).into()), None);
        assert_eq!(implied_prefix(Ipv4Addr::UNSPECIFIED.into()), Some(0));
        assert_eq!(implied_prefix(Ipv6Addr::LOCALHOST.into()), Some(64));
    }
}
