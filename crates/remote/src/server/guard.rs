//! Access control: which calls the policy lets a client make.
//!
//! Each procedure names its permissions in [`PROCEDURES`](crate::protocol::PROCEDURES). The policy is
//! asked for each, with the network or port that the call is about, as the driver knows it and not as the
//! client calls it. What a client may not know of is left out of lists, numbers and events.
//!
//! libvirt 11.3.0: src/access/viraccessdriverpolkit.c, `virAccessManagerCheckNetwork`

use std::sync::Arc;

use oxivirt::{Error, ErrorCode, ErrorDomain, NetworkRef, PortRef, Result};
use oxivirt_conf::network::NetworkDef;
use oxivirt_conf::port::NetworkPortDef;
use oxivirt_rpc::identity::Process;
use uuid::Uuid;

use crate::protocol::{Procedure, RemoteRequest};
use crate::server::session::Session;
use crate::server::{Authority, Interaction};

/// Name of the driver, which policies see.
const DRIVER: &str = "network";

/// What a call is about.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Object {
    /// The connection.
    Connect,
    /// A network; its UUID is missing if it does not have one yet.
    Network { name: String, uuid: Option<Uuid> },
    /// A port, likewise.
    Port { network: NetworkRef, uuid: Option<Uuid> },
    /// Something that is not there: the driver has the words for that.
    Nothing,
}

impl Object {
    fn details(&self) -> Vec<(&'static str, String)> {
        let mut details = vec![("connect_driver", DRIVER.to_owned())];
        match self {
            Self::Connect | Self::Nothing => {}
            Self::Network { name, uuid } => {
                details.push(("network_name", name.clone()));
                details.extend(uuid.map(|uuid| ("network_uuid", uuid.to_string())));
            }
            Self::Port { network, uuid } => {
                details.push(("network_name", network.name.clone()));
                details.push(("network_uuid", network.uuid.to_string()));
                details.extend(uuid.map(|uuid| ("port_uuid", uuid.to_string())));
            }
        }
        details
    }
}

impl From<NetworkRef> for Object {
    fn from(network: NetworkRef) -> Self {
        Self::Network { name: network.name, uuid: Some(network.uuid) }
    }
}

/// Checks that the client of `session` may make a call.
///
/// # Errors
/// Number 88 if it may not, others if the policy cannot be asked.
pub(super) async fn check(
    session: &Session,
    procedure: &Procedure,
    request: &RemoteRequest,
) -> Result<()> {
    let Some(authority) = session.daemon.access.clone() else { return Ok(()) };
    if procedure.acl.is_empty() {
        return Ok(());
    }
    let object = object(session, request).await;
    for permission in procedure.acl {
        let object = match permission.split_once('.') {
            Some(("connect", _)) => &Object::Connect,
            _ if object == Object::Nothing => return Ok(()),
            _ => &object,
        };
        ask(session, &authority, permission, object).await?;
    }
    Ok(())
}

/// Those of networks that the client may know of.
///
/// # Errors
/// The policy cannot be asked.
pub(super) async fn visible(
    session: &Session,
    networks: Vec<NetworkRef>,
) -> Result<Vec<NetworkRef>> {
    let object = |network: &NetworkRef| Object::from(network.clone());
    filtered(session, networks, "network.getattr", object).await
}

/// Those of ports that the client may know of.
///
/// # Errors
/// The policy cannot be asked.
pub(super) async fn visible_ports(session: &Session, ports: Vec<PortRef>) -> Result<Vec<PortRef>> {
    let object =
        |port: &PortRef| Object::Port { network: port.network.clone(), uuid: Some(port.uuid) };
    filtered(session, ports, "network-port.getattr", object).await
}

async fn filtered<T>(
    session: &Session,
    all: Vec<T>,
    permission: &str,
    object: impl Fn(&T) -> Object,
) -> Result<Vec<T>> {
    let Some(authority) = session.daemon.access.clone() else { return Ok(all) };
    let mut visible = Vec::new();
    for one in all {
        match ask(session, &authority, permission, &object(&one)).await {
            Ok(()) => visible.push(one),
            Err(error) if error.code() == ErrorCode::ACCESS_DENIED => {}
            Err(error) => return Err(error),
        }
    }
    Ok(visible)
}

/// Whether the client may hear of what happens to a network.
pub(super) async fn hears_of(session: &Session, network: &NetworkRef) -> bool {
    let visible = visible(session, vec![network.clone()]).await;
    visible.is_ok_and(|visible| !visible.is_empty())
}

