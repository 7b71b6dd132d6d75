//! Streams: bytes between this process and what a call has opened at the daemon.
//!
//! The answer to such a call and the packets of its stream have the call's serial. [`Streams`] hands both to the
//! [`ClientStream`], which ends by a finish when it is closed and by an abort when it is dropped before.
//!
//! libvirt 11.3.0: src/rpc/virnetclientstream.c

use std::collections::BTreeMap;
use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};

use futures::{AsyncRead, AsyncWrite};
use oxivirt::{Error, ErrorCode, ErrorDomain, Result, VolumeStream};
use oxivirt_rpc::client::{Arrived, Backlog, Outgoing};
use oxivirt_rpc::frame::{
    self, Header, Kind, STATUS_CONTINUE, STATUS_ERROR, STATUS_OK, STREAM_DATA_MAX,
};
use oxivirt_rpc::xdr;
use serde::Serialize;
use tokio::sync::{mpsc, oneshot};

use crate::call;
use crate::protocol::{PROGRAM, VERSION};
use crate::wire::RemoteError;

/// The open streams of a connection.
#[derive(Debug)]
pub(super) struct Streams {
    outgoing: Outgoing,
    serials: Arc<AtomicU32>,
    backlog: Arc<Backlog>,
    open: Mutex<Open>,
}

#[derive(Debug, Default)]
struct Open {
    /// Where packets go, by the serial of the call.
    by_serial: BTreeMap<u32, mpsc::UnboundedSender<Arrived>>,
    /// Whether the connection has ended.
    ended: bool,
}

impl Streams {
    /// No streams.
    pub(super) fn new(outgoing: Outgoing, serials: Arc<AtomicU32>, backlog: Arc<Backlog>) -> Self {
        Self { outgoing, serials, backlog, open: Mutex::default() }
    }

    fn open(&self) -> MutexGuard<'_, Open> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes what belongs to a stream; returns what does not.
    pub(super) fn arrived(&self, arrived: Arrived) -> Option<Arrived> {
        let (kind, serial) = (arrived.0.kind, arrived.0.serial);
        let is_data = matches!(kind, Kind::Stream | Kind::StreamHole);
        let sender = self.open().by_serial.get(&serial).cloned();
        let unused = match sender {
            Some(sender) => sender.send(arrived).err().map(|error| error.0),
            None if is_data => Some(arrived),
            None => return Some(arrived),
        };
        // of a stream that has been dropped
        if let Some(arrived) = unused.filter(|_| is_data) {
            self.backlog.take(arrived.1.len());
        }
        None
    }

    /// Ends all streams, at the end of the connection.
    pub(super) fn end(&self) {
        let mut open = self.open();
        open.ended = true;
        open.by_serial.clear();
    }

    /// Makes a call that opens a stream; returns its answer with it.
    ///
    /// # Errors
    /// The error of the daemon, [`ErrorCode::SYSTEM_ERROR`] if the connection has ended.
    pub(super) async fn call<R: Serialize>(
        self: &Arc<Self>,
        procedure: i32,
        request: &R,
    ) -> Result<(ClientStream, Vec<u8>)> {
        let header = Header {
            program: PROGRAM,
            version: VERSION,
            procedure,
            kind: Kind::Call,
            serial: self.serials.fetch_add(1, Ordering::Relaxed),
            status: STATUS_OK,
        };
        let mut packet = Vec::new();
        call::append_request(&mut packet, header, request)
            .map_err(|error| Error::new(ErrorCode::RPC, ErrorDomain::RPC, error.to_string()))?;
        let (sender, arrivals) = mpsc::unbounded_channel();
        {
            let mut open = self.open();
            if !open.ended {
                open.by_serial.insert(header.serial, sender);
            }
        }
        let mut stream = ClientStream {
            streams: Arc::clone(self),
            header: Header { kind: Kind::Stream, ..header },
            arrivals,
            data: Vec::new(),
            taken: 0,
            hole: 0,
            is_at_end: false,
            in_flight: None,
            state: State::Ended,
        };
        let gone = || Error::io(ErrorDomain::RPC, &ended(), "End of file while reading data");
        if !self.outgoing.send(packet) {
            return Err(gone());
        }
        let (answer, payload) = stream.arrivals.recv().await.ok_or_else(gone)?;
        if answer.status != STATUS_OK {
            return Err(stream_error(&payload));
        }
        stream.state = State::Open;
        Ok((stream, payload))
    }
}

/// The error that ended a stream.
fn stream_error(payload: &[u8]) -> Error {
    match xdr::from_bytes::<RemoteError>(payload) {
        Ok(error) => (&error).into(),
        Err(error) => Error::new(ErrorCode::RPC, ErrorDomain::RPC, error.to_string()),
    }
}

fn ended() -> io::Error {
    io::ErrorKind::BrokenPipe.into()
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Open,
    /// A finish has been sent.
    Finishing,
    /// Nothing can be sent, and nothing comes any more.
    Ended,
}

/// A stream that a call has opened.
#[derive(Debug)]
pub(super) struct ClientStream {
    streams: Arc<Streams>,
    header: Header,
    arrivals: mpsc::UnboundedReceiver<Arrived>,
    /// Data that has arrived, of which `taken` bytes have been read.
    data: Vec<u8>,
    taken: usize,
    /// Bytes of a hole that has arrived and has not been read.
    hole: u64,
    /// Whether no more data comes.
    is_at_end: bool,
    /// Completes once the last packet is being written.
    in_flight: Option<oneshot::Receiver<()>>,
    state: State,
}

