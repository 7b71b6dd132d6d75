//! A line editor for terminals without cursor movement; it has completion.

use std::io::{self, Read as _};

use unicode_width::UnicodeWidthChar as _;

use super::Input;
use super::words::{common_prefix, complete};
use crate::shell::Shell;
use crate::terminal;

const INTERRUPT: u8 = 0x03;
const END: u8 = 0x04;
const KILL: u8 = 0x15;
const ERASE_WORD: u8 = 0x17;
const ESCAPE: u8 = 0x1b;

/// Reads one line.
///
/// # Errors
/// If the terminal cannot be read or written.
pub(super) fn read(shell: &mut Shell, prompt: &str) -> io::Result<Input> {
    // before the prompt, so that no key typed after it is echoed by the terminal
    let _modes = terminal::keys();
    shell.ui.print(prompt)?;
    shell.ui.flush()?;
    let mut line = Line { bytes: Vec::new() };
    let mut tabs = 0;
    loop {
        let mut key = [0];
        if io::stdin().read(&mut key)? == 0 {
            return Ok(Input::End);
        }
        let [key] = key;
        tabs = if key == b'\t' { tabs + 1 } else { 0 };
        match key {
            b'\n' | b'\r' => {
                shell.ui.print("\n")?;
                shell.ui.flush()?;
                return Ok(Input::Line(line.text()));
            }
            INTERRUPT => {
                shell.ui.print("^C\n")?;
                return Ok(Input::Interrupted);
            }
            END if line.bytes.is_empty() => return Ok(Input::End),
            0x08 | 0x7f => line.erase(shell, 1)?,
            KILL => line.erase(shell, usize::MAX)?,
            ERASE_WORD => {
                let text = line.text();
                let kept = text.trim_end().rfind(' ').map_or(0, |at| at + 1);
                line.erase(
                    shell,
                    text.chars().count() - text.get(..kept).unwrap_or("").chars().count(),
                )?;
            }
            b'\t' => tab(shell, &mut line, prompt, tabs)?,
            // cursor movement is not supported
            ESCAPE => skip_sequence()?,
            key if key < 0x20 => {}
            key => {
                line.bytes.push(key);
                shell.ui.print([key])?;
            }
        }
        shell.ui.flush()?;
    }
}

/// `ESC [ … letter` or `ESC O letter`
fn skip_sequence() -> io::Result<()> {
    let mut byte = [0];
    let mut stdin = io::stdin();
    if stdin.read(&mut byte)? == 0 || !matches!(byte, [b'[' | b'O']) {
        return Ok(());
    }
    while stdin.read(&mut byte)? > 0 {
        if matches!(byte, [b'@'..=b'~']) {
            break;
        }
    }
    Ok(())
}

struct Line {
    bytes: Vec<u8>,
}

impl Line {
    fn text(&self) -> String {
        String::from_utf8_lossy(&self.bytes).into_owned()
    }

    /// Erases the last `count` characters.
    fn erase(&mut self, shell: &mut Shell, count: usize) -> io::Result<()> {
        let text = self.text();
        let gone: Vec<char> = text.chars().rev().take(count).collect();
        let kept = text.chars().count() - gone.len();
        self.bytes = text.chars().take(kept).collect::<String>().into_bytes();
        let width: usize = gone.iter().map(|c| c.width().unwrap_or(0)).sum();
        shell.ui.print("\u{8} \u{8}".repeat(width))
    }

    fn add(&mut self, shell: &mut Shell, text: &str) -> io::Result<()> {
        self.bytes.extend_from_slice(text.as_bytes());
        shell.ui.print(text)
    }
}

/// The first TAB inserts the common prefix, the second one lists the candidates.
fn tab(shell: &mut Shell, line: &mut Line, prompt: &str, tabs: usize) -> io::Result<()> {
    let text = line.text();
    let candidates = complete(shell, &text);
    let typed = text.get(candidates.start..).unwrap_or_default();
    let common = common_prefix(&candidates.words);
    match common.strip_prefix(typed) {
        Some(rest) if candidates.words.len() == 1 => {
            line.add(shell, &format!("{rest}{}", candidates.ending()))
        }
        Some(rest) if !rest.is_empty() => line.add(shell, rest),
        _ if tabs < 2 || candidates.words.is_empty() => shell.ui.print("\u{7}"),
        _ => {
            shell.ui.print("\n")?;
            for word in candidates.listed() {
                shell.ui.print(format!("{word}\n"))?;
            }
            shell.ui.print(format!("{prompt}{text}"))
        }
    }
}
