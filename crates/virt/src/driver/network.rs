//! Calls about networks, their ports and events.

use std::fmt::Debug;

use async_trait::async_trait;
use uuid::Uuid;

use crate::{
    Autostart, CallbackId, CreateFlags, DefineFlags, DhcpLease, Error, ErrorDomain, ListFlags,
    MetadataType, NetworkEventCallback, NetworkEventId, NetworkHealth, NetworkPlan, NetworkRef,
    PlanVerb, PortCreateFlags, PortRef, Result, TypedParam, UpdateCommand, UpdateFlags,
    UpdateSection, XmlFlags,
};

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

/// A change of metadata; `F` says which definitions it is for.
///
/// libvirt: `virNetworkSetMetadata`, `virDomainSetMetadata`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MetadataChange<F = UpdateFlags> {
    /// What to change.
    pub kind: MetadataType,
    /// New text or element; `None` removes.
    pub metadata: Option<String>,
    /// Prefix of an element's namespace.
    pub key: Option<String>,
    /// Namespace of an element.
    pub uri: Option<String>,
    /// What runs, the stored definition, or both.
    pub flags: F,
}

/// What a definition names, before it is stored.
///
/// Access control asks the policy about the object that a definition is for; the driver reads the
/// document, so that no other layer has to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NetworkIdentity {
    /// Name of the network.
    pub name: String,
    /// Its UUID, `None` if the definition leaves it to the driver.
    pub uuid: Option<Uuid>,
}

fn unsupported<T>(api: &str) -> Result<T> {
    Err(Error::unsupported(ErrorDomain::NETWORK, api))
}

/// The calls about networks, their ports and events.
///
/// A method takes effect completely or not at all, and fails with the codes and domains of
/// libvirt's driver. All methods may be called at the same time from any task; a dropped future
/// must leave nothing half done.
///
/// libvirt: `virNetworkDriver`, src/driver-network.h
#[async_trait]
#[expect(unused_variables, reason = "the defaults answer without looking at their parameters")]
pub trait NetworkDriver: Send + Sync + Debug {
    /// The networks which pass the filter, in no particular order
    /// (`virConnectListAllNetworks`).
    async fn list_all_networks(&self, flags: ListFlags) -> Result<Vec<NetworkRef>> {
        unsupported("virConnectListAllNetworks")
    }

    /// The network of this name (`virNetworkLookupByName`).
    async fn network_lookup_by_name(&self, name: &str) -> Result<NetworkRef> {
        unsupported("virNetworkLookupByName")
    }

    /// The network with this UUID (`virNetworkLookupByUUID`).
    async fn network_lookup_by_uuid(&self, uuid: Uuid) -> Result<NetworkRef> {
        unsupported("virNetworkLookupByUUID")
    }

    /// What the definition `xml` names. Nothing is looked up or stored.
    ///
    /// # Errors
    /// Those of the definition's XML, or [`ErrorCode::NO_SUPPORT`](crate::ErrorCode::NO_SUPPORT).
    fn network_identity(&self, xml: &str) -> Result<NetworkIdentity> {
        unsupported("networkIdentity")
    }

    /// Stores a definition, new or in place of the old one (`virNetworkDefineXMLFlags`).
    async fn network_define_xml(&self, xml: &str, flags: DefineFlags) -> Result<NetworkRef> {
        unsupported("virNetworkDefineXML")
    }

    /// Starts a network from XML without storing it (`virNetworkCreateXMLFlags`).
    async fn network_create_xml(&self, xml: &str, flags: CreateFlags) -> Result<NetworkRef> {
        unsupported("virNetworkCreateXML")
    }

    /// Starts a stored network (`virNetworkCreate`).
    async fn network_create(&self, network: &NetworkRef) -> Result<()> {
        unsupported("virNetworkCreate")
    }

    /// Stops a network (`virNetworkDestroy`).
    async fn network_destroy(&self, network: &NetworkRef) -> Result<()> {
        unsupported("virNetworkDestroy")
    }

    /// Removes the stored definition (`virNetworkUndefine`).
    async fn network_undefine(&self, network: &NetworkRef) -> Result<()> {
        unsupported("virNetworkUndefine")
    }

    /// Changes one part of a network (`virNetworkUpdate`).
    async fn network_update(&self, network: &NetworkRef, update: &Update) -> Result<()> {
        unsupported("virNetworkUpdate")
    }

    /// The network as XML, ending in a newline (`virNetworkGetXMLDesc`).
    async fn network_xml_desc(&self, network: &NetworkRef, flags: XmlFlags) -> Result<String> {
        unsupported("virNetworkGetXMLDesc")
    }

    /// Name of its bridge; an error if it has none (`virNetworkGetBridgeName`).
    async fn network_bridge_name(&self, network: &NetworkRef) -> Result<String> {
        unsupported("virNetworkGetBridgeName")
    }

    /// Whether it starts with the host (`virNetworkGetAutostart`).
    async fn network_autostart(&self, network: &NetworkRef) -> Result<Autostart> {
        unsupported("virNetworkGetAutostart")
    }

