//! The kernel and the programs of this host.

mod execute;
mod facts;
mod observe;
mod watch;

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

use oxivirt_conf::status::FirewallBackend;
use oxivirt_netlink::Handle;
use oxivirt_netlink::sriov::Sysfs;
use oxivirt_nft::Family;
use oxivirt_nft::counters::RuleCount;
use oxivirt_nft::kernel::{NftError, Nftables, TableState};
use oxivirt_nft::xtables::Xtables;
use oxivirt_sys::{chain, pidfile};
use tokio::sync::OnceCell;
use tokio::sync::mpsc::UnboundedReceiver;

use super::{End, Host, HostError, HostEvent, firewalld};
use crate::dnsmasq::Process;
use crate::plan::{FactsQuery, HostFacts, IfMissing, Provision, Sysctl, nftables};

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

impl Host for LinuxHost {
    async fn facts(&self, query: &FactsQuery) -> Result<HostFacts, HostError> {
        self.find_facts(query).await
    }

    async fn backends(&self) -> Vec<FirewallBackend> {
        let mut found = Vec::new();
        // Without privileges the first network that is started says so.
        let is_there = match self.nft() {
            Ok(nft) => nft.generation().await.map(drop),
            Err(error) => Err(error),
        };
        match is_there {
            Err(error) if !error.is_not_permitted() => {
                tracing::info!(
                    error = chain::text(&error),
                    "not offering the nftables backend: the kernel lacks it"
                );
            }
            _ => found.push(FirewallBackend::Nftables),
        }
        if self.xtables.is_installed() {
            found.push(FirewallBackend::Iptables);
        }
        found
    }

    async fn counts(&self, backend: FirewallBackend) -> Result<Vec<RuleCount>, HostError> {
        match backend {
            FirewallBackend::Nftables => Ok(self.nft()?.counts(nftables::TABLE).await?),
            FirewallBackend::Iptables => {
                let mut counts = self.xtables.counts(Family::Ipv4).await?;
                counts.extend(self.xtables.counts(Family::Ipv6).await?);
                Ok(counts)
            }
            FirewallBackend::None => Ok(Vec::new()),
        }
    }

    async fn can_own_table(&self) -> bool {
        let answer = match self.nft() {
            Ok(nft) => nft.can_own_tables().await,
            Err(error) => Err(error),
        };
        answer
            .inspect_err(|error| {
                tracing::debug!(error = chain::text(error), "cannot probe table ownership");
            })
            .unwrap_or(false)
    }

    async fn is_table_owned(&self) -> Result<Option<bool>, HostError> {
        Ok(self.nft()?.is_owned_table(nftables::TABLE).await?)
    }

    async fn claim_table(&self) -> Result<(), HostError> {
        Ok(self.nft()?.claim(nftables::TABLE).await?)
    }

    fn watch(&self, backend: FirewallBackend) -> UnboundedReceiver<HostEvent> {
        let xtables = (backend == FirewallBackend::Iptables).then_some(&self.xtables);
        watch::start(self.nft().ok(), self.links.clone(), Arc::clone(&self.firewalld), xtables)
    }

    fn dnsmasq_end(&self, conf_file: &Path, pid_file: &Path) -> Option<(i32, End)> {
        let process = find(conf_file, pid_file)?;
        let pid = process.pid();
        Some((pid, Box::pin(process.gone())))
    }

    fn has_link(&self, name: &str) -> bool {
        oxivirt_netlink::has_link(name)
    }

    async fn link_names(&self) -> Result<BTreeSet<String>, HostError> {
        Ok(self.links.links().await?.into_iter().map(|link| link.name).collect())
    }

    fn is_virtual_function(&self, address: &str) -> bool {
        self.sysfs.is_virtual_function(address)
    }

    async fn observe(&self, wanted: &[&Provision]) -> Result<Vec<Provision>, HostError> {
        let mut found = vec![Provision::default(); wanted.len()];
        self.observe_links(wanted, &mut found).await?;
        self.observe_routes(wanted, &mut found).await?;
        self.observe_rules(wanted, &mut found).await?;
        let has_zones = wanted.iter().any(|want| want.zone.is_some());
        let zones = match has_zones {
            true => self.firewalld.zones_of_links().await,
            false => Some(BTreeMap::new()),
        };
        for (want, found) in wanted.iter().zip(&mut found) {
            found.zone = match (&zones, &want.link) {
                (Some(zones), Some(link)) => zones.get(link.name.as_str()).cloned(),
                (Some(_), None) => None,
                // It will say when it is back.
                (None, _) => want.zone.clone(),
            };
            found.dnsmasq = want.dnsmasq.as_ref().and_then(observe::observe_dnsmasq);
            found.forwarding =
                want.forwarding.iter().filter(|sysctl| is_set(sysctl)).cloned().collect();
            // Asking the resolver is no better than telling it again; it forgets with the link.
            found.domain = want.domain.clone().filter(|_| found.link.is_some());
        }
        Ok(found)
    }

    async fn runs_dnsmasq(&self, conf_file: &Path, pid_file: &Path) -> Result<bool, HostError> {
        Ok(find(conf_file, pid_file).is_some())
    }
}

/// A setting that the kernel does not have counts as set, if it may be missing.
fn is_set(sysctl: &Sysctl) -> bool {
    match read_sysctl(&sysctl.key) {
        Some(value) => value == sysctl.value,
        None => sysctl.if_missing == IfMissing::Skip,
    }
}

fn read_sysctl(key: &str) -> Option<String> {
    fs::read_to_string(Path::new("/proc/sys").join(key)).ok().map(|text| text.trim().to_owned())
}

/// The dnsmasq whose pid is in a pid file.
fn find(conf_file: &Path, pid_file: &Path) -> Option<Process> {
    pidfile::read(pid_file).and_then(|pid| Process::find(pid, conf_file))
}
