//! libvirt's `.conf` files: `name = value`, one per line, with comments.
//!
//! Owns the grammar, reading with positions and writing. Knows no key. Comments and the order of
//! lines survive reading and writing, so that a file can be changed without losing what an
//! administrator wrote beside a setting.
//!
//! ```text
//! statement = "#" text | name "=" value [ "#" text ]       separated by line ends or ";"
//! value     = string | integer | "[" [ value { "," value } [ "," ] ] "]"
//! string    = '"' … '"' | "'" … "'" | '"""' … '"""'       no escapes; the last over several lines
//! ```
//!
//! libvirt 11.3.0: src/util/virconf.c
//!
//! ```
//! use oxivirt_sys::keyfile::{KeyFile, Value};
//!
//! let mut file = KeyFile::parse("network.conf", "firewall_backend = \"nftables\" # fast\n")?;
//! assert_eq!(file.string("firewall_backend")?, Some("nftables"));
//! file.set("retries", Value::Integer(3));
//! assert_eq!(
//!     file.format().as_deref(),
//!     Some("firewall_backend = \"nftables\" # fast\nretries = 3\n")
//! );
//! # Ok::<(), oxivirt_sys::keyfile::KeyFileError>(())
//! ```

mod parse;

use std::fmt::Write as _;

/// The largest file read, in bytes.
pub const MAX_SIZE: usize = 10 * 1024 * 1024;

/// The deepest nesting of lists read.
pub const MAX_DEPTH: usize = 64;

/// A file, line by line.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct KeyFile {
    name: String,
    lines: Vec<Line>,
}

/// One statement.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Line {
    /// A setting.
    Setting {
        /// Its name.
        name: String,
        /// Its value.
        value: Value,
        /// What is said after it, without the `#`.
        comment: Option<String>,
    },
    /// A comment on a line of its own, without the `#`.
    Comment(String),
}

/// The value of a setting.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Value {
    /// An integer; its magnitude is at most that of the largest.
    Integer(i64),
    /// A string.
    String(String),
    /// Any number of values.
    List(Vec<Self>),
}

/// Why a file or a setting was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum KeyFileError {
    /// The text breaks the grammar.
    #[error("{file}:{line}: {reason}")]
    Syntax {
        /// The file.
        file: String,
        /// The line, from 1.
        line: u32,
        /// What was expected.
        reason: &'static str,
    },
    /// An integer beyond 64 bits.
    #[error("{file}:{line}: numeric overflow in conf value")]
    Overflow {
        /// The file.
        file: String,
        /// The line, from 1.
        line: u32,
    },
    /// A setting of the wrong type.
    #[error("{file}: expected {expected} for '{name}' parameter")]
    Type {
        /// The file.
        file: String,
        /// The setting.
        name: String,
        /// The type it should have.
        expected: &'static str,
    },
}

impl KeyFileError {
    /// The number of the libvirt error: 33 (syntax), 82 (overflow) or 1 (type), in domain 9.
    #[must_use]
    pub const fn code(&self) -> i32 {
        match self {
            Self::Syntax { .. } => 33,
            Self::Overflow { .. } => 82,
            Self::Type { .. } => 1,
        }
    }
}

impl KeyFile {
    /// Reads `text`; `name` is what errors call it.
    ///
    /// # Errors
    /// [`KeyFileError::Syntax`] and [`KeyFileError::Overflow`], with the line.
    pub fn parse(name: &str, text: &str) -> Result<Self, KeyFileError> {
        let lines = parse::parse(name, text)?;
        Ok(Self { name: name.to_owned(), lines })
    }

    /// All statements in order.
    #[must_use]
    pub fn lines(&self) -> &[Line] {
        &self.lines
    }

    /// The value of a setting; of a repeated one the first counts.
    #[must_use]
    pub fn value(&self, name: &str) -> Option<&Value> {
        self.lines.iter().find_map(|line| match line {
            Line::Setting { name: found, value, .. } if found == name => Some(value),
            _ => None,
        })
    }

