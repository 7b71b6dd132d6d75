//! Why a command failed.

use std::fmt;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// Class of an error that QEMU or the agent returned.
///
/// QEMU: `QapiErrorClass` in qapi/error.json. Only the class is stable; the description is for people.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum ErrorClass {
    /// Any error without a class of its own.
    Generic,
    /// The peer does not know the command.
    CommandNotFound,
    /// A device that has to be active is not.
    DeviceNotActive,
    /// No device of this name.
    DeviceNotFound,
    /// KVM lacks a capability.
    KvmMissingCap,
    /// A class that this crate does not know.
    Other(String),
}

impl ErrorClass {
    /// The peer's word for it.
    #[must_use]
    pub fn as_str(&self) -> &str {
        match self {
            Self::Generic => "GenericError",
            Self::CommandNotFound => "CommandNotFound",
            Self::DeviceNotActive => "DeviceNotActive",
            Self::DeviceNotFound => "DeviceNotFound",
            Self::KvmMissingCap => "KVMMissingCap",
            Self::Other(word) => word,
        }
    }

    pub(crate) fn from_wire(word: &str) -> Self {
        match word {
            "GenericError" => Self::Generic,
            "CommandNotFound" => Self::CommandNotFound,
            "DeviceNotActive" => Self::DeviceNotActive,
            "DeviceNotFound" => Self::DeviceNotFound,
            "KVMMissingCap" => Self::KvmMissingCap,
            other => Self::Other(other.to_owned()),
        }
    }
}

/// What the peer sent is not the protocol. The connection is of no use afterwards.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ProtocolError {
    /// A message exceeds [`Limits::message`](crate::Limits::message).
    #[error("message of more than {limit} bytes")]
    TooLong {
        /// The limit.
        limit: usize,
    },
    /// A message nests deeper than [`Limits::depth`](crate::Limits::depth).
    #[error("message nested deeper than {limit} levels")]
    TooDeep {
        /// The limit.
        limit: usize,
    },
    /// A line is not a JSON object of the expected form.
    #[error("malformed message: {reason}")]
    Malformed {
        /// What the JSON reader reports.
        reason: String,
    },
    /// An object is neither greeting, reply nor event, or is two of them.
    #[error("message is neither a greeting, a reply nor an event")]
    Unclassified,
    /// A reply carries an id that no unanswered command has, or none.
    #[error("reply to no command (id {id})")]
    UnexpectedReply {
        /// The id as it was received, or `none`.
        id: String,
    },
    /// The first message is not a greeting, or a later one is.
    #[error("greeting out of place")]
    Greeting,
}

/// Why a connection ended.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum CloseReason {
    /// This side closed it.
    #[error("closed by the caller")]
    Local,
    /// The peer closed it: QEMU has exited, or its monitor is gone.
    #[error("end of stream")]
    EndOfStream,
    /// Reading or writing failed.
    #[error("input/output error")]
    Io(#[source] Arc<io::Error>),
    /// The peer broke the protocol.
    #[error("protocol violation")]
    Protocol(#[source] ProtocolError),
}

/// Why a command has no result.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum QmpError {
    /// The socket cannot be connected to.
    #[error("cannot connect to monitor socket '{path}'")]
    Connect {
        /// The socket.
        path: PathBuf,
        /// The system's reason.
        #[source]
        source: io::Error,
    },
    /// The descriptor cannot be used as a connection.
    #[error("cannot use descriptor as monitor connection")]
    Descriptor(#[source] io::Error),
    /// The peer executed the command and returned an error.
    #[error("unable to execute QEMU command '{command}': {description}")]
    Rejected {
        /// The command.
        command: String,
        /// Class of the error.
        class: ErrorClass,
        /// QEMU's description.
        description: String,
    },
    /// The reply did not arrive in time. The command may still be executed.
    #[error("no reply to command '{command}' within {after:?}")]
    Timeout {
        /// The command; `greeting` while the connection is being opened.
        command: String,
        /// The time it had.
        after: Duration,
    },
    /// The connection has ended. A command that was sent may have been executed.
    #[error("monitor connection is closed")]
    Closed(#[source] CloseReason),
    /// The reply does not have the form that the command promises.
    #[error("unexpected reply to command '{command}'")]
    Reply {
        /// The command.
        command: String,
        /// What the JSON reader reports.
        #[source]
        source: serde_json::Error,
    },
    /// The arguments cannot be sent.
    #[error("cannot encode arguments of command '{command}': {reason}")]
    Arguments {
        /// The command.
        command: String,
        /// Why.
        reason: String,
    },
}

impl QmpError {
    /// The class of the error that the peer returned, `None` for every other failure.
    #[must_use]
    pub const fn class(&self) -> Option<&ErrorClass> {
        match self {
            Self::Rejected { class, .. } => Some(class),
            _ => None,
        }
    }

    /// Whether the connection has ended.
    #[must_use]
    pub const fn is_closed(&self) -> bool {
        matches!(self, Self::Closed(_))
    }

    /// Whether the deadline passed without a reply.
    #[must_use]
    pub const fn is_timeout(&self) -> bool {
        matches!(self, Self::Timeout { .. })
    }
}

/// An error object as it is on the wire.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// Class of the error.
    pub class: ErrorClass,
    /// The peer's description.
    pub description: String,
}

impl fmt::Display for Failure {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.description)
    }
}
