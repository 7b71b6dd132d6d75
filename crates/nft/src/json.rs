//! nftables changes as a document for `nft -j -f -`, through the schema of the `nftables` crate.
//!
//! The schema of that crate cannot say three things that we need: a map's value type `verdict`, the
//! verdict `accept` of an element as an object, and the comment of a chain. They are
//! put into the serialised document.

use std::borrow::Cow;
use std::collections::HashSet;

use ipnet::IpNet;
use nftables::expr::{
    CT, Expression, Meta, MetaKey, NamedExpression, Payload, PayloadField, Prefix, Range,
};
use nftables::schema::{
    Chain, Element, FlushObject, Map as NfMap, NfCmd, NfListObject, NfObject, Nftables,
    Rule as NfRule, Set as NfSet, SetFlag, SetType, SetTypeValue, Table,
};
use nftables::stmt::{
    Counter, JumpTarget, Match as NfMatch, NAT, NATFamily, Operator, Statement, VerdictMap,
};
use nftables::types::{NfChainPolicy, NfChainType, NfFamily, NfHook};
use serde_json::{Value, json};

use super::model::{
    Action, ChainHook, Change, Family, Key, LookupKey, Map, Match, PortRange, Rule, Set,
    Transaction, Verdict,
};

/// The transaction as a JSON document, or an error if a change has no JSON form.
///
/// # Errors
/// `DESTROY` changes exist only as netlink messages and are refused, as is a document that the
/// serialiser cannot write.
pub fn document(transaction: &Transaction) -> Result<Value, JsonError> {
    let mut objects = Vec::with_capacity(transaction.changes.len());
    let mut repairs = Vec::with_capacity(transaction.changes.len());
    for change in &transaction.changes {
        objects.push(NfObject::CmdObject(command(&transaction.table, change)?));
        repairs.push(repair(change));
    }
    let mut document = serde_json::to_value(Nftables { objects: Cow::Owned(objects) })
        .map_err(JsonError::Serialize)?;
    if let Some(list) = document.get_mut("nftables").and_then(Value::as_array_mut) {
        for (object, repair) in list.iter_mut().zip(repairs) {
            if let Some((path, value)) = repair
                && let Some(parent) = object.pointer_mut(path.parent)
            {
                set(parent, path.key, value);
            }
        }
    }
    Ok(document)
}

/// Why a transaction has no JSON form.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum JsonError {
    /// The change exists only as a netlink message.
    #[error("{0} has no form in nft's JSON")]
    NoForm(&'static str),
    /// The document could not be written.
    #[error("cannot serialise the nft document")]
    Serialize(#[source] serde_json::Error),
}

/// Where a value goes: a JSON pointer and the key or index below it.
struct Place {
    parent: &'static str,
    key: &'static str,
}

fn set(parent: &mut Value, key: &str, value: Value) {
    match parent {
        Value::Object(object) => {
            object.insert(key.to_owned(), value);
        }
        Value::Array(array) => {
            if let Some(slot) = key.parse::<usize>().ok().and_then(|index| array.get_mut(index)) {
                *slot = value;
            }
        }
        _ => {}
    }
}

/// What the schema could not express.
fn repair(change: &Change) -> Option<(Place, Value)> {
    match change {
        Change::AddMap { .. } => Some((Place { parent: "/add/map", key: "map" }, json!("verdict"))),
        Change::AddElement { verdict: Verdict::Accept, .. } => {
            Some((Place { parent: "/add/element/elem/0", key: "1" }, json!({ "accept": null })))
        }
        Change::AddChain { comment: Some(comment), .. } => {
            Some((Place { parent: "/add/chain", key: "comment" }, json!(comment)))
        }
        Change::AddOwnedTable => {
            Some((Place { parent: "/add/table", key: "flags" }, json!(["owner", "persist"])))
        }
        _ => None,
    }
}

fn command<'a>(table: &'a str, change: &'a Change) -> Result<NfCmd<'a>, JsonError> {
    let chain = |name: &'a str| Chain {
        family: NfFamily::INet,
        table: table.into(),
        name: name.into(),
        ..Chain::default()
    };
    Ok(match change {
        Change::AddTable | Change::AddOwnedTable => {
            NfCmd::Add(NfListObject::Table(table_object(table)))
        }
        Change::DeleteTable => NfCmd::Delete(NfListObject::Table(table_object(table))),
        Change::AddBaseChain { name, hook, priority } => {
            let (kind, hook) = match hook {
                ChainHook::FilterForward => (NfChainType::Filter, NfHook::Forward),
                ChainHook::NatPostrouting => (NfChainType::NAT, NfHook::Postrouting),
            };
            NfCmd::Add(NfListObject::Chain(Chain {
                _type: Some(kind),
                hook: Some(hook),
                prio: Some(*priority),
                policy: Some(NfChainPolicy::Accept),
                ..chain(name)
            }))
        }
        Change::AddChain { name, .. } => NfCmd::Add(NfListObject::Chain(chain(name))),
        Change::AddSharedChain { name } => NfCmd::Add(NfListObject::Chain(chain(name))),
        Change::FlushChain { name } => NfCmd::Flush(FlushObject::Chain(chain(name))),
        Change::DeleteChain { name } => NfCmd::Delete(NfListObject::Chain(chain(name))),
        Change::AddMap { name, map } => {
            NfCmd::Add(NfListObject::Map(Box::new(map_object(table, name, *map))))
        }
        Change::AddSet { name, set } => {
            NfCmd::Add(NfListObject::Set(Box::new(set_object(table, name, set))))
        }
        Change::AddRule { chain, rule } => NfCmd::Add(NfListObject::Rule(NfRule {
            family: NfFamily::INet,
            table: table.into(),
            chain: chain.into(),
            expr: Cow::Owned(statements(rule)),
            ..NfRule::default()
        })),
        Change::AddElement { map, key, verdict } => {
            let pair = Expression::List(vec![key_expression(key), verdict_expression(verdict)]);
            NfCmd::Add(NfListObject::Element(element(table, map, pair)))
        }
        Change::DeleteElement { map, key } => {
            NfCmd::Delete(NfListObject::Element(element(table, map, key_expression(key))))
        }
        Change::DestroyChain { .. } => return Err(JsonError::NoForm("destroying a chain")),
        Change::DestroyElement { .. } => return Err(JsonError::NoForm("destroying an element")),
    })
}

