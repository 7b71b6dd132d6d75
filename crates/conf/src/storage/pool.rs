//! `<pool>`

use oxivirt_xml::{self as xml, Blanks, Presence, Writer};

use super::{Permissions, StorageError, VolumeType};
use crate::domain::ByteSize;
use crate::domain::device::hostdev::HostAddress;
use crate::element::{Content as _, elements};
use crate::error::Result;
use crate::keyword::{YesNo, words};
use crate::metadata::Metadata;
use crate::uuid::Uuid;

words! {
    /// Kinds of pools.
    pub enum PoolType {
        Dir = "dir",
        Fs = "fs",
        Netfs = "netfs",
        Logical = "logical",
        Disk = "disk",
        Iscsi = "iscsi",
        IscsiDirect = "iscsi-direct",
        Scsi = "scsi",
        Mpath = "mpath",
        Rbd = "rbd",
        Sheepdog = "sheepdog",
        Gluster = "gluster",
        Zfs = "zfs",
        Vstorage = "vstorage",
    }
}

elements! {
    /// `<pool>`
    pub struct StoragePoolDef {
        attr kind: Option<PoolType> = "type",
        text name: Option<String> = "name",
        text uuid: Option<Uuid> = "uuid",
        metadata metadata: Option<Metadata> = "metadata",
        child capacity: Option<ByteSize> = "capacity",
        child allocation: Option<ByteSize> = "allocation",
        child available: Option<ByteSize> = "available",
        child features: Option<PoolFeatures> = "features",
        paired source: Option<PoolSource> = "source",
        child target: Option<PoolTarget> = "target",
        child refresh: Option<PoolRefresh> = "refresh",
    }

    /// `<features>` of a pool
    pub struct PoolFeatures {
        child cow: Option<PoolSwitch> = "cow",
    }

    /// A switch of a pool.
    pub struct PoolSwitch {
        attr state: Option<YesNo> = "state",
    }

    /// `<source>` of a pool
    pub struct PoolSource {
        list hosts: Vec<PoolHost> = "host",
        list devices: Vec<PoolDevice> = "device",
        child dir: Option<PoolDir> = "dir",
        child adapter: Option<PoolAdapter> = "adapter",
        text name: Option<String> = "name",
        child initiator: Option<PoolInitiator> = "initiator",
        child auth: Option<PoolAuth> = "auth",
        child format: Option<PoolFormat> = "format",
        child protocol: Option<PoolProtocol> = "protocol",
        child vendor: Option<PoolName> = "vendor",
        child product: Option<PoolName> = "product",
    }

    /// A server.
    pub struct PoolHost {
        attr name: Option<String> = "name",
        attr port: Option<u32> = "port",
    }

    /// A device of the host.
    pub struct PoolDevice {
        attr path: Option<String> = "path",
        attr part_separator: Option<YesNo> = "part_separator",
    }

    /// A directory.
    pub struct PoolDir {
        attr path: Option<String> = "path",
    }

    /// An adapter.
    pub struct PoolAdapter {
        attr kind: Option<String> = "type",
        attr name: Option<String> = "name",
        attr parent: Option<String> = "parent",
        attr managed: Option<YesNo> = "managed",
        attr parent_wwnn: Option<String> = "parent_wwnn",
        attr parent_wwpn: Option<String> = "parent_wwpn",
        attr parent_fabric_wwn: Option<String> = "parent_fabric_wwn",
        attr wwnn: Option<String> = "wwnn",
        attr wwpn: Option<String> = "wwpn",
        child parent_address: Option<PoolAdapterParent> = "parentaddr",
    }

    /// Where an adapter sits.
    pub struct PoolAdapterParent {
        attr unique_id: Option<u32> = "unique_id",
        child address: Option<HostAddress> = "address",
    }

    /// `<initiator>` of a pool
    pub struct PoolInitiator {
        child iqn: Option<PoolName> = "iqn",
    }

    /// Something with a name.
    pub struct PoolName {
        attr name: Option<String> = "name",
    }

    /// `<auth>` of a pool
    pub struct PoolAuth {
        attr kind: Option<String> = "type",
        attr username: Option<String> = "username",
        child secret: Option<PoolSecret> = "secret",
    }

    /// Which secret.
    pub struct PoolSecret {
        attr uuid: Option<String> = "uuid",
        attr usage: Option<String> = "usage",
    }

    /// `<format>` of a pool
    pub struct PoolFormat {
        attr kind: Option<String> = "type",
    }

    /// Version of a network filesystem.
    pub struct PoolProtocol {
        attr version: Option<String> = "ver",
    }

    /// `<target>` of a pool
    pub struct PoolTarget {
        text path: Option<String> = "path",
        child permissions: Option<Permissions> = "permissions",
    }

    /// `<refresh>`
    pub struct PoolRefresh {
        child volume: Option<PoolRefreshVolume> = "volume",
    }

    /// How volumes are measured.
    pub struct PoolRefreshVolume {
        attr allocation: Option<String> = "allocation",
    }
}

