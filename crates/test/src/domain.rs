//! Domains in memory.
//!
//! Behaves as libvirt's test driver: nothing runs, states and definitions change as if something did.
//!
//! libvirt 11.3.0: `testDomainCreateXML` and its like, src/test/test_driver.c

use std::collections::BTreeMap;
use std::time::{SystemTime, UNIX_EPOCH};

use async_trait::async_trait;
use oxivirt::{
    AddressSource, Autostart, CallbackId, DomainAffectFlags, DomainCreateFlags, DomainDefineFlags,
    DomainDestroyFlags, DomainDriver, DomainEvent, DomainEventCallback, DomainEventId,
    DomainIdentity, DomainInfo, DomainInterface, DomainLifecycleEvent, DomainListFlags,
    DomainMetadataChange, DomainRef, DomainShutdownFlags, DomainState, DomainStatus,
    DomainUndefineFlags, DomainXmlFlags, Error, ErrorCode, ErrorDomain, InterfaceAddress,
    IpAddrType, Lifetime, MetadataType, PausedReason, Result, RunningReason, SecurityLabel,
    ShutoffReason, Uuid,
};
use oxivirt_conf::domain::os::{Os, OsKind};
use oxivirt_conf::domain::{DomainDef, DomainError, Form, Origin};
use oxivirt_conf::{Metadata, ParseError};

use crate::driver::TestDriver;

/// The domain that `test:///default` begins with.
pub(crate) const DEFAULT: &str = "<domain type='test'><name>test</name>\
    <uuid>6695eb01-f6a4-8304-79aa-97f2502e193f</uuid><memory>8388608</memory>\
    <currentMemory>2097152</currentMemory><vcpu>2</vcpu><os><type>hvm</type></os><devices>\
    <disk type='file' device='disk'><source file='/guest/diskimage1'/>\
    <target dev='vda' bus='virtio'/>\
    <address type='pci' domain='0x0000' bus='0x01' slot='0x00' function='0x0'/></disk>\
    <interface type='network'><mac address='aa:bb:cc:dd:ee:ff'/><source network='default'/>\
    <target dev='testnet0'/>\
    <address type='pci' domain='0x0000' bus='0x00' slot='0x01' function='0x0'/></interface>\
    <memballoon model='virtio'>\
    <address type='pci' domain='0x0000' bus='0x00' slot='0x02' function='0x0'/></memballoon>\
    </devices></domain>";

/// Host numbers of guests' addresses begin here.
const FIRST_HOST: usize = 3;

/// Why a definition was stored: it is new, replaces another, or has a new name.
const ADDED: i32 = 0;
const UPDATED: i32 = 1;
const RENAMED: i32 = 2;
/// Why a definition is gone.
const REMOVED: i32 = 0;
const RENAMED_AWAY: i32 = 1;
/// Why a domain stopped.
const BY_GUEST: i32 = 0;
const DESTROYED: i32 = 1;

/// A domain.
#[derive(Debug, Clone)]
pub(crate) struct Domain {
    def: DomainDef,
    /// The definition of the next start, given while the domain runs.
    next: Option<DomainDef>,
    id: Option<u32>,
    status: DomainStatus,
    lifetime: Lifetime,
    autostart: Autostart,
}

/// Domains by UUID, and the number of the next start.
#[derive(Debug, Default)]
pub(crate) struct Domains {
    by_uuid: BTreeMap<Uuid, Domain>,
    last_id: u32,
}

impl Domain {
    fn new(def: DomainDef, lifetime: Lifetime) -> Self {
        let status = shutoff(ShutoffReason::Unspecified);
        Self { def, next: None, id: None, status, lifetime, autostart: Autostart::Disabled }
    }

    fn name(&self) -> &str {
        self.def.name.as_deref().unwrap_or_default()
    }

    fn reference(&self) -> DomainRef {
        DomainRef {
            name: self.name().to_owned(),
            uuid: self.def.uuid.unwrap_or_default(),
            id: self.id,
        }
    }

    fn is_active(&self) -> bool {
        self.id.is_some()
    }

    fn check_active(&self) -> Result<()> {
        if self.is_active() { Ok(()) } else { Err(inactive("domain is not running")) }
    }

    fn start(&mut self, id: u32) {
        self.id = Some(id);
        self.status = running(RunningReason::Booted);
    }

