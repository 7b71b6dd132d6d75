//! Whether a network can start, and what of its definition decides that.
//!
//! libvirt 11.3.0: `networkStartNetworkVirtual`, src/network/bridge_driver.c

use oxivirt_conf::network::RouteDef;
use oxivirt_conf::status::FirewallBackend;
use oxivirt_nft::Family;
use oxivirt_nft::user_chain::{self, DroppingChain};
use oxivirt_types::link_name::LinkName;

use super::dnsmasq;
use super::error::PlanError;
use super::facts::{FilterQuery, Firewalld, START_TIMEOUT};
use super::policy::Attachment;
use super::traffic::subnet;
use super::{FactsQuery, HostFacts, PoolQuery};
use crate::components::{routes, zone};
use crate::network::Network;

type Result<T> = std::result::Result<T, PlanError>;

/// What a start asks about the host.
///
/// # Errors
/// [`PlanError`] if the definition alone shows that the network cannot be started.
pub fn query(network: &Network) -> Result<FactsQuery> {
    if !network.policy().owns_bridge() {
        let pf = network.forward.pf.clone().filter(|_| network.forward.devices.is_empty());
        let pool = pf.map(|pf| PoolQuery {
            pf,
            is_hostdev: network.policy().attachment == Attachment::PciFunction,
        });
        return Ok(FactsQuery { pool, ..FactsQuery::default() });
    }
    let bridge = network.required_bridge()?;
    let mut destinations = Vec::new();
    for ip in &network.ips {
        destinations.push(subnet(ip, bridge)?);
    }
    destinations.extend(network.routes.iter().filter_map(RouteDef::destination));
    Ok(FactsQuery {
        bridge: Some(bridge.clone()),
        destinations,
        forwards_ipv6: network.forwards(Family::Ipv6),
        needs_rules: network.policy().has_rules(),
        filters: FilterQuery {
            zones: zone::is_wanted(network).then_some(START_TIMEOUT),
            ..FilterQuery::default()
        },
        needs_dnsmasq: dnsmasq::is_needed(network),
        settings: routes::forwarding(network),
        ..FactsQuery::default()
    })
}

/// Whether a network can be started on this host; what is odd, but no reason to refuse.
///
/// # Errors
/// [`PlanError`] if it cannot.
pub fn check(network: &Network, facts: &HostFacts) -> Result<Vec<String>> {
    check_supported(network, facts)?;
    if !network.policy().owns_bridge() {
        return Ok(Vec::new());
    }
    let bridge = network.required_bridge()?;
    let mut warnings = Vec::new();
    check_routes(network, facts, bridge, &mut warnings)?;
    if facts.bridge.is_some() {
        return Err(PlanError::BridgeExists { bridge: bridge.clone() });
    }
    if network.forwards(Family::Ipv6) && !facts.ra_links.is_empty() {
        return Err(PlanError::RaRoutes { links: facts.ra_links.join(", ") });
    }
    warnings.extend(dropped(network, facts));
    if facts.lacks_resolv_conf && dnsmasq::is_resolver(network) {
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
fn dropped<'a>(network: &'a Network, facts: &'a HostFacts) -> impl Iterator<Item = String> + 'a {
    let concerns = |chain: &&DroppingChain| {
        let families = [(Family::Ipv4, "ip"), (Family::Ipv6, "ip6")].into_iter();
        let forwarded = families.filter(|(family, _)| network.forwards(*family));
        let mut seen = forwarded.filter(|(_, word)| [*word, "inet"].contains(&chain.family));
        // Where there is a jump, it is not dropped.
        let has_jump = |family| {
            let mut chains = facts.user_chains.iter();
            chain.table == user_chain::TABLE && chains.any(|user| user.family == family)
        };
        chain.hook == "forward" && seen.any(|(family, _)| !has_jump(family))
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
pub fn check_firewall(network: &Network, query: &FactsQuery, facts: &HostFacts) -> Result<()> {
    if !query.needs_rules || query.backend != Some(FirewallBackend::None) {
        return Ok(());
    }
    Err(match facts.is_privileged {
        true => PlanError::NoFirewall,
        false => PlanError::NotPermitted { bridge: network.required_bridge()?.clone() },
    })
}

/// What this host or this version cannot do, and is refused rather than left out silently.
fn check_supported(network: &Network, facts: &HostFacts) -> Result<()> {
    match &facts.firewalld {
        Firewalld::Unresponsive(reason) if zone::is_wanted(network) => {
            return Err(PlanError::UnresponsiveFirewalld { reason: reason.clone() });
        }
        other => drop(zone::desired(network, other.zones())?),
    }
    if network.bandwidth.is_some() && !facts.is_privileged {
        return Err(PlanError::UnprivilegedBandwidth);
    }
    if let Some(pf) = &network.forward.pf
        && network.forward.devices.is_empty()
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
    network: &Network,
    facts: &HostFacts,
    bridge: &LinkName,
    warnings: &mut Vec<String>,
) -> Result<()> {
    let subnets = network.ips.iter().map(|ip| subnet(ip, bridge)).collect::<Result<Vec<_>>>()?;
    let routes: Vec<_> = network.routes.iter().filter_map(RouteDef::destination).collect();
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
