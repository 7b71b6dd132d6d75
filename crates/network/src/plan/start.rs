//! The plan of a start.
//!
//! Bridge, settings, addresses, up; then, at the same time, firewall rules, dnsmasq, and routes with
//! forwarding. dnsmasq's files are written while the bridge is made. A bridge has no ports before the
//! plan is complete, so nothing passes before the rules are there.
//!
//! libvirt 11.3.0: `networkStartNetworkVirtual`, src/network/bridge_driver.c

use std::path::{Path, PathBuf};

use ipnet::IpNet;
use oxivirt_conf::YesNo;
use oxivirt_conf::network::{ForwardMode, IpDef, MacTableManager, NatPorts, NetworkDef, RouteDef};
use oxivirt_util::dnsmasq::Launch;
use oxivirt_util::file::Durability;
use oxivirt_util::firewall::{Family, PortRange};
use oxivirt_util::link_name::{LinkName, LinkNameError};
use oxivirt_util::netlink::{Bridge, Stp};

use super::dnsmasq::{self, DnsmasqError, Paths};
use super::nftables::{self, Layer, Outside, Subnet, Traffic};
use super::{FactsQuery, FileImage, HostFacts, IfMissing, Plan, Step, Sysctl};
use crate::layout::Layout;

/// Ports that translated TCP and UDP flows leave from, unless the definition says otherwise.
const NAT_PORTS: NatPorts = NatPorts { start: 1024, end: 65535 };
/// Metric of a route that has none; the kernel would take 1024 for IPv6.
const ROUTE_METRIC: u32 = 1;
/// Modes of dnsmasq's files; the second kind is read again by an unprivileged dnsmasq.
const CONF_MODE: u32 = 0o600;
const HOSTS_MODE: u32 = 0o644;

/// Everything a start depends on.
#[derive(Debug, Clone, Copy)]
pub struct Input<'a> {
    /// The network, with bridge name and MAC filled in.
    pub def: &'a NetworkDef,
    /// Where files go.
    pub layout: &'a Layout,
    /// The host, as asked by [`query`].
    pub facts: &'a HostFacts,
    /// Layer of each translated subnet, in the order of [`translated`].
    pub layers: &'a [Layer],
    /// The lease helper that dnsmasq calls.
    pub lease_helper: &'a Path,
}

/// A plan, and what the administrator should know.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct StartPlan {
    /// The steps.
    pub plan: Plan<Step>,
    /// Things that are odd but no reason to refuse.
    pub warnings: Vec<String>,
}

/// Why a network cannot be started.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PlanError {
    /// The definition has no bridge name.
    #[error("network '{network}' has no bridge name")]
    NoBridgeName {
        /// The network.
        network: String,
    },
    /// The definition has no MAC address, by which its bridge is told from others.
    #[error("network '{network}' has no MAC address")]
    NoMac {
        /// The network.
        network: String,
    },
    /// The bridge or the forward device has a name that no link can have.
    #[error(transparent)]
    LinkName(#[from] LinkNameError),
    /// A link has the bridge's name already.
    #[error("error creating bridge interface {bridge}: File exists")]
    BridgeExists {
        /// The bridge.
        bridge: LinkName,
    },
    /// A subnet is the destination of a route of the host.
    #[error("Network is already in use by interface {link}")]
    InUse {
        /// The link the route leads through.
        link: String,
    },
    /// A route is the destination of a route of the host.
    #[error("Route address '{destination}' conflicts with IP address for '{link}'")]
    RouteInUse {
        /// The route's destination.
        destination: String,
        /// The link the host's route leads through.
        link: String,
    },
    /// Forwarding would make links lose the routes that they learnt.
    #[error(
        "Check the host setup: enabling IPv6 forwarding with RA routes without accept_ra set to 2 is \
         likely to cause routes loss. Interfaces to look at: {links}"
    )]
    RaRoutes {
        /// The links, separated by commas.
        links: String,
    },
    /// An address has no usable prefix.
    #[error("bridge '{bridge}' has an invalid netmask or IP address")]
    Prefix {
        /// The bridge.
        bridge: LinkName,
    },
    /// The NAT port range is empty.
    #[error("Invalid port range '{start}-{end}'.")]
    PortRange {
        /// First port.
        start: u16,
        /// Last port.
        end: u16,
    },
    /// Too many networks overlap one another.
    #[error("subnet {subnet} overlaps with too many other networks")]
    TooManyLayers {
        /// The subnet.
        subnet: IpNet,
    },
    /// dnsmasq is needed and not installed.
    #[error("Cannot find 'dnsmasq' in path")]
    NoDnsmasq,
    /// dnsmasq cannot be told what the definition says.
    #[error(transparent)]
    Dnsmasq(#[from] DnsmasqError),
    /// A path is not text, which dnsmasq's configuration needs.
    #[error("path '{path}' is not UTF-8")]
    Path {
        /// The path.
        path: PathBuf,
    },
    /// A firewalld zone is named, and firewalld is not there.
    #[error("zone {zone} requested for network {network} but firewalld is not active")]
    Zone {
        /// The zone.
        zone: String,
        /// The network.
        network: String,
    },
    /// The domain shall be registered, and systemd-resolved is not there.
    #[error(
        "cannot register domain '{domain}' of network '{network}': systemd-resolved is not available"
    )]
    Register {
        /// The domain.
        domain: String,
        /// The network.
        network: String,
    },
    /// Something that this version cannot do.
    #[error("{feature} of network '{network}' is not supported by this version")]
    Unsupported {
        /// What.
        feature: &'static str,
        /// The network.
        network: String,
    },
}

