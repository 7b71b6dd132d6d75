//! How a command fails, as the lines a person reads.

use oxivirt::Error;
use std::io;

/// Why a command failed.
///
/// A command says what it wanted to do, the driver why that did not work; some commands leave
/// one of the two out, and scripts know which.
#[derive(Debug)]
pub(crate) enum Failure {
    /// The command's own line.
    Own(String),
    /// The driver's line.
    Driver(Error),
    /// The command's own line, then the driver's.
    Both(String, Error),
    /// Everything was said already.
    Silent,
    /// Output cannot be written.
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

/// Puts a command's own line before a driver's.
pub(crate) trait OrElse<T> {
    /// The own line is made only if it is needed.
    fn or_else_say(self, line: impl FnOnce() -> String) -> Result<T, Failure>;
}

impl<T> OrElse<T> for oxivirt::Result<T> {
    fn or_else_say(self, line: impl FnOnce() -> String) -> Result<T, Failure> {
        self.map_err(|error| Failure::Both(line(), error))
    }
}
