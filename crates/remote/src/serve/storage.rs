//! Calls about storage pools and volumes.

use oxivirt::{
    Autostart, CallbackId, Error, ErrorCode, ErrorDomain, Result, StorageDriver,
    StoragePoolBuildFlags, StoragePoolCreateFlags, StoragePoolDefineFlags, StoragePoolDeleteFlags,
    StoragePoolListFlags, StoragePoolRef, StorageVolCreateFlags, StorageVolDeleteFlags,
    StorageVolInfoFlags, StorageVolRef, StorageVolResizeFlags, StorageVolTransferFlags,
    StorageXmlFlags, VolumeRange, WipeAlgorithm,
};
use oxivirt_rpc::xdr::{List, Text, Uuid16};
use tarpc::context::Context;

use super::network::{autostart, counted, no_such_name, uuid};
use super::session::{EventFamily, not_open, rpc};
use super::streams::Opened;
use super::{Calls, events, guard};
use crate::protocol::Reply;
use crate::protocol::storage::StorageCalls;
use crate::wire::{
    AllStoragePools, AllStorageVols, STORAGE_POOLS_MAX, STORAGE_VOLS_MAX, StoragePool,
    StoragePoolInfo, StorageVol, StorageVolInfo,
};

impl Calls {
    fn storage(&self, api: &str) -> Result<&dyn StorageDriver> {
        let connection = self.connection()?;
        // only a hypervisor's connection has secondary drivers
        if connection.storage().is_none() && !self.has_domains() {
            return Err(not_open("connection not open"));
        }
        connection.storage_driver(api)
    }

    /// The pool that a client names, as a handle with the access of the connection.
    fn pool(&self, pool: &StoragePool) -> Result<oxivirt::StoragePool> {
        Ok(self.connect()?.storage_pool(pool.into()))
    }

    /// The volume that a client names, likewise.
    fn vol(&self, vol: &StorageVol) -> Result<oxivirt::StorageVol> {
        Ok(self.connect()?.storage_vol(vol.into()))
    }

    /// The pools that the client may see. A hypervisor without storage has none.
    async fn visible_pools(&self, flags: StoragePoolListFlags) -> Result<Vec<StoragePoolRef>> {
        if self.connection()?.storage().is_none() && self.has_domains() {
            return Ok(Vec::new());
        }
        let driver = self.storage("virConnectListAllStoragePools")?;
        guard::visible_pools(&self.session, driver.list_all_storage_pools(flags).await?).await
    }

    async fn pool_names(
        &self,
        flags: StoragePoolListFlags,
        max: i32,
    ) -> Result<List<Text, STORAGE_POOLS_MAX>> {
        let max = usize::try_from(max).map_err(|_| rpc("maxnames must be non-negative"))?;
        if max > STORAGE_POOLS_MAX {
            return Err(rpc("maxnames > REMOTE_STORAGE_POOL_LIST_MAX"));
        }
        let pools = self.visible_pools(flags).await?;
        Ok(pools.into_iter().take(max).map(|pool| pool.name.into()).collect())
    }

    async fn count_pools(&self, flags: StoragePoolListFlags) -> Result<i32> {
        Ok(i32::try_from(self.visible_pools(flags).await?.len()).unwrap_or(i32::MAX))
    }

    /// The volumes that the client may see.
    async fn visible_vols(&self, pool: &StoragePool, flags: u32) -> Result<Vec<StorageVolRef>> {
        let driver = self.storage("virStoragePoolListAllVolumes")?;
        let pool = StoragePoolRef::from(pool);
        let vols = driver.storage_pool_list_all_volumes(&pool, flags).await?;
        guard::visible_vols(&self.session, &pool, vols).await
    }
}

/// Refuses flags of a call that has none.
fn no_flags(flags: u32, function: &str) -> Result<()> {
    match flags {
        0 => Ok(()),
        flags => Err(Error::unsupported_flags(ErrorDomain::STORAGE, flags, function)),
    }
}

