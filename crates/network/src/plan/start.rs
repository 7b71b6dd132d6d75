//! Whether a network can start, and what of its definition decides that.
//!
//! libvirt 11.3.0: `networkStartNetworkVirtual`, src/network/bridge_driver.c

use std::path::PathBuf;

use ipnet::IpNet;
use oxivirt_conf::YesNo;
use oxivirt_conf::network::{ForwardMode, IpDef, NatPorts, NetworkDef, RouteDef};
use oxivirt_conf::status::FirewallBackend;
use oxivirt_nft::passage::{self, DroppingChain};
use oxivirt_nft::{Family, PortRange};
use oxivirt_types::link_name::{LinkName, LinkNameError};

use super::dnsmasq::{self, DnsmasqError};
use super::facts::{FilterQuery, Firewalld, START_PATIENCE, Zones};
use super::nftables::{Layer, Outside, Subnet, Traffic};
use super::{FactsQuery, HostFacts, PoolQuery, provision};

/// Ports that translated TCP and UDP flows leave from, unless the definition says otherwise.
const NAT_PORTS: NatPorts = NatPorts { start: 1024, end: 65535 };
/// firewalld's zones for bridges, and the policy without which the second is of no use, as libvirt's packages
/// bring them.
const LIBVIRT_ZONE: &str = "libvirt";
const ROUTED_ZONE: &str = "libvirt-routed";
const ROUTED_POLICY: &str = "libvirt-routed-out";

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
        "Check the host setup: interface {links} has kernel autoconfigured IPv6 routes and enabling \
         forwarding without accept_ra set to 2 will cause the kernel to flush them, breaking networking."
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
    /// firewalld lacks the zone for bridges that comes with libvirt.
    #[error("firewalld can't find the 'libvirt' zone that should have been installed with libvirt")]
    NoLibvirtZone,
    /// firewalld runs and does not tell its zones.
    #[error("{reason}")]
    MuteFirewalld {
        /// Why.
        reason: String,
    },
    /// There is no way to set rules on this host.
    #[error("No firewall backend is available")]
    NoFirewall,
    /// An unprivileged user has no way to set rules, and no right to make a bridge either, which
    /// libvirt tries first.
    #[error("error creating bridge interface {bridge}: Operation not permitted")]
    NotPermitted {
        /// The bridge.
        bridge: LinkName,
    },
    /// Rate limits need privileges.
    #[error("Network bandwidth tuning is not available in session mode")]
    UnprivilegedBandwidth,
    /// A pool of virtual functions, of a device that has none.
    #[error("No usable Vf's present on SRIOV PF {pf}")]
    NoVirtualFunctions {
        /// The device.
        pf: String,
    },
}

type Result<T> = std::result::Result<T, PlanError>;

