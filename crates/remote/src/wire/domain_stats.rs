//! Figures of domains, their virtual CPUs, what their agents say.

use oxivirt::{DomainIoThread, DomainTraffic};
use oxivirt_rpc::xdr::{List, Text};
use serde::{Deserialize, Serialize};

use super::{DOMAINS_MAX, Domain, Opaque, TypedParam};

/// Most virtual CPUs of a domain (`REMOTE_VCPUINFO_MAX`).
pub const VCPUS_MAX: usize = 16384;
/// Most figures about memory (`REMOTE_DOMAIN_MEMORY_STATS_MAX`).
pub const MEMORY_STATS_MAX: usize = 1024;
/// Most disks that have failed (`REMOTE_DOMAIN_DISK_ERRORS_MAX`).
pub const DISK_ERRORS_MAX: usize = 256;
/// Most figures of a domain (`REMOTE_CONNECT_GET_ALL_DOMAIN_STATS_MAX`).
const STATS_MAX: usize = 262_144;
/// Most figures about CPU time (`REMOTE_DOMAIN_GET_CPU_STATS_MAX`).
pub const CPU_STATS_MAX: usize = 2048;
/// Most parameters of a set (`REMOTE_DOMAIN_SCHEDULER_PARAMETERS_MAX` and the like).
pub const PARAMETERS_MAX: usize = 16;
/// Most rates of a disk (`REMOTE_DOMAIN_BLOCK_IO_TUNE_PARAMETERS_MAX`).
pub const IO_TUNE_MAX: usize = 32;
/// Most figures about a job (`REMOTE_DOMAIN_JOB_STATS_MAX`).
const JOB_STATS_MAX: usize = 64;
/// Most threads for disks (`REMOTE_IOTHREAD_INFO_MAX`).
const IO_THREADS_MAX: usize = 16384;
/// Most keys that are pressed together (`REMOTE_DOMAIN_SEND_KEY_MAX`).
pub const KEYS_MAX: usize = 16;
/// Most messages about a domain (`REMOTE_DOMAIN_MESSAGES_MAX`).
pub const MESSAGES_MAX: usize = 2048;
/// Most file systems of a guest (`REMOTE_DOMAIN_FSINFO_MAX`), and most disks of one.
pub const FILE_SYSTEMS_MAX: usize = 256;
/// Most that a guest says about itself (`REMOTE_DOMAIN_GUEST_INFO_PARAMS_MAX`).
pub const GUEST_INFO_MAX: usize = 2048;

/// A virtual CPU (`remote_vcpu_info`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct VcpuInfo {
    /// Its number.
    pub number: u32,
    /// Its state.
    pub state: i32,
    /// CPU time in nanoseconds.
    pub cpu_time: u64,
    /// The host's processor, -1 if it is not known.
    pub cpu: i32,
}

/// Virtual CPUs (`remote_domain_get_vcpus_ret`).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Vcpus {
    /// The CPUs.
    pub info: List<VcpuInfo, VCPUS_MAX>,
    /// Where each may run, as many bytes a CPU as the client asked for.
    pub cpumaps: Opaque,
}

/// Maps of processors, and their number (`remote_domain_get_vcpu_pin_info_ret` and the like).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CpuMaps {
    /// The maps, one behind the other.
    pub cpumaps: Opaque,
    /// How many.
    pub num: i32,
}

/// Processors as bits, lowest first, in `len` bytes.
#[must_use]
pub fn cpu_bits(cpus: &[bool], len: usize) -> Vec<u8> {
    let byte = |bits: &[bool]| {
        (0_u8..).zip(bits).fold(0, |byte, (at, is_set)| byte | (u8::from(*is_set) << at))
    };
    let mut bytes: Vec<u8> = cpus.chunks(8).map(byte).collect();
    bytes.resize(len, 0);
    bytes
}

/// Processors out of bits, lowest first.
#[must_use]
pub fn cpus_of_bits(bytes: &[u8]) -> Vec<bool> {
    bytes.iter().flat_map(|byte| (0..8).map(move |at| byte & (1 << at) != 0)).collect()
}

