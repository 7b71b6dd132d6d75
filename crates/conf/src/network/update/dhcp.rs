//! Sections `ip-dhcp-host` and `ip-dhcp-range`.

use oxivirt_types::ip::{Address, Family};
use oxivirt_xml::Element;

use super::{Change, Command, Context, Place, Refusal, Result, insert};
use crate::network::{DhcpHost, DhcpHostPattern, DhcpRange, HostMac, IpDef, NetworkDef};

/// A change of one address's fixed hosts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DhcpHostChange {
    /// Adds a host that shares neither hardware address, name nor address with another.
    Add(Place, DhcpHost),
    /// Replaces the first host that shares one of the three.
    Modify(DhcpHost),
    /// Deletes the first host that has all that is given.
    Delete(DhcpHostPattern),
}

/// A change of one address's ranges.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DhcpRangeChange {
    /// Adds a range that is not there in the same extent.
    Add(Place, DhcpRange),
    /// Deletes the range of that extent.
    Delete(DhcpRange),
}

pub(super) fn parse_host(
    def: &NetworkDef,
    root: &Element<'_>,
    context: Context<'_>,
    parent_index: i32,
) -> Result<Change> {
    context.check_element(root, "host")?;
    let (index, ip) = find_ip(def, parent_index)?;
    if context.is(Command::Delete) {
        let pattern = DhcpHostPattern::parse(root, context.network, ip.family())?;
        return Ok(Change::DhcpHost(index, DhcpHostChange::Delete(pattern)));
    }
    let host = DhcpHost::parse(root, context.network, ip.family())?;
    if host.ip.family() != ip.family() {
        return Err(Refusal::HostFamily.into());
    }
    let change = match (context.place(), context.is(Command::Modify)) {
        (Some(place), _) => DhcpHostChange::Add(place, host),
        (None, true) => DhcpHostChange::Modify(host),
        (None, false) => return Err(context.unknown_command().into()),
    };
    Ok(Change::DhcpHost(index, change))
}

pub(super) fn parse_range(
    def: &NetworkDef,
    root: &Element<'_>,
    context: Context<'_>,
    parent_index: i32,
) -> Result<Change> {
    context.check_element(root, "range")?;
    let (index, ip) = find_ip(def, parent_index)?;
    if context.is(Command::Modify) {
        return Err(Refusal::NoModify { entries: "dhcp ranges" }.into());
    }
    let range = DhcpRange::parse(root, context.network, ip)?;
    let change = match (context.place(), context.is(Command::Delete)) {
        (Some(place), _) => DhcpRangeChange::Add(place, range),
        (None, true) => DhcpRangeChange::Delete(range),
        (None, false) => return Err(context.unknown_command().into()),
    };
    Ok(Change::DhcpRange(index, change))
}

/// The address meant: by index, or the one that serves DHCP, or the first of IPv4, or of IPv6.
///
/// libvirt 11.3.0: `virNetworkIPDefByIndex`, src/conf/network_conf.c
fn find_ip(def: &NetworkDef, parent_index: i32) -> Result<(usize, &IpDef), Refusal> {
    let network = || def.name.clone();
    if let Ok(index) = usize::try_from(parent_index) {
        let ip = def.ips.get(index);
        return ip
            .map(|ip| (index, ip))
            .ok_or_else(|| Refusal::NoIp { network: network(), index: parent_index });
    }
    let find =
        |wanted: &dyn Fn(&IpDef) -> bool| def.ips.iter().enumerate().find(|(_, ip)| wanted(ip));
    find(&|ip| ip.dhcp.serves())
        .or_else(|| find(&|ip| ip.family() == Family::Ipv4))
        .or_else(|| find(&|_| true))
        .ok_or_else(|| Refusal::NoIpAtAll { network: network() })
}

/// Refuses DHCP on a second address of a family.
fn check_single_dhcp(def: &NetworkDef, index: usize, family: Family) -> Result<(), Refusal> {
    let serves =
        |(at, ip): (usize, &IpDef)| at != index && ip.family() == family && ip.dhcp.serves();
    if def.ips.iter().enumerate().any(serves) {
        return Err(Refusal::SecondDhcp { family });
    }
    Ok(())
}

