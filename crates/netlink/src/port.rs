//! What is set on the ports of a bridge: isolation, learning, flooding, priority, VLANs and so on.
//!
//! The settings are kept as the kernel's attributes, so that those of a newer kernel's ports are carried
//! too, as far as they can be set. linux/if_link.h: `IFLA_BRPORT_*`; bridge(8)

use std::collections::BTreeMap;

use netlink_packet_core::{DefaultNla, Emitable as _, NLA_F_NESTED};
use netlink_packet_route::AddressFamily;
use netlink_packet_route::link::{
    InfoBridge, InfoData, InfoPortData, LinkAttribute, LinkExtentMask, LinkInfo, LinkMessage,
};
use netlink_packet_route::neighbour::{NeighbourFlags, NeighbourState};
use oxivirt_types::link_name::LinkName;
use oxivirt_types::mac::MacAddr;
use rtnetlink::{LinkBridge, LinkMessageBuilder};

use futures::TryStreamExt as _;

use super::attributes::{Attributes, encode};
use super::{Handle, NetlinkError, Stp, refused};

/// `IFLA_LINKINFO`, `IFLA_INFO_SLAVE_DATA`, `IFLA_PROTINFO`, `IFLA_AF_SPEC`, `IFLA_BRIDGE_VLAN_INFO`
const LINK_INFO: u16 = 18;
const INFO_SLAVE_DATA: u16 = 5;
const PROTOCOL_INFO: u16 = 12;
const AF_SPEC: u16 = 26;
const VLAN_INFO: u16 = 2;
/// Attributes that can be set and that a port keeps; not its state, which the bridge decides on.
///
/// Priority, cost, hairpin mode, guard, root block, fast leave, learning, unicast flood, proxy ARP
/// (both), multicast router, multicast flood, multicast to unicast, VLAN tunnel, broadcast flood, group
/// forward mask, neighbour suppression, isolation, host limit, locked, MAC authentication bypass,
/// maximum of groups, neighbour suppression by VLAN.
const SETTABLE: [u16; 23] =
    [2, 3, 4, 5, 6, 7, 8, 9, 10, 12, 25, 27, 28, 29, 30, 31, 32, 33, 37, 39, 40, 42, 43];
/// `struct bridge_vlan_info` of the VLAN that a bridge gives a new port: 1, untagged, for frames without
/// a tag (`BRIDGE_VLAN_INFO_PVID`, `BRIDGE_VLAN_INFO_UNTAGGED`).
const DEFAULT_VLAN: (u16, u16) = (PVID | UNTAGGED, 1);

/// What is set on a port.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PortSettings {
    /// Values by `IFLA_BRPORT_*`.
    attributes: BTreeMap<u16, Vec<u8>>,
    /// Flags and id of its VLANs and of the ends of ranges, if they are known.
    vlans: Option<Vec<(u16, u16)>>,
}

/// `IFLA_BRPORT_LEARNING`, `IFLA_BRPORT_UNICAST_FLOOD`, `IFLA_BRPORT_ISOLATED`
const LEARNING: u16 = 8;
const UNICAST_FLOOD: u16 = 9;
const ISOLATED: u16 = 33;
/// `BRIDGE_VLAN_INFO_PVID`, `BRIDGE_VLAN_INFO_UNTAGGED`
const PVID: u16 = 0x2;
const UNTAGGED: u16 = 0x4;

/// A VLAN that a port belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PortVlan {
    /// Its number.
    pub id: u16,
    /// Whether frames that come in without a tag belong to it.
    pub is_native: bool,
    /// Whether its frames go out without a tag.
    pub is_untagged: bool,
}

impl PortSettings {
    /// With these, the port reaches no other isolated port.
    #[must_use]
    pub fn with_isolation(mut self) -> Self {
        self.attributes.insert(ISOLATED, vec![1]);
        self
    }

    /// With these, the bridge learns no addresses from the port and floods it with nothing: what it gets has an
    /// entry ([`Handle::add_bridge_entry`]) or is for many.
    #[must_use]
    pub fn without_learning(mut self) -> Self {
        self.attributes.extend([(LEARNING, vec![0]), (UNICAST_FLOOD, vec![0])]);
        self
    }