/// What was read from and written to a disk (`remote_domain_block_stats_ret`); -1 is not counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct BlockStats {
    /// Read requests.
    pub rd_req: i64,
    /// Bytes read.
    pub rd_bytes: i64,
    /// Write requests.
    pub wr_req: i64,
    /// Bytes written.
    pub wr_bytes: i64,
    /// Errors.
    pub errs: i64,
}

/// Parameters and their number (`remote_domain_block_stats_flags_ret` and the like).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Counted<const MAX: usize> {
    /// The parameters, if a number of them was wanted.
    pub params: List<TypedParam, MAX>,
    /// How many, if only that was asked.
    pub nparams: i32,
}

impl<const MAX: usize> Counted<MAX> {
    /// The answer to a client that asks for `wanted` parameters; 0 asks how many there are.
    #[must_use]
    pub fn new(params: &[oxivirt::TypedParam], wanted: i32) -> Self {
        if wanted == 0 {
            let nparams = i32::try_from(params.len()).unwrap_or(i32::MAX);
            return Self { params: List(Vec::new()), nparams };
        }
        Self { params: taken(params, wanted), nparams: 0 }
    }
}

/// At most `wanted` parameters.
#[must_use]
pub fn taken<const MAX: usize>(
    params: &[oxivirt::TypedParam],
    wanted: i32,
) -> List<TypedParam, MAX> {
    let wanted = usize::try_from(wanted).unwrap_or_default().min(MAX);
    params.iter().take(wanted).map(TypedParam::from).collect()
}

/// Parameters as the API has them.
#[must_use]
pub fn api_params<const MAX: usize>(params: &List<TypedParam, MAX>) -> Vec<oxivirt::TypedParam> {
    params.0.iter().map(oxivirt::TypedParam::from).collect()
}

/// Traffic of an interface (`remote_domain_interface_stats_ret`): bytes, packets, errors and drops that the
/// guest has received, then those it has sent; -1 is not counted.
pub type InterfaceStats = [i64; 8];

/// Traffic on the wire.
#[must_use]
pub fn interface_stats(stats: &oxivirt::DomainInterfaceStats) -> InterfaceStats {
    let number = |n: Option<u64>| n.map_or(-1, |n| i64::try_from(n).unwrap_or(i64::MAX));
    let [rx, tx] = [stats.rx, stats.tx]
        .map(|t: DomainTraffic| [t.bytes, t.packets, t.errors, t.drops].map(number));
    let ([a, b, c, d], [e, f, g, h]) = (rx, tx);
    [a, b, c, d, e, f, g, h]
}

/// Traffic off the wire.
#[must_use]
pub fn api_interface_stats(stats: InterfaceStats) -> oxivirt::DomainInterfaceStats {
    let [a, b, c, d, e, f, g, h] = stats.map(|n| u64::try_from(n).ok());
    let traffic = |bytes, packets, errors, drops| DomainTraffic { bytes, packets, errors, drops };
    oxivirt::DomainInterfaceStats { rx: traffic(a, b, c, d), tx: traffic(e, f, g, h) }
}

/// A figure about memory (`remote_domain_memory_stat`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct MemoryStat {
    /// Which one.
    pub tag: i32,
    /// The figure.
    pub val: u64,
}

/// Sizes of a disk (`remote_domain_get_block_info_ret`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct BlockInfo {
    /// End of what is allocated.
    pub allocation: u64,
    /// Size that the guest sees.
    pub capacity: u64,
    /// Size on the host.
    pub physical: u64,
}

/// A disk that has failed (`remote_domain_disk_error`).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DiskError {
    /// Its name.
    pub disk: Text,
    /// What failed.
    pub error: i32,
}

/// Disks that have failed (`remote_domain_get_disk_errors_ret`).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DiskErrors {
    /// The disks.
    pub errors: List<DiskError, DISK_ERRORS_MAX>,
    /// How many, or how many there can be if none was wanted.
    pub nerrors: i32,
}

/// Figures of a domain (`remote_domain_stats_record`).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StatsRecord {
    /// The domain.
    pub dom: Domain,
    /// Its figures.
    pub params: List<TypedParam, STATS_MAX>,
}

/// Figures of domains.
pub type StatsRecords = List<StatsRecord, DOMAINS_MAX>;

impl From<&oxivirt::DomainStatsRecord> for StatsRecord {
    fn from(record: &oxivirt::DomainStatsRecord) -> Self {
        Self { dom: (&record.domain).into(), params: taken(&record.params, i32::MAX) }
    }
}

