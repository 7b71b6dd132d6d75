//! `<forward>`: how guests reach beyond their bridge.

use std::collections::BTreeSet;

use oxivirt_types::ip::RangeError;
use oxivirt_xml::{Element, Writer};

use super::nat::Nat;
use super::{Counters, Form};
use crate::error::{Class, DETAIL, ErrorCode, ErrorDomain, Result, UNSUPPORTED, XML};
use crate::keyword::{Keyword as _, keywords};
use crate::node::Node as _;
use crate::pci::PciAddress;

/// How a network is connected.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Forward {
    /// The kind of network.
    pub mode: ForwardMode,
    /// Hostdev: whether devices are detached from and given back to the host.
    pub managed: bool,
    /// Which driver passes a device through.
    pub driver: HostdevDriver,
    /// NAT: addresses and ports used.
    pub nat: Nat,
    /// Devices guests are connected through, in document order. For a network with a physical
    /// function these are its virtual functions: found when it starts, printed live only.
    pub devices: Vec<ForwardDevice>,
    /// A physical function whose virtual functions are the devices.
    pub pf: Option<String>,
}

keywords! {
    /// The kind of a network.
    pub enum ForwardMode {
        /// Isolated: no `<forward>`.
        None = "none",
        /// Out through the host's address.
        Nat = "nat",
        /// Routed by the host.
        Route = "route",
        /// Routed by the host, which sets no rule at all.
        Open = "open",
        /// A host bridge, or macvtap in bridge mode.
        Bridge = "bridge",
        /// macvtap, guests apart from each other.
        Private = "private",
        /// macvtap, switched outside of the host.
        Vepa = "vepa",
        /// macvtap, one device per guest.
        Passthrough = "passthrough",
        /// A PCI function per guest.
        Hostdev = "hostdev",
    }
}

/// A device of the pool.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ForwardDevice {
    /// An interface of the host.
    Interface(String),
    /// A PCI function of the host.
    Pci(PciAddress),
}

/// `<driver>` of a hostdev network.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct HostdevDriver {
    /// The framework.
    pub name: Option<HostdevDriverName>,
    /// The kernel driver to bind.
    pub model: Option<String>,
}

keywords! {
    /// Framework that passes a device through.
    pub enum HostdevDriverName {
        /// Old KVM assignment.
        Kvm = "kvm",
        /// VFIO.
        Vfio = "vfio",
        /// Xen.
        Xen = "xen",
    }
}

/// What is wrong with a `<forward>`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ForwardError {
    /// Not a mode.
    #[error("unknown forwarding type '{mode}'")]
    Mode {
        /// The value given.
        mode: String,
    },
    /// `<nat>` in another mode.
    #[error(
        "The <nat> element can only be used when <forward> 'mode' is 'nat' in network {network}"
    )]
    NatMode {
        /// The network.
        network: String,
    },
    /// A second element of one that may occur once.
    #[error("Only one {element} element is allowed in {place} network {network}")]
    Repeated {
        /// The network.
        network: String,
        /// The element.
        element: &'static str,
        /// Where it stands.
        place: &'static str,
    },
    /// A NAT address range without start or end.
    #[error(
        "missing '{attribute}' attribute in <address> element in <nat> in <forward> in network {network}"
    )]
    NatAddressEnd {
        /// The network.
        network: String,
        /// The attribute.
        attribute: &'static str,
    },
    /// An end of a NAT address range that is no IPv4 address.
    #[error(
        "Bad ipv4 {attribute} address '{address}' in <nat> in <forward> in network '{network}'"
    )]
    NatAddress {
        /// The network.
        network: String,
        /// The attribute.
        attribute: &'static str,
        /// The value given.
        address: String,
    },
    /// A NAT address range that is none.
    #[error(transparent)]
    NatRange(RangeError),
    /// A NAT port range that is none.
    #[error(
        "Missing or invalid '{attribute}' attribute in <port> in <nat> in <forward> in network {network}"
    )]
    NatPort {
        /// The network.
        network: String,
        /// The attribute.
        attribute: &'static str,
    },
    /// The short form of a device together with a pool of functions.
    #[error(
        "the <forward> 'dev' attribute cannot be used when <address> or <pf> sub-elements are present in network {network}"
    )]
    DevAndPool {
        /// The network.
        network: String,
    },
    /// The short form names another device than the first of the pool.
    #[error(
        "<forward dev='{dev}'> must match first <interface dev='{first}'/> in network {network}"
    )]
    DevMismatch {
        /// The network.
        network: String,
        /// The short form's device.
        dev: String,
        /// The first device of the pool.
        first: String,
    },
    /// `<interface>` without device.
    #[error("Missing required dev attribute in <forward> <interface> element of network {network}")]
    NoInterface {
        /// The network.
        network: String,
    },
    /// The same device twice.
    #[error("{} '{device}' can only be listed once in network {network}", kind(.device))]
    DuplicateDevice {
        /// The network.
        network: String,
        /// The device.
        device: ForwardDevice,
    },
    /// `<address>` without type.
    #[error("missing address type in network {network}")]
    NoAddressType {
        /// The network.
        network: String,
    },
    /// Not a type of address.
    #[error("unknown address type '{kind}' in network {network}")]
    UnknownAddressType {
        /// The network.
        network: String,
        /// The value given.
        kind: String,
    },
    /// A type of address that no pool holds.
    #[error("unsupported address type '{kind}' in network {network}")]
    AddressType {
        /// The network.
        network: String,
        /// The value given.
        kind: String,
    },
    /// `<pf>` without device.
    #[error("Missing required dev attribute in <pf> element of network '{network}'")]
    NoPf {
        /// The network.
        network: String,
    },
    /// A mode that rewrites or routes, without an address to route.
    #[error("{mode} forwarding requested, but no IP address provided for network '{network}'")]
    NoAddress {
        /// The network.
        network: String,
        /// The mode.
        mode: ForwardMode,
    },
    /// A routed network leaves through one device at most.
    #[error(
        "multiple forwarding interfaces specified for network '{network}', only one is supported"
    )]
    SeveralDevices {
        /// The network.
        network: String,
    },
    /// An open network has no device.
    #[error("forward dev not allowed for network '{network}' with forward mode='{mode}'")]
    DeviceNotAllowed {
        /// The network.
        network: String,
        /// The mode.
        mode: ForwardMode,
    },
}

