//! Interfaces of guests on the host: queues, limits, isolation, VLANs, addresses that are not learnt; and guests
//! that are plugged in again.

use oxivirt_tests::guest_daemon::GuestDaemon;
use oxivirt_tests::process::wait_until;
use oxivirt_tests::qemu::{self, Image};
use oxivirt_tests::require::{Need, need};
use oxivirt_tests::{Error, apply, scenario};

const NAT: &str = include_str!("../../data/networks/nat.xml");

/// A guest that never gets further than its firmware.
fn bare(name: &str, interfaces: &str) -> String {
    format!(
        "<domain type='qemu'><name>{name}</name><memory unit='MiB'>32</memory>\
         <os><type machine='q35'>hvm</type></os><devices>{interfaces}</devices></domain>"
    )
}

/// Starts a guest with these interfaces; what a refusal says is the error.
fn start(daemon: &GuestDaemon, name: &str, interfaces: &str) -> Result<String, Error> {
    let file = format!("{name}.xml");
    daemon.write(&file, &bare(name, interfaces)).unwrap();
    daemon.shell("virsh", &format!("create ROOT/{file}"))
}

fn started_daemon() -> GuestDaemon {
    need(&[Need::Netns, Need::Program("virsh"), qemu::NEED]);
    let daemon = GuestDaemon::new().unwrap();
    daemon.write("nat.xml", NAT).unwrap();
    daemon.shell("virsh", "net-define ROOT/nat.xml").unwrap();
    daemon.shell("virsh", "net-start nat").unwrap();
    daemon
}

#[apply(scenario)]
fn a_tap_has_the_queues_and_limits_of_its_interface() {
    let daemon = started_daemon();
    let sh = |command: &str| daemon.netns().sh(command).unwrap();
    let plain = "<interface type='network'><source network='nat'/></interface>";
    let limited = "<interface type='network'><source network='nat'/><port isolated='yes'/>\
        <bandwidth><inbound average='1000' peak='2000' burst='512'/></bandwidth></interface>";
    start(&daemon, "a", &format!("{plain}{limited}")).unwrap();
    let queue = sh("tc qdisc show dev vnet0");
    assert!(queue.starts_with("qdisc noqueue"), "{queue}");
    let queue = sh("tc qdisc show dev vnet1");
    assert!(queue.starts_with("qdisc htb 1: root") && queue.contains("default 0x1"), "{queue}");
    let class = sh("tc class show dev vnet1");
    assert!(class.contains("class htb 1:1 root"), "{class}");
    assert!(class.contains("rate 8Mbit ceil 16Mbit burst 512Kb"), "{class}");
    let port = sh("bridge -d link show dev vnet1");
    assert!(port.contains("isolated on") && port.contains("state forwarding"), "{port}");
    // the limit of the port is known to the network too
    let port = daemon.shell("virsh", "net-port-list nat").unwrap();
    let ports = port.lines().map(str::trim).filter(|line| !line.is_empty());
    let xml: String = ports
        .map(|uuid| daemon.shell("virsh", &format!("net-port-dumpxml nat {uuid}")).unwrap())
        .collect();
    assert!(xml.contains("<inbound average='1000' peak='2000' burst='512'/>"), "{xml}");
    daemon.shell("virsh", "destroy a").unwrap();
}

#[apply(scenario)]
fn ports_belong_to_vlans_and_learn_nothing_if_asked() {
    need(&[Need::VlanFiltering]);
    let daemon = started_daemon();
    let sh = |command: &str| daemon.netns().sh(command).unwrap();
    sh("ip link add vbr type bridge vlan_filtering 1; ip link set vbr up");
    let quiet =
        "<network><name>quiet</name><bridge name='qbr' macTableManager='libvirt'/></network>";
    daemon.write("quiet.xml", quiet).unwrap();
    daemon.shell("virsh", "net-create ROOT/quiet.xml").unwrap();
    let interfaces = "<interface type='bridge'><source bridge='vbr'/><vlan><tag id='7'/></vlan></interface>\
        <interface type='bridge'><source bridge='vbr'/>\
        <vlan trunk='yes'><tag id='8' nativeMode='untagged'/><tag id='9'/></vlan></interface>\
        <interface type='network'><mac address='52:54:00:aa:bb:01'/><source network='quiet'/></interface>";
    start(&daemon, "a", interfaces).unwrap();
    let words = |text: String| text.split_whitespace().collect::<Vec<_>>().join(" ");
    let vlans = words(sh("bridge vlan show dev vnet0"));
    assert!(vlans.ends_with("vnet0 7 PVID Egress Untagged"), "{vlans}");
    let vlans = words(sh("bridge vlan show dev vnet1"));
    assert!(vlans.ends_with("vnet1 8 PVID Egress Untagged 9"), "{vlans}");
    let port = sh("bridge -d link show dev vnet2");
    assert!(port.contains("learning off") && port.contains(" flood off"), "{port}");
    let entries = sh("bridge fdb show dev vnet2");
    let own = entries.lines().find(|line| line.starts_with("52:54:00:aa:bb:01"));
    assert!(own.is_some_and(|line| line.contains("master qbr static")), "{entries}");
    daemon.shell("virsh", "destroy a").unwrap();
}

