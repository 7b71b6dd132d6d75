//! Start and stop, and what surrounds them.
//!
//! ```text
//!           define                    create
//! absent ───────────▶ inactive ─────────────────▶ active
//!    ▲                 │    ▲      destroy          │
//!    └──── undefine ───┘    └───────────────────────┘
//!
//! start:  plan ─▶ journal(undo) ─▶ steps ─▶ status file ─▶ journal gone
//! stop:   plan ─▶ journal(undo) ─▶ undo steps (status file first) ─▶ journal gone
//! ```
//!
//! The status file decides: with it a network runs, without it it does not. A journal found at
//! opening belongs to an operation that was cut off: a start without status file is undone, a stop is
//! completed.
//!
//! libvirt 11.3.0: `networkStartNetwork`, `networkShutdownNetwork`, src/network/bridge_driver.c

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;

use oxivirt::{
    Autostart, Error, ErrorCode, ErrorDomain, LifecycleEvent, Lifetime, NetworkEvent, Result,
};
use oxivirt_conf::network::NetworkDef;
use oxivirt_conf::network::validate::{Surroundings, validate};
use oxivirt_conf::status::NetworkStatus;
use oxivirt_engine::operation::{self, StartError};
use oxivirt_engine::{Document, JournalEntry, Operation};
use oxivirt_sys::{chain, file};
use oxivirt_types::mac::MacAddr;
use uuid::Uuid;

use crate::apply::Host;
use crate::components::rules::Rules;
use crate::components::{self, NetworkState, dhcp, zone};
use crate::error;
use crate::hooks::HookOperation;
use crate::network::Network;
use crate::plan::error::PlanError;
use crate::plan::start;
use crate::plan::stop::{self, Keep};
use crate::plan::{FactsQuery, Plan, Step, Undo};
use crate::plan::{SavedRemoval, traffic};
use crate::registry::Running;
use crate::registry::{Entry, View};
use crate::shared::Notification;
use crate::shared::Shared;
use crate::store::{self, StoreError};

/// A start that has been decided on.
struct Planned {
    /// The network as it will be.
    view: View,
    plan: Plan<Step>,
    /// What takes it back.
    undo: Plan<Undo>,
}

impl<H: Host> Shared<H> {
    /// Checks a new definition and gives it what it lacks: UUID, bridge name, MAC.
    pub(crate) async fn complete(&self, mut def: NetworkDef) -> Result<Network> {
        // Asking for all links is only worth it if a name has to be found.
        let is_template = def.bridge.name.as_deref().is_none_or(|name| name.contains("%d"));
        let links = if is_template && def.forward.mode.owns_bridge() {
            self.host.all_links().await.map_err(|error| error::host(&error))?
        } else {
            Vec::new()
        };
        let links: BTreeSet<_> = links.into_iter().map(|link| link.name).collect();
        let others = self.networks.all().into_iter().map(|entry| entry.view());
        let others = others.filter(|view| view.def.name != def.name);
        let bridges = others
            .flat_map(|view| {
                let new = view.new_def.as_ref().and_then(|def| def.bridge.name.clone());
                [view.def.bridge.name.clone(), new]
            })
            .flatten()
            .collect();
        let context = Surroundings {
            bridges: &bridges,
            link_exists: &|name| links.contains(name),
            is_virtual_function: &|address| self.host.is_virtual_function(&address.to_string()),
            generate_mac: &|| MacAddr::generated(rand::random()),
        };
        validate(&mut def, context).map_err(|error| Error::classified(&error))?;
        Ok(Network::new(def, Uuid::new_v4))
    }

