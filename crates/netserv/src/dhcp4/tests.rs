use oxivirt_netserv_api::{Boot, DnsSpec, Host4, HostNames, LeaseTime, OwnAddress, Range4};
use proptest::prelude::*;
use rand::SeedableRng as _;
use rand::rngs::StdRng;
use uuid::Uuid;

use super::*;
use crate::wire::dhcp4::tests::message;
use crate::{Socket, To};

const OWN: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 1);

fn address(last: u8) -> Ipv4Addr {
    Ipv4Addr::new(10, 0, 0, last)
}

fn mac(last: u8) -> Mac {
    [2, 0, 0, 0, 0, last]
}

fn host(last: u8, name: Option<&str>, at: u8) -> Host4 {
    let name = name.map(str::to_owned);
    Host4 { mac: Some(mac(last)), client_id: None, name, address: Some(address(at)), lease: None }
}

/// A network 10.0.0.0/24 with a range.
fn spec(first: u8, last: u8) -> NetworkSpec {
    let mut spec = NetworkSpec::new(Uuid::from_u128(1), "b0", 3, [2; 6]);
    let range = Range4 { start: address(first), end: address(last), lease: None };
    spec.addresses = vec![OwnAddress { address: OWN.into(), prefix: 24, local_ptr: false }];
    spec.domain = Some("example.org".to_owned());
    spec.dns = Some(DnsSpec::default());
    spec.dhcp4 = Some(Dhcp4Spec { ranges: vec![range], ..Dhcp4Spec::new(OWN, 24) });
    spec
}

/// A server with its clock.
struct World {
    server: Dhcp4,
    now: Now,
    rng: StdRng,
}

/// A reply as a client reads it.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Read {
    bytes: Vec<u8>,
    datagram: crate::Datagram,
}

impl Read {
    fn of(datagram: crate::Datagram) -> Self {
        let skip = if datagram.socket == Socket::Link { 28 } else { 0 };
        Self { bytes: datagram.bytes[skip..].to_vec(), datagram }
    }

    fn kind(&self) -> u8 {
        self.option(53).map_or(0, |kind| kind[0])
    }

    fn yiaddr(&self) -> Ipv4Addr {
        let octets: [u8; 4] = self.bytes[16..20].try_into().unwrap();
        octets.into()
    }

    fn order(&self) -> Vec<u8> {
        let mut order = Vec::new();
        let mut rest = &self.bytes[240..];
        while rest[0] != 255 {
            order.push(rest[0]);
            rest = &rest[2 + usize::from(rest[1])..];
        }
        order
    }

    fn option(&self, number: u8) -> Option<Vec<u8>> {
        let mut rest = &self.bytes[240..];
        while rest[0] != 255 {
            let end = 2 + usize::from(rest[1]);
            if rest[0] == number {
                return Some(rest[2..end].to_vec());
            }
            rest = &rest[end..];
        }
        None
    }

    fn time(&self) -> u32 {
        u32::from_be_bytes(self.option(51).unwrap().try_into().unwrap())
    }
}

impl World {
    fn new(spec: &NetworkSpec) -> Self {
        let now = Now::new(Duration::from_secs(1000), 1_700_000_000);
        Self { server: Dhcp4::new(spec).unwrap(), now, rng: StdRng::seed_from_u64(1) }
    }

    fn pass(&mut self, time: Duration) {
        let boot = self.now.boot + time;
        self.now = Now::new(boot, 1_699_999_000 + boot.as_secs());
    }

    fn handle(&mut self, bytes: &[u8]) -> Out {
        let mut out = Out::default();
        let packet = Packet {
            socket: Socket::Dhcp4,
            source: "0.0.0.0:68".parse().unwrap(),
            destination: None,
            ifindex: 3,
            hop_limit: None,
            bytes,
        };
        self.server.handle(self.now, &packet, &mut self.rng, &mut out);
        out
    }

    fn tick(&mut self) -> Out {
        let mut out = Out::default();
        self.server.tick(self.now, &mut self.rng, &mut out);
        out
    }

    /// The reply to a message, after probes if it needs one.
    fn ask(&mut self, bytes: &[u8]) -> Option<Read> {
        let mut out = self.handle(bytes);
        if !out.probes.is_empty() {
            assert!(out.datagrams.is_empty());
            self.pass(PROBE);
            out = self.tick();
        }
        out.datagrams.pop().map(Read::of)
    }

