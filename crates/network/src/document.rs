//! The driver's files as values, so that several change together.
//!
//! A file is replaced atomically, several are not. What has to change together goes to the journal
//! first, as it shall be; whoever finds the journal writes it again ([`crate::journal`]).

use std::path::PathBuf;

use oxivirt_sys::file::{self, Durability, FileError};
use serde::{Deserialize, Serialize};

/// A file of the driver as it shall be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Document {
    /// Where.
    pub path: PathBuf,
    /// Permissions.
    pub mode: u32,
    /// What is in it; `None` if it shall not be there.
    pub content: Option<String>,
}

impl Document {
    /// Brings the file to the disk, or takes it away.
    ///
    /// # Errors
    /// [`FileError`]; the file is then as it was.
    pub fn put(&self) -> Result<(), FileError> {
        let Some(content) = &self.content else {
            file::remove(&self.path)?;
            return Ok(());
        };
        if let Some(dir) = self.path.parent() {
            file::create_dir(dir)?;
        }
        file::replace(&self.path, content.as_bytes(), self.mode, Durability::Synced)
    }
}

/// A file before and after a change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Swap {
    pub(crate) before: Document,
    pub(crate) after: Document,
}

impl Swap {
    /// The way back.
    #[must_use]
    pub(crate) fn reversed(self) -> Self {
        Self { before: self.after, after: self.before }
    }
}
