//! Suite `shell`: transcripts of virsh, replayed with our shell under the name `virsh`.
//!
//! A case says what is typed and what both streams and the exit status are. Its placeholders
//! (`{{text}}`, `{{ver}}`, …) stand for what differs from run to run; a case that shows a fault of virsh
//! may also say what a repaired shell answers.

mod expect;
mod format;
mod pty;
mod run;
mod server;

use std::path::{Path, PathBuf};

use super::{CasesError, Outcome, Verdict};
use format::{Case, TranscriptFile};
use run::{Found, Subject};

pub use pty::Terminal;
pub(super) use server::ServerKind;

/// The shell that is judged, and where the cases for a daemon find one.
#[derive(Debug, Clone, Default)]
pub struct ShellOptions {
    /// Program to run; `oxish` beside this program if there is none.
    pub program: Option<PathBuf>,
    /// URI to use in the place of `network:///system`; without it a daemon is started on a throw-away
    /// host.
    pub daemon: Option<String>,
}

/// Runs every transcript in `dir`; none if there is no directory. Against a libvirtd those that are
/// about a connection.
///
/// # Errors
/// [`CasesError`] if a file cannot be read.
pub(super) fn run(
    dir: &Path,
    options: &ShellOptions,
    kind: ServerKind,
) -> Result<Vec<Outcome>, CasesError> {
    let subject = Subject::new(options, kind);
    let mut outcomes = Vec::new();
    for file in format::load(dir)? {
        for case in file.cases.iter().filter(|case| subject.concerns(&file, case)) {
            let name = format!("{kind}/{} {}", file.label, case.id);
            outcomes.push(Outcome { name, verdict: verdict(&subject, &file, case) });
        }
    }
    Ok(outcomes)
}

fn verdict(subject: &Subject, file: &TranscriptFile, case: &Case) -> Verdict {
    if let Some(reason) = subject.cannot_run(file, case) {
        return Verdict::NotRun { reason };
    }
    let found = match subject.run(file, case) {
        Ok(found) => found,
        Err(error) => return Verdict::Failed { difference: error.chain() },
    };
    judge(case, &found)
}

/// Compares with the recording, and with the repaired answer where the case has one.
fn judge(case: &Case, found: &Found) -> Verdict {
    let recorded = expect::difference(&case.recorded(), found);
    let Some(difference) = recorded else { return Verdict::Passed };
    let repaired = case.fixed().map(|fixed| expect::difference(&fixed, found));
    match (&case.bug, repaired) {
        (_, Some(None)) => Verdict::Passed,
        (_, Some(Some(difference))) => Verdict::Failed { difference },
        (Some(bug), None) => Verdict::Optional { quirk: bug.clone(), difference },
        (None, None) => Verdict::Failed { difference },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(case: &str, stdout: &str, status: i32, expect: &str) {
        let case: Case = toml::from_str(case).unwrap();
        let found = Found { stdout: stdout.to_owned(), stderr: String::new(), status };
        let verdict = match judge(&case, &found) {
            Verdict::Passed => "passed",
            Verdict::Failed { .. } => "failed",
            Verdict::Optional { .. } => "optional",
            Verdict::NotRun { .. } => "not run",
        };
        assert_eq!(verdict, expect);
    }

    #[test]
    fn a_case_is_judged_by_both_answers() {
        const PLAIN: &str = "id='a'\nargv=[]\nstdout='x {{ver}}'\nstderr=''\nstatus=0";
        check(PLAIN, "x 1.2.3", 0, "passed");
        check(PLAIN, "x 1.2", 0, "failed");
        check(PLAIN, "x 1.2.3", 1, "failed");
        let bug = format!("{PLAIN}\nbug='B1'");
        check(&bug, "y", 0, "optional");
        let fixed = format!("{bug}\n[fixed]\nstdout='y'\nstderr=''\nstatus=1");
        check(&fixed, "y", 1, "passed");
        check(&fixed, "x 1.2.3", 0, "passed");
        check(&fixed, "y", 0, "failed");
    }
}
