//! Storage pools and volumes in memory.
//!
//! Behaves as libvirt's test driver: a pool of any type has 100 GiB, and a volume takes its allocation from
//! them.
//!
//! libvirt 11.3.0: `testStoragePoolCreateXML` and its like, src/test/test_driver.c

use std::collections::BTreeMap;

use async_trait::async_trait;
use oxivirt::{
    Autostart, CallbackId, Error, ErrorCode, ErrorDomain, Lifetime, Result, StorageDriver,
    StorageEvent, StorageEventCallback, StoragePoolBuildFlags, StoragePoolCreateFlags,
    StoragePoolDefineFlags, StoragePoolDeleteFlags, StoragePoolEventId, StoragePoolIdentity,
    StoragePoolInfo, StoragePoolLifecycle, StoragePoolListFlags, StoragePoolRef, StoragePoolState,
    StorageVolCreateFlags, StorageVolDeleteFlags, StorageVolInfo, StorageVolInfoFlags,
    StorageVolRef, StorageVolType, StorageXmlFlags, Uuid,
};
use oxivirt_conf::domain::ByteSize;
use oxivirt_conf::storage::{Capacity, PoolType, StoragePoolDef, StorageVolumeDef, VolumeType};
use oxivirt_xml::{self as xml, Blanks};

use crate::check_flags;
use crate::driver::TestDriver;

/// The pool that `test:///default` begins with.
const DEFAULT: &str = "<pool type='dir'><name>default-pool</name>\
    <uuid>dfe224cb-28fb-8dd0-c4b2-64eb3f0f4566</uuid>\
    <target><path>/default-pool</path></target></pool>";

/// Bytes of a pool.
const CAPACITY: u64 = 100 << 30;

/// Formats that a volume can be made in.
const FORMATS: [&str; 16] = [
    "raw", "dir", "bochs", "cloop", "dmg", "iso", "vpc", "vdi", "fat", "vhd", "ploop", "cow",
    "qcow", "qcow2", "qed", "vmdk",
];

/// What [`StorageDriver::find_storage_pool_sources`] finds for volume groups.
const GROUPS: &str = "<sources>\n  <source>\n    <device path='/dev/sda20'/>\n    <name>testvg1</name>\n    \
    <format type='lvm2'/>\n  </source>\n  <source>\n    <device path='/dev/sda21'/>\n    \
    <name>testvg2</name>\n    <format type='lvm2'/>\n  </source>\n</sources>\n";

/// A pool.
#[derive(Debug, Clone)]
pub(crate) struct Pool {
    def: StoragePoolDef,
    is_active: bool,
    lifetime: Lifetime,
    autostart: Autostart,
    volumes: BTreeMap<String, StorageVolumeDef>,
}

/// Pools by UUID.
pub(crate) type Pools = BTreeMap<Uuid, Pool>;

/// The pools that `test:///default` begins with.
pub(crate) fn default_pools() -> Pools {
    // the document is a constant; a test checks that it parses
    let pool = parse(DEFAULT).map(|def| Pool::new(def, true, Lifetime::Persistent));
    pool.into_iter().map(|pool| (pool.reference().uuid, pool)).collect()
}

impl Pool {
    fn new(def: StoragePoolDef, is_active: bool, lifetime: Lifetime) -> Self {
        let volumes = BTreeMap::new();
        Self { def, is_active, lifetime, autostart: Autostart::Disabled, volumes }
    }

    fn name(&self) -> &str {
        self.def.name.as_deref().unwrap_or_default()
    }

    fn reference(&self) -> StoragePoolRef {
        let uuid = self.def.uuid.unwrap_or_default();
        StoragePoolRef { name: self.name().to_owned(), uuid }
    }

    /// Where its volumes are; libvirt's test driver prints the missing path of a pool without one so.
    fn path(&self) -> &str {
        let target = self.def.target.as_ref();
        target.and_then(|target| target.path.as_deref()).unwrap_or("(null)")
    }

    fn allocation(&self) -> u64 {
        self.volumes.values().map(allocation).sum()
    }

    fn check_active(&self) -> Result<()> {
        if self.is_active {
            return Ok(());
        }
        Err(invalid(format!("storage pool '{}' is not active", self.name())))
    }

    fn check_inactive(&self) -> Result<()> {
        if !self.is_active {
            return Ok(());
        }
        Err(invalid(format!("storage pool '{}' is active", self.name())))
    }

