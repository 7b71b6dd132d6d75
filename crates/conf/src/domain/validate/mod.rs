//! Refuses documents that contradict themselves or what the emulator has.

mod controllers;
mod devices;
mod disks;
mod emulator;
mod general;
mod interfaces;

use super::device::Devices;
use super::machine::MachineKind;
use super::{DomainDef, DomainError};
use crate::emulator::EmulatorCapabilities;

use emulator::Subject;

type Check = Result<(), DomainError>;

/// A combination that is well-formed but not supported.
fn unsupported(message: impl Into<String>) -> Check {
    Err(DomainError::Unsupported(message.into()))
}

/// A document that contradicts itself.
fn contradiction(message: impl Into<String>) -> Check {
    Err(DomainError::Xml(message.into()))
}

impl DomainDef {
    /// Refuses what contradicts itself whatever runs the guest. The document has to be completed.
    ///
    /// # Errors
    /// [`DomainError`], the first in libvirt's order of checks.
    ///
    /// libvirt 11.3.0: `virDomainDefValidate`, src/conf/domain_validate.c
    pub fn validate_common(&self) -> Result<(), DomainError> {
        general::check(self)?;
        let Some(devices) = &self.devices else { return Ok(()) };
        disks::check(devices)?;
        controllers::check_indexes(devices)?;
        interfaces::check(devices)?;
        devices::check(devices)
    }

    /// Refuses what QEMU's driver or this emulator does not have. The document has to be completed and to have
    /// addresses.
    ///
    /// # Errors
    /// As [`DomainDef::validate_common`].
    ///
    /// libvirt 11.3.0: `qemuValidateDomainDef`, src/qemu/qemu_validate.c
    pub fn validate_qemu(&self, emulator: &EmulatorCapabilities) -> Result<(), DomainError> {
        if let Some(devices) = &self.devices {
            controllers::check_qemu_roots(devices, MachineKind::of(self))?;
        }
        self.validate_common()?;
        self.check_qemu(emulator).map_err(DomainError::of_qemu)
    }

    fn check_qemu(&self, emulator: &EmulatorCapabilities) -> Check {
        let subject = Subject::of(self, emulator);
        let machine = subject.machine;
        general::check_qemu(self, machine, emulator)?;
        emulator::check(&subject)?;
        general::check_uefi(self, subject.arch)?;
        let Some(devices) = &self.devices else { return Ok(()) };
        let numa = self.cpu.as_ref().and_then(|cpu| cpu.numa.as_ref());
        let n_cells = numa.map_or(0, |numa| u32::try_from(numa.cells.len()).unwrap_or(u32::MAX));
        emulator::check_devices(&subject, devices)?;
        controllers::check_qemu(devices, n_cells)?;
        disks::check_qemu(devices)?;
        interfaces::check_qemu(devices)?;
        devices::check_qemu(self, devices, machine)
    }

    /// Refuses what a definition may say but the emulator cannot start.
    ///
    /// # Errors
    /// As [`DomainDef::validate_common`].
    pub fn validate_start(&self, emulator: &EmulatorCapabilities) -> Result<(), DomainError> {
        let Some(devices) = &self.devices else { return Ok(()) };
        controllers::check_start(devices, emulator)?;
        interfaces::check_start(devices)?;
        disks::check_start(devices)
    }
}

/// Refuses controllers that have the number of another.
pub(super) fn reject_duplicate_controllers(devices: &Devices) -> Check {
    controllers::check_duplicates(devices)
}

/// Whether the guest has no USB on purpose.
fn has_no_usb(devices: &Devices) -> bool {
    use super::device::controller::{ControllerModel, ControllerType};
    devices.controllers.iter().any(|controller| {
        controller.kind == Some(ControllerType::Usb)
            && controller.model == Some(ControllerModel::None)
    })
}
