//! What the steps have found, and the table at the end of a run.

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

#[derive(Debug, Default)]
pub(super) struct Report {
    rows: Vec<Row>,
    /// Output of the failed commands around each failure.
    complaints: Vec<String>,
    /// Names of failed commands.
    failures: Vec<String>,
    /// Names of checks that did not run, with the reason.
    skipped: Vec<String>,
}

impl Report {
    pub(super) fn begin(&mut self, name: &'static str) {
        ui::heading(name);
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
        ui::line(format_args!("{}: {} ({})", row.name, row.result(), ui::elapsed(row.time)));
    }

    /// Runs a command and adds the counts it prints; one that prints none is one check.
    pub(super) fn command(&mut self, label: &str, call: &Call) {
        let (mut tally, complaints, end) = call
            .tally()
            .unwrap_or_else(|failure| (Tally::default(), Complaints::default(), Err(failure)));
        match end {
            Ok(()) if tally.is_empty() => tally.passed = 1,
            Ok(()) => {}
            Err(failure) => {
                tally.failed = tally.failed.max(1);
                self.failures.push(label.to_owned());
                ui::error(&failure);
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
        ui::error(failure);
        self.failures.push(failure.to_string());
        self.add(Tally { failed: 1, ..Tally::default() });
    }

    pub(super) fn skip(&mut self, name: &str) {
        ui::line(format_args!("did not run: {name}"));
        self.skipped.push(name.to_owned());
        self.add(Tally { skipped: 1, ..Tally::default() });
    }

    /// Prints the table and the last line.
    ///
    /// # Errors
    /// At least one step failed.
    pub(super) fn close(self, elapsed: Duration) -> Result<(), Failure> {
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
        let mut report = Report::default();
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
    fn ignored_tests_are_listed() {
        let report = command(
            "echo 'test a ... ignored, no strace'; echo 'test result: ok. 1 passed; 0 failed; 1 ignored'",
        );
        assert_eq!(report.skipped, ["sh: a: no strace"]);
        assert_eq!(tally(&report).0, Tally { passed: 1, failed: 0, skipped: 1 });
    }
}
