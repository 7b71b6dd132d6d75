//! From a packet to a call and back to a packet.
//!
//! What is wrong with a packet is answered here, in the order libvirt checks it: program, status,
//! procedure, identity, arguments; then the state of the connection. The arguments of a call that a
//! read-only connection may not make are not read.
//!
//! libvirt 11.3.0: src/rpc/virnetserverprogram.c

use std::pin::Pin;
use std::sync::Arc;
use std::time::Instant;

use oxivirt::{Error, ErrorCode, ErrorDomain};
use oxivirt_rpc::frame::{Header, Kind, Packet, STATUS_ERROR, STATUS_OK};
use oxivirt_rpc::server::{Service, Step, Then};
use oxivirt_rpc::xdr::XdrError;
use oxivirt_rpc::{frame, xdr};
use tarpc::context::Context;
use tarpc::server::Serve as _;

use crate::call;
use crate::protocol::absent::AbsentCalls;
use crate::protocol::connect::ConnectCalls;
use crate::protocol::domain::DomainCalls;
use crate::protocol::domain_agent::DomainAgentCalls;
use crate::protocol::domain_device::DomainDeviceCalls;
use crate::protocol::domain_stats::DomainStatsCalls;
use crate::protocol::domain_tuning::DomainTuningCalls;
use crate::protocol::extension::{self, ExtensionCalls};
use crate::protocol::host::HostCalls;
use crate::protocol::network::NetworkCalls;
use crate::protocol::qemu::{self, QemuCalls};
use crate::protocol::storage::StorageCalls;
use crate::protocol::unserved::{self, UnservedProcedure};
use crate::protocol::{self, Family, Found, Needs, PROGRAM, VERSION};
use crate::serve::session::{Session, not_open, rpc};
use crate::serve::{Calls, guard};
use crate::wire::RemoteError;

/// Calls of QEMU's program; its last number but one is an event.
const QEMU_CALLS: std::ops::RangeInclusive<i32> = 1..=5;

/// Serves one connection.
#[derive(Debug)]
pub struct Dispatcher {
    session: Arc<Session>,
}

/// The procedure of a packet.
enum Requested {
    Served(Found),
    Unserved(UnservedProcedure),
    /// A procedure whose arguments are not known here.
    Undecodable,
}

/// A call whose arguments have been read: it appends its answer to the bytes.
type Call = Pin<Box<dyn Future<Output = (Vec<u8>, Then)> + Send>>;

impl Dispatcher {
    /// Serves the connection whose state is `session`.
    #[must_use]
    pub fn new(session: Arc<Session>) -> Self {
        Self { session }
    }

    /// Rejects what can be rejected without reading the arguments.
    fn check(&self, header: &Header) -> Result<Requested, Error> {
        let Header { program, version, procedure, status, .. } = *header;
        let is_known = [PROGRAM, qemu::PROGRAM, extension::PROGRAM].contains(&program);
        if !is_known || version != VERSION {
            return Err(rpc(format!("Cannot find program {program} version {version}")));
        }
        if status != STATUS_OK {
            return Err(rpc(format!("Unexpected message status {status}")));
        }
        let requested = match (protocol::find(program, procedure), program) {
            (Some(found), _) => Requested::Served(found),
            (None, qemu::PROGRAM) if QEMU_CALLS.contains(&procedure) => Requested::Undecodable,
            (None, PROGRAM) => unserved::find(procedure)
                .map(Requested::Unserved)
                .ok_or_else(|| rpc(format!("unknown procedure: {procedure}")))?,
            (None, _) => return Err(rpc(format!("unknown procedure: {procedure}"))),
        };
        let needs = match &requested {
            Requested::Served(found) => found.procedure.needs,
            Requested::Unserved(_) | Requested::Undecodable => Needs::Identity,
        };
        if needs != Needs::Nothing && !self.session.is_authenticated() {
            return Err(rpc("authentication required"));
        }
        if let Requested::Served(Found { family, procedure, .. }) = requested
            && needs == Needs::Change
            && let Some(access) = self.session.access()
        {
            access.check_change(family.domain(), procedure.api)?;
        }
        Ok(requested)
    }

    /// Rejects what the state of the connection does not allow.
    fn check_state(&self, needs: Needs) -> Result<(), Error> {
        match needs {
            Needs::Nothing | Needs::Identity => Ok(()),
            Needs::Connection if self.session.has_host() => Ok(()),
            Needs::Connection => Err(not_open("hypervisor connection not open")),
            Needs::Open | Needs::Change if self.session.access().is_some() => Ok(()),
            Needs::Open | Needs::Change => Err(not_open("connection not open")),
        }
    }

