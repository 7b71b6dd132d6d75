use oxivirt_netserv_api::{DnsSpec, Host6, LeaseTime, Range6};
use proptest::prelude::*;
use rand::SeedableRng as _;
use rand::rngs::SmallRng;
use uuid::Uuid;

use super::*;

const CLIENT: &str = "fe80::5054:ff:fe00:9";

/// A server of fd00::10 to fd00::ff in `lan.test`, with one fixed host of each kind.
struct Bench {
    server: Dhcp6,
    now: u64,
    seed: u64,
}

fn address(text: &str) -> Ipv6Addr {
    text.parse().unwrap()
}

fn bench(change: impl FnOnce(&mut NetworkSpec, &mut Dhcp6Spec)) -> Bench {
    let mut spec = NetworkSpec::new(Uuid::nil(), "virbr0", 7, [2, 0, 0, 0, 0, 1]);
    spec.domain = Some("lan.test".to_owned());
    spec.dns = Some(DnsSpec::default());
    let host = |duid: Option<&[u8]>, name: Option<&str>, ip: &str| Host6 {
        duid: duid.map(<[u8]>::to_vec),
        name: name.map(ToOwned::to_owned),
        address: Some(address(ip)),
        lease: None,
    };
    let mut dhcp = Dhcp6Spec {
        address: address("fd00::1"),
        prefix: 64,
        ranges: vec![Range6 { start: address("fd00::10"), end: address("fd00::ff"), lease: None }],
        hosts: vec![
            host(Some(b"\0\x04fixed"), Some("fixed"), "fd00::20"),
            host(None, Some("named"), "fd00::2:21"),
        ],
    };
    change(&mut spec, &mut dhcp);
    spec.dhcp6 = Some(dhcp);
    let mut out = Out::default();
    let now = Now::new(Duration::from_secs(1000), 1_700_000_000);
    let server = Dhcp6::new(&spec, None, now, &mut out).unwrap();
    assert_eq!(out.records, [Record::Duid(server.duid.clone())]);
    Bench { server, now: 0, seed: 1 }
}

fn message(kind: u8, options: impl FnOnce(&mut Writer)) -> Vec<u8> {
    let mut writer = Writer::new(kind, [1, 2, 3]);
    options(&mut writer);
    writer.finish()
}

/// Options of a client: its DUID and one association with addresses.
fn ia_na(writer: &mut Writer, duid: &[u8], iaid: u32, addresses: &[&str]) {
    writer.option(option::CLIENT_ID, |value| value.put(duid));
    put_ia(writer, option::IA_NA, iaid, addresses);
}

fn put_ia(writer: &mut Writer, code: u16, iaid: u32, addresses: &[&str]) {
    writer.option(code, |value| {
        value.put(&iaid.to_be_bytes());
        value.put(&[0; 8][..if code == option::IA_TA { 0 } else { 8 }]);
        addresses.iter().for_each(|ip| value.address(address(ip), 0, 0));
    });
}

impl Bench {
    fn send(&mut self, bytes: &[u8]) -> Out {
        self.send_to(bytes, Some(address("ff02::1:2").into()))
    }

    fn send_to(&mut self, bytes: &[u8], destination: Option<IpAddr>) -> Out {
        self.send_from(CLIENT, bytes, destination)
    }

    fn send_from(&mut self, source: &str, bytes: &[u8], destination: Option<IpAddr>) -> Out {
        let source = SocketAddr::new(source.parse().unwrap(), 546);
        let packet = Packet {
            socket: Socket::Dhcp6,
            source,
            destination,
            ifindex: 7,
            hop_limit: None,
            bytes,
        };
        let mut out = Out::default();
        self.seed += 1;
        let mut rng = SmallRng::seed_from_u64(self.seed);
        self.server.handle(self.time(), &packet, &mut rng, &mut out);
        out
    }

    fn time(&self) -> Now {
        Now::new(Duration::from_secs(1000 + self.now), 1_700_000_000 + self.now)
    }

