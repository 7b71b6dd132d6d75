//! The records of a network, by name and by address.

use std::collections::HashMap;
use std::net::IpAddr;

use crate::wire::dns::{Name, wire_name};

/// Where an address of a name comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Source {
    /// `<dns><host>`.
    Definition,
    /// A host of the DHCP section.
    Fixed,
    /// A lease.
    Lease,
}

/// The records of one name.
#[derive(Debug, Default)]
pub(super) struct Entry {
    addresses: Vec<(IpAddr, Source)>,
    /// Data of TXT records.
    pub(super) txt: Vec<Vec<u8>>,
    /// SRV records.
    pub(super) srv: Vec<SrvData>,
}

/// Data of an SRV record (RFC 2782).
#[derive(Debug)]
pub(super) struct SrvData {
    pub(super) priority: u16,
    pub(super) weight: u16,
    pub(super) port: u16,
    /// The target in wire form.
    pub(super) target: Vec<u8>,
}

/// All records of a network.
#[derive(Debug, Default)]
pub(super) struct Table {
    domain: Option<String>,
    names: HashMap<Box<[u8]>, Entry>,
    /// For each name that is above a known one, how many those are.
    above: HashMap<Box<[u8]>, u32>,
    /// Names of addresses, with the spelling of the definition or the client.
    pointers: HashMap<IpAddr, Vec<(Source, Vec<u8>)>>,
    /// The name that each lease has here, to take it back.
    leases: HashMap<IpAddr, String>,
}

impl SrvData {
    /// Writes the data of the record.
    pub(super) fn write(&self, out: &mut Vec<u8>) {
        for number in [self.priority, self.weight, self.port] {
            out.extend_from_slice(&number.to_be_bytes());
        }
        out.extend_from_slice(&self.target);
    }
}

impl Entry {
    fn is_empty(&self) -> bool {
        self.addresses.is_empty() && self.txt.is_empty() && self.srv.is_empty()
    }
}

impl Table {
    /// Sets the domain that plain names also have, before any name is added.
    pub(super) fn set_domain(&mut self, domain: Option<&str>) {
        self.domain = domain.map(ToOwned::to_owned);
    }

    /// The records of a name.
    pub(super) fn entry(&self, name: &Name) -> Option<&Entry> {
        self.names.get(name.as_bytes())
    }

    /// The addresses of a name. Those of a lease stand in for those of the fixed host of the
    /// name.
    pub(super) fn addresses(&self, name: &Name) -> impl Iterator<Item = IpAddr> {
        let all = self.entry(name).map_or(&[][..], |entry| &entry.addresses);
        let is_leased = |v4: bool| {
            all.iter().any(|(ip, source)| ip.is_ipv4() == v4 && *source == Source::Lease)
        };
        let (leased4, leased6) = (is_leased(true), is_leased(false));
        all.iter()
            .filter(move |(ip, source)| {
                *source != Source::Fixed || !(if ip.is_ipv4() { leased4 } else { leased6 })
            })
            .map(|(ip, _)| *ip)
    }

    /// The name of an address in wire form: the definition's, else its lease's, else the fixed
    /// host's.
    pub(super) fn pointer(&self, address: IpAddr) -> Option<&[u8]> {
        let all = self.pointers.get(&address)?;
        [Source::Definition, Source::Lease, Source::Fixed]
            .iter()
            .find_map(|wanted| all.iter().find(|(source, _)| source == wanted))
            .map(|(_, name)| name.as_slice())
    }

    /// Whether a name belongs to a guest: to a lease or a fixed host.
    pub(super) fn is_of_guest(&self, name: &Name) -> bool {
        let addresses = self.entry(name).map_or(&[][..], |entry| &entry.addresses);
        addresses.iter().any(|(_, source)| *source != Source::Definition)
    }

    /// Whether there are known names below this one.
    pub(super) fn has_below(&self, name: &Name) -> bool {
        self.above.contains_key(name.as_bytes())
    }

