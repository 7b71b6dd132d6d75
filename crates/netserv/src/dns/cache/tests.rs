use super::*;
use crate::dns::testing::{question, text};

fn servers() -> Arc<[SocketAddr]> {
    vec!["192.0.2.1:53".parse().unwrap()].into()
}

fn seconds(n: u64) -> Duration {
    Duration::from_secs(1000 + n)
}

/// A response to a question: its flag word and records, whose owner is the question's name.
fn response(ask: &[u8], flags: u16, sections: [&[(u16, u32, &[u8])]; 2]) -> Vec<u8> {
    let mut bytes = ask.to_vec();
    bytes[2..4].copy_from_slice(&(flag::QR | flags).to_be_bytes());
    for (at, records) in [(6, sections[0]), (8, sections[1])] {
        bytes[at + 1] = u8::try_from(records.len()).unwrap();
        for (rtype, ttl, data) in records {
            bytes.extend([0xc0, 0x0c]);
            bytes.extend(rtype.to_be_bytes());
            bytes.extend([0, 1]);
            bytes.extend(ttl.to_be_bytes());
            bytes.extend(u16::try_from(data.len()).unwrap().to_be_bytes());
            bytes.extend(*data);
        }
    }
    bytes
}

/// The data of an SOA record with this MINIMUM.
fn soa(minimum: u32) -> Vec<u8> {
    [[0; 18].to_vec(), minimum.to_be_bytes().to_vec()].concat()
}

fn insert(cache: &mut Cache, ask: &[u8], response: &[u8]) {
    let query = Query::parse(ask).unwrap();
    let walk = Walk::of(response).unwrap();
    cache.insert(seconds(0), Key::new(&query, servers()), response, walk);
}

fn answer(cache: &mut Cache, now: u64, ask: &[u8]) -> Option<String> {
    let query = Query::parse(ask).unwrap();
    let mut out = Vec::new();
    let key = Key::new(&query, servers());
    cache.answer(seconds(now), &key, &query, 512, &mut out).then(|| text(&out))
}

const A: (u16, u32, &[u8]) = (num::A, 60, &[192, 0, 2, 7]);

#[test]
fn an_answer_ages_and_ends() {
    let mut cache = Cache::default();
    let ask = question("a.test", "A", "+rd");
    insert(&mut cache, &ask, &response(&ask, flag::AA, [&[A], &[]]));
    let expect = |ttl| Some(format!("NOERROR rd ra; A.test {ttl} A 192.0.2.7;;"));
    let again = question("A.test", "A", "+rd");
    assert_eq!(answer(&mut cache, 0, &again), expect(60));
    assert_eq!(answer(&mut cache, 59, &again), expect(1));
    assert_eq!(answer(&mut cache, 60, &again), None);
    assert_eq!(cache.bytes, 0);
}

#[test]
fn what_an_answer_depends_on_is_in_the_key() {
    let mut cache = Cache::default();
    let ask = question("a.test", "A", "");
    insert(&mut cache, &ask, &response(&ask, 0, [&[A], &[]]));
    for (name, rtype, options, is_known) in [
        ("a.test", "A", "", true),
        ("a.test", "A", "+edns=1232", true),
        ("a.test", "A", "+do", false),
        ("a.test", "A", "+cd", false),
        ("a.test", "AAAA", "", false),
        ("b.test", "A", "", false),
    ] {
        let found = answer(&mut cache, 0, &question(name, rtype, options)).is_some();
        assert_eq!(found, is_known, "{name} {rtype} {options}");
    }
    let query = Query::parse(&ask).unwrap();
    let other = Key::new(&query, vec!["192.0.2.2:53".parse().unwrap()].into());
    assert!(!cache.answer(seconds(0), &other, &query, 512, &mut Vec::new()));
    cache.clear();
    assert_eq!(answer(&mut cache, 0, &ask), None);
}

#[test]
fn absence_is_kept_with_its_code() {
    let mut cache = Cache::default();
    let ask = question("no.test", "A", "");
    let record = (num::SOA, 300, &soa(30)[..]);
    insert(&mut cache, &ask, &response(&ask, num::NXDOMAIN | flag::AA, [&[], &[record]]));
    let found = answer(&mut cache, 29, &ask).unwrap();
    assert!(found.starts_with("NXDOMAIN ra;; no.test 271 SOA"), "{found}");
    assert_eq!(answer(&mut cache, 30, &ask), None);
    let long = (num::SOA, 1_000_000, &soa(1_000_000)[..]);
    insert(&mut cache, &ask, &response(&ask, num::NOERROR, [&[], &[long]]));
    assert!(answer(&mut cache, 3599, &ask).unwrap().starts_with("NOERROR ra;;"));
    assert_eq!(answer(&mut cache, 3600, &ask), None);
}

#[test]
fn some_answers_are_not_kept() {
    let ask = question("a.test", "A", "");
    let alias = (num::CNAME, 60, &[0][..]);
    for (response, is_kept) in [
        (response(&ask, num::NOERROR, [&[], &[]]), false),
        (response(&ask, num::NXDOMAIN, [&[], &[]]), false),
        (response(&ask, flag::TC, [&[A], &[]]), false),
        (response(&ask, num::REFUSED, [&[], &[]]), false),
        (response(&ask, 0, [&[(num::A, 0, &[0; 4])], &[]]), false),
        (response(&ask, 0, [&[alias], &[]]), false),
        (response(&ask, 0, [&[alias], &[(num::SOA, 9, &soa(9))]]), true),
        (response(&ask, num::SERVFAIL, [&[], &[]]), true),
    ] {
        let mut cache = Cache::default();
        insert(&mut cache, &ask, &response);
        assert_eq!(answer(&mut cache, 4, &ask).is_some(), is_kept, "{response:02x?}");
    }
}

#[test]
fn a_failure_is_kept_for_five_seconds_and_an_answer_for_a_day() {
    let mut cache = Cache::default();
    let ask = question("a.test", "A", "");
    insert(&mut cache, &ask, &response(&ask, num::SERVFAIL, [&[], &[]]));
    assert!(answer(&mut cache, 4, &ask).is_some());
    assert!(answer(&mut cache, 5, &ask).is_none());
    insert(&mut cache, &ask, &response(&ask, 0, [&[(num::A, 1_000_000, &[0; 4])], &[]]));
    assert!(answer(&mut cache, 86_399, &ask).is_some());
    assert!(answer(&mut cache, 86_400, &ask).is_none());
}

#[test]
fn the_oldest_go_first() {
    let mut cache = Cache::new(2, usize::MAX);
    let ask = |n: u8| question(&format!("n{n}.test"), "A", "");
    for n in [1, 2, 1, 3] {
        insert(&mut cache, &ask(n), &response(&ask(n), 0, [&[A], &[]]));
    }
    let known = [1, 2, 3].map(|n| answer(&mut cache, 0, &ask(n)).is_some());
    assert_eq!(known, [true, false, true]);
    let mut small = Cache::new(100, 2 * OVERHEAD);
    for n in 1..9 {
        insert(&mut small, &ask(n), &response(&ask(n), 0, [&[A], &[]]));
        assert!(small.bytes <= 2 * OVERHEAD);
    }
    assert_eq!(small.entries.len(), 1);
    assert_eq!(small.order.len(), 1);
}
