//! The iptables backend: libvirt's rules, and nothing of them left.

use oxivirt_tests::process::wait_until;
use oxivirt_tests::require::{Need, need, skip};
use oxivirt_tests::session::Session;
use oxivirt_tests::{Backend, Host, Subject, apply, scenario};

const NAT: &str = include_str!("../../data/networks/nat.xml");
const NAME: &str = "nat";
const ALL: [(&str, &str); 5] = [
    ("nat", NAT),
    ("nat-dual", include_str!("../../data/networks/nat-dual.xml")),
    ("route", include_str!("../../data/networks/route.xml")),
    ("isolated", include_str!("../../data/networks/isolated.xml")),
    ("open", include_str!("../../data/networks/open.xml")),
];
const SAVE: &str = "iptables-save; ip6tables-save";

fn host() -> Host {
    need(&[Need::Netns]);
    Host::with_backend(Subject::Oxivirt, Backend::Iptables).unwrap()
}

fn name(xml: &str) -> &str {
    oxivirt_tests::packets::name_of(xml).unwrap()
}

/// The rules and chains that iptables lists, with their tables; chains and tables in order of name.
fn saved(host: &Host) -> Vec<String> {
    let mut lines = Vec::new();
    for program in ["iptables", "ip6tables"] {
        let text = host.netns().sh(&format!("{program}-save")).unwrap();
        let mut table = "";
        for line in text.lines() {
            if let Some(name) = line.strip_prefix('*') {
                table = name;
            } else if line.starts_with("-A") || line.starts_with(":LIBVIRT") {
                lines.push(format!("{program} -t {table} {line}"));
            }
        }
    }
    lines.sort_by_key(|line| line.split(' ').take(5).map(str::to_owned).collect::<Vec<_>>());
    lines
}

#[apply(scenario)]
fn every_kind_of_network_leaves_nothing() {
    let host = host();
    for (file, xml) in ALL {
        host.define(xml).unwrap();
        host.start(name(xml)).unwrap();
        host.destroy(name(xml)).unwrap();
        let before = host.snapshot().unwrap();
        host.start(name(xml)).unwrap();
        assert_eq!(saved(&host).iter().any(|line| line.contains("LIBVIRT")), file != "open");
        host.restart().unwrap();
        host.destroy(name(xml)).unwrap();
        let left = before.diff(&host.snapshot().unwrap());
        assert!(left.is_empty(), "{file} left behind:\n{left}");
        assert!(!saved(&host).iter().any(|line| line.contains("LIBVIRT")), "{file}");
    }
}

#[apply(scenario)]
fn the_rules_are_those_of_libvirt() {
    need(&[Need::Netns, Need::Peer]);
    let hosts = [Subject::Oxivirt, Subject::Libvirt]
        .map(|subject| Host::with_backend(subject, Backend::Iptables).unwrap());
    for (_, xml) in ALL {
        for host in &hosts {
            host.define(xml).unwrap();
            host.start(name(xml)).unwrap();
        }
    }
    let [ours, theirs] = &hosts;
    let (ours_saved, theirs_saved) = (saved(ours), saved(theirs));
    assert!(ours_saved == theirs_saved, "{ours_saved:#?}\n{theirs_saved:#?}");
    // Both put the same words into the status file, in the same order.
    let removal = |host: &Host, network: &str| {
        let text = std::fs::read_to_string(host.status_file(network)).unwrap();
        let lines = text.lines().skip_while(|line| !line.contains("<firewall"));
        lines.map(str::to_owned).collect::<Vec<_>>()
    };
    for (_, xml) in ALL {
        assert_eq!(removal(ours, name(xml)), removal(theirs, name(xml)), "{}", name(xml));
    }
}

/// Starts a network, lets `disturb` loose, restarts the driver: the rules are as they were, and
/// destroying leaves nothing but what `disturb` brought.
#[track_caller]
fn check_repair(disturb: &str, kept: &str) {
    let host = host();
    host.define(NAT).unwrap();
    host.start(NAME).unwrap();
    let rules = saved(&host);
    host.netns().sh(disturb).unwrap();
    assert_ne!(saved(&host), rules);
    host.restart().unwrap();
    let after: Vec<_> =
        saved(&host).into_iter().filter(|l| kept.is_empty() || !l.contains(kept)).collect();
    assert_eq!(after, rules);
    host.destroy(NAME).unwrap();
    let left: Vec<_> = saved(&host).into_iter().filter(|line| line.contains("LIBVIRT")).collect();
    assert!(!left.iter().any(|line| line.contains("virbr0")), "{left:#?}");
    assert_eq!(left.is_empty(), kept.is_empty(), "{left:#?}");
}

#[apply(scenario)]
fn flushed_chains_are_filled_again() {
    let script = "iptables -F LIBVIRT_FWI; iptables -t nat -F; iptables -F FORWARD";
    check_repair(script, "");
}

#[apply(scenario)]
fn a_flushed_ruleset_is_made_anew() {
    check_repair("nft flush ruleset; iptables -S >/dev/null", "");
}

