//! A real QEMU for tests and benchmarks.

use std::fs::OpenOptions;
use std::io::Write as _;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};

/// The program; `None` if it is not installed, and then the test is reported by name.
///
/// `OXIVIRT_REQUIRE` with the word `qemu` makes that a failure.
pub(crate) fn qemu(test: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    let found = std::env::split_paths(&path)
        .map(|directory| directory.join("qemu-system-x86_64"))
        .find(|program| program.is_file());
    if found.is_none() {
        let why = "qemu-system-x86_64 is not installed";
        let required = std::env::var("OXIVIRT_REQUIRE").unwrap_or_default();
        assert!(!required.split(',').any(|word| word.trim() == "qemu"), "{test}: {why}");
        let line = format!("{test}: {why}\n");
        // Not `eprintln!`, which libtest captures.
        drop(write!(std::io::stderr(), "did not run: {line}"));
        if let Some(path) = std::env::var_os("OXIVIRT_SKIPPED") {
            let file = OpenOptions::new().append(true).create(true).open(path);
            file.and_then(|mut file| file.write_all(line.as_bytes())).unwrap();
        }
    }
    found
}

/// A QEMU whose guest does not run. It is killed with the value.
pub(crate) struct Qemu {
    pub(crate) child: Child,
}

impl Drop for Qemu {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

impl Qemu {
    /// Starts `program` with a monitor on `socket`, which becomes its standard input: connected, or
    /// listening if `options` has `server=on`.
    pub(crate) fn start(program: &Path, socket: OwnedFd, options: &str, machine: &[&str]) -> Self {
        #[expect(clippy::disallowed_methods, reason = "runs beside the test instead of to its end")]
        let mut command = std::process::Command::new(program);
        let chardev = format!("socket,id=mon,fd=0{options}");
        let child = command
            .args(["-S", "-no-user-config", "-nodefaults", "-display", "none"])
            .args(["-chardev", &chardev, "-mon", "chardev=mon,mode=control"])
            .args(machine)
            .stdin(Stdio::from(socket))
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        Self { child }
    }
}
