//! Definitions, status files and autostart links on disk.
//!
//! Knows files and links, not what is in a document. Files are replaced atomically and synced; what
//! cannot be read is returned as an error with its path and left as it is.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use oxivirt_sys::file::{self, Durability, FileError};

/// Size limit of a document, in bytes; libvirt's.
pub const LIMIT: u64 = 10 << 20;
/// Permissions of definitions and status files.
pub const MODE: u32 = 0o600;

/// Why something on disk could not be read or written; `P` is why a document was refused.
#[derive(Debug, thiserror::Error)]
pub enum StoreError<P: std::error::Error + 'static> {
    /// A file operation failed.
    #[error(transparent)]
    File(#[from] FileError),
    /// A document is not valid.
    #[error("'{path}': {source}")]
    Document {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: Box<P>,
    },
    /// An autostart link could not be made.
    #[error("Failed to create symlink '{link}' to '{path}'")]
    Link {
        /// The link.
        link: PathBuf,
        /// What it should point to.
        path: PathBuf,
        /// The system's reason.
        #[source]
        source: io::Error,
    },
}

/// Reads the documents of a directory, `*.xml` sorted by name; those that cannot be used as errors.
///
/// `parse` gets path and content.
pub fn load<T, P: std::error::Error + 'static>(
    dir: &Path,
    parse: impl Fn(&str, &[u8]) -> Result<T, P>,
) -> Vec<Result<T, StoreError<P>>> {
    let paths = files(dir, "xml").into_iter();
    paths.filter_map(|path| load_one(path, &parse).transpose()).collect()
}

fn load_one<T, P: std::error::Error + 'static>(
    path: PathBuf,
    parse: impl Fn(&str, &[u8]) -> Result<T, P>,
) -> Result<Option<T>, StoreError<P>> {
    // It may have been removed since the directory was listed.
    let Some(content) = file::read(&path, LIMIT)? else { return Ok(None) };
    match parse(&path.to_string_lossy(), &content) {
        Ok(document) => Ok(Some(document)),
        Err(source) => Err(StoreError::Document { path, source: Box::new(source) }),
    }
}

/// The files of a directory with this extension, sorted by name.
#[must_use]
pub fn files(dir: &Path, extension: &str) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(dir) else { return Vec::new() };
    let mut paths: Vec<_> = entries.filter_map(|entry| Some(entry.ok()?.path())).collect();
    paths.retain(|path| path.extension().is_some_and(|found| found == extension) && path.is_file());
    paths.sort();
    paths
}

/// Removes what a process that died while replacing a file left beside it.
///
/// Only for directories to which the driver alone writes.
pub fn remove_stale_tempfiles(dirs: &[PathBuf]) {
    for path in dirs.iter().flat_map(|dir| files(dir, "new")) {
        if let Err(error) = file::remove(&path) {
            tracing::warn!(
                error = oxivirt_sys::chain::text(&error),
                "cannot remove a stale temporary file"
            );
        }
    }
}

/// Writes a status file to the disk, but not yet under its name: [`commit`] follows.
///
/// # Errors
/// [`FileError`].
pub fn stage(path: &Path, content: &str) -> Result<(), FileError> {
    file::stage(path, content.as_bytes(), MODE, Durability::Synced)
}

/// Gives a staged file its name: from here on the object runs.
///
/// # Errors
/// [`FileError`].
pub fn commit(path: &Path) -> Result<(), FileError> {
    file::commit(path)
}

/// Makes the autostart link of a definition, in place of another, or removes it.
///
/// # Errors
/// [`StoreError::File`], [`StoreError::Link`].
pub fn set_autostart<P: std::error::Error + 'static>(
    link: &Path,
    config: &Path,
    is_enabled: bool,
) -> Result<(), StoreError<P>> {
    if !is_enabled {
        file::remove(link)?;
        return Ok(());
    }
    if let Some(dir) = link.parent() {
        file::create_dir(dir)?;
    }
    let path = target(config);
    let mut made = std::os::unix::fs::symlink(&path, link);
    if made.as_ref().is_err_and(|error| error.kind() == io::ErrorKind::AlreadyExists) {
        file::remove(link)?;
        made = std::os::unix::fs::symlink(&path, link);
    }
    made.map_err(|source| StoreError::Link { link: link.to_owned(), path, source })
}

/// The definition's path without links in its directory.
fn target(config: &Path) -> PathBuf {
    let dir = config.parent().and_then(|dir| fs::canonicalize(dir).ok());
    match (dir, config.file_name()) {
        (Some(dir), Some(name)) => dir.join(name),
        _ => config.to_owned(),
    }
}

/// Whether the autostart link leads to the definition.
#[must_use]
pub fn has_autostart(link: &Path, config: &Path) -> bool {
    let link = identity(link);
    link.is_some() && link == identity(config)
}

fn identity(path: &Path) -> Option<(u64, u64)> {
    fs::metadata(path).map(|meta| (meta.dev(), meta.ino())).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(path: &Path, content: &[u8]) {
        file::replace(path, content, MODE, Durability::Regenerated).unwrap();
    }

    #[test]
    fn documents_are_loaded_by_name_and_errors_name_their_file() {
        let dir = tempfile::tempdir().unwrap();
        for (name, content) in [("b.xml", "2".as_bytes()), ("a.xml", b"1"), ("c.xml", b"x")] {
            write(&dir.path().join(name), content);
        }
        write(&dir.path().join("e.txt"), b"3");
        let loaded = load(dir.path(), |_, content| String::from_utf8_lossy(content).parse::<u32>());
        let texts: Vec<_> = loaded
            .into_iter()
            .map(|result| result.map_or_else(|error| error.to_string(), |n| n.to_string()))
            .collect();
        assert_eq!(texts[..2], ["1", "2"]);
        assert!(texts[2].contains("c.xml': invalid digit"), "{}", texts[2]);
        assert_eq!(texts.len(), 3);
    }

    #[test]
    fn autostart_is_a_link_to_the_definition() {
        let dir = tempfile::tempdir().unwrap();
        let (link, config) = (dir.path().join("autostart/a.xml"), dir.path().join("a.xml"));
        write(&config, b"");
        assert!(!has_autostart(&link, &config));
        for _ in 0..2 {
            set_autostart::<io::Error>(&link, &config, true).unwrap();
            assert!(has_autostart(&link, &config));
        }
        set_autostart::<io::Error>(&link, &config, false).unwrap();
        assert!(!has_autostart(&link, &config));
        let other = dir.path().join("b.xml");
        write(&other, b"");
        std::os::unix::fs::symlink(&other, &link).unwrap();
        assert!(!has_autostart(&link, &config));
        set_autostart::<io::Error>(&link, &config, true).unwrap();
        assert!(has_autostart(&link, &config));
    }

    #[test]
    fn a_staged_file_has_its_name_after_the_commit() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.xml");
        stage(&path, "new").unwrap();
        assert!(!path.exists());
        commit(&path).unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "new");
        stage(&path, "lost").unwrap();
        remove_stale_tempfiles(&[dir.path().to_owned()]);
        assert!(!file::temporary(&path).exists());
    }
}
