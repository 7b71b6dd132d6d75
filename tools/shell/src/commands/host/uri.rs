//! `uri`: URI of the connection.

use crate::args::Args;
use crate::command::CommandDef;
use crate::failure::{ErrorContext as _, Failure};
use crate::i18n::{mark, tr};
use crate::shell::Shell;

pub(crate) const COMMAND: CommandDef =
    CommandDef::new("uri", mark!("print the URI of the connection"), run);

fn run(shell: &mut Shell, _: &Args) -> Result<(), Failure> {
    let connect = shell.connect()?;
    let uri = shell.wait(connect.uri()).context(|| tr!("failed to get URI"))?;
    shell.ui.print(format!("{uri}\n"))?;
    Ok(())
}
