//! All networks of a host in memory: which network a packet is for, what it may use up, and what is due.
//!
//! It runs whole in a test: packets and time in, packets and records out. Nothing that is learned on one network
//! reaches another one, because each has a server of its own.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;
use std::time::Duration;

use oxivirt_netserv_api::message::{LeaseInfo, Released, Served};
use oxivirt_netserv_api::{HostNames, Mac, NetworkSpec, SpecError};
use rand::SeedableRng as _;
use rand::rngs::StdRng;
use uuid::Uuid;

use crate::bucket::Bucket;
use crate::dhcp4::Dhcp4;
use crate::dhcp6::Dhcp6;
use crate::lease::journal::State;
use crate::tftp::{Files, NoFiles, Tftp};
use crate::{Advertiser, Event, HostDns, HostFile, NameService, Now, Out, Packet, Socket, Turn};

/// Index of the loop-back link in each network namespace.
const LOOPBACK: u32 = 1;

/// The networks of a host.
#[derive(Debug)]
pub struct Engine {
    networks: BTreeMap<Uuid, Network>,
    /// When each network wants to be called without a packet.
    due: BTreeSet<(Duration, Uuid)>,
    rng: StdRng,
    dns: HostDns,
    host_file: Arc<HostFile>,
    files: Box<dyn Files>,
}

/// One network.
#[derive(Debug)]
struct Network {
    spec: NetworkSpec,
    dhcp4: Option<Dhcp4>,
    dhcp6: Option<Dhcp6>,
    dns: Option<NameService>,
    ra: Option<Advertiser>,
    tftp: Option<Tftp>,
    bucket: Bucket,
    /// Its entry in `due`.
    deadline: Option<Duration>,
    is_degraded: bool,
}

