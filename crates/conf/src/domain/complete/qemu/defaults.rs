//! Devices that a guest gets without asking.

use super::super::super::device::Devices;
use super::super::super::device::controller::{Controller, ControllerModel, ControllerType};
use super::super::super::device::graphics::GraphicsType;
use super::super::super::device::input::{Input, InputBus, InputType};
use super::super::super::device::memballoon::{Memballoon, MemballoonModel};
use super::super::super::device::other::{Iommu, IommuDriver, IommuModel, Panic};
use super::super::super::device::sound::{Audio, AudioType};
use super::super::super::device::video::{Video, VideoModel, VideoModelDef};
use super::super::super::device::watchdog::{Watchdog, WatchdogAction, WatchdogModel};
use super::super::super::machine::MachineKind;
use super::super::super::{DomainDef, Origin};
use super::super::controllers;
use super::{HostAudio, QemuDefaults};
use crate::emulator::EmulatorCapabilities;
use crate::keyword::OnOff;

/// libvirt 11.3.0: `qemuDomainDefAddDefaultDevices`, src/qemu/qemu_postparse.c
pub(super) fn add(
    devices: &mut Devices,
    def: &DomainDef,
    machine: MachineKind,
    with: &QemuDefaults<'_>,
) {
    let emulator = with.emulator;
    if let Some(model) = usb_model(machine, def, with)
        && !has_controller(devices, ControllerType::Usb)
    {
        add_controller(devices, ControllerType::Usb, model);
    }
    if machine == MachineKind::Q35 && !has_controller(devices, ControllerType::Sata) {
        add_controller(devices, ControllerType::Sata, None);
    }
    if !has_controller(devices, ControllerType::Pci) {
        if machine.has_pci_root() || machine == MachineKind::S390 && emulator.has("zpci") {
            add_controller(devices, ControllerType::Pci, Some(ControllerModel::PciRoot));
        } else if machine.has_pcie_root() {
            add_controller(devices, ControllerType::Pci, Some(ControllerModel::PcieRoot));
        }
    }
    if devices.memballoons.is_empty() && has_memballoon(def) {
        let model = Some(MemballoonModel::Virtio);
        devices.memballoons.push(Memballoon { model, ..Memballoon::default() });
    }
    if matches!(machine, MachineKind::Pseries | MachineKind::S390) && devices.panics.is_empty() {
        devices.panics.push(Panic::default());
    }
    if machine == MachineKind::Q35 {
        add_itco(devices);
    }
    add_ps2(devices, def, machine);
    add_usb_inputs(devices, def);
    add_audio(devices, with.host_audio);
    add_interrupt_remapping(devices, def, machine, with);
    add_video(devices, def, machine, emulator);
}

/// Whether a controller with index 0 is there, or one whose index is still open.
fn has_controller(devices: &Devices, kind: ControllerType) -> bool {
    devices.controllers.iter().any(|controller| {
        controller.kind == Some(kind) && matches!(controller.index, None | Some(0))
    })
}

fn add_controller(devices: &mut Devices, kind: ControllerType, model: Option<ControllerModel>) {
    let controller =
        Controller { kind: Some(kind), index: Some(0), model, ..Controller::default() };
    controllers::insert(&mut devices.controllers, controller);
}

/// The model of the USB controller a machine gets; the outer option is whether it gets one.
#[expect(clippy::option_option, reason = "a controller without model is a third answer")]
fn usb_model(
    machine: MachineKind,
    def: &DomainDef,
    with: &QemuDefaults<'_>,
) -> Option<Option<ControllerModel>> {
    let emulator = with.emulator;
    let xhci = if emulator.has("qemu-xhci") {
        Some(ControllerModel::QemuXhci)
    } else if emulator.has("nec-usb-xhci") {
        Some(ControllerModel::NecXhci)
    } else {
        None
    };
    match machine {
        MachineKind::I440fx => {
            Some(emulator.has("piix3-usb-uhci").then_some(ControllerModel::Piix3Uhci))
        }
        MachineKind::Q35 => xhci.map(Some),
        MachineKind::Pseries => Some(if with.origin == Origin::New && xhci.is_some() {
            xhci
        } else {
            Some(ControllerModel::PciOhci)
        }),
        MachineKind::Board if is_arm(def) => Some(Some(ControllerModel::PciOhci)),
        MachineKind::Board => Some(None),
        _ => None,
    }
}

/// Architecture of a guest.
pub(super) fn arch_of(def: &DomainDef) -> &str {
    let kind = def.os.as_ref().and_then(|os| os.kind.as_ref());
    kind.and_then(|kind| kind.arch.as_deref()).unwrap_or_default()
}

fn is_arm(def: &DomainDef) -> bool {
    matches!(arch_of(def), "aarch64" | "armv7l" | "armv6l")
}

fn has_memballoon(def: &DomainDef) -> bool {
    !is_arm(def) && !matches!(arch_of(def), "loongarch64")
}

fn add_itco(devices: &mut Devices) {
    if devices.watchdogs.iter().any(|watchdog| watchdog.model == Some(WatchdogModel::Itco)) {
        return;
    }
    // All watchdogs of a guest do the same.
    let given = devices.watchdogs.first().and_then(|watchdog| watchdog.action);
    let action = Some(given.unwrap_or(WatchdogAction::Reset));
    let model = Some(WatchdogModel::Itco);
    devices.watchdogs.push(Watchdog { model, action, ..Watchdog::default() });
}