    fn discover(&mut self, last: u8, options: &[(u8, &[u8])]) -> Option<Read> {
        self.ask(&message(mac(last), &[&[(53, &[1][..])], options].concat()))
    }

    fn select(&mut self, last: u8, wanted: Ipv4Addr, options: &[(u8, &[u8])]) -> Option<Read> {
        let (wanted, own) = (wanted.octets(), OWN.octets());
        let first: [(u8, &[u8]); 3] = [(53, &[3]), (50, &wanted), (54, &own)];
        self.ask(&message(mac(last), &[&first, options].concat()))
    }

    /// A lease in four messages.
    fn lease(&mut self, last: u8, options: &[(u8, &[u8])]) -> Ipv4Addr {
        let offer = self.discover(last, options).unwrap();
        assert_eq!(offer.kind(), 2);
        let ack = self.select(last, offer.yiaddr(), options).unwrap();
        assert_eq!((ack.kind(), ack.yiaddr()), (5, offer.yiaddr()));
        ack.yiaddr()
    }

    fn renew(&mut self, last: u8, at: Ipv4Addr) -> Option<Read> {
        let mut bytes = message(mac(last), &[(53, &[3])]);
        bytes[12..16].copy_from_slice(&at.octets());
        self.ask(&bytes)
    }
}

fn nak(text: &str) -> impl Fn(Option<Read>) {
    let text = text.to_owned();
    move |read| {
        let read = read.unwrap();
        assert_eq!(read.kind(), 6);
        assert_eq!(read.option(56).unwrap(), text.as_bytes());
        assert_eq!(read.order(), [53, 54, 56]);
        assert_eq!((read.bytes[10], read.yiaddr()), (0x80, Ipv4Addr::UNSPECIFIED));
        assert_eq!(read.datagram.to, To::Ip("255.255.255.255:68".parse().unwrap()));
    }
}

#[test]
fn options_and_their_order() {
    let mut spec = spec(10, 20);
    spec.mtu_option = Some(1400);
    let mut world = World::new(&spec);
    let read = world.discover(1, &[(12, b"alpha"), (81, &[1, 0, 0, b'a'])]).unwrap();
    assert_eq!(read.order(), [53, 54, 51, 58, 59, 1, 28, 3, 6, 15, 12, 81, 26]);
    assert_eq!(read.time(), 3600);
    assert_eq!(read.bytes[20..24], OWN.octets());
    assert_eq!(read.option(81).unwrap(), b"\x01\xff\xffa.example.org");
    // A name that only option 12 has is not in the offer.
    let read = world.discover(1, &[(12, b"alpha"), (55, &[3])]).unwrap();
    assert_eq!(read.order(), [53, 54, 51, 58, 59, 1, 28, 3]);
    let read = world.select(1, read.yiaddr(), &[(12, b"alpha"), (55, &[12])]).unwrap();
    assert_eq!(read.order(), [53, 54, 51, 58, 59, 1, 28, 12]);
}

#[test]
fn an_isolated_network_has_no_router() {
    let mut spec = spec(10, 20);
    (spec.is_forwarded, spec.dns, spec.domain) = (false, None, None);
    spec.dhcp4.as_mut().unwrap().boot =
        Some(Boot { file: "pxelinux.0".to_owned(), server: Some(address(5)) });
    let read = World::new(&spec).discover(1, &[]).unwrap();
    assert_eq!(read.order(), [53, 54, 51, 58, 59, 1, 28]);
    assert_eq!(&read.bytes[108..119], b"pxelinux.0\0");
    assert_eq!(read.bytes[20..24], address(5).octets());
}

#[test]
fn the_way_of_a_reply() {
    let mut world = World::new(&spec(10, 20));
    let read = world.discover(1, &[]).unwrap();
    assert_eq!(read.datagram.to, To::Link(mac(1)));
    let mut bytes = message(mac(1), &[(53, &[1]), (82, b"\x01\x01x")]);
    bytes[10] = 0x80;
    let read = world.ask(&bytes).unwrap();
    assert_eq!(read.datagram.to, To::Ip("255.255.255.255:68".parse().unwrap()));
    assert_eq!((read.bytes[10], *read.order().last().unwrap()), (0x80, 82));
    bytes[24..28].copy_from_slice(&address(9).octets());
    let read = world.ask(&bytes).unwrap();
    assert_eq!(read.datagram.to, To::Ip("10.0.0.9:67".parse().unwrap()));
    bytes[24..28].copy_from_slice(&[10, 0, 1, 9]);
    assert!(world.ask(&bytes).is_none());
    let at = world.lease(2, &[]);
    let read = world.renew(2, at).unwrap();
    assert_eq!(read.datagram.to, To::Ip(SocketAddr::new(at.into(), 68)));
}

