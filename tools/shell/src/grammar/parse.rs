//! The parser: words to commands.
//!
//! All commands of a string are parsed before the first runs, so a mistake anywhere runs nothing.
//!
//! virsh: `vshCommandParse`, tools/vsh.c

use super::token::{Token, TokenError, Tokenizer};
use crate::{
    args::{Args, Value},
    command::{CommandDef, Dialect, Kind, OptionDef, Place, Presence},
    i18n::tr,
};

/// Finds commands by name.
pub(crate) trait Commands {
    /// The command called `name`.
    fn command(&self, name: &[u8]) -> Option<&'static CommandDef>;

    /// The dialect, which decides the options.
    fn dialect(&self) -> Dialect;
}

/// A mistake in a command string.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum ParseError {
    /// The string cannot be split into words.
    Token(TokenError),
    UnknownCommand {
        word: Vec<u8>,
    },
    UnknownOption {
        command: &'static str,
        option: Vec<u8>,
    },
    SeenOption {
        option: &'static str,
    },
    ValueForFlag {
        option: Vec<u8>,
    },
    UnexpectedData {
        word: Vec<u8>,
    },
    MissingValue {
        option: &'static str,
        kind: Kind,
    },
    MissingOption {
        command: &'static str,
        option: &'static str,
        place: Place,
    },
}

impl ParseError {
    /// The message.
    pub(crate) fn message(&self) -> String {
        match self {
            Self::Token(error) => error.message(),
            Self::UnknownCommand { word } => tr!("unknown command: '{word}'", word = lossy(word)),
            Self::UnknownOption { command, option } => tr!(
                "command '{command}' doesn't support option --{option}",
                command = command,
                option = lossy(option)
            ),
            Self::SeenOption { option } => tr!("option --{option} already seen", option = option),
            Self::ValueForFlag { option } => {
                tr!("invalid '=' after option --{option}", option = lossy(option))
            }
            Self::UnexpectedData { word } => tr!("unexpected data '{word}'", word = lossy(word)),
            Self::MissingValue { option, kind: Kind::Number } => {
                tr!("expected syntax: --{option} <number>", option = option)
            }
            Self::MissingValue { option, .. } => {
                tr!("expected syntax: --{option} <string>", option = option)
            }
            Self::MissingOption { command, option, place: Place::Positional } => tr!(
                "command '{command}' requires <{option}> option",
                command = command,
                option = option
            ),
            Self::MissingOption { command, option, .. } => tr!(
                "command '{command}' requires --{option} option",
                command = command,
                option = option
            ),
        }
    }
}

