//! Calls about storage pools, their volumes and events.

use std::fmt::Debug;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use async_trait::async_trait;
use oxivirt_types::storage::{
    StoragePoolBuildFlags, StoragePoolCreateFlags, StoragePoolDefineFlags, StoragePoolDeleteFlags,
    StoragePoolEventId, StoragePoolListFlags, StoragePoolState, StorageVolCreateFlags,
    StorageVolDeleteFlags, StorageVolInfoFlags, StorageVolResizeFlags, StorageVolTransferFlags,
    StorageVolType, StorageXmlFlags, WipeAlgorithm,
};
use uuid::Uuid;

use crate::{
    Autostart, CallbackId, DomainStream, Error, ErrorDomain, Result, StorageEventCallback,
};

/// Names one pool.
///
/// libvirt: `virStoragePoolPtr`
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StoragePoolRef {
    /// Name, unique on a connection at any one time.
    pub name: String,
    /// UUID, unique on a connection and stable.
    pub uuid: Uuid,
}

impl std::fmt::Display for StoragePoolRef {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.name)
    }
}

/// Names one volume.
///
/// Pool and name decide; the key is the one known when the reference was made.
///
/// libvirt: `virStorageVolPtr`
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StorageVolRef {
    /// Name of its pool.
    pub pool: String,
    /// Name, unique in the pool.
    pub name: String,
    /// Key, unique on a host; a path for files.
    pub key: String,
}

impl std::fmt::Display for StorageVolRef {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.name)
    }
}

/// Key figures of a pool (`virStoragePoolInfo`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StoragePoolInfo {
    /// Its state.
    pub state: StoragePoolState,
    /// Size in bytes.
    pub capacity: u64,
    /// Bytes in use.
    pub allocation: u64,
    /// Bytes free.
    pub available: u64,
}

/// Key figures of a volume (`virStorageVolInfo`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StorageVolInfo {
    /// What it is on the host.
    pub kind: StorageVolType,
    /// Bytes that a guest sees.
    pub capacity: u64,
    /// Bytes in use on the host, or the length of the file with
    /// [`StorageVolInfoFlags::GET_PHYSICAL`].
    pub allocation: u64,
}

/// What a definition of a pool names, before it is stored.
///
/// Access control asks the policy about the object that a definition is for; the driver reads the
/// document, so that no other layer has to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoragePoolIdentity {
    /// Name of the pool.
    pub name: String,
    /// Its UUID, `None` if the definition leaves it to the driver.
    pub uuid: Option<Uuid>,
}

/// Which part of a volume is transferred.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct VolumeRange {
    /// First byte.
    pub offset: u64,
    /// Number of bytes, 0 for all up to the end.
    pub length: u64,
}

/// The data of a volume, in or out, with holes.
///
/// A download is read: a hole reads as zeros unless [`VolumeStream::poll_hole`] takes it first. An upload is
/// written and takes effect completely with `poll_close`, which reports what failed; one that is dropped
/// without is aborted. An [`io::Error`] carries the [`Error`] that a client gets
/// ([`io::Error::get_ref`]), where there is one.
///
/// It is a [`DomainStream`] too, for callers that know no holes.
pub trait VolumeStream: DomainStream {
    /// Takes the hole at the place where reading continues and returns its length: 0 if data follows, or
    /// the end.
    ///
    /// # Errors
    /// Those of reading.
    fn poll_hole(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<u64>>;

    /// Writes a hole: `length` bytes read as zeros afterwards and take no space.
    ///
    /// # Errors
    /// Those of writing.
    fn poll_write_hole(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        length: u64,
    ) -> Poll<io::Result<()>>;
}

fn unsupported<T>(api: &str) -> Result<T> {
    Err(Error::unsupported(ErrorDomain::STORAGE, api))
}

/// The calls about pools, their volumes and events.
///
/// A method takes effect completely or not at all, and fails with the codes and domains of
/// libvirt's driver. All methods may be called at the same time from any task; a dropped future
/// must leave nothing half done.
///
/// libvirt: `virStorageDriver`, src/driver-storage.h
#[async_trait]
#[expect(unused_variables, reason = "the defaults answer without looking at their parameters")]
pub trait StorageDriver: Send + Sync + Debug {
    // ---- pools ----

