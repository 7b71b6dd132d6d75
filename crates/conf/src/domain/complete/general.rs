//! What is outside of `<devices>`.

use super::super::clock::{Clock, ClockBasis, ClockOffset, CrashAction, LifecycleAction};
use super::super::cpu::VcpuCount;
use super::super::features::{Features, HypervMode};
use super::super::memory::Placement;
use super::super::os::{Boot, BootDevice, OsType};
use super::super::size::{Size, scale};
use super::super::{DomainDef, DomainError, Origin};
use crate::domain::device::Devices;
use crate::keyword::{OnOff, YesNo};

pub(super) fn complete(def: &mut DomainDef, origin: Origin) -> Result<(), DomainError> {
    if def.name.is_none() {
        return Err(DomainError::NoName);
    }
    complete_memory(def, origin)?;
    complete_vcpus(def)?;
    complete_boot(def)?;
    if let Some(hyperv) = def.features.as_mut().and_then(|features| features.hyperv.as_mut()) {
        hyperv.mode.get_or_insert(HypervMode::Custom);
    }
    if let Some(features) = &mut def.features {
        complete_features(features)?;
    }
    let clock = def.clock.get_or_insert_with(Clock::default);
    if *clock.offset.get_or_insert(ClockOffset::Utc) == ClockOffset::Variable {
        clock.adjustment.get_or_insert_with(|| String::from("0"));
        clock.basis.get_or_insert(ClockBasis::Utc);
    }
    def.on_poweroff.get_or_insert(LifecycleAction::Destroy);
    def.on_reboot.get_or_insert(LifecycleAction::Restart);
    def.on_crash.get_or_insert(CrashAction::Destroy);
    Ok(())
}

/// Switches that are on when they are named, and those that have to say.
///
/// libvirt 11.3.0: `virDomainFeaturesDefParse`, src/conf/domain_conf.c
fn complete_features(features: &mut Features) -> Result<(), DomainError> {
    let Features { hap, pv_spinlock, pmu, vmport, vmcoreinfo, .. } = features;
    for feature in [hap, pv_spinlock, pmu, vmport, vmcoreinfo].into_iter().flatten() {
        feature.state.get_or_insert(OnOff::On);
    }
    if let Some(teardown) = &mut features.async_teardown {
        teardown.enabled.get_or_insert(YesNo::Yes);
    }
    if let Some(smm) = &mut features.smm {
        smm.state.get_or_insert(OnOff::On);
    }
    let mut switches = vec![
        ("htm", &features.htm),
        ("nested-hv", &features.nested_hv),
        ("ccf-assist", &features.ccf_assist),
        ("ras", &features.ras),
        ("ps2", &features.ps2),
    ];
    if let Some(kvm) = &features.kvm {
        switches.extend([
            ("hidden", &kvm.hidden),
            ("hint-dedicated", &kvm.hint_dedicated),
            ("poll-control", &kvm.poll_control),
            ("pv-ipi", &kvm.pv_ipi),
        ]);
    }
    let open = switches
        .into_iter()
        .find(|(_, switch)| switch.as_ref().is_some_and(|switch| switch.state.is_none()));
    match open {
        Some((element, _)) => Err(DomainError::missing("state", element)),
        None => Ok(()),
    }
}