impl StoragePoolDef {
    /// Reads a `<pool>` document and fills in what follows from its type.
    ///
    /// # Errors
    /// [`ParseError`](crate::ParseError): not well-formed, another kind of document, or what the type needs
    /// is missing.
    ///
    /// libvirt 11.3.0: `virStoragePoolDefParseXML`, src/conf/storage_conf.c
    pub fn parse(text: &str) -> Result<Self> {
        let root = xml::parse(text, Blanks::Drop).map_err(StorageError::NotWellFormed)?;
        crate::network::check_root(&root, "pool")?;
        let mut pool = Self::read(&root)?;
        pool.complete()?;
        Ok(pool)
    }

    /// Writes the document, ending in a line feed.
    ///
    /// libvirt 11.3.0: `virStoragePoolDefFormat`, src/conf/storage_conf.c
    #[must_use]
    pub fn format(&self) -> String {
        let mut out = Writer::new();
        self.write("pool", Presence::Always, &mut out);
        out.finish()
    }

    /// Reads the state file of a started pool.
    ///
    /// # Errors
    /// Those of [`StoragePoolDef::parse`].
    ///
    /// libvirt 11.3.0: `virStoragePoolObjLoadState`, src/conf/virstorageobj.c
    pub fn parse_state(text: &str) -> Result<Self> {
        let root = xml::parse(text, Blanks::Drop).map_err(StorageError::NotWellFormed)?;
        crate::network::check_root(&root, "poolstate")?;
        let pool = root.elements().find(|child| child.name == "pool");
        let mut pool = Self::read(pool.ok_or(StorageError::NoName("pool source"))?)?;
        pool.complete()?;
        Ok(pool)
    }

    /// Writes the state file of a started pool, ending in a line feed.
    ///
    /// libvirt 11.3.0: `virStoragePoolSaveState`, src/conf/storage_conf.c
    #[must_use]
    pub fn format_state(&self) -> String {
        let mut out = Writer::new();
        let outer = out.begin("poolstate").open();
        self.write("pool", Presence::Always, outer);
        outer.end("poolstate");
        out.finish()
    }

    /// What volumes of the pool are on the host.
    ///
    /// libvirt 11.3.0: `virStorageVolTypeFromPool` rules of src/conf/storage_conf.c
    #[must_use]
    pub const fn volume_type(&self) -> VolumeType {
        match self.kind {
            Some(PoolType::Logical | PoolType::Disk | PoolType::Scsi | PoolType::Mpath) => {
                VolumeType::Block
            }
            Some(PoolType::Iscsi | PoolType::Zfs) => VolumeType::Block,
            Some(
                PoolType::Rbd | PoolType::Sheepdog | PoolType::Gluster | PoolType::IscsiDirect,
            ) => VolumeType::Network,
            _ => VolumeType::File,
        }
    }

