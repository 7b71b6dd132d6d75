//! Where the daemon's files are.

use std::path::{Path, PathBuf};

/// Whose objects are served.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Scope {
    /// The host's, with all files below `root`.
    System { root: PathBuf },
    /// One user's.
    Session,
}

/// Files and directories of the daemon and its drivers.
#[derive(Debug, Clone)]
pub(crate) struct Paths {
    /// Whose objects.
    pub(crate) scope: Scope,
    /// libvirt's directory of configuration.
    pub(crate) config_dir: PathBuf,
    /// libvirt's directory of state, which also has the sockets.
    pub(crate) runtime_dir: PathBuf,
    /// libvirt's directory of what can be made again, and of logs if they are a user's.
    pub(crate) cache_dir: PathBuf,
    /// Configuration of the daemon.
    pub(crate) config: PathBuf,
    /// Its pid file.
    pub(crate) pid_file: PathBuf,
}

/// Directories of a user.
#[derive(Debug, Clone)]
pub(crate) struct UserDirs {
    /// `XDG_CONFIG_HOME`.
    pub(crate) config: PathBuf,
    /// `XDG_RUNTIME_DIR`.
    pub(crate) runtime: PathBuf,
    /// `XDG_CACHE_HOME`.
    pub(crate) cache: PathBuf,
}

impl Paths {
    /// The paths of the host's daemon `name`, below `root`.
    pub(crate) fn system(name: &str, root: &Path) -> Self {
        let config_dir = root.join("etc/libvirt");
        Self {
            config: config_dir.join(format!("{name}.conf")),
            config_dir,
            runtime_dir: root.join("run/libvirt"),
            cache_dir: root.join("var/cache/libvirt"),
            pid_file: root.join(format!("run/{name}.pid")),
            scope: Scope::System { root: root.to_owned() },
        }
    }

    /// The paths of a user's daemon `name`.
    pub(crate) fn session(name: &str, dirs: &UserDirs) -> Self {
        let (config_dir, runtime_dir) = (dirs.config.join("libvirt"), dirs.runtime.join("libvirt"));
        Self {
            scope: Scope::Session,
            cache_dir: dirs.cache.join("libvirt"),
            config: config_dir.join(format!("{name}.conf")),
            config_dir,
            pid_file: runtime_dir.join(format!("{name}.pid")),
            runtime_dir,
        }
    }

    /// Root of paths that the configuration does not set.
    pub(crate) fn root(&self) -> &Path {
        match &self.scope {
            Scope::System { root } => root,
            Scope::Session => Path::new("/"),
        }
    }

    /// Path of the URI that clients open.
    pub(crate) fn uri_path(&self) -> &'static str {
        match self.scope {
            Scope::System { .. } => "/system",
            Scope::Session => "/session",
        }
    }
}
