//! A running `oxivirtd` on a throw-away host, called `virtnetworkd`, for clients of all kinds.

use std::io;
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use crate::bus::Bus;
use crate::error::{Error, Result};
use crate::host::program;
use crate::netns::Netns;
use crate::process::{PATIENCE, Run, Running};
use crate::root::TempRoot;

/// What the daemon is called: libvirt's name of the daemon of networks.
const NAME: &str = "virtnetworkd";

/// Runs the daemon until standard input ends, then ends it as a service manager does.
const RUN: &str = r#"
daemon=$1; root=$2; shift 2
"$daemon" --root "$root" "$@" >"$root/log" 2>&1 &
d=$!
echo $d
cat >/dev/null
kill $d 2>/dev/null
wait $d
echo "status $?"
"#;

/// The same for ports, and the ports themselves.
pub const PORTS: &str = "auth_unix_rw = \"none\"\nauth_unix_ro = \"none\"\nlisten_tcp = 1\n\
    auth_tcp = \"none\"\nlisten_addr = \"localhost\"\n";

/// No password is asked for; everything else is as it comes.
pub const PLAIN: &str = "auth_unix_rw = \"none\"\nauth_unix_ro = \"none\"\n";

/// How long to wait for a notification before the log is searched for an error.
const LOG_INTERVAL: Duration = Duration::from_millis(20);

/// A host with a daemon on it. Dropping it ends the daemon and what it left running.
#[derive(Debug)]
pub struct Daemon {
    running: Option<Running>,
    /// Number of the daemon inside the host.
    pid: u32,
    netns: Netns,
    root: TempRoot,
    environment: Vec<(&'static str, String)>,
    /// Receives what the daemon tells its service manager (`NOTIFY_SOCKET`).
    notifications: UnixDatagram,
}

impl Daemon {
    /// Starts a daemon with this configuration on a fresh host.
    ///
    /// # Errors
    /// No namespaces, programs that have not been built, a daemon that does not come up.
    pub fn start(config: &str, arguments: &[&str]) -> Result<Self> {
        Self::start_in(Netns::new()?, TempRoot::new()?, config, arguments)
    }

    /// Starts a daemon on this host that finds `bus` there.
    ///
    /// # Errors
    /// As [`Self::start`].
    pub fn start_with_bus(netns: Netns, bus: &Bus, config: &str) -> Result<Self> {
        let mut daemon = Self::prepare(netns, TempRoot::new()?, config)?;
        daemon.environment.push(bus.environment());
        daemon.restart(&[])?;
        Ok(daemon)
    }

    /// Starts a daemon on this host, with its files below `root`, which `ROOT` means in the configuration.
    ///
    /// # Errors
    /// As [`Self::start`].
    pub fn start_in(
        netns: Netns,
        root: TempRoot,
        config: &str,
        arguments: &[&str],
    ) -> Result<Self> {
        let mut daemon = Self::prepare(netns, root, config)?;
        daemon.restart(arguments)?;
        Ok(daemon)
    }

    fn prepare(netns: Netns, root: TempRoot, config: &str) -> Result<Self> {
        let file = root.join("etc/libvirt/virtnetworkd.conf");
        let parent = file.parent().unwrap_or(&file);
        std::fs::create_dir_all(parent).map_err(Error::file(parent))?;
        #[expect(clippy::disallowed_methods, reason = "no reader yet")]
        std::fs::write(&file, config.replace("ROOT", &root.path().display().to_string()))
            .map_err(Error::file(&file))?;
        program("oxivirt_leaseshelper")?;
        let path = root.join("notify");
        let notifications = UnixDatagram::bind(&path).map_err(Error::file(&path))?;
        notifications.set_read_timeout(Some(LOG_INTERVAL)).map_err(Error::file(&path))?;
        let environment = vec![("NOTIFY_SOCKET", path.display().to_string())];
        Ok(Self { running: None, pid: 0, netns, root, environment, notifications })
    }

