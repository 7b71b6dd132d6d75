use std::net::IpAddr;

use proptest::prelude::*;

use super::*;

fn name(text: &str) -> Name {
    Name::from_text(text).unwrap()
}

fn header(flags: u16, counts: [u16; 4]) -> Vec<u8> {
    let mut bytes = vec![0x12, 0x34];
    for number in [flags].iter().chain(&counts) {
        bytes.extend(number.to_be_bytes());
    }
    bytes
}

/// A response to `a.test A` with these records, each as its bytes.
fn response(counts: [u16; 3], records: &[&[u8]]) -> Vec<u8> {
    let mut bytes = header(flag::QR | flag::RA, [1, counts[0], counts[1], counts[2]]);
    bytes.extend(b"\x01a\x04test\0\0\x01\0\x01");
    records.iter().for_each(|record| bytes.extend(*record));
    bytes
}

const A: &[u8] = b"\xc0\x0c\0\x01\0\x01\0\0\x01\x2c\0\x04\xc0\0\x02\x07";
const OPT: &[u8] = b"\0\0\x29\x04\xd0\0\0\0\0\0\0";

#[test]
fn names_are_lower_case_and_bounded() {
    assert_eq!(name("WWW.Example."), name("www.example"));
    assert_eq!(name("www.example").to_string(), "www.example");
    assert_eq!(name("").as_bytes(), [0]);
    assert_eq!(Name::ROOT.to_string(), ".");
    assert!(Name::from_text("a..b").is_err());
    assert!(Name::from_text(&"a".repeat(64)).is_err());
    assert!(Name::from_text(&"a".repeat(63)).is_ok());
    let long = ["a".repeat(63), "b".repeat(63), "c".repeat(63), "d".repeat(61)].join(".");
    assert_eq!(name(&long).as_bytes().len(), 255);
    assert!(Name::from_text(&format!("{long}d")).is_err());
}

#[test]
fn names_know_what_is_above_them() {
    assert!(name("a.b.test").is_in(&name("b.TEST")));
    assert!(name("b.test").is_in(&name("b.test")));
    assert!(!name("ab.test").is_in(&name("b.test")));
    assert!(name("x").is_in(&Name::ROOT));
    assert_eq!(name("a.b.test").plain_in(&name("b.test")), Some(name("a")));
    assert_eq!(name("a.b.test").plain_in(&name("test")), None);
    assert_eq!(name("a").plain_in(&Name::ROOT), Some(name("a")));
    assert_eq!(Name::from_wire(b"\x01A\0"), Some(name("a")));
    assert_eq!(Name::from_wire(b"\x01A\0\0"), None);
    assert_eq!(Name::from_wire(b"\xc0\x00"), None);
}

#[test]
fn reverse_names_are_addresses() {
    let check = |text: &str, address: Option<&str>| {
        assert_eq!(name(text).address(), address.map(|a| a.parse::<IpAddr>().unwrap()), "{text}");
    };
    check("1.2.0.192.in-addr.arpa", Some("192.0.2.1"));
    check("1.2.0.192.IN-ADDR.ARPA", Some("192.0.2.1"));
    check("01.2.0.192.in-addr.arpa", None);
    check("256.2.0.192.in-addr.arpa", None);
    check("2.0.192.in-addr.arpa", None);
    check("1.1.2.0.192.in-addr.arpa", None);
    let v6 = "1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.ip6.arpa";
    check(v6, Some("2001:db8::1"));
    check(&v6.replacen('1', "g", 1), None);
    check(&v6.replacen("1.", "", 1), None);
}

#[test]
fn reverse_zones_have_whole_labels() {
    let zone = |address: &str, prefix| {
        reverse_zone(address.parse().unwrap(), prefix).map(|zone| zone.to_string())
    };
    assert_eq!(zone("192.0.2.1", 24).unwrap(), "2.0.192.in-addr.arpa");
    assert_eq!(zone("10.1.2.3", 8).unwrap(), "10.in-addr.arpa");
    assert_eq!(zone("10.1.2.3", 25), Err(NameError));
    assert_eq!(zone("2001:db8::1", 32).unwrap(), "8.b.d.0.1.0.0.2.ip6.arpa");
    assert_eq!(zone("2001:db8::1", 30), Err(NameError));
}

