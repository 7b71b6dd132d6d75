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
                Host::with_backend(Subject::Libvirt, Backend::Nftables).map(Self::Libvirtd)
            }
        }
    }

    /// The definition of the network that is there from the beginning, in a file.
    pub(super) fn default_network(&self) -> Result<PathBuf> {
        let file = self.root().join("default.xml");
        self.netns().sh(&format!("echo \"{DEFAULT_NETWORK}\" > '{}'", file.display()))?;
        Ok(file)
    }

    /// How often clients have registered for events of networks; `None` if the daemon does not
    /// count them.
    pub(super) fn registrations(&self) -> Result<Option<u64>> {
        let Self::Ours(daemon) = self else { return Ok(None) };
        let path = daemon.root().join("metrics");
        let failed = || Error::file(&path);
        let mut stream = UnixStream::connect(&path).map_err(failed())?;
        let request = b"GET /metrics HTTP/1.0\r\n\r\n";
        stream.write_all(request).map_err(failed())?;
        let mut text = String::new();
        stream.read_to_string(&mut text).map_err(failed())?;
        let counted = text.lines().filter(|line| {
            line.starts_with("oxivirt_calls_total")
                && line.contains("connect_network_event_register_any")
        });
        let counts = counted.filter_map(|line| line.rsplit(' ').next()?.parse::<u64>().ok());
        Ok(Some(counts.sum()))
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
