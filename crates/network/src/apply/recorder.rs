//! A host that only keeps books.
//!
//! Holds links, rules, files and dnsmasq processes as sets, applies steps to them with the kernel's
//! main rules (no two links of one name, removal of what is absent succeeds), records every step and
//! fails or never returns at a chosen one. So planners and the driver are tested without privileges.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use ipnet::IpNet;
use oxivirt_conf::status::FirewallBackend;
use oxivirt_engine::Executor;
use oxivirt_netlink::{
    Bridge, Hook, Link, LinkKind, NetlinkError, PortSettings, QueueChange, Queues, Route, Stp,
};
use oxivirt_nft::counters::RuleCount;
use oxivirt_nft::iptables::{Rule, program};
use oxivirt_nft::libvirt::NetworkRules;
use oxivirt_nft::{Family, Removal};
use oxivirt_sys::file;
use oxivirt_types::link_name::LinkName;
use tokio::sync::Notify;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use uuid::Uuid;

use super::host::{
    End, Files, Firewall, Links, Processes, Queueing, Resolver, RunningDnsmasq, Settings, Zones,
};
use super::{Host, HostError, HostEvent};
use crate::components::bridge::BridgePort;
use crate::components::dhcp::{Serve, StopServing};
use crate::components::qos::QueueCommand;
use crate::components::resolver::Registration;
use crate::components::routes::RouteState;
use crate::components::rules::{IptablesChange, Rules, RulesChange};
use crate::dnsmasq::Launch;
use crate::plan::removal::{ForeignRemoval, JumpTarget};
use crate::plan::{FactsQuery, FileImage, HostFacts, Step, Sysctl, Undo};

/// What a recorder holds.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct State {
    /// Bridges by name with their hardware addresses.
    pub bridges: BTreeMap<String, [u8; 6]>,
    /// Chains of our table.
    pub chains: BTreeSet<String>,
    /// iptables rules, as their deletions.
    pub iptables: BTreeSet<String>,
    /// Networks that our own service serves, with their generations.
    pub served: BTreeMap<Uuid, u64>,
    /// Configuration files of running dnsmasq processes.
    pub dnsmasq: BTreeSet<PathBuf>,
    /// Name servers' files of those processes that were started with one, by configuration file.
    pub servers_files: BTreeMap<PathBuf, PathBuf>,
    /// Files written by steps.
    pub files: BTreeMap<PathBuf, Vec<u8>>,
    /// firewalld's zones by the links in them.
    pub zones: BTreeMap<String, String>,
    /// Kernel settings.
    pub sysctls: BTreeMap<String, String>,
    /// PCI addresses of virtual functions.
    pub virtual_functions: BTreeSet<String>,
    /// What is set on links beside their existence, by link.
    pub links: BTreeMap<String, FakeLink>,
}

/// What is set on a link.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FakeLink {
    /// Its MTU.
    pub mtu: Option<u32>,
    /// Its addresses.
    pub addresses: BTreeSet<IpNet>,
    /// Routes through it.
    pub routes: Vec<RouteState>,
    /// Whether it is raised.
    pub is_up: bool,
    /// Whether it keeps VLANs apart.
    pub filters_vlans: bool,
    /// Classes of its queues; none if it has no tree.
    pub classes: BTreeSet<u16>,
    /// The place for filters on packets that no queue holds.
    pub hook: Option<Hook>,
    /// The domain that the resolver knows.
    pub domain: Option<String>,
}

#[derive(Debug, Default)]
struct Inner {
    state: State,
    facts: HostFacts,
    steps: Vec<String>,
    fail_at: Option<usize>,
    hang_at: Option<usize>,
    hints: Option<UnboundedSender<HostEvent>>,
}

/// The recording host.
#[derive(Debug, Default)]
pub struct Recorder {
    inner: Mutex<Inner>,
    hung: Notify,
}

impl Recorder {
    /// A host with nothing on it and a dnsmasq program.
    #[must_use]
    pub fn new() -> Self {
        let recorder = Self::default();
        let mut inner = recorder.lock();
        let facts = &mut inner.facts;
        facts.dnsmasq = Some("/usr/sbin/dnsmasq".into());
        facts.inotify_limit = 128;
        facts.is_privileged = true;
        facts.has_checksum = true;
        drop(inner);
        recorder
    }

