//! What xtask writes: progress to standard output, errors to standard error.

use std::fmt;
use std::time::Duration;

/// Why a task ended without success; one line for the user, more lines if they are instructions.
#[derive(Debug)]
pub(crate) struct Failure(String);

impl Failure {
    pub(crate) fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[expect(clippy::print_stdout, reason = "the terminal is this program's output")]
pub(crate) fn print(text: &str) {
    print!("{text}");
}

pub(crate) fn line(text: impl fmt::Display) {
    print(&format!("{text}\n"));
}

/// The line above a step's own output.
pub(crate) fn heading(name: &str) -> String {
    format!("\n── {name} {}", "─".repeat(70_usize.saturating_sub(name.chars().count())))
}

/// Minutes and seconds, as in `3m07s`.
pub(crate) fn elapsed(time: Duration) -> String {
    let seconds = time.as_secs();
    if seconds < 60 {
        format!("{}.{}s", seconds, time.subsec_millis() / 100)
    } else {
        format!("{}m{:02}s", seconds / 60, seconds % 60)
    }
}

#[expect(clippy::print_stderr, reason = "the terminal is this program's output")]
pub(crate) fn error(failure: &Failure) {
    eprintln!("xtask: {failure}");
}

/// Asks a question that is answered with `y` or Enter for yes.
///
/// `None` if no user can answer: standard input is no terminal, or `CI` is set.
pub(crate) fn confirm(question: &str) -> Option<bool> {
    use std::io::{IsTerminal as _, Write as _};
    if std::env::var_os("CI").is_some() || !std::io::stdin().is_terminal() {
        return None;
    }
    print(&format!("{question} [Y/n] "));
    std::io::stdout().flush().ok()?;
    let mut answer = String::new();
    std::io::stdin().read_line(&mut answer).ok()?;
    Some(matches!(answer.trim(), "" | "y" | "Y" | "yes"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(millis: u64, expect: &str) {
        assert_eq!(elapsed(Duration::from_millis(millis)), expect);
    }

    #[test]
    fn elapsed_is_short() {
        check(0, "0.0s");
        check(1_990, "1.9s");
        check(59_999, "59.9s");
        check(60_000, "1m00s");
        check(187_400, "3m07s");
    }
}
