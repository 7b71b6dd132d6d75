//! Starting, finding and stopping dnsmasq.
//!
//! A running dnsmasq is recognised by its `--conf-file` argument and its network namespace, never by
//! a pid alone: pids are reused, pid files outlive their processes and dnsmasq writes its own late.
//! Signals go through a pidfd that was opened before the process was looked at, so they cannot hit
//! another process.

use std::fs;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};
use tokio::io::unix::AsyncFd;

use oxivirt_sys::command::{Command, CommandError};

/// The oldest version that has what the configuration needs.
pub const MINIMUM_VERSION: Version = Version { major: 2, minor: 67 };

/// How long dnsmasq may take to become ready.
const START_DEADLINE: Duration = Duration::from_secs(30);

/// Why dnsmasq could not be started or found.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DnsmasqError {
    /// It could not be run at all.
    #[error(transparent)]
    Command(#[from] CommandError),
    /// It refused its configuration or could not have its sockets.
    #[error("Child process ({command}) unexpected exit status {status}: {complaint}")]
    Exit {
        /// The command.
        command: String,
        /// Its exit status; 1 is a bad configuration, 2 an address in use.
        status: i32,
        /// What it printed on stderr.
        complaint: String,
    },
    /// `dnsmasq --version` printed something else.
    #[error("cannot parse {program} version number in '{text}'")]
    Version {
        /// The program.
        program: PathBuf,
        /// The first line it printed.
        text: String,
    },
    /// Older than [`MINIMUM_VERSION`].
    #[error("dnsmasq version >= {MINIMUM_VERSION} required but {found} found")]
    TooOld {
        /// The version found.
        found: Version,
    },
    /// A process could not be looked at or signalled.
    #[error("cannot control dnsmasq process {pid}")]
    Process {
        /// Its pid.
        pid: i32,
        /// The system's reason.
        #[source]
        source: io::Error,
    },
}

/// A version of dnsmasq.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Version {
    /// Before the dot.
    pub major: u32,
    /// After the dot.
    pub minor: u32,
}

impl std::fmt::Display for Version {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}.{}", self.major, self.minor)
    }
}

/// Asks a dnsmasq program for its version and checks that it is new enough.
///
/// # Errors
/// [`DnsmasqError::TooOld`], or the reason why the version is unknown.
pub async fn check_version(program: &Path) -> Result<Version, DnsmasqError> {
    let output = Command::new(program).args(["--version"]).run().await?;
    let text = String::from_utf8_lossy(&output.stdout);
    let line = text.lines().next().unwrap_or_default();
    let found = parse_version(line).ok_or_else(|| DnsmasqError::Version {
        program: program.to_owned(),
        text: line.to_owned(),
    })?;
    if found < MINIMUM_VERSION { Err(DnsmasqError::TooOld { found }) } else { Ok(found) }
}

/// Reads `Dnsmasq version 2.90  Copyright …`; what follows the minor number may be `rc1` or so.
fn parse_version(line: &str) -> Option<Version> {
    let (major, rest) = line.strip_prefix("Dnsmasq version ")?.split_once('.')?;
    let digits = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
    Some(Version { major: major.parse().ok()?, minor: rest.get(..digits)?.parse().ok()? })
}

/// How one dnsmasq is started.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Launch {
    /// The program.
    pub program: PathBuf,
    /// Its configuration file; also what it is recognised by.
    pub conf_file: PathBuf,
    /// The lease helper.
    pub dhcp_script: PathBuf,
    /// Name servers in lines `server=ADDRESS`, read again with the hosts files; without it dnsmasq
    /// watches `/etc/resolv.conf`, for which it needs an inotify instance.
    pub servers_file: Option<PathBuf>,
    /// Variables for the lease helper; dnsmasq gets no others.
    pub environment: Vec<(String, String)>,
}

