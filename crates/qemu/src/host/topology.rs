//! Processors, caches and NUMA cells of a host.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use super::procfs::{format_ranges, line, memory, number, ranges};

/// A NUMA cell; a host without NUMA has one.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Cell {
    pub(crate) id: u32,
    pub(crate) memory_kib: u64,
    pub(crate) free_kib: u64,
    /// Size in KiB, and number of pages.
    pub(crate) pages: BTreeMap<u64, Pages>,
    /// Cell and distance.
    pub(crate) distances: Vec<(u32, u32)>,
    pub(crate) cpus: Vec<Cpu>,
}

/// Pages of one size.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Pages {
    pub(crate) total: u64,
    pub(crate) free: u64,
}

/// Place of a processor.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Cpu {
    pub(crate) id: u32,
    pub(crate) socket: u32,
    pub(crate) die: u32,
    pub(crate) cluster: u32,
    pub(crate) core: u32,
    pub(crate) siblings: Vec<u32>,
}

/// A cache.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Bank {
    pub(crate) level: u32,
    pub(crate) kind: &'static str,
    pub(crate) id: u32,
    pub(crate) size_kib: u64,
    pub(crate) cpus: Vec<u32>,
}

/// What there is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Topology {
    pub(crate) cells: Vec<Cell>,
    pub(crate) banks: Vec<Bank>,
    /// Whether a processor that is present is online, by number.
    pub(crate) online: Vec<bool>,
}

/// Size of a page of the smallest kind.
const PAGE_KIB: u64 = 4;

impl Topology {
    /// Looks below `root`.
    pub(crate) fn read(root: &Path) -> Self {
        let system = root.join("sys/devices/system");
        let list = |name: &str| ranges(&line(&system.join("cpu").join(name)).unwrap_or_default());
        let present = list("present");
        let online: BTreeSet<u32> = list("online").into_iter().collect();
        let count = present.last().map_or(0, |last| last + 1);
        let mut cells: Vec<Cell> = numbered(&system.join("node"), "node")
            .into_iter()
            .map(|(id, dir)| cell(&system, id, &dir, &online))
            .collect();
        if cells.is_empty() {
            cells.push(only_cell(root, &system, &online));
        }
        Self {
            cells,
            banks: banks(&system, &online),
            online: (0..count).map(|cpu| online.contains(&cpu)).collect(),
        }
    }

    /// Sockets of a cell, cores of a socket, threads of a core.
    ///
    /// If they do not multiply to the number of processors, all processors are cores of one socket of one
    /// cell, as libvirt reports it.
    ///
    /// libvirt 11.3.0: `virHostCPUGetInfoPopulateLinux`, src/util/virhostcpu.c
    pub(crate) fn shape(&self) -> Shape {
        let mut shape = Shape { nodes: length(self.cells.len()), ..Shape::default() };
        for cell in &self.cells {
            let mut sockets: BTreeMap<u32, BTreeSet<(u32, u32, u32)>> = BTreeMap::new();
            let mut dies: BTreeSet<(u32, u32)> = BTreeSet::new();
            for cpu in &cell.cpus {
                let cores = sockets.entry(cpu.socket).or_default();
                cores.insert((cpu.die, cpu.cluster, cpu.core));
                dies.insert((cpu.socket, cpu.die));
                shape.threads = shape.threads.max(length(cpu.siblings.len()));
            }
            shape.sockets = shape.sockets.max(length(sockets.len()));
            let cores = sockets.values().map(BTreeSet::len).max();
            shape.cores = shape.cores.max(length(cores.unwrap_or(0)));
        }
        let cpus = length(self.online.iter().filter(|online| **online).count());
        let product = [shape.nodes, shape.sockets, shape.cores, shape.threads]
            .iter()
            .try_fold(1_u32, |product, factor| product.checked_mul(*factor));
        shape.cpus = cpus;
        if product != Some(cpus) {
            return Shape { cpus, nodes: 1, sockets: 1, cores: cpus, threads: 1 };
        }
        shape
    }
}

/// Numbers of processors and what they are in.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Shape {
    pub(crate) cpus: u32,
    pub(crate) nodes: u32,
    pub(crate) sockets: u32,
    pub(crate) cores: u32,
    pub(crate) threads: u32,
}

fn length(length: usize) -> u32 {
    u32::try_from(length).unwrap_or(u32::MAX)
}

/// The entries `PREFIXn` of a directory by number.
fn numbered(dir: &Path, prefix: &str) -> Vec<(u32, PathBuf)> {
    let entries = fs::read_dir(dir).into_iter().flatten().filter_map(Result::ok);
    let mut found: Vec<(u32, PathBuf)> = entries
        .filter_map(|entry| {
            let name = entry.file_name();
            let id = name.to_str()?.strip_prefix(prefix)?.parse().ok()?;
            Some((id, entry.path()))
        })
        .collect();
    found.sort();
    found
}

