//! `reset`: reset a domain.

use oxivirt::DomainListFlags;

use super::{domain, domain_option};
use crate::args::Args;
use crate::command::CommandDef;
use crate::failure::{ErrorContext as _, Failure};
use crate::i18n::{mark, tr};
use crate::shell::Shell;

pub(crate) const COMMAND: CommandDef = CommandDef::new("reset", mark!("reset a domain"), run)
    .options(&[domain_option(DomainListFlags::ACTIVE)]);

fn run(shell: &mut Shell, args: &Args) -> Result<(), Failure> {
    let domain = domain(shell, args)?;
    let name = args.required("domain")?;
    shell.wait(domain.reset()).context(|| tr!("Failed to reset domain '{name}'", name = name))?;
    shell.ui.extra(tr!("Domain '{name}' was reset\n", name = name))?;
    Ok(())
}
