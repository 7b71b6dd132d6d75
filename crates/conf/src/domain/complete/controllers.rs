//! Controllers that devices need, and their order.

use std::collections::BTreeSet;

use super::super::DomainError;
use super::super::address::Address;
use super::super::device::Devices;
use super::super::device::controller::{Controller, ControllerModel, ControllerType};
use super::super::device::disk::{Disk, DiskBus};
use super::super::device::hostdev::HostdevType;

/// Highest index of a controller that is added because a device names it, with all below it: a number in
/// a small document must not become a definition of gigabytes.
const INDEX_MAX: u32 = 1023;

/// Adds the controllers that addresses of devices name and that are not there.
///
/// # Errors
/// [`DomainError::Xml`]: an index that no machine has.
///
/// libvirt 11.3.0: `virDomainDefAddImplicitControllers`, src/conf/domain_postparse.c
pub(super) fn add_implicit(devices: &mut Devices) -> Result<(), DomainError> {
    for (kind, bus) in [
        (ControllerType::Ide, DiskBus::Ide),
        (ControllerType::Scsi, DiskBus::Scsi),
        (ControllerType::Sata, DiskBus::Sata),
        (ControllerType::Fdc, DiskBus::Fdc),
    ] {
        let on_bus = |disk: &&Disk| disk.target.as_ref().and_then(|target| target.bus) == Some(bus);
        let drives = devices.disks.iter().filter(on_bus);
        let highest = drives.filter_map(|disk| match disk.info.address {
            Some(Address::Drive(drive)) => Some(drive.controller),
            _ => None,
        });
        add_up_to(&mut devices.controllers, kind, highest.max())?;
    }
    let of_host = devices.hostdevs.iter().filter_map(|hostdev| match hostdev.info.address {
        Some(Address::Drive(place)) if hostdev.kind == Some(HostdevType::Scsi) => {
            Some(place.controller)
        }
        _ => None,
    });
    if let Some(highest) = of_host.max() {
        let is_scsi = |it: &&Controller| it.kind == Some(ControllerType::Scsi);
        // Further controllers are like those that are there.
        let model = devices.controllers.iter().filter(is_scsi).find_map(|it| it.model);
        let before = devices.controllers.len();
        add_up_to(&mut devices.controllers, ControllerType::Scsi, Some(highest))?;
        if devices.controllers.len() > before {
            let added = devices.controllers.iter_mut();
            added
                .filter(|it| it.kind == Some(ControllerType::Scsi) && it.model.is_none())
                .for_each(|it| it.model = model);
        }
    }
    let ports = devices.channels.iter().chain(&devices.consoles).filter(|port| is_virtio(port));
    let named: BTreeSet<u32> = ports
        .map(|port| match port.info.address {
            Some(Address::VirtioSerial(address)) => address.controller,
            _ => 0,
        })
        .collect();
    for index in named {
        add(&mut devices.controllers, ControllerType::VirtioSerial, index);
    }
    let cards = devices.smartcards.iter().map(|card| match card.info.address {
        Some(Address::Ccid(address)) => address.controller,
        _ => 0,
    });
    add_up_to(&mut devices.controllers, ControllerType::Ccid, cards.max())
}

fn is_virtio(port: &super::super::device::chardev::CharDevice) -> bool {
    let kind = port.target.as_ref().and_then(|target| target.kind.as_deref());
    kind == Some("virtio") && !matches!(port.info.address, Some(Address::Ccw(_)))
}

fn add_up_to(
    controllers: &mut Vec<Controller>,
    kind: ControllerType,
    highest: Option<u32>,
) -> Result<(), DomainError> {
    let Some(highest) = highest else { return Ok(()) };
    if highest > INDEX_MAX {
        let text = format!("Index {highest} of a '{kind}' controller is above {INDEX_MAX}");
        return Err(DomainError::Xml(text));
    }
    for index in 0..=highest {
        add(controllers, kind, index);
    }
    Ok(())
}

/// Adds a controller unless it is there.
fn add(controllers: &mut Vec<Controller>, kind: ControllerType, index: u32) {
    let (kind, index) = (Some(kind), Some(index));
    if !controllers.iter().any(|other| (other.kind, other.index) == (kind, index)) {
        insert(controllers, Controller { kind, index, ..Controller::default() });
    }
}

/// By index; a USB controller is before its companions.
const fn place(controller: &Controller) -> (Option<u32>, bool) {
    let is_companion = matches!(
        controller.model,
        Some(ControllerModel::Ich9Uhci1 | ControllerModel::Ich9Uhci2 | ControllerModel::Ich9Uhci3)
    );
    (controller.index, is_companion)
}

/// Puts a controller behind the last of its kind with a smaller or equal index; of a new kind, at
/// the end.
///
/// libvirt 11.3.0: `virDomainControllerInsertPreAlloced`, src/conf/domain_conf.c
pub(crate) fn insert(controllers: &mut Vec<Controller>, controller: Controller) {
    let is_same = |other: &Controller| other.kind == controller.kind;
    let position = controllers
        .iter()
        .rposition(|other| is_same(other) && place(other) <= place(&controller))
        .map(|at| at + 1)
        .or_else(|| controllers.iter().position(is_same))
        .unwrap_or(controllers.len());
    controllers.insert(position, controller);
}

/// Sorts the controllers as if they had been put in one by one.
pub(super) fn sort(controllers: &mut Vec<Controller>) {
    let unsorted = std::mem::take(controllers);
    for controller in unsorted {
        insert(controllers, controller);
    }
}
