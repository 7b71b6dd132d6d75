//! DNS of a network: its own names, then the servers that it forwards to.
//!
//! Start at [`NameService::handle`]. What other networks need too is in [`HostDns`].

mod cache;
mod forward;
mod local;
mod servers;
#[cfg(test)]
pub(crate) mod testing;

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use oxivirt_netserv_api::NetworkSpec;

use self::forward::{Client, Forwarder};
pub use self::forward::{HostDns, Turn};
pub use self::local::HostFile;
use self::local::{LocalNames, Upstream, Verdict};
use self::servers::Servers;
use crate::wire::dns::{Flaw, Query, Reply, error_reply, num};
use crate::{Out, Packet, Socket, To};

/// Index of the loop-back link in each network namespace.
const LOOPBACK: u32 = 1;

/// Longest message over TCP, in bytes.
const TCP_SIZE: usize = 65_535;

/// The name server of one network.
#[derive(Debug)]
pub struct NameService {
    ifindex: u32,
    names: LocalNames,
    servers: Servers,
    forwarder: Forwarder,
}

impl NameService {
    /// The name server of a definition; nothing is leased yet.
    #[must_use]
    pub fn new(spec: &NetworkSpec) -> Self {
        Self {
            ifindex: spec.ifindex,
            names: LocalNames::new(spec),
            servers: Servers::new(spec),
            forwarder: Forwarder::new(&spec.limits),
        }
    }

    /// Serves another version of the definition. Questions in flight go on; names of leases
    /// have to be added again.
    pub fn replace(&mut self, spec: &NetworkSpec) {
        self.ifindex = spec.ifindex;
        self.names = LocalNames::new(spec);
        self.servers = Servers::new(spec);
    }

    /// Handles what came in by one of the DNS sockets of the network or from a server.
    pub fn handle(&mut self, turn: &mut Turn<'_>, packet: &Packet<'_>) {
        match packet.socket {
            Socket::Upstream(token) | Socket::UpstreamTcp(token) => {
                self.forwarder.replied(turn, token, packet.bytes);
            }
            _ if packet.ifindex == self.ifindex || packet.ifindex == LOOPBACK => {
                self.question(turn, packet);
            }
            // Only the network's guests and the host may ask (CVE-2012-3411).
            _ => turn.out.dropped("dns-foreign-link"),
        }
    }

    fn question(&mut self, turn: &mut Turn<'_>, packet: &Packet<'_>) {
        let over_tcp = matches!(packet.socket, Socket::DnsTcp(_));
        let to = if over_tcp { To::Peer } else { To::Ip(packet.source) };
        let send = |out: &mut Out, answer| out.send(packet.socket, to, packet.destination, answer);
        let mut answer = Vec::new();
        let query = match Query::parse(packet.bytes) {
            Ok(query) => query,
            Err(Flaw::Silent) => return turn.out.dropped("dns-no-query"),
            Err(Flaw::Rcode(rcode)) => {
                error_reply(&mut answer, packet.bytes, rcode);
                return send(turn.out, answer);
            }
        };
        let limit = if over_tcp { TCP_SIZE } else { query.udp_limit() };
        if let Some(rcode) = refusal(&query) {
            Reply::start(&mut answer, &query, limit, 0).finish(rcode);
            return send(turn.out, answer);
        }
        let servers = self.servers.of_name(&query.name, &turn.host.servers);
        let upstream = if servers.is_empty() { Upstream::None } else { Upstream::Some };
        if self.names.answer(&query, upstream, limit, &mut answer) == Verdict::Answered {
            return send(turn.out, answer);
        }
        let client = Client {
            socket: packet.socket,
            to,
            local: packet.destination,
            address: packet.source.ip(),
            limit,
        };
        self.forwarder.ask(turn, (&query, packet.bytes), client, servers);
    }

    /// An address is leased, by a client of this name if it has one.
    pub fn lease_added(&mut self, address: IpAddr, name: Option<&str>) {
        self.names.lease_added(address, name);
    }

    /// An address is not leased any longer.
    pub fn lease_removed(&mut self, address: IpAddr) {
        self.names.lease_removed(address);
    }

    /// Uses another version of the host's file of names.
    pub fn set_host_file(&mut self, file: Arc<HostFile>) {
        self.names.set_host_file(file);
    }

    /// A socket failed or was closed by its other end.
    pub fn failed(&mut self, turn: &mut Turn<'_>, socket: Socket) {
        match socket {
            Socket::Upstream(token) | Socket::UpstreamTcp(token) => {
                self.forwarder.failed(turn, token);
            }
            _ => self.forwarder.disconnected(socket),
        }
    }

    /// Goes on with what waited for its time.
    pub fn tick(&mut self, turn: &mut Turn<'_>) {
        self.forwarder.tick(turn);
    }

    /// When [`NameService::tick`] has something to do, on the boot clock.
    #[must_use]
    pub fn deadline(&self) -> Option<Duration> {
        self.forwarder.deadline()
    }

    /// Ends all questions in flight, as the network goes away.
    pub fn close(&mut self, turn: &mut Turn<'_>) {
        self.forwarder.close(turn);
    }
}

/// The response code of a question that is not looked up at all.
fn refusal(query: &Query<'_>) -> Option<u16> {
    if query.edns.is_some_and(|edns| edns.version > 0) {
        return Some(num::BADVERS);
    }
    if query.qtype == num::OPT {
        return Some(num::FORMERR);
    }
    let is_transfer = (num::IXFR..num::ANY).contains(&query.qtype);
    (query.qclass != num::IN || is_transfer).then_some(num::REFUSED)
}

#[cfg(test)]
mod tests;
