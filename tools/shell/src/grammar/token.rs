//! The tokenizer: bytes of a command string to words and separators.
//!
//! Words are bytes, since names of files and networks need not be UTF-8. The lookahead is one byte, so a mistake late
//! in a string is found after the words before it.
//!
//! virsh: `vshCommandStringGetArg`, tools/vsh.c

use crate::i18n::tr;

/// A token of a command string.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Token {
    /// A word with its quotes removed.
    Word(Vec<u8>),
    /// End of one command.
    Separator,
}

/// A mistake in the quoting.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum TokenError {
    /// A double quote is not closed.
    MissingQuote,
    /// The string ends after a backslash.
    DanglingBackslash,
}

impl TokenError {
    /// The message.
    pub(crate) fn message(self) -> String {
        match self {
            Self::MissingQuote => tr!("missing \""),
            Self::DanglingBackslash => tr!("dangling \\"),
        }
    }
}

/// The quotes around the current position.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Quote {
    /// Outside quotes.
    None,
    /// Inside `'`.
    Single,
    /// Inside `"`.
    Double,
}

/// Splits a command string into tokens.
#[derive(Debug, Clone)]
pub(crate) struct Tokenizer<'a> {
    rest: &'a [u8],
    /// Whether the end of the text closes a quote.
    lenient: bool,
}

impl<'a> Tokenizer<'a> {
    pub(crate) fn new(text: &'a [u8]) -> Self {
        Self { rest: text, lenient: false }
    }

    /// Accepts an open quote and a final backslash, for completion.
    pub(crate) fn lenient(self) -> Self {
        Self { lenient: true, ..self }
    }

    fn take(&mut self) -> Option<u8> {
        let (first, rest) = self.rest.split_first()?;
        self.rest = rest;
        Some(*first)
    }

    /// Advances to the next word.
    fn skip_blanks(&mut self) {
        while let [b' ' | b'\t', rest @ ..] | [b'\\', b'\n', rest @ ..] = self.rest {
            self.rest = rest;
        }
    }

    fn skip_comment(&mut self) {
        while !matches!(self.take(), None | Some(b'\n')) {}
    }

    fn word(&mut self) -> Result<Vec<u8>, TokenError> {
        let mut word = Vec::new();
        let mut quote = Quote::None;
        loop {
            match (self.rest.first().copied(), quote) {
                (None, Quote::Double) if !self.lenient => return Err(TokenError::MissingQuote),
                // an open single quote is closed by the end of the string
                (None, _) | (Some(b' ' | b'\t' | b'\n' | b';'), Quote::None) => return Ok(word),
                (Some(b'\''), Quote::None) => quote = Quote::Single,
                (Some(b'\''), Quote::Single) | (Some(b'"'), Quote::Double) => quote = Quote::None,
                (Some(b'"'), Quote::None) => quote = Quote::Double,
                (Some(b'\\'), Quote::None | Quote::Double) => {
                    match self.rest.get(1).copied() {
                        None if self.lenient => {}
                        None => return Err(TokenError::DanglingBackslash),
                        Some(b'\n') => {}
                        Some(byte) => word.push(byte),
                    }
                    self.take();
                }
                (Some(byte), _) => word.push(byte),
            }
            self.take();
        }
    }
}

impl Iterator for Tokenizer<'_> {
    type Item = Result<Token, TokenError>;

    fn next(&mut self) -> Option<Self::Item> {
        self.skip_blanks();
        match self.rest.first()? {
            b';' | b'\n' => {
                self.take();
                Some(Ok(Token::Separator))
            }
            b'#' => {
                self.skip_comment();
                Some(Ok(Token::Separator))
            }
            _ => {
                let word = self.word();
                if word.is_err() {
                    self.rest = &[];
                }
                Some(word.map(Token::Word))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Words in brackets, `;` for a separator, the message of an error.
    #[track_caller]
    fn check(text: &str, expect: &str) {
        let shown: Vec<String> = Tokenizer::new(text.as_bytes())
            .map(|token| match token {
                Ok(Token::Word(word)) => format!("[{}]", String::from_utf8(word).unwrap()),
                Ok(Token::Separator) => ";".to_owned(),
                Err(error) => error.message(),
            })
            .take(12)
            .collect();
        assert_eq!(shown.join(" "), expect, "{text:?}");
    }

    #[test]
    fn words_and_separators() {
        check("", "");
        check("  \t ", "");
        check("a b\tc", "[a] [b] [c]");
        check("a;b\nc;;", "[a] ; [b] ; [c] ; ;");
        check("a\rb", "[a\rb]");
        check("a\\\n b \\\n\\\nc", "[a] [b] [c]");
        check("a\\\nb", "[ab]");
    }

    #[test]
    fn comments() {
        check("# x ; y\na", "; [a]");
        check("a # b", "[a] ;");
        check("a#b '#c' \\#d", "[a#b] [#c] [#d]");
        check("a;#", "[a] ; ;");
    }

    #[test]
    fn quotes_join() {
        check("'a b'c\"d e\"f\\ g", "[a bcd ef g]");
        check("''", "[]");
        check("\"\" x", "[] [x]");
        check("'a\\b\"'", "[a\\b\"]");
        check("\"a'b\\\"c\\td\"", "[a'b\"ctd]");
        check("'a;b\nc'", "[a;b\nc]");
        check("'c\\\nd' \"e\\\nf\"", "[c\\\nd] [ef]");
    }

    #[test]
    fn unfinished() {
        check("a \"b", "[a] missing \"");
        check("a 'b", "[a] [b]");
        check("a\\", "dangling \\");
        check("\"a\\", "dangling \\");
        check("'a\\", "[a\\]");
    }
}
