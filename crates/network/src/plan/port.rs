//! Which device, class and parameters a guest's interface gets.
//!
//! Pure: from the definition, the ports that are there and a request to the port. How many ports a
//! device has is counted, not kept, so that nothing can make it wrong.
//!
//! libvirt 11.3.0: `networkAllocatePort`, `networkNotifyPort`, src/network/bridge_driver.c

use std::collections::BTreeMap;

use oxivirt_conf::YesNo;
use oxivirt_conf::bandwidth::{Bandwidth, Rate};
use oxivirt_conf::network::{Counters, ForwardDevice, PortGroup};
use oxivirt_conf::pci::PciAddress;
use oxivirt_conf::port::{BridgePlug, MacvlanMode, NetworkPortDef, Plug};
use oxivirt_conf::status::ClassIds;
use oxivirt_conf::virtualport::{VirtualPort, VirtualPortError, VirtualPortType};
use oxivirt_types::mac::MacAddr;
use uuid::Uuid;

use super::policy::Attachment;
use crate::components::qos::{FIRST_CLASS, Floor, Floors};
use crate::network::Network;

/// The ports of a network.
pub type Ports = BTreeMap<Uuid, NetworkPortDef>;

/// Why a port cannot be had.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PortPlanError {
    /// The request says what it is plugged into, which is not for it to say.
    #[error("Port reclaim not requested but plug type is not none")]
    Plugged,
    /// A port that is to be taken back does not say what it is plugged into.
    #[error("Port reclaim requested but plug type is none")]
    Unplugged,
    /// The network has a port with this UUID.
    // libvirt puts a sentence into the frame of its own error; clients compare the whole text
    #[error("Network port with UUID {uuid} already exists")]
    Exists {
        /// The UUID.
        uuid: Uuid,
    },
    /// Association parameters that disagree or are incomplete.
    #[error(transparent)]
    VirtualPort(#[from] VirtualPortError),
    /// A type of association that means nothing on this kind of network.
    #[error("<virtualport type='{kind}'> not supported for network '{network}' which uses {what}")]
    Association {
        /// The type.
        kind: String,
        /// The network.
        network: String,
        /// What the network is made of.
        what: &'static str,
    },
    /// A network of interfaces without any.
    #[error("network '{network}' uses a {mode} mode, but has no forward dev and no interface pool")]
    NoPool {
        /// The network.
        network: String,
        /// `direct` or `hostdev`.
        mode: &'static str,
    },
    /// Every device is taken.
    #[error("network '{network}' requires exclusive access to interfaces, but none are available")]
    Exhausted {
        /// The network.
        network: String,
    },
    /// A guest says that it is on a bridge, and the network has none.
    #[error("Unexpectedly got a network port without a network bridge")]
    NoBridge,
    /// The pool does not have the device that a guest uses.
    #[error("network '{network}' doesn't have {device}")]
    NotInPool {
        /// The network.
        network: String,
        /// The device, and who says it has it.
        device: String,
    },
    /// Another guest has the device.
    #[error("network '{network}' claims {device} is already in use by a different {kind}")]
    InUse {
        /// The network.
        network: String,
        /// The device.
        device: String,
        /// Of what: libvirt has a word for each kind of device.
        kind: &'static str,
    },
    /// A guaranteed rate where nothing can guarantee it.
    #[error(
        "Invalid use of 'floor' on interface with MAC address {mac} - 'floor' is only supported for \
         interface type 'network' with forward type 'nat', 'route', 'open' or none"
    )]
    FloorMode {
        /// The guest's address.
        mac: MacAddr,
    },
    /// A guaranteed rate on a network that has no limit to divide.
    #[error(
        "Invalid use of 'floor' on interface with MAC address {mac} - network '{network}' has no \
         inbound QoS set"
    )]
    FloorWithoutLimit {
        /// The guest's address.
        mac: MacAddr,
        /// The network.
        network: String,
    },
    /// More is guaranteed than there is.
    #[error(
        "Cannot plug '{mac}' interface into '{bridge}' because new combined inbound floor={sum} \
         would overcommit {limit}={rate} on network '{network}'"
    )]
    Overcommitted {
        /// The guest's address.
        mac: MacAddr,
        /// The bridge.
        bridge: String,
        /// All guarantees together, in kilobytes per second.
        sum: u64,
        /// `peak` or `average`.
        limit: &'static str,
        /// The limit, in kilobytes per second.
        rate: u64,
        /// The network.
        network: String,
    },
}

