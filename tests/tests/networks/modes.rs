//! Where packets of guests get to, by forward mode, and as whom they arrive.

use std::net::{IpAddr, SocketAddr};

use oxivirt_tests::guest::{ask_one, serve};
use oxivirt_tests::probe::{Outcome, Protocol};
use oxivirt_tests::{Guest, Host, apply, scenario};

use super::host;
use super::lab::{Lab, outside};

const OUTSIDE: &str = "203.0.113.2";
const OUTSIDE6: &str = "2001:db8:113::2";
const ROUTER: &str = "203.0.113.1";
const ROUTER6: &str = "2001:db8:113::1";

/// A network of a forward mode, dual stack, with more elements.
fn network(forward: &str) -> String {
    format!(
        "<network><name>n</name>{forward}<bridge name='virbr0' stp='off'/>
         <mac address='52:54:00:6b:00:01'/><dns enable='no'/>
         <ip address='192.168.50.1' prefix='24'/>
         <ip family='ipv6' address='fd00:50::1' prefix='64'/></network>"
    )
}

/// A running network with a guest, beside a stranger; both answer.
struct Scene {
    lab: Lab,
    guest: Guest,
    outside: Guest,
    _servers: Vec<oxivirt_tests::process::Running>,
}

impl Scene {
    fn new(host: Host, xml: &str, prepare: &str) -> Self {
        let outside = outside(&host);
        let addresses = [ip(OUTSIDE), ip(OUTSIDE6)];
        let mut servers: Vec<_> =
            addresses.iter().map(|address| serve(outside.netns(), *address).unwrap()).collect();
        host.netns().sh(prepare).unwrap();
        let lab = Lab::on(host, &[xml]);
        let guest = lab.guest("virbr0", 1);
        guest.configure("192.168.50.2/24", "192.168.50.1").unwrap();
        guest.configure("fd00:50::2/64", "fd00:50::1").unwrap();
        servers.extend(
            ["192.168.50.2", "fd00:50::2"]
                .map(|address| serve(guest.netns(), ip(address)).unwrap()),
        );
        lab.host.netns().wait_addresses().unwrap();
        Self { lab, guest, outside, _servers: servers }
    }

