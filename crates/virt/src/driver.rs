//! What a driver offers: the calls of network-driver and host, without any policy.
//!
//! The network driver of this host, the in-memory driver and the client of a remote daemon
//! implement [`NetworkDriver`]. Every method has a default which answers "not supported by the
//! connection driver" (number 3) in the name of libvirt's function, so a driver writes only what
//! it has. Drivers do not check whether the connection is read-only and do not check what is the
//! same for every driver; [`Connect`](crate::Connect) does both before it calls them.

use crate::{
    Autostart, CallbackId, CloseReason, CpuMap, CreateFlags, DefineFlags, DhcpLease, Error,
    ErrorDomain, EventCallback, EventId, ListFlags, MetadataType, NetworkHealth, NetworkPlan,
    NetworkRef, NodeInfo, PlanVerb, PortCreateFlags, PortRef, Result, TypedParam, UpdateCommand,
    UpdateFlags, UpdateSection, Version, XmlFlags,
};
use async_trait::async_trait;
use std::{fmt::Debug, time::Duration};
use uuid::Uuid;

/// One change inside a network definition.
///
/// libvirt: `virNetworkUpdate`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Update {
    /// What to do with the element.
    pub command: UpdateCommand,
    /// Which part of the network it belongs to.
    pub section: UpdateSection,
    /// Which `<ip>` is meant, counted from 0; −1 lets the driver choose.
    pub parent_index: i32,
    /// The element.
    pub xml: String,
    /// Live network, stored definition, or both.
    pub flags: UpdateFlags,
}

/// A change of metadata.
///
/// libvirt: `virNetworkSetMetadata`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MetadataChange {
    /// What to change.
    pub kind: MetadataType,
    /// New text or element; `None` removes.
    pub metadata: Option<String>,
    /// Prefix of an element's namespace.
    pub key: Option<String>,
    /// Namespace of an element.
    pub uri: Option<String>,
    /// Live network, stored definition, or both.
    pub flags: UpdateFlags,
}

/// Called when a connection ends without being asked to.
pub type CloseCallback = Box<dyn Fn(CloseReason) + Send + Sync>;

fn no_network_call<T>(api: &str) -> Result<T> {
    Err(Error::unsupported(ErrorDomain::NETWORK, api))
}

/// libvirt raises the absence of a host call in the domain of its domain calls.
fn no_host_call<T>(api: &str) -> Result<T> {
    Err(Error::unsupported(ErrorDomain::DOMAIN, api))
}

/// Everything a connection can be asked.
///
/// A method takes effect completely or not at all, and fails with the numbers and domains of
/// libvirt's driver. All methods may be called at the same time from any task; a dropped future
/// must leave nothing half done.
///
/// libvirt: `virNetworkDriver`, `virHypervisorDriver`, src/driver-network.h
#[async_trait]
#[expect(unused_variables, reason = "the defaults answer without looking at their parameters")]
pub trait NetworkDriver: Send + Sync + Debug {
    // ---- connection ----

    /// The URI of the connection as the driver sees it (`virConnectGetURI`).
    async fn uri(&self) -> Result<String>;

    /// What kind of driver answers: `network`, `TEST` (`virConnectGetType`).
    async fn driver_type(&self) -> Result<String> {
        no_host_call("virConnectGetType")
    }

    /// Version of what runs guests (`virConnectGetVersion`).
    async fn hypervisor_version(&self) -> Result<Version> {
        no_host_call("virConnectGetVersion")
    }

    /// libvirt release whose behaviour the other side has (`virConnectGetLibVersion`).
    async fn lib_version(&self) -> Result<Version> {
        Ok(Version::LIBVIRT)
    }

    /// Name of the host the driver works on (`virConnectGetHostname`).
    async fn hostname(&self) -> Result<String> {
        no_host_call("virConnectGetHostname")
    }

    /// Whether the connection can still be used (`virConnectIsAlive`).
    async fn is_alive(&self) -> Result<bool> {
        Ok(true)
    }

    /// Whether nobody else can read the conversation (`virConnectIsSecure`).
    async fn is_secure(&self) -> Result<bool> {
        Ok(true)
    }

    /// Whether the conversation is encrypted (`virConnectIsEncrypted`).
    async fn is_encrypted(&self) -> Result<bool> {
        Ok(false)
    }

    /// Sends a sign of life every `interval` and gives up after `count` unanswered ones; a zero
    /// interval stops it (`virConnectSetKeepAlive`).
    async fn set_keepalive(&self, interval: Duration, count: u32) -> Result<()> {
        no_host_call("virConnectSetKeepAlive")
    }

    /// Asks to be told when the connection ends (`virConnectRegisterCloseCallback`).
    async fn register_close_callback(&self, callback: CloseCallback) -> Result<()> {
        no_host_call("virConnectRegisterCloseCallback")
    }

