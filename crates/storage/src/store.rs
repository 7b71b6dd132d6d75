//! Definitions, autostart links and state files on disk.
//!
//! libvirt 11.3.0: `virStoragePoolObjLoadAllConfigs`, `virStoragePoolObjLoadAllState`,
//! src/conf/virstorageobj.c

use std::path::Path;

use oxivirt::Autostart;
use oxivirt_conf::storage::StoragePoolDef;
use oxivirt_conf::{EditCommand, ParseError, wrap_file};
use oxivirt_engine::Document;
use oxivirt_engine::store::{self, MODE};
use oxivirt_sys::file::{self, FileError};

use crate::layout::Layout;
use crate::pool::Pool;

/// Why something on disk could not be read or written.
pub(crate) type StoreError = store::StoreError<ParseError>;

/// Makes the directories of a driver.
///
/// # Errors
/// [`FileError`].
pub(crate) fn prepare(layout: &Layout) -> Result<(), FileError> {
    for dir in
        [layout.config_dir(), layout.autostart_dir(), layout.state_dir(), layout.journal_dir()]
    {
        file::create_dir(&dir)?;
    }
    Ok(())
}

/// Removes what a process that died while replacing a file left beside it.
pub(crate) fn remove_stale_tempfiles(layout: &Layout) {
    let dirs = [layout.config_dir(), layout.state_dir(), layout.journal_dir()];
    store::remove_stale_tempfiles(&dirs);
}

fn framed(pool: &Pool, document: &str) -> String {
    wrap_file(EditCommand::PoolEdit, pool.name(), &pool.uuid().to_string(), document)
}

/// Writes a definition.
///
/// # Errors
/// [`FileError`]; the old definition is then unchanged.
pub(crate) fn write_config(layout: &Layout, pool: &Pool) -> Result<(), FileError> {
    let content = Some(framed(pool, &pool.def().format()));
    let path = layout.config_file(pool.name());
    Document { path, mode: MODE, content, is_volatile: false }.put()
}

/// Removes a definition and its autostart link.
///
/// # Errors
/// [`FileError`].
pub(crate) fn remove_config(layout: &Layout, name: &str) -> Result<(), FileError> {
    file::remove(&layout.autostart_link(name))?;
    file::remove(&layout.config_file(name))?;
    Ok(())
}

/// Writes the state of a started pool: from here on it is started.
///
/// # Errors
/// [`FileError`].
pub(crate) fn write_state(layout: &Layout, pool: &Pool) -> Result<(), FileError> {
    let content = Some(framed(pool, &pool.def().format_state()));
    let path = layout.state_file(pool.name());
    Document { path, mode: MODE, content, is_volatile: true }.put()
}

/// Removes the state of a pool: from here on it is not started.
///
/// # Errors
/// [`FileError`].
pub(crate) fn remove_state(layout: &Layout, name: &str) -> Result<(), FileError> {
    file::remove(&layout.state_file(name)).map(drop)
}

/// Makes a pool start with the host, or not.
///
/// # Errors
/// [`StoreError`].
pub(crate) fn set_autostart(
    layout: &Layout,
    name: &str,
    autostart: Autostart,
) -> Result<(), StoreError> {
    let (link, config) = (layout.autostart_link(name), layout.config_file(name));
    store::set_autostart(&link, &config, autostart == Autostart::Enabled)
}

/// Whether the autostart link and the definition are the same file.
#[must_use]
pub(crate) fn autostart(layout: &Layout, name: &str) -> Autostart {
    match store::has_autostart(&layout.autostart_link(name), &layout.config_file(name)) {
        true => Autostart::Enabled,
        false => Autostart::Disabled,
    }
}

/// All definitions, those that cannot be used as errors.
#[must_use]
pub(crate) fn load_configs(layout: &Layout) -> Vec<Result<StoragePoolDef, StoreError>> {
    load(&layout.config_dir(), StoragePoolDef::parse)
}

/// All state files, those that cannot be used as errors.
#[must_use]
pub(crate) fn load_states(layout: &Layout) -> Vec<Result<StoragePoolDef, StoreError>> {
    load(&layout.state_dir(), StoragePoolDef::parse_state)
}

/// The documents of a directory, each called after its pool.
fn load(
    dir: &Path,
    parse: impl Fn(&str) -> Result<StoragePoolDef, ParseError>,
) -> Vec<Result<StoragePoolDef, StoreError>> {
    let found = store::load(dir, |path, content| {
        let text = oxivirt_xml::decode(content).map_err(|error| error.in_file(path.to_owned()))?;
        Ok::<_, ParseError>((path.to_owned(), parse(text)?))
    });
    let is_named = |(path, def): &(String, StoragePoolDef)| {
        let stem = Path::new(path).file_stem().and_then(|stem| stem.to_str());
        let matches = stem.is_some() && stem == def.name.as_deref();
        if !matches {
            tracing::error!(path, "ignoring a file: its name is not that of the pool in it");
        }
        matches
    };
    let found = found.into_iter().filter(|found| found.as_ref().map_or(true, is_named));
    found.map(|found| found.map(|(_, def)| def)).collect()
}
