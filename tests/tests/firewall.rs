//! The three forms of a rule set are one: text, JSON and netlink messages list alike, and what was
//! loaded is removed in every state.

use oxivirt_tests::require::{Need, need};
use oxivirt_tests::{Netns, apply, scenario};

const RULES: &str = concat!(env!("CARGO_BIN_EXE_oxivirt-campaign"), " rules");
const BRIDGES: [&str; 6] = ["virbr0", "virbr1", "virbr2", "virbr3", "br-snat", "overlap"];

/// A host whose rules were loaded by `script`; `$RULES` is the program with the rules.
fn host(script: &str) -> Netns {
    let host = Netns::new().unwrap();
    run(&host, script);
    host
}

fn run(host: &Netns, script: &str) -> String {
    host.sh(&format!("RULES='{RULES}'\n{script}")).unwrap()
}

/// Loads a network at a time, as the driver does: nft 1.0.6 cannot resolve a chain that is newer than
/// an interval map of the same transaction.
const BY_TEXT: &str = r#"$RULES text | awk '/^add table/ { n++ } { print > "/run/part" n }'
    for part in /run/part*; do nft -f $part; done"#;
const BY_JSON: &str =
    r#"$RULES json | while read -r line; do printf '%s\n' "$line" | nft -j -f -; done"#;
const BY_NETLINK: &str = "$RULES load";

fn listing(host: &Netns) -> String {
    run(host, "nft -s list ruleset")
}

/// The JSON listing without handles and without the version of nft.
fn json_listing(host: &Netns) -> serde_json::Value {
    fn strip(value: &mut serde_json::Value) {
        match value {
            serde_json::Value::Object(object) => {
                object.remove("handle");
                object.remove("metainfo");
                object.values_mut().for_each(strip);
            }
            serde_json::Value::Array(array) => array.iter_mut().for_each(strip),
            _ => {}
        }
    }
    let mut value = serde_json::from_str(&run(host, "nft -j -s list ruleset")).unwrap();
    strip(&mut value);
    value
}

#[apply(scenario)]
fn netlink_messages_list_as_the_text_does() {
    need(&[Need::Netns]);
    let (text, netlink) = (host(BY_TEXT), host(BY_NETLINK));
    assert_eq!(listing(&text), listing(&netlink));
    assert!(listing(&text).contains("vmap @nat4_1"));
    run(&netlink, BY_NETLINK);
    assert_eq!(listing(&text), listing(&netlink), "loading again changes nothing");
}

#[apply(scenario)]
fn json_documents_list_as_netlink_messages_do() {
    need(&[Need::Netns]);
    let (json, netlink) = (host(BY_JSON), host(BY_NETLINK));
    assert_eq!(json_listing(&json), json_listing(&netlink));
    assert!(json_listing(&json).to_string().contains("masquerade"));
}

#[apply(scenario)]
fn the_saved_words_leave_only_what_is_shared() {
    need(&[Need::Netns]);
    let host = host(BY_NETLINK);
    let remove = "$RULES words | while read -r words; do nft $words; done";
    run(&host, remove);
    let left = listing(&host);
    assert!(left.contains("chain forward"), "{left}");
    assert!(BRIDGES.iter().all(|bridge| !left.contains(bridge)), "{left}");
    run(&host, remove);
    assert_eq!(listing(&host), left, "twice is as good as once");
}

/// Loads, damages, removes; nothing is left.
#[track_caller]
fn check_removal(damage: &str) {
    need(&[Need::Netns]);
    let host = host(BY_NETLINK);
    run(&host, damage);
    run(&host, "$RULES remove");
    assert_eq!(listing(&host), "", "left after: {damage}");
}

#[apply(scenario)]
fn removal_of_complete_rules() {
    check_removal("true");
}

#[apply(scenario)]
fn removal_after_elements_were_lost() {
    check_removal(
        "nft delete element inet oxivirt_network gin '{ virbr0 }'
         nft flush map inet oxivirt_network cross",
    );
}

#[apply(scenario)]
fn removal_after_a_chain_was_lost() {
    check_removal(
        "nft delete element inet oxivirt_network gin '{ virbr0 }'
         nft flush chain inet oxivirt_network in_virbr0
         nft delete chain inet oxivirt_network in_virbr0",
    );
}

#[apply(scenario)]
fn removal_after_a_map_was_lost() {
    check_removal(
        "nft flush chain inet oxivirt_network postrouting_1
         nft delete map inet oxivirt_network nat4_1",
    );
}

#[apply(scenario)]
fn removal_after_everything_was_flushed() {
    check_removal("nft flush ruleset");
}

#[apply(scenario)]
fn removal_leaves_foreign_rules() {
    need(&[Need::Netns]);
    let host = host(
        "nft add table inet mine; nft add chain inet mine c; nft add rule inet mine c tcp dport 9999 drop",
    );
    let before = listing(&host);
    run(&host, BY_NETLINK);
    run(&host, "$RULES remove");
    assert_eq!(listing(&host), before);
}

/// Damages the rules; only these bridges are reported as damaged.
#[track_caller]
fn check_verify(damage: &str, damaged: &[&str]) {
    need(&[Need::Netns]);
    let host = host(BY_NETLINK);
    run(&host, damage);
    let report = run(&host, "$RULES verify");
    let found: Vec<_> = report.lines().filter_map(|line| line.strip_suffix(" damaged")).collect();
    assert_eq!(found, damaged);
    run(&host, BY_NETLINK);
    assert!(!run(&host, "$RULES verify").contains("damaged"));
}

#[apply(scenario)]
fn complete_rules_are_recognised() {
    check_verify("true", &[]);
}

#[apply(scenario)]
fn a_lost_element_is_noticed() {
    check_verify("nft delete element inet oxivirt_network gout '{ virbr1 }'", &["virbr1"]);
}

#[apply(scenario)]
fn a_flushed_chain_is_noticed() {
    check_verify("nft flush chain inet oxivirt_network out_virbr2", &["virbr2"]);
}

#[apply(scenario)]
fn an_added_rule_is_noticed() {
    check_verify("nft add rule inet oxivirt_network in_virbr3 accept", &["virbr3"]);
}

#[apply(scenario)]
fn a_flushed_base_chain_damages_all() {
    check_verify("nft flush chain inet oxivirt_network forward", &BRIDGES);
}

fn main() -> std::process::ExitCode {
    oxivirt_tests::harness::main()
}
