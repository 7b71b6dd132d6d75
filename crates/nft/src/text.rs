//! nftables changes in the language of `nft(8)`.
//!
//! The unit is the word: `nft` joins its arguments with blanks and takes `;` as a word, so a whole
//! transaction can be one argument list (that is how a removal is saved in a status file).

use ipnet::IpNet;

use super::model::{
    Action, ChainHook, Change, Family, Key, LookupKey, Map, Match, PortRange, Rule, Set,
    Transaction, Verdict,
};

/// The transaction as lines for `nft -f -`.
#[must_use]
pub fn script(transaction: &Transaction) -> String {
    let mut script = String::new();
    for change in &transaction.changes {
        for (index, word) in change_words(&transaction.table, change).iter().enumerate() {
            if index > 0 {
                script.push(' ');
            }
            script.push_str(word);
        }
        script.push('\n');
    }
    script
}

/// The transaction as the arguments of one `nft` call: changes are separated by the word `;`.
#[must_use]
pub fn words(transaction: &Transaction) -> Vec<String> {
    let mut words = Vec::new();
    for change in &transaction.changes {
        if !words.is_empty() {
            words.push(";".to_owned());
        }
        words.extend(change_words(&transaction.table, change));
    }
    words
}

fn change_words(table: &str, change: &Change) -> Vec<String> {
    let mut out = Words::default();
    match change {
        Change::AddTable => out.object("add table", table, None),
        Change::AddOwnedTable => {
            out.object("add table", table, None);
            out.words("{ flags owner,persist ; }");
        }
        Change::DeleteTable => out.object("delete table", table, None),
        Change::AddBaseChain { name, hook, priority } => {
            out.object("add chain", table, Some(name));
            let hook = match hook {
                ChainHook::FilterForward => "type filter hook forward priority",
                ChainHook::NatPostrouting => "type nat hook postrouting priority",
            };
            out.words("{").words(hook).word(priority.to_string()).words("; policy accept ; }");
        }
        Change::AddChain { name, comment } => {
            out.object("add chain", table, Some(name));
            if let Some(comment) = comment {
                out.words("{ comment").word(format!("\"{comment}\"")).words("; }");
            }
        }
        Change::AddSharedChain { name } => out.object("add chain", table, Some(name)),
        Change::FlushChain { name } => out.object("flush chain", table, Some(name)),
        Change::DeleteChain { name } => out.object("delete chain", table, Some(name)),
        Change::DestroyChain { name } => out.object("destroy chain", table, Some(name)),
        Change::AddMap { name, map } => {
            out.object("add map", table, Some(name));
            out.words(match map {
                Map::Link => "{ type ifname : verdict ; }",
                Map::LinkPair => "{ type ifname . ifname : verdict ; }",
                Map::Prefix(Family::Ipv4) => "{ type ipv4_addr : verdict ; flags interval ; }",
                Map::Prefix(Family::Ipv6) => "{ type ipv6_addr : verdict ; flags interval ; }",
            });
        }
        Change::AddSet { name, set } => {
            out.object("add set", table, Some(name));
            add_set(&mut out, set);
        }
        Change::AddRule { chain, rule } => {
            out.object("add rule", table, Some(chain));
            add_rule(&mut out, rule);
        }
        Change::AddElement { map, key, verdict } => {
            out.object("add element", table, Some(map));
            out.words("{");
            add_key(&mut out, key);
            out.words(":");
            match verdict {
                Verdict::Accept => out.words("accept"),
                Verdict::Jump(chain) => out.words("jump").word(chain.clone()),
                Verdict::Goto(chain) => out.words("goto").word(chain.clone()),
            };
            out.words("}");
        }
        Change::DeleteElement { map, key } => {
            out.object("delete element", table, Some(map));
            out.words("{");
            add_key(&mut out, key);
            out.words("}");
        }
        Change::DestroyElement { map, key } => {
            out.object("destroy element", table, Some(map));
            out.words("{");
            add_key(&mut out, key);
            out.words("}");
        }
    }
    out.0
}

