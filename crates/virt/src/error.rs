//! The error every call of the API fails with.
//!
//! An [`Error`] carries what libvirt's `virError` carries: number, domain, level, the message a
//! person reads, and the pieces the message was made of. Programs compare the number and the
//! domain, never the message. The visible frames ("Network not found: …") live in one table,
//! [`ErrorCode::template`]; whoever raises an error gives the detail only.

pub use oxivirt_types::error::{ErrorCode, ErrorDomain, ErrorLevel, Template};

use std::{fmt, io};

/// Result of a call of the API.
pub type Result<T> = std::result::Result<T, Error>;

/// Why a call failed.
///
/// libvirt: `virError`, include/libvirt/virterror.h
#[derive(Clone, PartialEq, Eq)]
pub struct Error {
    /// Boxed, so that the success path of every call stays small.
    parts: Box<ErrorParts>,
}

/// The public fields of an [`Error`], as they travel between processes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ErrorParts {
    /// What kind of thing went wrong.
    pub code: ErrorCode,
    /// Who says so.
    pub domain: ErrorDomain,
    /// How much it matters.
    pub level: ErrorLevel,
    /// Complete text for a person.
    pub message: String,
    /// Format of the message, in C notation with `%1$s` for the detail.
    pub str1: Option<String>,
    /// The detail put into the format.
    pub str2: Option<String>,
    /// Unused by the network calls.
    pub str3: Option<String>,
    /// `errno` of a failed system call, −1 without meaning.
    pub int1: i32,
    /// −1 without meaning.
    pub int2: i32,
}

impl Error {
    /// An error whose message is the frame of `code` around `detail`.
    ///
    /// libvirt: `virReportErrorHelper`
    #[must_use]
    pub fn new(code: ErrorCode, domain: ErrorDomain, detail: impl Into<String>) -> Self {
        let detail = detail.into();
        let Template { before, after, .. } = code.template();
        let format = match (before, after) {
            // libvirt writes the bare frame without a position
            ("", "") => "%s".to_owned(),
            _ => format!("{before}%1$s{after}"),
        };
        Self::from(ErrorParts {
            code,
            domain,
            level: ErrorLevel::Error,
            message: format!("{before}{detail}{after}"),
            str1: Some(format),
            str2: Some(detail),
            str3: None,
            int1: -1,
            int2: -1,
        })
    }

    /// An error whose message is `message` alone, without the frame of `code`.
    ///
    /// libvirt: `virReportInvalidArg`, `virRaiseErrorFull`
    #[must_use]
    pub fn plain(code: ErrorCode, domain: ErrorDomain, message: impl Into<String>) -> Self {
        let message = message.into();
        Self::from(ErrorParts {
            code,
            domain,
            level: ErrorLevel::Error,
            str1: Some("%s".to_owned()),
            str2: Some(message.clone()),
            message,
            str3: None,
            int1: -1,
            int2: -1,
        })
    }

    /// An error about which no more is known than its number.
    #[must_use]
    pub fn bare(code: ErrorCode, domain: ErrorDomain) -> Self {
        let message = code.template().alone.to_owned();
        Self::from(ErrorParts {
            code,
            domain,
            level: ErrorLevel::Error,
            str1: Some(message.clone()),
            message,
            str2: None,
            str3: None,
            int1: -1,
            int2: -1,
        })
    }

    /// A failed system call: number 38, message `what: text of errno`.
    ///
    /// libvirt: `virReportSystemErrorFull`
    #[must_use]
    pub fn system(domain: ErrorDomain, errno: i32, what: impl fmt::Display) -> Self {
        let message = format!("{what}: {}", errno_text(errno));
        Self::from(ErrorParts {
            code: ErrorCode::SYSTEM_ERROR,
            domain,
            level: ErrorLevel::Error,
            str1: Some("%s".to_owned()),
            str2: Some(message.clone()),
            message,
            str3: None,
            int1: errno,
            int2: -1,
        })
    }

    /// Like [`Error::system`] for an error of the standard library. One which does not come from
    /// the kernel counts as an input/output error.
    #[must_use]
    pub fn io(domain: ErrorDomain, error: &io::Error, what: impl fmt::Display) -> Self {
        const EIO: i32 = 5;
        Self::system(domain, error.raw_os_error().unwrap_or(EIO), what)
    }

    /// The driver lacks the API function `api` (`virNetworkCreate`): number 3.
    ///
    /// libvirt: `virReportUnsupportedError`
    #[must_use]
    pub fn unsupported(domain: ErrorDomain, api: &str) -> Self {
        Self::new(ErrorCode::NO_SUPPORT, domain, api)
    }

