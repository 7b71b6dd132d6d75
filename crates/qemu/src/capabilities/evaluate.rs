//! From what an emulator answered to its capabilities.

use oxivirt_conf::domain::VirtType;
use oxivirt_conf::emulator::{
    CpuModel, CpuProperty, EmulatorCapabilities, Gic, HostCpu, Machine, PropertyValue, Sev, Sgx,
};
use serde_json::Value;

use super::conversation::{Run, expansions, has_kvm};
use super::error::ProbeError;
use super::flags;
use super::session::{Session, is_true, text};

/// The oldest version that is supported: 6.2.0.
const OLDEST: u32 = 6_002_000;

/// Enlightenments for Windows: libvirt's name and the property of the processor.
const HYPERV: &[(&str, &str)] = &[
    ("relaxed", "hv-relaxed"),
    ("vapic", "hv-vapic"),
    ("spinlocks", "hv-spinlocks"),
    ("vpindex", "hv-vpindex"),
    ("runtime", "hv-runtime"),
    ("synic", "hv-synic"),
    ("stimer", "hv-stimer"),
    ("reset", "hv-reset"),
    ("vendor_id", "hv-vendor-id"),
    ("frequencies", "hv-frequencies"),
    ("reenlightenment", "hv-reenlightenment"),
    ("tlbflush", "hv-tlbflush"),
    ("ipi", "hv-ipi"),
    ("evmcs", "hv-evmcs"),
    ("avic", "hv-avic"),
    ("emsr_bitmap", "hv-emsr-bitmap"),
    ("xmm_input", "hv-xmm-input"),
];

/// The capabilities that follow from the answers of one run, or of two when the first used another
/// accelerator than TCG.
///
/// What the emulator's own answers do not contain, [`EmulatorCapabilities::origin`], is left empty.
///
/// # Errors
/// [`ProbeError::Answer`]: an answer that nothing works without is missing or of another form;
/// [`ProbeError::TooOld`].
///
/// libvirt 11.3.0: `virQEMUCapsInitQMPMonitor`, src/qemu/qemu_capabilities.c
pub fn evaluate(
    emulator: &str,
    best: &Session,
    tcg: Option<&Session>,
) -> Result<EmulatorCapabilities, ProbeError> {
    let version = version(best)?;
    if version < OLDEST {
        return Err(ProbeError::TooOld { emulator: emulator.to_owned() });
    }
    let target = best.reply("query-target").and_then(|target| text(target, "arch"));
    let target = target.ok_or(ProbeError::Answer { command: "query-target" })?;
    for command in ["query-qmp-schema", "qom-list-types", "query-machines"] {
        if best.reply(command).and_then(Value::as_array).is_none() {
            return Err(ProbeError::Answer { command });
        }
    }
    let mut found = EmulatorCapabilities {
        emulator: emulator.to_owned(),
        arch: match target {
            "arm" => "armv7l",
            "i386" => "i686",
            other => other,
        }
        .to_owned(),
        version,
        package: best
            .reply("query-version")
            .and_then(|reply| text(reply, "package"))
            .unwrap_or_default()
            .to_owned(),
        flags: flags::derive(best, target),
        gics: best.list("query-gic-capabilities").filter_map(gic).collect(),
        sev: best.reply("query-sev-capabilities").and_then(sev),
        sgx: best.reply("query-sgx-capabilities").and_then(sgx),
        ..EmulatorCapabilities::default()
    };
    let accelerator = if has_kvm(best) {
        VirtType::Kvm
    } else if found.has("hvf") {
        VirtType::Hvf
    } else {
        VirtType::Qemu
    };
    add_accelerator(&mut found, best, target, Run::Best, accelerator);
    if let Some(tcg) = tcg {
        add_accelerator(&mut found, tcg, target, Run::Tcg(best), VirtType::Qemu);
    }
    found.hyperv = hyperv(best, target);
    Ok(found)
}

