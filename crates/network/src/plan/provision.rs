//! What a running network has on its host, as a value, and the difference between two of them.
//!
//! There is one engine: a start is the difference between nothing and what the definition wants, an
//! update that between two definitions, a repair that between what was found and what should be
//! there. [`provision`] tells what a definition wants, [`difference`] the steps from one to another.
//!
//! libvirt 11.3.0: `networkStartNetworkVirtual`, `networkUpdate`, src/network/bridge_driver.c

use std::path::{Path, PathBuf};

use super::policy;
use crate::dnsmasq::Launch;
use ipnet::IpNet;
use oxivirt_conf::YesNo;
use oxivirt_conf::network::{IpDef, MacTableManager, RouteDef};
use oxivirt_netlink::{Bridge, PortSettings, Stp};
use oxivirt_nft::Family;
use oxivirt_sys::file::Durability;
use oxivirt_types::link_name::LinkName;

use super::error::PlanError;
use super::facts::Zones;
use super::nftables::Layer;
use super::rules::{self, Firewall, Rules};
use super::shaping::{self, Floors, Shaping};
use super::{FileImage, IfMissing, Plan, Step, Sysctl, Undo, dnsmasq};
use crate::layout::Layout;
use crate::network::Network;

/// Metric of a route that has none; the kernel would take 1024 for IPv6.
const ROUTE_METRIC: u32 = 1;
/// Modes of dnsmasq's files; the second kind is read again by an unprivileged dnsmasq.
const CONF_MODE: u32 = 0o600;
const HOSTS_MODE: u32 = 0o644;

/// What a network has on its host, or the part of it that is there.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Provision {
    /// The bridge.
    pub link: Option<LinkState>,
    /// Firewall rules.
    pub rules: Option<Rules>,
    /// DHCP and DNS, if the process runs.
    pub dnsmasq: Option<DnsmasqState>,
    /// Routes through the bridge.
    pub routes: Vec<RouteState>,
    /// Settings of the whole host.
    pub forwarding: Vec<Sysctl>,
    /// Rate limits.
    pub shaping: Option<Shaping>,
    /// The domain that the host's resolver asks this network for.
    pub domain: Option<Registration>,
    /// firewalld's zone for the bridge.
    pub zone: Option<String>,
}

/// A bridge and what is set on it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LinkState {
    /// Its name.
    pub name: LinkName,
    /// How the network makes it; `None` for a bridge of the host.
    pub bridge: Option<Bridge>,
    /// Its MTU in bytes, if the network sets it.
    pub mtu: Option<u32>,
    /// Kernel settings of this link.
    pub settings: Vec<Sysctl>,
    /// Its addresses; the prefix lengths are those of their networks.
    pub addresses: Vec<IpNet>,
    /// Whether the bridge keeps VLANs apart, for a table of addresses that domain drivers fill.
    pub vlan_filtering: bool,
    /// Whether it is raised.
    pub is_up: bool,
    /// Links that were its ports when it was seen last, and are to be again.
    pub ports: Vec<BridgePort>,
}

/// A port of a bridge.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BridgePort {
    /// The link.
    pub link: LinkName,
    /// What is set on it as a port.
    pub settings: PortSettings,
}

/// A route through the bridge.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RouteState {
    /// Where packets go to.
    pub destination: IpNet,
    /// The next router.
    pub gateway: std::net::IpAddr,
    /// Among routes to the same destination the smallest wins.
    pub metric: u32,
}

impl std::fmt::Display for RouteState {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "to {} via {} metric {}", self.destination, self.gateway, self.metric)
    }
}

/// A dnsmasq and the files it was started with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DnsmasqState {
    /// How it is started.
    pub launch: Launch,
    /// Where it writes its pid.
    pub pid_file: PathBuf,
    /// What it reads at its start.
    pub conf: FileImage,
    /// What it reads again when told to.
    pub hosts: Vec<FileImage>,
}

impl DnsmasqState {
    /// The files it reads again, without the name servers that the driver writes for it.
    #[must_use]
    pub fn without_name_servers(mut self) -> Self {
        if let Some(servers) = self.launch.servers_file.take() {
            self.hosts.retain(|file| file.path != servers);
        }
        self
    }
}

/// What systemd-resolved is told about a link.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Registration {
    /// The network's domain.
    pub domain: String,
    /// Where its names are known.
    pub servers: Vec<std::net::IpAddr>,
}

