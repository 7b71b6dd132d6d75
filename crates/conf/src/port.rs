//! `<networkport>`: one guest's connection to a network.

use oxivirt_types::mac::MacAddr;
use oxivirt_xml::{self as xml, Blanks, Element, Writer};

use crate::bandwidth::{Bandwidth, Floor};
use crate::error::{Class, INTERNAL, Result, XML};
use crate::keyword::{Keyword as _, YesNo, keywords};
use crate::network::{HostdevDriver, HostdevDriverName, MacTableManager};
use crate::node::Node as _;
use crate::pci::PciAddress;
use crate::scalar::Base;
use crate::schema;
use crate::uuid::{Uuid, parse_uuid};
use crate::virtualport::{TypeIs, VirtualPort};
use crate::vlan::Vlan;

/// A port as its document describes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NetworkPortDef {
    /// Identity of the port.
    pub uuid: Uuid,
    /// Name of the guest.
    pub owner_name: String,
    /// Identity of the guest.
    pub owner_uuid: Uuid,
    /// Port group asked for.
    pub group: Option<String>,
    /// Address of the guest's interface.
    pub mac: MacAddr,
    /// How the port associates with a switch.
    pub virtual_port: Option<VirtualPort>,
    /// Rate limits.
    pub bandwidth: Option<Bandwidth>,
    /// Traffic class of a guaranteed rate; 0 is none. Kept even without any rate.
    pub class_id: u32,
    /// VLAN tags.
    pub vlan: Option<Vlan>,
    /// Whether the port is isolated from other ports.
    pub isolated: Option<YesNo>,
    /// Whether the guest may set its receive filters.
    pub trust_guest_rx_filters: Option<YesNo>,
    /// What the guest's interface is connected to.
    pub plug: Plug,
}

/// What a port is connected to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Plug {
    /// Not decided yet; prints nothing.
    #[default]
    None,
    /// The network's own bridge.
    Network(BridgePlug),
    /// A bridge of the host.
    Bridge(BridgePlug),
    /// macvtap.
    Direct {
        /// The host's interface.
        dev: String,
        /// How guests on it see each other.
        mode: MacvlanMode,
    },
    /// A PCI function.
    HostdevPci {
        /// Whether it is detached from and given back to the host.
        managed: Option<YesNo>,
        /// The driver that passes it through.
        driver: HostdevDriver,
        /// Where it sits.
        address: PciAddress,
    },
}

/// A connection to a bridge.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BridgePlug {
    /// The bridge.
    pub bridge: String,
    /// Who keeps its table of addresses.
    pub mac_table_manager: Option<MacTableManager>,
}

keywords! {
    /// Modes of a macvtap device.
    pub enum MacvlanMode {
        /// Switched outside of the host; the default.
        Vepa = "vepa",
        /// Apart from each other.
        Private = "private",
        /// Switched in the host.
        Bridge = "bridge",
        /// One device per guest.
        Passthrough = "passthrough",
    }
}

keywords! {
    /// The words for [`Plug`].
    enum PlugType {
        None = "none",
        Network = "network",
        Bridge = "bridge",
        Direct = "direct",
        HostdevPci = "hostdev-pci",
    }
}

/// What is wrong with a `<networkport>`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PortError {
    /// No UUID.
    #[error("network port has no uuid")]
    NoUuid,
    /// A UUID that is none.
    #[error("Unable to parse UUID '{uuid}'")]
    Uuid {
        /// The value given.
        uuid: String,
    },
    /// No guest.
    #[error("network port has no owner name")]
    NoOwnerName,
    /// No identity of the guest.
    #[error("network port has no owner UUID")]
    NoOwnerUuid,
    /// No address.
    #[error("network port has no mac")]
    NoMac,
    /// An address that is none.
    #[error("Unable to parse MAC '{mac}'")]
    Mac {
        /// The value given.
        mac: String,
    },
    /// A plug without what it is plugged into.
    #[error("Missing network port {part} name")]
    NoTarget {
        /// The attribute.
        part: &'static str,
    },
    /// Not a table manager.
    #[error("Invalid macTableManager setting '{value}' in network port")]
    MacTableManager {
        /// The value given.
        value: String,
    },
    /// Not a mode of macvtap.
    #[error("Invalid mode setting '{mode}' in network port")]
    Mode {
        /// The value given.
        mode: String,
    },
    /// A PCI plug without address.
    #[error("Missing network port PCI address")]
    NoAddress,
}

