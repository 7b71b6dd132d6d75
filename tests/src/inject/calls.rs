//! Which system calls change something that outlives the process.
//!
//! A call counts if it can change files, kernel objects or other processes: making, changing,
//! renaming and removing files; writing to files, sockets and pipes; requests over sockets
//! (netlink reads look like netlink changes from here, so both count); starting and signalling
//! processes. Left out are calls whose effect ends with the process (memory, own descriptors,
//! locks, timers, threads) and those that only make durable what is there already (fsync).
//!
//! Starting a process counts twice, before and after: what a process does that was just started
//! is a state of its own.

use std::fs;
use std::os::unix::fs::FileExt as _;
use std::path::Path;

use nix::libc;
use serde::{Deserialize, Serialize};

/// Whether a kill point is at the beginning or at the end of its call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Moment {
    /// The kernel has not carried it out.
    Before,
    /// The kernel has carried it out.
    After,
}

/// A kill point.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Call {
    /// Name of the system call.
    pub name: String,
    /// What it acts on, if known: a path, `socket`, `pipe`.
    pub object: String,
    /// When the process is killed.
    pub moment: Moment,
}

impl std::fmt::Display for Call {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let moment = match self.moment {
            Moment::Before => "before",
            Moment::After => "after",
        };
        write!(f, "{moment} {}({})", self.name, self.object)
    }
}

/// How a call is recognised as changing something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// It always does; the path is this argument.
    Path(usize),
    /// It always does; the file descriptor is this argument.
    Descriptor(usize),
    /// It always does; nothing worth printing.
    Always,
    /// If flags, which are this argument, ask for creation or truncation; the path is before them.
    Open(usize),
    /// If the descriptor, which is this argument, leads out of the process.
    Write(usize),
    /// Unless a flag, in the first argument, makes it a thread.
    Clone,
    /// The same, with the flags at the address in the first argument.
    Clone3,
}

const PATH1: Kind = Kind::Path(0);
const PATH2: Kind = Kind::Path(1);

/// The calls, by number.
const CALLS: &[(libc::c_long, &str, Kind)] = &[
    (libc::SYS_openat, "openat", Kind::Open(2)),
    (libc::SYS_openat2, "openat2", PATH2),
    (libc::SYS_mkdirat, "mkdirat", PATH2),
    (libc::SYS_mknodat, "mknodat", PATH2),
    (libc::SYS_unlinkat, "unlinkat", PATH2),
    (libc::SYS_renameat2, "renameat2", PATH2),
    (libc::SYS_linkat, "linkat", PATH2),
    (libc::SYS_symlinkat, "symlinkat", Kind::Path(2)),
    (libc::SYS_fchmodat, "fchmodat", PATH2),
    (libc::SYS_fchownat, "fchownat", PATH2),
    (libc::SYS_utimensat, "utimensat", PATH2),
    (libc::SYS_truncate, "truncate", PATH1),
    (libc::SYS_setxattr, "setxattr", PATH1),
    (libc::SYS_removexattr, "removexattr", PATH1),
    (libc::SYS_mount, "mount", PATH2),
    (libc::SYS_umount2, "umount2", PATH1),
    (libc::SYS_fchmod, "fchmod", Kind::Descriptor(0)),
    (libc::SYS_fchown, "fchown", Kind::Descriptor(0)),
    (libc::SYS_ftruncate, "ftruncate", Kind::Descriptor(0)),
    (libc::SYS_fallocate, "fallocate", Kind::Descriptor(0)),
    (libc::SYS_fsetxattr, "fsetxattr", Kind::Descriptor(0)),
    (libc::SYS_write, "write", Kind::Write(0)),
    (libc::SYS_pwrite64, "pwrite64", Kind::Write(0)),
    (libc::SYS_writev, "writev", Kind::Write(0)),
    (libc::SYS_pwritev, "pwritev", Kind::Write(0)),
    (libc::SYS_pwritev2, "pwritev2", Kind::Write(0)),
    (libc::SYS_sendto, "sendto", Kind::Write(0)),
    (libc::SYS_sendmsg, "sendmsg", Kind::Write(0)),
    (libc::SYS_sendmmsg, "sendmmsg", Kind::Write(0)),
    (libc::SYS_sendfile, "sendfile", Kind::Write(0)),
    (libc::SYS_copy_file_range, "copy_file_range", Kind::Write(2)),
    (libc::SYS_splice, "splice", Kind::Write(2)),
    (libc::SYS_kill, "kill", Kind::Always),
    (libc::SYS_tgkill, "tgkill", Kind::Always),
    (libc::SYS_pidfd_send_signal, "pidfd_send_signal", Kind::Always),
    (libc::SYS_clone, "clone", Kind::Clone),
    (libc::SYS_clone3, "clone3", Kind::Clone3),
];

