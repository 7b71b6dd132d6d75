//! Figures of disks.
//!
//! libvirt 11.3.0: `qemuDomainGetStatsBlock`, `qemuDomainGetBlockInfo`, src/qemu/qemu_driver.c

use std::fs::File;
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _};
use std::path::Path;
use std::time::Duration;

use oxivirt::{
    DomainBlockInfo, DomainDiskError, Error, ErrorCode, ErrorDomain, Result, TypedParam,
};
use oxivirt_conf::domain::DomainDef;
use oxivirt_conf::domain::device::disk::{BackingStore, Disk};
use oxivirt_conf::domain::device::source::Source;
use oxivirt_image::Format;
use oxivirt_qmp::command::{
    BlockCounters, BlockInfo, BlockNode, BlockStats, QueryBlock, QueryBlockstats,
    QueryNamedBlockNodes,
};
use oxivirt_qmp::{Monitor, QmpError};

use super::params::Params;
use crate::error;
use crate::plan::stop::local;
use crate::resolve::word_format;

/// Numbers of what failed (`virDomainDiskErrorCode`).
const ERROR_UNSPECIFIED: i32 = 1;
const ERROR_NO_SPACE: i32 = 2;

/// What an emulator says about its disks.
#[derive(Debug, Default)]
pub(super) struct Answers {
    stats: Vec<BlockStats>,
    blocks: Vec<BlockInfo>,
    nodes: Vec<BlockNode>,
}

/// What an emulator says about one disk.
#[derive(Debug, Clone, Copy)]
struct Figures {
    counters: BlockCounters,
    /// End of what was written to the file.
    highest: Option<u64>,
    /// Size that the guest sees, and size on the host.
    sizes: Option<(u64, u64)>,
}

impl Answers {
    /// Asks an emulator; its commands are on the way together.
    pub(super) async fn ask(monitor: &Monitor, deadline: Duration) -> Result<Self> {
        let stats = QueryBlockstats { query_nodes: None };
        let nodes = QueryNamedBlockNodes { flat: Some(true) };
        let (stats, blocks, nodes) = futures::join!(
            monitor.run_within(&stats, deadline),
            monitor.run_within(&QueryBlock {}, deadline),
            monitor.run_within(&nodes, deadline),
        );
        let failed = |failure: QmpError| error::monitor(&failure);
        Ok(Self {
            stats: stats.map_err(failed)?,
            blocks: blocks.map_err(failed)?,
            nodes: nodes.map_err(failed)?,
        })
    }

    fn of(&self, disk: &Disk) -> Option<Figures> {
        let alias = alias(disk)?;
        let is_meant = |qdev: &Option<String>| {
            qdev.as_ref().is_some_and(|path| path.split('/').any(|part| part == alias))
        };
        let found = self.stats.iter().find(|stats| is_meant(&stats.qdev))?;
        let block = self.blocks.iter().find(|block| is_meant(&block.qdev));
        let image = block.and_then(|block| block.inserted.as_ref()?.image.as_ref());
        Some(Figures {
            counters: found.stats,
            highest: found.parent.as_ref().map(|parent| parent.stats.wr_highest_offset),
            sizes: image
                .map(|image| (image.virtual_size, image.actual_size.unwrap_or(image.virtual_size))),
        })
    }

    /// Sizes of an image below a disk, by the number of its node.
    fn sizes_of_node(&self, index: u32) -> Option<(u64, u64)> {
        let name = format!("libvirt-{index}-format");
        let node = self.nodes.iter().find(|node| node.node_name.as_deref() == Some(&*name))?;
        let image = node.image.as_ref()?;
        Some((image.virtual_size, image.actual_size.unwrap_or(image.virtual_size)))
    }
}

fn alias(disk: &Disk) -> Option<&str> {
    disk.info.alias.as_ref()?.name.as_deref()
}

fn target(disk: &Disk) -> &str {
    disk.target.as_ref().and_then(|target| target.dev.as_deref()).unwrap_or_default()
}

pub(super) fn disks(def: &DomainDef) -> &[Disk] {
    def.devices.as_ref().map_or(&[], |devices| &devices.disks)
}

/// The disk of this target, or of this source.
///
/// libvirt 11.3.0: `virDomainDiskByName`, src/conf/domain_conf.c
pub(crate) fn find<'d>(def: &'d DomainDef, name: &str) -> Option<&'d Disk> {
    let has_source = |disk: &&Disk| {
        let path = disk.source.as_ref().and_then(local);
        path.is_some_and(|path| path == Path::new(name))
    };
    let mut by_target = disks(def).iter().filter(|disk| target(disk) == name);
    by_target.next().or_else(|| disks(def).iter().find(has_source))
}

