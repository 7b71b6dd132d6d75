//! Error numbers, domains and levels, and the one table of visible prefixes.
//!
//! Numbers travel over the wire and scripts compare them, so an unknown one stays what it is
//! instead of collapsing into "other".

use std::fmt;

/// Number of an error: which kind of thing went wrong (`virErrorNumber`).
///
/// Only the numbers a network connection can meet have a constant; any other number is
/// carried as it is.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ErrorCode(pub i32);

/// Component which raised an error (`virErrorDomain`).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ErrorDomain(pub i32);

/// How the message of one error number is put together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Template {
    /// Message when nothing more is known.
    pub alone: &'static str,
    /// Text before the detail.
    pub before: &'static str,
    /// Text after the detail.
    pub after: &'static str,
}

macro_rules! codes {
    ($($(#[$doc:meta])* $name:ident = $number:literal, $alone:literal, $before:literal, $after:literal;)*) => {
        impl ErrorCode {
            $($(#[$doc])* pub const $name: Self = Self($number);)*

            /// Name as in libvirt's headers without `VIR_ERR_`; `None` for a number without a
            /// constant here.
            #[must_use]
            pub const fn name(self) -> Option<&'static str> {
                match self.0 {
                    $($number => Some(stringify!($name)),)*
                    _ => None,
                }
            }

            /// Visible frame of messages with this number (`virErrorMsg`).
            ///
            /// A number without a constant here shows its detail alone.
            #[must_use]
            pub const fn template(self) -> Template {
                match self.0 {
                    $($number => Template { alone: $alone, before: $before, after: $after },)*
                    _ => Template { alone: "unknown error", before: "", after: "" },
                }
            }

            /// Every number with a constant here.
            pub const ALL: &[Self] = &[$(Self::$name),*];
        }
    };
}

codes! {
    /// Something the code did not expect, or a failure without a number of its own.
    INTERNAL_ERROR = 1, "internal error", "internal error: ", "";
    /// Memory is exhausted.
    NO_MEMORY = 2, "out of memory", "out of memory: ", "";
    /// The driver behind the connection lacks this call.
    NO_SUPPORT = 3, "this function is not supported by the connection driver",
        "this function is not supported by the connection driver: ", "";
    /// No driver takes the URI.
    NO_CONNECT = 5, "no connection driver available", "no connection driver available for ", "";
    /// The connection is closed or not usable.
    INVALID_CONN = 6, "invalid connection pointer in", "invalid connection pointer in ", "";
    /// A parameter has a value the call does not take.
    INVALID_ARG = 8, "invalid argument", "invalid argument: ", "";
    /// The call was understood, tried and refused, for instance by an identity clash.
    OPERATION_FAILED = 9, "operation failed", "operation failed: ", "";
    /// A name is required and empty or absent.
    NO_NAME = 21, "missing name information", "missing name information in ", "";
    /// The document is well formed but says something wrong.
    XML_ERROR = 27, "XML description is invalid or not well formed", "XML error: ", "";
    /// A change was asked for over a read-only connection.
    OPERATION_DENIED = 29, "operation forbidden for read only access", "operation forbidden: ", "";
    /// A configuration file cannot be understood.
    CONF_SYNTAX = 33, "configuration file syntax error", "configuration file syntax error: ", "";
    /// The document is not well formed, or a value is refused with its position.
    XML_DETAIL = 35, "parser error", "", "";
    /// The network handle does not belong to a network.
    INVALID_NETWORK = 36, "invalid network pointer in", "invalid network pointer in ", "";
    /// The network exists already.
    NETWORK_EXIST = 37, "this network exists already", "network ", " exists already";
    /// A system call failed; the error carries its `errno`.
    SYSTEM_ERROR = 38, "system call error", "", "";
    /// The conversation with a daemon broke its rules.
    RPC = 39, "RPC error", "", "";
    /// No such domain.
    NO_DOMAIN = 42, "Domain not found", "Domain not found: ", "";
    /// No such network.
    NO_NETWORK = 43, "Network not found", "Network not found: ", "";
    /// The text is not a MAC address.
    INVALID_MAC = 44, "invalid MAC address", "invalid MAC address: ", "";
    /// The peer did not accept who we say we are.
    AUTH_FAILED = 45, "authentication failed", "authentication failed: ", "";
    /// The object is in a state which excludes the operation.
    OPERATION_INVALID = 55, "Requested operation is not valid",
        "Requested operation is not valid: ", "";
    /// The definition asks for a combination that does not exist.
    CONFIG_UNSUPPORTED = 67, "unsupported configuration", "unsupported configuration: ", "";
    /// Waiting took longer than allowed.
    OPERATION_TIMEOUT = 68, "Timed out during operation", "Timed out during operation: ", "";
    /// A hook script refused.
    HOOK_SCRIPT_FAILED = 70, "Hook script execution failed", "Hook script execution failed: ", "";
    /// A parameter is known but not handled here.
    ARGUMENT_UNSUPPORTED = 74, "argument unsupported", "argument unsupported: ", "";
    /// The user declined to authenticate.
    AUTH_CANCELLED = 79, "authentication cancelled", "authentication cancelled: ", "";
    /// The domain carries no such metadata.
    NO_DOMAIN_METADATA = 80, "metadata not found", "metadata not found: ", "";
    /// A number does not fit.
    OVERFLOW = 82, "numerical overflow", "numerical overflow: ", "";
    /// The operation exists but not for this object or host.
    OPERATION_UNSUPPORTED = 84, "Operation not supported", "Operation not supported: ", "";
    /// The guest agent is absent or does not answer.
    AGENT_UNRESPONSIVE = 86, "Guest agent is not responding",
        "Guest agent is not responding: ", "";
    /// Something else holds what the operation needs.
    RESOURCE_BUSY = 87, "resource busy", "resource busy: ", "";
    /// The access driver refused.
    ACCESS_DENIED = 88, "access denied", "access denied: ", "";
    /// A service on the message bus answered with an error.
    DBUS_SERVICE = 89, "error from service", "error from service: ", "";
    /// The document does not match its schema.
    XML_INVALID_SCHEMA = 92, "XML document failed to validate against schema",
        "XML document failed to validate against schema: ", "";
    /// No way to authenticate is at hand.
    AUTH_UNAVAILABLE = 94, "authentication unavailable", "authentication unavailable: ", "";
    /// The daemon has no server of this name.
    NO_SERVER = 95, "Server not found", "Server not found: ", "";
    /// The server has no client with this number.
    NO_CLIENT = 96, "Client not found", "Client not found: ", "";
    /// The port handle does not belong to a port.
    INVALID_NETWORK_PORT = 105, "Invalid network port pointer", "Invalid network port pointer: ", "";
    /// The network has a port with this UUID.
    NETWORK_PORT_EXIST = 106, "this network port exists already",
        "network port ", " exists already";
    /// No such port on the network.
    NO_NETWORK_PORT = 107, "network port not found", "network port not found: ", "";
    /// The host name cannot be determined.
    NO_HOSTNAME = 108, "no hostname found", "no hostname found: ", "";
    /// The network carries no such metadata.
    NO_NETWORK_METADATA = 111, "metadata not found", "metadata not found: ", "";
}

macro_rules! domains {
    ($($(#[$doc:meta])* $name:ident = $number:literal;)*) => {
        impl ErrorDomain {
            $($(#[$doc])* pub const $name: Self = Self($number);)*

            /// Name as in libvirt's headers without `VIR_FROM_`; `None` for a number without a
            /// constant here.
            #[must_use]
            pub const fn name(self) -> Option<&'static str> {
                match self.0 {
                    $($number => Some(stringify!($name)),)*
                    _ => None,
                }
            }
        }
    };
}

domains! {
    /// No component in particular: helpers, URIs, system calls.
    NONE = 0;
    /// XML text.
    XML = 5;
    /// The conversation with a daemon.
    RPC = 7;
    /// Configuration files.
    CONF = 9;
    /// Link level networking.
    NET = 11;
    /// The in-memory driver.
    TEST = 12;
    /// The client side of a remote connection.
    REMOTE = 13;
    /// The network driver and the network calls of the API.
    NETWORK = 19;
    /// Calls about the host, which libvirt keeps beside its domain calls.
    DOMAIN = 20;
    /// Hook scripts.
    HOOK = 34;
    /// Event delivery.
    EVENT = 40;
    /// URIs.
    URI = 45;
    /// Authentication.
    AUTH = 46;
    /// The message bus.
    DBUS = 47;
    /// Access control.
    ACCESS = 55;
    /// Firewall rules.
    FIREWALL = 59;
    /// Authorisation by polkit.
    POLKIT = 60;
    /// The administration interface of a daemon.
    ADMIN = 62;
    /// The firewalld service.
    FIREWALLD = 68;
}

impl fmt::Debug for ErrorCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name() {
            Some(name) => write!(f, "{name}({})", self.0),
            None => write!(f, "{}", self.0),
        }
    }
}

impl fmt::Debug for ErrorDomain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name() {
            Some(name) => write!(f, "{name}({})", self.0),
            None => write!(f, "{}", self.0),
        }
    }
}

impl fmt::Display for ErrorCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Display for ErrorDomain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Weight of an error (`virErrorLevel`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ErrorLevel {
    /// Nothing happened.
    None,
    /// Odd, but the call succeeded.
    Warning,
    /// The call failed.
    Error,
    /// A level this version does not know.
    Other(i32),
}

impl ErrorLevel {
    /// The level with this number.
    #[must_use]
    pub const fn from_number(number: i32) -> Self {
        match number {
            0 => Self::None,
            1 => Self::Warning,
            2 => Self::Error,
            other => Self::Other(other),
        }
    }

    /// Number of the level.
    #[must_use]
    pub const fn number(self) -> i32 {
        match self {
            Self::None => 0,
            Self::Warning => 1,
            Self::Error => 2,
            Self::Other(number) => number,
        }
    }
}
