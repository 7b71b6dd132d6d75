//! What depends on the architecture, the machine and the emulator.

use super::super::address::Address;
use super::super::clock::TimerName;
use super::super::device::Devices;
use super::super::device::chardev::{CharDevice, CharProtocolType, CharType};
use super::super::device::controller::{Controller, ControllerModel, ControllerType};
use super::super::device::disk::{Disk, DiskBus};
use super::super::device::graphics::{Graphics, GraphicsType};
use super::super::device::hostdev::HostdevType;
use super::super::device::input::InputBus;
use super::super::device::interface::{Interface, InterfaceType};
use super::super::device::other::{Iommu, IommuDriver, IommuModel, PanicModel};
use super::super::device::sound::AudioType;
use super::super::device::source::Source;
use super::super::device::tpm::{TpmModel, TpmVersion};
use super::super::device::video::{VideoModel, VideoModelDef};
use super::super::device::watchdog::WatchdogModel;
use super::super::machine::MachineKind;
use super::super::memory::MemoryAccess;
use super::super::{DomainDef, DomainError, VirtType, runtime};
use super::{Check, contradiction, unsupported};
use crate::emulator::EmulatorCapabilities;
use crate::keyword::{OnOff, YesNo};

/// What the checks of one definition look at.
#[derive(Debug)]
pub(super) struct Subject<'d> {
    pub(super) def: &'d DomainDef,
    pub(super) machine: MachineKind,
    pub(super) arch: &'d str,
    pub(super) name: &'d str,
    pub(super) emulator: &'d EmulatorCapabilities,
}

impl<'d> Subject<'d> {
    pub(super) fn of(def: &'d DomainDef, emulator: &'d EmulatorCapabilities) -> Self {
        let kind = def.os.as_ref().and_then(|os| os.kind.as_ref());
        Self {
            def,
            machine: MachineKind::of(def),
            arch: kind.and_then(|kind| kind.arch.as_deref()).unwrap_or_default(),
            name: kind.and_then(|kind| kind.machine.as_deref()).unwrap_or_default(),
            emulator,
        }
    }

    fn is_x86(&self) -> bool {
        matches!(self.arch, "x86_64" | "i686")
    }

    fn is_arm_virt(&self) -> bool {
        matches!(self.arch, "aarch64" | "armv7l") && self.machine == MachineKind::Virt
    }

    /// Whether the board has an IDE controller.
    ///
    /// libvirt 11.3.0: `qemuDomainMachineHasBuiltinIDE`, src/qemu/qemu_domain.c
    fn has_ide(&self) -> bool {
        const BOARDS: [&str; 3] = ["malta", "sun4u", "g3beige"];
        matches!(self.machine, MachineKind::I440fx | MachineKind::IsaPc)
            || BOARDS.contains(&self.name)
    }

    fn program(&self) -> &str {
        let devices = self.def.devices.as_ref();
        devices.and_then(|devices| devices.emulator.as_deref()).unwrap_or_default()
    }
}

/// libvirt 11.3.0: `qemuValidateDomainDef`, src/qemu/qemu_validate.c
pub(super) fn check(on: &Subject<'_>) -> Check {
    check_machine(on)?;
    check_features(on)?;
    check_timers(on)?;
    check_secure_boot(on)?;
    check_topology(on)?;
    check_serial_bios(on)
}

