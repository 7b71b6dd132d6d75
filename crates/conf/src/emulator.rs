//! `<qemuCaps>`: what an emulator can do, as libvirt's cache keeps it.

use std::collections::BTreeSet;

use oxivirt_xml::{self as xml, Blanks, Element};

use crate::domain::{DomainError, VirtType};
use crate::error::Result;

/// What one emulator can do: the part of the cache document that definitions depend on.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct EmulatorCapabilities {
    /// Path of the program.
    pub emulator: String,
    /// Architecture it runs.
    pub arch: String,
    /// Version: major × 1,000,000 + minor × 1,000 + micro.
    pub version: u32,
    /// Features, by libvirt's names.
    pub flags: BTreeSet<String>,
    /// Machines per accelerator.
    pub machines: Vec<Machine>,
    /// Models of processors per accelerator.
    pub cpus: Vec<CpuModel>,
}

/// A machine type.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Machine {
    /// Accelerator it was found with.
    pub accelerator: VirtType,
    /// Canonical name; nothing for an alias whose machine is listed apart.
    pub name: Option<String>,
    /// Other name.
    pub alias: Option<String>,
    /// Largest number of processors.
    pub max_cpus: u32,
    /// Whether it is used if a document names none.
    pub is_default: bool,
    /// Type of its processor unless another is chosen.
    pub default_cpu: Option<String>,
    /// Identifier of the memory that it maps.
    pub default_ram_id: Option<String>,
    /// Whether cells can have memory without an object of their own.
    pub has_numa_memory: bool,
    /// Whether it has a switch for ACPI; unknown before QEMU 8.0.
    pub acpi: Option<bool>,
    /// Whether it will be dropped.
    pub deprecated: bool,
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
}

impl EmulatorCapabilities {
    /// Reads a cache document.
    ///
    /// # Errors
    /// [`ParseError`](crate::ParseError): not well-formed or another kind of document.
    ///
    /// libvirt 11.3.0: `virQEMUCapsLoadCache`, src/qemu/qemu_capabilities.c
    pub fn parse(text: &str) -> Result<Self> {
        let root = xml::parse(text, Blanks::Drop).map_err(DomainError::NotWellFormed)?;
        crate::network::check_root(&root, "qemuCaps")?;
        let text = |name| root.child(name).map(|node| node.text().into_owned()).unwrap_or_default();
        Ok(Self {
            emulator: text("emulator"),
            arch: text("arch"),
            version: text("version").parse().unwrap_or(0),
            flags: root
                .children("flag")
                .filter_map(|flag| flag.attribute("name").map(str::to_owned))
                .collect(),
            machines: root.children("machine").filter_map(Machine::read).collect(),
            cpus: root.children("cpu").filter_map(CpuModel::read).collect(),
        })
    }

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

    /// The machine of a guest whose document names none: `pc` on x86 if there is one.
    ///
    /// libvirt 11.3.0: `virQEMUCapsGetPreferredMachine`, src/qemu/qemu_capabilities.c
    #[must_use]
    pub fn preferred_machine(&self, virt_type: VirtType) -> Option<String> {
        if matches!(self.arch.as_str(), "x86_64" | "i686") {
            return self.canonical_machine(virt_type, "pc");
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
}

fn accelerator(node: &Element<'_>) -> Option<VirtType> {
    match node.attribute("type")? {
        "kvm" => Some(VirtType::Kvm),
        "hvf" => Some(VirtType::Hvf),
        "tcg" => Some(VirtType::Qemu),
        _ => None,
    }
}

impl Machine {
    fn read(node: &Element<'_>) -> Option<Self> {
        let is = |name| node.attribute(name) == Some("yes");
        Some(Self {
            accelerator: accelerator(node)?,
            name: node.attribute("name").map(str::to_owned),
            alias: node.attribute("alias").map(str::to_owned),
            max_cpus: node.attribute("maxCpus").and_then(|n| n.parse().ok()).unwrap_or(0),
            is_default: is("default"),
            default_cpu: node.attribute("defaultCPU").map(str::to_owned),
            default_ram_id: node.attribute("defaultRAMid").map(str::to_owned),
            has_numa_memory: is("numaMemSupported"),
            acpi: node.attribute("acpi").map(|acpi| acpi == "yes"),
            deprecated: is("deprecated"),
        })
    }
}

impl CpuModel {
    fn read(node: &Element<'_>) -> Option<Self> {
        Some(Self {
            accelerator: accelerator(node)?,
            name: node.attribute("name")?.to_owned(),
            type_name: node.attribute("typename").unwrap_or_default().to_owned(),
            usable: node.attribute("usable").map(|usable| usable == "yes"),
        })
    }
}
