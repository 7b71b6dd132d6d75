//! Access control: each call is a matter of the policy.

use std::path::PathBuf;

use oxivirt_tests::bus::Bus;
use oxivirt_tests::host::program;
use oxivirt_tests::process::{Finished, Running};
use oxivirt_tests::require::{Need, need};
use oxivirt_tests::{Daemon, Netns, apply, scenario};

const CONFIG: &str = "auth_unix_rw = \"none\"\nauth_unix_ro = \"none\"\n\
                      access_drivers = [\"polkit\"]\n";

/// What a client may do that looks at one network and starts it.
const OPERATOR: [&str; 7] = [
    "org.libvirt.api.connect.getattr",
    "org.libvirt.api.connect.read",
    "org.libvirt.api.connect.search-networks",
    "org.libvirt.api.network.getattr=red",
    "org.libvirt.api.network.read=red",
    "org.libvirt.api.network.start=red",
    "org.libvirt.api.network-port.create=red",
];

/// A daemon that asks the policy about each call.
struct Guarded {
    daemon: Daemon,
    calls: PathBuf,
    _policy: Running,
    _bus: Bus,
}

impl Guarded {
    /// With networks `red` and `blue`, once a policy that allows all has let them be defined.
    fn new(rules: &[&str]) -> Self {
        need(&[Need::Netns, Bus::NEED]);
        let netns = Netns::new().unwrap();
        let bus = Bus::on(&netns).unwrap();
        let calls = bus.file("calls");
        let file = calls.to_string_lossy().into_owned();
        let words = |rules: &[&str]| {
            let words = ["polkit".to_owned(), file.clone()].into_iter();
            words.chain(rules.iter().map(|rule| (*rule).to_owned())).collect::<Vec<_>>()
        };
        let stand_in = |netns: &Netns, rules: &[&str]| {
            let words = words(rules);
            let words: Vec<_> = words.iter().map(String::as_str).collect();
            bus.stand_in(netns, &words).unwrap()
        };
        let all = [OPERATOR[0], "org.libvirt.api.network.write", "org.libvirt.api.network.save"];
        let policy = stand_in(&netns, &all);
        let daemon = Daemon::start_with_bus(netns, &bus, CONFIG).unwrap();
        for name in ["red", "blue"] {
            let xml = format!("<network><name>{name}</name></network>");
            let file = daemon.root().join(name);
            daemon.netns().sh(&format!("echo \"{xml}\" > '{}'", file.display())).unwrap();
            oxish(&daemon, &["net-define", &file.to_string_lossy()]).ok().unwrap();
        }
        drop(policy.finish());
        let policy = stand_in(daemon.netns(), rules);
        Self { daemon, calls, _policy: policy, _bus: bus }
    }

    fn calls(&self) -> String {
        std::fs::read_to_string(&self.calls).unwrap()
    }

    #[track_caller]
    fn refused(&self, words: &[&str]) {
        let finished = oxish(&self.daemon, words);
        assert!(!finished.status.success(), "{words:?}");
        let denied = "access denied: 'network' denied access";
        assert!(finished.stderr.contains(denied), "{words:?}: {}", finished.stderr);
    }

    #[track_caller]
    fn done(&self, words: &[&str]) -> String {
        oxish(&self.daemon, words).ok().unwrap().stdout
    }
}

fn oxish(daemon: &Daemon, words: &[&str]) -> Finished {
    let program = program("oxish").unwrap();
    let uri = daemon.uri();
    let run = daemon.netns().run([program.as_os_str(), "-c".as_ref(), uri.as_ref()]);
    run.args(words).output().unwrap()
}

#[apply(scenario)]
fn a_client_does_what_the_policy_lets_it_do() {
    let guarded = Guarded::new(&OPERATOR);
    guarded.done(&["net-start", "red"]);
    guarded.done(&["net-info", "red"]);
    guarded.refused(&["net-destroy", "red"]);
    guarded.refused(&["net-autostart", "red"]);
    guarded.refused(&["net-info", "blue"]);
    guarded.refused(&["net-start", "blue"]);
    let calls = guarded.calls();
    // No password prompt, and the identity is that of the network in the call.
    assert!(calls.contains("org.libvirt.api.network.start 'red' 0 yes"), "{calls}");
    assert!(calls.contains("org.libvirt.api.network.stop 'red' 0 no"), "{calls}");
    // A missing object is reported as missing, not as denied.
    let finished = oxish(&guarded.daemon, &["net-info", "green"]);
    assert!(finished.stderr.contains("no network with matching name"), "{}", finished.stderr);
}

#[apply(scenario)]
fn hidden_networks_are_not_listed() {
    let guarded = Guarded::new(&OPERATOR);
    assert_eq!(guarded.done(&["net-list", "--all", "--name"]).trim(), "red");
}

#[apply(scenario)]
fn a_name_that_the_client_makes_up_is_of_no_use() {
    let guarded = Guarded::new(&OPERATOR);
    let uuid = "7d1c0a52-93e4-4f0b-8a6e-000000000051";
    let xml = format!("<network><name>blue</name><uuid>{uuid}</uuid></network>");
    let file = guarded.daemon.root().join("again");
    let script = format!("echo \"{xml}\" > '{}'", file.display());
    guarded.daemon.netns().sh(&script).unwrap();
    guarded.refused(&["net-define", &file.to_string_lossy()]);
    guarded.refused(&["net-create", &file.to_string_lossy()]);
}

#[apply(scenario)]
fn without_a_policy_every_call_is_denied() {
    need(&[Need::Netns, Bus::NEED]);
    let netns = Netns::new().unwrap();
    let bus = Bus::on(&netns).unwrap();
    let daemon = Daemon::start_with_bus(netns, &bus, CONFIG).unwrap();
    let finished = oxish(&daemon, &["net-list"]);
    assert!(!finished.status.success());
    assert!(finished.stderr.contains("cannot ask polkit"), "{}", finished.stderr);
}
