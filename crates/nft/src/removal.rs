//! Taking rules away again, whatever has happened to them since.
//!
//! Objects are deleted by name, never by handle: handles are reused when a table is made anew. A
//! saved removal first adds what it is going to delete, in the same transaction, so that deleting
//! cannot fail half-way: adding what exists changes nothing, adding what is missing repairs it.
//! Only when the whole table is gone the transaction fails, and then there is nothing to remove.
//!
//! The words of [`Removal::words`] are one argument list for `nft(8)`; they go into the
//! `<firewall>` element of a network's status file, where libvirt (10.4 and later) finds and
//! executes them too.

use std::collections::BTreeMap;

use ipnet::IpNet;

use super::model::{Change, Family, Key, Map, Transaction, Verdict};
use super::text;
use oxivirt_types::link_name::LinkName;

/// The named objects that a network has in a table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Removal {
    /// Name of the table (family `inet`).
    pub table: String,
    /// Foreign chains that the elements name; they stay.
    pub shared: Vec<String>,
    /// Chains, in the order in which they were added.
    pub chains: Vec<String>,
    /// Key types of the maps that hold the elements.
    pub maps: BTreeMap<String, Map>,
    /// Elements, in the order in which they were added.
    pub elements: Vec<Element>,
}

/// An element of a verdict map.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Element {
    /// Name of the map.
    pub map: String,
    /// What is looked up.
    pub key: Key,
    /// What is done with a packet that matches.
    pub verdict: Verdict,
}

/// Why words are no saved removal of this form.
#[derive(Debug, Clone, thiserror::Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum ParseRemovalError {
    /// A command that no removal of ours contains.
    #[error("'{0}' is not part of a removal by name")]
    Command(String),
    /// All commands are known, but they are not the complete list in the usual order.
    #[error("the removal has commands missing, added or in another order")]
    Incomplete,
}

impl Removal {
    /// What removes the chains and elements that `transaction` adds.
    ///
    /// Tables, maps, sets and base chains are shared between networks and stay.
    #[must_use]
    pub fn of(transaction: &Transaction) -> Self {
        let mut removal = Self {
            table: transaction.table.clone(),
            shared: Vec::new(),
            chains: Vec::new(),
            maps: BTreeMap::new(),
            elements: Vec::new(),
        };
        for change in &transaction.changes {
            match change {
                Change::AddSharedChain { name } => removal.shared.push(name.clone()),
                Change::AddChain { name, .. } => removal.chains.push(name.clone()),
                Change::AddElement { map, key, verdict } => {
                    removal.maps.insert(map.clone(), map_of(key));
                    let (map, key, verdict) = (map.clone(), key.clone(), verdict.clone());
                    removal.elements.push(Element { map, key, verdict });
                }
                _ => {}
            }
        }
        removal
    }

    /// The removal as a transaction for any kernel: add what is missing, then delete.
    ///
    /// Chains come before maps, because nft 1.0.6 cannot resolve a chain that is newer than the
    /// interval map whose element names it.
    #[must_use]
    pub fn saved(&self) -> Transaction {
        let mut changes = Vec::new();
        let shared = self.shared.iter().cloned();
        changes.extend(shared.map(|name| Change::AddSharedChain { name }));
        changes.extend(
            self.chains.iter().map(|name| Change::AddChain { name: name.clone(), comment: None }),
        );
        changes.extend(
            self.maps.iter().map(|(name, map)| Change::AddMap { name: name.clone(), map: *map }),
        );
        for element in &self.elements {
            let Element { map, key, verdict } = element.clone();
            changes.push(Change::AddElement { map, key, verdict });
        }
        for element in self.elements.iter().rev() {
            let Element { map, key, .. } = element.clone();
            changes.push(Change::DeleteElement { map, key });
        }
        for name in self.chains.iter().rev() {
            changes.push(Change::FlushChain { name: name.clone() });
            changes.push(Change::DeleteChain { name: name.clone() });
        }
        Transaction { table: self.table.clone(), changes }
    }

    /// The removal as a transaction for Linux 6.3 and later: delete what is there.
    ///
    /// Much cheaper than [`Removal::saved`] in a table with many networks, since nothing has to be
    /// validated. Fails if a map is missing.
    #[must_use]
    pub fn destroy(&self) -> Transaction {
        let mut changes = Vec::new();
        for element in self.elements.iter().rev() {
            let Element { map, key, .. } = element.clone();
            changes.push(Change::DestroyElement { map, key });
        }
        for name in self.chains.iter().rev() {
            changes.push(Change::DestroyChain { name: name.clone() });
        }
        Transaction { table: self.table.clone(), changes }
    }

