//! What a planner needs to know about the host.

use std::fs;
use std::path::PathBuf;
use std::sync::PoisonError;
use std::time::SystemTime;

use ipnet::IpNet;
use oxivirt_conf::network::ForwardDevice;
use oxivirt_conf::status::FirewallBackend;
use oxivirt_netlink::Route;
use oxivirt_nft::user_chain::DroppingChain;
use oxivirt_nft::{Family, libvirt};
use oxivirt_sys::{chain, command};

use super::LinuxHost;
use super::files::read_setting;
use crate::apply::HostError;
use crate::apply::host::Settings as _;
use crate::dnsmasq;
use crate::plan::{Collision, FactsQuery, Firewalld, HostFacts, PoolQuery, nftables};

/// `RTPROT_RA`
const PROTOCOL_RA: u8 = 9;

impl LinuxHost {
    pub(super) async fn find_facts(&self, query: &FactsQuery) -> Result<HostFacts, HostError> {
        let link = match &query.bridge {
            Some(name) => self.links.link(name).await?,
            None => None,
        };
        if query.needs_rules && query.backend.is_none_or(|b| b == FirewallBackend::Nftables) {
            // Fails where the kernel has no nftables, before anything is changed. For lack of
            // privileges the bridge fails first, with the message that people know.
            match self.nft()?.generation().await {
                Err(error) if !error.is_not_permitted() => return Err(error.into()),
                _ => {}
            }
        }
        let servers = if query.needs_dnsmasq { name_servers() } else { None };
        Ok(HostFacts {
            bridge: link.map(|link| link.kind),
            collisions: self.collisions(query).await?,
            ra_links: if query.forwards_ipv6 { self.ra_links().await? } else { Vec::new() },
            dnsmasq: if query.needs_dnsmasq { self.dnsmasq().await? } else { None },
            lacks_resolv_conf: query.needs_dnsmasq && servers.is_none(),
            servers: servers.unwrap_or_default(),
            inotify_limit: if query.needs_dnsmasq { inotify_limit() } else { 0 },
            pool: query.pool.as_ref().map(|query| self.pool(query)).unwrap_or_default(),
            has_checksum: query.needs_dnsmasq && self.has_checksum(query.backend).await,
            user_chains: match query.filters.user_chains {
                true => self.nft()?.user_chains().await?,
                false => Vec::new(),
            },
            firewalld: match query.filters.zones.filter(|_| self.is_privileged) {
                Some(patience) => self.firewalld.says(patience).await,
                None => Firewalld::Absent,
            },
            drops: if query.filters.drops { self.drops().await } else { Vec::new() },
            is_privileged: self.is_privileged,
            unset: query.settings.iter().filter(|sysctl| !self.is_set(sysctl)).cloned().collect(),
        })
    }

    /// Base chains of other programs that drop packets which no rule accepts; none if the kernel cannot be asked.
    async fn drops(&self) -> Vec<DroppingChain> {
        let chains = match self.nft() {
            Ok(nft) => nft.dropping_chains().await,
            Err(error) => Err(error),
        };
        let is_foreign = |chain: &DroppingChain| {
            ![nftables::TABLE, libvirt::TABLE].contains(&chain.table.as_str())
        };
        chains.unwrap_or_default().into_iter().filter(is_foreign).collect()
    }

    /// The dnsmasq program, if it is there and new enough.
    async fn dnsmasq(&self) -> Result<Option<PathBuf>, HostError> {
        let Some(program) = command::find_in_path("dnsmasq", &self.search_path) else {
            return Ok(None);
        };
        let changed =
            program.metadata().and_then(|meta| meta.modified()).unwrap_or(SystemTime::UNIX_EPOCH);
        let this = Some((program.clone(), changed));
        if *self.dnsmasq.lock().unwrap_or_else(PoisonError::into_inner) != this {
            dnsmasq::check_version(&program).await?;
            *self.dnsmasq.lock().unwrap_or_else(PoisonError::into_inner) = this;
        }
        Ok(Some(program))
    }

