//! Which address a client gets: leases, offers and barred addresses.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use oxivirt_netserv_api::{Dhcp4Spec, LeaseTime, Mac, Range4};

use crate::lease::Lease;
use crate::lease::freemap::FreeMap;
use crate::lease::table::Table;

/// How long an offer is kept for its client.
const OFFER: Duration = Duration::from_secs(30);
/// How long an address that another machine has is not given.
pub(super) const BARRED: Duration = Duration::from_secs(600);
/// Most offers at a time.
const MAX_OFFERS: usize = 4096;
/// Most leases of a network that has no range.
const LEASES_WITHOUT_RANGE: u32 = 1000;

/// The addresses of a network and who has them.
#[derive(Debug, Clone)]
pub(super) struct Pool {
    ranges: Vec<(Range4, FreeMap)>,
    /// The host's own.
    own: BTreeSet<Ipv4Addr>,
    /// Those of hosts of the definition.
    fixed: BTreeSet<Ipv4Addr>,
    table: Table,
    offers: BTreeMap<Ipv4Addr, (Mac, Duration)>,
    offers_by_mac: BTreeMap<Mac, Ipv4Addr>,
    offers_by_end: BTreeSet<(Duration, Ipv4Addr)>,
    barred: BTreeMap<Ipv4Addr, Duration>,
    limit: usize,
}

impl Pool {
    pub(super) fn new(
        spec: &Dhcp4Spec,
        own: impl IntoIterator<Item = Ipv4Addr>,
        fixed: impl IntoIterator<Item = Ipv4Addr>,
    ) -> Self {
        let limit = match spec.pool_size() {
            0 => LEASES_WITHOUT_RANGE,
            size => size,
        };
        let mut pool = Self {
            ranges: spec.ranges.iter().map(|range| (*range, FreeMap::new(range.len()))).collect(),
            own: own.into_iter().chain([spec.address]).collect(),
            fixed: fixed.into_iter().collect(),
            table: Table::default(),
            offers: BTreeMap::new(),
            offers_by_mac: BTreeMap::new(),
            offers_by_end: BTreeSet::new(),
            barred: BTreeMap::new(),
            limit: usize::try_from(limit).unwrap_or(usize::MAX),
        };
        pool.refresh_all();
        pool
    }

    /// Takes leases, offers and barred addresses of the pool before a change of the definition.
    pub(super) fn inherit(&mut self, old: Self) {
        self.table = old.table;
        self.offers = old.offers;
        self.offers_by_mac = old.offers_by_mac;
        self.offers_by_end = old.offers_by_end;
        self.barred = old.barred;
        self.refresh_all();
    }

    fn refresh_all(&mut self) {
        let ends = self.ranges.iter().flat_map(|(range, _)| unusable(*range));
        let leased = self.table.iter().filter_map(|lease| v4(lease.address));
        let others =
            self.offers.keys().chain(self.barred.keys()).chain(&self.own).chain(&self.fixed);
        let all: Vec<Ipv4Addr> = ends.chain(leased).chain(others.copied()).collect();
        for address in all {
            self.refresh(address);
        }
    }

    /// Writes into the maps whether an address is free.
    fn refresh(&mut self, address: Ipv4Addr) {
        let is_free = !self.own.contains(&address)
            && !self.fixed.contains(&address)
            && !self.offers.contains_key(&address)
            && !self.barred.contains_key(&address)
            && self.table.get(address.into()).is_none()
            && !is_unusable(address);
        for (range, map) in self.ranges.iter_mut().filter(|(range, _)| range.contains(address)) {
            map.set(u32::from(address).saturating_sub(u32::from(range.start)), is_free);
        }
    }

    /// The leases.
    pub(super) const fn table(&self) -> &Table {
        &self.table
    }

    /// The range that an address is in.
    fn range(&self, address: Ipv4Addr) -> Option<&Range4> {
        self.ranges.iter().map(|(range, _)| range).find(|range| range.contains(address))
    }

    /// Whether an address may be a client's: in a range, and not the host's.
    pub(super) fn is_available(&self, address: Ipv4Addr) -> bool {
        self.range(address).is_some() && !self.own.contains(&address)
    }

