//! Routes through the bridge, and the host's forwarding.

use std::net::IpAddr;

use ipnet::IpNet;
use oxivirt_conf::network::RouteDef;
use oxivirt_netlink::Route;
use oxivirt_nft::Family;
use oxivirt_types::link_name::LinkName;

use super::NetworkState;
use crate::apply::HostError;
use crate::apply::host::{Links, Settings};
use crate::network::Network;
use crate::plan::{IfMissing, Step, Sysctl};

/// Metric of a route that has none; the kernel would take 1024 for IPv6.
const ROUTE_METRIC: u32 = 1;

/// Routes through the bridge, and settings with which the host forwards the network's packets.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Routing {
    /// Routes through the bridge.
    pub routes: Vec<RouteState>,
    /// Settings of the whole host.
    pub forwarding: Vec<Sysctl>,
}

/// A route through the bridge.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RouteState {
    /// Where packets go to.
    pub destination: IpNet,
    /// The next router.
    pub gateway: IpAddr,
    /// Among routes to the same destination the smallest wins.
    pub metric: u32,
}

impl std::fmt::Display for RouteState {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "to {} via {} metric {}", self.destination, self.gateway, self.metric)
    }
}

/// The routes of a definition, and the forwarding that its mode needs.
pub(super) fn desired(network: &Network) -> Routing {
    let routes = network.routes.iter().filter_map(route).collect();
    Routing { routes, forwarding: forwarding(network) }
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

pub(super) async fn observe<H: Links + Settings>(
    host: &H,
    wanted: &[&NetworkState],
    found: &mut [NetworkState],
) -> Result<(), HostError> {
    let mut existing = Vec::new();
    for family in [Family::Ipv4, Family::Ipv6] {
        let of_family = |route: &RouteState| Family::of_net(&route.destination) == family;
        if wanted.iter().flat_map(|want| &want.routing.routes).any(of_family) {
            existing.extend(host.routes(family).await?);
        }
    }
    for (want, found) in wanted.iter().zip(found) {
        let exists =
            |route: &&RouteState| existing.iter().any(|other: &Route| is_same(route, other));
        let want = &want.routing;
        found.routing = Routing {
            routes: want.routes.iter().filter(exists).cloned().collect(),
            forwarding: want
                .forwarding
                .iter()
                .filter(|sysctl| host.is_set(sysctl))
                .cloned()
                .collect(),
        };
    }
    Ok(())
}

fn is_same(route: &RouteState, other: &Route) -> bool {
    other.destination == route.destination
        && other.gateway == Some(route.gateway)
        && other.metric == route.metric
}

/// Forwarding is never turned off on the way: other programs may rely on it by now.
pub(super) fn diff(have: &Routing, want: &Routing, link: Option<&LinkName>) -> Vec<Step> {
    let mut steps = Vec::new();
    if let Some(link) = link {
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
