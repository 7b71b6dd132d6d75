//! DHCPv4 and BOOTP of one network: a message and the time in, replies, records and events out.
//!
//! The server is the only one of its network, so it confirms what a client remembers even if it does not know the
//! client (dnsmasq's `dhcp-authoritative`). What dnsmasq would do is the rule; differences are in
//! `docs/deviations.md`.
//!
//! ```text
//! DISCOVER ─▶ choose ─▶ probe, 200 ms ─▶ OFFER ─▶ REQUEST ─▶ record ─▶ ACK
//!                ▲          │ another machine has it
//!                └──────────┘ at most three times
//! ```
//!
//! RFC 2131; dnsmasq: `dhcp_reply`, src/rfc2131.c

mod answer;
mod hosts;
pub(crate) mod names;
mod pool;
mod request;

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use oxivirt_netserv_api::message::{End, LeaseInfo, Released};
use oxivirt_netserv_api::{Dhcp4Spec, Mac, NetworkSpec};
use rand::Rng;

use self::hosts::Hosts;
use self::names::{ClientName, Name};
use self::pool::{BARRED, Pool, v4};
use crate::lease::{Lease, Record};
use crate::wire::dhcp4::{Kind, View};
use crate::{Event, Now, Out, Packet, Probe};

/// How long an answer to a probe is waited for.
const PROBE: Duration = Duration::from_millis(200);
/// Most probes at a time; more addresses are offered unasked.
const MAX_PROBES: usize = 100;
/// Addresses that a message tries.
const MAX_TRIES: u8 = 3;
/// Most leases of one Ethernet address under different identifiers.
const MAX_LEASES_PER_MAC: usize = 8;
/// How often a full pool is reported.
const FULL_INTERVAL: Duration = Duration::from_secs(60);

/// The DHCPv4 server of one network.
#[derive(Debug)]
pub struct Dhcp4 {
    spec: Dhcp4Spec,
    facts: Facts,
    hosts: Hosts,
    pool: Pool,
    /// Messages whose address is being asked for, by client.
    pending: BTreeMap<Mac, Pending>,
    reported_full: Option<Duration>,
}

/// What DHCPv4 needs to know of the rest of the network.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Facts {
    domain: Option<String>,
    mtu_option: Option<u16>,
    is_router: bool,
    is_resolver: bool,
    /// First names of addresses of the definition's `<dns>`, and all of its names.
    dns_names: BTreeMap<Ipv4Addr, Name>,
    dns_addresses: BTreeMap<String, Ipv4Addr>,
}

/// A message that waits for the result of a probe.
#[derive(Debug, Clone)]
struct Pending {
    message: Vec<u8>,
    from: From,
    address: Ipv4Addr,
    until: Duration,
    n_tries: u8,
}

/// Where a message came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct From {
    source: SocketAddr,
    /// Whether it was sent to an address of ours, and not to all.
    is_unicast: bool,
}

/// A message with what follows from it alone.
struct Asked<'a> {
    view: View<'a>,
    bytes: &'a [u8],
    from: From,
    name: ClientName,
    /// The address that a probe found free.
    probed: Option<Ipv4Addr>,
    n_tries: u8,
}

impl Facts {
    fn of(spec: &NetworkSpec) -> Self {
        let mut dns_names = BTreeMap::new();
        let mut dns_addresses = BTreeMap::new();
        for host in spec.dns.iter().flat_map(|dns| &dns.hosts) {
            let IpAddr::V4(address) = host.address else { continue };
            let first = host.names.first().and_then(|name| Name::parse(name));
            if let Some(name) = first.filter(|name| name.is_in(spec.domain.as_deref())) {
                dns_names.entry(address).or_insert(name);
            }
            for name in host.names.iter().filter_map(|name| Name::parse(name)) {
                if name.is_in(spec.domain.as_deref()) {
                    dns_addresses.entry(name.label.to_ascii_lowercase()).or_insert(address);
                }
            }
        }
        Self {
            domain: spec.domain.clone(),
            mtu_option: spec.mtu_option,
            is_router: spec.is_forwarded,
            is_resolver: spec.dns.is_some(),
            dns_names,
            dns_addresses,
        }
    }
}

