//! Why a definition cannot be served, in the words scripts see.

use oxivirt_types::ip::Family;

use super::BRIDGE_ID_MAX;
use crate::error::{Class, Classified, ErrorCode, ErrorDomain, INTERNAL, UNSUPPORTED};
use crate::network::ForwardMode;
use crate::pci::PciAddress;

/// Why a definition cannot be served; displayed as libvirt's detail.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ValidateError {
    /// A name of several lines.
    #[error("invalid char in name: \n")]
    NameNewline,
    /// The bridge belongs to another network.
    #[error("bridge name '{bridge}' already in use.")]
    BridgeInUse {
        /// The bridge.
        bridge: String,
    },
    /// Every name of the template is taken.
    #[error("Bridge generation exceeded max id {BRIDGE_ID_MAX}")]
    BridgesExhausted,
    /// An element this mode has no use for.
    #[error(
        "Unsupported {element} element in network {network} \
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
        "Unsupported <bandwidth> element in network '{network}' \
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
        "value '{value}' is too big for '{attribute}' parameter, \
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
        "hostdev network '{network}' lists '{device}' in the \
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
        "network '{network}' has forward mode '{mode}' but \
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
        "device '/sys/bus/pci/devices/{address}' in network \
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
        "<address>, <interface>, and <pf> elements of <forward> \
         in network {network} are mutually exclusive"
    )]
    MixedPool {
        /// The network.
        network: String,
    },
    /// DHCP on two addresses of a family.
    #[error(
        "Multiple {0} dhcp sections found -- dhcp is supported only \
         for a single {0} address on each network",
        if *.family == Family::Ipv4 { "IPv4" } else { "IPv6" }
    )]
    SeveralDhcp {
        /// The family.
        family: Family,
    },
    /// Tags that nothing can set.
    #[error(
        "<vlan> element specified for network {network}, whose \
         type doesn't support vlan configuration"
    )]
    Vlan {
        /// The network.
        network: String,
    },
    /// Two default port groups.
    #[error(
        "network '{network}' has multiple default <portgroup> \
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
        "multiple <portgroup> elements with the same name \
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
    const fn class(&self) -> Class {
        match self {
            Self::NameNewline => (ErrorCode::XML_DETAIL, ErrorDomain::XML),
            Self::BridgeInUse { .. } | Self::BridgesExhausted => INTERNAL,
            Self::Overflow { .. } => (ErrorCode::OVERFLOW, ErrorDomain::NONE),
            _ => UNSUPPORTED,
        }
    }
}

impl Classified for ValidateError {
    fn code(&self) -> ErrorCode {
        self.class().0
    }

    fn domain(&self) -> ErrorDomain {
        self.class().1
    }

    fn detail(&self) -> Option<String> {
        Some(self.to_string())
    }
}
