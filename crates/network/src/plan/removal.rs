//! What removes the firewall rules of a network, as the status file holds it.
//!
//! The words of `<firewall>` are read here when a status file is loaded ([`SavedRemoval::parse`]) and
//! written here when it is saved ([`SavedRemoval::print`]); everywhere else a removal is a value.
//!
//! libvirt 11.3.0: `virFirewallApplyCmd`, src/util/virfirewall.c

use oxivirt_conf::status::{
    Errors, FirewallBackend, FirewallLayer, FirewallRemoval, RemovalAction, RemovalGroup,
};
use oxivirt_nft::iptables::Rule;
use oxivirt_nft::removal::ParseRemovalError;
use oxivirt_nft::{Family, Removal, UserChainJump, libvirt};
use oxivirt_types::link_name::LinkName;

use super::{Undo, nftables};

/// The content of a `<firewall>` element.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SavedRemoval {
    /// The backend that the rules were added with, whatever is configured now.
    pub backend: FirewallBackend,
    /// Commands that were added together.
    pub groups: Vec<SavedGroup>,
}

/// Commands that were added together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SavedGroup {
    /// Whether a failing command ends the removal, for libvirt.
    pub errors: Errors,
    /// The commands.
    pub actions: Vec<SavedAction>,
}

/// One command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SavedAction {
    /// Chooses the program, for libvirt.
    pub layer: FirewallLayer,
    /// Whether its failure ends the removal, for libvirt.
    pub errors: Errors,
    /// What it removes.
    pub removes: Removes,
}

/// What a saved command removes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Removes {
    /// Our nftables rules, by name.
    Rules(Removal),
    /// Our nftables table, if no network has rules in it. Removing rules does so too.
    UnusedTable,
    /// The chain to which chains of other programs jump.
    UserChainJump(JumpTarget),
    /// An iptables rule.
    Iptables(Rule),
    /// Anything else: a command that another program saved.
    Foreign(ForeignRemoval),
}

/// A chain of ours to which chains of other programs jump.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JumpTarget {
    /// The table's family.
    pub family: Family,
    /// The network's bridge, which names the chain.
    pub bridge: LinkName,
}

impl JumpTarget {
    /// The arguments of the `nft` call that empties the chain.
    #[must_use]
    pub fn words(&self) -> Vec<String> {
        let Self { family, bridge } = self.clone();
        UserChainJump { family, bridge, from: Vec::new() }.removal()
    }
}

/// A removal command that another program saved. It may well have nothing to remove.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ForeignRemoval {
    /// The program.
    pub program: Program,
    /// Its arguments, as they are saved.
    pub args: Vec<String>,
}

/// Programs that set rules.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Program {
    /// nft(8)
    Nft,
    /// tc(8)
    Tc,
    /// iptables(8)
    Iptables,
    /// ip6tables(8)
    Ip6tables,
    /// ebtables(8)
    Ebtables,
}

impl Program {
    /// All of them.
    pub const ALL: [Self; 5] =
        [Self::Nft, Self::Tc, Self::Iptables, Self::Ip6tables, Self::Ebtables];

    /// Its name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Nft => "nft",
            Self::Tc => "tc",
            Self::Iptables => "iptables",
            Self::Ip6tables => "ip6tables",
            Self::Ebtables => "ebtables",
        }
    }

    /// The argument before the saved ones, with which the program waits for other instances of it.
    #[must_use]
    pub const fn lock_option(self) -> Option<&'static str> {
        match self {
            Self::Nft | Self::Tc => None,
            Self::Iptables | Self::Ip6tables => Some("-w"),
            Self::Ebtables => Some("--concurrent"),
        }
    }

    const fn of(backend: FirewallBackend, layer: FirewallLayer) -> Option<Self> {
        match (backend, layer) {
            (_, FirewallLayer::Tc) => Some(Self::Tc),
            (FirewallBackend::Nftables, _) => Some(Self::Nft),
            (FirewallBackend::Iptables, FirewallLayer::Ipv4) => Some(Self::Iptables),
            (FirewallBackend::Iptables, FirewallLayer::Ipv6) => Some(Self::Ip6tables),
            (FirewallBackend::Iptables, FirewallLayer::Ethernet) => Some(Self::Ebtables),
            (FirewallBackend::None, _) => None,
        }
    }
}

/// A saved command that cannot be read. Groups and actions are counted from 1.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("group {group}, action {action} of the saved removal")]
pub struct RemovalError {
    /// The group's number.
    pub group: usize,
    /// The action's number in its group.
    pub action: usize,
    /// What is wrong with it.
    pub source: ActionError,
}

