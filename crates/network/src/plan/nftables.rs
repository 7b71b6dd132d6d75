//! The nftables rules of a network.
//!
//! One table for all networks of a host. A packet that concerns none of them costs three hash
//! lookups (and one tree lookup per IP version for a new flow), however many there are:
//!
//! ```text
//! forward:      iifname . oifname → @cross   traffic within a bridge: accepted
//!               iifname → @gout              from a bridge: what it may send returns, the rest is rejected
//!               oifname → @gin               to a bridge: what it may receive is accepted, the rest rejected
//! postrouting:  ip saddr → @nat4_0, ip6 saddr → @nat6_0
//! ```
//!
//! What a network may send *returns* from its `out_` chain instead of being accepted, so that the
//! destination's `in_` chain is always asked: a guest of an isolated or NAT network cannot reach a
//! routed network.
//!
//! Every transaction is complete in itself: it adds the shared objects, which changes nothing if
//! they exist, and writes the rules of the base chains anew. So it works after another program flushed the
//! table, and never depends on what this process believes about the kernel.

use std::net::IpAddr;

use ipnet::IpNet;
use oxivirt_nft::libvirt::NetworkRules;
use oxivirt_nft::model::{L4Protocol, LookupKey};
use oxivirt_nft::{
    Action, ChainHook, Change, Family, Key, Map, Match, PortRange, Rule, Set, Transaction, Verdict,
    removal, text,
};
use oxivirt_types::link_name::LinkName;
use uuid::Uuid;

/// The table of all our rules, of family `inet`.
pub const TABLE: &str = "oxivirt_network";

const FORWARD: &str = "forward";
/// A map that no packet is looked up in, and the empty chain that its elements name: one for each
/// network. While there is one, the chain cannot be deleted, and so neither can the table, by the words
/// of [`table_teardown`].
const PRESENT: &str = "present";
const CROSS: &str = "cross";
const GUEST_IN: &str = "gin";
const GUEST_OUT: &str = "gout";
/// IPv4 destinations that never leave the link: local multicast, broadcast.
const LOCAL4: &str = "local4";

/// Overlapping prefixes go to different layers; each layer is a base chain with maps of its own.
pub type Layer = u8;

/// The highest layer.
pub const MAX_LAYER: Layer = 99;
/// Priority of the base chain of layer 0, `srcnat`; a newer layer is asked first.
const NAT_PRIORITY: i32 = 100;

/// Which traffic a network lets pass, and how it is translated.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Traffic {
    /// The network, for the comments of its chains.
    pub uuid: Uuid,
    /// Its bridge.
    pub bridge: LinkName,
    /// The only link that traffic to and from outside may use; `None` for any.
    pub uplink: Option<LinkName>,
    /// IP versions whose traffic is regulated; those of other versions pass unregulated.
    pub regulates_ipv6: bool,
    /// Its subnets in the order of the definition.
    pub subnets: Vec<Subnet>,
}

/// A subnet and what its guests may do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Subnet {
    /// The subnet, without host bits.
    pub net: IpNet,
    /// Its way to the outside.
    pub outside: Outside,
}

/// How a subnet reaches the outside.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outside {
    /// Not at all.
    None,
    /// As it is; the outside reaches it too.
    Routed,
    /// Behind addresses of the host; only answers come in.
    Translated {
        /// Source addresses to choose from; `None` for the address of the outgoing link.
        addresses: Option<(IpAddr, IpAddr)>,
        /// Source ports for TCP and UDP.
        ports: PortRange,
        /// Which pair of maps holds the subnet.
        layer: Layer,
    },
}

/// Whether a chain is shared by all networks.
#[must_use]
pub fn is_shared_chain(name: &str) -> bool {
    name == FORWARD || name == PRESENT || name.starts_with("postrouting")
}

/// The arguments of one `nft` call that takes the table away if no network is left in it, for programs
/// that know no more than to run saved commands.
#[must_use]
pub fn table_teardown() -> Vec<String> {
    removal::teardown_words(TABLE, PRESENT)
}

