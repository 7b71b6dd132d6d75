//! Interactive mode: lines from a terminal or a pipe.
//!
//! On a capable terminal rustyline edits the line; a terminal without cursor movement gets a simple editor of ours
//! with completion; lines from a pipe are echoed after the prompt, as readline does.
//!
//! virsh: `vshReadline`, tools/vsh.c

mod dumb;
mod history;
mod rich;
mod words;

use std::io::{self, BufRead as _};
use std::process::ExitCode;

use crate::commands::Table;
use crate::grammar::parse::parse_string;
use crate::help;
use crate::shell::{Outcome, Shell};
use crate::startup;
use crate::terminal;
use history::History;

/// Result of reading a line.
#[derive(Debug)]
enum Input {
    Line(String),
    /// ^C: the line is discarded.
    Interrupted,
    End,
}

/// Source of the lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Source {
    Rich,
    Dumb,
    Pipe,
}

impl Source {
    fn of(shell: &Shell) -> Self {
        if !terminal::is_interactive() {
            return Self::Pipe;
        }
        match shell.environment.text("TERM") {
            None | Some("" | "dumb" | "cons25" | "emacs") => Self::Dumb,
            _ if terminal::shows_results() => Self::Rich,
            _ => Self::Dumb,
        }
    }
}

/// Runs commands line by line.
///
/// # Errors
/// If stdout cannot be written.
pub(crate) fn run(shell: &mut Shell, program: &str) -> io::Result<ExitCode> {
    shell.ui.extra(help::banner(program))?;
    let source = Source::of(shell);
    let mut history = History::open(shell)?;
    loop {
        let prompt = shell.prompt();
        let input = match source {
            Source::Rich => rich::read(shell, prompt, &history)?,
            Source::Dumb => dumb::read(shell, prompt)?,
            Source::Pipe => piped(shell, prompt)?,
        };
        let line = match input {
            Input::Line(line) => line,
            Input::Interrupted => continue,
            Input::End => break,
        };
        history.add(&line);
        match parse_string(line.as_bytes(), &Table::of(shell.dialect)) {
            Err(error) => shell.report_parse_error(&error)?,
            Ok(commands) => {
                startup::trace(shell, &commands)?;
                if shell.run_all(&commands)? == Outcome::Quit {
                    break;
                }
            }
        }
    }
    shell.ui.print("\n")?;
    Ok(ExitCode::SUCCESS)
}

/// Reads a line from a pipe and echoes it after the prompt.
fn piped(shell: &mut Shell, prompt: &str) -> io::Result<Input> {
    shell.ui.print(prompt)?;
    shell.ui.flush()?;
    let mut line = Vec::new();
    if io::stdin().lock().read_until(b'\n', &mut line)? == 0 {
        return Ok(Input::End);
    }
    if line.last() == Some(&b'\n') {
        line.pop();
    }
    shell.ui.print(&line)?;
    shell.ui.print("\n")?;
    Ok(Input::Line(String::from_utf8_lossy(&line).into_owned()))
}
