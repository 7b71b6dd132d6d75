//! Where an error of the driver becomes one of the API: number, domain, message.
//!
//! Scripts depend on number and domain, so this table is tested.

use std::io;

use oxivirt::{Error, ErrorCode, ErrorDomain};
use oxivirt_conf::ParseError;
use oxivirt_conf::domain::DomainError;
use oxivirt_engine::JournalError;
use oxivirt_engine::store::StoreError;
use oxivirt_qmp::QmpError;
use oxivirt_sys::chain;
use oxivirt_sys::pidfile::PidFileError;

use crate::apply::HostError;
use crate::command::PlanError;

/// A document was refused.
#[must_use]
pub(crate) fn parse(error: &ParseError) -> Error {
    Error::classified(error)
}

/// A definition was refused.
#[must_use]
pub(crate) fn definition(error: DomainError) -> Error {
    parse(&error.into())
}

/// No guest answers to a reference.
#[must_use]
pub(crate) fn no_domain(detail: impl Into<String>) -> Error {
    Error::new(ErrorCode::NO_DOMAIN, ErrorDomain::QEMU, detail)
}

/// The guest is in a state that excludes the operation.
#[must_use]
pub(crate) fn invalid(detail: impl Into<String>) -> Error {
    Error::new(ErrorCode::OPERATION_INVALID, ErrorDomain::QEMU, detail)
}

/// The guest does not run (`virDomainObjCheckActive`).
#[must_use]
pub(crate) fn not_running() -> Error {
    Error::new(ErrorCode::OPERATION_INVALID, ErrorDomain::DOMAIN, "domain is not running")
}

/// Something on disk could not be read or written.
#[must_use]
pub(crate) fn store(error: &StoreError<ParseError>) -> Error {
    match error {
        StoreError::Document { source, .. } => parse(source),
        StoreError::File(file) => match file.io() {
            Some(source) => system(source, file),
            None => Error::new(ErrorCode::INTERNAL_ERROR, ErrorDomain::QEMU, file.to_string()),
        },
        StoreError::Link { source, .. } => system(source, error),
    }
}

/// Another driver has the same directories.
#[must_use]
pub(crate) fn pid_file(error: &PidFileError) -> Error {
    let what = match error {
        PidFileError::Held { .. } => "another QEMU driver is running: ",
        _ => "",
    };
    let text = format!("{what}{}", chain::text(error));
    Error::new(ErrorCode::SYSTEM_ERROR, ErrorDomain::QEMU, text)
}

/// No command line can be made.
#[must_use]
pub(crate) fn plan(error: &PlanError) -> Error {
    Error::classified(error)
}

/// The journal could not be used, so nothing was done.
#[must_use]
pub(crate) fn journal(error: &JournalError) -> Error {
    Error::new(ErrorCode::SYSTEM_ERROR, ErrorDomain::QEMU, chain::text(error))
}

/// The monitor did not do what it was asked for.
#[must_use]
pub(crate) fn monitor(error: &QmpError) -> Error {
    let code = match error {
        QmpError::Timeout { .. } => ErrorCode::OPERATION_TIMEOUT,
        QmpError::Closed(_) => ErrorCode::OPERATION_FAILED,
        _ => ErrorCode::INTERNAL_ERROR,
    };
    Error::new(code, ErrorDomain::QEMU, chain::text(error))
}

/// The host refused.
#[must_use]
pub(crate) fn host(error: &HostError) -> Error {
    match error {
        HostError::Network(error) => error.clone(),
        HostError::Monitor(error) => monitor(error),
        HostError::Path { source, path, action } => {
            Error::io(ErrorDomain::QEMU, source, format!("cannot {action} '{}'", path.display()))
        }
        HostError::Launch { step, errno } => {
            Error::system(ErrorDomain::QEMU, *errno, format!("cannot {step}"))
        }
        HostError::File(_)
        | HostError::Label(_)
        | HostError::Cgroup(_)
        | HostError::Tap(_)
        | HostError::Netlink(_)
        | HostError::NoBridge(_)
        | HostError::Launcher { .. }
        | HostError::Process { .. } => {
            Error::new(ErrorCode::SYSTEM_ERROR, ErrorDomain::QEMU, chain::text(error))
        }
        HostError::NoNetworks | HostError::Wire(_) | HostError::Order | HostError::Worker => {
            Error::new(ErrorCode::INTERNAL_ERROR, ErrorDomain::QEMU, chain::text(error))
        }
    }
}

fn system(source: &io::Error, what: &(dyn std::error::Error + 'static)) -> Error {
    Error::io(ErrorDomain::QEMU, source, what)
}
