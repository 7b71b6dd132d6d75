//! Reconciles the host with the status files: at opening, on a reload, after a loss.
//!
//! All networks are looked at together and their rules change in one transaction; what is whole is not
//! touched. Every repair is a [`components::diff`].

use std::sync::Arc;
use std::sync::atomic::Ordering;

use oxivirt::{Error, Result};

use crate::apply::{self, Host};
use crate::components::dhcp::Server;
use crate::components::rules::{self, Rules, RulesChange};
use crate::components::{self, NetworkState};
use crate::error;
use crate::plan::{Plan, SavedRemoval, Step, Undo};
use crate::registry::{Entry, View};
use crate::shared::Shared;

/// A running network that may have lost something. The caller holds its operation lock.
#[derive(Debug)]
pub(crate) struct Candidate {
    /// The network.
    pub(crate) entry: Arc<Entry>,
    /// Whether an operation on it was cut off.
    pub(crate) was_interrupted: bool,
}

/// What was found, and what was done.
#[derive(Debug)]
pub(crate) enum Outcome {
    /// Nothing was wrong.
    Whole,
    /// The steps that repaired it.
    Repaired(Vec<String>),
    /// The steps that would repair it.
    Observed(Vec<String>),
    /// It could not be inspected or repaired.
    Failed(Error),
}

/// A network with what has to be done.
struct Repair {
    number: usize,
    view: Arc<View>,
    plan: Plan<Step>,
    saved: Option<SavedRemoval>,
    removal: Option<SavedRemoval>,
    unrecorded: Plan<Undo>,
    was_interrupted: bool,
    /// Its status file was deleted.
    lacks_status: bool,
    /// The first thing that went wrong.
    failure: Option<Error>,
}

impl Repair {
    fn steps(&self) -> Vec<String> {
        let status = self.lacks_status.then(|| "write the status file".to_owned());
        status.into_iter().chain(self.plan.steps().map(ToString::to_string)).collect()
    }
}

impl<H: Host> Shared<H> {
    /// Inspects networks and repairs what can be repaired; returns the outcome for each.
    pub(crate) async fn repair(&self, candidates: &[Candidate]) -> Vec<Outcome> {
        let mut outcomes: Vec<_> = candidates.iter().map(|_| Outcome::Whole).collect();
        let (mut repairs, failures) = self.inspect(candidates).await;
        for (number, error) in failures {
            set(&mut outcomes, number, Outcome::Failed(error));
        }
        for repair in &mut repairs {
            for step in repair.steps() {
                tracing::debug!(network = repair.view.def.name, step, "repairing");
            }
            let Some(candidate) = candidates.get(repair.number) else { continue };
            repair.failure = self.announce(&candidate.entry, repair).err();
        }
        repairs.retain_mut(|repair| match repair.failure.take() {
            Some(error) => {
                set(&mut outcomes, repair.number, Outcome::Failed(error));
                false
            }
            None => true,
        });
        let at_once = self.load_at_once(&repairs).await;
        for repair in &repairs {
            let Some(candidate) = candidates.get(repair.number) else { continue };
            let outcome = match self.carry_out(&candidate.entry, repair, at_once).await {
                Ok(()) => Outcome::Repaired(repair.steps()),
                Err(error) => Outcome::Failed(error),
            };
            set(&mut outcomes, repair.number, outcome);
        }
        outcomes
    }

    /// Inspects networks and returns what would repair them.
    pub(crate) async fn observe_only(&self, candidates: &[Candidate]) -> Vec<Outcome> {
        let mut outcomes: Vec<_> = candidates.iter().map(|_| Outcome::Whole).collect();
        let (repairs, failures) = self.inspect(candidates).await;
        for repair in repairs {
            set(&mut outcomes, repair.number, Outcome::Observed(repair.steps()));
        }
        for (number, error) in failures {
            set(&mut outcomes, number, Outcome::Failed(error));
        }
        outcomes
    }

    /// The networks that something is wrong with, and those that cannot be inspected.
    async fn inspect(&self, candidates: &[Candidate]) -> (Vec<Repair>, Vec<(usize, Error)>) {
        let mut failures = Vec::new();
        let mut wanted = Vec::new();
        let views: Vec<_> = candidates.iter().map(|candidate| candidate.entry.view()).collect();
        let query = self.firewall.query_of_running(views.iter().map(|view| &view.def));
        let facts = match self.host.facts(&query).await {
            Ok(facts) => facts,
            Err(error) => {
                let error = error::host(&error);
                let failed = (0..candidates.len()).map(|number| (number, error.clone()));
                return (Vec::new(), failed.collect());
            }
        };
        for (number, candidate) in candidates.iter().enumerate() {
            let view = candidate.entry.view();
            match self.desired(&view, &facts) {
                Ok(mut want) => {
                    if let Some(link) = want.link.as_mut().filter(|link| link.bridge.is_some()) {
                        link.ports = self.known_ports(&link.name);
                    }
                    wanted.push((number, view, want));
                }
                Err(error) => failures.push((number, error)),
            }
        }
        let wants: Vec<_> = wanted.iter().map(|(_, _, want)| want).collect();
        let found = match components::observe(&*self.host, &wants).await {
            Ok(found) => found,
            Err(error) => {
                let error = error::host(&error);
                failures.extend(wanted.iter().map(|(number, _, _)| (*number, error.clone())));
                return (Vec::new(), failures);
            }
        };
        let remakes_table = self.remakes_table.swap(false, Ordering::Relaxed);
        let repairs =
            wanted.into_iter().zip(found).filter_map(|((number, view, mut want), mut have)| {
                if remakes_table {
                    have.rules = None;
                }
                if let (Some(running), Some(wanted)) = (&have.dhcp, &mut want.dhcp) {
                    wanted.keep_following(running);
                }
                let was_interrupted =
                    candidates.get(number).is_some_and(|candidate| candidate.was_interrupted);
                self.plan_repair(number, view, &want, have, was_interrupted)
            });
        (repairs.collect(), failures)
    }

