//! Calls about the figures of domains.
//!
//! libvirt 11.3.0: src/remote/remote_protocol.x

use oxivirt_rpc::xdr::{List, Text};

use super::{Needs, Procedure, Reply, protocol};
use crate::wire::{
    BlockInfo, BlockStats, CPU_STATS_MAX, ControlInfo, Counted, CpuMaps, DOMAINS_MAX, DiskErrors,
    Domain, IO_TUNE_MAX, InterfaceStats, IoThreads, JobStats, MEMORY_STATS_MAX, MESSAGES_MAX,
    MemoryStat, PARAMETERS_MAX, StatsRecords, TypedParam, Vcpus,
};

protocol! {
    DomainStatsCalls DomainStatsCallsClient DomainStatsCallsRequest DomainStatsCallsResponse ServeDomainStatsCalls;

    20 domain_get_vcpus(dom: Domain, maxinfo: i32, maplen: i32) -> Vcpus:
        "virDomainGetVcpus" Connection Domain [Domain "read"];
    57 domain_get_scheduler_parameters(dom: Domain, nparams: i32) -> List<TypedParam, PARAMETERS_MAX>:
        "virDomainGetSchedulerParameters" Connection Domain [Domain "read"];
    64 domain_block_stats(dom: Domain, path: Text) -> BlockStats:
        "virDomainBlockStats" Connection Domain [Domain "read"];
    65 domain_interface_stats(dom: Domain, device: Text) -> InterfaceStats:
        "virDomainInterfaceStats" Connection Domain [Domain "read"];
    159 domain_memory_stats(dom: Domain, max_stats: u32, flags: u32) -> List<MemoryStat, MEMORY_STATS_MAX>:
        "virDomainMemoryStats" Connection Domain [Domain "read"];
    194 domain_get_block_info(dom: Domain, path: Text, flags: u32) -> BlockInfo:
        "virDomainGetBlockInfo" Connection Domain [Domain "read"];
    198 domain_get_memory_parameters(dom: Domain, nparams: i32, flags: u32) -> Counted<PARAMETERS_MAX>:
        "virDomainGetMemoryParameters" Connection Domain [Domain "read"];
    200 domain_get_vcpus_flags(dom: Domain, flags: u32) -> i32:
        "virDomainGetVcpusFlags" Connection Domain [Domain "read"];
    206 domain_get_blkio_parameters(dom: Domain, nparams: i32, flags: u32) -> Counted<PARAMETERS_MAX>:
        "virDomainGetBlkioParameters" Connection Domain [Domain "read"];
    223 domain_get_scheduler_parameters_flags(dom: Domain, nparams: i32, flags: u32) -> List<TypedParam, PARAMETERS_MAX>:
        "virDomainGetSchedulerParametersFlags" Connection Domain [Domain "read"];
    229 domain_get_control_info(dom: Domain, flags: u32) -> ControlInfo:
        "virDomainGetControlInfo" Connection Domain [Domain "read"];
    230 domain_get_vcpu_pin_info(dom: Domain, ncpumaps: i32, maplen: i32, flags: u32) -> CpuMaps:
        "virDomainGetVcpuPinInfo" Connection Domain [Domain "read"];
    243 domain_block_stats_flags(dom: Domain, path: Text, nparams: i32, flags: u32) -> Counted<PARAMETERS_MAX>:
        "virDomainBlockStatsFlags" Connection Domain [Domain "read"];
    253 domain_get_block_io_tune(dom: Domain, disk: Option<Text>, nparams: i32, flags: u32) -> Counted<IO_TUNE_MAX>:
        "virDomainGetBlockIoTune" Connection Domain [Domain "read"];
    255 domain_get_numa_parameters(dom: Domain, nparams: i32, flags: u32) -> Counted<PARAMETERS_MAX>:
        "virDomainGetNumaParameters" Connection Domain [Domain "read"];
    257 domain_get_interface_parameters(dom: Domain, device: Text, nparams: i32, flags: u32) -> Counted<PARAMETERS_MAX>:
        "virDomainGetInterfaceParameters" Connection Domain [Domain "read"];
    262 domain_get_cpu_stats(dom: Domain, nparams: u32, start_cpu: i32, ncpus: u32, flags: u32) -> Counted<CPU_STATS_MAX>:
        "virDomainGetCPUStats" Connection Domain [Domain "read"];
    263 domain_get_disk_errors(dom: Domain, maxerrors: u32, flags: u32) -> DiskErrors:
        "virDomainGetDiskErrors" Connection Domain [Domain "read"];
    280 domain_get_emulator_pin_info(dom: Domain, maplen: i32, flags: u32) -> CpuMaps:
        "virDomainGetEmulatorPinInfo" Connection Domain [Domain "read"];
    298 domain_get_job_stats(dom: Domain, flags: u32) -> JobStats:
        "virDomainGetJobStats" Connection Domain [Domain "read"];
    344 connect_get_all_domain_stats(doms: List<Domain, DOMAINS_MAX>, stats: u32, flags: u32) -> StatsRecords:
        "virConnectGetAllDomainStats" Connection [Connect "search-domains"];
    351 domain_get_iothread_info(dom: Domain, flags: u32) -> IoThreads:
        "virDomainGetIOThreadInfo" Connection Domain [Domain "read"];
    426 domain_get_messages(dom: Domain, flags: u32) -> List<Text, MESSAGES_MAX>:
        "virDomainGetMessages" Connection Domain [Domain "read"];
}
