use oxivirt_netserv_api::{Dhcp6Spec, DnsSpec, RaSpec};
use rand::SeedableRng as _;
use rand::rngs::SmallRng;
use uuid::Uuid;

use super::*;

fn spec(change: impl FnOnce(&mut NetworkSpec)) -> NetworkSpec {
    let mut spec = NetworkSpec::new(Uuid::nil(), "virbr0", 7, [2, 0, 0, 0, 0, 1]);
    let prefixes = vec![("fd00::1".parse().unwrap(), 64), ("fd01::1".parse().unwrap(), 80)];
    spec.ra = Some(RaSpec { prefixes, lease: None, link_local: None });
    spec.dns = Some(DnsSpec::default());
    change(&mut spec);
    spec
}

fn advertiser(change: impl FnOnce(&mut NetworkSpec)) -> Advertiser {
    Advertiser::new(&spec(change)).unwrap()
}

fn dhcp6() -> Option<Dhcp6Spec> {
    let address = "fd00::1".parse().unwrap();
    Some(Dhcp6Spec { address, prefix: 64, ranges: Vec::new(), hosts: Vec::new() })
}

fn at(seconds: u64) -> Now {
    Now::new(Duration::from_secs(1000 + seconds), 0)
}

fn solicit(advertiser: &mut Advertiser, now: Now, source: &str) -> Out {
    let mut out = Out::default();
    let packet = Packet {
        socket: Socket::Ra,
        source: SocketAddr::new(source.parse().unwrap(), 0),
        destination: None,
        ifindex: 7,
        hop_limit: Some(255),
        bytes: &[133, 0, 0, 0, 0, 0, 0, 0],
    };
    advertiser.handle(now, &packet, &mut out);
    out
}

/// The destination and bytes of the only advertisement.
#[track_caller]
fn sent(out: &Out) -> (String, &[u8]) {
    let [datagram] = &out.datagrams[..] else { panic!("{out:?}") };
    let To::Ip(to) = datagram.to else { panic!("{out:?}") };
    (to.to_string(), &datagram.bytes)
}

fn advertised(change: impl FnOnce(&mut NetworkSpec)) -> Vec<u8> {
    sent(&solicit(&mut advertiser(change), at(0), "fe80::9")).1.to_vec()
}

#[test]
fn hosts_make_their_addresses_themselves() {
    let bytes = advertised(|_| ());
    let expected = [
        &[134, 0, 0, 0, 64, 0, 7, 8, 0, 0, 0, 0, 0, 0, 0, 0][..],
        &[3, 4, 64, 0xc0, 255, 255, 255, 255, 255, 255, 255, 255, 0, 0, 0, 0],
        &[0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0],
        &[3, 4, 80, 0x80, 255, 255, 255, 255, 255, 255, 255, 255, 0, 0, 0, 0],
        &[0xfd, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0],
        &[5, 1, 0, 0, 0, 0, 5, 0xdc],
        &[1, 1, 2, 0, 0, 0, 0, 1],
        &[25, 3, 0, 0, 255, 255, 255, 255],
        &[0xfe, 0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xfe, 0, 0, 1],
    ]
    .concat();
    assert_eq!(bytes, expected);
}

#[test]
fn with_dhcp_only_its_prefix_is_announced() {
    let bytes = advertised(|spec| spec.dhcp6 = dhcp6());
    assert_eq!((bytes[5], bytes[19]), (0xc0, 0x80));
    assert_eq!(bytes.len(), 16 + 32 + 8 + 8 + 24);
}

#[test]
fn an_isolated_network_has_no_router_and_without_dns_no_resolver() {
    let bytes = advertised(|spec| {
        spec.is_forwarded = false;
        spec.dns = None;
        spec.mtu = 9000;
    });
    assert_eq!(bytes[6..8], [0, 0]);
    assert_eq!(bytes.len(), 16 + 64 + 8 + 8);
    assert_eq!(bytes[84..88], 9000_u32.to_be_bytes());
}

#[test]
fn a_lease_time_caps_the_prefix() {
    let valid = |lease| {
        let bytes = advertised(|spec| spec.ra.iter_mut().for_each(|ra| ra.lease = lease));
        u32::from_be_bytes(bytes[20..24].try_into().unwrap())
    };
    assert_eq!(valid(Some(LeaseTime::Seconds(7200))), 7200);
    assert_eq!(valid(Some(LeaseTime::Seconds(120))), 1800);
    assert_eq!(valid(Some(LeaseTime::Infinite)), u32::MAX);
}

#[test]
fn the_bridges_own_link_local_address_is_the_resolver() {
    let own: Ipv6Addr = "fe80::42".parse().unwrap();
    let bytes = advertised(|spec| spec.ra.iter_mut().for_each(|ra| ra.link_local = Some(own)));
    assert_eq!(bytes[bytes.len() - 16..], own.octets());
}

#[test]
fn an_answer_goes_to_who_asked() {
    let mut advertiser = advertiser(|_| ());
    assert_eq!(sent(&solicit(&mut advertiser, at(0), "fe80::9")).0, "[fe80::9%7]:0");
    assert_eq!(sent(&solicit(&mut advertiser, at(0), "::")).0, "[ff02::1%7]:0");
}

#[test]
fn answers_are_limited() {
    let mut advertiser = advertiser(|_| ());
    let n_sent = |advertiser: &mut Advertiser, now, source| {
        (0..20).map(|_| solicit(advertiser, at(now), source).datagrams.len()).sum::<usize>()
    };
    assert_eq!(n_sent(&mut advertiser, 0, "fe80::9"), 10);
    assert_eq!(n_sent(&mut advertiser, 1, "fe80::9"), 10);
    advertiser.next = at(500).boot;
    assert_eq!(n_sent(&mut advertiser, 1, "::"), 1);
    assert_eq!(advertiser.deadline(), at(4).boot);
    assert_eq!(n_sent(&mut advertiser, 4, "::"), 1);
}

#[test]
fn all_hosts_hear_often_at_first() {
    let mut advertiser = advertiser(|_| ());
    let mut rng = SmallRng::seed_from_u64(1);
    let mut times = Vec::new();
    let mut now = at(0);
    for _ in 0..40 {
        let mut out = Out::default();
        advertiser.tick(now, &mut rng, &mut out);
        if !out.is_empty() {
            assert_eq!(sent(&out).0, "[ff02::1%7]:0");
            times.push(now.boot.saturating_sub(at(0).boot));
        }
        now.boot = advertiser.deadline();
    }
    assert!(times[0] < Duration::from_secs(5));
    for (last, next) in times.iter().zip(&times[1..]) {
        let pause = (*next - *last).as_secs();
        let allowed = if *last < QUICK { 5..20 } else { 450..600 };
        assert!(allowed.contains(&pause), "{pause} s after {last:?}");
    }
    assert!(times[times.len() - 1] > Duration::from_secs(3600));
}

#[test]
fn at_the_end_nothing_is_preferred() {
    let mut out = Out::default();
    advertiser(|_| ()).farewell(&mut out);
    let (to, bytes) = sent(&out);
    assert_eq!(to, "[ff02::1%7]:0");
    assert_eq!(
        (&bytes[6..8], &bytes[20..28]),
        (&[0; 2][..], &[255, 255, 255, 255, 0, 0, 0, 0][..])
    );
}

#[test]
fn without_addresses_nothing_is_announced() {
    assert!(Advertiser::new(&spec(|spec| spec.ra = None)).is_none());
}