fn invalid(detail: String) -> Error {
    Error::new(ErrorCode::INVALID_ARG, ErrorDomain::QEMU, detail)
}

/// What was read and written, of one disk or, without a name, of all together.
pub(super) fn counters(def: &DomainDef, answers: &Answers, name: &str) -> Result<Vec<TypedParam>> {
    let counters = if name.is_empty() {
        let all = disks(def).iter().filter_map(|disk| answers.of(disk));
        all.fold(BlockCounters::default(), |sum, figures| add(sum, figures.counters))
    } else {
        let disk = find(def, name).ok_or_else(|| invalid(format!("invalid path: {name}")))?;
        let found = answers.of(disk).ok_or_else(|| {
            let device = alias(disk).unwrap_or(name);
            let detail = format!("cannot find statistics for device '{device}'");
            Error::new(ErrorCode::INTERNAL_ERROR, ErrorDomain::QEMU, detail)
        })?;
        found.counters
    };
    let mut params = Params::default();
    for (field, value) in [
        ("wr_bytes", counters.wr_bytes),
        ("wr_operations", counters.wr_operations),
        ("rd_bytes", counters.rd_bytes),
        ("rd_operations", counters.rd_operations),
        ("flush_operations", counters.flush_operations),
        ("wr_total_times", counters.wr_total_time_ns),
        ("rd_total_times", counters.rd_total_time_ns),
        ("flush_total_times", counters.flush_total_time_ns),
    ] {
        params.long(field, i64::try_from(value).unwrap_or(i64::MAX));
    }
    Ok(params.finish())
}

fn add(sum: BlockCounters, one: BlockCounters) -> BlockCounters {
    BlockCounters {
        rd_bytes: sum.rd_bytes.saturating_add(one.rd_bytes),
        wr_bytes: sum.wr_bytes.saturating_add(one.wr_bytes),
        rd_operations: sum.rd_operations.saturating_add(one.rd_operations),
        wr_operations: sum.wr_operations.saturating_add(one.wr_operations),
        flush_operations: sum.flush_operations.saturating_add(one.flush_operations),
        rd_total_time_ns: sum.rd_total_time_ns.saturating_add(one.rd_total_time_ns),
        wr_total_time_ns: sum.wr_total_time_ns.saturating_add(one.wr_total_time_ns),
        flush_total_time_ns: sum.flush_total_time_ns.saturating_add(one.flush_total_time_ns),
        wr_highest_offset: sum.wr_highest_offset.max(one.wr_highest_offset),
    }
}

/// The disk of a name, and its source.
pub(super) fn with_source<'d>(def: &'d DomainDef, name: &str) -> Result<(&'d Disk, &'d Source)> {
    let disk = find(def, name)
        .ok_or_else(|| invalid(format!("invalid path {name} not assigned to domain")))?;
    let source = disk.source.as_ref().ok_or_else(|| {
        invalid(format!("disk '{name}' does not currently have a source assigned"))
    })?;
    Ok((disk, source))
}

/// Sizes of a disk of a running guest.
pub(super) fn live_sizes(
    answers: &Answers,
    disk: &Disk,
    source: &Source,
) -> Option<DomainBlockInfo> {
    let figures = answers.of(disk)?;
    let (capacity, actual) = figures.sizes?;
    let highest = figures.highest.unwrap_or(0);
    if highest > 0 && highest != actual {
        return Some(DomainBlockInfo { capacity, allocation: highest, physical: actual });
    }
    let file = local(source).and_then(|path| file_sizes(&path).ok());
    let physical = file.map_or(actual, |file| file.physical);
    Some(DomainBlockInfo { capacity, allocation: actual, physical })
}

/// Sizes of a disk on the host.
pub(super) fn stored_sizes(disk: &Disk, source: &Source) -> Result<DomainBlockInfo> {
    let path = local(source).ok_or_else(|| {
        let detail = "sizes of a disk without a file are known while the guest runs only";
        Error::new(ErrorCode::OPERATION_INVALID, ErrorDomain::QEMU, detail)
    })?;
    let mut sizes = file_sizes(&path).map_err(|error| {
        let detail = format!("cannot stat file '{}'", path.display());
        Error::io(ErrorDomain::QEMU, &error, detail)
    })?;
    let format = disk.driver.as_ref().and_then(|driver| driver.format.as_deref());
    // Without a format the image is raw: what a guest has written is not looked at.
    if let Some(format) = format.and_then(word_format).filter(|format| *format != Format::Raw) {
        let file = File::open(&path).map_err(|error| {
            Error::io(ErrorDomain::QEMU, &error, format!("cannot open '{}'", path.display()))
        })?;
        let image = oxivirt_image::inspect(&file, format).map_err(|error| {
            let detail = oxivirt_sys::chain::text(&error);
            Error::new(ErrorCode::INTERNAL_ERROR, ErrorDomain::STORAGE, detail)
        })?;
        sizes.capacity = image.virtual_size.unwrap_or(sizes.capacity);
    }
    Ok(sizes)
}

