//! Errors on the wire; the one place where an error of the API becomes bytes.

use oxivirt::{Error, ErrorCode, ErrorDomain, ErrorLevel, ErrorParts};
use oxivirt_rpc::xdr::Text;
use serde::{Deserialize, Serialize};

use super::{Domain, Network, text};

/// Why a call failed (`virNetMessageError`).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RemoteError {
    /// Number of the error.
    pub code: i32,
    /// Component that raised it.
    pub domain: i32,
    /// Text for a person.
    pub message: Option<Text>,
    /// How much it matters.
    pub level: i32,
    /// Always absent.
    pub dom: Option<Domain>,
    /// Format of the message.
    pub str1: Option<Text>,
    /// What was put into it.
    pub str2: Option<Text>,
    /// More of that.
    pub str3: Option<Text>,
    /// `errno`, or -1.
    pub int1: i32,
    /// -1.
    pub int2: i32,
    /// Always absent.
    pub net: Option<Network>,
}

impl From<Error> for RemoteError {
    fn from(error: Error) -> Self {
        let parts = error.into_parts();
        Self {
            code: parts.code.0,
            domain: parts.domain.0,
            message: Some(parts.message.into()),
            level: parts.level.number(),
            dom: None,
            str1: parts.str1.map(Into::into),
            str2: parts.str2.map(Into::into),
            str3: parts.str3.map(Into::into),
            int1: parts.int1,
            int2: parts.int2,
            net: None,
        }
    }
}

impl From<&RemoteError> for Error {
    /// As libvirt's client reads it: numbers that moved keep their meaning, and a daemon that does not know
    /// a procedure lacks the function.
    fn from(error: &RemoteError) -> Self {
        let message = text(error.message.as_ref()).unwrap_or_default();
        Self::from(ErrorParts {
            code: ErrorCode(code_of(error, &message)),
            domain: ErrorDomain(error.domain),
            level: ErrorLevel::from_number(error.level),
            message,
            str1: text(error.str1.as_ref()),
            str2: text(error.str2.as_ref()),
            str3: text(error.str3.as_ref()),
            int1: error.int1,
            int2: error.int2,
        })
    }
}

/// libvirt: `virNetClientProgramDispatchError`, src/rpc/virnetclientprogram.c
fn code_of(error: &RemoteError, message: &str) -> i32 {
    match (error.code, error.domain) {
        (61..=63, domain) if domain != 33 => error.code + 4,
        (64, 10) => 68,
        (65, 1) => 69,
        (39, 7 | 13) if error.level == 2 && message.starts_with("unknown procedure") => 3,
        (code, _) => code,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use oxivirt_rpc::xdr;

    #[test]
    fn an_error_of_the_api_comes_back_as_it_was() {
        for error in [
            Error::no_network("no network with matching name 'x'"),
            Error::system(ErrorDomain::NETWORK, 2, "cannot open"),
            Error::bare(ErrorCode::NO_NAME, ErrorDomain::NETWORK),
            Error::unsupported_flags(ErrorDomain::NETWORK, 2, "networkGetXMLDesc"),
        ] {
            let mut bytes = Vec::new();
            xdr::append(&mut bytes, &RemoteError::from(error.clone())).unwrap();
            let read: RemoteError = xdr::from_bytes_exact(&bytes).unwrap();
            assert_eq!(Error::from(&read).parts(), error.parts());
        }
    }

    #[track_caller]
    fn check(code: i32, domain: i32, message: &str, expect: i32) {
        let error = Error::plain(ErrorCode(code), ErrorDomain(domain), message);
        assert_eq!(Error::from(&RemoteError::from(error)).code().0, expect);
    }

    #[test]
    fn numbers_that_moved() {
        check(62, 11, "x", 66);
        check(62, 33, "x", 62);
        check(64, 10, "x", 68);
        check(39, 7, "unknown procedure: 999", 3);
        check(39, 7, "authentication required", 39);
    }
}
