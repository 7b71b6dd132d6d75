//! Where things are on disk.
//!
//! All of libvirt's places, below a root directory (`/` for the system's own driver), and our own below
//! `run/oxivirt`, which libvirt never looks at.

use std::path::{Path, PathBuf};

/// Characters of a guest's name that are in the names of its directories.
const SHORT_NAME: usize = 20;

/// The directories of a driver.
///
/// libvirt 11.3.0: `virQEMUDriverConfigNew`, src/qemu/qemu_conf.c
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Layout {
    config: PathBuf,
    state: PathBuf,
    lib: PathBuf,
    log: PathBuf,
    cache: PathBuf,
    settings: PathBuf,
    hooks: Option<PathBuf>,
    own: PathBuf,
}

impl Layout {
    /// The directories of a system's driver, below `root`.
    #[must_use]
    pub fn below(root: impl AsRef<Path>) -> Self {
        let root = root.as_ref();
        Self {
            config: root.join("etc/libvirt/qemu"),
            state: root.join("run/libvirt/qemu"),
            lib: root.join("var/lib/libvirt/qemu"),
            log: root.join("var/log/libvirt/qemu"),
            cache: root.join("var/cache/libvirt/qemu"),
            settings: root.join("etc/libvirt/qemu.conf"),
            hooks: Some(root.join("etc/libvirt/hooks")),
            own: root.join("run/oxivirt/qemu"),
        }
    }

    /// The directories of an unprivileged user's driver: `config` is the user's configuration directory
    /// for libvirt, `runtime` the one for its state, `cache` the one for what can be made again. Hook scripts
    /// are the administrator's and not run.
    #[must_use]
    pub fn session(
        config: impl AsRef<Path>,
        runtime: impl AsRef<Path>,
        cache: impl AsRef<Path>,
    ) -> Self {
        let (config, runtime, cache) = (config.as_ref(), runtime.as_ref(), cache.as_ref());
        Self {
            config: config.join("qemu"),
            state: runtime.join("qemu/run"),
            lib: config.join("qemu/lib"),
            log: cache.join("qemu/log"),
            cache: cache.join("qemu/cache"),
            settings: config.join("qemu.conf"),
            hooks: None,
            own: runtime.join("oxivirt/qemu"),
        }
    }

    /// Definitions: `NAME.xml`.
    #[must_use]
    pub fn config_dir(&self) -> PathBuf {
        self.config.clone()
    }

    /// Definition of a guest.
    #[must_use]
    pub fn config_file(&self, name: &str) -> PathBuf {
        self.config.join(format!("{name}.xml"))
    }

    /// Links to the definitions that start with the host.
    #[must_use]
    pub fn autostart_dir(&self) -> PathBuf {
        self.config.join("autostart")
    }

    /// Link that makes a guest start with the host.
    #[must_use]
    pub fn autostart_link(&self, name: &str) -> PathBuf {
        self.autostart_dir().join(format!("{name}.xml"))
    }

    /// State of running guests.
    #[must_use]
    pub fn state_dir(&self) -> PathBuf {
        self.state.clone()
    }

    /// Held by the driver for as long as it lives.
    #[must_use]
    pub fn driver_pid(&self) -> PathBuf {
        self.state.join("driver.pid")
    }

    /// The driver's own settings.
    #[must_use]
    pub fn settings(&self) -> PathBuf {
        self.settings.clone()
    }

    /// Scripts that are run when guests come and go; `None` if none are.
    #[must_use]
    pub fn hooks_dir(&self) -> Option<&Path> {
        self.hooks.as_deref()
    }

    /// Exists once guests were started with the host.
    #[must_use]
    pub fn autostarted(&self) -> PathBuf {
        self.state.join("autostarted")
    }

    /// Status of a running guest.
    #[must_use]
    pub fn status_file(&self, name: &str) -> PathBuf {
        self.state.join(format!("{name}.xml"))
    }

    /// The pid of a running guest, locked by its process.
    #[must_use]
    pub fn pid_file(&self, name: &str) -> PathBuf {
        self.state.join(format!("{name}.pid"))
    }

    /// Where the `/dev` of a guest is built.
    #[must_use]
    pub fn staging_dir(&self, name: &str) -> PathBuf {
        self.state.join(format!("{name}.dev"))
    }

