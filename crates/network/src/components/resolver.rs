//! The network's domain, as the host's resolver knows it.

use std::net::IpAddr;

use oxivirt_conf::YesNo;
use oxivirt_nft::Family;
use oxivirt_types::link_name::LinkName;

use crate::network::Network;
use crate::plan::Step;

/// What systemd-resolved knows about a link.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Registration {
    /// The network's domain.
    pub domain: String,
    /// Where its names are known.
    pub servers: Vec<IpAddr>,
}

/// The domain of a definition, if it is to be registered.
///
/// libvirt registers the first address of each family.
pub(super) fn desired(network: &Network) -> Option<Registration> {
    let is_wanted = network.domain.register == Some(YesNo::Yes);
    let domain = network.domain.name.clone().filter(|_| is_wanted)?;
    let first = |family| network.ips.iter().find(|ip| ip.family() == family);
    let servers = [Family::Ipv4, Family::Ipv6].into_iter().filter_map(first);
    let servers = servers.filter_map(|ip| Some(ip.interface()?.addr())).collect();
    Some(Registration { domain, servers })
}

/// The resolver is not asked: asking costs as much as registering, and it forgets with the link.
pub(super) fn observe(want: Option<&Registration>, has_link: bool) -> Option<Registration> {
    want.filter(|_| has_link).cloned()
}

pub(super) fn diff(
    have: Option<&Registration>,
    want: Option<&Registration>,
    link: Option<&LinkName>,
) -> Vec<Step> {
    match (link, want) {
        (Some(link), Some(want)) if have != Some(want) => {
            vec![Step::RegisterDomain { link: link.clone(), registration: want.clone() }]
        }
        _ => Vec::new(),
    }
}
