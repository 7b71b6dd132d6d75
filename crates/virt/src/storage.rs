//! One storage pool or volume of a connection.

use oxivirt_types::storage::{
    StoragePoolBuildFlags, StoragePoolCreateFlags, StoragePoolDeleteFlags, StorageVolCreateFlags,
    StorageVolDeleteFlags, StorageVolInfoFlags, StorageVolResizeFlags, StorageVolTransferFlags,
    StorageXmlFlags, WipeAlgorithm,
};
use uuid::Uuid;

use crate::{
    Autostart, Connect, Result, StorageDriver, StoragePoolInfo, StoragePoolRef, StorageVolInfo,
    StorageVolRef, VolumeRange, VolumeStream,
};

/// A storage pool as a connection knows it.
///
/// It is a name, not a lock: the pool can vanish at any time, and calls then fail with
/// [`ErrorCode::NO_STORAGE_POOL`](crate::ErrorCode::NO_STORAGE_POOL). Calls that change something fail with
/// [`ErrorCode::OPERATION_DENIED`](crate::ErrorCode::OPERATION_DENIED) on a read-only connection, calls for a
/// started pool with [`ErrorCode::OPERATION_INVALID`](crate::ErrorCode::OPERATION_INVALID) if it is not.
///
/// libvirt: `virStoragePoolPtr`, src/libvirt-storage.c
#[derive(Debug, Clone)]
pub struct StoragePool {
    connect: Connect,
    reference: StoragePoolRef,
}

impl StoragePool {
    pub(crate) fn new(connect: Connect, reference: StoragePoolRef) -> Self {
        Self { connect, reference }
    }

    /// The connection it was found on.
    #[must_use]
    pub fn connect(&self) -> &Connect {
        &self.connect
    }

    /// Its name and UUID.
    #[must_use]
    pub fn reference(&self) -> &StoragePoolRef {
        &self.reference
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.reference.name
    }

    /// Its UUID.
    #[must_use]
    pub fn uuid(&self) -> Uuid {
        self.reference.uuid
    }

    /// The driver, for a call of the function `api` that changes nothing.
    fn driver(&self, api: &str) -> Result<&dyn StorageDriver> {
        self.connect.storage_driver(api)
    }

    /// The driver, for a call of the function `api` that changes something.
    fn changing(&self, api: &str) -> Result<&dyn StorageDriver> {
        self.connect.check_storage_change(api)?;
        self.connect.storage_driver(api)
    }

    /// Starts it. libvirt's name for this call is "create".
    ///
    /// # Errors
    /// [`ErrorCode::OPERATION_INVALID`](crate::ErrorCode::OPERATION_INVALID) if it is started,
    /// [`ErrorCode::SYSTEM_ERROR`](crate::ErrorCode::SYSTEM_ERROR) if its directory cannot be read,
    /// [`ErrorCode::CONFIG_UNSUPPORTED`](crate::ErrorCode::CONFIG_UNSUPPORTED) if the driver cannot start
    /// pools of its type.
    pub async fn create(&self, flags: StoragePoolCreateFlags) -> Result<()> {
        let driver = self.changing("virStoragePoolCreate")?;
        driver.storage_pool_create(&self.reference, flags).await
    }

    /// Makes what it consists of, its directory for example.
    ///
    /// # Errors
    /// [`ErrorCode::OPERATION_INVALID`](crate::ErrorCode::OPERATION_INVALID) if it is started,
    /// [`ErrorCode::SYSTEM_ERROR`](crate::ErrorCode::SYSTEM_ERROR) if the host refuses.
    pub async fn build(&self, flags: StoragePoolBuildFlags) -> Result<()> {
        let driver = self.changing("virStoragePoolBuild")?;
        driver.storage_pool_build(&self.reference, flags).await
    }

    /// Stops it; its data stay.
    ///
    /// # Errors
    /// [`ErrorCode::OPERATION_INVALID`](crate::ErrorCode::OPERATION_INVALID) if it is not started.
    pub async fn destroy(&self) -> Result<()> {
        self.changing("virStoragePoolDestroy")?.storage_pool_destroy(&self.reference).await
    }

