//! Interfaces of guests on a running network, as domain drivers ask for them, and hook scripts.

use std::os::unix::fs::PermissionsExt as _;

use oxivirt_tests::snapshot::Section;
use oxivirt_tests::{Host, Subject, apply, scenario};

use super::lab::{Lab, assert_error, mac, port_xml};
use super::{host, host_of_ours};

const NET: &str = "<network><name>net</name><bridge name='virbr0' stp='off'/><dns enable='no'/>
  <mac address='52:54:00:6b:00:01'/>
  <bandwidth><inbound average='1000' peak='2000'/></bandwidth>
  <ip address='192.168.90.1' prefix='24'/>
  <portgroup name='usual' default='yes' trustGuestRxFilters='yes'>
    <bandwidth><inbound average='100'/></bandwidth></portgroup>
  <portgroup name='other'><bandwidth><outbound average='200' burst='300'/></bandwidth></portgroup>
  </network>";

/// The same with DNS and without limits, which libvirt sets on some kernels only.
fn unlimited() -> String {
    let limit = "<bandwidth><inbound average='1000' peak='2000'/></bandwidth>";
    NET.replace(limit, "").replace("<dns enable='no'/>", "")
}

const FLOOR: &str = "<bandwidth><inbound average='100' floor='600'/></bandwidth>";
const PORT_1: &str = "00000000-0000-0000-0000-000000000001";

#[apply(scenario)]
fn a_port_has_the_settings_of_its_group() {
    let mut lab = Lab::new(&[&unlimited()]);
    let check = |lab: &mut Lab, number: u8, rest: &str, expect: &[&str]| {
        let uuid = lab.port("net", number, rest).unwrap();
        let xml = lab.port_xml("net", &uuid);
        for part in expect {
            assert!(xml.contains(part), "{part}: {xml}");
        }
        xml
    };
    let plug = "<plug type='network' bridge='virbr0'/>";
    let usual = ["<inbound average='100'/>", "<rxfilters trustGuest='yes'/>", plug];
    check(&mut lab, 1, "", &usual);
    let other = ["<group>other</group>", "<outbound average='200' burst='300'/>", plug];
    let xml = check(&mut lab, 2, "<group>other</group>", &other);
    assert!(!xml.contains("trustGuest"), "{xml}");
    let xml = check(&mut lab, 3, "<group>unknown</group>", &[plug]);
    assert!(!xml.contains("average"), "{xml}");
    let own = "<group>other</group><bandwidth><inbound average='7'/></bandwidth>";
    check(&mut lab, 4, own, &["<inbound average='7'/>"]);
    assert_eq!(lab.session.ask("port-list", "net", "").unwrap().lines().count(), 4);
}

#[apply(scenario)]
fn vlans_and_virtual_ports_are_carried() {
    let xml = "<network><name>ovs</name><forward mode='bridge'/><bridge name='br-int'/>
      <virtualport type='openvswitch'/>
      <vlan trunk='yes'><tag id='42' nativeMode='tagged'/><tag id='47'/></vlan>
      <portgroup name='access'><vlan><tag id='7'/></vlan>
      <virtualport type='openvswitch'><parameters profileid='gold'/></virtualport></portgroup></network>";
    let mut lab = Lab::new(&[xml]);
    let uuid = lab.port("ovs", 1, "").unwrap();
    let port = lab.port_xml("ovs", &uuid);
    for part in [
        "<virtualport type='openvswitch'>",
        "interfaceid='",
        "<vlan trunk='yes'>",
        "<tag id='42' nativeMode='tagged'/>",
        "<tag id='47'/>",
        "<plug type='bridge' bridge='br-int'/>",
    ] {
        assert!(port.contains(part), "{part}: {port}");
    }
    let uuid = lab.port("ovs", 2, "<group>access</group>").unwrap();
    let port = lab.port_xml("ovs", &uuid);
    assert!(port.contains("profileid='gold'") && port.contains("<tag id='7'/>"), "{port}");
    assert!(!port.contains("id='47'"), "{port}");
    let clash = "<group>access</group><virtualport type='openvswitch'>
      <parameters profileid='silver'/></virtualport>";
    assert_error(lab.port("ovs", 3, clash), 27, "profileid");
    let other = "<virtualport type='802.1Qbh'><parameters profileid='p'/></virtualport>";
    assert_error(lab.port("ovs", 3, other), 27, "");
}

#[apply(scenario)]
fn parameters_of_virtual_ports_on_devices() {
    let xml = "<network><name>qbg</name><forward mode='vepa' dev='a0'/>
      <virtualport type='802.1Qbg'><parameters managerid='11' typeid='1193047' typeidversion='2'/>
      </virtualport></network>";
    let mut lab = Lab::new(&[xml]);
    let uuid = lab.port("qbg", 1, "").unwrap();
    let port = lab.port_xml("qbg", &uuid);
    // An instance id is drawn where there is none.
    let parameters = "managerid='11' typeid='1193047' typeidversion='2' instanceid='";
    assert!(port.contains(parameters), "{port}");
    let other = "<virtualport type='openvswitch'/>";
    assert_error(lab.port("qbg", 2, other), 27, "");
}

