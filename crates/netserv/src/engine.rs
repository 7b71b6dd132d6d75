//! All networks of a host in memory: which network a packet is for, what it may use up, and what is due.
//!
//! It runs whole in a test: packets and time in, packets and records out. Nothing that is learned on one network
//! reaches another one, because each has a server of its own.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::Duration;

use oxivirt_netserv_api::message::{LeaseInfo, Released, Served};
use oxivirt_netserv_api::{HostNames, Mac, NetworkSpec, SpecError};
use rand::SeedableRng as _;
use rand::rngs::StdRng;
use uuid::Uuid;

use crate::bucket::Bucket;
use crate::dhcp4::Dhcp4;
use crate::lease::journal::State;
use crate::{Event, HostDns, HostFile, NameService, Now, Out, Packet, Socket, Turn};

/// The networks of a host.
#[derive(Debug)]
pub struct Engine {
    networks: BTreeMap<Uuid, Network>,
    /// When each network wants to be called without a packet.
    due: BTreeSet<(Duration, Uuid)>,
    rng: StdRng,
    dns: HostDns,
    host_file: Arc<HostFile>,
}

/// One network.
#[derive(Debug)]
struct Network {
    spec: NetworkSpec,
    dhcp4: Option<Dhcp4>,
    dns: Option<NameService>,
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
        }
    }

    /// Serves a network, or serves it by a new definition; `state` is what an earlier process knew, and counts
    /// only for a network that was not served.
    ///
    /// # Errors
    /// [`SpecError`] if it cannot be served; it is then served as before.
    pub fn add(&mut self, spec: NetworkSpec, state: State, now: Now) -> Result<(), SpecError> {
        spec.check()?;
        check_served(&spec)?;
        let uuid = spec.uuid;
        let mut dhcp4 = Dhcp4::new(&spec);
        let mut old = self.remove(uuid);
        match (&mut dhcp4, old.as_mut().and_then(|old| old.dhcp4.take())) {
            (Some(new), Some(old)) => new.inherit(old),
            (Some(new), None) => new.restore(state.leases.into_values(), state.barred, now),
            (None, _) => {}
        }
        let mut dns = spec.dns.is_some().then(|| {
            let mut old = old.as_mut().and_then(|old| old.dns.take());
            if let Some(old) = &mut old {
                old.replace(&spec);
            }
            old.unwrap_or_else(|| NameService::new(&spec))
        });
        if let Some(dns) = &mut dns {
            dns.set_host_file(Arc::clone(&self.host_file));
            for lease in dhcp4.iter().flat_map(Dhcp4::leases) {
                dns.lease_added(lease.address, resolved(lease.hostname.as_deref(), lease.resolves));
            }
        }
        let bucket = Bucket::new(spec.limits.dhcp_rate, spec.limits.dhcp_burst, now.boot);
        let is_degraded = old.is_some_and(|old| old.is_degraded);
        let network = Network { spec, dhcp4, dns, bucket, deadline: None, is_degraded };
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
        self.with(uuid, now, out, |network, turn| match packet.socket {
            Socket::Dhcp4 if !network.bucket.take(now.boot) => turn.out.dropped("rate"),
            Socket::Dhcp4 => {
                if let Some(server) = &mut network.dhcp4 {
                    server.handle(now, packet, turn.rng, turn.out);
                }
            }
            Socket::Dns(_) | Socket::DnsTcp(_) | Socket::Upstream(_) | Socket::UpstreamTcp(_) => {
                if let Some(server) = &mut network.dns {
                    server.handle(turn, packet);
                }
            }
            _ => turn.out.dropped("not-served"),
        });
    }

    /// A socket of a network failed, or its other end closed it.
    pub fn failed(&mut self, uuid: Uuid, now: Now, socket: Socket, out: &mut Out) {
        self.with(uuid, now, out, |network, turn| {
            if let Some(server) = &mut network.dns {
                server.failed(turn, socket);
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

    /// Gives leases of a network free; nothing if it is not served.
    pub fn release(&mut self, uuid: Uuid, now: Now, what: Released, out: &mut Out) -> Option<u32> {
        self.with(uuid, now, out, |network, turn| {
            network.dhcp4.as_mut().map_or(0, |server| server.release(now, what, turn.out))
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
        if let Some(server) =
            self.networks.get_mut(&uuid).and_then(|network| network.dhcp4.as_mut())
        {
            server.tick(now, &mut self.rng, out);
        }
        self.schedule(uuid);
        Some(uuid)
    }

    /// Writes down when a network wants to be called.
    fn schedule(&mut self, uuid: Uuid) {
        let Some(network) = self.networks.get_mut(&uuid) else { return };
        let dhcp4 = network.dhcp4.as_ref().and_then(Dhcp4::deadline);
        let dns = network.dns.as_ref().and_then(NameService::deadline);
        let deadline = dhcp4.into_iter().chain(dns).min();
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
        let leases = network.dhcp4.iter().flat_map(Dhcp4::leases);
        Some(leases.map(|lease| lease.info(now)).collect())
    }

    /// What a journal of a network has to say; nothing if it is not served.
    #[must_use]
    pub fn state(&self, uuid: Uuid, now: Now) -> Option<State> {
        let leases = self.leases(uuid, now)?;
        let network = self.networks.get(&uuid)?;
        let barred = network.dhcp4.iter().flat_map(Dhcp4::barred);
        Some(State::new(leases, barred.map(|(address, until)| (address, now.unix_of(until)))))
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

/// Refuses a network that needs what is not there yet.
fn check_served(spec: &NetworkSpec) -> Result<(), SpecError> {
    let parts = [
        ("addresses", spec.addresses.iter().any(|own| own.address.is_ipv6())),
        ("ra", spec.ra.is_some()),
        ("dhcp6", spec.dhcp6.is_some()),
        ("tftp", !spec.tftp.is_empty()),
    ];
    match parts.into_iter().find(|(_, is_there)| *is_there) {
        Some((part, _)) => Err(SpecError::new(part, "not served yet")),
        None => Ok(()),
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
            engine.add(spec(uuid, 1), State::default(), now(1)).unwrap();
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
        engine.add(spec(1, 1), State::default(), now(1)).unwrap();
        lease(&mut engine, 1, 7, 1);
        engine.add(spec(1, 2), State::default(), now(2)).unwrap();
        assert_eq!(engine.leases(uuid, now(2)).unwrap().len(), 1);
        assert_eq!(engine.served()[0].generation, 2);
        let mut bad = spec(1, 3);
        bad.dhcp4.as_mut().unwrap().prefix = 99;
        assert!(engine.add(bad, State::default(), now(2)).is_err());
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
        engine.add(limited, State::default(), now(1)).unwrap();
        let mut n_dropped = 0;
        for _ in 0..20 {
            let mut out = Out::default();
            engine.handle(Uuid::from_u128(1), now(1), &packet(&[0]), &mut out);
            n_dropped += usize::from(out.events == [Event::Dropped("rate")]);
        }
        assert_eq!(n_dropped, 15);
    }
}
