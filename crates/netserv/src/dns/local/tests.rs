use oxivirt_netserv_api::{
    Dhcp4Spec, Dhcp6Spec, DnsSpec, Forwarder, Host4, Host6, HostNames, OwnAddress,
};
use uuid::Uuid;

use super::*;
use crate::dns::testing::{question, text};

/// A network with a record of each source: domain `lan.test`, 192.0.2.1/24, fd00::1/64.
fn spec() -> NetworkSpec {
    let mut spec = NetworkSpec::new(Uuid::nil(), "virbr0", 7, [2, 0, 0, 0, 0, 1]);
    spec.domain = Some("lan.test".to_owned());
    for (address, prefix) in [("192.0.2.1", 24), ("fd00::1", 64)] {
        let address = address.parse().unwrap();
        spec.addresses.push(OwnAddress { address, prefix, local_ptr: false });
    }
    let host = |address: &str, names: &[&str]| HostNames {
        address: address.parse().unwrap(),
        names: names.iter().map(ToString::to_string).collect(),
    };
    let srv = |domain: Option<&str>, target: Option<&str>| Srv {
        service: "ldap".to_owned(),
        protocol: "tcp".to_owned(),
        domain: domain.map(ToOwned::to_owned),
        target: target.map(ToOwned::to_owned),
        port: target.map(|_| 389),
        priority: target.map(|_| 5),
        weight: target.map(|_| 6),
    };
    spec.dns = Some(DnsSpec {
        forwards_plain_names: true,
        hosts: vec![
            host("192.0.2.20", &["router", "gw.other.test"]),
            host("fd00::20", &["router"]),
        ],
        txt: vec![
            Txt { name: "note.lan.test".to_owned(), value: "a b,c".to_owned() },
            Txt { name: "note.other.test".to_owned(), value: "\"x,y\"".to_owned() },
        ],
        srv: vec![srv(None, Some("Router.lan.test")), srv(Some("no.test"), None)],
        ..DnsSpec::default()
    });
    let mut dhcp4 = Dhcp4Spec::new([192, 0, 2, 1].into(), 24);
    dhcp4.hosts.push(Host4 {
        mac: Some([2, 0, 0, 0, 0, 9]),
        client_id: None,
        name: Some("Fixed".to_owned()),
        address: Some([192, 0, 2, 9].into()),
        lease: None,
    });
    spec.dhcp4 = Some(dhcp4);
    spec.dhcp6 = Some(Dhcp6Spec {
        address: "fd00::1".parse().unwrap(),
        prefix: 64,
        ranges: Vec::new(),
        hosts: vec![Host6 {
            duid: Some(vec![0, 1]),
            name: Some("fixed".to_owned()),
            address: Some("fd00::9".parse().unwrap()),
            lease: None,
        }],
    });
    spec
}

fn dns(change: impl FnOnce(&mut NetworkSpec, &mut DnsSpec)) -> LocalNames {
    let mut spec = spec();
    let mut dns = spec.dns.take().unwrap();
    change(&mut spec, &mut dns);
    spec.dns = Some(dns);
    LocalNames::new(&spec)
}

fn ask(names: &LocalNames, upstream: Upstream, name: &str, rtype: &str) -> String {
    let bytes = question(name, rtype, "");
    let mut out = Vec::new();
    match names.answer(&Query::parse(&bytes).unwrap(), upstream, 512, &mut out) {
        Verdict::Answered => text(&out),
        Verdict::Forward => "forward".to_owned(),
    }
}

#[track_caller]
fn check(names: &LocalNames, name: &str, rtype: &str, expected: &str) {
    assert_eq!(ask(names, Upstream::Some, name, rtype), expected, "{name} {rtype}");
}

const SOA: &str = "SOA . nobody.invalid. 1 3600 1200 604800 0";

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

#[test]
fn leases_have_names_with_and_without_domain() {
    let mut names = dns(|_, _| ());
    names.lease_added(ip("192.0.2.50"), Some("Alpha"));
    names.lease_added(ip("fd00::50"), Some("Alpha"));
    check(&names, "aLpha", "A", "NOERROR aa ra; aLpha 0 A 192.0.2.50;;");
    check(&names, "alpha.LAN.test", "A", "NOERROR aa ra; alpha.LAN.test 0 A 192.0.2.50;;");
    check(&names, "alpha", "AAAA", "NOERROR aa ra; alpha 0 AAAA fd00::50;;");
    let ptr = "50.2.0.192.in-addr.arpa";
    check(&names, ptr, "PTR", &format!("NOERROR aa ra; {ptr} 0 PTR Alpha.lan.test.;;"));
    names.lease_added(ip("192.0.2.50"), Some("beta"));
    check(&names, "alpha", "A", &format!("NOERROR aa ra;; alpha 0 {SOA};"));
    check(&names, "beta", "A", "NOERROR aa ra; beta 0 A 192.0.2.50;;");
    names.lease_removed(ip("192.0.2.50"));
    check(&names, "beta", "A", "forward");
    check(&names, "beta.lan.test", "A", "forward");
    check(&names, ptr, "PTR", "forward");
}

