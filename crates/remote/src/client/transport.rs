//! Calls and answers of `tarpc` over libvirt's packets, for several families on one connection.
//!
//! Each family has a `tarpc` client with a [`Transport`] of its own. Transports share the writing half and
//! the counter of serials; a task (`route`) hands each answer to the transport of the family whose list has
//! its procedure.

use std::collections::BTreeMap;
use std::io;
use std::marker::PhantomData;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::task::{Context, Poll};

use futures::{Sink, Stream};
use oxivirt_rpc::client::{Arrived, Outgoing};
use oxivirt_rpc::frame::{Header, Kind, STATUS_OK};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tarpc::{ClientMessage, Request, RequestName, Response};
use tokio::sync::mpsc;

use super::streams::Streams;
use crate::call;
use crate::protocol::{self, Family, VERSION};

/// What the transports of one connection share.
#[derive(Debug)]
pub(super) struct Shared {
    outgoing: Outgoing,
    serial: Arc<AtomicU32>,
    /// Where answers of a family go.
    routes: Vec<(Family, mpsc::UnboundedSender<Arrived>)>,
}

impl Shared {
    pub(super) fn new(outgoing: Outgoing) -> Self {
        Self { outgoing, serial: Arc::default(), routes: Vec::new() }
    }

    /// The transport of a family.
    pub(super) fn transport<Req, Resp>(&mut self, family: Family) -> Transport<Req, Resp> {
        let (sender, replies) = mpsc::unbounded_channel();
        self.routes.push((family, sender));
        Transport {
            family,
            outgoing: self.outgoing.clone(),
            serial: Arc::clone(&self.serial),
            replies,
            pending: BTreeMap::new(),
            types: PhantomData,
        }
    }

    /// The counter of serials.
    pub(super) fn serials(&self) -> Arc<AtomicU32> {
        Arc::clone(&self.serial)
    }

    /// Hands answers to the transports, and what belongs to a stream to that, until the connection ends.
    pub(super) async fn route(
        self,
        mut replies: mpsc::UnboundedReceiver<Arrived>,
        streams: Arc<Streams>,
    ) {
        while let Some(arrived) = replies.recv().await {
            let Some(arrived) = streams.arrived(arrived) else { continue };
            let (program, procedure) = (arrived.0.program, arrived.0.procedure);
            let Some(found) = protocol::find(program, procedure) else { continue };
            let route = self.routes.iter().find(|(family, _)| *family == found.family);
            if let Some((_, sender)) = route {
                // a transport that is gone waits for no answer
                drop(sender.send(arrived));
            }
        }
        streams.end();
    }
}

/// Writes the calls of one family, reads their answers.
#[derive(Debug)]
pub(super) struct Transport<Req, Resp> {
    family: Family,
    outgoing: Outgoing,
    serial: Arc<AtomicU32>,
    replies: mpsc::UnboundedReceiver<Arrived>,
    /// The calls that wait for an answer, by serial.
    pending: BTreeMap<u32, u64>,
    types: PhantomData<fn(Req) -> Resp>,
}

impl<Req: Serialize + RequestName, Resp> Transport<Req, Resp> {
    fn encode(&mut self, request: &Request<Req>) -> io::Result<Vec<u8>> {
        let name = request.message.name();
        let name = name.rsplit('.').next().unwrap_or(name);
        let procedure = self.family.procedures().iter().find(|procedure| procedure.name == name);
        let procedure = procedure.ok_or_else(|| invalid("a call that is not in the list"))?;
        let header = Header {
            program: self.family.program(),
            version: VERSION,
            procedure: procedure.number,
            kind: Kind::Call,
            serial: self.serial.fetch_add(1, Ordering::Relaxed),
            status: STATUS_OK,
        };
        let mut packet = Vec::new();
        call::append_request(&mut packet, header, &request.message).map_err(invalid)?;
        self.pending.insert(header.serial, request.id);
        Ok(packet)
    }
}

fn invalid(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, error)
}

impl<Req, Resp: DeserializeOwned> Stream for Transport<Req, Resp> {
    type Item = io::Result<Response<Resp>>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        loop {
            let Some((header, payload)) = std::task::ready!(self.replies.poll_recv(cx)) else {
                return Poll::Ready(None);
            };
            let Some(found) = protocol::find(header.program, header.procedure) else { continue };
            let Some(request_id) = self.pending.remove(&header.serial) else { continue };
            let read = call::read_response(found.index, header.status, &payload);
            let response = read.map(|message| Response { request_id, message: Ok(message) });
            return Poll::Ready(Some(response.map_err(invalid)));
        }
    }
}

impl<Req: Serialize + RequestName, Resp> Sink<ClientMessage<Req>> for Transport<Req, Resp> {
    type Error = io::Error;

    fn poll_ready(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn start_send(mut self: Pin<&mut Self>, message: ClientMessage<Req>) -> io::Result<()> {
        // the daemon cannot cancel a call: its answer is discarded when it arrives
        let ClientMessage::Request(request) = message else { return Ok(()) };
        let packet = self.encode(&request)?;
        match self.outgoing.send(packet) {
            true => Ok(()),
            false => Err(io::ErrorKind::BrokenPipe.into()),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_close(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}
