//! Traffic control of a bridge: rate limits of a network, rates guaranteed to its ports, and checksums of
//! DHCP answers.
//!
//! What guests receive is shaped by a tree of HTB classes on the bridge: 1:1 is the network, 1:2
//! what has no guarantee, 1:3 and on a port each. What guests send is policed at the bridge's ingress.
//!
//! None of it is in the saved removal: it goes with the bridge, or as what it is when libvirt destroys a
//! network; and a libvirt that starts executes the saved removal, after which it sets no limits again.
//!
//! libvirt 11.3.0: `virNetDevBandwidthSet`, `virNetDevBandwidthPlug`, src/util/virnetdevbandwidth.c;
//! tc-htb(8), tc-u32(8)

use std::collections::BTreeMap;

use oxivirt_conf::bandwidth::Rate;
use oxivirt_conf::status::FirewallBackend;
use oxivirt_netlink::{Class, Hook, QueueChange};
use oxivirt_types::link_name::LinkName;
use oxivirt_types::mac::MacAddr;

use super::rules::Firewall;
use super::{Desired, Links, NetworkState, PlanInputs};
use crate::apply::HostError;
use crate::apply::host::Queueing;
use crate::network::Network;
use crate::plan::iptables::{Served, Services};
use crate::plan::{Step, Undo};

/// Guarantees by class id.
pub type Floors = BTreeMap<u32, Floor>;

/// A rate that is guaranteed to a port.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Floor {
    /// The guest's address.
    pub mac: MacAddr,
    /// The guarantee, in kilobytes per second.
    pub rate: u64,
    /// The port's average rate, in kilobytes per second; 0 if it has none.
    pub average: u64,
}

/// Limits of a bridge.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Qos {
    /// The bridge.
    pub link: LinkName,
    /// Whether the bridge is the host's and stays when the network stops.
    pub is_of_host: bool,
    /// What guests receive, all together.
    pub inbound: Option<Rate>,
    /// What guests send, all together.
    pub outbound: Option<Rate>,
    /// Guarantees.
    pub floors: Floors,
    /// Whether DHCP answers get their checksums in software: some DHCP clients look at packets before
    /// the card has filled them in.
    pub fills_checksums: bool,
}

impl Qos {
    /// Whether there is a tree of classes for it.
    #[must_use]
    pub fn has_tree(&self) -> bool {
        self.inbound.is_some()
    }

    /// Where its filters see packets that no queue holds, if it has any.
    #[must_use]
    pub fn hook(&self) -> Option<Hook> {
        match (self.fills_checksums, self.outbound) {
            (true, _) => Some(Hook::Both),
            (false, Some(_)) => Some(Hook::Ingress),
            (false, None) => None,
        }
    }
}

/// One change of the bridge's queues.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QueueCommand {
    /// The change.
    pub change: QueueChange,
    /// What its failure means.
    pub on_failure: OnFailure,
}

/// What the failure of a command means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnFailure {
    /// The step fails.
    Fail,
    /// It is logged as a warning.
    Warn,
    /// Nothing: there was nothing to take away.
    Ignore,
}

/// Class of the whole network.
const NETWORK_CLASS: u16 = 1;
/// Class of what has no guarantee.
const DEFAULT_CLASS: u16 = 2;
/// Class ids below are the tree's own.
pub const FIRST_CLASS: u32 = 3;
/// Number that libvirt gives the filter of a port, plus the class id; in decimal digits that tc reads as
/// hexadecimal ones.
const FILTER_BASE: u32 = 800;
/// Libvirt's unit of rates, in bytes a second.
const KILOBYTES: u64 = 1000;
/// Libvirt's unit of sizes, in bytes.
const KIBIBYTES: u64 = 1024;

pub(super) fn desired(network: &Network, inputs: &PlanInputs<'_>) -> Desired<Option<Qos>> {
    wanted(network, inputs.floors, inputs.firewall)
}

