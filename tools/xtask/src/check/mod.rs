//! `cargo xtask check`: every check of the workspace, in the order in which mistakes are cheap.
//!
//! Steps are in three lanes that run beside each other, since most tests wait and most compilations
//! do not: what compilers say of the sources, the tests, and the campaigns, which begin when the
//! programs are built. The terminal shows one lane as it runs; the output of a step of the others
//! follows when the step ends.
//!
//! A failing step does not stop the later ones, so one run reports every fault. Steps that need a
//! namespace run behind [`privilege::prefix`]; where no namespace can be made they are skipped
//! by name, or fail if `OXIVIRT_REQUIRE` holds `netns`.
//!
//! [`STEPS`] is the list of steps and says which of them belong to `--quick` and to `-p`.

mod blocks;
mod dependencies;
mod options;
mod report;
mod steps;

use std::sync::{Arc, Once};
use std::time::Instant;

use crate::metadata::Metadata;
use crate::packages::{self, Use};
use crate::privilege;
use crate::process::Call;
use crate::ui::{self, Failure};
use options::Options;
use report::{Output, Report};

/// Which run a step belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Scope {
    /// No option: everything.
    Full,
    /// `--quick`.
    Quick,
    /// `-p CRATE`.
    Crates,
}

/// Steps that run one after another, beside the other lanes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Lane {
    /// The one that the terminal shows.
    Tests,
    /// What needs the programs but no cargo.
    Campaigns,
    /// Compiles only; has a target directory of its own, so that cargo's lock holds up no test.
    Sources,
}

const LANES: [Lane; 3] = [Lane::Tests, Lane::Campaigns, Lane::Sources];

struct Step {
    name: &'static str,
    lane: Lane,
    /// What it checks, for `--list`.
    about: &'static str,
    scopes: &'static [Scope],
    run: fn(&mut Check),
}

const EVERY: &[Scope] = &[Scope::Full, Scope::Quick, Scope::Crates];
const WHOLE: &[Scope] = &[Scope::Full, Scope::Quick];
const FULL: &[Scope] = &[Scope::Full];

