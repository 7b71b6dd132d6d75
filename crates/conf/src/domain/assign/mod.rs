//! Gives devices the addresses their documents leave open.

mod pci;
mod usb;
mod virtio_serial;

use super::machine::MachineKind;
use super::{DomainDef, DomainError, Origin};
use crate::emulator::EmulatorCapabilities;

impl DomainDef {
    /// Gives every device of a QEMU guest the address it lacks and adds the controllers that takes.
    ///
    /// # Errors
    /// [`DomainError`]: two devices at one place, or no place left.
    ///
    /// libvirt 11.3.0: `qemuDomainAssignAddresses`, src/qemu/qemu_domain_address.c
    pub fn assign_addresses(
        &mut self,
        emulator: &EmulatorCapabilities,
        origin: Origin,
    ) -> Result<(), DomainError> {
        let machine = MachineKind::of(self);
        let mut devices = self.devices.take().unwrap_or_default();
        let result = virtio_serial::assign(&mut devices)
            .and_then(|()| pci::assign(&mut devices, machine, emulator))
            .and_then(|()| usb::assign(&mut devices, origin));
        self.devices = Some(devices);
        result
    }
}
