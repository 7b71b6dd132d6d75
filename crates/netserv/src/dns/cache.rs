//! Answers of other name servers, kept for as long as they hold; one cache for the whole host.
//!
//! The key has the servers that were asked, so a network with forwarders of its own shares
//! nothing with others. Local names are looked up before, and are never in here.

use std::collections::{BTreeMap, HashMap};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use crate::wire::dns::{Name, Query, Walk, flag, num};

/// Longest time an answer is kept, in seconds.
const MAX_TTL: u32 = 86_400;

/// Longest time the absence of data is kept, in seconds (RFC 2308 §5 recommends 1 to 3 hours).
const MAX_NEGATIVE_TTL: u32 = 3_600;

/// How long a failure is kept, in seconds (RFC 2308 §7.1 allows 300).
const SERVFAIL_TTL: u32 = 5;

/// What an entry takes besides its message, in bytes; a rough figure for the limit.
const OVERHEAD: usize = 600;

/// What an answer depends on.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Key {
    servers: Arc<[SocketAddr]>,
    name: Name,
    qtype: u16,
    qclass: u16,
    /// DO and CD: both change what a server sends.
    modes: (bool, bool),
}

/// A message that is kept.
#[derive(Debug)]
struct Entry {
    sequence: u64,
    stored: Duration,
    expires: Duration,
    message: Box<[u8]>,
    walk: Walk,
}

/// The cache.
#[derive(Debug)]
pub(crate) struct Cache {
    entries: HashMap<Arc<Key>, Entry>,
    /// Entries in the order they came, the oldest first.
    order: BTreeMap<u64, Arc<Key>>,
    next: u64,
    bytes: usize,
    max_entries: usize,
    max_bytes: usize,
}

impl Key {
    /// The key of a question to `servers`.
    #[must_use]
    pub(crate) fn new(query: &Query<'_>, servers: Arc<[SocketAddr]>) -> Self {
        Self {
            servers,
            name: query.name,
            qtype: query.qtype,
            qclass: query.qclass,
            modes: (query.dnssec_ok(), query.has(flag::CD)),
        }
    }

    /// Whether `walk` is of a message that answers this question.
    #[must_use]
    pub(crate) fn is_answered_by(&self, walk: &Walk) -> bool {
        walk.answers(&self.name, self.qtype, self.qclass)
    }

    /// Whether the client wants DNSSEC records.
    #[must_use]
    pub(crate) fn wants_dnssec(&self) -> bool {
        self.modes.0
    }

    /// The servers that are asked, in order.
    #[must_use]
    pub(crate) fn servers(&self) -> &[SocketAddr] {
        &self.servers
    }
}

impl Default for Cache {
    fn default() -> Self {
        Self::new(10_000, 8 << 20)
    }
}

impl Cache {
    /// An empty cache for at most so many entries and, roughly, bytes.
    #[must_use]
    pub(crate) fn new(max_entries: usize, max_bytes: usize) -> Self {
        Self {
            entries: HashMap::new(),
            order: BTreeMap::new(),
            next: 0,
            bytes: 0,
            max_entries,
            max_bytes,
        }
    }

    /// Writes the kept answer to `query` in at most `limit` bytes; says whether there is one.
    pub(crate) fn answer(
        &mut self,
        now: Duration,
        key: &Key,
        query: &Query<'_>,
        limit: usize,
        out: &mut Vec<u8>,
    ) -> bool {
        let Some(entry) = self.entries.get(key) else { return false };
        if entry.expires <= now {
            self.remove(key);
            return false;
        }
        let age = now.saturating_sub(entry.stored).as_secs();
        let age = u32::try_from(age).unwrap_or(u32::MAX);
        // What is kept is not of an authority any longer (RFC 1034 §3.7).
        entry.walk.write_for(out, &entry.message, query, (age, flag::AA), limit);
        true
    }

    /// Keeps a message, if it is of a kind that can be kept.
    pub(crate) fn insert(&mut self, now: Duration, key: Key, message: &[u8], walk: Walk) {
        let Some(ttl) = lifetime(&walk).filter(|ttl| *ttl > 0) else { return };
        self.remove(&key);
        let key = Arc::new(key);
        let sequence = self.next;
        self.next = self.next.wrapping_add(1);
        let message: Box<[u8]> = message.get(..walk.end).unwrap_or(message).into();
        self.bytes = self.bytes.saturating_add(message.len() + OVERHEAD);
        let expires = now.saturating_add(Duration::from_secs(ttl.into()));
        self.order.insert(sequence, Arc::clone(&key));
        self.entries.insert(key, Entry { sequence, stored: now, expires, message, walk });
        while self.entries.len() > self.max_entries || self.bytes > self.max_bytes {
            let Some((_, oldest)) = self.order.pop_first() else { break };
            self.remove(&oldest);
        }
    }

    /// Forgets everything.
    pub(crate) fn clear(&mut self) {
        self.entries.clear();
        self.order.clear();
        self.bytes = 0;
    }

    fn remove(&mut self, key: &Key) {
        if let Some(entry) = self.entries.remove(key) {
            self.order.remove(&entry.sequence);
            self.bytes = self.bytes.saturating_sub(entry.message.len() + OVERHEAD);
        }
    }
}

/// How long a message holds, in seconds; none if it must not be kept.
fn lifetime(walk: &Walk) -> Option<u32> {
    if walk.flags & flag::TC != 0 {
        return None;
    }
    let negative = || {
        let ttl = walk.negative_ttl?.min(MAX_NEGATIVE_TTL);
        Some(walk.answer_ttl.map_or(ttl, |aliases| aliases.min(ttl)))
    };
    match walk.rcode {
        num::NOERROR if walk.has_answer => walk.answer_ttl.map(|ttl| ttl.min(MAX_TTL)),
        num::NOERROR | num::NXDOMAIN => negative(),
        num::SERVFAIL => Some(SERVFAIL_TTL),
        _ => None,
    }
}

#[cfg(test)]
mod tests;