    /// The state after a stop; whether the domain is gone with it.
    fn stop(&mut self, reason: ShutoffReason) -> bool {
        self.id = None;
        self.status = shutoff(reason);
        if let Some(next) = self.next.take() {
            self.def = next;
        }
        self.lifetime == Lifetime::Transient
    }

    fn matches(&self, flags: DomainListFlags) -> bool {
        let (is_active, state) = (self.is_active(), self.status.state);
        let is_persistent = self.lifetime == Lifetime::Persistent;
        let is_autostarted = self.autostart == Autostart::Enabled;
        let is_other =
            ![DomainState::Running, DomainState::Paused, DomainState::Shutoff].contains(&state);
        // each group: its flags, and whether the domain has what they ask for
        let groups: [&[(DomainListFlags, bool)]; 7] = [
            &[(DomainListFlags::ACTIVE, is_active), (DomainListFlags::INACTIVE, !is_active)],
            &[
                (DomainListFlags::PERSISTENT, is_persistent),
                (DomainListFlags::TRANSIENT, !is_persistent),
            ],
            &[
                (DomainListFlags::RUNNING, state == DomainState::Running),
                (DomainListFlags::PAUSED, state == DomainState::Paused),
                (DomainListFlags::SHUTOFF, state == DomainState::Shutoff),
                (DomainListFlags::OTHER, is_other),
            ],
            &[(DomainListFlags::MANAGED_SAVE, false), (DomainListFlags::NO_MANAGED_SAVE, true)],
            &[
                (DomainListFlags::AUTOSTART, is_autostarted),
                (DomainListFlags::NO_AUTOSTART, !is_autostarted),
            ],
            &[(DomainListFlags::HAS_SNAPSHOT, false), (DomainListFlags::NO_SNAPSHOT, true)],
            &[(DomainListFlags::HAS_CHECKPOINT, false), (DomainListFlags::NO_CHECKPOINT, true)],
        ];
        groups.into_iter().all(|group| {
            let mut asked = group.iter().filter(|(flag, _)| flags.contains(*flag)).peekable();
            asked.peek().is_none() || asked.any(|(_, holds)| *holds)
        })
    }

    /// The definitions that `flags` choose: the running one, the stored one, or both.
    fn chosen(&mut self, flags: DomainAffectFlags) -> Result<Vec<&mut DomainDef>> {
        let wants_live = flags.contains(DomainAffectFlags::LIVE);
        let wants_config = flags.contains(DomainAffectFlags::CONFIG);
        if wants_live {
            self.check_active()?;
        }
        if wants_config && self.lifetime == Lifetime::Transient {
            return Err(inactive("transient domains do not have any persistent config"));
        }
        let is_active = self.is_active();
        let mut defs = Vec::new();
        if wants_config && is_active {
            defs.push(self.next.get_or_insert_with(|| self.def.clone()));
        }
        if wants_live || !wants_config || !is_active {
            defs.push(&mut self.def);
        }
        Ok(defs)
    }
}

impl Domains {
    /// The domains that `test:///default` begins with, all running.
    pub(crate) fn with_default() -> Self {
        let mut domains = Self::default();
        // the document is a constant; a test checks that it parses
        if let Ok(def) = parse(DEFAULT) {
            let id = domains.next_id();
            let mut domain = Domain::new(def, Lifetime::Persistent);
            domain.start(id);
            // it has run from the beginning
            domain.status = running(RunningReason::Unspecified);
            domains.by_uuid.insert(domain.reference().uuid, domain);
        }
        domains
    }

    fn next_id(&mut self) -> u32 {
        self.last_id = self.last_id.wrapping_add(1);
        self.last_id
    }

    fn get(&mut self, domain: &DomainRef) -> Result<&mut Domain> {
        let DomainRef { name, uuid, .. } = domain;
        self.by_uuid.get_mut(uuid).ok_or_else(|| {
            let detail = format!("no domain with matching uuid '{uuid}' ({name})");
            Error::new(ErrorCode::NO_DOMAIN, ErrorDomain::TEST, detail)
        })
    }

    /// The domain that has the name and the UUID of a definition.
    ///
    /// # Errors
    /// [`ErrorCode::OPERATION_FAILED`] if another domain has one of them.
    fn identify(&mut self, def: &DomainDef) -> Result<Option<&mut Domain>> {
        let clash =
            |detail| Err(Error::new(ErrorCode::OPERATION_FAILED, ErrorDomain::DOMAIN, detail));
        let uuid = def.uuid.unwrap_or_default();
        let name = def.name.as_deref().unwrap_or_default();
        if let Some(other) = self.by_uuid.values().find(|other| other.name() == name) {
            let found = other.reference().uuid;
            if found != uuid {
                return clash(format!("domain '{name}' already exists with uuid {found}"));
            }
        }
        match self.by_uuid.get_mut(&uuid) {
            Some(found) if found.name() != name => {
                let name = found.name();
                clash(format!("domain '{name}' is already defined with uuid {uuid}"))
            }
            found => Ok(found),
        }
    }
}

