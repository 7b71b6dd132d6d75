//! Calls about the figures of domains.

use async_trait::async_trait;
use oxivirt::{
    DomainAffectFlags, DomainBlockInfo, DomainControlInfo, DomainDiskError, DomainInterfaceStats,
    DomainIoThread, DomainMemoryStat, DomainParameters, DomainRef, DomainStatsDriver,
    DomainStatsFlags, DomainStatsGroups, DomainStatsRecord, DomainVcpu, DomainVcpuFlags, Result,
    TypedParam,
};
use oxivirt_rpc::xdr::{List, Text};

use super::RemoteDriver;
use crate::wire::{
    CPU_STATS_MAX, DISK_ERRORS_MAX, Domain, VCPUS_MAX, api_interface_stats, api_params,
    cpus_of_bits,
};

/// Parameters of type string are taken (`VIR_TYPED_PARAM_STRING_OKAY`).
const STRING_OKAY: u32 = 1 << 2;
/// Most figures about memory there are (`VIR_DOMAIN_MEMORY_STAT_NR`).
const MEMORY_STATS: u32 = 13;
/// Bytes of a map of processors that is asked for; a host has no more than 8 times as many.
const MAP_LENGTH: i32 = 128;
/// Most processors whose CPU time is asked for at a time.
const CPUS_AT_A_TIME: u32 = 128;

/// Asks how many parameters there are, then for them.
macro_rules! counted {
    ($self:ident.$method:ident($($argument:expr),*), $flags:expr) => {{
        let asked = $self.domain_stats.$method($self.context(), $($argument,)* 0, $flags);
        match $self.ask(asked).await?.nparams {
            0 => Vec::new(),
            n => {
                let context = $self.context();
                let asked = $self.domain_stats.$method(context, $($argument,)* n, $flags);
                api_params(&$self.ask(asked).await?.params)
            }
        }
    }};
}

/// A number as the protocol has it.
fn wire(n: u32) -> i32 {
    i32::try_from(n).unwrap_or(i32::MAX)
}

fn maps(bytes: &[u8]) -> impl Iterator<Item = Vec<bool>> + '_ {
    bytes.chunks(usize::try_from(MAP_LENGTH).unwrap_or(1)).map(cpus_of_bits)
}

impl RemoteDriver {
    /// Maps of the host's processors have as many entries as it has processors.
    async fn host_cpus(&self) -> Result<usize> {
        let asked = self.host.node_get_cpu_map(self.context(), 0, 0, 0);
        Ok(usize::try_from(self.ask(asked).await?.ret).unwrap_or_default())
    }

    async fn cut(&self, maps: impl Iterator<Item = Vec<bool>>) -> Result<Vec<Vec<bool>>> {
        let n = self.host_cpus().await?;
        let cut = |mut map: Vec<bool>| {
            map.truncate(n);
            map
        };
        Ok(maps.map(cut).collect())
    }
}

#[async_trait]
impl DomainStatsDriver for RemoteDriver {
    async fn all_domain_stats(
        &self,
        domains: Option<&[DomainRef]>,
        groups: DomainStatsGroups,
        flags: DomainStatsFlags,
    ) -> Result<Vec<DomainStatsRecord>> {
        let doms: List<Domain, _> = domains.unwrap_or_default().iter().map(Domain::from).collect();
        let (groups, flags) = (groups.bits(), flags.bits());
        let client = &self.domain_stats;
        let asked = client.connect_get_all_domain_stats(self.context(), doms, groups, flags);
        Ok(self.ask(asked).await?.0.iter().map(DomainStatsRecord::from).collect())
    }

    async fn domain_block_stats(&self, domain: &DomainRef, disk: &str) -> Result<Vec<TypedParam>> {
        Ok(counted!(self.domain_block_stats_flags(domain.into(), disk.into()), STRING_OKAY))
    }

    async fn domain_block_info(
        &self,
        domain: &DomainRef,
        disk: &str,
        flags: u32,
    ) -> Result<DomainBlockInfo> {
        let (context, dom, disk) = (self.context(), domain.into(), disk.into());
        let asked = self.domain_stats.domain_get_block_info(context, dom, disk, flags);
        let info = self.ask(asked).await?;
        let (capacity, allocation, physical) = (info.capacity, info.allocation, info.physical);
        Ok(DomainBlockInfo { capacity, allocation, physical })
    }