    /// Removes what it consists of; a directory has to be empty.
    ///
    /// # Errors
    /// [`ErrorCode::OPERATION_INVALID`](crate::ErrorCode::OPERATION_INVALID) if it is started,
    /// [`ErrorCode::SYSTEM_ERROR`](crate::ErrorCode::SYSTEM_ERROR) if the host refuses.
    pub async fn delete(&self, flags: StoragePoolDeleteFlags) -> Result<()> {
        let driver = self.changing("virStoragePoolDelete")?;
        driver.storage_pool_delete(&self.reference, flags).await
    }

    /// Removes its stored definition.
    ///
    /// # Errors
    /// [`ErrorCode::OPERATION_INVALID`](crate::ErrorCode::OPERATION_INVALID) if it is started.
    pub async fn undefine(&self) -> Result<()> {
        self.changing("virStoragePoolUndefine")?.storage_pool_undefine(&self.reference).await
    }

    /// Reads its volumes again.
    ///
    /// # Errors
    /// [`ErrorCode::OPERATION_INVALID`](crate::ErrorCode::OPERATION_INVALID) if it is not started.
    pub async fn refresh(&self) -> Result<()> {
        self.changing("virStoragePoolRefresh")?.storage_pool_refresh(&self.reference, 0).await
    }

    /// Its key figures.
    ///
    /// # Errors
    /// [`ErrorCode::NO_STORAGE_POOL`](crate::ErrorCode::NO_STORAGE_POOL) if it is gone.
    pub async fn info(&self) -> Result<StoragePoolInfo> {
        self.driver("virStoragePoolGetInfo")?.storage_pool_info(&self.reference).await
    }

    /// It as XML, ending in a newline.
    ///
    /// # Errors
    /// [`ErrorCode::INVALID_ARG`](crate::ErrorCode::INVALID_ARG) for an unknown flag.
    pub async fn xml_desc(&self, flags: StorageXmlFlags) -> Result<String> {
        let driver = self.driver("virStoragePoolGetXMLDesc")?;
        driver.storage_pool_xml_desc(&self.reference, flags).await
    }

    /// Whether it is started with the host.
    ///
    /// # Errors
    /// [`ErrorCode::NO_STORAGE_POOL`](crate::ErrorCode::NO_STORAGE_POOL) if it is gone.
    pub async fn autostart(&self) -> Result<Autostart> {
        self.driver("virStoragePoolGetAutostart")?.storage_pool_autostart(&self.reference).await
    }

    /// Sets whether it is started with the host.
    ///
    /// # Errors
    /// [`ErrorCode::INTERNAL_ERROR`](crate::ErrorCode::INTERNAL_ERROR) if it has no stored definition.
    pub async fn set_autostart(&self, autostart: Autostart) -> Result<()> {
        let driver = self.changing("virStoragePoolSetAutostart")?;
        driver.storage_pool_set_autostart(&self.reference, autostart).await
    }

    /// Whether it is started.
    ///
    /// # Errors
    /// [`ErrorCode::NO_STORAGE_POOL`](crate::ErrorCode::NO_STORAGE_POOL) if it is gone.
    pub async fn is_active(&self) -> Result<bool> {
        self.driver("virStoragePoolIsActive")?.storage_pool_is_active(&self.reference).await
    }

    /// Whether it has a stored definition.
    ///
    /// # Errors
    /// [`ErrorCode::NO_STORAGE_POOL`](crate::ErrorCode::NO_STORAGE_POOL) if it is gone.
    pub async fn is_persistent(&self) -> Result<bool> {
        self.driver("virStoragePoolIsPersistent")?.storage_pool_is_persistent(&self.reference).await
    }

