//! `cargo xtask check`: every check of the workspace, in the order in which mistakes are cheap.
//!
//! A failing step does not stop the later ones, so one run tells everything. Steps that need a
//! namespace get [`privilege::prefix`] in front; where no namespace can be made they are skipped
//! by name, or fail when `OXIVIRT_REQUIRE` holds `netns`.

use std::path::{Path, PathBuf};
use std::time::Instant;

use crate::packages::{self, Use};
use crate::privilege;
use crate::process::{self, Call};
use crate::tally::{Complaints, Tally};
use crate::tasks;
use crate::ui::{self, Failure};

/// Seconds per fuzz target in the short form, with the engine that is always there.
const FUZZ: [&str; 3] = ["--engine", "own", "10"];
/// The model in its short form, the same histories every time.
const MODEL: [&str; 6] = ["--steps", "3000", "--kernel", "100", "--seed", "1"];

struct Check {
    total: Tally,
    failures: Vec<String>,
    /// What the failing steps said.
    complaints: Vec<String>,
    /// Names of what did not run.
    skipped: Vec<String>,
    /// Where tests leave theirs: one line each (`OXIVIRT_SKIPPED`).
    skipped_file: PathBuf,
    /// Words before a command that makes namespaces; `None` where none can be made.
    prefix: Option<Vec<String>>,
}

/// Runs everything and prints `N passed, M failed, K skipped` as the last line.
///
/// # Errors
/// Something failed, or what a check needs is missing.
pub(crate) fn run() -> Result<(), Failure> {
    let begin = Instant::now();
    packages::ensure(Use::Check)?;
    let mut check = Check::new()?;
    check.style();
    check.crates_alone();
    check.tests();
    check.networks();
    check.campaigns();
    check.close(begin)
}

impl Check {
    fn new() -> Result<Self, Failure> {
        let prefix = match privilege::prefix() {
            Ok(prefix) => Some(prefix),
            Err(failure) if is_required("netns") => return Err(failure),
            Err(failure) => {
                ui::line(&failure);
                None
            }
        };
        let skipped_file = process::program_directory("debug").join("skipped-tests");
        if let Some(directory) = skipped_file.parent() {
            std::fs::create_dir_all(directory)
                .map_err(|error| Failure::new(format!("'{}': {error}", directory.display())))?;
        }
        remove_if_there(&skipped_file)?;
        Ok(Self {
            total: Tally::default(),
            failures: Vec::new(),
            complaints: Vec::new(),
            skipped: Vec::new(),
            skipped_file,
            prefix,
        })
    }

    fn style(&mut self) {
        self.step("format", &Call::cargo(&["fmt", "--all", "--check"]));
        self.step(
            "clippy",
            &Call::cargo(&[
                "clippy",
                "--quiet",
                "--workspace",
                "--all-targets",
                "--locked",
                "--",
                "-D",
                "warnings",
            ]),
        );
        self.step(
            "documentation",
            &Call::cargo(&[
                "doc",
                "--quiet",
                "--workspace",
                "--no-deps",
                "--document-private-items",
                "--locked",
            ])
            .environment("RUSTDOCFLAGS", "-D warnings"),
        );
    }

    /// Each member with its default features only, which a build of the whole workspace never tries.
    fn crates_alone(&mut self) {
        let listed =
            Call::cargo(&["tree", "--workspace", "--depth", "0", "--prefix", "none", "--locked"])
                .capture();
        let listed = match listed {
            Ok(listed) => listed,
            Err(failure) => return self.fail("crates alone", &failure),
        };
        let mut names: Vec<&str> =
            listed.lines().filter_map(|line| line.split_whitespace().next()).collect();
        names.sort_unstable();
        names.dedup();
        for name in names {
            self.step(
                &format!("{name} alone"),
                &Call::cargo(&["check", "--quiet", "--locked", "-p", name]),
            );
        }
    }

    fn tests(&mut self) {
        self.step(
            "build",
            &Call::cargo(&["build", "--quiet", "--workspace", "--bins", "--locked"]),
        );
        // Built outside the user namespace, so that nothing is downloaded in there.
        self.step(
            "build tests",
            &Call::cargo(&["test", "--quiet", "--workspace", "--no-run", "--locked"]),
        );
        let mut tests = Call::cargo(&["test", "--workspace", "--no-fail-fast", "--locked"])
            .environment("OXIVIRT_SKIPPED", &self.skipped_file);
        if let Some(prefix) = &self.prefix {
            tests = tests.behind(prefix);
        }
        self.step("tests", &tests);
    }

    /// What runs whole networks, in namespaces.
    fn networks(&mut self) {
        self.network_program("demonstration", "oxivirt-try", &[]);
        self.network_program("packets", "oxivirt-packets", &[]);
        // All of them are `cargo xtask crash`.
        self.network_program("crash", "oxivirt-crash", &["--step", "3"]);
        self.network_program("model", "oxivirt-model", &MODEL);
        self.network_program("soak", "oxivirt-soak", &["--networks", "30"]);
        self.peer();
    }

