//! A kernel and an initramfs for guests, out of Debian's packages.
//!
//! The guest takes an address on every network card, says so on its first serial port, reads shell
//! commands from there, answers as a guest agent on a channel for one, and powers off when its power button is
//! pressed. What it says begins with
//! [`MARK`].
//!
//! Packages and results are kept in `guest` below cargo's target directory; a result is made again
//! when the recipe has changed.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::fcntl::{Flock, FlockArg};

use crate::error::{Error, Result};
use crate::process::{Run, find};

/// Beginning of a line that the guest itself prints.
pub const MARK: &str = "guest: ";

/// Depends on the kernel package of the current version: a small kernel for virtual machines.
const KERNEL: &str = "linux-image-cloud-amd64";
/// A busybox that needs no libraries.
const BUSYBOX: &str = "busybox-static";

/// What is loaded if the kernel has it as a module: the bus, devices of guests, the power button.
const MODULES: [&str; 11] = [
    "virtio_pci",
    "virtio_net",
    "virtio_blk",
    "virtio_scsi",
    "sd_mod",
    "sr_mod",
    "virtio_console",
    "virtio_balloon",
    "virtio_rng",
    "button",
    "evdev",
];

/// Files of the guest that are scripts. `/init` is the first process.
const SCRIPTS: [(&str, &str); 3] = [
    ("init", include_str!("init.sh")),
    ("dhcp", include_str!("dhcp.sh")),
    ("agent", include_str!("agent.sh")),
];

/// Time to fetch the packages.
const DOWNLOAD: Duration = Duration::from_secs(300);

/// The files that a guest is started from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Image {
    /// The kernel.
    pub kernel: PathBuf,
    /// The initramfs.
    pub initramfs: PathBuf,
}

impl Image {
    /// Makes the files unless they are there.
    ///
    /// # Errors
    /// The packages cannot be fetched, or are not as expected.
    pub fn get() -> Result<Self> {
        let directory = cache()?;
        let failed = Error::file(&directory);
        fs::create_dir_all(&directory).map_err(failed)?;
        // Several test programs may be at it.
        let lock = directory.join("lock");
        let file = File::create(&lock).map_err(Error::file(&lock))?;
        let _lock = Flock::lock(file, FlockArg::LockExclusive)
            .map_err(|(_, source)| Error::System { what: "cannot lock".into(), source })?;
        let image =
            Self { kernel: directory.join("vmlinuz"), initramfs: directory.join("initramfs") };
        let note = directory.join("recipe");
        let recipe = format!("{MODULES:?}\n{SCRIPTS:?}\n");
        if fs::read_to_string(&note).is_ok_and(|text| text == recipe) {
            return Ok(image);
        }
        // Files that a running guest has mapped are replaced, never written to.
        let work = tempfile::tempdir_in(&directory).map_err(Error::file(&directory))?;
        image.make(&directory.join("packages"), work.path())?;
        let new = work.path().join("recipe");
        write(&new, recipe.as_bytes())?;
        rename(&new, &note)?;
        Ok(image)
    }

    fn make(&self, packages: &Path, work: &Path) -> Result<()> {
        fs::create_dir_all(packages).map_err(Error::file(packages))?;
        let kernel = unpack(&download(&kernel_package()?, packages)?, &work.join("kernel"))?;
        let busybox = unpack(&download(BUSYBOX, packages)?, &work.join("busybox"))?;
        let root = work.join("root");
        let modules = root.join("modules");
        for name in ["bin", "dev", "etc", "modules", "proc", "run", "sys", "tmp"] {
            let path = root.join(name);
            fs::create_dir_all(&path).map_err(Error::file(&path))?;
        }
        let found = Modules::below(&kernel)?;
        let mut order = String::new();
        for (number, path) in found.in_order(&MODULES)?.iter().enumerate() {
            let name = format!("{number:02}.ko");
            found.copy(path, &modules.join(&name))?;
            order.push_str(&name);
            order.push('\n');
        }
        write(&modules.join("order"), order.as_bytes())?;
        let program = ["bin/busybox", "usr/bin/busybox"].map(|name| busybox.join(name));
        let program = program.iter().find(|path| path.is_file());
        let program =
            program.ok_or_else(|| Error::Wrong(format!("no program in package {BUSYBOX}")))?;
        let inside = root.join("bin/busybox");
        fs::copy(program, &inside).map_err(Error::file(&inside))?;
        symlink("busybox", root.join("bin/sh")).map_err(Error::file(&root.join("bin/sh")))?;
        for (name, text) in SCRIPTS {
            let path = root.join(name);
            write(&path, text.replace("@MARK@", MARK).as_bytes())?;
            let mode = fs::Permissions::from_mode(0o755);
            fs::set_permissions(&path, mode).map_err(Error::file(&path))?;
        }
        // Not compressed: the guest has no processor to unpack it quickly.
        let archive = work.join("initramfs");
        let script = "find . | \"$1\" cpio -o -H newc > \"$2\"";
        let chdir = ["env".as_ref(), "--chdir".as_ref(), root.as_os_str()];
        let pack = Run::new(["sh", "-ec", script, "sh"]).args([program, &archive]);
        pack.behind(chdir).stdout()?;
        rename(&archive, &self.initramfs)?;
        rename(&kernel_file(&kernel)?, &self.kernel)
    }
}

