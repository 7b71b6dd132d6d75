//! Tasks that build the campaign program of the `oxivirt-tests` member and run a subcommand of it.

use crate::packages::{self, Use};
use crate::privilege;
use crate::process::{self, Call};
use crate::ui::{self, Failure};

/// What cargo builds for a task.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Profile {
    /// Quick to build; for everything that is judged by its result.
    Dev,
    /// Optimised, without LTO; for campaigns of many steps.
    Campaign,
    /// As shipped, with LTO; for what is judged by its speed.
    Release,
}

impl Profile {
    fn directory(self) -> &'static str {
        match self {
            Self::Dev => "debug",
            Self::Campaign => "campaign",
            Self::Release => "release",
        }
    }
}

/// The campaign program.
pub(crate) const CAMPAIGN: &str = "oxivirt-campaign";

/// The programs that users run.
const SHIPPED: [&str; 5] = [
    "oxivirt-shell",
    "oxivirt-daemon",
    "oxivirt-launch",
    "oxivirt-leaseshelper",
    "oxivirt-netservd",
];

/// Builds the programs that users run and the campaign program, then runs a subcommand of the latter
/// with the right to make namespaces.
fn run(profile: Profile, subcommand: &str, arguments: &[String]) -> Result<(), Failure> {
    packages::ensure(Use::Run)?;
    let prefix = privilege::prefix()?;
    ui::line("building");
    build(profile)?;
    campaign(profile, subcommand, arguments).behind(&prefix).run()
}

/// The campaign program is not linked with LTO, so a benchmark has it from another directory than
/// the programs that it measures.
fn campaign(profile: Profile, subcommand: &str, arguments: &[String]) -> Call {
    let own = if profile == Profile::Release { Profile::Campaign } else { profile };
    let path = process::program_directory(own.directory()).join(CAMPAIGN);
    Call::new([path])
        .argument(subcommand)
        .arguments(arguments)
        .environment("OXIVIRT_PROGRAMS", process::program_directory(profile.directory()))
}

fn build(profile: Profile) -> Result<(), Failure> {
    match profile {
        Profile::Dev => build_packages(&[], &[&SHIPPED[..], &["oxivirt-tests"]].concat()),
        Profile::Campaign => {
            build_packages(&CAMPAIGN_PROFILE, &[&SHIPPED[..], &["oxivirt-tests"]].concat())
        }
        Profile::Release => {
            build_packages(&["--release"], &SHIPPED)?;
            // The embedded driver looks for the lease helper beside its own program.
            build_packages(&CAMPAIGN_PROFILE, &["oxivirt-leaseshelper", "oxivirt-tests"])
        }
    }
}

const CAMPAIGN_PROFILE: [&str; 2] = ["--profile", "campaign"];

fn build_packages(profile: &[&str], packages: &[&str]) -> Result<(), Failure> {
    Call::cargo(&["build", "--quiet", "--locked", "--bins"])
        .arguments(profile)
        .arguments(packages.iter().flat_map(|package| ["-p", package]))
        .run()
}

/// `cargo xtask try`.
pub(crate) fn demonstration(arguments: &[String]) -> Result<(), Failure> {
    run(Profile::Dev, "try", arguments)
}

/// `cargo xtask crash`: without arguments the long form. `guests` as the first one chooses the guests.
pub(crate) fn crash(arguments: &[String]) -> Result<(), Failure> {
    const GUESTS: &str = "crash-guests";
    match arguments.split_first() {
        Some((first, rest)) if first == "guests" => run(Profile::Dev, GUESTS, rest),
        Some(_) => run(Profile::Dev, "crash", arguments),
        None => {
            let long = ["--all", "--recovery"].map(str::to_owned);
            let networks = run(Profile::Dev, "crash", &long);
            run(Profile::Dev, GUESTS, &["--recovery".to_owned()]).and(networks)
        }
    }
}

/// `cargo xtask leaks`.
pub(crate) fn leaks(arguments: &[String]) -> Result<(), Failure> {
    run(Profile::Dev, "leaks", arguments)
}

/// `cargo xtask packets`.
pub(crate) fn packets(arguments: &[String]) -> Result<(), Failure> {
    run(Profile::Dev, "packets", arguments)
}