fn version(session: &Session) -> Result<u32, ProbeError> {
    let part = |name: &str| {
        let number = session.reply("query-version")?.get("qemu")?.get(name)?.as_u64()?;
        u32::try_from(number).ok().filter(|number| *number < 1000)
    };
    let numbers = || Some((part("major")?, part("minor")?, part("micro")?));
    let (major, minor, micro) = numbers().ok_or(ProbeError::Answer { command: "query-version" })?;
    Ok(major * 1_000_000 + minor * 1_000 + micro)
}

fn add_accelerator(
    found: &mut EmulatorCapabilities,
    session: &Session,
    target: &str,
    run: Run<'_>,
    accelerator: VirtType,
) {
    let host = host_cpu(session, target, run, accelerator, found.has("cpu.migratable"));
    found.host_cpus.extend(host);
    let models = session.list("query-cpu-definitions");
    found.cpus.extend(models.filter_map(|entry| cpu_model(entry, target, accelerator)));
    let machines = session.list("query-machines");
    let mut machines: Vec<Machine> =
        machines.filter_map(|entry| machine(entry, accelerator)).collect();
    // The default comes first, the rest keeps QEMU's order. QEMU has none for ARM; libvirt takes `virt`.
    let is_first = |machine: &Machine| {
        machine.is_default
            || matches!(target, "arm" | "aarch64") && machine.alias.as_deref() == Some("virt")
    };
    if let Some(at) = machines.iter().position(is_first) {
        machines.get_mut(..=at).into_iter().for_each(|head| head.rotate_right(1));
    }
    found.machines.append(&mut machines);
}

fn machine(entry: &Value, accelerator: VirtType) -> Option<Machine> {
    let name = text(entry, "name")?;
    if name == "none" {
        return None;
    }
    let owned = |member| text(entry, member).map(str::to_owned);
    let max_cpus = entry.get("cpu-max").and_then(Value::as_u64);
    Some(Machine {
        alias: owned("alias"),
        hotplug_cpus: is_true(entry, "hotpluggable-cpus"),
        max_cpus: max_cpus.and_then(|max| u32::try_from(max).ok()).unwrap_or(0),
        is_default: is_true(entry, "is-default"),
        default_cpu: owned("default-cpu-type"),
        has_numa_memory: is_true(entry, "numa-mem-supported"),
        default_ram_id: owned("default-ram-id"),
        deprecated: is_true(entry, "deprecated"),
        acpi: entry.get("acpi").and_then(Value::as_bool),
        ..Machine::new(accelerator, name)
    })
}

fn cpu_model(entry: &Value, target: &str, accelerator: VirtType) -> Option<CpuModel> {
    let name = text(entry, "name")?;
    let missing = entry.get("unavailable-features").and_then(Value::as_array);
    let names = missing.into_iter().flatten().filter_map(|name| name.as_str().map(str::to_owned));
    Some(CpuModel {
        accelerator,
        name: if target == "ppc64" && is_power(name) {
            name.to_uppercase()
        } else {
            name.to_owned()
        },
        type_name: text(entry, "typename").unwrap_or_default().to_owned(),
        usable: missing.map(Vec::is_empty),
        blockers: names.collect(),
        deprecated: is_true(entry, "deprecated"),
    })
}

/// Whether it is a name that libvirt has in capitals.
fn is_power(name: &str) -> bool {
    name.strip_prefix("power")
        .is_some_and(|number| !number.is_empty() && number.bytes().all(|b| b.is_ascii_digit()))
}

