//! Places that belong to the chipsets of PCs.

use super::super::super::DomainError;
use super::super::super::address::{Address, DeviceInfo, Pci};
use super::super::super::device::Devices;
use super::super::super::device::controller::{ControllerModel, ControllerType};
use super::super::super::device::sound::SoundModel;
use super::super::super::device::video::VideoModel;
use super::super::super::machine::MachineKind;
use super::bus::{Buses, Connect};
use super::flags;

/// Takes the places that the machine gives a meaning and puts the devices there that belong there.
pub(super) fn reserve(
    devices: &mut Devices,
    buses: &mut Buses,
    machine: MachineKind,
) -> Result<(), DomainError> {
    match machine {
        MachineKind::I440fx => reserve_i440fx(devices, buses),
        MachineKind::Q35 => reserve_q35(devices, buses),
        _ => Ok(()),
    }
}

/// Puts a device at a fixed place if it has none.
fn fix(
    info: &mut DeviceInfo,
    buses: &mut Buses,
    at: Pci,
    elsewhere: &str,
) -> Result<(), DomainError> {
    match info.address {
        Some(Address::Pci(given)) if !given.is_empty() => {
            let is_there = (given.domain, given.bus, given.slot, given.function)
                == (at.domain, at.bus, at.slot, at.function);
            if is_there { Ok(()) } else { Err(DomainError::QemuInternal(elsewhere.to_owned())) }
        }
        Some(Address::Pci(_)) | None => {
            if buses.is_taken(at) {
                return Err(DomainError::Xml(format!("Attempted double use of PCI Address {at}")));
            }
            buses.take(at, Connect::NONE);
            info.address = Some(Address::Pci(at));
            Ok(())
        }
        Some(_) => Ok(()),
    }
}

/// libvirt 11.3.0: `qemuDomainValidateDevicePCISlotsPIIX3`, src/qemu/qemu_domain_address.c
fn reserve_i440fx(devices: &mut Devices, buses: &mut Buses) -> Result<(), DomainError> {
    for controller in &mut devices.controllers {
        match (controller.kind, controller.index) {
            (Some(ControllerType::Ide), Some(0)) => fix(
                &mut controller.info,
                buses,
                Pci::new(0, 1, 1),
                "Primary IDE controller must have PCI address 0:0:1.1",
            )?,
            (Some(ControllerType::Usb), Some(0))
                if controller.model == Some(ControllerModel::Piix3Uhci) =>
            {
                fix(
                    &mut controller.info,
                    buses,
                    Pci::new(0, 1, 2),
                    "PIIX3 USB controller at index 0 must have PCI address 0:0:1.2",
                )?;
            }
            _ => {}
        }
    }
    for at in [Pci::new(0, 1, 0), Pci::new(0, 1, 3)] {
        if !buses.is_taken(at) {
            buses.take(at, Connect::NONE);
        }
    }
    // The rest of the slot belongs to the chipset, too.
    let is_ide_free = !buses.is_taken(Pci::new(0, 1, 1));
    if is_ide_free {
        buses.take(Pci::new(0, 1, 1), Connect::NONE);
    }
    put_primary_video(devices, buses, 2)
}