#[test]
fn without_domain_a_lease_has_its_plain_name() {
    let mut names = dns(|spec, _| spec.domain = None);
    names.lease_added(ip("192.0.2.50"), Some("alpha"));
    check(&names, "alpha", "A", "NOERROR aa ra; alpha 0 A 192.0.2.50;;");
    check(&names, "alpha.lan.test", "A", "forward");
    let ptr = "50.2.0.192.in-addr.arpa";
    check(&names, ptr, "PTR", &format!("NOERROR aa ra; {ptr} 0 PTR alpha.;;"));
}

#[test]
fn fixed_hosts_resolve_before_their_lease() {
    let mut names = dns(|_, _| ());
    check(&names, "fixed", "A", "NOERROR aa ra; fixed 0 A 192.0.2.9;;");
    check(&names, "fixed.lan.test", "AAAA", "NOERROR aa ra; fixed.lan.test 0 AAAA fd00::9;;");
    // A lease at another address is where the guest is now; it is only of its own family.
    names.lease_added(ip("192.0.2.77"), Some("fixed"));
    check(&names, "fixed", "A", "NOERROR aa ra; fixed 0 A 192.0.2.77;;");
    check(&names, "fixed", "AAAA", "NOERROR aa ra; fixed 0 AAAA fd00::9;;");
    names.lease_removed(ip("192.0.2.77"));
    check(&names, "fixed", "A", "NOERROR aa ra; fixed 0 A 192.0.2.9;;");
}

#[test]
fn hosts_of_the_definition_have_each_name() {
    let names = dns(|_, _| ());
    check(&names, "router", "A", "NOERROR aa ra; router 0 A 192.0.2.20;;");
    check(&names, "router.lan.test", "AAAA", "NOERROR aa ra; router.lan.test 0 AAAA fd00::20;;");
    check(&names, "gw.other.test", "A", "NOERROR aa ra; gw.other.test 0 A 192.0.2.20;;");
    check(&names, "gw.other.test.lan.test", "A", "forward");
    check(&names, "router.other.test", "A", "forward");
    check(&names, "x.router", "A", "forward");
    let ptr = "20.2.0.192.in-addr.arpa";
    check(&names, ptr, "PTR", &format!("NOERROR aa ra; {ptr} 0 PTR router.lan.test.;;"));
    check(
        &names,
        "router",
        "ANY",
        "NOERROR aa ra; router 0 A 192.0.2.20, router 0 AAAA fd00::20;;",
    );
}

#[test]
fn a_name_of_the_definition_is_not_given_to_a_lease() {
    let mut names = dns(|_, _| ());
    names.lease_added(ip("192.0.2.66"), Some("router"));
    check(&names, "router", "A", "NOERROR aa ra; router 0 A 192.0.2.20;;");
    check(&names, "66.2.0.192.in-addr.arpa", "PTR", "forward");
    names.lease_added(ip("192.0.2.20"), Some("router"));
    check(&names, "router", "A", "NOERROR aa ra; router 0 A 192.0.2.20;;");
    names.lease_removed(ip("192.0.2.20"));
    check(&names, "router", "A", "NOERROR aa ra; router 0 A 192.0.2.20;;");
}

#[test]
fn txt_and_srv_are_as_written() {
    let names = dns(|_, _| ());
    let txt = "NOERROR aa ra; note.lan.test 0 TXT \"a b\" \"c\";;";
    check(&names, "note.lan.test", "TXT", txt);
    check(&names, "note.other.test", "TXT", "NOERROR aa ra; note.other.test 0 TXT \"x,y\";;");
    check(
        &names,
        "_ldap._tcp.lan.test",
        "SRV",
        "NOERROR aa ra; _ldap._tcp.lan.test 0 SRV 5 6 389 router.lan.test;; \
         router.lan.test 0 A 192.0.2.20, router.lan.test 0 AAAA fd00::20",
    );
    let nowhere = "NOERROR aa ra; _ldap._tcp.no.test 0 SRV 0 0 1 ;;";
    check(&names, "_ldap._tcp.no.test", "SRV", nowhere);
}

#[test]
fn the_hosts_own_file_is_answered() {
    let mut names = dns(|_, _| ());
    check(&names, "localhost", "A", "forward");
    let line = |address, name: &str| HostNames { address: ip(address), names: vec![name.into()] };
    let file =
        HostFile::new(&[line("127.0.0.1", "localhost"), line("198.51.100.7", "printer.test")]);
    names.set_host_file(Arc::new(file));
    check(&names, "localhost", "A", "NOERROR aa ra; localhost 0 A 127.0.0.1;;");
    check(&names, "printer.test", "A", "NOERROR aa ra; printer.test 0 A 198.51.100.7;;");
    let expanded = "NOERROR aa ra; localhost.lan.test 0 A 127.0.0.1;;";
    check(&names, "localhost.lan.test", "A", expanded);
    let ptr = "7.100.51.198.in-addr.arpa";
    check(&names, ptr, "PTR", &format!("NOERROR aa ra; {ptr} 0 PTR printer.test.;;"));
}

