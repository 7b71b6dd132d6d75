//! Where an error of the driver becomes one of the API: number, domain, message.
//!
//! Scripts depend on number and domain, so this table is tested.

use std::io;

use oxivirt::{Error, ErrorCode, ErrorDomain};
use oxivirt_conf::ParseError;
use oxivirt_engine::JournalError;
use oxivirt_engine::store::StoreError;
use oxivirt_sys::chain;
use oxivirt_sys::file::FileError;
use oxivirt_sys::pidfile::PidFileError;

use crate::host::HostError;

/// An error of the storage driver.
#[must_use]
pub(crate) fn new(code: ErrorCode, detail: impl Into<String>) -> Error {
    Error::new(code, ErrorDomain::STORAGE, detail)
}

/// A call that the state of a pool or volume excludes.
#[must_use]
pub(crate) fn invalid(detail: impl Into<String>) -> Error {
    new(ErrorCode::OPERATION_INVALID, detail)
}

/// There is no such pool.
#[must_use]
pub(crate) fn no_pool(what: &str) -> Error {
    new(ErrorCode::NO_STORAGE_POOL, format!("no storage pool with matching {what}"))
}

/// There is no such volume.
#[must_use]
pub(crate) fn no_volume(what: &str) -> Error {
    new(ErrorCode::NO_STORAGE_VOL, format!("no storage vol with matching {what}"))
}

/// A pool is not started.
#[must_use]
pub(crate) fn not_active(name: &str) -> Error {
    invalid(format!("storage pool '{name}' is not active"))
}

/// The system refused.
#[must_use]
pub(crate) fn system(error: &io::Error, what: impl Into<String>) -> Error {
    Error::io(ErrorDomain::STORAGE, error, what.into())
}

/// A task ended without a result.
#[must_use]
pub(crate) fn task(error: &tokio::task::JoinError) -> Error {
    new(ErrorCode::INTERNAL_ERROR, format!("the operation ended unexpectedly: {error}"))
}

/// The host refused.
#[must_use]
pub(crate) fn host(error: &HostError) -> Error {
    match error {
        HostError::System { what, source } => system(source, what.clone()),
        HostError::Exists { name } => new(ErrorCode::STORAGE_VOL_EXIST, format!("'{name}'")),
        HostError::NoProgram => new(ErrorCode::INTERNAL_ERROR, error.to_string()),
        HostError::Program { .. } | HostError::Command(_) => {
            Error::new(ErrorCode::INTERNAL_ERROR, ErrorDomain::NONE, chain::text(error))
        }
        HostError::Task(error) => task(error),
    }
}

/// A file of the driver could not be read or written.
#[must_use]
pub(crate) fn file(error: &FileError) -> Error {
    match error.io() {
        Some(source) => system(source, error.to_string()),
        None => new(ErrorCode::INTERNAL_ERROR, error.to_string()),
    }
}

/// A definition or link could not be read or written.
#[must_use]
pub(crate) fn store(error: &StoreError<ParseError>) -> Error {
    match error {
        StoreError::File(error) => file(error),
        StoreError::Link { source, .. } => system(source, error.to_string()),
        StoreError::Document { .. } => new(ErrorCode::INTERNAL_ERROR, error.to_string()),
    }
}

/// The journal could not be written.
#[must_use]
pub(crate) fn journal(error: &JournalError) -> Error {
    match error {
        JournalError::File(error) => file(error),
        _ => new(ErrorCode::INTERNAL_ERROR, chain::text(error)),
    }
}

/// Another driver has the directories.
#[must_use]
pub(crate) fn pid_file(error: &PidFileError) -> Error {
    new(ErrorCode::SYSTEM_ERROR, chain::text(error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(error: &Error, code: i32, domain: i32, message: &str) {
        assert_eq!((error.code().0, error.domain().0, error.message()), (code, domain, message));
    }

    #[test]
    fn numbers_domains_and_messages_are_libvirts() {
        let what = no_pool("name 'x'");
        check(&what, 49, 18, "Storage pool not found: no storage pool with matching name 'x'");
        let what = no_volume("key x");
        check(&what, 50, 18, "Storage volume not found: no storage vol with matching key x");
        let text = "Requested operation is not valid: storage pool 'x' is not active";
        check(&not_active("x"), 55, 18, text);
        let exists = HostError::Exists { name: String::from("x") };
        check(&host(&exists), 90, 18, "storage volume 'x' exists already");
        let missing = || io::Error::from_raw_os_error(2);
        let refused = HostError::System { what: String::from("cannot do"), source: missing() };
        check(&host(&refused), 38, 18, "cannot do: No such file or directory");
        let text = "internal error: unable to find qemu-img";
        check(&host(&HostError::NoProgram), 1, 18, text);
        let (line, status, stderr) = (String::from("qemu-img x"), 1, String::from("no"));
        let failed = HostError::Program { line, status, stderr };
        let text = "internal error: Child process (qemu-img x) unexpected exit status 1: no";
        check(&host(&failed), 1, 0, text);
    }
}
