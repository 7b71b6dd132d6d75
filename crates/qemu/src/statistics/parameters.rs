//! Sets of parameters: of the control groups of a running guest, or of its stored definition.
//!
//! libvirt 11.3.0: `qemuDomainGetSchedulerParametersFlags` and its like, src/qemu/qemu_driver.c

use oxivirt::{
    DomainAffectFlags as Affect, DomainParameters as Set, Error, ErrorCode, ErrorDomain, Result,
    TypedParam,
};
use oxivirt_cgroup::Group;
use oxivirt_conf::bandwidth::{Bandwidth, Rate};
use oxivirt_conf::domain::DomainDef;
use oxivirt_conf::domain::device::disk::IoTune;

use super::params::Params;
use super::{block, interface, processor};
use crate::driver::check_flags;
use crate::error;
use crate::lifecycle::cgroup;
use crate::metadata::affected;
use crate::registry::View;
use crate::shared::Shared;

/// A limit of memory that is none, in KiB (`VIR_DOMAIN_MEMORY_PARAM_UNLIMITED`).
const UNLIMITED: u64 = 9_007_199_254_740_991;
/// What a period is unless it is set, in microseconds.
const PERIOD: u64 = 100_000;

impl Shared {
    pub(super) fn parameters(
        &self,
        view: &View,
        set: &Set,
        flags: Affect,
    ) -> Result<Vec<TypedParam>> {
        let function = function(set);
        check_flags(flags.bits(), 0b11, function)?;
        processor::exclusive(flags.bits(), function)?;
        let is_config = affected(view, flags)?.contains(Affect::CONFIG);
        let def = if is_config { view.persistent_def() } else { &view.def };
        let group = view.running.as_ref().filter(|_| !is_config).map(|running| {
            self.host.hierarchies.group(&cgroup(running.live.id(), view.def.name()))
        });
        let mut params = Params::default();
        match set {
            Set::Scheduler => scheduler(def, group.as_ref(), &mut params)?,
            Set::Memory => memory(def, group.as_ref(), &mut params)?,
            Set::Blkio => blkio(def, group.as_ref(), &mut params)?,
            Set::Numa => numa(def, &mut params),
            Set::Interface(device) => {
                let bandwidth = interface(def, device)?.bandwidth.clone();
                rates(&bandwidth.unwrap_or_default(), &mut params);
            }
            Set::BlockIoTune(name) => {
                let disk = match name.as_str() {
                    // How many there are is asked without a disk.
                    "" => None,
                    name => Some(block::find(def, name).ok_or_else(|| not_in_definition(name))?),
                };
                io_tune(disk.and_then(|disk| disk.iotune.as_ref()), &mut params);
            }
        }
        Ok(params.finish())
    }
}

fn function(set: &Set) -> &'static str {
    match set {
        Set::Scheduler => "qemuDomainGetSchedulerParametersFlags",
        Set::Memory => "qemuDomainGetMemoryParameters",
        Set::Blkio => "qemuDomainGetBlkioParameters",
        Set::Numa => "qemuDomainGetNumaParameters",
        Set::Interface(_) => "qemuDomainGetInterfaceParameters",
        Set::BlockIoTune(_) => "qemuDomainGetBlockIoTune",
    }
}

fn not_mounted(controller: &str) -> Error {
    error::invalid(format!("cgroup {controller} controller is not mounted"))
}

fn not_in_definition(disk: &str) -> Error {
    let detail = format!("disk '{disk}' was not found in the domain config");
    Error::new(ErrorCode::INVALID_ARG, ErrorDomain::QEMU, detail)
}

/// Period and quota of a group, in microseconds; a quota that is none is -1.
fn shares_of_time(group: &Group) -> Option<(u64, i64)> {
    if let Some(text) = group.value("cpu", "cpu.cfs_period_us", "cpu.max") {
        let mut words = text.split_whitespace();
        let (first, second) = (words.next()?, words.next());
        if let Some(period) = second {
            return Some((period.parse().ok()?, first.parse().unwrap_or(-1)));
        }
        let quota = group.value("cpu", "cpu.cfs_quota_us", "cpu.max")?;
        return Some((first.parse().ok()?, quota.trim().parse().ok()?));
    }
    None
}

