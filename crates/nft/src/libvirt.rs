//! Finds the rules that libvirt's nftables backend made for a network.
//!
//! libvirt saves the handles of its rules. After the table was recreated a handle can belong to a
//! rule of another network, so the rules are identified by the bridge that they name, by the subnets
//! that they translate, and by links that no longer exist.
//!
//! libvirt 11.3.0: src/network/network_nftables.c

use ipnet::IpNet;

use oxivirt_types::link_name::LinkName;

/// The tables of libvirt, of families `ip` and `ip6`.
pub const TABLE: &str = "libvirt_network";
/// Its base chain that jumps to the chains with the rules of networks.
pub const FORWARD: &str = "forward";
/// How many jumps there are in it.
pub const N_JUMPS: usize = 3;
/// Its chain with the translations.
pub const NAT: &str = "guest_nat";

/// Whose rules are meant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NetworkRules {
    /// The network's bridge.
    pub bridge: LinkName,
    /// Its subnets.
    pub subnets: Vec<IpNet>,
}

/// The parts of a rule in one of libvirt's tables that identify its network.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RuleState {
    /// Its chain.
    pub chain: String,
    /// Its number in the table.
    pub handle: u64,
    /// Index of the incoming link.
    pub in_link: Option<u32>,
    /// Index of the outgoing link.
    pub out_link: Option<u32>,
    /// Source addresses.
    pub source: Option<IpNet>,
    /// Destination addresses; not those that are excluded.
    pub destination: Option<IpNet>,
}

impl RuleState {
    /// Whether the rule belongs to a network whose bridge has this index, or to a link that is gone.
    ///
    /// `exists` returns whether a link has an index.
    #[must_use]
    pub fn is_of(
        &self,
        network: &NetworkRules,
        bridge: Option<u32>,
        exists: &dyn Fn(u32) -> bool,
    ) -> bool {
        if self.chain == FORWARD {
            return false;
        }
        let is_subnet = |net: &Option<IpNet>| {
            net.is_some_and(|net| network.subnets.iter().any(|own| own.trunc() == net))
        };
        if self.chain == NAT {
            return is_subnet(&self.source);
        }
        let links = [self.in_link, self.out_link].into_iter().flatten();
        links.into_iter().any(|link| Some(link) == bridge || !exists(link))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_are_identified_by_links_and_subnets() {
        let network = NetworkRules {
            bridge: "virbr0".parse().unwrap(),
            subnets: vec!["10.0.0.1/24".parse().unwrap()],
        };
        let subnet: IpNet = "10.0.0.0/24".parse().unwrap();
        let check = |rule: RuleState, expect: bool| {
            assert_eq!(rule.is_of(&network, Some(5), &|link| link < 7), expect, "{rule:?}");
        };
        let rule = |chain: &str| RuleState { chain: chain.to_owned(), ..RuleState::default() };
        check(RuleState { in_link: Some(5), ..rule("guest_output") }, true);
        check(RuleState { in_link: Some(6), ..rule("guest_output") }, false);
        check(RuleState { out_link: Some(8), ..rule("guest_input") }, true);
        check(RuleState { source: Some(subnet), ..rule(NAT) }, true);
        let wider = "10.0.0.0/16".parse().ok();
        check(RuleState { source: wider, ..rule(NAT) }, false);
        // Traffic from another network to this one, in that network's rule.
        check(RuleState { in_link: Some(6), source: Some(subnet), ..rule("guest_output") }, false);
        check(rule(FORWARD), false);
        check(RuleState { in_link: Some(5), ..rule(FORWARD) }, false);
    }
}
