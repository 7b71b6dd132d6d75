//! Calls about the host of the driver.
//!
//! libvirt 11.3.0: src/remote/remote_protocol.x

use oxivirt_rpc::xdr::{List, Text};

use super::{Needs, Procedure, Reply, protocol};
use crate::wire::{CELLS_MAX, CpuMapBytes, CpuModels, NodeInfo, NodeStats, SecurityModel};

protocol! {
    HostCalls HostCallsClient HostCallsRequest HostCallsResponse ServeHostCalls;

    5 connect_get_max_vcpus(kind: Option<Text>) -> i32:
        "virConnectGetMaxVcpus" Connection [Connect "read"];
    6 node_get_info() -> NodeInfo:
        "virNodeGetInfo" Connection [Connect "read"];
    7 connect_get_capabilities() -> Text:
        "virConnectGetCapabilities" Connection [Connect "read"];
    101 node_get_cells_free_memory(start_cell: i32, maxcells: i32) -> List<u64, 1024>:
        "virNodeGetCellsFreeMemory" Connection [Connect "read"];
    102 node_get_free_memory() -> u64:
        "virNodeGetFreeMemory" Connection [Connect "read"];
    122 node_get_security_model() -> SecurityModel:
        "virNodeGetSecurityModel" Connection [Connect "read"];
    203 connect_get_sysinfo(flags: u32) -> Text:
        "virConnectGetSysinfo" Connection [Connect "read"];
    227 node_get_cpu_stats(cpu: i32, nparams: i32, flags: u32) -> NodeStats:
        "virNodeGetCPUStats" Connection [Connect "read"];
    228 node_get_memory_stats(nparams: i32, cell: i32, flags: u32) -> NodeStats:
        "virNodeGetMemoryStats" Connection [Connect "read"];
    293 node_get_cpu_map(need_map: i32, need_online: i32, flags: u32) -> CpuMapBytes:
        "virNodeGetCPUMap" Connection [Connect "read"];
    312 connect_get_cpu_model_names(arch: Text, need_results: i32, flags: u32) -> CpuModels:
        "virConnectGetCPUModelNames" Connection [Connect "read"];
    340 node_get_free_pages(pages: List<u32, CELLS_MAX>, start_cell: i32, n_cells: u32, flags: u32) -> List<u64, CELLS_MAX>:
        "virNodeGetFreePages" Connection [Connect "read"];
    342 connect_get_domain_capabilities(emulator: Option<Text>, arch: Option<Text>, machine: Option<Text>, virt_type: Option<Text>, flags: u32) -> Text:
        "virConnectGetDomainCapabilities" Change [Connect "write"];
}
