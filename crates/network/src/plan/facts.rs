//! What a planner asks about the host.

use std::path::PathBuf;
use std::time::Duration;

use ipnet::IpNet;
use oxivirt_conf::network::ForwardDevice;
use oxivirt_conf::status::FirewallBackend;
use oxivirt_netlink::LinkKind;
use oxivirt_nft::user_chain::{DroppingChain, UserChain};
use oxivirt_types::link_name::LinkName;

use super::{Sysctl, dnsmasq};
use crate::components::zone;
use crate::network::Network;

/// What a plan will depend on; the host looks at nothing else.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FactsQuery {
    /// The bridge to be made.
    pub bridge: Option<LinkName>,
    /// Subnets and routes that the network brings.
    pub destinations: Vec<IpNet>,
    /// Whether IPv6 forwarding will be turned on.
    pub forwards_ipv6: bool,
    /// Whether rules will be loaded.
    pub needs_rules: bool,
    /// By which backend, if it is not nftables.
    pub backend: Option<FirewallBackend>,
    /// What is asked about filters of other programs.
    pub filters: FilterQuery,
    /// Whether dnsmasq will be started.
    pub needs_dnsmasq: bool,
    /// Settings of the whole host that will be changed.
    pub settings: Vec<Sysctl>,
    /// The virtual functions that guests will be given.
    pub pool: Option<PoolQuery>,
}

impl FactsQuery {
    /// What a plan for networks that run depends on.
    #[must_use]
    pub fn of_running<'a>(networks: impl IntoIterator<Item = &'a Network>) -> Self {
        let mut query = Self::default();
        for network in networks {
            query.needs_dnsmasq |= dnsmasq::is_needed(network);
            if zone::is_wanted(network) {
                query.filters.zones = Some(RUNNING_TIMEOUT);
            }
        }
        query
    }

    /// Whether a link exists.
    #[must_use]
    pub fn of_link(link: LinkName) -> Self {
        Self { bridge: Some(link), ..Self::default() }
    }

    /// The zones of firewalld, if one may have the bridge.
    #[must_use]
    pub fn of_zone(network: &Network) -> Self {
        let zones = zone::is_wanted(network).then_some(RUNNING_TIMEOUT);
        Self { filters: FilterQuery { zones, ..FilterQuery::default() }, ..Self::default() }
    }

    /// Asks for base chains of other programs that drop packets, too.
    #[must_use]
    pub const fn with_drops(mut self) -> Self {
        self.filters.drops = true;
        self
    }
}

/// What is asked about filters of other programs.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct FilterQuery {
    /// Those that drop packets which no rule accepts.
    pub drops: bool,
    /// Chains that are left to the administrator.
    pub user_chains: bool,
    /// The zones of a firewalld, and how long it may take to answer.
    pub zones: Option<Duration>,
}

/// How long a firewalld may take to list its zones for a network that starts, as D-Bus libraries wait.
pub const START_TIMEOUT: Duration = Duration::from_secs(25);
/// How long it may take if a network runs already: its zone waits until firewalld says that it is back,
/// all else does not.
pub const RUNNING_TIMEOUT: Duration = Duration::from_secs(2);

/// Which virtual functions are asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PoolQuery {
    /// The physical function.
    pub pf: String,
    /// Whether guests get PCI devices, else interfaces.
    pub is_hostdev: bool,
}

/// The host as a planner sees it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct HostFacts {
    /// What has the bridge's name already.
    pub bridge: Option<LinkKind>,
    /// Routes of the host that overlap with [`FactsQuery::destinations`].
    pub collisions: Vec<Collision>,
    /// Links that would lose their routes if IPv6 forwarding were turned on.
    pub ra_links: Vec<String>,
    /// The dnsmasq program.
    pub dnsmasq: Option<PathBuf>,
    /// The host's name servers, as lines for dnsmasq.
    pub servers: String,
    /// Whether `/etc/resolv.conf` cannot be read, without which a dnsmasq that follows it by itself does
    /// not start.
    pub lacks_resolv_conf: bool,
    /// How many inotify instances a user may have.
    pub inotify_limit: usize,
    /// The virtual functions of [`FactsQuery::pool`].
    pub pool: Vec<ForwardDevice>,
    /// Those of [`FactsQuery::settings`] that have another value.
    pub unset: Vec<Sysctl>,
    /// Whether checksums of DHCP answers can be filled in, by the means of the backend.
    pub has_checksum: bool,
    /// Chains that other programs leave to the administrator.
    pub user_chains: Vec<UserChain>,
    /// Base chains of other programs that drop packets which no rule accepts.
    pub drops: Vec<DroppingChain>,
    /// What firewalld says.
    pub firewalld: Firewalld,
    /// Whether rate limits can be set.
    pub is_privileged: bool,
}

/// What a firewalld says.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Firewalld {
    /// None runs.
    #[default]
    Absent,
    /// It knows these zones.
    Knows(Zones),
    /// It runs and does not answer; why.
    Unresponsive(String),
}

impl Firewalld {
    /// Its zones, if it answers.
    #[must_use]
    pub fn zones(&self) -> Option<&Zones> {
        match self {
            Self::Knows(zones) => Some(zones),
            Self::Absent | Self::Unresponsive(_) => None,
        }
    }
}

/// What firewalld knows.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Zones {
    /// The names of its zones.
    pub zones: Vec<String>,
    /// The names of its policies.
    pub policies: Vec<String>,
}

impl Zones {
    /// Whether there is a zone of this name.
    #[must_use]
    pub fn has_zone(&self, name: &str) -> bool {
        self.zones.iter().any(|known| known == name)
    }

    /// Whether there is a policy of this name.
    #[must_use]
    pub fn has_policy(&self, name: &str) -> bool {
        self.policies.iter().any(|known| known == name)
    }
}

/// A route of the host that overlaps with what a network brings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Collision {
    /// Where the route leads.
    pub destination: IpNet,
    /// Through which link.
    pub link: String,
}
