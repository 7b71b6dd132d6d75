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
    /// A part of an address beyond its range.
    #[error("{0}")]
    Address(String),
    /// An address that is not whole.
    #[error("{0}")]
    Device(String),
    /// A value of QEMU's that is none of those possible.
    #[error("{0}")]
    QemuArgument(String),
    /// Internal faults of QEMU's driver, in libvirt's view.
    #[error("{0}")]
    QemuInternal(String),
    /// A processor that contradicts itself.
    #[error("{0}")]
    Cpu(String),
    /// A processor that is well-formed but not supported.
    #[error("{0}")]
    CpuUnsupported(String),
    /// An attribute that is none of the values possible.
    #[error("{0}")]
    Value(String),
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
            Self::Address(_) => (ErrorCode::XML_ERROR, ErrorDomain::NONE),
            Self::Device(_) => (ErrorCode::INTERNAL_ERROR, ErrorDomain::DEVICE),
            Self::QemuArgument(_) => (ErrorCode::INVALID_ARG, ErrorDomain::QEMU),
            Self::QemuInternal(_) => (ErrorCode::INTERNAL_ERROR, ErrorDomain::QEMU),
            Self::Cpu(_) => (ErrorCode::XML_ERROR, ErrorDomain::CPU),
            Self::CpuUnsupported(_) => (ErrorCode::CONFIG_UNSUPPORTED, ErrorDomain::CPU),
            Self::Value(_) => (ErrorCode::XML_ERROR, ErrorDomain::XML),
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
        Self::Value(format!("Invalid value '{text}' for element or attribute './{element}'"))
    }

    /// The same fault, found by QEMU's driver.
    pub(crate) fn of_qemu(self) -> Self {
        match self {
            Self::Unsupported(text) => Self::QemuUnsupported(text),
            Self::Xml(text) => Self::QemuXml(text),
            Self::Internal(text) => Self::QemuInternal(text),
            Self::DomainArgument(text) => Self::QemuArgument(text),
            other => other,
        }
    }
}

impl DomainError {
    /// A part of a PCI address beyond its range.
    pub(crate) fn pci_range(part: &str, value: u64, max: u64) -> Self {
        Self::Address(if part == "function" {
            format!("Invalid PCI address function=0x{value:x}, must be <= {max}")
        } else {
            format!("Invalid PCI address {part}='0x{value:x}', must be <= 0x{max:X}")
        })
    }

    /// An attribute that has to be there.
    pub(crate) fn missing(attribute: &str, element: &str) -> Self {
        Self::Value(format!("Missing required attribute '{attribute}' in element '{element}'"))
    }
}
