//! Packets: a length word, a header of six words, a payload.
//!
//! This module finds packets in received bytes and writes headers; it does no input or output.
//!
//! libvirt 11.3.0: src/rpc/virnetprotocol.x, `virNetMessageDecodeLength`

/// Bytes of the length word.
pub const LENGTH: usize = 4;

/// Bytes of the length word and the header: the smallest packet.
pub const HEADER: usize = 28;

/// The largest packet, with its length word.
pub const MAX: usize = 32 * 1024 * 1024 + LENGTH;

/// Most file descriptors of one packet.
pub const FDS_MAX: u32 = 32;

/// Kind of a packet (`virNetMessageType`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A call of a client.
    Call,
    /// The answer to a call.
    Reply,
    /// An event, or a keepalive message.
    Message,
    /// A piece of a stream.
    Stream,
    /// A call with file descriptors.
    CallWithFds,
    /// An answer with file descriptors.
    ReplyWithFds,
    /// A hole in the data of a stream.
    StreamHole,
    /// A number without a meaning.
    Unknown(i32),
}

impl Kind {
    /// The kind with this number.
    #[must_use]
    pub const fn from_number(number: i32) -> Self {
        match number {
            0 => Self::Call,
            1 => Self::Reply,
            2 => Self::Message,
            3 => Self::Stream,
            4 => Self::CallWithFds,
            5 => Self::ReplyWithFds,
            6 => Self::StreamHole,
            other => Self::Unknown(other),
        }
    }

    /// Its number.
    #[must_use]
    pub const fn number(self) -> i32 {
        match self {
            Self::Call => 0,
            Self::Reply => 1,
            Self::Message => 2,
            Self::Stream => 3,
            Self::CallWithFds => 4,
            Self::ReplyWithFds => 5,
            Self::StreamHole => 6,
            Self::Unknown(other) => other,
        }
    }
}

/// Status of a packet: success.
pub const STATUS_OK: i32 = 0;
/// Status of a packet: the payload is an error.
pub const STATUS_ERROR: i32 = 1;
/// Status of a packet: data of a stream.
pub const STATUS_CONTINUE: i32 = 2;

/// Most bytes of data in a packet of a stream that libvirt's daemons send, whatever else a packet may hold.
pub const STREAM_DATA_MAX: usize = 262_120;

/// Header of a packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    /// Set of procedures.
    pub program: u32,
    /// Version of the program.
    pub version: u32,
    /// Number of the procedure.
    pub procedure: i32,
    /// Kind of the packet.
    pub kind: Kind,
    /// Chosen by the caller, repeated in the answer.
    pub serial: u32,
    /// [`STATUS_OK`], [`STATUS_ERROR`], or [`STATUS_CONTINUE`].
    pub status: i32,
}

impl Header {
    /// The answer to a packet with this header.
    #[must_use]
    pub const fn reply(self, status: i32) -> Self {
        Self { kind: Kind::Reply, status, ..self }
    }

    /// A message of `program`; libvirt gives events the serial 1 and keepalive messages 0.
    #[must_use]
    pub const fn message(program: u32, procedure: i32, serial: u32) -> Self {
        Self { program, version: 1, procedure, kind: Kind::Message, serial, status: STATUS_OK }
    }
}

/// The bytes violate the protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FrameError {
    /// The length word is less than the size of a header, or more than [`MAX`].
    #[error("packet of {0} bytes")]
    Length(u32),
    /// The packet announces more than [`FDS_MAX`] descriptors.
    #[error("packet with {0} descriptors")]
    Fds(u32),
}

/// A packet that has arrived completely.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Packet<'a> {
    /// The header.
    pub header: Header,
    /// The payload.
    pub payload: &'a [u8],
    /// Bytes of the whole packet.
    pub len: usize,
}

/// The packet at the beginning of `bytes`; `None` if it has not arrived completely.
///
/// # Errors
/// [`FrameError`] as soon as the length word is out of range.
pub fn first(bytes: &[u8]) -> Result<Option<Packet<'_>>, FrameError> {
    let Some(len) = needed(bytes)? else { return Ok(None) };
    let Some(whole) = bytes.get(..len) else { return Ok(None) };
    let Some((head, payload)) = whole.split_first_chunk::<HEADER>() else { return Ok(None) };
    let mut words = head.as_chunks::<4>().0.iter().map(|word| u32::from_be_bytes(*word)).skip(1);
    let mut next = || words.next().unwrap_or_default();
    let header = Header {
        program: next(),
        version: next(),
        procedure: next().cast_signed(),
        kind: Kind::from_number(next().cast_signed()),
        serial: next(),
        status: next().cast_signed(),
    };
    Ok(Some(Packet { header, payload, len }))
}

