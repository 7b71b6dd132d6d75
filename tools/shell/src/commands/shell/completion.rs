//! `completion`: print a completion script for another shell.

use crate::args::Args;
use crate::command::{CommandDef, Completer, OptionDef};
use crate::completion_script;
use crate::failure::Failure;
use crate::i18n::{mark, tr};
use crate::shell::Shell;
use crate::suggest::valid_values;

pub(crate) const COMMAND: CommandDef = CommandDef::new(
    "completion",
    mark!("print a completion script for another shell"),
    run,
)
.about(mark!(
    "Prints a completion script for bash, zsh or fish, to be sourced when that shell starts."
))
.options(&[OptionDef::text("shell", mark!("bash, zsh or fish"))
    .positional()
    .required()
    .complete(Completer::Words(completion_script::SHELLS))])
.offline();

fn run(shell: &mut Shell, args: &Args) -> Result<(), Failure> {
    let name = args.required("shell")?;
    let Some(script) = completion_script::of(&name, shell.dialect) else {
        let failure = Failure::Message(tr!("no completion script for shell '{name}'", name = name));
        return Err(failure.hint(valid_values(&name, completion_script::SHELLS)));
    };
    shell.ui.data(script)?;
    Ok(())
}
