//! Global options, scanned as `getopt_long` of the C library scans them with a leading `+`.
//!
//! Options take effect in their order, and some end the shell, so the scanner returns them one by one. It knows
//! their syntax only.
//!
//! virsh: `virshParseArgv`, tools/virsh.c; getopt(3)

use crate::i18n::{mark, tr};
use crate::suggest;
use std::{
    ffi::{OsStr, OsString},
    os::unix::ffi::{OsStrExt as _, OsStringExt as _},
};

/// One option.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct GlobalOption {
    pub(crate) short: char,
    /// The spelling used, for messages: `-k` or `--keepalive-interval`.
    pub(crate) spelling: String,
    pub(crate) value: Option<OsString>,
}

/// A mistake in the global options.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum OptionError {
    MissingArgument {
        short: char,
        long: &'static str,
    },
    /// The option as messages show it.
    Unsupported(String),
}

impl OptionError {
    /// The message.
    pub(crate) fn message(&self) -> String {
        match self {
            Self::MissingArgument { short, long } => {
                tr!("option '-{short}'/'--{long}' requires an argument", short = short, long = long)
            }
            Self::Unsupported(option) => {
                tr!("unsupported option '{option}'. See --help.", option = option)
            }
        }
    }
}

impl OptionError {
    /// A suggestion for a mistyped option.
    pub(crate) fn hint(&self) -> Option<String> {
        let Self::Unsupported(option) = self else { return None };
        let word = option.strip_prefix("--")?.split('=').next()?;
        let names = OPTIONS.iter().map(|option| option.long).filter(|name| !name.is_empty());
        let name = suggest::closest(word, names)?;
        Some(suggest::did_you_mean(&format!("--{name}")))
    }
}

/// Whether an option has an argument.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Argument {
    None,
    Required,
    /// Only after `=` in the long form.
    Optional,
}

/// One option of the table.
#[derive(Debug, Clone, Copy)]
struct Known {
    short: char,
    long: &'static str,
    argument: Argument,
    help: &'static str,
}

const fn known(short: char, long: &'static str, argument: Argument, help: &'static str) -> Known {
    Known { short, long, argument, help }
}

const OPTIONS: &[Known] = &[
    known('c', "connect", Argument::Required, mark!("connect to this URI")),
    known(
        'd',
        "debug",
        Argument::Required,
        mark!("debug level, from 0 (everything) to 4 (errors)"),
    ),
    known('e', "escape", Argument::Required, mark!("escape character of consoles")),
    known('h', "help", Argument::None, mark!("print this help")),
    known(
        'k',
        "keepalive-interval",
        Argument::Required,
        mark!("keepalive interval in seconds, 0 to disable"),
    ),
    known(
        'K',
        "keepalive-count",
        Argument::Required,
        mark!("unanswered keepalive messages before disconnecting"),
    ),
    known('l', "log", Argument::Required, mark!("append log messages to this file")),
    known('q', "quiet", Argument::None, mark!("print results only")),
    known('r', "readonly", Argument::None, mark!("open a read-only connection")),
    known('t', "timing", Argument::None, mark!("print how long each command takes")),
    known('v', "version", Argument::Optional, mark!("print the version, short or long")),
    // no long form; the empty name matches no typed option
    known('V', "", Argument::None, mark!("print the long version")),
];

/// A global option as listings show it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct GlobalHelp {
    pub(crate) short: char,
    /// Empty if the option has no long form.
    pub(crate) long: &'static str,
    pub(crate) takes_value: bool,
    pub(crate) help: &'static str,
}

/// All global options.
pub(crate) fn global_options() -> impl Iterator<Item = GlobalHelp> {
    OPTIONS.iter().map(|option| GlobalHelp {
        short: option.short,
        long: option.long,
        takes_value: option.argument == Argument::Required,
        help: option.help,
    })
}

/// Iterates over the options before the command.
#[derive(Debug)]
pub(crate) struct Scanner {
    words: std::vec::IntoIter<OsString>,
    /// Rest of a cluster of short options.
    cluster: Vec<u8>,
}

impl Scanner {
    /// `words` are the arguments after the program name.
    pub(crate) fn new(words: Vec<OsString>) -> Self {
        Self { words: words.into_iter(), cluster: Vec::new() }
    }

    /// The arguments after the options.
    pub(crate) fn into_rest(self) -> Vec<OsString> {
        self.words.collect()
    }

