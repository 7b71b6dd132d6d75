//! Messages: what a line of the peer means.
//!
//! QEMU: docs/interop/qmp-spec.rst, sections 2 to 4.

use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

use crate::error::{ErrorClass, Failure, ProtocolError};
use crate::event::{Event, Timestamp};
use crate::limits::Limits;

/// One message of the peer.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum Message {
    /// QEMU's first message.
    Greeting(Greeting),
    /// The answer to a command.
    Reply(Reply),
    /// Something happened.
    Event(Event),
}

/// Version of QEMU.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Version {
    /// The three numbers.
    pub qemu: VersionTriple,
    /// The downstream package, such as `Debian 1:7.2+dfsg-7`; empty without one.
    #[serde(default)]
    pub package: String,
}

/// The numbers of a version.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
pub struct VersionTriple {
    /// First number.
    pub major: u32,
    /// Second number.
    pub minor: u32,
    /// Third number.
    pub micro: u32,
}

/// QEMU's first message.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Greeting {
    /// Version of QEMU.
    pub version: Version,
    /// What can be enabled with `qmp_capabilities`. Today `oob` only.
    #[serde(default)]
    pub capabilities: Vec<String>,
}

impl Greeting {
    /// Whether out-of-band execution can be enabled.
    #[must_use]
    pub fn offers_oob(&self) -> bool {
        self.capabilities.iter().any(|word| word == "oob")
    }
}

/// Who a reply belongs to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ReplyId {
    /// An id of the form that [`crate::encode`] writes.
    Number(u64),
    /// Another id, as JSON text.
    Other(String),
    /// The reply has no id: QEMU could not read the command. The guest agent's replies have none.
    Absent,
}

/// The answer to a command.
#[derive(Debug, Clone)]
pub struct Reply {
    /// Which command it belongs to.
    pub id: ReplyId,
    /// The returned value, not yet interpreted, or the error.
    pub result: Result<Box<RawValue>, Failure>,
}

/// Keeps `null`, which `Option` alone would turn into absence.
fn present<'de, D, T>(deserializer: D) -> Result<Option<T>, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de>,
{
    T::deserialize(deserializer).map(Some)
}

#[derive(Deserialize)]
struct Wire<'a> {
    #[serde(rename = "QMP", default)]
    greeting: Option<Greeting>,
    #[serde(default)]
    event: Option<String>,
    #[serde(borrow, default)]
    data: Option<&'a RawValue>,
    #[serde(default)]
    timestamp: Option<Timestamp>,
    #[serde(rename = "return", borrow, default, deserialize_with = "present")]
    value: Option<&'a RawValue>,
    #[serde(default)]
    error: Option<WireError>,
    #[serde(borrow, default)]
    id: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct WireError {
    #[serde(default)]
    class: String,
    #[serde(default)]
    desc: String,
}

impl Message {
    /// Reads one line.
    ///
    /// ```
    /// use oxivirt_qmp::Limits;
    /// use oxivirt_qmp::message::{Message, ReplyId};
    ///
    /// let line = br#"{"return": {"running": false}, "id": "libvirt-3"}"#;
    /// let Message::Reply(reply) = Message::parse(line, &Limits::default()).unwrap() else {
    ///     panic!("not a reply");
    /// };
    /// assert_eq!(reply.id, ReplyId::Number(3));
    /// assert_eq!(reply.result.unwrap().get(), r#"{"running": false}"#);
    /// ```
    ///
    /// # Errors
    /// [`ProtocolError`]: the line is too long, too deep, not JSON, or not a message.
    pub fn parse(line: &[u8], limits: &Limits) -> Result<Self, ProtocolError> {
        if line.len() > limits.message {
            return Err(ProtocolError::TooLong { limit: limits.message });
        }
        // serde would take the members of an array in the order of the fields.
        if !line.starts_with(b"{") {
            return Err(ProtocolError::Malformed { reason: String::from("not an object") });
        }
        check_depth(line, limits.depth)?;
        let text = std::str::from_utf8(line).map_err(|error| malformed(&error))?;
        let wire: Wire<'_> = serde_json::from_str(text).map_err(|error| malformed(&error))?;
        match (wire.greeting, wire.event, wire.value, wire.error) {
            (Some(greeting), None, None, None) => Ok(Self::Greeting(greeting)),
            (None, Some(name), None, None) => Ok(Self::Event(Event {
                name,
                data: wire.data.map(ToOwned::to_owned),
                timestamp: wire.timestamp.unwrap_or_default(),
            })),
            (None, None, Some(value), None) => {
                Ok(Self::Reply(Reply { id: reply_id(wire.id), result: Ok(value.to_owned()) }))
            }
            (None, None, None, Some(error)) => {
                let class = ErrorClass::from_wire(&error.class);
                let failure = Failure { class, description: error.desc };
                Ok(Self::Reply(Reply { id: reply_id(wire.id), result: Err(failure) }))
            }
            _ => Err(ProtocolError::Unclassified),
        }
    }
}

fn malformed(reason: &impl ToString) -> ProtocolError {
    ProtocolError::Malformed { reason: reason.to_string() }
}

