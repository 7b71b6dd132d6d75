//! Figures of virtual processors, and where they may run.
//!
//! libvirt 11.3.0: `qemuDomainHelperGetVcpus`, `qemuDomainGetStatsVcpu`, src/qemu/qemu_driver.c

use std::collections::BTreeMap;

use oxivirt::{
    DomainVcpu, DomainVcpuFlags as Flags, Error, ErrorCode, ErrorDomain, Result, TypedParam,
};
use oxivirt_conf::domain::DomainDef;

use super::params::Params;
use super::proc;
use crate::driver::check_flags;
use crate::error;
use crate::host::ranges;
use crate::lifecycle::cgroup;
use crate::metadata::affected;
use crate::registry::View;
use crate::shared::Shared;

/// A virtual processor that runs (`virVcpuState`).
const RUNNING: i32 = 1;

/// Threads of the virtual processors of a running guest, by number, as its status file has them.
pub(crate) fn threads(view: &View) -> BTreeMap<u32, i32> {
    let Some(running) = &view.running else { return BTreeMap::new() };
    let list = running.base.elements.iter().filter(|element| element.name == "vcpus");
    let threads = list.flat_map(|list| list.children("vcpu")).filter_map(|vcpu| {
        Some((vcpu.attribute("id")?.parse().ok()?, vcpu.attribute("pid")?.parse().ok()?))
    });
    threads.collect()
}

/// The process of a running guest.
fn pid(view: &View) -> Option<i32> {
    Some(view.running.as_ref()?.live.process()?.pid())
}

/// A set of processors as a map of `n` of them.
fn map(set: &str, n: usize) -> Vec<bool> {
    let mut map = vec![false; n];
    for number in ranges(set) {
        if let Some(bit) = usize::try_from(number).ok().and_then(|at| map.get_mut(at)) {
            *bit = true;
        }
    }
    map
}

/// Where a virtual processor may run: its own set, that of all, or everywhere.
pub(super) fn vcpu_pin(def: &DomainDef, vcpu: u32, n: usize) -> Vec<bool> {
    let pins = def.cputune.as_ref().map_or(&[][..], |tune| &tune.vcpu_pins);
    let own = pins.iter().find(|pin| pin.vcpu == Some(vcpu)).and_then(|pin| pin.cpuset.as_deref());
    own.or_else(|| common_set(def)).map_or_else(|| vec![true; n], |set| map(set, n))
}

/// Where the emulator's other threads may run.
pub(super) fn emulator_pin(def: &DomainDef, n: usize) -> Vec<bool> {
    let pin = def.cputune.as_ref().and_then(|tune| tune.emulator_pin.as_ref()?.cpuset.as_deref());
    pin.or_else(|| common_set(def)).map_or_else(|| vec![true; n], |set| map(set, n))
}

/// Where a thread for disks may run.
pub(super) fn io_thread_pin(def: &DomainDef, thread: u32, n: usize) -> Vec<bool> {
    let pins = def.cputune.as_ref().map_or(&[][..], |tune| &tune.iothread_pins);
    let pin = pins.iter().find(|pin| pin.iothread == Some(thread));
    let own = pin.and_then(|pin| pin.cpuset.as_deref());
    own.or_else(|| common_set(def)).map_or_else(|| vec![true; n], |set| map(set, n))
}

fn common_set(def: &DomainDef) -> Option<&str> {
    def.vcpu.as_ref()?.cpuset.as_deref()
}

/// The virtual processors of a running guest on a host with `n` processors.
pub(super) fn vcpus(view: &View, n: usize) -> Result<Vec<DomainVcpu>> {
    let pid = pid(view)
        .ok_or_else(|| error::invalid("cannot retrieve vcpu information for inactive domain"))?;
    let vcpu = |(number, tid): (u32, i32)| {
        let usage = proc::thread(pid, tid).unwrap_or_default();
        let affinity = proc::affinity(tid, n);
        DomainVcpu {
            number,
            state: RUNNING,
            cpu_time_ns: usage.cpu_ns(),
            cpu: usage.cpu,
            affinity: affinity.unwrap_or_else(|| vcpu_pin(view.def.def(), number, n)),
        }
    };
    Ok(threads(view).into_iter().map(vcpu).collect())
}

/// The group `vcpu`.
pub(super) fn group(view: &View, to: &mut Params) {
    to.uint("vcpu.current", view.def.vcpus());
    to.uint("vcpu.maximum", view.def.max_vcpus());
    let Some(pid) = pid(view) else { return };
    for (number, tid) in threads(view) {
        let usage = proc::thread(pid, tid).unwrap_or_default();
        let (delay, wait) = proc::delays(pid, tid);
        to.int(format!("vcpu.{number}.state"), RUNNING);
        to.ulong(format!("vcpu.{number}.time"), usage.cpu_ns());
        to.ulong(format!("vcpu.{number}.wait"), wait);
        to.ulong(format!("vcpu.{number}.delay"), delay);
    }
}

