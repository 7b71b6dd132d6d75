//! `echo`: print words, with optional quoting.

use crate::args::Args;
use crate::command::{CommandDef, OptionDef};
use crate::failure::Failure;
use crate::i18n::mark;
use crate::shell::Shell;

pub(crate) const COMMAND: CommandDef =
    CommandDef::new("echo", mark!("print words, with optional quoting"), run)
        .about(mark!("Prints its words, joined by blanks."))
        .options(&[
            OptionDef::flag("shell", mark!("quote for a shell")),
            OptionDef::flag("xml", mark!("quote for XML")),
            OptionDef::flag("err", mark!("print as an error")),
            OptionDef::list("string", mark!("the words")).positional().may_be_empty(),
        ])
        .offline();

fn run(shell: &mut Shell, args: &Args) -> Result<(), Failure> {
    args.exclusive("shell", "xml")?;
    let quote = |word: &[u8]| {
        let word = String::from_utf8_lossy(word).into_owned();
        if args.flag("shell") {
            quote_for_shell(&word)
        } else if args.flag("xml") {
            quote_for_xml(&word)
        } else {
            word
        }
    };
    let words = args.words("string");
    let text = words.into_iter().map(quote).collect::<Vec<_>>().join(" ");
    if args.flag("err") {
        shell.ui.error(&text)?;
    } else {
        shell.ui.print(text)?;
    }
    Ok(())
}

fn quote_for_shell(word: &str) -> String {
    const SPECIAL: &str = "\r\t\n !\"#$&'()*;<>?[\\]^`{|}~";
    if word.is_empty() || word.contains(|c| SPECIAL.contains(c)) {
        format!("'{}'", word.replace('\'', "'\\''"))
    } else {
        word.to_owned()
    }
}

fn quote_for_xml(word: &str) -> String {
    let mut out = String::new();
    for c in word.chars() {
        match c {
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '&' => out.push_str("&amp;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&apos;"),
            '\t' | '\n' | '\r' => out.push(c),
            '\u{1}'..='\u{19}' => {}
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quoting() {
        assert_eq!(quote_for_shell("a"), "a");
        assert_eq!(quote_for_shell(""), "''");
        assert_eq!(quote_for_shell("it's"), "'it'\\''s'");
        assert_eq!(quote_for_xml("<a b='c'>\u{1}&"), "&lt;a b=&apos;c&apos;&gt;&amp;");
    }
}
