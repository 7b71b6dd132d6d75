//! A DHCPv6 client that asks once: solicit, advertise, request, reply.
//!
//! RFC 8415, sections 8, 18.2 and 21

use std::net::{Ipv6Addr, SocketAddrV6, UdpSocket};
use std::path::Path;
use std::time::{Duration, Instant};

use crate::error::{Error, Result};
use crate::process::PATIENCE;

const CLIENT_PORT: u16 = 546;
const SERVER_PORT: u16 = 547;
/// All_DHCP_Relay_Agents_and_Servers
const SERVERS: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 1, 2);

const SOLICIT: u8 = 1;
const ADVERTISE: u8 = 2;
const REQUEST: u8 = 3;
const REPLY: u8 = 7;

const CLIENT_ID: u16 = 1;
const SERVER_ID: u16 = 2;
const IA_NA: u16 = 3;
const IA_ADDRESS: u16 = 5;
const OPTION_REQUEST: u16 = 6;
const ELAPSED_TIME: u16 = 8;
const CLIENT_FQDN: u16 = 39;
const DNS_SERVERS: u16 = 23;
const DOMAIN_LIST: u16 = 24;

/// Time after which a question is repeated.
const TIMEOUT: Duration = Duration::from_secs(1);

type Options = Vec<(u16, Vec<u8>)>;

/// Asks on an interface for an address, as a client with the given identifier and name; prints
/// `address=`, `valid=` (seconds) and `dns=`.
///
/// # Errors
/// No answer, or the server has no address.
pub fn dhcp6(interface: &str, duid: &[u8], name: &str) -> Result<()> {
    let index = Path::new("/sys/class/net").join(interface).join("ifindex");
    let text = std::fs::read_to_string(&index).map_err(Error::file(&index))?;
    let wrong = |what: &str| Error::Wrong(format!("{interface}: {what}"));
    let index: u32 = text.trim().parse().map_err(|_| wrong("no index"))?;
    let any = SocketAddrV6::new(Ipv6Addr::UNSPECIFIED, CLIENT_PORT, 0, index);
    let failed = |source| Error::Run { command: format!("DHCPv6 on {interface}"), source };
    let socket = UdpSocket::bind(any).map_err(failed)?;
    socket.set_read_timeout(Some(TIMEOUT)).map_err(failed)?;
    let to = SocketAddrV6::new(SERVERS, SERVER_PORT, 0, index);

    let mut fqdn = vec![0, u8::try_from(name.len()).map_err(|_| wrong("long name"))?];
    fqdn.extend(name.bytes());
    let identity: Options = vec![
        (CLIENT_ID, duid.to_vec()),
        (ELAPSED_TIME, vec![0, 0]),
        (OPTION_REQUEST, [DNS_SERVERS, DOMAIN_LIST].iter().flat_map(|o| o.to_be_bytes()).collect()),
        (CLIENT_FQDN, fqdn),
    ];
    // Identity association 1, times left to the server.
    let mut solicit = identity.clone();
    solicit.push((IA_NA, [&1_u32.to_be_bytes()[..], &[0; 8]].concat()));
    let advertised = exchange(&socket, to, [SOLICIT, ADVERTISE], &solicit)?;
    let mut request = identity;
    for code in [SERVER_ID, IA_NA] {
        let value = find(&advertised, code).ok_or_else(|| wrong("an incomplete advertisement"))?;
        request.push((code, value.to_vec()));
    }
    let reply = exchange(&socket, to, [REQUEST, REPLY], &request)?;
    let association = find(&reply, IA_NA).ok_or_else(|| wrong("no association"))?;
    let inner = parse(association.get(12..).unwrap_or_default());
    let address = find(&inner, IA_ADDRESS).filter(|value| value.len() >= 24);
    let address = address.ok_or_else(|| wrong("no address"))?;
    println!("address={}", ip(&address[..16]));
    let seconds = address[20..24].iter().fold(0_u32, |sum, byte| (sum << 8) | u32::from(*byte));
    println!("valid={seconds}");
    for server in find(&reply, DNS_SERVERS).unwrap_or_default().chunks_exact(16) {
        println!("dns={}", ip(server));
    }
    Ok(())
}

fn ip(bytes: &[u8]) -> Ipv6Addr {
    let mut octets = [0; 16];
    octets.copy_from_slice(bytes);
    octets.into()
}

/// Sends a message until the answer of the wanted kind comes; its options.
fn exchange(
    socket: &UdpSocket,
    to: SocketAddrV6,
    [kind, wanted]: [u8; 2],
    options: &Options,
) -> Result<Options> {
    let transaction = [kind, 0x0f, 0x1e];
    let mut message = vec![kind];
    message.extend(transaction);
    for (code, value) in options {
        message.extend(code.to_be_bytes());
        message.extend(u16::try_from(value.len()).unwrap_or(u16::MAX).to_be_bytes());
        message.extend(value);
    }
    let failed = |source| Error::Run { command: "DHCPv6".to_owned(), source };
    let end = Instant::now() + PATIENCE;
    while Instant::now() < end {
        // No route yet while the link-local address is tentative.
        if socket.send_to(&message, to).is_err() {
            std::thread::sleep(TIMEOUT / 5);
            continue;
        }
        let mut buffer = [0; 1500];
        match socket.recv(&mut buffer) {
            Ok(count) if count >= 4 && buffer[0] == wanted && buffer[1..4] == transaction => {
                return Ok(parse(&buffer[4..count]));
            }
            Ok(_) => {}
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {}
            Err(error) => return Err(failed(error)),
        }
    }
    Err(failed(std::io::ErrorKind::TimedOut.into()))
}

fn parse(mut bytes: &[u8]) -> Options {
    let mut options = Vec::new();
    while let [a, b, c, d, rest @ ..] = bytes {
        let length = usize::from(u16::from_be_bytes([*c, *d])).min(rest.len());
        let (value, rest) = rest.split_at(length);
        options.push((u16::from_be_bytes([*a, *b]), value.to_vec()));
        bytes = rest;
    }
    options
}

fn find(options: &Options, code: u16) -> Option<&[u8]> {
    options.iter().find(|(found, _)| *found == code).map(|(_, value)| value.as_slice())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_are_read_as_far_as_they_go() {
        let options = parse(&[0, 2, 0, 1, 7, 0, 3, 0, 0, 0, 5, 0, 9, 1]);
        assert_eq!(options, [(2, vec![7]), (3, vec![]), (5, vec![1])]);
        assert_eq!(find(&options, 2), Some(&[7][..]));
        assert_eq!(find(&options, 9), None);
    }
}