/// `cargo xtask model`.
pub(crate) fn model(arguments: &[String]) -> Result<(), Failure> {
    run(Profile::Campaign, "model", arguments)
}

/// `cargo xtask soak`.
pub(crate) fn soak(arguments: &[String]) -> Result<(), Failure> {
    run(Profile::Campaign, "soak", arguments)
}

/// Benchmarks.
const BENCHMARKS: [&str; 6] = ["format", "guests", "rpc", "scale", "shell", "start"];

/// `cargo xtask bench NAME`.
pub(crate) fn bench(arguments: &[String]) -> Result<(), Failure> {
    let names = BENCHMARKS.join(", ");
    let Some((name, rest)) = arguments.split_first() else {
        return Err(Failure::new(format!("which benchmark? there are: {names}")));
    };
    match BENCHMARKS.contains(&name.as_str()) {
        true => run(Profile::Release, &format!("bench-{name}"), rest),
        false => Err(Failure::new(format!("unknown benchmark '{name}'; there are: {names}"))),
    }
}

/// `cargo xtask differential`.
pub(crate) fn differential(arguments: &[String]) -> Result<(), Failure> {
    run(Profile::Campaign, "differential", arguments)
}

/// `cargo xtask interop`.
pub(crate) fn interop(arguments: &[String]) -> Result<(), Failure> {
    packages::ensure(Use::Interop)?;
    run(Profile::Dev, "interop", arguments)
}

/// `cargo xtask conformance`: it runs without the right to make namespaces, too.
pub(crate) fn conformance(arguments: &[String]) -> Result<(), Failure> {
    build(Profile::Dev)?;
    campaign(Profile::Dev, "conformance", arguments).run()
}

/// `cargo xtask fuzz SECONDS [TARGET…]`: libFuzzer on every target, or on those named.
///
/// The limits are those promised for an input of up to 1 MiB: 64 MiB, here for one allocation, and
/// ten seconds.
pub(crate) fn fuzz(arguments: &[String]) -> Result<(), Failure> {
    let usage = || Failure::new("usage: fuzz SECONDS [TARGET…]");
    let (seconds, chosen) = arguments.split_first().ok_or_else(usage)?;
    let seconds: u64 = seconds.parse().map_err(|_| usage())?;
    let directory = process::workspace().join("tests/fuzz");
    let known = fuzz_targets(&directory.join("fuzz_targets"))?;
    let chosen = if chosen.is_empty() { &known[..] } else { chosen };
    if let Some(unknown) = chosen.iter().find(|name| !known.contains(name)) {
        return Err(Failure::new(format!(
            "no target '{unknown}'; there are: {}",
            known.join(", ")
        )));
    }
    if Call::cargo(&["fuzz", "--version"]).capture().is_err() {
        ui::line("installing cargo-fuzz");
        Call::cargo(&["install", "--quiet", "--locked", "cargo-fuzz"]).run()?;
    }
    for name in chosen {
        let corpus = directory.join("target/corpus").join(name);
        std::fs::create_dir_all(&corpus)
            .map_err(|error| Failure::new(format!("'{}': {error}", corpus.display())))?;
        Call::cargo(&["fuzz", "run", "--fuzz-dir"])
            .argument(&directory)
            .argument(name)
            .arguments([&corpus, &directory.join("seeds").join(name)])
            .arguments(["--", "-malloc_limit_mb=64", "-rss_limit_mb=1024", "-timeout=10"])
            .arguments(["-max_len=1048576", &format!("-max_total_time={seconds}")])
            // The sanitizer is behind a switch that stable compilers accept with this variable only.
            .environment("RUSTC_BOOTSTRAP", "1")
            .run()?;
    }
    Ok(())
}

/// Names of the targets, in their order.
fn fuzz_targets(directory: &std::path::Path) -> Result<Vec<String>, Failure> {
    let failed =
        |error: std::io::Error| Failure::new(format!("'{}': {error}", directory.display()));
    let mut names = Vec::new();
    for entry in std::fs::read_dir(directory).map_err(failed)? {
        let path = entry.map_err(failed)?.path();
        names.extend(path.file_stem().map(|stem| stem.to_string_lossy().into_owned()));
    }
    names.sort();
    Ok(names)
}
