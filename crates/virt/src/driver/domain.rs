//! Calls about domains and their events.

use std::fmt::Debug;

use async_trait::async_trait;
use oxivirt_types::domain::{
    AddressSource, ConsoleFlags, DomainAffectFlags, DomainCreateFlags, DomainDefineFlags,
    DomainDestroyFlags, DomainEventId, DomainListFlags, DomainShutdownFlags, DomainState,
    DomainUndefineFlags, DomainXmlFlags,
};
use uuid::Uuid;

use crate::{
    Autostart, CallbackId, DomainAgentDriver, DomainDeviceDriver, DomainEventCallback, DomainPlan,
    DomainStatsDriver, DomainTuningDriver, Error, ErrorDomain, IpAddrType, MetadataChange,
    MetadataType, PlanVerb, Result, SecurityLabel,
};

/// Names one domain.
///
/// The UUID decides; name and id are those known when the reference was made.
///
/// libvirt: `virDomainPtr`
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DomainRef {
    /// Name, unique on a connection at any one time.
    pub name: String,
    /// UUID, unique on a connection and stable.
    pub uuid: Uuid,
    /// Number of the running domain, `None` if it did not run.
    pub id: Option<u32>,
}

impl std::fmt::Display for DomainRef {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.name)
    }
}

/// What a definition names, before it is stored.
///
/// Access control asks the policy about the object that a definition is for; the driver reads the
/// document, so that no other layer has to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DomainIdentity {
    /// Name of the domain.
    pub name: String,
    /// Its UUID, `None` if the definition leaves it to the driver.
    pub uuid: Option<Uuid>,
}

/// State of a domain and the reason for it (`virDomainGetState`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DomainStatus {
    /// The state.
    pub state: DomainState,
    /// Number of the reason, whose meaning depends on the state:
    /// [`RunningReason`](oxivirt_types::domain::RunningReason) and its like.
    pub reason: i32,
}

/// Key figures of a domain (`virDomainGetInfo`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DomainInfo {
    /// Its state.
    pub state: DomainState,
    /// Memory that it may have, in KiB.
    pub max_memory_kib: u64,
    /// Memory that it has, in KiB.
    pub memory_kib: u64,
    /// Virtual CPUs.
    pub n_vcpus: u16,
    /// CPU time it has used, in nanoseconds.
    pub cpu_time_ns: u64,
}

/// A network interface of a guest with its addresses (`virDomainInterface`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DomainInterface {
    /// Name: the host's for leases and neighbours, the guest's for the agent.
    pub name: String,
    /// MAC address as text, `None` if it has none.
    pub mac: Option<String>,
    /// Its addresses.
    pub addresses: Vec<InterfaceAddress>,
}

/// An address of a guest's interface (`virDomainIPAddress`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InterfaceAddress {
    /// Its family.
    pub addr_type: IpAddrType,
    /// The address, without prefix length.
    pub address: String,
    /// Prefix length.
    pub prefix: u32,
}

/// A change of a domain's metadata.
pub type DomainMetadataChange = MetadataChange<DomainAffectFlags>;

/// Bytes in both directions, a console for example. It ends when either side closes it.
///
/// libvirt: `virStreamPtr`
pub trait DomainStream: futures::AsyncRead + futures::AsyncWrite + Send + Unpin + Debug {}

impl<T: futures::AsyncRead + futures::AsyncWrite + Send + Unpin + Debug> DomainStream for T {}

fn unsupported<T>(api: &str) -> Result<T> {
    Err(Error::unsupported(ErrorDomain::DOMAIN, api))
}

/// The calls about domains and their events.
///
/// A method takes effect completely or not at all, and fails with the codes and domains of
/// libvirt's QEMU driver. All methods may be called at the same time from any task; a dropped future
/// must leave nothing half done. Calls that only read never wait for the guest.
///
/// libvirt: `virHypervisorDriver`, src/driver-hypervisor.h
#[async_trait]
#[expect(unused_variables, reason = "the defaults answer without looking at their parameters")]
pub trait DomainDriver: Send + Sync + Debug {
    /// Calls about figures; `None` if the driver has none.
    fn statistics(&self) -> Option<&dyn DomainStatsDriver> {
        None
    }

    /// Calls that the guest agent answers; `None` if the driver has none.
    fn agent(&self) -> Option<&dyn DomainAgentDriver> {
        None
    }

    /// Calls that change how a domain runs; `None` if the driver has none.
    fn tuning(&self) -> Option<&dyn DomainTuningDriver> {
        None
    }

