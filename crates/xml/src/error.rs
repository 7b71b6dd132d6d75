//! What makes a text not a document, in libxml2's words and at libxml2's position.

use std::fmt;

/// The longest message handed out, in bytes: a line of a hostile document may be megabytes.
const MESSAGE_MAX: usize = 16 * 1024;

/// A text is not a well-formed document, or exceeds a limit.
///
/// Displayed as libvirt reports it: position, reason, the offending line and a ruler ending in `^`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct XmlError(Box<Detail>);

#[derive(Debug, Clone, PartialEq, Eq)]
struct Detail {
    kind: XmlErrorKind,
    offset: usize,
    position: Position,
    excerpt: String,
    source_name: Option<String>,
}

/// A place in a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Position {
    /// Line, from 1.
    pub line: u32,
    /// Bytes between the start of that line and the place.
    pub column: usize,
}

/// The reason, without its position.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum XmlErrorKind {
    /// Nothing at all.
    #[error("Document is empty")]
    Empty,
    /// Larger than [`MAX_SIZE`](super::MAX_SIZE).
    #[error("document is larger than {limit} bytes")]
    TooLarge {
        /// The limit in bytes.
        limit: usize,
    },
    /// Elements nested deeper than [`MAX_DEPTH`](super::MAX_DEPTH).
    #[error("Excessive depth in document: {depth} use XML_PARSE_HUGE option")]
    TooDeep {
        /// The depth reached.
        depth: usize,
    },
    /// Entities expand to far more than the document holds.
    #[error("Maximum entity amplification factor exceeded")]
    Amplification,
    /// An entity refers to itself.
    #[error("Detected an entity reference loop")]
    EntityLoop,
    /// The declaration names an encoding that does not exist.
    #[error("Unsupported encoding {name}")]
    Encoding {
        /// The encoding declared.
        name: String,
    },
    /// Bytes that are not UTF-8.
    #[error("Input is not proper UTF-8, indicate encoding !\nBytes:{}", hexadecimal(.bytes))]
    NotUtf8 {
        /// The first byte that is not part of a character, and up to three that follow it.
        bytes: Vec<u8>,
    },
    /// A version other than 1.x.
    #[error("Unsupported version '{version}'")]
    Version {
        /// The version asked for.
        version: String,
    },
    /// A code point that is no character at all, wherever it stands.
    #[error("Char 0x{value:X} out of allowed range")]
    Noncharacter {
        /// The code point.
        value: u32,
    },
    /// An entity that no declaration defines.
    #[error("Entity '{name}' not defined")]
    UndefinedEntity {
        /// Its name.
        name: String,
    },
    /// An attribute refers to an entity outside of the document.
    #[error("Attribute references external entity '{name}'")]
    ExternalEntity {
        /// Its name.
        name: String,
    },
    /// An attribute refers to an entity that holds markup.
    #[error("'<' in entity '{name}' is not allowed in attributes values")]
    MarkupInAttribute {
        /// Its name.
        name: String,
    },
    /// A character reference to something that is no character.
    #[error("xmlParseCharRef: invalid xmlChar value {value}")]
    CharReference {
        /// The code point.
        value: u32,
    },
    /// A character that no document may hold, between tags.
    #[error("PCDATA invalid Char value {value}")]
    CharacterData {
        /// The code point.
        value: u32,
    },
    /// A character that no document may hold, in a comment.
    #[error("xmlParseComment: invalid xmlChar value {value}")]
    CommentCharacter {
        /// The code point.
        value: u32,
    },
    /// The end tag of another element.
    #[error("Opening and ending tag mismatch: {open} line {line} and {close}")]
    TagMismatch {
        /// The open element.
        open: String,
        /// The line it was opened in.
        line: u32,
        /// The element closed.
        close: String,
    },
    /// The text ended within an element.
    #[error("Premature end of data in tag {open} line {line}")]
    PrematureEnd {
        /// The open element.
        open: String,
        /// The line it was opened in.
        line: u32,
    },
    /// A start tag without `>`.
    #[error("Couldn't find end of Start Tag {name} line {line}")]
    StartTagEnd {
        /// The element.
        name: String,
        /// The line it was opened in.
        line: u32,
    },
    /// An attribute given twice.
    #[error("Attribute {name} redefined")]
    Redefined {
        /// The attribute.
        name: String,
    },
    /// An attribute without `=`.
    #[error("Specification mandates value for attribute {name}")]
    AttributeValue {
        /// The attribute.
        name: String,
    },
    /// `--` in a comment.
    #[error("Double hyphen within comment{}", opening(": ", .text))]
    DoubleHyphen {
        /// What the comment says before it.
        text: String,
    },
    /// A comment without end.
    #[error("Comment not terminated{}", opening(" \n", .text))]
    Comment {
        /// What it says, unless it is plain ASCII.
        text: String,
    },
    /// A CDATA section without end.
    #[error("CData section not finished\n{text}")]
    CData {
        /// What it says.
        text: String,
    },
    /// A processing instruction without a blank after its target.
    #[error("ParsePI: PI {target} space expected")]
    InstructionBlank {
        /// The target.
        target: String,
    },
    /// A processing instruction without end.
    #[error("ParsePI: PI {target} never end ...")]
    Instruction {
        /// The target.
        target: String,
    },
    /// An entity declaration without `>`.
    #[error("xmlParseEntityDecl: entity {name} not terminated")]
    EntityDeclaration {
        /// The entity.
        name: String,
    },
    /// Anything else of the grammar.
    #[error("{0}")]
    Syntax(&'static str),
}

