//! Packet probes through running networks, compared with what is expected of them.
//!
//! A data set is a directory with `topology.toml` (networks to start, hosts and the links they are
//! on) and a table of expected results, one probe a row. The host that runs the networks is the
//! router between the rest; every host is a namespace. Which rules make the networks behave is
//! irrelevant here: libvirt's and ours are judged by the same table.

mod table;
mod topology;

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::Path;

pub use table::{Family, Row};
pub use topology::{HostLink, Topology, name_of};

use crate::error::{Error, Result};
use crate::host::{Host, Subject, campaign};
use crate::netns::Netns;
use crate::probe::{Outcome, Protocol, Question};
use crate::process::Running;

/// Pairs of hosts whose rows may differ under Oxivirt, from a guest of an isolated or NAT network
/// to one of a routed network.
///
/// Under libvirt's rules such packets arrive and their answers do not; ours stop them on the way
/// there, so a rejection may take the place of the silence (deviation F7). For a NAT network these
/// are packets with a source outside of its subnet: the rest is accepted and translated.
pub const ONE_WAY: &[(&str, &str)] = &[("lc0", "lb0"), ("ld0", "lb0"), ("la0spoof", "lb0")];

/// How often a probe is asked again whose unexpected result may be chance.
const REPEATS: usize = 2;

/// What a data set showed.
#[derive(Debug, Default)]
pub struct Verdict {
    /// Rows whose result is the expected one.
    pub agreed: usize,
    /// Rows that differ and may ([`ONE_WAY`]): the expected row and what was found.
    pub deviations: Vec<(Row, Row)>,
    /// Rows that differ and may not.
    pub disagreements: Vec<(Row, Row)>,
    /// Of the [`ONE_WAY`] rows with datagrams: which arrived, and which did not.
    pub one_way_heard: Vec<Row>,
    /// See [`Self::one_way_heard`].
    pub one_way_silent: Vec<Row>,
}

/// Starts the networks of a data set and asks all its questions.
///
/// # Errors
/// The data cannot be read, or the networks or hosts cannot be set up.
pub fn judge(subject: Subject, directory: &Path) -> Result<Verdict> {
    let topology = Topology::read(directory)?;
    let rows = table::read(&directory.join(&topology.expected))?;
    let mut lab = Lab::new(subject, directory, topology)?;
    let found = lab.ask_all(&rows)?;
    let received = lab.received()?;
    let mut verdict = Verdict::default();
    for (number, (row, found)) in (0..).zip(rows.into_iter().zip(found)) {
        let one_way = ONE_WAY.contains(&(&*row.from, &*row.to));
        if one_way && row.protocol == Protocol::Udp {
            let silent = !received.contains(&number);
            let list =
                if silent { &mut verdict.one_way_silent } else { &mut verdict.one_way_heard };
            list.push(row.clone());
        }
        if found == row {
            verdict.agreed += 1;
        } else if subject == Subject::Oxivirt && one_way && !found.is_delivered() {
            verdict.deviations.push((row, found));
        } else {
            verdict.disagreements.push((row, found));
        }
    }
    Ok(verdict)
}

/// The running networks with all hosts on them.
struct Lab {
    topology: Topology,
    hosts: BTreeMap<String, Netns>,
    servers: Vec<Running>,
    // Last, because the rest is nested in it.
    router: Host,
}

impl Lab {
    fn new(subject: Subject, directory: &Path, topology: Topology) -> Result<Self> {
        let router = Host::new(subject)?;
        let mut hosts = BTreeMap::new();
        for host in &topology.host {
            hosts.insert(host.name.clone(), router.netns().nested()?);
        }
        let mut lab = Self { topology, hosts, servers: Vec::new(), router };
        lab.set_sysctls()?;
        // Networks may name the links to the outside, so these come first.
        lab.connect(|host| !host.is_on_bridge())?;
        for file in &lab.topology.networks {
            let path = directory.join(file);
            let xml = std::fs::read_to_string(&path).map_err(Error::file(&path))?;
            lab.router.define(&xml)?;
            lab.router.start(name_of(&xml)?)?;
        }
        lab.connect(HostLink::is_on_bridge)?;
        for host in lab.topology.host.iter().filter(|host| host.is_on_bridge()) {
            lab.router.netns().wait_forwarding(&port_of(host))?;
        }
        lab.router.netns().wait_addresses()?;
        lab.serve()?;
        Ok(lab)
    }

    /// Rates of error messages are limited by default, and lost rejects look like silence. Some
    /// kernels have these switches for the whole machine only; then the default has to do.
    fn set_sysctls(&self) -> Result<()> {
        for netns in self.hosts.values().chain([self.router.netns()]) {
            for (name, value) in &self.topology.sysctl {
                let path = format!("/proc/sys/{}", name.replace('.', "/"));
                netns.sh(&format!("if [ -w {path} ]; then echo {value} > {path}; fi"))?;
            }
        }
        Ok(())
    }

