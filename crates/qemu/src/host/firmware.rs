//! Firmware that is installed on a host.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use crate::firmware::Firmware;

/// Where packages and administrators put descriptors, the least priority first.
const DIRS: [&str; 2] = ["usr/share/qemu/firmware", "etc/qemu/firmware"];

/// What a kind of guests can boot from.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Choice {
    /// `bios`, `efi`.
    pub(super) kinds: BTreeSet<&'static str>,
    /// Images.
    pub(super) loaders: Vec<String>,
    /// Whether one has secure boot.
    pub(super) secure_boot: bool,
}

/// The descriptors below `root`.
pub(super) fn installed(root: &Path) -> Vec<Firmware> {
    let mut files = Vec::new();
    for dir in DIRS {
        let entries = fs::read_dir(root.join(dir)).into_iter().flatten();
        let texts = entries.filter_map(|entry| {
            let path = entry.ok()?.path();
            let name = path.file_name()?.to_str()?.to_owned();
            let text = fs::read_to_string(&path).ok()?;
            name.ends_with(".json").then_some((name, text))
        });
        files.push(texts.collect::<Vec<_>>());
    }
    Firmware::merge(
        files.iter().map(|dir| dir.iter().map(|(name, text)| (name.clone(), &**text)).collect()),
    )
}

impl Choice {
    /// What there is for an architecture and a machine.
    ///
    /// libvirt 11.3.0: `qemuFirmwareGetSupported`, src/qemu/qemu_firmware.c
    pub(super) fn of(installed: &[Firmware], arch: &str, machine: &str) -> Self {
        let mut found = Self::default();
        for firmware in installed.iter().filter(|firmware| firmware.is_for(arch, machine)) {
            found.kinds.extend(firmware.kinds());
            found.secure_boot |= firmware.has_secure_boot();
            if !found.loaders.iter().any(|known| known == firmware.image()) {
                found.loaders.push(firmware.image().to_owned());
            }
        }
        found
    }
}
