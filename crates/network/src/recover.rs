//! Opening a driver on a host where networks run, or where a driver was cut off.
//!
//! libvirt 11.3.0: `networkStateInitialize`, `networkUpdateState`, src/network/bridge_driver.c

use std::collections::BTreeMap;

use oxivirt::{Autostart, Lifetime, Result};
use oxivirt_conf::network::validate::{Rewrite, complete_loaded};
use oxivirt_conf::network::{ForwardMode, NetworkDef};
use oxivirt_conf::status::{FirewallRemoval, NetworkStatus};
use oxivirt_util::chain;
use oxivirt_util::file::{self, Durability};
use oxivirt_util::firewall::{Change, Key, Removal, Transaction};
use oxivirt_util::mac::MacAddr;
use uuid::Uuid;

use crate::apply::{self, Host};
use crate::driver::Inner;
use crate::error;
use crate::journal::{self, JournalError, Operation};
use crate::lifecycle::saved_removal;
use crate::plan::nftables::{self, Layer};
use crate::plan::stop;
use crate::plan::{FactsQuery, Step, Undo, dnsmasq, start};
use crate::registry::{Entry, Running, View};
use crate::store;

impl<H: Host> Inner<H> {
    /// Finishes the operations that a driver before this one was cut off in.
    pub(crate) async fn recover(&self) {
        store::sweep(&self.layout);
        for entry in journal::all(&self.layout) {
            match entry {
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
        if entry.operation == Operation::Start && has_status {
            // It was complete but for this file.
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
    pub(crate) async fn load(&self) {
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
            if entry.view().is_active() {
                self.take_over(&entry).await;
            }
        }
    }

    fn load_status(&self, status: NetworkStatus) {
        let mut def = status.def.clone();
        let _ = complete_loaded(&mut def, Uuid::new_v4, || MacAddr::generated(rand::random()));
        let uuid = def.uuid.unwrap_or_default();
        self.layers().adopt(uuid, saved_layers(status.removal.as_ref()));
        let running = Some(Running { status: Some(Box::new(status)) });
        let view = View { running, ..View::inactive(def, Lifetime::Transient) };
        drop(self.networks.insert(uuid, view));
    }

    fn load_config(&self, mut def: NetworkDef) {
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
    async fn take_over(&self, entry: &Entry) {
        let _operation = entry.operation.lock().await;
        let view = entry.view();
        let name = &view.def.name;
        match self.has_bridge(&view.def).await {
            Ok(true) => {}
            Ok(false) => {
                tracing::warn!(network = name, "its bridge is gone, so it does not run");
                self.stop(entry, &view).await;
                return;
            }
            Err(error) => {
                tracing::error!(network = name, %error, "cannot be checked");
                return;
            }
        }
        if !view.def.forward.mode.owns_bridge() {
            return;
        }
        if let Err(error) = self.repair_rules(entry, &view).await {
            tracing::error!(network = name, %error, "firewall rules not restored");
        }
        if let Err(error) = self.repair_dnsmasq(&view).await {
            tracing::error!(network = name, %error, "dnsmasq not restored");
        }
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

    /// Loads a network's rules if they are not all there as they should be.
    async fn repair_rules(&self, entry: &Entry, view: &View) -> Result<()> {
        let Some(wanted) = self.rules(&view.def)? else { return Ok(()) };
        let saved = view.status().removal;
        let is_saved = saved.as_ref() == Some(&saved_removal(&Removal::of(&wanted)));
        if is_saved && self.host.holds_rules(&wanted).await.map_err(|error| error::host(&error))? {
            return Ok(());
        }
        tracing::warn!(
            network = view.def.name,
            "firewall rules were missing or changed, loading them"
        );
        self.replace_rules(entry, view, view.def.clone(), wanted).await
    }

    /// The rules of a network that runs, in the layers it has or in new ones.
    pub(crate) fn rules(&self, def: &NetworkDef) -> Result<Option<Transaction>> {
        let subnets = start::translated(def);
        let uuid = def.uuid.unwrap_or_default();
        let mut layers = self.layers();
        let chosen = layers.of(uuid, &subnets).or_else(|| layers.reserve(uuid, &subnets));
        let traffic = start::traffic(def, &chosen.unwrap_or_default());
        Ok(traffic.map_err(|error| error::plan(&error))?.map(|traffic| nftables::load(&traffic)))
    }

    /// Puts new rules in the place of those that are saved, in one transaction, and saves the new
    /// status: the network's definition is then `def`.
    pub(crate) async fn replace_rules(
        &self,
        entry: &Entry,
        view: &View,
        def: NetworkDef,
        wanted: Transaction,
    ) -> Result<()> {
        let old = view.status().removal;
        let removal = saved_removal(&Removal::of(&wanted));
        for step in old.iter().flat_map(stop::rules) {
            // Ours are part of the transaction; those of others cannot be.
            if matches!(step, Undo::RunRemoval { .. }) {
                self.host.undo(&step).await.map_err(|error| error::host(&error))?;
            }
        }
        let replace = replacement(old.as_ref(), wanted);
        self.host.run(&Step::LoadRules(replace)).await.map_err(|error| error::host(&error))?;
        let status = NetworkStatus { removal: Some(removal), ..view.status() };
        self.save(entry, view, NetworkStatus { def, ..status })
    }

    /// Writes a status file and shows readers what it says.
    pub(crate) fn save(&self, entry: &Entry, view: &View, status: NetworkStatus) -> Result<()> {
        store::write_status(&self.layout, &status).map_err(|error| error::store(&error))?;
        let def = status.def.clone();
        let running = Some(Running { status: Some(Box::new(status)) });
        entry.set(View { def, running, ..view.clone() });
        Ok(())
    }

    /// Starts a dnsmasq that ended.
    async fn repair_dnsmasq(&self, view: &View) -> Result<()> {
        let def = &view.def;
        if !dnsmasq::is_needed(def) {
            return Ok(());
        }
        let name = &def.name;
        let (conf_file, pid_file) = (self.layout.dnsmasq_conf(name), self.layout.dnsmasq_pid(name));
        let runs = self.host.runs_dnsmasq(&conf_file, &pid_file).await;
        if runs.map_err(|error| error::host(&error))? {
            return Ok(());
        }
        tracing::warn!(network = name, "dnsmasq had ended, starting it");
        self.restart_dnsmasq(def).await
    }

    /// Stops a network's dnsmasq if it runs, and starts one.
    pub(crate) async fn restart_dnsmasq(&self, def: &NetworkDef) -> Result<()> {
        let failed = |error: apply::HostError| error::host(&error);
        let query = FactsQuery { needs_dnsmasq: true, ..Default::default() };
        let facts = self.host.facts(&query).await.map_err(failed)?;
        let input = start::Input {
            def,
            layout: &self.layout,
            facts: &facts,
            layers: &[],
            lease_helper: &self.lease_helper,
        };
        let plan = start::dnsmasq(input).map_err(|error| error::plan(&error))?;
        let stop = plan
            .steps()
            .filter_map(Step::undo)
            .filter(|undo| matches!(undo, Undo::StopDnsmasq { .. }));
        for undo in stop {
            self.host.undo(&undo).await.map_err(failed)?;
        }
        apply::run(&self.host, &plan).await.map_err(|stopped| error::stopped(&stopped))
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
            let view = entry.view();
            if view.autostart == Autostart::Enabled
                && !view.is_active()
                && let Err(error) = self.create(&entry).await
            {
                tracing::error!(network = view.def.name, %error, "not started with the host");
            }
        }
    }
}

/// The transaction that removes what is saved, as far as it is ours, and loads what is wanted.
fn replacement(old: Option<&FirewallRemoval>, wanted: Transaction) -> Transaction {
    let ours = old.into_iter().flat_map(stop::rules).filter_map(|step| match step {
        Undo::RemoveRules { words } => Removal::parse(&words).ok(),
        _ => None,
    });
    // The table first: if it is gone, the removal would have nothing to refer to.
    let mut changes = vec![Change::AddTable];
    changes
        .extend(ours.filter(|old| old.table == wanted.table).flat_map(|old| old.saved().changes));
    changes.extend(wanted.changes);
    Transaction { table: wanted.table, changes }
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
