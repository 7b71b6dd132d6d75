//! Rules at define time, which need more than the document.
//!
//! A definition that was read is consistent in itself; whether the driver can serve it next to
//! the networks and devices there are is decided here. Files loaded from disk do not pass through
//! these rules, only through [`complete_loaded`].

mod error;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use oxivirt_types::ip::Family;
use oxivirt_types::mac::MacAddr;

pub use self::error::ValidateError;
use super::{ForwardDevice, ForwardMode, NetworkDef, PortGroup};
use crate::bandwidth::{Bandwidth, Rate};
use crate::pci::PciAddress;
use crate::uuid::Uuid;
use crate::virtualport::{VirtualPort, VirtualPortType};
use crate::vlan::Vlan;

/// The highest number tried for a generated bridge name.
const BRIDGE_ID_MAX: u32 = 256;

/// Template of bridge names when none, or none usable, is given.
const BRIDGE_TEMPLATE: &str = "virbr%d";

/// Largest rate the kernel takes, in kilobytes per second.
const RATE_MAX: u64 = 1 << 54;

/// Largest burst the kernel takes, in kibibytes.
const BURST_MAX: u64 = (1 << 22) - 1;

/// What the rules ask of the host and of the networks there are.
#[derive(Clone, Copy)]
pub struct Surroundings<'a> {
    /// Bridge names of all other networks, live and persistent, of any mode.
    pub bridges: &'a BTreeSet<String>,
    /// Whether the host has an interface of this name.
    pub link_exists: &'a dyn Fn(&str) -> bool,
    /// Whether a PCI function is an SR-IOV virtual function of the host.
    pub is_virtual_function: &'a dyn Fn(PciAddress) -> bool,
    /// A fresh address for a bridge, see [`MacAddr::generated`].
    pub generate_mac: &'a dyn Fn() -> MacAddr,
}

impl fmt::Debug for Surroundings<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Surroundings").field("bridges", self.bridges).finish_non_exhaustive()
    }
}

type Result<T> = std::result::Result<T, ValidateError>;

/// Checks a definition that is to be defined or created, and completes it: a network that owns its
/// bridge gets a bridge name and an address if it has none.
///
/// # Errors
/// [`ValidateError`], the first in libvirt's order of checks.
///
/// libvirt 11.3.0: `networkValidate`, src/network/bridge_driver.c
pub fn validate(def: &mut NetworkDef, around: Surroundings<'_>) -> Result<()> {
    if def.name.contains('\n') {
        return Err(ValidateError::NameNewline);
    }
    if def.forward.mode.owns_bridge() {
        def.bridge.name = Some(choose_bridge(def, around)?);
        def.mac.get_or_insert_with(around.generate_mac);
    } else {
        check_unowned(def)?;
    }
    let limits_allowed = limits_allowed(def);
    if def.bandwidth.is_some() && !limits_allowed {
        let element = "network-wide <bandwidth>";
        let (network, mode) = (def.name.clone(), def.forward.mode);
        return Err(ValidateError::Element { element, network, mode });
    }
    if let Some(bandwidth) = &def.bandwidth {
        check_limits(bandwidth)?;
    }
    check_pool(def, around)?;
    for family in Family::ALL {
        let serving = |ip: &&super::IpDef| ip.family() == family && ip.dhcp.serves();
        if def.ips.iter().filter(serving).count() > 1 {
            return Err(ValidateError::SeveralDhcp { family });
        }
    }
    check_port_groups(def, limits_allowed)
}

/// Whether a file on disk has to be written again because something was generated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub enum Rewrite {
    /// A UUID or an address was generated.
    Needed,
    /// The file says it all.
    NotNeeded,
}

/// Completes a definition that was read from disk: identity, and the address of an owned bridge.
///
/// A network that does not own its bridge has no use for an address; one in the file is dropped.
///
/// libvirt 11.3.0: `virNetworkLoadConfig`, src/conf/virnetworkobj.c
pub fn complete_loaded(
    def: &mut NetworkDef,
    generate_uuid: impl FnOnce() -> Uuid,
    generate_mac: impl FnOnce() -> MacAddr,
) -> Rewrite {
    let owned = def.forward.mode.owns_bridge();
    let complete = def.uuid.is_some() && (def.mac.is_some() || !owned);
    def.uuid.get_or_insert_with(generate_uuid);
    if owned {
        def.mac.get_or_insert_with(generate_mac);
    } else {
        def.mac = None;
    }
    if complete { Rewrite::NotNeeded } else { Rewrite::Needed }
}

/// The bridge name in effect: as given, or the first free one of the template.
///
/// libvirt 11.3.0: `networkBridgeNameValidate`, src/network/bridge_driver.c
fn choose_bridge(def: &NetworkDef, around: Surroundings<'_>) -> Result<String> {
    let given = def.bridge.name.as_deref().unwrap_or(BRIDGE_TEMPLATE);
    if !given.contains("%d") {
        if around.bridges.contains(given) {
            return Err(ValidateError::BridgeInUse { bridge: given.to_owned() });
        }
        return Ok(given.to_owned());
    }
    let usable = given.bytes().filter(|&byte| byte == b'%').count() == 1;
    let template = if usable { given } else { BRIDGE_TEMPLATE };
    (0..=BRIDGE_ID_MAX)
        .map(|id| template.replacen("%d", &id.to_string(), 1))
        .find(|name| !around.bridges.contains(name) && !(around.link_exists)(name))
        .ok_or(ValidateError::BridgesExhausted)
}