fn table_object(name: &str) -> Table<'_> {
    Table { family: NfFamily::INet, name: name.into(), handle: None }
}

fn map_object<'a>(table: &'a str, name: &'a str, map: Map) -> NfMap<'a> {
    let (set_type, flags) = match map {
        Map::Link => (SetTypeValue::Single(SetType::Ifname), None),
        Map::LinkPair => {
            (SetTypeValue::Concatenated(vec![SetType::Ifname, SetType::Ifname].into()), None)
        }
        Map::Prefix(family) => {
            (SetTypeValue::Single(address_type(family)), Some(HashSet::from([SetFlag::Interval])))
        }
    };
    NfMap {
        family: NfFamily::INet,
        table: table.into(),
        name: name.into(),
        set_type,
        // Replaced by `verdict` in the document.
        map: SetTypeValue::Single(SetType::Mark),
        flags,
        ..NfMap::default()
    }
}

fn set_object<'a>(table: &'a str, name: &'a str, set: &'a Set) -> NfSet<'a> {
    let Set::Prefixes(family, prefixes) = set;
    let elements: Vec<_> = prefixes.iter().map(prefix).collect();
    NfSet {
        family: NfFamily::INet,
        table: table.into(),
        name: name.into(),
        set_type: SetTypeValue::Single(address_type(*family)),
        flags: Some(HashSet::from([SetFlag::Interval])),
        elem: Some(Cow::Owned(elements)),
        ..NfSet::default()
    }
}

fn address_type(family: Family) -> SetType {
    match family {
        Family::Ipv4 => SetType::Ipv4Addr,
        Family::Ipv6 => SetType::Ipv6Addr,
    }
}

fn element<'a>(table: &'a str, map: &'a str, elem: Expression<'a>) -> Element<'a> {
    Element {
        family: NfFamily::INet,
        table: table.into(),
        name: map.into(),
        elem: Cow::Owned(vec![elem]),
    }
}

fn text(value: &str) -> Expression<'_> {
    Expression::String(value.into())
}

fn prefix(net: &IpNet) -> Expression<'static> {
    if net.prefix_len() == net.max_prefix_len() {
        return Expression::String(net.addr().to_string().into());
    }
    Expression::Named(NamedExpression::Prefix(Prefix {
        addr: Box::new(Expression::String(net.network().to_string().into())),
        len: u32::from(net.prefix_len()),
    }))
}

fn key_expression(key: &Key) -> Expression<'_> {
    match key {
        Key::Link(link) => text(link.as_str()),
        Key::LinkPair(from, to) => {
            Expression::Named(NamedExpression::Concat(vec![text(from.as_str()), text(to.as_str())]))
        }
        Key::Prefix(net) => prefix(net),
    }
}

