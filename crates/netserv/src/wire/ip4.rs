//! The IP and UDP headers of a reply to a client that has no address yet.

use std::net::Ipv4Addr;

/// Length of both headers.
const HEADERS: u16 = 28;
/// Hops that a reply may make.
const TTL: u8 = 64;
/// Type of service of network control (precedence 6), as DHCP servers set it.
const TOS: u8 = 0xc0;
/// Number of UDP.
const UDP: u8 = 17;

/// A UDP datagram with its IP header; nothing if the contents are longer than a datagram can be.
///
/// RFC 791, RFC 768
#[must_use]
pub fn udp(source: (Ipv4Addr, u16), to: (Ipv4Addr, u16), contents: &[u8]) -> Option<Vec<u8>> {
    let total = u16::try_from(contents.len()).ok()?.checked_add(HEADERS)?;
    let mut packet = Vec::with_capacity(usize::from(total));
    packet.extend([0x45, TOS]);
    packet.extend(total.to_be_bytes());
    // No identification is needed by what is not fragmented.
    packet.extend([0, 0, 0x40, 0, TTL, UDP]);
    let header = [&packet[..], &source.0.octets()[..], &to.0.octets()[..]];
    packet.extend(checksum(header.into_iter()).to_be_bytes());
    packet.extend(source.0.octets());
    packet.extend(to.0.octets());
    let length = total.saturating_sub(20).to_be_bytes();
    let ports = [source.1.to_be_bytes(), to.1.to_be_bytes()];
    let pseudo = [0, UDP];
    let (from, dest) = (source.0.octets(), to.0.octets());
    let [source_port, destination_port] = &ports;
    let parts: [&[u8]; 8] =
        [&from, &dest, &pseudo, &length, source_port, destination_port, &length, contents];
    let sum = match checksum(parts.into_iter()) {
        // Zero means that there is none.
        0 => 0xffff,
        sum => sum,
    };
    packet.extend(source_port);
    packet.extend(destination_port);
    packet.extend(length);
    packet.extend(sum.to_be_bytes());
    packet.extend(contents);
    Some(packet)
}

/// The Internet checksum of parts of which all but the last have an even length.
///
/// RFC 1071
fn checksum<'a>(parts: impl Iterator<Item = &'a [u8]>) -> u16 {
    let mut sum: u64 = 0;
    for part in parts {
        for pair in part.chunks(2) {
            let word = match *pair {
                [high, low] => u16::from_be_bytes([high, low]),
                [high] => u16::from_be_bytes([high, 0]),
                _ => 0,
            };
            sum = sum.saturating_add(u64::from(word));
        }
    }
    while sum >> 16 != 0 {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    !u16::try_from(sum).unwrap_or(u16::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn checksums_are_right() {
        let source = (Ipv4Addr::new(192, 0, 2, 1), 67);
        let packet = udp(source, (Ipv4Addr::new(192, 0, 2, 9), 68), b"hello").unwrap();
        assert_eq!(packet.len(), 33);
        // A sum over a part with its checksum is zero.
        assert_eq!(checksum([&packet[..20]].into_iter()), 0);
        let pseudo = [0, 17, 0, 13];
        let udp = [&packet[12..20], &pseudo[..], &packet[20..]];
        assert_eq!(checksum(udp.into_iter()), 0);
        assert_eq!(&packet[28..], b"hello");
    }

    #[test]
    fn what_is_too_long_is_refused() {
        let at = (Ipv4Addr::UNSPECIFIED, 0);
        assert!(udp(at, at, &vec![0; 65_507]).is_some());
        assert!(udp(at, at, &vec![0; 65_508]).is_none());
    }
}
