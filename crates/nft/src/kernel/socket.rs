//! The nfnetlink socket: commits of batches, listings.

use std::collections::VecDeque;
use std::io;
use std::os::fd::AsFd as _;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use netlink_packet_core::{NLM_F_DUMP, NLM_F_REQUEST, NetlinkHeader};
use netlink_sys::{Socket as Netlink, SocketAddr, protocols::NETLINK_NETFILTER};
use nix::sys::socket::{setsockopt, sockopt};

use oxivirt_netlink::attributes;

use super::dump::{self, TableState};
use super::encode::{Batch, Elsewhere, Last, n_messages};
use super::{NFPROTO_INET, NftError};
use super::{foreign, libvirt};
use crate::counters::RuleCount;
use crate::libvirt::{self as libvirt_table, RuleState};
use crate::user_chain::DroppingChain;
use crate::{Change, Transaction, text};

/// Messages of subsystem nftables have this in the high byte of their type.
const NFTABLES: u16 = 10 << 8;
const GET_TABLE: u16 = NFTABLES | 1;
const GET_CHAIN: u16 = NFTABLES | 4;
const GET_RULE: u16 = NFTABLES | 7;
const GET_SET: u16 = NFTABLES | 10;
const GET_SET_ELEMENT: u16 = NFTABLES | 13;
const GET_GENERATION: u16 = NFTABLES | 16;
const NLMSG_ERROR: u16 = 2;
const NLMSG_DONE: u16 = 3;
/// `NLM_F_DUMP_INTR`: the listing is inconsistent because of a change in between.
const DUMP_INTERRUPTED: u16 = 0x10;
/// A listing that is interrupted this often is given up.
const DUMP_ATTEMPTS: usize = 20;

/// Room for the messages of about 5,000 networks and for the answers to them.
const BUFFER: usize = 32 << 20;

pub(super) struct Socket {
    socket: Netlink,
    /// Generations that this process made.
    own: OwnGenerations,
}

/// The latest generations that this process committed.
#[derive(Debug, Clone, Default)]
pub(super) struct OwnGenerations(Arc<Mutex<VecDeque<u32>>>);

impl OwnGenerations {
    /// More than are under way at any time.
    const KEPT: usize = 1024;

    fn lock(&self) -> MutexGuard<'_, VecDeque<u32>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn expect(&self, generation: u32) {
        let mut known = self.lock();
        if known.len() == Self::KEPT {
            known.pop_front();
        }
        known.push_back(generation);
    }

    /// Forgets a generation whose commit failed.
    fn discard_generation(&self, generation: u32) {
        self.lock().retain(|known| *known != generation);
    }

    pub(super) fn contains(&self, generation: u32) -> bool {
        self.lock().contains(&generation)
    }

    /// Whether this process committed every generation after `seen`, up to `current`.
    fn are_all_since(&self, seen: u32, current: u32) -> bool {
        let known = self.lock();
        let n_new = usize::try_from(current.wrapping_sub(seen)).unwrap_or(usize::MAX);
        let is_newer = |own: &&u32| (own.wrapping_sub(seen) as usize).wrapping_sub(1) < n_new;
        n_new <= Self::KEPT && known.iter().filter(is_newer).count() == n_new
    }
}

/// The base chains that were listed last, and as of which generation.
pub(super) type Drops = Option<(u32, Vec<DroppingChain>)>;

impl Socket {
    /// Opens and connects the socket.
    pub(super) fn open(own: OwnGenerations) -> io::Result<Self> {
        let mut socket = Netlink::new(NETLINK_NETFILTER)?;
        socket.bind_auto()?;
        socket.connect(&SocketAddr::new(0, 0))?;
        // Needs CAP_NET_ADMIN, without which nothing else works either; a refusal only limits the
        // size of a transaction.
        let force = |result: nix::Result<()>| {
            if let Err(error) = result {
                tracing::debug!(%error, "nfnetlink buffers keep their default size");
            }
        };
        force(setsockopt(&socket.as_fd(), sockopt::SndBufForce, &BUFFER));
        force(setsockopt(&socket.as_fd(), sockopt::RcvBufForce, &BUFFER));
        Ok(Self { socket, own })
    }

