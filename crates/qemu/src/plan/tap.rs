//! How the tap of an interface is a port of its bridge, and which rate limits it has.
//!
//! Pure: from the definition, in which the network driver's decisions are noted. What the guest receives is
//! shaped by a tree of one HTB class on the tap; what it sends is policed where the tap hands it to the bridge.
//!
//! libvirt 11.3.0: `virNetDevBandwidthSet`, src/util/virnetdevbandwidth.c; `virNetDevBridgeSetupVlans`,
//! src/util/virnetdevbridge.c; `virNetDevTapAttachBridge`, src/util/virnetdevtap.c

use oxivirt_conf::YesNo;
use oxivirt_conf::bandwidth::{Bandwidth, Rate};
use oxivirt_conf::domain::device::interface::{Interface, InterfaceType, PortOptions};
use oxivirt_conf::network::MacTableManager;
use oxivirt_conf::vlan::{NativeVlanMode, Vlan};
use oxivirt_netlink::{Class, Hook, PortSettings, PortVlan, QueueChange};
use oxivirt_types::mac::MacAddr;

/// Libvirt's unit of rates, in bytes a second.
const KILOBYTES: u64 = 1000;
/// Libvirt's unit of sizes, in bytes.
const KIBIBYTES: u64 = 1024;
/// The class of all that the guest receives.
const CLASS: u16 = 1;
/// Major number of the queue in which flows take turns.
const FLOWS: u16 = 2;

/// A bridge, and how a tap is a port of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct TapPort {
    /// The bridge.
    pub(crate) bridge: String,
    /// Isolation, learning, flooding, VLANs.
    pub(crate) settings: PortSettings,
    /// The address for which the bridge gets an entry, if it learns none.
    pub(crate) entry: Option<MacAddr>,
    /// Whether the port belongs to VLANs, which a bridge has to keep apart.
    pub(crate) has_vlans: bool,
}

/// One change of a tap's queues.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct QueueCommand {
    /// The change.
    pub(crate) change: QueueChange,
    /// What its failure means.
    pub(crate) on_failure: OnFailure,
}

/// What the failure of a command means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum OnFailure {
    /// The limit would not hold, so the guest does not start.
    Fail,
    /// It makes things better, and not every kernel has it.
    Warn,
}

/// The port of an interface that is on a bridge.
pub(crate) fn port(interface: &Interface, mac: MacAddr) -> Option<TapPort> {
    let (source, options, vlan) = match &interface.actual {
        Some(actual) => (actual.source.as_ref()?, actual.port.as_ref(), actual.vlan.as_ref()),
        None if interface.kind == Some(InterfaceType::Bridge) => {
            (interface.source.as_ref()?, interface.port.as_ref(), interface.vlan.as_ref())
        }
        None => return None,
    };
    let mut settings = PortSettings::default();
    if options.is_some_and(is_isolated) {
        settings = settings.with_isolation();
    }
    let learns_nothing = source.mac_table_manager == Some(MacTableManager::Libvirt);
    if learns_nothing {
        settings = settings.without_learning();
    }
    let vlans = vlan.map(vlans).unwrap_or_default();
    let has_vlans = !vlans.is_empty();
    if has_vlans {
        settings = settings.with_vlans(vlans);
    }
    let entry = learns_nothing.then_some(mac);
    Some(TapPort { bridge: source.bridge.clone()?, settings, entry, has_vlans })
}

fn is_isolated(options: &PortOptions) -> bool {
    options.isolated == Some(YesNo::Yes)
}

/// A single tag is that of all the guest's frames, which have none themselves; a trunk's frames keep their
/// tags, but for those of the native VLAN.
fn vlans(vlan: &Vlan) -> Vec<PortVlan> {
    let of = |tag: &oxivirt_conf::vlan::VlanTag| {
        let is_native = !vlan.trunk || tag.native_mode.is_some();
        let is_untagged = is_native && tag.native_mode != Some(NativeVlanMode::Tagged);
        PortVlan { id: tag.id, is_native, is_untagged }
    };
    vlan.tags.iter().map(of).collect()
}

/// The queues of an interface's tap.
pub(crate) fn queues(interface: &Interface) -> Vec<QueueCommand> {
    let bandwidth: Option<&Bandwidth> = match &interface.actual {
        Some(actual) => actual.bandwidth.as_ref(),
        None => interface.bandwidth.as_ref(),
    };
    let inbound = bandwidth.and_then(|bandwidth| bandwidth.inbound).filter(|rate| rate.average > 0);
    let outbound = bandwidth.and_then(|bandwidth| bandwidth.outbound);
    let mut commands = match inbound {
        Some(rate) => receives(&rate),
        // packets wait in the guest's own queue
        None => vec![should(QueueChange::SetNoQueue)],
    };
    commands.extend(outbound.iter().flat_map(sends));
    commands
}

