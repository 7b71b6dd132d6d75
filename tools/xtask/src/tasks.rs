//! Tasks that build one program of the `oxivirt-tests` member and run it.

use crate::packages::{self, Use};
use crate::privilege;
use crate::process::{self, Call};
use crate::ui::{self, Failure};

/// What cargo builds for a task.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Profile {
    /// Quick to build; for everything that is judged by its result.
    Dev,
    /// For what is judged by its speed.
    Release,
}

impl Profile {
    fn directory(self) -> &'static str {
        match self {
            Self::Dev => "debug",
            Self::Release => "release",
        }
    }
}

/// Builds the programs a user runs and one program of the test member, then runs the latter with
/// the right to make namespaces.
fn run(profile: Profile, program: &str, arguments: &[String]) -> Result<(), Failure> {
    packages::ensure(Use::Run)?;
    let prefix = privilege::prefix()?;
    ui::line("building");
    build(profile)?;
    let path = process::program_directory(profile.directory()).join(program);
    Call::new([path]).arguments(arguments).behind(&prefix).run()
}

fn build(profile: Profile) -> Result<(), Failure> {
    let mut call = Call::cargo(&["build", "--quiet", "--locked"]);
    if profile == Profile::Release {
        call = call.argument("--release");
    }
    // All programs of the test member: they start each other.
    call.arguments([
        "-p",
        "oxivirt-shell",
        "-p",
        "oxivirt-daemon",
        "-p",
        "oxivirt-leaseshelper",
        "-p",
        "oxivirt-tests",
    ])
    .argument("--bins")
    .run()
}

/// `cargo xtask try`.
pub(crate) fn demonstration(arguments: &[String]) -> Result<(), Failure> {
    run(Profile::Dev, "oxivirt-try", arguments)
}

/// `cargo xtask crash`: without arguments the long form.
pub(crate) fn crash(arguments: &[String]) -> Result<(), Failure> {
    let long = ["--all", "--recovery"].map(str::to_owned);
    let arguments = if arguments.is_empty() { &long } else { arguments };
    run(Profile::Dev, "oxivirt-crash", arguments)
}

/// `cargo xtask leaks`.
pub(crate) fn leaks(arguments: &[String]) -> Result<(), Failure> {
    run(Profile::Dev, "oxivirt-leaks", arguments)
}

/// `cargo xtask packets`.
pub(crate) fn packets(arguments: &[String]) -> Result<(), Failure> {
    run(Profile::Dev, "oxivirt-packets", arguments)
}

/// `cargo xtask model`: release, for it is many steps.
pub(crate) fn model(arguments: &[String]) -> Result<(), Failure> {
    run(Profile::Release, "oxivirt-model", arguments)
}

/// `cargo xtask soak`.
pub(crate) fn soak(arguments: &[String]) -> Result<(), Failure> {
    run(Profile::Release, "oxivirt-soak", arguments)
}

/// Benchmarks and their programs.
const BENCHMARKS: [(&str, &str); 5] = [
    ("format", "format_bench"),
    ("rpc", "oxivirt-bench-rpc"),
    ("scale", "oxivirt-bench-scale"),
    ("shell", "oxivirt-bench-shell"),
    ("start", "oxivirt-bench-start"),
];

/// `cargo xtask bench NAME`.
pub(crate) fn bench(arguments: &[String]) -> Result<(), Failure> {
    let names = BENCHMARKS.map(|(name, _)| name).join(", ");
    let Some((name, rest)) = arguments.split_first() else {
        return Err(Failure::new(format!("which benchmark? there are: {names}")));
    };
    match BENCHMARKS.into_iter().find(|(known, _)| known == name) {
        Some((_, program)) => run(Profile::Release, program, rest),
        None => Err(Failure::new(format!("unknown benchmark '{name}'; there are: {names}"))),
    }
}

/// `cargo xtask differential`.
pub(crate) fn differential(arguments: &[String]) -> Result<(), Failure> {
    run(Profile::Release, "differential", arguments)
}

/// `cargo xtask interop`.
pub(crate) fn interop(arguments: &[String]) -> Result<(), Failure> {
    packages::ensure(Use::Interop)?;
    run(Profile::Dev, "oxivirt-interop", arguments)
}

/// `cargo xtask conformance`.
pub(crate) fn conformance(arguments: &[String]) -> Result<(), Failure> {
    // the shell is judged from outside: it has to be there
    build(Profile::Dev)?;
    member_program("conformance", arguments)
}

/// `cargo xtask fuzz`.
pub(crate) fn fuzz(arguments: &[String]) -> Result<(), Failure> {
    member_program("fuzz", arguments)
}

/// Whether the test member has this program.
pub(crate) fn has_member_program(program: &str) -> bool {
    process::workspace().join("tests/src/bin").join(format!("{program}.rs")).is_file()
}

fn member_program(program: &str, arguments: &[String]) -> Result<(), Failure> {
    if !has_member_program(program) {
        return Err(Failure::new(format!(
            "the workspace has no program tests/src/bin/{program}.rs"
        )));
    }
    Call::cargo(&["run", "--quiet", "--locked", "-p", "oxivirt-tests", "--bin", program, "--"])
        .arguments(arguments)
        .run()
}
