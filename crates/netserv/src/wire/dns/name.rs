//! Names in lower case and without compression: the form that names are compared in.

use std::borrow::Borrow;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use domain::base::ParsedName;
use domain::dep::octseq::Parser;

/// Longest name in wire form, root label included (RFC 1035 §2.3.4).
const MAX: usize = 255;

/// A domain name in wire form, ASCII letters in lower case, held in place.
#[derive(Clone, Copy)]
pub struct Name {
    len: u8,
    bytes: [u8; MAX],
}

/// A text is not a domain name: a label is empty or longer than 63 bytes, or the whole is
/// longer than 255.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a domain name")]
pub struct NameError;

impl Name {
    /// The root.
    pub const ROOT: Self = Self { len: 1, bytes: [0; MAX] };

    /// The name that a text in dotted form says, with or without the final dot. There are no
    /// escapes: a label is any bytes but dots.
    ///
    /// # Errors
    /// [`NameError`] for an empty or too long label and a too long name.
    pub fn from_text(text: &str) -> Result<Self, NameError> {
        let mut name = Self { len: 0, ..Self::ROOT };
        let text = text.strip_suffix('.').unwrap_or(text);
        if !text.is_empty() {
            for label in text.split('.') {
                name.push_label(label.as_bytes())?;
            }
        }
        name.push(0)?;
        Ok(name)
    }

    /// The name of a wire form without compression, which is all of `bytes`.
    #[must_use]
    pub fn from_wire(bytes: &[u8]) -> Option<Self> {
        let mut parser = Parser::from_ref(bytes);
        let parsed = parse(&mut parser)?;
        let is_whole = parser.remaining() == 0 && !parsed.is_compressed();
        is_whole.then(|| Self::from_parsed(&parsed).ok()).flatten()
    }

    /// The single label before `zone`, as a name of its own, if this is such a name.
    #[must_use]
    pub fn plain_in(&self, zone: &Self) -> Option<Self> {
        if self.ancestors().next()? != zone.as_bytes() {
            return None;
        }
        let mut name = Self { len: 0, ..Self::ROOT };
        name.push_label(self.labels().next()?).ok()?;
        name.push(0).ok()?;
        Some(name)
    }

    /// The name of a parsed one, whose spelling is lost.
    pub(super) fn from_parsed<Octets: AsRef<[u8]>>(
        parsed: &ParsedName<Octets>,
    ) -> Result<Self, NameError> {
        let mut name = Self { len: 0, ..Self::ROOT };
        for label in parsed.iter() {
            let label = label.as_slice();
            if label.is_empty() {
                name.push(0)?;
            } else {
                name.push_label(label)?;
            }
        }
        Ok(name)
    }

    fn push(&mut self, byte: u8) -> Result<(), NameError> {
        *self.bytes.get_mut(usize::from(self.len)).ok_or(NameError)? = byte;
        self.len = self.len.checked_add(1).ok_or(NameError)?;
        Ok(())
    }

    fn push_label(&mut self, label: &[u8]) -> Result<(), NameError> {
        let len =
            u8::try_from(label.len()).ok().filter(|len| (1..=63).contains(len)).ok_or(NameError)?;
        self.push(len)?;
        for byte in label {
            self.push(byte.to_ascii_lowercase())?;
        }
        Ok(())
    }

