//! Why the capabilities of an emulator cannot be had.

use std::io;
use std::path::PathBuf;

use oxivirt::{Error, ErrorCode, ErrorDomain};
use oxivirt_qmp::QmpError;
use oxivirt_sys::chain;
use oxivirt_sys::command::CommandError;
use oxivirt_sys::file::FileError;

/// Why an emulator could not be probed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ProbeError {
    /// There is no such program, or it cannot be executed.
    #[error("Cannot check QEMU binary {path}")]
    Binary {
        /// The program.
        path: PathBuf,
        /// The system's reason.
        #[source]
        source: io::Error,
    },
    /// The directory for runs could not be made.
    #[error(transparent)]
    File(FileError),
    /// A directory for the probe could not be made.
    #[error("cannot create directory in '{path}'")]
    Directory {
        /// Where it was to be.
        path: PathBuf,
        /// The system's reason.
        #[source]
        source: io::Error,
    },
    /// The emulator did not start.
    #[error("cannot run '{emulator}'")]
    Run {
        /// The emulator.
        emulator: PathBuf,
        /// Why.
        #[source]
        source: CommandError,
    },
    /// The emulator ended at once.
    #[error("Failed to probe QEMU binary with QMP: {output}")]
    Exited {
        /// What it printed.
        output: String,
    },
    /// The conversation failed.
    #[error("cannot talk to the emulator")]
    Monitor(#[source] QmpError),
    /// An answer is missing or has another form.
    #[error("unexpected reply to command '{command}'")]
    Answer {
        /// The command.
        command: &'static str,
    },
    /// The emulator is older than what is supported.
    #[error("QEMU version >= 6.2.0 is required, but {emulator} is older")]
    TooOld {
        /// The emulator.
        emulator: String,
    },
}

impl ProbeError {
    /// The error as callers of the API see it.
    #[must_use]
    pub(super) fn for_api(&self) -> Error {
        let domain = ErrorDomain::QEMU;
        match self {
            Self::Binary { source, .. } | Self::Directory { source, .. } => {
                Error::io(domain, source, self)
            }
            Self::TooOld { .. } => {
                Error::new(ErrorCode::CONFIG_UNSUPPORTED, domain, self.to_string())
            }
            other => Error::new(ErrorCode::INTERNAL_ERROR, domain, chain::text(other)),
        }
    }
}
