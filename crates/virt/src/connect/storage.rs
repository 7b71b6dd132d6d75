//! Finding and creating storage pools, and finding volumes.

use oxivirt_types::storage::{
    StoragePoolCreateFlags, StoragePoolDefineFlags, StoragePoolEventId, StoragePoolListFlags,
};
use uuid::Uuid;

use crate::{
    CallbackId, Connect, Error, ErrorCode, ErrorDomain, Result, StorageDriver,
    StorageEventCallback, StoragePool, StoragePoolRef, StorageVol, StorageVolRef, parse_uuid,
};

impl Connect {
    /// The storage driver of the connection, for a call of the function `api`.
    pub(crate) fn storage_driver(&self, api: &str) -> Result<&dyn StorageDriver> {
        self.connection().storage_driver(api)
    }

    /// Checks that `api` may change a pool or volume.
    pub(crate) fn check_storage_change(&self, api: &str) -> Result<()> {
        self.access().check_change(ErrorDomain::STORAGE, api)
    }

    /// The pool that `reference` names; the driver is not called.
    #[must_use]
    pub fn storage_pool(&self, reference: StoragePoolRef) -> StoragePool {
        StoragePool::new(self.clone(), reference)
    }

    /// The volume that `reference` names; the driver is not called.
    #[must_use]
    pub fn storage_vol(&self, reference: StorageVolRef) -> StorageVol {
        StorageVol::new(self.clone(), reference)
    }

    /// The pools that pass the filter, in no particular order.
    ///
    /// # Errors
    /// [`ErrorCode::INVALID_ARG`] for an unknown flag, [`ErrorCode::NO_SUPPORT`] if the connection has
    /// no storage.
    pub async fn list_all_storage_pools(
        &self,
        flags: StoragePoolListFlags,
    ) -> Result<Vec<StoragePool>> {
        let driver = self.storage_driver("virConnectListAllStoragePools")?;
        let references = driver.list_all_storage_pools(flags).await?;
        Ok(references.into_iter().map(|reference| self.storage_pool(reference)).collect())
    }

    /// The pool of this name.
    ///
    /// # Errors
    /// [`ErrorCode::NO_STORAGE_POOL`] if there is none.
    pub async fn storage_pool_lookup_by_name(&self, name: &str) -> Result<StoragePool> {
        let driver = self.storage_driver("virStoragePoolLookupByName")?;
        Ok(self.storage_pool(driver.storage_pool_lookup_by_name(name).await?))
    }

    /// The pool with this UUID.
    ///
    /// # Errors
    /// [`ErrorCode::NO_STORAGE_POOL`] if there is none.
    pub async fn storage_pool_lookup_by_uuid(&self, uuid: Uuid) -> Result<StoragePool> {
        let driver = self.storage_driver("virStoragePoolLookupByUUID")?;
        Ok(self.storage_pool(driver.storage_pool_lookup_by_uuid(uuid).await?))
    }

    /// The pool with this UUID, given as text.
    ///
    /// # Errors
    /// [`ErrorCode::INVALID_ARG`] if the text is not a UUID, [`ErrorCode::NO_STORAGE_POOL`] if there is
    /// no such pool.
    pub async fn storage_pool_lookup_by_uuid_string(&self, text: &str) -> Result<StoragePool> {
        let Some(uuid) = parse_uuid(text) else {
            return Err(Error::plain(
                ErrorCode::INVALID_ARG,
                ErrorDomain::STORAGE,
                "uuidstr in virStoragePoolLookupByUUIDString must be a valid UUID",
            ));
        };
        self.storage_pool_lookup_by_uuid(uuid).await
    }

    /// The pool whose volumes are at this path.
    ///
    /// # Errors
    /// [`ErrorCode::NO_STORAGE_POOL`] if there is none.
    pub async fn storage_pool_lookup_by_target_path(&self, path: &str) -> Result<StoragePool> {
        let driver = self.storage_driver("virStoragePoolLookupByTargetPath")?;
        Ok(self.storage_pool(driver.storage_pool_lookup_by_target_path(path).await?))
    }