fn no_pool() -> Error {
    Error::new(ErrorCode::NO_STORAGE_POOL, ErrorDomain::STORAGE, "")
}

fn no_vol() -> Error {
    Error::new(ErrorCode::NO_STORAGE_VOL, ErrorDomain::STORAGE, "")
}

impl StorageCalls for Calls {
    async fn connect_num_of_storage_pools(self, _: Context) -> Reply<i32> {
        Ok(self.count_pools(StoragePoolListFlags::ACTIVE).await?)
    }

    async fn connect_list_storage_pools(
        self,
        _: Context,
        maxnames: i32,
    ) -> Reply<List<Text, STORAGE_POOLS_MAX>> {
        Ok(self.pool_names(StoragePoolListFlags::ACTIVE, maxnames).await?)
    }

    async fn connect_num_of_defined_storage_pools(self, _: Context) -> Reply<i32> {
        Ok(self.count_pools(StoragePoolListFlags::INACTIVE).await?)
    }

    async fn connect_list_defined_storage_pools(
        self,
        _: Context,
        maxnames: i32,
    ) -> Reply<List<Text, STORAGE_POOLS_MAX>> {
        Ok(self.pool_names(StoragePoolListFlags::INACTIVE, maxnames).await?)
    }

    async fn connect_find_storage_pool_sources(
        self,
        _: Context,
        kind: Text,
        spec: Option<Text>,
        flags: u32,
    ) -> Reply<Text> {
        let driver = self.storage("virConnectFindStoragePoolSources")?;
        let (kind, spec) = (kind.to_text(), spec.map(|spec| spec.to_text()));
        Ok(driver.find_storage_pool_sources(&kind, spec.as_deref(), flags).await?.into())
    }

    async fn connect_get_storage_pool_capabilities(self, _: Context, flags: u32) -> Reply<Text> {
        let driver = self.storage("virConnectGetStoragePoolCapabilities")?;
        Ok(driver.storage_pool_capabilities(flags).await?.into())
    }

    async fn storage_pool_create_xml(
        self,
        _: Context,
        xml: Text,
        flags: u32,
    ) -> Reply<StoragePool> {
        let flags = StoragePoolCreateFlags::from_bits_retain(flags);
        let pool = self.connect()?.storage_pool_create_xml(&xml.to_text(), flags).await?;
        Ok(pool.reference().into())
    }

    async fn storage_pool_define_xml(
        self,
        _: Context,
        xml: Text,
        flags: u32,
    ) -> Reply<StoragePool> {
        let flags = StoragePoolDefineFlags::from_bits_retain(flags);
        let pool = self.connect()?.storage_pool_define_xml(&xml.to_text(), flags).await?;
        Ok(pool.reference().into())
    }

    async fn storage_pool_create(self, _: Context, pool: StoragePool, flags: u32) -> Reply<()> {
        let flags = StoragePoolCreateFlags::from_bits_retain(flags);
        Ok(self.pool(&pool)?.create(flags).await?)
    }

    async fn storage_pool_build(self, _: Context, pool: StoragePool, flags: u32) -> Reply<()> {
        Ok(self.pool(&pool)?.build(StoragePoolBuildFlags::from_bits_retain(flags)).await?)
    }

    async fn storage_pool_destroy(self, _: Context, pool: StoragePool) -> Reply<()> {
        Ok(self.pool(&pool)?.destroy().await?)
    }

    async fn storage_pool_delete(self, _: Context, pool: StoragePool, flags: u32) -> Reply<()> {
        Ok(self.pool(&pool)?.delete(StoragePoolDeleteFlags::from_bits_retain(flags)).await?)
    }

    async fn storage_pool_undefine(self, _: Context, pool: StoragePool) -> Reply<()> {
        Ok(self.pool(&pool)?.undefine().await?)
    }