    /// Whether the address is one of the host's.
    pub(super) fn is_own(&self, address: Ipv4Addr) -> bool {
        self.own.contains(&address)
    }

    /// How long leases of an address last.
    pub(super) fn lease_time(&self, address: Ipv4Addr) -> LeaseTime {
        let range = self.range(address).or_else(|| self.ranges.first().map(|(range, _)| range));
        range.and_then(|range| range.lease).unwrap_or_default()
    }

    /// Barred addresses, and until when they are not offered.
    pub(super) fn barred(&self) -> impl Iterator<Item = (Ipv4Addr, Duration)> {
        self.barred.iter().map(|(address, until)| (*address, *until))
    }

    /// Whether no further lease is allowed.
    pub(super) fn is_full(&self) -> bool {
        self.table.len() >= self.limit
    }

    /// The lease of an address.
    pub(super) fn lease_at(&self, address: Ipv4Addr) -> Option<&Lease> {
        self.table.get(address.into())
    }

    /// The lease of a client: by its identifier, else by its Ethernet address if one of the two had none.
    ///
    /// dnsmasq: `lease_find_by_client`, src/lease.c
    pub(super) fn lease_of(&self, id: Option<&[u8]>, mac: Mac) -> Option<&Lease> {
        let by_id = id.and_then(|id| self.table.of_id(id).next());
        let fits = |lease: &&Lease| lease.client_id.is_none() || id.is_none();
        by_id.or_else(|| self.table.of_mac(mac).find(fits))
    }

    /// Whether an address is kept for another client or for none.
    pub(super) fn is_kept_from(&self, address: Ipv4Addr, mac: Mac) -> bool {
        self.barred.contains_key(&address)
            || self.offers.get(&address).is_some_and(|(holder, _)| *holder != mac)
    }

    /// The address that a client was offered lately.
    pub(super) fn offered(&self, mac: Mac) -> Option<Ipv4Addr> {
        self.offers_by_mac.get(&mac).copied()
    }

    /// A free address for a client: as its Ethernet address says, or the next one.
    ///
    /// dnsmasq: `address_allocate`, src/dhcp.c
    pub(super) fn choose(&self, mac: Mac) -> Option<Ipv4Addr> {
        let hash = hash(&mac);
        self.ranges.iter().find_map(|(range, map)| {
            let at = map.next_free(hash.checked_rem(map.size())?)?;
            Some(u32::from(range.start).checked_add(at)?.into())
        })
    }

    /// Keeps an address for a client that it is offered to; its earlier offer ends.
    pub(super) fn offer(&mut self, address: Ipv4Addr, mac: Mac, now: Duration) {
        self.withdraw(mac);
        if self.offers.len() >= MAX_OFFERS
            && let Some((_, oldest)) = self.offers_by_end.first().copied()
        {
            self.drop_offer(oldest);
        }
        let end = now.saturating_add(OFFER);
        self.offers.insert(address, (mac, end));
        self.offers_by_mac.insert(mac, address);
        self.offers_by_end.insert((end, address));
        self.refresh(address);
    }

    /// Ends the offer of a client.
    pub(super) fn withdraw(&mut self, mac: Mac) {
        if let Some(address) = self.offered(mac) {
            self.drop_offer(address);
        }
    }

    fn drop_offer(&mut self, address: Ipv4Addr) {
        if let Some((mac, end)) = self.offers.remove(&address) {
            self.offers_by_mac.remove(&mac);
            self.offers_by_end.remove(&(end, address));
            self.refresh(address);
        }
    }

    /// Puts a lease in the place of whatever had its address.
    pub(super) fn insert(&mut self, lease: Lease) {
        let address = v4(lease.address);
        self.table.insert(lease);
        if let Some(address) = address {
            self.drop_offer(address);
            self.refresh(address);
        }
    }

    /// Removes the lease of an address.
    pub(super) fn remove(&mut self, address: Ipv4Addr) -> Option<Lease> {
        let lease = self.table.remove(address.into());
        self.refresh(address);
        lease
    }

    /// Bars an address: it is not offered until a time.
    pub(super) fn bar(&mut self, address: Ipv4Addr, until: Duration) {
        self.drop_offer(address);
        self.barred.insert(address, until);
        self.refresh(address);
    }

