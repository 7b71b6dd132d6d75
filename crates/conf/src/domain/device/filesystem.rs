//! `<filesystem>`

use super::super::address::DeviceInfo;
use super::super::os::IdMap;
use super::super::size::ByteSize;
use crate::element::elements;
use crate::keyword::{OnOff, words};

words! {
    /// Kinds of filesystems.
    pub enum FilesystemType {
        Mount = "mount",
        Block = "block",
        File = "file",
        Template = "template",
        Ram = "ram",
        Bind = "bind",
        Volume = "volume",
    }

    /// How permissions are handled.
    pub enum FilesystemAccess {
        Passthrough = "passthrough",
        Mapped = "mapped",
        Squash = "squash",
    }

    /// Models of filesystem devices.
    pub enum FilesystemModel {
        Virtio = "virtio",
        VirtioTransitional = "virtio-transitional",
        VirtioNonTransitional = "virtio-non-transitional",
    }

    /// What happens with several devices below one directory.
    pub enum Multidevs {
        Remap = "remap",
        Forbid = "forbid",
        Warn = "warn",
    }
}

elements! {
    /// `<filesystem>`
    pub struct Filesystem {
        attr kind: Option<FilesystemType> = "type",
        attr access: Option<FilesystemAccess> = "accessmode",
        attr model: Option<FilesystemModel> = "model",
        attr multidevs: Option<Multidevs> = "multidevs",
        attr fmode: Option<String> = "fmode",
        attr dmode: Option<String> = "dmode",
        child driver: Option<FilesystemDriver> = "driver",
        child binary: Option<FilesystemBinary> = "binary",
        child idmap: Option<IdMap> = "idmap",
        child source: Option<FilesystemSource> = "source",
        child target: Option<FilesystemTarget> = "target",
        flag readonly: bool = "readonly",
        child space_hard_limit: Option<ByteSize> = "space_hard_limit",
        child space_soft_limit: Option<ByteSize> = "space_soft_limit",
        flatten info: DeviceInfo = "(the same element)",
    }

    /// `<driver>` of a filesystem
    pub struct FilesystemDriver {
        attr kind: Option<String> = "type",
        attr format: Option<String> = "format",
        attr wrpolicy: Option<String> = "wrpolicy",
        attr queue: Option<u64> = "queue",
        attr iommu: Option<OnOff> = "iommu",
        attr ats: Option<OnOff> = "ats",
        attr packed: Option<OnOff> = "packed",
        attr page_per_vq: Option<OnOff> = "page_per_vq",
    }

    /// The program behind a virtiofs device.
    pub struct FilesystemBinary {
        attr path: Option<String> = "path",
        attr xattr: Option<OnOff> = "xattr",
        child cache: Option<FilesystemMode> = "cache",
        child lock: Option<FilesystemLock> = "lock",
        child sandbox: Option<FilesystemMode> = "sandbox",
        child thread_pool: Option<ThreadPool> = "thread_pool",
        child openfiles: Option<OpenFiles> = "openfiles",
    }

    /// A mode of such a program.
    pub struct FilesystemMode {
        attr mode: Option<String> = "mode",
    }

    /// Which locks it supports.
    pub struct FilesystemLock {
        attr posix: Option<OnOff> = "posix",
        attr flock: Option<OnOff> = "flock",
    }

    /// How many threads it has.
    pub struct ThreadPool {
        attr size: Option<i32> = "size",
    }

    /// How many files it may open.
    pub struct OpenFiles {
        attr max: Option<u64> = "max",
    }

    /// `<source>` of a filesystem
    pub struct FilesystemSource {
        attr dir: Option<String> = "dir",
        attr dev: Option<String> = "dev",
        attr file: Option<String> = "file",
        attr name: Option<String> = "name",
        attr pool: Option<String> = "pool",
        attr volume: Option<String> = "volume",
        attr socket: Option<String> = "socket",
        attr usage: Option<u64> = "usage",
        attr unit: Option<String> = "units",
    }

    /// Name under which the guest finds it.
    pub struct FilesystemTarget {
        attr dir: Option<String> = "dir",
    }
}
