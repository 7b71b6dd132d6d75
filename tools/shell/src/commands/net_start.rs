//! `net-start`: start a stored network.

use oxivirt::ListFlags;

use super::network_option;
use crate::args::Args;
use crate::command::CommandDef;
use crate::failure::{Failure, OrElse as _};
use crate::i18n::{mark, tr};
use crate::shell::Shell;

pub(crate) const COMMAND: CommandDef =
    CommandDef::new("net-start", mark!("start a stored network"), run)
        .about(mark!("Starts a network that was defined before."))
        .options(&[network_option(ListFlags::INACTIVE)]);

fn run(shell: &mut Shell, args: &Args) -> Result<(), Failure> {
    let network = shell.network(args)?;
    let name = args.required("network")?;
    shell
        .wait(network.create())
        .or_else_say(|| tr!("Failed to start network {name}", name = name))?;
    shell.ui.extra(tr!("Network {name} started\n", name = name))?;
    Ok(())
}
