//! Health reports and plans through a connection: they describe the host of the driver, not that of the shell.

use oxivirt_tests::daemon::{Daemon, PORTS};
use oxivirt_tests::host::program;
use oxivirt_tests::process::{Finished, Run};
use oxivirt_tests::require::{Need, need};
use oxivirt_tests::{Backend, Host, Netns, Subject, TempRoot, apply, pki, scenario};
use serde_json::Value;

const NAT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/data/networks/nat.xml");
const ISOLATED: &str = "<network><name>lab</name><bridge name='virbr7'/></network>";

const STATUS: [&str; 4] = ["net-status", "nat", "--format", "json"];
const PLAN: [&str; 5] = ["net-start", "lab", "--dry-run", "--format", "json"];

/// A daemon that repairs nothing, with every kind of socket, on which network `nat` runs and `lab` is defined.
fn daemon() -> Daemon {
    need(&[Need::Netns, Need::Program("openssl")]);
    let root = TempRoot::new().unwrap();
    pki::make(root.path()).unwrap();
    std::fs::create_dir_all(root.join("etc/libvirt")).unwrap();
    for (name, text) in
        [("etc/libvirt/network.conf", "heal = \"observe\"\n"), ("lab.xml", ISOLATED)]
    {
        let mut file = std::fs::File::create(root.join(name)).unwrap();
        std::io::Write::write_all(&mut file, text.as_bytes()).unwrap();
    }
    let netns = Netns::new().unwrap();
    let daemon = Daemon::start_in(netns, root, &pki::config(PORTS), &["--listen"]).unwrap();
    let lab = daemon.root().join("lab.xml").display().to_string();
    run_inside(&daemon, &daemon.uri(), &["net-create", NAT]).ok().unwrap();
    run_inside(&daemon, &daemon.uri(), &["net-define", &lab]).ok().unwrap();
    daemon
}

/// Runs the shell in the daemon's namespaces.
fn run_inside(daemon: &Daemon, uri: &str, words: &[&str]) -> Finished {
    let oxish = program("oxish").unwrap().display().to_string();
    daemon.netns().run([oxish.as_str(), "-q", "-c", uri]).args(words).output().unwrap()
}

/// Runs the shell in the namespaces of the test, where the network does not exist.
fn run_outside(daemon: &Daemon, words: &[&str]) -> Finished {
    let oxish = program("oxish").unwrap().display().to_string();
    Run::new([oxish.as_str(), "-q", "-c", &daemon.uri()]).args(words).output().unwrap()
}

fn json(finished: &Finished) -> Value {
    assert!(!finished.stdout.is_empty(), "{}", finished.stderr);
    serde_json::from_str(&finished.stdout).unwrap()
}

#[track_caller]
fn check_healthy(finished: &Finished) {
    let status = json(finished);
    assert_eq!((&status["healthy"], finished.status.code()), (&true.into(), Some(0)), "{status}");
    assert_eq!(status["parts"][0]["part"], "link", "{status}");
}

#[track_caller]
fn check_plan(finished: &Finished) {
    let plan = json(finished);
    let steps = plan["steps"].as_array().unwrap();
    assert!(steps.iter().any(|step| step["step"] == "create bridge virbr7"), "{plan}");
}

#[apply(scenario)]
fn the_daemons_host_is_examined_over_every_transport() {
    let daemon = daemon();
    check_healthy(&run_outside(&daemon, &STATUS));
    check_plan(&run_outside(&daemon, &PLAN));
    let tls = format!("network+tls://localhost/system?pkipath={}/pki", daemon.root().display());
    for uri in ["network+tcp://localhost/system", &tls] {
        check_healthy(&run_inside(&daemon, uri, &STATUS));
        check_plan(&run_inside(&daemon, uri, &PLAN));
    }
    daemon.netns().sh("nft flush ruleset").unwrap();
    let finished = run_outside(&daemon, &STATUS);
    let status = json(&finished);
    assert_eq!((&status["healthy"], finished.status.code()), (&false.into(), Some(1)), "{status}");
    let parts = status["parts"].as_array().unwrap();
    let missing: Vec<&Value> = parts.iter().filter(|part| part["ok"] == false).collect();
    assert_eq!(missing.len(), 1, "{status}");
    assert_eq!(missing[0]["part"], "rules", "{status}");
    run_outside(&daemon, &["net-destroy", "nat"]).ok().unwrap();
}

#[apply(scenario)]
fn libvirtd_cannot_answer() {
    need(&[Need::Netns, Need::Peer]);
    let host = Host::with_backend(Subject::Libvirt, Backend::Nftables).unwrap();
    host.define(ISOLATED).unwrap();
    let oxish = program("oxish").unwrap().display().to_string();
    for (words, line, call) in [
        (&["net-status", "lab"][..], "Failed to examine network lab", "oxivirtNetworkHealth"),
        (&["net-start", "lab", "--dry-run"], "Failed to start network lab", "oxivirtNetworkPlan"),
    ] {
        let run = host.netns().run([oxish.as_str(), "-c", "network:///system"]);
        let finished = run.args(words).output().unwrap();
        let expect = format!(
            "error: {line}\nerror: this function is not supported by the connection driver: {call}\n\
             hint: only Oxivirt's driver, embedded or in oxivirtd, can examine its host and plan operations\n"
        );
        assert_eq!((finished.stderr, finished.status.code()), (expect, Some(1)), "{words:?}");
    }
}

fn main() -> std::process::ExitCode {
    oxivirt_tests::harness::main()
}
