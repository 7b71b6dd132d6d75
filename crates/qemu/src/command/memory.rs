//! Memory: its size, what backs it and on which nodes of the host it lies.

use std::path::PathBuf;

use oxivirt_conf::domain::address::Address;
use oxivirt_conf::domain::device::memory::{MemoryDevice, MemoryModel};
use oxivirt_conf::domain::memory::{
    HugePage, MemoryAccess, MemoryAllocation, MemorySource, Numa, NumaMode, Placement,
};

use super::Build;
use super::address::alias;
use super::error::{PlanError, Result};
use super::props::{Props, Words, on_off};

/// Sizes are rounded up to this many KiB.
const MIB_KIB: u64 = 1024;
/// Distance of a cell to itself.
const HERE: u32 = 10;
/// Distance of a cell to another if nothing is said.
const REMOTE: u32 = 20;

/// A piece of memory.
struct Piece<'a> {
    id: &'a str,
    kib: u64,
    /// The cell it belongs to.
    cell: Option<u32>,
    access: Option<MemoryAccess>,
    /// Nodes of the host that it says itself.
    nodes: Option<Vec<u32>>,
    /// Size of pages that it says itself.
    page_kib: Option<u64>,
    /// The file behind a persistent piece.
    path: Option<&'a str>,
    /// Whether it is the memory that the machine maps.
    is_system: bool,
}

/// The object behind a piece.
struct Backend {
    props: Props,
    /// Nodes of the host that its pages are taken from in advance.
    affinity: Option<Vec<u32>>,
    /// Whether the piece cannot do without it.
    is_needed: bool,
}

