//! DHCPv6 of one network: a message and the time in, replies, records and events out.
//!
//! dnsmasq 2.90 (`dhcp6_reply`, src/rfc3315.c) with the configuration that libvirt writes is the
//! rule, RFC 8415 where it is silent; differences are in `docs/deviations.md`. Duplicate address
//! detection is the client's affair: it says DECLINE.

mod client;
mod lease;
mod pool;

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv6Addr, SocketAddr, SocketAddrV6};
use std::time::Duration;

use oxivirt_netserv_api::message::{End, LeaseInfo, Released};
use oxivirt_netserv_api::{Dhcp6Spec, Mac, NetworkSpec};
use rand::Rng;

use self::client::Client;
use self::pool::{BARRED, Pool, v6};
use crate::lease::{Lease, Record};
use crate::wire::dhcp6::{Options, Relayed, View, Writer, kind, option, status};
use crate::{Datagram, Event, Now, Out, Packet, Socket, To};

/// When clients without a lease ask again for settings, in seconds: the default of RFC 8415 §21.23.
const REFRESH_TIME: u32 = 86_400;
/// Relays that a message may go through (RFC 8415 §7.6).
const MAX_HOPS: u8 = 8;
/// Most clients whose Ethernet addresses are remembered, and looked for at a time.
const MAX_STRANGERS: usize = 1024;
/// How often a full pool is reported.
const FULL_INTERVAL: Duration = Duration::from_secs(60);
/// Seconds from 1970 to 2000, when the time of a DUID begins (RFC 8415 §11.2).
const DUID_EPOCH: u64 = 946_684_800;

/// The DHCPv6 server of one network.
#[derive(Debug)]
pub struct Dhcp6 {
    spec: Dhcp6Spec,
    ifindex: u32,
    domain: Option<String>,
    is_resolver: bool,
    duid: Vec<u8>,
    pool: Pool,
    reported_full: Option<Duration>,
    /// Ethernet addresses of clients, as the kernel knows them.
    macs: BTreeMap<Ipv6Addr, Mac>,
    /// DUIDs of clients whose Ethernet address is looked for.
    strangers: BTreeMap<Ipv6Addr, Vec<u8>>,
}

/// A message with what it came by.
#[derive(Clone, Copy)]
struct Asked<'a> {
    view: View<'a>,
    client: &'a Client,
}

impl Dhcp6 {
    /// The server of a network with the DUID it had before; nothing if the network has no
    /// DHCPv6. A new DUID is recorded.
    #[must_use]
    pub fn new(
        network: &NetworkSpec,
        duid: Option<Vec<u8>>,
        now: Now,
        out: &mut Out,
    ) -> Option<Self> {
        let spec = network.dhcp6.clone()?;
        let pool = Pool::new(&spec, network.addresses.iter().filter_map(|own| v6(own.address)));
        let duid = duid.unwrap_or_else(|| {
            let made = duid_llt(network.mac, now.unix);
            out.records.push(Record::Duid(made.clone()));
            made
        });
        Some(Self {
            spec,
            ifindex: network.ifindex,
            domain: network.domain.clone(),
            is_resolver: network.dns.is_some(),
            duid,
            pool,
            reported_full: None,
            macs: BTreeMap::new(),
            strangers: BTreeMap::new(),
        })
    }

    /// Takes leases and DUID of the server of the network's earlier definition.
    pub fn inherit(&mut self, old: Self) {
        self.pool.inherit(old.pool);
        self.duid = old.duid;
        self.reported_full = old.reported_full;
        self.macs = old.macs;
    }

