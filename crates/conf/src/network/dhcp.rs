//! `<dhcp>`: ranges, fixed hosts and boot file of one address.

use std::num::NonZeroU64;

use oxivirt_types::ip::{Address, Family, range_size};
use oxivirt_types::mac::{MacAddr, MacError};
use oxivirt_xml::{Element, Tag, Writer};

use super::ip::{AddressingError, IpDef};
use crate::error::Result;
use crate::keyword::keywords;
use crate::node::Node as _;
use crate::scalar::Base;

/// What DHCP hands out on one address.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Dhcp {
    /// Ranges of addresses for anyone.
    pub ranges: Vec<DhcpRange>,
    /// Addresses for known clients.
    pub hosts: Vec<DhcpHost>,
    /// What to boot, IPv4 only; not printed unless there is a range or host.
    pub bootp: Option<Bootp>,
}

/// A range of addresses, both ends included.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DhcpRange {
    /// First address.
    pub start: Address,
    /// Last address.
    pub end: Address,
    /// How long an address is lent.
    pub lease: Option<Lease>,
}

/// An address for one client, known by hardware address (IPv4), client id (IPv6) or name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DhcpHost {
    /// Hardware address.
    pub mac: Option<HostMac>,
    /// Client id (DUID) in hexadecimal digits and colons.
    pub id: Option<String>,
    /// Host name.
    pub name: Option<String>,
    /// The address handed out.
    pub ip: Address,
    /// How long it is lent.
    pub lease: Option<Lease>,
}

/// A hardware address that is printed exactly as it was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostMac {
    text: String,
    mac: MacAddr,
}

/// How long an address is lent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lease {
    /// For ever (`expiry='0'`).
    Infinite,
    /// For a time of at least two minutes.
    Time {
        /// How many units.
        expiry: NonZeroU64,
        /// The unit.
        unit: LeaseUnit,
    },
}

keywords! {
    /// Unit of a lease time.
    pub enum LeaseUnit {
        /// Seconds.
        Seconds = "seconds",
        /// Minutes, also when nothing is said.
        Minutes = "minutes",
        /// Hours.
        Hours = "hours",
    }
}

/// What a client boots.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bootp {
    /// File name.
    pub file: String,
    /// Server; absent means the network's own TFTP server.
    pub server: Option<Address>,
}

/// The shortest lease dnsmasq grants, in seconds.
const LEASE_MIN: u64 = 120;

impl Dhcp {
    /// Whether there is anything to hand out, which decides whether `<dhcp>` is printed at all.
    #[must_use]
    pub const fn serves(&self) -> bool {
        !self.ranges.is_empty() || !self.hosts.is_empty()
    }

    /// libvirt 11.3.0: `virNetworkDHCPDefParseXML`, src/conf/network_conf.c
    pub(super) fn parse(node: &Element<'_>, network: &str, ip: &IpDef) -> Result<Self> {
        let mut dhcp = Self::default();
        for node in node.elements().filter(|child| child.name == "range") {
            dhcp.ranges.push(DhcpRange::parse(node, network, ip)?);
        }
        for node in node.elements().filter(|child| child.name == "host") {
            dhcp.hosts.push(DhcpHost::parse(node, network, ip.family())?);
        }
        if ip.family() == Family::Ipv4
            && let Some(node) = node.subelement("bootp")
        {
            dhcp.bootp = Some(Bootp::parse(node)?);
        }
        Ok(dhcp)
    }

    pub(super) fn format(&self, out: &mut Writer) {
        if !self.serves() {
            return;
        }
        out.begin("dhcp").open();
        for range in &self.ranges {
            let tag = out.begin("range").display("start", range.start).display("end", range.end);
            end_with_lease(tag, "range", range.lease);
        }
        for host in &self.hosts {
            let tag = out
                .begin("host")
                .attr_opt("mac", host.mac.as_ref().map(HostMac::as_str))
                .attr_opt("id", host.id.as_deref())
                .attr_opt("name", host.name.as_deref())
                .display("ip", host.ip);
            end_with_lease(tag, "host", host.lease);
        }
        if let Some(bootp) = &self.bootp {
            out.begin("bootp")
                .attr("file", &bootp.file)
                .display_opt("server", bootp.server)
                .empty();
        }
        out.end("dhcp");
    }
}

impl DhcpRange {
    /// libvirt 11.3.0: `virNetworkDHCPRangeDefParseXML`, src/conf/network_conf.c
    pub(super) fn parse(node: &Element<'_>, network: &str, ip: &IpDef) -> Result<Self> {
        let end = |attribute| {
            let Some(text) = node.property(attribute) else {
                let network = network.to_owned();
                return Err(AddressingError::RangeEnd { network, attribute });
            };
            text.parse::<Address>().map_err(AddressingError::Numeric)
        };
        let (start, end) = (end("start")?, end("end")?);
        range_size(start, end, Some((ip.address, ip.effective_prefix())))
            .map_err(AddressingError::Range)?;
        Ok(Self { start, end, lease: Lease::parse(node)? })
    }

    /// How many addresses the range holds.
    #[must_use]
    pub fn size(&self) -> u32 {
        range_size(self.start, self.end, None).unwrap_or_default()
    }
}

/// A host entry as an update names it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DhcpHostPattern {
    /// Hardware address.
    pub mac: Option<HostMac>,
    /// Client id.
    pub id: Option<String>,
    /// Host name.
    pub name: Option<String>,
    /// The address.
    pub ip: Option<Address>,
}