/// libvirt 11.3.0: `qemuValidateDomainDeviceDef`, src/qemu/qemu_validate.c
pub(super) fn check_devices(on: &Subject<'_>, devices: &Devices) -> Check {
    check_usb(on, devices)?;
    devices.disks.iter().try_for_each(|disk| check_disk(on, disk))?;
    devices.interfaces.iter().try_for_each(|interface| check_interface(on, interface))?;
    devices.controllers.iter().try_for_each(|controller| check_controller(on, controller))?;
    check_ports(devices)?;
    check_graphics(on, devices)?;
    check_tpm(on, devices)?;
    if let Some(iommu) = &devices.iommu {
        check_iommu(on, iommu)?;
    }
    for panic in &devices.panics {
        match panic.model {
            Some(PanicModel::S390) if on.arch != "s390x" => {
                return unsupported("only S390 guests support panic device of model 's390'");
            }
            Some(PanicModel::Pseries) if on.machine != MachineKind::Pseries => {
                return unsupported("only pSeries guests support panic device of model 'pseries'");
            }
            Some(PanicModel::Hyperv) if !on.is_x86() => {
                return unsupported(
                    "only i686 and x86_64 guests support panic device of model 'hyperv'",
                );
            }
            Some(PanicModel::Pseries | PanicModel::Hyperv) if panic.info.address.is_some() => {
                let model = panic.model.map(PanicModel::as_str).unwrap_or_default();
                return unsupported(format!(
                    "setting the panic device address is not supported for model '{model}'"
                ));
            }
            _ => {}
        }
    }
    for watchdog in &devices.watchdogs {
        let refused = match watchdog.model {
            Some(WatchdogModel::Ib700) if !on.is_x86() => {
                "ib700 model of watchdog cannot be used with this machine type"
            }
            Some(WatchdogModel::Diag288) if on.arch != "s390x" => {
                "diag288 model of watchdog is allowed for s390 and s390x only"
            }
            Some(WatchdogModel::Itco) if on.machine != MachineKind::Q35 => {
                "itco model of watchdog is only part of q35 machine"
            }
            _ => continue,
        };
        return unsupported(refused);
    }
    check_memory_nodes(on, devices)?;
    check_shared_memory(on, devices)?;
    check_zpci(on, devices)
}

fn check_machine(on: &Subject<'_>) -> Check {
    let virt_type = on.def.virt_type.unwrap_or(VirtType::Qemu);
    let Some(machine) = on.emulator.machine(virt_type, on.name) else {
        // A document without machines says nothing of them.
        if on.emulator.machines_of(virt_type).is_empty() {
            return Ok(());
        }
        return unsupported(format!(
            "Emulator '{}' does not support machine type '{}'",
            on.program(),
            on.name
        ));
    };
    let has_acpi = on.def.features.as_ref().is_some_and(|features| features.acpi);
    if has_acpi && machine.acpi == Some(false) {
        return unsupported(format!("machine type '{}' does not support ACPI", on.name));
    }
    Ok(())
}

fn check_features(on: &Subject<'_>) -> Check {
    let Some(features) = &on.def.features else { return Ok(()) };
    let refuse = |feature: &str| {
        unsupported(format!(
            "The '{feature}' feature is not supported for architecture '{}' or machine type '{}'",
            on.arch, on.name
        ))
    };
    if features.gic.is_some() && !on.is_arm_virt() {
        return refuse("gic");
    }
    if features.ioapic.is_some() && !on.is_x86() {
        return refuse("ioapic");
    }
    if features.pv_spinlock.is_some() && !on.is_x86() {
        return refuse("pvspinlock");
    }
    if features.ras.is_some() && !on.is_arm_virt() {
        return refuse("ras");
    }
    if features.vmport.is_some() && !on.is_x86() {
        return unsupported("vmport is not available with this QEMU binary");
    }
    if features.apic.as_ref().is_some_and(|apic| apic.eoi.is_some()) && !on.is_x86() {
        return unsupported(format!(
            "The 'eoi' attribute of the 'apic' feature is not supported for architecture '{}' or \
             machine type '{}'",
            on.arch, on.name
        ));
    }
    if features.hyperv.is_some() && !on.is_x86() && !on.is_arm_virt() {
        return unsupported(format!(
            "Hyperv features are not supported for architecture '{}' or machine type '{}'",
            on.arch, on.name
        ));
    }
    let has_pmu = features.pmu.as_ref().and_then(|pmu| pmu.state) != Some(OnOff::Off);
    if !has_pmu && matches!(on.arch, "ppc64" | "ppc64le") {
        return unsupported(format!("PMU is always enabled for architecture '{}'", on.arch));
    }
    Ok(())
}

