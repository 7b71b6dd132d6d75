//! `<domain register='yes'>`: the host's resolver forwards the network's names.

use oxivirt_tests::process::Running;
use oxivirt_tests::{apply, scenario};

use oxivirt_tests::bus::Bus;

use super::bus::lab_with_bus;
use super::host_of_ours;
use super::lab::{Lab, assert_error};

const REGISTERED: &str = "<network><name>known</name><bridge name='virbr0' stp='off'/>
  <mac address='52:54:00:6b:00:01'/><domain name='lab.test' localOnly='yes' register='yes'/>
  <ip address='192.168.99.1' prefix='24'/><ip address='10.99.0.1' prefix='24'/>
  <ip family='ipv6' address='fd00:99::1' prefix='64'/></network>";

/// A resolver that accepts and records every call, or refuses.
fn resolver(bus: &Bus, lab: &Lab, verb: &str) -> Running {
    bus.stand_in(lab.host.netns(), &["resolver", verb]).unwrap()
}

#[apply(scenario)]
fn the_resolver_hears_of_domain_and_servers() {
    let (bus, mut lab) = lab_with_bus();
    let resolver = resolver(&bus, &lab, "accept");
    lab.start(REGISTERED).unwrap();
    let index = lab.sh("cat /sys/class/net/virbr0/ifindex").trim().to_owned();
    let calls = resolver.finish().unwrap();
    // AF_INET and AF_INET6 with the first address of each family
    let expect = format!(
        "SetLinkDomains {index} lab.test true\nSetLinkDNS {index} 2 192.168.99.1 10 fd00:99::1\n"
    );
    assert_eq!(calls, expect);
}

#[apply(scenario)]
fn without_a_resolver_the_start_fails() {
    let (_bus, mut lab) = lab_with_bus();
    assert_error(lab.start(REGISTERED), 55, "systemd-resolved is not available");
    assert_eq!(lab.sh("ip -o link show type bridge"), "");
    assert!(lab.dnsmasq("known").is_empty());
}

#[apply(scenario)]
fn without_a_bus_the_start_fails() {
    let mut host = host_of_ours();
    host.set_environment("DBUS_SYSTEM_BUS_ADDRESS", "unix:path=/nonexistent/bus");
    let mut lab = Lab::on(host, &[]);
    assert_error(lab.start(REGISTERED), 55, "systemd-resolved is not available");
}

#[apply(scenario)]
fn a_resolver_that_refuses_ends_the_start() {
    let (bus, mut lab) = lab_with_bus();
    let _resolver = resolver(&bus, &lab, "refuse");
    assert_error(lab.start(REGISTERED), 1, "not today");
    assert_eq!(lab.sh("ip -o link show type bridge"), "");
}
