//! Notifications of changes of this host.

use std::sync::Arc;
use std::time::Duration;

use oxivirt_netlink::monitor::{Change, Monitor};
use oxivirt_netlink::{Handle, link_name};
use oxivirt_nft::kernel::Nftables;
use oxivirt_nft::xtables::Xtables;
use oxivirt_types::link_name::LinkName;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

use crate::apply::HostEvent;
use crate::apply::firewalld::Firewalld;

/// How often the rules of the legacy programs are looked at: two processes each time.
const LEGACY_DISTANCE: Duration = Duration::from_secs(10);

/// Starts listening; ends when the receiver is gone. If the kernel cannot be watched, no event comes.
pub(super) fn start(
    nft: Option<Nftables>,
    links: Handle,
    firewalld: Arc<Firewalld>,
    xtables: Option<&Xtables>,
) -> UnboundedReceiver<HostEvent> {
    let (events, receiver) = unbounded_channel();
    if xtables.is_some_and(|xtables| xtables.is_legacy()) {
        drop(tokio::spawn(look_at_legacy(events.clone())));
    }
    drop(tokio::spawn(listen_to_firewalld(firewalld, events.clone())));
    match Monitor::open() {
        Ok(monitor) => drop(tokio::spawn(listen(monitor, nft, links, events))),
        Err(error) => {
            tracing::info!(%error, "cannot watch the host: losses are not repaired until the driver is opened again");
        }
    }
    receiver
}

/// What the legacy programs of iptables do is not announced, so it is looked for.
async fn look_at_legacy(events: UnboundedSender<HostEvent>) {
    while tokio::time::timeout(LEGACY_DISTANCE, events.closed()).await.is_err() {
        drop(events.send(HostEvent::Rules));
    }
}

/// A reload takes bridges out of their zones.
async fn listen_to_firewalld(firewalld: Arc<Firewalld>, events: UnboundedSender<HostEvent>) {
    let notify = || drop(events.send(HostEvent::All));
    let reloads = Box::pin(firewalld.on_reload(notify));
    futures::future::select(reloads, Box::pin(events.closed())).await;
}

async fn listen(
    mut monitor: Monitor,
    nft: Option<Nftables>,
    links: Handle,
    events: UnboundedSender<HostEvent>,
) {
    // Which ports there are is remembered; this is how it begins.
    let vlans = links.port_vlans().await.unwrap_or_default();
    for link in links.links().await.unwrap_or_default() {
        if let Some(bridge) = link.controller.and_then(link_name)
            && let Ok(port) = LinkName::new(&link.name)
        {
            let mut settings = link.port;
            if let Some(known) = vlans.get(&link.index) {
                settings.update(known.clone());
            }
            drop(events.send(HostEvent::Port { bridge, port, settings }));
        }
    }
    drop(links);
    loop {
        let changes = {
            let next = Box::pin(monitor.changes());
            let closed = Box::pin(events.closed());
            match futures::future::select(next, closed).await {
                futures::future::Either::Left((changes, _)) => changes,
                futures::future::Either::Right(_) => return,
            }
        };
        let changes = match changes {
            Ok(changes) => changes,
            Err(error) => {
                tracing::error!(%error, "lost the watch on the host: losses are not repaired until the driver is opened again");
                return;
            }
        };
        let own = |generation| nft.as_ref().is_some_and(|nft| nft.is_own(generation));
        for change in changes {
            for event in classify(change, &own) {
                drop(events.send(event));
            }
        }
    }
}

/// The events of a change that may concern a network.
fn classify(change: Change, is_own: &dyn Fn(u32) -> bool) -> Vec<HostEvent> {
    match change {
        Change::Rules { generation } if is_own(generation) => Vec::new(),
        Change::Rules { .. } => vec![HostEvent::Rules],
        Change::Overflow => vec![HostEvent::All],
        Change::Address { link } => {
            link_name(link).map(|link| HostEvent::Addresses { link }).into_iter().collect()
        }
        Change::LinkGone { name } => vec![HostEvent::LinkGone { name }],
        Change::Link { name, controller, port: port_settings, settings } => {
            let Ok(port) = LinkName::new(&name) else { return Vec::new() };
            let membership = match controller.map(link_name) {
                Some(Some(bridge)) => {
                    Some(HostEvent::Port { bridge, port, settings: port_settings })
                }
                Some(None) => None,
                None => Some(HostEvent::NoPort { port }),
            };
            let link = settings.map(|settings| HostEvent::Link { name, settings });
            link.into_iter().chain(membership).collect()
        }
    }
}
