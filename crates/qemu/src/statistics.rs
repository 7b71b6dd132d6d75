//! Figures of guests. Nothing here waits for another operation: the emulator answers questions beside them.

mod block;
mod bulk;
mod memory;
mod parameters;
mod params;
mod proc;
mod processor;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use oxivirt::{
    DomainAffectFlags, DomainBlockInfo, DomainControlInfo, DomainDiskError, DomainInterfaceStats,
    DomainIoThread, DomainMemoryStat, DomainParameters, DomainRef, DomainStatsDriver,
    DomainStatsFlags, DomainStatsGroups, DomainStatsRecord, DomainVcpu, DomainVcpuFlags, Error,
    ErrorCode, ErrorDomain, HostDriver as _, Result, TypedParam,
};
use oxivirt_conf::domain::DomainDef;
use oxivirt_conf::domain::device::interface::Interface;
use oxivirt_qmp::Monitor;
use oxivirt_qmp::command::QueryIothreads;
use oxivirt_types::mac::MacAddr;

use crate::driver::{Driver, check_flags};
use crate::error;
use crate::metadata::affected;
use crate::registry::View;

pub(crate) use memory::{balloon, balloon_path};
pub(crate) use processor::threads;

use processor::exclusive;

/// How long an emulator may take to answer a question of a client.
const ANSWER: Duration = Duration::from_secs(30);
/// The emulator does not answer, or is not connected (`virDomainControlState`).
const CONTROL_OCCUPIED: u32 = 2;
const CONTROL_ERROR: u32 = 3;
/// The connection to the emulator has ended (`virDomainControlErrorReason`).
const CONTROL_MONITOR: u32 = 2;

/// The monitor of a guest that runs.
fn monitor(view: &View) -> Result<Monitor> {
    let running = view.running.as_ref().ok_or_else(error::not_running)?;
    running.live.monitor().cloned().ok_or_else(|| {
        let detail = "cannot reach the monitor of the domain";
        Error::new(ErrorCode::OPERATION_FAILED, ErrorDomain::QEMU, detail)
    })
}

/// The interface of this link or MAC address.
///
/// libvirt 11.3.0: `virDomainNetFind`, src/conf/domain_conf.c
pub(crate) fn interface<'d>(def: &'d DomainDef, device: &str) -> Result<&'d Interface> {
    let mac: Option<MacAddr> = device.parse().ok();
    let mut all = def.devices.iter().flat_map(|devices| &devices.interfaces);
    let found = all.find(|interface| match mac {
        Some(mac) => interface.mac.as_ref().and_then(|own| own.address) == Some(mac),
        None => interface.target.as_ref().and_then(|own| own.dev.as_deref()) == Some(device),
    });
    found.ok_or_else(|| {
        let detail = format!("'{device}' is not a known interface");
        Error::new(ErrorCode::INVALID_ARG, ErrorDomain::DOMAIN, detail)
    })
}

impl Driver {
    fn view(&self, domain: &DomainRef) -> Result<Arc<View>> {
        Ok(self.shared.entry(domain)?.view())
    }

    /// Number of the host's processors.
    pub(crate) async fn n_cpus(&self) -> usize {
        self.shared.node.cpu_map().await.map_or(0, |map| map.online.len())
    }

    /// The guest as it runs, or its stored definition, as `flags` say.
    fn chosen(view: &View, flags: DomainAffectFlags, function: &str) -> Result<DomainDef> {
        check_flags(flags.bits(), 0b11, function)?;
        exclusive(flags.bits(), function)?;
        let is_config = affected(view, flags)?.contains(DomainAffectFlags::CONFIG);
        Ok(if is_config { view.persistent_def() } else { &view.def }.def().clone())
    }
}

#[async_trait]
impl DomainStatsDriver for Driver {
    async fn all_domain_stats(
        &self,
        domains: Option<&[DomainRef]>,
        groups: DomainStatsGroups,
        flags: DomainStatsFlags,
    ) -> Result<Vec<DomainStatsRecord>> {
        self.shared.all_stats(domains, groups, flags).await
    }

    async fn domain_block_stats(&self, domain: &DomainRef, disk: &str) -> Result<Vec<TypedParam>> {
        let view = self.view(domain)?;
        let answers = block::Answers::ask(&monitor(&view)?, ANSWER).await;
        block::counters(view.def.def(), &answers?, disk)
    }

    async fn domain_block_info(
        &self,
        domain: &DomainRef,
        disk: &str,
        flags: u32,
    ) -> Result<DomainBlockInfo> {
        check_flags(flags, 0, "qemuDomainGetBlockInfo")?;
        let view = self.view(domain)?;
        let (disk, source) = block::with_source(view.def.def(), disk)?;
        if view.is_active() {
            let answers = block::Answers::ask(&monitor(&view)?, ANSWER).await?;
            if let Some(sizes) = block::live_sizes(&answers, disk, source) {
                return Ok(sizes);
            }
        }
        block::stored_sizes(disk, source)
    }

    async fn domain_disk_errors(
        &self,
        domain: &DomainRef,
        flags: u32,
    ) -> Result<Vec<DomainDiskError>> {
        check_flags(flags, 0, "qemuDomainGetDiskErrors")?;
        let view = self.view(domain)?;
        let blocks = block::ask_errors(&monitor(&view)?).await?;
        Ok(block::errors(view.def.def(), &blocks))
    }

    async fn domain_n_disks(&self, domain: &DomainRef) -> Result<u32> {
        let view = self.view(domain)?;
        Ok(u32::try_from(block::disks(view.def.def()).len()).unwrap_or(u32::MAX))
    }