#[test]
fn a_question_is_read_with_its_edns() {
    let mut bytes = header(flag::RD, [1, 0, 0, 1]);
    bytes.extend(b"\x01A\x04Test\0\0\x1c\0\x01\0\0\x29\x10\0\0\0\x80\0\0\0");
    let query = Query::parse(&bytes).unwrap();
    assert_eq!((query.id, query.name, query.qtype), (0x1234, name("a.test"), num::AAAA));
    assert_eq!(query.question, b"\x01A\x04Test\0\0\x1c\0\x01");
    assert_eq!(query.edns, Some(Edns { size: 4096, version: 0, dnssec_ok: true }));
    assert_eq!(query.udp_limit(), 1232);
    // A second OPT record is an error.
    bytes[11] = 2;
    bytes.extend(OPT);
    assert_eq!(Query::parse(&bytes).unwrap_err(), Flaw::Rcode(num::FORMERR));
}

#[test]
fn what_is_no_question_gets_its_error() {
    let check = |bytes: &[u8], flaw| assert_eq!(Query::parse(bytes).unwrap_err(), flaw);
    let (formerr, notimp) = (Flaw::Rcode(num::FORMERR), Flaw::Rcode(num::NOTIMP));
    let tail = b"\x01a\0\0\x01\0\x01";
    let with = |flags, counts| [header(flags, counts), tail.to_vec()].concat();
    check(&header(0, [1, 0, 0, 0])[..11], Flaw::Silent);
    check(&with(flag::QR, [1, 0, 0, 0]), Flaw::Silent);
    check(&with(0x1000, [1, 0, 0, 0]), notimp);
    check(&with(0, [0, 0, 0, 0]), formerr);
    check(&with(0, [2, 0, 0, 0]), formerr);
    check(&with(0, [1, 0, 0, 1]), formerr);
    check(&header(0, [1, 0, 0, 0]), formerr);
    // A name that points at itself.
    check(&[header(0, [1, 0, 0, 0]), b"\xc0\x0c\0\x01\0\x01".to_vec()].concat(), formerr);
}

#[test]
fn an_answer_that_does_not_fit_is_cut() {
    let bytes = [header(flag::RD, [1, 0, 0, 0]), b"\x01a\0\0\x10\0\x01".to_vec()].concat();
    let query = Query::parse(&bytes).unwrap();
    let mut out = Vec::new();
    let mut reply = Reply::start(&mut out, &query, 100, flag::AA);
    let push = |reply: &mut Reply<'_>, section, n| {
        reply.record(section, Owner::Question, num::TXT, 0, |out| out.extend(vec![0; n]));
    };
    push(&mut reply, Section::Answer, 20);
    push(&mut reply, Section::Additional, 60);
    assert_eq!((reply.n_answers(), reply.is_truncated()), (1, false));
    push(&mut reply, Section::Answer, 60);
    assert!(reply.is_truncated());
    push(&mut reply, Section::Answer, 1);
    reply.finish(num::NOERROR);
    assert_eq!(out.len(), bytes.len());
    assert_eq!(u16_at(&out, 2), Some(flag::QR | flag::AA | flag::TC | flag::RD | flag::RA));
    assert_eq!(u16_at(&out, 6), Some(0));
}

#[test]
fn a_good_response_walks() {
    let bytes = response([1, 0, 1], &[A, OPT]);
    let walk = Walk::of(&bytes).unwrap();
    assert!(walk.answers(&name("a.test"), num::A, num::IN));
    assert_eq!((walk.end, walk.counts), (bytes.len() - OPT.len(), [1, 0, 0]));
    assert_eq!((walk.answer_ttl, walk.has_answer, walk.has_opt), (Some(300), true, true));
}

#[test]
fn a_negative_response_has_the_ttl_of_its_soa() {
    let soa = |ttl: u32, minimum: u32| {
        let mut soa = b"\xc0\x0e\0\x06\0\x01".to_vec();
        soa.extend(ttl.to_be_bytes());
        soa.extend(b"\0\x16\0\0");
        soa.extend([0; 16]);
        soa.extend(minimum.to_be_bytes());
        soa
    };
    let ttl =
        |ttl, minimum| Walk::of(&response([0, 1, 0], &[&soa(ttl, minimum)])).unwrap().negative_ttl;
    assert_eq!(ttl(300, 60), Some(60));
    assert_eq!(ttl(30, 60), Some(30));
    assert_eq!(ttl(0x8000_0000, 60), Some(0));
}

