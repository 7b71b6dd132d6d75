//! The HTTP server that metrics are read from.
//!
//! The answer is the same for every method and path. A connection is closed after one answer, five seconds
//! or a request head that is too long, and only a few are served at a time.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::header::{CONTENT_TYPE, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, UnixListener};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::Metrics;
use crate::listeners::sockets::{self, SocketError, SocketFile};

/// The longest request head, in bytes; hyper takes no smaller limit.
const HEAD_MAX: usize = 8192;

/// How long a connection may take in all.
const PATIENCE: Duration = Duration::from_secs(5);

/// Connections served at the same time; further ones wait.
const CONNECTIONS: usize = 8;

/// Why metrics cannot be served.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub(crate) enum EndpointError {
    /// Neither a path nor an address of this host.
    #[error("metrics_listen: '{0}' is neither an absolute path nor a port of this host")]
    Address(String),
    /// The port cannot be opened.
    #[error("metrics_listen: cannot listen on {address}")]
    Listen {
        address: SocketAddr,
        #[source]
        source: std::io::Error,
    },
    /// The socket cannot be opened.
    #[error("metrics_listen")]
    Socket(#[source] SocketError),
}

/// Where metrics are served.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Place {
    Socket(PathBuf),
    Port(SocketAddr),
}

impl Place {
    /// Reads the setting: a path, or a port with or without an address of this host.
    ///
    /// # Errors
    /// [`EndpointError::Address`]
    pub(crate) fn parse(text: &str) -> Result<Self, EndpointError> {
        if text.starts_with('/') {
            return Ok(Self::Socket(text.into()));
        }
        let port = text.parse().map(|port: u16| SocketAddr::from(([127, 0, 0, 1], port)));
        let address = port.ok().or_else(|| text.parse().ok());
        match address.filter(|address| address.ip().is_loopback()) {
            Some(address) => Ok(Self::Port(address)),
            None => Err(EndpointError::Address(text.to_owned())),
        }
    }
}

/// An open socket or port, whose clients wait until it is served.
#[derive(Debug)]
pub(crate) struct Endpoint {
    listener: Listener,
    /// Removes the file of a socket.
    _file: Option<SocketFile>,
}

#[derive(Debug)]
enum Listener {
    Unix(UnixListener),
    Tcp(TcpListener),
}

impl Endpoint {
    /// Opens the socket, which only the daemon's user can connect to, or the port.
    ///
    /// # Errors
    /// [`EndpointError`]
    pub(crate) async fn open(place: &Place) -> Result<Self, EndpointError> {
        match place {
            Place::Socket(path) => {
                let opened = sockets::listen(path, 0o600, None, 16);
                let (listener, file) = opened.map_err(EndpointError::Socket)?;
                Ok(Self { listener: Listener::Unix(listener), _file: Some(file) })
            }
            Place::Port(address) => {
                let failed = |source| EndpointError::Listen { address: *address, source };
                let listener = TcpListener::bind(address).await.map_err(failed)?;
                Ok(Self { listener: Listener::Tcp(listener), _file: None })
            }
        }
    }

    /// Serves connections until the returned future is dropped.
    pub(crate) async fn serve(self, metrics: Arc<Metrics>) {
        let connections = Arc::new(Semaphore::new(CONNECTIONS));
        while let Ok(permit) = Arc::clone(&connections).acquire_owned().await {
            let metrics = Arc::clone(&metrics);
            let accepted = match &self.listener {
                Listener::Unix(listener) => listener.accept().await.map(|(stream, _)| {
                    drop(tokio::spawn(answer(stream, metrics, permit)));
                }),
                Listener::Tcp(listener) => listener.accept().await.map(|(stream, _)| {
                    drop(tokio::spawn(answer(stream, metrics, permit)));
                }),
            };
            if let Err(error) = accepted {
                // descriptors are used up, as a rule: an immediate retry would fail again
                let retry_s = PATIENCE.as_secs();
                tracing::warn!(%error, retry_s, "cannot accept a connection for metrics");
                tokio::time::sleep(PATIENCE).await;
            }
        }
    }
}

/// Serves one connection.
async fn answer<S>(stream: S, metrics: Arc<Metrics>, permit: OwnedSemaphorePermit)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let service = service_fn(|_: Request<Incoming>| response(Arc::clone(&metrics)));
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(PATIENCE)
        .max_buf_size(HEAD_MAX)
        .keep_alive(false)
        .title_case_headers(true)
        .serve_connection(TokioIo::new(stream), service);
    match tokio::time::timeout(PATIENCE, connection).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tracing::debug!(%error, "connection for metrics failed"),
        Err(_) => tracing::debug!(limit_s = PATIENCE.as_secs(), "connection for metrics timed out"),
    }
    drop(permit);
}

async fn response(metrics: Arc<Metrics>) -> Result<Response<Full<Bytes>>, Infallible> {
    let mut response = Response::new(Full::default());
    match metrics.text().await {
        Ok(text) => {
            let format = HeaderValue::from_static(prometheus::TEXT_FORMAT);
            response.headers_mut().insert(CONTENT_TYPE, format);
            *response.body_mut() = Full::from(text);
        }
        Err(error) => {
            tracing::error!(%error, "cannot format metrics: the request fails");
            *response.status_mut() = StatusCode::INTERNAL_SERVER_ERROR;
        }
    }
    Ok(response)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places() {
        assert_eq!(Place::parse("/s").unwrap(), Place::Socket("/s".into()));
        assert_eq!(Place::parse("9").unwrap(), Place::Port("127.0.0.1:9".parse().unwrap()));
        assert_eq!(Place::parse("[::1]:9").unwrap(), Place::Port("[::1]:9".parse().unwrap()));
        for wrong in ["0.0.0.0:9", "192.0.2.1:9", "name:9", "", "70000"] {
            assert!(Place::parse(wrong).is_err(), "{wrong}");
        }
    }
}
