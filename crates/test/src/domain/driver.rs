//! The calls about domains.

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
use oxivirt_conf::Metadata;
use oxivirt_conf::domain::{DomainDef, Form};

use super::{
    ADDED, BY_GUEST, DESTROYED, Domain, FIRST_HOST, REMOVED, RENAMED, RENAMED_AWAY, UPDATED,
    inactive, internal, no_domain, parse, running,
};
use crate::check_flags;
use crate::driver::TestDriver;

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
