//! Guests whose taps are off their bridges are plugged in again.
//!
//! A network that is destroyed and started again has a new bridge and no ports; another program may take a tap
//! off its bridge. A tap without its bridge, a bridge that taps wait for and a network that starts are triggers
//! of a pass; what a guest has is always read again.
//!
//! libvirt 11.3.0 does it when the daemon starts only: `qemuProcessNotifyNets`, src/qemu/qemu_process.c

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Weak};
use std::time::Duration;

use futures::{Stream, StreamExt as _, stream};
use oxivirt::{
    ErrorCode, LifecycleEvent, NetworkEvent, NetworkEventId, PortCreateFlags, PortRef, Result,
};
use oxivirt_conf::domain::device::interface::{Interface, InterfaceType};
use oxivirt_conf::port::NetworkPortDef;
use oxivirt_engine::lock;
use oxivirt_engine::reconcile::{self, Pass, Reconciler, Timing};
use oxivirt_netlink::Link;
use oxivirt_netlink::monitor::{Change, Monitor};
use oxivirt_sys::chain;
use tokio::sync::mpsc;
use tokio::task::AbortHandle;
use uuid::Uuid;

use crate::error;
use crate::guest::Guest;
use crate::plan::tap::{self, TapPort};
use crate::registry::{Entry, View};
use crate::resolve::{connect_port, link_name, mac, port_def};
use crate::shared::Shared;

/// Longer than the network driver's: it attaches the ports of a bridge that it repairs.
const TIMING: Timing = Timing { debounce: Duration::from_millis(100), ..Timing::DEFAULT };

/// Begins to watch; until the handle is used, or the driver or its runtime is gone.
pub(crate) async fn spawn(shared: &Arc<Shared>) -> Option<AbortHandle> {
    let monitor = match Monitor::open() {
        Ok(monitor) => monitor,
        Err(error) => {
            tracing::warn!(%error, "cannot watch links: guests that lose their bridge are not plugged in again");
            return None;
        }
    };
    let (sender, mut starts) = mpsc::unbounded_channel();
    if let Some(networks) = &shared.host.networks {
        let sender = sender.clone();
        let callback = Box::new(move |event: &NetworkEvent| {
            if let NetworkEvent::Lifecycle { event: LifecycleEvent::Started, .. } = event {
                // without receiver the driver is gone
                drop(sender.send(Trigger::Everything));
            }
        });
        let registered = networks.network_event_register(None, NetworkEventId::Lifecycle, callback);
        if let Err(error) = registered.await {
            tracing::warn!(%error, "cannot register for networks that start");
        }
    }
    if shared.guests.all().iter().any(|entry| entry.view().is_active()) {
        // what happened while no driver ran
        drop(sender.send(Trigger::Everything));
    }
    let starts = stream::poll_fn(move |context| starts.poll_recv(context));
    let notifications = stream::select(Box::pin(changes(monitor)), starts);
    let plugger = Plugger {
        shared: Arc::downgrade(shared),
        _sender: sender,
        wanted: BTreeSet::new(),
        reported: BTreeSet::new(),
    };
    let task = lock::checked(reconcile::run(plugger, notifications, TIMING));
    Some(tokio::spawn(task).abort_handle())
}

fn changes(monitor: Monitor) -> impl Stream<Item = Trigger> {
    let batches = stream::unfold(monitor, |mut monitor| async {
        match monitor.changes().await {
            Ok(changes) => Some((changes, monitor)),
            Err(error) => {
                tracing::error!(%error, "cannot watch links any longer");
                None
            }
        }
    });
    batches.flat_map(|changes| stream::iter(changes.into_iter().filter_map(Trigger::of)))
}

/// What may have taken a tap off its bridge, or brought the bridge.
enum Trigger {
    /// This link was created or changed.
    Link { name: String, has_controller: bool },
    /// Anything may have happened.
    Everything,
}

impl Trigger {
    fn of(change: Change) -> Option<Self> {
        match change {
            Change::Link { name, controller, .. } => {
                Some(Self::Link { name, has_controller: controller.is_some() })
            }
            Change::Overflow => Some(Self::Everything),
            _ => None,
        }
    }
}

/// The loop's state.
struct Plugger {
    shared: Weak<Shared>,
    /// Keeps the stream of networks that start open where there are no networks.
    _sender: mpsc::UnboundedSender<Trigger>,
    /// Bridges that taps wait for.
    wanted: BTreeSet<String>,
    /// Taps whose failure is logged already.
    reported: BTreeSet<String>,
}

/// Whether guests have to be looked at.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum Dirty {
    #[default]
    No,
    Yes,
}

impl Reconciler for Plugger {
    type Notification = Trigger;
    type Dirty = Dirty;

