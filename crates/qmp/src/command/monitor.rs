//! The monitor itself: version, schema, descriptors.

use serde::Deserialize;
use serde_json::Value;

use super::{Empty, commands};
use crate::message::Version;

commands! {
    /// Ends the negotiation of capabilities and enables some. The client sends it.
    Capabilities = "qmp_capabilities" -> Empty {
        /// What to enable: `oob` or nothing.
        #[serde(skip_serializing_if = "Vec::is_empty")]
        enable: Vec<String>,
    }

    /// QEMU's version.
    QueryVersion = "query-version" -> Version {}

    /// Every command that QEMU knows.
    QueryCommands = "query-commands" -> Vec<Named> {}

    /// QEMU's own description of its commands and events: about 300 kB.
    QueryQmpSchema = "query-qmp-schema" -> Vec<Value> {}

    /// The guest's architecture.
    QueryTarget = "query-target" -> TargetInfo {}

    /// Whether KVM is in use.
    QueryKvm = "query-kvm" -> KvmInfo {}

    /// Options of the command line.
    QueryCommandLineOptions = "query-command-line-options" -> Vec<Value> {
        /// One option only.
        #[serde(skip_serializing_if = "Option::is_none")]
        option: Option<String>,
    }

    /// Ends QEMU. The connection ends after the reply, or before it.
    Quit = "quit" -> Empty {}

    /// A command of the monitor for people; returns what it prints.
    HumanMonitorCommand = "human-monitor-command" -> String {
        /// The command with its arguments.
        command_line: String,
        /// Index of the CPU that the command is about.
        #[serde(skip_serializing_if = "Option::is_none")]
        cpu_index: Option<u64>,
    }

    /// Names a descriptor that travels with the command. See
    /// [`Monitor::getfd`](crate::Monitor::getfd).
    Getfd = "getfd" -> Empty {
        /// Its name from now on.
        fdname: String,
    }

    /// Closes a descriptor that [`Getfd`] named.
    Closefd = "closefd" -> Empty {
        /// Its name.
        fdname: String,
    }

    /// Adds a descriptor that travels with the command to a set; `/dev/fdset/N` opens it. See
    /// [`Monitor::add_fd`](crate::Monitor::add_fd).
    AddFd = "add-fd" -> AddedFd {
        /// The set; a new one if absent.
        #[serde(skip_serializing_if = "Option::is_none")]
        fdset_id: Option<u64>,
        /// Text that [`QueryFdsets`] returns.
        #[serde(skip_serializing_if = "Option::is_none")]
        opaque: Option<String>,
    }

    /// Removes a descriptor, or all, from a set.
    RemoveFd = "remove-fd" -> Empty {
        /// The set.
        fdset_id: u64,
        /// QEMU's number of the descriptor; all of the set if absent.
        #[serde(skip_serializing_if = "Option::is_none")]
        fd: Option<i64>,
    }

    /// Every set of descriptors.
    QueryFdsets = "query-fdsets" -> Vec<Fdset> {}
}

/// Something with a name.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Named {
    /// The name.
    pub name: String,
}

/// Reply to [`QueryTarget`].
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct TargetInfo {
    /// Such as `x86_64`.
    pub arch: String,
}

/// Reply to [`QueryKvm`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
pub struct KvmInfo {
    /// It is in use.
    pub enabled: bool,
    /// QEMU was built with it.
    pub present: bool,
}

/// Reply to [`AddFd`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct AddedFd {
    /// The set.
    pub fdset_id: u64,
    /// QEMU's number of the descriptor.
    pub fd: i64,
}

/// A set of descriptors.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Fdset {
    /// Its number.
    pub fdset_id: u64,
    /// Its descriptors.
    pub fds: Vec<FdsetEntry>,
}

/// A descriptor of a set.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct FdsetEntry {
    /// QEMU's number of it.
    pub fd: i64,
    /// The text given with it.
    pub opaque: Option<String>,
}
