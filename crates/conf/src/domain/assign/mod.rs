//! Gives devices the addresses their documents leave open.

mod ccw;
mod mmio;
mod pci;
mod spapr;
mod usb;
mod virtio_serial;
mod zpci;

use super::device::Devices;
use super::machine::MachineKind;
use super::{DomainDef, DomainError, Origin, validate};
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
        // Two controllers of one number would be two buses of one number.
        self.devices.iter().try_for_each(validate::reject_duplicate_controllers)?;
        let mut devices = self.devices.take().unwrap_or_default();
        let own = match machine {
            MachineKind::S390 => ccw::assign(&mut devices),
            _ => spapr::assign(&mut devices),
        };
        let result = own
            .and_then(|()| virtio_serial::assign(&mut devices))
            .map(|()| mmio::assign(&mut devices, self, emulator))
            .and_then(|()| pci::assign(&mut devices, machine, emulator))
            .and_then(|()| {
                if machine == MachineKind::S390 { zpci::assign(&mut devices) } else { Ok(()) }
            })
            .and_then(|()| usb::assign(&mut devices, origin));
        show_on_console(&mut devices);
        self.devices = Some(devices);
        result
    }
}

/// The first console of a serial port is where the port is.
fn show_on_console(devices: &mut Devices) {
    if let (Some(serial), Some(console)) = (devices.serials.first(), devices.consoles.first_mut()) {
        let kind = console.target.as_ref().and_then(|target| target.kind.as_deref());
        if kind == Some("serial") {
            console.info.address.clone_from(&serial.info.address);
        }
    }
}
