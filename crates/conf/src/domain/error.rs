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
    #[error("{0}")]
    NoTarget(String),
    /// A disk without source.
    #[error("{0}")]
    NoSource(String),
}

impl DomainError {
    pub(crate) const fn class(&self) -> Class {
        match self {
            Self::NotWellFormed(_) => (ErrorCode::XML_DETAIL, ErrorDomain::DOMAIN),
            Self::Xml(_) | Self::OsType(_) => (ErrorCode::XML_ERROR, ErrorDomain::DOMAIN),
            Self::Unsupported(_) => (ErrorCode::CONFIG_UNSUPPORTED, ErrorDomain::DOMAIN),
            Self::QemuUnsupported(_) => (ErrorCode::CONFIG_UNSUPPORTED, ErrorDomain::QEMU),
            Self::QemuXml(_) => (ErrorCode::XML_ERROR, ErrorDomain::QEMU),
            Self::Internal(_) => (ErrorCode::INTERNAL_ERROR, ErrorDomain::DOMAIN),
            Self::DomainArgument(_) => (ErrorCode::INVALID_ARG, ErrorDomain::DOMAIN),
            Self::Detail(_) => (ErrorCode::XML_DETAIL, ErrorDomain::DOMAIN),
            Self::OperationUnsupported(_) => {
                (ErrorCode::OPERATION_UNSUPPORTED, ErrorDomain::DOMAIN)
            }
            Self::Argument(_) => (ErrorCode::INVALID_ARG, ErrorDomain::NONE),
            Self::Overflow(_) => (ErrorCode::OVERFLOW, ErrorDomain::NONE),
            Self::NoName => (ErrorCode::NO_NAME, ErrorDomain::DOMAIN),
            Self::NoTarget(_) => (ErrorCode::NO_TARGET, ErrorDomain::DOMAIN),
            Self::NoSource(_) => (ErrorCode::NO_SOURCE, ErrorDomain::DOMAIN),
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
