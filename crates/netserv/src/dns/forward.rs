//! Questions that other name servers are asked.
//!
//! ```text
//! question ──> cached? ──> answered
//!    │ no
//!    ├─> the same is in flight ──> waits with it
//!    └─> asked ──reply──> all who wait are answered, the message is kept
//!          │ no reply in time, failure, malformed
//!          └─> next server ──none left──> what the last server said, else SERVFAIL
//! ```
//!
//! Sockets and bytes are values: a question to a server is a [`Socket::Upstream`] of its own, so
//! it has a random port and an identifier of its own (RFC 5452 §9). Owns the questions of one
//! network; the cache and what is known of servers are the host's, [`HostDns`].

use std::collections::{BTreeSet, HashMap};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use oxivirt_netserv_api::Limits;
use rand::Rng;

use super::cache::{Cache, Key};
use super::servers::HostServers;
use crate::wire::dns::{HEADER, Query, Reply, Walk, flag, num, push_opt, put_u16, u16_at};
use crate::{Now, Out, Socket, To};

/// How long a server has for its answer over UDP.
const UDP_TIMEOUT: Duration = Duration::from_secs(2);

/// How long a server has for connection and answer over TCP.
const TCP_TIMEOUT: Duration = Duration::from_secs(5);

/// Questions in flight of all networks of a host.
const MAX_IN_FLIGHT: usize = 4096;

/// How often at least a question is sent before it fails, whatever the number of servers: a
/// single datagram may be lost.
const MIN_ATTEMPTS: usize = 2;

/// How often at most.
const MAX_ATTEMPTS: usize = 6;

/// What all networks of a host share.
#[derive(Debug, Default)]
pub struct HostDns {
    /// Answers of other servers.
    pub(crate) cache: Cache,
    /// Name servers.
    pub(crate) servers: HostServers,
    in_flight: usize,
    next_token: u64,
}

/// What a question meets while it is handled.
#[expect(missing_debug_implementations, reason = "a random number generator has none")]
pub struct Turn<'t> {
    /// The time.
    pub now: Now,
    /// What all networks share.
    pub host: &'t mut HostDns,
    /// Randomness of identifiers.
    pub rng: &'t mut dyn Rng,
    /// What is to be done.
    pub out: &'t mut Out,
}

/// Who asked, and how the answer gets there.
#[derive(Debug, Clone)]
pub(crate) struct Client {
    /// The socket of the question.
    pub(crate) socket: Socket,
    /// Where the answer goes.
    pub(crate) to: To,
    /// Which of our addresses was asked.
    pub(crate) local: Option<IpAddr>,
    /// Address of the client.
    pub(crate) address: IpAddr,
    /// Longest answer it takes, in bytes.
    pub(crate) limit: usize,
}

/// A question in flight.
#[derive(Debug)]
struct Pending {
    key: Key,
    over_tcp: bool,
    question: Box<[u8]>,
    flags: u16,
    with_edns: bool,
    waiting: Vec<(Client, Box<[u8]>)>,
    /// Servers that are still to be asked, the next one last.
    left: Vec<SocketAddr>,
    server: SocketAddr,
    id: u16,
    deadline: Duration,
    /// The last failure a server reported.
    failure: Option<(Box<[u8]>, Walk)>,
}

/// The questions of one network.
#[derive(Debug)]
pub(crate) struct Forwarder {
    pending: HashMap<u64, Pending>,
    by_key: HashMap<(Key, bool), u64>,
    deadlines: BTreeSet<(Duration, u64)>,
    waiting: Waiting,
    max_waiting: u32,
    max_per_source: u32,
}

/// How many questions wait, in all and of each source.
#[derive(Debug, Default)]
struct Waiting {
    all: u32,
    per_source: HashMap<IpAddr, u32>,
}

impl Forwarder {
    /// No questions yet; the limits are of waiting clients.
    #[must_use]
    pub(crate) fn new(limits: &Limits) -> Self {
        Self {
            pending: HashMap::new(),
            by_key: HashMap::new(),
            deadlines: BTreeSet::new(),
            waiting: Waiting::default(),
            max_waiting: limits.dns_in_flight,
            max_per_source: limits.dns_in_flight_per_source,
        }
    }

