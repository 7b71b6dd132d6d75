//! Calls about the figures of domains.

use oxivirt::{
    DomainAffectFlags, DomainParameters, DomainRef, DomainStatsDriver, DomainStatsFlags,
    DomainStatsGroups, DomainVcpuFlags, Error, ErrorCode, ErrorDomain, Result, TypedParam as Param,
    TypedValue,
};
use oxivirt_rpc::xdr::{List, Text};
use tarpc::context::Context;

use super::session::rpc;
use super::{Calls, guard};
use crate::protocol::Reply;
use crate::protocol::domain_stats::DomainStatsCalls;
use crate::wire::{
    BlockInfo, BlockStats, CPU_STATS_MAX, ControlInfo, Counted, CpuMaps, DISK_ERRORS_MAX,
    DOMAINS_MAX, DiskError, DiskErrors, Domain, IO_TUNE_MAX, InterfaceStats, IoThread, IoThreads,
    JobStats, MEMORY_STATS_MAX, MESSAGES_MAX, MemoryStat, Opaque, PARAMETERS_MAX, StatsRecord,
    StatsRecords, TypedParam, VCPUS_MAX, VcpuInfo, Vcpus, cpu_bits, interface_stats, taken, text,
};

/// Most bytes of maps of processors in an answer (`REMOTE_CPUMAPS_MAX`).
const CPU_MAPS_MAX: usize = 8_388_608;
/// Clients that take parameters of type string say so (`VIR_TYPED_PARAM_STRING_OKAY`).
const STRING_OKAY: u32 = 1 << 2;

fn checked(text: &Text) -> String {
    text.to_text()
}

/// The parameter's value, -1 if it is not counted.
fn number(params: &[Param], field: &str) -> i64 {
    params.iter().find(|param| param.field == field).map_or(-1, |param| match param.value {
        TypedValue::LLong(value) => value,
        TypedValue::ULLong(value) => i64::try_from(value).unwrap_or(i64::MAX),
        _ => -1,
    })
}

/// How many maps of `maplen` bytes go into an answer.
fn map_length(count: i32, max: usize, maplen: i32, what: &str) -> Result<(usize, usize)> {
    let positive = |n: i32, name: &str| {
        usize::try_from(n).map_err(|_| rpc(format!("{name} must be non-negative")))
    };
    let (count, len) = (positive(count, what)?, positive(maplen, "maplen")?);
    if count > max {
        return Err(rpc(format!("{what} > REMOTE_VCPUINFO_MAX")));
    }
    if count.saturating_mul(len) > CPU_MAPS_MAX {
        return Err(rpc(format!("{what} * maplen > REMOTE_CPUMAPS_MAX")));
    }
    Ok((count, len))
}

impl Calls {
    fn stats(&self, api: &str) -> Result<&dyn DomainStatsDriver> {
        self.connection()?.domain_stats_driver(api)
    }

    /// The parameters of a set, without those that the client cannot take.
    async fn parameters(
        &self,
        api: &str,
        dom: &Domain,
        set: DomainParameters,
        flags: u32,
    ) -> Result<Vec<Param>> {
        let affect = DomainAffectFlags::from_bits_retain(flags & !STRING_OKAY);
        let mut params = self.stats(api)?.domain_parameters(&dom.into(), &set, affect).await?;
        if flags & STRING_OKAY == 0 {
            params.retain(|param| !matches!(param.value, TypedValue::String(_)));
        }
        Ok(params)
    }
}

impl DomainStatsCalls for Calls {
    async fn domain_get_vcpus(
        self,
        _: Context,
        dom: Domain,
        maxinfo: i32,
        maplen: i32,
    ) -> Reply<Vcpus> {
        let (count, len) = map_length(maxinfo, VCPUS_MAX, maplen, "maxinfo")?;
        let vcpus = self.stats("virDomainGetVcpus")?.domain_vcpus(&(&dom).into()).await?;
        let vcpus = || vcpus.iter().take(count);
        let info = vcpus().map(|vcpu| VcpuInfo {
            number: vcpu.number,
            state: vcpu.state,
            cpu_time: vcpu.cpu_time_ns,
            cpu: vcpu.cpu.and_then(|cpu| i32::try_from(cpu).ok()).unwrap_or(-1),
        });
        let maps = vcpus().flat_map(|vcpu| cpu_bits(&vcpu.affinity, len));
        Ok(Vcpus { info: info.collect(), cpumaps: Opaque(maps.collect()) })
    }

    async fn domain_get_scheduler_parameters(
        self,
        _: Context,
        dom: Domain,
        nparams: i32,
    ) -> Reply<List<TypedParam, PARAMETERS_MAX>> {
        let (api, set) = ("virDomainGetSchedulerParameters", DomainParameters::Scheduler);
        Ok(taken(&self.parameters(api, &dom, set, 0).await?, nparams))
    }