    /// Takes leases and barred addresses of an earlier process. Leases that are over are left
    /// out; ends further away than a lease can last are brought near, as after a jump of the
    /// clock.
    pub fn restore(
        &mut self,
        leases: impl IntoIterator<Item = LeaseInfo>,
        barred: impl IntoIterator<Item = (IpAddr, u64)>,
        now: Now,
    ) {
        for info in leases {
            let Some(address) = v6(info.address).filter(|address| self.spec.is_on_link(*address))
            else {
                continue;
            };
            let mut lease = Lease::of(info, now);
            if lease.deadline.is_some_and(|deadline| deadline <= now.boot) {
                continue;
            }
            let host = self.spec.hosts.iter().find(|host| host.address == Some(address));
            let longest = host.and_then(|host| host.lease);
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
            if let Some(address) = v6(address).filter(|_| until > now.boot) {
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
        self.pool.barred()
    }

    /// The server's DUID, for the lease file.
    #[must_use]
    pub fn duid(&self) -> &[u8] {
        &self.duid
    }

    /// Handles a message of a client or relay.
    pub fn handle(&mut self, now: Now, packet: &Packet<'_>, rng: &mut dyn Rng, out: &mut Out) {
        let IpAddr::V6(source) = packet.source.ip() else { return out.dropped("dhcp6-not-ipv6") };
        self.end_leases(now, out);
        let n_records = out.records.len();
        let is_to_all = packet.destination.is_none_or(|to| to.is_multicast());
        let reply = if packet.bytes.first() == Some(&kind::RELAY_FORW) {
            self.relayed(now, (packet.bytes, 0), rng, out)
        } else {
            let mac = client::mac_of(source).or_else(|| self.macs.get(&source).copied());
            let from = client::From { address: source, mac, is_to_all };
            let reply = self.message(now, packet.bytes, from, rng, out);
            if mac.is_none() && reply.is_some() {
                self.look_for(source, packet.bytes, out);
            }
            reply
        };
        let Some(bytes) = reply else { return };
        let scope = if source.is_unicast_link_local() { self.ifindex } else { 0 };
        let to = SocketAddrV6::new(source, packet.source.port(), 0, scope);
        out.datagrams.push(Datagram {
            socket: Socket::Dhcp6,
            to: To::Ip(SocketAddr::V6(to)),
            source: None,
            bytes,
            after_records: out.records.len() > n_records,
        });
    }

    /// Looks for the Ethernet address of a client that got an answer, for which the kernel has to know it.
    fn look_for(&mut self, address: Ipv6Addr, bytes: &[u8], out: &mut Out) {
        let Ok(view) = View::new(bytes) else { return };
        let Some(duid) = view.options.duid(option::CLIENT_ID) else { return };
        if self.strangers.len() >= MAX_STRANGERS {
            self.strangers.clear();
        }
        self.strangers.insert(address, duid.to_vec());
        out.neighbours.push(address);
    }

    /// The Ethernet address of a client is known; its leases get it.
    pub fn neighbour(&mut self, now: Now, address: Ipv6Addr, mac: Mac, out: &mut Out) {
        let Some(duid) = self.strangers.remove(&address) else { return };
        if self.macs.len() >= MAX_STRANGERS {
            self.macs.clear();
        }
        self.macs.insert(address, mac);
        let leases: Vec<Lease> = self.pool.table().of_id(&duid).cloned().collect();
        for lease in leases.into_iter().filter(|lease| lease.mac != Some(mac)) {
            let lease = Lease { mac: Some(mac), ..lease };
            let info = lease.info(now);
            out.records.push(Record::Grant(info.clone()));
            out.events.push(Event::Added(info));
            self.pool.insert(lease);
        }
    }

    /// Answers a message that came by relays, the outermost first.
    fn relayed(
        &mut self,
        now: Now,
        (bytes, depth): (&[u8], u8),
        rng: &mut dyn Rng,
        out: &mut Out,
    ) -> Option<Vec<u8>> {
        let relayed = Relayed::new(bytes).filter(|_| depth <= MAX_HOPS);
        let Some(relayed) = relayed else {
            out.dropped("dhcp6-malformed");
            return None;
        };
        let is_here = relayed.link.is_unspecified()
            || relayed.link.is_unicast_link_local()
            || self.spec.is_on_link(relayed.link);
        if !is_here {
            out.dropped("dhcp6-foreign-relay");
            return None;
        }
        let inner = relayed.options.get(option::RELAY_MSG)?;
        let reply = if inner.first() == Some(&kind::RELAY_FORW) {
            self.relayed(now, (inner, depth.saturating_add(1)), rng, out)?
        } else {
            let from = client::From {
                address: relayed.peer,
                mac: client::link_layer(relayed.options),
                is_to_all: true,
            };
            self.message(now, inner, from, rng, out)?
        };
        Some(relayed.reply(&reply))
    }

    fn message(
        &mut self,
        now: Now,
        bytes: &[u8],
        from: client::From,
        rng: &mut dyn Rng,
        out: &mut Out,
    ) -> Option<Vec<u8>> {
        let Ok(view) = View::new(bytes) else {
            out.dropped("dhcp6-malformed");
            return None;
        };
        if let Err(why) = self.check(&view) {
            out.dropped(why);
            return None;
        }
        if view.kind == kind::INFORMATION_REQUEST {
            return Some(self.information(&view));
        }
        let client = Client::new(&view, from, &self.spec.hosts)?;
        let asked = Asked { view, client: &client };
        let is_to_server =
            matches!(view.kind, kind::REQUEST | kind::RENEW | kind::RELEASE | kind::DECLINE);
        if !from.is_to_all {
            if !is_to_server {
                out.dropped("dhcp6-unicast");
                return None;
            }
            let mut reply = self.begin(&asked, kind::REPLY);
            reply.status(status::USE_MULTICAST, "use multicast");
            return Some(reply.finish());
        }
        match view.kind {
            kind::SOLICIT => Some(self.solicit(now, &asked, out)),
            kind::REQUEST => Some(self.request(now, &asked, out)),
            kind::RENEW | kind::REBIND => Some(self.extend(now, &asked, rng, out)),
            kind::CONFIRM => self.confirm(&asked),
            kind::RELEASE | kind::DECLINE => Some(self.give_back(now, &asked, out)),
            _ => None,
        }
    }

    /// Which DUIDs a message must and must not have (RFC 8415 §16).
    fn check(&self, view: &View<'_>) -> Result<(), &'static str> {
        let options = view.options;
        let server = options.get(option::SERVER_ID);
        let is_ours = server == Some(&self.duid[..]);
        let (needs_client, is_server_right) = match view.kind {
            kind::SOLICIT | kind::CONFIRM | kind::REBIND => (true, server.is_none()),
            kind::REQUEST | kind::RENEW | kind::RELEASE | kind::DECLINE => (true, is_ours),
            kind::INFORMATION_REQUEST => (false, server.is_none() || is_ours),
            _ => return Err("dhcp6-not-for-a-server"),
        };
        if !is_server_right {
            return Err("dhcp6-server-id");
        }
        if needs_client && options.duid(option::CLIENT_ID).is_none() {
            return Err("dhcp6-no-client-id");
        }
        Ok(())
    }

    fn information(&self, view: &View<'_>) -> Vec<u8> {
        let mut reply = Writer::new(kind::REPLY, view.transaction);
        if let Some(client) = view.options.duid(option::CLIENT_ID) {
            reply.option(option::CLIENT_ID, |value| value.put(client));
        }
        reply.option(option::SERVER_ID, |value| value.put(&self.duid));
        self.settings(&mut reply, view.options);
        reply.option(option::REFRESH_TIME, |value| value.put(&REFRESH_TIME.to_be_bytes()));
        reply.finish()
    }

    /// Begins an answer with the DUIDs of both sides.
    fn begin(&self, asked: &Asked<'_>, kind: u8) -> Writer {
        let mut reply = Writer::new(kind, asked.view.transaction);
        reply.option(option::CLIENT_ID, |value| value.put(&asked.client.duid));
        reply.option(option::SERVER_ID, |value| value.put(&self.duid));
        reply
    }

    /// Adds the settings that the client asks for, or all if it sent no list.
    fn settings(&self, reply: &mut Writer, asked: Options<'_>) {
        if self.is_resolver && asked.asks(option::DNS_SERVERS).unwrap_or(true) {
            reply.option(option::DNS_SERVERS, |value| value.put(&self.spec.address.octets()));
        }
    }

    /// When something is to be done without a message.
    #[must_use]
    pub fn deadline(&self) -> Option<Duration> {
        self.pool.first_end()
    }

    /// Does what is due: ends leases.
    pub fn tick(&mut self, now: Now, out: &mut Out) {
        self.end_leases(now, out);
    }

    /// Gives leases free because the host wants it; returns how many.
    pub fn release(&mut self, now: Now, what: Released, out: &mut Out) -> u32 {
        let addresses: Vec<Ipv6Addr> = match what {
            Released::Address(address) => v6(address).into_iter().collect(),
            Released::Mac(mac) => {
                let leases = self.pool.table().of_mac(mac);
                leases.filter_map(|lease| v6(lease.address)).collect()
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
    fn end(&mut self, now: Now, address: Ipv6Addr, why: End, out: &mut Out) -> bool {
        let Some(lease) = self.pool.remove(address) else { return false };
        out.records.push(Record::Release(lease.address));
        out.events.push(Event::Released(lease.info(now), why));
        true
    }

    fn bar(&mut self, now: Now, address: Ipv6Addr, out: &mut Out) {
        let until = now.boot.saturating_add(BARRED);
        self.pool.bar(address, until);
        out.records.push(Record::Decline(address.into(), now.unix_of(until)));
    }

    fn pool_is_full(&mut self, now: Now, out: &mut Out) {
        let is_due = |last: Duration| now.boot.saturating_sub(last) >= FULL_INTERVAL;
        if self.reported_full.is_none_or(is_due) {
            self.reported_full = Some(now.boot);
            out.events.push(Event::PoolFull);
        }
    }
}

/// The DUID of a link-layer address and a time (RFC 8415 §11.2), as dnsmasq makes it.
fn duid_llt(mac: Mac, unix: u64) -> Vec<u8> {
    let seconds = unix.saturating_sub(DUID_EPOCH) & u64::from(u32::MAX);
    let mut duid = vec![0, 1, 0, 1];
    duid.extend(u32::try_from(seconds).unwrap_or_default().to_be_bytes());
    duid.extend(mac);
    duid
}

#[cfg(test)]
mod tests;
