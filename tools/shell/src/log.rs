//! The log of the shell (`-l`, `-d`); the libraries log through tracing instead.
//!
//! virsh: `vshOutputLogFile`, `vshDebug`, tools/vsh.c

use std::{
    fs::{File, OpenOptions},
    io::{self, Write as _},
    os::unix::fs::OpenOptionsExt as _,
    path::Path,
};

/// Severity of a message, numbered as for `-d`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Level {
    Debug = 0,
    Info = 1,
    Notice = 2,
    Warning = 3,
    Error = 4,
}

impl Level {
    /// The level with this number.
    pub(crate) fn from_number(number: i64) -> Option<Self> {
        match number {
            0 => Some(Self::Debug),
            1 => Some(Self::Info),
            2 => Some(Self::Notice),
            3 => Some(Self::Warning),
            4 => Some(Self::Error),
            _ => None,
        }
    }

    fn word(self) -> &'static str {
        match self {
            Self::Debug => "DEBUG",
            // virsh logs a notice as INFO
            Self::Info | Self::Notice => "INFO",
            Self::Warning => "WARNING",
            Self::Error => "ERROR",
        }
    }
}

/// Minimum severity and log file.
#[derive(Debug)]
pub(crate) struct Log {
    program: String,
    level: Level,
    file: Option<File>,
}

impl Default for Log {
    fn default() -> Self {
        Self::new("virsh")
    }
}

impl Log {
    /// Errors only, without a file.
    pub(crate) fn new(program: &str) -> Self {
        Self { program: program.to_owned(), level: Level::Error, file: None }
    }

    pub(crate) fn set_level(&mut self, level: Level) {
        self.level = level;
    }

    /// Appends to `path` from now on.
    ///
    /// # Errors
    /// If the file cannot be opened.
    pub(crate) fn open(&mut self, path: &Path) -> io::Result<()> {
        // synchronous, so that the lines before a crash are on disk
        let synchronous = nix::libc::O_SYNC;
        let mut options = OpenOptions::new();
        options.append(true).create(true).mode(0o644).custom_flags(synchronous);
        self.file = Some(options.open(path)?);
        Ok(())
    }

    /// Closes the file.
    pub(crate) fn stop(&mut self) {
        self.file = None;
    }

    /// Whether messages of this severity are logged.
    pub(crate) fn wants(&self, level: Level) -> bool {
        level >= self.level
    }

    /// Appends a line to the file, if one is open.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub(crate) fn write(&mut self, level: Level, message: &str) -> io::Result<()> {
        let Some(file) = &mut self.file else { return Ok(()) };
        let time = jiff::Zoned::now().strftime("%Y.%m.%d %H:%M:%S");
        let (program, pid, word) = (&self.program, std::process::id(), level.word());
        let line = format!("[{time} {program} {pid}] {word} {message}\n");
        file.write_all(line.as_bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_have_time_program_pid_and_level() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("log");
        let mut log = Log::new("virsh");
        log.write(Level::Error, "nowhere").unwrap();
        log.open(&path).unwrap();
        log.write(Level::Notice, "first").unwrap();
        log.write(Level::Error, "second").unwrap();
        log.stop();
        log.write(Level::Error, "third").unwrap();

        let text = std::fs::read_to_string(&path).unwrap();
        let pid = std::process::id();
        let ends: Vec<&str> = text.lines().map(|line| &line[20..]).collect();
        let expect = [format!(" virsh {pid}] INFO first"), format!(" virsh {pid}] ERROR second")];
        assert_eq!(ends, expect);
        assert!(text.starts_with('['));
    }

    #[test]
    fn levels() {
        let mut log = Log::default();
        assert!(log.wants(Level::Error) && !log.wants(Level::Warning));
        log.set_level(Level::Info);
        assert!(log.wants(Level::Info) && !log.wants(Level::Debug));
        assert_eq!(Level::from_number(5), None);
        assert_eq!(Level::from_number(-1), None);
    }
}
