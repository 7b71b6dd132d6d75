//! Access control: which calls the policy lets a client make.
//!
//! Each row of the protocol names its permissions and the object that its arguments begin with
//! ([`Target`]). The policy is asked for each permission, with the network or port as the driver knows it
//! and not as the client names it. Objects that the client may not see are left out of lists, counts and
//! events.
//!
//! libvirt 11.3.0: src/access/viraccessdriverpolkit.c, `virAccessManagerCheckNetwork`

use std::sync::Arc;

use oxivirt::{
    Connection, DomainDriver, DomainIdentity, DomainRef, Error, ErrorCode, ErrorDomain,
    NetworkDriver, NetworkIdentity, NetworkRef, PortRef, Result,
};
use oxivirt_rpc::identity::Process;
use oxivirt_rpc::xdr::{self, Text, Uuid16, XdrError};
use uuid::Uuid;

use crate::protocol::{Family, Found, Object, Target};
use crate::serve::session::Session;
use crate::serve::{Authority, Interaction};
use crate::wire::{Domain, Network, Port};

/// The object that a call names, as the client names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Named {
    Connection,
    Domain(Uuid),
    DomainId(i32),
    DomainName(Text),
    DomainXml(Text),
    Network(Uuid),
    NetworkName(Text),
    NetworkXml(Text),
    Port { network: Uuid, port: Uuid },
    PortXml { network: Uuid, xml: Text },
}

/// Reads the object that arguments begin with.
///
/// # Errors
/// [`XdrError`] if they do not begin with it.
pub(super) fn read_target(
    target: Target,
    arguments: &[u8],
) -> std::result::Result<Named, XdrError> {
    Ok(match target {
        Target::Connection => Named::Connection,
        Target::Domain => {
            let domain: Domain = xdr::from_bytes(arguments)?;
            Named::Domain(DomainRef::from(&domain).uuid)
        }
        Target::DomainId => Named::DomainId(xdr::from_bytes(arguments)?),
        Target::DomainName => Named::DomainName(xdr::from_bytes(arguments)?),
        Target::DomainUuid => {
            let uuid: Uuid16 = xdr::from_bytes(arguments)?;
            Named::Domain(Uuid::from_bytes(uuid.into()))
        }
        Target::DomainXml => Named::DomainXml(xdr::from_bytes(arguments)?),
        Target::Network => {
            let network: Network = xdr::from_bytes(arguments)?;
            Named::Network(NetworkRef::from(&network).uuid)
        }
        Target::NetworkName => Named::NetworkName(xdr::from_bytes(arguments)?),
        Target::NetworkUuid => {
            let uuid: Uuid16 = xdr::from_bytes(arguments)?;
            Named::Network(Uuid::from_bytes(uuid.into()))
        }
        Target::NetworkXml => Named::NetworkXml(xdr::from_bytes(arguments)?),
        Target::Port => {
            let port: Port = xdr::from_bytes(arguments)?;
            let PortRef { network, uuid } = PortRef::from(&port);
            Named::Port { network: network.uuid, port: uuid }
        }
        Target::PortUuid => {
            let (network, port): (Network, Uuid16) = xdr::from_bytes(arguments)?;
            let network = NetworkRef::from(&network).uuid;
            Named::Port { network, port: Uuid::from_bytes(port.into()) }
        }
        Target::PortXml => {
            let (network, xml): (Network, Text) = xdr::from_bytes(arguments)?;
            Named::PortXml { network: NetworkRef::from(&network).uuid, xml }
        }
    })
}

/// An object as policies see it.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Subject {
    Connection,
    /// The UUID is missing if the domain does not have one yet.
    Domain {
        name: String,
        uuid: Option<Uuid>,
    },
    /// The UUID is missing if the network does not have one yet.
    Network {
        name: String,
        uuid: Option<Uuid>,
    },
    /// As for a network.
    Port {
        network: NetworkRef,
        uuid: Option<Uuid>,
    },
}

