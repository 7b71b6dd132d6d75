//! Ethernet addresses with libvirt's spelling rules.
//!
//! Owns the one textual form that network, port and lease documents use. Does not know where
//! addresses come from: generating one takes the random bytes as a parameter.

use std::fmt;
use std::str::FromStr;

/// The prefix of every address that libvirt generates (registered to QEMU).
const GENERATED_PREFIX: [u8; 3] = [0x52, 0x54, 0x00];

/// A 48-bit Ethernet address, printed as six lower-case groups of two hexadecimal digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct MacAddr(pub [u8; 6]);

/// Why a text is not an Ethernet address.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum MacError {
    /// Not six groups of one or two hexadecimal digits separated by colons.
    #[error("'{text}' is not a MAC address")]
    Syntax {
        /// The rejected text.
        text: String,
    },
}

impl MacAddr {
    /// The address `52:54:00` followed by `random`, as a bridge without an address gets.
    ///
    /// libvirt 11.3.0: `virMacAddrGenerate`, src/util/virmacaddr.c
    #[must_use]
    pub const fn generated(random: [u8; 3]) -> Self {
        let [a, b, c] = GENERATED_PREFIX;
        let [d, e, f] = random;
        Self([a, b, c, d, e, f])
    }

    /// Whether the group bit is set, which no interface may carry as its own address.
    #[must_use]
    pub const fn is_multicast(self) -> bool {
        let [first, ..] = self.0;
        first & 1 == 1
    }
}

impl fmt::Display for MacAddr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, d, e, g] = self.0;
        write!(f, "{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{g:02x}")
    }
}

impl FromStr for MacAddr {
    type Err = MacError;

    /// Reads six groups of one or two hexadecimal digits separated by `:`.
    ///
    /// Text after the sixth group is ignored when it starts with white space or a control
    /// character, as libvirt does.
    ///
    /// # Errors
    /// [`MacError::Syntax`] for anything else.
    ///
    /// libvirt 11.3.0: `virMacAddrParse`, src/util/virmacaddr.c
    fn from_str(text: &str) -> Result<Self, MacError> {
        parse(text.as_bytes()).ok_or_else(|| MacError::Syntax { text: text.to_owned() })
    }
}

fn parse(mut rest: &[u8]) -> Option<MacAddr> {
    let mut address = [0; 6];
    for (index, octet) in address.iter_mut().enumerate() {
        if index > 0 {
            rest = rest.strip_prefix(b":")?;
        }
        let (&first, tail) = rest.split_first()?;
        *octet = hex(first)?;
        rest = tail;
        if let Some((&second, tail)) = rest.split_first()
            && let Some(digit) = hex(second)
        {
            *octet = (*octet << 4) | digit;
            rest = tail;
        }
    }
    rest.first().is_none_or(|&byte| byte <= b' ').then_some(MacAddr(address))
}

const fn hex(byte: u8) -> Option<u8> {
    match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        b'A'..=b'F' => Some(byte - b'A' + 10),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expect: Option<&str>) {
        let printed = text.parse::<MacAddr>().ok().map(|mac| mac.to_string());
        assert_eq!(printed.as_deref(), expect, "{text:?}");
    }

    #[test]
    fn spellings() {
        check("52:54:00:ab:CD:ef", Some("52:54:00:ab:cd:ef"));
        check("1:2:3:4:5:6", Some("01:02:03:04:05:06"));
        check("52:54:00:ab:cd:ef trailing", Some("52:54:00:ab:cd:ef"));
        check("52:54:00:ab:cd:ef\n", Some("52:54:00:ab:cd:ef"));
        check("52:54:00:ab:cd:ef0", None);
        check("52:54:00:ab:cd:ef:00", None);
        check("52-54-00-ab-cd-ef", None);
        check("52:54:00:ab:cd", None);
        check("52:54:00:ab:cd:", None);
        check("0x1:54:00:ab:cd:ef", None);
        check(" 52:54:00:ab:cd:ef", None);
        check("", None);
    }

    #[test]
    fn group_bit() {
        assert!(MacAddr([0x53, 0, 0, 0, 0, 0]).is_multicast());
        assert!(!MacAddr::generated([1, 2, 3]).is_multicast());
        assert_eq!(MacAddr::generated([1, 2, 0xff]).to_string(), "52:54:00:01:02:ff");
    }
}
