//! The kernel and the programs of this host.

mod bus;
mod facts;
mod files;
mod firewall;
mod links;
pub mod netserv;
mod processes;
mod watch;

use std::ffi::OsString;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

use oxivirt_conf::status::FirewallBackend;
use oxivirt_engine::Executor;
use oxivirt_netlink::Handle;
use oxivirt_netlink::sriov::Sysfs;
use oxivirt_nft::kernel::{NftError, Nftables, TableState};
use oxivirt_nft::xtables::Xtables;
use tokio::sync::OnceCell;
use tokio::sync::mpsc::UnboundedReceiver;

use super::{Host, HostError, HostEvent, firewalld};
use crate::plan::{FactsQuery, HostFacts, Step, Undo, nftables};

/// The host this process runs on, in the network namespace it was opened in.
#[derive(Debug)]
pub struct LinuxHost {
    links: Handle,
    /// Opened when first needed: networks without rules need no nftables in the kernel.
    nft: Mutex<Option<Nftables>>,
    xtables: Xtables,
    firewalld: Arc<firewalld::Firewalld>,
    search_path: OsString,
    sysfs: Sysfs,
    /// Kept: it does not change.
    is_privileged: bool,
    /// The dnsmasq program whose version was found good, with its time of change.
    dnsmasq: Mutex<Option<(PathBuf, SystemTime)>>,
    has_checksum: OnceCell<bool>,
}

impl LinuxHost {
    /// Opens the host's netlink socket in the network namespace of the calling thread.
    ///
    /// `search_path` is where programs are looked for, in the form of `$PATH`.
    ///
    /// # Errors
    /// [`HostError::Netlink`] if there is no netlink.
    pub fn open(search_path: OsString) -> Result<Self, HostError> {
        Ok(Self {
            links: Handle::open()?,
            nft: Mutex::default(),
            xtables: Xtables::new(search_path.clone()),
            firewalld: Arc::default(),
            search_path,
            sysfs: Sysfs::at("/sys"),
            is_privileged: rustix::process::geteuid().is_root(),
            dnsmasq: Mutex::default(),
            has_checksum: OnceCell::new(),
        })
    }

    /// Links, addresses and routes.
    #[must_use]
    pub fn links(&self) -> &Handle {
        &self.links
    }

    /// What the kernel holds of our table; `None` if it does not exist.
    ///
    /// # Errors
    /// [`HostError::Nft`] if the kernel cannot be asked.
    pub async fn table(&self) -> Result<Option<TableState>, HostError> {
        Ok(self.nft()?.observe(nftables::TABLE).await?)
    }

    fn nft(&self) -> Result<Nftables, NftError> {
        let mut nft = self.nft.lock().unwrap_or_else(PoisonError::into_inner);
        match &*nft {
            Some(nft) => Ok(nft.clone()),
            None => Ok(nft.insert(Nftables::open()?).clone()),
        }
    }
}

impl Executor<Step> for LinuxHost {
    type Error = HostError;

    async fn run(&self, step: &Step) -> Result<(), HostError> {
        step.run(self).await
    }

    async fn undo(&self, undo: &Undo) -> Result<(), HostError> {
        undo.run(self).await
    }
}

impl Host for LinuxHost {
    async fn facts(&self, query: &FactsQuery) -> Result<HostFacts, HostError> {
        self.find_facts(query).await
    }

    fn watch(&self, backend: FirewallBackend) -> UnboundedReceiver<HostEvent> {
        let xtables = (backend == FirewallBackend::Iptables).then_some(&self.xtables);
        watch::start(self.nft().ok(), self.links.clone(), Arc::clone(&self.firewalld), xtables)
    }
}
