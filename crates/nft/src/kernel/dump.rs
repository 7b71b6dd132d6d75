//! What the kernel lists of a table.
//!
//! Listings are read attribute by attribute without building the netlink crate's types: those
//! format the whole buffer for an error text at every nested attribute, which is quadratic.

use std::collections::BTreeMap;

use oxivirt_netlink::attributes::{Attributes, number, text};

use super::encode::key_bytes;
use crate::counters::{Action, RuleCount};
use crate::{Change, Key, Transaction, Verdict};

/// Chains, maps and elements of one table.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TableState {
    /// The chains by name.
    pub chains: BTreeMap<String, ChainState>,
    /// The elements of each named set or map.
    pub sets: BTreeMap<String, Vec<ElementState>>,
}

impl TableState {
    /// Whether the table has everything that `transaction` adds, and its chains nothing more; whose it is
    /// does not count.
    ///
    /// Rules are not read one by one: a chain of ours carries a comment that changes with its rules,
    /// and the kernel counts its rules and the references to it.
    #[must_use]
    pub fn holds(&self, transaction: &Transaction) -> bool {
        let mut n_uses: BTreeMap<&str, u32> = BTreeMap::new();
        for change in &transaction.changes {
            let used = match change {
                Change::AddRule { chain, .. } => chain,
                Change::AddElement {
                    verdict: Verdict::Jump(chain) | Verdict::Goto(chain), ..
                } => chain,
                _ => continue,
            };
            *n_uses.entry(used).or_default() += 1;
        }
        transaction.changes.iter().all(|change| match change {
            Change::AddBaseChain { name, .. } => {
                let expected = n_uses.get(name.as_str()).copied().unwrap_or_default();
                self.chains.get(name).is_some_and(|chain| chain.n_uses == expected)
            }
            Change::AddChain { name, comment } => {
                let n_uses = n_uses.get(name.as_str()).copied().unwrap_or_default();
                self.chains.get(name) == Some(&ChainState { n_uses, comment: comment.clone() })
            }
            Change::AddSharedChain { name } => self.chains.contains_key(name),
            Change::AddMap { name, .. } | Change::AddSet { name, .. } => {
                self.sets.contains_key(name)
            }
            Change::AddElement { map, key, verdict } => self.has_element(map, key, verdict),
            _ => true,
        })
    }

    fn has_element(&self, map: &str, key: &Key, verdict: &Verdict) -> bool {
        let chain = match verdict {
            Verdict::Accept => None,
            Verdict::Jump(chain) | Verdict::Goto(chain) => Some(chain.clone()),
        };
        let element = ElementState { key: key_bytes(key), chain, is_interval_end: false };
        self.sets.get(map).is_some_and(|elements| elements.binary_search(&element).is_ok())
    }
}

/// A chain.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ChainState {
    /// Number of its rules plus the number of references to it.
    pub n_uses: u32,
    /// Its comment.
    pub comment: Option<String>,
}

/// An element of a set or map; an interval is two of them.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct ElementState {
    /// The key in the kernel's byte order.
    pub key: Vec<u8>,
    /// Chain that the verdict names, if it names one.
    pub chain: Option<String>,
    /// Whether this is the end of an interval.
    pub is_interval_end: bool,
}

/// Name of the table and of the object, for messages whose first two attributes are these.
pub(super) fn chain(message: &[u8]) -> Option<(String, String, ChainState)> {
    let (mut table, mut name, mut state) = (None, None, ChainState::default());
    for (kind, value) in Attributes(message) {
        match kind {
            1 => table = Some(text(value)),
            3 => name = Some(text(value)),
            6 => state.n_uses = number(value),
            12 => state.comment = comment(value),
            _ => {}
        }
    }
    Some((table?, name?, state))
}

/// `NFT_TABLE_F_PERSIST`: it stays when its owner ends.
pub(super) const PERSIST: u32 = 4;

/// The flags of a table message.
pub(super) fn table_flags(message: &[u8]) -> u32 {
    Attributes(message).find(|(kind, _)| *kind == 2).map_or(0, |(_, value)| number(value))
}

/// The counter of a rule that has one and does something of its own.
pub(super) fn rule_count(message: &[u8]) -> Option<RuleCount> {
    let attribute = |wanted| Attributes(message).find(|(kind, _)| *kind == wanted).map(|(_, v)| v);
    let (mut counted, mut action) = (None, None);
    for (_, expression) in Attributes(attribute(4)?) {
        let of = |wanted| Attributes(expression).find(|(kind, _)| *kind == wanted).map(|(_, v)| v);
        let (name, data) = (of(1).map(text).unwrap_or_default(), of(2).unwrap_or_default());
        match name.as_str() {
            "counter" => {
                let number = |wanted| {
                    let value = Attributes(data).find(|(kind, _)| *kind == wanted);
                    value.and_then(|(_, v)| v.first_chunk()).map(|b| u64::from_be_bytes(*b))
                };
                counted = Some((number(2)?, number(1)?));
            }
            "reject" => action = Some(Action::Reject),
            "masq" | "nat" => action = Some(Action::Translate),
            // Only what ends a chain: jumps are counted where they lead to.
            "immediate" => action = action.or(Some(Action::Pass)),
            _ => {}
        }
    }
    let (packets, bytes) = counted?;
    Some(RuleCount { chain: text(attribute(2)?), link: None, action: action?, packets, bytes })
}

/// Name of the table and of the set.
pub(super) fn set(message: &[u8]) -> Option<(String, String)> {
    let (mut table, mut name) = (None, None);
    for (kind, value) in Attributes(message) {
        match kind {
            1 => table = Some(text(value)),
            2 => name = Some(text(value)),
            _ => {}
        }
    }
    Some((table?, name?))
}

/// The elements of a set element message.
pub(super) fn elements(message: &[u8]) -> Vec<ElementState> {
    let list = Attributes(message).find(|(kind, _)| *kind == 3).map_or(&[][..], |(_, list)| list);
    Attributes(list).map(|(_, item)| element(item)).collect()
}

fn element(item: &[u8]) -> ElementState {
    let mut state = ElementState::default();
    for (kind, value) in Attributes(item) {
        match kind {
            1 => {
                state.key =
                    Attributes(value).next().map(|(_, data)| data.to_vec()).unwrap_or_default();
            }
            2 => state.chain = verdict_chain(value),
            3 => state.is_interval_end = number(value) & 1 != 0,
            _ => {}
        }
    }
    state
}

fn verdict_chain(data: &[u8]) -> Option<String> {
    let (_, verdict) = Attributes(data).find(|(kind, _)| *kind == 2)?;
    Attributes(verdict).find(|(kind, _)| *kind == 2).map(|(_, name)| text(name))
}

/// The comment in user data, a list of one-byte kinds and lengths.
fn comment(mut data: &[u8]) -> Option<String> {
    while let [kind, length, rest @ ..] = data {
        let value = rest.get(..usize::from(*length))?;
        if *kind == 0 {
            return Some(text(value));
        }
        data = rest.get(usize::from(*length)..)?;
    }
    None
}
