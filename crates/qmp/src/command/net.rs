//! Network devices.

use serde::Deserialize;

use super::{Empty, commands, object_commands};

commands! {
    /// Removes a network backend.
    NetdevDel = "netdev_del" -> Empty {
        /// Its id.
        id: String,
    }

    /// Sets the link of a card.
    SetLink = "set_link" -> Empty {
        /// Id of the device or of the backend.
        name: String,
        /// Whether the link is up.
        up: bool,
    }

    /// Filters that the guest has set on its cards.
    QueryRxFilter = "query-rx-filter" -> Vec<RxFilter> {
        /// One card only.
        #[serde(skip_serializing_if = "Option::is_none")]
        name: Option<String>,
    }
}

object_commands! {
    /// Makes a network backend: `type`, `id` and its properties.
    NetdevAdd = "netdev_add";
}

/// What a card receives.
#[expect(clippy::struct_excessive_bools, reason = "as QEMU returns it")]
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct RxFilter {
    /// The card.
    pub name: String,
    /// It receives everything.
    pub promiscuous: bool,
    /// Groups: `normal`, `none` or `all`.
    pub multicast: String,
    /// Single addresses: `normal`, `none` or `all`.
    pub unicast: String,
    /// VLANs: `normal`, `none` or `all`.
    pub vlan: String,
    /// It receives broadcasts.
    pub broadcast_allowed: bool,
    /// The guest set more groups than the table holds.
    pub multicast_overflow: bool,
    /// The guest set more addresses than the table holds.
    pub unicast_overflow: bool,
    /// The guest's MAC address.
    pub main_mac: String,
    /// VLANs of the table.
    #[serde(default)]
    pub vlan_table: Vec<i64>,
    /// Addresses of the table.
    #[serde(default)]
    pub unicast_table: Vec<String>,
    /// Groups of the table.
    #[serde(default)]
    pub multicast_table: Vec<String>,
}
