//! The greeting, before anything else runs.

use std::io;
use std::sync::Arc;

use tokio::net::UnixStream;

use crate::error::{CloseReason, ProtocolError};
use crate::frame::Framer;
use crate::limits::Limits;
use crate::message::{Greeting, Message};

/// Reads until QEMU has greeted.
pub(super) async fn greeting(
    stream: &UnixStream,
    framer: &mut Framer,
    limits: &Limits,
) -> Result<Greeting, CloseReason> {
    let mut buffer = vec![0; 4096];
    loop {
        if let Some(line) = framer.next_line().map_err(CloseReason::Protocol)? {
            return match Message::parse(line, limits).map_err(CloseReason::Protocol)? {
                Message::Greeting(greeting) => Ok(greeting),
                _ => Err(CloseReason::Protocol(ProtocolError::Greeting)),
            };
        }
        stream.readable().await.map_err(failed)?;
        match stream.try_read(&mut buffer) {
            Ok(0) => return Err(CloseReason::EndOfStream),
            Ok(n) => framer.push(buffer.get(..n).unwrap_or_default()),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => return Err(failed(error)),
        }
    }
}

/// An error of the socket. A peer that is gone with unread bytes resets the connection.
pub(super) fn failed(error: io::Error) -> CloseReason {
    match error.kind() {
        io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe => CloseReason::EndOfStream,
        _ => CloseReason::Io(Arc::new(error)),
    }
}
