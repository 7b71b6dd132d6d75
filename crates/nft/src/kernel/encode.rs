//! Transactions as nfnetlink messages.
//!
//! Written so that `nft list` prints for them exactly what it prints for the same transaction in
//! text form, with nft 1.0.6 and 1.1.3.

use std::net::IpAddr;

use ipnet::IpNet;
use netlink_packet_core::{
    DefaultNla, NLA_F_NESTED, NLM_F_APPEND, NLM_F_CREATE, NLM_F_REQUEST, NetlinkMessage,
};
use netlink_packet_netfilter::nftables::{
    Bitwise, ChainAttribute, ChainMessage, Cmp, DataAttribute, ExpressionAttribute, Expressions,
    Hook, HookNumber, Immediate, InetHookNumber, ListAttribute, Lookup, Meta, MetaKey,
    NfTablesMessage, Operator, Payload, Register, RuleAttribute, RuleMessage, SetAttribute,
    SetElementAttribute, SetElementFlags, SetElementList, SetElementMessage, SetFlags, SetMessage,
    TableAttribute, TableFlags, TableMessage, Verdict as NfVerdict, VerdictAttribute,
};
use netlink_packet_netfilter::none::ControlMessage;
use netlink_packet_netfilter::{NetfilterHeader, NetfilterMessage, NetfilterProtoFamily};

use crate::model::{
    Action, ChainHook, Change, Family, Key, LookupKey, Map, Match, PortRange, Rule, Set, Verdict,
};
use oxivirt_types::link_name::LinkName;

/// `NFNL_SUBSYS_NFTABLES`, the resource that a batch is for.
const SUBSYSTEM: u16 = 10;
/// Type of a batch begin message, for the form with attributes.
const BATCH_BEGIN: u8 = 16;
const DESTROY_CHAIN: u8 = 27;
const DESTROY_ELEMENT: u8 = 30;
/// Attribute of batch begin: the generation that must still be current.
const BATCH_GENERATION: u16 = 1;
/// nft's data types, which it stores with a set (`enum datatypes` of nftables).
const TYPE_IPV4_ADDR: u32 = 7;
const TYPE_IPV6_ADDR: u32 = 8;
const TYPE_IFNAME: u32 = 41;
/// `NFT_DATA_VERDICT`
const DATA_VERDICT: u32 = 0xffff_ff00;
/// Kinds of the entries in user data: the comment of a chain, the byte order of a set's keys.
const USERDATA_COMMENT: u8 = 0;
const USERDATA_KEY_BYTE_ORDER: u8 = 0;
const BYTE_ORDER_HOST: u32 = 1;
const BYTE_ORDER_NETWORK: u32 = 2;
/// `NF_ACCEPT`
const NF_ACCEPT: u32 = 1;
/// `NFT_META_NFPROTO` compares one byte: `NFPROTO_IPV4`, `NFPROTO_IPV6`.
const NFPROTO_IPV4: u8 = 2;
const NFPROTO_IPV6: u8 = 10;
/// Base `NFT_PAYLOAD_NETWORK_HEADER`.
const NETWORK_HEADER: u32 = 1;
/// `NF_CT_STATE_BIT` of established and related, together.
const CT_ESTABLISHED_RELATED: u32 = 6;

/// A change of another table than ours, in the same batch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Elsewhere {
    /// `NFPROTO_…`
    pub(super) family: u8,
    /// Name of the table.
    pub(super) table: String,
    pub(super) what: What,
}

/// What is changed there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum What {
    /// The whole table goes.
    DeleteTable,
    /// A rule goes, by the number that was just read.
    DeleteRule { chain: String, handle: u64 },
    /// A chain comes, unless it is there.
    AddChain(String),
    /// The rules of a chain go.
    FlushChain(String),
    /// A chain goes.
    DeleteChain(String),
    /// A rule comes last.
    AddRule { chain: String, rule: Rule },
    /// A jump to another chain comes first.
    InsertJump { chain: String, to: String },
}

/// The last member of a batch.
#[derive(Debug, Clone, Copy)]
pub(super) enum Last<'a> {
    /// A change of the table with this name.
    Change(&'a str, &'a Change),
    /// A change of another table.
    Elsewhere(&'a Elsewhere),
}

