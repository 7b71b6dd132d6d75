//! Which kind of bus a device needs.

use super::super::super::device::chardev::CharDevice;
use super::super::super::device::controller::{Controller, ControllerModel, ControllerType};
use super::super::super::device::disk::{Disk, DiskBus, DiskModel};
use super::super::super::device::filesystem::{Filesystem, FilesystemModel};
use super::super::super::device::hostdev::{Hostdev, HostdevType};
use super::super::super::device::input::{Input, InputBus, InputModel};
use super::super::super::device::interface::{Interface, InterfaceType};
use super::super::super::device::memballoon::{Memballoon, MemballoonModel};
use super::super::super::device::memory::{MemoryDevice, MemoryModel};
use super::super::super::device::other::{
    Crypto, Iommu, IommuModel, Panic, PanicModel, Pstore, Shmem, Vsock, VsockModel,
};
use super::super::super::device::rng::{Rng, RngModel};
use super::super::super::device::sound::{Sound, SoundModel};
use super::super::super::device::video::{Video, VideoModel};
use super::super::super::device::watchdog::{Watchdog, WatchdogModel};
use super::bus::Connect;

/// A conventional device that can be plugged while the guest runs.
pub(super) const PCI: Connect = Connect::PCI_DEVICE.with(Connect::HOTPLUGGABLE);
/// A PCI Express device that can be plugged while the guest runs.
pub(super) const PCIE: Connect = Connect::PCIE_DEVICE.with(Connect::HOTPLUGGABLE);
/// A part of the first bus.
pub(super) const INTEGRATED: Connect = PCIE.with(Connect::INTEGRATED);

/// Virtio devices are Express devices unless they have to look like old ones.
pub(super) fn virtio(is_transitional: bool) -> Connect {
    if is_transitional { PCI } else { PCIE }
}

/// libvirt 11.3.0: `qemuDomainDeviceCalculatePCIConnectFlags`, src/qemu/qemu_domain_address.c
pub(super) fn controller(controller: &Controller) -> Connect {
    use ControllerModel as M;
    match controller.kind {
        Some(ControllerType::Pci) => controller.model.map_or(Connect::NONE, Connect::of_controller),
        Some(ControllerType::Usb) => match controller.model {
            Some(M::NecXhci | M::QemuXhci) => PCIE,
            Some(M::None | M::Qusb1 | M::Qusb2) => Connect::NONE,
            _ => PCI,
        },
        Some(ControllerType::Scsi) => match controller.model {
            Some(M::VirtioScsi | M::VirtioNonTransitional) => PCIE,
            Some(M::VirtioTransitional) => PCI,
            Some(M::Ibmvscsi | M::Ncr53c90) => Connect::NONE,
            _ => PCI,
        },
        Some(ControllerType::VirtioSerial) => {
            virtio(controller.model == Some(M::VirtioTransitional))
        }
        // The first IDE controller is a part of the chipset.
        Some(ControllerType::Ide) if controller.index == Some(0) => Connect::NONE,
        Some(ControllerType::Sata | ControllerType::Ide) => PCI,
        Some(ControllerType::Nvme) => PCIE,
        _ => Connect::NONE,
    }
}

pub(super) fn filesystem(filesystem: &Filesystem) -> Connect {
    let driver = filesystem.driver.as_ref().and_then(|driver| driver.kind.as_deref());
    if driver == Some("mtp") {
        // A USB device.
        return Connect::NONE;
    }
    virtio(filesystem.model == Some(FilesystemModel::VirtioTransitional))
}

pub(super) fn interface(interface: &Interface) -> Connect {
    if interface.kind == Some(InterfaceType::Hostdev) {
        return PCIE;
    }
    let model = interface.model.as_ref().and_then(|model| model.kind.as_deref());
    match model.unwrap_or_default() {
        "virtio" | "virtio-non-transitional" | "e1000e" | "igb" => PCIE,
        "usb-net" | "spapr-vlan" | "smc91c111" | "ne2k_isa" | "lan9118" => Connect::NONE,
        _ => PCI,
    }
}