    /// Starts the daemon of this host again; it must not be running.
    ///
    /// # Errors
    /// As [`Self::start`].
    pub fn restart(&mut self, arguments: &[&str]) -> Result<()> {
        let daemon = self.root.join(NAME);
        if !daemon.exists() {
            std::os::unix::fs::symlink(program("oxivirtd")?, &daemon)
                .map_err(Error::file(&daemon))?;
        }
        let mut run = self
            .netns
            .run(["sh", "-c", RUN, "sh"])
            .args([daemon.as_os_str(), self.root.path().as_os_str()])
            .args(arguments);
        for (name, value) in &self.environment {
            run = run.env(name, value);
        }
        let mut running = run.start()?;
        let line = running.line()?;
        self.pid = line
            .parse()
            .map_err(|_| Error::Format { what: "a process number".into(), found: line.clone() })?;
        self.running = Some(running);
        self.wait_for("READY=1")
    }

    /// Waits until the daemon sends `state` to its service manager: it is ready once every socket and port
    /// listens, so a test can connect to any of them.
    ///
    /// # Errors
    /// The daemon reports an error, or does not send `state` in time.
    pub fn wait_for(&self, state: &str) -> Result<()> {
        let end = Instant::now() + PATIENCE;
        let mut buffer = [0; 4096];
        loop {
            match self.notifications.recv(&mut buffer) {
                Ok(n) => {
                    let text = String::from_utf8_lossy(&buffer[..n]).into_owned();
                    if text.lines().any(|line| line == state) {
                        return Ok(());
                    }
                }
                Err(error)
                    if matches!(
                        error.kind(),
                        io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted
                    ) => {}
                Err(error) => return Err(Error::file(&self.root.join("notify"))(error)),
            }
            let log = self.log();
            if log.lines().any(|line| line.starts_with("oxivirtd: ")) {
                return Err(Error::Wrong(log));
            }
            if Instant::now() > end {
                let what = format!("{state} from the daemon, whose log is\n{log}");
                return Err(Error::Wait { what, after: PATIENCE });
            }
        }
    }

    /// Has the daemon read disk and certificates again, and waits until it has.
    ///
    /// # Errors
    /// As [`Self::wait_for`].
    pub fn reload(&self) -> Result<()> {
        self.netns.sh(&format!("kill -HUP {}", self.pid))?;
        self.wait_for("RELOADING=1")?;
        self.wait_for("READY=1")
    }

    /// Ends the daemon as a service manager does; its exit status.
    ///
    /// # Errors
    /// It was not running.
    pub fn stop(&mut self) -> Result<String> {
        let running = self.running.take();
        let running = running.ok_or_else(|| Error::Wrong("the daemon is not running".into()))?;
        Ok(running.finish()?.trim().to_owned())
    }

    /// The host.
    pub fn netns(&self) -> &Netns {
        &self.netns
    }

    /// Directory of all files.
    pub fn root(&self) -> &Path {
        self.root.path()
    }

    /// Number of the daemon inside the host.
    pub fn pid(&self) -> u32 {
        self.pid
    }

    /// The socket that changes things.
    pub fn socket(&self) -> PathBuf {
        self.root.join("run/libvirt/virtnetworkd-sock")
    }

    /// The socket of administration.
    pub fn admin_socket(&self) -> PathBuf {
        self.root.join("run/libvirt/virtnetworkd-admin-sock")
    }

    /// What the daemon has said.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.root.join("log")).unwrap_or_default()
    }

    /// The URI by which real clients reach it.
    pub fn uri(&self) -> String {
        format!("network:///system?socket={}", self.socket().display())
    }

    /// A real virsh, connected to it.
    pub fn virsh(&self, words: &[&str]) -> Run {
        self.netns.run(["virsh", "-q", "-c", &self.uri()]).args(words)
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        drop(self.running.take());
    }
}
