//! `<domainCapabilities>`: what guests of one machine and accelerator can have.
//!
//! A pure function of the emulator's capabilities and of facts about the host.

mod devices;
mod processor;

pub use processor::host_model;

use oxivirt_conf::domain::VirtType;
use oxivirt_conf::emulator::EmulatorCapabilities;
use oxivirt_cpu::CpuMap;
use oxivirt_xml::Writer;

/// What the document depends on.
#[derive(Debug, Clone, Copy)]
pub struct DomainCapabilities<'a> {
    /// The emulator.
    pub emulator: &'a EmulatorCapabilities,
    /// Architecture of the guests.
    pub arch: &'a str,
    /// Canonical name of their machine.
    pub machine: &'a str,
    /// What runs them.
    pub virt_type: VirtType,
    /// The host.
    pub host: &'a HostSupport<'a>,
}

/// What the host contributes.
#[derive(Debug, Clone, Copy, Default)]
pub struct HostSupport<'a> {
    /// Names of processors; without it the emulator's own are shown and there is no host model.
    pub cpu_map: Option<&'a CpuMap>,
    /// Most processors of a guest that KVM runs.
    pub vcpu_limit: Option<u32>,
    /// Bits of a physical address.
    pub physical_bits: Option<u32>,
    /// Kinds of firmware that can be chosen automatically: `bios`, `efi`.
    pub firmware_kinds: &'a [&'a str],
    /// Firmware images.
    pub loaders: &'a [String],
    /// Whether one of those kinds has secure boot.
    pub secure_boot: bool,
    /// Whether devices of the host can be passed through.
    pub vfio: bool,
    /// Versions that the emulator of TPMs supports; none if there is no such emulator.
    pub tpm_versions: &'a [&'a str],
    /// Guests with encrypted memory: with SEV, and with SEV-ES.
    pub sev_guests: (u32, u32),
}

