//! Control groups of a host of its own.
//!
//! A host of [`Netns`] has a `/sys` without control groups. [`Cgroups::mount`] makes an empty group in every
//! hierarchy of the machine and mounts it there as if it were the root.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use crate::error::{Error, Result};
use crate::netns::Netns;

/// Where they are mounted.
const ROOT: &str = "/sys/fs/cgroup";
/// Beginning of the groups' names; behind it are the harness' process and a number.
const NAME: &str = "oxivirt-test-";
/// Options of every mount, which choose no controller.
const COMMON: [&str; 9] = [
    "rw",
    "relatime",
    "noatime",
    "nosuid",
    "nodev",
    "noexec",
    "nsdelegate",
    "memory_recursiveprot",
    "seclabel",
];
/// What a new group of `cpuset` needs before it takes a process.
const CPUSET: [&str; 2] = ["cpuset.cpus", "cpuset.mems"];

/// The groups of one host; removed when dropped, once their processes have ended.
#[derive(Debug)]
pub struct Cgroups {
    groups: Vec<PathBuf>,
}

impl Cgroups {
    /// Makes the groups and mounts them on a host; `None` on a machine without control groups.
    ///
    /// # Errors
    /// No right to make groups, or a program of the set-up failed.
    pub fn mount(netns: &Netns) -> Result<Option<Self>> {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let name = format!("{NAME}{}-{number}", std::process::id());
        let table = Path::new("/proc/self/mounts");
        let mounts = fs::read_to_string(table).map_err(Error::file(table))?;
        let mut host = Self { groups: Vec::new() };
        let mut script = format!("mount -t tmpfs -o mode=755 tmpfs {ROOT}\n");
        for (kind, point, options) in mounts.lines().filter_map(hierarchy) {
            let group = Path::new(point).join(&name);
            fs::create_dir(&group).map_err(Error::file(&group))?;
            host.groups.push(group.clone());
            for file in CPUSET {
                let Ok(value) = fs::read(Path::new(point).join(file)) else { continue };
                let path = group.join(file);
                #[expect(clippy::disallowed_methods, reason = "the kernel reads it at once")]
                fs::write(&path, value).map_err(Error::file(&path))?;
            }
            let options: Vec<&str> =
                options.split(',').filter(|option| !COMMON.contains(option)).collect();
            let options = match options.join(",") {
                chosen if chosen.is_empty() => String::new(),
                chosen => format!("-o {chosen}"),
            };
            // The group is below the root of its hierarchy, which has to be mounted first.
            script += &format!(
                "mkdir -p {point}\nmount -t {kind} {options} {kind} {point}\n\
                 mount --bind {point}/{name} {point}\n"
            );
        }
        if host.groups.is_empty() {
            return Ok(None);
        }
        netns.sh(&script)?;
        Ok(Some(host))
    }

    /// Groups of guests that exist, by their paths in the first hierarchy that has any.
    pub fn guests(&self) -> Vec<String> {
        let mut found = std::collections::BTreeSet::new();
        for group in &self.groups {
            let Ok(entries) = fs::read_dir(group.join("machine")) else { continue };
            let entries = entries.flatten().filter(|entry| entry.path().is_dir());
            found.extend(entries.map(|entry| entry.file_name().to_string_lossy().into_owned()));
        }
        found.into_iter().collect()
    }
}

impl Drop for Cgroups {
    fn drop(&mut self) {
        self.groups.iter().for_each(|group| remove(group));
    }
}

/// Removes a group and those below it. The files in it go by themselves; a group that still has processes
/// stays.
fn remove(group: &Path) {
    for entry in fs::read_dir(group).into_iter().flatten().flatten() {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            remove(&entry.path());
        }
    }
    // A process that has ended leaves its group a moment later.
    drop(crate::process::wait_until(
        "an empty control group",
        || Ok(fs::remove_dir(group).is_ok()),
    ));
}

/// The words before a program of a host that make its groups the roots of the program's own.
///
/// Programs enter namespaces from outside and are in the groups of the harness until then.
#[must_use]
pub fn prefix() -> [&'static str; 4] {
    let enter = "for file in /sys/fs/cgroup/*/cgroup.procs /sys/fs/cgroup/cgroup.procs; do \
                 [ -e \"$file\" ] && echo 0 > \"$file\"; done; exec unshare --cgroup -- \"$@\"";
    ["sh", "-c", enter, "sh"]
}

/// Type, mount point and options of a hierarchy in a line of the mount table.
fn hierarchy(line: &str) -> Option<(&str, &str, &str)> {
    let mut fields = line.split(' ').skip(1);
    let (point, kind, options) = (fields.next()?, fields.next()?, fields.next()?);
    (kind.starts_with("cgroup") && point.starts_with(ROOT)).then_some((kind, point, options))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hierarchies_are_found_in_a_mount_table() {
        let line = "cgroup /sys/fs/cgroup/cpu cgroup rw,relatime,cpu 0 0";
        assert_eq!(hierarchy(line), Some(("cgroup", "/sys/fs/cgroup/cpu", "rw,relatime,cpu")));
        assert_eq!(hierarchy("tmpfs /sys/fs/cgroup tmpfs rw 0 0"), None);
    }
}