    /// The stranger learns where the network is.
    fn lead_back(&self) {
        self.outside
            .netns()
            .sh("ip route add 192.168.50.0/24 via 203.0.113.1
                 ip route add fd00:50::/64 via 2001:db8:113::1")
            .unwrap();
    }
}

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

/// Asks `to` from a guest; as whom it was seen there.
#[track_caller]
fn seen(guest: &Guest, protocol: Protocol, port: u16, to: &str) -> SocketAddr {
    match ask_one(guest.netns(), protocol, port, ip(to)).unwrap() {
        Outcome::Delivered { seen, .. } => seen,
        other => panic!("{protocol} to {to}: {other}"),
    }
}

#[track_caller]
fn check_not_delivered(guest: &Guest, to: &str) {
    for protocol in [Protocol::Tcp, Protocol::Udp] {
        let outcome = ask_one(guest.netns(), protocol, 0, ip(to)).unwrap();
        assert!(!matches!(outcome, Outcome::Delivered { .. }), "{protocol} to {to}: {outcome}");
    }
    assert!(!guest.pings(to).unwrap(), "{to} answers an echo");
}

#[apply(scenario)]
fn nat_of_both_families() {
    let host = host();
    let scene = Scene::new(host, &network("<forward mode='nat'><nat ipv6='yes'/></forward>"), "");
    for protocol in [Protocol::Tcp, Protocol::Udp] {
        for (to, router) in [(OUTSIDE, ROUTER), (OUTSIDE6, ROUTER6)] {
            assert_eq!(seen(&scene.guest, protocol, 0, to).ip(), ip(router));
            // Privileged ports of guests become ports of the default range.
            let seen = seen(&scene.guest, protocol, 600, to);
            assert!(seen.ip() == ip(router) && seen.port() >= 1024, "{protocol}: {seen}");
        }
    }
    assert!(scene.guest.pings(OUTSIDE).unwrap());
    assert!(scene.guest.pings(OUTSIDE6).unwrap());
    // No connection from outside, not even with a route to the network.
    check_not_delivered(&scene.outside, "192.168.50.2");
    scene.lead_back();
    check_not_delivered(&scene.outside, "192.168.50.2");
    check_not_delivered(&scene.outside, "fd00:50::2");
}

#[apply(scenario)]
fn nat_of_ipv4_only_leaves_ipv6_alone() {
    // Without `ipv6='yes'` the other family is routed.
    let host = host();
    let scene = Scene::new(host, &network("<forward mode='nat'/>"), "");
    scene.lead_back();
    assert_eq!(seen(&scene.guest, Protocol::Tcp, 0, OUTSIDE).ip(), ip(ROUTER));
    assert_eq!(seen(&scene.guest, Protocol::Tcp, 0, OUTSIDE6).ip(), ip("fd00:50::2"));
}

#[apply(scenario)]
fn nat_to_a_range_of_ports() {
    let host = host();
    let forward =
        "<forward mode='nat'><nat ipv6='yes'><port start='5000' end='5009'/></nat></forward>";
    let scene = Scene::new(host, &network(forward), "");
    for protocol in [Protocol::Tcp, Protocol::Udp] {
        for to in [OUTSIDE, OUTSIDE6] {
            let seen = seen(&scene.guest, protocol, 0, to);
            assert!((5000..=5009).contains(&seen.port()), "{protocol}: {seen}");
        }
    }
    // Without ports there is nothing to choose from.
    assert!(scene.guest.pings(OUTSIDE).unwrap());
}

#[apply(scenario)]
fn nat_to_a_range_of_addresses() {
    let host = host();
    let forward = "<forward mode='nat'><nat>
        <address start='203.0.113.100' end='203.0.113.103'/><port start='6000' end='6999'/>
        </nat></forward>";
    // Its neighbours find these addresses at the router.
    let prepare = "for i in 0 1 2 3; do ip address add 203.0.113.10$i/32 dev uplink; done";
    let scene = Scene::new(host, &network(forward), prepare);
    for protocol in [Protocol::Tcp, Protocol::Udp] {
        let SocketAddr::V4(seen) = seen(&scene.guest, protocol, 0, OUTSIDE) else { panic!() };
        let last = seen.ip().octets()[3];
        assert!((100..=103).contains(&last) && (6000..=6999).contains(&seen.port()), "{seen}");
    }
}

#[apply(scenario)]
fn a_routed_network() {
    let host = host();
    let scene = Scene::new(host, &network("<forward mode='route'/>"), "");
    // Packets leave as they are, so that answers need a way.
    check_not_delivered(&scene.guest, OUTSIDE);
    scene.lead_back();
    for (from, to) in [("192.168.50.2", OUTSIDE), ("fd00:50::2", OUTSIDE6)] {
        assert_eq!(seen(&scene.guest, Protocol::Tcp, 0, to).ip(), ip(from));
        assert_eq!(seen(&scene.outside, Protocol::Udp, 0, from).ip(), ip(to));
        assert!(scene.outside.pings(from).unwrap());
    }
    // Sources that are not the network's are refused.
    scene.guest.netns().sh("ip address add 192.168.51.2/32 dev eth0").unwrap();
    scene.outside.netns().sh("ip route add 192.168.51.0/24 via 203.0.113.1").unwrap();
    scene.lab.sh("ip route add 192.168.51.0/24 dev virbr0");
    let words = ["busybox", "ping", "-c", "1", "-W", "1", "-I", "192.168.51.2", OUTSIDE];
    assert!(!scene.guest.netns().run(words).output().unwrap().status.success());
}

#[apply(scenario)]
fn forwarding_by_one_device_only() {
    let host = host();
    let other = Guest::beside(&host, "side", &[("198.51.100.1/24", "198.51.100.2/24")]).unwrap();
    let _server = serve(other.netns(), ip("198.51.100.2")).unwrap();
    let scene = Scene::new(host, &network("<forward mode='nat' dev='uplink'/>"), "");
    assert_eq!(seen(&scene.guest, Protocol::Tcp, 0, OUTSIDE).ip(), ip(ROUTER));
    check_not_delivered(&scene.guest, "198.51.100.2");
    // The stranger would answer.
    let seen = ask_one(scene.lab.host.netns(), Protocol::Tcp, 0, ip("198.51.100.2")).unwrap();
    assert!(matches!(seen, Outcome::Delivered { .. }), "{seen}");
}

#[apply(scenario)]
fn an_open_network_has_no_rules() {
    let host = host();
    let scene = Scene::new(host, &network("<forward mode='open'/>"), "");
    let rules = scene.lab.sh("nft list ruleset");
    assert!(!rules.contains("virbr0"), "{rules}");
    scene.lead_back();
    for (from, to) in [("192.168.50.2", OUTSIDE), ("fd00:50::2", OUTSIDE6)] {
        assert_eq!(seen(&scene.guest, Protocol::Tcp, 0, to).ip(), ip(from));
        assert_eq!(seen(&scene.outside, Protocol::Tcp, 0, from).ip(), ip(to));
    }
}

#[apply(scenario)]
fn an_isolated_network() {
    let host = host();
    let scene = Scene::new(host, &network(""), "");
    // The host would forward foreign packets.
    scene.lab.sh("echo 1 > /proc/sys/net/ipv4/ip_forward
                  echo 1 > /proc/sys/net/ipv6/conf/all/forwarding");
    scene.lead_back();
    for (guest, to) in [("192.168.50.2", OUTSIDE), ("fd00:50::2", OUTSIDE6)] {
        check_not_delivered(&scene.guest, to);
        check_not_delivered(&scene.outside, guest);
    }
    // Guests have each other, and the host.
    let second = scene.lab.guest("virbr0", 2);
    second.configure("192.168.50.3/24", "192.168.50.1").unwrap();
    assert_eq!(seen(&second, Protocol::Tcp, 0, "192.168.50.2").ip(), ip("192.168.50.3"));
    assert!(second.pings("192.168.50.1").unwrap());
}

#[apply(scenario)]
fn networks_are_apart_as_their_modes_say() {
    let of = |number: u8, forward: &str| {
        format!(
            "<network><name>n{number}</name>{forward}<bridge name='virbr{number}' stp='off'/>
             <mac address='52:54:00:6b:00:0{number}'/><dns enable='no'/>
             <ip address='192.168.6{number}.1' prefix='24'/></network>"
        )
    };
    let modes = ["<forward mode='nat'/>", "<forward mode='route'/>", "", "<forward mode='open'/>"];
    let networks: Vec<String> = (0..).zip(modes).map(|(number, mode)| of(number, mode)).collect();
    let networks: Vec<&str> = networks.iter().map(String::as_str).collect();
    let lab = Lab::new(&networks);
    let guests: Vec<Guest> = (0..4)
        .map(|number| {
            let guest = lab.guest(&format!("virbr{number}"), 1);
            let (address, router) =
                (format!("192.168.6{number}.2/24"), format!("192.168.6{number}.1"));
            guest.configure(&address, &router).unwrap();
            guest
        })
        .collect();
    let servers = (0..4).map(|number| ip(&format!("192.168.6{number}.2")));
    let _servers: Vec<_> =
        guests.iter().zip(servers).map(|(guest, ip)| serve(guest.netns(), ip).unwrap()).collect();
    // From whom (nat, route, isolated, open) to whom: only routed and open networks accept
    // connections from outside, and an isolated one permits none to the outside.
    let expect = [
        [true, true, false, true],
        [false, true, false, true],
        [false, false, true, false],
        [false, true, false, true],
    ];
    let mut found = [[false; 4]; 4];
    for (row, guest) in found.iter_mut().zip(&guests) {
        for (number, cell) in row.iter_mut().enumerate() {
            let to = ip(&format!("192.168.6{number}.2"));
            let outcome = ask_one(guest.netns(), Protocol::Tcp, 0, to).unwrap();
            *cell = matches!(outcome, Outcome::Delivered { .. });
        }
    }
    assert_eq!(found, expect);
}
