//! What a driver defines: changes to its host, what reverts them, and who carries them out.

use std::error::Error;
use std::fmt::{Debug, Display};

use serde::Serialize;
use serde::de::DeserializeOwned;

/// One change to the host, so complete that carrying it out needs no decision.
///
/// Displayed as a verb and its object: `create bridge virbr0`.
pub trait Step: Debug + Display + Clone + PartialEq + Send + Sync + 'static {
    /// What reverts a step.
    type Undo: Undo;
    /// What steps create and rely on, for [`crate::lint`]: a link, a file, a process.
    type Resource: Clone + PartialEq + Display;

    /// What reverts this step, if something outlives it.
    fn undo(&self) -> Vec<Self::Undo>;

    /// What the failure of this step means for its plan.
    fn on_failure(&self) -> OnFailure {
        OnFailure::Stop
    }

    /// What exists once this step is done.
    fn creates(&self) -> Option<Self::Resource> {
        None
    }

    /// What this step relies on.
    fn requires(&self) -> Option<Self::Resource> {
        None
    }
}

/// What the failure of a step means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnFailure {
    /// The step had no effect; the plan stops.
    Stop,
    /// The step may have had a part of its effect, so it is undone too; the plan stops.
    UndoStep,
    /// It is logged; the plan goes on.
    Continue,
}

/// One change that reverts a [`Step`].
///
/// It succeeds if there is nothing to revert, so that a list of them can be carried out any number of
/// times, from the start, after a crash. Its serialised form is part of the journal's file format.
pub trait Undo:
    Debug + Display + Clone + PartialEq + Serialize + DeserializeOwned + Send + Sync + 'static
{
    /// Whether later stages have to wait until this is reverted: if it fails they are not undone.
    fn is_required(&self) -> bool {
        false
    }
}

/// A host on which steps are carried out.
pub trait Executor<S: Step>: Send + Sync {
    /// Why the host refused.
    type Error: Error + Send + Sync + 'static;

    /// Carries out a step.
    ///
    /// # Errors
    /// If the host refuses; [`Step::on_failure`] says what that means.
    fn run(&self, step: &S) -> impl Future<Output = Result<(), Self::Error>> + Send;

    /// Reverts a step; succeeds if there is nothing to revert.
    ///
    /// # Errors
    /// If something is still there afterwards.
    fn undo(&self, undo: &S::Undo) -> impl Future<Output = Result<(), Self::Error>> + Send;
}
