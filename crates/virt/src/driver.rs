//! What drivers implement: one trait per object family.
//!
//! The network driver of this host, the in-memory driver and the client of a daemon implement
//! these traits and hand them out by [`Connection`](crate::Connection). Every method has a default
//! that fails with [`ErrorCode::NO_SUPPORT`](crate::ErrorCode::NO_SUPPORT) in the name of libvirt's
//! function, so a driver writes only the calls it has.
//!
//! Drivers do not check whether the connection is read-only and do not check what is the same for
//! every driver; [`Connect`](crate::Connect) does both before it calls them.

mod domain;
mod domain_agent;
mod domain_device;
mod domain_stats;
mod domain_tuning;
mod host;
mod network;
mod storage;

pub use domain::{
    DomainDriver, DomainIdentity, DomainInfo, DomainInterface, DomainMetadataChange, DomainRef,
    DomainStatus, DomainStream, InterfaceAddress,
};
pub use domain_agent::{AgentTimeout, DomainAgentDriver, DomainFileSystem, GuestPassword};
pub use domain_device::DomainDeviceDriver;
pub use domain_stats::{
    DomainBlockInfo, DomainControlInfo, DomainDiskError, DomainInterfaceStats, DomainIoThread,
    DomainMemoryStat, DomainParameters, DomainStatsDriver, DomainStatsRecord, DomainTraffic,
    DomainVcpu,
};
pub use domain_tuning::{DomainKeys, DomainScreenshot, DomainTuningDriver};
pub use host::HostDriver;
pub use network::{MetadataChange, NetworkDriver, NetworkIdentity, Update};
pub use storage::{
    StorageDriver, StoragePoolIdentity, StoragePoolInfo, StoragePoolRef, StorageVolInfo,
    StorageVolRef, VolumeRange, VolumeStream,
};
