//! How fast calls are answered (`cargo xtask bench rpc`).
//!
//! `oxivirt-campaign bench-rpc [--peer PATH]` runs the same load against `oxivirtd` and, where PATH names the script that
//! runs a libvirt, against libvirtd: one client and many, one call at a time and one after another
//! without waiting, real virsh and each one's own shell with a thousand networks, memory with idle clients.
//! Rounds alternate.

use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use crate::daemon::{Daemon, PLAIN};
use crate::error::{Error, Result};
use crate::host::{Backend, Host, program};
use crate::netns::Netns;
use crate::raw::{self, Raw};

/// How long each load is kept up.
const TIME: Duration = Duration::from_millis(1500);
/// Rounds; the best counts, because other processes only slow a round down.
const ROUNDS: usize = 3;
/// Networks of the long list.
const NETWORKS: usize = 1000;
/// Calls that are sent before the first answer is waited for.
const WINDOW: u32 = 200;
/// Clients that do nothing.
const IDLE: usize = 100;

/// Runs a shell; how long it took.
type Shell = Box<dyn Fn(&[&str]) -> Result<Duration>>;

/// One of the two.
struct Candidate {
    name: &'static str,
    socket: PathBuf,
    memory: Box<dyn Fn() -> Result<u64>>,
    virsh: Shell,
    /// The shell that comes with it.
    own: Shell,
    /// Kept until the end.
    _keep: Box<dyn std::any::Any>,
}

