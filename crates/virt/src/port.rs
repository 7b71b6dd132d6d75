//! One port of a network.

use crate::{Connect, PortRef, Result, TypedParam};
use uuid::Uuid;

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

    /// What names it.
    #[must_use]
    pub fn reference(&self) -> &PortRef {
        &self.reference
    }

    /// Its UUID.
    #[must_use]
    pub fn uuid(&self) -> Uuid {
        self.reference.uuid
    }

    /// The port as XML, ending in a newline.
    ///
    /// # Errors
    /// Number 107 if it is gone.
    pub async fn xml_desc(&self) -> Result<String> {
        self.connect.driver().network_port_xml_desc(&self.reference, 0).await
    }

    /// Its rate limits.
    ///
    /// # Errors
    /// Number 107 if it is gone.
    pub async fn parameters(&self) -> Result<Vec<TypedParam>> {
        self.connect.driver().network_port_parameters(&self.reference, 0).await
    }

    /// Replaces its rate limits.
    ///
    /// # Errors
    /// Number 29 on a read-only connection, else what the driver says.
    pub async fn set_parameters(&self, params: &[TypedParam]) -> Result<()> {
        self.connect.may_change("virNetworkPortSetParameters")?;
        self.connect.driver().network_port_set_parameters(&self.reference, params, 0).await
    }

    /// Removes it.
    ///
    /// # Errors
    /// Number 29 on a read-only connection, else what the driver says.
    pub async fn delete(&self) -> Result<()> {
        self.connect.may_change("virNetworkPortDelete")?;
        self.connect.driver().network_port_delete(&self.reference, 0).await
    }
}
