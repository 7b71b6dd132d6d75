//! `domname`: print a domain's name.

use oxivirt::DomainListFlags;

use super::{Keys, domain_option, lookup};
use crate::args::Args;
use crate::command::CommandDef;
use crate::failure::Failure;
use crate::i18n::mark;
use crate::shell::Shell;

pub(crate) const COMMAND: CommandDef =
    CommandDef::new("domname", mark!("print a domain's name"), run)
        .options(&[domain_option(DomainListFlags::empty())]);

fn run(shell: &mut Shell, args: &Args) -> Result<(), Failure> {
    let domain = lookup(shell, args, Keys { id: true, uuid: true, name: false })?;
    shell.ui.print(format!("{}\n", domain.name()))?;
    Ok(())
}
