//! Bridges as definitions want them: addresses, routes, settings, and what stands in their way.

use oxivirt_tests::process::wait_until;
use oxivirt_tests::{Guest, Subject, apply, scenario};

use super::host;
use super::lab::{Lab, assert_error};

const RICH: &str = "<network><name>rich</name><forward mode='route'/>
  <bridge name='virbr0' stp='on' delay='3'/><mac address='52:54:00:6b:00:01'/>
  <mtu size='1300'/><dns enable='no'/>
  <ip address='192.168.70.1' prefix='24'/><ip address='10.70.0.1' netmask='255.255.0.0'/>
  <ip family='ipv6' address='fd00:70::1' prefix='64'/><ip family='ipv6' address='fd00:71::1' prefix='80'/>
  <route address='198.51.100.0' prefix='24' gateway='192.168.70.2'/>
  <route address='198.51.101.0' prefix='24' gateway='10.70.0.2' metric='77'/>
  <route family='ipv6' address='2001:db8:5::' prefix='48' gateway='fd00:70::2' metric='5'/>
  </network>";

/// A file of the host's kernel, without the line end.
fn kernel(lab: &Lab, path: &str) -> String {
    lab.sh(&format!("cat {path}")).trim().to_owned()
}

#[apply(scenario)]
fn everything_about_a_bridge() {
    let lab = Lab::new(&[RICH]);
    let of_bridge = |key: &str| kernel(&lab, &format!("/sys/class/net/virbr0/{key}"));
    assert_eq!(of_bridge("address"), "52:54:00:6b:00:01");
    assert_eq!(of_bridge("mtu"), "1300");
    assert_eq!(of_bridge("bridge/stp_state"), "1");
    assert_eq!(of_bridge("bridge/forward_delay"), "300");
    let setting = |key: &str| kernel(&lab, &format!("/proc/sys/net/ipv6/conf/virbr0/{key}"));
    let settings = ["disable_ipv6", "accept_ra", "autoconf"].map(setting);
    assert_eq!(settings, ["0", "0", "0"]);
    assert_eq!(kernel(&lab, "/proc/sys/net/ipv4/ip_forward"), "1");
    assert_eq!(kernel(&lab, "/proc/sys/net/ipv6/conf/all/forwarding"), "1");
    let addresses = lab.sh("ip -o address show dev virbr0");
    for expect in [
        "192.168.70.1/24 brd 192.168.70.255 scope global",
        "10.70.0.1/16 brd 10.70.255.255 scope global",
        "fd00:70::1/64 scope global",
        "fd00:71::1/80 scope global",
    ] {
        assert!(addresses.contains(expect), "{expect}: {addresses}");
    }
    let routes = lab.sh("ip route; ip -6 route");
    for expect in [
        "198.51.100.0/24 via 192.168.70.2 dev virbr0 proto boot metric 1 ",
        "198.51.101.0/24 via 10.70.0.2 dev virbr0 proto boot metric 77 ",
        "2001:db8:5::/48 via fd00:70::2 dev virbr0 proto boot metric 5 ",
    ] {
        // iproute2 names the protocol only where it is not the usual one.
        let plain = expect.replace(" proto boot", "");
        assert!(routes.contains(expect) || routes.contains(&plain), "{expect}: {routes}");
    }
}

#[apply(scenario)]
fn a_bridge_without_ipv6_has_none() {
    let xml = "<network><name>four</name><bridge name='virbr0' stp='off'/><dns enable='no'/>
      <mac address='52:54:00:6b:00:01'/><ip address='192.168.70.1' prefix='24'/></network>";
    let lab = Lab::new(&[xml]);
    assert_eq!(kernel(&lab, "/proc/sys/net/ipv6/conf/virbr0/disable_ipv6"), "1");
    assert_eq!(kernel(&lab, "/sys/class/net/virbr0/bridge/stp_state"), "0");
    assert_eq!(kernel(&lab, "/sys/class/net/virbr0/bridge/forward_delay"), "0");
    // The host forwards no packets.
    assert_eq!(kernel(&lab, "/proc/sys/net/ipv4/ip_forward"), "0");
    assert_eq!(lab.sh("ip -6 -o address show dev virbr0"), "");
}

