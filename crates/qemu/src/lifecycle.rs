//! Start and stop, and what surrounds them.
//!
//! ```text
//! start:  journal(undo) ─▶ ports ─▶ journal(undo) ─▶ steps ─▶ status file ─▶ journal gone
//! stop:   journal(undo) ─▶ undo steps ─▶ journal gone
//! ```
//!
//! The status file decides: with it a guest runs, without it it does not. What networks give a guest has to
//! be known before its command line can be made; so its ports are a plan of their own, under the same
//! journal entry.
//!
//! libvirt 11.3.0: `qemuProcessStart`, `qemuProcessStop`, src/qemu/qemu_process.c

use std::path::PathBuf;
use std::sync::Arc;

use oxivirt::{DomainRef, DomainStatus, Error, ErrorCode, ErrorDomain, Lifetime, Result};
use oxivirt_conf::domain::device::chardev::CharDevice;
use oxivirt_conf::domain::security::{Resource, Seclabel, SeclabelType};
use oxivirt_conf::domain::{DomainDef, Size};
use oxivirt_conf::emulator::EmulatorCapabilities;
use oxivirt_engine::operation::{self, StartError};
use oxivirt_engine::{JournalEntry, Operation, apply};
use oxivirt_sys::chain;
use oxivirt_types::domain::{
    DomainLifecycleEvent, DomainState, PausedReason, RunningReason, ShutoffReason,
};
use uuid::Uuid;

use crate::apply::{Bench, Found, HostError, on_thread};
use crate::command::{self, CommandLine, Prepared};
use crate::error;
use crate::guest::Guest;
use crate::hooks::{HookOperation, reason_word};
use crate::label::Owner;
use crate::live::Live;
use crate::log;
use crate::plan::start::{self, Activity, StartInputs};
use crate::plan::step::Settings;
use crate::plan::stop::{self, Holdings};
use crate::plan::{Plan, Step, Undo};
use crate::process::Force;
use crate::registry::{Entry, Running, View};
use crate::resolve::{self, PortRequest};
use crate::session;
use crate::shared::Shared;
use crate::status::{self, Started};

/// How much of a log an error shows, in bytes.
const COMPLAINT: u64 = 2048;
/// Where guests are in the tree of control groups.
const PARTITION: &str = "/machine";
/// Details of events (`virDomainEventStartedDetailType` and so on).
const BOOTED: i32 = 0;
const PAUSED: i32 = 0;
const STOPPED_SHUTDOWN: i32 = 0;
const STOPPED_DESTROYED: i32 = 1;
const STOPPED_CRASHED: i32 = 2;
const STOPPED_FAILED: i32 = 5;

/// A start that has been decided on.
struct Planned {
    guest: Guest,
    plan: Plan<Step>,
    undo: Plan<Undo>,
    emulator: Arc<EmulatorCapabilities>,
    indexes: [u32; 2],
    monitor: PathBuf,
}

impl Shared {
    /// Starts a stored guest.
    pub(crate) async fn create(
        self: &Arc<Self>,
        entry: &Arc<Entry>,
        activity: Activity,
    ) -> Result<DomainRef> {
        let _operation = entry.lock().await;
        let view = entry.view();
        self.check_exists(&view)?;
        if view.is_active() {
            return Err(error::invalid("domain is already running"));
        }
        self.start(entry, view.def.clone(), activity).await
    }

    /// Starts a guest from a document, which is not stored.
    pub(crate) async fn create_xml(
        self: &Arc<Self>,
        def: Box<DomainDef>,
        activity: Activity,
    ) -> Result<DomainRef> {
        let guest = self.complete(def).await?;
        let identities = self.guests.lock_identities().await;
        let known = self.identify(&guest)?;
        let mut is_new = known.is_none();
        let entry = known.unwrap_or_else(|| {
            self.guests.insert(View::inactive(guest.clone(), Lifetime::Transient))
        });
        let _operation = entry.lock().await;
        if !self.guests.contains(guest.uuid()) {
            // The operation that held the lock removed it.
            is_new = true;
            entry.set(View::inactive(guest.clone(), Lifetime::Transient));
            self.guests.reinsert(&entry);
        }
        drop(identities);
        if entry.view().is_active() {
            let detail = format!("domain '{}' is already active", guest.name());
            return Err(Error::new(ErrorCode::OPERATION_INVALID, ErrorDomain::DOMAIN, detail));
        }
        let uuid = guest.uuid();
        let started = self.start(&entry, guest, activity).await;
        if started.is_err() && is_new {
            self.guests.remove(uuid);
        }
        started
    }