type Result<T> = std::result::Result<T, PlanError>;

/// What a start asks about the host.
///
/// # Errors
/// [`PlanError`] if the definition alone shows that the network cannot be started.
pub fn query(def: &NetworkDef) -> Result<FactsQuery> {
    check_supported(def)?;
    if !def.forward.mode.owns_bridge() {
        return Ok(FactsQuery::default());
    }
    let bridge = bridge_name(def)?;
    let mut destinations = Vec::new();
    for ip in &def.ips {
        destinations.push(subnet(ip, &bridge)?);
    }
    destinations.extend(def.routes.iter().filter_map(RouteDef::destination));
    Ok(FactsQuery {
        bridge: Some(bridge),
        destinations,
        forwards_ipv6: forwards(def, Family::Ipv6),
        needs_rules: has_rules(def),
        needs_dnsmasq: dnsmasq::is_needed(def),
    })
}

/// The subnets whose traffic is translated, in the order of the definition.
#[must_use]
pub fn translated(def: &NetworkDef) -> Vec<IpNet> {
    def.ips.iter().filter(|ip| is_translated(def, ip)).filter_map(IpDef::subnet).collect()
}

/// The definition as it is shown while the network runs: a translating network names its ports.
///
/// libvirt writes them when it makes the rules, so they are in the dump and in the status file.
#[must_use]
pub fn live(def: &NetworkDef) -> NetworkDef {
    let mut live = def.clone();
    let unset = live.forward.nat.ports.is_none_or(|ports| ports.start == 0 && ports.end == 0);
    if !translated(def).is_empty() && unset {
        live.forward.nat.ports = Some(NAT_PORTS);
    }
    live
}

/// The steps of a start.
///
/// # Errors
/// [`PlanError`] if the network cannot be started on this host.
pub fn plan(input: Input<'_>) -> Result<StartPlan> {
    let Input { def, facts, .. } = input;
    check_supported(def)?;
    let mut out = StartPlan::default();
    if !def.forward.mode.owns_bridge() {
        // The bridge or the devices belong to the host; nothing is checked, as in libvirt.
        return Ok(out);
    }
    let bridge = bridge_name(def)?;
    check_routes(def, facts, &bridge, &mut out.warnings)?;
    if facts.bridge.is_some() {
        return Err(PlanError::BridgeExists { bridge });
    }
    if forwards(def, Family::Ipv6) && !facts.ra_links.is_empty() {
        return Err(PlanError::RaRoutes { links: facts.ra_links.join(", ") });
    }
    let (files, launch) = dnsmasq_steps(input, &bridge)?;
    out.plan.then_at_once([link_steps(def, &bridge)?, files]);
    let rules =
        traffic(def, input.layers)?.map(|traffic| Step::LoadRules(nftables::load(&traffic)));
    out.plan.then_at_once([rules.into_iter().collect(), launch, route_steps(def, &bridge)]);
    Ok(out)
}

