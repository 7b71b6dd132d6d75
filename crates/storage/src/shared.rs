//! What the calls of the driver share.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use oxivirt::{Callbacks, Result, StorageEvent, StoragePoolRef, StorageVolRef};
use oxivirt_engine::{Journal, JournalEntry, Operation, Plan};
use oxivirt_sys::pidfile::PidFile;
use oxivirt_types::storage::StoragePoolLifecycle;
use uuid::Uuid;

use crate::error;
use crate::host::Host;
use crate::layout::Layout;
use crate::plan::Undo;
use crate::registry::{Active, Entry, Pools, View, Volume, VolumeState};

/// The state of a driver.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) host: Host,
    pub(crate) layout: Layout,
    pub(crate) uri: String,
    pub(crate) pools: Pools,
    pub(crate) journal: Journal<Undo>,
    pub(crate) callbacks: Callbacks<StorageEvent>,
    /// Volumes that are read or changed at the moment, and how often.
    pub(crate) uses: Mutex<BTreeMap<(Uuid, String), usize>>,
    /// The directories are this driver's as long as it has this.
    pub(crate) _lock: PidFile,
}

/// A volume that is read or changed; it is not deleted meanwhile.
#[derive(Debug)]
pub(crate) struct InUse {
    shared: Arc<Shared>,
    volume: (Uuid, String),
}

impl Drop for InUse {
    fn drop(&mut self) {
        let mut uses = self.shared.uses();
        if let Some(count) = uses.get_mut(&self.volume) {
            *count -= 1;
            if *count == 0 {
                uses.remove(&self.volume);
            }
        }
    }
}

/// A volume that was found, and its pool.
#[derive(Debug, Clone)]
pub(crate) struct Found {
    pub(crate) entry: Arc<Entry>,
    pub(crate) view: Arc<View>,
    pub(crate) name: String,
    pub(crate) volume: Volume,
}

impl Found {
    /// The pool's directory.
    #[must_use]
    pub(crate) fn pool_path(&self) -> PathBuf {
        crate::host::pool_path(&self.view.pool)
    }

    /// Refuses a volume that is not complete.
    pub(crate) fn check_ready(&self) -> Result<()> {
        match self.volume.state {
            VolumeState::Ready => Ok(()),
            VolumeState::Building => {
                let detail = format!("volume '{}' is still being allocated.", self.name);
                Err(error::invalid(detail))
            }
        }
    }
}

impl Shared {
    fn uses(&self) -> MutexGuard<'_, BTreeMap<(Uuid, String), usize>> {
        // the map is never left half changed, so a panic elsewhere does not spoil it
        self.uses.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes that a volume is used, until the result is dropped.
    pub(crate) fn use_volume(self: &Arc<Self>, found: &Found) -> InUse {
        let volume = (found.view.pool.uuid(), found.name.clone());
        *self.uses().entry(volume.clone()).or_default() += 1;
        InUse { shared: Arc::clone(self), volume }
    }

    /// Refuses a volume that is used.
    pub(crate) fn check_unused(&self, found: &Found) -> Result<()> {
        let volume = (found.view.pool.uuid(), found.name.clone());
        match self.uses().contains_key(&volume) {
            true => Err(error::invalid(format!("volume '{}' is still in use.", found.name))),
            false => Ok(()),
        }
    }

    /// The pool of a reference.
    pub(crate) fn entry(&self, pool: &StoragePoolRef) -> Result<Arc<Entry>> {
        let missing = || error::no_pool(&format!("uuid '{}' ({})", pool.uuid, pool.name));
        self.pools.get(pool.uuid).ok_or_else(missing)
    }

    /// The pool of a reference to a volume, with the volume.
    pub(crate) fn find(&self, vol: &StorageVolRef) -> Result<Found> {
        let entry = self.pools.by_name(&vol.pool);
        let entry = entry.ok_or_else(|| error::no_pool(&format!("name '{}'", vol.pool)))?;
        let view = entry.view();
        let volume = active(&view)?.volumes.get(&vol.name).cloned();
        let missing = || error::no_volume(&format!("name '{}'", vol.name));
        let volume = volume.ok_or_else(missing)?;
        Ok(Found { entry, view, name: vol.name.clone(), volume })
    }

    /// Announces a step in the life of a pool.
    pub(crate) fn emit(&self, pool: &StoragePoolRef, event: StoragePoolLifecycle) {
        self.callbacks.emit(&StorageEvent::lifecycle(pool.clone(), event));
    }

    /// Announces that the volumes of a pool were read.
    pub(crate) fn emit_refresh(&self, pool: StoragePoolRef) {
        self.callbacks.emit(&StorageEvent::Refresh { pool });
    }

    /// A journal entry of an operation on one volume. Each operation has a number of its own: several run
    /// in one pool.
    #[must_use]
    pub(crate) fn journal_entry(
        operation: Operation,
        view: &View,
        volume: &str,
        undo: Plan<Undo>,
    ) -> JournalEntry<Undo> {
        let name = format!("{}/{volume}", view.pool.name());
        JournalEntry::new(operation, name, Uuid::new_v4(), undo)
    }
}

/// What a started pool has.
pub(crate) fn active(view: &View) -> Result<&Active> {
    view.active.as_ref().ok_or_else(|| error::not_active(view.pool.name()))
}

/// Runs work on files where it may block.
pub(crate) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> std::result::Result<T, crate::host::HostError> + Send + 'static,
) -> Result<T> {
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => done.map_err(|failure| error::host(&failure)),
        Err(failure) => Err(error::task(&failure)),
    }
}
