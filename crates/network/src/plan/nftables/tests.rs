use super::*;
use oxivirt_nft::Removal;

fn net(text: &str) -> IpNet {
    text.parse().unwrap()
}

pub(crate) fn nat(bridge: &str, net_text: &str, uplink: Option<&str>) -> Traffic {
    Traffic {
        uuid: Uuid::from_u128(7),
        bridge: LinkName::new(bridge).unwrap(),
        uplink: uplink.map(|name| LinkName::new(name).unwrap()),
        regulates_ipv6: false,
        subnets: vec![Subnet {
            net: net(net_text),
            outside: Outside::Translated {
                addresses: None,
                ports: PortRange { start: 1024, end: 65535 },
                layer: 0,
            },
        }],
    }
}

/// The lines that concern one network, without the comments of its chains.
#[track_caller]
fn check(traffic: &Traffic, expect: &[&str]) {
    let script = text::script(&load(traffic));
    let own = script.lines().filter(|line| line.contains(traffic.bridge.as_str()));
    let own: Vec<_> = own.filter(|line| !line.starts_with("add chain")).collect();
    let own: Vec<_> = own.iter().map(|line| line.replace(" inet oxivirt_network", "")).collect();
    assert_eq!(own, expect);
}

#[test]
fn nat_over_one_uplink() {
    check(
        &nat("virbr3", "192.168.125.0/24", Some("ext1")),
        &[
            "flush chain in_virbr3",
            "add rule in_virbr3 iifname \"ext1\" ip daddr 192.168.125.0/24 ct state established,related counter accept",
            "add rule in_virbr3 meta nfproto ipv4 counter reject",
            "flush chain out_virbr3",
            "add rule out_virbr3 ip saddr 192.168.125.0/24 oifname \"ext1\" counter return",
            "add rule out_virbr3 meta nfproto ipv4 counter reject",
            "flush chain nat_virbr3-0",
            "add rule nat_virbr3-0 oifname \"ext1\" ip daddr @local4 counter return",
            "add rule nat_virbr3-0 oifname \"ext1\" ip daddr != 192.168.125.0/24 meta l4proto tcp counter masquerade to :1024-65535",
            "add rule nat_virbr3-0 oifname \"ext1\" ip daddr != 192.168.125.0/24 meta l4proto udp counter masquerade to :1024-65535",
            "add rule nat_virbr3-0 oifname \"ext1\" ip daddr != 192.168.125.0/24 counter masquerade",
            "add element present { \"virbr3\" : jump present }",
            "add element gin { \"virbr3\" : goto in_virbr3 }",
            "add element gout { \"virbr3\" : jump out_virbr3 }",
            "add element cross { \"virbr3\" . \"virbr3\" : accept }",
            "add element nat4_0 { 192.168.125.0/24 : jump nat_virbr3-0 }",
        ],
    );
}

#[test]
fn routed_and_isolated() {
    let mut traffic = nat("br1", "fd02::/64", None);
    traffic.regulates_ipv6 = true;
    traffic.subnets[0].outside = Outside::Routed;
    traffic.subnets.push(Subnet { net: net("10.0.0.0/8"), outside: Outside::None });
    check(
        &traffic,
        &[
            "flush chain in_br1",
            "add rule in_br1 ip6 daddr fd02::/64 counter accept",
            "add rule in_br1 counter reject",
            "flush chain out_br1",
            "add rule out_br1 ip6 saddr fd02::/64 counter return",
            "add rule out_br1 counter reject",
            "add element present { \"br1\" : jump present }",
            "add element gin { \"br1\" : goto in_br1 }",
            "add element gout { \"br1\" : jump out_br1 }",
            "add element cross { \"br1\" . \"br1\" : accept }",
        ],
    );
}

#[test]
fn shared_objects_come_with_every_load() {
    let script = text::script(&load(&nat("virbr0", "192.168.122.0/24", None)));
    for line in [
        "add table inet oxivirt_network",
        "add chain inet oxivirt_network forward { type filter hook forward priority 0 ; policy accept ; }",
        "add rule inet oxivirt_network forward iifname . oifname vmap @cross",
        "add rule inet oxivirt_network postrouting ip saddr vmap @nat4_0",
    ] {
        assert!(script.lines().any(|found| found == line), "{line} is missing in\n{script}");
    }
    let position = |start: &str| script.lines().position(|line| line.contains(start)).unwrap();
    assert!(position("vmap @gout") < position("vmap @gin"), "the sender is asked first");
    assert!(
        position("add chain inet oxivirt_network nat_virbr0-0")
            < position("add map inet oxivirt_network nat4_0")
    );
}

#[test]
fn a_higher_layer_is_asked_before() {
    let mut traffic = nat("virbr0", "192.168.122.0/24", None);
    if let Outside::Translated { layer, .. } = &mut traffic.subnets[0].outside {
        *layer = 2;
    }
    let script = text::script(&load(&traffic));
    assert!(script.contains("postrouting_2 { type nat hook postrouting priority 98 ;"), "{script}");
    assert!(
        script.contains("add element inet oxivirt_network nat4_2 { 192.168.122.0/24 :"),
        "{script}"
    );
}

#[test]
fn layers_of_overlapping_prefixes() {
    let used = [(net("10.0.0.0/8"), 0), (net("10.1.0.0/16"), 1), (net("192.168.0.0/24"), 3)];
    assert_eq!(choose_layer(&net("10.1.2.0/24"), &used), Some(2));
    assert_eq!(choose_layer(&net("10.2.0.0/16"), &used), Some(1));
    assert_eq!(choose_layer(&net("172.16.0.0/12"), &used), Some(0));
    assert_eq!(choose_layer(&net("192.168.0.0/16"), &used), Some(4));
    assert_eq!(choose_layer(&net("fd00::/8"), &used), Some(0));
    assert_eq!(choose_layer(&net("10.0.0.0/8"), &[(net("0.0.0.0/0"), MAX_LAYER)]), None);
}

#[test]
fn chain_names_are_identifiers_and_different() {
    let name = |link: &str| in_chain(&LinkName::new(link).unwrap());
    assert_eq!(name("virbr0"), "in_virbr0");
    assert_eq!(name("br-lan"), "in_br_2dlan");
    assert_eq!(name("br_2dlan"), "in_br_5f2dlan");
    assert_eq!(name("é"), "in__c3_a9");
}

#[test]
fn the_removal_takes_all_that_is_the_networks_own() {
    let removal = Removal::of(&load(&nat("virbr0", "192.168.122.0/24", None)));
    assert_eq!(removal.chains, ["in_virbr0", "out_virbr0", "nat_virbr0-0"]);
    assert_eq!(removal.elements.len(), 5);
    assert_eq!(removal.shared, [PRESENT]);
    assert!(removal.chains.iter().all(|chain| !is_shared_chain(chain)));
    assert_eq!(Removal::parse(&removal.words()), Ok(removal));
}

#[test]
fn digest_follows_the_rules() {
    let comments = |traffic: &Traffic| {
        Chains::of(traffic).all().map(|(_, comment)| comment).collect::<Vec<_>>()
    };
    let one = comments(&nat("virbr0", "192.168.122.0/24", None));
    let other = comments(&nat("virbr0", "192.168.122.0/24", Some("eth0")));
    assert_eq!(one.len(), 3);
    assert!(one.iter().zip(&other).all(|(a, b)| a != b));
    assert_eq!(one, comments(&nat("virbr0", "192.168.122.0/24", None)));
}