/// The limits of a definition; an error if the bridge has an impossible name.
fn wanted(network: &Network, floors: &Floors, firewall: Firewall<'_>) -> Desired<Option<Qos>> {
    let bandwidth = network.bandwidth.as_ref();
    let inbound = bandwidth.and_then(|bandwidth| bandwidth.inbound).filter(|rate| rate.average > 0);
    let outbound = bandwidth.and_then(|bandwidth| bandwidth.outbound);
    // For iptables it is one of the rules.
    let fills_checksums = firewall.backend == FirewallBackend::Nftables
        && network.policy().has_rules()
        && Services::of(network, firewall.has_checksum).checksum == Served::Yes;
    if inbound.is_none() && outbound.is_none() && !fills_checksums {
        return Ok(None);
    }
    let Some(bridge) = network.checked_bridge()? else { return Ok(None) };
    Ok(Some(Qos {
        link: bridge.clone(),
        is_of_host: !network.policy().owns_bridge(),
        inbound,
        outbound,
        floors: floors.clone(),
        fills_checksums,
    }))
}

pub(super) async fn observe<H: Queueing>(
    host: &H,
    links: &Links<'_>,
    wanted: &[&NetworkState],
    found: &mut [NetworkState],
) -> Result<(), HostError> {
    if wanted.iter().all(|want| want.qos.is_none()) {
        return Ok(());
    }
    let queues = host.queues().await?;
    for (want, found) in wanted.iter().zip(found) {
        let Some(want) = &want.qos else { continue };
        let Some(link) = links.get(want.link.as_str()) else { continue };
        let queues = queues.get(&link.index).copied().unwrap_or_default();
        let is_there = (!want.has_tree() || queues.has_tree)
            && (want.hook().is_none() || queues.hook == want.hook());
        found.qos = is_there.then(|| want.clone());
    }
    Ok(())
}

/// The steps from one set of limits to another.
#[must_use]
pub(super) fn diff(have: Option<&Qos>, want: Option<&Qos>) -> Vec<Step> {
    let (limits, commands) = match (have, want) {
        (None, None) => return Vec::new(),
        (Some(have), None) => (have, clear(have)),
        (None, Some(want)) => (want, set_up(want)),
        (Some(have), Some(want)) => {
            let parts = |qos: &Qos| (qos.inbound, qos.outbound, qos.fills_checksums);
            let commands = if parts(have) == parts(want) {
                change_floors(have, want)
            } else {
                let mut commands = clear(have);
                commands.extend(set_up(want));
                commands
            };
            (want, commands)
        }
    };
    if commands.is_empty() {
        return Vec::new();
    }
    let (link, is_of_host) = (limits.link.clone(), limits.is_of_host);
    vec![Step::ChangeQueues { link, is_of_host, commands }]
}

fn must(change: QueueChange) -> QueueCommand {
    QueueCommand { change, on_failure: OnFailure::Fail }
}

/// A queue or filter that makes things better, and that not every kernel has.
fn should(change: QueueChange) -> QueueCommand {
    QueueCommand { change, on_failure: OnFailure::Warn }
}

fn may(change: QueueChange) -> QueueCommand {
    QueueCommand { change, on_failure: OnFailure::Ignore }
}

/// Takes away what is there.
fn clear(have: &Qos) -> Vec<QueueCommand> {
    let tree = have.has_tree().then(|| may(QueueChange::DeleteTree));
    let hook = have.hook().map(|hook| may(QueueChange::DeleteHook(hook)));
    tree.into_iter().chain(hook).collect()
}

/// Removes limits from a bridge of the host, whichever there are. What another program has hooked into it
/// stays: it is of the other kind.
///
/// libvirt 11.3.0: `virNetDevBandwidthClear`
#[must_use]
pub fn clear_all() -> Vec<QueueCommand> {
    vec![may(QueueChange::DeleteTree), may(QueueChange::DeleteHook(Hook::Ingress))]
}

/// What removes the limits of a bridge of the host; those of an own bridge go with it.
pub(crate) fn undo(network: &Network) -> Option<Undo> {
    let is_of_host = !network.policy().owns_bridge() && network.bandwidth.is_some();
    let link = network.bridge().filter(|_| is_of_host)?.clone();
    Some(Undo::ClearQueues { link })
}