fn cell(system: &Path, id: u32, dir: &Path, online: &BTreeSet<u32>) -> Cell {
    let meminfo = line(&dir.join("meminfo")).unwrap_or_default();
    let total = memory(&meminfo, "MemTotal").unwrap_or(0);
    let free = memory(&meminfo, "MemFree").unwrap_or(0);
    let distances = line(&dir.join("distance")).unwrap_or_default();
    let cpus = ranges(&line(&dir.join("cpulist")).unwrap_or_default());
    let cells = numbered(&system.join("node"), "node");
    Cell {
        id,
        memory_kib: total,
        free_kib: free,
        pages: pages(&dir.join("hugepages"), total, free),
        distances: cells
            .iter()
            .zip(distances.split_whitespace())
            .filter_map(|((cell, _), distance)| Some((*cell, distance.parse().ok()?)))
            .collect(),
        cpus: cpus.into_iter().filter(|id| online.contains(id)).map(|id| cpu(system, id)).collect(),
    }
}

/// The cell of a host without NUMA.
fn only_cell(root: &Path, system: &Path, online: &BTreeSet<u32>) -> Cell {
    let meminfo = line(&root.join("proc/meminfo")).unwrap_or_default();
    let total = memory(&meminfo, "MemTotal").unwrap_or(0);
    let free = memory(&meminfo, "MemFree").unwrap_or(0);
    Cell {
        id: 0,
        memory_kib: total,
        free_kib: free,
        pages: pages(&root.join("sys/kernel/mm/hugepages"), total, free),
        distances: Vec::new(),
        cpus: online.iter().map(|id| cpu(system, *id)).collect(),
    }
}

fn pages(dir: &Path, total_kib: u64, free_kib: u64) -> BTreeMap<u64, Pages> {
    let mut pages = BTreeMap::new();
    let mut huge_kib = 0_u64;
    let entries = fs::read_dir(dir).into_iter().flatten().filter_map(Result::ok);
    for entry in entries {
        let name = entry.file_name();
        let size = name.to_str().and_then(|name| {
            name.strip_prefix("hugepages-")?.strip_suffix("kB")?.parse::<u64>().ok()
        });
        let Some(size) = size else { continue };
        let count = |name: &str| number(&entry.path().join(name)).unwrap_or(0);
        let found = Pages { total: count("nr_hugepages"), free: count("free_hugepages") };
        huge_kib = huge_kib.saturating_add(size.saturating_mul(found.total));
        pages.insert(size, found);
    }
    let total = total_kib.saturating_sub(huge_kib) / PAGE_KIB;
    pages.insert(PAGE_KIB, Pages { total, free: free_kib / PAGE_KIB });
    pages
}

fn cpu(system: &Path, id: u32) -> Cpu {
    let dir = system.join(format!("cpu/cpu{id}/topology"));
    // The kernel writes -1 where there is no such level.
    let place = |name: &str| number::<i64>(&dir.join(name)).and_then(|n| u32::try_from(n).ok());
    let siblings = line(&dir.join("thread_siblings_list")).map(|list| ranges(&list));
    Cpu {
        id,
        socket: place("physical_package_id").unwrap_or(0),
        die: place("die_id").unwrap_or(0),
        cluster: place("cluster_id").unwrap_or(0),
        core: place("core_id").unwrap_or(id),
        siblings: siblings.filter(|list| !list.is_empty()).unwrap_or_else(|| vec![id]),
    }
}

/// The caches of level 2 and above that processors share.
///
/// libvirt 11.3.0: `virCapabilitiesInitCaches`, src/conf/capabilities.c
fn banks(system: &Path, online: &BTreeSet<u32>) -> Vec<Bank> {
    let mut banks = BTreeSet::new();
    for id in online {
        for (_, dir) in numbered(&system.join(format!("cpu/cpu{id}/cache")), "index") {
            if let Some(bank) = bank(&dir)
                && bank.level >= 2
            {
                banks.insert(bank);
            }
        }
    }
    banks.into_iter().collect()
}

fn bank(dir: &Path) -> Option<Bank> {
    let size = line(&dir.join("size"))?;
    Some(Bank {
        level: number(&dir.join("level"))?,
        kind: match line(&dir.join("type"))?.as_str() {
            "Data" => "data",
            "Instruction" => "code",
            _ => "both",
        },
        id: number(&dir.join("id"))?,
        size_kib: size.strip_suffix('K')?.parse().ok()?,
        cpus: ranges(&line(&dir.join("shared_cpu_list"))?),
    })
}

impl Cpu {
    /// Its siblings as a list.
    pub(crate) fn sibling_list(&self) -> String {
        format_ranges(&self.siblings)
    }
}

impl Bank {
    /// Its processors as a list.
    pub(crate) fn cpu_list(&self) -> String {
        format_ranges(&self.cpus)
    }
}
