//! A program on a pseudo-terminal.

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::os::unix::process::ExitStatusExt as _;
use std::process::Child;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

use nix::pty::{Winsize, openpty};

use crate::error::{Error, Result};
use crate::process::{DEADLINE, Run};

/// Without output for this long, a program waits for a key.
const QUIET: Duration = Duration::from_millis(250);

/// A terminal with a program on it.
#[derive(Debug)]
pub struct Terminal {
    command: String,
    master: File,
    child: Child,
    output: Receiver<Vec<u8>>,
    seen: Vec<u8>,
}

impl Terminal {
    /// Starts a program as the leader of a session on a new terminal of 80 by 24 characters.
    ///
    /// # Errors
    /// [`Error::Run`]
    pub fn open(run: &Run) -> Result<Self> {
        Self::open_sized(run, 24, 80)
    }

    /// The same, with a size.
    ///
    /// # Errors
    /// [`Error::Run`]
    pub fn open_sized(run: &Run, rows: u16, columns: u16) -> Result<Self> {
        let failed = |source| Error::Run { command: run.text(), source };
        let size = Winsize { ws_row: rows, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 };
        let pty = openpty(Some(&size), None).map_err(|errno| failed(errno.into()))?;
        let master = File::from(pty.master);
        let child = run.start_on(&File::from(pty.slave))?;
        let mut reader = master.try_clone().map_err(failed)?;
        let (sender, output) = mpsc::channel();
        thread::spawn(move || {
            let mut bytes = [0; 4096];
            // a terminal whose last program has ended answers with an error
            while let Ok(count) = reader.read(&mut bytes) {
                if count == 0 || sender.send(bytes[..count].to_vec()).is_err() {
                    break;
                }
            }
        });
        Ok(Self { command: run.text(), master, child, output, seen: Vec::new() })
    }

    /// Waits until the program says nothing more.
    pub fn settle(&mut self) {
        let end = Instant::now() + DEADLINE;
        // the first output may take a while on a busy machine
        let mut patience = Duration::from_secs(5);
        while Instant::now() < end {
            match self.output.recv_timeout(patience) {
                Ok(bytes) => {
                    self.seen.extend(bytes);
                    patience = QUIET;
                }
                Err(_) => return,
            }
        }
    }

    /// Waits until the program has said `text`.
    ///
    /// # Errors
    /// [`Error::Wrong`] with what it said instead.
    pub fn wait_for(&mut self, text: &str) -> Result<()> {
        let end = Instant::now() + DEADLINE;
        while !self.text().contains(text) {
            match self.output.recv_timeout(end.saturating_duration_since(Instant::now())) {
                Ok(bytes) => self.seen.extend(bytes),
                Err(_) => {
                    let found = self.text();
                    return Err(Error::Wrong(format!("no {text:?} in {found:?}")));
                }
            }
        }
        Ok(())
    }

    /// Whether the program ends within this time.
    pub fn ends_within(&mut self, time: Duration) -> bool {
        let end = Instant::now() + time;
        loop {
            match self.output.recv_timeout(end.saturating_duration_since(Instant::now())) {
                Ok(bytes) => self.seen.extend(bytes),
                Err(RecvTimeoutError::Disconnected) => return true,
                Err(RecvTimeoutError::Timeout) => return false,
            }
        }
    }

    /// What the program has said so far.
    #[must_use]
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.seen).into_owned()
    }

    /// Forgets what the program has said so far.
    pub fn forget(&mut self) {
        self.seen.clear();
    }

    /// Types keys, then waits until the program says nothing more.
    ///
    /// # Errors
    /// [`Error::Run`]
    pub fn type_keys(&mut self, keys: &str) -> Result<()> {
        let command = &self.command;
        self.master
            .write_all(keys.as_bytes())
            .map_err(|source| Error::Run { command: command.clone(), source })?;
        self.settle();
        Ok(())
    }

    /// Changes the size of the terminal, of which a signal notifies the program.
    ///
    /// # Errors
    /// [`Error::Run`]
    pub fn resize(&self, rows: u16, columns: u16) -> Result<()> {
        // the tool knows the request; the descriptor is its standard input
        let slave = self.master.try_clone().map_err(|source| self.failed(source))?;
        let words =
            ["stty", "rows", &rows.to_string(), "cols", &columns.to_string()].map(str::to_owned);
        Run::new(words).input_from(slave)?.ok()?;
        Ok(())
    }

    /// Waits for the end; everything it said, and its status (128 and the signal if killed).
    ///
    /// # Errors
    /// [`Error::Deadline`] if it does not end; it is killed then.
    pub fn finish(mut self) -> Result<(String, i32)> {
        let end = Instant::now() + DEADLINE;
        loop {
            match self.output.recv_timeout(end.saturating_duration_since(Instant::now())) {
                Ok(bytes) => self.seen.extend(bytes),
                Err(RecvTimeoutError::Disconnected) => break,
                Err(RecvTimeoutError::Timeout) => {
                    self.child.kill().ok();
                    return Err(Error::Deadline { command: self.command.clone(), after: DEADLINE });
                }
            }
        }
        let status = self.child.wait().map_err(|source| self.failed(source))?;
        let status =
            status.code().unwrap_or_else(|| status.signal().map_or(-1, |signal| 128 + signal));
        Ok((self.text(), status))
    }

    fn failed(&self, source: std::io::Error) -> Error {
        Error::Run { command: self.command.clone(), source }
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}
