//! The only place of xtask that starts programs.

use std::ffi::{OsStr, OsString};
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::tally::{Complaints, Tally};
use crate::ui::Failure;

/// Directories of administration programs, which a user's `PATH` lacks on Debian.
const SBIN: &str = "/usr/local/sbin:/usr/sbin:/sbin";

/// `PATH` with the directories of administration programs behind it.
pub(crate) fn search_path() -> OsString {
    let mut path = std::env::var_os("PATH").unwrap_or_else(|| "/usr/bin:/bin".into());
    path.push(":");
    path.push(SBIN);
    path
}

/// Where `program` is found, as a shell would look for it.
pub(crate) fn find(program: &str) -> Option<PathBuf> {
    std::env::split_paths(&search_path())
        .map(|directory| directory.join(program))
        .find(|candidate| candidate.is_file())
}

/// The top of the workspace; cargo sets the directory of this package when it runs xtask.
pub(crate) fn workspace() -> PathBuf {
    let manifest = std::env::var_os("CARGO_MANIFEST_DIR")
        .map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")), PathBuf::from);
    manifest.parent().and_then(Path::parent).map_or_else(|| manifest.clone(), Path::to_path_buf)
}

/// Where cargo puts the programs of the `dev` or the `release` profile.
pub(crate) fn program_directory(profile: &str) -> PathBuf {
    std::env::var_os("CARGO_TARGET_DIR")
        .map_or_else(|| workspace().join("target"), |target| workspace().join(target))
        .join(profile)
}

/// Runs a command that has no use for the workspace, where this process is.
///
/// # Errors
/// What it said if it failed.
#[expect(clippy::disallowed_methods, reason = "xtask stands alone: this is its one place")]
pub(crate) fn run_here(program: &str, arguments: &[&OsStr]) -> Result<(), Failure> {
    let output = Command::new(program).args(arguments).env("PATH", search_path()).output();
    let output = output.map_err(|error| Failure::new(format!("{program}: {error}")))?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    Err(Failure::new(format!("{program}: {}\n{}", output.status, said.trim_end())))
}

/// Replaces this process by a program; returns only if that fails.
#[expect(clippy::disallowed_methods, reason = "xtask stands alone: this is its one place")]
pub(crate) fn become_program(words: &[String]) -> std::io::Error {
    use std::os::unix::process::CommandExt as _;
    let Some((program, arguments)) = words.split_first() else {
        return std::io::ErrorKind::InvalidInput.into();
    };
    Command::new(program).args(arguments).env("PATH", search_path()).exec()
}

/// A command line, run in the workspace.
#[derive(Debug)]
pub(crate) struct Call {
    words: Vec<OsString>,
    environment: Vec<(&'static str, OsString)>,
}

impl Call {
    pub(crate) fn new<W: AsRef<OsStr>>(words: impl IntoIterator<Item = W>) -> Self {
        Self {
            words: words.into_iter().map(|word| word.as_ref().to_owned()).collect(),
            environment: Vec::new(),
        }
    }

    /// `cargo` with these arguments: the cargo that runs xtask, so that `+toolchain` holds.
    pub(crate) fn cargo(arguments: &[&str]) -> Self {
        let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        let arguments = arguments.iter().map(OsString::from);
        Self::new(std::iter::once(cargo).chain(arguments))
    }

    pub(crate) fn argument(mut self, word: impl AsRef<OsStr>) -> Self {
        self.words.push(word.as_ref().to_owned());
        self
    }

    pub(crate) fn arguments<W: AsRef<OsStr>>(mut self, words: impl IntoIterator<Item = W>) -> Self {
        self.words.extend(words.into_iter().map(|word| word.as_ref().to_owned()));
        self
    }

    pub(crate) fn environment(mut self, name: &'static str, value: impl AsRef<OsStr>) -> Self {
        self.environment.push((name, value.as_ref().to_owned()));
        self
    }

    /// Puts words before the program, as `sudo` or `unshare` want it.
    pub(crate) fn behind(mut self, prefix: &[String]) -> Self {
        self.words.splice(0..0, prefix.iter().map(OsString::from));
        self
    }

    /// The command as a user would type it.
    pub(crate) fn text(&self) -> String {
        self.words.iter().map(|word| word.to_string_lossy()).collect::<Vec<_>>().join(" ")
    }

    #[expect(clippy::disallowed_methods, reason = "xtask stands alone: this is its one place")]
    fn command(&self) -> Result<Command, Failure> {
        let (program, arguments) =
            self.words.split_first().ok_or_else(|| Failure::new("empty command line"))?;
        let mut command = Command::new(program);
        command
            .args(arguments)
            .current_dir(workspace())
            .env("PATH", search_path())
            // Set for xtask itself by `cargo run`; inside other cargo calls it would be wrong.
            .env_remove("CARGO_MANIFEST_DIR")
            .stdin(Stdio::null());
        for (name, value) in &self.environment {
            command.env(name, value);
        }
        Ok(command)
    }

    fn failure(&self, what: impl std::fmt::Display) -> Failure {
        Failure::new(format!("{}: {what}", self.text()))
    }

    /// Runs with the terminal as output; a non-zero exit is an error.
    pub(crate) fn run(&self) -> Result<(), Failure> {
        let status = self.command()?.status().map_err(|error| self.failure(error))?;
        if status.success() { Ok(()) } else { Err(self.failure(status)) }
    }

    /// Runs and returns standard output; both streams stay off the terminal.
    pub(crate) fn capture(&self) -> Result<String, Failure> {
        let output = self.command()?.output().map_err(|error| self.failure(error))?;
        if output.status.success() {
            Ok(String::from_utf8_lossy(&output.stdout).into_owned())
        } else {
            let said = String::from_utf8_lossy(&output.stderr);
            Err(self.failure(format_args!("{}\n{}", output.status, said.trim_end())))
        }
    }

    /// Runs with both streams in a file; the error has the status only.
    pub(crate) fn capture_all(&self, file: &Path) -> Result<(), Failure> {
        let output = std::fs::File::create(file).map_err(|error| self.failure(error))?;
        let copy = output.try_clone().map_err(|error| self.failure(error))?;
        let status = self.command()?.stdout(output).stderr(copy).status();
        let status = status.map_err(|error| self.failure(error))?;
        if status.success() { Ok(()) } else { Err(self.failure(status)) }
    }

    /// Runs and hands each line of its output to `print`; counts the results that it reports and
    /// keeps what it says of failures.
    pub(crate) fn tally(
        &self,
        mut print: impl FnMut(&str),
    ) -> Result<(Tally, Complaints, Result<(), Failure>), Failure> {
        let mut tally = Tally::default();
        let mut complaints = Complaints::default();
        let (output, writer) = std::io::pipe().map_err(|error| self.failure(error))?;
        // Both streams in one pipe, in the order in which they are written. The builder goes at
        // once: with its copies of the writer the output would never end.
        let mut child = self
            .command()?
            .stdout(writer.try_clone().map_err(|error| self.failure(error))?)
            .stderr(writer)
            .spawn()
            .map_err(|error| self.failure(error))?;
        for line in BufReader::new(output).split(b'\n') {
            let line = line.map_err(|error| self.failure(error))?;
            let line = String::from_utf8_lossy(&line);
            tally.read(&line);
            complaints.read(&line);
            print(&line);
        }
        let status = child.wait().map_err(|error| self.failure(error))?;
        let end = if status.success() { Ok(()) } else { Err(self.failure(status)) };
        Ok((tally, complaints, end))
    }
}
