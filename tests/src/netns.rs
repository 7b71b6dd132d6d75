//! Throw-away hosts: network, mount and process namespaces.
//!
//! A [`Netns::new`] is held by a process that runs `cat`: its input is a pipe from this process, so
//! it ends when the [`Netns`] is dropped and also when the test is killed. It is the first process
//! of a pid namespace, and the kernel kills everything in there with it: no dnsmasq outlives its
//! test, whatever went wrong. Nothing has to be unmounted or deleted afterwards.
//!
//! Programs enter with `nsenter`; this process itself never changes namespaces, so that tests can
//! be threads.

use std::collections::BTreeMap;
use std::fs;
use std::os::fd::{AsFd as _, OwnedFd};
use std::path::{Path, PathBuf};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use rustix::process::{PidfdFlags, Signal, pidfd_open, pidfd_send_signal};

use crate::error::{Error, Result};
use crate::process::{PATIENCE, Run, Running, wait_until};

/// Makes a fresh namespace look like a host that has just booted.
///
/// A table with conntrack and NAT and a bridge are made and removed once, because modules that the
/// kernel loads on first use bring sysctls, which would look like leaks later.
const SET_UP: &str = "
mount -t sysfs sysfs /sys
mount -t tmpfs -o mode=755 tmpfs /run
ip link set lo up
echo 0 > /proc/sys/net/ipv4/ip_forward
echo 0 > /proc/sys/net/ipv6/conf/all/forwarding
ip link add warm-up type bridge
ip link delete warm-up
nft -f - <<'END'
table inet warm-up {
  chain forward { type filter hook forward priority 0; ct state new counter reject; }
  chain postrouting { type nat hook postrouting priority 100; masquerade; }
}
delete table inet warm-up
END
";

/// Makes a fresh namespace look like a guest: only a network stack.
const SET_UP_GUEST: &str = "
mount -t sysfs sysfs /sys
ip link set lo up
";

/// A network namespace with a mount namespace of its own, inside a pid namespace.
#[derive(Debug)]
pub struct Netns {
    /// `/proc/…/ns/net` as this process sees it; likewise the other namespaces.
    net: PathBuf,
    mnt: PathBuf,
    pid: PathBuf,
    /// Ends when dropped. `None` for namespaces of another holder.
    _holder: Option<Running>,
}

impl Netns {
    /// A fresh host: `lo` is up, no forwarding, an empty ruleset, no processes, an empty `/run`.
    ///
    /// # Errors
    /// No right to make namespaces, or a program of the set-up failed.
    pub fn new() -> Result<Self> {
        let mut holder = Run::new([
            "unshare",
            "--net",
            "--mount",
            "--pid",
            "--fork",
            "--mount-proc",
            "--",
            // Daemons that lose their parent become children of this process; with SIGCHLD ignored
            // (which `cat` inherits) the kernel reaps them.
            "env",
            "--ignore-signal=CHLD",
            "cat",
        ])
        .start()?;
        echo(&mut holder)?;
        let of = |kind: &str| PathBuf::from(format!("/proc/{}/ns/{kind}", holder.pid()));
        let (net, mnt, pid) = (of("net"), of("mnt"), of("pid_for_children"));
        let netns = Self { net, mnt, pid, _holder: Some(holder) };
        netns.sh(SET_UP)?;
        Ok(netns)
    }

    /// A fresh network and mount namespace that shares this host's processes: a guest of it, or
    /// another host that ends together with it.
    ///
    /// # Errors
    /// As [`Self::new`].
    pub fn nested(&self) -> Result<Self> {
        // Without the pid namespace, so that the process this one starts is the holder itself.
        let mut holder = Run::new(["unshare", "--net", "--mount", "--", "cat"])
            .behind(["nsenter", &argument("mount", &self.mnt), "--"])
            .start()?;
        echo(&mut holder)?;
        let of = |kind: &str| PathBuf::from(format!("/proc/{}/ns/{kind}", holder.pid()));
        let (net, mnt) = (of("net"), of("mnt"));
        let netns = Self { net, mnt, pid: self.pid.clone(), _holder: Some(holder) };
        netns.sh(SET_UP_GUEST)?;
        Ok(netns)
    }

