//! Networks, ports, leases and their events.

use oxivirt::{DhcpLease, IpAddrType, NetworkRef, PortRef};
use oxivirt_rpc::xdr::{List, Text, Uuid16};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::{TypedParam, text};

/// Longest list of networks or ports (`REMOTE_NETWORK_LIST_MAX`).
pub const NETWORKS_MAX: usize = 16384;
/// Most parameters of a port (`REMOTE_NETWORK_PORT_PARAMETERS_MAX`).
pub const PORT_PARAMETERS_MAX: usize = 16;
/// Longest list of leases (`REMOTE_NETWORK_DHCP_LEASES_MAX`).
pub const LEASES_MAX: usize = 65536;

/// Names a network (`remote_nonnull_network`).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Network {
    /// Its name; it shows in messages only.
    pub name: Text,
    /// Its UUID.
    pub uuid: Uuid16,
}

impl From<&NetworkRef> for Network {
    fn from(network: &NetworkRef) -> Self {
        Self { name: network.name.as_str().into(), uuid: network.uuid.into_bytes().into() }
    }
}

impl From<&Network> for NetworkRef {
    fn from(network: &Network) -> Self {
        Self { name: network.name.to_text(), uuid: Uuid::from_bytes(network.uuid.into()) }
    }
}

/// Names a port (`remote_nonnull_network_port`).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Port {
    /// The network it is on.
    pub net: Network,
    /// Its UUID.
    pub uuid: Uuid16,
}

impl From<&PortRef> for Port {
    fn from(port: &PortRef) -> Self {
        Self { net: (&port.network).into(), uuid: port.uuid.into_bytes().into() }
    }
}

impl From<&Port> for PortRef {
    fn from(port: &Port) -> Self {
        Self { network: (&port.net).into(), uuid: Uuid::from_bytes(port.uuid.into()) }
    }
}

/// A list of networks and how many there are.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AllNetworks {
    /// The networks, if they were wanted.
    pub nets: List<Network, NETWORKS_MAX>,
    /// How many.
    pub ret: u32,
}

/// A list of ports and how many there are.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AllPorts {
    /// The ports, if they were wanted.
    pub ports: List<Port, NETWORKS_MAX>,
    /// How many.
    pub ret: u32,
}

/// Parameters of a port.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Parameters {
    /// The parameters.
    pub params: List<TypedParam, PORT_PARAMETERS_MAX>,
    /// Reserved: libvirt leaves it 0.
    pub nparams: i32,
}

/// One address handed out (`remote_network_dhcp_lease`).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lease {
    /// Link.
    pub iface: Text,
    /// End, in seconds since 1970.
    pub expirytime: i64,
    /// Family: 0 IPv4, 1 IPv6.
    pub kind: i32,
    /// MAC address.
    pub mac: Option<Text>,
    /// Identity association.
    pub iaid: Option<Text>,
    /// The address.
    pub ipaddr: Text,
    /// Prefix length.
    pub prefix: u32,
    /// Name.
    pub hostname: Option<Text>,
    /// Client identifier or DUID.
    pub clientid: Option<Text>,
}

impl From<&DhcpLease> for Lease {
    fn from(lease: &DhcpLease) -> Self {
        let optional = |text: &Option<String>| text.as_deref().map(Into::into);
        Self {
            iface: lease.iface.as_str().into(),
            expirytime: lease.expiry_time,
            kind: lease.addr_type.number(),
            mac: optional(&lease.mac),
            iaid: optional(&lease.iaid),
            ipaddr: lease.ipaddr.as_str().into(),
            prefix: lease.prefix,
            hostname: optional(&lease.hostname),
            clientid: optional(&lease.client_id),
        }
    }
}

impl From<&Lease> for DhcpLease {
    fn from(lease: &Lease) -> Self {
        Self {
            iface: lease.iface.to_text(),
            expiry_time: lease.expirytime,
            addr_type: IpAddrType::from_number(lease.kind),
            mac: text(lease.mac.as_ref()),
            iaid: text(lease.iaid.as_ref()),
            ipaddr: lease.ipaddr.to_text(),
            prefix: lease.prefix,
            hostname: text(lease.hostname.as_ref()),
            client_id: text(lease.clientid.as_ref()),
        }
    }
}

/// Leases of a network and how many there are.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Leases {
    /// The leases, if they were wanted.
    pub leases: List<Lease, LEASES_MAX>,
    /// How many.
    pub ret: u32,
}

/// The event that a network was defined, undefined, started or stopped.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LifecycleMessage {
    /// The registration it is for.
    pub callback_id: i32,
    /// The network.
    pub net: Network,
    /// What happened.
    pub event: i32,
    /// Reserved.
    pub detail: i32,
}

/// The event that metadata of a network changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MetadataMessage {
    /// The registration it is for.
    pub callback_id: i32,
    /// The network.
    pub net: Network,
    /// What changed.
    pub kind: i32,
    /// Namespace of the element.
    pub nsuri: Option<Text>,
}
