//! The guest agent: the same messages over the guest's port, without ids, greeting or events.
//!
//! The peer is the guest. It may be absent, hang, answer nonsense, or be restarted at any time without
//! the connection ending, so every command is preceded by a synchronisation with a short deadline, as
//! libvirt does it, and one command runs at a time.
//!
//! QEMU: docs/interop/qemu-ga.rst; qga/qapi-schema.json

use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde_json::Value;
use tokio::net::UnixStream;
use tokio::sync::Mutex;
use tokio::time::Instant;

use crate::command::Command;
use crate::encode::{self, EncodeError};
use crate::error::{ErrorClass, ProtocolError};
use crate::frame::Framer;
use crate::limits::Limits;
use crate::message::{Message, Reply};

mod commands;

pub use commands::*;

/// What the agent writes before its answer to a delimited synchronisation, and what resets its own
/// reader.
const SENTINEL: u8 = 0xff;

/// Why a command of the agent has no result.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AgentError {
    /// The socket cannot be connected to.
    #[error("cannot connect to guest agent socket '{path}'")]
    Connect {
        /// The socket.
        path: PathBuf,
        /// The system's reason.
        #[source]
        source: io::Error,
    },
    /// The agent did not answer in time: it does not run, or hangs. The command was not sent if
    /// `command` is `guest-sync-delimited`; otherwise it may still be executed.
    #[error("no reply to guest agent command '{command}' within {after:?}")]
    Timeout {
        /// The command.
        command: String,
        /// The time it had.
        after: Duration,
    },
    /// The agent executed the command and returned an error.
    #[error("unable to execute QEMU agent command '{command}': {description}")]
    Rejected {
        /// The command.
        command: String,
        /// Class of the error.
        class: ErrorClass,
        /// The agent's description.
        description: String,
    },
    /// QEMU closed the connection.
    #[error("guest agent connection is closed")]
    Closed,
    /// Reading or writing failed.
    #[error("guest agent connection failed")]
    Io(#[source] io::Error),
    /// The guest sent something else than a reply. The next command synchronises anew.
    #[error("guest agent broke the protocol")]
    Protocol(#[source] ProtocolError),
    /// The reply does not have the form that the command promises.
    #[error("unexpected reply to guest agent command '{command}'")]
    Reply {
        /// The command.
        command: String,
        /// What the JSON reader reports.
        #[source]
        source: serde_json::Error,
    },
    /// The arguments cannot be sent.
    #[error("cannot encode arguments of guest agent command '{command}'")]
    Arguments {
        /// The command.
        command: String,
        /// Why.
        #[source]
        source: EncodeError,
    },
}

/// Deadlines of a connection to an agent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AgentOptions {
    /// Time for the synchronisation. libvirt 11.3.0: 5 s, `VIR_DOMAIN_QEMU_AGENT_COMMAND_DEFAULT`.
    pub sync: Duration,
    /// Time for a reply unless the call sets another.
    pub deadline: Duration,
    /// Bounds on what the guest may send.
    pub limits: Limits,
}

impl Default for AgentOptions {
    /// 5 s for the synchronisation, a minute for a command.
    fn default() -> Self {
        let (sync, deadline) = (Duration::from_secs(5), Duration::from_secs(60));
        Self { sync, deadline, limits: Limits::agent() }
    }
}

/// A connection to the agent of one guest.
///
/// ```no_run
/// use oxivirt_qmp::agent::{Agent, AgentOptions, GetHostName, Ping};
///
/// # async fn example() -> Result<(), oxivirt_qmp::agent::AgentError> {
/// let path = "/run/libvirt/qemu/channel/1-demo/org.qemu.guest_agent.0";
/// let agent = Agent::connect(path, AgentOptions::default()).await?;
/// agent.run(&Ping {}).await?;
/// println!("{}", agent.run(&GetHostName {}).await?.host_name);
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Agent {
    link: Mutex<Link>,
    options: AgentOptions,
}

#[derive(Debug)]
struct Link {
    stream: UnixStream,
    framer: Framer,
    limits: Limits,
    input: Vec<u8>,
    /// Id of the last synchronisation.
    sync_id: i64,
    /// A call did not come to its end: the agent may hold half a command.
    interrupted: bool,
}

impl Agent {
    /// Connects to the port's socket at `path`. Must be called in a tokio runtime.
    ///
    /// Success does not mean that an agent runs.
    ///
    /// # Errors
    /// [`AgentError::Connect`]
    pub async fn connect(
        path: impl AsRef<Path>,
        options: AgentOptions,
    ) -> Result<Self, AgentError> {
        let path = path.as_ref();
        let error = |source| AgentError::Connect { path: path.to_owned(), source };
        Ok(Self::from_stream(UnixStream::connect(path).await.map_err(error)?, options))
    }

    /// Takes a connected socket.
    #[must_use]
    pub fn from_stream(stream: UnixStream, options: AgentOptions) -> Self {
        // Answers to an earlier daemon may still arrive: its ids were smaller.
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let link = Link {
            stream,
            framer: Framer::new(options.limits.message),
            limits: options.limits,
            input: vec![0; 16 * 1024],
            sync_id: i64::try_from(now.as_micros()).unwrap_or_default(),
            interrupted: false,
        };
        Self { link: Mutex::new(link), options }
    }

    /// Executes a command and waits for its reply.
    ///
    /// # Errors
    /// [`AgentError`]; [`AgentError::Timeout`] for `guest-sync-delimited` if no agent answers, which
    /// libvirt reports as number 86, domain 10.
    pub async fn run<C: Command>(&self, command: &C) -> Result<C::Reply, AgentError> {
        self.run_within(command, self.options.deadline).await
    }