#[test]
fn the_first_address_is_that_of_dnsmasq() {
    // Addresses that dnsmasq's hash gives in a range of 245, computed by hand with 32-bit arithmetic.
    let mut world = World::new(&spec(10, 254));
    let offered: Vec<Ipv4Addr> =
        (1..4).map(|last| world.discover(last, &[]).unwrap().yiaddr()).collect();
    let expect = |last: u8| {
        let bytes = mac(last).map(u64::from);
        let hash = bytes.iter().fold(0_u64, |hash, byte| (byte + hash * 65_599) % (1 << 32));
        address(10 + u8::try_from(hash % 245).unwrap())
    };
    assert_eq!(offered, [expect(1), expect(2), expect(3)]);
}

#[test]
fn offers_are_reserved() {
    let mut world = World::new(&spec(10, 11));
    let first = world.discover(1, &[]).unwrap().yiaddr();
    let second = world.discover(2, &[(50, &first.octets())]).unwrap().yiaddr();
    assert_ne!(first, second);
    assert!(world.discover(3, &[]).is_none());
    world.pass(Duration::from_secs(30));
    assert!(world.discover(3, &[]).is_some());
}

#[test]
fn a_reservation_is_for_its_client() {
    let mut spec = spec(10, 13);
    let by_name = Host4 { mac: None, ..host(0, Some("printer"), 11) };
    spec.dhcp4.as_mut().unwrap().hosts = vec![host(7, Some("web"), 200), by_name];
    let mut world = World::new(&spec);
    assert_eq!(world.lease(7, &[(12, b"other")]), address(200));
    let names: Vec<_> = world.server.leases().map(|lease| lease.hostname.clone()).collect();
    assert_eq!(names, [Some("web".to_owned())]);
    assert_eq!(world.lease(8, &[(12, b"printer")]), address(11));
    // Neither a fixed address nor its name is given.
    let others = [world.lease(1, &[(12, b"web")]), world.lease(2, &[])];
    assert!(!others.contains(&address(11)));
    // The client hears its name again all the same, and a host known by its name is offered none.
    let again = world.select(1, others[0], &[(12, b"web")]).unwrap();
    assert_eq!(again.option(12).unwrap(), b"web");
    assert_eq!(world.discover(8, &[(12, b"printer")]).unwrap().option(12), None);
    assert_eq!(world.server.pool.table().of_name("web").count(), 1);
    nak("address reserved")(world.select(3, address(11), &[]));
    let bytes = message(mac(7), &[(53, &[3]), (50, &address(10).octets())]);
    nak("wrong address")(world.ask(&bytes));
}

#[test]
fn states_of_a_request() {
    let mut world = World::new(&spec(10, 20));
    let at = world.lease(1, &[]);
    let reboot = |last, at: Ipv4Addr| message(mac(last), &[(53, &[3]), (50, &at.octets())]);
    assert_eq!(world.ask(&reboot(1, at)).unwrap().kind(), 5);
    nak("wrong address")(world.ask(&reboot(1, address(99))));
    nak("wrong network")(world.ask(&reboot(2, [10, 9, 0, 1].into())));
    nak("address not available")(world.ask(&reboot(2, address(99))));
    nak("address not available")(world.ask(&reboot(2, OWN)));
    nak("address in use")(world.ask(&reboot(2, at)));
    let free = (10..=20).map(address).find(|free| *free != at).unwrap();
    assert_eq!(world.ask(&reboot(2, free)).unwrap().kind(), 5);
    // Another server: silence if it may exist.
    let foreign = |server: Ipv4Addr| {
        message(mac(1), &[(53, &[3]), (50, &at.octets()), (54, &server.octets())])
    };
    assert!(world.ask(&foreign([192, 0, 2, 1].into())).is_none());
    nak("wrong server-ID")(world.ask(&foreign(address(2))));
    // A client that renews another's address hears nothing unless it asked us alone.
    assert!(world.renew(1, free).is_none());
    assert_eq!(world.renew(1, at).unwrap().kind(), 5);
}

