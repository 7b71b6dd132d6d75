//! The definition as a whole: order of reading, rules across elements, order of writing.

use std::collections::BTreeMap;
use std::num::NonZeroU32;

use oxivirt_types::mac::MacAddr;
use oxivirt_xml::{self as xml, Blanks, Element, Writer};

use super::bridge::{self, Bridge, BridgeError, Stp};
use super::dns::{Dns, Domain};
use super::forward::{Forward, ForwardDevice, ForwardError, ForwardMode};
use super::ip::IpDef;
use super::portgroup::PortGroup;
use super::route::RouteDef;
use crate::bandwidth::Bandwidth;
use crate::error::{Class, ErrorCode, ErrorDomain, INTERNAL, ParseError, Result, XML};
use crate::keyword::{Keyword as _, YesNo};
use crate::metadata::Metadata;
use crate::node::Node as _;
use crate::schema;
use crate::uuid::{Uuid, parse_uuid};
use crate::virtualport::{TypeIs, VirtualPort};
use crate::vlan::Vlan;

/// Namespace of options handed to dnsmasq as they are.
pub(crate) const DNSMASQ_NAMESPACE: &str = "http://libvirt.org/schemas/network/dnsmasq/1.0";

/// A network as its document describes it.
///
/// Absent attributes stay absent: the user of a value applies its default, so that
/// formatting says what was read. `uuid`, `mac` and `bridge.name` are the values a driver generates.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct NetworkDef {
    /// Name, unique on a host; no `/`.
    pub name: String,
    /// Identity. A document may leave it out; generating one is left to the caller, who owns the
    /// source of randomness. Without it no `<uuid>` is printed.
    pub uuid: Option<Uuid>,
    /// Short description, one line.
    pub title: Option<String>,
    /// Long description.
    pub description: Option<String>,
    /// What other programs keep here.
    pub metadata: Option<Metadata>,
    /// Whether guests may talk IPv6 to one another although the network has no IPv6 address.
    pub ipv6: bool,
    /// Whether guests may set their receive filters.
    pub trust_guest_rx_filters: Option<YesNo>,
    /// Kind of network and its devices.
    pub forward: Forward,
    /// The bridge.
    pub bridge: Bridge,
    /// MTU of the bridge in bytes.
    pub mtu: Option<NonZeroU32>,
    /// Address of the bridge.
    pub mac: Option<MacAddr>,
    /// DNS domain.
    pub domain: Domain,
    /// Name server.
    pub dns: Dns,
    /// VLAN tags of all ports.
    pub vlan: Option<Vlan>,
    /// Rate limits of the bridge.
    pub bandwidth: Option<Bandwidth>,
    /// Whether ports are isolated from one another (`<port isolated=…>`).
    pub port_isolated: Option<YesNo>,
    /// Addresses of the bridge.
    pub ips: Vec<IpDef>,
    /// Static routes.
    pub routes: Vec<RouteDef>,
    /// How ports associate with a switch.
    pub virtual_port: Option<VirtualPort>,
    /// Classes of connections.
    pub port_groups: Vec<PortGroup>,
    /// Lines for dnsmasq's configuration, as they are.
    pub dnsmasq_options: Vec<String>,
}

/// Ports in use, which a running network counts and its live form shows.
///
/// libvirt keeps these inside the definition and loses them when that is copied.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Counters {
    /// Ports of the network.
    pub connections: u32,
    /// Ports of each device.
    pub devices: BTreeMap<ForwardDevice, u32>,
}

/// What a definition is written for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form<'a> {
    /// The running network: with counters and the virtual functions found at start.
    Live(&'a Counters),
    /// What persists.
    Inactive,
}

impl Counters {
    /// No ports at all.
    pub const NONE: &'static Self = &Self { connections: 0, devices: BTreeMap::new() };
}

impl Form<'static> {
    /// A running network without ports.
    pub const LIVE: Self = Self::Live(Counters::NONE);
}

