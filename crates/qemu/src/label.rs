//! Ownership of files that a guest uses.
//!
//! A guest's process runs as an unprivileged user, so its images change their owner for as long as it
//! runs. Several guests may use one image: the original owner and the number of users are extended
//! attributes of the file, in libvirt's format, so that either software restores what the other changed.
//!
//! A count alone cannot be changed twice without harm, and an operation that was interrupted is undone from
//! its beginning. So the guests themselves are in an attribute of our own, from which the count follows:
//! giving a file to a guest that has it, and taking it from one that has not, changes nothing.
//!
//! libvirt 11.3.0: `virSecurityDACSetOwnership`, src/security/security_dac.c; `virSecurityRememberLabel`,
//! src/security/security_util.c

use std::collections::BTreeSet;
use std::fmt;
use std::io;
use std::os::fd::{AsFd as _, AsRawFd as _, OwnedFd};
use std::path::{Path, PathBuf};
use std::str::FromStr;

use rustix::fs::{AtFlags, FileType, Gid, Mode, OFlags, Uid, XattrFlags};
use rustix::io::Errno;
use uuid::Uuid;

/// The owner before the first user, as `+UID:+GID`.
const OWNER: &str = "trusted.libvirt.security.dac";
/// The number of users.
const USERS: &str = "trusted.libvirt.security.ref_dac";
/// When the host was booted: a count of an earlier boot is of guests that are gone.
const BOOT_TIME: &str = "trusted.libvirt.security.timestamp_dac";
/// Our own: the boot time, the number of users that are not guests of ours, and our guests.
const GUESTS: &str = "trusted.oxivirt.guests";
/// Longest value of these attributes, in bytes; file systems have room for about that.
const VALUE_MAX: usize = 4096;
/// Digits of a guest's UUID that are kept.
const DIGITS: usize = 12;

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

/// The owner of files of which nothing is known.
const ROOT: Owner = Owner { uid: 0, gid: 0 };

/// Who uses a file.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Users {
    /// Guests of libvirt, which it counted.
    foreign: u32,
    /// Guests of ours.
    guests: BTreeSet<String>,
}

impl Users {
    fn count(&self) -> u32 {
        self.foreign.saturating_add(u32::try_from(self.guests.len()).unwrap_or(u32::MAX))
    }

    /// `None` for guests of an earlier boot, which are gone.
    fn parse(text: &str, boot_time: u64) -> Option<Self> {
        let mut words = text.split(' ');
        let is_current = words.next().is_some_and(|time| time == boot_time.to_string());
        let foreign = words.next()?.parse().ok()?;
        is_current.then(|| Self { foreign, guests: words.map(str::to_owned).collect() })
    }

    fn print(&self, boot_time: u64) -> String {
        let guests = self.guests.iter().map(|guest| format!(" {guest}"));
        format!("{boot_time} {}{}", self.foreign, guests.collect::<String>())
    }
}