    /// The next option; `None` before the first other argument.
    pub(crate) fn next(&mut self) -> Result<Option<GlobalOption>, OptionError> {
        if self.cluster.is_empty() {
            let Some(word) = self.words.as_slice().first() else { return Ok(None) };
            let bytes = word.as_bytes();
            if !bytes.starts_with(b"-") || bytes == b"-" {
                return Ok(None);
            }
            let word = self.words.next().unwrap_or_default();
            if word == "--" {
                return Ok(None);
            }
            if let Some(long) = word.as_bytes().strip_prefix(b"--") {
                return self.long(&word, long).map(Some);
            }
            self.cluster = word.into_vec().split_off(1);
        }
        self.short().map(Some)
    }

    fn long(&mut self, word: &OsStr, text: &[u8]) -> Result<GlobalOption, OptionError> {
        let unsupported = || OptionError::Unsupported(word.to_string_lossy().into_owned());
        let mut parts = text.splitn(2, |byte| *byte == b'=');
        let (name, value) = (parts.next().unwrap_or_default(), parts.next());
        let named: Vec<_> =
            OPTIONS.iter().filter(|option| option.long.as_bytes().starts_with(name)).collect();
        let exact = named.iter().find(|option| option.long.as_bytes() == name);
        let &Known { short, long, argument, .. } = match (exact, named.as_slice()) {
            (Some(option), _) => *option,
            (None, [option]) => *option,
            _ => return Err(unsupported()),
        };
        let value = value.map(|value| OsStr::from_bytes(value).to_owned());
        let value = match (argument, value) {
            (Argument::None, Some(_)) => {
                return Err(OptionError::Unsupported(format!("-{short}")));
            }
            (Argument::Required, None) => {
                let next = self.words.next();
                Some(next.ok_or(OptionError::MissingArgument { short, long })?)
            }
            (_, value) => value,
        };
        Ok(GlobalOption { short, spelling: format!("--{long}"), value })
    }

    fn short(&mut self) -> Result<GlobalOption, OptionError> {
        let byte = self.cluster.remove(0);
        let short = char::from(byte);
        let Some(&Known { long, argument, .. }) =
            OPTIONS.iter().find(|option| option.short == short)
        else {
            self.cluster.clear();
            let shown = String::from_utf8_lossy(&[byte]).into_owned();
            return Err(OptionError::Unsupported(format!("-{shown}")));
        };
        let value = match argument {
            Argument::None | Argument::Optional => None,
            Argument::Required => {
                let attached = std::mem::take(&mut self.cluster);
                let attached = (!attached.is_empty()).then(|| OsString::from_vec(attached));
                let value = attached.or_else(|| self.words.next());
                Some(value.ok_or(OptionError::MissingArgument { short, long })?)
            }
        };
        Ok(GlobalOption { short, spelling: format!("-{short}"), value })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Options with their values, then `|` and the rest; or the message of an error.
    #[track_caller]
    fn check(line: &str, expect: &str) {
        let words = line.split(' ').filter(|word| !word.is_empty()).map(OsString::from).collect();
        let mut scanner = Scanner::new(words);
        let mut shown = Vec::new();
        loop {
            match scanner.next() {
                Ok(Some(option)) => shown.push(match option.value {
                    Some(value) => format!("{}={}", option.short, value.to_string_lossy()),
                    None => option.short.to_string(),
                }),
                Ok(None) => break,
                Err(error) => {
                    shown.push(error.message());
                    break;
                }
            }
        }
        shown.push("|".to_owned());
        shown.extend(scanner.into_rest().iter().map(|word| word.to_string_lossy().into_owned()));
        assert_eq!(shown.join(" "), expect, "{line}");
    }

    #[test]
    fn syntax() {
        check("", "|");
        check("-q uri -r", "q | uri -r");
        check("-qtr -- -x", "q t r | -x");
        check("-cURI -c=URI -c URI", "c=URI c==URI c=URI |");
        check("-qcURI x", "q c=URI | x");
        check("--connect URI --connect=", "c=URI c= |");
        check("--conn URI --qu --keepalive-c=3", "c=URI q K=3 |");
        check("-", "| -");
        check("--version=long -v --version long", "v=long v v | long");
        check("-vlog", "v l=og |");
    }

    #[test]
    fn mistakes() {
        check("-c", "option '-c'/'--connect' requires an argument |");
        check("--log", "option '-l'/'--log' requires an argument |");
        check("-qZ uri", "q unsupported option '-Z'. See --help. | uri");
        check("--frob=3", "unsupported option '--frob=3'. See --help. |");
        check("--keepalive=3", "unsupported option '--keepalive=3'. See --help. |");
        check("--quiet=1", "unsupported option '-q'. See --help. |");
    }
}