    /// Flag bits `bits` mean nothing to `function`: number 8, and a message without the frame.
    ///
    /// libvirt: `virCheckFlags`
    #[must_use]
    pub fn unsupported_flags(domain: ErrorDomain, bits: u32, function: &str) -> Self {
        Self::from(ErrorParts {
            code: ErrorCode::INVALID_ARG,
            domain,
            level: ErrorLevel::Error,
            message: format!("unsupported flags (0x{bits:x}) in function {function}"),
            str1: Some(function.to_owned()),
            str2: Some("flags".to_owned()),
            str3: None,
            int1: 0,
            int2: 0,
        })
    }

    /// No such network: number 43.
    #[must_use]
    pub fn no_network(detail: impl Into<String>) -> Self {
        Self::new(ErrorCode::NO_NETWORK, ErrorDomain::NETWORK, detail)
    }

    /// The state of the network excludes the operation: number 55.
    #[must_use]
    pub fn operation_invalid(detail: impl Into<String>) -> Self {
        Self::new(ErrorCode::OPERATION_INVALID, ErrorDomain::NETWORK, detail)
    }

    /// A parameter of a network call has a value it does not take: number 8.
    #[must_use]
    pub fn invalid_argument(detail: impl Into<String>) -> Self {
        Self::new(ErrorCode::INVALID_ARG, ErrorDomain::NETWORK, detail)
    }

    /// A failure of the network code without a number of its own: number 1.
    #[must_use]
    pub fn internal(detail: impl Into<String>) -> Self {
        Self::new(ErrorCode::INTERNAL_ERROR, ErrorDomain::NETWORK, detail)
    }

    /// What kind of thing went wrong.
    #[must_use]
    pub fn code(&self) -> ErrorCode {
        self.parts.code
    }

    /// Who says so.
    #[must_use]
    pub fn domain(&self) -> ErrorDomain {
        self.parts.domain
    }

    /// How much it matters.
    #[must_use]
    pub fn level(&self) -> ErrorLevel {
        self.parts.level
    }

    /// Complete text for a person, the same as `Display`. May hold newlines.
    #[must_use]
    pub fn message(&self) -> &str {
        &self.parts.message
    }

    /// All public fields.
    #[must_use]
    pub fn parts(&self) -> &ErrorParts {
        &self.parts
    }

    /// All public fields, by value.
    #[must_use]
    pub fn into_parts(self) -> ErrorParts {
        *self.parts
    }
}

impl From<ErrorParts> for Error {
    /// An error as it is: nothing is derived, not even the message.
    fn from(parts: ErrorParts) -> Self {
        Self { parts: Box::new(parts) }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.parts.message)
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ErrorParts { code, domain, message, .. } = &*self.parts;
        write!(f, "Error({code:?}, {domain:?}, {message:?})")
    }
}

impl std::error::Error for Error {}

