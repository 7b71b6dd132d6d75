//! A driver's files as values, so that several change together.
//!
//! One file is replaced atomically, several are not. Files that change together are written to the
//! journal first, with their new content; a driver that finds the journal after a crash writes them
//! again ([`crate::operation`]).

use std::path::PathBuf;

use oxivirt_sys::file::{self, Durability, FileError};
use serde::{Deserialize, Serialize};

/// A file and the content it shall have.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Document {
    /// Where.
    pub path: PathBuf,
    /// Permissions.
    pub mode: u32,
    /// Its content; `None` if it shall not exist.
    pub content: Option<String>,
    /// Whether it describes what does not survive a power failure, so that it need not either.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub is_volatile: bool,
}

impl Document {
    /// Writes the file atomically and syncs it unless it is volatile, or removes it.
    ///
    /// # Errors
    /// [`FileError`]; the file is then unchanged.
    pub fn put(&self) -> Result<(), FileError> {
        let Some(content) = &self.content else {
            file::remove(&self.path)?;
            return Ok(());
        };
        if let Some(dir) = self.path.parent() {
            file::create_dir(dir)?;
        }
        let durability = match self.is_volatile {
            true => Durability::Regenerated,
            false => Durability::Synced,
        };
        file::replace(&self.path, content.as_bytes(), self.mode, durability)
    }
}

/// A file before and after a change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Replacement {
    /// The file that is there.
    pub before: Document,
    /// The file that replaces it.
    pub after: Document,
}

impl Replacement {
    /// The change that reverts this one.
    #[must_use]
    pub fn reversed(self) -> Self {
        Self { before: self.after, after: self.before }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_replacement_and_its_reverse() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("new/file");
        let document = |content: Option<&str>| Document {
            path: path.clone(),
            mode: 0o600,
            content: content.map(str::to_owned),
            is_volatile: false,
        };
        let change = Replacement { before: document(None), after: document(Some("a")) };
        change.after.put().unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "a");
        change.reversed().after.put().unwrap();
        assert!(!path.exists());
    }
}
