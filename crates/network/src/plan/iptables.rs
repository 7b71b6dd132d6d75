//! The iptables rules of a network: libvirt's, word for word and in its order.
//!
//! Scripts and other programs hook into these chains, so nothing is made better here; what a packet
//! costs grows with the number of networks. Every rule goes to the head of its chain, so the last one
//! is asked first.
//!
//! libvirt 11.3.0: `iptablesAddFirewallRules`, src/network/network_iptables.c

use ipnet::IpNet;
use oxivirt_conf::network::IpDef;
use oxivirt_nft::iptables::Rule;
use oxivirt_nft::{Family, PortRange};
use oxivirt_types::link_name::LinkName;

use super::nftables::{Outside, Traffic};
use crate::network::Network;

/// What guests ask the host for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Services {
    /// Files over TFTP.
    pub tftp: Served,
    /// Addresses over DHCP, and so checksums that guests with old programs accept.
    pub checksum: Served,
    /// Names and addresses over IPv6.
    pub ipv6: Served,
}

/// Whether a service is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Served {
    /// It is.
    Yes,
    /// It is not.
    No,
}

impl From<bool> for Served {
    fn from(is_served: bool) -> Self {
        if is_served { Self::Yes } else { Self::No }
    }
}

impl Services {
    /// The services of a definition; `has_checksum` says whether the kernel can fill in checksums.
    #[must_use]
    pub fn of(network: &Network, has_checksum: bool) -> Self {
        let ipv4 = || network.ips.iter().filter(|ip| ip.family() == Family::Ipv4);
        // libvirt looks at the first address that serves anything, and at no other.
        let serving = |ip: &&IpDef| ip.dhcp.serves() || ip.tftp_root.is_some();
        let tftp = ipv4().find(serving).is_some_and(|ip| ip.tftp_root.is_some());
        Self {
            tftp: tftp.into(),
            checksum: (has_checksum && ipv4().any(|ip| ip.dhcp.serves())).into(),
            ipv6: network.ips.iter().any(|ip| ip.family() == Family::Ipv6).into(),
        }
    }
}

/// The rules of a network in the order in which they are inserted.
#[must_use]
pub fn rules(traffic: &Traffic, services: Services) -> Vec<Rule> {
    let mut rules = Rules { bridge: &traffic.bridge, list: Vec::new() };
    rules.general(traffic, services);
    for subnet in &traffic.subnets {
        let uplink = traffic.uplink.as_ref();
        match &subnet.outside {
            Outside::None => {}
            Outside::Routed => rules.routed(&subnet.net, uplink),
            Outside::Translated { addresses, ports, .. } => {
                rules.translated(&subnet.net, uplink, addresses.as_ref(), *ports);
            }
        }
    }
    if services.checksum == Served::Yes {
        let words = [
            "--out-interface",
            rules.bridge.as_str(),
            "--protocol",
            "udp",
            "--destination-port",
            "68",
            "--jump",
            "CHECKSUM",
            "--checksum-fill",
        ];
        rules.push(Family::Ipv4, "mangle", "LIBVIRT_PRT", words);
        if let Some(rule) = rules.list.last_mut() {
            rule.is_optional = true;
        }
    }
    rules.list
}

struct Rules<'a> {
    bridge: &'a LinkName,
    list: Vec<Rule>,
}

