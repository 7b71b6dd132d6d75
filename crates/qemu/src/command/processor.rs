//! The processor that a guest gets in place of the one that its definition describes.

use std::sync::Arc;

use oxivirt_conf::domain::cpu::{Cpu, CpuFeature, CpuFeaturePolicy, CpuMatch, CpuMode, CpuModel};
use oxivirt_conf::domain::{DomainDef, MachineKind, VirtType};
use oxivirt_conf::emulator::EmulatorCapabilities;
use oxivirt_cpu::{CpuData, CpuMap, GuestCpu, Policy};

use super::error::{PlanError, Result};

/// What is known of the host's processor.
#[derive(Debug, Clone, Default)]
pub struct HostProcessor {
    /// The model with differences that `host-model` stands for, as the emulator sees the host.
    pub model: Option<GuestCpu>,
    /// Models and features by name; without it definitions are taken as they are.
    pub map: Option<Arc<CpuMap>>,
}

/// Replaces `host-model`, models that are a minimum, and optional features by what they come to here.
///
/// libvirt 11.3.0: `qemuProcessUpdateGuestCPU`, src/qemu/qemu_process.c, `virCPUx86Update`,
/// src/cpu/cpu_x86.c
pub(super) fn update(
    def: &mut DomainDef,
    emulator: &EmulatorCapabilities,
    host: &HostProcessor,
) -> Result<()> {
    if !MachineKind::of(def).is_x86() {
        return Ok(());
    }
    let virt_type = def.virt_type.unwrap_or(VirtType::Qemu);
    let Some(cpu) = &mut def.cpu else { return Ok(()) };
    match cpu.mode {
        Some(CpuMode::HostModel) => take_host_model(cpu, host, virt_type)?,
        Some(CpuMode::Custom) | None if cpu.matching == Some(CpuMatch::Minimum) => {
            take_host_model(cpu, host, virt_type)?;
        }
        Some(CpuMode::Custom) | None => disable_removed(cpu, host),
        Some(CpuMode::HostPassthrough | CpuMode::Maximum) => {}
    }
    decide_optional(cpu, host);
    drop_unknown(cpu, emulator, virt_type);
    Ok(())
}

fn take_host_model(cpu: &mut Cpu, host: &HostProcessor, virt_type: VirtType) -> Result<()> {
    let Some(model) = &host.model else {
        return Err(PlanError::Unsupported(format!(
            "CPU mode 'host-model' for x86_64 {virt_type} domain on x86_64 host is not supported by hypervisor"
        )));
    };
    let own = std::mem::take(&mut cpu.features);
    cpu.mode = Some(CpuMode::Custom);
    cpu.matching = Some(CpuMatch::Exact);
    cpu.vendor.clone_from(&model.vendor);
    cpu.model.get_or_insert_with(CpuModel::default).name = Some(model.model.clone());
    cpu.features = model
        .features
        .iter()
        .map(|feature| CpuFeature {
            name: Some(feature.name.clone()),
            policy: Some(match feature.policy {
                Policy::Require => CpuFeaturePolicy::Require,
                Policy::Disable => CpuFeaturePolicy::Disable,
            }),
            ..CpuFeature::default()
        })
        .collect();
    for feature in own {
        match cpu.features.iter_mut().find(|known| known.name == feature.name) {
            Some(known) => known.policy = feature.policy,
            None => cpu.features.push(feature),
        }
    }
    Ok(())
}

/// Features that a model had in earlier releases are off unless they are asked for.
fn disable_removed(cpu: &mut Cpu, host: &HostProcessor) {
    let Some(map) = &host.map else { return };
    let Some(model) = cpu.model.as_ref().and_then(|model| model.name.as_deref()) else { return };
    for name in map.removed_features(model) {
        if cpu.features.iter().all(|feature| feature.name.as_deref() != Some(name)) {
            cpu.features.push(CpuFeature {
                name: Some(name.to_owned()),
                policy: Some(CpuFeaturePolicy::Disable),
                ..CpuFeature::default()
            });
        }
    }
}

/// Optional features are on where the host has them.
fn decide_optional(cpu: &mut Cpu, host: &HostProcessor) {
    let data = match (&host.map, &host.model) {
        (Some(map), Some(model)) => map.data_of(model).map(|data| (map, data)),
        _ => None,
    };
    let has = |name: &str| {
        data.as_ref().is_some_and(|(map, data)| {
            let mut feature = CpuData::default();
            map.add_feature(&mut feature, name) && data.contains(&feature)
        })
    };
    for feature in &mut cpu.features {
        if feature.policy == Some(CpuFeaturePolicy::Optional) {
            let is_there = has(feature.name.as_deref().unwrap_or_default());
            feature.policy =
                Some(if is_there { CpuFeaturePolicy::Require } else { CpuFeaturePolicy::Disable });
        }
    }
}

/// A feature that the emulator does not know need not be disabled.
///
/// libvirt 11.3.0: `qemuProcessDropUnknownCPUFeatures`, src/qemu/qemu_process.c
fn drop_unknown(cpu: &mut Cpu, emulator: &EmulatorCapabilities, virt_type: VirtType) {
    let Some(host) = emulator.host_cpu(virt_type) else { return };
    cpu.features.retain(|feature| {
        let name = super::cpu::qemu_feature(feature.name.as_deref().unwrap_or_default());
        feature.policy != Some(CpuFeaturePolicy::Disable)
            || host.properties.iter().any(|property| property.name == name)
    });
}
