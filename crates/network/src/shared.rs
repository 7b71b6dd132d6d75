//! What the operations and tasks of a driver share.
//!
//! Knows none of them: they extend [`Shared`] where they are. Three asynchronous locks have an order,
//! which debug builds check ([`oxivirt_engine::lock`]): identities ([`Networks::lock_identities`]), one
//! network's operation ([`Entry::lock`]), settings of the host ([`HostSettings`]). The mutexes guard
//! single statements.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, PoisonError};

use oxivirt::{Callbacks, Error, NetworkEvent, NetworkRef, Result};
use oxivirt_engine::Journal;
use oxivirt_engine::hooks::Hooks;
use oxivirt_netlink::PortSettings;
use oxivirt_sys::pidfile::PidFile;
use oxivirt_types::link_name::LinkName;
use tokio::sync::mpsc::UnboundedSender;
use uuid::Uuid;

use crate::apply::Host;
use crate::config;
use crate::layout::Layout;
use crate::plan::Undo;
use crate::registry::{Entry, Networks, Reservations};
use crate::settings::HostSettings;

/// What the driver itself notices.
#[derive(Debug, Clone)]
pub(crate) enum Notification {
    /// A network has started.
    Started(Uuid),
    /// A network's dnsmasq has ended.
    DnsmasqEnded(Uuid),
}

/// Which links were ports of which bridges, for a bridge that has to be created again.
pub(crate) type PortsOfBridges = BTreeMap<String, BTreeMap<LinkName, PortSettings>>;

/// What the operations and tasks of a driver share.
#[derive(Debug)]
pub(crate) struct Shared<H> {
    pub(crate) host: Arc<H>,
    /// Where files are.
    pub(crate) layout: Layout,
    /// The program that dnsmasq calls for every lease.
    pub(crate) lease_helper: PathBuf,
    /// The URI of connections.
    pub(crate) uri: String,
    /// How firewall rules are set.
    pub(crate) firewall: config::Firewall,
    /// Whether the table of rules is not as the settings want it, so that all rules are loaded again.
    pub(crate) remakes_table: AtomicBool,
    pub(crate) networks: Networks,
    pub(crate) reserved: Mutex<Reservations>,
    pub(crate) settings: HostSettings,
    pub(crate) journal: Journal<Undo>,
    pub(crate) hooks: Hooks,
    pub(crate) callbacks: Callbacks<NetworkEvent>,
    /// Wakes the task that repairs networks.
    pub(crate) notifications: UnboundedSender<Notification>,
    pub(crate) ports_of_bridges: Mutex<PortsOfBridges>,
    /// Keeps other drivers out of the directories.
    pub(crate) _lock: PidFile,
}

impl<H: Host> Shared<H> {
    /// The network a call is about.
    pub(crate) fn entry(&self, network: &NetworkRef) -> Result<Arc<Entry>> {
        self.networks.get(network.uuid).ok_or_else(|| {
            let NetworkRef { name, uuid } = network;
            Error::no_network(format!("no network with matching uuid '{uuid}' ({name})"))
        })
    }

    pub(crate) fn reserved(&self) -> std::sync::MutexGuard<'_, Reservations> {
        self.reserved.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