    /// The network that a definition is for, if it exists; refuses a clash of name and UUID.
    fn identify(&self, def: &Network) -> Result<Option<Arc<Entry>>> {
        let fail =
            |detail| Err(Error::new(ErrorCode::OPERATION_FAILED, ErrorDomain::NETWORK, detail));
        let uuid = def.uuid();
        if let Some(entry) = self.networks.get(uuid) {
            let name = &entry.view().def.name;
            if *name != def.name {
                return fail(format!("network '{name}' is already defined with uuid {uuid}"));
            }
            return Ok(Some(entry));
        }
        if let Some(entry) = self.networks.by_name(&def.name) {
            let uuid = entry.view().reference().uuid;
            return fail(format!("network '{}' already exists with uuid {uuid}", def.name));
        }
        Ok(None)
    }

    pub(crate) async fn define(&self, def: NetworkDef) -> Result<oxivirt::NetworkRef> {
        let _identities = self.networks.lock_identities().await;
        let def = self.complete(def).await?;
        let known = self.identify(&def)?;
        let operation = match &known {
            Some(entry) => Some(entry.lock().await),
            None => None,
        };
        store::write_config(&self.layout, &def).map_err(|error| error::store(&error))?;
        let autostart = store::autostart(&self.layout, &def.name);
        // The operation that held the lock may have removed the network.
        let still_known = known.as_ref().filter(|_| self.networks.contains(def.uuid()));
        let view = match still_known.map(|entry| entry.view()) {
            Some(old) if old.is_active() => View {
                new_def: Some(def),
                lifetime: Lifetime::Persistent,
                autostart,
                ..(*old).clone()
            },
            _ => View { autostart, ..View::inactive(def, Lifetime::Persistent) },
        };
        let network = view.reference();
        match &known {
            Some(entry) => {
                entry.set(view);
                self.networks.reinsert(entry);
            }
            None => drop(self.networks.insert(view)),
        }
        drop(operation);
        self.emit(&network, LifecycleEvent::Defined);
        Ok(network)
    }

    pub(crate) async fn create_xml(&self, def: NetworkDef) -> Result<oxivirt::NetworkRef> {
        let identities = self.networks.lock_identities().await;
        let def = self.complete(def).await?;
        let known = self.identify(&def)?;
        let mut is_new = known.is_none();
        let uuid = def.uuid();
        let entry = known.unwrap_or_else(|| {
            self.networks.insert(View::inactive(def.clone(), Lifetime::Transient))
        });
        let operation = entry.lock().await;
        if !self.networks.contains(def.uuid()) {
            // The operation that held the lock removed the network.
            is_new = true;
            entry.set(View::inactive(def.clone(), Lifetime::Transient));
            self.networks.reinsert(&entry);
        }
        drop(identities);
        let old = entry.view();
        if old.is_active() {
            let detail = format!("network is already active as '{}'", old.def.name);
            return Err(Error::operation_invalid(detail));
        }
        // The stored definition comes back when the network stops.
        let new_def = old.is_persistent().then(|| old.def.clone());
        let view = View { def, new_def, ..(*old).clone() };
        if let Err(error) = self.start(&entry, &view).await {
            if is_new {
                self.networks.remove(uuid);
            }
            return Err(error);
        }
        drop(operation);
        let network = view.reference();
        self.emit(&network, LifecycleEvent::Started);
        Ok(network)
    }

    pub(crate) async fn create(&self, entry: &Entry) -> Result<()> {
        self.start_quietly(entry).await?;
        self.emit(&entry.view().reference(), LifecycleEvent::Started);
        Ok(())
    }

    /// Starts a network without an event, as the start of the host does.
    pub(crate) async fn start_quietly(&self, entry: &Entry) -> Result<()> {
        let _operation = entry.lock().await;
        let old = entry.view();
        self.check_exists(&old)?;
        if old.is_active() {
            return Err(Error::operation_invalid("network is already active"));
        }
        let new_def = old.is_persistent().then(|| old.def.clone());
        self.start(entry, &View { new_def, ..(*old).clone() }).await
    }

    /// An operation that waited for another may find the network gone.
    fn check_exists(&self, view: &View) -> Result<()> {
        self.entry(&view.reference()).map(drop)
    }

