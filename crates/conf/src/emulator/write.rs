//! Writes the document.

use oxivirt_xml::Writer;

use super::{
    CpuModel, EmulatorCapabilities, HostCpu, Machine, ProbeOrigin, PropertyValue, Sev, Sgx, flags,
};
use crate::domain::VirtType;

impl EmulatorCapabilities {
    /// The cache document.
    ///
    /// libvirt 11.3.0: `virQEMUCapsFormatCache`, src/qemu/qemu_capabilities.c
    #[must_use]
    pub fn format(&self) -> String {
        let mut out = Writer::new();
        out.begin("qemuCaps").open();
        out.text("emulator", &self.emulator);
        self.origin.format_times(&mut out);
        let mut flags: Vec<&str> = self.flags.iter().map(String::as_str).collect();
        flags::sort(&mut flags);
        for flag in flags {
            out.begin("flag").attr("name", flag).empty();
        }
        out.text("version", &self.version.to_string());
        self.origin.format_host(&mut out, &self.package);
        out.text("arch", &self.arch);
        for accelerator in [VirtType::Hvf, VirtType::Kvm, VirtType::Qemu] {
            self.format_accelerator(&mut out, accelerator);
        }
        for gic in &self.gics {
            let tag = out.begin("gic").display("version", gic.version);
            tag.attr("kernel", yes(gic.kernel)).attr("emulated", yes(gic.emulated)).empty();
        }
        if let Some(sev) = &self.sev {
            sev.format(&mut out);
        }
        if let Some(sgx) = &self.sgx {
            sgx.format(&mut out);
        }
        if let Some(hyperv) = &self.hyperv {
            let tag = out.begin("hypervCapabilities").attr("supported", "yes");
            if hyperv.is_empty() {
                tag.empty();
            } else {
                tag.open();
                name_list(&mut out, "cap", hyperv);
                out.end("hypervCapabilities");
            }
        }
        for (element, is_set) in
            [("kvmSupportsNesting", self.nesting), ("kvmSupportsSecureGuest", self.secure_guest)]
        {
            if is_set {
                out.begin(element).empty();
            }
        }
        out.end("qemuCaps");
        out.finish()
    }

    fn format_accelerator(&self, out: &mut Writer, accelerator: VirtType) {
        for cpu in self.host_cpus.iter().filter(|cpu| cpu.accelerator == accelerator) {
            cpu.format(out);
        }
        for cpu in self.cpus.iter().filter(|cpu| cpu.accelerator == accelerator) {
            cpu.format(out);
        }
        for machine in self.machines.iter().filter(|machine| machine.accelerator == accelerator) {
            machine.format(out);
        }
    }
}

const fn yes(value: bool) -> &'static str {
    if value { "yes" } else { "no" }
}

/// The emulator's word for a kind of guests.
const fn word(accelerator: VirtType) -> &'static str {
    match accelerator {
        VirtType::Kvm => "kvm",
        VirtType::Hvf => "hvf",
        _ => "tcg",
    }
}

fn name_list(out: &mut Writer, element: &str, names: &[String]) {
    for name in names {
        out.begin(element).attr("name", name).empty();
    }
}

impl ProbeOrigin {
    fn format_times(&self, out: &mut Writer) {
        out.text("qemuctime", &self.emulator_ctime.to_string());
        if self.modules_mtime > 0 {
            out.text("qemumoddirmtime", &self.modules_mtime.to_string());
        }
        out.text("selfctime", &self.self_ctime.to_string());
        out.text("selfvers", &self.self_version.to_string());
    }

    fn format_host(&self, out: &mut Writer, package: &str) {
        out.text("microcodeVersion", &self.microcode.to_string());
        if let Some(signature) = &self.cpu_signature {
            out.text("hostCPUSignature", signature);
        }
        out.text("package", package);
        if let Some(kernel) = &self.kernel {
            out.text("kernelVersion", kernel);
        }
    }
}

impl Machine {
    fn format(&self, out: &mut Writer) {
        let flag = |is_set: bool| is_set.then_some("yes");
        out.begin("machine")
            .attr("type", word(self.accelerator))
            .attr_opt("name", self.name.as_deref())
            .attr_opt("alias", self.alias.as_deref())
            .attr_opt("hotplugCpus", flag(self.hotplug_cpus))
            .display("maxCpus", self.max_cpus)
            .attr_opt("default", flag(self.is_default))
            .attr_opt("defaultCPU", self.default_cpu.as_deref())
            .attr_opt("numaMemSupported", flag(self.has_numa_memory))
            .attr_opt("defaultRAMid", self.default_ram_id.as_deref())
            .attr_opt("deprecated", flag(self.deprecated))
            .attr_opt("acpi", self.acpi.map(yes))
            .empty();
    }
}

impl CpuModel {
    fn format(&self, out: &mut Writer) {
        let type_name = Some(self.type_name.as_str()).filter(|name| !name.is_empty());
        let tag = out
            .begin("cpu")
            .attr("type", word(self.accelerator))
            .attr("name", &self.name)
            .attr_opt("typename", type_name)
            .attr_opt("usable", self.usable.map(yes))
            .attr_opt("deprecated", self.deprecated.then_some("yes"));
        if self.blockers.is_empty() {
            tag.empty();
        } else {
            tag.open();
            name_list(out, "blocker", &self.blockers);
            out.end("cpu");
        }
    }
}

impl HostCpu {
    fn format(&self, out: &mut Writer) {
        out.begin("hostCPU")
            .attr("type", word(self.accelerator))
            .attr("model", &self.model)
            .attr("migratability", yes(self.migratability))
            .open();
        for property in &self.properties {
            let tag = out.begin("property").attr("name", &property.name);
            let tag = match &property.value {
                PropertyValue::Boolean(value) => {
                    tag.attr("type", "boolean").display("value", value)
                }
                PropertyValue::String(value) => tag.attr("type", "string").attr("value", value),
                PropertyValue::Number(value) => tag.attr("type", "number").display("value", value),
            };
            tag.attr_opt("migratable", property.migratable.map(yes)).empty();
        }
        if !self.deprecated.is_empty() {
            out.begin("deprecatedFeatures").open();
            name_list(out, "property", &self.deprecated);
            out.end("deprecatedFeatures");
        }
        out.end("hostCPU");
    }
}

impl Sev {
    fn format(&self, out: &mut Writer) {
        out.begin("sev").open();
        out.text("cbitpos", &self.cbitpos.to_string());
        out.text("reducedPhysBits", &self.reduced_phys_bits.to_string());
        out.text("pdh", &self.pdh);
        out.text("certChain", &self.cert_chain);
        if !self.cpu0_id.is_empty() {
            out.text("cpu0Id", &self.cpu0_id);
        }
        out.end("sev");
    }
}

impl Sgx {
    /// Writes the element, which the capabilities of domains have too.
    pub fn format(&self, out: &mut Writer) {
        out.begin("sgx").attr("supported", "yes").open();
        for (element, value) in [("flc", self.flc), ("sgx1", self.sgx1), ("sgx2", self.sgx2)] {
            out.text(element, yes(value));
        }
        let size = self.section_size.to_string();
        out.begin("section_size").attr("unit", "KiB").text("section_size", &size);
        if !self.sections.is_empty() {
            out.begin("sections").open();
            for (node, size) in &self.sections {
                let tag = out.begin("section").display("node", node);
                tag.display("size", size).attr("unit", "KiB").empty();
            }
            out.end("sections");
        }
        out.end("sgx");
    }
}