    /// The network and mount namespace of process `pid`, a number inside this host.
    ///
    /// # Errors
    /// No such process.
    pub fn of_process(&self, pid: u32) -> Result<Self> {
        let outside = self
            .processes()?
            .into_iter()
            .find(|process| process.inside == pid)
            .ok_or_else(|| Error::Wrong(format!("no process {pid} in the namespace")))?
            .outside;
        let of = |kind: &str| PathBuf::from(format!("/proc/{outside}/ns/{kind}"));
        Ok(Self { net: of("net"), mnt: of("mnt"), pid: self.pid.clone(), _holder: None })
    }

    /// The words before a program that run it in here.
    pub fn prefix(&self) -> Vec<String> {
        vec![
            "nsenter".to_owned(),
            argument("net", &self.net),
            argument("mount", &self.mnt),
            argument("pid", &self.pid),
            "--".to_owned(),
        ]
    }

    /// The same for a program that is to be the caller's own child: it is not in the process
    /// namespace, and does not end with it.
    pub fn prefix_of_child(&self) -> Vec<String> {
        let mut words = self.prefix();
        words.retain(|word| !word.starts_with("--pid="));
        words
    }

    /// A program to run in here; the words are the program and its arguments.
    pub fn run<W: AsRef<std::ffi::OsStr>>(&self, words: impl IntoIterator<Item = W>) -> Run {
        Run::new(words).behind(self.prefix())
    }

    /// Runs a shell script that ends at the first failing command; returns its output.
    ///
    /// # Errors
    /// A command of the script failed.
    pub fn sh(&self, script: &str) -> Result<String> {
        self.run(["sh", "-ec", script]).stdout()
    }

    /// A file of this host, as a path of the caller: mounts made in here are seen.
    pub fn path(&self, path: &Path) -> PathBuf {
        let mnt = self.mnt.to_string_lossy();
        let root = mnt.strip_suffix("ns/mnt").unwrap_or(&mnt);
        Path::new(root).join("root").join(path.strip_prefix("/").unwrap_or(path))
    }

    /// Connects this host with `other`: a link `name` here, `other_name` there, both down.
    ///
    /// # Errors
    /// A name is taken.
    pub fn veth(&self, name: &str, other: &Self, other_name: &str) -> Result<()> {
        // Outside the pid and mount namespace: the path of the other side is one of the caller's.
        let add = ["ip", "link", "add", name, "type", "veth", "peer", "name", other_name, "netns"];
        Run::new(add)
            .args([&other.net])
            .behind(["nsenter", &argument("net", &self.net), "--"])
            .stdout()
            .map(drop)
    }

    /// Gives a link of this host to `other`, where it is called `other_name` and down.
    ///
    /// # Errors
    /// No such link, or the name is taken there.
    pub fn give(&self, name: &str, other: &Self, other_name: &str) -> Result<()> {
        // Outside the mount namespace, as above.
        let run = |words: &[&str]| {
            let prefix = ["nsenter", &argument("net", &self.net), "--"];
            Run::new(words).args([&other.net]).behind(prefix).stdout()
        };
        run(&["ip", "link", "set", name, "name", other_name, "netns"]).map(drop)
    }

    /// Attaches a guest to a bridge of this host: a veth pair, `port` on the bridge and `eth0`, up,
    /// in the guest. Returns once the bridge forwards.
    ///
    /// # Errors
    /// The bridge does not exist, or does not forward in time (STP needs 4 s).
    pub fn attach(&self, bridge: &str, port: &str, guest: &Self) -> Result<()> {
        self.veth(port, guest, "eth0")?;
        self.sh(&format!("ip link set {port} master {bridge} up"))?;
        guest.sh("ip link set eth0 up")?;
        self.wait_forwarding(port)
    }

