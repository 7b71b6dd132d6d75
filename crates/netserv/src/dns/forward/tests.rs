use proptest::prelude::*;

use super::*;
use crate::dns::testing::{at, question, text, turn};
use crate::wire::dns::wire_name;

const S1: &str = "198.51.100.1:53";
const S2: &str = "198.51.100.2:53";

/// A forwarder with its host.
struct Bench {
    forwarder: Forwarder,
    host: HostDns,
    servers: Arc<[SocketAddr]>,
}

fn bench(servers: &[&str]) -> Bench {
    Bench {
        forwarder: Forwarder::new(&Limits::default()),
        host: HostDns::default(),
        servers: servers.iter().map(|server| server.parse().unwrap()).collect(),
    }
}

fn client(n: u8, socket: Socket) -> Client {
    let address = IpAddr::from([192, 0, 2, n]);
    let to = To::Ip(SocketAddr::new(address, 4000));
    Client { socket, to, local: Some([192, 0, 2, 1].into()), address, limit: 512 }
}

fn udp() -> Socket {
    Socket::Dns([192, 0, 2, 1].into())
}

impl Bench {
    fn ask_from(&mut self, now: u64, client: Client, ask: &[u8]) -> Out {
        let (forwarder, servers) = (&mut self.forwarder, Arc::clone(&self.servers));
        turn(at(now), &mut self.host, |turn| {
            forwarder.ask(turn, (&Query::parse(ask).unwrap(), ask), client, servers);
        })
    }

    fn ask(&mut self, now: u64, ask: &[u8]) -> Out {
        self.ask_from(now, client(9, udp()), ask)
    }

    fn replied(&mut self, now: u64, token: u64, message: &[u8]) -> Out {
        let forwarder = &mut self.forwarder;
        turn(at(now), &mut self.host, |turn| forwarder.replied(turn, token, message))
    }

    fn failed(&mut self, now: u64, token: u64) -> Out {
        let forwarder = &mut self.forwarder;
        turn(at(now), &mut self.host, |turn| forwarder.failed(turn, token))
    }

    fn tick(&mut self, now: u64) -> Out {
        let forwarder = &mut self.forwarder;
        turn(at(now), &mut self.host, |turn| forwarder.tick(turn))
    }
}

/// The number and bytes of the only question that `out` sends, and to which server.
#[track_caller]
fn sent(out: &Out) -> (u64, String, Vec<u8>) {
    let [datagram] = &out.datagrams[..] else { panic!("{out:?}") };
    let (Socket::Upstream(token) | Socket::UpstreamTcp(token)) = datagram.socket else {
        panic!("{datagram:?}")
    };
    let To::Ip(server) = datagram.to else { panic!("{datagram:?}") };
    (token, server.to_string(), datagram.bytes.clone())
}

/// The only answer that `out` sends.
#[track_caller]
fn answered(out: &Out) -> String {
    let [datagram] = &out.datagrams[..] else { panic!("{out:?}") };
    assert_eq!(datagram.socket, udp());
    text(&datagram.bytes)
}

/// A server's answer: one address for its question, or none with another response code.
fn answer(ask: &[u8], rcode: u16, has_answer: bool) -> Vec<u8> {
    let mut message = ask[..ask.len() - 11].to_vec();
    put_u16(&mut message, 2, flag::QR | flag::RA | flag::RD | rcode);
    put_u16(&mut message, 6, u16::from(has_answer));
    put_u16(&mut message, 10, 0);
    if has_answer {
        message.extend(b"\xc0\x0c\0\x01\0\x01\0\0\0\x3c\0\x04\xc6\x33\x64\x07");
    }
    message
}

#[test]
fn a_question_goes_to_the_first_server_and_its_answer_back() {
    let mut bench = bench(&[S1, S2]);
    let ask = question("wWw.test", "A", "+rd +ad");
    let (token, server, bytes) = sent(&bench.ask(0, &ask));
    assert_eq!(server, S1);
    let query = Query::parse(&bytes).unwrap();
    assert_ne!(query.id, 0x1234);
    assert_eq!(query.question[..8], wire_name("wWw.test").unwrap()[..8]);
    assert_eq!(query.flags, flag::RD | flag::AD);
    assert_eq!(query.edns.map(|edns| (edns.size, edns.dnssec_ok)), Some((1232, false)));
    let out = bench.replied(10, token, &answer(&bytes, 0, true));
    assert_eq!(answered(&out), "NOERROR rd ra; wWw.test 60 A 198.51.100.7;;");
    assert_eq!(out.datagrams[0].bytes[..2], [0x12, 0x34]);
    assert_eq!(out.datagrams[0].source, Some([192, 0, 2, 1].into()));
    assert_eq!(out.closed, [Socket::Upstream(token)]);
    assert_eq!(bench.host.in_flight, 0);
    // The second time it is known, in the spelling of who asks.
    let out = bench.ask(20_000, &question("www.TEST", "A", ""));
    assert_eq!(answered(&out), "NOERROR ra; www.TEST 41 A 198.51.100.7;;");
}