/// Enough of a guest's UUID to know it by.
fn short(guest: Uuid) -> String {
    guest.simple().to_string().chars().take(DIGITS).collect()
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

impl LabelError {
    /// Whether the file is not there.
    #[must_use]
    pub fn is_absent(&self) -> bool {
        matches!(self, Self::Open { source, .. } if source.kind() == io::ErrorKind::NotFound)
    }
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

    /// Gives it to the user of a guest. On a file system without extended attributes the original owner is
    /// not remembered.
    ///
    /// # Errors
    /// [`LabelError::Change`], [`LabelError::Attribute`]; then nothing is changed.
    pub fn assign(&self, owner: Owner, guest: Uuid) -> Result<(), LabelError> {
        let mut users = self.read()?;
        if users.count() == 0 && !self.remember(self.owner()?)? {
            return self.change(owner);
        }
        if users.guests.insert(short(guest)) {
            self.write(&users)?;
        }
        let changed = self.change(owner);
        if changed.is_err() {
            // As it was before; the change is what the caller learns of.
            drop(self.restore(owner, guest));
        }
        changed
    }

    /// Ends the use by a guest that had it as `owner`; with the last one the original owner gets it back,
    /// root where none is remembered.
    ///
    /// # Errors
    /// [`LabelError::Change`], [`LabelError::Attribute`].
    pub fn restore(&self, owner: Owner, guest: Uuid) -> Result<(), LabelError> {
        if !self.has_attributes()? {
            let is_ours = self.owner()? == owner;
            return if is_ours { self.change(ROOT) } else { Ok(()) };
        }
        let mut users = self.read()?;
        if !users.guests.remove(&short(guest)) {
            // One that libvirt counted, or none.
            if self.get(GUESTS)?.is_some() && users.count() > 0 {
                return Ok(());
            }
            users.foreign = users.foreign.saturating_sub(1);
        }
        if users.count() > 0 {
            return self.write(&users);
        }
        if let Some(original) = self.get(OWNER)?.and_then(|text| text.parse().ok()) {
            self.change(original)?;
        }
        [USERS, OWNER, BOOT_TIME, GUESTS].iter().try_for_each(|attribute| self.remove(attribute))
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

    /// Notes the owner; returns whether the file system can.
    fn remember(&self, original: Owner) -> Result<bool, LabelError> {
        Ok(self.set(OWNER, &original.to_string())?
            && self.set(BOOT_TIME, &self.boot_time.to_string())?)
    }

    fn read(&self) -> Result<Users, LabelError> {
        let own = self.get(GUESTS)?.and_then(|text| Users::parse(&text, self.boot_time));
        match own {
            Some(users) => Ok(users),
            None => Ok(Users { foreign: self.users()?, guests: BTreeSet::new() }),
        }
    }

    /// The guests first: the count follows from them.
    fn write(&self, users: &Users) -> Result<(), LabelError> {
        self.set(GUESTS, &users.print(self.boot_time))?;
        self.set(USERS, &users.count().to_string()).map(|_| ())
    }

    fn has_attributes(&self) -> Result<bool, LabelError> {
        let mut value = [0; VALUE_MAX];
        match rustix::fs::getxattr(self.attributes(), OWNER, &mut value) {
            Err(Errno::OPNOTSUPP) => Ok(false),
            Ok(_) | Err(Errno::NODATA | Errno::RANGE) => Ok(true),
            Err(error) => Err(self.failed(OWNER)(error)),
        }
    }

    fn change(&self, owner: Owner) -> Result<(), LabelError> {
        if self.owner()? == owner {
            return Ok(());
        }
        let (uid, gid) = (Uid::from_raw(owner.uid), Gid::from_raw(owner.gid));
        match rustix::fs::chownat(&self.file, "", Some(uid), Some(gid), AtFlags::EMPTY_PATH) {
            Ok(()) => Ok(()),
            // Where files have no owner of their own it is left to their modes, as libvirt does.
            Err(error @ (Errno::ROFS | Errno::OPNOTSUPP | Errno::INVAL | Errno::PERM)) => {
                let path = self.path.display();
                tracing::info!(%path, %owner, %error, "leaving a file to its owner");
                Ok(())
            }
            Err(source) => {
                let path = self.path.clone();
                Err(LabelError::Change { path, owner, source: source.into() })
            }
        }
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
            Err(Errno::OPNOTSUPP | Errno::PERM | Errno::ROFS) => Ok(false),
            Err(error) => Err(self.failed(attribute)(error)),
        }
    }

    fn remove(&self, attribute: &'static str) -> Result<(), LabelError> {
        match rustix::fs::removexattr(self.attributes(), attribute) {
            Ok(()) | Err(Errno::NODATA | Errno::OPNOTSUPP | Errno::PERM | Errno::ROFS) => Ok(()),
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
    const A: Uuid = Uuid::from_u128(0xa << 124);
    const B: Uuid = Uuid::from_u128(0xb << 124);

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
        first.assign(GUEST, A).unwrap();
        assert_eq!(owner(&path), (64055, 64055));
        assert_eq!(first.get(OWNER).unwrap().as_deref(), Some("+1000:+1001"));
        let second = LabeledFile::open(&path, BOOT).unwrap();
        second.assign(GUEST, B).unwrap();
        assert_eq!(second.users().unwrap(), 2);
        first.restore(GUEST, A).unwrap();
        assert_eq!(owner(&path), (64055, 64055));
        assert_eq!(second.users().unwrap(), 1);
        second.restore(GUEST, B).unwrap();
        assert_eq!(owner(&path), (1000, 1001));
        assert_eq!(second.get(OWNER).unwrap(), None);
        assert_eq!(second.get(BOOT_TIME).unwrap(), None);
        assert_eq!(second.get(GUESTS).unwrap(), None);
    }

    #[test]
    fn what_is_done_twice_or_was_never_done_changes_nothing() {
        let Some((_dir, path)) = image() else { return };
        let file = LabeledFile::open(&path, BOOT).unwrap();
        file.restore(GUEST, A).unwrap();
        assert_eq!(owner(&path), (1000, 1001));
        file.assign(GUEST, A).unwrap();
        file.assign(GUEST, A).unwrap();
        assert_eq!(file.users().unwrap(), 1);
        file.restore(GUEST, B).unwrap();
        assert_eq!((owner(&path), file.users().unwrap()), ((64055, 64055), 1));
        file.restore(GUEST, A).unwrap();
        file.restore(GUEST, A).unwrap();
        assert_eq!((owner(&path), file.users().unwrap()), ((1000, 1001), 0));
    }

    #[test]
    fn guests_of_libvirt_are_counted_with_ours() {
        let Some((_dir, path)) = image() else { return };
        let file = LabeledFile::open(&path, BOOT).unwrap();
        let boot = BOOT.to_string();
        for (name, value) in [(OWNER, "+1000:+1001"), (USERS, "1"), (BOOT_TIME, boot.as_str())] {
            file.set(name, value).unwrap();
        }
        chown(&path, Some(64055), Some(64055)).unwrap();
        file.assign(GUEST, B).unwrap();
        assert_eq!(file.users().unwrap(), 2);
        file.restore(GUEST, B).unwrap();
        assert_eq!((owner(&path), file.users().unwrap()), ((64055, 64055), 1));
        file.remove(GUESTS).unwrap();
        file.restore(GUEST, A).unwrap();
        assert_eq!(owner(&path), (1000, 1001));
    }

    #[test]
    fn a_count_of_an_earlier_boot_is_ignored() {
        let Some((_dir, path)) = image() else { return };
        LabeledFile::open(&path, BOOT).unwrap().assign(GUEST, A).unwrap();
        chown(&path, Some(1000), Some(1001)).unwrap();
        let later = LabeledFile::open(&path, BOOT + 1).unwrap();
        assert_eq!(later.users().unwrap(), 0);
        later.assign(GUEST, A).unwrap();
        assert_eq!(later.users().unwrap(), 1);
        later.restore(GUEST, A).unwrap();
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
        file.assign(GUEST, A).unwrap();
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
