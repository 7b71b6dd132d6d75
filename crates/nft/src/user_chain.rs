//! Accepting a network's packets in the chains that other programs leave to the administrator.
//!
//! Every base chain of a hook decides: what our table accepts, another program's policy still drops. Docker
//! and ufw leave a chain to the administrator in which packets can be accepted before that happens. A
//! [`UserChainJump`] is a rule there that jumps to a chain of ours, with rules that accept what comes from
//! and goes to a bridge. Our table filters the same packets, so nothing else is opened.
//!
//! The chain and its rules are such that `iptables` lists and deletes them too.
//!
//! docs.docker.com "Packet filtering and firewalls"; ufw-framework(8)

use super::model::{Action, Family, Match, Rule};
use oxivirt_types::link_name::LinkName;

/// The table of `iptables`, in which the chains are.
pub const TABLE: &str = "filter";

/// Chains that other programs leave to the administrator.
const USER_CHAINS: [(Family, &str); 4] = [
    (Family::Ipv4, "DOCKER-USER"),
    (Family::Ipv6, "DOCKER-USER"),
    (Family::Ipv4, "ufw-user-forward"),
    (Family::Ipv6, "ufw6-user-forward"),
];
/// What the names of our chains begin with; with the longest link name still a name for `iptables`.
const PREFIX: &str = "OXIVIRT_";

/// A chain that another program leaves to the administrator.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct UserChain {
    /// The table's family.
    pub family: Family,
    /// Its name.
    pub name: String,
}

impl UserChain {
    /// All that are known.
    pub fn all() -> impl Iterator<Item = Self> {
        USER_CHAINS.iter().map(|&(family, name)| Self { family, name: name.to_owned() })
    }
}

/// The jumps from other programs' chains of one family for one network.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UserChainJump {
    /// The family of its packets.
    pub family: Family,
    /// The chains that jump to ours.
    pub from: Vec<String>,
    /// The network's bridge.
    pub bridge: LinkName,
}

impl UserChainJump {
    /// The name of the chain with the rules.
    #[must_use]
    pub fn chain(&self) -> String {
        chain(&self.bridge)
    }

    /// The rules in it.
    #[must_use]
    pub fn rules(&self) -> [Rule; 2] {
        [Match::InLink(self.bridge.clone()), Match::OutLink(self.bridge.clone())]
            .map(|link| Rule { matches: vec![link], action: Action::Accept })
    }

    /// The arguments of the `nft` call that takes the rules away, for the saved removal.
    ///
    /// Only the rules: a jump can be deleted by its number alone, which may be another rule's by then.
    /// A jump to a chain without rules does nothing.
    #[must_use]
    pub fn removal(&self) -> Vec<String> {
        let chain = self.chain();
        ["flush", "chain", word(self.family), TABLE, &chain].map(str::to_owned).into()
    }

    /// Reads what [`Self::removal`] wrote: family and bridge.
    #[must_use]
    pub fn of_removal(words: &[String]) -> Option<(Family, LinkName)> {
        let words: Vec<_> = words.iter().map(String::as_str).collect();
        let ["flush", "chain", family, TABLE, chain] = words.as_slice() else { return None };
        let family =
            [Family::Ipv4, Family::Ipv6].into_iter().find(|known| word(*known) == *family)?;
        Some((family, LinkName::new(chain.strip_prefix(PREFIX)?).ok()?))
    }
}

/// The chain with the rules for a bridge.
pub(crate) fn chain(bridge: &LinkName) -> String {
    format!("{PREFIX}{bridge}")
}

/// The family in the language of nft(8).
const fn word(family: Family) -> &'static str {
    match family {
        Family::Ipv4 => "ip",
        Family::Ipv6 => "ip6",
    }
}

/// A base chain that drops what no rule of it decides on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DroppingChain {
    /// The family in the language of nft(8): `ip`, `ip6`, `inet`, `bridge` and so on.
    pub family: &'static str,
    /// Its table.
    pub table: String,
    /// Its name.
    pub name: String,
    /// Its hook.
    pub hook: &'static str,
}

impl std::fmt::Display for DroppingChain {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { family, table, name, hook } = self;
        write!(f, "{family} {table} {name} ({hook})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_removal_is_read_back() {
        let jump = UserChainJump {
            family: Family::Ipv6,
            from: vec!["DOCKER-USER".into()],
            bridge: "virbr0".parse().unwrap(),
        };
        let words = jump.removal();
        assert_eq!(words.join(" "), "flush chain ip6 filter OXIVIRT_virbr0");
        assert_eq!(UserChainJump::of_removal(&words), Some((Family::Ipv6, jump.bridge)));
        let others = ["flush chain ip6 filter DOCKER", "flush chain inet filter OXIVIRT_virbr0"];
        for other in others {
            let words: Vec<_> = other.split(' ').map(str::to_owned).collect();
            assert_eq!(UserChainJump::of_removal(&words), None, "{other}");
        }
    }

    #[test]
    fn the_longest_name_is_one_for_iptables() {
        // xtables(8) allows 28 characters.
        let bridge: LinkName = "a123456789bcdef".parse().unwrap();
        assert!(chain(&bridge).len() <= 28);
    }
}
