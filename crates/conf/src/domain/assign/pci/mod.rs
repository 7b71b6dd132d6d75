//! Functions on PCI buses, and the controllers that make room for them.

mod bus;
mod chipset;
mod flags;
mod slots;

use super::super::DomainError;
use super::super::address::{Address, Pci};
use super::super::complete::controllers;
use super::super::device::Devices;
use super::super::device::controller::{
    Controller, ControllerModel, ControllerPciModel, ControllerTarget, ControllerType,
};
use super::super::machine::MachineKind;
use crate::element::Hex;
use crate::emulator::EmulatorCapabilities;
use crate::keyword::OnOff;

use bus::{Bus, Buses, Connect};
use slots::Place;

/// Highest number of a bus: one byte of an address.
const BUS_MAX: u32 = 255;

/// Gives PCI devices their functions: once to learn how many buses that takes, once in earnest.
///
/// libvirt 11.3.0: `qemuDomainAssignPCIAddresses`, src/qemu/qemu_domain_address.c
pub(super) fn assign(
    devices: &mut Devices,
    machine: MachineKind,
    emulator: &EmulatorCapabilities,
) -> Result<(), DomainError> {
    // On s390 the bus is there if the emulator has identities of functions.
    let has_root = match machine {
        MachineKind::S390 => pci_controllers(devices).next().is_some(),
        _ => machine.has_pci_root() || machine.has_pcie_root(),
    };
    if !has_root {
        let waits = matches!(machine, MachineKind::IsaPc | MachineKind::Microvm)
            && slots::places(devices)
                .iter()
                .any(|place| place.is_open() || place.given().is_some());
        return if waits {
            Err(DomainError::Xml(String::from("No PCI buses available")))
        } else {
            Ok(())
        };
    }
    let highest = pci_controllers(devices).filter_map(|controller| controller.index).max();
    if let Some(index) = highest.filter(|index| *index > BUS_MAX) {
        let text = format!("Index {index} of a 'pci' controller is above {BUS_MAX}");
        return Err(DomainError::Xml(text));
    }
    if highest.is_some() {
        let mut trial = devices.clone();
        let mut buses = Buses::of(&trial, machine, emulator, true);
        slots::reserve_given(&mut trial, &mut buses)?;
        chipset::reserve(&mut trial, &mut buses, machine)?;
        // Room for one more bridge, so that the guest can be extended.
        if machine == MachineKind::I440fx && !buses.buses.iter().all(Bus::is_full) {
            buses.next(flags::PCI)?;
        }
        slots::assign(&mut trial, &mut buses)?;
        let n_buses = buses.buses.len();
        let has_only_root = highest == Some(0);
        if has_only_root && n_buses > 1 && machine.has_pcie_root() {
            // The definition has no controller but the root: leave a free port for a hotplugged device.
            buses.next(flags::PCIE)?;
        }
        for (index, bus) in (0_u32..).zip(&buses.buses).skip(1) {
            add_controller(devices, index, bus.model);
        }
    }
    let mut buses = Buses::of(devices, machine, emulator, false);
    slots::reserve_given(devices, &mut buses)?;
    chipset::reserve(devices, &mut buses, machine)?;
    slots::assign(devices, &mut buses)?;
    set_multifunction(devices);
    devices.controllers.iter_mut().for_each(|controller| describe(controller, machine));
    Ok(())
}

fn pci_controllers(devices: &Devices) -> impl Iterator<Item = &Controller> {
    devices.controllers.iter().filter(|controller| controller.kind == Some(ControllerType::Pci))
}

fn add_controller(devices: &mut Devices, index: u32, model: ControllerModel) {
    if pci_controllers(devices).any(|controller| controller.index == Some(index)) {
        return;
    }
    let controller = Controller {
        kind: Some(ControllerType::Pci),
        index: Some(index),
        model: Some(model),
        ..Controller::default()
    };
    controllers::insert(&mut devices.controllers, controller);
}

