//! A picture of a host that can be compared with another.
//!
//! It holds what a virtual network may leave behind: links, addresses, routes and rules of all
//! tables, the nftables ruleset, legacy iptables, qdiscs, processes, network sysctls, and files
//! below a directory. What changes by itself (indices, handles, counters, timers, process ids) is
//! left out, so that two pictures of the same state are equal.

mod files;
mod kernel;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::Path;

use crate::error::Result;
use crate::netns::Netns;

/// What a fact of a [`Snapshot`] is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Section {
    /// Network links, by name.
    Link,
    /// Addresses, by link.
    Address,
    /// Routes of all tables.
    Route,
    /// Policy routing rules.
    PolicyRule,
    /// Objects of the nftables ruleset.
    Nftables,
    /// Lines of legacy iptables.
    Iptables,
    /// Queueing disciplines.
    Qdisc,
    /// Command lines of processes.
    Process,
    /// Values below `/proc/sys/net`.
    Sysctl,
    /// Files and directories.
    File,
}

impl fmt::Display for Section {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Link => "link",
            Self::Address => "address",
            Self::Route => "route",
            Self::PolicyRule => "policy rule",
            Self::Nftables => "nftables",
            Self::Iptables => "iptables",
            Self::Qdisc => "qdisc",
            Self::Process => "process",
            Self::Sysctl => "sysctl",
            Self::File => "file",
        })
    }
}

/// The state of a host at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Snapshot {
    facts: BTreeMap<(Section, String), String>,
}

impl Snapshot {
    /// Takes the picture of a host and of the files below `root`.
    ///
    /// # Errors
    /// A program that lists state failed, or a file cannot be read.
    pub fn take(netns: &Netns, root: &Path) -> Result<Self> {
        // Processes first: what lists the rest runs in there too.
        let mut facts = BTreeMap::new();
        for (command, count) in netns.command_lines()? {
            facts.insert((Section::Process, command), count.to_string());
        }
        kernel::collect(netns, &mut facts)?;
        files::collect(&netns.path(root), &mut facts)?;
        Ok(Self { facts })
    }

    /// The facts that hold here and not in `later`, or not in the same way, and the reverse.
    pub fn diff(&self, later: &Self) -> Difference {
        let keys: BTreeSet<_> = self.facts.keys().chain(later.facts.keys()).collect();
        let changes = keys
            .into_iter()
            .filter(|key| self.facts.get(key) != later.facts.get(key))
            .map(|key| Change {
                section: key.0,
                key: key.1.clone(),
                before: self.facts.get(key).cloned(),
                after: later.facts.get(key).cloned(),
            })
            .collect();
        Difference(changes)
    }

    /// Without the facts that `ignored` names.
    #[must_use]
    pub fn without(mut self, ignored: impl Fn(Section, &str) -> bool) -> Self {
        self.facts.retain(|(section, key), _| !ignored(*section, key));
        self
    }

    /// How many facts are about `section`.
    pub fn count(&self, section: Section) -> usize {
        self.facts.keys().filter(|key| key.0 == section).count()
    }

    /// Whether a fact about `section` contains `text` in its key or value.
    pub fn mentions(&self, section: Section, text: &str) -> bool {
        self.facts
            .iter()
            .any(|(key, value)| key.0 == section && (key.1.contains(text) || value.contains(text)))
    }
}

/// A fact that changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// What it is about.
    pub section: Section,
    /// Which object.
    pub key: String,
    /// Its state before, if it was there.
    pub before: Option<String>,
    /// Its state afterwards, if it is there.
    pub after: Option<String>,
}

/// Sysctls that a difference prints: a link brings a hundred, and is printed itself.
const PRINTED_SYSCTLS: usize = 6;

/// What changed between two snapshots; prints one line per change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference(Vec<Change>);

impl Difference {
    /// Without the changes that `expected` names.
    #[must_use]
    pub fn except(mut self, expected: impl Fn(&Change) -> bool) -> Self {
        self.0.retain(|change| !expected(change));
        self
    }

    /// Whether nothing changed.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The changes.
    pub fn changes(&self) -> &[Change] {
        &self.0
    }
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let is_sysctl = |change: &&Change| change.section == Section::Sysctl;
        let sysctls = self.0.iter().filter(is_sysctl).count();
        let others = self.0.iter().filter(|change| !is_sysctl(change));
        let printed = self.0.iter().filter(is_sysctl).take(PRINTED_SYSCTLS);
        for Change { section, key, before, after } in others.chain(printed) {
            let (before, after) = match (before, after) {
                (Some(before), Some(after)) => {
                    let (before, after) = differing_members(before, after);
                    (Some(before), Some(after))
                }
                (before, after) => (before.clone(), after.clone()),
            };
            if let Some(before) = before {
                writeln!(f, "- {section} {key} {before}")?;
            }
            if let Some(after) = after {
                writeln!(f, "+ {section} {key} {after}")?;
            }
        }
        if sysctls > PRINTED_SYSCTLS {
            writeln!(f, "± {} more sysctls", sysctls - PRINTED_SYSCTLS)?;
        }
        Ok(())
    }
}

/// Of two JSON objects only what differs; other texts whole.
fn differing_members(before: &str, after: &str) -> (String, String) {
    let object = |text| serde_json::from_str::<serde_json::Map<String, serde_json::Value>>(text);
    let (Ok(mut old), Ok(mut new)) = (object(before), object(after)) else {
        return (before.to_owned(), after.to_owned());
    };
    let same: Vec<String> =
        old.keys().filter(|key| old.get(*key) == new.get(*key)).cloned().collect();
    old.retain(|key, _| !same.contains(key));
    new.retain(|key, _| !same.contains(key));
    let text = |object| serde_json::Value::Object(object).to_string();
    (text(old), text(new))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn snapshot(facts: &[(&str, &str)]) -> Snapshot {
        let facts = facts
            .iter()
            .map(|(key, value)| ((Section::Link, (*key).to_owned()), (*value).to_owned()))
            .collect();
        Snapshot { facts }
    }

    #[track_caller]
    fn check(before: &[(&str, &str)], after: &[(&str, &str)], expect: &str) {
        let difference = snapshot(before).diff(&snapshot(after));
        assert_eq!(difference.to_string(), expect);
        assert_eq!(difference.is_empty(), expect.is_empty());
    }

    #[test]
    fn differences_are_lines() {
        check(&[], &[], "");
        check(&[("a", "1")], &[("a", "1")], "");
        check(&[("a", "1")], &[], "- link a 1\n");
        check(&[], &[("a", "1")], "+ link a 1\n");
        check(&[("a", "1"), ("b", "2")], &[("a", "3"), ("b", "2")], "- link a 1\n+ link a 3\n");
    }

    #[test]
    fn of_objects_only_the_differing_members_show() {
        check(
            &[("a", r#"{"x":1,"y":2}"#)],
            &[("a", r#"{"x":1,"y":3,"z":4}"#)],
            "- link a {\"y\":2}\n+ link a {\"y\":3,\"z\":4}\n",
        );
    }

    #[test]
    fn expected_changes_can_be_named() {
        let difference = snapshot(&[("a", "1")]).diff(&snapshot(&[("b", "1")]));
        let rest = difference.except(|change| change.key == "a");
        assert_eq!(rest.to_string(), "+ link b 1\n");
    }
}
