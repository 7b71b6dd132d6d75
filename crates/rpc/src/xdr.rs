//! The XDR of libvirt's protocols, as a serde format.
//!
//! Everything is big endian and a multiple of four bytes. A Rust struct or tuple is its fields one
//! after another, a `Vec` has a count, text and byte strings have a length and padding, an `Option`
//! a presence word, an enum its variant's index. `i8` and `u8` take four bytes each, as libvirt's
//! `char` does.
//!
//! Reading is as generous as libvirt's: any presence word but zero means present, padding may hold
//! anything, and what follows the value is left to the caller. It never allocates by a count that the
//! bytes at hand cannot fill.
//!
//! RFC 4506; libvirt 11.3.0: `xdr_` functions of src/remote/remote_protocol.x

use std::fmt;
use std::marker::PhantomData;

use serde::de::{self, DeserializeSeed, SeqAccess, Visitor};
use serde::{Deserialize, Serialize};

pub use self::read::{Indexed, Reader};
pub use self::write::Writer;

mod read;
mod write;

/// The longest text or byte string, in bytes (`REMOTE_STRING_MAX`).
pub const STRING_MAX: usize = 4 * 1024 * 1024;

/// Why a value cannot be read or written.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum XdrError {
    /// The bytes end inside the value.
    #[error("the data ends too early")]
    Short,
    /// A text or list is longer than it may be.
    #[error("{len} elements are more than the {max} allowed")]
    TooLong {
        /// Its length.
        len: usize,
        /// The longest allowed.
        max: usize,
    },
    /// The type cannot be represented in XDR.
    #[error("{what} has no form in XDR")]
    Unsupported {
        /// The type.
        what: &'static str,
    },
    /// A value violates a rule of its type.
    #[error("{0}")]
    Custom(String),
}

impl de::Error for XdrError {
    fn custom<T: fmt::Display>(text: T) -> Self {
        Self::Custom(text.to_string())
    }
}

impl serde::ser::Error for XdrError {
    fn custom<T: fmt::Display>(text: T) -> Self {
        Self::Custom(text.to_string())
    }
}

/// Reads a value from the beginning of `bytes`; the rest is ignored.
///
/// # Errors
/// [`XdrError`] if the bytes are not such a value.
pub fn from_bytes<'de, T: Deserialize<'de>>(bytes: &'de [u8]) -> Result<T, XdrError> {
    T::deserialize(&mut Reader::new(bytes))
}

/// Like [`from_bytes`], but fails if bytes are left.
///
/// # Errors
/// [`XdrError`] if the bytes are not exactly such a value.
pub fn from_bytes_exact<'de, T: Deserialize<'de>>(bytes: &'de [u8]) -> Result<T, XdrError> {
    let mut reader = Reader::new(bytes);
    let value = T::deserialize(&mut reader)?;
    match reader.rest().len() {
        0 => Ok(value),
        left => Err(XdrError::Custom(format!("{left} bytes are left"))),
    }
}

/// Appends a value.
///
/// # Errors
/// [`XdrError`] if it cannot be represented in XDR or is too long; `out` may then have a part of it.
pub fn append<T: Serialize + ?Sized>(out: &mut Vec<u8>, value: &T) -> Result<(), XdrError> {
    value.serialize(&mut Writer::new(out))
}

/// A string on the wire: bytes, usually UTF-8, without a zero byte.
///
/// libvirt's strings are C strings: they end before the first zero byte.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Text(Vec<u8>);

impl Text {
    /// The bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// The text if it is UTF-8.
    #[must_use]
    pub fn as_str(&self) -> Option<&str> {
        std::str::from_utf8(&self.0).ok()
    }

    /// The text, with invalid UTF-8 replaced.
    #[must_use]
    pub fn to_text(&self) -> String {
        String::from_utf8_lossy(&self.0).into_owned()
    }
}

