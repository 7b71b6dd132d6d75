//! The errors of reading documents.
//!
//! Every module has its own enum of what can be wrong with its part; [`ParseError`] is their sum.
//! A variant's text is the detail only: the visible prefix (`XML error: `) belongs to the number
//! ([`ErrorCode::template`]).

use std::fmt;

pub use oxivirt_types::error::{Classified, ErrorCode, ErrorDomain};

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

/// Number and domain of an error: what scripts depend on.
pub(crate) type Class = (ErrorCode, ErrorDomain);

/// The class most checks of a network document have.
pub(crate) const XML: Class = (ErrorCode::XML_ERROR, ErrorDomain::NETWORK);
/// A fault that is reported without prefix.
pub(crate) const DETAIL: Class = (ErrorCode::XML_DETAIL, ErrorDomain::NETWORK);
/// A combination that is well-formed but not supported.
pub(crate) const UNSUPPORTED: Class = (ErrorCode::CONFIG_UNSUPPORTED, ErrorDomain::NETWORK);
/// What libvirt calls internal although a document caused it.
pub(crate) const INTERNAL: Class = (ErrorCode::INTERNAL_ERROR, ErrorDomain::NETWORK);

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
    pub(crate) const fn class(&self) -> Class {
        match self {
            Self::NotWellFormed(_) => DETAIL,
            Self::Schema(_) => crate::schema::CLASS,
            Self::Root { .. } | Self::Attribute(_) => (ErrorCode::XML_ERROR, ErrorDomain::XML),
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
}

impl Classified for ParseError {
    fn code(&self) -> ErrorCode {
        self.class().0
    }

    fn domain(&self) -> ErrorDomain {
        self.class().1
    }

    fn detail(&self) -> Option<String> {
        let detail: &dyn fmt::Display = match self {
            Self::General(GeneralError::NoName) | Self::Domain(DomainError::NoName) => return None,
            Self::Root { expected, found } => {
                return Some(format!("expecting root element of '{expected}', not '{found}'"));
            }
            Self::NotWellFormed(error) => error,
            Self::Schema(error) => error,
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
        };
        Some(detail.to_string())
    }
}

impl fmt::Display for ParseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message())
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
