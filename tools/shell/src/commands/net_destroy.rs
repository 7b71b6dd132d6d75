//! `net-destroy`: stop a network.

use oxivirt::ListFlags;

use super::network_option;
use crate::args::Args;
use crate::command::CommandDef;
use crate::failure::{Failure, OrElse as _};
use crate::i18n::{mark, tr};
use crate::shell::Shell;

pub(crate) const COMMAND: CommandDef = CommandDef::new("net-destroy", mark!("stop a network"), run)
    .about(mark!("Stops a running network; a stored one stays defined."))
    .options(&[network_option(ListFlags::ACTIVE)]);

fn run(shell: &mut Shell, args: &Args) -> Result<(), Failure> {
    let network = shell.network(args)?;
    let name = args.required("network")?;
    shell
        .wait(network.destroy())
        .or_else_say(|| tr!("Failed to destroy network {name}", name = name))?;
    shell.ui.extra(tr!("Network {name} destroyed\n", name = name))?;
    Ok(())
}
