//! One group in every hierarchy.

use std::fs;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::Hierarchies;

/// Controllers of version 2 that a threaded group can have (cgroup-v2.rst, "Threads").
const THREADED: [&str; 4] = ["cpu", "cpuset", "perf_event", "pids"];

/// Controllers of version 1 in which threads have groups of their own (libvirt: `virCgroupNewThread`). It takes
/// a group of another hierarchy that is no guest's for none of its own.
const THREADED_V1: [&str; 3] = ["cpu", "cpuacct", "cpuset"];

/// Why a group cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CgroupError {
    /// A file or directory of the hierarchy refused an operation.
    #[error("cannot {action} '{path}'")]
    File {
        /// What was to be done.
        action: &'static str,
        /// The file or directory.
        path: PathBuf,
        /// The system's reason.
        #[source]
        source: io::Error,
    },
}

fn failed(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> CgroupError {
    let path = path.to_owned();
    move |source| CgroupError::File { action, path, source }
}

type Result<T> = std::result::Result<T, CgroupError>;

/// CPU time and its parts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CpuTimes {
    /// All of it.
    pub total: Duration,
    /// In programs.
    pub user: Duration,
    /// In the kernel.
    pub system: Duration,
}

/// A group: a path below the root of every hierarchy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Group {
    hierarchies: Hierarchies,
    path: PathBuf,
}

impl Group {
    pub(crate) const fn new(hierarchies: Hierarchies, path: PathBuf) -> Self {
        Self { hierarchies, path }
    }

    /// Its directories, one for each hierarchy.
    #[must_use]
    pub fn directories(&self) -> Vec<PathBuf> {
        let v1 = self.hierarchies.v1.iter().map(|hierarchy| &hierarchy.root);
        v1.chain(&self.hierarchies.v2).map(|root| root.join(&self.path)).collect()
    }

    /// A group below this one.
    #[must_use]
    pub fn child(&self, name: &str) -> Self {
        Self { hierarchies: self.hierarchies.clone(), path: self.path.join(name) }
    }

    /// Creates it and the groups above it, as far as they are missing.
    ///
    /// # Errors
    /// [`CgroupError::File`].
    pub fn create(&self) -> Result<()> {
        let mut path = PathBuf::new();
        let mut above: Option<PathBuf> = None;
        for part in &self.path {
            path.push(part);
            for hierarchy in &self.hierarchies.v1 {
                let directory = hierarchy.root.join(&path);
                create_directory(&directory)?;
                if hierarchy.has("cpuset") {
                    inherit_cpuset(&directory)?;
                }
            }
            if let Some(root) = &self.hierarchies.v2 {
                let parent = above.as_ref().map_or_else(|| root.clone(), |above| root.join(above));
                enable_controllers(&parent, |_| true);
                create_directory(&root.join(&path))?;
            }
            above = Some(path.clone());
        }
        Ok(())
    }

    /// Creates it below an existing group as a group of threads.
    ///
    /// # Errors
    /// [`CgroupError::File`].
    pub fn create_threaded(&self) -> Result<()> {
        for hierarchy in self.threaded_v1() {
            let directory = hierarchy.root.join(&self.path);
            create_directory(&directory)?;
            if hierarchy.has("cpuset") {
                inherit_cpuset(&directory)?;
            }
        }
        if let Some(root) = &self.hierarchies.v2 {
            let directory = root.join(&self.path);
            create_directory(&directory)?;
            write(&directory.join("cgroup.type"), "threaded")?;
            if let Some(parent) = directory.parent() {
                enable_controllers(parent, |controller| THREADED.contains(&controller));
            }
        }
        Ok(())
    }

    /// Moves a process with all its threads into the group.
    ///
    /// # Errors
    /// [`CgroupError::File`]; the process may be in the group in some hierarchies.
    pub fn add_process(&self, pid: i32) -> Result<()> {
        for directory in self.directories() {
            write(&directory.join("cgroup.procs"), &pid.to_string())?;
        }
        Ok(())
    }

    fn threaded_v1(&self) -> impl Iterator<Item = &crate::mounts::Hierarchy> {
        let is_threaded =
            |it: &&crate::mounts::Hierarchy| THREADED_V1.iter().any(|name| it.has(name));
        self.hierarchies.v1.iter().filter(is_threaded)
    }