    fn to_server(&self, kind: u8, options: impl FnOnce(&mut Writer)) -> Vec<u8> {
        message(kind, |writer| {
            writer.option(option::SERVER_ID, |value| value.put(&self.server.duid));
            options(writer);
        })
    }

    /// Leases addresses by rapid commit and yields the reply.
    fn lease(&mut self, duid: &[u8], hints: &[&str]) -> String {
        let bytes = message(kind::SOLICIT, |writer| {
            writer.option(option::RAPID_COMMIT, |_| ());
            ia_na(writer, duid, 1, hints);
        });
        text(&self.send(&bytes))
    }

    fn leases(&self) -> Vec<String> {
        let leases = self.server.leases();
        leases.map(|l| format!("{} {}", l.address, l.hostname.as_deref().unwrap_or("-"))).collect()
    }
}

/// The options of a message as text, without the DUIDs.
fn options(options: Options<'_>, text: &mut Vec<String>) {
    for (code, value) in options.iter() {
        let number = |at: usize| u32::from_be_bytes(value[at..at + 4].try_into().unwrap());
        let named = match code {
            option::CLIENT_ID | option::SERVER_ID => continue,
            option::IA_NA | option::IA_TA | option::IA_PD => {
                let fixed = if code == option::IA_TA { 4 } else { 12 };
                let name = ["na", "ta", "pd"]
                    [if code == option::IA_PD { 2 } else { usize::from(code) - 3 }];
                let mut inner = Vec::new();
                self::options(Options::new(&value[fixed..]).unwrap(), &mut inner);
                let timers = if fixed == 12 {
                    format!(" {}/{}", number(4), number(8))
                } else {
                    String::new()
                };
                format!("{name}{}{timers}({})", number(0), inner.join(" "))
            }
            option::IA_ADDR => {
                let ip = Ipv6Addr::from(<[u8; 16]>::try_from(&value[..16]).unwrap());
                format!("{ip}={}/{}", number(16), number(20))
            }
            option::STATUS => {
                format!("{}:{}", value[1], String::from_utf8_lossy(&value[2..]).replace(' ', "_"))
            }
            option::PREFERENCE => format!("preference{}", value[0]),
            option::RAPID_COMMIT => "rapid".to_owned(),
            option::DNS_SERVERS => {
                format!("dns={}", Ipv6Addr::from(<[u8; 16]>::try_from(value).unwrap()))
            }
            option::REFRESH_TIME => format!("refresh{}", number(0)),
            option::FQDN => format!("fqdn{}={}", value[0], value[1..].escape_ascii()),
            other => panic!("option {other}"),
        };
        text.push(named);
    }
}

/// The only answer of `out` as text.
#[track_caller]
fn text(out: &Out) -> String {
    let [datagram] = &out.datagrams[..] else { panic!("{out:?}") };
    assert_eq!(datagram.socket, Socket::Dhcp6);
    let To::Ip(to) = datagram.to else { panic!("{out:?}") };
    assert_eq!(to.to_string(), format!("[{CLIENT}%7]:546"));
    assert_eq!(datagram.after_records, !out.records.is_empty());
    let view = View::new(&datagram.bytes).unwrap();
    assert_eq!(view.transaction, [1, 2, 3]);
    let mut all = vec![match view.kind {
        kind::ADVERTISE => "advertise".to_owned(),
        kind::REPLY => "reply".to_owned(),
        other => panic!("message {other}"),
    }];
    options(view.options, &mut all);
    all.join(" ")
}

const DUID: &[u8] = b"\0\x03\0\x01\x52\x54\0\0\0\x09";

#[test]
fn the_duid_is_of_time_and_bridge() {
    let server = bench(|_, _| ()).server;
    let seconds = u32::try_from(1_700_000_000 - DUID_EPOCH).unwrap().to_be_bytes();
    assert_eq!(server.duid, [&[0, 1, 0, 1], &seconds[..], &[2, 0, 0, 0, 0, 1]].concat());
    let spec = NetworkSpec::new(Uuid::nil(), "b", 1, [0; 6]);
    assert!(Dhcp6::new(&spec, None, Now::new(Duration::ZERO, 0), &mut Out::default()).is_none());
}

