//! Every definition, port and removal there can be.

use std::net::{Ipv4Addr, Ipv6Addr};
use std::num::{NonZeroU32, NonZeroU64};

use oxivirt_conf::bandwidth::{Bandwidth, Rate};
use oxivirt_conf::network::*;
use oxivirt_conf::pci::PciAddress;
use oxivirt_conf::port::{BridgePlug, MacvlanMode, NetworkPortDef, Plug};
use oxivirt_conf::status::{
    Errors, FirewallBackend, FirewallLayer, FirewallRemoval, RemovalAction, RemovalGroup,
};
use oxivirt_conf::virtualport::{VirtualPort, VirtualPortType};
use oxivirt_conf::vlan::{NativeVlanMode, Vlan, VlanTag};
use oxivirt_conf::{Metadata, Uuid, YesNo};
use oxivirt_types::ip::{Address, Family};
use oxivirt_types::mac::MacAddr;
use proptest::collection::{btree_set, vec};
use proptest::option::of;
use proptest::prelude::*;

/// Text with everything that needs care on its way through a document.
fn text() -> impl Strategy<Value = String> {
    "[a-z0-9 <>&'\"é\\t-]{1,12}"
}

fn maybe_empty() -> impl Strategy<Value = String> {
    prop_oneof![Just(String::new()), text()]
}

fn yes_no() -> impl Strategy<Value = YesNo> {
    prop_oneof![Just(YesNo::Yes), Just(YesNo::No)]
}

fn uuid() -> impl Strategy<Value = Uuid> {
    any::<[u8; 16]>().prop_map(Uuid::from_bytes)
}

fn mac() -> impl Strategy<Value = MacAddr> {
    any::<[u8; 5]>().prop_map(|[a, b, c, d, e]| MacAddr([0x52, a, b, c, d, e]))
}

fn address() -> impl Strategy<Value = Address> {
    prop_oneof![
        any::<u32>().prop_map(|bits| Address::from(Ipv4Addr::from_bits(bits))),
        any::<u128>().prop_map(|bits| Address::from(Ipv6Addr::from_bits(bits))),
        "[a-z0-9.-]{1,15}".prop_map(|zone| format!("fe80::1%{zone}").parse().unwrap()),
    ]
}

fn rate() -> impl Strategy<Value = Rate> {
    (1_u64.., any::<u64>(), any::<u64>()).prop_map(|(average, peak, burst)| Rate {
        average,
        peak,
        burst,
        floor: 0,
    })
}

fn bandwidth() -> impl Strategy<Value = Bandwidth> {
    (of(rate()), of(rate()))
        .prop_filter("says something", |(inbound, outbound)| {
            inbound.is_some() || outbound.is_some()
        })
        .prop_map(|(inbound, outbound)| Bandwidth { inbound, outbound })
}

fn vlan() -> impl Strategy<Value = Vlan> {
    (any::<bool>(), vec(0_u16..=4095, 1..4), of((any::<prop::sample::Index>(), any::<bool>())))
        .prop_map(|(trunk, ids, native)| {
            let native = native.map(|(at, tagged)| (at.index(ids.len()), tagged));
            let tag = |(at, id)| VlanTag {
                id,
                native_mode: native.filter(|&(native, _)| native == at).map(|(_, tagged)| {
                    if tagged { NativeVlanMode::Tagged } else { NativeVlanMode::Untagged }
                }),
            };
            let trunk = trunk || ids.len() > 1;
            Vlan { trunk, tags: ids.into_iter().enumerate().map(tag).collect() }
        })
}

