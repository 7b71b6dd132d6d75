//! TCP ports, without and with TLS.
//!
//! A port without authentication is opened only if the configuration disables authentication explicitly.

use std::net::SocketAddr;
use std::sync::Arc;

use oxivirt_rpc::server::Socket;
use oxivirt_rpc::server::accept::{Encryption, Settings};
use oxivirt_rpc::tls::{self, Files, TlsError, Verify};
use tokio::net::{TcpListener, lookup_host};

use crate::config::{PortAuthentication, Ports, TlsConfig, Verify as Clients};

/// Why a port is not opened.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub(crate) enum PortError {
    /// `auth_tcp` is not set.
    #[error(
        "listen_tcp lets every client that reaches the port manage this host; set auth_tcp to \
         \"none\" to allow that"
    )]
    Unguarded,
    /// SASL is configured.
    #[error("{0} = \"sasl\": SASL is not supported")]
    Sasl(&'static str),
    /// The address cannot be resolved or the port cannot be opened.
    #[error("cannot listen on {address}")]
    Listen {
        address: String,
        #[source]
        source: std::io::Error,
    },
    /// Certificates.
    #[error(transparent)]
    Tls(#[from] TlsError),
}

/// Reads the certificates.
///
/// # Errors
/// [`TlsError`]
pub(crate) fn settings(files: &TlsConfig) -> Result<Settings, TlsError> {
    let verify = match files.verify {
        Clients::Required => Verify::Peer,
        Clients::Off => Verify::Nothing,
    };
    let found = Files {
        ca: files.ca.clone(),
        crl: Some(files.crl.clone()),
        own: Some((files.cert.clone(), files.key.clone())),
    };
    Ok(Settings { config: tls::server(&found, verify)?, verify, allowed: files.allowed.clone() })
}

/// Opens the configured ports; how the port with TLS encrypts.
///
/// # Errors
/// [`PortError`]
pub(super) async fn open(
    ports: &Ports,
    files: &TlsConfig,
) -> Result<(Vec<Socket>, Option<Arc<Encryption>>), PortError> {
    let mut sockets = Vec::new();
    if let Some(port) = ports.tcp {
        match ports.auth_tcp {
            None => return Err(PortError::Unguarded),
            Some(PortAuthentication::Sasl) => return Err(PortError::Sasl("auth_tcp")),
            Some(PortAuthentication::None) => {}
        }
        sockets.extend(listen(ports, port).await?.into_iter().map(Socket::Tcp));
    }
    let Some(port) = ports.tls else { return Ok((sockets, None)) };
    if ports.auth_tls == PortAuthentication::Sasl {
        return Err(PortError::Sasl("auth_tls"));
    }
    let encryption = Arc::new(Encryption::new(settings(files)?));
    for listener in listen(ports, port).await? {
        sockets.push(Socket::Tls(listener, Arc::clone(&encryption)));
    }
    Ok((sockets, Some(encryption)))
}

/// One socket for each address of the configured name, or one for all addresses if none is configured.
async fn listen(ports: &Ports, port: u16) -> Result<Vec<TcpListener>, PortError> {
    // a socket of `::` accepts IPv4 too, where the kernel has both
    let host = ports.address.as_deref().unwrap_or("::");
    let failed = |source| PortError::Listen { address: format!("{host} port {port}"), source };
    let addresses: Vec<SocketAddr> = lookup_host((host, port)).await.map_err(failed)?.collect();
    let mut listeners = Vec::new();
    for address in addresses {
        match TcpListener::bind(address).await {
            Ok(listener) => listeners.push(listener),
            Err(_) if ports.address.is_none() => {
                let any = SocketAddr::from(([0, 0, 0, 0], port));
                listeners.push(TcpListener::bind(any).await.map_err(failed)?);
            }
            Err(source) => return Err(failed(source)),
        }
    }
    Ok(listeners)
}
