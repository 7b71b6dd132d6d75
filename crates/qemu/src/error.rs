//! Where an error of the driver becomes one of the API: number, domain, message.
//!
//! Scripts depend on number and domain, so this table is tested.

use std::io;

use oxivirt::{Error, ErrorCode, ErrorDomain};
use oxivirt_conf::ParseError;
use oxivirt_conf::domain::DomainError;
use oxivirt_engine::store::StoreError;
use oxivirt_sys::chain;
use oxivirt_sys::pidfile::PidFileError;

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

fn system(source: &io::Error, what: &(dyn std::error::Error + 'static)) -> Error {
    Error::io(ErrorDomain::QEMU, source, what)
}
