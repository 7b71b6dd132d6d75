//! The one place that runs other programs.
//!
//! A [`Command`] has a deadline, captures what the program prints, and kills it when the caller no
//! longer waits.

use std::ffi::{OsStr, OsString};
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use tokio::io::AsyncWriteExt as _;

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
    input: Vec<u8>,
    deadline: Duration,
    user: Option<(u32, u32)>,
}

impl Command {
    /// A program without arguments, with an empty environment and half a minute of time.
    #[must_use]
    pub fn new(program: impl Into<PathBuf>) -> Self {
        Self {
            program: program.into(),
            arguments: Vec::new(),
            environment: Vec::new(),
            input: Vec::new(),
            deadline: Duration::from_secs(30),
            user: None,
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

    /// Sets what the program reads from its standard input; nothing unless set.
    #[must_use]
    pub fn stdin(mut self, input: Vec<u8>) -> Self {
        self.input = input;
        self
    }

    /// Sets the time after which the program is killed.
    #[must_use]
    pub const fn deadline(mut self, deadline: Duration) -> Self {
        self.deadline = deadline;
        self
    }

    /// Sets user and group of the program, which then has no other group; those of this process unless set.
    #[must_use]
    pub const fn user(mut self, uid: u32, gid: u32) -> Self {
        self.user = Some((uid, gid));
        self
    }

    /// The command with its environment as a shell takes it, for messages.
    ///
    /// libvirt 11.3.0: `virCommandToString`, src/util/vircommand.c
    #[must_use]
    pub fn line(&self) -> String {
        let mut line = String::new();
        for (name, value) in &self.environment {
            line.push_str(&name.to_string_lossy());
            line.push('=');
            line.push_str(&value.to_string_lossy());
            line.push(' ');
        }
        line.push_str(&self.program.to_string_lossy());
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
            .stdin(if self.input.is_empty() { Stdio::null() } else { Stdio::piped() })
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true);
        if let Some((uid, gid)) = self.user {
            command.uid(uid).gid(gid);
        }
        let mut child = command
            .spawn()
            .map_err(|source| CommandError::Spawn { program: self.program.clone(), source })?;
        tracing::debug!(command = self.line(), "running");
        let stdin = child.stdin.take();
        let ended = async {
            let write = async {
                if let Some(mut stdin) = stdin {
                    // A program need not read its input to its end.
                    drop(stdin.write_all(&self.input).await);
                }
            };
            futures::join!(write, child.wait_with_output()).1
        };
        match tokio::time::timeout(self.deadline, ended).await {
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

/// Starts a program that goes on when this process ends, with an empty environment and a descriptor as its standard
/// input; returns its pid. It must be called in a tokio runtime, which takes its exit status.
///
/// # Errors
/// The system's reason, if it cannot be started.
pub fn start_detached(
    program: &Path,
    arguments: &[&OsStr],
    input: OwnedFd,
) -> io::Result<Option<u32>> {
    #[expect(clippy::disallowed_methods, reason = "this is the place that the ban points to")]
    let mut command = tokio::process::Command::new(program);
    command.args(arguments).env_clear().stdin(input).stdout(Stdio::null()).stderr(Stdio::null());
    // A signal to the group of this process is not for it.
    command.process_group(0);
    Ok(command.spawn()?.id())
}

/// The first executable file `name` in a search path of the form of `$PATH`.
#[must_use]
pub fn find_in_path(name: &str, search_path: &OsStr) -> Option<PathBuf> {
    std::env::split_paths(search_path).map(|dir| dir.join(name)).find(|path| is_executable(path))
}

/// Whether `path` is a file with an execute bit.
#[must_use]
pub fn is_executable(path: &Path) -> bool {
    path.metadata().is_ok_and(|meta| meta.is_file() && meta.permissions().mode() & 0o111 != 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn runs_as_the_given_user() {
        use std::os::unix::fs::MetadataExt as _;

        // Only root may become another user.
        let own = std::fs::metadata("/proc/self").unwrap();
        let (uid, gid) = if own.uid() == 0 { (65534, 65534) } else { (own.uid(), own.gid()) };
        let command = Command::new("/bin/sh").args(["-c", "id -u; id -g"]);
        let output = command.env("PATH", "/usr/bin:/bin").user(uid, gid).run().await.unwrap();
        assert_eq!(String::from_utf8_lossy(&output.stdout), format!("{uid}\n{gid}\n"));
    }

    #[tokio::test]
    async fn captures_and_passes_only_the_given_environment() {
        let command = Command::new("/bin/sh").args(["-c", "echo $A; echo $HOME >&2; exit 3"]);
        let output = command.env("A", "b").run().await.unwrap();
        assert_eq!(output.status.code(), Some(3));
        assert_eq!(output.stdout, b"b\n");
        assert_eq!(output.complaint(), "");
    }

    #[test]
    fn the_line_has_the_environment_before_the_program() {
        let command = Command::new("/bin/true").args(["-a"]).env("B", "c").env("D", "e f");
        assert_eq!(command.line(), "B=c D=e f /bin/true -a");
    }

    #[tokio::test]
    async fn input_is_passed_and_need_not_be_read() {
        let large = vec![b'x'; 1 << 20];
        let output = Command::new("/usr/bin/wc").args(["-c"]).stdin(large.clone()).run().await;
        assert_eq!(output.unwrap().stdout, b"1048576\n");
        let output = Command::new("/bin/true").stdin(large).run().await.unwrap();
        assert!(output.status.success());
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
