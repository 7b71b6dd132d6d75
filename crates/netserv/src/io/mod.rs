//! The engine on real sockets: one thread that waits for all of them, and one that writes.
//!
//! Each socket that is ready gets a bounded number of packets a turn, so that a guest that floods its network
//! takes turns with all others. The thread never waits for the disk: a confirmation of a lease is held until its
//! record is durable, and sent anyway if that takes too long.
//!
//! [`Service::run`] is the loop; `networks` carries out what the engine says, `control` talks with the driver.

mod clock;
mod control;
mod disk;
mod files;
mod leases;
mod neighbour;
mod networks;
mod socket;
mod stream;

use std::collections::BTreeMap;
use std::io;
use std::net::{IpAddr, Ipv4Addr};
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::time::Duration;

use oxivirt_netserv_api::Mac;
use rustix::event::{Timespec, epoll};
use uuid::Uuid;

use self::control::Connection;
pub use self::disk::Directories;
use self::disk::Disk;
use self::files::Roots;
use self::leases::Writing;
use self::neighbour::Neighbours;
use self::networks::{Extra, Network};
use self::socket::Open;
use crate::engine::Engine;
use crate::{Now, Out, Socket};

/// Packets of one socket that are handled before the next socket's.
const TURN: usize = 32;
/// Sockets that are asked for at once.
const MAX_READY: usize = 256;
/// When the neighbour table is read after a probe was sent.
const LOOKS: [Duration; 3] =
    [Duration::from_millis(10), Duration::from_millis(60), Duration::from_millis(180)];
/// How often idle connections are looked for.
const HOUSEKEEPING: Duration = Duration::from_secs(1);

/// What a descriptor is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Source {
    /// New control connections.
    Listener,
    /// A control connection.
    Control(u64),
    /// The thread that writes has done something.
    Disk,
    /// Answers about neighbours.
    Neighbours,
    /// The process shall end.
    Stop,
    /// A socket of a network, by its place.
    Network(Uuid, usize),
    /// A connection, or a socket of a question.
    Extra(Socket),
}

/// A probe whose answer is looked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Look {
    at: Duration,
    uuid: Uuid,
    address: IpAddr,
}

/// The service with all of its sockets.
#[derive(Debug)]
pub struct Service {
    engine: Engine,
    epoll: OwnedFd,
    sources: BTreeMap<u64, Source>,
    next_token: u64,
    listener: OwnedFd,
    connections: BTreeMap<u64, Connection>,
    directories: Directories,
    disk: Disk,
    writing: Writing,
    link: Option<Open>,
    neighbours: Option<Neighbours>,
    networks: BTreeMap<Uuid, Network>,
    extras: BTreeMap<Socket, Extra>,
    roots: Roots,
    next_stream: u64,
    looks: std::collections::BTreeSet<Look>,
    housekeeping: Duration,
    stop: OwnedFd,
    /// Whether a driver asked for the end.
    is_ending: bool,
    buffer: Vec<u8>,
}

impl Service {
    /// A service without networks. It takes drivers at `listener`, a socket of sequenced packets, and ends when
    /// `stop` is readable.
    ///
    /// # Errors
    /// The kernel's reason.
    pub fn new(
        listener: OwnedFd,
        stop: OwnedFd,
        directories: Directories,
        seed: u64,
    ) -> io::Result<Self> {
        rustix::io::ioctl_fionbio(&listener, true)?;
        let disk = Disk::start(directories.clone())?;
        let mut service = Self {
            engine: Engine::new(seed),
            epoll: epoll::create(epoll::CreateFlags::CLOEXEC)?,
            sources: BTreeMap::new(),
            next_token: 0,
            listener,
            connections: BTreeMap::new(),
            directories,
            disk,
            writing: Writing::default(),
            link: None,
            neighbours: None,
            networks: BTreeMap::new(),
            extras: BTreeMap::new(),
            roots: Roots::default(),
            next_stream: 0,
            looks: std::collections::BTreeSet::new(),
            housekeeping: Duration::ZERO,
            stop,
            is_ending: false,
            buffer: vec![0; 65_536],
        };
        service.engine.set_files(Box::new(service.roots.clone()));
        let fds = [
            (rustix::io::dup(&service.listener)?, Source::Listener),
            (rustix::io::dup(&service.disk)?, Source::Disk),
            (rustix::io::dup(&service.stop)?, Source::Stop),
        ];
        for (fd, source) in fds {
            service.watch(fd.as_fd(), source)?;
            // The registration is of the file behind it, which the original keeps open.
            service.writing.keep(fd);
        }
        Ok(service)
    }

