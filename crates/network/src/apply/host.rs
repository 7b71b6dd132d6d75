//! What components ask of a host, a trait for each concern.
//!
//! A component's functions are generic over the concerns they need. Adding a component adds nothing here
//! unless it needs something of the host that no other did.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Debug;
use std::path::{Path, PathBuf};
use std::pin::Pin;

use ipnet::IpNet;
use oxivirt_conf::status::FirewallBackend;
use oxivirt_engine::Executor;
use oxivirt_netlink::{Bridge, Link, Queues, Route, Stp};
use oxivirt_nft::counters::RuleCount;
use oxivirt_nft::iptables::Rule;
use oxivirt_nft::libvirt::NetworkRules;
use oxivirt_nft::{Family, Removal};
use oxivirt_types::link_name::LinkName;
use tokio::sync::mpsc::UnboundedReceiver;
use uuid::Uuid;

use super::{HostError, HostEvent};
use crate::components::bridge::BridgePort;
use crate::components::dhcp::{Serve, StopServing};
use crate::components::qos::QueueCommand;
use crate::components::resolver::Registration;
use crate::components::routes::RouteState;
use crate::components::rules::{Rules, RulesChange};
use crate::dnsmasq::Launch;
use crate::plan::removal::{ForeignRemoval, JumpTarget};
use crate::plan::{FactsQuery, FileImage, HostFacts, IfMissing, Step, Sysctl};

/// The answer of a host.
pub type Answer<T> = Result<T, HostError>;

/// Waits for the end of a process.
pub type End = Pin<Box<dyn Future<Output = ()> + Send>>;

/// A host on which plans are carried out.
pub trait Host:
    Links
    + Queueing
    + Settings
    + Files
    + Processes
    + Firewall
    + Zones
    + Resolver
    + Executor<Step, Error = HostError>
    + Debug
    + 'static
{
    /// What a planner needs to know.
    ///
    /// # Errors
    /// [`HostError`] if the host cannot be asked.
    fn facts(&self, query: &FactsQuery) -> impl Future<Output = Answer<HostFacts>> + Send;

    /// Reports changes that other programs make, as long as the receiver lives, those of the backend among
    /// them. Must be called in a tokio runtime.
    fn watch(&self, backend: FirewallBackend) -> UnboundedReceiver<HostEvent>;
}

/// Links, their addresses and routes.
///
/// Every method fails with [`HostError`] if the kernel refuses or cannot be asked.
pub trait Links: Send + Sync {
    /// Creates a bridge, down; fails if a link of that name exists.
    fn create_bridge(&self, bridge: &Bridge) -> impl Future<Output = Answer<()>> + Send;

    /// Deletes the bridge with this name and hardware address, if it exists; `None` accepts any bridge of
    /// that name.
    fn delete_bridge(
        &self,
        name: &LinkName,
        address: Option<[u8; 6]>,
    ) -> impl Future<Output = Answer<()>> + Send;

    /// Sets a link's MTU in bytes.
    fn set_mtu(&self, link: &LinkName, mtu: u32) -> impl Future<Output = Answer<()>> + Send;

    /// Raises a link.
    fn set_up(&self, link: &LinkName) -> impl Future<Output = Answer<()>> + Send;

    /// Makes a bridge keep VLANs apart.
    fn filter_vlans(&self, link: &LinkName) -> impl Future<Output = Answer<()>> + Send;

    /// Makes links ports of a bridge and sets what was set on them; links that are gone are left out. The
    /// ports forward at once, also if the bridge has a spanning tree protocol.
    fn attach_ports(
        &self,
        bridge: &LinkName,
        stp: Stp,
        ports: &[BridgePort],
    ) -> impl Future<Output = Answer<()>> + Send;

    /// Gives a link an address.
    fn add_address(
        &self,
        link: &LinkName,
        address: IpNet,
    ) -> impl Future<Output = Answer<()>> + Send;

    /// Takes an address from a link, if it has it.
    fn remove_address(
        &self,
        link: &LinkName,
        address: IpNet,
    ) -> impl Future<Output = Answer<()>> + Send;

    /// Adds a route through a link.
    fn add_route(
        &self,
        link: &LinkName,
        route: &RouteState,
    ) -> impl Future<Output = Answer<()>> + Send;

