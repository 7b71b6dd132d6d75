//! Names that a network knows by itself: of leases, fixed hosts, its definition and the host's own file.
//!
//! Edited in place as leases come and go, so the next query sees each change. Knows which names
//! are the network's alone; what it does not decide is forwarded, and where to is not its affair.
//! dnsmasq 2.90 with the configuration that libvirt writes is the reference for all rules.

mod hostfile;
mod table;

use std::net::IpAddr;
use std::sync::Arc;

use oxivirt_netserv_api::{NetworkSpec, Srv, Txt};

pub use self::hostfile::HostFile;
use self::table::{SrvData, Table};
use crate::wire::dns::{Name, Owner, Query, Reply, Section, flag, num, reverse_zone};

/// What became of a question.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// The answer is in the buffer.
    Answered,
    /// The network does not know, and another server may be asked.
    Forward,
}

/// Whether there is a server that a question could be forwarded to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Upstream {
    /// No server.
    None,
    /// At least one.
    Some,
}

/// The names of one network.
#[derive(Debug)]
pub(crate) struct LocalNames {
    domain: Option<Name>,
    is_local_only: bool,
    forwards_plain_names: bool,
    reverse_zones: Vec<Name>,
    table: Table,
    host_file: Arc<HostFile>,
}

/// Names below which nothing exists anywhere (RFC 6761 §6.4, RFC 7686 §2).
const NOWHERE: [&str; 2] = ["invalid", "onion"];

impl LocalNames {
    /// The names of a network's definition. Names that no message can carry are left out.
    #[must_use]
    pub(crate) fn new(spec: &NetworkSpec) -> Self {
        let domain = spec.domain.as_deref().and_then(|domain| Name::from_text(domain).ok());
        let mut names = Self {
            domain,
            is_local_only: false,
            forwards_plain_names: true,
            reverse_zones: Vec::new(),
            table: Table::default(),
            host_file: Arc::default(),
        };
        for own in spec.addresses.iter().filter(|own| own.local_ptr) {
            names.reverse_zones.extend(reverse_zone(own.address, own.prefix));
        }
        let domain = spec.domain.as_deref();
        names.table.set_domain(domain);
        if let Some(dns) = &spec.dns {
            names.is_local_only = dns.is_local_only;
            names.forwards_plain_names = dns.forwards_plain_names;
            for host in &dns.hosts {
                names.table.add_host(host.address, &host.names);
            }
            for txt in &dns.txt {
                names.add_txt(txt);
            }
            for srv in &dns.srv {
                names.add_srv(srv, domain);
            }
        }
        let v4 = spec.dhcp4.iter().flat_map(|dhcp| &dhcp.hosts);
        for host in v4 {
            if let (Some(name), Some(address)) = (&host.name, host.address) {
                names.table.add_fixed(address.into(), name);
            }
        }
        let v6 = spec.dhcp6.iter().flat_map(|dhcp| &dhcp.hosts);
        for host in v6 {
            if let (Some(name), Some(address)) = (&host.name, host.address) {
                names.table.add_fixed(address.into(), name);
            }
        }
        names
    }

    /// Uses another version of the host's file of names.
    pub(crate) fn set_host_file(&mut self, file: Arc<HostFile>) {
        self.host_file = file;
    }

    /// An address is leased, by a client of this name if it has one. The name of the address
    /// until now is forgotten.
    pub(crate) fn lease_added(&mut self, address: IpAddr, name: Option<&str>) {
        self.table.set_lease(address, name);
    }

    /// An address is not leased any longer.
    pub(crate) fn lease_removed(&mut self, address: IpAddr) {
        self.table.set_lease(address, None);
    }

    /// Answers a question of class IN, in at most `limit` bytes, if the network knows or must
    /// know the answer. `upstream` says whether another server could be asked: if not, a known
    /// name is all there is to know.
    pub(crate) fn answer(
        &self,
        query: &Query<'_>,
        upstream: Upstream,
        limit: usize,
        out: &mut Vec<u8>,
    ) -> Verdict {
        let mut reply = Reply::start(out, query, limit, flag::AA);
        let exists = self.records(query, &mut reply);
        if reply.n_answers() > 0 || reply.is_truncated() {
            reply.finish(num::NOERROR);
            return Verdict::Answered;
        }
        let Some((rcode, zone)) = self.negative(query, exists, upstream) else {
            return Verdict::Forward;
        };
        push_soa(&mut reply, zone.as_ref());
        reply.finish(rcode);
        Verdict::Answered
    }

    /// Adds all known records of the question; says whether the name has any of any type.
    fn records(&self, query: &Query<'_>, reply: &mut Reply<'_>) -> bool {
        let wants = |rtype| query.qtype == rtype || query.qtype == num::ANY;
        let mut exists = false;
        let mut targets = Vec::new();
        for address in self.addresses(&query.name) {
            exists = true;
            if wants(address_type(address)) {
                push_address(reply, Section::Answer, Owner::Question, address);
            }
        }
        if let Some(entry) = self.table.entry(&query.name) {
            exists = true;
            for txt in entry.txt.iter().filter(|_| wants(num::TXT)) {
                reply.record(Section::Answer, Owner::Question, num::TXT, 0, |out| {
                    out.extend_from_slice(txt);
                });
            }
            for srv in entry.srv.iter().filter(|_| wants(num::SRV)) {
                reply.record(Section::Answer, Owner::Question, num::SRV, 0, |out| {
                    srv.write(out);
                });
                targets.push(&srv.target);
            }
        }
        if let Some(address) = query.name.address() {
            let name = self.pointer(address);
            exists |= name.is_some();
            if let Some(name) = name.filter(|_| wants(num::PTR)) {
                reply.record(Section::Answer, Owner::Question, num::PTR, 0, |out| {
                    out.extend_from_slice(&name);
                });
            }
        }
        for target in targets {
            for address in Name::from_wire(target).into_iter().flat_map(|n| self.addresses(&n)) {
                push_address(reply, Section::Additional, Owner::Name(target), address);
            }
        }
        exists
    }

