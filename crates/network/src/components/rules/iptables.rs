//! The iptables backend: libvirt's rules in libvirt's chains, one transaction for each family.

use oxivirt_conf::status::{Errors, FirewallBackend as Backend, FirewallLayer};
use oxivirt_nft::Family;
use oxivirt_nft::iptables::Rule;

use super::{Firewall, FirewallBackend, RulesTransaction, group};
use crate::network::Network;
use crate::plan::iptables::{self, Services};
use crate::plan::nftables::Traffic;
use crate::plan::removal::{Removes, SavedAction};
use crate::plan::{SavedRemoval, Undo};

/// A change of iptables rules.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct IptablesChange {
    /// Rules that go, if they are there.
    pub remove: Vec<Rule>,
    /// Rules that come.
    pub add: Vec<Rule>,
}

impl FirewallBackend for Vec<Rule> {
    type Change = IptablesChange;

    fn wanted(network: &Network, traffic: &Traffic, firewall: Firewall<'_>) -> Self {
        iptables::rules(traffic, Services::of(network, firewall.has_checksum))
    }

    fn removal(&self) -> SavedRemoval {
        let (optional, needed): (Vec<_>, Vec<_>) =
            self.iter().rev().partition(|rule| rule.is_optional);
        let groups = [optional, needed].into_iter().filter(|rules| !rules.is_empty());
        let groups = groups.map(|rules| group(rules.into_iter().map(deletion)));
        SavedRemoval { backend: Backend::Iptables, groups: groups.collect() }
    }

    fn replace(&self, saved: Vec<Undo>) -> (IptablesChange, Vec<Undo>) {
        let (mut remove, mut rest) = (Self::new(), Vec::new());
        for undo in saved {
            match undo {
                Undo::RemoveIptables(rules) => remove.extend(rules),
                other => rest.push(other),
            }
        }
        // Of what is wanted a part may be there, whatever was saved.
        let unsaved: Self =
            self.iter().rev().filter(|rule| !is_among(&remove, rule)).cloned().collect();
        remove.extend(unsaved);
        (IptablesChange { remove, add: self.clone() }, rest)
    }
}

impl RulesTransaction for IptablesChange {
    type Rules = Vec<Rule>;

    fn rules(&self) -> Vec<Rule> {
        self.add.clone()
    }

    fn merged(changes: &[&Self]) -> Option<Self> {
        let mut all = Self::default();
        for change in changes {
            all.remove.extend(change.remove.iter().cloned());
            all.add.extend(change.add.iter().cloned());
        }
        (!all.add.is_empty()).then_some(all)
    }

    fn summary(&self) -> String {
        format!("load {} iptables rules", self.add.len())
    }

    fn lines(&self) -> Vec<String> {
        self.add.iter().map(|rule| rule.insertion().join(" ")).collect()
    }
}

/// Whether a rule may fail to be added is no part of its removal.
fn deletion(rule: &Rule) -> SavedAction {
    let removed = Rule { is_optional: false, ..rule.clone() };
    SavedAction {
        layer: layer(rule.family),
        errors: Errors::Report,
        removes: Removes::Iptables(removed),
    }
}

const fn layer(family: Family) -> FirewallLayer {
    match family {
        Family::Ipv4 => FirewallLayer::Ipv4,
        Family::Ipv6 => FirewallLayer::Ipv6,
    }
}

fn is_among(rules: &[Rule], rule: &Rule) -> bool {
    rules.iter().any(|other| other.family == rule.family && other.deletion() == rule.deletion())
}
