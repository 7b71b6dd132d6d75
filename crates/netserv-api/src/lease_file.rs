//! The lease file of one bridge, libvirt's: a JSON array, in memory.
//!
//! Bytes in, bytes out. Other keys of an entry keep their value and position, so files written by any version of
//! libvirt's helper are preserved.
//!
//! libvirt: `virLeaseReadCustomLeaseFile`, `virLeasePrintLeases`, src/util/virlease.c

use std::fmt::Write as _;

use serde_json::{Map, Value};

use crate::message::LeaseInfo;

const IAID: &str = "iaid";
const IP_ADDRESS: &str = "ip-address";
const MAC_ADDRESS: &str = "mac-address";
const HOSTNAME: &str = "hostname";
const CLIENT_ID: &str = "client-id";
const SERVER_DUID: &str = "server-duid";
const EXPIRY_TIME: &str = "expiry-time";

/// A database of the wrong shape. A file that is not JSON counts as empty instead: it is the remnant of a crash,
/// while JSON of another shape is data of another program.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum LeaseError {
    /// It is an object.
    #[error("the lease database is no array")]
    NotAnArray,
    /// An entry lacks what every entry has.
    #[error("entry {0} of the lease database has no ip-address or no expiry-time")]
    Incomplete(usize),
}

/// A lease as the file has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lease {
    /// Identity association of DHCPv6, as a decimal number.
    pub iaid: Option<String>,
    /// The address.
    pub ip: String,
    /// The client's Ethernet address.
    pub mac: String,
    /// Its name.
    pub hostname: Option<String>,
    /// Its identifier, as octets with colons.
    pub client_id: Option<String>,
    /// Seconds since 1970; 0 for an infinite lease.
    pub expiry: i64,
}

/// All leases of one bridge, oldest first.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Database {
    entries: Vec<Entry>,
    server_duid: Option<String>,
}

#[derive(Debug, Clone, PartialEq)]
struct Entry {
    map: Map<String, Value>,
    ip: String,
    expiry: i64,
}

impl Entry {
    fn text(&self, key: &str) -> Option<&str> {
        self.map.get(key).and_then(Value::as_str)
    }

    fn is_ipv6(&self) -> bool {
        self.ip.contains(':')
    }
}

impl Database {
    /// Parses a database; an empty file has no leases. `server_duid` is dnsmasq's identity; without it, that of the
    /// first IPv6 entry is used. IPv6 entries without the key get it, since dnsmasq rejects a database without it.
    ///
    /// # Errors
    /// [`LeaseError`] for JSON of another shape.
    pub fn parse(bytes: &[u8], server_duid: Option<String>) -> Result<Self, LeaseError> {
        let array = match serde_json::from_slice(bytes) {
            Ok(Value::Array(array)) => array,
            Ok(Value::Object(_)) => return Err(LeaseError::NotAnArray),
            Ok(_) | Err(_) => Vec::new(),
        };
        let entries = array
            .into_iter()
            .enumerate()
            .map(|(index, value)| entry(value).ok_or(LeaseError::Incomplete(index)));
        let mut database = Self { entries: entries.collect::<Result<_, _>>()?, server_duid };
        database.complete_server_duid();
        Ok(database)
    }

    fn complete_server_duid(&mut self) {
        if self.server_duid.is_none() {
            let mut known = self.entries.iter().filter(|entry| entry.is_ipv6());
            self.server_duid = known.find_map(|entry| entry.text(SERVER_DUID)).map(str::to_owned);
        }
        let Some(duid) = &self.server_duid else {
            return;
        };
        for entry in self.entries.iter_mut().filter(|entry| entry.is_ipv6()) {
            if entry.text(SERVER_DUID).is_none() {
                entry.map.insert(SERVER_DUID.to_owned(), Value::from(duid.as_str()));
            }
        }
    }

    /// The leases whose fields can be read, oldest first.
    pub fn leases(&self) -> impl Iterator<Item = LeaseInfo> {
        self.entries.iter().filter_map(info)
    }

    /// The server's identity for DHCPv6.
    #[must_use]
    pub fn server_duid(&self) -> Option<Vec<u8>> {
        octets(self.server_duid.as_deref()?)
    }