#[test]
fn an_address_is_offered_and_given() {
    let mut bench = bench(|_, _| ());
    let solicit = message(kind::SOLICIT, |writer| {
        ia_na(writer, DUID, 7, &[]);
        writer.option(option::ORO, |value| value.put(&[0, 23, 0, 24]));
    });
    let offer = text(&bench.send(&solicit));
    let ip = offer.split('(').nth(1).unwrap().split('=').next().unwrap().to_owned();
    assert_eq!(
        offer,
        format!("advertise na7 43200/75600({ip}=86400/86400) 0:success preference0 dns=fd00::1")
    );
    assert_eq!(text(&bench.send(&solicit)), offer);
    assert!(bench.leases().is_empty());
    let request = bench.to_server(kind::REQUEST, |writer| ia_na(writer, DUID, 7, &[&ip]));
    let out = bench.send(&request);
    assert_eq!(
        text(&out),
        format!("reply na7 43200/75600({ip}=86400/86400) 0:success dns=fd00::1")
    );
    let [Record::Grant(info)] = &out.records[..] else { panic!("{out:?}") };
    assert_eq!(info.mac, Some([0x52, 0x54, 0, 0, 0, 9]));
    assert_eq!((info.client_id.as_deref(), info.iaid), (Some(DUID), Some(7)));
    assert_eq!(info.expiry, Some(1_700_086_400));
    assert_eq!(out.events, [Event::Added(info.clone())]);
    assert_eq!(bench.leases(), [format!("{ip} -")]);
}

#[test]
fn an_offer_is_for_one_client_only() {
    let mut bench = bench(|_, dhcp| dhcp.ranges[0].end = dhcp.ranges[0].start);
    let solicit = |duid: &[u8]| message(kind::SOLICIT, |writer| ia_na(writer, duid, 1, &[]));
    assert!(text(&bench.send(&solicit(DUID))).contains("fd00::10="));
    let none = "advertise na1 0/0(2:no_addresses_available) 2:no_addresses_available \
                preference0 dns=fd00::1";
    let out = bench.send(&solicit(b"\0\x04other"));
    assert_eq!(text(&out), none);
    assert_eq!(out.events, [Event::PoolFull]);
    bench.now += 30;
    assert!(text(&bench.send(&solicit(b"\0\x04other"))).contains("fd00::10="));
}

#[test]
fn the_kernel_knows_ethernet_addresses() {
    let mut bench = bench(|_, _| ());
    let solicit = message(kind::SOLICIT, |writer| {
        writer.option(option::RAPID_COMMIT, |_| ());
        ia_na(writer, b"\0\x04uuid", 1, &["fd00::42"]);
    });
    let private = "fe80::1234:5678:9abc:def0";
    let out = bench.send_from(private, &solicit, Some(address("ff02::1:2").into()));
    assert_eq!(out.neighbours, [address(private)]);
    let lease = |bench: &Bench| bench.server.leases().next().unwrap().mac;
    assert_eq!(lease(&bench), None);
    let (mac, mut out) = ([2, 0, 0, 0, 0, 0x42], Out::default());
    bench.server.neighbour(bench.time(), address("fe80::99"), [2; 6], &mut out);
    assert!(out.is_empty());
    bench.server.neighbour(bench.time(), address(private), mac, &mut out);
    assert_eq!((out.records.len(), out.events.len()), (1, 1));
    assert_eq!(lease(&bench), Some(mac));
    // From now on it is known.
    let out = bench.send_from(private, &solicit, Some(address("ff02::1:2").into()));
    assert!(out.neighbours.is_empty() && out.events.is_empty(), "{out:?}");
    // That of the link-local address needs no question.
    assert!(bench.send(&solicit).neighbours.is_empty());
}

