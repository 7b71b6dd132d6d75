//! `<cpu>`: modes and models.

use std::collections::BTreeMap;

use oxivirt_conf::domain::VirtType;
use oxivirt_conf::emulator::{CpuModel, EmulatorCapabilities, PropertyValue};
use oxivirt_cpu::{CpuData, CpuMap, Decode, GuestCpu, KnownModel, Policy};
use oxivirt_xml::Writer;

use super::{DomainCapabilities, enumeration};

impl DomainCapabilities<'_> {
    pub(super) fn format_cpu(&self, out: &mut Writer) {
        let has = |flag| self.emulator.has(flag);
        out.begin("cpu").open();
        let both = ["on", "off"];
        if self.virt_type == VirtType::Qemu {
            mode(out, "host-passthrough", None);
        } else {
            let values = if has("cpu.migratable") { &both[..] } else { &["off"] };
            mode(out, "host-passthrough", Some(("hostPassthroughMigratable", values)));
        }
        if has("cpu-max") {
            mode(out, "maximum", Some(("maximumMigratable", &both)));
        } else {
            mode(out, "maximum", None);
        }
        match self.host_model() {
            Some(cpu) => self.format_host_model(out, &cpu),
            None => mode(out, "host-model", None),
        }
        self.format_models(out);
        out.end("cpu");
    }

    /// What `host-model` stands for.
    fn host_model(&self) -> Option<GuestCpu> {
        let map = self.host.cpu_map.filter(|_| self.is_x86())?;
        host_model(self.emulator, self.virt_type, map, false)
    }

    fn models(&self) -> impl Iterator<Item = &CpuModel> {
        self.emulator.cpus.iter().filter(|cpu| cpu.accelerator == self.virt_type)
    }

    /// libvirt's name of a feature.
    fn feature_name<'n>(&'n self, name: &'n str) -> &'n str {
        self.host.cpu_map.and_then(|map| map.feature_name(name)).unwrap_or(name)
    }

    fn format_host_model(&self, out: &mut Writer, cpu: &GuestCpu) {
        out.begin("mode").attr("name", "host-model").attr("supported", "yes").open();
        out.begin("model").attr("fallback", "forbid").text("model", &cpu.model);
        if let Some(vendor) = &cpu.vendor {
            out.text("vendor", vendor);
        }
        if self.virt_type == VirtType::Kvm
            && let Some(bits) = self.host.physical_bits
        {
            out.begin("maxphysaddr").attr("mode", "passthrough").display("limit", bits).empty();
        }
        for feature in &cpu.features {
            let policy = match feature.policy {
                Policy::Require => "require",
                Policy::Disable => "disable",
            };
            out.begin("feature").attr("policy", policy).attr("name", &feature.name).empty();
        }
        out.end("mode");
    }

    /// The models that both the map and the emulator know, by name.
    fn format_models(&self, out: &mut Writer) {
        let map = self.host.cpu_map.filter(|_| self.is_x86());
        let is_known = |cpu: &&CpuModel| match map {
            Some(map) => map.model_names().any(|name| name == cpu.name),
            None => cpu.name != "host",
        };
        let mut models: Vec<&CpuModel> = self.models().filter(is_known).collect();
        if models.is_empty() {
            return mode(out, "custom", None);
        }
        models.sort_by(|one, other| one.name.cmp(&other.name));
        out.begin("mode").attr("name", "custom").attr("supported", "yes").open();
        for cpu in models {
            let usable = match cpu.usable {
                Some(true) => "yes",
                Some(false) => "no",
                None => "unknown",
            };
            let vendor = map.and_then(|map| map.model_vendor(&cpu.name)).unwrap_or("unknown");
            out.begin("model")
                .attr("usable", usable)
                .attr_opt("deprecated", cpu.deprecated.then_some("yes"))
                .attr("vendor", vendor)
                .attr_opt("canonical", map.and_then(|map| map.canonical_model(&cpu.name)))
                .text("model", &cpu.name);
            let mut blockers: Vec<&str> =
                cpu.blockers.iter().map(|name| self.feature_name(name)).collect();
            blockers.sort_unstable();
            blockers.dedup();
            if !blockers.is_empty() {
                out.begin("blockers").attr("model", &cpu.name).open();
                for name in blockers {
                    out.begin("feature").attr("name", name).empty();
                }
                out.end("blockers");
            }
        }
        out.end("mode");
    }
}

/// The processor of the host as a model with differences, as the emulator sees it for guests of a kind.
/// Features that forbid migration are left out if `is_migratable`.
///
/// libvirt 11.3.0: `virQEMUCapsInitHostCPUModel`, src/qemu/qemu_capabilities.c
#[must_use]
pub fn host_model(
    emulator: &EmulatorCapabilities,
    virt_type: VirtType,
    map: &CpuMap,
    is_migratable: bool,
) -> Option<GuestCpu> {
    let mut data = CpuData::default();
    let host = emulator.host_cpu(virt_type)?;
    for property in &host.properties {
        if is_migratable && property.migratable == Some(false) {
            continue;
        }
        let number = |value: i64| u32::try_from(value).unwrap_or(0);
        match (property.name.as_str(), &property.value) {
            (name, PropertyValue::Boolean(true)) => {
                // QEMU has features that the map does not name.
                let _is_known = map.add_feature(&mut data, name);
            }
            ("vendor", PropertyValue::String(value)) => data.vendor = Some(value.clone()),
            ("family", PropertyValue::Number(value)) => data.signature.family = number(*value),
            ("model", PropertyValue::Number(value)) => data.signature.model = number(*value),
            ("stepping", PropertyValue::Number(value)) => {
                data.signature.stepping = number(*value);
            }
            _ => {}
        }
    }
    let name_of = |name: &String| map.feature_name(name).unwrap_or(name).to_owned();
    let models = emulator.cpus.iter().filter(|cpu| cpu.accelerator == virt_type);
    let models = models.map(|cpu| {
        let blockers = cpu.blockers.iter().map(name_of).collect();
        (cpu.name.clone(), KnownModel { blockers })
    });
    let models: BTreeMap<_, _> = models.collect();
    // What QEMU itself says of migration counts more than the map.
    let migratable = is_migratable && !host.migratability;
    let how = Decode { models: Some(models), migratable, ..Decode::default() };
    map.decode(&data, &how)
}

/// A mode of processors, with a choice if it is there and has one.
fn mode(out: &mut Writer, name: &str, choice: Option<(&str, &[&str])>) {
    let tag = out.begin("mode").attr("name", name);
    let Some((part, values)) = choice else { return tag.attr("supported", "no").empty() };
    tag.attr("supported", "yes").open();
    enumeration(out, part, values);
    out.end("mode");
}