impl Dhcp4 {
    /// The server of a network; nothing if the network has no DHCPv4.
    #[must_use]
    pub fn new(network: &NetworkSpec) -> Option<Self> {
        let spec = network.dhcp4.clone()?;
        let hosts = Hosts::new(&spec.hosts);
        let own = network.addresses.iter().filter_map(|own| v4(own.address));
        let pool = Pool::new(&spec, own, hosts.addresses());
        let facts = Facts::of(network);
        let pending = BTreeMap::new();
        Some(Self { spec, facts, hosts, pool, pending, reported_full: None })
    }

    /// Takes the leases of the server of the network's earlier definition.
    pub fn inherit(&mut self, old: Self) {
        self.pool.inherit(old.pool);
        self.reported_full = old.reported_full;
    }

    /// Takes leases and barred addresses of an earlier process. Leases that are over are left out; ends further
    /// away than a lease can last are brought near, as after a jump of the clock.
    pub fn restore(
        &mut self,
        leases: impl IntoIterator<Item = LeaseInfo>,
        barred: impl IntoIterator<Item = (IpAddr, u64)>,
        now: Now,
    ) {
        for lease in leases {
            let Some(address) = v4(lease.address).filter(|address| self.spec.is_on_link(*address))
            else {
                continue;
            };
            let mut lease = Lease::of(lease, now);
            if lease.deadline.is_some_and(|deadline| deadline <= now.boot) {
                continue;
            }
            let host =
                lease.mac.and_then(|mac| self.hosts.find(lease.client_id.as_deref(), mac, None));
            let longest = host.and_then(|(_, host)| host.lease);
            let longest = longest.unwrap_or_else(|| self.pool.lease_time(address)).seconds();
            if let (Some(deadline), Some(longest)) = (lease.deadline, longest) {
                let longest = Duration::from_secs(u64::from(longest));
                if deadline.saturating_sub(now.boot) > longest.saturating_add(longest / 10) {
                    lease.deadline = Some(now.boot.saturating_add(longest));
                }
            }
            self.pool.insert(lease);
        }
        for (address, until) in barred {
            let until = now.deadline_of(until).min(now.boot.saturating_add(BARRED));
            if let Some(address) = v4(address).filter(|_| until > now.boot) {
                self.pool.bar(address, until);
            }
        }
    }

    /// The leases, by address.
    pub fn leases(&self) -> impl Iterator<Item = &Lease> {
        self.pool.table().iter()
    }

    /// Barred addresses, and until when they are not offered.
    pub fn barred(&self) -> impl Iterator<Item = (IpAddr, Duration)> {
        self.pool.barred().map(|(address, until)| (address.into(), until))
    }

    /// Handles a message.
    pub fn handle(&mut self, now: Now, packet: &Packet<'_>, rng: &mut dyn Rng, out: &mut Out) {
        let is_unicast =
            packet.destination.is_some_and(|to| v4(to).is_some_and(|to| self.pool.is_own(to)));
        let from = From { source: packet.source, is_unicast };
        self.message(now, packet.bytes, from, (None, 0), rng, out);
    }

    /// Handles a message that may have waited for a probe: the address found free, and how many were tried.
    fn message(
        &mut self,
        now: Now,
        bytes: &[u8],
        from: From,
        (probed, n_tries): (Option<Ipv4Addr>, u8),
        rng: &mut dyn Rng,
        out: &mut Out,
    ) {
        let view = match View::new(bytes) {
            Ok(view) => view,
            Err(why) => return out.dropped(why.word()),
        };
        let giaddr = view.giaddr();
        if !giaddr.is_unspecified() && !self.spec.is_on_link(giaddr) {
            return out.dropped("foreign-relay");
        }
        let name = ClientName::of(&view);
        let asked = Asked { view, bytes, from, name, probed, n_tries };
        self.end_leases(now, out);
        match view.kind() {
            Kind::Discover => self.discover(now, &asked, out),
            Kind::Request => self.request(now, &asked, rng, out),
            Kind::Decline => self.decline(now, &asked, out),
            Kind::Release => self.released(now, &asked, out),
            Kind::Inform => self.inform(&asked, out),
            Kind::Bootp => self.bootp(now, &asked, out),
            Kind::Other(_) => out.dropped("not-for-a-server"),
        }
    }

    /// When something is to be done without a message.
    #[must_use]
    pub fn deadline(&self) -> Option<Duration> {
        let probes = self.pending.values().map(|pending| pending.until).min();
        probes.into_iter().chain(self.pool.first_end()).min()
    }