#[test]
fn rapid_commit_needs_two_messages_only() {
    let mut bench = bench(|_, _| ());
    let reply = bench.lease(DUID, &["fd00::42"]);
    assert_eq!(reply, "reply rapid na1 43200/75600(fd00::42=86400/86400) 0:success dns=fd00::1");
    assert_eq!(bench.leases(), ["fd00::42 -"]);
    // A hint that another client has is not followed.
    assert!(!bench.lease(b"\0\x04other", &["fd00::42"]).contains("fd00::42="));
    // The same client has what it had.
    assert!(bench.lease(DUID, &["fd00::43"]).contains("(fd00::42="));
}

#[test]
fn each_association_has_an_address() {
    let mut bench = bench(|_, _| ());
    let out = bench.send(&message(kind::SOLICIT, |writer| {
        ia_na(writer, DUID, 1, &["fd00::30"]);
        put_ia(writer, option::IA_NA, 2, &["fd00::30", "fd00::31"]);
        put_ia(writer, option::IA_TA, 3, &["fd00::32"]);
        put_ia(writer, option::IA_PD, 4, &[]);
    }));
    assert_eq!(
        text(&out),
        "advertise na1 43200/75600(fd00::30=86400/86400) na2 43200/75600(fd00::31=86400/86400) \
         ta3(fd00::32=86400/86400) pd4 0/0(6:no_prefixes_available) 0:success preference0 \
         dns=fd00::1"
    );
}

#[test]
fn fixed_hosts_are_found_by_duid_and_by_name() {
    let mut bench = bench(|_, _| ());
    assert!(bench.lease(b"\0\x04fixed", &["fd00::50"]).contains("(fd00::20="));
    let named = message(kind::SOLICIT, |writer| {
        writer.option(option::RAPID_COMMIT, |_| ());
        ia_na(writer, DUID, 1, &[]);
        writer.option(option::FQDN, |value| value.put(b"\x01\x05Named\0"));
    });
    let reply = text(&bench.send(&named));
    assert!(reply.contains("(fd00::2:21="), "{reply}");
    assert!(reply.ends_with(r"fqdn1=\x05named\x03lan\x04test\x00"), "{reply}");
    assert_eq!(bench.leases(), ["fd00::20 fixed", "fd00::2:21 named"]);
    // No other client gets such an address or name.
    assert!(!bench.lease(b"\0\x04other", &["fd00::20"]).contains("fd00::20="));
}

#[test]
fn without_ranges_only_fixed_hosts_are_served() {
    let mut bench = bench(|_, dhcp| dhcp.ranges.clear());
    let none = "reply rapid na1 0/0(2:no_addresses_available) 2:no_addresses_available dns=fd00::1";
    assert_eq!(bench.lease(DUID, &[]), none);
    assert!(bench.lease(b"\0\x04fixed", &[]).contains("(fd00::20="));
}

#[test]
fn names_of_clients() {
    let lease = |bench: &mut Bench, duid: &[u8], fqdn: &[u8]| {
        let bytes = message(kind::SOLICIT, |writer| {
            writer.option(option::RAPID_COMMIT, |_| ());
            ia_na(writer, duid, 1, &[]);
            writer.option(option::FQDN, |value| value.put(fqdn));
        });
        let out = bench.send(&bytes);
        (text(&out).split("fqdn").nth(1).map(ToOwned::to_owned), out)
    };
    let mut bench = bench(|_, _| ());
    let (fqdn, out) = lease(&mut bench, b"\0\x04a", b"\x01\x05alpha\0");
    assert_eq!(fqdn.unwrap(), r"1=\x05alpha\x03lan\x04test\x00");
    let [Event::Added(info)] = &out.events[..] else { panic!("{out:?}") };
    assert_eq!((info.hostname.as_deref(), info.resolves), (Some("alpha"), true));
    // Another domain: a name, but not in DNS. The client wanted to update its record itself.
    let (fqdn, out) = lease(&mut bench, b"\0\x04b", b"\0\x04beta\x05other\0");
    assert_eq!(fqdn.unwrap(), r"3=\x04beta\x03lan\x04test\x00");
    let [Event::Added(info)] = &out.events[..] else { panic!("{out:?}") };
    assert_eq!((info.hostname.as_deref(), info.resolves), (Some("beta"), false));
    // The newest has the name; no lease gets the name of a fixed host or an illegal one.
    let (_, out) = lease(&mut bench, b"\0\x04c", b"\x01\x05ALPHA\0");
    assert_eq!(out.records.len(), 2);
    lease(&mut bench, b"\0\x04d", b"\x01\x05fixed\0");
    lease(&mut bench, b"\0\x04e", b"\x01\x03a!b\0");
    let mut names: Vec<_> =
        bench.server.leases().map(|l| l.hostname.clone().unwrap_or_default()).collect();
    names.sort();
    assert_eq!(names, ["", "", "", "ALPHA", "beta"]);
}

