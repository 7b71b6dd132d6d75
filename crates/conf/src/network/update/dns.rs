//! Sections `dns-host`, `dns-txt` and `dns-srv`.

use oxivirt_xml::Element;

use super::{Change, Command, Context, Place, Refusal, Result, insert};
use crate::network::records::Completeness;
use crate::network::{
    DnsHost, DnsHostPattern, NetworkDef, SrvPattern, SrvRecord, TxtPattern, TxtRecord,
};

/// A change of the host names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DnsHostChange {
    /// Adds an address that is not there.
    Add(Place, DnsHost),
    /// Gives an address other names.
    Modify(DnsHostPattern),
    /// Deletes the one entry that has the address or one of the names.
    Delete(DnsHostPattern),
}

/// A change of the TXT records.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DnsTxtChange {
    /// Adds a record of a new name.
    Add(Place, TxtRecord),
    /// Changes the value of the record of that name.
    Modify(TxtPattern),
    /// Deletes the record of that name.
    Delete(String),
}

/// A change of the SRV records.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DnsSrvChange {
    /// Adds a record, unless one has everything it says.
    Add(Place, SrvRecord),
    /// Deletes the one record that has everything that is given.
    Delete(SrvPattern),
}

pub(super) fn parse_host(root: &Element<'_>, context: Context<'_>) -> Result<Change> {
    context.check_element(root, "host")?;
    let change = if let Some(place) = context.place() {
        DnsHostChange::Add(place, DnsHost::parse(root, context.network)?)
    } else {
        let pattern = DnsHostPattern::parse(root, context.network)?;
        match Command::from_number(context.command) {
            Some(Command::Modify) => DnsHostChange::Modify(pattern),
            Some(Command::Delete) => DnsHostChange::Delete(pattern),
            _ => return Err(context.unknown_command().into()),
        }
    };
    Ok(Change::DnsHost(change))
}

pub(super) fn parse_txt(root: &Element<'_>, context: Context<'_>) -> Result<Change> {
    context.check_element(root, "txt")?;
    let change = if let Some(place) = context.place() {
        DnsTxtChange::Add(place, TxtRecord::parse(root, context.network)?)
    } else {
        let pattern = TxtPattern::parse(root, context.network)?;
        match Command::from_number(context.command) {
            Some(Command::Modify) => DnsTxtChange::Modify(pattern),
            Some(Command::Delete) => DnsTxtChange::Delete(pattern.name),
            _ => return Err(context.unknown_command().into()),
        }
    };
    Ok(Change::DnsTxt(change))
}

pub(super) fn parse_srv(root: &Element<'_>, context: Context<'_>) -> Result<Change> {
    if context.is(Command::Modify) {
        return Err(Refusal::NoModify { entries: "DNS SRV records" }.into());
    }
    context.check_element(root, "srv")?;
    let change = if let Some(place) = context.place() {
        DnsSrvChange::Add(place, SrvRecord::parse(root, context.network)?)
    } else {
        let pattern = SrvPattern::parse(root, context.network, Completeness::Partial)?;
        if !context.is(Command::Delete) {
            return Err(context.unknown_command().into());
        }
        DnsSrvChange::Delete(pattern)
    };
    Ok(Change::DnsSrv(change))
}

impl DnsHostChange {
    /// libvirt 11.3.0: `virNetworkDefUpdateDNSHost`, src/conf/network_conf.c
    pub(super) fn apply(&self, def: &mut NetworkDef) -> Result<(), Refusal> {
        let network = def.name.clone();
        let hosts = &mut def.dns.hosts;
        match self {
            Self::Add(place, host) => {
                if hosts.iter().any(|entry| entry.ip == host.ip) {
                    return Err(Refusal::DnsHostExists { network });
                }
                insert(hosts, *place, host.clone());
            }
            Self::Modify(pattern) => {
                let found = |entry: &&mut DnsHost| Some(entry.ip) == pattern.ip;
                let mut matching = hosts.iter_mut().filter(found);
                match (matching.next(), matching.next()) {
                    (None, _) => {
                        return Err(Refusal::NoRecord { network, kind: "HOST" });
                    }
                    (Some(_), Some(_)) => return Err(Refusal::SeveralDnsHosts { network }),
                    (Some(entry), None) => entry.hostnames.clone_from(&pattern.hostnames),
                }
            }
            Self::Delete(pattern) => {
                let found = |entry: &DnsHost| {
                    Some(entry.ip) == pattern.ip
                        || entry.hostnames.iter().any(|name| pattern.hostnames.contains(name))
                };
                let at = only(hosts, found).map_err(|count| match count {
                    Count::None => Refusal::NoRecord { network: network.clone(), kind: "HOST" },
                    Count::Several => Refusal::SeveralDnsHosts { network: network.clone() },
                })?;
                drop(hosts.remove(at));
            }
        }
        Ok(())
    }
}