impl Engine {
    /// No networks. The seed decides what is random.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self {
            networks: BTreeMap::new(),
            due: BTreeSet::new(),
            rng: StdRng::seed_from_u64(seed),
            dns: HostDns::default(),
            host_file: Arc::default(),
            files: Box::new(NoFiles),
        }
    }

    /// Takes what TFTP sends from here.
    pub fn set_files(&mut self, files: Box<dyn Files>) {
        self.files = files;
    }

    /// Serves a network, or serves it by a new definition; `state` is what an earlier process knew, and counts
    /// only for a network that was not served.
    ///
    /// # Errors
    /// [`SpecError`] if it cannot be served; it is then served as before.
    pub fn add(
        &mut self,
        spec: NetworkSpec,
        state: State,
        now: Now,
        out: &mut Out,
    ) -> Result<(), SpecError> {
        spec.check()?;
        let uuid = spec.uuid;
        let mut old = self.remove(uuid);
        let mut dhcp4 = Dhcp4::new(&spec);
        let old4 = old.as_mut().and_then(|old| old.dhcp4.take());
        let old6 = old.as_mut().and_then(|old| old.dhcp6.take());
        let duid = old6.as_ref().map(|old| old.duid().to_vec()).or(state.duid);
        let mut dhcp6 = Dhcp6::new(&spec, duid, now, out);
        match (&mut dhcp4, old4) {
            (Some(new), Some(old)) => new.inherit(old),
            (Some(new), None) => {
                new.restore(state.leases.values().cloned(), state.barred.clone(), now);
            }
            (None, _) => {}
        }
        match (&mut dhcp6, old6) {
            (Some(new), Some(old)) => new.inherit(old),
            (Some(new), None) => new.restore(state.leases.into_values(), state.barred, now),
            (None, _) => {}
        }
        let dns = spec.dns.is_some().then(|| {
            let mut old = old.as_mut().and_then(|old| old.dns.take());
            if let Some(old) = &mut old {
                old.replace(&spec);
            }
            let mut dns = old.unwrap_or_else(|| NameService::new(&spec));
            dns.set_host_file(Arc::clone(&self.host_file));
            let leases = dhcp4.iter().flat_map(Dhcp4::leases);
            for lease in leases.chain(dhcp6.iter().flat_map(Dhcp6::leases)) {
                dns.lease_added(lease.address, resolved(lease.hostname.as_deref(), lease.resolves));
            }
            dns
        });
        let ra = Advertiser::new(&spec);
        let tftp = Tftp::new(&spec).map(|mut tftp| {
            if let Some(old) = old.as_mut().and_then(|old| old.tftp.take()) {
                tftp.inherit(old);
            }
            tftp
        });
        let bucket = Bucket::new(spec.limits.dhcp_rate, spec.limits.dhcp_burst, now.boot);
        let is_degraded = old.is_some_and(|old| old.is_degraded);
        let deadline = None;
        let network = Network { spec, dhcp4, dhcp6, dns, ra, tftp, bucket, deadline, is_degraded };
        self.networks.insert(uuid, network);
        self.note_own_addresses();
        self.schedule(uuid);
        Ok(())
    }

    fn note_own_addresses(&mut self) {
        let own = self.networks.values().flat_map(|network| &network.spec.addresses);
        self.dns.set_own_addresses(own.map(|own| own.address).collect());
    }

    /// Uses these as the host's name servers, in order.
    pub fn set_upstreams(&mut self, servers: &[IpAddr]) {
        self.dns.set_system_servers(servers);
    }

    /// Uses these as the names of the host's own file.
    pub fn set_host_names(&mut self, names: &[HostNames]) {
        self.host_file = Arc::new(HostFile::new(names));
        for dns in self.networks.values_mut().filter_map(|network| network.dns.as_mut()) {
            dns.set_host_file(Arc::clone(&self.host_file));
        }
    }

    /// Serves a network no longer; returns whether it was served.
    pub fn drop_network(&mut self, uuid: Uuid, now: Now, out: &mut Out) -> bool {
        let Some(mut network) = self.remove(uuid) else { return false };
        if let Some(dns) = &mut network.dns {
            dns.close(&mut Turn { now, host: &mut self.dns, rng: &mut self.rng, out });
        }
        if let Some(ra) = &network.ra {
            ra.farewell(out);
        }
        self.note_own_addresses();
        true
    }

    fn remove(&mut self, uuid: Uuid) -> Option<Network> {
        let network = self.networks.remove(&uuid)?;
        if let Some(deadline) = network.deadline {
            self.due.remove(&(deadline, uuid));
        }
        Some(network)
    }

    /// Does something with the parts of a network and what they share; then names follow leases.
    fn with<T>(
        &mut self,
        uuid: Uuid,
        now: Now,
        out: &mut Out,
        act: impl FnOnce(&mut Network, &mut Turn<'_>) -> T,
    ) -> Option<T> {
        let network = self.networks.get_mut(&uuid)?;
        let n_before = out.events.len();
        let mut turn = Turn { now, host: &mut self.dns, rng: &mut self.rng, out };
        let result = act(network, &mut turn);
        if let Some(dns) = &mut network.dns {
            for event in out.events.iter().skip(n_before) {
                match event {
                    Event::Added(lease) => {
                        let name = resolved(lease.hostname.as_deref(), lease.resolves);
                        dns.lease_added(lease.address, name);
                    }
                    Event::Released(lease, _) => dns.lease_removed(lease.address),
                    _ => {}
                }
            }
        }
        self.schedule(uuid);
        Some(result)
    }

    /// Handles a packet of a network.
    pub fn handle(&mut self, uuid: Uuid, now: Now, packet: &Packet<'_>, out: &mut Out) {
        let mut files = std::mem::replace(&mut self.files, Box::new(NoFiles));
        self.with(uuid, now, out, |network, turn| network.handle(turn, packet, &mut *files));
        self.files = files;
    }

    /// A socket of a network failed, or its other end closed it.
    pub fn failed(&mut self, uuid: Uuid, now: Now, socket: Socket, out: &mut Out) {
        self.with(uuid, now, out, |network, turn| match (socket, &mut network.tftp) {
            (Socket::TftpTransfer(token), Some(server)) => server.failed(token, turn.out),
            _ => {
                if let Some(server) = &mut network.dns {
                    server.failed(turn, socket);
                }
            }
        });
    }

    /// Another machine has an address of a network.
    pub fn conflict(
        &mut self,
        uuid: Uuid,
        now: Now,
        (address, mac): (Ipv4Addr, Mac),
        out: &mut Out,
    ) {
        self.with(uuid, now, out, |network, turn| {
            if let Some(server) = &mut network.dhcp4 {
                server.conflict(now, address, mac, turn.rng, turn.out);
            }
        });
    }

    /// The Ethernet address of a client of DHCPv6 is known.
    pub fn neighbour(
        &mut self,
        uuid: Uuid,
        now: Now,
        (address, mac): (Ipv6Addr, Mac),
        out: &mut Out,
    ) {
        self.with(uuid, now, out, |network, turn| {
            if let Some(server) = &mut network.dhcp6 {
                server.neighbour(now, address, mac, turn.out);
            }
        });
    }

    /// Gives leases of a network free; nothing if it is not served.
    pub fn release(&mut self, uuid: Uuid, now: Now, what: Released, out: &mut Out) -> Option<u32> {
        self.with(uuid, now, out, |network, turn| {
            let v4 = network.dhcp4.as_mut().map_or(0, |it| it.release(now, what, turn.out));
            let v6 = network.dhcp6.as_mut().map_or(0, |it| it.release(now, what, turn.out));
            v4.saturating_add(v6)
        })
    }

    /// When [`Self::tick`] has something to do.
    #[must_use]
    pub fn deadline(&self) -> Option<Duration> {
        self.due.first().map(|(deadline, _)| *deadline)
    }

    /// Does what is due on the network that waits longest; call it until it returns nothing.
    pub fn tick(&mut self, now: Now, out: &mut Out) -> Option<Uuid> {
        let (deadline, uuid) = *self.due.first()?;
        if deadline > now.boot {
            return None;
        }
        self.with(uuid, now, out, Network::tick);
        Some(uuid)
    }

    /// Writes down when a network wants to be called.
    fn schedule(&mut self, uuid: Uuid) {
        let Some(network) = self.networks.get_mut(&uuid) else { return };
        let deadline = network.next();
        if network.deadline != deadline {
            if let Some(old) = network.deadline {
                self.due.remove(&(old, uuid));
            }
            self.due.extend(deadline.map(|deadline| (deadline, uuid)));
            network.deadline = deadline;
        }
    }

    /// The definition that a network is served by.
    #[must_use]
    pub fn spec(&self, uuid: Uuid) -> Option<&NetworkSpec> {
        self.networks.get(&uuid).map(|network| &network.spec)
    }

    /// The leases of a network, by address; nothing if it is not served.
    #[must_use]
    pub fn leases(&self, uuid: Uuid, now: Now) -> Option<Vec<LeaseInfo>> {
        let network = self.networks.get(&uuid)?;
        let v4 = network.dhcp4.iter().flat_map(Dhcp4::leases);
        let v6 = network.dhcp6.iter().flat_map(Dhcp6::leases);
        Some(v4.chain(v6).map(|lease| lease.info(now)).collect())
    }

    /// What a journal of a network has to say; nothing if it is not served.
    #[must_use]
    pub fn state(&self, uuid: Uuid, now: Now) -> Option<State> {
        let leases = self.leases(uuid, now)?;
        let network = self.networks.get(&uuid)?;
        let v4 = network.dhcp4.iter().flat_map(Dhcp4::barred);
        let barred = v4.chain(network.dhcp6.iter().flat_map(Dhcp6::barred));
        let barred = barred.map(|(address, until)| (address, now.unix_of(until)));
        let mut state = State::new(leases, barred);
        state.duid = self.duid(uuid);
        Some(state)
    }

    /// The server's DUID on a network, if it has DHCPv6.
    #[must_use]
    pub fn duid(&self, uuid: Uuid) -> Option<Vec<u8>> {
        Some(self.networks.get(&uuid)?.dhcp6.as_ref()?.duid().to_vec())
    }

    /// Notes whether the leases of a network can be written; returns whether that is new.
    pub fn set_degraded(&mut self, uuid: Uuid, is_degraded: bool) -> bool {
        let Some(network) = self.networks.get_mut(&uuid) else { return false };
        std::mem::replace(&mut network.is_degraded, is_degraded) != is_degraded
    }

    /// All networks.
    #[must_use]
    pub fn served(&self) -> Vec<Served> {
        let served = |network: &Network| Served {
            uuid: network.spec.uuid,
            generation: network.spec.generation,
            is_degraded: network.is_degraded,
        };
        self.networks.values().map(served).collect()
    }
}