const fn kind(device: &ForwardDevice) -> &'static str {
    match device {
        ForwardDevice::Interface(_) => "interface",
        ForwardDevice::Pci(_) => "PCI device",
    }
}

impl ForwardError {
    pub(crate) const fn class(&self) -> Class {
        match self {
            Self::Mode { .. } | Self::UnknownAddressType { .. } => UNSUPPORTED,
            Self::NatRange(_) => (ErrorCode::INTERNAL_ERROR, ErrorDomain::NONE),
            Self::NatPort { .. } => DETAIL,
            _ => XML,
        }
    }
}

impl ForwardMode {
    /// Whether the network creates its own bridge and serves on it.
    #[must_use]
    pub const fn owns_bridge(self) -> bool {
        matches!(self, Self::None | Self::Nat | Self::Route | Self::Open)
    }
}

impl Default for ForwardMode {
    /// A network without `<forward>` is isolated.
    fn default() -> Self {
        Self::None
    }
}

impl std::fmt::Display for ForwardDevice {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Interface(name) => f.write_str(name),
            Self::Pci(address) => address.fmt(f),
        }
    }
}

/// Types of address documents know, of which a pool takes one.
const ADDRESS_TYPES: [&str; 3] = ["none", "pci", "netdev"];

impl Forward {
    /// The device the short form names: the first of a pool of interfaces.
    #[must_use]
    pub fn dev(&self) -> Option<&str> {
        match (self.devices.first(), &self.pf) {
            (Some(ForwardDevice::Interface(name)), None) => Some(name),
            _ => None,
        }
    }

    /// libvirt 11.3.0: `virNetworkForwardDefParseXML`, src/conf/network_conf.c
    pub(super) fn parse(node: Option<&Element<'_>>, network: &str) -> Result<Self> {
        let Some(node) = node else {
            return Ok(Self::default());
        };
        let mode = match node.string("mode") {
            Some(word) => ForwardMode::from_word(word)
                .ok_or_else(|| ForwardError::Mode { mode: word.to_owned() })?,
            None => ForwardMode::Nat,
        };
        let yes = |word: &str| word.eq_ignore_ascii_case("yes");
        let mut forward =
            Self { mode, managed: node.string("managed").is_some_and(yes), ..Self::default() };
        if let Some(driver) = node.subelement("driver") {
            forward.driver = HostdevDriver {
                name: driver.keyword("name")?,
                model: driver.property("model").map(str::to_owned),
            };
        }
        forward.parse_nat(node, network)?;
        forward.parse_pool(node, network)?;
        Ok(forward)
    }

    fn parse_nat(&mut self, node: &Element<'_>, network: &str) -> Result<()> {
        let net = || network.to_owned();
        let mut elements = node.children("nat");
        let Some(nat) = elements.next() else {
            return Ok(());
        };
        if self.mode != ForwardMode::Nat {
            return Err(ForwardError::NatMode { network: net() }.into());
        }
        if elements.next().is_some() {
            let (element, place) = ("<nat>", "<forward> of");
            return Err(ForwardError::Repeated { network: net(), element, place }.into());
        }
        self.nat = Nat::parse(nat, network)?;
        Ok(())
    }

