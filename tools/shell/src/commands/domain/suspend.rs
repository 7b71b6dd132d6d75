//! `suspend`: pause a domain.

use oxivirt::DomainListFlags;

use super::{domain, domain_option};
use crate::args::Args;
use crate::command::CommandDef;
use crate::failure::{ErrorContext as _, Failure};
use crate::i18n::{mark, tr};
use crate::shell::Shell;

pub(crate) const COMMAND: CommandDef = CommandDef::new("suspend", mark!("pause a domain"), run)
    .options(&[domain_option(DomainListFlags::RUNNING)]);

fn run(shell: &mut Shell, args: &Args) -> Result<(), Failure> {
    let domain = domain(shell, args)?;
    let name = args.required("domain")?;
    shell
        .wait(domain.suspend())
        .context(|| tr!("Failed to suspend domain '{name}'", name = name))?;
    shell.ui.extra(tr!("Domain '{name}' suspended\n", name = name))?;
    Ok(())
}
