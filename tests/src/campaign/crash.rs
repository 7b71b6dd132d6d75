//! Kills the driver at every state-changing system call of start, destroy and all that happens to a
//! running network: updates, a switch of the backend, repairs, a take-over (`cargo xtask crash`).
//!
//! `oxivirt-campaign crash [--step N] [--jobs N] [--recovery] [--all | FILE…]` tries every N-th kill point for
//! the networks in the files, with `--all` for every network of the tests, and without either for a
//! dual-stack NAT network. With `--recovery` the driver is also killed while it recovers from a kill.
//! The operations on a running network are tried with the dual-stack NAT network only.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;

use crate::crash::{Bench, Kill, Operation, State};
use crate::error::{Error, Result};
use crate::inject::strace::{Counts, count_traced};
use crate::require::{self, Need};

/// Times that the tracer and strace may see different runs: threads differ a little.
const COMPARISONS: usize = 5;

/// Of the kill points of an operation, every so many are followed by a kill of the recovery.
const RECOVERY_STEP: usize = 5;

pub(super) fn run(words: &[String]) -> Result<bool> {
    kill_everywhere(&Options::read(words)?)
}

struct Options {
    step: usize,
    jobs: usize,
    recovery: bool,
    files: Vec<PathBuf>,
}

impl Options {
    fn read(words: &[String]) -> Result<Self> {
        let processors = thread::available_parallelism().map_or(1, std::num::NonZero::get);
        let mut options = Self { step: 1, jobs: processors, recovery: false, files: Vec::new() };
        let mut words = words.iter();
        while let Some(word) = words.next() {
            let mut number = || {
                let value = words.next().map_or("", String::as_str);
                match value.parse() {
                    Ok(number) if number > 0 => Ok(number),
                    _ => Err(Error::Wrong(format!("'{word}' wants a number, not '{value}'"))),
                }
            };
            match word.as_str() {
                "--step" => options.step = number()?,
                "--jobs" => options.jobs = number()?,
                "--recovery" => options.recovery = true,
                "--all" => options.files.extend(networks()?),
                option if option.starts_with('-') => {
                    return Err(Error::Wrong(format!("unknown option '{option}'")));
                }
                file => options.files.push(PathBuf::from(file)),
            }
        }
        if options.files.is_empty() {
            options.files.push(rich());
        }
        Ok(options)
    }
}

fn directory() -> PathBuf {
    require::workspace().join("tests/data/networks")
}

/// A network that has everything: two families, DHCP, translation.
fn rich() -> PathBuf {
    directory().join("nat-dual.xml")
}

/// The networks of the tests, in the order of their names.
fn networks() -> Result<Vec<PathBuf>> {
    let directory = directory();
    let entries = std::fs::read_dir(&directory).map_err(Error::file(&directory))?;
    let files: std::io::Result<Vec<PathBuf>> = entries.map(|entry| Ok(entry?.path())).collect();
    let mut files = files.map_err(Error::file(&directory))?;
    files.sort();
    Ok(files)
}

/// Results so far.
#[derive(Debug, Default)]
struct Tally {
    passed: usize,
    failed: usize,
    skipped: usize,
}

fn kill_everywhere(options: &Options) -> Result<bool> {
    let mut tally = Tally::default();
    for file in &options.files {
        let xml = std::fs::read_to_string(file).map_err(Error::file(file))?;
        println!("{}", file.display());
        compare_lists(&xml, &mut tally)?;
        for operation in [Operation::Start, Operation::Destroy] {
            let points = kill_all(&xml, operation, options, &mut tally)?;
            if options.recovery {
                for first in (1..points).step_by(RECOVERY_STEP) {
                    let recovery = match operation {
                        Operation::Start => Operation::RecoverStart(first),
                        _ => Operation::RecoverDestroy(first),
                    };
                    kill_all(&xml, recovery, options, &mut tally)?;
                }
            }
        }
    }
    let file = rich();
    let xml = std::fs::read_to_string(&file).map_err(Error::file(&file))?;
    println!("{}, running", file.display());
    for operation in Operation::RUNNING {
        if matches!(operation, Operation::TakeOver(_))
            && !require::check(&format!("crash: {operation}"), &[Need::Peer])?
        {
            tally.skipped += 1;
            continue;
        }
        kill_all(&xml, operation, options, &mut tally)?;
    }
    println!("{} passed, {} failed, {} skipped", tally.passed, tally.failed, tally.skipped);
    Ok(tally.failed == 0)
}

