//! Images of disks as block nodes.
//!
//! A layer of a chain has a storage node and, unless it is raw, a format node above it. Nodes are named by
//! the number that the preparation gave the layer.

use std::path::Path;

use oxivirt_conf::domain::device::disk::{DetectZeroes, Disk, DiskCache, DiskDiscard, DiskType};
use oxivirt_conf::domain::device::source::{MetadataCache, Source};
use oxivirt_conf::{OnOff, YesNo};

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
    /// Where the storage is: the part of it that does not depend on how it is used.
    pub source: Props,
    /// What an image above it has in its header.
    pub backing_string: String,
}

/// What a node does for its layer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Role {
    Storage,
    Format,
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

/// The nodes of a disk whose layers have these names, from the top.
///
/// # Errors
/// [`PlanError`]: storage that is not supported, a name that the emulator does not accept.
pub fn disk_nodes(disk: &Disk, names: &[NodeNames]) -> Result<Vec<Layer>> {
    let name = |at: usize, _: Option<u32>, _: &str| {
        let unknown = || NodeNames { storage: String::new(), format: None };
        names.get(at).cloned().unwrap_or_else(unknown)
    };
    layers(disk, &name, Media { optical: &|_| false })
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
    check_names(names)?;
    let (source, backing_string) = storage_source(disk, image, media)?;
    let storage = storage_backend(disk, image, source.clone());
    let storage = storage.with_all(common(disk, image, &names.storage, Role::Storage));
    let format = names.format.as_deref().map(|node| {
        let props = common(disk, image, node, Role::Format).with_all(format_driver(disk, image));
        let props = props.with("file", names.storage.as_str());
        let has_backing = matches!(image.format, "qcow" | "qcow2" | "qed" | "vmdk" | "cow");
        match backing {
            Backing::Node(node) if has_backing => props.with("backing", node),
            Backing::End if has_backing => props.with("backing", serde_json::Value::Null),
            _ => props,
        }
    });
    Ok(Layer { names: names.clone(), format, storage, source, backing_string })
}

/// What storage and format nodes have alike; the effective node is the one used from above.
///
/// libvirt 11.3.0: `qemuBlockStorageSourceAddBlockdevCommonProps`, src/qemu/qemu_block.c
fn common(disk: &Disk, image: &Image<'_>, node: &str, role: Role) -> Props {
    let is_top = image.place == Place::Top;
    let is_effective = role == Role::Format || image.names.format.is_none();
    let driver = disk.driver.as_ref();
    let props = Props::new().with("node-name", node);
    let props = if is_effective {
        let discard = driver.and_then(|driver| driver.discard);
        let zeroes = driver.and_then(|driver| driver.detect_zeroes).filter(|_| is_top);
        // Zeros can only be given back where discarded blocks are.
        let zeroes = zeroes.map(|zeroes| match zeroes {
            DetectZeroes::Unmap if discard != Some(DiskDiscard::Unmap) => DetectZeroes::On,
            zeroes => zeroes,
        });
        props
            .with("read-only", !is_top || disk.readonly)
            .with_opt("discard", discard.map(|discard| discard.as_str()))
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

/// libvirt 11.3.0: `qemuBlockNodeNameValidate`, src/qemu/qemu_block.c
fn check_names(names: &NodeNames) -> Result<()> {
    /// Bytes that the emulator keeps of a name.
    const MAX: usize = 31;
    let mut all = std::iter::once(&names.storage).chain(&names.format);
    match all.find(|name| name.len() > MAX) {
        Some(name) => Err(PlanError::Internal(format!("node-name '{name}' too long for qemu"))),
        None => Ok(()),
    }
}

fn kind_of_storage(image: &Image<'_>) -> Result<DiskType> {
    match image.kind {
        DiskType::Volume => kind_of(image.source.actual_type.as_deref()),
        kind => Ok(kind),
    }
}

/// Where an image is, and how one above it names it.
///
/// libvirt 11.3.0: `qemuBlockStorageSourceGetBackendProps`, `qemuBlockGetBackingStoreString`,
/// src/qemu/qemu_block.c
fn storage_source(disk: &Disk, image: &Image<'_>, media: Media<'_>) -> Result<(Props, String)> {
    let source = image.source;
    match kind_of_storage(image)? {
        DiskType::File => {
            let file = source.file.as_deref().unwrap_or_default();
            Ok((Props::driver("file").with("filename", file), file.to_owned()))
        }
        DiskType::Block => {
            let device = source.dev.as_deref().unwrap_or_default();
            let driver =
                if (media.optical)(Path::new(device)) { "host_cdrom" } else { "host_device" };
            Ok((Props::driver(driver).with("filename", device), device.to_owned()))
        }
        DiskType::Dir => {
            let is_floppy = disk.device.is_some_and(|device| device.as_str() == "floppy");
            let directory = source.dir.as_deref().unwrap_or_default();
            let props = Props::driver("vvfat").with("dir", directory).with("floppy", is_floppy);
            Ok((props, format!("fat:{directory}")))
        }
        DiskType::Network => network_source(source),
        kind => Err(PlanError::Unsupported(format!("disk type '{kind}' is not supported"))),
    }
}

/// An image on a server of network block devices.
///
/// libvirt 11.3.0: `qemuBlockStorageSourceGetNBDProps`, src/qemu/qemu_block.c
fn network_source(source: &Source) -> Result<(Props, String)> {
    /// Port of such a server (IANA).
    const PORT: &str = "10809";
    let protocol = source.protocol.as_deref().unwrap_or_default();
    if protocol != "nbd" {
        let text = format!("network disk protocol '{protocol}' is not supported");
        return Err(PlanError::Unsupported(text));
    }
    if source.tls == Some(YesNo::Yes) {
        return Err(PlanError::Unsupported(String::from("TLS of a disk is not supported")));
    }
    let Some(host) = source.hosts.first() else {
        let text = "protocol 'nbd' accepts only one host";
        return Err(PlanError::Internal(String::from(text)));
    };
    let name = source.name.as_deref();
    let path = name.map(|name| format!("/{name}")).unwrap_or_default();
    let (server, string) = match host.socket.as_deref() {
        Some(socket) => (
            Props::new().with("type", "unix").with("path", socket),
            format!("nbd+unix://{path}?socket={socket}"),
        ),
        None => {
            let address = host.name.as_deref().unwrap_or_default();
            let port = host.port.as_deref().unwrap_or(PORT);
            let shown =
                if address.contains(':') { format!("[{address}]") } else { address.to_owned() };
            (
                Props::new().with("type", "inet").with("host", address).with("port", port),
                format!("nbd://{shown}:{port}{path}"),
            )
        }
    };
    let props = Props::driver("nbd").with("server", server).with_opt("export", name);
    Ok((props, string))
}

/// The storage with how it is used.
fn storage_backend(disk: &Disk, image: &Image<'_>, source: Props) -> Props {
    let io = disk.driver.as_ref().and_then(|driver| driver.io).map(|io| io.as_str());
    let is_directory = matches!(kind_of_storage(image), Ok(DiskType::Dir));
    let reconnect = image.source.reconnect.as_ref().and_then(|reconnect| reconnect.delay);
    let is_file = matches!(kind_of_storage(image), Ok(DiskType::File | DiskType::Block));
    let props = source.with_nonzero("reconnect-delay", reconnect);
    let props = props.with_opt("rw", is_directory.then_some(!disk.readonly));
    props.with_opt("aio", io.filter(|_| is_file))
}