/// A virtual port with the parameters its type prints.
fn virtual_port(typed: bool) -> impl Strategy<Value = VirtualPort> {
    let kinds = [
        Some(VirtualPortType::Qbg),
        Some(VirtualPortType::Qbh),
        Some(VirtualPortType::OpenVSwitch),
        Some(VirtualPortType::Midonet),
        None,
    ];
    let kind = proptest::sample::select(
        kinds.into_iter().take(if typed { 4 } else { 5 }).collect::<Vec<_>>(),
    );
    let numbers = (of(any::<u8>()), of(0_u32..0x100_0000), of(any::<u8>()));
    (kind, numbers, of(uuid()), of(uuid()), of("[a-z<&]{1,39}")).prop_map(
        |(kind, (manager_id, type_id, type_id_version), instance_id, interface_id, profile_id)| {
            let all = VirtualPort {
                kind,
                manager_id,
                type_id,
                type_id_version,
                instance_id,
                interface_id,
                profile_id,
            };
            let bare = VirtualPort { kind, ..VirtualPort::default() };
            match kind {
                None => all,
                Some(VirtualPortType::Qbg) => {
                    VirtualPort { interface_id: None, profile_id: None, ..all }
                }
                Some(VirtualPortType::Qbh) => VirtualPort { profile_id: all.profile_id, ..bare },
                Some(VirtualPortType::OpenVSwitch) => VirtualPort {
                    interface_id: all.interface_id,
                    profile_id: all.profile_id,
                    ..bare
                },
                Some(VirtualPortType::Midonet) => {
                    VirtualPort { interface_id: all.interface_id, ..bare }
                }
            }
        },
    )
}

fn says_something(port: &VirtualPort) -> bool {
    *port != VirtualPort::default()
}

fn port_group() -> impl Strategy<Value = PortGroup> {
    let port = of(virtual_port(false).prop_filter("is printed", says_something));
    (text(), any::<bool>(), of(yes_no()), port, of(bandwidth()), of(vlan())).prop_map(
        |(name, default, trust_guest_rx_filters, virtual_port, bandwidth, vlan)| PortGroup {
            name,
            default,
            trust_guest_rx_filters,
            virtual_port,
            bandwidth,
            vlan,
        },
    )
}

fn lease() -> impl Strategy<Value = Lease> {
    let unit =
        prop_oneof![Just(LeaseUnit::Seconds), Just(LeaseUnit::Minutes), Just(LeaseUnit::Hours)];
    prop_oneof![
        Just(Lease::Infinite),
        (120_u64.., unit).prop_map(|(expiry, unit)| Lease::Time {
            expiry: NonZeroU64::new(expiry).unwrap(),
            unit
        }),
    ]
}

fn ranges(family: Family) -> impl Strategy<Value = Vec<DhcpRange>> {
    vec((2_u8..100, 100_u8..254, of(lease())), 0..3).prop_map(move |ranges| {
        let at = |last: u8| match family {
            Family::Ipv4 => Address::from(Ipv4Addr::new(10, 1, 2, last)),
            Family::Ipv6 => Address::from(Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 0, 0, last.into())),
        };
        let range = |(start, end, lease)| DhcpRange { start: at(start), end: at(end), lease };
        ranges.into_iter().map(range).collect()
    })
}

fn hosts(family: Family) -> impl Strategy<Value = Vec<DhcpHost>> {
    let host =
        (mac(), of("[0-9a-f:]{1,8}"), of("[a-z0-9][a-z0-9 &<]{0,6}"), address(), of(lease()))
            .prop_map(move |(mac, id, name, ip, lease)| match family {
                Family::Ipv4 => DhcpHost { mac: Some(HostMac::from(mac)), id, name, ip, lease },
                Family::Ipv6 => {
                    let name = name.or_else(|| Some(String::from("h")));
                    DhcpHost { mac: None, id, name, ip, lease }
                }
            });
    vec(host, 0..3)
}

fn ipv4() -> impl Strategy<Value = IpDef> {
    let bootp = (maybe_empty(), of(address())).prop_map(|(file, server)| Bootp { file, server });
    let size = prop_oneof![
        Just((None, Some(24))),
        Just((Some(Ipv4Addr::new(255, 255, 255, 0)), None)),
        Just((None, None)),
    ];
    let dhcp = (ranges(Family::Ipv4), hosts(Family::Ipv4), of(bootp));
    (any::<bool>(), size, of(yes_no()), of(text()), dhcp).prop_map(
        |(named, (netmask, prefix), local_ptr, tftp_root, (ranges, hosts, bootp))| {
            // A boot file alone is not printed, and of a class A address the subnet is not ours.
            let bootp = bootp.filter(|_| !ranges.is_empty() || !hosts.is_empty());
            IpDef {
                family: named.then_some(Family::Ipv4),
                netmask,
                prefix,
                local_ptr,
                tftp_root,
                dhcp: Dhcp { ranges, hosts, bootp },
                ..IpDef::new(Ipv4Addr::new(10, 1, 2, 1), 24)
            }
        },
    )
}