    async fn storage_pool_refresh(self, _: Context, pool: StoragePool, flags: u32) -> Reply<()> {
        let driver = self.storage("virStoragePoolRefresh")?;
        Ok(driver.storage_pool_refresh(&(&pool).into(), flags).await?)
    }

    async fn storage_pool_lookup_by_name(self, _: Context, name: Text) -> Reply<StoragePool> {
        let Some(text) = name.as_str() else {
            return Err(no_such_name(no_pool(), "no storage pool with matching name '", &name));
        };
        let driver = self.storage("virStoragePoolLookupByName")?;
        Ok((&driver.storage_pool_lookup_by_name(text).await?).into())
    }

    async fn storage_pool_lookup_by_uuid(self, _: Context, id: Uuid16) -> Reply<StoragePool> {
        let driver = self.storage("virStoragePoolLookupByUUID")?;
        Ok((&driver.storage_pool_lookup_by_uuid(uuid(id)).await?).into())
    }

    async fn storage_pool_lookup_by_volume(
        self,
        _: Context,
        vol: StorageVol,
    ) -> Reply<StoragePool> {
        let driver = self.storage("virStoragePoolLookupByVolume")?;
        Ok((&driver.storage_pool_lookup_by_volume(&(&vol).into()).await?).into())
    }

    async fn storage_pool_get_info(self, _: Context, pool: StoragePool) -> Reply<StoragePoolInfo> {
        let driver = self.storage("virStoragePoolGetInfo")?;
        Ok(driver.storage_pool_info(&(&pool).into()).await?.into())
    }

    async fn storage_pool_get_xml_desc(
        self,
        _: Context,
        pool: StoragePool,
        flags: u32,
    ) -> Reply<Text> {
        let flags = StorageXmlFlags::from_bits_retain(flags);
        let driver = self.storage("virStoragePoolGetXMLDesc")?;
        Ok(driver.storage_pool_xml_desc(&(&pool).into(), flags).await?.into())
    }

    async fn storage_pool_get_autostart(self, _: Context, pool: StoragePool) -> Reply<i32> {
        let driver = self.storage("virStoragePoolGetAutostart")?;
        let autostart = driver.storage_pool_autostart(&(&pool).into()).await?;
        Ok(i32::from(autostart == Autostart::Enabled))
    }

    async fn storage_pool_set_autostart(
        self,
        _: Context,
        pool: StoragePool,
        number: i32,
    ) -> Reply<()> {
        Ok(self.pool(&pool)?.set_autostart(autostart(number)).await?)
    }

    async fn storage_pool_num_of_volumes(self, _: Context, pool: StoragePool) -> Reply<i32> {
        let vols = self.visible_vols(&pool, 0).await?;
        Ok(i32::try_from(vols.len()).unwrap_or(i32::MAX))
    }

    async fn storage_pool_list_volumes(
        self,
        _: Context,
        pool: StoragePool,
        maxnames: i32,
    ) -> Reply<List<Text, STORAGE_VOLS_MAX>> {
        let max = usize::try_from(maxnames).map_err(|_| rpc("maxnames must be non-negative"))?;
        if max > STORAGE_VOLS_MAX {
            return Err(rpc("maxnames > REMOTE_STORAGE_VOL_LIST_MAX").into());
        }
        let vols = self.visible_vols(&pool, 0).await?;
        Ok(vols.into_iter().take(max).map(|vol| vol.name.into()).collect())
    }

    async fn storage_vol_create_xml(
        self,
        _: Context,
        pool: StoragePool,
        xml: Text,
        flags: u32,
    ) -> Reply<StorageVol> {
        let flags = StorageVolCreateFlags::from_bits_retain(flags);
        let vol = self.pool(&pool)?.vol_create_xml(&xml.to_text(), flags).await?;
        Ok(vol.reference().into())
    }