/// The name of a lease, if it resolves.
fn resolved(name: Option<&str>, resolves: bool) -> Option<&str> {
    name.filter(|_| resolves)
}

impl Network {
    fn handle(&mut self, turn: &mut Turn<'_>, packet: &Packet<'_>, files: &mut dyn Files) {
        let now = turn.now;
        match packet.socket {
            Socket::Dhcp4 | Socket::Dhcp6 if !self.bucket.take(now.boot) => {
                turn.out.dropped("rate");
            }
            Socket::Dhcp4 => {
                if let Some(server) = &mut self.dhcp4 {
                    server.handle(now, packet, turn.rng, turn.out);
                }
            }
            Socket::Dhcp6 => {
                if let Some(server) = &mut self.dhcp6 {
                    server.handle(now, packet, turn.rng, turn.out);
                }
            }
            Socket::Ra => {
                if let Some(router) = &mut self.ra {
                    router.handle(now, packet, turn.out);
                }
            }
            Socket::Dns(_) | Socket::DnsTcp(_) | Socket::Upstream(_) | Socket::UpstreamTcp(_) => {
                if let Some(server) = &mut self.dns {
                    server.handle(turn, packet);
                }
            }
            // As of DNS: for guests and the host, not for other links.
            Socket::Tftp(_) if ![self.spec.ifindex, LOOPBACK].contains(&packet.ifindex) => {
                turn.out.dropped("tftp-foreign-link");
            }
            Socket::Tftp(_) | Socket::TftpTransfer(_) => {
                if let Some(server) = &mut self.tftp {
                    server.handle(now, packet, files, turn.out);
                }
            }
            Socket::Link => turn.out.dropped("not-served"),
        }
    }

