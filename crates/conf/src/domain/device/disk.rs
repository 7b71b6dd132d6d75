//! `<disk>`

use super::super::address::DeviceInfo;
use super::IoThreadMap;
use super::source::{Auth, Encryption, ImageFormat, MetadataCache, Source};
use crate::element::elements;
use crate::keyword::{OnOff, YesNo, words};

words! {
    /// Where a disk's data are.
    pub enum DiskType {
        File = "file",
        Block = "block",
        Dir = "dir",
        Network = "network",
        Volume = "volume",
        Nvme = "nvme",
        VhostUser = "vhostuser",
        VhostVdpa = "vhostvdpa",
    }

    /// What a disk is to the guest.
    pub enum DiskDevice {
        Disk = "disk",
        Cdrom = "cdrom",
        Floppy = "floppy",
        Lun = "lun",
    }

    /// Buses of disks.
    pub enum DiskBus {
        Ide = "ide",
        Fdc = "fdc",
        Scsi = "scsi",
        Virtio = "virtio",
        Xen = "xen",
        Usb = "usb",
        Uml = "uml",
        Sata = "sata",
        Sd = "sd",
        Nvme = "nvme",
        None = "none",
    }

    /// Models of virtio disks.
    pub enum DiskModel {
        Virtio = "virtio",
        VirtioTransitional = "virtio-transitional",
        VirtioNonTransitional = "virtio-non-transitional",
        UsbStorage = "usb-storage",
        UsbBot = "usb-bot",
    }

    /// Caching of the host.
    pub enum DiskCache {
        None = "none",
        Writethrough = "writethrough",
        Writeback = "writeback",
        Directsync = "directsync",
        Unsafe = "unsafe",
    }

    /// What happens on an error.
    pub enum DiskErrorPolicy {
        Stop = "stop",
        Report = "report",
        Ignore = "ignore",
        Enospace = "enospace",
    }

    /// How requests reach the kernel.
    pub enum DiskIo {
        Native = "native",
        Threads = "threads",
        IoUring = "io_uring",
    }

    /// What happens with discarded blocks.
    pub enum DiskDiscard {
        Unmap = "unmap",
        Ignore = "ignore",
    }

    /// What happens with written zeros.
    pub enum DetectZeroes {
        Off = "off",
        On = "on",
        Unmap = "unmap",
    }

    /// How a disk takes part in snapshots.
    pub enum SnapshotLocation {
        No = "no",
        Internal = "internal",
        External = "external",
        Manual = "manual",
    }

    /// Whether a tray is open.
    pub enum Tray {
        Closed = "closed",
        Open = "open",
    }

    /// How a BIOS translates geometry.
    pub enum GeometryTranslation {
        None = "none",
        Auto = "auto",
        Lba = "lba",
    }
}

