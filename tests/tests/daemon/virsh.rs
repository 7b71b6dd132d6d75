//! virsh as Debian ships it.

use super::daemon_and_virsh;
use oxivirt_tests::{apply, scenario};

const NAT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/data/networks/nat.xml");

#[apply(scenario)]
fn a_network_lives_and_goes() {
    let daemon = daemon_and_virsh();
    let virsh = |words: &[&str]| daemon.virsh(words).stdout().unwrap();
    assert_eq!(virsh(&["net-list", "--all"]).trim(), "");
    virsh(&["net-define", NAT]);
    virsh(&["net-start", "nat"]);
    virsh(&["net-autostart", "nat"]);
    let fields: Vec<String> = virsh(&["net-list"]).split_whitespace().map(str::to_owned).collect();
    assert_eq!(fields, ["nat", "active", "yes", "yes"]);
    assert!(virsh(&["net-dumpxml", "nat"]).contains("<bridge name='virbr0'"));
    daemon.netns().sh("ip link show virbr0").unwrap();
    virsh(&["net-destroy", "nat"]);
    virsh(&["net-undefine", "nat"]);
    assert_eq!(virsh(&["net-list", "--all"]).trim(), "");
    daemon.netns().sh("! ip link show virbr0 2>/dev/null").unwrap();
}

#[apply(scenario)]
fn errors_are_those_of_libvirt() {
    let daemon = daemon_and_virsh();
    let complaint = |words: &[&str]| {
        let finished = daemon.virsh(words).output().unwrap();
        assert_eq!(finished.status.code(), Some(1), "{words:?}");
        finished.stderr
    };
    let text = complaint(&["net-info", "none"]);
    assert!(text.contains("Network not found: no network with matching name 'none'"), "{text}");
    let text = complaint(&["hostname"]);
    let lacks = "this function is not supported by the connection driver: virConnectGetHostname";
    assert!(text.contains(lacks), "{text}");
    let text = complaint(&["nwfilter-list"]);
    assert!(text.contains("internal error: connection not open"), "{text}");
}