    /// Ends the connection; calls after it fail (`virConnectClose`).
    async fn close(&self) -> Result<()> {
        Ok(())
    }

    // ---- host ----

    /// What the host can do, as XML (`virConnectGetCapabilities`).
    async fn capabilities(&self) -> Result<String> {
        no_host_call("virConnectGetCapabilities")
    }

    /// Firmware tables of the host, as XML (`virConnectGetSysinfo`).
    async fn sysinfo(&self) -> Result<String> {
        no_host_call("virConnectGetSysinfo")
    }

    /// Most virtual processors a guest of `domain_type` may have (`virConnectGetMaxVcpus`).
    async fn max_vcpus(&self, domain_type: Option<&str>) -> Result<u32> {
        no_host_call("virConnectGetMaxVcpus")
    }

    /// Processor and memory (`virNodeGetInfo`).
    async fn node_info(&self) -> Result<NodeInfo> {
        no_host_call("virNodeGetInfo")
    }

    /// Processors present and online (`virNodeGetCPUMap`).
    async fn cpu_map(&self) -> Result<CpuMap> {
        no_host_call("virNodeGetCPUMap")
    }

    /// Free memory in bytes (`virNodeGetFreeMemory`).
    async fn free_memory(&self) -> Result<u64> {
        no_host_call("virNodeGetFreeMemory")
    }

    /// Free memory of at most `max` NUMA cells from `start`, in bytes
    /// (`virNodeGetCellsFreeMemory`).
    async fn cells_free_memory(&self, start: i32, max: i32) -> Result<Vec<u64>> {
        no_host_call("virNodeGetCellsFreeMemory")
    }

    // ---- networks ----

    /// The networks which pass the filter, in no particular order
    /// (`virConnectListAllNetworks`).
    async fn list_all_networks(&self, flags: ListFlags) -> Result<Vec<NetworkRef>> {
        no_network_call("virConnectListAllNetworks")
    }

    /// The network of this name (`virNetworkLookupByName`).
    async fn network_lookup_by_name(&self, name: &str) -> Result<NetworkRef> {
        no_network_call("virNetworkLookupByName")
    }

    /// The network with this UUID (`virNetworkLookupByUUID`).
    async fn network_lookup_by_uuid(&self, uuid: Uuid) -> Result<NetworkRef> {
        no_network_call("virNetworkLookupByUUID")
    }

    /// Stores a definition, new or in place of the old one (`virNetworkDefineXMLFlags`).
    async fn network_define_xml(&self, xml: &str, flags: DefineFlags) -> Result<NetworkRef> {
        no_network_call("virNetworkDefineXML")
    }

    /// Starts a network from XML without storing it (`virNetworkCreateXMLFlags`).
    async fn network_create_xml(&self, xml: &str, flags: CreateFlags) -> Result<NetworkRef> {
        no_network_call("virNetworkCreateXML")
    }

    /// Starts a stored network (`virNetworkCreate`).
    async fn network_create(&self, network: &NetworkRef) -> Result<()> {
        no_network_call("virNetworkCreate")
    }

    /// Stops a network (`virNetworkDestroy`).
    async fn network_destroy(&self, network: &NetworkRef) -> Result<()> {
        no_network_call("virNetworkDestroy")
    }

    /// Removes the stored definition (`virNetworkUndefine`).
    async fn network_undefine(&self, network: &NetworkRef) -> Result<()> {
        no_network_call("virNetworkUndefine")
    }

    /// Changes one part of a network (`virNetworkUpdate`).
    async fn network_update(&self, network: &NetworkRef, update: &Update) -> Result<()> {
        no_network_call("virNetworkUpdate")
    }

    /// The network as XML, ending in a newline (`virNetworkGetXMLDesc`).
    async fn network_xml_desc(&self, network: &NetworkRef, flags: XmlFlags) -> Result<String> {
        no_network_call("virNetworkGetXMLDesc")
    }

    /// Name of its bridge; an error if it has none (`virNetworkGetBridgeName`).
    async fn network_bridge_name(&self, network: &NetworkRef) -> Result<String> {
        no_network_call("virNetworkGetBridgeName")
    }

    /// Whether it starts with the host (`virNetworkGetAutostart`).
    async fn network_autostart(&self, network: &NetworkRef) -> Result<Autostart> {
        no_network_call("virNetworkGetAutostart")
    }

    /// Says whether it starts with the host (`virNetworkSetAutostart`).
    async fn network_set_autostart(
        &self,
        network: &NetworkRef,
        autostart: Autostart,
    ) -> Result<()> {
        no_network_call("virNetworkSetAutostart")
    }

