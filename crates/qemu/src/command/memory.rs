//! Memory: its size and what backs it.

use super::Build;
use super::error::{PlanError, Result};
use super::props::Props;

/// Sizes are rounded up to this many KiB.
const MIB_KIB: u64 = 1024;

impl Build<'_> {
    /// The identifier of the memory that the machine maps, if it is no cell's.
    pub(super) fn default_ram(&self) -> Option<&str> {
        let has_cells = self.def.cpu.as_ref().is_some_and(|cpu| cpu.numa.is_some());
        if has_cells {
            return None;
        }
        self.machine_facts()?.default_ram_id.as_deref()
    }

    /// libvirt 11.3.0: `qemuBuildMemCommandLine`, src/qemu/qemu_command.c
    pub(super) fn memory(&mut self) -> Result<()> {
        let memory = self.def.memory.as_ref().ok_or_else(|| PlanError::unprepared("memory"))?;
        let kib = round_up(memory.size.kib());
        if self.def.cpu.as_ref().is_some_and(|cpu| cpu.numa.is_some()) {
            return Err(PlanError::element("numa"));
        }
        if self.def.max_memory.is_some() {
            return Err(PlanError::element("maxMemory"));
        }
        let backing = self.def.memory_backing.as_ref();
        let is_plain = backing.is_none_or(|backing| {
            backing.hugepages.is_none() && backing.source.is_none() && backing.access.is_none()
        });
        if !is_plain {
            return Err(PlanError::element("memoryBacking"));
        }
        self.option("-m", format!("size={kib}k"));
        if let Some(id) = self.default_ram().map(str::to_owned) {
            let props =
                Props::object("memory-backend-ram", id).with("size", kib.saturating_mul(1024));
            self.object(&props);
        }
        let is_locked = backing.is_some_and(|backing| backing.locked);
        self.option("-overcommit", format!("mem-lock={}", super::props::on_off(is_locked)));
        Ok(())
    }
}

/// To whole MiB.
pub(super) fn round_up(kib: u64) -> u64 {
    kib.div_ceil(MIB_KIB).saturating_mul(MIB_KIB)
}
