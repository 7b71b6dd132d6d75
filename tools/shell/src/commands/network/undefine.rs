//! `net-undefine`: undefine a persistent network.

use oxivirt::ListFlags;

use super::network_option;
use crate::args::Args;
use crate::command::CommandDef;
use crate::failure::{ErrorContext as _, Failure};
use crate::i18n::{mark, tr};
use crate::shell::Shell;

pub(crate) const COMMAND: CommandDef =
    CommandDef::new("net-undefine", mark!("undefine a persistent network"), run)
        .about(mark!("Removes the stored definition of a network."))
        .options(&[network_option(ListFlags::PERSISTENT)]);

fn run(shell: &mut Shell, args: &Args) -> Result<(), Failure> {
    let network = shell.network(args)?;
    let name = args.required("network")?;
    shell
        .wait(network.undefine())
        .context(|| tr!("Failed to undefine network {name}", name = name))?;
    shell.ui.extra(tr!("Network {name} has been undefined\n", name = name))?;
    Ok(())
}