    /// Replaces the facts for planners, but for the recorder's own links.
    pub fn set_facts(&self, facts: HostFacts) {
        self.lock().facts = facts;
    }

    /// Makes the step with this number fail, counted from 0 over the recorder's life.
    pub fn fail_at(&self, step: Option<usize>) {
        self.lock().fail_at = step;
    }

    /// Makes the step with this number, and all later ones, wait for ever before anything is done: what
    /// a driver looks like that ends there.
    pub fn hang_at(&self, step: Option<usize>) {
        self.lock().hang_at = step;
    }

    /// Waits until a step hangs.
    pub async fn hung(&self) {
        self.hung.notified().await;
    }

    async fn hang_if_asked(&self) {
        let hangs = {
            let inner = self.lock();
            inner.hang_at.is_some_and(|step| inner.steps.len() >= step)
        };
        if hangs {
            self.hung.notify_one();
            std::future::pending::<()>().await;
        }
    }

    /// The state now.
    #[must_use]
    pub fn state(&self) -> State {
        self.lock().state.clone()
    }

    /// Changes the state behind the driver's back.
    pub fn change(&self, change: impl FnOnce(&mut State)) {
        change(&mut self.lock().state);
    }

    /// Notifies the driver that something may have changed.
    pub fn hint(&self, hint: HostEvent) {
        if let Some(hints) = &self.lock().hints {
            drop(hints.send(hint));
        }
    }

