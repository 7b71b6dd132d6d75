//! Runs one transcript.

use std::collections::BTreeMap;
use std::fs;
use std::io::Write as _;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::thread;
use std::time::Duration;

use super::ShellOptions;
use super::format::{Case, TranscriptFile};
use super::pty::Terminal;
use crate::Daemon;
use crate::daemon::PLAIN;
use crate::error::{Error, Result};
use crate::process::{Finished, Run};

/// What a shell answered.
#[derive(Debug, Clone)]
pub(super) struct Found {
    pub(super) stdout: String,
    pub(super) stderr: String,
    /// 128 and the signal if it was killed.
    pub(super) status: i32,
}

/// The shell that is judged.
#[derive(Debug)]
pub(super) struct Subject {
    program: PathBuf,
    daemon: Option<String>,
    /// A daemon of our own, started when the first case needs one.
    own: OnceLock<std::result::Result<DaemonHost, String>>,
}

/// A host with `oxivirtd`, whose sockets are where clients look for them.
#[derive(Debug)]
struct DaemonHost {
    daemon: Daemon,
}

/// The network that a fresh host of libvirt has.
const DEFAULT_NETWORK: &str = "<network><name>default</name><bridge name='shlbr0'/></network>";

impl DaemonHost {
    fn start() -> Result<Self> {
        let daemon = Daemon::start(PLAIN, &[])?;
        let directory = daemon.root().join("run/libvirt");
        let (directory, root) = (directory.display(), daemon.root().display());
        daemon.netns().sh(&format!(
            "mkdir -p /run/libvirt && mount --bind '{directory}' /run/libvirt\n\
             echo \"{DEFAULT_NETWORK}\" > '{root}/default.xml'"
        ))?;
        Ok(Self { daemon })
    }

    /// Where a file of the host is for us.
    fn file(&self, path: &str) -> PathBuf {
        self.daemon.root().join(path.trim_start_matches('/'))
    }
}

/// The connection that cases for a daemon ask for.
const SYSTEM: &str = "network:///system";

/// What a case with `setup` prints between that and its own output.
const MARK: &str = "here-the-case-begins";

/// How long another client waits until the case waits for events.
const SETTLED: Duration = Duration::from_millis(1000);

/// How long a shell may take to end after its last key.
const PATIENCE: Duration = Duration::from_millis(1500);

impl Subject {
    pub(super) fn new(options: &ShellOptions) -> Self {
        let beside = std::env::current_exe().unwrap_or_default().with_file_name("oxish");
        Self {
            program: options.program.clone().unwrap_or(beside),
            daemon: options.daemon.clone(),
            own: OnceLock::new(),
        }
    }

    /// Why cases of this file cannot run.
    pub(super) fn cannot_run(&self, file: &TranscriptFile) -> Option<String> {
        if !self.program.is_file() {
            return Some(format!("'{}' is not there", self.program.display()));
        }
        if file.needs_daemon() && self.daemon.is_none() {
            return self.own().as_ref().err().cloned();
        }
        None
    }

    /// The daemon of our own, or why there is none.
    fn own(&self) -> &std::result::Result<DaemonHost, String> {
        self.own.get_or_init(|| {
            let host = DaemonHost::start().map_err(|error| error.chain())?;
            let dir = host.daemon.root().to_owned();
            let words = ["-q", "-c", SYSTEM, "net-define", "default.xml"];
            let define = ["env", "-C"].map(str::to_owned);
            let program = self.program.to_string_lossy().into_owned();
            let run = host.daemon.netns().run(
                define
                    .into_iter()
                    .chain([dir.to_string_lossy().into_owned(), program])
                    .chain(words.map(str::to_owned)),
            );
            run.output().and_then(Finished::ok).map_err(|error| error.chain())?;
            Ok(host)
        })
    }

    fn host_file(&self, name: &str) -> PathBuf {
        match self.own.get() {
            Some(Ok(host)) => host.file(name),
            _ => PathBuf::from(name),
        }
    }

    /// Runs a case in a directory of its own.
    pub(super) fn run(&self, file: &TranscriptFile, case: &Case) -> Result<Found> {
        let dir = tempfile::Builder::new()
            .prefix("oxivirt-shell-")
            .tempdir()
            .map_err(|source| Error::File { path: std::env::temp_dir(), source })?;
        let place = Place::new(self, file, case, dir.path())?;
        for command in &case.prepare {
            place.quietly(command)?;
        }
        // a start begins with no leases of former times
        for (name, text) in &case.host_files {
            self::place(&self.host_file(name), text)?;
        }
        if case.pty {
            return place.on_terminal(case);
        }
        let during = case.during.clone();
        let found = thread::scope(|scope| {
            if !during.is_empty() {
                scope.spawn(|| {
                    thread::sleep(SETTLED);
                    for command in &during {
                        // what it does shows in the events that the case waits for
                        place.quietly(command).ok();
                    }
                });
            }
            place.piped(case)
        });
        for command in &file.common.cleanup {
            place.quietly(command).ok();
        }
        for name in case.host_files.keys() {
            fs::remove_file(self.host_file(name)).ok();
        }
        found
    }
}

/// The directory of one case, and how the shell is called in it.
struct Place<'s> {
    subject: &'s Subject,
    needs_daemon: bool,
    dir: PathBuf,
    environment: BTreeMap<String, String>,
}

