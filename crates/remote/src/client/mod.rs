//! The client side: a daemon as a driver.
//!
//! [`RemoteDriver`] turns calls of the API into calls of the protocol, by the clients that `tarpc` makes of
//! the lists, over libvirt's packets. A file per family has a short method per call; [`open`] finds and opens
//! the connection, `transport` shares it between the families.

mod autostart;
mod connect;
mod domain;
mod domain_agent;
mod domain_stats;
mod domain_tuning;
pub mod environment;
mod events;
mod extension;
mod host;
mod network;
pub mod open;
mod storage;
mod streams;
mod transport;
mod unix;

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicI32, Ordering};
use std::time::{Duration, Instant};

use oxivirt::{DomainEvent, Error, ErrorCode, ErrorDomain, NetworkEvent, Result, StorageEvent};
use oxivirt_rpc::client::Outgoing;
use serde::Serialize;
use tarpc::client::RpcError;
use tarpc::context::Context;
use tokio::sync::OnceCell;

use crate::protocol::Reply;
use crate::protocol::connect::ConnectCallsClient;
use crate::protocol::domain::DomainCallsClient;
use crate::protocol::domain_agent::DomainAgentCallsClient;
use crate::protocol::domain_device::DomainDeviceCallsClient;
use crate::protocol::domain_stats::DomainStatsCallsClient;
use crate::protocol::domain_tuning::DomainTuningCallsClient;
use crate::protocol::extension::ExtensionCallsClient;
use crate::protocol::host::HostCallsClient;
use crate::protocol::network::NetworkCallsClient;
use crate::protocol::qemu::QemuCallsClient;
use crate::protocol::storage::StorageCallsClient;
use events::Subscriptions;
use streams::{ClientStream, Streams};

pub use environment::Environment;
pub use open::register;

/// A call waits for its answer as long as libvirt does: until the connection ends. `tarpc` needs a finite
/// deadline, and fails beyond two years.
const DEADLINE: Duration = Duration::from_secs(365 * 24 * 3600);

/// Errno of a connection that broke.
const EIO: i32 = 5;

/// An open connection to a daemon.
pub struct RemoteDriver {
    connect: ConnectCallsClient,
    host: HostCallsClient,
    domain: DomainCallsClient,
    domain_stats: DomainStatsCallsClient,
    domain_agent: DomainAgentCallsClient,
    domain_tuning: DomainTuningCallsClient,
    domain_device: DomainDeviceCallsClient,
    qemu: QemuCallsClient,
    network: NetworkCallsClient,
    storage: StorageCallsClient,
    extension: ExtensionCallsClient,
    /// Numbers of the calls of our own program that the daemon has.
    extensions: OnceCell<Vec<i32>>,
    outgoing: Outgoing,
    subscriptions: Arc<Subscriptions<NetworkEvent>>,
    domain_subscriptions: Arc<Subscriptions<DomainEvent>>,
    storage_subscriptions: Arc<Subscriptions<StorageEvent>>,
    streams: Arc<Streams>,
    uri: String,
    secrecy: Secrecy,
    /// Whether partial changes have their parameters in the documented order; -1 if not asked yet.
    update_order: AtomicI32,
    /// Whether the daemon answers keepalive pings.
    keepalive: bool,
    deadline: Option<Duration>,
}

/// Protection of the conversation against other readers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Secrecy {
    /// None: every host on the way can read it.
    None,
    /// It does not leave the host.
    Local,
    /// It is encrypted.
    Encrypted,
}

impl fmt::Debug for RemoteDriver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RemoteDriver").field("uri", &self.uri).finish_non_exhaustive()
    }
}

impl RemoteDriver {
    /// Waits for an answer.
    async fn ask<T>(
        &self,
        call: impl Future<Output = std::result::Result<Reply<T>, RpcError>>,
    ) -> Result<T> {
        match call.await {
            Ok(Ok(value)) => Ok(value),
            Ok(Err(error)) => Err((&error).into()),
            Err(error) => Err(self.broken(&error)),
        }
    }

    /// Makes a call that opens a stream; returns its answer with it.
    async fn open_stream<R: Serialize>(
        &self,
        procedure: i32,
        request: &R,
    ) -> Result<(ClientStream, Vec<u8>)> {
        let opening = self.streams.call(procedure, request);
        match self.deadline {
            Some(deadline) => tokio::time::timeout(deadline, opening).await.map_err(|_| {
                Error::new(ErrorCode::OPERATION_TIMEOUT, ErrorDomain::RPC, "no answer in time")
            })?,
            None => opening.await,
        }
    }

    fn broken(&self, error: &RpcError) -> Error {
        match error {
            RpcError::DeadlineExceeded => {
                Error::new(ErrorCode::OPERATION_TIMEOUT, ErrorDomain::RPC, "no answer in time")
            }
            _ if self.outgoing.ended().is_some() => {
                Error::new(ErrorCode::INTERNAL_ERROR, ErrorDomain::RPC, "client socket is closed")
            }
            _ => Error::system(ErrorDomain::RPC, EIO, "End of file while reading data"),
        }
    }

    /// The deadline of a call, in the form of `tarpc`.
    fn context(&self) -> Context {
        let mut context = tarpc::context::current();
        context.deadline = Instant::now() + self.deadline.unwrap_or(DEADLINE);
        context
    }

    /// Whether the daemon has a feature; a daemon without this call has none.
    async fn has_feature(&self, feature: i32) -> bool {
        let asked = self.connect.connect_supports_feature(self.context(), feature);
        self.ask(asked).await.is_ok_and(|answer| answer != 0)
    }

    /// Whether section and command of a partial change come in the documented order. Old daemons swap
    /// them and do not have the feature.
    async fn has_update_order(&self) -> bool {
        const ORDER: i32 = 16;
        match self.update_order.load(Ordering::Relaxed) {
            -1 => {
                let has = self.has_feature(ORDER).await;
                self.update_order.store(i32::from(has), Ordering::Relaxed);
                has
            }
            known => known != 0,
        }
    }
}
