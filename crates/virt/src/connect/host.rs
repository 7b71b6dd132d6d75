//! The calls about the host.

use crate::{Connect, CpuMap, Error, ErrorCode, ErrorDomain, NodeInfo, Result};

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