    async fn domain_disk_errors(
        &self,
        domain: &DomainRef,
        flags: u32,
    ) -> Result<Vec<DomainDiskError>> {
        let max = u32::try_from(DISK_ERRORS_MAX).unwrap_or(u32::MAX);
        let (context, dom) = (self.context(), domain.into());
        let asked = self.domain_stats.domain_get_disk_errors(context, dom, max, flags);
        let errors = self.ask(asked).await?.errors.0.into_iter();
        let error = |error: crate::wire::DiskError| DomainDiskError {
            disk: error.disk.to_text(),
            error: error.error,
        };
        Ok(errors.map(error).collect())
    }

    async fn domain_n_disks(&self, domain: &DomainRef) -> Result<u32> {
        let (context, dom) = (self.context(), domain.into());
        let asked = self.domain_stats.domain_get_disk_errors(context, dom, 0, 0);
        Ok(u32::try_from(self.ask(asked).await?.nerrors).unwrap_or_default())
    }

    async fn domain_interface_stats(
        &self,
        domain: &DomainRef,
        device: &str,
    ) -> Result<DomainInterfaceStats> {
        let (context, dom, device) = (self.context(), domain.into(), device.into());
        let asked = self.domain_stats.domain_interface_stats(context, dom, device);
        Ok(api_interface_stats(self.ask(asked).await?))
    }

    async fn domain_memory_stats(
        &self,
        domain: &DomainRef,
        flags: u32,
    ) -> Result<Vec<DomainMemoryStat>> {
        let (context, dom) = (self.context(), domain.into());
        let asked = self.domain_stats.domain_memory_stats(context, dom, MEMORY_STATS, flags);
        let stats = self.ask(asked).await?.0.into_iter();
        Ok(stats.map(|stat| DomainMemoryStat { tag: stat.tag, value: stat.val }).collect())
    }

    async fn domain_vcpus(&self, domain: &DomainRef) -> Result<Vec<DomainVcpu>> {
        let (context, dom) = (self.context(), domain.into());
        let max = i32::try_from(VCPUS_MAX).unwrap_or(i32::MAX);
        let asked = self.domain_stats.domain_get_vcpus(context, dom, max, MAP_LENGTH);
        let vcpus = self.ask(asked).await?;
        let affinities = self.cut(maps(&vcpus.cpumaps.0)).await?;
        let vcpu = |(info, affinity): (&crate::wire::VcpuInfo, Vec<bool>)| DomainVcpu {
            number: info.number,
            state: info.state,
            cpu_time_ns: info.cpu_time,
            cpu: u32::try_from(info.cpu).ok(),
            affinity,
        };
        Ok(vcpus.info.0.iter().zip(affinities).map(vcpu).collect())
    }

    async fn domain_vcpu_count(&self, domain: &DomainRef, flags: DomainVcpuFlags) -> Result<u32> {
        let (context, dom) = (self.context(), domain.into());
        let asked = self.domain_stats.domain_get_vcpus_flags(context, dom, flags.bits());
        Ok(u32::try_from(self.ask(asked).await?).unwrap_or_default())
    }

    async fn domain_cpu_total(&self, domain: &DomainRef) -> Result<Vec<TypedParam>> {
        let ask = async |n: i32| {
            let (context, dom) = (self.context(), domain.into());
            let n = u32::try_from(n).unwrap_or_default();
            self.ask(self.domain_stats.domain_get_cpu_stats(context, dom, n, -1, 1, 0)).await
        };
        let n = ask(0).await?.nparams;
        Ok(api_params(&ask(n).await?.params))
    }

    async fn domain_cpu_stats(&self, domain: &DomainRef) -> Result<Vec<Vec<TypedParam>>> {
        let ask = async |n_params: u32, start: u32, n_cpus: u32| {
            let (context, dom, start) = (self.context(), domain.into(), wire(start));
            let client = &self.domain_stats;
            self.ask(client.domain_get_cpu_stats(context, dom, n_params, start, n_cpus, 0)).await
        };
        let count = |n: i32| u32::try_from(n).unwrap_or_default();
        let n_cpus = count(ask(0, 0, 0).await?.nparams);
        let n_params = count(ask(0, 0, 1).await?.nparams);
        let max = u32::try_from(CPU_STATS_MAX).unwrap_or(u32::MAX);
        let step = max.checked_div(n_params).unwrap_or(0).clamp(1, CPUS_AT_A_TIME);
        let mut found = Vec::new();
        let mut start = 0;
        while start < n_cpus && n_params > 0 {
            let wanted = step.min(n_cpus - start);
            let params = api_params(&ask(n_params, start, wanted).await?.params);
            let each = usize::try_from(n_params).unwrap_or(usize::MAX);
            found.extend(params.chunks(each).map(<[TypedParam]>::to_vec));
            start += wanted;
        }
        Ok(found)
    }

