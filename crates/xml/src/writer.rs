//! Writes documents in libvirt's layout.
//!
//! Two spaces per level, one element per line, apostrophes around values. Whether an element
//! without content is written `<a/>` or as a pair of tags is the caller's decision, element by
//! element, because libvirt is not consistent about it.

use std::fmt::{self, Write as _};

/// Builds a document line by line.
#[derive(Debug, Clone, Default)]
pub struct Writer {
    out: String,
    indent: usize,
}

/// Whether [`Writer::element`] writes an element that has nothing in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Presence {
    /// As `<a/>`.
    Always,
    /// Not at all.
    IfNotEmpty,
}

/// A start tag whose end is still open: attributes, then [`Tag::empty`] or [`Tag::open`].
#[derive(Debug)]
#[must_use = "the tag has to be ended by `empty` or `open`"]
pub struct Tag<'w> {
    writer: &'w mut Writer,
}

impl Writer {
    /// An empty document.
    #[must_use]
    pub const fn new() -> Self {
        Self { out: String::new(), indent: 0 }
    }

    /// The text written.
    #[must_use]
    pub fn finish(self) -> String {
        self.out
    }

    /// The present depth in spaces.
    #[must_use]
    pub const fn indent(&self) -> usize {
        self.indent
    }

    /// Starts an element.
    pub fn begin(&mut self, name: &str) -> Tag<'_> {
        self.pad();
        self.out.push('<');
        self.out.push_str(name);
        Tag { writer: self }
    }

    /// Writes an element whose content decides how it ends: `<a/>` without any, a pair of tags around it
    /// otherwise. With [`Presence::IfNotEmpty`] an element with neither attribute nor content is left out.
    ///
    /// libvirt 11.3.0: `virXMLFormatElement`, src/util/virxml.c
    pub fn element(
        &mut self,
        name: &str,
        presence: Presence,
        attributes: impl for<'t> FnOnce(Tag<'t>) -> Tag<'t>,
        content: impl FnOnce(&mut Self),
    ) {
        let start = self.out.len();
        let tag = self.begin(name);
        let bare = tag.writer.out.len();
        let Tag { writer: _ } = attributes(tag);
        let has_attributes = self.out.len() > bare;
        self.out.push_str(">\n");
        let inner = self.out.len();
        self.indent += 2;
        content(self);
        self.indent = self.indent.saturating_sub(2);
        if self.out.len() > inner {
            self.indent += 2;
            self.end(name);
        } else if has_attributes || presence == Presence::Always {
            self.out.truncate(inner.saturating_sub(2));
            self.out.push_str("/>\n");
        } else {
            self.out.truncate(start);
        }
    }

    /// Ends the element that [`Tag::open`] opened.
    pub fn end(&mut self, name: &str) {
        self.indent = self.indent.saturating_sub(2);
        self.pad();
        self.out.push_str("</");
        self.out.push_str(name);
        self.out.push_str(">\n");
    }

    /// Writes an element that holds nothing but text.
    pub fn text(&mut self, name: &str, text: &str) {
        self.pad();
        self.out.push('<');
        self.out.push_str(name);
        self.out.push('>');
        escape(&mut self.out, text);
        self.out.push_str("</");
        self.out.push_str(name);
        self.out.push_str(">\n");
    }

    /// Writes one line of finished markup at the present depth.
    pub fn raw_line(&mut self, markup: &str) {
        self.pad();
        self.out.push_str(markup);
        self.out.push('\n');
    }

    /// Writes an empty line.
    pub fn blank(&mut self) {
        self.out.push('\n');
    }

    fn begin_attribute(&mut self, name: &str) {
        self.out.push(' ');
        self.out.push_str(name);
        self.out.push_str("='");
    }

    fn pad(&mut self) {
        self.out.extend(std::iter::repeat_n(' ', self.indent));
    }
}

impl<'w> Tag<'w> {
    /// Adds an attribute, escaping its value.
    pub fn attr(self, name: &str, value: &str) -> Self {
        self.writer.begin_attribute(name);
        escape(&mut self.writer.out, value);
        self.writer.out.push('\'');
        self
    }

    /// Adds an attribute if it has a value.
    pub fn attr_opt(self, name: &str, value: Option<&str>) -> Self {
        match value {
            Some(value) => self.attr(name, value),
            None => self,
        }
    }

    /// Adds an attribute whose printed form needs no escaping: a number, an address, a keyword.
    pub fn display(self, name: &str, value: impl fmt::Display) -> Self {
        self.writer.begin_attribute(name);
        // Writing to a String cannot fail.
        if write!(self.writer.out, "{value}").is_ok() {
            self.writer.out.push('\'');
        }
        self
    }

    /// Adds such an attribute if it has a value.
    pub fn display_opt<T: fmt::Display>(self, name: &str, value: Option<T>) -> Self {
        match value {
            Some(value) => self.display(name, value),
            None => self,
        }
    }

    /// Ends the tag, writes `text` as the element's content and ends the element called `name`.
    pub fn text(self, name: &str, text: &str) {
        let out = &mut self.writer.out;
        out.push('>');
        escape(out, text);
        out.push_str("</");
        out.push_str(name);
        out.push_str(">\n");
    }

    /// Ends the tag and the element: `<a/>`.
    pub fn empty(self) {
        self.writer.out.push_str("/>\n");
    }

    /// Ends the tag; what follows is content until [`Writer::end`].
    pub fn open(self) -> &'w mut Writer {
        self.writer.out.push_str(">\n");
        self.writer.indent += 2;
        self.writer
    }
}

/// Appends `text` to `out` as character data or attribute value.
///
/// The five markup characters become entities, control characters that no document may hold are
/// dropped, tab, line feed and carriage return stay as they are.
///
/// libvirt 11.3.0: `virBufferEscapeString`, src/util/virbuffer.c
pub fn escape(out: &mut String, text: &str) {
    let mut rest = text;
    while let Some(at) = rest.bytes().position(needs_escape) {
        let (plain, tail) = rest.split_at(at);
        out.push_str(plain);
        match tail.as_bytes().first() {
            Some(b'<') => out.push_str("&lt;"),
            Some(b'>') => out.push_str("&gt;"),
            Some(b'&') => out.push_str("&amp;"),
            Some(b'"') => out.push_str("&quot;"),
            Some(b'\'') => out.push_str("&apos;"),
            _ => {}
        }
        rest = tail.get(1..).unwrap_or_default();
    }
    out.push_str(rest);
}

const fn needs_escape(byte: u8) -> bool {
    matches!(byte, b'<' | b'>' | b'&' | b'"' | b'\'' | 0x01..=0x08 | 0x0b | 0x0c | 0x0e..=0x19)
}
