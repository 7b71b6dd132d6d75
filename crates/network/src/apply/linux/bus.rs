//! Services on the system bus: firewalld's zones and systemd-resolved.

use std::collections::BTreeMap;

use oxivirt_sys::chain;
use oxivirt_sys::resolved::{self, ResolvedError};
use oxivirt_types::link_name::LinkName;

use super::LinuxHost;
use crate::apply::HostError;
use crate::apply::host::{Resolver, Zones};
use crate::components::resolver::Registration;

impl Zones for LinuxHost {
    async fn zones_of_links(&self) -> Option<BTreeMap<String, String>> {
        self.firewalld.zones_of_links().await
    }

    async fn join_zone(&self, link: &LinkName, zone: &str) -> Result<(), HostError> {
        self.firewalld.join(zone, link.as_str()).await
    }

    async fn leave_zone(&self, link: &LinkName) {
        self.firewalld.leave(link.as_str()).await;
    }
}

impl Resolver for LinuxHost {
    async fn register_domain(
        &self,
        link: &LinkName,
        registration: &Registration,
    ) -> Result<(), HostError> {
        let index = self.index(link).await?;
        let Registration { domain, servers } = registration;
        resolved::register(index, domain, servers).await.map_err(|error| HostError::Resolver {
            link: link.to_string(),
            domain: domain.clone(),
            reason: chain::text(&error),
            is_absent: matches!(error, ResolvedError::Absent(_)),
        })
    }
}
