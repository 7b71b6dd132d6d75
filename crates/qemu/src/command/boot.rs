//! The order in which a guest tries its devices.

use oxivirt_conf::domain::DomainDef;
use oxivirt_conf::domain::device::disk::{Disk, DiskDevice};
use oxivirt_conf::domain::device::interface::Interface;
use oxivirt_conf::domain::os::BootDevice;

/// The place of every device in the boot order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct BootOrder {
    /// By position in the list of disks.
    pub(super) disks: Vec<Option<u32>>,
    /// By position in the list of interfaces.
    pub(super) interfaces: Vec<Option<u32>>,
}

impl BootOrder {
    /// A class of devices of `<os>` stands for its first device; otherwise devices have their own places.
    ///
    /// libvirt 11.3.0: `qemuProcessPrepareDeviceBootorder`, src/qemu/qemu_process.c
    pub(super) fn of(def: &DomainDef) -> Self {
        let Some(devices) = &def.devices else { return Self::default() };
        let classes = def.os.as_ref().map(|os| os.boot.as_slice()).unwrap_or_default();
        if classes.is_empty() {
            let disk = |disk: &Disk| disk.info.boot.as_ref().and_then(|boot| boot.order);
            let interface = |it: &Interface| it.info.boot.as_ref().and_then(|boot| boot.order);
            return Self {
                disks: devices.disks.iter().map(disk).collect(),
                interfaces: devices.interfaces.iter().map(interface).collect(),
            };
        }
        let mut left: Vec<(BootDevice, u32)> =
            classes.iter().filter_map(|class| class.device).zip(1..).collect();
        let mut take = |wanted: BootDevice| {
            let at = left.iter().position(|&(class, _)| class == wanted)?;
            Some(left.remove(at).1)
        };
        Self {
            disks: devices.disks.iter().map(|disk| take(class_of(disk))).collect(),
            interfaces: devices.interfaces.iter().map(|_| take(BootDevice::Network)).collect(),
        }
    }
}

fn class_of(disk: &Disk) -> BootDevice {
    match disk.device {
        Some(DiskDevice::Cdrom) => BootDevice::Cdrom,
        Some(DiskDevice::Floppy) => BootDevice::Floppy,
        Some(DiskDevice::Disk | DiskDevice::Lun) | None => BootDevice::Disk,
    }
}
