//! Channel devices of s390.

use std::collections::BTreeSet;

use super::super::DomainError;
use super::super::address::{Address, Ccw, DeviceInfo};
use super::super::device::Devices;
use super::super::device::controller::{ControllerModel, ControllerType};
use super::super::device::disk::DiskBus;
use super::super::device::hostdev::HostdevType;
use super::super::device::input::InputBus;
use super::super::device::memballoon::MemballoonModel;
use super::super::device::memory::MemoryModel;
use super::super::device::video::VideoModel;

/// Subsystem of virtio devices.
const CSSID: u32 = 0xfe;

/// Gives virtio devices that wait for one the next device number.
///
/// libvirt 11.3.0: `qemuDomainAssignS390Addresses`, src/qemu/qemu_domain_address.c
pub(super) fn assign(devices: &mut Devices) -> Result<(), DomainError> {
    let mut infos = infos(devices);
    let mut taken = BTreeSet::new();
    for info in &infos {
        if let Some(Address::Ccw(Ccw { id: Some(id) })) = info.address
            && !taken.insert(id)
        {
            let (cssid, ssid, devno) = id;
            return Err(DomainError::Xml(format!(
                "The CCW devno '{cssid:x}.{ssid:x}.{devno:04x}' is in use already"
            )));
        }
    }
    for info in &mut infos {
        if matches!(info.address, None | Some(Address::Ccw(Ccw { id: None }))) {
            let is_free = |devno: &u32| !taken.contains(&(CSSID, 0, *devno));
            let devno = (0..0xffff).find(is_free).ok_or_else(|| {
                DomainError::Internal(String::from("There are no more free CCW devnos."))
            })?;
            taken.insert((CSSID, 0, devno));
            info.address = Some(Address::Ccw(Ccw { id: Some((CSSID, 0, devno)) }));
        }
    }
    Ok(())
}

/// Virtio devices in the order in which they get numbers.
fn infos(devices: &mut Devices) -> Vec<&mut DeviceInfo> {
    let mut infos: Vec<&mut DeviceInfo> = Vec::new();
    for disk in &mut devices.disks {
        if disk.target.as_ref().and_then(|target| target.bus) == Some(DiskBus::Virtio) {
            infos.push(&mut disk.info);
        }
    }
    for interface in &mut devices.interfaces {
        let model = interface.model.as_ref().and_then(|model| model.kind.as_deref());
        if model == Some("virtio") {
            infos.push(&mut interface.info);
        }
    }
    for hostdev in &mut devices.hostdevs {
        let is_channel =
            hostdev.kind == Some(HostdevType::Mdev) && hostdev.model.as_deref() == Some("vfio-ccw");
        if is_channel || hostdev.kind == Some(HostdevType::ScsiHost) {
            infos.push(&mut hostdev.info);
        }
    }
    for video in &mut devices.videos {
        if video.model.as_ref().and_then(|model| model.kind) == Some(VideoModel::Virtio) {
            infos.push(&mut video.info);
        }
    }
    for controller in &mut devices.controllers {
        let is_virtio = controller.kind == Some(ControllerType::VirtioSerial)
            || controller.kind == Some(ControllerType::Scsi)
                && controller.model == Some(ControllerModel::VirtioScsi);
        if is_virtio {
            infos.push(&mut controller.info);
        }
    }
    for console in &mut devices.consoles {
        if matches!(console.info.address, Some(Address::Ccw(_))) {
            infos.push(&mut console.info);
        }
    }
    for input in devices.inputs.iter_mut().filter(|input| input.bus == Some(InputBus::Virtio)) {
        infos.push(&mut input.info);
    }
    infos.extend(devices.filesystems.iter_mut().map(|filesystem| &mut filesystem.info));
    for memballoon in &mut devices.memballoons {
        if memballoon.model == Some(MemballoonModel::Virtio) {
            infos.push(&mut memballoon.info);
        }
    }
    infos.extend(devices.rngs.iter_mut().map(|rng| &mut rng.info));
    for memory in &mut devices.memories {
        if matches!(memory.model, Some(MemoryModel::VirtioMem | MemoryModel::VirtioPmem)) {
            infos.push(&mut memory.info);
        }
    }
    infos.extend(devices.vsock.iter_mut().map(|vsock| &mut vsock.info));
    infos.extend(devices.cryptos.iter_mut().map(|crypto| &mut crypto.info));
    infos
}