    /// The pools that pass the filter, in no particular order (`virConnectListAllStoragePools`).
    async fn list_all_storage_pools(
        &self,
        flags: StoragePoolListFlags,
    ) -> Result<Vec<StoragePoolRef>> {
        unsupported("virConnectListAllStoragePools")
    }

    /// The pool of this name (`virStoragePoolLookupByName`).
    async fn storage_pool_lookup_by_name(&self, name: &str) -> Result<StoragePoolRef> {
        unsupported("virStoragePoolLookupByName")
    }

    /// The pool with this UUID (`virStoragePoolLookupByUUID`).
    async fn storage_pool_lookup_by_uuid(&self, uuid: Uuid) -> Result<StoragePoolRef> {
        unsupported("virStoragePoolLookupByUUID")
    }

    /// The pool of a volume (`virStoragePoolLookupByVolume`).
    async fn storage_pool_lookup_by_volume(&self, vol: &StorageVolRef) -> Result<StoragePoolRef> {
        unsupported("virStoragePoolLookupByVolume")
    }

    /// The pool whose volumes are at this path (`virStoragePoolLookupByTargetPath`).
    async fn storage_pool_lookup_by_target_path(&self, path: &str) -> Result<StoragePoolRef> {
        unsupported("virStoragePoolLookupByTargetPath")
    }

    /// What the definition `xml` names. Nothing is looked up or stored.
    ///
    /// # Errors
    /// Those of the definition's XML, or [`ErrorCode::NO_SUPPORT`](crate::ErrorCode::NO_SUPPORT).
    fn storage_pool_identity(&self, xml: &str) -> Result<StoragePoolIdentity> {
        unsupported("storagePoolIdentity")
    }

    /// Name in the volume definition `xml`. Nothing is looked up or stored.
    ///
    /// # Errors
    /// As for [`StorageDriver::storage_pool_identity`].
    fn storage_vol_identity(&self, xml: &str) -> Result<String> {
        unsupported("storageVolIdentity")
    }

    /// Stores a definition, new or in place of the old one (`virStoragePoolDefineXML`).
    async fn storage_pool_define_xml(
        &self,
        xml: &str,
        flags: StoragePoolDefineFlags,
    ) -> Result<StoragePoolRef> {
        unsupported("virStoragePoolDefineXML")
    }

    /// Starts a pool from XML without storing it (`virStoragePoolCreateXML`).
    async fn storage_pool_create_xml(
        &self,
        xml: &str,
        flags: StoragePoolCreateFlags,
    ) -> Result<StoragePoolRef> {
        unsupported("virStoragePoolCreateXML")
    }

    /// Starts a stored pool (`virStoragePoolCreate`).
    async fn storage_pool_create(
        &self,
        pool: &StoragePoolRef,
        flags: StoragePoolCreateFlags,
    ) -> Result<()> {
        unsupported("virStoragePoolCreate")
    }

    /// Makes what a pool consists of (`virStoragePoolBuild`).
    async fn storage_pool_build(
        &self,
        pool: &StoragePoolRef,
        flags: StoragePoolBuildFlags,
    ) -> Result<()> {
        unsupported("virStoragePoolBuild")
    }

    /// Stops a pool; its data stay (`virStoragePoolDestroy`).
    async fn storage_pool_destroy(&self, pool: &StoragePoolRef) -> Result<()> {
        unsupported("virStoragePoolDestroy")
    }

    /// Removes what a pool consists of (`virStoragePoolDelete`).
    async fn storage_pool_delete(
        &self,
        pool: &StoragePoolRef,
        flags: StoragePoolDeleteFlags,
    ) -> Result<()> {
        unsupported("virStoragePoolDelete")
    }