    /// The format of volumes whose documents name none.
    #[must_use]
    pub const fn volume_format(&self) -> Option<&'static str> {
        match self.kind {
            Some(
                PoolType::Dir
                | PoolType::Fs
                | PoolType::Netfs
                | PoolType::Gluster
                | PoolType::Vstorage,
            ) => Some("raw"),
            Some(PoolType::Disk) => Some("none"),
            _ => None,
        }
    }

    fn complete(&mut self) -> Result<(), StorageError> {
        let kind = self.kind.ok_or(StorageError::NoType)?;
        let source = self.source.get_or_insert_default();
        if self.name.is_none() {
            self.name.clone_from(&source.name);
        }
        let name = self.name.clone().ok_or(StorageError::NoName("pool source"))?;
        if name.contains('/') {
            return Err(StorageError::NameSlash { name });
        }
        complete_source(source, kind, &name)?;
        // Measured, never read from a document.
        for size in [&mut self.capacity, &mut self.allocation, &mut self.available] {
            *size = Some(ByteSize::default());
        }
        self.complete_target(kind)
    }

    fn complete_target(&mut self, kind: PoolType) -> Result<(), StorageError> {
        match kind {
            // These have no directory of the host.
            PoolType::Rbd | PoolType::Sheepdog | PoolType::Gluster | PoolType::IscsiDirect => {
                self.target = None;
            }
            PoolType::Logical => {
                let source = self.source.as_ref().and_then(|source| source.name.clone());
                let target = self.target.get_or_insert_default();
                let group = source.unwrap_or_default();
                target.path.get_or_insert_with(|| format!("/dev/{group}"));
            }
            PoolType::Zfs => {
                let source = self.source.as_ref().and_then(|source| source.name.clone());
                let target = self.target.get_or_insert_default();
                let dataset = source.unwrap_or_default();
                target.path.get_or_insert_with(|| format!("/dev/zvol/{dataset}"));
            }
            _ => {
                let target = self.target.as_mut().ok_or(StorageError::NoPath)?;
                let path = target.path.as_mut().ok_or(StorageError::NoPath)?;
                *path = clean_path(path);
            }
        }
        if let Some(permissions) = self.target.as_mut().and_then(|t| t.permissions.as_mut()) {
            complete_permissions(permissions);
        }
        Ok(())
    }
}

fn complete_source(
    source: &mut PoolSource,
    kind: PoolType,
    name: &str,
) -> Result<(), StorageError> {
    let needs_host = matches!(kind, PoolType::Netfs | PoolType::Iscsi | PoolType::IscsiDirect);
    if needs_host && source.hosts.is_empty() {
        return Err(StorageError::NoHost);
    }
    if matches!(kind, PoolType::Logical | PoolType::Zfs | PoolType::Rbd) {
        source.name.get_or_insert_with(|| name.to_owned());
    }
    let format = match kind {
        PoolType::Logical => Some("lvm2"),
        PoolType::Disk => Some("unknown"),
        PoolType::Fs | PoolType::Netfs => Some("auto"),
        _ => None,
    };
    match format {
        Some(format) => {
            let element = source.format.get_or_insert_default();
            element.kind.get_or_insert_with(|| format.to_owned());
        }
        None => source.format = None,
    }
    if kind == PoolType::Gluster {
        let dir = source.dir.get_or_insert_default();
        dir.path.get_or_insert_with(|| String::from("/"));
    }
    if let Some(adapter) = &mut source.adapter {
        let named = adapter.name.is_some() || adapter.parent_address.is_some();
        if adapter.kind.is_none() && named {
            adapter.kind = Some(String::from("scsi_host"));
        }
    }
    Ok(())
}

/// Modes are written with four digits; an owner of −1 is none.
pub(super) fn complete_permissions(permissions: &mut Permissions) {
    if let Some(mode) = &mut permissions.mode
        && let Ok(bits) = u32::from_str_radix(mode, 8)
    {
        *mode = format!("0{bits:03o}");
    }
    let given = |id: &i64| !matches!(*id, -1 | 4_294_967_295);
    permissions.owner = permissions.owner.filter(given);
    permissions.group = permissions.group.filter(given);
}

/// A path without double and trailing slashes.
///
/// libvirt 11.3.0: `virFileSanitizePath`, src/util/virfile.c
fn clean_path(path: &str) -> String {
    let mut clean = String::new();
    for (at, c) in path.chars().enumerate() {
        // Two slashes at the start mean something of their own.
        let doubles = c == '/' && clean.ends_with('/');
        let is_special = at == 1 && !path.starts_with("///");
        if !doubles || is_special {
            clean.push(c);
        }
    }
    if clean.len() > 1 && clean.ends_with('/') && clean != "//" {
        clean.pop();
    }
    clean
}
