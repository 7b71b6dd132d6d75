//! The calls about the host.

use crate::{
    Connect, CpuMap, CpuStats, DomainCapabilitiesQuery, Error, ErrorCode, ErrorDomain, NodeInfo,
    Result, SecurityModel,
};

fn invalid(message: String) -> Error {
    Error::plain(ErrorCode::INVALID_ARG, ErrorDomain::NONE, message)
}

impl Connect {
    /// What the host can do, as XML.
    ///
    /// # Errors
    /// [`ErrorCode::NO_SUPPORT`] if the driver has no such call.
    pub async fn capabilities(&self) -> Result<String> {
        self.connection().host_driver("virConnectGetCapabilities")?.capabilities().await
    }

    /// What guests can have on the host, as XML.
    ///
    /// # Errors
    /// [`ErrorCode::NO_SUPPORT`](crate::ErrorCode::NO_SUPPORT) if the driver does not say,
    /// [`ErrorCode::INVALID_ARG`](crate::ErrorCode::INVALID_ARG) if there are no such guests.
    pub async fn domain_capabilities(&self, query: &DomainCapabilitiesQuery<'_>) -> Result<String> {
        self.connection()
            .host_driver("virConnectGetDomainCapabilities")?
            .domain_capabilities(query)
            .await
    }

    /// How the host keeps guests apart.
    ///
    /// # Errors
    /// [`ErrorCode::NO_SUPPORT`] if the driver does not say.
    pub async fn security_model(&self) -> Result<SecurityModel> {
        self.connection().host_driver("virNodeGetSecurityModel")?.security_model().await
    }

    /// Names of the CPU models of an architecture; none if all are accepted.
    ///
    /// # Errors
    /// [`ErrorCode::NO_SUPPORT`](crate::ErrorCode::NO_SUPPORT) if the driver does not say.
    pub async fn cpu_model_names(&self, arch: &str) -> Result<Vec<String>> {
        self.connection().host_driver("virConnectGetCPUModelNames")?.cpu_model_names(arch).await
    }

    /// What the host's processors have spent their time with; of one if `cpu` names it.
    ///
    /// # Errors
    /// [`ErrorCode::INVALID_ARG`](crate::ErrorCode::INVALID_ARG) if there is no such processor.
    pub async fn cpu_stats(&self, cpu: Option<u32>) -> Result<CpuStats> {
        self.connection().host_driver("virNodeGetCPUStats")?.cpu_stats(cpu).await
    }

    /// What the host's memory is used for, in KiB by name; of one NUMA cell if `cell` names it.
    ///
    /// # Errors
    /// [`ErrorCode::INVALID_ARG`](crate::ErrorCode::INVALID_ARG) if there is no such cell.
    pub async fn memory_stats(&self, cell: Option<u32>) -> Result<Vec<(String, u64)>> {
        self.connection().host_driver("virNodeGetMemoryStats")?.memory_stats(cell).await
    }

    /// Firmware tables of the host, as XML.
    ///
    /// # Errors
    /// [`ErrorCode::NO_SUPPORT`] if the driver has no such call.
    pub async fn sysinfo(&self) -> Result<String> {
        self.connection().host_driver("virConnectGetSysinfo")?.sysinfo().await
    }

    /// Most virtual processors a guest of `domain_type` may have.
    ///
    /// # Errors
    /// [`ErrorCode::NO_SUPPORT`] if the driver has no such call.
    pub async fn max_vcpus(&self, domain_type: Option<&str>) -> Result<u32> {
        self.connection().host_driver("virConnectGetMaxVcpus")?.max_vcpus(domain_type).await
    }

    /// Processor and memory of the host.
    ///
    /// # Errors
    /// [`ErrorCode::NO_SUPPORT`] if the driver has no such call.
    pub async fn node_info(&self) -> Result<NodeInfo> {
        self.connection().host_driver("virNodeGetInfo")?.node_info().await
    }

    /// Processors present and online.
    ///
    /// # Errors
    /// [`ErrorCode::NO_SUPPORT`] if the driver has no such call.
    pub async fn cpu_map(&self) -> Result<CpuMap> {
        self.connection().host_driver("virNodeGetCPUMap")?.cpu_map().await
    }

    /// Free memory of the host in bytes.
    ///
    /// # Errors
    /// [`ErrorCode::NO_SUPPORT`] if the driver has no such call.
    pub async fn free_memory(&self) -> Result<u64> {
        self.connection().host_driver("virNodeGetFreeMemory")?.free_memory().await
    }

    /// Free memory of at most `max` NUMA cells from `start`, in bytes.
    ///
    /// # Errors
    /// [`ErrorCode::INVALID_ARG`] if `start` is negative, `max` is not positive or the range has no
    /// cell; [`ErrorCode::NO_SUPPORT`] if the driver has no such call.
    pub async fn cells_free_memory(&self, start: i32, max: i32) -> Result<Vec<u64>> {
        const API: &str = "virNodeGetCellsFreeMemory";
        if start < 0 {
            return Err(invalid(format!("startCell in {API} must be zero or greater")));
        }
        if max <= 0 {
            return Err(invalid(format!("maxCells in {API} must be greater than zero")));
        }
        self.connection().host_driver(API)?.cells_free_memory(start, max).await
    }
}
