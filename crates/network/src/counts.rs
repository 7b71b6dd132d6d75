//! What the rules of networks have counted.

use std::collections::BTreeMap;

use oxivirt::Result;
use oxivirt_nft::counters::{Action, RuleCount};
use oxivirt_types::link_name::LinkName;

use crate::apply::Host;
use crate::driver::Driver;
use crate::error;
use crate::plan::nftables;

/// Which packets are counted.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct CountKey {
    /// The network.
    pub network: String,
    /// The part of its rules that has seen them: `in` to its guests, `out` from them, `nat`.
    pub part: &'static str,
    /// What became of them there.
    pub action: Action,
}

/// What was counted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Count {
    /// Packets.
    pub packets: u64,
    /// Their bytes.
    pub bytes: u64,
}

impl<H: Host> Driver<H> {
    /// What the rules of running networks have counted since they were loaded.
    ///
    /// The iptables backend's rules do not distinguish translated packets by network, so there are none
    /// with it.
    ///
    /// # Errors
    /// The host's refusal.
    pub async fn rule_counts(&self) -> Result<BTreeMap<CountKey, Count>> {
        let shared = &self.shared;
        let views = shared.networks.all().into_iter().map(|entry| entry.view());
        let bridges = views.filter(|view| view.is_active()).filter_map(|view| {
            Some((nftables::identifier(view.def.bridge()?), view.def.name.clone()))
        });
        let bridges: BTreeMap<String, String> = bridges.collect();
        let counts = shared.host.counts(shared.firewall.backend).await;
        let mut sums: BTreeMap<CountKey, Count> = BTreeMap::new();
        for rule in counts.map_err(|error| error::host(&error))? {
            let Some((part, bridge)) = place(&rule) else { continue };
            let Some(network) = bridges.get(&bridge) else { continue };
            let key = CountKey { network: network.clone(), part, action: rule.action };
            let sum = sums.entry(key).or_default();
            sum.packets = sum.packets.saturating_add(rule.packets);
            sum.bytes = sum.bytes.saturating_add(rule.bytes);
        }
        Ok(sums)
    }
}

/// The part that a rule belongs to, and the identifier of its bridge.
fn place(rule: &RuleCount) -> Option<(&'static str, String)> {
    let Some(link) = &rule.link else {
        return nftables::part_of(&rule.chain).map(|(part, bridge)| (part, bridge.to_owned()));
    };
    let part = match rule.chain.as_str() {
        "LIBVIRT_FWI" => "in",
        "LIBVIRT_FWO" => "out",
        _ => return None,
    };
    Some((part, nftables::identifier(&LinkName::new(link).ok()?)))
}