/// Whether a change is about what all networks share.
#[must_use]
pub fn is_shared(change: &Change) -> bool {
    match change {
        Change::AddTable
        | Change::AddOwnedTable
        | Change::AddBaseChain { .. }
        | Change::AddSharedChain { .. }
        | Change::AddMap { .. }
        | Change::AddSet { .. } => true,
        Change::FlushChain { name } | Change::AddRule { chain: name, .. } => is_shared_chain(name),
        _ => false,
    }
}

/// What loads the rules of a network, shared objects included.
#[must_use]
pub fn load(traffic: &Traffic) -> Transaction {
    let chains = Chains::of(traffic);
    let mut changes = Vec::new();
    let layers = layers(traffic);
    // Chains before maps: nft 1.0.6 cannot resolve a chain that is newer than the interval map
    // whose element names it.
    shared_chains(&mut changes, &layers);
    changes.extend(
        chains.all().map(|(name, comment)| Change::AddChain { name, comment: Some(comment) }),
    );
    shared_maps(&mut changes, &layers);
    changes.extend(chains.rules.iter().flat_map(|(chain, rules)| {
        let flush = Change::FlushChain { name: chain.clone() };
        let rules =
            rules.iter().map(|rule| Change::AddRule { chain: chain.clone(), rule: rule.clone() });
        std::iter::once(flush).chain(rules)
    }));
    elements(&mut changes, traffic);
    Transaction { table: TABLE.to_owned(), changes }
}

/// What libvirt has for the same network.
#[must_use]
pub fn libvirt(traffic: &Traffic) -> NetworkRules {
    let subnets = traffic.subnets.iter().map(|subnet| subnet.net).collect();
    NetworkRules { bridge: traffic.bridge.clone(), subnets }
}

/// The layers a network uses, layer 0 always.
fn layers(traffic: &Traffic) -> Vec<Layer> {
    let used = traffic.subnets.iter().filter_map(|subnet| match subnet.outside {
        Outside::Translated { layer, .. } => Some(layer),
        _ => None,
    });
    let mut layers: Vec<_> = std::iter::once(0).chain(used).collect();
    layers.sort_unstable();
    layers.dedup();
    layers
}

fn postrouting(layer: Layer) -> String {
    if layer == 0 { "postrouting".to_owned() } else { format!("postrouting_{layer}") }
}

/// Name of the map from prefixes of a layer to chains.
#[must_use]
pub fn nat_map(family: Family, layer: Layer) -> String {
    match family {
        Family::Ipv4 => format!("nat4_{layer}"),
        Family::Ipv6 => format!("nat6_{layer}"),
    }
}

/// The layer of a map that [`nat_map`] named.
#[must_use]
pub fn layer_of_map(name: &str) -> Option<Layer> {
    name.strip_prefix("nat4_").or_else(|| name.strip_prefix("nat6_"))?.parse().ok()
}

fn shared_chains(changes: &mut Vec<Change>, layers: &[Layer]) {
    changes.push(Change::AddTable);
    changes.push(Change::AddBaseChain {
        name: FORWARD.to_owned(),
        hook: ChainHook::FilterForward,
        priority: 0,
    });
    changes.push(Change::AddSharedChain { name: PRESENT.to_owned() });
    changes.extend(layers.iter().map(|layer| Change::AddBaseChain {
        name: postrouting(*layer),
        hook: ChainHook::NatPostrouting,
        priority: NAT_PRIORITY - i32::from(*layer),
    }));
}

fn shared_maps(changes: &mut Vec<Change>, layers: &[Layer]) {
    let mut map = |name: String, map| changes.push(Change::AddMap { name, map });
    map(PRESENT.to_owned(), Map::Link);
    map(CROSS.to_owned(), Map::LinkPair);
    map(GUEST_OUT.to_owned(), Map::Link);
    map(GUEST_IN.to_owned(), Map::Link);
    for layer in layers {
        for family in [Family::Ipv4, Family::Ipv6] {
            map(nat_map(family, *layer), Map::Prefix(family));
        }
    }
    let local =
        [IpNet::new_assert([224, 0, 0, 0].into(), 24), IpNet::new_assert([255; 4].into(), 32)];
    changes.push(Change::AddSet {
        name: LOCAL4.to_owned(),
        set: Set::Prefixes(Family::Ipv4, local.to_vec()),
    });
    let mut base = |chain: String, lookups: Vec<(LookupKey, String)>| {
        changes.push(Change::FlushChain { name: chain.clone() });
        for (key, map) in lookups {
            let rule = Rule { matches: Vec::new(), action: Action::Lookup(key, map) };
            changes.push(Change::AddRule { chain: chain.clone(), rule });
        }
    };
    base(
        FORWARD.to_owned(),
        vec![
            (LookupKey::LinkPair, CROSS.to_owned()),
            (LookupKey::InLink, GUEST_OUT.to_owned()),
            (LookupKey::OutLink, GUEST_IN.to_owned()),
        ],
    );
    for layer in layers {
        let lookup = |family| (LookupKey::Source(family), nat_map(family, *layer));
        base(postrouting(*layer), vec![lookup(Family::Ipv4), lookup(Family::Ipv6)]);
    }
}

