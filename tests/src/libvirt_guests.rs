//! A real libvirtd with guests, in namespaces and directories of its own.

use std::path::{Path, PathBuf};

use crate::cgroups::{self, Cgroups};
use crate::error::{Error, Result};
use crate::guest_daemon::memory_kib;
use crate::host::{Backend, Host};
use crate::netns::Netns;
use crate::process::wait_until;

/// libvirt's daemon.
pub const NAME: &str = "libvirtd";

/// Directories of libvirt that the script leaves the machine's.
const PRIVATE: [&str; 2] = ["/var/log/libvirt", "/var/cache/libvirt"];

/// Runs the daemon, which outlives this script.
const RUN: &str = r#"PATH="$1/bin:$PATH" setsid libvirtd </dev/null >>"$1/libvirtd.log" 2>&1 &"#;

/// A libvirtd and its host.
#[derive(Debug)]
pub struct LibvirtGuests {
    host: Host,
    /// Removed when all processes have ended.
    _cgroups: Option<Cgroups>,
}

impl LibvirtGuests {
    /// A fresh host with a libvirtd that `script` has started.
    ///
    /// # Errors
    /// No right to make namespaces, no libvirt.
    pub fn new(script: &Path) -> Result<Self> {
        let netns = Netns::new()?;
        let cgroups = Cgroups::mount(&netns)?;
        for directory in PRIVATE {
            netns.sh(&format!("mount -t tmpfs -o mode=755 tmpfs {directory}"))?;
        }
        let host = Host::libvirt_on(netns, script, Backend::Nftables)?;
        Ok(Self { host, _cgroups: cgroups })
    }

    /// The host.
    #[must_use]
    pub fn host(&self) -> &Host {
        &self.host
    }

    /// Starts the daemon again without waiting for it; it must not run.
    ///
    /// # Errors
    /// It cannot be started.
    pub fn spawn(&self) -> Result<()> {
        let words = [&cgroups::prefix()[..], &["sh", "-c", RUN, "sh"]].concat();
        self.host.netns().run(words).args([self.host.root()]).stdout().map(drop)
    }

    /// Starts the daemon again and waits until it answers.
    ///
    /// # Errors
    /// It does not answer.
    pub fn start(&self) -> Result<()> {
        self.spawn()?;
        wait_until("libvirtd answers", || Ok(self.host.done(&["uri"]).is_ok()))
    }

    /// Ends the daemon and waits for its end.
    ///
    /// # Errors
    /// It does not end.
    pub fn stop(&self) -> Result<()> {
        self.host.netns().processes_of(NAME)?.iter().try_for_each(|process| process.terminate())
    }

    /// Memory that the daemon has, in KiB.
    ///
    /// # Errors
    /// It does not run.
    pub fn memory_kib(&self) -> Result<u64> {
        memory_kib(self.host.netns(), NAME)
    }

    /// What a command of virsh prints; `ROOT` in it is the directory of files.
    ///
    /// # Errors
    /// The command fails.
    pub fn virsh(&self, command: &str) -> Result<String> {
        let root = self.host.root().display().to_string();
        let words: Vec<String> =
            command.split(' ').map(|word| word.replace("ROOT", &root)).collect();
        let words: Vec<&str> =
            std::iter::once("-q").chain(words.iter().map(String::as_str)).collect();
        self.host.done(&words)
    }

    /// Writes a file that a command reads.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn write(&self, name: &str, text: &str) -> Result<PathBuf> {
        let path = self.host.root().join(name);
        #[expect(clippy::disallowed_methods, reason = "no reader yet")]
        std::fs::write(&path, text).map_err(Error::file(&path))?;
        Ok(path)
    }
}
