//! The driver: the calls of the API, a short method each.
//!
//! Every call that changes something runs as a task of its own: a caller that goes away does not leave it
//! half done.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::path::PathBuf;
use std::sync::atomic::AtomicU32;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use oxivirt::{
    Autostart, CallbackId, Callbacks, Connection, DomainAgentDriver, DomainDeviceDriver,
    DomainDriver, DomainEventCallback, DomainIdentity, DomainInfo, DomainInterface,
    DomainMetadataChange, DomainPlan, DomainRef, DomainStatsDriver, DomainStatus, DomainStream,
    DomainTuningDriver, Error, ErrorCode, ErrorDomain, HostDriver, MetadataType, NetworkDriver,
    PlanVerb, Result, SecurityLabel, Version,
};
use oxivirt_conf::domain::{DomainDef, Form};
use oxivirt_engine::hooks::Hooks;
use oxivirt_engine::{Journal, lock};
use oxivirt_sys::pidfile::PidFile;
use oxivirt_types::domain::{
    AddressSource, ConsoleFlags, DomainAffectFlags, DomainCreateFlags, DomainDefineFlags,
    DomainDestroyFlags, DomainEventId, DomainListFlags, DomainShutdownFlags, DomainUndefineFlags,
    DomainXmlFlags,
};
use tokio::task::AbortHandle;
use uuid::Uuid;

use crate::apply::Host;
use crate::config::Config;
use crate::console::Consoles;
use crate::emulators::Emulators;
use crate::error;
use crate::guest::Secrets;
use crate::host;
use crate::layout::Layout;
use crate::plan::start::Activity;
use crate::process::{self, Force};
use crate::registry::{Entry, Guests};
use crate::replug;
use crate::shared::Shared;
use crate::status;
use crate::store;

/// A hook script that takes longer is killed and counts as failed.
const HOOK: Duration = Duration::from_secs(120);

/// How a driver is opened.
#[derive(Debug, Clone)]
pub struct Options {
    /// Where files are.
    pub layout: Layout,
    /// What the driver says its URI is.
    pub uri: String,
    /// The emulators of the host.
    pub emulators: Arc<dyn Emulators>,
    /// The program that becomes an emulator, `oxivirt_launch`.
    pub launcher: PathBuf,
    /// The networks that guests are connected to; without them a guest on a network does not start.
    pub networks: Option<Arc<dyn NetworkDriver>>,
    /// The driver's environment, of which guests and scripts get a part.
    pub environment: BTreeMap<OsString, OsString>,
    /// Whether guests are started that start with the host.
    pub autostart: StartWithHost,
}

/// Whether opening a driver starts the guests that start with the host.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StartWithHost {
    /// At the first opening after the host has started.
    Once,
    /// Not at all.
    Never,
}

/// The driver of a host's QEMU guests.
#[derive(Debug)]
pub struct Driver {
    pub(crate) shared: Arc<Shared>,
    /// The task that plugs guests in again.
    plugger: Option<AbortHandle>,
}

impl Driver {
    /// Opens the driver of the directories in `options`: finishes what a driver before it was interrupted in,
    /// takes over what runs, starts what starts with the host. Guests that run and do not answer keep it from
    /// nothing.
    ///
    /// Must be called in a tokio runtime.
    ///
    /// # Errors
    /// Number 38 if another driver has the directories, or they cannot be used.
    pub async fn open(options: Options) -> Result<Self> {
        let Options { layout, uri, emulators, launcher, networks, environment, autostart } =
            options;
        store::prepare(&layout).map_err(|error| error::store(&error))?;
        let lock =
            PidFile::acquire(&layout.driver_pid()).map_err(|error| error::pid_file(&error))?;
        let config = Config::load(&layout)?;
        store::give_directories(&layout, config.credentials.as_ref());
        store::remove_stale_tempfiles(&layout);
        let variable = |name: &str| environment.get(OsStr::new(name)).cloned();
        let hooks = Hooks::find(layout.hooks_dir(), "qemu", variable, HOOK);
        let host = Host::open(launcher, networks, config.is_privileged);
        let host = host.map_err(|error| error::host(&error))?;
        let node = host::Host::new(host::HostOptions {
            root: PathBuf::from("/"),
            emulators: Arc::clone(&emulators),
            dac: config.credentials.as_ref().map(|user| (user.uid, user.gid)),
        });
        let shared = Arc::new(Shared {
            uri,
            config,
            environment,
            emulators,
            host,
            node,
            journal: Journal::at(layout.journal_dir()),
            hooks,
            last_id: AtomicU32::new(0),
            tap: AtomicU32::new(0),
            ports: Mutex::default(),
            consoles: Consoles::default(),
            layout,
            guests: Guests::default(),
            callbacks: Callbacks::new(),
            _lock: lock,
        });
        shared.recover().await;
        shared.load_statuses();
        shared.load_configs().await;
        let reconnecting = shared.reconnect_all().await;
        let plugger = replug::spawn(&shared).await;
        if autostart == StartWithHost::Once {
            let shared = Arc::clone(&shared);
            drop(tokio::spawn(async move {
                drop(futures::future::join_all(reconnecting).await);
                shared.start_with_host().await;
            }));
        }
        Ok(Self { shared, plugger })
    }