/// The part of a chain's name that identifies the bridge.
///
/// Link names may hold characters that nft's identifiers cannot, so all but letters, digits and
/// dots are spelled in hexadecimal after an underscore; different links have different names.
#[must_use]
pub fn identifier(bridge: &LinkName) -> String {
    let mut name = String::new();
    for byte in bridge.as_str().bytes() {
        if byte.is_ascii_alphanumeric() || byte == b'.' {
            name.push(char::from(byte));
        } else {
            name.push_str(&format!("_{byte:02x}"));
        }
    }
    name
}

/// Which part of a network's rules a chain has, and the identifier of its bridge.
#[must_use]
pub fn part_of(chain: &str) -> Option<(&'static str, &str)> {
    match chain.split_once('_')? {
        ("in", bridge) => Some(("in", bridge)),
        ("out", bridge) => Some(("out", bridge)),
        ("nat", rest) => rest.rsplit_once('-').map(|(bridge, _)| ("nat", bridge)),
        _ => None,
    }
}

fn in_chain(bridge: &LinkName) -> String {
    format!("in_{}", identifier(bridge))
}

fn out_chain(bridge: &LinkName) -> String {
    format!("out_{}", identifier(bridge))
}

fn nat_chain(bridge: &LinkName, index: usize) -> String {
    format!("nat_{}-{index}", identifier(bridge))
}

/// The chains of one network with their rules.
struct Chains {
    uuid: Uuid,
    rules: Vec<(String, Vec<Rule>)>,
}

impl Chains {
    fn of(traffic: &Traffic) -> Self {
        let mut rules = vec![
            (in_chain(&traffic.bridge), in_rules(traffic)),
            (out_chain(&traffic.bridge), out_rules(traffic)),
        ];
        for (index, subnet) in traffic.subnets.iter().enumerate() {
            if let Outside::Translated { addresses, ports, .. } = &subnet.outside {
                let nat = nat_rules(&subnet.net, traffic.uplink.as_ref(), *addresses, *ports);
                rules.push((nat_chain(&traffic.bridge, index), nat));
            }
        }
        Self { uuid: traffic.uuid, rules }
    }

    /// Names and comments. The comment says whose chain it is and which rules are in it.
    fn all(&self) -> impl Iterator<Item = (String, String)> {
        self.rules.iter().map(|(name, rules)| {
            let digest = digest(name, rules);
            (name.clone(), format!("{} {digest:016x}", self.uuid))
        })
    }
}

