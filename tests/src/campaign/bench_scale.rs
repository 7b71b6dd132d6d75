//! How the number of networks on a host weighs on its packets (`cargo xtask bench scale`).
//!
//! A sender, a router and a receiver, each a namespace; the router holds the rules of 1, 10, 100 and
//! 1,000 NAT networks, ours (nftables) or libvirt's (nftables, iptables: that is our iptables backend
//! too). The packets concern none of the networks: what is measured is what everybody on the host pays.
//! All routers are measured in turn, five times, and the medians printed: packets of 64 bytes of one
//! established flow, and of flows that begin with every packet.
//!
//! `oxivirt-campaign bench-scale [--rounds N] [--largest N]`

use std::collections::BTreeMap;
use std::net::{SocketAddr, SocketAddrV4, UdpSocket};
use std::time::{Duration, Instant};

use crate::Netns;
use crate::error::{Error, Result};
use crate::host::campaign;
use crate::process::Running;
use oxivirt_conf::network::NetworkDef;
use oxivirt_conf::status::FirewallBackend;
use oxivirt_network::Network;
use oxivirt_network::components::rules::{self, Firewall, IptablesChange, Rules, RulesChange};
use oxivirt_nft::iptables::{Listing, Rule, Unused, script};
use oxivirt_nft::kernel::Nftables;

/// How long one measurement takes.
const TIME: Duration = Duration::from_millis(500);
/// 64 bytes on the wire but for the frame's checksum: 22 behind Ethernet, IPv4 and UDP.
const PAYLOAD: [u8; 22] = [0; 22];
/// How many flows begin before their ports come again.
const FLOWS: u16 = 60_000;
const ROUNDS: usize = 5;
/// Of what one network leaves, at least this much has to be left with the largest number.
const GOAL_FLAT: f64 = 0.95;
/// How many times libvirt's rate ours has to be with the largest number.
const GOAL_RATIO: f64 = 15.0;

pub(super) fn run(words: &[String]) -> Result<bool> {
    let words: Vec<_> = words.iter().map(String::as_str).collect();
    match words.as_slice() {
        ["load", count] => load(count)?,
        ["sink", address] => sink(address)?,
        ["blast", address, flows] => blast(address, *flows == "new")?,
        options => measure(options)?,
    }
    Ok(true)
}

fn wrong(error: impl std::fmt::Display) -> Error {
    Error::Wrong(error.to_string())
}

/// A NAT network with a subnet of its own.
fn network(number: usize) -> Result<Network> {
    let (high, low) = (number / 256, number % 256);
    let xml = format!(
        "<network><name>n{number}</name><forward mode='nat'/><bridge name='vb{number}'/>\
         <mac address='52:54:00:00:{high:02x}:{low:02x}'/>\
         <ip address='10.{high}.{low}.1' prefix='24'><dhcp><range start='10.{high}.{low}.2' \
         end='10.{high}.{low}.99'/></dhcp></ip></network>"
    );
    Ok(Network::new(NetworkDef::parse(&xml).map_err(wrong)?, uuid::Uuid::nil))
}

fn rules_of(count: usize, backend: FirewallBackend) -> Result<Vec<RulesChange>> {
    let firewall = Firewall { backend, ..Firewall::default() };
    let mut changes = Vec::new();
    for number in 0..count {
        match rules::wanted(&network(number)?, &[0], firewall).map_err(wrong)? {
            Some(Rules::Nftables(load)) => changes.push(RulesChange::Nftables(load)),
            Some(Rules::Iptables(add)) => {
                changes.push(RulesChange::Iptables(IptablesChange { remove: Vec::new(), add }));
            }
            None => {}
        }
    }
    Ok(changes)
}

/// Loads our nftables rules of so many networks, in this network namespace.
#[tokio::main(flavor = "current_thread")]
async fn load(count: &str) -> Result<()> {
    let changes = rules_of(count.parse().map_err(wrong)?, FirewallBackend::Nftables)?;
    let changes: Vec<_> = changes.iter().collect();
    let nft = Nftables::open().map_err(wrong)?;
    for change in RulesChange::merged(&changes) {
        if let RulesChange::Nftables(load) = change {
            nft.apply(load).await.map_err(wrong)?;
        }
    }
    Ok(())
}