/// `guest` in the directory that cargo marks as its own.
fn cache() -> Result<PathBuf> {
    let here = std::env::current_exe().map_err(Error::file(Path::new("/proc/self/exe")))?;
    let target = here.ancestors().find(|directory| directory.join("CACHEDIR.TAG").is_file());
    let target =
        target.map_or_else(|| crate::require::workspace().join("target"), Path::to_path_buf);
    Ok(target.join("guest"))
}

/// The name of the package that [`KERNEL`] stands for.
fn kernel_package() -> Result<String> {
    let depends = Run::new(["apt-cache", "depends", "--important", KERNEL]).stdout()?;
    let name = depends.lines().find_map(|line| line.trim().strip_prefix("Depends: "));
    name.map(str::to_owned)
        .ok_or_else(|| Error::Format { what: format!("package {KERNEL}"), found: depends })
}

/// Fetches a package unless it is there; its file.
fn download(package: &str, directory: &Path) -> Result<PathBuf> {
    let there = || -> Result<Option<PathBuf>> {
        let mut found = None;
        for entry in fs::read_dir(directory).map_err(Error::file(directory))? {
            let path = entry.map_err(Error::file(directory))?.path();
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            if name.starts_with(&format!("{package}_")) && name.ends_with(".deb") {
                found = Some(path);
            }
        }
        Ok(found)
    };
    if let Some(path) = there()? {
        return Ok(path);
    }
    // As root it would work as a user who may not write here.
    let words = ["apt-get", "--quiet", "--option", "APT::Sandbox::User=root", "download", package];
    let chdir = ["env".as_ref(), "--chdir".as_ref(), directory.as_os_str()];
    Run::new(words).behind(chdir).deadline(DOWNLOAD).stdout()?;
    there()?.ok_or_else(|| Error::Wrong(format!("package {package} was not fetched")))
}

fn unpack(package: &Path, into: &Path) -> Result<PathBuf> {
    Run::new(["dpkg-deb", "--extract"]).args([package, into]).stdout()?;
    Ok(into.to_path_buf())
}

/// The kernel of an unpacked package.
fn kernel_file(package: &Path) -> Result<PathBuf> {
    let boot = package.join("boot");
    for entry in fs::read_dir(&boot).map_err(Error::file(&boot))? {
        let path = entry.map_err(Error::file(&boot))?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        if name.starts_with("vmlinuz-") {
            return Ok(path);
        }
    }
    Err(Error::Wrong(format!("no kernel in '{}'", boot.display())))
}

/// The modules of a kernel by their names, with `_` for `-`.
#[derive(Debug)]
struct Modules(BTreeMap<String, PathBuf>);