impl<'s> Place<'s> {
    fn new(subject: &'s Subject, file: &TranscriptFile, case: &Case, dir: &Path) -> Result<Self> {
        let dir =
            dir.canonicalize().map_err(|source| Error::File { path: dir.to_owned(), source })?;
        let at =
            |name: &str| if name.starts_with('/') { PathBuf::from(name) } else { dir.join(name) };
        for (name, text) in file.files.iter().chain(&case.files) {
            place(&at(name), text)?;
        }
        let named_virsh = dir.join(".bin");
        let link = named_virsh.join("virsh");
        fs::create_dir(&named_virsh)
            .and_then(|()| symlink(&subject.program, &link))
            .map_err(|source| Error::File { path: link, source })?;
        let home = dir.to_string_lossy().into_owned();
        let mut environment: BTreeMap<String, String> = [
            ("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"),
            ("HOME", &home),
            ("LANG", "C.UTF-8"),
            ("TERM", "dumb"),
            ("TZ", "UTC"),
        ]
        .into_iter()
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect();
        let given = case.env.iter().map(|(name, value)| (name.clone(), in_dir(value, &dir)));
        environment.extend(given);
        Ok(Self { subject, needs_daemon: file.needs_daemon(), dir, environment })
    }

    /// The shell called `virsh`, with these words and the environment of the case.
    fn call(&self, words: &[String]) -> Run {
        let mut line = vec!["env".to_owned(), "-i".to_owned(), "-C".to_owned()];
        line.push(self.dir.to_string_lossy().into_owned());
        line.extend(self.environment.iter().map(|(name, value)| format!("{name}={value}")));
        line.push(self.dir.join(".bin/virsh").to_string_lossy().into_owned());
        for word in words {
            let word = match &self.subject.daemon {
                Some(daemon) if self.needs_daemon && word == SYSTEM => daemon.clone(),
                _ => in_dir(word, &self.dir),
            };
            line.push(word);
        }
        let run = Run::new(line);
        match self.subject.own.get() {
            Some(Ok(host)) if self.needs_daemon => run.behind(host.daemon.netns().prefix()),
            _ => run,
        }
    }

    /// A command beside the case.
    fn quietly(&self, command: &str) -> Result<Finished> {
        let words = ["-q", "-c", SYSTEM, command].map(str::to_owned);
        self.call(&words).output()
    }

    fn piped(&self, case: &Case) -> Result<Found> {
        let mut words = case.argv.clone();
        if !case.setup.is_empty() {
            setup_before(&mut words, &case.setup);
        }
        let mut run = self.call(&words).input(case.stdin.as_bytes());
        if case.merge {
            run = run.through_shell("exec \"$@\" 2>&1");
        }
        let finished = run.output()?;
        let status = finished.status;
        let status =
            status.code().unwrap_or_else(|| status.signal().map_or(-1, |signal| 128 + signal));
        let (mut stdout, mut stderr) = (finished.stdout, finished.stderr);
        if !case.setup.is_empty() {
            let quiet = words.iter().any(|word| word == "-q");
            let end = if quiet { "" } else { "\n" };
            stdout = behind(&stdout, &format!("{MARK}{end}"));
            // the second marker ends with the trailer of the command that printed it
            stdout = stdout.strip_prefix(end).unwrap_or(&stdout).to_owned();
            stderr = behind(&stderr, &format!("error: {MARK}\n"));
        }
        let stdout = stdout.replace(&*self.dir.to_string_lossy(), "{{dir}}");
        let stderr = stderr.replace(&*self.dir.to_string_lossy(), "{{dir}}");
        Ok(Found { stdout, stderr, status })
    }

    fn on_terminal(&self, case: &Case) -> Result<Found> {
        let mut terminal = Terminal::open(&self.call(&case.argv))?;
        terminal.settle();
        for keys in &case.keys {
            terminal.type_keys(keys)?;
        }
        // a shell that is still there gets the end of its input
        if !terminal.ends_within(PATIENCE) {
            terminal.type_keys("\u{4}")?;
        }
        let (output, status) = terminal.finish()?;
        let stdout = output.replace("\r\n", "\n");
        Ok(Found { stdout, stderr: String::new(), status })
    }
}

/// Puts the commands of `setup` in front of the last word, with marks between.
fn setup_before(words: &mut [String], setup: &[String]) {
    let Some(last) = words.last_mut() else { return };
    let setup = setup.join("; ");
    *last = format!("{setup}; echo {MARK}; echo --err {MARK}; {last}");
}

fn behind(text: &str, mark: &str) -> String {
    text.split_once(mark).map_or_else(|| text.to_owned(), |(_, rest)| rest.to_owned())
}

fn in_dir(text: &str, dir: &Path) -> String {
    text.replace("{{dir}}", &dir.to_string_lossy())
}

fn place(path: &Path, text: &str) -> Result<()> {
    let failed = |source| Error::File { path: path.to_owned(), source };
    fs::File::create(path).and_then(|mut file| file.write_all(text.as_bytes())).map_err(failed)?;
    if text.starts_with("#!") {
        fs::set_permissions(path, fs::Permissions::from_mode(0o755)).map_err(failed)?;
    }
    Ok(())
}
