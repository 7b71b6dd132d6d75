//! Calls and answers of `tarpc` over libvirt's packets.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use futures::{Sink, Stream};
use oxivirt_rpc::client::{Arrived, Outgoing};
use oxivirt_rpc::frame::{Header, Kind, STATUS_OK};
use tarpc::{ClientMessage, Request, RequestName as _, Response};
use tokio::sync::mpsc;

use crate::call;
use crate::protocol::{self, PROCEDURES, PROGRAM, RemoteRequest, RemoteResponse, VERSION};

/// Writes calls, reads answers.
#[derive(Debug)]
pub(super) struct Transport {
    outgoing: Outgoing,
    replies: mpsc::UnboundedReceiver<Arrived>,
    /// The last call's number, of which the wire has the lower half.
    last: u64,
}

impl Transport {
    pub(super) fn new(outgoing: Outgoing, replies: mpsc::UnboundedReceiver<Arrived>) -> Self {
        Self { outgoing, replies, last: 0 }
    }

    /// The number of the call that an answer with this serial is for: the latest one that fits.
    fn id(&self, serial: u32) -> u64 {
        let id = self.last & !u64::from(u32::MAX) | u64::from(serial);
        if id > self.last { id.saturating_sub(1 << 32) } else { id }
    }

    fn encode(&mut self, request: &Request<RemoteRequest>) -> io::Result<Vec<u8>> {
        let name = request.message.name();
        let name = name.rsplit('.').next().unwrap_or(name);
        let procedure = PROCEDURES.iter().find(|procedure| procedure.name == name);
        let procedure = procedure.ok_or_else(|| invalid("a call that is not in the list"))?;
        self.last = request.id;
        let header = Header {
            program: PROGRAM,
            version: VERSION,
            procedure: procedure.number,
            kind: Kind::Call,
            #[expect(clippy::cast_possible_truncation, reason = "the wire has the lower half")]
            serial: request.id as u32,
            status: STATUS_OK,
        };
        let mut packet = Vec::new();
        call::append_request(&mut packet, header, &request.message).map_err(invalid)?;
        Ok(packet)
    }
}

fn invalid(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, error)
}

impl Stream for Transport {
    type Item = io::Result<Response<RemoteResponse>>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        loop {
            let Some((header, payload)) = std::task::ready!(self.replies.poll_recv(cx)) else {
                return Poll::Ready(None);
            };
            if header.program != PROGRAM {
                continue;
            }
            let Some((index, _)) = protocol::find(header.procedure) else { continue };
            let read = call::read_response(index, header.status, &payload);
            let request_id = self.id(header.serial);
            let response = read.map(|message| Response { request_id, message: Ok(message) });
            return Poll::Ready(Some(response.map_err(invalid)));
        }
    }
}

impl Sink<ClientMessage<RemoteRequest>> for Transport {
    type Error = io::Error;

    fn poll_ready(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn start_send(
        mut self: Pin<&mut Self>,
        message: ClientMessage<RemoteRequest>,
    ) -> io::Result<()> {
        // a call that nobody waits for any more runs to its end over there
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