fn scheduler(def: &DomainDef, group: Option<&Group>, to: &mut Params) -> Result<()> {
    let tune = def.cputune.clone().unwrap_or_default();
    let is_running = group.is_some();
    let of = |group: Option<&Group>, period: Option<u64>, quota: Option<i64>| {
        // A stored definition has 0 for what it does not say, a running guest the kernel's defaults.
        let (no_period, no_quota) = if is_running { (PERIOD, -1) } else { (0, 0) };
        let stored = (period.unwrap_or(no_period), quota.unwrap_or(no_quota));
        group.and_then(shares_of_time).unwrap_or(stored)
    };
    let shares = match group {
        Some(group) => {
            let shares = group.value("cpu", "cpu.shares", "cpu.weight");
            let shares = shares.and_then(|text| text.trim().parse().ok());
            shares.ok_or_else(|| not_mounted("CPU"))?
        }
        None => tune.shares.unwrap_or(0),
    };
    to.ulong("cpu_shares", shares);
    let child = |name: &str| group.map(|group| group.child(name));
    let (vcpu, emulator) = (child("vcpu0"), child("emulator"));
    for (name, (period, quota)) in [
        ("vcpu", of(vcpu.as_ref(), tune.period, tune.quota)),
        ("emulator", of(emulator.as_ref(), tune.emulator_period, tune.emulator_quota)),
        ("global", of(group, tune.global_period, tune.global_quota)),
        ("iothread", of(None, tune.iothread_period, tune.iothread_quota)),
    ] {
        to.ulong(format!("{name}_period"), period);
        to.long(format!("{name}_quota"), quota);
    }
    Ok(())
}

fn memory(def: &DomainDef, group: Option<&Group>, to: &mut Params) -> Result<()> {
    let tune = def.memtune.clone().unwrap_or_default();
    let files = [
        ("hard_limit", "memory.limit_in_bytes", "memory.max", tune.hard_limit),
        ("soft_limit", "memory.soft_limit_in_bytes", "memory.high", tune.soft_limit),
        ("swap_hard_limit", "memory.memsw.limit_in_bytes", "memory.swap.max", tune.swap_hard_limit),
    ];
    for (name, v1, v2, stored) in files {
        let kib = match group {
            Some(group) => match group.value("memory", v1, v2) {
                Some(text) => text.trim().parse().map_or(UNLIMITED, limit_kib),
                // A kernel may count without swap.
                None if name == "swap_hard_limit" => UNLIMITED,
                None => return Err(not_mounted("memory")),
            },
            None => stored.map_or(UNLIMITED, |size| size.kib()),
        };
        to.ulong(name, kib.min(UNLIMITED));
    }
    Ok(())
}

/// Version 1 has the largest signed number, rounded down to a page, for no limit.
fn limit_kib(bytes: u64) -> u64 {
    const LARGEST_PAGE: u64 = 65536;
    match bytes >= i64::MAX.unsigned_abs() / LARGEST_PAGE * LARGEST_PAGE {
        true => UNLIMITED,
        false => bytes / 1024,
    }
}

fn blkio(def: &DomainDef, group: Option<&Group>, to: &mut Params) -> Result<()> {
    let tune = def.blkiotune.clone().unwrap_or_default();
    let weight = match group {
        Some(group) => {
            let files = [("blkio.weight", "io.weight"), ("blkio.bfq.weight", "io.bfq.weight")];
            let found = files.iter().find_map(|(v1, v2)| group.value("blkio", v1, v2));
            let text = found.ok_or_else(|| not_mounted("BLKIO"))?;
            let number = text.lines().find_map(|line| line.split_whitespace().last()?.parse().ok());
            number.unwrap_or(0)
        }
        None => tune.weight.unwrap_or(0),
    };
    to.uint("weight", weight);
    for name in [
        "device_weight",
        "device_read_iops_sec",
        "device_write_iops_sec",
        "device_read_bytes_sec",
        "device_write_bytes_sec",
    ] {
        let values = tune.devices.iter().filter_map(|device| {
            let value = match name {
                "device_weight" => device.weight.map(u64::from),
                "device_read_iops_sec" => device.read_iops_sec.map(u64::from),
                "device_write_iops_sec" => device.write_iops_sec.map(u64::from),
                "device_read_bytes_sec" => device.read_bytes_sec,
                _ => device.write_bytes_sec,
            };
            let value = value.filter(|value| *value > 0)?;
            Some(format!("{},{value}", device.path.as_deref().unwrap_or_default()))
        });
        to.text(name, values.collect::<Vec<_>>().join(","));
    }
    Ok(())
}