/// libvirt 11.3.0: `qemuValidateDomainDefClockTimers`, src/qemu/qemu_validate.c
fn check_timers(on: &Subject<'_>) -> Check {
    let timers = on.def.clock.iter().flat_map(|clock| &clock.timers);
    for timer in timers {
        let Some(name) = timer.name else { continue };
        let fits = match name {
            TimerName::Tsc | TimerName::KvmClock | TimerName::HypervClock => on.is_x86(),
            TimerName::ArmvTimer => on.is_arm_virt(),
            _ => true,
        };
        let is_there = timer.present == Some(YesNo::Yes)
            || matches!(name, TimerName::Tsc | TimerName::ArmvTimer);
        if !fits && is_there {
            return unsupported(format!(
                "Configuring the '{name}' timer is not supported for virtType={} arch={} machine={} \
                 guests",
                on.def.virt_type.map(VirtType::as_str).unwrap_or_default(),
                on.arch,
                on.name
            ));
        }
    }
    Ok(())
}

/// libvirt 11.3.0: `qemuValidateDomainDefBoot`, src/qemu/qemu_validate.c
fn check_secure_boot(on: &Subject<'_>) -> Check {
    let loader = on.def.os.as_ref().and_then(|os| os.loader.as_ref());
    if loader.is_none_or(|loader| loader.secure != Some(YesNo::Yes)) {
        return Ok(());
    }
    if on.machine != MachineKind::Q35 {
        return unsupported("Secure boot is supported with q35 machine types only");
    }
    if on.arch != "x86_64" {
        return unsupported("Secure boot is supported for x86_64 architecture only");
    }
    let smm = on.def.features.as_ref().and_then(|features| features.smm.as_ref()?.state);
    if smm == Some(OnOff::Off) {
        return unsupported("Secure boot requires SMM feature enabled");
    }
    Ok(())
}

fn check_topology(on: &Subject<'_>) -> Check {
    let topology = on.def.cpu.as_ref().and_then(|cpu| cpu.topology.as_ref());
    let Some(topology) = topology else { return Ok(()) };
    let parts =
        [topology.sockets, topology.dies, topology.clusters, topology.cores, topology.threads];
    let product =
        parts.into_iter().try_fold(1_u32, |product, part| product.checked_mul(part.unwrap_or(1)));
    let count = on.def.vcpu.as_ref().and_then(|vcpu| vcpu.count).unwrap_or(1);
    if product != Some(count) {
        return unsupported("CPU topology doesn't match maximum vcpu count");
    }
    Ok(())
}

/// Firmware that talks on a serial port needs one.
fn check_serial_bios(on: &Subject<'_>) -> Check {
    let bios = on.def.os.as_ref().and_then(|os| os.bios.as_ref());
    let speaks = bios.is_some_and(|bios| bios.use_serial == Some(YesNo::Yes));
    if speaks && on.def.devices.as_ref().is_none_or(|devices| devices.serials.is_empty()) {
        return contradiction("need at least one serial port to use BIOS serial output");
    }
    Ok(())
}

/// Devices on USB need a controller.
fn check_usb(on: &Subject<'_>, devices: &Devices) -> Check {
    let has_controller = devices.controllers.iter().any(|controller| {
        controller.kind == Some(ControllerType::Usb)
            && controller.model != Some(ControllerModel::None)
    });
    let on_usb = |disk: &Disk| disk.target.as_ref().and_then(|it| it.bus) == Some(DiskBus::Usb);
    let uses = devices.disks.iter().any(on_usb)
        || devices.inputs.iter().any(|input| input.bus == Some(InputBus::Usb))
        || !devices.hubs.is_empty()
        || !devices.redirdevs.is_empty()
        || devices.hostdevs.iter().any(|hostdev| hostdev.kind == Some(HostdevType::Usb));
    if uses && !has_controller {
        return unsupported(
            "USB is disabled for this domain, but USB devices are present in the domain XML",
        );
    }
    let is_ps2 = devices.inputs.iter().any(|input| input.bus == Some(InputBus::Ps2));
    if is_ps2 && !on.is_x86() {
        return unsupported("ps2 is not supported by this QEMU binary");
    }
    Ok(())
}

