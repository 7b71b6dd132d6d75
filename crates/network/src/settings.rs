//! Kernel settings of the whole host that networks need, and how they were before.
//!
//! libvirt turns forwarding on and leaves it on. If the administrator asks for it, a setting goes back
//! once no network needs it: what it was is on disk before it is changed.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard, PoisonError};

use oxivirt_engine::lock::{OrderedMutex, Rank};
use oxivirt_sys::chain;
use oxivirt_sys::file::{self, Durability, FileError};
use uuid::Uuid;

use crate::apply::Host;
use crate::plan::{HostFacts, IfMissing, Step, Sysctl};

/// The list is short.
const LIMIT: u64 = 1 << 16;

/// When settings of the whole host, as IP forwarding, get their old values back.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum RestoreSettings {
    /// They stay, as in libvirt: other programs may rely on them by now.
    #[default]
    Never,
    /// What the driver changed goes back with the last network that needs it.
    WithLastNetwork,
}

/// Which settings of the host networks need, and which of them the driver has changed.
#[derive(Debug)]
pub(crate) struct HostSettings {
    /// Held while settings change.
    lock: OrderedMutex,
    restore: RestoreSettings,
    /// The list of changed settings.
    file: PathBuf,
    needed: Mutex<BTreeMap<Uuid, Vec<String>>>,
}

impl HostSettings {
    /// No network needs a setting yet; `file` has the list of settings that an earlier driver changed.
    #[must_use]
    pub(crate) fn new(restore: RestoreSettings, file: PathBuf) -> Self {
        Self { lock: OrderedMutex::new(Rank::Settings), restore, file, needed: Mutex::default() }
    }

    /// Notes what a network that runs already needs.
    pub(crate) fn adopt(&self, network: Uuid, needed: &[Sysctl]) {
        let keys = needed.iter().map(|sysctl| sysctl.key.clone()).collect();
        self.needed().insert(network, keys);
    }

    /// Notes what a network needs, and writes down which of the settings the driver is about to change.
    ///
    /// # Errors
    /// [`FileError`] if the list cannot be written.
    pub(crate) async fn note(
        &self,
        network: Uuid,
        needed: &[Sysctl],
        facts: &HostFacts,
    ) -> Result<(), FileError> {
        let _one = self.lock.lock().await;
        self.adopt(network, needed);
        if self.restore == RestoreSettings::Never {
            return Ok(());
        }
        let mut changed = self.changed();
        let new = facts.unset.iter().map(|sysctl| sysctl.key.clone());
        let new: Vec<_> = new.filter(|key| !changed.contains(key)).collect();
        if new.is_empty() {
            return Ok(());
        }
        changed.extend(new);
        self.write(&changed)
    }

    /// Forgets what a network needed and puts back what no network needs any more.
    pub(crate) async fn release<H: Host>(&self, network: Uuid, host: &H) {
        self.needed().remove(&network);
        self.restore_unneeded(host).await;
    }

    /// Puts back what no network needs.
    pub(crate) async fn restore_unneeded<H: Host>(&self, host: &H) {
        if self.restore == RestoreSettings::Never {
            return;
        }
        let _one = self.lock.lock().await;
        let (kept, restored): (Vec<_>, Vec<_>) =
            self.changed().into_iter().partition(|key| self.is_needed(key));
        for key in &restored {
            let off = Sysctl { key: key.clone(), value: "0", if_missing: IfMissing::Skip };
            if let Err(error) = host.run(&Step::Sysctl(off)).await {
                tracing::warn!(
                    key,
                    error = chain::text(&error),
                    "cannot restore a setting of the host"
                );
            }
        }
        if !restored.is_empty()
            && let Err(error) = self.write(&kept)
        {
            tracing::warn!(
                error = chain::text(&error),
                "cannot update the list of changed settings of the host"
            );
        }
    }

    fn needed(&self) -> MutexGuard<'_, BTreeMap<Uuid, Vec<String>>> {
        self.needed.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn is_needed(&self, key: &str) -> bool {
        self.needed().values().flatten().any(|needed| needed == key)
    }

    /// Settings that were 0 and that the driver has set to 1.
    fn changed(&self) -> Vec<String> {
        let content = file::read(&self.file, LIMIT).ok().flatten();
        content.and_then(|content| serde_json::from_slice(&content).ok()).unwrap_or_default()
    }

    fn write(&self, keys: &[String]) -> Result<(), FileError> {
        if keys.is_empty() {
            file::remove(&self.file)?;
            return Ok(());
        }
        // Strings have nothing that could fail to be written.
        let content = serde_json::to_vec(keys).unwrap_or_default();
        file::replace(&self.file, &content, 0o600, Durability::Regenerated)
    }
}
