//! Whether a network can start, and what of its definition decides that.
//!
//! libvirt 11.3.0: `networkStartNetworkVirtual`, src/network/bridge_driver.c

use std::path::PathBuf;

use ipnet::IpNet;
use oxivirt_conf::network::{NetworkDef, RouteDef};
use oxivirt_conf::status::FirewallBackend;
use oxivirt_nft::Family;
use oxivirt_nft::passage::{self, DroppingChain};
use oxivirt_types::link_name::{LinkName, LinkNameError};

use super::dnsmasq::{self, DnsmasqError};
use super::facts::{FilterQuery, Firewalld, START_TIMEOUT};
use super::policy::Attachment;
use super::traffic::subnet;
use super::{FactsQuery, HostFacts, ModePolicy, PoolQuery, policy, provision};

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
    UnresponsiveFirewalld {
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
    if !policy::owns_bridge(def) {
        let pf = def.forward.pf.clone().filter(|_| def.forward.devices.is_empty());
        let pool = pf.map(|pf| PoolQuery {
            pf,
            is_hostdev: ModePolicy::of_network(def).attachment == Attachment::PciFunction,
        });
        return Ok(FactsQuery { pool, ..FactsQuery::default() });
    }
    let bridge = policy::bridge_name(def)?;
    let mut destinations = Vec::new();
    for ip in &def.ips {
        destinations.push(subnet(ip, &bridge)?);
    }
    destinations.extend(def.routes.iter().filter_map(RouteDef::destination));
    Ok(FactsQuery {
        bridge: Some(bridge),
        destinations,
        forwards_ipv6: policy::forwards(def, Family::Ipv6),
        needs_rules: policy::has_rules(def),
        filters: FilterQuery {
            zones: policy::wants_zone(def).then_some(START_TIMEOUT),
            ..FilterQuery::default()
        },
        needs_dnsmasq: dnsmasq::is_needed(def),
        settings: provision::forwarding(def),
        ..FactsQuery::default()
    })
}

/// Whether a network can be started on this host; what is odd, but no reason to refuse.
///
/// # Errors
/// [`PlanError`] if it cannot.
pub fn check(def: &NetworkDef, facts: &HostFacts) -> Result<Vec<String>> {
    check_supported(def, facts)?;
    if !policy::owns_bridge(def) {
        return Ok(Vec::new());
    }
    let bridge = policy::bridge_name(def)?;
    let mut warnings = Vec::new();
    check_routes(def, facts, &bridge, &mut warnings)?;
    if facts.bridge.is_some() {
        return Err(PlanError::BridgeExists { bridge });
    }
    if policy::forwards(def, Family::Ipv6) && !facts.ra_links.is_empty() {
        return Err(PlanError::RaRoutes { links: facts.ra_links.join(", ") });
    }
    warnings.extend(dropped(def, facts));
    if facts.lacks_resolv_conf && dnsmasq::is_resolver(def) {
        warnings.push(
            "/etc/resolv.conf cannot be read: guests' queries for names outside of the network are not \
             answered until it can"
                .to_owned(),
        );
    }
    Ok(warnings)
}

/// Filters of other programs that a network's forwarded packets do not pass: what our rules accept, the
/// policy of another base chain still drops.
fn dropped<'a>(def: &'a NetworkDef, facts: &'a HostFacts) -> impl Iterator<Item = String> + 'a {
    let concerns = |chain: &&DroppingChain| {
        let families = [(Family::Ipv4, "ip"), (Family::Ipv6, "ip6")].into_iter();
        let forwarded = families.filter(|(family, _)| policy::forwards(def, *family));
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
        false => PlanError::NotPermitted { bridge: policy::bridge_name(def)? },
    })
}

/// What this host or this version cannot do, and is refused rather than left out silently.
fn check_supported(def: &NetworkDef, facts: &HostFacts) -> Result<()> {
    match &facts.firewalld {
        Firewalld::Unresponsive(reason) if policy::wants_zone(def) => {
            return Err(PlanError::UnresponsiveFirewalld { reason: reason.clone() });
        }
        other => drop(policy::zone(def, other.zones())?),
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