impl Build<'_> {
    /// The identifier of the memory that the machine maps, if it is no cell's.
    pub(super) fn default_ram(&self) -> Option<&str> {
        if self.numa().is_some() {
            return None;
        }
        self.machine_facts()?.default_ram_id.as_deref()
    }

    fn numa(&self) -> Option<&Numa> {
        let numa = self.def.cpu.as_ref()?.numa.as_ref();
        numa.filter(|numa| !numa.cells.is_empty())
    }

    /// Memory at start in KiB, without what is plugged.
    fn initial_kib(&self) -> Result<u64> {
        if let Some(numa) = self.numa() {
            let cells = numa.cells.iter().map(|cell| cell_kib(cell.memory, cell.unit.as_deref()));
            return Ok(cells.fold(0, u64::saturating_add));
        }
        let memory = self.def.memory.as_ref().ok_or_else(|| PlanError::unprepared("memory"))?;
        let plugged = self.devices.memories.iter().filter_map(|it| it.target.as_ref()?.size);
        let plugged = plugged.fold(0, |sum: u64, size| sum.saturating_add(size.kib()));
        Ok(round_up(memory.size.kib().saturating_sub(plugged)))
    }

    /// libvirt 11.3.0: `qemuBuildMemCommandLine`, src/qemu/qemu_command.c
    pub(super) fn memory(&mut self) -> Result<()> {
        let kib = self.initial_kib()?;
        let mut words = Words::default().pair("size", format_args!("{kib}k"));
        if let Some(max) = &self.def.max_memory {
            words = words.pair_opt("slots", max.slots.filter(|&slots| slots > 0));
            words = words.pair("maxmem", format_args!("{}k", round_up(max.size.kib())));
        }
        self.option("-m", words.finish());
        if let Some(id) = self.default_ram().map(str::to_owned) {
            let access = self.def.memory_backing.as_ref().and_then(|it| it.access.as_ref());
            let piece = Piece {
                id: &id,
                kib,
                cell: None,
                access: access.and_then(|access| access.mode),
                nodes: None,
                page_kib: None,
                path: None,
                is_system: true,
            };
            let backend = self.backend(&piece)?;
            self.add_backend(&id, backend);
        }
        let is_locked = self.def.memory_backing.as_ref().is_some_and(|backing| backing.locked);
        self.option("-overcommit", format!("mem-lock={}", on_off(is_locked)));
        Ok(())
    }

    /// libvirt 11.3.0: `qemuBuildNumaCommandLine`, src/qemu/qemu_command.c
    pub(super) fn cells(&mut self) -> Result<()> {
        let def = self.def;
        let Some(numa) = def.cpu.as_ref().and_then(|cpu| cpu.numa.as_ref()) else {
            return Ok(());
        };
        if numa.interconnects.is_some() {
            return Err(PlanError::element("interconnects"));
        }
        let general = def.memory_backing.as_ref().and_then(|it| it.access.as_ref()?.mode);
        let mut backends = Vec::new();
        for (at, cell) in (0..).zip(&numa.cells) {
            let index = cell.id.unwrap_or(at);
            let id = format!("ram-node{index}");
            let piece = Piece {
                id: &id,
                kib: cell_kib(cell.memory, cell.unit.as_deref()),
                cell: Some(index),
                access: cell.mem_access.or(general),
                nodes: None,
                page_kib: None,
                path: None,
                is_system: false,
            };
            let backend = self.backend(&piece)?;
            backends.push((index, id, piece_mib(cell.memory, cell.unit.as_deref()), cell, backend));
        }
        let is_old = self.machine_facts().is_some_and(|machine| machine.has_numa_memory);
        let has_objects = !is_old || backends.iter().any(|(.., backend)| backend.is_needed);
        if !has_objects && self.is_immediate() {
            self.arguments.push(String::from("-mem-prealloc"));
        }
        for (index, id, mib, cell, backend) in backends {
            let mut words = Words::new("node").pair("nodeid", index);
            for range in cell.cpus.iter().flat_map(|cpus| cpus.split(',')) {
                words = words.pair("cpus", range);
            }
            if has_objects {
                self.add_backend(&id, backend);
                words = words.pair("memdev", id);
            } else {
                words = words.pair("mem", mib);
            }
            self.option("-numa", words.finish());
        }
        self.distances(numa);
        Ok(())
    }

    fn distances(&mut self, numa: &Numa) {
        if numa.cells.iter().all(|cell| cell.distances.is_none()) {
            return;
        }
        let ids: Vec<u32> =
            (0..).zip(&numa.cells).map(|(at, cell)| cell.id.unwrap_or(at)).collect();
        let said = |from: u32, to: u32| {
            let cell = numa.cells.iter().zip(&ids).find(|(_, id)| **id == from)?.0;
            let siblings = &cell.distances.as_ref()?.siblings;
            siblings.iter().find(|sibling| sibling.id == Some(to))?.value
        };
        for &from in &ids {
            for &to in &ids {
                let usual = if from == to { HERE } else { REMOTE };
                let value = said(from, to).or_else(|| said(to, from)).unwrap_or(usual);
                self.option("-numa", format!("dist,src={from},dst={to},val={value}"));
            }
        }
    }

    /// libvirt 11.3.0: `qemuBuildMemoryDeviceCommandLine`, src/qemu/qemu_command.c
    pub(super) fn memory_devices(&mut self) -> Result<()> {
        let devices = self.devices;
        for memory in &devices.memories {
            let id = alias(&memory.info)?;
            let object = format!("mem{id}");
            let target = memory.target.as_ref();
            let cell = target.and_then(|target| target.node);
            let driver = match memory.model {
                Some(MemoryModel::Dimm) | None => "pc-dimm",
                Some(MemoryModel::Nvdimm) => "nvdimm",
                Some(model) => {
                    return Err(PlanError::element(&format!("memory model='{model}'")));
                }
            };
            let backend = self.plugged(memory, &object, cell)?;
            self.add_backend(&object, backend);
            let label = target.and_then(|target| target.label.as_ref()?.size);
            let is_readonly = target.is_some_and(|target| target.readonly);
            let mut props = Props::driver(driver)
                .with_opt("node", cell)
                .with_opt("label-size", label.map(|size| size.bytes()))
                .with_opt("uuid", memory.uuid.as_deref())
                .with_opt("unarmed", is_readonly.then_some(true))
                .with("memdev", object)
                .with("id", id);
            if let Some(Address::Dimm(_)) = &memory.info.address {
                props = props.with_all(self.address(&memory.info)?);
            }
            self.device(&memory.info, props)?;
        }
        Ok(())
    }

    fn plugged(&self, memory: &MemoryDevice, id: &str, cell: Option<u32>) -> Result<Backend> {
        let target = memory.target.as_ref();
        let source = memory.source.as_ref();
        let kib = target.and_then(|target| target.size).map_or(0, |size| size.kib());
        let numa = self.numa();
        let cell_access = numa.and_then(|numa| {
            let mut cells = (0..).zip(&numa.cells);
            let found = cells.find(|(at, it)| Some(it.id.unwrap_or(*at)) == cell);
            found.and_then(|(_, it)| it.mem_access)
        });
        let general = self.def.memory_backing.as_ref().and_then(|it| it.access.as_ref()?.mode);
        let nodes = source.and_then(|source| source.nodemask.as_deref()).map(node_set);
        let backend = self.backend(&Piece {
            id,
            kib: round_up(kib),
            cell,
            access: memory.access.or(cell_access).or(general),
            nodes: nodes.transpose()?,
            page_kib: source.and_then(|source| source.page_size).map(|size| size.kib()),
            path: source.and_then(|source| source.path.as_deref()),
            is_system: false,
        })?;
        let align = source.and_then(|source| source.align_size).map(|size| size.bytes());
        let is_persistent = source.is_some_and(|source| source.pmem).then_some(true);
        let props = backend.props.with_opt("align", align).with_opt("pmem", is_persistent);
        Ok(Backend { props, ..backend })
    }

    fn is_immediate(&self) -> bool {
        let backing = self.def.memory_backing.as_ref();
        let mode = backing.and_then(|it| it.allocation.as_ref()?.mode);
        mode == Some(MemoryAllocation::Immediate)
    }

    /// libvirt 11.3.0: `qemuBuildMemoryBackendProps`, src/qemu/qemu_command.c
    fn backend(&self, piece: &Piece<'_>) -> Result<Backend> {
        let backing = self.def.memory_backing.as_ref();
        let source = backing.and_then(|it| it.source.as_ref()?.kind);
        let huge = self.huge_pages(piece)?;
        let is_file = huge.is_some()
            || piece.path.is_some()
            || piece.access.is_some()
            || source == Some(MemorySource::File);
        let props = if source == Some(MemorySource::Memfd) && piece.path.is_none() {
            let bytes = huge.as_ref().map(|(kib, _)| kib.saturating_mul(1024));
            Props::object("memory-backend-memfd", piece.id)
                .with_opt("hugetlb", bytes.map(|_| true))
                .with_opt("hugetlbsize", bytes)
        } else if is_file {
            let path = match (&huge, piece.path) {
                (_, Some(path)) => PathBuf::from(path),
                (Some((_, path)), None) => path.clone(),
                (None, None) => self.facts.directories.memory.join(piece.id),
            };
            Props::object("memory-backend-file", piece.id).with("mem-path", path.to_string_lossy())
        } else {
            Props::object("memory-backend-ram", piece.id)
        };
        let is_mapped = is_file || source == Some(MemorySource::Memfd);
        let share = piece.access.map(|access| access == MemoryAccess::Shared);
        let prealloc = (huge.is_some() && piece.path.is_none()) || self.is_immediate();
        let threads = backing.and_then(|it| it.allocation.as_ref()?.threads);
        let (nodes, mode) = self.placement(piece)?;
        let policy = match mode {
            Some(NumaMode::Preferred) => Some("preferred"),
            Some(NumaMode::Interleave) => Some("interleave"),
            Some(NumaMode::Restrictive) => None,
            Some(NumaMode::Strict) | None => Some("bind"),
        };
        let bound = nodes.clone().filter(|_| policy.is_some());
        let canonical = (piece.is_system && is_mapped).then_some(false);
        let affinity = nodes.filter(|_| prealloc && self.emulator.has("thread-context"));
        let is_needed = is_mapped || bound.is_some() || piece.nodes.is_some();
        let props = props
            .with_opt("share", share.filter(|_| is_mapped))
            .with_opt("x-use-canonical-path-for-ramblock-id", canonical)
            .with_opt("prealloc", prealloc.then_some(true))
            .with_opt("prealloc-threads", threads.filter(|_| prealloc))
            .with("size", piece.kib.saturating_mul(1024))
            .with_opt("host-nodes", bound.clone())
            .with_opt("policy", bound.and(policy))
            .with_opt("prealloc-context", affinity.as_ref().map(|_| format!("tc-{}", piece.id)));
        Ok(Backend { props, affinity, is_needed })
    }

    fn add_backend(&mut self, id: &str, backend: Backend) {
        if let Some(nodes) = backend.affinity {
            let props = Props::object("thread-context", format!("tc-{id}"));
            self.object(&props.with("node-affinity", nodes));
        }
        self.object(&backend.props);
    }

    /// Nodes of the host that a piece lies on, and how strictly.
    fn placement(&self, piece: &Piece<'_>) -> Result<(Option<Vec<u32>>, Option<NumaMode>)> {
        let tune = self.def.numatune.as_ref();
        let own = tune.and_then(|tune| {
            tune.nodes.iter().find(|node| node.cell.is_some() && node.cell == piece.cell)
        });
        let general = tune.and_then(|tune| tune.memory.as_ref());
        let mode = match own {
            Some(own) => own.mode,
            None => general.and_then(|memory| memory.mode),
        };
        let nodes = if let Some(nodes) = &piece.nodes {
            Some(nodes.clone())
        } else if let Some(set) = own.and_then(|own| own.nodeset.as_deref()) {
            Some(node_set(set)?)
        } else if let Some(set) = general.and_then(|memory| memory.nodeset.as_deref()) {
            Some(node_set(set)?)
        } else {
            let is_automatic = general.is_some_and(|memory| match memory.placement {
                Some(placement) => placement == Placement::Auto,
                None => {
                    let vcpu = self.def.vcpu.as_ref();
                    vcpu.and_then(|vcpu| vcpu.placement) == Some(Placement::Auto)
                }
            });
            is_automatic.then(|| self.facts.automatic_nodes.clone())
        };
        let unavailable =
            nodes.iter().flatten().find(|node| !self.facts.host.numa_nodes.contains(node));
        if let Some(node) = unavailable {
            return Err(PlanError::Unsupported(format!("NUMA node {node} is unavailable")));
        }
        Ok((nodes, mode))
    }

    /// Size and directory of the huge pages of a piece; nothing for ordinary ones.
    fn huge_pages(&self, piece: &Piece<'_>) -> Result<Option<(u64, PathBuf)>> {
        let host = &self.facts.host;
        let pages = self.def.memory_backing.as_ref().and_then(|it| it.hugepages.as_ref());
        let kib = match (piece.page_kib, pages) {
            (Some(kib), _) => Some(kib),
            (None, None) => return Ok(None),
            (None, Some(pages)) if pages.pages.is_empty() => None,
            (None, Some(pages)) => {
                let of_cell = |page: &&HugePage| {
                    let set = page.nodeset.as_deref().and_then(|set| node_set(set).ok());
                    match (set, piece.cell) {
                        (Some(set), cell) => set.contains(&cell.unwrap_or(0)),
                        (None, _) => false,
                    }
                };
                let general = |page: &&HugePage| page.nodeset.is_none();
                let found = pages.pages.iter().find(of_cell);
                let Some(page) = found.or_else(|| pages.pages.iter().find(general)) else {
                    return Ok(None);
                };
                page.size.map(|size| scaled_kib(size, page.unit.as_deref()))
            }
        };
        if kib == Some(host.page_kib) {
            return Ok(None);
        }
        let mount = host.huge_pages.iter().find(|mount| match kib {
            Some(kib) => mount.size_kib == kib,
            None => mount.is_default,
        });
        let mount = mount.ok_or_else(|| match kib {
            Some(kib) => PlanError::Internal(format!(
                "Unable to find any usable hugetlbfs mount for {kib} KiB"
            )),
            None => PlanError::Internal(String::from(
                "hugetlbfs filesystem is not mounted or disabled by administrator config",
            )),
        })?;
        let guest = format!("{}-{}", self.facts.id, self.short_name());
        Ok(Some((mount.size_kib, mount.path.join("libvirt/qemu").join(guest))))
    }
}