impl ClientStream {
    fn packet(&self, status: i32, data: &[u8]) -> Vec<u8> {
        let mut packet = Vec::new();
        let header = Header { status, ..self.header };
        let written = frame::append::<()>(&mut packet, header, |out| {
            out.extend_from_slice(data);
            Ok(())
        });
        debug_assert!(written.is_ok(), "pieces are smaller than packets");
        packet
    }

    /// Waits for the next packet and does what it says.
    fn poll_arrival(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let Some((header, payload)) = ready!(self.arrivals.poll_recv(cx)) else {
            self.state = State::Ended;
            return Poll::Ready(Err(ended()));
        };
        self.streams.backlog.take(payload.len());
        Poll::Ready(match (header.kind, header.status) {
            (Kind::Stream, STATUS_CONTINUE) if payload.is_empty() => {
                self.is_at_end = true;
                Ok(())
            }
            (Kind::Stream, STATUS_CONTINUE) => {
                (self.data, self.taken) = (payload, 0);
                Ok(())
            }
            (Kind::Stream, STATUS_OK) => {
                (self.state, self.is_at_end) = (State::Ended, true);
                Ok(())
            }
            (Kind::Stream, _) => {
                (self.state, self.is_at_end) = (State::Ended, true);
                Err(io::Error::other(stream_error(&payload)))
            }
            (Kind::StreamHole, STATUS_CONTINUE) => match xdr::from_bytes::<(i64, u32)>(&payload) {
                Ok((length, _)) => {
                    self.hole = u64::try_from(length).unwrap_or_default();
                    Ok(())
                }
                Err(_) => Err(io::Error::other("unexpected packet in a stream")),
            },
            _ => Err(io::Error::other("unexpected packet in a stream")),
        })
    }

    fn poll_in_flight(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if let Some(in_flight) = &mut self.in_flight {
            // its sender is only ever dropped
            drop(ready!(Pin::new(in_flight).poll(cx)));
            self.in_flight = None;
        }
        Poll::Ready(())
    }
}

impl AsyncRead for ClientStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        loop {
            let rest = self.data.get(self.taken..).unwrap_or_default();
            if !rest.is_empty() {
                let n = rest.len().min(buffer.len());
                for (to, from) in buffer.iter_mut().zip(rest) {
                    *to = *from;
                }
                self.taken += n;
                return Poll::Ready(Ok(n));
            }
            if self.hole > 0 {
                let n = buffer.len().min(usize::try_from(self.hole).unwrap_or(usize::MAX));
                buffer.get_mut(..n).unwrap_or_default().fill(0);
                self.hole -= n as u64;
                return Poll::Ready(Ok(n));
            }
            if self.is_at_end {
                return Poll::Ready(Ok(0));
            }
            ready!(self.poll_arrival(cx))?;
        }
    }
}

impl AsyncWrite for ClientStream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        data: &[u8],
    ) -> Poll<io::Result<usize>> {
        ready!(self.poll_in_flight(cx));
        if self.state != State::Open || self.streams.outgoing.ended().is_some() {
            return Poll::Ready(Err(ended()));
        }
        // a packet without data would be the end of the data
        if data.is_empty() {
            return Poll::Ready(Ok(0));
        }
        let piece = data.get(..STREAM_DATA_MAX).unwrap_or(data);
        let packet = self.packet(STATUS_CONTINUE, piece);
        self.in_flight = Some(self.streams.outgoing.send_data(packet));
        Poll::Ready(Ok(piece.len()))
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.poll_in_flight(cx).map(Ok)
    }

    /// Finishes the stream; data that arrives until that is confirmed is dropped.
    fn poll_close(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_in_flight(cx));
        if self.state == State::Open {
            let packet = self.packet(STATUS_OK, &[]);
            if !self.streams.outgoing.send(packet) {
                return Poll::Ready(Err(ended()));
            }
            self.state = State::Finishing;
        }
        while self.state == State::Finishing {
            ready!(self.poll_arrival(cx))?;
        }
        Poll::Ready(Ok(()))
    }
}

impl VolumeStream for ClientStream {
    fn poll_hole(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<u64>> {
        loop {
            if self.taken < self.data.len() {
                return Poll::Ready(Ok(0));
            }
            if self.hole > 0 {
                return Poll::Ready(Ok(std::mem::take(&mut self.hole)));
            }
            if self.is_at_end {
                return Poll::Ready(Ok(0));
            }
            ready!(self.poll_arrival(cx))?;
        }
    }

    fn poll_write_hole(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        length: u64,
    ) -> Poll<io::Result<()>> {
        ready!(self.poll_in_flight(cx));
        if self.state != State::Open || self.streams.outgoing.ended().is_some() {
            return Poll::Ready(Err(ended()));
        }
        let mut packet = Vec::new();
        let header = Header { kind: Kind::StreamHole, status: STATUS_CONTINUE, ..self.header };
        let hole = (i64::try_from(length).unwrap_or(i64::MAX), 0_u32);
        let written = frame::append(&mut packet, header, |out| xdr::append(out, &hole));
        written.map_err(|_| ended())?;
        self.in_flight = Some(self.streams.outgoing.send_data(packet));
        Poll::Ready(Ok(()))
    }
}

impl Drop for ClientStream {
    fn drop(&mut self) {
        self.streams.open().by_serial.remove(&self.header.serial);
        if self.state == State::Open {
            // the confirmation is not waited for; no one can be waiting for the data
            let _is_sent = self.streams.outgoing.send(self.packet(STATUS_ERROR, &[]));
        }
        self.arrivals.close();
        while let Ok((header, payload)) = self.arrivals.try_recv() {
            if header.kind != Kind::Reply {
                self.streams.backlog.take(payload.len());
            }
        }
    }
}