/// Size of the packet at the beginning of `bytes`; `None` if its length word has not arrived.
///
/// # Errors
/// [`FrameError`] if the word is out of range.
pub fn needed(bytes: &[u8]) -> Result<Option<usize>, FrameError> {
    let Some(word) = bytes.first_chunk() else { return Ok(None) };
    let word = u32::from_be_bytes(*word);
    let len = word as usize;
    if (HEADER..=MAX).contains(&len) { Ok(Some(len)) } else { Err(FrameError::Length(word)) }
}

/// Appends a packet whose payload `write` appends.
///
/// # Errors
/// The error of `write`, or `None` if the packet is larger than allowed; `out` is then as before.
pub fn append<E>(
    out: &mut Vec<u8>,
    header: Header,
    write: impl FnOnce(&mut Vec<u8>) -> Result<(), E>,
) -> Result<(), Option<E>> {
    let start = out.len();
    out.extend_from_slice(&[0; LENGTH]);
    for word in [
        header.program,
        header.version,
        header.procedure.cast_unsigned(),
        header.kind.number().cast_unsigned(),
        header.serial,
        header.status.cast_unsigned(),
    ] {
        out.extend_from_slice(&word.to_be_bytes());
    }
    let written = write(out).map_err(Some).and_then(|()| finish(out, start).ok_or(None));
    if written.is_err() {
        out.truncate(start);
    }
    written
}

/// Fills in the length word of the packet that begins at `start`.
fn finish(out: &mut [u8], start: usize) -> Option<()> {
    let len = out.len().checked_sub(start).filter(|len| *len <= MAX)?;
    let word = out.get_mut(start..start + LENGTH)?;
    word.copy_from_slice(&u32::try_from(len).ok()?.to_be_bytes());
    Some(())
}

/// Appends a packet without a payload.
pub fn append_empty(out: &mut Vec<u8>, header: Header) {
    let written = append(out, header, |_| Ok::<(), ()>(()));
    debug_assert!(written.is_ok(), "a header always fits");
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEADER_66: Header = Header {
        program: 0x2000_8086,
        version: 1,
        procedure: 66,
        kind: Kind::Call,
        serial: 5,
        status: STATUS_OK,
    };

    #[test]
    fn packets_are_found_once_they_are_complete() {
        let mut bytes = Vec::new();
        append_empty(&mut bytes, HEADER_66);
        append::<()>(&mut bytes, HEADER_66.reply(STATUS_ERROR), |out| {
            out.extend_from_slice(b"abcd");
            Ok(())
        })
        .unwrap();
        assert_eq!(bytes.len(), 28 + 32);
        for len in 0..28 {
            assert_eq!(first(&bytes[..len]), Ok(None));
        }
        let packet = first(&bytes).unwrap().unwrap();
        assert_eq!((packet.header, packet.payload, packet.len), (HEADER_66, &b""[..], 28));
        let packet = first(&bytes[28..]).unwrap().unwrap();
        assert_eq!(packet.payload, b"abcd");
        assert_eq!((packet.header.kind, packet.header.status), (Kind::Reply, 1));
    }

    #[track_caller]
    fn check(word: u32, expect: Result<Option<usize>, FrameError>) {
        assert_eq!(needed(&word.to_be_bytes()), expect, "{word}");
    }

    #[test]
    fn lengths() {
        for wrong in [0, 3, 4, 20, 27, 33_554_437, u32::MAX] {
            check(wrong, Err(FrameError::Length(wrong)));
        }
        check(28, Ok(Some(28)));
        check(33_554_436, Ok(Some(33_554_436)));
        assert_eq!(needed(&[0, 0, 0]), Ok(None));
    }

    #[test]
    fn a_packet_that_is_too_large_leaves_nothing() {
        let mut bytes = b"before".to_vec();
        let written = append::<()>(&mut bytes, HEADER_66, |out| {
            out.resize(MAX + 7, 0);
            Ok(())
        });
        assert_eq!((written, bytes), (Err(None), b"before".to_vec()));
    }
}