    /// Looks at the disk again: new definitions appear.
    ///
    /// # Errors
    /// Only if the task ends unexpectedly; what is wrong with one guest is logged.
    pub async fn reload(&self) -> Result<()> {
        let shared = Arc::clone(&self.shared);
        self.detached(async move {
            shared.load_configs().await;
            Ok(())
        })
        .await
    }

    /// What an operation on a guest works on.
    pub(crate) fn both(&self, domain: &DomainRef) -> Result<(Arc<Shared>, Arc<Entry>)> {
        Ok((Arc::clone(&self.shared), self.shared.entry(domain)?))
    }

    /// Runs an operation as a task of its own.
    pub(crate) async fn detached<T: Send + 'static>(
        &self,
        operation: impl Future<Output = Result<T>> + Send + 'static,
    ) -> Result<T> {
        tokio::spawn(lock::checked(operation)).await.unwrap_or_else(|failure| {
            let detail = format!("the operation ended unexpectedly: {failure}");
            Err(Error::new(ErrorCode::INTERNAL_ERROR, ErrorDomain::QEMU, detail))
        })
    }
}

impl Drop for Driver {
    /// Guests go on; the next driver takes them over.
    fn drop(&mut self) {
        if let Some(task) = &self.plugger {
            task.abort();
        }
        for entry in self.shared.guests.all() {
            if let Some(running) = &entry.view().running {
                running.live.leave();
            }
        }
    }
}

#[async_trait]
impl Connection for Driver {
    async fn uri(&self) -> Result<String> {
        Ok(self.shared.uri.clone())
    }

    async fn driver_type(&self) -> Result<String> {
        Ok("QEMU".to_owned())
    }

    /// That of the emulator for the host's own architecture.
    async fn hypervisor_version(&self) -> Result<Version> {
        let emulators = &self.shared.emulators;
        let program = emulators.program(std::env::consts::ARCH).ok_or_else(|| {
            let detail = "no suitable emulator for the host's architecture";
            Error::new(ErrorCode::INTERNAL_ERROR, ErrorDomain::QEMU, detail)
        })?;
        let number = emulators.capabilities(&program).await?.version;
        Ok(Version::from_number(u64::from(number)))
    }

    async fn hostname(&self) -> Result<String> {
        Ok(rustix::system::uname().nodename().to_string_lossy().into_owned())
    }

    fn host(&self) -> Option<&dyn HostDriver> {
        Some(&self.shared.node)
    }

    fn domains(&self) -> Option<&dyn DomainDriver> {
        Some(self)
    }
}

#[async_trait]
impl DomainDriver for Driver {
    fn devices(&self) -> Option<&dyn DomainDeviceDriver> {
        Some(self)
    }

    fn tuning(&self) -> Option<&dyn DomainTuningDriver> {
        Some(self)
    }

    fn agent(&self) -> Option<&dyn DomainAgentDriver> {
        Some(self)
    }

    fn statistics(&self) -> Option<&dyn DomainStatsDriver> {
        Some(self)
    }

    async fn list_all_domains(&self, flags: DomainListFlags) -> Result<Vec<DomainRef>> {
        let known = DomainListFlags::from_bits_retain((1 << 16) - 1);
        check_flags(flags.bits(), known.bits(), "qemuConnectListAllDomains")?;
        let layout = &self.shared.layout;
        let views = self.shared.guests.all().into_iter().map(|entry| entry.view());
        let found = views.filter(|view| view.matches(flags, |name| store::extras(layout, name)));
        Ok(found.map(|view| view.reference()).collect())
    }