elements! {
    /// `<disk>`
    pub struct Disk {
        attr kind: Option<DiskType> = "type",
        attr device: Option<DiskDevice> = "device",
        attr model: Option<DiskModel> = "model",
        attr raw_io: Option<YesNo> = "rawio",
        attr sgio: Option<String> = "sgio",
        attr snapshot: Option<SnapshotLocation> = "snapshot",
        child driver: Option<DiskDriver> = "driver",
        child auth: Option<Auth> = "auth",
        child source: Option<Source> = "source",
        present backing_store: Option<BackingStore> = "backingStore",
        child backend_domain: Option<BackendDomain> = "backenddomain",
        child geometry: Option<Geometry> = "geometry",
        child blockio: Option<BlockIo> = "blockio",
        child mirror: Option<Mirror> = "mirror",
        child target: Option<DiskTarget> = "target",
        child iotune: Option<IoTune> = "iotune",
        child throttle_filters: Option<ThrottleFilters> = "throttlefilters",
        flag readonly: bool = "readonly",
        flag shareable: bool = "shareable",
        flag transient: bool = "transient",
        text serial: Option<String> = "serial",
        text wwn: Option<String> = "wwn",
        text vendor: Option<String> = "vendor",
        text product: Option<String> = "product",
        child encryption: Option<Encryption> = "encryption",
        flatten info: DeviceInfo = "(the same element)",
    }

    /// `<driver>` of a disk
    pub struct DiskDriver {
        attr name: Option<String> = "name",
        attr format: Option<String> = "type",
        attr cache: Option<DiskCache> = "cache",
        attr error_policy: Option<DiskErrorPolicy> = "error_policy",
        attr rerror_policy: Option<DiskErrorPolicy> = "rerror_policy",
        attr io: Option<DiskIo> = "io",
        attr ioeventfd: Option<OnOff> = "ioeventfd",
        attr event_idx: Option<OnOff> = "event_idx",
        attr copy_on_read: Option<OnOff> = "copy_on_read",
        attr discard: Option<DiskDiscard> = "discard",
        attr iothread: Option<u32> = "iothread",
        attr detect_zeroes: Option<DetectZeroes> = "detect_zeroes",
        attr discard_no_unref: Option<OnOff> = "discard_no_unref",
        attr queues: Option<u32> = "queues",
        attr queue_size: Option<u32> = "queue_size",
        attr iommu: Option<OnOff> = "iommu",
        attr ats: Option<OnOff> = "ats",
        attr packed: Option<OnOff> = "packed",
        attr page_per_vq: Option<OnOff> = "page_per_vq",
        child iothreads: Option<IoThreadMap> = "iothreads",
        child metadata_cache: Option<MetadataCache> = "metadata_cache",
    }

    /// An image below another; without content the chain ends.
    pub struct BackingStore {
        attr kind: Option<String> = "type",
        attr index: Option<u32> = "index",
        child format: Option<ImageFormat> = "format",
        child source: Option<Source> = "source",
        present backing_store: Option<Box<BackingStore>> = "backingStore",
    }

    /// Guest that serves the disk.
    pub struct BackendDomain {
        attr name: Option<String> = "name",
    }

    /// `<geometry>`
    pub struct Geometry {
        attr cylinders: Option<u32> = "cyls",
        attr heads: Option<u32> = "heads",
        attr sectors: Option<u32> = "secs",
        attr translation: Option<GeometryTranslation> = "trans",
    }

    /// `<blockio>`
    pub struct BlockIo {
        attr logical_block_size: Option<u32> = "logical_block_size",
        attr physical_block_size: Option<u32> = "physical_block_size",
        attr discard_granularity: Option<u32> = "discard_granularity",
    }

    /// A copy in progress.
    pub struct Mirror {
        attr kind: Option<String> = "type",
        attr file: Option<String> = "file",
        attr format_name: Option<String> = "format",
        attr job: Option<String> = "job",
        attr ready: Option<String> = "ready",
        child format: Option<ImageFormat> = "format",
        child source: Option<Source> = "source",
        present backing_store: Option<BackingStore> = "backingStore",
    }

    /// `<target>` of a disk
    pub struct DiskTarget {
        attr dev: Option<String> = "dev",
        attr bus: Option<DiskBus> = "bus",
        attr tray: Option<Tray> = "tray",
        attr removable: Option<OnOff> = "removable",
        attr rotation_rate: Option<u32> = "rotation_rate",
        attr dpofua: Option<OnOff> = "dpofua",
    }

    /// `<iotune>` and `<throttlegroup>`
    pub struct IoTune {
        text total_bytes_sec: Option<u64> = "total_bytes_sec",
        text read_bytes_sec: Option<u64> = "read_bytes_sec",
        text write_bytes_sec: Option<u64> = "write_bytes_sec",
        text total_iops_sec: Option<u64> = "total_iops_sec",
        text read_iops_sec: Option<u64> = "read_iops_sec",
        text write_iops_sec: Option<u64> = "write_iops_sec",
        text total_bytes_sec_max: Option<u64> = "total_bytes_sec_max",
        text read_bytes_sec_max: Option<u64> = "read_bytes_sec_max",
        text write_bytes_sec_max: Option<u64> = "write_bytes_sec_max",
        text total_iops_sec_max: Option<u64> = "total_iops_sec_max",
        text read_iops_sec_max: Option<u64> = "read_iops_sec_max",
        text write_iops_sec_max: Option<u64> = "write_iops_sec_max",
        text size_iops_sec: Option<u64> = "size_iops_sec",
        text group_name: Option<String> = "group_name",
        text total_bytes_sec_max_length: Option<u64> = "total_bytes_sec_max_length",
        text read_bytes_sec_max_length: Option<u64> = "read_bytes_sec_max_length",
        text write_bytes_sec_max_length: Option<u64> = "write_bytes_sec_max_length",
        text total_iops_sec_max_length: Option<u64> = "total_iops_sec_max_length",
        text read_iops_sec_max_length: Option<u64> = "read_iops_sec_max_length",
        text write_iops_sec_max_length: Option<u64> = "write_iops_sec_max_length",
    }

    /// `<throttlefilters>`
    pub struct ThrottleFilters {
        list filters: Vec<ThrottleFilter> = "throttlefilter",
    }

    /// A group a disk is in.
    pub struct ThrottleFilter {
        attr group: Option<String> = "group",
    }

    /// `<throttlegroups>` of a guest
    pub struct ThrottleGroups {
        list groups: Vec<IoTune> = "throttlegroup",
    }
}
