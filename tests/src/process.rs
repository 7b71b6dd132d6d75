//! Running programs: the only place of the harness that does.
//!
//! Every program has a deadline. Waiting ends when the program has ended *and* its output is
//! closed: a daemon that keeps its starter's output open would hang a script, so it fails here.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{BufRead as _, BufReader, Read, Write as _};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, ExitStatus, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};

use crate::error::{Error, Result};

/// Time a program gets by default. It only ends what hangs: a busy machine must not reach it.
pub const DEADLINE: Duration = Duration::from_secs(120);

/// Time in which an awaited condition has to hold, likewise.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// Time between two looks at a condition.
const INTERVAL: Duration = Duration::from_millis(20);

/// `PATH` of every program: a user's own lacks the directories of administration programs.
const SEARCH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// A program to run.
#[derive(Debug, Clone)]
pub struct Run {
    /// What enters the namespaces; says nothing about the program.
    prefix: Vec<OsString>,
    words: Vec<OsString>,
    environment: Vec<(OsString, OsString)>,
    input: Vec<u8>,
    deadline: Duration,
}

/// How a program ended and what it said.
#[derive(Debug, Clone)]
pub struct Finished {
    /// The command line, for messages.
    pub command: String,
    /// Exit status or signal.
    pub status: ExitStatus,
    /// Standard output; bytes that are no UTF-8 are replaced.
    pub stdout: String,
    /// Standard error, likewise.
    pub stderr: String,
}

impl Finished {
    /// The same if the status is 0, else an error that holds both streams.
    ///
    /// # Errors
    /// [`Error::Status`]
    pub fn ok(self) -> Result<Self> {
        if self.status.success() {
            return Ok(self);
        }
        let output = format!("{}{}", self.stdout, self.stderr).trim_end().to_owned();
        Err(Error::Status { command: self.command, status: self.status.to_string(), output })
    }
}

impl Run {
    /// `words` are the program and its arguments.
    pub fn new<W: AsRef<OsStr>>(words: impl IntoIterator<Item = W>) -> Self {
        Self {
            prefix: Vec::new(),
            words: words.into_iter().map(|word| word.as_ref().to_owned()).collect(),
            environment: vec![("PATH".into(), SEARCH.into()), ("LC_ALL".into(), "C".into())],
            input: Vec::new(),
            deadline: DEADLINE,
        }
    }

    /// Adds arguments.
    #[must_use]
    pub fn args<W: AsRef<OsStr>>(mut self, words: impl IntoIterator<Item = W>) -> Self {
        self.words.extend(words.into_iter().map(|word| word.as_ref().to_owned()));
        self
    }

    /// Puts words before the program that run it elsewhere (`nsenter …`).
    #[must_use]
    pub fn behind<W: AsRef<OsStr>>(mut self, prefix: impl IntoIterator<Item = W>) -> Self {
        self.prefix.splice(0..0, prefix.into_iter().map(|word| word.as_ref().to_owned()));
        self
    }

    /// Has the program run by another one (`strace …`), in the same place.
    #[must_use]
    pub fn with_program_behind<W: AsRef<OsStr>>(
        mut self,
        words: impl IntoIterator<Item = W>,
    ) -> Self {
        self.words.splice(0..0, words.into_iter().map(|word| word.as_ref().to_owned()));
        self
    }

    /// Runs the program as `$@` of a shell script.
    #[must_use]
    pub fn through_shell(mut self, script: &str) -> Self {
        let shell = ["sh", "-c", script, "sh"].map(OsString::from);
        self.words.splice(0..0, shell);
        self
    }

    /// Sets a variable of the environment; a later value wins.
    #[must_use]
    pub fn env(mut self, name: impl AsRef<OsStr>, value: impl AsRef<OsStr>) -> Self {
        self.environment.push((name.as_ref().to_owned(), value.as_ref().to_owned()));
        self
    }

    /// Gives the program this standard input.
    #[must_use]
    pub fn input(mut self, bytes: impl Into<Vec<u8>>) -> Self {
        self.input = bytes.into();
        self
    }

    /// Changes the time the program gets.
    #[must_use]
    pub fn deadline(mut self, deadline: Duration) -> Self {
        self.deadline = deadline;
        self
    }

    /// The command line, for messages.
    pub fn text(&self) -> String {
        self.words.iter().map(|word| word.to_string_lossy()).collect::<Vec<_>>().join(" ")
    }

    #[expect(clippy::disallowed_methods, reason = "the harness shares no code with what it judges")]
    fn command(&self) -> Result<Command> {
        let mut words = self.prefix.iter().chain(&self.words);
        let program = words.next().ok_or_else(|| Error::Wrong("empty command line".into()))?;
        let mut command = Command::new(program);
        command.args(words).envs(self.environment.iter().map(|(name, value)| (name, value)));
        Ok(command)
    }