/// What is wrong with a network's general properties.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum GeneralError {
    /// No name.
    #[error("missing name information")]
    NoName,
    /// A name that cannot be a file's.
    #[error("invalid char in name: /")]
    NameSlash,
    /// A UUID that is none.
    #[error("malformed uuid element")]
    Uuid,
    /// A title of several lines.
    #[error("Network title can't contain newlines")]
    TitleNewline,
    /// Neither yes nor no.
    #[error("Invalid ipv6 setting '{value}' in network '{network}'")]
    Ipv6 {
        /// The network.
        network: String,
        /// The value given.
        value: String,
    },
    /// A file that is called after another network.
    #[error("Network config filename '{path}' does not match network name '{network}'")]
    FileName {
        /// The file.
        path: String,
        /// The network.
        network: String,
    },
    /// A port group without name.
    #[error("Missing required name attribute in portgroup")]
    NoPortGroupName,
    /// An option without value.
    #[error("No dnsmasq options value specified")]
    NoOptionValue,
}

impl GeneralError {
    pub(crate) const fn class(&self) -> Class {
        match self {
            Self::NoName => (ErrorCode::NO_NAME, ErrorDomain::NETWORK),
            Self::NameSlash => (ErrorCode::XML_DETAIL, ErrorDomain::XML),
            Self::Uuid | Self::NoOptionValue | Self::FileName { .. } => INTERNAL,
            Self::TitleNewline | Self::Ipv6 { .. } | Self::NoPortGroupName => XML,
        }
    }
}

impl NetworkDef {
    /// Reads a `<network>` document.
    ///
    /// # Errors
    /// [`ParseError`], the first in libvirt's order of checks.
    ///
    /// libvirt 11.3.0: `virNetworkDefParse`, src/conf/network_conf.c
    pub fn parse(text: &str) -> Result<Self> {
        Self::from_root(xml::parse(text, Blanks::Drop)?)
    }

    /// As [`NetworkDef::parse`], but refuses whatever the schema does not have, as misspelt elements.
    ///
    /// # Errors
    /// As [`NetworkDef::parse`], and [`ParseError::Schema`] before any check of content.
    ///
    /// libvirt 11.3.0: flag `VIR_NETWORK_DEFINE_VALIDATE`
    pub fn parse_validated(text: &str) -> Result<Self> {
        let mut root = xml::parse(text, Blanks::Drop)?;
        check_root(&root, "network")?;
        schema::check_network(&root)?;
        Self::from_element(&mut root)
    }

    /// Reads a definition from a file, which has to be called `NAME.xml`.
    ///
    /// Faults of the document's form are reported as `path:LINE:`.
    ///
    /// # Errors
    /// As [`NetworkDef::parse`], and [`GeneralError::FileName`].
    ///
    /// libvirt 11.3.0: `virNetworkLoadConfig`, src/conf/virnetworkobj.c
    pub fn parse_file(path: &str, text: &str) -> Result<Self> {
        let root = xml::parse(text, Blanks::Drop).map_err(|error| error.in_file(path))?;
        let def = Self::from_root(root)?;
        def.check_file_name(path)?;
        Ok(def)
    }

    /// Refuses a file that is called after another network.
    pub(crate) fn check_file_name(&self, path: &str) -> Result<(), GeneralError> {
        let file = path.rsplit('/').next().unwrap_or(path);
        if file.strip_suffix(".xml") == Some(&self.name) {
            return Ok(());
        }
        Err(GeneralError::FileName { path: path.to_owned(), network: self.name.clone() })
    }

    fn from_root(mut root: Element<'_>) -> Result<Self> {
        check_root(&root, "network")?;
        Self::from_element(&mut root)
    }

