//! What a planner asks about the host.

use std::path::PathBuf;

use ipnet::IpNet;
use oxivirt_util::link_name::LinkName;
use oxivirt_util::netlink::LinkKind;

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
    /// Whether dnsmasq will be started.
    pub needs_dnsmasq: bool,
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
}

/// A route of the host that overlaps with what a network brings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Collision {
    /// Where the route leads.
    pub destination: IpNet,
    /// Through which link.
    pub link: String,
}
