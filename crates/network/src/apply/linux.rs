//! The kernel and the programs of this host.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fs;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use oxivirt_util::command::{self, Command};
use oxivirt_util::dnsmasq::{self, Process};
use oxivirt_util::file;
use oxivirt_util::firewall::{Family, Removal, Transaction};
use oxivirt_util::link_name::LinkName;
use oxivirt_util::netlink::nftables::{DeleteTableIf, NftError, Nftables, TableState};
use oxivirt_util::netlink::{Handle, LinkKind, Route};
use oxivirt_util::pidfile;

use super::{Host, HostError};
use crate::plan::{
    Collision, FactsQuery, FileImage, HostFacts, IfMissing, Step, Sysctl, Undo, nftables,
};

/// How long a dnsmasq may take to end before it is killed.
const DNSMASQ_PATIENCE: Duration = Duration::from_secs(5);
/// How often the processes of a dnsmasq are looked for until none is left.
const DNSMASQ_SCANS: usize = 20;
/// `RTPROT_RA`
const PROTOCOL_RA: u8 = 9;

/// The host this process runs on, in the network namespace it was opened in.
#[derive(Debug)]
pub struct LinuxHost {
    links: Handle,
    /// Opened when first needed: networks without rules need no nftables in the kernel.
    nft: Mutex<Option<Nftables>>,
    search_path: OsString,
    /// The dnsmasq program whose version was found good, with its time of change.
    dnsmasq: Mutex<Option<(PathBuf, SystemTime)>>,
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
            search_path,
            dnsmasq: Mutex::default(),
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

    /// The dnsmasq program, if it is there and new enough.
    async fn dnsmasq(&self) -> Result<Option<PathBuf>, HostError> {
        let Some(program) = command::find_in_path("dnsmasq", &self.search_path) else {
            return Ok(None);
        };
        let changed =
            program.metadata().and_then(|meta| meta.modified()).unwrap_or(SystemTime::UNIX_EPOCH);
        let this = Some((program.clone(), changed));
        if *self.dnsmasq.lock().unwrap_or_else(PoisonError::into_inner) != this {
            dnsmasq::check_version(&program).await?;
            *self.dnsmasq.lock().unwrap_or_else(PoisonError::into_inner) = this;
        }
        Ok(Some(program))
    }

    async fn collisions(&self, query: &FactsQuery) -> Result<Vec<Collision>, HostError> {
        let mut collisions = Vec::new();
        for family in [Family::Ipv4, Family::Ipv6] {
            let wanted: Vec<_> =
                query.destinations.iter().filter(|net| Family::of_net(net) == family).collect();
            if wanted.is_empty() {
                continue;
            }
            for route in self.links.routes(family).await? {
                if wanted.iter().any(|net| overlap(net, &route)) {
                    let link = self.name_of(&route).await?;
                    collisions.push(Collision { destination: route.destination, link });
                }
            }
        }
        Ok(collisions)
    }

    async fn name_of(&self, route: &Route) -> Result<String, HostError> {
        let link = match route.link {
            Some(index) => self.links.link_by_index(index).await?,
            None => None,
        };
        Ok(link.map(|link| link.name).unwrap_or_default())
    }

    /// Links with routes from router advertisements that forwarding would make them lose.
    async fn ra_links(&self) -> Result<Vec<String>, HostError> {
        let mut names = Vec::new();
        for route in self.links.routes(Family::Ipv6).await? {
            if route.protocol != PROTOCOL_RA {
                continue;
            }
            let name = self.name_of(&route).await?;
            // Over-ruled by `all`; 2 accepts advertisements although forwarding.
            let accepts = |link: &str| read_sysctl(&format!("net/ipv6/conf/{link}/accept_ra"));
            let loses = match accepts(&name).as_deref() {
                Some("1") => true,
                Some("0") => accepts("all").as_deref() == Some("1"),
                _ => false,
            };
            if loses && !names.contains(&name) {
                names.push(name);
            }
        }
        Ok(names)
    }

    async fn index(&self, link: &LinkName) -> Result<u32, HostError> {
        let found = self.links.link(link).await?;
        found.map(|found| found.index).ok_or_else(|| HostError::NoLink { link: link.to_string() })
    }

    async fn add_route(&self, step: &Step) -> Result<(), HostError> {
        let Step::AddRoute { link, destination, gateway, metric } = step else { return Ok(()) };
        let route = Route {
            destination: *destination,
            gateway: Some(*gateway),
            link: Some(self.index(link).await?),
            metric: *metric,
            protocol: 0,
        };
        if let Err(error) = self.links.add_route(&route).await {
            tracing::warn!(%destination, error = oxivirt_util::chain::text(&error), "route not added");
        }
        Ok(())
    }

