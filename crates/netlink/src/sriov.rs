//! Virtual functions of network devices, as sysfs shows them.
//!
//! Linux: Documentation/ABI/testing/sysfs-bus-pci

use std::fs;
use std::path::{Path, PathBuf};

/// A reader of one sysfs; another directory than `/sys` serves tests.
#[derive(Debug, Clone)]
pub struct Sysfs {
    root: PathBuf,
}

/// A virtual function.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VirtualFunction {
    /// Its PCI address, `DDDD:BB:SS.F` in hexadecimal.
    pub address: String,
    /// The interface that a driver of the host made of it, if one did.
    pub interface: Option<String>,
}

impl Sysfs {
    /// The sysfs that is mounted at `root`.
    #[must_use]
    pub fn at(root: impl Into<PathBuf>) -> Self {
        Self { root: root.into() }
    }

    /// The virtual functions of the device behind an interface, by number.
    #[must_use]
    pub fn virtual_functions(&self, interface: &str) -> Vec<VirtualFunction> {
        let device = self.root.join("class/net").join(interface).join("device");
        let Ok(entries) = fs::read_dir(&device) else { return Vec::new() };
        let mut links: Vec<(u32, PathBuf)> = entries
            .filter_map(|entry| {
                let entry = entry.ok()?;
                let number = entry.file_name().to_str()?.strip_prefix("virtfn")?.parse().ok()?;
                Some((number, fs::read_link(entry.path()).ok()?))
            })
            .collect();
        links.sort();
        let function = |(_, link): (u32, PathBuf)| {
            let address = link.file_name()?.to_str()?.to_owned();
            let interface = self.interface(&address);
            Some(VirtualFunction { address, interface })
        };
        links.into_iter().filter_map(function).collect()
    }

    /// Whether a PCI device is a virtual function.
    #[must_use]
    pub fn is_virtual_function(&self, address: &str) -> bool {
        self.device(address).join("physfn").exists()
    }

    fn interface(&self, address: &str) -> Option<String> {
        let entries = fs::read_dir(self.device(address).join("net")).ok()?;
        let mut names: Vec<_> =
            entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok()).collect();
        names.sort();
        names.into_iter().next()
    }

    fn device(&self, address: &str) -> PathBuf {
        // An address has no slash, so that it stays below the directory.
        let name = Path::new(address).file_name().unwrap_or_default();
        self.root.join("bus/pci/devices").join(name)
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn functions_in_order_of_their_numbers() {
        let dir = tempfile::tempdir().unwrap();
        let sysfs = Sysfs::at(dir.path());
        let pf = dir.path().join("class/net/eth0/device");
        fs::create_dir_all(&pf).unwrap();
        for number in [0, 2, 10] {
            let address = format!("0000:03:10.{}", number % 8);
            let device = dir.path().join("bus/pci/devices").join(&address);
            fs::create_dir_all(device.join("physfn")).unwrap();
            symlink(format!("../{address}"), pf.join(format!("virtfn{number}"))).unwrap();
        }
        fs::remove_dir(dir.path().join("bus/pci/devices/0000:03:10.2/physfn")).unwrap();
        fs::create_dir_all(dir.path().join("bus/pci/devices/0000:03:10.0/net/eth0v0")).unwrap();
        let found = sysfs.virtual_functions("eth0");
        assert_eq!(
            found[0],
            VirtualFunction { address: "0000:03:10.0".into(), interface: Some("eth0v0".into()) }
        );
        assert_eq!(found.len(), 3);
        assert!(sysfs.is_virtual_function("0000:03:10.0"));
        assert!(!sysfs.is_virtual_function("0000:00:00.0"));
        assert_eq!(sysfs.virtual_functions("eth9"), []);
    }
}
