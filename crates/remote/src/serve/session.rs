//! The state of one connection: what is open, the identity of the client, its registrations.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use oxivirt::{
    Access, CallbackId, Connect, Connection, DomainDestroyFlags, DomainRef, Error, ErrorCode,
    ErrorDomain, Result,
};
use oxivirt_rpc::identity::Process;
use oxivirt_rpc::server::Client;
use uuid::Uuid;

use crate::serve::streams::Streams;
use crate::serve::{Authentication, Daemon, Interaction, Served};
use crate::wire::{TypedParam, TypedValue};

/// polkit action: use the read-only socket.
const MONITOR: &str = "org.libvirt.unix.monitor";
/// polkit action: use the other socket.
const MANAGE: &str = "org.libvirt.unix.manage";

/// One connection.
#[derive(Debug)]
pub struct Session {
    /// State shared by all connections of the daemon.
    pub daemon: Arc<Daemon>,
    /// The client.
    pub client: Arc<Client>,
    /// Its open streams.
    pub(super) streams: Streams,
    authentication: Authentication,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// Whether the client is authenticated.
    authenticated: bool,
    open: Option<Open>,
    identity: Option<Identity>,
    registrations: BTreeMap<(EventFamily, CallbackId), Registration>,
    /// Domains that end with the connection.
    autodestroy: Vec<DomainRef>,
}

/// An open connection.
#[derive(Debug, Clone)]
struct Open {
    uri: String,
    served: Served,
    access: Access,
    /// Whether calls about the host are served: after a second opening not until a third.
    host: bool,
}

/// The family of a registration's events.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum EventFamily {
    Domain,
    Network,
    Storage,
}

/// What a registration is for; a client has each at most once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Registration {
    pub(super) family: EventFamily,
    pub(super) event: i32,
    pub(super) object: Option<Uuid>,
    /// Whether its messages do not name it.
    pub(super) is_bare: bool,
}

impl Registration {
    /// Whether it is for the same events, in whichever form their messages are.
    fn is_like(&self, other: &Self) -> bool {
        Self { is_bare: other.is_bare, ..*self } == *other
    }
}

/// Identity of a client that another daemon passes on (`virIdentity`).
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Identity {
    params: Vec<TypedParam>,
}

/// Parts of an identity and their types.
const PARTS: [(&str, &str); 9] = [
    ("user-name", "string"),
    ("unix-user-id", "ullong"),
    ("group-name", "string"),
    ("unix-group-id", "ullong"),
    ("process-id", "llong"),
    ("process-time", "ullong"),
    ("sasl-user-name", "string"),
    ("x509-distinguished-name", "string"),
    ("selinux-context", "string"),
];
/// Marks the calls that a daemon makes for itself.
const TOKEN: (&str, &str) = ("system.token", "string");

impl Identity {
    /// Reads an identity.
    ///
    /// # Errors
    /// [`ErrorCode::ARGUMENT_UNSUPPORTED`] for an unknown part, [`ErrorCode::INVALID_ARG`] for one of
    /// the wrong type.
    pub fn from_params(params: Vec<TypedParam>) -> Result<Self> {
        for param in &params {
            let name = param.field.to_text();
            let part = PARTS.iter().chain([&TOKEN]).find(|(part, _)| *part == name);
            let Some((_, expected)) = part else {
                let detail = format!("parameter '{name}' not supported");
                return Err(Error::new(ErrorCode::ARGUMENT_UNSUPPORTED, ErrorDomain::NONE, detail));
            };
            let found = type_name(&param.value);
            if found != *expected {
                let detail =
                    format!("invalid type '{found}' for parameter '{name}', expected '{expected}'");
                return Err(Error::new(ErrorCode::INVALID_ARG, ErrorDomain::NONE, detail));
            }
        }
        Ok(Self { params })
    }

    /// The process it names, if it names one.
    pub(super) fn process(&self) -> Option<Process> {
        let part = |name: &str| {
            let mut params = self.params.iter();
            let param = params.find(|param| param.field.to_text() == name)?;
            match param.value {
                TypedValue::ULLong(value) => Some(value),
                TypedValue::LLong(value) => u64::try_from(value).ok(),
                _ => None,
            }
        };
        Some(Process {
            pid: i32::try_from(part("process-id")?).ok()?,
            start_time: part("process-time")?,
            uid: u32::try_from(part("unix-user-id")?).ok()?,
            gid: part("unix-group-id").and_then(|gid| gid.try_into().ok()).unwrap_or(u32::MAX),
        })
    }
}

