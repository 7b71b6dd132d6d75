//! `pwd`: print the current directory.

use crate::args::Args;
use crate::command::CommandDef;
use crate::failure::Failure;
use crate::i18n::{mark, tr};
use crate::shell::{Shell, errno_text};

pub(crate) const COMMAND: CommandDef =
    CommandDef::new("pwd", mark!("print the current directory"), run)
        .about(mark!("Prints the directory that relative file names refer to."))
        .offline();

fn run(shell: &mut Shell, _: &Args) -> Result<(), Failure> {
    let dir = std::env::current_dir().map_err(|error| {
        let reason = errno_text(&error);
        Failure::Message(tr!("pwd: cannot get current directory: {reason}", reason = reason))
    })?;
    shell.ui.print(format!("{}\n", dir.display()))?;
    Ok(())
}