    /// The addresses of a name: the definition's and the host file's, then those of leases and
    /// fixed hosts.
    fn addresses(&self, name: &Name) -> Vec<IpAddr> {
        let mut all = Vec::new();
        let plain = self.domain.as_ref().and_then(|domain| name.plain_in(domain));
        let file = &self.host_file;
        let from_file = file.addresses(name).iter();
        let from_file =
            from_file.chain(plain.iter().flat_map(|plain| file.addresses(plain).iter()));
        for address in self.table.addresses(name).chain(from_file.copied()) {
            if !all.contains(&address) {
                all.push(address);
            }
        }
        all
    }

    /// The name of an address, in wire form.
    fn pointer(&self, address: IpAddr) -> Option<Vec<u8>> {
        let known = self.table.pointer(address).map(<[u8]>::to_vec);
        known.or_else(|| self.table.pointer_name(self.host_file.pointer(address)?))
    }

    /// The response code of a question without records and the zone that its SOA record is of;
    /// none if another server is asked.
    fn negative(
        &self,
        query: &Query<'_>,
        exists: bool,
        upstream: Upstream,
    ) -> Option<(u16, Option<Name>)> {
        let name = &query.name;
        let domain = self.domain.filter(|domain| name.is_in(domain));
        let is_own = domain.is_some() || self.table.is_of_guest(name);
        if exists && (is_own || upstream == Upstream::None) {
            return Some((num::NOERROR, domain));
        }
        let nowhere = NOWHERE.iter().filter_map(|zone| Name::from_text(zone).ok());
        let mut zones = self.reverse_zones.iter().copied().chain(nowhere);
        let zone = match domain {
            Some(domain) if self.is_local_only => Some(domain),
            _ => zones.find(|zone| name.is_in(zone)),
        };
        let is_kept_plain = !self.forwards_plain_names && name.n_labels() == 1;
        if zone.is_none() && !is_kept_plain {
            return None;
        }
        // Names between the zone and a known one exist without records (RFC 8020).
        let is_known = exists || zone == Some(*name) || self.table.has_below(name);
        let rcode = if is_known { num::NOERROR } else { num::NXDOMAIN };
        Some((rcode, zone.or(Some(Name::ROOT))))
    }

    fn add_txt(&mut self, txt: &Txt) {
        let Ok(name) = Name::from_text(&txt.name) else { return };
        let mut data = Vec::new();
        for text in split_texts(&txt.value) {
            // An empty text has no chunk, and is a string of length 0.
            let pieces = text.chunks(255).chain(text.is_empty().then_some(&[][..]));
            for piece in pieces {
                data.extend(u8::try_from(piece.len()));
                data.extend_from_slice(piece);
            }
        }
        self.table.add_txt(&name, data);
    }

    fn add_srv(&mut self, srv: &Srv, network_domain: Option<&str>) {
        let mut name = format!("_{}._{}", srv.service, srv.protocol);
        if let Some(domain) = srv.domain.as_deref().or(network_domain) {
            name.push('.');
            name.push_str(domain);
        }
        let target = srv.target.as_deref().filter(|target| *target != ".");
        let (Ok(name), Ok(target)) =
            (Name::from_text(&name), Name::from_text(target.unwrap_or("")))
        else {
            return;
        };
        // dnsmasq's default of the port is 1.
        let port = srv.port.unwrap_or(1);
        let (priority, weight) = (srv.priority.unwrap_or(0), srv.weight.unwrap_or(0));
        let target = target.as_bytes().to_vec();
        self.table.add_srv(&name, SrvData { priority, weight, port, target });
    }
}

fn address_type(address: IpAddr) -> u16 {
    if address.is_ipv4() { num::A } else { num::AAAA }
}

fn push_address(reply: &mut Reply<'_>, section: Section, owner: Owner<'_>, address: IpAddr) {
    reply.record(section, owner, address_type(address), 0, |out| match address {
        IpAddr::V4(v4) => out.extend_from_slice(&v4.octets()),
        IpAddr::V6(v6) => out.extend_from_slice(&v6.octets()),
    });
}

/// Adds the SOA record that a negative answer needs (RFC 2308 §2). Its TTL and minimum are 0, as
/// the name may be there with the next lease.
fn push_soa(reply: &mut Reply<'_>, zone: Option<&Name>) {
    let owner = zone.map_or(Owner::Question, |zone| Owner::Name(zone.as_bytes()));
    reply.record(Section::Authority, owner, num::SOA, 0, |out| {
        out.push(0);
        out.extend_from_slice(b"\x06nobody\x07invalid\0");
        for number in [1_u32, 3600, 1200, 604_800, 0] {
            out.extend_from_slice(&number.to_be_bytes());
        }
    });
}

/// The strings of a TXT value: dnsmasq reads commas outside of double quotes as the borders
/// between them.
fn split_texts(value: &str) -> Vec<Vec<u8>> {
    let mut texts = vec![Vec::new()];
    let mut is_quoted = false;
    for byte in value.bytes() {
        match byte {
            b'"' => is_quoted = !is_quoted,
            b',' if !is_quoted => texts.push(Vec::new()),
            _ => texts.last_mut().into_iter().for_each(|text| text.push(byte)),
        }
    }
    texts
}

#[cfg(test)]
mod dnsmasq;
#[cfg(test)]
mod tests;