    async fn domain_lookup_by_id(&self, id: u32) -> Result<DomainRef> {
        let references = self.shared.guests.all().into_iter().map(|entry| entry.view().reference());
        references
            .into_iter()
            .find(|domain| domain.id == Some(id))
            .ok_or_else(|| error::no_domain(format!("no domain with matching id {id}")))
    }

    async fn domain_lookup_by_name(&self, name: &str) -> Result<DomainRef> {
        let entry = self.shared.guests.by_name(name);
        let entry = entry
            .ok_or_else(|| error::no_domain(format!("no domain with matching name '{name}'")))?;
        Ok(entry.view().reference())
    }

    async fn domain_lookup_by_uuid(&self, uuid: Uuid) -> Result<DomainRef> {
        let entry = self.shared.guests.get(uuid);
        let entry = entry
            .ok_or_else(|| error::no_domain(format!("no domain with matching uuid '{uuid}'")))?;
        Ok(entry.view().reference())
    }

    fn domain_identity(&self, xml: &str) -> Result<DomainIdentity> {
        let DomainDef { name, uuid, .. } =
            DomainDef::parse(xml).map_err(|error| error::parse(&error))?;
        Ok(DomainIdentity { name: name.unwrap_or_default(), uuid })
    }

    async fn domain_define_xml(&self, xml: &str, flags: DomainDefineFlags) -> Result<DomainRef> {
        let known = DomainDefineFlags::VALIDATE;
        check_flags(flags.bits(), known.bits(), "qemuDomainDefineXMLFlags")?;
        let def = Box::new(DomainDef::parse(xml).map_err(|error| error::parse(&error))?);
        let shared = Arc::clone(&self.shared);
        self.detached(async move { shared.define(def).await }).await
    }

    async fn domain_create_xml(&self, xml: &str, flags: DomainCreateFlags) -> Result<DomainRef> {
        let known = CREATE_FLAGS | DomainCreateFlags::VALIDATE;
        check_flags(flags.bits(), known.bits(), "qemuDomainCreateXML")?;
        let def = Box::new(DomainDef::parse(xml).map_err(|error| error::parse(&error))?);
        let shared = Arc::clone(&self.shared);
        self.detached(async move { Box::pin(shared.create_xml(def, activity(flags))).await }).await
    }

    async fn domain_create(
        &self,
        domain: &DomainRef,
        flags: DomainCreateFlags,
    ) -> Result<DomainRef> {
        check_flags(flags.bits(), CREATE_FLAGS.bits(), "qemuDomainCreateWithFlags")?;
        let (shared, entry) = (Arc::clone(&self.shared), self.shared.entry(domain)?);
        self.detached(async move { Box::pin(shared.create(&entry, activity(flags))).await }).await
    }

    async fn domain_destroy(&self, domain: &DomainRef, flags: DomainDestroyFlags) -> Result<()> {
        let known = DomainDestroyFlags::GRACEFUL | DomainDestroyFlags::REMOVE_LOGS;
        check_flags(flags.bits(), known.bits(), "qemuDomainDestroyFlags")?;
        let is_graceful = flags.contains(DomainDestroyFlags::GRACEFUL);
        let force = if is_graceful { Force::Graceful } else { Force::Kill };
        let (shared, entry) = (Arc::clone(&self.shared), self.shared.entry(domain)?);
        self.detached(async move { shared.destroy(&entry, force).await }).await
    }

    async fn domain_shutdown(&self, domain: &DomainRef, flags: DomainShutdownFlags) -> Result<()> {
        let known = DomainShutdownFlags::ACPI_POWER_BUTTON | DomainShutdownFlags::GUEST_AGENT;
        check_flags(flags.bits(), known.bits(), "qemuDomainShutdownFlags")?;
        let (shared, entry) = (Arc::clone(&self.shared), self.shared.entry(domain)?);
        self.detached(async move { shared.shut_down(&entry, flags, false).await }).await
    }

    async fn domain_reboot(&self, domain: &DomainRef, flags: DomainShutdownFlags) -> Result<()> {
        let known = DomainShutdownFlags::ACPI_POWER_BUTTON | DomainShutdownFlags::GUEST_AGENT;
        check_flags(flags.bits(), known.bits(), "qemuDomainReboot")?;
        let (shared, entry) = (Arc::clone(&self.shared), self.shared.entry(domain)?);
        self.detached(async move { shared.shut_down(&entry, flags, true).await }).await
    }

