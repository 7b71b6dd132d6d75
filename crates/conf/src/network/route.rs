//! `<route>`: a static route through a guest.

use std::net::Ipv4Addr;
use std::num::NonZeroU32;

use oxivirt_types::ip::{Address, Family, IpNet, netmask_prefix, subnet};
use oxivirt_xml::{Element, Writer};

use super::ip::IpDef;
use crate::error::{Class, Result, UNSUPPORTED, XML};
use crate::keyword::Keyword as _;
use crate::node::{AttributeError, Node as _};
use crate::scalar::Base;

/// A route whose gateway is in one of the network's subnets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RouteDef {
    /// Family as written; absent means IPv4.
    pub family: Option<Family>,
    /// The destination, without host bits.
    pub address: Address,
    /// Netmask as written, IPv4 only and never together with a prefix.
    pub netmask: Option<Ipv4Addr>,
    /// Prefix length as written; 0 is a prefix, too.
    pub prefix: Option<u8>,
    /// Where the traffic goes.
    pub gateway: Address,
    /// Metric; absent is 1.
    pub metric: Option<NonZeroU32>,
}

/// What is wrong with a `<route>`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RouteError {
    /// An attribute that has to be there.
    #[error("{network}: Missing required {attribute} attribute in route definition")]
    Missing {
        /// The network.
        network: String,
        /// The attribute.
        attribute: &'static str,
    },
    /// An address that is none.
    #[error("{network}: Bad {part} address '{address}' in route definition")]
    Address {
        /// The network.
        network: String,
        /// Which address: network, netmask or gateway.
        part: &'static str,
        /// The value given.
        address: String,
    },
    /// Not a family.
    #[error("{network}: Unrecognized family '{family}' in route definition")]
    Family {
        /// The network.
        network: String,
        /// The value given.
        family: String,
    },
    /// An address or gateway of the other family.
    #[error(
        "{network}: {} specified for non-{} {part}'{address}' in route definition",
        said(*.given, part),
        if *.given == Some(Family::Ipv6) { "IPv6" } else { "IPv4" }
    )]
    Mismatch {
        /// The network.
        network: String,
        /// `gateway ` or `address `.
        part: &'static str,
        /// The address.
        address: String,
        /// The family given.
        given: Option<Family>,
    },
    /// A netmask for IPv6.
    #[error(
        "{network}: Specifying netmask invalid for IPv6 address '{address}' in route definition"
    )]
    Ipv6Netmask {
        /// The network.
        network: String,
        /// The destination.
        address: String,
    },
    /// A netmask that is no IPv4 address.
    #[error("{network}: Invalid netmask '{netmask}' for address '{address}' (both must be IPv4)")]
    NetmaskFamily {
        /// The network.
        network: String,
        /// The destination.
        address: String,
        /// The netmask.
        netmask: String,
    },
    /// A prefix and a netmask.
    #[error("{network}: Route definition cannot have both a prefix and a netmask")]
    PrefixAndNetmask {
        /// The network.
        network: String,
    },
    /// A prefix longer than the address.
    #[error(
        "{network}: Invalid prefix {prefix} specified in route definition, must be 0 - {}",
        .family.max_prefix()
    )]
    Prefix {
        /// The network.
        network: String,
        /// The prefix.
        prefix: u32,
        /// The family.
        family: Family,
    },
    /// A destination with host bits.
    #[error("{network}: Address '{address}' in route definition is not a network address")]
    HostBits {
        /// The network.
        network: String,
        /// The destination.
        address: String,
    },
    /// A gateway in none of the network's subnets.
    #[error("unreachable static route gateway '{gateway}' specified for network '{network}'")]
    Unreachable {
        /// The network.
        network: String,
        /// The gateway.
        gateway: Address,
    },
}

const fn said(family: Option<Family>, part: &str) -> &'static str {
    match family {
        None => "No family",
        Some(Family::Ipv4) => "IPv4 family",
        // libvirt's two texts differ for this family only.
        Some(Family::Ipv6) if part.len() == "gateway address ".len() => "ipv6",
        Some(Family::Ipv6) => "ipv6 family",
    }
}

impl RouteError {
    pub(crate) const fn class(&self) -> Class {
        match self {
            Self::Unreachable { .. } => UNSUPPORTED,
            _ => XML,
        }
    }
}

impl RouteDef {
    /// The destination with the prefix in effect: as written, from the netmask, or 0.
    ///
    /// libvirt 11.3.0: `virNetDevIPRouteGetPrefix`, src/util/virnetdevip.c
    #[must_use]
    pub fn destination(&self) -> Option<IpNet> {
        let prefix = match (self.prefix, self.netmask) {
            (Some(prefix), _) => prefix,
            (None, Some(netmask)) => netmask_prefix(netmask)?,
            (None, None) => 0,
        };
        IpNet::new(self.address.ip(), prefix).ok()
    }

