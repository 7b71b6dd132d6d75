//! The task that owns the socket.

use std::io::{self, IoSlice};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::sync::Arc;

use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags};
use tokio::io::Interest;
use tokio::net::UnixStream;

use super::call::DESCRIPTORS_MAX;
use super::handshake::failed;
use super::shared::Shared;
use crate::error::{CloseReason, ProtocolError};
use crate::frame::Framer;
use crate::message::Message;

/// Bytes of one read.
const READ: usize = 64 * 1024;
/// Bytes of commands that are put together into one write.
const WRITE: usize = 64 * 1024;

/// A connection after its greeting.
pub(super) struct Connection {
    stream: UnixStream,
    framer: Framer,
    shared: Arc<Shared>,
    input: Vec<u8>,
    /// Bytes of commands that are being sent.
    output: Vec<u8>,
    sent: usize,
    /// They travel with the first byte of `output`.
    descriptors: Vec<OwnedFd>,
}

impl Connection {
    pub(super) fn new(stream: UnixStream, framer: Framer, shared: Arc<Shared>) -> Self {
        Self {
            stream,
            framer,
            shared,
            input: vec![0; READ],
            output: Vec::new(),
            sent: 0,
            descriptors: Vec::new(),
        }
    }

    /// Reads and writes until the connection ends.
    pub(super) async fn run(mut self) {
        let reason = self.transfer().await;
        self.shared.finish(reason);
    }

    async fn transfer(&mut self) -> CloseReason {
        if let Err(reason) = self.deliver() {
            return reason;
        }
        loop {
            if let Some(reason) = self.shared.close_reason() {
                return reason;
            }
            self.refill();
            let interest = if self.output.is_empty() {
                Interest::READABLE
            } else {
                Interest::READABLE | Interest::WRITABLE
            };
            // A QEMU that floods its monitor leaves the thread to other tasks now and then.
            tokio::task::consume_budget().await;
            let ready = tokio::select! {
                ready = self.stream.ready(interest) => ready,
                () = self.shared.woken() => continue,
            };
            let ready = match ready {
                Ok(ready) => ready,
                Err(error) => return failed(error),
            };
            // What has arrived comes first: a QEMU that exits leaves events behind.
            if ready.is_readable()
                && let Err(reason) = self.receive()
            {
                return reason;
            }
            if ready.is_writable()
                && let Err(reason) = self.send()
            {
                // Read until the end: the reader of events is to get all of them.
                return self.receive().err().unwrap_or(reason);
            }
        }
    }

    /// Reads once and hands out what is complete.
    fn receive(&mut self) -> Result<(), CloseReason> {
        match self.stream.try_read(&mut self.input) {
            Ok(0) => Err(CloseReason::EndOfStream),
            Ok(n) => {
                self.framer.push(self.input.get(..n).unwrap_or_default());
                self.deliver()
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(()),
            Err(error) => Err(failed(error)),
        }
    }

    fn deliver(&mut self) -> Result<(), CloseReason> {
        while let Some(line) = self.framer.next_line().map_err(CloseReason::Protocol)? {
            let message =
                Message::parse(line, self.shared.limits()).map_err(CloseReason::Protocol)?;
            match message {
                Message::Reply(reply) => {
                    self.shared.answer(reply).map_err(CloseReason::Protocol)?;
                }
                Message::Event(event) => {
                    tracing::trace!(event = event.name, "monitor event");
                    self.shared.push_event(event);
                }
                Message::Greeting(_) => {
                    return Err(CloseReason::Protocol(ProtocolError::Greeting));
                }
            }
        }
        Ok(())
    }

    /// Takes commands out of the queue once the last ones are sent.
    ///
    /// What is taken cannot be withdrawn, so no more is taken than one write sends.
    fn refill(&mut self) {
        if !self.output.is_empty() {
            return;
        }
        while self.output.len() < WRITE {
            let Some(next) = self.shared.next_outgoing(!self.output.is_empty()) else { return };
            self.output.extend_from_slice(&next.bytes);
            if !next.descriptors.is_empty() {
                self.descriptors = next.descriptors;
                return;
            }
        }
    }

    fn send(&mut self) -> Result<(), CloseReason> {
        let rest = self.output.get(self.sent..).unwrap_or_default();
        let descriptors = &self.descriptors;
        let stream = &self.stream;
        let sent = if descriptors.is_empty() {
            stream.try_write(rest)
        } else {
            stream.try_io(Interest::WRITABLE, || send_with(stream, rest, descriptors))
        };
        match sent {
            Ok(n) => {
                self.sent += n;
                self.descriptors.clear();
                if self.sent >= self.output.len() {
                    self.output.clear();
                    self.output.shrink_to(2 * WRITE);
                    self.sent = 0;
                }
                Ok(())
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(()),
            Err(error) => Err(failed(error)),
        }
    }
}

/// Sends bytes with descriptors attached to the first.
fn send_with(stream: &UnixStream, bytes: &[u8], descriptors: &[OwnedFd]) -> io::Result<usize> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(DESCRIPTORS_MAX))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    let borrowed: Vec<BorrowedFd<'_>> = descriptors.iter().map(OwnedFd::as_fd).collect();
    if !control.push(SendAncillaryMessage::ScmRights(&borrowed)) {
        return Err(io::Error::from(io::ErrorKind::InvalidInput));
    }
    let slices = [IoSlice::new(bytes)];
    let flags = SendFlags::NOSIGNAL | SendFlags::DONTWAIT;
    Ok(rustix::net::sendmsg(stream, &slices, &mut control, flags)?)
}