/// Messages of one batch.
pub(super) struct Batch {
    bytes: Vec<u8>,
    /// Sequence number of the next message; the first message has number 0.
    sequence: u32,
    /// Identifies sets within the transaction.
    set_id: u32,
}

impl Batch {
    /// Begins a batch, optionally only valid if `generation` is still current.
    pub(super) fn begin(generation: Option<u32>) -> Self {
        let mut batch = Self { bytes: Vec::new(), sequence: 0, set_id: 0 };
        let begin = match generation {
            None => ControlMessage::BatchBegin,
            Some(id) => ControlMessage::Other {
                message_type: BATCH_BEGIN,
                attributes: vec![DefaultNla::new(BATCH_GENERATION, id.to_be_bytes().to_vec())],
            },
        };
        batch.control(begin);
        batch
    }

    /// Ends the batch and returns its bytes and the sequence number of the last change, which
    /// carries the only request for an acknowledgement.
    pub(super) fn end(mut self, last: Last<'_>) -> (Vec<u8>, u32) {
        let acknowledged = self.sequence;
        match last {
            Last::Change(table, change) => {
                self.push(table, change, netlink_packet_core::NLM_F_ACK);
            }
            Last::Elsewhere(change) => {
                self.push_elsewhere(change, netlink_packet_core::NLM_F_ACK);
            }
        }
        self.control(ControlMessage::BatchEnd);
        (self.bytes, acknowledged)
    }

    /// Adds a change.
    pub(super) fn change(&mut self, table: &str, change: &Change) {
        self.push(table, change, 0);
    }

    /// Changes another table.
    pub(super) fn elsewhere(&mut self, change: &Elsewhere) {
        self.push_elsewhere(change, 0);
    }

    fn push_elsewhere(&mut self, change: &Elsewhere, flags: u16) {
        let (message, kind_flags) = elsewhere(change);
        let family = NetfilterProtoFamily::from(change.family);
        let header = NetfilterHeader::new(family, 0, 0);
        self.emit(NetfilterMessage::new(header, message), NLM_F_REQUEST | kind_flags | flags);
    }

    fn control(&mut self, message: ControlMessage) {
        let header = NetfilterHeader::new(NetfilterProtoFamily::Unspec, 0, SUBSYSTEM);
        self.emit(NetfilterMessage::new(header, message), NLM_F_REQUEST);
    }

    fn push(&mut self, table: &str, change: &Change, flags: u16) {
        self.set_id += 1;
        let (message, kind_flags) = message(table, change, self.set_id);
        let header = NetfilterHeader::new(NetfilterProtoFamily::Inet, 0, 0);
        self.emit(NetfilterMessage::new(header, message), NLM_F_REQUEST | kind_flags | flags);
        if let Change::AddSet { name, set } = change {
            // The content is a message of its own; an acknowledgement of the set is enough.
            let message = NfTablesMessage::NewSetElement(elements(table, name, set_items(set)));
            let header = NetfilterHeader::new(NetfilterProtoFamily::Inet, 0, 0);
            self.emit(NetfilterMessage::new(header, message), NLM_F_REQUEST | NLM_F_CREATE);
        }
    }

    fn emit(&mut self, message: NetfilterMessage, flags: u16) {
        let mut message = NetlinkMessage::from(message);
        message.header.flags = flags;
        message.header.sequence_number = self.sequence;
        message.finalize();
        let start = self.bytes.len();
        self.bytes.resize(start + message.buffer_len().next_multiple_of(4), 0);
        if let Some(room) = self.bytes.get_mut(start..) {
            message.serialize(room);
        }
        self.sequence += 1;
    }
}

/// Number of messages a change becomes.
pub(super) fn n_messages(change: &Change) -> u32 {
    if matches!(change, Change::AddSet { .. }) { 2 } else { 1 }
}

