//! The driver repairs what other programs remove from a running network.

use std::net::Ipv4Addr;
use std::time::Instant;

use oxivirt_tests::host::CAMPAIGN;
use oxivirt_tests::process::wait_until;
use oxivirt_tests::session::Session;
use oxivirt_tests::snapshot::Section;
use oxivirt_tests::{Backend, Guest, Host, Result, Snapshot, apply, scenario};

use super::host_of_ours;

const NAT: &str = include_str!("../../data/networks/nat.xml");
const NAME: &str = "nat";

/// A host with a driver that stays, and a network that runs.
fn running(settings: &str) -> (Host, Session) {
    let host = host_of_ours();
    if !settings.is_empty() {
        host.configure(settings).unwrap();
    }
    let mut session = Session::listen(&host).unwrap();
    session.call("define", NAME, &NAT.replace('\n', " ")).unwrap();
    session.call("start", NAME, "").unwrap();
    (host, session)
}

/// The kernel's part of a host and its processes.
fn picture(host: &Host) -> Snapshot {
    host.snapshot().unwrap().without(|section, _| section == Section::File)
}

fn healed(session: &mut Session) -> String {
    let events = session.ask("events", "", "").unwrap();
    events.lines().filter(|line| line.contains("healed")).collect::<Vec<_>>().join("\n")
}

/// Empty tables of iptables are not repaired.
fn warm_up(host: &Host) {
    if Backend::from_environment().unwrap() == Backend::Iptables {
        host.warm_up().unwrap();
    }
}

/// Runs `script` on the host: the host becomes as before, and an event gives the reason.
#[track_caller]
fn check(script: &str) {
    check_repair(|host| host.netns().sh(script).map(drop));
}

#[track_caller]
fn check_repair(disturb: impl FnOnce(&Host) -> Result<()>) {
    let (host, mut session) = running("");
    let up = picture(&host);
    disturb(&host).unwrap();
    let begin = Instant::now();
    warm_up(&host);
    let is_whole = || Ok(up.diff(&picture(&host)).is_empty());
    wait_until("the network is whole again", is_whole).unwrap();
    println!("whole again and seen to be after {:?}", begin.elapsed());
    let is_repaired = || Ok(!healed(&mut session).is_empty());
    wait_until("an event", is_repaired).unwrap();
    session.call("destroy", NAME, "").unwrap();
}

#[apply(scenario)]
fn a_flushed_ruleset_comes_back() {
    check("nft flush ruleset");
}

#[apply(scenario)]
fn a_deleted_table_comes_back() {
    if std::env::var_os("OXIVIRT_BACKEND").is_none() {
        check("nft delete table inet oxivirt_network");
    }
}

#[apply(scenario)]
fn a_flushed_chain_comes_back() {
    if std::env::var_os("OXIVIRT_BACKEND").is_none() {
        check("nft flush chain inet oxivirt_network in_virbr0");
    }
}

#[apply(scenario)]
fn a_removed_address_comes_back() {
    check("ip address flush dev virbr0 scope global");
}

#[apply(scenario)]
fn a_bridge_that_was_set_down_comes_up() {
    check("ip link set virbr0 down");
}

#[apply(scenario)]
fn a_deleted_bridge_comes_back() {
    check("ip link delete virbr0");
}

#[apply(scenario)]
fn a_killed_dnsmasq_comes_back() {
    check_repair(|host| host.netns().kill_all("dnsmasq"));
}

#[apply(scenario)]
fn guests_are_attached_to_the_bridge_that_is_made_anew() {
    let (host, mut session) = running("");
    let guest = Guest::on(&host, "virbr0", "port0").unwrap();
    // The driver reads notifications in order: once it has repaired this, it knows of the port.
    host.netns().sh("ip address flush dev virbr0 scope global").unwrap();
    wait_until("an event", || Ok(!healed(&mut session).is_empty())).unwrap();
    host.netns().sh("ip link delete virbr0").unwrap();
    let attached = || {
        let shown = host.netns().sh("ip -o link show port0")?;
        Ok(shown.contains("master virbr0"))
    };
    wait_until("the guest is attached again", attached).unwrap();
    host.netns().wait_forwarding("port0").unwrap();
    let lease = guest.dhcp("guest").unwrap();
    assert_eq!(lease.router, Some(Ipv4Addr::new(192, 168, 122, 1)));
    session.call("destroy", NAME, "").unwrap();
}

