//! One port of a network.

use crate::{Connect, NetworkDriver, PortRef, Result, TypedParam};
use uuid::Uuid;

#[cfg(doc)]
use crate::ErrorCode;

/// The place on a network where one guest interface is plugged in.
///
/// libvirt: `virNetworkPortPtr`
#[derive(Debug, Clone)]
pub struct Port {
    connect: Connect,
    reference: PortRef,
}

impl Port {
    pub(crate) fn new(connect: Connect, reference: PortRef) -> Self {
        Self { connect, reference }
    }

    /// Its network and UUID.
    #[must_use]
    pub fn reference(&self) -> &PortRef {
        &self.reference
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

    /// The port as XML, ending in a newline.
    ///
    /// # Errors
    /// [`ErrorCode::NO_NETWORK_PORT`] if it does not exist.
    pub async fn xml_desc(&self) -> Result<String> {
        self.driver("virNetworkPortGetXMLDesc")?.network_port_xml_desc(&self.reference, 0).await
    }

    /// Its rate limits.
    ///
    /// # Errors
    /// [`ErrorCode::NO_NETWORK_PORT`] if it does not exist.
    pub async fn parameters(&self) -> Result<Vec<TypedParam>> {
        let driver = self.driver("virNetworkPortGetParameters")?;
        driver.network_port_parameters(&self.reference, 0).await
    }

    /// Replaces its rate limits.
    ///
    /// # Errors
    /// [`ErrorCode::OPERATION_DENIED`] on a read-only connection, [`ErrorCode::NO_NETWORK_PORT`] if
    /// it does not exist, [`ErrorCode::INVALID_ARG`] for an unknown parameter or a wrong type.
    pub async fn set_parameters(&self, params: &[TypedParam]) -> Result<()> {
        let driver = self.changing("virNetworkPortSetParameters")?;
        driver.network_port_set_parameters(&self.reference, params, 0).await
    }

    /// Removes it.
    ///
    /// # Errors
    /// [`ErrorCode::OPERATION_DENIED`] on a read-only connection, [`ErrorCode::NO_NETWORK_PORT`] if
    /// it does not exist.
    pub async fn delete(&self) -> Result<()> {
        self.changing("virNetworkPortDelete")?.network_port_delete(&self.reference, 0).await
    }
}