fn elsewhere(change: &Elsewhere) -> (NfTablesMessage, u16) {
    let table = change.table.as_str();
    let rule = |chain: &String, more: Vec<RuleAttribute>| {
        let mut attributes =
            vec![RuleAttribute::Table(table.to_owned()), RuleAttribute::Chain(chain.clone())];
        attributes.extend(more);
        RuleMessage { attributes }
    };
    let chain = |name: &String| ChainMessage { attributes: chain_name(table, name) };
    match &change.what {
        What::DeleteTable => {
            let attributes = vec![TableAttribute::Name(table.to_owned())];
            (NfTablesMessage::DeleteTable(TableMessage { attributes }), 0)
        }
        What::DeleteRule { chain, handle } => {
            (NfTablesMessage::DeleteRule(rule(chain, vec![RuleAttribute::Handle(*handle)])), 0)
        }
        What::AddChain(name) => (NfTablesMessage::NewChain(chain(name)), NLM_F_CREATE),
        What::FlushChain(name) => (NfTablesMessage::DeleteRule(rule(name, Vec::new())), 0),
        What::DeleteChain(name) => (NfTablesMessage::DeleteChain(chain(name)), 0),
        What::AddRule { chain, rule: added } => {
            let expressions = RuleAttribute::Expressions(expressions(added));
            let message = NfTablesMessage::NewRule(rule(chain, vec![expressions]));
            (message, NLM_F_CREATE | NLM_F_APPEND)
        }
        What::InsertJump { chain, to } => {
            let expressions = RuleAttribute::Expressions(jump(to));
            (NfTablesMessage::NewRule(rule(chain, vec![expressions])), NLM_F_CREATE)
        }
    }
}

/// Counts every packet and evaluates a chain for it.
fn jump(to: &str) -> Vec<Expression> {
    let verdict = verdict_data(&Verdict::Jump(to.to_owned()));
    let immediate = Expressions::Immediate(vec![
        Immediate::DestinationRegister(Register::Verdict),
        Immediate::Data(DataAttribute::Verdict(verdict)),
    ]);
    vec![counter(), immediate.into()]
}

fn message(table: &str, change: &Change, set_id: u32) -> (NfTablesMessage, u16) {
    let table_message =
        || TableMessage { attributes: vec![TableAttribute::Name(table.to_owned())] };
    match change {
        Change::AddTable => (NfTablesMessage::NewTable(table_message()), NLM_F_CREATE),
        Change::AddOwnedTable => {
            let mut message = table_message();
            let flags = TableFlags::Owner | TableFlags::Persisent;
            message.attributes.push(TableAttribute::Flags(flags));
            (NfTablesMessage::NewTable(message), NLM_F_CREATE)
        }
        Change::DeleteTable => (NfTablesMessage::DeleteTable(table_message()), 0),
        Change::AddBaseChain { name, hook, priority } => {
            (NfTablesMessage::NewChain(base_chain(table, name, *hook, *priority)), NLM_F_CREATE)
        }
        Change::AddChain { name, comment } => {
            let mut attributes = chain_name(table, name);
            let comment = comment.as_deref().map(comment_data);
            attributes.extend(comment.map(ChainAttribute::UserData));
            (NfTablesMessage::NewChain(ChainMessage { attributes }), NLM_F_CREATE)
        }
        Change::AddSharedChain { name } => {
            let attributes = chain_name(table, name);
            (NfTablesMessage::NewChain(ChainMessage { attributes }), NLM_F_CREATE)
        }
        Change::FlushChain { name } => {
            let attributes =
                vec![RuleAttribute::Table(table.to_owned()), RuleAttribute::Chain(name.clone())];
            (NfTablesMessage::DeleteRule(RuleMessage { attributes }), 0)
        }
        Change::DeleteChain { name } => {
            let attributes = chain_name(table, name);
            (NfTablesMessage::DeleteChain(ChainMessage { attributes }), 0)
        }
        Change::DestroyChain { name } => (raw(DESTROY_CHAIN, &chain_name(table, name)), 0),
        Change::AddMap { name, map } => {
            (NfTablesMessage::NewSet(map_message(table, name, *map, set_id)), NLM_F_CREATE)
        }
        Change::AddSet { name, set } => {
            (NfTablesMessage::NewSet(set_message(table, name, set, set_id)), NLM_F_CREATE)
        }
        Change::AddRule { chain, rule } => {
            let attributes = vec![
                RuleAttribute::Table(table.to_owned()),
                RuleAttribute::Chain(chain.clone()),
                RuleAttribute::Expressions(expressions(rule)),
            ];
            (NfTablesMessage::NewRule(RuleMessage { attributes }), NLM_F_CREATE | NLM_F_APPEND)
        }
        Change::AddElement { map, key, verdict } => (
            NfTablesMessage::NewSetElement(elements(table, map, items(key, Some(verdict)))),
            NLM_F_CREATE,
        ),
        Change::DeleteElement { map, key } => {
            (NfTablesMessage::DeleteSetElement(elements(table, map, items(key, None))), 0)
        }
        Change::DestroyElement { map, key } => {
            (raw(DESTROY_ELEMENT, &elements(table, map, items(key, None)).attributes), 0)
        }
    }
}