/// Sizes of a file or of a block device, taken as a raw image.
fn file_sizes(path: &Path) -> std::io::Result<DomainBlockInfo> {
    let status = std::fs::metadata(path)?;
    if status.file_type().is_block_device() {
        use std::io::Seek as _;
        let end = File::open(path)?.seek(std::io::SeekFrom::End(0))?;
        return Ok(DomainBlockInfo { capacity: end, allocation: end, physical: end });
    }
    let (size, allocation) = (status.size(), status.blocks().saturating_mul(512));
    Ok(DomainBlockInfo { capacity: size, allocation, physical: size })
}

/// Disks that an emulator has stopped using.
pub(super) fn errors(def: &DomainDef, blocks: &[BlockInfo]) -> Vec<DomainDiskError> {
    let failed = disks(def).iter().filter_map(|disk| {
        let alias = alias(disk)?;
        let block = blocks.iter().find(|block| {
            block.qdev.as_ref().is_some_and(|path| path.split('/').any(|part| part == alias))
        })?;
        let error = match block.io_status.as_deref()? {
            "nospace" => ERROR_NO_SPACE,
            "failed" => ERROR_UNSPECIFIED,
            _ => return None,
        };
        Some(DomainDiskError { disk: target(disk).to_owned(), error })
    });
    failed.collect()
}

/// Asks for the state of disks.
pub(super) async fn ask_errors(monitor: &Monitor) -> Result<Vec<BlockInfo>> {
    monitor.run(&QueryBlock {}).await.map_err(|failure| error::monitor(&failure))
}

/// Whether images below disks have figures of their own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Backing {
    Shown,
    Hidden,
}

/// The group `block`. Without answers there are the sizes that the host knows.
pub(super) fn group(def: &DomainDef, answers: Option<&Answers>, backing: Backing, to: &mut Params) {
    let mut entries = Params::default();
    let mut count = 0;
    for disk in disks(def) {
        let prefix = format!("block.{count}");
        header(&prefix, disk, disk.source.as_ref(), &mut entries);
        match answers {
            Some(answers) => {
                if let Some(figures) = answers.of(disk) {
                    traffic(&prefix, &figures, &mut entries);
                }
            }
            None => {
                if let Some(source) = &disk.source
                    && let Ok(sizes) = stored_sizes(disk, source)
                {
                    entries.ulong(format!("{prefix}.allocation"), sizes.allocation);
                    entries.ulong(format!("{prefix}.capacity"), sizes.capacity);
                    entries.ulong(format!("{prefix}.physical"), sizes.physical);
                }
            }
        }
        count += 1;
        let mut below = disk.backing_store.as_ref().filter(|_| backing == Backing::Shown);
        while let Some(image) = below {
            count += usize::from(chain(count, disk, image, answers, &mut entries));
            below = image.backing_store.as_deref();
        }
    }
    to.count("block.count", count);
    to.append(entries);
}

fn header(prefix: &str, disk: &Disk, source: Option<&Source>, to: &mut Params) {
    to.text(format!("{prefix}.name"), target(disk));
    if let Some(path) = source.and_then(local) {
        to.text(format!("{prefix}.path"), path.to_string_lossy());
    }
    if let Some(index) = source.and_then(|source| source.index) {
        to.uint(format!("{prefix}.backingIndex"), index);
    }
}

fn traffic(prefix: &str, figures: &Figures, to: &mut Params) {
    let counters = &figures.counters;
    for (field, value) in [
        ("rd.reqs", counters.rd_operations),
        ("rd.bytes", counters.rd_bytes),
        ("rd.times", counters.rd_total_time_ns),
        ("wr.reqs", counters.wr_operations),
        ("wr.bytes", counters.wr_bytes),
        ("wr.times", counters.wr_total_time_ns),
        ("fl.reqs", counters.flush_operations),
        ("fl.times", counters.flush_total_time_ns),
    ] {
        to.ulong(format!("{prefix}.{field}"), value);
    }
    if let Some(highest) = figures.highest {
        to.ulong(format!("{prefix}.allocation"), highest);
    }
    if let Some((capacity, physical)) = figures.sizes {
        to.ulong(format!("{prefix}.capacity"), capacity);
        to.ulong(format!("{prefix}.physical"), physical);
    }
}

