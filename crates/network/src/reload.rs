//! Looking at the disk again, as a daemon does on SIGHUP.
//!
//! libvirt 11.3.0: `networkStateReload`, src/network/bridge_driver.c

use std::collections::BTreeSet;
use std::sync::Arc;

use oxivirt::{Autostart, Lifetime};
use oxivirt_conf::network::NetworkDef;
use oxivirt_sys::chain;

use crate::apply::Host;
use crate::registry::{Entry, View};
use crate::shared::Shared;
use crate::store;

impl<H: Host> Shared<H> {
    /// Takes over definitions and networks that other programs left, checks what runs, and starts
    /// every network that starts with the host, also those that were stopped since.
    ///
    /// A definition whose file is gone is kept, as in libvirt.
    pub(crate) async fn reload(&self) {
        self.hooks.rescan();
        let identities = self.networks.lock_identities().await;
        for status in store::load_statuses(&self.layout) {
            match status {
                Ok(status) if self.networks.by_name(&status.def.name).is_none() => {
                    self.load_status(status);
                }
                Ok(_) => {}
                Err(error) => tracing::error!(
                    error = chain::text(&error),
                    "skipping a network: its status file cannot be read"
                ),
            }
        }
        for def in store::load_configs(&self.layout) {
            match def {
                Ok(def) => self.reload_config(def).await,
                Err(error) => tracing::error!(
                    error = chain::text(&error),
                    "skipping a definition: it cannot be read"
                ),
            }
        }
        drop(identities);
        self.check_again().await;
        for entry in self.networks.all() {
            self.start_if_wanted(&entry).await;
        }
    }

    async fn reload_config(&self, def: NetworkDef) {
        let known = def.uuid.and_then(|uuid| self.networks.get(uuid));
        let Some(entry) = known.filter(|entry| entry.view().def.name == def.name) else {
            self.load_config(def);
            return;
        };
        let def = self.completed(def);
        let _operation = entry.lock().await;
        let autostart = store::autostart(&self.layout, &def.name);
        let (view, lifetime) = ((*entry.view()).clone(), Lifetime::Persistent);
        entry.set(if view.is_active() {
            View { new_def: Some(def), lifetime, autostart, ..view }
        } else {
            View { def, lifetime, autostart, ..view }
        });
    }

    async fn check_again(&self) {
        let entries = self.networks.all();
        let mut locks = Vec::new();
        for entry in &entries {
            locks.push(entry.lock().await);
        }
        let mut running = entries.clone();
        running.retain(|entry| entry.view().is_active());
        self.check_running(&running, &BTreeSet::new()).await;
    }

    /// Starts a network that starts with the host and does not run.
    pub(crate) async fn start_if_wanted(&self, entry: &Arc<Entry>) {
        let view = entry.view();
        if view.autostart == Autostart::Enabled
            && !view.is_active()
            && let Err(error) = self.start_quietly(entry).await
        {
            tracing::error!(network = view.def.name, %error, "cannot start a network that starts with the host");
        }
    }
}