/// A number that differs when the rules of a chain differ (FNV-1a, 64 bits, of their text).
fn digest(chain: &str, rules: &[Rule]) -> u64 {
    let changes = rules
        .iter()
        .map(|rule| Change::AddRule { chain: chain.to_owned(), rule: rule.clone() })
        .collect();
    let script = text::script(&Transaction { table: TABLE.to_owned(), changes });
    script.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

fn rule(matches: impl IntoIterator<Item = Match>, action: Action) -> Rule {
    Rule { matches: matches.into_iter().collect(), action }
}

/// What ends both chains: everything else is refused, for the IP versions we regulate.
fn otherwise_reject(traffic: &Traffic) -> Rule {
    let family = (!traffic.regulates_ipv6).then_some(Match::Family(Family::Ipv4));
    rule(family, Action::Reject)
}

fn in_rules(traffic: &Traffic) -> Vec<Rule> {
    let uplink = || traffic.uplink.clone().map(Match::InLink);
    let mut rules = Vec::new();
    // The newest subnet first, as libvirt's insertions have it.
    for subnet in traffic.subnets.iter().rev() {
        let destination = Match::Destination(subnet.net);
        match subnet.outside {
            Outside::None => {}
            Outside::Routed => {
                rules.push(rule(uplink().into_iter().chain([destination]), Action::Accept));
            }
            Outside::Translated { .. } => {
                let matches = uplink().into_iter().chain([destination, Match::Established]);
                rules.push(rule(matches, Action::Accept));
            }
        }
    }
    rules.push(otherwise_reject(traffic));
    rules
}

fn out_rules(traffic: &Traffic) -> Vec<Rule> {
    let uplink = || traffic.uplink.clone().map(Match::OutLink);
    let mut rules = Vec::new();
    for subnet in traffic.subnets.iter().rev() {
        if subnet.outside != Outside::None {
            rules.push(rule(
                [Match::Source(subnet.net)].into_iter().chain(uplink()),
                Action::Return,
            ));
        }
    }
    rules.push(otherwise_reject(traffic));
    rules
}

/// What happens to the source of a new flow from `net`.
fn nat_rules(
    net: &IpNet,
    uplink: Option<&LinkName>,
    addresses: Option<(IpAddr, IpAddr)>,
    ports: PortRange,
) -> Vec<Rule> {
    let family = Family::of_net(net);
    let uplink = || uplink.cloned().map(Match::OutLink).into_iter();
    let local = match family {
        Family::Ipv4 => Match::DestinationIn(Family::Ipv4, LOCAL4.to_owned()),
        Family::Ipv6 => {
            Match::Destination(IpNet::new_assert([0xff02, 0, 0, 0, 0, 0, 0, 0].into(), 16))
        }
    };
    let translate = |ports| match addresses {
        Some((start, end)) => Action::Snat { start, end, ports },
        None => Action::Masquerade(ports),
    };
    let elsewhere = Match::NotDestination(*net);
    // Ports can only be chosen for a protocol that has them, hence a rule for each.
    let with_ports = |protocol| {
        let matches = uplink().chain([elsewhere.clone(), Match::L4Protocol(protocol)]);
        rule(matches, translate(Some(ports)))
    };
    vec![
        rule(uplink().chain([local]), Action::Return),
        with_ports(L4Protocol::Tcp),
        with_ports(L4Protocol::Udp),
        rule(uplink().chain([elsewhere.clone()]), translate(None)),
    ]
}

fn elements(changes: &mut Vec<Change>, traffic: &Traffic) {
    let bridge = &traffic.bridge;
    let mut element = |map: &str, key, verdict| {
        changes.push(Change::AddElement { map: map.to_owned(), key, verdict });
    };
    element(PRESENT, Key::Link(bridge.clone()), Verdict::Jump(PRESENT.to_owned()));
    element(GUEST_IN, Key::Link(bridge.clone()), Verdict::Goto(in_chain(bridge)));
    element(GUEST_OUT, Key::Link(bridge.clone()), Verdict::Jump(out_chain(bridge)));
    element(CROSS, Key::LinkPair(bridge.clone(), bridge.clone()), Verdict::Accept);
    for (index, subnet) in traffic.subnets.iter().enumerate() {
        if let Outside::Translated { layer, .. } = subnet.outside {
            let map = nat_map(Family::of_net(&subnet.net), layer);
            element(&map, Key::Prefix(subnet.net), Verdict::Jump(nat_chain(bridge, index)));
        }
    }
}

/// The layer for a subnet: above every overlapping one, so that the newest is asked first.
///
/// `used` are the translated subnets of all networks with their layers. `None` if there are too
/// many layers.
#[must_use]
pub fn choose_layer<'a>(
    net: &IpNet,
    used: impl IntoIterator<Item = &'a (IpNet, Layer)>,
) -> Option<Layer> {
    let overlapping = |other: &IpNet| net.contains(other) || other.contains(net);
    let highest =
        used.into_iter().filter(|(other, _)| overlapping(other)).map(|(_, layer)| *layer).max();
    match highest {
        None => Some(0),
        Some(layer) if layer < MAX_LAYER => Some(layer + 1),
        Some(_) => None,
    }
}

#[cfg(test)]
mod tests;
