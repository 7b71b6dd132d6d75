//! Addresses of links.

use std::net::{IpAddr, Ipv4Addr};

use futures::TryStreamExt as _;
use ipnet::IpNet;
use netlink_packet_route::address::AddressAttribute;

use super::{Handle, NetlinkError, refused};
use oxivirt_types::link_name::LinkName;

impl Handle {
    /// Gives a link an address. The prefix length of `net` is that of the link's network.
    ///
    /// IPv4 addresses get the broadcast address that follows from the prefix.
    ///
    /// # Errors
    /// [`NetlinkError::Refused`] with EEXIST if the link has it, or another reason of the kernel.
    pub async fn add_address(
        &self,
        index: u32,
        link: &LinkName,
        net: IpNet,
    ) -> Result<(), NetlinkError> {
        let mut request = self.route.address().add(index, net.addr(), net.prefix_len());
        let attributes = &mut request.message_mut().attributes;
        attributes.retain(|attribute| !matches!(attribute, AddressAttribute::Broadcast(_)));
        if let IpNet::V4(net) = net {
            let broadcast: Ipv4Addr = net.broadcast();
            attributes.push(AddressAttribute::Broadcast(broadcast));
        }
        request.execute().await.map_err(refused(format!("add address {net} to {link}")))
    }

    /// Takes an address from a link.
    ///
    /// # Errors
    /// [`NetlinkError::Refused`] with EADDRNOTAVAIL if the link does not have it.
    pub async fn remove_address(&self, index: u32, net: IpNet) -> Result<(), NetlinkError> {
        let mut request = self.route.address().add(index, net.addr(), net.prefix_len());
        let message = request.message_mut().clone();
        let removed = self.route.address().del(message).execute().await;
        removed.map_err(refused(format!("remove address {net}")))
    }

    /// The addresses of a link with their prefix lengths, link-local ones included.
    ///
    /// # Errors
    /// [`NetlinkError`] if the kernel cannot be asked.
    pub async fn addresses(&self, index: u32) -> Result<Vec<IpNet>, NetlinkError> {
        let found = self.all_addresses().await?;
        Ok(found.into_iter().filter(|(link, _)| *link == index).map(|(_, net)| net).collect())
    }

    /// All addresses with the links that have them.
    ///
    /// # Errors
    /// [`NetlinkError`] if the kernel cannot be asked.
    pub async fn all_addresses(&self) -> Result<Vec<(u32, IpNet)>, NetlinkError> {
        let _one = self.listing.lock().await;
        let request = self.route.address().get().execute();
        let messages = request.try_collect::<Vec<_>>().await.map_err(refused("list addresses"))?;
        let mut found = Vec::with_capacity(messages.len());
        for message in messages {
            let mut address: Option<IpAddr> = None;
            for attribute in &message.attributes {
                match attribute {
                    // Of a pair, the local end is ours.
                    AddressAttribute::Local(local) => address = Some(*local),
                    AddressAttribute::Address(peer) => address = address.or(Some(*peer)),
                    _ => {}
                }
            }
            let net =
                address.and_then(|address| IpNet::new(address, message.header.prefix_len).ok());
            found.extend(net.map(|net| (message.header.index, net)));
        }
        Ok(found)
    }
}
