//! iptables rules as values.
//!
//! A [`Rule`] holds the arguments that libvirt passes to `iptables`; the same arguments are saved for its
//! removal. `iptables-save` prints rules in another spelling; [`Listing`] normalizes both before it
//! compares them. [`script`] is the one transaction for `iptables-restore` that deletes and adds rules
//! from any state: it creates missing chains and leaves out rules that do not exist.
//!
//! Nothing here runs a program; see [`super::xtables`].
//!
//! libvirt 11.3.0: src/network/network_iptables.c

use std::collections::BTreeMap;

use super::model::Family;

/// A rule of a chain, in libvirt's words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rule {
    /// IPv4 for `iptables`, IPv6 for `ip6tables`.
    pub family: Family,
    /// `filter`, `nat` or `mangle`.
    pub table: String,
    /// Its chain.
    pub chain: String,
    /// The conditions and the target, a word each.
    pub words: Vec<String>,
    /// Whether a kernel that does not have it is no reason to fail.
    pub is_optional: bool,
}

impl Rule {
    fn arguments(&self, command: &str) -> Vec<String> {
        let first = ["--table", &self.table, command, &self.chain];
        first.into_iter().map(str::to_owned).chain(self.words.iter().cloned()).collect()
    }

    /// The arguments that add the rule at the head of its chain.
    #[must_use]
    pub fn insertion(&self) -> Vec<String> {
        self.arguments("--insert")
    }

    /// The arguments that take it away.
    #[must_use]
    pub fn deletion(&self) -> Vec<String> {
        self.arguments("--delete")
    }

    /// Reads what [`Self::deletion`] wrote; `None` for any other form of command.
    #[must_use]
    pub fn from_deletion(family: Family, arguments: &[String]) -> Option<Self> {
        let [first, table, command, chain, words @ ..] = arguments else { return None };
        let is_plain = |word: &String| !word.contains(['\n', '"', '\\']);
        if first != "--table" || command != "--delete" || !arguments.iter().all(is_plain) {
            return None;
        }
        let (table, chain, words) = (table.clone(), chain.clone(), words.to_vec());
        Some(Self { family, table, chain, words, is_optional: false })
    }

    fn meaning(&self) -> Meaning {
        let words: Vec<_> = self.words.iter().map(String::as_str).collect();
        Meaning::of(&words)
    }
}

/// The program for a family.
#[must_use]
pub const fn program(family: Family) -> &'static str {
    match family {
        Family::Ipv4 => "iptables",
        Family::Ipv6 => "ip6tables",
    }
}

/// A chain of all networks: its table, the chain of the kernel that jumps to it, its name.
pub type SharedChain = (&'static str, &'static str, &'static str);

/// The chains of all networks, in the order in which they are made: a later jump comes first.
pub const SHARED_CHAINS: [SharedChain; 7] = [
    ("filter", "INPUT", "LIBVIRT_INP"),
    ("filter", "OUTPUT", "LIBVIRT_OUT"),
    ("filter", "FORWARD", "LIBVIRT_FWO"),
    ("filter", "FORWARD", "LIBVIRT_FWI"),
    ("filter", "FORWARD", "LIBVIRT_FWX"),
    ("nat", "POSTROUTING", "LIBVIRT_PRT"),
    ("mangle", "POSTROUTING", "LIBVIRT_PRT"),
];

/// What a rule means, whichever way it is spelled: its conditions and target in a fixed order.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Meaning(Vec<String>);

impl Meaning {
    /// Reads the words after the chain.
    fn of(words: &[&str]) -> Self {
        let mut parts = Vec::new();
        let mut words = words.iter().copied().peekable();
        let mut negation = "";
        while let Some(word) = words.next() {
            if word == "!" {
                negation = "! ";
                continue;
            }
            let option = short(word);
            let mut values = Vec::new();
            while let Some(value) = words.next_if(|word| !word.starts_with('-') && *word != "!") {
                values.push(value);
            }
            let value = value(option, &values.join(" "));
            // A match that names the protocol, and the reason that is meant anyway, say nothing.
            let is_implied = option == "-m" && ["tcp", "udp"].contains(&value.as_str())
                || option == "--reject-with" && value.ends_with("-port-unreachable");
            if !is_implied {
                parts.push(format!("{negation}{option} {value}"));
            }
            negation = "";
        }
        parts.sort();
        Self(parts)
    }

    fn is_jump_to(&self, chain: &str) -> bool {
        matches!(self.0.as_slice(), [only] if only.strip_prefix("-j ") == Some(chain))
    }

    fn refers_to(&self, chain: &str) -> bool {
        let targets = ["-j ", "-g "];
        self.0.iter().any(|part| targets.iter().any(|t| part.strip_prefix(t) == Some(chain)))
    }
}

fn short(option: &str) -> &str {
    match option {
        "--in-interface" => "-i",
        "--out-interface" => "-o",
        "--protocol" => "-p",
        "--source" => "-s",
        "--destination" => "-d",
        "--destination-port" => "--dport",
        "--source-port" => "--sport",
        "--match" => "-m",
        "--jump" => "-j",
        "--goto" => "-g",
        other => other,
    }
}

fn value(option: &str, value: &str) -> String {
    match option {
        "--ctstate" => {
            let mut states: Vec<_> = value.split(',').collect();
            states.sort_unstable();
            states.join(",")
        }
        // A range of one is listed as one.
        "--to-source" => {
            let (range, ports) = match value.split_once(':') {
                Some((range, ports)) => (range, format!(":{ports}")),
                None => (value, String::new()),
            };
            match range.split_once('-') {
                Some((start, end)) if start == end => format!("{start}{ports}"),
                _ => format!("{range}{ports}"),
            }
        }
        _ => value.to_owned(),
    }
}

/// What one family's `iptables-save` lists.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Listing {
    /// The rules of each chain, by table and chain.
    chains: BTreeMap<(String, String), Vec<Meaning>>,
}

