//! `network.conf`: what the administrator chose.
//!
//! libvirt 11.3.0: `virNetworkLoadDriverConfig`, src/network/bridge_driver_conf.c

use oxivirt::{Error, ErrorCode, ErrorDomain, Result};
use oxivirt_conf::Coexist;
use oxivirt_conf::DriverConfig;
use oxivirt_conf::status::FirewallBackend;
use oxivirt_sys::{chain, file};

use crate::apply::Host;
use crate::layout::Layout;
use crate::network::Network;
use crate::plan::FactsQuery;
use crate::plan::error::PlanError;
use crate::plan::start;

/// A larger file is none of ours.
const LIMIT: u64 = 10 << 20;

/// Reads the file; one that is missing or cannot be read says nothing, as in libvirt.
///
/// # Errors
/// What breaks the grammar, or is no known setting; the driver does not open then.
pub(crate) fn load(layout: &Layout) -> Result<DriverConfig> {
    let path = layout.settings();
    let text = match file::read(&path, LIMIT) {
        Ok(text) => text.unwrap_or_default(),
        Err(error) => {
            tracing::warn!(error = chain::text(&error), "cannot read settings, using the defaults");
            Vec::new()
        }
    };
    let text = String::from_utf8_lossy(&text);
    let config = DriverConfig::parse(&path.to_string_lossy(), &text);
    config.map_err(|error| Error::classified(&error))
}

/// How firewall rules are set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Firewall {
    /// By which programs or interface.
    pub(crate) backend: FirewallBackend,
    /// Whether packets are to be accepted in the chains of other programs too.
    pub(crate) finds_user_chains: bool,
    /// Whether the nftables table is this process's own.
    pub(crate) owns_table: bool,
}

impl Firewall {
    /// What the start of a network depends on.
    ///
    /// # Errors
    /// [`PlanError`] if the definition alone shows that the network cannot be started.
    pub(crate) fn query_of_start(
        &self,
        def: &Network,
    ) -> std::result::Result<FactsQuery, PlanError> {
        let mut query = start::query(def)?;
        query.backend = Some(self.backend);
        query.filters.drops = query.needs_rules;
        query.filters.user_chains = query.needs_rules && self.finds_user_chains;
        Ok(query)
    }

    /// What a plan for networks that run depends on.
    pub(crate) fn query_of_running<'a>(
        &self,
        defs: impl IntoIterator<Item = &'a Network>,
    ) -> FactsQuery {
        let mut query = FactsQuery::of_running(defs);
        query.backend = Some(self.backend);
        query.filters.user_chains = self.finds_user_chains;
        query
    }
}

/// How firewall rules are set: as configured, else the best that the host has.
///
/// # Errors
/// Number 1 if the host does not have it, or has none.
pub(crate) async fn firewall<H: Host>(
    config: &DriverConfig,
    layout: &Layout,
    host: &H,
) -> Result<Firewall> {
    let backend = backend(config, layout, host).await?;
    let is_nftables = backend == FirewallBackend::Nftables;
    let finds_user_chains = is_nftables && config.firewall_coexist == Coexist::Insert;
    let owns_table = is_nftables && config.firewall_table_owner && host.can_own_table().await;
    if is_nftables && config.firewall_table_owner && !owns_table {
        tracing::warn!("ignoring firewall_table_owner: the kernel has no owned tables");
    }
    Ok(Firewall { backend, finds_user_chains, owns_table })
}

async fn backend<H: Host>(
    config: &DriverConfig,
    layout: &Layout,
    host: &H,
) -> Result<FirewallBackend> {
    let fail = |detail: String| Error::new(ErrorCode::INTERNAL_ERROR, ErrorDomain::NETWORK, detail);
    let backend = match config.firewall_backend {
        // An unprivileged user cannot set any.
        None if layout.is_session() => FirewallBackend::None,
        None => {
            let found = host.backends().await.into_iter().next();
            found.ok_or_else(|| fail("could not find a usable firewall backend".to_owned()))?
        }
        Some(FirewallBackend::None) => FirewallBackend::None,
        Some(asked) if host.backends().await.contains(&asked) => asked,
        Some(asked) => {
            let word = asked.as_str();
            return Err(fail(format!("requested firewall_backend '{word}' is not available")));
        }
    };
    tracing::debug!(backend = backend.as_str(), "firewall rules");
    Ok(backend)
}
