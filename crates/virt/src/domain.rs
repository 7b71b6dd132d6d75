//! One domain of a connection.

use oxivirt_types::domain::{
    AddressSource, ConsoleFlags, DomainAffectFlags, DomainCreateFlags, DomainDestroyFlags,
    DomainShutdownFlags, DomainUndefineFlags, DomainXmlFlags,
};
use uuid::Uuid;

use crate::{
    Access, Autostart, Connect, DomainAgentDriver, DomainDeviceDriver, DomainDriver, DomainInfo,
    DomainInterface, DomainMetadataChange, DomainPlan, DomainRef, DomainStatsDriver, DomainStatus,
    DomainStream, DomainTuningDriver, Error, ErrorCode, ErrorDomain, MetadataType, PlanVerb,
    Result, SecurityLabel,
};

/// A virtual machine or container as a connection knows it.
///
/// It is a name, not a lock: the domain can vanish at any time, and calls then fail with
/// [`ErrorCode::NO_DOMAIN`]. Calls that change something fail with
/// [`ErrorCode::OPERATION_DENIED`] on a read-only connection, calls for a running domain with
/// [`ErrorCode::OPERATION_INVALID`] if it does not run.
///
/// libvirt: `virDomainPtr`, src/libvirt-domain.c
#[derive(Debug, Clone)]
pub struct Domain {
    connect: Connect,
    reference: DomainRef,
}

impl Domain {
    pub(crate) fn new(connect: Connect, reference: DomainRef) -> Self {
        Self { connect, reference }
    }

    /// The connection it was found on.
    #[must_use]
    pub fn connect(&self) -> &Connect {
        &self.connect
    }

