//! Links: looking them up, creating bridges, raising and deleting.

use futures::TryStreamExt as _;
use netlink_packet_route::link::{
    BridgeStpState, InfoBridge, InfoData, InfoKind, LinkAttribute, LinkFlags, LinkInfo, LinkMessage,
};
use rtnetlink::{LinkBridge, LinkMessageBuilder, LinkUnspec};

use super::{Handle, NetlinkError, PortSettings, refused};
use oxivirt_types::link_name::LinkName;

/// What the kernel says of a link.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Link {
    /// Interface index, unique in the network namespace and never reused soon.
    pub index: u32,
    /// Its name.
    pub name: String,
    /// Its hardware address, empty if it has none.
    pub address: Vec<u8>,
    /// What kind of link it is.
    pub kind: LinkKind,
    /// Whether it is administratively up.
    pub is_up: bool,
    /// Largest packet in bytes.
    pub mtu: u32,
    /// Index of the bridge or bond that it is a port of.
    pub controller: Option<u32>,
    /// What is set on it as a port of a bridge, but for VLANs.
    pub port: PortSettings,
    /// Whether it is a bridge that keeps VLANs apart.
    pub filters_vlans: bool,
}

/// Kinds of links that make a difference to us.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LinkKind {
    /// A bridge.
    Bridge,
    /// Anything else.
    Other,
}

/// Spanning tree protocol of a bridge.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stp {
    /// Off.
    Off,
    /// The kernel's own.
    On,
}

impl From<Stp> for BridgeStpState {
    fn from(stp: Stp) -> Self {
        match stp {
            Stp::Off => Self::Disabled,
            Stp::On => Self::KernelStp,
        }
    }
}

/// A bridge to be created.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bridge {
    /// Its name.
    pub name: LinkName,
    /// Its hardware address; fixed, so that it does not follow its ports'.
    pub address: [u8; 6],
    /// Spanning tree protocol.
    pub stp: Stp,
    /// Time a port listens before it forwards, in 1/100 s. With STP the kernel raises it to 2 s.
    pub forward_delay: u32,
}

impl Handle {
    /// The link with this name, or `None`.
    ///
    /// # Errors
    /// [`NetlinkError`] if the kernel cannot be asked.
    pub async fn link(&self, name: &LinkName) -> Result<Option<Link>, NetlinkError> {
        let mut found = self.route.link().get().match_name(name.as_str()).execute();
        match found.try_next().await {
            Ok(message) => Ok(message.as_ref().map(read)),
            Err(rtnetlink::Error::NetlinkError(error))
                if error.raw_code() == -nix::libc::ENODEV =>
            {
                Ok(None)
            }
            Err(error) => Err(refused(format!("look up link {name}"))(error)),
        }
    }

    /// The link with this index, or `None`.
    ///
    /// # Errors
    /// [`NetlinkError`] if the kernel cannot be asked.
    pub async fn link_by_index(&self, index: u32) -> Result<Option<Link>, NetlinkError> {
        let mut found = self.route.link().get().match_index(index).execute();
        match found.try_next().await {
            Ok(message) => Ok(message.as_ref().map(read)),
            Err(rtnetlink::Error::NetlinkError(error))
                if error.raw_code() == -nix::libc::ENODEV =>
            {
                Ok(None)
            }
            Err(error) => Err(refused(format!("look up link {index}"))(error)),
        }
    }

    /// All links.
    ///
    /// # Errors
    /// [`NetlinkError`] if the kernel cannot be asked.
    pub async fn links(&self) -> Result<Vec<Link>, NetlinkError> {
        let _one = self.listing.lock().await;
        let messages = self.route.link().get().execute().try_collect::<Vec<_>>().await;
        Ok(messages.map_err(refused("list links"))?.iter().map(read).collect())
    }

    /// Creates a bridge, down; an error if a link of that name exists.
    ///
    /// # Errors
    /// [`NetlinkError::Refused`] with EEXIST, EPERM and so on.
    pub async fn create_bridge(&self, bridge: &Bridge) -> Result<(), NetlinkError> {
        // The kernel applies the delay before it turns STP on, so that zero is accepted.
        let message = LinkMessageBuilder::<LinkBridge>::new(bridge.name.as_str())
            .address(bridge.address.to_vec())
            .set_info_data(InfoData::Bridge(vec![
                InfoBridge::ForwardDelay(bridge.forward_delay),
                InfoBridge::StpState(bridge.stp.into()),
            ]))
            .build();
        let created = self.route.link().add(message).execute().await;
        created.map_err(refused(format!("create bridge {}", bridge.name)))
    }

    /// Sets the MTU, in bytes.
    ///
    /// A bridge takes it only in a message of its own, else its first port would reset it.
    ///
    /// # Errors
    /// [`NetlinkError::Refused`] if the kernel does.
    pub async fn set_mtu(&self, name: &LinkName, mtu: u32) -> Result<(), NetlinkError> {
        let message = LinkUnspec::new_with_name(name.as_str()).mtu(mtu).build();
        self.route
            .link()
            .set(message)
            .execute()
            .await
            .map_err(refused(format!("set MTU of {name} to {mtu}")))
    }

