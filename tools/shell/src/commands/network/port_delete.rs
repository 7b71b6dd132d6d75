//! `net-port-delete`: delete a network port.

use oxivirt::ListFlags;

use super::{network_option, port_lookup, port_option};
use crate::args::Args;
use crate::command::CommandDef;
use crate::failure::{ErrorContext as _, Failure};
use crate::i18n::{mark, tr};
use crate::shell::Shell;

pub(crate) const COMMAND: CommandDef =
    CommandDef::new("net-port-delete", mark!("delete a network port"), run)
        .about(mark!("Deletes a port of an active network."))
        .options(&[network_option(ListFlags::ACTIVE), port_option()]);

fn run(shell: &mut Shell, args: &Args) -> Result<(), Failure> {
    let port = port_lookup(shell, args)?;
    let uuid = port.uuid();
    shell
        .wait(port.delete())
        .context(|| tr!("Failed to delete network port {uuid}", uuid = uuid))?;
    shell.ui.extra(tr!("Network port {uuid} deleted\n", uuid = uuid))?;
    Ok(())
}
