//! The firewall rules of a network, and what takes them away.
//!
//! A backend is a `FirewallBackend` in a file of its own and a variant in the two enums here; the compiler
//! asks for the rest. What a network lets pass ([`traffic`]) is the same for all.

mod iptables;
mod nftables;

use std::fmt;

use oxivirt_conf::status::{Errors, FirewallBackend as Backend};
use oxivirt_nft::Family;
use oxivirt_nft::iptables::Rule;
use oxivirt_nft::kernel::Load;
use oxivirt_nft::user_chain::UserChain;

use super::{Desired, NetworkState, PlanInputs};
use crate::apply::HostError;
use crate::apply::host;
use crate::network::Network;
use crate::plan::error::PlanError;
use crate::plan::nftables::{Layer, Traffic};
use crate::plan::removal::{SavedAction, SavedGroup};
use crate::plan::{Plan, SavedRemoval, Step, Undo, traffic};

pub use self::iptables::IptablesChange;

/// What a way to set rules does for the planner and for reports.
pub(crate) trait FirewallBackend: Sized {
    /// A change of rules, complete or not at all.
    type Change: RulesTransaction<Rules = Self>;

    /// The rules with which a network lets `traffic` pass, and nothing else.
    fn wanted(network: &Network, traffic: &Traffic, firewall: Firewall<'_>) -> Self;

    /// What removes the rules.
    fn removal(&self) -> SavedRemoval;

    /// The change that loads the rules. What of `saved` is of the same backend leaves in it; the rest is
    /// returned.
    fn replace(&self, saved: Vec<Undo>) -> (Self::Change, Vec<Undo>);
}

/// A change of rules, complete or not at all.
pub(crate) trait RulesTransaction: Sized {
    /// The rules it brings.
    type Rules;

    /// The rules it brings.
    fn rules(&self) -> Self::Rules;

    /// Several changes as one; `None` if there are none.
    fn merged(changes: &[&Self]) -> Option<Self>;

    /// The change as a verb and its object.
    fn summary(&self) -> String;

    /// The rules it brings, a line each, as an administrator would write them.
    fn lines(&self) -> Vec<String>;
}

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
    pub backend: Backend,
    /// Whether the nftables table is this process's own.
    pub owns_table: bool,
    /// Whether checksums of DHCP answers can be filled in.
    pub has_checksum: bool,
    /// Chains of other programs in which packets of networks are accepted too. Of use for nftables
    /// only: iptables' rules are in the same chains as those of other programs, and before them.
    pub user_chains: &'a [UserChain],
}

impl Default for Firewall<'_> {
    fn default() -> Self {
        Self {
            backend: Backend::Nftables,
            owns_table: false,
            has_checksum: false,
            user_chains: &[],
        }
    }
}

pub(super) fn desired(network: &Network, inputs: &PlanInputs<'_>) -> Desired<Option<Rules>> {
    wanted(network, inputs.layers, inputs.firewall)
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
        Backend::None => return Err(PlanError::NoFirewall),
        Backend::Nftables => Rules::Nftables(Load::wanted(network, &traffic, firewall)),
        Backend::Iptables => Rules::Iptables(Vec::wanted(network, &traffic, firewall)),
    }))
}

pub(super) async fn observe<H: host::Firewall>(
    host: &H,
    wanted: &[&NetworkState],
    found: &mut [NetworkState],
) -> Result<(), HostError> {
    let rules: Vec<_> = wanted.iter().filter_map(|want| want.rules.as_ref()).collect();
    let mut are_loaded = host.loaded(&rules).await?.into_iter();
    for (want, found) in wanted.iter().zip(found) {
        let Some(rules) = &want.rules else { continue };
        found.rules = are_loaded.next().unwrap_or(false).then(|| rules.clone());
    }
    Ok(())
}

impl Rules {
    /// What removes the rules.
    #[must_use]
    pub fn removal(&self) -> SavedRemoval {
        match self {
            Self::Nftables(rules) => rules.removal(),
            Self::Iptables(rules) => rules.removal(),
        }
    }

    /// The change that loads the rules; what of `saved` has to be removed besides.
    fn replace(&self, saved: Vec<Undo>) -> (RulesChange, Vec<Undo>) {
        match self {
            Self::Nftables(rules) => {
                let (change, rest) = rules.replace(saved);
                (RulesChange::Nftables(change), rest)
            }
            Self::Iptables(rules) => {
                let (change, rest) = rules.replace(saved);
                (RulesChange::Iptables(change), rest)
            }
        }
    }
}

fn group(actions: impl IntoIterator<Item = SavedAction>) -> SavedGroup {
    SavedGroup { errors: Errors::Ignore, actions: actions.into_iter().collect() }
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
    Iptables(IptablesChange),
}

impl RulesChange {
    /// Changes of several networks as one for each backend. Shared objects are added once.
    #[must_use]
    pub fn merged(changes: &[&Self]) -> Vec<Self> {
        let (mut nftables, mut iptables) = (Vec::new(), Vec::new());
        for change in changes {
            match change {
                Self::Nftables(change) => nftables.push(change),
                Self::Iptables(change) => iptables.push(change),
            }
        }
        let nftables = Load::merged(&nftables).map(Self::Nftables);
        let iptables = IptablesChange::merged(&iptables).map(Self::Iptables);
        nftables.into_iter().chain(iptables).collect()
    }

    /// What takes the rules away that the change brings.
    #[must_use]
    pub fn undo(&self) -> Vec<Undo> {
        let removal = match self {
            Self::Nftables(change) => change.rules().removal(),
            Self::Iptables(change) => change.rules().removal(),
        };
        removal.undo()
    }

    /// The rules that the change brings, a line each.
    pub(crate) fn lines(&self) -> Vec<String> {
        match self {
            Self::Nftables(change) => change.lines(),
            Self::Iptables(change) => change.lines(),
        }
    }
}

impl fmt::Display for RulesChange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&match self {
            Self::Nftables(change) => change.summary(),
            Self::Iptables(change) => change.summary(),
        })
    }
}

/// The steps from the rules that are there to those that are wanted.
///
/// `saved` is what is known to remove rules: what it names leaves in the transaction in which the new
/// rules come, if it is of the same backend, and right after it if not; so there is no moment without
/// rules.
pub(super) fn diff(have: Option<&Rules>, want: Option<&Rules>, saved: &[Undo]) -> Vec<Step> {
    if have == want {
        return Vec::new();
    }
    let saved = saved.to_vec();
    let (change, rest) = match want {
        None => (None, saved),
        Some(want) => {
            let (change, rest) = want.replace(saved);
            (Some(Step::LoadRules(change)), rest)
        }
    };
    change.into_iter().chain(rest.into_iter().map(Step::Undo)).collect()
}

/// The families in the order in which rules are made.
const FAMILIES: [Family; 2] = [Family::Ipv4, Family::Ipv6];