    /// Moves one thread into the group.
    ///
    /// # Errors
    /// [`CgroupError::File`]; the thread may be in the group in some hierarchies.
    pub fn add_thread(&self, tid: i32) -> Result<()> {
        let text = tid.to_string();
        for hierarchy in self.threaded_v1() {
            write(&hierarchy.root.join(&self.path).join("tasks"), &text)?;
        }
        if let Some(root) = &self.hierarchies.v2 {
            write(&root.join(&self.path).join("cgroup.threads"), &text)?;
        }
        Ok(())
    }

    /// The processes in it, those of groups below it excepted.
    #[must_use]
    pub fn processes(&self) -> Vec<i32> {
        let mut pids: Vec<i32> = self
            .directories()
            .iter()
            .filter_map(|directory| fs::read_to_string(directory.join("cgroup.procs")).ok())
            .flat_map(|text| text.lines().filter_map(|pid| pid.parse().ok()).collect::<Vec<_>>())
            .collect();
        pids.sort_unstable();
        pids.dedup();
        pids
    }

    /// Whether it exists in any hierarchy.
    #[must_use]
    pub fn exists(&self) -> bool {
        self.directories().iter().any(|directory| directory.is_dir())
    }

    /// Removes it and the groups below it. Succeeds if it does not exist.
    ///
    /// # Errors
    /// [`CgroupError::File`] with EBUSY if a process is in one of them; the rest is removed.
    pub fn remove(&self) -> Result<()> {
        let mut result = Ok(());
        for directory in self.directories() {
            let removed = remove_tree(&directory);
            result = result.and(removed);
        }
        result
    }

    /// A control file of the hierarchy of a controller: `v1` in version 1, `v2` in version 2.
    #[must_use]
    pub fn value(&self, controller: &str, v1: &str, v2: &str) -> Option<String> {
        let hierarchy = self.hierarchies.v1.iter().find(|hierarchy| hierarchy.has(controller));
        let path = match hierarchy {
            Some(hierarchy) => hierarchy.root.join(&self.path).join(v1),
            None => self.hierarchies.v2.as_ref()?.join(&self.path).join(v2),
        };
        fs::read_to_string(path).ok()
    }

    /// CPU time of the processes in it and below, and its parts; `None` without a controller that counts it.
    #[must_use]
    pub fn cpu_times(&self) -> Option<CpuTimes> {
        let total = self.cpu_time()?;
        let text = self.value("cpuacct", "cpuacct.stat", "cpu.stat")?;
        let number = |name: &str| {
            let value = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '))?;
            value.trim().parse::<u64>().ok()
        };
        let per_second = rustix::param::clock_ticks_per_second().max(1);
        let ticks = |n: u64| Duration::from_nanos(n.saturating_mul(1_000_000_000 / per_second));
        let part = |v1: &str, v2: &str| {
            number(v2).map(Duration::from_micros).or_else(|| number(v1).map(ticks))
        };
        let (user, system) = (part("user", "user_usec")?, part("system", "system_usec")?);
        Some(CpuTimes { total, user, system })
    }

    /// CPU time on each processor of the host; `None` without a controller that counts it, and version 2 has none.
    #[must_use]
    pub fn cpu_time_of_each(&self) -> Option<Vec<Duration>> {
        let hierarchy = self.hierarchies.v1.iter().find(|hierarchy| hierarchy.has("cpuacct"))?;
        let path = hierarchy.root.join(&self.path).join("cpuacct.usage_percpu");
        let text = fs::read_to_string(path).ok()?;
        text.split_whitespace().map(|n| Some(Duration::from_nanos(n.parse().ok()?))).collect()
    }

    /// CPU time that the processes in it and below have used; `None` without a controller that counts it.
    #[must_use]
    pub fn cpu_time(&self) -> Option<Duration> {
        let accounting = self.hierarchies.v1.iter().find(|hierarchy| hierarchy.has("cpuacct"));
        if let Some(hierarchy) = accounting {
            let path = hierarchy.root.join(&self.path).join("cpuacct.usage");
            let nanoseconds = fs::read_to_string(path).ok()?.trim().parse().ok()?;
            return Some(Duration::from_nanos(nanoseconds));
        }
        let path = self.hierarchies.v2.as_ref()?.join(&self.path).join("cpu.stat");
        let text = fs::read_to_string(path).ok()?;
        let usage = text.lines().find_map(|line| line.strip_prefix("usage_usec "))?;
        Some(Duration::from_micros(usage.trim().parse().ok()?))
    }
}

fn create_directory(path: &Path) -> Result<()> {
    match fs::create_dir(path) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
            Err(failed("create", path)(error))
        }
        _ => Ok(()),
    }
}

