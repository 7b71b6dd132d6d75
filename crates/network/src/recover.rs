//! Opening a driver on a host where networks run, or where a driver was cut off.
//!
//! libvirt 11.3.0: `networkStateInitialize`, `networkUpdateState`, src/network/bridge_driver.c

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use oxivirt::{Lifetime, Result};
use oxivirt_conf::network::validate::{Rewrite, complete_loaded};
use oxivirt_conf::network::{ForwardMode, NetworkDef};
use oxivirt_conf::status::{FirewallRemoval, NetworkStatus};
use oxivirt_util::chain;
use oxivirt_util::file::{self, Durability};
use oxivirt_util::firewall::{Key, Removal};
use oxivirt_util::mac::MacAddr;
use uuid::Uuid;

use crate::apply::{self, Host};
use crate::driver::Inner;
use crate::error;
use crate::hooks::HookOperation;
use crate::journal::{self, JournalError, Operation};
use crate::plan::nftables::{self, Layer};
use crate::plan::port::Ports;
use crate::plan::{FactsQuery, Rules, Undo, provision, rules, stop};
use crate::registry::{Entry, View};
use crate::store;

impl<H: Host> Inner<H> {
    /// Finishes the operations that a driver before this one was cut off in.
    ///
    /// Tells the networks that were being changed: their status files say what was wanted.
    pub(crate) async fn recover(&self) -> BTreeSet<Uuid> {
        store::sweep(&self.layout);
        let mut cut_off = BTreeSet::new();
        for entry in journal::all(&self.layout) {
            match entry {
                Ok(entry) if entry.operation == Operation::Update => {
                    cut_off.insert(entry.uuid);
                    self.put_all(entry);
                }
                Ok(entry) => drop(self.finish(&entry).await),
                Err(error) => {
                    tracing::error!(error = chain::text(&error), "cannot finish an operation");
                    if let JournalError::Damaged { path, .. } = &error
                        && let Err(error) = journal::set_aside(path)
                    {
                        tracing::error!(error = chain::text(&error), "journal stays");
                    }
                }
            }
        }
        cut_off
    }

    /// Brings files to the disk that should have changed together. From then on they are as good as any
    /// other file: the journal must not bring them back later.
    fn put_all(&self, entry: journal::Entry) {
        for document in &entry.documents {
            if let Err(error) = document.put() {
                let path = document.path.display();
                tracing::error!(%path, error = chain::text(&error), "change not completed");
            }
        }
        let rest = journal::Entry { documents: Vec::new(), ..entry };
        if let Err(error) = journal::write(&self.layout, &rest) {
            tracing::warn!(error = chain::text(&error), "journal stays as it was");
        }
    }

    /// Finishes the operation on one network that was cut off, if there is one.
    ///
    /// # Errors
    /// If something it left cannot be removed.
    pub(crate) async fn finish_journal(&self, uuid: Uuid) -> Result<()> {
        let entry = journal::read(&self.layout.journal_file(uuid));
        match entry.map_err(|error| error::journal(&error))? {
            Some(entry) => self.finish(&entry).await,
            None => Ok(()),
        }
    }

    async fn finish(&self, entry: &journal::Entry) -> Result<()> {
        let has_status = self.layout.status_file(&entry.name).exists();
        if entry.operation == Operation::Update
            || (entry.operation == Operation::Start && has_status)
        {
            // It was complete but for this file, or its status has been replaced since.
            self.remove_journal(entry.uuid);
            return Ok(());
        }
        tracing::warn!(network = entry.name, operation = ?entry.operation, "finishing what was cut off");
        let left = apply::undo(&self.host, &entry.undo).await;
        for error in &left {
            tracing::error!(network = entry.name, error = chain::text(error), "not removed");
        }
        match left.first() {
            None => {
                self.remove_journal(entry.uuid);
                Ok(())
            }
            Some(first) => Err(error::host(first)),
        }
    }