/// What a provision depends on beside the definition.
#[derive(Debug, Clone, Copy)]
pub struct PlanInputs<'a> {
    /// Where files go.
    pub layout: &'a Layout,
    /// The lease helper that dnsmasq calls.
    pub lease_helper: &'a Path,
    /// The dnsmasq program, if it is there.
    pub dnsmasq: Option<&'a Path>,
    /// The host's name servers as lines for dnsmasq; `None` lets it watch `/etc/resolv.conf` itself,
    /// for which it needs an inotify instance.
    pub servers: Option<&'a str>,
    /// How rules are set.
    pub firewall: Firewall<'a>,
    /// What firewalld knows, if one runs.
    pub firewalld: Option<&'a Zones>,
    /// Layer of each translated subnet, in the order of [`super::traffic::translated`].
    pub layers: &'a [Layer],
    /// Rates guaranteed to ports.
    pub floors: &'a Floors,
}

type Result<T> = std::result::Result<T, PlanError>;

/// What a network wants.
///
/// # Errors
/// [`PlanError`] if it cannot be had: a name that no link can have, no dnsmasq and so on.
pub fn provision(network: &Network, inputs: &PlanInputs<'_>) -> Result<Provision> {
    let shaping = shaping::wanted(network, inputs.floors, inputs.firewall)?;
    if !network.policy().owns_bridge() {
        // Bridge and devices belong to the host; nothing else is checked, as in libvirt.
        let vlan_filtering = is_managed(network);
        let named = if vlan_filtering { network.checked_bridge()? } else { None };
        let link = named.map(|name| LinkState {
            name: name.clone(),
            bridge: None,
            mtu: None,
            settings: Vec::new(),
            addresses: Vec::new(),
            vlan_filtering,
            is_up: false,
            ports: Vec::new(),
        });
        return Ok(Provision { link, shaping, ..Provision::default() });
    }
    let bridge = network.required_bridge()?;
    Ok(Provision {
        link: Some(link(network, bridge)?),
        rules: rules::wanted(network, inputs.layers, inputs.firewall)?,
        dnsmasq: dnsmasq_state(network, inputs, bridge)?,
        routes: network.routes.iter().filter_map(route).collect(),
        forwarding: forwarding(network),
        shaping,
        domain: registration(network),
        // A firewalld that is not there is a reason not to start, not one to leave the rest broken.
        zone: policy::zone(network, inputs.firewalld).ok().flatten(),
    })
}

fn is_managed(network: &Network) -> bool {
    network.bridge.mac_table_manager == Some(MacTableManager::Libvirt)
}

fn link(network: &Network, name: &LinkName) -> Result<LinkState> {
    let mac = network.required_mac()?;
    let ipv6 = |key: &str, value| {
        let key = format!("net/ipv6/conf/{name}/{key}");
        Sysctl { key, value, if_missing: IfMissing::Skip }
    };
    let has_ipv6 = network.has_family(Family::Ipv6);
    let disable = if has_ipv6 { "0" } else { "1" };
    let address =
        |ip: &IpDef| ip.interface().ok_or_else(|| PlanError::Prefix { bridge: name.clone() });
    Ok(LinkState {
        name: name.clone(),
        bridge: Some(Bridge {
            name: name.clone(),
            address: mac.0,
            stp: if network.bridge.stp { Stp::On } else { Stp::Off },
            // seconds to 1/100 s
            forward_delay: u32::try_from(network.bridge.delay.saturating_mul(100))
                .unwrap_or(u32::MAX),
        }),
        mtu: network.mtu.map(std::num::NonZeroU32::get),
        settings: vec![
            ipv6("disable_ipv6", disable),
            ipv6("accept_ra", "0"),
            ipv6("autoconf", "0"),
        ],
        addresses: network.ips.iter().map(address).collect::<Result<_>>()?,
        vlan_filtering: is_managed(network),
        is_up: true,
        ports: Vec::new(),
    })
}

fn route(route: &RouteDef) -> Option<RouteState> {
    Some(RouteState {
        destination: route.destination()?,
        gateway: route.gateway.ip(),
        metric: route.metric.map_or(ROUTE_METRIC, std::num::NonZeroU32::get),
    })
}

/// Settings with which the host forwards a network's packets.
#[must_use]
pub fn forwarding(network: &Network) -> Vec<Sysctl> {
    let keys =
        [(Family::Ipv4, "net/ipv4/ip_forward"), (Family::Ipv6, "net/ipv6/conf/all/forwarding")];
    let wanted = keys.into_iter().filter(|(family, _)| network.forwards(*family));
    let sysctl =
        |key: &str| Sysctl { key: key.to_owned(), value: "1", if_missing: IfMissing::Fail };
    wanted.map(|(_, key)| sysctl(key)).collect()
}

fn registration(network: &Network) -> Option<Registration> {
    let is_wanted = network.domain.register == Some(YesNo::Yes);
    let domain = network.domain.name.clone().filter(|_| is_wanted)?;
    // libvirt tells of the first address of each family.
    let first = |family| network.ips.iter().find(|ip| ip.family() == family);
    let servers = [Family::Ipv4, Family::Ipv6].into_iter().filter_map(first);
    let servers = servers.filter_map(|ip| Some(ip.interface()?.addr())).collect();
    Some(Registration { domain, servers })
}

