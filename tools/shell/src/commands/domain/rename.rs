//! `domrename`: rename an inactive domain.

use oxivirt::DomainListFlags;

use super::{Keys, domain_option, lookup};
use crate::args::Args;
use crate::command::{CommandDef, OptionDef};
use crate::failure::Failure;
use crate::i18n::{mark, tr};
use crate::shell::Shell;

pub(crate) const COMMAND: CommandDef =
    CommandDef::new("domrename", mark!("rename an inactive domain"), run).options(&[
        domain_option(DomainListFlags::INACTIVE),
        OptionDef::text("new-name", mark!("the new name")).positional().required(),
    ]);

fn run(shell: &mut Shell, args: &Args) -> Result<(), Failure> {
    let domain = lookup(shell, args, Keys { id: false, uuid: true, name: true })?;
    let name = args.required("new-name")?;
    shell.wait(domain.rename(&name))?;
    shell.ui.extra(tr!("Domain successfully renamed\n"))?;
    Ok(())
}