    /// As [`run`](Self::run), with a deadline of its own for the command.
    ///
    /// # Errors
    /// As [`run`](Self::run).
    pub async fn run_within<C: Command>(
        &self,
        command: &C,
        deadline: Duration,
    ) -> Result<C::Reply, AgentError> {
        let arguments = encode::arguments(command)
            .map_err(|source| AgentError::Arguments { command: C::NAME.to_owned(), source })?;
        let reply = self.call(C::NAME, &arguments, deadline).await?;
        decode(C::NAME, reply)
    }

    /// Executes a command that this crate has no type for; `arguments` is an object or `null`.
    ///
    /// # Errors
    /// As [`run`](Self::run).
    pub async fn execute(
        &self,
        name: &str,
        arguments: &Value,
        deadline: Duration,
    ) -> Result<Value, AgentError> {
        let arguments = encode::arguments(arguments)
            .map_err(|source| AgentError::Arguments { command: name.to_owned(), source })?;
        let reply = self.call(name, &arguments, deadline).await?;
        decode(name, reply)
    }

    /// Shuts the guest down through the agent. Success is a reply, or the end of the connection: an
    /// agent that powers its guest off may not get to replying. The event `SHUTDOWN` on the monitor
    /// means the same, so callers race this against it.
    ///
    /// # Errors
    /// As [`run`](Self::run).
    pub async fn shutdown(&self, mode: ShutdownMode, deadline: Duration) -> Result<(), AgentError> {
        match self.run_within(&Shutdown { mode: Some(mode) }, deadline).await {
            Ok(_) | Err(AgentError::Closed) => Ok(()),
            Err(error) => Err(error),
        }
    }

    async fn call(
        &self,
        name: &str,
        arguments: &str,
        deadline: Duration,
    ) -> Result<Reply, AgentError> {
        let started = Instant::now();
        let sync_until = started + self.options.sync;
        // A command that runs is waited for no longer than an agent that is silent.
        let busy = |_| timeout(name, self.options.sync);
        let mut link = tokio::time::timeout_at(sync_until, self.link.lock()).await.map_err(busy)?;
        tokio::time::timeout_at(sync_until, link.synchronize())
            .await
            .map_err(|_| timeout(Sync::NAME, self.options.sync))??;
        tokio::time::timeout(deadline, link.exchange(name, arguments))
            .await
            .map_err(|_| timeout(name, deadline))?
    }
}

fn timeout(command: &str, after: Duration) -> AgentError {
    AgentError::Timeout { command: command.to_owned(), after }
}

fn decode<T: serde::de::DeserializeOwned>(name: &str, reply: Reply) -> Result<T, AgentError> {
    match reply.result {
        Ok(value) => serde_json::from_str(value.get())
            .map_err(|source| AgentError::Reply { command: name.to_owned(), source }),
        Err(failure) => Err(AgentError::Rejected {
            command: name.to_owned(),
            class: failure.class,
            description: failure.description,
        }),
    }
}

impl Link {
    /// Discards everything up to the agent's answer to a new id.
    async fn synchronize(&mut self) -> Result<(), AgentError> {
        self.framer.clear();
        self.sync_id = self.sync_id.wrapping_add(1) & i64::MAX;
        let arguments = encode::arguments(&Sync { id: self.sync_id }).unwrap_or_default();
        let mut line = encode::line(Sync::NAME, &arguments, None, false);
        if std::mem::replace(&mut self.interrupted, true) {
            line.insert(0, SENTINEL);
        }
        self.write(&line).await?;
        let mut delimited = false;
        loop {
            self.read().await?;
            if self.framer.discard_through(SENTINEL) {
                delimited = true;
            } else if !delimited {
                self.framer.clear();
            }
            while let Some(line) = self.framer.next_line().map_err(AgentError::Protocol)? {
                // Anything else is left over from earlier.
                if let Ok(Message::Reply(Reply { result: Ok(value), .. })) =
                    Message::parse(line, &self.limits)
                    && value.get().parse() == Ok(self.sync_id)
                {
                    self.interrupted = false;
                    return Ok(());
                }
            }
        }
    }

    /// Sends a command and reads its reply.
    async fn exchange(&mut self, name: &str, arguments: &str) -> Result<Reply, AgentError> {
        self.interrupted = true;
        self.write(&encode::line(name, arguments, None, false)).await?;
        loop {
            if let Some(line) = self.framer.next_line().map_err(AgentError::Protocol)? {
                return match Message::parse(line, &self.limits).map_err(AgentError::Protocol)? {
                    Message::Reply(reply) => {
                        self.interrupted = false;
                        Ok(reply)
                    }
                    _ => Err(AgentError::Protocol(ProtocolError::Unclassified)),
                };
            }
            self.read().await?;
        }
    }

    async fn write(&self, mut bytes: &[u8]) -> Result<(), AgentError> {
        while !bytes.is_empty() {
            self.stream.writable().await.map_err(failed)?;
            match self.stream.try_write(bytes) {
                Ok(n) => bytes = bytes.get(n..).unwrap_or_default(),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Err(failed(error)),
            }
        }
        Ok(())
    }

    /// Reads once.
    async fn read(&mut self) -> Result<(), AgentError> {
        loop {
            // A guest that floods its port leaves the thread to other tasks now and then.
            tokio::task::consume_budget().await;
            self.stream.readable().await.map_err(failed)?;
            match self.stream.try_read(&mut self.input) {
                Ok(0) => return Err(AgentError::Closed),
                Ok(n) => {
                    self.framer.push(self.input.get(..n).unwrap_or_default());
                    return Ok(());
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Err(failed(error)),
            }
        }
    }
}

fn failed(error: io::Error) -> AgentError {
    match error.kind() {
        io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe => AgentError::Closed,
        _ => AgentError::Io(error),
    }
}
