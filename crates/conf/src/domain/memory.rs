//! Memory of a guest: its size, what backs it, limits and placement.

use crate::element::elements;
use crate::keyword::{OnOff, YesNo, words};

use super::Size;

words! {
    /// What kind of memory backs a guest.
    pub enum MemorySource {
        File = "file",
        Anonymous = "anonymous",
        Memfd = "memfd",
    }

    /// Whether writes to memory are visible to other processes.
    pub enum MemoryAccess {
        Shared = "shared",
        Private = "private",
    }

    /// When memory is taken.
    pub enum MemoryAllocation {
        Immediate = "immediate",
        OnDemand = "ondemand",
    }

    /// How strictly memory stays on its nodes.
    pub enum NumaMode {
        Strict = "strict",
        Preferred = "preferred",
        Interleave = "interleave",
        Restrictive = "restrictive",
    }

    /// Who decides on placement.
    pub enum Placement {
        Static = "static",
        Auto = "auto",
    }
}

elements! {
    /// `<maxMemory>`: how far memory can be extended by plugging.
    pub struct MaxMemory {
        attr slots: Option<u32> = "slots",
        flatten size: Size = "(the same element)",
    }

    /// `<memory>`: memory at start.
    pub struct Memory {
        attr dump_core: Option<OnOff> = "dumpCore",
        flatten size: Size = "(the same element)",
    }

    /// `<memoryBacking>`
    pub struct MemoryBacking {
        present hugepages: Option<HugePages> = "hugepages",
        flag no_share_pages: bool = "nosharepages",
        flag locked: bool = "locked",
        child source: Option<MemorySourceType> = "source",
        child access: Option<MemoryAccessMode> = "access",
        child allocation: Option<MemoryAllocationMode> = "allocation",
        flag discard: bool = "discard",
    }

    /// `<hugepages>`; without pages the default size is meant.
    pub struct HugePages {
        list pages: Vec<HugePage> = "page",
    }

    /// A size of huge pages.
    pub struct HugePage {
        attr size: Option<u64> = "size",
        attr unit: Option<String> = "unit",
        attr nodeset: Option<String> = "nodeset",
    }

    /// `<source>` of `<memoryBacking>`
    pub struct MemorySourceType {
        attr kind: Option<MemorySource> = "type",
    }

    /// `<access>`
    pub struct MemoryAccessMode {
        attr mode: Option<MemoryAccess> = "mode",
    }

    /// `<allocation>`
    pub struct MemoryAllocationMode {
        attr mode: Option<MemoryAllocation> = "mode",
        attr threads: Option<u32> = "threads",
    }

    /// `<memtune>`
    pub struct MemoryTune {
        child hard_limit: Option<Size> = "hard_limit",
        child soft_limit: Option<Size> = "soft_limit",
        child min_guarantee: Option<Size> = "min_guarantee",
        child swap_hard_limit: Option<Size> = "swap_hard_limit",
    }

    /// `<blkiotune>`
    pub struct BlkioTune {
        text weight: Option<u32> = "weight",
        list devices: Vec<BlkioDevice> = "device",
    }

    /// Limits of one block device of the host.
    pub struct BlkioDevice {
        text path: Option<String> = "path",
        text weight: Option<u32> = "weight",
        text read_iops_sec: Option<u32> = "read_iops_sec",
        text write_iops_sec: Option<u32> = "write_iops_sec",
        text read_bytes_sec: Option<u64> = "read_bytes_sec",
        text write_bytes_sec: Option<u64> = "write_bytes_sec",
    }

    /// `<numatune>`
    pub struct NumaTune {
        child memory: Option<NumaMemory> = "memory",
        list nodes: Vec<NumaMemoryNode> = "memnode",
    }

    /// Placement of all memory.
    pub struct NumaMemory {
        attr mode: Option<NumaMode> = "mode",
        attr nodeset: Option<String> = "nodeset",
        attr placement: Option<Placement> = "placement",
    }

    /// Placement of one guest cell's memory.
    pub struct NumaMemoryNode {
        attr cell: Option<u32> = "cellid",
        attr mode: Option<NumaMode> = "mode",
        attr nodeset: Option<String> = "nodeset",
    }

    /// Cells of a guest: `<numa>` of `<cpu>`.
    pub struct Numa {
        list cells: Vec<NumaCell> = "cell",
        child interconnects: Option<Interconnects> = "interconnects",
    }

    /// One cell.
    pub struct NumaCell {
        attr id: Option<u32> = "id",
        attr cpus: Option<String> = "cpus",
        attr memory: Option<u64> = "memory",
        attr unit: Option<String> = "unit",
        attr mem_access: Option<MemoryAccess> = "memAccess",
        attr discard: Option<YesNo> = "discard",
        child distances: Option<Distances> = "distances",
        list caches: Vec<NumaCache> = "cache",
    }

    /// Distances of a cell to the other cells.
    pub struct Distances {
        list siblings: Vec<Sibling> = "sibling",
    }

    /// One distance.
    pub struct Sibling {
        attr id: Option<u32> = "id",
        attr value: Option<u32> = "value",
    }

    /// Cache in front of a cell's memory.
    pub struct NumaCache {
        attr level: Option<u32> = "level",
        attr associativity: Option<String> = "associativity",
        attr policy: Option<String> = "policy",
        child size: Option<NumaCacheValue> = "size",
        child line: Option<NumaCacheValue> = "line",
    }

    /// A size of a cell's cache.
    pub struct NumaCacheValue {
        attr value: Option<u64> = "value",
        attr unit: Option<String> = "unit",
    }

    /// What connects cells.
    pub struct Interconnects {
        list latencies: Vec<Interconnect> = "latency",
        list bandwidths: Vec<Interconnect> = "bandwidth",
    }

    /// Speed of one connection.
    pub struct Interconnect {
        attr initiator: Option<u32> = "initiator",
        attr target: Option<u32> = "target",
        attr cache: Option<u32> = "cache",
        attr kind: Option<String> = "type",
        attr value: Option<u64> = "value",
        attr unit: Option<String> = "unit",
    }
}
