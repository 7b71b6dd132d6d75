//! The host as the driver changes it: carries out steps, decides nothing.

mod bench;
mod launcher;

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use oxivirt::{NetworkDriver, NetworkRef, PortRef};
use oxivirt_cgroup::{CgroupError, Hierarchies};
use oxivirt_launch::WireError;
use oxivirt_netlink::tap::TapError;
use oxivirt_netlink::{Handle, NetlinkError, PortSettings, Stp};
use oxivirt_qmp::QmpError;
use oxivirt_sys::chain;
use oxivirt_sys::file::{self, FileError};
use oxivirt_types::link_name::LinkName;
use tokio::sync::Mutex;

use crate::label::{LabelError, LabeledFile, Owner};
use crate::plan::Undo;
use crate::plan::tap::{OnFailure, QueueCommand, TapPort};
use crate::process::{Force, Process};

pub(crate) use bench::{Bench, Found, set_passwords};

/// `EBUSY`
const BUSY: i32 = 16;
/// How often a control group is removed whose processes are about to be gone, and how long is waited before the
/// second time; twice as long before each further one. Version 1 does not announce an empty group.
const CGROUP_TRIES: u32 = 9;
const CGROUP_WAIT: std::time::Duration = std::time::Duration::from_millis(1);

/// Why the host refused a step.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub(crate) enum HostError {
    /// A file operation failed.
    #[error(transparent)]
    File(#[from] FileError),
    /// A file or socket could not be made or opened.
    #[error("cannot {action} '{path}'")]
    Path {
        /// What was to be done.
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// The system's reason.
        #[source]
        source: io::Error,
    },
    /// The owner of a file could not be changed.
    #[error(transparent)]
    Label(#[from] LabelError),
    /// A control group could not be used.
    #[error(transparent)]
    Cgroup(#[from] CgroupError),
    /// A tap device could not be made.
    #[error(transparent)]
    Tap(#[from] TapError),
    /// The kernel refused a change of a link.
    #[error(transparent)]
    Netlink(#[from] NetlinkError),
    /// There is no such bridge.
    #[error("no bridge '{0}'")]
    NoBridge(LinkName),
    /// The network driver refused.
    #[error(transparent)]
    Network(#[from] oxivirt::Error),
    /// There is no network driver.
    #[error("no network driver")]
    NoNetworks,
    /// The launcher could not be started.
    #[error("cannot start '{path}'")]
    Launcher {
        /// The program.
        path: PathBuf,
        /// The system's reason.
        #[source]
        source: io::Error,
    },
    /// The conversation with the launcher failed.
    #[error(transparent)]
    Wire(#[from] WireError),
    /// The launcher could not carry out its plan.
    #[error("cannot {step}: {}", io::Error::from_raw_os_error(*errno))]
    Launch {
        /// What was to be done.
        step: String,
        /// The system's error number.
        errno: i32,
    },
    /// A process could not be found or ended.
    #[error("cannot end process {pid}")]
    Process {
        /// Its number; 0 if it is not known.
        pid: i32,
        /// The system's reason.
        #[source]
        source: io::Error,
    },
    /// The monitor failed.
    #[error(transparent)]
    Monitor(#[from] QmpError),
    /// A step that another one has to precede.
    #[error("step out of order")]
    Order,
    /// The thread of a step has ended.
    #[error("a worker thread has ended unexpectedly")]
    Worker,
}

/// What steps work on.
#[derive(Debug)]
pub(crate) struct Host {
    /// The program that becomes the emulator.
    pub(crate) launcher: PathBuf,
    /// Links of the host.
    pub(crate) links: Handle,
    /// Where control groups are.
    pub(crate) hierarchies: Hierarchies,
    /// The networks of the host.
    pub(crate) networks: Option<Arc<dyn NetworkDriver>>,
    /// When the host was booted, in seconds since 1970.
    pub(crate) boot_time: u64,
    /// Held while ports are attached: a bridge's protocol is off meanwhile.
    pub(crate) attaching: Mutex<()>,
}

impl Host {
    /// Opens the kernel's interfaces. Guests of an ordinary user stay in the user's control group.
    ///
    /// # Errors
    /// [`HostError::Netlink`]
    pub(crate) fn open(
        launcher: PathBuf,
        networks: Option<Arc<dyn NetworkDriver>>,
        is_privileged: bool,
    ) -> Result<Self, HostError> {
        let hierarchies = match is_privileged {
            true => Hierarchies::read().unwrap_or_default(),
            false => Hierarchies::default(),
        };
        // In a container or a namespace the mount table may name what cannot be reached.
        let is_usable = hierarchies.group("/").directories().iter().all(|path| path.is_dir());
        Ok(Self {
            launcher,
            links: Handle::open()?,
            hierarchies: if is_usable { hierarchies } else { Hierarchies::default() },
            networks,
            boot_time: boot_time(),
            attaching: Mutex::new(()),
        })
    }

    fn networks(&self) -> Result<&dyn NetworkDriver, HostError> {
        self.networks.as_deref().ok_or(HostError::NoNetworks)
    }

    /// Makes a link a port of a bridge and raises it.
    ///
    /// While a spanning tree protocol runs, a new port listens and learns for 4 s at least before it
    /// forwards. A port that forwards already when the protocol is switched on goes on forwarding, and
    /// loops that are made later are blocked.
    pub(crate) async fn attach(
        &self,
        link: &LinkName,
        bridge: &LinkName,
        port: &TapPort,
    ) -> Result<(), HostError> {
        let _one = self.attaching.lock().await;
        let found = self.links.link(bridge).await?;
        let found = found.ok_or_else(|| HostError::NoBridge(bridge.clone()))?;
        if port.has_vlans && !found.filters_vlans {
            tracing::warn!(%link, %bridge, "the bridge does not keep VLANs apart: tags have no effect");
        }
        let index = found.index;
        let stp = self.links.stp(bridge).await?;
        if stp == Some(Stp::On) {
            self.links.set_stp(bridge, Stp::Off).await?;
        }
        let attached = self.attach_port(link, index, port).await;
        if stp == Some(Stp::On) {
            self.links.set_stp(bridge, Stp::On).await?;
        }
        attached
    }

    async fn attach_port(
        &self,
        link: &LinkName,
        bridge: u32,
        port: &TapPort,
    ) -> Result<(), HostError> {
        self.links.set_controller(link, bridge).await?;
        let TapPort { settings, entry, .. } = port;
        if (entry.is_some() || *settings != PortSettings::default())
            && let Some(link) = self.links.link(link).await?
        {
            self.links.set_port(link.index, settings).await?;
            if let Some(mac) = entry {
                self.links.add_bridge_entry(link.index, *mac).await?;
            }
        }
        Ok(self.links.set_up(link).await?)
    }

    /// Gives a tap its queues.
    pub(crate) async fn change_queues(
        &self,
        link: &LinkName,
        commands: &[QueueCommand],
    ) -> Result<(), HostError> {
        let Some(found) = self.links.link(link).await? else { return Ok(()) };
        for QueueCommand { change, on_failure } in commands {
            let Err(error) = self.links.change_queue(found.index, change).await else { continue };
            match on_failure {
                OnFailure::Fail => return Err(error.into()),
                OnFailure::Warn => {
                    let (command, error) = (change.words(link.as_str()), chain::text(&error));
                    tracing::warn!(
                        command,
                        error,
                        "the kernel lacks a queue that improves a limit"
                    );
                }
            }
        }
        Ok(())
    }

    /// Reverts a step; succeeds if there is nothing to revert.
    pub(crate) async fn revert(&self, undo: &Undo) -> Result<(), HostError> {
        match undo {
            Undo::EndProcess { pid_file } => {
                let failed = |pid| move |source| HostError::Process { pid, source };
                match Process::of_pid_file(pid_file).map_err(failed(0))? {
                    Some(process) => process.end(Force::Kill).await.map_err(failed(process.pid())),
                    None => Ok(()),
                }
            }
            Undo::RemoveFile { path } => {
                let path = path.clone();
                on_thread(move || Ok(file::remove(&path).map(drop)?)).await
            }
            Undo::RemoveTree { path } => {
                let path = path.clone();
                on_thread(move || remove_tree(&path)).await
            }
            Undo::RemoveCgroup { path } => self.remove_cgroup(path).await,
            Undo::RestoreOwner { path, guest, uid, gid } => {
                let (path, guest, boot_time) = (path.clone(), *guest, self.boot_time);
                let owner = Owner { uid: *uid, gid: *gid };
                on_thread(move || match LabeledFile::open(&path, boot_time) {
                    Ok(file) => Ok(file.restore(owner, guest)?),
                    // What is gone needs no owner.
                    Err(error) if error.is_absent() => Ok(()),
                    Err(error) => Err(error.into()),
                })
                .await
            }
            Undo::DeletePort { network, network_uuid, port } => {
                let network = NetworkRef { name: network.clone(), uuid: *network_uuid };
                match self.delete_port(network, *port).await {
                    Err(error) if !is_absent(&error) => Err(error.into()),
                    _ => Ok(()),
                }
            }
        }
    }

    /// A network that is not known by its UUID is looked for by its name.
    async fn delete_port(&self, network: NetworkRef, port: uuid::Uuid) -> oxivirt::Result<()> {
        let Some(networks) = self.networks.as_deref() else { return Ok(()) };
        let network = match networks.network_lookup_by_uuid(network.uuid).await {
            Ok(network) => network,
            Err(_) => networks.network_lookup_by_name(&network.name).await?,
        };
        networks.network_port_delete(&PortRef { network, uuid: port }, 0).await
    }

    async fn remove_cgroup(&self, path: &str) -> Result<(), HostError> {
        let group = self.hierarchies.group(path);
        for number in 0..CGROUP_TRIES {
            match group.remove() {
                // A process that has ended leaves its group a moment later.
                Err(error) if is_busy(&error) => {
                    tokio::time::sleep(CGROUP_WAIT * (1 << number)).await;
                }
                other => return Ok(other?),
            }
        }
        Ok(group.remove()?)
    }
}

fn is_busy(error: &CgroupError) -> bool {
    std::error::Error::source(error)
        .and_then(|source| source.downcast_ref::<io::Error>())
        .is_some_and(|source| source.raw_os_error() == Some(BUSY))
}

/// Whether a network or its port is not there.
fn is_absent(error: &oxivirt::Error) -> bool {
    use oxivirt::ErrorCode;
    matches!(error.code(), ErrorCode::NO_NETWORK | ErrorCode::NO_NETWORK_PORT)
}

/// Removes a directory and what is in it.
fn remove_tree(path: &std::path::Path) -> Result<(), HostError> {
    match std::fs::remove_dir_all(path) {
        Err(source) if source.kind() != io::ErrorKind::NotFound => {
            Err(FileError::Remove { path: path.to_owned(), source }.into())
        }
        _ => Ok(()),
    }
}

/// Runs a step that may wait for a disk.
pub(crate) async fn on_thread<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, HostError> + Send + 'static,
) -> Result<T, HostError> {
    tokio::task::spawn_blocking(work).await.unwrap_or(Err(HostError::Worker))
}

/// When the host was booted (proc_stat(5)).
fn boot_time() -> u64 {
    let text = std::fs::read_to_string("/proc/stat").unwrap_or_default();
    let time = text.lines().find_map(|line| line.strip_prefix("btime "));
    time.and_then(|time| time.trim().parse().ok()).unwrap_or_default()
}