fn chain_name(table: &str, name: &str) -> Vec<ChainAttribute> {
    vec![ChainAttribute::Table(table.to_owned()), ChainAttribute::Name(name.to_owned())]
}

/// A message whose type the netlink crate does not know, with the attributes of one it knows.
fn raw<T: netlink_packet_core::Nla>(message_type: u8, attributes: &[T]) -> NfTablesMessage {
    let attributes = attributes
        .iter()
        .map(|attribute| {
            let mut value = vec![0; attribute.value_len()];
            attribute.emit_value(&mut value);
            let nested = if attribute.is_nested() { NLA_F_NESTED } else { 0 };
            DefaultNla::new(attribute.kind() | nested, value)
        })
        .collect();
    NfTablesMessage::Other { message_type, attributes }
}

fn base_chain(table: &str, name: &str, hook: ChainHook, priority: i32) -> ChainMessage {
    let (kind, number) = match hook {
        ChainHook::FilterForward => ("filter", InetHookNumber::Forward),
        ChainHook::NatPostrouting => ("nat", InetHookNumber::PostRouting),
    };
    let attributes = vec![
        ChainAttribute::Table(table.to_owned()),
        ChainAttribute::Name(name.to_owned()),
        ChainAttribute::Hook(vec![
            Hook::Number(HookNumber::Inet(number)),
            Hook::Priority(priority.cast_unsigned()),
        ]),
        ChainAttribute::Policy(NF_ACCEPT),
        ChainAttribute::Type(kind.to_owned()),
    ];
    ChainMessage { attributes }
}

/// User data that `nft` shows as a comment: kind, length with the terminating zero, text.
fn comment_data(comment: &str) -> Vec<u8> {
    let length = u8::try_from(comment.len() + 1).unwrap_or(u8::MAX);
    let mut data = vec![USERDATA_COMMENT, length];
    data.extend(comment.bytes().take(usize::from(length) - 1));
    data.push(0);
    data
}

/// User data with the byte order of a set's keys for `nft`, in host order.
fn key_order_data(order: u32) -> Vec<u8> {
    let mut data = vec![USERDATA_KEY_BYTE_ORDER, 4];
    data.extend(order.to_ne_bytes());
    data
}

fn map_message(table: &str, name: &str, map: Map, id: u32) -> SetMessage {
    let (flags, key_type, key_len, order) = match map {
        Map::Link => (SetFlags::Map, TYPE_IFNAME, 16, BYTE_ORDER_HOST),
        // A concatenation packs its types six bits each.
        Map::LinkPair => (SetFlags::Map, (TYPE_IFNAME << 6) | TYPE_IFNAME, 32, 0),
        Map::Prefix(Family::Ipv4) => {
            (SetFlags::Map | SetFlags::Interval, TYPE_IPV4_ADDR, 4, BYTE_ORDER_NETWORK)
        }
        Map::Prefix(Family::Ipv6) => {
            (SetFlags::Map | SetFlags::Interval, TYPE_IPV6_ADDR, 16, BYTE_ORDER_NETWORK)
        }
    };
    let mut message = set_attributes(table, name, id, flags, key_type, key_len, order);
    message.attributes.push(SetAttribute::DataType(DATA_VERDICT));
    message.attributes.push(SetAttribute::DataLen(0));
    message
}

fn set_message(table: &str, name: &str, set: &Set, id: u32) -> SetMessage {
    match set {
        Set::Prefixes(Family::Ipv4, _) => set_attributes(
            table,
            name,
            id,
            SetFlags::Interval,
            TYPE_IPV4_ADDR,
            4,
            BYTE_ORDER_NETWORK,
        ),
        Set::Prefixes(Family::Ipv6, _) => set_attributes(
            table,
            name,
            id,
            SetFlags::Interval,
            TYPE_IPV6_ADDR,
            16,
            BYTE_ORDER_NETWORK,
        ),
    }
}

