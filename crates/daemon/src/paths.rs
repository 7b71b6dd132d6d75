//! Where the daemon's files are.

use std::path::{Path, PathBuf};

use oxivirt_network::layout::Layout;

/// Whose networks are served.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Scope {
    /// The host's.
    System,
    /// One user's.
    Session,
}

/// Files and directories of the daemon itself.
#[derive(Debug, Clone)]
pub(crate) struct Paths {
    /// Whose networks.
    pub(crate) scope: Scope,
    /// Where the driver's files are.
    pub(crate) layout: Layout,
    /// Directory of the sockets.
    pub(crate) sockets: PathBuf,
    /// Configuration.
    pub(crate) config: PathBuf,
    /// Process number.
    pub(crate) pid_file: PathBuf,
    /// Root of the paths that the configuration does not name.
    pub(crate) root: PathBuf,
}

/// Directories of a user.
#[derive(Debug, Clone)]
pub(crate) struct UserDirs {
    /// `XDG_CONFIG_HOME`.
    pub(crate) config: PathBuf,
    /// `XDG_RUNTIME_DIR`.
    pub(crate) runtime: PathBuf,
}

impl Paths {
    /// The paths of the host's daemon below `root`.
    pub(crate) fn system(root: &Path) -> Self {
        Self {
            scope: Scope::System,
            layout: Layout::below(root),
            sockets: root.join("run/libvirt"),
            config: root.join("etc/libvirt/virtnetworkd.conf"),
            pid_file: root.join("run/virtnetworkd.pid"),
            root: root.to_owned(),
        }
    }

    /// The paths of a user's daemon.
    pub(crate) fn session(dirs: &UserDirs) -> Self {
        let (config, runtime) = (dirs.config.join("libvirt"), dirs.runtime.join("libvirt"));
        Self {
            scope: Scope::Session,
            config: config.join("virtnetworkd.conf"),
            pid_file: runtime.join("virtnetworkd.pid"),
            layout: Layout::session(config, runtime.clone()),
            sockets: runtime,
            root: PathBuf::from("/"),
        }
    }

    /// Path in the URI that clients name.
    pub(crate) fn uri_path(&self) -> &'static str {
        match self.scope {
            Scope::System => "/system",
            Scope::Session => "/session",
        }
    }
}