/// What a start asks about the host.
///
/// # Errors
/// [`PlanError`] if the definition alone shows that the network cannot be started.
pub fn query(def: &NetworkDef) -> Result<FactsQuery> {
    if !def.forward.mode.owns_bridge() {
        let pf = def.forward.pf.clone().filter(|_| def.forward.devices.is_empty());
        let pool =
            pf.map(|pf| PoolQuery { pf, is_hostdev: def.forward.mode == ForwardMode::Hostdev });
        return Ok(FactsQuery { pool, ..FactsQuery::default() });
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
        filters: FilterQuery {
            zones: wants_zone(def).then_some(START_PATIENCE),
            ..FilterQuery::default()
        },
        needs_dnsmasq: dnsmasq::is_needed(def),
        settings: provision::forwarding(def),
        ..FactsQuery::default()
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

/// Whether a network can be started on this host; what is odd, but no reason to refuse.
///
/// # Errors
/// [`PlanError`] if it cannot.
pub fn check(def: &NetworkDef, facts: &HostFacts) -> Result<Vec<String>> {
    check_supported(def, facts)?;
    if !def.forward.mode.owns_bridge() {
        return Ok(Vec::new());
    }
    let bridge = bridge_name(def)?;
    let mut warnings = Vec::new();
    check_routes(def, facts, &bridge, &mut warnings)?;
    if facts.bridge.is_some() {
        return Err(PlanError::BridgeExists { bridge });
    }
    if forwards(def, Family::Ipv6) && !facts.ra_links.is_empty() {
        return Err(PlanError::RaRoutes { links: facts.ra_links.join(", ") });
    }
    warnings.extend(dropped(def, facts));
    Ok(warnings)
}

/// Filters of other programs that a network's forwarded packets do not pass: what our rules accept, the
/// policy of another base chain still drops.
fn dropped<'a>(def: &'a NetworkDef, facts: &'a HostFacts) -> impl Iterator<Item = String> + 'a {
    let concerns = |chain: &&DroppingChain| {
        let families = [(Family::Ipv4, "ip"), (Family::Ipv6, "ip6")].into_iter();
        let forwarded = families.filter(|(family, _)| forwards(def, *family));
        let mut seen = forwarded.filter(|(_, word)| [*word, "inet"].contains(&chain.family));
        // Where there is a passage, it is not dropped.
        let has_passage = |family| {
            let mut chains = facts.user_chains.iter();
            chain.table == passage::TABLE && chains.any(|user| user.family == family)
        };
        chain.hook == "forward" && seen.any(|(family, _)| !has_passage(family))
    };
    facts.drops.iter().filter(concerns).map(|chain| {
        let DroppingChain { family, table, name, hook } = chain;
        format!(
            "chain {name} of table {family} {table} (hook {hook}) drops what it does not accept, so \
             guests' packets may not be forwarded"
        )
    })
}

/// Whether rules can be set for a network that needs them.
///
/// # Errors
/// [`PlanError`] if they cannot.
pub fn check_firewall(def: &NetworkDef, query: &FactsQuery, facts: &HostFacts) -> Result<()> {
    if !query.needs_rules || query.backend != Some(FirewallBackend::None) {
        return Ok(());
    }
    Err(match facts.is_privileged {
        true => PlanError::NoFirewall,
        false => PlanError::NotPermitted { bridge: bridge_name(def)? },
    })
}

/// What this host or this version cannot do, and is refused rather than left out silently.
fn check_supported(def: &NetworkDef, facts: &HostFacts) -> Result<()> {
    match &facts.firewalld {
        Firewalld::Mute(reason) if wants_zone(def) => {
            return Err(PlanError::MuteFirewalld { reason: reason.clone() });
        }
        other => drop(zone(def, other.zones())?),
    }
    if def.bandwidth.is_some() && !facts.is_privileged {
        return Err(PlanError::UnprivilegedBandwidth);
    }
    if let Some(pf) = &def.forward.pf
        && def.forward.devices.is_empty()
        && facts.pool.is_empty()
    {
        return Err(PlanError::NoVirtualFunctions { pf: pf.clone() });
    }
    Ok(())
}

/// firewalld's zone for a network's bridge; `None` if none is wanted, or no firewalld runs.
///
/// # Errors
/// [`PlanError::Zone`] if one is named and no firewalld runs, [`PlanError::NoLibvirtZone`] if the zone for
/// networks is missing; whether one that is named exists is for firewalld to say.
///
/// libvirt 11.3.0: `networkSetBridgeZone`, src/network/bridge_driver_linux.c
pub fn zone(def: &NetworkDef, firewalld: Option<&Zones>) -> Result<Option<String>> {
    if !wants_zone(def) {
        return Ok(None);
    }
    match (&def.bridge.zone, firewalld) {
        (Some(zone), None) => {
            Err(PlanError::Zone { zone: zone.clone(), network: def.name.clone() })
        }
        (Some(zone), Some(_)) => Ok(Some(zone.clone())),
        (None, None) => Ok(None),
        (None, Some(known)) => {
            let has = |names: &[String], name: &str| names.iter().any(|known| known == name);
            let is_routed = def.forward.mode == ForwardMode::Route
                && has(&known.policies, ROUTED_POLICY)
                && has(&known.zones, ROUTED_ZONE);
            match is_routed {
                true => Ok(Some(ROUTED_ZONE.to_owned())),
                false if has(&known.zones, LIBVIRT_ZONE) => Ok(Some(LIBVIRT_ZONE.to_owned())),
                false => Err(PlanError::NoLibvirtZone),
            }
        }
    }
}

/// Whether a network's bridge belongs into a zone, if a firewalld runs.
#[must_use]
pub fn wants_zone(def: &NetworkDef) -> bool {
    has_rules(def) || (def.forward.mode.owns_bridge() && def.bridge.zone.is_some())
}

/// The name of the bridge that a network makes.
///
/// # Errors
/// [`PlanError`] if it has none, or an impossible one.
pub fn bridge_name(def: &NetworkDef) -> Result<LinkName> {
    let name = def.bridge.name.as_deref();
    let name = name.ok_or_else(|| PlanError::NoBridgeName { network: def.name.clone() })?;
    Ok(LinkName::new(name)?)
}

fn subnet(ip: &IpDef, bridge: &LinkName) -> Result<IpNet> {
    ip.subnet().ok_or_else(|| PlanError::Prefix { bridge: bridge.clone() })
}

pub(super) fn has_family(def: &NetworkDef, family: Family) -> bool {
    def.ips.iter().any(|ip| ip.family() == family)
}

/// Whether the host shall forward packets of a family for this network.
pub(super) fn forwards(def: &NetworkDef, family: Family) -> bool {
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