/// What libvirt's nftables backend has for so many networks. The bridges are named by numbers that no
/// link has, which costs the same.
fn libvirt_text(count: usize) -> String {
    let table = "ip libvirt_network";
    let mut text = format!(
        "add table {table}\n\
         add chain {table} forward {{ type filter hook forward priority 0; policy accept; }}\n"
    );
    for chain in ["guest_output", "guest_input", "guest_cross"] {
        text.push_str(&format!("add chain {table} {chain}\n"));
        text.push_str(&format!("insert rule {table} forward counter jump {chain}\n"));
    }
    text.push_str(&format!(
        "add chain {table} guest_nat {{ type nat hook postrouting priority 100; policy accept; }}\n"
    ));
    for number in 0..count {
        let bridge = 100_000 + number;
        let net = format!("10.{}.{}.0/24", number / 256, number % 256);
        let mut insert = |chain: &str, rule: &str| {
            text.push_str(&format!("insert rule {table} {chain} {rule}\n"));
        };
        insert("guest_output", &format!("iif {bridge} counter reject"));
        insert("guest_input", &format!("oif {bridge} counter reject"));
        insert("guest_cross", &format!("iif {bridge} oif {bridge} counter accept"));
        insert("guest_output", &format!("ip saddr {net} iif {bridge} counter accept"));
        insert(
            "guest_input",
            &format!("oif {bridge} ip daddr {net} ct state related,established counter accept"),
        );
        let nat = format!("ip saddr {net} ip daddr != {net}");
        insert("guest_nat", &format!("{nat} counter masquerade"));
        for protocol in ["udp", "tcp"] {
            let ports = "counter masquerade to :1024-65535";
            insert("guest_nat", &format!("meta l4proto {protocol} {nat} {ports}"));
        }
        for local in ["255.255.255.255/32", "224.0.0.0/24"] {
            insert("guest_nat", &format!("ip saddr {net} ip daddr {local} counter return"));
        }
    }
    text
}

fn sink(address: &str) -> Result<()> {
    let _socket = UdpSocket::bind(address).map_err(wrong)?;
    println!("ready");
    // Ends with its input; what comes is counted by the link.
    std::io::read_to_string(std::io::stdin()).map(drop).map_err(wrong)
}

fn blast(address: &str, begins_flows: bool) -> Result<()> {
    let to: SocketAddrV4 = address.parse().map_err(wrong)?;
    let socket = UdpSocket::bind("0.0.0.0:0").map_err(wrong)?;
    if !begins_flows {
        socket.connect(to).map_err(wrong)?;
    }
    let begin = Instant::now();
    let mut port = 0;
    while begin.elapsed() < TIME {
        for _ in 0..64 {
            // What the kernel refuses is not delivered, and that is what is counted.
            let _sent = if begins_flows {
                port = (port + 1) % FLOWS;
                socket.send_to(&PAYLOAD, SocketAddr::from((*to.ip(), 2000 + port)))
            } else {
                socket.send(&PAYLOAD)
            };
        }
    }
    println!("{}", begin.elapsed().as_nanos());
    Ok(())
}

/// Whose rules a router has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Layout {
    Ours,
    LibvirtNftables,
    LibvirtIptables,
}

impl Layout {
    const ALL: [Self; 3] = [Self::Ours, Self::LibvirtNftables, Self::LibvirtIptables];

    fn as_str(self) -> &'static str {
        match self {
            Self::Ours => "ours, nftables",
            Self::LibvirtNftables => "libvirt's, nftables",
            Self::LibvirtIptables => "libvirt's, iptables",
        }
    }
}

struct Lab {
    sender: Netns,
    receiver: Netns,
    _sink: Running,
    _router: Netns,
}

