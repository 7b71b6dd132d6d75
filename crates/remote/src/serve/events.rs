//! Events of the driver as packets to one client.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use oxivirt::{
    CallbackId, DomainEvent, DomainEventId, DomainRef, Error, ErrorCode, ErrorDomain, NetworkEvent,
    NetworkEventId, NetworkRef, Result, StorageEvent, StoragePoolEventId, StoragePoolRef,
};
use oxivirt_rpc::frame::Header;
use oxivirt_rpc::server::Client;
use oxivirt_rpc::{frame, xdr};
use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};

use crate::protocol::{
    EVENT_LIFECYCLE, EVENT_METADATA_CHANGE, EVENT_STORAGE_LIFECYCLE, EVENT_STORAGE_REFRESH, PROGRAM,
};
use crate::serve::guard;
use crate::serve::session::{EventFamily, Registration, Session, not_open};
use crate::wire::{
    DomainEventNumber, LifecycleMessage, MetadataMessage, StorageLifecycleMessage,
    StorageRefreshMessage, append_domain_event,
};

/// Serial of event packets; libvirt's documentation says 0, its daemons send 1.
const SERIAL: u32 = 1;

/// How a registration is named in its packets.
type Number = DomainEventNumber;

/// An event that clients receive.
trait Sent: Clone + Send + Sync + 'static {
    /// Its packet; `None` for an event that libvirt's protocol does not have.
    fn packet(&self, number: Number) -> Option<Vec<u8>>;

    /// Whether the client may see the object that it is about.
    fn is_visible(&self, session: &Session) -> impl Future<Output = bool> + Send;
}

/// Sends the events of one registration, whose number is known only once it is made.
#[derive(Debug)]
struct Sender<E> {
    outlet: Outlet<E>,
    inner: Mutex<Inner<E>>,
}

/// Where events go.
#[derive(Debug)]
enum Outlet<E> {
    /// To the client.
    Client(Arc<Client>),
    /// To a task that checks first whether the client may see the object.
    Guard(UnboundedSender<(Number, E)>),
}

impl<E: Sent> Outlet<E> {
    fn new(session: &Arc<Session>) -> Self {
        if session.daemon.access.is_none() {
            return Self::Client(Arc::clone(&session.client));
        }
        let (sender, mut events) = unbounded_channel::<(Number, E)>();
        let session = Arc::clone(session);
        drop(tokio::spawn(async move {
            while let Some((number, event)) = events.recv().await {
                if event.is_visible(&session).await
                    && let Some(packet) = event.packet(number)
                {
                    session.client.send(packet);
                }
            }
        }));
        Self::Guard(sender)
    }
}

#[derive(Debug)]
enum Inner<E> {
    /// Events that arrived before the number was known.
    Early(Vec<E>),
    Known(Number),
}

impl<E: Sent> Sender<E> {
    fn new(session: &Arc<Session>) -> Arc<Self> {
        let inner = Mutex::new(Inner::Early(Vec::new()));
        Arc::new(Self { outlet: Outlet::new(session), inner })
    }

    /// What the driver calls.
    fn callback(self: &Arc<Self>) -> oxivirt::Callback<E> {
        let sender = Arc::clone(self);
        Box::new(move |event: &E| sender.event(event))
    }

    fn event(&self, event: &E) {
        let number = match &mut *self.inner() {
            Inner::Early(events) => {
                events.push(event.clone());
                return;
            }
            Inner::Known(number) => *number,
        };
        self.send(number, event);
    }

    fn known(&self, number: Number) {
        let mut inner = self.inner();
        let Inner::Early(early) = std::mem::replace(&mut *inner, Inner::Known(number)) else {
            return;
        };
        for event in &early {
            self.send(number, event);
        }
    }

    fn send(&self, number: Number, event: &E) {
        match &self.outlet {
            Outlet::Client(client) => {
                if let Some(packet) = event.packet(number) {
                    client.send(packet);
                }
            }
            Outlet::Guard(guard) => drop(guard.send((number, event.clone()))),
        }
    }

    fn inner(&self) -> MutexGuard<'_, Inner<E>> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Sent for NetworkEvent {
    fn packet(&self, number: Number) -> Option<Vec<u8>> {
        // networks' messages always name their registration
        let Number::Callback(callback_id) = number else { return None };
        let mut out = Vec::new();
        let written = match self {
            Self::Lifecycle { network, event, detail } => {
                let net = network.into();
                let event = event.number();
                let message = LifecycleMessage { callback_id, net, event, detail: *detail };
                let header = Header::message(PROGRAM, EVENT_LIFECYCLE, SERIAL);
                frame::append(&mut out, header, |out| xdr::append(out, &message))
            }
            Self::MetadataChange { network, kind, uri } => {
                let nsuri = uri.as_deref().map(Into::into);
                let kind = kind.number();
                let message = MetadataMessage { callback_id, net: network.into(), kind, nsuri };
                let header = Header::message(PROGRAM, EVENT_METADATA_CHANGE, SERIAL);
                frame::append(&mut out, header, |out| xdr::append(out, &message))
            }
            _ => return None,
        };
        written.ok().map(|()| out)
    }

    async fn is_visible(&self, session: &Session) -> bool {
        guard::is_visible(session, self.network()).await
    }
}

impl Sent for DomainEvent {
    fn packet(&self, number: Number) -> Option<Vec<u8>> {
        let mut content = Vec::new();
        let message = append_domain_event(&mut content, number, self).ok()??;
        let mut out = Vec::new();
        let header = Header::message(PROGRAM, message, SERIAL);
        let written = frame::append::<()>(&mut out, header, |out| {
            out.extend_from_slice(&content);
            Ok(())
        });
        written.ok().map(|()| out)
    }

