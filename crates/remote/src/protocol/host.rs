//! Calls about the host of the driver.
//!
//! libvirt 11.3.0: src/remote/remote_protocol.x

use oxivirt_rpc::xdr::{List, Text};

use super::{Needs, Procedure, Reply, protocol};
use crate::wire::{CpuMapBytes, NodeInfo};

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
    203 connect_get_sysinfo(flags: u32) -> Text:
        "virConnectGetSysinfo" Connection [Connect "read"];
    293 node_get_cpu_map(need_map: i32, need_online: i32, flags: u32) -> CpuMapBytes:
        "virNodeGetCPUMap" Connection [Connect "read"];
}
