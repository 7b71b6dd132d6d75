//! `create`: start a domain from an XML file.

use oxivirt::DomainCreateFlags;

use super::{AUTODESTROY, CONSOLE, PAUSED, RESET_NVRAM, VALIDATE, console, file_option};
use crate::args::Args;
use crate::command::CommandDef;
use crate::failure::{ErrorContext as _, Failure};
use crate::i18n::{mark, tr};
use crate::shell::Shell;

pub(crate) const COMMAND: CommandDef =
    CommandDef::new("create", mark!("start a domain from an XML file"), run)
        .about(mark!("Starts a domain without storing its definition."))
        .options(&[file_option(), CONSOLE, PAUSED, AUTODESTROY, VALIDATE, RESET_NVRAM]);

/// Options of starting commands and the flags they add.
pub(super) const FLAGS: [(&str, DomainCreateFlags); 6] = [
    ("paused", DomainCreateFlags::PAUSED),
    ("autodestroy", DomainCreateFlags::AUTODESTROY),
    ("bypass-cache", DomainCreateFlags::BYPASS_CACHE),
    ("force-boot", DomainCreateFlags::FORCE_BOOT),
    ("validate", DomainCreateFlags::VALIDATE),
    ("reset-nvram", DomainCreateFlags::RESET_NVRAM),
];

/// The flags that the options of a starting command select.
pub(super) fn flags(args: &Args) -> DomainCreateFlags {
    let mut flags = DomainCreateFlags::empty();
    for (option, flag) in FLAGS {
        if args.command().option(option.as_bytes()).is_some() && args.flag(option) {
            flags |= flag;
        }
    }
    flags
}

fn run(shell: &mut Shell, args: &Args) -> Result<(), Failure> {
    let connect = shell.connect()?;
    let (file, xml) = shell.read_file(args, "file")?;
    let domain = shell
        .wait(connect.domain_create_xml(&xml, flags(args)))
        .context(|| tr!("Failed to create domain from {file}", file = file))?;
    let name = domain.name();
    shell.ui.extra(tr!("Domain '{name}' created from {file}\n", name = name, file = file))?;
    if args.flag("console") {
        return console::connect(shell, &domain, None, oxivirt::ConsoleFlags::empty());
    }
    Ok(())
}
