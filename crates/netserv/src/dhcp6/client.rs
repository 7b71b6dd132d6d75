//! Who asks: DUID, Ethernet address, name, and the host of the definition that it is.

use std::net::Ipv6Addr;

use oxivirt_netserv_api::{Host6, Mac};

use crate::dhcp4::names::{Name, labels};
use crate::wire::dhcp6::{Options, View, option};

/// Flag of option 39 (RFC 4704 §4.1): the server updates the address record.
const S: u8 = 0x01;
/// The server overrode the client's wish.
const O: u8 = 0x02;

/// What a message came by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct From {
    /// The client's address.
    pub(super) address: Ipv6Addr,
    /// Its Ethernet address, if a relay's option 79 or the kernel's neighbour table has it.
    pub(super) mac: Option<Mac>,
    /// Whether it was sent to all servers.
    pub(super) is_to_all: bool,
}

/// A client.
#[derive(Debug)]
pub(super) struct Client {
    pub(super) duid: Vec<u8>,
    pub(super) mac: Option<Mac>,
    /// The name that it sent, if legal.
    pub(super) name: Option<Name>,
    /// Flags of option 39 in the answer, if the client sent the option.
    pub(super) fqdn: Option<u8>,
    /// Its host in the definition.
    pub(super) host: Option<Host6>,
}

impl Client {
    /// The client of a message; nothing without a DUID.
    pub(super) fn new(view: &View<'_>, from: From, hosts: &[Host6]) -> Option<Self> {
        let duid = view.options.duid(option::CLIENT_ID)?.to_vec();
        let (name, fqdn) = match view.options.get(option::FQDN) {
            Some([flags, name @ ..]) => {
                let answer = if flags & S == 0 { S | O } else { S };
                (Name::parse(&labels(name)), Some(answer))
            }
            _ => (None, None),
        };
        let has_duid = |host: &&Host6| host.duid.as_ref() == Some(&duid);
        // By name only hosts without DUID are found: a client cannot pretend to be another one.
        let has_name = |host: &&Host6| {
            let label = host.name.as_deref().and_then(|name| name.split('.').next());
            let sent = name.as_ref().map(|name| name.label.as_str());
            host.duid.is_none()
                && label.zip(sent).is_some_and(|(label, sent)| label.eq_ignore_ascii_case(sent))
        };
        let host = hosts.iter().find(has_duid).or_else(|| hosts.iter().find(has_name)).cloned();
        let mac = from.mac.or_else(|| mac_of(from.address)).or_else(|| duid_mac(&duid));
        Some(Self { duid, mac, name, fqdn, host })
    }
}

/// The Ethernet address that a link-local address is made of.
pub(super) fn mac_of(address: Ipv6Addr) -> Option<Mac> {
    match address.octets() {
        [0xfe, 0x80, 0, 0, 0, 0, 0, 0, a, b, c, 0xff, 0xfe, d, e, f] => {
            Some([a ^ 2, b, c, d, e, f])
        }
        _ => None,
    }
}

/// The Ethernet address in a DUID of type 1 or 3 (RFC 8415 §11.2, §11.4).
fn duid_mac(duid: &[u8]) -> Option<Mac> {
    match duid {
        [0, 1, 0, 1, _, _, _, _, mac @ ..] | [0, 3, 0, 1, mac @ ..] => mac.try_into().ok(),
        _ => None,
    }
}

/// The Ethernet address that a relay adds (RFC 6939).
pub(super) fn link_layer(options: Options<'_>) -> Option<Mac> {
    match options.get(option::CLIENT_LINK_LAYER)? {
        [0, 1, mac @ ..] => mac.try_into().ok(),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ethernet_addresses_are_found() {
        let mac = |text: &str| mac_of(text.parse().unwrap());
        assert_eq!(mac("fe80::5054:ff:fe12:3456"), Some([0x52, 0x54, 0, 0x12, 0x34, 0x56]));
        assert_eq!(mac("fe80::1"), None);
        assert_eq!(mac("fd00::5054:ff:fe12:3456"), None);
        assert_eq!(duid_mac(&[0, 3, 0, 1, 2, 0, 0, 0, 0, 9]), Some([2, 0, 0, 0, 0, 9]));
        assert_eq!(duid_mac(&[0, 1, 0, 1, 9, 9, 9, 9, 2, 0, 0, 0, 0, 9]), Some([2, 0, 0, 0, 0, 9]));
        assert_eq!(duid_mac(&[0, 3, 0, 6, 2, 0, 0, 0, 0, 9]), None);
        assert_eq!(duid_mac(&[0, 2, 0, 1, 2, 0, 0, 0, 0, 9]), None);
    }
}
