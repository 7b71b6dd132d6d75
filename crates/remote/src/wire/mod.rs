//! Types of the protocol, by family, and how they become those of the API.
//!
//! libvirt 11.3.0: src/remote/remote_protocol.x, src/rpc/virnetprotocol.x

mod domain;
mod domain_event;
mod domain_stats;
mod error;
mod host;
mod network;
mod params;
mod storage;

use oxivirt_rpc::xdr::{List, Text};
use serde::{Deserialize, Serialize};

pub use domain::{
    ADDRESSES_MAX, AllDomains, DOMAINS_MAX, Domain, DomainInfo, DomainInterface, DomainInterfaces,
    DomainState, Empty, INTERFACES_MAX, InterfaceAddress, JobInfo, OfDomain, OfDomainList,
    SNAPSHOTS_MAX, SchedulerType, SecurityLabel,
};
pub use domain_event::{DomainEventNumber, append_domain_event, read_domain_event};
pub use domain_stats::{
    BlockInfo, BlockStats, CPU_STATS_MAX, ControlInfo, Counted, CpuMaps, DISK_ERRORS_MAX,
    DiskError, DiskErrors, FILE_SYSTEMS_MAX, FileSystem, FileSystems, GUEST_INFO_MAX, GuestTime,
    IO_TUNE_MAX, InterfaceStats, IoThread, IoThreads, JobStats, KEYS_MAX, MEMORY_STATS_MAX,
    MESSAGES_MAX, MemoryStat, PARAMETERS_MAX, StatsRecord, StatsRecords, VCPUS_MAX, VcpuInfo,
    Vcpus, api_interface_stats, api_params, cpu_bits, cpus_of_bits, interface_stats, taken,
};
pub use error::RemoteError;
pub use host::{
    CELLS_MAX, CPU_MODELS_MAX, CpuMapBytes, CpuModels, NodeInfo, NodeStat, NodeStats, SecurityModel,
};
pub use network::{
    AllNetworks, AllPorts, LEASES_MAX, Lease, Leases, LifecycleMessage, MetadataMessage,
    NETWORKS_MAX, Network, PORT_PARAMETERS_MAX, Parameters, Port,
};
pub use params::{TypedParam, TypedValue};
pub use storage::{
    AllStoragePools, AllStorageVols, STORAGE_POOLS_MAX, STORAGE_VOLS_MAX, StorageLifecycleMessage,
    StoragePool, StoragePoolInfo, StorageRefreshMessage, StorageVol, StorageVolInfo,
};

/// Most parts of an identity (`REMOTE_CONNECT_IDENTITY_PARAMS_MAX`).
pub const IDENTITY_MAX: usize = 20;

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

/// One message of an authentication, as bytes of four bytes each.
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

/// The text of an optional text.
#[must_use]
pub fn text(text: Option<&Text>) -> Option<String> {
    text.map(Text::to_text)
}
