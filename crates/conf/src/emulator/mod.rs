//! `<qemuCaps>`: what an emulator can do, as libvirt's cache keeps it.
//!
//! The document is read and written byte for byte. Who probes the emulator is not known here.

mod flags;
mod read;
mod write;

use std::collections::BTreeSet;

use crate::domain::VirtType;

/// What one emulator can do.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct EmulatorCapabilities {
    /// Path of the program.
    pub emulator: String,
    /// What the document depends on: it is valid while none of it has changed.
    pub origin: ProbeOrigin,
    /// Architecture it runs.
    pub arch: String,
    /// Version: major × 1,000,000 + minor × 1,000 + micro.
    pub version: u32,
    /// Package of the distribution.
    pub package: String,
    /// Features, by libvirt's names.
    pub flags: BTreeSet<String>,
    /// The processor of the host per accelerator, as the emulator sees it.
    pub host_cpus: Vec<HostCpu>,
    /// Models of processors per accelerator.
    pub cpus: Vec<CpuModel>,
    /// Machines per accelerator.
    pub machines: Vec<Machine>,
    /// Interrupt controllers of ARM.
    pub gics: Vec<Gic>,
    /// Encrypted memory of AMD.
    pub sev: Option<Sev>,
    /// Enclaves of Intel.
    pub sgx: Option<Sgx>,
    /// Enlightenments for Windows that the host has, by libvirt's names; nothing if unknown.
    pub hyperv: Option<Vec<String>>,
    /// Whether guests can run guests of their own.
    pub nesting: bool,
    /// Whether guests can be protected from the host.
    pub secure_guest: bool,
}

/// The circumstances of a probe.
///
/// libvirt 11.3.0: `virQEMUCapsIsValid`, src/qemu/qemu_capabilities.c
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ProbeOrigin {
    /// Change time of the program, in seconds.
    pub emulator_ctime: i64,
    /// Modification time of the directory of modules, in seconds; zero without one.
    pub modules_mtime: i64,
    /// Change time of the program that probed, in seconds.
    pub self_ctime: i64,
    /// Version of the program that probed.
    pub self_version: u64,
    /// Version of the processor's microcode.
    pub microcode: u64,
    /// Vendor, family, model and stepping of the processor.
    pub cpu_signature: Option<String>,
    /// Release and version of the kernel.
    pub kernel: Option<String>,
}

/// A machine type.
#[expect(clippy::struct_excessive_bools, reason = "independent attributes of an element")]
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Machine {
    /// Accelerator it was found with.
    pub accelerator: VirtType,
    /// Canonical name; nothing for an alias whose machine is listed apart.
    pub name: Option<String>,
    /// Other name.
    pub alias: Option<String>,
    /// Whether processors can be plugged in.
    pub hotplug_cpus: bool,
    /// Largest number of processors.
    pub max_cpus: u32,
    /// Whether it is used if a document names none.
    pub is_default: bool,
    /// Type of its processor unless another is chosen.
    pub default_cpu: Option<String>,
    /// Whether memory of a NUMA node can be given as a size.
    pub has_numa_memory: bool,
    /// Id of its main memory.
    pub default_ram_id: Option<String>,
    /// Whether it will be dropped.
    pub deprecated: bool,
    /// Whether it can have ACPI tables, if that is known.
    pub acpi: Option<bool>,
}

/// A model of a processor.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CpuModel {
    /// Accelerator it was found with.
    pub accelerator: VirtType,
    /// Its name.
    pub name: String,
    /// The emulator's type.
    pub type_name: String,
    /// Whether the host can run it.
    pub usable: Option<bool>,
    /// Features that the host lacks for it.
    pub blockers: Vec<String>,
    /// Whether it will be dropped.
    pub deprecated: bool,
}

/// The processor of the host as a guest could have it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostCpu {
    /// Accelerator it was found with.
    pub accelerator: VirtType,
    /// The emulator's model.
    pub model: String,
    /// Whether properties say if they can be migrated.
    pub migratability: bool,
    /// Properties on top of the model.
    pub properties: Vec<CpuProperty>,
    /// Properties that will be dropped.
    pub deprecated: Vec<String>,
}

/// A property of a processor.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CpuProperty {
    /// Its name.
    pub name: String,
    /// Its value.
    pub value: PropertyValue,
    /// Whether a guest with it can be migrated, if that is known.
    pub migratable: Option<bool>,
}

/// Value of a property of a processor.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PropertyValue {
    /// On or off.
    Boolean(bool),
    /// A text.
    String(String),
    /// A number.
    Number(i64),
}

