//! Sets of processors, and I/O threads.

use std::collections::BTreeSet;

use super::super::cpu::{CpuTune, IoThread, IoThreadIds};
use super::super::memory::{NumaMemory, Placement};
use super::super::{DomainDef, DomainError, bitmap};

/// More would not fit into the command line of the emulator (execve(2), "Limits on size of arguments").
const IOTHREADS_MAX: u32 = 16384;

/// Writes every set of numbers in its canonical form.
pub(super) fn complete(def: &mut DomainDef) -> Result<(), DomainError> {
    if let Some(vcpu) = &mut def.vcpu {
        canonical(&mut vcpu.cpuset)?;
    }
    if let Some(tune) = &mut def.cputune {
        complete_cputune(tune)?;
    }
    let placement = def.vcpu.as_ref().and_then(|vcpu| vcpu.placement);
    if let Some(tune) = &mut def.numatune {
        if let Some(memory) = &mut tune.memory {
            complete_placement(memory, placement)?;
        }
        for node in &mut tune.nodes {
            canonical(&mut node.nodeset)?;
        }
    }
    let numa = def.cpu.as_mut().and_then(|cpu| cpu.numa.as_mut());
    for cell in numa.into_iter().flat_map(|numa| &mut numa.cells) {
        canonical(&mut cell.cpus)?;
    }
    let pages = def.memory_backing.iter_mut().flat_map(|backing| &mut backing.hugepages);
    for page in pages.flat_map(|hugepages| &mut hugepages.pages) {
        canonical(&mut page.nodeset)?;
    }
    complete_iothreads(def)?;
    Ok(())
}

fn canonical(set: &mut Option<String>) -> Result<(), DomainError> {
    if let Some(text) = set {
        *text = bitmap::canonical(text)?;
    }
    Ok(())
}

/// Memory without nodes follows the processors.
///
/// libvirt 11.3.0: `virDomainNumatuneSet`, src/conf/numa_conf.c
fn complete_placement(
    memory: &mut NumaMemory,
    of_processors: Option<Placement>,
) -> Result<(), DomainError> {
    if let Some(given) = memory.nodeset.clone() {
        canonical(&mut memory.nodeset)?;
        if memory.nodeset.as_deref() == Some("") {
            return Err(DomainError::Unsupported(format!("Invalid value of 'nodeset': {given}")));
        }
    }
    if memory.nodeset.is_none() && memory.placement != Some(Placement::Auto) {
        if memory.placement.is_none() && of_processors == Some(Placement::Auto) {
            memory.placement = Some(Placement::Auto);
        } else {
            return Err(DomainError::Unsupported(String::from(
                "nodeset for NUMA memory tuning must be set if 'placement' is 'static'",
            )));
        }
    }
    Ok(())
}

fn complete_cputune(tune: &mut CpuTune) -> Result<(), DomainError> {
    for pin in &mut tune.vcpu_pins {
        canonical(&mut pin.cpuset)?;
    }
    tune.vcpu_pins.sort_by_key(|pin| pin.vcpu);
    if let Some(pin) = &mut tune.emulator_pin {
        canonical(&mut pin.cpuset)?;
    }
    for pin in &mut tune.iothread_pins {
        canonical(&mut pin.cpuset)?;
    }
    for scheduler in &mut tune.vcpu_schedulers {
        canonical(&mut scheduler.vcpus)?;
    }
    for scheduler in &mut tune.iothread_schedulers {
        canonical(&mut scheduler.iothreads)?;
    }
    for tune in &mut tune.cache_tunes {
        canonical(&mut tune.vcpus)?;
        for monitor in &mut tune.monitors {
            canonical(&mut monitor.vcpus)?;
        }
    }
    for tune in &mut tune.memory_tunes {
        canonical(&mut tune.vcpus)?;
    }
    Ok(())
}

/// The count and the list of I/O threads agree.
///
/// libvirt 11.3.0: `virDomainDefPostParseCommon`, src/conf/domain_postparse.c
fn complete_iothreads(def: &mut DomainDef) -> Result<(), DomainError> {
    let count = def.iothreads.unwrap_or(0);
    if count > IOTHREADS_MAX {
        let text = format!("{count} I/O threads are more than {IOTHREADS_MAX}");
        return Err(DomainError::Xml(text));
    }
    let listed = def.iothread_ids.as_ref().map_or(0, |ids| ids.threads.len());
    let given = usize::try_from(count).unwrap_or(0);
    if listed == 0 {
        return Ok(());
    }
    let IoThreadIds { threads, .. } = def.iothread_ids.get_or_insert_with(IoThreadIds::default);
    let taken: BTreeSet<u32> = threads.iter().filter_map(|thread| thread.id).collect();
    let free = (1..u32::MAX).filter(|id| !taken.contains(id));
    let missing = free.take(given.saturating_sub(listed));
    threads.extend(missing.map(|id| IoThread { id: Some(id), ..IoThread::default() }));
    def.iothreads = u32::try_from(listed.max(given)).ok();
    Ok(())
}