/// How many virtual processors a guest has or may have.
pub(super) fn count(view: &View, flags: Flags) -> Result<u32> {
    let known = Flags::LIVE | Flags::CONFIG | Flags::MAXIMUM | Flags::GUEST;
    check_flags(flags.bits(), known.bits(), "qemuDomainGetVcpusFlags")?;
    let affect = oxivirt::DomainAffectFlags::from_bits_retain(flags.bits() & 0b11);
    exclusive(affect.bits(), "qemuDomainGetVcpusFlags")?;
    let is_config = affected(view, affect)?.contains(oxivirt::DomainAffectFlags::CONFIG);
    let guest = if is_config { view.persistent_def() } else { &view.def };
    Ok(if flags.contains(Flags::MAXIMUM) { guest.max_vcpus() } else { guest.vcpus() })
}

/// Refuses the running domain and the stored definition together, where one is read.
pub(crate) fn exclusive(flags: u32, function: &str) -> Result<()> {
    if flags & 0b11 != 0b11 {
        return Ok(());
    }
    let detail = format!(
        "flags 'VIR_DOMAIN_AFFECT_LIVE' and 'VIR_DOMAIN_AFFECT_CONFIG' in function '{function}' \
         are mutually exclusive"
    );
    Err(Error::new(ErrorCode::INVALID_ARG, ErrorDomain::QEMU, detail))
}

impl Shared {
    /// CPU time of all threads of a guest: whole, in programs, in the kernel, in nanoseconds.
    fn cpu_times(&self, view: &View) -> Option<[u64; 3]> {
        let running = view.running.as_ref()?;
        let group = self.host.hierarchies.group(&cgroup(running.live.id(), view.def.name()));
        let of_group = group.cpu_times().map(|times| {
            [times.total, times.user, times.system]
                .map(|time| u64::try_from(time.as_nanos()).unwrap_or(u64::MAX))
        });
        of_group.or_else(|| {
            let usage = proc::process(running.live.process()?.pid())?;
            Some([usage.cpu_ns(), usage.user_ns, usage.system_ns])
        })
    }

    /// The group `cpu`.
    pub(super) fn cpu_group(&self, view: &View, to: &mut Params) {
        if let Some([total, user, system]) = self.cpu_times(view) {
            to.ulong("cpu.time", total);
            to.ulong("cpu.user", user);
            to.ulong("cpu.system", system);
        }
        // Guests with monitors of caches do not start.
        to.uint("cpu.cache.monitor.count", 0);
        if let Some(pid) = pid(view) {
            let [success, failure] = proc::halt_polls(pid);
            to.ulong("cpu.haltpoll.success.time", success);
            to.ulong("cpu.haltpoll.fail.time", failure);
        }
    }

    /// CPU time of a running guest.
    pub(super) fn cpu_total(&self, view: &View) -> Result<Vec<TypedParam>> {
        let [total, user, system] = self.cpu_times(view).ok_or_else(no_accounting)?;
        let mut params = Params::default();
        params.ulong("cpu_time", total);
        params.ulong("user_time", user);
        params.ulong("system_time", system);
        Ok(params.finish())
    }

    /// CPU time of a running guest on each processor of the host.
    pub(super) fn cpu_each(&self, view: &View) -> Result<Vec<Vec<TypedParam>>> {
        let running = view.running.as_ref().ok_or_else(error::not_running)?;
        let group = self.host.hierarchies.group(&cgroup(running.live.id(), view.def.name()));
        let all = group.cpu_time_of_each().ok_or_else(no_accounting)?;
        let mut of_vcpus = vec![0_u64; all.len()];
        for number in threads(view).keys() {
            let own = group.child(&format!("vcpu{number}")).cpu_time_of_each();
            for (sum, time) in of_vcpus.iter_mut().zip(own.unwrap_or_default()) {
                *sum = sum.saturating_add(u64::try_from(time.as_nanos()).unwrap_or(u64::MAX));
            }
        }
        let params = all.iter().zip(of_vcpus).map(|(time, of_vcpus)| {
            let mut params = Params::default();
            params.ulong("cpu_time", u64::try_from(time.as_nanos()).unwrap_or(u64::MAX));
            params.ulong("vcpu_time", of_vcpus);
            params.finish()
        });
        Ok(params.collect())
    }
}

fn no_accounting() -> Error {
    error::invalid("cgroup CPUACCT controller is not mounted")
}
