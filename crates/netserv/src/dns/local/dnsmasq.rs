//! The answers that dnsmasq gave to the same questions, recorded.

use oxivirt_netserv_api::{DnsSpec, HostNames, OwnAddress};
use uuid::Uuid;

use super::*;
use crate::dns::testing::question;

const RECORDED: &str = include_str!("dnsmasq.txt");

fn names(setting: &str) -> LocalNames {
    let mut spec = NetworkSpec::new(Uuid::nil(), "virbr0", 7, [2, 0, 0, 0, 0, 1]);
    spec.domain = Some("lan.test".to_owned());
    let is_local = setting == "local";
    spec.addresses.push(OwnAddress {
        address: [192, 0, 2, 1].into(),
        prefix: 24,
        local_ptr: is_local,
    });
    let host = |address: &str, names: &[&str]| HostNames {
        address: address.parse().unwrap(),
        names: names.iter().map(ToString::to_string).collect(),
    };
    let txt = |name: &str, value: &str| Txt { name: name.to_owned(), value: value.to_owned() };
    let srv = |service: &str, domain: Option<&str>, target: Option<(&str, u16)>| Srv {
        service: service.to_owned(),
        protocol: if service == "sip" { "udp" } else { "tcp" }.to_owned(),
        domain: domain.map(ToOwned::to_owned),
        target: target.map(|(target, _)| target.to_owned()),
        port: target.map(|(_, port)| port),
        priority: (service == "ldap" && target.is_some()).then_some(5),
        weight: (service == "ldap" && target.is_some()).then_some(6),
    };
    spec.dns = Some(DnsSpec {
        is_local_only: is_local,
        forwards_plain_names: !is_local,
        hosts: vec![
            host("192.0.2.20", &["router", "gw.other.test"]),
            host("fd00::20", &["router"]),
            host("192.0.2.21", &["also.lan.test", "plain2"]),
            host("192.0.2.22", &["router"]),
        ],
        txt: vec![
            txt("note.lan.test", "a b,c"),
            txt("note.other.test", "\"x,y\""),
            txt("empty.other.test", ""),
        ],
        srv: vec![
            srv("ldap", None, Some(("Router.lan.test", 389))),
            srv("ldap", Some("no.test"), None),
            srv("sip", Some("x.test"), Some(("t.x.test", 5060))),
            srv("xmpp", None, None),
        ],
        ..DnsSpec::default()
    });
    let mut dhcp = oxivirt_netserv_api::Dhcp4Spec::new([192, 0, 2, 1].into(), 24);
    dhcp.hosts.push(oxivirt_netserv_api::Host4 {
        mac: Some([2, 0, 0, 0, 0, 9]),
        client_id: None,
        name: Some("fixed".to_owned()),
        address: Some([192, 0, 2, 9].into()),
        lease: None,
    });
    spec.dhcp4 = Some(dhcp);
    let mut names = LocalNames::new(&spec);
    names.set_host_file(Arc::new(HostFile::new(&[host("127.0.0.1", &["localhost"])])));
    names.lease_added([192, 0, 2, 150].into(), Some("Alpha"));
    names.lease_added([192, 0, 2, 151].into(), None);
    names
}

/// Our answer in the form of the recording.
fn answer(names: &LocalNames, setting: &str, name: &str, rtype: &str) -> String {
    use domain::base::{Message, ParsedName, iana::Rtype};
    use domain::rdata::AllRecordData;
    let bytes = question(name, rtype, "+rd");
    let upstream = if setting == "isolated" { Upstream::None } else { Upstream::Some };
    let mut out = Vec::new();
    if names.answer(&Query::parse(&bytes).unwrap(), upstream, 512, &mut out) == Verdict::Forward {
        return (if upstream == Upstream::None { "REFUSED -" } else { "NOTIMP -" }).to_owned();
    }
    let message = Message::from_slice(&out).unwrap();
    let mut records: Vec<String> = message
        .iter()
        .map(|record| record.unwrap().0)
        .filter(|record| record.rtype() != Rtype::SOA)
        .map(|record| record.into_any_record::<AllRecordData<_, ParsedName<_>>>().unwrap())
        .map(|record| {
            let data = record.data().to_string();
            // A name in data has its final dot in the recording, but not here if compressed.
            let dot = if record.rtype() == Rtype::SRV || data.ends_with("test") { "." } else { "" };
            format!("{}. {} {data}{dot}", record.owner(), record.rtype())
        })
        .collect();
    records.sort();
    let aa = if records.is_empty() { "-" } else { "aa" };
    format!("{} {aa} {}", message.header().rcode(), records.join(" / ")).trim_end().to_owned()
}

#[test]
fn answers_are_those_of_dnsmasq_but_for_the_deviations() {
    let mut setting = "";
    let mut network = names(setting);
    let (mut wrong, mut n_deviations) = (Vec::new(), 0);
    for line in RECORDED.lines().skip(5) {
        if let Some(name) = line.strip_prefix("# ") {
            setting = name;
            network = names(setting);
            continue;
        }
        let (recorded, deviation) = match line.split_once(" | ") {
            Some((recorded, deviation)) => (recorded, deviation.split_once(' ')),
            None => (line, None),
        };
        let mut words = recorded.splitn(3, ' ');
        let (name, rtype) = (words.next().unwrap(), words.next().unwrap());
        let theirs = words.next().unwrap();
        let expected = deviation.map_or(theirs, |(_, expected)| expected);
        n_deviations += usize::from(deviation.is_some());
        assert!(deviation.is_none() || expected != theirs, "{line}");
        let ours = answer(&network, setting, name, rtype);
        if ours != expected {
            wrong.push(format!("{setting}: {line}\n  ours: {ours}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(n_deviations > 0);
}
