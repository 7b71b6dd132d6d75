//! What the text of an attribute or element may be.
//!
//! White space counts unless a type says otherwise: the types that XML Schema derives from `string`
//! keep it, its numbers and RELAX NG's plain words do not look at it.

use std::net::{Ipv4Addr, Ipv6Addr};

/// A set of texts.
#[derive(Debug, Clone, Copy)]
pub enum Datatype {
    /// Anything.
    Any,
    /// One of these, white space around it aside.
    Words(&'static [&'static str]),
    /// What the function accepts.
    Matching {
        /// What that is, as a message says it: "expected …".
        expected: &'static str,
        /// Whether a text belongs to it.
        accepts: fn(&str) -> bool,
    },
}

impl Datatype {
    /// Whether the text belongs to this type.
    #[must_use]
    pub fn accepts(self, text: &str) -> bool {
        match self {
            Self::Any => true,
            Self::Words(words) => words.contains(&collapsed(text)),
            Self::Matching { accepts, .. } => accepts(text),
        }
    }

    /// What the type accepts, as it follows "expected" in a message.
    #[must_use]
    pub fn expected(self) -> String {
        match self {
            Self::Any => String::from("text"),
            Self::Words([word]) => format!("'{word}'"),
            Self::Words(words) => format!("one of '{}'", words.join("', '")),
            Self::Matching { expected, .. } => expected.to_owned(),
        }
    }
}

macro_rules! datatypes {
    ($($name:ident = $expected:literal, $accepts:expr;)+) => {
        $(#[doc = concat!("Text that is ", $expected, ".")] pub const $name: Datatype =
            Datatype::Matching { expected: $expected, accepts: $accepts };)+
    };
}

/// `yes` or `no`.
pub const YES_NO: Datatype = Datatype::Words(&["yes", "no"]);
/// `on` or `off`.
pub const ON_OFF: Datatype = Datatype::Words(&["on", "off"]);
/// The unit of a lease's duration.
pub const LEASE_UNIT: Datatype = Datatype::Words(&["seconds", "minutes", "hours"]);
/// What maintains a bridge's forwarding table.
pub const MAC_TABLE_MANAGER: Datatype = Datatype::Words(&["kernel", "libvirt"]);

datatypes! {
    UNSIGNED_INT = "a number", |text| unsigned(collapsed(text)).is_some_and(fits::<u32>);
    UNSIGNED_LONG = "a number", |text| unsigned(collapsed(text)).is_some();
    PLAIN_UNSIGNED_INT = "a number", |text| unsigned(text).is_some_and(fits::<u32>);
    PLAIN_UNSIGNED_LONG = "a number", |text| unsigned(text).is_some();
    POSITIVE = "a positive number", |text| {
        // of any length: only its being zero is excluded
        is_all(text, |byte| byte.is_ascii_digit()) && text.bytes().any(|digit| digit != b'0')
    };
    SPEED = "a number from 1 to 18014398509481984", |text| {
        unsigned(text).is_some_and(|number| (1..=1 << 54).contains(&number))
    };
    BURST = "a number from 1 to 4294967295", |text| {
        unsigned(text).is_some_and(|number| number >= 1 && fits::<u32>(number))
    };
    UNSIGNED_SHORT = "a number from 0 to 65535", |text| integer(text, 0..=65535);
    PORT = "a number from 1 to 65535", |text| integer(text, 1..=65535);
    VLAN_ID = "a number from 0 to 4095", |text| {
        unsigned(collapsed(text)).is_some_and(|number| number <= 4095)
    };
    IP_PREFIX = "a number from 0 to 128", |text| {
        unsigned(collapsed(text)).is_some_and(|number| number <= 128)
    };
    UINT8 = "a number from 0 to 255", |text| {
        prefixed_hex(text, 2) || integer(text, 0..=0xff)
    };
    UINT24 = "a number from 0 to 16777215", |text| {
        prefixed_hex(text, 6) || integer(text, 0..=0x00ff_ffff)
    };
    UINT32 = "a number from 0 to 4294967295", |text| {
        hex(without_0x(text), 8) || unsigned(collapsed(text)).is_some_and(fits::<u32>)
    };
    PCI_SLOT = "a number from 0 to 31", |text| {
        let digits = without_0x(text);
        hex(digits, 2) && (digits.len() == 1 || digits.starts_with(['0', '1']))
            || integer(text, 0..=31)
    };
    PCI_FUNCTION = "a number from 0 to 7", |text| {
        matches!(without_0x(text).as_bytes(), [b'0'..=b'7']) || integer(text, 0..=7)
    };
    UUID = "a UUID", is_uuid;
    UNICAST_MAC = "the MAC address of one interface, six groups of two hexadecimal digits",
        is_unicast_mac;
    DUID = "a DUID of type 1 to 4", is_duid;
    IPV4 = "an IPv4 address", is_ipv4;
    IP = "an IP address", |text| is_ipv4(text) || is_ipv6(text);
    FAMILY = "'ipv4' or 'ipv6'", |text| matches!(text, "ipv4" | "ipv6");
    PROTOCOL = "'tcp' or 'udp'", |text| matches!(text, "tcp" | "udp");
    TITLE = "one line of text", |text| !text.is_empty() && !text.contains('\n');
    FILE_PATH = "a path", |text| !text.is_empty() && !text.contains(['\n', '\r']);
    GENERIC_NAME = "a name of letters, digits, '_', '+' and '-'", |text| {
        is_all(text, |byte| byte.is_ascii_alphanumeric() || b"_+-".contains(&byte))
    };
    DNS_NAME = "a name of letters, digits, '.' and '-'", |text| {
        is_all(text, |byte| byte.is_ascii_alphanumeric() || b".-".contains(&byte))
    };
    DEVICE_NAME = r"a name of letters, digits and '_.-\:/'", |text| {
        is_all(text, |byte| byte.is_ascii_alphanumeric() || br"_.-\:/".contains(&byte))
    };
    ZONE_NAME = "a name of letters, digits, '_' and '-'", |text| {
        is_all(text, |byte| byte.is_ascii_alphanumeric() || b"_-".contains(&byte))
    };
    PROFILE_ID = "at most 39 characters", |text| text.chars().count() <= 39;
}

