//! Domains in memory.
//!
//! Behaves as libvirt's test driver: nothing runs, states and definitions change as if something did.
//!
//! libvirt 11.3.0: `testDomainCreateXML` and its like, src/test/test_driver.c

mod driver;

use oxivirt::{
    Autostart, DomainAffectFlags, DomainEvent, DomainLifecycleEvent, DomainListFlags, DomainRef,
    DomainState, DomainStatus, Error, ErrorCode, ErrorDomain, Lifetime, Result, RunningReason,
    ShutoffReason, Uuid,
};
use oxivirt_conf::ParseError;
use oxivirt_conf::domain::device::interface::Interface;
use oxivirt_conf::domain::os::{Os, OsKind};
use oxivirt_conf::domain::{DomainDef, DomainError, Origin};
use std::collections::BTreeMap;

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
    name_links(&mut def);
    Ok(def)
}

/// Gives the interfaces without a name on the host the first free ones.
///
/// libvirt 11.3.0: `testDomainGenerateIfnames`, src/test/test_driver.c
fn name_links(def: &mut DomainDef) {
    let Some(devices) = &mut def.devices else { return };
    let name = |interface: &Interface| interface.target.as_ref().and_then(|it| it.dev.clone());
    let taken: Vec<String> = devices.interfaces.iter().filter_map(name).collect();
    let mut free = (0_u32..).map(|at| format!("testnet{at}")).filter(|name| !taken.contains(name));
    for interface in &mut devices.interfaces {
        let dev = &mut interface.target.get_or_insert_default().dev;
        if dev.is_none() {
            *dev = free.next();
        }
    }
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

#[cfg(test)]
mod tests;
