//! What QEMU's driver fills in device by device.

use oxivirt_types::mac::MacAddr;

use super::super::super::device::Devices;
use super::super::super::device::chardev::{CharDevice, CharTargetModel, CharType, SocketMode};
use super::super::super::device::controller::{Controller, ControllerModel, ControllerType};
use super::super::super::device::disk::{Disk, DiskDriver, DiskType};
use super::super::super::device::input::{InputBus, InputType};
use super::super::super::device::interface::{
    Interface, InterfaceMac, InterfaceModel, InterfaceType,
};
use super::super::super::device::memballoon::MemballoonModel;
use super::super::super::device::other::{PanicModel, VsockModel};
use super::super::super::device::rng::RngModel;
use super::super::super::device::watchdog::{WatchdogAction, WatchdogModel};
use super::super::super::machine::MachineKind;
use super::super::super::{DomainDef, DomainError, Origin};
use super::{QemuDefaults, defaults};

/// Fills in models and buses; a second time it changes nothing.
///
/// libvirt 11.3.0: `qemuDomainDeviceDefPostParse`, src/qemu/qemu_postparse.c
pub(super) fn complete(
    devices: &mut Devices,
    def: &DomainDef,
    machine: MachineKind,
    with: &mut QemuDefaults<'_>,
) -> Result<(), DomainError> {
    let emulator = with.emulator;
    devices.disks.iter_mut().for_each(complete_disk);
    for controller in &mut devices.controllers {
        complete_controller(controller, machine, with);
    }
    for interface in &mut devices.interfaces {
        complete_interface(interface, machine, with);
    }
    for serial in &mut devices.serials {
        complete_serial(serial, machine, &emulator.arch);
    }
    for channel in &mut devices.channels {
        complete_channel(channel);
    }
    for input in &mut devices.inputs {
        if input.bus.is_none() {
            let is_pointer = matches!(input.kind, Some(InputType::Mouse | InputType::Keyboard));
            input.bus = match input.kind {
                Some(InputType::Passthrough) => Some(InputBus::Virtio),
                Some(InputType::Evdev) => None,
                _ if is_pointer && machine.is_x86() => Some(InputBus::Ps2),
                _ if machine == MachineKind::S390 => Some(InputBus::Virtio),
                _ => Some(InputBus::Usb),
            };
        }
    }
    let default = defaults::default_video(def, machine, emulator);
    for video in &mut devices.videos {
        video.model.get_or_insert_default().kind.get_or_insert(default);
    }
    complete_small(devices, machine, &emulator.arch);
    Ok(())
}

fn complete_small(devices: &mut Devices, machine: MachineKind, arch: &str) {
    let is_arm = matches!(arch, "aarch64" | "armv7l");
    for watchdog in &mut devices.watchdogs {
        watchdog.model.get_or_insert(if machine == MachineKind::S390 {
            WatchdogModel::Diag288
        } else {
            WatchdogModel::I6300esb
        });
        watchdog.action.get_or_insert(WatchdogAction::Reset);
    }
    for memballoon in &mut devices.memballoons {
        memballoon.model.get_or_insert(MemballoonModel::Virtio);
    }
    for rng in &mut devices.rngs {
        rng.model.get_or_insert(RngModel::Virtio);
    }
    let panic_model = match machine {
        MachineKind::Pseries => Some(PanicModel::Pseries),
        MachineKind::S390 => Some(PanicModel::S390),
        MachineKind::Virt if is_arm => Some(PanicModel::Pvpanic),
        _ if machine.is_x86() => Some(PanicModel::Isa),
        _ => None,
    };
    for panic in &mut devices.panics {
        panic.model = panic.model.or(panic_model);
    }
    if let Some(vsock) = &mut devices.vsock {
        vsock.model.get_or_insert(VsockModel::Virtio);
    }
}

fn complete_disk(disk: &mut Disk) {
    let is_served = matches!(disk.kind, Some(DiskType::VhostUser | DiskType::VhostVdpa));
    let driver = disk.driver.get_or_insert_with(DiskDriver::default);
    driver.name.get_or_insert_with(|| String::from("qemu"));
    // Only the pool knows the format of a volume.
    let is_volume = disk.kind == Some(DiskType::Volume);
    if (!is_served && !is_volume) || driver.format.is_some() {
        driver.format.get_or_insert_with(|| String::from("raw"));
    }
    if disk.kind == Some(DiskType::Dir) && driver.format.as_deref() == Some("raw") {
        driver.format = Some(String::from("fat"));
    }
}

fn complete_controller(controller: &mut Controller, machine: MachineKind, with: &QemuDefaults<'_>) {
    let emulator = with.emulator;
    if controller.model == Some(ControllerModel::Auto) {
        controller.model = None;
    }
    if controller.model.is_some() {
        return;
    }
    controller.model = match controller.kind {
        // With a place of its own it is there, whatever it is.
        Some(ControllerType::Usb)
            if machine == MachineKind::S390 && controller.info.address.is_some() =>
        {
            None
        }
        Some(ControllerType::Usb) => usb_model(with),
        Some(ControllerType::Scsi) => Some(match machine {
            MachineKind::Pseries => ControllerModel::Ibmvscsi,
            MachineKind::S390 => ControllerModel::VirtioScsi,
            _ if emulator.arch == "loongarch64" => ControllerModel::VirtioScsi,
            _ if emulator.has("lsi") => ControllerModel::Lsilogic,
            _ => ControllerModel::VirtioScsi,
        }),
        Some(ControllerType::Pci) if controller.index == Some(0) => {
            if machine.has_pcie_root() {
                Some(ControllerModel::PcieRoot)
            } else if machine.has_pci_root() {
                Some(ControllerModel::PciRoot)
            } else {
                None
            }
        }
        _ => None,
    };
}

