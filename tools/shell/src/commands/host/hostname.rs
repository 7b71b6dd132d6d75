//! `hostname`: the name of the host.

use crate::args::Args;
use crate::command::CommandDef;
use crate::failure::{ErrorContext as _, Failure};
use crate::i18n::{mark, tr};
use crate::shell::Shell;

pub(crate) const COMMAND: CommandDef =
    CommandDef::new("hostname", mark!("print the host name"), run);

fn run(shell: &mut Shell, _: &Args) -> Result<(), Failure> {
    let connect = shell.connect()?;
    let name = shell.wait(connect.hostname()).context(|| tr!("failed to get hostname"))?;
    shell.ui.print(format!("{name}\n"))?;
    Ok(())
}
