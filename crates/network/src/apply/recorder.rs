//! A host that only keeps books.
//!
//! Holds links, rules, files and dnsmasq processes as sets, applies steps to them with the kernel's
//! main rules (no two links of one name, removal of what is absent succeeds), records every step and
//! fails at a chosen one. So planners and the driver are tested without privileges.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use oxivirt_util::firewall::{Removal, Transaction};
use oxivirt_util::netlink::{LinkKind, NetlinkError};

use super::{Host, HostError};
use crate::plan::{FactsQuery, HostFacts, Step, Undo};

/// What a recorder holds.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct State {
    /// Bridges by name with their hardware addresses.
    pub bridges: BTreeMap<String, [u8; 6]>,
    /// Chains of our table.
    pub chains: BTreeSet<String>,
    /// Configuration files of running dnsmasq processes.
    pub dnsmasq: BTreeSet<PathBuf>,
    /// Files written by steps.
    pub files: BTreeMap<PathBuf, Vec<u8>>,
    /// Kernel settings.
    pub sysctls: BTreeMap<String, String>,
}

#[derive(Debug, Default)]
struct Inner {
    state: State,
    facts: HostFacts,
    steps: Vec<String>,
    fail_at: Option<usize>,
}

/// The recording host.
#[derive(Debug, Default)]
pub struct Recorder {
    inner: Mutex<Inner>,
}

impl Recorder {
    /// A host with nothing on it and a dnsmasq program.
    #[must_use]
    pub fn new() -> Self {
        let recorder = Self::default();
        recorder.lock().facts.dnsmasq = Some("/usr/sbin/dnsmasq".into());
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

    /// The state now.
    #[must_use]
    pub fn state(&self) -> State {
        self.lock().state.clone()
    }

    /// Changes the state behind the driver's back.
    pub fn change(&self, change: impl FnOnce(&mut State)) {
        change(&mut self.lock().state);
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
        Ok(facts)
    }

    async fn link_names(&self) -> Result<BTreeSet<String>, HostError> {
        Ok(self.lock().state.bridges.keys().cloned().collect())
    }

    async fn holds_rules(&self, transaction: &Transaction) -> Result<bool, HostError> {
        let chains = Removal::of(transaction).chains;
        Ok(chains.iter().all(|chain| self.lock().state.chains.contains(chain)))
    }

    async fn runs_dnsmasq(&self, conf_file: &Path, _: &Path) -> Result<bool, HostError> {
        Ok(self.lock().state.dnsmasq.contains(conf_file))
    }

    async fn run(&self, step: &Step) -> Result<(), HostError> {
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
            }
            Step::LoadRules(transaction) => state.chains.extend(Removal::of(transaction).chains),
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
            Step::SetMtu { .. }
            | Step::AddAddress { .. }
            | Step::SetUp(_)
            | Step::AddRoute { .. } => {}
        }
        Ok(())
    }

    async fn undo(&self, undo: &Undo) -> Result<(), HostError> {
        let mut inner = self.lock();
        inner.steps.push(format!("undo {undo:?}"));
        let state = &mut inner.state;
        match undo {
            Undo::StopDnsmasq { conf_file, .. } => {
                state.dnsmasq.remove(conf_file);
            }
            Undo::DeleteBridge { name, address } => {
                if address.is_none() || state.bridges.get(name) == address.as_ref() {
                    state.bridges.remove(name);
                }
            }
            Undo::RemoveRules { words } => {
                if let Ok(removal) = Removal::parse(words) {
                    state.chains.retain(|chain| !removal.chains.contains(chain));
                }
            }
            Undo::RemoveFile { path } | Undo::RemoveIfEmpty { path } => {
                state.files.remove(path);
                // Status files are the driver's own and real.
                oxivirt_util::file::remove(&oxivirt_util::file::temporary(path))?;
                oxivirt_util::file::remove(path)?;
            }
            Undo::RunRemoval { .. } => {}
        }
        Ok(())
    }
}