    /// With these, the port belongs to `vlans` and no other.
    #[must_use]
    pub fn with_vlans(mut self, vlans: impl IntoIterator<Item = PortVlan>) -> Self {
        let flags = |vlan: PortVlan| {
            let native = if vlan.is_native { PVID } else { 0 };
            (native | if vlan.is_untagged { UNTAGGED } else { 0 }, vlan.id)
        };
        self.vlans = Some(vlans.into_iter().map(flags).collect());
        self
    }

    /// The settings in the attributes of a message about a link.
    ///
    /// A message of family `AF_BRIDGE` has them in `IFLA_PROTINFO`, any other in `IFLA_LINKINFO`.
    #[must_use]
    pub(crate) fn of_attributes(attributes: &[u8]) -> Self {
        let mut settings = Self::default();
        for (kind, value) in Attributes(attributes) {
            match kind {
                PROTOCOL_INFO => settings.take(Attributes(value)),
                LINK_INFO => {
                    let data = Attributes(value).find(|(kind, _)| *kind == INFO_SLAVE_DATA);
                    if let Some((_, data)) = data {
                        settings.take(Attributes(data));
                    }
                }
                AF_SPEC => settings.vlans = vlans(value),
                _ => {}
            }
        }
        settings
    }

    fn take<'a>(&mut self, attributes: impl Iterator<Item = (u16, &'a [u8])>) {
        let settable = attributes.filter(|(kind, _)| SETTABLE.contains(kind));
        self.attributes.extend(settable.map(|(kind, value)| (kind, value.to_owned())));
    }

    /// The settings in a message about a link that is a port.
    #[must_use]
    pub(crate) fn of_message(message: &LinkMessage) -> Self {
        let mut settings = Self::default();
        for attribute in &message.attributes {
            let LinkAttribute::LinkInfo(infos) = attribute else { continue };
            for info in infos {
                let LinkInfo::PortData(InfoPortData::BridgePort(data)) = info else { continue };
                let mut bytes = vec![0; data.as_slice().buffer_len()];
                data.as_slice().emit(&mut bytes);
                settings.take(Attributes(&bytes));
            }
        }
        settings
    }

    /// Takes over what `newer` knows.
    pub fn update(&mut self, newer: Self) {
        self.attributes.extend(newer.attributes);
        self.vlans = newer.vlans.or_else(|| self.vlans.take());
    }

    /// What has to be set on a port that has `now` and the VLANs of a new port; `None` if nothing.
    #[must_use]
    pub fn difference(&self, now: &Self) -> Option<Self> {
        let differs = |(kind, value): &(&u16, &Vec<u8>)| {
            now.attributes.get(kind).is_some_and(|v| v != *value)
        };
        let attributes = self.attributes.iter().filter(differs);
        let attributes: BTreeMap<_, _> =
            attributes.map(|(kind, value)| (*kind, value.clone())).collect();
        let is_other = |vlans: &Vec<_>| !vlans.is_empty() && *vlans != [DEFAULT_VLAN];
        let vlans = self.vlans.clone().filter(is_other);
        let is_some = !attributes.is_empty() || vlans.is_some();
        is_some.then_some(Self { attributes, vlans })
    }

    fn protocol_info(&self) -> Vec<u8> {
        self.attributes.iter().flat_map(|(kind, value)| encode(*kind, value)).collect()
    }
}

fn vlans(spec: &[u8]) -> Option<Vec<(u16, u16)>> {
    let infos = Attributes(spec).filter(|(kind, _)| *kind == VLAN_INFO);
    infos
        .map(|(_, value)| {
            let [f0, f1, v0, v1] = *value.first_chunk()?;
            Some((u16::from_ne_bytes([f0, f1]), u16::from_ne_bytes([v0, v1])))
        })
        .collect()
}

fn vlan_spec(vlans: &[(u16, u16)]) -> Vec<u8> {
    let info = |(flags, id): &(u16, u16)| {
        encode(VLAN_INFO, &[flags.to_ne_bytes(), id.to_ne_bytes()].concat())
    };
    vlans.iter().flat_map(info).collect()
}

impl Handle {
    /// The VLANs of all ports of bridges, by the port's index.
    ///
    /// # Errors
    /// [`NetlinkError`] if the kernel does not answer.
    pub async fn port_vlans(&self) -> Result<BTreeMap<u32, PortSettings>, NetlinkError> {
        let _one = self.listing.lock().await;
        let mask = vec![LinkExtentMask::BrvlanCompressed];
        let listed = self.route.link().get().set_filter_mask(AddressFamily::Bridge, mask);
        let messages: Vec<LinkMessage> =
            listed.execute().try_collect().await.map_err(refused("list the VLANs of ports"))?;
        let settings = messages.iter().map(|message| {
            let mut bytes = vec![0; message.attributes.as_slice().buffer_len()];
            message.attributes.as_slice().emit(&mut bytes);
            (message.header.index, PortSettings::of_attributes(&bytes))
        });
        Ok(settings.collect())
    }

