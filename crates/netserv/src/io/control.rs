//! The control socket: requests of drivers, and events to them.

use std::io::{self, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd as _, OwnedFd};

use oxivirt_netserv_api::SpecError;
use oxivirt_netserv_api::client::MAX_FDS;
use oxivirt_netserv_api::message::{self, Event, MessageError, Reply, Request};
use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendFlags, SocketFlags, recvmsg, sockopt,
};

use super::neighbour::Neighbours;
use super::socket::Open;
use super::{Service, Source};
use crate::{Now, Out, Socket};

/// Most drivers at a time.
const MAX_CONNECTIONS: usize = 8;
/// Bytes of a reply that are left for leases.
const PAGE: usize = message::MAX - 1024;
/// About the longest encoding of a lease, in bytes.
const LEASE: usize = 512;

/// A driver.
#[derive(Debug)]
pub(super) struct Connection {
    socket: OwnedFd,
    token: u64,
    /// Whether it wants events: from its first message on.
    is_greeted: bool,
}

impl Service {
    /// Takes a driver that is the same user as this process, or root.
    pub(super) fn accept_control(&mut self) {
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        let Ok(socket) = rustix::net::accept_with(&self.listener, flags) else { return };
        let own = rustix::process::geteuid();
        let peer = sockopt::socket_peercred(&socket).map(|peer| peer.uid);
        let is_allowed = peer.is_ok_and(|user| user.is_root() || user == own);
        if !is_allowed || self.connections.len() >= MAX_CONNECTIONS {
            return tracing::warn!(?peer, "a control connection is refused");
        }
        let id = self.next_token;
        match self.watch(socket.as_fd(), Source::Control(id)) {
            Ok(token) => {
                let connection = Connection { socket, token, is_greeted: false };
                self.connections.insert(id, connection);
            }
            Err(error) => tracing::warn!(%error, "a control connection is not taken"),
        }
    }

    /// Handles the next message of a driver.
    pub(super) fn control(&mut self, now: Now, id: u64) {
        match self.receive_control(id) {
            Ok(None) => {}
            Ok(Some((number, request, fds))) => self.serve(now, (id, number), request, fds),
            Err(error) => {
                tracing::info!(%error, "a control connection ends");
                self.disconnect(id);
            }
        }
    }

    fn disconnect(&mut self, id: u64) {
        if let Some(connection) = self.connections.remove(&id) {
            self.sources.remove(&connection.token);
        }
    }