impl DhcpHost {
    pub(super) fn parse(node: &Element<'_>, network: &str, family: Family) -> Result<Self> {
        let pattern = DhcpHostPattern::parse_keys(node, network, family)?;
        let network = network.to_owned();
        let key = match family {
            Family::Ipv4 => pattern.mac.is_some(),
            Family::Ipv6 => pattern.id.is_some(),
        };
        if !key && pattern.name.is_none() {
            return Err(AddressingError::AnonymousHost { network, family }.into());
        }
        let Some(ip) = pattern.ip else {
            return Err(AddressingError::NoHostAddress { network }.into());
        };
        let DhcpHostPattern { mac, id, name, .. } = pattern;
        Ok(Self { mac, id, name, ip, lease: Lease::parse(node)? })
    }
}

impl DhcpHostPattern {
    /// Reads what a deletion names; at least one of hardware address, name and address.
    pub(super) fn parse(node: &Element<'_>, network: &str, family: Family) -> Result<Self> {
        let pattern = Self::parse_keys(node, network, family)?;
        if pattern.mac.is_none() && pattern.name.is_none() && pattern.ip.is_none() {
            return Err(AddressingError::EmptyHost { network: network.to_owned() }.into());
        }
        Lease::parse(node)?;
        Ok(pattern)
    }

    /// libvirt 11.3.0: `virNetworkDHCPHostDefParseXML`, src/conf/network_conf.c
    fn parse_keys(node: &Element<'_>, network: &str, family: Family) -> Result<Self> {
        let mac = match node.property("mac") {
            Some(text) => Some(parse_mac(text, network, family)?),
            None => None,
        };
        let network = || network.to_owned();
        let id = node.property("id").map(str::to_owned);
        if let Some(id) = &id
            && let Some(character) = id.chars().find(|c| !c.is_ascii_hexdigit() && *c != ':')
        {
            let id = id.clone();
            return Err(AddressingError::HostId { network: network(), id, character }.into());
        }
        let name = node.property("name").map(str::to_owned);
        if let Some(name) = &name
            && !name.bytes().next().is_some_and(|byte| byte.is_ascii_alphanumeric())
        {
            let name = name.clone();
            return Err(AddressingError::HostName { network: network(), name }.into());
        }
        let ip = match node.property("ip") {
            Some(text) => Some(
                text.parse().map_err(|_| AddressingError::HostAddress { network: network() })?,
            ),
            None => None,
        };
        Ok(Self { mac, id, name, ip })
    }
}

fn parse_mac(text: &str, network: &str, family: Family) -> Result<HostMac, AddressingError> {
    let (network, mac) = (network.to_owned(), text.to_owned());
    if family == Family::Ipv6 {
        return Err(AddressingError::Ipv6HostMac { network, mac });
    }
    match text.parse::<HostMac>() {
        Err(_) => Err(AddressingError::HostMac { network, mac }),
        Ok(host) if host.mac.is_multicast() => {
            Err(AddressingError::HostMulticastMac { network, mac })
        }
        Ok(host) => Ok(host),
    }
}

impl HostMac {
    /// The address as it was written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The address.
    #[must_use]
    pub const fn mac(&self) -> MacAddr {
        self.mac
    }
}

impl From<MacAddr> for HostMac {
    fn from(mac: MacAddr) -> Self {
        Self { text: mac.to_string(), mac }
    }
}

impl std::str::FromStr for HostMac {
    type Err = MacError;

    fn from_str(text: &str) -> Result<Self, MacError> {
        Ok(Self { text: text.to_owned(), mac: text.parse()? })
    }
}

impl Lease {
    /// Reads the `<lease>` child; without an expiry it is as if it were absent.
    ///
    /// libvirt 11.3.0: `virNetworkDHCPLeaseTimeDefParseXML`, src/conf/network_conf.c
    fn parse(node: &Element<'_>) -> Result<Option<Self>> {
        let Some(node) = node.subelement("lease") else {
            return Ok(None);
        };
        let Some(expiry) = node.number::<u64>("expiry", Base::Auto)? else {
            return Ok(None);
        };
        let unit = node.keyword("unit")?.unwrap_or(LeaseUnit::Minutes);
        let Some(expiry) = NonZeroU64::new(expiry) else {
            return Ok(Some(Self::Infinite));
        };
        let lease = Self::Time { expiry, unit };
        match lease.seconds() {
            Some(seconds) if seconds < LEASE_MIN => Err(AddressingError::LeaseTooShort.into()),
            _ => Ok(Some(lease)),
        }
    }

    /// The time in seconds; nothing if it is infinite or too large to say.
    #[must_use]
    pub fn seconds(&self) -> Option<u64> {
        match self {
            Self::Infinite => None,
            Self::Time { expiry, unit } => {
                let factor = match unit {
                    LeaseUnit::Seconds => 1,
                    LeaseUnit::Minutes => 60,
                    LeaseUnit::Hours => 3600,
                };
                expiry.get().checked_mul(factor)
            }
        }
    }
}

/// Ends a tag, with the lease as its only content if there is one.
fn end_with_lease(tag: Tag<'_>, name: &str, lease: Option<Lease>) {
    let Some(lease) = lease else {
        tag.empty();
        return;
    };
    let out = tag.open();
    let tag = out.begin("lease");
    match lease {
        Lease::Infinite => tag.display("expiry", 0),
        Lease::Time { expiry, unit } => tag.display("expiry", expiry).display("unit", unit),
    }
    .empty();
    out.end(name);
}

impl Bootp {
    fn parse(node: &Element<'_>) -> Result<Self> {
        let file = node.required("file")?.to_owned();
        let server = match node.property("server") {
            Some(text) => Some(text.parse().map_err(AddressingError::Numeric)?),
            None => None,
        };
        Ok(Self { file, server })
    }
}