fn set_attributes(
    table: &str,
    name: &str,
    id: u32,
    flags: SetFlags,
    key_type: u32,
    key_len: u32,
    order: u32,
) -> SetMessage {
    let attributes = vec![
        SetAttribute::Table(table.to_owned()),
        SetAttribute::Name(name.to_owned()),
        SetAttribute::Flags(flags),
        SetAttribute::KeyType(key_type),
        SetAttribute::KeyLen(key_len),
        SetAttribute::Id(id),
        SetAttribute::UserData(key_order_data(order)),
    ];
    SetMessage { attributes }
}

type Item = ListAttribute<SetElementAttribute>;

fn elements(table: &str, set: &str, items: Vec<Item>) -> SetElementMessage {
    let attributes = vec![
        SetElementList::Table(table.to_owned()),
        SetElementList::Set(set.to_owned()),
        SetElementList::Elements(items),
    ];
    SetElementMessage { attributes }
}

fn item(key: Vec<u8>, verdict: Option<&Verdict>, flags: Option<SetElementFlags>) -> Item {
    let mut attributes = Vec::new();
    attributes.extend(flags.map(SetElementAttribute::Flags));
    attributes.push(SetElementAttribute::Key(DataAttribute::Value(key)));
    attributes.extend(
        verdict.map(|verdict| {
            SetElementAttribute::Data(DataAttribute::Verdict(verdict_data(verdict)))
        }),
    );
    ListAttribute::Element(attributes)
}

fn verdict_data(verdict: &Verdict) -> Vec<VerdictAttribute> {
    match verdict {
        Verdict::Accept => vec![VerdictAttribute::Code(NfVerdict::Other(NF_ACCEPT))],
        Verdict::Jump(chain) => {
            vec![VerdictAttribute::Code(NfVerdict::Jump), VerdictAttribute::Chain(chain.clone())]
        }
        Verdict::Goto(chain) => {
            vec![VerdictAttribute::Code(NfVerdict::Goto), VerdictAttribute::Chain(chain.clone())]
        }
    }
}

fn items(key: &Key, verdict: Option<&Verdict>) -> Vec<Item> {
    match key {
        Key::Link(_) | Key::LinkPair(..) => vec![item(key_bytes(key), verdict, None)],
        Key::Prefix(net) => interval(net, verdict),
    }
}

/// A key as the kernel stores it; of a prefix, its first address.
pub(super) fn key_bytes(key: &Key) -> Vec<u8> {
    match key {
        Key::Link(link) => link.padded().to_vec(),
        Key::LinkPair(from, to) => [from.padded(), to.padded()].concat(),
        Key::Prefix(net) => octets(&net.network()),
    }
}

/// A prefix is its first address with the verdict, then the first address after it as an end.
fn interval(net: &IpNet, verdict: Option<&Verdict>) -> Vec<Item> {
    let end = after(net);
    vec![
        item(octets(&net.network()), verdict, None),
        item(end, None, Some(SetElementFlags::IntervalEnd)),
    ]
}

/// The first address after a network; wraps to zero at the top of the address space.
fn after(net: &IpNet) -> Vec<u8> {
    match net {
        IpNet::V4(net) => u32::from(net.broadcast()).wrapping_add(1).to_be_bytes().to_vec(),
        IpNet::V6(net) => u128::from(net.broadcast()).wrapping_add(1).to_be_bytes().to_vec(),
    }
}

pub(super) fn octets(address: &IpAddr) -> Vec<u8> {
    match address {
        IpAddr::V4(address) => address.octets().to_vec(),
        IpAddr::V6(address) => address.octets().to_vec(),
    }
}

fn set_items(set: &Set) -> Vec<Item> {
    let Set::Prefixes(_, prefixes) = set;
    prefixes.iter().flat_map(|net| interval(net, None)).collect()
}

type Expression = ListAttribute<ExpressionAttribute>;

fn expressions(rule: &Rule) -> Vec<Expression> {
    let mut out = Vec::new();
    let mut family = None;
    for item in &rule.matches {
        condition(&mut out, &mut family, item);
    }
    if rule.is_counted() {
        out.push(counter());
    }
    action(&mut out, family, &rule.action);
    out
}

fn counter() -> Expression {
    let zero = || 0_u64.to_be_bytes().to_vec();
    other("counter", vec![DefaultNla::new(1, zero()), DefaultNla::new(2, zero())])
}