    /// Asks `servers`, in order, what `query` asks; `packet` is the message it was read from.
    pub(crate) fn ask(
        &mut self,
        turn: &mut Turn<'_>,
        (query, packet): (&Query<'_>, &[u8]),
        client: Client,
        servers: Arc<[SocketAddr]>,
    ) {
        let key = Key::new(query, servers);
        let mut answer = Vec::new();
        if turn.host.cache.answer(turn.now.boot, &key, query, client.limit, &mut answer) {
            return turn.out.send(client.socket, client.to, client.local, answer);
        }
        // A query without recursion desired gets local and cached answers only (RFC 1035 §4.1.1).
        if !query.has(flag::RD) || key.servers().is_empty() {
            return fail(turn, query, &client, num::REFUSED);
        }
        let over_tcp = matches!(client.socket, Socket::DnsTcp(_));
        let joined = self.by_key.get(&(key.clone(), over_tcp)).copied();
        let is_circle = joined.and_then(|token| self.pending.get(&token)).is_some_and(|pending| {
            pending.id == query.id && Some(pending.server.ip()) == client.local
        });
        if is_circle || !self.has_room(&client) || joined.is_none() && turn.host.is_full() {
            turn.out.dropped("dns-limit");
            return fail(turn, query, &client, num::SERVFAIL);
        }
        self.waiting.add(client.address);
        if let Some(pending) = joined.and_then(|token| self.pending.get_mut(&token)) {
            pending.waiting.push((client, packet.into()));
            return;
        }
        let mut left = attempts(&turn.host.servers.in_order(turn.now.boot, key.servers()));
        let Some(server) = left.pop() else { return };
        let pending = Pending {
            over_tcp,
            question: query.question.into(),
            flags: flag::RD | query.flags & (flag::CD | flag::AD),
            with_edns: true,
            waiting: vec![(client, packet.into())],
            left,
            server,
            id: 0,
            deadline: Duration::ZERO,
            failure: None,
            key,
        };
        self.send(turn, pending);
    }

    /// Takes the message that came in by the socket of a question.
    pub(crate) fn replied(&mut self, turn: &mut Turn<'_>, token: u64, message: &[u8]) {
        let Some(pending) = self.pending.get(&token) else { return };
        let question_end = HEADER + pending.question.len();
        if u16_at(message, 0) != Some(pending.id)
            || message.get(HEADER..question_end) != Some(&pending.question[..])
        {
            // Not an answer to what was asked; the right one may still come.
            return turn.out.dropped("dns-stranger");
        }
        let walk = Walk::of(message).ok().filter(|walk| pending.key.is_answered_by(walk));
        let Some(pending) = self.take(turn, token) else { return };
        let Some(walk) = walk else {
            turn.out.dropped("dns-malformed");
            return self.next_server(turn, pending);
        };
        turn.host.servers.set_alive(pending.server);
        let speaks_no_edns = matches!(walk.rcode, num::FORMERR | num::NOTIMP) && !walk.has_opt;
        if pending.with_edns && speaks_no_edns {
            // RFC 6891 §6.2.2
            let again = Pending { with_edns: false, ..pending };
            return self.send(turn, again);
        }
        if matches!(walk.rcode, num::NOERROR | num::NXDOMAIN) {
            return self.deliver(turn, pending, message, walk);
        }
        let failure = Some((message.into(), walk));
        self.next_server(turn, Pending { failure, ..pending });
    }

    /// The socket of a question failed: nothing listens there, or the connection was closed.
    pub(crate) fn failed(&mut self, turn: &mut Turn<'_>, token: u64) {
        let Some(pending) = self.take(turn, token) else { return };
        turn.host.servers.set_dead(turn.now.boot, pending.server);
        self.next_server(turn, pending);
    }

    /// Goes on with the questions whose time has come.
    pub(crate) fn tick(&mut self, turn: &mut Turn<'_>) {
        while let Some((deadline, token)) = self.deadlines.first().copied()
            && deadline <= turn.now.boot
        {
            self.failed(turn, token);
        }
    }

    /// When [`Forwarder::tick`] has something to do.
    #[must_use]
    pub(crate) fn deadline(&self) -> Option<Duration> {
        self.deadlines.first().map(|(deadline, _)| *deadline)
    }

    /// A connection has closed; its questions need no answer.
    pub(crate) fn disconnected(&mut self, socket: Socket) {
        let waiting = &mut self.waiting;
        for pending in self.pending.values_mut() {
            pending.waiting.retain(|(client, _)| {
                let stays = client.socket != socket;
                if !stays {
                    waiting.remove(client.address);
                }
                stays
            });
        }
    }

    /// Ends all questions without an answer, as the network goes away.
    pub(crate) fn close(&mut self, turn: &mut Turn<'_>) {
        while let Some((_, token)) = self.deadlines.first().copied() {
            self.take(turn, token);
        }
        self.waiting = Waiting::default();
    }

    fn has_room(&self, client: &Client) -> bool {
        self.waiting.of(client.address) < self.max_per_source && self.waiting.all < self.max_waiting
    }

    /// Sends a question to its current server.
    fn send(&mut self, turn: &mut Turn<'_>, mut pending: Pending) {
        let token = turn.host.next_token;
        turn.host.next_token = turn.host.next_token.wrapping_add(1);
        turn.host.in_flight = turn.host.in_flight.saturating_add(1);
        let [a, b, ..] = turn.rng.next_u64().to_ne_bytes();
        pending.id = u16::from_ne_bytes([a, b]);
        let (socket, timeout) = if pending.over_tcp {
            (Socket::UpstreamTcp(token), TCP_TIMEOUT)
        } else {
            (Socket::Upstream(token), UDP_TIMEOUT)
        };
        pending.deadline = turn.now.boot.saturating_add(timeout);
        turn.out.send(socket, To::Ip(pending.server), None, pending.message());
        self.deadlines.insert((pending.deadline, token));
        self.by_key.insert((pending.key.clone(), pending.over_tcp), token);
        self.pending.insert(token, pending);
    }

    /// Takes a question out of flight and closes its socket.
    fn take(&mut self, turn: &mut Turn<'_>, token: u64) -> Option<Pending> {
        let pending = self.pending.remove(&token)?;
        self.deadlines.remove(&(pending.deadline, token));
        self.by_key.remove(&(pending.key.clone(), pending.over_tcp));
        turn.host.in_flight = turn.host.in_flight.saturating_sub(1);
        turn.out.closed.push(if pending.over_tcp {
            Socket::UpstreamTcp(token)
        } else {
            Socket::Upstream(token)
        });
        Some(pending)
    }

    fn next_server(&mut self, turn: &mut Turn<'_>, mut pending: Pending) {
        // Without a client that waits, the answer is not needed.
        if pending.waiting.is_empty() {
            return;
        }
        if let Some(server) = pending.left.pop() {
            let again = Pending { server, with_edns: true, ..pending };
            return self.send(turn, again);
        }
        if let Some((message, walk)) = pending.failure.take() {
            return self.deliver(turn, pending, &message, walk);
        }
        for (client, packet) in pending.waiting {
            self.waiting.remove(client.address);
            if let Ok(query) = Query::parse(&packet) {
                fail(turn, &query, &client, num::SERVFAIL);
            }
        }
    }

    /// Answers all who wait, and keeps the message.
    fn deliver(&mut self, turn: &mut Turn<'_>, pending: Pending, message: &[u8], walk: Walk) {
        for (client, packet) in pending.waiting {
            self.waiting.remove(client.address);
            let Ok(query) = Query::parse(&packet) else { continue };
            let mut answer = Vec::new();
            walk.write_for(&mut answer, message, &query, (0, 0), client.limit);
            turn.out.send(client.socket, client.to, client.local, answer);
        }
        turn.host.cache.insert(turn.now.boot, pending.key, message, walk);
    }
}

impl Waiting {
    fn of(&self, address: IpAddr) -> u32 {
        self.per_source.get(&address).copied().unwrap_or(0)
    }

