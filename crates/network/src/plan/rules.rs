//! The firewall rules of a network, for whichever backend they are, and what takes them away.

use oxivirt_conf::status::{Errors, FirewallBackend, FirewallLayer};
use oxivirt_nft::iptables::Rule;
use oxivirt_nft::passage::{Passage, UserChain};
use oxivirt_nft::{Change, Family, Removal, Transaction};

use oxivirt_nft::kernel::Load;
use oxivirt_types::link_name::LinkName;

use super::error::PlanError;
use super::iptables::Services;
use super::nftables::{self, Layer};
use super::removal::{JumpTarget, Removes, SavedAction, SavedGroup};
use super::{Plan, SavedRemoval, Step, Undo, iptables, traffic};
use crate::network::Network;

/// The rules of a network.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Rules {
    /// What loads them, shared objects included, and takes libvirt's away.
    Nftables(Load),
    /// In the order in which they are inserted.
    Iptables(Vec<Rule>),
}

/// How rules are set on a host.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Firewall<'a> {
    /// By which programs or interface.
    pub backend: FirewallBackend,
    /// Whether nobody else may change the nftables table.
    pub owns_table: bool,
    /// Whether checksums of DHCP answers can be filled in.
    pub has_checksum: bool,
    /// Chains of other programs in which packets of networks are accepted too. Of use for nftables
    /// only: iptables' rules are in the same chains as those of the others, and before them.
    pub user_chains: &'a [UserChain],
}

impl Default for Firewall<'_> {
    fn default() -> Self {
        Self {
            backend: FirewallBackend::Nftables,
            owns_table: false,
            has_checksum: false,
            user_chains: &[],
        }
    }
}

/// The rules that a definition wants; `None` if it has none.
///
/// # Errors
/// [`PlanError`] if they cannot be made, or there is no way to set any.
pub fn wanted(
    network: &Network,
    layers: &[Layer],
    firewall: Firewall<'_>,
) -> Result<Option<Rules>, PlanError> {
    let Some(traffic) = traffic::traffic(network, layers)? else { return Ok(None) };
    Ok(Some(match firewall.backend {
        FirewallBackend::None => return Err(PlanError::NoFirewall),
        FirewallBackend::Nftables => Rules::Nftables(Load {
            transaction: nftables::load(&traffic).with_owner(firewall.owns_table),
            supersedes: vec![nftables::libvirt(&traffic)],
            passages: passages(network, &traffic.bridge, firewall.user_chains),
        }),
        FirewallBackend::Iptables => {
            Rules::Iptables(iptables::rules(&traffic, Services::of(network, firewall.has_checksum)))
        }
    }))
}

/// The ways through the filters of others that the forwarded packets of a network take.
fn passages(network: &Network, bridge: &LinkName, user_chains: &[UserChain]) -> Vec<Passage> {
    let families = [Family::Ipv4, Family::Ipv6].into_iter();
    let passages = families.filter(|family| network.forwards(*family)).map(|family| {
        let of_family = user_chains.iter().filter(|chain| chain.family == family);
        let from = of_family.map(|chain| chain.name.clone()).collect();
        Passage { family, from, bridge: bridge.clone() }
    });
    passages.filter(|passage| !passage.from.is_empty()).collect()
}

impl Rules {
    /// What removes the rules.
    #[must_use]
    pub fn removal(&self) -> SavedRemoval {
        match self {
            Self::Nftables(load) => {
                let mut removes =
                    vec![Removes::Rules(Removal::of(&load.transaction)), Removes::UnusedTable];
                removes.extend(load.passages.iter().map(|passage| {
                    let (family, bridge) = (passage.family, passage.bridge.clone());
                    Removes::UserChainJump(JumpTarget { family, bridge })
                }));
                let actions = removes.into_iter().map(|what| action(FirewallLayer::Ipv4, what));
                let group = group(actions);
                SavedRemoval { backend: FirewallBackend::Nftables, groups: vec![group] }
            }
            Self::Iptables(rules) => {
                let (optional, needed): (Vec<_>, Vec<_>) =
                    rules.iter().rev().partition(|rule| rule.is_optional);
                let groups = [optional, needed].into_iter().filter(|rules| !rules.is_empty());
                let groups = groups.map(|rules| group(rules.into_iter().map(deletion)));
                SavedRemoval { backend: FirewallBackend::Iptables, groups: groups.collect() }
            }
        }
    }
}

fn group(actions: impl IntoIterator<Item = SavedAction>) -> SavedGroup {
    SavedGroup { errors: Errors::Ignore, actions: actions.into_iter().collect() }
}

fn action(layer: FirewallLayer, removes: Removes) -> SavedAction {
    SavedAction { layer, errors: Errors::Report, removes }
}

/// Whether a rule may fail to be added is no part of its removal.
fn deletion(rule: &Rule) -> SavedAction {
    let removed = Rule { is_optional: false, ..rule.clone() };
    action(layer(rule.family), Removes::Iptables(removed))
}

const fn layer(family: Family) -> FirewallLayer {
    match family {
        Family::Ipv4 => FirewallLayer::Ipv4,
        Family::Ipv6 => FirewallLayer::Ipv6,
    }
}

/// What removes rules that are about to be loaded, if the status file cannot hold it beside `old`.
#[must_use]
pub fn unrecorded_removal(old: Option<&SavedRemoval>, new: Option<&SavedRemoval>) -> Plan<Undo> {
    let mut plan = Plan::default();
    if let (Some(old), Some(new)) = (old, new)
        && old.backend != new.backend
    {
        plan.then(new.undo());
    }
    plan
}