    async fn domain_reset(&self, domain: &DomainRef, flags: u32) -> Result<()> {
        check_flags(flags, 0, "qemuDomainReset")?;
        let (shared, entry) = (Arc::clone(&self.shared), self.shared.entry(domain)?);
        self.detached(async move { shared.reset(&entry).await }).await
    }

    async fn domain_suspend(&self, domain: &DomainRef) -> Result<()> {
        let (shared, entry) = (Arc::clone(&self.shared), self.shared.entry(domain)?);
        self.detached(async move { shared.suspend(&entry).await }).await
    }

    async fn domain_resume(&self, domain: &DomainRef) -> Result<()> {
        let (shared, entry) = (Arc::clone(&self.shared), self.shared.entry(domain)?);
        self.detached(async move { shared.resume(&entry).await }).await
    }

    async fn domain_undefine(&self, domain: &DomainRef, flags: DomainUndefineFlags) -> Result<()> {
        check_flags(flags.bits(), (1 << 7) - 1, "qemuDomainUndefineFlags")?;
        let (shared, entry) = (Arc::clone(&self.shared), self.shared.entry(domain)?);
        self.detached(async move { shared.undefine(&entry, flags).await }).await
    }

    async fn domain_xml_desc(&self, domain: &DomainRef, flags: DomainXmlFlags) -> Result<String> {
        check_flags(flags.bits(), (1 << 4) - 1, "qemuDomainGetXMLDesc")?;
        let view = self.shared.entry(domain)?.view();
        let is_secure = flags.contains(DomainXmlFlags::SECURE);
        let secrets = if is_secure { Secrets::Shown } else { Secrets::Hidden };
        if view.is_active() && !flags.contains(DomainXmlFlags::INACTIVE) {
            let live = view.running.as_ref().map(|running| &running.live);
            let balloon_kib = live.and_then(|live| live.balloon_kib());
            return Ok(status::shown(&view.def, balloon_kib).format(Form::Live, secrets));
        }
        Ok(view.persistent_def().format(Form::Inactive, secrets))
    }

    async fn domain_plan(
        &self,
        domain: &DomainRef,
        verb: PlanVerb,
        xml: Option<&str>,
        flags: u32,
    ) -> Result<DomainPlan> {
        check_flags(flags, 0, "qemuDomainPlan")?;
        let other = xml.map(DomainDef::parse).transpose().map_err(|error| error::parse(&error))?;
        let (shared, entry) = (Arc::clone(&self.shared), self.shared.entry(domain)?);
        let other = other.map(Box::new);
        self.detached(async move { Box::pin(shared.preview(&entry, verb, other)).await }).await
    }

    async fn domain_state(&self, domain: &DomainRef, flags: u32) -> Result<DomainStatus> {
        check_flags(flags, 0, "qemuDomainGetState")?;
        Ok(self.shared.entry(domain)?.view().status())
    }

    async fn domain_info(&self, domain: &DomainRef) -> Result<DomainInfo> {
        let view = self.shared.entry(domain)?.view();
        let live = view.running.as_ref().map(|running| &running.live);
        let process = live.and_then(|live| live.process());
        Ok(DomainInfo {
            state: view.status().state,
            max_memory_kib: view.def.max_memory_kib(),
            memory_kib: live
                .and_then(|live| live.balloon_kib())
                .unwrap_or_else(|| view.def.memory_kib()),
            n_vcpus: u16::try_from(view.def.vcpus()).unwrap_or(u16::MAX),
            cpu_time_ns: process.map_or(0, |process| process::cpu_time(process.pid())),
        })
    }

    async fn domain_os_type(&self, domain: &DomainRef) -> Result<String> {
        let view = self.shared.entry(domain)?.view();
        let kind = view.def.os.as_ref().and_then(|os| os.kind.as_ref()?.kind);
        Ok(kind.map_or("hvm", |kind| kind.as_str()).to_owned())
    }

    async fn domain_max_memory(&self, domain: &DomainRef) -> Result<u64> {
        Ok(self.shared.entry(domain)?.view().def.max_memory_kib())
    }

    async fn domain_max_vcpus(&self, domain: &DomainRef) -> Result<u32> {
        let view = self.shared.entry(domain)?.view();
        // The call asks for the maximum of the running guest (`virDomainGetMaxVcpus`).
        if !view.is_active() {
            return Err(error::not_running());
        }
        Ok(view.def.max_vcpus())
    }

