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

use std::fmt::{self, Write as _};

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
        expected: Type,
    },
    /// A list with a value that is not a string.
    #[error("{file}: expected {} for '{name}' parameter", Type::StringList)]
    Element {
        /// The file.
        file: String,
        /// The setting.
        name: String,
    },
    /// A number that the type of its setting does not hold.
    #[error("{file}: value for '{name}' parameter must be {allowed}")]
    Range {
        /// The file.
        file: String,
        /// The setting.
        name: String,
        /// The numbers that are allowed, in libvirt's words.
        allowed: &'static str,
    },
}

/// Type of a setting; messages contain its display.
///
/// libvirt 11.3.0: `virConfGetValueBool` and its siblings, src/util/virconf.c
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Type {
    /// 0 or 1, without a minus sign.
    Bool,
    /// 32 bits with a sign.
    Int,
    /// 32 bits without a sign: a minus sign is a wrong type.
    Uint,
    /// A string.
    String,
    /// A list of strings.
    StringList,
}

impl fmt::Display for Type {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Bool => "a bool",
            Self::Int => "a signed integer",
            Self::Uint => "an unsigned integer",
            Self::String => "a string",
            Self::StringList => "a string list",
        })
    }
}

impl KeyFileError {
    /// The number of the libvirt error: 33 (syntax), 82 (overflow) or 1 (type, range), in domain 9.
    #[must_use]
    pub const fn code(&self) -> i32 {
        match self {
            // a wrong list element has this number in libvirt too
            Self::Syntax { .. } | Self::Element { .. } => 33,
            Self::Overflow { .. } => 82,
            Self::Type { .. } | Self::Range { .. } => 1,
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

    /// What errors call the file.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
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

    /// Checks that a setting, if it is there, has a type and a value that the type holds.
    ///
    /// # Errors
    /// [`KeyFileError::Type`], [`KeyFileError::Element`] and [`KeyFileError::Range`]
    pub fn check(&self, name: &str, expected: Type) -> Result<(), KeyFileError> {
        match expected {
            Type::Bool => self.boolean(name).map(drop),
            Type::Int => self.int(name).map(drop),
            Type::Uint => self.uint(name).map(drop),
            Type::String => self.string(name).map(drop),
            Type::StringList => self.string_list(name).map(drop),
        }
    }

    /// A setting that has to be a string.
    ///
    /// # Errors
    /// [`KeyFileError::Type`]
    pub fn string(&self, name: &str) -> Result<Option<&str>, KeyFileError> {
        match self.value(name) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text)),
            Some(_) => Err(self.wrong_type(name, Type::String)),
        }
    }

    /// A setting that has to be 0 or 1.
    ///
    /// # Errors
    /// [`KeyFileError::Type`] and [`KeyFileError::Range`]
    pub fn boolean(&self, name: &str) -> Result<Option<bool>, KeyFileError> {
        match self.value(name) {
            None => Ok(None),
            Some(Value::Integer(number)) if *number >= 0 => match number {
                0 => Ok(Some(false)),
                1 => Ok(Some(true)),
                _ => Err(self.out_of_range(name, "0 or 1")),
            },
            Some(_) => Err(self.wrong_type(name, Type::Bool)),
        }
    }

    /// A setting that has to be an integer of 32 bits.
    ///
    /// # Errors
    /// [`KeyFileError::Type`] and [`KeyFileError::Range`]
    pub fn int(&self, name: &str) -> Result<Option<i32>, KeyFileError> {
        match self.value(name) {
            None => Ok(None),
            Some(Value::Integer(number)) => {
                let allowed = "in range -2147483648:2147483647";
                i32::try_from(*number).map(Some).map_err(|_| self.out_of_range(name, allowed))
            }
            Some(_) => Err(self.wrong_type(name, Type::Int)),
        }
    }

    /// A setting that has to be an integer of 32 bits without a sign.
    ///
    /// # Errors
    /// [`KeyFileError::Type`] and [`KeyFileError::Range`]
    pub fn uint(&self, name: &str) -> Result<Option<u32>, KeyFileError> {
        match self.value(name) {
            None => Ok(None),
            Some(Value::Integer(number)) if *number >= 0 => {
                let allowed = "in range 0:4294967295";
                u32::try_from(*number).map(Some).map_err(|_| self.out_of_range(name, allowed))
            }
            Some(_) => Err(self.wrong_type(name, Type::Uint)),
        }
    }

    /// A setting that has to be a list of strings.
    ///
    /// # Errors
    /// [`KeyFileError::Type`] and [`KeyFileError::Element`]
    pub fn string_list(&self, name: &str) -> Result<Option<Vec<&str>>, KeyFileError> {
        let wrong = || KeyFileError::Element { file: self.name.clone(), name: name.to_owned() };
        match self.value(name) {
            None => Ok(None),
            Some(Value::List(values)) => {
                let strings = values.iter().map(|value| match value {
                    Value::String(text) => Ok(text.as_str()),
                    _ => Err(wrong()),
                });
                strings.collect::<Result<_, _>>().map(Some)
            }
            Some(_) => Err(self.wrong_type(name, Type::StringList)),
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

    fn wrong_type(&self, name: &str, expected: Type) -> KeyFileError {
        KeyFileError::Type { file: self.name.clone(), name: name.to_owned(), expected }
    }

    fn out_of_range(&self, name: &str, allowed: &'static str) -> KeyFileError {
        KeyFileError::Range { file: self.name.clone(), name: name.to_owned(), allowed }
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
