//! `<volume>`

use std::borrow::Cow;

use oxivirt_xml::{self as xml, Blanks, Presence, Writer};

use super::pool::complete_permissions;
use super::{Permissions, StorageError};
use crate::domain::ByteSize;
use crate::domain::device::source::Encryption;
use crate::element::{Content as _, elements};
use crate::error::Result;
use crate::keyword::words;

words! {
    /// What a volume is on the host.
    pub enum VolumeType {
        File = "file",
        Block = "block",
        Dir = "dir",
        Network = "network",
        NetDir = "netdir",
        Ploop = "ploop",
    }
}

elements! {
    /// `<volume>`
    pub struct StorageVolumeDef {
        attr kind: Option<VolumeType> = "type",
        text name: Option<String> = "name",
        text key: Option<String> = "key",
        child capacity: Option<ByteSize> = "capacity",
        child allocation: Option<ByteSize> = "allocation",
        child physical: Option<ByteSize> = "physical",
        child target: Option<VolumeTarget> = "target",
        child backing_store: Option<VolumeBackingStore> = "backingStore",
    }

    /// `<target>` of a volume
    pub struct VolumeTarget {
        text path: Option<String> = "path",
        child format: Option<VolumeFormat> = "format",
        child permissions: Option<Permissions> = "permissions",
        child timestamps: Option<VolumeTimestamps> = "timestamps",
        child encryption: Option<Encryption> = "encryption",
        text compat: Option<String> = "compat",
        child cluster_size: Option<VolumeClusterSize> = "clusterSize",
        flag nocow: bool = "nocow",
        present features: Option<VolumeFeatures> = "features",
    }

    /// `<format>` of a volume
    pub struct VolumeFormat {
        attr kind: Option<String> = "type",
    }

    /// Times of a file, in seconds since 1970.
    pub struct VolumeTimestamps {
        text accessed: Option<String> = "atime",
        text modified: Option<String> = "mtime",
        text changed: Option<String> = "ctime",
        text born: Option<String> = "btime",
    }

    /// Size of a qcow2 image's clusters.
    pub struct VolumeClusterSize {
        attr unit: Option<String> = "unit",
        body size: Option<u64> = "clusterSize",
    }

    /// Features of a qcow2 image.
    pub struct VolumeFeatures {
        flag data_file: bool = "data_file",
        flag extended_l2: bool = "extended_l2",
        flag lazy_refcounts: bool = "lazy_refcounts",
    }

    /// The image below a volume.
    pub struct VolumeBackingStore {
        text path: Option<String> = "path",
        child format: Option<VolumeFormat> = "format",
        child permissions: Option<Permissions> = "permissions",
        child timestamps: Option<VolumeTimestamps> = "timestamps",
    }
}

impl StorageVolumeDef {
    /// Reads a `<volume>` document for a pool whose volumes are of type `kind` and of format `format` unless
    /// they say otherwise.
    ///
    /// # Errors
    /// [`ParseError`](crate::ParseError): not well-formed, another kind of document, no name, or no size
    /// where neither an image below nor `has_size` stands in for it.
    ///
    /// libvirt 11.3.0: `virStorageVolDefParseXML`, src/conf/storage_conf.c
    pub fn parse(
        text: &str,
        kind: VolumeType,
        format: Option<&str>,
        capacity: Capacity,
    ) -> Result<Self> {
        let root = xml::parse(text, Blanks::Drop).map_err(StorageError::NotWellFormed)?;
        crate::network::check_root(&root, "volume")?;
        let mut volume = Self::read(&root)?;
        if volume.name.is_none() {
            return Err(StorageError::NoName("volume").into());
        }
        volume.kind.get_or_insert(kind);
        volume.complete(format, capacity)?;
        Ok(volume)
    }

    fn complete(&mut self, format: Option<&str>, capacity: Capacity) -> Result<(), StorageError> {
        if self.capacity.is_none() {
            let has_backing =
                self.backing_store.as_ref().is_some_and(|backing| backing.path.is_some());
            if capacity == Capacity::Required && !has_backing {
                return Err(StorageError::NoCapacity);
            }
        }
        let size = self.capacity.unwrap_or_default();
        self.allocation.get_or_insert(size);
        // The source names where data are copied from, which is no part of the volume.
        self.extra.forget_child("source");
        let target = self.target.get_or_insert_default();
        if let Some(format) = format {
            let element = target.format.get_or_insert_default();
            element.kind.get_or_insert_with(|| format.to_owned());
        }
        if let Some(permissions) = &mut target.permissions {
            complete_permissions(permissions);
        }
        if target.compat.as_deref().is_some_and(|compat| !is_version(compat)) {
            return Err(StorageError::Compat);
        }
        if target.features.is_some() {
            target.compat.get_or_insert_with(|| String::from("1.1"));
        }
        if let Some(cluster) = &mut target.cluster_size {
            let unit = cluster.unit.take();
            let bytes = cluster.size.map(|size| scaled(size, unit.as_deref()));
            cluster.size = bytes;
            cluster.unit = Some(String::from("B"));
        }
        if let Some(permissions) =
            self.backing_store.as_mut().and_then(|backing| backing.permissions.as_mut())
        {
            complete_permissions(permissions);
        }
        Ok(())
    }

    /// Writes the document, ending in a line feed.
    ///
    /// libvirt 11.3.0: `virStorageVolDefFormat`, src/conf/storage_conf.c
    #[must_use]
    pub fn format(&self) -> String {
        let mut out = Writer::new();
        let capacity = Some(self.capacity.unwrap_or_default());
        Self { capacity, ..self.clone() }.write("volume", Presence::Always, &mut out);
        out.finish()
    }
}

/// Whether a volume has to say how large it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Capacity {
    /// It has to, unless it has an image below it.
    Required,
    /// It need not.
    Optional,
}

/// Whether a text is two numbers with a dot between.
fn is_version(text: &str) -> bool {
    let is_number = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    text.split_once('.').is_some_and(|(major, minor)| is_number(major) && is_number(minor))
}

fn scaled(size: u64, unit: Option<&str>) -> u64 {
    crate::domain::scale_bytes(size, unit).unwrap_or(size)
}

impl VolumeFormat {
    /// The name of the format; raw without one.
    #[must_use]
    pub fn name(&self) -> Cow<'_, str> {
        self.kind.as_deref().map_or(Cow::Borrowed("raw"), Cow::Borrowed)
    }
}
