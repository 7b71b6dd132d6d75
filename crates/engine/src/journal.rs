//! Undo lists on disk.
//!
//! Before an operation changes the host, its undo list is written to a file; when the operation is
//! complete, the file is removed. A file found when a driver opens belongs to an operation that was
//! interrupted ([`crate::operation::finish`]).

use std::marker::PhantomData;
use std::path::{Path, PathBuf};

use oxivirt_sys::file::{self, Durability, FileError};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::{Document, Plan, Undo};

/// Size limit of an entry, in bytes.
const LIMIT: u64 = 16 << 20;
const MODE: u32 = 0o600;

/// An operation that has begun and not ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Entry<U> {
    /// Format of this file.
    pub version: u32,
    /// What was being done.
    pub operation: Operation,
    /// The object's name.
    pub name: String,
    /// The object's UUID.
    pub uuid: Uuid,
    /// Brings the host to the state in which the object does not run. Each element succeeds if there is
    /// nothing to do, so the list can be carried out from the start any number of times.
    pub undo: Plan<U>,
    /// Files that change together, with their new content.
    #[serde(default = "Vec::new")]
    pub documents: Vec<Document>,
}

impl<U> Entry<U> {
    /// An entry of the current version, without documents.
    #[must_use]
    pub const fn new(operation: Operation, name: String, uuid: Uuid, undo: Plan<U>) -> Self {
        Self { version: VERSION, operation, name, uuid, undo, documents: Vec::new() }
    }
}

/// Operations that change the host.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Operation {
    /// Complete once the status file exists; before that, it is undone.
    Start,
    /// Completed, never undone.
    Stop,
    /// Completed, never undone.
    Undefine,
    /// Completed, never undone: the documents are written, then the object is reconciled with its
    /// status file; the host may be in the state before or after.
    Update,
}

/// The version that this code writes and reads.
pub const VERSION: u32 = 1;

/// Why the journal cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum JournalError {
    /// The file cannot be written, read or removed.
    #[error("cannot use the journal")]
    File(#[from] FileError),
    /// The entry cannot be serialised or is damaged; the source names line and column.
    #[error("the journal '{path}' is damaged")]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        #[source]
        source: serde_json::Error,
    },
    /// Written by another version.
    #[error("the journal '{path}' has format {version}, this program knows {VERSION}")]
    Version {
        /// The file.
        path: PathBuf,
        /// Its version.
        version: u32,
    },
}

/// The journal of a driver: a directory with one file per object.
#[derive(Debug, Clone)]
pub struct Journal<U> {
    dir: PathBuf,
    undo: PhantomData<fn() -> U>,
}

impl<U: Undo> Journal<U> {
    /// The journal in a directory, which must exist before something is written.
    #[must_use]
    pub const fn at(dir: PathBuf) -> Self {
        Self { dir, undo: PhantomData }
    }

    fn file(&self, object: Uuid) -> PathBuf {
        self.dir.join(format!("{object}.json"))
    }

    /// Writes an entry, before anything of the operation is done.
    ///
    /// It must outlive this process, not the kernel: what it undoes goes with the kernel. So it is not
    /// synced to the disk, and an entry that a power failure damaged is set aside
    /// ([`Journal::set_aside`]).
    ///
    /// # Errors
    /// [`JournalError`]; then nothing of the operation may be done.
    pub fn write(&self, entry: &Entry<U>) -> Result<(), JournalError> {
        let path = self.file(entry.uuid);
        let content = serde_json::to_vec(entry)
            .map_err(|source| JournalError::Damaged { path: path.clone(), source })?;
        Ok(file::replace(&path, &content, MODE, Durability::Regenerated)?)
    }

    /// Removes the entry of an object: its operation is complete.
    ///
    /// # Errors
    /// [`JournalError::File`].
    pub fn remove(&self, object: Uuid) -> Result<(), JournalError> {
        file::remove(&self.file(object))?;
        Ok(())
    }

    /// Reads the entry of an object, if there is one.
    ///
    /// # Errors
    /// [`JournalError`] if it exists and cannot be used.
    pub fn read(&self, object: Uuid) -> Result<Option<Entry<U>>, JournalError> {
        read(&self.file(object))
    }