/// Calls that newer architectures do without.
#[cfg(target_arch = "x86_64")]
const OLDER_CALLS: &[(libc::c_long, &str, Kind)] = &[
    (libc::SYS_open, "open", Kind::Open(1)),
    (libc::SYS_creat, "creat", PATH1),
    (libc::SYS_mkdir, "mkdir", PATH1),
    (libc::SYS_rmdir, "rmdir", PATH1),
    (libc::SYS_mknod, "mknod", PATH1),
    (libc::SYS_unlink, "unlink", PATH1),
    (libc::SYS_rename, "rename", PATH1),
    (libc::SYS_renameat, "renameat", PATH2),
    (libc::SYS_link, "link", PATH2),
    (libc::SYS_symlink, "symlink", PATH2),
    (libc::SYS_chmod, "chmod", PATH1),
    (libc::SYS_chown, "chown", PATH1),
    (libc::SYS_lchown, "lchown", PATH1),
    (libc::SYS_utime, "utime", PATH1),
    (libc::SYS_utimes, "utimes", PATH1),
    (libc::SYS_fork, "fork", Kind::Always),
    (libc::SYS_vfork, "vfork", Kind::Always),
];
#[cfg(not(target_arch = "x86_64"))]
const OLDER_CALLS: &[(libc::c_long, &str, Kind)] = &[];

/// Every call that can count: its number, its name and when it does.
pub fn table() -> impl Iterator<Item = (libc::c_long, &'static str, Kind)> {
    CALLS.iter().chain(OLDER_CALLS).copied()
}

/// Whether a descriptor that `/proc/PID/fd` shows as `target` leads out of the process.
///
/// `descriptor` is its number: what a program says on its own output changes nothing.
pub fn leads_out(descriptor: u64, target: &str) -> bool {
    let inside = ["anon_inode:", "/memfd:", "/dev/null", "/dev/pts/", "/dev/tty"];
    !matches!(descriptor, 1 | 2) && !inside.iter().any(|prefix| target.starts_with(prefix))
}

/// Whether the flags of an open(2) change something by themselves.
pub fn open_changes(flags: libc::c_int) -> bool {
    flags & (libc::O_CREAT | libc::O_TRUNC) != 0
}

/// A thread that stands at the beginning or the end of a system call.
#[derive(Debug)]
pub struct Stopped {
    thread: i32,
    number: libc::c_long,
    arguments: Vec<u64>,
}

impl Stopped {
    /// Reads which call it is; `None` if the thread is gone.
    ///
    /// proc_pid_syscall(5)
    pub fn read(thread: i32) -> Option<Self> {
        let text = fs::read_to_string(format!("/proc/{thread}/syscall")).ok()?;
        let mut words = text.split_whitespace();
        let number = words.next()?.parse().ok()?;
        let arguments = words
            .take(6)
            .map(|word| u64::from_str_radix(word.trim_start_matches("0x"), 16))
            .collect::<Result<_, _>>()
            .ok()?;
        Some(Self { thread, number, arguments })
    }

    /// Whether it reads from standard input.
    pub fn reads_input(&self) -> bool {
        self.number == libc::SYS_read && self.arguments.first() == Some(&0)
    }

