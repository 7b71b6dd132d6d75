//! The processor's model and what it shows to the guest.

use oxivirt_conf::domain::clock::TimerName;
use oxivirt_conf::domain::cpu::{Cpu, CpuCacheMode, CpuFeaturePolicy, CpuMode};
use oxivirt_conf::domain::device::other::PanicModel;
use oxivirt_conf::domain::features::{Hyperv, HypervMode, Kvm, State};
use oxivirt_conf::{OnOff, YesNo};

use super::Build;
use super::error::{PlanError, Result};
use super::props::{Words, on_off};

impl Build<'_> {
    /// libvirt 11.3.0: `qemuBuildCpuCommandLine`, src/qemu/qemu_command.c
    pub(super) fn cpu(&mut self) -> Result<()> {
        let features = self.def.features.as_ref();
        let mut words = match &self.def.cpu {
            Some(cpu) => self.cpu_model(cpu)?,
            None => Words::default(),
        };
        words = self.cpu_timers(words);
        let eoi = features.and_then(|it| it.apic.as_ref()).and_then(|apic| apic.eoi);
        words = words.pair_opt("kvm-pv-eoi", eoi);
        let spinlock = features.and_then(|it| it.pv_spinlock.as_ref()).and_then(|it| it.state);
        words = words.pair_opt("kvm-pv-unhalt", spinlock);
        if let Some(hyperv) = features.and_then(|it| it.hyperv.as_ref()) {
            words = hyperv_words(words, hyperv);
        }
        if self.devices.panics.iter().any(|panic| panic.model == Some(PanicModel::Hyperv)) {
            words = words.word("hv-crash");
        }
        if let Some(kvm) = features.and_then(|it| it.kvm.as_ref()) {
            words = kvm_words(words, kvm);
        }
        let pmu = features.and_then(|it| it.pmu.as_ref()).and_then(|it| it.state);
        words = words.pair_opt("pmu", pmu);
        if let Some(cpu) = &self.def.cpu {
            words = cache_words(words, cpu);
            words = physical_address_words(words, cpu);
        }
        let words = words.finish();
        if words.is_empty() {
            return Ok(());
        }
        // A list without model begins with a switch.
        let has_model = self.def.cpu.as_ref().is_some_and(|cpu| {
            cpu.model.is_some() || cpu.mode.is_some_and(|mode| mode != CpuMode::Custom)
        });
        let words = if has_model { words } else { format!("{},{words}", self.default_cpu()) };
        self.option("-cpu", words);
        Ok(())
    }

    fn default_cpu(&self) -> &'static str {
        let kind = self.def.os.as_ref().and_then(|os| os.kind.as_ref());
        match kind.and_then(|kind| kind.arch.as_deref()) {
            Some("i686") => "qemu32",
            _ => "qemu64",
        }
    }

    fn cpu_model(&self, cpu: &Cpu) -> Result<Words> {
        let name = cpu.model.as_ref().and_then(|model| model.name.as_deref());
        let mut words = match cpu.mode {
            Some(CpuMode::HostPassthrough) => {
                Words::new("host").pair_opt("migratable", cpu.migratable)
            }
            Some(CpuMode::Maximum) => Words::new("max").pair_opt("migratable", cpu.migratable),
            Some(CpuMode::HostModel) if !self.is_ppc() => {
                return Err(PlanError::Internal(String::from("unexpected host-model CPU")));
            }
            Some(CpuMode::HostModel) => Words::new("host"),
            Some(CpuMode::Custom) | None => match name {
                Some(name) => Words::new(name),
                None => return Ok(Words::default()),
            },
        };
        let vendor = cpu.model.as_ref().and_then(|model| model.vendor_id.as_deref());
        words = words.pair_opt("vendor", vendor);
        for feature in &cpu.features {
            let name = qemu_feature(feature.name.as_deref().unwrap_or_default());
            let is_on = match feature.policy {
                Some(CpuFeaturePolicy::Disable | CpuFeaturePolicy::Forbid) => false,
                Some(CpuFeaturePolicy::Optional) => continue,
                Some(CpuFeaturePolicy::Force | CpuFeaturePolicy::Require) | None => true,
            };
            words = words.pair(&name, on_off(is_on));
        }
        Ok(words)
    }

    pub(super) fn is_ppc(&self) -> bool {
        let kind = self.def.os.as_ref().and_then(|os| os.kind.as_ref());
        kind.and_then(|kind| kind.arch.as_deref()).is_some_and(|arch| arch.starts_with("ppc"))
    }

    fn cpu_timers(&self, mut words: Words) -> Words {
        let Some(clock) = &self.def.clock else { return words };
        for timer in &clock.timers {
            let present = timer.present.map(|present| on_off(present == YesNo::Yes));
            words = match timer.name {
                Some(TimerName::KvmClock) => words.pair_opt("kvmclock", present),
                Some(TimerName::HypervClock) if timer.present == Some(YesNo::Yes) => {
                    words.pair("hv-time", "on")
                }
                Some(TimerName::Tsc) => words.pair_opt("tsc-frequency", timer.frequency),
                Some(TimerName::ArmvTimer) => words.pair_opt(
                    "kvm-no-adjvtime",
                    match timer.tick_policy {
                        Some(oxivirt_conf::domain::clock::TickPolicy::Delay) => Some("off"),
                        Some(oxivirt_conf::domain::clock::TickPolicy::Discard) => Some("on"),
                        _ => None,
                    },
                ),
                _ => words,
            };
        }
        words
    }
}