#[test]
fn other_types_of_own_names_are_not_asked_elsewhere() {
    let mut names = dns(|_, _| ());
    names.lease_added(ip("192.0.2.50"), Some("alpha"));
    check(&names, "alpha", "AAAA", &format!("NOERROR aa ra;; alpha 0 {SOA};"));
    let none = format!("NOERROR aa ra;; lan.test 0 {SOA};");
    check(&names, "alpha.lan.test", "MX", &none);
    check(&names, "note.lan.test", "A", &none);
    // Names outside of the domain that the definition only adds an address to.
    check(&names, "gw.other.test", "AAAA", "forward");
    check(&names, "note.other.test", "A", "forward");
}

#[test]
fn a_local_domain_is_never_asked_elsewhere() {
    let names = dns(|_, dns| dns.is_local_only = true);
    let missing = format!("NXDOMAIN aa ra;; lan.test 0 {SOA};");
    check(&names, "nobody.lan.test", "A", &missing);
    check(&names, "a.b.LAN.test", "TXT", &missing);
    let none = format!("NOERROR aa ra;; lan.test 0 {SOA};");
    check(&names, "fixed.lan.test", "MX", &none);
    // Between the domain and a known name.
    check(&names, "_tcp.lan.test", "A", &none);
    check(&names, "lan.test", "A", &none);
    check(&names, "xlan.test", "A", "forward");
    check(&dns(|_, _| ()), "nobody.lan.test", "A", "forward");
}

#[test]
fn unknown_addresses_of_a_local_zone_have_no_name() {
    let names = dns(|spec, _| spec.addresses.iter_mut().for_each(|own| own.local_ptr = true));
    let missing = format!("NXDOMAIN aa ra;; 2.0.192.in-addr.arpa 0 {SOA};");
    check(&names, "200.2.0.192.in-addr.arpa", "PTR", &missing);
    check(&names, "200.3.0.192.in-addr.arpa", "PTR", "forward");
    let ptr = "20.2.0.192.in-addr.arpa";
    check(&names, ptr, "PTR", &format!("NOERROR aa ra; {ptr} 0 PTR router.lan.test.;;"));
    check(&names, ptr, "TXT", &format!("NOERROR aa ra;; 2.0.192.in-addr.arpa 0 {SOA};"));
    let v6 = "1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.d.f.ip6.arpa";
    assert!(ask(&names, Upstream::Some, v6, "PTR").starts_with("NXDOMAIN"));
    assert_eq!(ask(&dns(|_, _| ()), Upstream::Some, v6, "PTR"), "forward");
}

#[test]
fn plain_names_can_be_kept() {
    let names = dns(|_, dns| dns.forwards_plain_names = false);
    check(&names, "nobody", "A", &format!("NXDOMAIN aa ra;; . 0 {SOA};"));
    check(&names, "nobody", "MX", &format!("NXDOMAIN aa ra;; . 0 {SOA};"));
    check(&names, "router", "MX", &format!("NOERROR aa ra;; . 0 {SOA};"));
    check(&names, "nobody.test", "A", "forward");
    check(&names, "router", "A", "NOERROR aa ra; router 0 A 192.0.2.20;;");
    check(&dns(|_, _| ()), "nobody", "A", "forward");
}

#[test]
fn without_another_server_a_known_name_is_all_there_is() {
    let names = dns(|_, _| ());
    let none = format!("NOERROR aa ra;; gw.other.test 0 {SOA};");
    assert_eq!(ask(&names, Upstream::None, "gw.other.test", "AAAA"), none);
    assert_eq!(ask(&names, Upstream::None, "nobody", "A"), "forward");
}

#[test]
fn names_that_exist_nowhere_are_not_asked() {
    let names = dns(|_, _| ());
    check(&names, "a.invalid", "A", &format!("NXDOMAIN aa ra;; invalid 0 {SOA};"));
    check(&names, "a.onion", "A", &format!("NXDOMAIN aa ra;; onion 0 {SOA};"));
    check(&names, "a.local", "A", "forward");
}

#[test]
fn names_that_no_message_carries_are_left_out() {
    let names = dns(|spec, dns| {
        dns.hosts.push(HostNames { address: ip("192.0.2.3"), names: vec!["a..b".to_owned()] });
        dns.hosts.push(HostNames { address: ip("192.0.2.4"), names: vec!["x".repeat(64)] });
        dns.hosts.push(HostNames { address: ip("192.0.2.5"), names: vec![String::new()] });
        dns.forwarders.push(Forwarder { domain: Some("..".to_owned()), address: None });
        spec.domain = Some("d".repeat(70));
    });
    check(&names, "router", "A", "NOERROR aa ra; router 0 A 192.0.2.20;;");
    for last in 3..6 {
        check(&names, &format!("{last}.2.0.192.in-addr.arpa"), "PTR", "forward");
    }
}
