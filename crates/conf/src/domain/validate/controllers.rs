//! Controllers.

use std::collections::BTreeSet;

use super::super::DomainError;
use super::super::address::Address;
use super::super::device::Devices;
use super::super::device::controller::{Controller, ControllerModel, ControllerType};
use super::super::machine::MachineKind;
use super::{Check, contradiction, has_no_usb, unsupported};
use crate::emulator::EmulatorCapabilities;

/// Refuses controllers of one kind and index, and USB controllers of a guest without USB; companions share
/// the index of their master.
///
/// libvirt 11.3.0: `virDomainDefRejectDuplicateControllers`, src/conf/domain_postparse.c
pub(super) fn check_duplicates(devices: &Devices) -> Check {
    let usb = || devices.controllers.iter().filter(|it| it.kind == Some(ControllerType::Usb));
    if has_no_usb(devices) && usb().count() > 1 {
        return Err(DomainError::Detail(String::from(
            "Can't add another USB controller: USB is disabled for this domain",
        )));
    }
    for controller in devices.controllers.iter().filter(|it| is_companion(it)) {
        let masters = usb().any(|it| it.index == controller.index && !is_companion(it));
        if !masters {
            return Err(DomainError::Detail(String::from("No master USB controller specified")));
        }
    }
    let mut seen = BTreeSet::new();
    for controller in &devices.controllers {
        let (Some(kind), Some(index)) = (controller.kind, controller.index) else { continue };
        if !is_companion(controller) && !seen.insert((kind, index)) {
            return contradiction(format!("Multiple '{kind}' controllers with index '{index}'"));
        }
    }
    Ok(())
}

/// libvirt 11.3.0: `virDomainDefValidate`, src/conf/domain_validate.c
pub(super) fn check_indexes(devices: &Devices) -> Check {
    check_duplicates(devices)?;
    for controller in &devices.controllers {
        let (Some(kind), Some(index)) = (controller.kind, controller.index) else { continue };
        let is_root =
            matches!(controller.model, Some(ControllerModel::PciRoot | ControllerModel::PcieRoot));
        if kind == ControllerType::Pci && index != 0 && controller.model.is_none() {
            let text = "PCI controller model was not set correctly";
            return Err(DomainError::Internal(String::from(text)));
        }
        if is_root && matches!(controller.info.address, Some(Address::Pci(at)) if !at.is_empty()) {
            return unsupported("pci-root and pcie-root controllers should not have an address");
        }
        check_target_index(controller)?;
        let is_phb = controller.target.as_ref().is_some_and(|target| target.index.is_some())
            || controller.pci_model.is_some();
        if kind == ControllerType::Pci && is_root && index != 0 && !is_phb {
            return Err(DomainError::QemuXml(String::from(
                "pci-root and pcie-root controllers should have index 0",
            )));
        }
        if controller.driver.as_ref().is_some_and(|driver| driver.iothread.is_some())
            && kind != ControllerType::Scsi
        {
            return contradiction(
                "'iothread' attribute only supported for virtio scsi controllers",
            );
        }
    }
    if has_no_usb(devices) && !devices.hubs.is_empty() {
        return unsupported("Can't add USB hub: USB is disabled for this domain");
    }
    Ok(())
}

/// libvirt 11.3.0: `virDomainControllerDefValidate`, src/conf/domain_validate.c
fn check_target_index(controller: &Controller) -> Check {
    let index = controller.index.unwrap_or(0);
    let Some(target) = &controller.target else { return Ok(()) };
    if controller.model == Some(ControllerModel::PciRoot)
        && let Some(number) = target.index
    {
        if number > 30 {
            return unsupported(format!(
                "PCI controller target index '{number}' out of range - must be 0-30"
            ));
        }
        if (index == 0) != (number == 0) {
            return unsupported(
                "Only the PCI controller with index 0 can have target index 0, and vice versa",
            );
        }
    }
    Ok(())
}

