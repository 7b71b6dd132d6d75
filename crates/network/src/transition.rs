//! Bringing a running network to another state: after an update, a new port, a loss.
//!
//! The journal has all files that change, as they shall be. Then they are written, the status among
//! them with a removal that covers what is there and what will be, and then the host changes; so after a
//! crash recovery knows what is wanted, and the difference to what is there completes it. A refusal of the
//! host reverts everything.

use oxivirt::Result;
use oxivirt_engine::{Document, Operation, Replacement};
use oxivirt_sys::chain;

use crate::apply::{self, Host};
use crate::components::rules::{self, Firewall, Rules};
use crate::components::{self, NetworkState, PlanInputs};
use crate::error;
use crate::network::Network;
use crate::plan::{HostFacts, Plan, Undo, port, stop};
use crate::plan::{SavedRemoval, dnsmasq, traffic};
use crate::registry::{Entry, View};
use crate::shared::Shared;
use crate::store;

impl<H: Host> Shared<H> {
    /// What a network wants on its host.
    pub(crate) fn desired(&self, view: &View, facts: &HostFacts) -> Result<NetworkState> {
        let def = &view.def;
        let uuid = def.uuid();
        let subnets = traffic::translated(def);
        let (layers, is_fed) = {
            let mut reserved = self.reserved();
            let layers = reserved.of(uuid, &subnets).or_else(|| reserved.reserve(uuid, &subnets));
            if facts.lacks_resolv_conf && !reserved.is_fed(uuid) && dnsmasq::is_resolver(def) {
                // One that follows the file by itself would not start.
                reserved.reserve_watch(uuid, 0);
            }
            (layers.unwrap_or_default(), reserved.is_fed(uuid))
        };
        let floors = port::floors(&view.ports);
        let inputs = PlanInputs {
            layout: &self.layout,
            lease_helper: &self.lease_helper,
            dnsmasq: facts.dnsmasq.as_deref(),
            servers: is_fed.then_some(facts.servers.as_str()),
            firewall: Firewall {
                backend: self.firewall.backend,
                owns_table: self.firewall.owns_table,
                has_checksum: facts.has_checksum,
                user_chains: &facts.user_chains,
            },
            firewalld: facts.firewalld.zones(),
            layers: &layers,
            floors: &floors,
        };
        components::desired(def, &inputs).map_err(|error| error::plan(&error))
    }

    /// What a plan for a network that is there depends on.
    pub(crate) async fn facts(&self, def: &Network) -> Result<HostFacts> {
        let query = self.firewall.query_of_running([def]);
        self.host.facts(&query).await.map_err(|error| error::host(&error))
    }

    /// Brings a running network from one state to another, and files with it; the caller holds its lock.
    ///
    /// # Errors
    /// The host's refusal; everything is as before then, as far as the host permits.
    pub(crate) async fn transition(
        &self,
        entry: &Entry,
        old: &View,
        new: View,
        replacements: Vec<Replacement>,
    ) -> Result<()> {
        let facts = self.facts(&new.def).await?;
        let (had, want) = (self.desired(old, &facts)?, self.desired(&new, &facts)?);
        let have = self.known(&had);
        let saved = old.removal().cloned();
        let plan = components::diff(&have, &want, &self.saved_rules(&old.def, saved.as_ref()));
        let removal = want.rules.as_ref().map(Rules::removal);
        if plan.stages.is_empty() && replacements.is_empty() {
            // One file is replaced as a whole anyway.
            return self.save(entry, &new, removal);
        }
        let unrecorded = rules::unrecorded_removal(saved.as_ref(), removal.as_ref());
        // An old removal by another backend stays valid until the rules have changed.
        let both = rules::union(saved.as_ref(), removal.as_ref());
        let mut documents: Vec<_> =
            replacements.iter().map(|replacement| replacement.after.clone()).collect();
        documents.push(self.status_document(&new.with_removal(both.clone())));
        self.write_update_journal(&new.def, unrecorded.clone(), documents)?;
        let done = match self.put(replacements.iter().map(|replacement| &replacement.after)) {
            Ok(()) => match self.save(entry, &new, both.clone()) {
                Ok(()) => {
                    apply::run(&*self.host, &plan).await.map_err(|error| error::stopped(&error))
                }
                Err(error) => Err(error),
            },
            Err(error) => Err(error),
        };
        if let Err(error) = done {
            tracing::debug!(network = old.def.name, %error, "reverting a change that failed");
            let restored = View { running: new.with_removal(both).running, ..old.clone() };
            self.restore(entry, &restored, &had, saved, &replacements, unrecorded).await;
            return Err(error);
        }
        if both != removal {
            self.save(entry, &new, removal)?;
        }
        self.remove_journal(new.reference().uuid);
        Ok(())
    }

