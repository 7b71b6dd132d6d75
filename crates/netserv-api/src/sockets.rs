//! The sockets of a network: which there are, and how they are opened.
//!
//! The driver opens them, because binding needs privilege, and gives them to the service with the network.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV6};
use std::os::fd::OwnedFd;

use nix::sys::socket::{setsockopt, sockopt};
use rustix::fs::{Mode, OFlags};
use socket2::{Domain, Protocol, SockFilter, Socket, Type};

use crate::NetworkSpec;

/// Bytes that may wait at a socket.
const RECEIVE_BUFFER: usize = 256 * 1024;
/// Connections that may wait to be accepted.
const BACKLOG: i32 = 32;
/// Type of service of network control, as DHCP servers set it.
const TOS: u32 = 0xc0;

/// All DHCPv6 servers of a link.
const ALL_DHCP_SERVERS: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 1, 2);
/// All routers of a link.
const ALL_ROUTERS: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 2);
/// A filter in the kernel's classic language: keeps ICMPv6 messages of type 133 and drops all others.
const ONLY_SOLICITATIONS: [(u16, u8, u8, u32); 4] = [
    // Load the first byte, compare it, accept, drop.
    (0x30, 0, 0, 0),
    (0x15, 0, 1, 133),
    (0x06, 0, 0, u32::MAX),
    (0x06, 0, 0, 0),
];

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
    /// DHCPv6 on the bridge.
    Dhcp6,
    /// Router solicitations on the bridge.
    Ra,
    /// TFTP requests at one of the network's addresses.
    Tftp(IpAddr),
    /// A directory that is served over TFTP, by its number: no socket, but opened by the driver as well.
    TftpRoot(usize),
}

/// The sockets of a network, in the order in which they are passed.
#[must_use]
pub fn roles(spec: &NetworkSpec) -> Vec<Role> {
    let mut roles: Vec<Role> = spec.dhcp4.iter().map(|_| Role::Dhcp4).collect();
    let addresses = spec.addresses.iter().filter(|_| spec.dns.is_some());
    for address in addresses.map(|own| own.address) {
        roles.extend([Role::Dns(address), Role::DnsTcp(address), Role::DnsTcpOfHost(address)]);
    }
    // The address that router advertisements name as name server; the host does not use it.
    if let Some(ra) = spec.ra.as_ref().filter(|_| spec.dns.is_some()) {
        let address = ra.link_local(spec.mac).into();
        roles.extend([Role::Dns(address), Role::DnsTcp(address)]);
    }
    roles.extend(spec.dhcp6.iter().map(|_| Role::Dhcp6));
    roles.extend(spec.ra.iter().map(|_| Role::Ra));
    let mut roots: Vec<Role> = spec.tftp.iter().map(|root| Role::Tftp(root.address)).collect();
    roots.dedup();
    roles.extend(roots);
    // Last, because they are no sockets.
    roles.extend((0..spec.tftp.len()).map(Role::TftpRoot));
    roles
}

/// Opens a socket of a network in the caller's network namespace.
///
/// # Errors
/// The kernel's reason; the address or port is in use, or the bridge is gone.
pub fn open(spec: &NetworkSpec, role: Role) -> io::Result<OwnedFd> {
    let socket = match role {
        Role::Dhcp4 => dhcp4(&spec.bridge)?,
        Role::Dns(address) => at_address(spec, address, 53)?,
        Role::Tftp(address) => at_address(spec, address, 69)?,
        Role::DnsTcp(address) => listener(spec, address, &spec.bridge)?,
        // The kernel tells the two apart by the link of the first packet.
        Role::DnsTcpOfHost(address) => listener(spec, address, "lo")?,
        Role::Dhcp6 => dhcp6(spec)?,
        Role::Ra => ra(spec)?,
        Role::TftpRoot(number) => {
            let root = spec.tftp.get(number).ok_or(io::ErrorKind::InvalidInput)?;
            let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
            return Ok(rustix::fs::open(&*root.path, flags, Mode::empty())?);
        }
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

/// An own address with a port; a link-local one is of the bridge.
fn own(spec: &NetworkSpec, address: IpAddr, port: u16) -> SocketAddr {
    match address {
        IpAddr::V6(v6) if v6.is_unicast_link_local() => {
            SocketAddrV6::new(v6, port, 0, spec.ifindex).into()
        }
        _ => SocketAddr::new(address, port),
    }
}

fn at_address(spec: &NetworkSpec, address: IpAddr, port: u16) -> io::Result<Socket> {
    let address = own(spec, address, port);
    let socket = Socket::new(Domain::for_address(address), Type::DGRAM, None)?;
    if address.is_ipv4() {
        setsockopt(&socket, sockopt::Ipv4PacketInfo, &true)?;
    } else {
        setsockopt(&socket, sockopt::Ipv6RecvPacketInfo, &true)?;
        socket.set_only_v6(true)?;
        // Duplicate address detection may still be on its way.
        socket.set_freebind_v6(true)?;
    }
    socket.set_reuse_address(true)?;
    socket.set_recv_buffer_size(RECEIVE_BUFFER)?;
    socket.bind(&address.into())?;
    Ok(socket)
}

fn dhcp6(spec: &NetworkSpec) -> io::Result<Socket> {
    let socket = Socket::new(Domain::IPV6, Type::DGRAM, Some(Protocol::UDP))?;
    socket.bind_device(Some(spec.bridge.as_bytes()))?;
    socket.set_only_v6(true)?;
    socket.set_reuse_address(true)?;
    socket.set_recv_buffer_size(RECEIVE_BUFFER)?;
    setsockopt(&socket, sockopt::Ipv6RecvPacketInfo, &true)?;
    socket.join_multicast_v6(&ALL_DHCP_SERVERS, spec.ifindex)?;
    socket.bind(&SocketAddr::from((Ipv6Addr::UNSPECIFIED, 547)).into())?;
    Ok(socket)
}

fn ra(spec: &NetworkSpec) -> io::Result<Socket> {
    let socket = Socket::new(Domain::IPV6, Type::RAW, Some(Protocol::ICMPV6))?;
    socket.attach_filter(
        &ONLY_SOLICITATIONS.map(|(code, jt, jf, k)| SockFilter::new(code, jt, jf, k)),
    )?;
    socket.bind_device(Some(spec.bridge.as_bytes()))?;
    socket.set_recv_buffer_size(RECEIVE_BUFFER)?;
    socket.set_multicast_if_v6(spec.ifindex)?;
    socket.set_multicast_loop_v6(false)?;
    socket.set_multicast_hops_v6(255)?;
    socket.set_unicast_hops_v6(255)?;
    socket.set_recv_hoplimit_v6(true)?;
    setsockopt(&socket, sockopt::Ipv6RecvPacketInfo, &true)?;
    socket.join_multicast_v6(&ALL_ROUTERS, spec.ifindex)?;
    Ok(socket)
}

fn listener(spec: &NetworkSpec, address: IpAddr, link: &str) -> io::Result<Socket> {
    let address = own(spec, address, 53);
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, None)?;
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
        socket.set_freebind_v6(true)?;
    }
    socket.bind_device(Some(link.as_bytes()))?;
    socket.set_reuse_address(true)?;
    socket.bind(&address.into())?;
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
