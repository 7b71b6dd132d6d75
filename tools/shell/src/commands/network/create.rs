//! `net-create`: create a transient network from XML.

use oxivirt::CreateFlags;

use super::{VALIDATE, file_option};
use crate::args::Args;
use crate::command::CommandDef;
use crate::failure::{ErrorContext as _, Failure};
use crate::i18n::{mark, tr};
use crate::shell::Shell;

pub(crate) const COMMAND: CommandDef =
    CommandDef::new("net-create", mark!("create a transient network from an XML file"), run)
        .about(mark!("Starts a transient network, which has no stored definition."))
        .options(&[file_option(), VALIDATE]);

fn run(shell: &mut Shell, args: &Args) -> Result<(), Failure> {
    let connect = shell.connect()?;
    let (file, xml) = shell.read_file(args, "file")?;
    let flags = if args.flag("validate") { CreateFlags::VALIDATE } else { CreateFlags::NONE };
    let network = shell
        .wait(connect.network_create_xml(&xml, flags))
        .context(|| tr!("Failed to create network from {file}", file = file))
        .map_err(|failure| failure.hint_for_document(&xml))?;
    let name = network.name();
    shell.ui.extra(tr!("Network {name} created from {file}\n", name = name, file = file))?;
    Ok(())
}
