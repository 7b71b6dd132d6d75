//! What a client calls itself.
//!
//! RFC 4702 (option 81); dnsmasq: `dhcp_reply`, src/rfc2131.c, `legal_hostname`, src/util.c

use crate::wire::dhcp4::{View, option};

/// The server updates the name's address record.
const S: u8 = 0x01;
/// The server overrode the client's wish.
const O: u8 = 0x02;
/// The name is in the format of DNS messages.
const E: u8 = 0x04;
/// No update at all.
const N: u8 = 0x08;

/// A name of a client without the domain, and the domain it came with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Name {
    pub(crate) label: String,
    pub(crate) domain: Option<String>,
}

impl Name {
    /// Splits a name at its first dot; nothing if it is no legal name.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let (label, domain) = match text.split_once('.') {
            Some((label, domain)) => (label, Some(domain.trim_end_matches('.'))),
            None => (text, None),
        };
        let is_legal = |label: &str| {
            let inside = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
            let first = label.bytes().next();
            label.len() <= 63
                && label.bytes().all(inside)
                && first.is_some_and(|first| first.is_ascii_alphanumeric())
        };
        let domain = domain.filter(|domain| !domain.is_empty());
        let is_name = |domain: &str| {
            domain.len() <= 253 && domain.bytes().all(|byte| byte.is_ascii_graphic())
        };
        (is_legal(label) && domain.is_none_or(is_name))
            .then(|| Self { label: label.to_owned(), domain: domain.map(str::to_owned) })
    }

    /// Whether it is a name of `own`, the network's domain.
    pub(crate) fn is_in(&self, own: Option<&str>) -> bool {
        let Some(domain) = &self.domain else { return true };
        own.is_some_and(|own| own.eq_ignore_ascii_case(domain))
    }
}

/// What a client sent of its name.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct ClientName {
    /// The name, if it is legal.
    pub(super) name: Option<Name>,
    /// Flags of option 81 as the answer has them, if the client sent the option.
    pub(super) fqdn: Option<u8>,
    /// Whether the client ends its texts with a zero byte and needs the same.
    pub(super) is_terminated: bool,
}

impl ClientName {
    pub(super) fn of(view: &View<'_>) -> Self {
        if let Some([flags, _, _, text @ ..]) = view.option(option::FQDN) {
            let answer = if flags & S == 0 { flags | S | O } else { *flags };
            let text_of = if flags & E == 0 { plain(text) } else { labels(text) };
            return Self {
                name: Name::parse(&text_of),
                fqdn: Some(answer & !N & 0x0f),
                is_terminated: flags & E == 0 && text.ends_with(&[0]),
            };
        }
        let text = view.option(option::HOSTNAME).unwrap_or_default();
        Self { name: Name::parse(&plain(text)), fqdn: None, is_terminated: text.ends_with(&[0]) }
    }
}

/// A text up to its first zero byte.
fn plain(text: &[u8]) -> String {
    let end = text.iter().position(|byte| *byte == 0).unwrap_or(text.len());
    String::from_utf8_lossy(text.get(..end).unwrap_or_default()).into_owned()
}

/// A name of labels with their lengths, up to the first that is not whole.
pub(crate) fn labels(mut rest: &[u8]) -> String {
    let mut text = String::new();
    while let Some((&length, behind)) = rest.split_first() {
        let Some((label, behind)) = behind.split_at_checked(usize::from(length)) else { break };
        if length == 0 {
            break;
        }
        if !text.is_empty() {
            text.push('.');
        }
        text.push_str(&String::from_utf8_lossy(label));
        rest = behind;
    }
    text
}

/// Option 81 of an answer.
pub(super) fn fqdn(flags: u8, label: &str, domain: Option<&str>, is_terminated: bool) -> Vec<u8> {
    let mut value = vec![flags, 255, 255];
    if flags & E == 0 {
        value.extend(label.bytes());
        if let Some(domain) = domain {
            value.push(b'.');
            value.extend(domain.bytes());
        }
        if is_terminated {
            value.push(0);
        }
    } else {
        for label in
            std::iter::once(label).chain(domain.into_iter().flat_map(|name| name.split('.')))
        {
            let Ok(length) = u8::try_from(label.len()) else { continue };
            value.push(length);
            value.extend(label.bytes());
        }
        if domain.is_some() {
            value.push(0);
        }
    }
    value
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::dhcp4::tests::message;

    #[track_caller]
    fn check(options: &[(u8, &[u8])], name: Option<(&str, Option<&str>)>, fqdn: Option<u8>) {
        let bytes = message([2; 6], options);
        let found = ClientName::of(&View::new(&bytes).unwrap());
        let found_name = found.name.as_ref();
        assert_eq!(found_name.map(|name| (name.label.as_str(), name.domain.as_deref())), name);
        assert_eq!(found.fqdn, fqdn);
    }

    #[test]
    fn names() {
        check(&[(12, b"alpha")], Some(("alpha", None)), None);
        check(&[(12, b"alpha\0")], Some(("alpha", None)), None);
        check(&[(12, b"a.example.org.")], Some(("a", Some("example.org"))), None);
        for bad in
            [&b"bad name!"[..], b"_a", b"-a", b".a", b"", b"a.b\x01", &[0xff; 4], &[b'a'; 64]]
        {
            check(&[(12, bad)], None, None);
        }
    }

    #[test]
    fn flags_of_option_81() {
        for (asked, answered) in [(0x01, 0x01), (0x00, 0x03), (0x02, 0x03), (0x08, 0x03)] {
            check(&[(81, &[asked, 0, 0, b'h'])], Some(("h", None)), Some(answered));
        }
        let wire = [0x05, 0, 0, 1, b'h', 2, b'n', b'x', 0];
        check(&[(81, &wire)], Some(("h", Some("nx"))), Some(0x05));
        check(&[(81, &[0x05, 0, 0, 9, b'h'])], None, Some(0x05));
        check(&[(81, &[1, 0])], None, None);
    }

    #[test]
    fn answers_to_option_81() {
        assert_eq!(fqdn(1, "h", Some("nx"), false), b"\x01\xff\xffh.nx");
        assert_eq!(fqdn(1, "h", None, true), b"\x01\xff\xffh\0");
        assert_eq!(fqdn(5, "h", Some("nx"), false), b"\x05\xff\xff\x01h\x02nx\0");
    }
}
