//! Ownership of files that a guest uses.
//!
//! A guest's process runs as an unprivileged user, so its images change their owner for as long as it
//! runs. Several guests may use one image: the original owner and the number of users are extended
//! attributes of the file, in libvirt's format, so that either software restores what the other changed.
//!
//! libvirt 11.3.0: `virSecurityDACSetOwnership`, src/security/security_dac.c; `virSecurityRememberLabel`,
//! src/security/security_util.c

use std::fmt;
use std::io;
use std::os::fd::{AsFd as _, AsRawFd as _, OwnedFd};
use std::path::{Path, PathBuf};
use std::str::FromStr;

use rustix::fs::{AtFlags, FileType, Gid, Mode, OFlags, Uid, XattrFlags};
use rustix::io::Errno;

/// The owner before the first user, as `+UID:+GID`.
const OWNER: &str = "trusted.libvirt.security.dac";
/// The number of users.
const USERS: &str = "trusted.libvirt.security.ref_dac";
/// When the host was booted: a count of an earlier boot is of guests that are gone.
const BOOT_TIME: &str = "trusted.libvirt.security.timestamp_dac";
/// Longest value of these attributes, in bytes.
const VALUE_MAX: usize = 64;

/// User and group that own a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Owner {
    /// User id.
    pub uid: u32,
    /// Group id.
    pub gid: u32,
}

impl fmt::Display for Owner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "+{}:+{}", self.uid, self.gid)
    }
}

impl FromStr for Owner {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let (uid, gid) = text.split_once(':').ok_or(())?;
        let number = |text: &str| text.strip_prefix('+').unwrap_or(text).parse().map_err(|_| ());
        Ok(Self { uid: number(uid)?, gid: number(gid)? })
    }
}

/// Why ownership cannot be changed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LabelError {
    /// The file cannot be opened.
    #[error("cannot open '{path}'")]
    Open {
        /// Its path.
        path: PathBuf,
        /// The system's reason.
        #[source]
        source: io::Error,
    },
    /// It is neither a regular file nor a device.
    #[error("'{path}' is neither a file nor a device")]
    Kind {
        /// Its path.
        path: PathBuf,
    },
    /// The owner cannot be changed.
    #[error("unable to set user and group to '{owner}' on '{path}'")]
    Change {
        /// The path of the file.
        path: PathBuf,
        /// The wanted owner.
        owner: Owner,
        /// The system's reason.
        #[source]
        source: io::Error,
    },
    /// The extended attributes cannot be read or written.
    #[error("cannot use the extended attribute '{attribute}' of '{path}'")]
    Attribute {
        /// The path of the file.
        path: PathBuf,
        /// The attribute.
        attribute: &'static str,
        /// The system's reason.
        #[source]
        source: io::Error,
    },
}

/// A file whose owner changes. All operations concern the file that was opened, whatever its path becomes.
#[derive(Debug)]
pub struct LabeledFile {
    path: PathBuf,
    file: OwnedFd,
    boot_time: u64,
}

impl LabeledFile {
    /// Opens a file; `boot_time` is when the host was booted, in seconds since 1970.
    ///
    /// # Errors
    /// [`LabelError::Open`], and [`LabelError::Kind`] for a directory, a socket or a pipe.
    pub fn open(path: &Path, boot_time: u64) -> Result<Self, LabelError> {
        let flags = OFlags::PATH | OFlags::CLOEXEC;
        let file = rustix::fs::open(path, flags, Mode::empty())
            .map_err(|source| LabelError::Open { path: path.to_owned(), source: source.into() })?;
        let status = rustix::fs::fstat(&file)
            .map_err(|source| LabelError::Open { path: path.to_owned(), source: source.into() })?;
        let kind = FileType::from_raw_mode(status.st_mode);
        if !matches!(
            kind,
            FileType::RegularFile | FileType::BlockDevice | FileType::CharacterDevice
        ) {
            return Err(LabelError::Kind { path: path.to_owned() });
        }
        Ok(Self { path: path.to_owned(), file, boot_time })
    }

    /// Its owner.
    ///
    /// # Errors
    /// [`LabelError::Open`].
    pub fn owner(&self) -> Result<Owner, LabelError> {
        let status = rustix::fs::fstat(&self.file).map_err(|source| LabelError::Open {
            path: self.path.clone(),
            source: source.into(),
        })?;
        Ok(Owner { uid: status.st_uid, gid: status.st_gid })
    }

