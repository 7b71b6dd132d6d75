//! Networks with their guests, gathered through the connection for graphs and `net-watch`.

use oxivirt::{DhcpLease, DomainListFlags, DomainXmlFlags, Network, XmlFlags};
use oxivirt_xml::{self as xml, Blanks, Element};
use serde::Serialize;

use crate::failure::Failure;
use crate::format;
use crate::shell::Shell;

/// A network with its guests.
#[derive(Debug, Clone, Default, Serialize)]
pub(crate) struct Node {
    pub(crate) name: String,
    pub(crate) uuid: String,
    pub(crate) active: bool,
    /// `nat`, `route`, `open`, `bridge`, … or `isolated`.
    pub(crate) mode: String,
    pub(crate) bridge: Option<String>,
    /// Host links that carry the network's outgoing packets.
    pub(crate) uplinks: Vec<String>,
    /// Addresses with prefix lengths.
    pub(crate) addresses: Vec<String>,
    pub(crate) guests: Vec<Guest>,
}

/// An interface of a domain, a port, a lease, or all of them if they have the same MAC address.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub(crate) struct Guest {
    /// Name of the running domain.
    pub(crate) domain: Option<String>,
    /// UUID of the port.
    pub(crate) port: Option<String>,
    /// Name of the port's owner.
    pub(crate) owner: Option<String>,
    pub(crate) mac: Option<String>,
    pub(crate) addresses: Vec<String>,
    pub(crate) hostname: Option<String>,
    /// The link on the bridge.
    pub(crate) link: Option<String>,
}

impl Guest {
    /// The name to show: of the domain, owner or host, else the MAC address or the port.
    pub(crate) fn label(&self) -> String {
        let names = [&self.domain, &self.owner, &self.hostname, &self.mac, &self.port];
        names.into_iter().flatten().next().cloned().unwrap_or_default()
    }

    /// The properties other than the label.
    pub(crate) fn details(&self) -> String {
        let label = self.label();
        let mac = self.mac.iter().filter(|mac| **mac != label);
        let host = self.hostname.iter().filter(|host| **host != label);
        let words: Vec<_> =
            mac.chain(&self.addresses).chain(host).chain(&self.link).map(String::as_str).collect();
        words.join("  ")
    }
}

/// Gathers the properties of a network; those that the driver does not support are omitted.
///
/// # Errors
/// If state or XML of the network cannot be read.
pub(crate) fn gather(shell: &Shell, network: &Network) -> Result<Node, Failure> {
    let active = shell.wait(network.is_active())?;
    let xml = shell.wait(network.xml_desc(XmlFlags::NONE))?;
    let mut node = parse(&xml);
    node.name = network.name().to_owned();
    node.uuid = network.uuid().to_string();
    node.active = active;
    if active {
        for port in shell.wait(network.list_all_ports()).unwrap_or_default() {
            let xml = shell.wait(port.xml_desc()).unwrap_or_default();
            node.guests.push(guest(&port.uuid().to_string(), &xml));
        }
    }
    add_leases(&mut node.guests, shell.wait(network.dhcp_leases(None)).unwrap_or_default());
    node.guests.sort_by_key(|guest| (guest.label(), guest.mac.clone()));
    Ok(node)
}

/// An interface of a running domain, and what it is on.
#[derive(Debug, Clone)]
pub(crate) struct Plug {
    network: Option<String>,
    bridge: Option<String>,
    guest: Guest,
}

/// The interfaces of the running domains; none if the connection has no domains.
pub(crate) fn plugs(shell: &mut Shell) -> Result<Vec<Plug>, Failure> {
    let connect = shell.connect()?;
    let domains = shell.wait(connect.list_all_domains(DomainListFlags::ACTIVE));
    let mut found = Vec::new();
    for domain in domains.unwrap_or_default() {
        // a domain that ends meanwhile is omitted
        let xml = shell.wait(domain.xml_desc(DomainXmlFlags::empty())).unwrap_or_default();
        found.extend(plugs_of(domain.name(), &xml));
    }
    Ok(found)
}

