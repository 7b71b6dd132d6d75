//! Counting results out of what test programs print.
//!
//! libtest's JSON needs a nightly toolchain, and cargo-nextest, which writes JUnit, costs ten times
//! the build of this crate in a fresh clone; both would have to be parsed as well.

use std::fmt;
use std::ops::AddAssign;

/// Results of one or more steps.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Tally {
    pub(crate) passed: usize,
    pub(crate) failed: usize,
    pub(crate) skipped: usize,
}

impl Tally {
    /// Adds the counts of a line, if it is a summary.
    ///
    /// Summaries are libtest's `test result: ok. 3 passed; 0 failed; 1 ignored; …` and the closing
    /// lines of our own programs, `[SUITE: ]3 passed, 0 failed, 1 skipped`.
    pub(crate) fn read(&mut self, line: &str) {
        let counts = if let Some(rest) = line.strip_prefix("test result: ") {
            rest.split_once(". ").map_or("", |(_, counts)| counts)
        } else {
            line.split_once(": ").map_or(line, |(_, counts)| counts)
        };
        let Some(found) = Self::parse(counts) else {
            return;
        };
        *self += found;
    }

    fn parse(counts: &str) -> Option<Self> {
        let mut tally = Self::default();
        let mut seen = [false; 2];
        for part in counts.split([',', ';']) {
            let mut words = part.split_whitespace();
            let number: Option<usize> = words.next().and_then(|word| word.parse().ok());
            match (number, words.next()) {
                (Some(n), Some("passed")) => {
                    tally.passed = n;
                    seen = [true, seen[1]];
                }
                (Some(n), Some("failed")) => {
                    tally.failed = n;
                    seen = [seen[0], true];
                }
                (Some(n), Some("skipped" | "ignored")) => tally.skipped = n,
                _ => {}
            }
        }
        (seen == [true, true]).then_some(tally)
    }

    pub(crate) fn is_empty(self) -> bool {
        self == Self::default()
    }
}

impl AddAssign for Tally {
    fn add_assign(&mut self, other: Self) {
        self.passed += other.passed;
        self.failed += other.failed;
        self.skipped += other.skipped;
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} passed, {} failed, {} skipped", self.passed, self.failed, self.skipped)
    }
}

/// What a step printed of its failures, for the end of a long log, where it is looked for.
#[derive(Debug, Default)]
pub(crate) struct Complaints {
    lines: Vec<String>,
    /// Tests that did not run, with the reason if the harness prints one.
    ignored: Vec<String>,
    /// How many of the next lines belong to the last failure.
    open: usize,
}

impl Complaints {
    /// Lines after one that reports a failed test or a panic.
    const BEHIND: usize = 6;
    const LIMIT: usize = 60;

    pub(crate) fn read(&mut self, line: &str) {
        if line.contains("FAILED") || line.contains("panicked at") {
            self.open = 1 + Self::BEHIND;
        }
        if self.open > 0 && self.lines.len() < Self::LIMIT {
            self.open -= 1;
            self.lines.push(line.to_owned());
        }
        if let Some((name, reason)) = ignored(line) {
            let colon = if reason.is_empty() { "" } else { ": " };
            self.ignored.push(format!("{name}{colon}{reason}"));
        }
    }

    /// Names of the ignored tests.
    pub(crate) fn ignored(&self) -> impl Iterator<Item = &str> {
        self.ignored.iter().map(String::as_str)
    }

    pub(crate) fn lines(self) -> Vec<String> {
        self.lines
    }
}

/// Name and reason of a line such as `test NAME ... ignored, REASON`.
fn ignored(line: &str) -> Option<(&str, &str)> {
    let (name, rest) = line.strip_prefix("test ")?.split_once(" ... ignored")?;
    Some((name.trim_end(), rest.trim_start_matches([',', ' '])))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failures_are_kept_with_what_follows() {
        let mut complaints = Complaints::default();
        complaints.read("test a ... ok");
        complaints.read("test b ... FAILED");
        for n in 0..20 {
            complaints.read(&n.to_string());
        }
        assert_eq!(complaints.lines(), ["test b ... FAILED", "0", "1", "2", "3", "4", "5"]);
    }

    #[track_caller]
    fn check(line: &str, passed: usize, failed: usize, skipped: usize) {
        let mut tally = Tally::default();
        tally.read(line);
        assert_eq!(tally, Tally { passed, failed, skipped }, "{line}");
    }

    #[test]
    fn summaries_count() {
        check(
            "test result: ok. 3 passed; 0 failed; 1 ignored; 0 measured; 2 filtered out; finished in 0.00s",
            3,
            0,
            1,
        );
        check(
            "test result: FAILED. 3 passed; 2 failed; 0 ignored; 0 measured; 0 filtered out",
            3,
            2,
            0,
        );
        check("12 passed, 1 failed, 4 skipped", 12, 1, 4);
        check("network-xml: 80 passed, 0 failed, 3 optional", 80, 0, 0);
    }

    #[test]
    fn other_lines_do_not() {
        check("", 0, 0, 0);
        check("5 passed", 0, 0, 0);
        check("running 5 tests", 0, 0, 0);
        check("12 pass, 3 fail", 0, 0, 0);
        check("test name ... ok", 0, 0, 0);
    }
}