/// Appends the expressions of one condition; `family` is the IP version established so far.
fn condition(out: &mut Vec<Expression>, family: &mut Option<Family>, item: &Match) {
    match item {
        Match::InLink(link) => link_is(out, MetaKey::Iifname, link),
        Match::OutLink(link) => link_is(out, MetaKey::Oifname, link),
        Match::Source(net) => address_is(out, family, net, Side::Source, Operator::Equal),
        Match::Destination(net) => address_is(out, family, net, Side::Destination, Operator::Equal),
        Match::NotDestination(net) => {
            address_is(out, family, net, Side::Destination, Operator::NotEqual);
        }
        Match::DestinationIn(version, set) => {
            need_family(out, family, *version);
            load_address(out, *version, Side::Destination, address_len(*version));
            out.push(lookup(set, None));
        }
        Match::Established => {
            // key 0: state
            out.push(other("ct", vec![nla_u32(2, 0), nla_u32(1, 1)]));
            let mask = CT_ESTABLISHED_RELATED.to_ne_bytes().to_vec();
            out.push(bitwise(mask, vec![0; 4]));
            out.push(compare(Operator::NotEqual, vec![0; 4]));
        }
        Match::Family(version) => need_family(out, family, *version),
        Match::L4Protocol(protocol) => {
            out.push(meta(MetaKey::L4Proto, Register::Reg1));
            out.push(compare(Operator::Equal, vec![protocol.number()]));
        }
    }
}

fn action(out: &mut Vec<Expression>, family: Option<Family>, action: &Action) {
    match action {
        Action::Accept => out.push(verdict_expression(NfVerdict::Other(NF_ACCEPT))),
        Action::Return => out.push(verdict_expression(NfVerdict::Return)),
        Action::Reject => {
            // Type ICMP with the family's own "port unreachable", or the family-independent form.
            let (kind, code) = match family {
                Some(Family::Ipv4) => (0, 3),
                Some(Family::Ipv6) => (0, 4),
                None => (2, 1),
            };
            out.push(other("reject", vec![nla_u32(1, kind), DefaultNla::new(2, vec![code])]));
        }
        Action::Masquerade(None) => out.push(other("masq", vec![])),
        Action::Masquerade(Some(ports)) => {
            load_ports(out, *ports, Register::Reg1, Register::Reg2);
            // flags: ports specified
            out.push(other("masq", vec![nla_u32(1, 2), nla_u32(2, 1), nla_u32(3, 2)]));
        }
        Action::Snat { start, end, ports } => {
            let version = match start {
                IpAddr::V4(_) => u32::from(NFPROTO_IPV4),
                IpAddr::V6(_) => u32::from(NFPROTO_IPV6),
            };
            out.push(immediate(Register::Reg1, octets(start)));
            out.push(immediate(Register::Reg2, octets(end)));
            let mut attributes =
                vec![nla_u32(1, 0), nla_u32(2, version), nla_u32(3, 1), nla_u32(4, 2)];
            if let Some(ports) = ports {
                load_ports(out, *ports, Register::Reg3, Register::Reg4);
                attributes.extend([nla_u32(5, 3), nla_u32(6, 4), nla_u32(7, 2)]);
            }
            out.push(other("nat", attributes));
        }
        Action::Lookup(key, map) => {
            match key {
                LookupKey::InLink => out.push(meta(MetaKey::Iifname, Register::Reg1)),
                LookupKey::OutLink => out.push(meta(MetaKey::Oifname, Register::Reg1)),
                LookupKey::LinkPair => {
                    out.push(meta(MetaKey::Iifname, Register::Reg1));
                    out.push(meta(MetaKey::Oifname, Register::Reg2));
                }
                LookupKey::Source(version) => {
                    need_family(out, &mut None, *version);
                    load_address(out, *version, Side::Source, address_len(*version));
                }
            }
            out.push(lookup(map, Some(Register::Verdict)));
        }
    }
}

fn nla_u32(kind: u16, value: u32) -> DefaultNla {
    DefaultNla::new(kind, value.to_be_bytes().to_vec())
}

fn other(name: &str, attributes: Vec<DefaultNla>) -> Expression {
    Expressions::Other { expression_type: name.to_owned(), attributes }.into()
}

fn meta(key: MetaKey, register: Register) -> Expression {
    Expressions::Meta(vec![Meta::DestinationRegister(register), Meta::Key(key)]).into()
}

