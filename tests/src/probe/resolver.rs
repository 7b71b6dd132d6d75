//! A stand-in for systemd-resolved on the bus that the environment names.

use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};

use zbus::interface;

use crate::error::{Error, Result};

#[derive(Debug, Default)]
struct Manager {
    refuses: bool,
    calls: Arc<Mutex<Vec<String>>>,
}

impl Manager {
    fn note(&self, call: String) -> zbus::fdo::Result<()> {
        if self.refuses {
            return Err(zbus::fdo::Error::Failed("not today".to_owned()));
        }
        self.calls.lock().unwrap_or_else(PoisonError::into_inner).push(call);
        Ok(())
    }
}

#[expect(clippy::needless_pass_by_value, reason = "as the bus delivers them")]
#[interface(name = "org.freedesktop.resolve1.Manager")]
impl Manager {
    #[zbus(name = "SetLinkDomains")]
    fn set_link_domains(&self, link: i32, domains: Vec<(String, bool)>) -> zbus::fdo::Result<()> {
        let domains = domains.iter().map(|(name, routing)| format!(" {name} {routing}"));
        self.note(format!("SetLinkDomains {link}{}", domains.collect::<String>()))
    }

    #[zbus(name = "SetLinkDNS")]
    fn set_link_dns(&self, link: i32, servers: Vec<(i32, Vec<u8>)>) -> zbus::fdo::Result<()> {
        let address = |bytes: &[u8]| match bytes.len() {
            4 => <[u8; 4]>::try_from(bytes).ok().map(IpAddr::from),
            _ => <[u8; 16]>::try_from(bytes).ok().map(IpAddr::from),
        };
        let servers = servers.iter().map(|(family, bytes)| match address(bytes) {
            Some(address) => format!(" {family} {address}"),
            None => format!(" {family} {bytes:?}"),
        });
        self.note(format!("SetLinkDNS {link}{}", servers.collect::<String>()))
    }
}

/// Accepts or refuses registrations until standard input ends, then prints them.
///
/// # Errors
/// There is no bus, or it has a resolver already.
pub async fn resolver(refuses: bool) -> Result<()> {
    let manager = Manager { refuses, ..Manager::default() };
    let calls = Arc::clone(&manager.calls);
    let wrong = |error: zbus::Error| Error::Wrong(format!("message bus: {error}"));
    let connection = zbus::connection::Builder::system()
        .and_then(|builder| builder.name("org.freedesktop.resolve1"))
        .and_then(|builder| builder.serve_at("/org/freedesktop/resolve1", manager))
        .map_err(wrong)?
        .build()
        .await
        .map_err(wrong)?;
    println!("ready");
    let end = tokio::task::spawn_blocking(|| std::io::read_to_string(std::io::stdin()));
    drop(end.await);
    drop(connection);
    for call in calls.lock().unwrap_or_else(PoisonError::into_inner).iter() {
        println!("{call}");
    }
    Ok(())
}
