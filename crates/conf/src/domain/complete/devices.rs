//! What devices leave open.

use std::collections::BTreeSet;

use super::super::address::{Address, Drive};
use super::super::device::Devices;
use super::super::device::controller::{Controller, ControllerModel};
use super::super::device::disk::{Disk, DiskBus, DiskDevice, DiskType, SnapshotLocation, Tray};
use super::super::device::filesystem::{Filesystem, FilesystemAccess, FilesystemType};
use super::super::device::hostdev::HostdevType;
use super::super::device::interface::InterfaceType;
use super::super::{DomainDef, DomainError};
use super::{chardev, graphics};

pub(super) fn complete(devices: &mut Devices, _: &DomainDef) -> Result<(), DomainError> {
    for disk in &mut devices.disks {
        complete_disk(disk)?;
    }
    sort_disks(&mut devices.disks);
    devices.filesystems.iter_mut().for_each(complete_filesystem);
    chardev::complete(devices);
    for interface in &mut devices.interfaces {
        let filters = matches!(
            interface.kind,
            Some(InterfaceType::Ethernet | InterfaceType::Network | InterfaceType::Bridge)
        );
        // Nothing filters the packets of the others.
        interface.filter = interface.filter.take().filter(|_| filters);
    }
    complete_indexes(&mut devices.controllers);
    place_scsi_hostdevs(devices);
    devices.graphics.iter_mut().for_each(graphics::complete);
    graphics::complete_videos(&mut devices.videos);
    Ok(())
}

fn complete_disk(disk: &mut Disk) -> Result<(), DomainError> {
    disk.kind.get_or_insert(DiskType::File);
    let device = *disk.device.get_or_insert(DiskDevice::Disk);
    let Some(target) = &mut disk.target else {
        let source = disk.source.as_ref();
        let source = source.and_then(|source| source.file.clone().or_else(|| source.dev.clone()));
        return Err(DomainError::NoTarget(source.unwrap_or_default()));
    };
    let name = target.dev.clone().unwrap_or_default();
    if target.bus.is_none() {
        target.bus = Some(bus_of(&name, device));
    }
    // A drive without medium is the same whatever its next medium is.
    let is_removable = matches!(device, DiskDevice::Cdrom | DiskDevice::Floppy);
    if is_removable && disk.kind == Some(DiskType::Network) && disk.source.is_none() {
        disk.kind = Some(DiskType::File);
    }
    if target.tray == Some(Tray::Closed) {
        target.tray = None;
    }
    let bus = target.bus;
    if device == DiskDevice::Cdrom {
        disk.readonly = true;
    }
    if disk.readonly && disk.snapshot == Some(SnapshotLocation::No) {
        disk.snapshot = None;
    }
    if disk.info.address.is_none()
        && let (Some(bus), Some(index)) = (bus, index_of(&name))
    {
        disk.info.address = drive_address(bus, index).map(Address::Drive);
    }
    Ok(())
}

/// libvirt 11.3.0: `virDomainFSDefParseXML`, src/conf/domain_conf.c
fn complete_filesystem(filesystem: &mut Filesystem) {
    let kind = *filesystem.kind.get_or_insert(FilesystemType::Mount);
    let driver = filesystem.driver.as_ref().and_then(|driver| driver.kind.as_deref());
    let is_served = driver == Some("virtiofs");
    if matches!(kind, FilesystemType::Mount | FilesystemType::Bind) && !is_served {
        filesystem.access.get_or_insert(FilesystemAccess::Passthrough);
    }
    for mode in [&mut filesystem.fmode, &mut filesystem.dmode] {
        if let Some(text) = mode
            && let Ok(bits) = u32::from_str_radix(text, 8)
        {
            *text = format!("0{bits:03o}");
        }
    }
}

/// The bus that the name of a target means.
fn bus_of(name: &str, device: DiskDevice) -> DiskBus {
    match (device, name.get(..2)) {
        (DiskDevice::Floppy, _) | (_, Some("fd")) => DiskBus::Fdc,
        (_, Some("sd")) => DiskBus::Scsi,
        (_, Some("vd")) => DiskBus::Virtio,
        (_, Some("xv")) => DiskBus::Xen,
        (_, Some("ub")) => DiskBus::Uml,
        _ => DiskBus::Ide,
    }
}

/// The number that the letters of a target's name mean: `a` is 0, `aa` 26.
///
/// libvirt 11.3.0: `virDiskNameParse`, src/util/virutil.c
pub(crate) fn index_of(name: &str) -> Option<u32> {
    const PREFIXES: [&str; 7] = ["fd", "hd", "vd", "sd", "xvd", "ubd", "nvme"];
    let letters = PREFIXES.iter().find_map(|prefix| name.strip_prefix(prefix))?;
    let digits_at = letters.find(|c: char| c.is_ascii_digit()).unwrap_or(letters.len());
    let (letters, digits) = letters.split_at_checked(digits_at)?;
    if letters.is_empty() || !digits.chars().all(|c| c.is_ascii_digit()) {
        return None;
    }
    let mut index: u32 = 0;
    for (at, letter) in letters.chars().enumerate() {
        if !letter.is_ascii_lowercase() {
            return None;
        }
        let digit = u32::from(letter) - u32::from('a');
        index = index.checked_add(u32::from(at > 0))?.checked_mul(26)?.checked_add(digit)?;
    }
    Some(index)
}

