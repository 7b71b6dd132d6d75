//! Definitions, autostart links and status files on disk.
//!
//! Names, modes and content are libvirt's. Files are replaced atomically and synced; what cannot be
//! read is reported and left as it is.
//!
//! libvirt 11.3.0: `virNetworkConfigSaveXML`, `virNetworkObjLoadAllConfigs`, `virNetworkObjLoadAllState`,
//! src/conf/virnetworkobj.c

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use crate::macmap::{self, MacMap, MacMapError};
use oxivirt::Autostart;
use oxivirt_conf::network::{Counters, Form, NetworkDef};
use oxivirt_conf::port::NetworkPortDef;
use oxivirt_conf::status::NetworkStatus;
use oxivirt_conf::{EditCommand, ParseError, wrap_file};
use oxivirt_sys::file::{self, Durability, FileError};
use oxivirt_xml as xml;
use uuid::Uuid;

use crate::document::{Document, Swap};
use crate::layout::Layout;

/// Larger documents are refused, as in libvirt.
const LIMIT: u64 = 10 << 20;
const MODE: u32 = 0o600;
/// Others read it: the name service module for guests.
const MACS_MODE: u32 = 0o644;

/// Why something on disk could not be read or written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub(crate) enum StoreError {
    /// A file operation failed.
    #[error(transparent)]
    File(#[from] FileError),
    /// A document is not valid.
    #[error("'{path}': {source}")]
    Document {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: Box<ParseError>,
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

/// Makes the directories of a driver.
///
/// # Errors
/// [`StoreError::File`].
pub(crate) fn prepare(layout: &Layout) -> Result<(), StoreError> {
    for dir in [
        layout.config_dir(),
        layout.autostart_dir(),
        layout.state_dir(),
        layout.pid_dir(),
        layout.dnsmasq_dir(),
        layout.journal_dir(),
        layout.records_dir(),
        layout.servers_dir(),
    ] {
        file::create_dir(&dir)?;
    }
    Ok(())
}

/// Removes what a process that died while replacing a file left beside it.
///
/// Only in directories that nobody but the driver writes to.
pub(crate) fn sweep(layout: &Layout) {
    let dirs =
        [layout.config_dir(), layout.state_dir(), layout.journal_dir(), layout.records_dir()];
    for dir in dirs {
        for path in files(&dir, "new") {
            if let Err(error) = file::remove(&path) {
                tracing::warn!(error = oxivirt_sys::chain::text(&error), "left-over file stays");
            }
        }
    }
}

/// The file of the definition that persists.
#[must_use]
pub(crate) fn config_document(layout: &Layout, def: &NetworkDef) -> Document {
    let content = Some(framed(def, &def.format(Form::Inactive)));
    Document { path: layout.config_file(&def.name), mode: MODE, content }
}

/// Writes the definition that persists.
///
/// # Errors
/// [`StoreError::File`]; the old definition is then unchanged.
pub(crate) fn write_config(layout: &Layout, def: &NetworkDef) -> Result<(), StoreError> {
    Ok(config_document(layout, def).put()?)
}

/// Brings the status of a network to the disk, but not yet under its name.
///
/// # Errors
/// [`StoreError::File`].
pub(crate) fn stage_status(layout: &Layout, status: &NetworkStatus) -> Result<(), StoreError> {
    let content = framed(&status.def, &status.format(Counters::NONE));
    let path = layout.status_file(&status.def.name);
    Ok(file::stage(&path, content.as_bytes(), MODE, Durability::Synced)?)
}

/// Makes a staged status the network's: from here on it runs.
///
/// # Errors
/// [`StoreError::File`].
pub(crate) fn commit_status(layout: &Layout, name: &str) -> Result<(), StoreError> {
    Ok(file::commit(&layout.status_file(name))?)
}

/// Gives the status file of a running network its second name, which tells of the network if somebody
/// deletes the file.
///
/// # Errors
/// [`StoreError::File`].
pub(crate) fn record_status(layout: &Layout, name: &str) -> Result<(), StoreError> {
    Ok(file::link(&layout.status_file(name), &layout.record(name))?)
}

/// Status files by their second names, those that cannot be used as errors.
#[must_use]
pub(crate) fn load_records(layout: &Layout) -> Vec<Result<NetworkStatus, StoreError>> {
    load(&layout.records_dir(), NetworkStatus::parse_file)
}

/// The status file of a running network.
#[must_use]
pub(crate) fn status_document(
    layout: &Layout,
    status: &NetworkStatus,
    counters: &Counters,
) -> Document {
    let content = Some(framed(&status.def, &status.format(counters)));
    Document { path: layout.status_file(&status.def.name), mode: MODE, content }
}

fn framed(def: &NetworkDef, document: &str) -> String {
    let uuid = def.uuid.unwrap_or_default().to_string();
    wrap_file(EditCommand::NetEdit, &def.name, &uuid, document)
}

/// The file of a port; absent without one.
#[must_use]
pub(crate) fn port_document(
    layout: &Layout,
    network: &str,
    uuid: Uuid,
    port: Option<&NetworkPortDef>,
) -> Document {
    let path = layout.port_file(network, uuid);
    let uuid = uuid.to_string();
    let framed =
        |port: &NetworkPortDef| wrap_file(EditCommand::NetPortCreate, &uuid, &uuid, &port.format());
    Document { path, mode: MODE, content: port.map(framed) }
}

/// The ports of a network, those that cannot be used as errors.
#[must_use]
pub(crate) fn load_ports(
    layout: &Layout,
    network: &str,
) -> Vec<Result<NetworkPortDef, StoreError>> {
    load(&layout.ports_dir(network), NetworkPortDef::parse_file)
}

/// The map of a bridge with a guest's address in it, or without.
///
/// # Errors
/// [`MacsError`]
pub(crate) fn macs_swap(
    layout: &Layout,
    bridge: &str,
    change: impl FnOnce(&mut MacMap),
) -> Result<Swap, MacsError> {
    let path = layout.macs(bridge);
    let before = file::read(&path, macmap::MAX_SIZE)?;
    let mut map = MacMap::parse(before.as_deref().unwrap_or_default())?;
    let document = |content| Document { path: path.clone(), mode: MACS_MODE, content };
    // As it was, or as it would have been written.
    let before = document(before.map(|_| map.format()));
    change(&mut map);
    Ok(Swap { before, after: document(Some(map.format())) })
}

/// Why a MAC map could not be changed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum MacsError {
    /// A file operation failed.
    #[error(transparent)]
    File(#[from] FileError),
    /// The map is damaged.
    #[error(transparent)]
    Map(#[from] MacMapError),
}

/// Removes a definition; tells whether there was one.
///
/// # Errors
/// [`StoreError::File`].
pub(crate) fn remove_config(layout: &Layout, name: &str) -> Result<bool, StoreError> {
    Ok(file::remove(&layout.config_file(name))?)
}

/// Makes a network start with the host, or not.
///
/// # Errors
/// [`StoreError`].
pub(crate) fn set_autostart(
    layout: &Layout,
    name: &str,
    autostart: Autostart,
) -> Result<(), StoreError> {
    let link = layout.autostart_link(name);
    match autostart {
        Autostart::Disabled => {
            file::remove(&link)?;
            Ok(())
        }
        Autostart::Enabled => {
            file::create_dir(&layout.autostart_dir())?;
            let target = layout.config_file(name);
            let path = fs::canonicalize(layout.config_dir())
                .map_or_else(|_| target.clone(), |dir| dir.join(format!("{name}.xml")));
            match std::os::unix::fs::symlink(&path, &link) {
                Ok(()) => Ok(()),
                // Whatever it pointed to, it shall point to the definition.
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                    file::remove(&link)?;
                    std::os::unix::fs::symlink(&path, &link).map_err(|source| StoreError::Link {
                        link,
                        path,
                        source,
                    })
                }
                Err(source) => Err(StoreError::Link { link, path, source }),
            }
        }
    }
}

/// Whether the autostart link and the definition are the same file.
#[must_use]
pub(crate) fn autostart(layout: &Layout, name: &str) -> Autostart {
    let identity = |path: PathBuf| fs::metadata(path).map(|meta| (meta.dev(), meta.ino())).ok();
    let link = identity(layout.autostart_link(name));
    if link.is_some() && link == identity(layout.config_file(name)) {
        Autostart::Enabled
    } else {
        Autostart::Disabled
    }
}

/// All definitions, those that cannot be used as errors.
#[must_use]
pub(crate) fn load_configs(layout: &Layout) -> Vec<Result<NetworkDef, StoreError>> {
    load(&layout.config_dir(), NetworkDef::parse_file)
}

/// All status files, those that cannot be used as errors.
#[must_use]
pub(crate) fn load_statuses(layout: &Layout) -> Vec<Result<NetworkStatus, StoreError>> {
    load(&layout.state_dir(), NetworkStatus::parse_file)
}

fn load<T>(
    dir: &Path,
    parse: impl Fn(&str, &str) -> Result<T, ParseError>,
) -> Vec<Result<T, StoreError>> {
    files(dir, "xml")
        .into_iter()
        .filter_map(|path| {
            let content = match file::read(&path, LIMIT) {
                Ok(content) => content?,
                Err(error) => return Some(Err(error.into())),
            };
            let name = path.to_string_lossy();
            let parsed = xml::decode(&content)
                .map_err(|error| ParseError::from(error.in_file(name.clone())))
                .and_then(|text| parse(&name, text));
            Some(parsed.map_err(|source| StoreError::Document { path, source: Box::new(source) }))
        })
        .collect()
}

/// The files of a directory with this extension, by name.
fn files(dir: &Path, extension: &str) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(dir) else { return Vec::new() };
    let mut paths: Vec<_> = entries.filter_map(|entry| Some(entry.ok()?.path())).collect();
    paths.retain(|path| path.extension().is_some_and(|found| found == extension) && path.is_file());
    paths.sort();
    paths
}
