//! A definition as the specification of our own address and name service.
//!
//! Which definitions it can serve is decided here, and nowhere else; the others get a dnsmasq.

use std::net::{IpAddr, Ipv6Addr};

use oxivirt_conf::network::{Dhcp, DhcpHost, DhcpRange, IpDef, Lease};
use oxivirt_conf::{DhcpServer, YesNo};
use oxivirt_netserv_api::{
    Boot, Dhcp4Spec, Dhcp6Spec, DnsSpec, Forwarder, Host4, Host6, HostNames, LeaseTime,
    NetworkSpec, OwnAddress, RaSpec, Range4, Range6, Srv, TftpRoot, Txt,
};
use oxivirt_types::ip::{Address, Family};
use oxivirt_types::link_name::LinkName;
use oxivirt_xml::{Blanks, parse};

use super::error::PlanError;
use super::policy::Reach;
use crate::network::Network;

/// The namespace of our elements in a network's metadata.
const NAMESPACE: &str = "urn:oxivirt:network:1";

/// The server that a network gets: what its metadata asks for, else what the administrator set.
///
/// # Errors
/// [`PlanError::ServerWord`] for a word that is no server, [`PlanError::ServerOptions`] if options of dnsmasq stand
/// beside a wish for the other server.
pub(crate) fn server(network: &Network, default: DhcpServer) -> Result<DhcpServer, PlanError> {
    let has_options = !network.dnsmasq_options.is_empty();
    match wish(network)? {
        Some(DhcpServer::Builtin) if has_options => Err(PlanError::ServerOptions),
        Some(wish) => Ok(wish),
        None if has_options => Ok(DhcpServer::Dnsmasq),
        None => Ok(default),
    }
}

/// What the network's metadata ask for.
fn wish(network: &Network) -> Result<Option<DhcpServer>, PlanError> {
    let Some(text) = network.metadata.as_ref().and_then(|metadata| metadata.get(NAMESPACE)) else {
        return Ok(None);
    };
    // It was parsed as a part of the definition before.
    let Ok(element) = parse(&text, Blanks::Drop) else { return Ok(None) };
    if element.name != "service" {
        return Ok(None);
    }
    let Some(word) = element.attribute("server") else { return Ok(None) };
    match word {
        "builtin" => Ok(Some(DhcpServer::Builtin)),
        "dnsmasq" => Ok(Some(DhcpServer::Dnsmasq)),
        _ => Err(PlanError::ServerWord { word: word.to_owned() }),
    }
}

/// What of a definition the service does not serve yet.
pub(crate) fn unserved(network: &Network) -> Option<&'static str> {
    let n_serving =
        |family| network.ips.iter().filter(|ip| ip.family() == family && ip.dhcp.serves()).count();
    let has_several = [Family::Ipv4, Family::Ipv6].into_iter().any(|family| n_serving(family) > 1);
    has_several.then_some("DHCP on several addresses of a version of IP")
}

/// The specification of a network that can be served; the index of its bridge is known only on the host.
///
/// # Errors
/// [`PlanError`] if the definition lacks what a start needs.
pub(crate) fn spec(network: &Network, bridge: &LinkName) -> Result<NetworkSpec, PlanError> {
    let mut spec = NetworkSpec::new(network.uuid(), bridge.as_str(), 0, network.required_mac()?.0);
    spec.name.clone_from(&network.name);
    spec.mtu = network.mtu.map_or(1500, std::num::NonZeroU32::get);
    spec.mtu_option = network.mtu.and_then(|mtu| u16::try_from(mtu.get()).ok());
    spec.is_forwarded = network.policy().reach != Reach::Isolated;
    spec.domain.clone_from(&network.domain.name);
    for ip in &network.ips {
        let prefix = prefix(ip, bridge)?;
        let local_ptr = ip.local_ptr == Some(YesNo::Yes);
        spec.addresses.push(OwnAddress { address: ip.address.ip(), prefix, local_ptr });
        match ip.address.ip() {
            IpAddr::V4(address) => {
                if ip.dhcp.serves() {
                    spec.dhcp4 = Some(dhcp4(address, prefix, &ip.dhcp));
                }
                let root = |path: &String| TftpRoot { address: address.into(), path: path.clone() };
                spec.tftp.extend(ip.tftp_root.as_ref().map(root));
            }
            IpAddr::V6(address) => {
                let ra = spec.ra.get_or_insert_with(RaSpec::default);
                ra.prefixes.push((address, prefix));
                if ip.dhcp.serves() {
                    let dhcp = dhcp6(address, prefix, &ip.dhcp);
                    ra.lease = dhcp.ranges.iter().filter_map(|range| range.lease).min();
                    spec.dhcp6 = Some(dhcp);
                }
            }
        }
    }
    spec.dns = network.dns.is_enabled().then(|| dns(network));
    spec.generation = spec.fingerprint();
    Ok(spec)
}