/// The emulator's name of a feature.
///
/// libvirt 11.3.0: `virQEMUCapsCPUFeatureTranslate`, src/qemu/qemu_capabilities.c
pub(super) fn qemu_feature(name: &str) -> String {
    match name {
        "pclmuldq" => String::from("pclmulqdq"),
        "cmp_legacy" | "ds_cpl" | "fxsr_opt" | "kvm_pv_eoi" | "kvm_pv_unhalt" | "lahf_lm"
        | "nodeid_msr" | "perfctr_core" | "perfctr_nb" | "tsc_adjust" => name.replace('_', "-"),
        _ => name.to_owned(),
    }
}

fn is_on(state: Option<&State>) -> bool {
    state.is_some_and(|state| state.state == Some(OnOff::On))
}

fn hyperv_words(words: Words, hyperv: &Hyperv) -> Words {
    let mut words = if hyperv.mode == Some(HypervMode::Passthrough) {
        words.pair("hv-passthrough", "on")
    } else {
        words
    };
    let stimer = hyperv.stimer.as_ref().filter(|it| it.state == Some(OnOff::On));
    let tlbflush = hyperv.tlbflush.as_ref().filter(|it| it.state == Some(OnOff::On));
    let spinlocks = hyperv.spinlocks.as_ref().filter(|it| it.state == Some(OnOff::On));
    let vendor = hyperv.vendor_id.as_ref().filter(|it| it.state == Some(OnOff::On));
    let switch = |words: Words, name: &str, state: Option<&State>| {
        if is_on(state) { words.pair(name, "on") } else { words }
    };
    words = switch(words, "hv-relaxed", hyperv.relaxed.as_ref());
    words = switch(words, "hv-vapic", hyperv.vapic.as_ref());
    if let Some(spinlocks) = spinlocks {
        words = words.pair("hv-spinlocks", format_args!("{:#x}", spinlocks.retries.unwrap_or(0)));
    }
    words = switch(words, "hv-vpindex", hyperv.vpindex.as_ref());
    words = switch(words, "hv-runtime", hyperv.runtime.as_ref());
    words = switch(words, "hv-synic", hyperv.synic.as_ref());
    if let Some(stimer) = stimer {
        words = words.pair("hv-stimer", "on");
        words = switch(words, "hv-stimer-direct", stimer.direct.as_ref());
    }
    words = switch(words, "hv-reset", hyperv.reset.as_ref());
    words = words.pair_opt("hv-vendor-id", vendor.and_then(|vendor| vendor.value.as_deref()));
    words = switch(words, "hv-frequencies", hyperv.frequencies.as_ref());
    words = switch(words, "hv-reenlightenment", hyperv.reenlightenment.as_ref());
    if let Some(tlbflush) = tlbflush {
        words = words.pair("hv-tlbflush", "on");
        words = switch(words, "hv-tlbflush-direct", tlbflush.direct.as_ref());
        words = switch(words, "hv-tlbflush-ext", tlbflush.extended.as_ref());
    }
    words = switch(words, "hv-ipi", hyperv.ipi.as_ref());
    words = switch(words, "hv-evmcs", hyperv.evmcs.as_ref());
    words = switch(words, "hv-avic", hyperv.avic.as_ref());
    words = switch(words, "hv-emsr-bitmap", hyperv.emsr_bitmap.as_ref());
    switch(words, "hv-xmm-input", hyperv.xmm_input.as_ref())
}

fn kvm_words(mut words: Words, kvm: &Kvm) -> Words {
    if is_on(kvm.hidden.as_ref()) {
        words = words.pair("kvm", "off");
    }
    if is_on(kvm.hint_dedicated.as_ref()) {
        words = words.pair("kvm-hint-dedicated", "on");
    }
    if is_on(kvm.poll_control.as_ref()) {
        words = words.pair("kvm-poll-control", "on");
    }
    if kvm.pv_ipi.as_ref().is_some_and(|it| it.state == Some(OnOff::Off)) {
        words = words.pair("kvm-pv-ipi", "off");
    }
    words
}

fn cache_words(words: Words, cpu: &Cpu) -> Words {
    let Some(cache) = &cpu.cache else { return words };
    let is_passthrough = cpu.mode == Some(CpuMode::HostPassthrough);
    match cache.mode {
        Some(CpuCacheMode::Passthrough) => {
            words.pair("host-cache-info", "on").pair("l3-cache", "off")
        }
        Some(CpuCacheMode::Emulate) => {
            let words = if is_passthrough { words.pair("host-cache-info", "off") } else { words };
            words.pair("l3-cache", "on")
        }
        Some(CpuCacheMode::Disable) => {
            let words = if is_passthrough { words.pair("host-cache-info", "off") } else { words };
            words.pair("l3-cache", "off")
        }
        None => words,
    }
}

fn physical_address_words(words: Words, cpu: &Cpu) -> Words {
    let Some(address) = &cpu.max_phys_addr else { return words };
    match address.mode.as_deref() {
        Some("passthrough") => words
            .pair("host-phys-bits", "on")
            .pair_opt("host-phys-bits-limit", address.limit.filter(|&limit| limit > 0)),
        Some("emulate") => words.pair_opt("phys-bits", address.bits.filter(|&bits| bits > 0)),
        _ => words,
    }
}