fn running(reason: RunningReason) -> DomainStatus {
    DomainStatus { state: DomainState::Running, reason: reason.number() }
}

fn shutoff(reason: ShutoffReason) -> DomainStatus {
    DomainStatus { state: DomainState::Shutoff, reason: reason.number() }
}

fn inactive(detail: &str) -> Error {
    Error::new(ErrorCode::OPERATION_INVALID, ErrorDomain::DOMAIN, detail)
}

fn internal(detail: impl Into<String>) -> Error {
    Error::new(ErrorCode::INTERNAL_ERROR, ErrorDomain::TEST, detail)
}

fn no_domain() -> Error {
    Error::bare(ErrorCode::NO_DOMAIN, ErrorDomain::TEST)
}

/// Refuses bits outside `supported` in the name of `function`.
fn check_flags(bits: u32, supported: u32, function: &str) -> Result<()> {
    match bits & !supported {
        0 => Ok(()),
        unknown => Err(Error::unsupported_flags(ErrorDomain::TEST, unknown, function)),
    }
}

/// Reads a definition and fills in what the driver does.
fn parse(xml: &str) -> Result<DomainDef> {
    let refused = |error: DomainError| Error::classified(&ParseError::from(error));
    let mut def = DomainDef::parse(xml).map_err(|error| Error::classified(&error))?;
    def.complete_common(Origin::New).map_err(refused)?;
    def.validate_common().map_err(refused)?;
    def.forget_runtime();
    def.uuid.get_or_insert_with(Uuid::new_v4);
    let kind = def.os.get_or_insert_with(Os::default).kind.get_or_insert_with(OsKind::default);
    kind.arch.get_or_insert_with(|| "i686".to_owned());
    Ok(def)
}

impl TestDriver {
    fn with_domain<T>(
        &self,
        domain: &DomainRef,
        work: impl FnOnce(&mut Domain) -> Result<T>,
    ) -> Result<T> {
        work(self.state().domains().get(domain)?)
    }

    fn emit_domain(&self, domain: &DomainRef, event: DomainLifecycleEvent, detail: i32) {
        let domain = domain.clone();
        self.state().domain_callbacks.emit(&DomainEvent::Lifecycle { domain, event, detail });
    }

    /// Stops a running domain; a transient one is gone with it.
    fn stop(
        &self,
        domain: &DomainRef,
        reason: ShutoffReason,
        detail: i32,
        check: impl FnOnce(&Domain) -> Result<()>,
    ) -> Result<()> {
        let stopped = {
            let mut domains = self.state().domains();
            let found = domains.get(domain)?;
            check(found)?;
            let is_gone = found.stop(reason);
            let reference = found.reference();
            if is_gone {
                domains.by_uuid.remove(&reference.uuid);
            }
            reference
        };
        self.emit_domain(&stopped, DomainLifecycleEvent::Stopped, detail);
        Ok(())
    }
}

#[async_trait]
impl DomainDriver for TestDriver {
    async fn list_all_domains(&self, flags: DomainListFlags) -> Result<Vec<DomainRef>> {
        check_flags(flags.bits(), 0xffff, "testConnectListAllDomains")?;
        let domains = self.state().domains();
        let matching = domains.by_uuid.values().filter(|domain| domain.matches(flags));
        Ok(matching.map(Domain::reference).collect())
    }

    async fn domain_lookup_by_id(&self, id: u32) -> Result<DomainRef> {
        let domains = self.state().domains();
        let found = domains.by_uuid.values().find(|domain| domain.id == Some(id));
        found.map(Domain::reference).ok_or_else(no_domain)
    }

    async fn domain_lookup_by_name(&self, name: &str) -> Result<DomainRef> {
        let domains = self.state().domains();
        let found = domains.by_uuid.values().find(|domain| domain.name() == name);
        found.map(Domain::reference).ok_or_else(no_domain)
    }

    async fn domain_lookup_by_uuid(&self, uuid: Uuid) -> Result<DomainRef> {
        let domains = self.state().domains();
        domains.by_uuid.get(&uuid).map(Domain::reference).ok_or_else(no_domain)
    }