/// What removes the rules of both, whichever are there.
///
/// Removals of different backends cannot be in one element; the old one is what is there.
#[must_use]
pub fn union(old: Option<&SavedRemoval>, new: Option<&SavedRemoval>) -> Option<SavedRemoval> {
    match (old, new) {
        (None, other) | (other, None) => other.cloned(),
        (Some(old), Some(new)) if old == new || old.backend != new.backend => Some(old.clone()),
        (Some(old), Some(new)) => {
            let groups = old.groups.iter().chain(&new.groups).cloned().collect();
            Some(SavedRemoval { backend: old.backend, groups })
        }
    }
}

/// A change of rules, complete or not at all.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RulesChange {
    /// One transaction.
    Nftables(Load),
    /// One transaction for each family.
    Iptables {
        /// Rules that go, if they are there.
        remove: Vec<Rule>,
        /// Rules that come.
        add: Vec<Rule>,
    },
}

impl RulesChange {
    /// Changes of several networks as one for each backend. Shared objects are added once.
    #[must_use]
    pub fn merged(changes: &[&Self]) -> Vec<Self> {
        let mut all: Option<Load> = None;
        let (mut remove, mut add) = (Vec::new(), Vec::new());
        let mut shared = Vec::new();
        for change in changes {
            match change {
                Self::Nftables(load) => {
                    let all = all.get_or_insert_with(|| Load {
                        transaction: Transaction {
                            table: load.transaction.table.clone(),
                            changes: Vec::new(),
                        },
                        ..Load::default()
                    });
                    all.supersedes.extend(load.supersedes.iter().cloned());
                    all.passages.extend(load.passages.iter().cloned());
                    for change in &load.transaction.changes {
                        if nftables::is_shared(change) {
                            if shared.contains(&change) {
                                continue;
                            }
                            shared.push(change);
                        }
                        all.transaction.changes.push(change.clone());
                    }
                }
                Self::Iptables { remove: old, add: new } => {
                    remove.extend(old.iter().cloned());
                    add.extend(new.iter().cloned());
                }
            }
        }
        let mut merged: Vec<_> = all.into_iter().map(Self::Nftables).collect();
        if !add.is_empty() {
            merged.push(Self::Iptables { remove, add });
        }
        merged
    }

    /// What takes the rules away that the change brings.
    #[must_use]
    pub fn undo(&self) -> Vec<Undo> {
        let rules = match self {
            Self::Nftables(load) => Rules::Nftables(load.clone()),
            Self::Iptables { add, .. } => Rules::Iptables(add.clone()),
        };
        rules.removal().undo()
    }
}

impl std::fmt::Display for RulesChange {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Nftables(load) => {
                write!(f, "load {} firewall changes", load.transaction.changes.len())
            }
            Self::Iptables { add, .. } => write!(f, "load {} iptables rules", add.len()),
        }
    }
}

/// The steps from the rules that are there to those that are wanted.
///
/// `saved` is what is known to remove rules: what it names leaves in the transaction in which the new
/// rules come, if it is of the same backend, and right after it if not; so there is no moment without
/// rules.
pub(super) fn steps(have: Option<&Rules>, want: Option<&Rules>, saved: &[Undo]) -> Vec<Step> {
    if have == want {
        return Vec::new();
    }
    let saved = saved.iter().cloned();
    let mut others = Vec::new();
    let mut steps = Vec::new();
    match want {
        None => others.extend(saved),
        Some(Rules::Nftables(wanted)) => {
            let mut ours = Vec::new();
            for undo in saved {
                match undo {
                    Undo::RemoveRules(removal) if removal.table == wanted.transaction.table => {
                        ours.push(removal);
                    }
                    // It stays, and the transaction completes it.
                    Undo::RemoveUserChainJump(target) if is_wanted(&target, wanted) => {}
                    // They go in the transaction in any case.
                    Undo::RemoveLibvirtRules(_) => {}
                    other => others.push(other),
                }
            }
            let transaction = replacement(&ours, wanted.transaction.clone());
            let load = Load { transaction, ..wanted.clone() };
            steps.push(Step::LoadRules(RulesChange::Nftables(load)));
        }
        Some(Rules::Iptables(wanted)) => {
            let mut remove = Vec::new();
            for undo in saved {
                match undo {
                    Undo::RemoveIptables(rules) => remove.extend(rules),
                    other => others.push(other),
                }
            }
            // Of what is wanted a part may be there, whatever was saved.
            let unsaved: Vec<_> =
                wanted.iter().rev().filter(|rule| !is_among(&remove, rule)).cloned().collect();
            remove.extend(unsaved);
            let add = wanted.clone();
            steps.push(Step::LoadRules(RulesChange::Iptables { remove, add }));
        }
    }
    steps.extend(others.into_iter().map(Step::Undo));
    steps
}

/// Whether the rules that are wanted have a chain for a family's packets too.
fn is_wanted(target: &JumpTarget, wanted: &Load) -> bool {
    let is_same =
        |passage: &Passage| passage.family == target.family && passage.bridge == target.bridge;
    wanted.passages.iter().any(is_same)
}

fn is_among(rules: &[Rule], rule: &Rule) -> bool {
    rules.iter().any(|other| other.family == rule.family && other.deletion() == rule.deletion())
}

/// The transaction that removes what is saved and loads what is wanted.
fn replacement(saved: &[Removal], wanted: Transaction) -> Transaction {
    let mut removed: Vec<_> = saved.iter().flat_map(|old| old.saved().changes).collect();
    if removed.is_empty() {
        return wanted;
    }
    // The table first: if it is gone, the removal would have nothing to refer to.
    let is_owned = wanted.owns().unwrap_or_default();
    let mut changes = vec![Change::AddTable];
    changes.append(&mut removed);
    changes.extend(wanted.changes);
    Transaction { table: wanted.table, changes }.with_owner(is_owned)
}