#[apply(scenario)]
fn what_nothing_does_is_refused_by_name() {
    let daemon = started_daemon();
    let refused = |inner: &str, expect: &str| {
        let interface =
            format!("<interface type='network'><source network='nat'/>{inner}</interface>");
        let error = start(&daemon, "a", &interface).unwrap_err().to_string();
        assert!(error.contains(expect), "{inner}: {error}");
    };
    refused(
        "<filterref filter='clean-traffic'/>",
        "Network filter not found: no nwfilter with matching name 'clean-traffic'",
    );
    refused("<virtualport type='openvswitch'/>", "virtualport of type 'openvswitch'");
    let user = "<interface type='user'><vlan><tag id='7'/></vlan></interface>";
    let error = start(&daemon, "a", user).unwrap_err().to_string();
    assert!(error.contains("vlan tag not supported for this connection type"), "{error}");
    assert_eq!(daemon.shell("virsh", "net-port-list nat").unwrap().trim(), "");
    assert_eq!(daemon.shell("virsh", "list --all").unwrap().trim(), "");
}

/// A guest that takes an address.
fn booting(image: &Image) -> String {
    format!(
        "<domain type='qemu'><name>machine</name><memory unit='MiB'>128</memory>\
         <os><type machine='q35'>hvm</type><kernel>{}</kernel><initrd>{}</initrd>\
         <cmdline>console=ttyS0 quiet panic=-1 name=machine</cmdline></os><features><acpi/></features>\
         <devices><interface type='network'><source network='nat'/><port isolated='yes'/>\
         <model type='virtio'/></interface><serial type='pty'/></devices></domain>",
        image.kernel.display(),
        image.initramfs.display()
    )
}

#[apply(scenario)]
fn a_guest_is_plugged_in_again_whatever_took_it_off_its_bridge() {
    need(&[Need::Guest, Need::Program("busybox")]);
    let mut daemon = started_daemon();
    daemon.write("machine.xml", &booting(&Image::get().unwrap())).unwrap();
    daemon.shell("virsh", "define ROOT/machine.xml").unwrap();
    daemon.shell("virsh", "start machine").unwrap();
    let mut address = String::new();
    wait_until("an address", || {
        let shown = daemon.shell("virsh", "domifaddr machine")?;
        let found = shown.split_whitespace().find_map(|word| word.split_once("/24"));
        found.map(|(found, _)| found).unwrap_or_default().clone_into(&mut address);
        Ok(!address.is_empty())
    })
    .unwrap();
    let answers = |daemon: &GuestDaemon| {
        wait_until("the guest answers", || {
            let ping = daemon.netns().run(["busybox", "ping", "-c", "1", "-W", "1", &address]);
            Ok(ping.output()?.status.success())
        })
    };
    answers(&daemon).unwrap();

    let check = |daemon: &GuestDaemon, bridge: &str| {
        answers(daemon).unwrap();
        let port = daemon.netns().sh("bridge -d link show dev vnet0").unwrap();
        assert!(port.contains(&format!("master {bridge}")), "{port}");
        assert!(port.contains("isolated on") && port.contains("state forwarding"), "{port}");
    };
    daemon.netns().sh("ip link set vnet0 nomaster").unwrap();
    check(&daemon, "virbr0");

    daemon.shell("virsh", "net-destroy nat").unwrap();
    daemon.shell("virsh", "net-start nat").unwrap();
    check(&daemon, "virbr0");
    let ports = daemon.shell("virsh", "net-port-list nat").unwrap();
    assert_eq!(ports.trim().lines().count(), 1, "{ports}");

    // another bridge, and no driver when it comes
    daemon.write("other.xml", &NAT.replace("virbr0", "virbr7")).unwrap();
    daemon.shell("virsh", "net-destroy nat").unwrap();
    daemon.shell("virsh", "net-define ROOT/other.xml").unwrap();
    daemon.shell("virsh", "net-start nat").unwrap();
    check(&daemon, "virbr7");
    daemon.kill().unwrap();
    daemon.netns().sh("ip link set vnet0 nomaster").unwrap();
    daemon.start().unwrap();
    check(&daemon, "virbr7");

    // a guest ends properly also while its network does not run
    daemon.shell("virsh", "net-destroy nat").unwrap();
    daemon.shell("virsh", "destroy machine").unwrap();
    daemon.shell("virsh", "net-start nat").unwrap();
    assert_eq!(daemon.shell("virsh", "net-port-list nat").unwrap().trim(), "");
    daemon.shell("virsh", "start machine").unwrap();
    daemon.shell("virsh", "destroy machine").unwrap();
}
