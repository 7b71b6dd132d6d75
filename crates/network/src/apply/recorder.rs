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
use oxivirt_netlink::{Bridge, Hook, LinkKind, NetlinkError, QueueChange};
use oxivirt_nft::Removal;
use oxivirt_nft::counters::RuleCount;
use oxivirt_nft::iptables::{Rule, program};
use oxivirt_types::link_name::LinkName;
use tokio::sync::Notify;

use super::{End, Host, HostError, HostEvent};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

use crate::plan::provision::{DnsmasqState, LinkState, RouteState};
use crate::plan::{
    FactsQuery, FileImage, HostFacts, Provision, Rules, RulesChange, Step, Sysctl, Undo,
};

/// What a recorder holds.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct State {
    /// Bridges by name with their hardware addresses.
    pub bridges: BTreeMap<String, [u8; 6]>,
    /// Chains of our table.
    pub chains: BTreeSet<String>,
    /// iptables rules, as their deletions.
    pub iptables: BTreeSet<String>,
    /// Configuration files of running dnsmasq processes.
    pub dnsmasq: BTreeSet<PathBuf>,
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

    /// Replaces what planners are told beyond the recorder's own links.
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

    /// Tells the driver that something may have changed.
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

    fn watch(&self, _: FirewallBackend) -> UnboundedReceiver<HostEvent> {
        let (hints, receiver) = unbounded_channel();
        self.lock().hints = Some(hints);
        receiver
    }

    fn dnsmasq_end(&self, _: &Path, _: &Path) -> Option<(i32, End)> {
        None
    }

    fn has_link(&self, name: &str) -> bool {
        self.lock().state.bridges.contains_key(name)
    }

    async fn link_names(&self) -> Result<BTreeSet<String>, HostError> {
        Ok(self.lock().state.bridges.keys().cloned().collect())
    }

    fn is_virtual_function(&self, address: &str) -> bool {
        self.lock().state.virtual_functions.contains(address)
    }

    async fn observe(&self, wanted: &[&Provision]) -> Result<Vec<Provision>, HostError> {
        let inner = self.lock();
        Ok(wanted.iter().map(|want| inner.state.observe(want)).collect())
    }

    async fn runs_dnsmasq(&self, conf_file: &Path, _: &Path) -> Result<bool, HostError> {
        Ok(self.lock().state.dnsmasq.contains(conf_file))
    }
}

impl Executor<Step> for Recorder {
    type Error = HostError;

    async fn run(&self, step: &Step) -> Result<(), HostError> {
        self.hang_if_asked().await;
        let mut inner = self.lock();
        let number = inner.steps.len();
        inner.steps.push(step.to_string());
        if inner.fail_at == Some(number) {
            return Err(refusal(step.to_string(), IO));
        }
        let state = &mut inner.state;
        match step {
            Step::CreateBridge(bridge) => {
                if state.bridges.contains_key(bridge.name.as_str()) {
                    return Err(refusal(step.to_string(), EXISTS));
                }
                state.bridges.insert(bridge.name.to_string(), bridge.address);
                state.links.remove(bridge.name.as_str());
            }
            Step::LoadRules(RulesChange::Nftables(load)) => {
                state.chains.extend(Removal::of(&load.transaction).chains);
            }
            Step::LoadRules(RulesChange::Iptables { remove, add }) => {
                for rule in remove {
                    state.iptables.remove(&deletion(rule));
                }
                state.iptables.extend(add.iter().map(deletion));
            }
            Step::WriteFile(file) => {
                state.files.insert(file.path.clone(), file.content.clone());
            }
            Step::StartDnsmasq { launch, .. } => {
                state.dnsmasq.insert(launch.conf_file.clone());
            }
            Step::ReloadDnsmasq { conf_file, .. } => {
                if !state.dnsmasq.contains(conf_file) {
                    return Err(HostError::NoDnsmasqProcess { conf_file: conf_file.clone() });
                }
            }
            Step::Sysctl(sysctl) => {
                state.sysctls.insert(sysctl.key.clone(), sysctl.value.to_owned());
            }
            Step::SetMtu { link, mtu } => state.link(link).mtu = Some(*mtu),
            Step::AddAddress { link, address } => {
                if !state.link(link).addresses.insert(*address) {
                    return Err(refusal(step.to_string(), EXISTS));
                }
            }
            Step::RemoveAddress { link, address } => {
                state.link(link).addresses.remove(address);
            }
            Step::FilterVlans(link) => state.link(link).filters_vlans = true,
            Step::AttachPorts { .. } => {}
            Step::SetUp(link) => state.link(link).is_up = true,
            Step::AddRoute { link, route } => state.link(link).routes.push(route.clone()),
            Step::RemoveRoute { link, route } => {
                state.link(link).routes.retain(|other| other != route);
            }
            Step::Shape { link, commands, .. } => {
                let books = state.link(link);
                for command in commands {
                    books.shape(&command.change);
                }
            }
            Step::RegisterDomain { link, registration } => {
                state.link(link).domain = Some(registration.domain.clone());
            }
            Step::JoinZone { link, zone } => {
                state.zones.insert(link.to_string(), zone.clone());
            }
            Step::Undo(undo) => state.undo(undo)?,
        }
        Ok(())
    }

