//! The daemon's configuration file, in libvirt's grammar and with libvirt's defaults.
//!
//! A setting of the wrong type or out of range stops the daemon before it opens anything. An unknown setting
//! is logged and has no effect. The settings of libvirt's ports (`listen_tcp` and so on) belong to virtproxyd
//! in libvirt and to this daemon here.
//!
//! libvirt 11.3.0: src/remote/remote_daemon_config.c

mod reader;
mod tables;

use std::path::PathBuf;
use std::time::Duration;

use oxivirt::ErrorCode;
use oxivirt_remote::serve::Authentication;
use oxivirt_rpc::limits::{ConnectionLimits, ServerLimits, Workers};
use oxivirt_sys::keyfile::{KeyFile, KeyFileError};

use crate::drivers::Entry;
use crate::log::Priority;
use crate::paths::{Paths, Scope};
use crate::profile::Profile;
use reader::Reader;

/// Why a configuration was refused.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub(crate) enum ConfigError {
    /// The grammar, a type or a range. Not a source: the text is part of this one.
    #[error("{prefix}{0}", prefix = ErrorCode(.0.code()).template().before)]
    KeyFile(KeyFileError),
    /// A value that a setting does not take.
    #[error("{file}: {name}: {reason}")]
    Value { file: String, name: &'static str, reason: String },
    /// An unknown way to authenticate.
    #[error("unsupported configuration: {file}: {name}: unsupported auth {value}")]
    Authentication { file: String, name: &'static str, value: String },
    /// A threshold of the log that is not a priority.
    #[error("invalid argument: Failed to set logging priority, argument '{0}' is invalid")]
    LogLevel(u32),
    /// The file cannot be read.
    #[error("cannot read '{path}'")]
    Read {
        path: PathBuf,
        #[source]
        source: std::io::Error,
    },
}

impl From<KeyFileError> for ConfigError {
    fn from(error: KeyFileError) -> Self {
        Self::KeyFile(error)
    }
}

/// One UNIX socket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SocketConfig {
    /// Permissions.
    pub(crate) mode: u32,
    /// How clients authenticate.
    pub(crate) authentication: Authentication,
}

/// How clients of a port authenticate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum PortAuthentication {
    /// Not at all.
    None,
    /// By SASL.
    Sasl,
}

/// Ports.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Ports {
    /// Port without TLS, if it is enabled.
    pub(crate) tcp: Option<u16>,
    /// Port with TLS, if it is enabled.
    pub(crate) tls: Option<u16>,
    /// Address to listen on; `None` for all.
    pub(crate) address: Option<String>,
    /// How clients of the port without TLS authenticate; `None` if it is not set.
    pub(crate) auth_tcp: Option<PortAuthentication>,
    /// How clients of the port with TLS authenticate, beyond their certificate.
    pub(crate) auth_tls: PortAuthentication,
}

/// Certificates.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct TlsConfig {
    pub(crate) ca: PathBuf,
    pub(crate) crl: PathBuf,
    pub(crate) cert: PathBuf,
    pub(crate) key: PathBuf,
    /// Whether clients need a certificate.
    pub(crate) verify: Verify,
    /// Patterns of the subjects that are accepted; `None` for all.
    pub(crate) allowed: Option<Vec<String>>,
}

/// Which calls authenticated clients may make.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Access {
    /// All.
    All,
    /// Those that polkit allows.
    Polkit,
}

/// Whether clients need a certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verify {
    /// They need one that the certificate authority issued.
    Required,
    /// They need none.
    Off,
}

/// The log: threshold, and filters and outputs in libvirt's notation.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct LogConfig {
    pub(crate) level: Option<Priority>,
    pub(crate) filters: Option<String>,
    pub(crate) outputs: Option<String>,
}

/// The whole configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Config {
    pub(crate) group: Option<String>,
    pub(crate) access: Access,
    pub(crate) read_write: SocketConfig,
    pub(crate) read_only: SocketConfig,
    pub(crate) admin_mode: u32,
    pub(crate) socket_dir: PathBuf,
    pub(crate) server: ServerLimits,
    pub(crate) connection: ConnectionLimits,
    pub(crate) backlog: u32,
    pub(crate) admin_server: ServerLimits,
    pub(crate) admin_connection: ConnectionLimits,
    pub(crate) workers: Workers,
    pub(crate) admin_workers: Workers,
    pub(crate) log: LogConfig,
    pub(crate) ports: Ports,
    pub(crate) tls: TlsConfig,
    /// Where metrics are served: a port of this host or a socket.
    pub(crate) metrics: Option<String>,
    /// Which drivers are opened; `None` for all that the daemon has.
    pub(crate) drivers: Option<Vec<String>>,
    /// Names of unknown settings.
    pub(crate) unknown: Vec<String>,
}