    /// Stores a definition, new or in place of the old one.
    ///
    /// # Errors
    /// [`ErrorCode::OPERATION_DENIED`] on a read-only connection, [`ErrorCode::XML_ERROR`] or
    /// [`ErrorCode::XML_DETAIL`] for a wrong definition, [`ErrorCode::OPERATION_FAILED`] if name, UUID or
    /// path belong to another pool.
    pub async fn storage_pool_define_xml(
        &self,
        xml: &str,
        flags: StoragePoolDefineFlags,
    ) -> Result<StoragePool> {
        let api = "virStoragePoolDefineXML";
        self.check_storage_change(api)?;
        let driver = self.storage_driver(api)?;
        Ok(self.storage_pool(driver.storage_pool_define_xml(xml, flags).await?))
    }

    /// Starts a pool from XML without storing it.
    ///
    /// # Errors
    /// Those of [`Connect::storage_pool_define_xml`] and of [`StoragePool::create`].
    pub async fn storage_pool_create_xml(
        &self,
        xml: &str,
        flags: StoragePoolCreateFlags,
    ) -> Result<StoragePool> {
        let api = "virStoragePoolCreateXML";
        self.check_storage_change(api)?;
        let driver = self.storage_driver(api)?;
        Ok(self.storage_pool(driver.storage_pool_create_xml(xml, flags).await?))
    }

    /// Where pools of the type `kind` could come from, as XML; `spec` says where to look.
    ///
    /// # Errors
    /// [`ErrorCode::OPERATION_DENIED`] on a read-only connection, [`ErrorCode::NO_SUPPORT`] if pools of the
    /// type cannot be found, [`ErrorCode::INTERNAL_ERROR`] if there is no such type.
    pub async fn find_storage_pool_sources(
        &self,
        kind: &str,
        spec: Option<&str>,
    ) -> Result<String> {
        let api = "virConnectFindStoragePoolSources";
        self.check_storage_change(api)?;
        self.storage_driver(api)?.find_storage_pool_sources(kind, spec, 0).await
    }

    /// Which types of pools the driver has, as XML.
    ///
    /// # Errors
    /// [`ErrorCode::NO_SUPPORT`] if the driver does not say.
    pub async fn storage_pool_capabilities(&self) -> Result<String> {
        let driver = self.storage_driver("virConnectGetStoragePoolCapabilities")?;
        driver.storage_pool_capabilities(0).await
    }

    /// The volume with this key, in any pool that is started.
    ///
    /// # Errors
    /// [`ErrorCode::NO_STORAGE_VOL`] if there is none.
    pub async fn storage_vol_lookup_by_key(&self, key: &str) -> Result<StorageVol> {
        let driver = self.storage_driver("virStorageVolLookupByKey")?;
        Ok(self.storage_vol(driver.storage_vol_lookup_by_key(key).await?))
    }

    /// The volume at this path, in any pool that is started.
    ///
    /// # Errors
    /// [`ErrorCode::NO_STORAGE_VOL`] if there is none.
    pub async fn storage_vol_lookup_by_path(&self, path: &str) -> Result<StorageVol> {
        let driver = self.storage_driver("virStorageVolLookupByPath")?;
        Ok(self.storage_vol(driver.storage_vol_lookup_by_path(path).await?))
    }

    /// Calls `callback` for events with this id, of one pool or of all.
    ///
    /// # Errors
    /// [`ErrorCode::NO_SUPPORT`] if the driver has no such events.
    pub async fn storage_pool_event_register(
        &self,
        pool: Option<&StoragePoolRef>,
        id: StoragePoolEventId,
        callback: StorageEventCallback,
    ) -> Result<CallbackId> {
        let driver = self.storage_driver("virConnectStoragePoolEventRegisterAny")?;
        driver.storage_pool_event_register(pool, id, callback).await
    }

    /// Removes a registration.
    ///
    /// # Errors
    /// [`ErrorCode::INVALID_ARG`] if there is none with this id.
    pub async fn storage_pool_event_deregister(&self, id: CallbackId) -> Result<()> {
        let driver = self.storage_driver("virConnectStoragePoolEventDeregisterAny")?;
        driver.storage_pool_event_deregister(id).await
    }
}