    /// Reads a `<network>` wherever it stands; its metadata is taken out of the tree, not copied.
    pub(crate) fn from_element(root: &mut Element<'_>) -> Result<Self> {
        let mut def = Self::parse_general(root)?;
        let name = def.name.clone();
        let name = name.as_str();
        def.domain = Domain::parse(root.child("domain"), name)?;
        if let Some(node) = root.child("bandwidth") {
            def.bandwidth = Bandwidth::parse(node)?;
        }
        def.vlan = root.child("vlan").map(Vlan::parse).transpose()?;
        def.port_isolated = match root.child("port") {
            Some(node) => node.yes_no("isolated")?,
            None => None,
        };
        let (bridge, stp) = Bridge::parse(root.child("bridge"), name)?;
        def.bridge = bridge;
        def.mac = bridge::parse_mac(root.child("mac"), name)?;
        def.mtu = bridge::parse_mtu(root, name)?;
        def.dns = Dns::parse(root.child("dns"), name)?;
        if let Some(node) = root.child("virtualport") {
            def.virtual_port = Some(VirtualPort::parse(node, TypeIs::Required)?);
        }
        for node in root.children("portgroup") {
            def.port_groups.push(PortGroup::parse(node)?);
        }
        for node in root.children("ip") {
            def.ips.push(IpDef::parse(node, name)?);
        }
        for node in root.children("route") {
            def.routes.push(RouteDef::parse(node, name)?);
        }
        for route in &def.routes {
            route.check_gateway(&def.ips, name)?;
        }
        def.forward = Forward::parse(root.child("forward"), name)?;
        def.check_mode(stp)?;
        def.metadata = root.take_child("metadata").and_then(Metadata::from_element);
        def.dnsmasq_options = parse_dnsmasq_options(root)?;
        Ok(def)
    }

    fn parse_general(root: &Element<'_>) -> Result<Self> {
        let text = |name: &str| {
            let text = root.child(name).map(|node| node.text().into_owned());
            text.filter(|text| !text.is_empty())
        };
        let name = text("name").ok_or(GeneralError::NoName)?;
        if name.contains('/') {
            return Err(GeneralError::NameSlash.into());
        }
        let uuid = match text("uuid") {
            Some(text) => Some(parse_uuid(&text).ok_or(GeneralError::Uuid)?),
            None => None,
        };
        let title = text("title");
        if title.as_deref().is_some_and(|title| title.contains('\n')) {
            return Err(GeneralError::TitleNewline.into());
        }
        let description = text("description");
        let ipv6 = match root.string("ipv6") {
            Some(word) => YesNo::from_word(word).ok_or_else(|| GeneralError::Ipv6 {
                network: name.clone(),
                value: word.to_owned(),
            })?,
            None => YesNo::No,
        };
        let trust_guest_rx_filters = root.yes_no("trustGuestRxFilters")?;
        Ok(Self {
            name,
            uuid,
            title,
            description,
            ipv6: ipv6 == YesNo::Yes,
            trust_guest_rx_filters,
            ..Self::default()
        })
    }

    /// The rules that tie the mode to everything else.
    fn check_mode(&self, stp: Stp) -> Result<()> {
        let network = || self.name.clone();
        let mode = self.forward.mode;
        let has_device = !self.forward.devices.is_empty() || self.forward.pf.is_some();
        match mode {
            ForwardMode::None => {}
            ForwardMode::Nat | ForwardMode::Route => {
                if self.ips.is_empty() {
                    return Err(ForwardError::NoAddress { network: network(), mode }.into());
                }
                if self.forward.devices.len() > 1 {
                    return Err(ForwardError::SeveralDevices { network: network() }.into());
                }
            }
            ForwardMode::Open => {
                if !self.forward.devices.is_empty() {
                    return Err(ForwardError::DeviceNotAllowed { network: network(), mode }.into());
                }
            }
            ForwardMode::Private
            | ForwardMode::Vepa
            | ForwardMode::Passthrough
            | ForwardMode::Hostdev => {
                let parts = [
                    (self.bridge.name.is_some(), "name"),
                    (self.bridge.zone.is_some(), "zone"),
                    (self.bridge.mac_table_manager.is_some(), "macTableManager setting"),
                ];
                if let Some((_, part)) = parts.into_iter().find(|&(given, _)| given) {
                    return Err(BridgeError::NotInMode { network: network(), part, mode }.into());
                }
                self.check_not_owned(stp)?;
            }
            ForwardMode::Bridge => {
                self.check_not_owned(stp)?;
                if self.bridge.name.is_some() && has_device {
                    return Err(BridgeError::BridgeAndDevice { network: network(), mode }.into());
                }
            }
        }
        if self.mtu.is_some() && !mode.owns_bridge() {
            return Err(BridgeError::MtuNotOwned { network: network(), mode }.into());
        }
        Ok(())
    }

