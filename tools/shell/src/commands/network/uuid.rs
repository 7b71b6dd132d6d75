//! `net-uuid`: convert a network name to the UUID.

use oxivirt::ListFlags;

use super::network_option;
use crate::args::Args;
use crate::command::CommandDef;
use crate::failure::Failure;
use crate::i18n::mark;
use crate::shell::{Lookup, Shell};

pub(crate) const COMMAND: CommandDef =
    CommandDef::new("net-uuid", mark!("convert a network name to the UUID"), run)
        .options(&[network_option(ListFlags::NONE)]);

fn run(shell: &mut Shell, args: &Args) -> Result<(), Failure> {
    let network = shell.lookup(args, Lookup::Name)?;
    shell.ui.print(format!("{}\n", network.uuid()))?;
    Ok(())
}