impl Subject {
    fn details(&self, driver: &'static str) -> Vec<(&'static str, String)> {
        let mut details = vec![("connect_driver", driver.to_owned())];
        match self {
            Self::Connection => {}
            Self::Domain { name, uuid } => {
                details.push(("domain_name", name.clone()));
                details.extend(uuid.map(|uuid| ("domain_uuid", uuid.to_string())));
            }
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

impl From<DomainRef> for Subject {
    fn from(domain: DomainRef) -> Self {
        Self::Domain { name: domain.name, uuid: Some(domain.uuid) }
    }
}

impl From<NetworkRef> for Subject {
    fn from(network: NetworkRef) -> Self {
        Self::Network { name: network.name, uuid: Some(network.uuid) }
    }
}

/// Checks that the client of `session` may make a call.
///
/// # Errors
/// [`ErrorCode::ACCESS_DENIED`] if it may not, another error if the policy cannot be asked.
pub(super) async fn check(session: &Session, found: Found, named: Named) -> Result<()> {
    let Some(authority) = session.daemon.access.clone() else { return Ok(()) };
    if found.procedure.acl.is_empty() {
        return Ok(());
    }
    let subject = match (named, session.served()) {
        (Named::Connection, _) => Some(Subject::Connection),
        (named, Ok(served)) => find(&*served.driver, named).await?,
        (_, Err(_)) => None,
    };
    let driver = driver_name(session, found.family);
    for (object, word) in found.procedure.acl {
        let subject = match (object, &subject) {
            (Object::Connect, _) => &Subject::Connection,
            (_, Some(subject)) => subject,
            // the object does not exist, which the driver reports
            (_, None) => return Ok(()),
        };
        ask(session, &authority, driver, (*object, word), subject).await?;
    }
    Ok(())
}

/// Checks that the client may do to a domain what only some flags of a call ask for.
///
/// # Errors
/// As for [`check`].
pub(super) async fn permit(session: &Session, domain: &DomainRef, word: &str) -> Result<()> {
    let Some(authority) = session.daemon.access.clone() else { return Ok(()) };
    let subject = find(&*session.served()?.driver, Named::Domain(domain.uuid)).await?;
    let Some(subject) = subject else { return Ok(()) };
    let driver = driver_name(session, Family::Domain);
    ask(session, &authority, driver, (Object::Domain, word), &subject).await
}

/// Name of the driver that serves calls of a family, as policies see it.
fn driver_name(session: &Session, family: Family) -> &'static str {
    match family {
        Family::Network | Family::Extension => "network",
        Family::Connect | Family::Host | Family::Domain | Family::Absent => {
            session.served().map_or("", |served| served.profile.driver)
        }
    }
}

/// The object as the driver knows it; `None` if the driver will reject the call because of it.
///
/// # Errors
/// [`ErrorCode::NO_SUPPORT`] if the driver cannot say which object a definition is for: without that
/// the policy cannot be asked.
async fn find(connection: &dyn Connection, named: Named) -> Result<Option<Subject>> {
    match named {
        Named::Connection => Ok(Some(Subject::Connection)),
        Named::Domain(_) | Named::DomainId(_) | Named::DomainName(_) | Named::DomainXml(_) => {
            match connection.domains() {
                Some(driver) => find_domain(driver, named).await,
                None => Ok(None),
            }
        }
        named => match connection.networks() {
            Some(driver) => find_network(driver, named).await,
            None => Ok(None),
        },
    }
}

async fn find_domain(driver: &dyn DomainDriver, named: Named) -> Result<Option<Subject>> {
    let found = match named {
        Named::Domain(uuid) => driver.domain_lookup_by_uuid(uuid).await,
        Named::DomainId(id) => match u32::try_from(id) {
            Ok(id) => driver.domain_lookup_by_id(id).await,
            Err(_) => return Ok(None),
        },
        Named::DomainName(name) => match name.as_str() {
            Some(name) => driver.domain_lookup_by_name(name).await,
            None => return Ok(None),
        },
        Named::DomainXml(xml) => {
            let identity = readable(driver.domain_identity(&xml.to_text()))?;
            return Ok(identity.map(|DomainIdentity { name, uuid }| Subject::Domain { name, uuid }));
        }
        _ => return Ok(None),
    };
    Ok(found.ok().map(Subject::from))
}

async fn find_network(driver: &dyn NetworkDriver, named: Named) -> Result<Option<Subject>> {
    Ok(match named {
        Named::Network(uuid) => network(driver, uuid).await.map(Subject::from),
        Named::NetworkName(name) => match name.as_str() {
            Some(name) => driver.network_lookup_by_name(name).await.ok().map(Subject::from),
            None => None,
        },
        Named::NetworkXml(xml) => readable(driver.network_identity(&xml.to_text()))?
            .map(|NetworkIdentity { name, uuid }| Subject::Network { name, uuid }),
        Named::Port { network: of, port } => {
            let network = network(driver, of).await;
            network.map(|network| Subject::Port { network, uuid: Some(port) })
        }
        Named::PortXml { network: of, xml } => {
            let uuid = readable(driver.network_port_identity(&xml.to_text()))?;
            let network = network(driver, of).await;
            network.zip(uuid).map(|(network, uuid)| Subject::Port { network, uuid })
        }
        _ => None,
    })
}

async fn network(driver: &dyn NetworkDriver, uuid: Uuid) -> Option<NetworkRef> {
    driver.network_lookup_by_uuid(uuid).await.ok()
}

/// What a definition names; `None` if it cannot be read, which the driver will report.
fn readable<T>(identity: Result<T>) -> Result<Option<T>> {
    match identity {
        Ok(identity) => Ok(Some(identity)),
        Err(error) if error.code() == ErrorCode::NO_SUPPORT => Err(error),
        Err(_) => Ok(None),
    }
}

/// The domains that the client may see.
///
/// # Errors
/// The policy cannot be asked.
pub(super) async fn visible_domains(
    session: &Session,
    domains: Vec<DomainRef>,
) -> Result<Vec<DomainRef>> {
    let object = (Family::Domain, Object::Domain);
    filtered(session, domains, object, |domain| domain.clone().into()).await
}

/// The networks that the client may see.
///
/// # Errors
/// The policy cannot be asked.
pub(super) async fn visible(
    session: &Session,
    networks: Vec<NetworkRef>,
) -> Result<Vec<NetworkRef>> {
    let object = (Family::Network, Object::Network);
    filtered(session, networks, object, |network| network.clone().into()).await
}

/// The ports that the client may see.
///
/// # Errors
/// The policy cannot be asked.
pub(super) async fn visible_ports(session: &Session, ports: Vec<PortRef>) -> Result<Vec<PortRef>> {
    let object = (Family::Network, Object::Port);
    filtered(session, ports, object, |port| Subject::Port {
        network: port.network.clone(),
        uuid: Some(port.uuid),
    })
    .await
}

async fn filtered<T>(
    session: &Session,
    all: Vec<T>,
    (family, object): (Family, Object),
    subject: impl Fn(&T) -> Subject,
) -> Result<Vec<T>> {
    let Some(authority) = session.daemon.access.clone() else { return Ok(all) };
    let driver = driver_name(session, family);
    let mut visible = Vec::new();
    for one in all {
        match ask(session, &authority, driver, (object, "getattr"), &subject(&one)).await {
            Ok(()) => visible.push(one),
            Err(error) if error.code() == ErrorCode::ACCESS_DENIED => {}
            Err(error) => return Err(error),
        }
    }
    Ok(visible)
}

/// Whether the client may see a network.
pub(super) async fn is_visible(session: &Session, network: &NetworkRef) -> bool {
    let visible = visible(session, vec![network.clone()]).await;
    visible.is_ok_and(|visible| !visible.is_empty())
}

/// Whether the client may see a domain.
pub(super) async fn is_visible_domain(session: &Session, domain: &DomainRef) -> bool {
    let visible = visible_domains(session, vec![domain.clone()]).await;
    visible.is_ok_and(|visible| !visible.is_empty())
}

async fn ask(
    session: &Session,
    authority: &Arc<dyn Authority>,
    driver: &'static str,
    (object, permission): (Object, &str),
    subject: &Subject,
) -> Result<()> {
    let action = format!("org.libvirt.api.{}.{permission}", object.word());
    let process = caller(session)?;
    match authority.check(process, &action, &subject.details(driver), Interaction::Refused).await {
        // every refusal counts, also one that a user could lift: a call never waits for a user
        Err(error)
            if matches!(
                error.code(),
                ErrorCode::AUTH_FAILED | ErrorCode::AUTH_UNAVAILABLE | ErrorCode::AUTH_CANCELLED
            ) =>
        {
            tracing::debug!(client = session.client.id, action, "rejecting call: policy denies it");
            let detail = format!("'{driver}' denied access");
            Err(Error::new(ErrorCode::ACCESS_DENIED, ErrorDomain::ACCESS, detail))
        }
        other => other,
    }
}

/// The process of the client: as another daemon passes it on, else as the kernel reports it.
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