fn numa(def: &DomainDef, to: &mut Params) {
    let memory = def.numatune.as_ref().and_then(|tune| tune.memory.as_ref());
    let mode = memory.and_then(|memory| memory.mode).map_or("strict", |mode| mode.as_str());
    let modes = ["strict", "preferred", "interleave", "restrictive"];
    let mode = modes.iter().position(|word| *word == mode).unwrap_or(0);
    to.int("numa_mode", i32::try_from(mode).unwrap_or_default());
    let nodeset = memory.and_then(|memory| memory.nodeset.clone());
    to.text("numa_nodeset", nodeset.unwrap_or_default());
}

fn rates(bandwidth: &Bandwidth, to: &mut Params) {
    let number = |value: u64| u32::try_from(value).unwrap_or(u32::MAX);
    for (name, rate) in [("inbound", bandwidth.inbound), ("outbound", bandwidth.outbound)] {
        let Rate { average, peak, burst, floor } = rate.unwrap_or_default();
        to.uint(format!("{name}.average"), number(average));
        to.uint(format!("{name}.peak"), number(peak));
        to.uint(format!("{name}.burst"), number(burst));
        if name == "inbound" {
            to.uint("inbound.floor", number(floor));
        }
    }
}

fn io_tune(tune: Option<&IoTune>, to: &mut Params) {
    let tune = tune.cloned().unwrap_or_default();
    for (name, value) in [
        ("total_bytes_sec", tune.total_bytes_sec),
        ("read_bytes_sec", tune.read_bytes_sec),
        ("write_bytes_sec", tune.write_bytes_sec),
        ("total_iops_sec", tune.total_iops_sec),
        ("read_iops_sec", tune.read_iops_sec),
        ("write_iops_sec", tune.write_iops_sec),
        ("total_bytes_sec_max", tune.total_bytes_sec_max),
        ("read_bytes_sec_max", tune.read_bytes_sec_max),
        ("write_bytes_sec_max", tune.write_bytes_sec_max),
        ("total_iops_sec_max", tune.total_iops_sec_max),
        ("read_iops_sec_max", tune.read_iops_sec_max),
        ("write_iops_sec_max", tune.write_iops_sec_max),
        ("size_iops_sec", tune.size_iops_sec),
    ] {
        to.ulong(name, value.unwrap_or(0));
    }
    to.text("group_name", tune.group_name.unwrap_or_default());
    for (name, value) in [
        ("total_bytes_sec_max_length", tune.total_bytes_sec_max_length),
        ("read_bytes_sec_max_length", tune.read_bytes_sec_max_length),
        ("write_bytes_sec_max_length", tune.write_bytes_sec_max_length),
        ("total_iops_sec_max_length", tune.total_iops_sec_max_length),
        ("read_iops_sec_max_length", tune.read_iops_sec_max_length),
        ("write_iops_sec_max_length", tune.write_iops_sec_max_length),
    ] {
        to.ulong(name, value.unwrap_or(0));
    }
}

#[cfg(test)]
mod tests {
    use oxivirt::TypedValue;

    use super::*;

    #[track_caller]
    fn value(params: &[TypedParam], field: &str) -> TypedValue {
        params.iter().find(|param| param.field == field).unwrap().value.clone()
    }

    #[test]
    fn a_stored_definition_has_values_for_what_it_does_not_say() {
        let xml = "<domain type='qemu'><name>a</name><memory>1</memory><memtune>\
            <hard_limit unit='KiB'>77</hard_limit></memtune><cputune><quota>50</quota></cputune>\
            <os><type>hvm</type></os></domain>";
        let def = DomainDef::parse(xml).unwrap();
        let mut params = Params::default();
        scheduler(&def, None, &mut params).unwrap();
        let params = params.finish();
        assert_eq!(params.len(), 9);
        assert_eq!(value(&params, "vcpu_period"), TypedValue::ULLong(0));
        assert_eq!(value(&params, "global_quota"), TypedValue::LLong(0));
        assert_eq!(value(&params, "vcpu_quota"), TypedValue::LLong(50));
        let mut params = Params::default();
        memory(&def, None, &mut params).unwrap();
        let params = params.finish();
        assert_eq!(value(&params, "hard_limit"), TypedValue::ULLong(77));
        assert_eq!(value(&params, "soft_limit"), TypedValue::ULLong(UNLIMITED));
        let mut params = Params::default();
        io_tune(None, &mut params);
        assert_eq!(params.finish().len(), 20);
    }
}