const STEPS: &[Step] = &[
    Step { name: "format", lane: Lane::Tests, about: "rustfmt", scopes: WHOLE, run: Check::format },
    Step {
        name: "docs",
        lane: Lane::Tests,
        about: "documents: paths, commands, settings, names, links; an example in every crate",
        scopes: WHOLE,
        run: Check::docs,
    },
    Step {
        name: "clippy",
        lane: Lane::Sources,
        about: "clippy on all targets, warnings denied",
        scopes: EVERY,
        run: Check::clippy,
    },
    Step {
        name: "rustdoc",
        lane: Lane::Sources,
        about: "documentation of public and private items",
        scopes: FULL,
        run: Check::rustdoc,
    },
    Step {
        name: "dependencies",
        lane: Lane::Sources,
        about: "licences, duplicates, sources, minimum Rust version of the packages",
        scopes: FULL,
        run: Check::dependencies,
    },
    Step {
        name: "msrv",
        lane: Lane::Sources,
        about: "build with the minimum Rust version, if that toolchain is installed",
        scopes: FULL,
        run: Check::msrv,
    },
    Step {
        name: "features",
        lane: Lane::Sources,
        about: "each crate alone: default features, none, each one, all",
        scopes: &[Scope::Full, Scope::Crates],
        run: Check::features,
    },
    Step {
        name: "build",
        lane: Lane::Tests,
        about: "programs, tests, examples",
        scopes: WHOLE,
        run: Check::build,
    },
    Step {
        name: "tests",
        lane: Lane::Tests,
        about: "unit, documentation and namespace tests",
        scopes: &[Scope::Full, Scope::Crates],
        run: Check::tests,
    },
    Step {
        name: "unit",
        lane: Lane::Tests,
        about: "unit and documentation tests of every crate",
        scopes: &[Scope::Quick],
        run: Check::unit,
    },
    Step {
        name: "namespaces",
        lane: Lane::Tests,
        about: "a few namespace tests: one per subject",
        scopes: &[Scope::Quick],
        run: Check::namespaces,
    },
    Step {
        name: "examples",
        lane: Lane::Tests,
        about: "the example programs of the library crates",
        scopes: FULL,
        run: Check::examples,
    },
    Step {
        name: "blocks",
        lane: Lane::Tests,
        about: "the `sh` blocks of the documents, run in namespaces",
        scopes: FULL,
        run: Check::blocks,
    },
    Step {
        name: "try",
        lane: Lane::Tests,
        about: "the demonstration",
        scopes: FULL,
        run: Check::demonstration,
    },
    Step {
        name: "packets",
        lane: Lane::Campaigns,
        about: "packet probes",
        scopes: FULL,
        run: Check::packets,
    },
    Step {
        name: "crash",
        lane: Lane::Campaigns,
        about: "a part of the kill points",
        scopes: FULL,
        run: Check::crash,
    },
    Step {
        name: "model",
        lane: Lane::Campaigns,
        about: "3,000 random steps",
        scopes: FULL,
        run: Check::model,
    },
    Step {
        name: "soak",
        lane: Lane::Campaigns,
        about: "30 networks on one host",
        scopes: FULL,
        run: Check::soak,
    },
    Step {
        name: "peer",
        lane: Lane::Campaigns,
        about: "the scenarios under a real libvirt",
        scopes: FULL,
        run: Check::peer,
    },
    Step {
        name: "conformance",
        lane: Lane::Campaigns,
        about: "documents and transcripts byte for byte",
        scopes: FULL,
        run: Check::conformance,
    },
    Step {
        name: "fuzz",
        lane: Lane::Tests,
        about: "seeds of every fuzz target and mutations of them; part of `tests`",
        scopes: &[Scope::Quick],
        run: Check::fuzz,
    },
];

/// What the lanes of a run share.
struct Setup {
    options: Options,
    metadata: Metadata,
    /// Words before a command that makes namespaces; `None` where none can be made.
    prefix: Option<Vec<String>>,
    /// Set when the programs of this run are built, which the first lane that needs them does.
    built: Once,
}

/// One lane of a run.
struct Check {
    setup: Arc<Setup>,
    report: Report,
}

/// Runs the selected steps and prints `N passed, M failed, K skipped` as the last line.
///
/// # Errors
/// An unknown option, step or crate; a failed step; a missing program that cannot be installed.
pub(crate) fn run(arguments: &[String]) -> Result<(), Failure> {
    let options = Options::parse(arguments)?;
    if options.is_list {
        list();
        return Ok(());
    }
    let begin = Instant::now();
    let steps = select(&options)?;
    packages::ensure(Use::Check)?;
    let setup = Arc::new(Setup::new(options)?);
    run_lanes(&setup, &steps).close(begin.elapsed())
}