    fn receive_control(&mut self, id: u64) -> io::Result<Option<(u32, Request, Vec<OwnedFd>)>> {
        let Some(connection) = self.connections.get(&id) else { return Ok(None) };
        let mut bytes = vec![0; message::MAX];
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MAX_FDS))];
        let mut control = RecvAncillaryBuffer::new(&mut space);
        let mut parts = [IoSliceMut::new(&mut bytes)];
        let flags = RecvFlags::DONTWAIT | RecvFlags::CMSG_CLOEXEC;
        let received = match recvmsg(&connection.socket, &mut parts, &mut control, flags) {
            Ok(received) => received,
            Err(rustix::io::Errno::AGAIN | rustix::io::Errno::INTR) => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        if received.bytes == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let mut fds = Vec::new();
        for message in control.drain() {
            if let RecvAncillaryMessage::ScmRights(received) = message {
                fds.extend(received);
            }
        }
        let bytes = bytes.get(..received.bytes).unwrap_or_default();
        let (number, request) = message::decode(bytes).map_err(io::Error::other)?;
        Ok(Some((number, request, fds)))
    }

    fn serve(&mut self, now: Now, at: (u64, u32), request: Request, fds: Vec<OwnedFd>) {
        let (id, number) = at;
        let reply = match request {
            Request::Hello => self.hello(id, fds),
            Request::Add(spec) => {
                let generation = spec.generation;
                match self.add_network(now, *spec, fds) {
                    Ok(()) => Reply::Ready { generation },
                    Err(error) => Reply::Refused(error),
                }
            }
            Request::Remove { uuid, drop_state } => {
                if self.engine.spec(uuid).is_some() {
                    self.close_leases(now, uuid, drop_state, at);
                    return self.remove_network(now, uuid);
                }
                Reply::Unknown
            }
            Request::Leases { uuid, mac, skip } => self.leases(now, uuid, mac, skip),
            Request::Release { uuid, what } => {
                let mut out = Out::default();
                let released = self.engine.release(uuid, now, what, &mut out);
                self.carry_out(now, uuid, out);
                released.map_or(Reply::Unknown, Reply::Released)
            }
            Request::End => {
                self.is_ending = true;
                Reply::Done
            }
            Request::Flush { uuid } => return self.flush(now, uuid, at, Reply::Done),
            Request::Host(servers, names) => {
                self.engine.set_upstreams(&servers);
                self.engine.set_host_names(&names);
                Reply::Done
            }
        };
        self.reply(id, number, &reply);
    }

    /// Greets a driver, and takes the sockets that all networks share.
    fn hello(&mut self, id: u64, fds: Vec<OwnedFd>) -> Reply {
        if let Some(connection) = self.connections.get_mut(&id) {
            connection.is_greeted = true;
        }
        let mut fds = fds.into_iter();
        if let (Some(link), Some(netlink)) = (fds.next(), fds.next()) {
            let taken = Open::new(Socket::Link, link).and_then(|link| {
                let neighbours = Neighbours::new(netlink)?;
                self.watch(neighbours.as_fd(), Source::Neighbours)?;
                Ok((link, neighbours))
            });
            match taken {
                Ok((link, neighbours)) => {
                    (self.link, self.neighbours) = (Some(link), Some(neighbours));
                }
                Err(error) => {
                    return Reply::Refused(SpecError::new("descriptors", error.to_string()));
                }
            }
        }
        Reply::Hello(self.engine.served())
    }

    fn leases(
        &self,
        now: Now,
        uuid: uuid::Uuid,
        mac: Option<oxivirt_netserv_api::Mac>,
        skip: u32,
    ) -> Reply {
        let Some(leases) = self.engine.leases(uuid, now) else { return Reply::Unknown };
        let is_wanted = |lease: &message::LeaseInfo| mac.is_none() || lease.mac == mac;
        let skip = usize::try_from(skip).unwrap_or(usize::MAX);
        let mut wanted = leases.into_iter().filter(is_wanted).skip(skip);
        let leases: Vec<_> = wanted.by_ref().take(PAGE / LEASE).collect();
        Reply::Leases { leases, left: u32::try_from(wanted.count()).unwrap_or(u32::MAX) }
    }

    /// Sends a reply; a driver that does not read is disconnected.
    pub(super) fn reply(&mut self, id: u64, number: u32, reply: &Reply) {
        if let Err(error) = self.send_control(id, message::encode(number, reply)) {
            tracing::warn!(%error, "a driver gets no reply");
            self.disconnect(id);
        }
    }

    /// Sends an event to all drivers. It is lost for one that does not read; its next request shows it the state.
    pub(super) fn announce(&self, event: &Event) {
        for (id, connection) in &self.connections {
            if connection.is_greeted
                && let Err(error) = self.send_control(*id, message::encode(0, event))
            {
                tracing::debug!(%error, "an event is lost");
            }
        }
    }

    fn send_control(&self, id: u64, bytes: Result<Vec<u8>, MessageError>) -> io::Result<()> {
        let bytes = bytes.map_err(io::Error::other)?;
        let Some(connection) = self.connections.get(&id) else { return Ok(()) };
        let flags = SendFlags::DONTWAIT | SendFlags::NOSIGNAL;
        rustix::net::send(&connection.socket, &bytes, flags)?;
        Ok(())
    }
}
