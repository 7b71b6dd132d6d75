//! Runs every fuzz target for a while: `fuzz [--target NAME]... [--engine own|cargo] SECONDS`.
//!
//! With cargo-fuzz (`cargo install cargo-fuzz`) the targets run under libFuzzer, guided by coverage and
//! watched by its sanitizer. Where it is missing an engine of its own mutates the seeds: slower to
//! find things, but without requirements. Either way an input that crashes is kept and named, and
//! the limits are those promised: 64 MiB and ten seconds for an input of up to 1 MiB.

use std::fs;
use std::io::{self, Write as _};
use std::panic;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

use rand::rngs::StdRng;
use rand::seq::IndexedRandom as _;
use rand::{RngExt as _, SeedableRng as _};

#[path = "../../fuzz/src/lib.rs"]
mod targets;

use targets::{TARGETS, Target};

/// Largest input, in bytes.
const INPUT_MAX: usize = 1 << 20;

/// Most memory a target may take beyond what it starts with, in KiB.
const MEMORY_MAX_KIB: u64 = 64 * 1024;

/// Longest time for one input.
const TIME_MAX: Duration = Duration::from_secs(10);

const USAGE: &str = "usage: fuzz [--target NAME]... [--engine own|cargo] SECONDS";

#[derive(Clone, Copy, PartialEq, Eq)]
enum Engine {
    Own,
    Cargo,
}

struct Options {
    seconds: u64,
    targets: Vec<Target>,
    engine: Option<Engine>,
    /// This process is the one that runs the target.
    inside: bool,
}

fn options(mut words: impl Iterator<Item = String>) -> Result<Options, String> {
    let mut options = Options { seconds: 0, targets: Vec::new(), engine: None, inside: false };
    while let Some(word) = words.next() {
        match word.as_str() {
            "--target" => {
                let name = words.next().ok_or("--target needs a name")?;
                let target = TARGETS.into_iter().find(|(known, _)| *known == name);
                options.targets.push(target.ok_or_else(|| format!("no target '{name}'"))?);
            }
            "--engine" => match words.next().as_deref() {
                Some("own") => options.engine = Some(Engine::Own),
                Some("cargo") => options.engine = Some(Engine::Cargo),
                _ => return Err(String::from("--engine needs own or cargo")),
            },
            "--inside" => options.inside = true,
            _ => options.seconds = word.parse().map_err(|_| format!("'{word}' is no time"))?,
        }
    }
    if options.seconds == 0 {
        return Err(String::from("for how long?"));
    }
    if options.targets.is_empty() {
        options.targets = TARGETS.to_vec();
    }
    Ok(options)
}

fn fuzz_dir() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz")
}

#[expect(clippy::disallowed_methods, reason = "the engines are programs that run for long")]
fn command(program: impl AsRef<std::ffi::OsStr>) -> Command {
    Command::new(program)
}

/// `cargo fuzz` with the project's own compiler: the sanitizer is behind a switch that stable
/// compilers accept with this variable only. It is used for fuzzing and for nothing that ships.
fn cargo_fuzz() -> Command {
    let mut cargo = command("cargo");
    cargo.arg("fuzz").env("RUSTC_BOOTSTRAP", "1");
    cargo
}

fn has_cargo_fuzz() -> bool {
    let found = cargo_fuzz().arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status();
    found.is_ok_and(|status| status.success())
}

/// One target under libFuzzer. The limit on memory is one on single allocations there: its own
/// tables and the sanitizer's take more than any target may.
fn run_cargo(name: &str, seconds: u64) -> io::Result<bool> {
    let dir = fuzz_dir();
    let seeds = dir.join("seeds").join(name);
    let corpus = dir.join("target/corpus").join(name);
    fs::create_dir_all(&corpus)?;
    let status = cargo_fuzz()
        .args(["run", "--fuzz-dir"])
        .arg(&dir)
        .arg(name)
        .args([&corpus, &seeds])
        .args([
            "--",
            "-malloc_limit_mb=64",
            "-rss_limit_mb=1024",
            "-timeout=10",
            "-print_final_stats=1",
        ])
        .arg(format!("-max_len={INPUT_MAX}"))
        .arg(format!("-max_total_time={seconds}"))
        .status()?;
    Ok(status.success())
}

/// One target in a process of its own, so that its memory can be told.
fn run_own(name: &str, seconds: u64) -> io::Result<bool> {
    let status = command(std::env::current_exe()?)
        .args(["--inside", "--target", name])
        .arg(seconds.to_string())
        .status()?;
    Ok(status.success())
}

/// A figure of this process's memory in KiB.
fn memory_kib(field: &str) -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix(field));
    line.and_then(|line| line.trim().split(' ').next()?.parse().ok()).unwrap_or(0)
}

fn seeds(name: &str) -> io::Result<Vec<Vec<u8>>> {
    let mut seeds = Vec::new();
    for entry in fs::read_dir(fuzz_dir().join("seeds").join(name))? {
        seeds.push(fs::read(entry?.path())?);
    }
    Ok(seeds)
}

