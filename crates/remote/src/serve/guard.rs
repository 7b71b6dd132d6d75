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
    NetworkDriver, NetworkIdentity, NetworkRef, PortRef, Result, StorageDriver,
    StoragePoolIdentity, StoragePoolRef, StorageVolRef,
};
use oxivirt_rpc::identity::Process;
use oxivirt_rpc::xdr::{self, Text, Uuid16, XdrError};
use uuid::Uuid;

use crate::protocol::{Family, Found, Object, Target};
use crate::serve::session::Session;
use crate::serve::{Authority, Interaction};
use crate::wire::{Domain, Network, Port, StoragePool, StorageVol};

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
    StoragePool(Uuid),
    StoragePoolName(Text),
    StoragePoolPath(Text),
    StoragePoolXml(Text),
    StorageVol(StorageVolRef),
    StorageVolPool(StorageVolRef),
    StorageVolName { pool: Uuid, name: Text },
    StorageVolKey(Text),
    StorageVolPath(Text),
    StorageVolXml { pool: Uuid, xml: Text },
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
        target => read_storage_target(target, arguments)?,
    })
}

fn read_storage_target(target: Target, arguments: &[u8]) -> std::result::Result<Named, XdrError> {
    let uuid = |pool: &StoragePool| StoragePoolRef::from(pool).uuid;
    Ok(match target {
        Target::StoragePoolName => Named::StoragePoolName(xdr::from_bytes(arguments)?),
        Target::StoragePoolUuid => {
            let uuid: Uuid16 = xdr::from_bytes(arguments)?;
            Named::StoragePool(Uuid::from_bytes(uuid.into()))
        }
        Target::StoragePoolPath => Named::StoragePoolPath(xdr::from_bytes(arguments)?),
        Target::StoragePoolXml => Named::StoragePoolXml(xdr::from_bytes(arguments)?),
        Target::StorageVol => {
            let vol: StorageVol = xdr::from_bytes(arguments)?;
            Named::StorageVol((&vol).into())
        }
        Target::StorageVolPool => {
            let vol: StorageVol = xdr::from_bytes(arguments)?;
            Named::StorageVolPool((&vol).into())
        }
        Target::StorageVolName => {
            let (pool, name): (StoragePool, Text) = xdr::from_bytes(arguments)?;
            Named::StorageVolName { pool: uuid(&pool), name }
        }
        Target::StorageVolKey => Named::StorageVolKey(xdr::from_bytes(arguments)?),
        Target::StorageVolPath => Named::StorageVolPath(xdr::from_bytes(arguments)?),
        Target::StorageVolXml => {
            let (pool, xml): (StoragePool, Text) = xdr::from_bytes(arguments)?;
            Named::StorageVolXml { pool: uuid(&pool), xml }
        }
        _ => {
            let pool: StoragePool = xdr::from_bytes(arguments)?;
            Named::StoragePool(uuid(&pool))
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
    /// As for a network.
    StoragePool {
        name: String,
        uuid: Option<Uuid>,
    },
    /// The key is missing if the volume does not exist yet.
    StorageVol {
        pool: StoragePoolRef,
        name: String,
        key: Option<String>,
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
            Self::StoragePool { name, uuid } => {
                details.push(("pool_name", name.clone()));
                details.extend(uuid.map(|uuid| ("pool_uuid", uuid.to_string())));
            }
            Self::StorageVol { pool, name, key } => {
                details.push(("pool_name", pool.name.clone()));
                details.push(("pool_uuid", pool.uuid.to_string()));
                details.push(("vol_name", name.clone()));
                details.extend(key.clone().map(|key| ("vol_key", key)));
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

impl From<StoragePoolRef> for Subject {
    fn from(pool: StoragePoolRef) -> Self {
        Self::StoragePool { name: pool.name, uuid: Some(pool.uuid) }
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
    let family = match (&subject, found.family) {
        // our own program has calls about objects of several drivers
        (Some(Subject::Domain { .. }), Family::Extension) => Family::Domain,
        (_, family) => family,
    };
    let driver = driver_name(session, family);
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
        Family::Storage => "storage",
        Family::Connect
        | Family::Host
        | Family::Domain
        | Family::DomainStats
        | Family::DomainAgent
        | Family::DomainTuning
        | Family::DomainDevice
        | Family::Qemu
        | Family::Absent => session.served().map_or("", |served| served.profile.driver),
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
        Named::Network(_)
        | Named::NetworkName(_)
        | Named::NetworkXml(_)
        | Named::Port { .. }
        | Named::PortXml { .. } => match connection.networks() {
            Some(driver) => find_network(driver, named).await,
            None => Ok(None),
        },
        named => match connection.storage() {
            Some(driver) => find_storage(driver, named).await,
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

async fn find_storage(driver: &dyn StorageDriver, named: Named) -> Result<Option<Subject>> {
    let vol = |pool: Option<StoragePoolRef>, vol: StorageVolRef| {
        pool.map(|pool| Subject::StorageVol { pool, name: vol.name, key: Some(vol.key) })
    };
    Ok(match named {
        Named::StoragePool(uuid) => {
            driver.storage_pool_lookup_by_uuid(uuid).await.ok().map(Subject::from)
        }
        Named::StoragePoolName(name) => match name.as_str() {
            Some(name) => driver.storage_pool_lookup_by_name(name).await.ok().map(Subject::from),
            None => None,
        },
        Named::StoragePoolPath(path) => {
            let found = driver.storage_pool_lookup_by_target_path(&path.to_text()).await;
            found.ok().map(Subject::from)
        }
        Named::StoragePoolXml(xml) => readable(driver.storage_pool_identity(&xml.to_text()))?
            .map(|StoragePoolIdentity { name, uuid }| Subject::StoragePool { name, uuid }),
        Named::StorageVolPool(named) => {
            driver.storage_pool_lookup_by_volume(&named).await.ok().map(Subject::from)
        }
        Named::StorageVol(named) => {
            let pool = driver.storage_pool_lookup_by_volume(&named).await.ok();
            // the key is the driver's: a client could name another one
            let found = match &pool {
                Some(pool) => driver.storage_vol_lookup_by_name(pool, &named.name).await.ok(),
                None => None,
            };
            found.and_then(|found| vol(pool, found))
        }
        Named::StorageVolName { pool, name } => {
            let pool = driver.storage_pool_lookup_by_uuid(pool).await.ok();
            let found = match &pool {
                Some(pool) => driver.storage_vol_lookup_by_name(pool, &name.to_text()).await.ok(),
                None => None,
            };
            found.and_then(|found| vol(pool, found))
        }
        Named::StorageVolKey(key) => {
            let found = driver.storage_vol_lookup_by_key(&key.to_text()).await.ok();
            of_volume(driver, found).await
        }
        Named::StorageVolPath(path) => {
            let found = driver.storage_vol_lookup_by_path(&path.to_text()).await.ok();
            of_volume(driver, found).await
        }
        Named::StorageVolXml { pool, xml } => {
            let name = readable(driver.storage_vol_identity(&xml.to_text()))?;
            let pool = driver.storage_pool_lookup_by_uuid(pool).await.ok();
            pool.zip(name).map(|(pool, name)| Subject::StorageVol { pool, name, key: None })
        }
        _ => None,
    })
}

/// The subject of a volume that was found.
async fn of_volume(driver: &dyn StorageDriver, found: Option<StorageVolRef>) -> Option<Subject> {
    let found = found?;
    let pool = driver.storage_pool_lookup_by_volume(&found).await.ok()?;
    Some(Subject::StorageVol { pool, name: found.name, key: Some(found.key) })
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

/// The pools that the client may see.
///
/// # Errors
/// The policy cannot be asked.
pub(super) async fn visible_pools(
    session: &Session,
    pools: Vec<StoragePoolRef>,
) -> Result<Vec<StoragePoolRef>> {
    let object = (Family::Storage, Object::StoragePool);
    filtered(session, pools, object, |pool| pool.clone().into()).await
}

/// The volumes of a pool that the client may see.
///
/// # Errors
/// The policy cannot be asked.
pub(super) async fn visible_vols(
    session: &Session,
    pool: &StoragePoolRef,
    vols: Vec<StorageVolRef>,
) -> Result<Vec<StorageVolRef>> {
    let object = (Family::Storage, Object::StorageVol);
    filtered(session, vols, object, |vol| Subject::StorageVol {
        pool: pool.clone(),
        name: vol.name.clone(),
        key: Some(vol.key.clone()),
    })
    .await
}

/// Whether the client may see a pool.
pub(super) async fn is_visible_pool(session: &Session, pool: &StoragePoolRef) -> bool {
    let visible = visible_pools(session, vec![pool.clone()]).await;
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
