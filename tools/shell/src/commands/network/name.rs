//! `net-name`: convert a network UUID to the name.

use oxivirt::ListFlags;

use super::network_option;
use crate::args::Args;
use crate::command::{CommandDef, Completer};
use crate::failure::Failure;
use crate::i18n::mark;
use crate::shell::{Lookup, Shell};

pub(crate) const COMMAND: CommandDef =
    CommandDef::new("net-name", mark!("convert a network UUID to the name"), run)
        .options(&[network_option(ListFlags::NONE).complete(Completer::NetworkUuid)]);

fn run(shell: &mut Shell, args: &Args) -> Result<(), Failure> {
    let network = shell.lookup(args, Lookup::Uuid)?;
    shell.ui.print(format!("{}\n", network.name()))?;
    Ok(())
}
