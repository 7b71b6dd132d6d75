//! Networks with their sockets: what comes in goes to the engine, what it says is carried out.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::{AsFd as _, OwnedFd};

use oxivirt_netserv_api::message::Event as DriverEvent;
use oxivirt_netserv_api::sockets::{Role, roles};
use oxivirt_netserv_api::{NetworkSpec, SpecError};
use rustix::event::epoll;
use uuid::Uuid;

use super::socket::Open;
use super::stream::Stream;
use super::{Service, Source, TURN};
use crate::out::{Datagram, To};
use crate::{Event, Now, Out, Packet, Socket};

/// Index of the loop-back link in each network namespace.
const LOOPBACK: u32 = 1;
/// The one kind of a listener has no number of its own.
const LISTENER: Socket = Socket::DnsTcp(u64::MAX);

/// A network's sockets.
#[derive(Debug)]
pub(super) struct Network {
    pub(super) ifindex: u32,
    sockets: Vec<Open>,
    tokens: Vec<u64>,
}

/// A connection, or the socket of a question to another server.
#[derive(Debug)]
pub(super) struct Extra {
    uuid: Uuid,
    token: u64,
    wire: Wire,
}

#[derive(Debug)]
enum Wire {
    Stream(Stream),
    Datagrams(socket2::Socket),
}

impl Network {
    pub(super) fn socket(&self, kind: Socket) -> Option<&Open> {
        self.sockets.iter().find(|open| open.kind == kind)
    }
}

impl Service {
    /// Serves a network; without descriptors one that is served keeps its sockets.
    pub(super) fn add_network(
        &mut self,
        now: Now,
        spec: NetworkSpec,
        fds: Vec<OwnedFd>,
    ) -> Result<(), SpecError> {
        let roles = roles(&spec);
        let keeps = fds.is_empty()
            && self.engine.spec(spec.uuid).is_some_and(|old| {
                old.ifindex == spec.ifindex && super::networks::roles(old) == roles
            });
        if !keeps && fds.len() != roles.len() {
            let reason = format!("{} descriptors instead of {}", fds.len(), roles.len());
            return Err(SpecError::new("descriptors", reason));
        }
        if spec.bridge.is_empty() || spec.bridge.contains('/') || spec.bridge.starts_with('.') {
            return Err(SpecError::new("bridge", "not a name of a link"));
        }
        let (uuid, ifindex) = (spec.uuid, spec.ifindex);
        let state = if self.engine.spec(uuid).is_some() {
            crate::lease::journal::State::default()
        } else {
            self.directories.load(uuid, &spec.bridge).unwrap_or_else(|error| {
                tracing::error!(%uuid, %error, "leases are not read");
                crate::lease::journal::State::default()
            })
        };
        let mut out = Out::default();
        self.engine.add(spec, state, now, &mut out)?;
        if !keeps {
            self.close_sockets(uuid);
            let opened = self.open_sockets(uuid, ifindex, &roles, fds);
            opened.map_err(|error| SpecError::new("descriptors", error.to_string()))?;
        }
        self.carry_out(now, uuid, out);
        Ok(())
    }

    fn open_sockets(
        &mut self,
        uuid: Uuid,
        ifindex: u32,
        roles: &[Role],
        fds: Vec<OwnedFd>,
    ) -> io::Result<()> {
        let mut network = Network { ifindex, sockets: Vec::new(), tokens: Vec::new() };
        for (at, (role, fd)) in roles.iter().zip(fds).enumerate() {
            let kind = match role {
                Role::Dhcp4 => Socket::Dhcp4,
                Role::Dns(address) => Socket::Dns(*address),
                Role::DnsTcp(_) | Role::DnsTcpOfHost(_) => LISTENER,
                Role::Dhcp6 => Socket::Dhcp6,
                Role::Ra => Socket::Ra,
                Role::Tftp(address) => Socket::Tftp(*address),
                Role::TftpRoot(number) => {
                    let spec = self.engine.spec(uuid);
                    if let Some(root) = spec.and_then(|spec| spec.tftp.get(*number)) {
                        self.roots.insert(root.path.clone(), fd);
                    }
                    continue;
                }
            };
            let open = Open::new(kind, fd)?;
            network.tokens.push(self.watch(open.as_fd(), Source::Network(uuid, at))?);
            network.sockets.push(open);
        }
        self.networks.insert(uuid, network);
        Ok(())
    }

