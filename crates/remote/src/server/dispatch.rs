//! From a packet to a call and back to a packet.
//!
//! What is wrong with a packet is answered here, in the order libvirt checks it: program, status,
//! procedure, identity, arguments; then the state of the connection. A call that a read-only connection may
//! not make is not even read.
//!
//! libvirt 11.3.0: src/rpc/virnetserverprogram.c

use std::sync::Arc;
use std::time::Instant;

use oxivirt::{Access, Error, ErrorCode, ErrorDomain};
use oxivirt_rpc::frame::{Header, Kind, Packet, STATUS_ERROR, STATUS_OK};
use oxivirt_rpc::server::{Service, Step, Then};
use oxivirt_rpc::{frame, xdr};
use tarpc::context::Context;
use tarpc::server::Serve as _;

use crate::call;
use crate::foreign;
use crate::protocol::{self, Needs, PROGRAM, Procedure, Remote as _, RemoteRequest, VERSION};
use crate::server::calls::Calls;
use crate::server::guard;
use crate::server::session::{Session, not_open, rpc};
use crate::wire::RemoteError;

/// A program that every daemon of libvirt registers though only one has use for it.
const QEMU_PROGRAM: u32 = 0x2000_8087;
/// Calls of it; its last number is an event.
const QEMU_CALLS: std::ops::RangeInclusive<i32> = 1..=5;

/// Serves one connection.
#[derive(Debug)]
pub struct Dispatcher {
    session: Arc<Session>,
}

impl Dispatcher {
    /// Serves the connection whose state is `session`.
    #[must_use]
    pub fn new(session: Arc<Session>) -> Self {
        Self { session }
    }

    /// Refuses what can be refused without reading the arguments.
    fn check(&self, header: &Header) -> Result<Asked, Error> {
        let Header { program, version, procedure, status, .. } = *header;
        let is_known = (program == PROGRAM || program == QEMU_PROGRAM) && version == VERSION;
        if !is_known {
            return Err(rpc(format!("Cannot find program {program} version {version}")));
        }
        if status != STATUS_OK {
            return Err(rpc(format!("Unexpected message status {status}")));
        }
        let unknown = || rpc(format!("unknown procedure: {procedure}"));
        let asked = match program {
            QEMU_PROGRAM if QEMU_CALLS.contains(&procedure) => Asked::Undecodable,
            QEMU_PROGRAM => return Err(unknown()),
            _ => match protocol::find(procedure) {
                Some((index, procedure)) => Asked::Own(index, procedure),
                None => Asked::Foreign(foreign::find(procedure).ok_or_else(unknown)?),
            },
        };
        let needs_identity =
            !matches!(asked, Asked::Own(_, Procedure { needs: Needs::Nothing, .. }));
        if needs_identity && !self.session.is_authenticated() {
            return Err(rpc("authentication required"));
        }
        if let Asked::Own(_, Procedure { needs: Needs::Change, api, .. }) = asked
            && self.session.access() == Some(Access::ReadOnly)
        {
            let detail = format!("read only access prevents {api}");
            return Err(Error::new(ErrorCode::OPERATION_DENIED, ErrorDomain::NETWORK, detail));
        }
        Ok(asked)
    }

    /// Refuses what the state of the connection does not allow.
    fn check_state(&self, needs: Needs) -> Result<(), Error> {
        match needs {
            Needs::Nothing | Needs::Identity => Ok(()),
            Needs::Connection if self.session.has_host() => Ok(()),
            Needs::Connection => Err(not_open("hypervisor connection not open")),
            Needs::Network | Needs::Change if self.session.access().is_some() => Ok(()),
            Needs::Network | Needs::Change => Err(not_open("connection not open")),
        }
    }

