//! Facts about the host.

use oxivirt_rpc::xdr::{List, Text};
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

/// Most NUMA cells of a host (`REMOTE_NODE_MAX_CELLS`).
pub const CELLS_MAX: usize = 1024;
/// Longest list of processor models (`REMOTE_CONNECT_CPU_MODELS_MAX`).
pub const CPU_MODELS_MAX: usize = 8192;
/// Longest name of a security model with its zero (`REMOTE_SECURITY_MODEL_MAX`).
const SECURITY_MODEL_MAX: usize = 257;
/// Most figures about processors or memory (`REMOTE_NODE_CPU_STATS_MAX`).
const STATS_MAX: usize = 16;

/// A security model (`remote_node_get_security_model_ret`): letters of four bytes, with a zero at the end.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SecurityModel {
    /// Its name.
    pub model: List<i8, SECURITY_MODEL_MAX>,
    /// Its domain of interpretation.
    pub doi: List<i8, SECURITY_MODEL_MAX>,
}

/// A text as letters of four bytes with a zero at the end; what is too long is cut off.
pub(super) fn letters<const MAX: usize>(text: &str) -> List<i8, MAX> {
    let bytes = text.bytes().take(MAX.saturating_sub(1)).chain([0]);
    bytes.map(u8::cast_signed).collect()
}

/// The text of letters of four bytes, up to the first zero.
pub(super) fn of_letters(letters: &[i8]) -> String {
    let bytes = letters.iter().map(|letter| letter.cast_unsigned()).take_while(|byte| *byte != 0);
    Text::from(bytes.collect::<Vec<u8>>()).to_text()
}

impl From<&oxivirt::SecurityModel> for SecurityModel {
    fn from(model: &oxivirt::SecurityModel) -> Self {
        Self { model: letters(&model.model), doi: letters(&model.doi) }
    }
}

impl From<&SecurityModel> for oxivirt::SecurityModel {
    fn from(model: &SecurityModel) -> Self {
        Self { model: of_letters(&model.model.0), doi: of_letters(&model.doi.0) }
    }
}

/// A figure with its name (`remote_node_get_cpu_stats`, `remote_node_get_memory_stats`).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeStat {
    /// Its name.
    pub field: Text,
    /// The figure.
    pub value: u64,
}

/// Figures about processors or memory, and how many there are.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeStats {
    /// The figures, if a number of them was wanted.
    pub params: List<NodeStat, STATS_MAX>,
    /// How many, if only that was asked.
    pub nparams: i32,
}

impl NodeStats {
    /// The answer to a client that asks for `wanted` figures; 0 asks how many there are.
    pub fn new<'n>(stats: impl IntoIterator<Item = (&'n str, u64)>, wanted: i32) -> Self {
        let stats = stats.into_iter().map(|(field, value)| NodeStat { field: field.into(), value });
        let all: Vec<NodeStat> = stats.take(STATS_MAX).collect();
        if wanted == 0 {
            let nparams = i32::try_from(all.len()).unwrap_or(i32::MAX);
            return Self { params: List(Vec::new()), nparams };
        }
        let wanted = usize::try_from(wanted).unwrap_or_default();
        Self { params: all.into_iter().take(wanted).collect(), nparams: 0 }
    }
}

/// Names of processor models, and how many there are.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CpuModels {
    /// The names, if they were wanted.
    pub models: List<Text, CPU_MODELS_MAX>,
    /// How many.
    pub ret: i32,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn security_models_have_a_zero_at_the_end() {
        let model = oxivirt::SecurityModel { model: "none".to_owned(), doi: "0".to_owned() };
        let wire = SecurityModel::from(&model);
        assert_eq!((wire.model.0.len(), wire.doi.0.len()), (5, 2));
        assert_eq!(oxivirt::SecurityModel::from(&wire), model);
    }

    #[test]
    fn the_number_of_figures_is_asked_first() {
        let stats = || [("kernel", 1), ("user", 2)];
        let asked = NodeStats::new(stats(), 0);
        assert_eq!((asked.params.0.len(), asked.nparams), (0, 2));
        let given = NodeStats::new(stats(), 2);
        assert_eq!((given.params.0.len(), given.nparams), (2, 0));
    }
}
