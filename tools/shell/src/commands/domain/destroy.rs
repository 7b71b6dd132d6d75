//! `destroy`: stop a domain immediately.

use oxivirt::{DomainDestroyFlags, DomainListFlags};

use super::{domain, domain_option};
use crate::args::Args;
use crate::command::{CommandDef, OptionDef};
use crate::failure::{ErrorContext as _, Failure};
use crate::i18n::{mark, tr};
use crate::shell::Shell;

pub(crate) const COMMAND: CommandDef =
    CommandDef::new("destroy", mark!("stop a domain immediately"), run).options(&[
        domain_option(DomainListFlags::ACTIVE),
        OptionDef::flag("graceful", mark!("fail if the process does not end when asked")),
        OptionDef::flag("remove-logs", mark!("remove the logs of the domain")),
    ]);

fn run(shell: &mut Shell, args: &Args) -> Result<(), Failure> {
    let domain = domain(shell, args)?;
    let mut flags = DomainDestroyFlags::empty();
    if args.flag("graceful") {
        flags |= DomainDestroyFlags::GRACEFUL;
    }
    if args.flag("remove-logs") {
        flags |= DomainDestroyFlags::REMOVE_LOGS;
    }
    let name = args.required("domain")?;
    shell
        .wait(domain.destroy(flags))
        .context(|| tr!("Failed to destroy domain '{name}'", name = name))?;
    shell.ui.extra(tr!("Domain '{name}' destroyed\n", name = name))?;
    Ok(())
}