    /// libvirt 11.3.0: `virNetDevIPRouteCreate`, src/conf/networkcommon_conf.c
    pub(super) fn parse(node: &Element<'_>, network: &str) -> Result<Self> {
        let net = || network.to_owned();
        let prefix: Option<u32> = node.number("prefix", Base::Ten)?;
        let metric = match node.number::<u32>("metric", Base::Ten)? {
            Some(metric) => Some(NonZeroU32::new(metric).ok_or_else(|| AttributeError::Zero {
                attribute: "metric",
                element: node.name.clone().into_owned(),
            })?),
            None => None,
        };
        let missing = |attribute| RouteError::Missing { network: net(), attribute };
        let address_text = node.property("address").ok_or_else(|| missing("address"))?;
        let gateway_text = node.property("gateway").ok_or_else(|| missing("gateway"))?;
        let address = parse_address(address_text, "network", network)?;
        let gateway = parse_address(gateway_text, "gateway", network)?;
        let family =
            match node.property("family") {
                Some(word) => Some(Family::from_word(word).ok_or_else(|| RouteError::Family {
                    network: net(),
                    family: word.to_owned(),
                })?),
                None => None,
            };
        let mut route = Self { family, address, netmask: None, prefix: None, gateway, metric };
        route.check_families(network, address_text)?;
        if let Some(text) = node.property("netmask") {
            route.netmask = Some(route.parse_netmask(text, network, address_text)?);
            if prefix.is_some() {
                return Err(RouteError::PrefixAndNetmask { network: net() }.into());
            }
        }
        route.set_prefix(prefix, network)?;
        if !route.is_network_address() {
            let address = address_text.to_owned();
            return Err(RouteError::HostBits { network: net(), address }.into());
        }
        Ok(route)
    }

    fn check_families(&self, network: &str, address_text: &str) -> Result<(), RouteError> {
        let family = self.family.unwrap_or(Family::Ipv4);
        for (part, address) in [("address ", self.address), ("gateway address ", self.gateway)] {
            if address.family() == family {
                continue;
            }
            // Only for IPv6 does libvirt name the gateway itself; otherwise it names the destination.
            let shown = match self.family {
                Some(Family::Ipv6) => address.to_string(),
                _ => address_text.to_owned(),
            };
            let part = match (self.family, part) {
                (Some(Family::Ipv6), _) | (_, "address ") => part,
                _ => "gateway ",
            };
            return Err(RouteError::Mismatch {
                network: network.to_owned(),
                part,
                address: shown,
                given: self.family,
            });
        }
        Ok(())
    }

    fn parse_netmask(
        &self,
        text: &str,
        network: &str,
        address: &str,
    ) -> Result<Ipv4Addr, RouteError> {
        let (owner, address) = (network.to_owned(), address.to_owned());
        if self.family == Some(Family::Ipv6) {
            return Err(RouteError::Ipv6Netmask { network: owner, address });
        }
        let netmask = parse_address(text, "netmask", network)?;
        netmask.ipv4().ok_or_else(|| {
            let netmask = text.to_owned();
            RouteError::NetmaskFamily { network: owner, address, netmask }
        })
    }

    fn set_prefix(&mut self, prefix: Option<u32>, network: &str) -> Result<(), RouteError> {
        let family = self.address.family();
        let Some(prefix) = prefix else {
            return Ok(());
        };
        match u8::try_from(prefix) {
            Ok(bits) if bits <= family.max_prefix() => {
                self.prefix = Some(bits);
                Ok(())
            }
            _ => Err(RouteError::Prefix { network: network.to_owned(), prefix, family }),
        }
    }

    /// A netmask with gaps is applied as it is, so this asks for the bits, not for a subnet.
    fn is_network_address(&self) -> bool {
        match (self.netmask, self.address.ipv4()) {
            (Some(netmask), Some(address)) => address & netmask == address,
            _ => self.destination().is_some_and(|net| net.addr() == net.network()),
        }
    }

    /// Refuses a gateway that none of the network's subnets holds.
    pub(super) fn check_gateway(&self, ips: &[IpDef], network: &str) -> Result<(), RouteError> {
        let gateway = self.gateway.ip();
        let holds = |ip: &IpDef| {
            ip.effective_prefix()
                .and_then(|prefix| subnet(ip.address.ip(), prefix))
                .is_some_and(|net| net.contains(&gateway))
        };
        if ips.iter().any(holds) {
            return Ok(());
        }
        Err(RouteError::Unreachable { network: network.to_owned(), gateway: self.gateway })
    }

    pub(super) fn format(&self, out: &mut Writer) {
        out.begin("route")
            .display_opt("family", self.family)
            .display("address", self.address)
            .display_opt("netmask", self.netmask)
            .display_opt("prefix", self.prefix)
            .display("gateway", self.gateway)
            .display_opt("metric", self.metric)
            .empty();
    }
}

fn parse_address(text: &str, part: &'static str, network: &str) -> Result<Address, RouteError> {
    text.parse().map_err(|_| RouteError::Address {
        network: network.to_owned(),
        part,
        address: text.to_owned(),
    })
}
