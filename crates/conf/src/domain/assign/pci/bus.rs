//! PCI buses: what fits where, and what is taken.

use super::super::super::DomainError;
use super::super::super::address::Pci;
use super::super::super::device::controller::ControllerModel;

/// What connects to a bus, as a set of bits.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Connect(u32);

impl Connect {
    pub(super) const NONE: Self = Self(0);
    pub(super) const HOTPLUGGABLE: Self = Self(1);
    pub(super) const AGGREGATE_SLOT: Self = Self(1 << 1);
    pub(super) const PCI_DEVICE: Self = Self(1 << 2);
    pub(super) const PCIE_DEVICE: Self = Self(1 << 3);
    pub(super) const PCIE_ROOT_PORT: Self = Self(1 << 4);
    pub(super) const SWITCH_UPSTREAM: Self = Self(1 << 5);
    pub(super) const SWITCH_DOWNSTREAM: Self = Self(1 << 6);
    pub(super) const DMI_TO_PCI_BRIDGE: Self = Self(1 << 7);
    pub(super) const PCI_EXPANDER: Self = Self(1 << 8);
    pub(super) const PCIE_EXPANDER: Self = Self(1 << 9);
    pub(super) const PCI_BRIDGE: Self = Self(1 << 10);
    pub(super) const PCIE_TO_PCI_BRIDGE: Self = Self(1 << 11);
    pub(super) const INTEGRATED: Self = Self(1 << 12);

    /// The bits that say what kind of thing connects.
    const KINDS: Self = Self(
        Self::PCI_DEVICE.0
            | Self::PCIE_DEVICE.0
            | Self::PCIE_ROOT_PORT.0
            | Self::SWITCH_UPSTREAM.0
            | Self::SWITCH_DOWNSTREAM.0
            | Self::DMI_TO_PCI_BRIDGE.0
            | Self::PCI_EXPANDER.0
            | Self::PCIE_EXPANDER.0
            | Self::PCI_BRIDGE.0
            | Self::PCIE_TO_PCI_BRIDGE.0,
    );

    pub(super) const fn with(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    pub(super) const fn meets(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }

    /// The same of a device where there is no PCI Express.
    const fn as_conventional(self) -> Self {
        if self.meets(Self::PCIE_DEVICE) {
            Self(self.0 & !Self::PCIE_DEVICE.0 | Self::PCI_DEVICE.0)
        } else {
            self
        }
    }

    const fn kinds(self) -> Self {
        Self(self.0 & Self::KINDS.0)
    }

    /// What a bus has to accept for this device, in words for a user.
    const fn requirement(self) -> &'static str {
        if self.meets(Self::PCI_DEVICE) {
            "standard PCI device"
        } else if self.meets(Self::PCIE_DEVICE) {
            "PCI Express device"
        } else if self.meets(Self::PCIE_ROOT_PORT) {
            "pcie-root-port"
        } else if self.meets(Self::SWITCH_UPSTREAM) {
            "pcie-switch-upstream-port"
        } else if self.meets(Self::SWITCH_DOWNSTREAM) {
            "pcie-switch-downstream-port"
        } else if self.meets(Self::DMI_TO_PCI_BRIDGE) {
            "dmi-to-pci-bridge"
        } else if self.meets(Self::PCI_EXPANDER) {
            "pci-expander-bus"
        } else if self.meets(Self::PCIE_EXPANDER) {
            "pcie-expander-bus"
        } else if self.meets(Self::PCI_BRIDGE) {
            "pci-bridge"
        } else {
            "pcie-to-pci-bridge"
        }
    }

    /// How the controller of a model connects to the bus it sits on.
    ///
    /// libvirt 11.3.0: `virDomainPCIControllerModelToConnectType`, src/conf/domain_addr.c
    pub(super) const fn of_controller(model: ControllerModel) -> Self {
        match model {
            ControllerModel::PciBridge => Self::PCI_BRIDGE,
            ControllerModel::PciExpanderBus => Self::PCI_EXPANDER,
            ControllerModel::PcieExpanderBus => Self::PCIE_EXPANDER,
            ControllerModel::DmiToPciBridge => Self::DMI_TO_PCI_BRIDGE,
            ControllerModel::PcieToPciBridge => Self::PCIE_TO_PCI_BRIDGE,
            ControllerModel::PcieRootPort => Self::PCIE_ROOT_PORT.with(Self::AGGREGATE_SLOT),
            ControllerModel::PcieSwitchUpstreamPort => Self::SWITCH_UPSTREAM,
            ControllerModel::PcieSwitchDownstreamPort => Self::SWITCH_DOWNSTREAM,
            _ => Self::NONE,
        }
    }
}