    /// Sets what [`PortSettings::difference`] found on the port with this index.
    ///
    /// # Errors
    /// [`NetlinkError::Refused`] if the kernel refuses a setting; earlier ones may have been set.
    pub async fn set_port(&self, index: u32, settings: &PortSettings) -> Result<(), NetlinkError> {
        if !settings.attributes.is_empty() {
            let kind = PROTOCOL_INFO | NLA_F_NESTED;
            self.change_port(index, kind, settings.protocol_info()).await?;
        }
        let Some(vlans) = &settings.vlans else { return Ok(()) };
        if !vlans.iter().any(|(_, id)| *id == DEFAULT_VLAN.1) {
            let spec = vlan_spec(&[DEFAULT_VLAN]);
            let mut removal = self.route.link().del(index);
            *removal.message_mut() = port_message(index, AF_SPEC | NLA_F_NESTED, spec);
            match removal
                .execute()
                .await
                .map_err(refused(format!("remove VLAN 1 from port {index}")))
            {
                // a bridge may have no default VLAN
                Err(error) if error.errno() != Some(nix::libc::ENOENT) => return Err(error),
                _ => {}
            }
        }
        self.change_port(index, AF_SPEC | NLA_F_NESTED, vlan_spec(vlans)).await
    }

    async fn change_port(&self, index: u32, kind: u16, value: Vec<u8>) -> Result<(), NetlinkError> {
        let changed = self.route.link().set(port_message(index, kind, value)).execute().await;
        changed.map_err(refused(format!("set port {index}")))
    }

    /// Makes a bridge send frames for `mac` to the port with this index, and to no other; the entry does not age.
    ///
    /// # Errors
    /// [`NetlinkError::Refused`] if the kernel does.
    pub async fn add_bridge_entry(&self, index: u32, mac: MacAddr) -> Result<(), NetlinkError> {
        let entry = self.route.neighbours().add_bridge(index, &mac.0);
        // of the bridge, not of the device; static
        let entry = entry.flags(NeighbourFlags::Controller).state(NeighbourState::Noarp).replace();
        let added = entry.execute().await;
        added.map_err(refused(format!("add {mac} to the addresses behind port {index}")))
    }

    /// Switches a bridge's spanning tree protocol.
    ///
    /// # Errors
    /// [`NetlinkError::Refused`] if the kernel does.
    pub async fn set_stp(&self, bridge: &LinkName, stp: Stp) -> Result<(), NetlinkError> {
        let message = LinkMessageBuilder::<LinkBridge>::new(bridge.as_str())
            .set_info_data(InfoData::Bridge(vec![InfoBridge::StpState(stp.into())]))
            .build();
        let changed = self.route.link().change(message).execute().await;
        changed.map_err(refused(format!("switch the spanning tree protocol of {bridge}")))
    }
}

/// A message of family `AF_BRIDGE`: about the port, not the link.
fn port_message(index: u32, kind: u16, value: Vec<u8>) -> LinkMessage {
    let mut message = LinkMessage::default();
    message.header.interface_family = AddressFamily::Bridge;
    message.header.index = index;
    message.attributes.push(LinkAttribute::Other(DefaultNla::new(kind, value)));
    message
}

#[cfg(test)]
mod tests {
    use netlink_packet_route::neighbour::{NeighbourAttribute, NeighbourMessage};
    use nix::sched::{CloneFlags, unshare};

    use super::*;
    use crate::Bridge;
    use crate::tap::Tap;

    const STATE: u16 = 1;

    fn brport(values: &[(u16, u8)]) -> Vec<u8> {
        values.iter().flat_map(|(kind, value)| encode(*kind, &[*value])).collect()
    }

