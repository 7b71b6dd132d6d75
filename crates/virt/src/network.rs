//! One network of a connection.

use crate::{
    Autostart, Connect, DhcpLease, Error, ErrorCode, ErrorDomain, MetadataChange, MetadataType,
    NetworkDriver, NetworkHealth, NetworkPlan, NetworkRef, PlanVerb, Port, PortCreateFlags,
    PortRef, Result, Update, UpdateFlags, XmlFlags, connect::not_a_uuid, parse_uuid,
};
use uuid::Uuid;

/// A network as a connection knows it.
///
/// It is a name, not a lock: the network can vanish at any time, and calls then fail with
/// [`ErrorCode::NO_NETWORK`].
///
/// libvirt: `virNetworkPtr`, src/libvirt-network.c
#[derive(Debug, Clone)]
pub struct Network {
    connect: Connect,
    reference: NetworkRef,
}

impl Network {
    pub(crate) fn new(connect: Connect, reference: NetworkRef) -> Self {
        Self { connect, reference }
    }

    /// The connection it was found on.
    #[must_use]
    pub fn connect(&self) -> &Connect {
        &self.connect
    }

    /// Its name and UUID.
    #[must_use]
    pub fn reference(&self) -> &NetworkRef {
        &self.reference
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.reference.name
    }

    /// Its UUID.
    #[must_use]
    pub fn uuid(&self) -> Uuid {
        self.reference.uuid
    }

    /// The driver, for a call of the function `api` that changes nothing.
    fn driver(&self, api: &str) -> Result<&dyn NetworkDriver> {
        self.connect.network_driver(api)
    }

    /// The driver, for a call of the function `api` that changes something.
    fn changing(&self, api: &str) -> Result<&dyn NetworkDriver> {
        self.connect.check_network_change(api)?;
        self.connect.network_driver(api)
    }

    /// Starts it. libvirt's name for this call is "create".
    ///
    /// # Errors
    /// [`ErrorCode::OPERATION_DENIED`] on a read-only connection, [`ErrorCode::OPERATION_INVALID`]
    /// if it runs, [`ErrorCode::SYSTEM_ERROR`] or [`ErrorCode::INTERNAL_ERROR`] if the host refuses
    /// a step.
    pub async fn start(&self) -> Result<()> {
        self.create().await
    }

    /// Starts it, under libvirt's name; the same as [`Network::start`].
    ///
    /// # Errors
    /// Those of [`Network::start`].
    pub async fn create(&self) -> Result<()> {
        self.changing("virNetworkCreate")?.network_create(&self.reference).await
    }

    /// Stops it. A transient network no longer exists afterwards.
    ///
    /// # Errors
    /// [`ErrorCode::OPERATION_DENIED`] on a read-only connection, [`ErrorCode::OPERATION_INVALID`]
    /// if it does not run, [`ErrorCode::NO_NETWORK`] if it does not exist.
    pub async fn destroy(&self) -> Result<()> {
        self.changing("virNetworkDestroy")?.network_destroy(&self.reference).await
    }

    /// Removes the stored definition. A running network becomes transient.
    ///
    /// # Errors
    /// [`ErrorCode::OPERATION_DENIED`] on a read-only connection, [`ErrorCode::OPERATION_INVALID`]
    /// if it is transient, [`ErrorCode::NO_NETWORK`] if it does not exist.
    pub async fn undefine(&self) -> Result<()> {
        self.changing("virNetworkUndefine")?.network_undefine(&self.reference).await
    }

    /// Changes one part of it.
    ///
    /// # Errors
    /// [`ErrorCode::OPERATION_DENIED`] on a read-only connection, [`ErrorCode::OPERATION_INVALID`]
    /// if the element does not match the definition or the network's state excludes the flags,
    /// [`ErrorCode::OPERATION_UNSUPPORTED`] for a section that cannot be changed, and the errors of
    /// the element's XML.
    pub async fn update(&self, update: &Update) -> Result<()> {
        self.changing("virNetworkUpdate")?.network_update(&self.reference, update).await
    }

    /// The network as XML, ending in a newline.
    ///
    /// # Errors
    /// [`ErrorCode::INVALID_ARG`] for a flag the driver does not know, [`ErrorCode::NO_NETWORK`] if
    /// the network does not exist.
    pub async fn xml_desc(&self, flags: XmlFlags) -> Result<String> {
        self.driver("virNetworkGetXMLDesc")?.network_xml_desc(&self.reference, flags).await
    }

