//! Figures of many guests at once.
//!
//! An emulator that does not answer within [`ANSWER`] leaves its figures out and delays no other one's.
//!
//! libvirt 11.3.0: `qemuDomainGetStatsWorkers`, src/qemu/qemu_driver.c

use std::sync::Arc;
use std::time::Duration;

use oxivirt::{
    DomainRef, DomainStatsFlags as Flags, DomainStatsGroups as Groups, DomainStatsRecord, Error,
    ErrorCode, ErrorDomain, Result,
};
use oxivirt_qmp::command::{IothreadInfo, QueryDirtyRate, QueryIothreads};
use oxivirt_types::domain::DomainListFlags;

use super::block::{self, Answers, Backing};
use super::params::Params;
use super::{memory, proc, processor};
use crate::driver::check_flags;
use crate::registry::View;
use crate::shared::Shared;

/// How long an emulator may take.
const ANSWER: Duration = Duration::from_secs(2);
/// Which guests are meant.
const FILTER: u32 = 0xff;

impl Shared {
    pub(super) async fn all_stats(
        &self,
        domains: Option<&[DomainRef]>,
        groups: Groups,
        flags: Flags,
    ) -> Result<Vec<DomainStatsRecord>> {
        let options = Flags::NOWAIT | Flags::BACKING | Flags::ENFORCE_STATS;
        let known = FILTER | options.bits();
        check_flags(flags.bits(), known, "qemuConnectGetAllDomainStats")?;
        let known = Groups::from_bits_retain((1 << 11) - 1);
        if flags.contains(Flags::ENFORCE_STATS) && !known.contains(groups) {
            let bits = (groups - known).bits();
            let detail = format!("Stats types bits 0x{bits:x} are not supported by this daemon");
            return Err(Error::new(ErrorCode::ARGUMENT_UNSUPPORTED, ErrorDomain::QEMU, detail));
        }
        let groups = if groups.is_empty() { known } else { groups & known };
        let entries = match domains {
            Some(domains) => {
                domains.iter().filter_map(|domain| self.guests.get(domain.uuid)).collect()
            }
            None => self.guests.all(),
        };
        let filter = DomainListFlags::from_bits_retain(flags.bits() & FILTER);
        let views = entries.iter().map(|entry| entry.view());
        let views: Vec<Arc<View>> =
            views.filter(|view| view.matches(filter, |_| Default::default())).collect();
        let backing = if flags.contains(Flags::BACKING) { Backing::Shown } else { Backing::Hidden };
        let records = views.iter().map(|view| self.stats(view, groups, backing));
        Ok(futures::future::join_all(records).await)
    }

    async fn stats(&self, view: &View, groups: Groups, backing: Backing) -> DomainStatsRecord {
        let answers = Asked::ask(view, groups).await;
        let mut params = Params::default();
        let is_active = view.is_active();
        if groups.contains(Groups::STATE) {
            let status = view.status();
            params.int("state.state", status.state.number());
            params.int("state.reason", status.reason);
        }
        if groups.contains(Groups::CPU_TOTAL) && is_active {
            self.cpu_group(view, &mut params);
        }
        if groups.contains(Groups::BALLOON) {
            params.ulong("balloon.current", memory::current_kib(view));
            params.ulong("balloon.maximum", view.def.max_memory_kib());
            memory::group(&answers.memory, &mut params);
        }
        if groups.contains(Groups::VCPU) {
            processor::group(view, &mut params);
        }
        if groups.contains(Groups::INTERFACE) && is_active {
            interfaces(view, &mut params);
        }
        if groups.contains(Groups::BLOCK) {
            let known = answers.disks.as_ref();
            if known.is_some() || !is_active {
                block::group(view.def.def(), known, backing, &mut params);
            }
        }
        if groups.contains(Groups::IOTHREAD) {
            threads(&answers.threads, &mut params);
        }
        answers.dirty_rate(&mut params);
        DomainStatsRecord { domain: view.reference(), params: params.finish() }
    }
}

