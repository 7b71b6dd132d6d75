//! The daemon starts, reloads, ends and starts again; networks stay.

use super::daemon_and_virsh;
use oxivirt_tests::{apply, scenario};

const NAT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/data/networks/nat.xml");

#[apply(scenario)]
fn networks_outlive_the_daemon() {
    let mut daemon = daemon_and_virsh();
    daemon.virsh(&["net-define", NAT]).stdout().unwrap();
    daemon.virsh(&["net-start", "nat"]).stdout().unwrap();
    daemon.reload().unwrap();
    daemon.virsh(&["net-info", "nat"]).stdout().unwrap();
    assert_eq!(daemon.stop().unwrap(), "status 0", "{}", daemon.log());
    daemon.netns().sh("ip link show virbr0").unwrap();
    assert!(!daemon.netns().processes_of("dnsmasq").unwrap().is_empty());
    assert!(!daemon.socket().exists(), "the socket stays");
    daemon.restart(&[]).unwrap();
    let list = daemon.virsh(&["net-list", "--name"]).stdout().unwrap();
    assert_eq!(list.trim(), "nat");
    daemon.virsh(&["net-destroy", "nat"]).stdout().unwrap();
}

#[apply(scenario)]
fn a_second_daemon_is_refused_by_the_name_of_the_first() {
    let daemon = daemon_and_virsh();
    let program = daemon.root().join("virtnetworkd");
    let root = daemon.root().as_os_str().to_owned();
    let second = daemon.netns().run([program.into_os_string(), "--root".into(), root]);
    let finished = second.output().unwrap();
    assert_eq!(finished.status.code(), Some(2));
    let name = format!("virtnetworkd (pid {})", daemon.pid());
    assert!(finished.stderr.contains(&name), "{}", finished.stderr);
    daemon.virsh(&["net-list"]).stdout().unwrap();
}
