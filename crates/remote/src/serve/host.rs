//! Calls about the host.

use oxivirt::{DomainCapabilitiesQuery, Error, ErrorDomain, Result};
use oxivirt_rpc::xdr::{List, Text};
use tarpc::context::Context;

use super::Calls;
use crate::protocol::Reply;
use crate::protocol::host::HostCalls;
use crate::wire::{
    CELLS_MAX, CpuMapBytes, CpuModels, NodeInfo, NodeStats, Opaque, SecurityModel, text,
};

impl HostCalls for Calls {
    async fn connect_get_max_vcpus(self, _: Context, kind: Option<Text>) -> Reply<i32> {
        let n =
            self.host("virConnectGetMaxVcpus")?.max_vcpus(text(kind.as_ref()).as_deref()).await?;
        Ok(i32::try_from(n).unwrap_or(i32::MAX))
    }

    async fn node_get_info(self, _: Context) -> Reply<NodeInfo> {
        Ok((&self.host("virNodeGetInfo")?.node_info().await?).into())
    }

    async fn connect_get_capabilities(self, _: Context) -> Reply<Text> {
        Ok(self.host("virConnectGetCapabilities")?.capabilities().await?.into())
    }

    async fn node_get_cells_free_memory(
        self,
        _: Context,
        start: i32,
        max: i32,
    ) -> Reply<List<u64, 1024>> {
        Ok(self.connect()?.cells_free_memory(start, max).await?.into())
    }

    async fn node_get_free_memory(self, _: Context) -> Reply<u64> {
        Ok(self.host("virNodeGetFreeMemory")?.free_memory().await?)
    }

    async fn connect_get_sysinfo(self, _: Context, _: u32) -> Reply<Text> {
        Ok(self.host("virConnectGetSysinfo")?.sysinfo().await?.into())
    }

    async fn node_get_cpu_map(
        self,
        _: Context,
        need_map: i32,
        need_online: i32,
        _: u32,
    ) -> Reply<CpuMapBytes> {
        let map = self.host("virNodeGetCPUMap")?.cpu_map().await?;
        let online = if need_online == 0 { 0 } else { map.online.iter().filter(|on| **on).count() };
        let bits = if need_map == 0 { &[][..] } else { &map.online };
        Ok(CpuMapBytes {
            cpumap: Opaque(bits.chunks(8).map(byte_of).collect()),
            online: u32::try_from(online).unwrap_or(u32::MAX),
            ret: i32::try_from(map.online.len()).unwrap_or(i32::MAX),
        })
    }

    async fn node_get_security_model(self, _: Context) -> Reply<SecurityModel> {
        Ok((&self.host("virNodeGetSecurityModel")?.security_model().await?).into())
    }

    async fn node_get_cpu_stats(
        self,
        _: Context,
        cpu: i32,
        wanted: i32,
        flags: u32,
    ) -> Reply<NodeStats> {
        no_flags(flags, "virNodeGetCPUStats")?;
        // a negative number stands for all of them
        let stats = self.host("virNodeGetCPUStats")?.cpu_stats(u32::try_from(cpu).ok()).await?;
        let named = [
            ("kernel", stats.kernel),
            ("user", stats.user),
            ("idle", stats.idle),
            ("iowait", stats.iowait),
        ];
        Ok(NodeStats::new(named, wanted))
    }

    async fn node_get_memory_stats(
        self,
        _: Context,
        wanted: i32,
        cell: i32,
        flags: u32,
    ) -> Reply<NodeStats> {
        no_flags(flags, "virNodeGetMemoryStats")?;
        let driver = self.host("virNodeGetMemoryStats")?;
        let stats = driver.memory_stats(u32::try_from(cell).ok()).await?;
        let named = stats.iter().map(|(field, value)| (field.as_str(), *value));
        Ok(NodeStats::new(named, wanted))
    }

    async fn connect_get_cpu_model_names(
        self,
        _: Context,
        arch: Text,
        need_results: i32,
        flags: u32,
    ) -> Reply<CpuModels> {
        no_flags(flags, "virConnectGetCPUModelNames")?;
        let driver = self.host("virConnectGetCPUModelNames")?;
        let models = driver.cpu_model_names(&arch.to_text()).await?;
        let ret = i32::try_from(models.len()).unwrap_or(i32::MAX);
        let models = if need_results == 0 { Vec::new() } else { models };
        Ok(CpuModels { models: models.into_iter().map(Text::from).collect(), ret })
    }

    async fn node_get_free_pages(
        self,
        _: Context,
        pages: List<u32, CELLS_MAX>,
        start: i32,
        count: u32,
        flags: u32,
    ) -> Reply<List<u64, CELLS_MAX>> {
        no_flags(flags, "virNodeGetFreePages")?;
        let driver = self.host("virNodeGetFreePages")?;
        Ok(driver.free_pages(&pages.0, start, count).await?.into())
    }

    async fn connect_get_domain_capabilities(
        self,
        _: Context,
        emulator: Option<Text>,
        arch: Option<Text>,
        machine: Option<Text>,
        virt_type: Option<Text>,
        flags: u32,
    ) -> Reply<Text> {
        no_flags(flags, "virConnectGetDomainCapabilities")?;
        let [emulator, arch, machine, virt_type] =
            [emulator, arch, machine, virt_type].map(|part| text(part.as_ref()));
        let query = DomainCapabilitiesQuery {
            emulator: emulator.as_deref(),
            arch: arch.as_deref(),
            machine: machine.as_deref(),
            virt_type: virt_type.as_deref(),
        };
        let driver = self.host("virConnectGetDomainCapabilities")?;
        Ok(driver.domain_capabilities(&query).await?.into())
    }
}

/// The byte with these bits, the lowest first.
fn byte_of(bits: &[bool]) -> u8 {
    bits.iter().rev().fold(0, |byte, bit| byte << 1 | u8::from(*bit))
}

fn no_flags(flags: u32, function: &str) -> Result<()> {
    match flags {
        0 => Ok(()),
        flags => Err(Error::unsupported_flags(ErrorDomain::DOMAIN, flags, function)),
    }
}