    async fn storage_vol_delete(self, _: Context, vol: StorageVol, flags: u32) -> Reply<()> {
        Ok(self.vol(&vol)?.delete(StorageVolDeleteFlags::from_bits_retain(flags)).await?)
    }

    async fn storage_vol_lookup_by_name(
        self,
        _: Context,
        pool: StoragePool,
        name: Text,
    ) -> Reply<StorageVol> {
        let Some(text) = name.as_str() else {
            return Err(no_such_name(no_vol(), "no storage vol with matching name '", &name));
        };
        let driver = self.storage("virStorageVolLookupByName")?;
        Ok((&driver.storage_vol_lookup_by_name(&(&pool).into(), text).await?).into())
    }

    async fn storage_vol_lookup_by_key(self, _: Context, key: Text) -> Reply<StorageVol> {
        let driver = self.storage("virStorageVolLookupByKey")?;
        Ok((&driver.storage_vol_lookup_by_key(&key.to_text()).await?).into())
    }

    async fn storage_vol_lookup_by_path(self, _: Context, path: Text) -> Reply<StorageVol> {
        let Some(text) = path.as_str() else {
            return Err(no_such_name(no_vol(), "no storage vol with matching path '", &path));
        };
        let driver = self.storage("virStorageVolLookupByPath")?;
        Ok((&driver.storage_vol_lookup_by_path(text).await?).into())
    }

    async fn storage_vol_get_info(self, _: Context, vol: StorageVol) -> Reply<StorageVolInfo> {
        let driver = self.storage("virStorageVolGetInfo")?;
        let info = driver.storage_vol_info(&(&vol).into(), StorageVolInfoFlags::empty()).await?;
        Ok(info.into())
    }

    async fn storage_vol_get_xml_desc(
        self,
        _: Context,
        vol: StorageVol,
        flags: u32,
    ) -> Reply<Text> {
        let driver = self.storage("virStorageVolGetXMLDesc")?;
        Ok(driver.storage_vol_xml_desc(&(&vol).into(), flags).await?.into())
    }

    async fn storage_vol_get_path(self, _: Context, vol: StorageVol) -> Reply<Text> {
        let driver = self.storage("virStorageVolGetPath")?;
        Ok(driver.storage_vol_path(&(&vol).into()).await?.into())
    }

    async fn storage_vol_create_xml_from(
        self,
        _: Context,
        pool: StoragePool,
        xml: Text,
        clonevol: StorageVol,
        flags: u32,
    ) -> Reply<StorageVol> {
        let flags = StorageVolCreateFlags::from_bits_retain(flags);
        let (pool, source) = (self.pool(&pool)?, self.vol(&clonevol)?);
        let vol = pool.vol_create_xml_from(&xml.to_text(), &source, flags).await?;
        Ok(vol.reference().into())
    }

    async fn storage_pool_is_active(self, _: Context, pool: StoragePool) -> Reply<i32> {
        let driver = self.storage("virStoragePoolIsActive")?;
        Ok(driver.storage_pool_is_active(&(&pool).into()).await?.into())
    }

    async fn storage_pool_is_persistent(self, _: Context, pool: StoragePool) -> Reply<i32> {
        let driver = self.storage("virStoragePoolIsPersistent")?;
        Ok(driver.storage_pool_is_persistent(&(&pool).into()).await?.into())
    }

    async fn storage_vol_wipe(self, _: Context, vol: StorageVol, flags: u32) -> Reply<()> {
        no_flags(flags, "storageVolWipePattern")?;
        Ok(self.vol(&vol)?.wipe(WipeAlgorithm::Zero).await?)
    }

    async fn storage_vol_upload(
        self,
        _: Context,
        vol: StorageVol,
        offset: u64,
        length: u64,
        flags: u32,
    ) -> Reply<()> {
        self.session.streams.check()?;
        let flags = StorageVolTransferFlags::from_bits_retain(flags);
        let stream = self.vol(&vol)?.upload(VolumeRange { offset, length }, flags).await?;
        let is_sparse = flags.contains(StorageVolTransferFlags::SPARSE_STREAM);
        self.open_stream(Opened::Upload(stream, is_sparse));
        Ok(())
    }