fn ipv6() -> impl Strategy<Value = IpDef> {
    let address = Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 0, 0, 1);
    (any::<bool>(), of(yes_no()), ranges(Family::Ipv6), hosts(Family::Ipv6)).prop_map(
        move |(sized, local_ptr, ranges, hosts)| IpDef {
            local_ptr,
            dhcp: Dhcp { ranges, hosts, bootp: None },
            ..IpDef::new(address, if sized { 64 } else { 0 })
        },
    )
}

fn route() -> impl Strategy<Value = RouteDef> {
    let metric = of((1_u32..).prop_map(|metric| NonZeroU32::new(metric).unwrap()));
    (any::<bool>(), 0_u8..3, metric).prop_map(|(named, kind, metric)| {
        let (address, netmask, prefix) = match kind {
            0 => (Ipv4Addr::UNSPECIFIED, None, None),
            1 => (Ipv4Addr::new(10, 7, 0, 0), None, Some(16)),
            _ => (Ipv4Addr::new(10, 7, 0, 0), Some(Ipv4Addr::new(255, 255, 0, 0)), None),
        };
        RouteDef {
            family: named.then_some(Family::Ipv4),
            address: address.into(),
            netmask,
            prefix,
            gateway: Ipv4Addr::new(10, 1, 2, 9).into(),
            metric,
        }
    })
}

fn dns() -> impl Strategy<Value = Dns> {
    let forwarder = (of(maybe_empty()), address())
        .prop_map(|(domain, addr)| Forwarder { domain, addr: Some(addr) });
    let txt = ("[a-z<&.]{0,6}", maybe_empty()).prop_map(|(name, value)| TxtRecord { name, value });
    let target = of((maybe_empty(), any::<u16>(), any::<u16>(), any::<u16>()));
    let srv = ("[A-Za-z0-9_/*+-]{0,8}", "[A-Za-z0-9/+-]{0,5}", of(maybe_empty()), target).prop_map(
        |(service, protocol, domain, target)| {
            let record = SrvRecord { service, protocol, domain, ..SrvRecord::default() };
            match target {
                None => record,
                Some((target, port, priority, weight)) => {
                    SrvRecord { target: Some(target), port, priority, weight, ..record }
                }
            }
        },
    );
    let host = (address(), vec(text(), 1..3)).prop_map(|(ip, hostnames)| DnsHost { ip, hostnames });
    (
        of(yes_no()),
        of(yes_no()),
        vec(forwarder, 0..3),
        vec(txt, 0..3),
        vec(srv, 0..3),
        vec(host, 0..3),
    )
        .prop_map(|(enable, forward_plain_names, forwarders, txts, srvs, hosts)| {
            if enable == Some(YesNo::No) {
                return Dns { enable, forward_plain_names, ..Dns::default() };
            }
            Dns { enable, forward_plain_names, forwarders, txts, srvs, hosts }
        })
}

fn pci() -> impl Strategy<Value = PciAddress> {
    (any::<u32>(), 0_u32..=0xff, 0_u32..=0x1f, 0_u32..=7)
        .prop_map(|(domain, bus, slot, function)| PciAddress { domain, bus, slot, function })
}

fn driver() -> impl Strategy<Value = HostdevDriver> {
    let name = prop_oneof![
        Just(HostdevDriverName::Kvm),
        Just(HostdevDriverName::Vfio),
        Just(HostdevDriverName::Xen)
    ];
    (of(name), of(maybe_empty())).prop_map(|(name, model)| HostdevDriver { name, model })
}

fn nat() -> impl Strategy<Value = Nat> {
    let addresses = (any::<u16>(), 0_u32..1000).prop_map(|(start, count)| {
        let start = 0x0a00_0000 + u32::from(start);
        let (start, end) = (Ipv4Addr::from_bits(start), Ipv4Addr::from_bits(start + count));
        NatAddresses { start, end }
    });
    let ports =
        (any::<u16>(), 1_u16..).prop_map(|(a, b)| NatPorts { start: a.min(b), end: a.max(b) });
    (of(yes_no()), of(addresses), of(ports)).prop_map(|(ipv6, addresses, ports)| Nat {
        ipv6,
        addresses,
        ports,
    })
}

