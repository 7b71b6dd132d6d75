//! Scripts of an administrator that run when objects come and go.
//!
//! `DIR/KIND` and the executable files of `DIR/KIND.d`, in byte order, for example
//! `/etc/libvirt/hooks/network`. They are looked for when the driver opens and reloads, as in libvirt;
//! their absence costs nothing.
//!
//! libvirt 11.3.0: `virHookCall`, src/util/virhook.c

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::{PoisonError, RwLock};
use std::time::Duration;

use oxivirt_sys::chain;
use oxivirt_sys::command::{Command, is_executable};

/// Variables of the driver's own environment that are passed to scripts.
const PASSED: [&str; 7] =
    ["LD_PRELOAD", "LD_LIBRARY_PATH", "PATH", "HOME", "USER", "LOGNAME", "TMPDIR"];

/// One call of the scripts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HookCall<'a> {
    /// The object's name, the first argument.
    pub object: &'a str,
    /// Operation and sub-operation, the second and third argument.
    pub operation: [&'a str; 2],
    /// The fourth argument; `-` if there is none.
    pub extra: Option<&'a str>,
    /// The scripts' standard input.
    pub document: &'a str,
}

/// The scripts for one kind of object.
#[derive(Debug)]
pub struct Hooks {
    /// `DIR/KIND`.
    path: Option<PathBuf>,
    environment: BTreeMap<&'static str, OsString>,
    time_limit: Duration,
    scripts: RwLock<Vec<PathBuf>>,
}

/// A script failed; the text is libvirt's.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct HookError(String);

impl Hooks {
    /// The scripts of a kind of object in `dir`, none without a directory.
    ///
    /// `environment` returns a variable of the driver's own environment. A script that takes longer than
    /// `time_limit` is killed and counts as failed.
    pub fn find(
        dir: Option<&Path>,
        kind: &str,
        environment: impl Fn(&str) -> Option<OsString>,
        time_limit: Duration,
    ) -> Self {
        let environment =
            PASSED.into_iter().filter_map(|name| Some((name, environment(name)?))).collect();
        let path = dir.map(|dir| dir.join(kind));
        let hooks = Self { path, environment, time_limit, scripts: RwLock::default() };
        hooks.rescan();
        hooks
    }

    /// Looks for scripts again.
    pub fn rescan(&self) {
        let Some(first) = &self.path else { return };
        let mut more_dir = first.as_os_str().to_owned();
        more_dir.push(".d");
        let mut more: Vec<_> = std::fs::read_dir(PathBuf::from(more_dir))
            .map(|entries| entries.filter_map(|entry| Some(entry.ok()?.path())).collect())
            .unwrap_or_default();
        more.sort();
        let mut scripts = vec![first.clone()];
        scripts.append(&mut more);
        scripts.retain(|path| is_executable(path));
        *self.scripts.write().unwrap_or_else(PoisonError::into_inner) = scripts;
    }

    /// Whether there is any script.
    #[must_use]
    pub fn exist(&self) -> bool {
        !self.scripts.read().unwrap_or_else(PoisonError::into_inner).is_empty()
    }

    /// Runs all scripts, one after the other, also after one failed.
    ///
    /// # Errors
    /// The first failure.
    pub async fn run(&self, call: HookCall<'_>) -> Result<(), HookError> {
        let scripts = self.scripts.read().unwrap_or_else(PoisonError::into_inner).clone();
        let mut result = Ok(());
        for script in scripts {
            if let Err(error) = self.run_one(&script, call).await {
                let (object, script) = (call.object, script.display());
                tracing::warn!(object, %script, %error, "hook script failed");
                result = result.and(Err(error));
            }
        }
        result
    }

    async fn run_one(&self, script: &Path, call: HookCall<'_>) -> Result<(), HookError> {
        let mut command = Command::new(script)
            .args([call.object])
            .args(call.operation)
            .args([call.extra.unwrap_or("-")])
            .env("LC_ALL", "C")
            .stdin(call.document.as_bytes().to_vec())
            .deadline(self.time_limit);
        for (name, value) in &self.environment {
            command = command.env(name, value);
        }
        let line = command.line();
        let output = command.run().await.map_err(|error| HookError(chain::text(&error)))?;
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

    const START: HookCall<'_> =
        HookCall { object: "n", operation: ["start", "begin"], extra: None, document: "<x/>" };

    fn write(path: &Path, body: &str, mode: u32) {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        let text = format!("#!/bin/sh\n{body}\n");
        file::replace(path, text.as_bytes(), mode, file::Durability::Regenerated).unwrap();
    }

    #[tokio::test]
    async fn all_scripts_run_in_order_and_the_first_failure_counts() {
        let dir = tempfile::tempdir().unwrap();
        let log = dir.path().join("log");
        let note = |word: &str, status: i32| {
            format!(
                "echo {word} \"$@\" $HOME $LC_ALL $(cat) >>{}; echo no >&2; exit {status}",
                log.display()
            )
        };
        let hooks = Hooks::find(
            Some(dir.path()),
            "network",
            |name| {
                (name == "HOME" || name == "PATH")
                    .then(|| std::env::var_os(name).unwrap_or_else(|| "/bin".into()))
            },
            Duration::from_secs(30),
        );
        assert!(!hooks.exist());
        assert!(hooks.run(START).await.is_ok());
        write(&dir.path().join("network"), &note("a", 0), 0o755);
        write(&dir.path().join("network.d/20"), &note("c", 4), 0o755);
        write(&dir.path().join("network.d/10"), &note("b", 3), 0o755);
        write(&dir.path().join("network.d/15"), &note("never", 0), 0o644);
        assert!(!hooks.exist());
        hooks.rescan();
        assert!(hooks.exist());
        let stopped = HookCall { operation: ["stopped", "end"], ..START };
        let error = hooks.run(stopped).await.unwrap_err().to_string();
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
        let hooks = Hooks::find(Some(dir.path()), "network", path, Duration::from_millis(50));
        let error = hooks.run(START).await.unwrap_err().to_string();
        assert!(error.contains("did not end within"), "{error}");
    }
}
