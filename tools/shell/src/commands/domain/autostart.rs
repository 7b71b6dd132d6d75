//! `autostart`: enable or disable autostart of a domain.

use oxivirt::{Autostart, DomainListFlags};

use super::{domain, domain_option};
use crate::args::Args;
use crate::command::{CommandDef, OptionDef};
use crate::failure::{ErrorContext as _, Failure};
use crate::i18n::{mark, tr};
use crate::shell::Shell;

pub(crate) const COMMAND: CommandDef =
    CommandDef::new("autostart", mark!("enable or disable autostart of a domain"), run).options(&[
        domain_option(DomainListFlags::PERSISTENT),
        OptionDef::flag("disable", mark!("disable autostart")),
    ]);

fn run(shell: &mut Shell, args: &Args) -> Result<(), Failure> {
    let domain = domain(shell, args)?;
    let name = args.required("domain")?;
    if args.flag("disable") {
        shell
            .wait(domain.set_autostart(Autostart::Disabled))
            .context(|| tr!("Failed to unmark domain '{name}' as autostarted", name = name))?;
        shell.ui.extra(tr!("Domain '{name}' unmarked as autostarted\n", name = name))?;
    } else {
        shell
            .wait(domain.set_autostart(Autostart::Enabled))
            .context(|| tr!("Failed to mark domain '{name}' as autostarted", name = name))?;
        shell.ui.extra(tr!("Domain '{name}' marked as autostarted\n", name = name))?;
    }
    Ok(())
}
