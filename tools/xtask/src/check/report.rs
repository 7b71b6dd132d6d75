//! What the steps have found, and the table at the end of a run.

use std::fmt;
use std::time::{Duration, Instant};

use crate::process::Call;
use crate::tally::{Complaints, Tally};
use crate::ui::{self, Failure};

/// One step of a run.
#[derive(Debug)]
struct Row {
    name: &'static str,
    begin: Instant,
    time: Duration,
    tally: Tally,
    /// Set by a command that fails, also if the counts it printed hold no failure.
    is_failed: bool,
}

/// Where the lines of a lane go while it runs.
#[derive(Debug)]
pub(super) enum Output {
    Terminal,
    /// Printed as one block when the step ends, since another lane writes to the terminal.
    Held(String),
}

#[derive(Debug)]
pub(super) struct Report {
    output: Output,
    rows: Vec<Row>,
    /// Output of the failed commands around each failure.
    complaints: Vec<String>,
    /// Names of failed commands.
    failures: Vec<String>,
    /// Names of checks that did not run, with the reason.
    skipped: Vec<String>,
}

impl Output {
    fn line(&mut self, text: impl fmt::Display) {
        match self {
            Self::Terminal => ui::line(text),
            Self::Held(held) => {
                held.push_str(&text.to_string());
                held.push('\n');
            }
        }
    }

    fn error(&mut self, failure: &Failure) {
        match self {
            Self::Terminal => ui::error(failure),
            Self::Held(_) => self.line(format_args!("xtask: {failure}")),
        }
    }

    fn end_of_step(&mut self) {
        if let Self::Held(held) = self {
            ui::print(&std::mem::take(held));
        }
    }
}

impl Report {
    pub(super) fn new(output: Output) -> Self {
        let (rows, complaints, failures, skipped) = Default::default();
        Self { output, rows, complaints, failures, skipped }
    }

    /// Adds the steps of another lane.
    pub(super) fn append(&mut self, other: Self) {
        self.rows.extend(other.rows);
        self.complaints.extend(other.complaints);
        self.failures.extend(other.failures);
        self.skipped.extend(other.skipped);
    }

    pub(super) fn begin(&mut self, name: &'static str) {
        self.output.line(ui::heading(name));
        let row = Row {
            name,
            begin: Instant::now(),
            time: Duration::ZERO,
            tally: Tally::default(),
            is_failed: false,
        };
        self.rows.push(row);
    }

    pub(super) fn end(&mut self) {
        let Some(row) = self.rows.last_mut() else { return };
        row.time = row.begin.elapsed();
        let (result, time) = (row.result(), ui::elapsed(row.time));
        self.output.line(format_args!("{}: {result} ({time})", row.name));
        self.output.end_of_step();
    }

    /// Runs a command and adds the counts it prints; one that prints none is one check.
    pub(super) fn command(&mut self, label: &str, call: &Call) {
        let output = &mut self.output;
        let (mut tally, complaints, end) = call
            .tally(|line| output.line(line))
            .unwrap_or_else(|failure| (Tally::default(), Complaints::default(), Err(failure)));
        match end {
            Ok(()) if tally.is_empty() => tally.passed = 1,
            Ok(()) => {}
            Err(failure) => {
                tally.failed = tally.failed.max(1);
                self.failures.push(label.to_owned());
                self.output.error(&failure);
            }
        }
        self.skipped.extend(complaints.ignored().map(|name| format!("{label}: {name}")));
        self.complaints.extend(complaints.lines());
        self.add(tally);
    }

    fn add(&mut self, tally: Tally) {
        if let Some(row) = self.rows.last_mut() {
            row.tally += tally;
            row.is_failed |= tally.failed > 0;
        }
    }

    pub(super) fn pass(&mut self, checks: usize) {
        self.add(Tally { passed: checks, ..Tally::default() });
    }

