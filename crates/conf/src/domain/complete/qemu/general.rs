//! Emulator, architecture and machine.

use super::super::super::device::Devices;
use super::super::super::features::IoapicDriver;
use super::super::super::machine::MachineKind;
use super::super::super::{DomainDef, DomainError, GenId, Origin, VirtType};
use super::{QemuDefaults, defaults};
use crate::emulator::EmulatorCapabilities;
use crate::uuid::Uuid;

pub(super) fn complete(
    def: &mut DomainDef,
    with: &mut QemuDefaults<'_>,
) -> Result<(), DomainError> {
    let missing = || DomainError::OsType(String::from("an os <type> must be specified"));
    let virt_type = def.virt_type.ok_or_else(|| DomainError::missing("type", "domain"))?;
    let os = def.os.as_mut().ok_or_else(missing)?;
    let kind = os.kind.as_mut().filter(|kind| kind.kind.is_some()).ok_or_else(missing)?;
    let arch = kind.arch.get_or_insert_with(|| with.host_arch.to_owned()).clone();
    if kind.machine.is_none() {
        kind.machine = with.emulator.preferred_machine(virt_type);
    }
    if let Some(machine) = &mut kind.machine
        && let Some(canonical) = with.emulator.canonical_machine(virt_type, machine)
    {
        *machine = canonical;
    }
    let devices = def.devices.get_or_insert_with(Devices::default);
    if devices.emulator.is_none() {
        devices.emulator = Some(if with.emulator.emulator.is_empty() {
            format!("/usr/bin/qemu-system-{arch}")
        } else {
            with.emulator.emulator.clone()
        });
    }
    enable_gic(def, with.emulator);
    if defaults::needs_interrupt_remapping(def, MachineKind::of(def), with.origin) {
        let ioapic = def.features.get_or_insert_default().ioapic.get_or_insert_default();
        ioapic.driver.get_or_insert(IoapicDriver::Qemu);
    }
    check_firmware_features(def, with)?;
    if let Some(GenId { uuid: uuid @ None, .. }) = &mut def.genid {
        *uuid = Some(random_uuid(with));
    }
    if def.uuid.is_none() {
        def.uuid = Some(random_uuid(with));
    }
    Ok(())
}

/// Features choose a firmware, so they say nothing of one that the definition names.
///
/// libvirt 11.3.0: `qemuFirmwareFillDomain`, src/qemu/qemu_firmware.c
fn check_firmware_features(def: &DomainDef, with: &QemuDefaults<'_>) -> Result<(), DomainError> {
    let Some(os) = &def.os else { return Ok(()) };
    let asks = os.firmware_features.as_ref().is_some_and(|list| !list.features.is_empty());
    if asks && os.firmware.is_none() && with.origin == Origin::New {
        return Err(DomainError::Detail(String::from(
            "cannot use feature-based firmware autoselection when firmware autoselection is disabled",
        )));
    }
    Ok(())
}

fn random_uuid(with: &mut QemuDefaults<'_>) -> Uuid {
    let mut bytes = [0; 16];
    (with.random)(&mut bytes);
    uuid::Builder::from_random_bytes(bytes).into_uuid()
}

/// ARM's `virt` machine always has an interrupt controller: the newest that KVM has, else version 2, which
/// QEMU emulates with everything that PCI Express needs.
///
/// libvirt 11.3.0: `qemuDomainDefEnableDefaultFeatures`, src/qemu/qemu_postparse.c
fn enable_gic(def: &mut DomainDef, emulator: &EmulatorCapabilities) {
    let is_arm = matches!(defaults::arch_of(def), "aarch64" | "armv7l");
    if !is_arm || MachineKind::of(def) != MachineKind::Virt {
        return;
    }
    let is_kvm = def.virt_type == Some(VirtType::Kvm);
    let of_kernel = emulator.gics.iter().filter(|gic| is_kvm && gic.kernel);
    let version = of_kernel.map(|gic| gic.version).max().unwrap_or(2);
    let gic = def.features.get_or_insert_default().gic.get_or_insert_default();
    gic.version.get_or_insert_with(|| version.to_string());
}
