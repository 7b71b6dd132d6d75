//! Memory-mapped virtio devices of ARM boards without PCI.

use super::super::DomainDef;
use super::super::address::{Address, DeviceInfo};
use super::super::device::Devices;
use super::super::device::controller::ControllerType;
use super::super::device::disk::DiskBus;
use super::super::device::input::InputBus;
use super::super::device::memballoon::MemballoonModel;
use super::super::machine::MachineKind;
use crate::emulator::EmulatorCapabilities;

/// Says of virtio devices on such a board that they are memory-mapped.
///
/// libvirt 11.3.0: `qemuDomainAssignVirtioMMIOAddresses`, src/qemu/qemu_domain_address.c
pub(super) fn assign(devices: &mut Devices, def: &DomainDef, emulator: &EmulatorCapabilities) {
    let kind = def.os.as_ref().and_then(|os| os.kind.as_ref());
    let machine = kind.and_then(|kind| kind.machine.as_deref()).unwrap_or_default();
    let arch = kind.and_then(|kind| kind.arch.as_deref()).unwrap_or_default();
    let is_arm = matches!(arch, "aarch64" | "armv7l" | "armv6l");
    let is_used = infos(devices).iter().any(|it| it.address == Some(Address::VirtioMmio));
    let fits = machine.starts_with("vexpress-")
        // Where there is PCI Express, a guest has to have chosen it.
        || MachineKind::of(def) == MachineKind::Virt && is_used;
    if !is_arm || !fits || !emulator.has("virtio-mmio") {
        return;
    }
    for info in infos(devices) {
        info.address.get_or_insert(Address::VirtioMmio);
    }
}

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
    for input in devices.inputs.iter_mut().filter(|input| input.bus == Some(InputBus::Virtio)) {
        infos.push(&mut input.info);
    }
    for controller in &mut devices.controllers {
        if matches!(controller.kind, Some(ControllerType::VirtioSerial | ControllerType::Scsi)) {
            infos.push(&mut controller.info);
        }
    }
    for memballoon in &mut devices.memballoons {
        if memballoon.model == Some(MemballoonModel::Virtio) {
            infos.push(&mut memballoon.info);
        }
    }
    infos.extend(devices.rngs.iter_mut().map(|rng| &mut rng.info));
    infos.extend(devices.filesystems.iter_mut().map(|filesystem| &mut filesystem.info));
    infos
}