    /// Starts a network; the caller holds its lock. Afterwards it runs, or the host is as before.
    async fn start(&self, entry: &Entry, view: &View) -> Result<()> {
        let uuid = view.reference().uuid;
        self.finish_journal(uuid).await?;
        if let Err(error) = file::remove_dir(&self.layout.ports_dir(&view.def.name)) {
            tracing::warn!(
                network = view.def.name,
                error = chain::text(&error),
                "cannot remove port files of an earlier run"
            );
        }
        let mut def = traffic::live(&view.def);
        let started = async {
            self.run_hook(&def, HookOperation::Start).await?;
            let planned = self.plan_start(&mut def, view).await?;
            self.apply_start(&planned).await?;
            Ok(planned)
        };
        let planned: Planned = match started.await {
            Ok(planned) => planned,
            Err(error) => {
                self.reserved().release(uuid);
                self.settings.release(uuid, &*self.host).await;
                drop(self.run_hook(&view.def, HookOperation::Stopped).await);
                return Err(error);
            }
        };
        entry.set(planned.view);
        drop(self.notifications.send(Notification::Started(uuid)));
        tracing::info!(network = view.def.name, %uuid, "network started");
        Ok(())
    }

    async fn plan_start(&self, def: &mut Network, view: &View) -> Result<Planned> {
        let planned = |error: PlanError| error::plan(&error);
        let query = self.firewall.query_of_start(def).map_err(planned)?;
        let facts = self.host.facts(&query).await.map_err(|error| error::host(&error))?;
        for text in start::check(def, &facts).map_err(planned)? {
            tracing::warn!(
                network = def.name,
                reason = text,
                "starting network although guests may be affected"
            );
            self.callbacks.emit(&NetworkEvent::Warning { network: view.reference(), text });
        }
        start::check_firewall(def, &query, &facts).map_err(planned)?;
        if def.forward.pf.is_some() && def.forward.devices.is_empty() {
            *def = def.with(|def| def.forward.devices.clone_from(&facts.pool));
        }
        let uuid = def.uuid();
        let subnets = traffic::translated(def);
        if self.reserved().reserve(uuid, &subnets).is_none() {
            let subnet = subnets.first().copied().unwrap_or_default();
            return Err(planned(PlanError::TooManyLayers { subnet }));
        }
        if query.needs_dnsmasq {
            let limit = if facts.lacks_resolv_conf { 0 } else { facts.inotify_limit };
            self.reserved().reserve_watch(uuid, limit);
        }
        let (running, _) = Running::loaded(NetworkStatus::new(def.def().clone()));
        let running = Some(running);
        let view = View { def: def.clone(), running, ports: Arc::default(), ..view.clone() };
        let view = if self.hooks.exist() { view.tainted() } else { view };
        let want = self.desired(&view, &facts)?;
        let plan = components::diff(&NetworkState::default(), &want, &[]);
        let removal = want.rules.as_ref().map(Rules::removal);
        let keep = if view.is_persistent() { Keep::Leases } else { Keep::Nothing };
        let mut rules: Vec<_> = removal.iter().flat_map(SavedRemoval::undo).collect();
        rules.extend(zone::undo(def, facts.firewalld.zones()));
        let undo = stop::plan(def, rules, &self.layout, keep);
        let noted = self.settings.note(uuid, &want.routing.forwarding, &facts).await;
        noted.map_err(|error| error::store(&error.into()))?;
        Ok(Planned { view: view.with_removal(removal), plan, undo })
    }

