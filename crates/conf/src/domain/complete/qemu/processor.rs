//! The processor.

use super::super::super::cpu::{
    Cpu, CpuCheck, CpuFallback, CpuFeaturePolicy, CpuMatch, CpuMode, CpuModel,
};
use super::super::super::{DomainDef, VirtType};
use crate::emulator::EmulatorCapabilities;
use crate::keyword::OnOff;

/// libvirt 11.3.0: `qemuDomainDefCPUPostParse`, src/qemu/qemu_postparse.c
pub(super) fn complete(def: &mut DomainDef, emulator: &EmulatorCapabilities) {
    let arch = emulator.arch.as_str();
    let has_default = arch != "ppc";
    let default = if has_default { default_model(def, emulator) } else { None };
    let is_emulated = def.virt_type == Some(VirtType::Qemu);
    let has_cpu = def.cpu.is_some();
    let cpu = def.cpu.get_or_insert_with(Cpu::default);
    let is_open = cpu.model.as_ref().is_none_or(|model| model.name.is_none())
        && matches!(cpu.mode, None | Some(CpuMode::Custom));
    if is_open {
        match default.as_deref() {
            Some("host") if arch == "s390x" => {
                cpu.mode = Some(CpuMode::HostModel);
                cpu.check = Some(CpuCheck::Partial);
            }
            Some("host") => {
                cpu.mode = Some(CpuMode::HostPassthrough);
                cpu.check = Some(CpuCheck::None);
            }
            Some(name) => {
                cpu.mode = Some(CpuMode::Custom);
                cpu.matching = Some(CpuMatch::Exact);
                cpu.check = Some(CpuCheck::None);
                let fallback = Some(CpuFallback::Forbid);
                let name = Some(name.to_owned());
                cpu.model = Some(CpuModel { fallback, name, ..CpuModel::default() });
            }
            None if !has_cpu => {
                def.cpu = None;
                return;
            }
            None => {}
        }
    }
    fill(cpu, emulator, is_emulated);
}

/// What every processor of a definition says.
fn fill(cpu: &mut Cpu, emulator: &EmulatorCapabilities, is_emulated: bool) {
    let has_model = cpu.model.as_ref().is_some_and(|model| model.name.is_some());
    if cpu.mode.is_none() && has_model {
        cpu.mode = Some(CpuMode::Custom);
    }
    if let Some(topology) = &mut cpu.topology {
        topology.dies.get_or_insert(1);
        topology.clusters.get_or_insert(1);
    }
    for feature in &mut cpu.features {
        feature.policy.get_or_insert(CpuFeaturePolicy::Require);
    }
    match cpu.mode {
        Some(CpuMode::Custom) if has_model => {
            cpu.matching.get_or_insert(CpuMatch::Exact);
            // An emulated processor is not compared with the host's.
            cpu.check.get_or_insert(if is_emulated { CpuCheck::None } else { CpuCheck::Partial });
            if let Some(model) = &mut cpu.model {
                model.fallback.get_or_insert(CpuFallback::Allow);
            }
        }
        Some(CpuMode::HostModel) => {
            cpu.matching = None;
            cpu.check.get_or_insert(CpuCheck::Partial);
            if let Some(model) = &mut cpu.model {
                model.fallback = match model.name {
                    Some(_) => Some(model.fallback.unwrap_or(CpuFallback::Allow)),
                    None => None,
                };
            }
        }
        Some(CpuMode::HostPassthrough) => {
            cpu.matching = None;
            cpu.model = None;
            cpu.check.get_or_insert(CpuCheck::None);
            if emulator.has("cpu.migratable") {
                cpu.migratable.get_or_insert(OnOff::On);
            }
        }
        Some(CpuMode::Maximum) => {
            cpu.matching = None;
            cpu.model = None;
            cpu.check.get_or_insert(CpuCheck::None);
        }
        _ => {}
    }
}

/// The processor that a machine has unless another is chosen.
fn default_model(def: &DomainDef, emulator: &EmulatorCapabilities) -> Option<String> {
    let machine = def.os.as_ref()?.kind.as_ref()?.machine.as_deref()?;
    let virt_type = def.virt_type?;
    // Elsewhere QEMU names a model that only TCG has.
    let is_known = matches!(emulator.arch.as_str(), "x86_64" | "i686" | "s390x" | "ppc64");
    if virt_type != VirtType::Qemu && !is_known {
        return None;
    }
    let type_name = emulator.machine(virt_type, machine)?.default_cpu.as_deref()?;
    let mut known = emulator.cpus.iter().filter(|cpu| cpu.accelerator == virt_type);
    let found = known.find(|cpu| cpu.type_name == type_name);
    let name = found.map_or_else(
        || type_name.split_once("-cpu").map_or(type_name, |(name, _)| name).to_owned(),
        |cpu| cpu.name.clone(),
    );
    Some(name)
}