    fn check_not_owned(&self, stp: Stp) -> Result<(), BridgeError> {
        if self.bridge.delay != 0 || stp == Stp::Given || self.bridge.zone.is_some() {
            let (network, mode) = (self.name.clone(), self.forward.mode);
            return Err(BridgeError::NotOwned { network, mode });
        }
        Ok(())
    }

    /// Writes the document, ending in a line feed.
    ///
    /// libvirt 11.3.0: `virNetworkDefFormat`, src/conf/network_conf.c
    #[must_use]
    pub fn format(&self, form: Form<'_>) -> String {
        let mut out = Writer::new();
        self.write(form, &mut out);
        out.finish()
    }

    /// Writes the element at the writer's depth.
    pub(crate) fn write(&self, form: Form<'_>, out: &mut Writer) {
        let connections = match form {
            Form::Live(counters) => Some(counters.connections).filter(|&count| count > 0),
            Form::Inactive => None,
        };
        let has_options = !self.dnsmasq_options.is_empty();
        out.begin("network")
            .attr_opt("xmlns:dnsmasq", has_options.then_some(DNSMASQ_NAMESPACE))
            .display_opt("connections", connections)
            .attr_opt("ipv6", self.ipv6.then_some("yes"))
            .display_opt("trustGuestRxFilters", self.trust_guest_rx_filters)
            .open();
        out.text("name", &self.name);
        if let Some(uuid) = self.uuid {
            out.text("uuid", uuid.as_hyphenated().encode_lower(&mut Uuid::encode_buffer()));
        }
        for (name, text) in [("title", &self.title), ("description", &self.description)] {
            if let Some(text) = text {
                out.text(name, text);
            }
        }
        if let Some(metadata) = &self.metadata {
            metadata.format(out);
        }
        self.forward.format(form, out);
        self.bridge.format(self.forward.mode, out);
        if let Some(mtu) = self.mtu {
            out.begin("mtu").display("size", mtu).empty();
        }
        if let Some(mac) = self.mac {
            out.begin("mac").display("address", mac).empty();
        }
        self.domain.format(out);
        self.dns.format(out);
        self.write_ports(out);
        for ip in &self.ips {
            ip.format(out);
        }
        for route in &self.routes {
            route.format(out);
        }
        if let Some(port) = &self.virtual_port {
            port.format(out);
        }
        for group in &self.port_groups {
            group.format(out);
        }
        if has_options {
            out.begin("dnsmasq:options").open();
            for value in &self.dnsmasq_options {
                out.begin("dnsmasq:option").attr("value", value).empty();
            }
            out.end("dnsmasq:options");
        }
        out.end("network");
    }

    fn write_ports(&self, out: &mut Writer) {
        if let Some(vlan) = &self.vlan {
            vlan.format(out);
        }
        if let Some(bandwidth) = &self.bandwidth {
            bandwidth.format(0, out);
        }
        if let Some(isolated) = self.port_isolated {
            out.begin("port").display("isolated", isolated).empty();
        }
    }
}

/// Refuses any other root element; its namespace is not looked at.
pub(crate) fn check_root(root: &Element<'_>, expected: &'static str) -> Result<()> {
    if root.name == expected {
        return Ok(());
    }
    Err(ParseError::Root { expected, found: root.name.clone().into_owned() })
}

/// Options of all `options` elements, merged.
///
/// libvirt 11.3.0: `networkDnsmasqDefNamespaceParse`, src/network/bridge_driver.c
fn parse_dnsmasq_options(root: &Element<'_>) -> Result<Vec<String>, GeneralError> {
    let ours = |node: &&Element<'_>, name| {
        node.name == name && node.namespace.as_deref() == Some(DNSMASQ_NAMESPACE)
    };
    root.elements()
        .filter(|node| ours(node, "options"))
        .flat_map(|node| node.elements().filter(|node| ours(node, "option")))
        .map(|node| node.property("value").map(str::to_owned).ok_or(GeneralError::NoOptionValue))
        .collect()
}
