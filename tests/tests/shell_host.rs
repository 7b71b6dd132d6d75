//! What the shell says of a real network on a throw-away host.

use oxivirt_tests::daemon::PLAIN;
use oxivirt_tests::host::program;
use oxivirt_tests::process::Finished;
use oxivirt_tests::process::wait_until;
use oxivirt_tests::require::{Need, need};
use oxivirt_tests::root::TempRoot;
use oxivirt_tests::{Daemon, Netns, apply, scenario};
use serde_json::Value;

const NAT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/data/networks/nat.xml");

#[apply(scenario)]
fn a_network_is_healthy_and_its_plan_is_what_is_done() {
    need(&[Need::Netns]);
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
    // the chain that drops forwarded packets is named
    netns
        .sh("nft add table ip other; nft 'add chain ip other f { type filter hook forward priority 0; policy drop; }'")
        .unwrap();
    let status = value(&["net-status", "nat", "--format", "json"]);
    assert_eq!(status["foreign_drops"][0], "ip other f (forward)", "{status}");
    // a start of what runs already is refused in the plan as well
    let refused = run(&["net-start", "nat", "--dry-run"]);
    assert!(refused.stderr.contains("network is already active"), "{}", refused.stderr);
    run(&["net-destroy", "nat"]).ok().unwrap();
    assert_eq!(links(), before);
}

/// The document of the step that changes rules.
fn document(plan: &Value) -> &str {
    let steps = plan["steps"].as_array().unwrap();
    let mut documents = steps.iter().filter_map(|step| step["nft"].as_str());
    let document = documents.next().unwrap();
    assert_eq!(documents.next(), None, "{plan}");
    document
}

/// The rules without the comments of chains, which nft 1.0.6 drops when it reads JSON.
fn rules(netns: &Netns) -> String {
    let listed = netns.sh("nft -s list ruleset").unwrap();
    let lines = listed.split_inclusive('\n');
    lines.filter(|line| !line.trim_start().starts_with("comment ")).collect()
}

#[apply(scenario)]
fn the_rules_of_a_plan_are_a_document_that_nft_takes() {
    need(&[Need::Netns]);
    let (netns, root) = (Netns::new().unwrap(), TempRoot::new().unwrap());
    let uri = format!("network:///embed?root={}", root.path().display());
    let oxish = program("oxish").unwrap().display().to_string();
    let run = |words: &[&str]| {
        let run = netns.run([oxish.as_str(), "-q", "-c", &uri]).args(words);
        run.stdout().unwrap()
    };
    let plan = |verb: &str| -> Value {
        serde_json::from_str(&run(&[verb, "nat", "--dry-run", "--format", "json"])).unwrap()
    };
    let nft = |option: &str, plan: &Value| {
        netns.run(["nft", option, "-j", "-f", "-"]).input(document(plan)).stdout().unwrap();
    };
    let rules = || rules(&netns);
    run(&["net-define", NAT]);
    let start = plan("net-start");
    nft("-c", &start);
    assert_eq!(rules(), "", "a check changes nothing");
    run(&["net-start", "nat"]);
    let started = rules();
    let destroy = plan("net-destroy");
    nft("-c", &destroy);
    assert_eq!(rules(), started, "a check changes nothing");
    // What the plans say is what the driver does.
    nft("-a", &destroy);
    assert!(!rules().contains("virbr0"), "{}", rules());
    nft("-a", &start);
    assert_eq!(rules(), started);
    run(&["net-destroy", "nat"]);
}

/// A daemon that repairs nothing, on which the network runs; and what asks it.
struct Watched {
    daemon: Daemon,
    oxish: String,
}

impl Watched {
    /// `heal` is the setting of that name.
    #[expect(clippy::disallowed_methods, reason = "no reader yet")]
    fn new(heal: &str) -> Self {
        need(&[Need::Netns]);
        let root = TempRoot::new().unwrap();
        let settings = root.join("etc/libvirt/network.conf");
        std::fs::create_dir_all(settings.parent().unwrap()).unwrap();
        std::fs::write(&settings, format!("heal = \"{heal}\"\n")).unwrap();
        let daemon = Daemon::start_in(Netns::new().unwrap(), root, PLAIN, &[]).unwrap();
        let oxish = program("oxish").unwrap().display().to_string();
        let watched = Self { daemon, oxish };
        watched.run(&["net-create", NAT]).ok().unwrap();
        watched
    }

    fn run(&self, words: &[&str]) -> Finished {
        let uri = self.daemon.uri();
        let run = self.daemon.netns().run([self.oxish.as_str(), "-q", "-c", &uri]);
        run.args(words).output().unwrap()
    }

