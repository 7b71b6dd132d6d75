//! The manual page, from the command table.
//!
//! `docs/man/oxish.1` is what [`page`] gives; a test says when it is not. The page is in English, as the
//! texts in the table are.
//!
//! man(7), groff_man(7)

use std::fmt::Write as _;

use crate::command::{CommandDef, Dialect, Kind, Visibility};
#[cfg(test)]
use crate::commands::all;
use crate::commands::groups;
use crate::help;
use crate::options::global_options;

/// The page in the language of man(7).
pub(crate) fn page() -> String {
    let mut out = String::from(
        ".\\\" Made by `oxish self-test --man`; changes belong into the command table.\n\
         .TH OXISH 1 \"\" \"Oxivirt\" \"User Commands\"\n\
         .SH NAME\noxish \\- a shell for virtual networks, with virsh's commands\n",
    );
    out.push_str(
        ".SH SYNOPSIS\n.B oxish\n.RI [ options ]\n.br\n.B oxish\n.RI [ options ] \" command-string\"\n.br\n\
         .B oxish\n.RI [ options ] \" command\" \" \" [ arguments ]\n",
    );
    section(&mut out, "DESCRIPTION", INTRODUCTION);
    out.push_str(".SH OPTIONS\n");
    for option in global_options() {
        let value = if option.takes_value { " \\fIvalue\\fR" } else { "" };
        let long = match option.long {
            "" => String::new(),
            "version" => ", \\fB\\-\\-version\\fR[=\\fItype\\fR]".to_owned(),
            long => format!(", \\fB\\-\\-{}\\fR{value}", escape(long)),
        };
        let _infallible = writeln!(
            out,
            ".TP\n\\fB\\-{}\\fR{}{long}\n{}.",
            option.short,
            if option.long.is_empty() || option.long == "version" { "" } else { value },
            capital(option.help)
        );
    }
    out.push_str(".SH COMMANDS\n");
    for group in groups(Dialect::Oxish) {
        let _infallible = writeln!(out, ".SS {}", escape(group.title));
        for command in group.commands.iter().filter(|c| c.visibility == Visibility::Shown) {
            push_command(&mut out, command);
        }
    }
    section(&mut out, "EXIT STATUS", EXIT_STATUS);
    section(&mut out, "ENVIRONMENT", ENVIRONMENT);
    section(&mut out, "FILES", FILES);
    section(&mut out, "EXAMPLES", EXAMPLES);
    section(&mut out, "SEE ALSO", ".BR virsh (1), \\fBdnsmasq\\fR(8), \\fBnft\\fR(8)\n");
    out
}

const INTRODUCTION: &str = "\
oxish manages virtual networks. Its commands, options, output and exit status are those of virsh, so a script for \
virsh's network commands runs unchanged; called by the name virsh it has those and nothing else. Called as oxish it has \
options and commands of its own, which are in the group Oxivirt or marked with \\(lqoxish\\(rq below.
.PP
Without a command it reads lines: on a terminal with history, completion by TAB, and ^C to clear the line. One word behind \
the options is a string of commands, separated by \\(lq;\\(rq or line ends, in which words may be quoted and \\(lq#\\(rq \
begins a comment. Several words are one command.
";

const EXIT_STATUS: &str = "\
0 if the last command worked, 1 if it failed or nothing could be run, 128 and the number of a signal that ended it. \
A session of lines ends with 0.
";

const ENVIRONMENT: &str = "\
.TP\n.BR VIRSH_DEFAULT_CONNECT_URI \", \" LIBVIRT_DEFAULT_URI\nWhat is connected to without \\fB\\-c\\fR.
.TP\n.BR VISUAL \", \" EDITOR\nThe editor, \\fBvi\\fR without them.
.TP\n.B VIRSH_HISTSIZE\nLines of history that are kept, 500 without it.
.TP\n.BR VIRSH_DEBUG \", \" VIRSH_LOG_FILE\nAs \\fB\\-d\\fR and \\fB\\-l\\fR.
.TP\n.B NO_COLOR\nNo colours on a terminal.
.TP\n.BR OXIVIRT_LANG \", \" LANGUAGE \", \" LC_ALL \", \" LC_MESSAGES \", \" LANG\nThe language of messages; \
\\fBC\\fR is English. Machine formats are never translated.
";

const FILES: &str = "\
.TP\n.I /etc/libvirt/libvirt.conf\nAliases of URIs and the default URI, for root; for others \
\\fI$XDG_CONFIG_HOME/libvirt/libvirt.conf\\fR.
.TP\n.I $XDG_CACHE_HOME/libvirt/virsh/history\nLines that were typed.
";

const EXAMPLES: &str = "\
.TP\nTry it without privileges:\n\\fBoxish \\-c test:///default net\\-list \\-\\-all\\fR
.TP\nSee what a start would do:\n\\fBoxish net\\-start lab \\-\\-dry\\-run\\fR
.TP\nNames of running networks in a script:\n\\fBoxish net\\-list \\-\\-format name\\fR
.TP\nA picture:\n\\fBoxish net\\-graph \\-\\-format svg > networks.svg\\fR
";

fn section(out: &mut String, title: &str, text: &str) {
    let _infallible = write!(out, ".SH {title}\n{text}");
}

fn push_command(out: &mut String, command: &CommandDef) {
    let _infallible = writeln!(
        out,
        ".TP\n\\fB{}\\fR{}\n{}.",
        escape(command.name),
        escape(&help::synopsis_of(command, Dialect::Oxish)),
        capital(command.help)
    );
    if !command.about.is_empty() {
        let _infallible = writeln!(out, "{}", escape(command.about));
    }
    let options: Vec<_> = command.listed(Dialect::Oxish).map(|(_, option)| option).collect();
    if options.is_empty() {
        return;
    }
    out.push_str(".RS\n");
    for option in options {
        let value = match option.kind {
            Kind::Flag => "",
            Kind::Number => " \\fInumber\\fR",
            _ => " \\fIstring\\fR",
        };
        let ours = if Dialect::Virsh.has(option.origin) { "" } else { " (oxish)" };
        let _infallible = writeln!(
            out,
            ".TP\n\\fB\\-\\-{}\\fR{value}\n{}{ours}",
            escape(option.name),
            escape(option.help)
        );
    }
    out.push_str(".RE\n");
}

fn capital(text: &str) -> String {
    let mut chars = text.chars();
    let first: String = chars.next().into_iter().flat_map(char::to_uppercase).collect();
    escape(&(first + chars.as_str()))
}

/// A hyphen that is typed, a backslash, and a dot or quote at the beginning of a line.
fn escape(text: &str) -> String {
    let text = text.replace('\\', "\\e").replace('-', "\\-");
    if text.starts_with(['.', '\'']) { format!("\\&{text}") } else { text }
}

/// How many commands the page has.
#[cfg(test)]
fn shown() -> usize {
    all(Dialect::Oxish).filter(|command| command.visibility == Visibility::Shown).count()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_in_the_documentation_is_this_one() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/man/oxish.1");
        let written = std::fs::read_to_string(path).unwrap_or_default();
        assert!(written == page(), "run `oxish self-test --man > docs/man/oxish.1`");
    }

    #[test]
    fn every_command_is_explained() {
        let page = page();
        let headings =
            page.lines().filter(|line| line.starts_with("\\fB") && !line.starts_with("\\fB\\-"));
        assert!(headings.count() >= shown());
    }
}
