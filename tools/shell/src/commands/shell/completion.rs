//! `completion`: a script that completes our command lines in another shell.

use crate::args::Args;
use crate::command::{CommandDef, Completer, OptionDef};
use crate::completion_script;
use crate::failure::Failure;
use crate::i18n::{mark, tr};
use crate::shell::Shell;

pub(crate) const COMMAND: CommandDef =
    CommandDef::new("completion", mark!("print a script that completes command lines"), run)
        .about(mark!("Prints a script for bash, zsh or fish, to be read at their start."))
        .options(&[OptionDef::text("shell", mark!("bash, zsh or fish"))
            .positional()
            .required()
            .complete(Completer::Words(completion_script::SHELLS))])
        .offline();

fn run(shell: &mut Shell, args: &Args) -> Result<(), Failure> {
    let name = args.required("shell")?;
    let Some(script) = completion_script::of(&name, shell.dialect) else {
        let known = completion_script::SHELLS.join(", ");
        return Err(Failure::Message(tr!(
            "unknown shell '{name}', there are: {known}",
            name = name,
            known = known
        )));
    };
    shell.ui.data(script)?;
    Ok(())
}
