//! Steps of a start and what reverts them.

use std::fmt;
use std::path::PathBuf;

use oxivirt::NetworkRef;
use oxivirt_engine::OnFailure;
use oxivirt_qmp::command::Secret;
use oxivirt_types::link_name::LinkName;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::tap::{QueueCommand, TapPort};
use crate::label::Owner;

/// One change to the host, so complete that carrying it out needs no decision.
///
/// Descriptors that the guest's process inherits are numbered by their place in its launch plan (`slot`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Step {
    /// A place on a network.
    CreatePort { network: NetworkRef, port: Uuid, xml: String },
    /// A directory of the guest's own.
    CreateDirectory { path: PathBuf, mode: u32, owner: Option<Owner> },
    /// The key that secrets on the command line are encrypted with, made up when it is written.
    WriteMasterKey { path: PathBuf, owner: Option<Owner> },
    /// Variables of firmware, from their template; those that are there stay.
    CopyVariables { template: PathBuf, path: PathBuf },
    /// A socket that the process listens on.
    Listen { slot: usize, path: PathBuf, owner: Option<Owner> },
    /// A file that output goes to.
    OpenOutput { slot: usize, path: PathBuf, truncate: bool },
    /// The pid file, which the process locks.
    OpenPidFile { slot: usize, path: PathBuf },
    /// The log, with what is written into it before the process writes.
    OpenLog { slot: usize, path: PathBuf, header: String },
    /// A tap device with a descriptor for each queue.
    OpenTap { slots: Vec<usize>, tap: TapDevice },
    /// The kernel's packet handling.
    OpenVhost { slot: usize, path: PathBuf },
    /// A file is given to the guest's user.
    AssignOwner { path: PathBuf, guest: Uuid, owner: Owner },
    /// The guest's control group.
    CreateCgroup { path: String },
    /// The process, which waits before it becomes the emulator.
    Launch { plan: Box<oxivirt_launch::Plan>, pid_file: PathBuf },
    /// The process moves into the control group.
    JoinCgroup { path: String },
    /// The process becomes the emulator.
    Execute,
    /// The monitor is connected.
    Connect { socket: PathBuf },
    /// The driver reads from the monitor what only the emulator knows, and sets what the command line cannot.
    Configure(Settings),
    /// Threads of virtual processors move into control groups of their own.
    PlaceThreads { path: String },
    /// A tap device becomes a port of its bridge and is raised.
    AttachTap { link: LinkName, bridge: LinkName, port: TapPort },
    /// The virtual processors run.
    Resume,
}

/// What is set once the emulator answers.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Settings {
    /// Memory that the guest has, in bytes.
    pub(crate) balloon_bytes: Option<u64>,
    /// Interfaces whose cable is not plugged in.
    pub(crate) links_down: Vec<String>,
    /// Passwords of displays.
    pub(crate) passwords: Vec<DisplayPassword>,
    /// The balloon, and how often the guest reports its memory, in seconds.
    pub(crate) reports: Option<(String, u32)>,
}

/// Password of a display.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct DisplayPassword {
    /// `vnc`, `spice`.
    pub(crate) protocol: String,
    /// The password.
    pub(crate) password: Secret,
    /// What becomes of clients that are connected.
    pub(crate) connected: Option<String>,
    /// When it ends: seconds since 1970, `never` or `now`.
    pub(crate) expires: String,
}

/// A tap device.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct TapDevice {
    /// Its name.
    pub(crate) name: LinkName,
    /// Its address on the host.
    pub(crate) address: [u8; 6],
    /// Largest packet in bytes.
    pub(crate) mtu: u32,
    /// Whether packets carry offloads of a virtio card.
    pub(crate) has_vnet_header: bool,
    /// Its queues.
    pub(crate) queues: Vec<QueueCommand>,
}