fn check_disk(on: &Subject<'_>, disk: &Disk) -> Check {
    let target = disk.target.as_ref();
    let name = target.and_then(|target| target.dev.as_deref()).unwrap_or_default();
    let bus = target.and_then(|target| target.bus);
    let driver = disk.driver.as_ref();
    if let Some(program) = driver.and_then(|driver| driver.name.as_deref())
        && program != "qemu"
    {
        return unsupported(format!("unsupported driver name '{program}' for disk '{name}'"));
    }
    if bus == Some(DiskBus::Virtio) {
        match &disk.info.address {
            None | Some(Address::Pci(_) | Address::Ccw(_) | Address::VirtioMmio) => {}
            Some(address) => {
                let kind = address.kind();
                return unsupported(format!("virtio disk cannot have an address of type '{kind}'"));
            }
        }
    }
    if let (Some(DiskBus::Sata), Some(Address::Drive(place))) = (bus, &disk.info.address) {
        if place.bus != 0 {
            return unsupported("bus must be 0 for sata controller");
        }
        if place.target != 0 {
            return unsupported("target must be 0 for sata controller");
        }
    }
    if let (Some(DiskBus::Ide), Some(Address::Drive(place))) = (bus, &disk.info.address)
        && place.target != 0
    {
        return unsupported("target must be 0 for ide controller");
    }
    if let Some(driver) = driver {
        let threads = driver.iothread.is_some() || driver.iothreads.is_some();
        if threads && bus != Some(DiskBus::Virtio) {
            let bus = bus.map(DiskBus::as_str).unwrap_or_default();
            return unsupported(format!("IOThreads not available for bus {bus} target {name}"));
        }
        if let Some(id) = driver.iothread
            && !has_iothread(on.def, id)
        {
            return unsupported(format!("Disk iothread '{id}' not defined in iothreadid"));
        }
    }
    let mut sources: Vec<&Source> = disk.source.iter().collect();
    let mut store = disk.backing_store.as_ref();
    while let Some(image) = store {
        sources.extend(&image.source);
        store = image.backing_store.as_deref();
    }
    sources.into_iter().try_for_each(|source| check_source(on, source))
}

fn check_source(on: &Subject<'_>, source: &Source) -> Check {
    let is_rbd = source.protocol.as_deref() == Some("rbd");
    let layered = source.encryption.as_ref().is_some_and(|encryption| {
        encryption.engine.as_deref() == Some("librbd") && encryption.secrets.len() > 1
    });
    if is_rbd && layered && !on.emulator.has("rbd-encryption-layering") {
        return unsupported("librbd encryption layering is not supported by this QEMU binary");
    }
    if source.tls_hostname.is_some() && !on.emulator.has("blockdev.nbd.tls-hostname") {
        return unsupported("'tlsHostname' field is not supported by this QEMU");
    }
    Ok(())
}

/// Whether the guest has the I/O thread.
fn has_iothread(def: &DomainDef, id: u32) -> bool {
    let listed = def.iothread_ids.as_ref().map_or(&[][..], |ids| &ids.threads);
    if listed.is_empty() {
        return (1..=def.iothreads.unwrap_or(0)).contains(&id);
    }
    listed.iter().any(|thread| thread.id == Some(id))
}

fn check_interface(_: &Subject<'_>, interface: &Interface) -> Check {
    let is_user = interface.kind == Some(InterfaceType::User);
    let backend = interface.backend.as_ref().and_then(|backend| backend.kind.as_deref());
    if is_user && interface.mtu.is_some() && backend != Some("passt") {
        return unsupported("setting MTU on interface type user is not supported yet");
    }
    let kind = interface.teaming.as_ref();
    if let Some(teaming) = kind
        && teaming.kind.as_deref() == Some("transient")
        && teaming.persistent.is_none()
    {
        return contradiction(
            "teaming persistent attribute must be set if teaming type is 'transient'",
        );
    }
    Ok(())
}

