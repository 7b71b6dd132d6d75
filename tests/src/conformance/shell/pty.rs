//! A program on a pseudo-terminal.
//!
//! Keys are typed once the program waits for them, which its state in `/proc` shows: a silence of
//! some length says nothing on a busy machine.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{Read as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::Child;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

use nix::libc;
use nix::pty::{Winsize, openpty};
use nix::unistd::ttyname;

use crate::error::{Error, Result};
use crate::process::{DEADLINE, Run};

/// Time between two looks at the program.
const INTERVAL: Duration = Duration::from_millis(20);

/// A terminal with a program on it.
#[derive(Debug)]
pub struct Terminal {
    command: String,
    master: File,
    slave: PathBuf,
    child: Child,
    output: Receiver<Vec<u8>>,
    seen: Vec<u8>,
    /// What the program did when keys were typed that it may not have read yet.
    typed_at: Option<Activity>,
}

/// The threads of a program that waits, and how often each has waited so far.
type Activity = BTreeMap<u32, u64>;

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
        let slave = ttyname(&pty.slave).map_err(|errno| failed(errno.into()))?;
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
        Ok(Self {
            command: run.text(),
            master,
            slave,
            child,
            output,
            seen: Vec::new(),
            typed_at: None,
        })
    }

    /// Waits until the program has read what was typed and waits for more; whether it does, which
    /// one that has ended does not.
    ///
    /// # Errors
    /// [`Error::Wait`]
    pub fn settle(&mut self) -> Result<bool> {
        let end = Instant::now() + DEADLINE;
        let mut before = None;
        loop {
            match self.output.recv_timeout(INTERVAL) {
                Ok(bytes) => {
                    self.seen.extend(bytes);
                    before = None;
                    continue;
                }
                Err(RecvTimeoutError::Disconnected) => return Ok(false),
                Err(RecvTimeoutError::Timeout) => {}
            }
            let now = activity(self.child.id());
            let is_idle = now.is_some() && now == before && now != self.typed_at;
            if is_idle && self.n_unread()? == 0 {
                self.typed_at = None;
                return Ok(true);
            }
            if Instant::now() > end {
                let what = format!("{:?} behind {:?}", self.command, self.text());
                return Err(Error::Wait { what, after: DEADLINE });
            }
            before = now;
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

    /// What the program has said so far.
    #[must_use]
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.seen).into_owned()
    }

    /// Forgets what the program has said so far.
    pub fn forget(&mut self) {
        self.seen.clear();
    }

    /// Types keys, then waits as [`Self::settle`] does.
    ///
    /// # Errors
    /// [`Error::Run`], [`Error::Wait`]
    pub fn type_keys(&mut self, keys: &str) -> Result<bool> {
        self.typed_at = activity(self.child.id());
        self.master.write_all(keys.as_bytes()).map_err(|source| self.failed(source))?;
        self.settle()
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

    /// How many typed bytes the program could read at once.
    fn n_unread(&self) -> Result<u64> {
        let slave = File::options()
            .read(true)
            .custom_flags(libc::O_NOCTTY | libc::O_NONBLOCK)
            .open(&self.slave)
            .map_err(Error::file(&self.slave))?;
        rustix::io::ioctl_fionread(slave).map_err(|errno| self.failed(errno.into()))
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

/// What a program and those it has started do; `None` if one of them is busy, or all have ended.
fn activity(program: u32) -> Option<Activity> {
    let mut found = Activity::new();
    let mut pending = vec![program];
    while let Some(process) = pending.pop() {
        let proc = PathBuf::from(format!("/proc/{process}"));
        // One that has just ended is as good as none.
        let Ok(threads) = fs::read_dir(proc.join("task")) else { continue };
        for thread in threads.flatten() {
            let path = thread.path();
            let Ok(id) = thread.file_name().to_string_lossy().parse::<u32>() else { continue };
            let status = path.join("status");
            match field(&status, "State:").as_deref().and_then(|state| state.chars().next()) {
                Some('S') => {}
                // A zombie, which its parent has yet to look at.
                None | Some('Z' | 'X') => continue,
                Some(_) => return None,
            }
            let waits = field(&status, "voluntary_ctxt_switches:")?;
            found.insert(id, waits.parse().ok()?);
            let children = fs::read_to_string(path.join("children")).unwrap_or_default();
            pending
                .extend(children.split_whitespace().filter_map(|child| child.parse::<u32>().ok()));
        }
    }
    (!found.is_empty()).then_some(found)
}

/// The value behind a name at the beginning of a line.
fn field(path: &Path, name: &str) -> Option<String> {
    let text = fs::read_to_string(path).ok()?;
    text.lines().find_map(|line| Some(line.strip_prefix(name)?.trim().to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A program that is busy for a while without a word, and asks then.
    const BUSY: &str =
        "n=0; while [ $n -lt 200000 ]; do n=$((n+1)); done; read -r word; echo \"<$word>\"";

    #[test]
    fn a_silent_program_that_is_busy_does_not_wait() {
        let mut terminal = Terminal::open(&Run::new(["sh", "-c", BUSY])).unwrap();
        assert!(terminal.settle().unwrap());
        assert!(!terminal.type_keys("key\n").unwrap());
        assert_eq!(terminal.finish().unwrap(), ("key\r\n<key>\r\n".to_owned(), 0));
    }

    #[test]
    fn what_a_program_has_not_read_is_waited_for() {
        let script = "echo go; sleep 0.3; read -r word; echo \"<$word>\"; read -r word";
        let mut terminal = Terminal::open(&Run::new(["sh", "-c", script])).unwrap();
        terminal.wait_for("go").unwrap();
        assert!(terminal.type_keys("key\n").unwrap());
        assert!(terminal.text().ends_with("<key>\r\n"), "{}", terminal.text());
    }

    #[test]
    fn one_that_has_ended_does_not_wait() {
        let mut terminal = Terminal::open(&Run::new(["true"])).unwrap();
        assert!(!terminal.settle().unwrap());
    }
}
