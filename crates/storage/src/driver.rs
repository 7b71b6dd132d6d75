//! The driver: the calls of the API, a short method each.
//!
//! Every call that changes something runs as a task of its own: a caller that goes away does not
//! leave it half done.

use std::ffi::OsString;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use oxivirt::{
    Autostart, CallbackId, Callbacks, Connection, Error, ErrorCode, ErrorDomain, Result,
    StorageDriver, StorageEventCallback, StoragePoolIdentity, StoragePoolInfo, StoragePoolRef,
    StorageVolInfo, StorageVolRef, VolumeRange, VolumeStream,
};
use oxivirt_conf::storage::{Capacity, StoragePoolDef, StorageVolumeDef, VolumeType};
use oxivirt_engine::{Journal, lock};
use oxivirt_sys::pidfile::PidFile;
use oxivirt_types::storage::{
    StoragePoolBuildFlags, StoragePoolCreateFlags, StoragePoolDefineFlags, StoragePoolDeleteFlags,
    StoragePoolEventId, StoragePoolListFlags, StorageVolCreateFlags, StorageVolDeleteFlags,
    StorageVolInfoFlags, StorageVolResizeFlags, StorageVolTransferFlags, StorageXmlFlags,
    WipeAlgorithm,
};
use uuid::Uuid;

use crate::capabilities;
use crate::error;
use crate::host::Host;
use crate::layout::Layout;
use crate::plan::{CreateOptions, Preallocation, Reflink};
use crate::registry::Pools;
use crate::shared::{Found, Shared, active};
use crate::store;

/// How a driver is opened.
#[derive(Debug, Clone)]
pub struct Options {
    /// Where files are.
    pub layout: Layout,
    /// What the driver says its URI is.
    pub uri: String,
    /// Where `qemu-img` is looked for, in the form of `$PATH`.
    pub search_path: OsString,
    /// Whether pools are started that start with the host.
    pub autostart: StartWithHost,
}

/// Whether opening a driver starts the pools that start with the host.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StartWithHost {
    /// At the first opening after the host has started.
    Once,
    /// Not at all.
    Never,
}

/// The storage driver of a host.
#[derive(Debug)]
pub struct Driver {
    shared: Arc<Shared>,
}

impl Driver {
    /// Opens the driver of the directories in `options`: finishes what a driver before it was interrupted in,
    /// takes up pools that are started, starts those that start with the host.
    ///
    /// Must be called in a tokio runtime.
    ///
    /// # Errors
    /// [`ErrorCode::SYSTEM_ERROR`] if another driver has the directories, or they cannot be used.
    pub async fn open(options: Options) -> Result<Self> {
        let Options { layout, uri, search_path, autostart } = options;
        store::prepare(&layout).map_err(|failure| error::file(&failure))?;
        let pid_file = PidFile::acquire(&layout.driver_pid());
        let shared = Arc::new(Shared {
            host: Host::new(search_path),
            journal: Journal::at(layout.journal_dir()),
            layout,
            uri,
            pools: Pools::default(),
            callbacks: Callbacks::new(),
            uses: Mutex::default(),
            _lock: pid_file.map_err(|failure| error::pid_file(&failure))?,
        });
        shared.recover().await;
        shared.load().await;
        if autostart == StartWithHost::Once {
            shared.start_with_host().await;
        }
        Ok(Self { shared })
    }

    /// Looks at the disk again: new definitions appear, and every pool that starts with the host is
    /// started.
    ///
    /// libvirt 11.3.0: `storageStateReload`
    ///
    /// # Errors
    /// Only if the task ends unexpectedly; what is wrong with one pool is logged.
    pub async fn reload(&self) -> Result<()> {
        let shared = Arc::clone(&self.shared);
        self.detached(async move {
            shared.load_configs();
            shared.start_wanted().await;
            Ok(())
        })
        .await
    }

    /// Runs an operation as a task of its own.
    async fn detached<T: Send + 'static>(
        &self,
        operation: impl Future<Output = Result<T>> + Send + 'static,
    ) -> Result<T> {
        let done = tokio::spawn(lock::checked(operation)).await;
        done.unwrap_or_else(|failure| Err(error::task(&failure)))
    }
}

#[async_trait]
impl Connection for Driver {
    async fn uri(&self) -> Result<String> {
        Ok(self.shared.uri.clone())
    }

    async fn driver_type(&self) -> Result<String> {
        Ok("storage".to_owned())
    }

    fn storage(&self) -> Option<&dyn StorageDriver> {
        Some(self)
    }
}