    #[test]
    fn settings_are_found_in_both_kinds_of_message() {
        let port = brport(&[(STATE, 3), (ISOLATED, 1)]);
        let of_bridge = encode(PROTOCOL_INFO | NLA_F_NESTED, &port);
        let of_link = encode(LINK_INFO, &encode(INFO_SLAVE_DATA | NLA_F_NESTED, &port));
        let settings = PortSettings::of_attributes(&of_bridge);
        assert_eq!(settings, PortSettings::of_attributes(&of_link));
        assert_eq!(settings.attributes, BTreeMap::from([(ISOLATED, vec![1])]));
        assert_eq!(PortSettings::of_attributes(&[1, 2, 3]), PortSettings::default());
    }

    #[test]
    fn a_port_without_learning_has_an_entry_that_stays() {
        let tap = Tap { name: LinkName::new("vnet0").unwrap(), has_vnet_header: false, queues: 1 };
        // the namespace is the thread's, and with it the links
        if unshare(CloneFlags::CLONE_NEWNET).is_err() {
            return;
        }
        let Ok(_descriptors) = tap.create() else { return };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let links = Handle::open().unwrap();
            let name = LinkName::new("br0").unwrap();
            let address = [0x52, 0x54, 0, 0, 0, 1];
            let bridge = Bridge { name: name.clone(), address, stp: Stp::Off, forward_delay: 0 };
            links.create_bridge(&bridge).await.unwrap();
            let index = links.link(&name).await.unwrap().unwrap().index;
            links.set_controller(&tap.name, index).await.unwrap();
            let port = links.link(&tap.name).await.unwrap().unwrap();
            let wanted = PortSettings::default().with_isolation().without_learning();
            assert!(wanted.difference(&port.port).is_some());
            links.set_port(port.index, &wanted).await.unwrap();
            let mac = MacAddr([0x52, 0x54, 0, 0, 0, 2]);
            links.add_bridge_entry(port.index, mac).await.unwrap();
            // once more, for a guest that is plugged in again
            links.add_bridge_entry(port.index, mac).await.unwrap();
            let now = links.link(&tap.name).await.unwrap().unwrap().port;
            assert_eq!(wanted.difference(&now), None);
            let mut request = links.route.neighbours().get();
            request.message_mut().header.family = AddressFamily::Bridge;
            let entries: Vec<_> = request.execute().try_collect().await.unwrap();
            let of_guest = |entry: &&NeighbourMessage| {
                entry.header.ifindex == port.index
                    && entry
                        .attributes
                        .contains(&NeighbourAttribute::LinkLayerAddress(mac.0.into()))
            };
            let entry = entries.iter().find(of_guest).unwrap();
            assert_eq!(entry.header.state, NeighbourState::Noarp);
        });
    }

    #[test]
    fn what_a_guest_asks_for_is_set() {
        let settings = PortSettings::default().with_isolation().without_learning();
        let expect = brport(&[(LEARNING, 0), (UNICAST_FLOOD, 0), (ISOLATED, 1)]);
        assert_eq!(settings.protocol_info(), expect);
        let native = PortVlan { id: 10, is_native: true, is_untagged: true };
        let tagged = PortVlan { id: 20, is_native: false, is_untagged: false };
        assert_eq!(settings.with_vlans([native, tagged]).vlans, Some(vec![(6, 10), (0, 20)]));
    }

    #[test]
    fn only_what_differs_is_set() {
        let of = |values: &[(u16, u8)]| {
            PortSettings::of_attributes(&encode(PROTOCOL_INFO, &brport(values)))
        };
        let (old, new) = (of(&[(ISOLATED, 1), (8, 0)]), of(&[(ISOLATED, 0), (8, 0)]));
        assert_eq!(old.difference(&new), Some(of(&[(ISOLATED, 1)])));
        assert_eq!(old.difference(&old), None);
        // A kernel that lacks the attribute cannot set it.
        assert_eq!(old.difference(&PortSettings::default()), None);
        let mut known = old;
        known.update(of(&[(8, 1)]));
        assert_eq!(known, of(&[(ISOLATED, 1), (8, 1)]));
    }

    #[test]
    fn vlans_are_set_unless_they_are_those_of_a_new_port() {
        let with = |vlans: &[(u16, u16)]| {
            PortSettings::of_attributes(&encode(AF_SPEC | NLA_F_NESTED, &vlan_spec(vlans)))
        };
        assert_eq!(with(&[DEFAULT_VLAN]).difference(&PortSettings::default()), None);
        let tagged = with(&[(0, 10), (6, 20)]);
        assert_eq!(tagged.vlans, Some(vec![(0, 10), (6, 20)]));
        assert_eq!(tagged.difference(&PortSettings::default()), Some(tagged));
    }
}
