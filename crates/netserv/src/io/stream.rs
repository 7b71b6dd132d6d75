//! Connections for DNS: messages with their lengths in front (RFC 1035 §4.2.2).

use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsFd, BorrowedFd};
use std::time::Duration;

/// How long a connection may be idle.
const IDLE: Duration = Duration::from_secs(10);
/// Most questions of one connection.
const MAX_MESSAGES: u32 = 100;
/// Most bytes that wait for a client that does not read.
const MAX_OUTPUT: usize = 256 * 1024;

/// A connection.
#[derive(Debug)]
pub(super) struct Stream {
    socket: socket2::Socket,
    pub(super) peer: SocketAddr,
    /// The link that the connection came in by; 0 for one of ours.
    pub(super) ifindex: u32,
    input: Vec<u8>,
    output: Vec<u8>,
    n_messages: u32,
    /// When it has been idle for too long.
    pub(super) deadline: Duration,
}

impl AsFd for Stream {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

impl Stream {
    pub(super) fn new(
        socket: socket2::Socket,
        peer: SocketAddr,
        ifindex: u32,
        now: Duration,
    ) -> io::Result<Self> {
        socket.set_nonblocking(true)?;
        let deadline = now.saturating_add(IDLE);
        let (input, output) = (Vec::new(), Vec::new());
        Ok(Self { socket, peer, ifindex, input, output, n_messages: 0, deadline })
    }

    /// The messages that are whole by now.
    ///
    /// # Errors
    /// The connection is over, or its client asks too much.
    pub(super) fn read(&mut self, now: Duration) -> io::Result<Vec<Vec<u8>>> {
        let mut chunk = [0; 4096];
        // One read a turn: the other sockets wait.
        match rustix::io::read(&self.socket, &mut chunk) {
            Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(length) => self.input.extend(chunk.get(..length).unwrap_or_default()),
            Err(rustix::io::Errno::AGAIN | rustix::io::Errno::INTR) => return Ok(Vec::new()),
            Err(error) => return Err(error.into()),
        }
        let mut messages = Vec::new();
        while let Some(message) = whole(&mut self.input) {
            self.n_messages = self.n_messages.saturating_add(1);
            if self.n_messages > MAX_MESSAGES {
                return Err(io::ErrorKind::QuotaExceeded.into());
            }
            self.deadline = now.saturating_add(IDLE);
            messages.push(message);
        }
        Ok(messages)
    }

    /// Sends a message, or what the other end takes of it.
    ///
    /// # Errors
    /// The connection is over, or too much waits.
    pub(super) fn send(&mut self, message: &[u8]) -> io::Result<()> {
        let length = u16::try_from(message.len()).map_err(io::Error::other)?;
        if self.output.len() > MAX_OUTPUT {
            return Err(io::ErrorKind::WriteZero.into());
        }
        self.output.extend(length.to_be_bytes());
        self.output.extend(message);
        self.flush()
    }

    /// Sends what waits.
    ///
    /// # Errors
    /// The connection is over.
    pub(super) fn flush(&mut self) -> io::Result<()> {
        while !self.output.is_empty() {
            match rustix::io::write(&self.socket, &self.output) {
                Ok(length) => drop(self.output.drain(..length.min(self.output.len()))),
                // Not connected yet is the same as full.
                Err(
                    rustix::io::Errno::AGAIN | rustix::io::Errno::INTR | rustix::io::Errno::NOTCONN,
                ) => return Ok(()),
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    /// Whether something waits to be sent.
    pub(super) fn wants_write(&self) -> bool {
        !self.output.is_empty()
    }
}

/// Takes a whole message from the front.
fn whole(input: &mut Vec<u8>) -> Option<Vec<u8>> {
    let length = usize::from(u16::from_be_bytes(*input.first_chunk::<2>()?));
    let message = input.get(2..length.checked_add(2)?)?.to_vec();
    input.drain(..length.saturating_add(2));
    Some(message)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_cut_at_their_lengths() {
        let mut input = vec![0, 2, 1, 2, 0, 0, 0, 9, 7];
        assert_eq!(whole(&mut input), Some(vec![1, 2]));
        assert_eq!(whole(&mut input), Some(vec![]));
        assert_eq!(whole(&mut input), None);
        assert_eq!(input, [0, 9, 7]);
    }
}