    fn close_sockets(&mut self, uuid: Uuid) {
        if let Some(network) = self.networks.remove(&uuid) {
            for token in network.tokens {
                self.sources.remove(&token);
            }
        }
        let of_network = self.extras.iter().filter(|(_, extra)| extra.uuid == uuid);
        let extras: Vec<Socket> = of_network.map(|(socket, _)| *socket).collect();
        for socket in extras {
            self.close_extra(socket);
        }
    }

    /// Serves a network no longer.
    pub(super) fn remove_network(&mut self, now: Now, uuid: Uuid) {
        let mut out = Out::default();
        self.engine.drop_network(uuid, now, &mut out);
        self.carry_out(now, uuid, out);
        self.close_sockets(uuid);
    }

    /// Handles packets of a network's socket, up to its turn.
    pub(super) fn receive(&mut self, now: Now, uuid: Uuid, at: usize) {
        let mut buffer = std::mem::take(&mut self.buffer);
        for _ in 0..TURN {
            let Some(open) = self.networks.get(&uuid).and_then(|network| network.sockets.get(at))
            else {
                break;
            };
            let kind = open.kind;
            if kind == LISTENER {
                if !self.accept(now, uuid, at) {
                    break;
                }
                continue;
            }
            let received = match open.receive(&mut buffer) {
                Ok(Some(received)) => received,
                Ok(None) => break,
                Err(error) => {
                    // An error of an earlier datagram (ICMP) is reported once.
                    tracing::debug!(%uuid, ?kind, %error, "a socket reports an error");
                    continue;
                }
            };
            let packet = Packet {
                socket: kind,
                source: received.source,
                destination: received.destination,
                ifindex: received.ifindex,
                hop_limit: received.hop_limit,
                bytes: buffer.get(..received.length).unwrap_or_default(),
            };
            let mut out = Out::default();
            self.engine.handle(uuid, now, &packet, &mut out);
            self.carry_out(now, uuid, out);
        }
        self.buffer = buffer;
    }

    /// Does what the engine says of a network.
    pub(super) fn carry_out(&mut self, now: Now, uuid: Uuid, out: Out) {
        let (after, before): (Vec<Datagram>, Vec<Datagram>) =
            out.datagrams.into_iter().partition(|datagram| datagram.after_records);
        self.record(now, uuid, &out.records, after);
        for datagram in &before {
            self.send(uuid, datagram);
        }
        for probe in out.probes {
            self.probe(now, uuid, probe.address);
        }
        for address in out.neighbours {
            self.look_for(now, uuid, address.into());
        }
        for event in out.events {
            self.report(uuid, event);
        }
        for socket in out.closed {
            self.close_extra(socket);
        }
    }

    fn report(&self, uuid: Uuid, event: Event) {
        let event = match event {
            Event::Added(lease) => DriverEvent::LeaseAdded(uuid, lease),
            Event::Released(lease, end) => DriverEvent::LeaseReleased(uuid, lease, end),
            Event::Conflict(address, mac) => {
                tracing::warn!(%uuid, %address, "another machine has an address of the network");
                DriverEvent::LeaseConflict(uuid, address, mac)
            }
            Event::PoolFull => {
                tracing::warn!(%uuid, "no address is left");
                DriverEvent::PoolFull(uuid)
            }
            Event::Dropped(why) => return tracing::debug!(%uuid, why, "a packet is dropped"),
            Event::Renewed(_) => return,
        };
        self.announce(&event);
    }

    /// Sends a datagram. One that cannot be sent is lost, as on the wire.
    pub(super) fn send(&mut self, uuid: Uuid, datagram: &Datagram) {
        if let Err(error) = self.try_send(uuid, datagram) {
            tracing::debug!(%uuid, socket = ?datagram.socket, %error, "a datagram is not sent");
            if matches!(
                datagram.socket,
                Socket::DnsTcp(_)
                    | Socket::Upstream(_)
                    | Socket::UpstreamTcp(_)
                    | Socket::TftpTransfer(_)
            ) {
                self.extra_failed(super::clock::now(), datagram.socket);
            }
        }
    }

