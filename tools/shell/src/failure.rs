//! How a command fails, as the lines on stderr.

use oxivirt::Error;
use std::io;

/// Why a command failed.
///
/// Most commands print a line of their own and the driver's message below it; some print only one of the two,
/// and scripts depend on which.
#[derive(Debug)]
pub(crate) enum Failure {
    /// A message of the shell.
    Message(String),
    /// The driver's message.
    Driver(Error),
    /// The command's own line, then the driver's message.
    Context(String, Error),
    /// The messages have been printed.
    Reported,
    /// stdout cannot be written.
    Output(io::Error),
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::Driver(error)
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Self::Output(error)
    }
}

/// Adds a command's own line to a driver error.
pub(crate) trait ErrorContext<T> {
    /// Puts `line` before the driver's message; it is built only on failure.
    fn context(self, line: impl FnOnce() -> String) -> Result<T, Failure>;
}

impl<T> ErrorContext<T> for oxivirt::Result<T> {
    fn context(self, line: impl FnOnce() -> String) -> Result<T, Failure> {
        self.map_err(|error| Failure::Context(line(), error))
    }
}