impl Launch {
    fn command(&self) -> Command {
        let option = |name: &str, path: &Path| {
            let mut option = std::ffi::OsString::from(name);
            option.push(path);
            option
        };
        let mut command = Command::new(&self.program)
            .args([option(CONF_FILE, &self.conf_file)])
            .args(["--leasefile-ro"])
            .args([option("--dhcp-script=", &self.dhcp_script)])
            .deadline(START_DEADLINE);
        if let Some(servers_file) = &self.servers_file {
            command = command.args(["--no-resolv"]).args([option(SERVERS_FILE, servers_file)]);
        }
        for (name, value) in &self.environment {
            command = command.env(name, value);
        }
        command
    }

    /// Starts dnsmasq and returns when it serves: its sockets are bound and its pid file written.
    ///
    /// # Errors
    /// [`DnsmasqError::Exit`] with dnsmasq's own complaint.
    pub async fn start(&self) -> Result<(), DnsmasqError> {
        let command = self.command();
        let output = command.run().await?;
        if output.status.success() {
            return Ok(());
        }
        Err(DnsmasqError::Exit {
            command: command.line(),
            status: output.status.code().unwrap_or(-1),
            complaint: output.complaint(),
        })
    }
}

const CONF_FILE: &str = "--conf-file=";
const SERVERS_FILE: &str = "--servers-file=";

/// A running dnsmasq process.
#[derive(Debug)]
pub struct Process {
    pid: Pid,
    pidfd: OwnedFd,
}

impl Process {
    /// The process `pid`, if it is a dnsmasq with that configuration file.
    #[must_use]
    pub fn find(pid: u32, conf_file: &Path) -> Option<Self> {
        let pid = Pid::from_raw(i32::try_from(pid).ok()?)?;
        let pidfd = pidfd_open(pid, PidfdFlags::empty()).ok()?;
        (serves(pid, conf_file) && shares_network(pid)).then_some(Self { pid, pidfd })
    }

    /// All processes of the dnsmasq with that configuration file, in this process's view.
    ///
    /// Reads the command line of every process; meant for clearing up after a crash.
    #[must_use]
    pub fn find_all(conf_file: &Path) -> Vec<Self> {
        let Ok(entries) = fs::read_dir("/proc") else { return Vec::new() };
        let pids = entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
        pids.filter_map(|pid| Self::find(pid, conf_file)).collect()
    }

    /// This process and the child that runs the lease helper.
    #[must_use]
    pub fn with_children(self, conf_file: &Path) -> Vec<Self> {
        let pid = self.pid.as_raw_nonzero();
        let children =
            fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default();
        let children = children.split_whitespace().filter_map(|child| child.parse().ok());
        let mut all = vec![self];
        all.extend(children.filter_map(|child| Self::find(child, conf_file)));
        all
    }

    /// The file it has its name servers from; `None` if it reads `/etc/resolv.conf`.
    #[must_use]
    pub fn servers_file(&self) -> Option<PathBuf> {
        let line = fs::read(format!("/proc/{}/cmdline", self.pid())).ok()?;
        let mut arguments = line.split(|byte| *byte == 0);
        let path = arguments.find_map(|word| word.strip_prefix(SERVERS_FILE.as_bytes()))?;
        Some(PathBuf::from(std::ffi::OsStr::from_bytes(path)))
    }

    /// Its pid.
    #[must_use]
    pub fn pid(&self) -> i32 {
        self.pid.as_raw_nonzero().get()
    }

    /// Sends SIGTERM: dnsmasq ends after what it is doing.
    ///
    /// # Errors
    /// [`DnsmasqError::Process`] unless it has ended by itself.
    pub fn terminate(&self) -> Result<(), DnsmasqError> {
        self.signal(Signal::TERM)
    }

    /// Sends SIGHUP: dnsmasq reads its hosts files again.
    ///
    /// # Errors
    /// [`DnsmasqError::Process`] unless it has ended by itself.
    pub fn reload(&self) -> Result<(), DnsmasqError> {
        self.signal(Signal::HUP)
    }

    fn signal(&self, signal: Signal) -> Result<(), DnsmasqError> {
        match pidfd_send_signal(&self.pidfd, signal) {
            Ok(()) | Err(rustix::io::Errno::SRCH) => Ok(()),
            Err(errno) => Err(self.error(errno.into())),
        }
    }

