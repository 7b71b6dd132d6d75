//! Networks that run under a real libvirt are taken over, and handed back, under traffic.

use std::net::Ipv4Addr;

use oxivirt_tests::monitor::Monitors;
use oxivirt_tests::process::wait_until;
use oxivirt_tests::require::{Need, need};
use oxivirt_tests::snapshot::Section;
use oxivirt_tests::traffic::{Lost, Place, Traffic};
use oxivirt_tests::{Backend, Host, Snapshot, Subject, apply, scenario};

const NETWORKS: [(&str, &str); 4] = [
    ("nat", include_str!("../../data/networks/nat.xml")),
    ("nat-dual", include_str!("../../data/networks/nat-dual.xml")),
    ("route", include_str!("../../data/networks/route.xml")),
    ("isolated", include_str!("../../data/networks/isolated.xml")),
];

const PLACE: Place = Place {
    bridge: "virbr0",
    gateway: Ipv4Addr::new(192, 168, 122, 1),
    guest: Ipv4Addr::new(192, 168, 122, 50),
};

fn name(xml: &str) -> &str {
    oxivirt_tests::packets::name_of(xml).unwrap()
}

/// A libvirt with all kinds of networks running, and the host before the first of them.
fn libvirt(backend: Backend) -> (Host, Snapshot) {
    need(&[Need::Netns, Need::Peer]);
    let host = Host::with_backend(Subject::Libvirt, backend).unwrap();
    let before = host.snapshot().unwrap();
    for (_, xml) in NETWORKS {
        host.define(xml).unwrap();
        host.start(name(xml)).unwrap();
    }
    (host, before)
}

/// The settings of our driver, beside libvirt's: the file is the same.
fn ours(host: &Host, words: &[&str]) -> String {
    host.ours(words).unwrap().stdout().unwrap()
}

/// The rules without what differs from run to run.
fn rules(host: &Host) -> Vec<String> {
    let text = host.netns().sh("nft -s list ruleset").unwrap();
    text.lines().map(str::to_owned).collect()
}

fn dnsmasq(host: &Host) -> Vec<u32> {
    let processes = host.netns().processes().unwrap();
    let is_dnsmasq = |command: &str| command.contains("dnsmasq --conf");
    processes.iter().filter(|p| is_dnsmasq(&p.command)).map(|p| p.outside).collect()
}

fn assert_lossless(lost: &Lost) {
    assert!(lost.sent > 100, "{lost:?}");
    assert_eq!((lost.lost, lost.stream.as_str()), (0, "whole"), "{lost:?}");
}

