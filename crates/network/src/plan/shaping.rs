//! Rate limits of a network, and rates guaranteed to its ports, as `tc` commands.
//!
//! What guests receive is shaped by a tree of HTB classes on the bridge: 1:1 is the network, 1:2
//! what has no guarantee, 1:3 and on a port each. What guests send is policed at the bridge's ingress.
//!
//! libvirt 11.3.0: `virNetDevBandwidthSet`, `virNetDevBandwidthPlug`, src/util/virnetdevbandwidth.c;
//! tc-htb(8), tc-u32(8)

use std::collections::BTreeMap;
use std::fmt::Write as _;

use oxivirt_conf::bandwidth::Rate;
use oxivirt_conf::network::NetworkDef;
use oxivirt_util::link_name::LinkName;
use oxivirt_util::mac::MacAddr;

use super::Step;
use super::start::PlanError;

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
pub struct Shaping {
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
}

/// One `tc` command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TcCommand {
    /// The words after `tc`, separated by blanks.
    pub line: String,
    /// What its failure means.
    pub on_failure: OnFailure,
}

/// What the failure of a command means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnFailure {
    /// The step fails.
    Fail,
    /// The administrator is told.
    Warn,
    /// Nothing: there was nothing to take away.
    Ignore,
}

/// Class of what has no guarantee.
const DEFAULT_CLASS: u32 = 2;
/// Class ids below are the tree's own.
pub const FIRST_CLASS: u32 = 3;
/// Number that libvirt gives the filter of a port, plus the class id.
const FILTER_BASE: u32 = 800;

/// What a definition wants.
///
/// # Errors
/// [`PlanError`] if the bridge has an impossible name.
pub fn wanted(def: &NetworkDef, floors: &Floors) -> Result<Option<Shaping>, PlanError> {
    let Some(bandwidth) = &def.bandwidth else { return Ok(None) };
    let inbound = bandwidth.inbound.filter(|rate| rate.average > 0);
    let outbound = bandwidth.outbound;
    let (Some(bridge), true) = (&def.bridge.name, inbound.is_some() || outbound.is_some()) else {
        return Ok(None);
    };
    Ok(Some(Shaping {
        link: LinkName::new(bridge)?,
        is_of_host: !def.forward.mode.owns_bridge(),
        inbound,
        outbound,
        floors: floors.clone(),
    }))
}

/// The steps from one set of limits to another.
#[must_use]
pub fn difference(have: Option<&Shaping>, want: Option<&Shaping>) -> Vec<Step> {
    let (shaping, commands) = match (have, want) {
        (None, None) => return Vec::new(),
        (Some(have), None) => (have, clear(&have.link)),
        (None, Some(want)) => (want, set_up(want)),
        (Some(have), Some(want)) => {
            let is_same = (have.inbound, have.outbound) == (want.inbound, want.outbound);
            let commands = if is_same {
                change_floors(have, want)
            } else {
                let mut commands = clear(&want.link);
                commands.extend(set_up(want));
                commands
            };
            (want, commands)
        }
    };
    if commands.is_empty() {
        return Vec::new();
    }
    let (link, is_of_host) = (shaping.link.clone(), shaping.is_of_host);
    vec![Step::Shape { link, is_of_host, commands }]
}

fn must(line: String) -> TcCommand {
    TcCommand { line, on_failure: OnFailure::Fail }
}

/// A queue or filter that makes the tree better, and that not every kernel has.
fn should(line: String) -> TcCommand {
    TcCommand { line, on_failure: OnFailure::Warn }
}

fn may(line: String) -> TcCommand {
    TcCommand { line, on_failure: OnFailure::Ignore }
}

/// Takes everything away.
#[must_use]
pub fn clear(link: &LinkName) -> Vec<TcCommand> {
    vec![may(format!("qdisc del dev {link} root")), may(format!("qdisc del dev {link} ingress"))]
}

