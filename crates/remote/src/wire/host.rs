//! Facts about the host.

use oxivirt_rpc::xdr::Text;
use serde::{Deserialize, Serialize};

use super::Opaque;

/// Processor and memory of a host (`remote_node_get_info_ret`).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeInfo {
    /// Architecture, filled up with zeros; each letter takes four bytes.
    pub model: [i8; 32],
    /// Memory in KiB.
    pub memory: u64,
    /// Active processors.
    pub cpus: i32,
    /// Frequency in MHz.
    pub mhz: i32,
    /// NUMA cells.
    pub nodes: i32,
    /// Sockets per cell.
    pub sockets: i32,
    /// Cores per socket.
    pub cores: i32,
    /// Threads per core.
    pub threads: i32,
}

impl From<&oxivirt::NodeInfo> for NodeInfo {
    fn from(info: &oxivirt::NodeInfo) -> Self {
        let mut model = [0; 32];
        // the last letter stays zero
        for (to, from) in model.iter_mut().take(31).zip(info.model.bytes()) {
            *to = from.cast_signed();
        }
        let count = |n: u32| i32::try_from(n).unwrap_or(i32::MAX);
        Self {
            model,
            memory: info.memory_kib,
            cpus: count(info.cpus),
            mhz: count(info.mhz),
            nodes: count(info.nodes),
            sockets: count(info.sockets),
            cores: count(info.cores),
            threads: count(info.threads),
        }
    }
}

impl From<&NodeInfo> for oxivirt::NodeInfo {
    fn from(info: &NodeInfo) -> Self {
        let letters: Vec<u8> = info.model.iter().map(|letter| letter.cast_unsigned()).collect();
        let count = |n: i32| u32::try_from(n).unwrap_or_default();
        Self {
            model: Text::from(letters).to_text(),
            memory_kib: info.memory,
            cpus: count(info.cpus),
            mhz: count(info.mhz),
            nodes: count(info.nodes),
            sockets: count(info.sockets),
            cores: count(info.cores),
            threads: count(info.threads),
        }
    }
}

/// Processors of a host: a bit each, lowest first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CpuMapBytes {
    /// The bits, if they were wanted.
    pub cpumap: Opaque,
    /// How many run.
    pub online: u32,
    /// How many are there.
    pub ret: i32,
}