impl Listing {
    /// Reads the output of `iptables-save`.
    #[must_use]
    pub fn parse(text: &str) -> Self {
        let mut listing = Self::default();
        let mut table = "";
        for line in text.lines() {
            if let Some(name) = line.strip_prefix('*') {
                table = name.trim_end();
            } else if let Some(rest) = line.strip_prefix(':') {
                let chain = rest.split(' ').next().unwrap_or_default();
                listing.chains.entry((table.to_owned(), chain.to_owned())).or_default();
            } else if let Some(rest) = line.strip_prefix("-A ") {
                let words: Vec<_> = rest.split(' ').filter(|word| !word.is_empty()).collect();
                if let [chain, words @ ..] = words.as_slice() {
                    let chain = (table.to_owned(), (*chain).to_owned());
                    listing.chains.entry(chain).or_default().push(Meaning::of(words));
                }
            }
        }
        listing
    }

    fn chain(&self, table: &str, chain: &str) -> Option<&[Meaning]> {
        self.chains.get(&(table.to_owned(), chain.to_owned())).map(Vec::as_slice)
    }

    /// Whether the rules of a network are there, each once, in order, and are reached.
    ///
    /// `rules` are of one family, in the order in which they are inserted.
    #[must_use]
    pub fn holds(&self, rules: &[Rule]) -> bool {
        let mut wanted: BTreeMap<(&str, &str), Vec<Meaning>> = BTreeMap::new();
        for rule in rules.iter().rev() {
            let chain = (rule.table.as_str(), rule.chain.as_str());
            wanted.entry(chain).or_default().push(rule.meaning());
        }
        wanted.iter().all(|((table, chain), wanted)| {
            let Some(there) = self.chain(table, chain) else { return false };
            let ours = there.iter().filter(|rule| wanted.contains(rule));
            ours.eq(wanted) && self.has_jumps(table, chain)
        })
    }

    /// Whether the kernel's chain that leads to `chain` jumps to all of ours in order.
    fn has_jumps(&self, table: &str, chain: &str) -> bool {
        let shared = SHARED_CHAINS.iter().find(|shared| shared.0 == table && shared.2 == chain);
        shared.is_none_or(|(table, parent, _)| {
            let wanted = targets(table, parent);
            self.jumps(table, parent) == wanted
        })
    }

    /// Our chains that `parent` jumps to, in order.
    fn jumps(&self, table: &str, parent: &str) -> Vec<&'static str> {
        let ours = targets(table, parent);
        let rules = self.chain(table, parent).unwrap_or_default().iter();
        rules.filter_map(|rule| ours.iter().find(|c| rule.is_jump_to(c)).copied()).collect()
    }

    /// Whether any rule has this target.
    #[must_use]
    pub fn has_target(&self, target: &str) -> bool {
        self.chains.values().flatten().any(|rule| rule.refers_to(target))
    }

    /// Whether no rule uses our chains of a table once the `gone` rules are deleted.
    fn is_unused(&self, table: &str, chain: &str, gone: usize) -> bool {
        let is_empty = self.chain(table, chain).is_some_and(|rules| rules.len() == gone);
        let of_table = self.chains.iter().filter(|((other, _), _)| other == table);
        let references =
            of_table.flat_map(|(_, rules)| rules).filter(|rule| rule.refers_to(chain)).count();
        is_empty && references <= 1
    }
}

