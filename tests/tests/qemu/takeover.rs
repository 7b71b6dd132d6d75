//! Guests that run under a real libvirt are taken over, and handed back, with packets on their way.

use std::net::Ipv4Addr;

use oxivirt_tests::libvirt_guests::LibvirtGuests;
use oxivirt_tests::require::{Need, need, peer};
use oxivirt_tests::traffic::{Place, Traffic};
use oxivirt_tests::{apply, qemu, scenario};

const NETWORK: &str = include_str!("../../data/networks/default.xml");
const GUESTS: [&str; 3] = ["one", "two", "three"];
/// Beside the guests on their network: its packets show what the network loses.
const PLACE: Place = Place {
    bridge: "virbr0",
    gateway: Ipv4Addr::new(192, 168, 122, 1),
    guest: Ipv4Addr::new(192, 168, 122, 50),
};

/// A guest in its firmware, with a device of every kind that status documents say more of.
fn guest(name: &str) -> String {
    format!(
        "<domain type='qemu'><name>{name}</name><memory unit='MiB'>48</memory><vcpu>2</vcpu>\
         <os><type machine='q35'>hvm</type></os><features><acpi/></features><devices>\
         <disk type='file'><driver name='qemu' type='qcow2'/><source file='/run/{name}.qcow2'/>\
         <target dev='vda' bus='virtio'/></disk>\
         <disk type='file' device='cdrom'><target dev='sda' bus='sata'/></disk>\
         <interface type='network'><source network='default'/><model type='virtio'/></interface>\
         <channel type='unix'><target type='virtio' name='org.qemu.guest_agent.0'/></channel>\
         <serial type='pty'/><graphics type='vnc'/></devices></domain>"
    )
}

fn define(host: &LibvirtGuests, name: &str) {
    let image = format!("qemu-img create -q -f qcow2 /run/{name}.qcow2 16M");
    host.host().netns().sh(&image).unwrap();
    host.write("guest.xml", &guest(name)).unwrap();
    host.virsh("define ROOT/guest.xml").unwrap();
}

/// A libvirt with a network and running guests, one of them paused.
fn libvirt() -> LibvirtGuests {
    need(&[Need::Netns, Need::Peer, qemu::NEED]);
    let host = LibvirtGuests::new(&peer()).unwrap();
    host.write("net.xml", NETWORK).unwrap();
    host.virsh("net-define ROOT/net.xml").unwrap();
    host.virsh("net-start default").unwrap();
    for name in GUESTS {
        define(&host, name);
        host.virsh(&format!("start {name}")).unwrap();
    }
    host.virsh("autostart one").unwrap();
    host.virsh("suspend two").unwrap();
    host
}

/// The live documents.
fn documents(run: impl Fn(&str) -> oxivirt_tests::Result<String>) -> Vec<String> {
    GUESTS.iter().map(|name| run(&format!("dumpxml {name}")).unwrap()).collect()
}

fn states(run: impl Fn(&str) -> oxivirt_tests::Result<String>) -> Vec<String> {
    let state = |name: &&str| run(&format!("domstate {name}")).unwrap().trim().to_owned();
    GUESTS.iter().map(state).collect()
}

fn emulators(host: &LibvirtGuests) -> Vec<u32> {
    let processes = host.host().netns().processes_of(qemu::SYSTEM).unwrap();
    processes.iter().map(|process| process.outside).collect()
}

#[apply(scenario)]
fn guests_of_a_libvirt_are_taken_over_and_handed_back() {
    let host = libvirt();
    let (theirs, processes) = (documents(|words| host.virsh(words)), emulators(&host));
    assert_eq!(processes.len(), GUESTS.len());

    // To our daemon.
    host.stop().unwrap();
    let traffic = Traffic::begin(host.host(), PLACE, 7).unwrap();
    traffic.wait_sent(100).unwrap();
    let ours = host.ours().unwrap();
    let run = |words: &str| ours.virsh(words);
    assert_eq!(states(run), ["running", "paused", "running"]);
    traffic.wait_sent(100).unwrap();
    let lost = traffic.end().unwrap();
    println!("take-over: {lost:?}");
    assert_eq!((lost.lost, lost.stream.as_str()), (0, "whole"), "{lost:?}");
    assert_eq!(emulators(&host), processes, "no guest is started again");
    assert_eq!(documents(run), theirs);
    assert_eq!(run("list --all --autostart --name").unwrap().trim(), "one");
    assert_eq!(run("net-port-list default").unwrap().lines().count(), GUESTS.len());
    for command in ["resume two", "suspend three", "reset one"] {
        run(command).unwrap();
    }
    // One of ours beside theirs.
    host.write("guest.xml", &guest("four")).unwrap();
    host.host().netns().sh("qemu-img create -q -f qcow2 /run/four.qcow2 16M").unwrap();
    run("define ROOT/guest.xml").unwrap();
    run("start four").unwrap();
    let four = run("dumpxml four").unwrap();
    run("destroy one").unwrap();
    assert_eq!(host.host().netns().sh("stat -c %u /run/one.qcow2").unwrap().trim(), "0");
    ours.stop();

    // Back to libvirt.
    host.start().unwrap();
    let run = |words: &str| host.virsh(words);
    assert_eq!(states(run), ["shut off", "running", "paused"]);
    assert_eq!(run("dumpxml four").unwrap(), four);
    for command in [
        "domblkinfo four vda",
        "domblkstat four vda",
        "change-media four sda /run/one.qcow2 --insert",
        "suspend four",
        "resume four",
        "reset two",
        "destroy two",
        "destroy three",
        "destroy four",
    ] {
        run(command).unwrap();
    }
    assert_eq!(emulators(&host), Vec::<u32>::new());
    assert_eq!(host.groups(), Vec::<String>::new(), "control groups");
    let left = host.host().netns().sh("ip -o link show | grep -o 'vnet[0-9]*' || true").unwrap();
    assert_eq!(left.trim(), "");
    let left = host.host().netns().sh("ls -d /run/libvirt/qemu/*.dev 2>/dev/null || true").unwrap();
    assert_eq!(left.trim(), "");
}
