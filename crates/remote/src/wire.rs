//! Types of the protocol and how they become those of the API.
//!
//! libvirt 11.3.0: src/remote/remote_protocol.x, src/rpc/virnetprotocol.x

mod error;
mod params;

use oxivirt::{DhcpLease, IpAddrType, NetworkRef, PortRef};
use oxivirt_rpc::xdr::{List, Text, Uuid16};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

pub use error::{Domain, RemoteError};
pub use params::{TypedParam, TypedValue};

use crate::protocol::{NETWORKS_MAX, PORT_PARAMETERS_MAX};

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
    pub leases: List<Lease, 65536>,
    /// How many.
    pub ret: u32,
}

/// Processor and memory of a host (`remote_node_get_info_ret`).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeInfo {
    /// Architecture, filled up with zeros; each letter takes four bytes.
    pub model: [i8; 32],
    /// Memory in KiB.
    pub memory: u64,
    /// Active processors.
    pub cpus: i32,
    /// Frequency in MHz.
    pub mhz: i32,
    /// NUMA cells.
    pub nodes: i32,
    /// Sockets per cell.
    pub sockets: i32,
    /// Cores per socket.
    pub cores: i32,
    /// Threads per core.
    pub threads: i32,
}

impl From<&oxivirt::NodeInfo> for NodeInfo {
    fn from(info: &oxivirt::NodeInfo) -> Self {
        let mut model = [0; 32];
        // the last letter stays zero
        for (to, from) in model.iter_mut().take(31).zip(info.model.bytes()) {
            *to = from.cast_signed();
        }
        let count = |n: u32| i32::try_from(n).unwrap_or(i32::MAX);
        Self {
            model,
            memory: info.memory_kib,
            cpus: count(info.cpus),
            mhz: count(info.mhz),
            nodes: count(info.nodes),
            sockets: count(info.sockets),
            cores: count(info.cores),
            threads: count(info.threads),
        }
    }
}

impl From<&NodeInfo> for oxivirt::NodeInfo {
    fn from(info: &NodeInfo) -> Self {
        let letters: Vec<u8> = info.model.iter().map(|letter| letter.cast_unsigned()).collect();
        let count = |n: i32| u32::try_from(n).unwrap_or_default();
        Self {
            model: Text::from(letters).to_text(),
            memory_kib: info.memory,
            cpus: count(info.cpus),
            mhz: count(info.mhz),
            nodes: count(info.nodes),
            sockets: count(info.sockets),
            cores: count(info.cores),
            threads: count(info.threads),
        }
    }
}

/// Processors of a host: a bit each, lowest first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CpuMapBytes {
    /// The bits, if they were wanted.
    pub cpumap: Opaque,
    /// How many run.
    pub online: u32,
    /// How many are there.
    pub ret: i32,
}

/// Bytes with a length.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Opaque(pub Vec<u8>);

impl Serialize for Opaque {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(&self.0)
    }
}

impl<'de> Deserialize<'de> for Opaque {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Bytes;
        impl serde::de::Visitor<'_> for Bytes {
            type Value = Opaque;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("bytes")
            }

            fn visit_bytes<E: serde::de::Error>(self, bytes: &[u8]) -> Result<Opaque, E> {
                Ok(Opaque(bytes.to_vec()))
            }
        }
        deserializer.deserialize_bytes(Bytes)
    }
}

/// One message of an authentication: bytes that take four each.
pub type SaslData = List<i8, 65536>;

/// A step of an authentication.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SaslStep {
    /// Whether it was the last.
    pub complete: i32,
    /// Whether there is no data, which is not the same as empty data.
    pub nil: i32,
    /// The server's data.
    pub data: SaslData,
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

/// The text of an optional text.
#[must_use]
pub fn text(text: Option<&Text>) -> Option<String> {
    text.map(Text::to_text)
}
