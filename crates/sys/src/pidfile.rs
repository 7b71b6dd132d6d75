//! Pid files: a file whose lock is held by the process that it names.

use std::fmt;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use nix::fcntl::{FcntlArg, fcntl};
use nix::libc;

/// How long the lock of a holder that was killed may outlive it: a child has a copy of the open file
/// between its start and the program that it is to run.
const INHERITED: Duration = Duration::from_secs(1);

/// Why a pid file could not be had.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PidFileError {
    /// Another process holds the lock.
    #[error("'{path}' is held by {holder}")]
    Held {
        /// The file.
        path: PathBuf,
        /// Pid and program name, if known.
        holder: String,
    },
    /// The file cannot be opened, locked or written.
    #[error("cannot use '{path}'")]
    Io {
        /// The file.
        path: PathBuf,
        /// The system's reason.
        #[source]
        source: io::Error,
    },
}

/// A locked pid file; released and removed on drop, released by the kernel if the process dies.
///
/// The lock is on byte 0. It is owned by the open file, not by the process, so that it also excludes
/// a second lock in the same process; it excludes libvirt's process-owned lock and is excluded by it
/// (libvirt: `virPidFileAcquirePath`; fcntl(2), "Open file description locks").
#[derive(Debug)]
pub struct PidFile {
    path: PathBuf,
    _file: File,
}

impl PidFile {
    /// Takes the file and writes the pid of this process into it: decimal, no line end.
    ///
    /// # Errors
    /// [`PidFileError::Held`] names the holder.
    pub fn acquire(path: &Path) -> Result<Self, PidFileError> {
        let end = Instant::now() + INHERITED;
        Self::acquire_after(path, || {
            thread::sleep(Duration::from_millis(1));
            Instant::now() < end
        })
    }

    /// The same; while children of a dead holder keep it, `wait` waits and says whether to go on.
    fn acquire_after(path: &Path, mut wait: impl FnMut() -> bool) -> Result<Self, PidFileError> {
        let fail = |source| PidFileError::Io { path: path.to_owned(), source };
        loop {
            let mut file = OpenOptions::new()
                .read(true)
                .write(true)
                .create(true)
                .truncate(false)
                .mode(0o644)
                .open(path)
                .map_err(fail)?;
            if !lock(&file).map_err(fail)? {
                let holder = LockOwner::read(&mut file);
                if holder.is_gone() && wait() {
                    continue;
                }
                let holder = holder.to_string();
                return Err(PidFileError::Held { path: path.to_owned(), holder });
            }
            // Its former holder may have removed it between our opening and locking.
            let ours = file.metadata().map_err(fail)?;
            match fs::metadata(path) {
                Ok(named) if named.ino() == ours.ino() && named.dev() == ours.dev() => {}
                Ok(_) => continue,
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                Err(source) => return Err(fail(source)),
            }
            file.set_len(0).map_err(fail)?;
            file.write_all(std::process::id().to_string().as_bytes()).map_err(fail)?;
            return Ok(Self { path: path.to_owned(), _file: file });
        }
    }
}

impl Drop for PidFile {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_file(&self.path) {
            tracing::debug!(path = %self.path.display(), %error, "cannot remove the pid file; the next process overwrites it");
        }
    }
}

/// Locks byte 0 for writing; `false` if another process has the lock.
fn lock(file: &File) -> io::Result<bool> {
    let request = libc::flock {
        l_type: lock_constant(libc::F_WRLCK),
        l_whence: lock_constant(libc::SEEK_SET),
        l_start: 0,
        l_len: 1,
        l_pid: 0,
    };
    match fcntl(file, FcntlArg::F_OFD_SETLK(&request)) {
        Ok(_) => Ok(true),
        Err(nix::Error::EAGAIN | nix::Error::EACCES) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

/// The constants fit; the field types differ between C libraries.
fn lock_constant<T: TryInto<i16>>(value: T) -> i16 {
    value.try_into().unwrap_or_default()
}

/// The process that wrote a locked file.
struct LockOwner(Option<u32>);

impl LockOwner {
    fn read(file: &mut File) -> Self {
        let mut text = String::new();
        let read = file.read_to_string(&mut text);
        Self(read.ok().and_then(|_| text.trim().parse().ok()))
    }

    /// Whether it ended, so that only what it was about to run can have the lock.
    fn is_gone(&self) -> bool {
        self.0.is_some_and(|pid| !Path::new(&format!("/proc/{pid}")).exists())
    }
}

impl fmt::Display for LockOwner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(pid) = self.0 else {
            return f.write_str("another process");
        };
        match fs::read_to_string(format!("/proc/{pid}/comm")) {
            Ok(name) => write!(f, "{} (pid {pid})", name.trim_end()),
            Err(_) => write!(f, "pid {pid}"),
        }
    }
}

/// Reads a pid file of another process; `None` if there is none or it holds no pid.
#[must_use]
pub fn read(path: &Path) -> Option<u32> {
    let content = super::file::read(path, 64).ok()??;
    std::str::from_utf8(&content).ok()?.trim().parse().ok().filter(|pid| *pid > 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn excludes_a_second_holder_by_name_and_releases() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("driver.pid");
        let first = PidFile::acquire(&path).unwrap();
        assert_eq!(read(&path), Some(std::process::id()));
        let Err(PidFileError::Held { holder, .. }) = PidFile::acquire(&path) else {
            panic!("a second holder got it");
        };
        assert!(holder.contains(&std::process::id().to_string()), "{holder}");
        drop(first);
        assert!(!path.exists());
        PidFile::acquire(&path).unwrap();
    }

    #[test]
    fn waits_for_the_child_of_a_dead_holder() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("driver.pid");
        // above every pid the kernel gives
        let mut child =
            OpenOptions::new().write(true).create(true).truncate(false).open(&path).unwrap();
        child.write_all(b"4194305").unwrap();
        assert!(lock(&child).unwrap());
        let mut child = Some(child);
        let mut n_waits = 0;
        PidFile::acquire_after(&path, || {
            n_waits += 1;
            child.take().is_some()
        })
        .unwrap();
        assert_eq!(n_waits, 1);
    }
}
