//! The driver of storage pools in the daemon.

use async_trait::async_trait;
use oxivirt::{Connection, Result, StorageDriver as _, StoragePoolListFlags};
use oxivirt_storage::layout::Layout;
use oxivirt_storage::{Options, StartWithHost};
use prometheus::proto::{MetricFamily, MetricType};

use super::{Driver, OpenError};
use crate::metrics::family;
use crate::paths::{Paths, Scope};

/// The driver, as the daemon has it.
#[derive(Debug)]
struct Pools(oxivirt_storage::Driver);

/// Opens the driver of this host.
///
/// # Errors
/// [`OpenError`]
pub(super) async fn open(paths: &Paths) -> std::result::Result<Box<dyn Driver>, OpenError> {
    let options = Options {
        layout: match &paths.scope {
            Scope::System { root } => Layout::below(root),
            Scope::Session => Layout::session(&paths.config_dir, &paths.runtime_dir),
        },
        uri: format!("storage://{}", paths.uri_path()),
        search_path: std::env::var_os("PATH").unwrap_or_default(),
        autostart: StartWithHost::Once,
    };
    Ok(Box::new(Pools(oxivirt_storage::Driver::open(options).await?)))
}

#[async_trait]
impl Driver for Pools {
    fn connection(&self) -> &dyn Connection {
        &self.0
    }

    async fn reload(&self) -> Result<()> {
        self.0.reload().await
    }

    async fn is_active(&self) -> bool {
        // a pool that is started is found again by the next daemon
        false
    }

    async fn metrics(&self) -> Vec<MetricFamily> {
        let states = [
            ("active", StoragePoolListFlags::ACTIVE),
            ("inactive", StoragePoolListFlags::INACTIVE),
        ];
        let mut pools = Vec::new();
        for (state, flags) in states {
            let found = self.0.list_all_storage_pools(flags).await.unwrap_or_default();
            pools.push((vec![("state", state.to_owned())], found.len() as u64));
        }
        let help = "Storage pools.";
        family("oxivirt_storage_pools", help, MetricType::GAUGE, pools).into_iter().collect()
    }
}