    /// With its sizes of now.
    fn document(&self) -> String {
        let allocation = self.allocation();
        let size = |bytes| Some(ByteSize { bytes });
        let (capacity, available) = (size(CAPACITY), size(CAPACITY.saturating_sub(allocation)));
        let sizes = StoragePoolDef { capacity, available, ..self.def.clone() };
        StoragePoolDef { allocation: size(allocation), ..sizes }.format()
    }

    fn matches(&self, flags: StoragePoolListFlags) -> bool {
        type Flags = StoragePoolListFlags;
        let is_persistent = self.lifetime == Lifetime::Persistent;
        let is_autostarted = self.autostart == Autostart::Enabled;
        let groups: [&[(Flags, bool)]; 4] = [
            &[(Flags::ACTIVE, self.is_active), (Flags::INACTIVE, !self.is_active)],
            &[(Flags::PERSISTENT, is_persistent), (Flags::TRANSIENT, !is_persistent)],
            &[(Flags::AUTOSTART, is_autostarted), (Flags::NO_AUTOSTART, !is_autostarted)],
            &TYPES.map(|(flag, kind)| (flag, self.def.kind == Some(kind))),
        ];
        groups.into_iter().all(|group| {
            let mut asked = group.iter().filter(|(flag, _)| flags.contains(*flag)).peekable();
            asked.peek().is_none() || asked.any(|(_, holds)| *holds)
        })
    }

    fn volume(&self, name: &str) -> Result<&StorageVolumeDef> {
        self.volumes.get(name).ok_or_else(|| no_volume("name", name))
    }

    fn volume_reference(&self, name: &str, volume: &StorageVolumeDef) -> StorageVolRef {
        let key = volume.key.clone().unwrap_or_default();
        StorageVolRef { pool: self.name().to_owned(), name: name.to_owned(), key }
    }

    /// A volume of the document, if there is room for it.
    fn create(&mut self, xml: &str) -> Result<StorageVolRef> {
        self.check_active()?;
        let (kind, format) = (self.def.volume_type(), self.def.volume_format());
        let volume = StorageVolumeDef::parse(xml, kind, format, Capacity::Required);
        let mut volume = volume.map_err(|error| Error::classified(&error))?;
        let name = volume.name.clone().unwrap_or_default();
        let format = volume.target.as_ref().and_then(|target| target.format.as_ref());
        if let Some(format) = format.map(oxivirt_conf::storage::VolumeFormat::name)
            && !FORMATS.contains(&&*format)
        {
            let detail = format!("unknown volume format type {format}");
            return Err(Error::new(ErrorCode::CONFIG_UNSUPPORTED, ErrorDomain::STORAGE, detail));
        }
        if self.volumes.contains_key(&name) {
            let detail = "storage vol already exists";
            return Err(Error::new(ErrorCode::OPERATION_FAILED, ErrorDomain::TEST, detail));
        }
        if self.allocation().saturating_add(allocation(&volume)) > CAPACITY {
            let detail = format!("Not enough free space in pool for volume '{name}'");
            return Err(Error::new(ErrorCode::INTERNAL_ERROR, ErrorDomain::TEST, detail));
        }
        let path = format!("{}/{name}", self.path());
        volume.kind = Some(VolumeType::File);
        volume.key = Some(path.clone());
        volume.target.get_or_insert_default().path = Some(path);
        let reference = self.volume_reference(&name, &volume);
        self.volumes.insert(name, volume);
        Ok(reference)
    }
}

/// Flags of listings with the types they ask for.
const TYPES: [(StoragePoolListFlags, PoolType); 14] = [
    (StoragePoolListFlags::DIR, PoolType::Dir),
    (StoragePoolListFlags::FS, PoolType::Fs),
    (StoragePoolListFlags::NETFS, PoolType::Netfs),
    (StoragePoolListFlags::LOGICAL, PoolType::Logical),
    (StoragePoolListFlags::DISK, PoolType::Disk),
    (StoragePoolListFlags::ISCSI, PoolType::Iscsi),
    (StoragePoolListFlags::SCSI, PoolType::Scsi),
    (StoragePoolListFlags::MPATH, PoolType::Mpath),
    (StoragePoolListFlags::RBD, PoolType::Rbd),
    (StoragePoolListFlags::SHEEPDOG, PoolType::Sheepdog),
    (StoragePoolListFlags::GLUSTER, PoolType::Gluster),
    (StoragePoolListFlags::ZFS, PoolType::Zfs),
    (StoragePoolListFlags::VSTORAGE, PoolType::Vstorage),
    (StoragePoolListFlags::ISCSI_DIRECT, PoolType::IscsiDirect),
];

