//! `complete`: completion candidates of an unfinished command line, for the completion scripts of other shells.

use crate::args::Args;
use crate::command::{CommandDef, OptionDef};
use crate::complete::{CompletionMode, candidates};
use crate::failure::Failure;
use crate::grammar::token::{Token, Tokenizer};
use crate::i18n::mark;
use crate::shell::Shell;

pub(crate) const COMMAND: CommandDef =
    CommandDef::new("complete", mark!("list completions of a command line"), run)
        .about(mark!("Prints what can follow its words, one candidate per line."))
        .options(&[
            OptionDef::list(
                "string",
                mark!("the words of the command line, the last one incomplete"),
            )
            .positional()
            .may_be_empty(),
            OptionDef::flag("values", mark!("offer values for an empty word as well")).ours(),
        ])
        .offline()
        .hidden();

fn run(shell: &mut Shell, args: &Args) -> Result<(), Failure> {
    let words = args.words("string");
    let word = words.last().copied().unwrap_or_default();
    let line = words.join(&b' ');
    // virsh compares the word as typed, so a word with an escaped blank has no completion there
    let (mode, text) = if args.flag("values") {
        (CompletionMode::LineEditor, unquoted(word))
    } else {
        (CompletionMode::Virsh, word.to_vec())
    };
    // messages would disturb the line that is being completed
    let errors = shell.ui.silence_errors();
    let found = candidates(shell, &line, &text, mode);
    shell.ui.restore_errors(errors);
    if found.is_empty() {
        return Err(Failure::Reported);
    }
    for candidate in found {
        shell.ui.print(escaped(&candidate) + "\n")?;
    }
    Ok(())
}

/// A candidate with its blanks escaped, as virsh prints it.
fn escaped(candidate: &str) -> String {
    candidate.replace(' ', "\\ ")
}

/// A word without its quotes and backslashes.
fn unquoted(word: &[u8]) -> Vec<u8> {
    match Tokenizer::new(word).lenient().next() {
        Some(Ok(Token::Word(text))) => text,
        _ => word.to_vec(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blanks_are_escaped_and_understood() {
        assert_eq!(escaped("guest lan"), "guest\\ lan");
        assert_eq!(unquoted(b"guest\\ l"), b"guest l");
        assert_eq!(unquoted(b"'guest l"), b"guest l");
        assert_eq!(unquoted(b""), b"");
    }
}
