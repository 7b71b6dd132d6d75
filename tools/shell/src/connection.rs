//! The connection of the shell: URI, opening, keepalive, and reconnection after a loss.
//!
//! virsh: `virshConnect`, `virshReconnect`, tools/virsh.c; `virConnectGetDefaultURI`, src/libvirt.c

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use oxivirt::{
    Access, CloseReason, Connect, Credential, CredentialKind, Error, ErrorCode, ErrorDomain,
    OpenOptions,
};

use nix::libc::{ECONNREFUSED, ENOENT};

use crate::environment::Environment;
use crate::failure::Failure;
use crate::i18n::tr;
use crate::log::Level;
use crate::shell::Shell;

/// Keepalive parameters.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Keepalive {
    /// Zero disables keepalive.
    pub(crate) interval: Duration,
    /// Unanswered messages before the connection counts as lost.
    pub(crate) count: u32,
    /// Whether the user set them: then a connection without keepalive is an error.
    pub(crate) explicit: bool,
}

impl Default for Keepalive {
    fn default() -> Self {
        Self { interval: Duration::from_secs(5), count: 6, explicit: false }
    }
}

/// State of the connection.
#[derive(Debug, Default)]
pub(crate) struct Connection {
    /// The URI or alias the user named, `None` for the default.
    pub(crate) uri: Option<String>,
    pub(crate) access: Access,
    pub(crate) keepalive: Keepalive,
    open: Option<Open>,
}

#[derive(Debug)]
struct Open {
    connect: Connect,
    /// Set when the peer or the network ended the connection.
    lost: Arc<AtomicBool>,
}

impl Connection {
    /// The URI to open: from option or variable, else the user's default.
    fn uri(&self, environment: &Environment) -> oxivirt::Result<String> {
        let named = self.uri.as_deref().or_else(|| environment.text("VIRSH_DEFAULT_CONNECT_URI"));
        oxivirt_remote::config::uri(named, &environment.of_client())
    }
}

impl Shell {
    /// Connects before the first command, for `-c`.
    ///
    /// # Errors
    /// If stdout cannot be written.
    pub(crate) fn connect_at_start(&mut self) -> io::Result<bool> {
        match self.open() {
            Ok(_) => Ok(true),
            Err(failure) => {
                self.report(failure)?;
                Ok(false)
            }
        }
    }

    /// The connection, opened if there is none or it was lost.
    ///
    /// # Errors
    /// If it cannot be opened.
    pub(crate) fn connect(&mut self) -> Result<Connect, Failure> {
        let Some(open) = &self.connection.open else { return self.open() };
        if !open.lost.load(Ordering::Acquire) {
            return Ok(open.connect.clone());
        }
        self.disconnect();
        let connect = self.open_with_context(|| tr!("Failed to reconnect to the hypervisor"))?;
        self.ui.error(&tr!("Reconnected to the hypervisor"))?;
        Ok(connect)
    }

    /// Whether the peer or the network ended the connection.
    pub(crate) fn is_lost(&self) -> bool {
        self.connection.open.as_ref().is_some_and(|open| open.lost.load(Ordering::Acquire))
    }

    /// Marks the connection as lost if the driver reports it dead.
    pub(crate) fn check_alive(&mut self) {
        let Some(open) = &self.connection.open else { return };
        if !self.wait(open.connect.is_alive()).unwrap_or(false) {
            open.lost.store(true, Ordering::Release);
        }
    }

    fn open(&mut self) -> Result<Connect, Failure> {
        self.open_with_context(|| tr!("failed to connect to the hypervisor"))
    }

    fn open_with_context(&mut self, line: impl FnOnce() -> String) -> Result<Connect, Failure> {
        match self.try_open() {
            Ok(connect) => Ok(connect),
            Err(Failure::Driver(error)) => {
                let hint = connection_hint(&error);
                Err(Failure::Context(line(), error).hint(hint))
            }
            Err(other) => Err(other),
        }
    }

    fn try_open(&mut self) -> Result<Connect, Failure> {
        let uri = self.connection.uri(&self.environment)?;
        let authenticator: Arc<dyn oxivirt::Authenticator> = Arc::new(TerminalAuthenticator);
        let access = self.connection.access;
        let options = OpenOptions { access, authenticator: Some(authenticator), deadline: None };
        // an authentication prompt must follow the output so far
        self.ui.flush()?;
        let connect = self.wait(Connect::open(&uri, &self.registry, &options))?;
        self.keep_alive(&connect)?;
        let lost = Arc::new(AtomicBool::new(false));
        self.watch(&connect, &lost, uri);
        self.connection.open = Some(Open { connect: connect.clone(), lost });
        Ok(connect)
    }