fn allocation(volume: &StorageVolumeDef) -> u64 {
    volume.allocation.map_or(0, |size| size.bytes)
}

fn invalid(detail: String) -> Error {
    Error::new(ErrorCode::OPERATION_INVALID, ErrorDomain::TEST, detail)
}

fn no_pool(key: &str, value: impl std::fmt::Display) -> Error {
    let detail = format!("no storage pool with matching {key} '{value}'");
    Error::new(ErrorCode::NO_STORAGE_POOL, ErrorDomain::TEST, detail)
}

fn no_volume(key: &str, value: &str) -> Error {
    let detail = format!("no storage vol with matching {key} '{value}'");
    Error::new(ErrorCode::NO_STORAGE_VOL, ErrorDomain::TEST, detail)
}

/// Reads a definition and fills in what the driver does.
fn parse(xml: &str) -> Result<StoragePoolDef> {
    let mut def = StoragePoolDef::parse(xml).map_err(|error| Error::classified(&error))?;
    def.uuid.get_or_insert_with(Uuid::new_v4);
    Ok(def)
}

/// The pool that has the name and the UUID of a definition.
///
/// # Errors
/// [`ErrorCode::OPERATION_FAILED`] if another pool has one of them, or its place.
fn identify<'p>(pools: &'p mut Pools, def: &StoragePoolDef) -> Result<Option<&'p mut Pool>> {
    let clash = |detail| Err(Error::new(ErrorCode::OPERATION_FAILED, ErrorDomain::STORAGE, detail));
    let uuid = def.uuid.unwrap_or_default();
    let name = def.name.as_deref().unwrap_or_default();
    if let Some(other) = pools.values().find(|other| other.name() == name) {
        let found = other.reference().uuid;
        if found != uuid {
            return clash(format!("pool '{name}' already exists with uuid {found}"));
        }
    }
    if let Some(found) = pools.get(&uuid).filter(|found| found.name() != name) {
        let name = found.name();
        return clash(format!("pool '{name}' is already defined with uuid {uuid}"));
    }
    let path = def.target.as_ref().and_then(|target| target.path.as_ref());
    let is_same_place = |other: &&Pool| {
        let place = other.def.target.as_ref().and_then(|target| target.path.as_ref());
        let both = [other.def.kind, def.kind].map(|kind| kind == Some(PoolType::Dir));
        both == [true, true] && place == path && other.reference().uuid != uuid
    };
    if let Some(other) = pools.values().find(is_same_place) {
        return clash(format!("Storage source conflict with pool: '{}'", other.name()));
    }
    Ok(pools.get_mut(&uuid))
}

impl TestDriver {
    fn with_pool<T>(
        &self,
        pool: &StoragePoolRef,
        work: impl FnOnce(&mut Pool) -> Result<T>,
    ) -> Result<T> {
        match self.state().pools().values_mut().find(|found| found.name() == pool.name) {
            Some(found) => work(found),
            None => Err(no_pool("name", &pool.name)),
        }
    }

    /// Works on the started pool of a volume.
    fn with_volume<T>(
        &self,
        volume: &StorageVolRef,
        work: impl FnOnce(&mut Pool) -> Result<T>,
    ) -> Result<T> {
        let pool = StoragePoolRef { name: volume.pool.clone(), uuid: Uuid::nil() };
        self.with_pool(&pool, |pool| {
            pool.volume(&volume.name)?;
            pool.check_active()?;
            work(pool)
        })
    }

    /// The first volume of the started pools for which `holds`.
    fn find_volume(&self, holds: impl Fn(&StorageVolumeDef) -> bool) -> Option<StorageVolRef> {
        let pools = self.state().pools();
        pools.values().filter(|pool| pool.is_active).find_map(|pool| {
            let (name, volume) = pool.volumes.iter().find(|(_, volume)| holds(volume))?;
            Some(pool.volume_reference(name, volume))
        })
    }

    fn emit_pool(&self, pool: &StoragePoolRef, event: StoragePoolLifecycle) {
        self.state().storage_callbacks.emit(&StorageEvent::lifecycle(pool.clone(), event));
    }
}

/// The host that a document names as source.
fn source_host(spec: Option<&str>) -> Result<String> {
    let missing = || {
        let detail = "hostname must be specified for netfs sources";
        Error::new(ErrorCode::INVALID_ARG, ErrorDomain::TEST, detail)
    };
    let root = xml::parse(spec.ok_or_else(missing)?, Blanks::Drop)
        .map_err(|error| Error::classified(&oxivirt_conf::ParseError::from(error)))?;
    let host = root.child("host").and_then(|host| host.attribute("name"));
    host.map(str::to_owned).ok_or_else(missing)
}

