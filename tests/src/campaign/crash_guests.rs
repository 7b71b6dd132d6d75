//! Kills the driver of guests at every state-changing system call of a start, a destroy and a shutdown, and the
//! daemon at any time while guests run (`cargo xtask crash`).
//!
//! `oxivirt-campaign crash-guests [--step N] [--jobs N] [--recovery] [--kills N]` tries every N-th kill point,
//! with `--recovery` also those of the recovery from a kill, and kills the daemon N times over running guests.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use crate::error::{Error, Result};
use crate::guest_crash::{Bench, Kill, Operation, State, has_kvm};
use crate::guest_daemon::GuestDaemon;
use crate::guests::traces;
use crate::process::{PATIENCE, wait_until};
use crate::qemu;
use crate::require::{self, Need};

/// Kills of the daemon.
const KILLS: usize = 100;
/// Guests that run meanwhile.
const GUESTS: usize = 10;
/// The daemon is killed within this time after it has answered.
const LIFE: Duration = Duration::from_millis(200);
/// Of the kill points of a start, every so many are followed by a kill of the recovery.
const RECOVERY_STEP: usize = 25;

pub(super) fn run(words: &[String]) -> Result<bool> {
    let options = Options::read(words)?;
    if !require::check("crash: guests", &[Need::Netns, qemu::NEED])? {
        return Ok(true);
    }
    let mut failed = 0;
    for operation in Operation::ALL {
        let points = kill_all(operation, options, &mut failed)?;
        if options.recovery && operation == Operation::Start {
            for first in (1..points).step_by(RECOVERY_STEP) {
                kill_all(Operation::RecoverStart(first), options, &mut failed)?;
            }
        }
    }
    if options.kills > 0
        && let Err(error) = kill_daemon(options.kills)
    {
        failed += 1;
        println!("  FAILED: {}", error.chain());
    }
    println!("{failed} failed");
    Ok(failed == 0)
}

#[derive(Clone, Copy)]
struct Options {
    step: usize,
    jobs: usize,
    recovery: bool,
    kills: usize,
}

impl Options {
    fn read(words: &[String]) -> Result<Self> {
        let processors = thread::available_parallelism().map_or(1, std::num::NonZero::get);
        let mut options = Self { step: 1, jobs: processors, recovery: false, kills: KILLS };
        let mut words = words.iter();
        while let Some(word) = words.next() {
            let mut number = |least: usize| {
                let value = words.next().map_or("", String::as_str);
                match value.parse() {
                    Ok(number) if number >= least => Ok(number),
                    _ => Err(Error::Wrong(format!("'{word}' wants a number, not '{value}'"))),
                }
            };
            match word.as_str() {
                "--step" => options.step = number(1)?,
                "--jobs" => options.jobs = number(1)?,
                "--kills" => options.kills = number(0)?,
                "--recovery" => options.recovery = true,
                option => return Err(Error::Wrong(format!("unknown option '{option}'"))),
            }
        }
        Ok(options)
    }
}

/// What all workers know.
struct Shared {
    operation: Operation,
    step: usize,
    /// The next kill point to try.
    next: AtomicUsize,
    /// A kill point that was not reached; none from here on is tried.
    end: AtomicUsize,
    found: Mutex<Found>,
}

#[derive(Debug, Default)]
struct Found {
    up: usize,
    down: usize,
    exceptions: Vec<(usize, String)>,
}

/// Kills at every kill point of an operation; returns how many it has.
fn kill_all(operation: Operation, options: Options, failed: &mut usize) -> Result<usize> {
    let shared = Shared {
        operation,
        step: options.step,
        next: AtomicUsize::new(1),
        end: AtomicUsize::new(usize::MAX),
        found: Mutex::default(),
    };
    thread::scope(|scope| {
        let workers: Vec<_> = (0..options.jobs).map(|_| scope.spawn(|| work(&shared))).collect();
        workers.into_iter().try_for_each(|worker| {
            worker.join().unwrap_or_else(|_| Err(Error::Wrong("a worker panicked".into())))
        })
    })?;
    let found = shared.found.into_inner().unwrap_or_else(PoisonError::into_inner);
    let (points, exceptions) = (shared.end.into_inner() - 1, found.exceptions.len());
    let Found { up, down, .. } = found;
    println!(
        "  {operation}: up to {points} kill points, {} tried: {up} came out up, {down} down, {exceptions} exceptions",
        up + down + exceptions
    );
    for (at, text) in &found.exceptions {
        println!("    FAILED: exception at {at} of {operation}, {text}");
    }
    *failed += exceptions;
    if up + down + exceptions == 0 {
        return Err(Error::Wrong(format!("{operation} has no kill point")));
    }
    Ok(points)
}