/// The C library's text for `errno`, without the number the standard library adds.
#[must_use]
pub fn errno_text(errno: i32) -> String {
    let mut text = io::Error::from_raw_os_error(errno).to_string();
    if let Some(end) = text.rfind(" (os error ") {
        text.truncate(end);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(code: ErrorCode, number: i32, message: &str, format: &str) {
        let error = Error::new(code, ErrorDomain::NETWORK, "@");
        assert_eq!(error.code().0, number);
        assert_eq!(error.domain().0, 19);
        assert_eq!(error.level().number(), 2);
        assert_eq!(error.to_string(), message);
        let parts = error.parts();
        assert_eq!(parts.str1.as_deref(), Some(format));
        assert_eq!(parts.str2.as_deref(), Some("@"));
        assert_eq!((parts.int1, parts.int2), (-1, -1));
    }

    #[test]
    fn messages_have_the_frame_of_their_number() {
        use ErrorCode as C;
        for (code, number, message) in [
            (C::INTERNAL_ERROR, 1, "internal error: @"),
            (C::NO_MEMORY, 2, "out of memory: @"),
            (C::NO_SUPPORT, 3, "this function is not supported by the connection driver: @"),
            (C::NO_CONNECT, 5, "no connection driver available for @"),
            (C::INVALID_CONN, 6, "invalid connection pointer in @"),
            (C::INVALID_ARG, 8, "invalid argument: @"),
            (C::OPERATION_FAILED, 9, "operation failed: @"),
            (C::NO_NAME, 21, "missing name information in @"),
            (C::XML_ERROR, 27, "XML error: @"),
            (C::OPERATION_DENIED, 29, "operation forbidden: @"),
            (C::CONF_SYNTAX, 33, "configuration file syntax error: @"),
            (C::INVALID_NETWORK, 36, "invalid network pointer in @"),
            (C::NETWORK_EXIST, 37, "network @ exists already"),
            (C::NO_DOMAIN, 42, "Domain not found: @"),
            (C::NO_NETWORK, 43, "Network not found: @"),
            (C::INVALID_MAC, 44, "invalid MAC address: @"),
            (C::AUTH_FAILED, 45, "authentication failed: @"),
            (C::OPERATION_INVALID, 55, "Requested operation is not valid: @"),
            (C::CONFIG_UNSUPPORTED, 67, "unsupported configuration: @"),
            (C::OPERATION_TIMEOUT, 68, "Timed out during operation: @"),
            (C::HOOK_SCRIPT_FAILED, 70, "Hook script execution failed: @"),
            (C::ARGUMENT_UNSUPPORTED, 74, "argument unsupported: @"),
            (C::AUTH_CANCELLED, 79, "authentication cancelled: @"),
            (C::NO_DOMAIN_METADATA, 80, "metadata not found: @"),
            (C::OVERFLOW, 82, "numerical overflow: @"),
            (C::OPERATION_UNSUPPORTED, 84, "Operation not supported: @"),
            (C::AGENT_UNRESPONSIVE, 86, "Guest agent is not responding: @"),
            (C::RESOURCE_BUSY, 87, "resource busy: @"),
            (C::ACCESS_DENIED, 88, "access denied: @"),
            (C::DBUS_SERVICE, 89, "error from service: @"),
            (C::XML_INVALID_SCHEMA, 92, "XML document failed to validate against schema: @"),
            (C::AUTH_UNAVAILABLE, 94, "authentication unavailable: @"),
            (C::NO_SERVER, 95, "Server not found: @"),
            (C::NO_CLIENT, 96, "Client not found: @"),
            (C::INVALID_NETWORK_PORT, 105, "Invalid network port pointer: @"),
            (C::NETWORK_PORT_EXIST, 106, "network port @ exists already"),
            (C::NO_NETWORK_PORT, 107, "network port not found: @"),
            (C::NO_HOSTNAME, 108, "no hostname found: @"),
            (C::NO_NETWORK_METADATA, 111, "metadata not found: @"),
        ] {
            check(code, number, message, &message.replace('@', "%1$s"));
        }
        for (code, number) in [(C::XML_DETAIL, 35), (C::SYSTEM_ERROR, 38), (C::RPC, 39)] {
            check(code, number, "@", "%s");
        }
        assert_eq!(C::ALL.len(), 42, "a new number belongs into this table");
    }

    #[test]
    fn a_number_without_detail_has_a_text_of_its_own() {
        let error = Error::bare(ErrorCode::NO_NAME, ErrorDomain::NETWORK);
        assert_eq!(error.message(), "missing name information");
        assert_eq!(error.parts().str1.as_deref(), Some("missing name information"));
        assert_eq!(error.parts().str2, None);
    }

    #[test]
    fn unknown_numbers_stay_representable() {
        let error = Error::new(ErrorCode(4711), ErrorDomain(99), "odd");
        assert_eq!((error.code().0, error.domain().0), (4711, 99));
        assert_eq!(error.message(), "odd");
        assert_eq!(format!("{error:?}"), "Error(4711, 99, \"odd\")");
        assert_eq!(ErrorLevel::from_number(7).number(), 7);
    }

    #[test]
    fn a_system_error_keeps_its_errno() {
        let error = Error::system(ErrorDomain::NONE, 2, "cannot open 'a'");
        assert_eq!(error.message(), "cannot open 'a': No such file or directory");
        assert_eq!(error.code(), ErrorCode::SYSTEM_ERROR);
        assert_eq!(error.parts().int1, 2);
    }

    #[test]
    fn rejected_flags_name_the_function() {
        let error = Error::unsupported_flags(ErrorDomain::NETWORK, 0x18, "networkGetXMLDesc");
        assert_eq!(error.message(), "unsupported flags (0x18) in function networkGetXMLDesc");
        assert_eq!(error.code(), ErrorCode::INVALID_ARG);
        assert_eq!((error.parts().int1, error.parts().int2), (0, 0));
    }
}
