//! `<capabilities>`: what the host is and which guests it can run.

use oxivirt_conf::domain::VirtType;
use oxivirt_conf::emulator::EmulatorCapabilities;
use oxivirt_cpu::GuestCpu;
use oxivirt_xml::Writer;

use super::topology::{Bank, Cell, Shape, Topology};

/// The document.
#[derive(Debug, Clone, Default)]
pub struct HostCapabilities<'a> {
    /// Architecture of the host.
    pub(crate) arch: &'a str,
    /// What is known of the host besides.
    pub(crate) details: Option<Details<'a>>,
    /// Emulators, each with the architecture of its guests.
    pub(crate) guests: Vec<(&'a str, &'a EmulatorCapabilities)>,
}

/// What is known of a host.
#[derive(Debug, Clone)]
pub(crate) struct Details<'a> {
    pub(crate) uuid: String,
    pub(crate) cpu: Option<&'a GuestCpu>,
    pub(crate) microcode: Option<u64>,
    /// Family, model, stepping.
    pub(crate) signature: Option<(u32, u32, u32)>,
    pub(crate) physical_bits: Option<u32>,
    pub(crate) iommu: bool,
    pub(crate) topology: &'a Topology,
    /// User and group of guests.
    pub(crate) dac: Option<(u32, u32)>,
}

impl<'a> HostCapabilities<'a> {
    /// The capabilities of a host of which nothing is known but its architecture and its emulators, each
    /// with the architecture of its guests.
    #[must_use]
    pub fn of_emulators(arch: &'a str, guests: Vec<(&'a str, &'a EmulatorCapabilities)>) -> Self {
        Self { arch, details: None, guests }
    }
}

impl HostCapabilities<'_> {
    /// The text.
    ///
    /// libvirt 11.3.0: `virCapabilitiesFormatXML`, src/conf/capabilities.c
    #[must_use]
    pub fn format(&self) -> String {
        let mut out = Writer::new();
        out.begin("capabilities").open();
        out.blank();
        self.format_host(&mut out);
        for (arch, emulator) in &self.guests {
            out.blank();
            format_guest(&mut out, arch, emulator);
        }
        out.blank();
        out.end("capabilities");
        out.finish()
    }

    fn format_host(&self, out: &mut Writer) {
        out.begin("host").open();
        let details = self.details.as_ref();
        if let Some(details) = details {
            out.text("uuid", &details.uuid);
        }
        out.begin("cpu").open();
        out.text("arch", self.arch);
        if let Some(details) = details {
            details.format_cpu(out);
        }
        out.end("cpu");
        out.begin("power_management").empty();
        let iommu = if details.is_some_and(|details| details.iommu) { "yes" } else { "no" };
        out.begin("iommu").attr("support", iommu).empty();
        if let Some(details) = details {
            format_migration(out);
            details.format_topology(out);
            format_security(out, details.dac);
        }
        out.end("host");
    }
}

fn format_migration(out: &mut Writer) {
    out.begin("migration_features").open();
    out.begin("live").empty();
    out.begin("uri_transports").open();
    for transport in ["tcp", "rdma"] {
        out.text("uri_transport", transport);
    }
    out.end("uri_transports");
    out.end("migration_features");
}

fn format_security(out: &mut Writer, dac: Option<(u32, u32)>) {
    let mut model = |name: &str, label: Option<String>| {
        out.begin("secmodel").open();
        out.text("model", name);
        out.text("doi", "0");
        for kind in ["kvm", "qemu"] {
            if let Some(label) = &label {
                out.begin("baselabel").attr("type", kind).text("baselabel", label);
            }
        }
        out.end("secmodel");
    };
    model("none", None);
    if let Some((user, group)) = dac {
        model("dac", Some(format!("+{user}:+{group}")));
    }
}

impl Details<'_> {
    fn format_cpu(&self, out: &mut Writer) {
        if let Some(cpu) = self.cpu {
            out.text("model", &cpu.model);
            if let Some(vendor) = &cpu.vendor {
                out.text("vendor", vendor);
            }
        }
        if let Some(microcode) = self.microcode {
            out.begin("microcode").display("version", microcode).empty();
        }
        if let Some((family, model, stepping)) = self.signature {
            let tag = out.begin("signature").display("family", family).display("model", model);
            tag.display("stepping", stepping).empty();
        }
        let Shape { sockets, cores, threads, .. } = self.topology.shape();
        out.begin("topology")
            .display("sockets", sockets)
            .attr("dies", "1")
            .attr("clusters", "1")
            .display("cores", cores)
            .display("threads", threads)
            .empty();
        if let Some(bits) = self.physical_bits {
            out.begin("maxphysaddr").attr("mode", "emulate").display("bits", bits).empty();
        }
        for feature in self.cpu.iter().flat_map(|cpu| &cpu.features) {
            out.begin("feature").attr("name", &feature.name).empty();
        }
        for size in self.topology.cells.first().iter().flat_map(|cell| cell.pages.keys()) {
            out.begin("pages").attr("unit", "KiB").display("size", size).empty();
        }
    }

    fn format_topology(&self, out: &mut Writer) {
        out.begin("topology").open();
        out.begin("cells").display("num", self.topology.cells.len()).open();
        for cell in &self.topology.cells {
            format_cell(out, cell);
        }
        out.end("cells");
        out.end("topology");
        if !self.topology.banks.is_empty() {
            out.begin("cache").open();
            for bank in &self.topology.banks {
                format_bank(out, bank);
            }
            out.end("cache");
        }
    }
}