#[test]
fn lease_times() {
    let mut spec = spec(10, 20);
    let mut world = World::new(&spec);
    for (asked, given) in [(60, 120), (300, 300), (1_000_000, 3600), (u32::MAX, 3600)] {
        let read = world.discover(1, &[(51, &u32::to_be_bytes(asked))]).unwrap();
        assert_eq!(read.time(), given);
    }
    spec.dhcp4.as_mut().unwrap().ranges[0].lease = Some(LeaseTime::Infinite);
    let mut world = World::new(&spec);
    let read = world.discover(1, &[]).unwrap();
    assert_eq!((read.time(), read.option(58)), (u32::MAX, None));
    assert_eq!(world.discover(1, &[(51, &[0, 0, 2, 0])]).unwrap().time(), 512);
}

#[test]
fn a_conflict_gives_the_next_address() {
    let mut world = World::new(&spec(10, 20));
    let mut out = world.handle(&message(mac(1), &[(53, &[1])]));
    let mut tried = Vec::new();
    while let Some(probe) = out.probes.pop() {
        tried.push(probe.address);
        out = Out::default();
        world.server.conflict(world.now, probe.address, mac(99), &mut world.rng, &mut out);
        assert_eq!(out.events[0], Event::Conflict(probe.address.into(), Some(mac(99))));
    }
    assert_eq!(tried.len(), usize::from(MAX_TRIES));
    assert!(out.datagrams.is_empty());
    let later = world.discover(1, &[]).unwrap().yiaddr();
    assert!(!tried.contains(&later));
    // Its own answer is no conflict.
    let mut world = World::new(&spec(10, 20));
    let out = world.handle(&message(mac(1), &[(53, &[1])]));
    let probe = out.probes[0];
    world.server.conflict(world.now, probe.address, mac(1), &mut world.rng, &mut Out::default());
    world.pass(PROBE);
    assert_eq!(Read::of(world.tick().datagrams.pop().unwrap()).yiaddr(), probe.address);
}

#[test]
fn a_client_that_repeats_itself_is_answered_in_time() {
    let mut world = World::new(&spec(10, 20));
    let bytes = message(mac(1), &[(53, &[1])]);
    world.handle(&bytes);
    world.pass(PROBE / 2);
    assert!(world.handle(&bytes).probes.is_empty());
    world.pass(PROBE / 2);
    assert_eq!(world.tick().datagrams.len(), 1);
}

#[test]
fn decline_and_release() {
    let mut world = World::new(&spec(10, 20));
    let at = world.lease(1, &[]);
    let own = OWN.octets();
    world.handle(&message(mac(1), &[(53, &[4]), (54, &own), (50, &at.octets())]));
    let next = world.lease(1, &[]);
    assert_ne!(next, at);
    // Another client cannot decline it.
    world.handle(&message(mac(2), &[(53, &[4]), (54, &own), (50, &next.octets())]));
    assert_eq!(world.server.leases().count(), 1);
    let mut release = message(mac(1), &[(53, &[7]), (54, &own)]);
    release[12..16].copy_from_slice(&next.octets());
    let out = world.handle(&release);
    assert_eq!(out.records, [Record::Release(next.into())]);
    assert_eq!(world.server.leases().count(), 0);
    assert_eq!(world.discover(1, &[]).unwrap().yiaddr(), next);
}

#[test]
fn identifiers() {
    let mut world = World::new(&spec(10, 40));
    let at = world.lease(1, &[(61, b"\0id")]);
    assert_eq!(world.discover(2, &[(61, b"\0id")]).unwrap().yiaddr(), at);
    // A lease without identifier is that of the same MAC with one.
    let plain = world.lease(3, &[]);
    assert_eq!(world.discover(3, &[(61, b"\0x")]).unwrap().yiaddr(), plain);
    // One MAC cannot take them all.
    for id in 0..20 {
        world.pass(Duration::from_secs(1));
        world.lease(4, &[(61, &[0, id])]);
    }
    assert_eq!(world.server.pool.table().of_mac(mac(4)).count(), MAX_LEASES_PER_MAC);
}

