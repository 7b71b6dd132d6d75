//! The driver owns its table of rules: no other process changes it while the driver runs.

use oxivirt_tests::process::wait_until;
use oxivirt_tests::session::Session;
use oxivirt_tests::{Host, apply, require, scenario};

use super::host_with_nftables;
use super::lab::Lab;

const NAT: &str = include_str!("../../data/networks/nat.xml");
const OWNER: &str = "firewall_table_owner = 1\n";
/// Without what is counted: some packets of the host itself pass.
const LIST: &str = "nft -a -s list table inet oxivirt_network";
const FLUSH: &str = "nft flush ruleset";

/// A running network under these settings.
fn lab(settings: &str) -> Lab {
    let host = host_with_nftables();
    host.configure(settings).unwrap();
    let lab = Lab::on(host, &[&NAT.replace('\n', " ")]);
    if settings == OWNER && !is_owned(&lab.sh(LIST)) {
        require::skip("the kernel has no tables that outlive their owner");
    }
    lab
}

fn is_owned(table: &str) -> bool {
    table.contains("flags owner")
}

/// The lines of a listing without what is said of the table itself.
fn lines(table: &str) -> Vec<&str> {
    let lines = table.lines().skip(1).map(str::trim).filter(|line| !line.is_empty());
    // An nft that does not know the flag `persist` prints nothing after the word.
    lines.filter(|line| *line != "flags" && !is_owned(line)).collect()
}

/// What is in a table, whatever its numbers and in whichever order it was made.
fn content(table: &str) -> Vec<&str> {
    let lines = lines(table).into_iter();
    let mut content: Vec<_> =
        lines.map(|line| line.split(" # handle").next().unwrap_or_default()).collect();
    content.sort_unstable();
    content
}

/// Ends the driver; the networks stay.
fn end(lab: Lab) -> Host {
    let Lab { session, host } = lab;
    drop(session);
    host.restart().unwrap();
    host
}

fn open(host: Host) -> Lab {
    Lab { session: Session::listen(&host).unwrap(), host }
}

#[apply(scenario)]
fn no_other_process_can_delete_rules() {
    let mut lab = lab(OWNER);
    let before = lab.sh(LIST);
    lab.sh(FLUSH);
    assert_eq!(lab.sh(LIST), before);
    for change in ["delete table inet oxivirt_network", "flush chain inet oxivirt_network forward"]
    {
        assert!(lab.host.netns().sh(&format!("nft {change}")).is_err(), "{change}");
    }
    lab.session.call("destroy", "nat", "").unwrap();
    assert_eq!(lab.sh("nft list tables"), "");
}

#[apply(scenario)]
fn without_the_setting_anybody_can_and_it_is_repaired() {
    let lab = lab("");
    assert!(!is_owned(&lab.sh(LIST)));
    let before = lab.sh(LIST);
    lab.sh("nft delete table inet oxivirt_network");
    let again =
        || Ok(lab.host.netns().sh(LIST).is_ok_and(|after| content(&after) == content(&before)));
    wait_until("the rules are there again", again).unwrap();
}

#[apply(scenario)]
fn the_table_outlives_the_driver_and_is_taken_again() {
    let lab = lab(OWNER);
    let before = lab.sh(LIST);
    let host = end(lab);
    let between = host.netns().sh(LIST).unwrap();
    assert_eq!((lines(&between), is_owned(&between)), (lines(&before), false));
    let lab = open(host);
    // The numbers are the same too: nothing was written again.
    let after = lab.sh(LIST);
    assert_eq!(lines(&after), lines(&before));
    assert!(is_owned(&after));
    lab.sh(FLUSH);
    assert_eq!(lab.sh(LIST), before);
}

#[apply(scenario)]
fn once_the_driver_has_ended_anybody_can_take_rules_away() {
    let lab = lab(OWNER);
    let before = lab.sh(LIST);
    let host = end(lab);
    host.netns().sh(FLUSH).unwrap();
    assert_eq!(host.netns().sh("nft list tables").unwrap(), "");
    let lab = open(host);
    assert_eq!(content(&lab.sh(LIST)), content(&before));
    assert!(is_owned(&lab.sh(LIST)));
}

#[apply(scenario)]
fn the_setting_may_change_while_networks_run() {
    let mut lab = lab(OWNER);
    let before = lab.sh(LIST);
    for (settings, expect) in [("", false), (OWNER, true), ("", false)] {
        let host = end(lab);
        host.configure(settings).unwrap();
        lab = open(host);
        let after = lab.sh(LIST);
        assert_eq!((content(&after), is_owned(&after)), (content(&before), expect));
    }
    lab.session.call("destroy", "nat", "").unwrap();
    assert_eq!(lab.sh("nft list tables"), "");
}

/// A driver of another directory has a network in the same table.
#[apply(scenario)]
fn the_rules_of_another_driver_stay_whatever_the_setting() {
    let lab = lab("");
    let root = oxivirt_tests::TempRoot::new().unwrap();
    let uri = format!("network:///embed?root={}", root.path().display());
    let xml = include_str!("../../data/networks/default.xml");
    let xml = xml.replace("virbr0", "virbr9").replace("192.168.122.", "192.168.199.");
    let file = lab.host.document(&xml).unwrap();
    let other = |words: &[&str]| {
        let oxish = oxivirt_tests::host::program("oxish").unwrap();
        let run = lab.host.netns().run([oxish.as_os_str(), "-c".as_ref(), uri.as_ref()]);
        run.args(words).stdout().unwrap()
    };
    other(&["net-create", &file.path().to_string_lossy()]);
    let before = lab.sh(LIST);
    assert!(before.contains("in_virbr9") && before.contains("in_virbr0"), "{before}");
    let host = end(lab);
    host.configure(OWNER).unwrap();
    let mut lab = open(host);
    assert_eq!(content(&lab.sh(LIST)), content(&before));
    // Nothing is written again and again because the table is not as wanted.
    let numbers = lab.sh(LIST);
    lab.sh("nft add table inet other; nft delete table inet other");
    // The driver reads notifications in order: once it has repaired this, it has read the earlier ones.
    lab.sh("ip address flush dev virbr0 scope global");
    let repaired = || {
        let addresses = lab.host.netns().sh("ip -o -4 address show dev virbr0")?;
        Ok(addresses.contains("192.168.122.1"))
    };
    wait_until("the address is there again", repaired).unwrap();
    assert_eq!(lab.sh(LIST), numbers);
    lab.session.call("destroy", "nat", "").unwrap();
    let after = lab.sh(LIST);
    assert!(after.contains("in_virbr9") && !after.contains("in_virbr0"), "{after}");
}