    /// The arguments of one `nft` call that removes everything.
    #[must_use]
    pub fn words(&self) -> Vec<String> {
        text::words(&self.saved())
    }

    /// Reads back what [`Removal::words`] wrote.
    ///
    /// # Errors
    /// [`ParseRemovalError`] if the words are anything else, for example libvirt's deletions by
    /// handle; they can still be executed by `nft`.
    pub fn parse(words: &[String]) -> Result<Self, ParseRemovalError> {
        let mut removal = Self {
            table: String::new(),
            shared: Vec::new(),
            chains: Vec::new(),
            maps: BTreeMap::new(),
            elements: Vec::new(),
        };
        let commands = commands(words);
        for command in &commands {
            removal.take(command)?;
        }
        let is_deleted = |name: &String| {
            commands.iter().any(|command| {
                matches!(command.as_slice(), ["delete", "chain", .., other] if other == name)
            })
        };
        (removal.chains, removal.shared) = removal.chains.into_iter().partition(is_deleted);
        let is_named = |name: &String| {
            removal.elements.iter().any(|element| {
                matches!(&element.verdict, Verdict::Jump(chain) | Verdict::Goto(chain) if chain == name)
            })
        };
        if !removal.shared.iter().all(is_named) {
            return Err(ParseRemovalError::Incomplete);
        }
        // Nothing but the complete list renders to the same words again.
        if removal.words().iter().eq(words) {
            Ok(removal)
        } else {
            Err(ParseRemovalError::Incomplete)
        }
    }

    fn take(&mut self, command: &[&str]) -> Result<(), ParseRemovalError> {
        let unknown = || ParseRemovalError::Command(command.join(" "));
        match command {
            ["add", "chain", "inet", table, name] => {
                (*table).clone_into(&mut self.table);
                self.chains.push((*name).to_owned());
            }
            ["add", "map", "inet", table, name, "{", "type", kind @ .., "}"] => {
                (*table).clone_into(&mut self.table);
                let map = parse_map(kind).ok_or_else(unknown)?;
                self.maps.insert((*name).to_owned(), map);
            }
            ["add", "element", "inet", table, map, "{", rest @ .., "}"] => {
                (*table).clone_into(&mut self.table);
                let (key, verdict) = parse_element(rest).ok_or_else(unknown)?;
                self.elements.push(Element { map: (*map).to_owned(), key, verdict });
            }
            ["delete", "element" | "chain", ..] | ["flush", "chain", ..] => {}
            _ => return Err(unknown()),
        }
        Ok(())
    }
}

/// The key type of the map that holds `key`.
fn map_of(key: &Key) -> Map {
    match key {
        Key::Link(_) => Map::Link,
        Key::LinkPair(..) => Map::LinkPair,
        Key::Prefix(net) => Map::Prefix(Family::of_net(net)),
    }
}

/// Splits at `;` outside braces.
fn commands(words: &[String]) -> Vec<Vec<&str>> {
    let mut commands = vec![Vec::new()];
    let mut depth = 0_usize;
    for word in words {
        match word.as_str() {
            ";" if depth == 0 => {
                commands.push(Vec::new());
                continue;
            }
            "{" => depth += 1,
            "}" => depth = depth.saturating_sub(1),
            _ => {}
        }
        if let Some(command) = commands.last_mut() {
            command.push(word.as_str());
        }
    }
    commands
}

fn parse_map(words: &[&str]) -> Option<Map> {
    match words {
        ["ifname", ":", "verdict", ";"] => Some(Map::Link),
        ["ifname", ".", "ifname", ":", "verdict", ";"] => Some(Map::LinkPair),
        ["ipv4_addr", ":", "verdict", ";", "flags", "interval", ";"] => {
            Some(Map::Prefix(Family::Ipv4))
        }
        ["ipv6_addr", ":", "verdict", ";", "flags", "interval", ";"] => {
            Some(Map::Prefix(Family::Ipv6))
        }
        _ => None,
    }
}

