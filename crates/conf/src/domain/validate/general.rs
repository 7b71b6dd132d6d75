//! What is outside of `<devices>`.

use super::super::clock::{ClockOffset, TickPolicy};
use super::super::cpu::{Cpu, CpuMode};
use super::super::features::Features;
use super::super::machine::MachineKind;
use super::super::memory::{HugePage, NumaMode, Placement};
use super::super::os::{FirmwareKind, LoaderType, Os};
use super::super::{DomainDef, DomainError, VirtType, bitmap, runtime};
use super::{Check, contradiction, unsupported};
use crate::emulator::EmulatorCapabilities;
use crate::keyword::{OnOff, YesNo};

pub(super) fn check(def: &DomainDef) -> Check {
    if let Some(name) = &def.name
        && name.contains('/')
    {
        return contradiction(format!("name {name} cannot contain '/'"));
    }
    if let Some(os) = &def.os {
        check_boot_menu(os)?;
        check_loader(os)?;
    }
    if let Some(cpu) = &def.cpu {
        check_cpu(cpu)?;
    }
    check_clock(def)?;
    check_tuning(def)?;
    check_boot_order(def)?;
    check_hyperv(def)?;
    check_cells(def)?;
    check_numatune(def)?;
    check_hugepages(def)?;
    check_schedulers(def)?;
    check_seclabels(def)?;
    check_bios_date(def)?;
    check_system_uuid(def)
}

/// libvirt 11.3.0: `virDomainClockDefParse`, src/conf/domain_conf.c
fn check_clock(def: &DomainDef) -> Check {
    let Some(clock) = &def.clock else { return Ok(()) };
    let missing = |attribute, offset| {
        Err(DomainError::Internal(format!(
            "missing '{attribute}' attribute for clock with offset='{offset}'"
        )))
    };
    match clock.offset {
        Some(ClockOffset::Timezone) if clock.timezone.is_none() => {
            return missing("timezone", "timezone");
        }
        Some(ClockOffset::Absolute) if clock.start.is_none() => {
            return missing("start", "absolute");
        }
        _ => {}
    }
    for timer in &clock.timers {
        if timer.catchup.is_some() && timer.tick_policy != Some(TickPolicy::Catchup) {
            return contradiction(
                "setting of timer catchup policies is only supported with tickpolicy='catchup'",
            );
        }
    }
    Ok(())
}

/// libvirt 11.3.0: `virDomainDefParseXML`, `virDomainCputuneDefValidate`
fn check_tuning(def: &DomainDef) -> Check {
    if def.title.as_ref().is_some_and(|title| title.contains('\n')) {
        return contradiction("Domain title can't contain newlines");
    }
    let given = def.memory.as_ref().map_or(0, |memory| memory.size.kib());
    if def.max_memory.as_ref().is_some_and(|max| max.size.kib() != 0 && max.size.kib() < given) {
        return contradiction(
            "maximum memory size must be equal or greater than the actual memory size",
        );
    }
    let timeout = def.os.as_ref().and_then(|os| os.bios.as_ref()?.reboot_timeout);
    if timeout.is_some_and(|timeout| !(-1..=65_535).contains(&timeout)) {
        return unsupported("invalid value for rebootTimeout, must be in range [-1,65535]");
    }
    let mut seen = std::collections::BTreeSet::new();
    let threads = def.iothread_ids.iter().flat_map(|ids| &ids.threads);
    for id in threads.filter_map(|thread| thread.id) {
        if !seen.insert(id) {
            return contradiction(format!("duplicate iothread id '{id}' found"));
        }
    }
    let Some(tune) = &def.cputune else { return Ok(()) };
    let periods = [
        ("period", tune.period),
        ("global_period", tune.global_period),
        ("emulator_period", tune.emulator_period),
        ("iothread_period", tune.iothread_period),
    ];
    for (name, period) in periods {
        if period.is_some_and(|period| period != 0 && !(1000..=1_000_000).contains(&period)) {
            return unsupported(format!(
                "Value of cputune '{name}' must be in range [1000, 1000000]"
            ));
        }
    }
    let quotas = [
        ("quota", tune.quota),
        ("global_quota", tune.global_quota),
        ("emulator_quota", tune.emulator_quota),
        ("iothread_quota", tune.iothread_quota),
    ];
    for (name, quota) in quotas {
        if quota.is_some_and(|quota| quota > 0 && !(1000..=17_592_186_044_415).contains(&quota)) {
            return unsupported(format!(
                "Value of cputune '{name}' must be in range [1000, 17592186044415]"
            ));
        }
    }
    let mut pinned = std::collections::BTreeSet::new();
    for pin in &tune.vcpu_pins {
        if pin.cpuset.is_none() {
            return Err(DomainError::Internal(String::from("missing cpuset for vcpupin")));
        }
        if let Some(vcpu) = pin.vcpu.filter(|vcpu| !pinned.insert(*vcpu)) {
            return Err(DomainError::Internal(format!("duplicate vcpupin for vcpu '{vcpu}'")));
        }
    }
    Ok(())
}

