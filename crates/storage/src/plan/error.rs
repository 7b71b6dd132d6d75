//! Why a volume cannot be made as its document says.

use oxivirt::{Error, ErrorCode, ErrorDomain};

/// Why a plan cannot be made. The texts are libvirt's.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PlanError {
    /// The name would lead out of the pool.
    #[error("volume name '{0}' cannot contain '/'")]
    Slash(String),
    /// The name is none that a file can have.
    #[error("volume name '{0}' cannot be the name of a file")]
    Name(String),
    /// A format that is unknown.
    #[error("unknown volume format type {0}")]
    UnknownFormat(String),
    /// A format that no program creates.
    #[error("format '{0}' cannot be created")]
    CannotCreate(String),
    /// Raw data has no tables to allocate.
    #[error("metadata preallocation is not supported for raw volumes")]
    RawPreallocation,
    /// Raw data has no image below it.
    #[error("backing storage not supported for raw volumes")]
    RawBacking,
    /// The first version of qcow2 has no lazy reference counts.
    #[error("lazy_refcounts not supported with compat level {0}")]
    LazyRefcounts(String),
    /// The volume needs a key of the secret driver.
    #[error("encryption of volumes is not supported")]
    Encryption,
    /// An unusable number.
    #[error("'{0}' is not an octal mode")]
    Mode(String),
    /// It would lose data that are in use.
    #[error("can't shrink capacity below existing allocation")]
    BelowAllocation,
    /// It would become smaller without permission.
    #[error("Can't shrink capacity below current capacity unless shrink flag explicitly specified")]
    Shrink,
    /// The pool has less space.
    #[error("Not enough space left in storage pool")]
    NoSpace,
    /// Images of other formats allocate by themselves.
    #[error("preallocate is only supported for raw type volume")]
    Preallocate,
    /// A directory has no size.
    #[error("volumes of type '{0}' have no size to change")]
    NoSize(&'static str),
}

impl From<PlanError> for Error {
    fn from(error: PlanError) -> Self {
        type Code = ErrorCode;
        let code = match error {
            PlanError::Slash(_) | PlanError::Name(_) => Code::OPERATION_INVALID,
            PlanError::UnknownFormat(_)
            | PlanError::CannotCreate(_)
            | PlanError::RawPreallocation
            | PlanError::LazyRefcounts(_)
            | PlanError::Encryption => Code::CONFIG_UNSUPPORTED,
            PlanError::RawBacking => Code::NO_SUPPORT,
            PlanError::Mode(_) => Code::XML_ERROR,
            PlanError::BelowAllocation | PlanError::Shrink => Code::INVALID_ARG,
            PlanError::NoSpace => Code::OPERATION_FAILED,
            PlanError::Preallocate | PlanError::NoSize(_) => Code::OPERATION_UNSUPPORTED,
        };
        Self::new(code, ErrorDomain::STORAGE, error.to_string())
    }
}
