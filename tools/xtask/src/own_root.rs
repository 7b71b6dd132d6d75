//! A root directory that is a mount point, for those whose root is not.
//!
//! In a plain `chroot` no mount namespace can be made private: the kernel changes the propagation of
//! mounts only, and `/` there is a directory of a mount that cannot be named. So a command is run in a
//! mount namespace whose root the directory is. To name it, the process leaves the chroot for
//! a moment, which root may (chroot(2), "This call does not change the current working directory").

use std::fs::File;
use std::os::fd::AsRawFd as _;
use std::os::unix::fs::chroot;
use std::path::{Path, PathBuf};

use crate::process;
use crate::ui::Failure;

/// Name of the hidden task.
pub(crate) const TASK: &str = "own-root";

/// Deeper directories are not left.
const DEPTH: usize = 256;

/// The words to put before a command, if it would have no root of its own without them.
pub(crate) fn prefix() -> Vec<String> {
    let is_mount_point =
        std::fs::read_to_string("/proc/self/mountinfo").is_ok_and(|text| has_root(&text));
    match std::env::current_exe() {
        Ok(program) if !is_mount_point => {
            let unshare = ["unshare", "--mount", "--propagation", "unchanged", "--"];
            let own = [program.to_string_lossy().into_owned(), TASK.to_owned()];
            unshare.map(str::to_owned).into_iter().chain(own).collect()
        }
        _ => Vec::new(),
    }
}

/// Whether `/` is a mount point (proc_pid_mountinfo(5), field 5).
fn has_root(mountinfo: &str) -> bool {
    mountinfo.lines().any(|line| line.split(' ').nth(4) == Some("/"))
}

/// Binds the root directory to itself and becomes `command`; runs in a mount namespace of its own.
///
/// # Errors
/// The step that failed.
pub(crate) fn run(command: &[String]) -> Result<(), Failure> {
    let step =
        |what: &'static str| move |error: std::io::Error| Failure::new(format!("{what}: {error}"));
    let here = std::env::current_dir().map_err(step("current directory"))?;
    let root = File::open("/").map_err(step("root directory"))?;
    let path = leave(&root).map_err(step("leave the chroot"))?;
    process::run_here("mount", &["--make-rprivate".as_ref(), "/".as_ref()])?;
    process::run_here("mount", &["--rbind".as_ref(), path.as_os_str(), path.as_os_str()])?;
    // The root of the namespace, not only of this process: a process that enters the namespace later gets it.
    std::env::set_current_dir(&path).map_err(step("new root directory"))?;
    process::run_here("pivot_root", &[".".as_ref(), ".".as_ref()])?;
    process::run_here("umount", &["--lazy".as_ref(), ".".as_ref()])?;
    std::env::set_current_dir(&here).map_err(step("current directory"))?;
    Err(Failure::new(format!("{}: {}", command.join(" "), process::become_program(command))))
}

/// Goes to the root of the mount namespace; returns the path of `root` as seen from there.
fn leave(root: &File) -> std::io::Result<PathBuf> {
    let inner = std::env::temp_dir().join(format!("xtask-root-{}", std::process::id()));
    std::fs::create_dir(&inner)?;
    std::env::set_current_dir("/")?;
    let moved = chroot(&inner);
    // Relative to the directory outside the new root, the path still leads there.
    let name = inner.strip_prefix("/").unwrap_or(&inner);
    let removed = std::fs::remove_dir(Path::new(".").join(name));
    moved.and(removed)?;
    for _ in 0..DEPTH {
        std::env::set_current_dir("..")?;
    }
    chroot(".")?;
    std::fs::read_link(format!("/proc/self/fd/{}", root.as_raw_fd()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_mount_point_is_the_fifth_field() {
        assert!(has_root("22 1 254:0 / / rw,relatime shared:1 - ext4 /dev/vda rw\n"));
        assert!(!has_root("22 1 254:0 / /proc rw - proc proc rw\n"));
        assert!(!has_root(""));
    }
}