#[apply(scenario)]
fn what_a_port_needs() {
    let mut lab = Lab::new(&[&unlimited()]);
    let plug = "<plug type='network' bridge='virbr0'/>";
    assert_error(
        lab.port("net", 1, plug),
        8,
        "Port reclaim not requested but plug type is not none",
    );
    let reclaim = |lab: &mut Lab, number, rest: &str| {
        let argument = format!("1 {}", port_xml(number, rest));
        lab.session.ask("port-create", "net", &argument)
    };
    assert_error(reclaim(&mut lab, 1, ""), 8, "Port reclaim requested but plug type is none");
    reclaim(&mut lab, 1, plug).unwrap();
    assert_error(lab.port("net", 1, ""), 106, PORT_1);
    let unknown = lab.session.ask("port-xml", "net", "00000000-0000-0000-0000-000000000009");
    assert_error(unknown, 107, "00000000-0000-0000-0000-000000000009");
    lab.session.call("port-delete", "net", PORT_1).unwrap();
    assert_error(lab.session.call("port-delete", "net", PORT_1), 107, PORT_1);
    assert_error(lab.port("net", 1, "<virtualport type='openvswitch'/>"), 67, "");
    lab.session.call("destroy", "net", "").unwrap();
    assert_error(lab.port("net", 1, ""), 55, "network 'net' is not active");
    assert_error(lab.session.ask("port-list", "net", ""), 55, "network 'net' is not active");
    assert_error(lab.session.ask("port-xml", "net", PORT_1), 107, PORT_1);
}

#[apply(scenario)]
fn a_device_that_is_not_in_the_pool_is_not_taken_back() {
    // libvirt's message has the UUID as 16 raw bytes (fault F9).
    let xml =
        "<network><name>pool</name><forward mode='passthrough'><interface dev='a0'/></forward>
      </network>";
    let mut lab = Lab::of_ours(&[xml]);
    let reclaim = |lab: &mut Lab, number, device: &str| {
        let plug = format!("<plug type='direct' dev='{device}' mode='passthrough'/>");
        let argument = format!("1 {}", port_xml(number, &plug));
        lab.session.ask("port-create", "pool", &argument)
    };
    let outcome = reclaim(&mut lab, 1, "zz");
    let message = format!("doesn't have dev='zz' in use by network port '{PORT_1}'");
    assert_error(outcome, 1, &message);
    reclaim(&mut lab, 1, "a0").unwrap();
    assert_error(reclaim(&mut lab, 2, "a0"), 1, "already in use");
}

/// The classes of `virbr0`.
fn classes(lab: &Lab) -> String {
    lab.sh("tc class show dev virbr0")
}

/// The MAC map of `virbr0`, if it exists.
fn macs(lab: &Lab) -> String {
    let path = lab.host.dnsmasq_directory().join("virbr0.macs");
    std::fs::read_to_string(path).unwrap_or_default()
}

#[apply(scenario)]
fn ports_survive_the_driver() {
    // libvirt's limits need queues that not every kernel has.
    let mut lab = Lab::of_ours(&[NET]);
    lab.port("net", 1, FLOOR).unwrap();
    lab.port("net", 2, "").unwrap();
    assert!(classes(&lab).contains("1:3 parent 1:1"), "{}", classes(&lab));
    assert!(macs(&lab).contains(&mac(1)) && macs(&lab).contains(&mac(2)), "{}", macs(&lab));
    let before = lab.host.snapshot().unwrap();
    let documents = |lab: &mut Lab| {
        let uuids = lab.session.ask("port-list", "net", "").unwrap();
        uuids.lines().map(|uuid| lab.port_xml("net", uuid)).collect::<Vec<_>>()
    };
    let expect = documents(&mut lab);
    let mut lab = lab.restart();
    assert_eq!(documents(&mut lab), expect);
    let changed = before.diff(&lab.host.snapshot().unwrap());
    let changed = changed.except(|change| change.section == Section::Process);
    assert!(changed.is_empty(), "a restart of the driver changed:\n{changed}");

    lab.session.call("port-limit", "net", &format!("{PORT_1} inbound.floor=900")).unwrap();
    let limits = lab.session.ask("port-limits", "net", PORT_1).unwrap();
    assert!(limits.contains("inbound.floor=900"), "{limits}");
    assert!(classes(&lab).contains("rate 7200Kbit"), "{}", classes(&lab));
    let too_much = lab.port("net", 3, "<bandwidth><inbound average='1' floor='1200'/></bandwidth>");
    assert_error(too_much, 55, "new combined inbound floor=2100 would overcommit peak=2000");
    lab.session.call("port-delete", "net", PORT_1).unwrap();
    assert!(!classes(&lab).contains("1:3"), "{}", classes(&lab));
    assert!(!macs(&lab).contains(&mac(1)) && macs(&lab).contains(&mac(2)), "{}", macs(&lab));
    lab.session.call("destroy", "net", "").unwrap();
    let directory = lab.host.root().join("run/libvirt/network/net");
    assert!(!directory.exists(), "ports go with the network");
}