    /// Calls about devices; `None` if the driver has none.
    fn devices(&self) -> Option<&dyn DomainDeviceDriver> {
        None
    }

    /// The domains that pass the filter, in no particular order (`virConnectListAllDomains`).
    async fn list_all_domains(&self, flags: DomainListFlags) -> Result<Vec<DomainRef>> {
        unsupported("virConnectListAllDomains")
    }

    /// The running domain with this number (`virDomainLookupByID`).
    async fn domain_lookup_by_id(&self, id: u32) -> Result<DomainRef> {
        unsupported("virDomainLookupByID")
    }

    /// The domain of this name (`virDomainLookupByName`).
    async fn domain_lookup_by_name(&self, name: &str) -> Result<DomainRef> {
        unsupported("virDomainLookupByName")
    }

    /// The domain with this UUID (`virDomainLookupByUUID`).
    async fn domain_lookup_by_uuid(&self, uuid: Uuid) -> Result<DomainRef> {
        unsupported("virDomainLookupByUUID")
    }

    /// What the definition `xml` names. Nothing is looked up or stored.
    ///
    /// # Errors
    /// Those of the definition's XML, or [`ErrorCode::NO_SUPPORT`](crate::ErrorCode::NO_SUPPORT).
    fn domain_identity(&self, xml: &str) -> Result<DomainIdentity> {
        unsupported("domainIdentity")
    }

    /// Stores a definition, new or in place of the old one (`virDomainDefineXMLFlags`).
    async fn domain_define_xml(&self, xml: &str, flags: DomainDefineFlags) -> Result<DomainRef> {
        unsupported("virDomainDefineXML")
    }

    /// Starts a domain from XML without storing it (`virDomainCreateXML`).
    async fn domain_create_xml(&self, xml: &str, flags: DomainCreateFlags) -> Result<DomainRef> {
        unsupported("virDomainCreateXML")
    }

    /// Starts a stored domain; returns it with its number (`virDomainCreateWithFlags`).
    async fn domain_create(
        &self,
        domain: &DomainRef,
        flags: DomainCreateFlags,
    ) -> Result<DomainRef> {
        unsupported("virDomainCreate")
    }

    /// Ends the domain's process (`virDomainDestroyFlags`).
    async fn domain_destroy(&self, domain: &DomainRef, flags: DomainDestroyFlags) -> Result<()> {
        unsupported("virDomainDestroy")
    }

    /// Asks the guest to shut down; returns once the request is delivered
    /// (`virDomainShutdownFlags`).
    async fn domain_shutdown(&self, domain: &DomainRef, flags: DomainShutdownFlags) -> Result<()> {
        unsupported("virDomainShutdown")
    }

    /// Asks the guest to reboot; returns once the request is delivered (`virDomainReboot`).
    async fn domain_reboot(&self, domain: &DomainRef, flags: DomainShutdownFlags) -> Result<()> {
        unsupported("virDomainReboot")
    }

    /// Resets the virtual machine (`virDomainReset`); `flags` must be 0.
    async fn domain_reset(&self, domain: &DomainRef, flags: u32) -> Result<()> {
        unsupported("virDomainReset")
    }

    /// Stops the domain's CPUs (`virDomainSuspend`).
    async fn domain_suspend(&self, domain: &DomainRef) -> Result<()> {
        unsupported("virDomainSuspend")
    }

    /// Lets the domain's CPUs run again (`virDomainResume`).
    async fn domain_resume(&self, domain: &DomainRef) -> Result<()> {
        unsupported("virDomainResume")
    }

    /// Removes the stored definition (`virDomainUndefineFlags`).
    async fn domain_undefine(&self, domain: &DomainRef, flags: DomainUndefineFlags) -> Result<()> {
        unsupported("virDomainUndefine")
    }

    /// The domain as XML, ending in a newline (`virDomainGetXMLDesc`).
    async fn domain_xml_desc(&self, domain: &DomainRef, flags: DomainXmlFlags) -> Result<String> {
        unsupported("virDomainGetXMLDesc")
    }

    /// What `verb` would execute, for the domain as it is or, with `xml`, for this definition in place of its own;
    /// `flags` must be 0 (`oxivirtDomainPlan`).
    async fn domain_plan(
        &self,
        domain: &DomainRef,
        verb: PlanVerb,
        xml: Option<&str>,
        flags: u32,
    ) -> Result<DomainPlan> {
        unsupported("oxivirtDomainPlan")
    }

