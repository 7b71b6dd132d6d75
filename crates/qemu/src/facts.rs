//! What the command line of a guest depends on beside its definition, read from the host.

use std::fs;
use std::path::{Path, PathBuf};

use oxivirt_conf::domain::cpu::{CpuFeaturePolicy, CpuMatch, CpuMode};
use oxivirt_conf::domain::{DomainDef, VirtType};
use oxivirt_conf::emulator::EmulatorCapabilities;

use crate::capabilities::host_model;
use crate::command;
use crate::firmware;
use crate::shared::Shared;

/// Variables of the driver's environment that a guest's process has too.
const PASSED: [&str; 6] = ["PATH", "USER", "LOGNAME", "TMPDIR", "LD_PRELOAD", "LD_LIBRARY_PATH"];

impl Shared {
    /// What the command line of a guest with this number depends on.
    pub(crate) fn command_facts(
        &self,
        id: u32,
        def: &DomainDef,
        emulator: &EmulatorCapabilities,
    ) -> command::Facts {
        let (layout, name) = (&self.layout, def.name.as_deref().unwrap_or_default());
        let variable = |name: &str| {
            let value = self.environment.get(std::ffi::OsStr::new(name))?;
            Some((name.to_owned(), value.to_str()?.to_owned()))
        };
        let now = jiff::Zoned::now();
        command::Facts {
            id: i32::try_from(id).unwrap_or_default(),
            environment: PASSED.into_iter().filter_map(variable).collect(),
            firmwares: if firmware::is_wanted(def) { self.firmwares() } else { Vec::new() },
            processor: self.processor(def, emulator),
            directories: command::Directories {
                library: layout.domain_dir(id, name),
                channel: layout.channel_dir(id, name),
                memory: layout.memory_dir(id, name),
                nvram: layout.nvram_dir(),
                passt: layout.passt_dir(),
                dbus: layout.dbus_dir(),
            },
            config: command::Config {
                vnc_listen: self.config.vnc_listen.clone(),
                seccomp_sandbox: self.config.seccomp_sandbox,
                ..command::Config::default()
            },
            host: command::Host {
                has_vhost_net: Path::new("/dev/vhost-net").exists(),
                // nothing makes a guest's directory below them
                huge_pages: Vec::new(),
                optical_drives: optical_drives(Path::new("/")),
                numa_nodes: numa_nodes(Path::new("/")),
                page_kib: u64::try_from(rustix::param::page_size() / 1024).unwrap_or(4),
            },
            automatic_nodes: Vec::new(),
            number: |index, _| oxivirt_launch::descriptor_number(index),
            now: now.timestamp().as_second(),
            local_offset: i64::from(now.offset().seconds()),
        }
    }

    /// The host's processor, as far as the definition depends on it. A guest that a saved state or another host
    /// is to continue gets no feature that forbids migration.
    fn processor(
        &self,
        def: &DomainDef,
        emulator: &EmulatorCapabilities,
    ) -> command::HostProcessor {
        let Some(cpu) = &def.cpu else { return command::HostProcessor::default() };
        let is_open = cpu.mode == Some(CpuMode::HostModel)
            || cpu.matching == Some(CpuMatch::Minimum)
            || cpu.features.iter().any(|it| it.policy == Some(CpuFeaturePolicy::Optional));
        let is_fixed = matches!(cpu.mode, Some(CpuMode::HostPassthrough | CpuMode::Maximum));
        // The map has a hundred files. Nothing was ever removed from the model that the emulator takes by itself.
        if !is_open && (is_fixed || is_default_model(def, emulator)) {
            return command::HostProcessor::default();
        }
        let map = self.node.shared_processor_map();
        let virt_type = def.virt_type.unwrap_or(VirtType::Qemu);
        let model = map.as_deref().filter(|_| is_open);
        let model = model.and_then(|map| host_model(emulator, virt_type, map, true));
        command::HostProcessor { model, map }
    }
}

/// Whether a guest has the model that its machine has without being asked for one.
fn is_default_model(def: &DomainDef, emulator: &EmulatorCapabilities) -> bool {
    let model = def.cpu.as_ref().and_then(|cpu| cpu.model.as_ref()?.name.as_deref());
    let machine = def.os.as_ref().and_then(|os| os.kind.as_ref()?.machine.as_deref());
    let machines = emulator.machines.iter().filter(|it| it.name.as_deref() == machine);
    let mut defaults = machines.filter_map(|machine| machine.default_cpu.as_deref());
    // `qemu64-x86_64-cpu`
    model.is_some_and(|model| {
        defaults.any(|name| name.strip_prefix(model).is_some_and(|rest| rest.starts_with('-')))
    })
}

/// Drives for optical media.
fn optical_drives(root: &Path) -> Vec<PathBuf> {
    let names = names(&root.join("sys/block"));
    let drives = names.into_iter().filter(|name| number(name, "sr").is_some());
    drives.map(|name| Path::new("/dev").join(name)).collect()
}

/// Numbers of the nodes of memory; a kernel without nodes has one.
fn numa_nodes(root: &Path) -> Vec<u32> {
    let names = names(&root.join("sys/devices/system/node"));
    let mut nodes: Vec<u32> = names.iter().filter_map(|name| number(name, "node")).collect();
    nodes.sort_unstable();
    if nodes.is_empty() { vec![0] } else { nodes }
}

/// The names in a directory, in order.
fn names(dir: &Path) -> Vec<String> {
    let entries = fs::read_dir(dir).into_iter().flatten().flatten();
    let mut names: Vec<String> =
        entries.filter_map(|entry| entry.file_name().into_string().ok()).collect();
    names.sort_unstable();
    names
}

fn number(name: &str, prefix: &str) -> Option<u32> {
    name.strip_prefix(prefix)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn drives_and_nodes_are_found_by_name() {
        let root = tempfile::tempdir().unwrap();
        let make = |path: &str| fs::create_dir_all(root.path().join(path)).unwrap();
        assert_eq!(numa_nodes(root.path()), [0]);
        for name in ["sys/block/sr1", "sys/block/sda", "sys/block/sr0", "sys/block/srx"] {
            make(name);
        }
        for name in ["node1", "node10", "node0", "has_cpu"] {
            make(&format!("sys/devices/system/node/{name}"));
        }
        let drives = optical_drives(root.path());
        assert_eq!(drives, [PathBuf::from("/dev/sr0"), PathBuf::from("/dev/sr1")]);
        assert_eq!(numa_nodes(root.path()), [0, 1, 10]);
    }
}