    async fn collisions(&self, query: &FactsQuery) -> Result<Vec<Collision>, HostError> {
        let mut collisions = Vec::new();
        for family in [Family::Ipv4, Family::Ipv6] {
            let wanted: Vec<_> =
                query.destinations.iter().filter(|net| Family::of_net(net) == family).collect();
            if wanted.is_empty() {
                continue;
            }
            for route in self.links.routes(family).await? {
                if wanted.iter().any(|net| overlap(net, &route)) {
                    let link = self.name_of(&route).await?;
                    collisions.push(Collision { destination: route.destination, link });
                }
            }
        }
        Ok(collisions)
    }

    async fn name_of(&self, route: &Route) -> Result<String, HostError> {
        let link = match route.link {
            Some(index) => self.links.link_by_index(index).await?,
            None => None,
        };
        Ok(link.map(|link| link.name).unwrap_or_default())
    }

    /// Links with routes from router advertisements that forwarding would make them lose.
    async fn ra_links(&self) -> Result<Vec<String>, HostError> {
        let mut names = Vec::new();
        for route in self.links.routes(Family::Ipv6).await? {
            if route.protocol != PROTOCOL_RA {
                continue;
            }
            let name = self.name_of(&route).await?;
            // Over-ruled by `all`; 2 accepts advertisements although forwarding.
            let accepts = |link: &str| read_setting(&format!("net/ipv6/conf/{link}/accept_ra"));
            let loses = match accepts(&name).as_deref() {
                Some("1") => true,
                Some("0") => accepts("all").as_deref() == Some("1"),
                _ => false,
            };
            if loses && !names.contains(&name) {
                names.push(name);
            }
        }
        Ok(names)
    }

    /// Whether checksums of DHCP answers can be filled in. Asked once: it stays as it is.
    async fn has_checksum(&self, backend: Option<FirewallBackend>) -> bool {
        if backend == Some(FirewallBackend::Iptables) {
            return self.xtables.has_checksum().await;
        }
        *self
            .has_checksum
            .get_or_init(|| async {
                let answer = self.links.has_action("csum").await;
                if !matches!(answer, Ok(true)) {
                    let error = answer.as_ref().err().map(|error| chain::text(error));
                    tracing::warn!(
                        error,
                        "the kernel has no act_csum, checksums of DHCP answers are not filled in: guests with \
                         old DHCP clients may take no address"
                    );
                }
                answer.unwrap_or(false)
            })
            .await
    }

    fn pool(&self, query: &PoolQuery) -> Vec<ForwardDevice> {
        let functions = self.sysfs.virtual_functions(&query.pf).into_iter();
        if query.is_hostdev {
            let address = functions.filter_map(|function| function.address.parse().ok());
            return address.map(ForwardDevice::Pci).collect();
        }
        functions.filter_map(|function| function.interface.map(ForwardDevice::Interface)).collect()
    }
}

/// The name servers of `/etc/resolv.conf`, as lines for dnsmasq; `None` if it cannot be read.
fn name_servers() -> Option<String> {
    let text = fs::read("/etc/resolv.conf").ok()?;
    let text = String::from_utf8_lossy(&text);
    let servers = text.lines().filter_map(|line| {
        let mut words = line.split_whitespace();
        words.next().filter(|word| *word == "nameserver").and_then(|_| words.next())
    });
    Some(servers.map(|server| format!("server={server}\n")).collect())
}

fn inotify_limit() -> usize {
    let limit = read_setting("fs/inotify/max_user_instances");
    limit.and_then(|text| text.parse().ok()).unwrap_or(0)
}

fn overlap(net: &IpNet, route: &Route) -> bool {
    // A default route overlaps everything and collides with nothing.
    route.destination.prefix_len() > 0
        && (net.contains(&route.destination) || route.destination.contains(net))
}