    async fn domain_block_stats(self, _: Context, dom: Domain, path: Text) -> Reply<BlockStats> {
        let driver = self.stats("virDomainBlockStats")?;
        let params = driver.domain_block_stats(&(&dom).into(), &checked(&path)).await?;
        Ok(BlockStats {
            rd_req: number(&params, "rd_operations"),
            rd_bytes: number(&params, "rd_bytes"),
            wr_req: number(&params, "wr_operations"),
            wr_bytes: number(&params, "wr_bytes"),
            errs: number(&params, "errs"),
        })
    }

    async fn domain_interface_stats(
        self,
        _: Context,
        dom: Domain,
        device: Text,
    ) -> Reply<InterfaceStats> {
        let driver = self.stats("virDomainInterfaceStats")?;
        let stats = driver.domain_interface_stats(&(&dom).into(), &checked(&device)).await?;
        Ok(interface_stats(&stats))
    }

    async fn domain_memory_stats(
        self,
        _: Context,
        dom: Domain,
        max_stats: u32,
        flags: u32,
    ) -> Reply<List<MemoryStat, MEMORY_STATS_MAX>> {
        let max = usize::try_from(max_stats).unwrap_or(usize::MAX);
        if max > MEMORY_STATS_MAX {
            return Err(rpc("maxStats > REMOTE_DOMAIN_MEMORY_STATS_MAX").into());
        }
        let driver = self.stats("virDomainMemoryStats")?;
        let stats = driver.domain_memory_stats(&(&dom).into(), flags).await?.into_iter().take(max);
        Ok(stats.map(|stat| MemoryStat { tag: stat.tag, val: stat.value }).collect())
    }

    async fn domain_get_block_info(
        self,
        _: Context,
        dom: Domain,
        path: Text,
        flags: u32,
    ) -> Reply<BlockInfo> {
        let driver = self.stats("virDomainGetBlockInfo")?;
        let info = driver.domain_block_info(&(&dom).into(), &checked(&path), flags).await?;
        let oxivirt::DomainBlockInfo { capacity, allocation, physical } = info;
        Ok(BlockInfo { allocation, capacity, physical })
    }

    async fn domain_get_memory_parameters(
        self,
        _: Context,
        dom: Domain,
        nparams: i32,
        flags: u32,
    ) -> Reply<Counted<PARAMETERS_MAX>> {
        let (api, set) = ("virDomainGetMemoryParameters", DomainParameters::Memory);
        Ok(Counted::new(&self.parameters(api, &dom, set, flags).await?, nparams))
    }

    async fn domain_get_vcpus_flags(self, _: Context, dom: Domain, flags: u32) -> Reply<i32> {
        let flags = DomainVcpuFlags::from_bits_retain(flags);
        if flags.contains(DomainVcpuFlags::GUEST) {
            // the guest's agent is asked
            self.connect()?.domain((&dom).into()).agent("virDomainGetVcpusFlags")?;
            guard::permit(&self.session, &(&dom).into(), "write").await?;
        }
        let driver = self.stats("virDomainGetVcpusFlags")?;
        let count = driver.domain_vcpu_count(&(&dom).into(), flags).await?;
        Ok(i32::try_from(count).unwrap_or(i32::MAX))
    }

    async fn domain_get_blkio_parameters(
        self,
        _: Context,
        dom: Domain,
        nparams: i32,
        flags: u32,
    ) -> Reply<Counted<PARAMETERS_MAX>> {
        let (api, set) = ("virDomainGetBlkioParameters", DomainParameters::Blkio);
        Ok(Counted::new(&self.parameters(api, &dom, set, flags).await?, nparams))
    }

    async fn domain_get_scheduler_parameters_flags(
        self,
        _: Context,
        dom: Domain,
        nparams: i32,
        flags: u32,
    ) -> Reply<List<TypedParam, PARAMETERS_MAX>> {
        let (api, set) = ("virDomainGetSchedulerParametersFlags", DomainParameters::Scheduler);
        Ok(taken(&self.parameters(api, &dom, set, flags).await?, nparams))
    }

    async fn domain_get_control_info(
        self,
        _: Context,
        dom: Domain,
        flags: u32,
    ) -> Reply<ControlInfo> {
        let driver = self.stats("virDomainGetControlInfo")?;
        let info = driver.domain_control_info(&(&dom).into(), flags).await?;
        let oxivirt::DomainControlInfo { state, details, state_time_ms } = info;
        Ok(ControlInfo { state, details, state_time: state_time_ms })
    }

