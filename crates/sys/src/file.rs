//! Files that are never seen half-written.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

/// Why a file operation failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FileError {
    /// The new content could not be written beside the file; the file is unchanged.
    #[error("cannot write '{path}'")]
    Write {
        /// The file that was to be replaced.
        path: PathBuf,
        /// The system's reason.
        #[source]
        source: io::Error,
    },
    /// A directory could not be made.
    #[error("cannot create directory '{path}'")]
    CreateDir {
        /// The directory.
        path: PathBuf,
        /// The system's reason.
        #[source]
        source: io::Error,
    },
    /// A file could not be removed.
    #[error("cannot remove '{path}'")]
    Remove {
        /// The file.
        path: PathBuf,
        /// The system's reason.
        #[source]
        source: io::Error,
    },
    /// A file could not be read.
    #[error("cannot read '{path}'")]
    Read {
        /// The file.
        path: PathBuf,
        /// The system's reason.
        #[source]
        source: io::Error,
    },
    /// A file is larger than its kind may be.
    #[error("'{path}' is larger than {limit} bytes")]
    TooLarge {
        /// The file.
        path: PathBuf,
        /// The limit in bytes.
        limit: u64,
    },
}

impl FileError {
    /// The system's reason, if there is one.
    #[must_use]
    pub fn io(&self) -> Option<&io::Error> {
        match self {
            Self::Write { source, .. }
            | Self::CreateDir { source, .. }
            | Self::Remove { source, .. }
            | Self::Read { source, .. } => Some(source),
            Self::TooLarge { .. } => None,
        }
    }
}

/// Whether content must survive a power failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Durability {
    /// Written to the disk, with its directory entry, before the call returns.
    Synced,
    /// Written again at every start; readers only need a complete file.
    Regenerated,
}

/// Replaces a file atomically: a reader of `path` sees the old content or the new.
///
/// The content goes to `path` with `.new` appended, which is then renamed (libvirt:
/// `virFileRewrite`). The mode is set exactly, whatever the process's umask.
///
/// # Errors
/// [`FileError::Write`]; the file is then unchanged and no `.new` is left.
pub fn replace(
    path: &Path,
    content: &[u8],
    mode: u32,
    durability: Durability,
) -> Result<(), FileError> {
    stage(path, content, mode, durability)?;
    commit(path)?;
    if durability == Durability::Synced {
        sync_parent(path).map_err(|source| FileError::Write { path: path.to_owned(), source })?;
    }
    Ok(())
}

/// The first half of [`replace`]: the new content is on the disk, but not yet under its name.
///
/// For callers that have other work to do while the disk is busy.
///
/// # Errors
/// [`FileError::Write`]; no `.new` is left.
pub fn stage(
    path: &Path,
    content: &[u8],
    mode: u32,
    durability: Durability,
) -> Result<(), FileError> {
    let new = temporary(path);
    let write = || {
        let mut file =
            OpenOptions::new().write(true).create(true).truncate(true).mode(mode).open(&new)?;
        file.set_permissions(fs::Permissions::from_mode(mode))?;
        file.write_all(content)?;
        if durability == Durability::Synced {
            file.sync_all()?;
        }
        Ok(())
    };
    write().map_err(|source| abandon(path, source))
}

/// The second half of [`replace`]: puts what was staged under its name.
///
/// # Errors
/// [`FileError::Write`]; the old content is then unchanged and no `.new` is left.
pub fn commit(path: &Path) -> Result<(), FileError> {
    fs::rename(temporary(path), path).map_err(|source| abandon(path, source))
}

/// Removes what could not become the file.
fn abandon(path: &Path, source: io::Error) -> FileError {
    let new = temporary(path);
    if let Err(error) = fs::remove_file(&new)
        && error.kind() != io::ErrorKind::NotFound
    {
        tracing::debug!(path = %new.display(), %error, "cannot remove a temporary file");
    }
    FileError::Write { path: path.to_owned(), source }
}

