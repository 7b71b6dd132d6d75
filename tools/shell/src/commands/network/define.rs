//! `net-define`: define a persistent network from XML.

use oxivirt::DefineFlags;

use super::{VALIDATE, file_option};
use crate::args::Args;
use crate::command::CommandDef;
use crate::failure::{ErrorContext as _, Failure};
use crate::i18n::{mark, tr};
use crate::shell::Shell;

pub(crate) const COMMAND: CommandDef =
    CommandDef::new("net-define", mark!("define a persistent network from an XML file"), run)
        .about(mark!(
            "Stores a network definition, or replaces the one with the same UUID and name."
        ))
        .options(&[file_option(), VALIDATE]);

fn run(shell: &mut Shell, args: &Args) -> Result<(), Failure> {
    let connect = shell.connect()?;
    let (file, xml) = shell.read_file(args, "file")?;
    let flags = if args.flag("validate") { DefineFlags::VALIDATE } else { DefineFlags::NONE };
    let network = shell
        .wait(connect.network_define_xml(&xml, flags))
        .context(|| tr!("Failed to define network from {file}", file = file))
        .map_err(|failure| failure.hint_for_document(&xml))?;
    let name = network.name();
    shell.ui.extra(tr!("Network {name} defined from {file}\n", name = name, file = file))?;
    Ok(())
}