#[test]
fn leases_are_extended() {
    let mut bench = bench(|_, _| ());
    bench.lease(DUID, &["fd00::42"]);
    bench.now += 40_000;
    for (kind, is_to_us) in [(kind::RENEW, true), (kind::REBIND, false)] {
        let fill = |writer: &mut Writer| ia_na(writer, DUID, 1, &["fd00::42"]);
        let bytes = if is_to_us { bench.to_server(kind, fill) } else { message(kind, fill) };
        let out = bench.send(&bytes);
        let reply = text(&out);
        assert!(reply.ends_with("(fd00::42=86400/86400) dns=fd00::1"), "{reply}");
        let timers = reply.split(['(', ' ']).nth(2).unwrap().split_once('/').unwrap();
        let less =
            (43_200 - timers.0.parse::<u32>().unwrap(), 75_600 - timers.1.parse::<u32>().unwrap());
        assert!(less.0 == less.1 && (1..=5400).contains(&less.0), "{less:?}");
        let expiry = Some(1_700_126_400);
        assert_eq!(out.records, [Record::Renew(address("fd00::42").into(), expiry)]);
        assert!(out.events.is_empty());
    }
}

#[test]
fn a_client_may_wish_for_less() {
    let mut bench = bench(|_, _| ());
    let given = |bench: &mut Bench, preferred, valid| {
        let request = bench.to_server(kind::REQUEST, |writer| {
            writer.option(option::CLIENT_ID, |value| value.put(DUID));
            writer.option(option::IA_NA, |value| {
                value.put(&[0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0]);
                value.address(address("fd00::42"), preferred, valid);
            });
        });
        text(&bench.send(&request)).split(" 0:").next().unwrap().to_owned()
    };
    // As dnsmasq answers dhclient.
    let expected = "reply na1 3600/6300(fd00::42=7200/7500)";
    assert_eq!(given(&mut bench, 7200, 7500), expected);
    let deadline = bench.server.leases().next().unwrap().deadline;
    assert_eq!(deadline, Some(Duration::from_secs(8500)));
    assert_eq!(given(&mut bench, 1, 0), "reply na1 43200/75600(fd00::42=86400/86400)");
    assert_eq!(given(&mut bench, 1, 2), "reply na1 60/105(fd00::42=120/120)");
    assert_eq!(given(&mut bench, 0, 500), "reply na1 250/438(fd00::42=500/500)");
    assert_eq!(given(&mut bench, 90_000, 99_000), "reply na1 43200/75600(fd00::42=86400/86400)");
}

#[test]
fn unknown_leases_are_not_renewed_but_rebound() {
    let mut bench = bench(|_, _| ());
    let ask = |writer: &mut Writer| ia_na(writer, DUID, 1, &["fd00::42", "fd99::1"]);
    let renew = bench.to_server(kind::RENEW, ask);
    assert_eq!(text(&bench.send(&renew)), "reply na1 0/0(3:no_binding_found) dns=fd00::1");
    assert!(bench.leases().is_empty());
    let reply = text(&bench.send(&message(kind::REBIND, ask)));
    assert!(reply.ends_with("(fd00::42=86400/86400 fd99::1=0/0) dns=fd00::1"), "{reply}");
    assert_eq!(bench.leases(), ["fd00::42 -"]);
    // Another client's address is not rebound.
    let other = message(kind::REBIND, |writer| ia_na(writer, b"\0\x04o", 1, &["fd00::42"]));
    assert_eq!(text(&bench.send(&other)), "reply na1 0/0(fd00::42=0/0) dns=fd00::1");
}

