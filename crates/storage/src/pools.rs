//! Calls about pools.
//!
//! ```text
//!           define                    create
//! absent ───────────▶ inactive ─────────────────▶ active
//!    ▲                 │    ▲      destroy          │
//!    └──── undefine ───┘    └───────────────────────┘
//! ```
//!
//! The state file decides: with it a pool is started, without it it is not. Starting a pool changes nothing
//! else on the host; [`Shared::build`] makes its directory.
//!
//! libvirt 11.3.0: src/storage/storage_driver.c

use std::path::PathBuf;
use std::sync::Arc;

use oxivirt::{Autostart, Error, ErrorCode, ErrorDomain, Result, StoragePoolRef};
use oxivirt_conf::storage::{PoolType, StoragePoolDef};
use oxivirt_types::storage::{
    StoragePoolBuildFlags, StoragePoolCreateFlags, StoragePoolDeleteFlags, StoragePoolLifecycle,
};
use uuid::Uuid;

use crate::error;
use crate::host;
use crate::measure;
use crate::plan;
use crate::pool::{Pool, Support, number_and_word};
use crate::registry::{Active, Entry, View, VolumeState};
use crate::shared::{Shared, active, blocking};
use crate::store;

/// Mode of a pool's directory unless its definition says otherwise.
const MODE: u32 = 0o711;

impl Shared {
    /// Checks a definition that a client gives.
    pub(crate) fn checked(def: StoragePoolDef) -> Result<Pool> {
        let missing = || error::new(ErrorCode::XML_ERROR, "missing pool source name element");
        let pool = Pool::new(def, Uuid::new_v4).ok_or_else(missing)?;
        if Support::of(pool.kind()) == Support::Missing {
            let (number, word) = number_and_word(pool.kind());
            let detail = format!("missing backend for pool type {number} ({word})");
            return Err(error::new(ErrorCode::INTERNAL_ERROR, detail));
        }
        let name = pool.name();
        if matches!(name, "." | "..") || name.contains('\0') {
            let detail = format!("name {name} cannot be the name of a file");
            return Err(error::new(ErrorCode::XML_ERROR, detail));
        }
        Ok(pool)
    }

    /// The pool that a definition is for, if it exists; refuses a clash of name, UUID or place.
    fn identify(&self, pool: &Pool) -> Result<Option<Arc<Entry>>> {
        let fail = |detail| Err(error::new(ErrorCode::OPERATION_FAILED, detail));
        let (name, uuid) = (pool.name(), pool.uuid());
        let known = self.pools.get(uuid);
        if let Some(entry) = &known {
            let known = entry.view();
            let known = known.pool.name();
            if known != name {
                return fail(format!("pool '{known}' is already defined with uuid {uuid}"));
            }
        } else if let Some(entry) = self.pools.by_name(name) {
            let uuid = entry.view().pool.uuid();
            return fail(format!("pool '{name}' already exists with uuid {uuid}"));
        }
        for entry in self.pools.all() {
            let other = entry.view();
            let other = &other.pool;
            let is_same_place = pool.kind() == PoolType::Dir
                && other.kind() == PoolType::Dir
                && other.path() == pool.path();
            if is_same_place && other.uuid() != uuid {
                let other = other.name();
                return fail(format!("Storage source conflict with pool: '{other}'"));
            }
        }
        Ok(known)
    }

    pub(crate) async fn define(&self, pool: Pool) -> Result<StoragePoolRef> {
        let _identities = self.pools.lock_identities().await;
        let known = self.identify(&pool)?;
        let operation = match &known {
            Some(entry) => Some(entry.lock().await),
            None => None,
        };
        store::write_config(&self.layout, &pool).map_err(|failure| error::file(&failure))?;
        let autostart = store::autostart(&self.layout, pool.name());
        // The operation that held the lock may have removed the pool.
        let still_known = known.as_ref().filter(|_| self.pools.contains(pool.uuid()));
        let view = match still_known.map(|entry| entry.view()) {
            Some(old) if old.active.is_some() => {
                View { new: Some(pool), is_persistent: true, autostart, ..(*old).clone() }
            }
            _ => View::inactive(pool, true, autostart),
        };
        let reference = view.reference();
        match &known {
            Some(entry) => {
                entry.set(view);
                self.pools.reinsert(entry);
            }
            None => drop(self.pools.insert(view)),
        }
        drop(operation);
        self.emit(&reference, StoragePoolLifecycle::Defined);
        Ok(reference)
    }

