//! Which IPv6 address a client gets: leases, offers and barred addresses.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv6Addr};
use std::time::Duration;

use oxivirt_netserv_api::{Dhcp6Spec, LeaseTime, Range6};

use crate::lease::Lease;
use crate::lease::freemap::FreeMap;
use crate::lease::table::Table;

/// How long an offer is kept for its client.
const OFFER: Duration = Duration::from_secs(30);
/// How long an address that another machine has is not given.
pub(super) const BARRED: Duration = Duration::from_secs(600);
/// Most offers and barred addresses at a time; the one that ends first goes.
const MAX_HELD: usize = 4096;
/// Most leases of one client.
const MAX_LEASES_PER_CLIENT: usize = 8;
/// Most leases of a network that has no range.
const LEASES_WITHOUT_RANGE: u32 = 1000;
/// How long a lease lasts if its range says nothing: a day, as dnsmasq for IPv6.
const LEASE: LeaseTime = LeaseTime::Seconds(86_400);

/// A client's identity association: what a lease belongs to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Owner {
    /// DUID.
    pub(super) duid: Vec<u8>,
    /// Number of the identity association.
    pub(super) iaid: u32,
}

/// The addresses of a network and who has them.
#[derive(Debug)]
pub(super) struct Pool {
    ranges: Vec<(Range6, FreeMap)>,
    /// The host's own.
    own: BTreeSet<Ipv6Addr>,
    /// Those of hosts of the definition.
    fixed: BTreeSet<Ipv6Addr>,
    table: Table,
    /// Addresses kept for a client, or from all of them, until a time.
    held: BTreeMap<Ipv6Addr, (Option<Owner>, Duration)>,
    held_by_end: BTreeSet<(Duration, Ipv6Addr)>,
    limit: usize,
}

impl Pool {
    pub(super) fn new(spec: &Dhcp6Spec, own: impl IntoIterator<Item = Ipv6Addr>) -> Self {
        let limit = match spec.pool_size() {
            0 => LEASES_WITHOUT_RANGE,
            size => size,
        };
        let mut pool = Self {
            ranges: spec.ranges.iter().map(|range| (*range, FreeMap::new(range.len()))).collect(),
            own: own.into_iter().chain([spec.address]).collect(),
            fixed: spec.hosts.iter().filter_map(|host| host.address).collect(),
            table: Table::default(),
            held: BTreeMap::new(),
            held_by_end: BTreeSet::new(),
            limit: usize::try_from(limit).unwrap_or(usize::MAX),
        };
        pool.refresh_all();
        pool
    }

    /// Takes leases and held addresses of the pool before a change of the definition.
    pub(super) fn inherit(&mut self, old: Self) {
        self.table = old.table;
        self.held = old.held;
        self.held_by_end = old.held_by_end;
        self.refresh_all();
    }

    fn refresh_all(&mut self) {
        let leased = self.table.iter().filter_map(|lease| v6(lease.address));
        let others = self.held.keys().chain(&self.own).chain(&self.fixed).copied();
        let all: Vec<Ipv6Addr> = leased.chain(others).collect();
        for address in all {
            self.refresh(address);
        }
    }

    /// Writes into the maps whether an address is free.
    fn refresh(&mut self, address: Ipv6Addr) {
        let is_free = !self.own.contains(&address)
            && !self.fixed.contains(&address)
            && !self.held.contains_key(&address)
            && self.table.get(address.into()).is_none();
        for (range, map) in self.ranges.iter_mut().filter(|(range, _)| range.contains(address)) {
            let number = u128::from(address).saturating_sub(u128::from(range.start));
            map.set(u32::try_from(number).unwrap_or(u32::MAX), is_free);
        }
    }

    /// The leases.
    pub(super) const fn table(&self) -> &Table {
        &self.table
    }

    /// The lease of an address.
    pub(super) fn lease_at(&self, address: Ipv6Addr) -> Option<&Lease> {
        self.table.get(address.into())
    }

    /// The leases of an identity association.
    pub(super) fn leases_of(&self, owner: &Owner) -> impl Iterator<Item = &Lease> {
        let iaid = owner.iaid;
        self.table.of_id(&owner.duid).filter(move |lease| lease.iaid == Some(iaid))
    }

    /// How long leases of an address last, where its host says nothing else.
    pub(super) fn lease_time(&self, address: Ipv6Addr) -> LeaseTime {
        let ranges = || self.ranges.iter().map(|(range, _)| range);
        let range = ranges().find(|range| range.contains(address)).or_else(|| ranges().next());
        range.and_then(|range| range.lease).unwrap_or(LEASE)
    }

