//! Calls about the figures of domains.

use std::fmt::Debug;

use async_trait::async_trait;
use oxivirt_types::domain::{
    DomainAffectFlags, DomainStatsFlags, DomainStatsGroups, DomainVcpuFlags,
};

use crate::{DomainRef, Result, TypedParam};

/// Traffic of a guest's interface in one direction; `None` where it is not counted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct DomainTraffic {
    /// Bytes.
    pub bytes: Option<u64>,
    /// Packets.
    pub packets: Option<u64>,
    /// Packets with errors.
    pub errors: Option<u64>,
    /// Packets that were dropped.
    pub drops: Option<u64>,
}

/// Traffic of a guest's interface as the guest sees it (`virDomainInterfaceStatsStruct`).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct DomainInterfaceStats {
    /// What the guest has received.
    pub rx: DomainTraffic,
    /// What the guest has sent.
    pub tx: DomainTraffic,
}

/// A figure about a guest's memory (`virDomainMemoryStatStruct`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DomainMemoryStat {
    /// Which one (`virDomainMemoryStatTags`): 0 swapped in, 1 swapped out, 2 major faults, 3 minor faults,
    /// 4 unused, 5 available, 6 size of the balloon, 7 resident memory of the process, 8 usable, 9 time of the
    /// guest's last report in seconds since 1970, 10 disk caches, 11 huge pages allocated, 12 huge pages that
    /// could not be allocated.
    pub tag: i32,
    /// KiB, or a count.
    pub value: u64,
}

/// A virtual CPU (`virVcpuInfo`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DomainVcpu {
    /// Its number.
    pub number: u32,
    /// 0 offline, 1 running, 2 blocked.
    pub state: i32,
    /// CPU time that it has used, in nanoseconds.
    pub cpu_time_ns: u64,
    /// The host's processor that it is on, `None` if that is not known.
    pub cpu: Option<u32>,
    /// For each processor of the host, whether it may run there.
    pub affinity: Vec<bool>,
}

/// Sizes of a disk in bytes (`virDomainBlockInfo`).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct DomainBlockInfo {
    /// Size that the guest sees.
    pub capacity: u64,
    /// End of what is allocated on the host.
    pub allocation: u64,
    /// Size of the file or device on the host.
    pub physical: u64,
}

/// A disk that has failed (`virDomainDiskError`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DomainDiskError {
    /// Name of the disk as the guest has it, `vda` for example.
    pub disk: String,
    /// 1 not specified, 2 no space.
    pub error: i32,
}

/// Whether the emulator can be talked to (`virDomainControlInfo`).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct DomainControlInfo {
    /// 0 it can, 1 a job runs, 2 it is waited for, 3 it cannot.
    pub state: u32,
    /// Why it cannot; 0 unless `state` is 3.
    pub details: u32,
    /// Milliseconds in this state; 0 unless `state` is 1 or 2.
    pub state_time_ms: u64,
}

/// A thread for disks (`virDomainIOThreadInfo`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DomainIoThread {
    /// Its number.
    pub id: u32,
    /// For each processor of the host, whether it may run there.
    pub affinity: Vec<bool>,
}

/// A set of parameters that are read and changed together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DomainParameters {
    /// Of the scheduler (`virDomainGetSchedulerParametersFlags`).
    Scheduler,
    /// Limits of memory (`virDomainGetMemoryParameters`).
    Memory,
    /// Shares of disks (`virDomainGetBlkioParameters`).
    Blkio,
    /// Placement in NUMA cells (`virDomainGetNumaParameters`).
    Numa,
    /// Rates of an interface, by name of the link or MAC address (`virDomainGetInterfaceParameters`).
    Interface(String),
    /// Rates of a disk, by target or source (`virDomainGetBlockIoTune`).
    BlockIoTune(String),
}

/// The figures of one domain (`virDomainStatsRecord`).
#[derive(Debug, Clone, PartialEq)]
pub struct DomainStatsRecord {
    /// The domain.
    pub domain: DomainRef,
    /// Its figures by name, in libvirt's order.
    pub params: Vec<TypedParam>,
}