    fn note(&mut self, trigger: Trigger, dirty: &mut Dirty) {
        let is_concerned = match trigger {
            Trigger::Everything => true,
            Trigger::Link { name, .. } if self.wanted.contains(&name) => true,
            Trigger::Link { has_controller: true, .. } => false,
            Trigger::Link { name, .. } => {
                let Some(shared) = self.shared.upgrade() else { return };
                let entries = shared.guests.all();
                entries.iter().any(|entry| has_tap(&entry.view(), &name))
            }
        };
        if is_concerned {
            *dirty = Dirty::Yes;
        }
    }

    fn is_clean(&self, dirty: &Dirty) -> bool {
        *dirty == Dirty::No
    }

    async fn pass(&mut self, _: Dirty) -> Option<Pass<Dirty>> {
        let shared = self.shared.upgrade()?;
        let mut pass = Pass::default();
        let links = match shared.host.links.links().await {
            Ok(links) => links,
            Err(error) => {
                let error = chain::text(&error);
                tracing::warn!(
                    error,
                    "cannot list links: guests without bridge are not plugged in again"
                );
                return Some(pass);
            }
        };
        let links: BTreeMap<&str, &Link> =
            links.iter().map(|link| (link.name.as_str(), link)).collect();
        self.wanted.clear();
        for entry in shared.guests.all() {
            let loose = loose(&entry.view(), &links);
            if loose.is_empty() {
                continue;
            }
            // An operation may be about to end the guest.
            let Some(_operation) = entry.try_lock() else {
                pass.retry = Dirty::Yes;
                continue;
            };
            for tap in loose {
                match shared.plug_in(&entry, &tap).await {
                    Ok(Plugged::Yes { bridge }) => {
                        pass.has_repaired = true;
                        self.reported.remove(&tap);
                        let domain = entry.view().reference().name;
                        tracing::info!(domain, tap, bridge, "guest plugged in again");
                    }
                    Ok(Plugged::Waits { bridge }) => drop(self.wanted.insert(bridge)),
                    Ok(Plugged::No) => {}
                    Err(error) => {
                        if self.reported.insert(tap.clone()) {
                            let domain = entry.view().reference().name;
                            tracing::warn!(domain, tap, %error, "cannot plug a guest in again");
                        }
                    }
                }
            }
        }
        Some(pass)
    }
}

fn interfaces(guest: &Guest) -> impl Iterator<Item = &Interface> {
    guest.def().devices.iter().flat_map(|devices| &devices.interfaces)
}

fn tap_of(interface: &Interface) -> Option<&str> {
    interface.target.as_ref()?.dev.as_deref()
}

fn has_tap(view: &View, name: &str) -> bool {
    view.is_active() && interfaces(&view.def).any(|interface| tap_of(interface) == Some(name))
}

/// The taps of a guest that are there and not on their bridges.
fn loose(view: &View, links: &BTreeMap<&str, &Link>) -> Vec<String> {
    let is_running =
        |view: &View| view.running.as_ref().is_some_and(|running| running.live.ending().is_none());
    if !is_running(view) {
        return Vec::new();
    }
    let taps = interfaces(&view.def).filter_map(|interface| {
        let TapPort { bridge, .. } = tap::port(interface, mac(interface))?;
        let name = tap_of(interface)?;
        let tap = links.get(name)?;
        let bridge = links.get(bridge.as_str()).map(|bridge| bridge.index);
        (bridge.is_none() || tap.controller != bridge).then(|| name.to_owned())
    });
    taps.collect()
}

/// What became of a tap.
enum Plugged {
    /// It is a port of its bridge.
    Yes { bridge: String },
    /// Its bridge is not there.
    Waits { bridge: String },
    /// It is no longer the guest's.
    No,
}

impl Shared {
    /// Plugs a tap of a guest into its bridge; the caller holds the guest's lock.
    async fn plug_in(&self, entry: &Arc<Entry>, tap: &str) -> Result<Plugged> {
        let view = entry.view();
        let Some(running) = view.running.clone() else { return Ok(Plugged::No) };
        let at = interfaces(&view.def).position(|interface| tap_of(interface) == Some(tap));
        let Some(at) = at else { return Ok(Plugged::No) };
        let Some(old) = interfaces(&view.def).nth(at) else { return Ok(Plugged::No) };
        let waits = |interface: &Interface| {
            let port = tap::port(interface, mac(interface));
            port.map_or(Plugged::No, |port| Plugged::Waits { bridge: port.bridge })
        };
        let Some(interface) = self.reconnected(&view.def, old).await? else {
            return Ok(waits(old));
        };
        let Some(port) = tap::port(&interface, mac(&interface)) else { return Ok(Plugged::No) };
        let bridge = link_name(&port.bridge)?;
        let found = self.host.links.link(&bridge).await.ok().flatten();
        if found.is_none() {
            return Ok(waits(&interface));
        }
        let attached = self.host.attach(&link_name(tap)?, &bridge, &port).await;
        attached.map_err(|error| error::host(&error))?;
        if interface != *old {
            entry.update(|view| {
                let def = view.def.with(|def| {
                    let mut interfaces =
                        def.devices.iter_mut().flat_map(|devices| &mut devices.interfaces);
                    if let Some(old) = interfaces.nth(at) {
                        *old = interface;
                    }
                });
                Some(View { def, ..view.clone() })
            });
            self.save(entry, &running.live).await;
        }
        Ok(Plugged::Yes { bridge: port.bridge })
    }