    /// Carries out transactions as one, if `generation` is given only if it is still current.
    pub(super) fn commit(
        &self,
        transactions: &[&Transaction],
        generation: Option<u32>,
    ) -> Result<(), NftError> {
        self.commit_with(&[], transactions, generation)
    }

    /// As [`Self::commit`], with changes of other tables before.
    ///
    /// Always under a generation number, so that the number that the transaction creates is known to
    /// be this process's.
    pub(super) fn commit_with(
        &self,
        elsewhere: &[Elsewhere],
        transactions: &[&Transaction],
        generation: Option<u32>,
    ) -> Result<(), NftError> {
        loop {
            let current = match generation {
                Some(generation) => generation,
                None => self.generation()?,
            };
            let next = current.wrapping_add(1);
            self.own.expect(next);
            match self.try_commit(elsewhere, transactions, current) {
                Ok(()) => return Ok(()),
                Err(error) => {
                    self.own.discard_generation(next);
                    if generation.is_some() || error.errno() != Some(nix::libc::ERESTART) {
                        return Err(error);
                    }
                }
            }
        }
    }

    fn try_commit(
        &self,
        elsewhere: &[Elsewhere],
        transactions: &[&Transaction],
        generation: u32,
    ) -> Result<(), NftError> {
        let mut all = transactions
            .iter()
            .flat_map(|t| t.changes.iter().map(|change| (t.table.as_str(), change)));
        let before = u32::try_from(elsewhere.len()).unwrap_or(u32::MAX);
        let mut elsewhere = elsewhere.iter();
        let last = match all.next_back() {
            Some((table, change)) => Last::Change(table, change),
            None => match elsewhere.next_back() {
                Some(change) => Last::Elsewhere(change),
                None => return Ok(()),
            },
        };
        let mut batch = Batch::begin(Some(generation));
        for change in elsewhere {
            batch.elsewhere(change);
        }
        for (table, change) in all {
            batch.change(table, change);
        }
        let (bytes, acknowledged) = batch.end(last);
        self.send(&bytes)?;
        self.await_acknowledgement(acknowledged)
            .map_err(|(sequence, source)| refused(transactions, before, sequence, source))?
    }

    /// The rules of libvirt's table of a family; `None` if there is no such table.
    pub(super) fn libvirt_rules(&self, family: u8) -> Result<Option<Vec<RuleState>>, NftError> {
        if !self.has_table_of(family, libvirt_table::TABLE)? {
            return Ok(None);
        }
        let rules = self.dump_of(family, GET_RULE, &attribute(1, libvirt_table::TABLE))?;
        Ok(Some(rules.iter().filter_map(|message| libvirt::rule(family, message)).collect()))
    }

    /// The rules of a chain that do nothing but jump to another one; `None` if there is no such chain.
    pub(super) fn jumps(
        &self,
        family: u8,
        table: &str,
        chain: &str,
    ) -> Result<Option<Vec<foreign::Jump>>, NftError> {
        let names = [attribute(1, table), attribute(3, chain)].concat();
        if !self.has(family, GET_CHAIN, &names)? {
            return Ok(None);
        }
        let names = [attribute(1, table), attribute(2, chain)].concat();
        let rules = self.dump_of(family, GET_RULE, &names)?;
        Ok(Some(rules.iter().filter_map(|message| foreign::jump(message, chain)).collect()))
    }

    /// How many rules a chain has; `None` if there is no such chain.
    pub(super) fn n_rules(
        &self,
        family: u8,
        table: &str,
        chain: &str,
    ) -> Result<Option<usize>, NftError> {
        let names = [attribute(1, table), attribute(3, chain)].concat();
        if !self.has(family, GET_CHAIN, &names)? {
            return Ok(None);
        }
        let names = [attribute(1, table), attribute(2, chain)].concat();
        let rules = self.dump_of(family, GET_RULE, &names)?;
        Ok(Some(rules.iter().filter(|message| foreign::is_in(message, chain)).count()))
    }