fn pool() -> impl Strategy<Value = (Vec<ForwardDevice>, Option<String>)> {
    let names = btree_set(text(), 0..3)
        .prop_map(|names| names.into_iter().map(ForwardDevice::Interface).collect());
    let addresses =
        btree_set(pci(), 0..3).prop_map(|set| set.into_iter().map(ForwardDevice::Pci).collect());
    prop_oneof![
        names.prop_map(|devices: Vec<_>| (devices, None)),
        addresses.prop_map(|devices: Vec<_>| (devices, None)),
        text().prop_map(|pf| (Vec::new(), Some(pf))),
    ]
}

/// Mode, pool, bridge and addresses, which depend on each other.
fn connectivity() -> impl Strategy<Value = NetworkDef> {
    let mode = proptest::sample::select(vec![
        ForwardMode::None,
        ForwardMode::Nat,
        ForwardMode::Route,
        ForwardMode::Open,
        ForwardMode::Bridge,
        ForwardMode::Private,
        ForwardMode::Vepa,
        ForwardMode::Passthrough,
        ForwardMode::Hostdev,
    ]);
    let manager = prop_oneof![Just(MacTableManager::Kernel), Just(MacTableManager::Libvirt)];
    let bridge = (of(text()), of(text()), any::<bool>(), any::<u64>(), of(manager)).prop_map(
        |(name, zone, stp, delay, mac_table_manager)| Bridge {
            name,
            zone,
            stp,
            delay,
            mac_table_manager,
        },
    );
    let mtu = of((1_u32..).prop_map(|mtu| NonZeroU32::new(mtu).unwrap()));
    let ips = (ipv4(), of(ipv6()), vec(route(), 0..2));
    (mode, any::<bool>(), driver(), nat(), pool(), bridge, mtu, ips).prop_map(
        |(mode, managed, driver, nat, (devices, pf), bridge, mtu, (first, second, routes))| {
            let mut def = NetworkDef { bridge, mtu, routes, ..NetworkDef::default() };
            def.ips = std::iter::once(first).chain(second).collect();
            def.forward = Forward { mode, driver, ..Forward::default() };
            let owned = mode.owns_bridge();
            if mode == ForwardMode::None {
                def.forward.driver = HostdevDriver::default();
            }
            if mode == ForwardMode::Nat {
                def.forward.nat = nat;
            }
            if matches!(mode, ForwardMode::Nat | ForwardMode::Route) {
                def.forward.devices = devices.into_iter().take(1).collect();
            } else if !owned {
                def.forward.managed = managed && mode == ForwardMode::Hostdev;
                (def.forward.devices, def.forward.pf) = (devices, pf);
            }
            if !owned {
                def.mtu = None;
                def.bridge = Bridge {
                    name: def.bridge.name,
                    mac_table_manager: def.bridge.mac_table_manager,
                    ..Bridge::default()
                };
                let pooled = !def.forward.devices.is_empty() || def.forward.pf.is_some();
                if mode != ForwardMode::Bridge {
                    def.bridge = Bridge::default();
                } else if pooled {
                    def.bridge.name = None;
                }
            }
            def
        },
    )
}

fn metadata() -> impl Strategy<Value = Metadata> {
    ("[a-z]{1,4}", "urn:[a-z]{1,4}", maybe_empty(), maybe_empty()).prop_map(
        |(key, uri, attribute, text)| {
            let mut payload = String::from("<a q='");
            oxivirt_xml::escape(&mut payload, &attribute.replace('\t', " "));
            payload.push_str("'><b>x");
            oxivirt_xml::escape(&mut payload, &text);
            payload.push_str("</b></a>");
            Metadata::set(None, &format!("k{key}"), &uri, Some(&payload)).unwrap().unwrap()
        },
    )
}

