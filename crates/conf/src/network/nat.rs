//! `<nat>`: what outgoing connections are rewritten to.

use std::net::Ipv4Addr;

use oxivirt_types::ip::{Address, range_size};
use oxivirt_xml::{Element, Writer};

use super::forward::ForwardError;
use crate::error::Result;
use crate::keyword::YesNo;
use crate::node::Node as _;
use crate::scalar::{Base, unsigned};

/// `<nat>`: what outgoing connections are rewritten to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Nat {
    /// Whether IPv6 is rewritten, too.
    pub ipv6: Option<YesNo>,
    /// Source addresses; absent means the one of the outgoing device.
    pub addresses: Option<NatAddresses>,
    /// Source ports; absent means 1024 to 65535 once the network is started.
    pub ports: Option<NatPorts>,
}

/// A range of IPv4 addresses, both ends included.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NatAddresses {
    /// First address.
    pub start: Ipv4Addr,
    /// Last address.
    pub end: Ipv4Addr,
}

/// A range of ports, both ends included, not 0–0.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NatPorts {
    /// First port.
    pub start: u16,
    /// Last port, at least `start`.
    pub end: u16,
}

impl Nat {
    pub(super) fn parse(node: &Element<'_>, network: &str) -> Result<Self> {
        let only = |name, element| {
            let mut elements = node.children(name);
            let first = elements.next();
            if elements.next().is_some() {
                let (network, place) = (network.to_owned(), "<nat> in <forward> in");
                return Err(ForwardError::Repeated { network, element, place });
            }
            Ok(first)
        };
        let ipv6 = node.yes_no("ipv6")?;
        let addresses = only("address", "<address>")?;
        let addresses = addresses.map(|node| NatAddresses::parse(node, network)).transpose()?;
        let ports = match only("port", "<port>")? {
            Some(node) => NatPorts::parse(node, network)?,
            None => None,
        };
        Ok(Self { ipv6, addresses, ports })
    }

    pub(super) fn format(&self, out: &mut Writer) {
        if *self == Self::default() {
            return;
        }
        let tag = out.begin("nat").display_opt("ipv6", self.ipv6);
        if self.addresses.is_none() && self.ports.is_none() {
            tag.empty();
            return;
        }
        let out = tag.open();
        if let Some(NatAddresses { start, end }) = self.addresses {
            out.begin("address").display("start", start).display("end", end).empty();
        }
        if let Some(NatPorts { start, end }) = self.ports {
            out.begin("port").display("start", start).display("end", end).empty();
        }
        out.end("nat");
    }
}

impl NatAddresses {
    fn parse(node: &Element<'_>, network: &str) -> Result<Self, ForwardError> {
        let text = |attribute| {
            node.property(attribute).ok_or_else(|| ForwardError::NatAddressEnd {
                network: network.to_owned(),
                attribute,
            })
        };
        let parse = |attribute, text: &str| {
            text.parse::<Address>().ok().and_then(|address| address.ipv4()).ok_or_else(|| {
                ForwardError::NatAddress {
                    network: network.to_owned(),
                    attribute,
                    address: text.to_owned(),
                }
            })
        };
        let (start, end) = (text("start")?, text("end")?);
        let (start, end) = (parse("start", start)?, parse("end", end)?);
        range_size(start.into(), end.into(), None).map_err(ForwardError::NatRange)?;
        Ok(Self { start, end })
    }
}

impl NatPorts {
    /// Nothing for 0–0, which is how libvirt keeps the absence of a range.
    fn parse(node: &Element<'_>, network: &str) -> Result<Option<Self>, ForwardError> {
        let port = |attribute| {
            let value = node.string(attribute).and_then(|text| unsigned(text, Base::Ten));
            value
                .and_then(|port| u16::try_from(port).ok())
                .ok_or_else(|| ForwardError::NatPort { network: network.to_owned(), attribute })
        };
        let (start, end) = (port("start")?, port("end")?);
        if end < start {
            return Err(ForwardError::NatPort { network: network.to_owned(), attribute: "end" });
        }
        Ok(Some(Self { start, end }).filter(|ports| ports.end != 0))
    }
}
