//! `capabilities`: capabilities of the host.

use crate::args::Args;
use crate::command::CommandDef;
use crate::document::{WRAP, XPATH, print_xml};
use crate::failure::{ErrorContext as _, Failure};
use crate::i18n::{mark, tr};
use crate::shell::Shell;

pub(crate) const COMMAND: CommandDef =
    CommandDef::new("capabilities", mark!("print the capabilities of the host as XML"), run)
        .about(mark!("Prints the capabilities of the host and the driver as XML."))
        .options(&[XPATH, WRAP]);

fn run(shell: &mut Shell, args: &Args) -> Result<(), Failure> {
    let connect = shell.connect()?;
    let answer = shell.wait(connect.capabilities());
    let xml = answer.context(|| tr!("failed to get capabilities"))?;
    print_xml(shell, args, &xml)
}