fn prefix(ip: &IpDef, bridge: &LinkName) -> Result<u8, PlanError> {
    ip.effective_prefix().ok_or_else(|| PlanError::Prefix { bridge: bridge.clone() })
}

fn dhcp4(address: std::net::Ipv4Addr, prefix: u8, dhcp: &Dhcp) -> Dhcp4Spec {
    let range = |range: &DhcpRange| {
        let (start, end) = (range.start.ipv4()?, range.end.ipv4()?);
        Some(Range4 { start, end, lease: range.lease.map(lease) })
    };
    let host = |host: &DhcpHost| Host4 {
        mac: host.mac.as_ref().map(|mac| mac.mac().0),
        client_id: None,
        name: host.name.clone(),
        address: host.ip.ipv4(),
        lease: host.lease.map(lease),
    };
    let boot = dhcp.bootp.as_ref().map(|boot| Boot {
        file: boot.file.clone(),
        server: boot.server.as_ref().and_then(Address::ipv4),
    });
    Dhcp4Spec {
        ranges: dhcp.ranges.iter().filter_map(range).collect(),
        hosts: dhcp.hosts.iter().map(host).collect(),
        boot,
        ..Dhcp4Spec::new(address, prefix)
    }
}

fn dhcp6(address: Ipv6Addr, prefix: u8, dhcp: &Dhcp) -> Dhcp6Spec {
    let range = |range: &DhcpRange| match (range.start.ip(), range.end.ip()) {
        (IpAddr::V6(start), IpAddr::V6(end)) => {
            Some(Range6 { start, end, lease: range.lease.map(lease) })
        }
        _ => None,
    };
    let host = |host: &DhcpHost| Host6 {
        duid: host.id.as_deref().and_then(duid),
        name: host.name.clone(),
        address: match host.ip.ip() {
            IpAddr::V6(address) => Some(address),
            IpAddr::V4(_) => None,
        },
        lease: host.lease.map(lease),
    };
    Dhcp6Spec {
        address,
        prefix,
        ranges: dhcp.ranges.iter().filter_map(range).collect(),
        hosts: dhcp.hosts.iter().map(host).collect(),
    }
}

/// The bytes of a DUID that is written in hexadecimal digits and colons.
fn duid(text: &str) -> Option<Vec<u8>> {
    text.split(':').map(|byte| u8::from_str_radix(byte, 16).ok()).collect()
}

fn lease(lease: Lease) -> LeaseTime {
    match lease.seconds() {
        None => LeaseTime::Infinite,
        Some(seconds) => {
            LeaseTime::Seconds(u32::try_from(seconds).unwrap_or(u32::MAX - 1).max(LeaseTime::MIN))
        }
    }
}