#[test]
fn the_options_of_a_client_stay_here_but_do_and_cd() {
    let mut bench = bench(&[S1]);
    let mut ask = question("www.test", "A", "+rd +cd +do");
    // A cookie (option 10).
    let at = ask.len() - 2;
    ask.splice(at.., [0, 12, 0, 10, 0, 8, 1, 2, 3, 4, 5, 6, 7, 8]);
    let (token, _, bytes) = sent(&bench.ask(0, &ask));
    assert_eq!(bytes.len(), ask.len() - 12);
    let query = Query::parse(&bytes).unwrap();
    assert!(query.dnssec_ok() && query.has(flag::CD));
    let out = bench.replied(0, token, &answer(&bytes, 0, true));
    assert_eq!(answered(&out), "NOERROR rd ra; www.test 60 A 198.51.100.7;; OPT");
}

#[test]
fn without_recursion_only_what_is_known_is_answered() {
    let mut bench = bench(&[S1]);
    assert_eq!(answered(&bench.ask(0, &question("www.test", "A", ""))), "REFUSED ra;;;");
    assert!(bench.forwarder.pending.is_empty());
}

#[test]
fn without_server_a_question_is_refused() {
    let mut bench = bench(&[]);
    assert_eq!(answered(&bench.ask(0, &question("www.test", "A", "+rd"))), "REFUSED rd ra;;;");
}

#[test]
fn the_same_question_is_asked_once() {
    let mut bench = bench(&[S1]);
    let (token, _, bytes) = sent(&bench.ask(0, &question("www.test", "A", "+rd")));
    let out = bench.ask_from(5, client(10, udp()), &question("WWW.test", "A", "+rd +edns=4096"));
    assert!(out.is_empty(), "{out:?}");
    assert!(!bench.ask(5, &question("www.test", "AAAA", "+rd")).is_empty());
    let out = bench.replied(10, token, &answer(&bytes, 0, true));
    let texts: Vec<_> = out.datagrams.iter().map(|sent| text(&sent.bytes)).collect();
    assert_eq!(
        texts,
        [
            "NOERROR rd ra; www.test 60 A 198.51.100.7;;",
            "NOERROR rd ra; WWW.test 60 A 198.51.100.7;; OPT"
        ]
    );
    assert_ne!(out.datagrams[0].to, out.datagrams[1].to);
}

#[test]
fn a_silent_server_is_passed_over() {
    let mut bench = bench(&[S1, S2]);
    let (first, _, _) = sent(&bench.ask(0, &question("www.test", "A", "+rd")));
    assert_eq!(bench.forwarder.deadline(), Some(at(2000).boot));
    assert!(bench.tick(1999).is_empty());
    let out = bench.tick(2000);
    assert_eq!(out.closed, [Socket::Upstream(first)]);
    let (second, server, bytes) = sent(&out);
    assert_eq!(server, S2);
    assert!(bench.replied(2001, first, &answer(&bytes, 0, true)).is_empty());
    answered(&bench.replied(2001, second, &answer(&bytes, 0, true)));
    // For half a minute the second one is asked first.
    assert_eq!(sent(&bench.ask(3000, &question("b.test", "A", "+rd"))).1, S2);
    assert_eq!(sent(&bench.ask(32_001, &question("c.test", "A", "+rd"))).1, S1);
}

#[test]
fn a_single_server_gets_a_second_chance_with_another_identifier() {
    let mut bench = bench(&[S1]);
    let first = sent(&bench.ask(0, &question("www.test", "A", "+rd")));
    let second = sent(&bench.tick(2000));
    assert_eq!(second.1, S1);
    assert_ne!(first.0, second.0);
    assert_eq!(answered(&bench.tick(4000)), "SERVFAIL rd ra;;;");
    assert_eq!((bench.host.in_flight, bench.forwarder.waiting.all), (0, 0));
    assert_eq!(bench.forwarder.deadline(), None);
}

