//! `pool-info`, `pool-dumpxml`, `pool-name`, `pool-uuid`: what a pool is.

use oxivirt::{Autostart, StoragePoolListFlags, StoragePoolState, StorageXmlFlags};

use super::pool_list::has_sizes;
use super::{pool, pool_named, pool_option, pretty};
use crate::args::Args;
use crate::command::{CommandDef, Completer, OptionDef};
use crate::commands::network::yes_no;
use crate::document::{WRAP, XPATH, print_xml};
use crate::failure::Failure;
use crate::i18n::{mark, tr};
use crate::shell::{Lookup, Shell};
use crate::table::print_fields;

pub(crate) const INFO: CommandDef =
    CommandDef::new("pool-info", mark!("show a pool's state and sizes"), info).options(&[
        pool_option(StoragePoolListFlags::empty()),
        OptionDef::flag("bytes", mark!("sizes in bytes")),
    ]);

pub(crate) const DUMPXML: CommandDef =
    CommandDef::new("pool-dumpxml", mark!("print a pool's XML"), dumpxml).options(&[
        pool_option(StoragePoolListFlags::empty()),
        OptionDef::flag("inactive", mark!("print the definition used at the next start")),
        XPATH,
        WRAP,
    ]);

pub(crate) const NAME: CommandDef =
    CommandDef::new("pool-name", mark!("print the name of a pool with a UUID"), name).options(&[
        OptionDef::text("pool", mark!("pool name or UUID"))
            .positional()
            .required()
            .complete(Completer::PoolUuid),
    ]);

pub(crate) const UUID: CommandDef =
    CommandDef::new("pool-uuid", mark!("print the UUID of a pool"), uuid)
        .options(&[pool_option(StoragePoolListFlags::empty())]);

/// virsh's word for a state.
pub(super) const fn state_word(state: StoragePoolState) -> &'static str {
    match state {
        StoragePoolState::Inactive => "inactive",
        StoragePoolState::Building => "building",
        StoragePoolState::Running => "running",
        StoragePoolState::Degraded => "degraded",
        StoragePoolState::Inaccessible => "inaccessible",
        _ => "unknown",
    }
}

/// virsh: `cmdPoolInfo`, tools/virsh-pool.c
fn info(shell: &mut Shell, args: &Args) -> Result<(), Failure> {
    let pool = pool(shell, args)?;
    let mut lines =
        vec![(tr!("Name:"), pool.name().to_owned()), (tr!("UUID:"), pool.uuid().to_string())];
    let info = shell.wait(pool.info());
    if let Ok(info) = &info {
        lines.push((tr!("State:"), state_word(info.state).to_owned()));
        let persistent = shell.wait(pool.is_persistent());
        lines.push((tr!("Persistent:"), persistent.map_or_else(|_| tr!("unknown"), yes_no)));
        let autostart = shell.wait(pool.autostart());
        let autostart = autostart.map(|autostart| yes_no(autostart == Autostart::Enabled));
        lines.push((tr!("Autostart:"), autostart.unwrap_or_else(|_| tr!("no autostart"))));
        if has_sizes(info.state) {
            let size = |bytes: u64| {
                if args.flag("bytes") { bytes.to_string() } else { pretty(bytes) }
            };
            lines.push((tr!("Capacity:"), size(info.capacity)));
            lines.push((tr!("Allocation:"), size(info.allocation)));
            lines.push((tr!("Available:"), size(info.available)));
        }
    }
    print_fields(shell, 15, &lines)?;
    info.map(drop).map_err(Into::into)
}

fn dumpxml(shell: &mut Shell, args: &Args) -> Result<(), Failure> {
    let pool = pool(shell, args)?;
    let flags =
        if args.flag("inactive") { StorageXmlFlags::INACTIVE } else { StorageXmlFlags::empty() };
    let xml = shell.wait(pool.xml_desc(flags))?;
    print_xml(shell, args, &xml)
}

fn name(shell: &mut Shell, args: &Args) -> Result<(), Failure> {
    let pool = pool_named(shell, args, "pool", Lookup::Uuid)?;
    shell.ui.print(format!("{}\n", pool.name()))?;
    Ok(())
}

fn uuid(shell: &mut Shell, args: &Args) -> Result<(), Failure> {
    let pool = pool_named(shell, args, "pool", Lookup::Name)?;
    shell.ui.print(format!("{}\n", pool.uuid()))?;
    Ok(())
}