    async fn domain_get_vcpu_pin_info(
        self,
        _: Context,
        dom: Domain,
        ncpumaps: i32,
        maplen: i32,
        flags: u32,
    ) -> Reply<CpuMaps> {
        let (count, len) = map_length(ncpumaps, VCPUS_MAX, maplen, "ncpumaps")?;
        let flags = DomainAffectFlags::from_bits_retain(flags);
        let driver = self.stats("virDomainGetVcpuPinInfo")?;
        let pins = driver.domain_vcpu_pins(&(&dom).into(), flags).await?;
        let num = i32::try_from(pins.len().min(count)).unwrap_or(i32::MAX);
        let maps = pins.iter().take(count).flat_map(|cpus| cpu_bits(cpus, len));
        Ok(CpuMaps { cpumaps: Opaque(maps.collect()), num })
    }

    async fn domain_block_stats_flags(
        self,
        _: Context,
        dom: Domain,
        path: Text,
        nparams: i32,
        flags: u32,
    ) -> Reply<Counted<PARAMETERS_MAX>> {
        if let flags @ 1.. = flags & !STRING_OKAY {
            let function = "qemuDomainBlockStatsFlags";
            return Err(Error::unsupported_flags(ErrorDomain::QEMU, flags, function).into());
        }
        let driver = self.stats("virDomainBlockStatsFlags")?;
        let params = driver.domain_block_stats(&(&dom).into(), &checked(&path)).await?;
        Ok(Counted::new(&params, nparams))
    }

    async fn domain_get_block_io_tune(
        self,
        _: Context,
        dom: Domain,
        disk: Option<Text>,
        nparams: i32,
        flags: u32,
    ) -> Reply<Counted<IO_TUNE_MAX>> {
        let disk = text(disk.as_ref());
        if disk.is_none() && nparams != 0 {
            let message = "disk in virDomainGetBlockIoTune must not be NULL";
            return Err(Error::plain(ErrorCode::INVALID_ARG, ErrorDomain::NONE, message).into());
        }
        let set = DomainParameters::BlockIoTune(disk.unwrap_or_default());
        let params = self.parameters("virDomainGetBlockIoTune", &dom, set, flags).await?;
        Ok(Counted::new(&params, nparams))
    }

    async fn domain_get_numa_parameters(
        self,
        _: Context,
        dom: Domain,
        nparams: i32,
        flags: u32,
    ) -> Reply<Counted<PARAMETERS_MAX>> {
        let (api, set) = ("virDomainGetNumaParameters", DomainParameters::Numa);
        Ok(Counted::new(&self.parameters(api, &dom, set, flags).await?, nparams))
    }

    async fn domain_get_interface_parameters(
        self,
        _: Context,
        dom: Domain,
        device: Text,
        nparams: i32,
        flags: u32,
    ) -> Reply<Counted<PARAMETERS_MAX>> {
        let set = DomainParameters::Interface(checked(&device));
        let params = self.parameters("virDomainGetInterfaceParameters", &dom, set, flags).await?;
        Ok(Counted::new(&params, nparams))
    }

    async fn domain_get_cpu_stats(
        self,
        _: Context,
        dom: Domain,
        nparams: u32,
        start_cpu: i32,
        ncpus: u32,
        flags: u32,
    ) -> Reply<Counted<CPU_STATS_MAX>> {
        if let flags @ 1.. = flags & !STRING_OKAY {
            let function = "qemuDomainGetCPUStats";
            return Err(Error::unsupported_flags(ErrorDomain::QEMU, flags, function).into());
        }
        let driver = self.stats("virDomainGetCPUStats")?;
        let (domain, wanted) =
            (DomainRef::from(&dom), usize::try_from(nparams).unwrap_or_default());
        let count = |n: usize| i32::try_from(n).unwrap_or(i32::MAX);
        let found = match start_cpu {
            -1 => vec![driver.domain_cpu_total(&domain).await?],
            start => {
                let cpus = driver.domain_cpu_stats(&domain).await?;
                if ncpus == 0 {
                    return Ok(Counted { params: List(Vec::new()), nparams: count(cpus.len()) });
                }
                let Ok(start) = usize::try_from(start) else {
                    let message = "start_cpu in virDomainGetCPUStats must be -1 or larger";
                    let error = Error::plain(ErrorCode::INVALID_ARG, ErrorDomain::NONE, message);
                    return Err(error.into());
                };
                let max = count(cpus.len()).saturating_sub(1);
                if start >= cpus.len() {
                    let detail = format!("start_cpu {start} larger than maximum of {max}");
                    return Err(invalid(detail).into());
                }
                let ncpus = usize::try_from(ncpus).unwrap_or(usize::MAX);
                cpus.into_iter().skip(start).take(ncpus).collect()
            }
        };
        let n_each = found.first().map_or(0, Vec::len);
        if wanted == 0 {
            return Ok(Counted { params: List(Vec::new()), nparams: count(n_each) });
        }
        let params = found.iter().flat_map(|params| params.iter().take(wanted));
        let params: Vec<TypedParam> = params.map(TypedParam::from).take(CPU_STATS_MAX).collect();
        Ok(Counted { params: List(params), nparams: count(n_each.min(wanted)) })
    }