fn compare(operator: Operator, data: Vec<u8>) -> Expression {
    Expressions::Cmp(vec![
        Cmp::SourceRegister(Register::Reg1),
        Cmp::Op(operator),
        Cmp::Data(DataAttribute::Value(data)),
    ])
    .into()
}

fn bitwise(mask: Vec<u8>, xor: Vec<u8>) -> Expression {
    let length = u32::try_from(mask.len()).unwrap_or_default();
    Expressions::Bitwise(vec![
        Bitwise::SourceRegister(Register::Reg1),
        Bitwise::DestinationRegister(Register::Reg1),
        Bitwise::Length(length),
        Bitwise::Mask(DataAttribute::Value(mask)),
        Bitwise::Xor(DataAttribute::Value(xor)),
    ])
    .into()
}

fn lookup(set: &str, destination: Option<Register>) -> Expression {
    let mut attributes = vec![Lookup::Set(set.to_owned()), Lookup::SourceRegister(Register::Reg1)];
    attributes.extend(destination.map(Lookup::DestinationRegister));
    Expressions::Lookup(attributes).into()
}

fn immediate(register: Register, data: Vec<u8>) -> Expression {
    Expressions::Immediate(vec![
        Immediate::DestinationRegister(register),
        Immediate::Data(DataAttribute::Value(data)),
    ])
    .into()
}

fn verdict_expression(verdict: NfVerdict) -> Expression {
    Expressions::Immediate(vec![
        Immediate::DestinationRegister(Register::Verdict),
        Immediate::Data(DataAttribute::Verdict(vec![VerdictAttribute::Code(verdict)])),
    ])
    .into()
}

fn load_ports(out: &mut Vec<Expression>, ports: PortRange, first: Register, last: Register) {
    out.push(immediate(first, ports.start.to_be_bytes().to_vec()));
    out.push(immediate(last, ports.end.to_be_bytes().to_vec()));
}

fn link_is(out: &mut Vec<Expression>, key: MetaKey, link: &LinkName) {
    out.push(meta(key, Register::Reg1));
    out.push(compare(Operator::Equal, link.padded().to_vec()));
}

/// Restricts the rule to one IP version, once.
fn need_family(out: &mut Vec<Expression>, family: &mut Option<Family>, version: Family) {
    if family.replace(version) == Some(version) {
        return;
    }
    let number = match version {
        Family::Ipv4 => NFPROTO_IPV4,
        Family::Ipv6 => NFPROTO_IPV6,
    };
    out.push(meta(MetaKey::Nfproto, Register::Reg1));
    out.push(compare(Operator::Equal, vec![number]));
}

#[derive(Clone, Copy)]
enum Side {
    Source,
    Destination,
}

const fn address_len(family: Family) -> u32 {
    match family {
        Family::Ipv4 => 4,
        Family::Ipv6 => 16,
    }
}

fn load_address(out: &mut Vec<Expression>, family: Family, side: Side, length: u32) {
    let offset = match (family, side) {
        (Family::Ipv4, Side::Source) => 12,
        (Family::Ipv4, Side::Destination) => 16,
        (Family::Ipv6, Side::Source) => 8,
        (Family::Ipv6, Side::Destination) => 24,
    };
    out.push(
        Expressions::Payload(vec![
            Payload::DestinationRegister(Register::Reg1),
            Payload::Base(NETWORK_HEADER),
            Payload::Offset(offset),
            Payload::Len(length),
        ])
        .into(),
    );
}

/// Compares an address with a network: whole bytes directly, other prefixes through a mask.
fn address_is(
    out: &mut Vec<Expression>,
    known: &mut Option<Family>,
    net: &IpNet,
    side: Side,
    operator: Operator,
) {
    let family = Family::of_net(net);
    need_family(out, known, family);
    let mut address = octets(&net.network());
    if net.prefix_len() > 0 && net.prefix_len().is_multiple_of(8) {
        let length = u32::from(net.prefix_len()) / 8;
        load_address(out, family, side, length);
        address.truncate(usize::from(net.prefix_len()) / 8);
    } else {
        load_address(out, family, side, address_len(family));
        out.push(bitwise(octets(&net.netmask()), vec![0; address.len()]));
    }
    out.push(compare(operator, address));
}