/// One bus.
#[derive(Debug, Clone)]
pub(super) struct Bus {
    pub(super) model: ControllerModel,
    accepts: Connect,
    min_slot: u32,
    max_slot: u32,
    slots: [Slot; 32],
}

#[derive(Debug, Clone, Copy, Default)]
struct Slot {
    /// One bit per function.
    functions: u8,
    /// Whether only root ports are in it.
    aggregates: bool,
}

impl Bus {
    /// libvirt 11.3.0: `virDomainPCIAddressBusSetModel`, src/conf/domain_addr.c
    pub(super) fn new(model: ControllerModel) -> Self {
        use ControllerModel as M;
        let devices = Connect::PCI_DEVICE.with(Connect::PCI_BRIDGE);
        let (accepts, min_slot, max_slot) = match model {
            M::PciRoot => (devices.with(Connect::HOTPLUGGABLE).with(Connect::PCI_EXPANDER), 1, 31),
            M::PciBridge | M::PcieToPciBridge => (devices.with(Connect::HOTPLUGGABLE), 1, 31),
            M::PciExpanderBus => (devices.with(Connect::HOTPLUGGABLE), 0, 31),
            M::DmiToPciBridge => (devices, 0, 31),
            M::PcieRoot => (
                Connect::PCIE_DEVICE
                    .with(Connect::PCIE_ROOT_PORT)
                    .with(Connect::DMI_TO_PCI_BRIDGE)
                    .with(Connect::PCIE_EXPANDER),
                1,
                31,
            ),
            M::PcieRootPort | M::PcieSwitchDownstreamPort => (
                Connect::PCIE_DEVICE
                    .with(Connect::SWITCH_UPSTREAM)
                    .with(Connect::PCIE_TO_PCI_BRIDGE)
                    .with(Connect::HOTPLUGGABLE),
                0,
                0,
            ),
            M::PcieSwitchUpstreamPort => (Connect::SWITCH_DOWNSTREAM, 0, 31),
            M::PcieExpanderBus => (Connect::PCIE_ROOT_PORT.with(Connect::DMI_TO_PCI_BRIDGE), 0, 31),
            _ => (Connect::NONE, 0, 0),
        };
        Self { model, accepts, min_slot, max_slot, slots: [Slot::default(); 32] }
    }

    /// Whether something that connects like that can be here.
    ///
    /// libvirt 11.3.0: `virDomainPCIAddressFlagsCompatible`, src/conf/domain_addr.c
    fn fits(&self, device: Connect) -> bool {
        if device.meets(Connect::INTEGRATED) {
            return matches!(self.model, ControllerModel::PciRoot | ControllerModel::PcieRoot);
        }
        self.accepts.meets(device.kinds())
            && (!device.meets(Connect::HOTPLUGGABLE) || self.accepts.meets(Connect::HOTPLUGGABLE))
    }

