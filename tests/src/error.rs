//! The one error type of the harness.
//!
//! Callers only print it and fail, so that one enum serves every module of this member.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Result of everything in this crate that can fail.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why a scenario could not be carried out or did not come out as expected.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A program could not be started or talked to.
    #[error("cannot run '{command}'")]
    Run {
        /// The command line.
        command: String,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// A program ended with another status than 0.
    #[error("'{command}' ended with {status}:\n{output}")]
    Status {
        /// The command line.
        command: String,
        /// The exit status in words.
        status: String,
        /// Both output streams.
        output: String,
    },
    /// A program did not end, or did not close its output, in time.
    #[error("'{command}' was not done after {after:?}")]
    Deadline {
        /// The command line.
        command: String,
        /// The time it was given.
        after: Duration,
    },
    /// Something did not come true in time.
    #[error("{what}: not so after {after:?}")]
    Wait {
        /// What was waited for.
        what: String,
        /// The time it was given.
        after: Duration,
    },
    /// A file or directory could not be used.
    #[error("'{path}'")]
    File {
        /// Which one.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// A system call of the harness itself failed.
    #[error("{what}")]
    System {
        /// What was tried.
        what: String,
        /// What the system said.
        #[source]
        source: nix::Error,
    },
    /// Output of a program, or a data file, is not what it should look like.
    #[error("cannot read {what}: {found}")]
    Format {
        /// What was read.
        what: String,
        /// The part that could not be read, or what the parser said.
        found: String,
    },
    /// The software under test refused a call.
    #[error("error {number} of domain {domain}: {message}")]
    Refused {
        /// libvirt's error number.
        number: u32,
        /// libvirt's error domain.
        domain: u32,
        /// What it said.
        message: String,
    },
    /// The scenario ran and its result is wrong.
    #[error("{0}")]
    Wrong(String),
}

impl Error {
    /// For `map_err` after a use of `path`.
    pub fn file(path: &Path) -> impl FnOnce(io::Error) -> Self + use<> {
        let path = path.to_path_buf();
        move |source| Self::File { path, source }
    }

    /// For `map_err` after a system call.
    pub fn system(what: impl Into<String>) -> impl FnOnce(nix::Error) -> Self {
        let what = what.into();
        move |source| Self::System { what, source }
    }

    /// The error and its causes, one line.
    pub fn chain(&self) -> String {
        let mut text = self.to_string();
        let mut next = std::error::Error::source(self);
        while let Some(cause) = next {
            text.push_str(": ");
            text.push_str(&cause.to_string());
            next = cause.source();
        }
        text
    }
}
