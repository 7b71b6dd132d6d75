//! A toy kind of step for the tests: boxes on a shelf.

use std::collections::BTreeSet;
use std::fmt;
use std::io;
use std::sync::{Mutex, PoisonError};

use serde::{Deserialize, Serialize};

use crate::{Executor, OnFailure, Step, Undo};

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum ToyStep {
    Create { name: String, on_failure: OnFailure },
    Fill(String),
}

impl ToyStep {
    pub(crate) fn create(name: &str) -> Self {
        Self::Create { name: name.to_owned(), on_failure: OnFailure::Stop }
    }

    pub(crate) fn fill(name: &str) -> Self {
        Self::Fill(name.to_owned())
    }
}

impl fmt::Display for ToyStep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Create { name, .. } => write!(f, "create {name}"),
            Self::Fill(name) => write!(f, "fill {name}"),
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum ToyUndo {
    Remove(String),
    /// The same, and the rest depends on it.
    Require(String),
}

impl fmt::Display for ToyUndo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Remove(name) => write!(f, "remove {name}"),
            Self::Require(name) => write!(f, "remove {name} for good"),
        }
    }
}

impl Undo for ToyUndo {
    fn is_required(&self) -> bool {
        matches!(self, Self::Require(_))
    }
}

impl Step for ToyStep {
    type Undo = ToyUndo;
    type Resource = String;

    fn undo(&self) -> Vec<ToyUndo> {
        match self {
            Self::Create { name, .. } => vec![ToyUndo::Remove(name.clone())],
            Self::Fill(_) => Vec::new(),
        }
    }

    fn on_failure(&self) -> OnFailure {
        match self {
            Self::Create { on_failure, .. } => *on_failure,
            Self::Fill(_) => OnFailure::Stop,
        }
    }

    fn creates(&self) -> Option<String> {
        match self {
            Self::Create { name, .. } => Some(name.clone()),
            Self::Fill(_) => None,
        }
    }

    fn requires(&self) -> Option<String> {
        match self {
            Self::Create { .. } => None,
            Self::Fill(name) => Some(name.clone()),
        }
    }
}

/// A shelf that can refuse one step or undo, named as it is displayed.
#[derive(Debug, Default)]
pub(crate) struct Shelf {
    boxes: Mutex<BTreeSet<String>>,
    fails_at: Option<String>,
}

impl Shelf {
    pub(crate) fn failing_at(text: &str) -> Self {
        Self { fails_at: Some(text.to_owned()), ..Self::default() }
    }

    pub(crate) fn names(&self) -> Vec<String> {
        self.boxes.lock().unwrap_or_else(PoisonError::into_inner).iter().cloned().collect()
    }

    fn check(&self, action: &str) -> io::Result<()> {
        match self.fails_at.as_deref() == Some(action) {
            true => Err(io::Error::other(format!("the shelf refuses to {action}"))),
            false => Ok(()),
        }
    }
}

impl Executor<ToyStep> for Shelf {
    type Error = io::Error;

    async fn run(&self, step: &ToyStep) -> io::Result<()> {
        self.check(&step.to_string())?;
        if let ToyStep::Create { name, .. } = step {
            self.boxes.lock().unwrap_or_else(PoisonError::into_inner).insert(name.clone());
        }
        Ok(())
    }

    async fn undo(&self, undo: &ToyUndo) -> io::Result<()> {
        self.check(&undo.to_string())?;
        let (ToyUndo::Remove(name) | ToyUndo::Require(name)) = undo;
        self.boxes.lock().unwrap_or_else(PoisonError::into_inner).remove(name);
        Ok(())
    }
}