    /// What has to be done for a network; nothing if it is whole.
    fn plan_repair(
        &self,
        number: usize,
        view: Arc<View>,
        want: &NetworkState,
        mut have: NetworkState,
        was_interrupted: bool,
    ) -> Option<Repair> {
        let saved = view.removal().cloned();
        let removal = want.rules.as_ref().map(Rules::removal);
        if saved != removal {
            // Rules of another version or program, or more than there should be.
            have.rules = None;
        }
        if was_interrupted {
            // The server may not have read what is on disk, classes may be of ports that are gone.
            have.dhcp.iter_mut().for_each(Server::assume_outdated);
            have.qos = None;
        }
        let status = view.status();
        if view.running.as_ref().is_some_and(|saved| saved.status.class_ids != status.class_ids) {
            // Classes of ports that are not there, or the other way round.
            have.qos = None;
        }
        if let Some(server) = &have.dhcp {
            self.reserved().adopt_watch(view.reference().uuid, server.is_fed());
        }
        let known = self.saved_rules(&view.def, saved.as_ref());
        let plan = components::diff(&have, want, &known);
        let is_same = view.running.as_ref().is_some_and(|saved| *saved.status == status);
        let lacks_status = !self.layout.status_file(&view.def.name).exists();
        if plan.stages.is_empty() && is_same && saved == removal && !lacks_status {
            if was_interrupted {
                self.remove_journal(view.reference().uuid);
            }
            return None;
        }
        let unrecorded = rules::unrecorded_removal(saved.as_ref(), removal.as_ref());
        let failure = None;
        Some(Repair {
            number,
            view,
            plan,
            saved,
            removal,
            unrecorded,
            was_interrupted,
            lacks_status,
            failure,
        })
    }

    /// Records what removes the rules that are about to be loaded, beside those that are there.
    fn announce(&self, entry: &Entry, repair: &Repair) -> Result<()> {
        if !repair.unrecorded.stages.is_empty() {
            self.write_update_journal(&repair.view.def, repair.unrecorded.clone(), Vec::new())?;
        }
        if repair.saved != repair.removal {
            let both = rules::union(repair.saved.as_ref(), repair.removal.as_ref());
            self.save(entry, &repair.view, both)?;
        }
        Ok(())
    }

    /// Loads the rules of several networks in one transaction; whether that is done.
    async fn load_at_once(&self, repairs: &[Repair]) -> AtOnce {
        let steps = repairs.iter().flat_map(|repair| repair.plan.steps());
        let changes = steps.filter_map(|step| match step {
            Step::LoadRules(change) => Some(change),
            _ => None,
        });
        let changes: Vec<_> = changes.collect();
        if changes.len() < 2 {
            return AtOnce::No;
        }
        for change in RulesChange::merged(&changes) {
            if let Err(error) = self.host.run(&Step::LoadRules(change)).await {
                // Each for itself then, so that one that fails does not prevent the others.
                tracing::warn!(
                    error = oxivirt_sys::chain::text(&error),
                    "cannot load the rules of all networks in one transaction, loading them one by one"
                );
                return AtOnce::No;
            }
        }
        AtOnce::Yes
    }

    async fn carry_out(&self, entry: &Entry, repair: &Repair, at_once: AtOnce) -> Result<()> {
        let is_left = |step: &Step| at_once == AtOnce::No || !matches!(step, Step::LoadRules(_));
        let plan = repair.plan.clone().filtered(is_left);
        apply::run(&*self.host, &plan).await.map_err(|error| error::stopped(&error))?;
        self.save(entry, &repair.view, repair.removal.clone())?;
        if repair.was_interrupted || !repair.unrecorded.stages.is_empty() {
            self.remove_journal(repair.view.reference().uuid);
        }
        Ok(())
    }
}

/// Whether rules were loaded for all networks together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum AtOnce {
    Yes,
    No,
}

fn set(outcomes: &mut [Outcome], number: usize, outcome: Outcome) {
    if let Some(slot) = outcomes.get_mut(number) {
        *slot = outcome;
    }
}
