//! Carrying out plans.
//!
//! Nothing is decided here but to stop at the first failure when doing, and to go on when undoing. What
//! a failure means is a property of the step ([`Step::on_failure`]).

use futures::future::join_all;
use oxivirt_sys::chain;

use crate::{Executor, OnFailure, Plan, Step, Undo as _};

/// A plan that stopped.
#[derive(Debug)]
pub struct Stopped<S: Step, E> {
    /// The step that failed.
    pub step: Box<S>,
    /// Why.
    pub error: E,
    /// What reverts the steps that were done, in the order in which they were done.
    pub undo: Vec<S::Undo>,
}

/// Carries out a plan, up to the first failure.
///
/// # Errors
/// [`Stopped`] says what was done and how to revert it; steps that ran in parallel with the one that
/// failed have ended.
pub async fn run<S: Step, X: Executor<S>>(
    executor: &X,
    plan: &Plan<S>,
) -> Result<(), Stopped<S, X::Error>> {
    let mut done = Vec::new();
    for stage in &plan.stages {
        let sequences = stage.sequences.iter().map(|sequence| run_sequence(executor, sequence));
        let mut failure = None;
        for sequence in join_all(sequences).await {
            done.extend(sequence.done);
            if let Some((step, error)) = sequence.failure {
                if failure.is_none() {
                    failure = Some((step, error));
                } else {
                    tracing::warn!(%step, error = chain::text(&error), "parallel step failed");
                }
            }
        }
        if let Some((step, error)) = failure {
            return Err(Stopped { step, error, undo: done });
        }
    }
    Ok(())
}

struct Sequence<S: Step, E> {
    done: Vec<S::Undo>,
    failure: Option<(Box<S>, E)>,
}

async fn run_sequence<S: Step, X: Executor<S>>(executor: &X, steps: &[S]) -> Sequence<S, X::Error> {
    let mut sequence = Sequence { done: Vec::new(), failure: None };
    for step in steps {
        tracing::debug!(%step, "step");
        let Err(error) = executor.run(step).await else {
            sequence.done.extend(step.undo());
            continue;
        };
        match step.on_failure() {
            OnFailure::Continue => {
                tracing::warn!(%step, error = chain::text(&error), "skipping step: it failed");
                continue;
            }
            OnFailure::UndoStep => sequence.done.extend(step.undo()),
            OnFailure::Stop => {}
        }
        sequence.failure = Some((Box::new(step.clone()), error));
        break;
    }
    sequence
}

/// Carries out an undo list to its end, whatever fails on the way but what is required
/// ([`crate::Undo::is_required`]); returns the failures.
pub async fn undo<S: Step, X: Executor<S>>(executor: &X, plan: &Plan<S::Undo>) -> Vec<X::Error> {
    let mut errors = Vec::new();
    for stage in &plan.stages {
        let sequences = stage.sequences.iter().map(|sequence| undo_sequence(executor, sequence));
        let mut goes_on = true;
        for (failures, is_complete) in join_all(sequences).await {
            errors.extend(failures);
            goes_on &= is_complete;
        }
        if !goes_on {
            break;
        }
    }
    errors
}

/// The failures, and whether all that is required was reverted.
async fn undo_sequence<S: Step, X: Executor<S>>(
    executor: &X,
    undo: &[S::Undo],
) -> (Vec<X::Error>, bool) {
    let mut errors = Vec::new();
    for undo in undo {
        tracing::debug!(%undo, "undo");
        if let Err(error) = executor.undo(undo).await {
            errors.push(error);
            if undo.is_required() {
                return (errors, false);
            }
        }
    }
    (errors, true)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::toy::{Shelf, ToyStep, ToyUndo};

    #[tokio::test]
    async fn stops_at_the_first_failure_and_says_how_to_revert() {
        let shelf = Shelf::failing_at("fill b");
        let mut plan = Plan::default();
        plan.then_parallel([
            vec![ToyStep::create("a"), ToyStep::fill("a")],
            vec![ToyStep::create("b"), ToyStep::fill("b"), ToyStep::create("c")],
        ]);
        plan.then([ToyStep::create("d")]);
        let stopped = run(&shelf, &plan).await.unwrap_err();
        assert_eq!(stopped.step.to_string(), "fill b");
        let names = ["a", "b"].map(|name| ToyUndo::Remove(name.into()));
        assert_eq!(stopped.undo, names);
        assert_eq!(shelf.names(), ["a", "b"]);
    }

    #[tokio::test]
    async fn what_a_failure_means_is_a_property_of_the_step() {
        let plan = |on_failure| {
            let mut plan = Plan::default();
            plan.then([ToyStep::Create { name: "a".into(), on_failure }, ToyStep::create("b")]);
            plan
        };
        let shelf = Shelf::failing_at("create a");
        assert_eq!(run(&shelf, &plan(OnFailure::Stop)).await.unwrap_err().undo, []);
        let undone = run(&shelf, &plan(OnFailure::UndoStep)).await.unwrap_err().undo;
        assert_eq!(undone, [ToyUndo::Remove("a".into())]);
        assert!(run(&shelf, &plan(OnFailure::Continue)).await.is_ok());
        assert_eq!(shelf.names(), ["b"]);
    }

    #[tokio::test]
    async fn undo_goes_on_after_a_failure() {
        let shelf = Shelf::failing_at("remove a");
        let mut plan = Plan::default();
        plan.then([ToyStep::create("a"), ToyStep::create("b")]);
        run(&shelf, &plan).await.unwrap();
        let mut list = Plan::default();
        list.then([ToyUndo::Remove("a".into()), ToyUndo::Remove("b".into())]);
        list.then([ToyUndo::Remove("c".into())]);
        assert_eq!(undo::<ToyStep, _>(&shelf, &list).await.len(), 1);
        assert_eq!(shelf.names(), ["a"]);
    }

    #[tokio::test]
    async fn what_is_required_and_stays_ends_the_undo() {
        let shelf = Shelf::failing_at("remove a for good");
        let mut plan = Plan::default();
        plan.then(["a", "b", "c"].map(ToyStep::create));
        run(&shelf, &plan).await.unwrap();
        let mut list = Plan::default();
        let first = vec![ToyUndo::Require("a".into()), ToyUndo::Remove("a".into())];
        list.then_parallel([first, vec![ToyUndo::Remove("b".into())]]);
        list.then([ToyUndo::Remove("c".into())]);
        assert_eq!(undo::<ToyStep, _>(&shelf, &list).await.len(), 1);
        assert_eq!(shelf.names(), ["a", "c"]);
    }
}
