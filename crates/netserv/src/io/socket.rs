//! Datagrams in and out of sockets that were opened by the driver.

use std::io::{self, IoSlice, IoSliceMut};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV6};
use std::os::fd::{AsFd, AsRawFd as _, BorrowedFd, OwnedFd};

use nix::libc;
use nix::sys::socket::{
    ControlMessage, ControlMessageOwned, MsgFlags, SockaddrStorage, recvmsg, sendmsg,
};
use oxivirt_netserv_api::Mac;
use oxivirt_sys::link_address::link_address;

use crate::Socket;

/// A socket of a network, with what it is for.
#[derive(Debug)]
pub(super) struct Open {
    pub(super) kind: Socket,
    socket: socket2::Socket,
}

/// A datagram that was received.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Received {
    pub(super) length: usize,
    pub(super) source: SocketAddr,
    pub(super) destination: Option<IpAddr>,
    pub(super) ifindex: u32,
    pub(super) hop_limit: Option<u8>,
}

/// The sender of a datagram without one.
const NOBODY: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), 0);

impl AsFd for Open {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

impl Open {
    /// Takes a socket over; it never blocks afterwards.
    pub(super) fn new(kind: Socket, fd: OwnedFd) -> io::Result<Self> {
        let socket = socket2::Socket::from(fd);
        socket.set_nonblocking(true)?;
        Ok(Self { kind, socket })
    }

    /// Receives a datagram; nothing if none waits.
    pub(super) fn receive(&self, buffer: &mut [u8]) -> io::Result<Option<Received>> {
        let mut control = nix::cmsg_space!(libc::in6_pktinfo, libc::c_int);
        let mut parts = [IoSliceMut::new(buffer)];
        let flags = MsgFlags::MSG_DONTWAIT;
        let fd = self.socket.as_raw_fd();
        let message = match recvmsg::<SockaddrStorage>(fd, &mut parts, Some(&mut control), flags) {
            Ok(message) => message,
            Err(nix::errno::Errno::EAGAIN | nix::errno::Errno::EINTR) => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        let mut received = Received {
            length: message.bytes,
            source: message.address.and_then(|source| address(&source)).unwrap_or(NOBODY),
            destination: None,
            ifindex: 0,
            hop_limit: None,
        };
        for control in message.cmsgs()? {
            match control {
                ControlMessageOwned::Ipv4PacketInfo(info) => {
                    let address = Ipv4Addr::from(info.ipi_addr.s_addr.to_ne_bytes());
                    received.destination = Some(address.into());
                    received.ifindex = u32::try_from(info.ipi_ifindex).unwrap_or_default();
                }
                ControlMessageOwned::Ipv6PacketInfo(info) => {
                    received.destination = Some(Ipv6Addr::from(info.ipi6_addr.s6_addr).into());
                    received.ifindex = info.ipi6_ifindex;
                }
                ControlMessageOwned::Ipv6HopLimit(limit) => {
                    received.hop_limit = u8::try_from(limit).ok();
                }
                _ => {}
            }
        }
        Ok(Some(received))
    }

    /// Sends a datagram, from one of the host's addresses.
    pub(super) fn send(
        &self,
        bytes: &[u8],
        to: SocketAddr,
        source: Option<IpAddr>,
    ) -> io::Result<()> {
        let v4;
        let v6;
        let control = match source {
            Some(IpAddr::V4(own)) => {
                v4 = libc::in_pktinfo {
                    ipi_ifindex: 0,
                    ipi_spec_dst: libc::in_addr { s_addr: u32::from_ne_bytes(own.octets()) },
                    ipi_addr: libc::in_addr { s_addr: 0 },
                };
                Some(ControlMessage::Ipv4PacketInfo(&v4))
            }
            Some(IpAddr::V6(own)) => {
                v6 = libc::in6_pktinfo {
                    ipi6_addr: libc::in6_addr { s6_addr: own.octets() },
                    ipi6_ifindex: 0,
                };
                Some(ControlMessage::Ipv6PacketInfo(&v6))
            }
            None => None,
        };
        let parts = [IoSlice::new(bytes)];
        let to = SockaddrStorage::from(to);
        let flags = MsgFlags::MSG_DONTWAIT;
        sendmsg(self.socket.as_raw_fd(), &parts, control.as_slice(), flags, Some(&to))?;
        Ok(())
    }

    /// Sends an IP datagram of ours to an Ethernet address on a link.
    pub(super) fn send_on_link(&self, bytes: &[u8], ifindex: u32, mac: Mac) -> io::Result<()> {
        self.socket.send_to(bytes, &link_address(ifindex, mac)).map(drop)
    }
}

/// The address of a kernel's structure.
fn address(storage: &SockaddrStorage) -> Option<SocketAddr> {
    if let Some(v4) = storage.as_sockaddr_in() {
        return Some(SocketAddr::new(v4.ip().into(), v4.port()));
    }
    let v6 = storage.as_sockaddr_in6()?;
    Some(SocketAddrV6::new(v6.ip(), v6.port(), v6.flowinfo(), v6.scope_id()).into())
}