#[async_trait]
impl StorageDriver for TestDriver {
    async fn list_all_storage_pools(
        &self,
        flags: StoragePoolListFlags,
    ) -> Result<Vec<StoragePoolRef>> {
        let known = StoragePoolListFlags::all().bits();
        check_flags(flags.bits(), known, "testConnectListAllStoragePools")?;
        let pools = self.state().pools();
        let matching = pools.values().filter(|pool| pool.matches(flags));
        Ok(matching.map(Pool::reference).collect())
    }

    async fn find_storage_pool_sources(
        &self,
        kind: &str,
        spec: Option<&str>,
        flags: u32,
    ) -> Result<String> {
        check_flags(flags, 0, "testConnectFindStoragePoolSources")?;
        match kind {
            "logical" => Ok(GROUPS.to_owned()),
            "netfs" => {
                let host = source_host(spec)?;
                Ok(format!(
                    "<sources>\n  <source>\n    <host name='{host}'/>\n    <dir path='/testshare'/>\n    \
                     <format type='nfs'/>\n  </source>\n</sources>\n"
                ))
            }
            // the first type has the number 0, which stands for an unknown one
            "dir" => {
                let detail = "unknown storage pool type dir";
                Err(Error::new(ErrorCode::INTERNAL_ERROR, ErrorDomain::TEST, detail))
            }
            _ => {
                let detail = format!("pool type '{kind}' does not support source discovery");
                Err(Error::new(ErrorCode::NO_SUPPORT, ErrorDomain::TEST, detail))
            }
        }
    }

    async fn storage_pool_lookup_by_name(&self, name: &str) -> Result<StoragePoolRef> {
        let pools = self.state().pools();
        let found = pools.values().find(|pool| pool.name() == name);
        found.map(Pool::reference).ok_or_else(|| no_pool("name", name))
    }

    async fn storage_pool_lookup_by_uuid(&self, uuid: Uuid) -> Result<StoragePoolRef> {
        let pools = self.state().pools();
        pools.get(&uuid).map(Pool::reference).ok_or_else(|| no_pool("uuid", uuid))
    }

    async fn storage_pool_lookup_by_volume(&self, vol: &StorageVolRef) -> Result<StoragePoolRef> {
        self.storage_pool_lookup_by_name(&vol.pool).await
    }

    fn storage_pool_identity(&self, xml: &str) -> Result<StoragePoolIdentity> {
        let def = StoragePoolDef::parse(xml).map_err(|error| Error::classified(&error))?;
        Ok(StoragePoolIdentity { name: def.name.unwrap_or_default(), uuid: def.uuid })
    }

    async fn storage_pool_define_xml(
        &self,
        xml: &str,
        flags: StoragePoolDefineFlags,
    ) -> Result<StoragePoolRef> {
        let known = StoragePoolDefineFlags::VALIDATE.bits();
        check_flags(flags.bits(), known, "testStoragePoolDefineXML")?;
        let def = parse(xml)?;
        let pool = {
            let mut pools = self.state().pools();
            match identify(&mut pools, &def)? {
                Some(pool) => {
                    pool.lifetime = Lifetime::Persistent;
                    // the definition of a started pool is kept aside and never becomes visible
                    if !pool.is_active {
                        pool.def = def;
                    }
                    pool.reference()
                }
                None => {
                    let pool = Pool::new(def, false, Lifetime::Persistent);
                    let reference = pool.reference();
                    pools.insert(reference.uuid, pool);
                    reference
                }
            }
        };
        self.emit_pool(&pool, StoragePoolLifecycle::Defined);
        Ok(pool)
    }

    async fn storage_pool_create_xml(
        &self,
        xml: &str,
        flags: StoragePoolCreateFlags,
    ) -> Result<StoragePoolRef> {
        check_flags(flags.bits(), 0, "testStoragePoolCreateXML")?;
        let def = parse(xml)?;
        let pool = {
            let mut pools = self.state().pools();
            if let Some(found) = identify(&mut pools, &def)?
                && found.is_active
            {
                return Err(invalid(format!("pool is already active as '{}'", found.name())));
            }
            // a stored pool of this name becomes one that goes with its end
            let pool = Pool::new(def, true, Lifetime::Transient);
            let reference = pool.reference();
            pools.insert(reference.uuid, pool);
            reference
        };
        self.emit_pool(&pool, StoragePoolLifecycle::Started);
        Ok(pool)
    }

