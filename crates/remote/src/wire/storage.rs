//! Storage pools, volumes and their events.

use oxivirt::{StoragePoolRef, StoragePoolState, StorageVolRef, StorageVolType};
use oxivirt_rpc::xdr::{List, Text, Uuid16};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// Longest list of pools (`REMOTE_STORAGE_POOL_LIST_MAX`).
pub const STORAGE_POOLS_MAX: usize = 4096;
/// Longest list of volumes (`REMOTE_STORAGE_VOL_LIST_MAX`).
pub const STORAGE_VOLS_MAX: usize = 16384;

/// Names a pool (`remote_nonnull_storage_pool`).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoragePool {
    /// Its name; it shows in messages only.
    pub name: Text,
    /// Its UUID.
    pub uuid: Uuid16,
}

impl From<&StoragePoolRef> for StoragePool {
    fn from(pool: &StoragePoolRef) -> Self {
        Self { name: pool.name.as_str().into(), uuid: pool.uuid.into_bytes().into() }
    }
}

impl From<&StoragePool> for StoragePoolRef {
    fn from(pool: &StoragePool) -> Self {
        Self { name: pool.name.to_text(), uuid: Uuid::from_bytes(pool.uuid.into()) }
    }
}

/// Names a volume (`remote_nonnull_storage_vol`).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StorageVol {
    /// Name of its pool.
    pub pool: Text,
    /// Its name.
    pub name: Text,
    /// Its key.
    pub key: Text,
}

impl From<&StorageVolRef> for StorageVol {
    fn from(vol: &StorageVolRef) -> Self {
        let text = |text: &str| text.into();
        Self { pool: text(&vol.pool), name: text(&vol.name), key: text(&vol.key) }
    }
}

impl From<&StorageVol> for StorageVolRef {
    fn from(vol: &StorageVol) -> Self {
        Self { pool: vol.pool.to_text(), name: vol.name.to_text(), key: vol.key.to_text() }
    }
}

/// A list of pools and how many there are.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AllStoragePools {
    /// The pools, if they were wanted.
    pub pools: List<StoragePool, STORAGE_POOLS_MAX>,
    /// How many.
    pub ret: u32,
}

/// A list of volumes and how many there are.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AllStorageVols {
    /// The volumes, if they were wanted.
    pub vols: List<StorageVol, STORAGE_VOLS_MAX>,
    /// How many.
    pub ret: u32,
}

/// Key figures of a pool (`remote_storage_pool_get_info_ret`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoragePoolInfo {
    /// Number of the state.
    pub state: u8,
    /// Size in bytes.
    pub capacity: u64,
    /// Bytes in use.
    pub allocation: u64,
    /// Bytes free.
    pub available: u64,
}

impl From<oxivirt::StoragePoolInfo> for StoragePoolInfo {
    fn from(info: oxivirt::StoragePoolInfo) -> Self {
        Self {
            state: u8::try_from(info.state.number()).unwrap_or_default(),
            capacity: info.capacity,
            allocation: info.allocation,
            available: info.available,
        }
    }
}

impl From<StoragePoolInfo> for oxivirt::StoragePoolInfo {
    fn from(info: StoragePoolInfo) -> Self {
        Self {
            state: StoragePoolState::from_number(info.state.into()),
            capacity: info.capacity,
            allocation: info.allocation,
            available: info.available,
        }
    }
}

/// Key figures of a volume (`remote_storage_vol_get_info_ret`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct StorageVolInfo {
    /// Number of the type.
    pub kind: i8,
    /// Bytes that a guest sees.
    pub capacity: u64,
    /// Bytes in use.
    pub allocation: u64,
}

impl From<oxivirt::StorageVolInfo> for StorageVolInfo {
    fn from(info: oxivirt::StorageVolInfo) -> Self {
        let kind = i8::try_from(info.kind.number()).unwrap_or_default();
        Self { kind, capacity: info.capacity, allocation: info.allocation }
    }
}

impl From<StorageVolInfo> for oxivirt::StorageVolInfo {
    fn from(info: StorageVolInfo) -> Self {
        let kind = StorageVolType::from_number(info.kind.into());
        Self { kind, capacity: info.capacity, allocation: info.allocation }
    }
}

/// The event that something happened to a pool (`remote_storage_pool_event_lifecycle_msg`).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StorageLifecycleMessage {
    /// The registration it is for.
    pub callback_id: i32,
    /// The pool.
    pub pool: StoragePool,
    /// What happened.
    pub event: i32,
    /// Reserved.
    pub detail: i32,
}

/// The event that the volumes of a pool were read (`remote_storage_pool_event_refresh_msg`).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StorageRefreshMessage {
    /// The registration it is for.
    pub callback_id: i32,
    /// The pool.
    pub pool: StoragePool,
}
