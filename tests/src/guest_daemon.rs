//! `oxivirtd`, which serves guests, networks and storage pools, in namespaces and a directory of its own.

use crate::error::{Error, Result};
use crate::host;
use crate::netns::Netns;
use crate::process::{Running, wait_until};
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
}

impl GuestDaemon {
    /// Starts a daemon on a fresh host.
    ///
    /// # Errors
    /// No right to make namespaces, or the daemon does not answer; its messages are in the file `log`.
    pub fn new() -> Result<Self> {
        let (netns, root) = (Netns::new()?, TempRoot::new()?);
        host::program("oxivirt_launch")?;
        let mut daemon = Self { running: None, root, netns };
        daemon.start()?;
        Ok(daemon)
    }

    /// Starts the daemon again; it must not run.
    ///
    /// # Errors
    /// It does not answer.
    pub fn start(&mut self) -> Result<()> {
        let program = host::program(NAME)?;
        let run = self.netns.run(["sh", "-c", RUN, "sh"]);
        let run = run.args([program.as_os_str(), self.root.path().as_os_str()]);
        self.running = Some(run.start()?);
        wait_until("the daemon answers", || Ok(self.shell("oxish", "uri").is_ok()))
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
        let program = match shell {
            "oxish" => host::program(shell)?.display().to_string(),
            other => other.to_owned(),
        };
        let (uri, root) = (self.uri(), self.root.path().display().to_string());
        let words = command.split(' ').map(|word| word.replace("ROOT", &root));
        self.netns.run([program.as_str(), "-q", "-c", &uri]).args(words).stdout()
    }
}