    async fn storage_pool_create(
        &self,
        pool: &StoragePoolRef,
        flags: StoragePoolCreateFlags,
    ) -> Result<()> {
        check_flags(flags.bits(), 0, "testStoragePoolCreate")?;
        self.with_pool(pool, |found| {
            found.check_inactive()?;
            found.is_active = true;
            Ok(())
        })?;
        self.emit_pool(pool, StoragePoolLifecycle::Started);
        Ok(())
    }

    async fn storage_pool_build(
        &self,
        pool: &StoragePoolRef,
        flags: StoragePoolBuildFlags,
    ) -> Result<()> {
        check_flags(flags.bits(), 0, "testStoragePoolBuild")?;
        self.with_pool(pool, |found| found.check_inactive())?;
        self.emit_pool(pool, StoragePoolLifecycle::Created);
        Ok(())
    }

    async fn storage_pool_destroy(&self, pool: &StoragePoolRef) -> Result<()> {
        let (uuid, lifetime) = self.with_pool(pool, |found| {
            found.check_active()?;
            found.is_active = false;
            Ok((found.reference().uuid, found.lifetime))
        })?;
        if lifetime == Lifetime::Transient {
            self.state().pools().remove(&uuid);
        }
        self.emit_pool(pool, StoragePoolLifecycle::Stopped);
        Ok(())
    }

    async fn storage_pool_delete(
        &self,
        pool: &StoragePoolRef,
        flags: StoragePoolDeleteFlags,
    ) -> Result<()> {
        check_flags(flags.bits(), 0, "testStoragePoolDelete")?;
        self.with_pool(pool, |found| found.check_inactive())?;
        self.emit_pool(pool, StoragePoolLifecycle::Deleted);
        Ok(())
    }

    async fn storage_pool_undefine(&self, pool: &StoragePoolRef) -> Result<()> {
        let uuid = self.with_pool(pool, |found| {
            found.check_inactive()?;
            Ok(found.reference().uuid)
        })?;
        self.state().pools().remove(&uuid);
        self.emit_pool(pool, StoragePoolLifecycle::Undefined);
        Ok(())
    }

    async fn storage_pool_refresh(&self, pool: &StoragePoolRef, flags: u32) -> Result<()> {
        check_flags(flags, 0, "testStoragePoolRefresh")?;
        self.with_pool(pool, |found| found.check_active())?;
        self.state().storage_callbacks.emit(&StorageEvent::Refresh { pool: pool.clone() });
        Ok(())
    }

    async fn storage_pool_info(&self, pool: &StoragePoolRef) -> Result<StoragePoolInfo> {
        self.with_pool(pool, |found| {
            let state = if found.is_active {
                StoragePoolState::Running
            } else {
                StoragePoolState::Inactive
            };
            let allocation = found.allocation();
            let available = CAPACITY.saturating_sub(allocation);
            Ok(StoragePoolInfo { state, capacity: CAPACITY, allocation, available })
        })
    }

    async fn storage_pool_xml_desc(
        &self,
        pool: &StoragePoolRef,
        flags: StorageXmlFlags,
    ) -> Result<String> {
        check_flags(flags.bits(), 0, "testStoragePoolGetXMLDesc")?;
        self.with_pool(pool, |found| Ok(found.document()))
    }

    async fn storage_pool_autostart(&self, pool: &StoragePoolRef) -> Result<Autostart> {
        self.with_pool(pool, |found| Ok(found.autostart))
    }

    async fn storage_pool_set_autostart(
        &self,
        pool: &StoragePoolRef,
        autostart: Autostart,
    ) -> Result<()> {
        self.with_pool(pool, |found| {
            if found.lifetime == Lifetime::Transient {
                let detail = "pool has no config file";
                return Err(Error::new(ErrorCode::INVALID_ARG, ErrorDomain::TEST, detail));
            }
            found.autostart = autostart;
            Ok(())
        })
    }

    async fn storage_pool_is_active(&self, pool: &StoragePoolRef) -> Result<bool> {
        self.with_pool(pool, |found| Ok(found.is_active))
    }

    async fn storage_pool_is_persistent(&self, pool: &StoragePoolRef) -> Result<bool> {
        self.with_pool(pool, |found| Ok(found.lifetime == Lifetime::Persistent))
    }