    /// Name of its bridge.
    ///
    /// # Errors
    /// [`ErrorCode::INTERNAL_ERROR`] if it has none, [`ErrorCode::NO_NETWORK`] if the network does
    /// not exist.
    pub async fn bridge_name(&self) -> Result<String> {
        self.driver("virNetworkGetBridgeName")?.network_bridge_name(&self.reference).await
    }

    /// Whether it starts with the host.
    ///
    /// # Errors
    /// [`ErrorCode::NO_NETWORK`] if it does not exist.
    pub async fn autostart(&self) -> Result<Autostart> {
        self.driver("virNetworkGetAutostart")?.network_autostart(&self.reference).await
    }

    /// Sets whether it starts with the host.
    ///
    /// # Errors
    /// [`ErrorCode::OPERATION_DENIED`] on a read-only connection, [`ErrorCode::OPERATION_INVALID`]
    /// if it is transient, [`ErrorCode::SYSTEM_ERROR`] if the link cannot be made or removed.
    pub async fn set_autostart(&self, autostart: Autostart) -> Result<()> {
        let driver = self.changing("virNetworkSetAutostart")?;
        driver.network_set_autostart(&self.reference, autostart).await
    }

    /// Whether it runs.
    ///
    /// # Errors
    /// [`ErrorCode::NO_NETWORK`] if it does not exist.
    pub async fn is_active(&self) -> Result<bool> {
        self.driver("virNetworkIsActive")?.network_is_active(&self.reference).await
    }

    /// Whether it has a stored definition.
    ///
    /// # Errors
    /// [`ErrorCode::NO_NETWORK`] if it does not exist.
    pub async fn is_persistent(&self) -> Result<bool> {
        self.driver("virNetworkIsPersistent")?.network_is_persistent(&self.reference).await
    }

    /// The leases that have not expired, of one MAC address or all.
    ///
    /// # Errors
    /// [`ErrorCode::INVALID_MAC`] if `mac` is not a MAC address, [`ErrorCode::NO_NETWORK`] if the
    /// network does not exist, [`ErrorCode::SYSTEM_ERROR`] or [`ErrorCode::INTERNAL_ERROR`] if the
    /// file of leases cannot be read.
    pub async fn dhcp_leases(&self, mac: Option<&str>) -> Result<Vec<DhcpLease>> {
        self.driver("virNetworkGetDHCPLeases")?.network_dhcp_leases(&self.reference, mac, 0).await
    }

    /// A piece of metadata, elements without their prefix.
    ///
    /// # Errors
    /// [`ErrorCode::INVALID_ARG`] if `flags` names both scopes or `uri` does not fit `kind`,
    /// [`ErrorCode::NO_NETWORK_METADATA`] if there is no such metadata.
    pub async fn metadata(
        &self,
        kind: MetadataType,
        uri: Option<&str>,
        flags: UpdateFlags,
    ) -> Result<String> {
        const API: &str = "virNetworkGetMetadata";
        check_argument("uri", uri, kind, API)?;
        if flags.contains(UpdateFlags::LIVE | UpdateFlags::CONFIG) {
            return Err(invalid(
                "Flags 'VIR_NETWORK_UPDATE_AFFECT_LIVE' and 'VIR_NETWORK_UPDATE_AFFECT_CONFIG' \
                 are mutually exclusive",
            ));
        }
        self.driver(API)?.network_metadata(&self.reference, kind, uri, flags).await
    }

    /// Changes or removes a piece of metadata.
    ///
    /// # Errors
    /// [`ErrorCode::OPERATION_DENIED`] on a read-only connection, [`ErrorCode::INVALID_ARG`] if key
    /// and namespace do not fit the kind or a title has a newline,
    /// [`ErrorCode::OPERATION_INVALID`] if the network's state excludes the flags.
    pub async fn set_metadata(&self, change: &MetadataChange) -> Result<()> {
        const API: &str = "virNetworkSetMetadata";
        let driver = self.changing(API)?;
        check_argument("uri", change.uri.as_deref(), change.kind, API)?;
        match change.kind {
            MetadataType::Title
                if change.metadata.as_ref().is_some_and(|text| text.contains('\n')) =>
            {
                return Err(invalid("metadata title can't contain newlines"));
            }
            // removing an element needs its namespace only
            MetadataType::Element if change.metadata.is_none() => {}
            kind => check_argument("key", change.key.as_deref(), kind, API)?,
        }
        driver.network_set_metadata(&self.reference, change).await
    }

