//! Log outputs: `PRIORITY:stderr`, `PRIORITY:journald`, `PRIORITY:file:PATH`, `PRIORITY:syslog:IDENT`,
//! separated by blanks.
//!
//! libvirt 11.3.0: `virLogParseOutput`, src/util/virlog.c

use std::fmt;
use std::fs::{File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};

use super::priority::Priority;
use super::{LogError, definitions};

/// The socket of syslog(3).
const SYSLOG: &str = "/dev/log";

/// `LOG_DAEMON`, the facility of libvirt's daemons.
const FACILITY: u8 = 3;

/// A destination, and the lowest priority that it gets.
#[derive(Debug)]
pub(super) struct Output {
    pub(super) priority: Priority,
    destination: Destination,
}

#[derive(Debug)]
enum Destination {
    Stderr,
    /// The standard error stream with the severity in front, as journald reads the output of a service.
    Journald,
    File(PathBuf, File),
    /// Messages with this name in front.
    Syslog(String),
}

impl Output {
    pub(super) fn stderr(priority: Priority) -> Self {
        Self { priority, destination: Destination::Stderr }
    }

    /// Reads one definition and opens its destination.
    fn parse(definition: &str) -> Result<Self, LogError> {
        let parts: Vec<&str> = definition.split(':').collect();
        let &[priority, destination, ref rest @ ..] = parts.as_slice() else {
            return Err(LogError::OutputFormat(definition.to_owned()));
        };
        let output = definition.to_owned();
        let Some(priority) = Priority::parse(priority) else {
            return Err(LogError::OutputPriority { priority: priority.to_owned(), output });
        };
        let destination = match (destination, rest) {
            ("stderr", []) => Destination::Stderr,
            ("journald", []) => Destination::Journald,
            ("file", [path]) => open(path)?,
            ("syslog", [name]) => Destination::Syslog((*name).to_owned()),
            ("stderr" | "journald" | "file" | "syslog", _) => {
                return Err(LogError::OutputRequirements {
                    output,
                    destination: destination.to_owned(),
                });
            }
            (other, _) => {
                return Err(LogError::OutputDestination { destination: other.to_owned(), output });
            }
        };
        Ok(Self { priority, destination })
    }

    /// Reads a list; of several outputs with the same destination the last one counts.
    pub(super) fn parse_list(list: &str) -> Result<Vec<Self>, LogError> {
        let mut outputs: Vec<Self> = Vec::new();
        for definition in definitions(list) {
            let output = Self::parse(definition)?;
            outputs.retain(|other| !other.has_destination_of(&output));
            outputs.push(output);
        }
        Ok(outputs)
    }

    fn has_destination_of(&self, other: &Self) -> bool {
        match (&self.destination, &other.destination) {
            (Destination::Stderr, Destination::Stderr)
            | (Destination::Journald, Destination::Journald) => true,
            (Destination::File(one, _), Destination::File(other, _)) => one == other,
            (Destination::Syslog(one), Destination::Syslog(other)) => one == other,
            _ => false,
        }
    }

    /// Writes one line, which ends with a line feed. A failure has no place left to be reported at.
    pub(super) fn write(&self, priority: Priority, line: &str) {
        drop(match &self.destination {
            Destination::Stderr => io::stderr().write_all(line.as_bytes()),
            Destination::Journald => {
                io::stderr().write_all(format!("<{}>{line}", priority.severity()).as_bytes())
            }
            Destination::File(_, file) => (&*file).write_all(line.as_bytes()),
            Destination::Syslog(name) => syslog(name, priority, line),
        });
    }
}

fn open(path: &str) -> Result<Destination, LogError> {
    // an empty path is the working directory, and then an error that says so
    let path = match path {
        "" => std::env::current_dir(),
        path => std::path::absolute(path),
    }
    .unwrap_or_else(|_| Path::new(path).to_owned());
    match OpenOptions::new().create(true).append(true).open(&path) {
        Ok(file) => Ok(Destination::File(path, file)),
        Err(source) => Err(LogError::Open { path, source }),
    }
}

/// Sends one message as syslog(3) does: without a time of its own, which the receiver adds.
fn syslog(name: &str, priority: Priority, line: &str) -> io::Result<()> {
    let value = FACILITY << 3 | priority.severity();
    let message = format!("<{value}>{name}[{}]: {}", std::process::id(), line.trim_end());
    let socket = UnixDatagram::unbound()?;
    // a receiver that does not read must not stop the daemon
    socket.set_nonblocking(true)?;
    socket.send_to(message.as_bytes(), SYSLOG).map(drop)
}

impl fmt::Display for Output {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let priority = self.priority.number();
        match &self.destination {
            Destination::Stderr => write!(f, "{priority}:stderr"),
            Destination::Journald => write!(f, "{priority}:journald"),
            Destination::File(path, _) => write!(f, "{priority}:file:{}", path.display()),
            Destination::Syslog(name) => write!(f, "{priority}:syslog:{name}"),
        }
    }
}