impl DnsTxtChange {
    /// libvirt 11.3.0: `virNetworkDefUpdateDNSTxt`, src/conf/network_conf.c
    pub(super) fn apply(&self, def: &mut NetworkDef) -> Result<(), Refusal> {
        let network = def.name.clone();
        let txts = &mut def.dns.txts;
        let missing = |network| Refusal::NoRecord { network, kind: "TXT" };
        match self {
            Self::Add(place, record) => {
                if txts.iter().any(|entry| entry.name == record.name) {
                    return Err(Refusal::TxtExists { network, name: record.name.clone() });
                }
                insert(txts, *place, record.clone());
            }
            Self::Modify(pattern) => {
                let Some(entry) = txts.iter_mut().find(|entry| entry.name == pattern.name) else {
                    return Err(missing(network));
                };
                let Some(value) = &pattern.value else {
                    return Err(Refusal::NoTxtValue { network });
                };
                entry.value.clone_from(value);
            }
            Self::Delete(name) => match txts.iter().position(|entry| entry.name == *name) {
                Some(at) => drop(txts.remove(at)),
                None => return Err(missing(network)),
            },
        }
        Ok(())
    }
}

impl DnsSrvChange {
    /// libvirt 11.3.0: `virNetworkDefUpdateDNSSrv`, src/conf/network_conf.c
    pub(super) fn apply(&self, def: &mut NetworkDef) -> Result<(), Refusal> {
        let network = def.name.clone();
        let srvs = &mut def.dns.srvs;
        match self {
            Self::Add(place, record) => {
                let pattern = SrvPattern {
                    service: Some(record.service.clone()),
                    protocol: Some(record.protocol.clone()),
                    domain: record.domain.clone(),
                    target: record.target.clone(),
                    ..SrvPattern::default()
                };
                if srvs.iter().any(|entry| has(entry, &pattern)) {
                    return Err(Refusal::SrvExists { network });
                }
                insert(srvs, *place, record.clone());
            }
            Self::Delete(pattern) => {
                let at = only(srvs, |entry| has(entry, pattern)).map_err(|count| match count {
                    Count::None => Refusal::NoRecord { network: network.clone(), kind: "SRV" },
                    Count::Several => Refusal::SeveralSrvs { network: network.clone() },
                })?;
                drop(srvs.remove(at));
            }
        }
        Ok(())
    }
}

/// Whether a record has everything the pattern gives; numbers are not compared.
fn has(entry: &SrvRecord, pattern: &SrvPattern) -> bool {
    let same = |wanted: &Option<String>, found: Option<&String>| {
        wanted.is_none() || wanted.as_ref() == found
    };
    same(&pattern.service, Some(&entry.service))
        && same(&pattern.protocol, Some(&entry.protocol))
        && same(&pattern.domain, entry.domain.as_ref())
        && same(&pattern.target, entry.target.as_ref())
}

enum Count {
    None,
    Several,
}

/// The index of the one entry that is meant.
fn only<T>(entries: &[T], meant: impl Fn(&T) -> bool) -> Result<usize, Count> {
    let mut found = entries.iter().enumerate().filter(|(_, entry)| meant(entry));
    match (found.next(), found.next()) {
        (Some((at, _)), None) => Ok(at),
        (None, _) => Err(Count::None),
        (Some(_), Some(_)) => Err(Count::Several),
    }
}
