//! Finding and creating networks.

use std::sync::Arc;

use uuid::Uuid;

use crate::{
    CallbackId, Connect, CreateFlags, DefineFlags, Error, ErrorCode, ErrorDomain, EventStream,
    ListFlags, Network, NetworkDriver, NetworkEventCallback, NetworkEventId, NetworkRef, Result,
    parse_uuid,
};

impl Connect {
    /// The network driver of the connection, for a call of the function `api`.
    pub(crate) fn network_driver(&self, api: &str) -> Result<&dyn NetworkDriver> {
        self.connection().network_driver(api)
    }

    /// Checks that `api` may change a network or port.
    pub(crate) fn check_network_change(&self, api: &str) -> Result<()> {
        self.access().check_change(ErrorDomain::NETWORK, api)
    }

    /// The network that `reference` names, without asking the driver whether it exists.
    #[must_use]
    pub fn network(&self, reference: NetworkRef) -> Network {
        Network::new(self.clone(), reference)
    }

    /// The networks that pass the filter, in no particular order.
    ///
    /// # Errors
    /// [`ErrorCode::INVALID_ARG`] for an unknown flag, [`ErrorCode::NO_SUPPORT`] if the connection
    /// has no networks.
    pub async fn list_all_networks(&self, flags: ListFlags) -> Result<Vec<Network>> {
        let references =
            self.network_driver("virConnectListAllNetworks")?.list_all_networks(flags).await?;
        Ok(references.into_iter().map(|reference| self.network(reference)).collect())
    }

    /// Names of at most `max` running networks.
    ///
    /// # Errors
    /// [`ErrorCode::NO_SUPPORT`] if the connection has no networks.
    ///
    /// libvirt: `virConnectListNetworks`
    pub async fn list_networks(&self, max: usize) -> Result<Vec<String>> {
        self.names("virConnectListNetworks", ListFlags::ACTIVE, max).await
    }

    /// Names of at most `max` stored networks that do not run.
    ///
    /// # Errors
    /// [`ErrorCode::NO_SUPPORT`] if the connection has no networks.
    ///
    /// libvirt: `virConnectListDefinedNetworks`
    pub async fn list_defined_networks(&self, max: usize) -> Result<Vec<String>> {
        self.names("virConnectListDefinedNetworks", ListFlags::INACTIVE, max).await
    }

    async fn names(&self, api: &str, flags: ListFlags, max: usize) -> Result<Vec<String>> {
        let references = self.network_driver(api)?.list_all_networks(flags).await?;
        Ok(references.into_iter().take(max).map(|reference| reference.name).collect())
    }

    /// The network of this name.
    ///
    /// # Errors
    /// [`ErrorCode::NO_NETWORK`] if there is none.
    pub async fn network_lookup_by_name(&self, name: &str) -> Result<Network> {
        Ok(self.network(
            self.network_driver("virNetworkLookupByName")?.network_lookup_by_name(name).await?,
        ))
    }

    /// The network with this UUID.
    ///
    /// # Errors
    /// [`ErrorCode::NO_NETWORK`] if there is none.
    pub async fn network_lookup_by_uuid(&self, uuid: Uuid) -> Result<Network> {
        Ok(self.network(
            self.network_driver("virNetworkLookupByUUID")?.network_lookup_by_uuid(uuid).await?,
        ))
    }

    /// The network with this UUID, given as text.
    ///
    /// # Errors
    /// [`ErrorCode::INVALID_ARG`] if the text is not a UUID, [`ErrorCode::NO_NETWORK`] if there is no
    /// such network.
    pub async fn network_lookup_by_uuid_string(&self, text: &str) -> Result<Network> {
        let Some(uuid) = parse_uuid(text) else {
            return Err(not_a_uuid("virNetworkLookupByUUIDString"));
        };
        self.network_lookup_by_uuid(uuid).await
    }

    /// Stores a definition, new or in place of the old one.
    ///
    /// # Errors
    /// [`ErrorCode::OPERATION_DENIED`] on a read-only connection, [`ErrorCode::XML_ERROR`] or
    /// [`ErrorCode::XML_DETAIL`] for a wrong definition, [`ErrorCode::OPERATION_FAILED`] if name or
    /// UUID belong to another network, and the other errors of libvirt's driver.
    pub async fn network_define_xml(&self, xml: &str, flags: DefineFlags) -> Result<Network> {
        // the variant with flags is a libvirt function of its own, which read-only errors name
        let api = match flags {
            DefineFlags::NONE => "virNetworkDefineXML",
            _ => "virNetworkDefineXMLFlags",
        };
        self.check_network_change(api)?;
        Ok(self.network(self.network_driver(api)?.network_define_xml(xml, flags).await?))
    }

    /// Starts a network from XML without storing it.
    ///
    /// # Errors
    /// Those of [`Connect::network_define_xml`], [`ErrorCode::OPERATION_INVALID`] if the network runs,
    /// and [`ErrorCode::SYSTEM_ERROR`] or [`ErrorCode::INTERNAL_ERROR`] if the host refuses a step.
    pub async fn network_create_xml(&self, xml: &str, flags: CreateFlags) -> Result<Network> {
        let api = match flags {
            CreateFlags::NONE => "virNetworkCreateXML",
            _ => "virNetworkCreateXMLFlags",
        };
        self.check_network_change(api)?;
        Ok(self.network(self.network_driver(api)?.network_create_xml(xml, flags).await?))
    }

    /// Calls `callback` for events of kind `id`, of one network or of all.
    ///
    /// # Errors
    /// [`ErrorCode::NO_SUPPORT`] if the driver has no events, [`ErrorCode::INTERNAL_ERROR`] if a
    /// daemon does not know the id.
    pub async fn network_event_register(
        &self,
        network: Option<&Network>,
        id: NetworkEventId,
        callback: NetworkEventCallback,
    ) -> Result<CallbackId> {
        let network = network.map(Network::reference);
        let driver = self.network_driver("virConnectNetworkEventRegisterAny")?;
        driver.network_event_register(network, id, callback).await
    }

    /// The events of kind `id`, of one network or of all, as a stream.
    ///
    /// # Errors
    /// [`ErrorCode::NO_SUPPORT`] if the driver has no events, [`ErrorCode::INTERNAL_ERROR`] if a
    /// daemon does not know the id.
    pub async fn network_events(
        &self,
        network: Option<&Network>,
        id: NetworkEventId,
    ) -> Result<EventStream> {
        let network = network.map(Network::reference);
        EventStream::register(Arc::clone(self.connection()), network, id).await
    }

    /// Removes a registration.
    ///
    /// # Errors
    /// [`ErrorCode::INVALID_ARG`] if there is no such registration.
    pub async fn network_event_deregister(&self, id: CallbackId) -> Result<()> {
        let driver = self.network_driver("virConnectNetworkEventDeregisterAny")?;
        driver.network_event_deregister(id).await
    }
}

/// libvirt: `virCheckNonNullArg` and its like print the parameter and the function.
pub(crate) fn not_a_uuid(api: &str) -> Error {
    Error::plain(
        ErrorCode::INVALID_ARG,
        ErrorDomain::NETWORK,
        format!("uuidstr in {api} must be a valid UUID"),
    )
}
