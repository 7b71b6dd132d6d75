//! The reader.

use super::{KeyFileError, Line, MAX_DEPTH, MAX_SIZE, Value};

type Result<T> = std::result::Result<T, KeyFileError>;

struct Reader<'i> {
    file: &'i str,
    text: &'i str,
    pos: usize,
}

/// libvirt 11.3.0: `virConfParse`, src/util/virconf.c
pub(super) fn parse(file: &str, text: &str) -> Result<Vec<Line>> {
    let mut reader = Reader { file, text, pos: 0 };
    if text.len() > MAX_SIZE {
        return reader.fail("file is too large");
    }
    let mut lines = Vec::new();
    while reader.pos < text.len() {
        lines.push(reader.statement()?);
        if reader.pos < text.len() {
            reader.separator()?;
        }
    }
    Ok(lines)
}

/// Whether a text can be the name of a setting.
pub(super) fn is_name(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_alphabetic()) && text.bytes().all(is_name_byte)
}

const fn is_name_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_'
}

const fn is_blank(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t')
}

const fn is_line_end(byte: u8) -> bool {
    matches!(byte, b'\n' | b'\r')
}

impl<'i> Reader<'i> {
    fn statement(&mut self) -> Result<Line> {
        self.skip(|byte| is_blank(byte) || is_line_end(byte));
        if self.eat("#") {
            return Ok(Line::Comment(self.comment()));
        }
        if !self.peek().is_some_and(|byte| byte.is_ascii_alphabetic()) {
            return self.fail("expecting a name");
        }
        let name = self.take(is_name_byte).to_owned();
        self.skip(is_blank);
        if !self.eat("=") {
            return self.fail("expecting an assignment");
        }
        self.skip(is_blank);
        let value = self.value(0)?;
        self.skip(is_blank);
        let comment = self.eat("#").then(|| self.comment());
        Ok(Line::Setting { name, value, comment })
    }

    /// A line end or a semicolon, with all blank lines after it.
    fn separator(&mut self) -> Result<()> {
        self.skip(is_blank);
        match self.peek() {
            None => return Ok(()),
            Some(b';') => self.pos += 1,
            Some(byte) if is_line_end(byte) => {}
            Some(_) => return self.fail("expecting a separator"),
        }
        self.skip(|byte| is_blank(byte) || is_line_end(byte));
        Ok(())
    }

    fn comment(&mut self) -> String {
        self.take(|byte| !is_line_end(byte)).to_owned()
    }

    fn value(&mut self, depth: usize) -> Result<Value> {
        match self.peek() {
            Some(quote @ (b'"' | b'\'')) => self.string(quote).map(Value::String),
            Some(b'[') if depth >= MAX_DEPTH => self.fail("lists are nested too deeply"),
            Some(b'[') => self.list(depth).map(Value::List),
            Some(byte) if byte.is_ascii_digit() || matches!(byte, b'+' | b'-') => {
                self.integer().map(Value::Integer)
            }
            _ => self.fail("expecting a value"),
        }
    }

    fn list(&mut self, depth: usize) -> Result<Vec<Value>> {
        let space = |byte| is_blank(byte) || is_line_end(byte);
        let mut values = Vec::new();
        self.pos += 1;
        self.skip(space);
        while let Some(byte) = self.peek().filter(|&byte| byte != b']') {
            if !values.is_empty() {
                if byte != b',' {
                    return self.fail("expecting a separator in list");
                }
                self.pos += 1;
                self.skip(space);
                // A comma may stand before the end.
                if self.peek() == Some(b']') {
                    break;
                }
            }
            values.push(self.value(depth + 1)?);
            self.skip(space);
        }
        if self.eat("]") { Ok(values) } else { self.fail("list is not closed with ]") }
    }

    fn string(&mut self, quote: u8) -> Result<String> {
        if let Some(tail) = self.rest().strip_prefix("\"\"\"")
            && let Some(length) = tail.find("\"\"\"")
        {
            self.pos += length + 6;
            return Ok(tail.get(..length).unwrap_or_default().to_owned());
        }
        self.pos += 1;
        let text = self.take(|byte| byte != quote && !is_line_end(byte));
        if self.peek() != Some(quote) {
            return self.fail("unterminated string");
        }
        self.pos += 1;
        Ok(text.to_owned())
    }

    fn integer(&mut self) -> Result<i64> {
        let negative = self.peek() == Some(b'-');
        if matches!(self.peek(), Some(b'+' | b'-')) {
            self.pos += 1;
        }
        let digits = self.take(|byte| byte.is_ascii_digit());
        if digits.is_empty() {
            return self.fail("unterminated number");
        }
        match digits.parse::<i64>() {
            Ok(number) => Ok(if negative { -number } else { number }),
            Err(_) => Err(KeyFileError::Overflow { file: self.file.to_owned(), line: self.line() }),
        }
    }

    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.pos).copied()
    }

    fn rest(&self) -> &'i str {
        self.text.get(self.pos..).unwrap_or_default()
    }

    fn eat(&mut self, token: &str) -> bool {
        let found = self.rest().starts_with(token);
        if found {
            self.pos += token.len();
        }
        found
    }

    fn skip(&mut self, wanted: impl Fn(u8) -> bool) {
        self.take(wanted);
    }

    /// Passes over bytes up to the first that is not wanted; the text is cut between characters
    /// because the caller stops at ASCII characters only.
    fn take(&mut self, wanted: impl Fn(u8) -> bool) -> &'i str {
        let rest = self.rest();
        let length = rest.bytes().position(|byte| !wanted(byte)).unwrap_or(rest.len());
        self.pos += length;
        rest.get(..length).unwrap_or_default()
    }

    fn line(&self) -> u32 {
        let head = self.text.as_bytes().get(..self.pos).unwrap_or_default();
        let breaks = head.iter().filter(|&&byte| byte == b'\n').count();
        u32::try_from(breaks).unwrap_or(u32::MAX).saturating_add(1)
    }

    fn fail<T>(&self, reason: &'static str) -> Result<T> {
        Err(KeyFileError::Syntax { file: self.file.to_owned(), line: self.line(), reason })
    }
}
