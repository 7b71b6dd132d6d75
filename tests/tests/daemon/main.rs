//! The daemon and real clients of libvirt.

mod access;
mod admin;
mod admin_replay;
mod hostile;
mod library;
mod life;
mod ports;
mod service;
mod virsh;

use oxivirt_tests::Daemon;
use oxivirt_tests::daemon::PLAIN;
use oxivirt_tests::process::find;
use oxivirt_tests::require::{Need, available, report};

/// A host with a daemon, if the test can run.
fn daemon(test: &str) -> Option<Daemon> {
    available(test, &[Need::Netns]).then(|| Daemon::start(PLAIN, &[]).unwrap())
}

/// The same, for tests that need libvirt's clients.
fn daemon_and_virsh(test: &str) -> Option<Daemon> {
    if find("virsh").is_none() {
        report(test, "virsh is not installed").unwrap();
        return None;
    }
    daemon(test)
}
