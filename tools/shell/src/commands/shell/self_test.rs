//! `self-test`: check the command table.

use std::collections::BTreeSet;

use crate::args::Args;
use crate::command::{CommandDef, Kind, OptionDef, Place, Presence};
use crate::failure::Failure;
use crate::help;
use crate::i18n::{mark, tr};
use crate::man;
use crate::shell::Shell;

pub(crate) const COMMAND: CommandDef =
    CommandDef::new("self-test", mark!("check the command table"), run)
        .about(mark!("Checks the definitions of all commands and options."))
        .options(&[
            OptionDef::flag("completers-missing", mark!("list options without completion")),
            OptionDef::flag("dump-help", mark!("print the help page of every command")),
            OptionDef::flag("man", mark!("print the manual page")).ours(),
        ])
        .offline()
        .hidden();

fn run(shell: &mut Shell, args: &Args) -> Result<(), Failure> {
    let dialect = shell.dialect;
    if args.flag("man") {
        shell.ui.data(man::page())?;
        return Ok(());
    }
    for command in crate::commands::all(dialect) {
        if let Some(problem) = problem(command) {
            let name = command.name;
            return Err(Failure::Message(tr!(
                "command '{name}': {problem}",
                name = name,
                problem = problem
            )));
        }
        if args.flag("dump-help") {
            shell.ui.print(help::page(command, dialect))?;
        }
        if args.flag("completers-missing") {
            let text = |option: &&OptionDef| matches!(option.kind, Kind::Text | Kind::List);
            let bare = |option: &&OptionDef| option.completer == crate::command::Completer::None;
            for option in command.options.iter().filter(text).filter(bare) {
                shell.ui.print(format!("{} --{}\n", command.name, option.name))?;
            }
        }
    }
    Ok(())
}

/// The first mistake in the definition of a command.
fn problem(command: &CommandDef) -> Option<String> {
    if command.help.is_empty() {
        return Some(tr!("no help text"));
    }
    let mut names = BTreeSet::new();
    let mut optional_seen = false;
    for option in command.options {
        let name = option.name;
        if !names.insert(name) {
            return Some(tr!("option --{name} is defined twice", name = name));
        }
        if let Kind::Alias { of, .. } = option.kind {
            if command.option(of.as_bytes()).is_none() {
                return Some(tr!("option --{name} is an alias of an unknown option", name = name));
            }
            continue;
        }
        if option.help.is_empty() {
            return Some(tr!("option --{name} has no help text", name = name));
        }
        let required = option.presence == Presence::Required;
        if option.place != Place::Named && required && optional_seen {
            return Some(tr!("required option --{name} follows an optional one", name = name));
        }
        optional_seen |= option.place == Place::Positional && !required;
    }
    let lists = command.options.iter().filter(|option| option.kind == Kind::List).count();
    (lists > 1).then(|| tr!("more than one list option"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::Dialect;

    #[test]
    fn every_definition_is_valid() {
        for command in crate::commands::all(Dialect::Oxish) {
            assert_eq!(problem(command), None, "{}", command.name);
        }
    }

    #[test]
    fn mistakes_are_found() {
        const TWICE: CommandDef =
            COMMAND.options(&[OptionDef::flag("a", "x"), OptionDef::flag("a", "x")]);
        assert_eq!(problem(&TWICE).as_deref(), Some("option --a is defined twice"));
        const ALIAS: CommandDef = COMMAND.options(&[OptionDef::alias("a", "b", None)]);
        assert_eq!(problem(&ALIAS).as_deref(), Some("option --a is an alias of an unknown option"));
    }
}