fn check_controller(on: &Subject<'_>, controller: &Controller) -> Check {
    match controller.kind {
        Some(ControllerType::Ide)
            if on.has_ide() && controller.index.is_some_and(|index| index > 0) =>
        {
            return unsupported("Only a single IDE controller is supported for this machine type");
        }
        Some(ControllerType::Ide) if !on.has_ide() => {
            return unsupported(
                "IDE controllers are unsupported for this QEMU binary or machine type",
            );
        }
        Some(ControllerType::Scsi) => {
            let driver = controller.driver.as_ref();
            if let Some(id) = driver.and_then(|driver| driver.iothread)
                && !has_iothread(on.def, id)
            {
                return unsupported(format!(
                    "controller iothread '{id}' not defined in iothreadid"
                ));
            }
        }
        _ => {}
    }
    Ok(())
}

fn check_ports(devices: &Devices) -> Check {
    let has_spice =
        devices.graphics.iter().any(|graphics| graphics.kind == Some(GraphicsType::Spice));
    let ports = devices.serials.iter().chain(&devices.parallels);
    for port in ports.chain(&devices.consoles).chain(&devices.channels) {
        check_port(port, has_spice)?;
    }
    for redirdev in &devices.redirdevs {
        check_spice(redirdev.kind, has_spice)?;
    }
    if devices.audios.iter().any(|audio| audio.kind == Some(AudioType::Spice)) && !has_spice {
        return unsupported("Spice audio is not supported without spice graphics");
    }
    Ok(())
}

/// libvirt 11.3.0: `qemuValidateDomainChrSourceDef`, src/qemu/qemu_validate.c
fn check_port(port: &CharDevice, has_spice: bool) -> Check {
    let protocol = port.protocol.as_ref().and_then(|protocol| protocol.kind);
    if port.kind == Some(CharType::Tcp)
        && let Some(protocol) = protocol
        && !matches!(protocol, CharProtocolType::Raw | CharProtocolType::Telnet)
    {
        return unsupported(format!("tcp chardev protocol '{protocol}' not supported"));
    }
    check_spice(port.kind, has_spice)
}

/// What a display carries needs the display.
fn check_spice(kind: Option<CharType>, has_spice: bool) -> Check {
    match kind {
        Some(kind @ (CharType::SpicePort | CharType::SpiceVmc)) if !has_spice => {
            unsupported(format!("chardev '{kind}' not supported without spice graphics"))
        }
        _ => Ok(()),
    }
}

/// libvirt 11.3.0: `qemuValidateDomainDeviceDefGraphics`, src/qemu/qemu_validate.c
fn check_graphics(on: &Subject<'_>, devices: &Devices) -> Check {
    for graphics in &devices.graphics {
        let flag = match graphics.kind {
            Some(GraphicsType::Sdl) => "sdl",
            Some(GraphicsType::Vnc) => "vnc",
            Some(GraphicsType::Spice) => "spice",
            Some(GraphicsType::EglHeadless) => "egl-headless",
            Some(GraphicsType::Dbus | GraphicsType::Rdp) => "display-dbus",
            Some(kind) => {
                return unsupported(format!("unsupported graphics type '{kind}'"));
            }
            None => continue,
        };
        let is_known = matches!(graphics.kind, Some(GraphicsType::Vnc)) && !on.emulator.has("vnc");
        if !on.emulator.has(flag) && !is_known {
            let kind = graphics.kind.map(GraphicsType::as_str).unwrap_or_default();
            return unsupported(format!("{kind} graphics are not supported with this QEMU"));
        }
    }
    let uses_gl = |graphics: &&Graphics| {
        graphics.kind == Some(GraphicsType::EglHeadless)
            || graphics.gl.as_ref().is_some_and(|gl| gl.enable == Some(YesNo::Yes))
    };
    if devices.graphics.iter().filter(uses_gl).count() > 1 {
        return unsupported("multiple OpenGL displays are not supported by QEMU");
    }
    for video in &devices.videos {
        let Some(model) = &video.model else { continue };
        check_video(model)?;
        let wants_3d = model
            .acceleration
            .as_ref()
            .is_some_and(|acceleration| acceleration.accel3d == Some(YesNo::Yes));
        if wants_3d && model.kind != Some(VideoModel::Virtio) {
            return unsupported("3d acceleration is supported only with 'virtio' video device");
        }
    }
    Ok(())
}