    /// The scenarios once more under a real libvirt: what it does not pass says nothing about us.
    fn peer(&mut self) {
        const NAME: &str = "networks under libvirt";
        if !process::workspace().join("../shared/tools/peer").is_file() {
            return self.skip(NAME, "peer", "../shared/tools/peer is not there");
        }
        if process::find("libvirtd").is_none() {
            return self.skip(NAME, "peer", "libvirt is not installed");
        }
        if !privilege::is_root() {
            return self.skip(NAME, "peer", "libvirtd is run as root only");
        }
        let scenarios = ["test", "--locked", "-p", "oxivirt-tests", "--test", "networks"];
        let call = Call::cargo(&scenarios)
            .environment("OXIVIRT_SUBJECT", "libvirt")
            .environment("OXIVIRT_SKIPPED", &self.skipped_file);
        self.step(NAME, &call);
    }

    fn network_program(&mut self, name: &str, program: &str, arguments: &[&str]) {
        let Some(prefix) = &self.prefix else {
            return self.skip(name, "netns", "no namespace can be made");
        };
        let path = process::program_directory("debug").join(program);
        let call = Call::new([path])
            .arguments(arguments)
            .environment("OXIVIRT_SKIPPED", &self.skipped_file)
            .behind(prefix);
        self.step(name, &call);
    }

    /// The short forms of what has a task of its own.
    fn campaigns(&mut self) {
        let shared = process::workspace().join("../shared/data");
        if !tasks::has_member_program("conformance") {
            self.skip("conformance", "conformance", "no such program");
        } else if shared.is_dir() {
            let path = process::program_directory("debug").join("conformance");
            self.step("conformance", &Call::new([path]).argument(shared));
        } else {
            self.skip("conformance", "shared", "../shared/data is not there");
        }
        if tasks::has_member_program("fuzz") {
            let path = process::program_directory("debug").join("fuzz");
            self.step("fuzz", &Call::new([path]).arguments(FUZZ));
        }
    }

    fn step(&mut self, name: &str, call: &Call) {
        ui::heading(name);
        let begin = Instant::now();
        let (mut tally, complaints, end) = call
            .tally()
            .unwrap_or_else(|failure| (Tally::default(), Complaints::default(), Err(failure)));
        tally.skipped_by_name(self.collect_skipped());
        self.total += tally;
        match end {
            Ok(()) => {
                // A step that counts nothing itself is one check.
                if tally.is_empty() {
                    self.total.passed += 1;
                }
                ui::line(format_args!("{name}: ok ({})", ui::elapsed(begin.elapsed())));
            }
            Err(failure) => {
                if tally.failed == 0 {
                    self.total.failed += 1;
                }
                self.failures.push(name.to_owned());
                self.complaints.extend(complaints.lines());
                ui::line(format_args!("{name}: FAILED ({})", ui::elapsed(begin.elapsed())));
                ui::error(&failure);
            }
        }
    }

    /// Takes the names that the step's tests left in the file; returns how many.
    fn collect_skipped(&mut self) -> usize {
        let text = std::fs::read_to_string(&self.skipped_file).unwrap_or_default();
        let before = self.skipped.len();
        self.skipped.extend(text.lines().filter(|line| !line.is_empty()).map(str::to_owned));
        if let Err(error) = remove_if_there(&self.skipped_file) {
            ui::error(&error);
        }
        self.skipped.len() - before
    }

    fn fail(&mut self, name: &str, failure: &Failure) {
        self.total.failed += 1;
        self.failures.push(name.to_owned());
        ui::error(failure);
    }

    /// Says that a step does not run; `need` is its word in `OXIVIRT_REQUIRE`.
    fn skip(&mut self, name: &str, need: &str, why: &str) {
        if is_required(need) {
            let why = format!("{name}: OXIVIRT_REQUIRE has '{need}', but {why}");
            return self.fail(name, &Failure::new(why));
        }
        ui::line(format_args!("{name}: did not run: {why}"));
        self.total.skipped += 1;
        self.skipped.push(format!("{name}: {why}"));
    }

    fn close(self, begin: Instant) -> Result<(), Failure> {
        ui::heading("summary");
        for name in &self.skipped {
            ui::line(format_args!("did not run: {name}"));
        }
        for line in &self.complaints {
            ui::line(format_args!("| {line}"));
        }
        for name in &self.failures {
            ui::line(format_args!("failed: {name}"));
        }
        ui::line(format_args!("elapsed: {}", ui::elapsed(begin.elapsed())));
        ui::line(self.total);
        if self.total.failed == 0 && self.failures.is_empty() {
            Ok(())
        } else {
            Err(Failure::new("something failed, see above"))
        }
    }
}

fn remove_if_there(path: &Path) -> Result<(), Failure> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(Failure::new(format!("'{}': {error}", path.display())))
        }
        _ => Ok(()),
    }
}

/// Whether `OXIVIRT_REQUIRE` turns a missing need into a failure.
fn is_required(need: &str) -> bool {
    std::env::var("OXIVIRT_REQUIRE")
        .is_ok_and(|list| list.split(',').any(|word| word.trim() == need))
}
