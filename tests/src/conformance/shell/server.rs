//! Whom the shell talks to.

use std::fmt;
use std::path::{Path, PathBuf};

use crate::daemon::PLAIN;
use crate::error::Result;
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
                let daemon = Daemon::start(PLAIN, &[])?;
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