    async fn domain_interface_stats(
        &self,
        domain: &DomainRef,
        device: &str,
    ) -> Result<DomainInterfaceStats> {
        let view = self.view(domain)?;
        if !view.is_active() {
            return Err(error::not_running());
        }
        let interface = interface(view.def.def(), device)?;
        let link = interface.target.as_ref().and_then(|target| target.dev.as_deref());
        let link = link.unwrap_or(device);
        proc::traffic(link).ok_or_else(|| {
            let detail = format!("/proc/net/dev: Interface not found '{link}'");
            Error::new(ErrorCode::INTERNAL_ERROR, ErrorDomain::NONE, detail)
        })
    }

    async fn domain_memory_stats(
        &self,
        domain: &DomainRef,
        flags: u32,
    ) -> Result<Vec<DomainMemoryStat>> {
        check_flags(flags, 0, "qemuDomainMemoryStats")?;
        let view = self.view(domain)?;
        Ok(memory::ask(&view, &monitor(&view)?, ANSWER).await)
    }

    async fn domain_vcpus(&self, domain: &DomainRef) -> Result<Vec<DomainVcpu>> {
        processor::vcpus(&*self.view(domain)?, self.n_cpus().await)
    }

    async fn domain_vcpu_count(&self, domain: &DomainRef, flags: DomainVcpuFlags) -> Result<u32> {
        if flags.contains(DomainVcpuFlags::GUEST) {
            return self.shared.guest_vcpu_count(domain, flags).await;
        }
        processor::count(&*self.view(domain)?, flags)
    }

    async fn domain_cpu_total(&self, domain: &DomainRef) -> Result<Vec<TypedParam>> {
        let view = self.view(domain)?;
        if !view.is_active() {
            return Err(error::not_running());
        }
        self.shared.cpu_total(&view)
    }

    async fn domain_cpu_stats(&self, domain: &DomainRef) -> Result<Vec<Vec<TypedParam>>> {
        self.shared.cpu_each(&*self.view(domain)?)
    }

    async fn domain_io_threads(
        &self,
        domain: &DomainRef,
        flags: DomainAffectFlags,
    ) -> Result<Vec<DomainIoThread>> {
        let (view, n) = (self.view(domain)?, self.n_cpus().await);
        let def = Self::chosen(&view, flags, "qemuDomainGetIOThreadInfo")?;
        let is_live = view.is_active() && !flags.contains(DomainAffectFlags::CONFIG);
        if !is_live {
            let ids = def.iothread_ids.as_ref().map_or(&[][..], |ids| &ids.threads);
            let ids = ids.iter().filter_map(|thread| thread.id);
            let thread =
                |id| DomainIoThread { id, affinity: processor::io_thread_pin(&def, id, n) };
            return Ok(ids.map(thread).collect());
        }
        let found = monitor(&view)?.run_within(&QueryIothreads {}, ANSWER).await;
        let found = found.map_err(|error| error::monitor(&error))?.into_iter();
        let threads = found.filter_map(|thread| {
            let id = thread.id.strip_prefix("iothread")?.parse().ok()?;
            let tid = i32::try_from(thread.thread_id).ok();
            let affinity = tid.and_then(|tid| proc::affinity(tid, n));
            let affinity = affinity.unwrap_or_else(|| processor::io_thread_pin(&def, id, n));
            Some(DomainIoThread { id, affinity })
        });
        Ok(threads.collect())
    }

    async fn domain_control_info(
        &self,
        domain: &DomainRef,
        flags: u32,
    ) -> Result<DomainControlInfo> {
        check_flags(flags, 0, "qemuDomainGetControlInfo")?;
        let view = self.view(domain)?;
        let running = view.running.as_ref().ok_or_else(error::not_running)?;
        let (state, details) = match running.live.monitor() {
            Some(monitor) if monitor.close_reason().is_some() => (CONTROL_ERROR, CONTROL_MONITOR),
            Some(monitor) if monitor.is_unresponsive() => (CONTROL_OCCUPIED, 0),
            Some(_) => (0, 0),
            None => (CONTROL_ERROR, CONTROL_MONITOR),
        };
        Ok(DomainControlInfo { state, details, state_time_ms: 0 })
    }

    /// Always none: what taints a guest is not recorded.
    async fn domain_messages(&self, domain: &DomainRef, flags: u32) -> Result<Vec<String>> {
        check_flags(flags, 0b11, "qemuDomainGetMessages")?;
        self.view(domain)?;
        Ok(Vec::new())
    }

    async fn domain_vcpu_pins(
        &self,
        domain: &DomainRef,
        flags: DomainAffectFlags,
    ) -> Result<Vec<Vec<bool>>> {
        let (view, n) = (self.view(domain)?, self.n_cpus().await);
        let def = Self::chosen(&view, flags, "qemuDomainGetVcpuPinInfo")?;
        let count = def.vcpu.as_ref().and_then(|vcpu| vcpu.count).unwrap_or(1);
        Ok((0..count).map(|vcpu| processor::vcpu_pin(&def, vcpu, n)).collect())
    }

    async fn domain_emulator_pin(
        &self,
        domain: &DomainRef,
        flags: DomainAffectFlags,
    ) -> Result<Vec<bool>> {
        let (view, n) = (self.view(domain)?, self.n_cpus().await);
        let def = Self::chosen(&view, flags, "qemuDomainGetEmulatorPinInfo")?;
        Ok(processor::emulator_pin(&def, n))
    }

    async fn domain_parameters(
        &self,
        domain: &DomainRef,
        set: &DomainParameters,
        flags: DomainAffectFlags,
    ) -> Result<Vec<TypedParam>> {
        self.shared.parameters(&*self.view(domain)?, set, flags)
    }
}