    /// The database of a service's leases. Those without an Ethernet address are left out, as libvirt does.
    #[must_use]
    pub fn of<'a>(
        leases: impl IntoIterator<Item = &'a LeaseInfo>,
        server_duid: Option<&[u8]>,
    ) -> Self {
        let duid = server_duid.map(colons);
        let mut database = Self { entries: Vec::new(), server_duid: duid.clone() };
        for lease in leases {
            let Some(mac) = lease.mac else { continue };
            let duid = duid.clone().filter(|_| lease.address.is_ipv6());
            let lease = Lease {
                iaid: lease.iaid.map(|iaid| iaid.to_string()),
                ip: lease.address.to_string(),
                mac: colons(&mac),
                hostname: lease.hostname.clone(),
                client_id: lease.client_id.as_deref().map(colons),
                expiry: lease.expiry.map_or(0, |expiry| i64::try_from(expiry).unwrap_or(i64::MAX)),
            };
            let map = lease_map(&lease, duid);
            database.entries.push(Entry { map, ip: lease.ip, expiry: lease.expiry });
        }
        database
    }

    /// Removes the leases of `ip`.
    pub fn remove(&mut self, ip: &str) {
        self.entries.retain(|entry| entry.ip != ip);
    }

    /// Stores `lease` in place of earlier ones of its address, with `server_duid` if dnsmasq passed one, which it
    /// does for IPv6 leases.
    pub fn store(&mut self, lease: Lease, server_duid: Option<String>) {
        self.remove(&lease.ip);
        let map = lease_map(&lease, server_duid);
        self.entries.push(Entry { map, ip: lease.ip, expiry: lease.expiry });
    }

    /// The file in the layout of json-c, which libvirt uses: two blanks per level, one line per value, and the
    /// brackets of an empty array on separate lines.
    #[must_use]
    pub fn to_json(&self) -> String {
        if self.entries.is_empty() {
            return "[\n]\n".to_owned();
        }
        let array = self.entries.iter().map(|entry| Value::Object(entry.map.clone())).collect();
        format!("{:#}\n", Value::Array(array))
    }

    /// The leases in dnsmasq's own format, which it reads at its start: IPv4 leases, the server's identity, IPv6
    /// leases.
    ///
    /// A lease without a mandatory field is omitted, since dnsmasq would read the next word in its place.
    ///
    /// dnsmasq: `lease_init`, src/lease.c
    #[must_use]
    pub fn to_dnsmasq(&self) -> String {
        let mut text = String::new();
        for entry in self.entries.iter().filter(|entry| !entry.is_ipv6()) {
            push_line(&mut text, entry, MAC_ADDRESS);
        }
        if let Some(duid) = self.server_duid.as_deref().filter(|duid| is_word(duid))
            && self.entries.iter().any(Entry::is_ipv6)
        {
            push_words(&mut text, &["duid", duid]);
            for entry in self.entries.iter().filter(|entry| entry.is_ipv6()) {
                push_line(&mut text, entry, IAID);
            }
        }
        text
    }
}

/// An entry with its keys in libvirt's order.
fn lease_map(lease: &Lease, server_duid: Option<String>) -> Map<String, Value> {
    let mut map = Map::new();
    let texts = [
        (IAID, lease.iaid.clone()),
        (IP_ADDRESS, Some(lease.ip.clone())),
        (MAC_ADDRESS, Some(lease.mac.clone())),
        (HOSTNAME, lease.hostname.clone()),
        (CLIENT_ID, lease.client_id.clone()),
        (SERVER_DUID, server_duid),
    ];
    for (key, value) in texts {
        if let Some(value) = value {
            map.insert(key.to_owned(), Value::from(value));
        }
    }
    map.insert(EXPIRY_TIME.to_owned(), Value::from(lease.expiry));
    map
}

/// An entry as a service has it; nothing if its address cannot be read.
fn info(entry: &Entry) -> Option<LeaseInfo> {
    let mac = entry.text(MAC_ADDRESS).and_then(octets);
    Some(LeaseInfo {
        address: entry.ip.parse().ok()?,
        mac: mac.and_then(|mac| mac.try_into().ok()),
        client_id: entry.text(CLIENT_ID).and_then(octets),
        iaid: entry.text(IAID).and_then(|iaid| iaid.parse().ok()),
        hostname: entry.text(HOSTNAME).map(str::to_owned),
        resolves: true,
        expiry: u64::try_from(entry.expiry).ok().filter(|expiry| *expiry > 0),
    })
}

/// Octets of two hexadecimal digits each, with colons.
fn colons(octets: &[u8]) -> String {
    let mut text = String::with_capacity(octets.len().saturating_mul(3));
    for octet in octets {
        if !text.is_empty() {
            text.push(':');
        }
        // writing to a String cannot fail
        let _infallible = write!(text, "{octet:02x}");
    }
    text
}

fn octets(text: &str) -> Option<Vec<u8>> {
    text.split(':').map(|octet| u8::from_str_radix(octet, 16).ok()).collect()
}

fn entry(value: Value) -> Option<Entry> {
    let Value::Object(map) = value else {
        return None;
    };
    let ip = map.get(IP_ADDRESS)?.as_str()?.to_owned();
    let expiry = map.get(EXPIRY_TIME)?.as_i64()?;
    Some(Entry { map, ip, expiry })
}

fn push_line(text: &mut String, entry: &Entry, identity: &str) {
    let Some(identity) = entry.text(identity).filter(|word| is_word(word)) else {
        return;
    };
    if !is_word(&entry.ip) {
        return;
    }
    let optional = |key| entry.text(key).filter(|word| is_word(word)).unwrap_or("*");
    let expiry = entry.expiry.to_string();
    let (hostname, client_id) = (optional(HOSTNAME), optional(CLIENT_ID));
    push_words(text, &[&expiry, identity, &entry.ip, hostname, client_id]);
}

fn push_words(text: &mut String, words: &[&str]) {
    // writing to a String cannot fail
    let _infallible = writeln!(text, "{}", words.join(" "));
}

/// Whether dnsmasq reads `text` as one word of a line.
fn is_word(text: &str) -> bool {
    !text.is_empty() && !text.contains(|c: char| c.is_whitespace() || c.is_control())
}

#[cfg(test)]
mod tests;
