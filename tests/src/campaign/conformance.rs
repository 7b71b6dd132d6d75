//! Runs the recorded cases: `oxivirt-campaign conformance [--suite NAME]... [--shell PROGRAM] [--daemon URI] [DIR]`.
//!
//! `DIR` is `../shared/data` by default. Every difference is named; the last lines are one summary
//! per suite that has cases. `--shell` names the shell to judge in the place of `oxish` beside this program, `--daemon` the
//! URI of a running daemon in the place of one of our own. Fails if a row fails, if a suite that was asked for has no case, or if a
//! directory that was asked for has none at all.

use std::path::PathBuf;

use crate::conformance::{Report, ShellOptions, Suite, Verdict};
use crate::error::{Error, Result};

const USAGE: &str =
    "usage: oxivirt-campaign conformance [--suite NAME]... [--shell PROGRAM] [--daemon URI] [DIR]";

/// Where the cases are unless the command line says otherwise.
const DEFAULT_DIR: &str = "../shared/data";

struct Options {
    suites: Vec<Suite>,
    dir: Option<PathBuf>,
    shell: ShellOptions,
}

fn options(mut words: impl Iterator<Item = String>) -> std::result::Result<Options, String> {
    let mut options = Options { suites: Vec::new(), dir: None, shell: ShellOptions::default() };
    while let Some(word) = words.next() {
        match word.as_str() {
            "--shell" => {
                let program = words.next().ok_or("--shell needs a program")?;
                options.shell.program = Some(program.into());
                continue;
            }
            "--daemon" => {
                options.shell.daemon = Some(words.next().ok_or("--daemon needs a URI")?);
                continue;
            }
            _ => {}
        }
        let suite = match word.as_str() {
            "--suite" => Some(words.next().ok_or("--suite needs a name")?),
            _ => word.strip_prefix("--suite=").map(str::to_owned),
        };
        match suite {
            Some(name) => {
                let known = Suite::ALL.map(Suite::as_str).join(", ");
                let suite = Suite::from_name(&name)
                    .ok_or_else(|| format!("no suite '{name}'; there are: {known}"))?;
                options.suites.push(suite);
            }
            None if word.starts_with('-') => return Err(format!("unknown option '{word}'")),
            None if options.dir.is_some() => return Err(format!("unexpected word '{word}'")),
            None => options.dir = Some(word.into()),
        }
    }
    Ok(options)
}

pub(super) fn run(words: &[String]) -> Result<bool> {
    let options = options(words.iter().cloned())
        .map_err(|message| Error::Wrong(format!("{message}\n{USAGE}")))?;
    let dir = options.dir.clone().unwrap_or_else(|| DEFAULT_DIR.into());
    let asked = |suite| options.suites.contains(&suite);
    let mut failed = false;
    let mut summaries = Vec::new();
    for suite in Suite::ALL.into_iter().filter(|&s| options.suites.is_empty() || asked(s)) {
        match Report::run(suite, &dir, &options.shell) {
            Ok(report) if report.outcomes.is_empty() => {
                println!("{}: not run, no case in '{}'", suite.as_str(), dir.display());
                failed |= asked(suite);
            }
            Ok(report) => {
                print_differences(&report);
                failed |= report.failed() > 0;
                summaries.extend(report.figures.iter().cloned());
                summaries.push(report.to_string());
            }
            Err(error) => {
                let source = std::error::Error::source(&error).map(ToString::to_string);
                println!("{}: {error}: {}", suite.as_str(), source.unwrap_or_default());
                failed = true;
            }
        }
    }
    failed |= options.dir.is_some() && summaries.is_empty();
    for summary in summaries {
        println!("{summary}");
    }
    Ok(!failed)
}

fn print_differences(report: &Report) {
    for outcome in &report.outcomes {
        let name = &outcome.name;
        match &outcome.verdict {
            Verdict::Passed => {}
            Verdict::Optional { quirk, difference } => {
                println!("optional ({quirk}): {name}: {difference}");
            }
            Verdict::NotRun { reason } => println!("not run: {name}: {reason}"),
            Verdict::Failed { difference } => println!("FAILED: {name}: {difference}"),
        }
    }
}
