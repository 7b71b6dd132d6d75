//! The XML declaration, `<?xml version='1.0' encoding='UTF-8' standalone='yes'?>`.
//!
//! Its form is checked as strictly as libxml2 does. The encoding declared has no effect: a text
//! handed over as a string is UTF-8, as in libvirt, whose documents pass through C strings. Only a
//! name that no converter knows is an error, as in libxml2.

use super::chars::is_blank;
use super::error::XmlErrorKind;
use super::reader::{Reader, Result};

impl<'i> Reader<'i> {
    /// The declaration after `<?xml`.
    ///
    /// libxml2: `xmlParseXMLDecl`, parser.c
    pub(super) fn declaration(&mut self) -> Result<()> {
        let Some(version) = self.pseudo_attribute("version", is_version)? else {
            return self.syntax("Malformed declaration expecting version");
        };
        if !version.starts_with("1.") {
            return self.fail(XmlErrorKind::Version { version: version.to_owned() });
        }
        if self.ends_or_goes_on()? {
            return Ok(());
        }
        if let Some(name) = self.pseudo_attribute("encoding", is_encoding)? {
            if !name.starts_with(|c: char| c.is_ascii_alphabetic()) {
                self.pos -= name.len() + 1;
                return self.syntax("Invalid XML encoding name");
            }
            if !is_known_encoding(name) {
                return self.fail(XmlErrorKind::Encoding { name: name.to_owned() });
            }
            if self.ends_or_goes_on()? {
                return Ok(());
            }
        }
        match self.pseudo_attribute("standalone", |byte| byte.is_ascii_alphabetic())? {
            None | Some("yes" | "no") => {}
            Some(_) => return self.syntax("standalone accepts only 'yes' or 'no'"),
        }
        self.skip_blanks();
        if self.eat("?>") {
            return Ok(());
        }
        self.syntax("parsing XML declaration: '?>' expected")
    }

    /// Whether the declaration is over; if not, a blank has to follow.
    fn ends_or_goes_on(&mut self) -> Result<bool> {
        if self.eat("?>") {
            return Ok(true);
        }
        if self.peek().is_some_and(is_blank) { Ok(false) } else { self.syntax("Blank needed here") }
    }

    fn pseudo_attribute(
        &mut self,
        name: &str,
        allowed: impl Fn(u8) -> bool,
    ) -> Result<Option<&'i str>> {
        self.skip_blanks();
        if !self.eat(name) {
            return Ok(None);
        }
        self.skip_blanks();
        if !self.eat("=") {
            return self.syntax("expected '='");
        }
        self.skip_blanks();
        let Some(quote @ (b'"' | b'\'')) = self.peek() else {
            return self.syntax("String not started expecting ' or \"");
        };
        self.pos += 1;
        let start = self.pos;
        while self.peek().is_some_and(&allowed) {
            self.pos += 1;
        }
        let value = self.slice(start, self.pos);
        if self.peek() != Some(quote) {
            return self.syntax("String not closed expecting \" or '");
        }
        self.pos += 1;
        Ok(Some(value))
    }
}

const fn is_version(byte: u8) -> bool {
    byte.is_ascii_digit() || byte == b'.'
}

const fn is_encoding(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-')
}

/// What the names of encodings begin with, in upper case: the families of libxml2's aliases and of
/// iconv(3).
const ENCODINGS: &[&str] = &[
    "ANSI_X", "ARABIC", "ARMSCII", "ASCII", "ASMO", "BALTIC", "BIG", "BRF", "CN", "CP", "CS",
    "CWI", "CYRILLIC", "DEC", "EBCDIC-", "ECMA", "EUC", "GB", "GEORGIAN", "GOST_", "GREEK",
    "HEBREW", "HP", "HTML", "IBM", "INIS", "ISIRI", "ISO", "JIS", "JOHAB", "JP", "JUS_I.B", "KOI",
    "KSC", "LATIN", "MAC", "MIK", "MS", "NATS-", "PT", "R8", "ROMAN8", "RUSCII", "SHIFT", "SJIS",
    "TCVN", "THAI", "TIS", "TSCII", "TURKISH", "UCS", "UHC", "UJIS", "UNICODE", "US", "UTF",
    "VISCII", "WCHAR_T", "WIN",
];

/// Whether a declaration may name this encoding.
///
/// libxml2 2.9: `xmlFindCharEncodingHandler`, encoding.c
fn is_known_encoding(name: &str) -> bool {
    let name = name.to_ascii_uppercase();
    let is_latin =
        name.strip_prefix('L').is_some_and(|n| matches!(n.as_bytes(), [b'1'..=b'8'] | b"10"));
    is_latin || ENCODINGS.iter().any(|family| name.starts_with(family))
}