/// Writes a control file, which takes a value in one write. It must exist: elsewhere than in a cgroup
/// file system none is made.
fn write(path: &Path, text: &str) -> Result<()> {
    let file = fs::OpenOptions::new().write(true).open(path);
    file.and_then(|mut file| file.write_all(text.as_bytes())).map_err(failed("write", path))
}

/// A new group of cpuset version 1 has no CPUs and takes no process before it has some.
fn inherit_cpuset(directory: &Path) -> Result<()> {
    let Some(parent) = directory.parent() else { return Ok(()) };
    for file in ["cpuset.cpus", "cpuset.mems"] {
        let path = directory.join(file);
        let present = fs::read_to_string(&path).map_err(failed("read", &path))?;
        if present.trim().is_empty() {
            let inherited = parent.join(file);
            let text = fs::read_to_string(&inherited).map_err(failed("read", &inherited))?;
            write(&path, text.trim())?;
        }
    }
    Ok(())
}

/// Offers controllers to the groups below, one at a time: a controller that the kernel refuses here, as
/// groups with processes are in use, leaves the rest usable.
fn enable_controllers(directory: &Path, is_wanted: impl Fn(&str) -> bool) {
    let Ok(available) = fs::read_to_string(directory.join("cgroup.controllers")) else { return };
    for controller in available.split_whitespace().filter(|name| is_wanted(name)) {
        drop(write(&directory.join("cgroup.subtree_control"), &format!("+{controller}")));
    }
}

fn remove_tree(directory: &Path) -> Result<()> {
    let entries = match fs::read_dir(directory) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(failed("read", directory)(error)),
    };
    let mut result = Ok(());
    for entry in entries.flatten() {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            let removed = remove_tree(&entry.path());
            result = result.and(removed);
        }
    }
    let removed = match fs::remove_dir(directory) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(failed("remove", directory)(error))
        }
        _ => Ok(()),
    };
    result.and(removed)
}

#[cfg(test)]
mod tests {
    use std::process::{Child, Command, Stdio};

    use super::*;

    #[test]
    fn a_missing_group_is_removed_and_has_no_processes() {
        let dir = tempfile::tempdir().unwrap();
        let mounts = format!("1 2 0:3 / {} rw - cgroup2 cgroup2 rw\n", dir.path().display());
        let group = Hierarchies::parse(&mounts).group("/machine/none");
        assert!(!group.exists());
        group.remove().unwrap();
        assert_eq!(group.processes(), <[i32; 0]>::default());
        assert_eq!(group.cpu_time(), None);
        group.create().unwrap();
        assert!(group.exists());
        group.child("vcpu0").create_threaded().unwrap_err();
    }

    /// A process that ends with the test.
    struct Process(Child);

    impl Process {
        #[expect(clippy::disallowed_methods, reason = "the process is waited for on drop")]
        fn start() -> Self {
            Self(Command::new("cat").stdin(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap())
        }
    }

    impl Drop for Process {
        fn drop(&mut self) {
            drop(self.0.stdin.take());
            drop(self.0.wait());
        }
    }

    /// Groups of the real kernel, below a group of this test alone.
    #[test]
    fn a_process_and_its_threads_are_in_the_groups() {
        let hierarchies = Hierarchies::read().unwrap();
        let top = hierarchies.group(&format!("/oxivirt-test-{}", std::process::id()));
        if !rustix::process::geteuid().is_root() || top.create().is_err() {
            // Nothing was created where the hierarchies are read-only.
            drop(top.remove());
            return;
        }
        let guest = top.child("qemu-1-web.libvirt-qemu");
        guest.create().unwrap();
        let process = Process::start();
        let pid = i32::try_from(process.0.id()).unwrap();
        guest.add_process(pid).unwrap();
        assert_eq!(guest.processes(), [pid]);
        let emulator = guest.child("emulator");
        emulator.create_threaded().unwrap();
        emulator.add_thread(pid).unwrap();
        assert!(guest.cpu_time().is_some());
        assert!(
            guest.cpu_times().unwrap().total
                >= guest.cpu_time_of_each().unwrap_or_default().iter().sum()
        );
        assert!(guest.value("cpu", "cpu.shares", "cgroup.type").is_some());
        guest.remove().unwrap_err();
        drop(process);
        // The kernel takes a moment to release the groups of a process that has been waited for.
        while guest.remove().is_err() {
            std::thread::yield_now();
        }
        assert!(!guest.exists());
        top.remove().unwrap();
    }
}
