//! Calls that a program in the guest answers, the guest agent.

use std::fmt::Debug;
use std::time::Duration;

use async_trait::async_trait;
use oxivirt_types::domain::DomainGuestInfoTypes;

use crate::{DomainRef, Result, TypedParam};

/// How long the guest agent is waited for (`virDomainAgentResponseTimeoutValues`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AgentTimeout {
    /// Without end, -2.
    Block,
    /// As long as the driver thinks right, -1.
    Default,
    /// Not at all, 0: success means that the command was sent.
    NoWait,
    /// So many seconds.
    Seconds(u32),
    /// A number without meaning, below -2.
    Unknown(i32),
}

impl AgentTimeout {
    /// The value of this number.
    #[must_use]
    pub fn from_number(number: i32) -> Self {
        match number {
            -2 => Self::Block,
            -1 => Self::Default,
            0 => Self::NoWait,
            seconds => u32::try_from(seconds).map_or(Self::Unknown(seconds), Self::Seconds),
        }
    }

    /// Its number.
    #[must_use]
    pub fn number(self) -> i32 {
        match self {
            Self::Block => -2,
            Self::Default => -1,
            Self::NoWait => 0,
            Self::Seconds(seconds) => i32::try_from(seconds).unwrap_or(i32::MAX),
            Self::Unknown(number) => number,
        }
    }
}

/// A file system of a guest (`virDomainFSInfo`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DomainFileSystem {
    /// Where it is mounted.
    pub mountpoint: String,
    /// Name of its device in the guest.
    pub name: String,
    /// Its type.
    pub kind: String,
    /// Names of the disks that it is on, as the domain's document has them.
    pub disks: Vec<String>,
}

/// A new password of a user in the guest (`virDomainSetUserPassword`).
#[derive(Clone, PartialEq, Eq)]
pub struct GuestPassword {
    /// The user.
    pub user: String,
    /// The password.
    pub password: String,
    /// Whether it is the hash that the guest stores.
    pub is_encrypted: bool,
}

impl Debug for GuestPassword {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("GuestPassword").field("user", &self.user).finish_non_exhaustive()
    }
}

/// The calls that the guest agent answers. All fail with
/// [`ErrorCode::AGENT_UNRESPONSIVE`](crate::ErrorCode::AGENT_UNRESPONSIVE) if it is not connected or silent.
///
/// libvirt: `virHypervisorDriver`, src/driver-hypervisor.h
#[async_trait]
pub trait DomainAgentDriver: Send + Sync + Debug {
    /// The agent's answer to a command, both as JSON; `flags` must be 0 (`virDomainQemuAgentCommand`).
    async fn domain_agent_command(
        &self,
        domain: &DomainRef,
        command: &str,
        timeout: AgentTimeout,
        flags: u32,
    ) -> Result<Option<String>>;

    /// Sets how long other calls wait for the agent; `flags` must be 0
    /// (`virDomainAgentSetResponseTimeout`).
    async fn domain_set_agent_timeout(
        &self,
        domain: &DomainRef,
        timeout: AgentTimeout,
        flags: u32,
    ) -> Result<()>;

    /// The guest's host name; `flags` must be 0 (`virDomainGetHostname`).
    async fn domain_hostname(&self, domain: &DomainRef, flags: u32) -> Result<String>;

    /// What the guest says about itself; `flags` must be 0 (`virDomainGetGuestInfo`).
    async fn domain_guest_info(
        &self,
        domain: &DomainRef,
        types: DomainGuestInfoTypes,
        flags: u32,
    ) -> Result<Vec<TypedParam>>;

    /// The guest's time since 1970; `flags` must be 0 (`virDomainGetTime`).
    async fn domain_time(&self, domain: &DomainRef, flags: u32) -> Result<Duration>;

    /// Sets the guest's time; flag 1 takes that of its clock (`virDomainSetTime`).
    async fn domain_set_time(&self, domain: &DomainRef, time: Duration, flags: u32) -> Result<()>;

    /// Stops writing to file systems, all without a mount point; how many; `flags` must be 0
    /// (`virDomainFSFreeze`).
    async fn domain_fs_freeze(
        &self,
        domain: &DomainRef,
        mountpoints: &[String],
        flags: u32,
    ) -> Result<u32>;

    /// Writes to file systems again; how many; `flags` must be 0 (`virDomainFSThaw`).
    async fn domain_fs_thaw(
        &self,
        domain: &DomainRef,
        mountpoints: &[String],
        flags: u32,
    ) -> Result<u32>;

    /// Gives back blocks that file systems do not use, ranges of at least `minimum` bytes; `flags` must be 0
    /// (`virDomainFSTrim`).
    async fn domain_fs_trim(
        &self,
        domain: &DomainRef,
        mountpoint: Option<&str>,
        minimum: u64,
        flags: u32,
    ) -> Result<()>;

    /// The guest's file systems; `flags` must be 0 (`virDomainGetFSInfo`).
    async fn domain_fs_info(&self, domain: &DomainRef, flags: u32)
    -> Result<Vec<DomainFileSystem>>;

    /// Changes the password of a user in the guest (`virDomainSetUserPassword`).
    async fn domain_set_user_password(
        &self,
        domain: &DomainRef,
        password: &GuestPassword,
    ) -> Result<()>;
}
