//! Finding pools and volumes.

use std::path::Path;

use oxivirt::{Result, StoragePoolRef, StorageVolRef};
use oxivirt_conf::storage::PoolType;
use uuid::Uuid;

use crate::error;
use crate::registry::View;
use crate::shared::{Shared, blocking};

impl Shared {
    pub(crate) fn pool_by_name(&self, name: &str) -> Result<StoragePoolRef> {
        let entry = self.pools.by_name(name);
        let entry = entry.ok_or_else(|| error::no_pool(&format!("name '{name}'")))?;
        Ok(entry.view().reference())
    }

    pub(crate) fn pool_by_uuid(&self, uuid: Uuid) -> Result<StoragePoolRef> {
        let entry = self.pools.get(uuid);
        let entry = entry.ok_or_else(|| error::no_pool(&format!("uuid '{uuid}'")))?;
        Ok(entry.view().reference())
    }

    pub(crate) fn pool_by_target_path(&self, path: &str) -> Result<StoragePoolRef> {
        let clean = clean(path);
        let is_there = |view: &View| view.pool.kind() == PoolType::Dir && view.pool.path() == clean;
        let found = self.pools.all().into_iter().map(|entry| entry.view());
        let found = found.filter(|view| view.active.is_some()).find(|view| is_there(view));
        let found = found.ok_or_else(|| error::no_pool(&format!("target path '{path}'")))?;
        Ok(found.reference())
    }

    pub(crate) fn volume_by_key(&self, key: &str) -> Result<StorageVolRef> {
        self.search(key).ok_or_else(|| error::no_volume(&format!("key {key}")))
    }

    pub(crate) async fn volume_by_path(&self, path: &str) -> Result<StorageVolRef> {
        if let Some(found) = self.search(&clean(path)) {
            return Ok(found);
        }
        // the same file by another path to the directory of its pool
        let dir = Path::new(path).parent().map(Path::to_owned);
        let dir = blocking(move || Ok(dir.and_then(|dir| dir.canonicalize().ok()))).await?;
        let name = Path::new(path).file_name().and_then(|name| name.to_str());
        let found = match (dir, name) {
            (Some(dir), Some(name)) => self.search_below(&dir, name).await?,
            _ => None,
        };
        found.ok_or_else(|| error::no_volume(&format!("path '{path}'")))
    }

    /// The volume whose path, which is its key, is this one.
    fn search(&self, path: &str) -> Option<StorageVolRef> {
        let (_, name) = path.rsplit_once('/')?;
        self.pools.all().into_iter().find_map(|entry| {
            let view = entry.view();
            let volume = view.active.as_ref()?.volumes.get(name)?;
            (volume.path() == path).then(|| view.volume_reference(name, volume))
        })
    }

    async fn search_below(&self, dir: &Path, name: &str) -> Result<Option<StorageVolRef>> {
        for entry in self.pools.all() {
            let view = entry.view();
            let Some(active) = &view.active else { continue };
            let Some(volume) = active.volumes.get(name) else { continue };
            let path = crate::host::pool_path(&view.pool);
            let real = blocking(move || Ok(path.canonicalize().ok())).await?;
            if real.as_deref() == Some(dir) {
                return Ok(Some(view.volume_reference(name, volume)));
            }
        }
        Ok(None)
    }
}

/// A path without double and trailing slashes, as pools have them.
fn clean(path: &str) -> String {
    let mut clean = String::new();
    for part in path.split('/').filter(|part| !part.is_empty()) {
        clean.push('/');
        clean.push_str(part);
    }
    if clean.is_empty() { path.to_owned() } else { clean }
}
