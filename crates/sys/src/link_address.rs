//! The address of a machine on a link, for packet sockets.

use nix::libc;
use socket2::{SockAddr, SockAddrStorage};

/// Where an IPv4 datagram without a link header is sent to: a link and an Ethernet address.
///
/// packet(7), `sockaddr_ll`
#[must_use]
pub fn link_address(ifindex: u32, mac: [u8; 6]) -> SockAddr {
    let mut storage = SockAddrStorage::zeroed();
    let [a, b, c, d, e, f] = mac;
    let address = libc::sockaddr_ll {
        sll_family: u16::try_from(libc::AF_PACKET).unwrap_or_default(),
        sll_protocol: 0x0800_u16.to_be(),
        sll_ifindex: i32::try_from(ifindex).unwrap_or_default(),
        sll_hatype: 0,
        sll_pkttype: 0,
        sll_halen: 6,
        sll_addr: [a, b, c, d, e, f, 0, 0],
    };
    let length = libc::socklen_t::try_from(size_of::<libc::sockaddr_ll>()).unwrap_or_default();
    #[expect(unsafe_code, reason = "no library makes this address from its parts")]
    // SAFETY: the storage is large and aligned enough for every socket address, the structure has no
    // references, and the length is that of the structure that was just written.
    unsafe {
        *storage.view_as::<libc::sockaddr_ll>() = address;
        SockAddr::new(storage, length)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernel_reads_the_parts() {
        let address = link_address(7, [1, 2, 3, 4, 5, 6]);
        assert_eq!(i32::from(address.family()), libc::AF_PACKET);
        assert_eq!(usize::try_from(address.len()).unwrap(), size_of::<libc::sockaddr_ll>());
    }
}
