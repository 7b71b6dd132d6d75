//! `pool-autostart`, `pool-build`, `pool-delete`, `pool-destroy`, `pool-refresh`, `pool-start`,
//! `pool-undefine`: the life of a stored pool.

use oxivirt::{
    Autostart, StoragePoolBuildFlags, StoragePoolCreateFlags, StoragePoolDeleteFlags,
    StoragePoolListFlags,
};

use super::{pool, pool_option};
use crate::args::Args;
use crate::command::{CommandDef, OptionDef};
use crate::failure::{ErrorContext as _, Failure};
use crate::i18n::{mark, tr};
use crate::shell::Shell;

pub(crate) const AUTOSTART: CommandDef =
    CommandDef::new("pool-autostart", mark!("enable or disable autostart of a pool"), autostart)
        .options(&[
            pool_option(StoragePoolListFlags::PERSISTENT),
            OptionDef::flag("disable", mark!("disable autostart")),
        ]);

pub(crate) const BUILD: CommandDef = CommandDef::new("pool-build", mark!("build a pool"), build)
    .about(mark!("Makes what a pool consists of, its directory for example."))
    .options(&[pool_option(StoragePoolListFlags::PERSISTENT), NO_OVERWRITE, OVERWRITE]);

pub(crate) const DELETE: CommandDef =
    CommandDef::new("pool-delete", mark!("remove what a pool consists of"), delete)
        .options(&[pool_option(StoragePoolListFlags::INACTIVE)]);

pub(crate) const DESTROY: CommandDef =
    CommandDef::new("pool-destroy", mark!("stop a pool"), destroy)
        .about(mark!("Stops a pool; its data stay."))
        .options(&[pool_option(StoragePoolListFlags::ACTIVE)]);

pub(crate) const REFRESH: CommandDef =
    CommandDef::new("pool-refresh", mark!("read the volumes of a pool again"), refresh)
        .options(&[pool_option(StoragePoolListFlags::ACTIVE)]);

pub(crate) const START: CommandDef =
    CommandDef::new("pool-start", mark!("start a stored pool"), start).options(&[
        pool_option(StoragePoolListFlags::INACTIVE),
        BUILD_FLAG,
        NO_OVERWRITE,
        OVERWRITE,
    ]);

pub(crate) const UNDEFINE: CommandDef =
    CommandDef::new("pool-undefine", mark!("remove the definition of a pool"), undefine).options(
        &[pool_option(StoragePoolListFlags::INACTIVE.union(StoragePoolListFlags::PERSISTENT))],
    );

pub(super) const BUILD_FLAG: OptionDef = OptionDef::flag("build", mark!("build the pool first"));
pub(super) const NO_OVERWRITE: OptionDef =
    OptionDef::flag("no-overwrite", mark!("fail if there are data already"));
pub(super) const OVERWRITE: OptionDef =
    OptionDef::flag("overwrite", mark!("overwrite data that are there"));

/// What a start is to build before.
pub(super) fn building(args: &Args) -> Result<StoragePoolCreateFlags, Failure> {
    args.exclusive("overwrite", "no-overwrite")?;
    let mut flags = StoragePoolCreateFlags::empty();
    for (option, flag) in [
        ("build", StoragePoolCreateFlags::WITH_BUILD),
        ("overwrite", StoragePoolCreateFlags::WITH_BUILD_OVERWRITE),
        ("no-overwrite", StoragePoolCreateFlags::WITH_BUILD_NO_OVERWRITE),
    ] {
        if args.flag(option) {
            flags |= flag;
        }
    }
    Ok(flags)
}

fn autostart(shell: &mut Shell, args: &Args) -> Result<(), Failure> {
    let pool = pool(shell, args)?;
    let name = args.required("pool")?;
    if args.flag("disable") {
        shell
            .wait(pool.set_autostart(Autostart::Disabled))
            .context(|| tr!("failed to unmark pool {name} as autostarted", name = name))?;
        shell.ui.extra(tr!("Pool {name} unmarked as autostarted\n", name = name))?;
    } else {
        shell
            .wait(pool.set_autostart(Autostart::Enabled))
            .context(|| tr!("failed to mark pool {name} as autostarted", name = name))?;
        shell.ui.extra(tr!("Pool {name} marked as autostarted\n", name = name))?;
    }
    Ok(())
}

fn build(shell: &mut Shell, args: &Args) -> Result<(), Failure> {
    let pool = pool(shell, args)?;
    let name = args.required("pool")?;
    let mut flags = StoragePoolBuildFlags::empty();
    if args.flag("no-overwrite") {
        flags |= StoragePoolBuildFlags::NO_OVERWRITE;
    }
    if args.flag("overwrite") {
        flags |= StoragePoolBuildFlags::OVERWRITE;
    }
    shell.wait(pool.build(flags)).context(|| tr!("Failed to build pool {name}", name = name))?;
    shell.ui.extra(tr!("Pool {name} built\n", name = name))?;
    Ok(())
}

fn delete(shell: &mut Shell, args: &Args) -> Result<(), Failure> {
    let pool = pool(shell, args)?;
    let name = args.required("pool")?;
    shell
        .wait(pool.delete(StoragePoolDeleteFlags::empty()))
        .context(|| tr!("Failed to delete pool {name}", name = name))?;
    shell.ui.extra(tr!("Pool {name} deleted\n", name = name))?;
    Ok(())
}

fn destroy(shell: &mut Shell, args: &Args) -> Result<(), Failure> {
    let pool = pool(shell, args)?;
    let name = args.required("pool")?;
    shell.wait(pool.destroy()).context(|| tr!("Failed to destroy pool {name}", name = name))?;
    shell.ui.extra(tr!("Pool {name} destroyed\n", name = name))?;
    Ok(())
}

fn refresh(shell: &mut Shell, args: &Args) -> Result<(), Failure> {
    let pool = pool(shell, args)?;
    let name = args.required("pool")?;
    shell.wait(pool.refresh()).context(|| tr!("Failed to refresh pool {name}", name = name))?;
    shell.ui.extra(tr!("Pool {name} refreshed\n", name = name))?;
    Ok(())
}

fn start(shell: &mut Shell, args: &Args) -> Result<(), Failure> {
    let flags = building(args)?;
    let pool = pool(shell, args)?;
    let name = args.required("pool")?;
    shell.wait(pool.create(flags)).context(|| tr!("Failed to start pool {name}", name = name))?;
    shell.ui.extra(tr!("Pool {name} started\n", name = name))?;
    Ok(())
}

fn undefine(shell: &mut Shell, args: &Args) -> Result<(), Failure> {
    let pool = pool(shell, args)?;
    let name = args.required("pool")?;
    shell.wait(pool.undefine()).context(|| tr!("Failed to undefine pool {name}", name = name))?;
    shell.ui.extra(tr!("Pool {name} has been undefined\n", name = name))?;
    Ok(())
}