impl XmlError {
    pub(super) fn new(kind: XmlErrorKind, text: &str, offset: usize) -> Self {
        let bytes = text.as_bytes();
        let found_at = offset.min(bytes.len());
        let mut offset = found_at;
        let line = 1 + count_lines(bytes.get(..offset).unwrap_or_default());
        // At the end of the text its last line is shown, not the empty ones after it.
        let is_end = |at: usize| bytes.get(at).is_none_or(|&byte| byte == b'\n' || byte == b'\r');
        while offset > 0 && is_end(offset) && is_end(offset - 1) {
            offset -= 1;
        }
        let start = bytes
            .get(..offset)
            .and_then(|head| head.iter().rposition(|&byte| byte == b'\n' || byte == b'\r'))
            .map_or(0, |at| at + 1);
        let rest = text.get(start..).unwrap_or_default();
        let excerpt = rest.split(['\n', '\r']).next().unwrap_or_default();
        let column = offset.saturating_sub(start).min(excerpt.len());
        Self(Box::new(Detail {
            kind,
            offset: found_at,
            position: Position { line, column },
            excerpt: cut(excerpt, MESSAGE_MAX).to_owned(),
            source_name: None,
        }))
    }

    /// This error, unless a noncharacter comes before it: those are found while looking ahead.
    pub(super) fn or_noncharacter(self, text: &str) -> Self {
        match text.find(['\u{fffe}', '\u{ffff}']) {
            Some(at) if at <= self.0.offset => {
                let value =
                    text.get(at..).and_then(|rest| rest.chars().next()).map_or(0, u32::from);
                Self::new(XmlErrorKind::Noncharacter { value }, text, at)
            }
            _ => self,
        }
    }

    /// The reason.
    #[must_use]
    pub const fn kind(&self) -> &XmlErrorKind {
        &self.0.kind
    }

    /// Where reading stopped.
    #[must_use]
    pub const fn position(&self) -> Position {
        self.0.position
    }

    /// The same error, reported as `name:LINE:` instead of `at line LINE:`.
    #[must_use]
    pub fn in_file(mut self, name: impl Into<String>) -> Self {
        self.0.source_name = Some(name.into());
        self
    }
}

impl fmt::Display for XmlError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Detail { kind, position, excerpt, source_name, .. } = &*self.0;
        let &Position { line, column } = position;
        let reason = match source_name {
            Some(name) => format!("{name}:{line}: {kind}\n{excerpt}\n"),
            None => format!("at line {line}: {kind}\n{excerpt}\n"),
        };
        f.write_str(cut(&reason, MESSAGE_MAX))?;
        let room = MESSAGE_MAX.saturating_sub(reason.len());
        if column < room { write!(f, "{:->column$}^", "") } else { write!(f, "{:->room$}", "") }
    }
}

impl std::error::Error for XmlError {}

/// Bytes as a message shows them, each after a blank.
fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!(" 0x{byte:02X}")).collect()
}

/// How much of an unfinished construct a message shows, in bytes.
const EXCERPT_MAX: usize = 50;

/// The opening of a comment as a message shows it, or nothing.
fn opening(separator: &str, text: &str) -> String {
    if text.is_empty() { String::new() } else { format!("{separator}<!--{text}") }
}

/// The part of an unfinished construct that a message shows.
pub(super) fn excerpt(text: &str) -> String {
    cut(text, EXCERPT_MAX).to_owned()
}

/// The line number of `offset`, from 1.
pub(super) fn line_of(text: &str, offset: usize) -> u32 {
    1 + count_lines(text.as_bytes().get(..offset).unwrap_or_default())
}

fn count_lines(bytes: &[u8]) -> u32 {
    u32::try_from(bytes.iter().filter(|&&byte| byte == b'\n').count()).unwrap_or(u32::MAX)
}

/// The longest head of `text` of at most `limit` bytes that ends between characters.
fn cut(text: &str, limit: usize) -> &str {
    let mut end = limit.min(text.len());
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text.get(..end).unwrap_or(text)
}
