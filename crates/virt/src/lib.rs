//! Virtual networks as a library: connections, networks, ports, leases, events.
//!
//! The API follows libvirt's: [`Connect::open`] opens a connection, a connection finds [`Network`]s,
//! and every failure is an [`Error`] with libvirt's number and domain. A connection is implemented by
//! a driver ([`Connection`], [`NetworkDriver`]): for the networks of this host, for networks in memory,
//! or for a daemon. A program chooses its drivers by filling a [`Registry`].
//!
//! This crate does not know how a driver works, the wire protocol, the content of XML documents, or
//! the location of configuration; it starts no thread and reads no environment. It needs no
//! particular async runtime; a driver that needs one documents that.
//!
//! Where to start reading: [`connect`] and [`network`] are what programs call, [`driver`] is what
//! drivers implement, [`error`] is the table that scripts depend on.
//!
//! ```
//! # use oxivirt::{Connect, ListFlags, OpenOptions, Registry, Result};
//! /// Prints the name of every running network.
//! async fn running(registry: &Registry) -> Result<Vec<String>> {
//!     let connect = Connect::open("network:///system", registry, &OpenOptions::default()).await?;
//!     let networks = connect.list_all_networks(ListFlags::ACTIVE).await?;
//!     Ok(networks.iter().map(|network| network.name().to_owned()).collect())
//! }
//! ```
//!
//! `examples/own_driver.rs` is a driver that answers two calls.

pub mod connect;
pub mod connection;
pub mod domain;
pub mod driver;
pub mod error;
pub mod event;
pub mod event_stream;
pub mod flags;
pub mod network;
pub mod port;
pub mod reconnect;
pub mod registry;
pub mod report;
pub mod storage;
pub mod types;
pub mod uri;

pub use connect::{Connect, ConnectBuilder};
pub use connection::{CloseCallback, Connection};
pub use domain::Domain;
pub use driver::{
    AgentTimeout, DomainAgentDriver, DomainDeviceDriver, DomainFileSystem, GuestPassword,
};
pub use driver::{
    DomainBlockInfo, DomainControlInfo, DomainDiskError, DomainInterfaceStats, DomainIoThread,
    DomainMemoryStat, DomainParameters, DomainStatsDriver, DomainStatsRecord, DomainTraffic,
    DomainVcpu,
};
pub use driver::{
    DomainDriver, DomainIdentity, DomainInfo, DomainInterface, DomainMetadataChange, DomainRef,
    DomainStatus, DomainStream, InterfaceAddress,
};
pub use driver::{DomainKeys, DomainScreenshot, DomainTuningDriver};
pub use driver::{HostDriver, MetadataChange, NetworkDriver, NetworkIdentity, Update};
pub use driver::{
    StorageDriver, StoragePoolIdentity, StoragePoolInfo, StoragePoolRef, StorageVolInfo,
    StorageVolRef, VolumeRange, VolumeStream,
};
pub use error::{Classified, Error, ErrorCode, ErrorDomain, ErrorLevel, ErrorParts, Result};
pub use event::{
    Callback, CallbackId, Callbacks, DomainEvent, DomainEventCallback, Event, FamilyEvent,
    LeaseChange, NetworkEvent, NetworkEventCallback, StorageEvent, StorageEventCallback,
};
pub use event_stream::EventStream;
pub use flags::{
    Activity, Autostart, CloseReason, CreateFlags, DefineFlags, IpAddrType, LifecycleEvent,
    Lifetime, ListFlags, MetadataType, NetworkEventId, NetworkState, PlanVerb, PortCreateFlags,
    UpdateCommand, UpdateFlags, UpdateSection, XmlFlags,
};
pub use network::Network;
pub use oxivirt_types::domain::{
    AddressSource, ConsoleFlags, DomainAffectFlags, DomainCreateFlags, DomainDefineFlags,
    DomainDestroyFlags, DomainDeviceFlags, DomainEventId, DomainGuestInfoTypes,
    DomainLifecycleEvent, DomainListFlags, DomainMemoryFlags, DomainShutdownFlags, DomainState,
    DomainStatsFlags, DomainStatsGroups, DomainUndefineFlags, DomainVcpuFlags, DomainXmlFlags,
    PausedReason, RunningReason, ShutoffReason,
};
pub use oxivirt_types::storage::{
    StoragePoolBuildFlags, StoragePoolCreateFlags, StoragePoolDefineFlags, StoragePoolDeleteFlags,
    StoragePoolEventId, StoragePoolLifecycle, StoragePoolListFlags, StoragePoolState,
    StorageVolCreateFlags, StorageVolDeleteFlags, StorageVolInfoFlags, StorageVolResizeFlags,
    StorageVolTransferFlags, StorageVolType, StorageXmlFlags, WipeAlgorithm,
};
pub use port::Port;
pub use reconnect::Reconnect;
pub use registry::{
    Access, Authenticator, Credential, CredentialKind, DriverOpener, OpenOptions, Registry,
};
pub use report::{DomainPlan, NetworkHealth, NetworkPlan};
pub use storage::{StoragePool, StorageVol};
pub use types::{
    CpuMap, CpuStats, DhcpLease, DomainCapabilitiesQuery, NetworkRef, NodeInfo, PortRef,
    SecurityLabel, SecurityModel, TypedParam, TypedValue, Version, parse_uuid,
};
pub use uri::Uri;
pub use uuid::Uuid;
