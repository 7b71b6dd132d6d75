//! Definitions, autostart links and what a guest has beside them on disk.
//!
//! Names, modes and content are libvirt's; how files are replaced and read is the engine's ([`store`]).
//!
//! libvirt 11.3.0: `virDomainDefSave`, `virDomainObjListLoadAllConfigs`, src/conf/virdomainobjlist.c

use std::path::Path;

use oxivirt::Autostart;
use oxivirt_conf::domain::{DomainDef, DomainError, Form};
use oxivirt_conf::{EditCommand, ParseError, wrap_file};
use oxivirt_engine::Document;
use oxivirt_engine::store::{self, MODE};
use oxivirt_launch::Credentials;
use oxivirt_sys::file;
use oxivirt_xml as xml;

use crate::guest::{Guest, Secrets};
use crate::layout::Layout;
use crate::registry::Extras;

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
        layout.journal_dir(),
        layout.lib_dir(),
        layout.log_dir(),
        layout.capabilities_dir(),
    ] {
        file::create_dir(&dir)?;
    }
    Ok(())
}

/// Gives the directories of all guests to the user of their processes, as libvirt does.
pub(crate) fn give_directories(layout: &Layout, user: Option<&Credentials>) {
    let Some(user) = user else { return };
    for dir in [layout.state_dir(), layout.lib_dir()] {
        if let Err(error) = std::os::unix::fs::chown(&dir, Some(user.uid), Some(user.gid)) {
            let dir = dir.display();
            tracing::warn!(%dir, %error, "cannot give a directory to the user of guests");
        }
    }
}

/// Removes what a process that died while replacing a file left beside it.
pub(crate) fn remove_stale_tempfiles(layout: &Layout) {
    store::remove_stale_tempfiles(&[layout.config_dir(), layout.state_dir(), layout.journal_dir()]);
}

/// The file of the definition that persists.
#[must_use]
pub(crate) fn config_document(layout: &Layout, guest: &Guest) -> Document {
    let document = guest.format(Form::Inactive, Secrets::Shown);
    let (name, uuid) = (guest.name(), guest.uuid().to_string());
    let content = Some(wrap_file(EditCommand::Edit, name, &uuid, &document));
    Document { path: layout.config_file(name), mode: MODE, content, is_volatile: false }
}

/// Writes the definition that persists.
///
/// # Errors
/// [`StoreError::File`]; the old definition is then unchanged.
pub(crate) fn write_config(layout: &Layout, guest: &Guest) -> Result<(), StoreError> {
    Ok(config_document(layout, guest).put()?)
}

/// Removes a definition.
///
/// # Errors
/// [`StoreError::File`].
pub(crate) fn remove_config(layout: &Layout, name: &str) -> Result<(), StoreError> {
    file::remove(&layout.config_file(name))?;
    Ok(())
}

/// All definitions, those that cannot be used as errors.
#[must_use]
pub(crate) fn load_configs(layout: &Layout) -> Vec<Result<Guest, StoreError>> {
    store::load(&layout.config_dir(), |path, content| {
        let text = xml::decode(content).map_err(|error| error.in_file(path.to_owned()))?;
        let guest = Guest::new(DomainDef::parse_as(text, Form::Inactive)?)?;
        let stem = Path::new(path).file_stem().unwrap_or_default().to_string_lossy();
        if stem != guest.name() {
            let name = guest.name();
            let detail = format!("Domain config filename '{stem}' does not match name '{name}'");
            return Err(DomainError::Internal(detail).into());
        }
        Ok(guest)
    })
}

/// Makes a guest start with the host, or not.
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

/// What a guest has beside its definition.
#[must_use]
pub(crate) fn extras(layout: &Layout, name: &str) -> Extras {
    Extras {
        has_managed_save: layout.managed_save(name).exists(),
        n_snapshots: store::files(&layout.snapshot_dir(name), "xml").len(),
        n_checkpoints: store::files(&layout.checkpoint_dir(name), "xml").len(),
    }
}