    /// A setting that has to be a string.
    ///
    /// # Errors
    /// [`KeyFileError::Type`]
    pub fn string(&self, name: &str) -> Result<Option<&str>, KeyFileError> {
        match self.value(name) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text)),
            Some(_) => Err(self.wrong_type(name, "a string")),
        }
    }

    /// A setting that has to be an integer.
    ///
    /// # Errors
    /// [`KeyFileError::Type`]
    pub fn integer(&self, name: &str) -> Result<Option<i64>, KeyFileError> {
        match self.value(name) {
            None => Ok(None),
            Some(Value::Integer(number)) => Ok(Some(*number)),
            Some(_) => Err(self.wrong_type(name, "an integer")),
        }
    }

    /// A setting that has to be a list of strings.
    ///
    /// # Errors
    /// [`KeyFileError::Type`]
    pub fn string_list(&self, name: &str) -> Result<Option<Vec<&str>>, KeyFileError> {
        let wrong = || self.wrong_type(name, "a string list");
        match self.value(name) {
            None => Ok(None),
            Some(Value::List(values)) => {
                let strings = values.iter().map(|value| match value {
                    Value::String(text) => Ok(text.as_str()),
                    _ => Err(wrong()),
                });
                strings.collect::<Result<_, _>>().map(Some)
            }
            Some(_) => Err(wrong()),
        }
    }

    /// Gives a setting a value, in its place if it is there and at the end if not.
    pub fn set(&mut self, name: &str, new: Value) {
        let present = self.lines.iter_mut().find_map(|line| match line {
            Line::Setting { name: found, value, .. } if found == name => Some(value),
            _ => None,
        });
        match present {
            Some(value) => *value = new,
            None => {
                let name = name.to_owned();
                self.lines.push(Line::Setting { name, value: new, comment: None });
            }
        }
    }

    /// Writes the file; nothing if a string or name cannot be spelled in this grammar.
    ///
    /// libvirt 11.3.0: `virConfSaveEntry`, src/util/virconf.c
    #[must_use]
    pub fn format(&self) -> Option<String> {
        let mut out = String::new();
        for line in &self.lines {
            match line {
                Line::Comment(text) => push_comment(&mut out, text)?,
                Line::Setting { name, value, comment } => {
                    if !parse::is_name(name) {
                        return None;
                    }
                    out.push_str(name);
                    out.push_str(" = ");
                    push_value(&mut out, value)?;
                    if let Some(comment) = comment {
                        out.push(' ');
                        push_comment(&mut out, comment)?;
                    }
                }
            }
            out.push('\n');
        }
        Some(out)
    }

    fn wrong_type(&self, name: &str, expected: &'static str) -> KeyFileError {
        KeyFileError::Type { file: self.name.clone(), name: name.to_owned(), expected }
    }
}

fn push_comment(out: &mut String, text: &str) -> Option<()> {
    out.push('#');
    out.push_str(text);
    (!text.contains(['\n', '\r'])).then_some(())
}

fn push_value(out: &mut String, value: &Value) -> Option<()> {
    match value {
        Value::Integer(i64::MIN) => None,
        Value::Integer(number) => write!(out, "{number}").ok(),
        Value::String(text) => push_string(out, text),
        Value::List(values) => {
            out.push('[');
            for (index, value) in values.iter().enumerate() {
                out.push_str(if index == 0 { " " } else { ", " });
                push_value(out, value)?;
            }
            out.push_str(" ]");
            Some(())
        }
    }
}

/// Picks the quotes that the text does not hold; there are no escapes.
fn push_string(out: &mut String, text: &str) -> Option<()> {
    let one_line = !text.contains(['\n', '\r']);
    let quotes = match () {
        () if one_line && !text.contains('"') => "\"",
        () if one_line && !text.contains('\'') => "'",
        () if !text.contains("\"\"\"") && !text.ends_with('"') => "\"\"\"",
        () => return None,
    };
    out.push_str(quotes);
    out.push_str(text);
    out.push_str(quotes);
    Some(())
}

#[cfg(test)]
mod tests;
