//! Names of devices, which are their identifiers in the emulator.

use oxivirt_conf::domain::MachineKind;
use oxivirt_conf::domain::address::{Address, Alias, DeviceInfo};
use oxivirt_conf::domain::device::Devices;
use oxivirt_conf::domain::device::controller::{Controller, ControllerModel, ControllerType};
use oxivirt_conf::domain::device::disk::{Disk, DiskBus};
use oxivirt_conf::domain::device::memory::MemoryModel;

/// Gives every device without alias the one it gets at a start.
///
/// libvirt 11.3.0: `qemuAssignDeviceAliases`, src/qemu/qemu_alias.c
pub(super) fn assign(devices: &mut Devices, machine: MachineKind) {
    let models: Vec<(u32, Option<ControllerModel>)> = devices
        .controllers
        .iter()
        .filter(|controller| controller.kind == Some(ControllerType::Scsi))
        .map(|controller| (controller.index.unwrap_or(0), controller.model))
        .collect();
    for disk in &mut devices.disks {
        let alias = of_disk(disk, &models);
        name(&mut disk.info, alias);
    }
    for controller in &mut devices.controllers {
        let alias = of_controller(controller, machine);
        name(&mut controller.info, alias);
    }
    number(devices.filesystems.iter_mut().map(|device| &mut device.info), "fs");
    number(devices.interfaces.iter_mut().map(|device| &mut device.info), "net");
    number(devices.smartcards.iter_mut().map(|device| &mut device.info), "smartcard");
    number(devices.serials.iter_mut().map(|device| &mut device.info), "serial");
    number(devices.parallels.iter_mut().map(|device| &mut device.info), "parallel");
    number(devices.channels.iter_mut().map(|device| &mut device.info), "channel");
    let first = devices.serials.first().and_then(|serial| serial.info.alias.clone());
    for (at, console) in devices.consoles.iter_mut().enumerate() {
        let target = console.target.as_ref().and_then(|target| target.kind.as_deref());
        if at == 0 && target == Some("serial") && console.info.alias.is_none() {
            console.info.alias.clone_from(&first);
        }
    }
    number_by_place(devices.consoles.iter_mut().map(|device| &mut device.info), "console");
    number(devices.inputs.iter_mut().map(|device| &mut device.info), "input");
    number(devices.tpms.iter_mut().map(|device| &mut device.info), "tpm");
    number(devices.sounds.iter_mut().map(|device| &mut device.info), "sound");
    number(devices.videos.iter_mut().map(|device| &mut device.info), "video");
    number(devices.hostdevs.iter_mut().map(|device| &mut device.info), "hostdev");
    number(devices.redirdevs.iter_mut().map(|device| &mut device.info), "redir");
    number(devices.hubs.iter_mut().map(|device| &mut device.info), "hub");
    number(devices.watchdogs.iter_mut().map(|device| &mut device.info), "watchdog");
    number(devices.memballoons.iter_mut().map(|device| &mut device.info), "balloon");
    number(devices.rngs.iter_mut().map(|device| &mut device.info), "rng");
    number(devices.shmems.iter_mut().map(|device| &mut device.info), "shmem");
    number(devices.iommu.iter_mut().map(|device| &mut device.info), "iommu");
    number(devices.vsock.iter_mut().map(|device| &mut device.info), "vsock");
    number(devices.cryptos.iter_mut().map(|device| &mut device.info), "crypto");
    number(devices.pstore.iter_mut().map(|device| &mut device.info), "pstore");
    name_memories(devices);
}

fn name(info: &mut DeviceInfo, alias: String) {
    let alias_of = info.alias.get_or_insert_with(Alias::default);
    if alias_of.name.is_none() {
        alias_of.name = Some(alias);
    }
}

/// Numbers continue above those in use.
fn number<'a>(infos: impl Iterator<Item = &'a mut DeviceInfo>, prefix: &str) {
    let infos: Vec<&mut DeviceInfo> = infos.collect();
    let used = infos.iter().filter_map(|info| {
        let alias = info.alias.as_ref()?.name.as_deref()?;
        alias.strip_prefix(prefix)?.parse::<u32>().ok()
    });
    let mut next = used.max().map_or(0, |max| max.saturating_add(1));
    for info in infos {
        if info.alias.as_ref().is_none_or(|alias| alias.name.is_none()) {
            name(info, format!("{prefix}{next}"));
            next = next.saturating_add(1);
        }
    }
}