/// What an emulator has answered; what it has not is empty.
#[derive(Debug, Default)]
struct Asked {
    disks: Option<Answers>,
    memory: Vec<oxivirt::DomainMemoryStat>,
    threads: Vec<IothreadInfo>,
    dirty_rate: Option<oxivirt_qmp::command::DirtyRate>,
}

impl Asked {
    async fn ask(view: &View, groups: Groups) -> Self {
        let Some(running) = &view.running else { return Self::default() };
        let monitor = running
            .live
            .monitor()
            .filter(|monitor| !monitor.is_unresponsive() && monitor.close_reason().is_none());
        let memory = async {
            let monitor = monitor.filter(|_| groups.contains(Groups::BALLOON))?;
            Some(memory::ask(view, monitor, ANSWER).await)
        };
        let disks = async {
            let monitor = monitor.filter(|_| groups.contains(Groups::BLOCK))?;
            Answers::ask(monitor, ANSWER).await.ok()
        };
        let threads = async {
            let monitor = monitor.filter(|_| groups.contains(Groups::IOTHREAD))?;
            monitor.run_within(&QueryIothreads {}, ANSWER).await.ok()
        };
        let dirty_rate = async {
            let monitor = monitor.filter(|_| groups.contains(Groups::DIRTYRATE))?;
            monitor.run_within(&QueryDirtyRate {}, ANSWER).await.ok()
        };
        let (memory, disks, threads, dirty_rate) =
            futures::join!(memory, disks, threads, dirty_rate);
        Self {
            disks,
            memory: memory.unwrap_or_default(),
            threads: threads.unwrap_or_default(),
            dirty_rate,
        }
    }

    fn dirty_rate(&self, to: &mut Params) {
        let Some(rate) = &self.dirty_rate else { return };
        let status = ["unstarted", "measuring", "measured"];
        let status = status.iter().position(|word| *word == rate.status).unwrap_or(0);
        to.int("dirtyrate.calc_status", i32::try_from(status).unwrap_or_default());
        to.long("dirtyrate.calc_start_time", rate.start_time);
        to.int("dirtyrate.calc_period", i32::try_from(rate.calc_time).unwrap_or(i32::MAX));
        if let Some(mode) = &rate.mode {
            to.text("dirtyrate.calc_mode", mode);
        }
        if let Some(rate) = rate.dirty_rate {
            to.long("dirtyrate.megabytes_per_second", rate);
        }
    }
}

fn interfaces(view: &View, to: &mut Params) {
    let interfaces: Vec<_> =
        view.def.devices.iter().flat_map(|devices| &devices.interfaces).collect();
    to.count("net.count", interfaces.len());
    for (number, interface) in interfaces.into_iter().enumerate() {
        let Some(link) = interface.target.as_ref().and_then(|target| target.dev.as_deref()) else {
            continue;
        };
        to.text(format!("net.{number}.name"), link);
        let Some(stats) = proc::traffic(link) else { continue };
        for (direction, traffic) in [("rx", stats.rx), ("tx", stats.tx)] {
            for (field, value) in [
                ("bytes", traffic.bytes),
                ("pkts", traffic.packets),
                ("errs", traffic.errors),
                ("drop", traffic.drops),
            ] {
                if let Some(value) = value {
                    to.ulong(format!("net.{number}.{direction}.{field}"), value);
                }
            }
        }
    }
}

fn threads(threads: &[IothreadInfo], to: &mut Params) {
    if threads.is_empty() {
        return;
    }
    to.count("iothread.count", threads.len());
    for thread in threads {
        let Some(id) = thread.id.strip_prefix("iothread") else { continue };
        let value = |n: i64| u32::try_from(n).unwrap_or_default();
        let longest = u64::try_from(thread.poll_max_ns).unwrap_or_default();
        to.ulong(format!("iothread.{id}.poll-max-ns"), longest);
        to.uint(format!("iothread.{id}.poll-grow"), value(thread.poll_grow));
        to.uint(format!("iothread.{id}.poll-shrink"), value(thread.poll_shrink));
    }
}