    fn add(&mut self, address: IpAddr) {
        self.all = self.all.saturating_add(1);
        let count = self.per_source.entry(address).or_default();
        *count = count.saturating_add(1);
    }

    fn remove(&mut self, address: IpAddr) {
        self.all = self.all.saturating_sub(1);
        if let Some(count) = self.per_source.get_mut(&address) {
            *count = count.saturating_sub(1);
            if *count == 0 {
                self.per_source.remove(&address);
            }
        }
    }
}

impl HostDns {
    /// Uses these as the host's name servers, in order; answers of others are forgotten.
    pub fn set_system_servers(&mut self, servers: &[IpAddr]) {
        self.servers.set_system(servers);
        self.cache.clear();
    }

    /// Sets the addresses that this service itself answers at: asking them would be a circle.
    pub fn set_own_addresses(&mut self, own: Vec<IpAddr>) {
        self.servers.set_own(own);
    }

    fn is_full(&self) -> bool {
        self.in_flight >= MAX_IN_FLIGHT
    }
}

impl Pending {
    /// The question as it is sent.
    fn message(&self) -> Vec<u8> {
        let mut message = vec![0; HEADER];
        put_u16(&mut message, 0, self.id);
        put_u16(&mut message, 2, self.flags);
        put_u16(&mut message, 4, 1);
        message.extend_from_slice(&self.question);
        if self.with_edns {
            put_u16(&mut message, 10, 1);
            let dnssec_ok = self.key.wants_dnssec();
            push_opt(&mut message, num::NOERROR, dnssec_ok);
        }
        message
    }
}

/// The servers in reverse order, each of them again until there are enough attempts.
fn attempts(servers: &[SocketAddr]) -> Vec<SocketAddr> {
    let n = servers.len().clamp(MIN_ATTEMPTS, MAX_ATTEMPTS);
    let mut all: Vec<_> = servers.iter().copied().cycle().take(n).collect();
    all.reverse();
    all
}

fn fail(turn: &mut Turn<'_>, query: &Query<'_>, client: &Client, rcode: u16) {
    let mut answer = Vec::new();
    Reply::start(&mut answer, query, client.limit, 0).finish(rcode);
    turn.out.send(client.socket, client.to, client.local, answer);
}

#[cfg(test)]
mod tests;
