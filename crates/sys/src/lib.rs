//! What a daemon needs of its host: files that are replaced atomically, pid files, libvirt's `.conf`
//! grammar, processes, file watches, services on the system bus.
//!
//! The default features do no more than file I/O. `exec` runs processes and watches files,
//! `dbus` reaches systemd-resolved, `firewalld` reaches firewalld.
//!
//! This crate knows nothing of networks or of remote calls.
//!
//! `examples/settings.rs` changes a setting of a file and keeps the comments.

pub mod chain;
pub mod file;
pub mod keyfile;
pub mod link_address;
pub mod pidfile;

#[cfg(feature = "exec")]
pub mod command;
#[cfg(feature = "firewalld")]
pub mod firewalld;
#[cfg(feature = "dbus")]
pub mod resolved;
#[cfg(feature = "exec")]
pub mod watch;