impl From<&StatsRecord> for oxivirt::DomainStatsRecord {
    fn from(record: &StatsRecord) -> Self {
        Self { domain: (&record.dom).into(), params: api_params(&record.params) }
    }
}

/// Figures about a job (`remote_domain_get_job_stats_ret`).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct JobStats {
    /// Kind of job, 0 for none.
    pub kind: i32,
    /// The figures.
    pub params: List<TypedParam, JOB_STATS_MAX>,
}

/// Whether the emulator can be talked to (`remote_domain_get_control_info_ret`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct ControlInfo {
    /// The state.
    pub state: u32,
    /// Its reason.
    pub details: u32,
    /// Milliseconds in it.
    pub state_time: u64,
}

/// A thread for disks (`remote_domain_iothread_info`).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct IoThread {
    /// Its number.
    pub id: u32,
    /// Where it may run.
    pub cpumap: Opaque,
}

/// Threads for disks (`remote_domain_get_iothread_info_ret`).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct IoThreads {
    /// The threads.
    pub info: List<IoThread, IO_THREADS_MAX>,
    /// How many.
    pub ret: u32,
}

impl From<&DomainIoThread> for IoThread {
    fn from(thread: &DomainIoThread) -> Self {
        let len = thread.affinity.len().div_ceil(8);
        Self { id: thread.id, cpumap: Opaque(cpu_bits(&thread.affinity, len)) }
    }
}

impl From<&IoThread> for DomainIoThread {
    fn from(thread: &IoThread) -> Self {
        Self { id: thread.id, affinity: cpus_of_bits(&thread.cpumap.0) }
    }
}

/// A time (`remote_domain_get_time_ret`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct GuestTime {
    /// Seconds since 1970.
    pub seconds: i64,
    /// Nanoseconds beside them.
    pub nseconds: u32,
}

/// A file system of a guest (`remote_domain_fsinfo`).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileSystem {
    /// Where it is mounted.
    pub mountpoint: Text,
    /// Its device.
    pub name: Text,
    /// Its type.
    pub fstype: Text,
    /// Its disks.
    pub dev_aliases: List<Text, FILE_SYSTEMS_MAX>,
}

/// File systems of a guest (`remote_domain_get_fsinfo_ret`).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileSystems {
    /// The file systems.
    pub info: List<FileSystem, FILE_SYSTEMS_MAX>,
    /// How many.
    pub ret: u32,
}

impl From<&oxivirt::DomainFileSystem> for FileSystem {
    fn from(system: &oxivirt::DomainFileSystem) -> Self {
        let disks = system.disks.iter().take(FILE_SYSTEMS_MAX);
        Self {
            mountpoint: system.mountpoint.as_str().into(),
            name: system.name.as_str().into(),
            fstype: system.kind.as_str().into(),
            dev_aliases: disks.map(|disk| disk.as_str().into()).collect(),
        }
    }
}

impl From<&FileSystem> for oxivirt::DomainFileSystem {
    fn from(system: &FileSystem) -> Self {
        Self {
            mountpoint: system.mountpoint.to_text(),
            name: system.name.to_text(),
            kind: system.fstype.to_text(),
            disks: system.dev_aliases.0.iter().map(Text::to_text).collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn processors_travel_as_bits() {
        let cpus = [true, false, false, false, false, false, false, false, true];
        assert_eq!(cpu_bits(&cpus, 2), [1, 1]);
        assert_eq!(cpu_bits(&cpus, 1), [1]);
        assert_eq!(cpu_bits(&cpus, 3), [1, 1, 0]);
        assert_eq!(cpus_of_bits(&[1, 1])[..9], cpus);
    }

    #[test]
    fn what_is_not_counted_is_minus_one() {
        let rx = DomainTraffic { bytes: Some(86), ..DomainTraffic::default() };
        let stats = oxivirt::DomainInterfaceStats { rx, tx: DomainTraffic::default() };
        let wire = interface_stats(&stats);
        assert_eq!(wire, [86, -1, -1, -1, -1, -1, -1, -1]);
        assert_eq!(api_interface_stats(wire), stats);
    }
}
