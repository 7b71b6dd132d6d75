//! Where the driver's own files are. Pools are where their definitions say.

use std::path::PathBuf;

/// The directories of a driver: libvirt's, and our own below `run/oxivirt`.
///
/// libvirt 11.3.0: `storageStateInitialize`, src/storage/storage_driver.c
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Layout {
    config: PathBuf,
    state: PathBuf,
    own: PathBuf,
}

impl Layout {
    /// The directories of a system's driver, below `root`.
    #[must_use]
    pub fn below(root: impl Into<PathBuf>) -> Self {
        let root = root.into();
        Self {
            config: root.join("etc/libvirt/storage"),
            state: root.join("run/libvirt/storage"),
            own: root.join("run/oxivirt/storage"),
        }
    }

    /// The directories of an unprivileged user's driver: `config` is the user's configuration directory
    /// for libvirt, `runtime` the one for its state.
    #[must_use]
    pub fn session(config: impl Into<PathBuf>, runtime: impl Into<PathBuf>) -> Self {
        let runtime = runtime.into();
        Self {
            config: config.into().join("storage"),
            state: runtime.join("storage/run"),
            own: runtime.join("oxivirt/storage"),
        }
    }

    /// Definitions: `NAME.xml`.
    #[must_use]
    pub fn config_dir(&self) -> PathBuf {
        self.config.clone()
    }

    /// Definition of a pool.
    #[must_use]
    pub fn config_file(&self, name: &str) -> PathBuf {
        self.config.join(format!("{name}.xml"))
    }

    /// Links to the definitions that start with the host.
    #[must_use]
    pub fn autostart_dir(&self) -> PathBuf {
        self.config.join("autostart")
    }

    /// Link that makes a pool start with the host.
    #[must_use]
    pub fn autostart_link(&self, name: &str) -> PathBuf {
        self.autostart_dir().join(format!("{name}.xml"))
    }

    /// State of started pools.
    #[must_use]
    pub fn state_dir(&self) -> PathBuf {
        self.state.clone()
    }

    /// State file of a started pool.
    #[must_use]
    pub fn state_file(&self, name: &str) -> PathBuf {
        self.state.join(format!("{name}.xml"))
    }

    /// Locked by the driver that has the directories.
    #[must_use]
    pub fn driver_pid(&self) -> PathBuf {
        self.state.join("driver.pid")
    }

    /// Exists once pools were started with the host.
    #[must_use]
    pub fn autostarted(&self) -> PathBuf {
        self.state.join("autostarted")
    }

    /// Operations that have begun and not ended.
    #[must_use]
    pub fn journal_dir(&self) -> PathBuf {
        self.own.join("journal")
    }
}