impl DomainCapabilities<'_> {
    /// The document.
    ///
    /// libvirt 11.3.0: `virQEMUCapsFillDomainCaps`, src/qemu/qemu_capabilities.c,
    /// `virDomainCapsFormat`, src/conf/domain_capabilities.c
    #[must_use]
    pub fn format(&self) -> String {
        let mut out = Writer::new();
        out.begin("domainCapabilities").open();
        out.text("path", &self.emulator.emulator);
        out.text("domain", self.virt_type.as_str());
        out.text("machine", self.machine);
        out.text("arch", self.arch);
        if let Some(max) = self.max_vcpus() {
            out.begin("vcpu").display("max", max).empty();
        }
        supported(&mut out, "iothreads", true);
        self.format_os(&mut out);
        self.format_cpu(&mut out);
        self.format_devices(&mut out);
        self.format_features(&mut out);
        out.end("domainCapabilities");
        out.finish()
    }

    fn max_vcpus(&self) -> Option<u32> {
        let max = self.emulator.machine(self.virt_type, self.machine)?.max_cpus;
        let limit = self.host.vcpu_limit.filter(|_| self.virt_type == VirtType::Kvm);
        Some(limit.map_or(max, |limit| max.min(limit)))
    }

    fn is_x86(&self) -> bool {
        matches!(self.arch, "x86_64" | "i686")
    }

    fn is_q35(&self) -> bool {
        self.machine == "q35" || self.machine.starts_with("pc-q35")
    }

    fn is_i440fx(&self) -> bool {
        self.machine == "pc" || self.machine.starts_with("pc-i440fx")
    }

    fn format_os(&self, out: &mut Writer) {
        out.begin("os").attr("supported", "yes").open();
        enumeration(out, "firmware", self.host.firmware_kinds);
        out.begin("loader").attr("supported", "yes").open();
        for loader in self.host.loaders {
            out.text("value", loader);
        }
        enumeration(out, "type", &["rom", "pflash"]);
        enumeration(out, "readonly", &["yes", "no"]);
        let secure = self.host.secure_boot && self.is_q35();
        enumeration(out, "secure", if secure { &["yes", "no"] } else { &["no"] });
        out.end("loader");
        out.end("os");
    }

    fn format_features(&self, out: &mut Writer) {
        let has = |flag| self.emulator.has(flag);
        out.begin("features").open();
        self.format_gic(out);
        supported(out, "vmcoreinfo", has("vmcoreinfo"));
        supported(out, "genid", has("vmgenid"));
        supported(out, "backingStoreInput", true);
        supported(out, "backup", true);
        supported(out, "async-teardown", has("run-with.async-teardown"));
        if self.arch == "s390x" {
            supported(out, "s390-pv", has("s390-pv-guest") && self.virt_type == VirtType::Kvm);
        }
        if self.is_x86() {
            let toggle = has("machine-i8042-opt") && (self.is_q35() || self.is_i440fx());
            supported(out, "ps2", toggle);
        }
        self.format_sev(out);
        self.format_sgx(out);
        if let Some(hyperv) = &self.emulator.hyperv {
            out.begin("hyperv").attr("supported", "yes").open();
            let names: Vec<&str> = hyperv.iter().map(String::as_str).collect();
            enumeration(out, "features", &names);
            out.end("hyperv");
        }
        self.format_launch_security(out);
        out.end("features");
    }

    fn format_gic(&self, out: &mut Writer) {
        let versions: Vec<String> = self
            .emulator
            .gics
            .iter()
            .filter(|gic| match self.virt_type {
                VirtType::Kvm => gic.kernel,
                _ => gic.emulated,
            })
            .map(|gic| gic.version.to_string())
            .collect();
        let is_virt = matches!(self.arch, "aarch64" | "armv7l")
            && (self.machine == "virt" || self.machine.starts_with("virt-"));
        if versions.is_empty() || !is_virt {
            return supported(out, "gic", false);
        }
        let mut versions: Vec<&str> = versions.iter().map(String::as_str).collect();
        versions.sort_unstable();
        out.begin("gic").attr("supported", "yes").open();
        enumeration(out, "version", &versions);
        out.end("gic");
    }

    fn format_sev(&self, out: &mut Writer) {
        let Some(sev) = &self.emulator.sev else { return supported(out, "sev", false) };
        let (guests, guests_es) = self.host.sev_guests;
        out.begin("sev").attr("supported", "yes").open();
        out.text("cbitpos", &sev.cbitpos.to_string());
        out.text("reducedPhysBits", &sev.reduced_phys_bits.to_string());
        out.text("maxGuests", &guests.to_string());
        out.text("maxESGuests", &guests_es.to_string());
        if !sev.cpu0_id.is_empty() {
            out.text("cpu0Id", &sev.cpu0_id);
        }
        out.end("sev");
    }

    fn format_sgx(&self, out: &mut Writer) {
        match &self.emulator.sgx {
            Some(sgx) => sgx.format(out),
            None => supported(out, "sgx", false),
        }
    }

    fn format_launch_security(&self, out: &mut Writer) {
        let has = |flag| self.emulator.has(flag);
        let mut types = Vec::new();
        if has("sev-guest") {
            types.push("sev");
        }
        if has("sev-snp-guest") {
            types.push("sev-snp");
        }
        if has("s390-pv-guest") && has("confidential-guest-support") {
            types.push("s390-pv");
        }
        if types.is_empty() {
            return supported(out, "launchSecurity", false);
        }
        out.begin("launchSecurity").attr("supported", "yes").open();
        enumeration(out, "sectype", &types);
        out.end("launchSecurity");
    }
}

/// An element that says whether something is there.
fn supported(out: &mut Writer, element: &str, is_supported: bool) {
    let word = if is_supported { "yes" } else { "no" };
    out.begin(element).attr("supported", word).empty();
}

/// The values that something may have.
fn enumeration(out: &mut Writer, name: &str, values: &[&str]) {
    let tag = out.begin("enum").attr("name", name);
    if values.is_empty() {
        return tag.empty();
    }
    tag.open();
    for value in values {
        out.text("value", value);
    }
    out.end("enum");
}

#[cfg(test)]
mod tests;
