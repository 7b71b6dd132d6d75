//! The daemon and real clients of libvirt.

mod access;
mod admin;
mod admin_peer;
mod admin_replay;
mod config;
mod host;
mod hostile;
mod library;
mod life;
mod ports;
mod service;
mod virsh;

use oxivirt_tests::Daemon;
use oxivirt_tests::daemon::PLAIN;
use oxivirt_tests::require::{Need, need};

/// A host with a daemon.
fn daemon() -> Daemon {
    need(&[Need::Netns]);
    Daemon::start(PLAIN, &[]).unwrap()
}

/// The same, for tests that need libvirt's clients.
fn daemon_and_virsh() -> Daemon {
    need(&[Need::Program("virsh")]);
    daemon()
}

fn main() -> std::process::ExitCode {
    oxivirt_tests::harness::main()
}