/// What is not there yet, and is refused rather than left out silently.
fn check_supported(def: &NetworkDef) -> Result<()> {
    let network = || def.name.clone();
    if let Some(zone) = &def.bridge.zone {
        return Err(PlanError::Zone { zone: zone.clone(), network: network() });
    }
    if def.domain.register == Some(YesNo::Yes) {
        let domain = def.domain.name.clone().unwrap_or_default();
        return Err(PlanError::Register { domain, network: network() });
    }
    let refuse = |feature| Err(PlanError::Unsupported { feature, network: network() });
    if def.bandwidth.is_some() {
        return refuse("bandwidth");
    }
    if def.bridge.mac_table_manager == Some(MacTableManager::Libvirt) {
        return refuse("macTableManager='libvirt'");
    }
    if def.forward.pf.is_some() {
        return refuse("a pool of virtual functions");
    }
    Ok(())
}

fn bridge_name(def: &NetworkDef) -> Result<LinkName> {
    let name = def.bridge.name.as_deref();
    let name = name.ok_or_else(|| PlanError::NoBridgeName { network: def.name.clone() })?;
    Ok(LinkName::new(name)?)
}

fn subnet(ip: &IpDef, bridge: &LinkName) -> Result<IpNet> {
    ip.subnet().ok_or_else(|| PlanError::Prefix { bridge: bridge.clone() })
}

fn has_family(def: &NetworkDef, family: Family) -> bool {
    def.ips.iter().any(|ip| ip.family() == family)
}

/// Whether the host shall forward packets of a family for this network.
fn forwards(def: &NetworkDef, family: Family) -> bool {
    def.forward.mode != ForwardMode::None && has_family(def, family)
}

/// Whether the network has firewall rules: all that own a bridge, but for open ones.
#[must_use]
pub fn has_rules(def: &NetworkDef) -> bool {
    def.forward.mode.owns_bridge() && def.forward.mode != ForwardMode::Open
}

fn is_translated(def: &NetworkDef, ip: &IpDef) -> bool {
    let wanted = ip.family() == Family::Ipv4 || def.forward.nat.ipv6 == Some(YesNo::Yes);
    def.forward.mode == ForwardMode::Nat && wanted
}

/// Refuses a subnet that equals a route of the host, warns of other overlaps.
///
/// Like libvirt, only IPv4 subnets are refused, and only if destination and mask are equal: hosts
/// with wider routes rely on it.
fn check_routes(
    def: &NetworkDef,
    facts: &HostFacts,
    bridge: &LinkName,
    warnings: &mut Vec<String>,
) -> Result<()> {
    let subnets = def.ips.iter().map(|ip| subnet(ip, bridge)).collect::<Result<Vec<_>>>()?;
    let routes: Vec<_> = def.routes.iter().filter_map(RouteDef::destination).collect();
    for collision in &facts.collisions {
        let link = collision.link.clone();
        if Family::of_net(&collision.destination) == Family::Ipv4 {
            if subnets.contains(&collision.destination) {
                return Err(PlanError::InUse { link });
            }
            if routes.contains(&collision.destination) {
                let destination = collision.destination.addr().to_string();
                return Err(PlanError::RouteInUse { destination, link });
            }
        }
        warnings.push(format!(
            "the host's route to {} through {link} overlaps with the network",
            collision.destination
        ));
    }
    Ok(())
}