    fn tick(&mut self, turn: &mut Turn<'_>) {
        let now = turn.now;
        if let Some(server) = &mut self.dhcp4 {
            server.tick(now, turn.rng, turn.out);
        }
        if let Some(server) = &mut self.dhcp6 {
            server.tick(now, turn.out);
        }
        if let Some(router) = &mut self.ra {
            router.tick(now, turn.rng, turn.out);
        }
        if let Some(server) = &mut self.dns {
            server.tick(turn);
        }
        if let Some(server) = &mut self.tftp {
            server.tick(now, turn.out);
        }
    }

    /// When one of its parts wants to be called.
    fn next(&self) -> Option<Duration> {
        let all = [
            self.dhcp4.as_ref().and_then(Dhcp4::deadline),
            self.dhcp6.as_ref().and_then(Dhcp6::deadline),
            self.ra.as_ref().map(Advertiser::deadline),
            self.dns.as_ref().and_then(NameService::deadline),
            self.tftp.as_ref().and_then(Tftp::deadline),
        ];
        all.into_iter().flatten().min()
    }
}

#[cfg(test)]
mod tests {
    use oxivirt_netserv_api::{Dhcp4Spec, Range4};

    use super::*;
    use crate::wire::dhcp4::tests::message;

    fn spec(uuid: u128, generation: u64) -> NetworkSpec {
        let mut spec = NetworkSpec::new(Uuid::from_u128(uuid), "b", 3, [2; 6]);
        spec.generation = generation;
        let range = Range4 { start: [10, 0, 0, 2].into(), end: [10, 0, 0, 9].into(), lease: None };
        let ranges = vec![range];
        spec.dhcp4 = Some(Dhcp4Spec { ranges, ..Dhcp4Spec::new([10, 0, 0, 1].into(), 24) });
        spec
    }

