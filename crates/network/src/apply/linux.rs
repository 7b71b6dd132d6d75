//! The kernel and the programs of this host.

mod observe;

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::fs;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use crate::dnsmasq::{self, Process};
use ipnet::IpNet;
use oxivirt_conf::network::ForwardDevice;
use oxivirt_conf::status::FirewallBackend;
use oxivirt_engine::Executor;
use oxivirt_netlink::sriov::Sysfs;
use oxivirt_netlink::{Handle, LinkKind, Route, Stp};
use oxivirt_nft::counters::RuleCount;
use oxivirt_nft::iptables::Rule;
use oxivirt_nft::kernel::{DeleteTableIf, Load, NftError, Nftables, TableState};
use oxivirt_nft::libvirt::{self, NetworkRules};
use oxivirt_nft::passage::DroppingChain;
use oxivirt_nft::xtables::{Xtables, XtablesError};
use oxivirt_nft::{Family, Removal, Transaction};
use oxivirt_sys::command::{self, Command};
use oxivirt_sys::resolved::{self, ResolvedError};
use oxivirt_sys::{chain, file, pidfile};
use oxivirt_types::link_name::LinkName;
use tokio::sync::OnceCell;
use tokio::sync::mpsc::UnboundedReceiver;

use super::{End, Host, HostError, HostEvent, firewalld, watch};
use crate::plan::provision::{BridgePort, Registration, RouteState};
use crate::plan::removal::{ForeignRemoval, JumpTarget};
use crate::plan::shaping::{self, OnFailure, ShapeCommand};
use crate::plan::{
    Collision, FactsQuery, FileImage, Firewalld, HostFacts, IfMissing, PoolQuery, Provision,
    RulesChange, Step, Sysctl, Undo, nftables,
};