/// What is wrong with a saved command.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ActionError {
    /// It changes our table or chains, but is not what we save.
    #[error("damaged removal of rules of ours")]
    Damaged(#[from] ParseRemovalError),
    /// It changes a chain of ours in another program's table, but is not what we save.
    #[error("damaged removal of a chain of ours")]
    DamagedJump,
    /// The backend has no program for the layer.
    #[error("backend '{backend}' has no program for layer '{layer}'")]
    NoProgram {
        /// The backend.
        backend: FirewallBackend,
        /// The layer.
        layer: FirewallLayer,
    },
}

impl SavedRemoval {
    /// Reads a removal. What can be read is returned beside what cannot.
    #[must_use]
    pub fn parse(removal: &FirewallRemoval) -> (Self, Vec<RemovalError>) {
        let backend = removal.backend;
        let (mut groups, mut errors) = (Vec::new(), Vec::new());
        for (group_index, group) in removal.groups.iter().enumerate() {
            let mut actions = Vec::new();
            for (index, action) in group.actions.iter().enumerate() {
                match SavedAction::parse(backend, action) {
                    Ok(action) => actions.push(action),
                    Err(source) => {
                        let (group, action) = (group_index + 1, index + 1);
                        errors.push(RemovalError { group, action, source });
                    }
                }
            }
            groups.push(SavedGroup { errors: group.errors, actions });
        }
        (Self { backend, groups }, errors)
    }

    /// Writes the removal; the inverse of [`Self::parse`].
    #[must_use]
    pub fn print(&self) -> FirewallRemoval {
        let group = |group: &SavedGroup| RemovalGroup {
            errors: group.errors,
            actions: group.actions.iter().map(SavedAction::print).collect(),
        };
        FirewallRemoval { backend: self.backend, groups: self.groups.iter().map(group).collect() }
    }

    fn actions(&self) -> impl Iterator<Item = &SavedAction> {
        self.groups.iter().flat_map(|group| &group.actions)
    }

    /// The removal as undo steps: ours by name, iptables rules together, other commands as they are.
    #[must_use]
    pub fn undo(&self) -> Vec<Undo> {
        let mut steps = Vec::new();
        for action in self.actions() {
            match &action.removes {
                Removes::Rules(removal) => steps.push(Undo::RemoveRules(removal.clone())),
                // Removing rules removes the table.
                Removes::UnusedTable => {}
                Removes::UserChainJump(target) => {
                    steps.push(Undo::RemoveUserChainJump(target.clone()));
                }
                Removes::Iptables(rule) => match steps.last_mut() {
                    Some(Undo::RemoveIptables(rules)) => rules.push(rule.clone()),
                    _ => steps.push(Undo::RemoveIptables(vec![rule.clone()])),
                },
                Removes::Foreign(command) => steps.push(Undo::RunRemoval(command.clone())),
            }
        }
        steps
    }
}

impl SavedAction {
    fn parse(backend: FirewallBackend, action: &RemovalAction) -> Result<Self, ActionError> {
        let RemovalAction { layer, errors, args } = action;
        let no_program = || ActionError::NoProgram { backend, layer: *layer };
        let program = Program::of(backend, *layer).ok_or_else(no_program)?;
        let removes = match program {
            Program::Nft => nft(args)?,
            Program::Iptables => iptables(Family::Ipv4, args),
            Program::Ip6tables => iptables(Family::Ipv6, args),
            Program::Tc | Program::Ebtables => None,
        };
        let foreign = || Removes::Foreign(ForeignRemoval { program, args: args.clone() });
        let removes = removes.unwrap_or_else(foreign);
        Ok(Self { layer: *layer, errors: *errors, removes })
    }

    fn print(&self) -> RemovalAction {
        let args = match &self.removes {
            Removes::Rules(removal) => removal.words(),
            Removes::UnusedTable => nftables::table_teardown(),
            Removes::UserChainJump(target) => target.words(),
            Removes::Iptables(rule) => rule.deletion(),
            Removes::Foreign(command) => command.args.clone(),
        };
        RemovalAction { layer: self.layer, errors: self.errors, args }
    }
}

