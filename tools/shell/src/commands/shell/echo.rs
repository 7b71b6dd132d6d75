//! `echo`: print words, with optional quoting.

use crate::args::Args;
use crate::command::{CommandDef, OptionDef};
use crate::failure::Failure;
use crate::i18n::mark;
use crate::quote::{quote_for_shell, quote_for_xml};
use crate::shell::Shell;

pub(crate) const COMMAND: CommandDef =
    CommandDef::new("echo", mark!("print words, with optional quoting"), run)
        .about(mark!("Prints the words, separated by blanks."))
        .options(&[
            OptionDef::flag("shell", mark!("quote for a shell")),
            OptionDef::flag("xml", mark!("quote for XML")),
            OptionDef::flag("split", mark!("print each comma-separated part on a line of its own")),
            OptionDef::flag("err", mark!("print as an error message")),
            OptionDef::alias("str", "string", None),
            OptionDef::alias("hi", "string", Some("hello")),
            OptionDef::text("prefix", mark!("text to print before the words")),
            OptionDef::list("string", mark!("the words")).positional().may_be_empty(),
        ])
        .offline();

fn run(shell: &mut Shell, args: &Args) -> Result<(), Failure> {
    args.exclusive("shell", "xml")?;
    args.exclusive("shell", "split")?;
    args.exclusive("xml", "split")?;
    let quote = |word: &[u8]| {
        let word = String::from_utf8_lossy(word).into_owned();
        if args.flag("shell") {
            quote_for_shell(&word)
        } else if args.flag("xml") {
            quote_for_xml(&word)
        } else if args.flag("split") {
            split_at_commas(&word)
        } else {
            word
        }
    };
    // an empty prefix is reported and ignored, as in virsh
    let prefix = match args.text("prefix") {
        Ok(prefix) => prefix,
        Err(failure) => {
            shell.report(failure)?;
            None
        }
    };
    let words = args.words("string").into_iter().map(quote);
    let text = prefix.into_iter().chain(words).collect::<Vec<_>>().join(" ");
    if !args.flag("err") {
        shell.ui.print(text)?;
    } else if args.has_any() {
        shell.ui.error(&text)?;
    }
    Ok(())
}

/// Splits at commas into lines; a double comma is a literal one.
fn split_at_commas(word: &str) -> String {
    let mut out = String::new();
    let mut chars = word.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            ',' if chars.next_if_eq(&',').is_some() => out.push(','),
            ',' => out.push('\n'),
            c => out.push(c),
        }
    }
    out.push('\n');
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commas_separate_lines() {
        assert_eq!(split_at_commas("a,b,,c"), "a\nb,c\n");
    }
}
