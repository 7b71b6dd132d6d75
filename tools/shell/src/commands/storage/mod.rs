//! Commands about storage pools and volumes, and what several of them share.

pub(super) mod pool_define;
pub(super) mod pool_edit;
pub(super) mod pool_event;
pub(super) mod pool_host;
pub(super) mod pool_info;
pub(super) mod pool_list;
pub(super) mod pool_state;
pub(super) mod volume_change;
pub(super) mod volume_create;
pub(super) mod volume_data;
pub(super) mod volume_info;
pub(super) mod volume_list;

use oxivirt::{Error, StoragePool, StoragePoolListFlags, StorageVol};

use crate::args::Args;
use crate::command::{Completer, OptionDef};
use crate::failure::Failure;
use crate::i18n::{mark, tr};
use crate::log::Level;
use crate::shell::{Lookup, Shell};

/// The pool a command works on; completion offers those that pass `filter`.
const fn pool_option(filter: StoragePoolListFlags) -> OptionDef {
    any_pool("pool", filter).positional().required()
}

/// A pool by name or UUID.
const fn any_pool(name: &'static str, filter: StoragePoolListFlags) -> OptionDef {
    OptionDef::text(name, mark!("pool name or UUID")).complete(Completer::Pool(filter.bits()))
}

/// The pool of the volume that a command works on.
const OF_POOL: OptionDef = any_pool("pool", StoragePoolListFlags::ACTIVE).positional();

/// The volume a command works on.
const VOLUME: OptionDef = OptionDef::text("vol", mark!("name, key or path of the volume"))
    .positional()
    .required()
    .complete(Completer::Volume);

/// A file with a document.
const fn file_option(help: &'static str) -> OptionDef {
    OptionDef::text("file", help).positional().required().complete(Completer::Path)
}

const VALIDATE: OptionDef =
    OptionDef::flag("validate", mark!("validate the XML against the schema"));
const PRINT_XML: OptionDef =
    OptionDef::flag("print-xml", mark!("print the XML and change nothing"));
const PREALLOC_METADATA: OptionDef =
    OptionDef::flag("prealloc-metadata", mark!("allocate the metadata of a qcow2 image at once"));
const REFLINK: OptionDef =
    OptionDef::flag("reflink", mark!("let both volumes share their data until one is written"));

/// The pool that option `pool` names, by UUID or name.
///
/// # Errors
/// If there is no such pool, or no connection.
fn pool(shell: &mut Shell, args: &Args) -> Result<StoragePool, Failure> {
    pool_named(shell, args, "pool", Lookup::Any)
}

/// The pool that an option names, looked up as `how` allows.
///
/// virsh: `virshCommandOptPoolBy`, tools/virsh-pool.c
fn pool_named(
    shell: &mut Shell,
    args: &Args,
    option: &str,
    how: Lookup,
) -> Result<StoragePool, Failure> {
    const UUID_TEXT: usize = 36;
    let connect = shell.connect()?;
    let text = args.required(option)?;
    let command = args.command().name;
    shell.ui.debug(Level::Info, &format!("{command}: found option <{option}>: {text}"))?;
    let mut last = None;
    if how != Lookup::Name && text.len() == UUID_TEXT {
        shell.ui.debug(Level::Debug, &format!("{command}: <{option}> trying as pool UUID"))?;
        match shell.wait(connect.storage_pool_lookup_by_uuid_string(&text)) {
            Ok(pool) => return Ok(pool),
            Err(error) => last = Some(error),
        }
    }
    if how != Lookup::Uuid {
        shell.ui.debug(Level::Debug, &format!("{command}: <{option}> trying as pool NAME"))?;
        match shell.wait(connect.storage_pool_lookup_by_name(&text)) {
            Ok(pool) => return Ok(pool),
            Err(error) => last = Some(error),
        }
    }
    Err(with_reason(tr!("failed to get pool '{text}'", text = text), last))
}

