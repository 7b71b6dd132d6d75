//! Telling systemd-resolved which names are to be looked up behind a link.
//!
//! org.freedesktop.resolve1(5); libvirt 11.3.0: src/util/virsystemd.c

use std::net::IpAddr;
use std::time::Duration;

use zbus::Connection;

const SERVICE: &str = "org.freedesktop.resolve1";
const PATH: &str = "/org/freedesktop/resolve1";
const INTERFACE: &str = "org.freedesktop.resolve1.Manager";

/// As long as D-Bus libraries wait for an answer.
const DEADLINE: Duration = Duration::from_secs(25);

/// Why the resolver does not know about a link.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ResolvedError {
    /// There is no system bus, or no resolver on it.
    #[error("systemd-resolved is not available")]
    Absent(#[source] Option<zbus::Error>),
    /// It refused.
    #[error(transparent)]
    Refused(zbus::Error),
    /// It did not answer.
    #[error("systemd-resolved did not answer within {DEADLINE:?}")]
    Deadline,
}

/// Makes the names below `domain`, and only these, be looked up at `servers` through the link with
/// index `link`. The resolver forgets it with the link.
///
/// # Errors
/// [`ResolvedError`]
pub async fn register(link: u32, domain: &str, servers: &[IpAddr]) -> Result<(), ResolvedError> {
    let calls = async {
        let connection =
            Connection::system().await.map_err(|error| ResolvedError::Absent(Some(error)))?;
        let link = i32::try_from(link).unwrap_or_default();
        let is_routing_only = true;
        call(&connection, "SetLinkDomains", &(link, vec![(domain, is_routing_only)])).await?;
        let servers: Vec<(i32, Vec<u8>)> = servers.iter().map(server).collect();
        call(&connection, "SetLinkDNS", &(link, servers)).await
    };
    tokio::time::timeout(DEADLINE, calls).await.map_err(|_| ResolvedError::Deadline)?
}

/// `AF_INET`, `AF_INET6` and the address in network byte order.
fn server(address: &IpAddr) -> (i32, Vec<u8>) {
    match address {
        IpAddr::V4(address) => (nix::libc::AF_INET, address.octets().to_vec()),
        IpAddr::V6(address) => (nix::libc::AF_INET6, address.octets().to_vec()),
    }
}

async fn call<B>(connection: &Connection, method: &str, body: &B) -> Result<(), ResolvedError>
where
    B: zbus::export::serde::Serialize + zbus::zvariant::DynamicType + Sync,
{
    let answer = connection.call_method(Some(SERVICE), PATH, Some(INTERFACE), method, body).await;
    match answer {
        Ok(_) => Ok(()),
        Err(error) if is_absent(&error) => Err(ResolvedError::Absent(Some(error))),
        Err(error) => Err(ResolvedError::Refused(error)),
    }
}

fn is_absent(error: &zbus::Error) -> bool {
    let zbus::Error::MethodError(name, ..) = error else { return false };
    let name = name.as_str().strip_prefix("org.freedesktop.DBus.Error.");
    let absent = ["ServiceUnknown", "NameHasNoOwner"];
    name.is_some_and(|name| absent.contains(&name) || name.starts_with("Spawn."))
}
