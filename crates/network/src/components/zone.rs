//! firewalld's zone of the bridge.
//!
//! libvirt 11.3.0: `networkSetBridgeZone`, src/network/bridge_driver_linux.c

use std::collections::BTreeMap;

use oxivirt_types::link_name::LinkName;

use super::{Desired, NetworkState};
use crate::apply::host;
use crate::network::Network;
use crate::plan::error::PlanError;
use crate::plan::facts::Zones;
use crate::plan::policy::DefaultZone;
use crate::plan::{Step, Undo};

/// firewalld's zones for bridges, and the policy without which the second is of no use, as libvirt's
/// packages install them.
const LIBVIRT_ZONE: &str = "libvirt";
const ROUTED_ZONE: &str = "libvirt-routed";
const ROUTED_POLICY: &str = "libvirt-routed-out";

/// Whether a network's bridge belongs into a zone, if a firewalld runs.
#[must_use]
pub fn is_wanted(network: &Network) -> bool {
    let policy = network.policy();
    policy.zone != DefaultZone::None || (policy.owns_bridge() && network.bridge.zone.is_some())
}

/// firewalld's zone for a network's bridge; `None` if none is wanted, or no firewalld runs.
///
/// # Errors
/// [`PlanError::Zone`] if one is named and no firewalld runs, [`PlanError::NoLibvirtZone`] if the zone
/// for networks is missing; whether one that is named exists is checked by firewalld.
pub fn desired(network: &Network, firewalld: Option<&Zones>) -> Desired<Option<String>> {
    if !is_wanted(network) {
        return Ok(None);
    }
    let known = match (&network.bridge.zone, firewalld) {
        (Some(zone), None) => {
            return Err(PlanError::Zone { zone: zone.clone(), network: network.name.clone() });
        }
        (Some(zone), Some(_)) => return Ok(Some(zone.clone())),
        (None, None) => return Ok(None),
        (None, Some(known)) => known,
    };
    let is_routed = network.policy().zone == DefaultZone::LibvirtRouted
        && known.has_policy(ROUTED_POLICY)
        && known.has_zone(ROUTED_ZONE);
    match is_routed {
        true => Ok(Some(ROUTED_ZONE.to_owned())),
        false if known.has_zone(LIBVIRT_ZONE) => Ok(Some(LIBVIRT_ZONE.to_owned())),
        false => Err(PlanError::NoLibvirtZone),
    }
}

pub(super) async fn observe<H: host::Zones>(
    host: &H,
    wanted: &[&NetworkState],
    found: &mut [NetworkState],
) {
    let zones = match wanted.iter().any(|want| want.zone.is_some()) {
        true => host.zones_of_links().await,
        false => Some(BTreeMap::new()),
    };
    for (want, found) in wanted.iter().zip(found) {
        found.zone = match (&zones, &want.link) {
            (Some(zones), Some(link)) => zones.get(link.name.as_str()).cloned(),
            (Some(_), None) => None,
            // Its return is announced, and is a reason to look again.
            (None, _) => want.zone.clone(),
        };
    }
}

pub(super) fn diff(
    have: Option<&String>,
    want: Option<&String>,
    link: Option<&LinkName>,
) -> Vec<Step> {
    match (link, want) {
        (Some(link), Some(zone)) if have != Some(zone) => {
            vec![Step::JoinZone { link: link.clone(), zone: zone.clone() }]
        }
        _ => Vec::new(),
    }
}

/// What takes a bridge out of the zone that firewalld has it in.
#[must_use]
pub fn undo(network: &Network, firewalld: Option<&Zones>) -> Option<Undo> {
    let link = network.own_bridge()?.clone();
    desired(network, firewalld).ok().flatten().map(|_| Undo::LeaveZone { link })
}