    /// Ends offers and bars whose time has come.
    pub(super) fn end_holds(&mut self, now: Duration) {
        while let Some((end, address)) = self.offers_by_end.first().copied()
            && end <= now
        {
            self.drop_offer(address);
        }
        let free: Vec<Ipv4Addr> =
            self.barred.iter().filter(|(_, end)| **end <= now).map(|(a, _)| *a).collect();
        for address in free {
            self.barred.remove(&address);
            self.refresh(address);
        }
    }

    /// Removes a lease whose time has come.
    pub(super) fn pop_ended(&mut self, now: Duration) -> Option<Lease> {
        let lease = self.table.pop_ended(now)?;
        if let Some(address) = v4(lease.address) {
            self.refresh(address);
        }
        Some(lease)
    }

    /// When the next lease, offer or bar ends.
    pub(super) fn first_end(&self) -> Option<Duration> {
        let offer = self.offers_by_end.first().map(|(end, _)| *end);
        let barred = self.barred.values().min().copied();
        [self.table.first_end(), offer, barred].into_iter().flatten().min()
    }
}

/// The address if it is of IPv4.
pub(super) fn v4(address: IpAddr) -> Option<Ipv4Addr> {
    match address {
        IpAddr::V4(address) => Some(address),
        IpAddr::V6(_) => None,
    }
}

/// Whether an address is never given: some Windows takes it for that of a class C network.
fn is_unusable(address: Ipv4Addr) -> bool {
    let [first, .., last] = address.octets();
    first & 0xe0 == 0xc0 && (last == 0 || last == 255)
}

/// Addresses of a range that are never given.
fn unusable(range: Range4) -> impl Iterator<Item = Ipv4Addr> {
    let (start, end) = (u32::from(range.start), u32::from(range.end));
    let first = start >> 8;
    (first..=end >> 8)
        .flat_map(|net| [net << 8, net << 8 | 255])
        .filter(move |address| (start..=end).contains(address))
        .map(Ipv4Addr::from)
        .filter(|address| is_unusable(*address))
}

/// Where the search for a client's address begins: the SDBM hash of its Ethernet address, which dnsmasq uses, so
/// that a guest keeps its address when its network changes server.
fn hash(mac: &Mac) -> u32 {
    let step = |hash: u32, byte: &u8| {
        u32::from(*byte)
            .wrapping_add(hash.wrapping_shl(6))
            .wrapping_add(hash.wrapping_shl(16))
            .wrapping_sub(hash)
    };
    mac.iter().fold(0, step).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pool(start: [u8; 4], end: [u8; 4]) -> Pool {
        let range = Range4 { start: start.into(), end: end.into(), lease: None };
        let spec = Dhcp4Spec { ranges: vec![range], ..Dhcp4Spec::new([192, 168, 1, 1].into(), 16) };
        Pool::new(&spec, [], [])
    }

    #[test]
    fn every_address_but_the_unusable_is_given_once() {
        let mut pool = pool([192, 168, 0, 250], [192, 168, 1, 5]);
        let mut given = BTreeSet::new();
        for last in 0..=255 {
            let mac = [2, 0, 0, 0, 0, last];
            if let Some(address) = pool.choose(mac) {
                assert!(given.insert(address));
                pool.offer(address, mac, Duration::ZERO);
            }
        }
        // 250 to 254, then 2 to 5: without .255, .0 and the server's own .1
        assert_eq!(given.len(), 9);
        pool.end_holds(OFFER);
        assert!(pool.choose([2; 6]).is_some());
    }

    #[test]
    fn a_barred_address_comes_back() {
        let mut pool = pool([192, 168, 1, 9], [192, 168, 1, 9]);
        let address = pool.choose([2; 6]).unwrap();
        pool.bar(address, Duration::from_secs(5));
        assert_eq!(pool.choose([2; 6]), None);
        assert_eq!(pool.first_end(), Some(Duration::from_secs(5)));
        pool.end_holds(Duration::from_secs(5));
        assert_eq!(pool.choose([2; 6]), Some(address));
    }
}