fn parse_element(words: &[&str]) -> Option<(Key, Verdict)> {
    let at = words.iter().position(|word| *word == ":")?;
    let (key, verdict) = words.split_at_checked(at)?;
    let link = |word: &str| LinkName::new(word.strip_prefix('"')?.strip_suffix('"')?).ok();
    let key = match key {
        [from, ".", to] => Key::LinkPair(link(from)?, link(to)?),
        [word] if word.starts_with('"') => Key::Link(link(word)?),
        [word] => Key::Prefix(parse_prefix(word)?),
        _ => return None,
    };
    let verdict = match verdict {
        [":", "accept"] => Verdict::Accept,
        [":", "jump", chain] => Verdict::Jump((*chain).to_owned()),
        [":", "goto", chain] => Verdict::Goto((*chain).to_owned()),
        _ => return None,
    };
    Some((key, verdict))
}

fn parse_prefix(word: &str) -> Option<IpNet> {
    if word.contains('/') {
        word.parse().ok()
    } else {
        Some(IpNet::from(word.parse::<std::net::IpAddr>().ok()?))
    }
}

/// The arguments of one `nft` call that deletes a table, if nothing refers to its chain `chain`.
///
/// It fails, and changes nothing, as long as an element of a network does.
#[must_use]
pub fn teardown_words(table: &str, chain: &str) -> Vec<String> {
    let changes = vec![Change::DeleteChain { name: chain.to_owned() }, Change::DeleteTable];
    text::words(&Transaction { table: table.to_owned(), changes })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn network() -> Transaction {
        let link = LinkName::new("virbr3").unwrap();
        let changes = vec![
            Change::AddTable,
            Change::AddChain { name: "in_virbr3".into(), comment: Some("c".into()) },
            Change::AddChain { name: "nat_virbr3_0".into(), comment: None },
            Change::AddElement {
                map: "gin".into(),
                key: Key::Link(link.clone()),
                verdict: Verdict::Goto("in_virbr3".into()),
            },
            Change::AddElement {
                map: "cross".into(),
                key: Key::LinkPair(link.clone(), link),
                verdict: Verdict::Accept,
            },
            Change::AddElement {
                map: "nat4_0".into(),
                key: Key::Prefix("192.168.125.0/24".parse().unwrap()),
                verdict: Verdict::Jump("nat_virbr3_0".into()),
            },
        ];
        Transaction { table: "t".into(), changes }
    }

    #[test]
    fn adds_before_it_deletes_and_leaves_shared_objects() {
        let words = Removal::of(&network()).words().join(" ");
        let expect = "add chain inet t in_virbr3 ; add chain inet t nat_virbr3_0 ; \
            add map inet t cross { type ifname . ifname : verdict ; } ; \
            add map inet t gin { type ifname : verdict ; } ; \
            add map inet t nat4_0 { type ipv4_addr : verdict ; flags interval ; } ; \
            add element inet t gin { \"virbr3\" : goto in_virbr3 } ; \
            add element inet t cross { \"virbr3\" . \"virbr3\" : accept } ; \
            add element inet t nat4_0 { 192.168.125.0/24 : jump nat_virbr3_0 } ; \
            delete element inet t nat4_0 { 192.168.125.0/24 } ; \
            delete element inet t cross { \"virbr3\" . \"virbr3\" } ; \
            delete element inet t gin { \"virbr3\" } ; \
            flush chain inet t nat_virbr3_0 ; delete chain inet t nat_virbr3_0 ; \
            flush chain inet t in_virbr3 ; delete chain inet t in_virbr3";
        assert_eq!(words, expect);
    }

    #[test]
    fn words_read_back() {
        let removal = Removal::of(&network());
        assert_eq!(Removal::parse(&removal.words()), Ok(removal));
    }

    #[track_caller]
    fn refuse(words: &str, expect: &ParseRemovalError) {
        let words: Vec<_> = words.split(' ').map(str::to_owned).collect();
        assert_eq!(Removal::parse(&words).as_ref(), Err(expect));
    }

    #[test]
    fn refuses_what_is_not_ours() {
        let by_handle = "delete rule ip libvirt_network guest_nat handle 36";
        refuse(by_handle, &ParseRemovalError::Command(by_handle.to_owned()));
        refuse("add chain inet t in_a", &ParseRemovalError::Incomplete);
        refuse(
            "add element inet t m { }",
            &ParseRemovalError::Command("add element inet t m { }".into()),
        );
        let whole = Removal::of(&network()).words();
        assert_eq!(Removal::parse(&whole[..whole.len() - 6]), Err(ParseRemovalError::Incomplete));
    }
}
