//! Compares our reader and writer with libvirt's own on generated and mutated documents.
//!
//! Both sides get the same bytes. Either both accept, and then print the same; or both refuse, and
//! then with the same number, domain and text. Where we differ on purpose, the difference has a
//! name in [`Deviation`] and is counted, nothing else is let through.

mod generate;
mod mutate;
mod peer;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use oxivirt_conf::Classified as _;
use oxivirt_conf::network::{Form, NetworkDef};
use oxivirt_xml::{Blanks, Element, parse};

pub use self::generate::Generator;
pub use self::peer::{Answer, Peer, PeerError, SchemaVerdict};

/// A difference that is meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Deviation {
    /// Line ends in DNS records are refused (CVE-2026-61477).
    DnsLineEnd,
    /// A negative MTU is refused, not wrapped around.
    NegativeMtu,
    /// A bridge delay beyond 2⁶³ is printed as it is, not as a negative number.
    LargeDelay,
    /// Attributes that libvirt prints verbatim are escaped.
    Escaping,
    /// A driver that only has a model stays inside of `<forward>`.
    MisplacedDriver,
    /// A zone is an interface name of the host to libvirt, and a text to us.
    Zone,
    /// The native mode is printed on the tag it was given for, not on all tags of that number.
    NativeMode,
    /// What follows a MAC address is dropped, not kept.
    MacTrailingText,
    /// libxml2 loses blanks between a start tag and a carriage return.
    CarriageReturn,
    /// A text that is no document: the same number at another place or in other words.
    FormText,
}

/// Every element of the format that the test driver knows (it has no dnsmasq options).
const ELEMENTS: [&str; 50] = [
    "/network",
    "/network/name",
    "/network/uuid",
    "/network/title",
    "/network/description",
    "/network/metadata",
    "/network/forward",
    "/network/forward/driver",
    "/network/forward/interface",
    "/network/forward/pf",
    "/network/forward/address",
    "/network/forward/address/zpci",
    "/network/forward/nat",
    "/network/forward/nat/address",
    "/network/forward/nat/port",
    "/network/bridge",
    "/network/mtu",
    "/network/mac",
    "/network/domain",
    "/network/dns",
    "/network/dns/forwarder",
    "/network/dns/txt",
    "/network/dns/srv",
    "/network/dns/host",
    "/network/dns/host/hostname",
    "/network/vlan",
    "/network/vlan/tag",
    "/network/bandwidth",
    "/network/bandwidth/inbound",
    "/network/bandwidth/outbound",
    "/network/port",
    "/network/ip",
    "/network/ip/tftp",
    "/network/ip/dhcp",
    "/network/ip/dhcp/range",
    "/network/ip/dhcp/range/lease",
    "/network/ip/dhcp/host",
    "/network/ip/dhcp/host/lease",
    "/network/ip/dhcp/bootp",
    "/network/route",
    "/network/virtualport",
    "/network/virtualport/parameters",
    "/network/portgroup",
    "/network/portgroup/vlan",
    "/network/portgroup/vlan/tag",
    "/network/portgroup/bandwidth",
    "/network/portgroup/bandwidth/inbound",
    "/network/portgroup/bandwidth/outbound",
    "/network/portgroup/virtualport",
    "/network/portgroup/virtualport/parameters",
];

/// What became of the documents.
#[derive(Debug, Default)]
pub struct Tally {
    /// Documents compared.
    pub documents: u64,
    /// Accepted by both.
    pub accepted: u64,
    /// Documents that the schema takes.
    pub in_schema: u64,
    /// Differences that are meant.
    pub deviations: BTreeMap<Deviation, u64>,
    /// Differences that are not.
    pub differences: u64,
    /// In how many accepted documents each element of the format occurred.
    pub elements: BTreeMap<&'static str, u64>,
}

/// What our side makes of a document.
#[must_use]
pub fn ours(document: &str) -> Answer {
    match NetworkDef::parse(document) {
        Ok(def) => Answer::Accepted(def.format(Form::Inactive)),
        Err(error) => Answer::Refused {
            code: error.code().0,
            domain: error.domain().0,
            message: error.to_string(),
        },
    }
}

/// What our schema says of a document.
#[must_use]
pub fn our_schema(document: &str) -> SchemaVerdict {
    SchemaVerdict::of(match NetworkDef::parse_validated(document) {
        Ok(_) => 0,
        Err(error) => error.code().0,
    })
}

