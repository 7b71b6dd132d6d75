//! Opening a driver where another one was: interrupted operations, stored definitions, started pools.
//!
//! libvirt 11.3.0: `storageStateInitialize`, `storagePoolUpdateAllState`, src/storage/storage_driver.c

use oxivirt::Autostart;
use oxivirt_engine::{Journal, JournalError, operation};
use oxivirt_sys::chain;
use oxivirt_sys::file::{self, Durability};
use oxivirt_types::storage::StoragePoolCreateFlags;
use uuid::Uuid;

use crate::plan::Undo;
use crate::pool::{Pool, Support};
use crate::pools::scan;
use crate::registry::View;
use crate::shared::Shared;
use crate::store;

impl Shared {
    /// Finishes the operations that a driver before this one was interrupted in: creations are undone,
    /// deletions completed.
    pub(crate) async fn recover(&self) {
        store::remove_stale_tempfiles(&self.layout);
        for entry in self.journal.all() {
            match entry {
                // A volume has its name or has not: what is left of its creation goes in both cases.
                Ok(entry) => {
                    drop(operation::finish(&self.host, &self.journal, &entry, false).await);
                }
                Err(error) => {
                    let cause = chain::text(&error);
                    tracing::error!(error = cause, "cannot finish an interrupted operation");
                    if let JournalError::Damaged { path, .. } = &error
                        && let Err(error) = Journal::<Undo>::set_aside(path)
                    {
                        let cause = chain::text(&error);
                        tracing::error!(error = cause, "cannot set a damaged journal entry aside");
                    }
                }
            }
        }
    }

    /// Reads definitions and state files.
    pub(crate) async fn load(&self) {
        self.load_configs();
        for state in store::load_states(&self.layout) {
            let pool = match state {
                Ok(def) => Pool::new(def, Uuid::new_v4),
                Err(error) => {
                    tracing::error!(error = chain::text(&error), "ignoring a state file");
                    continue;
                }
            };
            if let Some(pool) = pool {
                self.resume(pool).await;
            }
        }
    }

    /// Definitions that appeared; those that are known stay as they are.
    pub(crate) fn load_configs(&self) {
        for config in store::load_configs(&self.layout) {
            let pool = match config {
                Ok(def) => Pool::new(def, Uuid::new_v4),
                Err(error) => {
                    tracing::error!(error = chain::text(&error), "ignoring a definition");
                    continue;
                }
            };
            let Some(pool) = pool else { continue };
            if self.pools.contains(pool.uuid()) || self.pools.by_name(pool.name()).is_some() {
                continue;
            }
            let autostart = store::autostart(&self.layout, pool.name());
            self.pools.insert(View::inactive(pool, true, autostart));
        }
    }

    /// Takes up a pool that was started when the driver before this one ended.
    async fn resume(&self, pool: Pool) {
        let name = pool.name().to_owned();
        let known = self.pools.get(pool.uuid());
        let stored = known.as_ref().map(|entry| (*entry.view()).clone());
        let scanned = match Support::of(pool.kind()) {
            Support::Full => scan(&pool).await,
            // libvirt started it, and finds its state file when it comes back
            Support::Kept | Support::Missing => return,
        };
        let active = match scanned {
            Ok(active) => active,
            Err(error) => {
                tracing::warn!(pool = name, %error, "pool is not started any more: its directory cannot be read");
                if let Err(error) = store::remove_state(&self.layout, &name) {
                    let cause = chain::text(&error);
                    tracing::warn!(pool = name, error = cause, "cannot remove the state file");
                }
                return;
            }
        };
        let new = stored.as_ref().map(|view| view.pool.clone()).filter(|stored| *stored != pool);
        let autostart = stored.as_ref().map_or(Autostart::Disabled, |view| view.autostart);
        let view =
            View { pool, new, active: Some(active), is_persistent: stored.is_some(), autostart };
        match known {
            Some(entry) => entry.set(view),
            None => drop(self.pools.insert(view)),
        }
    }

    /// Starts the pools that start with the host, at the first opening since it started.
    pub(crate) async fn start_with_host(&self) {
        let marker = self.layout.autostarted();
        if marker.exists() {
            return;
        }
        if let Err(error) = file::replace(&marker, b"", 0o600, Durability::Synced) {
            let cause = chain::text(&error);
            tracing::warn!(
                error = cause,
                "not starting pools with the host: cannot write the marker"
            );
            return;
        }
        self.start_wanted().await;
    }

    /// Starts every pool that starts with the host and is not started.
    pub(crate) async fn start_wanted(&self) {
        for entry in self.pools.all() {
            let view = entry.view();
            if view.autostart != Autostart::Enabled || view.active.is_some() {
                continue;
            }
            let started = self.create(&entry, StoragePoolCreateFlags::empty()).await;
            if let Err(error) = started {
                let pool = view.pool.name();
                tracing::error!(pool, %error, "cannot start a pool that starts with the host");
            }
        }
    }
}
