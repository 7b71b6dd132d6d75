//! Error numbers, domains and levels, and the table of message texts.
//!
//! Numbers travel over the wire and scripts compare them, so a number of a newer libvirt is
//! carried unchanged.
//!
//! Source: libvirt 11.3.0, `include/libvirt/virterror.h`; the messages are those its library
//! returns (`virErrorMsg`).

use std::fmt;

/// Number of an error: which kind of thing went wrong (`virErrorNumber`).
///
/// Every number of libvirt 11.3 has a constant; the names of libvirt's warnings
/// (`VIR_WAR_NO_NETWORK`) begin with `WAR_`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ErrorCode(pub i32);

/// Component which raised an error (`virErrorDomain`).
///
/// Every number of libvirt 11.3 has a constant.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ErrorDomain(pub i32);

/// Message texts of one error number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Template {
    /// Message without a detail.
    pub alone: &'static str,
    /// Text before the detail.
    pub before: &'static str,
    /// Text after the detail.
    pub after: &'static str,
}

/// An error of a lower layer that has libvirt's number and domain.
pub trait Classified {
    /// Its number.
    fn code(&self) -> ErrorCode;

    /// The component that raises it.
    fn domain(&self) -> ErrorDomain;

    /// The detail, without the text that the number puts before it; `None` if there is none.
    fn detail(&self) -> Option<String>;

    /// The message that libvirt shows.
    fn message(&self) -> String {
        self.code().message(self.detail().as_deref())
    }
}

impl ErrorCode {
    /// The message of an error with this number (`virErrorMsg`).
    #[must_use]
    pub fn message(self, detail: Option<&str>) -> String {
        let Template { alone, before, after } = self.template();
        match detail {
            Some(detail) => format!("{before}{detail}{after}"),
            None => alone.to_owned(),
        }
    }
}

