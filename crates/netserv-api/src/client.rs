//! The driver's end of the control socket.

use std::io::{self, IoSlice};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::path::Path;
use std::time::Duration;

use rustix::net::{
    SendAncillaryBuffer, SendAncillaryMessage, SendFlags, SocketAddrUnix, SocketFlags, SocketType,
    sendmsg, sockopt,
};

use crate::message::{self, Event, MessageError, Reply, Request};

/// How long the service has for a reply; it answers everything from memory.
const DEADLINE: Duration = Duration::from_secs(2);
/// Most descriptors of one message.
pub const MAX_FDS: usize = 64;

/// Why a request has no reply.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ClientError {
    /// The socket does not lead to a service.
    #[error("cannot connect to the address and name service")]
    Connect(#[source] io::Error),
    /// The request was not sent, or no reply came in time.
    #[error("the address and name service does not answer")]
    Io(#[source] io::Error),
    /// A message cannot be read or written.
    #[error("the address and name service is of another version")]
    Message(#[from] MessageError),
}

/// A listening control socket, which only its owner can connect to.
///
/// # Errors
/// The kernel's reason; the name is in use.
pub fn listen(path: &Path) -> io::Result<OwnedFd> {
    let socket = socket()?;
    rustix::net::bind(&socket, &SocketAddrUnix::new(path)?)?;
    std::fs::set_permissions(path, std::os::unix::fs::PermissionsExt::from_mode(0o600))?;
    rustix::net::listen(&socket, 16)?;
    Ok(socket)
}

fn socket() -> rustix::io::Result<OwnedFd> {
    let flags = SocketFlags::CLOEXEC;
    rustix::net::socket_with(rustix::net::AddressFamily::UNIX, SocketType::SEQPACKET, flags, None)
}

/// A connection to the service. Requests are answered one after another.
#[derive(Debug)]
pub struct Client {
    socket: OwnedFd,
    next: u32,
    events: Vec<Event>,
}

impl Client {
    /// Connects to the service of a socket.
    ///
    /// # Errors
    /// [`ClientError::Connect`].
    pub fn connect(path: &Path) -> Result<Self, ClientError> {
        let connect = || {
            let socket = socket()?;
            sockopt::set_socket_timeout(&socket, sockopt::Timeout::Recv, Some(DEADLINE))?;
            sockopt::set_socket_timeout(&socket, sockopt::Timeout::Send, Some(DEADLINE))?;
            rustix::net::connect(&socket, &SocketAddrUnix::new(path)?)?;
            Ok(socket)
        };
        let socket = connect().map_err(ClientError::Connect)?;
        Ok(Self { socket, next: 1, events: Vec::new() })
    }

    /// The process at the other end.
    ///
    /// # Errors
    /// [`ClientError::Io`].
    pub fn peer(&self) -> Result<i32, ClientError> {
        let peer = sockopt::socket_peercred(&self.socket);
        let peer = peer.map_err(|error| ClientError::Io(error.into()))?;
        Ok(peer.pid.as_raw_nonzero().get())
    }

    /// Sends a request with descriptors and waits for its reply.
    ///
    /// # Errors
    /// [`ClientError`].
    pub fn request(
        &mut self,
        request: &Request,
        fds: &[BorrowedFd<'_>],
    ) -> Result<Reply, ClientError> {
        let id = self.next;
        self.next = self.next.checked_add(1).unwrap_or(1);
        let bytes = message::encode(id, request)?;
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MAX_FDS))];
        let mut control = SendAncillaryBuffer::new(&mut space);
        if !fds.is_empty() && !control.push(SendAncillaryMessage::ScmRights(fds)) {
            return Err(ClientError::Io(io::ErrorKind::InvalidInput.into()));
        }
        let flags = SendFlags::NOSIGNAL;
        sendmsg(&self.socket, &[IoSlice::new(&bytes)], &mut control, flags)
            .map_err(|error| ClientError::Io(error.into()))?;
        self.reply(id)
    }

    fn reply(&mut self, id: u32) -> Result<Reply, ClientError> {
        let mut buffer = vec![0; message::MAX];
        loop {
            let read = rustix::io::retry_on_intr(|| rustix::io::read(&self.socket, &mut *buffer));
            let length = read.map_err(|error| ClientError::Io(error.into()))?;
            if length == 0 {
                return Err(ClientError::Io(io::ErrorKind::UnexpectedEof.into()));
            }
            let bytes = buffer.get(..length).unwrap_or_default();
            let (found, _) = message::decode_header(bytes)?;
            if found == 0 {
                self.events.push(message::decode::<Event>(bytes)?.1);
            } else if found == id {
                return Ok(message::decode::<Reply>(bytes)?.1);
            }
        }
    }

    /// Waits until the service has closed the connection.
    ///
    /// # Errors
    /// [`ClientError::Io`] if that takes longer than a reply.
    pub fn wait_for_end(self) -> Result<(), ClientError> {
        let mut buffer = vec![0; message::MAX];
        loop {
            match rustix::io::retry_on_intr(|| rustix::io::read(&self.socket, &mut *buffer)) {
                Ok(0) | Err(rustix::io::Errno::CONNRESET) => return Ok(()),
                Ok(_) => {}
                Err(error) => return Err(ClientError::Io(error.into())),
            }
        }
    }

    /// Events that arrived before replies.
    pub fn take_events(&mut self) -> Vec<Event> {
        std::mem::take(&mut self.events)
    }

    /// The socket, which is readable when something arrives or the service ends.
    #[must_use]
    pub fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}
