//! `<pool>` and `<volume>`: where disk images live.
//!
//! Start reading at [`StoragePoolDef`] and [`StorageVolumeDef`].

mod pool;
mod volume;

pub use pool::{
    PoolAdapter, PoolAdapterParent, PoolAuth, PoolDevice, PoolDir, PoolFeatures, PoolFormat,
    PoolHost, PoolInitiator, PoolName, PoolProtocol, PoolRefresh, PoolRefreshVolume, PoolSecret,
    PoolSource, PoolSwitch, PoolTarget, PoolType, StoragePoolDef,
};
pub use volume::{
    Capacity, StorageVolumeDef, VolumeBackingStore, VolumeClusterSize, VolumeFeatures,
    VolumeFormat, VolumeTarget, VolumeTimestamps, VolumeType,
};

use crate::element::elements;
use crate::error::{Class, ErrorCode, ErrorDomain};

/// Why a pool's or a volume's document is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum StorageError {
    /// Not well-formed.
    #[error("{0}")]
    NotWellFormed(oxivirt_xml::XmlError),
    /// A pool without type.
    #[error("storage pool missing type attribute")]
    NoType,
    /// No name.
    #[error("missing {0} name element")]
    NoName(&'static str),
    /// A name with a slash.
    #[error("name {name} cannot contain '/'")]
    NameSlash {
        /// The name.
        name: String,
    },
    /// A pool without the path it has to have.
    #[error("missing storage pool target path")]
    NoPath,
    /// A pool without server.
    #[error("missing storage pool source host name")]
    NoHost,
    /// A version of qcow2 that is not of the form 1.1.
    #[error("forbidden characters in 'compat' attribute")]
    Compat,
    /// A volume without size.
    #[error("missing capacity element")]
    NoCapacity,
}

impl StorageError {
    pub(crate) const fn class(&self) -> Class {
        let code = match self {
            Self::NotWellFormed(_) => ErrorCode::XML_DETAIL,
            _ => ErrorCode::XML_ERROR,
        };
        (code, ErrorDomain::STORAGE)
    }
}

elements! {
    /// `<permissions>`
    pub struct Permissions {
        text mode: Option<String> = "mode",
        text owner: Option<i64> = "owner",
        text group: Option<i64> = "group",
        text label: Option<String> = "label",
    }
}

#[cfg(test)]
mod tests;