fn with_reason(line: String, reason: Option<Error>) -> Failure {
    match reason {
        Some(error) => Failure::Context(line, error),
        None => Failure::Message(line),
    }
}

/// How a volume is looked up.
#[derive(Debug, Clone, Copy)]
struct VolumeKeys {
    /// The option that names its pool; without one it has no name.
    pool: Option<&'static str>,
}

/// Within the pool of option `pool`.
const IN_POOL: VolumeKeys = VolumeKeys { pool: Some("pool") };
/// By key or path only.
const ANYWHERE: VolumeKeys = VolumeKeys { pool: None };

/// The volume that option `vol` names, by name in its pool, by key or by path.
///
/// virsh: `virshCommandOptVolBy`, tools/virsh-volume.c
fn volume(shell: &mut Shell, args: &Args, keys: VolumeKeys) -> Result<StorageVol, Failure> {
    let connect = shell.connect()?;
    let text = args.required("vol")?;
    let command = args.command().name;
    let pool = match keys.pool {
        Some(option) if args.has_named(option) => {
            let pool = pool_named(shell, args, option, Lookup::Any)?;
            if !shell.wait(pool.is_active())? {
                let line = tr!("pool '{name}' is not active", name = args.required(option)?);
                return Err(Failure::Message(line));
            }
            Some(pool)
        }
        _ => None,
    };
    shell.ui.debug(Level::Info, &format!("{command}: found option <vol>: {text}"))?;
    if let Some(pool) = &pool {
        shell.ui.debug(Level::Debug, &format!("{command}: <vol> trying as vol name"))?;
        if let Ok(volume) = shell.wait(pool.vol_lookup_by_name(&text)) {
            return Ok(volume);
        }
    }
    shell.ui.debug(Level::Debug, &format!("{command}: <vol> trying as vol key"))?;
    let mut found = shell.wait(connect.storage_vol_lookup_by_key(&text));
    if found.is_err() {
        shell.ui.debug(Level::Debug, &format!("{command}: <vol> trying as vol path"))?;
        found = shell.wait(connect.storage_vol_lookup_by_path(&text));
    }
    match (found, pool) {
        (Ok(volume), Some(pool)) if volume.reference().pool != pool.name() => {
            let pool = pool.name();
            Err(Failure::Message(tr!(
                "Requested volume '{text}' is not in pool '{pool}'",
                text = text,
                pool = pool
            )))
        }
        (Ok(volume), _) => Ok(volume),
        (Err(error), None) if let Some(option) = keys.pool => {
            let line = tr!(
                "failed to get vol '{text}', specifying --{option} might help",
                text = text,
                option = option
            );
            Err(Failure::Context(line, error))
        }
        (Err(error), _) => {
            Err(Failure::Context(tr!("failed to get vol '{text}'", text = text), error))
        }
    }
}

/// A size in the largest unit in which it is at least 1.
///
/// virsh: `vshPrettyCapacity`, tools/vsh.c
pub(super) fn pretty(bytes: u64) -> String {
    const UNITS: [&str; 7] = ["B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];
    const STEP: u64 = 1024;
    let mut size = 1_u64;
    let mut units = UNITS.iter();
    let mut unit = units.next();
    while bytes / size >= STEP
        && let Some(next) = units.next()
    {
        (size, unit) = (size.saturating_mul(STEP), Some(next));
    }
    #[expect(clippy::cast_precision_loss, reason = "two decimals are printed")]
    let value = bytes as f64 / size as f64;
    format!("{value:.2} {}", unit.copied().unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::pretty;

    #[test]
    fn sizes_are_printed_in_the_largest_unit_that_fits() {
        for (bytes, text) in [
            (0, "0.00 B"),
            (1023, "1023.00 B"),
            (1024, "1.00 KiB"),
            (1_073_741_824, "1.00 GiB"),
            (107_374_182_400, "100.00 GiB"),
            (u64::MAX, "16.00 EiB"),
        ] {
            assert_eq!(pretty(bytes), text);
        }
    }
}
