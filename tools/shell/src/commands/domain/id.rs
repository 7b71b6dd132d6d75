//! `domid`: print a domain's number.

use oxivirt::DomainListFlags;

use super::list::id_text;
use super::{Keys, domain_option, lookup};
use crate::args::Args;
use crate::command::CommandDef;
use crate::failure::Failure;
use crate::i18n::mark;
use crate::shell::Shell;

pub(crate) const COMMAND: CommandDef =
    CommandDef::new("domid", mark!("print a domain's number"), run)
        .options(&[domain_option(DomainListFlags::ACTIVE)]);

fn run(shell: &mut Shell, args: &Args) -> Result<(), Failure> {
    let domain = lookup(shell, args, Keys { id: false, uuid: true, name: true })?;
    shell.ui.print(id_text(domain.id()) + "\n")?;
    Ok(())
}