    pub(crate) async fn create_xml(
        &self,
        pool: Pool,
        flags: StoragePoolCreateFlags,
    ) -> Result<StoragePoolRef> {
        let identities = self.pools.lock_identities().await;
        let known = self.identify(&pool)?;
        let mut is_new = known.is_none();
        let inactive = View::inactive(pool.clone(), false, Autostart::Disabled);
        let entry = known.unwrap_or_else(|| self.pools.insert(inactive.clone()));
        let operation = entry.lock().await;
        if !self.pools.contains(pool.uuid()) {
            // The operation that held the lock removed the pool.
            is_new = true;
            entry.set(inactive);
            self.pools.reinsert(&entry);
        }
        drop(identities);
        let old = entry.view();
        if old.active.is_some() {
            let detail = format!("pool is already active as '{}'", old.pool.name());
            return Err(error::invalid(detail));
        }
        // The stored definition comes back when the pool stops.
        let new = old.is_persistent.then(|| old.pool.clone());
        let view = View { pool, new, ..(*old).clone() };
        if let Err(failure) = self.start(&entry, view, flags).await {
            if is_new {
                self.pools.remove(old.pool.uuid());
            }
            return Err(failure);
        }
        drop(operation);
        let reference = entry.view().reference();
        self.emit(&reference, StoragePoolLifecycle::Started);
        Ok(reference)
    }

    pub(crate) async fn create(&self, entry: &Entry, flags: StoragePoolCreateFlags) -> Result<()> {
        let operation = entry.lock().await;
        let view = entry.view();
        self.check_exists(&view)?;
        if view.active.is_some() {
            let detail = format!("storage pool '{}' is already active", view.pool.name());
            return Err(error::invalid(detail));
        }
        self.start(entry, (*view).clone(), flags).await?;
        drop(operation);
        self.emit(&view.reference(), StoragePoolLifecycle::Started);
        Ok(())
    }

    /// Starts a pool; the caller holds its lock.
    pub(crate) async fn start(
        &self,
        entry: &Entry,
        view: View,
        flags: StoragePoolCreateFlags,
    ) -> Result<()> {
        type Flags = StoragePoolCreateFlags;
        let (over, not_over) = (Flags::WITH_BUILD_OVERWRITE, Flags::WITH_BUILD_NO_OVERWRITE);
        if flags.contains(over | not_over) {
            return Err(exclusive(
                "VIR_STORAGE_POOL_CREATE_WITH_BUILD_OVERWRITE",
                "VIR_STORAGE_POOL_CREATE_WITH_BUILD_NO_OVERWRITE",
            ));
        }
        check_support(&view.pool)?;
        if flags.intersects(Flags::WITH_BUILD | over | not_over) {
            self.make_directory(&view.pool).await?;
        }
        let active = scan(&view.pool).await?;
        store::write_state(&self.layout, &view.pool).map_err(|failure| error::file(&failure))?;
        let (pool, uuid) = (view.pool.name().to_owned(), view.pool.uuid());
        entry.set(View { active: Some(active), ..view });
        tracing::info!(pool, %uuid, "storage pool started");
        Ok(())
    }

    async fn make_directory(&self, pool: &Pool) -> Result<()> {
        let permissions = pool.def().target.as_ref();
        let permissions = permissions.and_then(|target| target.permissions.as_ref());
        let access = plan::access(permissions, MODE)?;
        let sets_mode = permissions.is_some_and(|permissions| permissions.mode.is_some());
        let path = host::pool_path(pool);
        blocking(move || host::make_pool_directory(&path, access, sets_mode)).await
    }

    pub(crate) async fn build(&self, entry: &Entry, flags: StoragePoolBuildFlags) -> Result<()> {
        type Flags = StoragePoolBuildFlags;
        let operation = entry.lock().await;
        let view = entry.view();
        self.check_exists(&view)?;
        if view.active.is_some() {
            let detail = format!("storage pool '{}' is already active", view.pool.name());
            return Err(error::invalid(detail));
        }
        if flags.contains(Flags::OVERWRITE | Flags::NO_OVERWRITE) {
            return Err(exclusive(
                "VIR_STORAGE_POOL_BUILD_OVERWRITE",
                "VIR_STORAGE_POOL_BUILD_NO_OVERWRITE",
            ));
        }
        check_support(&view.pool)?;
        self.make_directory(&view.pool).await?;
        drop(operation);
        self.emit(&view.reference(), StoragePoolLifecycle::Created);
        Ok(())
    }

    pub(crate) async fn destroy(&self, entry: &Entry) -> Result<()> {
        let operation = entry.lock().await;
        let view = entry.view();
        self.check_exists(&view)?;
        check_idle(&view)?;
        self.stop(entry, &view)?;
        drop(operation);
        self.emit(&view.reference(), StoragePoolLifecycle::Stopped);
        Ok(())
    }

