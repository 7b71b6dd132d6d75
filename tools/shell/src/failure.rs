//! How a command fails, as the lines on stderr.

use std::io;

use oxivirt::Error;

use crate::xml_hint;

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
    /// A failure with a hint below its messages.
    Hinted(Box<Self>, String),
    /// The messages have been printed.
    Reported,
    /// stdout cannot be written.
    Output(io::Error),
}

impl Failure {
    /// Adds a hint.
    pub(crate) fn hint(self, hint: impl Into<Option<String>>) -> Self {
        match hint.into() {
            Some(hint) => Self::Hinted(Box::new(self), hint),
            None => self,
        }
    }

    /// Adds the valid values if the driver rejected an enumerated attribute of the document `xml`.
    pub(crate) fn hint_for_document(self, xml: &str) -> Self {
        let hint = match &self {
            Self::Driver(error) | Self::Context(_, error) => xml_hint::for_document(xml, error),
            _ => None,
        };
        self.hint(hint)
    }
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
