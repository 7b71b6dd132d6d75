//! Other programs change a running network: destroying it still leaves nothing.

use oxivirt_tests::process::wait_until;
use oxivirt_tests::snapshot::Section;
use oxivirt_tests::{Backend, Host, Subject, apply, scenario};

use super::{host, host_of_ours, host_with_nftables};

const NAT: &str = include_str!("../../data/networks/nat.xml");
const NAME: &str = "nat";
const ROUTE: &str = include_str!("../../data/networks/route.xml");
const OTHER: &str = "route";

/// Starts a network that has run before, lets `disturb` loose, restarts the driver, destroys the
/// network: the host is as it was.
#[track_caller]
fn check(host: &Host, disturb: impl Fn(&Host)) {
    host.define(NAT).unwrap();
    host.start(NAME).unwrap();
    host.destroy(NAME).unwrap();
    let before = host.snapshot().unwrap();
    host.start(NAME).unwrap();
    disturb(host);
    host.restart().unwrap();
    if host.is_active(NAME).unwrap() {
        host.destroy(NAME).unwrap();
    }
    let left = before.diff(&host.snapshot().unwrap());
    assert!(left.is_empty(), "left behind:\n{left}");
    host.start(NAME).unwrap();
    assert!(host.is_active(NAME).unwrap(), "does not start again");
}

fn sh(script: &'static str) -> impl Fn(&Host) {
    move |host| drop(host.netns().sh(script).unwrap())
}

#[apply(scenario)]
fn the_ruleset_is_flushed() {
    // libvirt's shared chains are gone then, which it notices when it is restarted.
    let host = host();
    check(&host, |host| {
        host.netns().sh("nft flush ruleset").unwrap();
        if Backend::from_environment().unwrap() == Backend::Iptables {
            host.warm_up().unwrap();
        }
    });
}

#[apply(scenario)]
fn the_bridge_is_deleted() {
    let host = host();
    check(&host, sh("ip link delete virbr0"));
}

#[apply(scenario)]
fn dnsmasq_is_killed() {
    let host = host();
    check(&host, |host| {
        let processes = host.netns().processes().unwrap();
        let dnsmasq = processes.iter().filter(|process| process.command.contains("dnsmasq --conf"));
        let numbers: Vec<String> = dnsmasq.map(|process| process.inside.to_string()).collect();
        assert!(!numbers.is_empty());
        host.netns().sh(&format!("kill -9 {}", numbers.join(" "))).unwrap();
    });
}

#[apply(scenario)]
fn the_address_is_removed() {
    let host = host();
    check(&host, sh("ip address flush dev virbr0"));
}

#[apply(scenario)]
fn our_rules_are_deleted_one_by_one() {
    let host = host_with_nftables();
    check(&host, |host| {
        let listed = host.netns().sh("nft -a list table inet oxivirt_network").unwrap();
        let mut chain = "";
        for line in listed.lines().map(str::trim) {
            if let Some(rest) = line.strip_prefix("chain ") {
                chain = rest.split(' ').next().unwrap();
            } else if let Some((rule, handle)) = line.split_once(" # handle ")
                && !rule.ends_with('{')
                && !rule.starts_with("type ")
                && !chain.is_empty()
            {
                let delete =
                    format!("nft delete rule inet oxivirt_network {chain} handle {handle}");
                host.netns().sh(&delete).unwrap();
            }
        }
    });
}

#[apply(scenario)]
fn a_damaged_status_file_is_no_running_network() {
    let host = host();
    host.define(NAT).unwrap();
    host.start(NAME).unwrap();
    let status = host.status_file(NAME);
    std::fs::File::create(&status).unwrap();
    host.restart().unwrap();
    assert!(!host.is_active(NAME).unwrap());
}

#[apply(scenario)]
fn one_network_leaves_the_other_alone() {
    let host = host();
    for (xml, name) in [(NAT, NAME), (ROUTE, OTHER)] {
        host.define(xml).unwrap();
        host.start(name).unwrap();
        host.destroy(name).unwrap();
    }
    host.start(NAME).unwrap();
    let alone = host.snapshot().unwrap();
    host.start(OTHER).unwrap();
    host.destroy(OTHER).unwrap();
    let left = alone.diff(&host.snapshot().unwrap());
    assert!(left.is_empty(), "left behind:\n{left}");
    assert!(host.is_active(NAME).unwrap());
}

#[apply(scenario)]
fn a_transient_network_is_gone_when_destroyed() {
    let host = host();
    let file = host.document(NAT).unwrap();
    let path = file.path().to_string_lossy().into_owned();
    host.done(&["net-create", &path]).unwrap();
    host.destroy(NAME).unwrap();
    let before = host.snapshot().unwrap();
    for _ in 0..2 {
        host.done(&["net-create", &path]).unwrap();
        host.restart().unwrap();
        assert!(host.is_active(NAME).unwrap());
        host.destroy(NAME).unwrap();
        let listed = host.done(&["net-list", "--all", "--name"]).unwrap();
        assert_eq!(listed.trim(), "");
        let left = before.diff(&host.snapshot().unwrap());
        assert!(left.is_empty(), "left behind:\n{left}");
    }
}

#[apply(scenario)]
fn autostart_starts_with_the_driver() {
    // The embedded driver autostarts as a daemon does at its first start after a boot.
    let host = host();
    host.define(NAT).unwrap();
    host.done(&["net-autostart", NAME]).unwrap();
    let link = match host.subject() {
        Subject::Oxivirt => "etc/libvirt/qemu/networks/autostart/nat.xml",
        Subject::Libvirt => "etc/qemu/networks/autostart/nat.xml",
    };
    assert!(host.snapshot().unwrap().mentions(Section::File, link));
    // What the first start of the driver wrote to say that it is not the first any more.
    let mark = host.root().join("run/libvirt/network/autostarted");
    if mark.exists() {
        std::fs::remove_file(&mark).unwrap();
    }
    host.restart().unwrap();
    let active = || host.is_active(NAME);
    wait_until("the network is active", active).unwrap();
    host.done(&["net-autostart", "--disable", NAME]).unwrap();
    assert!(!host.snapshot().unwrap().mentions(Section::File, link));
}

#[apply(scenario)]
fn two_drivers_on_one_root_exclude_each_other() {
    let host = host_of_ours();
    let session = oxivirt_tests::session::Session::open(&host).unwrap();
    let finished = host.shell(&["net-list"]).unwrap();
    assert_eq!(finished.status.code(), Some(1), "{}", finished.stdout);
    assert!(finished.stderr.contains("driver.pid"), "{}", finished.stderr);
    drop(session);
    host.done(&["net-list"]).unwrap();
}