impl Rules<'_> {
    fn push<'w>(
        &mut self,
        family: Family,
        table: &str,
        chain: &str,
        words: impl IntoIterator<Item = &'w str>,
    ) {
        self.list.push(Rule {
            family,
            table: table.to_owned(),
            chain: chain.to_owned(),
            words: words.into_iter().map(str::to_owned).collect(),
            is_optional: false,
        });
    }

    /// Packets of a service to or from the host.
    fn service(&mut self, family: Family, chain: &str, protocol: &str, port: &str) {
        let direction = if chain == "LIBVIRT_INP" { "--in-interface" } else { "--out-interface" };
        let bridge = self.bridge.as_str();
        let words = [direction, bridge, "--protocol", protocol, "--destination-port", port];
        self.push(family, "filter", chain, words.into_iter().chain(["--jump", "ACCEPT"]));
    }

    fn general(&mut self, traffic: &Traffic, services: Services) {
        const PROTOCOLS: [&str; 2] = ["tcp", "udp"];
        for (chain, port) in [
            ("LIBVIRT_INP", "67"),
            ("LIBVIRT_OUT", "68"),
            ("LIBVIRT_INP", "53"),
            ("LIBVIRT_OUT", "53"),
        ] {
            for protocol in PROTOCOLS {
                self.service(Family::Ipv4, chain, protocol, port);
            }
        }
        if services.tftp == Served::Yes {
            self.service(Family::Ipv4, "LIBVIRT_INP", "udp", "69");
            self.service(Family::Ipv4, "LIBVIRT_OUT", "udp", "69");
        }
        self.isolated(Family::Ipv4);
        if traffic.regulates_ipv6 {
            self.isolated(Family::Ipv6);
        }
        if services.ipv6 == Served::Yes {
            for chain in ["LIBVIRT_INP", "LIBVIRT_OUT"] {
                for protocol in PROTOCOLS {
                    self.service(Family::Ipv6, chain, protocol, "53");
                }
            }
            self.service(Family::Ipv6, "LIBVIRT_INP", "udp", "547");
            self.service(Family::Ipv6, "LIBVIRT_OUT", "udp", "546");
        }
    }

    /// Nothing passes but within the bridge.
    fn isolated(&mut self, family: Family) {
        let bridge = self.bridge.as_str();
        let (from, to) = (["--in-interface", bridge], ["--out-interface", bridge]);
        let jump = |target| ["--jump", target];
        self.push(family, "filter", "LIBVIRT_FWO", from.into_iter().chain(jump("REJECT")));
        self.push(family, "filter", "LIBVIRT_FWI", to.into_iter().chain(jump("REJECT")));
        let within = from.into_iter().chain(to).chain(jump("ACCEPT"));
        self.push(family, "filter", "LIBVIRT_FWX", within);
    }

    /// What a subnet may send.
    fn outgoing(&mut self, net: &IpNet, uplink: Option<&LinkName>) {
        let net_text = net.trunc().to_string();
        let mut words = vec!["--source", &net_text, "--in-interface", self.bridge.as_str()];
        words.extend(uplink.iter().flat_map(|link| ["--out-interface", link.as_str()]));
        words.extend(["--jump", "ACCEPT"]);
        self.push(Family::of_net(net), "filter", "LIBVIRT_FWO", words);
    }

    /// What a subnet may receive.
    fn incoming(&mut self, net: &IpNet, uplink: Option<&LinkName>, condition: &[&str]) {
        let net_text = net.trunc().to_string();
        let mut words = vec!["--destination", net_text.as_str()];
        words.extend(uplink.iter().flat_map(|link| ["--in-interface", link.as_str()]));
        words.extend(["--out-interface", self.bridge.as_str()]);
        words.extend(condition);
        words.extend(["--jump", "ACCEPT"]);
        self.push(Family::of_net(net), "filter", "LIBVIRT_FWI", words);
    }

    fn routed(&mut self, net: &IpNet, uplink: Option<&LinkName>) {
        self.outgoing(net, uplink);
        self.incoming(net, uplink, &[]);
    }

    fn translated(
        &mut self,
        net: &IpNet,
        uplink: Option<&LinkName>,
        addresses: Option<&(std::net::IpAddr, std::net::IpAddr)>,
        ports: PortRange,
    ) {
        let family = Family::of_net(net);
        self.outgoing(net, uplink);
        self.incoming(net, uplink, &["--match", "conntrack", "--ctstate", "ESTABLISHED,RELATED"]);
        let net = net.trunc().to_string();
        let ports = format!("{}-{}", ports.start, ports.end);
        for protocol in [None, Some("udp"), Some("tcp")] {
            let mut words = vec!["--source", &net];
            words.extend(protocol.iter().flat_map(|protocol| ["-p", protocol]));
            words.extend(["!", "--destination", &net]);
            words.extend(uplink.iter().flat_map(|link| ["--out-interface", link.as_str()]));
            let mut target = String::new();
            match addresses {
                Some((start, end)) => {
                    target = format!("{start}-{end}");
                    if protocol.is_some() {
                        target = format!("{target}:{ports}");
                    }
                    words.extend(["--jump", "SNAT", "--to-source"]);
                }
                None => {
                    words.extend(["--jump", "MASQUERADE"]);
                    if protocol.is_some() {
                        words.extend(["--to-ports", &ports]);
                    }
                }
            }
            words.extend(Some(target.as_str()).filter(|target| !target.is_empty()));
            self.push(family, "nat", "LIBVIRT_PRT", words);
        }
        let local: &[&str] = match family {
            Family::Ipv4 => &["255.255.255.255/32", "224.0.0.0/24"],
            Family::Ipv6 => &["ff02::/16"],
        };
        for destination in local {
            let mut words = Vec::new();
            words.extend(uplink.iter().flat_map(|link| ["--out-interface", link.as_str()]));
            words.extend(["--source", &net, "--destination", destination, "--jump", "RETURN"]);
            self.push(family, "nat", "LIBVIRT_PRT", words);
        }
    }
}