#[track_caller]
fn check_take_over(backend: Backend) {
    let (host, before) = libvirt(backend);
    let processes = dnsmasq(&host);
    assert!(processes.len() >= NETWORKS.len());
    host.daemon_down().unwrap();
    let (untouched, planned) =
        (rules(&host), ours(&host, &["net-takeover", "--plan", "--verbose"]));
    assert_eq!(rules(&host), untouched, "looking changes nothing");
    for (_, xml) in NETWORKS {
        assert!(planned.contains(&format!("{}: ", name(xml))), "{planned}");
    }
    // The rules are what changes; bridges, addresses and processes stay.
    let is_step = |line: &&str| {
        line.trim_start().split_once(". ").is_some_and(|(number, _)| number.parse::<u32>().is_ok())
    };
    let steps = planned.lines().filter(is_step);
    let other = steps.filter(|step| !["load ", "remove "].iter().any(|verb| step.contains(verb)));
    assert_eq!(other.collect::<Vec<_>>(), Vec::<&str>::new(), "{planned}");
    assert_eq!(planned.contains("remove libvirt's nftables rules"), backend == Backend::Nftables);
    let traffic = Traffic::begin(&host, PLACE, 7).unwrap();
    traffic.wait_sent(100).unwrap();
    let listed = ours(&host, &["net-list", "--name"]);
    traffic.wait_sent(100).unwrap();
    let lost = traffic.end().unwrap();
    println!("take-over, {backend}: {lost:?}");
    assert_lossless(&lost);
    for (_, xml) in NETWORKS {
        assert!(listed.lines().any(|line| line.trim() == name(xml)), "{listed}");
    }
    assert_eq!(dnsmasq(&host), processes, "dnsmasq is not restarted");
    let now = rules(&host).join("\n");
    assert!(!now.contains("libvirt_network"), "{now}");
    assert_eq!(now.contains("oxivirt_network"), backend == Backend::Nftables, "{now}");
    // Opened again, nothing is written: not even a rule that is the same.
    let guests_are_gone = || {
        let links = host.netns().sh("ip -o link show")?;
        Ok(!links.contains("guest7") && !links.contains("outside7"))
    };
    wait_until("the guests are gone", guests_are_gone).unwrap();
    // The carrier of a bridge follows its ports.
    let has_no_carrier = || {
        let carrier = format!("cat /sys/class/net/{}/carrier", PLACE.bridge);
        Ok(host.netns().sh(&carrier)?.trim() == "0")
    };
    wait_until("a bridge without ports has no carrier", has_no_carrier).unwrap();
    let monitors = Monitors::start(host.netns()).unwrap();
    ours(&host, &["net-list"]);
    assert_eq!(monitors.finish().unwrap(), "", "written although nothing had changed");
    for (_, xml) in NETWORKS {
        ours(&host, &["net-destroy", name(xml)]);
    }
    let left = before.diff(&host.snapshot().unwrap());
    let is_ours = |section: Section| {
        matches!(
            section,
            Section::Nftables
                | Section::Iptables
                | Section::Link
                | Section::Qdisc
                | Section::Process
        )
    };
    let left: Vec<_> = left.changes().iter().filter(|change| is_ours(change.section)).collect();
    // The guest's and the outside's links are the test's own.
    let left: Vec<_> = left
        .into_iter()
        .filter(|change| !change.key.contains("guest") && !change.key.contains("outside"))
        .collect();
    assert!(left.is_empty(), "{left:#?}");
}

#[apply(scenario)]
fn a_libvirt_with_nftables_is_taken_over() {
    check_take_over(Backend::Nftables);
}

#[apply(scenario)]
fn a_libvirt_with_iptables_is_taken_over() {
    check_take_over(Backend::Iptables);
}

#[track_caller]
fn check_hand_back(backend: Backend) {
    let (host, _) = libvirt(backend);
    let theirs = rules(&host);
    // What libvirt loses when it is restarted itself.
    let traffic = Traffic::begin(&host, PLACE, 7).unwrap();
    host.restart().unwrap();
    let own = traffic.end().unwrap();
    host.daemon_down().unwrap();
    ours(&host, &["net-list"]);
    let traffic = Traffic::begin(&host, PLACE, 8).unwrap();
    host.daemon_up().unwrap();
    let back = traffic.end().unwrap();
    println!("hand-back, {backend}: libvirt's own restart {own:?}, hand-back {back:?}");
    assert_eq!(back.stream, "whole");
    for (_, xml) in NETWORKS {
        assert!(host.is_active(name(xml)).unwrap(), "{}", name(xml));
    }
    // Networks are reloaded in an order of libvirt's own.
    let sorted = |mut lines: Vec<String>| {
        lines.sort();
        lines
    };
    assert_eq!(sorted(rules(&host)), sorted(theirs));
    for (_, xml) in NETWORKS {
        host.destroy(name(xml)).unwrap();
    }
    let left = rules(&host).join("\n");
    assert!(!left.contains("oxivirt"), "{left}");
    assert!(!left.contains("virbr"), "{left}");
}

#[apply(scenario)]
fn a_libvirt_with_nftables_gets_its_networks_back() {
    check_hand_back(Backend::Nftables);
}

#[apply(scenario)]
fn a_libvirt_with_iptables_gets_its_networks_back() {
    check_hand_back(Backend::Iptables);
}

