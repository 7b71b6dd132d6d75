//! The driver of networks in the daemon.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::sync::Arc;

use async_trait::async_trait;
use oxivirt::{
    Connection, Error, ErrorCode, ErrorDomain, ListFlags, NetworkDriver as _, NetworkEvent,
    NetworkEventId, Result,
};
use oxivirt_network::apply::linux::LinuxHost;
use oxivirt_network::counts::Count;
use oxivirt_network::layout::Layout;
use oxivirt_network::{HookOptions, Options, RestoreSettings, StartWithHost, embed};
use prometheus::IntCounter;
use prometheus::core::Collector as _;
use prometheus::proto::{MetricFamily, MetricType};

use super::{Driver, OpenError};
use crate::metrics::family;
use crate::paths::{Paths, Scope};

type Inner = oxivirt_network::Driver<LinuxHost>;

/// The driver and what the daemon counts of it.
#[derive(Debug)]
struct Networks {
    driver: Arc<Inner>,
    /// Repairs, counted by their events.
    heals: IntCounter,
}

/// Opens the driver of this host.
///
/// # Errors
/// [`OpenError`]
pub(super) async fn open(paths: &Paths) -> std::result::Result<Box<dyn Driver>, OpenError> {
    let environment: BTreeMap<OsString, OsString> = std::env::vars_os().collect();
    let search_path = environment.get(OsStr::new("PATH")).cloned().unwrap_or_default();
    let program = std::env::current_exe().ok();
    let options = Options {
        layout: match &paths.scope {
            Scope::System { root } => Layout::below(root),
            Scope::Session => Layout::session(&paths.config_dir, &paths.runtime_dir),
        },
        lease_helper: embed::lease_helper(program.as_deref()),
        uri: format!("network://{}", paths.uri_path()),
        autostart: StartWithHost::Once,
        restore_settings: RestoreSettings::Never,
        hooks: HookOptions { environment, ..HookOptions::default() },
    };
    let driver = Arc::new(Inner::open(LinuxHost::open(search_path)?, options).await?);
    let help = "Repairs of what networks had lost.";
    let heals = IntCounter::new("oxivirt_heals_total", help).map_err(|error| {
        Error::new(ErrorCode::INTERNAL_ERROR, ErrorDomain::NETWORK, error.to_string())
    })?;
    let count = heals.clone();
    let callback = Box::new(move |_: &NetworkEvent| count.inc());
    let registered = driver.network_event_register(None, NetworkEventId::Healed, callback).await;
    if let Err(error) = registered {
        tracing::warn!(%error, "cannot register for repair events: oxivirt_heals_total stays 0");
    }
    Ok(Box::new(Networks { driver, heals }))
}

#[async_trait]
impl Driver for Networks {
    fn connection(&self) -> &dyn Connection {
        &*self.driver
    }

    fn networks(&self) -> Option<super::Networks> {
        Some(Arc::clone(&self.driver) as _)
    }

    async fn reload(&self) -> Result<()> {
        self.driver.reload().await
    }

    async fn is_active(&self) -> bool {
        // the daemon repairs what a running network loses, so it also stays if it cannot tell
        let active = self.driver.list_all_networks(ListFlags::ACTIVE).await;
        active.map_or(true, |networks| !networks.is_empty())
    }

    async fn metrics(&self) -> Vec<MetricFamily> {
        let mut families = self.heals.collect();
        let mut networks = Vec::new();
        for (state, flags) in [("active", ListFlags::ACTIVE), ("inactive", ListFlags::INACTIVE)] {
            let found = self.driver.list_all_networks(flags).await.unwrap_or_default();
            networks.push((vec![("state", state.to_owned())], found.len() as u64));
        }
        families.extend(family("oxivirt_networks", "Networks.", MetricType::GAUGE, networks));
        let mut leases = Vec::new();
        for network in self.driver.list_all_networks(ListFlags::ACTIVE).await.unwrap_or_default() {
            let found = self.driver.network_dhcp_leases(&network, None, 0).await;
            let n_leases = found.unwrap_or_default().len() as u64;
            leases.push((vec![("network", network.name)], n_leases));
        }
        let help = "Addresses handed out.";
        families.extend(family("oxivirt_leases", help, MetricType::GAUGE, leases));
        families.extend(self.rules().await);
        families
    }
}

impl Networks {
    /// What the rules of networks have counted.
    async fn rules(&self) -> Vec<MetricFamily> {
        let counts = match self.driver.rule_counts().await {
            Ok(counts) => counts,
            Err(error) => {
                tracing::warn!(%error, "cannot read rule counters: metrics of rules are missing");
                return Vec::new();
            }
        };
        let rows = |value: fn(&Count) -> u64| -> Vec<_> {
            let row = counts.iter().map(|(key, count)| {
                let labels = vec![
                    ("network", key.network.clone()),
                    ("rules", key.part.to_owned()),
                    ("action", key.action.as_str().to_owned()),
                ];
                (labels, value(count))
            });
            row.collect()
        };
        let families = [
            ("oxivirt_rule_packets_total", "Packets seen by rules.", rows(|count| count.packets)),
            (
                "oxivirt_rule_bytes_total",
                "Bytes of packets seen by rules.",
                rows(|count| count.bytes),
            ),
        ];
        let families = families.into_iter();
        families
            .filter_map(|(name, help, rows)| family(name, help, MetricType::COUNTER, rows))
            .collect()
    }
}