impl DhcpHostChange {
    pub(super) fn apply(&self, def: &mut NetworkDef, index: usize) -> Result<(), Refusal> {
        let network = def.name.clone();
        let family = family_at(def, index);
        if let Self::Add(..) = self {
            check_single_dhcp(def, index, family)?;
        }
        let Some(ip) = def.ips.get_mut(index) else {
            return Err(Refusal::NoIpAtAll { network });
        };
        let hosts = &mut ip.dhcp.hosts;
        match self {
            Self::Add(place, host) => {
                if hosts.iter().any(|entry| shares_key(entry, host)) {
                    let [mac, name, ip] = spell(host);
                    let entry = format!("<host {mac} {name} {ip}/>");
                    return Err(Refusal::Exists { network, kind: "dhcp host", entry });
                }
                insert(hosts, *place, host.clone());
            }
            Self::Modify(host) => match hosts.iter_mut().find(|entry| shares_key(entry, host)) {
                Some(entry) => *entry = host.clone(),
                None => {
                    let entry = spell(host).map(|word| format!("\"{word}\"")).join(" ");
                    return Err(Refusal::NoDhcpHost { network, entry });
                }
            },
            Self::Delete(pattern) => match hosts.iter().position(|entry| fits(entry, pattern)) {
                Some(at) => drop(hosts.remove(at)),
                None => {
                    return Err(Refusal::NoDhcpEntry { network, kind: "dhcp host" });
                }
            },
        }
        Ok(())
    }
}

impl DhcpRangeChange {
    pub(super) fn apply(&self, def: &mut NetworkDef, index: usize) -> Result<(), Refusal> {
        let network = def.name.clone();
        let family = family_at(def, index);
        if let Self::Add(..) = self {
            check_single_dhcp(def, index, family)?;
        }
        let Some(ip) = def.ips.get_mut(index) else {
            return Err(Refusal::NoIpAtAll { network });
        };
        let ranges = &mut ip.dhcp.ranges;
        let (Self::Add(_, range) | Self::Delete(range)) = self;
        let same = |entry: &DhcpRange| (entry.start, entry.end) == (range.start, range.end);
        let found = ranges.iter().position(same);
        match (self, found) {
            (Self::Add(..), Some(_)) => {
                let entry = format!("<range start='{}' end='{}'/>", range.start, range.end);
                return Err(Refusal::Exists { network, kind: "dhcp range", entry });
            }
            (Self::Add(place, range), None) => insert(ranges, *place, *range),
            (Self::Delete(_), Some(at)) => drop(ranges.remove(at)),
            (Self::Delete(_), None) => {
                return Err(Refusal::NoDhcpEntry { network, kind: "dhcp range" });
            }
        }
        Ok(())
    }
}

fn family_at(def: &NetworkDef, index: usize) -> Family {
    def.ips.get(index).map_or(Family::Ipv4, IpDef::family)
}

fn mac(host: Option<&HostMac>) -> Option<oxivirt_types::mac::MacAddr> {
    host.map(HostMac::mac)
}

/// Whether two hosts have hardware address, name or address in common.
fn shares_key(entry: &DhcpHost, host: &DhcpHost) -> bool {
    let both = |a: bool, b: bool| a && b;
    both(host.mac.is_some(), mac(entry.mac.as_ref()) == mac(host.mac.as_ref()))
        || both(host.name.is_some(), entry.name == host.name)
        || entry.ip == host.ip
}

/// Whether a host has everything the pattern gives.
///
/// libvirt takes an entry without hardware address for a match of any, and so may delete another
/// entry than the one named; here such an entry only matches a pattern without one.
fn fits(entry: &DhcpHost, pattern: &DhcpHostPattern) -> bool {
    let ip = |wanted: Address| entry.ip == wanted;
    (pattern.mac.is_none() || mac(entry.mac.as_ref()) == mac(pattern.mac.as_ref()))
        && (pattern.name.is_none() || entry.name == pattern.name)
        && pattern.ip.is_none_or(ip)
}

/// The three keys as messages show them.
fn spell(host: &DhcpHost) -> [String; 3] {
    let mac = host.mac.as_ref().map_or("unknown", HostMac::as_str);
    let name = host.name.as_deref().unwrap_or("(null)");
    [format!("mac='{mac}'"), format!("name='{name}'"), format!("ip='{}'", host.ip)]
}
