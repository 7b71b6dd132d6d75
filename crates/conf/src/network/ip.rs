//! `<ip>`: an address of the bridge and the DHCP it serves.

use std::net::{IpAddr, Ipv4Addr};

use oxivirt_types::ip::{
    Address, AddressError, Family, IpNet, RangeError, implied_prefix, netmask_prefix, subnet,
};
use oxivirt_xml::{Element, Writer};

use super::dhcp::Dhcp;
use crate::error::{Class, ErrorCode, ErrorDomain, Result, UNSUPPORTED, XML};
use crate::keyword::{Keyword as _, YesNo};
use crate::node::Node as _;
use crate::scalar::Base;

/// An address of the network's bridge.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IpDef {
    /// Family as written; absent means IPv4.
    pub family: Option<Family>,
    /// The bridge's address.
    pub address: Address,
    /// Netmask as written, IPv4 only and never together with a prefix. May have gaps, in which case
    /// there is no [`IpDef::effective_prefix`].
    pub netmask: Option<Ipv4Addr>,
    /// Prefix length as written; never 0.
    pub prefix: Option<u8>,
    /// Whether reverse look-ups of the subnet are never asked for elsewhere.
    pub local_ptr: Option<YesNo>,
    /// Directory served by TFTP, IPv4 only.
    pub tftp_root: Option<String>,
    /// What DHCP hands out.
    pub dhcp: Dhcp,
}

/// What is wrong with an `<ip>`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AddressingError {
    /// No address.
    #[error("Missing required address attribute in network '{network}'")]
    NoAddress {
        /// The network.
        network: String,
    },
    /// An address that is none.
    #[error("Invalid address '{address}' in network '{network}'")]
    Address {
        /// The network.
        network: String,
        /// The value given.
        address: String,
    },
    /// A netmask that is no address.
    #[error("Invalid netmask '{netmask}' in network '{network}'")]
    Netmask {
        /// The network.
        network: String,
        /// The value given.
        netmask: String,
    },
    /// Not a family.
    #[error("Unrecognized family '{family}' in network '{network}'")]
    Family {
        /// The network.
        network: String,
        /// The value given.
        family: String,
    },
    /// An address of the other family.
    #[error("{} specified for non-{} address '{address}' in network '{network}'", said(*.given), name(given.unwrap_or(Family::Ipv4)))]
    Mismatch {
        /// The network.
        network: String,
        /// The address.
        address: String,
        /// The family given.
        given: Option<Family>,
    },
    /// A netmask that is no IPv4 address.
    #[error(
        "Invalid netmask '{netmask}' for address '{address}' in network '{network}' (both must be IPv4)"
    )]
    NetmaskFamily {
        /// The network.
        network: String,
        /// The address.
        address: String,
        /// The netmask.
        netmask: String,
    },
    /// A netmask for IPv6.
    #[error("netmask not allowed for IPv6 address '{address}' in network '{network}'")]
    Ipv6Netmask {
        /// The network.
        network: String,
        /// The address.
        address: String,
    },
    /// A prefix and a netmask.
    #[error("Network '{network}' IP address cannot have both a prefix and a netmask")]
    PrefixAndNetmask {
        /// The network.
        network: String,
    },
    /// A prefix longer than the address.
    #[error("Invalid {} prefix '{prefix}' in network '{network}'", name(*.family))]
    Prefix {
        /// The network.
        network: String,
        /// The address family.
        family: Family,
        /// The prefix.
        prefix: u32,
    },
    /// TFTP over IPv6.
    #[error("Unsupported <tftp> element in an IPv6 element in network '{network}'")]
    Ipv6Tftp {
        /// The network.
        network: String,
    },
    /// A range without start or end.
    #[error("Missing '{attribute}' attribute in dhcp range for network '{network}'")]
    RangeEnd {
        /// The network.
        network: String,
        /// The attribute.
        attribute: &'static str,
    },
    /// An end of a range or a boot server that is no address.
    #[error(transparent)]
    Numeric(AddressError),
    /// A range that is none, or not of this subnet.
    #[error(transparent)]
    Range(RangeError),
    /// A lease shorter than dnsmasq grants.
    #[error("The minimum lease time should be greater than 2 minutes")]
    LeaseTooShort,
    /// A hardware address that is none.
    #[error("Cannot parse MAC address '{mac}' in network '{network}'")]
    HostMac {
        /// The network.
        network: String,
        /// The value given.
        mac: String,
    },
    /// A group address.
    #[error("expected unicast mac address, found multicast '{mac}' in network '{network}'")]
    HostMulticastMac {
        /// The network.
        network: String,
        /// The value given.
        mac: String,
    },
    /// A hardware address for DHCPv6, which has none.
    #[error(
        "Invalid to specify MAC address '{mac}' in network '{network}' IPv6 static host definition"
    )]
    Ipv6HostMac {
        /// The network.
        network: String,
        /// The value given.
        mac: String,
    },
    /// A client id with other than hexadecimal digits and colons.
    #[error("Invalid character '{character}' in id '{id}' of network '{network}'")]
    HostId {
        /// The network.
        network: String,
        /// The id.
        id: String,
        /// The first wrong character.
        character: char,
    },
    /// A host name that starts with neither letter nor digit.
    #[error("Cannot use host name '{name}' in network '{network}'")]
    HostName {
        /// The network.
        network: String,
        /// The name.
        name: String,
    },
    /// A host's address that is none.
    #[error("Invalid IP address in static host definition for network '{network}'")]
    HostAddress {
        /// The network.
        network: String,
    },
    /// A host without address.
    #[error("Missing IP address in static host definition for network '{network}'")]
    NoHostAddress {
        /// The network.
        network: String,
    },
    /// A host nothing identifies.
    #[error(
        "Static host definition in {} network '{network}' must have {} or name attribute",
        name(*.family),
        if *.family == Family::Ipv4 { "mac" } else { "id" }
    )]
    AnonymousHost {
        /// The network.
        network: String,
        /// The address family.
        family: Family,
    },
    /// A host to delete that nothing identifies.
    #[error(
        "At least one of name, mac, or ip attribute must be specified for static host definition in network '{network}'"
    )]
    EmptyHost {
        /// The network.
        network: String,
    },
}