#[apply(scenario)]
fn one_missing_rule_is_put_in_its_place() {
    let script = "iptables -D LIBVIRT_FWO -i virbr0 -j REJECT";
    check_repair(script, "");
}

#[apply(scenario)]
fn foreign_rules_in_shared_chains_stay() {
    let script = "iptables -F LIBVIRT_INP; iptables -I LIBVIRT_INP -i stranger -j ACCEPT";
    check_repair(script, "stranger");
}

const LEGACY_PATH: &str = "/run/legacy:/usr/sbin:/usr/bin:/sbin:/bin";

/// A host whose iptables programs go past nftables.
fn legacy_host() -> Host {
    let mut host = host();
    let probe = "iptables-legacy -t nat -S && ip6tables-legacy -t nat -S";
    if host.netns().sh(probe).is_err() {
        skip("the kernel has no legacy iptables");
    }
    let link = "mkdir /run/legacy; for p in ip ip6; do for w in tables tables-save tables-restore; do \
        ln -s $(command -v ${p}tables-legacy${w#tables}) /run/legacy/$p$w; done; done";
    host.netns().sh(link).unwrap();
    host.set_environment("PATH", LEGACY_PATH);
    host
}

#[apply(scenario)]
fn what_legacy_programs_take_is_found_in_a_while() {
    let host = legacy_host();
    let mut session = Session::listen(&host).unwrap();
    session.call("define", "-", &NAT.replace('\n', " ")).unwrap();
    session.call("start", NAME, "").unwrap();
    let rules = || host.netns().sh("iptables-legacy-save | grep ^-A").unwrap();
    let before = rules();
    host.netns().sh("iptables-legacy -F LIBVIRT_FWI").unwrap();
    let again = || Ok(rules() == before);
    wait_until("the rules are there again", again).unwrap();
}

#[apply(scenario)]
fn legacy_programs_do_as_well() {
    let host = legacy_host();
    let run = |words: &[&str]| {
        host.command(words).unwrap().env("PATH", LEGACY_PATH).output().unwrap().ok().unwrap();
    };
    let legacy = || host.netns().sh("iptables-legacy-save; ip6tables-legacy-save").unwrap();
    host.define(NAT).unwrap();
    run(&["net-start", NAME]);
    assert!(legacy().contains("-A LIBVIRT_FWO -s 192.168.122.0/24 -i virbr0 -j ACCEPT"));
    assert!(!host.netns().sh(SAVE).unwrap().contains("LIBVIRT"));
    host.netns().sh("iptables-legacy -F LIBVIRT_FWI").unwrap();
    run(&["net-list"]);
    assert!(legacy().contains("-A LIBVIRT_FWI -o virbr0 -j REJECT"));
    run(&["net-destroy", NAME]);
    assert!(!legacy().contains("LIBVIRT"), "{}", legacy());
}

#[apply(scenario)]
fn the_backend_is_what_the_settings_say() {
    let host = host();
    host.define(NAT).unwrap();
    let fails = |settings: &str, path: &str, words: &[&str], expect: &str| {
        host.configure(settings).unwrap();
        let script = format!("PATH={path} exec \"$@\"");
        let command = host.command(words).unwrap().through_shell(&script);
        let finished = command.output().unwrap();
        assert_eq!(finished.status.code(), Some(1), "{}", finished.stdout);
        assert!(finished.stderr.contains(expect), "{}", finished.stderr);
    };
    let path = "/usr/sbin:/usr/bin:/sbin:/bin";
    fails("firewall_backend = 'x'", path, &["net-list"], "unrecognized firewall_backend = 'x'");
    fails(
        "firewall_backend = 'iptables'",
        "/nonexistent",
        &["net-list"],
        "requested firewall_backend 'iptables' is not available",
    );
    fails(
        "firewall_backend = 'none'",
        path,
        &["net-start", NAME],
        "this function is not supported by the connection driver: No firewall backend is available",
    );
    let before = host.snapshot().unwrap();
    assert!(before.diff(&host.snapshot().unwrap()).is_empty());
}

#[apply(scenario)]
fn a_running_network_changes_its_backend() {
    let host = host();
    host.define(NAT).unwrap();
    host.start(NAME).unwrap();
    host.destroy(NAME).unwrap();
    let down = host.snapshot().unwrap();
    host.start(NAME).unwrap();
    let with_iptables = host.snapshot().unwrap();
    host.configure("firewall_backend = \"nftables\"\n").unwrap();
    host.restart().unwrap();
    assert!(!saved(&host).iter().any(|line| line.contains("LIBVIRT")));
    assert!(host.netns().sh("nft list ruleset").unwrap().contains("oxivirt_network"));
    host.configure("firewall_backend = \"iptables\"\n").unwrap();
    host.restart().unwrap();
    let back = with_iptables.diff(&host.snapshot().unwrap());
    assert!(back.is_empty(), "{back}");
    host.configure("firewall_backend = \"nftables\"\n").unwrap();
    host.restart().unwrap();
    host.destroy(NAME).unwrap();
    host.configure("firewall_backend = \"iptables\"\n").unwrap();
    let left = down.diff(&host.snapshot().unwrap());
    assert!(left.is_empty(), "{left}");
}