    fn connect(&self, wanted: impl Fn(&HostLink) -> bool) -> Result<()> {
        let router = self.router.netns();
        for host in self.topology.host.iter().filter(|host| wanted(host)) {
            let netns = self.host(&host.name)?;
            let link = &host.link;
            if host.is_on_bridge() {
                let port = port_of(host);
                router.veth(&port, netns, "eth0")?;
                router.sh(&format!("ip link set {port} master {link} up"))?;
            } else {
                router.veth(link, netns, "eth0")?;
                for address in &host.addresses {
                    let gateway = topology::gateway(address)?;
                    let (_, prefix) = topology::split(address)?;
                    router.sh(&format!(
                        "ip address add {gateway}/{prefix} dev {link} {}",
                        nodad(gateway)
                    ))?;
                }
                router.sh(&format!("ip link set {link} up"))?;
            }
            for address in &host.addresses {
                let (ip, _) = topology::split(address)?;
                netns.sh(&format!("ip address add {address} dev eth0 {}", nodad(ip)))?;
            }
            netns.sh("ip link set eth0 up")?;
            for address in &host.addresses {
                netns.sh(&format!("ip route add default via {}", topology::gateway(address)?))?;
            }
            for extra in &host.extra {
                let (ip, _) = topology::split(extra)?;
                // Deprecated, so that the kernel chooses it for nothing by itself.
                let only_on_demand = if ip.is_ipv6() { "nodad preferred_lft 0" } else { "" };
                netns.sh(&format!("ip address add {extra} dev eth0 {only_on_demand}"))?;
                router.sh(&format!("ip route add {extra} dev {link}"))?;
            }
        }
        Ok(())
    }

    fn serve(&mut self) -> Result<()> {
        for host in &self.topology.host {
            let mut words = vec!["serve".to_owned()];
            for address in &host.addresses {
                words.push(topology::split(address)?.0.to_string());
            }
            let mut server =
                campaign("probe")?.args(words).behind(self.host(&host.name)?.prefix()).start()?;
            match server.line()?.as_str() {
                "ready" => self.servers.push(server),
                other => {
                    let what = "the answer of a server".into();
                    return Err(Error::Format { what, found: other.into() });
                }
            }
        }
        Ok(())
    }

    /// Ends the servers; the numbers of the datagrams that arrived anywhere.
    fn received(&mut self) -> Result<BTreeSet<u32>> {
        let mut received = BTreeSet::new();
        for server in self.servers.drain(..) {
            received.extend(server.finish()?.lines().filter_map(|line| line.parse::<u32>().ok()));
        }
        Ok(received)
    }

    /// The rows as they came out, in the order of `rows`; the number of a question is its row.
    fn ask_all(&self, rows: &[Row]) -> Result<Vec<Row>> {
        let mut questions: BTreeMap<&str, Vec<Question>> = BTreeMap::new();
        for (number, row) in (0..).zip(rows) {
            questions.entry(&row.from).or_default().push(self.question(number, row)?);
        }
        let mut outcomes = BTreeMap::new();
        // One sender after the other: some kernels limit rejects per machine.
        for (sender, mut questions) in questions {
            for _ in 0..=REPEATS {
                let answered = self.ask(sender, &questions)?;
                outcomes.extend(answered);
                questions.retain(|question| {
                    rows.get(question.number as usize)
                        .zip(outcomes.get(&question.number))
                        .is_some_and(|(row, outcome)| row.may_be_chance(outcome))
                });
                if questions.is_empty() {
                    break;
                }
            }
        }
        (0..)
            .zip(rows)
            .map(|(number, row)| {
                let outcome = outcomes
                    .get(&number)
                    .ok_or_else(|| Error::Wrong(format!("no outcome was reported for '{row}'")))?;
                Ok(row.with(outcome))
            })
            .collect()
    }

    fn ask(&self, sender: &str, questions: &[Question]) -> Result<BTreeMap<u32, Outcome>> {
        let netns = match self.sender(sender)? {
            Some(host) => self.host(&host.name)?,
            None => self.router.netns(),
        };
        let lines: String = questions.iter().map(|question| format!("{question}\n")).collect();
        campaign("probe")?
            .args(["ask"])
            .behind(netns.prefix())
            .input(lines)
            .stdout()?
            .lines()
            .map(|line| {
                let wrong = || Error::Format { what: "an outcome".into(), found: line.into() };
                let (number, outcome) = line.split_once(' ').ok_or_else(wrong)?;
                Ok((number.parse().map_err(|_| wrong())?, outcome.parse()?))
            })
            .collect()
    }

    fn question(&self, number: u32, row: &Row) -> Result<Question> {
        let to = self
            .topology
            .find(&row.to)?
            .address(row.family)
            .ok_or_else(|| Error::Wrong(format!("'{}' has no such address", row.to)))?;
        let any = match row.family {
            Family::V4 => IpAddr::from(Ipv4Addr::UNSPECIFIED),
            Family::V6 => IpAddr::from(Ipv6Addr::UNSPECIFIED),
        };
        let chosen = match (row.router_address()?, self.sender(&row.from)?) {
            (Some(address), _) => Some(address),
            (None, Some(host)) if row.is_spoofed() => host.extra_address(row.family),
            _ => None,
        };
        let from = SocketAddr::new(chosen.unwrap_or(any), row.source_port);
        Ok(Question { number, protocol: row.protocol, from, to })
    }

    /// The host that sends; `None` for the router.
    fn sender(&self, from: &str) -> Result<Option<&HostLink>> {
        if from.starts_with(table::ROUTER) {
            return Ok(None);
        }
        self.topology.find(from.strip_suffix(table::SPOOFED).unwrap_or(from)).map(Some)
    }

    fn host(&self, name: &str) -> Result<&Netns> {
        self.hosts.get(name).ok_or_else(|| Error::Wrong(format!("no host '{name}'")))
    }
}

fn port_of(host: &HostLink) -> String {
    format!("p-{}", host.name)
}

/// IPv6 addresses are usable at once instead of after a second.
fn nodad(address: IpAddr) -> &'static str {
    if address.is_ipv6() { "nodad" } else { "" }
}
