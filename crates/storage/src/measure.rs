//! What is in a pool's directory: sizes, permissions and image headers.
//!
//! libvirt 11.3.0: `virStorageBackendRefreshLocal`, `virStorageBackendRefreshVolTargetUpdate`,
//! src/storage/storage_util.c

use std::collections::BTreeMap;
use std::fs::{File, Metadata};
use std::io;
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _};
use std::path::Path;
use std::sync::Arc;

use oxivirt_conf::domain::ByteSize;
use oxivirt_conf::domain::device::source::Encryption;
use oxivirt_conf::storage::{
    Permissions, StorageVolumeDef, VolumeBackingStore, VolumeClusterSize, VolumeFeatures,
    VolumeFormat, VolumeTarget, VolumeTimestamps, VolumeType,
};
use oxivirt_image::{Format, Image};
use rustix::fs::{FileType, Stat};

use crate::dir::Dir;
use crate::host::{Context as _, HostError, open_pool};
use crate::registry::{Active, Usage, Volume};

/// How the format of a volume is found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Known<'a> {
    /// By its header.
    Probe,
    /// It was created with this one: raw data that look like a header stay raw.
    Format(&'a str),
}

/// Reads a pool's directory.
///
/// # Errors
/// If the directory cannot be read. A file that cannot be read is logged and left out.
pub(crate) fn scan(path: &Path) -> Result<Active, HostError> {
    let dir = open_pool(path)?;
    let what = || format!("cannot read dir '{}'", path.display());
    let mut volumes = BTreeMap::new();
    for name in dir.names().context(what)? {
        match volume(&dir, path, &name, Known::Probe) {
            Ok(Some(def)) => drop(volumes.insert(name, Volume::ready(def))),
            Ok(None) => {}
            Err(error) => tracing::warn!(
                pool = %path.display(),
                name,
                %error,
                "leaving a file out of the pool: it cannot be read"
            ),
        }
    }
    let permissions = permissions_of(&dir.own_stat().context(what)?);
    Ok(Active { usage: usage(&dir).context(what)?, permissions, volumes: Arc::new(volumes) })
}

/// Size and free space of a pool's file system.
pub(crate) fn usage(dir: &Dir) -> io::Result<Usage> {
    let (capacity, available) = dir.usage()?;
    Ok(Usage { capacity, available })
}

/// Reads one volume; `None` if what has the name is none.
///
/// # Errors
/// The system's reason.
pub(crate) fn volume(
    dir: &Dir,
    pool: &Path,
    name: &str,
    known: Known<'_>,
) -> io::Result<Option<StorageVolumeDef>> {
    let stat = match dir.stat(name) {
        // a link to nothing, or a file that has just gone
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        other => other?,
    };
    match FileType::from_raw_mode(stat.st_mode) {
        FileType::RegularFile | FileType::BlockDevice | FileType::Directory => {}
        _ => return Ok(None),
    }
    let file = dir.open_for_reading(name)?;
    let meta = file.metadata()?;
    let path = pool.join(name).to_string_lossy().into_owned();
    let mut def = StorageVolumeDef {
        name: Some(name.to_owned()),
        key: Some(path.clone()),
        ..StorageVolumeDef::default()
    };
    let mut target = VolumeTarget {
        path: Some(path),
        permissions: Some(permissions(&meta)),
        timestamps: Some(timestamps(&meta)),
        ..VolumeTarget::default()
    };
    let zero = Some(ByteSize::default());
    if meta.is_dir() {
        def.kind = Some(VolumeType::Dir);
        (def.capacity, def.allocation) = (zero, zero);
        target.format = format("dir");
    } else if meta.is_file() || meta.file_type().is_block_device() {
        let is_block = !meta.is_file();
        def.kind = Some(if is_block { VolumeType::Block } else { VolumeType::File });
        let size = oxivirt_image::Source::size(&file)?;
        let allocation = if is_block { size } else { meta.blocks().saturating_mul(512) };
        def.allocation = Some(ByteSize { bytes: allocation });
        def.physical = Some(ByteSize { bytes: size });
        let found = found_image(&file, known)?;
        let capacity = found.as_ref().and_then(|image| image.virtual_size).unwrap_or(size);
        def.capacity = Some(ByteSize { bytes: capacity });
        match (&found, known) {
            (Some(image), _) => describe(image, pool, &mut target, &mut def.backing_store),
            (None, Known::Format(word)) => target.format = format(word),
            (None, Known::Probe) => target.format = format("raw"),
        }
    } else {
        return Ok(None);
    }
    def.target = Some(target);
    Ok(Some(def))
}