    async fn domain_get_disk_errors(
        self,
        _: Context,
        dom: Domain,
        maxerrors: u32,
        flags: u32,
    ) -> Reply<DiskErrors> {
        let max = usize::try_from(maxerrors).unwrap_or(usize::MAX);
        if max > DISK_ERRORS_MAX {
            return Err(rpc("maxerrors too large").into());
        }
        let (driver, domain) = (self.stats("virDomainGetDiskErrors")?, DomainRef::from(&dom));
        let errors = driver.domain_disk_errors(&domain, flags).await?;
        if max == 0 {
            let n = driver.domain_n_disks(&domain).await?;
            let nerrors = i32::try_from(n).unwrap_or(i32::MAX);
            return Ok(DiskErrors { errors: List(Vec::new()), nerrors });
        }
        let errors = errors.into_iter().take(max);
        let errors = errors
            .map(|error| DiskError { disk: error.disk.into(), error: error.error })
            .collect::<Vec<_>>();
        let nerrors = i32::try_from(errors.len()).unwrap_or(i32::MAX);
        Ok(DiskErrors { errors: List(errors), nerrors })
    }

    async fn domain_get_emulator_pin_info(
        self,
        _: Context,
        dom: Domain,
        maplen: i32,
        flags: u32,
    ) -> Reply<CpuMaps> {
        let (_, len) = map_length(1, 1, maplen, "ncpumaps")?;
        let flags = DomainAffectFlags::from_bits_retain(flags);
        let driver = self.stats("virDomainGetEmulatorPinInfo")?;
        let cpus = driver.domain_emulator_pin(&(&dom).into(), flags).await?;
        Ok(CpuMaps { cpumaps: Opaque(cpu_bits(&cpus, len)), num: 1 })
    }

    /// No job is started here that goes on after its call.
    async fn domain_get_job_stats(self, _: Context, dom: Domain, flags: u32) -> Reply<JobStats> {
        if let flags @ 1.. = flags & !0b11 {
            let function = "qemuDomainGetJobStats";
            return Err(Error::unsupported_flags(ErrorDomain::QEMU, flags, function).into());
        }
        self.check_running(&dom, "virDomainGetJobStats").await?;
        Ok(JobStats { kind: 0, params: List(Vec::new()) })
    }

    async fn connect_get_all_domain_stats(
        self,
        _: Context,
        doms: List<Domain, DOMAINS_MAX>,
        stats: u32,
        flags: u32,
    ) -> Reply<StatsRecords> {
        let domains: Vec<DomainRef> = doms.0.iter().map(DomainRef::from).collect();
        let domains = Some(&*domains).filter(|domains| !domains.is_empty());
        let groups = DomainStatsGroups::from_bits_retain(stats);
        let flags = DomainStatsFlags::from_bits_retain(flags);
        let driver = self.stats("virConnectGetAllDomainStats")?;
        let mut records = driver.all_domain_stats(domains, groups, flags).await?;
        if self.session.daemon.access.is_some() {
            let all = records.iter().map(|record| record.domain.clone()).collect();
            let visible = guard::visible_domains(&self.session, all).await?;
            records.retain(|record| visible.contains(&record.domain));
        }
        Ok(records.iter().map(StatsRecord::from).collect())
    }

    async fn domain_get_iothread_info(
        self,
        _: Context,
        dom: Domain,
        flags: u32,
    ) -> Reply<IoThreads> {
        let flags = DomainAffectFlags::from_bits_retain(flags);
        let driver = self.stats("virDomainGetIOThreadInfo")?;
        let threads = driver.domain_io_threads(&(&dom).into(), flags).await?;
        let ret = u32::try_from(threads.len()).unwrap_or(u32::MAX);
        Ok(IoThreads { info: threads.iter().map(IoThread::from).collect(), ret })
    }

    async fn domain_get_messages(
        self,
        _: Context,
        dom: Domain,
        flags: u32,
    ) -> Reply<List<Text, MESSAGES_MAX>> {
        let driver = self.stats("virDomainGetMessages")?;
        let messages = driver.domain_messages(&(&dom).into(), flags).await?;
        Ok(messages.into_iter().take(MESSAGES_MAX).map(Text::from).collect())
    }
}

fn invalid(detail: String) -> Error {
    Error::new(ErrorCode::INVALID_ARG, ErrorDomain::QEMU, detail)
}
