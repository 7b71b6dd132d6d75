//! `pool-edit`: change a pool's XML in an editor.

use oxivirt::{ErrorCode, StoragePoolDefineFlags, StoragePoolListFlags, StorageXmlFlags};

use super::{pool, pool_option};
use crate::args::Args;
use crate::command::CommandDef;
use crate::editor::{self, EditRequest, Verdict};
use crate::failure::Failure;
use crate::i18n::{mark, tr};
use crate::shell::Shell;

pub(crate) const COMMAND: CommandDef =
    CommandDef::new("pool-edit", mark!("change a pool's XML in an editor"), run)
        .about(mark!("Opens the stored definition of a pool in an editor and stores the result."))
        .options(&[pool_option(StoragePoolListFlags::empty())]);

/// virsh: `cmdPoolEdit`, tools/virsh-pool.c
fn run(shell: &mut Shell, args: &Args) -> Result<(), Failure> {
    let pool = pool(shell, args)?;
    let connect = shell.connect()?;
    let fetch = |shell: &mut Shell| match shell.wait(pool.xml_desc(StorageXmlFlags::INACTIVE)) {
        // the driver in memory has one definition only
        Err(error) if error.code() == ErrorCode::INVALID_ARG => {
            Ok(shell.wait(pool.xml_desc(StorageXmlFlags::empty()))?)
        }
        answer => Ok(answer?),
    };
    let apply = |shell: &mut Shell, text: &str| {
        let defined = connect.storage_pool_define_xml(text, StoragePoolDefineFlags::empty());
        Ok(shell.wait(defined)?)
    };
    let verdict =
        editor::edit(shell, &EditRequest { fetch: &fetch, apply: &apply, preview: None })?;
    let line = match verdict {
        Verdict::Unchanged => {
            tr!("Pool {name} XML configuration not changed.\n", name = pool.name())
        }
        Verdict::Applied(pool) => {
            tr!("Pool {name} XML configuration edited.\n", name = pool.name())
        }
    };
    shell.ui.extra(line)?;
    Ok(())
}