    /// Starts a guest; the caller holds its lock. Afterwards it runs, or the host is as before.
    pub(crate) async fn start(
        self: &Arc<Self>,
        entry: &Arc<Entry>,
        guest: Guest,
        activity: Activity,
    ) -> Result<DomainRef> {
        let before = entry.view();
        let uuid = guest.uuid();
        self.finish_journal(uuid).await?;
        let live = Arc::new(Live::starting(self.next_id()));
        let new_def = before.is_persistent().then(|| before.def.clone());
        let running = Some(Running::starting(Arc::clone(&live)));
        entry.set(View { def: guest.clone(), new_def, running, ..(*before).clone() });
        let bench = Bench::new(&self.host, &live);
        match Box::pin(self.start_on(entry, &guest, &bench, &live, activity)).await {
            Ok(()) => {}
            Err(error) => {
                live.leave();
                self.release_ports(uuid);
                let shutoff = ShutoffReason::Failed;
                entry.set(View { shutoff, ..(*before).clone() });
                log::end(&self.layout.log_file(guest.name()), "failed");
                for operation in [HookOperation::Stopped(shutoff), HookOperation::Release(shutoff)]
                {
                    drop(self.run_hook(&guest, operation).await);
                }
                return Err(error);
            }
        }
        session::spawn(self, entry, &live, bench.take_events());
        let domain = entry.view().reference();
        match activity {
            Activity::Running => {
                // Its event says that it runs; clients expect that one first.
                live.reaches(DomainState::Running).await;
                self.emit(&domain, DomainLifecycleEvent::Started, BOOTED);
            }
            Activity::Paused => {
                self.emit(&domain, DomainLifecycleEvent::Started, BOOTED);
                self.emit(&domain, DomainLifecycleEvent::Suspended, PAUSED);
            }
        }
        tracing::info!(domain = domain.name, id = live.id(), "domain started");
        Ok(domain)
    }

    /// Refuses what the definition wants and nothing does.
    pub(crate) fn check_start(&self, guest: &Guest, emulator: &EmulatorCapabilities) -> Result<()> {
        refuse_tuning(guest)?;
        guest.validate_start(emulator).map_err(error::definition)
    }

    async fn start_on(
        &self,
        entry: &Entry,
        guest: &Guest,
        bench: &Bench<'_>,
        live: &Live,
        activity: Activity,
    ) -> Result<()> {
        let emulator = self.emulator(guest.def()).await?;
        self.check_start(guest, &emulator)?;
        self.run_hook(guest, HookOperation::Prepare).await?;
        let requests = self.port_requests(guest).await?;
        let holdings = self.holdings(guest, live.id(), ports_of(&requests));
        let undo = stop::plan(guest.def(), &holdings, &self.layout);
        self.create_ports(guest, &undo, bench, &requests).await?;
        let planned = async {
            let planned = self.plan_start(guest, emulator, live, &requests, activity);
            let planned = Box::pin(planned).await?;
            self.run_hook(&planned.guest, HookOperation::Start).await?;
            Ok(planned)
        };
        let planned = match Box::pin(planned).await {
            Ok(planned) => planned,
            Err(error) => {
                let entry = journal_entry(Operation::Start, guest, undo);
                drop(operation::stop::<Step, _>(bench, &self.journal, &entry).await);
                return Err(error);
            }
        };
        Box::pin(self.apply_start(entry, planned, bench, live, activity)).await
    }

    /// The first plan of a start: places on networks.
    async fn create_ports(
        &self,
        guest: &Guest,
        undo: &Plan<Undo>,
        bench: &Bench<'_>,
        requests: &[PortRequest],
    ) -> Result<()> {
        let entry = journal_entry(Operation::Start, guest, undo.clone());
        self.journal.write(&entry).map_err(|error| error::journal(&error))?;
        let mut plan = Plan::default();
        plan.then(requests.iter().map(PortRequest::step));
        match apply::run(bench, &plan).await {
            Ok(()) => Ok(()),
            Err(stopped) => {
                drop(operation::stop::<Step, _>(bench, &self.journal, &entry).await);
                Err(error::host(&stopped.error))
            }
        }
    }