#[test]
fn inform_and_bootp() {
    let mut spec = spec(10, 20);
    spec.dhcp4.as_mut().unwrap().hosts = vec![host(7, Some("web"), 30)];
    let mut world = World::new(&spec);
    let mut inform = message(mac(1), &[(53, &[8])]);
    inform[12..16].copy_from_slice(&address(77).octets());
    let read = world.ask(&inform).unwrap();
    assert_eq!((read.kind(), read.yiaddr()), (5, Ipv4Addr::UNSPECIFIED));
    assert_eq!(read.order(), [53, 54, 1, 28, 3, 6, 15]);
    let bootp = |last| message(mac(last), &[]);
    assert!(world.ask(&bootp(1)).is_none());
    let read = world.ask(&bootp(7)).unwrap();
    assert_eq!((read.yiaddr(), read.bytes.len()), (address(30), 300));
    assert_eq!(read.order(), [1, 28, 3, 6, 15, 12]);
    assert_eq!(world.server.leases().next().unwrap().deadline, None);
}

#[test]
fn names_of_the_definition_come_first() {
    let mut spec = spec(10, 20);
    let names = vec!["www.example.org".to_owned()];
    spec.dns.as_mut().unwrap().hosts = vec![HostNames { address: address(10).into(), names }];
    let mut world = World::new(&spec);
    world.select(1, address(10), &[(12, b"mine")]).unwrap();
    let lease = world.server.leases().next().unwrap();
    assert_eq!((lease.hostname.as_deref(), lease.resolves), (Some("www"), true));
    world.select(2, address(11), &[(12, b"www")]).unwrap();
    let lease = world.server.leases().nth(1).unwrap();
    assert!(!lease.resolves);
    // The newest client of a name has it.
    world.select(3, address(12), &[(12, b"n.example.com")]).unwrap();
    world.select(4, address(13), &[(12, b"N")]).unwrap();
    let of = |world: &World, last| world.server.pool.lease_at(address(last)).unwrap().clone();
    assert_eq!((of(&world, 12).hostname, of(&world, 13).hostname), (None, Some("N".to_owned())));
}

#[test]
fn leases_end_and_are_restored() {
    let mut world = World::new(&spec(10, 20));
    let at = world.lease(1, &[]);
    let infos: Vec<LeaseInfo> = world.server.leases().map(|lease| lease.info(world.now)).collect();
    world.pass(Duration::from_secs(3599));
    assert!(world.tick().records.is_empty());
    world.pass(Duration::from_secs(1));
    assert_eq!(world.tick().records, [Record::Release(at.into())]);
    assert_eq!(world.server.deadline(), None);

    let mut later = World::new(&spec(10, 20));
    later.server.restore(infos.clone(), [(address(11).into(), later.now.unix + 9)], later.now);
    assert_eq!(later.discover(1, &[]).unwrap().yiaddr(), at);
    // A lease of another day is not believed.
    let far = infos.into_iter().map(|info| LeaseInfo { expiry: Some(1_800_000_000), ..info });
    let mut later = World::new(&spec(10, 20));
    later.server.restore(far, [], later.now);
    let deadline = later.server.leases().next().unwrap().deadline.unwrap();
    assert_eq!(deadline - later.now.boot, Duration::from_secs(3600));
}

/// What a client of the model does.
#[derive(Debug, Clone)]
enum Step {
    Discover(u8, u8),
    Select(u8, u8),
    Reboot(u8, u8),
    Renew(u8),
    Release(u8),
    Decline(u8),
    Conflict,
    Pass(u16),
}

fn step() -> impl Strategy<Value = Step> {
    let client = 0_u8..6;
    let last = 8_u8..16;
    prop_oneof![
        (client.clone(), last.clone()).prop_map(|(client, last)| Step::Discover(client, last)),
        (client.clone(), last.clone()).prop_map(|(client, last)| Step::Select(client, last)),
        (client.clone(), last).prop_map(|(client, last)| Step::Reboot(client, last)),
        client.clone().prop_map(Step::Renew),
        client.clone().prop_map(Step::Release),
        client.prop_map(Step::Decline),
        Just(Step::Conflict),
        prop_oneof![Just(1_u16), Just(31), Just(700), Just(1900), Just(3601)].prop_map(Step::Pass),
    ]
}

/// What the clients believe to have: address and end, by client.
type Beliefs = BTreeMap<u8, (Ipv4Addr, Duration)>;

