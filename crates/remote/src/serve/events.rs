//! Events of the driver as packets to one client.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use oxivirt::{Error, ErrorCode, ErrorDomain, NetworkEvent, NetworkEventId, NetworkRef, Result};
use oxivirt_rpc::server::Client;
use oxivirt_rpc::{frame, xdr};
use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};

use crate::protocol::{EVENT_LIFECYCLE, EVENT_METADATA_CHANGE, PROGRAM};
use crate::serve::guard;
use crate::serve::session::{Registration, Session, not_open};
use crate::wire::{LifecycleMessage, MetadataMessage};

/// Serial of event packets; libvirt's documentation says 0, its daemons send 1.
const SERIAL: u32 = 1;

/// Sends the events of one registration, whose number is known only once it is made.
#[derive(Debug)]
struct Sender {
    outlet: Outlet,
    inner: Mutex<Inner>,
}

/// Where events go.
#[derive(Debug)]
enum Outlet {
    /// To the client.
    Client(Arc<Client>),
    /// To a task that checks first whether the client may see the network.
    Guard(UnboundedSender<(i32, NetworkEvent)>),
}

impl Outlet {
    fn new(session: &Arc<Session>) -> Self {
        if session.daemon.access.is_none() {
            return Self::Client(Arc::clone(&session.client));
        }
        let (sender, mut events) = unbounded_channel::<(i32, NetworkEvent)>();
        let session = Arc::clone(session);
        drop(tokio::spawn(async move {
            while let Some((number, event)) = events.recv().await {
                if guard::is_visible(&session, event.network()).await
                    && let Some(packet) = packet(number, &event)
                {
                    session.client.send(packet);
                }
            }
        }));
        Self::Guard(sender)
    }
}

#[derive(Debug)]
enum Inner {
    /// Events that arrived before the number was known.
    Early(Vec<NetworkEvent>),
    Known(i32),
}

impl Sender {
    fn event(&self, event: &NetworkEvent) {
        let number = match &mut *self.inner() {
            Inner::Early(events) => {
                events.push(event.clone());
                return;
            }
            Inner::Known(number) => *number,
        };
        self.send(number, event);
    }

    fn known(&self, number: i32) {
        let mut inner = self.inner();
        let Inner::Early(early) = std::mem::replace(&mut *inner, Inner::Known(number)) else {
            return;
        };
        for event in &early {
            self.send(number, event);
        }
    }

    fn send(&self, number: i32, event: &NetworkEvent) {
        match &self.outlet {
            Outlet::Client(client) => {
                if let Some(packet) = packet(number, event) {
                    client.send(packet);
                }
            }
            Outlet::Guard(guard) => drop(guard.send((number, event.clone()))),
        }
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The packet of an event; `None` for those that libvirt's protocol does not have.
fn packet(callback_id: i32, event: &NetworkEvent) -> Option<Vec<u8>> {
    let mut out = Vec::new();
    let written = match event {
        NetworkEvent::Lifecycle { network, event, detail } => {
            let net = network.into();
            let event = event.number();
            let message = LifecycleMessage { callback_id, net, event, detail: *detail };
            let header = frame::Header::message(PROGRAM, EVENT_LIFECYCLE, SERIAL);
            frame::append(&mut out, header, |out| xdr::append(out, &message))
        }
        NetworkEvent::MetadataChange { network, kind, uri } => {
            let nsuri = uri.as_deref().map(Into::into);
            let kind = kind.number();
            let message = MetadataMessage { callback_id, net: network.into(), kind, nsuri };
            let header = frame::Header::message(PROGRAM, EVENT_METADATA_CHANGE, SERIAL);
            frame::append(&mut out, header, |out| xdr::append(out, &message))
        }
        _ => return None,
    };
    written.ok().map(|()| out)
}

/// Registers the client of `session` for events.
///
/// # Errors
/// [`ErrorCode::INTERNAL_ERROR`] for an unknown event id, [`ErrorCode::INVALID_ARG`] if the client has
/// the same registration already.
pub(super) async fn register(
    session: &Arc<Session>,
    event: i32,
    network: Option<NetworkRef>,
) -> Result<i32> {
    let id = NetworkEventId::from_number(event);
    if !matches!(id, NetworkEventId::Lifecycle | NetworkEventId::MetadataChange) {
        return Err(not_open(&format!("unsupported network event ID {event}")));
    }
    let registration = Registration { event, network: network.as_ref().map(|net| net.uuid) };
    if session.has_registration(registration) {
        let detail = "event callback already tracked";
        return Err(Error::new(ErrorCode::INVALID_ARG, ErrorDomain::NONE, detail));
    }
    let inner = Mutex::new(Inner::Early(Vec::new()));
    let sender = Arc::new(Sender { outlet: Outlet::new(session), inner });
    let callback = {
        let sender = Arc::clone(&sender);
        Box::new(move |event: &NetworkEvent| sender.event(event))
    };
    let networks = session.daemon.driver.network_driver("virConnectNetworkEventRegisterAny")?;
    let number = networks.network_event_register(network.as_ref(), id, callback).await?;
    session.add_registration(number, registration);
    sender.known(number.0);
    Ok(number.0)
}