fn link_steps(def: &NetworkDef, bridge: &LinkName) -> Result<Vec<Step>> {
    let mac = def.mac.ok_or_else(|| PlanError::NoMac { network: def.name.clone() })?;
    let mut steps = vec![Step::CreateBridge(Bridge {
        name: bridge.clone(),
        address: mac.0,
        stp: if def.bridge.stp { Stp::On } else { Stp::Off },
        // seconds to 1/100 s
        forward_delay: u32::try_from(def.bridge.delay.saturating_mul(100)).unwrap_or(u32::MAX),
    })];
    if let Some(mtu) = def.mtu {
        steps.push(Step::SetMtu { link: bridge.clone(), mtu: mtu.get() });
    }
    let ipv6 = |key: &str, value| {
        let key = format!("net/ipv6/conf/{bridge}/{key}");
        Step::Sysctl(Sysctl { key, value, if_missing: IfMissing::Skip })
    };
    let disable = if has_family(def, Family::Ipv6) { "0" } else { "1" };
    steps.extend([ipv6("disable_ipv6", disable), ipv6("accept_ra", "0"), ipv6("autoconf", "0")]);
    for ip in &def.ips {
        let address = ip.interface().ok_or_else(|| PlanError::Prefix { bridge: bridge.clone() })?;
        steps.push(Step::AddAddress { link: bridge.clone(), address });
    }
    steps.push(Step::SetUp(bridge.clone()));
    Ok(steps)
}

fn route_steps(def: &NetworkDef, bridge: &LinkName) -> Vec<Step> {
    let mut steps = Vec::new();
    for route in &def.routes {
        if let Some(destination) = route.destination() {
            steps.push(Step::AddRoute {
                link: bridge.clone(),
                destination,
                gateway: route.gateway.ip(),
                metric: route.metric.map_or(ROUTE_METRIC, std::num::NonZeroU32::get),
            });
        }
    }
    for (family, key) in
        [(Family::Ipv4, "net/ipv4/ip_forward"), (Family::Ipv6, "net/ipv6/conf/all/forwarding")]
    {
        if forwards(def, family) {
            let key = key.to_owned();
            steps.push(Step::Sysctl(Sysctl { key, value: "1", if_missing: IfMissing::Fail }));
        }
    }
    steps
}

/// What the network lets pass; `None` if it has no rules.
///
/// # Errors
/// [`PlanError`] for an unusable address or port range, or a missing layer.
pub fn traffic(def: &NetworkDef, layers: &[Layer]) -> Result<Option<Traffic>> {
    if !has_rules(def) {
        return Ok(None);
    }
    let bridge = bridge_name(def)?;
    let nat = &live(def).forward.nat;
    let ports = nat.ports.unwrap_or(NAT_PORTS);
    let mut layers = layers.iter();
    let mut subnets = Vec::new();
    for ip in &def.ips {
        let net = subnet(ip, &bridge)?;
        let outside = match def.forward.mode {
            ForwardMode::None => Outside::None,
            _ if is_translated(def, ip) => {
                if ports.start >= ports.end {
                    return Err(PlanError::PortRange { start: ports.start, end: ports.end });
                }
                let is_ipv4 = ip.family() == Family::Ipv4;
                let addresses = nat.addresses.as_ref().filter(|_| is_ipv4);
                Outside::Translated {
                    addresses: addresses.map(|range| (range.start.into(), range.end.into())),
                    ports: PortRange { start: ports.start, end: ports.end },
                    layer: *layers.next().ok_or(PlanError::TooManyLayers { subnet: net })?,
                }
            }
            _ => Outside::Routed,
        };
        subnets.push(Subnet { net, outside });
    }
    Ok(Some(Traffic {
        uuid: def.uuid.unwrap_or_default(),
        uplink: def.forward.dev().map(LinkName::new).transpose()?,
        regulates_ipv6: def.ipv6 || has_family(def, Family::Ipv6),
        bridge,
        subnets,
    }))
}

/// dnsmasq's files, and its start.
fn dnsmasq_steps(input: Input<'_>, bridge: &LinkName) -> Result<(Vec<Step>, Vec<Step>)> {
    let Input { def, layout, facts, lease_helper, .. } = input;
    if !dnsmasq::is_needed(def) {
        return Ok((Vec::new(), Vec::new()));
    }
    let program = facts.dnsmasq.clone().ok_or(PlanError::NoDnsmasq)?;
    let name = &def.name;
    let pid_file = layout.dnsmasq_pid(name);
    let texts = texts(def, layout)?;
    let files = vec![
        dnsmasq_file(layout.dnsmasq_conf(name), CONF_MODE, texts.conf),
        dnsmasq_file(layout.dnsmasq_hostsfile(name), HOSTS_MODE, texts.hosts),
        dnsmasq_file(layout.dnsmasq_addnhosts(name), HOSTS_MODE, texts.addn_hosts),
    ];
    let mut environment = vec![("VIR_BRIDGE_NAME".to_owned(), bridge.to_string())];
    if layout.root() != Path::new("/") {
        let root = layout.root();
        let root = root.to_str().ok_or_else(|| PlanError::Path { path: root.to_owned() })?;
        environment.push(("OXIVIRT_ROOT".to_owned(), root.to_owned()));
    }
    let conf_file = layout.dnsmasq_conf(name);
    let launch = Launch { program, conf_file, dhcp_script: lease_helper.to_owned(), environment };
    Ok((files, vec![Step::StartDnsmasq { launch, pid_file }]))
}