/// Reads a setting of the port of a guest.
fn port_setting(host: &Host, name: &str) -> String {
    host.netns().sh(&format!("cat /sys/class/net/port0/brport/{name}")).unwrap().trim().to_owned()
}

#[apply(scenario)]
fn a_port_that_is_attached_again_forwards_at_once_and_keeps_its_settings() {
    let (host, mut session) = running("");
    let guest = Guest::on(&host, "virbr0", "port0").unwrap();
    host.netns()
        .sh("bridge link set dev port0 isolated on flood off hairpin on \
             priority 7 cost 33")
        .unwrap();
    // The driver reads notifications in order: once it has repaired this, it knows of the port.
    host.netns().sh("ip address flush dev virbr0 scope global").unwrap();
    wait_until("an event", || Ok(!healed(&mut session).is_empty())).unwrap();
    // The protocol runs when the port is attached, or is switched on with the port forwarding.
    let state = host
        .netns()
        .sh("ip link delete virbr0; \
             until [ \"$(cat /sys/class/net/port0/brport/bridge/bridge/stp_state 2>/dev/null)\" = 1 ]; \
             do sleep 0.01; done; cat /sys/class/net/port0/brport/state")
        .unwrap();
    assert_eq!(state.trim(), "3", "3 is forwarding, 1 listening, 2 learning");
    let names = ["isolated", "unicast_flood", "hairpin_mode", "priority", "path_cost"];
    let settings = || names.map(|name| port_setting(&host, name));
    wait_until("the settings are back", || Ok(settings() == ["1", "0", "1", "7", "33"])).unwrap();
    let lease = guest.dhcp("guest").unwrap();
    assert_eq!(lease.router, Some(Ipv4Addr::new(192, 168, 122, 1)));
    // A loop that is made later is blocked; 4 is blocking.
    host.netns()
        .sh("ip link add loop0 type veth peer name loop1; \
             for link in loop0 loop1; do ip link set $link master virbr0 up; done")
        .unwrap();
    let is_blocked = || {
        let states = host.netns().sh("cat /sys/class/net/loop*/brport/state")?;
        Ok(states.lines().any(|state| state == "4"))
    };
    wait_until("the loop is blocked", is_blocked).unwrap();
    session.call("destroy", NAME, "").unwrap();
}

#[apply(scenario)]
fn a_thousand_flushes_do_not_hide_the_last() {
    let (host, mut session) = running("");
    let up = picture(&host);
    let cpu = || {
        let sessions = host.netns().processes_of(CAMPAIGN).unwrap();
        let [session] = sessions.as_slice() else { panic!("{sessions:?}") };
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", session.outside)).unwrap();
        let fields: Vec<_> = stat.rsplit(')').next().unwrap().split_whitespace().collect();
        fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap()
    };
    let before = cpu();
    let begin = Instant::now();
    // One process with many transactions, and many processes.
    host.netns()
        .run([
            "sh",
            "-ec",
            "for i in $(seq 500); do echo flush ruleset; done > /run/flushes; \
              for i in 1 2; do nft -i < /run/flushes > /dev/null; done; \
              for i in $(seq 20); do nft flush ruleset; done",
        ])
        .stdout()
        .unwrap();
    let flushed = begin.elapsed();
    warm_up(&host);
    let is_whole = || Ok(up.diff(&picture(&host)).is_empty());
    wait_until("the network is whole again", is_whole).unwrap();
    let ticks = cpu() - before;
    println!("1,020 flushes in {flushed:?}, driver used {} ms of a processor", ticks * 10);
    assert!(!healed(&mut session).is_empty());
    session.call("destroy", NAME, "").unwrap();
}

#[apply(scenario)]
fn losses_are_only_reported_if_so_configured() {
    let (host, mut session) = running("heal = \"observe\"\n");
    host.netns().sh("ip link set virbr0 down").unwrap();
    let mut said = String::new();
    let is_repaired = || {
        said = healed(&mut session);
        Ok(!said.is_empty())
    };
    wait_until("an event", is_repaired).unwrap();
    assert!(said.contains("not repaired") && said.contains("raise virbr0"), "{said}");
    let shown = host.netns().sh("ip -o link show virbr0").unwrap();
    assert!(!shown.contains("UP"), "{shown}");
    session.call("destroy", NAME, "").unwrap();
}
