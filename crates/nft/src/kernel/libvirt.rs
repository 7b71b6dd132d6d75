//! Reading libvirt's rules.

use std::net::IpAddr;

use ipnet::IpNet;

use crate::libvirt::RuleState;
use oxivirt_netlink::attributes::{Attributes, number, text};

const NFPROTO_IPV4: u8 = 2;
const NFPROTO_IPV6: u8 = 10;
/// The families of libvirt's tables.
pub(super) const FAMILIES: [u8; 2] = [NFPROTO_IPV4, NFPROTO_IPV6];

/// What an expression loaded last.
#[derive(Clone, Copy)]
enum Loaded {
    InLink,
    OutLink,
    Source,
    Destination,
    Other,
}

/// A rule message; `None` if it is damaged.
pub(super) fn rule(family: u8, message: &[u8]) -> Option<RuleState> {
    let mut rule = RuleState::default();
    let (mut chain, mut handle) = (None, None);
    for (kind, value) in Attributes(message) {
        match kind {
            2 => chain = Some(text(value)),
            3 => handle = value.first_chunk().map(|bytes| u64::from_be_bytes(*bytes)),
            4 => expressions(family, value, &mut rule),
            _ => {}
        }
    }
    Some(RuleState { chain: chain?, handle: handle?, ..rule })
}

fn expressions(family: u8, list: &[u8], rule: &mut RuleState) {
    let mut loaded = Loaded::Other;
    let mut mask = None;
    for (_, expression) in Attributes(list) {
        let attribute = |wanted| {
            Attributes(expression).find(|(kind, _)| *kind == wanted).map(|(_, value)| value)
        };
        let name = attribute(1).map(text).unwrap_or_default();
        let data = attribute(2).unwrap_or_default();
        let of = |wanted| Attributes(data).find(|(kind, _)| *kind == wanted).map(|(_, v)| v);
        match name.as_str() {
            "meta" => {
                (loaded, mask) = (meta(of(2).map(number)), None);
            }
            "payload" => {
                (loaded, mask) = (payload(of(2).map(number), of(3).map(number)), None);
            }
            "bitwise" => mask = of(4).and_then(bytes),
            "cmp" => {
                let is_equal = of(2).map(number) == Some(0);
                if let Some(value) = of(3).and_then(bytes).filter(|_| is_equal) {
                    compare(rule, loaded, family, value, mask.take());
                }
                loaded = Loaded::Other;
            }
            _ => loaded = Loaded::Other,
        }
    }
}

/// The value of a data attribute.
fn bytes(data: &[u8]) -> Option<&[u8]> {
    Attributes(data).find(|(kind, _)| *kind == 1).map(|(_, value)| value)
}

/// `NFT_META_IIF`, `NFT_META_OIF`
fn meta(key: Option<u32>) -> Loaded {
    match key {
        Some(4) => Loaded::InLink,
        Some(5) => Loaded::OutLink,
        _ => Loaded::Other,
    }
}

/// Addresses in the network header: IPv4 at 12 and 16, IPv6 at 8 and 24.
fn payload(base: Option<u32>, offset: Option<u32>) -> Loaded {
    match (base, offset) {
        (Some(1), Some(12 | 8)) => Loaded::Source,
        (Some(1), Some(16 | 24)) => Loaded::Destination,
        _ => Loaded::Other,
    }
}

fn compare(rule: &mut RuleState, loaded: Loaded, family: u8, value: &[u8], mask: Option<&[u8]>) {
    let index = || value.first_chunk().map(|bytes| u32::from_ne_bytes(*bytes));
    match loaded {
        Loaded::InLink => rule.in_link = index(),
        Loaded::OutLink => rule.out_link = index(),
        Loaded::Source => rule.source = rule.source.or_else(|| prefix(family, value, mask)),
        Loaded::Destination => {
            rule.destination = rule.destination.or_else(|| prefix(family, value, mask));
        }
        Loaded::Other => {}
    }
}

/// A prefix of whole bytes is compared without a mask, by as many bytes as it has.
fn prefix(family: u8, value: &[u8], mask: Option<&[u8]>) -> Option<IpNet> {
    let length = match mask {
        Some(mask) => mask.iter().map(|byte| byte.count_ones()).sum(),
        None => u32::try_from(value.len()).ok()? * 8,
    };
    let length = u8::try_from(length).ok()?;
    let address: IpAddr = if family == NFPROTO_IPV4 {
        let mut octets = [0; 4];
        octets.get_mut(..value.len())?.copy_from_slice(value);
        octets.into()
    } else {
        let mut octets = [0; 16];
        octets.get_mut(..value.len())?.copy_from_slice(value);
        octets.into()
    };
    IpNet::new(address, length).ok()
}
