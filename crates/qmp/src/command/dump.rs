//! Dumps of the guest's memory.

use serde::Deserialize;

use super::{Empty, commands};

commands! {
    /// Writes the guest's memory. `DUMP_COMPLETED` follows if detached.
    DumpGuestMemory = "dump-guest-memory" -> Empty {
        /// By the guest's page tables.
        paging: bool,
        /// `file:PATH` or `fd:NAME`.
        protocol: String,
        /// Do not wait for the end.
        #[serde(skip_serializing_if = "Option::is_none")]
        detach: Option<bool>,
        /// First address.
        #[serde(skip_serializing_if = "Option::is_none")]
        begin: Option<i64>,
        /// Bytes.
        #[serde(skip_serializing_if = "Option::is_none")]
        length: Option<i64>,
        /// `elf`, `kdump-zlib`, `kdump-lzo`, `kdump-snappy`, …
        #[serde(skip_serializing_if = "Option::is_none")]
        format: Option<String>,
    }

    /// How a detached dump goes.
    QueryDump = "query-dump" -> DumpInfo {}

    /// Formats that this QEMU writes.
    QueryDumpGuestMemoryCapability = "query-dump-guest-memory-capability" -> DumpFormats {}
}

/// Reply to [`QueryDump`].
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct DumpInfo {
    /// `none`, `active`, `completed` or `failed`.
    pub status: String,
    /// Bytes written.
    #[serde(default)]
    pub completed: i64,
    /// Bytes in all.
    #[serde(default)]
    pub total: i64,
}

/// Reply to [`QueryDumpGuestMemoryCapability`].
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct DumpFormats {
    /// The formats.
    pub formats: Vec<String>,
}
