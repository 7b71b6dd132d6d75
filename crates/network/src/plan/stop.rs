//! The plan of a stop: everything a start can have left, taken away.
//!
//! The same list is the undo of a start, also after a crash. The status file
//! goes first: without it the network counts as not running, whatever is still there. Rules outlive
//! the bridge, so that nothing passes unfiltered while it goes. Ending the DHCP server and deleting the
//! bridge take their time side by side.
//!
//! libvirt 11.3.0: `networkShutdownNetwork`, src/network/bridge_driver.c

use super::iptables::{self, Services};
use super::{Plan, SavedRemoval, Undo, nftables, traffic};
use crate::components::rules::Rules;
use crate::components::{bridge, dhcp, qos};
use crate::layout::Layout;
use crate::network::Network;

/// What is left when a network has stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Keep {
    /// Leases, for the next start of a persistent network.
    Leases,
    /// Nothing: the network has no definition.
    Nothing,
}

/// The steps of a stop, for a network that may run only in part.
#[must_use]
pub fn plan(network: &Network, rules: Vec<Undo>, layout: &Layout, keep: Keep) -> Plan<Undo> {
    let mut plan = Plan::default();
    let remove = |path| Undo::RemoveFile { path };
    let name = &network.name;
    plan.then([layout.status_file(name), layout.record(name), layout.last_heal(name)].map(remove));
    let ports = Undo::RemoveDir { path: layout.ports_dir(&network.name) };
    let (Some(bridge), Some(delete)) = (network.own_bridge(), bridge::undo(network)) else {
        plan.then(qos::undo(network));
        plan.then([ports]);
        return plan;
    };
    let server = dhcp::undo(network, layout);
    let has_server = !server.is_empty();
    // libvirt's rules are identified by the bridge's ifindex; all other rules outlive the bridge.
    let (mut sequence, rules): (Vec<_>, Vec<_>) =
        rules.into_iter().partition(|undo| matches!(undo, Undo::RemoveLibvirtRules(_)));
    sequence.push(delete);
    sequence.extend(rules);
    plan.then_parallel([server, sequence]);
    if has_server {
        plan.then(dhcp::generated_files(network, layout).into_iter().map(remove));
    }
    plan.then([ports]);
    let leases = layout.leases(bridge);
    plan.then([match keep {
        Keep::Leases => Undo::RemoveIfEmpty { path: leases },
        Keep::Nothing => remove(leases),
    }]);
    // Its guests' ports are gone.
    plan.then([remove(layout.macs(bridge))]);
    plan
}

/// What removes the rules of a running network, by the removal that its status file holds.
///
/// libvirt's nftables rules are not deleted by the saved handles, which may be those of other rules by
/// now. Its `tc` filters go with the bridge. If it lost the removal, as it does with many updates, its
/// rules may be there in either backend.
#[must_use]
pub fn known_rules(network: &Network, saved: Option<&SavedRemoval>) -> Vec<Undo> {
    let layers = vec![0; traffic::translated(network).len()];
    let traffic = traffic::traffic(network, &layers).ok().flatten();
    let libvirts =
        traffic.as_ref().map(|traffic| Undo::RemoveLibvirtRules(nftables::libvirt(traffic)));
    let Some(saved) = saved else {
        let old = traffic.map(|traffic| {
            Rules::Iptables(iptables::rules(&traffic, Services::of(network, true))).removal()
        });
        return libvirts.into_iter().chain(old.iter().flat_map(SavedRemoval::undo)).collect();
    };
    let bridge = network.own_bridge();
    let mut steps = Vec::new();
    for undo in saved.undo() {
        match &undo {
            Undo::RunRemoval(command) if command.is_by_handle() => {
                if let Some(libvirts) = &libvirts
                    && !steps.contains(libvirts)
                {
                    steps.push(libvirts.clone());
                }
            }
            Undo::RunRemoval(command)
                if bridge.is_some_and(|bridge| command.is_filter_of(bridge)) => {}
            _ => steps.push(undo),
        }
    }
    steps
}
