//! Undo lists on disk.
//!
//! Before an operation changes the kernel, what undoes it is in a file; when the operation is
//! complete, the file goes. A file that is found when a driver starts belongs to an operation that
//! was cut off.

use std::path::Path;

use oxivirt_sys::file::{self, Durability, FileError};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::document::Document;
use crate::layout::Layout;
use crate::plan::{Plan, Undo};

/// No undo list is longer.
const LIMIT: u64 = 16 << 20;

/// An operation that has begun and not ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Entry {
    /// Format of this file.
    pub version: u32,
    /// What was being done.
    pub operation: Operation,
    /// The network's name.
    pub name: String,
    /// The network.
    pub uuid: Uuid,
    /// What brings the host back to where the network is not running. Each step succeeds if there is
    /// nothing to do, so the list can be carried out from the start any number of times.
    pub undo: Plan<Undo>,
    /// Files that change together, as they shall be.
    #[serde(default)]
    pub documents: Vec<Document>,
}

/// Operations that change the kernel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Operation {
    /// Complete once the status file exists; before that, it is undone.
    Start,
    /// Completed, never undone.
    Stop,
    /// Completed, never undone.
    Undefine,
    /// Completed, never undone: the documents are written, then the status file tells what is wanted;
    /// what is there may be of before or after.
    Update,
}

/// The version that this code writes and understands.
pub const VERSION: u32 = 1;

/// Why the journal cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum JournalError {
    /// The file cannot be written, read or removed.
    #[error("cannot use the journal")]
    File(#[from] FileError),
    /// The entry cannot be serialised or is damaged.
    #[error("the journal '{path}' is damaged")]
    Damaged {
        /// The file.
        path: std::path::PathBuf,
        /// What is wrong with it.
        #[source]
        source: serde_json::Error,
    },
    /// Written by another version.
    #[error("the journal '{path}' has format {version}, this program knows {VERSION}")]
    Version {
        /// The file.
        path: std::path::PathBuf,
        /// Its version.
        version: u32,
    },
}

/// Writes an entry, before anything of the operation is done.
///
/// It has to outlive this process, not the kernel: what it undoes goes with the kernel. So it is not
/// synced to the disk, and one that a power failure damaged is of no use ([`set_aside`]).
///
/// # Errors
/// [`JournalError`]; then nothing of the operation may be done.
pub fn write(layout: &Layout, entry: &Entry) -> Result<(), JournalError> {
    let path = layout.journal_file(entry.uuid);
    let content = serde_json::to_vec(entry)
        .map_err(|source| JournalError::Damaged { path: path.clone(), source })?;
    Ok(file::replace(&path, &content, 0o600, Durability::Regenerated)?)
}

/// Removes the entry of a network: its operation is complete.
///
/// # Errors
/// [`JournalError::File`].
pub fn remove(layout: &Layout, uuid: Uuid) -> Result<(), JournalError> {
    file::remove(&layout.journal_file(uuid))?;
    Ok(())
}

/// Takes a damaged entry out of the way, under a name that tells what it was.
///
/// # Errors
/// [`JournalError::File`].
pub fn set_aside(path: &Path) -> Result<(), JournalError> {
    let aside = path.with_extension("damaged");
    std::fs::rename(path, &aside).map_err(|source| FileError::Write { path: aside, source })?;
    Ok(())
}

/// Reads the entry of a network, if there is one.
///
/// # Errors
/// [`JournalError`] if it is there and of no use.
pub fn read(path: &Path) -> Result<Option<Entry>, JournalError> {
    let Some(content) = file::read(path, LIMIT)? else { return Ok(None) };
    let entry: Entry = serde_json::from_slice(&content)
        .map_err(|source| JournalError::Damaged { path: path.to_owned(), source })?;
    if entry.version != VERSION {
        return Err(JournalError::Version { path: path.to_owned(), version: entry.version });
    }
    Ok(Some(entry))
}

/// All entries of a driver, those that cannot be read as errors.
pub fn all(layout: &Layout) -> Vec<Result<Entry, JournalError>> {
    let Ok(files) = std::fs::read_dir(layout.journal_dir()) else { return Vec::new() };
    let mut paths: Vec<_> = files.filter_map(|file| Some(file.ok()?.path())).collect();
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "json"));
    paths.sort();
    paths.iter().filter_map(|path| read(path).transpose()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry() -> Entry {
        let mut undo = Plan::default();
        undo.then([Undo::RemoveFile { path: "/a".into() }]);
        undo.then_at_once([
            vec![Undo::DeleteBridge {
                name: "virbr0".into(),
                address: Some([0x52, 0x54, 0, 1, 2, 3]),
            }],
            vec![Undo::RemoveRules { words: vec!["add".into(), ";".into()] }],
        ]);
        Entry {
            version: VERSION,
            operation: Operation::Start,
            name: "default".into(),
            uuid: Uuid::from_u128(1),
            undo,
            documents: vec![Document { path: "/b".into(), mode: 0o600, content: None }],
        }
    }

    #[test]
    fn entries_read_back_and_go() {
        let dir = tempfile::tempdir().unwrap();
        let layout = Layout::below(dir.path());
        file::create_dir(&layout.journal_dir()).unwrap();
        write(&layout, &entry()).unwrap();
        let found: Vec<_> = all(&layout).into_iter().map(Result::unwrap).collect();
        assert_eq!(found, [entry()]);
        remove(&layout, entry().uuid).unwrap();
        assert!(all(&layout).is_empty());
        remove(&layout, entry().uuid).unwrap();
    }

    #[test]
    fn damage_and_other_versions_are_told() {
        let dir = tempfile::tempdir().unwrap();
        let layout = Layout::below(dir.path());
        file::create_dir(&layout.journal_dir()).unwrap();
        let path = layout.journal_file(Uuid::from_u128(2));
        file::replace(&path, b"{", 0o600, Durability::Regenerated).unwrap();
        assert!(matches!(all(&layout).as_slice(), [Err(JournalError::Damaged { .. })]));
        let newer = serde_json::to_vec(&Entry { version: 2, ..entry() }).unwrap();
        file::replace(&path, &newer, 0o600, Durability::Regenerated).unwrap();
        assert!(matches!(all(&layout).as_slice(), [Err(JournalError::Version { version: 2, .. })]));
    }
}