/// The calls about the figures of domains.
///
/// libvirt: `virHypervisorDriver`, src/driver-hypervisor.h
#[async_trait]
pub trait DomainStatsDriver: Send + Sync + Debug {
    /// Figures of many domains at once; of all that pass the filter in `flags` if `domains` is `None`
    /// (`virConnectGetAllDomainStats`, `virDomainListGetStats`). A guest that does not answer delays none.
    async fn all_domain_stats(
        &self,
        domains: Option<&[DomainRef]>,
        groups: DomainStatsGroups,
        flags: DomainStatsFlags,
    ) -> Result<Vec<DomainStatsRecord>>;

    /// What has been read from and written to a disk, by target or source; of all disks together without one
    /// (`virDomainBlockStatsFlags`).
    async fn domain_block_stats(&self, domain: &DomainRef, disk: &str) -> Result<Vec<TypedParam>>;

    /// Sizes of a disk, by target or source; `flags` must be 0 (`virDomainGetBlockInfo`).
    async fn domain_block_info(
        &self,
        domain: &DomainRef,
        disk: &str,
        flags: u32,
    ) -> Result<DomainBlockInfo>;

    /// Disks that have failed; `flags` must be 0 (`virDomainGetDiskErrors`).
    async fn domain_disk_errors(
        &self,
        domain: &DomainRef,
        flags: u32,
    ) -> Result<Vec<DomainDiskError>>;

    /// Number of disks, the most that [`Self::domain_disk_errors`] can return.
    async fn domain_n_disks(&self, domain: &DomainRef) -> Result<u32>;

    /// Traffic of an interface, by name of the link or MAC address (`virDomainInterfaceStats`).
    async fn domain_interface_stats(
        &self,
        domain: &DomainRef,
        device: &str,
    ) -> Result<DomainInterfaceStats>;

    /// Figures about memory; `flags` must be 0 (`virDomainMemoryStats`).
    async fn domain_memory_stats(
        &self,
        domain: &DomainRef,
        flags: u32,
    ) -> Result<Vec<DomainMemoryStat>>;

    /// Its virtual CPUs (`virDomainGetVcpus`).
    async fn domain_vcpus(&self, domain: &DomainRef) -> Result<Vec<DomainVcpu>>;

    /// Number of virtual CPUs (`virDomainGetVcpusFlags`).
    async fn domain_vcpu_count(&self, domain: &DomainRef, flags: DomainVcpuFlags) -> Result<u32>;

    /// CPU time of the whole domain (`virDomainGetCPUStats` with start -1).
    async fn domain_cpu_total(&self, domain: &DomainRef) -> Result<Vec<TypedParam>>;

    /// CPU time on each of the host's processors (`virDomainGetCPUStats`).
    async fn domain_cpu_stats(&self, domain: &DomainRef) -> Result<Vec<Vec<TypedParam>>>;

    /// Its threads for disks (`virDomainGetIOThreadInfo`).
    async fn domain_io_threads(
        &self,
        domain: &DomainRef,
        flags: DomainAffectFlags,
    ) -> Result<Vec<DomainIoThread>>;

    /// Whether the emulator can be talked to; `flags` must be 0 (`virDomainGetControlInfo`).
    async fn domain_control_info(
        &self,
        domain: &DomainRef,
        flags: u32,
    ) -> Result<DomainControlInfo>;

    /// What an administrator should know about it: how it is tainted, what it uses that is deprecated
    /// (`virDomainGetMessages`).
    async fn domain_messages(&self, domain: &DomainRef, flags: u32) -> Result<Vec<String>>;

    /// Where each virtual CPU may run (`virDomainGetVcpuPinInfo`).
    async fn domain_vcpu_pins(
        &self,
        domain: &DomainRef,
        flags: DomainAffectFlags,
    ) -> Result<Vec<Vec<bool>>>;

    /// Where the emulator's other threads may run (`virDomainGetEmulatorPinInfo`).
    async fn domain_emulator_pin(
        &self,
        domain: &DomainRef,
        flags: DomainAffectFlags,
    ) -> Result<Vec<bool>>;

    /// A set of parameters.
    async fn domain_parameters(
        &self,
        domain: &DomainRef,
        set: &DomainParameters,
        flags: DomainAffectFlags,
    ) -> Result<Vec<TypedParam>>;
}