fn work(shared: &Shared) -> Result<()> {
    let mut bench = Bench::new()?;
    loop {
        let at = shared.next.fetch_add(shared.step, Ordering::Relaxed);
        if at >= shared.end.load(Ordering::Relaxed) {
            return Ok(());
        }
        let kill = bench.kill(shared.operation, at)?;
        let mut found = shared.found.lock().unwrap_or_else(PoisonError::into_inner);
        match kill {
            Kill::Survived(State::Up) => found.up += 1,
            Kill::Survived(State::Down) => found.down += 1,
            Kill::BeyondTheEnd => drop(shared.end.fetch_min(at, Ordering::Relaxed)),
            Kill::Exception { call, error } => {
                let call = call.map_or_else(|| "not killed".to_owned(), |call| call.to_string());
                found.exceptions.push((at, format!("{call}: {}", error.chain())));
                drop(found);
                bench = Bench::new()?;
            }
        }
    }
}

/// Kills the daemon at any time, over guests that run and while a client changes one of them. No guest is lost,
/// none runs twice.
fn kill_daemon(kills: usize) -> Result<()> {
    let mut daemon = GuestDaemon::new()?;
    let names: BTreeSet<String> = (0..GUESTS).map(|number| format!("g{number}")).collect();
    for name in &names {
        daemon.write("guest.xml", &document(name))?;
        daemon.shell("oxish", "create ROOT/guest.xml --paused")?;
    }
    let ids = ids(&daemon)?;
    for round in 0..kills {
        let name = format!("g{}", rand::random_range(0..GUESTS));
        let verb = ["suspend", "resume", "reset", "dumpxml"][rand::random_range(0..4)];
        let call = daemon.begin("oxish", &format!("{verb} {name}"))?;
        thread::sleep(LIFE.mul_f64(rand::random()));
        daemon.kill()?;
        // Its client has lost the connection, or its answer in time.
        drop(call);
        daemon.start()?;
        check(&daemon, &ids).map_err(|error| {
            Error::Wrong(format!("kill {} during {verb} {name}: {}", round + 1, error.chain()))
        })?;
    }
    for name in &names {
        daemon.shell("oxish", &format!("destroy {name}"))?;
    }
    wait_until("nothing of the guests is left", || {
        Ok(traces(daemon.netns(), daemon.root().path())?.is_empty() && daemon.groups().is_empty())
    })?;
    println!("  {kills} kills of the daemon over {GUESTS} guests: none lost, none doubled");
    Ok(())
}

/// The same guests have the same numbers, each has one process, and one of them answers.
fn check(daemon: &GuestDaemon, before: &BTreeSet<(String, String)>) -> Result<()> {
    let found = ids(daemon)?;
    if found != *before {
        return Err(Error::Wrong(format!("guests {found:?}, not {before:?}")));
    }
    let processes = daemon.netns().processes_of(qemu::SYSTEM)?;
    for (_, name) in before {
        let word = format!("guest={name},");
        let count = processes.iter().filter(|process| process.command.contains(&word)).count();
        if count != 1 {
            return Err(Error::Wrong(format!("guest '{name}' has {count} processes")));
        }
    }
    let name = format!("g{}", rand::random_range(0..GUESTS));
    let command = format!("reset {name}");
    wait_until(&format!("'{name}' answers within {PATIENCE:?}"), || {
        Ok(daemon.shell("oxish", &command).is_ok())
    })
}

/// Numbers and names of the guests that run.
fn ids(daemon: &GuestDaemon) -> Result<BTreeSet<(String, String)>> {
    let listed = daemon.shell("oxish", "list")?;
    let lines = listed.lines().map(|line| line.split_whitespace().take(2));
    let pairs =
        lines.filter_map(|mut words| Some((words.next()?.to_owned(), words.next()?.to_owned())));
    Ok(pairs.collect())
}

fn document(name: &str) -> String {
    let kind = if has_kvm() { "kvm" } else { "qemu" };
    format!(
        "<domain type='{kind}'><name>{name}</name><memory unit='MiB'>16</memory>\
         <os><type machine='q35'>hvm</type></os><devices/></domain>"
    )
}
