//! What the tests of whole networks are made of.
//!
//! This member owns everything that judges the software from outside: throw-away hosts
//! ([`Netns`], [`TempRoot`]), guests on them, a picture of a host that can be compared
//! ([`Snapshot`]), the choice of what is under test ([`Subject`]: Oxivirt or a real libvirt), a
//! killer of processes at chosen system calls ([`inject`]) and packet probes ([`probe`]).
//!
//! It starts programs and reads the kernel by means of its own (`ip`, `nft`, `/proc`), never
//! through the crates under test: what checks must not share a mistake with what is checked.
//!
//! Every scenario runs in namespaces that the test makes; nothing here touches the namespaces of
//! the caller. Start reading at [`host::Host`].

pub mod bus;
pub mod campaign;
pub mod cgroups;
pub mod conformance;
pub mod crash;
pub mod daemon;
pub mod differential;
pub mod error;
pub mod guest;
pub mod guest_crash;
pub mod guest_daemon;
pub mod guests;
pub mod harness;
pub mod host;
pub mod inject;
pub mod leaks;
pub mod libvirt_guests;
pub mod model;
pub mod monitor;
pub mod netns;
pub mod packets;
pub mod pki;
pub mod probe;
pub mod process;
pub mod qemu;
pub mod raw;
pub mod report;
pub mod require;
pub mod root;
pub mod session;
pub mod snapshot;
pub mod traffic;

pub use daemon::Daemon;
pub use error::{Error, Result};
pub use guest::Guest;
pub use harness::apply;
pub use host::{Backend, Host, Subject};
pub use netns::Netns;
pub use root::TempRoot;
pub use snapshot::Snapshot;
