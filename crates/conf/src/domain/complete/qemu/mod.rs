//! What QEMU's driver fills in.

mod defaults;
mod devices;
mod extras;
mod general;
mod numa;
mod processor;

use super::super::device::sound::AudioType;
use super::super::machine::MachineKind;
use super::super::{DomainDef, DomainError, Origin};
use crate::emulator::EmulatorCapabilities;
use crate::keyword::Keyword as _;

/// What a definition of a QEMU guest is completed with.
pub struct QemuDefaults<'e> {
    /// What the emulator can do.
    pub emulator: &'e EmulatorCapabilities,
    /// Where the document comes from.
    pub origin: Origin,
    /// Architecture of the host.
    pub host_arch: &'e str,
    /// Which sound of the host guests get.
    pub host_audio: HostAudio,
    /// Fills a buffer with random bytes: addresses and identities that are made up come from it.
    pub random: &'e mut dyn FnMut(&mut [u8]),
}

/// Which sound of the host guests get that do not choose.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct HostAudio {
    /// The driver that the environment of the daemon names: `QEMU_AUDIO_DRV`.
    pub driver: Option<AudioType>,
    /// Whether guests with VNC get it: `vnc_allow_host_audio`.
    pub with_vnc: bool,
    /// Whether guests without graphics get it: `nogfx_allow_host_audio`.
    pub without_graphics: bool,
}

impl HostAudio {
    /// The driver that `QEMU_AUDIO_DRV` names, in QEMU's words; `None` for one that QEMU does not have.
    #[must_use]
    pub fn driver_of(variable: &str) -> Option<AudioType> {
        match variable {
            "pa" => Some(AudioType::PulseAudio),
            "wav" => Some(AudioType::File),
            name => AudioType::from_word(name),
        }
    }
}

impl std::fmt::Debug for QemuDefaults<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (emulator, arch) = (&self.emulator.emulator, self.host_arch);
        f.debug_struct("QemuDefaults")
            .field("emulator", emulator)
            .field("host_arch", &arch)
            .finish_non_exhaustive()
    }
}

impl DomainDef {
    /// Fills in what QEMU's driver does not leave open: machine, processor, default devices and models.
    ///
    /// # Errors
    /// [`DomainError`]: what contradicts itself or what the emulator does not run.
    ///
    /// libvirt 11.3.0: `virDomainDefPostParse` with `virQEMUDriverDomainDefParserConfig`
    pub fn complete_qemu(&mut self, with: &mut QemuDefaults<'_>) -> Result<(), DomainError> {
        general::complete(self, with)?;
        let machine = MachineKind::of(self);
        let mut devices = self.devices.take().unwrap_or_default();
        defaults::add(&mut devices, self, machine, with);
        let before = devices::complete(&mut devices, self, machine, with);
        self.devices = Some(devices);
        before?;
        processor::complete(self, with.emulator);
        self.complete_common(with.origin)?;
        numa::complete(self);
        let mut devices = self.devices.take().unwrap_or_default();
        let after = devices::complete(&mut devices, self, machine, with);
        extras::complete(&mut devices, machine, &with.emulator.arch);
        self.devices = Some(devices);
        after
    }
}