    /// Its name, UUID and number.
    #[must_use]
    pub fn reference(&self) -> &DomainRef {
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

    /// Number of the running domain when it was found, `None` if it did not run.
    #[must_use]
    pub fn id(&self) -> Option<u32> {
        self.reference.id
    }

    /// The driver, for a call of the function `api` that changes nothing.
    fn driver(&self, api: &str) -> Result<&dyn DomainDriver> {
        self.connect.domain_driver(api)
    }

    /// The driver, for a call of the function `api` that changes something.
    fn changing(&self, api: &str) -> Result<&dyn DomainDriver> {
        self.connect.check_domain_change(api)?;
        self.connect.domain_driver(api)
    }

    /// The calls about its figures, for a call of the function `api`.
    ///
    /// # Errors
    /// [`ErrorCode::NO_SUPPORT`] if the driver has none.
    pub fn statistics(&self, api: &str) -> Result<&dyn DomainStatsDriver> {
        self.connect.connection().domain_stats_driver(api)
    }

    /// The calls that the guest agent answers, for a call of the function `api`. The agent runs in the guest,
    /// which a read-only client must not reach.
    ///
    /// # Errors
    /// [`ErrorCode::OPERATION_DENIED`] on a read-only connection, [`ErrorCode::NO_SUPPORT`] if the driver has
    /// none.
    pub fn agent(&self, api: &str) -> Result<&dyn DomainAgentDriver> {
        self.connect.check_domain_change(api)?;
        self.connect.connection().domain_agent_driver(api)
    }

    /// The calls that change how it runs, for a call of the function `api`.
    ///
    /// # Errors
    /// Those of [`Domain::agent`].
    pub fn tuning(&self, api: &str) -> Result<&dyn DomainTuningDriver> {
        self.connect.check_domain_change(api)?;
        self.connect.connection().domain_tuning_driver(api)
    }

    /// The calls about its devices, for a call of the function `api`.
    ///
    /// # Errors
    /// Those of [`Domain::agent`].
    pub fn devices(&self, api: &str) -> Result<&dyn DomainDeviceDriver> {
        self.connect.check_domain_change(api)?;
        self.connect.connection().domain_device_driver(api)
    }

    /// Starts it; returns it with its number. [`Domain::create`] is libvirt's name for this call.
    ///
    /// # Errors
    /// [`ErrorCode::OPERATION_INVALID`] if it runs, [`ErrorCode::CONFIG_UNSUPPORTED`] if the
    /// definition needs something that the driver lacks, [`ErrorCode::INTERNAL_ERROR`] if its
    /// process ends, [`ErrorCode::SYSTEM_ERROR`] if the host refuses a step.
    pub async fn start(&self) -> Result<Self> {
        self.create(DomainCreateFlags::empty()).await
    }

    /// Starts it with flags; returns it with its number.
    ///
    /// # Errors
    /// Those of [`Domain::start`], and [`ErrorCode::INVALID_ARG`] for an unknown flag.
    pub async fn create(&self, flags: DomainCreateFlags) -> Result<Self> {
        let api = if flags.is_empty() { "virDomainCreate" } else { "virDomainCreateWithFlags" };
        let reference = self.changing(api)?.domain_create(&self.reference, flags).await?;
        Ok(Self { reference, ..self.clone() })
    }

    /// Ends its process.
    ///
    /// # Errors
    /// [`ErrorCode::OPERATION_INVALID`] if it does not run, [`ErrorCode::OPERATION_FAILED`] if the
    /// process does not end, [`ErrorCode::INVALID_ARG`] for an unknown flag.
    pub async fn destroy(&self, flags: DomainDestroyFlags) -> Result<()> {
        let api = if flags.is_empty() { "virDomainDestroy" } else { "virDomainDestroyFlags" };
        self.changing(api)?.domain_destroy(&self.reference, flags).await
    }

    /// Asks the guest to shut down.
    ///
    /// # Errors
    /// [`ErrorCode::OPERATION_INVALID`] if it does not run, [`ErrorCode::AGENT_UNRESPONSIVE`] if the
    /// guest agent was to be used and is not connected.
    pub async fn shutdown(&self, flags: DomainShutdownFlags) -> Result<()> {
        let api = if flags.is_empty() { "virDomainShutdown" } else { "virDomainShutdownFlags" };
        self.changing(api)?.domain_shutdown(&self.reference, flags).await
    }

    /// Asks the guest to reboot.
    ///
    /// # Errors
    /// Those of [`Domain::shutdown`].
    pub async fn reboot(&self, flags: DomainShutdownFlags) -> Result<()> {
        self.changing("virDomainReboot")?.domain_reboot(&self.reference, flags).await
    }

    /// Resets the virtual machine.
    ///
    /// # Errors
    /// [`ErrorCode::OPERATION_INVALID`] if it does not run.
    pub async fn reset(&self) -> Result<()> {
        self.changing("virDomainReset")?.domain_reset(&self.reference, 0).await
    }

    /// Stops its CPUs.
    ///
    /// # Errors
    /// [`ErrorCode::OPERATION_INVALID`] if it does not run.
    pub async fn suspend(&self) -> Result<()> {
        self.changing("virDomainSuspend")?.domain_suspend(&self.reference).await
    }

    /// Lets its CPUs run again.
    ///
    /// # Errors
    /// [`ErrorCode::OPERATION_INVALID`] if they run, or it has no process.
    pub async fn resume(&self) -> Result<()> {
        self.changing("virDomainResume")?.domain_resume(&self.reference).await
    }

    /// Removes its stored definition; a running domain becomes transient.
    ///
    /// # Errors
    /// [`ErrorCode::OPERATION_INVALID`] if it has none, or if something depends on it that no flag
    /// covers.
    pub async fn undefine(&self, flags: DomainUndefineFlags) -> Result<()> {
        let api = if flags.is_empty() { "virDomainUndefine" } else { "virDomainUndefineFlags" };
        self.changing(api)?.domain_undefine(&self.reference, flags).await
    }

    /// What `verb` would execute. Nothing is changed.
    ///
    /// # Errors
    /// The error with which the operation itself would be refused; [`ErrorCode::NO_SUPPORT`] if the driver or the
    /// daemon has no such call, [`ErrorCode::INVALID_ARG`] for an unknown verb.
    pub async fn plan(&self, verb: PlanVerb) -> Result<DomainPlan> {
        self.driver("oxivirtDomainPlan")?.domain_plan(&self.reference, verb, None, 0).await
    }

    /// It as XML, ending in a newline.
    ///
    /// # Errors
    /// [`ErrorCode::OPERATION_DENIED`] for passwords on a read-only connection,
    /// [`ErrorCode::INVALID_ARG`] for an unknown flag.
    pub async fn xml_desc(&self, flags: DomainXmlFlags) -> Result<String> {
        let api = "virDomainGetXMLDesc";
        if flags.contains(DomainXmlFlags::SECURE) && self.connect.access() == Access::ReadOnly {
            let detail = "virDomainGetXMLDesc with secure flag";
            return Err(Error::new(ErrorCode::OPERATION_DENIED, ErrorDomain::DOMAIN, detail));
        }
        self.driver(api)?.domain_xml_desc(&self.reference, flags).await
    }

    /// Its state and the reason for it.
    ///
    /// # Errors
    /// [`ErrorCode::NO_DOMAIN`] if it is gone.
    pub async fn state(&self) -> Result<DomainStatus> {
        self.driver("virDomainGetState")?.domain_state(&self.reference, 0).await
    }

    /// Its key figures.
    ///
    /// # Errors
    /// [`ErrorCode::NO_DOMAIN`] if it is gone.
    pub async fn info(&self) -> Result<DomainInfo> {
        self.driver("virDomainGetInfo")?.domain_info(&self.reference).await
    }

    /// Type of its operating system, `hvm` for full virtualisation.
    ///
    /// # Errors
    /// [`ErrorCode::NO_DOMAIN`] if it is gone.
    pub async fn os_type(&self) -> Result<String> {
        self.driver("virDomainGetOSType")?.domain_os_type(&self.reference).await
    }

    /// Its label in the host's security model; the empty one if it does not run or has none.
    ///
    /// # Errors
    /// [`ErrorCode::NO_DOMAIN`] if it is gone.
    pub async fn security_label(&self) -> Result<SecurityLabel> {
        let driver = self.driver("virDomainGetSecurityLabel")?;
        driver.domain_security_label(&self.reference).await
    }

    /// Whether it is started with the host.
    ///
    /// # Errors
    /// [`ErrorCode::NO_DOMAIN`] if it is gone.
    pub async fn autostart(&self) -> Result<Autostart> {
        self.driver("virDomainGetAutostart")?.domain_autostart(&self.reference).await
    }

    /// Sets whether it is started with the host.
    ///
    /// # Errors
    /// [`ErrorCode::OPERATION_INVALID`] if it has no stored definition.
    pub async fn set_autostart(&self, autostart: Autostart) -> Result<()> {
        let driver = self.changing("virDomainSetAutostart")?;
        driver.domain_set_autostart(&self.reference, autostart).await
    }

    /// Whether it runs.
    ///
    /// # Errors
    /// [`ErrorCode::NO_DOMAIN`] if it is gone.
    pub async fn is_active(&self) -> Result<bool> {
        self.driver("virDomainIsActive")?.domain_is_active(&self.reference).await
    }

    /// Whether it has a stored definition.
    ///
    /// # Errors
    /// [`ErrorCode::NO_DOMAIN`] if it is gone.
    pub async fn is_persistent(&self) -> Result<bool> {
        self.driver("virDomainIsPersistent")?.domain_is_persistent(&self.reference).await
    }

    /// Renames it.
    ///
    /// # Errors
    /// [`ErrorCode::OPERATION_INVALID`] if it runs or has no stored definition,
    /// [`ErrorCode::OPERATION_FAILED`] if another domain has the name.
    pub async fn rename(&self, name: &str) -> Result<()> {
        self.changing("virDomainRename")?.domain_rename(&self.reference, name, 0).await
    }

    /// A piece of its metadata.
    ///
    /// # Errors
    /// [`ErrorCode::NO_DOMAIN_METADATA`] if it has none of this kind.
    pub async fn metadata(
        &self,
        kind: MetadataType,
        uri: Option<&str>,
        flags: DomainAffectFlags,
    ) -> Result<String> {
        let driver = self.driver("virDomainGetMetadata")?;
        driver.domain_metadata(&self.reference, kind, uri, flags).await
    }

    /// Changes or removes a piece of its metadata.
    ///
    /// # Errors
    /// [`ErrorCode::INVALID_ARG`] for a title with a newline or an element without namespace.
    pub async fn set_metadata(&self, change: &DomainMetadataChange) -> Result<()> {
        let driver = self.changing("virDomainSetMetadata")?;
        let has_lines = change.metadata.as_ref().is_some_and(|text| text.contains('\n'));
        if change.kind == MetadataType::Title && has_lines {
            let message = "metadata title can't contain newlines";
            return Err(Error::plain(ErrorCode::INVALID_ARG, ErrorDomain::DOMAIN, message));
        }
        driver.domain_set_metadata(&self.reference, change).await
    }

    /// Addresses of its interfaces.
    ///
    /// # Errors
    /// [`ErrorCode::OPERATION_INVALID`] if it does not run, [`ErrorCode::AGENT_UNRESPONSIVE`] if
    /// the guest agent was to be used and is not connected.
    pub async fn interface_addresses(&self, source: AddressSource) -> Result<Vec<DomainInterface>> {
        let api = "virDomainInterfaceAddresses";
        // The agent runs in the guest, which a read-only client must not reach.
        let driver = match source {
            AddressSource::Agent => self.changing(api)?,
            _ => self.driver(api)?,
        };
        driver.domain_interface_addresses(&self.reference, source, 0).await
    }

    /// Connects to a console or serial port, the first one without `device`.
    ///
    /// # Errors
    /// [`ErrorCode::OPERATION_FAILED`] if another client has it,
    /// [`ErrorCode::INTERNAL_ERROR`] if there is none.
    pub async fn open_console(
        &self,
        device: Option<&str>,
        flags: ConsoleFlags,
    ) -> Result<Box<dyn DomainStream>> {
        let driver = self.changing("virDomainOpenConsole")?;
        driver.domain_open_console(&self.reference, device, flags).await
    }
}
