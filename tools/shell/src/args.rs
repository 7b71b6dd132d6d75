//! What was given to a command, and how its handler reads it.

use crate::{
    command::{CommandDef, Emptiness, OptionDef},
    failure::Failure,
    i18n::tr,
};
use std::{ffi::OsStr, os::unix::ffi::OsStrExt as _, path::Path};

/// Value of one option.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Value {
    /// The option is there.
    Flag,
    /// A text or number as it was typed.
    Text(Vec<u8>),
}

/// One option as it was given.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Given {
    /// Index into the options of the command.
    pub(crate) index: usize,
    pub(crate) value: Value,
}

/// The options of one command line, in the order in which they were given.
#[derive(Debug, Clone)]
pub(crate) struct Args {
    command: &'static CommandDef,
    given: Vec<Given>,
}

impl Args {
    /// Nothing given to `command`.
    pub(crate) fn new(command: &'static CommandDef) -> Self {
        Self { command, given: Vec::new() }
    }

    pub(crate) fn push(&mut self, index: usize, value: Value) {
        self.given.push(Given { index, value });
    }

    /// Whether the option with this index was given.
    pub(crate) fn has(&self, index: usize) -> bool {
        self.given.iter().any(|given| given.index == index)
    }

    /// Everything, in the order in which it was given.
    pub(crate) fn given(&self) -> &[Given] {
        &self.given
    }

    /// The command these options belong to.
    pub(crate) fn command(&self) -> &'static CommandDef {
        self.command
    }

    fn all(&self, name: &str) -> impl Iterator<Item = (&'static OptionDef, &Value)> {
        let option = self.command.option(name.as_bytes());
        // a handler asking for an option its table does not have is found by `self-test`
        debug_assert!(option.is_some(), "{} has no option {name}", self.command.name);
        self.given.iter().filter_map(move |given| match option {
            Some((index, option)) if given.index == index => Some((option, &given.value)),
            _ => None,
        })
    }

    /// Whether there is anything but flags.
    pub(crate) fn has_any(&self) -> bool {
        self.given.iter().any(|given| given.value != Value::Flag)
    }

    /// Whether the option `name` was given, whatever its value.
    pub(crate) fn has_named(&self, name: &str) -> bool {
        self.all(name).next().is_some()
    }

    /// Whether a flag is there.
    pub(crate) fn flag(&self, name: &str) -> bool {
        self.all(name).next().is_some()
    }

    /// The bytes of a text; `None` if it was not given.
    ///
    /// # Errors
    /// If it is empty and must not be.
    pub(crate) fn bytes(&self, name: &str) -> Result<Option<&[u8]>, Failure> {
        match self.all(name).next() {
            Some((option, Value::Text(text))) => {
                if text.is_empty() && option.emptiness == Emptiness::Refused {
                    return Err(Failure::Own(tr!(
                        "Failed to get option '{name}': Option argument is empty",
                        name = name
                    )));
                }
                Ok(Some(text))
            }
            _ => Ok(None),
        }
    }

    /// A text; what is not UTF-8 in it is replaced.
    ///
    /// # Errors
    /// If it is empty and must not be.
    pub(crate) fn text(&self, name: &str) -> Result<Option<String>, Failure> {
        Ok(self.bytes(name)?.map(|bytes| String::from_utf8_lossy(bytes).into_owned()))
    }

    /// The text of a required option.
    ///
    /// # Errors
    /// If it is empty and must not be.
    pub(crate) fn required(&self, name: &str) -> Result<String, Failure> {
        // the parser refused the command if it is missing
        Ok(self.text(name)?.unwrap_or_default())
    }

    /// A file name.
    ///
    /// # Errors
    /// If it is empty and must not be.
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

    /// A number; `None` if it was not given.
    ///
    /// # Errors
    /// If the text is no number of that type.
    pub(crate) fn number<T: TryFrom<i64>>(&self, name: &str) -> Result<Option<T>, Failure> {
        let Some(bytes) = self.bytes(name)? else { return Ok(None) };
        match read_integer(bytes).and_then(|number| T::try_from(number).ok()) {
            Some(number) => Ok(Some(number)),
            None => Err(malformed_number(name, &String::from_utf8_lossy(bytes))),
        }
    }

    /// Refuses two flags at once.
    ///
    /// # Errors
    /// If both are there.
    pub(crate) fn exclusive(&self, first: &str, second: &str) -> Result<(), Failure> {
        if self.flag(first) && self.flag(second) {
            return Err(Failure::Own(tr!(
                "Options --{first} and --{second} are mutually exclusive",
                first = first,
                second = second
            )));
        }
        Ok(())
    }
}

/// The line for a number that is none, or that is out of range.
pub(crate) fn malformed_number(name: &str, value: &str) -> Failure {
    Failure::Own(tr!(
        "Numeric value '{value}' for <{name}> option is malformed or out of range",
        value = value,
        name = name
    ))
}

/// Reads a decimal number as the C library does: blanks before it, a sign, nothing behind.
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