    /// State and reason; `flags` must be 0 (`virDomainGetState`).
    async fn domain_state(&self, domain: &DomainRef, flags: u32) -> Result<DomainStatus> {
        unsupported("virDomainGetState")
    }

    /// Key figures (`virDomainGetInfo`).
    async fn domain_info(&self, domain: &DomainRef) -> Result<DomainInfo> {
        unsupported("virDomainGetInfo")
    }

    /// Type of the guest's operating system, `hvm` for full virtualisation
    /// (`virDomainGetOSType`).
    async fn domain_os_type(&self, domain: &DomainRef) -> Result<String> {
        unsupported("virDomainGetOSType")
    }

    /// Memory that it may have, in KiB (`virDomainGetMaxMemory`).
    async fn domain_max_memory(&self, domain: &DomainRef) -> Result<u64> {
        unsupported("virDomainGetMaxMemory")
    }

    /// Virtual CPUs that it may have (`virDomainGetMaxVcpus`).
    async fn domain_max_vcpus(&self, domain: &DomainRef) -> Result<u32> {
        unsupported("virDomainGetMaxVcpus")
    }

    /// Its label in the host's security model, the empty one if it does not run
    /// (`virDomainGetSecurityLabel`).
    async fn domain_security_label(&self, domain: &DomainRef) -> Result<SecurityLabel> {
        unsupported("virDomainGetSecurityLabel")
    }

    /// Whether it is started with the host (`virDomainGetAutostart`).
    async fn domain_autostart(&self, domain: &DomainRef) -> Result<Autostart> {
        unsupported("virDomainGetAutostart")
    }

    /// Sets whether it is started with the host (`virDomainSetAutostart`).
    async fn domain_set_autostart(&self, domain: &DomainRef, autostart: Autostart) -> Result<()> {
        unsupported("virDomainSetAutostart")
    }

    /// Whether it runs (`virDomainIsActive`).
    async fn domain_is_active(&self, domain: &DomainRef) -> Result<bool> {
        unsupported("virDomainIsActive")
    }

    /// Whether it has a stored definition (`virDomainIsPersistent`).
    async fn domain_is_persistent(&self, domain: &DomainRef) -> Result<bool> {
        unsupported("virDomainIsPersistent")
    }

    /// Whether its stored definition changed while it ran (`virDomainIsUpdated`).
    async fn domain_is_updated(&self, domain: &DomainRef) -> Result<bool> {
        unsupported("virDomainIsUpdated")
    }

    /// Renames a stored domain that does not run; `flags` must be 0 (`virDomainRename`).
    async fn domain_rename(&self, domain: &DomainRef, name: &str, flags: u32) -> Result<()> {
        unsupported("virDomainRename")
    }

    /// A piece of metadata, elements without their prefix (`virDomainGetMetadata`).
    async fn domain_metadata(
        &self,
        domain: &DomainRef,
        kind: MetadataType,
        uri: Option<&str>,
        flags: DomainAffectFlags,
    ) -> Result<String> {
        unsupported("virDomainGetMetadata")
    }

    /// Changes or removes a piece of metadata (`virDomainSetMetadata`).
    async fn domain_set_metadata(
        &self,
        domain: &DomainRef,
        change: &DomainMetadataChange,
    ) -> Result<()> {
        unsupported("virDomainSetMetadata")
    }

    /// Addresses of the guest's interfaces; `flags` must be 0 (`virDomainInterfaceAddresses`).
    async fn domain_interface_addresses(
        &self,
        domain: &DomainRef,
        source: AddressSource,
        flags: u32,
    ) -> Result<Vec<DomainInterface>> {
        unsupported("virDomainInterfaceAddresses")
    }

    /// Connects to a console or serial port, the first one without `device`
    /// (`virDomainOpenConsole`).
    async fn domain_open_console(
        &self,
        domain: &DomainRef,
        device: Option<&str>,
        flags: ConsoleFlags,
    ) -> Result<Box<dyn DomainStream>> {
        unsupported("virDomainOpenConsole")
    }

    /// Calls `callback` for events with this id, of one domain or of all
    /// (`virConnectDomainEventRegisterAny`).
    async fn domain_event_register(
        &self,
        domain: Option<&DomainRef>,
        id: DomainEventId,
        callback: DomainEventCallback,
    ) -> Result<CallbackId> {
        unsupported("virConnectDomainEventRegisterAny")
    }

    /// Removes a registration (`virConnectDomainEventDeregisterAny`).
    async fn domain_event_deregister(&self, id: CallbackId) -> Result<()> {
        unsupported("virConnectDomainEventDeregisterAny")
    }
}