    fn now(seconds: u64) -> Now {
        Now::new(Duration::from_secs(seconds), 1_700_000_000 + seconds)
    }

    fn packet(bytes: &[u8]) -> Packet<'_> {
        Packet {
            socket: Socket::Dhcp4,
            source: ([0, 0, 0, 0], 68).into(),
            destination: None,
            ifindex: 3,
            hop_limit: None,
            bytes,
        }
    }

    /// Leases an address on a network by INIT-REBOOT.
    fn lease(engine: &mut Engine, uuid: u128, last: u8, at: u64) -> Out {
        let bytes = message([2, 0, 0, 0, 0, last], &[(53, &[3]), (50, &[10, 0, 0, 5])]);
        let uuid = Uuid::from_u128(uuid);
        engine.handle(uuid, now(at), &packet(&bytes), &mut Out::default());
        let mut out = Out::default();
        assert_eq!(engine.tick(now(at + 1), &mut out), Some(uuid));
        out
    }

    #[test]
    fn networks_know_nothing_of_each_other() {
        let mut engine = Engine::new(1);
        for uuid in [1, 2] {
            engine.add(spec(uuid, 1), State::default(), now(1), &mut Out::default()).unwrap();
        }
        // The same address on both, by different clients.
        for uuid in [1, 2] {
            let out = lease(&mut engine, uuid, u8::try_from(uuid).unwrap(), 1);
            assert_eq!(out.records.len(), 1, "{out:?}");
        }
        let macs = |uuid| engine.leases(Uuid::from_u128(uuid), now(2)).unwrap()[0].mac.unwrap()[5];
        assert_eq!((macs(1), macs(2)), (1, 2));
    }

    #[test]
    fn a_new_definition_keeps_the_leases() {
        let mut engine = Engine::new(1);
        let uuid = Uuid::from_u128(1);
        engine.add(spec(1, 1), State::default(), now(1), &mut Out::default()).unwrap();
        lease(&mut engine, 1, 7, 1);
        engine.add(spec(1, 2), State::default(), now(2), &mut Out::default()).unwrap();
        assert_eq!(engine.leases(uuid, now(2)).unwrap().len(), 1);
        assert_eq!(engine.served()[0].generation, 2);
        let mut bad = spec(1, 3);
        bad.dhcp4.as_mut().unwrap().prefix = 99;
        assert!(engine.add(bad, State::default(), now(2), &mut Out::default()).is_err());
        assert_eq!(engine.served()[0].generation, 2);
        let mut out = Out::default();
        let what = Released::Mac([2, 0, 0, 0, 0, 7]);
        assert_eq!(engine.release(uuid, now(3), what, &mut out), Some(1));
        assert!(engine.deadline().is_none());
        assert!(engine.drop_network(uuid, now(4), &mut out));
        assert!(!engine.drop_network(uuid, now(4), &mut out));
    }

    #[test]
    fn a_flood_is_not_parsed() {
        let mut engine = Engine::new(1);
        let mut limited = spec(1, 1);
        (limited.limits.dhcp_rate, limited.limits.dhcp_burst) = (10, 5);
        engine.add(limited, State::default(), now(1), &mut Out::default()).unwrap();
        let mut n_dropped = 0;
        for _ in 0..20 {
            let mut out = Out::default();
            engine.handle(Uuid::from_u128(1), now(1), &packet(&[0]), &mut out);
            n_dropped += usize::from(out.events == [Event::Dropped("rate")]);
        }
        assert_eq!(n_dropped, 15);
    }
}
