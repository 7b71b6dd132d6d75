//! The devices of a guest in the order in which they get functions.

use std::collections::BTreeMap;

use super::super::super::DomainError;
use super::super::super::address::{Address, DeviceInfo, Pci};
use super::super::super::device::Devices;
use super::super::super::device::controller::{ControllerModel, ControllerType};
use super::bus::{Buses, Connect};
use super::flags;

/// A device that sits on a PCI bus.
#[derive(Debug)]
pub(super) struct Place<'d> {
    pub(super) info: &'d mut DeviceInfo,
    pub(super) connect: Connect,
}

impl Place<'_> {
    /// The function it has.
    pub(super) fn given(&self) -> Option<Pci> {
        match self.info.address {
            Some(Address::Pci(pci)) if !pci.is_empty() => Some(pci),
            _ => None,
        }
    }

    /// Whether it waits for one.
    pub(super) fn is_open(&self) -> bool {
        match self.info.address {
            None => true,
            Some(Address::Pci(pci)) => pci.is_empty(),
            Some(_) => false,
        }
    }

    /// Gives it one.
    pub(super) fn put(&mut self, at: Pci) {
        let (multifunction, zpci) = match self.info.address {
            Some(Address::Pci(old)) => (old.multifunction, old.zpci),
            _ => (None, None),
        };
        self.info.address = Some(Address::Pci(Pci { multifunction, zpci, ..at }));
    }
}

/// Takes the functions that devices have already.
pub(super) fn reserve_given(devices: &mut Devices, buses: &mut Buses) -> Result<(), DomainError> {
    for place in places(devices) {
        if let Some(at) = place.given() {
            buses.reserve(at, place.connect)?;
        }
    }
    Ok(())
}

/// Gives every device that waits for a function the first that fits.
///
/// libvirt 11.3.0: `qemuDomainAssignDevicePCISlots`, src/qemu/qemu_domain_address.c
pub(super) fn assign(devices: &mut Devices, buses: &mut Buses) -> Result<(), DomainError> {
    put_companions(devices, buses)?;
    for mut place in places(devices) {
        if place.is_open() {
            let at = buses.next(place.connect)?;
            place.put(at);
        }
    }
    Ok(())
}

/// Puts the controllers of a USB 2 set into the functions of one slot.
fn put_companions(devices: &mut Devices, buses: &mut Buses) -> Result<(), DomainError> {
    let function_of = |model| match model {
        Some(ControllerModel::Ich9Ehci1) => Some(7),
        Some(ControllerModel::Ich9Uhci1) => Some(0),
        Some(ControllerModel::Ich9Uhci2) => Some(1),
        Some(ControllerModel::Ich9Uhci3) => Some(2),
        _ => None,
    };
    let is_open = |info: &DeviceInfo| match info.address {
        None => true,
        Some(Address::Pci(at)) => at.is_empty(),
        Some(_) => false,
    };
    let mut slots: BTreeMap<Option<u32>, Pci> = BTreeMap::new();
    for controller in &devices.controllers {
        if function_of(controller.model).is_some()
            && let Some(Address::Pci(at)) = controller.info.address
            && !at.is_empty()
        {
            slots.entry(controller.index).or_insert(at);
        }
    }
    for controller in &mut devices.controllers {
        let Some(function) = function_of(controller.model) else { continue };
        if !is_open(&controller.info) {
            continue;
        }
        let at = match slots.get(&controller.index) {
            Some(&at) => at,
            None => {
                let at = buses.next(flags::PCI)?;
                buses.free(at);
                slots.insert(controller.index, at);
                at
            }
        };
        let at = Pci { function, multifunction: None, ..at };
        if !buses.is_taken(at) {
            buses.take(at, flags::PCI);
            controller.info.address = Some(Address::Pci(at));
        }
    }
    Ok(())
}

/// Every device on a PCI bus, in the order in which they get functions.
pub(super) fn places(devices: &mut Devices) -> Vec<Place<'_>> {
    let mut places = Places(Vec::new());
    macro_rules! add {
        ($($field:ident by $connect:path),+ $(,)?) => {
            $(for device in devices.$field.iter_mut() {
                let connect = $connect(device);
                places.add(&mut device.info, connect);
            })+
        };
    }
    let (bridges, controllers): (Vec<_>, Vec<_>) = devices
        .controllers
        .iter_mut()
        .partition(|controller| controller.kind == Some(ControllerType::Pci));
    for controller in bridges {
        let connect = flags::controller(controller);
        places.add(&mut controller.info, connect);
    }
    add!(
        filesystems by flags::filesystem,
        interfaces by flags::interface,
        sounds by flags::sound,
    );
    for controller in controllers {
        let connect = flags::controller(controller);
        places.add(&mut controller.info, connect);
    }
    add!(
        disks by flags::disk,
        hostdevs by flags::hostdev,
        memballoons by flags::memballoon,
        rngs by flags::rng,
        watchdogs by flags::watchdog,
        videos by flags::video,
        shmems by flags::shmem,
        inputs by flags::input,
        serials by flags::serial,
        memories by flags::memory,
        vsock by flags::vsock,
        cryptos by flags::crypto,
        panics by flags::panic,
        iommu by flags::iommu,
        pstore by flags::pstore,
    );
    places.0
}

/// Collects devices that sit on PCI buses.
struct Places<'d>(Vec<Place<'d>>);

impl<'d> Places<'d> {
    fn add(&mut self, info: &'d mut DeviceInfo, connect: Connect) {
        if super::is_pci(connect) {
            self.0.push(Place { info, connect });
        }
    }
}
