//! `resume`: resume a paused domain.

use oxivirt::DomainListFlags;

use super::{domain, domain_option};
use crate::args::Args;
use crate::command::CommandDef;
use crate::failure::{ErrorContext as _, Failure};
use crate::i18n::{mark, tr};
use crate::shell::Shell;

pub(crate) const COMMAND: CommandDef =
    CommandDef::new("resume", mark!("resume a paused domain"), run)
        .options(&[domain_option(DomainListFlags::PAUSED)]);

fn run(shell: &mut Shell, args: &Args) -> Result<(), Failure> {
    let domain = domain(shell, args)?;
    let name = args.required("domain")?;
    shell.wait(domain.resume()).context(|| tr!("Failed to resume domain '{name}'", name = name))?;
    shell.ui.extra(tr!("Domain '{name}' resumed\n", name = name))?;
    Ok(())
}