    fn domain_identity(&self, xml: &str) -> Result<DomainIdentity> {
        let def = DomainDef::parse(xml).map_err(|error| Error::classified(&error))?;
        Ok(DomainIdentity { name: def.name.unwrap_or_default(), uuid: def.uuid })
    }

    async fn domain_define_xml(&self, xml: &str, flags: DomainDefineFlags) -> Result<DomainRef> {
        let supported = DomainDefineFlags::VALIDATE.bits();
        check_flags(flags.bits(), supported, "testDomainDefineXMLFlags")?;
        let def = parse(xml)?;
        let (domain, detail) = {
            let mut domains = self.state().domains();
            match domains.identify(&def)? {
                Some(domain) => {
                    domain.lifetime = Lifetime::Persistent;
                    if domain.is_active() {
                        domain.next = Some(def);
                    } else {
                        domain.def = def;
                    }
                    (domain.reference(), UPDATED)
                }
                None => {
                    let domain = Domain::new(def, Lifetime::Persistent);
                    let reference = domain.reference();
                    domains.by_uuid.insert(reference.uuid, domain);
                    (reference, ADDED)
                }
            }
        };
        self.emit_domain(&domain, DomainLifecycleEvent::Defined, detail);
        Ok(domain)
    }

    async fn domain_create_xml(&self, xml: &str, flags: DomainCreateFlags) -> Result<DomainRef> {
        let supported = DomainCreateFlags::VALIDATE.bits();
        check_flags(flags.bits(), supported, "testDomainCreateXML")?;
        let def = parse(xml)?;
        let domain = {
            let mut domains = self.state().domains();
            let id = domains.next_id();
            match domains.identify(&def)? {
                Some(domain) if domain.is_active() => {
                    let name = domain.name();
                    return Err(inactive(&format!("domain '{name}' is already active")));
                }
                Some(domain) => {
                    let stored = std::mem::replace(&mut domain.def, def);
                    domain.next = Some(stored);
                    domain.start(id);
                    domain.reference()
                }
                None => {
                    let mut domain = Domain::new(def, Lifetime::Transient);
                    domain.start(id);
                    let reference = domain.reference();
                    domains.by_uuid.insert(reference.uuid, domain);
                    reference
                }
            }
        };
        self.emit_domain(&domain, DomainLifecycleEvent::Started, 0);
        Ok(domain)
    }

    async fn domain_create(
        &self,
        domain: &DomainRef,
        flags: DomainCreateFlags,
    ) -> Result<DomainRef> {
        check_flags(flags.bits(), 0, "testDomainCreateWithFlags")?;
        let domain = {
            let mut domains = self.state().domains();
            let found = domains.get(domain)?;
            if found.status.state != DomainState::Shutoff {
                let name = found.name();
                return Err(internal(format!("Domain '{name}' is already running")));
            }
            let id = domains.next_id();
            let found = domains.get(domain)?;
            found.start(id);
            found.reference()
        };
        self.emit_domain(&domain, DomainLifecycleEvent::Started, 0);
        Ok(domain)
    }

    async fn domain_destroy(&self, domain: &DomainRef, flags: DomainDestroyFlags) -> Result<()> {
        let supported = DomainDestroyFlags::GRACEFUL.bits();
        check_flags(flags.bits(), supported, "testDomainDestroyFlags")?;
        self.stop(domain, ShutoffReason::Destroyed, DESTROYED, Domain::check_active)
    }

    async fn domain_shutdown(&self, domain: &DomainRef, flags: DomainShutdownFlags) -> Result<()> {
        check_flags(flags.bits(), 0, "testDomainShutdownFlags")?;
        self.stop(domain, ShutoffReason::Shutdown, BY_GUEST, |found| {
            if found.is_active() {
                return Ok(());
            }
            Err(internal(format!("domain '{}' not running", found.name())))
        })
    }

    async fn domain_reboot(&self, domain: &DomainRef, flags: DomainShutdownFlags) -> Result<()> {
        let supported = DomainShutdownFlags::ACPI_POWER_BUTTON | DomainShutdownFlags::GUEST_AGENT;
        check_flags(flags.bits(), supported.bits(), "testDomainReboot")?;
        self.with_domain(domain, |found| found.check_active())
    }

    async fn domain_reset(&self, domain: &DomainRef, flags: u32) -> Result<()> {
        check_flags(flags, 0, "testDomainReset")?;
        self.with_domain(domain, |found| found.check_active())
    }

