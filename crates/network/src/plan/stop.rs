//! The plan of a stop: everything a start can have left, taken away.
//!
//! The same list is the undo of a start, for whoever finds the host after a crash. The status file
//! goes first: without it the network counts as not running, whatever is still there. Rules outlive
//! the bridge, so that nothing passes unfiltered while it goes. Ending dnsmasq and deleting the
//! bridge take their time side by side.
//!
//! libvirt 11.3.0: `networkShutdownNetwork`, src/network/bridge_driver.c

use oxivirt_conf::network::NetworkDef;
use oxivirt_conf::status::{FirewallBackend, FirewallLayer, FirewallRemoval};
use oxivirt_util::firewall::Removal;

use super::{Plan, RemovalCommand, Undo, dnsmasq};
use crate::layout::Layout;

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
pub fn plan(
    def: &NetworkDef,
    removal: Option<&FirewallRemoval>,
    layout: &Layout,
    keep: Keep,
) -> Plan<Undo> {
    let mut plan = Plan::default();
    let remove = |path| Undo::RemoveFile { path };
    plan.then([remove(layout.status_file(&def.name))]);
    let ports = Undo::RemoveDir { path: layout.ports_dir(&def.name) };
    let bridge = def.bridge.name.as_deref().filter(|_| def.forward.mode.owns_bridge());
    let Some(bridge) = bridge else {
        let link = def.bridge.name.clone().filter(|_| def.bandwidth.is_some());
        plan.then(link.map(|link| Undo::ClearShaping { link }));
        plan.then([ports]);
        return plan;
    };
    let has_dnsmasq = dnsmasq::is_needed(def);
    let stop = has_dnsmasq.then(|| Undo::StopDnsmasq {
        conf_file: layout.dnsmasq_conf(&def.name),
        pid_file: layout.dnsmasq_pid(&def.name),
    });
    let delete = Undo::DeleteBridge { name: bridge.to_owned(), address: def.mac.map(|mac| mac.0) };
    let mut lane = vec![delete];
    lane.extend(removal.into_iter().flat_map(rules));
    plan.then_at_once([stop.into_iter().collect(), lane]);
    if has_dnsmasq {
        plan.then(generated_files(def, layout).into_iter().map(remove));
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

/// Files of a stopped network that hold nothing a start would not write again.
#[must_use]
pub fn generated_files(def: &NetworkDef, layout: &Layout) -> [std::path::PathBuf; 4] {
    let name = &def.name;
    [
        layout.dnsmasq_conf(name),
        layout.dnsmasq_hostsfile(name),
        layout.dnsmasq_addnhosts(name),
        layout.servers_file(def.uuid.unwrap_or_default()),
    ]
}

/// The saved removal as undo steps: ours by name, iptables rules together, other commands as they are.
#[must_use]
pub fn rules(removal: &FirewallRemoval) -> Vec<Undo> {
    let actions = removal.groups.iter().flat_map(|group| &group.actions);
    let mut steps = Vec::new();
    for action in actions {
        match undo(removal.backend, action.layer, &action.args) {
            Undo::RemoveIptables { commands: more } => match steps.last_mut() {
                Some(Undo::RemoveIptables { commands }) => commands.extend(more),
                _ => steps.push(Undo::RemoveIptables { commands: more }),
            },
            other => steps.push(other),
        }
    }
    steps
}

/// libvirt 11.3.0: `virFirewallApplyCmd`, src/util/virfirewall.c
fn undo(backend: FirewallBackend, layer: FirewallLayer, words: &[String]) -> Undo {
    let arguments = |first: &[&str]| {
        first.iter().map(|word| (*word).to_owned()).chain(words.iter().cloned()).collect()
    };
    let (program, first): (_, &[&str]) = match (backend, layer) {
        (_, FirewallLayer::Tc) => ("tc", &[]),
        (FirewallBackend::Iptables, FirewallLayer::Ipv4) => ("iptables", &["-w"]),
        (FirewallBackend::Iptables, FirewallLayer::Ipv6) => ("ip6tables", &["-w"]),
        (FirewallBackend::Iptables, FirewallLayer::Ethernet) => ("ebtables", &["--concurrent"]),
        _ if Removal::parse(words).is_ok() => return Undo::RemoveRules { words: words.to_vec() },
        _ => ("nft", &[]),
    };
    let plain = RemovalCommand { program: program.to_owned(), arguments: words.to_vec() };
    if plain.rule().is_some() {
        return Undo::RemoveIptables { commands: vec![plain] };
    }
    Undo::RunRemoval { program: program.to_owned(), arguments: arguments(first) }
}
