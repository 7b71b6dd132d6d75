//! Why a guest cannot be started as it is defined.

use oxivirt_conf::ParseError;
use oxivirt_conf::domain::DomainError;
use oxivirt_types::error::{Classified, ErrorCode, ErrorDomain};

/// Why no command line can be made; the text is libvirt's detail, its number is [`Classified::code`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PlanError {
    /// The definition contradicts itself or the emulator.
    #[error("{0}")]
    Definition(#[from] DomainError),
    /// Nothing this driver or this emulator can run.
    #[error("{0}")]
    Unsupported(String),
    /// The document says something impossible.
    #[error("{0}")]
    Xml(String),
    /// What libvirt calls internal although a definition caused it.
    #[error("{0}")]
    Internal(String),
    /// Something that is looked for on the host is not there.
    #[error("{0}")]
    Operation(String),
    /// The definition cannot be carried out in the present state.
    #[error("{0}")]
    Invalid(String),
}

impl PlanError {
    /// An element of the definition that is kept but not run.
    pub(super) fn element(name: &str) -> Self {
        Self::Unsupported(format!("element <{name}> is not supported"))
    }

    /// A device without something that the preparation gives it.
    pub(super) fn unprepared(what: &str) -> Self {
        Self::Internal(format!("the definition was not prepared: {what}"))
    }
}

impl Classified for PlanError {
    fn code(&self) -> ErrorCode {
        match self {
            Self::Definition(error) => ParseError::from(error.clone()).code(),
            Self::Unsupported(_) => ErrorCode::CONFIG_UNSUPPORTED,
            Self::Xml(_) => ErrorCode::XML_ERROR,
            Self::Internal(_) => ErrorCode::INTERNAL_ERROR,
            Self::Operation(_) => ErrorCode::OPERATION_FAILED,
            Self::Invalid(_) => ErrorCode::OPERATION_INVALID,
        }
    }

    fn domain(&self) -> ErrorDomain {
        match self {
            Self::Definition(error) => ParseError::from(error.clone()).domain(),
            _ => ErrorDomain::QEMU,
        }
    }

    fn detail(&self) -> Option<String> {
        Some(self.to_string())
    }
}

/// Result of planning.
pub(super) type Result<T, E = PlanError> = std::result::Result<T, E>;
