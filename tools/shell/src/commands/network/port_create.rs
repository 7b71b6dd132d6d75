//! `net-port-create`: create a network port from XML.

use oxivirt::{ListFlags, PortCreateFlags};

use super::{VALIDATE, network_option};
use crate::args::Args;
use crate::command::{CommandDef, Completer, OptionDef};
use crate::failure::{ErrorContext as _, Failure};
use crate::i18n::{mark, tr};
use crate::shell::Shell;

pub(crate) const COMMAND: CommandDef =
    CommandDef::new("net-port-create", mark!("create a network port from an XML file"), run)
        .about(mark!("Creates a port in an active network."))
        .options(&[
            network_option(ListFlags::ACTIVE),
            OptionDef::text("file", mark!("file containing an XML port description"))
                .positional()
                .required()
                .complete(Completer::Path),
            VALIDATE,
        ]);

fn run(shell: &mut Shell, args: &Args) -> Result<(), Failure> {
    let network = shell.network(args)?;
    let (file, xml) = shell.read_file(args, "file")?;
    let flags =
        if args.flag("validate") { PortCreateFlags::VALIDATE } else { PortCreateFlags::NONE };
    let port = shell
        .wait(network.port_create_xml(&xml, flags))
        .context(|| tr!("Failed to create network from {file}", file = file))
        .map_err(|failure| failure.hint_for_document(&xml))?;
    let uuid = port.uuid();
    shell.ui.extra(tr!("Network port {uuid} created from {file}\n", uuid = uuid, file = file))?;
    Ok(())
}
