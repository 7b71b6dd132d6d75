//! Names of network links.

use std::fmt;

/// The name of a network link: what the kernel would accept, checked once.
///
/// One to fifteen bytes, none of them `/`, `:` or white space, and neither `.` nor `..`
/// (kernel: `dev_valid_name`, `IFNAMSIZ` 16 with the terminating zero).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LinkName(String);

/// Why a text is no [`LinkName`].
#[derive(Debug, Clone, thiserror::Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum LinkNameError {
    /// Longer than fifteen bytes, or empty.
    #[error("'{0}' is not a link name: {len} bytes, 1 to 15 are allowed", len = .0.len())]
    Length(String),
    /// A byte the kernel refuses, or a name with a meaning of its own in a path.
    #[error("'{0}' is not a link name: it holds a character that link names cannot have")]
    Character(String),
}

impl LinkName {
    /// Number of bytes a name occupies in kernel structures, terminating zeros included.
    pub const SIZE: usize = 16;

    /// Checks `name`.
    ///
    /// # Errors
    /// [`LinkNameError`] if the kernel would refuse it.
    pub fn new(name: &str) -> Result<Self, LinkNameError> {
        if name.is_empty() || name.len() >= Self::SIZE {
            return Err(LinkNameError::Length(name.to_owned()));
        }
        let bad = |b: u8| matches!(b, b'/' | b':' | b'\0' | 0x0b | 0xa0) || b.is_ascii_whitespace();
        if name == "." || name == ".." || name.bytes().any(bad) {
            return Err(LinkNameError::Character(name.to_owned()));
        }
        Ok(Self(name.to_owned()))
    }

    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The name as the kernel compares it: sixteen bytes, padded with zeros.
    #[must_use]
    pub fn padded(&self) -> [u8; Self::SIZE] {
        let mut bytes = [0; Self::SIZE];
        for (to, from) in bytes.iter_mut().zip(self.0.bytes()) {
            *to = from;
        }
        bytes
    }
}

impl fmt::Display for LinkName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl AsRef<str> for LinkName {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

impl std::str::FromStr for LinkName {
    type Err = LinkNameError;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        Self::new(name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(name: &str, accepted: bool) {
        assert_eq!(LinkName::new(name).is_ok(), accepted, "{name:?}");
    }

    #[test]
    fn accepts_what_the_kernel_accepts() {
        check("virbr0", true);
        check("a", true);
        check("fifteen-letters", true);
        check("sixteen-letters!", false);
        check("", false);
        check(".", false);
        check("..", false);
        check("a/b", false);
        check("a:b", false);
        check("a b", false);
        check("a\tb", false);
    }

    #[test]
    fn pads_to_the_kernel_size() {
        let name = LinkName::new("br0").unwrap();
        assert_eq!(&name.padded()[..4], b"br0\0");
    }
}
