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
use oxivirt_nft::{Passage, Removal, libvirt};

use super::facts::Zones;
use super::iptables::{self, Services};
use super::{Plan, RemovalCommand, Rules, Undo, dnsmasq, nftables, start};
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
pub fn plan(def: &NetworkDef, rules: Vec<Undo>, layout: &Layout, keep: Keep) -> Plan<Undo> {
    let mut plan = Plan::default();
    let remove = |path| Undo::RemoveFile { path };
    let name = &def.name;
    plan.then([layout.status_file(name), layout.record(name), layout.last_heal(name)].map(remove));
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
    // libvirt's rules are told by the bridge's index; all others outlive the bridge.
    let (mut lane, rules): (Vec<_>, Vec<_>) =
        rules.into_iter().partition(|undo| matches!(undo, Undo::RemoveLibvirtRules { .. }));
    lane.push(delete);
    lane.extend(rules);
    plan.then_parallel([stop.into_iter().collect(), lane]);
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

/// What takes a bridge out of the zone that firewalld has it in.
#[must_use]
pub fn zone(def: &NetworkDef, firewalld: Option<&Zones>) -> Option<Undo> {
    let link = def.bridge.name.clone()?;
    start::zone(def, firewalld).ok().flatten().map(|_| Undo::LeaveZone { link })
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

/// What removes the rules of a running network, by the removal that its status file tells.
///
/// libvirt's nftables rules are not deleted by the saved numbers, which may be those of others by now.
/// Its `tc` filters go with the bridge. If it lost the removal, as it does with many updates, its rules
/// may be there in either backend.
#[must_use]
pub fn known_rules(def: &NetworkDef, saved: Option<&FirewallRemoval>) -> Vec<Undo> {
    let layers = vec![0; start::translated(def).len()];
    let traffic = start::traffic(def, &layers).ok().flatten();
    let theirs = traffic.as_ref().map(|traffic| {
        let subnets = traffic.subnets.iter().map(|subnet| subnet.net.to_string());
        let (bridge, subnets) = (traffic.bridge.to_string(), subnets.collect());
        Undo::RemoveLibvirtRules { bridge, subnets }
    });
    let Some(saved) = saved else {
        let old = traffic.map(|traffic| {
            let rules = iptables::rules(&traffic, Services::of(def, true));
            Rules::Iptables(rules).removal()
        });
        return theirs.into_iter().chain(old.iter().flat_map(rules)).collect();
    };
    let of_bridge = |arguments: &[String]| {
        let bridge = def.bridge.name.as_deref().filter(|_| def.forward.mode.owns_bridge());
        arguments.windows(2).any(
            |pair| matches!(pair, [dev, name] if dev == "dev" && Some(name.as_str()) == bridge),
        )
    };
    let mut steps = Vec::new();
    for undo in rules(saved) {
        match &undo {
            Undo::RunRemoval { program, arguments } if is_by_handle(program, arguments) => {
                if let Some(theirs) = &theirs
                    && !steps.contains(theirs)
                {
                    steps.push(theirs.clone());
                }
            }
            Undo::RunRemoval { program, arguments } if program == "tc" && of_bridge(arguments) => {}
            _ => steps.push(undo),
        }
    }
    steps
}

/// Whether a command deletes something of libvirt's tables by its number.
fn is_by_handle(program: &str, arguments: &[String]) -> bool {
    let words: Vec<_> = arguments.iter().map(String::as_str).collect();
    program == "nft"
        && matches!(words.as_slice(), ["delete", _, "ip" | "ip6", libvirt::TABLE, .., "handle", _])
}

/// The saved removal as undo steps: ours by name, iptables rules together, other commands as they are.
#[must_use]
pub fn rules(removal: &FirewallRemoval) -> Vec<Undo> {
    let actions = removal.groups.iter().flat_map(|group| &group.actions);
    let mut steps = Vec::new();
    // Our own removal does that without being told.
    let is_ours = |args: &Vec<String>| *args == nftables::closing();
    for action in actions.filter(|action| !is_ours(&action.args)) {
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
        _ if Passage::of_removal(words).is_some() => {
            return Undo::RemovePassage { words: words.to_vec() };
        }
        _ => ("nft", &[]),
    };
    let plain = RemovalCommand { program: program.to_owned(), arguments: words.to_vec() };
    if plain.rule().is_some() {
        return Undo::RemoveIptables { commands: vec![plain] };
    }
    Undo::RunRemoval { program: program.to_owned(), arguments: arguments(first) }
}