#[async_trait]
impl StorageDriver for Driver {
    async fn list_all_storage_pools(
        &self,
        flags: StoragePoolListFlags,
    ) -> Result<Vec<StoragePoolRef>> {
        let known = StoragePoolListFlags::all().bits();
        check(flags.bits(), known, "storageConnectListAllStoragePools")?;
        let views = self.shared.pools.all().into_iter().map(|entry| entry.view());
        Ok(views.filter(|view| view.matches(flags)).map(|view| view.reference()).collect())
    }

    async fn find_storage_pool_sources(
        &self,
        kind: &str,
        _: Option<&str>,
        flags: u32,
    ) -> Result<String> {
        check(flags, 0, "storageConnectFindStoragePoolSources")?;
        capabilities::no_sources(kind)
    }

    async fn storage_pool_capabilities(&self, flags: u32) -> Result<String> {
        check(flags, 0, "storageConnectGetStoragePoolCapabilities")?;
        Ok(capabilities::document())
    }

    async fn storage_pool_lookup_by_name(&self, name: &str) -> Result<StoragePoolRef> {
        self.shared.pool_by_name(name)
    }

    async fn storage_pool_lookup_by_uuid(&self, uuid: Uuid) -> Result<StoragePoolRef> {
        self.shared.pool_by_uuid(uuid)
    }

    async fn storage_pool_lookup_by_volume(&self, vol: &StorageVolRef) -> Result<StoragePoolRef> {
        self.shared.pool_by_name(&vol.pool)
    }

    async fn storage_pool_lookup_by_target_path(&self, path: &str) -> Result<StoragePoolRef> {
        self.shared.pool_by_target_path(path)
    }

    fn storage_pool_identity(&self, xml: &str) -> Result<StoragePoolIdentity> {
        let StoragePoolDef { name, uuid, .. } = read(xml)?;
        Ok(StoragePoolIdentity { name: name.unwrap_or_default(), uuid })
    }

    fn storage_vol_identity(&self, xml: &str) -> Result<String> {
        let def = StorageVolumeDef::parse(xml, VolumeType::File, None, Capacity::Optional);
        let def = def.map_err(|failure| Error::classified(&failure))?;
        Ok(def.name.unwrap_or_default())
    }

    async fn storage_pool_define_xml(
        &self,
        xml: &str,
        flags: StoragePoolDefineFlags,
    ) -> Result<StoragePoolRef> {
        let known = StoragePoolDefineFlags::VALIDATE.bits();
        check(flags.bits(), known, "storagePoolDefineXML")?;
        check_schema(flags.contains(StoragePoolDefineFlags::VALIDATE))?;
        let pool = Shared::checked(read(xml)?)?;
        let shared = Arc::clone(&self.shared);
        self.detached(async move { shared.define(pool).await }).await
    }

    async fn storage_pool_create_xml(
        &self,
        xml: &str,
        flags: StoragePoolCreateFlags,
    ) -> Result<StoragePoolRef> {
        let known = StoragePoolCreateFlags::all().bits();
        check(flags.bits(), known, "storagePoolCreateXML")?;
        let pool = Shared::checked(read(xml)?)?;
        let shared = Arc::clone(&self.shared);
        self.detached(async move { shared.create_xml(pool, flags).await }).await
    }

    async fn storage_pool_create(
        &self,
        pool: &StoragePoolRef,
        flags: StoragePoolCreateFlags,
    ) -> Result<()> {
        check(flags.bits(), StoragePoolCreateFlags::all().bits(), "storagePoolCreate")?;
        let (shared, entry) = (Arc::clone(&self.shared), self.shared.entry(pool)?);
        self.detached(async move { shared.create(&entry, flags).await }).await
    }

    async fn storage_pool_build(
        &self,
        pool: &StoragePoolRef,
        flags: StoragePoolBuildFlags,
    ) -> Result<()> {
        let (shared, entry) = (Arc::clone(&self.shared), self.shared.entry(pool)?);
        self.detached(async move { shared.build(&entry, flags).await }).await
    }

    async fn storage_pool_destroy(&self, pool: &StoragePoolRef) -> Result<()> {
        let (shared, entry) = (Arc::clone(&self.shared), self.shared.entry(pool)?);
        self.detached(async move { shared.destroy(&entry).await }).await
    }

    async fn storage_pool_delete(
        &self,
        pool: &StoragePoolRef,
        flags: StoragePoolDeleteFlags,
    ) -> Result<()> {
        let (shared, entry) = (Arc::clone(&self.shared), self.shared.entry(pool)?);
        self.detached(async move { shared.delete(&entry, flags).await }).await
    }

