//! Error numbers and domains as libvirt's API carries them, and the errors of reading documents.
//!
//! Every module has its own enum of what can be wrong with its part; [`ParseError`] is their sum.
//! A variant's text is the detail only: the visible prefix (`XML error: `) belongs to the number
//! and is added once, here.

use std::fmt;

use oxivirt_xml::XmlError;

use crate::bandwidth::BandwidthError;
use crate::domain::DomainError;
use crate::metadata::MetadataError;
use crate::network::{
    AddressingError, BridgeError, DnsError, ForwardError, GeneralError, RouteError,
};
use crate::node::AttributeError;
use crate::node_device::NodeDeviceError;
use crate::pci::PciError;
use crate::port::PortError;
use crate::secret::SecretError;
use crate::status::StatusError;
use crate::storage::StorageError;
use crate::virtualport::VirtualPortError;
use crate::vlan::VlanError;
use oxivirt_xml::schema::SchemaError;

/// Error numbers met in this crate (`virErrorNumber`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(i32)]
#[non_exhaustive]
pub enum ErrorCode {
    /// `VIR_ERR_INTERNAL_ERROR`
    InternalError = 1,
    /// `VIR_ERR_INVALID_ARG`
    InvalidArg = 8,
    /// `VIR_ERR_OPERATION_FAILED`
    OperationFailed = 9,
    /// `VIR_ERR_NO_SOURCE`
    NoSource = 19,
    /// `VIR_ERR_NO_TARGET`
    NoTarget = 20,
    /// `VIR_ERR_NO_NAME`
    NoName = 21,
    /// `VIR_ERR_XML_ERROR`
    XmlError = 27,
    /// `VIR_ERR_CONF_SYNTAX`
    ConfSyntax = 33,
    /// `VIR_ERR_XML_DETAIL`
    XmlDetail = 35,
    /// `VIR_ERR_SYSTEM_ERROR`
    SystemError = 38,
    /// `VIR_ERR_OPERATION_INVALID`
    OperationInvalid = 55,
    /// `VIR_ERR_CONFIG_UNSUPPORTED`
    ConfigUnsupported = 67,
    /// `VIR_ERR_OVERFLOW`
    Overflow = 82,
    /// `VIR_ERR_OPERATION_UNSUPPORTED`
    OperationUnsupported = 84,
    /// `VIR_ERR_XML_INVALID_SCHEMA`
    XmlInvalidSchema = 92,
    /// `VIR_ERR_NO_NETWORK_METADATA`
    NoNetworkMetadata = 111,
}

/// Error domains met in this crate (`virErrorDomain`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(i32)]
#[non_exhaustive]
pub enum ErrorDomain {
    /// `VIR_FROM_NONE`
    None = 0,
    /// `VIR_FROM_XML`
    Xml = 5,
    /// `VIR_FROM_CONF`
    Conf = 9,
    /// `VIR_FROM_QEMU`
    Qemu = 10,
    /// `VIR_FROM_NET`
    Net = 11,
    /// `VIR_FROM_STORAGE`
    Storage = 18,
    /// `VIR_FROM_NETWORK`
    Network = 19,
    /// `VIR_FROM_DOMAIN`
    Domain = 20,
    /// `VIR_FROM_NODEDEV`
    NodeDevice = 22,
    /// `VIR_FROM_SECRET`
    Secret = 30,
    /// `VIR_FROM_DEVICE`
    Device = 49,
    /// `VIR_FROM_FIREWALL`
    Firewall = 59,
}

impl ErrorCode {
    /// The number on the wire.
    #[must_use]
    pub const fn number(self) -> i32 {
        self as i32
    }

    /// What libvirt prints before the detail.
    #[must_use]
    pub const fn prefix(self) -> &'static str {
        match self {
            // raised without a detail, where the message has no prefix
            Self::NoSource | Self::NoTarget | Self::NoName => "",
            _ => oxivirt_types::error::ErrorCode(self as i32).template().before,
        }
    }
}

impl ErrorDomain {
    /// The number on the wire.
    #[must_use]
    pub const fn number(self) -> i32 {
        self as i32
    }
}

/// Number and domain of an error: what scripts depend on.
pub(crate) type Class = (ErrorCode, ErrorDomain);

/// The class most checks of a network document have.
pub(crate) const XML: Class = (ErrorCode::XmlError, ErrorDomain::Network);
/// A fault that is reported without prefix.
pub(crate) const DETAIL: Class = (ErrorCode::XmlDetail, ErrorDomain::Network);
/// A combination that is well-formed but not supported.
pub(crate) const UNSUPPORTED: Class = (ErrorCode::ConfigUnsupported, ErrorDomain::Network);
/// What libvirt calls internal although a document caused it.
pub(crate) const INTERNAL: Class = (ErrorCode::InternalError, ErrorDomain::Network);