/// libvirt 11.3.0: `qemuDomainValidateDevicePCISlotsQ35`, src/qemu/qemu_domain_address.c
fn reserve_q35(devices: &mut Devices, buses: &mut Buses) -> Result<(), DomainError> {
    for controller in &mut devices.controllers {
        if (controller.kind, controller.index) == (Some(ControllerType::Sata), Some(0)) {
            fix(
                &mut controller.info,
                buses,
                Pci::new(0, 0x1f, 2),
                "Primary SATA controller must have PCI address 0:0:1f.2",
            )?;
        }
        let is_open = matches!(
            controller.info.address,
            None | Some(Address::Pci(Pci { domain: 0, bus: 0, slot: 0, function: 0, .. }))
        );
        if controller.kind == Some(ControllerType::Pci)
            && controller.model == Some(ControllerModel::DmiToPciBridge)
            && is_open
            && buses.is_slot_free(0, 0x1e)
        {
            let at = Pci::new(0, 0x1e, 0);
            buses.take(at, Connect::NONE);
            controller.info.address = Some(Address::Pci(at));
        }
    }
    put_usb2(devices, buses);
    for at in [Pci::new(0, 0x1f, 0), Pci::new(0, 0x1f, 3)] {
        if !buses.is_taken(at) {
            buses.take(at, Connect::NONE);
        }
    }
    if !buses.is_taken(Pci::new(0, 0x1f, 2)) {
        buses.take(Pci::new(0, 0x1f, 2), Connect::NONE);
    }
    put_primary_video(devices, buses, 1)?;
    if let Some(sound) = devices
        .sounds
        .iter_mut()
        .find(|sound| sound.model == Some(SoundModel::Ich9) && sound.info.address.is_none())
    {
        let at = Pci::new(0, 0x1b, 0);
        if buses.is_slot_free(0, 0x1b) {
            buses.take(at, Connect::NONE);
            sound.info.address = Some(Address::Pci(at));
        }
    }
    Ok(())
}

/// Sets of USB 2 controllers: the first goes to slot 0x1d, the second to 0x1a.
fn put_usb2(devices: &mut Devices, buses: &mut Buses) {
    let mut indexes: Vec<u32> = Vec::new();
    for controller in &devices.controllers {
        if is_usb2(controller.model)
            && let Some(index) = controller.index
            && !indexes.contains(&index)
        {
            indexes.push(index);
        }
    }
    for index in indexes {
        let is_ours = |model: Option<ControllerModel>, given: Option<u32>| {
            is_usb2(model) && given == Some(index)
        };
        let open = devices
            .controllers
            .iter()
            .filter(|controller| is_ours(controller.model, controller.index))
            .all(|controller| controller.info.address.is_none());
        let Some(slot) = [0x1d, 0x1a].into_iter().find(|&slot| buses.is_slot_free(0, slot)) else {
            return;
        };
        if !open {
            continue;
        }
        for controller in &mut devices.controllers {
            if is_ours(controller.model, controller.index) {
                let function = match controller.model {
                    Some(ControllerModel::Ich9Ehci1) => 7,
                    Some(ControllerModel::Ich9Uhci2) => 1,
                    Some(ControllerModel::Ich9Uhci3) => 2,
                    _ => 0,
                };
                let at = Pci::new(0, slot, function);
                buses.take(at, Connect::NONE);
                controller.info.address = Some(Address::Pci(at));
            }
        }
    }
}

const fn is_usb2(model: Option<ControllerModel>) -> bool {
    matches!(
        model,
        Some(
            ControllerModel::Ich9Ehci1
                | ControllerModel::Ich9Uhci1
                | ControllerModel::Ich9Uhci2
                | ControllerModel::Ich9Uhci3
        )
    )
}

/// The first graphics card has a slot of its own; without a card the slot is free for other devices.
fn put_primary_video(
    devices: &mut Devices,
    buses: &mut Buses,
    slot: u32,
) -> Result<(), DomainError> {
    let Some(video) = devices.videos.first_mut() else { return Ok(()) };
    let model = video.model.as_ref().and_then(|model| model.kind);
    let connect = flags::video(video);
    let is_ramfb = matches!(model, Some(VideoModel::None | VideoModel::Ramfb));
    let is_open = match video.info.address {
        None => true,
        Some(Address::Pci(at)) => at.is_empty(),
        Some(_) => false,
    };
    if is_ramfb || !is_open || connect == Connect::NONE {
        return Ok(());
    }
    let at = if buses.is_slot_free(0, slot) {
        let at = Pci::new(0, slot, 0);
        buses.take(at, Connect::NONE);
        at
    } else {
        buses.next(connect)?
    };
    video.info.address = Some(Address::Pci(at));
    Ok(())
}