    /// Journal, steps, hook, status file; undone as a whole if one of them fails.
    async fn apply_start(&self, planned: &Planned) -> Result<()> {
        let Planned { view, plan, undo } = planned;
        let def = &view.def;
        let status = view.status_with_removal();
        let entry = Self::journal_entry(Operation::Start, def, undo.clone());
        // The disk works while dnsmasq starts.
        let (layout, network, staged) = (self.layout.clone(), def.clone(), status.clone());
        let stage =
            tokio::task::spawn_blocking(move || store::stage_status(&layout, &network, &staged));
        let prepare = async {
            stage.await.unwrap_or_else(|_| store::stage_status(&self.layout, def, &status))
        };
        let commit = async |staged: std::result::Result<(), StoreError>| {
            self.run_hook(def, HookOperation::Started).await?;
            staged
                .and_then(|()| store::commit_status(&self.layout, &def.name))
                .map_err(|error| error::store(&error))?;
            self.back_up_status(def);
            Ok(())
        };
        let status_file = self.layout.status_file(&def.name);
        let is_always_undone = |undo: &Undo| match undo {
            Undo::RemoveFile { path } => *path == status_file,
            Undo::RemoveIfEmpty { .. } => true,
            _ => false,
        };
        let started = operation::start(
            &*self.host,
            &self.journal,
            &entry,
            plan,
            prepare,
            commit,
            is_always_undone,
        );
        started.await.map_err(|error| match error {
            StartError::Journal(error) => error::journal(&error),
            StartError::Step(stopped) => error::stopped(&stopped),
            StartError::Commit(error) => error,
        })
    }

    pub(crate) async fn destroy(&self, entry: &Entry) -> Result<()> {
        let operation = entry.lock().await;
        let view = entry.view();
        self.check_exists(&view)?;
        if !view.is_active() {
            let detail = format!("network '{}' is not active", view.def.name);
            return Err(Error::operation_invalid(detail));
        }
        self.stop(entry, &view).await;
        drop(operation);
        self.emit(&view.reference(), LifecycleEvent::Stopped);
        Ok(())
    }

    /// Stops a network; the caller holds its lock. What cannot be undone now is tried again when a
    /// driver is opened or the network started.
    pub(crate) async fn stop(&self, entry: &Entry, view: &View) {
        let uuid = view.reference().uuid;
        let keep = if view.is_persistent() { Keep::Leases } else { Keep::Nothing };
        let mut rules = self.saved_rules(&view.def, view.removal());
        match self.host.facts(&FactsQuery::of_zone(&view.def)).await {
            Ok(facts) => rules.extend(zone::undo(&view.def, facts.firewalld.zones())),
            Err(error) => tracing::warn!(
                network = view.def.name,
                error = chain::text(&error),
                "cannot take the bridge out of firewalld's zone"
            ),
        }
        let undo = stop::plan(&view.def, rules, &self.layout, keep);
        // Without a journal (a full disk, say) a stop must still be possible; the status file then
        // goes last, so that a crash in between leaves a network that counts as running.
        let mut stop = Self::journal_entry(Operation::Stop, &view.def, undo);
        if let Err(error) = self.journal.write(&stop) {
            let error = chain::text(&error);
            tracing::warn!(
                network = view.def.name,
                error,
                "cannot write the journal: a crash while the network stops leaves parts of it"
            );
            stop.undo.stages.rotate_left(1);
        }
        drop(operation::stop(&*self.host, &self.journal, &stop).await);
        self.reserved().release(uuid);
        self.settings.release(uuid, &*self.host).await;
        drop(self.run_view_hook(view, HookOperation::Stopped, None).await);
        if view.is_persistent() {
            let def = view.persistent_def().clone();
            let ports = Arc::default();
            entry.set(View { def, new_def: None, running: None, ports, ..view.clone() });
        } else {
            self.networks.remove(uuid);
        }
        tracing::info!(network = view.def.name, %uuid, "network stopped");
    }