    fn keep_alive(&mut self, connect: &Connect) -> Result<(), Failure> {
        let Keepalive { interval, count, explicit } = self.connection.keepalive;
        if interval.is_zero() {
            return Ok(());
        }
        let Err(error) = self.wait(connect.set_keepalive(interval, count)) else { return Ok(()) };
        if explicit {
            let line = tr!("Cannot setup keepalive on connection as requested, disconnecting");
            self.ui.error(&line)?;
            return Err(error.into());
        }
        self.ui.debug(Level::Info, "Failed to setup keepalive on connection")?;
        Ok(())
    }

    /// Prints a message as soon as the connection is lost, even while a command runs.
    fn watch(&self, connect: &Connect, lost: &Arc<AtomicBool>, uri: String) {
        let lost = Arc::clone(lost);
        let callback = move |reason| {
            let message = match reason {
                CloseReason::Client => return,
                CloseReason::EndOfFile => {
                    tr!("Disconnected from {uri} due to end of file", uri = uri)
                }
                CloseReason::KeepAlive => {
                    tr!("Disconnected from {uri} due to keepalive timeout", uri = uri)
                }
                CloseReason::Error | CloseReason::Unknown(_) => {
                    tr!("Disconnected from {uri} due to I/O error", uri = uri)
                }
            };
            lost.store(true, Ordering::Release);
            let line = format!("{}\n", tr!("error: {message}", message = message));
            // a failure of stderr cannot be reported
            let _ignored = io::Write::write_all(&mut io::stderr(), line.as_bytes());
        };
        // drivers in this process cannot lose the connection and lack the call
        let _unsupported = self.wait(connect.register_close_callback(Box::new(callback)));
    }

    /// Closes the connection.
    pub(crate) fn disconnect(&mut self) {
        if let Some(open) = self.connection.open.take()
            && let Err(error) = self.wait(open.connect.close())
            && !open.lost.load(Ordering::Acquire)
        {
            tracing::warn!(%error, "closing the connection failed");
        }
    }

    /// Closes the connection and opens another; on failure URI and access remain those of the old one.
    ///
    /// # Errors
    /// If the new one cannot be opened.
    pub(crate) fn connect_to(
        &mut self,
        uri: Option<String>,
        access: Access,
    ) -> Result<(), Failure> {
        self.disconnect();
        let before = self.connection.uri.clone();
        let access_before = self.connection.access;
        if uri.is_some() {
            self.connection.uri = uri;
        }
        self.connection.access = access;
        self.open().map(drop).inspect_err(|_| {
            self.connection.uri = before;
            self.connection.access = access_before;
        })
    }
}

/// The hint for a socket on which no daemon listens.
fn connection_hint(error: &Error) -> Option<String> {
    let is_absent = error.code() == ErrorCode::SYSTEM_ERROR
        && error.domain() == ErrorDomain::RPC
        && matches!(error.parts().int1, ENOENT | ECONNREFUSED);
    is_absent.then(|| {
        tr!(
            "no daemon is listening: start oxivirtd, or run the driver inside the shell with -c 'network:///embed?root=/'"
        )
    })
}

/// Answers a driver's authentication prompts from the terminal.
struct TerminalAuthenticator;

impl oxivirt::Authenticator for TerminalAuthenticator {
    fn answer(&self, questions: &[Credential]) -> oxivirt::Result<Vec<String>> {
        let failed = |error: io::Error| {
            let detail = error.to_string();
            Error::new(ErrorCode::AUTH_FAILED, ErrorDomain::NONE, detail)
        };
        questions.iter().map(|question| ask(question).map_err(failed)).collect()
    }
}

fn ask(question: &Credential) -> io::Result<String> {
    use io::Write as _;
    let secret = matches!(question.kind, CredentialKind::PassPhrase | CredentialKind::NoEchoPrompt);
    let mut out = io::stdout();
    write!(out, "{}: ", question.prompt)?;
    out.flush()?;
    let _hidden = secret.then(crate::terminal::hide_input).flatten();
    let mut line = String::new();
    io::stdin().read_line(&mut line)?;
    if secret {
        writeln!(out)?;
    }
    Ok(line.trim_end_matches('\n').to_owned())
}