fn plugs_of(domain: &str, text: &str) -> Vec<Plug> {
    let Ok(root) = xml::parse(text, Blanks::Drop) else { return Vec::new() };
    let interfaces = root.children("devices").flat_map(|devices| devices.children("interface"));
    let plugs = interfaces.map(|interface| Plug {
        network: attribute(interface, "source", "network"),
        bridge: attribute(interface, "source", "bridge"),
        guest: Guest {
            domain: Some(domain.to_owned()),
            mac: attribute(interface, "mac", "address").map(|mac| mac.to_ascii_lowercase()),
            link: attribute(interface, "target", "dev"),
            ..Guest::default()
        },
    });
    plugs.collect()
}

/// Adds the interfaces that are on a network, each to its port or lease.
pub(crate) fn add_plugs(node: &mut Node, plugs: &[Plug]) {
    let is_here = |plug: &&Plug| {
        let by_bridge = plug.bridge.is_some() && plug.bridge == node.bridge;
        plug.network.as_deref() == Some(node.name.as_str()) || by_bridge
    };
    let here: Vec<&Guest> = plugs.iter().filter(is_here).map(|plug| &plug.guest).collect();
    for guest in here {
        let same = |known: &&mut Guest| known.mac.is_some() && known.mac == guest.mac;
        match node.guests.iter_mut().find(same) {
            Some(known) => {
                known.domain.clone_from(&guest.domain);
                known.link = known.link.take().or_else(|| guest.link.clone());
            }
            None => node.guests.push(guest.clone()),
        }
    }
    node.guests.sort_by_key(|guest| (guest.label(), guest.mac.clone()));
}

fn attribute(element: &Element<'_>, child: &str, name: &str) -> Option<String> {
    Some(element.child(child)?.attribute(name)?.to_owned())
}

fn parse(text: &str) -> Node {
    let Ok(root) = xml::parse(text, Blanks::Drop) else { return Node::default() };
    let mut node = Node { bridge: attribute(&root, "bridge", "name"), ..Node::default() };
    node.mode = match root.child("forward") {
        None => "isolated".to_owned(),
        Some(forward) => {
            let interfaces = forward.children("interface").filter_map(|link| link.attribute("dev"));
            let physical = forward.children("pf").filter_map(|link| link.attribute("dev"));
            node.uplinks.extend(interfaces.chain(physical).map(str::to_owned));
            if let Some(dev) = forward.attribute("dev")
                && !node.uplinks.iter().any(|link| link == dev)
            {
                node.uplinks.push(dev.to_owned());
            }
            forward.attribute("mode").unwrap_or("nat").to_owned()
        }
    };
    node.addresses = root.children("ip").filter_map(address).collect();
    node
}

fn address(ip: &Element<'_>) -> Option<String> {
    let address = ip.attribute("address")?;
    let prefix = match (ip.attribute("prefix"), ip.attribute("netmask")) {
        (Some(prefix), _) => prefix.to_owned(),
        (None, Some(mask)) => {
            let mask: std::net::Ipv4Addr = mask.parse().ok()?;
            u32::from(mask).count_ones().to_string()
        }
        // the prefix of an address class is not shown
        (None, None) => return Some(address.to_owned()),
    };
    Some(format!("{address}/{prefix}"))
}

fn guest(uuid: &str, text: &str) -> Guest {
    let mut guest = Guest { port: Some(uuid.to_owned()), ..Guest::default() };
    if let Ok(root) = xml::parse(text, Blanks::Drop) {
        let owner = root.child("owner").and_then(|owner| owner.child("name"));
        guest.owner = owner.map(|name| name.text().into_owned());
        guest.mac = attribute(&root, "mac", "address").map(|mac| mac.to_ascii_lowercase());
        guest.link = attribute(&root, "link", "dev");
    }
    guest
}

fn add_leases(guests: &mut Vec<Guest>, leases: Vec<DhcpLease>) {
    for lease in leases {
        let mac = lease.mac.map(|mac| mac.to_ascii_lowercase());
        let address = format!("{}/{}", lease.ipaddr, lease.prefix);
        let known = guests.iter_mut().find(|guest| mac.is_some() && guest.mac == mac);
        match known {
            Some(guest) => {
                guest.addresses.push(address);
                guest.hostname = guest.hostname.take().or(lease.hostname);
            }
            None => guests.push(Guest {
                mac,
                addresses: vec![address],
                hostname: lease.hostname,
                ..Guest::default()
            }),
        }
    }
}