/// To whole MiB.
fn round_up(kib: u64) -> u64 {
    kib.div_ceil(MIB_KIB).saturating_mul(MIB_KIB)
}

/// A number with a unit of documents, in KiB.
fn scaled_kib(value: u64, unit: Option<&str>) -> u64 {
    let unit = unit.unwrap_or("KiB").to_ascii_lowercase();
    let bytes = match unit.as_str() {
        "b" | "byte" | "bytes" => value,
        "kb" => value.saturating_mul(1000),
        "m" | "mib" => value.saturating_mul(1024 * 1024),
        "mb" => value.saturating_mul(1_000_000),
        "g" | "gib" => value.saturating_mul(1024 * 1024 * 1024),
        "gb" => value.saturating_mul(1_000_000_000),
        "t" | "tib" => value.saturating_mul(1024 * 1024 * 1024 * 1024),
        _ => value.saturating_mul(1024),
    };
    bytes.div_ceil(1024)
}

fn cell_kib(memory: Option<u64>, unit: Option<&str>) -> u64 {
    round_up(scaled_kib(memory.unwrap_or(0), unit))
}

fn piece_mib(memory: Option<u64>, unit: Option<&str>) -> u64 {
    cell_kib(memory, unit) / MIB_KIB
}

/// The numbers of a set such as `0-2,^1`, in ascending order.
fn node_set(text: &str) -> Result<Vec<u32>> {
    /// Sets of documents are bounded, so that one cannot take all memory.
    const MAX: u32 = 16_383;
    let invalid = || PlanError::Xml(format!("Invalid value of 'nodeset': '{text}'"));
    let mut nodes = std::collections::BTreeSet::new();
    for part in text.split(',') {
        let (is_excluded, part) = match part.trim().strip_prefix('^') {
            Some(rest) => (true, rest),
            None => (false, part.trim()),
        };
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let first: u32 = first.parse().map_err(|_| invalid())?;
        let last: u32 = last.parse().map_err(|_| invalid())?;
        if last > MAX {
            return Err(invalid());
        }
        for node in first..=last {
            if is_excluded {
                nodes.remove(&node);
            } else {
                nodes.insert(node);
            }
        }
    }
    Ok(nodes.into_iter().collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sets_have_ranges_and_exceptions() {
        assert_eq!(node_set("0-2,^1,5").unwrap(), [0, 2, 5]);
        assert!(node_set("1-").is_err() && node_set("0-99999").is_err());
    }

    #[test]
    fn sizes_are_whole_mebibytes() {
        assert_eq!(cell_kib(Some(109_550), None), 110_592 - 1024);
        assert_eq!(cell_kib(Some(1), Some("GiB")), 1024 * 1024);
    }
}