/// The tracer's list of kill points against strace's.
fn compare_lists(xml: &str, tally: &mut Tally) -> Result<()> {
    let bench = Bench::new(xml, Operation::Start)?;
    let (start, destroy) = bench.kill_points()?;
    for (operation, calls) in [(Operation::Start, &start), (Operation::Destroy, &destroy)] {
        let counts: Vec<String> =
            count_traced(calls).iter().map(|(name, count)| format!("{count} {name}")).collect();
        println!("  {operation}: {} kill points: {}", calls.len(), counts.join(", "));
    }
    if !require::check("crash: kill points against strace", &[Need::Strace])? {
        tally.skipped += 1;
        return Ok(());
    }
    let mut different = Vec::new();
    for _ in 0..COMPARISONS {
        let (start, destroy) = bench.kill_points()?;
        let seen = bench.seen_by_strace()?;
        let traced = (count_traced(&start), count_traced(&destroy));
        if seen == traced {
            println!("  strace lists the same calls");
            tally.passed += 1;
            return Ok(());
        }
        different.push((traced, seen));
    }
    tally.failed += 1;
    println!("  FAILED: strace and the tracer differ in {COMPARISONS} of {COMPARISONS} runs:");
    for ((start, destroy), (seen_start, seen_destroy)) in different {
        println!("    start: {}", differing(&start, &seen_start));
        println!("    destroy: {}", differing(&destroy, &seen_destroy));
    }
    Ok(())
}

fn differing(traced: &Counts, seen: &Counts) -> String {
    let names: BTreeSet<&String> = traced.keys().chain(seen.keys()).collect();
    let count = |counts: &Counts, name: &str| counts.get(name).copied().unwrap_or(0);
    names
        .into_iter()
        .map(|name| (name, count(traced, name), count(seen, name)))
        .filter(|(_, traced, seen)| traced != seen)
        .map(|(name, traced, seen)| format!("{name} {traced} traced, {seen} by strace; "))
        .collect()
}

/// What all workers know.
struct Shared<'a> {
    xml: &'a str,
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
    changed: usize,
    exceptions: Vec<(usize, String)>,
}

impl Found {
    const fn survived(&self) -> usize {
        self.up + self.down + self.changed
    }
}

/// Kills at every kill point of an operation; returns how many it has.
fn kill_all(
    xml: &str,
    operation: Operation,
    options: &Options,
    tally: &mut Tally,
) -> Result<usize> {
    let shared = Shared {
        xml,
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
    let points = shared.end.into_inner() - 1;
    let exceptions = found.exceptions.len();
    println!(
        "  {operation}: {points} kill points, {} tried: {} came out up, {} down, {} changed, {exceptions} exceptions",
        found.survived() + exceptions,
        found.up,
        found.down,
        found.changed,
    );
    for (at, text) in &found.exceptions {
        println!("    FAILED: exception at {at} of {operation}, {text}");
    }
    tally.passed += found.survived();
    tally.failed += exceptions;
    // A recovery may find nothing to do; an operation always has something.
    let whole = !matches!(operation, Operation::RecoverStart(_) | Operation::RecoverDestroy(_));
    if whole && found.survived() + exceptions == 0 {
        return Err(Error::Wrong(format!("{operation} has no kill point")));
    }
    Ok(points)
}

fn work(shared: &Shared<'_>) -> Result<()> {
    let mut bench = Bench::new(shared.xml, shared.operation)?;
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
            Kill::Survived(State::Changed) => found.changed += 1,
            Kill::BeyondTheEnd => {
                shared.end.fetch_min(at, Ordering::Relaxed);
            }
            Kill::Exception { call, error } => {
                let call = call.map_or_else(|| "not killed".to_owned(), |call| call.to_string());
                found.exceptions.push((at, format!("{call}: {}", error.chain())));
                drop(found);
                bench = Bench::new(shared.xml, shared.operation)?;
            }
        }
    }
}