    fn failed(&self, source: std::io::Error) -> Error {
        Error::Run { command: self.text(), source }
    }

    /// Runs to the end, whatever the status.
    ///
    /// # Errors
    /// [`Error::Run`], [`Error::Deadline`]; the program is killed in the latter case.
    pub fn output(&self) -> Result<Finished> {
        let mut child = self
            .command()?
            .stdin(if self.input.is_empty() { Stdio::null() } else { Stdio::piped() })
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(|error| self.failed(error))?;
        let end = Instant::now() + self.deadline;
        if let Some(mut stdin) = child.stdin.take() {
            let input = self.input.clone();
            // A program that ends without reading its input closes the pipe: not our failure.
            thread::spawn(move || drop(stdin.write_all(&input)));
        }
        let stdout = child.stdout.take().map(read_all);
        let stderr = child.stderr.take().map(read_all);
        // The thread that waits may have reaped the child: its number is another process's then.
        let process = Pid::from_child(&child);
        let process = pidfd_open(process, PidfdFlags::empty());
        let process = process.map_err(|error| self.failed(error.into()))?;
        let status = wait(child);
        let finished = (|| {
            let status = before(&status, end)?;
            let stdout = stdout.map_or(Some(Vec::new()), |stream| before(&stream, end))?;
            let stderr = stderr.map_or(Some(Vec::new()), |stream| before(&stream, end))?;
            Some((status, stdout, stderr))
        })();
        let Some((status, stdout, stderr)) = finished else {
            // It may have ended by now, with only its output still open.
            pidfd_send_signal(&process, Signal::KILL).ok();
            return Err(Error::Deadline { command: self.text(), after: self.deadline });
        };
        Ok(Finished {
            command: self.text(),
            status: status.map_err(|error| self.failed(error))?,
            stdout: String::from_utf8_lossy(&stdout).into_owned(),
            stderr: String::from_utf8_lossy(&stderr).into_owned(),
        })
    }

    /// Runs to the end and returns standard output; another status than 0 is an error.
    ///
    /// # Errors
    /// [`Error::Run`], [`Error::Deadline`], [`Error::Status`]
    pub fn stdout(&self) -> Result<String> {
        Ok(self.output()?.ok()?.stdout)
    }

    /// Starts a program with the streams of this process, and leaves everything else to the caller.
    ///
    /// # Errors
    /// [`Error::Run`]
    pub fn spawn_inherit(&self) -> Result<Child> {
        self.command()?.spawn().map_err(|error| self.failed(error))
    }

    /// Starts a program with these streams, and leaves everything else to the caller.
    ///
    /// # Errors
    /// [`Error::Run`]
    pub fn start_with(&self, stdin: Stdio, stdout: Stdio) -> Result<Child> {
        let mut command = self.command()?;
        command.stdin(stdin).stdout(stdout).spawn().map_err(|error| self.failed(error))
    }

    /// Starts a program as the leader of a session on `terminal`.
    ///
    /// # Errors
    /// [`Error::Run`]
    pub fn start_on(&self, terminal: &File) -> Result<Child> {
        let stream = || terminal.try_clone().map(Stdio::from).map_err(|error| self.failed(error));
        let run = self.clone().with_program_behind(["setsid", "--ctty", "--wait"]);
        let (stdin, stdout, stderr) = (stream()?, stream()?, stream()?);
        let mut command = run.command()?;
        command.stdin(stdin).stdout(stdout).stderr(stderr);
        command.spawn().map_err(|error| self.failed(error))
    }

    /// Runs to the end with `input` as its standard input.
    ///
    /// # Errors
    /// [`Error::Run`]
    pub fn input_from(&self, input: File) -> Result<Finished> {
        let output = self
            .command()?
            .stdin(input)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .output()
            .map_err(|error| self.failed(error))?;
        Ok(Finished {
            command: self.text(),
            status: output.status,
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        })
    }

    /// Starts a program that runs until its standard input is closed.
    ///
    /// # Errors
    /// [`Error::Run`]
    pub fn start(&self) -> Result<Running> {
        let mut child = self
            .command()?
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(|error| self.failed(error))?;
        let no_pipe = || std::io::Error::from(std::io::ErrorKind::BrokenPipe);
        let stdin = child.stdin.take().ok_or_else(|| self.failed(no_pipe()))?;
        let stdout = child.stdout.take().ok_or_else(|| self.failed(no_pipe()))?;
        let stdout = BufReader::new(stdout);
        Ok(Running { command: self.text(), child, stdin: Some(stdin), stdout })
    }
}