/// The host's processor: the properties of the expansion for guests that need not migrate, each with
/// whether the expansion for guests that migrate has it too.
fn host_cpu(
    session: &Session,
    target: &str,
    run: Run<'_>,
    accelerator: VirtType,
    has_migratable: bool,
) -> Option<HostCpu> {
    let calls = expansions(session, target, run);
    let expanded = |at: usize| session.answer(calls.get(at)?);
    let (shown, migratable) = match target {
        "x86_64" | "i386" if has_migratable => (expanded(1)?, Some(expanded(0)?)),
        _ => (expanded(0)?, None),
    };
    let model = shown.get("model")?;
    let properties = model.get("props").and_then(Value::as_object);
    let migrates = |name: &str| {
        migratable.map(|other| {
            let props = other.get("model").and_then(|model| model.get("props"));
            props.is_some_and(|props| is_true(props, name))
        })
    };
    let property = |(name, value): (&String, &Value)| {
        let (value, migratable) = match value {
            Value::Bool(value) => {
                (PropertyValue::Boolean(*value), migrates(name).filter(|_| *value))
            }
            Value::String(value) => (PropertyValue::String(value.clone()), None),
            Value::Number(value) => (PropertyValue::Number(value.as_i64()?), None),
            _ => return None,
        };
        Some(CpuProperty { name: name.clone(), value, migratable })
    };
    let deprecated = (0..calls.len()).filter_map(expanded);
    let deprecated = deprecated
        .filter_map(|reply| reply.get("deprecated-props")?.as_array())
        .find(|names| !names.is_empty());
    Some(HostCpu {
        accelerator,
        model: text(model, "name")?.to_owned(),
        migratability: migratable.is_some(),
        properties: properties.into_iter().flatten().filter_map(property).collect(),
        deprecated: deprecated
            .into_iter()
            .flatten()
            .filter_map(|name| name.as_str().map(str::to_owned))
            .collect(),
    })
}

fn hyperv(session: &Session, target: &str) -> Option<Vec<String>> {
    if !has_kvm(session) || !matches!(target, "x86_64" | "i386") {
        return None;
    }
    let call = expansions(session, target, Run::Best).pop()?;
    let props = session.answer(&call)?.get("model")?.get("props")?;
    let is_on = |value: &Value| match value {
        Value::Bool(value) => *value,
        Value::Number(value) => value.as_i64() != Some(0),
        Value::String(value) => !value.is_empty() && value != "off",
        _ => false,
    };
    // Before QEMU 8 the expansion has no such property, so nothing is known.
    props.get("hv-relaxed")?;
    let found = HYPERV.iter().filter(|(_, property)| props.get(*property).is_some_and(is_on));
    Some(found.map(|(name, _)| (*name).to_owned()).collect())
}

fn gic(entry: &Value) -> Option<Gic> {
    Some(Gic {
        version: u32::try_from(entry.get("version")?.as_u64()?).ok()?,
        kernel: is_true(entry, "kernel"),
        emulated: is_true(entry, "emulated"),
    })
}

fn sev(reply: &Value) -> Option<Sev> {
    let number = |name: &str| u32::try_from(reply.get(name)?.as_u64()?).ok();
    let owned = |name| text(reply, name).map(str::to_owned);
    Some(Sev {
        cbitpos: number("cbitpos")?,
        reduced_phys_bits: number("reduced-phys-bits")?,
        pdh: owned("pdh")?,
        cert_chain: owned("cert-chain")?,
        cpu0_id: owned("cpu0-id").unwrap_or_default(),
    })
}

fn sgx(reply: &Value) -> Option<Sgx> {
    let sections = reply.get("sections").and_then(Value::as_array).into_iter().flatten();
    let sections: Vec<(u32, u64)> = sections
        .filter_map(|section| {
            let node = u32::try_from(section.get("node")?.as_u64()?).ok()?;
            Some((node, section.get("size")?.as_u64()? / 1024))
        })
        .collect();
    let total = reply.get("section-size").and_then(Value::as_u64).map(|size| size / 1024);
    let sum = sections.iter().fold(0_u64, |sum, (_, size)| sum.saturating_add(*size));
    Some(Sgx {
        flc: is_true(reply, "flc"),
        sgx1: is_true(reply, "sgx1"),
        sgx2: is_true(reply, "sgx2"),
        section_size: total.unwrap_or(sum),
        sections,
    })
}
