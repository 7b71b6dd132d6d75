//! The history, in virsh's file.
//!
//! Each line is appended immediately, so a killed session and a parallel one lose none.

use std::fs::OpenOptions;
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use oxivirt_sys::file::{self, Durability};

use crate::i18n::tr;
use crate::shell::Shell;

const DEFAULT_SIZE: usize = 500;
const MAX_SIZE: usize = 500_000;

/// Lines typed so far, oldest first.
#[derive(Debug, Default)]
pub(super) struct History {
    lines: Vec<String>,
    size: usize,
    /// `None` if the history is not saved.
    file: Option<PathBuf>,
}

impl History {
    /// Reads the saved history. An invalid `VIRSH_HISTSIZE` is reported, and the history is then not saved.
    ///
    /// # Errors
    /// If stdout cannot be written.
    pub(super) fn open(shell: &mut Shell) -> io::Result<Self> {
        let size = match shell.environment.text("VIRSH_HISTSIZE") {
            None => DEFAULT_SIZE,
            Some(text) => match text.trim_start().parse::<i64>() {
                Ok(size) => match usize::try_from(size) {
                    Ok(size) if size <= MAX_SIZE => size,
                    _ => {
                        shell.ui.error(&tr!(
                            "$VIRSH_HISTSIZE value should be between 0 and {limit}",
                            limit = MAX_SIZE
                        ))?;
                        return Ok(Self { size: DEFAULT_SIZE, ..Self::default() });
                    }
                },
                Err(_) => {
                    shell.ui.error(&tr!("Bad $VIRSH_HISTSIZE value."))?;
                    return Ok(Self { size: DEFAULT_SIZE, ..Self::default() });
                }
            },
        };
        let dir = shell.environment.cache_home().map(|dir| dir.join("libvirt/virsh"));
        Ok(dir.map_or_else(|| Self { size, ..Self::default() }, |dir| Self::in_dir(&dir, size)))
    }

    fn in_dir(dir: &Path, size: usize) -> Self {
        // without a history file the shell still works
        let made = std::fs::DirBuilder::new().recursive(true).mode(0o755).create(dir);
        let path = dir.join("history");
        let text = std::fs::read(&path).unwrap_or_default();
        let text = String::from_utf8_lossy(&text);
        let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
        let surplus = lines.len().saturating_sub(size);
        lines.drain(..surplus);
        if surplus > 0 {
            let kept: String = lines.iter().map(|line| format!("{line}\n")).collect();
            let _kept_longer =
                file::replace(&path, kept.as_bytes(), 0o600, Durability::Regenerated);
        }
        Self { lines, size, file: made.is_ok().then_some(path) }
    }

    /// The lines, oldest first.
    pub(super) fn lines(&self) -> &[String] {
        &self.lines
    }

    /// Appends a line unless it is empty.
    pub(super) fn add(&mut self, line: &str) {
        if line.is_empty() || self.size == 0 {
            return;
        }
        self.lines.push(line.to_owned());
        if self.lines.len() > self.size {
            self.lines.remove(0);
        }
        if let Some(path) = &self.file {
            let mut options = OpenOptions::new();
            let file = options.append(true).create(true).mode(0o600).open(path);
            // a full disk must not prevent working in the shell
            let _kept = file.and_then(|mut file| file.write_all(format!("{line}\n").as_bytes()));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_saved_immediately_up_to_the_limit() {
        let dir = tempfile::tempdir().unwrap();
        let dir = dir.path().join("a/b");
        let mut history = History::in_dir(&dir, 2);
        for line in ["one", "", "two", "two", "three"] {
            history.add(line);
        }
        assert_eq!(history.lines(), ["two", "three"]);
        assert_eq!(std::fs::read_to_string(dir.join("history")).unwrap(), "one\ntwo\ntwo\nthree\n");
        assert_eq!(History::in_dir(&dir, 2).lines(), ["two", "three"]);
        assert_eq!(std::fs::read_to_string(dir.join("history")).unwrap(), "two\nthree\n");
    }
}
