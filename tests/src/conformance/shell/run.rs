//! Runs one transcript.

use std::collections::BTreeMap;
use std::fs;
use std::io::Write as _;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::thread;

use super::ShellOptions;
use super::format::{Case, TranscriptFile};
use super::pty::Terminal;
use super::server::{Server, ServerKind};
use crate::error::{Error, Result};
use crate::host::program;
use crate::process::{Finished, Run, wait_until};
use crate::require::Need;

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
    kind: ServerKind,
    /// Started when the first case needs it.
    server: OnceLock<std::result::Result<Server, String>>,
}

/// The connection that cases for a daemon ask for.
const SYSTEM: &str = "network:///system";

/// The connection that every other case uses.
const IN_MEMORY: &str = "test:///default";
/// The same through a daemon.
const THROUGH_LIBVIRTD: &str = "test+unix:///default";

/// Cases that show that the connection is in memory.
const WITHOUT_KEEPALIVE: [&str; 2] = ["keepalive-unsupported", "debug-trace"];

/// What a case with `setup` prints between that and its own output.
const MARK: &str = "here-the-case-begins";

/// How long a case with events listens, in place of the recorded time: another client has to do
/// its part meanwhile.
const LISTEN: [&str; 2] = ["--timeout 4", "--timeout 12"];

impl Subject {
    pub(super) fn new(options: &ShellOptions, kind: ServerKind) -> Self {
        let ours = || program("oxish").unwrap_or_else(|_| "oxish".into());
        Self {
            program: options.program.clone().unwrap_or_else(ours),
            daemon: options.daemon.clone().filter(|_| kind == ServerKind::Ours),
            kind,
            server: OnceLock::new(),
        }
    }

    /// Whether a case says something about this shell with this daemon.
    pub(super) fn concerns(&self, file: &TranscriptFile, case: &Case) -> bool {
        let mut texts = case.argv.iter().chain([&case.stdin]).chain(case.env.values());
        let asks = texts.any(|text| text.contains(IN_MEMORY));
        self.kind == ServerKind::Ours || file.needs_daemon() || asks
    }

    /// Whether cases of a file talk to a daemon.
    fn needs_daemon(&self, file: &TranscriptFile) -> bool {
        file.needs_daemon() || self.kind == ServerKind::Libvirtd
    }

    /// Why a case cannot run.
    pub(super) fn cannot_run(&self, file: &TranscriptFile, case: &Case) -> Option<String> {
        if self.kind == ServerKind::Libvirtd && WITHOUT_KEEPALIVE.contains(&case.id.as_str()) {
            return Some("a daemon's connection is kept alive, one in memory is not".to_owned());
        }
        if !self.program.is_file() {
            return Some(format!("'{}' is not there", self.program.display()));
        }
        if self.needs_daemon(file) && self.daemon.is_none() {
            return self.server().as_ref().err().cloned();
        }
        None
    }

    /// The daemon, or why there is none.
    fn server(&self) -> &std::result::Result<Server, String> {
        self.server.get_or_init(|| {
            if self.kind == ServerKind::Libvirtd
                && let Some(reason) = Need::Peer.missing()
            {
                return Err(reason);
            }
            let wrong = |error: Error| error.chain();
            let server = Server::start(self.kind).map_err(wrong)?;
            let file = server.default_network().map_err(wrong)?;
            let words = ["-q", "-c", SYSTEM, "net-define"];
            let run = server.netns().run([self.program.as_os_str()]).args(words).args([file]);
            run.output().and_then(Finished::ok).map_err(wrong)?;
            Ok(server)
        })
    }

    fn host_file(&self, name: &str) -> PathBuf {
        match self.server.get() {
            Some(Ok(server)) => server.file(name),
            _ => PathBuf::from(name),
        }
    }

    /// How often clients have registered for events with the daemon that runs.
    fn registrations(&self) -> Result<u64> {
        match self.server.get() {
            Some(Ok(server)) => server.registrations(),
            _ => Ok(0),
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
        let before = self.registrations()?;
        let found = thread::scope(|scope| {
            if !during.is_empty() {
                scope.spawn(|| {
                    let more = || Ok(self.registrations()? > before);
                    // without a registration the case fails by its output
                    wait_until("a registration for events", more).ok();
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
        let needs_daemon = subject.needs_daemon(file);
        let given = case.env.iter().map(|(name, value)| (name.clone(), in_dir(value, &dir)));
        environment.extend(given);
        let mut place = Self { subject, needs_daemon, dir, environment };
        let through = |(name, value): (&String, &String)| (name.clone(), place.through(value));
        place.environment = place.environment.iter().map(through).collect();
        Ok(place)
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
                _ => self.through(&in_dir(word, &self.dir)),
            };
            line.push(word);
        }
        let run = Run::new(line);
        match self.subject.server.get() {
            Some(Ok(server)) if self.needs_daemon => run.behind(server.netns().prefix()),
            _ => run,
        }
    }

    /// A text with the connection in memory as one to libvirtd, which has that driver too.
    fn through(&self, text: &str) -> String {
        match self.subject.kind {
            ServerKind::Ours => text.to_owned(),
            ServerKind::Libvirtd => text.replace(IN_MEMORY, THROUGH_LIBVIRTD),
        }
    }

    /// What was printed, as it was recorded.
    fn back(&self, text: &str) -> String {
        let text = text.replace(&*self.dir.to_string_lossy(), "{{dir}}");
        match self.subject.kind {
            ServerKind::Ours => text,
            ServerKind::Libvirtd => text.replace(THROUGH_LIBVIRTD, IN_MEMORY),
        }
    }

    /// A command beside the case.
    fn quietly(&self, command: &str) -> Result<Finished> {
        let words = ["-q", "-c", SYSTEM, command].map(str::to_owned);
        self.call(&words).output()
    }

    fn piped(&self, case: &Case) -> Result<Found> {
        let mut words = case.argv.clone();
        if !case.during.is_empty() {
            let [recorded, ours] = LISTEN;
            words.iter_mut().for_each(|word| *word = word.replace(recorded, ours));
        }
        if !case.setup.is_empty() {
            setup_before(&mut words, &case.setup);
        }
        let mut run = self.call(&words).input(self.through(&case.stdin).as_bytes());
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
        let (stdout, stderr) = (self.back(&stdout), self.back(&stderr));
        Ok(Found { stdout, stderr, status })
    }

    fn on_terminal(&self, case: &Case) -> Result<Found> {
        let mut terminal = Terminal::open(&self.call(&case.argv))?;
        let mut waits = terminal.settle()?;
        for keys in &case.keys {
            waits = terminal.type_keys(keys)?;
        }
        // a shell that is still there gets the end of its input
        if waits {
            terminal.type_keys("\u{4}")?;
        }
        let (output, status) = terminal.finish()?;
        let stdout = self.back(&output.replace("\r\n", "\n"));
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
