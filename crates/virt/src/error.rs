//! The error every call of the API fails with.
//!
//! An [`Error`] carries what libvirt's `virError` carries: number, domain, level, the message a
//! person reads, and the pieces the message was made of. Programs compare the number and the
//! domain, never the message. The message prefixes ("Network not found: …") are in one table,
//! [`ErrorCode::template`]; code that raises an error gives the detail only.

pub use oxivirt_types::error::{Classified, ErrorCode, ErrorDomain, ErrorLevel, Template};

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
    /// Number of the error.
    pub code: ErrorCode,
    /// Component that raised it.
    pub domain: ErrorDomain,
    /// Weight.
    pub level: ErrorLevel,
    /// Complete message.
    pub message: String,
    /// Format of the message, in C notation with `%1$s` for the detail.
    pub str1: Option<String>,
    /// The detail put into the format.
    pub str2: Option<String>,
    /// Third part of the message; no call sets it.
    pub str3: Option<String>,
    /// `errno` of a failed system call, else −1.
    pub int1: i32,
    /// Always −1, or 0 for refused flags.
    pub int2: i32,
}

impl Error {
    /// An error whose message is `detail` with the prefix of `code`.
    ///
    /// libvirt: `virReportErrorHelper`
    #[must_use]
    pub fn new(code: ErrorCode, domain: ErrorDomain, detail: impl Into<String>) -> Self {
        let detail = detail.into();
        let Template { before, after, .. } = code.template();
        let message = code.message(Some(&detail));
        let format = match (before, after) {
            // libvirt writes the bare frame without a position
            ("", "") => "%s".to_owned(),
            _ => format!("{before}%1$s{after}"),
        };
        Self::from(ErrorParts {
            code,
            domain,
            level: ErrorLevel::Error,
            message,
            str1: Some(format),
            str2: Some(detail),
            str3: None,
            int1: -1,
            int2: -1,
        })
    }

    /// An error whose message is `message` alone, without the prefix of `code`.
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