    /// Its volumes, in no particular order.
    ///
    /// # Errors
    /// [`ErrorCode::OPERATION_INVALID`](crate::ErrorCode::OPERATION_INVALID) if it is not started.
    pub async fn list_all_volumes(&self) -> Result<Vec<StorageVol>> {
        let driver = self.driver("virStoragePoolListAllVolumes")?;
        let found = driver.storage_pool_list_all_volumes(&self.reference, 0).await?;
        Ok(found.into_iter().map(|vol| self.connect.storage_vol(vol)).collect())
    }

    /// Its volume of this name.
    ///
    /// # Errors
    /// [`ErrorCode::NO_STORAGE_VOL`](crate::ErrorCode::NO_STORAGE_VOL) if there is none.
    pub async fn vol_lookup_by_name(&self, name: &str) -> Result<StorageVol> {
        let driver = self.driver("virStorageVolLookupByName")?;
        let found = driver.storage_vol_lookup_by_name(&self.reference, name).await?;
        Ok(self.connect.storage_vol(found))
    }

    /// Creates a volume.
    ///
    /// # Errors
    /// [`ErrorCode::STORAGE_VOL_EXIST`](crate::ErrorCode::STORAGE_VOL_EXIST) if the name is taken, the errors
    /// of the document, [`ErrorCode::SYSTEM_ERROR`](crate::ErrorCode::SYSTEM_ERROR) if the host refuses.
    pub async fn vol_create_xml(
        &self,
        xml: &str,
        flags: StorageVolCreateFlags,
    ) -> Result<StorageVol> {
        let driver = self.changing("virStorageVolCreateXML")?;
        let made = driver.storage_vol_create_xml(&self.reference, xml, flags).await?;
        Ok(self.connect.storage_vol(made))
    }

    /// Creates a volume with the data of another one.
    ///
    /// # Errors
    /// Those of [`StoragePool::vol_create_xml`], and
    /// [`ErrorCode::NO_STORAGE_VOL`](crate::ErrorCode::NO_STORAGE_VOL) if there is no `source`.
    pub async fn vol_create_xml_from(
        &self,
        xml: &str,
        source: &StorageVol,
        flags: StorageVolCreateFlags,
    ) -> Result<StorageVol> {
        let driver = self.changing("virStorageVolCreateXMLFrom")?;
        let source = source.reference();
        let made = driver.storage_vol_create_xml_from(&self.reference, xml, source, flags);
        Ok(self.connect.storage_vol(made.await?))
    }
}

/// A storage volume as a connection knows it.
///
/// It is a name, not a lock: the volume can vanish at any time, and calls then fail with
/// [`ErrorCode::NO_STORAGE_VOL`](crate::ErrorCode::NO_STORAGE_VOL). Calls fail with
/// [`ErrorCode::OPERATION_INVALID`](crate::ErrorCode::OPERATION_INVALID) if its pool is not started.
///
/// libvirt: `virStorageVolPtr`, src/libvirt-storage.c
#[derive(Debug, Clone)]
pub struct StorageVol {
    connect: Connect,
    reference: StorageVolRef,
}

impl StorageVol {
    pub(crate) fn new(connect: Connect, reference: StorageVolRef) -> Self {
        Self { connect, reference }
    }

    /// The connection it was found on.
    #[must_use]
    pub fn connect(&self) -> &Connect {
        &self.connect
    }

    /// Its pool, name and key.
    #[must_use]
    pub fn reference(&self) -> &StorageVolRef {
        &self.reference
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.reference.name
    }

    /// Its key, unique on a host.
    #[must_use]
    pub fn key(&self) -> &str {
        &self.reference.key
    }

    /// The driver, for a call of the function `api` that changes nothing.
    fn driver(&self, api: &str) -> Result<&dyn StorageDriver> {
        self.connect.storage_driver(api)
    }

    /// The driver, for a call of the function `api` that changes something.
    fn changing(&self, api: &str) -> Result<&dyn StorageDriver> {
        self.connect.check_storage_change(api)?;
        self.connect.storage_driver(api)
    }