    /// Gives it to a user and counts the use. On a file system without extended attributes the original
    /// owner is not remembered.
    ///
    /// # Errors
    /// [`LabelError::Change`], [`LabelError::Attribute`]; then nothing is changed.
    pub fn assign(&self, owner: Owner) -> Result<(), LabelError> {
        let original = self.owner()?;
        let users = self.users()?;
        self.remember(users, original)?;
        match self.change(owner) {
            Ok(()) => Ok(()),
            Err(error) => {
                // Back to the count before; the change is what the caller learns of.
                drop(self.forget());
                Err(error)
            }
        }
    }

    /// Ends a use; with the last one the original owner gets it back, root where none is remembered.
    ///
    /// # Errors
    /// [`LabelError::Change`], [`LabelError::Attribute`].
    pub fn restore(&self) -> Result<(), LabelError> {
        match self.forget()? {
            Some(original) => self.change(original),
            None => Ok(()),
        }
    }

    /// The number of users, 0 if it is not counted.
    ///
    /// # Errors
    /// [`LabelError::Attribute`].
    pub fn users(&self) -> Result<u32, LabelError> {
        let is_current =
            self.get(BOOT_TIME)?.is_some_and(|time| time == self.boot_time.to_string());
        if !is_current {
            return Ok(0);
        }
        Ok(self.get(USERS)?.and_then(|count| count.parse().ok()).unwrap_or_default())
    }

    fn remember(&self, users: u32, original: Owner) -> Result<(), LabelError> {
        let count = users.saturating_add(1).to_string();
        if users == 0 {
            if !self.set(OWNER, &original.to_string())? {
                return Ok(());
            }
            self.set(BOOT_TIME, &self.boot_time.to_string())?;
        }
        self.set(USERS, &count).map(|_| ())
    }

    /// Counts down; returns the owner that gets the file back, `None` while another guest uses it.
    fn forget(&self) -> Result<Option<Owner>, LabelError> {
        let users = self.users()?;
        if users > 1 {
            self.set(USERS, &(users - 1).to_string())?;
            return Ok(None);
        }
        let original = self.get(OWNER)?.and_then(|text| text.parse().ok());
        for attribute in [USERS, OWNER, BOOT_TIME] {
            self.remove(attribute)?;
        }
        Ok(Some(original.unwrap_or(Owner { uid: 0, gid: 0 })))
    }

    fn change(&self, owner: Owner) -> Result<(), LabelError> {
        if self.owner()? == owner {
            return Ok(());
        }
        let (uid, gid) = (Uid::from_raw(owner.uid), Gid::from_raw(owner.gid));
        rustix::fs::chownat(&self.file, "", Some(uid), Some(gid), AtFlags::EMPTY_PATH).map_err(
            |source| LabelError::Change { path: self.path.clone(), owner, source: source.into() },
        )
    }

    /// The path by which the opened file's attributes are reached: those of a descriptor opened with
    /// `O_PATH` are not (open(2)).
    fn attributes(&self) -> String {
        format!("/proc/self/fd/{}", self.file.as_fd().as_raw_fd())
    }

    fn failed(&self, attribute: &'static str) -> impl Fn(Errno) -> LabelError {
        let path = self.path.clone();
        move |source| LabelError::Attribute { path: path.clone(), attribute, source: source.into() }
    }

    fn get(&self, attribute: &'static str) -> Result<Option<String>, LabelError> {
        let mut value = [0; VALUE_MAX];
        match rustix::fs::getxattr(self.attributes(), attribute, &mut value) {
            Ok(length) => {
                let text = value.get(..length).unwrap_or_default();
                Ok(Some(String::from_utf8_lossy(text).trim_end_matches('\0').to_owned()))
            }
            Err(Errno::NODATA | Errno::OPNOTSUPP | Errno::RANGE) => Ok(None),
            Err(error) => Err(self.failed(attribute)(error)),
        }
    }

    /// Returns whether the file system has such attributes.
    fn set(&self, attribute: &'static str, value: &str) -> Result<bool, LabelError> {
        let flags = XattrFlags::empty();
        match rustix::fs::setxattr(self.attributes(), attribute, value.as_bytes(), flags) {
            Ok(()) => Ok(true),
            // Without privileges the kernel hides the namespace.
            Err(Errno::OPNOTSUPP | Errno::PERM) => Ok(false),
            Err(error) => Err(self.failed(attribute)(error)),
        }
    }