    /// Sets whether it starts with the host (`virNetworkSetAutostart`).
    async fn network_set_autostart(
        &self,
        network: &NetworkRef,
        autostart: Autostart,
    ) -> Result<()> {
        unsupported("virNetworkSetAutostart")
    }

    /// Whether it runs (`virNetworkIsActive`).
    async fn network_is_active(&self, network: &NetworkRef) -> Result<bool> {
        unsupported("virNetworkIsActive")
    }

    /// Whether it has a stored definition (`virNetworkIsPersistent`).
    async fn network_is_persistent(&self, network: &NetworkRef) -> Result<bool> {
        unsupported("virNetworkIsPersistent")
    }

    /// The addresses handed out and not expired, of one MAC address or all; `flags` must be 0
    /// (`virNetworkGetDHCPLeases`).
    async fn network_dhcp_leases(
        &self,
        network: &NetworkRef,
        mac: Option<&str>,
        flags: u32,
    ) -> Result<Vec<DhcpLease>> {
        unsupported("virNetworkGetDHCPLeases")
    }

    /// A piece of metadata, elements without their prefix (`virNetworkGetMetadata`).
    async fn network_metadata(
        &self,
        network: &NetworkRef,
        kind: MetadataType,
        uri: Option<&str>,
        flags: UpdateFlags,
    ) -> Result<String> {
        unsupported("virNetworkGetMetadata")
    }

    /// Changes or removes a piece of metadata (`virNetworkSetMetadata`).
    async fn network_set_metadata(
        &self,
        network: &NetworkRef,
        change: &MetadataChange,
    ) -> Result<()> {
        unsupported("virNetworkSetMetadata")
    }

    // ---- reports: calls of our own program ----

    /// Whether everything that the network needs is in place on the driver's host; `flags` must
    /// be 0 (`oxivirtNetworkHealth`).
    async fn network_health(&self, network: &NetworkRef, flags: u32) -> Result<NetworkHealth> {
        unsupported("oxivirtNetworkHealth")
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
        unsupported("oxivirtNetworkPlan")
    }

    // ---- events ----

    /// Calls `callback` for events of kind `id`, of one network or of all
    /// (`virConnectNetworkEventRegisterAny`).
    async fn network_event_register(
        &self,
        network: Option<&NetworkRef>,
        id: NetworkEventId,
        callback: NetworkEventCallback,
    ) -> Result<CallbackId> {
        unsupported("virConnectNetworkEventRegisterAny")
    }

    /// Removes a registration (`virConnectNetworkEventDeregisterAny`).
    async fn network_event_deregister(&self, id: CallbackId) -> Result<()> {
        unsupported("virConnectNetworkEventDeregisterAny")
    }

    // ---- ports ----

    /// The ports of a network; `flags` must be 0 (`virNetworkListAllPorts`).
    async fn network_list_all_ports(
        &self,
        network: &NetworkRef,
        flags: u32,
    ) -> Result<Vec<PortRef>> {
        unsupported("virNetworkListAllPorts")
    }

    /// The port with this UUID (`virNetworkPortLookupByUUID`).
    async fn network_port_lookup_by_uuid(
        &self,
        network: &NetworkRef,
        uuid: Uuid,
    ) -> Result<PortRef> {
        unsupported("virNetworkPortLookupByUUID")
    }

    /// UUID in the port definition `xml`, `None` if it has none. Nothing is looked up or stored.
    ///
    /// # Errors
    /// Those of the port's XML, or [`ErrorCode::NO_SUPPORT`](crate::ErrorCode::NO_SUPPORT).
    fn network_port_identity(&self, xml: &str) -> Result<Option<Uuid>> {
        unsupported("networkPortIdentity")
    }

    /// Creates a port from XML (`virNetworkPortCreateXML`).
    async fn network_port_create_xml(
        &self,
        network: &NetworkRef,
        xml: &str,
        flags: PortCreateFlags,
    ) -> Result<PortRef> {
        unsupported("virNetworkPortCreateXML")
    }

    /// The port as XML; `flags` must be 0 (`virNetworkPortGetXMLDesc`).
    async fn network_port_xml_desc(&self, port: &PortRef, flags: u32) -> Result<String> {
        unsupported("virNetworkPortGetXMLDesc")
    }

    /// Rate limits of a port; `flags` must be 0 (`virNetworkPortGetParameters`).
    async fn network_port_parameters(&self, port: &PortRef, flags: u32) -> Result<Vec<TypedParam>> {
        unsupported("virNetworkPortGetParameters")
    }

    /// Replaces the rate limits of a port; `flags` must be 0 (`virNetworkPortSetParameters`).
    async fn network_port_set_parameters(
        &self,
        port: &PortRef,
        params: &[TypedParam],
        flags: u32,
    ) -> Result<()> {
        unsupported("virNetworkPortSetParameters")
    }

    /// Removes a port; `flags` must be 0 (`virNetworkPortDelete`).
    async fn network_port_delete(&self, port: &PortRef, flags: u32) -> Result<()> {
        unsupported("virNetworkPortDelete")
    }
}