macro_rules! codes {
    ($($(#[$doc:meta])* $name:ident = $number:literal, $alone:literal, $before:literal, $after:literal;)*) => {
        impl ErrorCode {
            $($(#[$doc])* pub const $name: Self = Self($number);)*

            /// Name as in libvirt's headers without `VIR_ERR_`, with `WAR_` for a warning; `None`
            /// for a number without a constant here.
            #[must_use]
            pub const fn name(self) -> Option<&'static str> {
                match self.0 {
                    $($number => Some(stringify!($name)),)*
                    _ => None,
                }
            }

            /// Message texts of this number (`virErrorMsg`).
            ///
            /// The message of a number without a constant here is its detail alone.
            #[must_use]
            pub const fn template(self) -> Template {
                match self.0 {
                    $($number => Template { alone: $alone, before: $before, after: $after },)*
                    _ => Template { alone: "unknown error", before: "", after: "" },
                }
            }

            /// Every number with a constant here, in numeric order.
            pub const ALL: &[Self] = &[$(Self::$name),*];
        }
    };
}

codes! {
    /// No error.
    OK = 0, "no error", "", "";
    /// An unexpected condition, or a failure without a number of its own.
    INTERNAL_ERROR = 1, "internal error", "internal error: ", "";
    /// Memory is exhausted.
    NO_MEMORY = 2, "out of memory", "out of memory: ", "";
    /// The driver does not implement this call.
    NO_SUPPORT = 3, "this function is not supported by the connection driver",
        "this function is not supported by the connection driver: ", "";
    /// The host name cannot be resolved.
    UNKNOWN_HOST = 4, "unknown host", "unknown host ", "";
    /// No driver accepts the URI.
    NO_CONNECT = 5, "no connection driver available", "no connection driver available for ", "";
    /// The connection is closed or not usable.
    INVALID_CONN = 6, "invalid connection pointer in", "invalid connection pointer in ", "";
    /// The domain handle does not belong to a domain.
    INVALID_DOMAIN = 7, "invalid domain pointer in", "invalid domain pointer in ", "";
    /// A parameter has a value that the call does not accept.
    INVALID_ARG = 8, "invalid argument", "invalid argument: ", "";
    /// The request was valid and its execution failed.
    OPERATION_FAILED = 9, "operation failed", "operation failed: ", "";
    /// A GET request failed. Used by the historic Xen daemon protocol.
    GET_FAILED = 10, "GET operation failed", "GET operation failed: ", "";
    /// A POST request failed. Used by the historic Xen daemon protocol.
    POST_FAILED = 11, "POST operation failed", "POST operation failed: ", "";
    /// An HTTP status has no meaning here. Used by the historic Xen daemon protocol.
    HTTP_ERROR = 12, "got unknown HTTP error code", "got unknown HTTP error code ", "";
    /// An S-expression cannot be written. Used by the historic Xen daemon protocol.
    SEXPR_SERIAL = 13, "failed to serialize S-Expr", "failed to serialize S-Expr: ", "";
    /// The hypervisor entry of Xen cannot be opened.
    NO_XEN = 14, "could not use Xen hypervisor entry", "could not use Xen hypervisor entry ", "";
    /// A Xen hypercall failed.
    XEN_CALL = 15, "failed Xen syscall", "failed Xen syscall ", "";
    /// The guest's OS type is not known or not supported.
    OS_TYPE = 16, "unknown OS type", "unknown OS type ", "";
    /// The guest names no kernel.
    NO_KERNEL = 17, "missing kernel information", "missing kernel information: ", "";
    /// The guest names no root device.
    NO_ROOT = 18, "missing root device information", "missing root device information in ", "";
    /// A device has no source.
    NO_SOURCE = 19, "missing source information for device",
        "missing source information for device ", "";
    /// A device has no target.
    NO_TARGET = 20, "missing target information for device",
        "missing target information for device ", "";
    /// A name is required and empty or absent.
    NO_NAME = 21, "missing name information", "missing name information in ", "";
    /// The document has no `<os>` element.
    NO_OS = 22, "missing operating system information",
        "missing operating system information for ", "";
    /// The document has no `<devices>` element.
    NO_DEVICE = 23, "missing devices information", "missing devices information for ", "";
    /// Xenstore cannot be reached.
    NO_XENSTORE = 24, "could not connect to Xen Store", "could not connect to Xen Store ", "";
    /// The table of drivers is full.
    DRIVER_FULL = 25, "too many drivers registered", "too many drivers registered in ", "";
    /// A call into another library failed.
    CALL_FAILED = 26, "library call failed", "library call failed: ", "";
    /// The document is well formed, but its content is invalid.
    XML_ERROR = 27, "XML description is invalid or not well formed", "XML error: ", "";
    /// A domain with this name or UUID exists.
    DOM_EXIST = 28, "this domain exists already", "domain ", " exists already";
    /// The call needs a read-write connection.
    OPERATION_DENIED = 29, "operation forbidden for read only access", "operation forbidden: ", "";
    /// A configuration file cannot be opened.
    OPEN_FAILED = 30, "failed to open configuration file", "failed to open configuration file ", "";
    /// A configuration file cannot be read.
    READ_FAILED = 31, "failed to read configuration file", "failed to read configuration file ", "";
    /// A configuration file cannot be parsed.
    PARSE_FAILED = 32, "failed to parse configuration file",
        "failed to parse configuration file ", "";
    /// A configuration file has a syntax error.
    CONF_SYNTAX = 33, "configuration file syntax error", "configuration file syntax error: ", "";
    /// A configuration file cannot be written.
    WRITE_FAILED = 34, "failed to write configuration file",
        "failed to write configuration file: ", "";
    /// The document is not well formed, or a value is refused; the message gives the position.
    XML_DETAIL = 35, "parser error", "", "";
    /// The network handle does not belong to a network.
    INVALID_NETWORK = 36, "invalid network pointer in", "invalid network pointer in ", "";
    /// The network exists already.
    NETWORK_EXIST = 37, "this network exists already", "network ", " exists already";
    /// A system call failed; the error carries its `errno`.
    SYSTEM_ERROR = 38, "system call error", "", "";
    /// The peer violated the RPC protocol, or the connection broke.
    RPC = 39, "RPC error", "", "";
    /// GnuTLS returned an error.
    GNUTLS_ERROR = 40, "GNUTLS call error", "", "";
    /// Warning: the connection has no network driver.
    WAR_NO_NETWORK = 41, "Failed to find the network", "Failed to find the network: ", "";
    /// No such domain.
    NO_DOMAIN = 42, "Domain not found", "Domain not found: ", "";
    /// No such network.
    NO_NETWORK = 43, "Network not found", "Network not found: ", "";
    /// The text is not a MAC address.
    INVALID_MAC = 44, "invalid MAC address", "invalid MAC address: ", "";
    /// The peer's proof of identity was refused.
    AUTH_FAILED = 45, "authentication failed", "authentication failed: ", "";
    /// The pool handle does not belong to a storage pool.
    INVALID_STORAGE_POOL = 46, "invalid storage pool pointer in",
        "invalid storage pool pointer in ", "";
    /// The volume handle does not belong to a storage volume.
    INVALID_STORAGE_VOL = 47, "invalid storage volume pointer in",
        "invalid storage volume pointer in ", "";
    /// Warning: the connection has no storage driver.
    WAR_NO_STORAGE = 48, "Failed to find a storage driver", "Failed to find a storage driver: ", "";
    /// No such storage pool.
    NO_STORAGE_POOL = 49, "Storage pool not found", "Storage pool not found: ", "";
    /// No such storage volume.
    NO_STORAGE_VOL = 50, "Storage volume not found", "Storage volume not found: ", "";
    /// Warning: the connection has no node device driver.
    WAR_NO_NODE = 51, "Failed to find a node driver", "Failed to find a node driver: ", "";
    /// The device handle does not belong to a node device.
    INVALID_NODE_DEVICE = 52, "invalid node device pointer", "invalid node device pointer in ", "";
    /// No such node device.
    NO_NODE_DEVICE = 53, "Node device not found", "Node device not found: ", "";
    /// No such security model.
    NO_SECURITY_MODEL = 54, "Security model not found", "Security model not found: ", "";
    /// The object is in a state that excludes the operation.
    OPERATION_INVALID = 55, "Requested operation is not valid",
        "Requested operation is not valid: ", "";
    /// Warning: the connection has no interface driver.
    WAR_NO_INTERFACE = 56, "Failed to find the interface", "Failed to find the interface: ", "";
    /// No such host interface.
    NO_INTERFACE = 57, "Interface not found", "Interface not found: ", "";
    /// The interface handle does not belong to a host interface.
    INVALID_INTERFACE = 58, "invalid interface pointer in", "invalid interface pointer in ", "";
    /// More than one host interface matches.
    MULTIPLE_INTERFACES = 59, "multiple matching interfaces found",
        "multiple matching interfaces found: ", "";
    /// Warning: the network filter driver did not start.
    WAR_NO_NWFILTER = 60, "Failed to start the nwfilter driver",
        "Failed to start the nwfilter driver: ", "";
    /// The filter handle does not belong to a network filter.
    INVALID_NWFILTER = 61, "Invalid network filter", "Invalid network filter: ", "";
    /// No such network filter.
    NO_NWFILTER = 62, "Network filter not found", "Network filter not found: ", "";
    /// The firewall rules of a guest interface cannot be built.
    BUILD_FIREWALL = 63, "Error while building firewall", "Error while building firewall: ", "";
    /// Warning: the connection has no secret driver.
    WAR_NO_SECRET = 64, "Failed to find a secret storage driver",
        "Failed to find a secret storage driver: ", "";
    /// The secret handle does not belong to a secret.
    INVALID_SECRET = 65, "Invalid secret", "Invalid secret: ", "";
    /// No such secret.
    NO_SECRET = 66, "Secret not found", "Secret not found: ", "";
    /// The definition asks for a combination that is not supported.
    CONFIG_UNSUPPORTED = 67, "unsupported configuration", "unsupported configuration: ", "";
    /// Waiting took longer than allowed.
    OPERATION_TIMEOUT = 68, "Timed out during operation", "Timed out during operation: ", "";
    /// The guest was migrated, but its definition could not be stored on the destination.
    MIGRATE_PERSIST_FAILED = 69, "Failed to make domain persistent after migration",
        "Failed to make domain persistent after migration: ", "";
    /// A hook script exited with an error.
    HOOK_SCRIPT_FAILED = 70, "Hook script execution failed", "Hook script execution failed: ", "";
    /// The snapshot handle does not belong to a domain snapshot.
    INVALID_DOMAIN_SNAPSHOT = 71, "Invalid domain snapshot", "Invalid domain snapshot: ", "";
    /// No such domain snapshot.
    NO_DOMAIN_SNAPSHOT = 72, "Domain snapshot not found", "Domain snapshot not found: ", "";
    /// The stream handle does not belong to a stream.
    INVALID_STREAM = 73, "invalid stream pointer", "invalid stream pointer in ", "";
    /// A parameter is known but not handled here.
    ARGUMENT_UNSUPPORTED = 74, "argument unsupported", "argument unsupported: ", "";
    /// The file system or volume group of a pool cannot be probed.
    STORAGE_PROBE_FAILED = 75, "Storage pool probe failed", "Storage pool probe failed: ", "";
    /// The storage pool is built already.
    STORAGE_POOL_BUILT = 76, "Storage pool already built", "Storage pool already built: ", "";
    /// Reverting to the snapshot may lose state and needs the force flag.
    SNAPSHOT_REVERT_RISKY = 77, "revert requires force", "revert requires force: ", "";
    /// The operation was cancelled.
    OPERATION_ABORTED = 78, "operation aborted", "operation aborted: ", "";
    /// The user declined to authenticate.
    AUTH_CANCELLED = 79, "authentication cancelled", "authentication cancelled: ", "";
    /// The domain carries no such metadata.
    NO_DOMAIN_METADATA = 80, "metadata not found", "metadata not found: ", "";
    /// The migration may corrupt data and needs the unsafe flag.
    MIGRATE_UNSAFE = 81, "Unsafe migration", "Unsafe migration: ", "";
    /// A number exceeds the range of its type.
    OVERFLOW = 82, "numerical overflow", "numerical overflow: ", "";
    /// A block copy job is running on the disk.
    BLOCK_COPY_ACTIVE = 83, "block copy still active", "block copy still active: ", "";
    /// The operation exists but not for this object or host.
    OPERATION_UNSUPPORTED = 84, "Operation not supported", "Operation not supported: ", "";
    /// The SSH transport (libssh2) failed.
    SSH = 85, "SSH transport error", "SSH transport error: ", "";
    /// The guest agent is absent or does not answer.
    AGENT_UNRESPONSIVE = 86, "Guest agent is not responding", "Guest agent is not responding: ", "";
    /// The operation needs a resource that is in use.
    RESOURCE_BUSY = 87, "resource busy", "resource busy: ", "";
    /// The access control driver denied the call.
    ACCESS_DENIED = 88, "access denied", "access denied: ", "";
    /// A service on the message bus answered with an error.
    DBUS_SERVICE = 89, "error from service", "error from service: ", "";
    /// A storage volume with this name exists.
    STORAGE_VOL_EXIST = 90, "this storage volume exists already",
        "storage volume ", " exists already";
    /// The guest's CPU cannot be provided by the host's.
    CPU_INCOMPATIBLE = 91, "the CPU is incompatible with host CPU",
        "the CPU is incompatible with host CPU: ", "";
    /// The document does not match its schema.
    XML_INVALID_SCHEMA = 92, "XML document failed to validate against schema",
        "XML document failed to validate against schema: ", "";
    /// The migration was aborted by request and cleaned up.
    MIGRATE_FINISH_OK = 93, "migration successfully aborted",
        "migration successfully aborted: ", "";
    /// No usable authentication mechanism.
    AUTH_UNAVAILABLE = 94, "authentication unavailable", "authentication unavailable: ", "";
    /// The daemon has no server of this name.
    NO_SERVER = 95, "Server not found", "Server not found: ", "";
    /// The server has no client with this number.
    NO_CLIENT = 96, "Client not found", "Client not found: ", "";
    /// The guest agent answered a synchronisation request with a stale id.
    AGENT_UNSYNCED = 97, "guest agent replied with wrong id to guest-sync command",
        "guest agent replied with wrong id to guest-sync command: ", "";
    /// The SSH transport (libssh) failed.
    LIBSSH = 98, "libssh transport error", "libssh transport error: ", "";
    /// No such device.
    DEVICE_MISSING = 99, "device not found", "device not found: ", "";
    /// The binding handle does not belong to a network filter binding.
    INVALID_NWFILTER_BINDING = 100, "Invalid network filter binding",
        "Invalid network filter binding: ", "";
    /// No such network filter binding.
    NO_NWFILTER_BINDING = 101, "Network filter binding not found",
        "Network filter binding not found: ", "";
    /// The checkpoint handle does not belong to a domain checkpoint.
    INVALID_DOMAIN_CHECKPOINT = 102, "Invalid domain checkpoint", "Invalid domain checkpoint: ", "";
    /// No such domain checkpoint.
    NO_DOMAIN_CHECKPOINT = 103, "Domain checkpoint not found", "Domain checkpoint not found: ", "";
    /// No backup job with this id is running.
    NO_DOMAIN_BACKUP = 104, "Domain backup job id not found",
        "Domain backup job id not found: ", "";
    /// The port handle does not belong to a port.
    INVALID_NETWORK_PORT = 105, "Invalid network port pointer",
        "Invalid network port pointer: ", "";
    /// The network has a port with this UUID.
    NETWORK_PORT_EXIST = 106, "this network port exists already",
        "network port ", " exists already";
    /// No such port on the network.
    NO_NETWORK_PORT = 107, "network port not found", "network port not found: ", "";
    /// The host name cannot be determined.
    NO_HOSTNAME = 108, "no hostname found", "no hostname found: ", "";
    /// The checkpoint's bitmaps are missing or inconsistent.
    CHECKPOINT_INCONSISTENT = 109, "checkpoint inconsistent", "checkpoint inconsistent: ", "";
    /// More than one domain matches.
    MULTIPLE_DOMAINS = 110, "multiple matching domains found",
        "multiple matching domains found: ", "";
    /// The network carries no such metadata.
    NO_NETWORK_METADATA = 111, "metadata not found", "metadata not found: ", "";
    /// The guest agent did not finish a command in time.
    AGENT_COMMAND_TIMEOUT = 112, "guest agent command timed out",
        "guest agent command timed out: ", "";
    /// The guest agent reported that a command failed.
    AGENT_COMMAND_FAILED = 113, "guest agent command failed", "guest agent command failed: ", "";
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

            /// Every number with a constant here, in numeric order.
            pub const ALL: &[Self] = &[$(Self::$name),*];
        }
    };
}

domains! {
    /// No component in particular: helpers, typed parameters, system calls.
    NONE = 0;
    /// The Xen driver.
    XEN = 1;
    /// The historic Xen daemon.
    XEND = 2;
    /// Xenstore.
    XENSTORE = 3;
    /// S-expressions of the historic Xen daemon.
    SEXPR = 4;
    /// XML text.
    XML = 5;
    /// The general driver code for domains.
    DOM = 6;
    /// The RPC layer of client and daemon.
    RPC = 7;
    /// The historic proxy for unprivileged Xen clients.
    PROXY = 8;
    /// Configuration files.
    CONF = 9;
    /// The QEMU driver.
    QEMU = 10;
    /// Link level networking.
    NET = 11;
    /// The in-memory driver.
    TEST = 12;
    /// The client side of a remote connection.
    REMOTE = 13;
    /// The OpenVZ driver.
    OPENVZ = 14;
    /// Configuration files of Xen.
    XENXM = 15;
    /// Statistics read from Linux.
    STATS_LINUX = 16;
    /// The LXC driver.
    LXC = 17;
    /// The storage driver and the storage calls of the API.
    STORAGE = 18;
    /// The network driver and the network calls of the API.
    NETWORK = 19;
    /// Domain XML, and calls about the host.
    DOMAIN = 20;
    /// The User-Mode Linux driver.
    UML = 21;
    /// The node device driver.
    NODEDEV = 22;
    /// Watches on Xen's configuration directories.
    XEN_INOTIFY = 23;
    /// Security drivers: SELinux, AppArmor, DAC.
    SECURITY = 24;
    /// The VirtualBox driver.
    VBOX = 25;
    /// The host interface driver.
    INTERFACE = 26;
    /// The OpenNebula driver.
    ONE = 27;
    /// The VMware ESX driver.
    ESX = 28;
    /// The IBM PHYP driver.
    PHYP = 29;
    /// The secret driver.
    SECRET = 30;
    /// CPU models.
    CPU = 31;
    /// The XenAPI driver.
    XENAPI = 32;
    /// The network filter driver.
    NWFILTER = 33;
    /// Hook scripts.
    HOOK = 34;
    /// Domain snapshots.
    DOMAIN_SNAPSHOT = 35;
    /// Auditing.
    AUDIT = 36;
    /// SMBIOS data of the host.
    SYSINFO = 37;
    /// Data streams.
    STREAMS = 38;
    /// The VMware desktop driver.
    VMWARE = 39;
    /// Event delivery.
    EVENT = 40;
    /// The libxl driver.
    LIBXL = 41;
    /// Lock managers.
    LOCKING = 42;
    /// The Hyper-V driver.
    HYPERV = 43;
    /// Capabilities of host and guests.
    CAPABILITIES = 44;
    /// URIs.
    URI = 45;
    /// Authentication.
    AUTH = 46;
    /// D-Bus.
    DBUS = 47;
    /// The Virtuozzo driver.
    PARALLELS = 48;
    /// Devices of a guest definition.
    DEVICE = 49;
    /// The SSH transport (libssh2).
    SSH = 50;
    /// Lock spaces of the lock daemon.
    LOCKSPACE = 51;
    /// Requests to the init process of a container.
    INITCTL = 52;
    /// Identities of API callers.
    IDENTITY = 53;
    /// Control groups.
    CGROUP = 54;
    /// Access control.
    ACCESS = 55;
    /// The systemd services.
    SYSTEMD = 56;
    /// The bhyve driver.
    BHYVE = 57;
    /// Cryptographic helpers.
    CRYPTO = 58;
    /// Firewall rules.
    FIREWALL = 59;
    /// Authorisation by polkit.
    POLKIT = 60;
    /// Threads and their pools.
    THREAD = 61;
    /// The administration interface of a daemon.
    ADMIN = 62;
    /// The log daemon.
    LOGGING = 63;
    /// Configuration in the format of xl.
    XENXL = 64;
    /// Performance counters.
    PERF = 65;
    /// The SSH transport (libssh).
    LIBSSH = 66;
    /// Resource control of CPU caches and memory bandwidth.
    RESCTRL = 67;
    /// The firewalld service.
    FIREWALLD = 68;
    /// Domain checkpoints.
    DOMAIN_CHECKPOINT = 69;
    /// TPM emulation.
    TPM = 70;
    /// BPF programs.
    BPF = 71;
    /// The Cloud Hypervisor driver.
    CH = 72;
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