    async fn plan_start(
        &self,
        guest: &Guest,
        emulator: Arc<EmulatorCapabilities>,
        live: &Live,
        requests: &[PortRequest],
        activity: Activity,
    ) -> Result<Planned> {
        let (id, name) = (live.id(), guest.name());
        let mut def = guest.def().clone();
        self.connect_ports(&mut def, requests).await?;
        self.reserve_ports(guest.uuid(), &mut def)?;
        let credentials = self.config.credentials.as_ref();
        let (uid, gid) = credentials.map_or((0, 0), |user| (user.uid, user.gid));
        let mut def =
            on_thread(move || Ok(resolve::find_chains(&mut def, uid, gid).map(|()| Box::new(def))))
                .await
                .map_err(|error| error::host(&error))??;
        let facts = self.command_facts(id, &def, &emulator);
        let Prepared { node_index } =
            command::prepare(&mut def, &emulator, &facts).map_err(|error| error::plan(&error))?;
        let taps = self.taps(&mut def).await?;
        if let Some(user) = credentials {
            def.seclabels.push(dac_label(&format!("+{}:+{}", user.uid, user.gid)));
        }
        if !self.host.hierarchies.is_empty() {
            let partition = Some(PARTITION.to_owned());
            def.resource.get_or_insert_with(|| Resource { partition, ..Resource::default() });
        }
        let command = command::command_line(&def, &emulator, &facts);
        let command: CommandLine = command.map_err(|error| error::plan(&error))?;
        let guest = guest.with(|old| old.clone_from(&def));
        let holdings = self.holdings(&guest, id, ports_of(requests));
        let has_namespace = self.config.has_mount_namespace;
        let balloon =
            (guest.memory_kib() < guest.max_memory_kib()).then(|| guest.memory_kib() * 1024);
        let inputs = StartInputs {
            layout: &self.layout,
            name,
            uuid: guest.uuid(),
            id,
            command: &command,
            credentials,
            files: if self.config.dynamic_ownership { stop::files(&def) } else { Vec::new() },
            variables: stop::variables(&def),
            cgroup: holdings.cgroup.clone(),
            devices: has_namespace.then(|| self.device_facts(&def)),
            taps,
            log_header: log::header(&command, emulator.version),
            settings: Settings { balloon_bytes: balloon, ..resolve::settings(&def) },
            activity,
        };
        let plan = start::plan(&inputs);
        let undo = stop::plan(&def, &holdings, &self.layout);
        let monitor = self.layout.domain_dir(id, name).join("monitor.sock");
        let indexes = [node_index, command.descriptor_sets];
        Ok(Planned { guest, plan, undo, emulator, indexes, monitor })
    }

    /// Journal, steps, hook, status file; undone as a whole if one of them fails.
    async fn apply_start(
        &self,
        entry: &Entry,
        planned: Planned,
        bench: &Bench<'_>,
        live: &Live,
        activity: Activity,
    ) -> Result<()> {
        let Planned { guest, plan, undo, emulator, indexes, monitor } = planned;
        debug_assert_eq!(oxivirt_engine::lint::check(&plan, &undo), Ok(()));
        let journal_entry = journal_entry(Operation::Start, &guest, undo);
        let commit = async |()| {
            let found = bench.found();
            let guest = guest.with(|def| note_found(def, &found));
            self.run_hook(&guest, HookOperation::Started).await?;
            let started = Started {
                id: live.id(),
                pid: live.process().map_or(0, |process| process.pid()),
                monitor: &monitor,
                found: &found,
                flags: &emulator.flags,
                has_mount_namespace: self.config.has_mount_namespace,
                indexes,
            };
            let base = status::new(&guest, started, &self.layout);
            let base = Arc::new(base.map_err(|error| error::parse(&error))?);
            let to = match activity {
                Activity::Running => DomainStatus {
                    state: DomainState::Running,
                    reason: RunningReason::Booted.number(),
                },
                Activity::Paused => {
                    DomainStatus { state: DomainState::Paused, reason: PausedReason::User.number() }
                }
            };
            if activity == Activity::Paused {
                live.change(|_| Some(to));
            }
            let document = status::document(&self.layout, &guest, &base, to, false);
            document.put().map_err(|error| error::store(&error.into()))?;
            entry.update(|view| {
                let running = view.running.as_ref()?;
                let running = Some(Running { base: Arc::clone(&base), ..running.clone() });
                Some(View { def: guest.clone(), running, ..view.clone() })
            });
            Ok(())
        };
        let prepare = std::future::ready(());
        let is_always_undone = |undo: &Undo| matches!(undo, Undo::DeletePort { .. });
        let started = operation::start(
            bench,
            &self.journal,
            &journal_entry,
            &plan,
            prepare,
            commit,
            is_always_undone,
        );
        started.await.map_err(|error| match error {
            StartError::Journal(error) => error::journal(&error),
            StartError::Step(stopped) => failed_start(&stopped.step, &stopped.error, bench),
            StartError::Commit(error) => error,
        })
    }