    fn call(&self, header: Header, payload: &[u8]) -> Result<Step, Error> {
        let (index, procedure) = match self.check(&header)? {
            Asked::Own(index, procedure) => (index, procedure),
            Asked::Foreign(foreign) if payload.len() >= foreign.least => {
                return Err(self.lacking(foreign));
            }
            Asked::Foreign(_) | Asked::Undecodable => return Err(undecodable()),
        };
        let request: RemoteRequest =
            call::read_request(index, payload).map_err(|_| undecodable())?;
        self.check_state(procedure.needs)?;
        let session = Arc::clone(&self.session);
        let calls = Calls::new(Arc::clone(&self.session));
        let observer = self.session.daemon.observer.clone();
        Ok(Step::Answer(Box::pin(async move {
            let started = observer.as_ref().map(|_| Instant::now());
            let span = tracing::debug_span!("call", procedure.name, header.serial);
            let respond = |request| {
                let served = calls.clone().serve().serve(Context::current(), request);
                tracing::Instrument::instrument(served, span)
            };
            let mut out = Vec::new();
            let answer = match guard::check(&session, procedure, &request).await {
                Ok(()) => Ok(respond(request).await),
                Err(error) => Err(error),
            };
            let then = match answer {
                Err(denied) => {
                    append_error(&mut out, header, denied);
                    Then::Continue
                }
                Ok(Ok(response)) => {
                    if call::append_response(&mut out, header, &response).is_err() {
                        let error = rpc("Unable to encode message payload");
                        append_error(&mut out, header, error);
                    }
                    calls.then()
                }
                Ok(Err(_)) => Then::Close,
            };
            if let (Some(observer), Some(started)) = (observer, started) {
                let is_ok = frame::first(&out)
                    .is_ok_and(|packet| packet.is_some_and(|p| p.header.status == STATUS_OK));
                observer.called(procedure.name, started.elapsed(), is_ok);
            }
            (out, then)
        })))
    }

    /// A call of a driver that is not here.
    fn lacking(&self, foreign: &foreign::Foreign) -> Error {
        match foreign.needs {
            foreign::Needs::Hypervisor if self.session.has_host() => {
                Error::unsupported(ErrorDomain::DOMAIN, foreign.api)
            }
            foreign::Needs::Hypervisor => not_open("hypervisor connection not open"),
            foreign::Needs::Other => not_open("connection not open"),
        }
    }
}

/// What a packet asks for.
enum Asked {
    Own(u32, &'static Procedure),
    Foreign(&'static foreign::Foreign),
    /// Something whose arguments nobody here knows.
    Undecodable,
}

fn undecodable() -> Error {
    rpc("Unable to decode message payload")
}

/// Appends an answer that says why there is none.
pub(crate) fn append_error(out: &mut Vec<u8>, header: Header, error: Error) {
    let error = RemoteError::from(error);
    let written = frame::append(out, header.reply(STATUS_ERROR), |out| xdr::append(out, &error));
    if written.is_err() {
        // a text of several megabytes: its number must do
        let bare = Error::bare(ErrorCode(error.code), ErrorDomain(error.domain));
        let bare = RemoteError::from(bare);
        drop(frame::append(out, header.reply(STATUS_ERROR), |out| xdr::append(out, &bare)));
    }
}

impl Service for Dispatcher {
    fn packet(&self, packet: Packet<'_>, out: &mut Vec<u8>) -> Step {
        let payload = match packet.header.kind {
            Kind::Call => packet.payload,
            // no procedure here takes descriptors: they are gone, their count is skipped
            Kind::CallWithFds => packet.payload.get(4..).unwrap_or_default(),
            _ => return Step::Done(Then::Continue),
        };
        self.call(packet.header, payload).unwrap_or_else(|error| {
            append_error(out, packet.header, error);
            Step::Done(Then::Continue)
        })
    }

    fn closed(&self) {
        let callbacks = self.session.close();
        if callbacks.is_empty() {
            return;
        }
        let driver = Arc::clone(self.session.driver());
        drop(tokio::spawn(async move {
            let Some(networks) = driver.networks() else { return };
            for callback in callbacks {
                drop(networks.network_event_deregister(callback).await);
            }
        }));
    }
}