/// A place in the order of boot belongs to one device.
///
/// libvirt 11.3.0: `virDomainDefBootOrderPostParse`, src/conf/domain_postparse.c
fn check_boot_order(def: &DomainDef) -> Check {
    let Some(mut devices) = def.devices.clone() else { return Ok(()) };
    let mut taken = std::collections::BTreeSet::new();
    let infos = runtime::infos(&mut devices);
    for order in infos.into_iter().filter_map(|info| info.boot.as_ref()?.order) {
        if !taken.insert(order) {
            return unsupported(format!("boot order '{order}' used for more than one device"));
        }
    }
    Ok(())
}

/// libvirt 11.3.0: `virDomainFeaturesHyperVDefParse`, src/conf/domain_conf.c
fn check_hyperv(def: &DomainDef) -> Check {
    let Some(hyperv) = def.features.as_ref().and_then(|it| it.hyperv.as_ref()) else {
        return Ok(());
    };
    if let Some(spinlocks) = &hyperv.spinlocks
        && spinlocks.state == Some(OnOff::On)
    {
        match spinlocks.retries {
            None => return Err(DomainError::missing("retries", "spinlocks")),
            Some(retries) if retries < 0xfff => {
                return contradiction("HyperV spinlock retry count must be at least 4095");
            }
            Some(_) => {}
        }
    }
    if let Some(vendor) = &hyperv.vendor_id
        && vendor.value.as_ref().is_some_and(|value| value.len() > 12)
    {
        return contradiction("HyperV vendor_id value must not be more than 12 characters.");
    }
    Ok(())
}

/// Pages of at most one size serve the cells that no other size names.
///
/// libvirt 11.3.0: `virDomainDefPostParseMemtune`, src/conf/domain_postparse.c
fn check_hugepages(def: &DomainDef) -> Check {
    let backing = def.memory_backing.as_ref().and_then(|backing| backing.hugepages.as_ref());
    let pages = backing.map_or(&[][..], |hugepages| &hugepages.pages);
    let has_cells = def.cpu.as_ref().is_some_and(|cpu| cpu.numa.is_some());
    // A guest without cells is cell 0.
    let nodes = |page: &HugePage| match page.nodeset.as_deref() {
        Some("0") if !has_cells => None,
        nodeset => nodeset.and_then(bitmap::parse),
    };
    for (at, page) in pages.iter().enumerate() {
        let size = page.size.unwrap_or(0);
        for earlier in pages.iter().take(at) {
            let other = earlier.size.unwrap_or(0);
            match (nodes(page), nodes(earlier)) {
                (None, None) => {
                    return Err(DomainError::Detail(format!(
                        "two master hugepages detected: {size} and {other}"
                    )));
                }
                (Some(a), Some(b)) if a.iter().any(|node| b.contains(node)) => {
                    return Err(DomainError::Detail(format!(
                        "nodeset attribute of hugepages of sizes {size} and {other} intersect"
                    )));
                }
                _ => {}
            }
        }
    }
    Ok(())
}

/// libvirt 11.3.0: `virSecurityLabelDefsParseXML`, src/conf/domain_conf.c
fn check_seclabels(def: &DomainDef) -> Check {
    let mut models: Vec<&str> = Vec::new();
    for model in def.seclabels.iter().filter_map(|label| label.model.as_deref()) {
        if models.contains(&model) {
            return Err(DomainError::Detail(format!(
                "seclabel for model {model} is already provided"
            )));
        }
        models.push(model);
    }
    Ok(())
}

/// The date of the BIOS is month, day and year; a year of two digits is one of the last century.
///
/// libvirt 11.3.0: `virSysinfoBIOSParseXML`, src/conf/domain_conf.c
fn check_bios_date(def: &DomainDef) -> Check {
    let blocks = def.sysinfo.iter().filter_map(|info| info.bios.as_ref());
    let entries = blocks.flat_map(|block| &block.entries);
    let mut dates = entries
        .filter(|entry| entry.name.as_deref() == Some("date"))
        .filter_map(|entry| entry.value.as_deref());
    let is_date = |text: &str| {
        let parts: Option<Vec<i64>> =
            text.split('/').map(|part| part.trim_start().parse().ok()).collect();
        matches!(
            parts.as_deref(),
            Some(&[1..=12, 1..=31, year]) if (0..100).contains(&year) || year >= 1900
        )
    };
    if dates.all(is_date) {
        return Ok(());
    }
    Err(DomainError::Detail(String::from("Invalid BIOS 'date' format")))
}