impl Buses {
    /// The buses that the controllers of a guest make.
    fn of(
        devices: &Devices,
        machine: MachineKind,
        emulator: &EmulatorCapabilities,
        grows: bool,
    ) -> Self {
        let highest = pci_controllers(devices).filter_map(|controller| controller.index).max();
        let model_of = |index| {
            let mut given = pci_controllers(devices).filter(|c| c.index == Some(index));
            given.find_map(|controller| controller.model)
        };
        let root = model_of(0).unwrap_or(ControllerModel::PciRoot);
        // POWER adds a root, other machines a bridge.
        let extension = if machine == MachineKind::Pseries {
            ControllerModel::PciRoot
        } else {
            ControllerModel::PciBridge
        };
        let filler = if root == ControllerModel::PcieRoot {
            ControllerModel::PcieRootPort
        } else {
            extension
        };
        let buses = (0..=highest.unwrap_or(0))
            .map(|index| {
                Bus::new(model_of(index).unwrap_or(if index == 0 { root } else { filler }))
            })
            .collect();
        let has_pcie_to_pci_bridge = emulator.has("pcie-pci-bridge");
        let has_pcie = root == ControllerModel::PcieRoot;
        Self { buses, grows, has_pcie, has_pcie_to_pci_bridge, extension }
    }
}

/// Marks function 0 of every slot that has more functions.
///
/// libvirt 11.3.0: `virDomainPCIAddressSetAllMulti`, src/conf/domain_addr.c
fn set_multifunction(devices: &mut Devices) {
    let mut places = slots::places(devices);
    let used: Vec<Pci> = places.iter().filter_map(|place| place.given()).collect();
    let shares = |at: &Pci| {
        used.iter().any(|other| {
            (other.domain, other.bus, other.slot) == (at.domain, at.bus, at.slot)
                && other.function != 0
        })
    };
    for place in &mut places {
        if let Some(Address::Pci(pci)) = place.address_mut()
            && !pci.is_empty()
            && pci.function == 0
            && pci.multifunction.is_none()
            && shares(pci)
        {
            pci.multifunction = Some(OnOff::On);
        }
    }
}

impl Place<'_> {
    fn address_mut(&mut self) -> Option<&mut Address> {
        self.info.address.as_mut()
    }
}

/// Fills in the device behind a PCI controller and its numbers.
///
/// libvirt 11.3.0: `qemuDomainPCIControllerSetDefaultModelName`, src/qemu/qemu_domain_address.c
fn describe(controller: &mut Controller, machine: MachineKind) {
    if controller.kind != Some(ControllerType::Pci) {
        return;
    }
    let (Some(model), Some(index)) = (controller.model, controller.index) else { return };
    let name = match model {
        ControllerModel::PciBridge => "pci-bridge",
        ControllerModel::DmiToPciBridge => "i82801b11-bridge",
        ControllerModel::PcieToPciBridge => "pcie-pci-bridge",
        ControllerModel::PcieRootPort => "pcie-root-port",
        ControllerModel::PcieSwitchUpstreamPort => "x3130-upstream",
        ControllerModel::PcieSwitchDownstreamPort => "xio3130-downstream",
        ControllerModel::PciExpanderBus => "pxb",
        ControllerModel::PcieExpanderBus => "pxb-pcie",
        ControllerModel::PciRoot if machine == MachineKind::Pseries => "spapr-pci-host-bridge",
        _ => return,
    };
    let pci_model = controller.pci_model.get_or_insert_with(ControllerPciModel::default);
    pci_model.name.get_or_insert_with(|| name.to_owned());
    let at = match controller.info.address {
        Some(Address::Pci(at)) => at,
        _ => Pci::default(),
    };
    let mut target = controller.target.take().unwrap_or_default();
    match model {
        ControllerModel::PciBridge => {
            target.chassis_nr.get_or_insert(index);
        }
        ControllerModel::PciRoot => {
            target.index.get_or_insert(index);
        }
        ControllerModel::PcieRootPort | ControllerModel::PcieSwitchDownstreamPort => {
            target.chassis.get_or_insert(index);
            let is_root_port = model == ControllerModel::PcieRootPort;
            let port = if is_root_port { (at.slot << 3) + at.function } else { at.slot };
            target.port.get_or_insert_with(|| Hex(port.into()));
        }
        ControllerModel::PciExpanderBus | ControllerModel::PcieExpanderBus => {
            target.bus_nr.get_or_insert(254);
        }
        _ => {}
    }
    if target != ControllerTarget::default() {
        controller.target = Some(target);
    }
}

/// Whether a connection takes part in PCI at all.
fn is_pci(connect: Connect) -> bool {
    connect != Connect::NONE
}
