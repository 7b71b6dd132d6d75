//! What holds for every plan of an operation that starts from nothing, checked apart from the planner.

use crate::{Plan, Step};

/// A broken rule.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum LintError {
    /// A step leaves something that the undo list does not remove.
    #[error("nothing undoes '{step}'")]
    NotUndone {
        /// The step.
        step: String,
    },
    /// A step relies on something that no earlier stage and no earlier step of its sequence created.
    #[error("'{step}' before {resource} exists")]
    TooEarly {
        /// The step.
        step: String,
        /// What it relies on.
        resource: String,
    },
}

/// Checks a plan against the list that undoes it.
///
/// * What a step leaves, the undo list removes.
/// * A resource is used only after it was created; sequences of one stage do not rely on each other.
///
/// # Errors
/// The first broken rule.
pub fn check<S: Step>(plan: &Plan<S>, undo: &Plan<S::Undo>) -> Result<(), LintError> {
    for step in plan.steps() {
        if !step.undo().iter().all(|needed| undo.steps().any(|undo| undo == needed)) {
            return Err(LintError::NotUndone { step: step.to_string() });
        }
    }
    let mut created: Vec<S::Resource> = Vec::new();
    for stage in &plan.stages {
        let before = created.clone();
        for sequence in &stage.sequences {
            let mut known = before.clone();
            for step in sequence {
                if let Some(resource) = step.requires()
                    && !known.contains(&resource)
                {
                    let (step, resource) = (step.to_string(), resource.to_string());
                    return Err(LintError::TooEarly { step, resource });
                }
                known.extend(step.creates());
                created.extend(step.creates());
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::toy::{ToyStep, ToyUndo};

    fn undo() -> Plan<ToyUndo> {
        let mut undo = Plan::default();
        undo.then([ToyUndo::Remove("box".into())]);
        undo
    }

    #[test]
    fn a_step_that_nothing_undoes_is_found() {
        let mut plan = Plan::default();
        plan.then([ToyStep::create("box"), ToyStep::fill("box")]);
        assert_eq!(check(&plan, &undo()), Ok(()));
        let error = check(&plan, &Plan::default()).unwrap_err();
        assert_eq!(error.to_string(), "nothing undoes 'create box'");
    }

    #[test]
    fn a_parallel_sequence_is_not_relied_on() {
        let mut plan = Plan::default();
        plan.then_parallel([vec![ToyStep::create("box")], vec![ToyStep::fill("box")]]);
        let error = check(&plan, &undo()).unwrap_err();
        assert_eq!(error.to_string(), "'fill box' before box exists");
        let mut plan = Plan::default();
        plan.then([ToyStep::create("box")]);
        plan.then([ToyStep::fill("box")]);
        assert_eq!(check(&plan, &undo()), Ok(()));
    }
}
