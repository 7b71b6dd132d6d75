//! Images of disks as block nodes.
//!
//! A layer of a chain has a storage node and, unless it is raw, a format node above it. Nodes are named by
//! the number that the preparation gave the layer.

use std::path::Path;

use oxivirt_conf::OnOff;
use oxivirt_conf::domain::device::disk::{Disk, DiskCache, DiskType};
use oxivirt_conf::domain::device::source::{MetadataCache, Source};

use oxivirt_conf::emulator::EmulatorCapabilities;

use super::error::{PlanError, Result};
use super::props::Props;

/// Names of a layer's nodes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeNames {
    /// The node that accesses the storage.
    pub storage: String,
    /// The node that understands the format; a raw image needs none.
    pub format: Option<String>,
}

impl NodeNames {
    /// The names of number `index`.
    pub(super) fn numbered(index: u32, format: &str, raw: RawLayer) -> Self {
        let has_format = format != "raw" || raw == RawLayer::Own;
        Self {
            storage: format!("libvirt-{index}-storage"),
            format: has_format.then(|| format!("libvirt-{index}-format")),
        }
    }

    /// The node that is used from above.
    #[must_use]
    pub fn effective(&self) -> &str {
        self.format.as_deref().unwrap_or(&self.storage)
    }
}

/// What the emulator needs for raw images.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum RawLayer {
    /// A node of the format, as others: jobs could not name the storage's node before QEMU 9.0.
    Own,
    /// None.
    Storage,
}

impl RawLayer {
    /// What an emulator needs.
    pub(super) fn of(emulator: &EmulatorCapabilities) -> Self {
        if emulator.has("blockjob.backing-mask-protocol") { Self::Storage } else { Self::Own }
    }
}

/// The properties of one layer's nodes (`blockdev-add`).
#[derive(Debug, Clone, PartialEq)]
pub struct Layer {
    /// Names of the nodes.
    pub names: NodeNames,
    /// The node that understands the format.
    pub format: Option<Props>,
    /// The node that accesses the storage.
    pub storage: Props,
}

/// Where an image is in its chain.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    Top,
    Below,
}

/// One image of a chain.
struct Image<'a> {
    place: Place,
    kind: DiskType,
    source: &'a Source,
    format: &'a str,
    cache: Option<&'a MetadataCache>,
    names: NodeNames,
}

/// What the host knows of the files behind a chain.
#[derive(Clone, Copy)]
pub(super) struct Media<'a> {
    /// Whether a path is a drive for optical media.
    pub(super) optical: &'a dyn Fn(&Path) -> bool,
}

/// Every layer of a disk from the top; none for a drive without medium.
///
/// # Errors
/// [`PlanError`]: storage that is not supported.
///
/// libvirt 11.3.0: `qemuBlockStorageSourceChainAttachPrepareBlockdev`, src/qemu/qemu_block.c
pub(super) fn layers(
    disk: &Disk,
    name: &dyn Fn(usize, Option<u32>, &str) -> NodeNames,
    media: Media<'_>,
) -> Result<Vec<Layer>> {
    let Some(source) = disk.source.as_ref().filter(|source| has_medium(disk, source)) else {
        return Ok(Vec::new());
    };
    let driver = disk.driver.as_ref();
    let format = driver.and_then(|driver| driver.format.as_deref()).unwrap_or("raw");
    let mut images = vec![Image {
        place: Place::Top,
        kind: disk.kind.unwrap_or(DiskType::File),
        source,
        format,
        cache: driver.and_then(|driver| driver.metadata_cache.as_ref()),
        names: name(0, source.index, format),
    }];
    let mut store = disk.backing_store.as_ref();
    let mut is_terminated = false;
    while let Some(image) = store {
        let Some(source) = &image.source else {
            is_terminated = true;
            break;
        };
        let format = image.format.as_ref().and_then(|format| format.kind.as_deref());
        let format = format.unwrap_or("raw");
        images.push(Image {
            place: Place::Below,
            kind: kind_of(image.kind.as_deref())?,
            source,
            format,
            cache: image.format.as_ref().and_then(|format| format.metadata_cache.as_ref()),
            names: name(images.len(), image.index, format),
        });
        store = image.backing_store.as_deref();
    }
    let mut layers = Vec::new();
    for (at, image) in images.iter().enumerate() {
        let below = images.get(at.saturating_add(1));
        let backing = match below {
            Some(below) => Backing::Node(below.names.effective()),
            None if is_terminated => Backing::End,
            None => Backing::Unknown,
        };
        layers.push(layer(disk, image, backing, media)?);
    }
    Ok(layers)
}

/// What is below a layer.
#[derive(Clone, Copy)]
enum Backing<'a> {
    /// The format says it.
    Unknown,
    /// Nothing.
    End,
    /// Another layer.
    Node(&'a str),
}

fn kind_of(word: Option<&str>) -> Result<DiskType> {
    Ok(match word {
        Some("block") => DiskType::Block,
        Some("dir") => DiskType::Dir,
        Some("network") => DiskType::Network,
        Some("volume") => DiskType::Volume,
        Some("nvme") => DiskType::Nvme,
        Some("file") | None => DiskType::File,
        Some(other) => {
            return Err(PlanError::Unsupported(format!("backing store type '{other}'")));
        }
    })
}