/// Starts dnsmasq for a network whose bridge is there.
///
/// # Errors
/// [`PlanError`] if dnsmasq is missing or cannot be told what the definition says.
pub fn dnsmasq(input: Input<'_>) -> Result<Plan<Step>> {
    let (files, launch) = dnsmasq_steps(input, &bridge_name(input.def)?)?;
    let mut plan = Plan::default();
    plan.then(files);
    plan.then(launch);
    Ok(plan)
}

/// The difference between two sets of dnsmasq's files, as steps that bring the second about.
///
/// # Errors
/// [`PlanError`] if dnsmasq cannot be told what a definition says.
pub fn refresh(old: &NetworkDef, new: &NetworkDef, layout: &Layout) -> Result<Refresh> {
    match (dnsmasq::is_needed(old), dnsmasq::is_needed(new)) {
        (_, false) => return Ok(Refresh::Stop),
        (false, true) => return Ok(Refresh::Restart),
        (true, true) => {}
    }
    let (before, after) = (texts(old, layout)?, texts(new, layout)?);
    if before.conf != after.conf {
        return Ok(Refresh::Restart);
    }
    let mut plan = Plan::default();
    plan.then(hosts_steps(new, layout, &before, after));
    if !plan.stages.is_empty() {
        let conf_file = layout.dnsmasq_conf(&new.name);
        plan.then([Step::ReloadDnsmasq { conf_file, pid_file: layout.dnsmasq_pid(&new.name) }]);
    }
    Ok(Refresh::Reload(plan))
}

/// What brings a dnsmasq up to date.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refresh {
    /// It is not needed any more.
    Stop,
    /// What it reads only at its start has changed.
    Restart,
    /// Files to replace and a signal; empty if nothing has changed.
    Reload(Plan<Step>),
}

/// Replaces the hosts files that differ.
fn hosts_steps(
    def: &NetworkDef,
    layout: &Layout,
    before: &dnsmasq::Texts,
    after: dnsmasq::Texts,
) -> Vec<Step> {
    let name = &def.name;
    let mut steps = Vec::new();
    if before.hosts != after.hosts {
        steps.push(dnsmasq_file(layout.dnsmasq_hostsfile(name), HOSTS_MODE, after.hosts));
    }
    if before.addn_hosts != after.addn_hosts {
        steps.push(dnsmasq_file(layout.dnsmasq_addnhosts(name), HOSTS_MODE, after.addn_hosts));
    }
    steps
}

/// A file that every start writes anew.
fn dnsmasq_file(path: PathBuf, mode: u32, content: String) -> Step {
    let (content, durability) = (content.into_bytes(), Durability::Regenerated);
    Step::WriteFile(FileImage { path, mode, content, durability })
}

/// dnsmasq's files for a network.
///
/// # Errors
/// [`PlanError`] if dnsmasq cannot be told what the definition says.
pub fn texts(def: &NetworkDef, layout: &Layout) -> Result<dnsmasq::Texts> {
    let text = |path: &Path| {
        path.to_str().map(str::to_owned).ok_or_else(|| PlanError::Path { path: path.to_owned() })
    };
    let state_dir = text(&layout.dnsmasq_dir())?;
    let pid_file = text(&layout.dnsmasq_pid(&def.name))?;
    Ok(dnsmasq::texts(def, Paths { state_dir: &state_dir, pid_file: Some(&pid_file) })?)
}

#[cfg(test)]
mod tests;
