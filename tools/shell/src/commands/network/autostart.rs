//! `net-autostart`: enable or disable autostart of a network.

use oxivirt::{Autostart, ListFlags};

use super::network_option;
use crate::args::Args;
use crate::command::{CommandDef, OptionDef};
use crate::failure::{ErrorContext as _, Failure};
use crate::i18n::{mark, tr};
use crate::shell::Shell;

pub(crate) const COMMAND: CommandDef =
    CommandDef::new("net-autostart", mark!("enable or disable autostart of a network"), run)
        .about(mark!("Marks a persistent network to be started at boot."))
        .options(&[
            network_option(ListFlags::PERSISTENT),
            OptionDef::flag("disable", mark!("disable autostart")),
        ]);

fn run(shell: &mut Shell, args: &Args) -> Result<(), Failure> {
    let network = shell.network(args)?;
    let name = args.required("network")?;
    if args.flag("disable") {
        shell
            .wait(network.set_autostart(Autostart::Disabled))
            .context(|| tr!("failed to unmark network {name} as autostarted", name = name))?;
        shell.ui.extra(tr!("Network {name} unmarked as autostarted\n", name = name))?;
    } else {
        shell
            .wait(network.set_autostart(Autostart::Enabled))
            .context(|| tr!("failed to mark network {name} as autostarted", name = name))?;
        shell.ui.extra(tr!("Network {name} marked as autostarted\n", name = name))?;
    }
    Ok(())
}
