//! `vol-info`, `vol-dumpxml`, `vol-key`, `vol-name`, `vol-path`, `vol-pool`: what a volume is.

use oxivirt::{StorageVolInfoFlags, StorageVolType};

use super::{ANYWHERE, IN_POOL, OF_POOL, VOLUME, pretty, volume};
use crate::args::Args;
use crate::command::{CommandDef, OptionDef};
use crate::document::{WRAP, XPATH, print_xml};
use crate::failure::{ErrorContext as _, Failure};
use crate::i18n::{mark, tr};
use crate::shell::Shell;
use crate::table::print_fields;

pub(crate) const INFO: CommandDef =
    CommandDef::new("vol-info", mark!("show a volume's type and sizes"), info).options(&[
        VOLUME,
        OF_POOL,
        OptionDef::flag("bytes", mark!("sizes in bytes")),
        OptionDef::flag("physical", mark!("show the size of the file instead of the allocation")),
    ]);

pub(crate) const DUMPXML: CommandDef =
    CommandDef::new("vol-dumpxml", mark!("print a volume's XML"), dumpxml)
        .options(&[VOLUME, OF_POOL, XPATH, WRAP]);

pub(crate) const KEY: CommandDef =
    CommandDef::new("vol-key", mark!("print the key of a volume"), key).options(&[VOLUME, OF_POOL]);

pub(crate) const NAME: CommandDef =
    CommandDef::new("vol-name", mark!("print the name of a volume"), name).options(&[VOLUME]);

pub(crate) const PATH: CommandDef =
    CommandDef::new("vol-path", mark!("print the path of a volume"), path)
        .options(&[VOLUME, OF_POOL]);

pub(crate) const POOL: CommandDef =
    CommandDef::new("vol-pool", mark!("print the pool of a volume"), pool)
        .options(&[VOLUME, OptionDef::flag("uuid", mark!("print the UUID instead of the name"))]);

/// virsh's word for what a volume is.
pub(super) const fn type_word(kind: StorageVolType) -> &'static str {
    match kind {
        StorageVolType::File => "file",
        StorageVolType::Block => "block",
        StorageVolType::Dir => "dir",
        StorageVolType::Network => "network",
        StorageVolType::NetDir => "netdir",
        StorageVolType::Ploop => "ploop",
        _ => "unknown",
    }
}

/// virsh: `cmdVolInfo`, tools/virsh-volume.c
fn info(shell: &mut Shell, args: &Args) -> Result<(), Failure> {
    let volume = volume(shell, args, IN_POOL)?;
    let mut lines = vec![(tr!("Name:"), volume.name().to_owned())];
    let is_physical = args.flag("physical");
    let flags =
        if is_physical { StorageVolInfoFlags::GET_PHYSICAL } else { StorageVolInfoFlags::empty() };
    let info = shell.wait(volume.info(flags));
    if let Ok(info) = &info {
        let size = |bytes: u64| {
            if args.flag("bytes") { tr!("{size} bytes", size = bytes) } else { pretty(bytes) }
        };
        lines.push((tr!("Type:"), type_word(info.kind).to_owned()));
        lines.push((tr!("Capacity:"), size(info.capacity)));
        let label = if is_physical { tr!("Physical:") } else { tr!("Allocation:") };
        lines.push((label, size(info.allocation)));
    }
    print_fields(shell, 15, &lines)?;
    info.map(drop).map_err(Into::into)
}

fn dumpxml(shell: &mut Shell, args: &Args) -> Result<(), Failure> {
    let volume = volume(shell, args, IN_POOL)?;
    let xml = shell.wait(volume.xml_desc())?;
    print_xml(shell, args, &xml)
}

fn key(shell: &mut Shell, args: &Args) -> Result<(), Failure> {
    let volume = volume(shell, args, IN_POOL)?;
    shell.ui.print(format!("{}\n", volume.key()))?;
    Ok(())
}

fn name(shell: &mut Shell, args: &Args) -> Result<(), Failure> {
    let volume = volume(shell, args, ANYWHERE)?;
    shell.ui.print(format!("{}\n", volume.name()))?;
    Ok(())
}

fn path(shell: &mut Shell, args: &Args) -> Result<(), Failure> {
    let volume = volume(shell, args, IN_POOL)?;
    let path = shell.wait(volume.path())?;
    shell.ui.print(format!("{path}\n"))?;
    Ok(())
}

fn pool(shell: &mut Shell, args: &Args) -> Result<(), Failure> {
    let volume = volume(shell, args, ANYWHERE)?;
    let pool = shell.wait(volume.pool()).context(|| tr!("failed to get parent pool"))?;
    let line = if args.flag("uuid") { pool.uuid().to_string() } else { pool.name().to_owned() };
    shell.ui.print(format!("{line}\n"))?;
    Ok(())
}
