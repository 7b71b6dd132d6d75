//! Calls about the host.

use oxivirt_rpc::xdr::{List, Text};
use tarpc::context::Context;

use super::Calls;
use crate::protocol::Reply;
use crate::protocol::host::HostCalls;
use crate::wire::{CpuMapBytes, NodeInfo, Opaque, text};

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
}

/// The byte with these bits, the lowest first.
fn byte_of(bits: &[bool]) -> u8 {
    bits.iter().rev().fold(0, |byte, bit| byte << 1 | u8::from(*bit))
}