    pub(super) fn fail(&mut self, failure: &Failure) {
        self.output.error(failure);
        self.failures.push(failure.to_string());
        self.add(Tally { failed: 1, ..Tally::default() });
    }

    pub(super) fn skip(&mut self, name: &str) {
        self.output.line(format_args!("did not run: {name}"));
        self.skipped.push(name.to_owned());
        self.add(Tally { skipped: 1, ..Tally::default() });
    }

    /// Prints the table and the last line.
    ///
    /// # Errors
    /// At least one step failed.
    pub(super) fn close(self, elapsed: Duration) -> Result<(), Failure> {
        ui::line(ui::heading("summary"));
        for name in &self.skipped {
            ui::line(format_args!("did not run: {name}"));
        }
        for line in &self.complaints {
            ui::line(format_args!("| {line}"));
        }
        for name in &self.failures {
            ui::line(format_args!("failed: {name}"));
        }
        ui::line("");
        let mut total = Tally::default();
        for row in &self.rows {
            total += row.tally;
            let Tally { passed, failed, skipped } = row.tally;
            ui::line(format_args!(
                "{:<13} {:<8} {:>7}  {passed} passed, {failed} failed, {skipped} skipped",
                row.name,
                row.result(),
                ui::elapsed(row.time),
            ));
        }
        ui::line(format_args!("elapsed: {}", ui::elapsed(elapsed)));
        ui::line(total);
        if total.failed == 0 && self.failures.is_empty() {
            Ok(())
        } else {
            Err(Failure::new("check failed, see above"))
        }
    }
}

impl Row {
    fn result(&self) -> &'static str {
        if self.is_failed {
            "FAILED"
        } else if self.tally.passed == 0 && self.tally.skipped > 0 {
            "skipped"
        } else {
            "ok"
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn command(script: &str) -> Report {
        let mut report = Report::new(Output::Terminal);
        report.begin("step");
        report.command("sh", &Call::new(["sh", "-c", script]));
        report.end();
        report
    }

    fn tally(report: &Report) -> (Tally, &'static str) {
        let row = report.rows.last().unwrap();
        (row.tally, row.result())
    }

    #[test]
    fn silent_command_is_one_check() {
        let report = command("true");
        assert_eq!(tally(&report), (Tally { passed: 1, ..Tally::default() }, "ok"));
        assert!(report.close(Duration::ZERO).is_ok());
    }

    #[test]
    fn failure_status_fails_whatever_was_printed() {
        let report = command("echo '3 passed, 0 failed, 0 skipped'; exit 3");
        assert_eq!(tally(&report), (Tally { passed: 3, failed: 1, skipped: 0 }, "FAILED"));
        assert!(report.close(Duration::ZERO).is_err());
    }

    #[test]
    fn held_output_waits_for_the_end_of_its_step() {
        let mut report = Report::new(Output::Held(String::new()));
        report.begin("step");
        report.command("sh", &Call::new(["sh", "-c", "echo out; echo err >&2; exit 1"]));
        let held = |report: &Report| match &report.output {
            Output::Held(held) => held.clone(),
            Output::Terminal => unreachable!("the output is held"),
        };
        let text = held(&report);
        assert!(text.contains("out\nerr\nxtask: sh -c"), "{text}");
        report.end();
        assert_eq!(held(&report), "");
    }

    #[test]
    fn faults_of_every_lane_count() {
        let mut report = command("true");
        report.append(command("false"));
        assert_eq!(report.rows.len(), 2);
        assert!(report.close(Duration::ZERO).is_err());
    }

    #[test]
    fn ignored_tests_are_listed() {
        let report = command(
            "echo 'test a ... ignored, no strace'; echo 'test result: ok. 1 passed; 0 failed; 1 ignored'",
        );
        assert_eq!(report.skipped, ["sh: a: no strace"]);
        assert_eq!(tally(&report).0, Tally { passed: 1, failed: 0, skipped: 1 });
    }
}