/// What reverts a step. The serialised form is part of the journal's format.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Undo {
    /// The process that has the pid file locked ends.
    EndProcess { pid_file: PathBuf },
    /// The file is removed.
    RemoveFile { path: PathBuf },
    /// The directory is removed with what is in it.
    RemoveTree { path: PathBuf },
    /// The control group is removed.
    RemoveCgroup { path: String },
    /// The file gets its owner back unless another guest uses it.
    RestoreOwner { path: PathBuf, guest: Uuid, uid: u32, gid: u32 },
    /// The place on the network is given back.
    DeletePort { network: String, network_uuid: Uuid, port: Uuid },
}

/// What steps create and rely on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Resource {
    /// A directory.
    Directory(PathBuf),
    /// The process that waits.
    Process,
    /// The emulator.
    Emulator,
    /// The monitor.
    Monitor,
    /// A control group.
    Cgroup(String),
    /// A link.
    Link(LinkName),
}

impl fmt::Display for Resource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Directory(path) => write!(f, "directory '{}'", path.display()),
            Self::Process => f.write_str("the process"),
            Self::Emulator => f.write_str("the emulator"),
            Self::Monitor => f.write_str("the monitor"),
            Self::Cgroup(path) => write!(f, "control group '{path}'"),
            Self::Link(name) => write!(f, "link {name}"),
        }
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::CreatePort { network, port, .. } => {
                write!(f, "create port {port} of network {network}")
            }
            Self::CreateDirectory { path, .. } => {
                write!(f, "create directory '{}'", path.display())
            }
            Self::CopyVariables { path, .. } => {
                write!(f, "copy firmware variables to '{}'", path.display())
            }
            Self::WriteMasterKey { path, .. } => write!(f, "write key '{}'", path.display()),
            Self::Listen { path, .. } => write!(f, "listen on '{}'", path.display()),
            Self::OpenOutput { path, .. }
            | Self::OpenPidFile { path, .. }
            | Self::OpenLog { path, .. }
            | Self::OpenVhost { path, .. } => write!(f, "open '{}'", path.display()),
            Self::OpenTap { tap, .. } => write!(f, "create tap {}", tap.name),
            Self::AssignOwner { path, owner, .. } => {
                write!(f, "give '{}' to {owner}", path.display())
            }
            Self::CreateCgroup { path } => write!(f, "create control group '{path}'"),
            Self::Launch { plan, .. } => {
                write!(f, "start a process for {}", plan.program.display())
            }
            Self::JoinCgroup { path } => write!(f, "move the process into '{path}'"),
            Self::Execute => f.write_str("execute the emulator"),
            Self::Connect { socket } => write!(f, "connect to '{}'", socket.display()),
            Self::Configure(_) => f.write_str("configure the emulator"),
            Self::PlaceThreads { path } => write!(f, "move threads into groups below '{path}'"),
            Self::AttachTap { link, bridge, .. } => write!(f, "attach {link} to {bridge}"),
            Self::Resume => f.write_str("run the virtual processors"),
        }
    }
}

impl fmt::Display for Undo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::EndProcess { pid_file } => {
                write!(f, "end the process of '{}'", pid_file.display())
            }
            Self::RemoveFile { path } => write!(f, "remove '{}'", path.display()),
            Self::RemoveTree { path } => write!(f, "remove directory '{}'", path.display()),
            Self::RemoveCgroup { path } => write!(f, "remove control group '{path}'"),
            Self::RestoreOwner { path, .. } => {
                write!(f, "give '{}' back to its owner", path.display())
            }
            Self::DeletePort { network, port, .. } => {
                write!(f, "delete port {port} of network {network}")
            }
        }
    }
}

impl oxivirt_engine::Undo for Undo {
    /// A process that goes on uses what else would be undone.
    fn is_required(&self) -> bool {
        matches!(self, Self::EndProcess { .. })
    }
}

impl oxivirt_engine::Step for Step {
    type Undo = Undo;
    type Resource = Resource;