    fn remove(&self, attribute: &'static str) -> Result<(), LabelError> {
        match rustix::fs::removexattr(self.attributes(), attribute) {
            Ok(()) | Err(Errno::NODATA | Errno::OPNOTSUPP | Errno::PERM) => Ok(()),
            Err(error) => Err(self.failed(attribute)(error)),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::{MetadataExt as _, chown, symlink};

    use super::*;

    const GUEST: Owner = Owner { uid: 64055, gid: 64055 };
    const BOOT: u64 = 1_700_000_000;

    fn owner(path: &Path) -> (u32, u32) {
        let metadata = fs::metadata(path).unwrap();
        (metadata.uid(), metadata.gid())
    }

    /// A file of user 1000 whose file system keeps the attributes; `None` without privileges.
    fn image() -> Option<(tempfile::TempDir, PathBuf)> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("image");
        fs::File::create(&path).unwrap();
        chown(&path, Some(1000), Some(1001)).ok()?;
        let file = LabeledFile::open(&path, BOOT).unwrap();
        let has_attributes = file.set(USERS, "0").unwrap();
        file.remove(USERS).unwrap();
        has_attributes.then_some((dir, path))
    }

    #[test]
    fn the_original_owner_gets_the_file_back_with_the_last_user() {
        let Some((_dir, path)) = image() else { return };
        let first = LabeledFile::open(&path, BOOT).unwrap();
        first.assign(GUEST).unwrap();
        assert_eq!(owner(&path), (64055, 64055));
        assert_eq!(first.get(OWNER).unwrap().as_deref(), Some("+1000:+1001"));
        let second = LabeledFile::open(&path, BOOT).unwrap();
        second.assign(GUEST).unwrap();
        assert_eq!(second.users().unwrap(), 2);
        first.restore().unwrap();
        assert_eq!(owner(&path), (64055, 64055));
        second.restore().unwrap();
        assert_eq!(owner(&path), (1000, 1001));
        assert_eq!(second.get(OWNER).unwrap(), None);
        assert_eq!(second.get(BOOT_TIME).unwrap(), None);
    }

    #[test]
    fn a_count_of_an_earlier_boot_is_ignored() {
        let Some((_dir, path)) = image() else { return };
        LabeledFile::open(&path, BOOT).unwrap().assign(GUEST).unwrap();
        chown(&path, Some(1000), Some(1001)).unwrap();
        let later = LabeledFile::open(&path, BOOT + 1).unwrap();
        assert_eq!(later.users().unwrap(), 0);
        later.assign(GUEST).unwrap();
        assert_eq!(later.users().unwrap(), 1);
        later.restore().unwrap();
        assert_eq!(owner(&path), (1000, 1001));
    }

    #[test]
    fn a_path_that_changes_does_not_change_the_file() {
        let Some((dir, path)) = image() else { return };
        let other = dir.path().join("other");
        fs::File::create(&other).unwrap();
        let before = owner(&other);
        let file = LabeledFile::open(&path, BOOT).unwrap();
        fs::rename(&path, dir.path().join("moved")).unwrap();
        symlink(&other, &path).unwrap();
        file.assign(GUEST).unwrap();
        assert_eq!(owner(&other), before);
        assert_eq!(owner(&dir.path().join("moved")), (64055, 64055));
    }

    #[test]
    fn directories_are_refused_and_missing_files_reported() {
        let dir = tempfile::tempdir().unwrap();
        let error = LabeledFile::open(dir.path(), BOOT).unwrap_err();
        assert!(matches!(error, LabelError::Kind { .. }), "{error}");
        let error = LabeledFile::open(&dir.path().join("none"), BOOT).unwrap_err();
        assert!(matches!(error, LabelError::Open { .. }), "{error}");
    }

    #[test]
    fn owners_are_read_as_libvirt_writes_them() {
        assert_eq!("+0:+0".parse(), Ok(Owner { uid: 0, gid: 0 }));
        assert_eq!("64055:64055".parse(), Ok(GUEST));
        for text in ["", "0", "a:b", "+1:", ":1", "+-1:+0"] {
            assert_eq!(text.parse::<Owner>(), Err(()), "{text}");
        }
    }
}