#[test]
fn addresses_are_confirmed_by_the_link_alone() {
    let mut bench = bench(|_, _| ());
    let confirm =
        |addresses: &[&str]| message(kind::CONFIRM, |writer| ia_na(writer, DUID, 1, addresses));
    let fine = "reply 0:all_addresses_still_on_link dns=fd00::1";
    assert_eq!(text(&bench.send(&confirm(&["fd00::9999"]))), fine);
    let failed = "reply 4:confirm_failed dns=fd00::1";
    assert_eq!(text(&bench.send(&confirm(&["fd00::9", "fd01::9"]))), failed);
    assert!(bench.send(&confirm(&[])).datagrams.is_empty());
}

#[test]
fn addresses_are_given_back() {
    let mut bench = bench(|_, _| ());
    bench.lease(DUID, &["fd00::42"]);
    let release = bench.to_server(kind::RELEASE, |writer| {
        ia_na(writer, DUID, 1, &["fd00::42", "fd00::43"]);
    });
    let out = bench.send(&release);
    let reply = "reply na1 0/0(fd00::43=0/0 3:no_binding_found) 0:release_received";
    assert_eq!(text(&out), reply);
    assert_eq!(out.records, [Record::Release(address("fd00::42").into())]);
    assert!(matches!(out.events[..], [Event::Released(_, End::Client)]));
    assert!(bench.leases().is_empty());
}

#[test]
fn a_declined_address_is_barred() {
    let mut bench = bench(|_, _| ());
    bench.lease(DUID, &["fd00::42"]);
    let fill = |writer: &mut Writer| ia_na(writer, DUID, 1, &["fd00::42"]);
    let decline = bench.to_server(kind::DECLINE, fill);
    // Another client cannot decline it.
    let other =
        bench.to_server(kind::DECLINE, |writer| ia_na(writer, b"\0\x04o", 1, &["fd00::42"]));
    assert!(bench.send(&other).records.is_empty());
    assert_eq!(text(&bench.send(&decline)), "reply 0:success");
    assert!(!bench.lease(DUID, &["fd00::42"]).contains("fd00::42="));
    bench.now += 600;
    assert!(bench.lease(b"\0\x04o", &["fd00::42"]).contains("fd00::42="));
}

#[test]
fn settings_are_told_without_a_lease() {
    let mut bench = bench(|_, _| ());
    let ask = |oro: &[u8]| {
        message(kind::INFORMATION_REQUEST, |writer| {
            writer.option(option::ORO, |value| value.put(oro));
        })
    };
    assert_eq!(text(&bench.send(&ask(&[0, 23]))), "reply dns=fd00::1 refresh86400");
    assert_eq!(text(&bench.send(&ask(&[0, 24]))), "reply refresh86400");
    let mut silent = self::bench(|spec, _| spec.dns = None);
    assert_eq!(text(&silent.send(&ask(&[0, 23]))), "reply refresh86400");
}

#[test]
fn some_messages_are_not_for_this_server() {
    let mut bench = bench(|_, _| ());
    let foreign = |writer: &mut Writer| {
        writer.option(option::SERVER_ID, |value| value.put(b"\0\x04else"));
        ia_na(writer, DUID, 1, &[]);
    };
    let anonymous = |writer: &mut Writer| put_ia(writer, option::IA_NA, 1, &[]);
    for bytes in [
        message(kind::REQUEST, foreign),
        message(kind::RENEW, foreign),
        message(kind::SOLICIT, foreign),
        message(kind::INFORMATION_REQUEST, foreign),
        message(kind::SOLICIT, anonymous),
        message(kind::REQUEST, |writer| ia_na(writer, DUID, 1, &[])),
        message(kind::ADVERTISE, |writer| ia_na(writer, DUID, 1, &[])),
        message(99, |_| ()),
        vec![1, 2],
        vec![],
    ] {
        assert!(bench.send(&bytes).datagrams.is_empty(), "{bytes:?}");
    }
    let request = bench.to_server(kind::REQUEST, |writer| ia_na(writer, DUID, 1, &[]));
    let out = bench.send_to(&request, Some(address("fd00::1").into()));
    assert_eq!(text(&out), "reply 5:use_multicast");
    let solicit = message(kind::SOLICIT, |writer| ia_na(writer, DUID, 1, &[]));
    assert!(bench.send_to(&solicit, Some(address("fd00::1").into())).datagrams.is_empty());
}