#[test]
fn a_failing_server_is_not_the_last_word() {
    for rcode in [num::SERVFAIL, num::REFUSED] {
        let mut bench = bench(&[S1, S2]);
        let (token, _, bytes) = sent(&bench.ask(0, &question("www.test", "A", "+rd")));
        let (token, server, bytes) = sent(&bench.replied(10, token, &answer(&bytes, rcode, false)));
        assert_eq!(server, S2);
        let out = bench.replied(20, token, &answer(&bytes, 0, true));
        assert_eq!(answered(&out), "NOERROR rd ra; www.test 60 A 198.51.100.7;;");
    }
    let mut bench = bench(&[S1, S2]);
    let (token, _, bytes) = sent(&bench.ask(0, &question("www.test", "A", "+rd")));
    let (token, _, bytes) = sent(&bench.replied(10, token, &answer(&bytes, num::REFUSED, false)));
    let (socket, ..) = (bench.failed(20, token), bytes);
    assert_eq!(answered(&socket), "REFUSED rd ra;;;");
}

#[test]
fn strangers_are_not_believed() {
    let mut bench = bench(&[S1]);
    let (token, _, bytes) = sent(&bench.ask(0, &question("www.test", "A", "+rd")));
    let good = answer(&bytes, 0, true);
    let mut wrong_id = good.clone();
    wrong_id[0] ^= 1;
    let mut wrong_case = good.clone();
    wrong_case[13] ^= 0x20;
    let mut wrong_type = good.clone();
    wrong_type[23] = 28;
    for bad in [&wrong_id, &wrong_case, &wrong_type, &good[..20].to_vec(), &vec![]] {
        let out = bench.replied(1, token, bad);
        assert!(out.datagrams.is_empty() && out.closed.is_empty(), "{out:?}");
    }
    assert!(bench.replied(1, token + 1, &good).is_empty());
    answered(&bench.replied(1, token, &good));
}

#[test]
fn a_malformed_answer_counts_as_failure() {
    let mut bench = bench(&[S1, S2]);
    let (token, _, bytes) = sent(&bench.ask(0, &question("www.test", "A", "+rd")));
    let circle = |bytes: &[u8]| {
        let mut bad = answer(bytes, 0, true);
        let at = bad.len() - 16;
        bad[at + 1] = u8::try_from(at).unwrap();
        bad
    };
    let (token, server, bytes) = sent(&bench.replied(1, token, &circle(&bytes)));
    assert_eq!(server, S2);
    assert_eq!(answered(&bench.replied(2, token, &circle(&bytes))), "SERVFAIL rd ra;;;");
}

#[test]
fn a_server_without_edns_is_asked_plainly() {
    let mut bench = bench(&[S1]);
    let (token, _, bytes) = sent(&bench.ask(0, &question("www.test", "A", "+rd +edns=1232")));
    let (token, server, plain) =
        sent(&bench.replied(1, token, &answer(&bytes, num::FORMERR, false)));
    assert_eq!((server.as_str(), plain.len()), (S1, bytes.len() - 11));
    let mut good = answer(&[&plain[..], &[0; 11]].concat(), 0, true);
    put_u16(&mut good, 10, 0);
    assert!(answered(&bench.replied(2, token, &good)).starts_with("NOERROR"));
}

#[test]
fn a_cut_answer_is_passed_on_and_the_client_comes_back_over_tcp() {
    let mut bench = bench(&[S1]);
    let ask = question("www.test", "A", "+rd");
    let (token, _, bytes) = sent(&bench.ask(0, &ask));
    let out = bench.replied(1, token, &answer(&bytes, flag::TC, false));
    assert_eq!(answered(&out), "NOERROR tc rd ra;;;");
    let mut over_tcp = client(9, Socket::DnsTcp(3));
    over_tcp.to = To::Peer;
    over_tcp.limit = 65_535;
    let out = bench.ask_from(2, over_tcp, &ask);
    assert!(matches!(out.datagrams[0].socket, Socket::UpstreamTcp(_)));
    let (token, _, bytes) = sent(&out);
    let out = bench.replied(3, token, &answer(&bytes, 0, true));
    assert_eq!((out.datagrams[0].socket, out.datagrams[0].to), (Socket::DnsTcp(3), To::Peer));
}

#[test]
fn an_answer_that_the_client_cannot_take_is_cut() {
    let mut bench = bench(&[S1]);
    let (token, _, bytes) = sent(&bench.ask(0, &question("www.test", "A", "+rd")));
    let mut long = answer(&bytes, 0, false);
    put_u16(&mut long, 6, 40);
    for n in 0..40 {
        long.extend(b"\xc0\x0c\0\x01\0\x01\0\0\0\x3c\0\x04\xc6\x33\x64");
        long.push(n);
    }
    assert_eq!(answered(&bench.replied(1, token, &long)), "NOERROR tc rd ra;;;");
    let mut wide = client(9, udp());
    wide.limit = 1232;
    let out = bench.ask_from(2, wide, &question("www.test", "A", "+rd +edns=4096"));
    assert_eq!(text(&out.datagrams[0].bytes).matches(" A ").count(), 40);
}

