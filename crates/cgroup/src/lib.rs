//! Control groups of guest processes.
//!
//! A host mounts the hierarchies of version 1, that of version 2, or some of both. [`Hierarchies`] finds
//! them in the mount table; a [`Group`] is a path below their roots, made in each of them.
//!
//! The layout is libvirt's on a host without systemd-machined: a group per guest with the children
//! `emulator` and `vcpuN`, which hold threads. In version 2 the guest's group is a threaded domain.
//!
//! ```
//! use oxivirt_cgroup::Hierarchies;
//!
//! let mounts = "31 23 0:28 / /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu\n\
//!               32 23 0:29 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n";
//! let hierarchies = Hierarchies::parse(mounts);
//! let group = hierarchies.group("/machine/qemu-1-web.libvirt-qemu");
//! assert_eq!(
//!     group.directories(),
//!     [
//!         "/sys/fs/cgroup/cpu/machine/qemu-1-web.libvirt-qemu",
//!         "/sys/fs/cgroup/unified/machine/qemu-1-web.libvirt-qemu",
//!     ]
//!     .map(std::path::PathBuf::from)
//! );
//! ```
//!
//! cgroups(7); Linux: Documentation/admin-guide/cgroup-v1, cgroup-v2.rst
//!
//! `examples/usage.rs` prints the CPU time of the groups that a process is in.

mod group;
mod mounts;

pub use group::{CgroupError, CpuTimes, Group};
pub use mounts::Hierarchies;