/// libvirt 11.3.0: `qemuValidateDomainDeviceDefVideo`, src/qemu/qemu_validate.c
fn check_video(model: &VideoModelDef) -> Check {
    let Some(kind) = model.kind else { return Ok(()) };
    match kind {
        VideoModel::Xen | VideoModel::Vbox | VideoModel::Parallels | VideoModel::Gop => {
            unsupported(format!("domain configuration does not support video model '{kind}'"))
        }
        VideoModel::Virtio | VideoModel::Qxl | VideoModel::None => Ok(()),
        _ if model.heads.is_some_and(|heads| heads > 1) => {
            unsupported(format!("video type '{kind}' doesn't support multiple 'heads'"))
        }
        _ => Ok(()),
    }
}

/// libvirt 11.3.0: `qemuValidateDomainDeviceDefTPM`, src/qemu/qemu_validate.c
fn check_tpm(on: &Subject<'_>, devices: &Devices) -> Check {
    for tpm in &devices.tpms {
        let version = tpm.backend.as_ref().and_then(|backend| backend.version);
        if version == Some(TpmVersion::V1_2) {
            if matches!(
                tpm.model,
                Some(TpmModel::TpmCrb | TpmModel::TpmSpapr | TpmModel::SpaprTpmProxy)
            ) {
                let model = tpm.model.map(TpmModel::as_str).unwrap_or_default();
                return unsupported(format!("TPM 1.2 is not supported for model '{model}'"));
            }
            if !on.is_x86() {
                return unsupported(format!(
                    "TPM 1.2 is not supported on architecture '{}'",
                    on.arch
                ));
            }
        }
        let backend = tpm.backend.as_ref().and_then(|backend| backend.kind);
        let flag = match backend.map(|kind| kind.as_str()) {
            Some("passthrough") => "tpm-passthrough",
            Some("emulator" | "external") => "tpm-emulator",
            _ => continue,
        };
        if !on.emulator.has(flag) {
            let backend = backend.map(|kind| kind.as_str()).unwrap_or_default();
            return unsupported(format!(
                "The QEMU executable {} does not support TPM backend type {backend}",
                on.program()
            ));
        }
        let flag = match tpm.model {
            Some(TpmModel::TpmSpapr) => "tpm-spapr",
            Some(TpmModel::SpaprTpmProxy) => "spapr-tpm-proxy",
            _ => continue,
        };
        if !on.emulator.has(flag) {
            return unsupported(format!(
                "The QEMU executable {} does not support TPM model {flag}",
                on.program()
            ));
        }
    }
    Ok(())
}

/// libvirt 11.3.0: `qemuValidateDomainDeviceDefIOMMU`, src/qemu/qemu_validate.c
fn check_iommu(on: &Subject<'_>, iommu: &Iommu) -> Check {
    let Some(model) = iommu.model else { return Ok(()) };
    let (fits, where_) = match model {
        IommuModel::Intel | IommuModel::Amd => (on.machine == MachineKind::Q35, "Q35 machines"),
        IommuModel::Smmuv3 => (on.is_arm_virt(), "ARM Virt machines"),
        IommuModel::Virtio => {
            (on.machine == MachineKind::Q35 || on.is_arm_virt(), "Q35 and ARM Virt machines")
        }
    };
    if !fits {
        return unsupported(format!("IOMMU device: '{model}' is only supported with {where_}"));
    }
    let has_acpi = on.def.features.as_ref().is_some_and(|features| features.acpi);
    if model == IommuModel::Virtio && !has_acpi {
        return unsupported(format!("IOMMU device: '{model}' requires ACPI"));
    }
    Ok(())
}