/// They are not in the saved removal, which libvirt executes when it starts and does not set again.
#[apply(scenario)]
fn rate_limits_stay_when_networks_are_handed_back() {
    need(&[Need::Netns, Need::Peer]);
    let host = Host::with_backend(Subject::Libvirt, Backend::Nftables).unwrap();
    host.daemon_down().unwrap();
    let xml = "<network><name>slow</name><bridge name='virbr0' stp='off'/><dns enable='no'/>
      <mac address='52:54:00:6b:00:01'/><bandwidth><inbound average='1000'/></bandwidth>
      <ip address='192.168.95.1' prefix='24'/></network>";
    let file = host.document(xml).unwrap();
    ours(&host, &["net-define", &file.path().to_string_lossy()]);
    ours(&host, &["net-start", "slow"]);
    let classes = || host.netns().sh("tc class show dev virbr0").unwrap();
    let limits = classes();
    assert!(limits.contains("class htb 1:2 "), "{limits}");
    host.daemon_up().unwrap();
    assert!(host.is_active("slow").unwrap());
    let rules = host.netns().sh("nft list table ip libvirt_network").unwrap();
    assert!(rules.contains("virbr0"), "{rules}");
    assert_eq!(classes(), limits);
    host.destroy("slow").unwrap();
    assert_eq!(host.netns().sh("ip -o link show type bridge").unwrap(), "");
}

/// A network of one family, for which libvirt makes tables or chains of both.
#[track_caller]
fn check_one_family(backend: Backend) {
    need(&[Need::Netns, Need::Peer]);
    let upgrade = oxivirt_tests::leaks::Upgrade::new(backend).unwrap();
    let left = upgrade.cell(0, "--live").unwrap();
    assert!(left.is_empty(), "{left:#?}");
}

#[apply(scenario)]
fn nothing_is_left_of_a_network_of_one_family_with_nftables() {
    check_one_family(Backend::Nftables);
}

#[apply(scenario)]
fn nothing_is_left_of_a_network_of_one_family_with_iptables() {
    check_one_family(Backend::Iptables);
}

/// libvirt loses the removal of a network with an update, and the rules of another with a flush.
#[track_caller]
fn check_damaged(backend: Backend) {
    let (host, _) = libvirt(backend);
    host.add_dns_host("nat", "<host ip='192.168.122.9'><hostname>x</hostname></host>").unwrap();
    let status = std::fs::read_to_string(host.status_file("nat")).unwrap();
    assert!(!status.contains("<firewall"), "libvirt has learnt");
    host.daemon_down().unwrap();
    // From now on the handles in libvirt's status files belong to other rules.
    host.netns().sh("nft flush ruleset").unwrap();
    if backend == Backend::Iptables {
        host.warm_up().unwrap();
    }
    host.daemon_up().unwrap();
    host.add_dns_host("nat", "<host ip='192.168.122.8'><hostname>y</hostname></host>").unwrap();
    host.daemon_down().unwrap();
    ours(&host, &["net-list"]);
    let now = rules(&host).join("\n");
    assert!(!now.contains("libvirt_network"), "{now}");
    for (_, xml) in NETWORKS {
        ours(&host, &["net-destroy", name(xml)]);
    }
    let left = rules(&host).join("\n");
    for trace in ["virbr", "oxivirt", "LIBVIRT", "libvirt", "192.168.122"] {
        assert!(!left.contains(trace), "{trace} in\n{left}");
    }
}

#[apply(scenario)]
fn what_libvirt_forgot_with_nftables_is_found() {
    check_damaged(Backend::Nftables);
}

#[apply(scenario)]
fn what_libvirt_forgot_with_iptables_is_found() {
    check_damaged(Backend::Iptables);
}

#[apply(scenario)]
fn rules_of_a_network_that_libvirt_still_has_stay() {
    // Two of libvirt's networks run; the files of one are taken by a driver of another directory.
    let (host, _) = libvirt(Backend::Nftables);
    let xml = include_str!("../../data/networks/default.xml");
    let xml = xml.replace("virbr0", "virbr9").replace("192.168.122.", "192.168.199.");
    let before = rules(&host);
    let root = oxivirt_tests::TempRoot::new().unwrap();
    let file = host.document(&xml).unwrap();
    let uri = format!("network:///embed?root={}", root.path().display());
    let run = |words: &[&str]| {
        let oxish = oxivirt_tests::host::program("oxish").unwrap();
        let run = host.netns().run([oxish.as_os_str(), "-c".as_ref(), uri.as_ref()]);
        run.args(words).stdout().unwrap()
    };
    run(&["net-create", &file.path().to_string_lossy()]);
    run(&["net-destroy", name(&xml)]);
    assert_eq!(rules(&host), before);
}