    /// Removes the stored definition (`virStoragePoolUndefine`).
    async fn storage_pool_undefine(&self, pool: &StoragePoolRef) -> Result<()> {
        unsupported("virStoragePoolUndefine")
    }

    /// Reads the volumes again; `flags` must be 0 (`virStoragePoolRefresh`).
    async fn storage_pool_refresh(&self, pool: &StoragePoolRef, flags: u32) -> Result<()> {
        unsupported("virStoragePoolRefresh")
    }

    /// Key figures (`virStoragePoolGetInfo`).
    async fn storage_pool_info(&self, pool: &StoragePoolRef) -> Result<StoragePoolInfo> {
        unsupported("virStoragePoolGetInfo")
    }

    /// The pool as XML, ending in a newline (`virStoragePoolGetXMLDesc`).
    async fn storage_pool_xml_desc(
        &self,
        pool: &StoragePoolRef,
        flags: StorageXmlFlags,
    ) -> Result<String> {
        unsupported("virStoragePoolGetXMLDesc")
    }

    /// Whether it is started with the host (`virStoragePoolGetAutostart`).
    async fn storage_pool_autostart(&self, pool: &StoragePoolRef) -> Result<Autostart> {
        unsupported("virStoragePoolGetAutostart")
    }

    /// Sets whether it is started with the host (`virStoragePoolSetAutostart`).
    async fn storage_pool_set_autostart(
        &self,
        pool: &StoragePoolRef,
        autostart: Autostart,
    ) -> Result<()> {
        unsupported("virStoragePoolSetAutostart")
    }

    /// Whether it is started (`virStoragePoolIsActive`).
    async fn storage_pool_is_active(&self, pool: &StoragePoolRef) -> Result<bool> {
        unsupported("virStoragePoolIsActive")
    }

    /// Whether it has a stored definition (`virStoragePoolIsPersistent`).
    async fn storage_pool_is_persistent(&self, pool: &StoragePoolRef) -> Result<bool> {
        unsupported("virStoragePoolIsPersistent")
    }

    /// Where pools of the type `kind` could come from, as XML; `spec` says where to look
    /// (`virConnectFindStoragePoolSources`).
    async fn find_storage_pool_sources(
        &self,
        kind: &str,
        spec: Option<&str>,
        flags: u32,
    ) -> Result<String> {
        unsupported("virConnectFindStoragePoolSources")
    }

    /// Which types of pools the driver has, as XML (`virConnectGetStoragePoolCapabilities`).
    async fn storage_pool_capabilities(&self, flags: u32) -> Result<String> {
        unsupported("virConnectGetStoragePoolCapabilities")
    }

    // ---- volumes ----

    /// The volumes of a pool, in no particular order; `flags` must be 0
    /// (`virStoragePoolListAllVolumes`).
    async fn storage_pool_list_all_volumes(
        &self,
        pool: &StoragePoolRef,
        flags: u32,
    ) -> Result<Vec<StorageVolRef>> {
        unsupported("virStoragePoolListAllVolumes")
    }

    /// The volume of this name (`virStorageVolLookupByName`).
    async fn storage_vol_lookup_by_name(
        &self,
        pool: &StoragePoolRef,
        name: &str,
    ) -> Result<StorageVolRef> {
        unsupported("virStorageVolLookupByName")
    }

    /// The volume with this key, in any pool that is started (`virStorageVolLookupByKey`).
    async fn storage_vol_lookup_by_key(&self, key: &str) -> Result<StorageVolRef> {
        unsupported("virStorageVolLookupByKey")
    }

    /// The volume at this path, in any pool that is started (`virStorageVolLookupByPath`).
    async fn storage_vol_lookup_by_path(&self, path: &str) -> Result<StorageVolRef> {
        unsupported("virStorageVolLookupByPath")
    }