    /// Removes a route through a link, if it exists.
    fn remove_route(
        &self,
        link: &LinkName,
        route: &RouteState,
    ) -> impl Future<Output = Answer<()>> + Send;

    /// All links.
    fn all_links(&self) -> impl Future<Output = Answer<Vec<Link>>> + Send;

    /// The addresses of all links, by the links' indices.
    fn addresses(&self) -> impl Future<Output = Answer<BTreeSet<(u32, IpNet)>>> + Send;

    /// All routes of a family.
    fn routes(&self, family: Family) -> impl Future<Output = Answer<Vec<Route>>> + Send;

    /// Whether there is a link of this name.
    fn has_link(&self, name: &str) -> bool;

    /// Whether a PCI device, named as sysfs does, is a virtual function.
    fn is_virtual_function(&self, address: &str) -> bool;
}

/// Traffic control of links.
pub trait Queueing: Send + Sync {
    /// Changes the queueing disciplines of a link.
    ///
    /// # Errors
    /// [`HostError`] if a command that cannot be done without is refused.
    fn change_queues(
        &self,
        link: &LinkName,
        commands: &[QueueCommand],
    ) -> impl Future<Output = Answer<()>> + Send;

    /// The disciplines of all links, by the links' indices.
    ///
    /// # Errors
    /// [`HostError`] if the kernel cannot be asked.
    fn queues(&self) -> impl Future<Output = Answer<BTreeMap<u32, Queues>>> + Send;
}

/// Kernel settings below `/proc/sys`.
pub trait Settings: Send + Sync {
    /// The value of a setting; `None` if the kernel does not have it.
    fn setting(&self, key: &str) -> Option<String>;

    /// Whether a setting has its value. One that the kernel lacks counts as set, if it may be missing.
    fn is_set(&self, sysctl: &Sysctl) -> bool {
        match self.setting(&sysctl.key) {
            Some(value) => value == sysctl.value,
            None => sysctl.if_missing == IfMissing::Skip,
        }
    }

    /// Writes a setting.
    ///
    /// # Errors
    /// [`HostError::Sysctl`]
    fn write_setting(&self, sysctl: &Sysctl) -> Answer<()>;
}

/// Files of networks, off the threads that serve sockets.
///
/// Every method fails with [`HostError::File`].
pub trait Files: Send + Sync {
    /// Replaces a file.
    fn write_file(&self, file: &FileImage) -> impl Future<Output = Answer<()>> + Send;

    /// The content of a file; `None` if it cannot be read.
    fn read_file(&self, path: &Path) -> Option<Vec<u8>>;

    /// Removes a file and what an interrupted replacement left beside it.
    fn remove_file(&self, path: &Path) -> impl Future<Output = Answer<()>> + Send;

    /// Removes a directory with everything in it.
    fn remove_dir(&self, path: &Path) -> impl Future<Output = Answer<()>> + Send;

    /// Removes a JSON array that holds nothing.
    fn remove_if_empty(&self, path: &Path) -> impl Future<Output = Answer<()>> + Send;
}

/// A dnsmasq that runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunningDnsmasq {
    /// Its name servers' file, if it was started with one.
    pub servers_file: Option<PathBuf>,
}

/// Processes that serve networks.
pub trait Processes: Send + Sync {
    /// Starts a dnsmasq and waits until it serves.
    ///
    /// # Errors
    /// [`HostError::Dnsmasq`]
    fn start_dnsmasq(&self, launch: &Launch) -> impl Future<Output = Answer<()>> + Send;

    /// Makes a running dnsmasq read its hosts files again.
    ///
    /// # Errors
    /// [`HostError::NoDnsmasqProcess`]
    fn reload_dnsmasq(&self, conf_file: &Path, pid_file: &Path) -> Answer<()>;

    /// Ends the dnsmasq with this configuration file, if it runs, and removes its pid file.
    ///
    /// # Errors
    /// [`HostError`] if it does not end.
    fn stop_dnsmasq(
        &self,
        conf_file: &Path,
        pid_file: &Path,
    ) -> impl Future<Output = Answer<()>> + Send;

