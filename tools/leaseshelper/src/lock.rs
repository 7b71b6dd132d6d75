//! Locks that serialise writers of a lease database.
//!
//! libvirt's helper locks byte 0 of one file for all networks of a host and removes the file afterwards, so the
//! DHCP servers of all networks wait for each other. Ours uses the same file, so that both helpers exclude each
//! other, but shares byte 0 between its own processes and locks another byte per bridge exclusively:
//!
//! | helper | byte 0 | byte of the bridge |
//! |---|---|---|
//! | libvirt's helper | exclusive | – |
//! | ours, any bridge | shared | exclusive |
//!
//! Two bridges with the same byte wait for each other, which is harmless. Reading takes no lock: databases are
//! replaced, never written in place.
//!
//! libvirt: `virPidFileAcquirePath`, src/util/virpidfile.c; fcntl(2), "Open file description locks"

use nix::{
    fcntl::{FcntlArg, fcntl},
    libc,
};
use oxivirt_types::link_name::LinkName;
use std::{
    fs::{self, File, OpenOptions},
    io,
    os::unix::fs::{MetadataExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
};

/// The right to write the database of one bridge, until dropped.
#[derive(Debug)]
pub(crate) struct WriteLock {
    path: PathBuf,
    file: File,
}

impl WriteLock {
    /// Waits for the right to write the database of `bridge`.
    ///
    /// # Errors
    /// The system's reason, if the lock file cannot be made or locked.
    pub(crate) fn acquire(path: &Path, bridge: &LinkName) -> io::Result<Self> {
        loop {
            let file = OpenOptions::new()
                .read(true)
                .write(true)
                .create(true)
                .truncate(false)
                .mode(0o644)
                .open(path)?;
            lock(&file, libc::F_RDLCK, 0, Wait::Yes)?;
            // the previous holder may have removed the file during the wait
            let (ours, named) = (file.metadata()?, fs::metadata(path));
            match named {
                Ok(named) if named.ino() == ours.ino() && named.dev() == ours.dev() => {
                    lock(&file, libc::F_WRLCK, byte_of(bridge), Wait::Yes)?;
                    return Ok(Self { path: path.to_owned(), file });
                }
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(error),
            }
        }
    }
}

impl Drop for WriteLock {
    /// Removes the file, as libvirt does, unless another process shares it: an exclusive lock on byte 0 succeeds
    /// only without one.
    fn drop(&mut self) {
        if lock(&self.file, libc::F_WRLCK, 0, Wait::No).is_ok() {
            // a remaining empty file is removed by the next call
            let _removed = fs::remove_file(&self.path);
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Wait {
    Yes,
    No,
}

fn lock(file: &File, kind: libc::c_int, byte: i64, wait: Wait) -> io::Result<()> {
    let request = libc::flock {
        l_type: constant(kind),
        l_whence: constant(libc::SEEK_SET),
        l_start: byte,
        l_len: 1,
        l_pid: 0,
    };
    loop {
        let done = match wait {
            Wait::Yes => fcntl(file, FcntlArg::F_OFD_SETLKW(&request)),
            Wait::No => fcntl(file, FcntlArg::F_OFD_SETLK(&request)),
        };
        match done {
            Ok(_) => return Ok(()),
            Err(nix::Error::EINTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
}

/// The constants fit; the types of the fields differ between C libraries.
fn constant<T: TryInto<i16>>(value: T) -> i16 {
    value.try_into().unwrap_or_default()
}

/// The byte of a bridge, after byte 0, the same in every process (FNV-1a, 32 bits).
fn byte_of(bridge: &LinkName) -> i64 {
    let mut hash = 0x811c_9dc5_u32;
    for byte in bridge.as_str().bytes() {
        hash = (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193);
    }
    1 + i64::from(hash)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{sync::mpsc, thread, time::Duration};

    fn bridge(name: &str) -> LinkName {
        LinkName::new(name).unwrap()
    }

    /// Whether the lock of `name` is had within a time.
    fn is_had_within(path: &Path, name: &'static str, time: Duration) -> bool {
        let (sender, receiver) = mpsc::channel();
        let path = path.to_owned();
        thread::spawn(move || {
            drop(WriteLock::acquire(&path, &bridge(name)).unwrap());
            // the receiver may have timed out
            sender.send(()).ok()
        });
        receiver.recv_timeout(time).is_ok()
    }

    /// Whether the lock of `name` can be had; a busy machine takes its time.
    fn is_free(path: &Path, name: &'static str) -> bool {
        is_had_within(path, name, Duration::from_secs(20))
    }

    fn is_taken(path: &Path, name: &'static str) -> bool {
        !is_had_within(path, name, Duration::from_millis(200))
    }

    #[test]
    fn bridges_do_not_wait_for_each_other_and_a_bridge_waits_for_itself() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("leaseshelper.pid");
        let lock = WriteLock::acquire(&path, &bridge("virbr0")).unwrap();
        assert!(is_free(&path, "virbr1"));
        assert!(is_taken(&path, "virbr0"));
        assert!(path.exists(), "the other bridge must not take the file away");
        drop(lock);
        assert!(is_free(&path, "virbr0"));
    }

    #[test]
    fn libvirts_lock_excludes_ours() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("leaseshelper.pid");
        let theirs = File::create(&path).unwrap();
        lock(&theirs, libc::F_WRLCK, 0, Wait::Yes).unwrap();
        assert!(is_taken(&path, "virbr0"));
        drop(theirs);
        assert!(is_free(&path, "virbr0"));
    }

    #[test]
    fn the_file_goes_with_its_last_user() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("leaseshelper.pid");
        let first = WriteLock::acquire(&path, &bridge("virbr0")).unwrap();
        let second = WriteLock::acquire(&path, &bridge("virbr1")).unwrap();
        drop(first);
        assert!(path.exists());
        drop(second);
        assert!(!path.exists());
    }
}