type Result<T> = std::result::Result<T, PortPlanError>;

/// A running network, for questions about its ports.
#[derive(Debug, Clone, Copy)]
pub struct Pool<'a> {
    /// The network.
    pub def: &'a Network,
    /// Its ports.
    pub ports: &'a Ports,
}

/// The device that a port takes from the pool.
#[must_use]
pub fn device(plug: &Plug) -> Option<ForwardDevice> {
    match plug {
        Plug::Direct { dev, .. } => Some(ForwardDevice::Interface(dev.clone())),
        Plug::HostdevPci { address, .. } => Some(ForwardDevice::Pci(*address)),
        Plug::None | Plug::Network(_) | Plug::Bridge(_) => None,
    }
}

/// How many ports there are, of the network and of each device.
#[must_use]
pub fn counters(ports: &Ports) -> Counters {
    let mut counters = Counters {
        connections: u32::try_from(ports.len()).unwrap_or(u32::MAX),
        ..Counters::default()
    };
    for device in ports.values().filter_map(|port| device(&port.plug)) {
        *counters.devices.entry(device).or_default() += 1;
    }
    counters
}

/// What is guaranteed to ports, by class.
#[must_use]
pub fn floors(ports: &Ports) -> Floors {
    let floor = |port: &NetworkPortDef| {
        let rate = port.bandwidth.as_ref()?.inbound?;
        let floor = Floor { mac: port.mac, rate: rate.floor, average: rate.average };
        (rate.floor > 0 && port.class_id >= FIRST_CLASS).then_some((port.class_id, floor))
    };
    ports.values().filter_map(floor).collect()
}

/// The classes that guarantees and the tree itself take.
#[must_use]
pub fn class_ids(floors: &Floors) -> ClassIds {
    (0..FIRST_CLASS).chain(floors.keys().copied()).collect()
}

