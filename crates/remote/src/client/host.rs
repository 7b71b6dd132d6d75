//! Calls about the host.

use async_trait::async_trait;
use oxivirt::{CpuMap, HostDriver, NodeInfo, Result};

use super::RemoteDriver;

#[async_trait]
impl HostDriver for RemoteDriver {
    async fn capabilities(&self) -> Result<String> {
        Ok(self.ask(self.host.connect_get_capabilities(self.context())).await?.to_text())
    }

    async fn sysinfo(&self) -> Result<String> {
        Ok(self.ask(self.host.connect_get_sysinfo(self.context(), 0)).await?.to_text())
    }

    async fn max_vcpus(&self, domain_type: Option<&str>) -> Result<u32> {
        let kind = domain_type.map(Into::into);
        let n = self.ask(self.host.connect_get_max_vcpus(self.context(), kind)).await?;
        Ok(u32::try_from(n).unwrap_or_default())
    }

    async fn node_info(&self) -> Result<NodeInfo> {
        Ok((&self.ask(self.host.node_get_info(self.context())).await?).into())
    }

    async fn cpu_map(&self) -> Result<CpuMap> {
        let map = self.ask(self.host.node_get_cpu_map(self.context(), 1, 1, 0)).await?;
        let bits = map.cpumap.0.iter().flat_map(|byte| (0..8).map(move |bit| byte >> bit & 1 == 1));
        Ok(CpuMap { online: bits.take(usize::try_from(map.ret).unwrap_or_default()).collect() })
    }

    async fn free_memory(&self) -> Result<u64> {
        self.ask(self.host.node_get_free_memory(self.context())).await
    }

    async fn cells_free_memory(&self, start: i32, max: i32) -> Result<Vec<u64>> {
        Ok(self.ask(self.host.node_get_cells_free_memory(self.context(), start, max)).await?.0)
    }
}