    fn try_send(&mut self, uuid: Uuid, datagram: &Datagram) -> io::Result<()> {
        let bytes = &datagram.bytes;
        match (datagram.socket, datagram.to) {
            (Socket::Link, To::Link(mac)) => {
                let ifindex = self.networks.get(&uuid).map_or(0, |network| network.ifindex);
                match &self.link {
                    Some(link) => link.send_on_link(bytes, ifindex, mac),
                    None => Err(io::ErrorKind::NotConnected.into()),
                }
            }
            (Socket::Upstream(_) | Socket::UpstreamTcp(_), To::Ip(server)) => {
                self.ask(uuid, datagram.socket, server, bytes)
            }
            (Socket::TftpTransfer(_), To::Ip(client)) => {
                self.send_transfer(uuid, datagram.socket, (client, datagram.source), bytes)
            }
            (Socket::DnsTcp(_), _) => match self.extras.get_mut(&datagram.socket) {
                Some(Extra { wire: Wire::Stream(stream), token, .. }) => {
                    stream.send(bytes)?;
                    interest(&self.epoll, stream, *token)
                }
                _ => Ok(()),
            },
            (socket, To::Ip(to)) => {
                let network = self.networks.get(&uuid);
                match network.and_then(|network| network.socket(socket)) {
                    Some(open) => open.send(bytes, to, datagram.source),
                    None => Err(io::ErrorKind::NotConnected.into()),
                }
            }
            _ => Err(io::ErrorKind::InvalidInput.into()),
        }
    }

    /// Asks another server by a socket of its own, so that the port is random and strangers are not heard.
    fn ask(
        &mut self,
        uuid: Uuid,
        socket: Socket,
        server: SocketAddr,
        bytes: &[u8],
    ) -> io::Result<()> {
        let is_stream = matches!(socket, Socket::UpstreamTcp(_));
        let kind = if is_stream { socket2::Type::STREAM } else { socket2::Type::DGRAM };
        let own = socket2::Socket::new(socket2::Domain::for_address(server), kind, None)?;
        own.set_nonblocking(true)?;
        match own.connect(&server.into()) {
            Err(error) if error.raw_os_error() != Some(nix::libc::EINPROGRESS) => {
                return Err(error);
            }
            _ => {}
        }
        let token = self.watch(own.as_fd(), Source::Extra(socket))?;
        let wire = if is_stream {
            let mut stream = Stream::new(own, server, 0, super::clock::now().boot)?;
            stream.send(bytes)?;
            interest(&self.epoll, &stream, token)?;
            Wire::Stream(stream)
        } else {
            own.send(bytes)?;
            Wire::Datagrams(own)
        };
        self.extras.insert(socket, Extra { uuid, token, wire });
        Ok(())
    }

    /// Sends a packet of a transfer by a socket of its own, which is connected to the client: the kernel keeps
    /// strangers away.
    fn send_transfer(
        &mut self,
        uuid: Uuid,
        socket: Socket,
        (client, source): (SocketAddr, Option<IpAddr>),
        bytes: &[u8],
    ) -> io::Result<()> {
        if !self.extras.contains_key(&socket) {
            let domain = socket2::Domain::for_address(client);
            let own = socket2::Socket::new(domain, socket2::Type::DGRAM, None)?;
            own.set_nonblocking(true)?;
            if let Some(source) = source {
                let scope = self.networks.get(&uuid).map_or(0, |network| network.ifindex);
                let mut local = SocketAddr::new(source, 0);
                if let SocketAddr::V6(v6) = &mut local
                    && v6.ip().is_unicast_link_local()
                {
                    v6.set_scope_id(scope);
                }
                own.bind(&local.into())?;
            }
            own.connect(&client.into())?;
            let token = self.watch(own.as_fd(), Source::Extra(socket))?;
            self.extras.insert(socket, Extra { uuid, token, wire: Wire::Datagrams(own) });
        }
        match self.extras.get(&socket) {
            Some(Extra { wire: Wire::Datagrams(own), .. }) => own.send(bytes).map(drop),
            _ => Err(io::ErrorKind::NotConnected.into()),
        }
    }

    /// Takes a connection; returns whether there was one.
    fn accept(&mut self, now: Now, uuid: Uuid, at: usize) -> bool {
        let Some(network) = self.networks.get(&uuid) else { return false };
        let Some(open) = network.sockets.get(at) else { return false };
        let flags = rustix::net::SocketFlags::CLOEXEC | rustix::net::SocketFlags::NONBLOCK;
        let Ok(fd) = rustix::net::accept_with(open, flags) else { return false };
        // Of the two listeners of an address the second one is the host's.
        let is_host = self.engine.spec(uuid).and_then(|spec| roles(spec).get(at).copied());
        let is_host = matches!(is_host, Some(Role::DnsTcpOfHost(_)));
        let ifindex = if is_host { LOOPBACK } else { network.ifindex };
        let socket = socket2::Socket::from(fd);
        let Some(peer) = socket.peer_addr().ok().and_then(|peer| peer.as_socket()) else {
            return true;
        };
        let limits = self.engine.spec(uuid).map(|spec| spec.limits).unwrap_or_default();
        let (n_all, n_source) = self.count_clients(uuid, peer);
        if n_all >= limits.tcp_clients || n_source >= limits.tcp_clients_per_source {
            return true;
        }
        let id = Socket::DnsTcp(self.next_stream);
        self.next_stream = self.next_stream.wrapping_add(1);
        let opened = Stream::new(socket, peer, ifindex, now.boot)
            .and_then(|stream| Ok((self.watch(stream.as_fd(), Source::Extra(id))?, stream)));
        match opened {
            Ok((token, stream)) => {
                self.extras.insert(id, Extra { uuid, token, wire: Wire::Stream(stream) });
            }
            Err(error) => tracing::debug!(%error, "a connection is not taken"),
        }
        true
    }