fn memory_of(netns: &Netns, pid: &str) -> Result<u64> {
    let status = netns.sh(&format!("cat /proc/{pid}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap_or_default();
    Ok(line.trim().split(' ').next().and_then(|word| word.parse().ok()).unwrap_or_default())
}

fn timed(netns: &Netns, shell: &str, uri: &str, words: &[&str]) -> Result<Duration> {
    let begin = Instant::now();
    netns.run([shell, "-q", "-c", uri]).args(words).output()?.ok()?;
    Ok(begin.elapsed())
}

impl Candidate {
    fn ours() -> Result<Self> {
        let daemon = std::rc::Rc::new(Daemon::start(PLAIN, &[])?);
        let (one, two) = (std::rc::Rc::clone(&daemon), std::rc::Rc::clone(&daemon));
        let (three, oxish) = (std::rc::Rc::clone(&daemon), program("oxish")?.display().to_string());
        Ok(Self {
            name: "oxivirt",
            socket: daemon.socket(),
            memory: Box::new(move || memory_of(one.netns(), &one.pid().to_string())),
            virsh: Box::new(move |words| timed(two.netns(), "virsh", &two.uri(), words)),
            own: Box::new(move |words| timed(three.netns(), &oxish, &three.uri(), words)),
            _keep: Box::new(daemon),
        })
    }

    fn libvirt(script: &Path) -> Result<Self> {
        let host = std::rc::Rc::new(Host::libvirt(script, Backend::Nftables)?);
        let socket = host.root().join("run/libvirt/libvirt-sock");
        let uri = format!("network:///system?socket={}", socket.display());
        let (one, two) = (std::rc::Rc::clone(&host), std::rc::Rc::clone(&host));
        let (three, same) = (std::rc::Rc::clone(&host), uri.clone());
        Ok(Self {
            name: "libvirt",
            socket,
            memory: Box::new(move || {
                let pid = one.netns().sh("cat /run/libvirtd.pid")?;
                memory_of(one.netns(), pid.trim())
            }),
            virsh: Box::new(move |words| timed(two.netns(), "virsh", &uri, words)),
            own: Box::new(move |words| timed(three.netns(), "virsh", &same, words)),
            _keep: Box::new(host),
        })
    }

    /// Calls a second.
    fn load(&self, clients: usize, window: u32) -> Result<f64> {
        let threads: Vec<_> = (0..clients)
            .map(|_| {
                let socket = self.socket.clone();
                thread::spawn(move || one(&socket, window))
            })
            .collect();
        let mut sum = 0.0;
        for thread in threads {
            let rate = thread.join().map_err(|_| Error::Wrong("a client panicked".to_owned()))?;
            sum += rate?;
        }
        Ok(sum)
    }

    fn define_many(&self) -> Result<()> {
        let mut raw = Raw::open(&self.socket)?;
        for number in 0..NETWORKS {
            let xml =
                format!("<network><name>n{number}</name><bridge name='b{number}'/></network>");
            let answer = raw.ask(41, 7, &raw::text(&xml))?;
            if answer.get(24..28) != Some(&[0; 4]) {
                return Err(Error::Wrong(String::from_utf8_lossy(&answer).into_owned()));
            }
        }
        Ok(())
    }
}

/// One client: calls a second.
fn one(socket: &Path, window: u32) -> Result<f64> {
    let mut raw = Raw::open(socket)?;
    let calls: Vec<u8> =
        (0..window).flat_map(|serial| raw::call(raw::LIB_VERSION, serial, &[])).collect();
    let (begin, mut n) = (Instant::now(), 0_u32);
    while begin.elapsed() < TIME {
        raw.send(&calls)?;
        for _ in 0..window {
            raw.packet()?;
        }
        n += window;
    }
    Ok(f64::from(n) / begin.elapsed().as_secs_f64())
}

fn row(what: &str, unit: &str, values: &[f64], goal: &str, is_more_better: bool) {
    let cells: Vec<String> = values.iter().map(|value| format!("{value:>12.1}")).collect();
    let ratio = match values {
        [ours, theirs] if is_more_better => format!("{:.1}", ours / theirs),
        [ours, theirs] => format!("{:.1}", theirs / ours),
        _ => "-".to_owned(),
    };
    println!("{what:<34}{unit:<10}{}{ratio:>10}  {goal}", cells.concat());
}

/// The long list by a shell.
fn lists(
    candidates: &[Candidate],
    what: &str,
    goal: &str,
    shell: impl Fn(&Candidate) -> &Shell,
) -> Result<()> {
    let mut best = vec![f64::MAX; candidates.len()];
    for _ in 0..ROUNDS {
        for (best, candidate) in best.iter_mut().zip(candidates) {
            *best = best.min(shell(candidate)(&["net-list", "--all"])?.as_secs_f64() * 1e3);
        }
    }
    row(what, "ms", &best, goal, false);
    Ok(())
}

pub(super) fn run(words: &[String]) -> Result<bool> {
    let mut words = words.iter().cloned();
    let mut candidates = vec![Candidate::ours()?];
    while let Some(word) = words.next() {
        match (word.as_str(), words.next()) {
            ("--peer", Some(path)) => candidates.push(Candidate::libvirt(Path::new(&path))?),
            _ => return Err(Error::Wrong(format!("unexpected word '{word}'"))),
        }
    }
    let names: Vec<String> = candidates.iter().map(|one| format!("{:>12}", one.name)).collect();
    println!("{:<44}{}{:>10}  goal", "", names.concat(), "times");
    for (what, clients, window, goal) in [
        ("1 client, one call at a time", 1, 1, "lower latency"),
        ("64 clients, one call at a time", 64, 1, "5"),
        ("1 client, without waiting", 1, WINDOW, "20"),
        ("64 clients, without waiting", 64, WINDOW, "20"),
    ] {
        let mut best = vec![0.0_f64; candidates.len()];
        for _ in 0..ROUNDS {
            for (best, candidate) in best.iter_mut().zip(&candidates) {
                *best = best.max(candidate.load(clients, window)?);
            }
        }
        row(what, "calls/s", &best, goal, true);
    }
    let mut memories = Vec::new();
    for candidate in &candidates {
        let idle: Vec<Raw> =
            (0..IDLE).map(|_| Raw::open(&candidate.socket)).collect::<Result<_>>()?;
        memories.push((candidate.memory)()? as f64 / 1024.0);
        drop(idle);
    }
    row("memory with 100 idle clients", "MiB", &memories, "less", false);
    candidates.iter().try_for_each(Candidate::define_many)?;
    lists(&candidates, "virsh net-list, 1000 networks", "", |candidate| &candidate.virsh)?;
    lists(&candidates, "own shell, the same", "3", |candidate| &candidate.own)?;
    Ok(true)
}