    async fn domain_io_threads(
        &self,
        domain: &DomainRef,
        flags: DomainAffectFlags,
    ) -> Result<Vec<DomainIoThread>> {
        let (context, dom) = (self.context(), domain.into());
        let asked = self.domain_stats.domain_get_iothread_info(context, dom, flags.bits());
        Ok(self.ask(asked).await?.info.0.iter().map(DomainIoThread::from).collect())
    }

    async fn domain_control_info(
        &self,
        domain: &DomainRef,
        flags: u32,
    ) -> Result<DomainControlInfo> {
        let (context, dom) = (self.context(), domain.into());
        let info = self.ask(self.domain_stats.domain_get_control_info(context, dom, flags)).await?;
        let (state, details, state_time_ms) = (info.state, info.details, info.state_time);
        Ok(DomainControlInfo { state, details, state_time_ms })
    }

    async fn domain_messages(&self, domain: &DomainRef, flags: u32) -> Result<Vec<String>> {
        let (context, dom) = (self.context(), domain.into());
        let asked = self.domain_stats.domain_get_messages(context, dom, flags);
        Ok(self.ask(asked).await?.0.iter().map(Text::to_text).collect())
    }

    async fn domain_vcpu_pins(
        &self,
        domain: &DomainRef,
        flags: DomainAffectFlags,
    ) -> Result<Vec<Vec<bool>>> {
        let maximum = DomainVcpuFlags::MAXIMUM | DomainVcpuFlags::from_bits_retain(flags.bits());
        let n = wire(self.domain_vcpu_count(domain, maximum).await?);
        let (context, dom, flags) = (self.context(), domain.into(), flags.bits());
        let client = &self.domain_stats;
        let asked = client.domain_get_vcpu_pin_info(context, dom, n, MAP_LENGTH, flags);
        let found = self.ask(asked).await?;
        self.cut(maps(&found.cpumaps.0)).await
    }

    async fn domain_emulator_pin(
        &self,
        domain: &DomainRef,
        flags: DomainAffectFlags,
    ) -> Result<Vec<bool>> {
        let (context, dom, flags) = (self.context(), domain.into(), flags.bits());
        let client = &self.domain_stats;
        let asked = client.domain_get_emulator_pin_info(context, dom, MAP_LENGTH, flags);
        let found = self.ask(asked).await?;
        Ok(self.cut(maps(&found.cpumaps.0)).await?.into_iter().next().unwrap_or_default())
    }

    async fn domain_parameters(
        &self,
        domain: &DomainRef,
        set: &DomainParameters,
        flags: DomainAffectFlags,
    ) -> Result<Vec<TypedParam>> {
        let flags = flags.bits() | STRING_OKAY;
        let dom = || Domain::from(domain);
        Ok(match set {
            DomainParameters::Scheduler => {
                let asked = self.domain.domain_get_scheduler_type(self.context(), dom());
                let n = self.ask(asked).await?.nparams;
                let (client, context) = (&self.domain_stats, self.context());
                let asked = client.domain_get_scheduler_parameters_flags(context, dom(), n, flags);
                api_params(&self.ask(asked).await?)
            }
            DomainParameters::Memory => {
                counted!(self.domain_get_memory_parameters(dom()), flags)
            }
            DomainParameters::Blkio => counted!(self.domain_get_blkio_parameters(dom()), flags),
            DomainParameters::Numa => counted!(self.domain_get_numa_parameters(dom()), flags),
            DomainParameters::Interface(device) => {
                let device = || device.as_str().into();
                counted!(self.domain_get_interface_parameters(dom(), device()), flags)
            }
            DomainParameters::BlockIoTune(disk) => {
                let disk = || Some(disk.as_str().into());
                counted!(self.domain_get_block_io_tune(dom(), disk()), flags)
            }
        })
    }
}
