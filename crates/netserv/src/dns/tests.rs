use std::net::SocketAddr;

use oxivirt_netserv_api::{DnsSpec, HostNames};
use uuid::Uuid;

use super::testing::{at, question, text, turn};
use super::*;

const GUEST: &str = "192.0.2.9:4000";

struct Bench {
    service: NameService,
    host: HostDns,
}

fn bench() -> Bench {
    let mut spec = NetworkSpec::new(Uuid::nil(), "virbr0", 7, [0; 6]);
    let hosts =
        vec![HostNames { address: [192, 0, 2, 1].into(), names: vec!["gw.test".to_owned()] }];
    spec.dns = Some(DnsSpec { hosts, forwards_plain_names: true, ..DnsSpec::default() });
    let mut host = HostDns::default();
    host.set_system_servers(&["198.51.100.1".parse().unwrap()]);
    Bench { service: NameService::new(&spec), host }
}

impl Bench {
    fn from(&mut self, ifindex: u32, socket: Socket, bytes: &[u8]) -> Out {
        let source: SocketAddr = GUEST.parse().unwrap();
        let destination = Some([192, 0, 2, 1].into());
        let packet = Packet { socket, source, destination, ifindex, hop_limit: None, bytes };
        let service = &mut self.service;
        turn(at(0), &mut self.host, |turn| service.handle(turn, &packet))
    }

    #[track_caller]
    fn check(&mut self, bytes: &[u8], expected: &str) {
        let out = self.from(7, Socket::Dns([192, 0, 2, 1].into()), bytes);
        let [datagram] = &out.datagrams[..] else { panic!("{out:?}") };
        assert_eq!(datagram.to, To::Ip(GUEST.parse().unwrap()));
        assert_eq!(datagram.source, Some([192, 0, 2, 1].into()));
        assert_eq!(datagram.bytes[..2], bytes[..2]);
        assert_eq!(text(&datagram.bytes), expected);
    }
}

#[test]
fn only_guests_and_the_host_are_answered() {
    let ask = question("gw.test", "A", "");
    for socket in [Socket::Dns([192, 0, 2, 1].into()), Socket::DnsTcp(4)] {
        let answered = [1, 7, 8, 0].map(|link| bench().from(link, socket, &ask).datagrams.len());
        assert_eq!(answered, [1, 1, 0, 0]);
    }
}

#[test]
fn an_answer_over_tcp_goes_back_on_its_connection() {
    let out = bench().from(7, Socket::DnsTcp(4), &question("gw.test", "A", ""));
    let datagram = &out.datagrams[0];
    assert_eq!((datagram.socket, datagram.to), (Socket::DnsTcp(4), To::Peer));
}

#[test]
fn some_questions_are_not_looked_up() {
    let mut bench = bench();
    bench.check(&question("gw.test", "A", "+rd"), "NOERROR aa rd ra; gw.test 0 A 192.0.2.1;;");
    bench.check(&question("gw.test", "AXFR", "+rd"), "REFUSED rd ra;;;");
    bench.check(&question("gw.test", "TYPE251", ""), "REFUSED ra;;;");
    bench.check(&question("gw.test", "TYPE41", ""), "FORMERR ra;;;");
    let mut chaos = question("version.bind", "TXT", "");
    let last = chaos.len() - 1;
    chaos[last] = 3;
    bench.check(&chaos, "REFUSED ra;;;");
    let mut edns1 = question("gw.test", "A", "+edns=1232");
    let version = edns1.len() - 5;
    edns1[version] = 1;
    bench.check(&edns1, "NOERROR ra;;; OPT");
    let out = bench.from(7, Socket::Dns([192, 0, 2, 1].into()), &edns1);
    // BADVERS is 16: its upper bits are in the OPT record.
    assert_eq!(out.datagrams[0].bytes.iter().rev().nth(5), Some(&1));
}

#[test]
fn what_cannot_be_read_gets_an_error_or_nothing() {
    let mut bench = bench();
    let mut status = question("gw.test", "A", "");
    status[2] |= 0x10;
    bench.check(&status, "NOTIMP ra;;;");
    bench.check(&question("gw.test", "A", "")[..20], "FORMERR ra;;;");
    let mut response = question("gw.test", "A", "");
    response[2] |= 0x80;
    for silent in [&response[..], &response[..11], &[]] {
        let out = bench.from(7, Socket::Dns([192, 0, 2, 1].into()), silent);
        assert!(out.datagrams.is_empty());
    }
}

#[test]
fn unknown_names_are_asked_and_leases_are_known_at_once() {
    let mut bench = bench();
    let ask = question("alpha", "A", "+rd");
    let out = bench.from(7, Socket::Dns([192, 0, 2, 1].into()), &ask);
    assert_eq!(out.datagrams[0].to, To::Ip("198.51.100.1:53".parse().unwrap()));
    bench.service.lease_added([192, 0, 2, 9].into(), Some("alpha"));
    bench.check(&ask, "NOERROR aa rd ra; alpha 0 A 192.0.2.9;;");
    bench.service.lease_removed([192, 0, 2, 9].into());
    let out = bench.from(7, Socket::Dns([192, 0, 2, 1].into()), &question("alpha", "AAAA", ""));
    assert_eq!(text(&out.datagrams[0].bytes), "REFUSED ra;;;");
}
