//! Cells of a guest.

use std::collections::BTreeMap;

use super::super::super::memory::{Distances, Numa, Sibling};
use super::super::super::{DomainDef, bitmap};

/// How far a cell is from itself.
const LOCAL: u32 = 10;
/// How far cells are from each other that say nothing.
const REMOTE: u32 = 20;

pub(super) fn complete(def: &mut DomainDef) {
    let count = def.vcpu.as_ref().and_then(|vcpu| vcpu.count).unwrap_or(1);
    let Some(numa) = def.cpu.as_mut().and_then(|cpu| cpu.numa.as_mut()) else { return };
    place_processors(numa, count);
    complete_distances(numa);
}

/// Processors that no cell has are in the first, as in QEMU.
///
/// libvirt 11.3.0: `qemuDomainDefNumaCPUsRectify`, src/qemu/qemu_domain.c
fn place_processors(numa: &mut Numa, count: u32) {
    let Some((first, rest)) = numa.cells.split_first_mut() else { return };
    let elsewhere: Vec<u32> =
        rest.iter().filter_map(|cell| bitmap::parse(cell.cpus.as_deref()?)).flatten().collect();
    let here: Vec<u32> = (0..count).filter(|vcpu| !elsewhere.contains(vcpu)).collect();
    let placed = first.cpus.as_deref().and_then(bitmap::parse).unwrap_or_default();
    if here.iter().any(|vcpu| !placed.contains(vcpu)) {
        first.cpus = Some(bitmap::format(&here));
    }
}

/// A distance that one of two cells states holds for both; the rest is what firmware assumes.
///
/// libvirt 11.3.0: `virDomainNumaDefNodeDistanceParseXML`, src/conf/numa_conf.c
fn complete_distances(numa: &mut Numa) {
    let mut given: BTreeMap<(u32, u32), u32> = BTreeMap::new();
    for cell in &numa.cells {
        let from = cell.id.unwrap_or(0);
        for sibling in cell.distances.iter().flat_map(|distances| &distances.siblings) {
            if let (Some(to), Some(value)) = (sibling.id, sibling.value) {
                given.insert((from, to), value);
                given.entry((to, from)).or_insert(value);
            }
        }
    }
    let ids: Vec<u32> = numa.cells.iter().map(|cell| cell.id.unwrap_or(0)).collect();
    // A cell that does not exist is refused later, by its name.
    if given.keys().any(|(_, to)| !ids.contains(to)) {
        return;
    }
    for cell in &mut numa.cells {
        let from = cell.id.unwrap_or(0);
        if !given.keys().any(|(a, _)| *a == from) {
            continue;
        }
        let siblings = ids.iter().map(|&to| {
            let assumed = if to == from { LOCAL } else { REMOTE };
            let value = given.get(&(from, to)).copied().unwrap_or(assumed);
            Sibling { id: Some(to), value: Some(value), ..Sibling::default() }
        });
        cell.distances = Some(Distances { siblings: siblings.collect(), ..Distances::default() });
    }
}