fn verdict_expression(verdict: &Verdict) -> Expression<'_> {
    let target = |chain: &'_ String| JumpTarget { target: Cow::Owned(chain.clone()) };
    match verdict {
        // Replaced by an object in the document.
        Verdict::Accept => text("accept"),
        Verdict::Jump(chain) => Expression::Verdict(nftables::expr::Verdict::Jump(target(chain))),
        Verdict::Goto(chain) => Expression::Verdict(nftables::expr::Verdict::Goto(target(chain))),
    }
}

fn meta(key: MetaKey) -> Expression<'static> {
    Expression::Named(NamedExpression::Meta(Meta { key }))
}

fn address(family: Family, field: &'static str) -> Expression<'static> {
    let protocol = match family {
        Family::Ipv4 => "ip",
        Family::Ipv6 => "ip6",
    };
    Expression::Named(NamedExpression::Payload(Payload::PayloadField(PayloadField {
        protocol: protocol.into(),
        field: field.into(),
    })))
}

fn equal<'a>(left: Expression<'a>, op: Operator, right: Expression<'a>) -> Statement<'a> {
    Statement::Match(NfMatch { left, right, op })
}

fn statements(rule: &Rule) -> Vec<Statement<'_>> {
    let mut statements: Vec<_> = rule.matches.iter().map(condition).collect();
    if rule.is_counted() {
        statements.push(Statement::Counter(Counter::Anonymous(None)));
    }
    statements.push(action(&rule.action));
    statements
}

fn condition(item: &Match) -> Statement<'_> {
    match item {
        Match::InLink(link) => equal(meta(MetaKey::Iifname), Operator::EQ, text(link.as_str())),
        Match::OutLink(link) => equal(meta(MetaKey::Oifname), Operator::EQ, text(link.as_str())),
        Match::Source(net) => {
            equal(address(Family::of_net(net), "saddr"), Operator::EQ, prefix(net))
        }
        Match::Destination(net) => {
            equal(address(Family::of_net(net), "daddr"), Operator::EQ, prefix(net))
        }
        Match::NotDestination(net) => {
            equal(address(Family::of_net(net), "daddr"), Operator::NEQ, prefix(net))
        }
        Match::DestinationIn(family, set) => equal(
            address(*family, "daddr"),
            Operator::EQ,
            Expression::String(format!("@{set}").into()),
        ),
        Match::Established => equal(
            Expression::Named(NamedExpression::CT(CT { key: "state".into(), ..CT::default() })),
            Operator::IN,
            Expression::List(vec![text("established"), text("related")]),
        ),
        Match::Family(family) => equal(
            meta(MetaKey::Nfproto),
            Operator::EQ,
            text(match family {
                Family::Ipv4 => "ipv4",
                Family::Ipv6 => "ipv6",
            }),
        ),
        Match::L4Protocol(protocol) => {
            equal(meta(MetaKey::L4proto), Operator::EQ, text(protocol.name()))
        }
    }
}

fn port_range(ports: PortRange) -> Expression<'static> {
    let bounds =
        [Expression::Number(u32::from(ports.start)), Expression::Number(u32::from(ports.end))];
    Expression::Range(Box::new(Range { range: bounds }))
}

fn action(action: &Action) -> Statement<'_> {
    match action {
        Action::Accept => Statement::Accept(None),
        Action::Return => Statement::Return(None),
        Action::Reject => Statement::Reject(None),
        Action::Masquerade(ports) => Statement::Masquerade(ports.map(|ports| NAT {
            addr: None,
            family: None,
            port: Some(port_range(ports)),
            flags: None,
        })),
        Action::Snat { start, end, ports } => {
            let bounds = [
                Expression::String(start.to_string().into()),
                Expression::String(end.to_string().into()),
            ];
            Statement::SNAT(Some(NAT {
                addr: Some(Expression::Range(Box::new(Range { range: bounds }))),
                family: Some(match Family::of(*start) {
                    Family::Ipv4 => NATFamily::IP,
                    Family::Ipv6 => NATFamily::IP6,
                }),
                port: ports.map(port_range),
                flags: None,
            }))
        }
        Action::Lookup(key, map) => {
            let key = match key {
                LookupKey::InLink => meta(MetaKey::Iifname),
                LookupKey::OutLink => meta(MetaKey::Oifname),
                LookupKey::LinkPair => Expression::Named(NamedExpression::Concat(vec![
                    meta(MetaKey::Iifname),
                    meta(MetaKey::Oifname),
                ])),
                LookupKey::Source(family) => address(*family, "saddr"),
            };
            Statement::VerdictMap(VerdictMap {
                key,
                data: Expression::String(format!("@{map}").into()),
            })
        }
    }
}