/// The SMBIOS data must name the guest's own UUID.
fn check_system_uuid(def: &DomainDef) -> Check {
    let entries = def.sysinfo.iter().filter_map(|info| info.system.as_ref());
    let mut uuids = entries
        .flat_map(|system| &system.entries)
        .filter(|entry| entry.name.as_deref() == Some("uuid"))
        .filter_map(|entry| entry.value.as_deref());
    match (uuids.next(), def.uuid) {
        (Some(text), Some(uuid)) if crate::parse_uuid(text) != Some(uuid) => {
            Err(DomainError::Detail(String::from("UUID mismatch between <uuid> and <sysinfo>")))
        }
        _ => Ok(()),
    }
}

fn check_boot_menu(os: &Os) -> Check {
    let timeout = os.boot_menu.as_ref().and_then(|menu| menu.timeout);
    if timeout.is_some_and(|timeout| timeout > 65_535) {
        return unsupported("invalid value for boot menu timeout, must be in range [0,65535]");
    }
    Ok(())
}

/// libvirt 11.3.0: `virDomainDefOSValidate`, src/conf/domain_validate.c
fn check_loader(os: &Os) -> Check {
    let nvram = os.nvram.as_ref();
    let is = |name: &str, enabled: YesNo| {
        os.firmware_features.as_ref().is_some_and(|list| {
            let found = list.features.iter().find(|it| it.name.as_deref() == Some(name));
            found.is_some_and(|feature| feature.enabled == Some(enabled))
        })
    };
    let detail = |text: &str| Err(DomainError::Detail(text.to_owned()));
    if is("enrolled-keys", YesNo::Yes) && is("secure-boot", YesNo::No) {
        return detail(
            "firmware feature 'enrolled-keys' cannot be enabled when firmware feature 'secure-boot' is disabled",
        );
    }
    if os.firmware == Some(FirmwareKind::Bios) && nvram.is_some() {
        return detail("firmware type 'bios' does not support nvram");
    }
    let Some(loader) = &os.loader else { return Ok(()) };
    if os.firmware.is_none() && loader.path.is_none() {
        return detail("no loader path specified and firmware auto selection disabled");
    }
    if loader.stateless == Some(YesNo::No) && loader.kind != Some(LoaderType::Pflash) {
        return detail("Only pflash loader type permits NVRAM");
    }
    if loader.stateless == Some(YesNo::Yes) && nvram.is_some_and(|nvram| nvram.template.is_some()) {
        return Err(DomainError::Detail(String::from(
            "NVRAM template is not permitted when loader is stateless",
        )));
    }
    if nvram.is_some() && loader.kind == Some(LoaderType::Rom) {
        return Err(DomainError::Detail(String::from("Only pflash loader type permits NVRAM")));
    }
    Ok(())
}

/// libvirt 11.3.0: `virCPUDefParseXML`, src/conf/cpu_conf.c
fn check_cpu(cpu: &Cpu) -> Check {
    let mut names = std::collections::BTreeSet::new();
    for feature in &cpu.features {
        match feature.name.as_deref() {
            None | Some("") => {
                return Err(DomainError::Cpu(String::from("Invalid CPU feature name")));
            }
            Some(name) if !names.insert(name) => {
                let text = format!("CPU feature '{name}' specified more than once");
                return Err(DomainError::Cpu(text));
            }
            Some(_) => {}
        }
    }
    let has_model = cpu.model.as_ref().is_some_and(|model| model.name.is_some());
    if !cpu.features.is_empty() && !has_model && matches!(cpu.mode, None | Some(CpuMode::Custom)) {
        let text = "Non-empty feature list specified without CPU model";
        return Err(DomainError::Cpu(String::from(text)));
    }
    Ok(())
}