    /// Refuses an address that a document gives to something that cannot be there.
    ///
    /// A document may put a conventional device on an Express bus and the other way round, and decides
    /// for itself whether a device has to be pluggable.
    ///
    /// libvirt 11.3.0: `virDomainPCIAddressValidate`, src/conf/domain_addr.c
    fn check(&self, at: Pci, device: Connect) -> Result<(), DomainError> {
        if device.meets(Connect::INTEGRATED) {
            if !matches!(self.model, ControllerModel::PciRoot | ControllerModel::PcieRoot) {
                return Err(DomainError::Xml(format!(
                    "The device at PCI address {at} needs to be an integrated device (bus=0)"
                )));
            }
            return Ok(());
        }
        let endpoint = Connect::PCI_DEVICE.with(Connect::PCIE_DEVICE);
        let accepts =
            if self.accepts.meets(endpoint) { self.accepts.with(endpoint) } else { self.accepts };
        let wants = match device.meets(Connect::PCI_BRIDGE) {
            true => device.with(Connect::PCI_DEVICE),
            false => device,
        };
        if !accepts.meets(wants.kinds()) {
            return Err(DomainError::Xml(format!(
                "The device at PCI address {at} cannot be plugged into the PCI controller with \
                 index='{}'. It requires a controller that accepts a {}.",
                at.bus,
                device.requirement()
            )));
        }
        if at.slot < self.min_slot {
            return Err(DomainError::Xml(format!(
                "Invalid PCI address {at}. slot must be >= {}",
                self.min_slot
            )));
        }
        if at.slot > self.max_slot {
            return Err(DomainError::Xml(format!(
                "Invalid PCI address {at}. slot must be <= {}",
                self.max_slot
            )));
        }
        Ok(())
    }

    fn slot(&self, slot: u32) -> Slot {
        let slot = usize::try_from(slot).unwrap_or(usize::MAX);
        self.slots.get(slot).copied().unwrap_or_default()
    }

    /// Whether any slot that can be used is free.
    pub(super) fn is_full(&self) -> bool {
        (self.min_slot..=self.max_slot).all(|slot| self.slot(slot).functions != 0)
    }

    /// The first place for a device.
    fn find(&self, device: Connect) -> Option<(u32, u32)> {
        for slot in self.min_slot..=self.max_slot {
            let state = self.slot(slot);
            if state.functions == 0 {
                return Some((slot, 0));
            }
            if device.meets(Connect::AGGREGATE_SLOT)
                && state.aggregates
                && let Some(free) = (0..8).find(|function| state.functions & (1 << function) == 0)
            {
                return Some((slot, free));
            }
        }
        None
    }

    fn take(&mut self, slot: u32, function: u32, device: Connect) {
        let Some(state) = usize::try_from(slot).ok().and_then(|slot| self.slots.get_mut(slot))
        else {
            return;
        };
        let is_first = state.functions == 0;
        state.functions |= 1 << (function & 7);
        let aggregates = device.meets(Connect::AGGREGATE_SLOT);
        state.aggregates = aggregates && (is_first || state.aggregates);
    }
}

/// All buses of a guest.
#[derive(Debug, Clone)]
pub(super) struct Buses {
    pub(super) buses: Vec<Bus>,
    /// Whether buses are added when no place is left.
    pub(super) grows: bool,
    /// Whether devices can be PCI Express devices.
    pub(super) has_pcie: bool,
    /// Whether the emulator has bridges from PCI Express to PCI.
    pub(super) has_pcie_to_pci_bridge: bool,
    /// What makes room for conventional devices.
    pub(super) extension: ControllerModel,
}

impl Buses {
    fn bus(&self, index: u32) -> Option<&Bus> {
        self.buses.get(usize::try_from(index).ok()?)
    }

    /// Whether a function is taken.
    pub(super) fn is_taken(&self, at: Pci) -> bool {
        self.bus(at.bus).is_some_and(|bus| bus.slot(at.slot).functions & (1 << at.function) != 0)
    }

    /// Whether a whole slot is free.
    pub(super) fn is_slot_free(&self, bus: u32, slot: u32) -> bool {
        self.bus(bus).is_some_and(|bus| bus.slot(slot).functions == 0)
    }

    /// Takes a function that a document names; adds the bus if buses are added.
    ///
    /// libvirt 11.3.0: `virDomainPCIAddressReserveAddrInternal`, src/conf/domain_addr.c
    pub(super) fn reserve(&mut self, at: Pci, device: Connect) -> Result<(), DomainError> {
        if self.buses.is_empty() {
            return Err(DomainError::Xml(String::from("No PCI buses available")));
        }
        if at.domain != 0 {
            return Err(DomainError::Xml(format!(
                "Invalid PCI address {at}. Only PCI domain 0 is available"
            )));
        }
        if self.bus(at.bus).is_none() {
            if !self.grows {
                let last = self.buses.len().saturating_sub(1);
                return Err(DomainError::Xml(format!(
                    "Invalid PCI address {at}: Only PCI buses up to {last} are available"
                )));
            }
            while self.bus(at.bus).is_none() {
                self.add_bus_for(device)?;
            }
        }
        if let Some(bus) = self.bus(at.bus) {
            bus.check(at, device)?;
        }
        if self.is_taken(at) {
            return Err(DomainError::Xml(format!("Attempted double use of PCI Address {at}")));
        }
        self.take(at, device);
        Ok(())
    }