/// The text without white space around it. (Inside, none of the types that use this can have any.)
pub fn collapsed(text: &str) -> &str {
    text.trim_matches([' ', '\t', '\n', '\r'])
}

fn is_all(text: &str, allowed: impl Fn(u8) -> bool) -> bool {
    !text.is_empty() && text.bytes().all(allowed)
}

/// A number without sign.
fn unsigned(text: &str) -> Option<u64> {
    is_all(text, |byte| byte.is_ascii_digit()).then(|| text.parse().ok()).flatten()
}

fn fits<T: TryFrom<u64>>(number: u64) -> bool {
    T::try_from(number).is_ok()
}

/// A number that may have a sign, and white space around it.
fn integer(text: &str, range: std::ops::RangeInclusive<i64>) -> bool {
    let text = collapsed(text);
    let digits = text.strip_prefix(['+', '-']).unwrap_or(text);
    is_all(digits, |byte| byte.is_ascii_digit())
        && text.parse().is_ok_and(|number| range.contains(&number))
}

fn hex(digits: &str, most: usize) -> bool {
    digits.len() <= most && is_all(digits, |byte| byte.is_ascii_hexdigit())
}

fn prefixed_hex(text: &str, most: usize) -> bool {
    text.strip_prefix("0x").is_some_and(|digits| hex(digits, most))
}

fn without_0x(text: &str) -> &str {
    text.strip_prefix("0x").unwrap_or(text)
}

fn is_uuid(text: &str) -> bool {
    let groups = text.split('-').map(|group| (hex(group, 32), group.len()));
    groups.clone().all(|(is_hex, _)| is_hex)
        && (groups.clone().map(|(_, len)| len).eq([32])
            || groups.map(|(_, len)| len).eq([8, 4, 4, 4, 12]))
}

/// Bytes in hexadecimal with colons between them.
fn bytes(text: &str) -> Option<Vec<u8>> {
    let byte = |group: &str| hex(group, 2).then(|| u8::from_str_radix(group, 16).ok()).flatten();
    text.split(':').map(byte).collect()
}

fn is_unicast_mac(text: &str) -> bool {
    let is_multicast = |first: &u8| first & 1 == 1;
    text.len() == 17
        && bytes(text)
            .is_some_and(|bytes| bytes.len() == 6 && !bytes.first().is_some_and(is_multicast))
}

/// RFC 8415 section 11. The schema knows hardware types 1 to 15 only.
fn is_duid(text: &str) -> bool {
    let is_hardware = |high: u8, low: u8| high == 0 && (1..=15).contains(&low);
    match bytes(text).as_deref() {
        // link-layer address and time: hardware type, four bytes of time, address
        Some([0, 1, high, low, rest @ ..]) => {
            is_hardware(*high, *low) && (10..=12).contains(&rest.len())
        }
        // enterprise number of four bytes, then up to 124 bytes
        Some([0, 2, rest @ ..]) => (5..=128).contains(&rest.len()),
        // link-layer address: hardware type, address
        Some([0, 3, high, low, rest @ ..]) => {
            is_hardware(*high, *low) && (6..=8).contains(&rest.len())
        }
        Some([0, 4, uuid @ ..]) => uuid.len() == 16,
        _ => false,
    }
}

fn is_ipv4(text: &str) -> bool {
    text.parse::<Ipv4Addr>().is_ok()
}

