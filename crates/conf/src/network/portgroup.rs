//! `<portgroup>`: a named class of connections.

use oxivirt_xml::{Element, Writer};

use super::GeneralError;
use crate::bandwidth::Bandwidth;
use crate::error::Result;
use crate::keyword::YesNo;
use crate::node::Node as _;
use crate::virtualport::{TypeIs, VirtualPort};
use crate::vlan::Vlan;

/// Settings for the ports that ask for this class, or for none if it is the default.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PortGroup {
    /// Name; unique within the network once it is defined.
    pub name: String,
    /// Whether ports without a class get this one.
    pub default: bool,
    /// Whether guests may set their receive filters.
    pub trust_guest_rx_filters: Option<YesNo>,
    /// How ports associate with a switch.
    pub virtual_port: Option<VirtualPort>,
    /// Rate limits of a port.
    pub bandwidth: Option<Bandwidth>,
    /// VLAN tags of a port.
    pub vlan: Option<Vlan>,
}

impl PortGroup {
    /// libvirt 11.3.0: `virNetworkPortGroupParseXML`, src/conf/network_conf.c
    pub(super) fn parse(node: &Element<'_>) -> Result<Self> {
        let name = node.string("name").ok_or(GeneralError::NoPortGroupName)?.to_owned();
        let yes = |word: &str| word.eq_ignore_ascii_case("yes");
        let default = node.string("default").is_some_and(yes);
        let trust_guest_rx_filters = node.yes_no("trustGuestRxFilters")?;
        let virtual_port = match node.child("virtualport") {
            Some(node) => Some(VirtualPort::parse(node, TypeIs::Optional)?),
            None => None,
        };
        let bandwidth = match node.child("bandwidth") {
            Some(node) => Bandwidth::parse(node)?,
            None => None,
        };
        let vlan = node.child("vlan").map(Vlan::parse).transpose()?;
        Ok(Self { name, default, trust_guest_rx_filters, virtual_port, bandwidth, vlan })
    }

    pub(super) fn format(&self, out: &mut Writer) {
        out.begin("portgroup")
            .attr("name", &self.name)
            .attr_opt("default", self.default.then_some("yes"))
            .display_opt("trustGuestRxFilters", self.trust_guest_rx_filters)
            .open();
        if let Some(vlan) = &self.vlan {
            vlan.format(out);
        }
        if let Some(port) = &self.virtual_port {
            port.format(out);
        }
        if let Some(bandwidth) = &self.bandwidth {
            bandwidth.format(0, out);
        }
        out.end("portgroup");
    }
}
