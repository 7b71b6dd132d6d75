//! One network of a connection.

use crate::{
    Autostart, Connect, DhcpLease, Error, ErrorCode, ErrorDomain, MetadataChange, MetadataType,
    NetworkHealth, NetworkPlan, NetworkRef, PlanVerb, Port, PortCreateFlags, PortRef, Result,
    Update, UpdateFlags, XmlFlags, connect::not_a_uuid, parse_uuid,
};
use uuid::Uuid;

/// A network as a connection knows it.
///
/// It is a name, not a lock: the network can vanish at any time, and calls then fail with
/// number 43.
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

    /// What names it.
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

    /// Starts it.
    ///
    /// # Errors
    /// Number 29 on a read-only connection, 55 if it runs, else what the driver says.
    pub async fn create(&self) -> Result<()> {
        self.connect.may_change("virNetworkCreate")?;
        self.connect.driver().network_create(&self.reference).await
    }

    /// Stops it. A transient network is gone afterwards.
    ///
    /// # Errors
    /// Number 29 on a read-only connection, 55 if it does not run, else what the driver says.
    pub async fn destroy(&self) -> Result<()> {
        self.connect.may_change("virNetworkDestroy")?;
        self.connect.driver().network_destroy(&self.reference).await
    }

    /// Removes the stored definition. A network which runs becomes transient.
    ///
    /// # Errors
    /// Number 29 on a read-only connection, 55 if it is transient, else what the driver says.
    pub async fn undefine(&self) -> Result<()> {
        self.connect.may_change("virNetworkUndefine")?;
        self.connect.driver().network_undefine(&self.reference).await
    }

    /// Changes one part of it.
    ///
    /// # Errors
    /// Number 29 on a read-only connection, else what the driver says.
    pub async fn update(&self, update: &Update) -> Result<()> {
        self.connect.may_change("virNetworkUpdate")?;
        self.connect.driver().network_update(&self.reference, update).await
    }

    /// The network as XML, ending in a newline.
    ///
    /// # Errors
    /// Number 8 for a flag the driver does not know.
    pub async fn xml_desc(&self, flags: XmlFlags) -> Result<String> {
        self.connect.driver().network_xml_desc(&self.reference, flags).await
    }

    /// Name of its bridge.
    ///
    /// # Errors
    /// Number 1 if it has none.
    pub async fn bridge_name(&self) -> Result<String> {
        self.connect.driver().network_bridge_name(&self.reference).await
    }

    /// Whether it starts with the host.
    ///
    /// # Errors
    /// What the driver says.
    pub async fn autostart(&self) -> Result<Autostart> {
        self.connect.driver().network_autostart(&self.reference).await
    }

    /// Says whether it starts with the host.
    ///
    /// # Errors
    /// Number 29 on a read-only connection, 55 if it is transient, else what the driver says.
    pub async fn set_autostart(&self, autostart: Autostart) -> Result<()> {
        self.connect.may_change("virNetworkSetAutostart")?;
        self.connect.driver().network_set_autostart(&self.reference, autostart).await
    }

    /// Whether it runs.
    ///
    /// # Errors
    /// What the driver says.
    pub async fn is_active(&self) -> Result<bool> {
        self.connect.driver().network_is_active(&self.reference).await
    }

    /// Whether it has a stored definition.
    ///
    /// # Errors
    /// What the driver says.
    pub async fn is_persistent(&self) -> Result<bool> {
        self.connect.driver().network_is_persistent(&self.reference).await
    }

    /// The addresses handed out and not expired, of one MAC address or all.
    ///
    /// # Errors
    /// Number 44 if `mac` is no MAC address, else what the driver says.
    pub async fn dhcp_leases(&self, mac: Option<&str>) -> Result<Vec<DhcpLease>> {
        self.connect.driver().network_dhcp_leases(&self.reference, mac, 0).await
    }

    /// A piece of metadata, elements without their prefix.
    ///
    /// # Errors
    /// Number 8 if `flags` names both scopes or `uri` does not fit `kind`, 111 if there is no
    /// such metadata.
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
        self.connect.driver().network_metadata(&self.reference, kind, uri, flags).await
    }

    /// Changes or removes a piece of metadata.
    ///
    /// # Errors
    /// Number 29 on a read-only connection, 8 if key and namespace do not fit the kind or a
    /// title has a newline, else what the driver says.
    pub async fn set_metadata(&self, change: &MetadataChange) -> Result<()> {
        const API: &str = "virNetworkSetMetadata";
        self.connect.may_change(API)?;
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
        self.connect.driver().network_set_metadata(&self.reference, change).await
    }

    /// Whether everything that the network needs is in place on the host of the driver.
    ///
    /// # Errors
    /// [`ErrorCode::NO_SUPPORT`] if the driver or the daemon has no such call,
    /// [`ErrorCode::NO_NETWORK`] if the network is gone.
    pub async fn health(&self) -> Result<NetworkHealth> {
        self.connect.driver().network_health(&self.reference, 0).await
    }

    /// What `verb` would do to the host of the driver. Nothing is changed.
    ///
    /// # Errors
    /// The error with which the operation itself would be refused; [`ErrorCode::NO_SUPPORT`] if
    /// the driver or the daemon has no such call, [`ErrorCode::INVALID_ARG`] for an unknown verb.
    pub async fn plan(&self, verb: PlanVerb) -> Result<NetworkPlan> {
        self.connect.driver().network_plan(&self.reference, verb, None, 0).await
    }

    /// Like [`Network::plan`], for the definition `xml` in place of the network's own.
    ///
    /// # Errors
    /// Those of [`Network::plan`], and [`ErrorCode::XML_ERROR`] or [`ErrorCode::XML_DETAIL`] if
    /// `xml` is no definition.
    pub async fn plan_with(&self, verb: PlanVerb, xml: &str) -> Result<NetworkPlan> {
        self.connect.driver().network_plan(&self.reference, verb, Some(xml), 0).await
    }

    /// Its ports, in no particular order.
    ///
    /// # Errors
    /// Number 55 if it does not run.
    pub async fn list_all_ports(&self) -> Result<Vec<Port>> {
        let ports = self.connect.driver().network_list_all_ports(&self.reference, 0).await?;
        Ok(ports.into_iter().map(|port| self.port(port)).collect())
    }

    /// The port with this UUID.
    ///
    /// # Errors
    /// Number 107 if there is none.
    pub async fn port_lookup_by_uuid(&self, uuid: Uuid) -> Result<Port> {
        let driver = self.connect.driver();
        Ok(self.port(driver.network_port_lookup_by_uuid(&self.reference, uuid).await?))
    }

    /// The port with this UUID, given as text.
    ///
    /// # Errors
    /// Number 8 if the text is no UUID, 107 if there is no such port.
    pub async fn port_lookup_by_uuid_string(&self, text: &str) -> Result<Port> {
        let Some(uuid) = parse_uuid(text) else {
            return Err(not_a_uuid("virNetworkPortLookupByUUIDString"));
        };
        self.port_lookup_by_uuid(uuid).await
    }

    /// Makes a port from XML.
    ///
    /// # Errors
    /// Number 29 on a read-only connection, else what the driver says.
    pub async fn port_create_xml(&self, xml: &str, flags: PortCreateFlags) -> Result<Port> {
        self.connect.may_change("virNetworkPortCreateXML")?;
        let driver = self.connect.driver();
        Ok(self.port(driver.network_port_create_xml(&self.reference, xml, flags).await?))
    }

    fn port(&self, reference: PortRef) -> Port {
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
        // an unknown kind is for the driver to refuse
        _ => Ok(()),
    }
}