/// Where the host's hook script is.
fn hook_file(host: &Host) -> std::path::PathBuf {
    match host.subject() {
        Subject::Oxivirt => host.root().join("etc/libvirt/hooks/network"),
        Subject::Libvirt => host.root().join("etc/hooks/network"),
    }
}

/// A script that notes how it was called, and fails for one operation.
#[expect(clippy::disallowed_methods, reason = "a script of the test, not run yet")]
fn install_hook(host: &Host, fails_at: &str) {
    let file = hook_file(host);
    std::fs::create_dir_all(file.parent().unwrap()).unwrap();
    let log = host.root().join("hooks.log");
    let script = format!(
        "#!/bin/sh\necho \"$@\" >> {}\ncat > /dev/null\n[ \"$2\" != '{fails_at}' ]\n",
        log.display()
    );
    std::fs::write(&file, script).unwrap();
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o755)).unwrap();
}

fn hook_calls(host: &Host) -> Vec<String> {
    let text = std::fs::read_to_string(host.root().join("hooks.log")).unwrap_or_default();
    text.lines().map(str::to_owned).collect()
}

#[apply(scenario)]
fn scripts_and_events_in_order() {
    let host = host();
    install_hook(&host, "nothing");
    // Scripts are looked for when a driver starts.
    host.restart().unwrap();
    let xml = unlimited();
    let mut lab = Lab::on(host, &[&xml]);
    lab.port("net", 1, "").unwrap();
    let update = "3 10 -1 1 <host ip='192.168.90.7'><hostname>h</hostname></host>";
    lab.session.call("update", "net", update).unwrap();
    lab.session.call("port-delete", "net", PORT_1).unwrap();
    lab.session.call("destroy", "net", "").unwrap();
    lab.session.call("undefine", "net", "").unwrap();
    let operations = [
        "start begin",
        "started begin",
        "port-created begin",
        "updated begin",
        "port-deleted begin",
        "stopped end",
    ];
    assert_eq!(hook_calls(&lab.host), operations.map(|operation| format!("net {operation} -")));
    let events = lab.session.ask("events", "-", "").unwrap();
    assert_eq!(events, "net defined\nnet started\nnet stopped\nnet undefined");
    lab.session.call("create-xml", "-", &xml).unwrap();
    lab.session.call("destroy", "net", "").unwrap();
    let events = lab.session.ask("events", "-", "").unwrap();
    assert_eq!(events, "net started\nnet stopped");
}

#[apply(scenario)]
fn a_script_that_refuses_a_start() {
    for operation in ["start", "started"] {
        let host = host();
        install_hook(&host, operation);
        host.restart().unwrap();
        let xml = unlimited();
        let mut lab = Lab::on(host, &[]);
        lab.session.call("define", "-", &xml).unwrap();
        let before = lab.host.snapshot().unwrap();
        assert_error(lab.session.call("start", "net", ""), 70, "");
        let left = before.diff(&lab.host.snapshot().unwrap()).except(|change| {
            change.key == "hooks.log"
                || oxivirt_tests::host::is_documented_leftover("net", "virbr0", change)
        });
        assert!(left.is_empty(), "{operation} left behind:\n{left}");
        assert_eq!(hook_calls(&lab.host).last().unwrap(), "net stopped end -");
        assert_eq!(lab.session.ask("events", "-", "").unwrap(), "net defined");
    }
}

#[apply(scenario)]
fn a_script_that_refuses_a_port_leaves_nothing_of_it() {
    // libvirt keeps the class and the entry in the MAC map (fault F7).
    let host = host_of_ours();
    install_hook(&host, "port-created");
    let mut lab = Lab::on(host, &[NET]);
    let before = lab.xml("net");
    assert_error(lab.port("net", 1, FLOOR), 70, "");
    assert_eq!(lab.xml("net"), before);
    assert!(!classes(&lab).contains("1:3"), "{}", classes(&lab));
    assert!(!macs(&lab).contains(&mac(1)), "{}", macs(&lab));
    assert_eq!(lab.session.ask("port-list", "net", "").unwrap(), "");
    // A second port of the same UUID is refused and takes nothing from the first.
    install_hook(&lab.host, "nothing");
    lab.port("net", 1, FLOOR).unwrap();
    assert_error(lab.port("net", 1, ""), 106, PORT_1);
    assert!(macs(&lab).contains(&mac(1)), "{}", macs(&lab));
    assert!(classes(&lab).contains("1:3 parent 1:1"), "{}", classes(&lab));
}