fn add_set(out: &mut Words, set: &Set) {
    let Set::Prefixes(family, prefixes) = set;
    out.words(match family {
        Family::Ipv4 => "{ type ipv4_addr ; flags interval ; elements = {",
        Family::Ipv6 => "{ type ipv6_addr ; flags interval ; elements = {",
    });
    for (index, prefix) in prefixes.iter().enumerate() {
        if index > 0 {
            out.words(",");
        }
        out.word(prefix_text(prefix));
    }
    out.words("} ; }");
}

fn add_key(out: &mut Words, key: &Key) {
    match key {
        Key::Link(link) => out.word(format!("\"{link}\"")),
        Key::LinkPair(from, to) => {
            out.word(format!("\"{from}\"")).words(".").word(format!("\"{to}\""))
        }
        Key::Prefix(net) => out.word(prefix_text(net)),
    };
}

fn add_rule(out: &mut Words, rule: &Rule) {
    for item in &rule.matches {
        match item {
            Match::InLink(link) => out.words("iifname").word(format!("\"{link}\"")),
            Match::OutLink(link) => out.words("oifname").word(format!("\"{link}\"")),
            Match::Source(net) => out.words(family_word(net)).words("saddr").word(prefix_text(net)),
            Match::Destination(net) => {
                out.words(family_word(net)).words("daddr").word(prefix_text(net))
            }
            Match::NotDestination(net) => {
                out.words(family_word(net)).words("daddr !=").word(prefix_text(net))
            }
            Match::DestinationIn(Family::Ipv4, set) => {
                out.words("ip daddr").word(format!("@{set}"))
            }
            Match::DestinationIn(Family::Ipv6, set) => {
                out.words("ip6 daddr").word(format!("@{set}"))
            }
            Match::Established => out.words("ct state established,related"),
            Match::Family(Family::Ipv4) => out.words("meta nfproto ipv4"),
            Match::Family(Family::Ipv6) => out.words("meta nfproto ipv6"),
            Match::L4Protocol(protocol) => out.words("meta l4proto").words(protocol.name()),
        };
    }
    if rule.is_counted() {
        out.words("counter");
    }
    match &rule.action {
        Action::Accept => out.words("accept"),
        Action::Return => out.words("return"),
        Action::Reject => out.words("reject"),
        Action::Masquerade(None) => out.words("masquerade"),
        Action::Masquerade(Some(ports)) => out.words("masquerade to").word(ports_text(*ports)),
        Action::Snat { start, end, ports } => {
            out.words(match Family::of(*start) {
                Family::Ipv4 => "snat ip to",
                Family::Ipv6 => "snat ip6 to",
            });
            let mut target = format!("{start}-{end}");
            if let Some(ports) = ports {
                target.push_str(&ports_text(*ports));
            }
            out.word(target)
        }
        Action::Lookup(key, map) => {
            out.words(match key {
                LookupKey::InLink => "iifname",
                LookupKey::OutLink => "oifname",
                LookupKey::LinkPair => "iifname . oifname",
                LookupKey::Source(Family::Ipv4) => "ip saddr",
                LookupKey::Source(Family::Ipv6) => "ip6 saddr",
            });
            out.words("vmap").word(format!("@{map}"))
        }
    };
}

fn family_word(net: &IpNet) -> &'static str {
    match net {
        IpNet::V4(_) => "ip",
        IpNet::V6(_) => "ip6",
    }
}

/// The network in the spelling nft lists: a full-length prefix is a bare address.
pub(super) fn prefix_text(net: &IpNet) -> String {
    if net.prefix_len() == net.max_prefix_len() {
        net.addr().to_string()
    } else {
        net.trunc().to_string()
    }
}

fn ports_text(ports: PortRange) -> String {
    format!(":{}-{}", ports.start, ports.end)
}

/// A list of words under construction.
#[derive(Default)]
struct Words(Vec<String>);