/// An IOMMU has the attributes of its model.
///
/// libvirt 11.3.0: `virDomainIOMMUDefValidate`, src/conf/domain_validate.c
pub(super) fn check_iommu_attributes(devices: &Devices) -> Check {
    let Some(Iommu { model: Some(model), driver: Some(driver), .. }) = &devices.iommu else {
        return Ok(());
    };
    let IommuDriver {
        intremap,
        caching_mode,
        eim,
        iotlb,
        aw_bits,
        dma_translation,
        xtsup,
        passthrough,
        ..
    } = driver;
    let of_intel = [intremap, caching_mode, eim, iotlb, dma_translation];
    let is_given = |switches: &[&Option<OnOff>]| switches.iter().any(|switch| switch.is_some());
    let of_amd = [intremap, iotlb, xtsup, passthrough];
    let is_refused = match model {
        IommuModel::Intel => is_given(&[xtsup, passthrough]),
        IommuModel::Amd => is_given(&[caching_mode, eim, dma_translation]) || aw_bits.is_some(),
        IommuModel::Smmuv3 | IommuModel::Virtio => {
            is_given(&of_intel) || is_given(&of_amd) || aw_bits.is_some()
        }
    };
    if is_refused {
        return contradiction(format!(
            "iommu model '{model}' doesn't support additional attributes"
        ));
    }
    Ok(())
}

/// Memory devices belong to a cell that exists.
///
/// libvirt 11.3.0: `qemuValidateDomainDeviceDefMemory`, src/qemu/qemu_validate.c
fn check_memory_nodes(on: &Subject<'_>, devices: &Devices) -> Check {
    let numa = on.def.cpu.as_ref().and_then(|cpu| cpu.numa.as_ref());
    let n_cells = numa.map_or(0, |numa| numa.cells.len());
    for memory in &devices.memories {
        let node = memory.target.as_ref().and_then(|target| target.node);
        match node {
            Some(node)
                if n_cells > 0 && usize::try_from(node).is_ok_and(|node| node >= n_cells) =>
            {
                return Err(DomainError::Detail(format!(
                    "can't add memory backend for guest node '{node}' as the guest has only '{n_cells}' \
                     NUMA nodes configured"
                )));
            }
            _ => {}
        }
    }
    Ok(())
}

/// What another process serves reads the memory of the guest.
fn check_shared_memory(on: &Subject<'_>, devices: &Devices) -> Check {
    let element = if devices.interfaces.iter().any(is_served) {
        "interface"
    } else {
        return Ok(());
    };
    if shares_memory(on.def) {
        Ok(())
    } else {
        unsupported(format!("'{element}' requires shared memory"))
    }
}

fn is_served(interface: &Interface) -> bool {
    let backend = interface.backend.as_ref().and_then(|backend| backend.kind.as_deref());
    interface.kind == Some(InterfaceType::VhostUser) && backend == Some("passt")
}

fn shares_memory(def: &DomainDef) -> bool {
    let backing = def.memory_backing.as_ref();
    let is_shared = |mode| mode == Some(MemoryAccess::Shared);
    if backing.is_some_and(|backing| is_shared(backing.access.as_ref().and_then(|it| it.mode))) {
        return true;
    }
    let cells = def.cpu.iter().flat_map(|cpu| &cpu.numa).flat_map(|numa| &numa.cells);
    let mut cells = cells.peekable();
    cells.peek().is_some() && cells.all(|cell| is_shared(cell.mem_access))
}

/// Only s390 has identities of PCI functions.
fn check_zpci(on: &Subject<'_>, devices: &Devices) -> Check {
    let mut devices = devices.clone();
    for info in runtime::infos(&mut devices) {
        let Some(Address::Pci(pci)) = &info.address else { continue };
        let Some(zpci) = pci.zpci else { continue };
        if !on.emulator.has("zpci") {
            return unsupported("This QEMU binary doesn't support zPCI");
        }
        if let Some(uid) = zpci.uid.filter(|uid| uid.0 == 0 || uid.0 > 0xffff) {
            return contradiction(format!(
                "Invalid PCI address uid='0x{:04x}', must be > 0x0000 and <= 0xffff",
                uid.0
            ));
        }
    }
    Ok(())
}