    async fn storage_pool_list_all_volumes(
        &self,
        pool: &StoragePoolRef,
        flags: u32,
    ) -> Result<Vec<StorageVolRef>> {
        check_flags(flags, 0, "testStoragePoolListAllVolumes")?;
        self.with_pool(pool, |found| {
            if !found.is_active {
                return Err(invalid("storage pool is not active".to_owned()));
            }
            let volumes = found.volumes.iter();
            Ok(volumes.map(|(name, volume)| found.volume_reference(name, volume)).collect())
        })
    }

    async fn storage_vol_lookup_by_name(
        &self,
        pool: &StoragePoolRef,
        name: &str,
    ) -> Result<StorageVolRef> {
        self.with_pool(pool, |found| {
            found.check_active()?;
            Ok(found.volume_reference(name, found.volume(name)?))
        })
    }

    async fn storage_vol_lookup_by_key(&self, key: &str) -> Result<StorageVolRef> {
        let found = self.find_volume(|volume| volume.key.as_deref() == Some(key));
        found.ok_or_else(|| no_volume("key", key))
    }

    async fn storage_vol_lookup_by_path(&self, path: &str) -> Result<StorageVolRef> {
        let found = self.find_volume(|volume| volume_path(volume) == path);
        found.ok_or_else(|| no_volume("path", path))
    }

    async fn storage_vol_create_xml(
        &self,
        pool: &StoragePoolRef,
        xml: &str,
        flags: StorageVolCreateFlags,
    ) -> Result<StorageVolRef> {
        check_flags(flags.bits(), 0, "testStorageVolCreateXML")?;
        self.with_pool(pool, |found| found.create(xml))
    }

    async fn storage_vol_create_xml_from(
        &self,
        pool: &StoragePoolRef,
        xml: &str,
        source: &StorageVolRef,
        flags: StorageVolCreateFlags,
    ) -> Result<StorageVolRef> {
        check_flags(flags.bits(), 0, "testStorageVolCreateXMLFrom")?;
        self.with_pool(pool, |found| {
            found.check_active()?;
            found.volume(&source.name)?;
            found.create(xml)
        })
    }

    async fn storage_vol_delete(
        &self,
        vol: &StorageVolRef,
        flags: StorageVolDeleteFlags,
    ) -> Result<()> {
        check_flags(flags.bits(), 0, "testStorageVolDelete")?;
        self.with_volume(vol, |pool| {
            pool.volumes.remove(&vol.name);
            Ok(())
        })
    }

    async fn storage_vol_info(
        &self,
        vol: &StorageVolRef,
        flags: StorageVolInfoFlags,
    ) -> Result<StorageVolInfo> {
        if !flags.is_empty() {
            let api = "virStorageVolGetInfoFlags";
            return Err(Error::unsupported(ErrorDomain::STORAGE, api));
        }
        self.with_volume(vol, |pool| {
            let volume = pool.volume(&vol.name)?;
            let capacity = volume.capacity.map_or(0, |size| size.bytes);
            let allocation = allocation(volume);
            Ok(StorageVolInfo { kind: StorageVolType::File, capacity, allocation })
        })
    }

    async fn storage_vol_xml_desc(&self, vol: &StorageVolRef, flags: u32) -> Result<String> {
        check_flags(flags, 0, "testStorageVolGetXMLDesc")?;
        self.with_volume(vol, |pool| Ok(pool.volume(&vol.name)?.format()))
    }

    async fn storage_vol_path(&self, vol: &StorageVolRef) -> Result<String> {
        self.with_volume(vol, |pool| Ok(volume_path(pool.volume(&vol.name)?).to_owned()))
    }

    async fn storage_pool_event_register(
        &self,
        pool: Option<&StoragePoolRef>,
        id: StoragePoolEventId,
        callback: StorageEventCallback,
    ) -> Result<CallbackId> {
        let object = pool.map(|pool| pool.uuid);
        Ok(self.state().storage_callbacks.register(object, id, callback))
    }

    async fn storage_pool_event_deregister(&self, id: CallbackId) -> Result<()> {
        if self.state().storage_callbacks.deregister(id) {
            return Ok(());
        }
        let detail = format!("could not find event callback {} for deletion", id.0);
        Err(Error::new(ErrorCode::INVALID_ARG, ErrorDomain::NONE, detail))
    }
}

fn volume_path(volume: &StorageVolumeDef) -> &str {
    let target = volume.target.as_ref();
    target.and_then(|target| target.path.as_deref()).unwrap_or_default()
}

#[cfg(test)]
mod tests;
