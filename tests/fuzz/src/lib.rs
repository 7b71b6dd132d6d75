//! What is fuzzed: everything that reads text somebody else wrote.
//!
//! A target takes bytes and panics if a promise is broken. Beside not crashing, what was read has
//! to be written so that reading it again gives the same.

use oxivirt_conf::network::update::{Change, Request, update};
use oxivirt_conf::network::{Counters, Form, NetworkDef};
use oxivirt_conf::port::NetworkPortDef;
use oxivirt_conf::status::NetworkStatus;
use oxivirt_network::leases::{self, Prefixes};
use oxivirt_util::keyfile::KeyFile;
use oxivirt_util::macmap::MacMap;

/// A target: its name and what it does with its input.
pub type Target = (&'static str, fn(&[u8]));

/// Every target.
pub const TARGETS: [Target; 7] = [
    ("network_xml", network_xml),
    ("port_xml", port_xml),
    ("status_xml", status_xml),
    ("keyfile", keyfile),
    ("leases", leases),
    ("macmap", macmap),
    ("update", update_payload),
];

/// Reads, writes, reads and writes: from the second writing on nothing changes.
///
/// The first may differ from what was read where XML itself does: tabs and line ends that were
/// spelled as references are written as they are, and read as blanks or other line ends. That may
/// even break a rule, but only if such a character was there.
fn settles<T>(text: &str, parse: impl Fn(&str) -> Option<T>, format: impl Fn(&T) -> String) {
    let Some(first) = parse(text).map(|first| format(&first)) else {
        return;
    };
    let Some(second) = parse(&first).map(|second| format(&second)) else {
        assert!(first.contains(['\r', '\t', '\n']), "what was written is not read:\n{first}");
        let special = text.contains("&#") || text.contains("<!ENTITY") || text.contains('\r');
        assert!(special, "what was written is not read:\n{first}");
        return;
    };
    let third = parse(&second).map(|third| format(&third));
    assert_eq!(third.as_ref(), Some(&second), "writing does not settle");
}

/// `<network>` documents.
pub fn network_xml(data: &[u8]) {
    if let Ok(text) = std::str::from_utf8(data) {
        let parse = |text: &str| NetworkDef::parse(text).ok();
        settles(text, parse, |def| def.format(Form::Inactive));
        let validated = NetworkDef::parse_validated(text);
        assert!(validated.is_err() || parse(text).is_some(), "the schema lets more through");
    }
}

/// `<networkport>` documents.
pub fn port_xml(data: &[u8]) {
    if let Ok(text) = std::str::from_utf8(data) {
        settles(text, |text| NetworkPortDef::parse(text).ok(), NetworkPortDef::format);
        drop(NetworkPortDef::parse_validated(text));
    }
}

/// `<networkstatus>` documents.
pub fn status_xml(data: &[u8]) {
    if let Ok(text) = std::str::from_utf8(data) {
        let parse = |text: &str| NetworkStatus::parse(text).ok();
        settles(text, parse, |status| status.format(Counters::NONE));
    }
}

/// `.conf` files.
pub fn keyfile(data: &[u8]) {
    if let Ok(text) = std::str::from_utf8(data)
        && let Ok(file) = KeyFile::parse("fuzz", text)
        && let Some(text) = file.format()
    {
        assert_eq!(KeyFile::parse("fuzz", &text), Ok(file));
    }
}

/// Lease files.
pub fn leases(data: &[u8]) {
    drop(leases::parse(data, "virbr0", Prefixes { ipv4: 24, ipv6: 64 }, None, 1_700_000_000));
}

/// MAC maps.
pub fn macmap(data: &[u8]) {
    if let Ok(map) = MacMap::parse(data) {
        let text = map.format();
        let again = MacMap::parse(text.as_bytes()).map(|map| map.format());
        assert_eq!(again.ok(), Some(text));
    }
}

const BASE: &str = "<network><name>n</name><forward mode='bridge'><interface dev='e0'/></forward>\
    <dns><host ip='1.1.1.1'><hostname>a</hostname></host><txt name='t' value='v'/>\
    <srv service='s' protocol='tcp' domain='d' target='x' port='5'/></dns>\
    <ip address='192.168.122.1' netmask='255.255.255.0'><dhcp>\
    <range start='192.168.122.2' end='192.168.122.9'/><host name='h' ip='192.168.122.20'/>\
    </dhcp></ip><ip family='ipv6' address='2001:db8::1'/><portgroup name='g'/></network>";

/// Payloads of partial updates: the first byte chooses section and command.
pub fn update_payload(data: &[u8]) {
    let Some((&choice, payload)) = data.split_first() else {
        return;
    };
    let Ok(payload) = std::str::from_utf8(payload) else {
        return;
    };
    let def = NetworkDef::parse(BASE).expect("the base is valid");
    let request = Request {
        section: u32::from(choice & 15),
        command: u32::from(choice >> 4 & 7),
        parent_index: if choice & 128 == 0 { -1 } else { 1 },
        payload,
    };
    if let Ok(change) = Change::parse(&def, &request)
        && let Ok(changed) = update(&def, &change, Form::Inactive)
    {
        let text = changed.format(Form::Inactive);
        assert!(NetworkDef::parse(&text).is_ok() || text.contains(['\r', '\t']), "{text}");
    }
}