/// Runs the steps lane beside lane; the first lane that has any writes to the terminal.
fn run_lanes(setup: &Arc<Setup>, steps: &[&'static Step]) -> Report {
    let is_built_by_step = steps.iter().any(|step| step.name == "build");
    let run_lane = |lane: Lane, output: Output| {
        if lane == Lane::Campaigns && is_built_by_step {
            setup.built.wait();
        }
        Check::new(Arc::clone(setup), output).run(steps.iter().filter(|step| step.lane == lane))
    };
    let has_steps = |lane: &Lane| steps.iter().any(|step| step.lane == *lane);
    let mut outputs = std::iter::once(Output::Terminal);
    std::thread::scope(|scope| {
        let mut running = Vec::new();
        for lane in LANES.into_iter().filter(has_steps) {
            let output = outputs.next().unwrap_or_else(|| Output::Held(String::new()));
            running.push(scope.spawn(move || run_lane(lane, output)));
        }
        let mut report = Report::new(Output::Terminal);
        for lane in running {
            match lane.join() {
                Ok(lane) => report.append(lane),
                Err(_) => report.fail(&Failure::new("a lane of the check panicked, see above")),
            }
        }
        report
    })
}

fn list() {
    for step in STEPS {
        let quick = if step.scopes.contains(&Scope::Quick) { "quick" } else { "" };
        let crates = if step.scopes.contains(&Scope::Crates) { "-p" } else { "" };
        ui::line(format_args!("{:<13} {quick:<6} {crates:<3} {}", step.name, step.about));
    }
}

/// The steps of a run: those of its scope, or those that `--only` names.
fn select(options: &Options) -> Result<Vec<&'static Step>, Failure> {
    for name in &options.only {
        if !STEPS.iter().any(|step| step.name == name) {
            return Err(Failure::new(format!(
                "unknown step '{name}'; `cargo xtask check --list` prints them"
            )));
        }
    }
    let scope = options.scope();
    let is_selected = |step: &&Step| match options.only.is_empty() {
        true => step.scopes.contains(&scope),
        false => options.only.iter().any(|name| name == step.name),
    };
    Ok(STEPS.iter().filter(is_selected).collect())
}

impl Setup {
    fn new(mut options: Options) -> Result<Self, Failure> {
        let metadata = Metadata::load()?;
        options.resolve(&metadata)?;
        let prefix = match privilege::prefix() {
            Ok(prefix) => Some(prefix),
            Err(failure) if is_required("netns") => return Err(failure),
            Err(failure) => {
                ui::line(&failure);
                None
            }
        };
        Ok(Self { options, metadata, prefix, built: Once::new() })
    }
}

impl Check {
    fn new(setup: Arc<Setup>, output: Output) -> Self {
        Self { setup, report: Report::new(output) }
    }

    fn run<'s>(mut self, steps: impl Iterator<Item = &'s &'static Step>) -> Report {
        for step in steps {
            self.report.begin(step.name);
            (step.run)(&mut self);
            self.report.end();
        }
        self.report
    }

    /// Runs a command of the current step and counts what it reports.
    fn command(&mut self, label: &str, call: &Call) {
        self.report.command(label, call);
    }

    /// Reports that a check does not run; `need` is its word in `OXIVIRT_REQUIRE`.
    fn skip(&mut self, name: &str, need: &str, why: &str) {
        if is_required(need) {
            let why = format!("{name}: OXIVIRT_REQUIRE has '{need}', but {why}");
            return self.report.fail(&Failure::new(why));
        }
        self.report.skip(&format!("{name}: {why}"));
    }
}

/// Whether `OXIVIRT_REQUIRE` turns a missing need into a failure.
fn is_required(need: &str) -> bool {
    std::env::var("OXIVIRT_REQUIRE")
        .is_ok_and(|list| list.split(',').any(|word| word.trim() == need))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn selected(arguments: &[&str]) -> Vec<&'static str> {
        let arguments: Vec<String> = arguments.iter().copied().map(str::to_owned).collect();
        let options = Options::parse(&arguments).unwrap();
        select(&options).unwrap().iter().map(|step| step.name).collect()
    }

    #[test]
    fn options_select_steps() {
        assert!(selected(&[]).contains(&"tests"));
        assert!(!selected(&[]).contains(&"unit"), "the full run has `tests`");
        assert_eq!(
            selected(&["--quick"]),
            ["format", "docs", "clippy", "build", "unit", "namespaces", "fuzz"]
        );
        assert_eq!(selected(&["-p", "conf"]), ["clippy", "features", "tests"]);
        assert_eq!(selected(&["--only", "fuzz", "--only", "docs"]), ["docs", "fuzz"]);
    }

    #[test]
    fn unknown_step_is_an_error() {
        let options = Options::parse(&["--only".to_owned(), "documents".to_owned()]).unwrap();
        assert!(select(&options).is_err());
    }
}
