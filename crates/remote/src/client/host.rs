//! Calls about the host.

use async_trait::async_trait;
use oxivirt::{
    CpuMap, CpuStats, DomainCapabilitiesQuery, HostDriver, NodeInfo, Result, SecurityModel,
};
use oxivirt_rpc::xdr::Text;

use super::RemoteDriver;

/// Stands for all processors or cells.
const ALL: i32 = -1;
/// Most figures that an answer has.
const FIGURES: i32 = 16;

fn index(number: u32) -> i32 {
    i32::try_from(number).unwrap_or(i32::MAX)
}

#[async_trait]
impl HostDriver for RemoteDriver {
    async fn capabilities(&self) -> Result<String> {
        Ok(self.ask(self.host.connect_get_capabilities(self.context())).await?.to_text())
    }

    async fn domain_capabilities(&self, query: &DomainCapabilitiesQuery<'_>) -> Result<String> {
        let [emulator, arch, machine, virt_type] =
            [query.emulator, query.arch, query.machine, query.virt_type]
                .map(|part| part.map(Text::from));
        let (host, context) = (&self.host, self.context());
        let asked =
            host.connect_get_domain_capabilities(context, emulator, arch, machine, virt_type, 0);
        Ok(self.ask(asked).await?.to_text())
    }

    async fn cpu_model_names(&self, arch: &str) -> Result<Vec<String>> {
        let asked = self.host.connect_get_cpu_model_names(self.context(), arch.into(), 1, 0);
        Ok(self.ask(asked).await?.models.0.iter().map(Text::to_text).collect())
    }

    async fn security_model(&self) -> Result<SecurityModel> {
        Ok((&self.ask(self.host.node_get_security_model(self.context())).await?).into())
    }

    async fn cpu_stats(&self, cpu: Option<u32>) -> Result<CpuStats> {
        let cpu = cpu.map_or(ALL, index);
        let stats = self.ask(self.host.node_get_cpu_stats(self.context(), cpu, FIGURES, 0)).await?;
        let value = |name: &str| {
            let mut params = stats.params.0.iter();
            params.find(|param| param.field.to_text() == name).map_or(0, |param| param.value)
        };
        Ok(CpuStats {
            kernel: value("kernel"),
            user: value("user"),
            idle: value("idle"),
            iowait: value("iowait"),
        })
    }

    async fn memory_stats(&self, cell: Option<u32>) -> Result<Vec<(String, u64)>> {
        let cell = cell.map_or(ALL, index);
        let asked = self.host.node_get_memory_stats(self.context(), FIGURES, cell, 0);
        let stats = self.ask(asked).await?;
        Ok(stats.params.0.iter().map(|param| (param.field.to_text(), param.value)).collect())
    }

    async fn free_pages(&self, sizes: &[u32], start: i32, count: u32) -> Result<Vec<u64>> {
        let sizes = sizes.iter().copied().collect();
        Ok(self.ask(self.host.node_get_free_pages(self.context(), sizes, start, count, 0)).await?.0)
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
