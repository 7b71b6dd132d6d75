//! Fills in what a document leaves open.
//!
//! The common pass does what every driver of libvirt does, the one in `qemu` what QEMU's does.

mod chardev;
mod console;
pub(crate) mod controllers;
mod devices;
mod general;
mod graphics;
mod qemu;
mod tuning;

pub use qemu::{HostAudio, QemuDefaults};

use super::{DomainDef, DomainError, Origin};

impl DomainDef {
    /// Fills in what no driver leaves open: counts, the clock, buses, the controllers that devices need.
    ///
    /// # Errors
    /// [`DomainError`]: what contradicts itself.
    ///
    /// libvirt 11.3.0: `virDomainDefPostParseCommon`, src/conf/domain_postparse.c
    pub fn complete_common(&mut self, origin: Origin) -> Result<(), DomainError> {
        general::complete(self, origin)?;
        tuning::complete(self)?;
        let mut devices = self.devices.take().unwrap_or_default();
        let mut result = devices::complete(&mut devices, self);
        console::pair(&mut devices, self);
        if result.is_ok() {
            result = controllers::add_implicit(&mut devices);
        }
        controllers::sort(&mut devices.controllers);
        self.devices = Some(devices);
        result
    }
}
