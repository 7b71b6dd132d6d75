//! The environment of the program, which decides about sockets, certificates and daemons.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

use crate::uri::Surroundings;

/// Environment of the program.
#[derive(Debug, Clone, Default)]
pub struct Environment {
    /// Its variables.
    pub variables: BTreeMap<OsString, OsString>,
    /// Whether it runs as root.
    pub is_root: bool,
}

impl Environment {
    /// The environment of this process.
    #[must_use]
    pub fn of_process() -> Self {
        let is_root = std::fs::metadata("/proc/self")
            .is_ok_and(|meta| std::os::unix::fs::MetadataExt::uid(&meta) == 0);
        Self { variables: std::env::vars_os().collect(), is_root }
    }

    /// Whether a user's daemon may be started when it is needed: not for root, who has the system's, and
    /// not if the user does not want it.
    pub(super) fn starts_daemons(&self) -> bool {
        !self.is_root && self.text("LIBVIRT_AUTOSTART").as_deref() != Some("0")
    }

    /// A variable as text, unless it is empty.
    pub(crate) fn text(&self, name: &str) -> Option<String> {
        let value = self.variables.get(OsStr::new(name))?.to_str()?;
        (!value.is_empty()).then(|| value.to_owned())
    }

    pub(super) fn path(&self, name: &str) -> Option<PathBuf> {
        let value = self.variables.get(OsStr::new(name)).filter(|value| !value.is_empty());
        value.map(PathBuf::from)
    }
}

impl Surroundings for Environment {
    fn runtime_dir(&self) -> Option<PathBuf> {
        let dir = self.path("XDG_RUNTIME_DIR");
        dir.or_else(|| Some(self.path("HOME")?.join(".cache"))).map(|dir| dir.join("libvirt"))
    }

    fn exists(&self, path: &Path) -> bool {
        path.exists()
    }
}
