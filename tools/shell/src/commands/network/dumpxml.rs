//! `net-dumpxml`: print a network's XML.

use oxivirt::{ListFlags, XmlFlags};

use super::network_option;
use crate::args::Args;
use crate::command::{CommandDef, OptionDef};
use crate::document::{WRAP, XPATH, print_xml};
use crate::failure::Failure;
use crate::format::{Format, OBJECT_FORMAT, print_value};
use crate::i18n::{mark, tr};
use crate::json;
use crate::shell::Shell;

pub(crate) const COMMAND: CommandDef =
    CommandDef::new("net-dumpxml", mark!("print a network's XML"), run)
        .about(mark!("Prints the definition of a network as XML."))
        .options(&[
            network_option(ListFlags::NONE),
            OptionDef::flag("inactive", mark!("print the definition used at the next start")),
            XPATH,
            WRAP,
            OBJECT_FORMAT,
        ]);

fn run(shell: &mut Shell, args: &Args) -> Result<(), Failure> {
    let format = Format::of_object(args)?;
    let network = shell.network(args)?;
    let flags = if args.flag("inactive") { XmlFlags::INACTIVE } else { XmlFlags::NONE };
    let xml = shell.wait(network.xml_desc(flags))?;
    if let Some(format) = format {
        let value = json::of_document(&xml).map_err(|error| {
            Failure::Message(tr!("cannot parse the XML: {error}", error = error))
        })?;
        return print_value(shell, format, &value);
    }
    print_xml(shell, args, &xml)
}
