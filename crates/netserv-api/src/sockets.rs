//! The sockets of a network: which there are, and how they are opened.
//!
//! The driver opens them, because binding needs privilege, and gives them to the service with the network.

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::os::fd::OwnedFd;

use nix::sys::socket::{setsockopt, sockopt};
use socket2::{Domain, Protocol, Socket, Type};

use crate::NetworkSpec;

/// Bytes that may wait at a socket.
const RECEIVE_BUFFER: usize = 256 * 1024;
/// Connections that may wait to be accepted.
const BACKLOG: i32 = 32;
/// Type of service of network control, as DHCP servers set it.
const TOS: u32 = 0xc0;

/// What a socket of a network is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Role {
    /// DHCPv4 on the bridge.
    Dhcp4,
    /// DNS over UDP at one of the network's addresses.
    Dns(IpAddr),
    /// Connections of guests for DNS, by the bridge.
    DnsTcp(IpAddr),
    /// Connections of the host itself for DNS, by its loop-back link.
    DnsTcpOfHost(IpAddr),
}

/// The sockets of a network, in the order in which they are passed.
#[must_use]
pub fn roles(spec: &NetworkSpec) -> Vec<Role> {
    let mut roles: Vec<Role> = spec.dhcp4.iter().map(|_| Role::Dhcp4).collect();
    let addresses = spec.addresses.iter().filter(|_| spec.dns.is_some());
    for address in addresses.map(|own| own.address).filter(IpAddr::is_ipv4) {
        roles.extend([Role::Dns(address), Role::DnsTcp(address), Role::DnsTcpOfHost(address)]);
    }
    roles
}

/// Opens a socket of a network in the caller's network namespace.
///
/// # Errors
/// The kernel's reason; the address or port is in use, or the bridge is gone.
pub fn open(spec: &NetworkSpec, role: Role) -> io::Result<OwnedFd> {
    let socket = match role {
        Role::Dhcp4 => dhcp4(&spec.bridge)?,
        Role::Dns(address) => {
            let socket = Socket::new(Domain::for_address((address, 53).into()), Type::DGRAM, None)?;
            setsockopt(&socket, sockopt::Ipv4PacketInfo, &true)?;
            socket.set_reuse_address(true)?;
            socket.set_recv_buffer_size(RECEIVE_BUFFER)?;
            socket.bind(&SocketAddr::new(address, 53).into())?;
            socket
        }
        Role::DnsTcp(address) => listener(address, &spec.bridge)?,
        // The kernel tells the two apart by the link of the first packet.
        Role::DnsTcpOfHost(address) => listener(address, "lo")?,
    };
    Ok(socket.into())
}

fn dhcp4(bridge: &str) -> io::Result<Socket> {
    let socket = Socket::new(Domain::IPV4, Type::DGRAM, Some(Protocol::UDP))?;
    socket.bind_device(Some(bridge.as_bytes()))?;
    socket.set_reuse_address(true)?;
    socket.set_broadcast(true)?;
    socket.set_tos_v4(TOS)?;
    socket.set_recv_buffer_size(RECEIVE_BUFFER)?;
    setsockopt(&socket, sockopt::Ipv4PacketInfo, &true)?;
    socket.bind(&SocketAddr::from((Ipv4Addr::UNSPECIFIED, 67)).into())?;
    Ok(socket)
}

fn listener(address: IpAddr, link: &str) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address((address, 53).into()), Type::STREAM, None)?;
    socket.bind_device(Some(link.as_bytes()))?;
    socket.set_reuse_address(true)?;
    socket.bind(&SocketAddr::new(address, 53).into())?;
    socket.listen(BACKLOG)?;
    Ok(socket)
}

/// The two sockets that all networks of a namespace share: a packet socket that receives nothing, and a netlink
/// socket that reads the neighbour table.
///
/// # Errors
/// The kernel's reason.
pub fn host() -> io::Result<[OwnedFd; 2]> {
    let packets = Socket::new(Domain::PACKET, Type::DGRAM, None)?;
    let netlink = Socket::new(Domain::from(nix::libc::AF_NETLINK), Type::DGRAM, None)?;
    Ok([packets.into(), netlink.into()])
}
