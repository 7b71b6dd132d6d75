//! `oxivirtd`, which serves guests, networks and storage pools, in namespaces and a directory of its own.

use crate::cgroups::{self, Cgroups};
use crate::error::{Error, Result};
use crate::host;
use crate::netns::Netns;
use crate::process::{Run, Running, wait_until};
use crate::root::TempRoot;

/// The program.
const NAME: &str = "oxivirtd";

/// Runs the daemon until standard input ends.
const RUN: &str = r#"
"$1" --root "$2" >>"$2/log" 2>&1 &
cat >/dev/null
kill $! 2>/dev/null
wait $!
"#;

/// The daemon and its host.
#[derive(Debug)]
pub struct GuestDaemon {
    /// `None` after it was killed.
    running: Option<Running>,
    root: TempRoot,
    netns: Netns,
    /// Removed when all processes have ended.
    cgroups: Option<Cgroups>,
}

impl GuestDaemon {
    /// Starts a daemon on a fresh host.
    ///
    /// # Errors
    /// No right to make namespaces, or the daemon does not answer; its messages are in the file `log`.
    pub fn new() -> Result<Self> {
        let (netns, root) = (Netns::new()?, TempRoot::new()?);
        let cgroups = Cgroups::mount(&netns)?;
        host::program("oxivirt_launch")?;
        let mut daemon = Self { running: None, root, netns, cgroups };
        daemon.start()?;
        Ok(daemon)
    }

    /// Starts the daemon again; it must not run.
    ///
    /// # Errors
    /// It does not answer.
    pub fn start(&mut self) -> Result<()> {
        self.spawn()?;
        wait_until("the daemon answers", || Ok(self.shell("oxish", "uri").is_ok()))
    }

    /// Starts the daemon again without waiting for it; it must not run.
    ///
    /// # Errors
    /// It cannot be started.
    pub fn spawn(&mut self) -> Result<()> {
        let program = host::program(NAME)?;
        let words = [&cgroups::prefix()[..], &["sh", "-c", RUN, "sh"]].concat();
        let run = self.netns.run(words).args([program.as_os_str(), self.root.path().as_os_str()]);
        self.running = Some(run.start()?);
        Ok(())
    }

    /// Ends the daemon as its administrator does, and waits for its end.
    pub fn stop(&mut self) {
        self.running = None;
    }

    /// Memory that the daemon has, in KiB.
    ///
    /// # Errors
    /// It does not run.
    pub fn memory_kib(&self) -> Result<u64> {
        memory_kib(&self.netns, NAME)
    }

    /// Kills the daemon, not what it has started.
    ///
    /// # Errors
    /// It cannot be found.
    pub fn kill(&mut self) -> Result<()> {
        self.netns.kill_all(NAME)?;
        self.running = None;
        Ok(())
    }

    /// Control groups of guests that exist.
    #[must_use]
    pub fn groups(&self) -> Vec<String> {
        self.cgroups.as_ref().map(Cgroups::guests).unwrap_or_default()
    }

    /// The namespaces.
    #[must_use]
    pub fn netns(&self) -> &Netns {
        &self.netns
    }

    /// The directory of all its files.
    #[must_use]
    pub fn root(&self) -> &TempRoot {
        &self.root
    }

    /// Writes a file below the directory, such as a document that a command reads.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn write(&self, name: &str, text: &str) -> Result<()> {
        let path = self.root.join(name);
        #[expect(clippy::disallowed_methods, reason = "no reader yet")]
        std::fs::write(&path, text).map_err(Error::file(&path))
    }

    /// The URI of its guests.
    #[must_use]
    pub fn uri(&self) -> String {
        let root = self.root.path().display();
        format!("qemu:///system?socket={root}/run/libvirt/virtqemud-sock")
    }

    /// What a command of a shell prints, `virsh` or `oxish`; `ROOT` in it is the directory.
    ///
    /// # Errors
    /// The command fails.
    pub fn shell(&self, shell: &str, command: &str) -> Result<String> {
        self.command(shell, command)?.stdout()
    }

    /// Begins a command of a shell, whose end is waited for when the result is dropped.
    ///
    /// # Errors
    /// The shell cannot be started.
    pub fn begin(&self, shell: &str, command: &str) -> Result<Running> {
        self.command(shell, command)?.through_shell("exec \"$@\" 2>/dev/null").start()
    }

    fn command(&self, shell: &str, command: &str) -> Result<Run> {
        let program = match shell {
            "oxish" => host::program(shell)?.display().to_string(),
            other => other.to_owned(),
        };
        let (uri, root) = (self.uri(), self.root.path().display().to_string());
        let words = command.split(' ').map(|word| word.replace("ROOT", &root));
        Ok(self.netns.run([program.as_str(), "-q", "-c", &uri]).args(words))
    }
}

/// Memory that a program has which runs once in `netns`, in KiB (proc_pid_status(5)).
///
/// # Errors
/// It does not run, or more than once.
pub fn memory_kib(netns: &Netns, program: &str) -> Result<u64> {
    let processes = netns.processes_of(program)?;
    let [process] = processes.as_slice() else {
        return Err(Error::Wrong(format!("'{program}' runs {} times", processes.len())));
    };
    let path = std::path::PathBuf::from(format!("/proc/{}/status", process.outside));
    let status = std::fs::read_to_string(&path).map_err(Error::file(&path))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap_or_default();
    let size = line.trim().split(' ').next().and_then(|word| word.parse().ok());
    size.ok_or_else(|| Error::Format { what: path.display().to_string(), found: line.into() })
}
