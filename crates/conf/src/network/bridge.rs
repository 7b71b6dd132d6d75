//! `<bridge>`, `<mac>`, `<mtu>`: the bridge device of a network.

use std::num::NonZeroU32;

use oxivirt_types::mac::MacAddr;
use oxivirt_xml::{Element, Writer};

use super::ForwardMode;
use crate::error::{Class, XML};
use crate::keyword::{Keyword as _, keywords};
use crate::node::Node as _;
use crate::scalar::{Base, unsigned};

/// The bridge a network creates, or an existing one it names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bridge {
    /// Interface name; generated when a network that owns its bridge is defined without one.
    pub name: Option<String>,
    /// firewalld zone.
    pub zone: Option<String>,
    /// Whether the spanning tree protocol runs.
    pub stp: bool,
    /// Forward delay in seconds.
    pub delay: u64,
    /// Who keeps the bridge's table of addresses.
    pub mac_table_manager: Option<MacTableManager>,
}

keywords! {
    /// Who keeps a bridge's table of MAC addresses.
    pub enum MacTableManager {
        /// The kernel learns.
        Kernel = "kernel",
        /// libvirt enters what guests announce.
        Libvirt = "libvirt",
    }
}

/// What is wrong with the description of a bridge.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BridgeError {
    /// A delay that is no number.
    #[error("Invalid delay value in network '{network}'")]
    Delay {
        /// The network.
        network: String,
    },
    /// Not a table manager.
    #[error("Invalid macTableManager setting '{value}' in network '{network}'")]
    MacTableManager {
        /// The network.
        network: String,
        /// The value given.
        value: String,
    },
    /// An MTU that is no number of 32 bits.
    #[error("Invalid mtu size '{value}' in network '{network}'")]
    Mtu {
        /// The network.
        network: String,
        /// The value given.
        value: String,
    },
    /// An address that is none.
    #[error("Invalid bridge mac address '{value}' in network '{network}'")]
    Mac {
        /// The network.
        network: String,
        /// The value given.
        value: String,
    },
    /// A group address.
    #[error("Invalid multicast bridge mac address '{value}' in network '{network}'")]
    MulticastMac {
        /// The network.
        network: String,
        /// The value given.
        value: String,
    },
    /// A part of `<bridge>` that this mode has no use for.
    #[error("bridge {part} not allowed in {mode} mode (network '{network}')")]
    NotInMode {
        /// The network.
        network: String,
        /// What was given.
        part: &'static str,
        /// The forward mode.
        mode: ForwardMode,
    },
    /// Settings of a bridge that the network does not own.
    #[error(
        "bridge delay/stp/zone options only allowed in open, route, nat, and isolated mode, \
         not in {mode} (network '{network}')"
    )]
    NotOwned {
        /// The network.
        network: String,
        /// The forward mode.
        mode: ForwardMode,
    },
    /// An MTU for a device that the network does not own.
    #[error(
        "mtu size only allowed in open, route, nat, and isolated mode, \
         not in {mode} (network '{network}')"
    )]
    MtuNotOwned {
        /// The network.
        network: String,
        /// The forward mode.
        mode: ForwardMode,
    },
    /// A bridge and a device pool.
    #[error(
        "A network with forward mode='{mode}' can specify a bridge name or a forward dev, \
         but not both (network '{network}')"
    )]
    BridgeAndDevice {
        /// The network.
        network: String,
        /// The forward mode.
        mode: ForwardMode,
    },
}

impl BridgeError {
    pub(crate) const fn class(&self) -> Class {
        XML
    }
}

impl Default for Bridge {
    /// No name, the spanning tree protocol on, no delay.
    fn default() -> Self {
        Self { name: None, zone: None, stp: true, delay: 0, mac_table_manager: None }
    }
}

/// Whether `stp` was given at all, which some modes refuse.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stp {
    Given,
    Absent,
}

impl Bridge {
    pub(super) fn parse(
        node: Option<&Element<'_>>,
        network: &str,
    ) -> Result<(Self, Stp), BridgeError> {
        let attribute = |name| node.and_then(|node| node.string(name));
        let owned = |name| attribute(name).map(str::to_owned);
        let delay = match attribute("delay") {
            Some(text) => unsigned(text, Base::Ten)
                .ok_or_else(|| BridgeError::Delay { network: network.to_owned() })?,
            None => 0,
        };
        let mac_table_manager = match attribute("macTableManager") {
            Some(word) => Some(MacTableManager::from_word(word).ok_or_else(|| {
                BridgeError::MacTableManager { network: network.to_owned(), value: word.to_owned() }
            })?),
            None => None,
        };
        let stp = attribute("stp");
        let bridge = Self {
            name: owned("name"),
            zone: owned("zone"),
            stp: stp != Some("off"),
            delay,
            mac_table_manager,
        };
        Ok((bridge, if stp.is_some() { Stp::Given } else { Stp::Absent }))
    }

    pub(super) fn format(&self, mode: ForwardMode, out: &mut Writer) {
        let owned = mode.owns_bridge();
        if !owned && self.name.is_none() && self.mac_table_manager.is_none() {
            return;
        }
        let mut tag = out
            .begin("bridge")
            .attr_opt("name", self.name.as_deref())
            .attr_opt("zone", self.zone.as_deref());
        if owned {
            tag = tag.attr("stp", if self.stp { "on" } else { "off" }).display("delay", self.delay);
        }
        tag.display_opt("macTableManager", self.mac_table_manager).empty();
    }
}

/// Reads `<mtu size=…>`; the first of several that has a size counts, and 0 is none.
pub(super) fn parse_mtu(
    root: &Element<'_>,
    network: &str,
) -> Result<Option<NonZeroU32>, BridgeError> {
    let Some(text) = root.children("mtu").find_map(|node| node.attribute("size")) else {
        return Ok(None);
    };
    if text.is_empty() {
        return Ok(None);
    }
    match unsigned(text, Base::Ten).and_then(|size| u32::try_from(size).ok()) {
        Some(size) => Ok(NonZeroU32::new(size)),
        None => Err(BridgeError::Mtu { network: network.to_owned(), value: text.to_owned() }),
    }
}

/// Reads `<mac address=…>`, which has to be a unicast address.
pub(super) fn parse_mac(
    node: Option<&Element<'_>>,
    network: &str,
) -> Result<Option<MacAddr>, BridgeError> {
    let Some(text) = node.and_then(|node| node.string("address")) else {
        return Ok(None);
    };
    let (network, value) = (network.to_owned(), text.to_owned());
    match text.parse::<MacAddr>() {
        Err(_) => Err(BridgeError::Mac { network, value }),
        Ok(mac) if mac.is_multicast() => Err(BridgeError::MulticastMac { network, value }),
        Ok(mac) => Ok(Some(mac)),
    }
}