fn receives(rate: &Rate) -> Vec<QueueCommand> {
    let peak = if rate.peak > 0 { rate.peak } else { rate.average };
    let class = Class {
        id: CLASS,
        parent: 0,
        rate: rate.average.saturating_mul(KILOBYTES),
        ceiling: peak.saturating_mul(KILOBYTES),
        burst: (rate.burst > 0).then(|| rate.burst.saturating_mul(KIBIBYTES)),
        quantum: quantum(rate.average),
    };
    vec![
        must(QueueChange::AddTree { default: CLASS }),
        must(QueueChange::AddClass(class)),
        should(QueueChange::AddFairness { class: CLASS, queue: FLOWS }),
        should(QueueChange::AddMark),
    ]
}

fn sends(rate: &Rate) -> [QueueCommand; 2] {
    let hook = Hook::Ingress;
    let size = if rate.burst > 0 { rate.burst } else { rate.average };
    // the kernel counts the bucket in bytes of 32 bits
    let burst = size.min(u64::from(u32::MAX) / KIBIBYTES) * KIBIBYTES;
    let rate = rate.average.saturating_mul(KILOBYTES);
    [must(QueueChange::AddHook(hook)), must(QueueChange::Police { hook, rate, burst })]
}

/// Bytes a class may send in its turn: an eighth of a second of the rate, in full packets.
fn quantum(average: u64) -> u32 {
    const MTU: u64 = 1500;
    let packets = average.saturating_mul(1024) / 8 / MTU;
    u32::try_from(packets.max(1)).unwrap_or(u32::MAX)
}

fn must(change: QueueChange) -> QueueCommand {
    QueueCommand { change, on_failure: OnFailure::Fail }
}

fn should(change: QueueChange) -> QueueCommand {
    QueueCommand { change, on_failure: OnFailure::Warn }
}

#[cfg(test)]
mod tests {
    use oxivirt_conf::domain::DomainDef;

    use super::*;

    const MAC: MacAddr = MacAddr([0x52, 0x54, 0, 1, 2, 3]);

    fn interface(inner: &str) -> Interface {
        let xml = format!(
            "<domain type='qemu'><name>a</name><memory>1</memory><os><type>hvm</type></os><devices>\
             <interface type='bridge'><source bridge='br0'/>{inner}</interface></devices></domain>"
        );
        let def = DomainDef::parse(&xml).unwrap();
        def.devices.unwrap().interfaces.remove(0)
    }

    #[track_caller]
    fn check_queues(inner: &str, expect: &[&str]) {
        let commands = queues(&interface(inner));
        let words: Vec<String> = commands.iter().map(|command| command.change.words("v")).collect();
        assert_eq!(words, expect, "{inner}");
    }

    #[test]
    fn a_guest_receives_by_a_class_and_sends_past_a_policer() {
        check_queues("", &["qdisc add dev v root handle 0: noqueue"]);
        check_queues(
            "<bandwidth><inbound average='1000' peak='5000' burst='5120'/><outbound average='128'/></bandwidth>",
            &[
                "qdisc add dev v root handle 1: htb default 1",
                "class add dev v parent 1: classid 1:1 htb rate 1000kbps ceil 5000kbps burst 5120kb quantum 85",
                "qdisc add dev v parent 1:1 handle 2: sfq perturb 10",
                "filter add dev v parent 1:0 protocol all prio 1 handle 1 fw flowid 1",
                "qdisc add dev v ingress",
                "filter add dev v parent ffff: protocol all u32 match u32 0 0 police rate 128kbps \
                 burst 128kb mtu 64kb drop flowid :1",
            ],
        );
    }

    #[track_caller]
    fn check_port(inner: &str, settings: PortSettings, entry: Option<MacAddr>) {
        let port = port(&interface(inner), MAC).unwrap();
        assert_eq!(port.bridge, "br0");
        assert_eq!((port.settings, port.entry), (settings, entry), "{inner}");
    }

    #[test]
    fn ports_are_isolated_and_belong_to_vlans() {
        let none = PortSettings::default;
        check_port("", none(), None);
        check_port("<port isolated='yes'/>", none().with_isolation(), None);
        let vlan = |id, is_native, is_untagged| PortVlan { id, is_native, is_untagged };
        check_port("<vlan><tag id='7'/></vlan>", none().with_vlans([vlan(7, true, true)]), None);
        check_port(
            "<vlan trunk='yes'><tag id='7'/><tag id='8' nativeMode='untagged'/></vlan>",
            none().with_vlans([vlan(7, false, false), vlan(8, true, true)]),
            None,
        );
        check_port(
            "<vlan trunk='yes'><tag id='7'/><tag id='8' nativeMode='tagged'/></vlan>",
            none().with_vlans([vlan(7, false, false), vlan(8, true, false)]),
            None,
        );
    }

    #[test]
    fn a_bridge_that_learns_nothing_gets_an_entry() {
        let mut interface = interface("");
        let source = interface.source.as_mut().unwrap();
        source.mac_table_manager = Some(MacTableManager::Libvirt);
        let port = port(&interface, MAC).unwrap();
        assert_eq!(port.settings, PortSettings::default().without_learning());
        assert_eq!(port.entry, Some(MAC));
    }
}
