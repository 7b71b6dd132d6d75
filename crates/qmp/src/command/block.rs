//! Block devices and their nodes.

use serde::Deserialize;
use serde_json::{Map, Value};

use super::{Empty, commands, object_commands};

commands! {
    /// Removes a node that nothing uses.
    BlockdevDel = "blockdev-del" -> Empty {
        /// Its name.
        node_name: String,
    }

    /// Makes an image in a job.
    BlockdevCreate = "blockdev-create" -> Empty {
        /// Id of the job.
        job_id: String,
        /// What to make.
        options: Map<String, Value>,
    }

    /// Opens nodes anew with other options.
    BlockdevReopen = "blockdev-reopen" -> Empty {
        /// Complete options of each node.
        options: Vec<Value>,
    }

    /// Opens the tray of a drive.
    BlockdevOpenTray = "blockdev-open-tray" -> Empty {
        /// Id of the device.
        id: String,
        /// Although the guest has locked it.
        #[serde(skip_serializing_if = "Option::is_none")]
        force: Option<bool>,
    }

    /// Closes the tray of a drive.
    BlockdevCloseTray = "blockdev-close-tray" -> Empty {
        /// Id of the device.
        id: String,
    }

    /// Takes the medium out of an open drive.
    BlockdevRemoveMedium = "blockdev-remove-medium" -> Empty {
        /// Id of the device.
        id: String,
    }

    /// Puts a medium into an open drive.
    BlockdevInsertMedium = "blockdev-insert-medium" -> Empty {
        /// Id of the device.
        id: String,
        /// Node of the medium.
        node_name: String,
    }

    /// Block devices with their media.
    QueryBlock = "query-block" -> Vec<BlockInfo> {}

    /// Counters of devices, or of all nodes.
    QueryBlockstats = "query-blockstats" -> Vec<BlockStats> {
        /// Of nodes.
        #[serde(skip_serializing_if = "Option::is_none")]
        query_nodes: Option<bool>,
    }

    /// Nodes that have a name.
    QueryNamedBlockNodes = "query-named-block-nodes" -> Vec<BlockNode> {
        /// Without the backing chain of each.
        #[serde(skip_serializing_if = "Option::is_none")]
        flat: Option<bool>,
    }

    /// Changes the size of a node or device.
    BlockResize = "block_resize" -> Empty {
        /// Name of the device.
        #[serde(skip_serializing_if = "Option::is_none")]
        device: Option<String>,
        /// Name of the node.
        #[serde(skip_serializing_if = "Option::is_none")]
        node_name: Option<String>,
        /// Bytes.
        size: u64,
    }

    /// Makes several changes, all or none.
    Transaction = "transaction" -> Empty {
        /// Each with `type` and `data`.
        actions: Vec<Value>,
    }

    /// Sets the offset of writes above which `BLOCK_WRITE_THRESHOLD` is sent.
    BlockSetWriteThreshold = "block-set-write-threshold" -> Empty {
        /// The node.
        node_name: String,
        /// Bytes; 0 for none.
        write_threshold: u64,
    }
}

object_commands! {
    /// Makes a node: `driver`, `node-name` and the driver's options.
    BlockdevAdd = "blockdev-add";
    /// Sets the limits of a device: `id` and all of `bps`, `bps_rd`, `bps_wr`, `iops`, `iops_rd`,
    /// `iops_wr`; the rest is optional.
    BlockSetIoThrottle = "block_set_io_throttle";
    /// Begins to commit an overlay: `device`, `job-id`, `top-node`, `base-node`, …
    BlockCommit = "block-commit";
    /// Begins to copy from the backing chain: `device`, `job-id`, `base-node`, …
    BlockStream = "block-stream";
    /// Begins to mirror: `device`, `job-id`, `target`, `sync`, …
    BlockdevMirror = "blockdev-mirror";
    /// Puts an overlay over a node: `node`, `overlay`.
    BlockdevSnapshot = "blockdev-snapshot";
}

/// A block device.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct BlockInfo {
    /// Name of the drive; empty for `-blockdev`.
    #[serde(default)]
    pub device: String,
    /// Id or path of the device.
    pub qdev: Option<String>,
    /// Its media can be changed.
    #[serde(default)]
    pub removable: bool,
    /// The guest has locked the tray.
    #[serde(default)]
    pub locked: bool,
    /// The tray is open; absent without a tray.
    #[serde(rename = "tray_open")]
    pub tray_open: Option<bool>,
    /// Whether the last request failed: `ok`, `failed` or `nospace`.
    pub io_status: Option<String>,
    /// The medium; absent in an empty drive.
    pub inserted: Option<BlockNode>,
}

/// An opened node.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct BlockNode {
    /// Its file, or a `json:` description.
    #[serde(default)]
    pub file: String,
    /// Its name.
    #[serde(rename = "node-name")]
    pub node_name: Option<String>,
    /// It is not written to.
    #[serde(default)]
    pub ro: bool,
    /// Its driver, such as `qcow2`.
    #[serde(default)]
    pub drv: String,
    /// Text of the backing file.
    pub backing_file: Option<String>,
    /// Offset above which an event is sent.
    #[serde(default)]
    pub write_threshold: u64,
    /// What the image is.
    pub image: Option<ImageInfo>,
    /// Its bitmaps.
    #[serde(rename = "dirty-bitmaps", default)]
    pub dirty_bitmaps: Vec<Value>,
}

/// An image.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct ImageInfo {
    /// Its file, or a `json:` description.
    #[serde(default)]
    pub filename: String,
    /// Its format.
    #[serde(default)]
    pub format: String,
    /// Bytes that the guest sees.
    #[serde(default)]
    pub virtual_size: u64,
    /// Bytes on the host.
    pub actual_size: Option<u64>,
    /// Bytes of a cluster.
    pub cluster_size: Option<u64>,
    /// It is encrypted.
    #[serde(default)]
    pub encrypted: bool,
    /// Text of the backing file.
    pub backing_filename: Option<String>,
    /// What the format itself knows.
    pub format_specific: Option<Value>,
}

/// Counters of a device or node.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct BlockStats {
    /// Name of the drive.
    pub device: Option<String>,
    /// Id or path of the device.
    pub qdev: Option<String>,
    /// Name of the node.
    pub node_name: Option<String>,
    /// The counters.
    pub stats: BlockCounters,
    /// Counters of the node below.
    pub parent: Option<Box<Self>>,
    /// Counters of the backing node.
    pub backing: Option<Box<Self>>,
}

/// Counters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(default)]
pub struct BlockCounters {
    /// Bytes read.
    pub rd_bytes: u64,
    /// Bytes written.
    pub wr_bytes: u64,
    /// Reads.
    pub rd_operations: u64,
    /// Writes.
    pub wr_operations: u64,
    /// Flushes.
    pub flush_operations: u64,
    /// Nanoseconds of reads.
    pub rd_total_time_ns: u64,
    /// Nanoseconds of writes.
    pub wr_total_time_ns: u64,
    /// Nanoseconds of flushes.
    pub flush_total_time_ns: u64,
    /// Highest offset written to.
    pub wr_highest_offset: u64,
}