impl Pool<'_> {
    /// A port for a guest that starts.
    ///
    /// # Errors
    /// [`PortPlanError`] if nothing is free, or the request does not fit the network.
    pub fn allocate(
        &self,
        mut port: NetworkPortDef,
        generate: impl Fn() -> Uuid,
    ) -> Result<NetworkPortDef> {
        if port.plug != Plug::None {
            return Err(PortPlanError::Plugged);
        }
        self.inherit(&mut port)?;
        port.plug = self.plug(&port)?;
        port.class_id = 0;
        if self.check_floor(&port)? {
            let taken = class_ids(&floors(self.ports));
            port.class_id = taken.lowest_free();
        }
        if let Some(virtual_port) = &mut port.virtual_port {
            virtual_port.complete(generate)?;
        }
        self.check_new(&port)?;
        Ok(port)
    }

    /// The port of a guest that runs already; the driver had forgotten it.
    ///
    /// # Errors
    /// [`PortPlanError`] if its device is not the network's, or another guest has it.
    pub fn reclaim(&self, mut port: NetworkPortDef) -> Result<NetworkPortDef> {
        match &port.plug {
            Plug::None => return Err(PortPlanError::Unplugged),
            Plug::Network(_) | Plug::Bridge(_) if self.def.bridge.name.is_none() => {
                return Err(PortPlanError::NoBridge);
            }
            // Which bridge is not compared, as in libvirt.
            Plug::Network(_) | Plug::Bridge(_) => {}
            Plug::Direct { dev, .. } => {
                let device = format!("dev='{dev}'");
                // libvirt prints the 16 bytes of the UUID as if they were text.
                let wanted = format!("{device} in use by network port '{}'", port.uuid);
                self.check_device(&port, wanted, device, "port")?;
            }
            Plug::HostdevPci { address, .. } => {
                let PciAddress { domain, bus, slot, function } = address;
                let taken = format!(
                    "the PCI device at domain={domain} bus={bus} slot={slot} function={function}"
                );
                let wanted = format!("PCI device {} in use by network port", pci_name(address));
                self.check_device(&port, wanted, taken, "network port")?;
            }
        }
        self.check_new(&port)?;
        // A class that went to another guest meanwhile cannot be had twice.
        if floors(self.ports).contains_key(&port.class_id) {
            port.class_id = 0;
        }
        Ok(port)
    }

    /// A port with other rate limits.
    ///
    /// # Errors
    /// [`PortPlanError`] if more would be guaranteed than there is.
    pub fn limit(
        &self,
        port: &NetworkPortDef,
        bandwidth: Option<Bandwidth>,
    ) -> Result<NetworkPortDef> {
        let mut changed = NetworkPortDef { bandwidth, ..port.clone() };
        let others: Ports = self
            .ports
            .iter()
            .filter(|(uuid, _)| **uuid != port.uuid)
            .map(|(uuid, port)| (*uuid, port.clone()))
            .collect();
        let pool = Pool { def: self.def, ports: &others };
        let has_floor = pool.check_floor(&changed)?;
        if !has_floor {
            changed.class_id = 0;
        } else if changed.class_id < FIRST_CLASS {
            changed.class_id = class_ids(&floors(self.ports)).lowest_free();
        }
        Ok(changed)
    }

    fn check_new(&self, port: &NetworkPortDef) -> Result<()> {
        match self.ports.contains_key(&port.uuid) {
            true => Err(PortPlanError::Exists { uuid: port.uuid }),
            false => Ok(()),
        }
    }

    /// What the port does not say, its group and network do.
    fn inherit(&self, port: &mut NetworkPortDef) -> Result<()> {
        let group = group(self.def, port.group.as_deref());
        if port.bandwidth.is_none() {
            port.bandwidth = group.and_then(|group| group.bandwidth.clone());
        }
        if port.vlan.is_none() {
            let vlan = group.and_then(|group| group.vlan.clone());
            port.vlan = vlan.or_else(|| self.def.vlan.clone());
        }
        let trust = group.and_then(|group| group.trust_guest_rx_filters);
        let trust = trust.or(self.def.trust_guest_rx_filters);
        port.trust_guest_rx_filters = port.trust_guest_rx_filters.or(trust);
        port.isolated = port.isolated.or(self.def.port_isolated);
        port.virtual_port = VirtualPort::merge(&[
            port.virtual_port.as_ref(),
            self.def.virtual_port.as_ref(),
            group.and_then(|group| group.virtual_port.as_ref()),
        ])?;
        Ok(())
    }

    fn plug(&self, port: &NetworkPortDef) -> Result<Plug> {
        use VirtualPortType::{OpenVSwitch, Qbg, Qbh};
        let def = self.def;
        let bridge = |name: &str| BridgePlug {
            bridge: name.to_owned(),
            mac_table_manager: def.bridge.mac_table_manager,
        };
        match (def.policy().attachment, &def.bridge.name) {
            (Attachment::PciFunction, _) => {
                self.check_pool("hostdev")?;
                let what = "an SR-IOV Virtual Function via PCI passthrough";
                let device = self.exclusive();
                self.check_association(port, &[Qbg, Qbh], what)?;
                let Some(ForwardDevice::Pci(address)) = device? else {
                    return Err(PortPlanError::Exhausted { network: def.name.clone() });
                };
                Ok(Plug::HostdevPci {
                    managed: Some(if def.forward.managed { YesNo::Yes } else { YesNo::No }),
                    driver: def.forward.driver.clone(),
                    address: *address,
                })
            }
            (Attachment::OwnBridge, Some(name)) => {
                self.check_association(port, &[], "IP forwarding")?;
                Ok(Plug::Network(bridge(name)))
            }
            (Attachment::HostBridge, Some(name)) => {
                self.check_association(port, &[OpenVSwitch], "a bridge device")?;
                Ok(Plug::Bridge(bridge(name)))
            }
            (Attachment::Macvtap(mode), _) => self.macvtap(port, mode),
            (Attachment::OwnBridge | Attachment::HostBridge, None) => {
                self.macvtap(port, MacvlanMode::Bridge)
            }
        }
    }

    fn macvtap(&self, port: &NetworkPortDef, mode: MacvlanMode) -> Result<Plug> {
        use VirtualPortType::{Qbg, Qbh};
        self.check_association(port, &[Qbg, Qbh], "a macvtap device")?;
        self.check_pool("direct")?;
        let device = if self.is_exclusive(port) { self.exclusive()? } else { self.least_used() };
        let Some(ForwardDevice::Interface(dev)) = device else {
            return Err(PortPlanError::Exhausted { network: self.def.name.clone() });
        };
        Ok(Plug::Direct { dev: dev.clone(), mode })
    }

    fn check_association(
        &self,
        port: &NetworkPortDef,
        allowed: &[VirtualPortType],
        what: &'static str,
    ) -> Result<()> {
        let Some(virtual_port) = &port.virtual_port else { return Ok(()) };
        if virtual_port.kind.is_some_and(|kind| allowed.contains(&kind)) {
            return Ok(());
        }
        let kind = virtual_port.kind.map_or_else(|| "none".to_owned(), |kind| kind.to_string());
        Err(PortPlanError::Association { kind, network: self.def.name.clone(), what })
    }

    fn check_pool(&self, mode: &'static str) -> Result<()> {
        match self.def.forward.devices.is_empty() {
            true => Err(PortPlanError::NoPool { network: self.def.name.clone(), mode }),
            false => Ok(()),
        }
    }

    /// Whether no two guests can share a device.
    fn is_exclusive(&self, port: &NetworkPortDef) -> bool {
        let is_qbh =
            port.virtual_port.as_ref().and_then(|port| port.kind) == Some(VirtualPortType::Qbh);
        match self.def.policy().attachment {
            Attachment::Macvtap(MacvlanMode::Passthrough) | Attachment::PciFunction => true,
            Attachment::Macvtap(MacvlanMode::Private) => is_qbh,
            Attachment::Macvtap(MacvlanMode::Vepa | MacvlanMode::Bridge)
            | Attachment::OwnBridge
            | Attachment::HostBridge => false,
        }
    }

    fn exclusive(&self) -> Result<Option<&ForwardDevice>> {
        let used = counters(self.ports).devices;
        let free = self.def.forward.devices.iter().find(|device| !used.contains_key(device));
        match free {
            Some(free) => Ok(Some(free)),
            None => Err(PortPlanError::Exhausted { network: self.def.name.clone() }),
        }
    }

    fn least_used(&self) -> Option<&ForwardDevice> {
        let used = counters(self.ports).devices;
        let count = |device: &ForwardDevice| used.get(device).copied().unwrap_or(0);
        // The first of several wins.
        self.def.forward.devices.iter().min_by_key(|device| count(device))
    }

    fn check_device(
        &self,
        port: &NetworkPortDef,
        wanted: String,
        taken: String,
        kind: &'static str,
    ) -> Result<()> {
        let network = || self.def.name.clone();
        let device = device(&port.plug);
        let known = device.filter(|device| self.def.forward.devices.contains(device));
        let Some(device) = known else {
            return Err(PortPlanError::NotInPool { network: network(), device: wanted });
        };
        let is_taken = counters(self.ports).devices.contains_key(&device);
        if is_taken && self.is_exclusive(port) {
            return Err(PortPlanError::InUse { network: network(), device: taken, kind });
        }
        Ok(())
    }

    /// Whether the port has a guaranteed rate, which the network can give.
    ///
    /// libvirt 11.3.0: `networkCheckBandwidth`
    fn check_floor(&self, port: &NetworkPortDef) -> Result<bool> {
        let rate = port.bandwidth.as_ref().and_then(|bandwidth| bandwidth.inbound);
        let floor = rate.map_or(0, |rate| rate.floor);
        if floor == 0 {
            return Ok(false);
        }
        let (def, mac) = (self.def, port.mac);
        if !def.policy().owns_bridge() {
            return Err(PortPlanError::FloorMode { mac });
        }
        let network = def.name.clone();
        let limit = def.bandwidth.as_ref().and_then(|bandwidth| bandwidth.inbound);
        let Some(Rate { average, peak, .. }) = limit else {
            return Err(PortPlanError::FloorWithoutLimit { mac, network });
        };
        let sum =
            floors(self.ports).values().map(|floor| floor.rate).fold(floor, u64::saturating_add);
        let (limit, rate) = if peak > 0 { ("peak", peak) } else { ("average", average) };
        if sum > rate {
            let bridge = def.bridge.name.clone().unwrap_or_default();
            return Err(PortPlanError::Overcommitted { mac, bridge, sum, limit, rate, network });
        }
        Ok(true)
    }
}

/// The group of a name, or the default one of a port that names none.
fn group<'d>(def: &'d Network, name: Option<&str>) -> Option<&'d PortGroup> {
    def.port_groups.iter().find(|group| match name {
        Some(name) => group.name == name,
        None => group.default,
    })
}

/// As libvirt prints it in these messages: the function in hexadecimal with a mark.
fn pci_name(address: &PciAddress) -> String {
    let PciAddress { domain, bus, slot, function } = address;
    format!("{domain:04x}:{bus:02x}:{slot:02x}.{function:x}")
}

#[cfg(test)]
mod tests;