/// How long a dnsmasq may take to end before it is killed.
const DNSMASQ_PATIENCE: Duration = Duration::from_secs(5);
/// How often the processes of a dnsmasq are looked for until none is left.
const DNSMASQ_SCANS: usize = 20;
/// `ESRCH`: there is no such route.
const NO_ROUTE: i32 = 3;
/// `EADDRNOTAVAIL`: the link does not have the address.
const NO_ADDRESS: i32 = 99;
/// `RTPROT_RA`
const PROTOCOL_RA: u8 = 9;

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
    /// Kept: asking for it again and again would tell the same.
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

    /// Base chains of others that drop what nobody accepts; none if nobody can be asked.
    async fn drops(&self) -> Vec<DroppingChain> {
        let chains = match self.nft() {
            Ok(nft) => nft.dropping_chains().await,
            Err(error) => Err(error),
        };
        let is_foreign = |chain: &DroppingChain| {
            ![nftables::TABLE, libvirt::TABLE].contains(&chain.table.as_str())
        };
        chains.unwrap_or_default().into_iter().filter(is_foreign).collect()
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

    async fn route(&self, link: &LinkName, route: &RouteState) -> Result<Route, HostError> {
        Ok(Route {
            destination: route.destination,
            gateway: Some(route.gateway),
            link: Some(self.index(link).await?),
            metric: route.metric,
            protocol: 0,
        })
    }

    async fn add_route(&self, link: &LinkName, route: &RouteState) -> Result<(), HostError> {
        let route = self.route(link, route).await?;
        Ok(self.links.add_route(&route).await?)
    }

    async fn remove_route(&self, link: &LinkName, route: &RouteState) -> Result<(), HostError> {
        let route = self.route(link, route).await?;
        match self.links.remove_route(&route).await {
            Err(error) if error.errno() != Some(NO_ROUTE) => Err(error.into()),
            _ => Ok(()),
        }
    }

    async fn remove_address(&self, link: &LinkName, address: IpNet) -> Result<(), HostError> {
        let index = self.index(link).await?;
        match self.links.remove_address(index, address).await {
            Err(error) if error.errno() != Some(NO_ADDRESS) => Err(error.into()),
            _ => Ok(()),
        }
    }

    async fn shape(&self, link: &LinkName, commands: &[ShapeCommand]) -> Result<(), HostError> {
        let index = self.index(link).await?;
        for ShapeCommand { change, on_failure } in commands {
            let Err(source) = self.links.change_queue(index, change).await else { continue };
            let command = change.words(link.as_str());
            match on_failure {
                OnFailure::Fail => return Err(HostError::Queue { command, source }),
                OnFailure::Warn => {
                    tracing::warn!(command, error = chain::text(&source), "queue not changed");
                }
                OnFailure::Ignore => {}
            }
        }
        Ok(())
    }

    /// Whether checksums of DHCP answers can be filled in. Asked once: it stays as it is.
    async fn has_checksum(&self, backend: Option<FirewallBackend>) -> bool {
        if backend == Some(FirewallBackend::Iptables) {
            return self.xtables.has_checksum().await;
        }
        *self
            .has_checksum
            .get_or_init(|| async {
                let answer = self.links.has_action("csum").await;
                if !matches!(answer, Ok(true)) {
                    let error = answer.as_ref().err().map(|error| chain::text(error));
                    tracing::warn!(
                        error,
                        "the kernel fills in no checksums (act_csum): guests with old DHCP clients may \
                         take no address"
                    );
                }
                answer.unwrap_or(false)
            })
            .await
    }

    fn pool(&self, query: &PoolQuery) -> Vec<ForwardDevice> {
        let functions = self.sysfs.virtual_functions(&query.pf).into_iter();
        if query.is_hostdev {
            let address = functions.filter_map(|function| function.address.parse().ok());
            return address.map(ForwardDevice::Pci).collect();
        }
        functions.filter_map(|function| function.interface.map(ForwardDevice::Interface)).collect()
    }

    /// While a spanning tree protocol runs, a new port listens and learns for twice the forward delay,
    /// 4 s at least, before it forwards. A port that forwards already when the protocol is switched on
    /// goes on forwarding.
    async fn attach_ports(
        &self,
        bridge: &LinkName,
        stp: Stp,
        ports: &[BridgePort],
    ) -> Result<(), HostError> {
        let index = self.index(bridge).await?;
        if stp == Stp::On {
            self.links.set_stp(bridge, Stp::Off).await?;
        }
        let mut attached = Ok(());
        for port in ports {
            attached = attached.and(self.attach_port(index, port).await);
        }
        if stp == Stp::On {
            self.links.set_stp(bridge, Stp::On).await?;
        }
        attached
    }

    async fn attach_port(&self, bridge: u32, port: &BridgePort) -> Result<(), HostError> {
        let name = &port.link;
        match self.links.set_controller(name, bridge).await {
            Err(error) if error.is_no_device() => {
                tracing::warn!(port = %name, "not attaching port: the link is gone");
                return Ok(());
            }
            other => other?,
        }
        let Some(link) = self.links.link(name).await? else { return Ok(()) };
        if let Some(settings) = port.settings.difference(&link.port)
            && let Err(error) = self.links.set_port(link.index, &settings).await
        {
            let error = chain::text(&error);
            tracing::warn!(port = %name, error, "port attached without all its settings");
        }
        Ok(())
    }

    async fn remove_iptables(&self, rules: &[Rule]) -> Result<(), HostError> {
        match self.xtables.replace(rules, &[]).await {
            Err(XtablesError::Absent { program }) => {
                tracing::info!(program, "not removing rules: the program is not installed");
                Ok(())
            }
            other => Ok(other?),
        }
    }

    async fn delete_bridge(
        &self,
        name: &LinkName,
        address: Option<[u8; 6]>,
    ) -> Result<(), HostError> {
        let Some(link) = self.links.link(name).await? else { return Ok(()) };
        let is_ours = address.is_none_or(|address| link.address == address);
        if link.kind != LinkKind::Bridge || !is_ours {
            tracing::warn!(%name, "not deleting link: it is no bridge of ours (kind or MAC address differs)");
            return Ok(());
        }
        match self.links.delete_link(link.index).await {
            // Somebody was faster.
            Err(error) if error.is_no_device() => Ok(()),
            other => Ok(other?),
        }
    }

    async fn remove_rules(&self, removal: &Removal) -> Result<(), HostError> {
        let nft = self.nft()?;
        let table = removal.table.clone();
        nft.remove(removal.clone()).await?;
        nft.delete_table_if(DeleteTableIf { table, is_shared: nftables::is_shared_chain }).await?;
        Ok(())
    }

    async fn remove_libvirt_rules(&self, network: &NetworkRules) -> Result<(), HostError> {
        let transaction = Transaction { table: nftables::TABLE.to_owned(), changes: Vec::new() };
        let load = Load { transaction, supersedes: vec![network.clone()], ..Load::default() };
        Ok(self.nft()?.apply(load).await?)
    }

    /// Runs a removal command that another program saved; it may well have nothing to remove.
    async fn run_removal(&self, command: &ForeignRemoval) -> Result<(), HostError> {
        let program = command.program.name();
        let path = command::find_in_path(program, &self.search_path)
            .ok_or_else(|| HostError::NoProgram { program: program.to_owned() })?;
        let lock = command.program.lock_option().map(str::to_owned);
        let arguments = lock.into_iter().chain(command.args.iter().cloned());
        let output = Command::new(path).args(arguments).run().await?;
        if !output.status.success() {
            tracing::debug!(
                program,
                complaint = output.complaint(),
                "saved removal command failed"
            );
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
        if query.needs_rules && query.backend.is_none_or(|b| b == FirewallBackend::Nftables) {
            // Fails where the kernel has no nftables, before anything is changed. For lack of
            // privileges the bridge fails first, with the message that people know.
            match self.nft()?.generation().await {
                Err(error) if !error.is_not_permitted() => return Err(error.into()),
                _ => {}
            }
        }
        let servers = if query.needs_dnsmasq { name_servers() } else { None };
        Ok(HostFacts {
            bridge: link.map(|link| link.kind),
            collisions: self.collisions(query).await?,
            ra_links: if query.forwards_ipv6 { self.ra_links().await? } else { Vec::new() },
            dnsmasq: if query.needs_dnsmasq { self.dnsmasq().await? } else { None },
            lacks_resolv_conf: query.needs_dnsmasq && servers.is_none(),
            servers: servers.unwrap_or_default(),
            inotify_limit: if query.needs_dnsmasq { inotify_limit() } else { 0 },
            pool: query.pool.as_ref().map(|query| self.pool(query)).unwrap_or_default(),
            has_checksum: query.needs_dnsmasq && self.has_checksum(query.backend).await,
            user_chains: match query.filters.user_chains {
                true => self.nft()?.user_chains().await?,
                false => Vec::new(),
            },
            firewalld: match query.filters.zones.filter(|_| self.is_privileged) {
                Some(patience) => self.firewalld.says(patience).await,
                None => Firewalld::Absent,
            },
            drops: if query.filters.drops { self.drops().await } else { Vec::new() },
            is_privileged: self.is_privileged,
            unset: query.settings.iter().filter(|sysctl| !is_set(sysctl)).cloned().collect(),
        })
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
                tracing::info!(error = chain::text(&error), "the kernel has no nftables");
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
            .inspect_err(|error| tracing::debug!(error = chain::text(error), "unknown"))
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

impl Executor<Step> for LinuxHost {
    type Error = HostError;

    async fn run(&self, step: &Step) -> Result<(), HostError> {
        match step {
            Step::CreateBridge(bridge) => Ok(self.links.create_bridge(bridge).await?),
            Step::SetMtu { link, mtu } => Ok(self.links.set_mtu(link, *mtu).await?),
            Step::Sysctl(sysctl) => write_sysctl(sysctl),
            Step::LoadRules(RulesChange::Nftables(load)) => {
                Ok(self.nft()?.apply(load.clone()).await?)
            }
            Step::LoadRules(RulesChange::Iptables { remove, add }) => {
                Ok(self.xtables.replace(remove, add).await?)
            }
            Step::AddAddress { link, address } => {
                let index = self.index(link).await?;
                Ok(self.links.add_address(index, link, *address).await?)
            }
            Step::SetUp(link) => Ok(self.links.set_up(link).await?),
            Step::AttachPorts { bridge, stp, ports } => {
                self.attach_ports(bridge, *stp, ports).await
            }
            Step::RemoveAddress { link, address } => self.remove_address(link, *address).await,
            Step::FilterVlans(link) => Ok(self.links.filter_vlans(link).await?),
            Step::AddRoute { link, route } => self.add_route(link, route).await,
            Step::RemoveRoute { link, route } => self.remove_route(link, route).await,
            Step::Shape { link, commands, .. } => self.shape(link, commands).await,
            Step::RegisterDomain { link, registration } => {
                let index = self.index(link).await?;
                register_domain(link, index, registration).await
            }
            Step::WriteFile(file) => {
                let FileImage { path, mode, content, durability } = file.clone();
                on_thread(move || Ok(file::replace(&path, &content, mode, durability)?)).await
            }
            Step::StartDnsmasq { launch, .. } => Ok(launch.start().await?),
            Step::ReloadDnsmasq { conf_file, pid_file } => match find(conf_file, pid_file) {
                Some(process) => Ok(process.reload()?),
                None => Err(HostError::NoDnsmasqProcess { conf_file: conf_file.clone() }),
            },
            Step::JoinZone { link, zone } => self.firewalld.join(zone, link.as_str()).await,
            Step::Undo(undo) => self.undo(undo).await,
        }
    }

    async fn undo(&self, undo: &Undo) -> Result<(), HostError> {
        match undo {
            Undo::StopDnsmasq { conf_file, pid_file } => stop_dnsmasq(conf_file, pid_file).await,
            Undo::DeleteBridge { name, address } => self.delete_bridge(name, *address).await,
            Undo::RemoveRules(removal) => self.remove_rules(removal).await,
            Undo::RemoveLibvirtRules(network) => self.remove_libvirt_rules(network).await,
            Undo::RemoveUserChainJump(JumpTarget { family, bridge }) => {
                Ok(self.nft()?.remove_passage(*family, bridge.clone()).await?)
            }
            Undo::RemoveIptables(rules) => self.remove_iptables(rules).await,
            Undo::RunRemoval(command) => self.run_removal(command).await,
            Undo::ClearShaping { link } => match self.links.link(link).await? {
                Some(_) => self.shape(link, &shaping::clear_all()).await,
                None => Ok(()),
            },
            Undo::LeaveZone { link } => {
                self.firewalld.leave(link.as_str()).await;
                Ok(())
            }
            Undo::RemoveDir { path } => {
                let path = path.clone();
                on_thread(move || Ok(file::remove_dir(&path)?)).await
            }
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

async fn register_domain(
    link: &LinkName,
    index: u32,
    registration: &Registration,
) -> Result<(), HostError> {
    let Registration { domain, servers } = registration;
    resolved::register(index, domain, servers).await.map_err(|error| HostError::Resolver {
        link: link.to_string(),
        domain: domain.clone(),
        reason: chain::text(&error),
        is_absent: matches!(error, ResolvedError::Absent(_)),
    })
}

/// A setting that the kernel does not have counts as set, if it may be missing.
fn is_set(sysctl: &Sysctl) -> bool {
    match read_sysctl(&sysctl.key) {
        Some(value) => value == sysctl.value,
        None => sysctl.if_missing == IfMissing::Skip,
    }
}

/// The name servers of `/etc/resolv.conf`, as lines for dnsmasq; `None` if it cannot be read.
fn name_servers() -> Option<String> {
    let text = fs::read("/etc/resolv.conf").ok()?;
    let text = String::from_utf8_lossy(&text);
    let servers = text.lines().filter_map(|line| {
        let mut words = line.split_whitespace();
        words.next().filter(|word| *word == "nameserver").and_then(|_| words.next())
    });
    Some(servers.map(|server| format!("server={server}\n")).collect())
}

fn inotify_limit() -> usize {
    let limit = read_sysctl("fs/inotify/max_user_instances");
    limit.and_then(|text| text.parse().ok()).unwrap_or(0)
}

/// Runs what may block on a disk away from the threads that serve sockets.
async fn on_thread(
    work: impl FnOnce() -> Result<(), HostError> + Send + 'static,
) -> Result<(), HostError> {
    tokio::task::spawn_blocking(work).await.map_err(|_| HostError::Worker)?
}

fn overlap(net: &IpNet, route: &Route) -> bool {
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
