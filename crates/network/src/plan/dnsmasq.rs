//! dnsmasq's files for a network: its configuration, fixed hosts and extra names.
//!
//! Pure: from a definition and the directory the files will be in to their bytes. Owns the order
//! and spelling of every line, which is libvirt's, so that either can take over the other's
//! network. Whether a dnsmasq runs, how it is started and reloaded is not known here.
//!
//! libvirt 11.3.0: `networkDnsmasqConfContents`, src/network/bridge_driver.c; dnsmasq(8)

use std::collections::BTreeMap;
use std::fmt::{self, Display, Write as _};
use std::net::IpAddr;

use oxivirt::ErrorCode;
use oxivirt_conf::YesNo;
use oxivirt_conf::network::{DhcpHost, Dns, HostMac, IpDef, Lease, SrvRecord};
use oxivirt_types::ip::{Address, Family};
use oxivirt_xml as xml;

use super::policy::Reach;
use crate::network::Network;
use oxivirt_types::link_name::LinkName;

/// Where the files of a network are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Paths<'a> {
    /// Directory of hosts files, without a slash at its end.
    pub state_dir: &'a str,
    /// The pid file dnsmasq writes.
    pub pid_file: Option<&'a str>,
}

/// The content of a network's files.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Texts {
    /// `NAME.conf`.
    pub conf: String,
    /// `NAME.hostsfile`: clients with fixed addresses.
    pub hosts: String,
    /// `NAME.addnhosts`: names beside those of clients.
    pub addn_hosts: String,
}

/// Why no configuration can be written.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DnsmasqError {
    /// The reverse zone of a subnet is not a domain of its own.
    #[error("PTR domain for {family} network with prefix {prefix} cannot be automatically created")]
    ReverseZone {
        /// The address family.
        family: Family,
        /// The subnet's prefix length.
        prefix: u8,
    },
    /// An address has no usable prefix.
    #[error("bridge '{bridge}' has an invalid prefix")]
    Prefix {
        /// The bridge.
        bridge: String,
    },
    /// DHCP on two addresses of a family.
    #[error(
        "For {0}, multiple DHCP definitions cannot be specified.",
        if *.family == Family::Ipv4 { "IPv4" } else { "IPv6" }
    )]
    SeveralDhcp {
        /// The address family.
        family: Family,
    },
    /// A value that would start a line of its own (CVE-2026-61477).
    #[error("line end in value '{value}' of network '{network}'")]
    LineEnd {
        /// The network.
        network: String,
        /// The value, its line ends escaped.
        value: String,
    },
}

impl DnsmasqError {
    /// The number of the libvirt error: 1 (internal) or 67 (unsupported configuration).
    #[must_use]
    pub const fn code(&self) -> ErrorCode {
        match self {
            Self::Prefix { .. } => ErrorCode::INTERNAL_ERROR,
            _ => ErrorCode::CONFIG_UNSUPPORTED,
        }
    }
}

type Result<T> = std::result::Result<T, DnsmasqError>;

/// Whether the network needs a dnsmasq at all.
///
/// libvirt 11.3.0: `networkStartDhcpDaemon`, src/network/bridge_driver.c
#[must_use]
pub fn is_needed(def: &Network) -> bool {
    let serves = |ip: &IpDef| ip.dhcp.serves() || ip.tftp_root.is_some();
    !def.ips.is_empty() && (def.dns.is_enabled() || def.ips.iter().any(serves))
}

/// Whether a network's dnsmasq asks the host's name servers.
#[must_use]
pub fn is_resolver(def: &Network) -> bool {
    is_needed(def)
        && def.dns.is_enabled()
        && def.policy().reach != Reach::Isolated
        && !replaces_name_servers(&def.dns)
}

/// Whether a forwarder takes the place of the host's name servers.
fn replaces_name_servers(dns: &Dns) -> bool {
    dns.forwarders.iter().any(|forwarder| forwarder.addr.is_some() && forwarder.domain.is_none())
}

/// The name of a network as it appears in the paths of its hosts, extra names and pid files.
///
/// `.conf` and everything outside of dnsmasq's directory uses the name as it is. libvirt escapes it
/// as XML here, and taking over a running dnsmasq depends on doing the same.
#[must_use]
pub fn file_stem(name: &str) -> String {
    let mut stem = String::with_capacity(name.len());
    xml::escape(&mut stem, name);
    stem
}

/// The files of a network.
///
/// # Errors
/// [`DnsmasqError`] for definitions that cannot be put into dnsmasq's words.
pub fn texts(def: &Network, paths: Paths<'_>) -> Result<Texts> {
    let served = Served::of(def)?;
    let mut lines = Lines::new(def);
    write_head(&mut lines, paths)?;
    write_names(&mut lines)?;
    write_tftp(&mut lines)?;
    write_dhcp(&mut lines, &served, paths)?;
    write_tail(&mut lines, &served, paths);
    Ok(Texts { conf: lines.text, hosts: hosts(def, &served)?, addn_hosts: addn_hosts(def)? })
}

