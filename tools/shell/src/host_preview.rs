//! Plans and health reports of networks on this host, made without a driver.

use oxivirt::Result;
use oxivirt::report::{HealRecord, HealthPart, NetworkHealth, NetworkPlan, PartKind, PlanStep};
use oxivirt_network::embed::Environment;
use oxivirt_network::preview::{self, Health, Place, PreviewStep};

/// Looks at this host, with the paths that an embedded driver would use.
#[derive(Debug)]
pub(crate) struct HostPreview {
    environment: Environment,
}

impl HostPreview {
    pub(crate) fn of_process() -> Self {
        Self { environment: Environment::of_process() }
    }

    /// What opening a driver with root directory `root` would do to running networks.
    ///
    /// # Errors
    /// If the host or the driver's settings cannot be read.
    pub(crate) async fn take_over(&self, root: String) -> Result<Vec<NetworkPlan>> {
        let found = preview::take_over(&Place::at(root, &self.environment)).await?;
        Ok(found.into_iter().map(|found| plan(found.network, found.steps)).collect())
    }

    /// What starting the network `name` with definition `xml` would do.
    ///
    /// # Errors
    /// Why the start would be refused.
    pub(crate) async fn start(&self, name: &str, xml: &str, uri: &str) -> Result<NetworkPlan> {
        let place = Place::of_uri(uri, &self.environment);
        let steps = preview::start(xml, place.as_ref(), &self.environment).await?;
        Ok(plan(name.to_owned(), steps))
    }

    /// What destroying the network `name` with definition `xml` would do.
    ///
    /// # Errors
    /// If the definition or the driver's settings cannot be read.
    pub(crate) async fn destroy(
        &self,
        name: &str,
        xml: &str,
        is_persistent: bool,
        uri: &str,
    ) -> Result<NetworkPlan> {
        let place = Place::of_uri(uri, &self.environment);
        let steps = preview::destroy(xml, is_persistent, place.as_ref(), &self.environment).await?;
        Ok(plan(name.to_owned(), steps))
    }

    /// Health of a running network; `None` if it is not on this host.
    ///
    /// # Errors
    /// If the host cannot be examined.
    pub(crate) async fn health(&self, xml: &str, uri: &str) -> Result<Option<NetworkHealth>> {
        let Some(place) = Place::of_uri(uri, &self.environment) else { return Ok(None) };
        let Health { parts, foreign, last_heal } = preview::health(xml, &place).await?;
        let parts = parts
            .into_iter()
            .map(|part| HealthPart { part: PartKind::from_word(part.kind), missing: part.missing })
            .collect();
        let last_heal = last_heal.map(|heal| HealRecord { time: heal.time, steps: heal.steps });
        Ok(Some(NetworkHealth {
            active: true,
            parts,
            last_heal,
            foreign_drops: foreign,
            ..NetworkHealth::default()
        }))
    }
}

fn plan(network: String, steps: Vec<PreviewStep>) -> NetworkPlan {
    let steps = steps
        .into_iter()
        .map(|PreviewStep { kind, text, lines }| PlanStep {
            kind: PartKind::from_word(kind),
            text,
            lines,
        })
        .collect();
    NetworkPlan { network, steps }
}