fn dns(network: &Network) -> DnsSpec {
    let dns = &network.dns;
    let some = |number: u16| (number != 0).then_some(number);
    DnsSpec {
        is_local_only: network.domain.local_only == Some(YesNo::Yes),
        forwards_plain_names: dns.forward_plain_names != Some(YesNo::No),
        forwarders: dns
            .forwarders
            .iter()
            .map(|forwarder| Forwarder {
                domain: forwarder.domain.clone(),
                address: forwarder.addr.as_ref().map(Address::ip),
            })
            .collect(),
        hosts: dns
            .hosts
            .iter()
            .map(|host| HostNames { address: host.ip.ip(), names: host.hostnames.clone() })
            .collect(),
        txt: dns
            .txts
            .iter()
            .map(|txt| Txt { name: txt.name.clone(), value: txt.value.clone() })
            .collect(),
        srv: dns
            .srvs
            .iter()
            .map(|srv| Srv {
                service: srv.service.clone(),
                protocol: srv.protocol.clone(),
                domain: srv.domain.clone(),
                target: srv.target.clone(),
                port: some(srv.port),
                priority: some(srv.priority),
                weight: some(srv.weight),
            })
            .collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn network(inside: &str) -> Network {
        Network::parsed(&format!(
            "<network><name>n</name><bridge name='b0'/><mac address='52:54:00:00:00:09'/>{inside}</network>"
        ))
    }

    fn spec_of(inside: &str) -> NetworkSpec {
        let network = network(inside);
        spec(&network, network.bridge().unwrap()).unwrap()
    }

    const WISH: &str =
        "<metadata><o:service xmlns:o='urn:oxivirt:network:1' server='builtin'/></metadata>";

    #[test]
    fn the_definition_is_told_in_full() {
        let spec = spec_of(
            "<forward mode='nat'/><mtu size='1400'/><domain name='example.org' localOnly='yes'/>\
             <dns><host ip='10.1.0.9'><hostname>x</hostname></host></dns>\
             <ip address='10.1.0.1' prefix='24'><dhcp><range start='10.1.0.2' end='10.1.0.5'><lease expiry='2' unit='hours'/></range>\
             <host mac='52:54:00:aa:00:01' name='a' ip='10.1.0.7'/><bootp file='f'/></dhcp></ip>",
        );
        let dhcp = spec.dhcp4.as_ref().unwrap();
        assert_eq!(dhcp.ranges[0].lease, Some(LeaseTime::Seconds(7200)));
        assert_eq!(dhcp.hosts[0].mac, Some([0x52, 0x54, 0, 0xaa, 0, 1]));
        assert_eq!(dhcp.boot.as_ref().unwrap().file, "f");
        assert_eq!((spec.mtu_option, spec.is_forwarded), (Some(1400), true));
        assert!(spec.dns.as_ref().unwrap().is_local_only);
        assert_eq!(spec.check(), Ok(()));
        assert!(!spec_of("<ip address='10.1.0.1' prefix='24'/>").is_forwarded);
    }

    #[test]
    fn a_changed_definition_is_another_generation() {
        let of = |end: u8| {
            spec_of(&format!(
                "<ip address='10.1.0.1' prefix='24'><dhcp><range start='10.1.0.2' end='10.1.0.{end}'/></dhcp></ip>"
            ))
        };
        assert_eq!(of(9).generation, of(9).generation);
        assert_ne!(of(9).generation, of(8).generation);
    }

    #[test]
    fn metadata_choose_the_server() {
        let with = |inside: &str, default| server(&network(inside), default).ok();
        assert_eq!(with("", DhcpServer::Dnsmasq), Some(DhcpServer::Dnsmasq));
        assert_eq!(with("", DhcpServer::Builtin), Some(DhcpServer::Builtin));
        assert_eq!(with(WISH, DhcpServer::Dnsmasq), Some(DhcpServer::Builtin));
        let dnsmasq = WISH.replace("builtin", "dnsmasq");
        assert_eq!(with(&dnsmasq, DhcpServer::Builtin), Some(DhcpServer::Dnsmasq));
        assert_eq!(with(&WISH.replace("builtin", "kea"), DhcpServer::Builtin), None);
    }

    #[test]
    fn ipv6_and_tftp_are_said_as_well() {
        let spec = spec_of(
            "<ip address='10.1.0.1' prefix='24'><tftp root='/srv/tftp'/></ip>\
             <ip family='ipv6' address='fd00::1' prefix='64'><dhcp>\
             <range start='fd00::10' end='fd00::ff'><lease expiry='3' unit='hours'/></range>\
             <host id='0:4:7e:11' name='a' ip='fd00::7'/></dhcp></ip>\
             <ip family='ipv6' address='fd01::1' prefix='64'/>",
        );
        let dhcp = spec.dhcp6.as_ref().unwrap();
        assert_eq!(dhcp.ranges[0].lease, Some(LeaseTime::Seconds(10_800)));
        assert_eq!(dhcp.hosts[0].duid.as_deref(), Some(&[0, 4, 0x7e, 0x11][..]));
        let ra = spec.ra.as_ref().unwrap();
        assert_eq!(ra.prefixes.len(), 2);
        assert_eq!(ra.lease, Some(LeaseTime::Seconds(10_800)));
        assert_eq!(spec.tftp[0].path, "/srv/tftp");
        assert_eq!(spec.check(), Ok(()));
        assert!(spec_of("<ip address='10.1.0.1' prefix='24'/>").ra.is_none());
    }

    #[test]
    fn what_is_not_served_is_named() {
        assert_eq!(unserved(&network("<ip address='10.1.0.1' prefix='24'/>")), None);
        let ipv6 = "<ip family='ipv6' address='fd00::1' prefix='64'/>";
        assert_eq!(unserved(&network(ipv6)), None);
        let with_range = |net: u8| {
            format!(
                "<ip address='10.{net}.0.1' prefix='24'><dhcp><range start='10.{net}.0.2' end='10.{net}.0.5'/></dhcp></ip>"
            )
        };
        let several = [with_range(1), with_range(2)].concat();
        assert!(unserved(&network(&several)).is_some());
    }
}
