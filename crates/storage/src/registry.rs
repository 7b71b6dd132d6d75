//! The pools of a driver, as readers see them.

use std::collections::BTreeMap;
use std::sync::Arc;

use oxivirt::{Autostart, StoragePoolInfo, StoragePoolRef, StorageVolRef};
use oxivirt_conf::domain::ByteSize;
use oxivirt_conf::storage::{Permissions, PoolType, StoragePoolDef, StorageVolumeDef, VolumeType};
use oxivirt_types::storage::{StoragePoolListFlags, StoragePoolState, StorageVolType};
use uuid::Uuid;

use crate::pool::Pool;

/// A pool as it is at one moment.
#[derive(Debug, Clone)]
pub(crate) struct View {
    /// The definition in effect: of the started pool, or of the next start.
    pub(crate) pool: Pool,
    /// While the pool is started, the definition that takes effect when it stops.
    pub(crate) new: Option<Pool>,
    /// What a started pool has.
    pub(crate) active: Option<Active>,
    /// Whether its definition is stored.
    pub(crate) is_persistent: bool,
    /// Whether it starts with the host.
    pub(crate) autostart: Autostart,
}

/// What a started pool has.
#[derive(Debug, Clone)]
pub(crate) struct Active {
    /// Sizes.
    pub(crate) usage: Usage,
    /// Permissions of its directory.
    pub(crate) permissions: Permissions,
    /// Its volumes by name.
    pub(crate) volumes: Arc<BTreeMap<String, Volume>>,
}

/// Sizes of a pool, in bytes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Usage {
    pub(crate) capacity: u64,
    pub(crate) available: u64,
}

/// A volume as it is at one moment.
#[derive(Debug, Clone)]
pub(crate) struct Volume {
    /// Its document.
    pub(crate) def: Arc<StorageVolumeDef>,
    /// Whether it can be used.
    pub(crate) state: VolumeState,
}

/// Whether a volume can be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum VolumeState {
    /// It can.
    Ready,
    /// It is being created.
    Building,
}

impl View {
    /// A pool that is not started.
    #[must_use]
    pub(crate) fn inactive(pool: Pool, is_persistent: bool, autostart: Autostart) -> Self {
        Self { pool, new: None, active: None, is_persistent, autostart }
    }

    /// Name and UUID.
    #[must_use]
    pub(crate) fn reference(&self) -> StoragePoolRef {
        StoragePoolRef { name: self.pool.name().to_owned(), uuid: self.pool.uuid() }
    }

    /// The definition that persists.
    #[must_use]
    pub(crate) fn persistent(&self) -> &Pool {
        self.new.as_ref().unwrap_or(&self.pool)
    }

    /// The document in effect, with sizes and permissions as they are.
    #[must_use]
    pub(crate) fn document(&self) -> StoragePoolDef {
        let mut def = self.pool.def().clone();
        if let Some(active) = &self.active {
            let Usage { capacity, available } = active.usage;
            def.capacity = Some(ByteSize { bytes: capacity });
            def.allocation = Some(ByteSize { bytes: capacity.saturating_sub(available) });
            def.available = Some(ByteSize { bytes: available });
            let target = def.target.get_or_insert_default();
            target.permissions = Some(active.permissions.clone());
        }
        def
    }

    /// Key figures.
    #[must_use]
    pub(crate) fn info(&self) -> StoragePoolInfo {
        let Some(active) = &self.active else {
            let state = StoragePoolState::Inactive;
            return StoragePoolInfo { state, capacity: 0, allocation: 0, available: 0 };
        };
        let Usage { capacity, available } = active.usage;
        let allocation = capacity.saturating_sub(available);
        let state = StoragePoolState::Running;
        StoragePoolInfo { state, capacity, allocation, available }
    }

    /// The reference of a volume.
    #[must_use]
    pub(crate) fn volume_reference(&self, name: &str, volume: &Volume) -> StorageVolRef {
        let key = volume.def.key.clone().unwrap_or_default();
        StorageVolRef { pool: self.pool.name().to_owned(), name: name.to_owned(), key }
    }

    /// As it is, with another set of volumes; unchanged if it is not started.
    #[must_use]
    pub(crate) fn with_volumes(&self, change: impl FnOnce(&mut BTreeMap<String, Volume>)) -> Self {
        let mut view = self.clone();
        if let Some(active) = &mut view.active {
            change(Arc::make_mut(&mut active.volumes));
        }
        view
    }