    /// Base chains of all families that guests' packets pass and that drop by default.
    ///
    /// Listed again only after a change by another process: a listing has the chains of all networks in it,
    /// and this process makes no such chain.
    pub(super) fn dropping_chains(&self, seen: &mut Drops) -> Result<Vec<DroppingChain>, NftError> {
        let generation = self.generation()?;
        if let Some((at, chains)) = seen
            && self.own.are_all_since(*at, generation)
        {
            *at = generation;
            return Ok(chains.clone());
        }
        let mut found = Vec::new();
        for (family, word) in foreign::FAMILIES {
            let chains = self.dump_of(family, GET_CHAIN, &[])?;
            found.extend(chains.iter().filter_map(|chain| foreign::dropping_chain(word, chain)));
        }
        // A change during the listing is seen the next time.
        *seen = Some((generation, found.clone()));
        Ok(found)
    }

    /// Reads until the answer to message `last`, or the first refusal.
    ///
    /// Once a message failed the whole batch is void; what else was refused is read and dropped.
    fn await_acknowledgement(&self, last: u32) -> Result<Result<(), NftError>, (u32, io::Error)> {
        let mut failure = None;
        loop {
            let answer = match self.receive(failure.is_some()) {
                Ok(Some(answer)) => answer,
                // Nothing more to read after a failure.
                Ok(None) => break,
                // The answers did not fit: the batch failed in many places.
                Err(NftError::Socket(error))
                    if error.raw_os_error() == Some(nix::libc::ENOBUFS) =>
                {
                    failure.get_or_insert((0, error));
                    continue;
                }
                Err(error) => return Ok(Err(error)),
            };
            for message in Messages(&answer) {
                if message.kind != NLMSG_ERROR {
                    continue;
                }
                let code = message.body.first_chunk().map_or(0, |bytes| i32::from_ne_bytes(*bytes));
                if code != 0 {
                    failure.get_or_insert_with(|| {
                        (message.sequence, io::Error::from_raw_os_error(-code))
                    });
                } else if message.sequence == last && failure.is_none() {
                    return Ok(Ok(()));
                }
            }
        }
        Err(failure.unwrap_or_else(|| (0, io::Error::from(io::ErrorKind::UnexpectedEof))))
    }

    /// Id of the current generation of rules; every commit of anyone increases it.
    pub(super) fn generation(&self) -> Result<u32, NftError> {
        self.send(&request_of(NFPROTO_INET, GET_GENERATION, 0, &[]))?;
        loop {
            let answer = self.receive(false)?.ok_or(NftError::Answer)?;
            for message in Messages(&answer) {
                if message.kind == NLMSG_ERROR {
                    let code =
                        message.body.first_chunk().map_or(0, |bytes| i32::from_ne_bytes(*bytes));
                    return Err(NftError::Socket(io::Error::from_raw_os_error(-code)));
                }
                if message.kind == NFTABLES | 15 {
                    let id =
                        attributes::Attributes(message.attributes()).find(|(kind, _)| *kind == 1);
                    return id.map(|(_, value)| attributes::number(value)).ok_or(NftError::Answer);
                }
            }
        }
    }

    /// Chains, sets and elements of a table.
    pub(super) fn observe(&self, table: &str) -> Result<Option<TableState>, NftError> {
        if self.table_flags(table)?.is_none() {
            return Ok(None);
        }
        let mut state = TableState::default();
        for message in self.dump(GET_CHAIN, &[])? {
            if let Some((of, name, chain)) = dump::chain(&message)
                && of == table
            {
                state.chains.insert(name, chain);
            }
        }
        for message in self.dump(GET_SET, &attribute(1, table))? {
            if let Some((of, name)) = dump::set(&message)
                && of == table
            {
                let names = [attribute(1, table), attribute(2, &name)].concat();
                let lists = self.dump(GET_SET_ELEMENT, &names)?;
                let mut elements: Vec<_> =
                    lists.iter().flat_map(|list| dump::elements(list)).collect();
                elements.sort();
                state.sets.insert(name, elements);
            }
        }
        Ok(Some(state))
    }

