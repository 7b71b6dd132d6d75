//! Who has an address: what the kernel's neighbour table says.
//!
//! The kernel asks by ARP as soon as something is sent to an address; the table then has the answer. Reading it needs
//! no privilege. A guest that answers no echo is found too.

use std::io;
use std::net::IpAddr;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use netlink_packet_core::{NLM_F_REQUEST, NetlinkMessage, NetlinkPayload};
use netlink_packet_route::neighbour::{
    NeighbourAddress, NeighbourAttribute, NeighbourMessage, NeighbourState,
};
use netlink_packet_route::{AddressFamily, RouteNetlinkMessage};
use oxivirt_netserv_api::Mac;

/// A netlink socket of the namespace whose links are served.
#[derive(Debug)]
pub(super) struct Neighbours {
    socket: socket2::Socket,
}

/// An address that answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Neighbour {
    pub(super) ifindex: u32,
    pub(super) address: IpAddr,
    pub(super) mac: Mac,
}

impl AsFd for Neighbours {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

impl Neighbours {
    pub(super) fn new(fd: OwnedFd) -> io::Result<Self> {
        let socket = socket2::Socket::from(fd);
        socket.set_nonblocking(true)?;
        Ok(Self { socket })
    }

    /// Asks for the entry of an address; the answer can be received later.
    pub(super) fn ask(&self, ifindex: u32, address: IpAddr) -> io::Result<()> {
        let mut request = NeighbourMessage::default();
        let (family, address) = match address {
            IpAddr::V4(v4) => (AddressFamily::Inet, NeighbourAddress::Inet(v4)),
            IpAddr::V6(v6) => (AddressFamily::Inet6, NeighbourAddress::Inet6(v6)),
        };
        request.header.family = family;
        request.header.ifindex = ifindex;
        request.attributes = vec![NeighbourAttribute::Destination(address)];
        let payload = RouteNetlinkMessage::GetNeighbour(request);
        let mut message = NetlinkMessage::from(payload);
        message.header.flags = NLM_F_REQUEST;
        message.finalize();
        let mut bytes = vec![0; message.buffer_len()];
        message.serialize(&mut bytes);
        self.socket.send(&bytes).map(drop)
    }

    /// An address that answered; nothing if no answer waits.
    pub(super) fn receive(&self, buffer: &mut [u8]) -> io::Result<Option<Neighbour>> {
        loop {
            let length = match rustix::io::read(&self.socket, &mut *buffer) {
                Ok(length) => length,
                Err(rustix::io::Errno::AGAIN | rustix::io::Errno::INTR) => return Ok(None),
                Err(error) => return Err(error.into()),
            };
            let bytes = buffer.get(..length).unwrap_or_default();
            if let Some(neighbour) = parse(bytes) {
                return Ok(Some(neighbour));
            }
        }
    }
}

/// The address of an entry: of IPv4 only if its machine answered lately.
fn parse(bytes: &[u8]) -> Option<Neighbour> {
    let message = NetlinkMessage::<RouteNetlinkMessage>::deserialize(bytes).ok()?;
    let NetlinkPayload::InnerMessage(RouteNetlinkMessage::NewNeighbour(entry)) = message.payload
    else {
        return None;
    };
    let address = entry.attributes.iter().find_map(|attribute| match attribute {
        NeighbourAttribute::Destination(NeighbourAddress::Inet(v4)) => Some(IpAddr::V4(*v4)),
        NeighbourAttribute::Destination(NeighbourAddress::Inet6(v6)) => Some(IpAddr::V6(*v6)),
        _ => None,
    });
    let mac = entry.attributes.iter().find_map(|attribute| match attribute {
        NeighbourAttribute::LinkLayerAddress(mac) => mac.as_slice().try_into().ok(),
        _ => None,
    });
    let address = address?;
    // An older entry says who had an address of IPv4 once, which is no conflict.
    if address.is_ipv4() && entry.header.state != NeighbourState::Reachable {
        return None;
    }
    Some(Neighbour { ifindex: entry.header.ifindex, address, mac: mac? })
}
