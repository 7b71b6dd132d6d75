//! The kernel's part of a snapshot, as the usual programs print it.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use crate::error::{Error, Result};
use crate::netns::Netns;

use super::Section;

type Facts = BTreeMap<(Section, String), String>;

/// One process lists everything; a line of dashes stands between the parts.
const SCRIPT: &str = "
part() { echo; echo ----; }
ip -j -d link show; part
ip -j address show; part
ip -4 -j route show table all; part
ip -6 -j route show table all; part
ip -4 -j rule show; part
ip -6 -j rule show; part
nft -j list ruleset; part
tc -j qdisc show; part
# Listing legacy tables would load modules that are not in use.
if [ -s /proc/net/ip_tables_names ]; then iptables-legacy-save; fi
if [ -s /proc/net/ip6_tables_names ]; then ip6tables-legacy-save; fi
part
# Some values can only be written.
grep -rs '' /proc/sys/net || true
";

/// Sysctls that count or are drawn at random.
const VOLATILE_SYSCTLS: &[&str] = &["nf_conntrack_count", "tcp_fastopen_key", "netdev_rss_key"];

pub(super) fn collect(netns: &Netns, facts: &mut Facts) -> Result<()> {
    let output = netns.sh(SCRIPT)?;
    let parts: Vec<&str> = output.split("\n----\n").collect();
    let [links, addresses, routes4, routes6, rules4, rules6, nft, qdiscs, iptables, sysctls] =
        parts[..]
    else {
        return Err(Error::Format {
            what: "the listing of the host".into(),
            found: format!("{} parts", parts.len()),
        });
    };
    add_links(list("links", links)?, facts);
    add_addresses(list("addresses", addresses)?, facts);
    for (family, text) in [("ipv4", routes4), ("ipv6", routes6)] {
        add_whole(Section::Route, family, list("routes", text)?, facts);
    }
    for (family, text) in [("ipv4", rules4), ("ipv6", rules6)] {
        add_whole(Section::PolicyRule, family, list("rules", text)?, facts);
    }
    add_nftables(nft, facts)?;
    for mut qdisc in list("qdiscs", qdiscs)? {
        let device = take(&mut qdisc, "dev");
        let handle = take(&mut qdisc, "handle");
        facts.insert((Section::Qdisc, format!("{device} {handle}")), qdisc.to_string());
    }
    for (number, line) in iptables.lines().filter(|line| !line.starts_with('#')).enumerate() {
        facts.insert((Section::Iptables, format!("{number:04}")), line.to_owned());
    }
    for line in sysctls.lines() {
        let Some((path, value)) = line.split_once(':') else {
            continue;
        };
        let name = path.trim_start_matches("/proc/sys/");
        if !VOLATILE_SYSCTLS.iter().any(|volatile| name.ends_with(volatile)) {
            // A value of several lines becomes one.
            let text = facts.entry((Section::Sysctl, name.to_owned())).or_default();
            text.push_str(value);
        }
    }
    Ok(())
}

/// A JSON array as `ip` and `tc` print it; nothing at all stands for an empty one.
fn list(what: &str, text: &str) -> Result<Vec<Value>> {
    if text.trim().is_empty() {
        return Ok(Vec::new());
    }
    serde_json::from_str(text)
        .map_err(|error| Error::Format { what: what.into(), found: error.to_string() })
}

fn object(value: &mut Value) -> Option<&mut Map<String, Value>> {
    value.as_object_mut()
}

/// Removes a member; its text, or nothing if it was not there.
fn take(value: &mut Value, name: &str) -> String {
    match object(value).and_then(|members| members.remove(name)) {
        Some(Value::String(text)) => text,
        Some(other) => other.to_string(),
        None => String::new(),
    }
}

fn remove_flags(value: &mut Value, volatile: &[&str]) {
    if let Some(Value::Array(flags)) = value.get_mut("flags") {
        flags.retain(|flag| !volatile.iter().any(|name| flag == name));
    }
}

fn add_links(links: Vec<Value>, facts: &mut Facts) {
    for mut link in links {
        let name = take(&mut link, "ifname");
        // The carrier of a bridge follows within a second, by itself.
        for volatile in ["ifindex", "link_index", "link_netnsid", "operstate"] {
            take(&mut link, volatile);
        }
        remove_flags(&mut link, &["NO-CARRIER", "LOWER_UP"]);
        if let Some(data) = link.pointer_mut("/linkinfo/info_data").and_then(object) {
            data.retain(|key, _| !key.ends_with("_timer") && !key.starts_with("topology_change"));
        }
        facts.insert((Section::Link, name), link.to_string());
    }
}