    pub(crate) async fn undefine(&self, entry: &Entry) -> Result<()> {
        let operation = entry.lock().await;
        let view = entry.view();
        self.check_exists(&view)?;
        if !view.is_persistent() {
            return Err(Error::operation_invalid("can't undefine transient network"));
        }
        let name = &view.def.name;
        let (config, link) = (self.layout.config_file(name), self.layout.autostart_link(name));
        let mut paths = vec![config, link];
        if !view.is_active() {
            paths.extend(self.owned_files(&view.def));
        }
        let mut undo = Plan::default();
        undo.then(paths.into_iter().map(|path| Undo::RemoveFile { path }));
        // On a full disk a definition must still be possible to remove.
        let removal = Self::journal_entry(Operation::Undefine, &view.def, undo);
        if let Err(error) = self.journal.write(&removal) {
            let error = chain::text(&error);
            tracing::warn!(
                network = name,
                error,
                "cannot write the journal: a crash while the network is undefined leaves files"
            );
        }
        let uuid = view.reference().uuid;
        let removed = store::remove_config(&self.layout, name);
        if !matches!(removed, Ok(true)) {
            self.remove_journal(uuid);
        }
        match removed {
            Ok(true) => {}
            Ok(false) => {
                let path = self.layout.config_file(name);
                let what = format!("cannot remove config file '{}'", path.display());
                return Err(Error::system(ErrorDomain::NETWORK, 2, what));
            }
            Err(error) => return Err(error::store(&error)),
        }
        drop(operation::stop(&*self.host, &self.journal, &removal).await);
        let network = view.reference();
        if view.is_active() {
            let lifetime = Lifetime::Transient;
            let autostart = Autostart::Disabled;
            entry.set(View { new_def: None, lifetime, autostart, ..(*view).clone() });
        } else {
            self.networks.remove(network.uuid);
        }
        drop(operation);
        self.emit(&network, LifecycleEvent::Undefined);
        Ok(())
    }

    /// The files that a network without definition has no use for.
    fn owned_files(&self, def: &Network) -> Vec<PathBuf> {
        let mut paths = dhcp::generated_files(def, &self.layout);
        paths.push(self.layout.old_leases(&def.name));
        paths.push(self.layout.dnsmasq_pid(&def.name));
        paths.push(self.layout.status_file(&def.name));
        if let Some(bridge) = def.own_bridge() {
            paths.push(self.layout.leases(bridge));
            paths.push(self.layout.macs(bridge));
        }
        paths
    }

    pub(crate) async fn set_autostart(&self, entry: &Entry, autostart: Autostart) -> Result<()> {
        let _operation = entry.lock().await;
        let view = entry.view();
        self.check_exists(&view)?;
        if !view.is_persistent() {
            return Err(Error::operation_invalid("cannot set autostart for transient network"));
        }
        if view.autostart != autostart {
            store::set_autostart(&self.layout, &view.def.name, autostart)
                .map_err(|error| error::store(&error))?;
            entry.set(View { autostart, ..(*view).clone() });
        }
        Ok(())
    }

    fn journal_entry(operation: Operation, def: &Network, undo: Plan<Undo>) -> JournalEntry<Undo> {
        JournalEntry::new(operation, def.name.clone(), def.uuid(), undo)
    }

    /// Notes files that change together, and removals that the status file cannot hold.
    pub(crate) fn write_update_journal(
        &self,
        def: &Network,
        undo: Plan<Undo>,
        documents: Vec<Document>,
    ) -> Result<()> {
        let entry = Self::journal_entry(Operation::Update, def, undo);
        let entry = JournalEntry { documents, ..entry };
        self.journal.write(&entry).map_err(|error| error::journal(&error))
    }

    pub(crate) fn remove_journal(&self, uuid: Uuid) {
        if let Err(error) = self.journal.remove(uuid) {
            // Found again at the next opening; what it undoes is checked against the status file.
            tracing::warn!(%uuid, error = chain::text(&error), "cannot remove journal entry");
        }
    }

    pub(crate) fn emit(&self, network: &oxivirt::NetworkRef, event: LifecycleEvent) {
        self.callbacks.emit(&NetworkEvent::lifecycle(network.clone(), event));
    }
}