#[test]
fn a_bad_response_does_not_walk() {
    #[track_caller]
    fn check(bytes: &[u8]) {
        assert_eq!(Walk::of(bytes), Err(Malformed), "{bytes:02x?}");
    }
    let whole = response([1, 0, 0], &[A]);
    for len in 0..whole.len() {
        check(&whole[..len]);
    }
    check(&[whole, vec![0]].concat());
    check(&response([2, 0, 0], &[A]));
    check(&response([0, 0, 2], &[OPT, OPT]));
    check(&response([1, 0, 0], &[OPT]));
    // Names: at itself, forward, in a circle of two, out of the message.
    let cname = |target: &[u8]| {
        let len = u16::try_from(target.len()).unwrap().to_be_bytes();
        [b"\xc0\x0c\0\x05\0\x01\0\0\0\x01".as_slice(), &len, target].concat()
    };
    assert!(Walk::of(&response([1, 0, 0], &[&cname(b"\x01b\xc0\x0e")])).is_ok());
    check(&response([1, 0, 0], &[&cname(b"\xc0\x24")]));
    check(&response([1, 0, 0], &[&cname(b"\x01b\xc0\x24")]));
    check(&response([1, 0, 0], &[&cname(b"\xc0\xff")]));
    check(&response([1, 0, 0], &[&cname(b"\x01b")]));
    check(&response([1, 0, 0], &[&cname(b"\x01b\0\0")]));
    check(&response([1, 0, 0], &[&cname(b"\x41b\0")]));
}

#[test]
fn a_response_is_fitted_to_the_client() {
    let bytes = response([1, 0, 1], &[A, OPT]);
    let walk = Walk::of(&bytes).unwrap();
    let ask = [header(flag::RD, [1, 0, 0, 0]), b"\x01A\x04TEST\0\0\x01\0\x01".to_vec()].concat();
    let query = Query::parse(&ask).unwrap();
    let mut out = Vec::new();
    walk.write_for(&mut out, &bytes, &query, (100, 0), 512);
    let expected = response([1, 0, 0], &[b"\xc0\x0c\0\x01\0\x01\0\0\0\xc8\0\x04\xc0\0\x02\x07"]);
    assert_eq!(out[12..24], *query.question);
    assert_eq!(out[24..], expected[24..]);
    assert_eq!(u16_at(&out, 2), Some(flag::QR | flag::RD | flag::RA));
    let limit = out.len() - 1;
    walk.write_for(&mut out, &bytes, &query, (0, 0), limit);
    assert_eq!((out.len(), u16_at(&out, 6)), (24, Some(0)));
    assert_eq!(u16_at(&out, 2), Some(flag::QR | flag::TC | flag::RD | flag::RA));
}

proptest! {
    #[test]
    fn no_packet_panics(bytes in prop::collection::vec(any::<u8>(), 0..600)) {
        if let Err(Flaw::Rcode(rcode)) = Query::parse(&bytes) {
            error_reply(&mut Vec::new(), &bytes, rcode);
        }
        prop_assert!(Walk::of(&bytes).is_err());
    }

    #[test]
    fn no_damaged_response_panics(
        damage in prop::collection::vec((0_usize..74, any::<u8>()), 1..4),
        limit in 0_usize..100,
    ) {
        let cname = b"\xc0\x0c\0\x05\0\x01\0\0\0\x01\0\x04\x01b\xc0\x0e";
        let mut bytes = response([2, 0, 1], &[cname, A, OPT]);
        let query = bytes.clone();
        for (at, value) in damage {
            if let Some(byte) = bytes.get_mut(at) {
                *byte = value;
            }
        }
        if let Ok(walk) = Walk::of(&bytes) {
            let mut ask = query[..24].to_vec();
            ask[2..12].copy_from_slice(&[0, 0, 0, 1, 0, 0, 0, 0, 0, 0]);
            let query = Query::parse(&ask).unwrap();
            let mut out = Vec::new();
            walk.write_for(&mut out, &bytes, &query, (1, 0), limit);
            prop_assert!(out.len() <= limit.max(walk.question_end));
        }
    }

    #[test]
    fn names_survive_their_wire_form(text in "([a-zA-Z0-9_-]{1,20}\\.){1,6}") {
        let wire = wire_name(&text).unwrap();
        prop_assert_eq!(Name::from_wire(&wire), Some(name(&text)));
    }
}
