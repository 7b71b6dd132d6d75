//! Finding and creating domains.

use oxivirt_types::domain::{DomainCreateFlags, DomainDefineFlags, DomainEventId, DomainListFlags};
use uuid::Uuid;

use crate::{
    CallbackId, Connect, Domain, DomainDriver, DomainEventCallback, DomainRef, ErrorDomain, Result,
};

impl Connect {
    /// The domain driver of the connection, for a call of the function `api`.
    pub(crate) fn domain_driver(&self, api: &str) -> Result<&dyn DomainDriver> {
        self.connection().domain_driver(api)
    }

    /// Checks that `api` may change a domain.
    pub(crate) fn check_domain_change(&self, api: &str) -> Result<()> {
        self.access().check_change(ErrorDomain::DOMAIN, api)
    }

    /// The domain that `reference` names; the driver is not called.
    #[must_use]
    pub fn domain(&self, reference: DomainRef) -> Domain {
        Domain::new(self.clone(), reference)
    }

    /// The domains that pass the filter, in no particular order.
    ///
    /// # Errors
    /// [`ErrorCode::INVALID_ARG`](crate::ErrorCode::INVALID_ARG) for an unknown flag,
    /// [`ErrorCode::NO_SUPPORT`](crate::ErrorCode::NO_SUPPORT) if the connection has no domains.
    pub async fn list_all_domains(&self, flags: DomainListFlags) -> Result<Vec<Domain>> {
        let driver = self.domain_driver("virConnectListAllDomains")?;
        let references = driver.list_all_domains(flags).await?;
        Ok(references.into_iter().map(|reference| self.domain(reference)).collect())
    }

    /// The running domain with this number.
    ///
    /// # Errors
    /// [`ErrorCode::NO_DOMAIN`](crate::ErrorCode::NO_DOMAIN) if there is none.
    pub async fn domain_lookup_by_id(&self, id: u32) -> Result<Domain> {
        let driver = self.domain_driver("virDomainLookupByID")?;
        Ok(self.domain(driver.domain_lookup_by_id(id).await?))
    }

    /// The domain of this name.
    ///
    /// # Errors
    /// [`ErrorCode::NO_DOMAIN`](crate::ErrorCode::NO_DOMAIN) if there is none.
    pub async fn domain_lookup_by_name(&self, name: &str) -> Result<Domain> {
        let driver = self.domain_driver("virDomainLookupByName")?;
        Ok(self.domain(driver.domain_lookup_by_name(name).await?))
    }

    /// The domain with this UUID.
    ///
    /// # Errors
    /// [`ErrorCode::NO_DOMAIN`](crate::ErrorCode::NO_DOMAIN) if there is none.
    pub async fn domain_lookup_by_uuid(&self, uuid: Uuid) -> Result<Domain> {
        let driver = self.domain_driver("virDomainLookupByUUID")?;
        Ok(self.domain(driver.domain_lookup_by_uuid(uuid).await?))
    }

    /// Stores a definition, new or in place of the old one.
    ///
    /// # Errors
    /// [`ErrorCode::OPERATION_DENIED`](crate::ErrorCode::OPERATION_DENIED) on a read-only connection,
    /// [`ErrorCode::XML_ERROR`](crate::ErrorCode::XML_ERROR),
    /// [`ErrorCode::XML_DETAIL`](crate::ErrorCode::XML_DETAIL) or
    /// [`ErrorCode::CONFIG_UNSUPPORTED`](crate::ErrorCode::CONFIG_UNSUPPORTED) for a definition that
    /// cannot be used, [`ErrorCode::OPERATION_FAILED`](crate::ErrorCode::OPERATION_FAILED) if name or
    /// UUID belong to another domain.
    pub async fn domain_define_xml(&self, xml: &str, flags: DomainDefineFlags) -> Result<Domain> {
        // the variant with flags is a libvirt function of its own, which read-only errors name
        let api = if flags.is_empty() { "virDomainDefineXML" } else { "virDomainDefineXMLFlags" };
        self.check_domain_change(api)?;
        Ok(self.domain(self.domain_driver(api)?.domain_define_xml(xml, flags).await?))
    }

    /// Starts a domain from XML without storing it.
    ///
    /// # Errors
    /// Those of [`Connect::domain_define_xml`], and those of [`Domain::create`].
    pub async fn domain_create_xml(&self, xml: &str, flags: DomainCreateFlags) -> Result<Domain> {
        let api = "virDomainCreateXML";
        self.check_domain_change(api)?;
        Ok(self.domain(self.domain_driver(api)?.domain_create_xml(xml, flags).await?))
    }

    /// Calls `callback` for events with this id, of one domain or of all.
    ///
    /// # Errors
    /// [`ErrorCode::NO_SUPPORT`](crate::ErrorCode::NO_SUPPORT) if the driver has no such events.
    pub async fn domain_event_register(
        &self,
        domain: Option<&DomainRef>,
        id: DomainEventId,
        callback: DomainEventCallback,
    ) -> Result<CallbackId> {
        let driver = self.domain_driver("virConnectDomainEventRegisterAny")?;
        driver.domain_event_register(domain, id, callback).await
    }

    /// Removes a registration.
    ///
    /// # Errors
    /// [`ErrorCode::INVALID_ARG`](crate::ErrorCode::INVALID_ARG) if there is none with this id.
    pub async fn domain_event_deregister(&self, id: CallbackId) -> Result<()> {
        let driver = self.domain_driver("virConnectDomainEventDeregisterAny")?;
        driver.domain_event_deregister(id).await
    }
}