/// Elements that only a bridge of the network's own can have.
fn check_unowned(def: &NetworkDef) -> Result<()> {
    let dns = &def.dns;
    let elements = [
        (def.mac.is_some(), "<mac>"),
        (!def.ips.is_empty(), "<ip>"),
        (!(dns.txts.is_empty() && dns.hosts.is_empty() && dns.srvs.is_empty()), "<dns>"),
        (def.domain.name.is_some(), "<domain>"),
    ];
    match elements.into_iter().find(|&(given, _)| given) {
        Some((_, element)) => {
            let (network, mode) = (def.name.clone(), def.forward.mode);
            Err(ValidateError::Element { element, network, mode })
        }
        None => Ok(()),
    }
}

fn limits_allowed(def: &NetworkDef) -> bool {
    let mode = def.forward.mode;
    mode.owns_bridge() || (mode == ForwardMode::Bridge && def.bridge.name.is_some())
}

/// libvirt 11.3.0: `virNetDevBandwidthValidate`, src/conf/netdev_bandwidth_conf.c
fn check_limits(bandwidth: &Bandwidth) -> Result<()> {
    for Rate { average, peak, burst, floor } in
        [bandwidth.inbound, bandwidth.outbound].into_iter().flatten()
    {
        let limits = [
            ("average", average, RATE_MAX),
            ("peak", peak, RATE_MAX),
            ("floor", floor, RATE_MAX),
            ("burst", burst, BURST_MAX),
        ];
        if let Some((attribute, value, max)) =
            limits.into_iter().find(|&(_, value, max)| value > max)
        {
            return Err(ValidateError::Overflow { attribute, value, max });
        }
    }
    Ok(())
}

fn check_pool(def: &NetworkDef, around: Surroundings<'_>) -> Result<()> {
    let network = || def.name.clone();
    let mode = def.forward.mode;
    for device in &def.forward.devices {
        match (device, mode) {
            (ForwardDevice::Interface(device), ForwardMode::Hostdev) => {
                let device = device.clone();
                return Err(ValidateError::NamesInHostdev { network: network(), device });
            }
            (ForwardDevice::Pci(address), ForwardMode::Hostdev) => {
                if !(around.is_virtual_function)(*address) {
                    let address = *address;
                    return Err(ValidateError::NotVirtualFunction { network: network(), address });
                }
            }
            (ForwardDevice::Interface(_), _) => {}
            (ForwardDevice::Pci(_), _) => {
                return Err(ValidateError::AddressInPool { network: network(), mode });
            }
        }
    }
    if def.forward.pf.is_some() && !def.forward.devices.is_empty() {
        return Err(ValidateError::MixedPool { network: network() });
    }
    Ok(())
}

const fn is_openvswitch(port: &VirtualPort) -> bool {
    matches!(port.kind, Some(VirtualPortType::OpenVSwitch))
}

/// Port groups among themselves, their limits, and tags wherever they stand.
fn check_port_groups(def: &NetworkDef, limits_allowed: bool) -> Result<()> {
    let mode = def.forward.mode;
    let tags_allowed = match mode {
        ForwardMode::Hostdev | ForwardMode::Passthrough => true,
        ForwardMode::Bridge => def.virtual_port.as_ref().is_none_or(is_openvswitch),
        _ => false,
    };
    let network_tagged = def.vlan.is_some();
    let mut misused = false;
    let mut default: Option<&PortGroup> = None;
    let mut named: BTreeMap<&str, u32> = BTreeMap::new();
    for group in &def.port_groups {
        *named.entry(&group.name).or_default() += 1;
    }
    for group in &def.port_groups {
        let tagged = network_tagged || group.vlan.as_ref().is_some_and(has_tags);
        if tagged {
            misused |= match &group.virtual_port {
                Some(port) => mode != ForwardMode::Bridge || !is_openvswitch(port),
                None => !tags_allowed,
            };
        }
        check_port_group(def, group, limits_allowed)?;
        if group.default {
            if let Some(first) = default {
                return Err(ValidateError::SeveralDefaults {
                    network: def.name.clone(),
                    first: first.name.clone(),
                    second: group.name.clone(),
                });
            }
            default = Some(group);
        }
        if named.get(group.name.as_str()).is_some_and(|&count| count > 1) {
            let (network, group) = (def.name.clone(), group.name.clone());
            return Err(ValidateError::DuplicatePortGroup { network, group });
        }
    }
    if misused || (network_tagged && !tags_allowed && default.is_none()) {
        return Err(ValidateError::Vlan { network: def.name.clone() });
    }
    Ok(())
}

fn check_port_group(def: &NetworkDef, group: &PortGroup, limits_allowed: bool) -> Result<()> {
    if group.bandwidth.is_some() && !limits_allowed {
        return Err(ValidateError::PortGroupBandwidth {
            network: def.name.clone(),
            group: group.name.clone(),
            mode: def.forward.mode,
        });
    }
    Ok(())
}

const fn has_tags(vlan: &Vlan) -> bool {
    !vlan.tags.is_empty()
}

#[cfg(test)]
mod tests;