    /// Reads what is on disk, and brings the host in line with it.
    pub(crate) async fn load(&self, cut_off: &BTreeSet<Uuid>) {
        for status in store::load_statuses(&self.layout) {
            match status {
                Ok(status) => self.load_status(status),
                Err(error) => tracing::error!(error = chain::text(&error), "status not loaded"),
            }
        }
        for def in store::load_configs(&self.layout) {
            match def {
                Ok(def) => self.load_config(def),
                Err(error) => tracing::error!(error = chain::text(&error), "definition not loaded"),
            }
        }
        for entry in self.networks.all() {
            let view = entry.view();
            let uuid = view.reference().uuid;
            if view.is_active() {
                self.take_over(&entry, cut_off.contains(&uuid)).await;
            }
        }
        // Of networks that are not there any more; those that are have seen to it themselves.
        for uuid in cut_off.iter().filter(|uuid| self.networks.get(**uuid).is_none()) {
            self.remove_journal(*uuid);
        }
    }

    pub(crate) fn load_status(&self, status: NetworkStatus) {
        let mut def = status.def.clone();
        let _ = complete_loaded(&mut def, Uuid::new_v4, || MacAddr::generated(rand::random()));
        let uuid = def.uuid.unwrap_or_default();
        self.reserved().adopt(uuid, saved_layers(status.removal.as_ref()));
        // Before any network is found to have stopped, whose end could take the settings back.
        let settings = provision::forwarding(&def).into_iter().map(|sysctl| sysctl.key).collect();
        self.reserved().need_settings(uuid, settings);
        let mut ports = Ports::new();
        for port in store::load_ports(&self.layout, &def.name) {
            match port {
                Ok(port) => drop(ports.insert(port.uuid, port)),
                Err(error) => tracing::warn!(error = chain::text(&error), "port not loaded"),
            }
        }
        let (running, ports) = (Some(Arc::new(status)), Arc::new(ports));
        let view = View { running, ports, ..View::inactive(def, Lifetime::Transient) };
        drop(self.networks.insert(uuid, view));
    }

    pub(crate) fn load_config(&self, mut def: NetworkDef) {
        let rewrite =
            complete_loaded(&mut def, Uuid::new_v4, || MacAddr::generated(rand::random()));
        if rewrite == Rewrite::Needed
            && let Err(error) = store::write_config(&self.layout, &def)
        {
            tracing::warn!(
                network = def.name,
                error = chain::text(&error),
                "definition not completed"
            );
        }
        let uuid = def.uuid.unwrap_or_default();
        let autostart = store::autostart(&self.layout, &def.name);
        let lifetime = Lifetime::Persistent;
        match self.networks.get(uuid) {
            Some(entry) if entry.view().def.name == def.name => {
                let view = (*entry.view()).clone();
                entry.set(View { new_def: Some(def), lifetime, autostart, ..view });
            }
            Some(_) => tracing::error!(network = def.name, %uuid, "UUID of another network"),
            None if self.networks.by_name(&def.name).is_some() => {
                tracing::error!(network = def.name, %uuid, "name of a network with another UUID");
            }
            None => drop(
                self.networks.insert(uuid, View { autostart, ..View::inactive(def, lifetime) }),
            ),
        }
    }

    /// Checks a network that is said to run, and repairs what can be repaired.
    async fn take_over(&self, entry: &Entry, was_cut_off: bool) {
        let _operation = entry.operation.lock().await;
        let view = entry.view();
        if !self.check_running(entry, &view, was_cut_off).await {
            return;
        }
        for port in view.ports.values() {
            // What a script says of a guest that runs already changes nothing.
            drop(self.run_view_hook(&view, HookOperation::PortCreated, Some(port)).await);
        }
        self.taint(entry);
    }

    /// Whether a network that is said to run does, with what it had lost repaired. The caller holds
    /// its lock.
    pub(crate) async fn check_running(
        &self,
        entry: &Entry,
        view: &View,
        was_cut_off: bool,
    ) -> bool {
        let name = &view.def.name;
        match self.has_bridge(&view.def).await {
            Ok(true) => {}
            Ok(false) => {
                tracing::warn!(network = name, "its bridge is gone, so it does not run");
                self.stop(entry, view).await;
                return false;
            }
            Err(error) => {
                tracing::error!(network = name, %error, "cannot be checked");
                return false;
            }
        }
        if let Err(error) = self.repair(entry, view, was_cut_off).await {
            tracing::error!(network = name, %error, "not repaired");
        }
        true
    }

