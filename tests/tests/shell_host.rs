//! What the shell says of a real network on a throw-away host.

use oxivirt_tests::Netns;
use oxivirt_tests::host::program;
use oxivirt_tests::process::Finished;
use oxivirt_tests::require::{Need, available};
use oxivirt_tests::root::TempRoot;
use serde_json::Value;

const NAT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/data/networks/nat.xml");

#[test]
fn a_network_is_healthy_and_its_plan_is_what_is_done() {
    if !available("a_network_is_healthy_and_its_plan_is_what_is_done", &[Need::Netns]) {
        return;
    }
    let (netns, root) = (Netns::new().unwrap(), TempRoot::new().unwrap());
    let uri = format!("network:///embed?root={}", root.path().display());
    let oxish = program("oxish").unwrap().display().to_string();
    let run = |words: &[&str]| -> Finished {
        netns.run([oxish.as_str(), "-q", "-c", &uri]).args(words).output().unwrap()
    };
    let value = |words: &[&str]| -> Value { serde_json::from_str(&run(words).stdout).unwrap() };
    run(&["net-define", NAT]).ok().unwrap();
    let links = || netns.sh("ip -br link").unwrap();
    let before = links();
    let plan = value(&["net-start", "nat", "--dry-run", "--format", "json"]);
    let steps: Vec<&str> = plan["steps"]
        .as_array()
        .unwrap()
        .iter()
        .map(|step| step["step"].as_str().unwrap())
        .collect();
    assert!(steps.contains(&"create bridge virbr0"), "{steps:?}");
    assert_eq!(links(), before, "a dry run changes nothing");
    run(&["net-start", "--all"]).ok().unwrap();
    netns.sh("ip link show virbr0").unwrap();
    let status = value(&["net-status", "nat", "--format", "json"]);
    assert_eq!(status["healthy"], true, "{status}");
    let graph = value(&["net-graph", "--format", "json"]);
    assert_eq!((&graph[0]["bridge"], &graph[0]["mode"]), (&"virbr0".into(), &"nat".into()));
    // whoever drops what is forwarded is named
    netns
        .sh("nft add table ip other; nft 'add chain ip other f { type filter hook forward priority 0; policy drop; }'")
        .unwrap();
    let status = value(&["net-status", "nat", "--format", "json"]);
    assert_eq!(status["foreign_drops"][0], "ip other f (forward)", "{status}");
    // a start of what runs already is refused in the plan as well
    let refused = run(&["net-start", "nat", "--dry-run"]);
    assert!(refused.stderr.contains("already in use by interface virbr0"), "{}", refused.stderr);
    run(&["net-destroy", "nat"]).ok().unwrap();
    assert_eq!(links(), before);
}
