//! The state that handlers work with, and the loop that runs commands.

use std::io;
use std::time::Instant;

use oxivirt::{Access, Error, ErrorCode, ErrorDomain, Network, Registry};
use tokio::runtime::{Builder, Runtime};

use crate::args::Args;
use crate::command::{Action, ConnectionUse, Dialect};
use crate::commands;
use crate::connection::Connection;
use crate::environment::Environment;
use crate::failure::Failure;
use crate::grammar::parse::{Command, ParseError};
use crate::i18n::tr;
use crate::log::Level;
use crate::suggest;
use crate::ui::Ui;

/// Result of a command string.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// The last command succeeded.
    Done,
    /// The last command failed.
    Failed,
    /// A command ended the shell.
    Quit,
}

/// Connection, streams and settings of the running shell.
#[derive(Debug)]
pub(crate) struct Shell {
    pub(crate) ui: Ui,
    pub(crate) environment: Environment,
    pub(crate) dialect: Dialect,
    pub(crate) registry: Registry,
    pub(crate) connection: Connection,
    /// The key that leaves a console, as virsh writes it: `^]`.
    pub(crate) escape: String,
    runtime: Runtime,
}

impl Shell {
    pub(crate) fn new(
        ui: Ui,
        dialect: Dialect,
        environment: Environment,
        registry: Registry,
    ) -> Result<Self, (Ui, io::Error)> {
        // a single thread suffices: the shell waits for one reply at a time
        let runtime = match Builder::new_current_thread().enable_all().build() {
            Ok(runtime) => runtime,
            Err(error) => return Err((ui, error)),
        };
        let connection = Connection::default();
        let escape = "^]".to_owned();
        Ok(Self { ui, environment, dialect, registry, connection, escape, runtime })
    }

    /// Moves connections to a background thread, so that keepalive pings are answered and events arrive while the
    /// shell waits for input.
    ///
    /// # Errors
    /// If the thread cannot be created.
    pub(crate) fn use_background_thread(&mut self) -> io::Result<()> {
        self.runtime = Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
        Ok(())
    }

    /// Runs a future to completion.
    pub(crate) fn wait<T>(&self, answer: impl Future<Output = T>) -> T {
        self.runtime.block_on(answer)
    }

