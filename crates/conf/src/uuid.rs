//! UUIDs in libvirt's tolerant spelling.

pub use ::uuid::Uuid;

/// Reads 32 hexadecimal digits; hyphens and spaces may stand between bytes, white space around.
///
/// libvirt 11.3.0: `virUUIDParse`, src/util/viruuid.c
#[must_use]
pub fn parse_uuid(text: &str) -> Option<Uuid> {
    let text = text.trim_matches([' ', '\t', '\n', '\u{b}', '\u{c}', '\r']);
    let mut bytes = [0; 16];
    let mut rest = text.as_bytes();
    for byte in &mut bytes {
        while let [b'-' | b' ', tail @ ..] = rest {
            rest = tail;
        }
        let (&[high, low], tail) = rest.split_first_chunk::<2>()?;
        let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|d| u8::try_from(d).ok());
        *byte = digit(high)? << 4 | digit(low)?;
        rest = tail;
    }
    rest.is_empty().then_some(Uuid::from_bytes(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, accepted: bool) {
        let expect = accepted.then_some("81ff0d90-c91e-6742-64da-4a736edb9a9b");
        assert_eq!(parse_uuid(text).map(|uuid| uuid.to_string()).as_deref(), expect, "{text:?}");
    }

    #[test]
    fn spellings() {
        check("81ff0d90-c91e-6742-64da-4a736edb9a9b", true);
        check("81FF0D90C91E674264DA4A736EDB9A9B", true);
        check(" 81 ff0d90--c91e67-4264da4a736edb9a9b\n", true);
        check("81ff0d90-c91e-6742-64da-4a736edb9a9b-", false);
        check("8-1ff0d90c91e674264da4a736edb9a9b", false);
        check("81ff0d90-c91e-6742-64da-4a736edb9a9", false);
        check("81ff0d90-c91e-6742-64da-4a736edb9a9bz", false);
        check("", false);
    }
}
