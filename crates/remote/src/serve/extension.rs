//! Calls of our own program.

use oxivirt::report::{DomainPlan, NetworkHealth, NetworkPlan};
use oxivirt::{Error, ErrorCode, ErrorDomain, PlanVerb, Result};
use oxivirt_rpc::xdr::{List, STRING_MAX, Text};
use serde::Serialize;
use tarpc::context::Context;

use super::Calls;
use crate::protocol::Reply;
use crate::protocol::extension::{ExtensionCalls, PROBE_MAX, PROCEDURES};
use crate::wire::{Domain, Network, text};

impl ExtensionCalls for Calls {
    async fn probe(self, _: Context) -> Reply<List<i32, PROBE_MAX>> {
        Ok(PROCEDURES.iter().map(|procedure| procedure.number).collect())
    }

    async fn network_plan(
        self,
        _: Context,
        net: Network,
        verb: u32,
        xml: Option<Text>,
        flags: u32,
    ) -> Reply<Text> {
        let (verb, xml) = (PlanVerb::from_number(verb), text(xml.as_ref()));
        let driver = self.networks("oxivirtNetworkPlan")?;
        let plan: NetworkPlan =
            driver.network_plan(&(&net).into(), verb, xml.as_deref(), flags).await?;
        Ok(report(&plan)?)
    }

    async fn network_health(self, _: Context, net: Network, flags: u32) -> Reply<Text> {
        let driver = self.networks("oxivirtNetworkHealth")?;
        let health: NetworkHealth = driver.network_health(&(&net).into(), flags).await?;
        Ok(report(&health)?)
    }

    async fn domain_plan(
        self,
        _: Context,
        dom: Domain,
        verb: u32,
        xml: Option<Text>,
        flags: u32,
    ) -> Reply<Text> {
        let (verb, xml) = (PlanVerb::from_number(verb), text(xml.as_ref()));
        let driver = self.domains("oxivirtDomainPlan")?;
        let plan: DomainPlan =
            driver.domain_plan(&(&dom).into(), verb, xml.as_deref(), flags).await?;
        Ok(report(&plan)?)
    }
}

/// A report as it travels.
///
/// # Errors
/// [`ErrorCode::RPC`] if it is longer than a string may be.
fn report(report: &impl Serialize) -> Result<Text> {
    let json = serde_json::to_string(report).unwrap_or_default();
    if json.len() > STRING_MAX {
        let detail = format!("report of {} bytes is longer than {STRING_MAX}", json.len());
        return Err(Error::new(ErrorCode::RPC, ErrorDomain::RPC, detail));
    }
    Ok(json.into())
}