    /// Always the empty one: guests run as a user of their own, and no security module is used.
    async fn domain_security_label(&self, domain: &DomainRef) -> Result<SecurityLabel> {
        self.shared.entry(domain)?;
        Ok(SecurityLabel::default())
    }

    async fn domain_autostart(&self, domain: &DomainRef) -> Result<Autostart> {
        Ok(self.shared.entry(domain)?.view().autostart)
    }

    async fn domain_set_autostart(&self, domain: &DomainRef, autostart: Autostart) -> Result<()> {
        let (shared, entry) = (Arc::clone(&self.shared), self.shared.entry(domain)?);
        self.detached(async move { shared.set_autostart(&entry, autostart).await }).await
    }

    async fn domain_is_active(&self, domain: &DomainRef) -> Result<bool> {
        Ok(self.shared.entry(domain)?.view().is_active())
    }

    async fn domain_is_persistent(&self, domain: &DomainRef) -> Result<bool> {
        Ok(self.shared.entry(domain)?.view().is_persistent())
    }

    async fn domain_is_updated(&self, domain: &DomainRef) -> Result<bool> {
        Ok(self.shared.entry(domain)?.view().is_updated)
    }

    async fn domain_rename(&self, domain: &DomainRef, name: &str, flags: u32) -> Result<()> {
        check_flags(flags, 0, "qemuDomainRename")?;
        let (shared, entry) = (Arc::clone(&self.shared), self.shared.entry(domain)?);
        let name = name.to_owned();
        self.detached(async move { shared.rename(&entry, &name).await }).await
    }

    async fn domain_metadata(
        &self,
        domain: &DomainRef,
        kind: MetadataType,
        uri: Option<&str>,
        flags: DomainAffectFlags,
    ) -> Result<String> {
        self.shared.metadata(domain, kind, uri, flags)
    }

    async fn domain_set_metadata(
        &self,
        domain: &DomainRef,
        change: &DomainMetadataChange,
    ) -> Result<()> {
        let (shared, entry) = (Arc::clone(&self.shared), self.shared.entry(domain)?);
        let change = change.clone();
        self.detached(async move { shared.set_metadata(&entry, &change).await }).await
    }

    async fn domain_interface_addresses(
        &self,
        domain: &DomainRef,
        source: AddressSource,
        flags: u32,
    ) -> Result<Vec<DomainInterface>> {
        check_flags(flags, 0, "qemuDomainInterfaceAddresses")?;
        self.shared.interface_addresses(domain, source).await
    }

    async fn domain_open_console(
        &self,
        domain: &DomainRef,
        device: Option<&str>,
        flags: ConsoleFlags,
    ) -> Result<Box<dyn DomainStream>> {
        check_flags(flags.bits(), (1 << 2) - 1, "qemuDomainOpenConsole")?;
        self.shared.open_console(domain, device, flags)
    }

    async fn domain_event_register(
        &self,
        domain: Option<&DomainRef>,
        id: DomainEventId,
        callback: DomainEventCallback,
    ) -> Result<CallbackId> {
        Ok(self.shared.callbacks.register(domain.map(|domain| domain.uuid), id, callback))
    }

    async fn domain_event_deregister(&self, id: CallbackId) -> Result<()> {
        if self.shared.callbacks.deregister(id) {
            return Ok(());
        }
        let detail = format!("domain event callback {} not registered", id.0);
        Err(Error::new(ErrorCode::INVALID_ARG, ErrorDomain::QEMU, detail))
    }
}

/// Flags of a start.
const CREATE_FLAGS: DomainCreateFlags = DomainCreateFlags::PAUSED
    .union(DomainCreateFlags::BYPASS_CACHE)
    .union(DomainCreateFlags::FORCE_BOOT)
    .union(DomainCreateFlags::RESET_NVRAM);

fn activity(flags: DomainCreateFlags) -> Activity {
    match flags.contains(DomainCreateFlags::PAUSED) {
        true => Activity::Paused,
        false => Activity::Running,
    }
}

/// Refuses flags outside of `known` in the name of `function`, libvirt's.
pub(crate) fn check_flags(flags: u32, known: u32, function: &str) -> Result<()> {
    match flags & !known {
        0 => Ok(()),
        unknown => Err(Error::unsupported_flags(ErrorDomain::QEMU, unknown, function)),
    }
}

#[cfg(test)]
mod tests;
