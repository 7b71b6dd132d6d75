//! The nftables backend: one transaction, in the driver's own table.

use oxivirt_conf::status::{Errors, FirewallBackend as Backend, FirewallLayer};
use oxivirt_nft::kernel::Load;
use oxivirt_nft::text::script;
use oxivirt_nft::user_chain::{UserChain, UserChainJump};
use oxivirt_nft::{Change, Removal, Transaction};
use oxivirt_types::link_name::LinkName;

use super::{FAMILIES, Firewall, FirewallBackend, RulesTransaction, group};
use crate::network::Network;
use crate::plan::nftables::{self, Traffic};
use crate::plan::removal::{JumpTarget, Removes, SavedAction};
use crate::plan::{SavedRemoval, Undo};

impl FirewallBackend for Load {
    type Change = Self;

    fn wanted(network: &Network, traffic: &Traffic, firewall: Firewall<'_>) -> Self {
        Self {
            transaction: nftables::load(traffic).with_owner(firewall.owns_table),
            supersedes: vec![nftables::libvirt(traffic)],
            jumps: jumps(network, &traffic.bridge, firewall.user_chains),
        }
    }

    fn removal(&self) -> SavedRemoval {
        let mut removes =
            vec![Removes::Rules(Removal::of(&self.transaction)), Removes::UnusedTable];
        removes.extend(self.jumps.iter().map(|jump| {
            let (family, bridge) = (jump.family, jump.bridge.clone());
            Removes::UserChainJump(JumpTarget { family, bridge })
        }));
        let (layer, errors) = (FirewallLayer::Ipv4, Errors::Report);
        let actions = removes.into_iter().map(|removes| SavedAction { layer, errors, removes });
        SavedRemoval { backend: Backend::Nftables, groups: vec![group(actions)] }
    }

    fn replace(&self, saved: Vec<Undo>) -> (Self, Vec<Undo>) {
        let (mut ours, mut rest) = (Vec::new(), Vec::new());
        for undo in saved {
            match undo {
                Undo::RemoveRules(removal) if removal.table == self.transaction.table => {
                    ours.push(removal);
                }
                // It stays, and the transaction completes it.
                Undo::RemoveUserChainJump(target) if has_jump(self, &target) => {}
                // They go in the transaction in any case.
                Undo::RemoveLibvirtRules(_) => {}
                other => rest.push(other),
            }
        }
        let transaction = replacement(&ours, self.transaction.clone());
        (Self { transaction, ..self.clone() }, rest)
    }
}

impl RulesTransaction for Load {
    type Rules = Self;

    fn rules(&self) -> Self {
        self.clone()
    }

    fn merged(changes: &[&Self]) -> Option<Self> {
        let table = changes.first()?.transaction.table.clone();
        let mut all =
            Self { transaction: Transaction { table, changes: Vec::new() }, ..Self::default() };
        let mut shared = Vec::new();
        for load in changes {
            all.supersedes.extend(load.supersedes.iter().cloned());
            all.jumps.extend(load.jumps.iter().cloned());
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
        Some(all)
    }

    fn summary(&self) -> String {
        format!("load {} firewall changes", self.transaction.changes.len())
    }

    fn lines(&self) -> Vec<String> {
        let lines = script(&self.transaction);
        let jump = |jump: &UserChainJump| {
            let (family, from) = (jump.family, jump.from.join(", "));
            format!("accept {family} packets of {} in {from}", jump.bridge)
        };
        lines.lines().map(str::to_owned).chain(self.jumps.iter().map(jump)).collect()
    }
}

/// The ways through the filters of other programs that the forwarded packets of a network take.
fn jumps(network: &Network, bridge: &LinkName, user_chains: &[UserChain]) -> Vec<UserChainJump> {
    let jumps = FAMILIES.into_iter().filter(|family| network.forwards(*family)).map(|family| {
        let of_family = user_chains.iter().filter(|chain| chain.family == family);
        let from = of_family.map(|chain| chain.name.clone()).collect();
        UserChainJump { family, from, bridge: bridge.clone() }
    });
    jumps.filter(|jump| !jump.from.is_empty()).collect()
}

/// Whether the rules that are wanted have a chain for a family's packets too.
fn has_jump(wanted: &Load, target: &JumpTarget) -> bool {
    let is_same =
        |jump: &UserChainJump| jump.family == target.family && jump.bridge == target.bridge;
    wanted.jumps.iter().any(is_same)
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