impl Words {
    fn word(&mut self, word: String) -> &mut Self {
        self.0.push(word);
        self
    }

    /// Adds the blank-separated words of a literal.
    fn words(&mut self, words: &str) -> &mut Self {
        self.0.extend(words.split(' ').map(str::to_owned));
        self
    }

    fn object(&mut self, command: &str, table: &str, name: Option<&str>) {
        self.words(command).words("inet").word(table.to_owned());
        if let Some(name) = name {
            self.word(name.to_owned());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::L4Protocol;
    use oxivirt_types::link_name::LinkName;

    #[track_caller]
    fn check(change: Change, expect: &str) {
        let transaction = Transaction { table: "t".to_owned(), changes: vec![change] };
        assert_eq!(script(&transaction), format!("{expect}\n"));
    }

    fn link(name: &str) -> LinkName {
        LinkName::new(name).unwrap()
    }

    fn net(text: &str) -> IpNet {
        text.parse().unwrap()
    }

    #[test]
    fn objects() {
        check(Change::AddTable, "add table inet t");
        check(Change::AddOwnedTable, "add table inet t { flags owner,persist ; }");
        check(
            Change::AddBaseChain {
                name: "forward".into(),
                hook: ChainHook::FilterForward,
                priority: 0,
            },
            "add chain inet t forward { type filter hook forward priority 0 ; policy accept ; }",
        );
        check(
            Change::AddMap { name: "m".into(), map: Map::Prefix(Family::Ipv6) },
            "add map inet t m { type ipv6_addr : verdict ; flags interval ; }",
        );
        check(
            Change::AddSet {
                name: "s".into(),
                set: Set::Prefixes(Family::Ipv4, vec![net("10.0.0.0/8"), net("1.2.3.4/32")]),
            },
            "add set inet t s { type ipv4_addr ; flags interval ; elements = { 10.0.0.0/8 , 1.2.3.4 } ; }",
        );
        check(
            Change::AddElement {
                map: "cross".into(),
                key: Key::LinkPair(link("a"), link("b")),
                verdict: Verdict::Accept,
            },
            "add element inet t cross { \"a\" . \"b\" : accept }",
        );
        check(
            Change::DeleteElement { map: "n".into(), key: Key::Prefix(net("10.0.0.0/8")) },
            "delete element inet t n { 10.0.0.0/8 }",
        );
    }

    #[test]
    fn rules() {
        let rule =
            |matches, action| Change::AddRule { chain: "c".into(), rule: Rule { matches, action } };
        check(
            rule(
                vec![Match::Source(net("10.0.0.0/24")), Match::OutLink(link("e0"))],
                Action::Return,
            ),
            "add rule inet t c ip saddr 10.0.0.0/24 oifname \"e0\" counter return",
        );
        check(
            rule(
                vec![Match::NotDestination(net("10.0.0.0/24")), Match::L4Protocol(L4Protocol::Tcp)],
                Action::Masquerade(Some(PortRange { start: 1024, end: 65535 })),
            ),
            "add rule inet t c ip daddr != 10.0.0.0/24 meta l4proto tcp counter masquerade to :1024-65535",
        );
        check(
            rule(
                vec![],
                Action::Snat {
                    start: "1.2.3.4".parse().unwrap(),
                    end: "1.2.3.9".parse().unwrap(),
                    ports: None,
                },
            ),
            "add rule inet t c counter snat ip to 1.2.3.4-1.2.3.9",
        );
        check(
            rule(vec![], Action::Lookup(LookupKey::LinkPair, "cross".into())),
            "add rule inet t c iifname . oifname vmap @cross",
        );
    }

    #[test]
    fn words_join_changes_with_a_semicolon() {
        let changes =
            vec![Change::FlushChain { name: "c".into() }, Change::DeleteChain { name: "c".into() }];
        let words = words(&Transaction { table: "t".to_owned(), changes });
        assert_eq!(words.join(" "), "flush chain inet t c ; delete chain inet t c");
    }
}
