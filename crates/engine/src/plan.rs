//! Plans: what is done to the host, complete and in order, before anything is done.

use serde::{Deserialize, Serialize};

/// Steps in stages. A stage begins when the one before has ended; its sequences run in parallel, the
/// steps of a sequence one after the other.
///
/// ```
/// use oxivirt_engine::Plan;
///
/// let mut plan = Plan::default();
/// plan.then(["create"]);
/// plan.then_parallel([vec!["address", "raise"], vec!["write file"]]);
/// plan.then([]);
/// assert_eq!(plan.stages.len(), 2);
/// assert_eq!(plan.steps().count(), 4);
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Plan<S> {
    /// The stages in order.
    pub stages: Vec<Stage<S>>,
}

/// Sequences of steps that run in parallel.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Stage<S> {
    /// Each a list of steps.
    pub sequences: Vec<Vec<S>>,
}

impl<S> Default for Plan<S> {
    fn default() -> Self {
        Self { stages: Vec::new() }
    }
}

impl<S> Plan<S> {
    /// Adds a stage with one sequence, unless it would be empty.
    pub fn then(&mut self, steps: impl IntoIterator<Item = S>) {
        self.then_parallel([steps.into_iter().collect()]);
    }

    /// Adds a stage, without its empty sequences.
    pub fn then_parallel(&mut self, sequences: impl IntoIterator<Item = Vec<S>>) {
        let sequences: Vec<_> =
            sequences.into_iter().filter(|sequence| !sequence.is_empty()).collect();
        if !sequences.is_empty() {
            self.stages.push(Stage { sequences });
        }
    }

    /// Whether there is nothing to do.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.stages.is_empty()
    }

    /// All steps, in an order in which they could run one by one.
    pub fn steps(&self) -> impl Iterator<Item = &S> {
        self.stages.iter().flat_map(|stage| stage.sequences.iter().flatten())
    }

    /// The plan with only the steps for which `keep` returns true.
    #[must_use]
    pub fn filtered(self, keep: impl Fn(&S) -> bool) -> Self {
        let mut plan = Self::default();
        for stage in self.stages {
            let sequences = stage.sequences.into_iter();
            plan.then_parallel(
                sequences.map(|sequence| sequence.into_iter().filter(&keep).collect()),
            );
        }
        plan
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn empty_sequences_and_stages_are_left_out() {
        let mut plan = Plan::default();
        plan.then_parallel([vec![], vec![1, 2], vec![]]);
        plan.then_parallel([vec![], vec![]]);
        plan.then([3]);
        assert_eq!(serde_json::to_string(&plan).unwrap(), "[[[1,2]],[[3]]]");
        let odd = plan.filtered(|step| step % 2 == 1);
        assert_eq!(serde_json::to_string(&odd).unwrap(), "[[[1]],[[3]]]");
        assert!(odd.filtered(|_| false).is_empty());
    }
}