    /// Does what is due: ends leases, and answers those whose address is free as it seems.
    pub fn tick(&mut self, now: Now, rng: &mut dyn Rng, out: &mut Out) {
        self.end_leases(now, out);
        let due = |pending: &&Mac| {
            self.pending.get(*pending).is_some_and(|found| found.until <= now.boot)
        };
        let due: Vec<Mac> = self.pending.keys().filter(due).copied().collect();
        for mac in due {
            if let Some(found) = self.pending.remove(&mac) {
                let probed = (Some(found.address), found.n_tries);
                self.message(now, &found.message, found.from, probed, rng, out);
            }
        }
    }

    /// Another machine has an address that was probed: it is barred for a while, and the client that
    /// waited for it gets another one.
    pub fn conflict(
        &mut self,
        now: Now,
        address: Ipv4Addr,
        holder: Mac,
        rng: &mut dyn Rng,
        out: &mut Out,
    ) {
        let has = |pending: &Pending| pending.address == address;
        let waiting = self.pending.iter().find(|(_, pending)| has(pending)).map(|(mac, _)| *mac);
        // A client that has the address already is the one that it is for.
        let Some(mac) = waiting.filter(|mac| *mac != holder) else { return };
        let Some(found) = self.pending.remove(&mac) else { return };
        out.events.push(Event::Conflict(address.into(), Some(holder)));
        self.bar(now, address, out);
        self.message(now, &found.message, found.from, (None, found.n_tries), rng, out);
    }

    /// Gives leases free because the host wants it; returns how many.
    pub fn release(&mut self, now: Now, what: Released, out: &mut Out) -> u32 {
        let addresses: Vec<Ipv4Addr> = match what {
            Released::Address(address) => v4(address).into_iter().collect(),
            Released::Mac(mac) => {
                let leases = self.pool.table().of_mac(mac);
                leases.filter_map(|lease| v4(lease.address)).collect()
            }
        };
        let ended = addresses.into_iter().filter(|address| self.end(now, *address, End::Host, out));
        u32::try_from(ended.count()).unwrap_or(u32::MAX)
    }

    fn end_leases(&mut self, now: Now, out: &mut Out) {
        self.pool.end_holds(now.boot);
        while let Some(lease) = self.pool.pop_ended(now.boot) {
            out.records.push(Record::Release(lease.address));
            out.events.push(Event::Released(lease.info(now), End::Expiry));
        }
    }

    /// Ends the lease of an address; returns whether there was one.
    fn end(&mut self, now: Now, address: Ipv4Addr, why: End, out: &mut Out) -> bool {
        let Some(lease) = self.pool.remove(address) else { return false };
        out.records.push(Record::Release(lease.address));
        out.events.push(Event::Released(lease.info(now), why));
        true
    }

    fn bar(&mut self, now: Now, address: Ipv4Addr, out: &mut Out) {
        let until = now.boot.saturating_add(BARRED);
        self.pool.bar(address, until);
        out.records.push(Record::Decline(address.into(), now.unix_of(until)));
    }

    /// Asks whether another machine has an address before a client gets it; returns whether to wait.
    fn probe(&mut self, now: Now, asked: &Asked<'_>, address: Ipv4Addr, out: &mut Out) -> bool {
        if asked.probed == Some(address) || self.pending.len() >= MAX_PROBES {
            return false;
        }
        let mac = asked.view.mac();
        // A client that asks again does not start its probe again.
        if let Some(pending) = self.pending.get_mut(&mac).filter(|found| found.address == address) {
            asked.bytes.clone_into(&mut pending.message);
            pending.from = asked.from;
            return true;
        }
        let pending = Pending {
            message: asked.bytes.to_vec(),
            from: asked.from,
            address,
            until: now.boot.saturating_add(PROBE),
            n_tries: asked.n_tries.saturating_add(1),
        };
        self.pending.insert(mac, pending);
        out.probes.push(Probe { address, mac });
        true
    }

    fn pool_is_full(&mut self, now: Now, out: &mut Out) {
        let is_due = |last: Duration| now.boot.saturating_sub(last) >= FULL_INTERVAL;
        if self.reported_full.is_none_or(is_due) {
            self.reported_full = Some(now.boot);
            out.events.push(Event::PoolFull);
        }
        out.dropped("pool-full");
    }
}

#[cfg(test)]
mod tests;
