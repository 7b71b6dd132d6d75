//! `help`: describe commands.

use crate::args::Args;
use crate::command::{CommandDef, Completer, Dialect, OptionDef};
use crate::commands::{self, Table, groups};
use crate::failure::Failure;
use crate::grammar::parse::Commands as _;
use crate::help;
use crate::i18n::{mark, tr};
use crate::shell::Shell;
use crate::suggest::did_you_mean;

pub(crate) const COMMAND: CommandDef = CommandDef::new("help", mark!("describe commands"), run)
    .about(mark!("Lists all commands or those of a group, or describes one command."))
    .options(&[OptionDef::text("command", mark!("a command, or the keyword of a group"))
        .positional()
        .may_be_empty()
        .complete(Completer::Command)])
    .offline();

fn run(shell: &mut Shell, args: &Args) -> Result<(), Failure> {
    let text = match args.text("command")?.filter(|word| !word.is_empty()) {
        None => help::all_groups(shell.dialect),
        Some(word) => {
            match (Table::of(shell.dialect).command(word.as_bytes()), group(&word, shell.dialect)) {
                (Some(command), _) => help::page(command, shell.dialect),
                (None, Some(text)) => text,
                (None, None) => {
                    let message =
                        tr!("command or command group '{name}' doesn't exist", name = word);
                    let suggestion = commands::suggest(shell.dialect, &word);
                    let hint = suggestion.map(|name| did_you_mean(&name));
                    return Err(Failure::Message(message).hint(hint));
                }
            }
        }
    };
    shell.ui.print(text)?;
    Ok(())
}

fn group(word: &str, dialect: Dialect) -> Option<String> {
    let found = groups(dialect).find(|group| group.keyword == word || group.title == word);
    found.map(help::group)
}
