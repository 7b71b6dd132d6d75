//! A pool: a definition that is complete and checked once.

use std::sync::Arc;

use oxivirt_conf::storage::{PoolType, StoragePoolDef};
use uuid::Uuid;

/// A definition with UUID, name and type.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Pool {
    def: Arc<StoragePoolDef>,
    uuid: Uuid,
    name: String,
    kind: PoolType,
}

/// What the driver does with pools of a type.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Support {
    /// It starts them.
    Full,
    /// It keeps their definitions, so that none is lost, and refuses to start them.
    Kept,
    /// It refuses their definitions, as a libvirt without the part does.
    Missing,
}

impl Support {
    /// For pools of this type.
    #[must_use]
    pub(crate) const fn of(kind: PoolType) -> Self {
        match kind {
            PoolType::Dir => Self::Full,
            PoolType::Fs
            | PoolType::Netfs
            | PoolType::Logical
            | PoolType::Disk
            | PoolType::Iscsi
            | PoolType::Scsi
            | PoolType::Mpath => Self::Kept,
            PoolType::IscsiDirect
            | PoolType::Rbd
            | PoolType::Sheepdog
            | PoolType::Gluster
            | PoolType::Zfs
            | PoolType::Vstorage => Self::Missing,
        }
    }
}

/// libvirt's number and word of a type.
///
/// libvirt 11.3.0: `virStoragePoolType`, src/conf/storage_conf.h
#[must_use]
pub(crate) const fn number_and_word(kind: PoolType) -> (u32, &'static str) {
    match kind {
        PoolType::Dir => (0, "dir"),
        PoolType::Fs => (1, "fs"),
        PoolType::Netfs => (2, "netfs"),
        PoolType::Logical => (3, "logical"),
        PoolType::Disk => (4, "disk"),
        PoolType::Iscsi => (5, "iscsi"),
        PoolType::IscsiDirect => (6, "iscsi-direct"),
        PoolType::Scsi => (7, "scsi"),
        PoolType::Mpath => (8, "mpath"),
        PoolType::Rbd => (9, "rbd"),
        PoolType::Sheepdog => (10, "sheepdog"),
        PoolType::Gluster => (11, "gluster"),
        PoolType::Zfs => (12, "zfs"),
        PoolType::Vstorage => (13, "vstorage"),
    }
}

impl Pool {
    /// The pool of a definition; one without UUID gets `generate_uuid`'s. `None` if it has no name or
    /// type, which no definition that was parsed lacks.
    #[must_use]
    pub(crate) fn new(
        mut def: StoragePoolDef,
        generate_uuid: impl FnOnce() -> Uuid,
    ) -> Option<Self> {
        let uuid = *def.uuid.get_or_insert_with(generate_uuid);
        let (name, kind) = (def.name.clone()?, def.kind?);
        Some(Self { def: Arc::new(def), uuid, name, kind })
    }

    /// The definition.
    #[must_use]
    pub(crate) fn def(&self) -> &StoragePoolDef {
        &self.def
    }

    /// The UUID.
    #[must_use]
    pub(crate) const fn uuid(&self) -> Uuid {
        self.uuid
    }

    /// The name.
    #[must_use]
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// The type.
    #[must_use]
    pub(crate) const fn kind(&self) -> PoolType {
        self.kind
    }

    /// Where its volumes are; empty for a type without a place on the host.
    #[must_use]
    pub(crate) fn path(&self) -> &str {
        let target = self.def.target.as_ref();
        target.and_then(|target| target.path.as_deref()).unwrap_or_default()
    }
}