    async fn domain_suspend(&self, domain: &DomainRef) -> Result<()> {
        let domain = self.with_domain(domain, |found| {
            if !found.is_active() || found.status.state == DomainState::Paused {
                return Err(internal(format!("domain '{}' not running", found.name())));
            }
            let reason = PausedReason::User.number();
            found.status = DomainStatus { state: DomainState::Paused, reason };
            Ok(found.reference())
        })?;
        self.emit_domain(&domain, DomainLifecycleEvent::Suspended, 0);
        Ok(())
    }

    async fn domain_resume(&self, domain: &DomainRef) -> Result<()> {
        let domain = self.with_domain(domain, |found| {
            if found.status.state != DomainState::Paused {
                return Err(internal(format!("domain '{}' not paused", found.name())));
            }
            found.status = running(RunningReason::Unpaused);
            Ok(found.reference())
        })?;
        self.emit_domain(&domain, DomainLifecycleEvent::Resumed, 0);
        Ok(())
    }

    async fn domain_undefine(&self, domain: &DomainRef, flags: DomainUndefineFlags) -> Result<()> {
        let supported = DomainUndefineFlags::MANAGED_SAVE
            | DomainUndefineFlags::SNAPSHOTS_METADATA
            | DomainUndefineFlags::CHECKPOINTS_METADATA;
        check_flags(flags.bits(), supported.bits(), "testDomainUndefineFlags")?;
        let domain = {
            let mut domains = self.state().domains();
            let found = domains.get(domain)?;
            let reference = found.reference();
            found.lifetime = Lifetime::Transient;
            if !found.is_active() {
                domains.by_uuid.remove(&reference.uuid);
            }
            reference
        };
        self.emit_domain(&domain, DomainLifecycleEvent::Undefined, REMOVED);
        Ok(())
    }

    async fn domain_xml_desc(&self, domain: &DomainRef, flags: DomainXmlFlags) -> Result<String> {
        let supported =
            DomainXmlFlags::SECURE | DomainXmlFlags::INACTIVE | DomainXmlFlags::MIGRATABLE;
        check_flags(flags.bits(), supported.bits(), "testDomainGetXMLDesc")?;
        self.with_domain(domain, |found| {
            if flags.contains(DomainXmlFlags::INACTIVE) || !found.is_active() {
                return Ok(found.next.as_ref().unwrap_or(&found.def).format(Form::Inactive));
            }
            let mut def = found.def.clone();
            def.id = found.id.and_then(|id| i32::try_from(id).ok());
            Ok(def.format(Form::Live))
        })
    }

    async fn domain_state(&self, domain: &DomainRef, flags: u32) -> Result<DomainStatus> {
        check_flags(flags, 0, "testDomainGetState")?;
        self.with_domain(domain, |found| Ok(found.status))
    }

    async fn domain_info(&self, domain: &DomainRef) -> Result<DomainInfo> {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        self.with_domain(domain, |found| {
            let def = &found.def;
            let max_memory_kib = def.memory.as_ref().map_or(0, |memory| memory.size.kib());
            Ok(DomainInfo {
                state: found.status.state,
                max_memory_kib,
                memory_kib: def.current_memory.map_or(max_memory_kib, |size| size.kib()),
                n_vcpus: u16::try_from(n_vcpus(def)).unwrap_or(u16::MAX),
                // the time of day: libvirt's clients see that something goes on
                cpu_time_ns: u64::try_from(now.as_nanos()).unwrap_or(u64::MAX),
            })
        })
    }

    async fn domain_os_type(&self, domain: &DomainRef) -> Result<String> {
        self.with_domain(domain, |_| Ok("linux".to_owned()))
    }

    async fn domain_max_memory(&self, domain: &DomainRef) -> Result<u64> {
        Ok(self.domain_info(domain).await?.max_memory_kib)
    }

    async fn domain_max_vcpus(&self, domain: &DomainRef) -> Result<u32> {
        self.with_domain(domain, |found| Ok(n_vcpus(&found.def)))
    }

    async fn domain_security_label(&self, domain: &DomainRef) -> Result<SecurityLabel> {
        self.with_domain(domain, |found| {
            if !found.is_active() {
                return Ok(SecurityLabel::default());
            }
            Ok(SecurityLabel { label: "libvirt-test".to_owned(), is_enforcing: true })
        })
    }