#[test]
fn one_source_and_one_network_have_limits() {
    let mut bench = bench(&[S1]);
    let ask = |n: u32| question(&format!("n{n}.test"), "A", "+rd");
    for n in 0..50 {
        sent(&bench.ask_from(0, client(9, udp()), &ask(n)));
    }
    assert_eq!(answered(&bench.ask_from(0, client(9, udp()), &ask(50))), "SERVFAIL rd ra;;;");
    for n in 0..100 {
        let source = if n < 50 { 10 } else { 11 };
        bench.ask_from(0, client(source, udp()), &ask(n));
    }
    assert_eq!(answered(&bench.ask_from(0, client(12, udp()), &ask(0))), "SERVFAIL rd ra;;;");
    bench.tick(2000);
    bench.tick(4000);
    assert_eq!((bench.host.in_flight, bench.forwarder.waiting.all), (0, 0));
    sent(&bench.ask_from(5000, client(12, udp()), &ask(0)));
}

#[test]
fn a_question_that_comes_back_is_a_circle() {
    let mut bench = bench(&["192.0.2.1:53"]);
    let (_, _, bytes) = sent(&bench.ask(0, &question("www.test", "A", "+rd")));
    let out = bench.ask_from(1, client(1, udp()), &bytes);
    assert_eq!(answered(&out), "SERVFAIL rd ra;;; OPT");
}

#[test]
fn a_closed_connection_waits_for_nothing() {
    let mut bench = bench(&[S1]);
    bench.ask_from(0, client(9, Socket::DnsTcp(3)), &question("www.test", "A", "+rd"));
    bench.forwarder.disconnected(Socket::DnsTcp(3));
    assert_eq!(bench.forwarder.waiting.all, 0);
    let out = bench.tick(5000);
    assert!(out.datagrams.is_empty() && out.closed.len() == 1, "{out:?}");
    let (token, ..) = sent(&bench.ask(6000, &question("b.test", "A", "+rd")));
    let forwarder = &mut bench.forwarder;
    let out = turn(at(6001), &mut bench.host, |turn| forwarder.close(turn));
    assert_eq!((out.datagrams.len(), out.closed), (0, vec![Socket::Upstream(token)]));
}

proptest! {
    /// Whatever servers send, each client gets exactly one answer, and nothing is left behind.
    #[test]
    fn each_question_is_answered_once(
        steps in prop::collection::vec((0_u8..8, 0_u8..5, any::<[u8; 4]>()), 1..60),
    ) {
        let mut bench = bench(&[S1, S2]);
        let mut open: Vec<(u64, Vec<u8>)> = Vec::new();
        let (mut asked, mut answers, mut now) = (0, 0, 0);
        let mut take = |out: &Out, open: &mut Vec<(u64, Vec<u8>)>| {
            open.retain(|(token, _)| !out.closed.contains(&Socket::Upstream(*token)));
            for datagram in &out.datagrams {
                match datagram.socket {
                    Socket::Upstream(token) => open.push((token, datagram.bytes.clone())),
                    _ => answers += 1,
                }
            }
        };
        for (what, n, damage) in steps {
            now += u64::from(damage[0]) * 10;
            let out = match (what, open.first().cloned()) {
                (0..3, _) | (_, None) => {
                    asked += 1;
                    bench.ask(now, &question(&format!("n{n}.test"), "A", "+rd"))
                }
                (3, Some((token, ask))) => bench.replied(now, token, &answer(&ask, 0, true)),
                (4, Some((token, ask))) => bench.replied(now, token, &answer(&ask, 2, false)),
                (5, Some((token, ask))) => {
                    let mut bad = answer(&ask, 0, true);
                    let at = usize::from(damage[1]) % bad.len();
                    bad[at] = damage[2];
                    bench.replied(now, token, &bad)
                }
                (6, Some((token, _))) => bench.failed(now, token),
                _ => bench.tick(now),
            };
            take(&out, &mut open);
        }
        while let Some(deadline) = bench.forwarder.deadline() {
            now = now.max(u64::try_from(deadline.as_millis()).unwrap() - 1_000_000);
            let out = bench.tick(now);
            take(&out, &mut open);
        }
        prop_assert_eq!(answers, asked);
        prop_assert!(open.is_empty());
        prop_assert_eq!((bench.host.in_flight, bench.forwarder.waiting.all), (0, 0));
    }
}
