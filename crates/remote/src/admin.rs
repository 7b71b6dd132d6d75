//! Administration of a daemon: clients, limits, thread pools, log and certificates.
//!
//! A program of the protocol of its own, on a socket that only the daemon's user may open. The daemon
//! implements [`Control`].
//!
//! libvirt 11.3.0: src/admin/admin_protocol.x

mod calls;
mod params;
pub mod protocol;

use std::sync::Arc;
use std::time::Duration;

use oxivirt::Result;
use oxivirt_rpc::frame::{Kind, Packet, STATUS_OK};
use oxivirt_rpc::server::{Client, Server, Serves, Service, Step, Then};
use tarpc::context::Context;
use tarpc::server::Serve as _;

use crate::call;
use crate::serve::dispatch::append_error;
use crate::serve::session::rpc;
use protocol::{Admin as _, AdminRequest, PROGRAM, VERSION};

/// What an administrator can read and change.
pub trait Control: Send + Sync {
    /// The servers of the daemon, in the order of their names.
    fn servers(&self) -> Vec<Arc<Server>>;

    /// The outputs of the log, in libvirt's notation.
    fn log_outputs(&self) -> String;

    /// The filters of the log, in libvirt's notation; empty without a filter.
    fn log_filters(&self) -> String;

    /// Replaces the outputs of the log.
    ///
    /// # Errors
    /// [`ErrorCode::INVALID_ARG`](oxivirt::ErrorCode::INVALID_ARG) for a malformed definition,
    /// [`ErrorCode::SYSTEM_ERROR`](oxivirt::ErrorCode::SYSTEM_ERROR) for a file that cannot be opened; the
    /// old outputs stay.
    fn set_log_outputs(&self, outputs: &str) -> Result<()>;

    /// Replaces the filters of the log.
    ///
    /// # Errors
    /// [`ErrorCode::INVALID_ARG`](oxivirt::ErrorCode::INVALID_ARG) for a malformed definition; the old
    /// filters stay.
    fn set_log_filters(&self, filters: &str) -> Result<()>;

    /// Reads the certificates of a server again.
    ///
    /// # Errors
    /// [`ErrorCode::INTERNAL_ERROR`](oxivirt::ErrorCode::INTERNAL_ERROR) if it has no port with TLS or they
    /// cannot be used; the old ones stay.
    fn update_tls(&self, server: &str) -> Result<()>;

    /// Sets after how long without clients and running objects the daemon ends; `None` for never.
    fn set_timeout(&self, timeout: Option<Duration>);

    /// Ends the daemon.
    fn shut_down(&self);
}

/// Serves administration on a socket.
#[derive(Clone)]
pub struct Administration {
    /// The daemon.
    pub control: Arc<dyn Control>,
}

impl std::fmt::Debug for Administration {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Administration")
    }
}

impl Serves for Administration {
    fn connect(&self, client: &Arc<Client>) -> Box<dyn Service> {
        client.start_keepalive();
        Box::new(Dispatcher { control: Arc::clone(&self.control) })
    }
}

struct Dispatcher {
    control: Arc<dyn Control>,
}

impl Dispatcher {
    fn call(&self, packet: Packet<'_>) -> Result<Step> {
        let header = packet.header;
        if header.program != PROGRAM || header.version != VERSION {
            let (program, version) = (header.program, header.version);
            return Err(rpc(format!("Cannot find program {program} version {version}")));
        }
        if header.status != STATUS_OK {
            return Err(rpc(format!("Unexpected message status {}", header.status)));
        }
        let found = protocol::find(header.procedure);
        let (index, procedure) =
            found.ok_or_else(|| rpc(format!("unknown procedure: {}", header.procedure)))?;
        let request: AdminRequest = call::read_request(index, packet.payload)
            .map_err(|_| rpc("Unable to decode message payload"))?;
        let then = if procedure.number == protocol::CLOSE { Then::Close } else { Then::Continue };
        let calls = calls::Calls { control: Arc::clone(&self.control) };
        Ok(Step::Answer(Box::pin(async move {
            let mut out = Vec::new();
            match calls.serve().serve(Context::current(), request).await {
                Ok(response) if call::append_response(&mut out, header, &response).is_ok() => {}
                _ => append_error(&mut out, header, rpc("Unable to encode message payload")),
            }
            (out, then)
        })))
    }
}

impl Service for Dispatcher {
    fn packet(&self, packet: Packet<'_>, out: &mut Vec<u8>) -> Step {
        if packet.header.kind != Kind::Call {
            return Step::Done(Then::Continue);
        }
        self.call(packet).unwrap_or_else(|error| {
            append_error(out, packet.header, error);
            Step::Done(Then::Continue)
        })
    }

    fn closed(&self) {}
}