/// The address of each family that DHCP is served on.
#[derive(Debug, Clone, Copy)]
struct Served<'d> {
    ipv4: Option<&'d IpDef>,
    ipv6: Option<&'d IpDef>,
}

impl<'d> Served<'d> {
    fn of(def: &'d Network) -> Result<Self> {
        let only = |family| {
            let mut serving =
                def.ips.iter().filter(move |ip| ip.family() == family && ip.dhcp.serves());
            match (serving.next(), serving.next()) {
                (_, Some(_)) => Err(DnsmasqError::SeveralDhcp { family }),
                (first, None) => Ok(first),
            }
        };
        Ok(Self { ipv4: only(Family::Ipv4)?, ipv6: only(Family::Ipv6)? })
    }

    /// IPv4 first.
    fn iter(self) -> impl Iterator<Item = &'d IpDef> {
        [self.ipv4, self.ipv6].into_iter().flatten()
    }
}

/// A configuration under construction, with the definition it is made from.
#[derive(Debug)]
struct Lines<'d> {
    def: &'d Network,
    text: String,
}

impl<'d> Lines<'d> {
    const fn new(def: &'d Network) -> Self {
        Self { def, text: String::new() }
    }

    fn line(&mut self, line: impl Display) {
        // Writing to a String cannot fail.
        if writeln!(self.text, "{line}").is_err() {
            debug_assert!(false, "a formatter failed");
        }
    }

    /// A text from the definition, which must not end the line it is put into.
    fn value(&self, text: &'d str) -> Result<&'d str> {
        value(self.def, text)
    }

    fn dns(&self) -> Option<&'d Dns> {
        Some(&self.def.dns).filter(|dns| dns.is_enabled())
    }

    fn bridge(&self) -> &'d str {
        self.def.bridge().map(LinkName::as_str).unwrap_or_default()
    }

    /// The prefix length of an address, which a start without one must not get past.
    fn prefix(&self, ip: &IpDef) -> Result<u8> {
        ip.effective_prefix()
            .ok_or_else(|| DnsmasqError::Prefix { bridge: self.bridge().to_owned() })
    }
}

fn value<'t>(def: &Network, text: &'t str) -> Result<&'t str> {
    if text.contains(['\n', '\r']) {
        let value = text.escape_debug().to_string();
        return Err(DnsmasqError::LineEnd { network: def.name.clone(), value });
    }
    Ok(text)
}

fn write_head(lines: &mut Lines<'_>, paths: Paths<'_>) -> Result<()> {
    let def = lines.def;
    let name = lines.value(&def.name)?;
    lines.line(format_args!(
        "##WARNING:  THIS IS AN AUTO-GENERATED FILE. CHANGES TO IT ARE LIKELY TO BE\n\
         ##OVERWRITTEN AND LOST.  Changes to this configuration should be made using:\n\
         ##    virsh net-edit {name}\n\
         ## or other application using the libvirt API.\n\
         ##\n\
         ## dnsmasq conf file created by libvirt\n\
         strict-order"
    ));
    if lines.dns().is_none() {
        lines.line("port=0");
    }
    write_forwarding(lines)?;
    if let Some(pid_file) = paths.pid_file {
        lines.line(format_args!("pid-file={pid_file}"));
    }
    let bridge = lines.value(lines.bridge())?;
    lines.line(format_args!("except-interface=lo\nbind-dynamic\ninterface={bridge}"));
    if def.policy().reach == Reach::Isolated {
        // No default route, no name resolved elsewhere, no router advertised as one.
        lines.line("dhcp-option=3\nno-resolv\nra-param=*,0,0");
    }
    Ok(())
}

/// Where queries go and which stay.
fn write_forwarding(lines: &mut Lines<'_>) -> Result<()> {
    let def = lines.def;
    if let Some(dns) = lines.dns() {
        for forwarder in &dns.forwarders {
            let mut line = String::from("server=");
            if let Some(domain) = &forwarder.domain {
                line = format!("{line}/{}/", lines.value(domain)?);
            }
            match forwarder.addr {
                Some(addr) => lines.line(format_args!("{line}{addr}")),
                None => lines.line(format_args!("{line}#")),
            }
        }
        if replaces_name_servers(dns) {
            lines.line("no-resolv");
        }
    }
    if let Some(domain) = &def.domain.name {
        let domain = lines.value(domain)?;
        if def.domain.local_only == Some(YesNo::Yes) {
            lines.line(format_args!("local=/{domain}/"));
        }
        lines.line(format_args!("domain={domain}\nexpand-hosts"));
    }
    let Some(dns) = lines.dns() else {
        return Ok(());
    };
    for ip in def.ips.iter().filter(|ip| ip.local_ptr == Some(YesNo::Yes)) {
        let prefix = lines.prefix(ip)?;
        lines.line(format_args!("local=/{}/", reverse_zone(ip.address, prefix)?));
    }
    if dns.forward_plain_names == Some(YesNo::No) {
        lines.line("domain-needed\nlocal=//");
    }
    Ok(())
}

