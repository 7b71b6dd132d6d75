//! What a network's firewall rules let pass.

use ipnet::IpNet;
use oxivirt_conf::YesNo;
use oxivirt_conf::network::{IpDef, NatPorts};
use oxivirt_nft::{Family, PortRange};
use oxivirt_types::link_name::LinkName;

use super::error::PlanError;
use super::nftables::{Layer, Outside, Subnet, Traffic};
use super::policy::Reach;
use crate::network::Network;

/// Ports that translated TCP and UDP flows leave from, unless the definition says otherwise.
const NAT_PORTS: NatPorts = NatPorts { start: 1024, end: 65535 };
type Result<T> = std::result::Result<T, PlanError>;

/// Whether the traffic of a subnet is translated.
fn is_translated(network: &Network, ip: &IpDef) -> bool {
    let wanted = ip.family() == Family::Ipv4 || network.forward.nat.ipv6 == Some(YesNo::Yes);
    network.policy().reach == Reach::Translated && wanted
}

/// The subnets whose traffic is translated, in the order of the definition.
#[must_use]
pub fn translated(network: &Network) -> Vec<IpNet> {
    network.ips.iter().filter(|ip| is_translated(network, ip)).filter_map(IpDef::subnet).collect()
}

/// The definition as it is shown while the network runs: a translating network names its ports.
///
/// libvirt writes them when it makes the rules, so they are in the dump and in the status file.
#[must_use]
pub fn live(network: &Network) -> Network {
    let unset = network.forward.nat.ports.is_none_or(|ports| ports.start == 0 && ports.end == 0);
    match unset && !translated(network).is_empty() {
        true => network.with(|def| def.forward.nat.ports = Some(NAT_PORTS)),
        false => network.clone(),
    }
}

/// A subnet, without host bits.
pub(super) fn subnet(ip: &IpDef, bridge: &LinkName) -> Result<IpNet> {
    ip.subnet().ok_or_else(|| PlanError::Prefix { bridge: bridge.clone() })
}

/// What the network lets pass; `None` if it has no rules.
///
/// # Errors
/// [`PlanError`] for an unusable address or port range, or a missing layer.
pub fn traffic(network: &Network, layers: &[Layer]) -> Result<Option<Traffic>> {
    if !network.policy().has_rules() {
        return Ok(None);
    }
    let bridge = network.required_bridge()?.clone();
    let live = live(network);
    let nat = &live.forward.nat;
    let ports = nat.ports.unwrap_or(NAT_PORTS);
    let mut layers = layers.iter();
    let mut subnets = Vec::new();
    for ip in &network.ips {
        let net = subnet(ip, &bridge)?;
        let outside = match network.policy().reach {
            Reach::Isolated | Reach::Unmanaged => Outside::None,
            Reach::Translated if is_translated(network, ip) => {
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
            Reach::Routed | Reach::Translated => Outside::Routed,
        };
        subnets.push(Subnet { net, outside });
    }
    Ok(Some(Traffic {
        uuid: network.uuid(),
        uplink: network.forward.dev().map(LinkName::new).transpose()?,
        regulates_ipv6: network.ipv6 || network.has_family(Family::Ipv6),
        bridge,
        subnets,
    }))
}