/// Whether there is something in the drive.
pub(super) fn has_medium(disk: &Disk, source: &Source) -> bool {
    match disk.kind {
        Some(DiskType::Network) => source.protocol.is_some(),
        Some(DiskType::Volume) => source.volume.is_some(),
        Some(DiskType::Nvme | DiskType::VhostUser | DiskType::VhostVdpa) => true,
        _ => source.file.is_some() || source.dev.is_some() || source.dir.is_some(),
    }
}

fn layer(disk: &Disk, image: &Image<'_>, backing: Backing<'_>, media: Media<'_>) -> Result<Layer> {
    let names = &image.names;
    let storage = storage_backend(disk, image, media)?;
    let storage = storage.with_all(common(disk, image, &names.storage));
    let format = names.format.as_deref().map(|node| {
        let props = common(disk, image, node).with_all(format_driver(disk, image));
        let props = props.with("file", names.storage.as_str());
        let has_backing = matches!(image.format, "qcow" | "qcow2" | "qed" | "vmdk" | "cow");
        match backing {
            Backing::Node(node) if has_backing => props.with("backing", node),
            Backing::End if has_backing => props.with("backing", serde_json::Value::Null),
            _ => props,
        }
    });
    Ok(Layer { names: names.clone(), format, storage })
}

/// What storage and format nodes have alike; the effective node is the one used from above.
///
/// libvirt 11.3.0: `qemuBlockStorageSourceAddBlockdevCommonProps`, src/qemu/qemu_block.c
fn common(disk: &Disk, image: &Image<'_>, node: &str) -> Props {
    let is_top = image.place == Place::Top;
    let is_effective = image.names.effective() == node;
    let driver = disk.driver.as_ref();
    let props = Props::new().with("node-name", node);
    let props = if is_effective {
        let discard = driver.and_then(|driver| driver.discard).map(|discard| discard.as_str());
        let zeroes = driver.and_then(|driver| driver.detect_zeroes).filter(|_| is_top);
        props
            .with("read-only", !is_top || disk.readonly)
            .with_opt("discard", discard)
            .with_opt("detect-zeroes", zeroes.map(|zeroes| zeroes.as_str()))
    } else {
        props.with("auto-read-only", true).with("discard", "unmap")
    };
    props.with_opt("cache", cache_of(disk))
}

/// How a disk is cached: whether the host's cache is passed by, and whether flushes are ignored.
fn cache_of(disk: &Disk) -> Option<Props> {
    let (direct, no_flush) = match disk.driver.as_ref()?.cache? {
        DiskCache::None | DiskCache::Directsync => (true, false),
        DiskCache::Writethrough | DiskCache::Writeback => (false, false),
        DiskCache::Unsafe => (false, true),
    };
    Some(Props::new().with("direct", direct).with("no-flush", no_flush))
}

/// libvirt 11.3.0: `qemuBlockStorageSourceGetFormatProps`, src/qemu/qemu_block.c
fn format_driver(disk: &Disk, image: &Image<'_>) -> Props {
    let driver = match image.format {
        "vpc" => "vpc",
        "iso" | "dir" | "fat" => "raw",
        "ploop" => "parallels",
        other => other,
    };
    let size = image.cache.and_then(|cache| cache.max_size).map(|size| size.bytes);
    let no_unref = disk.driver.as_ref().and_then(|driver| driver.discard_no_unref);
    let no_unref = no_unref.filter(|_| image.format == "qcow2");
    Props::new()
        .with("driver", driver)
        .with_nonzero("cache-size", size.filter(|_| image.format == "qcow2"))
        .with_opt("discard-no-unref", no_unref.map(|switch| switch == OnOff::On))
}

/// libvirt 11.3.0: `qemuBlockStorageSourceGetBackendProps`, src/qemu/qemu_block.c
fn storage_backend(disk: &Disk, image: &Image<'_>, media: Media<'_>) -> Result<Props> {
    let source = image.source;
    let io = disk.driver.as_ref().and_then(|driver| driver.io).map(|io| io.as_str());
    let kind = match image.kind {
        DiskType::Volume => kind_of(source.actual_type.as_deref())?,
        kind => kind,
    };
    match kind {
        DiskType::File => {
            let file = source.file.as_deref().unwrap_or_default();
            Ok(Props::driver("file").with("filename", file).with_opt("aio", io))
        }
        DiskType::Block => {
            let device = source.dev.as_deref().unwrap_or_default();
            let driver =
                if (media.optical)(Path::new(device)) { "host_cdrom" } else { "host_device" };
            Ok(Props::driver(driver).with("filename", device).with_opt("aio", io))
        }
        DiskType::Dir => {
            let is_floppy = disk.device.is_some_and(|device| device.as_str() == "floppy");
            Ok(Props::driver("vvfat")
                .with("dir", source.dir.as_deref().unwrap_or_default())
                .with("floppy", is_floppy)
                .with("rw", !disk.readonly))
        }
        kind => Err(PlanError::Unsupported(format!("disk type '{kind}' is not supported"))),
    }
}