    /// The counters of a table's rules.
    pub(super) fn counts(&self, table: &str) -> Result<Vec<RuleCount>, NftError> {
        let rules = self.dump(GET_RULE, &attribute(1, table))?;
        // Old kernels list those of all tables.
        let is_in = |rule: &&Vec<u8>| {
            attributes::Attributes(rule)
                .any(|(kind, value)| kind == 1 && attributes::text(value) == table)
        };
        Ok(rules.iter().filter(is_in).filter_map(|rule| dump::rule_count(rule)).collect())
    }

    /// The flags of a table; `None` if there is no such table.
    pub(super) fn table_flags(&self, table: &str) -> Result<Option<u32>, NftError> {
        let found = self.find(NFPROTO_INET, GET_TABLE, &attribute(1, table))?;
        Ok(found.map(|table| dump::table_flags(&table)))
    }

    fn has_table_of(&self, family: u8, table: &str) -> Result<bool, NftError> {
        self.has(family, GET_TABLE, &attribute(1, table))
    }

    fn has(&self, family: u8, kind: u16, names: &[u8]) -> Result<bool, NftError> {
        self.find(family, kind, names).map(|found| found.is_some())
    }

    /// The attributes of an object that is asked for by its names.
    fn find(&self, family: u8, kind: u16, names: &[u8]) -> Result<Option<Vec<u8>>, NftError> {
        // The number of the answer is one less than that of the question.
        let found = kind - 1;
        self.send(&request_of(family, kind, 0, names))?;
        loop {
            let answer = self.receive(false)?.ok_or(NftError::Answer)?;
            for message in Messages(&answer) {
                if message.kind == found {
                    return Ok(Some(message.attributes().to_vec()));
                }
                if message.kind == NLMSG_ERROR {
                    return match message.body.first_chunk().map(|bytes| i32::from_ne_bytes(*bytes))
                    {
                        Some(code) if code == -nix::libc::ENOENT => Ok(None),
                        Some(code) => Err(NftError::Socket(io::Error::from_raw_os_error(-code))),
                        None => Err(NftError::Answer),
                    };
                }
            }
        }
    }

    /// The attributes of all objects a listing returns; repeated if a change interrupted it.
    fn dump(&self, kind: u16, attributes: &[u8]) -> Result<Vec<Vec<u8>>, NftError> {
        self.dump_of(NFPROTO_INET, kind, attributes)
    }

    fn dump_of(&self, family: u8, kind: u16, attributes: &[u8]) -> Result<Vec<Vec<u8>>, NftError> {
        for _ in 0..DUMP_ATTEMPTS {
            if let Some(found) = self.try_dump(family, kind, attributes)? {
                return Ok(found);
            }
        }
        Err(NftError::Contended)
    }

    fn try_dump(
        &self,
        family: u8,
        kind: u16,
        attributes: &[u8],
    ) -> Result<Option<Vec<Vec<u8>>>, NftError> {
        self.send(&request_of(family, kind, NLM_F_DUMP, attributes))?;
        let mut found = Vec::new();
        let mut interrupted = false;
        loop {
            let answer = self.receive(false)?.ok_or(NftError::Answer)?;
            for message in Messages(&answer) {
                interrupted |= message.flags & DUMP_INTERRUPTED != 0;
                match message.kind {
                    NLMSG_DONE => return Ok((!interrupted).then_some(found)),
                    NLMSG_ERROR => {
                        let code = message
                            .body
                            .first_chunk()
                            .map_or(0, |bytes| i32::from_ne_bytes(*bytes));
                        return if code == -nix::libc::ENOENT {
                            Ok(Some(Vec::new()))
                        } else {
                            Err(NftError::Socket(io::Error::from_raw_os_error(-code)))
                        };
                    }
                    _ => found.push(message.attributes().to_vec()),
                }
            }
        }
    }

    fn send(&self, bytes: &[u8]) -> Result<(), NftError> {
        // A batch must be one send: a second one would be taken for a batch of its own.
        match self.socket.send(bytes, 0) {
            Ok(sent) if sent == bytes.len() => Ok(()),
            Ok(_) => Err(NftError::Socket(io::Error::from(io::ErrorKind::WriteZero))),
            Err(error) => Err(NftError::Socket(error)),
        }
    }