    /// Sets the hardware address.
    ///
    /// # Errors
    /// [`NetlinkError::Refused`] if the kernel does.
    pub async fn set_address(&self, name: &LinkName, address: [u8; 6]) -> Result<(), NetlinkError> {
        let message = LinkUnspec::new_with_name(name.as_str()).address(address.to_vec()).build();
        let set = self.route.link().set(message).execute().await;
        set.map_err(refused(format!("set the hardware address of {name}")))
    }

    /// Whether a bridge runs the spanning tree protocol; `None` without a bridge of this name.
    ///
    /// # Errors
    /// [`NetlinkError`] if the kernel cannot be asked.
    pub async fn stp(&self, bridge: &LinkName) -> Result<Option<Stp>, NetlinkError> {
        let mut found = self.route.link().get().match_name(bridge.as_str()).execute();
        let message = match found.try_next().await {
            Ok(message) => message,
            Err(rtnetlink::Error::NetlinkError(error))
                if error.raw_code() == -nix::libc::ENODEV =>
            {
                return Ok(None);
            }
            Err(error) => return Err(refused(format!("look up link {bridge}"))(error)),
        };
        let attributes = message.into_iter().flat_map(|message| message.attributes);
        let infos = attributes.filter_map(|attribute| match attribute {
            LinkAttribute::LinkInfo(infos) => Some(infos),
            _ => None,
        });
        let data = infos.flatten().find_map(|info| match info {
            LinkInfo::Data(InfoData::Bridge(data)) => Some(data),
            _ => None,
        });
        Ok(data.map(|data| {
            let is_off = |info: &InfoBridge| matches!(info, InfoBridge::StpState(state) if *state == BridgeStpState::Disabled);
            let is_known = data.iter().any(|info| matches!(info, InfoBridge::StpState(_)));
            if is_known && !data.iter().any(is_off) { Stp::On } else { Stp::Off }
        }))
    }

    /// Makes a bridge keep VLANs apart.
    ///
    /// # Errors
    /// [`NetlinkError::Refused`] if the kernel does, with EOPNOTSUPP if it lacks the feature.
    pub async fn filter_vlans(&self, name: &LinkName) -> Result<(), NetlinkError> {
        let message = LinkMessageBuilder::<LinkBridge>::new(name.as_str())
            .set_info_data(InfoData::Bridge(vec![InfoBridge::VlanFiltering(true)]))
            .build();
        let changed = self.route.link().change(message).execute().await;
        changed.map_err(refused(format!("filter VLANs on {name}")))
    }

    /// Raises a link.
    ///
    /// # Errors
    /// [`NetlinkError::Refused`] if the kernel does.
    pub async fn set_up(&self, name: &LinkName) -> Result<(), NetlinkError> {
        let message = LinkUnspec::new_with_name(name.as_str()).up().build();
        self.route.link().set(message).execute().await.map_err(refused(format!("raise {name}")))
    }

    /// Makes a link a port of the bridge with this index.
    ///
    /// # Errors
    /// [`NetlinkError::Refused`] if the kernel does.
    pub async fn set_controller(&self, name: &LinkName, bridge: u32) -> Result<(), NetlinkError> {
        let message = LinkUnspec::new_with_name(name.as_str()).controller(bridge).build();
        let set = self.route.link().set(message).execute().await;
        set.map_err(refused(format!("attach {name}")))
    }

    /// Deletes a link.
    ///
    /// # Errors
    /// [`NetlinkError::Refused`] if the kernel does.
    pub async fn delete_link(&self, index: u32) -> Result<(), NetlinkError> {
        self.route
            .link()
            .del(index)
            .execute()
            .await
            .map_err(refused(format!("delete link {index}")))
    }
}

fn read(message: &LinkMessage) -> Link {
    let mut link = Link {
        index: message.header.index,
        name: String::new(),
        address: Vec::new(),
        kind: LinkKind::Other,
        is_up: message.header.flags.contains(LinkFlags::Up),
        mtu: 0,
        controller: None,
        port: PortSettings::of_message(message),
        filters_vlans: false,
    };
    for attribute in &message.attributes {
        match attribute {
            LinkAttribute::IfName(name) => link.name.clone_from(name),
            LinkAttribute::Address(address) => link.address.clone_from(address),
            LinkAttribute::Mtu(mtu) => link.mtu = *mtu,
            LinkAttribute::Controller(index) => link.controller = Some(*index),
            LinkAttribute::LinkInfo(infos) if infos.contains(&LinkInfo::Kind(InfoKind::Bridge)) => {
                link.kind = LinkKind::Bridge;
                link.filters_vlans = infos.iter().any(|info| match info {
                    LinkInfo::Data(InfoData::Bridge(data)) => {
                        data.contains(&InfoBridge::VlanFiltering(true))
                    }
                    _ => false,
                });
            }
            _ => {}
        }
    }
    link
}