/// An image below a disk; returns whether it is one, the end of a chain is not.
fn chain(
    at: usize,
    disk: &Disk,
    image: &BackingStore,
    answers: Option<&Answers>,
    to: &mut Params,
) -> bool {
    let Some(source) = &image.source else { return false };
    let prefix = format!("block.{at}");
    let index = image.index.or(source.index);
    header(&prefix, disk, Some(&Source { index, ..source.clone() }), to);
    let sizes = answers.zip(index).and_then(|(answers, index)| answers.sizes_of_node(index));
    if let Some((capacity, physical)) = sizes {
        to.ulong(format!("{prefix}.capacity"), capacity);
        to.ulong(format!("{prefix}.physical"), physical);
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    fn def() -> DomainDef {
        let xml = "<domain type='qemu'><name>a</name><memory>1</memory><os><type>hvm</type></os>\
            <devices><disk type='file'><source file='/none/top' index='1'/>\
            <backingStore type='file' index='2'><format type='raw'/><source file='/none/base'/>\
            <backingStore/></backingStore><target dev='vda'/><alias name='virtio-disk0'/></disk>\
            <disk device='cdrom'><target dev='sda'/><alias name='sata0-0-0'/></disk></devices></domain>";
        DomainDef::parse(xml).unwrap()
    }

    fn answers() -> Answers {
        let stats = r#"[{"device":"","qdev":"/machine/peripheral/virtio-disk0/virtio-backend",
            "stats":{"rd_operations":1,"rd_bytes":512,"rd_total_time_ns":41081},
            "parent":{"stats":{"wr_highest_offset":100}}},
            {"device":"","qdev":"sata0-0-0","stats":{"rd_operations":2}}]"#;
        let blocks = r#"[{"device":"","qdev":"/machine/peripheral/virtio-disk0/virtio-backend",
            "io-status":"nospace","inserted":{"drv":"qcow2",
            "image":{"virtual-size":1000,"actual-size":300}}},
            {"device":"","qdev":"sata0-0-0","io-status":"ok"}]"#;
        let nodes = r#"[{"node-name":"libvirt-2-format","image":{"virtual-size":900}}]"#;
        Answers {
            stats: serde_json::from_str(stats).unwrap(),
            blocks: serde_json::from_str(blocks).unwrap(),
            nodes: serde_json::from_str(nodes).unwrap(),
        }
    }

    fn shown(params: &[TypedParam]) -> Vec<String> {
        let show = |param: &TypedParam| format!("{} {:?}", param.field, param.value);
        params.iter().map(show).collect()
    }

    #[test]
    fn disks_are_found_by_alias_in_what_the_emulator_says() {
        let (def, answers) = (def(), answers());
        let one = counters(&def, &answers, "vda").unwrap();
        assert!(shown(&one).contains(&"rd_bytes LLong(512)".to_owned()), "{one:?}");
        let all = counters(&def, &answers, "").unwrap();
        assert!(shown(&all).contains(&"rd_operations LLong(3)".to_owned()), "{all:?}");
        assert_eq!(counters(&def, &answers, "/none/top").unwrap(), one);
        let error = counters(&def, &answers, "vdz").unwrap_err();
        assert_eq!(error.to_string(), "invalid argument: invalid path: vdz");
        let failed = errors(&def, &answers.blocks);
        assert_eq!(failed, [DomainDiskError { disk: "vda".to_owned(), error: 2 }]);
    }

    #[test]
    fn a_chain_of_images_is_counted_if_it_is_wanted() {
        let (def, answers) = (def(), answers());
        let mut params = Params::default();
        group(&def, Some(&answers), Backing::Shown, &mut params);
        let text = shown(&params.finish());
        assert_eq!(text.first().unwrap(), "block.count UInt(3)");
        for line in [
            "block.0.backingIndex UInt(1)",
            "block.0.allocation ULLong(100)",
            "block.0.physical ULLong(300)",
            "block.1.path String(\"/none/base\")",
            "block.1.capacity ULLong(900)",
            "block.2.name String(\"sda\")",
            "block.2.rd.reqs ULLong(2)",
        ] {
            assert!(text.contains(&line.to_owned()), "{line}: {text:#?}");
        }
        let mut params = Params::default();
        group(&def, Some(&answers), Backing::Hidden, &mut params);
        assert_eq!(shown(&params.finish()).first().unwrap(), "block.count UInt(2)");
    }

    #[test]
    fn sizes_are_those_of_the_header_of_a_known_format() {
        let (def, answers) = (def(), answers());
        let (disk, source) = with_source(&def, "vda").unwrap();
        let sizes = live_sizes(&answers, disk, source).unwrap();
        assert_eq!((sizes.capacity, sizes.allocation, sizes.physical), (1000, 100, 300));
        let error = with_source(&def, "sda").unwrap_err();
        assert!(error.to_string().ends_with("does not currently have a source assigned"));
        assert_eq!(stored_sizes(disk, source).unwrap_err().code(), ErrorCode::SYSTEM_ERROR);
    }
}