fn set_up(want: &Shaping) -> Vec<TcCommand> {
    let link = &want.link;
    let mut commands = Vec::new();
    if let Some(rate) = &want.inbound {
        let quantum = quantum(rate.average);
        // A tree that is there makes way: nobody but the network has a claim to it.
        commands.push(may(format!("qdisc del dev {link} root")));
        commands.push(must(format!("qdisc add dev {link} root handle 1: htb default 2")));
        commands.push(must(format!(
            "class add dev {link} parent 1: classid 1:1 htb rate {}kbps ceil {}kbps quantum {quantum}",
            rate.average,
            ceiling(rate),
        )));
        let mut line = format!(
            "class add dev {link} parent 1:1 classid 1:{DEFAULT_CLASS} htb rate {}kbps",
            rate.average
        );
        if rate.peak > 0 {
            let _ = write!(line, " ceil {}kbps", rate.peak);
        }
        if rate.burst > 0 {
            let _ = write!(line, " burst {}kb", rate.burst);
        }
        let _ = write!(line, " quantum {quantum}");
        commands.push(must(line));
        commands.push(should(format!(
            "qdisc add dev {link} parent 1:{DEFAULT_CLASS} handle 2: sfq perturb 10"
        )));
        commands.push(should(format!(
            "filter add dev {link} parent 1:0 protocol all prio 1 handle 1 fw flowid 1"
        )));
        for (&class, floor) in &want.floors {
            commands.extend(plug(link, rate, class, floor));
        }
        if !want.floors.is_empty() {
            commands.push(share(link, rate, &want.floors));
        }
    }
    if let Some(rate) = &want.outbound {
        commands.push(may(format!("qdisc del dev {link} ingress")));
        commands.push(must(format!("qdisc add dev {link} ingress")));
        // The kernel counts the bucket in bytes of 32 bits.
        let burst =
            if rate.burst > 0 { rate.burst } else { rate.average.min(u64::from(u32::MAX) / 1024) };
        commands.push(must(format!(
            "filter add dev {link} parent ffff: protocol all u32 match u32 0 0 \
             police rate {}kbps burst {burst}kb mtu 64kb drop flowid :1",
            rate.average
        )));
    }
    commands
}

fn change_floors(have: &Shaping, want: &Shaping) -> Vec<TcCommand> {
    let (link, Some(rate)) = (&want.link, &want.inbound) else { return Vec::new() };
    let mut commands = Vec::new();
    for (class, floor) in &have.floors {
        if want.floors.get(class).is_none_or(|other| other.mac != floor.mac) {
            commands.extend(unplug(link, *class));
        }
    }
    for (&class, floor) in &want.floors {
        match have.floors.get(&class).filter(|old| old.mac == floor.mac) {
            None => commands.extend(plug(link, rate, class, floor)),
            Some(old) if old != floor => {
                commands.push(must(class_line("change", link, rate, class, floor)));
            }
            Some(_) => {}
        }
    }
    if !commands.is_empty() {
        commands.push(share(link, rate, &want.floors));
    }
    commands
}

/// A class of its own for a port.
fn plug(link: &LinkName, rate: &Rate, class: u32, floor: &Floor) -> [TcCommand; 3] {
    let [a, b, c, d, e, f] = floor.mac.0;
    [
        must(class_line("add", link, rate, class, floor)),
        should(format!("qdisc add dev {link} parent 1:{class:x} handle {class:x}: sfq perturb 10")),
        must(format!(
            "filter add dev {link} protocol ip prio 2 handle 800::{} u32 \
             match u16 0x0800 0xffff at -2 match u32 0x{c:02x}{d:02x}{e:02x}{f:02x} 0xffffffff at -12 \
             match u16 0x{a:02x}{b:02x} 0xffff at -14 flowid 1:{class:x}",
            FILTER_BASE + class
        )),
    ]
}

fn class_line(verb: &str, link: &LinkName, rate: &Rate, class: u32, floor: &Floor) -> String {
    let parent = if verb == "add" { " parent 1:1" } else { "" };
    format!(
        "class {verb} dev {link}{parent} classid 1:{class:x} htb rate {}kbps ceil {}kbps quantum {}",
        floor.rate,
        ceiling(rate),
        quantum(floor.average)
    )
}