    /// The first kind of device found wins; the rest is ignored.
    fn parse_pool(&mut self, node: &Element<'_>, network: &str) -> Result<()> {
        let net = || network.to_owned();
        let dev = node.string("dev");
        let has_functions =
            node.children("address").next().is_some() || node.children("pf").next().is_some();
        if dev.is_some() && has_functions {
            return Err(ForwardError::DevAndPool { network: net() }.into());
        }
        if dev.is_some() || node.children("interface").next().is_some() {
            return self.parse_interfaces(node, dev, network);
        }
        if node.children("address").next().is_some() {
            return self.parse_addresses(node, network);
        }
        let mut elements = node.children("pf");
        if let Some(pf) = elements.next() {
            if elements.next().is_some() {
                let (element, place) = ("<pf>", "<forward> of");
                return Err(ForwardError::Repeated { network: net(), element, place }.into());
            }
            let dev = pf.property("dev").ok_or_else(|| ForwardError::NoPf { network: net() })?;
            self.pf = Some(dev.to_owned());
        }
        Ok(())
    }

    fn parse_interfaces(
        &mut self,
        node: &Element<'_>,
        dev: Option<&str>,
        network: &str,
    ) -> Result<()> {
        let mut seen = BTreeSet::new();
        for node in node.children("interface") {
            let Some(name) = node.property("dev") else {
                return Err(ForwardError::NoInterface { network: network.to_owned() }.into());
            };
            if let (Some(dev), true) = (dev, self.devices.is_empty())
                && dev != name
            {
                return Err(ForwardError::DevMismatch {
                    network: network.to_owned(),
                    dev: dev.to_owned(),
                    first: name.to_owned(),
                }
                .into());
            }
            let device = ForwardDevice::Interface(name.to_owned());
            self.add_device(device, &mut seen, network)?;
        }
        if let (Some(dev), true) = (dev, self.devices.is_empty()) {
            self.devices.push(ForwardDevice::Interface(dev.to_owned()));
        }
        Ok(())
    }

    fn parse_addresses(&mut self, node: &Element<'_>, network: &str) -> Result<()> {
        let net = || network.to_owned();
        let mut seen = BTreeSet::new();
        for node in node.children("address") {
            let Some(kind) = node.property("type") else {
                return Err(ForwardError::NoAddressType { network: net() }.into());
            };
            if kind != "pci" {
                let (network, kind) = (net(), kind.to_owned());
                return Err(if ADDRESS_TYPES.contains(&kind.as_str()) {
                    ForwardError::AddressType { network, kind }.into()
                } else {
                    ForwardError::UnknownAddressType { network, kind }.into()
                });
            }
            let device = ForwardDevice::Pci(PciAddress::parse(node)?);
            self.add_device(device, &mut seen, network)?;
        }
        Ok(())
    }

    fn add_device(
        &mut self,
        device: ForwardDevice,
        seen: &mut BTreeSet<ForwardDevice>,
        network: &str,
    ) -> Result<(), ForwardError> {
        if !seen.insert(device.clone()) {
            return Err(ForwardError::DuplicateDevice { network: network.to_owned(), device });
        }
        self.devices.push(device);
        Ok(())
    }

    pub(super) fn format(&self, form: Form<'_>, out: &mut Writer) {
        if self.mode == ForwardMode::None {
            return;
        }
        let is_hostdev = self.mode == ForwardMode::Hostdev;
        let managed = if self.managed { "yes" } else { "no" };
        let tag = out
            .begin("forward")
            .attr_opt("dev", self.dev())
            .display("mode", self.mode)
            .attr_opt("managed", is_hostdev.then_some(managed));
        let childless = self.driver == HostdevDriver::default()
            && self.nat == Nat::default()
            && self.devices.is_empty()
            && self.pf.is_none();
        if childless {
            tag.empty();
            return;
        }
        let out = tag.open();
        self.driver.format(out);
        if self.mode == ForwardMode::Nat {
            self.nat.format(out);
        }
        if let Some(pf) = &self.pf {
            out.begin("pf").attr("dev", pf).empty();
        }
        match form {
            Form::Inactive if self.pf.is_some() => {}
            Form::Inactive => self.format_devices(&Counters::default(), out),
            Form::Live(counters) => self.format_devices(counters, out),
        }
        out.end("forward");
    }

    fn format_devices(&self, counters: &Counters, out: &mut Writer) {
        for device in &self.devices {
            match device {
                ForwardDevice::Interface(name) => {
                    let connections = counters.devices.get(device).copied();
                    out.begin("interface")
                        .attr("dev", name)
                        .display_opt("connections", connections.filter(|&count| count > 0))
                        .empty();
                }
                ForwardDevice::Pci(address) => {
                    address.format(out.begin("address").attr("type", "pci"));
                }
            }
        }
    }
}

impl HostdevDriver {
    /// Writes the element, unless it says nothing.
    pub(crate) fn format(&self, out: &mut Writer) {
        if *self != Self::default() {
            out.begin("driver")
                .display_opt("name", self.name)
                .attr_opt("model", self.model.as_deref())
                .empty();
        }
    }
}
