//! Whom the shell talks to.

use std::fmt;
use std::io::{Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};

use crate::daemon::PLAIN;
use crate::error::{Error, Result};
use crate::{Backend, Daemon, Host, Netns, Subject};

/// Which daemon transcripts run against.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ServerKind {
    /// `oxivirtd`; what was recorded without a daemon runs without.
    Ours,
    /// A real libvirtd; what was recorded without a daemon runs through it, with its driver in memory.
    Libvirtd,
}

impl fmt::Display for ServerKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Ours => "shell",
            Self::Libvirtd => "shell-libvirtd",
        })
    }
}

/// A host with a daemon whose sockets are where clients look for them.
#[derive(Debug)]
pub(super) enum Server {
    Ours(Daemon),
    Libvirtd(Host),
}

/// The network that a fresh host of libvirt has.
const DEFAULT_NETWORK: &str = "<network><name>default</name><bridge name='shlbr0'/></network>";

impl Server {
    pub(super) fn start(kind: ServerKind) -> Result<Self> {
        match kind {
            ServerKind::Ours => {
                let daemon =
                    Daemon::start(&format!("{PLAIN}metrics_listen = \"ROOT/metrics\"\n"), &[])?;
                let directory = daemon.root().join("run/libvirt");
                daemon.netns().sh(&format!(
                    "mkdir -p /run/libvirt && mount --bind '{}' /run/libvirt",
                    directory.display()
                ))?;
                Ok(Self::Ours(daemon))
            }
            ServerKind::Libvirtd => {
                let host = Host::with_backend(Subject::Libvirt, Backend::Nftables)?;
                log_answers(&host)?;
                Ok(Self::Libvirtd(host))
            }
        }
    }

    /// The definition of the network that is there from the beginning, in a file.
    pub(super) fn default_network(&self) -> Result<PathBuf> {
        let file = self.root().join("default.xml");
        self.netns().sh(&format!("echo \"{DEFAULT_NETWORK}\" > '{}'", file.display()))?;
        Ok(file)
    }

    /// How often clients have registered for events of networks, the answer included.
    pub(super) fn registrations(&self) -> Result<u64> {
        match self {
            Self::Ours(daemon) => counted(daemon),
            Self::Libvirtd(host) => logged(host),
        }
    }

    fn root(&self) -> &Path {
        match self {
            Self::Ours(daemon) => daemon.root(),
            Self::Libvirtd(host) => host.root(),
        }
    }

    pub(super) fn netns(&self) -> &Netns {
        match self {
            Self::Ours(daemon) => daemon.netns(),
            Self::Libvirtd(host) => host.netns(),
        }
    }

    /// Where a file of the host is for us.
    pub(super) fn file(&self, path: &str) -> PathBuf {
        match self {
            Self::Ours(daemon) => daemon.root().join(path.trim_start_matches('/')),
            // Its directories are mounted from elsewhere.
            Self::Libvirtd(host) => host.netns().path(Path::new(path)),
        }
    }
}

/// Event registrations that our daemon counts in its metrics.
fn counted(daemon: &Daemon) -> Result<u64> {
    let path = daemon.root().join("metrics");
    let failed = || Error::file(&path);
    let mut stream = UnixStream::connect(&path).map_err(failed())?;
    let request = b"GET /metrics HTTP/1.0\r\n\r\n";
    stream.write_all(request).map_err(failed())?;
    let mut text = String::new();
    stream.read_to_string(&mut text).map_err(failed())?;
    let lines = text.lines().filter(|line| {
        line.starts_with("oxivirt_calls_total")
            && line.contains("connect_network_event_register_any")
    });
    Ok(lines.filter_map(|line| line.rsplit(' ').next()?.parse::<u64>().ok()).sum())
}

/// Where libvirtd, which counts nothing, writes down each answer that it queues.
const ANSWERS: &str = "/run/answers.log";

/// `REMOTE_PROC_CONNECT_NETWORK_EVENT_REGISTER_ANY`, as a reply, in a line of that file.
const REGISTERED: &str = " proc=313 type=1 status=0 ";

/// Has libvirtd write the file.
fn log_answers(host: &Host) -> Result<()> {
    let socket = host.root().join("run/libvirt/libvirt-admin-sock");
    let uri = format!("libvirtd:///system?socket={}", socket.display());
    let output = format!("1:file:{ANSWERS}");
    for words in [
        ["daemon-log-outputs", "--outputs", &output],
        ["daemon-log-filters", "--filters", "1:rpc.netserverclient"],
    ] {
        host.netns().run(["virt-admin", "-q", "-c", &uri]).args(words).stdout()?;
    }
    Ok(())
}

fn logged(host: &Host) -> Result<u64> {
    let path = host.netns().path(Path::new(ANSWERS));
    let text = std::fs::read_to_string(&path).map_err(Error::file(&path))?;
    let answers = text.lines().filter(|line| line.contains("RPC_SERVER_CLIENT_MSG_TX_QUEUE"));
    Ok(answers.filter(|line| line.contains(REGISTERED)).count() as u64)
}