    fn error(&self, source: io::Error) -> DnsmasqError {
        DnsmasqError::Process { pid: self.pid(), source }
    }

    /// Waits for its end, however long that takes.
    pub async fn gone(self) {
        gone(self.pidfd).await;
    }

    /// Waits for its end; after `patience` it is killed.
    ///
    /// # Errors
    /// [`DnsmasqError::Process`] if it can be neither awaited nor killed.
    pub async fn ended(self, patience: Duration) -> Result<(), DnsmasqError> {
        let pid = self.pid();
        let error = |source| DnsmasqError::Process { pid, source };
        #[expect(
            deprecated,
            reason = "an OwnedFd stays open; the replacement is an unsafe function"
        )]
        let pidfd = AsyncFd::new(self.pidfd).map_err(error)?;
        if let Ok(ready) = tokio::time::timeout(patience, pidfd.readable()).await {
            return ready.map(drop).map_err(error);
        }
        tracing::warn!(pid, "dnsmasq did not end in time, killing it");
        match pidfd_send_signal(&pidfd, Signal::KILL) {
            Ok(()) | Err(rustix::io::Errno::SRCH) => {}
            Err(errno) => return Err(error(errno.into())),
        }
        pidfd.readable().await.map(drop).map_err(error)
    }
}

/// Whether a process is in the network namespace of the calling thread.
///
/// Hosts in containers have the same paths as this one, and their processes are seen from here.
fn shares_network(pid: Pid) -> bool {
    let own = fs::read_link("/proc/thread-self/ns/net");
    let other = fs::read_link(format!("/proc/{}/ns/net", pid.as_raw_nonzero()));
    matches!((own, other), (Ok(own), Ok(other)) if own == other)
}

/// Whether a process is a dnsmasq with that configuration file.
fn serves(pid: Pid, conf_file: &Path) -> bool {
    let Ok(line) = fs::read(format!("/proc/{}/cmdline", pid.as_raw_nonzero())) else {
        return false;
    };
    let mut arguments = line.split(|byte| *byte == 0);
    let program = arguments.next().unwrap_or_default();
    let is_dnsmasq = program.rsplit(|byte| *byte == b'/').next() == Some(b"dnsmasq");
    let conf_file = conf_file.as_os_str().as_bytes();
    is_dnsmasq && arguments.any(|word| word.strip_prefix(CONF_FILE.as_bytes()) == Some(conf_file))
}

/// Waits for the end of a process.
pub(crate) async fn gone(pidfd: OwnedFd) {
    #[expect(deprecated, reason = "an OwnedFd stays open; the replacement is an unsafe function")]
    let pidfd = AsyncFd::new(pidfd);
    match pidfd {
        Ok(pidfd) => drop(pidfd.readable().await),
        // A check too many then, instead of none.
        Err(error) => {
            tracing::warn!(%error, "cannot wait for the end of a process, checking it more often");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(line: &str, expect: Option<(u32, u32)>) {
        let expect = expect.map(|(major, minor)| Version { major, minor });
        assert_eq!(parse_version(line), expect, "{line}");
    }

    #[test]
    fn versions() {
        check("Dnsmasq version 2.90  Copyright (c) 2000-2024 Simon Kelley", Some((2, 90)));
        check("Dnsmasq version 2.91rc3", Some((2, 91)));
        check("Dnsmasq version 2.67", Some((2, 67)));
        check("Dnsmasq version x", None);
        check("", None);
        assert!(Version { major: 2, minor: 100 } > MINIMUM_VERSION);
        assert!(Version { major: 2, minor: 66 } < MINIMUM_VERSION);
    }

    #[test]
    fn other_processes_are_not_taken_for_dnsmasq() {
        assert!(Process::find(std::process::id(), Path::new("/x.conf")).is_none());
        assert!(Process::find(0, Path::new("/x.conf")).is_none());
    }
}