impl Tally {
    /// Compares two schemas' verdicts; returns what is to be shown if they differ.
    pub fn compare_schema(
        &mut self,
        document: &str,
        ours: SchemaVerdict,
        theirs: SchemaVerdict,
    ) -> Option<String> {
        if theirs == SchemaVerdict::Inside {
            self.in_schema += 1;
        }
        if ours == theirs {
            return None;
        }
        self.differences += 1;
        let error = NetworkDef::parse_validated(document).err();
        let error = error.map(|error| error.to_string()).unwrap_or_default();
        Some(format!(
            "document:\n{document}\n-- ours: {ours:?} {error}\n-- libvirt's: {theirs:?}\n"
        ))
    }

    /// Compares two answers; returns what is to be shown if they differ without being meant to.
    pub fn compare(&mut self, document: &str, ours: &Answer, theirs: &Answer) -> Option<String> {
        self.documents += 1;
        if let (Answer::Accepted(_), Answer::Accepted(_)) = (ours, theirs) {
            self.accepted += 1;
            if let Ok(root) = parse(document, Blanks::Drop) {
                let mut paths = BTreeSet::new();
                element_paths(&root, "", &mut paths);
                for path in ELEMENTS.iter().filter(|&&path| paths.contains(path)) {
                    *self.elements.entry(path).or_default() += 1;
                }
            }
        }
        let theirs = &theirs.without_generated(ours);
        if ours == theirs {
            return None;
        }
        if let Some(deviation) = deviation(document, ours, theirs) {
            *self.deviations.entry(deviation).or_default() += 1;
            return None;
        }
        self.differences += 1;
        Some(format!("document:\n{document}\n-- ours:\n{ours}\n-- libvirt's:\n{theirs}\n"))
    }
}

fn element_paths(element: &Element<'_>, above: &str, paths: &mut BTreeSet<String>) {
    if element.namespace.is_some() {
        return;
    }
    let path = format!("{above}/{}", element.name);
    for child in element.elements() {
        element_paths(child, &path, paths);
    }
    paths.insert(path);
}

/// The reason for a difference that is meant.
fn deviation(document: &str, ours: &Answer, theirs: &Answer) -> Option<Deviation> {
    match (ours, theirs) {
        (Answer::Refused { message, .. }, _) if message.contains("prohibited line end") => {
            Some(Deviation::DnsLineEnd)
        }
        (Answer::Refused { message, .. }, _) if message.contains("Invalid mtu size '-") => {
            Some(Deviation::NegativeMtu)
        }
        (Answer::Refused { code: 35, message, .. }, Answer::Refused { code: 35, .. })
            if message.starts_with("at line") =>
        {
            Some(Deviation::FormText)
        }
        (Answer::Accepted(_), Answer::Refused { .. }) if document.contains('%') => {
            Some(Deviation::Zone)
        }
        (Answer::Accepted(found), Answer::Accepted(expected)) => {
            accepted_deviation(document, found, expected)
        }
        _ => None,
    }
}

fn accepted_deviation(document: &str, found: &str, expected: &str) -> Option<Deviation> {
    let differing = || found.lines().zip(expected.lines()).find(|(a, b)| a != b);
    let (ours, theirs) = differing().unwrap_or_default();
    let is = |tag: &str| ours.trim_start().starts_with(tag);
    match () {
        () if theirs.contains("delay='-") => Some(Deviation::LargeDelay),
        () if unescape(found) == unescape(expected) => Some(Deviation::Escaping),
        () if is("<forward ") && expected.contains("<driver model=") => {
            Some(Deviation::MisplacedDriver)
        }
        () if document.contains('\r') && without_blanks(found) == without_blanks(expected) => {
            Some(Deviation::CarriageReturn)
        }
        () if is("<tag ") => Some(Deviation::NativeMode),
        () if is("<host mac=") && document.contains("mac=") => Some(Deviation::MacTrailingText),
        () => None,
    }
}

fn without_blanks(text: &str) -> String {
    text.split_ascii_whitespace().collect()
}

fn unescape(text: &str) -> String {
    text.replace("&lt;", "<")
        .replace("&gt;", ">")
        .replace("&quot;", "\"")
        .replace("&apos;", "'")
        .replace("&amp;", "&")
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (element, count) in &self.elements {
            writeln!(f, "element {element}: {count}")?;
        }
        for (deviation, count) in &self.deviations {
            writeln!(f, "deviation {deviation:?}: {count}")?;
        }
        let least = ELEMENTS.map(|path| self.elements.get(path).copied().unwrap_or(0));
        let least = least.into_iter().min().unwrap_or(0);
        write!(
            f,
            "differential: {} documents, {} accepted by both, {} in the schema, {} deviations, \
             rarest element in {least}, {} differences",
            self.documents,
            self.accepted,
            self.in_schema,
            self.deviations.values().sum::<u64>(),
            self.differences
        )
    }
}
