//! Links, addresses, routes and traffic control, by rtnetlink.

use std::collections::{BTreeMap, BTreeSet};

use ipnet::IpNet;
use oxivirt_netlink::{Bridge, Link, LinkKind, Queues, Route, Stp};
use oxivirt_nft::Family;
use oxivirt_sys::chain;
use oxivirt_types::link_name::LinkName;

use super::LinuxHost;
use crate::apply::HostError;
use crate::apply::host::{Links, Queueing};
use crate::components::bridge::BridgePort;
use crate::components::qos::{OnFailure, QueueCommand};
use crate::components::routes::RouteState;

/// `ESRCH`: there is no such route.
const NO_ROUTE: i32 = 3;
/// `EADDRNOTAVAIL`: the link does not have the address.
const NO_ADDRESS: i32 = 99;

impl Links for LinuxHost {
    async fn create_bridge(&self, bridge: &Bridge) -> Result<(), HostError> {
        Ok(self.links.create_bridge(bridge).await?)
    }

    async fn delete_bridge(
        &self,
        name: &LinkName,
        address: Option<[u8; 6]>,
    ) -> Result<(), HostError> {
        let Some(link) = self.links.link(name).await? else { return Ok(()) };
        let is_ours = address.is_none_or(|address| link.address == address);
        if link.kind != LinkKind::Bridge || !is_ours {
            tracing::warn!(%name, "not deleting link: it is no bridge of ours (kind or MAC address differs)");
            return Ok(());
        }
        match self.links.delete_link(link.index).await {
            // It was deleted meanwhile.
            Err(error) if error.is_no_device() => Ok(()),
            other => Ok(other?),
        }
    }

    async fn set_mtu(&self, link: &LinkName, mtu: u32) -> Result<(), HostError> {
        Ok(self.links.set_mtu(link, mtu).await?)
    }

    async fn set_up(&self, link: &LinkName) -> Result<(), HostError> {
        Ok(self.links.set_up(link).await?)
    }

    async fn filter_vlans(&self, link: &LinkName) -> Result<(), HostError> {
        Ok(self.links.filter_vlans(link).await?)
    }

    /// While a spanning tree protocol runs, a new port listens and learns for twice the forward delay,
    /// 4 s at least, before it forwards. A port that forwards already when the protocol is switched on
    /// goes on forwarding.
    async fn attach_ports(
        &self,
        bridge: &LinkName,
        stp: Stp,
        ports: &[BridgePort],
    ) -> Result<(), HostError> {
        let index = self.index(bridge).await?;
        if stp == Stp::On {
            self.links.set_stp(bridge, Stp::Off).await?;
        }
        let mut attached = Ok(());
        for port in ports {
            attached = attached.and(self.attach_port(index, port).await);
        }
        if stp == Stp::On {
            self.links.set_stp(bridge, Stp::On).await?;
        }
        attached
    }

    async fn add_address(&self, link: &LinkName, address: IpNet) -> Result<(), HostError> {
        let index = self.index(link).await?;
        Ok(self.links.add_address(index, link, address).await?)
    }

    async fn remove_address(&self, link: &LinkName, address: IpNet) -> Result<(), HostError> {
        let index = self.index(link).await?;
        match self.links.remove_address(index, address).await {
            Err(error) if error.errno() != Some(NO_ADDRESS) => Err(error.into()),
            _ => Ok(()),
        }
    }

    async fn add_route(&self, link: &LinkName, route: &RouteState) -> Result<(), HostError> {
        let route = self.route(link, route).await?;
        Ok(self.links.add_route(&route).await?)
    }

    async fn remove_route(&self, link: &LinkName, route: &RouteState) -> Result<(), HostError> {
        let route = self.route(link, route).await?;
        match self.links.remove_route(&route).await {
            Err(error) if error.errno() != Some(NO_ROUTE) => Err(error.into()),
            _ => Ok(()),
        }
    }

    async fn all_links(&self) -> Result<Vec<Link>, HostError> {
        Ok(self.links.links().await?)
    }

    async fn addresses(&self) -> Result<BTreeSet<(u32, IpNet)>, HostError> {
        Ok(self.links.all_addresses().await?.into_iter().collect())
    }

    async fn routes(&self, family: Family) -> Result<Vec<Route>, HostError> {
        Ok(self.links.routes(family).await?)
    }

    fn has_link(&self, name: &str) -> bool {
        oxivirt_netlink::has_link(name)
    }

    fn is_virtual_function(&self, address: &str) -> bool {
        self.sysfs.is_virtual_function(address)
    }
}

impl Queueing for LinuxHost {
    async fn change_queues(
        &self,
        link: &LinkName,
        commands: &[QueueCommand],
    ) -> Result<(), HostError> {
        let index = self.index(link).await?;
        for QueueCommand { change, on_failure } in commands {
            let Err(source) = self.links.change_queue(index, change).await else { continue };
            let command = change.words(link.as_str());
            match on_failure {
                OnFailure::Fail => return Err(HostError::Queue { command, source }),
                OnFailure::Warn => {
                    tracing::warn!(
                        command,
                        error = chain::text(&source),
                        "cannot change traffic control: limits may be less exact"
                    );
                }
                OnFailure::Ignore => {}
            }
        }
        Ok(())
    }

    async fn queues(&self) -> Result<BTreeMap<u32, Queues>, HostError> {
        Ok(self.links.queues().await?)
    }
}

impl LinuxHost {
    pub(super) async fn index(&self, link: &LinkName) -> Result<u32, HostError> {
        let found = self.links.link(link).await?;
        found.map(|found| found.index).ok_or_else(|| HostError::NoLink { link: link.to_string() })
    }

    async fn route(&self, link: &LinkName, route: &RouteState) -> Result<Route, HostError> {
        Ok(Route {
            destination: route.destination,
            gateway: Some(route.gateway),
            link: Some(self.index(link).await?),
            metric: route.metric,
            protocol: 0,
        })
    }

    async fn attach_port(&self, bridge: u32, port: &BridgePort) -> Result<(), HostError> {
        let name = &port.link;
        match self.links.set_controller(name, bridge).await {
            Err(error) if error.is_no_device() => {
                tracing::warn!(port = %name, "not attaching port: the link is gone");
                return Ok(());
            }
            other => other?,
        }
        let Some(link) = self.links.link(name).await? else { return Ok(()) };
        if let Some(settings) = port.settings.difference(&link.port)
            && let Err(error) = self.links.set_port(link.index, &settings).await
        {
            let error = chain::text(&error);
            tracing::warn!(port = %name, error, "port attached without all its settings");
        }
        Ok(())
    }
}