fn dnsmasq_state(
    network: &Network,
    inputs: &PlanInputs<'_>,
    bridge: &LinkName,
) -> Result<Option<DnsmasqState>> {
    if !dnsmasq::is_needed(network) {
        return Ok(None);
    }
    let layout = inputs.layout;
    let program = inputs.dnsmasq.ok_or(PlanError::NoDnsmasq)?.to_owned();
    let name = &network.name;
    let texts = texts(network, layout)?;
    let mut environment = vec![("VIR_BRIDGE_NAME".to_owned(), bridge.to_string())];
    if layout.root() != Path::new("/") {
        let root = layout.root();
        let root = root.to_str().ok_or_else(|| PlanError::Path { path: root.to_owned() })?;
        environment.push(("OXIVIRT_ROOT".to_owned(), root.to_owned()));
    }
    // Without asking name servers it looks for none, and watches nothing.
    let servers = inputs.servers.filter(|_| dnsmasq::is_resolver(network));
    let mut hosts = vec![
        file(layout.dnsmasq_hostsfile(name), HOSTS_MODE, texts.hosts),
        file(layout.dnsmasq_addnhosts(name), HOSTS_MODE, texts.addn_hosts),
    ];
    let servers_file = layout.servers_file(network.uuid());
    hosts.extend(servers.map(|text| file(servers_file.clone(), HOSTS_MODE, text.to_owned())));
    Ok(Some(DnsmasqState {
        launch: Launch {
            program,
            conf_file: layout.dnsmasq_conf(name),
            dhcp_script: inputs.lease_helper.to_owned(),
            servers_file: servers.is_some().then_some(servers_file),
            environment,
        },
        pid_file: layout.dnsmasq_pid(name),
        conf: file(layout.dnsmasq_conf(name), CONF_MODE, texts.conf),
        hosts,
    }))
}

/// A file that every start writes anew.
fn file(path: PathBuf, mode: u32, content: String) -> FileImage {
    FileImage { path, mode, content: content.into_bytes(), durability: Durability::Regenerated }
}

/// dnsmasq's files for a network.
///
/// # Errors
/// [`PlanError`] if dnsmasq cannot be told what the definition says.
pub fn texts(network: &Network, layout: &Layout) -> Result<dnsmasq::Texts> {
    let text = |path: &Path| {
        path.to_str().map(str::to_owned).ok_or_else(|| PlanError::Path { path: path.to_owned() })
    };
    let state_dir = text(&layout.dnsmasq_dir())?;
    let pid_file = text(&layout.dnsmasq_pid(&network.name))?;
    Ok(dnsmasq::texts(
        network,
        dnsmasq::Paths { state_dir: &state_dir, pid_file: Some(&pid_file) },
    )?)
}

/// The steps that turn what a network has into what it wants.
///
/// `saved` is what the status file and the journal tell of removing rules: rules made by an older version
/// or another backend leave in the transaction, or right after it, in which the new ones come.
///
/// A dnsmasq whose configuration changes ends before its files are replaced, so that a process
/// never runs beside files that it was not started with; rules and links change at the same time.
#[must_use]
pub fn difference(have: &Provision, want: &Provision, saved: &[Undo]) -> Plan<Step> {
    let mut plan = Plan::default();
    let service = service_steps(have, want);
    plan.then(service.first);
    plan.then_parallel([link_steps(have.link.as_ref(), want.link.as_ref()), service.files]);
    let mut filters = zone_steps(have, want);
    filters.extend(rules::steps(have.rules.as_ref(), want.rules.as_ref(), saved));
    plan.then_parallel([
        filters,
        service.then,
        route_steps(have, want),
        shaping::difference(have.shaping.as_ref(), want.shaping.as_ref()),
        domain_steps(have, want),
    ]);
    plan
}