/// Takes what a server did to the model: replies to clients, in the order in which they leave.
fn observe(world: &World, out: &Out, beliefs: &mut Beliefs) {
    for datagram in &out.datagrams {
        let read = Read::of(datagram.clone());
        let client = read.bytes[33];
        match read.kind() {
            5 => {
                let at = read.yiaddr();
                let record = out.records.iter().any(|record| match record {
                    Record::Grant(info) => info.address == at && datagram.after_records,
                    Record::Renew(address, _) => *address == at,
                    _ => false,
                });
                assert!(record, "an ACK of {at} without a record");
                let end = world.now.boot + Duration::from_secs(u64::from(read.time()));
                beliefs.insert(client, (at, end));
            }
            6 => {
                beliefs.remove(&client);
            }
            _ => {}
        }
    }
    for (client, (at, end)) in &*beliefs {
        for (other, (other_at, other_end)) in beliefs.range(..client) {
            let both = *end > world.now.boot && *other_end > world.now.boot;
            assert!(!both || at != other_at, "{client} and {other} both have {at}");
        }
        if *end > world.now.boot {
            let lease = world.server.pool.lease_at(*at).unwrap();
            assert_eq!(lease.mac, Some(mac(*client)), "{at}");
        }
    }
}

/// The message of a step; clients give up what they ask to replace.
fn message_of(step: &Step, beliefs: &mut Beliefs) -> Option<Vec<u8>> {
    let own = OWN.octets();
    let id = |client: &u8| [0, *client];
    let with = |client: &u8, options: &[(u8, &[u8])]| {
        let id = id(client);
        // Every second client has an identifier.
        let ids: &[(u8, &[u8])] = if client.is_multiple_of(2) { &[] } else { &[(61, &id)] };
        message(mac(*client), &[options, ids].concat())
    };
    Some(match step {
        Step::Discover(client, last) => with(client, &[(53, &[1]), (50, &address(*last).octets())]),
        Step::Select(client, last) => {
            beliefs.remove(client);
            with(client, &[(53, &[3]), (50, &address(*last).octets()), (54, &own)])
        }
        Step::Reboot(client, last) => with(client, &[(53, &[3]), (50, &address(*last).octets())]),
        Step::Renew(client) => {
            let (at, _) = beliefs.get(client)?;
            let mut bytes = with(client, &[(53, &[3])]);
            bytes[12..16].copy_from_slice(&at.octets());
            bytes
        }
        Step::Release(client) => {
            let (at, _) = beliefs.remove(client)?;
            let mut bytes = with(client, &[(53, &[7]), (54, &own)]);
            bytes[12..16].copy_from_slice(&at.octets());
            bytes
        }
        Step::Decline(client) => {
            let (at, _) = beliefs.remove(client)?;
            with(client, &[(53, &[4]), (54, &own), (50, &at.octets())])
        }
        Step::Conflict | Step::Pass(_) => return None,
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    /// No two clients believe to have one address, every ACK has its record, and records alone restore the leases.
    #[test]
    fn random_histories(steps in proptest::collection::vec(step(), 1..60)) {
        let mut spec = spec(9, 13);
        spec.dhcp4.as_mut().unwrap().hosts = vec![host(5, Some("fixed"), 14), host(4, None, 10)];
        let mut world = World::new(&spec);
        let mut beliefs = Beliefs::new();
        let mut journal = BTreeMap::new();
        let mut probes = Vec::new();
        for step in steps {
            let mut out = match (&step, message_of(&step, &mut beliefs)) {
                (_, Some(bytes)) => world.handle(&bytes),
                (Step::Conflict, None) => {
                    let mut out = Out::default();
                    if let Some(Probe { address, .. }) = probes.pop() {
                        world.server.conflict(world.now, address, mac(99), &mut world.rng, &mut out);
                    }
                    out
                }
                (Step::Pass(seconds), None) => {
                    world.pass(Duration::from_secs(u64::from(*seconds)));
                    world.tick()
                }
                _ => continue,
            };
            observe(&world, &out, &mut beliefs);
            probes.append(&mut out.probes);
            for record in out.records {
                crate::lease::apply(&mut journal, record);
            }
            let leases: Vec<LeaseInfo> = world.server.leases().map(|lease| lease.info(world.now)).collect();
            let recorded: Vec<LeaseInfo> = journal.values().cloned().collect();
            prop_assert_eq!(&leases, &recorded);
        }
    }
}