impl PortError {
    pub(crate) const fn class(&self) -> Class {
        match self {
            Self::NoTarget { .. }
            | Self::MacTableManager { .. }
            | Self::Mode { .. }
            | Self::NoAddress => XML,
            _ => INTERNAL,
        }
    }
}

impl NetworkPortDef {
    /// Reads a `<networkport>` document.
    ///
    /// # Errors
    /// [`ParseError`](crate::ParseError), the first in libvirt's order of checks.
    ///
    /// libvirt 11.3.0: `virNetworkPortDefParse`, src/conf/virnetworkportdef.c
    pub fn parse(text: &str) -> Result<Self> {
        Self::from_root(&xml::parse(text, Blanks::Drop)?)
    }

    /// As [`NetworkPortDef::parse`], but refuses whatever the schema does not have.
    ///
    /// # Errors
    /// As [`NetworkPortDef::parse`], and [`ParseError::Schema`](crate::ParseError::Schema) before any
    /// check of content.
    ///
    /// libvirt 11.3.0: flag `VIR_NETWORK_PORT_CREATE_VALIDATE`
    pub fn parse_validated(text: &str) -> Result<Self> {
        let root = xml::parse(text, Blanks::Drop)?;
        crate::network::check_root(&root, "networkport")?;
        schema::check_port(&root)?;
        Self::from_root(&root)
    }

    /// Reads a `<networkport>` document from a file; faults of its form are reported as
    /// `path:LINE:`.
    ///
    /// # Errors
    /// As [`NetworkPortDef::parse`].
    pub fn parse_file(path: &str, text: &str) -> Result<Self> {
        let root = xml::parse(text, Blanks::Drop).map_err(|error| error.in_file(path))?;
        Self::from_root(&root)
    }

    fn from_root(root: &Element<'_>) -> Result<Self> {
        crate::network::check_root(root, "networkport")?;
        let text = |node: Option<&Element<'_>>| {
            node.map(|node| node.text().into_owned()).filter(|text| !text.is_empty())
        };
        let uuid = parse_identity(text(root.child("uuid")), PortError::NoUuid)?;
        let owner = root.child("owner");
        let owner_name =
            text(owner.and_then(|owner| owner.child("name"))).ok_or(PortError::NoOwnerName)?;
        let owner_uuid = text(owner.and_then(|owner| owner.child("uuid")));
        let owner_uuid = parse_identity(owner_uuid, PortError::NoOwnerUuid)?;
        let group = text(root.child("group"));
        let virtual_port = match root.child("virtualport") {
            Some(node) => Some(VirtualPort::parse(node, TypeIs::Optional)?),
            None => None,
        };
        let mac = root.child("mac").and_then(|node| node.string("address"));
        let mac = mac.ok_or(PortError::NoMac)?;
        let mac = mac.parse().map_err(|_| PortError::Mac { mac: mac.to_owned() })?;
        let (bandwidth, class_id) = match root.child("bandwidth") {
            Some(node) => (
                Bandwidth::parse_rates(node, Floor::Allowed)?,
                node.number("classID", Base::Ten)?.unwrap_or(0),
            ),
            None => (None, 0),
        };
        let vlan = root.child("vlan").map(Vlan::parse).transpose()?;
        let switch = |element, attribute| match root.child(element) {
            Some(node) => node.yes_no(attribute),
            None => Ok(None),
        };
        Ok(Self {
            uuid,
            owner_name,
            owner_uuid,
            group,
            mac,
            virtual_port,
            bandwidth,
            class_id,
            vlan,
            isolated: switch("port", "isolated")?,
            trust_guest_rx_filters: switch("rxfilters", "trustGuest")?,
            plug: Plug::parse(root.child("plug"))?,
        })
    }

    /// Writes the document, ending in a line feed.
    ///
    /// libvirt 11.3.0: `virNetworkPortDefFormat`, src/conf/virnetworkportdef.c
    #[must_use]
    pub fn format(&self) -> String {
        let mut out = Writer::new();
        self.write(&mut out);
        out.finish()
    }

    /// Writes the element at the writer's depth.
    pub(crate) fn write(&self, out: &mut Writer) {
        out.begin("networkport").open();
        out.text("uuid", &self.uuid.to_string());
        out.begin("owner").open();
        out.text("name", &self.owner_name);
        out.text("uuid", &self.owner_uuid.to_string());
        out.end("owner");
        if let Some(group) = &self.group {
            out.text("group", group);
        }
        out.begin("mac").display("address", self.mac).empty();
        if let Some(port) = &self.virtual_port {
            port.format(out);
        }
        if let Some(bandwidth) = &self.bandwidth {
            bandwidth.format(self.class_id, out);
        }
        if let Some(vlan) = &self.vlan {
            vlan.format(out);
        }
        if let Some(isolated) = self.isolated {
            out.begin("port").display("isolated", isolated).empty();
        }
        if let Some(trust) = self.trust_guest_rx_filters {
            out.begin("rxfilters").display("trustGuest", trust).empty();
        }
        self.plug.format(out);
        out.end("networkport");
    }
}