/// A program that runs beside the test; dropping it closes its input and waits for its end.
#[derive(Debug)]
pub struct Running {
    command: String,
    child: Child,
    stdin: Option<ChildStdin>,
    stdout: BufReader<ChildStdout>,
}

impl Running {
    /// The process that was started, which may only be the one that entered the namespaces.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Sends a line to the program.
    ///
    /// # Errors
    /// [`Error::Run`] if it no longer reads.
    pub fn send(&mut self, line: &str) -> Result<()> {
        let command = &self.command;
        let Some(stdin) = &mut self.stdin else {
            return Ok(());
        };
        writeln!(stdin, "{line}")
            .and_then(|()| stdin.flush())
            .map_err(|source| Error::Run { command: command.clone(), source })
    }

    /// Reads the next line, without its end.
    ///
    /// # Errors
    /// [`Error::Run`] if the program ended instead.
    pub fn line(&mut self) -> Result<String> {
        let mut line = String::new();
        let count = self.stdout.read_line(&mut line);
        match count {
            Ok(0) => Err(std::io::ErrorKind::UnexpectedEof.into()),
            other => other,
        }
        .map_err(|source| Error::Run { command: self.command.clone(), source })?;
        Ok(line.trim_end().to_owned())
    }

    /// Closes the program's input and returns what it still had to say.
    ///
    /// # Errors
    /// [`Error::Run`]
    pub fn finish(mut self) -> Result<String> {
        self.stdin = None;
        let mut rest = String::new();
        let read = self.stdout.read_to_string(&mut rest);
        read.map_err(|source| Error::Run { command: self.command.clone(), source })?;
        Ok(rest)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.stdin = None;
        drop(self.child.wait());
    }
}

fn read_all(mut stream: impl Read + Send + 'static) -> Receiver<Vec<u8>> {
    let (sender, receiver) = mpsc::channel();
    thread::spawn(move || {
        let mut bytes = Vec::new();
        // What was read before an error is still worth showing.
        drop(stream.read_to_end(&mut bytes));
        drop(sender.send(bytes));
    });
    receiver
}

fn wait(mut child: Child) -> Receiver<std::io::Result<ExitStatus>> {
    let (sender, receiver) = mpsc::channel();
    thread::spawn(move || drop(sender.send(child.wait())));
    receiver
}

fn before<T>(receiver: &Receiver<T>, end: Instant) -> Option<T> {
    receiver.recv_timeout(end.saturating_duration_since(Instant::now())).ok()
}

/// Where `program` is found by the harness' search path.
pub fn find(program: &str) -> Option<std::path::PathBuf> {
    SEARCH
        .split(':')
        .map(|directory| Path::new(directory).join(program))
        .find(|path| path.is_file())
}

/// Checks every 20 ms until `condition` holds, for at most [`PATIENCE`].
///
/// For states that neither the kernel nor a program announces.
///
/// # Errors
/// [`Error::Wait`], or the error of `condition`.
pub fn wait_until(what: &str, mut condition: impl FnMut() -> Result<bool>) -> Result<()> {
    let end = Instant::now() + PATIENCE;
    while !condition()? {
        if Instant::now() > end {
            return Err(Error::Wait { what: what.to_owned(), after: PATIENCE });
        }
        thread::sleep(INTERVAL);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn output_and_status_arrive() {
        let finished =
            Run::new(["sh", "-c", "cat; echo bad >&2; exit 3"]).input("good").output().unwrap();
        assert_eq!(finished.stdout, "good");
        assert_eq!(finished.stderr, "bad\n");
        assert_eq!(finished.status.code(), Some(3));
        let error = finished.ok().unwrap_err().to_string();
        assert!(error.contains("exit status: 3") && error.contains("bad"), "{error}");
    }

    #[test]
    fn a_program_that_hangs_is_an_error() {
        let run = Run::new(["sleep", "1000"]).deadline(Duration::from_millis(100));
        assert!(matches!(run.output(), Err(Error::Deadline { .. })));
    }

    #[test]
    fn a_daemon_that_keeps_the_output_open_is_an_error() {
        let run = Run::new(["sh", "-c", "sleep 3 & exit 0"]).deadline(Duration::from_millis(200));
        assert!(matches!(run.output(), Err(Error::Deadline { .. })));
    }

    #[test]
    fn a_running_program_ends_with_its_input() {
        let mut cat = Run::new(["cat"]).start().unwrap();
        cat.send("hello").unwrap();
        assert_eq!(cat.line().unwrap(), "hello");
        assert_eq!(cat.finish().unwrap(), "");
    }
}