    /// What a guest has on its host.
    pub(crate) fn holdings(
        &self,
        guest: &Guest,
        id: u32,
        ports: Vec<(String, Uuid, Uuid)>,
    ) -> Holdings {
        let (layout, name) = (&self.layout, guest.name());
        let owner = self.config.credentials.as_ref().filter(|_| self.config.dynamic_ownership);
        let has_groups = !self.host.hierarchies.is_empty();
        Holdings {
            name: name.to_owned(),
            uuid: guest.uuid(),
            directories: vec![
                layout.domain_dir(id, name),
                layout.channel_dir(id, name),
                layout.memory_dir(id, name),
                layout.staging_dir(name),
            ],
            cgroup: has_groups.then(|| cgroup(id, name)),
            owner: owner.map(|user| Owner { uid: user.uid, gid: user.gid }),
            ports,
        }
    }

    /// Ends a guest's process, whatever it is waiting for.
    pub(crate) async fn destroy(self: &Arc<Self>, entry: &Arc<Entry>, force: Force) -> Result<()> {
        let view = entry.view();
        self.check_exists(&view)?;
        let Some(running) = view.running.clone() else {
            return Err(error::not_running());
        };
        let live = running.live;
        let reason = ShutoffReason::Destroyed;
        let Some(process) = live.process() else {
            return self.stopped(entry, &live, reason).await;
        };
        live.set_ending(reason);
        let failed = |source| {
            let what = format!("Failed to terminate process {} with SIGKILL", process.pid());
            Error::io(ErrorDomain::NONE, &source, what)
        };
        match force {
            Force::Graceful => {
                process.end(force).await.map_err(|_| {
                    let detail = "failed to kill qemu process with SIGTERM";
                    Error::new(ErrorCode::OPERATION_FAILED, ErrorDomain::QEMU, detail)
                })?;
                self.stopped(entry, &live, reason).await
            }
            // An operation that waits for the emulator has the guest's lock until the emulator ends.
            Force::Kill => {
                let stopped = Box::pin(self.stopped(entry, &live, reason));
                // The kernel takes as long to remove a tap as to end a virtual machine. An emulator that has
                // the last descriptor does one after the other.
                let taps = process.taps();
                let unplugged = async {
                    live.over().await;
                    let closed = on_thread(move || {
                        drop(taps);
                        Ok(())
                    });
                    drop(closed.await);
                };
                let (ended, stopped, ()) = futures::join!(process.end(force), stopped, unplugged);
                ended.map_err(failed)?;
                stopped
            }
        }
    }

    /// Removes what a guest has whose process ends, unless that has been done.
    ///
    /// # Errors
    /// The process does not end; the guest then has everything but its places on networks.
    pub(crate) async fn stopped(
        self: &Arc<Self>,
        entry: &Arc<Entry>,
        live: &Arc<Live>,
        reason: ShutoffReason,
    ) -> Result<()> {
        let operation = entry.lock().await;
        let view = entry.view();
        let is_current = |running: &Running| Arc::ptr_eq(&running.live, live);
        if !view.running.as_ref().is_some_and(is_current) {
            return Ok(());
        }
        let reason = live.ending().unwrap_or(reason);
        let domain = view.reference();
        Box::pin(self.stop(entry, &view, live, reason)).await?;
        drop(operation);
        let detail = match reason {
            ShutoffReason::Shutdown => STOPPED_SHUTDOWN,
            ShutoffReason::Destroyed => STOPPED_DESTROYED,
            // the guest, not its emulator
            _ if live.status().state == DomainState::Crashed => STOPPED_CRASHED,
            _ => STOPPED_FAILED,
        };
        self.emit(&domain, DomainLifecycleEvent::Stopped, detail);
        Ok(())
    }