    async fn is_visible(&self, session: &Session) -> bool {
        guard::is_visible_domain(session, self.domain()).await
    }
}

impl Sent for StorageEvent {
    fn packet(&self, number: Number) -> Option<Vec<u8>> {
        // pools' messages always name their registration
        let Number::Callback(callback_id) = number else { return None };
        let mut out = Vec::new();
        let written = match self {
            Self::Lifecycle { pool, event, detail } => {
                let (pool, event) = (pool.into(), event.number());
                let message = StorageLifecycleMessage { callback_id, pool, event, detail: *detail };
                let header = Header::message(PROGRAM, EVENT_STORAGE_LIFECYCLE, SERIAL);
                frame::append(&mut out, header, |out| xdr::append(out, &message))
            }
            Self::Refresh { pool } => {
                let message = StorageRefreshMessage { callback_id, pool: pool.into() };
                let header = Header::message(PROGRAM, EVENT_STORAGE_REFRESH, SERIAL);
                frame::append(&mut out, header, |out| xdr::append(out, &message))
            }
            _ => return None,
        };
        written.ok().map(|()| out)
    }

    async fn is_visible(&self, session: &Session) -> bool {
        guard::is_visible_pool(session, self.pool()).await
    }
}

/// Refuses a registration that the client has already.
fn check_new(session: &Session, registration: Registration) -> Result<()> {
    if session.has_registration(registration) {
        let detail = "event callback already tracked";
        return Err(Error::new(ErrorCode::INVALID_ARG, ErrorDomain::NONE, detail));
    }
    Ok(())
}

/// Registers the client of `session` for events of networks.
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
    let object = network.as_ref().map(|net| net.uuid);
    let family = EventFamily::Network;
    let registration = Registration { family, event, object, is_bare: false };
    check_new(session, registration)?;
    let sender = Sender::new(session);
    let driver = session.served()?.driver;
    let networks = driver.network_driver("virConnectNetworkEventRegisterAny")?;
    let number = networks.network_event_register(network.as_ref(), id, sender.callback()).await?;
    session.add_registration(number, registration);
    sender.known(Number::Callback(number.0));
    Ok(number.0)
}

/// Registers the client of `session` for events of storage pools.
///
/// # Errors
/// As for networks.
pub(super) async fn register_storage(
    session: &Arc<Session>,
    event: i32,
    pool: Option<StoragePoolRef>,
) -> Result<i32> {
    let id = StoragePoolEventId::from_number(event);
    if matches!(id, StoragePoolEventId::Unknown(_)) {
        return Err(not_open(&format!("unsupported storage pool event ID {event}")));
    }
    let object = pool.as_ref().map(|pool| pool.uuid);
    let family = EventFamily::Storage;
    let registration = Registration { family, event, object, is_bare: false };
    check_new(session, registration)?;
    let sender = Sender::new(session);
    let driver = session.served()?.driver;
    let storage = driver.storage_driver("virConnectStoragePoolEventRegisterAny")?;
    let number = storage.storage_pool_event_register(pool.as_ref(), id, sender.callback()).await?;
    session.add_registration(number, registration);
    sender.known(Number::Callback(number.0));
    Ok(number.0)
}

/// Form of the messages of a registration for events of domains.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    /// They name the registration.
    Numbered,
    /// They do not.
    Bare,
}

/// Registers the client of `session` for events of domains.
///
/// # Errors
/// As for networks.
pub(super) async fn register_domain(
    session: &Arc<Session>,
    event: i32,
    domain: Option<DomainRef>,
    form: Form,
) -> Result<i32> {
    let id = DomainEventId::from_number(event);
    if matches!(id, DomainEventId::Unknown(_)) {
        return Err(not_open(&format!("unsupported event ID {event}")));
    }
    let object = domain.as_ref().map(|domain| domain.uuid);
    let (family, is_bare) = (EventFamily::Domain, form == Form::Bare);
    let registration = Registration { family, event, object, is_bare };
    check_new(session, registration)?;
    let sender = Sender::new(session);
    let driver = session.served()?.driver;
    let domains = driver.domain_driver("virConnectDomainEventRegisterAny")?;
    let number = domains.domain_event_register(domain.as_ref(), id, sender.callback()).await?;
    session.add_registration(number, registration);
    sender.known(match form {
        Form::Numbered => Number::Callback(number.0),
        Form::Bare => Number::Bare,
    });
    Ok(number.0)
}

/// Removes the registration that a client names by number.
///
/// # Errors
/// [`ErrorCode::INTERNAL_ERROR`] if it does not have it.
pub(super) async fn deregister_domain(session: &Session, number: i32) -> Result<()> {
    let callback = CallbackId(number);
    if !session.remove_registration(EventFamily::Domain, callback) {
        return Err(not_open(&format!("domain event callback {number} not registered")));
    }
    let driver = session.served()?.driver;
    let domains = driver.domain_driver("virConnectDomainEventDeregisterAny")?;
    domains.domain_event_deregister(callback).await
}

/// Removes the registration for a kind of event whose messages do not name it.
///
/// # Errors
/// [`ErrorCode::INTERNAL_ERROR`] if the client does not have one.
pub(super) async fn deregister_bare(session: &Session, event: i32) -> Result<()> {
    match session.bare_registration(event) {
        Some(callback) => deregister_domain(session, callback.0).await,
        None => Err(not_open(&format!("domain event {event} not registered"))),
    }
}