fn number_by_place<'a>(infos: impl Iterator<Item = &'a mut DeviceInfo>, prefix: &str) {
    for (at, info) in infos.enumerate() {
        name(info, format!("{prefix}{at}"));
    }
}

fn name_memories(devices: &mut Devices) {
    for prefix in ["dimm", "nvdimm", "virtiopmem", "virtiomem", "epc"] {
        let of_kind = devices.memories.iter_mut().filter(|memory| {
            prefix
                == match memory.model {
                    Some(MemoryModel::Nvdimm) => "nvdimm",
                    Some(MemoryModel::VirtioPmem) => "virtiopmem",
                    Some(MemoryModel::VirtioMem) => "virtiomem",
                    Some(MemoryModel::SgxEpc) => "epc",
                    Some(MemoryModel::Dimm) | None => "dimm",
                }
        });
        number(of_kind.map(|memory| &mut memory.info), prefix);
    }
}

/// libvirt 11.3.0: `qemuAssignDeviceDiskAlias`, src/qemu/qemu_alias.c
fn of_disk(disk: &Disk, scsi: &[(u32, Option<ControllerModel>)]) -> String {
    let target = disk.target.as_ref();
    let bus = target.and_then(|target| target.bus).map_or("ide", DiskBus::as_str);
    if let Some(Address::Drive(drive)) = &disk.info.address {
        let (controller, unit) = (drive.controller, drive.unit);
        let model = scsi.iter().find(|(index, _)| *index == controller).and_then(|(_, m)| *m);
        if bus == "scsi" && model != Some(ControllerModel::Lsilogic) {
            return format!("{bus}{controller}-{}-{}-{unit}", drive.bus, drive.target);
        }
        return format!("{bus}{controller}-{}-{unit}", drive.bus);
    }
    let dev = target.and_then(|target| target.dev.as_deref()).unwrap_or_default();
    format!("{bus}-disk{}", index_of_target(dev))
}

/// `vda` is 0, `vdaa` 26.
pub(super) fn index_of_target(dev: &str) -> u32 {
    let letters = ["xvd", "hd", "sd", "vd", "fd", "ubd"]
        .iter()
        .find_map(|prefix| dev.strip_prefix(prefix))
        .unwrap_or_default();
    let mut index = 0_u32;
    for letter in letters.bytes().take_while(u8::is_ascii_lowercase) {
        let digit = u32::from(letter.saturating_sub(b'a')).saturating_add(1);
        index = index.saturating_mul(26).saturating_add(digit);
    }
    index.saturating_sub(1)
}

/// libvirt 11.3.0: `qemuAssignDeviceControllerAlias`, src/qemu/qemu_alias.c
fn of_controller(controller: &Controller, machine: MachineKind) -> String {
    let index = controller.index.unwrap_or(0);
    match controller.kind {
        Some(ControllerType::Pci) => match controller.model {
            Some(ControllerModel::PcieRoot) => format!("pcie.{index}"),
            _ => format!("pci.{index}"),
        },
        Some(ControllerType::Ide) if index == 0 => String::from("ide"),
        Some(ControllerType::Sata) if index == 0 && machine == MachineKind::Q35 => {
            String::from("ide")
        }
        Some(ControllerType::Usb) if index == 0 => String::from("usb"),
        Some(kind) => format!("{kind}{index}"),
        None => format!("controller{index}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn targets_count_like_letters() {
        let cases = [("vda", 0), ("sdb", 1), ("hdz", 25), ("vdaa", 26), ("xvdc", 2), ("x", 0)];
        for (dev, index) in cases {
            assert_eq!(index_of_target(dev), index, "{dev}");
        }
    }

    #[test]
    fn numbers_continue_above_those_in_use() {
        let mut infos = [DeviceInfo::default(), DeviceInfo::default(), DeviceInfo::default()];
        infos[1].alias = Some(Alias { name: Some(String::from("net4")), ..Alias::default() });
        number(infos.iter_mut(), "net");
        let names: Vec<_> = infos
            .iter()
            .map(|info| info.alias.as_ref().unwrap().name.as_deref().unwrap())
            .collect();
        assert_eq!(names, ["net5", "net4", "net6"]);
    }
}
