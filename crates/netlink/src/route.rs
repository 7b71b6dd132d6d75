//! Routes of the main table.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use futures::TryStreamExt as _;
use ipnet::IpNet;
use netlink_packet_route::route::{
    RouteAddress, RouteAttribute, RouteMessage, RouteProtocol, RouteScope,
};
use rtnetlink::RouteMessageBuilder;

use super::{Handle, NetlinkError, refused};
use oxivirt_types::ip::Family;

/// A route of the main table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Route {
    /// Where packets go to.
    pub destination: IpNet,
    /// The next router.
    pub gateway: Option<IpAddr>,
    /// Index of the link they leave through.
    pub link: Option<u32>,
    /// Among routes to the same destination the smallest wins.
    pub metric: u32,
    /// Who made it, an `RTPROT_…` number; only read, routes of ours get `RTPROT_BOOT`.
    pub protocol: u8,
}

/// `RT_TABLE_MAIN`
const TABLE_MAIN: u8 = 254;

impl Handle {
    /// The routes of the main table, for one IP version.
    ///
    /// # Errors
    /// [`NetlinkError`] if the kernel cannot be asked.
    pub async fn routes(&self, family: Family) -> Result<Vec<Route>, NetlinkError> {
        let filter = match family {
            Family::Ipv4 => RouteMessageBuilder::<Ipv4Addr>::new().build(),
            Family::Ipv6 => RouteMessageBuilder::<Ipv6Addr>::new().build(),
        };
        let _one = self.listing.lock().await;
        let messages = self.route.route().get(filter).execute().try_collect::<Vec<_>>().await;
        let messages = messages.map_err(refused("list routes"))?;
        Ok(messages
            .iter()
            .filter(|m| m.header.table == TABLE_MAIN)
            .map(|m| read(m, family))
            .collect())
    }

    /// Adds a route to the main table; an error if it exists.
    ///
    /// # Errors
    /// [`NetlinkError::Refused`] if the kernel does.
    pub async fn add_route(&self, route: &Route) -> Result<(), NetlinkError> {
        let action = format!("add a route to {}", route.destination);
        let message =
            message(route).ok_or_else(|| NetlinkError::Answer { action: action.clone() })?;
        self.route.route().add(message).execute().await.map_err(refused(action))
    }

    /// Removes a route from the main table.
    ///
    /// # Errors
    /// [`NetlinkError::Refused`] with ESRCH if there is none.
    pub async fn remove_route(&self, route: &Route) -> Result<(), NetlinkError> {
        let action = format!("remove the route to {}", route.destination);
        let message =
            message(route).ok_or_else(|| NetlinkError::Answer { action: action.clone() })?;
        self.route.route().del(message).execute().await.map_err(refused(action))
    }
}

/// `None` if destination and gateway are of different IP versions.
fn message(route: &Route) -> Option<RouteMessage> {
    let mut builder = RouteMessageBuilder::<IpAddr>::new()
        .destination_prefix(route.destination.addr(), route.destination.prefix_len())
        .ok()?
        .protocol(RouteProtocol::Boot)
        .scope(RouteScope::Universe)
        .priority(route.metric);
    if let Some(gateway) = route.gateway {
        builder = builder.gateway(gateway).ok()?;
    }
    if let Some(index) = route.link {
        builder = builder.output_interface(index);
    }
    Some(builder.build())
}

fn read(message: &RouteMessage, family: Family) -> Route {
    let any = match family {
        Family::Ipv4 => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
        Family::Ipv6 => IpAddr::V6(Ipv6Addr::UNSPECIFIED),
    };
    let (mut destination, mut gateway, mut link, mut metric) = (any, None, None, 0);
    for attribute in &message.attributes {
        match attribute {
            RouteAttribute::Destination(to) => destination = address(to).unwrap_or(any),
            RouteAttribute::Gateway(via) => gateway = address(via),
            RouteAttribute::Oif(index) => link = Some(*index),
            RouteAttribute::Priority(priority) => metric = *priority,
            _ => {}
        }
    }
    let destination = IpNet::new(destination, message.header.destination_prefix_length)
        .unwrap_or_else(|_| IpNet::from(destination));
    Route { destination, gateway, link, metric, protocol: message.header.protocol.into() }
}

fn address(address: &RouteAddress) -> Option<IpAddr> {
    match address {
        RouteAddress::Inet(address) => Some(IpAddr::V4(*address)),
        RouteAddress::Inet6(address) => Some(IpAddr::V6(*address)),
        _ => None,
    }
}
