//! Processors.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::commands;

commands! {
    /// The virtual processors and their threads; does not interrupt them.
    QueryCpusFast = "query-cpus-fast" -> Vec<CpuInfo> {}

    /// What processors there are and could be.
    QueryHotpluggableCpus = "query-hotpluggable-cpus" -> Vec<HotpluggableCpu> {}

    /// CPU models that QEMU knows.
    QueryCpuDefinitions = "query-cpu-definitions" -> Vec<CpuDefinition> {}

    /// The properties that a model stands for.
    QueryCpuModelExpansion = "query-cpu-model-expansion" -> CpuModelExpansion {
        /// `static` or `full`.
        #[serde(rename = "type")]
        kind: String,
        /// The model.
        model: CpuModel,
    }
}

/// Place of a processor in the topology; absent members do not apply to the machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct CpuProperties {
    /// NUMA node.
    pub node_id: Option<i64>,
    /// Socket.
    pub socket_id: Option<i64>,
    /// Die in the socket.
    pub die_id: Option<i64>,
    /// Cluster in the die.
    pub cluster_id: Option<i64>,
    /// Module in the cluster.
    pub module_id: Option<i64>,
    /// Core.
    pub core_id: Option<i64>,
    /// Thread of the core.
    pub thread_id: Option<i64>,
}

/// A virtual processor.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct CpuInfo {
    /// Its index.
    pub cpu_index: i64,
    /// Its path in the object tree; absent in old versions for some machines.
    pub qom_path: Option<String>,
    /// Its thread on the host.
    pub thread_id: i64,
    /// Its place.
    pub props: Option<CpuProperties>,
    /// Architecture, such as `x86_64`.
    pub target: Option<String>,
    /// State on s390, such as `operating`.
    pub cpu_state: Option<String>,
}

/// A processor, or a group of threads, that is there or can be plugged in.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct HotpluggableCpu {
    /// Type of its device.
    #[serde(rename = "type")]
    pub kind: String,
    /// Virtual processors in it.
    pub vcpus_count: u64,
    /// Its place.
    #[serde(default)]
    pub props: CpuProperties,
    /// Its path in the object tree, if it is there.
    pub qom_path: Option<String>,
}

/// A CPU model of QEMU.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct CpuDefinition {
    /// Its name.
    pub name: String,
    /// Type of its objects.
    #[serde(default)]
    pub typename: String,
    /// It does not change between versions of QEMU.
    #[serde(rename = "static", default)]
    pub is_static: bool,
    /// It can be migrated between hosts.
    pub migration_safe: Option<bool>,
    /// Properties that this host lacks; absent if QEMU cannot know.
    pub unavailable_features: Option<Vec<String>>,
    /// The versioned model that this name stands for.
    pub alias_of: Option<String>,
    /// It will be removed.
    #[serde(default)]
    pub deprecated: bool,
}

/// A CPU model with properties.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CpuModel {
    /// Its name.
    pub name: String,
    /// Properties that differ from the model's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub props: Option<Map<String, Value>>,
}

/// Reply to [`QueryCpuModelExpansion`].
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct CpuModelExpansion {
    /// The expanded model.
    pub model: CpuModel,
    /// Properties of it that will be removed.
    #[serde(default)]
    pub deprecated_props: Vec<String>,
}