    /// Stops a guest; the caller holds its lock. What cannot be undone now is tried again when a driver is
    /// opened or the guest started.
    ///
    /// # Errors
    /// The process does not end.
    async fn stop(
        &self,
        entry: &Entry,
        view: &View,
        live: &Live,
        reason: ShutoffReason,
    ) -> Result<()> {
        let (guest, name) = (&view.def, view.def.name());
        let mut holdings = self.holdings(guest, live.id(), known_ports(guest));
        if let Some(running) = &view.running {
            // Those that another version or libvirt has chosen.
            let own = status::directories(&running.base);
            holdings.directories.extend(own);
            holdings.directories.sort();
            holdings.directories.dedup();
        }
        let undo = stop::plan(guest.def(), &holdings, &self.layout);
        let entry_of_journal = journal_entry(Operation::Stop, guest, undo);
        if let Err(error) = self.journal.write(&entry_of_journal) {
            let error = chain::text(&error);
            tracing::error!(domain = name, error, "cannot write the journal of a stop");
        }
        let bench = Bench::new(&self.host, live);
        let errors = operation::stop::<Step, _>(&bench, &self.journal, &entry_of_journal).await;
        if let Some(error) = errors.iter().find(|error| matches!(error, HostError::Process { .. }))
        {
            return Err(error::host(error));
        }
        log::end(&self.layout.log_file(name), reason_word(reason));
        if live.process().is_some() {
            // Its last events come before the one that follows from this.
            live.over().await;
        }
        live.leave();
        self.release_ports(guest.uuid());
        let def = view.new_def.clone().unwrap_or_else(|| view.def.clone());
        let stopped = View { def, new_def: None, running: None, shutoff: reason, ..view.clone() };
        drop(self.run_hook(guest, HookOperation::Stopped(reason)).await);
        if view.is_persistent() {
            entry.set(stopped);
        } else {
            self.guests.remove(guest.uuid());
            entry.set(stopped);
        }
        drop(self.run_hook(guest, HookOperation::Release(reason)).await);
        tracing::info!(domain = name, reason = reason_word(reason), "domain stopped");
        Ok(())
    }

    /// The same for a guest whose end its caller cannot do anything about.
    pub(crate) async fn stopped_by_itself(
        self: &Arc<Self>,
        entry: &Arc<Entry>,
        live: &Arc<Live>,
        reason: ShutoffReason,
    ) {
        if let Err(error) = self.stopped(entry, live, reason).await {
            let id = live.id();
            tracing::error!(id, %error, "cannot end the process of a guest: it keeps what it has");
        }
    }

    /// Writes the status file of a guest that runs.
    pub(crate) async fn save(&self, entry: &Entry, live: &Arc<Live>) {
        let _one = live.saving.lock().await;
        let view = entry.view();
        let Some(running) = &view.running else { return };
        if !Arc::ptr_eq(&running.live, live) || live.ending().is_some() {
            return;
        }
        let document = status::document(
            &self.layout,
            &view.def,
            &running.base,
            live.status(),
            live.is_fake_reboot(),
        );
        let written = on_thread(move || Ok(document.put()?)).await;
        if let Err(error) = written {
            let (domain, error) = (view.def.name(), chain::text(&error));
            tracing::error!(
                domain,
                error,
                "cannot write a status file: a restart knows an older state"
            );
        }
    }
}

/// Refuses limits that would have no effect.
fn refuse_tuning(guest: &Guest) -> Result<()> {
    let elements = [
        ("cputune", guest.cputune.is_some()),
        ("memtune", guest.memtune.is_some()),
        ("blkiotune", guest.blkiotune.is_some()),
    ];
    match elements.into_iter().find(|(_, is_there)| *is_there) {
        Some((element, _)) => {
            let detail = format!("element <{element}> is not supported");
            Err(Error::new(ErrorCode::CONFIG_UNSUPPORTED, ErrorDomain::QEMU, detail))
        }
        None => Ok(()),
    }
}