    async fn undo(&self, undo: &Undo) -> Result<(), HostError> {
        self.hang_if_asked().await;
        let mut inner = self.lock();
        inner.steps.push(undo.to_string());
        inner.state.undo(undo)
    }
}

impl State {
    /// What is set on a link.
    fn link(&mut self, name: &LinkName) -> &mut FakeLink {
        self.links.entry(name.to_string()).or_default()
    }

    fn undo(&mut self, undo: &Undo) -> Result<(), HostError> {
        match undo {
            Undo::StopDnsmasq { conf_file, .. } => {
                self.dnsmasq.remove(conf_file);
            }
            Undo::DeleteBridge { name, address } => {
                if address.is_none() || self.bridges.get(name.as_str()) == address.as_ref() {
                    self.bridges.remove(name.as_str());
                    self.links.remove(name.as_str());
                }
            }
            Undo::RemoveRules(removal) => {
                self.chains.retain(|chain| !removal.chains.contains(chain));
            }
            Undo::RemoveIptables(rules) => {
                for rule in rules {
                    self.iptables.remove(&deletion(rule));
                }
            }
            Undo::ClearShaping { link } => {
                if let Some(books) = self.links.get_mut(link.as_str()) {
                    books.classes.clear();
                    books.hook = None;
                }
                self.links.retain(|_, books| *books != FakeLink::default());
            }
            Undo::LeaveZone { link } => {
                self.zones.remove(link.as_str());
            }
            // Of the driver's own files some are real.
            Undo::RemoveDir { path } => oxivirt_sys::file::remove_dir(path)?,
            Undo::RemoveFile { path } => {
                self.files.remove(path);
                oxivirt_sys::file::remove(&oxivirt_sys::file::temporary(path))?;
                oxivirt_sys::file::remove(path)?;
            }
            Undo::RemoveIfEmpty { path } => {
                let is_empty = std::fs::read(path)
                    .is_ok_and(|text| text.iter().all(|byte| b"[] \n".contains(byte)));
                if is_empty {
                    oxivirt_sys::file::remove(path)?;
                }
            }
            Undo::RunRemoval(_) | Undo::RemoveLibvirtRules(_) | Undo::RemoveUserChainJump(_) => {}
        }
        Ok(())
    }

    fn observe(&self, want: &Provision) -> Provision {
        let is_set = |sysctl: &&Sysctl| {
            self.sysctls.get(&sysctl.key).is_some_and(|value| value == sysctl.value)
        };
        let books = |name: &LinkName| self.links.get(name.as_str()).cloned().unwrap_or_default();
        let link = want.link.as_ref().and_then(|want| {
            let is_meant =
                |bridge: &Bridge| self.bridges.get(bridge.name.as_str()) == Some(&bridge.address);
            if want.bridge.as_ref().is_some_and(|bridge| !is_meant(bridge)) {
                return None;
            }
            let books = books(&want.name);
            Some(LinkState {
                mtu: books.mtu,
                settings: want.settings.iter().filter(is_set).cloned().collect(),
                addresses: want
                    .addresses
                    .iter()
                    .filter(|address| books.addresses.contains(address))
                    .copied()
                    .collect(),
                vlan_filtering: books.filters_vlans,
                is_up: books.is_up,
                ..want.clone()
            })
        });
        let holds = |rules: &Rules| match rules {
            Rules::Nftables(load) => Removal::of(&load.transaction)
                .chains
                .iter()
                .all(|chain| self.chains.contains(chain)),
            Rules::Iptables(rules) => {
                rules.iter().all(|rule| self.iptables.contains(&deletion(rule)))
            }
        };
        let found = |file: &FileImage| {
            let content = self.files.get(&file.path)?.clone();
            Some(FileImage { content, ..file.clone() })
        };
        let dnsmasq =
            want.dnsmasq.as_ref().filter(|want| self.dnsmasq.contains(&want.launch.conf_file));
        let through = want.link.as_ref().map(|link| books(&link.name)).unwrap_or_default();
        Provision {
            rules: want.rules.clone().filter(holds),
            dnsmasq: dnsmasq.map(|want| DnsmasqState {
                conf: found(&want.conf)
                    .unwrap_or_else(|| FileImage { content: Vec::new(), ..want.conf.clone() }),
                hosts: want.hosts.iter().filter_map(found).collect(),
                ..want.clone()
            }),
            routes: want
                .routes
                .iter()
                .filter(|route| through.routes.contains(route))
                .cloned()
                .collect(),
            forwarding: want.forwarding.iter().filter(is_set).cloned().collect(),
            shaping: want.shaping.clone().filter(|want| {
                let books = books(&want.link);
                (!want.has_tree() || !books.classes.is_empty()) && books.hook == want.hook()
            }),
            domain: want.domain.clone().filter(|_| through.domain.is_some()),
            zone: want.link.as_ref().and_then(|link| self.zones.get(link.name.as_str()).cloned()),
            link,
        }
    }
}

impl FakeLink {
    /// Keeps tree and hook as the kernel would.
    fn shape(&mut self, change: &QueueChange) {
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