    /// Brings what is there to what the status file tells.
    async fn repair(&self, entry: &Entry, view: &View, was_cut_off: bool) -> Result<()> {
        let facts = self.facts(&view.def).await?;
        let want = self.provision(view, &facts)?;
        let uuid = view.reference().uuid;
        let found = self.host.observe(&[&want]).await.map_err(|error| error::host(&error))?;
        let mut have = found.into_iter().next().unwrap_or_default();
        let saved = view.running.as_ref().and_then(|status| status.removal.clone());
        let removal = want.rules.as_ref().map(Rules::removal);
        if saved != removal {
            // Rules of another version or program, or more than there should be.
            have.rules = None;
        }
        if was_cut_off {
            // dnsmasq may not have read what is on disk, classes may be of ports that are gone.
            have.dnsmasq.iter_mut().for_each(|service| service.hosts.clear());
            have.shaping = None;
        }
        let status = view.status();
        if view.running.as_ref().is_some_and(|saved| saved.class_ids != status.class_ids) {
            // Classes of ports that are not there, or the other way round.
            have.shaping = None;
        }
        if let Some(service) = &have.dnsmasq {
            self.reserved().adopt_watch(uuid, service.launch.servers_file.is_some());
        }
        let plan = provision::difference(&have, &want, &self.saved_rules(uuid, saved.as_ref()));
        let is_same =
            view.running.as_deref() == Some(&NetworkStatus { removal: saved.clone(), ..status });
        if plan.stages.is_empty() && is_same && saved == removal {
            if was_cut_off {
                self.remove_journal(uuid);
            }
            return Ok(());
        }
        for step in plan.steps() {
            tracing::warn!(network = view.def.name, %step, "repairing");
        }
        let untold = rules::untold(saved.as_ref(), removal.as_ref());
        if !untold.stages.is_empty() {
            self.write_update_journal(&view.def, untold.clone(), Vec::new())?;
        }
        if saved != removal {
            self.save(entry, view, rules::union(saved.as_ref(), removal.as_ref()))?;
        }
        apply::run(&self.host, &plan).await.map_err(|error| error::stopped(&error))?;
        self.save(entry, view, removal)?;
        if was_cut_off || !untold.stages.is_empty() {
            self.remove_journal(uuid);
        }
        Ok(())
    }

    async fn has_bridge(&self, def: &NetworkDef) -> Result<bool> {
        let needs_bridge =
            def.forward.mode.owns_bridge() || def.forward.mode == ForwardMode::Bridge;
        let Some(bridge) = def.bridge.name.as_deref().filter(|_| needs_bridge) else {
            return Ok(!def.forward.mode.owns_bridge());
        };
        let Ok(bridge) = bridge.parse() else { return Ok(false) };
        let query = FactsQuery { bridge: Some(bridge), ..Default::default() };
        let facts = self.host.facts(&query).await.map_err(|error| error::host(&error))?;
        Ok(facts.bridge.is_some())
    }

    /// Starts the networks that start with the host, at the first opening since it started.
    pub(crate) async fn start_with_host(&self) {
        let marker = self.layout.autostarted();
        if marker.exists() {
            return;
        }
        if let Err(error) = file::replace(&marker, b"", 0o600, Durability::Synced) {
            tracing::warn!(error = chain::text(&error), "cannot note that networks were started");
            return;
        }
        for entry in self.networks.all() {
            self.start_if_wanted(&entry).await;
        }
    }
}

/// The layers that a saved removal tells.
fn saved_layers(removal: Option<&FirewallRemoval>) -> Vec<(ipnet::IpNet, Layer)> {
    let mut layers = BTreeMap::new();
    for step in removal.into_iter().flat_map(stop::rules) {
        let Undo::RemoveRules { words } = step else { continue };
        let Ok(removal) = Removal::parse(&words) else { continue };
        for element in removal.elements {
            if let (Key::Prefix(net), Some(layer)) =
                (element.key, nftables::layer_of_map(&element.map))
            {
                layers.insert(net, layer);
            }
        }
    }
    layers.into_iter().collect()
}