    /// All steps and undo steps so far, as text.
    #[must_use]
    pub fn steps(&self) -> Vec<String> {
        self.lock().steps.clone()
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A rule as one text.
fn deletion(rule: &Rule) -> String {
    format!("{} {}", program(rule.family), rule.deletion().join(" "))
}

fn refusal(action: String, kind: i32) -> HostError {
    HostError::Netlink(NetlinkError::Refused { action, source: io::Error::from_raw_os_error(kind) })
}

/// `EEXIST`
const EXISTS: i32 = 17;
/// `EIO`
const IO: i32 = 5;
const DEFAULT_MTU: u32 = 1500;

impl Recorder {
    /// Hangs, records, and fails if this is the chosen step.
    async fn record(&self, text: String) -> Result<(), HostError> {
        self.hang_if_asked().await;
        let mut inner = self.lock();
        let number = inner.steps.len();
        inner.steps.push(text.clone());
        match inner.fail_at == Some(number) {
            true => Err(refusal(text, IO)),
            false => Ok(()),
        }
    }

    fn with_link(&self, name: &LinkName, change: impl FnOnce(&mut FakeLink)) {
        change(self.lock().state.links.entry(name.to_string()).or_default());
    }
}

impl Executor<Step> for Recorder {
    type Error = HostError;

    async fn run(&self, step: &Step) -> Result<(), HostError> {
        self.record(step.to_string()).await?;
        step.run(self).await
    }

    async fn undo(&self, undo: &Undo) -> Result<(), HostError> {
        self.hang_if_asked().await;
        self.lock().steps.push(undo.to_string());
        undo.run(self).await
    }
}

impl Host for Recorder {
    async fn facts(&self, query: &FactsQuery) -> Result<HostFacts, HostError> {
        let inner = self.lock();
        let mut facts = inner.facts.clone();
        if let Some(bridge) = &query.bridge
            && inner.state.bridges.contains_key(bridge.as_str())
        {
            facts.bridge = Some(LinkKind::Bridge);
        }
        let is_set = |sysctl: &&Sysctl| {
            inner.state.sysctls.get(&sysctl.key).is_some_and(|value| value == sysctl.value)
        };
        facts.unset = query.settings.iter().filter(|sysctl| !is_set(sysctl)).cloned().collect();
        Ok(facts)
    }

    fn watch(&self, _: FirewallBackend) -> UnboundedReceiver<HostEvent> {
        let (hints, receiver) = unbounded_channel();
        self.lock().hints = Some(hints);
        receiver
    }
}

impl Links for Recorder {
    async fn create_bridge(&self, bridge: &Bridge) -> Result<(), HostError> {
        let state = &mut self.lock().state;
        if state.bridges.contains_key(bridge.name.as_str()) {
            return Err(refusal(format!("create bridge {}", bridge.name), EXISTS));
        }
        state.bridges.insert(bridge.name.to_string(), bridge.address);
        state.links.remove(bridge.name.as_str());
        Ok(())
    }

    async fn delete_bridge(
        &self,
        name: &LinkName,
        address: Option<[u8; 6]>,
    ) -> Result<(), HostError> {
        let state = &mut self.lock().state;
        if address.is_none() || state.bridges.get(name.as_str()) == address.as_ref() {
            state.bridges.remove(name.as_str());
            state.links.remove(name.as_str());
        }
        Ok(())
    }

    async fn set_mtu(&self, link: &LinkName, mtu: u32) -> Result<(), HostError> {
        self.with_link(link, |link| link.mtu = Some(mtu));
        Ok(())
    }

    async fn set_up(&self, link: &LinkName) -> Result<(), HostError> {
        self.with_link(link, |link| link.is_up = true);
        Ok(())
    }

    async fn filter_vlans(&self, link: &LinkName) -> Result<(), HostError> {
        self.with_link(link, |link| link.filters_vlans = true);
        Ok(())
    }

    async fn attach_ports(&self, _: &LinkName, _: Stp, _: &[BridgePort]) -> Result<(), HostError> {
        Ok(())
    }

    async fn add_address(&self, link: &LinkName, address: IpNet) -> Result<(), HostError> {
        let mut is_new = false;
        self.with_link(link, |link| is_new = link.addresses.insert(address));
        match is_new {
            true => Ok(()),
            false => Err(refusal(format!("add address {address} to {link}"), EXISTS)),
        }
    }

    async fn remove_address(&self, link: &LinkName, address: IpNet) -> Result<(), HostError> {
        self.with_link(link, |link| {
            link.addresses.remove(&address);
        });
        Ok(())
    }

    async fn add_route(&self, link: &LinkName, route: &RouteState) -> Result<(), HostError> {
        self.with_link(link, |link| link.routes.push(route.clone()));
        Ok(())
    }

    async fn remove_route(&self, link: &LinkName, route: &RouteState) -> Result<(), HostError> {
        self.with_link(link, |link| link.routes.retain(|other| other != route));
        Ok(())
    }

    async fn all_links(&self) -> Result<Vec<Link>, HostError> {
        let inner = self.lock();
        let links = inner.state.names().map(|(index, name)| inner.state.link(index, name));
        Ok(links.collect())
    }

    async fn addresses(&self) -> Result<BTreeSet<(u32, IpNet)>, HostError> {
        let inner = self.lock();
        let addresses = inner.state.names().flat_map(|(index, name)| {
            let link = inner.state.links.get(name);
            link.into_iter().flat_map(|link| &link.addresses).map(move |net| (index, *net))
        });
        Ok(addresses.collect())
    }

    async fn routes(&self, _: Family) -> Result<Vec<Route>, HostError> {
        let inner = self.lock();
        let routes = inner.state.links.values().flat_map(|link| &link.routes);
        let route = |route: &RouteState| Route {
            destination: route.destination,
            gateway: Some(route.gateway),
            link: None,
            metric: route.metric,
            protocol: 0,
        };
        Ok(routes.map(route).collect())
    }

    fn has_link(&self, name: &str) -> bool {
        self.lock().state.bridges.contains_key(name)
    }

    fn is_virtual_function(&self, address: &str) -> bool {
        self.lock().state.virtual_functions.contains(address)
    }
}

impl Queueing for Recorder {
    async fn change_queues(
        &self,
        link: &LinkName,
        commands: &[QueueCommand],
    ) -> Result<(), HostError> {
        self.with_link(link, |link| {
            for command in commands {
                link.change_queue(&command.change);
            }
        });
        self.lock().state.links.retain(|_, link| *link != FakeLink::default());
        Ok(())
    }

    async fn queues(&self) -> Result<BTreeMap<u32, Queues>, HostError> {
        let inner = self.lock();
        let queues = inner.state.names().map(|(index, name)| {
            let link = inner.state.links.get(name).cloned().unwrap_or_default();
            (index, Queues { has_tree: !link.classes.is_empty(), hook: link.hook })
        });
        Ok(queues.collect())
    }
}

impl Settings for Recorder {
    /// A setting that was never written has a value that nothing asks for.
    fn setting(&self, key: &str) -> Option<String> {
        Some(self.lock().state.sysctls.get(key).cloned().unwrap_or_default())
    }

    fn write_setting(&self, sysctl: &Sysctl) -> Result<(), HostError> {
        self.lock().state.sysctls.insert(sysctl.key.clone(), sysctl.value.to_owned());
        Ok(())
    }
}

/// Of the driver's own files some are real.
impl Files for Recorder {
    async fn write_file(&self, file: &FileImage) -> Result<(), HostError> {
        self.lock().state.files.insert(file.path.clone(), file.content.clone());
        Ok(())
    }

    fn read_file(&self, path: &Path) -> Option<Vec<u8>> {
        self.lock().state.files.get(path).cloned()
    }

    async fn remove_file(&self, path: &Path) -> Result<(), HostError> {
        self.lock().state.files.remove(path);
        file::remove(&file::temporary(path))?;
        file::remove(path)?;
        Ok(())
    }

    async fn remove_dir(&self, path: &Path) -> Result<(), HostError> {
        Ok(file::remove_dir(path)?)
    }

    async fn remove_if_empty(&self, path: &Path) -> Result<(), HostError> {
        let is_empty =
            std::fs::read(path).is_ok_and(|text| text.iter().all(|byte| b"[] \n".contains(byte)));
        if is_empty {
            file::remove(path)?;
        }
        Ok(())
    }
}

impl Processes for Recorder {
    async fn start_dnsmasq(&self, launch: &Launch) -> Result<(), HostError> {
        let state = &mut self.lock().state;
        state.dnsmasq.insert(launch.conf_file.clone());
        match launch.servers_file.clone() {
            Some(file) => drop(state.servers_files.insert(launch.conf_file.clone(), file)),
            None => drop(state.servers_files.remove(&launch.conf_file)),
        }
        Ok(())
    }

    fn reload_dnsmasq(&self, conf_file: &Path, _: &Path) -> Result<(), HostError> {
        match self.lock().state.dnsmasq.contains(conf_file) {
            true => Ok(()),
            false => Err(HostError::NoDnsmasqProcess { conf_file: conf_file.to_owned() }),
        }
    }

    async fn stop_dnsmasq(&self, conf_file: &Path, _: &Path) -> Result<(), HostError> {
        let state = &mut self.lock().state;
        state.dnsmasq.remove(conf_file);
        state.servers_files.remove(conf_file);
        Ok(())
    }

    fn dnsmasq(&self, conf_file: &Path, _: &Path) -> Option<RunningDnsmasq> {
        let state = &self.lock().state;
        let servers_file = state.servers_files.get(conf_file).cloned();
        state.dnsmasq.contains(conf_file).then_some(RunningDnsmasq { servers_file })
    }

    async fn serve(&self, step: &Serve) -> Result<(), HostError> {
        self.lock().state.served.insert(step.spec.uuid, step.spec.generation);
        Ok(())
    }

    async fn stop_serving(&self, step: &StopServing) -> Result<(), HostError> {
        self.lock().state.served.remove(&step.network);
        Ok(())
    }

    fn served(&self, _: &Path, network: Uuid) -> Option<u64> {
        self.lock().state.served.get(&network).copied()
    }

    fn service_end(&self, _: &Path) -> Option<(i32, End)> {
        None
    }

    fn dnsmasq_end(&self, _: &Path, _: &Path) -> Option<(i32, End)> {
        None
    }
}

impl Firewall for Recorder {
    async fn backends(&self) -> Vec<FirewallBackend> {
        vec![FirewallBackend::Nftables, FirewallBackend::Iptables]
    }

    async fn counts(&self, _: FirewallBackend) -> Result<Vec<RuleCount>, HostError> {
        Ok(Vec::new())
    }

    async fn can_own_table(&self) -> bool {
        true
    }

    async fn claim_table(&self) -> Result<(), HostError> {
        Ok(())
    }

    async fn is_table_owned(&self) -> Result<Option<bool>, HostError> {
        Ok(None)
    }

    async fn loaded(&self, wanted: &[&Rules]) -> Result<Vec<bool>, HostError> {
        let inner = self.lock();
        let state = &inner.state;
        let is_loaded = |rules: &&Rules| match rules {
            Rules::Nftables(load) => Removal::of(&load.transaction)
                .chains
                .iter()
                .all(|chain| state.chains.contains(chain)),
            Rules::Iptables(rules) => {
                rules.iter().all(|rule| state.iptables.contains(&deletion(rule)))
            }
        };
        Ok(wanted.iter().map(is_loaded).collect())
    }

    async fn load_rules(&self, change: &RulesChange) -> Result<(), HostError> {
        let state = &mut self.lock().state;
        match change {
            RulesChange::Nftables(load) => {
                state.chains.extend(Removal::of(&load.transaction).chains);
            }
            RulesChange::Iptables(IptablesChange { remove, add }) => {
                for rule in remove {
                    state.iptables.remove(&deletion(rule));
                }
                state.iptables.extend(add.iter().map(deletion));
            }
        }
        Ok(())
    }

    async fn remove_rules(&self, removal: &Removal) -> Result<(), HostError> {
        self.lock().state.chains.retain(|chain| !removal.chains.contains(chain));
        Ok(())
    }

    async fn remove_libvirt_rules(&self, _: &NetworkRules) -> Result<(), HostError> {
        Ok(())
    }

    async fn remove_user_chain_jump(&self, _: &JumpTarget) -> Result<(), HostError> {
        Ok(())
    }

    async fn remove_iptables(&self, rules: &[Rule]) -> Result<(), HostError> {
        let state = &mut self.lock().state;
        for rule in rules {
            state.iptables.remove(&deletion(rule));
        }
        Ok(())
    }

    async fn run_removal(&self, _: &ForeignRemoval) -> Result<(), HostError> {
        Ok(())
    }
}

impl Zones for Recorder {
    async fn zones_of_links(&self) -> Option<BTreeMap<String, String>> {
        Some(self.lock().state.zones.clone())
    }

    async fn join_zone(&self, link: &LinkName, zone: &str) -> Result<(), HostError> {
        self.lock().state.zones.insert(link.to_string(), zone.to_owned());
        Ok(())
    }

    async fn leave_zone(&self, link: &LinkName) {
        self.lock().state.zones.remove(link.as_str());
    }
}

impl Resolver for Recorder {
    async fn register_domain(
        &self,
        link: &LinkName,
        registration: &Registration,
    ) -> Result<(), HostError> {
        self.with_link(link, |link| link.domain = Some(registration.domain.clone()));
        Ok(())
    }
}

impl State {
    /// The names of links with their indices.
    fn names(&self) -> impl Iterator<Item = (u32, &str)> {
        let names: BTreeSet<_> = self.bridges.keys().chain(self.links.keys()).collect();
        (1..).zip(names.into_iter().map(String::as_str))
    }

    /// A link as the kernel would show it.
    fn link(&self, index: u32, name: &str) -> Link {
        let address = self.bridges.get(name);
        let link = self.links.get(name).cloned().unwrap_or_default();
        Link {
            index,
            name: name.to_owned(),
            address: address.map(|address| address.to_vec()).unwrap_or_default(),
            kind: if address.is_some() { LinkKind::Bridge } else { LinkKind::Other },
            is_up: link.is_up,
            mtu: link.mtu.unwrap_or(DEFAULT_MTU),
            controller: None,
            port: PortSettings::default(),
            filters_vlans: link.filters_vlans,
        }
    }
}

impl FakeLink {
    /// Keeps tree and hook as the kernel would.
    fn change_queue(&mut self, change: &QueueChange) {
        match change {
            QueueChange::DeleteTree => self.classes.clear(),
            QueueChange::AddClass(class) => {
                self.classes.insert(class.id);
            }
            QueueChange::DeleteClass { id } => {
                self.classes.remove(id);
            }
            QueueChange::AddHook(hook) => self.hook = Some(*hook),
            QueueChange::DeleteHook(hook) if self.hook == Some(*hook) => self.hook = None,
            _ => {}
        }
    }
}
