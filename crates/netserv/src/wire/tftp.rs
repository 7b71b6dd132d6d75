//! TFTP packets as bytes (RFC 1350, options of RFC 2347 to 2349 and 7440).

const RRQ: u16 = 1;
const WRQ: u16 = 2;
const DATA: u16 = 3;
const ACK: u16 = 4;
const ERROR: u16 = 5;
const OACK: u16 = 6;

/// Longest request, in bytes (RFC 2347).
const MAX_REQUEST: usize = 512;

/// Error codes (RFC 1350, appendix).
pub mod error {
    /// See the text.
    pub const UNDEFINED: u16 = 0;
    /// File not found.
    pub const NOT_FOUND: u16 = 1;
    /// Access violation.
    pub const ACCESS: u16 = 2;
    /// Illegal operation.
    pub const ILLEGAL: u16 = 4;
    /// The packet is of another transfer.
    pub const UNKNOWN_TRANSFER: u16 = 5;
}

/// What a client sends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Message<'a> {
    /// Wants a file.
    Read(Request<'a>),
    /// Wants to store a file.
    Write,
    /// Has the blocks up to this one.
    Ack(u16),
    /// Gives up.
    Error,
}

/// A request for a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request<'a> {
    /// Name of the file.
    pub file: &'a str,
    /// Whether lines end as in netascii.
    pub is_netascii: bool,
    /// Options with numbers, in the order of the request.
    pub options: Vec<(Opt, u64)>,
}

/// An option of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Opt {
    /// Bytes of a block.
    BlockSize,
    /// Bytes of the file.
    Size,
    /// Seconds until a block is sent again.
    Timeout,
    /// Blocks that are sent without waiting.
    WindowSize,
}

impl Opt {
    const ALL: [(Self, &'static str); 4] = [
        (Self::BlockSize, "blksize"),
        (Self::Size, "tsize"),
        (Self::Timeout, "timeout"),
        (Self::WindowSize, "windowsize"),
    ];

    fn name(self) -> &'static str {
        Self::ALL.iter().find(|(opt, _)| *opt == self).map_or("", |(_, name)| name)
    }
}

impl<'a> Message<'a> {
    /// Reads a packet; nothing if it is malformed or not of a client.
    #[must_use]
    pub fn parse(bytes: &'a [u8]) -> Option<Self> {
        let [high, low, rest @ ..] = bytes else { return None };
        match (u16::from_be_bytes([*high, *low]), rest) {
            (RRQ, _) if bytes.len() <= MAX_REQUEST => Request::parse(rest).map(Self::Read),
            (WRQ, _) => Some(Self::Write),
            (ACK, [high, low, ..]) => Some(Self::Ack(u16::from_be_bytes([*high, *low]))),
            (ERROR, _) => Some(Self::Error),
            _ => None,
        }
    }
}

impl<'a> Request<'a> {
    fn parse(bytes: &'a [u8]) -> Option<Self> {
        let mut texts = bytes.strip_suffix(&[0])?.split(|byte| *byte == 0);
        let mut text = || texts.next().map(|text| std::str::from_utf8(text).ok());
        let file = text()??;
        let mode = text()??;
        let is_netascii = mode.eq_ignore_ascii_case("netascii");
        if file.is_empty() || !is_netascii && !mode.eq_ignore_ascii_case("octet") {
            return None;
        }
        let mut options = Vec::new();
        while let (Some(name), Some(value)) = (text(), text()) {
            let known = name.and_then(|name| {
                Opt::ALL.iter().find(|(_, known)| known.eq_ignore_ascii_case(name))
            });
            // What cannot be read is not acknowledged (RFC 2347).
            let number = value.and_then(|value| value.parse().ok());
            if let (Some((opt, _)), Some(number)) = (known, number)
                && options.iter().all(|(seen, _)| seen != opt)
            {
                options.push((*opt, number));
            }
        }
        Some(Self { file, is_netascii, options })
    }
}

/// A block of the file.
#[must_use]
pub fn data(block: u16, bytes: &[u8]) -> Vec<u8> {
    let mut packet = Vec::with_capacity(bytes.len() + 4);
    packet.extend(DATA.to_be_bytes());
    packet.extend(block.to_be_bytes());
    packet.extend(bytes);
    packet
}

/// The options that are agreed to.
#[must_use]
pub fn oack(options: &[(Opt, u64)]) -> Vec<u8> {
    let mut packet = OACK.to_be_bytes().to_vec();
    for (opt, number) in options {
        packet.extend(opt.name().bytes());
        packet.push(0);
        packet.extend(number.to_string().bytes());
        packet.push(0);
    }
    packet
}

/// The end of a transfer by an error.
#[must_use]
pub fn failure(code: u16, text: &str) -> Vec<u8> {
    let mut packet = ERROR.to_be_bytes().to_vec();
    packet.extend(code.to_be_bytes());
    packet.extend(text.bytes());
    packet.push(0);
    packet
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn requests() {
        let read = |bytes: &[u8]| match Message::parse(&[&[0, 1], bytes].concat()) {
            Some(Message::Read(request)) => {
                Some((request.file.to_owned(), request.is_netascii, request.options))
            }
            other => {
                assert_eq!(other, None);
                None
            }
        };
        let plain = |file: &str, is_netascii| Some((file.to_owned(), is_netascii, Vec::new()));
        assert_eq!(read(b"a\0octet\0"), plain("a", false));
        assert_eq!(read(b"a/b\0NetASCII\0"), plain("a/b", true));
        assert_eq!(
            read(b"a\0octet\0BLKSIZE\x001468\0tsize\x000\0windowsize\0x\0multicast\0\0timeout\x009\0"),
            Some((
                "a".to_owned(),
                false,
                vec![(Opt::BlockSize, 1468), (Opt::Size, 0), (Opt::Timeout, 9)]
            ))
        );
        assert_eq!(read(b"a\0octet\0tsize\0"), plain("a", false));
        for bad in [
            &b""[..],
            b"\0",
            b"a",
            b"a\0",
            b"a\0octet",
            b"a\0mail\0",
            b"\0octet\0",
            b"\xff\0octet\0",
        ] {
            assert_eq!(read(bad), None, "{bad:?}");
        }
        assert_eq!(read(&[&[b'a'; 510][..], b"\0octet\0"].concat()), None);
    }

    #[test]
    fn other_messages() {
        assert_eq!(Message::parse(&[0, 4, 1, 2]), Some(Message::Ack(258)));
        assert_eq!(Message::parse(&[0, 2]), Some(Message::Write));
        assert_eq!(Message::parse(&[0, 5, 0, 0]), Some(Message::Error));
        for bad in [&[][..], &[0], &[0, 4, 1], &[0, 3, 0, 1], &[0, 6], &[1, 1]] {
            assert_eq!(Message::parse(bad), None, "{bad:?}");
        }
    }

    #[test]
    fn answers() {
        assert_eq!(data(258, b"xy"), b"\0\x03\x01\x02xy");
        assert_eq!(
            oack(&[(Opt::BlockSize, 8), (Opt::Size, 77)]),
            b"\0\x06blksize\x008\0tsize\x0077\0"
        );
        assert_eq!(failure(error::NOT_FOUND, "no"), b"\0\x05\0\x01no\0");
    }

    proptest! {
        #[test]
        fn no_packet_panics(kind in 0_u8..8, bytes in prop::collection::vec(any::<u8>(), 0..600)) {
            if let Some(Message::Read(request)) = Message::parse(&[&[0, kind], &bytes[..]].concat()) {
                prop_assert!(request.options.len() <= 4);
            }
        }
    }
}