/// A document was refused.
///
/// Displayed as libvirt shows it, prefix included.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum ParseError {
    /// Not well-formed, or beyond a limit.
    NotWellFormed(XmlError),
    /// Not what the schema allows.
    Schema(SchemaError),
    /// The wrong kind of document.
    Root {
        /// The element looked for.
        expected: &'static str,
        /// The root found.
        found: String,
    },
    /// A single attribute's value.
    Attribute(AttributeError),
    /// Name, UUID, title and switches of a network.
    General(GeneralError),
    /// `<bridge>`, `<mac>`, `<mtu>`.
    Bridge(BridgeError),
    /// `<domain>`, `<dns>`.
    Dns(DnsError),
    /// `<ip>` and its DHCP.
    Addressing(AddressingError),
    /// `<route>`.
    Route(RouteError),
    /// `<forward>`.
    Forward(ForwardError),
    /// `<bandwidth>`.
    Bandwidth(BandwidthError),
    /// `<vlan>`.
    Vlan(VlanError),
    /// `<virtualport>`.
    VirtualPort(VirtualPortError),
    /// A PCI address.
    Pci(PciError),
    /// `<networkport>`.
    Port(PortError),
    /// `<networkstatus>`.
    Status(StatusError),
    /// `<domain>`.
    Domain(DomainError),
    /// `<pool>` and `<volume>`.
    Storage(StorageError),
    /// `<secret>`.
    Secret(SecretError),
    /// `<device>`.
    NodeDevice(NodeDeviceError),
    /// A metadata payload.
    Metadata(MetadataError),
}

impl ParseError {
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
            Self::NotWellFormed(_) => DETAIL,
            Self::Schema(_) => crate::schema::CLASS,
            Self::Root { .. } | Self::Attribute(_) => (ErrorCode::XmlError, ErrorDomain::Xml),
            Self::General(error) => error.class(),
            Self::Bridge(error) => error.class(),
            Self::Dns(error) => error.class(),
            Self::Addressing(error) => error.class(),
            Self::Route(error) => error.class(),
            Self::Forward(error) => error.class(),
            Self::Bandwidth(error) => error.class(),
            Self::Vlan(error) => error.class(),
            Self::VirtualPort(error) => error.class(),
            Self::Pci(error) => error.class(),
            Self::Port(error) => error.class(),
            Self::Status(error) => error.class(),
            Self::Domain(error) => error.class(),
            Self::Storage(error) => error.class(),
            Self::Secret(error) => error.class(),
            Self::NodeDevice(error) => error.class(),
            Self::Metadata(error) => error.class(),
        }
    }

    fn detail(&self) -> &dyn fmt::Display {
        match self {
            Self::NotWellFormed(error) => error,
            Self::Schema(error) => error,
            // Formatted in place by `Display`.
            Self::Root { .. } => &"",
            Self::Attribute(error) => error,
            Self::General(error) => error,
            Self::Bridge(error) => error,
            Self::Dns(error) => error,
            Self::Addressing(error) => error,
            Self::Route(error) => error,
            Self::Forward(error) => error,
            Self::Bandwidth(error) => error,
            Self::Vlan(error) => error,
            Self::VirtualPort(error) => error,
            Self::Pci(error) => error,
            Self::Port(error) => error,
            Self::Status(error) => error,
            Self::Domain(error) => error,
            Self::Storage(error) => error,
            Self::Secret(error) => error,
            Self::NodeDevice(error) => error,
            Self::Metadata(error) => error,
        }
    }
}

impl fmt::Display for ParseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.code().prefix(), self.detail())?;
        match self {
            Self::Root { expected, found } => {
                write!(f, "expecting root element of '{expected}', not '{found}'")
            }
            _ => Ok(()),
        }
    }
}

impl std::error::Error for ParseError {}

macro_rules! from_parts {
    ($($part:ident($error:ty),)+) => {
        $(impl From<$error> for ParseError {
            fn from(error: $error) -> Self {
                Self::$part(error)
            }
        })+
    };
}

from_parts! {
    NotWellFormed(XmlError),
    Schema(SchemaError),
    Attribute(AttributeError),
    General(GeneralError),
    Bridge(BridgeError),
    Dns(DnsError),
    Addressing(AddressingError),
    Route(RouteError),
    Forward(ForwardError),
    Bandwidth(BandwidthError),
    Vlan(VlanError),
    VirtualPort(VirtualPortError),
    Pci(PciError),
    Port(PortError),
    Status(StatusError),
    Domain(DomainError),
    Storage(StorageError),
    Secret(SecretError),
    NodeDevice(NodeDeviceError),
    Metadata(MetadataError),
}

/// Short for what every reader here returns.
pub(crate) type Result<T, E = ParseError> = std::result::Result<T, E>;
