//! Throw-away hosts, and snapshots of them.

use oxivirt_tests::process::wait_until;
use oxivirt_tests::require::{Need, need};
use oxivirt_tests::snapshot::Section;
use oxivirt_tests::{Netns, Snapshot, TempRoot, apply, scenario};

/// A fresh host with an empty root, its snapshot, and what `change` makes of it.
#[track_caller]
fn check(change: &str, undo: impl FnOnce(&Netns), section: Section, text: &str) {
    need(&[Need::Netns]);
    let netns = Netns::new().unwrap();
    let root = TempRoot::new().unwrap();
    let before = Snapshot::take(&netns, root.path()).unwrap();
    netns.sh(change).unwrap();
    let during = Snapshot::take(&netns, root.path()).unwrap();
    assert!(!before.mentions(section, text), "{text} was there before");
    assert!(during.mentions(section, text), "{text} is not seen:\n{}", before.diff(&during));
    undo(&netns);
    let after = Snapshot::take(&netns, root.path()).unwrap();
    assert!(before.diff(&after).is_empty(), "left behind:\n{}", before.diff(&after));
}

/// Undoes a change by a script.
fn script(script: &str) -> impl FnOnce(&Netns) {
    move |netns| drop(netns.sh(script).unwrap())
}

#[apply(scenario)]
fn a_link_is_seen() {
    check("ip link add br9 type bridge", script("ip link delete br9"), Section::Link, "br9");
}

#[apply(scenario)]
fn an_address_and_its_routes_are_seen() {
    check(
        "ip address add 192.0.2.1/24 dev lo",
        script("ip address delete 192.0.2.1/24 dev lo"),
        Section::Route,
        "192.0.2.1",
    );
}

#[apply(scenario)]
fn a_rule_of_nftables_is_seen() {
    check(
        "nft add table inet t9; nft add chain inet t9 c; nft add rule inet t9 c tcp dport 9999 drop",
        script("nft delete table inet t9"),
        Section::Nftables,
        "9999",
    );
}

#[apply(scenario)]
fn a_policy_rule_is_seen() {
    check(
        "ip rule add from 192.0.2.7 table 99",
        script("ip rule delete from 192.0.2.7 table 99"),
        Section::PolicyRule,
        "192.0.2.7",
    );
}

#[apply(scenario)]
fn a_qdisc_is_seen() {
    check(
        "ip link add br9 type bridge; tc qdisc add dev br9 root pfifo limit 77",
        script("ip link delete br9"),
        Section::Qdisc,
        "pfifo",
    );
}

#[apply(scenario)]
fn a_sysctl_is_seen() {
    check(
        "echo 239 > /proc/sys/net/ipv4/ip_default_ttl",
        script("echo 64 > /proc/sys/net/ipv4/ip_default_ttl"),
        Section::Sysctl,
        "239",
    );
}

#[apply(scenario)]
fn a_daemon_is_seen() {
    // A process has no arguments for a moment while it executes a program: the script waits for them.
    check(
        "setsid sleep 98765 </dev/null >/dev/null 2>&1 &
         until grep -qzx '9876[5]' /proc/[0-9]*/cmdline 2>/dev/null; do :; done",
        |netns| netns.kill_all("sleep").unwrap(),
        Section::Process,
        "sleep 98765",
    );
}

#[apply(scenario)]
fn processes_are_gone_once_they_are_killed() {
    need(&[Need::Netns]);
    let netns = Netns::new().unwrap();
    netns.sh("for n in 1 2 3; do setsid sleep 98765 </dev/null >/dev/null 2>&1 & done").unwrap();
    wait_until("processes", || Ok(netns.processes_of("sleep")?.len() == 3)).unwrap();
    netns.kill_all("sleep").unwrap();
    assert_eq!(netns.processes_of("sleep").unwrap(), []);
    netns.kill_all("sleep").unwrap_err();
}

#[apply(scenario)]
fn equal_states_have_equal_snapshots() {
    need(&[Need::Netns]);
    let root = TempRoot::new().unwrap();
    let [one, other] =
        [(); 2].map(|()| Snapshot::take(&Netns::new().unwrap(), root.path()).unwrap());
    assert!(one.diff(&other).is_empty(), "{}", one.diff(&other));
    assert!(one.count(Section::Sysctl) > 100);
    assert!(one.count(Section::Route) > 0);
}

#[apply(scenario)]
fn everything_ends_with_the_namespace() {
    need(&[Need::Netns]);
    let netns = Netns::new().unwrap();
    netns.sh("setsid sleep 87654 </dev/null >/dev/null 2>&1 &").unwrap();
    let processes = netns.processes().unwrap();
    assert_eq!(processes.len(), 1, "{processes:?}");
    let outside = format!("/proc/{}", processes[0].outside);
    assert!(std::fs::exists(&outside).unwrap());
    drop(netns);
    assert!(!std::fs::exists(&outside).unwrap());
}

#[apply(scenario)]
fn a_guest_reaches_its_host_over_a_bridge() {
    need(&[Need::Netns]);
    let host = Netns::new().unwrap();
    host.sh("ip link add br9 type bridge; ip address add 192.0.2.1/24 dev br9; ip link set br9 up")
        .unwrap();
    let guest = host.nested().unwrap();
    host.attach("br9", "port0", &guest).unwrap();
    guest.sh("ip address add 192.0.2.2/24 dev eth0").unwrap();
    guest.sh("busybox ping -c 1 -W 5 192.0.2.1").unwrap();
}

fn main() -> std::process::ExitCode {
    oxivirt_tests::harness::main()
}