/// The model of a USB controller whose document names none.
///
/// libvirt 11.3.0: `qemuDomainDefaultUSBControllerModel`, src/qemu/qemu_postparse.c
fn usb_model(with: &QemuDefaults<'_>) -> Option<ControllerModel> {
    let first = |models: &[(ControllerModel, &str)]| {
        let found = models.iter().find(|(_, flag)| with.emulator.has(flag));
        found.map(|&(model, _)| model)
    };
    let xhci = first(&[
        (ControllerModel::QemuXhci, "qemu-xhci"),
        (ControllerModel::NecXhci, "nec-usb-xhci"),
    ]);
    let ohci = first(&[(ControllerModel::PciOhci, "pci-ohci")]);
    let uhci = first(&[(ControllerModel::Piix3Uhci, "piix3-usb-uhci")]);
    match with.emulator.arch.as_str() {
        "s390x" => Some(ControllerModel::None),
        "x86_64" | "i686" => uhci,
        "aarch64" | "loongarch64" => xhci,
        "ppc64" if with.origin == Origin::New => xhci.or(ohci),
        "ppc64" => ohci,
        _ => uhci.or(ohci),
    }
}

fn complete_interface(
    interface: &mut Interface,
    machine: MachineKind,
    with: &mut QemuDefaults<'_>,
) {
    if interface.mac.as_ref().is_none_or(|mac| mac.address.is_none()) {
        let mut bytes = [0; 3];
        (with.random)(&mut bytes);
        let [a, b, c] = bytes;
        let text = format!("52:54:00:{a:02x}:{b:02x}:{c:02x}");
        let address: Option<MacAddr> = text.parse().ok();
        interface.mac.get_or_insert_with(InterfaceMac::default).address = address;
    }
    // One queue is what there is without the attribute.
    if let Some(driver) = &mut interface.driver
        && driver.queues.is_some_and(|queues| queues <= 1)
    {
        driver.queues = None;
    }
    if let Some(InterfaceModel { kind: Some(kind), .. }) = &mut interface.model
        && kind.eq_ignore_ascii_case("virtio")
    {
        kind.make_ascii_lowercase();
    }
    let has_model = interface.model.as_ref().is_some_and(|model| model.kind.is_some());
    if !has_model && interface.kind != Some(InterfaceType::Hostdev) {
        let kind = match machine {
            MachineKind::S390 | MachineKind::Virt => "virtio",
            _ if with.emulator.has("rtl8139") => "rtl8139",
            _ if with.emulator.has("e1000") => "e1000",
            _ => "virtio",
        };
        let kind = Some(kind.to_owned());
        interface.model = Some(InterfaceModel { kind, ..InterfaceModel::default() });
    }
}

/// libvirt 11.3.0: `qemuDomainChrDefPostParse`, src/qemu/qemu_postparse.c
fn complete_serial(serial: &mut CharDevice, machine: MachineKind, arch: &str) {
    let target = serial.target.get_or_insert_default();
    if target.kind.is_none() {
        let kind = match machine {
            MachineKind::Pseries => "spapr-vio-serial",
            MachineKind::Virt => "system-serial",
            MachineKind::S390 => "sclp-serial",
            _ if machine.is_x86() => "isa-serial",
            _ => return,
        };
        target.kind = Some(kind.to_owned());
    }
    let model = match target.kind.as_deref().unwrap_or_default() {
        "isa-serial" => "isa-serial",
        "usb-serial" => "usb-serial",
        "pci-serial" => "pci-serial",
        "spapr-vio-serial" => "spapr-vty",
        "system-serial" if matches!(arch, "aarch64" | "armv7l") => "pl011",
        "system-serial" => "16550a",
        "sclp-serial" => "sclpconsole",
        _ => return,
    };
    let name = Some(model.to_owned());
    target.model.get_or_insert_with(|| CharTargetModel { name, ..CharTargetModel::default() });
}

/// A socket whose path is made up is not part of the definition.
fn complete_channel(channel: &mut CharDevice) {
    if channel.kind != Some(CharType::Unix) {
        return;
    }
    let target = channel.target.as_ref().and_then(|target| target.name.clone()).unwrap_or_default();
    channel.sources.retain(|source| {
        let is_made_up = source.path.as_deref().is_some_and(|path| is_generated(path, &target));
        let is_empty = source.path.is_none() && source.mode != Some(SocketMode::Connect);
        !is_made_up && !is_empty
    });
}

/// Whether a socket's path is one that a version of libvirt made up for a channel.
///
/// libvirt 11.3.0: `qemuDomainChrMatchDefaultPath`, src/qemu/qemu_postparse.c
fn is_generated(path: &str, target: &str) -> bool {
    /// Where such sockets are.
    const ROOTS: [&str; 3] = [
        "/var/lib/libvirt/qemu/channel/target/",
        "/var/lib/libvirt/qemu/channel/",
        "/var/run/libvirt/qemu/channel/",
    ];
    ROOTS.iter().any(|root| {
        let rest = path.strip_prefix(root).and_then(|rest| rest.strip_suffix(target));
        rest.is_some_and(|rest| match rest.strip_suffix('/') {
            Some(guest) => {
                let numbered = guest.starts_with(|c: char| c.is_ascii_digit());
                !guest.contains('/') && (guest.starts_with("domain-") || numbered)
            }
            None => rest.ends_with('.') && !rest.contains('/'),
        })
    })
}