    fn undo(&self) -> Vec<Undo> {
        match self {
            Self::CreatePort { network, port, .. } => vec![Undo::DeletePort {
                network: network.name.clone(),
                network_uuid: network.uuid,
                port: *port,
            }],
            Self::CreateDirectory { path, .. } => vec![Undo::RemoveTree { path: path.clone() }],
            Self::OpenPidFile { path, .. } => vec![Undo::RemoveFile { path: path.clone() }],
            Self::AssignOwner { path, guest, owner } => vec![Undo::RestoreOwner {
                path: path.clone(),
                guest: *guest,
                uid: owner.uid,
                gid: owner.gid,
            }],
            Self::CreateCgroup { path } => vec![Undo::RemoveCgroup { path: path.clone() }],
            Self::Launch { pid_file, .. } => {
                vec![Undo::EndProcess { pid_file: pid_file.clone() }]
            }
            // In a directory of the guest's, or gone with the last descriptor.
            Self::WriteMasterKey { .. }
            | Self::Listen { .. }
            | Self::OpenTap { .. }
            | Self::OpenVhost { .. }
            | Self::AttachTap { .. }
            // A log and what a guest writes stay.
            | Self::CopyVariables { .. }
            | Self::OpenLog { .. }
            | Self::OpenOutput { .. }
            // What is done to the process ends with it.
            | Self::JoinCgroup { .. }
            | Self::Execute
            | Self::Connect { .. }
            | Self::Configure(_)
            | Self::PlaceThreads { .. }
            | Self::Resume => Vec::new(),
        }
    }

    fn on_failure(&self) -> OnFailure {
        match self {
            // What a limit would have been is not worth a guest.
            Self::PlaceThreads { .. } => OnFailure::Continue,
            Self::CreateCgroup { .. } | Self::CreateDirectory { .. } | Self::Launch { .. } => {
                OnFailure::UndoStep
            }
            _ => OnFailure::Stop,
        }
    }

    fn creates(&self) -> Option<Resource> {
        match self {
            Self::CreateDirectory { path, .. } => Some(Resource::Directory(path.clone())),
            Self::OpenTap { tap, .. } => Some(Resource::Link(tap.name.clone())),
            Self::CreateCgroup { path } => Some(Resource::Cgroup(path.clone())),
            Self::Launch { .. } => Some(Resource::Process),
            Self::Execute => Some(Resource::Emulator),
            Self::Connect { .. } => Some(Resource::Monitor),
            _ => None,
        }
    }

    fn requires(&self) -> Option<Resource> {
        match self {
            Self::WriteMasterKey { path, .. } => {
                path.parent().map(|path| Resource::Directory(path.to_owned()))
            }
            Self::JoinCgroup { .. } | Self::Execute => Some(Resource::Process),
            Self::Connect { .. } => Some(Resource::Emulator),
            Self::Configure(_) | Self::Resume => Some(Resource::Monitor),
            Self::PlaceThreads { path } => Some(Resource::Cgroup(path.clone())),
            Self::AttachTap { link, .. } => Some(Resource::Link(link.clone())),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Journal files of an earlier version are read.
    #[test]
    fn the_journal_form_of_undos_is_fixed() {
        let (guest, path) = (Uuid::nil(), PathBuf::from("/x"));
        let check = |undo: Undo, text: &str| {
            assert_eq!(serde_json::to_string(&undo).unwrap(), text);
            assert_eq!(serde_json::from_str::<Undo>(text).unwrap(), undo);
        };
        check(Undo::EndProcess { pid_file: path.clone() }, r#"{"end-process":{"pid_file":"/x"}}"#);
        check(Undo::RemoveTree { path: path.clone() }, r#"{"remove-tree":{"path":"/x"}}"#);
        check(
            Undo::RestoreOwner { path, guest, uid: 1, gid: 2 },
            r#"{"restore-owner":{"path":"/x","guest":"00000000-0000-0000-0000-000000000000","uid":1,"gid":2}}"#,
        );
        let network = "n".to_owned();
        check(
            Undo::DeletePort { network, network_uuid: guest, port: guest },
            r#"{"delete-port":{"network":"n","network_uuid":"00000000-0000-0000-0000-000000000000","port":"00000000-0000-0000-0000-000000000000"}}"#,
        );
    }
}
