//! The one place that runs other programs.
//!
//! A [`Command`] has a deadline, captures what the program prints, and kills it when the caller no
//! longer waits.

use std::ffi::{OsStr, OsString};
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

/// Why a program did not run to its end.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CommandError {
    /// It could not be started.
    #[error("cannot run '{program}'")]
    Spawn {
        /// The program.
        program: PathBuf,
        /// The system's reason.
        #[source]
        source: io::Error,
    },
    /// Waiting for it or reading from it failed.
    #[error("cannot wait for '{program}'")]
    Wait {
        /// The program.
        program: PathBuf,
        /// The system's reason.
        #[source]
        source: io::Error,
    },
    /// It did not end in time and was killed.
    #[error("'{program}' did not end within {deadline:?}")]
    Deadline {
        /// The program.
        program: PathBuf,
        /// The time it had.
        deadline: Duration,
    },
}

/// What a program left behind.
#[derive(Debug, Clone)]
pub struct CommandOutput {
    /// How it ended.
    pub status: ExitStatus,
    /// What it printed.
    pub stdout: Vec<u8>,
    /// What it complained about.
    pub stderr: Vec<u8>,
}

impl CommandOutput {
    /// The complaints as text without the final line end.
    #[must_use]
    pub fn complaint(&self) -> String {
        String::from_utf8_lossy(&self.stderr).trim_end().to_owned()
    }
}

/// A program about to run.
#[derive(Debug, Clone)]
pub struct Command {
    program: PathBuf,
    arguments: Vec<OsString>,
    /// The whole environment of the program.
    environment: Vec<(OsString, OsString)>,
    deadline: Duration,
}

impl Command {
    /// A program without arguments, with an empty environment and half a minute of time.
    #[must_use]
    pub fn new(program: impl Into<PathBuf>) -> Self {
        Self {
            program: program.into(),
            arguments: Vec::new(),
            environment: Vec::new(),
            deadline: Duration::from_secs(30),
        }
    }

    /// Adds arguments.
    #[must_use]
    pub fn args(mut self, arguments: impl IntoIterator<Item = impl Into<OsString>>) -> Self {
        self.arguments.extend(arguments.into_iter().map(Into::into));
        self
    }

    /// Adds a variable to the environment.
    #[must_use]
    pub fn env(mut self, name: impl Into<OsString>, value: impl Into<OsString>) -> Self {
        self.environment.push((name.into(), value.into()));
        self
    }

    /// Sets the time after which the program is killed.
    #[must_use]
    pub const fn deadline(mut self, deadline: Duration) -> Self {
        self.deadline = deadline;
        self
    }

    /// The command as a person would type it, for messages.
    #[must_use]
    pub fn line(&self) -> String {
        let mut line = self.program.display().to_string();
        for argument in &self.arguments {
            line.push(' ');
            line.push_str(&argument.to_string_lossy());
        }
        line
    }

    /// Runs the program and waits for its end, whatever its exit status.
    ///
    /// # Errors
    /// [`CommandError`] if it could not be started, waited for, or was too slow.
    pub async fn run(&self) -> Result<CommandOutput, CommandError> {
        #[expect(clippy::disallowed_methods, reason = "this is the place that the ban points to")]
        let mut command = tokio::process::Command::new(&self.program);
        command
            .args(&self.arguments)
            .env_clear()
            .envs(self.environment.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true);
        let child = command
            .spawn()
            .map_err(|source| CommandError::Spawn { program: self.program.clone(), source })?;
        tracing::debug!(command = self.line(), "running");
        match tokio::time::timeout(self.deadline, child.wait_with_output()).await {
            Ok(Ok(output)) => Ok(CommandOutput {
                status: output.status,
                stdout: output.stdout,
                stderr: output.stderr,
            }),
            Ok(Err(source)) => Err(CommandError::Wait { program: self.program.clone(), source }),
            Err(_) => Err(CommandError::Deadline {
                program: self.program.clone(),
                deadline: self.deadline,
            }),
        }
    }
}

/// The first executable file `name` in a search path of the form of `$PATH`.
#[must_use]
pub fn find_in_path(name: &str, search_path: &OsStr) -> Option<PathBuf> {
    std::env::split_paths(search_path).map(|dir| dir.join(name)).find(|path| is_executable(path))
}

/// Whether `path` is a file that somebody may execute.
#[must_use]
pub fn is_executable(path: &Path) -> bool {
    path.metadata().is_ok_and(|meta| meta.is_file() && meta.permissions().mode() & 0o111 != 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn captures_and_passes_only_the_given_environment() {
        let command = Command::new("/bin/sh").args(["-c", "echo $A; echo $HOME >&2; exit 3"]);
        let output = command.env("A", "b").run().await.unwrap();
        assert_eq!(output.status.code(), Some(3));
        assert_eq!(output.stdout, b"b\n");
        assert_eq!(output.complaint(), "");
    }

    #[tokio::test]
    async fn kills_what_is_too_slow() {
        let command = Command::new("/bin/sleep").args(["60"]).deadline(Duration::from_millis(20));
        assert!(matches!(command.run().await, Err(CommandError::Deadline { .. })));
    }

    #[tokio::test]
    async fn missing_program() {
        assert!(matches!(
            Command::new("/nonexistent").run().await,
            Err(CommandError::Spawn { .. })
        ));
        assert_eq!(find_in_path("sh", OsStr::new("/nonexistent")), None);
        assert!(find_in_path("sh", OsStr::new("/nonexistent:/bin")).is_some());
    }
}
