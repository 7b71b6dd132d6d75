//! Commands of the guest agent, typed.

use serde::{Deserialize, Serialize};

use crate::command::{Empty, Secret, commands};

commands! {
    /// Returns its argument after a byte 0xFF. [`Agent`](super::Agent) sends it before every command.
    Sync = "guest-sync-delimited" -> i64 {
        /// A number that was not used before.
        id: i64,
    }

    /// Does nothing.
    Ping = "guest-ping" -> Empty {}

    /// Version and commands of the agent.
    Info = "guest-info" -> AgentInfo {}

    /// Shuts the guest down. See [`Agent::shutdown`](super::Agent::shutdown).
    Shutdown = "guest-shutdown" -> Empty {
        /// How; `powerdown` if absent.
        #[serde(skip_serializing_if = "Option::is_none")]
        mode: Option<ShutdownMode>,
    }

    /// Network interfaces with their addresses.
    NetworkGetInterfaces = "guest-network-get-interfaces" -> Vec<Interface> {}

    /// The operating system.
    GetOsinfo = "guest-get-osinfo" -> OsInfo {}

    /// The guest's host name.
    GetHostName = "guest-get-host-name" -> HostName {}

    /// The guest's time zone.
    GetTimezone = "guest-get-timezone" -> Timezone {}

    /// Users that are logged in.
    GetUsers = "guest-get-users" -> Vec<User> {}

    /// The guest's clock: nanoseconds since 1970.
    GetTime = "guest-get-time" -> i64 {}

    /// Sets the guest's clock.
    SetTime = "guest-set-time" -> Empty {
        /// Nanoseconds since 1970; from the guest's hardware clock if absent.
        #[serde(skip_serializing_if = "Option::is_none")]
        time: Option<i64>,
    }

    /// Whether file systems are frozen: `thawed` or `frozen`.
    FsfreezeStatus = "guest-fsfreeze-status" -> String {}

    /// Freezes all file systems; returns how many.
    FsfreezeFreeze = "guest-fsfreeze-freeze" -> i64 {}

    /// Freezes some file systems; returns how many.
    FsfreezeFreezeList = "guest-fsfreeze-freeze-list" -> i64 {
        /// Where they are mounted; all if absent.
        #[serde(skip_serializing_if = "Option::is_none")]
        mountpoints: Option<Vec<String>>,
    }

    /// Thaws all file systems; returns how many.
    FsfreezeThaw = "guest-fsfreeze-thaw" -> i64 {}

    /// Returns unused blocks to the storage.
    Fstrim = "guest-fstrim" -> serde_json::Value {
        /// Smallest range in bytes.
        #[serde(skip_serializing_if = "Option::is_none")]
        minimum: Option<u64>,
    }

    /// Mounted file systems.
    GetFsinfo = "guest-get-fsinfo" -> Vec<Filesystem> {}

    /// Processors as the guest sees them.
    GetVcpus = "guest-get-vcpus" -> Vec<Vcpu> {}

    /// Takes processors in or out of service; returns how many were processed.
    SetVcpus = "guest-set-vcpus" -> i64 {
        /// The processors to change.
        vcpus: Vec<Vcpu>,
    }

    /// Sets the password of a user.
    SetUserPassword = "guest-set-user-password" -> Empty {
        /// The user.
        username: String,
        /// The password in base64.
        password: Secret,
        /// It is hashed already.
        crypted: bool,
    }

    /// Suspends to memory. There is no reply on success.
    SuspendRam = "guest-suspend-ram" -> Empty {}

    /// Suspends to disk. There is no reply on success.
    SuspendDisk = "guest-suspend-disk" -> Empty {}

    /// Suspends to memory and disk. There is no reply on success.
    SuspendHybrid = "guest-suspend-hybrid" -> Empty {}
}

/// How to shut down.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum ShutdownMode {
    /// Stop and power off.
    Powerdown,
    /// Stop and start again.
    Reboot,
    /// Stop.
    Halt,
}

/// Reply to [`Info`].
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct AgentInfo {
    /// Version of the agent.
    pub version: String,
    /// Its commands.
    #[serde(default)]
    pub supported_commands: Vec<AgentCommand>,
}

/// A command of the agent.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct AgentCommand {
    /// Its name.
    pub name: String,
    /// It can be used.
    pub enabled: bool,
}

/// A network interface of the guest.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Interface {
    /// Its name.
    pub name: String,
    /// Its MAC address.
    pub hardware_address: Option<String>,
    /// Its addresses.
    #[serde(default)]
    pub ip_addresses: Vec<IpAddress>,
}

/// An address of a network interface.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct IpAddress {
    /// The address as text.
    pub ip_address: String,
    /// `ipv4` or `ipv6`.
    pub ip_address_type: String,
    /// Length of its prefix.
    pub prefix: u32,
}

/// Reply to [`GetOsinfo`]; members that the guest does not know are absent.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "kebab-case", default)]
pub struct OsInfo {
    /// Such as `debian`.
    pub id: Option<String>,
    /// Such as `Debian GNU/Linux`.
    pub name: Option<String>,
    /// Such as `Debian GNU/Linux 12 (bookworm)`.
    pub pretty_name: Option<String>,
    /// Such as `12 (bookworm)`.
    pub version: Option<String>,
    /// Such as `12`.
    pub version_id: Option<String>,
    /// Such as `6.1.0-28-amd64`.
    pub kernel_release: Option<String>,
    /// Such as `#1 SMP PREEMPT_DYNAMIC Debian 6.1.119-1`.
    pub kernel_version: Option<String>,
    /// Such as `x86_64`.
    pub machine: Option<String>,
    /// Such as `server`.
    pub variant: Option<String>,
    /// Such as `server`.
    pub variant_id: Option<String>,
}

/// Reply to [`GetHostName`].
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct HostName {
    /// The name.
    pub host_name: String,
}

/// Reply to [`GetTimezone`].
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Timezone {
    /// Its name, such as `CET`.
    pub zone: Option<String>,
    /// Seconds east of Greenwich.
    pub offset: i64,
}

/// A user that is logged in.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct User {
    /// The name.
    pub user: String,
    /// The domain on Windows.
    pub domain: Option<String>,
    /// Seconds since 1970.
    pub login_time: f64,
}

/// A mounted file system.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Filesystem {
    /// Its device's name.
    pub name: String,
    /// Where it is mounted.
    pub mountpoint: String,
    /// Such as `ext4`.
    #[serde(rename = "type")]
    pub kind: String,
    /// Bytes used.
    pub used_bytes: Option<u64>,
    /// Bytes for ordinary users.
    pub total_bytes: Option<u64>,
    /// Bytes in all, since agent 8.2.
    pub total_bytes_privileged: Option<u64>,
    /// Disks that it is on.
    #[serde(default)]
    pub disk: Vec<serde_json::Value>,
}

/// A processor as the guest sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Vcpu {
    /// The guest's number of it.
    pub logical_id: i64,
    /// It is in service.
    pub online: bool,
    /// It can be taken out of service.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub can_offline: Option<bool>,
}