    /// The wire form.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        self.bytes.get(..usize::from(self.len)).unwrap_or(&[0])
    }

    /// The labels from left to right, without the root.
    pub fn labels(&self) -> impl Iterator<Item = &[u8]> {
        let mut rest = self.as_bytes();
        std::iter::from_fn(move || {
            let (len, tail) = rest.split_first()?;
            let label = tail.get(..usize::from(*len)).filter(|l| !l.is_empty())?;
            rest = tail.get(label.len()..)?;
            Some(label)
        })
    }

    /// Number of labels without the root.
    #[must_use]
    pub fn n_labels(&self) -> usize {
        self.labels().count()
    }

    /// The wire forms of the names above this one: the nearest first, the root last.
    pub fn ancestors(&self) -> impl Iterator<Item = &[u8]> {
        let mut rest = self.as_bytes();
        std::iter::from_fn(move || {
            let (len, tail) = rest.split_first()?;
            rest = tail.get(usize::from(*len)..)?;
            (*len > 0).then_some(rest)
        })
    }

    /// Whether this is `zone` or a name below it.
    #[must_use]
    pub fn is_in(&self, zone: &Self) -> bool {
        self == zone || self.ancestors().any(|above| above == zone.as_bytes())
    }

    /// The address whose name this is in `in-addr.arpa` or `ip6.arpa`; none for a name that
    /// has fewer or more labels than an address (RFC 1035 §3.5, RFC 3596 §2.5).
    #[must_use]
    pub fn address(&self) -> Option<IpAddr> {
        let mut labels = self.labels();
        match self.n_labels() {
            6 => {
                let mut octets = [0; 4];
                for octet in octets.iter_mut().rev() {
                    let text = std::str::from_utf8(labels.next()?).ok()?;
                    if text.len() > 1 && text.starts_with('0') || text.starts_with('+') {
                        return None;
                    }
                    *octet = text.parse().ok()?;
                }
                (labels.next()? == b"in-addr" && labels.next()? == b"arpa")
                    .then(|| Ipv4Addr::from(octets).into())
            }
            34 => {
                let mut bits: u128 = 0;
                for place in 0..32_u32 {
                    let [digit] = labels.next()? else { return None };
                    let digit = char::from(*digit).to_digit(16)?;
                    bits |= u128::from(digit) << (4 * place);
                }
                (labels.next()? == b"ip6" && labels.next()? == b"arpa")
                    .then(|| Ipv6Addr::from(bits).into())
            }
            _ => None,
        }
    }
}

/// The wire form of a name in dotted form, with its spelling.
///
/// # Errors
/// As [`Name::from_text`].
pub fn wire_name(text: &str) -> Result<Vec<u8>, NameError> {
    Name::from_text(text)?;
    let mut wire = Vec::with_capacity(text.len() + 2);
    let text = text.strip_suffix('.').unwrap_or(text);
    for label in text.split('.').filter(|label| !label.is_empty()) {
        wire.push(u8::try_from(label.len()).map_err(|_| NameError)?);
        wire.extend_from_slice(label.as_bytes());
    }
    wire.push(0);
    Ok(wire)
}

/// The zone of `in-addr.arpa` or `ip6.arpa` that holds the names of a network's addresses:
/// as many whole labels as `prefix` has bytes (IPv4) or half bytes (IPv6).
///
/// # Errors
/// [`NameError`] if the prefix ends inside a label or is longer than the address.
pub fn reverse_zone(address: IpAddr, prefix: u8) -> Result<Name, NameError> {
    let (unit, longest) = if address.is_ipv4() { (8, 32) } else { (4, 128) };
    if !prefix.is_multiple_of(unit) || prefix > longest {
        return Err(NameError);
    }
    let kept = usize::from(prefix / unit);
    let labels: Vec<String> = match address {
        IpAddr::V4(v4) => v4.octets().iter().map(ToString::to_string).collect(),
        IpAddr::V6(v6) => v6
            .octets()
            .iter()
            .flat_map(|octet| [octet >> 4, octet & 15])
            .map(|digit| format!("{digit:x}"))
            .collect(),
    };
    let mut text = String::new();
    for label in labels.iter().take(kept).rev() {
        text.push_str(label);
        text.push('.');
    }
    text.push_str(if address.is_ipv4() { "in-addr.arpa" } else { "ip6.arpa" });
    Name::from_text(&text)
}

/// Parses the name at the parser's place and steps over it.
pub(super) fn parse<'a>(parser: &mut Parser<'a, [u8]>) -> Option<ParsedName<&'a [u8]>> {
    ParsedName::parse(parser).ok()
}

impl Borrow<[u8]> for Name {
    fn borrow(&self) -> &[u8] {
        self.as_bytes()
    }
}

impl PartialEq for Name {
    fn eq(&self, other: &Self) -> bool {
        self.as_bytes() == other.as_bytes()
    }
}

impl Eq for Name {}

impl Hash for Name {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.as_bytes().hash(state);
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut labels = self.labels().peekable();
        if labels.peek().is_none() {
            return f.write_str(".");
        }
        while let Some(label) = labels.next() {
            write!(f, "{}", label.escape_ascii())?;
            if labels.peek().is_some() {
                f.write_str(".")?;
            }
        }
        Ok(())
    }
}

impl fmt::Debug for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Name({self})")
    }
}
