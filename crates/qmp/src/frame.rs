//! Lines out of a stream of bytes.
//!
//! QEMU writes one JSON object per line and ends it with CR LF; the guest agent ends it with LF. JSON
//! has no line end inside an object unless it is printed for humans (`pretty=on`), which neither
//! libvirt nor this crate accepts.

use std::ops::Range;

use crate::error::ProtocolError;

/// Spare capacity above which the buffer is given back once it is empty.
const KEEP: usize = 256 * 1024;

/// Collects bytes and yields complete lines.
///
/// ```
/// use oxivirt_qmp::frame::Framer;
///
/// let mut framer = Framer::new(100);
/// framer.push(b"{\"return\": {}}\r\n{\"ev");
/// assert_eq!(framer.next_line().unwrap(), Some(&b"{\"return\": {}}"[..]));
/// assert_eq!(framer.next_line().unwrap(), None);
/// framer.push(b"ent\": 1}\n");
/// assert_eq!(framer.next_line().unwrap(), Some(&b"{\"event\": 1}"[..]));
/// ```
#[derive(Debug)]
pub struct Framer {
    buffer: Vec<u8>,
    /// Where the next line begins.
    start: usize,
    /// No line end lies between `start` and here.
    scanned: usize,
    limit: usize,
}

impl Framer {
    /// A framer that rejects lines of more than `limit` bytes.
    #[must_use]
    pub const fn new(limit: usize) -> Self {
        Self { buffer: Vec::new(), start: 0, scanned: 0, limit }
    }

    /// Appends bytes that have arrived.
    ///
    /// Callers push what one read returned and then take lines until there is none: the buffer
    /// holds at most one incomplete line and one read.
    pub fn push(&mut self, bytes: &[u8]) {
        self.compact();
        self.buffer.extend_from_slice(bytes);
    }

    /// The next complete line that is not blank, without its line end.
    ///
    /// # Errors
    /// [`ProtocolError::TooLong`] as soon as a line exceeds the limit, complete or not. The stream is
    /// of no use afterwards.
    pub fn next_line(&mut self) -> Result<Option<&[u8]>, ProtocolError> {
        while let Some(line) = self.next_range()? {
            // Looked at by range: a borrow that is returned from a loop would last for the whole loop.
            let blank = self.buffer.get(line.clone()).unwrap_or_default().trim_ascii().is_empty();
            if !blank {
                return Ok(self.buffer.get(line).map(<[u8]>::trim_ascii));
            }
        }
        Ok(None)
    }

    /// Where the next complete line is.
    fn next_range(&mut self) -> Result<Option<Range<usize>>, ProtocolError> {
        let rest = self.buffer.get(self.scanned..).unwrap_or_default();
        let end = rest.iter().position(|byte| *byte == b'\n').map(|at| self.scanned + at);
        let until = end.unwrap_or(self.buffer.len());
        let line = self.start..until;
        // One more for a CR, whose LF may not have arrived.
        if line.len() > self.limit.saturating_add(1) {
            return Err(ProtocolError::TooLong { limit: self.limit });
        }
        self.scanned = end.map_or(until, |end| end + 1);
        if end.is_none() {
            return Ok(None);
        }
        self.start = self.scanned;
        Ok(Some(line))
    }

    /// Discards everything up to and including the last `byte`.
    ///
    /// The guest agent writes 0xFF before its answer to `guest-sync-delimited`.
    pub fn discard_through(&mut self, byte: u8) -> bool {
        let rest = self.buffer.get(self.start..).unwrap_or_default();
        let Some(at) = rest.iter().rposition(|found| *found == byte) else { return false };
        self.start += at + 1;
        self.scanned = self.start;
        true
    }

    /// Discards everything that has arrived.
    pub fn clear(&mut self) {
        self.start = self.buffer.len();
        self.scanned = self.start;
        self.compact();
    }

    /// Bytes that belong to no complete line yet.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.buffer.len().saturating_sub(self.start)
    }

    fn compact(&mut self) {
        if self.start == 0 {
            return;
        }
        self.buffer.drain(..self.start);
        self.scanned -= self.start;
        self.start = 0;
        if self.buffer.len() < KEEP && self.buffer.capacity() > 2 * KEEP {
            self.buffer.shrink_to(KEEP);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn lines(framer: &mut Framer) -> Vec<Vec<u8>> {
        let mut lines = Vec::new();
        while let Some(line) = framer.next_line().unwrap() {
            lines.push(line.to_vec());
        }
        lines
    }

    #[test]
    fn blank_lines_and_line_ends_of_both_kinds_are_skipped() {
        let mut framer = Framer::new(10);
        framer.push(b"\r\n  \n{}\r\n[]\n\n1");
        assert_eq!(lines(&mut framer), [b"{}".to_vec(), b"[]".to_vec()]);
        assert_eq!(framer.waiting(), 1);
    }

    #[test]
    fn the_split_of_the_stream_does_not_matter() {
        let stream = b"{\"a\": 1}\r\n\r\n{\"b\": 2}\n{\"c\"";
        let mut whole = Framer::new(20);
        whole.push(stream);
        let expected = lines(&mut whole);
        for at in 0..=stream.len() {
            let mut framer = Framer::new(20);
            framer.push(&stream[..at]);
            let mut found = lines(&mut framer);
            framer.push(&stream[at..]);
            found.extend(lines(&mut framer));
            assert_eq!(found, expected, "split at {at}");
            assert_eq!(framer.waiting(), whole.waiting());
        }
    }

    #[test]
    fn a_line_of_exactly_the_limit_is_accepted() {
        let mut framer = Framer::new(3);
        framer.push(b"abc\r\n");
        assert_eq!(framer.next_line().unwrap(), Some(&b"abc"[..]));
    }

    #[test]
    fn a_line_above_the_limit_is_an_error_before_it_ends() {
        let mut framer = Framer::new(3);
        framer.push(b"abcd");
        assert_eq!(framer.next_line().unwrap(), None);
        framer.push(b"e");
        assert!(matches!(framer.next_line(), Err(ProtocolError::TooLong { limit: 3 })));
    }

    #[test]
    fn everything_before_the_sentinel_is_discarded() {
        let mut framer = Framer::new(20);
        framer.push(b"stale\nhalf\xff{}\n");
        assert!(framer.discard_through(0xff));
        assert_eq!(framer.next_line().unwrap(), Some(&b"{}"[..]));
        assert!(!framer.discard_through(0xff));
    }

    #[test]
    fn the_buffer_is_given_back_after_a_large_line() {
        let mut framer = Framer::new(8 << 20);
        framer.push(&vec![b'x'; 4 << 20]);
        framer.push(b"\n");
        assert!(framer.next_line().unwrap().is_some());
        framer.push(b"y");
        assert!(framer.buffer.capacity() <= 2 * KEEP);
    }

    proptest! {
        #[test]
        fn any_pieces_of_any_bytes_give_the_same_lines(
            pieces in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..20), 0..20),
        ) {
            let mut framer = Framer::new(1 << 16);
            let mut found = Vec::new();
            for piece in &pieces {
                framer.push(piece);
                found.extend(lines(&mut framer));
            }
            let mut whole = Framer::new(1 << 16);
            whole.push(&pieces.concat());
            prop_assert_eq!(found, lines(&mut whole));
        }
    }
}