    /// Where all guests have directories, besides the state directory.
    #[must_use]
    pub fn lib_dir(&self) -> PathBuf {
        self.lib.clone()
    }

    /// Directory of a running guest.
    #[must_use]
    pub fn domain_dir(&self, id: u32, name: &str) -> PathBuf {
        self.lib.join(format!("domain-{id}-{}", short_name(name)))
    }

    /// Sockets of a running guest's channels.
    #[must_use]
    pub fn channel_dir(&self, id: u32, name: &str) -> PathBuf {
        self.state.join("channel").join(format!("{id}-{}", short_name(name)))
    }

    /// Memory of a running guest that is backed by files.
    #[must_use]
    pub fn memory_dir(&self, id: u32, name: &str) -> PathBuf {
        self.lib.join("ram").join(format!("{id}-{}", short_name(name)))
    }

    /// Variables of firmware: `NAME_VARS.fd`.
    #[must_use]
    pub fn nvram_dir(&self) -> PathBuf {
        self.lib.join("nvram")
    }

    /// Sockets of passt.
    #[must_use]
    pub fn passt_dir(&self) -> PathBuf {
        self.state.join("passt")
    }

    /// Sockets of D-Bus displays.
    #[must_use]
    pub fn dbus_dir(&self) -> PathBuf {
        self.state.join("dbus")
    }

    /// Where logs are.
    #[must_use]
    pub fn log_dir(&self) -> PathBuf {
        self.log.clone()
    }

    /// Log of a guest.
    #[must_use]
    pub fn log_file(&self, name: &str) -> PathBuf {
        self.log.join(format!("{name}.log"))
    }

    /// What emulators can do.
    #[must_use]
    pub fn capabilities_dir(&self) -> PathBuf {
        self.cache.join("capabilities")
    }

    /// State of a guest that was saved when it was stopped.
    #[must_use]
    pub fn managed_save(&self, name: &str) -> PathBuf {
        self.lib.join("save").join(format!("{name}.save"))
    }

    /// Snapshots of a guest: `SNAPSHOT.xml`.
    #[must_use]
    pub fn snapshot_dir(&self, name: &str) -> PathBuf {
        self.lib.join("snapshot").join(name)
    }

    /// Checkpoints of a guest: `CHECKPOINT.xml`.
    #[must_use]
    pub fn checkpoint_dir(&self, name: &str) -> PathBuf {
        self.lib.join("checkpoint").join(name)
    }

    /// Undo lists of operations that have not ended.
    #[must_use]
    pub fn journal_dir(&self) -> PathBuf {
        self.own.join("journal")
    }
}

/// The part of a guest's name that its directories have: the first twenty characters.
///
/// libvirt 11.3.0: `virDomainDefGetShortName`, src/conf/domain_conf.c
#[must_use]
pub fn short_name(name: &str) -> &str {
    name.char_indices().nth(SHORT_NAME).map_or(name, |(end, _)| name.get(..end).unwrap_or(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_names_are_counted_in_characters() {
        assert_eq!(short_name("web"), "web");
        assert_eq!(short_name("abcdefghijklmnopqrstuvwxyz"), "abcdefghijklmnopqrst");
        assert_eq!(short_name("äöüäöüäöüäöüäöüäöüäöüäöü"), "äöüäöüäöüäöüäöüäöüäö");
    }

    #[test]
    fn places_are_those_of_libvirt() {
        let layout = Layout::below("/");
        assert_eq!(layout.config_file("a"), Path::new("/etc/libvirt/qemu/a.xml"));
        assert_eq!(layout.autostart_link("a"), Path::new("/etc/libvirt/qemu/autostart/a.xml"));
        assert_eq!(layout.driver_pid(), Path::new("/run/libvirt/qemu/driver.pid"));
        assert_eq!(layout.domain_dir(7, "a"), Path::new("/var/lib/libvirt/qemu/domain-7-a"));
        assert_eq!(layout.channel_dir(7, "a"), Path::new("/run/libvirt/qemu/channel/7-a"));
        let session = Layout::session("/c/libvirt", "/r/libvirt", "/h/libvirt");
        assert_eq!(session.config_file("a"), Path::new("/c/libvirt/qemu/a.xml"));
        assert_eq!(session.driver_pid(), Path::new("/r/libvirt/qemu/run/driver.pid"));
    }
}
