//! Why a guest's document is refused.

use oxivirt_xml::XmlError;

use crate::error::{Class, ErrorCode, ErrorDomain};

/// Why a guest's document is refused, by libvirt's error number; the text is libvirt's detail.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DomainError {
    /// Not well-formed.
    #[error("{0}")]
    NotWellFormed(XmlError),
    /// The document contradicts itself or its schema.
    #[error("{0}")]
    Xml(String),
    /// A combination that is well-formed but not supported.
    #[error("{0}")]
    Unsupported(String),
    /// Well-formed and known, but not run by QEMU or this version of it.
    #[error("{0}")]
    QemuUnsupported(String),
    /// The document contradicts what QEMU's machines have.
    #[error("{0}")]
    QemuXml(String),
    /// What libvirt calls internal although a document caused it.
    #[error("{0}")]
    Internal(String),
    /// A value that is none of those possible.
    #[error("{0}")]
    Argument(String),
    /// A value of a guest's device that is none of those possible.
    #[error("{0}")]
    DomainArgument(String),
    /// A fault that is reported without prefix.
    #[error("{0}")]
    Detail(String),
    /// Known, but nothing does it.
    #[error("{0}")]
    OperationUnsupported(String),
    /// A number that is too large.
    #[error("{0}")]
    Overflow(String),
    /// A guest without name.
    #[error("missing name information")]
    NoName,
    /// A guest without kind of operating system.
    #[error("{0}")]
    OsType(String),
    /// A disk without target.
    #[error("missing target information for device {0}")]
    NoTarget(String),
    /// A disk without source.
    #[error("missing source information for device {0}")]
    NoSource(String),
}

impl DomainError {
    pub(crate) const fn class(&self) -> Class {
        match self {
            Self::NotWellFormed(_) => (ErrorCode::XmlDetail, ErrorDomain::Domain),
            Self::Xml(_) | Self::OsType(_) => (ErrorCode::XmlError, ErrorDomain::Domain),
            Self::Unsupported(_) => (ErrorCode::ConfigUnsupported, ErrorDomain::Domain),
            Self::QemuUnsupported(_) => (ErrorCode::ConfigUnsupported, ErrorDomain::Qemu),
            Self::QemuXml(_) => (ErrorCode::XmlError, ErrorDomain::Qemu),
            Self::Internal(_) => (ErrorCode::InternalError, ErrorDomain::Domain),
            Self::DomainArgument(_) => (ErrorCode::InvalidArg, ErrorDomain::Domain),
            Self::Detail(_) => (ErrorCode::XmlDetail, ErrorDomain::Domain),
            Self::OperationUnsupported(_) => (ErrorCode::OperationUnsupported, ErrorDomain::Domain),
            Self::Argument(_) => (ErrorCode::InvalidArg, ErrorDomain::None),
            Self::Overflow(_) => (ErrorCode::Overflow, ErrorDomain::None),
            Self::NoName => (ErrorCode::NoName, ErrorDomain::Domain),
            Self::NoTarget(_) => (ErrorCode::NoTarget, ErrorDomain::Domain),
            Self::NoSource(_) => (ErrorCode::NoSource, ErrorDomain::Domain),
        }
    }

    /// An element whose text is not what it should be.
    pub(crate) fn element(element: &str, text: &str) -> Self {
        Self::Xml(format!("Invalid value '{text}' for element or attribute './{element}'"))
    }
}

impl DomainError {
    /// A part of a PCI address beyond its range.
    pub(crate) fn pci_range(part: &str, value: u64, max: u64) -> Self {
        Self::Xml(if part == "function" {
            format!("Invalid PCI address function=0x{value:x}, must be <= {max}")
        } else {
            format!("Invalid PCI address {part}='0x{value:x}', must be <= 0x{max:X}")
        })
    }

    /// An attribute that has to be there.
    pub(crate) fn missing(attribute: &str, element: &str) -> Self {
        Self::Xml(format!("Missing required attribute '{attribute}' in element '{element}'"))
    }
}