/// The domain below which the reverse names of a subnet are.
///
/// libvirt 11.3.0: `virSocketAddrPTRDomain`, src/util/virsocketaddr.c; RFC 1035 3.5, RFC 3596 2.5
fn reverse_zone(address: Address, prefix: u8) -> Result<String> {
    let unusable = DnsmasqError::ReverseZone { family: address.family(), prefix };
    let labels = |width: u8, range: std::ops::RangeInclusive<u8>| {
        (range.contains(&prefix) && prefix.is_multiple_of(width))
            .then(|| usize::from(prefix / width))
    };
    let mut zone = String::new();
    let result = match address.ip() {
        IpAddr::V4(ip) => {
            let count = labels(8, 8..=24).ok_or(unusable)?;
            ip.octets().iter().take(count).rev().try_for_each(|octet| write!(zone, "{octet}."))
        }
        IpAddr::V6(ip) => {
            let count = labels(4, 4..=124).ok_or(unusable)?;
            let nibbles: Vec<u8> =
                ip.octets().iter().flat_map(|octet| [octet >> 4, octet & 0xf]).collect();
            nibbles.iter().take(count).rev().try_for_each(|nibble| write!(zone, "{nibble:x}."))
        }
    };
    debug_assert_eq!(result, Ok(()), "writing to a String cannot fail");
    zone.push_str(match address.family() {
        Family::Ipv4 => "in-addr.arpa",
        Family::Ipv6 => "ip6.arpa",
    });
    Ok(zone)
}

fn write_names(lines: &mut Lines<'_>) -> Result<()> {
    let Some(dns) = lines.dns() else {
        return Ok(());
    };
    for txt in &dns.txts {
        let (name, value) = (lines.value(&txt.name)?, lines.value(&txt.value)?);
        lines.line(format_args!("txt-record={name},{value}"));
    }
    for srv in &dns.srvs {
        for text in [Some(&srv.service), Some(&srv.protocol), srv.domain.as_ref()] {
            lines.value(text.map_or("", String::as_str))?;
        }
        lines.value(srv.target.as_deref().unwrap_or_default())?;
        lines.line(SrvHost(srv));
    }
    Ok(())
}

/// A `srv-host` line. The numbers are positional: what comes before one that is set has to be said.
struct SrvHost<'d>(&'d SrvRecord);

impl Display for SrvHost<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let SrvRecord { service, protocol, domain, target, port, priority, weight } = self.0;
        write!(f, "srv-host=_{service}._{protocol}")?;
        if let Some(domain) = domain {
            write!(f, ".{domain}")?;
        }
        // A lone dot says that the service does not exist here.
        let Some(target) = target.as_deref().filter(|&target| target != ".") else {
            return Ok(());
        };
        write!(f, ",{target}")?;
        if (*port, *priority, *weight) == (0, 0, 0) {
            return Ok(());
        }
        write!(f, ",{}", (*port).max(1))?;
        if *priority > 0 || *weight > 0 {
            write!(f, ",{priority}")?;
        }
        if *weight > 0 {
            write!(f, ",{weight}")?;
        }
        Ok(())
    }
}

fn write_tftp(lines: &mut Lines<'_>) -> Result<()> {
    let def = lines.def;
    let roots = def.ips.iter().filter(|ip| ip.family() == Family::Ipv4);
    for (at, root) in roots.filter_map(|ip| ip.tftp_root.as_deref()).enumerate() {
        if at == 0 {
            lines.line("enable-tftp");
        }
        let root = lines.value(root)?;
        lines.line(format_args!("tftp-root={root}"));
    }
    Ok(())
}

