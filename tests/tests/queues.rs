//! Changes of queues over netlink are those that `tc` makes.

use oxivirt_tests::require::{Need, need};
use oxivirt_tests::{Netns, apply, scenario};

const QUEUES: &str = concat!(env!("CARGO_BIN_EXE_oxivirt-campaign"), " queues");

/// What `tc` lists of a link.
fn listing(host: &Netns, link: &str) -> String {
    let list = |what: &str| format!("tc -d {what} dev {link}\n");
    let script: String = [
        "qdisc show",
        "class show",
        "filter show",
        "filter show ingress",
        "filter show egress",
        "filter show parent ffff:",
    ]
    .map(list)
    .concat();
    host.sh(&format!("{script} true")).unwrap().replace(link, "LINK")
}

/// Does the same on `br0` over netlink and on `br1` by `tc`; how that ended for each change.
fn both(host: &Netns, what: &str) -> [String; 2] {
    let ours = host.sh(&format!("{QUEUES} {what} br0 2>/dev/null")).unwrap();
    let script = format!(
        "{QUEUES} words {what} br1 | while read -r line; do
           if tc $line >/dev/null 2>&1; then echo done; else echo refused; fi
         done"
    );
    [ours, host.sh(&script).unwrap()]
}

#[apply(scenario)]
fn what_is_made_is_what_tc_makes() {
    need(&[Need::Netns]);
    let host = Netns::new().unwrap();
    host.sh("ip link add br0 type bridge; ip link add br1 type bridge").unwrap();
    let before = listing(&host, "br0");
    let [ours, theirs] = both(&host, "load");
    assert_eq!(ours, theirs);
    assert!(ours.starts_with("done\ndone\ndone\ndone\ndone\ndone\n"), "{ours}");
    assert_eq!(listing(&host, "br0"), listing(&host, "br1"));
    assert!(
        listing(&host, "br0").contains("5252Kbit") || listing(&host, "br0").contains("htb 1:1f")
    );
    let [ours, theirs] = both(&host, "clear");
    assert_eq!(ours, theirs);
    host.sh("tc qdisc del dev br0 clsact; tc qdisc del dev br1 clsact").unwrap();
    assert_eq!(listing(&host, "br0"), before);
}

fn main() -> std::process::ExitCode {
    oxivirt_tests::harness::main()
}