fn is_companion(controller: &Controller) -> bool {
    controller.kind == Some(ControllerType::Usb)
        && matches!(
            controller.model,
            Some(
                ControllerModel::Ich9Uhci1
                    | ControllerModel::Ich9Uhci2
                    | ControllerModel::Ich9Uhci3
            )
        )
}

/// The first bus has to be the machine's.
pub(super) fn check_qemu_roots(devices: &Devices, machine: MachineKind) -> Check {
    let root = devices.controllers.iter().find(|controller| {
        controller.kind == Some(ControllerType::Pci) && controller.index == Some(0)
    });
    let expected = if machine.has_pcie_root() {
        ControllerModel::PcieRoot
    } else if machine.has_pci_root() {
        ControllerModel::PciRoot
    } else {
        return Ok(());
    };
    match root.and_then(|root| root.model) {
        Some(found) if found != expected => Err(DomainError::QemuXml(format!(
            "The PCI controller with index='0' must be model='{expected}' for this machine type, \
             but model='{found}' was found instead"
        ))),
        _ => Ok(()),
    }
}

/// libvirt 11.3.0: `qemuValidateDomainDeviceDefController`, src/qemu/qemu_validate.c
pub(super) fn check_qemu(devices: &Devices, n_cells: u32) -> Check {
    /// The most ports an xHCI controller has.
    const XHCI_PORTS: u32 = 15;
    for controller in &devices.controllers {
        match controller.kind {
            Some(ControllerType::Usb) => {
                // Without a model it can be kept, but not started.
                let Some(model) = controller.model else { continue };
                let is_xhci = matches!(model, ControllerModel::NecXhci | ControllerModel::QemuXhci);
                if is_xhci && controller.ports.is_some_and(|ports| ports > XHCI_PORTS) {
                    return unsupported(format!(
                        "'{model}' controller only supports up to '{XHCI_PORTS}' ports"
                    ));
                }
            }
            Some(ControllerType::Pci) => check_pci(controller, n_cells)?,
            _ => {}
        }
    }
    Ok(())
}

/// What is accepted in a definition but cannot be started.
pub(super) fn check_start(devices: &Devices, emulator: &EmulatorCapabilities) -> Check {
    for controller in &devices.controllers {
        if controller.kind == Some(ControllerType::Usb)
            && let Some(model) = controller.model
            && usb_flag(model).is_some_and(|flag| !emulator.has(flag))
        {
            return unsupported(format!(
                "USB controller model '{model}' not supported in this QEMU binary"
            ));
        }
    }
    Ok(())
}

const fn usb_flag(model: ControllerModel) -> Option<&'static str> {
    match model {
        ControllerModel::NecXhci => Some("nec-usb-xhci"),
        ControllerModel::QemuXhci => Some("qemu-xhci"),
        ControllerModel::Piix3Uhci => Some("piix3-usb-uhci"),
        ControllerModel::Piix4Uhci => Some("piix4-usb-uhci"),
        ControllerModel::Ehci => Some("usb-ehci"),
        ControllerModel::PciOhci => Some("pci-ohci"),
        _ => None,
    }
}

fn check_pci(controller: &Controller, n_cells: u32) -> Check {
    let Some(target) = &controller.target else { return Ok(()) };
    let index = controller.index.unwrap_or(0);
    if let Some(node) = target.node
        && matches!(
            controller.model,
            Some(ControllerModel::PciExpanderBus | ControllerModel::PcieExpanderBus)
        )
        && node >= n_cells
    {
        let model = controller.model.map(ControllerModel::as_str).unwrap_or_default();
        return Err(DomainError::QemuXml(format!(
            "{model} with index {index} is configured for a NUMA node ({node}) not present in the \
             domain's <cpu><numa> array ({n_cells})"
        )));
    }
    if index == 0 && target.node.is_some() {
        return unsupported("The PCI controller with index=0 can't be associated with a NUMA node");
    }
    Ok(())
}