fn type_name(value: &TypedValue) -> &'static str {
    match value {
        TypedValue::Int(_) => "int",
        TypedValue::UInt(_) => "uint",
        TypedValue::LLong(_) => "llong",
        TypedValue::ULLong(_) => "ullong",
        TypedValue::Double(_) => "double",
        TypedValue::Boolean(_) => "boolean",
        TypedValue::String(_) => "string",
    }
}

/// An error in the conversation.
pub(crate) fn rpc(detail: impl Into<String>) -> Error {
    Error::new(ErrorCode::RPC, ErrorDomain::RPC, detail)
}

/// What a call needs is not open.
pub(super) fn not_open(what: &str) -> Error {
    Error::new(ErrorCode::INTERNAL_ERROR, ErrorDomain::RPC, what)
}

impl Session {
    /// A new connection.
    #[must_use]
    pub fn new(
        daemon: Arc<Daemon>,
        client: Arc<Client>,
        authentication: Authentication,
    ) -> Arc<Self> {
        Arc::new(Self {
            daemon,
            client,
            streams: Streams::default(),
            authentication,
            state: Mutex::default(),
        })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The API on the driver, with the access of the open connection.
    ///
    /// # Errors
    /// [`ErrorCode::INTERNAL_ERROR`] if none is open.
    pub(super) fn connect(&self) -> Result<Connect> {
        let access = self.access().ok_or_else(|| not_open("connection not open"))?;
        Ok(Connect::new(self.served()?.driver, access))
    }

    /// The driver of the open connection.
    ///
    /// # Errors
    /// [`ErrorCode::INTERNAL_ERROR`] if none is open.
    pub(super) fn served(&self) -> Result<Served> {
        let open = self.state().open.as_ref().map(|open| open.served.clone());
        open.ok_or_else(|| not_open("connection not open"))
    }

    /// Whether calls that need it may be made.
    pub(super) fn is_authenticated(&self) -> bool {
        self.state().authenticated
    }

    fn authenticate(&self) {
        self.state().authenticated = true;
        self.client.authenticate();
    }

    /// Opens the connection.
    pub(super) fn open(&self, name: Option<&str>, flags: u32) -> Result<()> {
        const READ_ONLY: u32 = 1;
        let mut state = self.state();
        if let Some(open) = state.open.as_mut().filter(|open| open.host) {
            // libvirt drops the connection that it meant to keep; no known client relies on this, but the
            // answers are the same
            open.host = false;
            return Err(not_open("connection already open"));
        }
        let (uri, served) = self.find(name.unwrap_or_default())?;
        let is_read_only = self.client.read_only || flags & READ_ONLY != 0;
        let access = if is_read_only { Access::ReadOnly } else { Access::ReadWrite };
        state.open = Some(Open { uri, served, access, host: true });
        Ok(())
    }

    /// The driver that a client means by `name`, and its URI.
    fn find(&self, name: &str) -> Result<(String, Served)> {
        let path = self.daemon.path;
        if name.is_empty() {
            let mut drivers = self.daemon.drivers.iter();
            let hypervisor = drivers.find(|served| served.profile.is_hypervisor);
            let served = hypervisor.ok_or_else(|| not_open("connection not open"))?;
            return Ok((format!("{}://{path}", served.profile.scheme), served.clone()));
        }
        let uri: oxivirt::Uri = name.parse()?;
        let mut drivers = self.daemon.drivers.iter();
        let served = drivers.find(|served| served.profile.scheme == uri.driver());
        let Some(served) = served.filter(|_| uri.host().is_none()) else {
            return Err(Error::new(ErrorCode::NO_CONNECT, ErrorDomain::NONE, name));
        };
        if uri.path() != path {
            let scheme = served.profile.scheme;
            let detail =
                format!("unexpected {scheme} URI path '{}', try {scheme}://{path}", uri.path());
            return Err(Error::new(ErrorCode::INTERNAL_ERROR, ErrorDomain::NONE, detail));
        }
        Ok((name.to_owned(), served.clone()))
    }

    /// Whether closing has something to remove.
    pub(super) fn has_remains(&self) -> bool {
        let state = self.state();
        !state.registrations.is_empty() || !state.autodestroy.is_empty()
    }

    /// Closes the connection: ends its streams, removes its registrations, destroys the domains that were to
    /// end with it.
    pub(super) async fn close(&self) {
        self.streams.close();
        let (open, registrations, autodestroy) = {
            let mut state = self.state();
            let registrations = std::mem::take(&mut state.registrations);
            (state.open.take(), registrations, std::mem::take(&mut state.autodestroy))
        };
        let Some(Open { served: Served { driver, .. }, .. }) = open else { return };
        for (family, callback) in registrations.into_keys() {
            let removed = match family {
                EventFamily::Domain => match driver.domains() {
                    Some(domains) => domains.domain_event_deregister(callback).await,
                    None => continue,
                },
                EventFamily::Network => match driver.networks() {
                    Some(networks) => networks.network_event_deregister(callback).await,
                    None => continue,
                },
                EventFamily::Storage => match driver.storage() {
                    Some(storage) => storage.storage_pool_event_deregister(callback).await,
                    None => continue,
                },
            };
            if let Err(error) = removed {
                tracing::debug!(callback = callback.0, %error, "cannot remove an event registration of a closed connection");
            }
        }
        for domain in &autodestroy {
            autodestroyed(&*driver, domain).await;
        }
    }

    /// Lets a domain end with the connection.
    pub(super) fn autodestroy(&self, domain: &DomainRef) {
        self.state().autodestroy.push(domain.clone());
    }

    /// What the open connection may do; `None` if none is open.
    pub(super) fn access(&self) -> Option<Access> {
        self.state().open.as_ref().map(|open| open.access)
    }

    /// Whether calls about the host are served.
    pub(super) fn has_host(&self) -> bool {
        self.state().open.as_ref().is_some_and(|open| open.host)
    }

    /// Name under which the connection was opened.
    pub(super) fn uri(&self) -> Option<String> {
        self.state().open.as_ref().map(|open| open.uri.clone())
    }

    pub(super) fn set_identity(&self, identity: Identity) {
        self.state().identity = Some(identity);
    }

    /// The identity that another daemon has passed on.
    pub(super) fn identity(&self) -> Option<Identity> {
        self.state().identity.clone()
    }

    /// Whether the client has an equal registration.
    pub(super) fn has_registration(&self, registration: Registration) -> bool {
        self.state().registrations.values().any(|other| other.is_like(&registration))
    }

    pub(super) fn add_registration(&self, id: CallbackId, registration: Registration) {
        self.state().registrations.insert((registration.family, id), registration);
    }

    pub(super) fn remove_registration(&self, family: EventFamily, id: CallbackId) -> bool {
        self.state().registrations.remove(&(family, id)).is_some()
    }

    /// The registration for all domains' events of this kind whose messages do not name it.
    pub(super) fn bare_registration(&self, event: i32) -> Option<CallbackId> {
        let state = self.state();
        let mut all = state.registrations.iter();
        let found = all.find(|(_, found)| found.is_bare && found.event == event);
        found.map(|((_, id), _)| *id)
    }

    /// How the client has to authenticate; where that is not needed, it is authenticated by asking.
    pub(super) fn authentications(&self) -> Authentication {
        let is_root = self.client.peer.process().is_some_and(|process| process.uid == 0);
        match self.authentication {
            Authentication::Polkit if !is_root => Authentication::Polkit,
            Authentication::Polkit | Authentication::None => {
                self.authenticate();
                Authentication::None
            }
        }
    }

    /// Asks polkit whether the client may use its socket.
    pub(super) async fn authenticate_by_policy(&self) -> Result<()> {
        let failed = || Error::bare(ErrorCode::AUTH_FAILED, ErrorDomain::RPC);
        let (Authentication::Polkit, Some(subject)) =
            (self.authentication, self.client.peer.process())
        else {
            return Err(failed());
        };
        let action = if self.client.read_only { MONITOR } else { MANAGE };
        let authority = self.daemon.authority.as_ref().ok_or_else(failed)?;
        authority.check(subject, action, &[], Interaction::Allowed).await?;
        self.authenticate();
        Ok(())
    }
}

/// Destroys a domain that was to end with a connection, unless it has ended and was started again.
async fn autodestroyed(driver: &dyn Connection, domain: &DomainRef) {
    let Some(domains) = driver.domains() else { return };
    match domains.domain_lookup_by_uuid(domain.uuid).await {
        Ok(found) if found.id.is_some() && found.id == domain.id => {
            let destroyed = domains.domain_destroy(&found, DomainDestroyFlags::empty()).await;
            if let Err(error) = destroyed {
                tracing::warn!(domain = found.name, %error, "domain stays though its client is gone");
            }
        }
        _ => {}
    }
}
