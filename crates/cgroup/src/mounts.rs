//! Where the hierarchies are mounted.

use std::io;
use std::path::PathBuf;

use crate::Group;

/// The hierarchies of a host.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Hierarchies {
    pub(crate) v1: Vec<Hierarchy>,
    pub(crate) v2: Option<PathBuf>,
}

/// A hierarchy of version 1.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Hierarchy {
    pub(crate) root: PathBuf,
    pub(crate) controllers: Vec<String>,
}

impl Hierarchy {
    pub(crate) fn has(&self, controller: &str) -> bool {
        self.controllers.iter().any(|name| name == controller)
    }
}

/// Controllers of version 1 in which guests get groups (libvirt: `virCgroupV1DetectControllers`).
const CONTROLLERS: [&str; 9] =
    ["cpu", "cpuacct", "cpuset", "memory", "devices", "freezer", "blkio", "net_cls", "perf_event"];

/// Controllers that version 2 has without being asked. Where it is mounted beside version 1, guests have no
/// groups in hierarchies of these alone (libvirt: `virCgroupV2DetectControllers`), and libvirt would leave them.
const OF_V2: [&str; 2] = ["cpuacct", "devices"];

impl Hierarchies {
    /// The hierarchies in a mount table in the form of `/proc/self/mountinfo` (proc(5)).
    #[must_use]
    pub fn parse(mountinfo: &str) -> Self {
        let mut found = Self::default();
        for line in mountinfo.lines() {
            // Optional fields end with a lone hyphen; behind it are type, source and options.
            let Some((mount, system)) = line.split_once(" - ") else { continue };
            let Some(root) = mount.split(' ').nth(4).map(unescape) else { continue };
            let mut fields = system.split(' ');
            match (fields.next(), fields.nth(1)) {
                (Some("cgroup2"), _) => found.v2 = Some(root.into()),
                (Some("cgroup"), Some(options)) => {
                    let root = PathBuf::from(root);
                    // Only the last mount at a place can be reached.
                    found.v1.retain(|hierarchy| hierarchy.root != root);
                    let known = options.split(',').filter(|option| CONTROLLERS.contains(option));
                    let controllers: Vec<String> = known.map(str::to_owned).collect();
                    if !controllers.is_empty() {
                        found.v1.push(Hierarchy { root, controllers });
                    }
                }
                _ => {}
            }
        }
        if found.v2.is_some() {
            found.v1.retain(|it| it.controllers.iter().any(|name| !OF_V2.contains(&name.as_str())));
        }
        found
    }

    /// The hierarchies of this process's mount namespace.
    ///
    /// # Errors
    /// `/proc` is not mounted.
    pub fn read() -> io::Result<Self> {
        std::fs::read_to_string("/proc/self/mountinfo").map(|text| Self::parse(&text))
    }

    /// Whether there is any.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.v1.is_empty() && self.v2.is_none()
    }

    /// The group at a path below the roots; nothing is created.
    #[must_use]
    pub fn group(&self, path: &str) -> Group {
        Group::new(self.clone(), path.trim_start_matches('/').into())
    }
}

/// Replaces the octal escapes of the mount table.
fn unescape(field: &str) -> String {
    let mut text = String::with_capacity(field.len());
    let mut rest = field;
    while let Some((before, after)) = rest.split_once('\\') {
        text.push_str(before);
        let code = after.get(..3).and_then(|digits| u8::from_str_radix(digits, 8).ok());
        match code.filter(u8::is_ascii) {
            Some(code) => {
                text.push(char::from(code));
                rest = after.get(3..).unwrap_or_default();
            }
            None => {
                text.push('\\');
                rest = after;
            }
        }
    }
    text.push_str(rest);
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hierarchies_of_both_versions_are_found() {
        let mounts = "\
            31 23 0:28 / /sys/fs/cgroup rw,relatime - tmpfs tmpfs rw,mode=755\n\
            32 31 0:29 / /sys/fs/cgroup/cpu,cpuacct rw shared:5 - cgroup cgroup rw,cpu,cpuacct\n\
            33 31 0:30 / /sys/fs/cgroup/systemd rw - cgroup cgroup rw,name=systemd\n\
            34 31 0:31 / /sys/fs/cgroup/pids rw - cgroup cgroup rw,pids\n\
            37 31 0:33 / /sys/fs/cgroup/devices rw - cgroup cgroup rw,devices\n\
            35 31 0:32 / /sys/fs/with\\040blank rw - cgroup2 cgroup2 rw\n\
            36 32 0:29 /below /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct\n\
            broken line\n";
        let found = Hierarchies::parse(mounts);
        // A mount above another one hides it.
        assert_eq!(found.v1.len(), 1);
        // Devices are controlled by version 2.
        assert!(found.v1[0].has("cpuacct"));
        assert_eq!(found.v2, Some("/sys/fs/with blank".into()));
        assert!(Hierarchies::parse("").is_empty());
    }
}