    /// Adds the names of `<dns><host>`.
    pub(super) fn add_host(&mut self, address: IpAddr, names: &[String]) {
        for name in names {
            for full in self.spellings(name) {
                self.add_address(&full, address, Source::Definition);
            }
        }
        if let Some(name) = names.first().and_then(|name| self.pointer_name(name)) {
            let all = self.pointers.entry(address).or_default();
            if !all.iter().any(|(source, _)| *source == Source::Definition) {
                all.push((Source::Definition, name));
            }
        }
    }

    /// Adds a fixed host, unless the definition gives its name to another address.
    pub(super) fn add_fixed(&mut self, address: IpAddr, name: &str) {
        self.add_guest(address, name, Source::Fixed);
    }

    /// Sets or removes the name of a leased address. A name that the definition gives to another
    /// address is not set.
    pub(super) fn set_lease(&mut self, address: IpAddr, name: Option<&str>) {
        if let Some(old) = self.leases.remove(&address) {
            for full in self.spellings(&old) {
                self.remove_address(&full, address, Source::Lease);
            }
            if let Some(all) = self.pointers.get_mut(&address) {
                all.retain(|(source, _)| *source != Source::Lease);
                if all.is_empty() {
                    self.pointers.remove(&address);
                }
            }
        }
        if let Some(name) = name
            && self.add_guest(address, name, Source::Lease)
        {
            self.leases.insert(address, name.to_owned());
        }
    }

    /// Adds a TXT record.
    pub(super) fn add_txt(&mut self, name: &Name, data: Vec<u8>) {
        self.entry_mut(name).txt.push(data);
    }

    /// Adds an SRV record.
    pub(super) fn add_srv(&mut self, name: &Name, data: SrvData) {
        self.entry_mut(name).srv.push(data);
    }

    fn add_guest(&mut self, address: IpAddr, name: &str, source: Source) -> bool {
        let Some(pointer) = self.pointer_name(name) else { return false };
        let spellings = self.spellings(name);
        let is_defined = |name: &Name| {
            let known = self.entry(name).map_or(&[][..], |entry| &entry.addresses);
            let other = |ip: &IpAddr| ip.is_ipv4() == address.is_ipv4() && *ip != address;
            known.iter().any(|(ip, source)| *source == Source::Definition && other(ip))
        };
        if spellings.iter().any(is_defined) {
            return false;
        }
        for full in spellings {
            self.add_address(&full, address, source);
        }
        self.pointers.entry(address).or_default().push((source, pointer));
        true
    }

    /// A name as it is and, if it has no dot, with the domain.
    fn spellings(&self, name: &str) -> Vec<Name> {
        let full = self.domain.as_ref().filter(|_| !name.contains('.'));
        let full = full.map(|domain| format!("{name}.{domain}"));
        [Some(name), full.as_deref()]
            .into_iter()
            .flatten()
            .filter_map(|name| Name::from_text(name).ok())
            .filter(|name| *name != Name::ROOT)
            .collect()
    }

    /// What an address is resolved to if `name` is its first name.
    pub(super) fn pointer_name(&self, name: &str) -> Option<Vec<u8>> {
        match &self.domain {
            Some(domain) if !name.contains('.') => wire_name(&format!("{name}.{domain}")),
            _ => wire_name(name),
        }
        .ok()
        .filter(|wire| wire.len() > 1)
    }

    fn add_address(&mut self, name: &Name, address: IpAddr, source: Source) {
        let addresses = &mut self.entry_mut(name).addresses;
        if !addresses.contains(&(address, source)) {
            addresses.push((address, source));
        }
    }

    fn remove_address(&mut self, name: &Name, address: IpAddr, source: Source) {
        let Some(entry) = self.names.get_mut(name.as_bytes()) else { return };
        entry.addresses.retain(|known| *known != (address, source));
        if !entry.is_empty() {
            return;
        }
        self.names.remove(name.as_bytes());
        for above in name.ancestors() {
            if let Some(count) = self.above.get_mut(above) {
                *count = count.saturating_sub(1);
                if *count == 0 {
                    self.above.remove(above);
                }
            }
        }
    }

    fn entry_mut(&mut self, name: &Name) -> &mut Entry {
        if !self.names.contains_key(name.as_bytes()) {
            for above in name.ancestors() {
                *self.above.entry(above.into()).or_default() += 1;
            }
        }
        self.names.entry(name.as_bytes().into()).or_default()
    }
}