    async fn storage_vol_download(
        self,
        _: Context,
        vol: StorageVol,
        offset: u64,
        length: u64,
        flags: u32,
    ) -> Reply<()> {
        self.session.streams.check()?;
        let flags = StorageVolTransferFlags::from_bits_retain(flags);
        let is_sparse = flags.contains(StorageVolTransferFlags::SPARSE_STREAM);
        let stream = self.vol(&vol)?.download(VolumeRange { offset, length }, flags).await?;
        self.open_stream(Opened::Download(stream, is_sparse));
        Ok(())
    }

    async fn storage_vol_wipe_pattern(
        self,
        _: Context,
        vol: StorageVol,
        algorithm: u32,
        flags: u32,
    ) -> Reply<()> {
        no_flags(flags, "storageVolWipePattern")?;
        let algorithm = WipeAlgorithm::from_number(algorithm.cast_signed());
        Ok(self.vol(&vol)?.wipe(algorithm).await?)
    }

    async fn storage_vol_resize(
        self,
        _: Context,
        vol: StorageVol,
        capacity: u64,
        flags: u32,
    ) -> Reply<()> {
        let flags = StorageVolResizeFlags::from_bits_retain(flags);
        Ok(self.vol(&vol)?.resize(capacity, flags).await?)
    }

    async fn connect_list_all_storage_pools(
        self,
        _: Context,
        need_results: i32,
        flags: u32,
    ) -> Reply<AllStoragePools> {
        let pools = self.visible_pools(StoragePoolListFlags::from_bits_retain(flags)).await?;
        let (pools, ret) = counted(&pools, need_results, "storage pools")?;
        Ok(AllStoragePools { pools, ret })
    }

    async fn storage_pool_list_all_volumes(
        self,
        _: Context,
        pool: StoragePool,
        need_results: i32,
        flags: u32,
    ) -> Reply<AllStorageVols> {
        let vols = self.visible_vols(&pool, flags).await?;
        let (vols, ret) = counted(&vols, need_results, "storage volumes")?;
        Ok(AllStorageVols { vols, ret })
    }

    async fn connect_storage_pool_event_register_any(
        self,
        _: Context,
        event: i32,
        pool: Option<StoragePool>,
    ) -> Reply<i32> {
        let pool = pool.as_ref().map(StoragePoolRef::from);
        Ok(events::register_storage(&self.session, event, pool).await?)
    }

    async fn connect_storage_pool_event_deregister_any(self, _: Context, number: i32) -> Reply<()> {
        let callback = CallbackId(number);
        if !self.session.remove_registration(EventFamily::Storage, callback) {
            let detail = format!("storage pool event callback {number} not registered");
            return Err(not_open(&detail).into());
        }
        let driver = self.storage("virConnectStoragePoolEventDeregisterAny")?;
        Ok(driver.storage_pool_event_deregister(callback).await?)
    }

    async fn storage_vol_get_info_flags(
        self,
        _: Context,
        vol: StorageVol,
        flags: u32,
    ) -> Reply<StorageVolInfo> {
        let flags = StorageVolInfoFlags::from_bits_retain(flags);
        let driver = self.storage("virStorageVolGetInfoFlags")?;
        Ok(driver.storage_vol_info(&(&vol).into(), flags).await?.into())
    }

    async fn storage_pool_lookup_by_target_path(
        self,
        _: Context,
        path: Text,
    ) -> Reply<StoragePool> {
        let driver = self.storage("virStoragePoolLookupByTargetPath")?;
        Ok((&driver.storage_pool_lookup_by_target_path(&path.to_text()).await?).into())
    }
}
