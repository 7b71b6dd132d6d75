//! The bridge: the link, what is set on it, its addresses, and its ports after it was created again.
//!
//! libvirt 11.3.0: `networkStartNetworkVirtual`, src/network/bridge_driver.c

use std::collections::BTreeSet;

use ipnet::IpNet;
use oxivirt_conf::network::{IpDef, MacTableManager};
use oxivirt_netlink::{Bridge, Link, LinkKind, PortSettings, Stp};
use oxivirt_nft::Family;
use oxivirt_types::link_name::LinkName;

use super::Desired;
use crate::apply::host::{Links, Settings};
use crate::network::Network;
use crate::plan::error::PlanError;
use crate::plan::{IfMissing, Step, Sysctl, Undo};

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

/// The bridge that a network creates, or the part of the host's bridge that it changes.
///
/// # Errors
/// [`PlanError`] if its name, its MAC address or an address cannot be used.
pub(super) fn desired(network: &Network) -> Desired<Option<LinkState>> {
    match network.policy().owns_bridge() {
        true => Ok(Some(own(network, network.required_bridge()?)?)),
        false if is_managed(network) => Ok(network.checked_bridge()?.map(of_host)),
        false => Ok(None),
    }
}

fn is_managed(network: &Network) -> bool {
    network.bridge.mac_table_manager == Some(MacTableManager::Libvirt)
}

/// A bridge of the host whose table of addresses is managed.
fn of_host(name: &LinkName) -> LinkState {
    LinkState {
        name: name.clone(),
        bridge: None,
        mtu: None,
        settings: Vec::new(),
        addresses: Vec::new(),
        vlan_filtering: true,
        is_up: false,
        ports: Vec::new(),
    }
}

fn own(network: &Network, name: &LinkName) -> Desired<LinkState> {
    let mac = network.required_mac()?;
    let ipv6 = |key: &str, value| {
        let key = format!("net/ipv6/conf/{name}/{key}");
        Sysctl { key, value, if_missing: IfMissing::Skip }
    };
    let disable = if network.has_family(Family::Ipv6) { "0" } else { "1" };
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
        addresses: network.ips.iter().map(address).collect::<Result<_, _>>()?,
        vlan_filtering: is_managed(network),
        is_up: true,
        ports: Vec::new(),
    })
}

/// What is there of a bridge; nothing if its name belongs to something else.
pub(super) fn observe<H: Links + Settings>(
    host: &H,
    want: &LinkState,
    link: &Link,
    addresses: &BTreeSet<(u32, IpNet)>,
) -> Option<LinkState> {
    let is_meant = |bridge: &Bridge| {
        link.kind == LinkKind::Bridge && link.address.as_slice() == bridge.address.as_slice()
    };
    if want.bridge.as_ref().is_some_and(|bridge| !is_meant(bridge)) {
        return None;
    }
    let has = |address: &&IpNet| addresses.contains(&(link.index, **address));
    Some(LinkState {
        name: want.name.clone(),
        bridge: want.bridge.clone(),
        mtu: want.mtu.filter(|mtu| *mtu == link.mtu),
        settings: want.settings.iter().filter(|sysctl| host.is_set(sysctl)).cloned().collect(),
        addresses: want.addresses.iter().filter(has).copied().collect(),
        vlan_filtering: link.filters_vlans,
        is_up: link.is_up,
        // A port that was taken from a bridge which exists was taken on purpose.
        ports: want.ports.clone(),
    })
}

/// The steps from one state of the bridge to another. A bridge is never deleted on the way.
pub(super) fn diff(have: Option<&LinkState>, want: Option<&LinkState>) -> Vec<Step> {
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

/// What deletes the bridge; nothing for a bridge of the host.
pub(crate) fn undo(network: &Network) -> Option<Undo> {
    let name = network.own_bridge()?.clone();
    Some(Undo::DeleteBridge { name, address: network.mac.map(|mac| mac.0) })
}
