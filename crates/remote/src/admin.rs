//! Administration of a daemon: who is connected, what they may use, what is logged.
//!
//! A list of procedures of its own on a socket of its own, which only the daemon's user may open. What it
//! is about is behind [`Control`].
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

/// What an administrator can reach.
pub trait Control: Send + Sync {
    /// The servers of the daemon, by name.
    fn servers(&self) -> Vec<Arc<Server>>;

    /// Where the log goes, in libvirt's words.
    fn log_outputs(&self) -> String;

    /// What the log has, in libvirt's words; empty for no filter.
    fn log_filters(&self) -> String;

    /// Sends the log elsewhere.
    ///
    /// # Errors
    /// Number 8 for words that are none.
    fn set_log_outputs(&self, outputs: &str) -> Result<()>;

    /// Logs other things.
    ///
    /// # Errors
    /// Number 8 for words that are none.
    fn set_log_filters(&self, filters: &str) -> Result<()>;

    /// Reads the certificates again.
    ///
    /// # Errors
    /// Number 1 if there are none or they are wrong; the old ones stay.
    fn update_tls(&self, server: &str) -> Result<()>;

    /// After how long without anything to do the daemon ends; `None` for never.
    fn set_timeout(&self, timeout: Option<Duration>);

    /// Ends the daemon.
    fn shut_down(&self);
}

/// Serves administration on a socket.
#[derive(Clone)]
pub struct Administration {
    /// What it is about.
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