    /// Whether it passes a filter.
    #[must_use]
    pub(crate) fn matches(&self, flags: StoragePoolListFlags) -> bool {
        type Flags = StoragePoolListFlags;
        let pair = |set: Flags, clear: Flags, value: bool| {
            !flags.intersects(set | clear) || flags.contains(if value { set } else { clear })
        };
        let kinds = flags & kinds();
        pair(Flags::ACTIVE, Flags::INACTIVE, self.active.is_some())
            && pair(Flags::PERSISTENT, Flags::TRANSIENT, self.is_persistent)
            && pair(Flags::AUTOSTART, Flags::NO_AUTOSTART, self.autostart == Autostart::Enabled)
            && (kinds.is_empty() || kinds.contains(kind_flag(self.pool.kind())))
    }
}

const fn kind_flag(kind: PoolType) -> StoragePoolListFlags {
    type Flags = StoragePoolListFlags;
    match kind {
        PoolType::Dir => Flags::DIR,
        PoolType::Fs => Flags::FS,
        PoolType::Netfs => Flags::NETFS,
        PoolType::Logical => Flags::LOGICAL,
        PoolType::Disk => Flags::DISK,
        PoolType::Iscsi => Flags::ISCSI,
        PoolType::IscsiDirect => Flags::ISCSI_DIRECT,
        PoolType::Scsi => Flags::SCSI,
        PoolType::Mpath => Flags::MPATH,
        PoolType::Rbd => Flags::RBD,
        PoolType::Sheepdog => Flags::SHEEPDOG,
        PoolType::Gluster => Flags::GLUSTER,
        PoolType::Zfs => Flags::ZFS,
        PoolType::Vstorage => Flags::VSTORAGE,
    }
}

/// The flags that filter by type.
fn kinds() -> StoragePoolListFlags {
    type Flags = StoragePoolListFlags;
    let states = Flags::ACTIVE | Flags::INACTIVE | Flags::PERSISTENT | Flags::TRANSIENT;
    Flags::all() - states - Flags::AUTOSTART - Flags::NO_AUTOSTART
}

impl Volume {
    /// A volume that can be used.
    #[must_use]
    pub(crate) fn ready(def: StorageVolumeDef) -> Self {
        Self { def: Arc::new(def), state: VolumeState::Ready }
    }

    /// A volume that is being created.
    #[must_use]
    pub(crate) fn building(def: StorageVolumeDef) -> Self {
        Self { def: Arc::new(def), state: VolumeState::Building }
    }

    /// Where it is on the host.
    #[must_use]
    pub(crate) fn path(&self) -> &str {
        let target = self.def.target.as_ref();
        target.and_then(|target| target.path.as_deref()).unwrap_or_default()
    }

    /// Its format.
    #[must_use]
    pub(crate) fn format(&self) -> &str {
        let format = self.def.target.as_ref().and_then(|target| target.format.as_ref());
        format.and_then(|format| format.kind.as_deref()).unwrap_or("raw")
    }

    /// Whether its data can be read with a key only.
    #[must_use]
    pub(crate) fn is_encrypted(&self) -> bool {
        self.def.target.as_ref().is_some_and(|target| target.encryption.is_some())
    }

    /// Bytes that a guest sees.
    #[must_use]
    pub(crate) fn capacity(&self) -> u64 {
        self.def.capacity.unwrap_or_default().bytes
    }

    /// Bytes in use on the host.
    #[must_use]
    pub(crate) fn allocation(&self) -> u64 {
        self.def.allocation.unwrap_or_default().bytes
    }

    /// Bytes of the file.
    #[must_use]
    pub(crate) fn physical(&self) -> u64 {
        self.def.physical.unwrap_or_default().bytes
    }

    /// What it is on the host.
    #[must_use]
    pub(crate) fn kind(&self) -> StorageVolType {
        match self.def.kind {
            Some(VolumeType::Block) => StorageVolType::Block,
            Some(VolumeType::Dir) => StorageVolType::Dir,
            Some(VolumeType::Network) => StorageVolType::Network,
            Some(VolumeType::NetDir) => StorageVolType::NetDir,
            Some(VolumeType::Ploop) => StorageVolType::Ploop,
            Some(VolumeType::File) | None => StorageVolType::File,
        }
    }
}

/// A pool with the lock of its operations.
pub(crate) type Entry = oxivirt_engine::Entry<View>;

/// All pools by UUID.
pub(crate) type Pools = oxivirt_engine::Registry<View>;

impl oxivirt_engine::registry::View for View {
    fn uuid(&self) -> Uuid {
        self.pool.uuid()
    }

    fn name(&self) -> &str {
        self.pool.name()
    }
}