async fn ask(
    session: &Session,
    authority: &Arc<dyn Authority>,
    permission: &str,
    object: &Object,
) -> Result<()> {
    let action = format!("org.libvirt.api.{permission}");
    let subject = caller(session)?;
    let details = object.details();
    match authority.check(subject, &action, &details, Interaction::Refused).await {
        // Refused, with whatever words: who would have to be asked is not asked.
        Err(error)
            if matches!(
                error.code(),
                ErrorCode::AUTH_FAILED | ErrorCode::AUTH_UNAVAILABLE | ErrorCode::AUTH_CANCELLED
            ) =>
        {
            tracing::debug!(action, "denied");
            let detail = format!("'{DRIVER}' denied access");
            Err(Error::new(ErrorCode::ACCESS_DENIED, ErrorDomain::ACCESS, detail))
        }
        other => other,
    }
}

/// The process that a client is: as a daemon in between says, else as the kernel does.
fn caller(session: &Session) -> Result<Process> {
    let process = match session.identity() {
        Some(identity) => identity.process(),
        None => session.client.peer.process(),
    };
    process.ok_or_else(|| {
        let detail = "No UNIX process ID available";
        Error::new(ErrorCode::INTERNAL_ERROR, ErrorDomain::ACCESS, detail)
    })
}

/// What a request is about.
async fn object(session: &Session, request: &RemoteRequest) -> Object {
    use RemoteRequest as Request;
    let Some(driver) = session.driver().networks() else { return Object::Nothing };
    let by_uuid = async |uuid: Uuid| driver.network_lookup_by_uuid(uuid).await.ok();
    let or_nothing = |network: Option<NetworkRef>| network.map_or(Object::Nothing, Object::from);
    match request {
        Request::NetworkCreate { net }
        | Request::NetworkDestroy { net }
        | Request::NetworkGetXmlDesc { net, .. }
        | Request::NetworkGetAutostart { net }
        | Request::NetworkGetBridgeName { net }
        | Request::NetworkSetAutostart { net, .. }
        | Request::NetworkUndefine { net }
        | Request::NetworkIsActive { net }
        | Request::NetworkIsPersistent { net }
        | Request::NetworkUpdate { net, .. }
        | Request::NetworkGetDhcpLeases { net, .. }
        | Request::NetworkListAllPorts { network: net, .. }
        | Request::NetworkSetMetadata { network: net, .. }
        | Request::NetworkGetMetadata { network: net, .. } => {
            or_nothing(by_uuid(NetworkRef::from(net).uuid).await)
        }
        Request::NetworkLookupByName { name } => match name.as_str() {
            Some(name) => or_nothing(driver.network_lookup_by_name(name).await.ok()),
            None => Object::Nothing,
        },
        Request::NetworkLookupByUuid { uuid } => {
            or_nothing(by_uuid(Uuid::from_bytes((*uuid).into())).await)
        }
        Request::NetworkCreateXml { xml }
        | Request::NetworkDefineXml { xml }
        | Request::NetworkCreateXmlFlags { xml, .. }
        | Request::NetworkDefineXmlFlags { xml, .. } => {
            // One that cannot be read is refused by the driver, whoever asks.
            match NetworkDef::parse(&xml.to_text()) {
                Ok(def) => Object::Network { name: def.name, uuid: def.uuid },
                Err(_) => Object::Nothing,
            }
        }
        Request::NetworkPortCreateXml { network, xml, .. } => {
            let network = by_uuid(NetworkRef::from(network).uuid).await;
            match (network, NetworkPortDef::parse(&xml.to_text())) {
                (Some(network), Ok(port)) => {
                    let uuid = (!port.uuid.is_nil()).then_some(port.uuid);
                    Object::Port { network, uuid }
                }
                _ => Object::Nothing,
            }
        }
        Request::NetworkPortLookupByUuid { network, uuid } => {
            let uuid = Uuid::from_bytes((*uuid).into());
            match by_uuid(NetworkRef::from(network).uuid).await {
                Some(network) => Object::Port { network, uuid: Some(uuid) },
                None => Object::Nothing,
            }
        }
        Request::NetworkPortGetParameters { port, .. }
        | Request::NetworkPortSetParameters { port, .. }
        | Request::NetworkPortGetXmlDesc { port, .. }
        | Request::NetworkPortDelete { port, .. } => {
            let port = PortRef::from(port);
            match by_uuid(port.network.uuid).await {
                Some(network) => Object::Port { network, uuid: Some(port.uuid) },
                None => Object::Nothing,
            }
        }
        _ => Object::Connect,
    }
}
