//! Opening a driver on a host where networks run, or where a driver was cut off.
//!
//! libvirt 11.3.0: `networkStateInitialize`, `networkUpdateState`, src/network/bridge_driver.c

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use oxivirt::{Lifetime, Result};
use oxivirt_conf::network::NetworkDef;
use oxivirt_conf::network::validate::Rewrite;
use oxivirt_conf::status::NetworkStatus;
use oxivirt_engine::{Journal, JournalEntry, JournalError, Operation, operation};
use oxivirt_nft::Key;
use oxivirt_sys::chain;
use oxivirt_sys::file::{self, Durability};
use uuid::Uuid;

use crate::apply::Host;
use crate::components::routes;
use crate::error;
use crate::hooks::HookOperation;
use crate::network::Network;
use crate::plan::SavedRemoval;
use crate::plan::nftables::{self, Layer};
use crate::plan::policy::Attachment;
use crate::plan::port::Ports;
use crate::plan::{FactsQuery, Undo};
use crate::registry::Running;
use crate::registry::{Entry, View};
use crate::repair::{Candidate, Outcome};
use crate::shared::Shared;
use crate::store;

impl<H: Host> Shared<H> {
    /// Finishes the operations that a driver before this one was cut off in.
    ///
    /// Returns the networks that were being changed: their status files say what was wanted.
    pub(crate) async fn recover(&self) -> BTreeSet<Uuid> {
        store::remove_stale_tempfiles(&self.layout);
        let mut interrupted = BTreeSet::new();
        for entry in self.journal.all() {
            match entry {
                Ok(entry) if entry.operation == Operation::Update => {
                    interrupted.insert(entry.uuid);
                    operation::put_documents(&self.journal, entry);
                }
                Ok(entry) => drop(self.finish(&entry).await),
                Err(error) => {
                    tracing::error!(
                        error = chain::text(&error),
                        "cannot finish an interrupted operation"
                    );
                    if let JournalError::Damaged { path, .. } = &error
                        && let Err(error) = Journal::<Undo>::set_aside(path)
                    {
                        tracing::error!(
                            error = chain::text(&error),
                            "cannot set a damaged journal entry aside"
                        );
                    }
                }
            }
        }
        interrupted
    }

    /// Finishes the operation on one network that was cut off, if there is one.
    ///
    /// # Errors
    /// If something it left cannot be removed.
    pub(crate) async fn finish_journal(&self, uuid: Uuid) -> Result<()> {
        match self.journal.read(uuid).map_err(|error| error::journal(&error))? {
            Some(entry) => self.finish(&entry).await,
            None => Ok(()),
        }
    }

    async fn finish(&self, entry: &JournalEntry<Undo>) -> Result<()> {
        let has_status = self.layout.status_file(&entry.name).exists();
        let finished = operation::finish(&*self.host, &self.journal, entry, has_status).await;
        finished.map_err(|error| error::host(&error))
    }

    /// Reads what is on disk, and brings the host in line with it.
    pub(crate) async fn load(&self, interrupted: &BTreeSet<Uuid>) {
        for status in store::load_statuses(&self.layout) {
            match status {
                Ok(status) => self.load_status(status),
                Err(error) => tracing::error!(
                    error = chain::text(&error),
                    "skipping a network: its status file cannot be read"
                ),
            }
        }
        self.load_lost();
        for def in store::load_configs(&self.layout) {
            match def {
                Ok(def) => self.load_config(def),
                Err(error) => tracing::error!(
                    error = chain::text(&error),
                    "skipping a network: its definition cannot be read"
                ),
            }
        }
        let mut running = self.networks.all();
        running.retain(|entry| entry.view().is_active());
        self.take_over(&running, interrupted).await;
        // Of networks that are not there any more; those that are have seen to it themselves.
        for uuid in interrupted.iter().filter(|uuid| self.networks.get(**uuid).is_none()) {
            self.remove_journal(*uuid);
        }
    }

    /// Networks that were left running and whose status file has been deleted since.
    ///
    /// Another program may have ended them and started something else on the same bridge, of which there
    /// is a status file then.
    fn load_lost(&self) {
        for record in store::load_records(&self.layout) {
            let status = match record {
                Ok(status) => status,
                Err(error) => {
                    tracing::error!(
                        error = chain::text(&error),
                        "skipping the backup of a status file: it cannot be read"
                    );
                    continue;
                }
            };
            let (name, bridge) = (&status.def.name, &status.def.bridge.name);
            let known = self.networks.all().into_iter().map(|entry| entry.view());
            let mut known = known.filter(|view| {
                let def = &view.def;
                let is_on_it = bridge.is_some() && def.bridge.name == *bridge;
                def.name == *name || Some(def.uuid()) == status.def.uuid || is_on_it
            });
            match known.next() {
                None => {
                    tracing::warn!(network = name, "status file was deleted, loading its backup");
                    self.load_status(status);
                }
                Some(view)
                    if Some(view.def.uuid()) == status.def.uuid && view.def.name == *name => {}
                Some(_) => {
                    if let Err(error) = file::remove(&self.layout.record(name)) {
                        tracing::warn!(
                            error = chain::text(&error),
                            "cannot remove the backup of a status file"
                        );
                    }
                }
            }
        }
    }

