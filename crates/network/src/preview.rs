//! What a takeover would do, and steps as reports show them. Nothing is changed.
//!
//! The same planner as for the real thing, fed from status files, so it needs no running driver and no
//! lock. The layer of a translated subnet that other networks leave free is unknown here: the lowest is
//! assumed.

use std::ffi::OsString;
use std::path::PathBuf;

use oxivirt::Result;
use oxivirt_conf::status::NetworkStatus;
use oxivirt_nft::iptables::{self, Rule};
use oxivirt_nft::{Transaction, json};
use oxivirt_sys::chain;
use uuid::Uuid;

use crate::apply::Host as _;
use crate::apply::linux::LinuxHost;
use crate::components::rules::{Firewall, Rules, RulesChange};
use crate::components::{self, NetworkState, PlanInputs};
use crate::config;
use crate::embed::{self, Environment};
use crate::error;
use crate::layout::Layout;
use crate::network::Network;
use crate::plan::stop;
use crate::plan::{HostFacts, Step, Undo};
use crate::plan::{SavedRemoval, traffic};
use crate::store;

/// The host and the directories that are looked at.
#[derive(Debug, Clone)]
pub struct Place {
    layout: Layout,
    search_path: OsString,
    lease_helper: PathBuf,
}

/// One step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PreviewStep {
    /// What it is about: `link`, `address`, `setting`, `rules`, `zone`, `file`, `process`, `route`, `queue`
    /// or `resolver`.
    pub kind: &'static str,
    /// The step in words.
    pub text: String,
    /// Content of a file, rules, a command line.
    pub lines: Vec<String>,
    /// The same change of nftables rules as a document for `nft -j -f -`.
    pub nft: Option<String>,
}

/// A network that runs under another program, and what taking it over would do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TakeOver {
    /// Its name.
    pub network: String,
    /// Nothing if it stays as it is.
    pub steps: Vec<PreviewStep>,
}

impl Place {
    /// The place with this root directory.
    #[must_use]
    pub fn at(root: impl Into<PathBuf>, environment: &Environment) -> Self {
        Self {
            layout: Layout::below(root),
            search_path: environment.search_path(),
            lease_helper: embed::lease_helper(environment.program.as_deref()),
        }
    }

    /// What the administrator chose here.
    async fn settings(&self, host: &LinuxHost) -> Result<config::Firewall> {
        config::firewall(&config::load(&self.layout)?, &self.layout, host).await
    }

    fn desired(
        &self,
        def: &Network,
        facts: &HostFacts,
        firewall: config::Firewall,
    ) -> Result<NetworkState> {
        let layers = vec![0; traffic::translated(def).len()];
        let inputs = PlanInputs {
            layout: &self.layout,
            lease_helper: &self.lease_helper,
            dnsmasq: facts.dnsmasq.as_deref(),
            servers: None,
            firewall: Firewall {
                backend: firewall.backend,
                owns_table: firewall.owns_table,
                has_checksum: facts.has_checksum,
                user_chains: &facts.user_chains,
            },
            firewalld: facts.firewalld.zones(),
            layers: &layers,
            floors: &crate::plan::port::floors(&Default::default()),
        };
        components::desired(def, &inputs).map_err(|error| error::plan(&error))
    }
}

/// What opening a driver would do to networks that run, under libvirt or under an earlier driver.
///
/// Status files that cannot be read are logged and skipped, as the driver does.
///
/// # Errors
/// The host cannot be asked, or the settings are wrong.
pub async fn take_over(place: &Place) -> Result<Vec<TakeOver>> {
    let statuses = store::load_statuses(&place.layout);
    if statuses.is_empty() {
        return Ok(Vec::new());
    }
    let host = open(place)?;
    let firewall = place.settings(&host).await?;
    let network = |status: &NetworkStatus| Network::new(status.def.clone(), Uuid::nil);
    let networks: Vec<_> = statuses.iter().flatten().map(network).collect();
    let query = firewall.query_of_running(&networks);
    let facts = host.facts(&query).await.map_err(|error| error::host(&error))?;
    let mut found = Vec::new();
    for status in statuses {
        let status = match status {
            Ok(status) => status,
            Err(error) => {
                tracing::warn!(
                    error = chain::text(&error),
                    "skipping network: its status file cannot be read"
                );
                continue;
            }
        };
        let def = traffic::live(&network(&status));
        let want = place.desired(&def, &facts, firewall)?;
        let have =
            components::observe(&host, &[&want]).await.map_err(|error| error::host(&error))?;
        let mut have = have.into_iter().next().unwrap_or_default();
        // What cannot be read is logged when a driver loads it.
        let saved = status.removal.as_ref().map(|removal| SavedRemoval::parse(removal).0);
        if saved != want.rules.as_ref().map(Rules::removal) {
            have.rules = None;
        }
        let known = stop::known_rules(&def, saved.as_ref());
        let plan = components::diff(&have, &want, &known);
        let loads = |step: &Step| matches!(step, Step::LoadRules(RulesChange::Nftables(_)));
        // It goes in the transaction in which ours come.
        let in_the_same = |undo: &&Undo| matches!(undo, Undo::RemoveLibvirtRules(_));
        let libvirts = known.iter().filter(in_the_same).filter(|_| plan.steps().any(loads));
        let steps = libvirts.map(undo).chain(plan.steps().map(step)).collect();
        found.push(TakeOver { network: def.name.clone(), steps });
    }
    Ok(found)
}