    async fn delete_bridge(&self, name: &str, address: Option<[u8; 6]>) -> Result<(), HostError> {
        let Ok(name) = LinkName::new(name) else { return Ok(()) };
        let Some(link) = self.links.link(&name).await? else { return Ok(()) };
        let is_ours = address.is_none_or(|address| link.address == address);
        if link.kind != LinkKind::Bridge || !is_ours {
            tracing::warn!(%name, "a link of another owner has the name of our bridge, left alone");
            return Ok(());
        }
        match self.links.delete_link(link.index).await {
            // Somebody was faster.
            Err(error) if error.is_no_device() => Ok(()),
            other => Ok(other?),
        }
    }

    async fn remove_rules(&self, words: &[String]) -> Result<(), HostError> {
        let Ok(removal) = Removal::parse(words) else {
            return self.run_removal("nft", words).await;
        };
        let nft = self.nft()?;
        let table = removal.table.clone();
        nft.remove(removal).await?;
        nft.delete_table_if(DeleteTableIf { table, is_shared: nftables::is_shared_chain }).await?;
        Ok(())
    }

    /// Runs a removal command that somebody else saved; it may well have nothing to remove.
    async fn run_removal(&self, program: &str, arguments: &[String]) -> Result<(), HostError> {
        if !["nft", "tc", "iptables", "ip6tables", "ebtables"].contains(&program) {
            return Err(HostError::UnknownProgram { program: program.to_owned() });
        }
        let path = command::find_in_path(program, &self.search_path)
            .ok_or_else(|| HostError::NoProgram { program: program.to_owned() })?;
        let output = Command::new(path).args(arguments).run().await?;
        if !output.status.success() {
            tracing::debug!(program, complaint = output.complaint(), "removal command failed");
        }
        Ok(())
    }
}

impl Host for LinuxHost {
    async fn facts(&self, query: &FactsQuery) -> Result<HostFacts, HostError> {
        let link = match &query.bridge {
            Some(name) => self.links.link(name).await?,
            None => None,
        };
        if query.needs_rules {
            // Fails where the kernel has no nftables, before anything is changed. For lack of
            // privileges the bridge fails first, with the message that people know.
            match self.nft()?.generation().await {
                Err(error) if !error.is_not_permitted() => return Err(error.into()),
                _ => {}
            }
        }
        Ok(HostFacts {
            bridge: link.map(|link| link.kind),
            collisions: self.collisions(query).await?,
            ra_links: if query.forwards_ipv6 { self.ra_links().await? } else { Vec::new() },
            dnsmasq: if query.needs_dnsmasq { self.dnsmasq().await? } else { None },
        })
    }

    async fn link_names(&self) -> Result<BTreeSet<String>, HostError> {
        Ok(self.links.links().await?.into_iter().map(|link| link.name).collect())
    }

    async fn holds_rules(&self, transaction: &Transaction) -> Result<bool, HostError> {
        let state = self.nft()?.observe(&transaction.table).await?;
        Ok(state.is_some_and(|state| state.holds(transaction)))
    }

    async fn runs_dnsmasq(&self, conf_file: &Path, pid_file: &Path) -> Result<bool, HostError> {
        Ok(find(conf_file, pid_file).is_some())
    }

    async fn run(&self, step: &Step) -> Result<(), HostError> {
        match step {
            Step::CreateBridge(bridge) => Ok(self.links.create_bridge(bridge).await?),
            Step::SetMtu { link, mtu } => Ok(self.links.set_mtu(link, *mtu).await?),
            Step::Sysctl(sysctl) => write_sysctl(sysctl),
            Step::LoadRules(transaction) => Ok(self.nft()?.apply(transaction.clone()).await?),
            Step::AddAddress { link, address } => {
                let index = self.index(link).await?;
                Ok(self.links.add_address(index, link, *address).await?)
            }
            Step::SetUp(link) => Ok(self.links.set_up(link).await?),
            Step::AddRoute { .. } => self.add_route(step).await,
            Step::WriteFile(file) => {
                let FileImage { path, mode, content, durability } = file.clone();
                on_thread(move || Ok(file::replace(&path, &content, mode, durability)?)).await
            }
            Step::StartDnsmasq { launch, .. } => Ok(launch.start().await?),
            Step::ReloadDnsmasq { conf_file, pid_file } => match find(conf_file, pid_file) {
                Some(process) => Ok(process.reload()?),
                None => Err(HostError::NoDnsmasqProcess { conf_file: conf_file.clone() }),
            },
        }
    }