impl Modules {
    fn below(package: &Path) -> Result<Self> {
        let mut found = BTreeMap::new();
        // The directory has moved below `usr`.
        let tops = ["lib/modules", "usr/lib/modules"].map(|name| package.join(name));
        let mut pending: Vec<PathBuf> = tops.into_iter().filter(|path| path.is_dir()).collect();
        while let Some(directory) = pending.pop() {
            for entry in fs::read_dir(&directory).map_err(Error::file(&directory))? {
                let entry = entry.map_err(Error::file(&directory))?;
                let path = entry.path();
                if entry.file_type().map_err(Error::file(&path))?.is_dir() {
                    pending.push(path);
                } else if let Some((name, "ko" | "ko.xz")) =
                    entry.file_name().to_string_lossy().split_once('.')
                {
                    found.insert(name.replace('-', "_"), path);
                }
            }
        }
        if found.is_empty() {
            return Err(Error::Wrong(format!("no modules in '{}'", package.display())));
        }
        Ok(Self(found))
    }

    /// The wanted modules behind those that they need; what is part of the kernel has no file.
    fn in_order(&self, wanted: &[&str]) -> Result<Vec<PathBuf>> {
        let mut order = Vec::new();
        let mut done = BTreeSet::new();
        for name in wanted {
            self.add(name, &mut done, &mut order)?;
        }
        Ok(order)
    }

    fn add(&self, name: &str, done: &mut BTreeSet<String>, order: &mut Vec<PathBuf>) -> Result<()> {
        let name = name.replace('-', "_");
        let Some(path) = self.0.get(&name).filter(|_| done.insert(name)) else { return Ok(()) };
        for needed in needs(&self.read(path)?) {
            self.add(&needed, done, order)?;
        }
        order.push(path.clone());
        Ok(())
    }

    fn read(&self, path: &Path) -> Result<Vec<u8>> {
        if path.extension().is_some_and(|extension| extension == "xz") {
            let plain = path.with_extension("");
            if !plain.exists() {
                Run::new(["xz", "--decompress", "--keep"]).args([path]).stdout()?;
            }
            return fs::read(&plain).map_err(Error::file(&plain));
        }
        fs::read(path).map_err(Error::file(path))
    }

    fn copy(&self, path: &Path, to: &Path) -> Result<()> {
        write(to, &self.read(path)?)
    }
}

/// The names behind `depends=` in a module.
fn needs(module: &[u8]) -> Vec<String> {
    const KEY: &[u8] = b"\0depends=";
    let Some(at) = module.windows(KEY.len()).position(|window| window == KEY) else {
        return Vec::new();
    };
    let list = module[at + KEY.len()..].split(|byte| *byte == 0).next().unwrap_or_default();
    let list = String::from_utf8_lossy(list);
    list.split(',').filter(|name| !name.is_empty()).map(str::to_owned).collect()
}

#[expect(clippy::disallowed_methods, reason = "a new file that is renamed when it is complete")]
fn write(path: &Path, bytes: &[u8]) -> Result<()> {
    fs::write(path, bytes).map_err(Error::file(path))
}

fn rename(from: &Path, to: &Path) -> Result<()> {
    fs::rename(from, to).map_err(Error::file(to))
}

/// Why there is no image, if there is none.
pub(crate) fn missing() -> Option<String> {
    for program in ["apt-get", "dpkg-deb"] {
        if find(program).is_none() {
            return Some(format!("no guest: {program} is not installed"));
        }
    }
    Image::get().err().map(|error| format!("no guest: {}", error.chain()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn needs_of_a_module_are_read() {
        assert_eq!(
            needs(b"\0license=GPL\0depends=virtio,net-failover\0x=y"),
            ["virtio", "net-failover"]
        );
        assert_eq!(needs(b"\0depends=\0"), <[String; 0]>::default());
        assert_eq!(needs(b"\x7fELF"), <[String; 0]>::default());
    }

    #[test]
    fn modules_come_behind_what_they_need() {
        let directory = tempfile::tempdir().unwrap();
        let modules = directory.path().join("lib/modules/6/kernel");
        fs::create_dir_all(&modules).unwrap();
        for (name, needs) in
            [("virtio_net", "net-failover,virtio"), ("virtio", ""), ("net-failover", "")]
        {
            let text = format!("\0depends={needs}\0");
            write(&modules.join(format!("{name}.ko")), text.as_bytes()).unwrap();
        }
        let modules = Modules::below(directory.path()).unwrap();
        let order = modules.in_order(&["virtio_net", "virtio", "built_in"]).unwrap();
        let names: Vec<_> = order.iter().map(|path| path.file_stem().unwrap()).collect();
        assert_eq!(names, ["net-failover", "virtio", "virtio_net"]);
    }
}
