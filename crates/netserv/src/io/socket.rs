//! Datagrams in and out of sockets that were opened by the driver.

use std::io::{self, IoSlice, IoSliceMut};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::os::fd::{AsFd, AsRawFd as _, BorrowedFd, OwnedFd};

use nix::libc;
use nix::sys::socket::{
    ControlMessage, ControlMessageOwned, MsgFlags, SockaddrIn, recvmsg, sendmsg,
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
}

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

    /// Receives a datagram of IPv4; nothing if none waits.
    pub(super) fn receive(&self, buffer: &mut [u8]) -> io::Result<Option<Received>> {
        let mut control = nix::cmsg_space!(libc::in_pktinfo);
        let mut parts = [IoSliceMut::new(buffer)];
        let flags = MsgFlags::MSG_DONTWAIT;
        let fd = self.socket.as_raw_fd();
        let message = match recvmsg::<SockaddrIn>(fd, &mut parts, Some(&mut control), flags) {
            Ok(message) => message,
            Err(nix::errno::Errno::EAGAIN | nix::errno::Errno::EINTR) => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        let source = message
            .address
            .map_or((Ipv4Addr::UNSPECIFIED, 0), |source| (source.ip(), source.port()));
        let mut received = Received {
            length: message.bytes,
            source: source.into(),
            destination: None,
            ifindex: 0,
        };
        for control in message.cmsgs()? {
            if let ControlMessageOwned::Ipv4PacketInfo(info) = control {
                let address = Ipv4Addr::from(info.ipi_addr.s_addr.to_ne_bytes());
                received.destination = Some(address.into());
                received.ifindex = u32::try_from(info.ipi_ifindex).unwrap_or_default();
            }
        }
        Ok(Some(received))
    }

    /// Sends a datagram to an address of IPv4, from one of the host's.
    pub(super) fn send(
        &self,
        bytes: &[u8],
        to: SocketAddr,
        source: Option<IpAddr>,
    ) -> io::Result<()> {
        let SocketAddr::V4(to) = to else { return Err(io::ErrorKind::Unsupported.into()) };
        let own = match source {
            Some(IpAddr::V4(own)) => own,
            _ => Ipv4Addr::UNSPECIFIED,
        };
        let own = libc::in_addr { s_addr: u32::from_ne_bytes(own.octets()) };
        let info = libc::in_pktinfo {
            ipi_ifindex: 0,
            ipi_spec_dst: own,
            ipi_addr: libc::in_addr { s_addr: 0 },
        };
        let control = [ControlMessage::Ipv4PacketInfo(&info)];
        let parts = [IoSlice::new(bytes)];
        let to = SockaddrIn::from(to);
        let flags = MsgFlags::MSG_DONTWAIT;
        sendmsg(self.socket.as_raw_fd(), &parts, &control, flags, Some(&to))?;
        Ok(())
    }

    /// Sends an IP datagram of ours to an Ethernet address on a link.
    pub(super) fn send_on_link(&self, bytes: &[u8], ifindex: u32, mac: Mac) -> io::Result<()> {
        self.socket.send_to(bytes, &link_address(ifindex, mac)).map(drop)
    }
}