    /// The dnsmasq with this configuration file.
    fn dnsmasq(&self, conf_file: &Path, pid_file: &Path) -> Option<RunningDnsmasq>;

    /// Serves a network by our own service, which is started if there is none.
    ///
    /// # Errors
    /// [`HostError::Netserv`]
    fn serve(&self, step: &Serve) -> impl Future<Output = Answer<()>> + Send;

    /// Ends our own service of a network, if it serves it.
    ///
    /// # Errors
    /// [`HostError::Netserv`] if it does not answer.
    fn stop_serving(&self, step: &StopServing) -> impl Future<Output = Answer<()>> + Send;

    /// The generation of a network that our own service serves, by its control socket.
    fn served(&self, socket: &Path, network: Uuid) -> Option<u64>;

    /// The pid of our own service, and what waits for its end.
    fn service_end(&self, socket: &Path) -> Option<(i32, End)>;

    /// The pid of the dnsmasq with this configuration file, and what waits for its end.
    fn dnsmasq_end(&self, conf_file: &Path, pid_file: &Path) -> Option<(i32, End)>;
}

/// Firewall rules.
///
/// Every method fails with [`HostError`] if the host refuses or cannot be asked.
pub trait Firewall: Send + Sync {
    /// The ways to set firewall rules that this host has, the best first.
    fn backends(&self) -> impl Future<Output = Vec<FirewallBackend>> + Send;

    /// What the rules of networks have counted.
    fn counts(
        &self,
        backend: FirewallBackend,
    ) -> impl Future<Output = Answer<Vec<RuleCount>>> + Send;

    /// Whether the kernel can make the nftables table this process's own.
    fn can_own_table(&self) -> impl Future<Output = bool> + Send;

    /// Makes this process the owner of the nftables table, if it exists and was made for that; fails if
    /// another process owns it.
    fn claim_table(&self) -> impl Future<Output = Answer<()>> + Send;

    /// Whether the nftables table was made to be a process's own; `None` if it does not exist.
    fn is_table_owned(&self) -> impl Future<Output = Answer<Option<bool>>> + Send;

    /// Which of these rule sets are in place, each as a whole.
    fn loaded(&self, wanted: &[&Rules]) -> impl Future<Output = Answer<Vec<bool>>> + Send;

    /// Loads rules, as one transaction.
    fn load_rules(&self, change: &RulesChange) -> impl Future<Output = Answer<()>> + Send;

    /// Removes nftables rules by name; then the table if no network has rules in it any more.
    fn remove_rules(&self, removal: &Removal) -> impl Future<Output = Answer<()>> + Send;

    /// Removes what libvirt's nftables backend has for a network.
    fn remove_libvirt_rules(
        &self,
        network: &NetworkRules,
    ) -> impl Future<Output = Answer<()>> + Send;

    /// Empties the chain to which chains of other programs jump.
    fn remove_user_chain_jump(
        &self,
        target: &JumpTarget,
    ) -> impl Future<Output = Answer<()>> + Send;

    /// Removes those of these iptables rules that exist.
    fn remove_iptables(&self, rules: &[Rule]) -> impl Future<Output = Answer<()>> + Send;

    /// Runs a removal command that another program saved, whatever its exit status.
    fn run_removal(&self, command: &ForeignRemoval) -> impl Future<Output = Answer<()>> + Send;
}

/// firewalld's zones.
pub trait Zones: Send + Sync {
    /// The zones by the links in them; `None` if firewalld does not answer.
    fn zones_of_links(&self) -> impl Future<Output = Option<BTreeMap<String, String>>> + Send;

    /// Puts a link into a zone.
    ///
    /// # Errors
    /// [`HostError::Firewalld`]
    fn join_zone(&self, link: &LinkName, zone: &str) -> impl Future<Output = Answer<()>> + Send;

    /// Takes a link out of its zone, if it has one.
    fn leave_zone(&self, link: &LinkName) -> impl Future<Output = ()> + Send;
}

/// The host's name resolver.
pub trait Resolver: Send + Sync {
    /// Registers the domain behind a link.
    ///
    /// # Errors
    /// [`HostError::Resolver`]
    fn register_domain(
        &self,
        link: &LinkName,
        registration: &Registration,
    ) -> impl Future<Output = Answer<()>> + Send;
}