/// An entry of the journal.
pub(crate) fn journal_entry(
    operation: Operation,
    guest: &Guest,
    undo: Plan<Undo>,
) -> JournalEntry<Undo> {
    JournalEntry::new(operation, guest.name().to_owned(), guest.uuid(), undo)
}

/// The control group of a guest, below the roots.
pub(crate) fn cgroup(id: u32, name: &str) -> String {
    format!("{PARTITION}/qemu-{id}-{}.libvirt-qemu", crate::layout::short_name(name))
}

fn ports_of(requests: &[PortRequest]) -> Vec<(String, Uuid, Uuid)> {
    let port =
        |request: &PortRequest| (request.network.name.clone(), request.network.uuid, request.port);
    requests.iter().map(port).collect()
}

/// The places on networks that the document of a running guest names. The network driver knows networks by
/// name too.
fn known_ports(guest: &Guest) -> Vec<(String, Uuid, Uuid)> {
    let interfaces = guest.devices.iter().flat_map(|devices| &devices.interfaces);
    let ports = interfaces.filter_map(|interface| {
        let source = interface.source.as_ref()?;
        let port = oxivirt_conf::parse_uuid(source.portid.as_deref()?)?;
        Some((source.network.clone()?, Uuid::nil(), port))
    });
    ports.collect()
}

fn dac_label(label: &str) -> Seclabel {
    Seclabel {
        kind: Some(SeclabelType::Dynamic),
        model: Some("dac".to_owned()),
        relabel: Some(oxivirt_conf::YesNo::Yes),
        label: Some(label.to_owned()),
        image_label: Some(label.to_owned()),
        ..Seclabel::default()
    }
}

/// Notes in a document what only the emulator knows.
fn note_found(def: &mut DomainDef, found: &Found) {
    if let Some(bytes) = found.balloon {
        // The guest may not have a driver that gives memory back yet.
        def.current_memory = Some(Size::from_kib(bytes / 1024));
    }
    let Some(devices) = &mut def.devices else { return };
    let ports = devices.serials.iter_mut().chain(&mut devices.parallels);
    let ports = ports.chain(&mut devices.consoles).chain(&mut devices.channels);
    for port in ports {
        note_terminal(port, found);
    }
    let tty = devices.serials.first().and_then(|serial| serial.sources.first()?.path.clone());
    if let Some(console) = devices.consoles.first_mut() {
        let is_twin =
            console.target.as_ref().is_some_and(|target| target.kind.as_deref() == Some("serial"));
        if is_twin && let Some(tty) = tty {
            set_terminal(console, &tty);
        }
        console.tty = console.sources.first().and_then(|source| source.path.clone());
    }
    for channel in &mut devices.channels {
        let is_open = channel
            .info
            .alias
            .as_ref()
            .and_then(|alias| alias.name.as_ref())
            .is_some_and(|alias| found.open.contains(&format!("char{alias}")));
        session::set_channel_state(channel, is_open);
    }
}

fn note_terminal(port: &mut CharDevice, found: &Found) {
    let alias = port.info.alias.as_ref().and_then(|alias| alias.name.clone()).unwrap_or_default();
    if let Some(path) = found.terminals.get(&format!("char{alias}")) {
        set_terminal(port, path);
    }
}

fn set_terminal(port: &mut CharDevice, path: &str) {
    if port.sources.is_empty() {
        port.sources.push(oxivirt_conf::domain::device::chardev::CharSource::default());
    }
    if let Some(source) = port.sources.first_mut() {
        source.path = Some(path.to_owned());
    }
}

/// Why a start failed: what the emulator has written before it ended says more than that it has ended.
fn failed_start(step: &Step, error: &HostError, bench: &Bench<'_>) -> Error {
    let is_ended = match step {
        Step::Connect { .. } => true,
        Step::Configure { .. } | Step::Resume => {
            matches!(error, HostError::Monitor(error) if error.is_closed())
        }
        _ => false,
    };
    match bench.complaint(COMPLAINT).filter(|_| is_ended) {
        Some(text) => {
            let detail = format!("process exited while connecting to monitor: {text}");
            Error::new(ErrorCode::INTERNAL_ERROR, ErrorDomain::QEMU, detail)
        }
        None => error::host(error),
    }
}
