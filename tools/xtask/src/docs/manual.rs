//! The manual pages: the shell's as the source of its commands, the daemon's as a document.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use super::known::Known;
use super::{Found, prose, read, spans};
use crate::ui::Failure;

type Commands = BTreeMap<String, BTreeSet<String>>;

/// Global options and commands of `oxish.1`, which is made from the command table.
pub(super) fn commands(page: &str) -> (BTreeSet<String>, Commands) {
    let (mut global, mut commands) = (BTreeSet::new(), Commands::new());
    let mut section = "";
    let mut current: Option<String> = None;
    let mut is_nested = false;
    for line in page.lines() {
        if let Some(name) = line.strip_prefix(".SH ") {
            section = name;
        }
        is_nested = match line {
            ".RS" => true,
            ".RE" => false,
            _ => is_nested,
        };
        let Some(bold) = line.strip_prefix("\\fB") else { continue };
        let bold = format!("\\fB{bold}").replace("\\-", "-");
        let names = bold.split("\\fB").skip(1).filter_map(|rest| rest.split("\\fR").next());
        let names: Vec<String> = names.map(str::to_owned).collect();
        match (section, is_nested) {
            ("OPTIONS", _) => global.extend(names),
            ("COMMANDS", false) => {
                current = names.first().cloned();
                let options = current.iter().map(|name| (name.clone(), BTreeSet::new()));
                commands.extend(options);
            }
            ("COMMANDS", true) => {
                if let Some(options) = current.as_ref().and_then(|name| commands.get_mut(name)) {
                    options.extend(names);
                }
            }
            _ => {}
        }
    }
    (global, commands)
}

/// Options, settings and paths of the daemon's page.
pub(super) fn check(root: &Path, known: &Known, found: &mut Found) -> Result<(), Failure> {
    const PAGE: &str = "docs/man/oxivirtd.8";
    const ARGUMENTS: &str = "crates/daemon/src/args.rs";
    let arguments = known.sources.get(ARGUMENTS).map(String::as_str).unwrap_or_default();
    let page = read(&root.join(PAGE))?;
    prose::check(PAGE, &page, found);
    let text: String = page.lines().map(|line| plain(line) + "\n").collect();
    for option in options(arguments) {
        let result = match text.contains(&option) {
            true => Ok(()),
            false => Err(format!("option `{option}` is not described")),
        };
        found.result(PAGE, 1, result);
    }
    for (index, line) in page.lines().enumerate() {
        if line.starts_with(".\\\"") {
            continue;
        }
        for word in plain(line).split([' ', ',', '"', '(', ')', '[', ']']) {
            let result = if word.starts_with("--") {
                match arguments.contains(word) {
                    true => Ok(()),
                    false => Err(format!("`{word}`: {ARGUMENTS} has no such option")),
                }
            } else if word.starts_with('/') {
                spans::host_path(known, word)
            } else if word.contains('_') && !word.contains('/') {
                let name = word.trim_end_matches(['.', ';', ':']);
                match known.has_word(name) || name.split('_').all(str::is_empty) {
                    true => Ok(()),
                    false => Err(format!("`{name}`: no source has this name")),
                }
            } else {
                continue;
            };
            found.result(PAGE, index + 1, result);
        }
    }
    Ok(())
}

/// Long options in the text that `--help` prints.
fn options(arguments: &str) -> BTreeSet<String> {
    let help = arguments.split("const HELP").nth(1).and_then(|rest| rest.split("\";").next());
    let words = help.unwrap_or_default().split_whitespace();
    words.filter(|word| word.starts_with("--")).map(str::to_owned).collect()
}

/// A line of roff without requests and fonts.
pub(super) fn plain(line: &str) -> String {
    let text = match line.strip_prefix('.') {
        Some(request) => request.split_once(' ').map_or("", |(_, rest)| rest),
        None => line,
    };
    let text = text.replace("\\-", "-").replace("\\(lq", "\"").replace("\\(rq", "\"");
    ["\\fB", "\\fI", "\\fR", "\\fP", "\\&"].iter().fold(text, |text, font| text.replace(font, ""))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn command_table_is_read() {
        let page = ".SH OPTIONS\n.TP\n\\fB\\-q\\fR, \\fB\\-\\-quiet\\fR\n.SH COMMANDS\n.TP\n\
                    \\fBnet\\-list\\fR [\\-\\-all]\n.RS\n.TP\n\\fB\\-\\-all\\fR\nall\n.RE\n.TP\n\\fBuri\\fR\n";
        let (global, commands) = commands(page);
        assert_eq!(Vec::from_iter(global), ["--quiet", "-q"]);
        assert_eq!(Vec::from_iter(commands.keys()), ["net-list", "uri"]);
        assert!(commands["net-list"].contains("--all") && commands["uri"].is_empty());
    }

    #[test]
    fn options_are_those_of_the_help() {
        let code =
            "const HELP: &str = \"\\\n  -v | --verbose  x\n  --root DIR\n\";\nlet a = \"--other\";";
        assert_eq!(Vec::from_iter(options(code)), ["--root", "--verbose"]);
    }

    #[test]
    fn requests_and_fonts_are_removed() {
        assert_eq!(plain(".BR listen_tcp \", \" \\-x"), "listen_tcp \", \" -x");
        assert_eq!(plain("text \\fBbold\\fR"), "text bold");
    }
}