    fn put<'a>(&self, documents: impl Iterator<Item = &'a Document>) -> Result<()> {
        for document in documents {
            document.put().map_err(|error| error::store(&error.into()))?;
        }
        Ok(())
    }

    /// What a transition relies on: that everything is as the driver left it. Only whether the DHCP server
    /// runs is asked: that is cheap, and it ends more easily than the rest.
    fn known(&self, had: &NetworkState) -> NetworkState {
        let mut have = had.clone();
        have.dhcp = have.dhcp.filter(|server| server.is_running(&*self.host));
        have
    }

    /// Goes back to a state, from wherever a transition stopped.
    async fn restore(
        &self,
        entry: &Entry,
        old: &View,
        want: &NetworkState,
        saved: Option<SavedRemoval>,
        replacements: &[Replacement],
        unrecorded: Plan<Undo>,
    ) {
        let name = &old.def.name;
        let both = old.removal().cloned();
        let mut documents: Vec<_> =
            replacements.iter().map(|replacement| replacement.before.clone()).collect();
        documents.push(self.status_document(old));
        if let Err(error) = self.write_update_journal(&old.def, unrecorded.clone(), documents) {
            log_error(
                name,
                &error,
                "cannot write the journal: a crash now completes the change that failed",
            );
        }
        let back = async {
            self.put(replacements.iter().map(|replacement| &replacement.before))?;
            let have = components::observe(&*self.host, &[want])
                .await
                .map_err(|error| error::host(&error))?;
            let have = have.into_iter().next().unwrap_or_default();
            let plan = components::diff(&have, want, &self.saved_rules(&old.def, both.as_ref()));
            apply::run(&*self.host, &plan).await.map_err(|error| error::stopped(&error))
        };
        let back = back.await;
        let removal = want.rules.as_ref().map(Rules::removal);
        let stored = self.save(entry, old, removal.or(saved));
        let is_back = back.is_ok() && stored.is_ok();
        for error in [back, stored].into_iter().filter_map(std::result::Result::err) {
            tracing::error!(network = name, %error, "cannot revert all of a failed change");
        }
        if is_back {
            self.remove_journal(old.reference().uuid);
        } else if let Err(error) = self.write_update_journal(&old.def, unrecorded, Vec::new()) {
            log_error(
                name,
                &error,
                "cannot write the journal: the next opening does not inspect all of the network",
            );
        }
    }

    fn status_document(&self, view: &View) -> Document {
        store::status_document(
            &self.layout,
            &view.def,
            &view.status_with_removal(),
            &view.counters(),
        )
    }

    /// What removes the rules of a network, by its status file and the journal of an operation that
    /// has not ended.
    pub(crate) fn saved_rules(&self, def: &Network, saved: Option<&SavedRemoval>) -> Vec<Undo> {
        let mut steps = stop::known_rules(def, saved);
        let uuid = def.uuid();
        match self.journal.read(uuid) {
            Ok(Some(entry)) if entry.operation == Operation::Update => {
                steps.extend(entry.undo.steps().cloned());
            }
            Ok(_) => {}
            Err(error) => tracing::warn!(
                error = chain::text(&error),
                "ignoring the journal: it cannot be read"
            ),
        }
        steps
    }

    /// Writes the status of a running network and shows it to readers.
    pub(crate) fn save(
        &self,
        entry: &Entry,
        view: &View,
        removal: Option<SavedRemoval>,
    ) -> Result<()> {
        let view = view.with_removal(removal);
        let document = self.status_document(&view);
        document.put().map_err(|error| error::store(&error.into()))?;
        self.back_up_status(&view.def);
        entry.set(view);
        Ok(())
    }

    /// Makes a running network recoverable if its status file is deleted.
    pub(crate) fn back_up_status(&self, def: &Network) {
        if let Err(error) = store::back_up_status(&self.layout, &def.name) {
            log_error(
                &def.name,
                &error,
                "cannot back up the status file: the network is lost if the file is deleted",
            );
        }
    }
}

/// Logs a failure that is reported to no caller.
pub(crate) fn log_error(network: &str, error: &(dyn std::error::Error + 'static), what: &str) {
    tracing::error!(network, error = chain::text(error), "{what}");
}