    async fn domain_autostart(&self, domain: &DomainRef) -> Result<Autostart> {
        self.with_domain(domain, |found| Ok(found.autostart))
    }

    async fn domain_set_autostart(&self, domain: &DomainRef, autostart: Autostart) -> Result<()> {
        self.with_domain(domain, |found| {
            found.autostart = autostart;
            Ok(())
        })
    }

    async fn domain_is_active(&self, domain: &DomainRef) -> Result<bool> {
        self.with_domain(domain, |found| Ok(found.is_active()))
    }

    async fn domain_is_persistent(&self, domain: &DomainRef) -> Result<bool> {
        self.with_domain(domain, |found| Ok(found.lifetime == Lifetime::Persistent))
    }

    async fn domain_is_updated(&self, domain: &DomainRef) -> Result<bool> {
        self.with_domain(domain, |_| Ok(false))
    }

    async fn domain_rename(&self, domain: &DomainRef, name: &str, flags: u32) -> Result<()> {
        check_flags(flags, 0, "testDomainRename")?;
        let (before, after) = {
            let mut domains = self.state().domains();
            let found = domains.get(domain)?;
            if found.is_active() {
                return Err(inactive("cannot rename active domain"));
            }
            if domains.by_uuid.values().any(|other| other.name() == name) {
                return Err(inactive(&format!("domain with name '{name}' already exists")));
            }
            let found = domains.get(domain)?;
            let before = found.reference();
            found.def.name = Some(name.to_owned());
            (before, found.reference())
        };
        self.emit_domain(&before, DomainLifecycleEvent::Undefined, RENAMED_AWAY);
        self.emit_domain(&after, DomainLifecycleEvent::Defined, RENAMED);
        Ok(())
    }

    async fn domain_metadata(
        &self,
        domain: &DomainRef,
        kind: MetadataType,
        uri: Option<&str>,
        flags: DomainAffectFlags,
    ) -> Result<String> {
        self.with_domain(domain, |found| {
            let mut copy = found.clone();
            let def = copy.chosen(flags)?.into_iter().next();
            let value = def.and_then(|def| match kind {
                MetadataType::Description => def.description.clone(),
                MetadataType::Title => def.title.clone(),
                _ => def.metadata.as_ref()?.get(uri.unwrap_or_default()),
            });
            value.ok_or_else(|| {
                let detail = "Requested metadata element is not present";
                Error::new(ErrorCode::NO_DOMAIN_METADATA, ErrorDomain::DOMAIN, detail)
            })
        })
    }

    async fn domain_set_metadata(
        &self,
        domain: &DomainRef,
        change: &DomainMetadataChange,
    ) -> Result<()> {
        let domain = self.with_domain(domain, |found| {
            // all before any: a refusal changes nothing
            let mut copy = found.clone();
            for def in copy.chosen(change.flags)? {
                let text = || change.metadata.clone().filter(|text| !text.is_empty());
                match change.kind {
                    MetadataType::Description => def.description = text(),
                    MetadataType::Title => def.title = text(),
                    _ => {
                        let set = Metadata::set(
                            def.metadata.as_ref(),
                            change.key.as_deref().unwrap_or_default(),
                            change.uri.as_deref().unwrap_or_default(),
                            change.metadata.as_deref(),
                        );
                        def.metadata = set.map_err(|error| Error::classified(&error))?;
                    }
                }
            }
            *found = copy;
            Ok(found.reference())
        })?;
        let (kind, uri) = (change.kind, change.uri.clone());
        self.state().domain_callbacks.emit(&DomainEvent::MetadataChange { domain, kind, uri });
        Ok(())
    }

    async fn domain_interface_addresses(
        &self,
        domain: &DomainRef,
        _: AddressSource,
        flags: u32,
    ) -> Result<Vec<DomainInterface>> {
        check_flags(flags, 0, "testDomainInterfaceAddresses")?;
        self.with_domain(domain, |found| {
            found.check_active()?;
            let devices = found.def.devices.as_ref();
            let interfaces = devices.map_or(&[][..], |devices| &devices.interfaces);
            let addressed = interfaces.iter().enumerate().map(|(at, interface)| {
                let target = interface.target.as_ref().and_then(|target| target.dev.clone());
                DomainInterface {
                    name: target.unwrap_or_default(),
                    mac: interface
                        .mac
                        .as_ref()
                        .and_then(|mac| mac.address)
                        .map(|mac| mac.to_string()),
                    addresses: vec![InterfaceAddress {
                        addr_type: IpAddrType::Ipv4,
                        address: format!("192.168.122.{}", FIRST_HOST + at),
                        prefix: 24,
                    }],
                }
            });
            Ok(addressed.collect())
        })
    }