    /// An error without a detail.
    #[must_use]
    pub fn bare(code: ErrorCode, domain: ErrorDomain) -> Self {
        let message = code.message(None);
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

    /// The error of a lower layer that has a number and a domain.
    #[must_use]
    pub fn classified(error: &impl Classified) -> Self {
        match error.detail() {
            Some(detail) => Self::new(error.code(), error.domain(), detail),
            None => Self::bare(error.code(), error.domain()),
        }
    }

    /// A failed system call: [`ErrorCode::SYSTEM_ERROR`] with the message `what: text of errno`.
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

    /// Like [`Error::system`] for an error of the standard library. An error that has no `errno` gets
    /// `EIO`.
    #[must_use]
    pub fn io(domain: ErrorDomain, error: &io::Error, what: impl fmt::Display) -> Self {
        const EIO: i32 = 5;
        Self::system(domain, error.raw_os_error().unwrap_or(EIO), what)
    }

    /// [`ErrorCode::NO_SUPPORT`]: the driver lacks the API function `api` (`virNetworkCreate`).
    ///
    /// libvirt: `virReportUnsupportedError`
    #[must_use]
    pub fn unsupported(domain: ErrorDomain, api: &str) -> Self {
        Self::new(ErrorCode::NO_SUPPORT, domain, api)
    }

    /// [`ErrorCode::INVALID_ARG`] without its prefix: `function` does not support the flags `bits`.
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

    /// [`ErrorCode::NO_NETWORK`] of the network driver.
    #[must_use]
    pub fn no_network(detail: impl Into<String>) -> Self {
        Self::new(ErrorCode::NO_NETWORK, ErrorDomain::NETWORK, detail)
    }

    /// [`ErrorCode::OPERATION_INVALID`] of the network driver.
    #[must_use]
    pub fn operation_invalid(detail: impl Into<String>) -> Self {
        Self::new(ErrorCode::OPERATION_INVALID, ErrorDomain::NETWORK, detail)
    }

    /// [`ErrorCode::INVALID_ARG`] of the network driver.
    #[must_use]
    pub fn invalid_argument(detail: impl Into<String>) -> Self {
        Self::new(ErrorCode::INVALID_ARG, ErrorDomain::NETWORK, detail)
    }

    /// [`ErrorCode::INTERNAL_ERROR`] of the network driver.
    #[must_use]
    pub fn internal(detail: impl Into<String>) -> Self {
        Self::new(ErrorCode::INTERNAL_ERROR, ErrorDomain::NETWORK, detail)
    }

    /// Number of the error.
    #[must_use]
    pub fn code(&self) -> ErrorCode {
        self.parts.code
    }

    /// Component that raised it.
    #[must_use]
    pub fn domain(&self) -> ErrorDomain {
        self.parts.domain
    }

    /// Weight.
    #[must_use]
    pub fn level(&self) -> ErrorLevel {
        self.parts.level
    }

    /// Complete message, the same as `Display`. It may have several lines.
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
    /// An error with exactly these fields; none is derived from another.
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

    /// Number, name, message without detail, message with `@` as the detail: read out of
    /// libvirt 11.3.0's `virErrorMsg`.
    const MESSAGES: &str = "
        0 OK | no error | @
        1 INTERNAL_ERROR | internal error | internal error: @
        2 NO_MEMORY | out of memory | out of memory: @
        3 NO_SUPPORT | this function is not supported by the connection driver | this function is not supported by the connection driver: @
        4 UNKNOWN_HOST | unknown host | unknown host @
        5 NO_CONNECT | no connection driver available | no connection driver available for @
        6 INVALID_CONN | invalid connection pointer in | invalid connection pointer in @
        7 INVALID_DOMAIN | invalid domain pointer in | invalid domain pointer in @
        8 INVALID_ARG | invalid argument | invalid argument: @
        9 OPERATION_FAILED | operation failed | operation failed: @
        10 GET_FAILED | GET operation failed | GET operation failed: @
        11 POST_FAILED | POST operation failed | POST operation failed: @
        12 HTTP_ERROR | got unknown HTTP error code | got unknown HTTP error code @
        13 SEXPR_SERIAL | failed to serialize S-Expr | failed to serialize S-Expr: @
        14 NO_XEN | could not use Xen hypervisor entry | could not use Xen hypervisor entry @
        15 XEN_CALL | failed Xen syscall | failed Xen syscall @
        16 OS_TYPE | unknown OS type | unknown OS type @
        17 NO_KERNEL | missing kernel information | missing kernel information: @
        18 NO_ROOT | missing root device information | missing root device information in @
        19 NO_SOURCE | missing source information for device | missing source information for device @
        20 NO_TARGET | missing target information for device | missing target information for device @
        21 NO_NAME | missing name information | missing name information in @
        22 NO_OS | missing operating system information | missing operating system information for @
        23 NO_DEVICE | missing devices information | missing devices information for @
        24 NO_XENSTORE | could not connect to Xen Store | could not connect to Xen Store @
        25 DRIVER_FULL | too many drivers registered | too many drivers registered in @
        26 CALL_FAILED | library call failed | library call failed: @
        27 XML_ERROR | XML description is invalid or not well formed | XML error: @
        28 DOM_EXIST | this domain exists already | domain @ exists already
        29 OPERATION_DENIED | operation forbidden for read only access | operation forbidden: @
        30 OPEN_FAILED | failed to open configuration file | failed to open configuration file @
        31 READ_FAILED | failed to read configuration file | failed to read configuration file @
        32 PARSE_FAILED | failed to parse configuration file | failed to parse configuration file @
        33 CONF_SYNTAX | configuration file syntax error | configuration file syntax error: @
        34 WRITE_FAILED | failed to write configuration file | failed to write configuration file: @
        35 XML_DETAIL | parser error | @
        36 INVALID_NETWORK | invalid network pointer in | invalid network pointer in @
        37 NETWORK_EXIST | this network exists already | network @ exists already
        38 SYSTEM_ERROR | system call error | @
        39 RPC | RPC error | @
        40 GNUTLS_ERROR | GNUTLS call error | @
        41 WAR_NO_NETWORK | Failed to find the network | Failed to find the network: @
        42 NO_DOMAIN | Domain not found | Domain not found: @
        43 NO_NETWORK | Network not found | Network not found: @
        44 INVALID_MAC | invalid MAC address | invalid MAC address: @
        45 AUTH_FAILED | authentication failed | authentication failed: @
        46 INVALID_STORAGE_POOL | invalid storage pool pointer in | invalid storage pool pointer in @
        47 INVALID_STORAGE_VOL | invalid storage volume pointer in | invalid storage volume pointer in @
        48 WAR_NO_STORAGE | Failed to find a storage driver | Failed to find a storage driver: @
        49 NO_STORAGE_POOL | Storage pool not found | Storage pool not found: @
        50 NO_STORAGE_VOL | Storage volume not found | Storage volume not found: @
        51 WAR_NO_NODE | Failed to find a node driver | Failed to find a node driver: @
        52 INVALID_NODE_DEVICE | invalid node device pointer | invalid node device pointer in @
        53 NO_NODE_DEVICE | Node device not found | Node device not found: @
        54 NO_SECURITY_MODEL | Security model not found | Security model not found: @
        55 OPERATION_INVALID | Requested operation is not valid | Requested operation is not valid: @
        56 WAR_NO_INTERFACE | Failed to find the interface | Failed to find the interface: @
        57 NO_INTERFACE | Interface not found | Interface not found: @
        58 INVALID_INTERFACE | invalid interface pointer in | invalid interface pointer in @
        59 MULTIPLE_INTERFACES | multiple matching interfaces found | multiple matching interfaces found: @
        60 WAR_NO_NWFILTER | Failed to start the nwfilter driver | Failed to start the nwfilter driver: @
        61 INVALID_NWFILTER | Invalid network filter | Invalid network filter: @
        62 NO_NWFILTER | Network filter not found | Network filter not found: @
        63 BUILD_FIREWALL | Error while building firewall | Error while building firewall: @
        64 WAR_NO_SECRET | Failed to find a secret storage driver | Failed to find a secret storage driver: @
        65 INVALID_SECRET | Invalid secret | Invalid secret: @
        66 NO_SECRET | Secret not found | Secret not found: @
        67 CONFIG_UNSUPPORTED | unsupported configuration | unsupported configuration: @
        68 OPERATION_TIMEOUT | Timed out during operation | Timed out during operation: @
        69 MIGRATE_PERSIST_FAILED | Failed to make domain persistent after migration | Failed to make domain persistent after migration: @
        70 HOOK_SCRIPT_FAILED | Hook script execution failed | Hook script execution failed: @
        71 INVALID_DOMAIN_SNAPSHOT | Invalid domain snapshot | Invalid domain snapshot: @
        72 NO_DOMAIN_SNAPSHOT | Domain snapshot not found | Domain snapshot not found: @
        73 INVALID_STREAM | invalid stream pointer | invalid stream pointer in @
        74 ARGUMENT_UNSUPPORTED | argument unsupported | argument unsupported: @
        75 STORAGE_PROBE_FAILED | Storage pool probe failed | Storage pool probe failed: @
        76 STORAGE_POOL_BUILT | Storage pool already built | Storage pool already built: @
        77 SNAPSHOT_REVERT_RISKY | revert requires force | revert requires force: @
        78 OPERATION_ABORTED | operation aborted | operation aborted: @
        79 AUTH_CANCELLED | authentication cancelled | authentication cancelled: @
        80 NO_DOMAIN_METADATA | metadata not found | metadata not found: @
        81 MIGRATE_UNSAFE | Unsafe migration | Unsafe migration: @
        82 OVERFLOW | numerical overflow | numerical overflow: @
        83 BLOCK_COPY_ACTIVE | block copy still active | block copy still active: @
        84 OPERATION_UNSUPPORTED | Operation not supported | Operation not supported: @
        85 SSH | SSH transport error | SSH transport error: @
        86 AGENT_UNRESPONSIVE | Guest agent is not responding | Guest agent is not responding: @
        87 RESOURCE_BUSY | resource busy | resource busy: @
        88 ACCESS_DENIED | access denied | access denied: @
        89 DBUS_SERVICE | error from service | error from service: @
        90 STORAGE_VOL_EXIST | this storage volume exists already | storage volume @ exists already
        91 CPU_INCOMPATIBLE | the CPU is incompatible with host CPU | the CPU is incompatible with host CPU: @
        92 XML_INVALID_SCHEMA | XML document failed to validate against schema | XML document failed to validate against schema: @
        93 MIGRATE_FINISH_OK | migration successfully aborted | migration successfully aborted: @
        94 AUTH_UNAVAILABLE | authentication unavailable | authentication unavailable: @
        95 NO_SERVER | Server not found | Server not found: @
        96 NO_CLIENT | Client not found | Client not found: @
        97 AGENT_UNSYNCED | guest agent replied with wrong id to guest-sync command | guest agent replied with wrong id to guest-sync command: @
        98 LIBSSH | libssh transport error | libssh transport error: @
        99 DEVICE_MISSING | device not found | device not found: @
        100 INVALID_NWFILTER_BINDING | Invalid network filter binding | Invalid network filter binding: @
        101 NO_NWFILTER_BINDING | Network filter binding not found | Network filter binding not found: @
        102 INVALID_DOMAIN_CHECKPOINT | Invalid domain checkpoint | Invalid domain checkpoint: @
        103 NO_DOMAIN_CHECKPOINT | Domain checkpoint not found | Domain checkpoint not found: @
        104 NO_DOMAIN_BACKUP | Domain backup job id not found | Domain backup job id not found: @
        105 INVALID_NETWORK_PORT | Invalid network port pointer | Invalid network port pointer: @
        106 NETWORK_PORT_EXIST | this network port exists already | network port @ exists already
        107 NO_NETWORK_PORT | network port not found | network port not found: @
        108 NO_HOSTNAME | no hostname found | no hostname found: @
        109 CHECKPOINT_INCONSISTENT | checkpoint inconsistent | checkpoint inconsistent: @
        110 MULTIPLE_DOMAINS | multiple matching domains found | multiple matching domains found: @
        111 NO_NETWORK_METADATA | metadata not found | metadata not found: @
        112 AGENT_COMMAND_TIMEOUT | guest agent command timed out | guest agent command timed out: @
        113 AGENT_COMMAND_FAILED | guest agent command failed | guest agent command failed: @
    ";

    /// Number and name of each `virErrorDomain` of libvirt 11.3.0.
    const DOMAINS: &str = "
        0 NONE, 1 XEN, 2 XEND, 3 XENSTORE, 4 SEXPR, 5 XML, 6 DOM, 7 RPC, 8 PROXY, 9 CONF,
        10 QEMU, 11 NET, 12 TEST, 13 REMOTE, 14 OPENVZ, 15 XENXM, 16 STATS_LINUX, 17 LXC,
        18 STORAGE, 19 NETWORK, 20 DOMAIN, 21 UML, 22 NODEDEV, 23 XEN_INOTIFY, 24 SECURITY,
        25 VBOX, 26 INTERFACE, 27 ONE, 28 ESX, 29 PHYP, 30 SECRET, 31 CPU, 32 XENAPI,
        33 NWFILTER, 34 HOOK, 35 DOMAIN_SNAPSHOT, 36 AUDIT, 37 SYSINFO, 38 STREAMS, 39 VMWARE,
        40 EVENT, 41 LIBXL, 42 LOCKING, 43 HYPERV, 44 CAPABILITIES, 45 URI, 46 AUTH, 47 DBUS,
        48 PARALLELS, 49 DEVICE, 50 SSH, 51 LOCKSPACE, 52 INITCTL, 53 IDENTITY, 54 CGROUP,
        55 ACCESS, 56 SYSTEMD, 57 BHYVE, 58 CRYPTO, 59 FIREWALL, 60 POLKIT, 61 THREAD, 62 ADMIN,
        63 LOGGING, 64 XENXL, 65 PERF, 66 LIBSSH, 67 RESCTRL, 68 FIREWALLD,
        69 DOMAIN_CHECKPOINT, 70 TPM, 71 BPF, 72 CH,
    ";

    #[test]
    fn every_error_number_has_the_messages_of_libvirt() {
        let mut rows = Vec::new();
        for row in MESSAGES.lines().map(str::trim).filter(|row| !row.is_empty()) {
            let [head, alone, framed] = row.split(" | ").collect::<Vec<_>>()[..] else {
                panic!("three columns: {row}");
            };
            let (number, name) = head.split_once(' ').expect("number and name");
            let code = ErrorCode(number.parse().expect("a number"));
            assert_eq!(code.name(), Some(name));

            let bare = Error::bare(code, ErrorDomain::NETWORK);
            assert_eq!(bare.message(), alone, "{name}");
            assert_eq!(bare.parts().str1.as_deref(), Some(alone), "{name}");
            assert_eq!(bare.parts().str2, None, "{name}");

            let error = Error::new(code, ErrorDomain::NETWORK, "@");
            assert_eq!(error.message(), framed, "{name}");
            let format = if framed == "@" { "%s" } else { &framed.replace('@', "%1$s") };
            let parts = error.parts();
            assert_eq!(parts.str1.as_deref(), Some(format), "{name}");
            assert_eq!(parts.str2.as_deref(), Some("@"), "{name}");
            assert_eq!((parts.level.number(), parts.int1, parts.int2), (2, -1, -1));
            rows.push(code);
        }
        assert_eq!(rows, (0..=113).map(ErrorCode).collect::<Vec<_>>());
        assert_eq!(rows, ErrorCode::ALL);
    }

    #[test]
    fn every_error_domain_has_the_name_of_libvirt() {
        let rows = DOMAINS.split(',').map(str::trim).filter(|row| !row.is_empty());
        let rows: Vec<_> = rows
            .map(|row| {
                let (number, name) = row.split_once(' ').expect("number and name");
                let domain = ErrorDomain(number.parse().expect("a number"));
                assert_eq!(domain.name(), Some(name));
                domain
            })
            .collect();
        assert_eq!(rows, (0..=72).map(ErrorDomain).collect::<Vec<_>>());
        assert_eq!(rows, ErrorDomain::ALL);
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
