//! Kernel settings of the whole host that networks need, and how they were before.
//!
//! libvirt turns forwarding on and leaves it on. If the administrator asks for it, a setting goes back
//! once no network needs it: what it was is on disk before it is changed.

use oxivirt::Result;
use oxivirt_sys::chain;
use oxivirt_sys::file::{self, Durability};
use uuid::Uuid;

use crate::apply::Host;
use crate::error;
use crate::plan::{HostFacts, IfMissing, Step, Sysctl};
use crate::shared::{RestoreSettings, Shared};

/// The list is short.
const LIMIT: u64 = 1 << 16;

impl<H: Host> Shared<H> {
    /// Remembers which settings a network needs, and which of them the driver is about to change.
    pub(crate) async fn note_settings(
        &self,
        network: Uuid,
        needed: &[Sysctl],
        facts: &HostFacts,
    ) -> Result<()> {
        let _one = self.settings.lock().await;
        let keys = needed.iter().map(|sysctl| sysctl.key.clone()).collect();
        self.reserved().need_settings(network, keys);
        if self.restore_settings == RestoreSettings::Never {
            return Ok(());
        }
        let mut changed = self.changed_settings();
        let new = facts.unset.iter().map(|sysctl| sysctl.key.clone());
        let new: Vec<_> = new.filter(|key| !changed.contains(key)).collect();
        if new.is_empty() {
            return Ok(());
        }
        changed.extend(new);
        self.write_settings(&changed).map_err(|error| error::store(&error.into()))
    }

    /// Puts back what no network needs any more.
    pub(crate) async fn restore_settings(&self) {
        if self.restore_settings == RestoreSettings::Never {
            return;
        }
        let _one = self.settings.lock().await;
        let (mut kept, mut restored) = (Vec::new(), Vec::new());
        for key in self.changed_settings() {
            if self.reserved().needs_setting(&key) { kept.push(key) } else { restored.push(key) }
        }
        for key in &restored {
            let off = Sysctl { key: key.clone(), value: "0", if_missing: IfMissing::Skip };
            if let Err(error) = self.host.run(&Step::Sysctl(off)).await {
                tracing::warn!(
                    key,
                    error = chain::text(&error),
                    "cannot restore a setting of the host"
                );
            }
        }
        if !restored.is_empty()
            && let Err(error) = self.write_settings(&kept)
        {
            tracing::warn!(
                error = chain::text(&error),
                "cannot update the list of changed settings of the host"
            );
        }
    }

    /// Settings that were 0 and that the driver has set to 1.
    fn changed_settings(&self) -> Vec<String> {
        let content = file::read(&self.layout.old_settings(), LIMIT).ok().flatten();
        content.and_then(|content| serde_json::from_slice(&content).ok()).unwrap_or_default()
    }

    fn write_settings(&self, keys: &[String]) -> std::result::Result<(), file::FileError> {
        let path = self.layout.old_settings();
        if keys.is_empty() {
            file::remove(&path)?;
            return Ok(());
        }
        // Strings have nothing that could fail to be written.
        let content = serde_json::to_vec(keys).unwrap_or_default();
        file::replace(&path, &content, 0o600, Durability::Regenerated)
    }
}