    pub(crate) fn load_status(&self, status: NetworkStatus) {
        let (def, _) = Network::loaded(status.def.clone());
        let uuid = def.uuid();
        let (running, errors) = Running::loaded(status);
        let file = self.layout.status_file(&def.name);
        for error in &errors {
            let (file, error) = (file.display(), chain::text(error));
            tracing::error!(%file, error, "ignoring a damaged removal command of a status file");
        }
        self.reserved().adopt(uuid, saved_layers(running.removal.as_ref()));
        // Before any network is found to have stopped, whose end could take the settings back.
        self.settings.adopt(uuid, &routes::forwarding(&def));
        let mut ports = Ports::new();
        for port in store::load_ports(&self.layout, &def.name) {
            match port {
                Ok(port) => drop(ports.insert(port.uuid, port)),
                Err(error) => tracing::warn!(
                    error = chain::text(&error),
                    "skipping a port: its file cannot be read"
                ),
            }
        }
        let (running, ports) = (Some(running), Arc::new(ports));
        let view = View { running, ports, ..View::inactive(def, Lifetime::Transient) };
        drop(self.networks.insert(view));
    }

    /// The network of a definition on disk; what the file lacked is written into it.
    pub(crate) fn completed(&self, def: NetworkDef) -> Network {
        let (def, rewrite) = Network::loaded(def);
        if rewrite == Rewrite::Needed
            && let Err(error) = store::write_config(&self.layout, &def)
        {
            tracing::warn!(
                network = def.name,
                error = chain::text(&error),
                "cannot write the UUID or MAC address that the definition lacked"
            );
        }
        def
    }

    pub(crate) fn load_config(&self, def: NetworkDef) {
        let def = self.completed(def);
        let uuid = def.uuid();
        let autostart = store::autostart(&self.layout, &def.name);
        let lifetime = Lifetime::Persistent;
        match self.networks.get(uuid) {
            Some(entry) if entry.view().def.name == def.name => {
                let view = (*entry.view()).clone();
                entry.set(View { new_def: Some(def), lifetime, autostart, ..view });
            }
            Some(_) => {
                tracing::error!(network = def.name, %uuid, "skipping definition: another network has its UUID");
            }
            None if self.networks.by_name(&def.name).is_some() => {
                tracing::error!(network = def.name, %uuid, "skipping definition: a network of its name has another UUID");
            }
            None => drop(self.networks.insert(View { autostart, ..View::inactive(def, lifetime) })),
        }
    }

    /// Checks networks that are said to run, and repairs what can be repaired.
    async fn take_over(&self, entries: &[Arc<Entry>], interrupted: &BTreeSet<Uuid>) {
        let mut locks = Vec::new();
        for entry in entries {
            locks.push(entry.lock().await);
        }
        for entry in self.check_running(entries, interrupted).await {
            let view = entry.view();
            for port in view.ports.values() {
                // What a script says of a guest that runs already changes nothing.
                drop(self.run_view_hook(&view, HookOperation::PortCreated, Some(port)).await);
            }
            self.back_up_status(&view.def);
            self.taint(&entry);
        }
    }

    /// Those of networks said to run that do, with what they had lost repaired. The caller holds their
    /// locks.
    pub(crate) async fn check_running(
        &self,
        entries: &[Arc<Entry>],
        interrupted: &BTreeSet<Uuid>,
    ) -> Vec<Arc<Entry>> {
        let mut candidates = Vec::new();
        for entry in entries {
            let view = entry.view();
            let name = &view.def.name;
            match self.has_bridge(&view.def).await {
                Ok(true) => {
                    let was_interrupted = interrupted.contains(&view.reference().uuid);
                    candidates.push(Candidate { entry: Arc::clone(entry), was_interrupted });
                }
                Ok(false) => {
                    tracing::warn!(network = name, "stopping network: its bridge is gone");
                    self.stop(entry, &view).await;
                }
                Err(error) => tracing::error!(network = name, %error, "cannot check network"),
            }
        }
        let outcomes = self.repair(&candidates).await;
        for (candidate, outcome) in candidates.iter().zip(outcomes) {
            let network = candidate.entry.view().def.name.clone();
            match outcome {
                Outcome::Whole | Outcome::Observed(_) => {}
                Outcome::Repaired(steps) => {
                    tracing::warn!(network, steps = steps.join(", "), "repaired network");
                }
                Outcome::Failed(error) => tracing::error!(network, %error, "cannot repair network"),
            }
        }
        candidates.into_iter().map(|candidate| candidate.entry).collect()
    }

    async fn has_bridge(&self, def: &Network) -> Result<bool> {
        let Ok(bridge) = def.checked_bridge() else { return Ok(false) };
        let bridge = match (def.policy().attachment, bridge) {
            (Attachment::OwnBridge | Attachment::HostBridge, Some(bridge)) => bridge.clone(),
            (Attachment::OwnBridge, None) => return Ok(false),
            (Attachment::HostBridge, None)
            | (Attachment::Macvtap(_) | Attachment::PciFunction, _) => return Ok(true),
        };
        let facts = self
            .host
            .facts(&FactsQuery::of_link(bridge))
            .await
            .map_err(|error| error::host(&error))?;
        Ok(facts.bridge.is_some())
    }

    /// Starts the networks that start with the host, at the first opening since it started.
    pub(crate) async fn start_with_host(&self) {
        let marker = self.layout.autostarted();
        if marker.exists() {
            return;
        }
        if let Err(error) = file::replace(&marker, b"", 0o600, Durability::Synced) {
            tracing::warn!(
                error = chain::text(&error),
                "not starting networks with the host: cannot write the marker"
            );
            return;
        }
        for entry in self.networks.all() {
            self.start_if_wanted(&entry).await;
        }
    }
}

/// The layers that a saved removal names.
fn saved_layers(removal: Option<&SavedRemoval>) -> Vec<(ipnet::IpNet, Layer)> {
    let mut layers = BTreeMap::new();
    for step in removal.into_iter().flat_map(SavedRemoval::undo) {
        let Undo::RemoveRules(removal) = step else { continue };
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