fn add_addresses(links: Vec<Value>, facts: &mut Facts) {
    for mut link in links {
        let name = take(&mut link, "ifname");
        let Some(Value::Array(addresses)) =
            object(&mut link).and_then(|link| link.remove("addr_info"))
        else {
            continue;
        };
        for mut address in addresses {
            let key = format!(
                "{name} {}/{}",
                take(&mut address, "local"),
                take(&mut address, "prefixlen")
            );
            // Duplicate address detection and life times go on by themselves.
            for volatile in ["tentative", "valid_life_time", "preferred_life_time"] {
                take(&mut address, volatile);
            }
            facts.insert((Section::Address, key), address.to_string());
        }
    }
}

fn add_whole(section: Section, family: &str, values: Vec<Value>, facts: &mut Facts) {
    for mut value in values {
        take(&mut value, "expires");
        remove_flags(&mut value, &["linkdown"]);
        // Two equal entries would be one key: counted.
        let count = facts.entry((section, format!("{family} {value}"))).or_default();
        *count = (count.parse::<usize>().unwrap_or(0) + 1).to_string();
    }
}

fn add_nftables(text: &str, facts: &mut Facts) -> Result<()> {
    let wrong = |found: String| Error::Format { what: "the nftables ruleset".into(), found };
    let mut ruleset: Value =
        serde_json::from_str(text).map_err(|error| wrong(error.to_string()))?;
    let objects = match object(&mut ruleset).and_then(|ruleset| ruleset.remove("nftables")) {
        Some(Value::Array(objects)) => objects,
        other => return Err(wrong(format!("{other:?}"))),
    };
    let mut positions: BTreeMap<String, usize> = BTreeMap::new();
    for entry in objects {
        let Value::Object(entry) = entry else {
            return Err(wrong(entry.to_string()));
        };
        for (kind, mut value) in entry {
            if kind == "metainfo" {
                continue;
            }
            settle(&mut value);
            let member = |name: &str| value.get(name).and_then(Value::as_str).unwrap_or_default();
            let mut key = format!("{kind} {} {}", member("family"), member("table"));
            for name in ["chain", "name"] {
                if !member(name).is_empty() {
                    key = format!("{key} {}", member(name));
                }
            }
            if kind == "rule" {
                // The order of the rules of a chain matters, their handles do not.
                let position = positions.entry(key.clone()).or_default();
                *position += 1;
                key = format!("{key} #{position}");
            }
            facts.insert((Section::Nftables, key), value.to_string());
        }
    }
    Ok(())
}

/// Removes handles and counts, and brings the elements of sets into one order.
fn settle(value: &mut Value) {
    match value {
        Value::Object(members) => {
            members.remove("handle");
            if let Some(counter) = members.get_mut("counter") {
                *counter = Value::Null;
            }
            for (name, member) in members.iter_mut() {
                settle(member);
                if let ("elem", Value::Array(elements)) = (name.as_str(), member) {
                    elements.sort_by_key(Value::to_string);
                }
            }
        }
        Value::Array(values) => values.iter_mut().for_each(settle),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check_nftables(text: &str, expect: &[(&str, &str)]) {
        let mut facts = Facts::new();
        add_nftables(text, &mut facts).unwrap();
        let found: Vec<(&str, &str)> =
            facts.iter().map(|((_, key), value)| (key.as_str(), value.as_str())).collect();
        assert_eq!(found, expect);
    }

    #[test]
    fn handles_and_counts_are_left_out() {
        check_nftables(r#"{"nftables":[{"metainfo":{"version":"1"}}]}"#, &[]);
        check_nftables(
            r#"{"nftables":[{"table":{"family":"ip","name":"t","handle":7}}]}"#,
            &[("table ip  t", r#"{"family":"ip","name":"t"}"#)],
        );
        check_nftables(
            r#"{"nftables":[{"rule":{"family":"ip","table":"t","chain":"c","handle":9,"expr":[{"counter":{"packets":1,"bytes":2}}]}}]}"#,
            &[(
                "rule ip t c #1",
                r#"{"family":"ip","table":"t","chain":"c","expr":[{"counter":null}]}"#,
            )],
        );
    }

    #[test]
    fn elements_have_one_order() {
        let one =
            r#"{"nftables":[{"map":{"family":"ip","name":"m","table":"t","elem":["b","a"]}}]}"#;
        check_nftables(
            one,
            &[("map ip t m", r#"{"family":"ip","name":"m","table":"t","elem":["a","b"]}"#)],
        );
    }

    #[test]
    fn what_is_no_ruleset_is_an_error() {
        for text in ["", "[]", "{}", r#"{"nftables":1}"#, r#"{"nftables":[1]}"#] {
            assert!(add_nftables(text, &mut Facts::new()).is_err(), "{text}");
        }
    }

    #[test]
    fn equal_routes_are_counted() {
        let mut facts = Facts::new();
        add_whole(
            Section::Route,
            "ipv4",
            list("routes", r#"[{"a":1},{"a":1}]"#).unwrap(),
            &mut facts,
        );
        assert_eq!(facts.values().collect::<Vec<_>>(), ["2"]);
    }
}