/// Gives a file a second name, in the place of whatever had it; nothing is done if it has it already.
///
/// The content stays as long as one of the names does; replacing the file under one of them leaves the
/// old content under the other (link(2)).
///
/// # Errors
/// [`FileError::Write`]; whatever had the name then keeps it.
pub fn link(path: &Path, name: &Path) -> Result<(), FileError> {
    let identity = |path| fs::metadata(path).map(|meta| (meta.dev(), meta.ino()));
    let new = temporary(name);
    let link = || {
        // Renaming one of two names of a file to the other would do nothing and leave both.
        if identity(name).ok() == Some(identity(path)?) {
            return Ok(());
        }
        match fs::hard_link(path, &new) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                fs::remove_file(&new)?;
                fs::hard_link(path, &new)?;
            }
            other => other?,
        }
        fs::rename(&new, name)
    };
    link().map_err(|source| abandon(name, source))
}

/// Where [`replace`] writes the new content first; left behind only if the process dies there.
#[must_use]
pub fn temporary(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".new");
    PathBuf::from(name)
}

/// Writes the directory entry of `path` to the disk.
fn sync_parent(path: &Path) -> io::Result<()> {
    match path.parent() {
        Some(parent) => File::open(parent)?.sync_all(),
        None => Ok(()),
    }
}

/// Makes a directory and those above it; mode 0777 less the umask, as libvirt does.
///
/// # Errors
/// [`FileError::CreateDir`].
pub fn create_dir(path: &Path) -> Result<(), FileError> {
    fs::create_dir_all(path)
        .map_err(|source| FileError::CreateDir { path: path.to_owned(), source })
}

/// Removes a file; returns whether it existed.
///
/// # Errors
/// [`FileError::Remove`] for any reason but the file's absence.
pub fn remove(path: &Path) -> Result<bool, FileError> {
    match fs::remove_file(path) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        // A read-only file system refuses before it looks.
        Err(_) if is_absent(path) => Ok(false),
        Err(source) => Err(FileError::Remove { path: path.to_owned(), source }),
    }
}

fn is_absent(path: &Path) -> bool {
    fs::symlink_metadata(path).is_err_and(|error| error.kind() == io::ErrorKind::NotFound)
}

/// Removes a directory with all that is in it, and the directory it was in if nothing else is.
///
/// # Errors
/// [`FileError::Remove`] if it is there and stays.
pub fn remove_dir(path: &Path) -> Result<(), FileError> {
    match fs::remove_dir_all(path) {
        Err(source) if source.kind() != io::ErrorKind::NotFound => {
            return Err(FileError::Remove { path: path.to_owned(), source });
        }
        _ => {}
    }
    // Not empty, or not there: both are as they should be.
    drop(path.parent().map(fs::remove_dir));
    Ok(())
}

/// Reads a file of at most `limit` bytes; `None` if it does not exist.
///
/// # Errors
/// [`FileError::Read`], [`FileError::TooLarge`].
pub fn read(path: &Path, limit: u64) -> Result<Option<Vec<u8>>, FileError> {
    use std::io::Read as _;
    let fail = |source| FileError::Read { path: path.to_owned(), source };
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(source) => return Err(fail(source)),
    };
    let mut content = Vec::new();
    file.take(limit.saturating_add(1)).read_to_end(&mut content).map_err(fail)?;
    if u64::try_from(content.len()).is_ok_and(|length| length > limit) {
        return Err(FileError::TooLarge { path: path.to_owned(), limit });
    }
    Ok(Some(content))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn replaces_content_and_mode_and_leaves_no_temporary() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.xml");
        replace(&path, b"one", 0o600, Durability::Synced).unwrap();
        replace(&path, b"two", 0o644, Durability::Regenerated).unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"two");
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o7777, 0o644);
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
    }

    #[test]
    fn failure_leaves_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("occupied");
        fs::create_dir(&path).unwrap();
        assert!(matches!(
            replace(&path, b"x", 0o600, Durability::Synced),
            Err(FileError::Write { .. })
        ));
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
    }

    #[test]
    fn reading_is_bounded() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("f");
        replace(&path, b"12345", 0o600, Durability::Regenerated).unwrap();
        assert_eq!(read(&path, 5).unwrap().as_deref(), Some(&b"12345"[..]));
        assert!(matches!(read(&path, 4), Err(FileError::TooLarge { .. })));
        assert!(read(&dir.path().join("none"), 4).unwrap().is_none());
    }
}