    async fn storage_pool_undefine(&self, pool: &StoragePoolRef) -> Result<()> {
        let (shared, entry) = (Arc::clone(&self.shared), self.shared.entry(pool)?);
        self.detached(async move { shared.undefine(&entry).await }).await
    }

    async fn storage_pool_refresh(&self, pool: &StoragePoolRef, flags: u32) -> Result<()> {
        check(flags, 0, "storagePoolRefresh")?;
        let (shared, entry) = (Arc::clone(&self.shared), self.shared.entry(pool)?);
        self.detached(async move { shared.refresh(&entry).await }).await
    }

    async fn storage_pool_info(&self, pool: &StoragePoolRef) -> Result<StoragePoolInfo> {
        Ok(self.shared.entry(pool)?.view().info())
    }

    async fn storage_pool_xml_desc(
        &self,
        pool: &StoragePoolRef,
        flags: StorageXmlFlags,
    ) -> Result<String> {
        check(flags.bits(), StorageXmlFlags::all().bits(), "storagePoolGetXMLDesc")?;
        let view = self.shared.entry(pool)?.view();
        Ok(match &view.new {
            Some(new) if flags.contains(StorageXmlFlags::INACTIVE) => new.def().format(),
            _ => view.document().format(),
        })
    }

    async fn storage_pool_autostart(&self, pool: &StoragePoolRef) -> Result<Autostart> {
        Ok(self.shared.entry(pool)?.view().autostart)
    }

    async fn storage_pool_set_autostart(
        &self,
        pool: &StoragePoolRef,
        autostart: Autostart,
    ) -> Result<()> {
        let (shared, entry) = (Arc::clone(&self.shared), self.shared.entry(pool)?);
        self.detached(async move { shared.set_autostart(&entry, autostart).await }).await
    }

    async fn storage_pool_is_active(&self, pool: &StoragePoolRef) -> Result<bool> {
        Ok(self.shared.entry(pool)?.view().active.is_some())
    }

    async fn storage_pool_is_persistent(&self, pool: &StoragePoolRef) -> Result<bool> {
        Ok(self.shared.entry(pool)?.view().is_persistent)
    }

    async fn storage_pool_list_all_volumes(
        &self,
        pool: &StoragePoolRef,
        flags: u32,
    ) -> Result<Vec<StorageVolRef>> {
        check(flags, 0, "storagePoolListAllVolumes")?;
        let view = self.shared.entry(pool)?.view();
        let volumes = active(&view)?.volumes.iter();
        Ok(volumes.map(|(name, volume)| view.volume_reference(name, volume)).collect())
    }

    async fn storage_vol_lookup_by_name(
        &self,
        pool: &StoragePoolRef,
        name: &str,
    ) -> Result<StorageVolRef> {
        let view = self.shared.entry(pool)?.view();
        let volume = active(&view)?.volumes.get(name);
        let volume = volume.ok_or_else(|| error::no_volume(&format!("name '{name}'")))?;
        Ok(view.volume_reference(name, volume))
    }

    async fn storage_vol_lookup_by_key(&self, key: &str) -> Result<StorageVolRef> {
        self.shared.volume_by_key(key)
    }

    async fn storage_vol_lookup_by_path(&self, path: &str) -> Result<StorageVolRef> {
        self.shared.volume_by_path(path).await
    }

    async fn storage_vol_create_xml(
        &self,
        pool: &StoragePoolRef,
        xml: &str,
        flags: StorageVolCreateFlags,
    ) -> Result<StorageVolRef> {
        let known = StorageVolCreateFlags::all() - StorageVolCreateFlags::REFLINK;
        check(flags.bits(), known.bits(), "storageVolCreateXML")?;
        self.create_volume(pool, xml, None, flags).await
    }

    async fn storage_vol_create_xml_from(
        &self,
        pool: &StoragePoolRef,
        xml: &str,
        source: &StorageVolRef,
        flags: StorageVolCreateFlags,
    ) -> Result<StorageVolRef> {
        let known = StorageVolCreateFlags::all().bits();
        check(flags.bits(), known, "storageVolCreateXMLFrom")?;
        let source = self.shared.find(source)?;
        self.create_volume(pool, xml, Some(source), flags).await
    }

    async fn storage_vol_delete(
        &self,
        vol: &StorageVolRef,
        flags: StorageVolDeleteFlags,
    ) -> Result<()> {
        let (shared, vol) = (Arc::clone(&self.shared), vol.clone());
        self.detached(async move { shared.delete_volume(&vol, flags).await }).await
    }

    async fn storage_vol_wipe(
        &self,
        vol: &StorageVolRef,
        algorithm: WipeAlgorithm,
        flags: u32,
    ) -> Result<()> {
        check(flags, 0, "storageVolWipePattern")?;
        let (shared, vol) = (Arc::clone(&self.shared), vol.clone());
        self.detached(async move { shared.wipe_volume(&vol, algorithm).await }).await
    }

