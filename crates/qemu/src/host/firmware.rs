//! Descriptions of firmware that QEMU packages install.
//!
//! QEMU: docs/interop/firmware.json

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use serde_json::Value;

/// Where descriptions are; a file in a later directory takes the place of one of the same name.
const DIRS: [&str; 2] = ["usr/share/qemu/firmware", "etc/qemu/firmware"];

/// What a kind of guests can boot from.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Firmware {
    /// `bios`, `efi`.
    pub(super) kinds: BTreeSet<&'static str>,
    /// Images.
    pub(super) loaders: Vec<String>,
    /// Whether one has secure boot.
    pub(super) secure_boot: bool,
}

impl Firmware {
    /// Looks below `root` for what fits an architecture and a machine.
    ///
    /// libvirt 11.3.0: `qemuFirmwareGetSupported`, src/qemu/qemu_firmware.c
    pub(super) fn read(root: &Path, arch: &str, machine: &str) -> Self {
        let mut files = BTreeMap::new();
        for dir in DIRS {
            let entries = fs::read_dir(root.join(dir)).into_iter().flatten();
            for entry in entries.filter_map(Result::ok) {
                files.insert(entry.file_name(), entry.path());
            }
        }
        let texts = files.values().filter(|path| path.extension().is_some_and(|ext| ext == "json"));
        let mut found = Self::default();
        for text in texts.filter_map(|path| fs::read_to_string(path).ok()) {
            if let Ok(description) = serde_json::from_str(&text) {
                found.add(&description, arch, machine);
            }
        }
        found
    }

    fn add(&mut self, description: &Value, arch: &str, machine: &str) {
        let list =
            |value: Option<&Value>| value.and_then(Value::as_array).cloned().unwrap_or_default();
        let has = |member: &str, word: &str| {
            list(description.get(member)).iter().any(|value| value.as_str() == Some(word))
        };
        let fits = list(description.get("targets")).iter().any(|target| {
            let is_arch = target.get("architecture").and_then(Value::as_str) == Some(arch);
            is_arch
                && list(target.get("machines"))
                    .iter()
                    .filter_map(Value::as_str)
                    .any(|pattern| matches(pattern, machine))
        });
        if !fits {
            return;
        }
        for (interface, kind) in [("bios", "bios"), ("uefi", "efi")] {
            if has("interface-types", interface) {
                self.kinds.insert(kind);
            }
        }
        self.secure_boot |= has("features", "secure-boot") && has("features", "requires-smm");
        let mapping = description.get("mapping");
        let image = mapping.and_then(|mapping| {
            mapping.get("filename").or_else(|| mapping.get("executable")?.get("filename"))
        });
        if let Some(image) = image.and_then(Value::as_str)
            && !self.loaders.iter().any(|known| known == image)
        {
            self.loaders.push(image.to_owned());
        }
    }
}

/// Whether a name is of a pattern, in which `*` stands for anything.
fn matches(pattern: &str, name: &str) -> bool {
    let Some((head, tail)) = pattern.split_once('*') else { return pattern == name };
    let Some(mut rest) = name.strip_prefix(head) else { return false };
    loop {
        if matches(tail, rest) {
            return true;
        }
        let mut chars = rest.chars();
        if chars.next().is_none() {
            return false;
        }
        rest = chars.as_str();
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn machines_match_patterns() {
        for (pattern, name, expected) in [
            ("pc-q35-*", "pc-q35-10.0", true),
            ("pc-q35-*", "pc-i440fx-10.0", false),
            ("*", "", true),
            ("microvm", "microvm", true),
            ("a*b*c", "a1b2c", true),
            ("a*b*c", "a1b2", false),
        ] {
            assert_eq!(matches(pattern, name), expected, "{pattern} {name}");
        }
    }

    #[test]
    fn descriptions_that_fit_are_added() {
        let description = json!({
            "interface-types": ["uefi"],
            "mapping": {"device": "flash", "executable": {"filename": "/fw.fd"}},
            "targets": [{"architecture": "x86_64", "machines": ["pc-q35-*"]}],
            "features": ["requires-smm", "secure-boot"],
        });
        let mut found = Firmware::default();
        found.add(&description, "x86_64", "pc-i440fx-10.0");
        found.add(&json!({"targets": 7}), "x86_64", "pc-q35-10.0");
        assert_eq!(found, Firmware::default());
        found.add(&description, "x86_64", "pc-q35-10.0");
        found.add(&description, "x86_64", "pc-q35-10.0");
        assert_eq!(found.loaders, ["/fw.fd"]);
        assert!(found.secure_boot && found.kinds.contains("efi"));
    }
}