    /// Whether everything that the network needs is in place on the host of the driver.
    ///
    /// # Errors
    /// [`ErrorCode::NO_SUPPORT`] if the driver or the daemon has no such call,
    /// [`ErrorCode::NO_NETWORK`] if the network does not exist.
    pub async fn health(&self) -> Result<NetworkHealth> {
        self.driver("oxivirtNetworkHealth")?.network_health(&self.reference, 0).await
    }

    /// What `verb` would do to the host of the driver. Nothing is changed.
    ///
    /// # Errors
    /// The error with which the operation itself would be refused; [`ErrorCode::NO_SUPPORT`] if
    /// the driver or the daemon has no such call, [`ErrorCode::INVALID_ARG`] for an unknown verb.
    pub async fn plan(&self, verb: PlanVerb) -> Result<NetworkPlan> {
        self.driver("oxivirtNetworkPlan")?.network_plan(&self.reference, verb, None, 0).await
    }

    /// Like [`Network::plan`], for the definition `xml` in place of the network's own.
    ///
    /// # Errors
    /// Those of [`Network::plan`], and [`ErrorCode::XML_ERROR`] or [`ErrorCode::XML_DETAIL`] if
    /// `xml` is not a definition.
    pub async fn plan_with(&self, verb: PlanVerb, xml: &str) -> Result<NetworkPlan> {
        self.driver("oxivirtNetworkPlan")?.network_plan(&self.reference, verb, Some(xml), 0).await
    }

    /// Its ports, in no particular order.
    ///
    /// # Errors
    /// [`ErrorCode::OPERATION_INVALID`] if it does not run.
    pub async fn list_all_ports(&self) -> Result<Vec<Port>> {
        let driver = self.driver("virNetworkListAllPorts")?;
        let ports = driver.network_list_all_ports(&self.reference, 0).await?;
        Ok(ports.into_iter().map(|port| self.port(port)).collect())
    }

    /// The port with this UUID.
    ///
    /// # Errors
    /// [`ErrorCode::NO_NETWORK_PORT`] if there is none.
    pub async fn port_lookup_by_uuid(&self, uuid: Uuid) -> Result<Port> {
        let driver = self.driver("virNetworkPortLookupByUUID")?;
        Ok(self.port(driver.network_port_lookup_by_uuid(&self.reference, uuid).await?))
    }

    /// The port with this UUID, given as text.
    ///
    /// # Errors
    /// [`ErrorCode::INVALID_ARG`] if the text is not a UUID, [`ErrorCode::NO_NETWORK_PORT`] if there
    /// is no such port.
    pub async fn port_lookup_by_uuid_string(&self, text: &str) -> Result<Port> {
        let Some(uuid) = parse_uuid(text) else {
            return Err(not_a_uuid("virNetworkPortLookupByUUIDString"));
        };
        self.port_lookup_by_uuid(uuid).await
    }

    /// Creates a port from XML.
    ///
    /// # Errors
    /// [`ErrorCode::OPERATION_DENIED`] on a read-only connection, [`ErrorCode::OPERATION_INVALID`]
    /// if the network does not run, [`ErrorCode::NETWORK_PORT_EXIST`] if the UUID is in use, and the
    /// errors of the port's XML.
    pub async fn port_create_xml(&self, xml: &str, flags: PortCreateFlags) -> Result<Port> {
        let driver = self.changing("virNetworkPortCreateXML")?;
        Ok(self.port(driver.network_port_create_xml(&self.reference, xml, flags).await?))
    }

    /// The port that `reference` names, without asking the driver whether it exists.
    #[must_use]
    pub fn port(&self, reference: PortRef) -> Port {
        Port::new(self.connect.clone(), reference)
    }
}

fn invalid(message: impl Into<String>) -> Error {
    Error::plain(ErrorCode::INVALID_ARG, ErrorDomain::NETWORK, message)
}

/// Key and namespace belong to elements and to nothing else.
fn check_argument(name: &str, value: Option<&str>, kind: MetadataType, api: &str) -> Result<()> {
    match (kind, value) {
        (MetadataType::Element, None) => Err(invalid(format!("{name} in {api} must not be NULL"))),
        (MetadataType::Description | MetadataType::Title, Some(_)) => {
            Err(invalid(format!("{name} in {api} must be NULL")))
        }
        // the driver rejects an unknown kind
        _ => Ok(()),
    }
}
