//! Whole networks on throw-away hosts, seen from outside.
//!
//! `OXIVIRT_SUBJECT` chooses what runs them. Where libvirt itself has the fault that is tested for,
//! or cannot be put into the situation, a test is for Oxivirt alone and says why.

mod addresses;
mod bad_input;
mod builtin;
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

use oxivirt_tests::require::{Need, need, skip};
use oxivirt_tests::{Backend, Host, Subject};

/// A fresh host with the chosen subject.
fn host() -> Host {
    let subject = Subject::from_environment().unwrap();
    let needs: &[Need] = match subject {
        Subject::Oxivirt => &[Need::Netns],
        Subject::Libvirt => &[Need::Netns, Need::Peer],
    };
    need(needs);
    Host::new(subject).unwrap()
}

/// The same for ours with nftables, for what is about that.
fn host_with_nftables() -> Host {
    need(&[Need::Netns]);
    Host::with_backend(Subject::Oxivirt, Backend::Nftables).unwrap()
}

/// The same, for what libvirt does wrong or cannot be put into.
fn host_of_ours() -> Host {
    if Subject::from_environment().unwrap() != Subject::Oxivirt {
        skip("for Oxivirt only");
    }
    host()
}

fn main() -> std::process::ExitCode {
    oxivirt_tests::harness::main()
}
