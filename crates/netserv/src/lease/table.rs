//! The leases of a network in memory, found by address, client and end.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::time::Duration;

use oxivirt_netserv_api::Mac;

use super::Lease;

/// Leases, at most one per address.
#[derive(Debug, Clone, Default)]
pub struct Table {
    leases: BTreeMap<IpAddr, Lease>,
    by_id: BTreeMap<Vec<u8>, BTreeSet<IpAddr>>,
    by_mac: BTreeMap<Mac, BTreeSet<IpAddr>>,
    by_name: BTreeMap<String, BTreeSet<IpAddr>>,
    by_end: BTreeSet<(Duration, IpAddr)>,
}

impl Table {
    /// How many leases there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.leases.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.leases.is_empty()
    }

    /// All leases, by address.
    pub fn iter(&self) -> impl Iterator<Item = &Lease> {
        self.leases.values()
    }

    /// The lease of an address.
    #[must_use]
    pub fn get(&self, address: IpAddr) -> Option<&Lease> {
        self.leases.get(&address)
    }

    /// The leases of a client identifier.
    pub fn of_id(&self, id: &[u8]) -> impl Iterator<Item = &Lease> {
        self.found(self.by_id.get(id))
    }

    /// The leases of an Ethernet address.
    pub fn of_mac(&self, mac: Mac) -> impl Iterator<Item = &Lease> {
        self.found(self.by_mac.get(&mac))
    }

    /// The leases with a name, whatever its case.
    pub fn of_name(&self, name: &str) -> impl Iterator<Item = &Lease> {
        self.found(self.by_name.get(&name.to_ascii_lowercase()))
    }

    fn found<'a>(
        &'a self,
        addresses: Option<&'a BTreeSet<IpAddr>>,
    ) -> impl Iterator<Item = &'a Lease> {
        addresses.into_iter().flatten().filter_map(|address| self.leases.get(address))
    }

    /// Puts a lease in the place of whatever had its address, which is returned.
    pub fn insert(&mut self, lease: Lease) -> Option<Lease> {
        let old = self.remove(lease.address);
        let address = lease.address;
        if let Some(id) = &lease.client_id {
            self.by_id.entry(id.clone()).or_default().insert(address);
        }
        if let Some(mac) = lease.mac {
            self.by_mac.entry(mac).or_default().insert(address);
        }
        if let Some(name) = &lease.hostname {
            self.by_name.entry(name.to_ascii_lowercase()).or_default().insert(address);
        }
        if let Some(deadline) = lease.deadline {
            self.by_end.insert((deadline, address));
        }
        self.leases.insert(address, lease);
        old
    }

    /// Removes the lease of an address.
    pub fn remove(&mut self, address: IpAddr) -> Option<Lease> {
        let lease = self.leases.remove(&address)?;
        if let Some(id) = &lease.client_id {
            forget(&mut self.by_id, id, address);
        }
        if let Some(mac) = &lease.mac {
            forget(&mut self.by_mac, mac, address);
        }
        if let Some(name) = &lease.hostname {
            forget(&mut self.by_name, &name.to_ascii_lowercase(), address);
        }
        if let Some(deadline) = lease.deadline {
            self.by_end.remove(&(deadline, address));
        }
        Some(lease)
    }

    /// When the first lease ends.
    #[must_use]
    pub fn first_end(&self) -> Option<Duration> {
        self.by_end.first().map(|(deadline, _)| *deadline)
    }

    /// Removes a lease whose time has come.
    pub fn pop_ended(&mut self, now: Duration) -> Option<Lease> {
        let (deadline, address) = *self.by_end.first()?;
        if deadline > now {
            return None;
        }
        self.remove(address)
    }
}

fn forget<K: Ord + Clone>(index: &mut BTreeMap<K, BTreeSet<IpAddr>>, key: &K, address: IpAddr) {
    if let Some(addresses) = index.get_mut(key) {
        addresses.remove(&address);
        if addresses.is_empty() {
            index.remove(key);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lease(last: u8, id: &[u8], end: u64) -> Lease {
        Lease {
            address: [192, 0, 2, last].into(),
            mac: Some([2, 0, 0, 0, 0, last]),
            client_id: Some(id.to_vec()),
            iaid: None,
            hostname: Some(format!("Host{}", id.len())),
            resolves: true,
            deadline: Some(Duration::from_secs(end)),
        }
    }

    #[test]
    fn indices_follow() {
        let mut table = Table::default();
        table.insert(lease(1, b"a", 10));
        table.insert(lease(2, b"a", 20));
        assert_eq!(table.of_id(b"a").count(), 2);
        assert_eq!(table.of_name("hOST1").count(), 2);
        // Another client gets the address.
        let old = table.insert(lease(1, b"bb", 5)).unwrap();
        assert_eq!(old.client_id.as_deref(), Some(&b"a"[..]));
        assert_eq!(table.of_id(b"a").count(), 1);
        assert_eq!(table.of_name("host1").count(), 1);
        assert_eq!(table.first_end(), Some(Duration::from_secs(5)));
        assert!(table.pop_ended(Duration::from_secs(4)).is_none());
        assert_eq!(
            table.pop_ended(Duration::from_secs(5)).unwrap().address,
            lease(1, b"", 0).address
        );
        assert_eq!(table.of_mac([2, 0, 0, 0, 0, 1]).count(), 0);
        table.remove([192, 0, 2, 2].into());
        assert!(table.is_empty() && table.first_end().is_none());
        assert!(table.by_id.is_empty() && table.by_mac.is_empty() && table.by_name.is_empty());
    }
}