pub(super) const fn sound(sound: &Sound) -> Connect {
    match sound.model {
        Some(
            SoundModel::Es1370
            | SoundModel::Ac97
            | SoundModel::Ich6
            | SoundModel::Ich9
            | SoundModel::Ich7,
        ) => PCI,
        Some(SoundModel::Virtio) => PCIE,
        Some(SoundModel::Sb16 | SoundModel::Pcspk | SoundModel::Usb) | None => Connect::NONE,
    }
}

pub(super) fn disk(disk: &Disk) -> Connect {
    match disk.target.as_ref().and_then(|target| target.bus) {
        Some(DiskBus::Virtio) => virtio(disk.model == Some(DiskModel::VirtioTransitional)),
        _ => Connect::NONE,
    }
}

pub(super) fn hostdev(hostdev: &Hostdev) -> Connect {
    match hostdev.kind {
        Some(HostdevType::Pci) => PCIE,
        Some(HostdevType::Mdev) if hostdev.model.as_deref() == Some("vfio-pci") => PCIE,
        Some(HostdevType::ScsiHost) => {
            virtio(hostdev.model.as_deref() == Some("virtio-transitional"))
        }
        _ => Connect::NONE,
    }
}

pub(super) const fn memballoon(memballoon: &Memballoon) -> Connect {
    match memballoon.model {
        Some(MemballoonModel::Virtio | MemballoonModel::VirtioNonTransitional) => PCIE,
        Some(MemballoonModel::VirtioTransitional) => PCI,
        _ => Connect::NONE,
    }
}

pub(super) fn rng(rng: &Rng) -> Connect {
    virtio(rng.model == Some(RngModel::VirtioTransitional))
}

pub(super) fn watchdog(watchdog: &Watchdog) -> Connect {
    conventional_if(watchdog.model == Some(WatchdogModel::I6300esb))
}

pub(super) fn video(video: &Video) -> Connect {
    match video.model.as_ref().and_then(|model| model.kind) {
        Some(VideoModel::Virtio) => PCIE,
        Some(
            VideoModel::Vga
            | VideoModel::Cirrus
            | VideoModel::Vmvga
            | VideoModel::Qxl
            | VideoModel::Xen
            | VideoModel::Vbox
            | VideoModel::Parallels
            | VideoModel::Bochs,
        ) => PCI,
        Some(VideoModel::Gop | VideoModel::None | VideoModel::Ramfb) | None => Connect::NONE,
    }
}

pub(super) const fn shmem(_: &Shmem) -> Connect {
    PCI
}

pub(super) fn input(input: &Input) -> Connect {
    match input.bus {
        Some(InputBus::Virtio) => virtio(input.model == Some(InputModel::VirtioTransitional)),
        _ => Connect::NONE,
    }
}

pub(super) fn serial(serial: &CharDevice) -> Connect {
    let kind = serial.target.as_ref().and_then(|target| target.kind.as_deref());
    conventional_if(kind == Some("pci-serial"))
}

pub(super) const fn memory(memory: &MemoryDevice) -> Connect {
    match memory.model {
        Some(MemoryModel::VirtioPmem | MemoryModel::VirtioMem) => PCIE,
        _ => Connect::NONE,
    }
}

pub(super) fn vsock(vsock: &Vsock) -> Connect {
    virtio(vsock.model == Some(VsockModel::VirtioTransitional))
}

pub(super) const fn crypto(_: &Crypto) -> Connect {
    PCIE
}

pub(super) const fn panic(panic: &Panic) -> Connect {
    match panic.model {
        Some(PanicModel::Pvpanic) => INTEGRATED,
        _ => Connect::NONE,
    }
}

pub(super) const fn iommu(iommu: &Iommu) -> Connect {
    match iommu.model {
        Some(IommuModel::Virtio | IommuModel::Amd) => INTEGRATED,
        _ => Connect::NONE,
    }
}

pub(super) const fn pstore(_: &Pstore) -> Connect {
    PCI
}

const fn conventional_if(is_pci: bool) -> Connect {
    if is_pci { PCI } else { Connect::NONE }
}