/// What the arguments of an `nft` call remove, if it is one of ours.
fn nft(args: &[String]) -> Result<Option<Removes>, ActionError> {
    if args == nftables::table_teardown() {
        return Ok(Some(Removes::UnusedTable));
    }
    match Removal::parse(args) {
        Ok(removal) => return Ok(Some(Removes::Rules(removal))),
        Err(error) if names_our_table(args) => return Err(error.into()),
        Err(_) => {}
    }
    match UserChainJump::of_removal(args) {
        Some((family, bridge)) => Ok(Some(Removes::UserChainJump(JumpTarget { family, bridge }))),
        None if names_our_chain(args) => Err(ActionError::DamagedJump),
        None => Ok(None),
    }
}

fn names_our_table(args: &[String]) -> bool {
    matches!(args, [_, _, family, table, ..] if family == "inet" && table == nftables::TABLE)
}

fn names_our_chain(args: &[String]) -> bool {
    matches!(args, [flush, chain, _, _, name, ..]
        if flush == "flush" && chain == "chain" && name.starts_with("OXIVIRT_"))
}

fn iptables(family: Family, args: &[String]) -> Option<Removes> {
    Rule::from_deletion(family, args).map(Removes::Iptables)
}

impl ForeignRemoval {
    /// Whether it deletes something of libvirt's tables by its number, which may be another network's by
    /// now.
    #[must_use]
    pub fn is_by_handle(&self) -> bool {
        let words: Vec<_> = self.args.iter().map(String::as_str).collect();
        self.program == Program::Nft
            && matches!(
                words.as_slice(),
                ["delete", _, "ip" | "ip6", libvirt::TABLE, .., "handle", _]
            )
    }

    /// Whether it removes a `tc` filter of a bridge, which goes with the bridge.
    #[must_use]
    pub fn is_filter_of(&self, bridge: &LinkName) -> bool {
        self.program == Program::Tc
            && self
                .args
                .windows(2)
                .any(|pair| matches!(pair, [dev, name] if dev == "dev" && name == bridge.as_str()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn removal(backend: FirewallBackend, commands: &[(FirewallLayer, &str)]) -> FirewallRemoval {
        let action = |&(layer, words): &(FirewallLayer, &str)| RemovalAction {
            layer,
            errors: Errors::Report,
            args: words.split(' ').map(str::to_owned).collect(),
        };
        let actions = commands.iter().map(action).collect();
        FirewallRemoval { backend, groups: vec![RemovalGroup { errors: Errors::Ignore, actions }] }
    }

    #[test]
    fn what_is_printed_is_what_was_read() {
        use FirewallLayer::{Ethernet, Ipv4, Ipv6, Tc};
        let texts = [
            removal(
                FirewallBackend::Nftables,
                &[
                    (Ipv4, &nftables::table_teardown().join(" ")),
                    (Ipv4, "flush chain ip6 filter OXIVIRT_virbr0"),
                    (Ipv6, "delete rule ip6 libvirt_network guest_nat handle 36"),
                    (Tc, "filter del dev virbr0 prio 2"),
                ],
            ),
            removal(
                FirewallBackend::Iptables,
                &[
                    (Ipv4, "--table filter --delete LIBVIRT_INP --jump ACCEPT"),
                    (Ipv6, "--table filter -D LIBVIRT_INP"),
                    (Ethernet, "-D FORWARD"),
                ],
            ),
        ];
        for text in texts {
            let (parsed, errors) = SavedRemoval::parse(&text);
            assert_eq!(errors, []);
            assert_eq!(parsed.print(), text);
        }
    }

    #[test]
    fn damaged_commands_are_errors_with_their_position() {
        let damaged = "add chain inet oxivirt_network in_virbr0";
        let good = "flush chain ip filter OXIVIRT_virbr0";
        let long = "flush chain ip filter OXIVIRT_a-name-that-no-link-can-have";
        let layer = FirewallLayer::Ipv4;
        let text =
            removal(FirewallBackend::Nftables, &[(layer, good), (layer, damaged), (layer, long)]);
        let (parsed, errors) = SavedRemoval::parse(&text);
        assert_eq!(parsed.undo().len(), 1);
        let texts: Vec<_> = errors.iter().map(|error| oxivirt_sys::chain::text(error)).collect();
        assert_eq!(
            texts,
            [
                "group 1, action 2 of the saved removal: damaged removal of rules of ours: the \
                 removal has commands missing, added or in another order",
                "group 1, action 3 of the saved removal: damaged removal of a chain of ours",
            ]
        );
        let none = removal(FirewallBackend::None, &[(layer, "x")]);
        assert_eq!(SavedRemoval::parse(&none).1.len(), 1);
    }
}
