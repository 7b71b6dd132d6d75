//! A real libvirtd with guests, in namespaces and directories of its own.

use std::path::{Path, PathBuf};

use crate::cgroups::{self, Cgroups};
use crate::error::{Error, Result};
use crate::guest_daemon::memory_kib;
use crate::host::{Backend, Host};
use crate::netns::Netns;
use crate::process::{Running, wait_until};

/// libvirt's daemon.
pub const NAME: &str = "libvirtd";

/// Directories of libvirt that the script leaves the machine's.
const PRIVATE: [&str; 2] = ["/var/log/libvirt", "/var/cache/libvirt"];

/// Runs the daemon, which outlives this script.
const RUN: &str = r#"PATH="$1/bin:$PATH" setsid libvirtd </dev/null >>"$1/libvirtd.log" 2>&1 &"#;

/// Runs our daemon until standard input ends.
const RUN_OURS: &str = r#"
"$1" >>"$2/ours.log" 2>&1 &
cat >/dev/null
kill $! 2>/dev/null
wait $!
"#;

/// Our daemon on the directories of a libvirtd.
#[derive(Debug)]
pub struct Ours<'a> {
    host: &'a LibvirtGuests,
    running: Running,
}

impl Ours<'_> {
    /// What a command of virsh prints; `ROOT` in it is the directory of files.
    ///
    /// # Errors
    /// The command fails.
    pub fn virsh(&self, command: &str) -> Result<String> {
        let root = self.host.host.root().display().to_string();
        let uri = format!("qemu:///system?socket={root}/run/libvirt/virtqemud-sock");
        let words = command.split(' ').map(|word| word.replace("ROOT", &root));
        self.host.host.netns().run(["virsh", "-q", "-c", &uri]).args(words).stdout()
    }

    /// Ends the daemon as its administrator does, and waits for its end.
    pub fn stop(self) {
        drop(self.running);
    }
}

/// A libvirtd and its host.
#[derive(Debug)]
pub struct LibvirtGuests {
    host: Host,
    /// Removed when all processes have ended.
    cgroups: Option<Cgroups>,
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
        Ok(Self { host, cgroups })
    }

    /// The host.
    #[must_use]
    pub fn host(&self) -> &Host {
        &self.host
    }

    /// Control groups of guests that exist.
    #[must_use]
    pub fn groups(&self) -> Vec<String> {
        self.cgroups.as_ref().map(Cgroups::guests).unwrap_or_default()
    }

    /// Starts our daemon on libvirt's directories; libvirt's must not run.
    ///
    /// # Errors
    /// It has not been built, or does not answer.
    pub fn ours(&self) -> Result<Ours<'_>> {
        let program = crate::host::program("oxivirtd")?;
        let words = [&cgroups::prefix()[..], &["sh", "-c", RUN_OURS, "sh"]].concat();
        let run = self.host.netns().run(words);
        let running = run.args([program.as_os_str(), self.host.root().as_os_str()]).start()?;
        let ours = Ours { host: self, running };
        wait_until("our daemon answers", || Ok(ours.virsh("uri").is_ok()))?;
        Ok(ours)
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