    /// Whether it runs (`virNetworkIsActive`).
    async fn network_is_active(&self, network: &NetworkRef) -> Result<bool> {
        no_network_call("virNetworkIsActive")
    }

    /// Whether it has a stored definition (`virNetworkIsPersistent`).
    async fn network_is_persistent(&self, network: &NetworkRef) -> Result<bool> {
        no_network_call("virNetworkIsPersistent")
    }

    /// The addresses handed out and not expired, of one MAC address or all; `flags` must be 0
    /// (`virNetworkGetDHCPLeases`).
    async fn network_dhcp_leases(
        &self,
        network: &NetworkRef,
        mac: Option<&str>,
        flags: u32,
    ) -> Result<Vec<DhcpLease>> {
        no_network_call("virNetworkGetDHCPLeases")
    }

    /// A piece of metadata, elements without their prefix (`virNetworkGetMetadata`).
    async fn network_metadata(
        &self,
        network: &NetworkRef,
        kind: MetadataType,
        uri: Option<&str>,
        flags: UpdateFlags,
    ) -> Result<String> {
        no_network_call("virNetworkGetMetadata")
    }

    /// Changes or removes a piece of metadata (`virNetworkSetMetadata`).
    async fn network_set_metadata(
        &self,
        network: &NetworkRef,
        change: &MetadataChange,
    ) -> Result<()> {
        no_network_call("virNetworkSetMetadata")
    }

    // ---- reports: calls of our own program ----

    /// Whether everything that the network needs is in place on the driver's host; `flags` must
    /// be 0 (`oxivirtNetworkHealth`).
    async fn network_health(&self, network: &NetworkRef, flags: u32) -> Result<NetworkHealth> {
        no_network_call("oxivirtNetworkHealth")
    }

    /// What `verb` would do to the driver's host, for the network as it is or, with `xml`, for
    /// this definition in place of its own; `flags` must be 0 (`oxivirtNetworkPlan`).
    async fn network_plan(
        &self,
        network: &NetworkRef,
        verb: PlanVerb,
        xml: Option<&str>,
        flags: u32,
    ) -> Result<NetworkPlan> {
        no_network_call("oxivirtNetworkPlan")
    }

    // ---- events ----

    /// Calls `callback` for events of kind `id`, of one network or of all
    /// (`virConnectNetworkEventRegisterAny`).
    async fn network_event_register(
        &self,
        network: Option<&NetworkRef>,
        id: EventId,
        callback: EventCallback,
    ) -> Result<CallbackId> {
        no_network_call("virConnectNetworkEventRegisterAny")
    }

    /// Forgets a registration (`virConnectNetworkEventDeregisterAny`).
    async fn network_event_deregister(&self, id: CallbackId) -> Result<()> {
        no_network_call("virConnectNetworkEventDeregisterAny")
    }

    // ---- ports ----

    /// The ports of a network; `flags` must be 0 (`virNetworkListAllPorts`).
    async fn network_list_all_ports(
        &self,
        network: &NetworkRef,
        flags: u32,
    ) -> Result<Vec<PortRef>> {
        no_network_call("virNetworkListAllPorts")
    }

    /// The port with this UUID (`virNetworkPortLookupByUUID`).
    async fn network_port_lookup_by_uuid(
        &self,
        network: &NetworkRef,
        uuid: Uuid,
    ) -> Result<PortRef> {
        no_network_call("virNetworkPortLookupByUUID")
    }

    /// Makes a port from XML (`virNetworkPortCreateXML`).
    async fn network_port_create_xml(
        &self,
        network: &NetworkRef,
        xml: &str,
        flags: PortCreateFlags,
    ) -> Result<PortRef> {
        no_network_call("virNetworkPortCreateXML")
    }

    /// The port as XML; `flags` must be 0 (`virNetworkPortGetXMLDesc`).
    async fn network_port_xml_desc(&self, port: &PortRef, flags: u32) -> Result<String> {
        no_network_call("virNetworkPortGetXMLDesc")
    }

    /// Rate limits of a port; `flags` must be 0 (`virNetworkPortGetParameters`).
    async fn network_port_parameters(&self, port: &PortRef, flags: u32) -> Result<Vec<TypedParam>> {
        no_network_call("virNetworkPortGetParameters")
    }

    /// Replaces the rate limits of a port; `flags` must be 0 (`virNetworkPortSetParameters`).
    async fn network_port_set_parameters(
        &self,
        port: &PortRef,
        params: &[TypedParam],
        flags: u32,
    ) -> Result<()> {
        no_network_call("virNetworkPortSetParameters")
    }

    /// Removes a port; `flags` must be 0 (`virNetworkPortDelete`).
    async fn network_port_delete(&self, port: &PortRef, flags: u32) -> Result<()> {
        no_network_call("virNetworkPortDelete")
    }
}
