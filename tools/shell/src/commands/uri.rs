//! `uri`: what the shell is connected to.

use crate::args::Args;
use crate::command::CommandDef;
use crate::failure::{Failure, OrElse as _};
use crate::i18n::{mark, tr};
use crate::shell::Shell;

pub(crate) const COMMAND: CommandDef =
    CommandDef::new("uri", mark!("print the URI of the connection"), run);

fn run(shell: &mut Shell, _: &Args) -> Result<(), Failure> {
    let connect = shell.connect()?;
    let uri = shell.wait(connect.uri()).or_else_say(|| tr!("failed to get URI"))?;
    shell.ui.print(format!("{uri}\n"))?;
    Ok(())
}