/// The engine of its own.
fn fuzz((name, target): Target, seconds: u64) -> io::Result<bool> {
    let mut corpus = seeds(name)?;
    let mut rng = StdRng::seed_from_u64(u64::from(std::process::id()));
    let begin = Instant::now();
    let start_kib = memory_kib("VmHWM:");
    let mut runs: u64 = 0;
    let mut slowest = Duration::ZERO;
    panic::set_hook(Box::new(|_| {}));
    while begin.elapsed() < Duration::from_secs(seconds) {
        let input = mutate(&corpus, &mut rng);
        let start = Instant::now();
        let outcome = panic::catch_unwind(|| target(&input));
        let took = start.elapsed();
        slowest = slowest.max(took);
        runs += 1;
        // The peak stays, so that asking now and then is enough.
        let large = input.len() > 8192 || runs.is_multiple_of(256);
        let grown = if large { memory_kib("VmHWM:").saturating_sub(start_kib) } else { 0 };
        let fault = match outcome {
            Err(cause) => Some(panic_text(&*cause)),
            Ok(()) if took > TIME_MAX => Some(format!("took {took:?}")),
            Ok(()) if grown > MEMORY_MAX_KIB => Some(format!("took {grown} KiB")),
            Ok(()) => None,
        };
        if let Some(fault) = fault {
            let path = keep(name, &input)?;
            println!("{name}: FAILED: {fault}\n{name}: input kept as {}", path.display());
            return Ok(false);
        }
        // A corpus that drifts reaches what single mutations of the seeds do not.
        if corpus.len() < 1024 && input.len() < 4096 && rng.random_ratio(1, 50) {
            corpus.push(input);
        }
    }
    let grown = memory_kib("VmHWM:").saturating_sub(start_kib);
    println!("{name}: {runs} inputs, slowest {slowest:.1?}, memory {} MiB", grown / 1024);
    Ok(true)
}

fn panic_text(cause: &(dyn std::any::Any + Send)) -> String {
    match cause.downcast_ref::<String>() {
        Some(text) => text.clone(),
        None => cause.downcast_ref::<&str>().map_or(String::from("panic"), |&text| text.to_owned()),
    }
}

fn keep(name: &str, input: &[u8]) -> io::Result<PathBuf> {
    let dir = fuzz_dir().join("target/artifacts").join(name);
    fs::create_dir_all(&dir)?;
    let path = dir.join(format!("crash-{}", std::process::id()));
    fs::File::create(&path)?.write_all(input)?;
    Ok(path)
}

/// A new input: one of the corpus with a few changes.
fn mutate(corpus: &[Vec<u8>], rng: &mut StdRng) -> Vec<u8> {
    const TOKENS: [&str; 24] = [
        "<",
        ">",
        "</",
        "/>",
        "&",
        ";",
        "&#9;",
        "&#13;",
        "&lt;",
        "'",
        "\"",
        "=",
        "]]>",
        "<![CDATA[",
        "<!--",
        "-->",
        "<?",
        " xmlns:a='u'",
        "\n",
        "[",
        "]",
        "-1",
        "99999999999999999999",
        "é",
    ];
    let pick = |rng: &mut StdRng| corpus.choose(rng).cloned().unwrap_or_default();
    let mut input = pick(rng);
    for _ in 0..rng.random_range(1..8) {
        let at = rng.random_range(0..=input.len());
        let end = (at + rng.random_range(0..32)).min(input.len());
        match rng.random_range(0..7) {
            0 => drop(input.drain(at..end)),
            1 => {
                let token = TOKENS.choose(rng).copied().unwrap_or_default();
                input.splice(at..at, token.bytes());
            }
            2 => {
                let token = TOKENS.choose(rng).copied().unwrap_or_default();
                input.splice(at..end, token.bytes());
            }
            3 => {
                let piece: Vec<u8> = input.drain(at..end).collect();
                let to = rng.random_range(0..=input.len());
                input.splice(to..to, piece);
            }
            4 => {
                // Now and then up to the largest input there is.
                let doublings = if rng.random_ratio(1, 64) { 17 } else { 9 };
                let times = 1_usize << rng.random_range(0..doublings);
                let piece = input.get(at..end).unwrap_or_default().repeat(times);
                input.splice(at..at, piece);
            }
            5 => {
                let other = pick(rng);
                let from = rng.random_range(0..=other.len());
                input.truncate(at);
                input.extend_from_slice(other.get(from..).unwrap_or_default());
            }
            _ => {
                if let Some(byte) = input.get_mut(at) {
                    *byte = rng.random();
                }
            }
        }
    }
    input.truncate(INPUT_MAX);
    input
}

fn run(options: &Options) -> io::Result<bool> {
    if options.inside {
        return options.targets.first().map_or(Ok(true), |&target| fuzz(target, options.seconds));
    }
    let engine = options.engine.unwrap_or_else(|| {
        if has_cargo_fuzz() {
            return Engine::Cargo;
        }
        println!("no cargo-fuzz: running the engine of our own");
        Engine::Own
    });
    let mut sound = true;
    for (name, _) in &options.targets {
        sound &= match engine {
            Engine::Own => run_own(name, options.seconds)?,
            Engine::Cargo => run_cargo(name, options.seconds)?,
        };
    }
    Ok(sound)
}

fn main() -> ExitCode {
    let options = match options(std::env::args().skip(1)) {
        Ok(options) => options,
        Err(message) => {
            eprintln!("{message}\n{USAGE}");
            return ExitCode::from(2);
        }
    };
    match run(&options) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}
