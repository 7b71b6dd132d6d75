//! Carrying out plans.
//!
//! The engine walks a plan; what a step means is the business of a [`Host`]: the kernel
//! ([`linux::LinuxHost`]) or a double that records ([`recorder::Recorder`]).

mod firewalld;
pub mod linux;
pub mod recorder;

use std::collections::BTreeSet;
use std::fmt::Debug;
use std::io;
use std::path::{Path, PathBuf};
use std::pin::Pin;

use crate::dnsmasq::DnsmasqError;
use oxivirt_conf::status::FirewallBackend;
use oxivirt_engine::Executor;
use oxivirt_netlink::{NetlinkError, PortSettings};
use oxivirt_nft::counters::RuleCount;
use oxivirt_nft::kernel::NftError;
use oxivirt_nft::xtables::XtablesError;
use oxivirt_sys::command::CommandError;
use oxivirt_sys::file::FileError;
use oxivirt_types::link_name::LinkName;
use tokio::sync::mpsc::UnboundedReceiver;
use uuid::Uuid;

use crate::plan::{FactsQuery, HostFacts, Plan, Provision, Step};

/// A host on which plans are carried out.
pub trait Host: Executor<Step, Error = HostError> + Debug + 'static {
    /// What a planner needs to know.
    ///
    /// # Errors
    /// [`HostError`] if the host cannot be asked.
    fn facts(
        &self,
        query: &FactsQuery,
    ) -> impl Future<Output = Result<HostFacts, HostError>> + Send;

    /// The ways to set firewall rules that this host has, the best first.
    fn backends(&self) -> impl Future<Output = Vec<FirewallBackend>> + Send;

    /// What the rules of networks have counted.
    ///
    /// # Errors
    /// [`HostError`] if the host cannot be asked.
    fn counts(
        &self,
        backend: FirewallBackend,
    ) -> impl Future<Output = Result<Vec<RuleCount>, HostError>> + Send;

    /// Whether the kernel can make the nftables table this process's own.
    fn can_own_table(&self) -> impl Future<Output = bool> + Send;

    /// Makes this process the owner of the nftables table, if it is there, made for that and nobody's.
    ///
    /// # Errors
    /// [`HostError::Nft`] if it is somebody else's.
    fn claim_table(&self) -> impl Future<Output = Result<(), HostError>> + Send;

    /// Whether the nftables table was made to be a process's own; `None` if it is not there.
    ///
    /// # Errors
    /// [`HostError::Nft`] if the kernel cannot be asked.
    fn is_table_owned(&self) -> impl Future<Output = Result<Option<bool>, HostError>> + Send;

    /// Tells of changes that others make, as long as the receiver lives, those of the backend among them.
    /// Must be called in a tokio runtime.
    fn watch(&self, backend: FirewallBackend) -> UnboundedReceiver<HostEvent>;

    /// The pid of the dnsmasq with this configuration file, and what waits for its end.
    fn dnsmasq_end(&self, conf_file: &Path, pid_file: &Path) -> Option<(i32, End)>;

    /// Whether there is a link of this name.
    fn has_link(&self, name: &str) -> bool;

    /// Names of all links.
    ///
    /// # Errors
    /// [`HostError`] if the host cannot be asked.
    fn link_names(&self) -> impl Future<Output = Result<BTreeSet<String>, HostError>> + Send;

    /// Whether a PCI device, named as sysfs does, is a virtual function.
    fn is_virtual_function(&self, address: &str) -> bool;

    /// The part of each provision that is in place.
    ///
    /// What is there beyond it is not told: it is not the network's.
    ///
    /// # Errors
    /// [`HostError`] if the host cannot be asked.
    fn observe(
        &self,
        wanted: &[&Provision],
    ) -> impl Future<Output = Result<Vec<Provision>, HostError>> + Send;

    /// Whether the dnsmasq with this configuration file runs.
    ///
    /// # Errors
    /// [`HostError`] if the host cannot be asked.
    fn runs_dnsmasq(
        &self,
        conf_file: &Path,
        pid_file: &Path,
    ) -> impl Future<Output = Result<bool, HostError>> + Send;
}

/// Waits for the end of a process.
pub type End = Pin<Box<dyn Future<Output = ()> + Send>>;

/// Something that others changed, and that may concern a network.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HostEvent {
    /// Firewall rules.
    Rules,
    /// Anything.
    All,
    /// A network.
    Network(Uuid),
    /// A link or its addresses.
    Link {
        /// Its name.
        name: String,
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