#[test]
fn an_address_of_another_link_is_refused() {
    let mut bench = bench(|_, _| ());
    let request = bench.to_server(kind::REQUEST, |writer| ia_na(writer, DUID, 1, &["fd01::9"]));
    let reply = text(&bench.send(&request));
    assert_eq!(reply, "reply na1 0/0(4:not_on_link) 2:no_addresses_available dns=fd00::1");
}

#[test]
fn relays_are_answered() {
    let relay = |link: &str, inner: &[u8]| {
        let mut bytes = vec![kind::RELAY_FORW, 0];
        bytes.extend(address(link).octets());
        bytes.extend(address("fe80::77").octets());
        bytes.extend([0, 79, 0, 8, 0, 1, 2, 0, 0, 0, 0, 0x77]);
        bytes.extend([0, 9]);
        bytes.extend(u16::try_from(inner.len()).unwrap().to_be_bytes());
        bytes.extend(inner);
        bytes
    };
    let mut bench = bench(|_, _| ());
    let solicit = message(kind::SOLICIT, |writer| {
        writer.option(option::RAPID_COMMIT, |_| ());
        ia_na(writer, b"\0\x04r", 1, &["fd00::42"]);
    });
    let out = bench.send(&relay("fd00::2", &relay("::", &solicit)));
    let bytes = &out.datagrams[0].bytes;
    assert_eq!(bytes[0], kind::RELAY_REPL);
    let outer = Options::new(&bytes[34..]).unwrap().get(option::RELAY_MSG).unwrap();
    let inner = Options::new(&outer[34..]).unwrap().get(option::RELAY_MSG).unwrap();
    assert_eq!(View::new(inner).unwrap().kind, kind::REPLY);
    assert_eq!(bench.server.leases().next().unwrap().mac, Some([2, 0, 0, 0, 0, 0x77]));
    assert!(bench.send(&relay("fd01::2", &solicit)).datagrams.is_empty());
    let mut deep = solicit;
    for _ in 0..20 {
        deep = relay("::", &deep);
    }
    assert!(bench.send(&deep).datagrams.is_empty());
}

#[test]
fn leases_end_and_come_back_after_a_restart() {
    let short = |_: &mut NetworkSpec, dhcp: &mut Dhcp6Spec| {
        dhcp.ranges[0].lease = Some(LeaseTime::Seconds(600));
    };
    let mut old = bench(short);
    old.lease(DUID, &["fd00::42"]);
    assert_eq!(old.server.deadline(), Some(Duration::from_secs(1600)));
    let mut infos: Vec<_> = old.server.leases().map(|lease| lease.info(old.time())).collect();
    infos[0].expiry = Some(1_800_000_000);
    let mut new = bench(short);
    let barred = [(address("fd00::44").into(), 1_700_000_100)];
    new.server.restore(infos, barred, new.time());
    assert_eq!(new.leases(), ["fd00::42 -"]);
    // The clock was wrong: no lease is longer than one that is given now.
    assert_eq!(new.server.leases().next().unwrap().deadline, Some(Duration::from_secs(1600)));
    assert!(!new.lease(b"\0\x04o", &["fd00::44"]).contains("fd00::44="));
    let mut out = Out::default();
    new.now = 5000;
    new.server.tick(new.time(), &mut out);
    assert!(new.leases().is_empty());
    assert!(matches!(out.events[0], Event::Released(_, End::Expiry)));
    let mut last = bench(|_, dhcp| dhcp.ranges[0].lease = Some(LeaseTime::Infinite));
    assert!(last.lease(DUID, &["fd00::42"]).contains("4294967295/4294967295(fd00::42=4294967295"));
    assert_eq!(last.server.deadline(), None);
    assert_eq!(
        last.server.release(last.time(), Released::Mac([0x52, 0x54, 0, 0, 0, 9]), &mut out),
        1
    );
}

