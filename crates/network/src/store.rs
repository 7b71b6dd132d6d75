//! Definitions, autostart links and status files on disk.
//!
//! Names, modes and content are libvirt's; how files are replaced and read is the engine's ([`store`]).
//!
//! libvirt 11.3.0: `virNetworkConfigSaveXML`, `virNetworkObjLoadAllConfigs`, `virNetworkObjLoadAllState`,
//! src/conf/virnetworkobj.c

use std::path::Path;

use crate::macmap::{self, MacMap, MacMapError};
use oxivirt::Autostart;
use oxivirt_conf::network::{Counters, Form, NetworkDef};
use oxivirt_conf::port::NetworkPortDef;
use oxivirt_conf::status::NetworkStatus;
use oxivirt_conf::{EditCommand, ParseError, wrap_file};
use oxivirt_engine::store::{self, MODE};
use oxivirt_engine::{Document, Replacement};
use oxivirt_sys::file::{self, FileError};
use oxivirt_xml as xml;
use uuid::Uuid;

use crate::layout::Layout;
use crate::network::Network;
use oxivirt_types::link_name::LinkName;

/// The name service module for guests reads it.
const MACS_MODE: u32 = 0o644;

/// Why something on disk could not be read or written.
pub(crate) type StoreError = store::StoreError<ParseError>;

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
pub(crate) fn remove_stale_tempfiles(layout: &Layout) {
    store::remove_stale_tempfiles(&[
        layout.config_dir(),
        layout.state_dir(),
        layout.journal_dir(),
        layout.records_dir(),
    ]);
}

/// The file of the definition that persists.
#[must_use]
pub(crate) fn config_document(layout: &Layout, network: &Network) -> Document {
    let content = Some(framed(network, &network.format(Form::Inactive)));
    Document { path: layout.config_file(&network.name), mode: MODE, content, is_volatile: false }
}

/// Writes the definition that persists.
///
/// # Errors
/// [`StoreError::File`]; the old definition is then unchanged.
pub(crate) fn write_config(layout: &Layout, network: &Network) -> Result<(), StoreError> {
    Ok(config_document(layout, network).put()?)
}

/// Brings the status of a network to the disk, but not yet under its name.
///
/// # Errors
/// [`StoreError::File`].
pub(crate) fn stage_status(
    layout: &Layout,
    network: &Network,
    status: &NetworkStatus,
) -> Result<(), StoreError> {
    let content = framed(network, &status.format(Counters::NONE));
    Ok(store::stage(&layout.status_file(&network.name), &content)?)
}

/// Makes a staged status the network's: from here on it runs.
///
/// # Errors
/// [`StoreError::File`].
pub(crate) fn commit_status(layout: &Layout, name: &str) -> Result<(), StoreError> {
    Ok(store::commit(&layout.status_file(name))?)
}

/// Gives the status file of a running network its second name, from which the network is restored if the
/// file is deleted.
///
/// # Errors
/// [`StoreError::File`].
pub(crate) fn back_up_status(layout: &Layout, name: &str) -> Result<(), StoreError> {
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
    network: &Network,
    status: &NetworkStatus,
    counters: &Counters,
) -> Document {
    let content = Some(framed(network, &status.format(counters)));
    Document { path: layout.status_file(&network.name), mode: MODE, content, is_volatile: true }
}

/// A document under the comment that names the command to change it with.
fn framed(network: &Network, document: &str) -> String {
    wrap_file(EditCommand::NetEdit, &network.name, &network.uuid().to_string(), document)
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
    Document { path, mode: MODE, content: port.map(framed), is_volatile: true }
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
pub(crate) fn macs_replacement(
    layout: &Layout,
    bridge: &LinkName,
    change: impl FnOnce(&mut MacMap),
) -> Result<Replacement, MacsError> {
    let path = layout.macs(bridge);
    let before = file::read(&path, macmap::MAX_SIZE)?;
    let mut map = MacMap::parse(before.as_deref().unwrap_or_default())?;
    let document =
        |content| Document { path: path.clone(), mode: MACS_MODE, content, is_volatile: true };
    // As it was, or as it would have been written.
    let before = document(before.map(|_| map.format()));
    change(&mut map);
    Ok(Replacement { before, after: document(Some(map.format())) })
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

/// Removes a definition; returns whether there was one.
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
pub(crate) fn load_configs(layout: &Layout) -> Vec<Result<NetworkDef, StoreError>> {
    load(&layout.config_dir(), NetworkDef::parse_file)
}

/// All status files, those that cannot be used as errors.
#[must_use]
pub(crate) fn load_statuses(layout: &Layout) -> Vec<Result<NetworkStatus, StoreError>> {
    load(&layout.state_dir(), NetworkStatus::parse_file)
}

/// The documents of a directory, whatever encoding they declare.
fn load<T>(
    dir: &Path,
    parse: impl Fn(&str, &str) -> Result<T, ParseError>,
) -> Vec<Result<T, StoreError>> {
    store::load(dir, |path, content| {
        let text = xml::decode(content).map_err(|error| error.in_file(path.to_owned()))?;
        parse(path, text)
    })
}
