//! Commands as bytes.

use serde::Serialize;

/// What stands before the number in the id of a command, as libvirt writes it.
pub const ID_PREFIX: &str = "libvirt-";

/// Why arguments cannot be sent.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum EncodeError {
    /// The arguments are not an object, or cannot be serialised at all.
    #[error("{0}")]
    Unserializable(String),
    /// QEMU rejects the noncharacters of Unicode without saying which command it rejects, and reads NUL
    /// as the two bytes C0 80.
    #[error("character U+{:04X} cannot be sent", *.0 as u32)]
    Character(char),
}

/// The arguments of a command as JSON text; empty if there are none.
///
/// # Errors
/// [`EncodeError`] if the value is not an object or holds a character that QEMU cannot read.
pub fn arguments(value: &impl Serialize) -> Result<String, EncodeError> {
    let text = serde_json::to_string(value)
        .map_err(|error| EncodeError::Unserializable(error.to_string()))?;
    if text == "{}" || text == "null" {
        return Ok(String::new());
    }
    if !text.starts_with('{') {
        return Err(EncodeError::Unserializable(String::from("not an object")));
    }
    check_characters(&text)?;
    Ok(text)
}

/// A command as a line.
///
/// ```
/// use oxivirt_qmp::encode::{arguments, line};
///
/// let arguments = arguments(&serde_json::json!({"id": "net0"})).unwrap();
/// assert_eq!(
///     line("netdev_del", &arguments, Some(4), false),
///     b"{\"execute\":\"netdev_del\",\"arguments\":{\"id\":\"net0\"},\"id\":\"libvirt-4\"}\r\n",
/// );
/// ```
#[must_use]
pub fn line(name: &str, arguments: &str, id: Option<u64>, oob: bool) -> Vec<u8> {
    let verb = if oob { "exec-oob" } else { "execute" };
    // A name comes from a caller and may hold anything.
    let name = serde_json::Value::from(name).to_string();
    let mut line = format!("{{\"{verb}\":{name}");
    if !arguments.is_empty() {
        line.push_str(",\"arguments\":");
        line.push_str(arguments);
    }
    if let Some(id) = id {
        line.push_str(&format!(",\"id\":\"{ID_PREFIX}{id}\""));
    }
    line.push_str("}\r\n");
    line.into_bytes()
}

/// Rejects what QEMU's JSON reader does not accept inside strings, and NUL, which it changes.
///
/// A rejection has no id, so it would end the connection.
///
/// QEMU: qobject/json-parser.c, `parse_string`; util/unicode.c, `mod_utf8_codepoint`
pub(crate) fn check_characters(text: &str) -> Result<(), EncodeError> {
    let mut characters = text.chars();
    while let Some(character) = characters.next() {
        let code = u32::from(character);
        if code & 0xfffe == 0xfffe || (0xfdd0..=0xfdef).contains(&code) {
            return Err(EncodeError::Character(character));
        }
        // serde_json writes NUL as an escape and escapes nothing beyond the control characters.
        if character == '\\' {
            let rest = characters.as_str();
            if rest.starts_with("u0000") {
                return Err(EncodeError::Character('\0'));
            }
            characters.next();
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn no_arguments_leave_no_key() {
        assert_eq!(arguments(&json!({})).unwrap(), "");
        assert_eq!(arguments(&()).unwrap(), "");
        let expected = b"{\"execute\":\"stop\",\"id\":\"libvirt-1\"}\r\n";
        assert_eq!(line("stop", "", Some(1), false), expected);
        assert_eq!(line("guest-ping", "", None, false), b"{\"execute\":\"guest-ping\"}\r\n");
        assert_eq!(line("a\"b", "", None, true), b"{\"exec-oob\":\"a\\\"b\"}\r\n");
    }

    #[test]
    fn arguments_are_an_object() {
        assert!(matches!(arguments(&json!([1])), Err(EncodeError::Unserializable(_))));
        assert!(matches!(arguments(&1), Err(EncodeError::Unserializable(_))));
    }

    #[test]
    fn characters_that_qemu_rejects_are_not_sent() {
        for bad in ['\0', '\u{fffe}', '\u{ffff}', '\u{1fffe}', '\u{fdd0}', '\u{fdef}'] {
            let found = arguments(&json!({"a": format!("x\\{bad}")}));
            assert_eq!(found, Err(EncodeError::Character(bad)), "{bad:?}");
        }
        for good in ["\\u0000", "\u{1}\t\u{fffd}", "\u{10fffd}", "\\"] {
            assert!(arguments(&json!({"a": good})).is_ok(), "{good:?}");
        }
    }
}