/// An interrupt controller of ARM.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Gic {
    /// Its version.
    pub version: u32,
    /// Whether the kernel has it.
    pub kernel: bool,
    /// Whether the emulator has it.
    pub emulated: bool,
}

/// Encrypted memory of AMD (`<sev>`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sev {
    /// Bit of an address that marks encrypted memory.
    pub cbitpos: u32,
    /// Bits of an address that a guest loses.
    pub reduced_phys_bits: u32,
    /// Diffie-Hellman key of the platform, in base64.
    pub pdh: String,
    /// Chain of certificates, in base64.
    pub cert_chain: String,
    /// Id of the first processor, in base64.
    pub cpu0_id: String,
}

/// Enclaves of Intel (`<sgx>`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sgx {
    /// Whether the launch of enclaves is controlled flexibly.
    pub flc: bool,
    /// First version.
    pub sgx1: bool,
    /// Second version.
    pub sgx2: bool,
    /// Size of all sections in KiB.
    pub section_size: u64,
    /// Node and size in KiB of every section.
    pub sections: Vec<(u32, u64)>,
}

impl Machine {
    /// A machine for one processor without anything else.
    #[must_use]
    pub fn new(accelerator: VirtType, name: &str) -> Self {
        Self {
            accelerator,
            name: Some(name.to_owned()),
            alias: None,
            hotplug_cpus: false,
            max_cpus: 1,
            is_default: false,
            default_cpu: None,
            has_numa_memory: false,
            default_ram_id: None,
            deprecated: false,
            acpi: None,
        }
    }
}

impl EmulatorCapabilities {
    /// Whether the emulator has a feature.
    #[must_use]
    pub fn has(&self, flag: &str) -> bool {
        self.flags.contains(flag)
    }

    /// Whether the emulator runs guests of that kind.
    #[must_use]
    pub fn runs(&self, virt_type: VirtType) -> bool {
        match virt_type {
            VirtType::Qemu => !self.has("hvf") || !self.machines_of(virt_type).is_empty(),
            other => self.has(other.as_str()),
        }
    }

    /// The machines of an accelerator.
    #[must_use]
    pub fn machines_of(&self, virt_type: VirtType) -> Vec<&Machine> {
        self.machines.iter().filter(|machine| machine.accelerator == virt_type).collect()
    }

    /// The machine a name or alias means.
    #[must_use]
    pub fn machine(&self, virt_type: VirtType, name: &str) -> Option<&Machine> {
        self.machines_of(virt_type).into_iter().find(|machine| {
            machine.name.as_deref() == Some(name) || machine.alias.as_deref() == Some(name)
        })
    }

    /// The name that stands for `name` in definitions.
    #[must_use]
    pub fn canonical_machine(&self, virt_type: VirtType, name: &str) -> Option<String> {
        let machine = self.machine(virt_type, name)?;
        machine.name.clone().or_else(|| machine.alias.clone())
    }

    /// The machine of a guest whose document names none: `pc` on x86 and `virt` on ARM if there is one.
    ///
    /// libvirt 11.3.0: `virQEMUCapsGetPreferredMachine`, src/qemu/qemu_capabilities.c
    #[must_use]
    pub fn preferred_machine(&self, virt_type: VirtType) -> Option<String> {
        if matches!(self.arch.as_str(), "x86_64" | "i686") {
            return self.canonical_machine(virt_type, "pc");
        }
        if matches!(self.arch.as_str(), "aarch64" | "armv7l")
            && let Some(machine) = self.canonical_machine(virt_type, "virt")
        {
            return Some(machine);
        }
        let machines = self.machines_of(virt_type);
        let preferred = machines.into_iter().find(|machine| machine.is_default)?;
        preferred.name.clone().or_else(|| preferred.alias.clone())
    }

    /// The same with aliases as machines of their own, which definitions then keep.
    #[must_use]
    pub fn with_aliases_kept(mut self) -> Self {
        let mut copies = Vec::new();
        for machine in &mut self.machines {
            if machine.alias.is_some() {
                copies.push(Machine { alias: None, is_default: false, ..machine.clone() });
                machine.name = machine.alias.take();
            }
        }
        self.machines.append(&mut copies);
        self
    }

    /// The processor of the host with an accelerator.
    #[must_use]
    pub fn host_cpu(&self, virt_type: VirtType) -> Option<&HostCpu> {
        self.host_cpus.iter().find(|cpu| cpu.accelerator == virt_type)
    }
}

#[cfg(test)]
mod tests;
