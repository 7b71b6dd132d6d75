//! Plans of a takeover. They are made without a connection, since opening a driver carries the takeover out; so
//! this file calls the network driver's crate directly, as `main` does to register drivers.

use oxivirt::Result;
use oxivirt::report::{NetworkPlan, PartKind, PlanStep};
use oxivirt_network::embed::Environment;
use oxivirt_network::preview::{self, Place, PreviewStep};

/// Examines this host, with the paths that an embedded driver would use.
#[derive(Debug)]
pub(crate) struct LocalHost {
    environment: Environment,
}

impl LocalHost {
    pub(crate) fn of_process() -> Self {
        Self { environment: Environment::of_process() }
    }

    /// What opening a driver with root directory `root` would do to running networks.
    ///
    /// # Errors
    /// If the host or the driver's settings cannot be read.
    pub(crate) async fn plan_takeover(&self, root: String) -> Result<Vec<NetworkPlan>> {
        let found = preview::take_over(&Place::at(root, &self.environment)).await?;
        let plans = found.into_iter().map(|found| NetworkPlan {
            network: found.network,
            steps: found.steps.into_iter().map(step).collect(),
        });
        Ok(plans.collect())
    }
}

fn step(step: PreviewStep) -> PlanStep {
    let PreviewStep { kind, text, lines } = step;
    PlanStep { kind: PartKind::from_word(kind), text, lines }
}