#[apply(scenario)]
fn guests_behind_a_guest_are_reached() {
    let xml = RICH.replace("stp='on' delay='3'", "stp='off'");
    let host = host();
    let outside = super::lab::outside(&host);
    let lab = Lab::on(host, &[&xml]);
    let gateway = lab.guest("virbr0", 1);
    gateway.configure("192.168.70.2/24", "192.168.70.1").unwrap();
    gateway.configure("fd00:70::2/64", "fd00:70::1").unwrap();
    gateway
        .netns()
        .sh("ip address add 198.51.100.1/32 dev lo; ip address add 2001:db8:5::1/128 dev lo")
        .unwrap();
    lab.host.netns().wait_addresses().unwrap();
    outside
        .netns()
        .sh("ip route add default via 203.0.113.1; ip route add default via 2001:db8:113::1")
        .unwrap();
    let pings = |to: &'static str| {
        let host = lab.host.netns();
        let ping = if to.contains(':') { "ping6" } else { "ping" };
        move || Ok(host.run(["busybox", ping, "-c1", "-W1", to]).output()?.status.success())
    };
    for to in ["198.51.100.1", "2001:db8:5::1"] {
        wait_until(to, pings(to)).unwrap();
    }
}

#[apply(scenario)]
fn isolated_ports_see_the_host_only() {
    let xml = "<network><name>apart</name><bridge name='virbr0' stp='off'/><dns enable='no'/>
      <mac address='52:54:00:6b:00:01'/><port isolated='yes'/>
      <ip address='192.168.70.1' prefix='24'/></network>";
    let mut lab = Lab::new(&[xml]);
    let guests = [1, 2, 3].map(|number| {
        let guest = lab.guest("virbr0", number);
        guest.configure(&format!("192.168.70.1{number}/24"), "192.168.70.1").unwrap();
        guest
    });
    assert!(guests[0].pings("192.168.70.12").unwrap());
    // What a domain driver does: it asks for a port, and sets what the port's document says.
    for number in [1, 2] {
        let uuid = lab.port("apart", number, "").unwrap();
        let xml = lab.port_xml("apart", &uuid);
        assert!(xml.contains("<port isolated='yes'/>"), "{xml}");
        lab.sh(&format!("ip link set virbr0-{number} type bridge_slave isolated on"));
    }
    assert!(!guests[0].pings("192.168.70.12").unwrap());
    assert!(!guests[1].pings("192.168.70.11").unwrap());
    for guest in &guests {
        assert!(guest.pings("192.168.70.1").unwrap());
    }
    // The third has no such port.
    assert!(guests[2].pings("192.168.70.11").unwrap());
    assert!(guests[1].pings("192.168.70.13").unwrap());
}

// What stands in the way.

const ROUTED6: &str = "<network><name>six</name><forward mode='route'/>
  <bridge name='virbr0' stp='off'/><mac address='52:54:00:6b:00:01'/><dns enable='no'/>
  <ip family='ipv6' address='fd00:70::1' prefix='64'/></network>";