    /// The prompt of interactive mode.
    pub(crate) fn prompt(&self) -> &'static str {
        match (self.dialect, self.connection.access) {
            (Dialect::Virsh, Access::ReadWrite) => "virsh # ",
            (Dialect::Virsh, Access::ReadOnly) => "virsh > ",
            (Dialect::Oxish, Access::ReadWrite) => "oxish # ",
            (Dialect::Oxish, Access::ReadOnly) => "oxish > ",
        }
    }

    /// Runs commands in order; a failure does not stop the rest.
    ///
    /// # Errors
    /// If stdout cannot be written.
    pub(crate) fn run_all(&mut self, commands: &[Command]) -> io::Result<Outcome> {
        let mut outcome = Outcome::Done;
        for command in commands {
            let begun = Instant::now();
            let Action::Run(run) = command.def.action else { return Ok(Outcome::Quit) };
            let ready = match command.def.connection {
                ConnectionUse::Required => self.connect().map(drop),
                ConnectionUse::Unused | ConnectionUse::Forbidden => Ok(()),
            };
            outcome = match ready.and_then(|()| run(self, &command.args)) {
                Ok(()) => Outcome::Done,
                Err(Failure::Reported) => Outcome::Failed,
                Err(failure) => {
                    self.check_alive();
                    self.report(failure)?;
                    Outcome::Failed
                }
            };
            self.ui.trailer(begun.elapsed())?;
        }
        Ok(outcome)
    }

    /// Prints the messages of a failure.
    ///
    /// # Errors
    /// If stdout cannot be written.
    pub(crate) fn report(&mut self, failure: Failure) -> io::Result<()> {
        match failure {
            Failure::Message(line) => self.ui.error(&line),
            Failure::Driver(error) => self.ui.error(error.message()),
            Failure::Context(line, error) => {
                self.ui.error(&line)?;
                self.ui.error(error.message())
            }
            Failure::Hinted(failure, hint) => {
                self.report(*failure)?;
                self.ui.hint(&hint)
            }
            Failure::Reported => Ok(()),
            Failure::Output(error) => Err(error),
        }
    }

    /// Prints the message of a parse error, and a suggestion.
    ///
    /// # Errors
    /// If stdout cannot be written.
    pub(crate) fn report_parse_error(&mut self, error: &ParseError) -> io::Result<()> {
        self.ui.error(&error.message())?;
        let suggestion = match error {
            ParseError::UnknownCommand { word } => {
                commands::suggest(self.dialect, &String::from_utf8_lossy(word))
            }
            ParseError::UnknownOption { command, option } => {
                let def = commands::all(self.dialect).find(|def| def.name == *command);
                let names: Vec<&str> = def
                    .into_iter()
                    .flat_map(|def| def.listed(self.dialect))
                    .map(|(_, option)| option.name)
                    .collect();
                let word = String::from_utf8_lossy(option).into_owned();
                suggest::closest(&word, names).map(|name| format!("--{name}"))
            }
            _ => None,
        };
        match suggestion {
            Some(suggestion) => self.ui.hint(&suggest::did_you_mean(&suggestion)),
            None => Ok(()),
        }
    }

    /// The network that option `network` names, by UUID or name.
    ///
    /// # Errors
    /// If there is no such network, or no connection.
    pub(crate) fn network(&mut self, args: &Args) -> Result<Network, Failure> {
        self.lookup(args, Lookup::Any)
    }

    /// The network that option `network` names, looked up as `how` allows.
    ///
    /// # Errors
    /// If there is no such network, or no connection.
    pub(crate) fn lookup(&mut self, args: &Args, how: Lookup) -> Result<Network, Failure> {
        const UUID_TEXT: usize = 36;
        let connect = self.connect()?;
        let text = args.required("network")?;
        let command = args.command().name;
        let found = format!("{command}: found option <network>: {text}");
        self.ui.debug(Level::Info, &found)?;
        let line = || tr!("failed to get network '{text}'", text = text);
        let mut last = None;
        if how != Lookup::Name && text.len() == UUID_TEXT {
            self.ui.debug(Level::Debug, &format!("{command}: <network> trying as network UUID"))?;
            match self.wait(connect.network_lookup_by_uuid_string(&text)) {
                Ok(network) => return Ok(network),
                Err(error) => last = Some(error),
            }
        }
        if how != Lookup::Uuid {
            self.ui.debug(Level::Debug, &format!("{command}: <network> trying as network NAME"))?;
            match self.wait(connect.network_lookup_by_name(&text)) {
                Ok(network) => return Ok(network),
                Err(error) => last = Some(error),
            }
        }
        Err(match last {
            Some(error) => Failure::Context(line(), error),
            None => Failure::Message(line()),
        })
    }

    /// Name and content of the file that option `name` names.
    ///
    /// # Errors
    /// If the file cannot be read or is larger than 10 MiB.
    pub(crate) fn read_file(&self, args: &Args, name: &str) -> Result<(String, String), Failure> {
        const LIMIT: u64 = 10 << 20;
        let path = args.path(name)?.unwrap_or_else(|| std::path::Path::new("")).to_owned();
        let shown = path.display().to_string();
        let content = read_limited(&path, LIMIT).map_err(|(verb, error)| {
            let reason = errno_text(&error);
            Failure::Message(match verb {
                Verb::Open => {
                    tr!("Failed to open file '{path}': {reason}", path = shown, reason = reason)
                }
                Verb::Read => {
                    tr!("Failed to read file '{path}': {reason}", path = shown, reason = reason)
                }
            })
        })?;
        match oxivirt_xml::decode(&content) {
            Ok(text) => Ok((shown, text.to_owned())),
            Err(error) => Err(Failure::Message(error.to_string())),
        }
    }
}

/// Which keys a network is looked up by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Lookup {
    /// By UUID if the text has the length of one, then by name.
    Any,
    /// By name only.
    Name,
    /// By UUID only.
    Uuid,
}

enum Verb {
    Open,
    Read,
}

fn read_limited(path: &std::path::Path, limit: u64) -> Result<Vec<u8>, (Verb, io::Error)> {
    use std::io::Read as _;
    let file = std::fs::File::open(path).map_err(|error| (Verb::Open, error))?;
    let mut content = Vec::new();
    file.take(limit.saturating_add(1))
        .read_to_end(&mut content)
        .map_err(|error| (Verb::Read, error))?;
    if u64::try_from(content.len()).is_ok_and(|length| length > limit) {
        let too_large = io::Error::from_raw_os_error(nix::libc::EOVERFLOW);
        return Err((Verb::Read, too_large));
    }
    Ok(content)
}

/// The text of an OS error as strerror(3) prints it.
pub(crate) fn errno_text(error: &io::Error) -> String {
    match error.raw_os_error() {
        Some(errno) => nix::errno::Errno::from_raw(errno).desc().to_owned(),
        None => error.to_string(),
    }
}

/// Whether the driver does not implement the call.
#[must_use]
pub(crate) fn is_unsupported(error: &Error) -> bool {
    error.code() == ErrorCode::NO_SUPPORT && error.domain() != ErrorDomain::NONE
}