impl Config {
    /// Reads `text`, found in `file`.
    ///
    /// # Errors
    /// [`ConfigError`]
    pub(crate) fn parse(file: &str, text: &str, paths: &Paths) -> Result<Self, ConfigError> {
        let file = KeyFile::parse(file, text)?;
        let config = Self::read(&Reader::new(&file)?, paths)?;
        Ok(Self { unknown: tables::unknown(&file), ..config })
    }

    /// Whether the driver is opened.
    pub(crate) fn opens(&self, entry: &Entry) -> bool {
        self.drivers.as_ref().is_none_or(|names| names.iter().any(|chosen| entry.is_called(chosen)))
    }

    fn read(reader: &Reader<'_>, paths: &Paths) -> Result<Self, ConfigError> {
        let default_auth = match paths.scope {
            Scope::System { .. } => Authentication::Polkit,
            Scope::Session => Authentication::None,
        };
        let rw_auth = reader.authentication("auth_unix_rw")?;
        // without authentication the socket is the owner's alone unless the file gives it other permissions
        let rw_default = match rw_auth.unwrap_or(default_auth) {
            Authentication::Polkit => 0o777,
            Authentication::None => 0o700,
        };
        let (server, connection) = limits(reader)?;
        let (admin_server, admin_connection) = admin_limits(reader)?;
        let workers = Workers {
            min: reader.uint("min_workers", 5)?,
            max: reader.uint("max_workers", 20)?,
            priority: reader.uint("prio_workers", 5)?,
        };
        if workers.max == 0 {
            return Err(reader.refuse("max_workers", "'max_workers' must be greater than 0"));
        }
        let config = Self {
            group: reader.string("unix_sock_group")?,
            access: access(reader)?,
            read_write: SocketConfig {
                mode: reader.mode("unix_sock_rw_perms", rw_default)?,
                authentication: rw_auth.unwrap_or(default_auth),
            },
            read_only: SocketConfig {
                mode: reader.mode("unix_sock_ro_perms", 0o777)?,
                authentication: reader.authentication("auth_unix_ro")?.unwrap_or(default_auth),
            },
            admin_mode: reader.mode("unix_sock_admin_perms", 0o700)?,
            socket_dir: reader.path("unix_sock_dir")?.unwrap_or_else(|| paths.runtime_dir.clone()),
            server,
            connection,
            backlog: reader.uint("max_queued_clients", 1000)?,
            admin_server,
            admin_connection,
            workers,
            admin_workers: Workers {
                min: reader.uint("admin_min_workers", 5)?,
                max: reader.uint("admin_max_workers", 20)?,
                priority: 0,
            },
            log: LogConfig {
                level: log_level(reader)?,
                filters: reader.string("log_filters")?,
                outputs: reader.string("log_outputs")?,
            },
            ports: ports(reader)?,
            tls: tls(reader, paths)?,
            metrics: reader.string("metrics_listen")?,
            drivers: drivers(reader)?,
            unknown: Vec::new(),
        };
        Ok(config)
    }
}

/// The threshold of the log; 0 stands for the default.
fn log_level(reader: &Reader<'_>) -> Result<Option<Priority>, ConfigError> {
    match reader.uint("log_level", 0)? {
        0 => Ok(None),
        number => {
            let level = Priority::from_number(number);
            level.map(Some).ok_or(ConfigError::LogLevel(number))
        }
    }
}

fn keepalive(interval: i32) -> Option<Duration> {
    u64::try_from(interval).ok().filter(|seconds| *seconds > 0).map(Duration::from_secs)
}