/// libvirt 11.3.0: `qemuDomainDefAddImplicitInputDevice`, src/qemu/qemu_postparse.c
fn add_ps2(devices: &mut Devices, def: &DomainDef, machine: MachineKind) {
    let switch = def.features.as_ref().and_then(|features| features.ps2.as_ref()?.state);
    if !machine.is_x86() || machine == MachineKind::Microvm || switch == Some(OnOff::Off) {
        return;
    }
    for kind in [InputType::Mouse, InputType::Keyboard] {
        let is_same = |input: &Input| input.kind == Some(kind) && input.bus == Some(InputBus::Ps2);
        if !devices.inputs.iter().any(is_same) {
            let (kind, bus) = (Some(kind), Some(InputBus::Ps2));
            devices.inputs.push(Input { kind, bus, ..Input::default() });
        }
    }
}

/// A POWER guest with a display has what goes with it.
///
/// libvirt 11.3.0: `qemuDomainDefAddDefaultDevices`, src/qemu/qemu_postparse.c
fn add_usb_inputs(devices: &mut Devices, def: &DomainDef) {
    if !matches!(arch_of(def), "ppc64" | "ppc64le") || devices.graphics.is_empty() {
        return;
    }
    for kind in [InputType::Keyboard, InputType::Mouse] {
        // A tablet points, too.
        let is_same = |input: &Input| {
            input.kind == Some(kind)
                || kind == InputType::Mouse && input.kind == Some(InputType::Tablet)
        };
        if !devices.inputs.iter().any(is_same) {
            let (kind, bus) = (Some(kind), Some(InputBus::Usb));
            devices.inputs.push(Input { kind, bus, ..Input::default() });
        }
    }
}

/// libvirt 11.3.0: `qemuDomainDefAddDefaultAudioBackend`, src/qemu/qemu_postparse.c
fn add_audio(devices: &mut Devices, host: HostAudio) {
    if !devices.audios.is_empty() {
        return;
    }
    let kind = match devices.graphics.first().map(|graphics| graphics.kind) {
        None if host.without_graphics => host.driver.unwrap_or(AudioType::None),
        Some(Some(GraphicsType::Vnc)) if host.with_vnc => host.driver.unwrap_or(AudioType::None),
        None | Some(Some(GraphicsType::Vnc)) => AudioType::None,
        Some(Some(GraphicsType::Spice)) => AudioType::Spice,
        Some(Some(GraphicsType::Sdl)) => host.driver.unwrap_or(AudioType::Sdl),
        Some(_) => return,
    };
    devices.audios.push(Audio { id: Some(1), kind: Some(kind), ..Audio::default() });
}

/// Beyond the reach of eight bits, interrupts find their processor through an IOMMU.
///
/// libvirt 11.3.0: `qemuDomainDefAddDefaultDevices`, src/qemu/qemu_postparse.c
fn add_interrupt_remapping(
    devices: &mut Devices,
    def: &DomainDef,
    machine: MachineKind,
    with: &QemuDefaults<'_>,
) {
    if needs_interrupt_remapping(def, machine, with.origin) && with.emulator.has("intel-iommu") {
        let iommu = devices
            .iommu
            .get_or_insert_with(|| Iommu { model: Some(IommuModel::Intel), ..Iommu::default() });
        if iommu.model == Some(IommuModel::Intel) {
            let driver = iommu.driver.get_or_insert_with(IommuDriver::default);
            driver.intremap.get_or_insert(OnOff::On);
            driver.eim.get_or_insert(OnOff::On);
        }
    }
}

/// Whether a new guest has more processors than interrupts can be sent to without an IOMMU.
pub(super) fn needs_interrupt_remapping(
    def: &DomainDef,
    machine: MachineKind,
    origin: Origin,
) -> bool {
    /// libvirt: `QEMU_MAX_VCPUS_WITHOUT_EIM`
    const WITHOUT_EIM: u32 = 255;
    let count = def.vcpu.as_ref().and_then(|vcpu| vcpu.count).unwrap_or(1);
    machine == MachineKind::Q35 && origin == Origin::New && count > WITHOUT_EIM
}

/// libvirt 11.3.0: `virDomainDefPostParseVideo`, src/conf/domain_postparse.c
fn add_video(
    devices: &mut Devices,
    def: &DomainDef,
    machine: MachineKind,
    emulator: &EmulatorCapabilities,
) {
    if devices.videos.is_empty() && !devices.graphics.is_empty() {
        let kind = Some(default_video(def, machine, emulator));
        let model = Some(VideoModelDef { kind, ..VideoModelDef::default() });
        devices.videos.push(Video { model, ..Video::default() });
    }
}

/// libvirt 11.3.0: `qemuDomainDefaultVideoDevice`, src/qemu/qemu_postparse.c
pub(super) fn default_video(
    def: &DomainDef,
    machine: MachineKind,
    emulator: &EmulatorCapabilities,
) -> VideoModel {
    match machine {
        _ if matches!(arch_of(def), "ppc64" | "ppc64le") => VideoModel::Vga,
        MachineKind::Virt | MachineKind::S390 => VideoModel::Virtio,
        _ if emulator.has("cirrus-vga") => VideoModel::Cirrus,
        _ if emulator.has("VGA") => VideoModel::Vga,
        _ if emulator.has("bochs-display") => VideoModel::Bochs,
        _ => VideoModel::Cirrus,
    }
}
