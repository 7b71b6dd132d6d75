//! Whole networks on throw-away hosts, seen from outside.
//!
//! `OXIVIRT_SUBJECT` chooses what runs them. Where libvirt itself has the fault that is tested for,
//! or cannot be put into the situation, a test is for Oxivirt alone and says why.

mod addresses;
mod bad_input;
mod bus;
mod coexist;
mod disturbed;
mod firewalld;
mod heal;
mod iptables;
mod lab;
mod lifecycle;
mod links;
mod live;
mod modes;
mod names;
mod owner;
mod places;
mod ports;
mod rates;
mod refusals;
mod resolver;
mod takeover;
mod unprivileged;

use oxivirt_tests::require::{Need, available};
use oxivirt_tests::{Backend, Host, Subject};

/// A fresh host with the subject that was chosen, if the test can run.
fn host(test: &str) -> Option<Host> {
    let subject = Subject::from_environment().unwrap();
    let needs: &[Need] = match subject {
        Subject::Oxivirt => &[Need::Netns],
        Subject::Libvirt => &[Need::Netns, Need::Peer],
    };
    available(test, needs).then(|| Host::new(subject).unwrap())
}

/// The same for ours with nftables, for what is about that.
fn host_with_nftables(test: &str) -> Option<Host> {
    let ours = || Host::with_backend(Subject::Oxivirt, Backend::Nftables).unwrap();
    available(test, &[Need::Netns]).then(ours)
}

/// The same, for what libvirt does wrong or cannot be put into.
fn host_of_ours(test: &str) -> Option<Host> {
    (Subject::from_environment().unwrap() == Subject::Oxivirt).then(|| host(test)).flatten()
}