/// libvirt 11.3.0: `qemuValidateDomainDefCpu`, src/qemu/qemu_validate.c
fn check_qemu_cpu(cpu: &Cpu) -> Check {
    let passes = matches!(cpu.mode, Some(CpuMode::HostPassthrough | CpuMode::Maximum));
    if let Some(cache) = &cpu.cache
        && cache.mode == Some(super::super::cpu::CpuCacheMode::Passthrough)
    {
        if !passes {
            return unsupported(
                "CPU cache mode 'passthrough' can only be used with 'host-passthrough' / 'maximum' CPUs",
            );
        }
        if cache.level.is_some() {
            return unsupported("unsupported CPU cache level for mode 'passthrough'");
        }
    }
    if let Some(addr) = &cpu.max_phys_addr
        && addr.mode.as_deref() == Some("passthrough")
        && addr.bits.is_some()
    {
        return unsupported(
            "CPU maximum physical address bits number specification cannot be used with mode='passthrough'",
        );
    }
    Ok(())
}

fn check_cells(def: &DomainDef) -> Check {
    let Some(numa) = def.cpu.as_ref().and_then(|cpu| cpu.numa.as_ref()) else { return Ok(()) };
    let mut ids: Vec<u32> =
        (0..).zip(&numa.cells).map(|(at, cell)| cell.id.unwrap_or(at)).collect();
    ids.sort_unstable();
    if (0..).zip(&ids).any(|(expected, &id): (u32, _)| expected != id) {
        return contradiction(
            "Exactly one 'cell' element per guest NUMA cell allowed, non-contiguous ranges or ranges not \
             starting from 0 are not allowed",
        );
    }
    let count = def.vcpu.as_ref().and_then(|vcpu| vcpu.count).unwrap_or(1);
    let sets = || numa.cells.iter().filter_map(|cell| cell.cpus.as_deref());
    let placed = sets().filter_map(bitmap::parse).flatten().count();
    if usize::try_from(count).is_ok_and(|count| placed > count) {
        return Err(DomainError::Internal(String::from(
            "Number of CPUs in <numa> exceeds the <vcpu> count",
        )));
    }
    let highest = sets().filter_map(bitmap::parse).flatten().max();
    if highest.is_some_and(|highest| highest >= count) {
        return Err(DomainError::Internal(String::from(
            "CPU IDs in <numa> exceed the <vcpu> count",
        )));
    }
    for cell in &numa.cells {
        let siblings = cell.distances.iter().flat_map(|distances| &distances.siblings);
        for id in siblings.filter_map(|sibling| sibling.id) {
            if !ids.contains(&id) {
                let cell = cell.id.unwrap_or(0);
                return contradiction(format!(
                    "'sibling_id {id}' does not refer to a valid cell within NUMA 'cell id {cell}'"
                ));
            }
        }
    }
    Ok(())
}

fn check_numatune(def: &DomainDef) -> Check {
    let Some(tune) = &def.numatune else { return Ok(()) };
    let cells = def.cpu.as_ref().and_then(|cpu| cpu.numa.as_ref()).map_or(0, |n| n.cells.len());
    if !tune.nodes.is_empty() && cells == 0 {
        return contradiction("Element 'memnode' is invalid without any guest NUMA cells");
    }
    let memory = tune.memory.as_ref();
    let placement = memory.and_then(|memory| memory.placement);
    if !tune.nodes.is_empty() && placement == Some(Placement::Auto) {
        return unsupported("Per-node binding is not compatible with automatic NUMA placement.");
    }
    let restricts = |mode: Option<NumaMode>| mode == Some(NumaMode::Restrictive);
    if tune.nodes.iter().any(|node| restricts(node.mode))
        && !restricts(memory.and_then(|memory| memory.mode))
    {
        return contradiction(
            "'restrictive' mode is required in memory element when mode is 'restrictive' in memnode element",
        );
    }
    Ok(())
}

fn check_schedulers(def: &DomainDef) -> Check {
    let Some(tune) = &def.cputune else { return Ok(()) };
    let mut seen = std::collections::BTreeSet::new();
    for set in tune.vcpu_schedulers.iter().filter_map(|scheduler| scheduler.vcpus.as_deref()) {
        for vcpu in bitmap::parse(set).unwrap_or_default() {
            if !seen.insert(vcpu) {
                return Err(DomainError::Detail(String::from(
                    "'vcpusched' attributes 'vcpus' must not overlap",
                )));
            }
        }
    }
    let ids = def.iothread_ids.iter().flat_map(|ids| &ids.threads);
    let known: Vec<u32> = ids.filter_map(|thread| thread.id).collect();
    let count = def.iothreads.unwrap_or(0);
    for set in tune.iothread_schedulers.iter().filter_map(|s| s.iothreads.as_deref()) {
        for id in bitmap::parse(set).unwrap_or_default() {
            let exists = if known.is_empty() { id <= count } else { known.contains(&id) };
            if !exists {
                return unsupported(format!("Cannot find 'iothread' : {id}"));
            }
        }
    }
    Ok(())
}

