//! Hearing of files that appear in a directory.

use std::ffi::OsString;
use std::io;
use std::os::fd::{AsFd as _, AsRawFd, RawFd};
use std::path::Path;

use nix::sys::inotify::{AddWatchFlags, InitFlags, Inotify};
use tokio::io::unix::AsyncFd;

/// A watch on one directory.
///
/// inotify(7)
#[derive(Debug)]
pub struct DirWatch {
    inotify: AsyncFd<Descriptor>,
}

#[derive(Debug)]
struct Descriptor(Inotify);

impl AsRawFd for Descriptor {
    fn as_raw_fd(&self) -> RawFd {
        self.0.as_fd().as_raw_fd()
    }
}

impl DirWatch {
    /// Starts to watch `dir` for files that are replaced or written.
    ///
    /// # Errors
    /// The system's reason; users have few inotify instances.
    pub fn new(dir: &Path) -> io::Result<Self> {
        let inotify = Inotify::init(InitFlags::IN_NONBLOCK | InitFlags::IN_CLOEXEC)?;
        let events = AddWatchFlags::IN_MOVED_TO | AddWatchFlags::IN_CLOSE_WRITE;
        inotify.add_watch(dir, events)?;
        #[expect(
            deprecated,
            reason = "an owned Inotify stays open; the replacement is an unsafe function"
        )]
        let inotify = AsyncFd::new(Descriptor(inotify))?;
        Ok(Self { inotify })
    }

    /// Waits for the next files.
    ///
    /// An empty list means that events were lost: any file may have changed.
    ///
    /// # Errors
    /// The system's reason.
    pub async fn changed(&mut self) -> io::Result<Vec<OsString>> {
        loop {
            let mut ready = self.inotify.readable().await?;
            match ready.get_inner().0.read_events() {
                Ok(events) => {
                    let is_lost = events
                        .iter()
                        .any(|event| event.mask.contains(AddWatchFlags::IN_Q_OVERFLOW));
                    let mut names: Vec<_> =
                        events.into_iter().filter_map(|event| event.name).collect();
                    names.sort();
                    names.dedup();
                    if is_lost {
                        names.clear();
                    }
                    return Ok(names);
                }
                Err(nix::errno::Errno::EAGAIN) => ready.clear_ready(),
                Err(errno) => return Err(errno.into()),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn names_of_replaced_files() {
        let dir = tempfile::tempdir().unwrap();
        let mut watch = DirWatch::new(dir.path()).unwrap();
        let path = dir.path().join("a.status");
        crate::file::replace(&path, b"x", 0o600, crate::file::Durability::Regenerated).unwrap();
        let mut seen = Vec::new();
        while !seen.contains(&OsString::from("a.status")) {
            seen.extend(watch.changed().await.unwrap());
        }
    }
}