    /// Waits until a bridge port forwards.
    ///
    /// # Errors
    /// [`Error::Wait`]
    pub fn wait_forwarding(&self, port: &str) -> Result<()> {
        let state = self.path(Path::new(&format!("/sys/class/net/{port}/brport/state")));
        wait_until(&format!("port '{port}' forwards"), || {
            let text = fs::read_to_string(&state).map_err(Error::file(&state))?;
            Ok(text.trim() == "3") // BR_STATE_FORWARDING
        })
    }

    /// Waits until duplicate address detection is over: before, IPv6 addresses do not answer.
    ///
    /// # Errors
    /// [`Error::Wait`]
    pub fn wait_addresses(&self) -> Result<()> {
        wait_until("no tentative address", || {
            // A bridge without ports has no carrier, and its address stays tentative.
            let listed = self.sh("ip -6 -o address show up tentative")?;
            let links = self.sh("ip -o link show up")?;
            let waiting = |link: &str| {
                links
                    .lines()
                    .any(|line| line.contains(&format!(": {link}")) && line.contains("LOWER_UP"))
            };
            Ok(!listed.lines().filter_map(|line| line.split_whitespace().nth(1)).any(waiting))
        })
    }

    /// Everything that runs in here, but for the holder.
    ///
    /// # Errors
    /// `/proc` cannot be read.
    pub fn processes(&self) -> Result<Vec<Process>> {
        let namespace = fs::read_link(&self.pid).map_err(Error::file(&self.pid))?;
        let proc = Path::new("/proc");
        let mut found = Vec::new();
        for entry in fs::read_dir(proc).map_err(Error::file(proc))? {
            let path = entry.map_err(Error::file(proc))?.path();
            // A process may end at any point in between: then it is simply not listed.
            let Ok(its) = fs::read_link(path.join("ns/pid")) else {
                continue;
            };
            if its == namespace {
                found.extend(Process::read(&path));
            }
        }
        found.retain(|process| process.inside != 1);
        found.sort_by_key(|process| process.inside);
        Ok(found)
    }

    /// The processes of `program`, the last part of the path that they were started by.
    ///
    /// # Errors
    /// `/proc` cannot be read.
    pub fn processes_of(&self, program: &str) -> Result<Vec<Process>> {
        let mut found = self.processes()?;
        found.retain(|process| process.program() == program);
        Ok(found)
    }

    /// Kills all processes of `program` in here and returns once they have ended.
    ///
    /// # Errors
    /// There is none, `/proc` cannot be read, or one of them does not end.
    pub fn kill_all(&self, program: &str) -> Result<()> {
        let processes = self.processes_of(program)?;
        if processes.is_empty() {
            return Err(Error::Wrong(format!("no process of '{program}' in the namespace")));
        }
        processes.iter().try_for_each(Process::kill)
    }

    /// How often each command line runs, but for those that end in a moment.
    ///
    /// # Errors
    /// `/proc` cannot be read.
    pub fn command_lines(&self) -> Result<BTreeMap<String, usize>> {
        let mut counts = BTreeMap::new();
        for process in self.processes()? {
            *counts.entry(process.command).or_default() += 1;
        }
        Ok(counts)
    }
}

/// A process in a namespace.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Process {
    /// Its number for the caller.
    pub outside: u32,
    /// Its number for its neighbours.
    pub inside: u32,
    /// Its command line, or its name in brackets if it has none (a zombie).
    pub command: String,
}

impl Process {
    /// Last part of the path that it was started by; empty for a zombie.
    pub fn program(&self) -> &str {
        let first = self.command.split(' ').next().unwrap_or_default();
        if first.starts_with('[') { "" } else { first.rsplit('/').next().unwrap_or_default() }
    }

    /// A program that the caller has started.
    ///
    /// # Errors
    /// It has ended.
    pub fn started(running: &Running) -> Result<Self> {
        let path = PathBuf::from(format!("/proc/{}", running.pid()));
        Self::read(&path).ok_or_else(|| Error::Wrong(format!("no '{}'", path.display())))
    }

