//! The options of one command line, and typed access to their values.

use crate::{
    command::{CommandDef, EmptyPolicy, OptionDef},
    failure::Failure,
    i18n::tr,
};
use oxivirt::Error;
use std::{ffi::OsStr, os::unix::ffi::OsStrExt as _, path::Path};

/// Value of one option.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Value {
    /// The option was given and takes no value.
    Flag,
    /// The value as typed.
    Text(Vec<u8>),
}

/// One option of a command line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ParsedOption {
    /// Index into the options of the command.
    pub(crate) index: usize,
    pub(crate) value: Value,
}

/// The options of one command line, in their order.
#[derive(Debug, Clone)]
pub(crate) struct Args {
    command: &'static CommandDef,
    parsed: Vec<ParsedOption>,
}

impl Args {
    /// An empty command line for `command`.
    pub(crate) fn new(command: &'static CommandDef) -> Self {
        Self { command, parsed: Vec::new() }
    }

    pub(crate) fn push(&mut self, index: usize, value: Value) {
        self.parsed.push(ParsedOption { index, value });
    }

    /// Whether the option with this index was given.
    pub(crate) fn has(&self, index: usize) -> bool {
        self.parsed.iter().any(|option| option.index == index)
    }

    /// All options, in their order.
    pub(crate) fn parsed(&self) -> &[ParsedOption] {
        &self.parsed
    }

    /// The command these options belong to.
    pub(crate) fn command(&self) -> &'static CommandDef {
        self.command
    }

    fn all(&self, name: &str) -> impl Iterator<Item = (&'static OptionDef, &Value)> {
        let option = self.command.option(name.as_bytes());
        // a mistake in the handler or in the command table
        debug_assert!(option.is_some(), "{} has no option {name}", self.command.name);
        self.parsed.iter().filter_map(move |parsed| match option {
            Some((index, option)) if parsed.index == index => Some((option, &parsed.value)),
            _ => None,
        })
    }

    /// Whether any option has a value.
    pub(crate) fn has_any(&self) -> bool {
        self.parsed.iter().any(|option| option.value != Value::Flag)
    }

    /// Whether the option `name` was given, whatever its value.
    pub(crate) fn has_named(&self, name: &str) -> bool {
        self.all(name).next().is_some()
    }

    /// Whether a flag is set.
    pub(crate) fn flag(&self, name: &str) -> bool {
        self.all(name).next().is_some()
    }

    /// The bytes of a text option, `None` if it was not given.
    ///
    /// # Errors
    /// If the value is empty and the option rejects that.
    pub(crate) fn bytes(&self, name: &str) -> Result<Option<&[u8]>, Failure> {
        match self.all(name).next() {
            Some((option, Value::Text(text))) => {
                if text.is_empty() && option.empty_policy == EmptyPolicy::Reject {
                    return Err(Failure::Message(tr!(
                        "Failed to get option '{name}': Option argument is empty",
                        name = name
                    )));
                }
                Ok(Some(text))
            }
            _ => Ok(None),
        }
    }

    /// A text option, with invalid UTF-8 replaced.
    ///
    /// # Errors
    /// If the value is empty and the option rejects that.
    pub(crate) fn text(&self, name: &str) -> Result<Option<String>, Failure> {
        Ok(self.bytes(name)?.map(|bytes| String::from_utf8_lossy(bytes).into_owned()))
    }

    /// The text of a required option.
    ///
    /// # Errors
    /// If the value is empty and the option rejects that.
    pub(crate) fn required(&self, name: &str) -> Result<String, Failure> {
        // the parser rejects a command without it
        Ok(self.text(name)?.unwrap_or_default())
    }

    /// A file name.
    ///
    /// # Errors
    /// If the value is empty and the option rejects that.
    pub(crate) fn path(&self, name: &str) -> Result<Option<&Path>, Failure> {
        Ok(self.bytes(name)?.map(|bytes| Path::new(OsStr::from_bytes(bytes))))
    }

    /// The words of a list.
    pub(crate) fn words(&self, name: &str) -> Vec<&[u8]> {
        let texts = self.all(name).filter_map(|(_, value)| match value {
            Value::Text(text) => Some(text.as_slice()),
            Value::Flag => None,
        });
        texts.collect()
    }

    /// A numeric option, `None` if it was not given.
    ///
    /// # Errors
    /// If the value is not a number or does not fit into `T`.
    pub(crate) fn number<T: TryFrom<i64>>(&self, name: &str) -> Result<Option<T>, Failure> {
        let Some(bytes) = self.bytes(name)? else { return Ok(None) };
        match read_integer(bytes).and_then(|number| T::try_from(number).ok()) {
            Some(number) => Ok(Some(number)),
            None => Err(malformed_number(name, &String::from_utf8_lossy(bytes))),
        }
    }

    /// Rejects two exclusive options.
    ///
    /// # Errors
    /// If both are given.
    pub(crate) fn exclusive(&self, first: &str, second: &str) -> Result<(), Failure> {
        if self.has_named(first) && self.has_named(second) {
            return Err(Failure::Message(tr!(
                "Options --{first} and --{second} are mutually exclusive",
                first = first,
                second = second
            )));
        }
        Ok(())
    }
}

/// The message for a malformed number or one out of range.
pub(crate) fn malformed_number(name: &str, value: &str) -> Failure {
    Failure::Message(tr!(
        "Numeric value '{value}' for <{name}> option is malformed or out of range",
        value = value,
        name = name
    ))
}

/// A size in bytes, given as a number with or without a unit.
///
/// virsh: `virshVolSize`, tools/virsh-volume.c
///
/// # Errors
/// If it is not a number, the unit is unknown, or it is too large.
pub(crate) fn scaled_bytes(text: &str) -> Result<u64, Failure> {
    let line = || tr!("Malformed size {text}", text = text);
    match oxivirt_conf::domain::parse_scaled(text, 1) {
        None => Err(Failure::Message(line())),
        Some(Ok(bytes)) => Ok(bytes),
        Some(Err(error)) => Err(Failure::Context(line(), Error::classified(&error))),
    }
}

/// Parses a decimal number as strtol(3) does, without trailing characters.
fn read_integer(bytes: &[u8]) -> Option<i64> {
    let text = std::str::from_utf8(bytes).ok()?;
    text.trim_start_matches([' ', '\t', '\n', '\u{b}', '\u{c}', '\r']).parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expect: Option<i64>) {
        assert_eq!(read_integer(text.as_bytes()), expect, "{text:?}");
    }

    #[test]
    fn numbers_are_decimal_with_blanks_before_them() {
        check("7", Some(7));
        check(" \t-7", Some(-7));
        check("+7", Some(7));
        check("007", Some(7));
        check("7 ", None);
        check("0x7", None);
        check("7k", None);
        check("", None);
        check("-", None);
        check("99999999999999999999", None);
    }
}
