//! Clients that the definition names, found by identifier, Ethernet address, name and address.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;

use oxivirt_netserv_api::{Host4, Mac};

/// The hosts of a definition with their indices; the first of several with one key counts.
#[derive(Debug, Clone, Default)]
pub(super) struct Hosts {
    hosts: Vec<Host4>,
    by_id: BTreeMap<Vec<u8>, usize>,
    by_mac: BTreeMap<Mac, usize>,
    /// Those that only their name tells from others.
    by_name: BTreeMap<String, usize>,
    by_address: BTreeMap<Ipv4Addr, usize>,
    /// First labels of all names.
    names: BTreeMap<String, usize>,
}

impl Hosts {
    pub(super) fn new(hosts: &[Host4]) -> Self {
        let mut all = Self { hosts: hosts.to_vec(), ..Self::default() };
        for (at, host) in hosts.iter().enumerate() {
            if let Some(id) = &host.client_id {
                all.by_id.entry(id.clone()).or_insert(at);
            }
            if let Some(mac) = host.mac {
                all.by_mac.entry(mac).or_insert(at);
            }
            if let Some(name) = &host.name {
                if host.mac.is_none() && host.client_id.is_none() {
                    all.by_name.entry(name.to_ascii_lowercase()).or_insert(at);
                }
                all.names.entry(label(name)).or_insert(at);
            }
            if let Some(address) = host.address {
                all.by_address.entry(address).or_insert(at);
            }
        }
        all
    }

    /// The host that a client is, with its number.
    ///
    /// By name only hosts without another key are found, so that a client cannot pretend to be another one.
    ///
    /// dnsmasq: `find_config`, src/dhcp-common.c
    pub(super) fn find(
        &self,
        id: Option<&[u8]>,
        mac: Mac,
        name: Option<&str>,
    ) -> Option<(usize, &Host4)> {
        let by_name = || self.by_name.get(&name?.to_ascii_lowercase());
        let found = id.and_then(|id| self.by_id.get(id)).or_else(|| self.by_mac.get(&mac));
        let at = *found.or_else(by_name)?;
        Some((at, self.hosts.get(at)?))
    }

    /// The number of the host that has an address.
    pub(super) fn at(&self, address: Ipv4Addr) -> Option<usize> {
        self.by_address.get(&address).copied()
    }

    /// The number of the host that has a name.
    pub(super) fn named(&self, name: &str) -> Option<usize> {
        self.names.get(&label(name)).copied()
    }

    /// All addresses of hosts.
    pub(super) fn addresses(&self) -> impl Iterator<Item = Ipv4Addr> {
        self.by_address.keys().copied()
    }
}

/// The first label of a name, in lower case.
fn label(name: &str) -> String {
    name.split('.').next().unwrap_or_default().to_ascii_lowercase()
}