    /// Kills it and returns once it has ended; one that has ended by itself is as good.
    ///
    /// # Errors
    /// The signal is not permitted, or it has not ended after [`PATIENCE`].
    pub fn kill(&self) -> Result<()> {
        self.end(Signal::KILL)
    }

    fn end(&self, signal: Signal) -> Result<()> {
        let Some(process) = self.open()? else { return Ok(()) };
        match pidfd_send_signal(&process, signal) {
            Err(rustix::io::Errno::SRCH) => return Ok(()),
            other => other.map_err(|source| self.failed("kill", source))?,
        }
        // Readable once the process has ended.
        let mut ended = [PollFd::new(process.as_fd(), PollFlags::POLLIN)];
        let timeout = PollTimeout::try_from(PATIENCE).unwrap_or(PollTimeout::MAX);
        match poll(&mut ended, timeout).map_err(Error::system("poll"))? {
            0 => Err(Error::Wait { what: format!("end of '{}'", self.command), after: PATIENCE }),
            _ => Ok(()),
        }
    }

    /// Asks it to end and returns once it has.
    ///
    /// # Errors
    /// As [`Self::kill`].
    pub fn terminate(&self) -> Result<()> {
        self.end(Signal::TERM)
    }

    /// Stops it until the value that is returned is dropped.
    ///
    /// # Errors
    /// It has ended, or the signal is not permitted.
    pub fn stop(&self) -> Result<Stopped> {
        let process =
            self.open()?.ok_or_else(|| Error::Wrong(format!("'{}' has ended", self.command)))?;
        pidfd_send_signal(&process, Signal::STOP).map_err(|source| self.failed("stop", source))?;
        Ok(Stopped(process))
    }

    /// A descriptor of it, which stays its own; `None` if it has ended.
    fn open(&self) -> Result<Option<OwnedFd>> {
        let Some(pid) = rustix::process::Pid::from_raw(self.outside.cast_signed()) else {
            return Ok(None);
        };
        let process = match pidfd_open(pid, PidfdFlags::empty()) {
            Err(rustix::io::Errno::SRCH) => return Ok(None),
            other => other.map_err(|source| self.failed("open", source))?,
        };
        // The number may be another process's by now: the descriptor is held before this look.
        let same = Self::read(Path::new(&format!("/proc/{}", self.outside))).as_ref() == Some(self);
        Ok(same.then_some(process))
    }

    fn failed(&self, verb: &str, source: rustix::io::Errno) -> Error {
        Error::System {
            what: format!("cannot {verb} '{}'", self.command),
            source: nix::Error::from_raw(source.raw_os_error()),
        }
    }

    fn read(path: &Path) -> Option<Self> {
        let outside = path.file_name()?.to_str()?.parse().ok()?;
        let status = fs::read_to_string(path.join("status")).ok()?;
        let field = |name: &str| status.lines().find_map(|line| line.strip_prefix(name));
        let inside = field("NSpid:")?.split_whitespace().next_back()?.parse().ok()?;
        let words = fs::read(path.join("cmdline")).ok()?;
        let words = String::from_utf8_lossy(&words);
        let command = match words.trim_end_matches('\0') {
            "" => format!("[{}]", field("Name:")?.trim()),
            words => words.replace('\0', " "),
        };
        Some(Self { outside, inside, command })
    }
}

/// A process that does not run; dropping this lets it go on.
#[derive(Debug)]
pub struct Stopped(OwnedFd);

impl Drop for Stopped {
    fn drop(&mut self) {
        // Fails if it was killed meanwhile.
        pidfd_send_signal(&self.0, Signal::CONT).ok();
    }
}

fn argument(kind: &str, path: &Path) -> String {
    format!("--{kind}={}", path.display())
}

/// A line that comes back shows that the namespaces are there.
fn echo(holder: &mut Running) -> Result<()> {
    holder.send("ready")?;
    match holder.line()?.as_str() {
        "ready" => Ok(()),
        other => Err(Error::Format { what: "the holder's answer".into(), found: other.into() }),
    }
}