/// A family as messages spell it.
const fn name(family: Family) -> &'static str {
    match family {
        Family::Ipv4 => "IPv4",
        Family::Ipv6 => "IPv6",
    }
}

const fn said(family: Option<Family>) -> &'static str {
    match family {
        None => "no family",
        Some(Family::Ipv4) => "ipv4 family",
        Some(Family::Ipv6) => "Family 'ipv6'",
    }
}

impl AddressingError {
    pub(crate) const fn class(&self) -> Class {
        match self {
            Self::Mismatch { .. }
            | Self::NetmaskFamily { .. }
            | Self::Ipv6Netmask { .. }
            | Self::PrefixAndNetmask { .. }
            | Self::Prefix { .. }
            | Self::Ipv6Tftp { .. }
            | Self::LeaseTooShort => UNSUPPORTED,
            Self::Numeric(_) => (ErrorCode::SYSTEM_ERROR, ErrorDomain::NONE),
            Self::Range(_) => (ErrorCode::INTERNAL_ERROR, ErrorDomain::NONE),
            _ => XML,
        }
    }
}

impl IpDef {
    /// An address without anything to serve. The family is written for IPv6 only.
    #[must_use]
    pub fn new(address: impl Into<Address>, prefix: u8) -> Self {
        let address = address.into();
        Self {
            family: Some(address.family()).filter(|&family| family == Family::Ipv6),
            address,
            netmask: None,
            prefix: Some(prefix).filter(|&prefix| prefix != 0),
            local_ptr: None,
            tftp_root: None,
            dhcp: Dhcp::default(),
        }
    }

    /// The address family.
    #[must_use]
    pub const fn family(&self) -> Family {
        self.address.family()
    }

    /// The prefix length in effect: as written, from the netmask, or implied by the address.
    ///
    /// Nothing if the netmask has gaps or the address is of no class; such an address cannot be set.
    ///
    /// libvirt 11.3.0: `virNetworkIPDefPrefix`, src/conf/network_conf.c
    #[must_use]
    pub fn effective_prefix(&self) -> Option<u8> {
        match (self.prefix, self.netmask) {
            (Some(prefix), _) => Some(prefix),
            (None, Some(netmask)) => netmask_prefix(netmask),
            (None, None) => implied_prefix(self.address.ip()),
        }
    }

    /// Address and effective prefix.
    #[must_use]
    pub fn interface(&self) -> Option<IpNet> {
        IpNet::new(self.address.ip(), self.effective_prefix()?).ok()
    }

    /// The subnet: the address with its host bits cleared.
    #[must_use]
    pub fn subnet(&self) -> Option<IpNet> {
        subnet(self.address.ip(), self.effective_prefix()?)
    }

