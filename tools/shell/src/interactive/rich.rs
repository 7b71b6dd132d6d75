//! Line editing on a capable terminal, by rustyline.

use std::cell::RefCell;
use std::io;

use rustyline::completion::{Completer, Pair};
use rustyline::config::{BellStyle, CompletionType, Config};
use rustyline::error::ReadlineError;
use rustyline::highlight::Highlighter;
use rustyline::hint::Hinter;
use rustyline::history::{History as _, MemHistory};
use rustyline::validate::Validator;
use rustyline::{Context, Editor, Helper};

use super::Input;
use super::history::History;
use super::words::complete;
use crate::shell::Shell;

/// Reads one line.
///
/// # Errors
/// If the terminal cannot be read or written.
pub(super) fn read(shell: &mut Shell, prompt: &str, history: &History) -> io::Result<Input> {
    shell.ui.flush()?;
    let config = Config::builder()
        .completion_type(CompletionType::List)
        .bell_style(BellStyle::Audible)
        .auto_add_history(false)
        .build();
    let failed = |error: ReadlineError| match error {
        ReadlineError::Io(error) => error,
        other => io::Error::other(other),
    };
    let mut lines = MemHistory::with_config(&config);
    for line in history.lines() {
        lines.add(line).map_err(failed)?;
    }
    let mut editor = Editor::with_history(config, lines).map_err(failed)?;
    editor.set_helper(Some(LineHelper { shell: RefCell::new(shell) }));
    match editor.readline(prompt) {
        Ok(line) => Ok(Input::Line(line)),
        Err(ReadlineError::Interrupted) => Ok(Input::Interrupted),
        Err(ReadlineError::Eof) => Ok(Input::End),
        Err(error) => Err(failed(error)),
    }
}

/// Gives rustyline the shell's completion.
struct LineHelper<'s> {
    shell: RefCell<&'s mut Shell>,
}

impl Completer for LineHelper<'_> {
    type Candidate = Pair;

    fn complete(
        &self,
        line: &str,
        cursor: usize,
        _: &Context<'_>,
    ) -> rustyline::Result<(usize, Vec<Pair>)> {
        let line = line.get(..cursor).unwrap_or(line);
        let found = complete(&mut self.shell.borrow_mut(), line);
        let ending = found.ending();
        let pairs = found.words.iter().zip(found.listed()).map(|(word, listed)| Pair {
            display: listed.to_owned(),
            replacement: format!("{word}{ending}"),
        });
        Ok((found.start, pairs.collect()))
    }
}

impl Hinter for LineHelper<'_> {
    type Hint = String;
}

impl Highlighter for LineHelper<'_> {}

impl Validator for LineHelper<'_> {}

impl Helper for LineHelper<'_> {}
