//! Carrying out plans.
//!
//! The engine walks a plan; a step is carried out with what a [`Host`] offers, concern by concern ([`host`]):
//! the kernel ([`linux::LinuxHost`]) or a double that records ([`recorder::Recorder`]).

mod firewalld;
pub mod host;
pub mod linux;
pub mod recorder;
mod run;

use std::io;
use std::path::PathBuf;

use crate::dnsmasq::DnsmasqError;
use oxivirt_netlink::{NetlinkError, PortSettings};
use oxivirt_nft::kernel::NftError;
use oxivirt_nft::xtables::XtablesError;
use oxivirt_sys::command::CommandError;
use oxivirt_sys::file::FileError;
use oxivirt_types::link_name::LinkName;
use uuid::Uuid;

use self::linux::netserv::NetservError;
use crate::plan::{Plan, Step};

pub use self::host::Host;

/// A change by another program that may concern a network.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HostEvent {
    /// Firewall rules.
    Rules,
    /// Anything.
    All,
    /// A network.
    Network(Uuid),
    /// The addresses of a link.
    Addresses {
        /// The link's name.
        link: String,
    },
    /// A link.
    Link {
        /// Its name.
        name: String,
        /// A digest of what is set on it.
        settings: u64,
    },
    /// A link is a port of a bridge.
    Port {
        /// The bridge.
        bridge: String,
        /// The link.
        port: LinkName,
        /// What is set on it as a port.
        settings: PortSettings,
    },
    /// A link is a port of no bridge.
    NoPort {
        /// The link.
        port: LinkName,
    },
    /// A link is gone.
    LinkGone {
        /// Its name.
        name: String,
    },
}

/// Why a host refused.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum HostError {
    /// A link, an address or a route.
    #[error(transparent)]
    Netlink(#[from] NetlinkError),
    /// Firewall rules.
    #[error(transparent)]
    Nft(#[from] NftError),
    /// Firewall rules of iptables.
    #[error(transparent)]
    Xtables(#[from] XtablesError),
    /// dnsmasq.
    #[error(transparent)]
    Dnsmasq(#[from] DnsmasqError),
    /// Our own address and name service.
    #[error(transparent)]
    Netserv(#[from] NetservError),
    /// A file.
    #[error(transparent)]
    File(#[from] FileError),
    /// Another program.
    #[error(transparent)]
    Command(#[from] CommandError),
    /// A kernel setting.
    #[error("cannot set '{key}' to '{value}'")]
    Sysctl {
        /// Path below `/proc/sys`.
        key: String,
        /// The value.
        value: String,
        /// The system's reason.
        #[source]
        source: io::Error,
    },
    /// A link that a step names does not exist.
    #[error("there is no link '{link}'")]
    NoLink {
        /// Its name.
        link: String,
    },
    /// A program that was needed is not installed.
    #[error("cannot find '{program}' in path")]
    NoProgram {
        /// The program.
        program: String,
    },
    /// No dnsmasq runs with this configuration file.
    #[error("no dnsmasq runs with '{conf_file}'")]
    NoDnsmasqProcess {
        /// Its configuration file.
        conf_file: PathBuf,
    },
    /// The kernel refused a change of a link's queues that cannot be done without.
    #[error("cannot do what 'tc {command}' would")]
    Queue {
        /// The words after `tc`.
        command: String,
        /// The kernel's reason.
        #[source]
        source: NetlinkError,
    },
    /// The resolver refused to learn about a link.
    #[error("failed to register domain '{domain}' of link '{link}': {reason}")]
    Resolver {
        /// The link.
        link: String,
        /// Its domain.
        domain: String,
        /// Why.
        reason: String,
        /// Whether it is because none runs.
        is_absent: bool,
    },
    /// firewalld refused.
    #[error("{reason}")]
    Firewalld {
        /// Why.
        reason: String,
    },
    /// A worker thread ended unexpectedly.
    #[error("a worker thread ended unexpectedly")]
    Worker,
}

/// A plan that stopped.
pub type Stopped = oxivirt_engine::Stopped<Step, HostError>;

/// Carries out a plan, up to the first failure.
///
/// # Errors
/// [`Stopped`] says what was done and how to revert it.
pub async fn run<H: Host>(host: &H, plan: &Plan<Step>) -> Result<(), Stopped> {
    oxivirt_engine::apply::run(host, plan).await
}
