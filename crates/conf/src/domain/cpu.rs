//! Processors of a guest: number, model, topology, tuning.

use crate::element::elements;
use crate::keyword::{OnOff, YesNo, words};

use super::memory::{Numa, Placement};

words! {
    /// Where the description of the processor comes from.
    pub enum CpuMode {
        Custom = "custom",
        HostModel = "host-model",
        HostPassthrough = "host-passthrough",
        Maximum = "maximum",
    }

    /// How close a custom processor has to be to its model.
    pub enum CpuMatch {
        Minimum = "minimum",
        Exact = "exact",
        Strict = "strict",
    }

    /// When the processor is compared with what is asked for.
    pub enum CpuCheck {
        None = "none",
        Partial = "partial",
        Full = "full",
    }

    /// Whether a related model may be used instead.
    pub enum CpuFallback {
        Allow = "allow",
        Forbid = "forbid",
    }

    /// What is asked of a feature.
    pub enum CpuFeaturePolicy {
        Force = "force",
        Require = "require",
        Optional = "optional",
        Disable = "disable",
        Forbid = "forbid",
    }

    /// What a guest sees of the cache.
    pub enum CpuCacheMode {
        Emulate = "emulate",
        Passthrough = "passthrough",
        Disable = "disable",
    }
}

elements! {
    /// `<vcpu>`
    pub struct VcpuCount {
        attr placement: Option<Placement> = "placement",
        attr cpuset: Option<String> = "cpuset",
        attr current: Option<u32> = "current",
        body count: Option<u32> = "vcpu",
    }

    /// `<vcpus>`
    pub struct Vcpus {
        list vcpus: Vec<Vcpu> = "vcpu",
    }

    /// One processor's state.
    pub struct Vcpu {
        attr id: Option<u32> = "id",
        attr enabled: Option<YesNo> = "enabled",
        attr hotpluggable: Option<YesNo> = "hotpluggable",
        attr order: Option<u32> = "order",
    }

    /// `<iothreadids>`
    pub struct IoThreadIds {
        list threads: Vec<IoThread> = "iothread",
    }

    /// One I/O thread.
    pub struct IoThread {
        attr id: Option<u32> = "id",
        attr thread_pool_min: Option<i32> = "thread_pool_min",
        attr thread_pool_max: Option<i32> = "thread_pool_max",
        child poll: Option<IoThreadPoll> = "poll",
    }

    /// Polling of an I/O thread.
    pub struct IoThreadPoll {
        attr max: Option<u64> = "max",
        attr grow: Option<u64> = "grow",
        attr shrink: Option<u64> = "shrink",
    }

    /// `<defaultiothread>`
    pub struct DefaultIoThread {
        attr thread_pool_min: Option<i32> = "thread_pool_min",
        attr thread_pool_max: Option<i32> = "thread_pool_max",
    }

    /// `<cputune>`
    pub struct CpuTune {
        text shares: Option<u64> = "shares",
        text period: Option<u64> = "period",
        text quota: Option<i64> = "quota",
        text global_period: Option<u64> = "global_period",
        text global_quota: Option<i64> = "global_quota",
        text emulator_period: Option<u64> = "emulator_period",
        text emulator_quota: Option<i64> = "emulator_quota",
        text iothread_period: Option<u64> = "iothread_period",
        text iothread_quota: Option<i64> = "iothread_quota",
        list vcpu_pins: Vec<VcpuPin> = "vcpupin",
        child emulator_pin: Option<EmulatorPin> = "emulatorpin",
        list iothread_pins: Vec<IoThreadPin> = "iothreadpin",
        child emulator_scheduler: Option<Scheduler> = "emulatorsched",
        list vcpu_schedulers: Vec<Scheduler> = "vcpusched",
        list iothread_schedulers: Vec<Scheduler> = "iothreadsched",
        list cache_tunes: Vec<CacheTune> = "cachetune",
        list memory_tunes: Vec<MemoryBandwidthTune> = "memorytune",
    }

    /// Processors of the host for one of the guest's.
    pub struct VcpuPin {
        attr vcpu: Option<u32> = "vcpu",
        attr cpuset: Option<String> = "cpuset",
    }

    /// Processors of the host for the emulator.
    pub struct EmulatorPin {
        attr cpuset: Option<String> = "cpuset",
    }

    /// Processors of the host for an I/O thread.
    pub struct IoThreadPin {
        attr iothread: Option<u32> = "iothread",
        attr cpuset: Option<String> = "cpuset",
    }

    /// A scheduling policy.
    pub struct Scheduler {
        attr vcpus: Option<String> = "vcpus",
        attr iothreads: Option<String> = "iothreads",
        attr scheduler: Option<String> = "scheduler",
        attr priority: Option<i32> = "priority",
    }

    /// `<cachetune>`
    pub struct CacheTune {
        attr vcpus: Option<String> = "vcpus",
        attr id: Option<String> = "id",
        list caches: Vec<CacheTuneCache> = "cache",
        list monitors: Vec<CacheTuneMonitor> = "monitor",
    }

    /// A share of a cache.
    pub struct CacheTuneCache {
        attr id: Option<u32> = "id",
        attr level: Option<u32> = "level",
        attr kind: Option<String> = "type",
        attr size: Option<u64> = "size",
        attr unit: Option<String> = "unit",
    }

    /// Measuring of a share.
    pub struct CacheTuneMonitor {
        attr level: Option<u32> = "level",
        attr vcpus: Option<String> = "vcpus",
    }

    /// `<memorytune>`
    pub struct MemoryBandwidthTune {
        attr vcpus: Option<String> = "vcpus",
        list nodes: Vec<MemoryBandwidth> = "node",
        list monitors: Vec<CacheTuneMonitor> = "monitor",
    }

    /// A share of memory bandwidth.
    pub struct MemoryBandwidth {
        attr id: Option<u32> = "id",
        attr bandwidth: Option<u32> = "bandwidth",
    }

    /// `<cpu>`
    pub struct Cpu {
        attr mode: Option<CpuMode> = "mode",
        attr matching: Option<CpuMatch> = "match",
        attr check: Option<CpuCheck> = "check",
        attr migratable: Option<OnOff> = "migratable",
        attr deprecated_features: Option<OnOff> = "deprecated_features",
        text arch: Option<String> = "arch",
        child model: Option<CpuModel> = "model",
        text vendor: Option<String> = "vendor",
        child topology: Option<CpuTopology> = "topology",
        child cache: Option<CpuCache> = "cache",
        child max_phys_addr: Option<MaxPhysAddr> = "maxphysaddr",
        list features: Vec<CpuFeature> = "feature",
        child numa: Option<Numa> = "numa",
    }

    /// A model's name.
    pub struct CpuModel {
        attr fallback: Option<CpuFallback> = "fallback",
        attr vendor_id: Option<String> = "vendor_id",
        body name: Option<String> = "model",
    }

    /// How processors are grouped.
    pub struct CpuTopology {
        attr sockets: Option<u32> = "sockets",
        attr dies: Option<u32> = "dies",
        attr clusters: Option<u32> = "clusters",
        attr cores: Option<u32> = "cores",
        attr threads: Option<u32> = "threads",
    }

    /// `<cache>` of `<cpu>`
    pub struct CpuCache {
        attr level: Option<u32> = "level",
        attr mode: Option<CpuCacheMode> = "mode",
    }

    /// `<maxphysaddr>`
    pub struct MaxPhysAddr {
        attr mode: Option<String> = "mode",
        attr bits: Option<u32> = "bits",
        attr limit: Option<u32> = "limit",
    }

    /// A feature of a processor.
    pub struct CpuFeature {
        attr policy: Option<CpuFeaturePolicy> = "policy",
        attr name: Option<String> = "name",
    }
}
