//! Why a definition cannot be served, in the words scripts see.

use oxivirt_types::ip::Family;

use super::BRIDGE_ID_MAX;
use crate::error::{Class, ErrorCode, ErrorDomain, INTERNAL, UNSUPPORTED};
use crate::network::ForwardMode;
use crate::pci::PciAddress;

/// Why a definition cannot be served.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ValidateError {
    /// A name of several lines.
    #[error("invalid char in name: \n")]
    NameNewline,
    /// The bridge belongs to another network.
    #[error("internal error: bridge name '{bridge}' already in use.")]
    BridgeInUse {
        /// The bridge.
        bridge: String,
    },
    /// Every name of the template is taken.
    #[error("internal error: Bridge generation exceeded max id {BRIDGE_ID_MAX}")]
    BridgesExhausted,
    /// An element this mode has no use for.
    #[error(
        "unsupported configuration: Unsupported {element} element in network {network} \
         with forward mode='{mode}'"
    )]
    Element {
        /// The element.
        element: &'static str,
        /// The network.
        network: String,
        /// Its mode.
        mode: ForwardMode,
    },
    /// A port group's limits where none can be set.
    #[error(
        "unsupported configuration: Unsupported <bandwidth> element in network '{network}' \
         in portgroup '{group}' with forward mode='{mode}'"
    )]
    PortGroupBandwidth {
        /// The network.
        network: String,
        /// The port group.
        group: String,
        /// The mode.
        mode: ForwardMode,
    },
    /// A rate or burst the kernel does not take.
    #[error(
        "numerical overflow: value '{value}' is too big for '{attribute}' parameter, \
         maximum is '{max}'"
    )]
    Overflow {
        /// The attribute.
        attribute: &'static str,
        /// Its value.
        value: u64,
        /// The largest possible.
        max: u64,
    },
    /// A PCI pool with an interface.
    #[error(
        "unsupported configuration: hostdev network '{network}' lists '{device}' in the \
         device pool, but hostdev networks require all devices to be listed by PCI \
         address, not network device name"
    )]
    NamesInHostdev {
        /// The network.
        network: String,
        /// The interface.
        device: String,
    },
    /// An interface pool with a PCI function.
    #[error(
        "unsupported configuration: network '{network}' has forward mode '{mode}' but \
         lists a device by PCI address in the device pool. This is only supported for \
         networks with forward mode 'hostdev'"
    )]
    AddressInPool {
        /// The network.
        network: String,
        /// The mode.
        mode: ForwardMode,
    },
    /// A PCI function that cannot be given away.
    #[error(
        "unsupported configuration: device '/sys/bus/pci/devices/{address}' in network \
         '{network}' is not an SR-IOV Virtual Function"
    )]
    NotVirtualFunction {
        /// The network.
        network: String,
        /// The function.
        address: PciAddress,
    },
    /// Interfaces or functions next to a physical function.
    #[error(
        "unsupported configuration: <address>, <interface>, and <pf> elements of <forward> \
         in network {network} are mutually exclusive"
    )]
    MixedPool {
        /// The network.
        network: String,
    },
    /// DHCP on two addresses of a family.
    #[error(
        "unsupported configuration: Multiple {0} dhcp sections found -- dhcp is supported only \
         for a single {0} address on each network",
        if *.family == Family::Ipv4 { "IPv4" } else { "IPv6" }
    )]
    SeveralDhcp {
        /// The family.
        family: Family,
    },
    /// Tags that nothing can set.
    #[error(
        "unsupported configuration: <vlan> element specified for network {network}, whose \
         type doesn't support vlan configuration"
    )]
    Vlan {
        /// The network.
        network: String,
    },
    /// Two default port groups.
    #[error(
        "unsupported configuration: network '{network}' has multiple default <portgroup> \
         elements ({first} and {second}), but only one default is allowed"
    )]
    SeveralDefaults {
        /// The network.
        network: String,
        /// The first.
        first: String,
        /// The second.
        second: String,
    },
    /// Two port groups of a name.
    #[error(
        "unsupported configuration: multiple <portgroup> elements with the same name \
         ({group}) in network '{network}'"
    )]
    DuplicatePortGroup {
        /// The network.
        network: String,
        /// The name.
        group: String,
    },
}

impl ValidateError {
    /// The error number.
    #[must_use]
    pub const fn code(&self) -> ErrorCode {
        self.class().0
    }

    /// The error domain.
    #[must_use]
    pub const fn domain(&self) -> ErrorDomain {
        self.class().1
    }

    const fn class(&self) -> Class {
        match self {
            Self::NameNewline => (ErrorCode::XmlDetail, ErrorDomain::Xml),
            Self::BridgeInUse { .. } | Self::BridgesExhausted => INTERNAL,
            Self::Overflow { .. } => (ErrorCode::Overflow, ErrorDomain::None),
            _ => UNSUPPORTED,
        }
    }
}