impl Lab {
    fn new(layout: Layout, count: usize) -> Result<Self> {
        let router = Netns::new()?;
        let (sender, receiver) = (router.nested()?, router.nested()?);
        for (link, host, net) in [("left", &sender, "198.51.1"), ("right", &receiver, "198.51.2")] {
            router.veth(link, host, "eth0")?;
            router.sh(&format!("ip address add {net}.1/24 dev {link}; ip link set {link} up"))?;
            host.sh(&format!(
                "ip address add {net}.2/24 dev eth0; ip link set eth0 up; \
                 ip route add default via {net}.1"
            ))?;
        }
        router.sh("echo 1 > /proc/sys/net/ipv4/ip_forward")?;
        let patience = Duration::from_secs(120);
        match layout {
            Layout::Ours => {
                let run = campaign(NAME)?.args(["load", &count.to_string()]);
                let run = run.behind(router.prefix());
                run.deadline(patience).stdout()?;
            }
            Layout::LibvirtNftables => {
                let run = router.run(["nft", "-f", "-"]).input(libvirt_text(count));
                run.deadline(patience).stdout()?;
            }
            Layout::LibvirtIptables => {
                let mut all: Vec<Rule> = Vec::new();
                for change in rules_of(count, FirewallBackend::Iptables)? {
                    if let RulesChange::Iptables(IptablesChange { add, .. }) = change {
                        all.extend(add);
                    }
                }
                let text = script(&Listing::default(), &[], &all, Unused::Keep).unwrap_or_default();
                let run = router.run(["iptables-restore", "--noflush"]).input(text);
                run.deadline(patience).stdout()?;
            }
        }
        let mut sink = campaign(NAME)?.args(["sink", TARGET]).behind(receiver.prefix()).start()?;
        sink.line()?;
        Ok(Self { sender, receiver, _sink: sink, _router: router })
    }

    /// Packets that arrive in a second.
    fn rate(&self, flows: &str) -> Result<f64> {
        let before = self.received()?;
        let blast = campaign(NAME)?.args(["blast", TARGET, flows]);
        let time = blast.behind(self.sender.prefix()).stdout()?;
        let nanoseconds: f64 = time.trim().parse().map_err(wrong)?;
        Ok((self.received()? - before) / nanoseconds * 1e9)
    }

    fn received(&self) -> Result<f64> {
        let path = "/sys/class/net/eth0/statistics/rx_packets";
        self.receiver.sh(&format!("cat {path}"))?.trim().parse().map_err(wrong)
    }
}

/// This subcommand.
const NAME: &str = "bench-scale";
const TARGET: &str = "198.51.2.2:9";

fn measure(options: &[&str]) -> Result<()> {
    let (mut rounds, mut largest) = (ROUNDS, 1000);
    let mut words = options.iter();
    while let Some(word) = words.next() {
        let value = words.next().and_then(|value| value.parse().ok()).filter(|value| *value > 0);
        let value = value.ok_or_else(|| Error::Wrong(format!("'{word}' wants a number")))?;
        match *word {
            "--rounds" => rounds = value,
            "--largest" => largest = value,
            other => return Err(Error::Wrong(format!("unknown option '{other}'"))),
        }
    }
    let counts: Vec<usize> = [1, 10, 100, 1000].into_iter().filter(|n| *n <= largest).collect();
    let mut labs = Vec::new();
    for layout in Layout::ALL {
        for count in &counts {
            labs.push((layout, *count, Lab::new(layout, *count)?));
        }
    }
    let mut rates: BTreeMap<(Layout, usize, &str), Vec<f64>> = BTreeMap::new();
    for _ in 0..rounds {
        for flows in ["one", "new"] {
            for (layout, count, lab) in &labs {
                rates.entry((*layout, *count, flows)).or_default().push(lab.rate(flows)?);
            }
        }
    }
    let median = |layout: Layout, count: usize, flows: &'static str| {
        let mut all = rates.get(&(layout, count, flows)).cloned().unwrap_or_default();
        all.sort_by(f64::total_cmp);
        all.get(all.len() / 2).copied().unwrap_or_default()
    };
    println!("thousand packets a second, 64 bytes, medians of {rounds} rounds in turn");
    for (flows, what) in [("one", "one established flow"), ("new", "a new flow with every packet")]
    {
        print!("{what:<30}");
        counts.iter().for_each(|count| print!("{:>10}", format!("{count}")));
        println!();
        for layout in Layout::ALL {
            print!("  {:<28}", layout.as_str());
            for count in &counts {
                print!("{:>10.0}", median(layout, *count, flows) / 1e3);
            }
            println!();
        }
    }
    let most = counts.last().copied().unwrap_or(1);
    let flat = median(Layout::Ours, most, "one") / median(Layout::Ours, 1, "one");
    println!(
        "ours with {most} of ours with 1: {:.1} % (goal: {:.0} %)",
        flat * 1e2,
        GOAL_FLAT * 1e2
    );
    for layout in [Layout::LibvirtNftables, Layout::LibvirtIptables] {
        let ratio = median(Layout::Ours, most, "one") / median(layout, most, "one");
        println!("ours of {} with {most}: {ratio:.1} times (goal: {GOAL_RATIO})", layout.as_str());
    }
    Ok(())
}
