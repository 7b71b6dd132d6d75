//! Files that are sent over TFTP, below directories that the driver opened.

use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::FileExt as _;
use std::sync::{Arc, Mutex, PoisonError};

use rustix::fs::{FileType, Mode, OFlags, ResolveFlags, fstat, openat2};
use rustix::io::Errno;

use crate::tftp::{self, Files, OpenError};

/// The directories, by the paths of the definitions.
#[derive(Debug, Clone, Default)]
pub(super) struct Roots(Arc<Mutex<BTreeMap<String, OwnedFd>>>);

impl Roots {
    /// Adds a directory, in the place of an earlier one of the same path.
    pub(super) fn insert(&self, path: String, directory: OwnedFd) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(path, directory);
    }
}

impl Files for Roots {
    fn open(&mut self, root: &str, path: &str) -> Result<Box<dyn tftp::File>, OpenError> {
        let roots = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let root = roots.get(root).ok_or(OpenError::NotFound)?;
        // A fifo or a device would stop the thread without NONBLOCK.
        let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK | OFlags::NOCTTY;
        let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_MAGICLINKS;
        let file = openat2(root, path, flags, Mode::empty(), resolve).map_err(|error| {
            if matches!(error, Errno::NOENT | Errno::NOTDIR) {
                OpenError::NotFound
            } else {
                OpenError::Denied
            }
        })?;
        let status = fstat(&file).map_err(|_| OpenError::Denied)?;
        if FileType::from_raw_mode(status.st_mode) != FileType::RegularFile {
            return Err(OpenError::Denied);
        }
        let size = u64::try_from(status.st_size).unwrap_or_default();
        Ok(Box::new(OnDisk { file: File::from(file), size }))
    }
}

#[derive(Debug)]
struct OnDisk {
    file: File,
    size: u64,
}

impl tftp::File for OnDisk {
    fn size(&self) -> u64 {
        self.size
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        self.file.read_at(buffer, offset)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_regular_files_below_the_directory_are_opened() {
        let directory = tempfile::tempdir().unwrap();
        let root = directory.path().join("root");
        std::fs::create_dir_all(root.join("sub")).unwrap();
        for (path, contents) in [("root/sub/boot", "0123456789"), ("secret", "x")] {
            oxivirt_sys::file::replace(
                &directory.path().join(path),
                contents.as_bytes(),
                0o600,
                oxivirt_sys::file::Durability::Regenerated,
            )
            .unwrap();
        }
        let link = |target: &str, name: &str| {
            std::os::unix::fs::symlink(target, root.join(name)).unwrap();
        };
        link("sub/boot", "inside");
        link("../secret", "outside");
        link("/etc/passwd", "absolute");
        let fifo = root.join("fifo");
        nix::unistd::mkfifo(&fifo, nix::sys::stat::Mode::S_IRUSR).unwrap();
        let mut roots = Roots::default();
        let flags = OFlags::PATH | OFlags::DIRECTORY;
        roots.insert("/r".to_owned(), rustix::fs::open(&root, flags, Mode::empty()).unwrap());
        for good in ["sub/boot", "inside", "sub/../inside"] {
            let file = roots.open("/r", good).unwrap();
            let mut buffer = [0; 4];
            assert_eq!((file.size(), file.read_at(8, &mut buffer).unwrap()), (10, 2), "{good}");
            assert_eq!(&buffer[..2], b"89");
        }
        for (bad, why) in [
            ("nothing", OpenError::NotFound),
            ("sub/boot/x", OpenError::NotFound),
            ("sub", OpenError::Denied),
            ("fifo", OpenError::Denied),
            ("outside", OpenError::Denied),
            ("absolute", OpenError::Denied),
            ("../secret", OpenError::Denied),
        ] {
            assert_eq!(roots.open("/r", bad).unwrap_err(), why, "{bad}");
        }
        assert_eq!(roots.open("/other", "boot").unwrap_err(), OpenError::NotFound);
    }
}