    fn status(&self) -> (i32, Value) {
        let asked = self.run(&["net-status", "nat", "--format", "json"]);
        (asked.status.code().unwrap(), serde_json::from_str(&asked.stdout).unwrap())
    }

    fn missing(&self, part: &str) -> Vec<String> {
        self.texts(part, "missing")
    }

    /// A list of texts in the record of a part; empty if the part is in place.
    fn texts(&self, part: &str, key: &str) -> Vec<String> {
        let (_, status) = self.status();
        let parts = status["parts"].as_array().unwrap();
        let part = parts.iter().find(|found| found["part"] == part).unwrap();
        part.get(key).map_or_else(Vec::new, |texts| serde_json::from_value(texts.clone()).unwrap())
    }
}

#[apply(scenario)]
fn missing_parts_are_reported() {
    let watched = Watched::new("observe");
    let (code, status) = watched.status();
    assert_eq!((code, &status["healthy"], &status["last_heal"]), (0, &true.into(), &Value::Null));
    let netns = watched.daemon.netns();
    let complete = rules(netns);
    netns.sh("nft flush ruleset; ip address flush dev virbr0 scope global").unwrap();
    let (code, status) = watched.status();
    assert_eq!((code, &status["healthy"]), (1, &false.into()), "{status}");
    assert!(watched.missing("rules").iter().any(|step| step.starts_with("load ")), "{status}");
    assert_eq!(watched.missing("address"), ["add address 192.168.122.1/24 to virbr0"]);
    assert!(watched.missing("process").is_empty(), "{status}");
    // The rules that are missing are documents that nft takes and that repair the network.
    let load = |option: &str| {
        for document in watched.texts("rules", "nft") {
            let nft = netns.run(["nft", option, "-j", "-f", "-"]);
            nft.input(document.as_str()).stdout().unwrap();
        }
    };
    load("-c");
    assert_eq!(rules(netns), "", "a check changes nothing");
    load("-a");
    assert_eq!(rules(netns), complete);
    watched.daemon.netns().kill_all("dnsmasq").unwrap();
    assert_eq!(watched.missing("process").len(), 1);
    // The driver has seen it too, and does nothing about it.
    let seen = || Ok(!watched.status().1["last_heal"].is_null());
    wait_until("a note of what was seen", seen).unwrap();
    let shown = watched.run(&["net-status", "nat"]).stdout;
    assert!(shown.contains("Last repair:"), "{shown}");
    assert!(shown.contains("not repaired, as configured"), "{shown}");
    watched.run(&["net-destroy", "nat"]).ok().unwrap();
}

#[apply(scenario)]
fn the_last_repair_is_reported_until_the_network_stops() {
    let watched = Watched::new("repair");
    // A flush repeats until no address is left, so it could remove the one that a repair added.
    watched.daemon.netns().sh("ip address delete 192.168.122.1/24 dev virbr0").unwrap();
    let repaired = || Ok(!watched.status().1["last_heal"].is_null());
    wait_until("a note of the repair", repaired).unwrap();
    let (code, status) = watched.status();
    assert_eq!(code, 0, "{status}");
    let steps = &status["last_heal"]["steps"];
    assert!(steps.to_string().contains("add address 192.168.122.1/24 to virbr0"), "{status}");
    watched.run(&["net-destroy", "nat"]).ok().unwrap();
    watched.run(&["net-create", NAT]).ok().unwrap();
    assert!(watched.status().1["last_heal"].is_null());
}

#[apply(scenario)]
fn the_changes_of_a_take_over_are_listed() {
    let mut watched = Watched::new("repair");
    let root = watched.daemon.root().display().to_string();
    watched.daemon.stop().unwrap();
    let plan = |watched: &Watched| -> Vec<String> {
        let words = ["net-takeover", "--plan", "--root", &root, "--format", "json"];
        let asked = watched.run(&words).ok().unwrap();
        let found: Value = serde_json::from_str(&asked.stdout).unwrap();
        assert_eq!(found[0]["network"], "nat", "{found}");
        let steps = found[0]["steps"].as_array().unwrap();
        steps.iter().map(|step| step["step"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(plan(&watched), Vec::<String>::new());
    watched.daemon.netns().sh("nft flush ruleset").unwrap();
    let steps = plan(&watched);
    assert!(steps.iter().all(|step| step.starts_with("load ")), "{steps:?}");
    assert_eq!(steps.len(), 1, "{steps:?}");
    // Looking changed nothing.
    assert_eq!(watched.daemon.netns().sh("nft list ruleset").unwrap(), "");
    let refused = watched.run(&["net-takeover"]);
    assert!(refused.stderr.contains("--plan"), "{}", refused.stderr);
}

fn main() -> std::process::ExitCode {
    oxivirt_tests::harness::main()
}