fn reply_id(id: Option<&RawValue>) -> ReplyId {
    let Some(id) = id else { return ReplyId::Absent };
    let text = id.get();
    let number = text
        .strip_prefix('"')
        .and_then(|text| text.strip_suffix('"'))
        .and_then(|text| text.strip_prefix(crate::encode::ID_PREFIX))
        .filter(|digits| digits.bytes().all(|byte| byte.is_ascii_digit()))
        .and_then(|digits| digits.parse().ok());
    // An error text or a log line is made of it: a few characters identify it.
    number.map_or_else(|| ReplyId::Other(text.chars().take(64).collect()), ReplyId::Number)
}

/// Counts brackets outside strings. Whether they match is the JSON reader's concern.
fn check_depth(line: &[u8], limit: usize) -> Result<(), ProtocolError> {
    let mut depth = 0_usize;
    let mut in_string = false;
    let mut bytes = line.iter();
    while let Some(byte) = bytes.next() {
        match byte {
            b'"' => in_string = !in_string,
            b'\\' if in_string => {
                bytes.next();
            }
            b'[' | b'{' if !in_string => {
                depth += 1;
                if depth > limit {
                    return Err(ProtocolError::TooDeep { limit });
                }
            }
            b']' | b'}' if !in_string => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn parse(line: &str) -> Result<Message, ProtocolError> {
        Message::parse(line.as_bytes(), &Limits::default())
    }

    #[track_caller]
    fn reply(line: &str) -> Reply {
        match parse(line) {
            Ok(Message::Reply(reply)) => reply,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn the_greeting_is_read() {
        let line = r#"{"QMP": {"version": {"qemu": {"micro": 2, "minor": 0, "major": 10},
            "package": "Debian 1:10.0.2"}, "capabilities": ["oob"]}}"#;
        let Ok(Message::Greeting(greeting)) = parse(line) else { panic!() };
        assert_eq!(greeting.version.qemu, VersionTriple { major: 10, minor: 0, micro: 2 });
        assert!(greeting.offers_oob());
    }

    #[test]
    fn a_null_is_a_returned_value() {
        assert_eq!(reply(r#"{"return": null, "id": "libvirt-1"}"#).result.unwrap().get(), "null");
    }

    #[test]
    fn errors_keep_class_and_description() {
        let line = r#"{"id": "libvirt-7", "error": {"class": "CommandNotFound", "desc": "no x"}}"#;
        let reply = reply(line);
        assert_eq!(reply.id, ReplyId::Number(7));
        let failure = reply.result.unwrap_err();
        assert_eq!(failure.class, ErrorClass::CommandNotFound);
        assert_eq!(failure.to_string(), "no x");
    }

    #[test]
    fn ids_of_another_form_are_kept_as_text() {
        for (id, expected) in [
            ("\"libvirt-18446744073709551616\"", "\"libvirt-18446744073709551616\""),
            ("\"libvirt-+1\"", "\"libvirt-+1\""),
            ("7", "7"),
            ("{\"a\": 1}", "{\"a\": 1}"),
        ] {
            let line = format!("{{\"return\": {{}}, \"id\": {id}}}");
            assert_eq!(reply(&line).id, ReplyId::Other(expected.to_owned()));
        }
        assert_eq!(reply(r#"{"return": {}}"#).id, ReplyId::Absent);
    }

    #[test]
    fn events_keep_data_and_time() {
        let line = r#"{"timestamp": {"seconds": 5, "microseconds": 6}, "event": "SHUTDOWN",
            "data": {"guest": true, "reason": "guest-shutdown"}}"#;
        let Ok(Message::Event(event)) = parse(line) else { panic!() };
        assert_eq!(event.name, "SHUTDOWN");
        assert_eq!(event.timestamp, Timestamp { seconds: 5, microseconds: 6 });
        assert!(event.data.is_some());
    }

    #[test]
    fn nonsense_is_a_typed_error() {
        for line in ["{}", r#"{"return": 1, "error": {}}"#, r#"{"event": "X", "return": 1}"#] {
            assert_eq!(parse(line).unwrap_err(), ProtocolError::Unclassified, "{line}");
        }
        for line in ["", "x", "[]", "1", "{", r#"{"event": 1}"#, r#"{"return": 1, "return": 1}"#] {
            assert!(matches!(parse(line), Err(ProtocolError::Malformed { .. })), "{line}");
        }
        let bytes = Message::parse(b"{\"event\": \"\xff\"}", &Limits::default());
        assert!(matches!(bytes, Err(ProtocolError::Malformed { .. })));
    }

    #[test]
    fn nesting_is_bounded_and_strings_do_not_count() {
        let deep = |levels: usize| {
            let (open, close) = ("[".repeat(levels), "]".repeat(levels));
            format!("{{\"return\": {open}{close}, \"id\": \"libvirt-1\"}}")
        };
        assert!(parse(&deep(119)).is_ok());
        assert_eq!(parse(&deep(120)).unwrap_err(), ProtocolError::TooDeep { limit: 120 });
        assert!(parse(&format!("{{\"return\": \"\\\"{}\"}}", "[".repeat(500))).is_ok());
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_rejected(line in ".{0,200}") {
            drop(parse(&line));
        }

        #[test]
        fn objects_of_the_protocols_keys_are_read_or_rejected(
            keys in prop::collection::vec(("QMP|event|return|error|id|data|timestamp",
                "null|1|-1|\"x\"|\\{\\}|\\[\\]|\\{\"desc\": 1\\}|\"libvirt-1\""), 0..5),
        ) {
            let members: Vec<_> = keys.iter().map(|(k, v)| format!("\"{k}\": {v}")).collect();
            drop(parse(&format!("{{{}}}", members.join(", "))));
        }
    }
}
