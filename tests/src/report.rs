//! A report of checks on a terminal, as they happen.

use std::fmt;
use std::io::{IsTerminal as _, Write as _};
use std::time::{Duration, Instant};

use crate::error::Result;

/// Columns of the names of checks.
const WIDTH: usize = 58;

/// Whether colours and rewritten lines are of use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Medium {
    Terminal,
    File,
}

/// Prints checks and counts them.
#[derive(Debug)]
pub struct Report {
    medium: Medium,
    begin: Instant,
    passed: usize,
    failed: Vec<String>,
}

impl Default for Report {
    fn default() -> Self {
        Self::new()
    }
}

impl Report {
    /// Begins; the time runs from here.
    pub fn new() -> Self {
        let terminal = std::io::stdout().is_terminal();
        let medium = if terminal { Medium::Terminal } else { Medium::File };
        Self { medium, begin: Instant::now(), passed: 0, failed: Vec::new() }
    }

    fn paint(&self, code: &str, text: impl fmt::Display) -> String {
        match self.medium {
            Medium::Terminal => format!("\x1b[{code}m{text}\x1b[0m"),
            Medium::File => text.to_string(),
        }
    }

    /// Begins a part.
    pub fn section(&self, title: &str) {
        println!("\n{}", self.paint("1", title));
    }

    /// A remark.
    pub fn note(&self, text: impl fmt::Display) {
        println!("  {}", self.paint("2", text));
    }

    /// Shows lines of text, such as a listing.
    pub fn listing(&self, text: &str) {
        for line in text.trim_end().lines() {
            println!("      {}", self.paint("36", line.replace('\t', "    ")));
        }
    }

    /// Does something that has to succeed; what it returns is shown beside its name.
    ///
    /// Returns the value, `None` if it failed.
    pub fn check<T: fmt::Display>(
        &mut self,
        name: &str,
        action: impl FnOnce() -> Result<T>,
    ) -> Option<T> {
        if self.medium == Medium::Terminal {
            print!("  … {name}");
            // The line is completed below; until then it shows what is going on.
            std::io::stdout().flush().ok();
        }
        let begin = Instant::now();
        let outcome = action();
        let time = self.paint("2", elapsed(begin.elapsed()));
        let start = if self.medium == Medium::Terminal { "\r\x1b[K" } else { "" };
        match outcome {
            Ok(value) => {
                self.passed += 1;
                println!("{start}  {} {name:<WIDTH$} {value}  {time}", self.paint("32", "✔"));
                Some(value)
            }
            Err(error) => {
                println!("{start}  {} {name}  {time}", self.paint("31", "✘"));
                for line in error.chain().lines() {
                    println!("      {}", self.paint("31", line));
                }
                self.failed.push(name.to_owned());
                None
            }
        }
    }

    /// Prints the counts; whether every check passed.
    pub fn finish(self) -> bool {
        println!();
        for name in &self.failed {
            println!("{} {name}", self.paint("31", "failed:"));
        }
        println!("{} elapsed", elapsed(self.begin.elapsed()));
        println!("{} passed, {} failed, 0 skipped", self.passed, self.failed.len());
        self.failed.is_empty()
    }
}

fn elapsed(time: Duration) -> String {
    format!("{:.2} s", time.as_secs_f32())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Error;

    #[test]
    fn one_failure_is_a_failure() {
        let mut report = Report::new();
        assert_eq!(report.check("good", || Ok("done")), Some("done"));
        assert_eq!(report.check("bad", || Err::<String, _>(Error::Wrong("not so".into()))), None);
        assert!(!report.finish());
        let mut report = Report::new();
        report.check("good", || Ok(1));
        assert!(report.finish());
    }
}