/// Our chains that a chain of the kernel jumps to, as they stand in it.
fn targets(table: &str, parent: &str) -> Vec<&'static str> {
    let ours = SHARED_CHAINS.iter().rev().filter(|shared| shared.0 == table && shared.1 == parent);
    ours.map(|shared| shared.2).collect()
}

/// What happens to shared chains without users.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unused {
    /// They stay.
    Keep,
    /// They go.
    Delete,
}

/// The transaction of one family that removes and inserts rules; `None` if there is nothing to do.
///
/// Rules to be removed that are not there are passed over. The input is for
/// `iptables-restore --noflush`; it is carried out table by table.
#[must_use]
pub fn script(listing: &Listing, remove: &[Rule], add: &[Rule], unused: Unused) -> Option<String> {
    let mut script = String::new();
    for table in ["filter", "nat", "mangle"] {
        let mut lines = Vec::new();
        make_chains(listing, table, add, &mut lines);
        let gone = delete_rules(listing, table, remove, &mut lines);
        for rule in add.iter().filter(|rule| rule.table == table) {
            lines.push(format!("--insert {} {}", rule.chain, rule.words.join(" ")));
        }
        if unused == Unused::Delete && add.is_empty() {
            delete_chains(listing, table, &gone, &mut lines);
        }
        if !lines.is_empty() {
            script.push_str(&format!("*{table}\n{}\nCOMMIT\n", lines.join("\n")));
        }
    }
    (!script.is_empty()).then_some(script)
}

/// Lines that make the shared chains and the jumps to them: as in libvirt all, whichever are needed.
fn make_chains(listing: &Listing, table: &str, add: &[Rule], lines: &mut Vec<String>) {
    if add.is_empty() {
        return;
    }
    let mut parents = Vec::new();
    for (of, parent, chain) in SHARED_CHAINS.iter().filter(|shared| shared.0 == table) {
        if listing.chain(of, chain).is_none() {
            lines.push(format!("--new-chain {chain}"));
        }
        if !parents.contains(parent) {
            parents.push(parent);
        }
    }
    for parent in parents {
        let (there, wanted) = (listing.jumps(table, parent), targets(table, parent));
        if there != wanted {
            lines.extend(there.iter().map(|chain| format!("--delete {parent} --jump {chain}")));
            let insert = |chain: &&str| format!("--insert {parent} --jump {chain}");
            lines.extend(wanted.iter().rev().map(insert));
        }
    }
}

/// Lines that delete those rules that are there; how many of which chain.
fn delete_rules<'a>(
    listing: &Listing,
    table: &str,
    remove: &'a [Rule],
    lines: &mut Vec<String>,
) -> BTreeMap<&'a str, usize> {
    let mut left: BTreeMap<&str, Vec<Meaning>> = BTreeMap::new();
    let mut gone: BTreeMap<&str, usize> = BTreeMap::new();
    for rule in remove.iter().filter(|rule| rule.table == table) {
        let there = left.entry(&rule.chain).or_insert_with(|| {
            listing.chain(table, &rule.chain).map(<[_]>::to_vec).unwrap_or_default()
        });
        let meaning = rule.meaning();
        if let Some(at) = there.iter().position(|rule| *rule == meaning) {
            there.remove(at);
            lines.push(format!("--delete {} {}", rule.chain, rule.words.join(" ")));
            *gone.entry(&rule.chain).or_default() += 1;
        }
    }
    gone
}

/// Lines that delete shared chains without users.
fn delete_chains(
    listing: &Listing,
    table: &str,
    gone: &BTreeMap<&str, usize>,
    lines: &mut Vec<String>,
) {
    for (_, parent, chain) in SHARED_CHAINS.iter().filter(|shared| shared.0 == table) {
        let gone = gone.get(chain).copied().unwrap_or_default();
        if !listing.is_unused(table, chain, gone) {
            continue;
        }
        if listing.jumps(table, parent).contains(chain) {
            lines.push(format!("--delete {parent} --jump {chain}"));
        }
        lines.push(format!("--delete-chain {chain}"));
    }
}

#[cfg(test)]
mod tests;
