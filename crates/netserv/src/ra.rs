//! Router advertisements of a network: to whom asks, and from time to time to all.
//!
//! Values and intervals are those of dnsmasq 2.90 (radv.c) with the configuration that libvirt
//! writes; limits are of RFC 4861 §6.2. What it does not know is whether the bridge is up.

use std::net::{IpAddr, Ipv6Addr, SocketAddr, SocketAddrV6};
use std::time::Duration;

use oxivirt_netserv_api::{LeaseTime, NetworkSpec};
use rand::Rng;

use crate::wire::ra::{Advertisement, INFINITE, Prefix, is_solicitation};
use crate::{Now, Out, Packet, Socket, To};

/// All nodes of a link.
const ALL_NODES: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 1);
/// How long a network's host is the default router, in seconds.
const ROUTER_LIFETIME: u16 = 1800;
/// A prefix lives at least three of the longest intervals, in seconds.
const MIN_LIFETIME: u32 = 1800;
/// How long after the start advertisements come quickly.
const QUICK: Duration = Duration::from_secs(60);
/// Least time between two advertisements to all (RFC 4861 §6.2.6).
const MIN_DELAY: Duration = Duration::from_secs(3);
/// Advertisements to single hosts within a second.
const MAX_UNICAST: u32 = 10;

/// The router of one network's link.
#[derive(Debug)]
pub struct Advertiser {
    ifindex: u32,
    advertisement: Advertisement,
    started: Option<Duration>,
    next: Duration,
    last_to_all: Option<Duration>,
    /// The second that unicast advertisements are counted in, and how many there were.
    unicast: (u64, u32),
}

impl Advertiser {
    /// The router of a definition; nothing if the network has no IPv6 address.
    #[must_use]
    pub fn new(spec: &NetworkSpec) -> Option<Self> {
        let ra = spec.ra.as_ref()?;
        let is_managed = spec.dhcp6.is_some();
        let lifetime = match ra.lease {
            Some(LeaseTime::Seconds(seconds)) => seconds.max(MIN_LIFETIME),
            Some(LeaseTime::Infinite) | None => INFINITE,
        };
        // dnsmasq announces only prefixes that it has a range for.
        let is_announced =
            |address: &Ipv6Addr| spec.dhcp6.as_ref().is_none_or(|dhcp| dhcp.address == *address);
        let prefixes = ra.prefixes.iter().filter(|(address, _)| is_announced(address));
        let prefixes = prefixes.map(|(address, length)| Prefix {
            address: *address,
            length: *length,
            // Hosts make addresses only with 64 bits (RFC 4862 §5.5.3).
            is_autonomous: !is_managed && *length == 64,
            valid: lifetime,
            preferred: lifetime,
        });
        let advertisement = Advertisement {
            is_managed,
            router_lifetime: if spec.is_forwarded { ROUTER_LIFETIME } else { 0 },
            prefixes: prefixes.collect(),
            mtu: spec.mtu,
            mac: spec.mac,
            resolver: spec.dns.is_some().then(|| ra.link_local(spec.mac)),
        };
        Some(Self {
            ifindex: spec.ifindex,
            advertisement,
            started: None,
            next: Duration::ZERO,
            last_to_all: None,
            unicast: (0, 0),
        })
    }

    /// Handles an ICMPv6 message.
    pub fn handle(&mut self, now: Now, packet: &Packet<'_>, out: &mut Out) {
        let IpAddr::V6(source) = packet.source.ip() else { return out.dropped("ra-not-ipv6") };
        if !is_solicitation(packet.bytes, source, packet.hop_limit) {
            return out.dropped("ra-malformed");
        }
        if !source.is_unspecified() {
            let second = now.boot.as_secs();
            let sent = if self.unicast.0 == second { self.unicast.1 } else { 0 };
            if sent >= MAX_UNICAST {
                return out.dropped("ra-limit");
            }
            self.unicast = (second, sent + 1);
            return self.send(source, out);
        }
        let due = self.last_to_all.map_or(now.boot, |last| last.saturating_add(MIN_DELAY));
        if due > now.boot {
            // The client that asked receives the next one.
            self.next = self.next.min(due);
            return;
        }
        self.send_to_all(now, out);
    }

    /// Sends what is due.
    pub fn tick(&mut self, now: Now, rng: &mut dyn Rng, out: &mut Out) {
        let Some(started) = self.started else {
            self.started = Some(now.boot);
            self.next = now.boot.saturating_add(between(rng, 0, 5));
            return;
        };
        if self.next > now.boot {
            return;
        }
        self.send_to_all(now, out);
        let is_new = now.boot.saturating_sub(started) < QUICK;
        let pause = if is_new { between(rng, 5, 20) } else { between(rng, 450, 600) };
        self.next = now.boot.saturating_add(pause);
    }

    /// When [`Advertiser::tick`] has something to do.
    #[must_use]
    pub fn deadline(&self) -> Duration {
        self.next
    }

    /// Tells all hosts that the network ends: no router, prefixes not for new connections
    /// (RFC 4861 §6.2.5).
    pub fn farewell(&self, out: &mut Out) {
        let mut last = self.advertisement.clone();
        last.router_lifetime = 0;
        last.prefixes.iter_mut().for_each(|prefix| prefix.preferred = 0);
        out.send(Socket::Ra, self.to(ALL_NODES), None, last.bytes());
    }

    fn send_to_all(&mut self, now: Now, out: &mut Out) {
        self.last_to_all = Some(now.boot);
        self.send(ALL_NODES, out);
    }

    fn send(&self, to: Ipv6Addr, out: &mut Out) {
        out.send(Socket::Ra, self.to(to), None, self.advertisement.bytes());
    }

    fn to(&self, address: Ipv6Addr) -> To {
        To::Ip(SocketAddr::V6(SocketAddrV6::new(address, 0, 0, self.ifindex)))
    }
}

/// A random time between two numbers of seconds.
fn between(rng: &mut dyn Rng, least: u64, most: u64) -> Duration {
    let span = most.saturating_sub(least).saturating_mul(1000).max(1);
    Duration::from_millis(least * 1000 + rng.next_u64() % span)
}

#[cfg(test)]
mod tests;