fn link_steps(have: Option<&LinkState>, want: Option<&LinkState>) -> Vec<Step> {
    let Some(want) = want else { return Vec::new() };
    let name = &want.name;
    let mut steps = Vec::new();
    let is_new = have.is_none() && want.bridge.is_some();
    if is_new {
        steps.extend(want.bridge.clone().map(Step::CreateBridge));
    }
    if let Some(mtu) = want.mtu
        && have.is_none_or(|have| have.mtu != Some(mtu))
    {
        steps.push(Step::SetMtu { link: name.clone(), mtu });
    }
    let settings = want.settings.iter().cloned();
    let is_set = |sysctl: &Sysctl| have.is_some_and(|have| have.settings.contains(sysctl));
    steps.extend(settings.filter(|sysctl| !is_set(sysctl)).map(Step::Sysctl));
    let link = || name.clone();
    let had = have.map(|have| have.addresses.as_slice()).unwrap_or_default();
    let gone = had.iter().filter(|address| !want.addresses.contains(address));
    steps.extend(gone.map(|&address| Step::RemoveAddress { link: link(), address }));
    let new = want.addresses.iter().filter(|address| !had.contains(address));
    steps.extend(new.map(|&address| Step::AddAddress { link: link(), address }));
    if want.vlan_filtering && have.is_none_or(|have| !have.vlan_filtering) {
        steps.push(Step::FilterVlans(link()));
    }
    if want.is_up && have.is_none_or(|have| !have.is_up) {
        steps.push(Step::SetUp(link()));
    }
    let had = have.map(|have| have.ports.as_slice()).unwrap_or_default();
    let is_port = |port: &&BridgePort| had.iter().any(|known| known.link == port.link);
    let lost: Vec<_> = want.ports.iter().filter(|port| !is_port(port)).cloned().collect();
    if !lost.is_empty() {
        let stp = want.bridge.as_ref().map_or(Stp::Off, |bridge| bridge.stp);
        steps.push(Step::AttachPorts { bridge: link(), stp, ports: lost });
    }
    steps
}

fn route_steps(have: &Provision, want: &Provision) -> Vec<Step> {
    let mut steps = Vec::new();
    if let Some(link) = want.link.as_ref().map(|link| &link.name) {
        let step = |route: &RouteState| (link.clone(), route.clone());
        let gone = have.routes.iter().filter(|route| !want.routes.contains(route));
        steps.extend(gone.map(step).map(|(link, route)| Step::RemoveRoute { link, route }));
        let new = want.routes.iter().filter(|route| !have.routes.contains(route));
        steps.extend(new.map(step).map(|(link, route)| Step::AddRoute { link, route }));
    }
    let unset = want.forwarding.iter().filter(|sysctl| !have.forwarding.contains(sysctl));
    steps.extend(unset.cloned().map(Step::Sysctl));
    steps
}

/// What becomes of dnsmasq: before its files change, the files, and after.
#[derive(Default)]
struct ServiceSteps {
    first: Vec<Step>,
    files: Vec<Step>,
    then: Vec<Step>,
}

/// Whether a running dnsmasq has its sockets on a bridge that is no more.
const fn is_bound_elsewhere(have: &Provision) -> bool {
    have.link.is_none()
}

fn service_steps(have: &Provision, want: &Provision) -> ServiceSteps {
    let mut steps = ServiceSteps::default();
    let stop = |service: &DnsmasqState| {
        Step::Undo(Undo::StopDnsmasq {
            conf_file: service.launch.conf_file.clone(),
            pid_file: service.pid_file.clone(),
        })
    };
    let write = |file: &FileImage| Step::WriteFile(file.clone());
    match (&have.dnsmasq, &want.dnsmasq) {
        (None, None) => {}
        (Some(have), None) => {
            steps.first.push(stop(have));
            let files = std::iter::once(&have.conf).chain(&have.hosts);
            let remove = |file: &FileImage| Undo::RemoveFile { path: file.path.clone() };
            steps.first.extend(files.map(remove).map(Step::Undo));
        }
        (Some(running), Some(want)) if running.conf == want.conf && !is_bound_elsewhere(have) => {
            let have = running;
            let changed = want.hosts.iter().filter(|file| !have.hosts.contains(file));
            steps.files.extend(changed.map(write));
            if !steps.files.is_empty() {
                steps.then.push(Step::ReloadDnsmasq {
                    conf_file: want.launch.conf_file.clone(),
                    pid_file: want.pid_file.clone(),
                });
            }
        }
        (running, Some(want)) => {
            // Beside a bridge that is there a process may be left that nobody knows of.
            if running.is_some() || have.link.is_some() {
                steps.first.push(stop(want));
            }
            steps.files.push(write(&want.conf));
            steps.files.extend(want.hosts.iter().map(write));
            let (launch, pid_file) = (want.launch.clone(), want.pid_file.clone());
            steps.then.push(Step::StartDnsmasq { launch, pid_file });
        }
    }
    steps
}

fn zone_steps(have: &Provision, want: &Provision) -> Vec<Step> {
    match (&want.link, &want.zone) {
        (Some(link), Some(zone)) if have.zone.as_ref() != Some(zone) => {
            vec![Step::JoinZone { link: link.name.clone(), zone: zone.clone() }]
        }
        _ => Vec::new(),
    }
}

fn domain_steps(have: &Provision, want: &Provision) -> Vec<Step> {
    match (&want.link, &want.domain) {
        (Some(link), Some(domain)) if have.domain.as_ref() != Some(domain) => {
            vec![Step::RegisterDomain { link: link.name.clone(), registration: domain.clone() }]
        }
        _ => Vec::new(),
    }
}

#[cfg(test)]
mod tests;