    /// Serves until it shall stop; then all leases are in libvirt's files.
    ///
    /// # Errors
    /// The kernel's reason, if waiting fails.
    pub fn run(mut self) -> io::Result<()> {
        let mut ready = Vec::with_capacity(MAX_READY);
        loop {
            let now = clock::now();
            self.due(now);
            ready.clear();
            let timeout = self.timeout(clock::now().boot);
            let buffer = rustix::buffer::spare_capacity(&mut ready);
            match epoll::wait(&self.epoll, buffer, timeout.as_ref()) {
                Ok(_) | Err(rustix::io::Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
            let now = clock::now();
            for event in &ready {
                let Some(source) = self.sources.get(&event.data.u64()).copied() else { continue };
                if source == Source::Stop {
                    self.finish(now);
                    return Ok(());
                }
                self.ready(now, source, event.flags);
            }
            if self.is_ending {
                self.finish(now);
                // The connections close last, which tells that everything is written.
                let connections = std::mem::take(&mut self.connections);
                drop(self);
                drop(connections);
                return Ok(());
            }
        }
    }

    fn ready(&mut self, now: Now, source: Source, flags: epoll::EventFlags) {
        match source {
            Source::Listener => self.accept_control(),
            Source::Control(id) => self.control(now, id),
            Source::Disk => self.written(now),
            Source::Neighbours => self.neighbours(now),
            Source::Network(uuid, at) => self.receive(now, uuid, at),
            Source::Extra(socket) => self.extra_ready(now, socket, flags),
            Source::Stop => {}
        }
    }

    /// Does what is due by time.
    fn due(&mut self, now: Now) {
        loop {
            let mut out = Out::default();
            let Some(uuid) = self.engine.tick(now, &mut out) else { break };
            self.carry_out(now, uuid, out);
        }
        while let Some(look) = self.looks.first().copied().filter(|look| look.at <= now.boot) {
            self.looks.remove(&look);
            self.look(look);
        }
        self.write_due(now);
        if !self.extras.is_empty() && self.housekeeping <= now.boot {
            self.housekeeping = now.boot.saturating_add(HOUSEKEEPING);
            self.close_idle(now);
        }
    }

    /// How long to wait at most; for ever if nothing is due.
    fn timeout(&self, now: Duration) -> Option<Timespec> {
        let look = self.looks.first().map(|look| look.at);
        let housekeeping = (!self.extras.is_empty()).then_some(self.housekeeping);
        let due = [self.engine.deadline(), look, housekeeping, self.writing.deadline()];
        let wait = due.into_iter().flatten().min()?.saturating_sub(now);
        // The kernel counts finer than deadlines are met; a wait of zero would only turn the loop.
        Timespec::try_from(wait).ok()
    }

    /// Waits for a descriptor from now on.
    fn watch(&mut self, fd: BorrowedFd<'_>, source: Source) -> io::Result<u64> {
        let token = self.next_token;
        self.next_token = self.next_token.wrapping_add(1);
        let data = epoll::EventData::new_u64(token);
        epoll::add(&self.epoll, fd, data, epoll::EventFlags::IN)?;
        self.sources.insert(token, source);
        Ok(token)
    }

    /// Sends a probe and looks for its answer later.
    fn probe(&mut self, now: Now, uuid: Uuid, address: Ipv4Addr) {
        let Some(network) = self.networks.get(&uuid) else { return };
        if let Some(socket) = network.socket(Socket::Dhcp4)
            && let Err(error) = socket.send(&[], (address, 9).into(), None)
        {
            tracing::debug!(%address, %error, "an address is not asked for");
        }
        self.look_for(now, uuid, address.into());
    }

    /// Reads the neighbour table for an address soon, and again.
    fn look_for(&mut self, now: Now, uuid: Uuid, address: IpAddr) {
        let look = |after| Look { at: now.boot.saturating_add(after), uuid, address };
        self.looks.extend(LOOKS.map(look));
    }

    fn look(&self, look: Look) {
        let Some(network) = self.networks.get(&look.uuid) else { return };
        let Some(neighbours) = &self.neighbours else { return };
        if let Err(error) = neighbours.ask(network.ifindex, look.address) {
            tracing::debug!(address = %look.address, %error, "the neighbour table is not read");
        }
    }

    /// Takes answers about neighbours.
    fn neighbours(&mut self, now: Now) {
        let mut found: Vec<(u32, IpAddr, Mac)> = Vec::new();
        for _ in 0..TURN {
            let Some(neighbours) = &self.neighbours else { return };
            match neighbours.receive(&mut self.buffer) {
                Ok(Some(it)) => found.push((it.ifindex, it.address, it.mac)),
                Ok(None) => break,
                Err(error) => {
                    tracing::warn!(%error, "the neighbour table is not read");
                    break;
                }
            }
        }
        for (ifindex, address, mac) in found {
            let on_link = self.networks.iter().find(|(_, network)| network.ifindex == ifindex);
            let Some(uuid) = on_link.map(|(uuid, _)| *uuid) else { continue };
            let mut out = Out::default();
            match address {
                IpAddr::V4(v4) => self.engine.conflict(uuid, now, (v4, mac), &mut out),
                IpAddr::V6(v6) => self.engine.neighbour(uuid, now, (v6, mac), &mut out),
            }
            self.carry_out(now, uuid, out);
        }
    }
}

#[cfg(test)]
mod tests;