    /// An interface with its place on its network, which is made again if the network has forgotten it;
    /// `None` if the network does not run.
    async fn reconnected(&self, guest: &Guest, interface: &Interface) -> Result<Option<Interface>> {
        let mut interface = interface.clone();
        if interface.kind != Some(InterfaceType::Network) {
            return Ok(Some(interface));
        }
        let Some(networks) = self.host.networks.as_deref() else { return Ok(None) };
        let source = interface.source.clone().unwrap_or_default();
        let Ok(network) =
            networks.network_lookup_by_name(source.network.as_deref().unwrap_or_default()).await
        else {
            return Ok(None);
        };
        if !networks.network_is_active(&network).await? {
            return Ok(None);
        }
        let uuid = source.portid.as_deref().and_then(oxivirt_conf::parse_uuid);
        let uuid = uuid.unwrap_or_else(Uuid::new_v4);
        let port = PortRef { network, uuid };
        let xml = match networks.network_port_xml_desc(&port, 0).await {
            Err(error) if error.code() == ErrorCode::NO_NETWORK_PORT => {
                let xml = port_def(guest, &interface, uuid).format();
                let flags = PortCreateFlags::NONE;
                networks.network_port_create_xml(&port.network, &xml, flags).await?;
                networks.network_port_xml_desc(&port, 0).await?
            }
            found => found?,
        };
        let port = NetworkPortDef::parse(&xml).map_err(|error| error::parse(&error))?;
        connect_port(&mut interface, port)?;
        Ok(Some(interface))
    }
}

#[cfg(test)]
mod tests {
    use oxivirt::{DomainStatus, Lifetime};
    use oxivirt_conf::domain::DomainDef;
    use oxivirt_netlink::{LinkKind, PortSettings};
    use oxivirt_types::domain::{DomainState, ShutoffReason};

    use super::*;
    use crate::live::Live;
    use crate::registry::Running;

    fn view() -> View {
        let xml = "<domain type='qemu'><name>a</name><uuid>c7a5fdbd-edaf-9455-926a-d65c16db1809</uuid>\
            <memory>1</memory><os><type>hvm</type></os><devices>\
            <interface type='bridge'><source bridge='br0'/><target dev='vnet0'/></interface>\
            <interface type='user'/></devices></domain>";
        let guest = Guest::new(DomainDef::parse(xml).unwrap()).unwrap();
        let status = DomainStatus { state: DomainState::Running, reason: 1 };
        let running = Some(Running::starting(Arc::new(Live::new(1, status))));
        View { running, ..View::inactive(guest, Lifetime::Transient) }
    }

    fn link(name: &str, index: u32, controller: Option<u32>) -> Link {
        Link {
            index,
            name: name.to_owned(),
            address: Vec::new(),
            kind: LinkKind::Other,
            is_up: true,
            mtu: 1500,
            controller,
            port: PortSettings::default(),
            filters_vlans: false,
        }
    }

    #[track_caller]
    fn check(view: &View, links: &[Link], expect: &[&str]) {
        let links = links.iter().map(|link| (link.name.as_str(), link)).collect();
        assert_eq!(loose(view, &links), expect);
    }

    #[test]
    fn a_tap_is_loose_unless_it_is_on_its_bridge() {
        let view = view();
        let bridge = link("br0", 7, None);
        check(&view, &[bridge.clone(), link("vnet0", 8, Some(7))], &[]);
        check(&view, &[bridge.clone(), link("vnet0", 8, None)], &["vnet0"]);
        check(&view, &[bridge.clone(), link("vnet0", 8, Some(9))], &["vnet0"]);
        check(&view, &[link("vnet0", 8, Some(7))], &["vnet0"]);
        // it goes with its process
        check(&view, std::slice::from_ref(&bridge), &[]);
        assert!(has_tap(&view, "vnet0") && !has_tap(&view, "vnet1"));
    }

    #[test]
    fn a_guest_that_ends_is_left_alone() {
        let view = view();
        let links = [link("br0", 7, None), link("vnet0", 8, None)];
        view.running.as_ref().unwrap().live.set_ending(ShutoffReason::Destroyed);
        check(&view, &links, &[]);
        check(&View { running: None, ..view }, &links, &[]);
    }
}