    /// The next datagram; with `only_waiting`, `None` if there is none.
    fn receive(&self, only_waiting: bool) -> Result<Option<Vec<u8>>, NftError> {
        let flags = if only_waiting { nix::libc::MSG_DONTWAIT } else { 0 };
        loop {
            let mut buffer = Vec::with_capacity(1 << 16);
            match self.socket.recv(&mut buffer, flags) {
                Ok(_) => return Ok(Some(buffer)),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if only_waiting && error.kind() == io::ErrorKind::WouldBlock => {
                    return Ok(None);
                }
                Err(error) => return Err(NftError::Socket(error)),
            }
        }
    }
}

/// Finds the change that message number `sequence` belongs to; message 0 begins the batch, changes of
/// other tables follow.
fn refused(
    transactions: &[&Transaction],
    n_elsewhere: u32,
    sequence: u32,
    source: io::Error,
) -> NftError {
    let mut first = n_elsewhere.saturating_add(1);
    for transaction in transactions {
        for change in &transaction.changes {
            let after = first + n_messages(change);
            if (first..after).contains(&sequence) {
                return NftError::Refused { change: describe(&transaction.table, change), source };
            }
            first = after;
        }
    }
    NftError::Refused { change: "the transaction".to_owned(), source }
}

fn describe(table: &str, change: &Change) -> String {
    let one = Transaction { table: table.to_owned(), changes: vec![change.clone()] };
    text::words(&one).join(" ")
}

/// An attribute with a name.
fn attribute(kind: u16, name: &str) -> Vec<u8> {
    attributes::encode(kind, &[name.as_bytes(), b"\0"].concat())
}

/// A request: netlink header, nfnetlink header for a family, attributes.
fn request_of(family: u8, kind: u16, flags: u16, attributes: &[u8]) -> Vec<u8> {
    let mut header = NetlinkHeader::default();
    header.length = u32::try_from(16 + 4 + attributes.len()).unwrap_or(u32::MAX);
    header.message_type = kind;
    header.flags = NLM_F_REQUEST | flags;
    let mut bytes = vec![0; 16];
    netlink_packet_core::Emitable::emit(&header, &mut bytes);
    bytes.extend([family, 0, 0, 0]);
    bytes.extend(attributes);
    bytes
}

/// A message of a datagram.
struct Message<'a> {
    kind: u16,
    flags: u16,
    sequence: u32,
    body: &'a [u8],
}

impl<'a> Message<'a> {
    /// What follows the nfnetlink header.
    fn attributes(&self) -> &'a [u8] {
        self.body.get(4..).unwrap_or_default()
    }
}

/// Iterates over the messages of a datagram; a damaged one ends the iteration.
struct Messages<'a>(&'a [u8]);

impl<'a> Iterator for Messages<'a> {
    type Item = Message<'a>;

    fn next(&mut self) -> Option<Self::Item> {
        let header: &[u8; 16] = self.0.first_chunk()?;
        let [l0, l1, l2, l3, k0, k1, f0, f1, s0, s1, s2, s3, ..] = *header;
        let length = usize::try_from(u32::from_ne_bytes([l0, l1, l2, l3])).ok()?;
        let body = self.0.get(16..length)?;
        self.0 = self.0.get(length.next_multiple_of(4)..).unwrap_or_default();
        Some(Message {
            kind: u16::from_ne_bytes([k0, k1]),
            flags: u16::from_ne_bytes([f0, f1]),
            sequence: u32::from_ne_bytes([s0, s1, s2, s3]),
            body,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(own: &[u32], seen: u32, current: u32, expect: bool) {
        let generations = OwnGenerations::default();
        own.iter().for_each(|generation| generations.expect(*generation));
        assert_eq!(generations.are_all_since(seen, current), expect);
    }

    #[test]
    fn foreign_generations_are_detected() {
        check(&[], 7, 7, true);
        check(&[8, 9], 7, 9, true);
        check(&[5, 6, 8, 9, 10], 7, 9, true);
        check(&[8, 10], 7, 10, false);
        check(&[u32::MAX, 0], u32::MAX - 1, 0, true);
        // The kernel's number went back: another namespace, or a wrong one.
        check(&[8, 9], 9, 8, false);
    }
}