    /// Creates a volume (`virStorageVolCreateXML`).
    async fn storage_vol_create_xml(
        &self,
        pool: &StoragePoolRef,
        xml: &str,
        flags: StorageVolCreateFlags,
    ) -> Result<StorageVolRef> {
        unsupported("virStorageVolCreateXML")
    }

    /// Creates a volume with the data of `source` (`virStorageVolCreateXMLFrom`).
    async fn storage_vol_create_xml_from(
        &self,
        pool: &StoragePoolRef,
        xml: &str,
        source: &StorageVolRef,
        flags: StorageVolCreateFlags,
    ) -> Result<StorageVolRef> {
        unsupported("virStorageVolCreateXMLFrom")
    }

    /// Deletes a volume (`virStorageVolDelete`).
    async fn storage_vol_delete(
        &self,
        vol: &StorageVolRef,
        flags: StorageVolDeleteFlags,
    ) -> Result<()> {
        unsupported("virStorageVolDelete")
    }

    /// Overwrites the data of a volume; `flags` must be 0 (`virStorageVolWipePattern`).
    async fn storage_vol_wipe(
        &self,
        vol: &StorageVolRef,
        algorithm: WipeAlgorithm,
        flags: u32,
    ) -> Result<()> {
        unsupported(match algorithm {
            WipeAlgorithm::Zero => "virStorageVolWipe",
            _ => "virStorageVolWipePattern",
        })
    }

    /// Changes the size of a volume to or by `capacity` bytes (`virStorageVolResize`).
    async fn storage_vol_resize(
        &self,
        vol: &StorageVolRef,
        capacity: u64,
        flags: StorageVolResizeFlags,
    ) -> Result<()> {
        unsupported("virStorageVolResize")
    }

    /// Key figures (`virStorageVolGetInfoFlags`).
    async fn storage_vol_info(
        &self,
        vol: &StorageVolRef,
        flags: StorageVolInfoFlags,
    ) -> Result<StorageVolInfo> {
        unsupported("virStorageVolGetInfo")
    }

    /// The volume as XML, ending in a newline; `flags` must be 0 (`virStorageVolGetXMLDesc`).
    async fn storage_vol_xml_desc(&self, vol: &StorageVolRef, flags: u32) -> Result<String> {
        unsupported("virStorageVolGetXMLDesc")
    }

    /// Where it is on the host (`virStorageVolGetPath`).
    async fn storage_vol_path(&self, vol: &StorageVolRef) -> Result<String> {
        unsupported("virStorageVolGetPath")
    }

    /// Opens a volume for writing (`virStorageVolUpload`).
    async fn storage_vol_upload(
        &self,
        vol: &StorageVolRef,
        range: VolumeRange,
        flags: StorageVolTransferFlags,
    ) -> Result<Box<dyn VolumeStream>> {
        unsupported("virStorageVolUpload")
    }

    /// Opens a volume for reading (`virStorageVolDownload`).
    async fn storage_vol_download(
        &self,
        vol: &StorageVolRef,
        range: VolumeRange,
        flags: StorageVolTransferFlags,
    ) -> Result<Box<dyn VolumeStream>> {
        unsupported("virStorageVolDownload")
    }

    // ---- events ----

    /// Calls `callback` for events of kind `id`, of one pool or of all
    /// (`virConnectStoragePoolEventRegisterAny`).
    async fn storage_pool_event_register(
        &self,
        pool: Option<&StoragePoolRef>,
        id: StoragePoolEventId,
        callback: StorageEventCallback,
    ) -> Result<CallbackId> {
        unsupported("virConnectStoragePoolEventRegisterAny")
    }

    /// Removes a registration (`virConnectStoragePoolEventDeregisterAny`).
    async fn storage_pool_event_deregister(&self, id: CallbackId) -> Result<()> {
        unsupported("virConnectStoragePoolEventDeregisterAny")
    }
}