    /// The broadcast address, IPv4 only.
    #[must_use]
    pub fn broadcast(&self) -> Option<Ipv4Addr> {
        match self.subnet()?.broadcast() {
            IpAddr::V4(broadcast) => Some(broadcast),
            IpAddr::V6(_) => None,
        }
    }

    /// The netmask in effect, IPv4 only: as written, gaps included, or from the prefix.
    ///
    /// libvirt 11.3.0: `virNetworkIPDefNetmask`, src/conf/network_conf.c
    #[must_use]
    pub fn effective_netmask(&self) -> Option<Ipv4Addr> {
        match (self.netmask, self.subnet()) {
            (Some(netmask), _) => Some(netmask),
            (None, Some(IpNet::V4(net))) => Some(net.netmask()),
            (None, _) => None,
        }
    }

    /// libvirt 11.3.0: `virNetworkIPDefParseXML`, src/conf/network_conf.c
    pub(super) fn parse(node: &Element<'_>, network: &str) -> Result<Self> {
        let mut ip = Self::parse_address(node, network)?;
        if let Some(node) = node.subelement("dhcp") {
            ip.dhcp = Dhcp::parse(node, network, &ip)?;
        }
        if let Some(node) = node.subelement("tftp") {
            if ip.family() == Family::Ipv6 {
                return Err(AddressingError::Ipv6Tftp { network: network.to_owned() }.into());
            }
            ip.tftp_root = node.string("root").map(str::to_owned);
        }
        Ok(ip)
    }

    fn parse_address(node: &Element<'_>, network: &str) -> Result<Self> {
        let net = || network.to_owned();
        let family = node.string("family");
        let Some(text) = node.string("address") else {
            return Err(AddressingError::NoAddress { network: net() }.into());
        };
        let address: Address = text
            .parse()
            .map_err(|_| AddressingError::Address { network: net(), address: text.to_owned() })?;
        let netmask = match node.string("netmask") {
            Some(text) => Some(text.parse::<Address>().map_err(|_| AddressingError::Netmask {
                network: net(),
                netmask: text.to_owned(),
            })?),
            None => None,
        };
        let prefix: u32 = node.number("prefix", Base::Ten)?.unwrap_or(0);
        let local_ptr = node.yes_no("localPtr")?;
        let given = match family {
            Some(word) => Some(Family::from_word(word).ok_or_else(|| AddressingError::Family {
                network: net(),
                family: word.to_owned(),
            })?),
            None => None,
        };
        let mut ip = Self {
            family: given,
            address,
            netmask: None,
            prefix: None,
            local_ptr,
            tftp_root: None,
            dhcp: Dhcp::default(),
        };
        ip.set_prefix(netmask, prefix, network, text, node.string("netmask"))?;
        Ok(ip)
    }

    /// Checks netmask and prefix against each other and the address, and keeps them.
    fn set_prefix(
        &mut self,
        netmask: Option<Address>,
        prefix: u32,
        network: &str,
        address: &str,
        netmask_text: Option<&str>,
    ) -> Result<(), AddressingError> {
        let (network, address) = (network.to_owned(), address.to_owned());
        let family = self.family.unwrap_or(Family::Ipv4);
        if self.address.family() != family {
            return Err(AddressingError::Mismatch { network, address, given: self.family });
        }
        if let Some(netmask) = netmask {
            if family == Family::Ipv6 {
                return Err(AddressingError::Ipv6Netmask { network, address });
            }
            let Some(netmask) = netmask.ipv4() else {
                let netmask = netmask_text.unwrap_or_default().to_owned();
                return Err(AddressingError::NetmaskFamily { network, address, netmask });
            };
            if prefix > 0 {
                return Err(AddressingError::PrefixAndNetmask { network });
            }
            self.netmask = Some(netmask);
        }
        match u8::try_from(prefix) {
            Ok(bits) if bits <= family.max_prefix() => {
                self.prefix = Some(bits).filter(|&bits| bits > 0);
                Ok(())
            }
            _ => Err(AddressingError::Prefix { network, family, prefix }),
        }
    }

    pub(super) fn format(&self, out: &mut Writer) {
        out.begin("ip")
            .display_opt("family", self.family)
            .display("address", self.address)
            .display_opt("netmask", self.netmask)
            .display_opt("prefix", self.prefix)
            .display_opt("localPtr", self.local_ptr)
            .open();
        if let Some(root) = &self.tftp_root {
            out.begin("tftp").attr("root", root).empty();
        }
        self.dhcp.format(out);
        out.end("ip");
    }
}