/// Every spelling of an IPv6 address, but for one: where it ends as an IPv4 address, the schema
/// allows the omission of zeros at the beginning or right before that end only.
fn is_ipv6(text: &str) -> bool {
    let is_odd = || match (text.find("::"), text.rfind(':')) {
        (Some(omission), Some(last)) => omission != 0 && omission + 1 != last,
        _ => false,
    };
    text.parse::<Ipv6Addr>().is_ok() && !(text.contains('.') && is_odd())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(datatype: Datatype, accepted: &[&str], refused: &[&str]) {
        for text in accepted {
            assert!(datatype.accepts(text), "{text:?} is {}", datatype.expected());
        }
        for text in refused {
            assert!(!datatype.accepts(text), "{text:?} is not {}", datatype.expected());
        }
    }

    // What libvirt 11.3.0 says of the same texts was tried one by one.

    #[test]
    fn numbers() {
        check(UNSIGNED_LONG, &["0", " 5 ", "00"], &["", "+5", "-0", "1.0", "18446744073709551616"]);
        check(PLAIN_UNSIGNED_LONG, &["5", "18446744073709551615"], &[" 5", "+5", ""]);
        check(UNSIGNED_INT, &["4294967295", " 3"], &["4294967296", "+3", "-0"]);
        check(PLAIN_UNSIGNED_INT, &["3"], &[" 3", "+3"]);
        check(POSITIVE, &["1", "99999999999999999999999"], &["0", "00", " 5", "", "+5"]);
        check(SPEED, &["1", "18014398509481984"], &["0", "18014398509481985", " 5", "+5"]);
        check(BURST, &["1", "4294967295"], &["0", "4294967296"]);
        check(UNSIGNED_SHORT, &["+1500", " 1500 ", "-0", "65535"], &["65536", "1e3", "", "-1"]);
        check(PORT, &["+1", "65535"], &["0", "65536"]);
        check(VLAN_ID, &[" 5", "4095"], &["+5", "4096"]);
        check(IP_PREFIX, &[" 24", "0024", "128"], &["+24", "129", ""]);
        check(UINT8, &[" 11 ", "+11", "011", "-0", "0x1F"], &["0x", "256", "0x100", "ff"]);
        check(UINT24, &["0xffffff", "16777215"], &["16777216", "0x1000000"]);
        check(UINT32, &[" 1", "0x0", "fffff", "4294967295"], &["+1", "4294967296", "-1", "0x"]);
        check(PCI_SLOT, &["001", "1F", "0x1f", "31", "f"], &["ff", "0x20", "32", "0x", ""]);
        check(PCI_FUNCTION, &["7", " 7", "0x7"], &["8", "0x8", "0x07"]);
    }

    #[test]
    fn identities() {
        let uuid = "3fffffff-ffff-ffff-ffff-ffffffffffff";
        let spaced = format!("{uuid}\n");
        let short = uuid.replacen('-', "", 1);
        check(UUID, &[uuid, &uuid.replace('-', "")], &[&spaced, &short, "", "-"]);
        check(
            UNICAST_MAC,
            &["52:54:00:aA:0F:01"],
            &["53:54:00:00:00:01", "2:54:00:00:00:01", "52-54-00-00-00-01", "52:54:00:00:00"],
        );
        check(
            DUID,
            &[
                "0:01:00:01:1:2:3:4:5:6:7:8:9:a",
                "0:02:00:01:1:2:3",
                "0:3:0:01:a:b:c:d:e:f",
                "00:04:aa:aa:aa:aa:aa:aa:aa:aa:aa:aa:aa:aa:aa:aa:aa:aa",
            ],
            &["0:3:0:0:a:b:c:d:e:f", "0:1", "0:5:0:1:1:2:3:4:5:6", "0:3:0:1:a:b:c:d:e:", ""],
        );
    }

    #[test]
    fn addresses() {
        check(
            IPV4,
            &["1.2.3.4", "255.255.255.255"],
            &["1.2.3", "01.2.3.4", " 1.2.3.4", "256.1.1.1"],
        );
        check(
            IP,
            &["::", "1::", "1::1.2.3.4", "::1:1.2.3.4", "1:2:3:4:5:6::8", "1:2:3:4:5:6:7::"],
            &["1::2:1.2.3.4", "fe80::1%1", "1:2", ":::", "1:2:3:4:5:6:7:8:9"],
        );
    }

    #[test]
    fn words_and_names() {
        check(YES_NO, &["yes", " no "], &["", "Yes", "on"]);
        check(PROTOCOL, &["tcp"], &[" tcp", "sctp"]);
        check(FAMILY, &["ipv4", "ipv6"], &[" ipv4", ""]);
        check(TITLE, &["a", " ", "a\rb"], &["", "a\nb"]);
        check(FILE_PATH, &["/a b"], &["", "a\nb"]);
        check(DNS_NAME, &["a.b-c"], &["", "a_b", "ä"]);
        check(DEVICE_NAME, &[r"a_b.c-d:e/f\g"], &["", "virbr%d", "é"]);
        check(ZONE_NAME, &["work_2-a"], &["a.b", ""]);
        check(GENERIC_NAME, &["e1000e+x"], &["", "a.b"]);
        check(PROFILE_ID, &["", &"é".repeat(39)], &[&"é".repeat(40)]);
    }
}
