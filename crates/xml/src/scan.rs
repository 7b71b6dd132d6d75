//! The reader's view of the text: where it stands, what comes next, how it fails.

use super::chars::{is_blank, is_char, is_name, is_name_start};
use super::error::{XmlError, XmlErrorKind};
use super::reader::{Reader, Result};

impl<'i> Reader<'i> {
    /// A name with or without a colon, or nothing if none starts here.
    pub(super) fn name(&mut self) -> Option<&'i str> {
        let rest = self.rest();
        let first = rest.chars().next().filter(|&c| is_name_start(c) || c == ':')?;
        let tail = rest.get(first.len_utf8()..).unwrap_or_default();
        let length = tail.find(|c| !is_name(c) && c != ':').unwrap_or(tail.len());
        let name = rest.get(..first.len_utf8() + length)?;
        self.pos += name.len();
        Some(name)
    }

    /// Passes over one character, refusing what no document may hold.
    pub(super) fn step(&mut self, byte: u8, bad: impl FnOnce(u32) -> XmlErrorKind) -> Result<()> {
        if matches!(byte, b' '..=b'\x7f' | b'\t' | b'\n' | b'\r') {
            self.pos += 1;
            return Ok(());
        }
        match self.rest().chars().next() {
            Some(c) if is_char(c) => {
                self.pos += c.len_utf8();
                Ok(())
            }
            c => self.fail(bad(c.map_or(0, u32::from))),
        }
    }

    pub(super) fn skip_blanks(&mut self) -> usize {
        let start = self.pos;
        while self.peek().is_some_and(is_blank) {
            self.pos += 1;
        }
        self.pos - start
    }

    pub(super) fn eat(&mut self, token: &str) -> bool {
        let found = self.starts_with(token);
        if found {
            self.pos += token.len();
        }
        found
    }

    pub(super) fn starts_with(&self, token: &str) -> bool {
        self.text.as_bytes().get(self.pos..).is_some_and(|rest| rest.starts_with(token.as_bytes()))
    }

    pub(super) fn peek(&self) -> Option<u8> {
        self.byte_at(0)
    }

    pub(super) fn byte_at(&self, ahead: usize) -> Option<u8> {
        self.text.as_bytes().get(self.pos + ahead).copied()
    }

    pub(super) fn rest(&self) -> &'i str {
        self.text.get(self.pos..).unwrap_or_default()
    }

    pub(super) fn slice(&self, start: usize, end: usize) -> &'i str {
        self.text.get(start..end).unwrap_or_default()
    }

    pub(super) fn syntax<T>(&self, message: &'static str) -> Result<T> {
        self.fail(XmlErrorKind::Syntax(message))
    }

    pub(super) fn fail<T>(&self, kind: XmlErrorKind) -> Result<T> {
        Err(XmlError::new(kind, self.text, self.pos))
    }
}
