//! Processes of guests. They are no children of the driver and outlive it.

use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::time::Duration;

use nix::fcntl::{FcntlArg, fcntl};
use nix::libc;
use rustix::process::{
    Pid, PidfdFlags, PidfdGetfdFlags, Signal, pidfd_getfd, pidfd_open, pidfd_send_signal,
};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

/// How long a process may take to end by itself.
const GRACE: Duration = Duration::from_secs(10);
/// How long the kernel may take to end a process.
const KILL: Duration = Duration::from_secs(30);

/// Whether a process that does not end is killed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Force {
    /// It is asked to end and left alone.
    Graceful,
    /// It is killed.
    Kill,
}

/// A process, referred to by a pidfd: its number may be reused.
#[derive(Debug)]
pub(crate) struct Process {
    pid: i32,
    handle: AsyncFd<OwnedFd>,
}

impl Process {
    /// The process with this number; `None` if there is none. Must be called in a tokio runtime.
    ///
    /// # Errors
    /// The kernel's reason.
    pub(crate) fn open(pid: i32) -> io::Result<Option<Self>> {
        let Some(number) = Pid::from_raw(pid) else { return Ok(None) };
        match pidfd_open(number, PidfdFlags::NONBLOCK) {
            Ok(handle) => {
                #[expect(
                    deprecated,
                    reason = "an OwnedFd stays open; the replacement is an unsafe function"
                )]
                let handle = AsyncFd::with_interest(handle, Interest::READABLE)?;
                Ok(Some(Self { pid, handle }))
            }
            Err(rustix::io::Errno::SRCH) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// The process that has a pid file locked, which a guest's process does as long as it lives.
    ///
    /// # Errors
    /// The kernel's reason.
    pub(crate) fn of_pid_file(path: &Path) -> io::Result<Option<Self>> {
        let file = match File::open(path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        let Some(pid) = holder(&file)? else { return Ok(None) };
        let process = Self::open(pid)?;
        // Its number may have been given to another process before it was opened.
        Ok(if holder(&file)? == Some(pid) { process } else { None })
    }

    /// Its number.
    pub(crate) const fn pid(&self) -> i32 {
        self.pid
    }

    /// Duplicates of its descriptors of taps, as far as they may be had: with its last descriptor a tap is gone.
    pub(crate) fn taps(&self) -> Vec<OwnedFd> {
        let Ok(entries) = std::fs::read_dir(format!("/proc/{}/fdinfo", self.pid)) else {
            return Vec::new();
        };
        // The name of the interface (`tun_chr_show_fdinfo`, drivers/net/tun.c).
        let is_tap = |path: &Path| {
            let text = std::fs::read_to_string(path).unwrap_or_default();
            text.lines().any(|line| line.starts_with("iff:"))
        };
        let taps = entries.flatten().filter(|entry| is_tap(&entry.path()));
        let numbers = taps.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
        let process = self.handle.get_ref();
        numbers.filter_map(|fd| pidfd_getfd(process, fd, PidfdGetfdFlags::empty()).ok()).collect()
    }

    /// Waits for its end.
    pub(crate) async fn ended(&self) {
        // An error means that the runtime ends.
        drop(self.handle.readable().await);
    }

    /// Asks it to end, and kills it if it does not; returns once it has ended.
    ///
    /// # Errors
    /// `EBUSY` if it has not ended.
    pub(crate) async fn end(&self, force: Force) -> io::Result<()> {
        if self.signal(Signal::TERM)? && self.ends_within(GRACE).await {
            return Ok(());
        }
        if force == Force::Graceful && !self.ends_within(Duration::ZERO).await {
            return Err(io::Error::from_raw_os_error(libc::EBUSY));
        }
        if !self.signal(Signal::KILL)? || self.ends_within(KILL).await {
            return Ok(());
        }
        Err(io::Error::from_raw_os_error(libc::EBUSY))
    }

    async fn ends_within(&self, time: Duration) -> bool {
        tokio::time::timeout(time, self.ended()).await.is_ok()
    }

    /// Returns whether it is there to receive the signal.
    fn signal(&self, signal: Signal) -> io::Result<bool> {
        match pidfd_send_signal(self.handle.get_ref(), signal) {
            Ok(()) => Ok(true),
            Err(rustix::io::Errno::SRCH) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }
}

/// Who has a lock that excludes another one on the whole file.
#[expect(clippy::cast_possible_truncation, reason = "the constants are small")]
fn holder(file: &File) -> io::Result<Option<i32>> {
    let mut lock = libc::flock {
        l_type: libc::F_WRLCK as libc::c_short,
        l_whence: libc::SEEK_SET as libc::c_short,
        l_start: 0,
        l_len: 0,
        l_pid: 0,
    };
    fcntl(file, FcntlArg::F_GETLK(&mut lock))?;
    let is_free = lock.l_type == libc::F_UNLCK as libc::c_short;
    Ok((!is_free && lock.l_pid > 0).then_some(lock.l_pid))
}

/// CPU time that a process has used, in nanoseconds; 0 once it has ended (proc_pid_stat(5)).
pub(crate) fn cpu_time(pid: i32) -> u64 {
    let Ok(text) = std::fs::read_to_string(format!("/proc/{pid}/stat")) else { return 0 };
    // The name, in parentheses, may have blanks and parentheses in it.
    let rest = text.rsplit_once(')').map_or("", |(_, rest)| rest);
    let ticks: u64 =
        rest.split_whitespace().skip(11).take(2).filter_map(|n| n.parse::<u64>().ok()).sum();
    let per_second = rustix::param::clock_ticks_per_second().max(1);
    ticks.saturating_mul(1_000_000_000 / per_second)
}

/// The threads of a process.
pub(crate) fn threads(pid: i32) -> Vec<i32> {
    let Ok(entries) = std::fs::read_dir(format!("/proc/{pid}/task")) else { return Vec::new() };
    let names = entries.filter_map(|entry| Some(entry.ok()?.file_name()));
    names.filter_map(|name| name.to_string_lossy().parse().ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_pid_file_that_nothing_has_locked_is_of_no_process() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("pid");
        assert!(Process::of_pid_file(&path).unwrap().is_none());
        let text = std::process::id().to_string();
        let durability = oxivirt_sys::file::Durability::Regenerated;
        oxivirt_sys::file::replace(&path, text.as_bytes(), 0o644, durability).unwrap();
        assert!(Process::of_pid_file(&path).unwrap().is_none());
        let own = i32::try_from(std::process::id()).unwrap();
        assert_eq!(Process::open(own).unwrap().unwrap().pid(), own);
        assert!(cpu_time(own) < 1_000_000_000_000);
        assert_eq!(cpu_time(0), 0);
    }
}