pub(crate) fn network() -> impl Strategy<Value = NetworkDef> {
    let general = (text(), of(uuid()), of(text()), of("[a-z<&\n]{1,9}"), of(metadata()));
    let switches = (any::<bool>(), of(yes_no()), of(mac()), of(yes_no()));
    let domain = (of(maybe_empty()), of(yes_no())).prop_map(|(name, local_only)| match &name {
        // Without a name the element is not printed.
        None => Domain::default(),
        Some(_) => {
            Domain { register: local_only.filter(|&word| word == YesNo::Yes), name, local_only }
        }
    });
    let ports = (of(vlan()), of(bandwidth()), of(virtual_port(true)), vec(port_group(), 0..3));
    let options = vec(maybe_empty(), 0..3);
    (connectivity(), general, switches, domain, dns(), ports, options).prop_map(
        |(def, general, switches, domain, dns, ports, dnsmasq_options)| {
            let (name, uuid, title, description, metadata) = general;
            let (ipv6, trust_guest_rx_filters, mac, port_isolated) = switches;
            let (vlan, bandwidth, virtual_port, port_groups) = ports;
            NetworkDef {
                name,
                uuid,
                title,
                description,
                metadata,
                ipv6,
                trust_guest_rx_filters,
                mac,
                port_isolated,
                domain,
                dns,
                vlan,
                bandwidth,
                virtual_port,
                port_groups,
                dnsmasq_options,
                ..def
            }
        },
    )
}

pub(crate) fn port() -> impl Strategy<Value = NetworkPortDef> {
    let plug = prop_oneof![
        Just(Plug::None),
        text().prop_map(|bridge| Plug::Network(BridgePlug { bridge, mac_table_manager: None })),
        text().prop_map(|bridge| {
            let mac_table_manager = Some(MacTableManager::Libvirt);
            Plug::Bridge(BridgePlug { bridge, mac_table_manager })
        }),
        (text(), any::<bool>()).prop_map(|(dev, vepa)| {
            let mode = if vepa { MacvlanMode::Vepa } else { MacvlanMode::Passthrough };
            Plug::Direct { dev, mode }
        }),
        (of(yes_no()), driver(), pci()).prop_map(|(managed, driver, address)| {
            Plug::HostdevPci { managed, driver, address }
        }),
    ];
    let rates = (of(bandwidth()), any::<u32>(), any::<u64>());
    let general = (uuid(), text(), uuid(), of(text()), mac());
    let port = of(virtual_port(false).prop_filter("is printed", says_something));
    (general, port, rates, of(vlan()), of(yes_no()), of(yes_no()), plug).prop_map(
        |(general, virtual_port, rates, vlan, isolated, trust_guest_rx_filters, plug)| {
            let (uuid, owner_name, owner_uuid, group, mac) = general;
            let (mut bandwidth, class_id, floor) = rates;
            if let Some(inbound) = bandwidth.as_mut().and_then(|b| b.inbound.as_mut()) {
                inbound.floor = floor;
            }
            let class_id = if bandwidth.is_some() { class_id } else { 0 };
            NetworkPortDef {
                uuid,
                owner_name,
                owner_uuid,
                group,
                mac,
                virtual_port,
                bandwidth,
                class_id,
                vlan,
                isolated,
                trust_guest_rx_filters,
                plug,
            }
        },
    )
}

pub(crate) fn removal() -> impl Strategy<Value = FirewallRemoval> {
    let errors = || prop_oneof![Just(Errors::Ignore), Just(Errors::Report)];
    let layer = prop_oneof![
        Just(FirewallLayer::Ethernet),
        Just(FirewallLayer::Ipv4),
        Just(FirewallLayer::Ipv6),
        Just(FirewallLayer::Tc)
    ];
    let backend = prop_oneof![
        Just(FirewallBackend::None),
        Just(FirewallBackend::Iptables),
        Just(FirewallBackend::Nftables)
    ];
    let action = (layer, errors(), vec("[a-z<&' -]{1,8}|", 1..4))
        .prop_map(|(layer, errors, args)| RemovalAction { layer, errors, args });
    let group = (errors(), vec(action, 1..3)).prop_map(|(errors, mut actions)| {
        // Nothing is said of an action whose group says it already.
        if errors == Errors::Ignore {
            for action in &mut actions {
                action.errors = Errors::Report;
            }
        }
        RemovalGroup { errors, actions }
    });
    (backend, vec(group, 0..3)).prop_map(|(backend, groups)| FirewallRemoval { backend, groups })
}
