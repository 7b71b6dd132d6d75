//! `net-port-dumpxml`: print a port's XML.

use oxivirt::ListFlags;

use super::{network_option, port_lookup, port_option};
use crate::args::Args;
use crate::command::CommandDef;
use crate::document::{WRAP, XPATH, print_xml};
use crate::failure::Failure;
use crate::i18n::mark;
use crate::shell::Shell;

pub(crate) const COMMAND: CommandDef =
    CommandDef::new("net-port-dumpxml", mark!("print a port's XML"), run)
        .about(mark!("Prints the description of a port as XML."))
        .options(&[network_option(ListFlags::ACTIVE), port_option(), XPATH, WRAP]);

fn run(shell: &mut Shell, args: &Args) -> Result<(), Failure> {
    let port = port_lookup(shell, args)?;
    let xml = shell.wait(port.xml_desc())?;
    print_xml(shell, args, &xml)
}