    /// The kill point that this stop is, if it is one.
    pub fn call(&self, moment: Moment) -> Option<Call> {
        let (_, name, kind) = table().find(|(number, ..)| *number == self.number)?;
        let starts_process =
            matches!(kind, Kind::Clone | Kind::Clone3) || matches!(name, "fork" | "vfork");
        if moment == Moment::After && !starts_process {
            return None;
        }
        let object = match kind {
            Kind::Path(at) => self.string(at),
            Kind::Descriptor(at) => self.descriptor(at)?.1,
            Kind::Always => String::new(),
            Kind::Open(at) => {
                // The kernel, too, looks at 32 bits only.
                let flags = (*self.arguments.get(at)? as u32).cast_signed();
                open_changes(flags).then(|| self.string(at - 1))?
            }
            Kind::Write(at) => {
                let (descriptor, target) = self.descriptor(at)?;
                leads_out(descriptor, &target).then_some(target)?
            }
            Kind::Clone => (!is_thread(*self.arguments.first()?)).then(String::new)?,
            Kind::Clone3 => (!is_thread(self.word(0)?)).then(String::new)?,
        };
        // Numbers of sockets and pipes differ from run to run.
        let object = object.split(":[").next().unwrap_or_default().to_owned();
        Some(Call { name: name.to_owned(), object, moment })
    }

    fn descriptor(&self, at: usize) -> Option<(u64, String)> {
        let descriptor = u64::from(*self.arguments.get(at)? as u32);
        let link = format!("/proc/{}/fd/{descriptor}", self.thread);
        let target = fs::read_link(link).ok()?;
        Some((descriptor, target.to_string_lossy().into_owned()))
    }

    fn memory(&self, at: usize, buffer: &mut [u8]) -> Option<usize> {
        let memory = fs::File::open(Path::new(&format!("/proc/{}/mem", self.thread))).ok()?;
        memory.read_at(buffer, *self.arguments.get(at)?).ok()
    }

    /// The 64-bit word at the address in an argument.
    fn word(&self, at: usize) -> Option<u64> {
        let mut bytes = [0; 8];
        (self.memory(at, &mut bytes)? == bytes.len()).then(|| u64::from_ne_bytes(bytes))
    }

    /// The string at the address in an argument, for messages.
    fn string(&self, at: usize) -> String {
        let mut bytes = [0; 256];
        let count = self.memory(at, &mut bytes).unwrap_or(0);
        let text = bytes[..count].split(|byte| *byte == 0).next().unwrap_or_default();
        String::from_utf8_lossy(text).into_owned()
    }
}

fn is_thread(flags: u64) -> bool {
    flags & (libc::CLONE_THREAD as u64) != 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check_out(descriptor: u64, target: &str, expect: bool) {
        assert_eq!(leads_out(descriptor, target), expect, "{descriptor} {target}");
    }

    #[test]
    fn what_leads_out() {
        check_out(3, "/etc/x", true);
        check_out(3, "socket:[1]", true);
        check_out(3, "pipe:[1]", true);
        check_out(1, "pipe:[1]", false);
        check_out(2, "/tmp/log", false);
        check_out(3, "anon_inode:[eventfd]", false);
        check_out(3, "/dev/null", false);
    }

    #[test]
    fn opening_for_reading_changes_nothing() {
        assert!(!open_changes(libc::O_RDONLY));
        assert!(!open_changes(libc::O_RDWR | libc::O_CLOEXEC));
        assert!(open_changes(libc::O_WRONLY | libc::O_CREAT));
        assert!(open_changes(libc::O_WRONLY | libc::O_TRUNC));
    }

    #[test]
    fn a_call_is_in_the_table_once() {
        let mut numbers: Vec<_> = table().map(|(number, ..)| number).collect();
        let all = numbers.len();
        numbers.sort_unstable();
        numbers.dedup();
        assert_eq!(numbers.len(), all);
    }
}