    async fn undo(&self, undo: &Undo) -> Result<(), HostError> {
        match undo {
            Undo::StopDnsmasq { conf_file, pid_file } => stop_dnsmasq(conf_file, pid_file).await,
            Undo::DeleteBridge { name, address } => self.delete_bridge(name, *address).await,
            Undo::RemoveRules { words } => self.remove_rules(words).await,
            Undo::RunRemoval { program, arguments } => self.run_removal(program, arguments).await,
            Undo::RemoveFile { path } => {
                let path = path.clone();
                on_thread(move || {
                    file::remove(&file::temporary(&path))?;
                    file::remove(&path)?;
                    Ok(())
                })
                .await
            }
            Undo::RemoveIfEmpty { path } => {
                let path = path.clone();
                on_thread(move || remove_if_empty(&path)).await
            }
        }
    }
}

/// Runs what may block on a disk away from the threads that serve sockets.
async fn on_thread(
    work: impl FnOnce() -> Result<(), HostError> + Send + 'static,
) -> Result<(), HostError> {
    tokio::task::spawn_blocking(work).await.map_err(|_| HostError::Worker)?
}

fn overlap(net: &ipnet::IpNet, route: &Route) -> bool {
    // A default route overlaps everything and collides with nothing.
    route.destination.prefix_len() > 0
        && (net.contains(&route.destination) || route.destination.contains(net))
}

fn read_sysctl(key: &str) -> Option<String> {
    fs::read_to_string(Path::new("/proc/sys").join(key)).ok().map(|text| text.trim().to_owned())
}

fn write_sysctl(sysctl: &Sysctl) -> Result<(), HostError> {
    let path = Path::new("/proc/sys").join(&sysctl.key);
    // Writing what is there already would need privileges and wake up others for nothing.
    if read_sysctl(&sysctl.key).as_deref() == Some(sysctl.value) {
        return Ok(());
    }
    let write =
        || fs::OpenOptions::new().write(true).open(path)?.write_all(sysctl.value.as_bytes());
    match write() {
        Err(error)
            if error.kind() == io::ErrorKind::NotFound && sysctl.if_missing == IfMissing::Skip =>
        {
            Ok(())
        }
        other => other.map_err(|source| HostError::Sysctl {
            key: sysctl.key.clone(),
            value: sysctl.value.to_owned(),
            source,
        }),
    }
}

/// The dnsmasq that a pid file tells of.
fn find(conf_file: &Path, pid_file: &Path) -> Option<Process> {
    pidfile::read(pid_file).and_then(|pid| Process::find(pid, conf_file))
}

async fn stop_dnsmasq(conf_file: &Path, pid_file: &Path) -> Result<(), HostError> {
    if let Some(process) = find(conf_file, pid_file) {
        end(process.with_children(conf_file)).await?;
    } else {
        // After a crash it may still be on its way to becoming a daemon, one fork after the other.
        for _ in 0..DNSMASQ_SCANS {
            let processes = Process::find_all(conf_file);
            if processes.is_empty() {
                break;
            }
            end(processes).await?;
        }
    }
    let pid_file = pid_file.to_owned();
    on_thread(move || {
        file::remove(&pid_file)?;
        Ok(())
    })
    .await
}

async fn end(processes: Vec<Process>) -> Result<(), HostError> {
    for process in &processes {
        process.terminate()?;
    }
    for process in processes {
        process.ended(DNSMASQ_PATIENCE).await?;
    }
    Ok(())
}

/// Removes a JSON array without entries, in any of the spellings that lease helpers leave.
fn remove_if_empty(path: &Path) -> Result<(), HostError> {
    const LONGEST_EMPTY: u64 = 16;
    file::remove(&file::temporary(path))?;
    match file::read(path, LONGEST_EMPTY) {
        Ok(Some(content)) if content.iter().all(|byte| b"[]\n ".contains(byte)) => {
            file::remove(path)?;
            Ok(())
        }
        Ok(_) | Err(file::FileError::TooLarge { .. }) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

/// Shares a host between drivers and tests.
impl<H: Host> Host for Arc<H> {
    async fn facts(&self, query: &FactsQuery) -> Result<HostFacts, HostError> {
        (**self).facts(query).await
    }

    async fn link_names(&self) -> Result<BTreeSet<String>, HostError> {
        (**self).link_names().await
    }

    async fn holds_rules(&self, transaction: &Transaction) -> Result<bool, HostError> {
        (**self).holds_rules(transaction).await
    }

    async fn runs_dnsmasq(&self, conf_file: &Path, pid_file: &Path) -> Result<bool, HostError> {
        (**self).runs_dnsmasq(conf_file, pid_file).await
    }

    async fn run(&self, step: &Step) -> Result<(), HostError> {
        (**self).run(step).await
    }

    async fn undo(&self, undo: &Undo) -> Result<(), HostError> {
        (**self).undo(undo).await
    }
}