fn unplug(link: &LinkName, class: u32) -> [TcCommand; 3] {
    [
        may(format!("qdisc del dev {link} handle {class:x}:")),
        may(format!("filter del dev {link} prio 2 handle 800::{} u32", FILTER_BASE + class)),
        may(format!("class del dev {link} classid 1:{class:x}")),
    ]
}

/// What the guarantees leave for everybody else.
fn share(link: &LinkName, rate: &Rate, floors: &Floors) -> TcCommand {
    let sum = floors.values().map(|floor| floor.rate).sum();
    let ceiling = ceiling(rate);
    should(format!(
        "class change dev {link} classid 1:{DEFAULT_CLASS} htb rate {}kbps ceil {ceiling}kbps quantum {}",
        ceiling.saturating_sub(sum).max(1),
        quantum(rate.average)
    ))
}

fn ceiling(rate: &Rate) -> u64 {
    if rate.peak > 0 { rate.peak } else { rate.average }
}

/// Bytes a class may send in its turn: an eighth of a second of the rate, in full packets.
///
/// libvirt 11.3.0: `virNetDevBandwidthCmdAddOptimalQuantum`
fn quantum(average: u64) -> u64 {
    const MTU: u64 = 1500;
    (average.saturating_mul(1024) / 8 / MTU).clamp(1, u64::from(u32::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    const NET: &str = "<network><name>n</name><bridge name='b'/>
      <bandwidth><inbound average='1000' peak='5000' burst='5120'/><outbound average='128'/></bandwidth></network>";

    fn shaping(floors: &[(u32, u64)]) -> Shaping {
        let floor = |&(class, rate): &(u32, u64)| {
            let mac = MacAddr([0x52, 0x54, 0, 1, 2, u8::try_from(class).unwrap()]);
            (class, Floor { mac, rate, average: 1500 })
        };
        let floors = floors.iter().map(floor).collect();
        wanted(&NetworkDef::parse(NET).unwrap(), &floors).unwrap().unwrap()
    }

    #[track_caller]
    fn check(have: Option<&Shaping>, want: Option<&Shaping>, expect: &[&str]) {
        let steps = difference(have, want);
        let lines = steps.iter().flat_map(|step| match step {
            Step::Shape { commands, .. } => commands.clone(),
            _ => Vec::new(),
        });
        let lines: Vec<_> = lines.map(|command| command.line).collect();
        assert_eq!(lines, expect);
    }

    #[test]
    fn both_directions() {
        check(
            None,
            Some(&shaping(&[])),
            &[
                "qdisc del dev b root",
                "qdisc add dev b root handle 1: htb default 2",
                "class add dev b parent 1: classid 1:1 htb rate 1000kbps ceil 5000kbps quantum 85",
                "class add dev b parent 1:1 classid 1:2 htb rate 1000kbps ceil 5000kbps burst 5120kb quantum 85",
                "qdisc add dev b parent 1:2 handle 2: sfq perturb 10",
                "filter add dev b parent 1:0 protocol all prio 1 handle 1 fw flowid 1",
                "qdisc del dev b ingress",
                "qdisc add dev b ingress",
                "filter add dev b parent ffff: protocol all u32 match u32 0 0 police rate 128kbps burst 128kb mtu 64kb drop flowid :1",
            ],
        );
        check(Some(&shaping(&[])), None, &["qdisc del dev b root", "qdisc del dev b ingress"]);
        check(Some(&shaping(&[])), Some(&shaping(&[])), &[]);
    }

    #[test]
    fn guarantees_come_change_and_go() {
        let (none, one, more) = (shaping(&[]), shaping(&[(10, 500)]), shaping(&[(10, 700)]));
        check(
            Some(&none),
            Some(&one),
            &[
                "class add dev b parent 1:1 classid 1:a htb rate 500kbps ceil 5000kbps quantum 128",
                "qdisc add dev b parent 1:a handle a: sfq perturb 10",
                "filter add dev b protocol ip prio 2 handle 800::810 u32 match u16 0x0800 0xffff at -2 \
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
                "filter del dev b prio 2 handle 800::810 u32",
                "class del dev b classid 1:a",
                "class change dev b classid 1:2 htb rate 5000kbps ceil 5000kbps quantum 85",
            ],
        );
    }
}