fn parse_identity(text: Option<String>, missing: PortError) -> Result<Uuid, PortError> {
    let text = text.ok_or(missing)?;
    parse_uuid(&text).ok_or(PortError::Uuid { uuid: text })
}

impl Plug {
    fn parse(node: Option<&Element<'_>>) -> Result<Self> {
        let Some(node) = node else {
            return Ok(Self::None);
        };
        Ok(match node.keyword("type")?.unwrap_or(PlugType::None) {
            PlugType::None => Self::None,
            PlugType::Network => Self::Network(BridgePlug::parse(node)?),
            PlugType::Bridge => Self::Bridge(BridgePlug::parse(node)?),
            PlugType::Direct => {
                let dev = node.string("dev").ok_or(PortError::NoTarget { part: "link device" })?;
                let mode = match node.string("mode") {
                    Some(word) => MacvlanMode::from_word(word)
                        .ok_or_else(|| PortError::Mode { mode: word.to_owned() })?,
                    None => MacvlanMode::Vepa,
                };
                Self::Direct { dev: dev.to_owned(), mode }
            }
            PlugType::HostdevPci => Self::parse_hostdev(node)?,
        })
    }

    fn parse_hostdev(node: &Element<'_>) -> Result<Self> {
        let managed = node.yes_no("managed")?;
        let driver = match node.child("driver") {
            Some(driver) => HostdevDriver {
                name: driver.keyword::<HostdevDriverName>("name")?,
                model: driver.property("model").map(str::to_owned),
            },
            None => HostdevDriver::default(),
        };
        let address = node.child("address").ok_or(PortError::NoAddress)?;
        Ok(Self::HostdevPci { managed, driver, address: PciAddress::parse(address)? })
    }

    fn format(&self, out: &mut Writer) {
        match self {
            Self::None => {}
            Self::Network(plug) => plug.format(PlugType::Network, out),
            Self::Bridge(plug) => plug.format(PlugType::Bridge, out),
            Self::Direct { dev, mode } => {
                let tag = out.begin("plug").display("type", PlugType::Direct);
                tag.attr("dev", dev).display("mode", mode).empty();
            }
            Self::HostdevPci { managed, driver, address } => {
                let tag = out.begin("plug").display("type", PlugType::HostdevPci);
                tag.display_opt("managed", *managed).open();
                driver.format(out);
                address.format(out.begin("address"));
                out.end("plug");
            }
        }
    }
}

impl BridgePlug {
    fn parse(node: &Element<'_>) -> Result<Self> {
        let bridge = node.string("bridge").ok_or(PortError::NoTarget { part: "bridge" })?;
        let mac_table_manager = match node.string("macTableManager") {
            Some(word) => Some(
                MacTableManager::from_word(word)
                    .ok_or_else(|| PortError::MacTableManager { value: word.to_owned() })?,
            ),
            None => None,
        };
        Ok(Self { bridge: bridge.to_owned(), mac_table_manager })
    }

    fn format(&self, kind: PlugType, out: &mut Writer) {
        out.begin("plug")
            .display("type", kind)
            .attr("bridge", &self.bridge)
            .display_opt("macTableManager", self.mac_table_manager)
            .empty();
    }
}
