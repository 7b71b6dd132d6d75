//! Scripts that an administrator has run when networks and ports come and go.
//!
//! `/etc/libvirt/hooks/network` and the executable files of `network.d` beside it, in byte order. Which
//! there are is found out when the driver opens and reloads, as in libvirt; their absence costs nothing.
//!
//! libvirt 11.3.0: `virHookCall`, src/util/virhook.c

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::{PoisonError, RwLock};
use std::time::Duration;

use oxivirt_sys::command::{Command, is_executable};

/// Variables of the driver's own environment that scripts get.
const PASSED: [&str; 7] =
    ["LD_PRELOAD", "LD_LIBRARY_PATH", "PATH", "HOME", "USER", "LOGNAME", "TMPDIR"];

/// What is about to happen or has happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum HookOperation {
    /// Nothing has been created yet.
    Start,
    /// Everything is there.
    Started,
    /// Everything is gone.
    Stopped,
    /// A part of the definition has changed.
    Updated,
    /// A guest's interface has its place.
    PortCreated,
    /// A guest's interface has lost its place.
    PortDeleted,
}

impl HookOperation {
    /// Operation and sub-operation.
    const fn words(self) -> [&'static str; 2] {
        match self {
            Self::Start => ["start", "begin"],
            Self::Started => ["started", "begin"],
            Self::Stopped => ["stopped", "end"],
            Self::Updated => ["updated", "begin"],
            Self::PortCreated => ["port-created", "begin"],
            Self::PortDeleted => ["port-deleted", "begin"],
        }
    }
}

/// The scripts of a driver.
#[derive(Debug)]
pub(crate) struct Hooks {
    dir: Option<PathBuf>,
    environment: BTreeMap<&'static str, OsString>,
    time_limit: Duration,
    scripts: RwLock<Vec<PathBuf>>,
}

/// A script refused.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(crate) struct HookError(String);

impl Hooks {
    /// The scripts in `dir`, or none; `environment` is the driver's own.
    pub(crate) fn find(
        dir: Option<PathBuf>,
        environment: impl Fn(&str) -> Option<OsString>,
        time_limit: Duration,
    ) -> Self {
        let environment =
            PASSED.into_iter().filter_map(|name| Some((name, environment(name)?))).collect();
        let hooks = Self { dir, environment, time_limit, scripts: RwLock::default() };
        hooks.look_again();
        hooks
    }

    /// Finds out which scripts there are now.
    pub(crate) fn look_again(&self) {
        let Some(dir) = &self.dir else { return };
        let mut scripts = Vec::new();
        let first = dir.join("network");
        if is_executable(&first) {
            scripts.push(first);
        }
        let mut more: Vec<_> = std::fs::read_dir(dir.join("network.d"))
            .map(|entries| entries.filter_map(|entry| Some(entry.ok()?.path())).collect())
            .unwrap_or_default();
        more.retain(|path| is_executable(path));
        more.sort();
        scripts.append(&mut more);
        *self.scripts.write().unwrap_or_else(PoisonError::into_inner) = scripts;
    }

    /// Whether there is any.
    pub(crate) fn exist(&self) -> bool {
        !self.scripts.read().unwrap_or_else(PoisonError::into_inner).is_empty()
    }

    /// Runs all scripts, one after the other, whatever became of the one before.
    ///
    /// # Errors
    /// The first refusal.
    pub(crate) async fn run(
        &self,
        network: &str,
        operation: HookOperation,
        document: &str,
    ) -> Result<(), HookError> {
        let scripts = self.scripts.read().unwrap_or_else(PoisonError::into_inner).clone();
        let mut result = Ok(());
        for script in scripts {
            let outcome = self.run_one(&script, network, operation, document).await;
            if let Err(error) = outcome {
                tracing::warn!(network, script = %script.display(), %error, "hook script failed");
                result = result.and(Err(error));
            }
        }
        result
    }

    async fn run_one(
        &self,
        script: &Path,
        network: &str,
        operation: HookOperation,
        document: &str,
    ) -> Result<(), HookError> {
        let mut command = Command::new(script)
            .args([network])
            .args(operation.words())
            .args(["-"])
            .env("LC_ALL", "C")
            .stdin(document.as_bytes().to_vec())
            .deadline(self.time_limit);
        for (name, value) in &self.environment {
            command = command.env(name, value);
        }
        let line = command.line();
        let output =
            command.run().await.map_err(|error| HookError(oxivirt_sys::chain::text(&error)))?;
        if output.status.success() {
            return Ok(());
        }
        let how = match output.status.code() {
            Some(status) => format!("unexpected exit status {status}"),
            None => "unexpected fatal signal".to_owned(),
        };
        Err(HookError(format!("Child process ({line}) {how}: {}", output.complaint())))
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use oxivirt_sys::file;

    use super::*;

    fn write(path: &Path, body: &str, mode: u32) {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        let text = format!("#!/bin/sh\n{body}\n");
        file::replace(path, text.as_bytes(), mode, file::Durability::Regenerated).unwrap();
    }

    #[tokio::test]
    async fn all_scripts_run_in_order_and_the_first_refusal_counts() {
        let dir = tempfile::tempdir().unwrap();
        let log = dir.path().join("log");
        let note = |word: &str, status: i32| {
            format!(
                "echo {word} \"$@\" $HOME $LC_ALL $(cat) >>{}; echo no >&2; exit {status}",
                log.display()
            )
        };
        let hooks = Hooks::find(
            Some(dir.path().to_owned()),
            |name| {
                (name == "HOME" || name == "PATH")
                    .then(|| std::env::var_os(name).unwrap_or_else(|| "/bin".into()))
            },
            Duration::from_secs(30),
        );
        assert!(!hooks.exist());
        assert!(hooks.run("n", HookOperation::Start, "<x/>").await.is_ok());
        write(&dir.path().join("network"), &note("a", 0), 0o755);
        write(&dir.path().join("network.d/20"), &note("c", 4), 0o755);
        write(&dir.path().join("network.d/10"), &note("b", 3), 0o755);
        write(&dir.path().join("network.d/15"), &note("never", 0), 0o644);
        assert!(!hooks.exist());
        hooks.look_again();
        assert!(hooks.exist());
        let error = hooks.run("n", HookOperation::Stopped, "<x/>").await.unwrap_err().to_string();
        assert!(error.ends_with("10 n stopped end -) unexpected exit status 3: no"), "{error}");
        let home = std::env::var("HOME").unwrap_or_else(|_| "/bin".into());
        let lines = ["a", "b", "c"].map(|word| format!("{word} n stopped end - {home} C <x/>\n"));
        assert_eq!(fs::read_to_string(&log).unwrap(), lines.concat());
    }

    #[tokio::test]
    async fn a_script_that_hangs_is_killed() {
        let dir = tempfile::tempdir().unwrap();
        write(&dir.path().join("network"), "exec sleep 60", 0o755);
        let path = |name: &str| (name == "PATH").then(|| "/bin:/usr/bin".into());
        let hooks = Hooks::find(Some(dir.path().to_owned()), path, Duration::from_millis(50));
        let error = hooks.run("n", HookOperation::Start, "").await.unwrap_err().to_string();
        assert!(error.contains("did not end within"), "{error}");
    }
}