    fn count_clients(&self, uuid: Uuid, peer: SocketAddr) -> (u32, u32) {
        let clients = self.extras.iter().filter_map(|(socket, extra)| match &extra.wire {
            Wire::Stream(stream) if extra.uuid == uuid && matches!(socket, Socket::DnsTcp(_)) => {
                Some(stream)
            }
            _ => None,
        });
        clients.fold((0, 0), |(n_all, n_source), stream| {
            (n_all + 1, n_source + u32::from(stream.peer.ip() == peer.ip()))
        })
    }

    /// Goes on with a connection or a question.
    pub(super) fn extra_ready(&mut self, now: Now, socket: Socket, flags: epoll::EventFlags) {
        let mut buffer = std::mem::take(&mut self.buffer);
        let Some(extra) = self.extras.get_mut(&socket) else {
            self.buffer = buffer;
            return;
        };
        let uuid = extra.uuid;
        let (messages, source, ifindex) = match &mut extra.wire {
            Wire::Datagrams(own) => {
                let read = rustix::io::read(&*own, &mut *buffer).map_err(io::Error::from);
                let read =
                    read.map(|length| vec![buffer.get(..length).unwrap_or_default().to_vec()]);
                let peer = own.peer_addr().ok().and_then(|peer| peer.as_socket());
                (read, peer, 0)
            }
            Wire::Stream(stream) => {
                let mut read = Ok(Vec::new());
                if flags.contains(epoll::EventFlags::OUT) {
                    let flushed = stream.flush();
                    read = flushed
                        .and_then(|()| interest(&self.epoll, stream, extra.token))
                        .map(|()| Vec::new());
                }
                if read.is_ok() && flags != epoll::EventFlags::OUT {
                    read = stream.read(now.boot);
                }
                (read, Some(stream.peer), stream.ifindex)
            }
        };
        self.buffer = buffer;
        match (messages, source) {
            (Ok(messages), Some(source)) => {
                for bytes in &messages {
                    let packet = Packet {
                        socket,
                        source,
                        destination: None,
                        ifindex,
                        hop_limit: None,
                        bytes,
                    };
                    let mut out = Out::default();
                    self.engine.handle(uuid, now, &packet, &mut out);
                    self.carry_out(now, uuid, out);
                }
            }
            _ => self.extra_failed(now, socket),
        }
    }

    fn extra_failed(&mut self, now: Now, socket: Socket) {
        let Some(uuid) = self.extras.get(&socket).map(|extra| extra.uuid) else { return };
        self.close_extra(socket);
        let mut out = Out::default();
        self.engine.failed(uuid, now, socket, &mut out);
        self.carry_out(now, uuid, out);
    }

    fn close_extra(&mut self, socket: Socket) {
        if let Some(extra) = self.extras.remove(&socket) {
            self.sources.remove(&extra.token);
        }
    }

    /// Closes connections of clients that are idle; questions to servers have deadlines of their own.
    pub(super) fn close_idle(&mut self, now: Now) {
        let idle = self.extras.iter().filter(|(socket, extra)| match &extra.wire {
            Wire::Stream(stream) => {
                matches!(socket, Socket::DnsTcp(_)) && stream.deadline <= now.boot
            }
            Wire::Datagrams(_) => false,
        });
        let idle: Vec<Socket> = idle.map(|(socket, _)| *socket).collect();
        for socket in idle {
            self.extra_failed(now, socket);
        }
    }
}

/// Waits for room to write as long as something is to be written.
fn interest(poll: &OwnedFd, stream: &Stream, token: u64) -> io::Result<()> {
    let mut flags = epoll::EventFlags::IN;
    flags.set(epoll::EventFlags::OUT, stream.wants_write());
    epoll::modify(poll, stream, epoll::EventData::new_u64(token), flags)?;
    Ok(())
}