impl From<Vec<u8>> for Text {
    fn from(mut bytes: Vec<u8>) -> Self {
        if let Some(end) = bytes.iter().position(|byte| *byte == 0) {
            bytes.truncate(end);
        }
        Self(bytes)
    }
}

impl From<String> for Text {
    fn from(text: String) -> Self {
        Self::from(text.into_bytes())
    }
}

impl From<&str> for Text {
    fn from(text: &str) -> Self {
        Self::from(text.as_bytes().to_vec())
    }
}

impl fmt::Debug for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&String::from_utf8_lossy(&self.0), f)
    }
}

impl fmt::Display for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&String::from_utf8_lossy(&self.0))
    }
}

impl Serialize for Text {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(&self.0)
    }
}

impl<'de> Deserialize<'de> for Text {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Bytes;
        impl Visitor<'_> for Bytes {
            type Value = Text;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a text")
            }

            fn visit_bytes<E: de::Error>(self, bytes: &[u8]) -> Result<Text, E> {
                let end = bytes.iter().position(|byte| *byte == 0).unwrap_or(bytes.len());
                Ok(Text(bytes.get(..end).unwrap_or_default().to_vec()))
            }
        }
        deserializer.deserialize_bytes(Bytes)
    }
}

/// A list of at most `MAX` elements; a longer one is refused before anything is allocated for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct List<T, const MAX: usize>(pub Vec<T>);

impl<T, const MAX: usize> Default for List<T, MAX> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<T, const MAX: usize> From<Vec<T>> for List<T, MAX> {
    fn from(elements: Vec<T>) -> Self {
        Self(elements)
    }
}

impl<T, const MAX: usize> FromIterator<T> for List<T, MAX> {
    fn from_iter<I: IntoIterator<Item = T>>(elements: I) -> Self {
        Self(elements.into_iter().collect())
    }
}

impl<T: Serialize, const MAX: usize> Serialize for List<T, MAX> {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if self.0.len() > MAX {
            let error = XdrError::TooLong { len: self.0.len(), max: MAX };
            return Err(serde::ser::Error::custom(error));
        }
        self.0.serialize(serializer)
    }
}

impl<'de, T: Deserialize<'de>, const MAX: usize> Deserialize<'de> for List<T, MAX> {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Elements<T, const MAX: usize>(PhantomData<T>);
        impl<'de, T: Deserialize<'de>, const MAX: usize> Visitor<'de> for Elements<T, MAX> {
            type Value = List<T, MAX>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "a list of at most {MAX} elements")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
                let len = seq.size_hint().unwrap_or_default();
                if len > MAX {
                    return Err(de::Error::custom(XdrError::TooLong { len, max: MAX }));
                }
                // not reserved by the count: an element in memory may be larger than on the wire
                let mut elements = Vec::new();
                while let Some(element) = seq.next_element()? {
                    elements.push(element);
                }
                Ok(List(elements))
            }
        }
        deserializer.deserialize_seq(Elements(PhantomData))
    }
}

/// Sixteen bytes without a length: a UUID.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Uuid16(u32, u32, u32, u32);

impl From<[u8; 16]> for Uuid16 {
    fn from(bytes: [u8; 16]) -> Self {
        let number = u128::from_be_bytes(bytes);
        #[expect(clippy::cast_possible_truncation, reason = "each word is cut out of the number")]
        let word = |shift: u32| (number >> shift) as u32;
        Self(word(96), word(64), word(32), word(0))
    }
}

impl From<Uuid16> for [u8; 16] {
    fn from(Uuid16(a, b, c, d): Uuid16) -> Self {
        let number =
            [a, b, c, d].into_iter().fold(0_u128, |sum, word| sum << 32 | u128::from(word));
        number.to_be_bytes()
    }
}

/// Reads one element with a seed.
pub(crate) fn element<'de, T: DeserializeSeed<'de>>(
    seed: T,
    reader: &mut Reader<'de>,
) -> Result<T::Value, XdrError> {
    seed.deserialize(reader)
}

#[cfg(test)]
mod tests;
