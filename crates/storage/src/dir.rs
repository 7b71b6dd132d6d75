//! A pool's directory by descriptor: what is opened or made is inside, whatever changes meanwhile.
//!
//! A path of a volume could be turned into a link between a check and its use. Here everything that is
//! written is found from the descriptor of the directory, and no link is followed
//! (openat2(2), `RESOLVE_BENEATH`, `RESOLVE_NO_SYMLINKS`).

use std::fs::File;
use std::io;
use std::os::fd::{AsFd as _, AsRawFd as _, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::fs::{self, AtFlags, FileType, Mode, OFlags, RenameFlags, ResolveFlags, Stat};
use rustix::io::Errno;

/// Permissions of a directory in which a volume is made.
const STAGING_MODE: u32 = 0o700;
/// How names of such directories begin.
pub(crate) const STAGING_PREFIX: &str = ".oxivirt-";

/// An open directory.
#[derive(Debug)]
pub(crate) struct Dir {
    fd: OwnedFd,
    path: PathBuf,
}

impl Dir {
    /// Opens a pool's directory. Its path is the administrator's, so links in it are followed.
    pub(crate) fn open(path: &Path) -> io::Result<Self> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let fd = fs::open(path, flags, Mode::empty())?;
        Ok(Self { fd, path: path.to_owned() })
    }

    /// Makes and opens the directory in which a volume is made.
    pub(crate) fn make_staging(&self, name: &str) -> io::Result<Self> {
        fs::mkdirat(&self.fd, name, Mode::from_raw_mode(STAGING_MODE))?;
        self.open_staging(name)
    }

    /// Opens such a directory; another one under its name is refused.
    pub(crate) fn open_staging(&self, name: &str) -> io::Result<Self> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY;
        let fd = OwnedFd::from(self.open_inside(name, flags, 0)?);
        let stat = fs::fstat(&fd)?;
        let is_own = stat.st_uid == rustix::process::geteuid().as_raw();
        if !is_own || stat.st_mode & 0o077 != 0 {
            return Err(Errno::PERM.into());
        }
        Ok(Self { fd, path: self.path.join(name) })
    }

    /// Opens what is directly inside, if it is no link.
    pub(crate) fn open_inside(&self, name: &str, flags: OFlags, mode: u32) -> io::Result<File> {
        let resolve =
            ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS;
        let flags = flags | OFlags::CLOEXEC | OFlags::NOFOLLOW | OFlags::NOCTTY;
        let opened = fs::openat2(&self.fd, name, flags, Mode::from_raw_mode(mode), resolve);
        Ok(File::from(opened?))
    }

    /// Opens a regular file for writing.
    pub(crate) fn open_for_writing(&self, name: &str) -> io::Result<File> {
        // without NONBLOCK a pipe under the name would wait for its reader
        let file = self.open_inside(name, OFlags::RDWR | OFlags::NONBLOCK, 0)?;
        regular(file)
    }

    /// Opens a regular file or block device for reading, also through a link as libvirt does.
    pub(crate) fn open_for_reading(&self, name: &str) -> io::Result<File> {
        let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NOCTTY | OFlags::NONBLOCK;
        Ok(File::from(fs::openat(&self.fd, name, flags, Mode::empty())?))
    }

    /// Names of what is inside.
    pub(crate) fn names(&self) -> io::Result<Vec<String>> {
        let mut names = Vec::new();
        for entry in fs::Dir::read_from(&self.fd)? {
            let entry = entry?;
            match entry.file_name().to_str() {
                Ok("." | "..") => {}
                Ok(name) if name.starts_with(STAGING_PREFIX) => {}
                Ok(name) => names.push(name.to_owned()),
                Err(_) => tracing::warn!(
                    pool = %self.path.display(),
                    "skipping a file: its name is not UTF-8"
                ),
            }
        }
        Ok(names)
    }

    /// What a name leads to.
    pub(crate) fn stat(&self, name: &str) -> io::Result<Stat> {
        Ok(fs::statat(&self.fd, name, AtFlags::empty())?)
    }

    /// What has the name, a link itself.
    pub(crate) fn lstat(&self, name: &str) -> io::Result<Stat> {
        Ok(fs::statat(&self.fd, name, AtFlags::SYMLINK_NOFOLLOW)?)
    }

    /// Makes a directory.
    pub(crate) fn make_dir(&self, name: &str, mode: u32) -> io::Result<()> {
        Ok(fs::mkdirat(&self.fd, name, Mode::from_raw_mode(mode))?)
    }

    /// Removes a file or an empty directory; nothing is done if there is none.
    pub(crate) fn remove(&self, name: &str) -> io::Result<()> {
        let stat = match self.lstat(name) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            other => other?,
        };
        let is_dir = FileType::from_raw_mode(stat.st_mode) == FileType::Directory;
        let flags = if is_dir { AtFlags::REMOVEDIR } else { AtFlags::empty() };
        match fs::unlinkat(&self.fd, name, flags) {
            Err(Errno::NOENT) => Ok(()),
            other => Ok(other?),
        }
    }

    /// Removes a staging directory and what is in it; nothing is done if there is none.
    pub(crate) fn remove_staging(&self, name: &str) -> io::Result<()> {
        match self.open_staging(name) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(error) => return Err(error),
            Ok(staging) => {
                for inside in staging.names()? {
                    staging.remove(&inside)?;
                }
            }
        }
        self.remove(name)
    }

    /// Gives a finished file its name in this directory, which must be free.
    pub(crate) fn adopt(&self, staging: &Self, name: &str) -> io::Result<()> {
        let renamed = fs::renameat_with(&staging.fd, name, &self.fd, name, RenameFlags::NOREPLACE);
        match renamed {
            // file systems without the flag; a link never replaces
            Err(Errno::INVAL | Errno::NOSYS) => {
                fs::linkat(&staging.fd, name, &self.fd, name, AtFlags::empty())?;
                staging.remove(name)?;
            }
            other => other?,
        }
        Ok(())
    }

    /// Writes the directory's entries to the disk.
    pub(crate) fn sync(&self) -> io::Result<()> {
        match fs::fsync(&self.fd) {
            // some file systems cannot, and lose nothing by it
            Err(Errno::INVAL) => Ok(()),
            other => Ok(other?),
        }
    }

    /// Size and free space of its file system.
    pub(crate) fn usage(&self) -> io::Result<(u64, u64)> {
        let found = fs::fstatvfs(&self.fd)?;
        let bytes = |blocks: u64| blocks.saturating_mul(found.f_frsize);
        Ok((bytes(found.f_blocks), bytes(found.f_bavail)))
    }

    /// Its own state.
    pub(crate) fn own_stat(&self) -> io::Result<Stat> {
        Ok(fs::fstat(&self.fd)?)
    }

    /// A path of something inside that another program of this user finds from our descriptor, so that
    /// nothing on the way can be exchanged. It is valid as long as the directory is open.
    pub(crate) fn path_for_programs(&self, name: &str) -> String {
        let process = std::process::id();
        format!("/proc/{process}/fd/{}/{name}", self.fd.as_fd().as_raw_fd())
    }
}