/// Traffic counters of a bridge on this host: bytes received and sent, packets received and sent.
pub(crate) fn counters(bridge: &str) -> Option<[u64; 4]> {
    // link names contain no slash
    let dir = std::path::Path::new("/sys/class/net").join(bridge).join("statistics");
    let read = |name: &str| std::fs::read_to_string(dir.join(name)).ok()?.trim().parse().ok();
    Some([read("rx_bytes")?, read("tx_bytes")?, read("rx_packets")?, read("tx_packets")?])
}

/// A lease in the result of `net-lease-wait`.
#[derive(Debug, Serialize)]
pub(crate) struct LeaseRecord<'l> {
    network: &'l str,
    mac: Option<&'l str>,
    address: &'l str,
    prefix: u32,
    hostname: Option<&'l str>,
    expiry: Option<String>,
}

impl<'l> LeaseRecord<'l> {
    pub(crate) fn new(network: &'l str, lease: &'l DhcpLease) -> Self {
        Self {
            network,
            mac: lease.mac.as_deref(),
            address: &lease.ipaddr,
            prefix: lease.prefix,
            hostname: lease.hostname.as_deref(),
            expiry: format::expiry(lease.expiry_time),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn documents() {
        let node = parse(
            "<network><forward mode='nat' dev='eth0'><interface dev='eth0'/></forward><bridge name='b'/>\
             <ip address='10.0.0.1' netmask='255.255.0.0'/><ip family='ipv6' address='fd00::1' prefix='64'/></network>",
        );
        assert_eq!((node.mode.as_str(), node.bridge.as_deref()), ("nat", Some("b")));
        assert_eq!(node.uplinks, ["eth0"]);
        assert_eq!(node.addresses, ["10.0.0.1/16", "fd00::1/64"]);
        assert_eq!(parse("<network/>").mode, "isolated");
    }

    #[test]
    fn interfaces_of_domains_are_merged_with_ports_and_leases() {
        let interface = |mac: &str, source: &str| {
            format!(
                "<interface><mac address='{mac}'/><source {source}/><target dev='t'/></interface>"
            )
        };
        let devices = [
            interface("52:54:00:AA:00:01", "network='lab'"),
            interface("52:54:00:aa:00:02", "bridge='b'"),
            interface("52:54:00:aa:00:03", "network='other'"),
        ];
        let text = format!("<domain><devices>{}</devices></domain>", devices.concat());
        let plugs = plugs_of("vm", &text);
        let known = Guest { mac: Some("52:54:00:aa:00:01".to_owned()), ..Guest::default() };
        let (name, bridge) = ("lab".to_owned(), Some("b".to_owned()));
        let mut node = Node { name, bridge, guests: vec![known], ..Node::default() };
        add_plugs(&mut node, &plugs);
        let found: Vec<_> = node.guests.iter().map(Guest::details).collect();
        assert_eq!(found, ["52:54:00:aa:00:01  t", "52:54:00:aa:00:02  t"]);
        assert!(node.guests.iter().all(|guest| guest.label() == "vm"));
    }

    #[test]
    fn a_lease_is_merged_with_the_port_of_the_same_mac() {
        let mut guests = vec![guest(
            "u",
            "<networkport><owner><name>vm1</name></owner><mac address='52:54:00:AA:00:01'/></networkport>",
        )];
        let lease = |mac: &str, ip: &str| DhcpLease {
            iface: String::new(),
            expiry_time: 0,
            addr_type: oxivirt::IpAddrType::Ipv4,
            mac: Some(mac.to_owned()),
            iaid: None,
            ipaddr: ip.to_owned(),
            prefix: 24,
            hostname: Some("web".to_owned()),
            client_id: None,
        };
        let leases =
            vec![lease("52:54:00:aa:00:01", "10.0.0.2"), lease("52:54:00:aa:00:02", "10.0.0.3")];
        add_leases(&mut guests, leases);
        assert_eq!(guests.len(), 2);
        assert_eq!(guests[0].details(), "52:54:00:aa:00:01  10.0.0.2/24  web");
        assert_eq!(guests[1].label(), "web");
    }
}
