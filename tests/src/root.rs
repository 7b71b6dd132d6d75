//! A directory that stands in for `/`.

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use crate::error::{Error, Result};

/// A fresh directory, removed with everything below it when dropped.
///
/// Every user can traverse it: dnsmasq reads its hosts files again as `nobody`.
#[derive(Debug)]
pub struct TempRoot(tempfile::TempDir);

impl TempRoot {
    /// Makes the directory below `TMPDIR`.
    ///
    /// # Errors
    /// [`Error::File`]
    pub fn new() -> Result<Self> {
        let base = std::env::temp_dir();
        let directory = tempfile::Builder::new()
            .prefix("oxivirt-")
            .tempdir_in(&base)
            .map_err(Error::file(&base))?;
        std::fs::set_permissions(directory.path(), Permissions::from_mode(0o755))
            .map_err(Error::file(directory.path()))?;
        Ok(Self(directory))
    }

    /// The directory.
    pub fn path(&self) -> &Path {
        self.0.path()
    }

    /// A path below the directory; `below` may start with a slash.
    pub fn join(&self, below: &str) -> PathBuf {
        self.path().join(below.trim_start_matches('/'))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everybody_may_traverse_it_and_nothing_stays() {
        let root = TempRoot::new().unwrap();
        let mode = std::fs::metadata(root.path()).unwrap().permissions().mode();
        assert_eq!(mode & 0o7777, 0o755);
        assert_eq!(root.join("/etc/x"), root.path().join("etc/x"));
        let path = root.path().to_path_buf();
        std::fs::create_dir_all(root.join("a/b")).unwrap();
        drop(root);
        assert!(!path.exists());
    }
}