/// libvirt 11.3.0: `virDomainDefPostParseMemory`, src/conf/domain_postparse.c
fn complete_memory(def: &mut DomainDef, origin: Origin) -> Result<(), DomainError> {
    if let Some(numa) = def.cpu.as_mut().and_then(|cpu| cpu.numa.as_mut()) {
        for (at, cell) in (0..).zip(&mut numa.cells) {
            cell.id.get_or_insert(at);
        }
        numa.cells.sort_by_key(|cell| cell.id);
    }
    for cell in def.cpu.iter_mut().flat_map(|cpu| &mut cpu.numa).flat_map(|numa| &mut numa.cells) {
        if let Some(memory) = cell.memory {
            cell.memory = Some(Size::scale(memory, cell.unit.as_deref())?.kib());
            cell.unit = Some(String::from("KiB"));
        }
    }
    let pages = def.memory_backing.iter_mut().flat_map(|backing| &mut backing.hugepages);
    for page in pages.flat_map(|hugepages| &mut hugepages.pages) {
        if let Some(size) = page.size {
            let bytes = scale(size, page.unit.as_deref(), 1024)?;
            page.size = Some(bytes.div_ceil(1024));
            page.unit = Some(String::from("KiB"));
        }
    }
    let given = def.memory.as_ref().map_or(0, |memory| memory.size.kib());
    let cells = if given == 0 || origin == Origin::New { numa_memory(def) } else { 0 };
    let plugged: u64 = devices(def).map_or(0, |devices| {
        let sizes = devices.memories.iter().filter_map(|memory| memory.target.as_ref()?.size);
        sizes.map(Size::kib).sum()
    });
    let total = if cells > 0 { cells.saturating_add(plugged) } else { given };
    if plugged > total {
        return Err(DomainError::Xml(String::from(
            "Total size of memory devices exceeds the total memory size",
        )));
    }
    if total == plugged {
        return Err(DomainError::Xml(String::from(
            "Memory size must be specified via <memory> or in the <numa> configuration",
        )));
    }
    def.memory.get_or_insert_default().size = Size::from_kib(total);
    let current = def.current_memory.map_or(0, Size::kib);
    if current == 0 || current > total {
        def.current_memory = Some(Size::from_kib(total));
    }
    Ok(())
}

/// Memory of all cells in KiB.
pub(super) fn numa_memory(def: &DomainDef) -> u64 {
    let numa = def.cpu.as_ref().and_then(|cpu| cpu.numa.as_ref());
    numa.map_or(0, |numa| numa.cells.iter().filter_map(|cell| cell.memory).sum())
}

const fn devices(def: &DomainDef) -> Option<&Devices> {
    def.devices.as_ref()
}

fn complete_vcpus(def: &mut DomainDef) -> Result<(), DomainError> {
    let vcpu = def.vcpu.get_or_insert_with(VcpuCount::default);
    let count = *vcpu.count.get_or_insert(1);
    if vcpu.current.is_some_and(|current| current > count) {
        return Err(DomainError::Unsupported(String::from(
            "maximum vCPU count must not be less than current vCPU count",
        )));
    }
    if vcpu.current == Some(count) {
        vcpu.current = None;
    }
    if vcpu.placement.is_none() {
        vcpu.placement = Some(Placement::Static);
    }
    if vcpu.placement == Some(Placement::Auto) {
        vcpu.cpuset = None;
    }
    Ok(())
}

/// libvirt 11.3.0: `virDomainDefBootPostParse`, src/conf/domain_postparse.c
fn complete_boot(def: &mut DomainDef) -> Result<(), DomainError> {
    let by_device = def.devices.as_ref().is_some_and(boots_by_device);
    let os = def.os.get_or_insert_default();
    if by_device && !os.boot.is_empty() {
        return Err(DomainError::Unsupported(String::from(
            "per-device boot elements cannot be used together with os/boot elements",
        )));
    }
    if let Some(menu) = &mut os.boot_menu
        && menu.enable != Some(YesNo::Yes)
    {
        menu.timeout = None;
    }
    let kind = os.kind.as_ref().and_then(|kind| kind.kind);
    if kind == Some(OsType::Hvm) && os.boot.is_empty() && !by_device {
        os.boot.push(Boot { device: Some(BootDevice::Disk), ..Boot::default() });
    }
    Ok(())
}

fn boots_by_device(devices: &Devices) -> bool {
    let disks = devices.disks.iter().map(|disk| &disk.info);
    let interfaces = devices.interfaces.iter().map(|interface| &interface.info);
    let hostdevs = devices.hostdevs.iter().map(|hostdev| &hostdev.info);
    let redirdevs = devices.redirdevs.iter().map(|redirdev| &redirdev.info);
    let filesystems = devices.filesystems.iter().map(|filesystem| &filesystem.info);
    disks
        .chain(interfaces)
        .chain(hostdevs)
        .chain(redirdevs)
        .chain(filesystems)
        .any(|info| info.boot.as_ref().is_some_and(|boot| boot.order.is_some()))
}