fn format_cell(out: &mut Writer, cell: &Cell) {
    out.begin("cell").display("id", cell.id).open();
    out.begin("memory").attr("unit", "KiB").text("memory", &cell.memory_kib.to_string());
    for (size, pages) in &cell.pages {
        let tag = out.begin("pages").attr("unit", "KiB").display("size", size);
        tag.text("pages", &pages.total.to_string());
    }
    if !cell.distances.is_empty() {
        out.begin("distances").open();
        for (id, value) in &cell.distances {
            out.begin("sibling").display("id", id).display("value", value).empty();
        }
        out.end("distances");
    }
    let tag = out.begin("cpus").display("num", cell.cpus.len());
    if cell.cpus.is_empty() {
        tag.empty();
    } else {
        tag.open();
        for cpu in &cell.cpus {
            out.begin("cpu")
                .display("id", cpu.id)
                .display("socket_id", cpu.socket)
                .display("die_id", cpu.die)
                .display("cluster_id", cpu.cluster)
                .display("core_id", cpu.core)
                .attr("siblings", &cpu.sibling_list())
                .empty();
        }
        out.end("cpus");
    }
    out.end("cell");
}

fn format_bank(out: &mut Writer, bank: &Bank) {
    let (size, unit) = match bank.size_kib {
        kib if kib > 0 && kib.is_multiple_of(1024) => (kib / 1024, "MiB"),
        kib => (kib, "KiB"),
    };
    out.begin("bank")
        .display("id", bank.id)
        .display("level", bank.level)
        .attr("type", bank.kind)
        .display("size", size)
        .attr("unit", unit)
        .attr("cpus", &bank.cpu_list())
        .empty();
}

fn format_guest(out: &mut Writer, arch: &str, emulator: &EmulatorCapabilities) {
    let is_64 = matches!(
        arch,
        "x86_64"
            | "aarch64"
            | "ppc64"
            | "ppc64le"
            | "riscv64"
            | "s390x"
            | "loongarch64"
            | "sparc64"
    );
    out.begin("guest").open();
    out.text("os_type", "hvm");
    out.begin("arch").attr("name", arch).open();
    out.text("wordsize", if is_64 { "64" } else { "32" });
    out.text("emulator", &emulator.emulator);
    let accelerators = [VirtType::Kvm, VirtType::Hvf, VirtType::Qemu];
    let machines = accelerators.map(|accelerator| emulator.machines_of(accelerator));
    for machine in machines.iter().find(|list| !list.is_empty()).into_iter().flatten() {
        let name = machine.name.as_deref();
        let deprecated = machine.deprecated.then_some("yes");
        let names = [(name, None), (machine.alias.as_deref(), name)];
        for (name, canonical) in names {
            let Some(name) = name else { continue };
            out.begin("machine")
                .attr_opt("canonical", canonical)
                .display("maxCpus", machine.max_cpus)
                .attr_opt("deprecated", deprecated)
                .text("machine", name);
        }
    }
    for virt_type in [VirtType::Qemu, VirtType::Kvm, VirtType::Hvf] {
        if virt_type == VirtType::Qemu || emulator.has(virt_type.as_str()) {
            out.begin("domain").attr("type", virt_type.as_str()).empty();
        }
    }
    out.end("arch");
    format_guest_features(out, arch);
    out.end("guest");
}

fn format_guest_features(out: &mut Writer, arch: &str) {
    let is_x86 = matches!(arch, "x86_64" | "i686");
    let switch = |out: &mut Writer, name: &str, toggle: &str| {
        out.begin(name).attr("default", "on").attr("toggle", toggle).empty();
    };
    out.begin("features").open();
    if arch == "i686" {
        out.begin("pae").empty();
        out.begin("nonpae").empty();
    }
    if is_x86 || matches!(arch, "aarch64" | "loongarch64") {
        switch(out, "acpi", "yes");
    }
    if is_x86 {
        switch(out, "apic", "no");
    }
    out.begin("cpuselection").empty();
    out.begin("deviceboot").empty();
    switch(out, "disksnapshot", "no");
    out.begin("externalSnapshot").empty();
    out.end("features");
}
