//! What the launched process is, as data.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// Version of the plan's format that this code writes and understands.
pub(crate) const VERSION: u32 = 1;

/// Everything the program does, in the order of the fields.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Plan {
    /// Format of this plan.
    pub version: u32,
    /// File mode creation mask of the process.
    pub umask: u32,
    /// Resource limits (setrlimit(2)).
    pub limits: Vec<Limit>,
    /// Index of the descriptor that is the pid file. The process writes its pid without newline and holds
    /// the lock (fcntl(2), whole file) as long as it lives.
    pub pid_file: Option<usize>,
    /// `/dev` of the process, in a mount namespace of its own; `None` keeps the daemon's mounts.
    pub devices: Option<Devices>,
    /// User and groups; `None` keeps the daemon's.
    pub credentials: Option<Credentials>,
    /// Index of the descriptor that becomes standard output and standard error.
    pub log: Option<usize>,
    /// The program, an absolute path.
    pub program: PathBuf,
    /// Its arguments, without the program's name.
    pub arguments: Vec<String>,
    /// Its whole environment.
    pub environment: BTreeMap<String, String>,
}

impl Plan {
    /// A plan for `program` that changes nothing else about the process; umask 0002 as libvirt's.
    pub fn new(
        program: impl Into<PathBuf>,
        arguments: impl IntoIterator<Item = impl Into<String>>,
    ) -> Self {
        Self {
            version: VERSION,
            umask: 0o002,
            limits: Vec::new(),
            pid_file: None,
            devices: None,
            credentials: None,
            log: None,
            program: program.into(),
            arguments: arguments.into_iter().map(Into::into).collect(),
            environment: BTreeMap::new(),
        }
    }
}

/// A resource limit; soft and hard limit are equal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limit {
    /// What is limited.
    pub resource: Resource,
    /// The limit in the resource's unit, `None` for no limit.
    pub value: Option<u64>,
}

/// Resources of getrlimit(2) that a guest's definition or `qemu.conf` can limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Resource {
    /// Size of a core file in bytes.
    Core,
    /// Locked memory in bytes.
    LockedMemory,
    /// Open files.
    OpenFiles,
    /// Processes of the user.
    Processes,
}

/// User and groups of the process. Changing the user drops all capabilities.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Credentials {
    /// User id.
    pub uid: u32,
    /// Group id.
    pub gid: u32,
    /// Supplementary groups.
    pub groups: Vec<u32>,
}

/// A `/dev` that holds what one guest may use and nothing else.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Devices {
    /// An existing empty directory, on which the file system is built before it moves to `/dev`.
    pub staging: PathBuf,
    /// Nodes to make.
    pub nodes: Vec<DeviceNode>,
    /// Mounts below `/dev` that the process keeps, `/dev/pts` for example.
    pub keep: Vec<PathBuf>,
}

/// A device node (mknod(2)).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeviceNode {
    /// Path below `/dev`, without `..`.
    pub path: PathBuf,
    /// Whether it is a block device; else a character device.
    pub is_block: bool,
    /// Device number, as `st_rdev` of stat(2).
    pub number: u64,
    /// Permission bits.
    pub mode: u32,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
}
