//! Calls about storage pools, volumes and their events.
//!
//! libvirt 11.3.0: src/remote/remote_protocol.x

use oxivirt_rpc::xdr::{List, Text, Uuid16};

use super::{Needs, Procedure, Reply, protocol};
use crate::wire::{
    AllStoragePools, AllStorageVols, STORAGE_POOLS_MAX, STORAGE_VOLS_MAX, StoragePool,
    StoragePoolInfo, StorageVol, StorageVolInfo,
};

/// Number of the call that opens a volume for writing.
pub const UPLOAD: i32 = 208;
/// Number of the call that opens a volume for reading.
pub const DOWNLOAD: i32 = 209;

protocol! {
    StorageCalls StorageCallsClient StorageCallsRequest StorageCallsResponse ServeStorageCalls;

    71 connect_num_of_storage_pools() -> i32:
        "virConnectNumOfStoragePools" Open [Connect "search-storage-pools"];
    72 connect_list_storage_pools(maxnames: i32) -> List<Text, STORAGE_POOLS_MAX>:
        "virConnectListStoragePools" Open [Connect "search-storage-pools"];
    73 connect_num_of_defined_storage_pools() -> i32:
        "virConnectNumOfDefinedStoragePools" Open [Connect "search-storage-pools"];
    74 connect_list_defined_storage_pools(maxnames: i32) -> List<Text, STORAGE_POOLS_MAX>:
        "virConnectListDefinedStoragePools" Open [Connect "search-storage-pools"];
    75 connect_find_storage_pool_sources(kind: Text, spec: Option<Text>, flags: u32) -> Text:
        "virConnectFindStoragePoolSources" Change [Connect "detect-storage-pools"];
    76 storage_pool_create_xml(xml: Text, flags: u32) -> StoragePool:
        "virStoragePoolCreateXML" Change StoragePoolXml [StoragePool "write", StoragePool "start"];
    77 storage_pool_define_xml(xml: Text, flags: u32) -> StoragePool:
        "virStoragePoolDefineXML" Change StoragePoolXml [StoragePool "write", StoragePool "save"];
    78 storage_pool_create(pool: StoragePool, flags: u32) -> ():
        "virStoragePoolCreate" Change StoragePool [StoragePool "start"];
    79 storage_pool_build(pool: StoragePool, flags: u32) -> ():
        "virStoragePoolBuild" Change StoragePool [StoragePool "format"];
    80 storage_pool_destroy(pool: StoragePool) -> ():
        "virStoragePoolDestroy" Change StoragePool [StoragePool "stop"];
    81 storage_pool_delete(pool: StoragePool, flags: u32) -> ():
        "virStoragePoolDelete" Change StoragePool [StoragePool "format"];
    82 storage_pool_undefine(pool: StoragePool) -> ():
        "virStoragePoolUndefine" Change StoragePool [StoragePool "delete"];
    83 storage_pool_refresh(pool: StoragePool, flags: u32) -> ():
        "virStoragePoolRefresh" Change StoragePool [StoragePool "refresh"];
    84 storage_pool_lookup_by_name(name: Text) -> StoragePool:
        "virStoragePoolLookupByName" Open StoragePoolName [StoragePool "getattr"];
    85 storage_pool_lookup_by_uuid(uuid: Uuid16) -> StoragePool:
        "virStoragePoolLookupByUUID" Open StoragePoolUuid [StoragePool "getattr"];
    86 storage_pool_lookup_by_volume(vol: StorageVol) -> StoragePool:
        "virStoragePoolLookupByVolume" Open StorageVolPool [StoragePool "getattr"];
    87 storage_pool_get_info(pool: StoragePool) -> StoragePoolInfo:
        "virStoragePoolGetInfo" Open StoragePool [StoragePool "read"];
    88 storage_pool_get_xml_desc(pool: StoragePool, flags: u32) -> Text:
        "virStoragePoolGetXMLDesc" Open StoragePool [StoragePool "read"];
    89 storage_pool_get_autostart(pool: StoragePool) -> i32:
        "virStoragePoolGetAutostart" Open StoragePool [StoragePool "read"];
    90 storage_pool_set_autostart(pool: StoragePool, autostart: i32) -> ():
        "virStoragePoolSetAutostart" Change StoragePool [StoragePool "write"];
    91 storage_pool_num_of_volumes(pool: StoragePool) -> i32:
        "virStoragePoolNumOfVolumes" Open StoragePool [StoragePool "search-storage-vols"];
    92 storage_pool_list_volumes(pool: StoragePool, maxnames: i32) -> List<Text, STORAGE_VOLS_MAX>:
        "virStoragePoolListVolumes" Open StoragePool [StoragePool "search-storage-vols"];
    93 storage_vol_create_xml(pool: StoragePool, xml: Text, flags: u32) -> StorageVol:
        "virStorageVolCreateXML" Change StorageVolXml [StorageVol "create"];
    94 storage_vol_delete(vol: StorageVol, flags: u32) -> ():
        "virStorageVolDelete" Change StorageVol [StorageVol "delete"];
    95 storage_vol_lookup_by_name(pool: StoragePool, name: Text) -> StorageVol:
        "virStorageVolLookupByName" Open StorageVolName [StorageVol "getattr"];
    96 storage_vol_lookup_by_key(key: Text) -> StorageVol:
        "virStorageVolLookupByKey" Open StorageVolKey [StorageVol "getattr"];
    97 storage_vol_lookup_by_path(path: Text) -> StorageVol:
        "virStorageVolLookupByPath" Open StorageVolPath [StorageVol "getattr"];
    98 storage_vol_get_info(vol: StorageVol) -> StorageVolInfo:
        "virStorageVolGetInfo" Open StorageVol [StorageVol "read"];
    99 storage_vol_get_xml_desc(vol: StorageVol, flags: u32) -> Text:
        "virStorageVolGetXMLDesc" Open StorageVol [StorageVol "read"];
    100 storage_vol_get_path(vol: StorageVol) -> Text:
        "virStorageVolGetPath" Open StorageVol [StorageVol "read"];
    125 storage_vol_create_xml_from(pool: StoragePool, xml: Text, clonevol: StorageVol, flags: u32) -> StorageVol:
        "virStorageVolCreateXMLFrom" Change StorageVolXml [StorageVol "create"];
    154 storage_pool_is_active(pool: StoragePool) -> i32:
        "virStoragePoolIsActive" Open StoragePool [StoragePool "read"];
    155 storage_pool_is_persistent(pool: StoragePool) -> i32:
        "virStoragePoolIsPersistent" Open StoragePool [StoragePool "read"];
    165 storage_vol_wipe(vol: StorageVol, flags: u32) -> ():
        "virStorageVolWipe" Change StorageVol [StorageVol "format"];
    208 storage_vol_upload(vol: StorageVol, offset: u64, length: u64, flags: u32) -> ():
        "virStorageVolUpload" Change StorageVol [StorageVol "data-write"];
    209 storage_vol_download(vol: StorageVol, offset: u64, length: u64, flags: u32) -> ():
        "virStorageVolDownload" Change StorageVol [StorageVol "data-read"];
    259 storage_vol_wipe_pattern(vol: StorageVol, algorithm: u32, flags: u32) -> ():
        "virStorageVolWipePattern" Change StorageVol [StorageVol "format"];
    260 storage_vol_resize(vol: StorageVol, capacity: u64, flags: u32) -> ():
        "virStorageVolResize" Change StorageVol [StorageVol "resize"];
    281 connect_list_all_storage_pools(need_results: i32, flags: u32) -> AllStoragePools:
        "virConnectListAllStoragePools" Open [Connect "search-storage-pools"];
    282 storage_pool_list_all_volumes(pool: StoragePool, need_results: i32, flags: u32) -> AllStorageVols:
        "virStoragePoolListAllVolumes" Open StoragePool [StoragePool "search-storage-vols"];
    368 connect_storage_pool_event_register_any(event_id: i32, pool: Option<StoragePool>) -> i32:
        "virConnectStoragePoolEventRegisterAny" Open [Connect "search-storage-pools"];
    369 connect_storage_pool_event_deregister_any(callback_id: i32) -> ():
        "virConnectStoragePoolEventDeregisterAny" Open [Connect "read"];
    378 storage_vol_get_info_flags(vol: StorageVol, flags: u32) -> StorageVolInfo:
        "virStorageVolGetInfoFlags" Open StorageVol [StorageVol "read"];
    391 storage_pool_lookup_by_target_path(path: Text) -> StoragePool:
        "virStoragePoolLookupByTargetPath" Open StoragePoolPath [StoragePool "getattr"];
    403 connect_get_storage_pool_capabilities(flags: u32) -> Text:
        "virConnectGetStoragePoolCapabilities" Open [Connect "read"];
}
