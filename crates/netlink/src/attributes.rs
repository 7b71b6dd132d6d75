//! Netlink attributes as bytes: type, length, value, padding (netlink(7), `NLA_*`).

/// Iterates over the attributes in a message; the first malformed one ends the iteration.
#[derive(Debug, Clone)]
pub struct Attributes<'a>(pub &'a [u8]);

impl<'a> Iterator for Attributes<'a> {
    /// Kind without flags, value.
    type Item = (u16, &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        let (header, _) = self.0.split_first_chunk::<4>()?;
        let [len0, len1, kind0, kind1] = *header;
        let length = usize::from(u16::from_ne_bytes([len0, len1]));
        let kind = u16::from_ne_bytes([kind0, kind1]) & netlink_packet_core::NLA_TYPE_MASK;
        let value = self.0.get(4..length)?;
        self.0 = self.0.get(length.next_multiple_of(4)..).unwrap_or_default();
        Some((kind, value))
    }
}

/// A value as text, up to its first NUL byte.
#[must_use]
pub fn text(value: &[u8]) -> String {
    let value = value.split(|byte| *byte == 0).next().unwrap_or_default();
    String::from_utf8_lossy(value).into_owned()
}

/// A value as a big-endian number of 32 bits, 0 if it is shorter.
#[must_use]
pub fn number(value: &[u8]) -> u32 {
    value.first_chunk().map_or(0, |bytes| u32::from_be_bytes(*bytes))
}

/// Encodes one attribute, padded to a multiple of four bytes.
#[must_use]
pub fn encode(kind: u16, value: &[u8]) -> Vec<u8> {
    let length = 4 + value.len();
    let mut bytes = Vec::with_capacity(length.next_multiple_of(4));
    // No attribute of this workspace comes near the limit.
    bytes.extend(u16::try_from(length).unwrap_or(u16::MAX).to_ne_bytes());
    bytes.extend(kind.to_ne_bytes());
    bytes.extend(value);
    bytes.resize(length.next_multiple_of(4), 0);
    bytes
}
