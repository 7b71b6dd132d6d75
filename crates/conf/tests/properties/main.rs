//! Properties of every definition, port and status there can be.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod arbitrary;

use std::collections::BTreeSet;
use std::net::Ipv4Addr;

use oxivirt_conf::network::update::{
    Change, DhcpHostChange, DhcpRangeChange, DnsHostChange, DnsSrvChange, DnsTxtChange,
    InterfaceChange, Place, PortGroupChange, update,
};
use oxivirt_conf::network::{
    Counters, DhcpHost, DhcpHostPattern, DhcpRange, DnsHost, DnsHostPattern, Form, ForwardDevice,
    ForwardMode, IpDef, NetworkDef, PortGroup, SrvPattern, SrvRecord, TxtRecord,
};
use oxivirt_conf::port::NetworkPortDef;
use oxivirt_conf::status::{NetworkStatus, Taint};
use oxivirt_types::ip::{Address, Family};
use proptest::collection::btree_set;
use proptest::option::of;
use proptest::prelude::*;
use proptest::test_runner::FileFailurePersistence;

use crate::arbitrary::{network, port, removal};

/// Tabs in attributes become spaces when a document is read: that is what XML says.
fn settle(def: &NetworkDef) -> NetworkDef {
    NetworkDef::parse(&def.format(Form::Inactive)).unwrap_or_else(|error| {
        panic!("{error}\n{}", def.format(Form::Inactive));
    })
}

proptest! {
    #![proptest_config(ProptestConfig {
        failure_persistence: Some(Box::new(FileFailurePersistence::WithSource("regressions"))),
        ..ProptestConfig::default()
    })]

    #[test]
    fn a_definition_reads_as_it_was(def in network()) {
        let settled = settle(&def);
        let printed = settled.format(Form::Inactive);
        prop_assert_eq!(&settle(&settled), &settled);
        prop_assert_eq!(settle(&settled).format(Form::Inactive), printed);
        // Apart from tabs in attributes nothing is lost on the first way, either.
        let spaces = |text: String| text.replace('\t', " ");
        prop_assert_eq!(spaces(settled.format(Form::LIVE)), spaces(def.format(Form::LIVE)));
    }

    #[test]
    fn without_tabs_it_is_equal_at_once(def in network()) {
        let plain = def.format(Form::Inactive).replace('\t', " ");
        let def = NetworkDef::parse(&plain).unwrap();
        prop_assert_eq!(settle(&def), def);
    }

    #[test]
    fn a_port_reads_as_it_was(port in port()) {
        let plain = port.format().replace('\t', " ");
        let port = NetworkPortDef::parse(&plain).unwrap();
        prop_assert_eq!(port.format(), plain);
        prop_assert_eq!(NetworkPortDef::parse(&port.format()), Ok(port));
    }

    #[test]
    fn a_status_reads_as_it_was(
        def in network(),
        class_ids in btree_set(0_u32..200, 1..20),
        floor_sum in any::<u64>(),
        tainted in any::<bool>(),
        removal in of(removal()),
    ) {
        let taint: BTreeSet<_> = tainted.then_some(Taint::HookScript).into_iter().collect();
        // Options of dnsmasq and metadata are read with their blanks here, which `def` has none of.
        let def = NetworkDef { metadata: None, ..settle(&def) };
        let class_ids = class_ids.into_iter().collect();
        let status = NetworkStatus { class_ids, floor_sum, taint, def, removal };
        let text = status.format(Counters::NONE);
        prop_assert_eq!(NetworkStatus::parse(&text).map(|s| s.format(Counters::NONE)), Ok(text));
        prop_assert_eq!(NetworkStatus::parse(&status.format(Counters::NONE)), Ok(status));
    }

    #[test]
    fn an_update_and_its_inverse_change_nothing(def in network(), first in any::<bool>()) {
        let def = settle(&def);
        let place = if first { Place::First } else { Place::Last };
        for (add, remove) in inverse_pairs(&def, place) {
            // An entry that is there already, or DHCP elsewhere, is a refusal and no change.
            let Ok(changed) = update(&def, &add, Form::Inactive) else { continue };
            prop_assert_ne!(&changed, &def);
            prop_assert_eq!(update(&changed, &remove, Form::Inactive), Ok(def.clone()));
        }
    }

    #[test]
    fn no_text_is_too_much(document in "\\PC{0,60}|[<>/='\"a-z&;!\\[\\] \n-]{0,60}") {
        drop(NetworkDef::parse(&document));
        drop(NetworkPortDef::parse(&document));
        drop(NetworkStatus::parse(&document));
    }
}

fn inverse_pairs(def: &NetworkDef, place: Place) -> Vec<(Change, Change)> {
    let ip = Address::from(Ipv4Addr::new(10, 1, 2, 77));
    let host = DnsHost { ip, hostnames: vec![String::from("new")] };
    let host_pattern = DnsHostPattern { ip: Some(ip), hostnames: Vec::new() };
    let txt = TxtRecord { name: String::from("new"), value: String::from("v") };
    let srv = SrvRecord {
        service: String::from("new"),
        protocol: String::from("tcp"),
        ..SrvRecord::default()
    };
    let srv_pattern = SrvPattern { service: Some(srv.service.clone()), ..SrvPattern::default() };
    let group = PortGroup { name: String::from("new"), ..PortGroup::default() };
    let mut pairs = vec![
        (
            Change::DnsHost(DnsHostChange::Add(place, host)),
            Change::DnsHost(DnsHostChange::Delete(host_pattern)),
        ),
        (
            Change::DnsTxt(DnsTxtChange::Add(place, txt)),
            Change::DnsTxt(DnsTxtChange::Delete(String::from("new"))),
        ),
        (
            Change::DnsSrv(DnsSrvChange::Add(place, srv)),
            Change::DnsSrv(DnsSrvChange::Delete(srv_pattern)),
        ),
        (
            Change::PortGroup(PortGroupChange::Add(place, group)),
            Change::PortGroup(PortGroupChange::Delete(String::from("new"))),
        ),
    ];
    // Next to PCI addresses an interface takes their place, as libvirt has it.
    let named = def.forward.devices.iter().all(|d| matches!(d, ForwardDevice::Interface(_)));
    if def.forward.mode == ForwardMode::Bridge && def.forward.pf.is_none() && named {
        pairs.push((
            Change::Interface(InterfaceChange::Add(place, String::from("new"))),
            Change::Interface(InterfaceChange::Delete(String::from("new"))),
        ));
    }
    if let Some(at) = def.ips.iter().position(|ip| ip.family() == Family::Ipv4)
        && def.ips.get(at).and_then(IpDef::effective_prefix) == Some(24)
    {
        let range = DhcpRange { start: ip, end: ip, lease: None };
        let name = Some(String::from("new"));
        let host = DhcpHost { mac: None, id: None, name: name.clone(), ip, lease: None };
        let pattern = DhcpHostPattern { name, ..DhcpHostPattern::default() };
        pairs.push((
            Change::DhcpRange(at, DhcpRangeChange::Add(place, range)),
            Change::DhcpRange(at, DhcpRangeChange::Delete(range)),
        ));
        pairs.push((
            Change::DhcpHost(at, DhcpHostChange::Add(place, host)),
            Change::DhcpHost(at, DhcpHostChange::Delete(pattern)),
        ));
    }
    pairs
}
