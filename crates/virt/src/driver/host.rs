//! Calls about the host: processors, memory, capabilities.

use std::fmt::Debug;

use async_trait::async_trait;

use crate::{
    CpuMap, CpuStats, DomainCapabilitiesQuery, Error, ErrorDomain, NodeInfo, Result, SecurityModel,
};

/// libvirt raises the absence of a host call in the domain of its domain calls.
fn unsupported<T>(api: &str) -> Result<T> {
    Err(Error::unsupported(ErrorDomain::DOMAIN, api))
}

/// The calls about the host on which a driver works.
///
/// libvirt: the `node…` and `connectGet…` calls of `virHypervisorDriver`, src/driver-hypervisor.h
#[async_trait]
#[expect(unused_variables, reason = "the defaults answer without looking at their parameters")]
pub trait HostDriver: Send + Sync + Debug {
    /// What the host can do, as XML (`virConnectGetCapabilities`).
    async fn capabilities(&self) -> Result<String> {
        unsupported("virConnectGetCapabilities")
    }

    /// What guests of one kind can have, as XML (`virConnectGetDomainCapabilities`).
    async fn domain_capabilities(&self, query: &DomainCapabilitiesQuery<'_>) -> Result<String> {
        unsupported("virConnectGetDomainCapabilities")
    }

    /// Models of processors that guests of an architecture can have; none if any name is allowed
    /// (`virConnectGetCPUModelNames`).
    async fn cpu_model_names(&self, arch: &str) -> Result<Vec<String>> {
        unsupported("virConnectGetCPUModelNames")
    }

    /// How guests are kept apart by the host's security module (`virNodeGetSecurityModel`).
    async fn security_model(&self) -> Result<SecurityModel> {
        unsupported("virNodeGetSecurityModel")
    }

    /// Firmware tables of the host, as XML (`virConnectGetSysinfo`).
    async fn sysinfo(&self) -> Result<String> {
        unsupported("virConnectGetSysinfo")
    }

    /// Most virtual processors a guest of `domain_type` may have (`virConnectGetMaxVcpus`).
    async fn max_vcpus(&self, domain_type: Option<&str>) -> Result<u32> {
        unsupported("virConnectGetMaxVcpus")
    }

    /// Processor and memory (`virNodeGetInfo`).
    async fn node_info(&self) -> Result<NodeInfo> {
        unsupported("virNodeGetInfo")
    }

    /// Processors present and online (`virNodeGetCPUMap`).
    async fn cpu_map(&self) -> Result<CpuMap> {
        unsupported("virNodeGetCPUMap")
    }

    /// What a processor has spent its time with, or all of them with `None` (`virNodeGetCPUStats`).
    async fn cpu_stats(&self, cpu: Option<u32>) -> Result<CpuStats> {
        unsupported("virNodeGetCPUStats")
    }

    /// Memory of a NUMA cell, or of the host with `None`: names and KiB (`virNodeGetMemoryStats`).
    async fn memory_stats(&self, cell: Option<u32>) -> Result<Vec<(String, u64)>> {
        unsupported("virNodeGetMemoryStats")
    }

    /// Free memory in bytes (`virNodeGetFreeMemory`).
    async fn free_memory(&self) -> Result<u64> {
        unsupported("virNodeGetFreeMemory")
    }

    /// Free memory of at most `max` NUMA cells from `start`, in bytes
    /// (`virNodeGetCellsFreeMemory`).
    async fn cells_free_memory(&self, start: i32, max: i32) -> Result<Vec<u64>> {
        unsupported("virNodeGetCellsFreeMemory")
    }

    /// Free pages of each size, which are in KiB, in each of `count` cells from `start`
    /// (`virNodeGetFreePages`).
    async fn free_pages(&self, sizes: &[u32], start: i32, count: u32) -> Result<Vec<u64>> {
        unsupported("virNodeGetFreePages")
    }
}