fn set_up(want: &Qos) -> Vec<QueueCommand> {
    let mut commands = Vec::new();
    if let Some(rate) = &want.inbound {
        // A tree that is there is replaced: only the network has a claim to it.
        commands.push(may(QueueChange::DeleteTree));
        commands.push(must(QueueChange::AddTree { default: DEFAULT_CLASS }));
        let network = Class {
            id: NETWORK_CLASS,
            parent: 0,
            rate: rate.average.saturating_mul(KILOBYTES),
            ceiling: ceiling(rate),
            burst: None,
            quantum: quantum(rate.average),
        };
        commands.push(must(QueueChange::AddClass(network)));
        let burst = (rate.burst > 0).then(|| rate.burst.saturating_mul(KIBIBYTES));
        let others = Class { id: DEFAULT_CLASS, parent: NETWORK_CLASS, burst, ..network };
        commands.push(must(QueueChange::AddClass(others)));
        commands
            .push(should(QueueChange::AddFairness { class: DEFAULT_CLASS, queue: DEFAULT_CLASS }));
        commands.push(should(QueueChange::AddMark));
        for (&class, floor) in &want.floors {
            commands.extend(plug(rate, class, floor));
        }
        if !want.floors.is_empty() {
            commands.push(share(rate, &want.floors));
        }
    }
    let Some(hook) = want.hook() else { return commands };
    // On a bridge of its own a network has the only claim.
    let goes = |kind: &Hook| !want.is_of_host || *kind == hook;
    let kinds = [Hook::Ingress, Hook::Both].into_iter().filter(goes);
    commands.extend(kinds.map(|kind| may(QueueChange::DeleteHook(kind))));
    // Missing checksums are hardly noticed; a network whose limit does not hold must not start.
    let needed = if want.outbound.is_some() { must } else { should };
    commands.push(needed(QueueChange::AddHook(hook)));
    if let Some(rate) = &want.outbound {
        let size = if rate.burst > 0 { rate.burst } else { rate.average };
        // The kernel counts the bucket in bytes of 32 bits.
        let size = size.min(u64::from(u32::MAX) / KIBIBYTES);
        let (rate, burst) = (rate.average.saturating_mul(KILOBYTES), size * KIBIBYTES);
        commands.push(must(QueueChange::Police { hook, rate, burst }));
    }
    if want.fills_checksums {
        commands.push(should(QueueChange::FillChecksums));
    }
    commands
}

fn change_floors(have: &Qos, want: &Qos) -> Vec<QueueCommand> {
    let Some(rate) = &want.inbound else { return Vec::new() };
    let mut commands = Vec::new();
    for (class, floor) in &have.floors {
        if want.floors.get(class).is_none_or(|other| other.mac != floor.mac) {
            commands.extend(unplug(*class));
        }
    }
    for (&class, floor) in &want.floors {
        match have.floors.get(&class).filter(|old| old.mac == floor.mac) {
            None => commands.extend(plug(rate, class, floor)),
            Some(old) if old != floor => {
                commands.push(must(QueueChange::ChangeClass(class_of(rate, class, floor))));
            }
            Some(_) => {}
        }
    }
    if !commands.is_empty() {
        commands.push(share(rate, &want.floors));
    }
    commands
}

/// A class of its own for a port.
fn plug(rate: &Rate, class: u32, floor: &Floor) -> [QueueCommand; 3] {
    let id = minor(class);
    let (number, mac) = (filter(class), floor.mac);
    [
        must(QueueChange::AddClass(class_of(rate, class, floor))),
        should(QueueChange::AddFairness { class: id, queue: id }),
        must(QueueChange::AddDestination { number, mac, class: id }),
    ]
}

fn class_of(rate: &Rate, class: u32, floor: &Floor) -> Class {
    Class {
        id: minor(class),
        parent: NETWORK_CLASS,
        rate: floor.rate.saturating_mul(KILOBYTES),
        ceiling: ceiling(rate),
        burst: None,
        quantum: quantum(floor.average),
    }
}

fn unplug(class: u32) -> [QueueCommand; 3] {
    let id = minor(class);
    [
        may(QueueChange::DeleteFairness { queue: id }),
        may(QueueChange::DeleteDestination { number: filter(class) }),
        may(QueueChange::DeleteClass { id }),
    ]
}

/// Class ids are given out from below, as many as there are ports.
fn minor(class: u32) -> u16 {
    u16::try_from(class).unwrap_or(u16::MAX)
}

fn filter(class: u32) -> u16 {
    let digits = FILTER_BASE.saturating_add(class).to_string();
    u16::from_str_radix(&digits, 16).unwrap_or(u16::MAX)
}

/// What the guarantees leave for all other guests.
fn share(rate: &Rate, floors: &Floors) -> QueueCommand {
    let sum: u64 = floors.values().map(|floor| floor.rate.saturating_mul(KILOBYTES)).sum();
    let ceiling = ceiling(rate);
    should(QueueChange::ChangeClass(Class {
        id: DEFAULT_CLASS,
        parent: NETWORK_CLASS,
        rate: ceiling.saturating_sub(sum).max(KILOBYTES),
        ceiling,
        burst: None,
        quantum: quantum(rate.average),
    }))
}

