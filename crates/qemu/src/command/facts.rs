//! What a command line depends on beside the definition and the emulator.

use std::path::PathBuf;

use crate::firmware::Firmware;

use super::{Descriptor, HostProcessor};

/// The circumstances of one start.
#[derive(Debug, Clone)]
pub struct Facts {
    /// Number of the guest.
    pub id: i32,
    /// `PATH`, `USER`, `LOGNAME`, `TMPDIR`, `LD_PRELOAD`, `LD_LIBRARY_PATH` of the daemon, as far as set.
    pub environment: Vec<(String, String)>,
    /// Firmware that is installed, in the order in which it is tried.
    pub firmwares: Vec<Firmware>,
    /// The processor of the host, for the kind of guest that is started.
    pub processor: HostProcessor,
    /// Where the files of this start are.
    pub directories: Directories,
    /// Settings of the driver.
    pub config: Config,
    /// What the host offers.
    pub host: Host,
    /// The number a descriptor has in the guest process, by its index in [`CommandLine::descriptors`].
    ///
    /// [`CommandLine::descriptors`]: super::CommandLine::descriptors
    pub number: fn(usize, &Descriptor) -> i32,
    /// Nodes of the host that placement `auto` takes.
    pub automatic_nodes: Vec<u32>,
    /// Seconds since 1970 at the start.
    pub now: i64,
    /// Seconds that the host's local time is ahead of UTC.
    pub local_offset: i64,
}

/// Where the files of one start are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Directories {
    /// The guest's own (`domain-ID-NAME`): monitor socket, master key.
    pub library: PathBuf,
    /// Sockets of channels (`channel/ID-NAME`).
    pub channel: PathBuf,
    /// Memory that is backed by files (`ram/ID-NAME`).
    pub memory: PathBuf,
    /// Variables of firmware (`nvram`).
    pub nvram: PathBuf,
    /// Sockets of passt (`passt`).
    pub passt: PathBuf,
    /// Sockets of D-Bus displays (`dbus`).
    pub dbus: PathBuf,
}

/// What the host offers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Host {
    /// Whether `/dev/vhost-net` can be opened.
    pub has_vhost_net: bool,
    /// Mounted filesystems of huge pages.
    pub huge_pages: Vec<HugePageMount>,
    /// Block devices that are drives for optical media.
    pub optical_drives: Vec<PathBuf>,
    /// Size of an ordinary page of memory in KiB.
    pub page_kib: u64,
    /// Numbers of the NUMA nodes.
    pub numa_nodes: Vec<u32>,
}

/// A mounted filesystem of huge pages.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HugePageMount {
    /// Size of a page in KiB.
    pub size_kib: u64,
    /// Where it is mounted.
    pub path: PathBuf,
    /// Whether its size is the default one.
    pub is_default: bool,
}

/// The part of `qemu.conf` that command lines depend on; the default is libvirt's.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "each is a switch of the file")]
pub struct Config {
    /// `vnc_listen`
    pub vnc_listen: String,
    /// `vnc_tls`
    pub vnc_tls: bool,
    /// `vnc_tls_x509_verify`
    pub vnc_tls_x509_verify: bool,
    /// `vnc_tls_x509_cert_dir`
    pub vnc_tls_x509_cert_dir: PathBuf,
    /// `vnc_tls_x509_secret_uuid`: the private key is encrypted.
    pub vnc_tls_x509_secret_uuid: Option<String>,
    /// `vnc_password`
    pub vnc_password: Option<String>,
    /// `vnc_sasl`
    pub vnc_sasl: bool,
    /// `vnc_sasl_dir`
    pub vnc_sasl_dir: Option<PathBuf>,
    /// `vnc_auto_unix_socket`
    pub vnc_auto_unix_socket: bool,
    /// `vnc_allow_host_audio`
    pub vnc_allow_host_audio: bool,
    /// `spice_listen`
    pub spice_listen: String,
    /// `spice_tls`
    pub spice_tls: bool,
    /// `spice_tls_x509_cert_dir`
    pub spice_tls_x509_cert_dir: PathBuf,
    /// `spice_password`
    pub spice_password: Option<String>,
    /// `spice_sasl`
    pub spice_sasl: bool,
    /// `spice_sasl_dir`
    pub spice_sasl_dir: Option<PathBuf>,
    /// `spice_auto_unix_socket`
    pub spice_auto_unix_socket: bool,
    /// `chardev_tls`
    pub chardev_tls: bool,
    /// `chardev_tls_x509_cert_dir`
    pub chardev_tls_x509_cert_dir: PathBuf,
    /// `chardev_tls_x509_verify`
    pub chardev_tls_x509_verify: bool,
    /// `chardev_tls_x509_secret_uuid`
    pub chardev_tls_x509_secret_uuid: Option<String>,
    /// `nogfx_allow_host_audio`
    pub nogfx_allow_host_audio: bool,
    /// `dump_guest_core`
    pub dump_guest_core: bool,
    /// `set_process_name`
    pub set_process_name: bool,
    /// `seccomp_sandbox`: `None` follows the emulator.
    pub seccomp_sandbox: Option<bool>,
    /// `log_timestamp`
    pub log_timestamp: bool,
    /// `deprecation_behavior`
    pub deprecation_behavior: Option<String>,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            vnc_listen: String::from("127.0.0.1"),
            vnc_tls: false,
            vnc_tls_x509_verify: false,
            vnc_tls_x509_cert_dir: PathBuf::from("/etc/pki/libvirt-vnc"),
            vnc_tls_x509_secret_uuid: None,
            vnc_password: None,
            vnc_sasl: false,
            vnc_sasl_dir: None,
            vnc_auto_unix_socket: false,
            vnc_allow_host_audio: false,
            spice_listen: String::from("127.0.0.1"),
            spice_tls: false,
            spice_tls_x509_cert_dir: PathBuf::from("/etc/pki/libvirt-spice"),
            spice_password: None,
            spice_sasl: false,
            spice_sasl_dir: None,
            spice_auto_unix_socket: false,
            chardev_tls: false,
            chardev_tls_x509_cert_dir: PathBuf::from("/etc/pki/libvirt-chardev"),
            chardev_tls_x509_verify: false,
            chardev_tls_x509_secret_uuid: None,
            nogfx_allow_host_audio: false,
            dump_guest_core: false,
            set_process_name: false,
            seccomp_sandbox: None,
            log_timestamp: true,
            deprecation_behavior: None,
        }
    }
}