fn open(place: &Place) -> Result<LinuxHost> {
    LinuxHost::open(place.search_path.clone()).map_err(|error| error::host(&error))
}

pub(crate) fn step(step: &Step) -> PreviewStep {
    let no_lines = Vec::new;
    let (kind, lines) = match step {
        Step::CreateBridge(_)
        | Step::SetMtu { .. }
        | Step::SetUp(_)
        | Step::AttachPorts { .. }
        | Step::FilterVlans(_) => ("link", no_lines()),
        Step::Sysctl(_) => ("setting", no_lines()),
        Step::LoadRules(change) => ("rules", change.lines()),
        Step::AddAddress { .. } | Step::RemoveAddress { .. } => ("address", no_lines()),
        Step::AddRoute { .. } | Step::RemoveRoute { .. } => ("route", no_lines()),
        Step::ChangeQueues { .. } => ("queue", no_lines()),
        Step::RegisterDomain { .. } => ("resolver", no_lines()),
        Step::JoinZone { .. } => ("zone", no_lines()),
        Step::WriteFile(file) => {
            let content = String::from_utf8_lossy(&file.content);
            ("file", content.lines().map(str::to_owned).collect())
        }
        Step::Dhcp(_) => ("process", no_lines()),
        Step::Undo(step) => return undo(step),
    };
    let nft = match step {
        Step::LoadRules(RulesChange::Nftables(load)) => document(&load.transaction),
        _ => None,
    };
    PreviewStep { kind, text: step.to_string(), lines, nft }
}

pub(crate) fn undo(undo: &Undo) -> PreviewStep {
    let (kind, lines) = match undo {
        Undo::Dhcp(_) => ("process", Vec::new()),
        Undo::DeleteBridge { .. } => ("link", Vec::new()),
        Undo::RemoveRules(removal) => ("rules", changes(&removal.words())),
        Undo::RemoveIptables(rules) => ("rules", rules.iter().map(deletion).collect()),
        Undo::RemoveUserChainJump(target) => ("rules", vec![target.words().join(" ")]),
        Undo::RemoveLibvirtRules(_) | Undo::RunRemoval(_) => ("rules", Vec::new()),
        Undo::ClearQueues { .. } => ("queue", Vec::new()),
        Undo::LeaveZone { .. } => ("zone", Vec::new()),
        Undo::RemoveDir { .. } | Undo::RemoveFile { .. } | Undo::RemoveIfEmpty { .. } => {
            ("file", Vec::new())
        }
    };
    let nft = match undo {
        Undo::RemoveRules(removal) => document(&removal.saved()),
        _ => None,
    };
    PreviewStep { kind, text: undo.to_string(), lines, nft }
}

/// Neither starts nor removals contain changes that have no JSON form.
fn document(transaction: &Transaction) -> Option<String> {
    match json::document(transaction) {
        Ok(document) => Some(document.to_string()),
        Err(error) => {
            tracing::warn!(
                error = chain::text(&error),
                "cannot write rules as JSON: the plan has them as text only"
            );
            None
        }
    }
}

fn deletion(rule: &Rule) -> String {
    format!("{} {}", iptables::program(rule.family), rule.deletion().join(" "))
}

/// The changes of one `nft` call, a line each. A `;` between braces belongs to its change.
fn changes(words: &[String]) -> Vec<String> {
    let mut lines = Vec::new();
    let mut line = Vec::new();
    let mut depth = 0_usize;
    for word in words {
        match word.as_str() {
            "{" => depth += 1,
            "}" => depth = depth.saturating_sub(1),
            ";" if depth == 0 => {
                lines.push(std::mem::take(&mut line).join(" "));
                continue;
            }
            _ => {}
        }
        line.push(word.as_str());
    }
    lines.push(line.join(" "));
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_is_split_between_its_changes() {
        let words =
            "add map m { type a ; flags b ; } ; delete chain c".split(' ').map(str::to_owned);
        let lines = changes(&words.collect::<Vec<_>>());
        assert_eq!(lines, ["add map m { type a ; flags b ; }", "delete chain c"]);
    }
}
