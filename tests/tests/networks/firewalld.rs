//! Bridges in zones of a firewalld that is a stand-in.

use oxivirt_tests::netns::Process;
use oxivirt_tests::{apply, scenario};
use std::path::PathBuf;

use oxivirt_tests::process::{Running, wait_until};

use oxivirt_tests::bus::Bus;

use super::bus::lab_with_bus;
use super::lab::{Lab, assert_error};

const JOIN: &str = "changeZoneOfInterface";

fn xml(mode: &str, zone: &str) -> String {
    let forward = match mode {
        "none" => String::new(),
        mode => format!("<forward mode='{mode}'/>"),
    };
    format!(
        "<network><name>zoned</name>{forward}<bridge name='virbr0' stp='off'{zone}/>
         <mac address='52:54:00:6b:00:01'/><ip address='192.168.99.1' prefix='24'/></network>"
    )
}

/// A host with a firewalld that knows `zones`, and after a `-` policies.
struct Zoned {
    lab: Lab,
    firewalld: Running,
    calls: PathBuf,
    _bus: Bus,
}

impl Zoned {
    fn new(zones: &str) -> Self {
        let (bus, lab) = lab_with_bus();
        let calls = bus.file("calls");
        let file = calls.to_string_lossy();
        let words: Vec<_> =
            ["firewalld", &file].into_iter().chain(zones.split_whitespace()).collect();
        let firewalld = bus.stand_in(lab.host.netns(), &words).unwrap();
        Self { lab, firewalld, calls, _bus: bus }
    }

    fn calls(&self) -> String {
        std::fs::read_to_string(&self.calls).unwrap()
    }
}

/// Starts and destroys a network; what firewalld was asked for.
#[track_caller]
fn check(zones: &str, xml: &str, expect: &str) {
    let mut zoned = Zoned::new(zones);
    zoned.lab.start(xml).unwrap();
    zoned.lab.session.call("destroy", "zoned", "").unwrap();
    assert_eq!(zoned.calls(), expect);
}

#[apply(scenario)]
fn a_bridge_is_in_libvirts_zone_while_it_lives() {
    let expect = format!("{JOIN} libvirt virbr0\nremoveInterface '' virbr0\n");
    check("public libvirt", &xml("nat", ""), &expect);
}

#[apply(scenario)]
fn an_isolated_bridge_is_too() {
    let expect = format!("{JOIN} libvirt virbr0\nremoveInterface '' virbr0\n");
    let zones = "public libvirt libvirt-routed - libvirt-routed-out";
    check(zones, &xml("none", ""), &expect);
}

#[apply(scenario)]
fn a_routed_network_has_a_zone_of_its_own() {
    let expect = format!("{JOIN} libvirt-routed virbr0\nremoveInterface '' virbr0\n");
    let zones = "libvirt libvirt-routed - libvirt-routed-out";
    check(zones, &xml("route", ""), &expect);
}

#[apply(scenario)]
fn without_its_policy_that_zone_is_of_no_use() {
    let expect = format!("{JOIN} libvirt virbr0\nremoveInterface '' virbr0\n");
    check("libvirt libvirt-routed", &xml("route", ""), &expect);
}

#[apply(scenario)]
fn the_zone_that_is_named_is_taken() {
    let expect = format!("{JOIN} home virbr0\nremoveInterface '' virbr0\n");
    let zones = "home";
    check(zones, &xml("nat", " zone='home'"), &expect);
}

#[apply(scenario)]
fn an_open_network_is_in_no_zone_unless_one_is_named() {
    check("libvirt home", &xml("open", ""), "");
    let expect = format!("{JOIN} home virbr0\nremoveInterface '' virbr0\n");
    check("libvirt home", &xml("open", " zone='home'"), &expect);
}

#[apply(scenario)]
fn a_zone_that_firewalld_does_not_know_ends_the_start() {
    let mut zoned = Zoned::new("libvirt");
    let refused = zoned.lab.start(&xml("nat", " zone='attic'"));
    assert_error(refused, 89, "INVALID_ZONE: attic");
    assert_eq!(zoned.lab.sh("ip -o link show type bridge"), "");
    let rules = zoned.lab.sh("nft list ruleset");
    assert!(!rules.contains("virbr0") && !rules.contains("oxivirt"), "{rules}");
}

#[apply(scenario)]
fn without_libvirts_zone_no_network_starts() {
    let mut zoned = Zoned::new("public");
    let refused = zoned.lab.start(&xml("nat", ""));
    assert_error(refused, 1, "firewalld can't find the 'libvirt' zone");
    assert_eq!(zoned.calls(), "");
}

#[apply(scenario)]
fn a_named_zone_needs_a_firewalld() {
    let (_bus, mut lab) = lab_with_bus();
    let refused = lab.start(&xml("nat", " zone='home'"));
    let text = "zone home requested for network zoned but firewalld is not active";
    assert_error(refused, 1, text);
    lab.session.call("undefine", "zoned", "").unwrap();
    lab.start(&xml("nat", "")).unwrap();
}

#[apply(scenario)]
fn a_reload_does_not_lose_the_zone() {
    let mut zoned = Zoned::new("libvirt");
    zoned.lab.start(&xml("nat", "")).unwrap();
    // The driver listens since it was opened; firewalld came later.
    zoned.firewalld.send("reload").unwrap();
    let again = || Ok(zoned.calls().matches(JOIN).count() == 2);
    wait_until("the bridge is in its zone again", again).unwrap();
    let healed = "healed: put virbr0 into firewalld's zone libvirt";
    let is_done = || Ok(zoned.lab.session.ask("events", "", "")?.contains(healed));
    wait_until("an event", is_done).unwrap();
}

#[apply(scenario)]
fn zones_reach_a_firewalld_that_starts_later() {
    let (bus, mut lab) = lab_with_bus();
    lab.start(&xml("nat", "")).unwrap();
    let calls = bus.file("calls");
    let words = ["firewalld", &calls.to_string_lossy(), "libvirt"];
    let _firewalld = bus.stand_in(lab.host.netns(), &words).unwrap();
    let is_done = || Ok(std::fs::read_to_string(&calls).unwrap().contains(JOIN));
    wait_until("the bridge is in its zone", is_done).unwrap();
}

#[apply(scenario)]
fn a_firewalld_that_does_not_answer_holds_up_nothing_but_zones() {
    let mut zoned = Zoned::new("libvirt");
    zoned.lab.start(&xml("nat", "")).unwrap();
    let stopped = Process::started(&zoned.firewalld).unwrap().stop().unwrap();
    zoned.lab.sh("nft flush ruleset");
    let again = || Ok(zoned.lab.sh("nft list ruleset").contains("virbr0"));
    wait_until("the rules are there again", again).unwrap();
    zoned.lab.session.call("destroy", "zoned", "").unwrap();
    assert_eq!(zoned.lab.sh("ip -o link show type bridge"), "");
    drop(stopped);
}