    /// Takes a function whatever is there.
    pub(super) fn take(&mut self, at: Pci, device: Connect) {
        if let Some(bus) = usize::try_from(at.bus).ok().and_then(|index| self.buses.get_mut(index))
        {
            bus.take(at.slot, at.function, device);
        }
    }

    /// Gives a function back.
    pub(super) fn free(&mut self, at: Pci) {
        let bus = usize::try_from(at.bus).ok().and_then(|index| self.buses.get_mut(index));
        let slot = usize::try_from(at.slot).ok();
        if let Some(state) = bus.zip(slot).and_then(|(bus, slot)| bus.slots.get_mut(slot)) {
            state.functions &= !(1 << (at.function & 7));
        }
    }

    /// Takes the first place where a device fits.
    ///
    /// libvirt 11.3.0: `virDomainPCIAddressReserveNextAddr`, src/conf/domain_addr.c
    pub(super) fn next(&mut self, device: Connect) -> Result<Pci, DomainError> {
        let device = if self.has_pcie { device } else { device.as_conventional() };
        loop {
            for (index, bus) in (0..).zip(&mut self.buses) {
                if bus.fits(device)
                    && let Some((slot, function)) = bus.find(device)
                {
                    bus.take(slot, function, device);
                    return Ok(Pci::new(index, slot, function));
                }
            }
            if self.buses.is_empty() || !self.grows {
                return Err(DomainError::Internal(String::from("No more available PCI slots")));
            }
            self.add_bus_for(device)?;
        }
    }

    /// Adds what makes room for a device.
    ///
    /// libvirt 11.3.0: `virDomainPCIAddressSetGrow`, src/conf/domain_addr.c
    fn add_bus_for(&mut self, device: Connect) -> Result<(), DomainError> {
        /// More buses than numbers exist for.
        const BUSES_MAX: usize = 256;
        if self.buses.len() >= BUSES_MAX {
            return Err(DomainError::Internal(String::from("No more available PCI slots")));
        }
        // A place that a document names is for the kind of bus that is there.
        let device = if self.has_pcie { device } else { device.as_conventional() };
        let has_pcie_root =
            self.buses.first().is_some_and(|bus| bus.model == ControllerModel::PcieRoot);
        let conventional = Connect::PCI_DEVICE.with(Connect::PCI_BRIDGE);
        if device.meets(conventional) {
            let bridged = self.buses.iter().any(|bus| bus.accepts.meets(Connect::PCI_BRIDGE));
            if has_pcie_root && !bridged {
                return self.add_bridge_to_pci();
            }
            self.buses.push(Bus::new(self.extension));
            return Ok(());
        }
        let express = Connect::PCIE_DEVICE.with(Connect::SWITCH_UPSTREAM);
        if has_pcie_root && device.meets(express.with(Connect::PCIE_TO_PCI_BRIDGE)) {
            self.buses.push(Bus::new(ControllerModel::PcieRootPort));
            return Ok(());
        }
        Err(DomainError::Xml(String::from("Cannot automatically add a new PCI bus for a device")))
    }

    fn add_bridge_to_pci(&mut self) -> Result<(), DomainError> {
        if self.has_pcie_to_pci_bridge {
            // The bridge itself takes a port.
            self.next(Connect::PCIE_TO_PCI_BRIDGE.with(Connect::HOTPLUGGABLE))?;
            self.buses.push(Bus::new(ControllerModel::PcieToPciBridge));
        } else {
            self.buses.push(Bus::new(ControllerModel::DmiToPciBridge));
            self.buses.push(Bus::new(ControllerModel::PciBridge));
        }
        Ok(())
    }
}