    /// Stops a pool; the caller holds its lock.
    fn stop(&self, entry: &Entry, view: &View) -> Result<()> {
        let removed = store::remove_state(&self.layout, view.pool.name());
        removed.map_err(|failure| error::file(&failure))?;
        let pool = view.persistent().clone();
        if !view.is_persistent {
            self.pools.remove(pool.uuid());
        }
        entry.set(View { pool, new: None, active: None, ..view.clone() });
        tracing::info!(pool = view.pool.name(), "storage pool stopped");
        Ok(())
    }

    pub(crate) async fn delete(&self, entry: &Entry, flags: StoragePoolDeleteFlags) -> Result<()> {
        let operation = entry.lock().await;
        let view = entry.view();
        self.check_exists(&view)?;
        check_inactive(&view)?;
        if !flags.is_empty() {
            let function = "virStorageBackendDeleteLocal";
            return Err(Error::unsupported_flags(ErrorDomain::STORAGE, flags.bits(), function));
        }
        check_support(&view.pool)?;
        let path = host::pool_path(&view.pool);
        blocking(move || host::remove_pool_directory(&path)).await?;
        drop(operation);
        self.emit(&view.reference(), StoragePoolLifecycle::Deleted);
        Ok(())
    }

    pub(crate) async fn undefine(&self, entry: &Entry) -> Result<()> {
        let operation = entry.lock().await;
        let view = entry.view();
        self.check_exists(&view)?;
        check_inactive(&view)?;
        let removed = store::remove_config(&self.layout, view.pool.name());
        removed.map_err(|failure| error::file(&failure))?;
        self.pools.remove(view.pool.uuid());
        drop(operation);
        self.emit(&view.reference(), StoragePoolLifecycle::Undefined);
        Ok(())
    }

    pub(crate) async fn refresh(&self, entry: &Entry) -> Result<()> {
        let operation = entry.lock().await;
        let view = entry.view();
        self.check_exists(&view)?;
        check_idle(&view)?;
        match scan(&view.pool).await {
            Ok(active) => entry.set(View { active: Some(active), ..(*view).clone() }),
            Err(failure) => {
                // its volumes are not there any more
                self.stop(entry, &view)?;
                drop(operation);
                self.emit(&view.reference(), StoragePoolLifecycle::Stopped);
                return Err(failure);
            }
        }
        drop(operation);
        self.emit_refresh(view.reference());
        Ok(())
    }

    pub(crate) async fn set_autostart(&self, entry: &Entry, autostart: Autostart) -> Result<()> {
        let _operation = entry.lock().await;
        let view = entry.view();
        self.check_exists(&view)?;
        if !view.is_persistent {
            return Err(error::new(ErrorCode::INTERNAL_ERROR, "pool has no config file"));
        }
        let set = store::set_autostart(&self.layout, view.pool.name(), autostart);
        set.map_err(|failure| error::store(&failure))?;
        entry.set(View { autostart, ..(*view).clone() });
        Ok(())
    }

    /// An operation that waited for another may find the pool gone.
    pub(crate) fn check_exists(&self, view: &View) -> Result<()> {
        self.entry(&view.reference()).map(drop)
    }
}

/// Reads the directory of a pool.
pub(crate) async fn scan(pool: &Pool) -> Result<Active> {
    let path: PathBuf = host::pool_path(pool);
    blocking(move || measure::scan(&path)).await
}

fn check_support(pool: &Pool) -> Result<()> {
    if Support::of(pool.kind()) == Support::Full {
        return Ok(());
    }
    let (_, word) = number_and_word(pool.kind());
    let detail = format!("storage pools of type '{word}' cannot be used by this driver");
    Err(error::new(ErrorCode::CONFIG_UNSUPPORTED, detail))
}

/// Refuses a pool that is not started, or in which volumes are being created.
fn check_idle(view: &View) -> Result<()> {
    let volumes = &active(view)?.volumes;
    if volumes.values().any(|volume| volume.state == VolumeState::Building) {
        let name = view.pool.name();
        let detail = format!("pool '{name}' has asynchronous jobs running.");
        return Err(error::new(ErrorCode::INTERNAL_ERROR, detail));
    }
    Ok(())
}

fn check_inactive(view: &View) -> Result<()> {
    match &view.active {
        None => Ok(()),
        Some(_) => {
            let detail = format!("storage pool '{}' is still active", view.pool.name());
            Err(error::invalid(detail))
        }
    }
}

fn exclusive(first: &str, second: &str) -> Error {
    let message = format!("Flags '{first}' and '{second}' are mutually exclusive");
    Error::plain(ErrorCode::INVALID_ARG, ErrorDomain::STORAGE, message)
}