fn limits(reader: &Reader<'_>) -> Result<(ServerLimits, ConnectionLimits), ConfigError> {
    let anonymous = reader.uint("max_anonymous_clients", 20)? as usize;
    let server = ServerLimits { clients: reader.uint("max_clients", 5000)? as usize, anonymous };
    if server.clients < server.anonymous {
        let reason = "The overall maximum number of clients must not be less than the number of \
                      clients waiting for authentication";
        return Err(reader.refuse("max_clients", reason));
    }
    let defaults = ConnectionLimits::default();
    let connection = ConnectionLimits {
        requests: reader.uint("max_client_requests", 5)?.max(1) as usize,
        keepalive_interval: keepalive(reader.int("keepalive_interval", 5)?),
        keepalive_count: reader.uint("keepalive_count", 5)?,
        ..defaults
    };
    Ok((server, connection))
}

fn admin_limits(reader: &Reader<'_>) -> Result<(ServerLimits, ConnectionLimits), ConfigError> {
    let clients = reader.uint("admin_max_clients", 5000)? as usize;
    let connection = ConnectionLimits {
        requests: reader.uint("admin_max_client_requests", 5)?.max(1) as usize,
        keepalive_interval: keepalive(reader.int("admin_keepalive_interval", 5)?),
        keepalive_count: reader.uint("admin_keepalive_count", 5)?,
        ..ConnectionLimits::default()
    };
    Ok((ServerLimits { clients, anonymous: 0 }, connection))
}

/// Who decides about each call. An unknown driver is refused: ignoring it would allow calls that the
/// administrator wanted checked.
fn access(reader: &Reader<'_>) -> Result<Access, ConfigError> {
    let mut access = Access::All;
    for driver in reader.strings("access_drivers")?.unwrap_or_default() {
        match driver.as_str() {
            "none" => {}
            "polkit" => access = Access::Polkit,
            other => {
                let reason = format!("Unable to find access driver '{other}'");
                return Err(reader.refuse("access_drivers", reason));
            }
        }
    }
    Ok(access)
}

/// Which drivers are opened. A name that no daemon knows is refused: the objects that the administrator
/// wanted served would be missing.
fn drivers(reader: &Reader<'_>) -> Result<Option<Vec<String>>, ConfigError> {
    let Some(names) = reader.strings("drivers")? else { return Ok(None) };
    let known = |name: &str| Profile::HOST.drivers.iter().any(|entry| entry.is_called(name));
    match names.iter().find(|name| !known(name)) {
        Some(name) => Err(reader.refuse("drivers", format!("there is no driver '{name}'"))),
        None if names.is_empty() => Err(reader.refuse("drivers", "no driver is named")),
        None => Ok(Some(names)),
    }
}

fn ports(reader: &Reader<'_>) -> Result<Ports, ConfigError> {
    let tcp = reader.port("tcp_port", 16509)?;
    let tls = reader.port("tls_port", 16514)?;
    Ok(Ports {
        tcp: reader.boolean("listen_tcp", false)?.then_some(tcp),
        tls: reader.boolean("listen_tls", true)?.then_some(tls),
        address: reader.string("listen_addr")?,
        auth_tcp: reader.port_authentication("auth_tcp")?,
        auth_tls: reader.port_authentication("auth_tls")?.unwrap_or(PortAuthentication::None),
    })
}

fn tls(reader: &Reader<'_>, paths: &Paths) -> Result<TlsConfig, ConfigError> {
    let given = [reader.path("ca_file")?, reader.path("cert_file")?, reader.path("key_file")?];
    let n_given = given.iter().flatten().count();
    if n_given != 0 && n_given != given.len() {
        let reason = "ca_file, cert_file and key_file must be given together";
        return Err(reader.refuse("ca_file", reason));
    }
    let [ca, cert, key] = given;
    let below = |path: &str| paths.root().join(path);
    Ok(TlsConfig {
        ca: ca.unwrap_or_else(|| below("etc/pki/CA/cacert.pem")),
        crl: reader.path("crl_file")?.unwrap_or_else(|| below("etc/pki/CA/cacrl.pem")),
        cert: cert.unwrap_or_else(|| below("etc/pki/libvirt/servercert.pem")),
        key: key.unwrap_or_else(|| below("etc/pki/libvirt/private/serverkey.pem")),
        verify: match reader.boolean("tls_no_verify_certificate", false)? {
            true => Verify::Off,
            false => Verify::Required,
        },
        allowed: reader.strings("tls_allowed_dn_list")?,
    })
}

#[cfg(test)]
mod tests;
