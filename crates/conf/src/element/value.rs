//! Values of attributes and of elements that hold nothing but text.

use std::borrow::Cow;
use std::fmt;

use oxivirt_types::mac::MacAddr;

use crate::keyword::Keyword;
use crate::scalar::{Base, unsigned};
use crate::uuid::{Uuid, parse_uuid};

/// What a value has to be, for the message that refuses it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Expected {
    /// One of a list of words, or a text of a certain form.
    Word,
    /// A number that is not negative.
    Number,
    /// A number.
    Signed,
}

/// A type that documents write as one text.
pub(crate) trait Value: Sized {
    /// For the message that refuses another text.
    const EXPECTED: Expected = Expected::Word;

    /// Reads the text.
    fn from_text(text: &str) -> Option<Self>;

    /// Writes it.
    fn to_text(&self) -> Cow<'_, str>;
}

impl Value for String {
    fn from_text(text: &str) -> Option<Self> {
        Some(text.to_owned())
    }

    fn to_text(&self) -> Cow<'_, str> {
        Cow::Borrowed(self)
    }
}

impl<K: Keyword + fmt::Display> Value for K {
    fn from_text(text: &str) -> Option<Self> {
        Self::from_word(text)
    }

    fn to_text(&self) -> Cow<'_, str> {
        Cow::Owned(self.to_string())
    }
}

macro_rules! numbers {
    ($($number:ty),+) => {
        $(impl Value for $number {
            const EXPECTED: Expected = Expected::Number;

            fn from_text(text: &str) -> Option<Self> {
                unsigned(text, Base::Ten).and_then(|number| Self::try_from(number).ok())
            }

            fn to_text(&self) -> Cow<'_, str> {
                Cow::Owned(self.to_string())
            }
        })+
    };
}

numbers!(u8, u16, u32, u64);

impl Value for i64 {
    const EXPECTED: Expected = Expected::Signed;

    fn from_text(text: &str) -> Option<Self> {
        text.trim_start().parse().ok()
    }

    fn to_text(&self) -> Cow<'_, str> {
        Cow::Owned(self.to_string())
    }
}

impl Value for i32 {
    const EXPECTED: Expected = Expected::Signed;

    fn from_text(text: &str) -> Option<Self> {
        text.trim_start().parse().ok()
    }

    fn to_text(&self) -> Cow<'_, str> {
        Cow::Owned(self.to_string())
    }
}

impl Value for Uuid {
    fn from_text(text: &str) -> Option<Self> {
        parse_uuid(text)
    }

    fn to_text(&self) -> Cow<'_, str> {
        Cow::Owned(self.to_string())
    }
}

impl Value for MacAddr {
    fn from_text(text: &str) -> Option<Self> {
        text.parse().ok()
    }

    fn to_text(&self) -> Cow<'_, str> {
        Cow::Owned(self.to_string())
    }
}

/// A number written in hexadecimal with a prefix and at least `WIDTH` digits; read in any base its
/// prefix names.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Hex<const WIDTH: usize>(pub u64);

impl<const WIDTH: usize> fmt::Display for Hex<WIDTH> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "0x{:0width$x}", self.0, width = WIDTH)
    }
}

impl<const WIDTH: usize> Value for Hex<WIDTH> {
    const EXPECTED: Expected = Expected::Number;

    fn from_text(text: &str) -> Option<Self> {
        unsigned(text, Base::Auto).map(Self)
    }

    fn to_text(&self) -> Cow<'_, str> {
        Cow::Owned(self.to_string())
    }
}