/// libvirt 11.3.0: `qemuValidateDomainDefFeatures`, src/qemu/qemu_validate.c
pub(super) fn check_uefi(def: &DomainDef, arch: &str) -> Check {
    let os = def.os.as_ref();
    let loader = os.and_then(|os| os.loader.as_ref());
    let is_flash = loader.is_some_and(|loader| {
        loader.kind == Some(LoaderType::Pflash) && loader.readonly == Some(YesNo::Yes)
    });
    let is_uefi = is_flash || os.is_some_and(|os| os.firmware == Some(FirmwareKind::Efi));
    let has_acpi = def.features.as_ref().is_some_and(|features| features.acpi);
    let refuse = |text: &str| Err(DomainError::QemuUnsupported(text.to_owned()));
    match arch {
        "x86_64" if is_uefi && !has_acpi => refuse("UEFI requires ACPI on this architecture"),
        "aarch64" if has_acpi && !is_uefi => refuse("ACPI requires UEFI on this architecture"),
        _ => Ok(()),
    }
}

pub(super) fn check_qemu(
    def: &DomainDef,
    machine: MachineKind,
    emulator: &EmulatorCapabilities,
) -> Check {
    let kind = def.os.as_ref().and_then(|os| os.kind.as_ref());
    let arch = kind.and_then(|kind| kind.arch.as_deref()).unwrap_or_default();
    let name = kind.and_then(|kind| kind.machine.as_deref()).unwrap_or_default();
    let virt_type = def.virt_type.unwrap_or(VirtType::Qemu);
    let program =
        def.devices.as_ref().and_then(|devices| devices.emulator.as_deref()).unwrap_or_default();
    let runs = match emulator.arch.as_str() {
        "x86_64" => matches!(arch, "x86_64" | "i686"),
        "aarch64" => matches!(arch, "aarch64" | "armv7l"),
        "ppc64" => matches!(arch, "ppc64" | "ppc64le" | "ppc"),
        own => arch == own,
    };
    if !runs {
        return Err(DomainError::QemuUnsupported(format!(
            "Emulator '{program}' does not support arch '{arch}'"
        )));
    }
    if !emulator.runs(virt_type) {
        return Err(DomainError::QemuUnsupported(format!(
            "Emulator '{program}' does not support virt type '{virt_type}'"
        )));
    }
    let count = def.vcpu.as_ref().and_then(|vcpu| vcpu.count).unwrap_or(1);
    let limit = emulator.machine(virt_type, name).map_or(0, |machine| machine.max_cpus);
    if limit > 0 && count > limit {
        return Err(DomainError::QemuUnsupported(format!(
            "Maximum CPUs greater than specified machine type limit {limit}"
        )));
    }
    if let Some(cpu) = &def.cpu {
        check_qemu_cpu(cpu)?;
    }
    if let Some(features) = &def.features {
        check_features(features, machine, arch, name, emulator)?;
    }
    Ok(())
}

fn check_features(
    features: &Features,
    machine: MachineKind,
    arch: &str,
    name: &str,
    emulator: &EmulatorCapabilities,
) -> Check {
    let refuse = |feature: &str| {
        unsupported(format!(
            "The '{feature}' feature is not supported for architecture '{arch}' or machine type '{name}'"
        ))
    };
    let is_pseries = machine == MachineKind::Pseries;
    let power: [(&str, bool); 4] = [
        ("hpt", features.hpt.is_some()),
        ("htm", features.htm.is_some()),
        ("nested-hv", features.nested_hv.is_some()),
        ("ccf-assist", features.ccf_assist.is_some()),
    ];
    for (feature, is_given) in power {
        if is_given && !is_pseries {
            return refuse(feature);
        }
    }
    let is_arm = matches!(arch, "aarch64" | "armv7l");
    if features.gic.as_ref().is_some_and(|gic| gic.version.is_some())
        && !(is_arm && machine == MachineKind::Virt)
    {
        return refuse("gic");
    }
    if features.smm.as_ref().is_some_and(|smm| smm.tseg.is_some()) && machine != MachineKind::Q35 {
        return unsupported("SMM TSEG is only supported with q35 machine type");
    }
    if features.ps2.as_ref().is_some_and(|ps2| ps2.state.is_some())
        && !emulator.has("machine-i8042-opt")
    {
        return unsupported("ps2 feature state cannot be controlled with this QEMU binary");
    }
    Ok(())
}
