//! Reads the document.

use oxivirt_xml::{self as xml, Blanks, Element};

use super::{
    CpuModel, CpuProperty, EmulatorCapabilities, Gic, HostCpu, Machine, ProbeOrigin, PropertyValue,
    Sev, Sgx,
};
use crate::domain::{DomainError, VirtType};
use crate::error::Result;

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
        let root = &root;
        Ok(Self {
            emulator: text_of(root, "emulator").unwrap_or_default(),
            origin: ProbeOrigin::read(root),
            arch: text_of(root, "arch").unwrap_or_default(),
            version: number(root, "version").unwrap_or(0),
            package: text_of(root, "package").unwrap_or_default(),
            flags: names(root, "flag").into_iter().collect(),
            host_cpus: root.children("hostCPU").filter_map(HostCpu::read).collect(),
            cpus: root.children("cpu").filter_map(CpuModel::read).collect(),
            machines: root.children("machine").filter_map(Machine::read).collect(),
            gics: root.children("gic").filter_map(Gic::read).collect(),
            sev: root.child("sev").and_then(Sev::read),
            sgx: root.child("sgx").and_then(Sgx::read),
            hyperv: root
                .child("hypervCapabilities")
                .filter(|node| is(node, "supported"))
                .map(|node| names(node, "cap")),
            nesting: root.child("kvmSupportsNesting").is_some(),
            secure_guest: root.child("kvmSupportsSecureGuest").is_some(),
        })
    }
}

fn text_of(node: &Element<'_>, name: &str) -> Option<String> {
    node.child(name).map(|node| node.text().into_owned())
}

fn number<T: std::str::FromStr>(node: &Element<'_>, name: &str) -> Option<T> {
    node.child(name)?.text().parse().ok()
}

fn names(node: &Element<'_>, name: &str) -> Vec<String> {
    node.children(name).filter_map(|node| node.attribute("name").map(str::to_owned)).collect()
}

fn is(node: &Element<'_>, name: &str) -> bool {
    node.attribute(name) == Some("yes")
}

fn attribute<T: std::str::FromStr>(node: &Element<'_>, name: &str) -> Option<T> {
    node.attribute(name)?.parse().ok()
}

fn owned(node: &Element<'_>, name: &str) -> Option<String> {
    node.attribute(name).map(str::to_owned)
}

fn accelerator(node: &Element<'_>) -> Option<VirtType> {
    match node.attribute("type")? {
        "kvm" => Some(VirtType::Kvm),
        "hvf" => Some(VirtType::Hvf),
        "tcg" => Some(VirtType::Qemu),
        _ => None,
    }
}

impl ProbeOrigin {
    fn read(root: &Element<'_>) -> Self {
        Self {
            emulator_ctime: number(root, "qemuctime").unwrap_or(0),
            modules_mtime: number(root, "qemumoddirmtime").unwrap_or(0),
            self_ctime: number(root, "selfctime").unwrap_or(0),
            self_version: number(root, "selfvers").unwrap_or(0),
            microcode: number(root, "microcodeVersion").unwrap_or(0),
            cpu_signature: text_of(root, "hostCPUSignature"),
            kernel: text_of(root, "kernelVersion"),
        }
    }
}

impl Machine {
    fn read(node: &Element<'_>) -> Option<Self> {
        Some(Self {
            accelerator: accelerator(node)?,
            name: owned(node, "name"),
            alias: owned(node, "alias"),
            hotplug_cpus: is(node, "hotplugCpus"),
            max_cpus: attribute(node, "maxCpus").unwrap_or(0),
            is_default: is(node, "default"),
            default_cpu: owned(node, "defaultCPU"),
            has_numa_memory: is(node, "numaMemSupported"),
            default_ram_id: owned(node, "defaultRAMid"),
            deprecated: is(node, "deprecated"),
            acpi: node.attribute("acpi").map(|acpi| acpi == "yes"),
        })
    }
}

impl CpuModel {
    fn read(node: &Element<'_>) -> Option<Self> {
        Some(Self {
            accelerator: accelerator(node)?,
            name: owned(node, "name")?,
            type_name: owned(node, "typename").unwrap_or_default(),
            usable: node.attribute("usable").map(|usable| usable == "yes"),
            blockers: names(node, "blocker"),
            deprecated: is(node, "deprecated"),
        })
    }
}

impl HostCpu {
    fn read(node: &Element<'_>) -> Option<Self> {
        let deprecated = node.child("deprecatedFeatures");
        Some(Self {
            accelerator: accelerator(node)?,
            model: owned(node, "model")?,
            migratability: is(node, "migratability"),
            properties: node.children("property").filter_map(CpuProperty::read).collect(),
            deprecated: deprecated.map(|node| names(node, "property")).unwrap_or_default(),
        })
    }
}

impl CpuProperty {
    fn read(node: &Element<'_>) -> Option<Self> {
        let value = node.attribute("value")?;
        Some(Self {
            name: owned(node, "name")?,
            value: match node.attribute("type")? {
                "boolean" => PropertyValue::Boolean(value == "true"),
                "string" => PropertyValue::String(value.to_owned()),
                "number" => PropertyValue::Number(value.parse().ok()?),
                _ => return None,
            },
            migratable: node.attribute("migratable").map(|migratable| migratable == "yes"),
        })
    }
}

impl Gic {
    fn read(node: &Element<'_>) -> Option<Self> {
        Some(Self {
            version: attribute(node, "version")?,
            kernel: is(node, "kernel"),
            emulated: is(node, "emulated"),
        })
    }
}

impl Sev {
    fn read(node: &Element<'_>) -> Option<Self> {
        Some(Self {
            cbitpos: number(node, "cbitpos")?,
            reduced_phys_bits: number(node, "reducedPhysBits")?,
            pdh: text_of(node, "pdh")?,
            cert_chain: text_of(node, "certChain")?,
            cpu0_id: text_of(node, "cpu0Id").unwrap_or_default(),
        })
    }
}

impl Sgx {
    fn read(node: &Element<'_>) -> Option<Self> {
        let says = |name| node.child(name).is_some_and(|node| node.text() == "yes");
        let section =
            |node: &Element<'_>| Some((attribute(node, "node")?, attribute(node, "size")?));
        is(node, "supported").then(|| Self {
            flc: says("flc"),
            sgx1: says("sgx1"),
            sgx2: says("sgx2"),
            section_size: number(node, "section_size").unwrap_or(0),
            sections: node
                .child("sections")
                .map(|node| node.children("section").filter_map(section).collect())
                .unwrap_or_default(),
        })
    }
}
