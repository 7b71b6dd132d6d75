//! What is there of what networks want.

use std::collections::{BTreeMap, BTreeSet};

use crate::dnsmasq::Launch;
use ipnet::IpNet;
use oxivirt_netlink::{Bridge, Link, LinkKind};
use oxivirt_nft::Family;
use oxivirt_sys::file;

use super::{LinuxHost, find, is_set};
use crate::apply::HostError;
use crate::plan::provision::{DnsmasqState, LinkState, RouteState};
use crate::plan::{FileImage, Provision, Rules, nftables};

impl LinuxHost {
    /// Which of the links' states are there.
    pub(super) async fn observe_links(
        &self,
        wanted: &[&Provision],
        found: &mut [Provision],
    ) -> Result<(), HostError> {
        if wanted.iter().all(|want| want.link.is_none() && want.shaping.is_none()) {
            return Ok(());
        }
        let links = self.links.links().await?;
        let links: BTreeMap<_, _> = links.iter().map(|link| (link.name.as_str(), link)).collect();
        let addresses: BTreeSet<_> = self.links.all_addresses().await?.into_iter().collect();
        let queues = match wanted.iter().any(|want| want.shaping.is_some()) {
            true => self.links.queues().await?,
            false => BTreeMap::new(),
        };
        for (want, found) in wanted.iter().zip(found) {
            if let Some(want) = &want.link
                && let Some(link) = links.get(want.name.as_str())
            {
                found.link = observe_link(want, link, &addresses);
            }
            if let Some(want) = &want.shaping
                && let Some(link) = links.get(want.link.as_str())
            {
                let queues = queues.get(&link.index).copied().unwrap_or_default();
                let is_there = (!want.has_tree() || queues.has_tree)
                    && (want.hook().is_none() || queues.hook == want.hook());
                found.shaping = is_there.then(|| want.clone());
            }
        }
        Ok(())
    }

    pub(super) async fn observe_routes(
        &self,
        wanted: &[&Provision],
        found: &mut [Provision],
    ) -> Result<(), HostError> {
        let mut there = Vec::new();
        for family in [Family::Ipv4, Family::Ipv6] {
            let of_family = |route: &RouteState| Family::of_net(&route.destination) == family;
            if wanted.iter().flat_map(|want| &want.routes).any(of_family) {
                there.extend(self.links.routes(family).await?);
            }
        }
        for (want, found) in wanted.iter().zip(found) {
            let is_there = |route: &&RouteState| {
                there.iter().any(|other| {
                    other.destination == route.destination
                        && other.gateway == Some(route.gateway)
                        && other.metric == route.metric
                })
            };
            found.routes = want.routes.iter().filter(is_there).cloned().collect();
        }
        Ok(())
    }

    pub(super) async fn observe_rules(
        &self,
        wanted: &[&Provision],
        found: &mut [Provision],
    ) -> Result<(), HostError> {
        let mut rules = wanted.iter().filter_map(|want| want.rules.as_ref());
        let is_iptables = |rules: &Rules| matches!(rules, Rules::Iptables(_));
        let table = match rules.clone().any(|rules| !is_iptables(rules)) {
            true => self.nft()?.observe(nftables::TABLE).await?,
            false => None,
        };
        let mut listings = BTreeMap::new();
        if rules.any(is_iptables) {
            for family in [Family::Ipv4, Family::Ipv6] {
                listings.insert(family, self.xtables.list(family).await?);
            }
        }
        let mut superseded = Vec::new();
        for want in wanted {
            if let Some(Rules::Nftables(load)) = &want.rules {
                superseded.extend(load.supersedes.iter().cloned());
            }
        }
        // Of libvirt nothing may be there beside ours.
        let left = match superseded.is_empty() {
            true => Vec::new(),
            false => self.nft()?.observe_libvirt(superseded.clone()).await?,
        };
        let passages = wanted.iter().filter_map(|want| match &want.rules {
            Some(Rules::Nftables(load)) => Some(&load.passages),
            _ => None,
        });
        let passages: Vec<_> = passages.flatten().cloned().collect();
        let complete = match passages.is_empty() {
            true => Vec::new(),
            false => self.nft()?.observe_passages(passages.clone()).await?,
        };
        let complete = passages.iter().zip(complete).filter(|(_, is_complete)| *is_complete);
        let complete: Vec<_> = complete.map(|(passage, _)| passage).collect();
        let mut left = superseded.iter().zip(left).filter(|(_, is_there)| *is_there);
        let left: Vec<_> = left.by_ref().map(|(network, _)| network).collect();
        let holds = |rules: &Rules| match rules {
            Rules::Nftables(load) => {
                table.as_ref().is_some_and(|table| table.holds(&load.transaction))
                    && !load.supersedes.iter().any(|network| left.contains(&network))
                    && load.passages.iter().all(|passage| complete.contains(&passage))
            }
            Rules::Iptables(rules) => listings.iter().all(|(family, listing)| {
                let of_family = rules.iter().filter(|rule| rule.family == *family);
                listing.holds(&of_family.cloned().collect::<Vec<_>>())
            }),
        };
        for (want, found) in wanted.iter().zip(found) {
            found.rules = want.rules.clone().filter(holds);
        }
        Ok(())
    }
}

/// What is there of a bridge; nothing if its name belongs to something else.
fn observe_link(
    want: &LinkState,
    link: &Link,
    addresses: &BTreeSet<(u32, IpNet)>,
) -> Option<LinkState> {
    let is_meant = |bridge: &Bridge| {
        link.kind == LinkKind::Bridge && link.address.as_slice() == bridge.address.as_slice()
    };
    if want.bridge.as_ref().is_some_and(|bridge| !is_meant(bridge)) {
        return None;
    }
    let has = |address: &&IpNet| addresses.contains(&(link.index, **address));
    Some(LinkState {
        name: want.name.clone(),
        bridge: want.bridge.clone(),
        mtu: want.mtu.filter(|mtu| *mtu == link.mtu),
        settings: want.settings.iter().filter(|sysctl| is_set(sysctl)).cloned().collect(),
        addresses: want.addresses.iter().filter(has).copied().collect(),
        vlan_filtering: link.filters_vlans,
        is_up: link.is_up,
        // Whoever took a port from a bridge that is there wanted it so.
        ports: want.ports.clone(),
    })
}

/// What is there of a dnsmasq; nothing unless it runs.
pub(super) fn observe_dnsmasq(want: &DnsmasqState) -> Option<DnsmasqState> {
    let process = find(&want.launch.conf_file, &want.pid_file)?;
    let launch = Launch { servers_file: process.servers_file(), ..want.launch.clone() };
    let on_disk = |file: &FileImage| {
        let content = file::read(&file.path, u64::MAX).ok().flatten()?;
        Some(FileImage { content, ..file.clone() })
    };
    let conf = on_disk(&want.conf)
        .unwrap_or_else(|| FileImage { content: Vec::new(), ..want.conf.clone() });
    Some(DnsmasqState {
        conf,
        hosts: want.hosts.iter().filter_map(on_disk).collect(),
        launch,
        ..want.clone()
    })
}