fn write_dhcp(lines: &mut Lines<'_>, served: &Served<'_>, paths: Paths<'_>) -> Result<()> {
    let mut lease_max: u64 = 0;
    for ip in served.iter() {
        let prefix = lines.prefix(ip)?;
        for range in &ip.dhcp.ranges {
            let (start, end, lease) = (range.start, range.end, LeaseTime(range.lease));
            match ip.effective_netmask() {
                Some(netmask) => {
                    lines.line(format_args!("dhcp-range={start},{end},{netmask}{lease}"));
                }
                None => lines.line(format_args!("dhcp-range={start},{end},{prefix}{lease}")),
            }
            lease_max += u64::from(range.size());
        }
        if ip.dhcp.ranges.is_empty() {
            match ip.family() {
                Family::Ipv4 => lines.line(format_args!("dhcp-range={},static", ip.address)),
                Family::Ipv6 => {
                    lines.line(format_args!("dhcp-range={},static,{prefix}", ip.address));
                }
            }
        }
        if ip.family() == Family::Ipv4 {
            lines.line("dhcp-no-override\ndhcp-authoritative");
            if let Some(bootp) = &ip.dhcp.bootp {
                let file = value(lines.def, &bootp.file)?;
                match bootp.server {
                    Some(server) => lines.line(format_args!("dhcp-boot={file},,{server}")),
                    None => lines.line(format_args!("dhcp-boot={file}")),
                }
            }
        }
    }
    if lease_max > 0 {
        lines.line(format_args!("dhcp-lease-max={lease_max}"));
    }
    if served.iter().next().is_some() {
        let (dir, stem) = (paths.state_dir, file_stem(&lines.def.name));
        lines.line(format_args!("dhcp-hostsfile={dir}/{stem}.hostsfile"));
    }
    Ok(())
}

fn write_tail(lines: &mut Lines<'_>, served: &Served<'_>, paths: Paths<'_>) {
    let def = lines.def;
    if lines.dns().is_some() {
        let (dir, stem) = (paths.state_dir, file_stem(&def.name));
        lines.line(format_args!("addn-hosts={dir}/{stem}.addnhosts"));
    }
    if let Some(mtu) = def.mtu {
        lines.line(format_args!("dhcp-option=option:mtu,{mtu}"));
    }
    if served.ipv6.is_some() {
        lines.line("enable-ra");
    } else {
        for ip in def.ips.iter().filter(|ip| ip.family() == Family::Ipv6) {
            lines.line(format_args!("dhcp-range={},ra-only", ip.address));
        }
    }
    for option in &def.dnsmasq_options {
        lines.line(option);
    }
}

/// A lease time with the comma before it, or nothing.
struct LeaseTime(Option<Lease>);

impl Display for LeaseTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            None => Ok(()),
            Some(Lease::Infinite) => f.write_str(",infinite"),
            Some(Lease::Time { expiry, unit }) => {
                write!(f, ",{expiry}{}", unit.as_str().get(..1).unwrap_or_default())
            }
        }
    }
}

/// The fixed hosts, IPv4 first, in the order of the definition.
fn hosts(def: &Network, served: &Served<'_>) -> Result<String> {
    let mut lines = Lines::new(def);
    for ip in served.iter() {
        for host in &ip.dhcp.hosts {
            for text in [&host.id, &host.name].into_iter().flatten() {
                value(def, text)?;
            }
            value(def, host.mac.as_ref().map_or("", HostMac::as_str))?;
            lines.line(HostLine { host, family: ip.family() });
        }
    }
    Ok(lines.text)
}

/// A line of the hosts file. Its shape goes by the family of the address it is defined under.
struct HostLine<'d> {
    host: &'d DhcpHost,
    family: Family,
}

impl Display for HostLine<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let DhcpHost { mac, id, name, ip, lease } = self.host;
        match (self.family, mac.as_ref().map(HostMac::as_str), id, name) {
            (Family::Ipv4, Some(mac), _, Some(name)) => write!(f, "{mac},{ip},{name}")?,
            (Family::Ipv4, Some(mac), _, None) => write!(f, "{mac},{ip}")?,
            (Family::Ipv4, None, _, name) => {
                write!(f, "{},{ip}", name.as_deref().unwrap_or_default())?;
            }
            (Family::Ipv6, _, Some(id), Some(name)) => write!(f, "id:{id},{name},[{ip}]")?,
            (Family::Ipv6, _, Some(id), None) => write!(f, "id:{id},[{ip}]")?,
            (Family::Ipv6, _, None, name) => {
                write!(f, "{},[{ip}]", name.as_deref().unwrap_or_default())?;
            }
        }
        LeaseTime(*lease).fmt(f)
    }
}

/// Names beside those of clients; entries of one address share a line, at the place of the first.
fn addn_hosts(def: &Network) -> Result<String> {
    let mut place: BTreeMap<Address, usize> = BTreeMap::new();
    let mut merged: Vec<(Address, Vec<&str>)> = Vec::new();
    for host in &def.dns.hosts {
        let at = *place.entry(host.ip).or_insert_with(|| {
            merged.push((host.ip, Vec::new()));
            merged.len() - 1
        });
        for hostname in &host.hostnames {
            let hostname = value(def, hostname)?;
            if let Some((_, names)) = merged.get_mut(at) {
                names.push(hostname);
            }
        }
    }
    let mut lines = Lines::new(def);
    for (ip, names) in merged {
        lines.line(format_args!("{ip}\t{}\t", names.join("\t")));
    }
    Ok(lines.text)
}

#[cfg(test)]
mod tests;