/// In bytes a second.
fn ceiling(rate: &Rate) -> u64 {
    let rate = if rate.peak > 0 { rate.peak } else { rate.average };
    rate.saturating_mul(KILOBYTES)
}

/// Bytes a class may send in its turn: an eighth of a second of the rate, in full packets.
///
/// libvirt 11.3.0: `virNetDevBandwidthCmdAddOptimalQuantum`
fn quantum(average: u64) -> u32 {
    const MTU: u64 = 1500;
    let packets = average.saturating_mul(1024) / 8 / MTU;
    u32::try_from(packets.max(1)).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NET: &str = "<network><name>n</name><bridge name='b'/>
      <bandwidth><inbound average='1000' peak='5000' burst='5120'/><outbound average='128'/></bandwidth></network>";

    fn qos(floors: &[(u32, u64)]) -> Qos {
        let floor = |&(class, rate): &(u32, u64)| {
            let mac = MacAddr([0x52, 0x54, 0, 1, 2, u8::try_from(class).unwrap()]);
            (class, Floor { mac, rate, average: 1500 })
        };
        let floors = floors.iter().map(floor).collect();
        wanted(&Network::parsed(NET), &floors, Firewall::default()).unwrap().unwrap()
    }

    #[track_caller]
    fn check(have: Option<&Qos>, want: Option<&Qos>, expect: &[&str]) {
        let steps = diff(have, want);
        let lines = steps.iter().flat_map(|step| match step {
            Step::ChangeQueues { commands, .. } => commands.clone(),
            _ => Vec::new(),
        });
        let lines: Vec<_> = lines.map(|command| command.change.words("b")).collect();
        assert_eq!(lines, expect);
    }

    #[test]
    fn both_directions() {
        check(
            None,
            Some(&qos(&[])),
            &[
                "qdisc del dev b root",
                "qdisc add dev b root handle 1: htb default 2",
                "class add dev b parent 1: classid 1:1 htb rate 1000kbps ceil 5000kbps quantum 85",
                "class add dev b parent 1:1 classid 1:2 htb rate 1000kbps ceil 5000kbps burst 5120kb quantum 85",
                "qdisc add dev b parent 1:2 handle 2: sfq perturb 10",
                "filter add dev b parent 1:0 protocol all prio 1 handle 1 fw flowid 1",
                "qdisc del dev b ingress",
                "qdisc del dev b clsact",
                "qdisc add dev b ingress",
                "filter add dev b parent ffff: protocol all u32 match u32 0 0 police rate 128kbps burst 128kb mtu 64kb drop flowid :1",
            ],
        );
        check(Some(&qos(&[])), None, &["qdisc del dev b root", "qdisc del dev b ingress"]);
        check(Some(&qos(&[])), Some(&qos(&[])), &[]);
    }

    #[test]
    fn guarantees_come_change_and_go() {
        let (none, one, more) = (qos(&[]), qos(&[(10, 500)]), qos(&[(10, 700)]));
        check(
            Some(&none),
            Some(&one),
            &[
                "class add dev b parent 1:1 classid 1:a htb rate 500kbps ceil 5000kbps quantum 128",
                "qdisc add dev b parent 1:a handle a: sfq perturb 10",
                "filter add dev b parent 1: protocol ip prio 2 handle 800::810 u32 match u16 0x0800 0xffff at -2 \
                 match u32 0x0001020a 0xffffffff at -12 match u16 0x5254 0xffff at -14 flowid 1:a",
                "class change dev b classid 1:2 htb rate 4500kbps ceil 5000kbps quantum 85",
            ],
        );
        check(
            Some(&one),
            Some(&more),
            &[
                "class change dev b classid 1:a htb rate 700kbps ceil 5000kbps quantum 128",
                "class change dev b classid 1:2 htb rate 4300kbps ceil 5000kbps quantum 85",
            ],
        );
        check(
            Some(&more),
            Some(&none),
            &[
                "qdisc del dev b handle a:",
                "filter del dev b parent 1: prio 2 handle 800::810 u32",
                "class del dev b classid 1:a",
                "class change dev b classid 1:2 htb rate 5000kbps ceil 5000kbps quantum 85",
            ],
        );
    }
}