#[test]
fn one_client_cannot_take_all_addresses() {
    let mut bench = bench(|_, _| ());
    for iaid in 0..20 {
        bench.send(&message(kind::SOLICIT, |writer| {
            writer.option(option::RAPID_COMMIT, |_| ());
            ia_na(writer, DUID, iaid, &[]);
        }));
    }
    assert_eq!(bench.leases().len(), 8);
}

proptest! {
    /// Whatever clients send, no address has two owners, and each new lease is recorded.
    #[test]
    fn leases_are_of_one_client_and_recorded(
        steps in prop::collection::vec((0_u8..8, 0_u8..6, 0_u32..2, 0x0e_u16..0x1a, any::<bool>()), 1..80),
    ) {
        let mut bench = bench(|_, dhcp| {
            dhcp.ranges[0].end = address("fd00::17");
            dhcp.ranges[0].lease = Some(LeaseTime::Seconds(600));
        });
        let mut recorded = BTreeMap::new();
        for (what, who, iaid, last, is_rapid) in steps {
            let duid = if who == 0 { b"\0\x04fixed".to_vec() } else { vec![0, 4, who] };
            let ip = format!("fd00::{last:x}");
            let fill = |writer: &mut Writer| {
                if is_rapid { writer.option(option::RAPID_COMMIT, |_| ()); }
                ia_na(writer, &duid, iaid, &[&ip]);
            };
            let bytes = match what {
                0..3 => message(kind::SOLICIT, fill),
                3 => bench.to_server(kind::REQUEST, fill),
                4 => bench.to_server(kind::RENEW, fill),
                5 => message(kind::REBIND, fill),
                6 => bench.to_server(kind::RELEASE, fill),
                _ => bench.to_server(kind::DECLINE, fill),
            };
            bench.now += u64::from(last);
            let out = bench.send(&bytes);
            for record in out.records {
                crate::lease::apply(&mut recorded, record);
            }
            let live: Vec<_> = bench.server.leases().map(|lease| lease.info(bench.time())).collect();
            prop_assert_eq!(&live, &recorded.values().cloned().collect::<Vec<_>>());
            for lease in &live {
                let in_range = |ip: IpAddr| (address("fd00::10")..=address("fd00::17")).contains(&v6(ip).unwrap());
                let is_fixed = lease.address == IpAddr::V6(address("fd00::20"))
                    && lease.client_id.as_deref() == Some(b"\0\x04fixed");
                prop_assert!(in_range(lease.address) || is_fixed, "{:?}", lease);
            }
        }
    }

    #[test]
    fn no_packet_panics(
        kind in 0_u8..15,
        tail in prop::collection::vec(any::<u8>(), 0..80),
        damage in prop::collection::vec((0_usize..100, any::<u8>()), 0..4),
    ) {
        let mut bench = bench(|_, _| ());
        bench.lease(DUID, &["fd00::42"]);
        bench.send(&[&[kind], &tail[..]].concat());
        let mut bytes = bench.to_server(kind, |writer| {
            ia_na(writer, DUID, 1, &["fd00::42"]);
            writer.option(option::FQDN, |value| value.put(b"\x01\x05alpha\0"));
            writer.option(option::ORO, |value| value.put(&[0, 23]));
        });
        for (at, value) in damage {
            let at = at % bytes.len();
            bytes[at] = value;
        }
        prop_assert!(bench.send(&bytes).datagrams.len() <= 1);
    }
}
