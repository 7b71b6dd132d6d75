//! What a network is made of on its host, a file for each component.
//!
//! A component's file has what a definition wants of it (`desired`), what is there of it (`observe`), the
//! steps from one to the other (`diff`), and what takes it away again if it outlives the network's bridge
//! (`undo`). This file is their list: a new component is a file, a field of [`NetworkState`] and a line in
//! each of the three functions here, which do not compile without it.
//!
//! There is one engine: a start is the difference between nothing and what the definition wants, an
//! update that between two definitions, a repair that between what was found and what should be
//! there. `desired` and `diff` are pure; only `observe` asks the host, a component the concerns it needs.
//!
//! libvirt 11.3.0: `networkStartNetworkVirtual`, `networkUpdate`, src/network/bridge_driver.c

pub mod bridge;
pub mod dhcp;
pub mod qos;
pub mod resolver;
pub mod routes;
pub mod rules;
pub mod zone;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use oxivirt_netlink::Link;

use crate::apply::HostError;
use crate::apply::host::Host;
use crate::layout::Layout;
use crate::network::Network;
use crate::plan::error::PlanError;
use crate::plan::facts::Zones;
use crate::plan::nftables::Layer;
use crate::plan::{Plan, Step, Undo};

use self::bridge::LinkState;
use self::dhcp::Server;
use self::qos::{Floors, Qos};
use self::resolver::Registration;
use self::routes::Routing;
use self::rules::{Firewall, Rules};

/// What a network has on its host, or the part of it that is there.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct NetworkState {
    /// The bridge.
    pub link: Option<LinkState>,
    /// Firewall rules.
    pub rules: Option<Rules>,
    /// DHCP and DNS, if the server runs.
    pub dhcp: Option<Server>,
    /// Routes through the bridge, and the host's forwarding.
    pub routing: Routing,
    /// Rate limits.
    pub qos: Option<Qos>,
    /// The domain that the host's resolver asks this network for.
    pub resolver: Option<Registration>,
    /// firewalld's zone for the bridge.
    pub zone: Option<String>,
}

/// What the desired state depends on beside the definition.
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
    /// Layer of each translated subnet, in the order of [`crate::plan::traffic::translated`].
    pub layers: &'a [Layer],
    /// Rates guaranteed to ports.
    pub floors: &'a Floors,
}

/// A part of the desired state, or why it cannot be had.
pub(crate) type Desired<T> = Result<T, PlanError>;

/// What a network wants.
///
/// # Errors
/// [`PlanError`] if it cannot be had: a name that no link can have, no dnsmasq and so on.
pub fn desired(network: &Network, inputs: &PlanInputs<'_>) -> Result<NetworkState, PlanError> {
    let qos = qos::desired(network, inputs)?;
    let link = bridge::desired(network)?;
    let Some(bridge) = network.own_bridge() else {
        // Bridge and devices belong to the host; nothing else is checked, as in libvirt.
        return Ok(NetworkState { link, qos, ..NetworkState::default() });
    };
    Ok(NetworkState {
        link,
        rules: rules::desired(network, inputs)?,
        dhcp: dhcp::desired(network, inputs, bridge)?,
        routing: routes::desired(network),
        qos,
        resolver: resolver::desired(network),
        // A firewalld that is not there is a reason not to start, not one to leave the rest broken.
        zone: zone::desired(network, inputs.firewalld).ok().flatten(),
    })
}

/// The steps that turn what a network has into what it wants.
///
/// `saved` is what the status file and the journal say of removing rules: rules made by an older version
/// or another backend leave in the transaction, or right after it, in which the new ones come. The rules and
/// all that is on the bridge change at the same time; a bridge enters its zone before its rules.
#[must_use]
pub fn diff(have: &NetworkState, want: &NetworkState, saved: &[Undo]) -> Plan<Step> {
    let link = want.link.as_ref().map(|link| &link.name);
    let bridge = if have.link.is_some() { dhcp::Bridge::Kept } else { dhcp::Bridge::New };
    let server = dhcp::diff(have.dhcp.as_ref(), want.dhcp.as_ref(), bridge);
    let mut filters = zone::diff(have.zone.as_ref(), want.zone.as_ref(), link);
    filters.extend(rules::diff(have.rules.as_ref(), want.rules.as_ref(), saved));
    let mut plan = Plan::default();
    plan.then(server.before);
    plan.then_parallel([bridge::diff(have.link.as_ref(), want.link.as_ref()), server.files]);
    plan.then_parallel([
        filters,
        server.after,
        routes::diff(&have.routing, &want.routing, link),
        qos::diff(have.qos.as_ref(), want.qos.as_ref()),
        resolver::diff(have.resolver.as_ref(), want.resolver.as_ref(), link),
    ]);
    plan
}

/// The part of each network's desired state that is in place.
///
/// What is there beyond it is left out: it is not the network's.
///
/// # Errors
/// [`HostError`] if the host cannot be asked.
pub async fn observe<H: Host>(
    host: &H,
    wanted: &[&NetworkState],
) -> Result<Vec<NetworkState>, HostError> {
    let mut found = vec![NetworkState::default(); wanted.len()];
    if wanted.iter().any(|want| want.link.is_some() || want.qos.is_some()) {
        let links = host.all_links().await?;
        let links: Links<'_> = links.iter().map(|link| (link.name.as_str(), link)).collect();
        let addresses: BTreeSet<_> = host.addresses().await?;
        for (want, found) in wanted.iter().zip(&mut found) {
            let link =
                want.link.as_ref().and_then(|want| Some((want, *links.get(want.name.as_str())?)));
            found.link =
                link.and_then(|(want, link)| bridge::observe(host, want, link, &addresses));
        }
        qos::observe(host, &links, wanted, &mut found).await?;
    }
    routes::observe(host, wanted, &mut found).await?;
    rules::observe(host, wanted, &mut found).await?;
    zone::observe(host, wanted, &mut found).await;
    dhcp::observe(host, wanted, &mut found);
    for (want, found) in wanted.iter().zip(&mut found) {
        found.resolver = resolver::observe(want.resolver.as_ref(), found.link.is_some());
    }
    Ok(found)
}

/// Links by name.
type Links<'a> = BTreeMap<&'a str, &'a Link>;

#[cfg(test)]
mod tests;