    async fn domain_event_register(
        &self,
        domain: Option<&DomainRef>,
        id: DomainEventId,
        callback: DomainEventCallback,
    ) -> Result<CallbackId> {
        let object = domain.map(|domain| domain.uuid);
        Ok(self.state().domain_callbacks.register(object, id, callback))
    }

    async fn domain_event_deregister(&self, id: CallbackId) -> Result<()> {
        if self.state().domain_callbacks.deregister(id) {
            return Ok(());
        }
        let detail = format!("could not find event callback {} for deletion", id.0);
        Err(Error::new(ErrorCode::INVALID_ARG, ErrorDomain::NONE, detail))
    }
}

fn n_vcpus(def: &DomainDef) -> u32 {
    let vcpu = def.vcpu.as_ref();
    vcpu.and_then(|vcpu| vcpu.current.or(vcpu.count)).unwrap_or(1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::state::State;
    use std::sync::{Arc, Mutex};

    fn driver() -> TestDriver {
        TestDriver::new("test:///default", Arc::new(State::with_default()))
    }

    const SMALL: &str = "<domain type='test'><name>a</name><memory>1024</memory><vcpu>1</vcpu>\
                         <os><type>hvm</type></os></domain>";

    #[track_caller]
    fn check<T: std::fmt::Debug>(result: Result<T>, code: i32, domain: i32, message: &str) {
        let error = result.unwrap_err();
        let found = (error.code().0, error.domain().0, error.message());
        assert_eq!(found, (code, domain, message));
    }

    #[tokio::test]
    async fn the_default_domain_is_libvirts() {
        let driver = driver();
        let all = driver.list_all_domains(DomainListFlags::ACTIVE).await.unwrap();
        let [test] = all.as_slice() else { panic!("{all:?}") };
        assert_eq!((test.name.as_str(), test.id), ("test", Some(1)));
        let info = driver.domain_info(test).await.unwrap();
        let figures = (info.max_memory_kib, info.memory_kib, info.n_vcpus);
        assert_eq!(figures, (8_388_608, 2_097_152, 2));
        let xml = driver.domain_xml_desc(test, DomainXmlFlags::empty()).await.unwrap();
        // printed by libvirt's test driver
        assert_eq!(xml, include_str!("../data/test.xml"));
    }

    #[tokio::test]
    async fn events_are_those_of_libvirt() {
        let driver = driver();
        let seen = Arc::new(Mutex::new(Vec::new()));
        let to = Arc::clone(&seen);
        let callback = Box::new(move |event: &DomainEvent| {
            let DomainEvent::Lifecycle { domain, event, detail } = event else { return };
            to.lock().unwrap().push((domain.name.clone(), domain.id, event.number(), *detail));
        });
        driver.domain_event_register(None, DomainEventId::Lifecycle, callback).await.unwrap();
        let test = driver.domain_lookup_by_name("test").await.unwrap();
        driver.domain_reboot(&test, DomainShutdownFlags::empty()).await.unwrap();
        driver.domain_suspend(&test).await.unwrap();
        driver.domain_resume(&test).await.unwrap();
        driver.domain_shutdown(&test, DomainShutdownFlags::empty()).await.unwrap();
        driver.domain_create(&test, DomainCreateFlags::empty()).await.unwrap();
        driver.domain_destroy(&test, DomainDestroyFlags::empty()).await.unwrap();
        let define = DomainDefineFlags::empty();
        let a = driver.domain_define_xml(SMALL, define).await.unwrap();
        let xml = driver.domain_xml_desc(&a, DomainXmlFlags::empty()).await.unwrap();
        driver.domain_define_xml(&xml, define).await.unwrap();
        driver.domain_rename(&a, "b", 0).await.unwrap();
        driver.domain_create(&a, DomainCreateFlags::empty()).await.unwrap();
        driver.domain_undefine(&a, DomainUndefineFlags::empty()).await.unwrap();
        driver.domain_destroy(&a, DomainDestroyFlags::empty()).await.unwrap();
        let seen = seen.lock().unwrap();
        let seen: Vec<_> =
            seen.iter().map(|(name, id, e, d)| (name.as_str(), *id, *e, *d)).collect();
        // recorded from libvirt's test driver
        let expect = [
            ("test", Some(1), 3, 0),
            ("test", Some(1), 4, 0),
            ("test", None, 5, 0),
            ("test", Some(2), 2, 0),
            ("test", None, 5, 1),
            ("a", None, 0, 0),
            ("a", None, 0, 1),
            ("a", None, 1, 1),
            ("b", None, 0, 2),
            ("b", Some(3), 2, 0),
            ("b", Some(3), 1, 0),
            ("b", None, 5, 1),
        ];
        assert_eq!(seen, expect);
    }

    #[tokio::test]
    async fn refusals_are_those_of_libvirt() {
        let driver = driver();
        let test = driver.domain_lookup_by_name("test").await.unwrap();
        check(driver.domain_lookup_by_name("q").await, 42, 12, "Domain not found");
        let again = driver.domain_create(&test, DomainCreateFlags::empty()).await;
        check(again, 1, 12, "internal error: Domain 'test' is already running");
        check(driver.domain_resume(&test).await, 1, 12, "internal error: domain 'test' not paused");
        let paused = driver.domain_create(&test, DomainCreateFlags::PAUSED).await;
        check(paused, 8, 12, "unsupported flags (0x1) in function testDomainCreateWithFlags");
        let invalid = "Requested operation is not valid: ";
        let renamed = driver.domain_rename(&test, "y", 0).await;
        check(renamed, 55, 20, &format!("{invalid}cannot rename active domain"));
        let flags = DomainAffectFlags::empty();
        let title = driver.domain_metadata(&test, MetadataType::Title, None, flags).await;
        let missing = "metadata not found: Requested metadata element is not present";
        check(title, 80, 20, missing);
        let a = driver.domain_create_xml(SMALL, DomainCreateFlags::empty()).await.unwrap();
        let xml = driver.domain_xml_desc(&a, DomainXmlFlags::empty()).await.unwrap();
        let again = driver.domain_create_xml(&xml, DomainCreateFlags::empty()).await;
        check(again, 55, 20, &format!("{invalid}domain 'a' is already active"));
        let other = driver.domain_define_xml(SMALL, DomainDefineFlags::empty()).await;
        let taken = format!("operation failed: domain 'a' already exists with uuid {}", a.uuid);
        check(other, 9, 20, &taken);
        driver.domain_destroy(&a, DomainDestroyFlags::empty()).await.unwrap();
        let uuid = a.uuid;
        let gone = format!("Domain not found: no domain with matching uuid '{uuid}' (a)");
        check(driver.domain_info(&a).await, 42, 12, &gone);
    }

    #[tokio::test]
    async fn groups_of_flags_filter_together() {
        let driver = driver();
        let a = driver.domain_define_xml(SMALL, DomainDefineFlags::empty()).await.unwrap();
        let names = async |flags| {
            let all = driver.list_all_domains(flags).await.unwrap();
            let mut names: Vec<_> = all.into_iter().map(|domain| domain.name).collect();
            names.sort();
            names.join(" ")
        };
        assert_eq!(names(DomainListFlags::empty()).await, "a test");
        assert_eq!(names(DomainListFlags::INACTIVE).await, "a");
        assert_eq!(names(DomainListFlags::ACTIVE | DomainListFlags::INACTIVE).await, "a test");
        assert_eq!(names(DomainListFlags::ACTIVE | DomainListFlags::AUTOSTART).await, "");
        driver.domain_set_autostart(&a, Autostart::Enabled).await.unwrap();
        assert_eq!(names(DomainListFlags::AUTOSTART | DomainListFlags::SHUTOFF).await, "a");
        assert_eq!(names(DomainListFlags::HAS_SNAPSHOT).await, "");
    }

    #[tokio::test]
    async fn a_definition_given_while_it_runs_is_that_of_the_next_start() {
        let driver = driver();
        let test = driver.domain_lookup_by_name("test").await.unwrap();
        let changed = DEFAULT.replace("<vcpu>2</vcpu>", "<vcpu>4</vcpu>");
        driver.domain_define_xml(&changed, DomainDefineFlags::empty()).await.unwrap();
        assert_eq!(driver.domain_info(&test).await.unwrap().n_vcpus, 2);
        let stored = driver.domain_xml_desc(&test, DomainXmlFlags::INACTIVE).await.unwrap();
        assert!(stored.contains(">4</vcpu>"), "{stored}");
        driver.domain_destroy(&test, DomainDestroyFlags::empty()).await.unwrap();
        assert_eq!(driver.domain_info(&test).await.unwrap().n_vcpus, 4);
    }
}
