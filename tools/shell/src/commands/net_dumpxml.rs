//! `net-dumpxml`: print a network's XML.

use oxivirt::{ListFlags, XmlFlags};

use super::{WRAP, XPATH, network_option, print_xml};
use crate::args::Args;
use crate::command::{CommandDef, OptionDef};
use crate::failure::Failure;
use crate::i18n::mark;
use crate::shell::Shell;

pub(crate) const COMMAND: CommandDef =
    CommandDef::new("net-dumpxml", mark!("print a network's XML"), run)
        .about(mark!("Prints the definition of a network as XML."))
        .options(&[
            network_option(ListFlags::NONE),
            OptionDef::flag(
                "inactive",
                mark!("the definition that takes effect at the next start"),
            ),
            XPATH,
            WRAP,
        ]);

fn run(shell: &mut Shell, args: &Args) -> Result<(), Failure> {
    let network = shell.network(args)?;
    let flags = if args.flag("inactive") { XmlFlags::INACTIVE } else { XmlFlags::NONE };
    let xml = shell.wait(network.xml_desc(flags))?;
    print_xml(shell, args, &xml)
}
