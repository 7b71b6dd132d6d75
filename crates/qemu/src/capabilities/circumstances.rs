//! What capabilities depend on besides the emulator's answers.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use oxivirt_conf::emulator::{EmulatorCapabilities, ProbeOrigin};

use super::error::ProbeError;

/// The version of libvirt that the documents are for: major × 1,000,000 + minor × 1,000 + micro.
const SELF_VERSION: u64 = 11_003_000;

/// What a host and its files are at one moment.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Circumstances {
    /// As the document has it.
    pub(super) origin: ProbeOrigin,
    /// Whether this process may use KVM.
    pub(super) has_kvm: bool,
    /// Whether KVM lets guests have guests.
    pub(super) nesting: bool,
}

impl Circumstances {
    /// Looks at the host below `root`, `/` for the real one.
    ///
    /// # Errors
    /// [`ProbeError::Binary`] if there is no such emulator.
    pub(super) fn read(
        root: &Path,
        emulator: &Path,
        modules: &[PathBuf],
    ) -> Result<Self, ProbeError> {
        let binary = |source| ProbeError::Binary { path: emulator.to_owned(), source };
        let metadata = fs::metadata(emulator).map_err(binary)?;
        let modules = modules.iter().find_map(|dir| fs::metadata(dir).ok());
        let cpuinfo = fs::read_to_string(root.join("proc/cpuinfo")).unwrap_or_default();
        let this = std::env::current_exe().and_then(fs::metadata);
        Ok(Self {
            origin: ProbeOrigin {
                emulator_ctime: metadata.ctime(),
                modules_mtime: modules.map_or(0, |modules| modules.mtime()),
                self_ctime: this.map_or(0, |this| this.ctime()),
                self_version: SELF_VERSION,
                microcode: microcode(&cpuinfo),
                cpu_signature: cpu_signature(&cpuinfo),
                kernel: kernel(root),
            },
            has_kvm: may_use(&root.join("dev/kvm")),
            nesting: has_nesting(root),
        })
    }

    /// Whether capabilities that were found before still hold.
    ///
    /// libvirt 11.3.0: `virQEMUCapsIsValid`, src/qemu/qemu_capabilities.c
    pub(super) fn confirm(&self, found: &EmulatorCapabilities) -> bool {
        let has_kvm = found.has("kvm");
        found.origin == self.origin
            && has_kvm == self.has_kvm
            && (!has_kvm || found.nesting == self.nesting)
    }
}

fn may_use(path: &Path) -> bool {
    use rustix::fs::Access;
    rustix::fs::access(path, Access::READ_OK | Access::WRITE_OK).is_ok()
}

fn has_nesting(root: &Path) -> bool {
    ["kvm_intel", "kvm_amd", "kvm_hv", "kvm"].iter().any(|module| {
        let path = root.join("sys/module").join(module).join("parameters/nested");
        fs::read_to_string(path).is_ok_and(|text| matches!(text.trim(), "1" | "Y" | "y"))
    })
}

/// Release and version of the kernel, as libvirt writes them.
fn kernel(root: &Path) -> Option<String> {
    let read = |name| fs::read_to_string(root.join("proc/sys/kernel").join(name)).ok();
    let (release, version) = (read("osrelease")?, read("version")?);
    Some(format!("{} {}", release.trim(), version.trim()))
}

fn field<'t>(cpuinfo: &'t str, name: &str) -> Option<&'t str> {
    cpuinfo.lines().find_map(|line| {
        let (key, value) = line.split_once(':')?;
        (key.trim() == name).then(|| value.trim())
    })
}

fn microcode(cpuinfo: &str) -> u64 {
    field(cpuinfo, "microcode")
        .and_then(|text| text.strip_prefix("0x"))
        .and_then(|text| u64::from_str_radix(text, 16).ok())
        .unwrap_or(0)
}

/// Vendor, family, model and stepping of the first processor.
///
/// libvirt 11.3.0: `virHostCPUGetSignatureFromCPUInfo`, src/util/virhostcpu.c
fn cpu_signature(cpuinfo: &str) -> Option<String> {
    Some(format!(
        "{}, family: {}, model: {}, stepping: {}",
        field(cpuinfo, "vendor_id")?,
        field(cpuinfo, "cpu family")?,
        field(cpuinfo, "model")?,
        field(cpuinfo, "stepping")?
    ))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn put(root: &Path, name: &str, text: &str) {
        let path = root.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        oxivirt_sys::file::replace(
            &path,
            text.as_bytes(),
            0o755,
            oxivirt_sys::file::Durability::Regenerated,
        )
        .unwrap();
    }

    fn host(root: &Path) {
        let cpu = "vendor_id\t: GenuineIntel\ncpu family\t: 6\nmodel\t\t: 63\nmodel name\t: X\n\
                   stepping\t: 2\nmicrocode\t: 0x1f\n";
        put(root, "proc/cpuinfo", cpu);
        put(root, "proc/sys/kernel/osrelease", "6.18.0\n");
        put(root, "proc/sys/kernel/version", "#1 SMP\n");
        put(root, "sys/module/kvm_intel/parameters/nested", "Y\n");
        put(root, "dev/kvm", "");
        put(root, "qemu", "");
    }

    #[test]
    fn a_change_of_the_host_ends_validity() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path();
        host(root);
        let look = || Circumstances::read(root, &root.join("qemu"), &[root.join("mod")]).unwrap();
        let before = look();
        assert_eq!(before.origin.microcode, 31);
        let signature = "GenuineIntel, family: 6, model: 63, stepping: 2";
        assert_eq!(before.origin.cpu_signature.as_deref(), Some(signature));
        assert_eq!(before.origin.kernel.as_deref(), Some("6.18.0 #1 SMP"));
        let found = EmulatorCapabilities {
            origin: before.origin.clone(),
            flags: BTreeSet::from([String::from("kvm")]),
            nesting: true,
            ..EmulatorCapabilities::default()
        };
        assert!(before.confirm(&found));
        for (name, text) in [
            ("proc/sys/kernel/osrelease", "6.19.0\n"),
            ("sys/module/kvm_intel/parameters/nested", "N\n"),
            ("proc/cpuinfo", "microcode : 0x20\n"),
        ] {
            let was = fs::read_to_string(root.join(name)).unwrap();
            put(root, name, text);
            assert!(!look().confirm(&found), "{name}");
            put(root, name, &was);
            assert!(look().confirm(&found), "{name}");
        }
        fs::create_dir(root.join("mod")).unwrap();
        assert!(!look().confirm(&found), "modules");
        fs::remove_dir(root.join("mod")).unwrap();
        fs::remove_file(root.join("dev/kvm")).unwrap();
        assert!(!look().confirm(&found), "kvm");
    }

    #[test]
    fn a_missing_emulator_is_an_error() {
        let error = Circumstances::read(Path::new("/"), Path::new("/nonexistent/qemu"), &[]);
        assert!(matches!(error, Err(ProbeError::Binary { .. })));
    }
}
