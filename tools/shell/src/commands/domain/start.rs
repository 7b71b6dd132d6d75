//! `start`: start an inactive domain.

use oxivirt::{ConsoleFlags, DomainListFlags};

use super::create::flags;
use super::{AUTODESTROY, CONSOLE, Keys, PAUSED, RESET_NVRAM, console, domain_option, lookup};
use crate::args::Args;
use crate::command::{CommandDef, OptionDef};
use crate::failure::{ErrorContext as _, Failure};
use crate::i18n::{mark, tr};
use crate::shell::Shell;

pub(crate) const COMMAND: CommandDef =
    CommandDef::new("start", mark!("start an inactive domain"), run).options(&[
        domain_option(DomainListFlags::INACTIVE),
        CONSOLE,
        PAUSED,
        AUTODESTROY,
        OptionDef::flag("bypass-cache", mark!("read a saved state without the page cache")),
        OptionDef::flag("force-boot", mark!("discard a saved state")),
        RESET_NVRAM,
    ]);

fn run(shell: &mut Shell, args: &Args) -> Result<(), Failure> {
    let domain = lookup(shell, args, Keys { id: false, uuid: true, name: true })?;
    if domain.id().is_some() {
        return Err(Failure::Message(tr!("Domain is already active")));
    }
    let name = domain.name();
    let started = shell
        .wait(domain.create(flags(args)))
        .context(|| tr!("Failed to start domain '{name}'", name = name))?;
    shell.ui.extra(tr!("Domain '{name}' started\n", name = name))?;
    if args.flag("console") {
        return console::connect(shell, &started, None, ConsoleFlags::empty());
    }
    Ok(())
}