#[apply(scenario)]
fn forwarding_that_would_cost_the_host_its_routes_is_refused() {
    let host = host();
    // libvirt reads the first 8 characters of a name only (fault F14).
    let link = match host.subject() {
        Subject::Oxivirt => "an-uplink-port1",
        Subject::Libvirt => "uplink",
    };
    let isp = Guest::beside(&host, link, &[]).unwrap();
    isp.netns()
        .sh("ip address add fd00:99::1/64 dev eth0 nodad
             echo 1 > /proc/sys/net/ipv6/conf/all/forwarding
             dnsmasq --conf-file=/dev/null --no-resolv --no-hosts --user=root --port=0 --pid-file= \
                     --log-facility=/dev/null --interface=eth0 --bind-interfaces \
                     --enable-ra --dhcp-range=::,constructor:eth0,ra-only")
        .unwrap();
    let routes = || host.netns().sh("ip -6 route show default");
    wait_until("an advertised route", || Ok(routes()?.contains(link))).unwrap();
    let mut lab = Lab::on(host, &[]);
    let message = format!(
        "Check the host setup: interface {link} has kernel autoconfigured IPv6 routes and enabling \
         forwarding without accept_ra set to 2 will cause the kernel to flush them, breaking networking."
    );
    assert_error(lab.start(ROUTED6), 1, &message);
    assert_eq!(kernel(&lab, "/proc/sys/net/ipv6/conf/all/forwarding"), "0");
    assert!(lab.sh("ip -6 route show default").contains(link));
    lab.sh(&format!("echo 2 > /proc/sys/net/ipv6/conf/{link}/accept_ra"));
    lab.session.call("start", "six", "").unwrap();
    assert_eq!(kernel(&lab, "/proc/sys/net/ipv6/conf/all/forwarding"), "1");
}

#[apply(scenario)]
fn a_route_that_is_taken_is_refused() {
    let host = host();
    host.netns()
        .sh("ip link add other type bridge
             ip address add 10.0.0.1/30 dev other
             ip link set other up
             ip route add 198.51.100.0/24 via 10.0.0.2 dev other")
        .unwrap();
    let mut lab = Lab::on(host, &[]);
    let part = "Route address '198.51.100.0' conflicts with IP address for 'other'";
    assert_error(lab.start(RICH), 1, part);
    // Another prefix length is another route.
    lab.sh("ip route delete 198.51.100.0/24; ip route add 198.51.100.0/25 via 10.0.0.2");
    lab.session.call("start", "rich", "").unwrap();
}

#[apply(scenario)]
fn a_route_that_cannot_be_had_stops_nothing() {
    // Twice the same way with the same metric.
    let twice = "<route address='198.51.100.0' prefix='24' gateway='10.70.0.9'/></network>";
    let xml = RICH.replace("</network>", twice);
    let lab = Lab::new(&[&xml]);
    let routes = lab.sh("ip route");
    assert!(routes.contains("198.51.100.0/24 via 192.168.70.2"), "{routes}");
    assert!(!routes.contains("10.70.0.9"), "{routes}");
}

#[apply(scenario)]
fn settings_of_the_host_go_back_if_asked() {
    let mut host = super::host_of_ours();
    host.set_option("restore=yes");
    let mut lab = Lab::on(host, &[RICH]);
    let switches = |lab: &Lab| {
        ["/proc/sys/net/ipv4/ip_forward", "/proc/sys/net/ipv6/conf/all/forwarding"]
            .map(|path| kernel(lab, path))
    };
    assert_eq!(switches(&lab), ["1", "1"]);
    lab.session.call("destroy", "rich", "").unwrap();
    assert_eq!(switches(&lab), ["0", "0"]);
    // What another program turned on stays on.
    lab.sh("echo 1 > /proc/sys/net/ipv4/ip_forward");
    lab.session.call("start", "rich", "").unwrap();
    lab.session.call("destroy", "rich", "").unwrap();
    assert_eq!(switches(&lab), ["1", "0"]);
}

#[apply(scenario)]
fn a_table_of_addresses_needs_vlan_filtering() {
    let xml = RICH.replace("stp='on' delay='3'", "stp='off' macTableManager='libvirt'");
    let host = host();
    let try_it = "ip link add try type bridge; ip link set try type bridge vlan_filtering 1";
    let has = host.netns().sh(try_it).is_ok();
    host.netns().sh("ip link delete try").unwrap();
    let mut lab = Lab::on(host, &[]);
    let before = lab.host.snapshot().unwrap();
    if has {
        lab.start(&xml).unwrap();
        assert_eq!(kernel(&lab, "/sys/class/net/virbr0/bridge/vlan_filtering"), "1");
        return;
    }
    println!("the kernel has no VLAN filtering; the refusal is tested instead");
    assert_error(lab.start(&xml), 38, "virbr0");
    let left = before.diff(&lab.host.snapshot().unwrap());
    let left = left.except(|change| change.section == oxivirt_tests::snapshot::Section::File);
    let left =
        left.except(|change| oxivirt_tests::host::is_documented_leftover("rich", "virbr0", change));
    assert!(left.is_empty(), "left behind:\n{left}");
}
