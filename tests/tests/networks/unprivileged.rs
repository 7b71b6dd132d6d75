//! The driver of an ordinary user: what it can do, where its files are, and how it says no.

use oxivirt_tests::host::{CAMPAIGN, program};
use oxivirt_tests::session::Session;
use oxivirt_tests::{Netns, TempRoot, apply, scenario};

use super::lab::{assert_error, port_xml};
use oxivirt_tests::require::{Need, need};

/// `nobody`
const USER: &str = "65534";

const NAT: &str = include_str!("../../data/networks/nat.xml");

/// A user's directories on a fresh host, and a driver with his rights.
struct Desk {
    session: Session,
    files: TempRoot,
    netns: Netns,
}

impl Desk {
    fn new() -> Self {
        need(&[Need::Netns]);
        let (netns, files) = (Netns::new().unwrap(), TempRoot::new().unwrap());
        let root = files.path().display().to_string();
        netns.sh(&format!("mkdir {root}/config {root}/runtime; chown -R {USER} {root}")).unwrap();
        let session = Self::open(&netns, &files);
        Self { session, files, netns }
    }

    fn open(netns: &Netns, files: &TempRoot) -> Session {
        let root = files.path().display();
        let uri = format!("network:///session?config={root}/config&runtime={root}/runtime");
        let session = program(CAMPAIGN).unwrap();
        let drop_rights = ["setpriv", "--reuid", USER, "--regid", USER, "--clear-groups"];
        let command = netns.run(drop_rights).args(["--inh-caps=-all"]).args([
            session.as_os_str(),
            "session".as_ref(),
            uri.as_ref(),
            "events".as_ref(),
        ]);
        Session::begin(&command).unwrap()
    }

    fn restart(self) -> Self {
        let Self { session, files, netns } = self;
        drop(session);
        let session = Self::open(&netns, &files);
        Self { session, files, netns }
    }
}

#[apply(scenario)]
fn networks_with_a_bridge_are_defined_but_not_started() {
    let mut desk = Desk::new();
    desk.session.call("define", "-", NAT).unwrap();
    assert!(desk.files.join("config/qemu/networks/nat.xml").exists());
    let error = desk.session.call("start", "nat", "");
    assert_error(error, 38, "error creating bridge interface virbr0: Operation not permitted");
    assert_eq!(desk.netns.sh("ip -o link show type bridge").unwrap(), "");
    assert_eq!(desk.session.ask("active", "nat", "").unwrap(), "false");
    let mut desk = desk.restart();
    assert_eq!(desk.session.ask("active", "nat", "").unwrap(), "false");
    desk.session.call("undefine", "nat", "").unwrap();
    assert!(!desk.files.join("config/qemu/networks/nat.xml").exists());
}

#[apply(scenario)]
fn networks_on_what_is_there_start() {
    let mut desk = Desk::new();
    desk.netns.sh("ip link add lan type bridge").unwrap();
    for (name, forward) in [
        ("lan", "<forward mode='bridge'/><bridge name='lan'/>"),
        ("tap", "<forward mode='vepa' dev='eth7'/>"),
    ] {
        let xml = format!("<network><name>{name}</name>{forward}</network>");
        desk.session.call("define", "-", &xml).unwrap();
        desk.session.call("start", name, "").unwrap();
        assert!(desk.files.join(&format!("runtime/network/lib/{name}.xml")).exists());
        let port = format!("0 {}", port_xml(1, ""));
        let uuid = desk.session.ask("port-create", name, &port).unwrap();
        assert!(desk.files.join(&format!("runtime/network/lib/{name}/ports/{uuid}.xml")).exists());
    }
    let mut desk = desk.restart();
    for name in ["lan", "tap"] {
        assert_eq!(desk.session.ask("port-list", name, "").unwrap().lines().count(), 1);
        desk.session.call("destroy", name, "").unwrap();
        assert!(!desk.files.join(&format!("runtime/network/lib/{name}.xml")).exists());
    }
    let events = desk.session.ask("events", "-", "").unwrap();
    assert_eq!(events, "lan stopped\ntap stopped");
}

#[apply(scenario)]
fn limits_are_not_for_users() {
    let mut desk = Desk::new();
    let xml = "<network><name>lan</name><forward mode='bridge'/><bridge name='lan'/>
      <bandwidth><inbound average='1000'/></bandwidth></network>";
    desk.session.call("define", "-", xml).unwrap();
    let error = desk.session.call("start", "lan", "");
    assert_error(error, 84, "Network bandwidth tuning is not available in session mode");
    assert!(!desk.files.join("runtime/network/lib/lan.xml").exists());
}

#[apply(scenario)]
fn a_users_daemon_starts_when_it_is_needed() {
    need(&[Need::Netns]);
    let (netns, files) = (Netns::new().unwrap(), TempRoot::new().unwrap());
    let root = files.path().display().to_string();
    netns.sh(&format!("chown {USER} {root}")).unwrap();
    let oxish = program("oxish").unwrap();
    let run = |words: &[&str], autostart: &str| {
        let environment = [
            format!("HOME={root}"),
            format!("XDG_RUNTIME_DIR={root}"),
            "PATH=/usr/bin:/bin".to_owned(),
            format!("LIBVIRT_AUTOSTART={autostart}"),
        ];
        let rights = ["setpriv", "--reuid", USER, "--regid", USER, "--clear-groups", "env", "-i"];
        let run = netns.run(rights).args(environment).args([oxish.as_os_str()]).args(words);
        run.output().unwrap()
    };
    let refused = run(&["net-list"], "0");
    assert!(refused.stderr.contains("virtnetworkd-sock': No such file"), "{}", refused.stderr);
    let file = format!("{root}/mine.xml");
    netns.sh(&format!("echo '<network><name>mine</name></network>' > {file}")).unwrap();
    run(&["net-define", &file], "1").ok().unwrap();
    // The same daemon.
    let listed = run(&["net-list", "--all", "--name"], "0").ok().unwrap().stdout;
    assert_eq!(listed.trim(), "mine");
    let daemons = netns.processes().unwrap();
    let daemons = daemons.iter().filter(|process| process.command.contains("oxivirtd --timeout"));
    assert_eq!(daemons.count(), 1);
}