    /// Whether a client may have an address: in a range or its own fixed one, and of no other client.
    pub(super) fn is_available(
        &self,
        address: Ipv6Addr,
        owner: &Owner,
        fixed: Option<Ipv6Addr>,
    ) -> bool {
        let is_given = fixed == Some(address)
            || !self.fixed.contains(&address)
                && self.ranges.iter().any(|(range, _)| range.contains(address));
        let is_others = |lease: &Lease| {
            lease.client_id.as_deref() != Some(&owner.duid) || lease.iaid != Some(owner.iaid)
        };
        let is_held = |(holder, _): &(Option<Owner>, Duration)| holder.as_ref() != Some(owner);
        is_given
            && !self.own.contains(&address)
            && !self.lease_at(address).is_some_and(is_others)
            && !self.held.get(&address).is_some_and(is_held)
    }

    /// Whether a client may get one more lease out of the ranges.
    pub(super) fn has_room(&self, owner: &Owner) -> bool {
        self.table.len() < self.limit
            && self.table.of_id(&owner.duid).count() < MAX_LEASES_PER_CLIENT
    }

    /// The address that an identity association was offered lately.
    pub(super) fn offered(&self, owner: &Owner) -> Option<Ipv6Addr> {
        let is_for = |holder: &Option<Owner>| holder.as_ref() == Some(owner);
        self.held.iter().find(|(_, (holder, _))| is_for(holder)).map(|(address, _)| *address)
    }

    /// A free address: as DUID and number of the client say, or the next one.
    ///
    /// dnsmasq: `address6_allocate`, src/dhcp6.c
    pub(super) fn choose(&self, owner: &Owner) -> Option<Ipv6Addr> {
        let hash = hash(owner);
        self.ranges.iter().find_map(|(range, map)| {
            let start = hash.checked_rem(u64::from(map.size()))?;
            let at = map.next_free(u32::try_from(start).ok()?)?;
            Some(u128::from(range.start).checked_add(u128::from(at))?.into())
        })
    }

    /// Keeps an address for a client that it is offered to.
    pub(super) fn offer(&mut self, address: Ipv6Addr, owner: Owner, now: Duration) {
        self.hold(address, Some(owner), now.saturating_add(OFFER));
    }

    /// Bars an address: it is not offered until a time.
    pub(super) fn bar(&mut self, address: Ipv6Addr, until: Duration) {
        self.hold(address, None, until);
    }

    /// Barred addresses, and until when they are not offered.
    pub(super) fn barred(&self) -> impl Iterator<Item = (IpAddr, Duration)> {
        let barred = self.held.iter().filter(|(_, (holder, _))| holder.is_none());
        barred.map(|(address, (_, until))| ((*address).into(), *until))
    }

    fn hold(&mut self, address: Ipv6Addr, holder: Option<Owner>, until: Duration) {
        self.let_go(address);
        if self.held.len() >= MAX_HELD
            && let Some((_, first)) = self.held_by_end.first().copied()
        {
            self.let_go(first);
        }
        self.held.insert(address, (holder, until));
        self.held_by_end.insert((until, address));
        self.refresh(address);
    }

    fn let_go(&mut self, address: Ipv6Addr) {
        if let Some((_, until)) = self.held.remove(&address) {
            self.held_by_end.remove(&(until, address));
            self.refresh(address);
        }
    }

    /// Puts a lease in the place of whatever had its address.
    pub(super) fn insert(&mut self, lease: Lease) {
        let address = v6(lease.address);
        self.table.insert(lease);
        if let Some(address) = address {
            self.let_go(address);
            self.refresh(address);
        }
    }

    /// Removes the lease of an address.
    pub(super) fn remove(&mut self, address: Ipv6Addr) -> Option<Lease> {
        let lease = self.table.remove(address.into());
        self.refresh(address);
        lease
    }

    /// Ends offers and bars whose time has come.
    pub(super) fn end_holds(&mut self, now: Duration) {
        while let Some((until, address)) = self.held_by_end.first().copied()
            && until <= now
        {
            self.let_go(address);
        }
    }

    /// Removes a lease whose time has come.
    pub(super) fn pop_ended(&mut self, now: Duration) -> Option<Lease> {
        let lease = self.table.pop_ended(now)?;
        if let Some(address) = v6(lease.address) {
            self.refresh(address);
        }
        Some(lease)
    }

    /// When the next lease, offer or bar ends.
    pub(super) fn first_end(&self) -> Option<Duration> {
        let held = self.held_by_end.first().map(|(until, _)| *until);
        [self.table.first_end(), held].into_iter().flatten().min()
    }
}

/// The address if it is of IPv6.
pub(super) fn v6(address: IpAddr) -> Option<Ipv6Addr> {
    match address {
        IpAddr::V6(address) => Some(address),
        IpAddr::V4(_) => None,
    }
}

/// Where the search for a client's address begins: the SDBM hash of its DUID, seeded with the
/// number of its identity association, which dnsmasq uses, so that a guest keeps its address
/// when its network changes server.
fn hash(owner: &Owner) -> u64 {
    let step = |hash: u64, byte: &u8| {
        u64::from(*byte)
            .wrapping_add(hash.wrapping_shl(6))
            .wrapping_add(hash.wrapping_shl(16))
            .wrapping_sub(hash)
    };
    owner.duid.iter().fold(u64::from(owner.iaid), step)
}