/// Where a disk sits if its document does not say.
///
/// libvirt 11.3.0: `virDomainDiskDefAssignAddress`, src/conf/domain_conf.c
fn drive_address(bus: DiskBus, index: u32) -> Option<Drive> {
    let at = |per_controller: u32| (index / per_controller, index % per_controller);
    Some(match bus {
        DiskBus::Ide => {
            let (controller, rest) = at(4);
            Drive { controller, bus: rest / 2, target: 0, unit: rest % 2 }
        }
        DiskBus::Sata => {
            let (controller, unit) = at(6);
            Drive { controller, unit, ..Drive::default() }
        }
        DiskBus::Fdc => {
            let (controller, unit) = at(2);
            Drive { controller, unit, ..Drive::default() }
        }
        DiskBus::Scsi => {
            let (controller, unit) = at(7);
            Drive { controller, unit, ..Drive::default() }
        }
        _ => return None,
    })
}

/// Puts disks of a bus next to each other, in the order of their names.
///
/// libvirt 11.3.0: `virDomainDiskInsert`, src/conf/domain_conf.c
fn sort_disks(disks: &mut Vec<Disk>) {
    let key = |disk: &Disk| {
        let target = disk.target.as_ref();
        let index = target.and_then(|target| index_of(target.dev.as_deref()?)).unwrap_or(0);
        (target.and_then(|target| target.bus), index)
    };
    let unsorted = std::mem::take(disks);
    for disk in unsorted {
        let (bus, index) = key(&disk);
        let position = disks
            .iter()
            .rposition(|other| {
                let (other_bus, other_index) = key(other);
                other_bus == bus && other_index <= index
            })
            .map(|at| at + 1)
            .or_else(|| disks.iter().position(|other| key(other).0 == bus))
            .unwrap_or(disks.len());
        disks.insert(position, disk);
    }
}

/// The first port that a model serves as a companion; nothing for the controller of a set itself.
const fn companion_port(model: ControllerModel) -> Option<Option<u32>> {
    match model {
        ControllerModel::Ich9Ehci1 => Some(None),
        ControllerModel::Ich9Uhci1 => Some(Some(0)),
        ControllerModel::Ich9Uhci2 => Some(Some(2)),
        ControllerModel::Ich9Uhci3 => Some(Some(4)),
        _ => None,
    }
}

/// The set that a USB 2 controller completes: that of its predecessor, unless its model is in it already.
///
/// libvirt 11.3.0: `virDomainDefPostParse`, `virDomainAssignControllerIndexes`, src/conf/domain_postparse.c
fn companion_of(controllers: &[Controller], at: usize) -> Option<(u32, Option<u32>)> {
    let own = controllers.get(at)?;
    let port = companion_port(own.model?)?;
    let before = controllers.get(at.checked_sub(1)?)?;
    companion_port(before.model?)?;
    let index = before.index?;
    let is_taken = controllers.iter().any(|other| {
        other.kind == own.kind && other.index == Some(index) && other.model == own.model
    });
    (!is_taken).then_some((index, port))
}

/// Gives SCSI devices of the host the first unit that is free, on a further controller if need be.
///
/// libvirt 11.3.0: `virDomainHostdevAssignAddress`, src/conf/domain_postparse.c
fn place_scsi_hostdevs(devices: &mut Devices) {
    /// Units of a controller that are used for this.
    const UNITS: u32 = 7;
    let is_scsi =
        |disk: &&Disk| disk.target.as_ref().and_then(|target| target.bus) == Some(DiskBus::Scsi);
    let of_disks = devices.disks.iter().filter(is_scsi).map(|disk| &disk.info);
    let of_hostdevs = devices.hostdevs.iter().map(|hostdev| &hostdev.info);
    let mut taken: BTreeSet<Drive> = of_disks
        .chain(of_hostdevs)
        .filter_map(|info| match info.address {
            Some(Address::Drive(place)) => Some(Drive { bus: 0, target: 0, ..place }),
            _ => None,
        })
        .collect();
    for hostdev in &mut devices.hostdevs {
        if hostdev.kind != Some(HostdevType::Scsi) || hostdev.info.address.is_some() {
            continue;
        }
        let mut places = (0..u32::MAX).flat_map(|controller| {
            (0..UNITS).map(move |unit| Drive { controller, unit, ..Drive::default() })
        });
        if let Some(place) = places.find(|place| !taken.contains(place)) {
            taken.insert(place);
            hostdev.info.address = Some(Address::Drive(place));
        }
    }
}

/// Gives controllers without an index the smallest that is free.
fn complete_indexes(controllers: &mut [Controller]) {
    for at in 0..controllers.len() {
        let Some(Controller { index: None, kind, .. }) = controllers.get(at) else { continue };
        let kind = *kind;
        if let Some((index, master)) = companion_of(controllers, at) {
            if let Some(controller) = controllers.get_mut(at) {
                controller.index = Some(index);
                if let Some(start_port) = master {
                    let master = controller.info.master.get_or_insert_default();
                    master.start_port.get_or_insert(start_port);
                }
            }
            continue;
        }
        let is_free = |index: &u32| {
            !controllers
                .iter()
                .any(|controller| controller.kind == kind && controller.index == Some(*index))
        };
        let index = (0..u32::MAX).find(is_free);
        if let Some(controller) = controllers.get_mut(at) {
            controller.index = index;
        }
    }
}