/// Bytes of a command line as text.
fn lossy(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// A command with its options.
#[derive(Debug, Clone)]
pub(crate) struct Command {
    pub(crate) def: &'static CommandDef,
    pub(crate) args: Args,
}

/// Parses a command string.
///
/// # Errors
/// The first mistake.
pub(crate) fn parse_string(
    text: &[u8],
    commands: &impl Commands,
) -> Result<Vec<Command>, ParseError> {
    parse(Tokenizer::new(text), commands)
}

/// Parses the command at the end of an unfinished command string.
pub(crate) fn parse_unfinished(text: &[u8], commands: &impl Commands) -> Option<Partial> {
    let mut state = State::Start;
    for token in Tokenizer::new(text).lenient() {
        // completion works with the part before a mistake
        let read = match token {
            Ok(Token::Separator) => {
                state = State::Start;
                Ok(())
            }
            Ok(Token::Word(word)) => state.word(word, commands),
            Err(error) => Err(ParseError::Token(error)),
        };
        if read.is_err() {
            break;
        }
    }
    match state {
        State::Inside(partial) => Some(partial),
        State::Start | State::Comment => None,
    }
}

/// Parses one command from separate words, in which quotes and separators are data.
///
/// # Errors
/// The first mistake.
pub(crate) fn parse_words(
    words: &[Vec<u8>],
    commands: &impl Commands,
) -> Result<Vec<Command>, ParseError> {
    parse(words.iter().map(|word| Ok(Token::Word(word.clone()))), commands)
}

fn parse(
    tokens: impl Iterator<Item = Result<Token, TokenError>>,
    commands: &impl Commands,
) -> Result<Vec<Command>, ParseError> {
    let mut parsed = Vec::new();
    let mut state = State::Start;
    for token in tokens {
        match token.map_err(ParseError::Token)? {
            Token::Separator => {
                if let State::Inside(partial) = std::mem::replace(&mut state, State::Start) {
                    parsed.push(partial.finish(commands)?);
                }
            }
            Token::Word(word) => state.word(word, commands)?,
        }
    }
    if let State::Inside(partial) = state {
        parsed.push(partial.finish(commands)?);
    }
    Ok(parsed)
}

#[derive(Debug)]
enum State {
    /// Before a command.
    Start,
    /// After a word that begins with `#`, up to the next separator.
    Comment,
    Inside(Partial),
}

impl State {
    fn word(&mut self, word: Vec<u8>, commands: &impl Commands) -> Result<(), ParseError> {
        match self {
            Self::Comment => {}
            Self::Inside(partial) => partial.word(word)?,
            Self::Start if word.starts_with(b"#") => *self = Self::Comment,
            Self::Start => match commands.command(&word) {
                Some(def) => *self = Self::Inside(Partial::new(def, commands.dialect())),
                None => return Err(ParseError::UnknownCommand { word }),
            },
        }
        Ok(())
    }
}

/// A command that is being parsed.
#[derive(Debug)]
pub(crate) struct Partial {
    def: &'static CommandDef,
    args: Args,
    /// The option whose value is the next word.
    pending: Option<usize>,
    /// After a `--`.
    only_data: bool,
    help: bool,
    dialect: Dialect,
}

impl Partial {
    fn new(def: &'static CommandDef, dialect: Dialect) -> Self {
        Self { def, args: Args::new(def), pending: None, only_data: false, help: false, dialect }
    }

    /// The command.
    pub(crate) fn def(&self) -> &'static CommandDef {
        self.def
    }

    /// The options so far.
    pub(crate) fn args(&self) -> &Args {
        &self.args
    }

    /// The option of which the last word is the value, with that value; an empty one if the value is missing.
    pub(crate) fn last(&self) -> Option<(&'static OptionDef, &[u8])> {
        if let Some(index) = self.pending {
            return self.def.options.get(index).map(|option| (option, b"".as_slice()));
        }
        self.args.parsed().iter().rev().find_map(|parsed| match &parsed.value {
            Value::Text(text) => Some((self.def.options.get(parsed.index)?, text.as_slice())),
            Value::Flag => None,
        })
    }

    /// Whether the option with this index is complete; a list never is.
    pub(crate) fn is_given(&self, index: usize) -> bool {
        let is_list = self.def.options.get(index).is_some_and(|option| option.kind == Kind::List);
        !is_list && (self.args.has(index) || self.pending == Some(index))
    }

    fn option(&self, name: &[u8]) -> Option<(usize, &'static OptionDef)> {
        self.def.option(name).filter(|(_, option)| self.dialect.has(option.origin))
    }

    /// `help` ignores surplus words and unknown options.
    fn is_lenient(&self) -> bool {
        self.def.name == "help"
    }

    fn word(&mut self, word: Vec<u8>) -> Result<(), ParseError> {
        if let Some(index) = self.pending.take() {
            self.args.push(index, Value::Text(word));
            return Ok(());
        }
        if !self.only_data {
            if word == b"--" {
                self.only_data = true;
                return Ok(());
            }
            if let Some(option) = word.strip_prefix(b"--") {
                return self.named(option);
            }
        }
        self.positional(word)
    }

    fn positional(&mut self, word: Vec<u8>) -> Result<(), ParseError> {
        let open = self.def.options.iter().enumerate().find(|(index, option)| {
            option.place != Place::Named
                && self.dialect.has(option.origin)
                && (option.kind == Kind::List || !self.args.has(*index))
        });
        match open {
            Some((index, _)) => {
                self.args.push(index, Value::Text(word));
                Ok(())
            }
            None if self.is_lenient() => Ok(()),
            None => Err(ParseError::UnexpectedData { word }),
        }
    }

    fn named(&mut self, text: &[u8]) -> Result<(), ParseError> {
        let mut parts = text.splitn(2, |byte| *byte == b'=');
        let (name, mut value) = (parts.next().unwrap_or_default(), parts.next());
        if name == b"help" {
            self.help = true;
            return Ok(());
        }
        let Some((mut index, mut option)) = self.option(name) else {
            if self.is_lenient() {
                return Ok(());
            }
            let (command, option) = (self.def.name, name.to_vec());
            return Err(ParseError::UnknownOption { command, option });
        };
        if let Kind::Alias { of, value: built_in } = option.kind {
            if built_in.is_some() && value.is_some() {
                return Err(ParseError::ValueForFlag { option: name.to_vec() });
            }
            // `self-test` checks that an alias names an option of its command
            let Some(target) = self.def.option(of.as_bytes()) else { return Ok(()) };
            (index, option) = target;
            value = built_in.map(str::as_bytes).or(value);
        }
        if option.kind != Kind::List && self.args.has(index) {
            return Err(ParseError::SeenOption { option: option.name });
        }
        match (option.kind, value) {
            (Kind::Flag, Some(_)) => {
                return Err(ParseError::ValueForFlag { option: name.to_vec() });
            }
            (Kind::Flag, None) => self.args.push(index, Value::Flag),
            (_, Some(value)) => self.args.push(index, Value::Text(value.to_vec())),
            (_, None) => self.pending = Some(index),
        }
        Ok(())
    }

    /// The first required option that was not given.
    fn missing_option(&self) -> Option<&'static OptionDef> {
        let mut options = self.def.options.iter().enumerate();
        let missing = options.find(|(index, option)| {
            let is_waived = option.waived_by.iter().any(|other| self.args.has_named(other));
            option.presence == Presence::Required && !self.args.has(*index) && !is_waived
        });
        missing.map(|(_, option)| option)
    }

    fn finish(self, commands: &impl Commands) -> Result<Command, ParseError> {
        if let Some(option) = self.pending.and_then(|index| self.def.options.get(index)) {
            return Err(ParseError::MissingValue { option: option.name, kind: option.kind });
        }
        if self.help
            && let Some(def) = commands.command(b"help")
        {
            let mut args = Args::new(def);
            args.push(0, Value::Text(self.def.name.as_bytes().to_vec()));
            return Ok(Command { def, args });
        }
        if let Some(option) = self.missing_option() {
            let (command, place) = (self.def.name, option.place);
            return Err(ParseError::MissingOption { command, option: option.name, place });
        }
        Ok(Command { def: self.def, args: self.args })
    }
}

#[cfg(test)]
mod tests;