    /// Its pool.
    ///
    /// # Errors
    /// [`ErrorCode::NO_STORAGE_POOL`](crate::ErrorCode::NO_STORAGE_POOL) if that is gone.
    pub async fn pool(&self) -> Result<StoragePool> {
        let driver = self.driver("virStoragePoolLookupByVolume")?;
        let pool = driver.storage_pool_lookup_by_volume(&self.reference).await?;
        Ok(self.connect.storage_pool(pool))
    }

    /// Deletes it.
    ///
    /// # Errors
    /// [`ErrorCode::OPERATION_INVALID`](crate::ErrorCode::OPERATION_INVALID) while it is allocated or copied.
    pub async fn delete(&self, flags: StorageVolDeleteFlags) -> Result<()> {
        self.changing("virStorageVolDelete")?.storage_vol_delete(&self.reference, flags).await
    }

    /// Overwrites its data.
    ///
    /// # Errors
    /// [`ErrorCode::INVALID_ARG`](crate::ErrorCode::INVALID_ARG) for an unknown algorithm.
    pub async fn wipe(&self, algorithm: WipeAlgorithm) -> Result<()> {
        let api = match algorithm {
            WipeAlgorithm::Zero => "virStorageVolWipe",
            _ => "virStorageVolWipePattern",
        };
        self.changing(api)?.storage_vol_wipe(&self.reference, algorithm, 0).await
    }

    /// Changes its size to `capacity` bytes, or by as many.
    ///
    /// # Errors
    /// [`ErrorCode::INVALID_ARG`](crate::ErrorCode::INVALID_ARG) if it would become smaller and the flag that
    /// allows it is not given.
    pub async fn resize(&self, capacity: u64, flags: StorageVolResizeFlags) -> Result<()> {
        let driver = self.changing("virStorageVolResize")?;
        driver.storage_vol_resize(&self.reference, capacity, flags).await
    }

    /// Its key figures.
    ///
    /// # Errors
    /// [`ErrorCode::SYSTEM_ERROR`](crate::ErrorCode::SYSTEM_ERROR) if it cannot be read.
    pub async fn info(&self, flags: StorageVolInfoFlags) -> Result<StorageVolInfo> {
        let api =
            if flags.is_empty() { "virStorageVolGetInfo" } else { "virStorageVolGetInfoFlags" };
        self.driver(api)?.storage_vol_info(&self.reference, flags).await
    }

    /// It as XML, ending in a newline.
    ///
    /// # Errors
    /// [`ErrorCode::SYSTEM_ERROR`](crate::ErrorCode::SYSTEM_ERROR) if it cannot be read.
    pub async fn xml_desc(&self) -> Result<String> {
        self.driver("virStorageVolGetXMLDesc")?.storage_vol_xml_desc(&self.reference, 0).await
    }

    /// Where it is on the host.
    ///
    /// # Errors
    /// [`ErrorCode::NO_STORAGE_VOL`](crate::ErrorCode::NO_STORAGE_VOL) if it is gone.
    pub async fn path(&self) -> Result<String> {
        self.driver("virStorageVolGetPath")?.storage_vol_path(&self.reference).await
    }

    /// Opens it for writing.
    ///
    /// # Errors
    /// [`ErrorCode::OPERATION_INVALID`](crate::ErrorCode::OPERATION_INVALID) while it is allocated or copied.
    pub async fn upload(
        &self,
        range: VolumeRange,
        flags: StorageVolTransferFlags,
    ) -> Result<Box<dyn VolumeStream>> {
        let driver = self.changing("virStorageVolUpload")?;
        driver.storage_vol_upload(&self.reference, range, flags).await
    }

    /// Opens it for reading.
    ///
    /// # Errors
    /// [`ErrorCode::OPERATION_INVALID`](crate::ErrorCode::OPERATION_INVALID) while it is allocated.
    pub async fn download(
        &self,
        range: VolumeRange,
        flags: StorageVolTransferFlags,
    ) -> Result<Box<dyn VolumeStream>> {
        // its data is no business of a client that may only look at the host
        let driver = self.changing("virStorageVolDownload")?;
        driver.storage_vol_download(&self.reference, range, flags).await
    }
}