    /// All entries, those that cannot be read as errors.
    #[must_use]
    pub fn all(&self) -> Vec<Result<Entry<U>, JournalError>> {
        let Ok(files) = std::fs::read_dir(&self.dir) else { return Vec::new() };
        let mut paths: Vec<_> = files.filter_map(|file| Some(file.ok()?.path())).collect();
        paths.retain(|path| path.extension().is_some_and(|extension| extension == "json"));
        paths.sort();
        paths.iter().filter_map(|path| read(path).transpose()).collect()
    }

    /// Renames a damaged entry, so that it does not block its object; its content stays for a look.
    ///
    /// # Errors
    /// [`JournalError::File`].
    pub fn set_aside(path: &Path) -> Result<(), JournalError> {
        let aside = path.with_extension("damaged");
        std::fs::rename(path, &aside).map_err(|source| FileError::Write { path: aside, source })?;
        Ok(())
    }
}

fn read<U: Undo>(path: &Path) -> Result<Option<Entry<U>>, JournalError> {
    let Some(content) = file::read(path, LIMIT)? else { return Ok(None) };
    let entry: Entry<U> = serde_json::from_slice(&content)
        .map_err(|source| JournalError::Damaged { path: path.to_owned(), source })?;
    if entry.version != VERSION {
        return Err(JournalError::Version { path: path.to_owned(), version: entry.version });
    }
    Ok(Some(entry))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::toy::ToyUndo;

    fn entry() -> Entry<ToyUndo> {
        let mut undo = Plan::default();
        undo.then([ToyUndo::Remove("a".into())]);
        undo.then_parallel([
            vec![ToyUndo::Remove("b".into())],
            vec![ToyUndo::Remove("c".into()), ToyUndo::Remove("d".into())],
        ]);
        let documents =
            vec![Document { path: "/b".into(), mode: 0o600, content: None, is_volatile: false }];
        let (name, uuid) = ("default".to_owned(), Uuid::from_u128(1));
        Entry { documents, ..Entry::new(Operation::Start, name, uuid, undo) }
    }

    #[test]
    fn entries_read_back_and_are_removed() {
        let dir = tempfile::tempdir().unwrap();
        let journal = Journal::at(dir.path().to_owned());
        journal.write(&entry()).unwrap();
        let found: Vec<_> = journal.all().into_iter().map(Result::unwrap).collect();
        assert_eq!(found, [entry()]);
        assert_eq!(journal.read(entry().uuid).unwrap(), Some(entry()));
        journal.remove(entry().uuid).unwrap();
        assert!(journal.all().is_empty());
        journal.remove(entry().uuid).unwrap();
    }

    #[test]
    fn the_file_format_does_not_change() {
        let text = serde_json::to_string(&entry()).unwrap();
        let expect = concat!(
            r#"{"version":1,"operation":"start","name":"default","#,
            r#""uuid":"00000000-0000-0000-0000-000000000001","#,
            r#""undo":[[[{"remove":"a"}]],[[{"remove":"b"}],[{"remove":"c"},{"remove":"d"}]]],"#,
            r#""documents":[{"path":"/b","mode":384,"content":null}]}"#,
        );
        assert_eq!(text, expect);
    }

    #[test]
    fn damage_and_other_versions_are_errors_with_their_position() {
        let dir = tempfile::tempdir().unwrap();
        let journal = Journal::<ToyUndo>::at(dir.path().to_owned());
        let path = dir.path().join("x.json");
        let text = serde_json::to_string(&entry()).unwrap().replace(r#""remove":"b""#, r#""x":1"#);
        file::replace(&path, text.as_bytes(), 0o600, Durability::Regenerated).unwrap();
        let error = journal.all().remove(0).unwrap_err();
        let text = oxivirt_sys::chain::text(&error);
        assert!(text.contains("x.json") && text.contains("column 129"), "{text}");
        Journal::<ToyUndo>::set_aside(&path).unwrap();
        assert!(journal.all().is_empty());
        let newer = serde_json::to_vec(&Entry { version: 2, ..entry() }).unwrap();
        file::replace(&path, &newer, 0o600, Durability::Regenerated).unwrap();
        assert!(matches!(
            journal.all().as_slice(),
            [Err(JournalError::Version { version: 2, .. })]
        ));
    }
}