    async fn storage_vol_resize(
        &self,
        vol: &StorageVolRef,
        capacity: u64,
        flags: StorageVolResizeFlags,
    ) -> Result<()> {
        check(flags.bits(), StorageVolResizeFlags::all().bits(), "storageVolResize")?;
        let (shared, vol) = (Arc::clone(&self.shared), vol.clone());
        self.detached(async move { shared.resize_volume(&vol, capacity, flags).await }).await
    }

    async fn storage_vol_info(
        &self,
        vol: &StorageVolRef,
        flags: StorageVolInfoFlags,
    ) -> Result<StorageVolInfo> {
        check(flags.bits(), StorageVolInfoFlags::all().bits(), "storageVolGetInfoFlags")?;
        self.shared.volume_info(&self.shared.find(vol)?, flags).await
    }

    async fn storage_vol_xml_desc(&self, vol: &StorageVolRef, flags: u32) -> Result<String> {
        check(flags, 0, "storageVolGetXMLDesc")?;
        self.shared.volume_document(&self.shared.find(vol)?).await
    }

    async fn storage_vol_path(&self, vol: &StorageVolRef) -> Result<String> {
        Ok(self.shared.find(vol)?.volume.path().to_owned())
    }

    async fn storage_vol_upload(
        &self,
        vol: &StorageVolRef,
        range: VolumeRange,
        flags: StorageVolTransferFlags,
    ) -> Result<Box<dyn VolumeStream>> {
        check(flags.bits(), StorageVolTransferFlags::all().bits(), "storageVolUpload")?;
        let found = self.shared.find(vol)?;
        Ok(Box::new(self.shared.upload(found, range).await?))
    }

    async fn storage_vol_download(
        &self,
        vol: &StorageVolRef,
        range: VolumeRange,
        flags: StorageVolTransferFlags,
    ) -> Result<Box<dyn VolumeStream>> {
        check(flags.bits(), StorageVolTransferFlags::all().bits(), "storageVolDownload")?;
        let found = self.shared.find(vol)?;
        Ok(Box::new(self.shared.download(&found, range).await?))
    }

    async fn storage_pool_event_register(
        &self,
        pool: Option<&StoragePoolRef>,
        id: StoragePoolEventId,
        callback: StorageEventCallback,
    ) -> Result<CallbackId> {
        Ok(self.shared.callbacks.register(pool.map(|pool| pool.uuid), id, callback))
    }

    async fn storage_pool_event_deregister(&self, id: CallbackId) -> Result<()> {
        if self.shared.callbacks.deregister(id) {
            return Ok(());
        }
        let detail = format!("storage pool event callback {} not registered", id.0);
        Err(error::new(ErrorCode::INVALID_ARG, detail))
    }
}

impl Driver {
    async fn create_volume(
        &self,
        pool: &StoragePoolRef,
        xml: &str,
        source: Option<Found>,
        flags: StorageVolCreateFlags,
    ) -> Result<StorageVolRef> {
        type Flags = StorageVolCreateFlags;
        check_schema(flags.contains(Flags::VALIDATE))?;
        let preallocation = match flags.contains(Flags::PREALLOC_METADATA) {
            true => Preallocation::Metadata,
            false => Preallocation::None,
        };
        let reflink = match flags.contains(Flags::REFLINK) {
            true => Reflink::Required,
            false => Reflink::Optional,
        };
        let options = CreateOptions { preallocation, reflink, source: None };
        let (shared, entry) = (Arc::clone(&self.shared), self.shared.entry(pool)?);
        let xml = xml.to_owned();
        self.detached(async move { shared.create_volume(&entry, &xml, options, source).await })
            .await
    }
}

/// Refuses flags that are not `known`, in the name of libvirt's `function`.
fn check(flags: u32, known: u32, function: &str) -> Result<()> {
    match flags & !known {
        0 => Ok(()),
        unknown => Err(Error::unsupported_flags(ErrorDomain::STORAGE, unknown, function)),
    }
}

/// Documents of storage have no schema here.
fn check_schema(is_wanted: bool) -> Result<()> {
    match is_wanted {
        false => Ok(()),
        true => {
            let detail = "validation of storage documents against a schema";
            Err(error::new(ErrorCode::CONFIG_UNSUPPORTED, detail))
        }
    }
}

/// Parses a definition that a client gives.
fn read(xml: &str) -> Result<StoragePoolDef> {
    StoragePoolDef::parse(xml).map_err(|failure| Error::classified(&failure))
}