/// The file, if it is a regular one.
fn regular(file: File) -> io::Result<File> {
    match file.metadata()?.is_file() {
        true => Ok(file),
        false => Err(Errno::INVAL.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    #[test]
    fn nothing_is_written_through_a_link() {
        let outside = tempfile::tempdir().unwrap();
        let inside = tempfile::tempdir().unwrap();
        let target = outside.path().join("t");
        oxivirt_sys::file::replace(&target, b"keep", 0o600, DURABILITY).unwrap();
        symlink(&target, inside.path().join("link")).unwrap();
        symlink(outside.path(), inside.path().join(".oxivirt-1")).unwrap();
        let dir = Dir::open(inside.path()).unwrap();
        assert!(dir.open_for_writing("link").is_err());
        assert!(dir.open_for_writing("../t").is_err());
        assert!(dir.open_for_writing("/etc/passwd").is_err());
        assert!(dir.open_staging(".oxivirt-1").is_err());
        assert!(dir.remove_staging(".oxivirt-1").is_err());
        // the link goes, not what it leads to
        dir.remove("link").unwrap();
        dir.remove("link").unwrap();
        assert_eq!(std::fs::read(&target).unwrap(), b"keep");
    }

    #[test]
    fn a_finished_file_replaces_none() {
        let inside = tempfile::tempdir().unwrap();
        let dir = Dir::open(inside.path()).unwrap();
        let staging = dir.make_staging(".oxivirt-2").unwrap();
        for _ in 0..2 {
            staging.open_inside("a", OFlags::CREATE | OFlags::WRONLY, 0o600).unwrap();
            if dir.lstat("a").is_err() {
                dir.adopt(&staging, "a").unwrap();
            } else {
                let error = dir.adopt(&staging, "a").unwrap_err();
                assert_eq!(error.kind(), io::ErrorKind::AlreadyExists);
            }
        }
        assert_eq!(dir.names().unwrap(), ["a"]);
        dir.remove_staging(".oxivirt-2").unwrap();
        dir.remove_staging(".oxivirt-2").unwrap();
        assert_eq!(std::fs::read_dir(inside.path()).unwrap().count(), 1);
    }

    const DURABILITY: oxivirt_sys::file::Durability = oxivirt_sys::file::Durability::Regenerated;
}