/// The header of an image; `None` if it cannot be made sense of.
fn found_image(file: &File, known: Known<'_>) -> io::Result<Option<Image>> {
    let format = match known {
        Known::Probe => match oxivirt_image::probe(file) {
            Ok(format) => format,
            Err(oxivirt_image::ImageError::Read(error)) => return Err(error),
            Err(_) => Format::Raw,
        },
        Known::Format(word) => match known_format(word) {
            Some(format) => format,
            None => return Ok(None),
        },
    };
    match oxivirt_image::inspect(file, format) {
        Ok(image) => Ok(Some(image)),
        Err(oxivirt_image::ImageError::Read(error)) => Err(error),
        Err(error) => {
            tracing::debug!(%format, %error, "image header cannot be read");
            let mut image = oxivirt_image::inspect(file, Format::Raw).ok();
            if let Some(image) = &mut image {
                image.format = format;
            }
            Ok(image)
        }
    }
}

fn known_format(word: &str) -> Option<Format> {
    let formats = [
        Format::Raw,
        Format::Qcow,
        Format::Qcow2,
        Format::Qed,
        Format::Vmdk,
        Format::Vdi,
        Format::Vpc,
        Format::Iso,
        Format::Bochs,
        Format::Cloop,
    ];
    formats.into_iter().find(|format| format.as_str() == word)
}

/// What a header says, as libvirt's document says it.
fn describe(
    image: &Image,
    pool: &Path,
    target: &mut VolumeTarget,
    backing_store: &mut Option<VolumeBackingStore>,
) {
    target.format = match image.format {
        // libvirt has no words for these
        Format::Luks | Format::Vhdx | Format::Parallels => format("raw"),
        other => format(other.as_str()),
    };
    if image.encryption == Some(oxivirt_image::Encryption::Luks) {
        let format = Some(String::from("luks"));
        target.encryption = Some(Encryption { format, ..Encryption::default() });
    }
    if image.format == Format::Qcow2 {
        if let Some(size) = image.cluster_size {
            let unit = Some(String::from("B"));
            target.cluster_size =
                Some(VolumeClusterSize { unit, size: Some(size), ..Default::default() });
        }
        if image.version.is_some_and(|version| version >= 3) {
            target.compat = Some(String::from("1.1"));
            target.features = Some(VolumeFeatures {
                data_file: image.data_file.is_some(),
                extended_l2: image.extended_l2,
                lazy_refcounts: image.lazy_refcounts,
                ..VolumeFeatures::default()
            });
        }
    }
    if let Some(backing) = &image.backing {
        let is_path = !backing.text.starts_with("json:") && !backing.text.contains("://");
        let path = match is_path {
            true => pool.join(&backing.text).to_string_lossy().into_owned(),
            false => backing.text.clone(),
        };
        // what the header does not name is raw: the data below must not decide it
        let word = backing.format.as_deref().filter(|_| is_path).unwrap_or("raw");
        let mut store = VolumeBackingStore { format: format(word), ..Default::default() };
        if let Some(meta) = is_path.then(|| std::fs::metadata(&path).ok()).flatten() {
            store.permissions = Some(permissions(&meta));
            store.timestamps = Some(timestamps(&meta));
        }
        store.path = Some(path);
        *backing_store = Some(store);
    }
}

fn format(word: &str) -> Option<VolumeFormat> {
    Some(VolumeFormat { kind: Some(word.to_owned()), ..VolumeFormat::default() })
}

fn permissions(meta: &Metadata) -> Permissions {
    document_permissions(meta.mode(), meta.uid(), meta.gid())
}

fn permissions_of(stat: &Stat) -> Permissions {
    document_permissions(stat.st_mode, stat.st_uid, stat.st_gid)
}

fn document_permissions(mode: u32, owner: u32, group: u32) -> Permissions {
    Permissions {
        mode: Some(format!("0{:03o}", mode & 0o7777)),
        owner: Some(i64::from(owner)),
        group: Some(i64::from(group)),
        ..Permissions::default()
    }
}

fn timestamps(meta: &Metadata) -> VolumeTimestamps {
    let text = |seconds: i64, nanoseconds: i64| match nanoseconds {
        0 => seconds.to_string(),
        nanoseconds => format!("{seconds}.{nanoseconds:09}"),
    };
    VolumeTimestamps {
        accessed: Some(text(meta.atime(), meta.atime_nsec())),
        modified: Some(text(meta.mtime(), meta.mtime_nsec())),
        changed: Some(text(meta.ctime(), meta.ctime_nsec())),
        // libvirt on Linux does not ask for it
        born: Some(String::from("0")),
        ..VolumeTimestamps::default()
    }
}
