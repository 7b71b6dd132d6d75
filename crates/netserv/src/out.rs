//! What comes in and what is to be done: the values between the protocols and the sockets.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use oxivirt_netserv_api::Mac;
use oxivirt_netserv_api::message::{End, LeaseInfo};

use crate::lease::Record;

/// A socket of a network, or one that all networks share.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Socket {
    /// DHCPv4, port 67, bound to the bridge.
    Dhcp4,
    /// Sends IP datagrams of ours to an Ethernet address; it receives nothing.
    Link,
    /// DHCPv6, port 547, bound to the bridge.
    Dhcp6,
    /// ICMPv6, bound to the bridge.
    Ra,
    /// DNS over UDP at one of the network's addresses.
    Dns(IpAddr),
    /// A connection for DNS over TCP. Its bytes are one message; the length before it is the socket's affair.
    DnsTcp(u64),
    /// A question to another name server; the number is the forwarder's, and its socket has a port of its own.
    Upstream(u64),
    /// The same over TCP.
    UpstreamTcp(u64),
    /// TFTP requests at one of the network's addresses.
    Tftp(IpAddr),
    /// A TFTP transfer; the number is the server's, and its socket has a port of its own.
    TftpTransfer(u64),
}

/// A datagram that came in.
#[derive(Debug, Clone, Copy)]
pub struct Packet<'a> {
    /// Where it was received.
    pub socket: Socket,
    /// Its sender.
    pub source: SocketAddr,
    /// The address it was sent to, where the kernel says so.
    pub destination: Option<IpAddr>,
    /// Index of the link it came in by; 0 if unknown.
    pub ifindex: u32,
    /// Its hop limit, of ICMPv6 only.
    pub hop_limit: Option<u8>,
    /// Its contents.
    pub bytes: &'a [u8],
}

/// Where a datagram goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum To {
    /// To an address by the kernel's routes; link-local ones on the bridge.
    Ip(SocketAddr),
    /// To an Ethernet address on the bridge. The bytes are a whole IP datagram; the socket is [`Socket::Link`].
    Link(Mac),
    /// To the other end of a connected socket.
    Peer,
}

/// A datagram to send.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Datagram {
    /// By which socket.
    pub socket: Socket,
    /// Where to.
    pub to: To,
    /// From which of the host's addresses; the kernel chooses if absent.
    pub source: Option<IpAddr>,
    /// Its contents.
    pub bytes: Vec<u8>,
    /// Whether it leaves only after all records of its [`Out`] are durable.
    pub after_records: bool,
}

/// A question whether another machine has an address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Probe {
    /// The address.
    pub address: Ipv4Addr,
    /// Who would get it, and may have it already.
    pub mac: Mac,
}

/// What happened, for the driver and for the other protocols of the network.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// A lease was given, or its name changed.
    Added(LeaseInfo),
    /// A lease ends later than it did.
    Renewed(LeaseInfo),
    /// A lease ended.
    Released(LeaseInfo, End),
    /// Another machine has an address of the pool.
    Conflict(IpAddr, Option<Mac>),
    /// No address is left.
    PoolFull,
    /// A packet was dropped; the word says why, for counters.
    Dropped(&'static str),
}

/// What is to be done after one packet or one tick of a network.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Out {
    /// Datagrams to send, in order.
    pub datagrams: Vec<Datagram>,
    /// Records of the network's journal, in order.
    pub records: Vec<Record>,
    /// Addresses to ask for.
    pub probes: Vec<Probe>,
    /// Clients whose Ethernet addresses are looked for; the kernel knows them once it has sent something to them.
    pub neighbours: Vec<Ipv6Addr>,
    /// What happened, in order.
    pub events: Vec<Event>,
    /// Sockets that are not needed any longer: connections, transfers, questions.
    pub closed: Vec<Socket>,
}

impl Out {
    /// Whether there is nothing to do.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.datagrams.is_empty()
            && self.records.is_empty()
            && self.probes.is_empty()
            && self.neighbours.is_empty()
            && self.events.is_empty()
            && self.closed.is_empty()
    }

    /// Adds a datagram that waits for nothing.
    pub fn send(&mut self, socket: Socket, to: To, source: Option<IpAddr>, bytes: Vec<u8>) {
        self.datagrams.push(Datagram { socket, to, source, bytes, after_records: false });
    }

    /// Counts a packet that is not answered.
    pub fn dropped(&mut self, why: &'static str) {
        self.events.push(Event::Dropped(why));
    }
}