    fn call(&self, header: Header, payload: &[u8]) -> Result<Step, Error> {
        let found = match self.check(&header)? {
            Requested::Served(found) => found,
            Requested::Unserved(procedure) if payload.len() >= procedure.min_len => {
                return Err(self.unserved(procedure));
            }
            Requested::Unserved(_) | Requested::Undecodable => return Err(undecodable()),
        };
        let calls = Calls::new(Arc::clone(&self.session));
        let call = prepare(calls.clone(), found, header, payload).map_err(|_| undecodable())?;
        let procedure = found.procedure;
        // only needed if a policy is asked
        let named = match self.session.daemon.access {
            Some(_) => guard::read_target(procedure.target, payload).map_err(|_| undecodable())?,
            None => guard::Named::Connection,
        };
        self.check_state(procedure.needs)?;
        let session = Arc::clone(&self.session);
        Ok(Step::Answer(Box::pin(async move {
            let observer = session.daemon.observer.clone();
            let started = observer.as_ref().map(|_| Instant::now());
            let span = tracing::debug_span!("call", procedure.name, header.serial);
            let (mut out, then) = match guard::check(&session, found, named).await {
                Ok(()) => tracing::Instrument::instrument(call, span).await,
                Err(denied) => {
                    let mut out = Vec::new();
                    append_error(&mut out, header, denied);
                    (out, Then::Continue)
                }
            };
            if let (Some(observer), Some(started)) = (observer, started) {
                let is_ok = frame::first(&out)
                    .is_ok_and(|packet| packet.is_some_and(|p| p.header.status == STATUS_OK));
                observer.called(procedure.name, started.elapsed(), is_ok);
            }
            if let Some(opened) = calls.take_stream() {
                // the answer takes the way of the stream's packets, so that it is in front of them
                session.client.send(std::mem::take(&mut out));
                session.streams.start(&session.client, header, opened);
            }
            (out, then)
        })))
    }

    /// The error of a call whose family has no driver.
    fn unserved(&self, procedure: UnservedProcedure) -> Error {
        match procedure.family {
            unserved::Family::Domain if self.session.has_host() => {
                Error::unsupported(ErrorDomain::DOMAIN, procedure.api)
            }
            unserved::Family::Domain => not_open("hypervisor connection not open"),
            family => match self.session.served() {
                Ok(served) if served.profile.is_hypervisor => {
                    Error::unsupported(family.domain(), procedure.api)
                }
                _ => not_open("connection not open"),
            },
        }
    }
}

/// Reads the arguments of a call and prepares it by the list of its family.
fn prepare(calls: Calls, found: Found, header: Header, payload: &[u8]) -> Result<Call, XdrError> {
    macro_rules! by_list {
        ($list:ident) => {{
            let request = call::read_request(found.index, payload)?;
            Box::pin(async move {
                let served = $list::serve(calls.clone());
                let response = served.serve(Context::current(), request).await;
                let mut out = Vec::new();
                // tarpc fails only if a service panics or is stopped
                let Ok(response) = response else { return (out, Then::Close) };
                if call::append_response(&mut out, header, &response).is_err() {
                    append_error(&mut out, header, rpc("Unable to encode message payload"));
                }
                (out, calls.then())
            })
        }};
    }
    Ok(match found.family {
        Family::Connect => by_list!(ConnectCalls),
        Family::Host => by_list!(HostCalls),
        Family::Domain => by_list!(DomainCalls),
        Family::DomainStats => by_list!(DomainStatsCalls),
        Family::DomainAgent => by_list!(DomainAgentCalls),
        Family::DomainTuning => by_list!(DomainTuningCalls),
        Family::DomainDevice => by_list!(DomainDeviceCalls),
        Family::Qemu => by_list!(QemuCalls),
        Family::Network => by_list!(NetworkCalls),
        Family::Storage => by_list!(StorageCalls),
        Family::Absent => by_list!(AbsentCalls),
        Family::Extension => by_list!(ExtensionCalls),
    })
}

fn undecodable() -> Error {
    rpc("Unable to decode message payload")
}

/// Appends an error as the answer.
pub(crate) fn append_error(out: &mut Vec<u8>, header: Header, error: Error) {
    let error = RemoteError::from(error);
    let written = frame::append(out, header.reply(STATUS_ERROR), |out| xdr::append(out, &error));
    if written.is_err() {
        // the message is longer than a string may be: the code has to do
        let bare = Error::bare(ErrorCode(error.code), ErrorDomain(error.domain));
        let bare = RemoteError::from(bare);
        drop(frame::append(out, header.reply(STATUS_ERROR), |out| xdr::append(out, &bare)));
    }
}

impl Service for Dispatcher {
    fn packet(&self, packet: Packet<'_>, out: &mut Vec<u8>) -> Step {
        let payload = match packet.header.kind {
            Kind::Call => packet.payload,
            // no procedure here takes descriptors: they are closed, their count is skipped
            Kind::CallWithFds => packet.payload.get(4..).unwrap_or_default(),
            Kind::Stream | Kind::StreamHole => {
                return self.session.streams.packet(&self.session.client, &packet);
            }
            _ => return Step::Done(Then::Continue),
        };
        self.call(packet.header, payload).unwrap_or_else(|error| {
            append_error(out, packet.header, error);
            Step::Done(Then::Continue)
        })
    }

    fn closed(&self) {
        self.session.streams.close();
        if !self.session.has_remains() {
            return;
        }
        let session = Arc::clone(&self.session);
        drop(tokio::spawn(async move { session.close().await }));
    }
}
