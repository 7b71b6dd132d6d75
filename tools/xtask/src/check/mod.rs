//! `cargo xtask check`: every check of the workspace, in the order in which mistakes are cheap.
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

use std::time::Instant;

use crate::metadata::Metadata;
use crate::packages::{self, Use};
use crate::privilege;
use crate::process::Call;
use crate::ui::{self, Failure};
use options::Options;
use report::Report;

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

struct Step {
    name: &'static str,
    /// What it checks, for `--list`.
    about: &'static str,
    scopes: &'static [Scope],
    run: fn(&mut Check),
}

const EVERY: &[Scope] = &[Scope::Full, Scope::Quick, Scope::Crates];
const WHOLE: &[Scope] = &[Scope::Full, Scope::Quick];
const FULL: &[Scope] = &[Scope::Full];

const STEPS: &[Step] = &[
    Step { name: "format", about: "rustfmt", scopes: WHOLE, run: Check::format },
    Step {
        name: "docs",
        about: "documents: paths, commands, settings, names, links; an example in every crate",
        scopes: WHOLE,
        run: Check::docs,
    },
    Step {
        name: "clippy",
        about: "clippy on all targets, warnings denied",
        scopes: EVERY,
        run: Check::clippy,
    },
    Step {
        name: "rustdoc",
        about: "documentation of public and private items",
        scopes: FULL,
        run: Check::rustdoc,
    },
    Step {
        name: "dependencies",
        about: "licences, duplicates, sources, minimum Rust version of the packages",
        scopes: FULL,
        run: Check::dependencies,
    },
    Step {
        name: "msrv",
        about: "build with the minimum Rust version, if that toolchain is installed",
        scopes: FULL,
        run: Check::msrv,
    },
    Step {
        name: "features",
        about: "each crate alone: default features, none, each one, all",
        scopes: &[Scope::Full, Scope::Crates],
        run: Check::features,
    },
    Step { name: "build", about: "programs, tests, examples", scopes: WHOLE, run: Check::build },
    Step {
        name: "tests",
        about: "unit, documentation and namespace tests",
        scopes: &[Scope::Full, Scope::Crates],
        run: Check::tests,
    },
    Step {
        name: "unit",
        about: "unit and documentation tests of every crate",
        scopes: &[Scope::Quick],
        run: Check::unit,
    },
    Step {
        name: "namespaces",
        about: "a few namespace tests: one per subject",
        scopes: &[Scope::Quick],
        run: Check::namespaces,
    },
    Step {
        name: "examples",
        about: "the example programs of the library crates",
        scopes: FULL,
        run: Check::examples,
    },
    Step {
        name: "blocks",
        about: "the `sh` blocks of the documents, run in namespaces",
        scopes: FULL,
        run: Check::blocks,
    },
    Step { name: "try", about: "the demonstration", scopes: FULL, run: Check::demonstration },
    Step { name: "packets", about: "packet probes", scopes: FULL, run: Check::packets },
    Step { name: "crash", about: "every third kill point", scopes: FULL, run: Check::crash },
    Step { name: "model", about: "3,000 random steps", scopes: FULL, run: Check::model },
    Step { name: "soak", about: "30 networks on one host", scopes: FULL, run: Check::soak },
    Step {
        name: "peer",
        about: "the scenarios under a real libvirt",
        scopes: FULL,
        run: Check::peer,
    },
    Step {
        name: "conformance",
        about: "documents and transcripts byte for byte",
        scopes: FULL,
        run: Check::conformance,
    },
    Step {
        name: "fuzz",
        about: "seeds of every fuzz target and mutations of them; part of `tests`",
        scopes: &[Scope::Quick],
        run: Check::fuzz,
    },
];

struct Check {
    options: Options,
    metadata: Metadata,
    report: Report,
    /// Words before a command that makes namespaces; `None` where none can be made.
    prefix: Option<Vec<String>>,
    /// Whether the programs have been built by this run.
    is_built: bool,
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
    let mut check = Check::new(options)?;
    for step in steps {
        check.report.begin(step.name);
        (step.run)(&mut check);
        check.report.end();
    }
    check.report.close(begin.elapsed())
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

impl Check {
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
        Ok(Self { options, metadata, report: Report::default(), prefix, is_built: false })
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
